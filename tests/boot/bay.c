/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is said in bay.h. A disc that the drive lets go of is kept; a disk is closed by the
 * controller.
 */
#include "tests/boot/bay.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Behind those of the command line and of the plug device. */
#define BAY_CONTROLLER 100u
#define BAY_QUEUES 4u
#define BAY_IOPS 2000u
#define BAY_BURST_MS 50u

struct bay {
	struct storvsp *storvsp;
	u32 disks, added; /* now; so far */
	struct disk *disk[BAY_DISKS]; /* those from `added` on are still to come */
	struct disk *unit[BAY_LUNS + 1]; /* by LUN: those that are there */
	struct disk *disc[BAY_DISCS];
	_Atomic bool in_drive[BAY_DISCS]; /* or a request still uses it */
};

/* On an I/O thread, perhaps from within storvsp_change(). */
static void bay_released(void *ctx, struct disk *disk)
{
	struct bay *b = ctx;

	for (unsigned i = 0; i < BAY_DISCS; i++) {
		if (disk == b->disc[i]) {
			atomic_store(&b->in_drive[i], false);
			return;
		}
	}
	disk->ops->close(disk);
}

/* A file of memory, and a disk on it that takes its time. NULL: not to be had. */
static struct disk *disk_new(u32 number)
{
	int fd = memfd_create("bay", MFD_CLOEXEC);
	struct disk *disk;

	if (fd < 0)
		return NULL;
	if (ftruncate(fd, (off_t)BAY_DISK_SIZE_MAX) ||
	    disk_raw_adopt(&disk, fd, BAY_DISK_SIZE, 512)) {
		close(fd);
		return NULL;
	}
	snprintf(disk->id, sizeof(disk->id), "bay-%u", number);
	if (!disk_limit_open(&disk, disk, BAY_IOPS, 0, BAY_BURST_MS))
		return disk;
	disk->ops->close(disk);
	return NULL;
}

/* All there will ever be: an I/O thread may open nothing. */
static int disks_open(struct bay *b)
{
	for (u32 i = 0; i < BAY_DISKS; i++) {
		b->disk[i] = disk_new(i);
		if (!b->disk[i])
			return -ENOMEM;
	}
	return 0;
}

int bay_init(struct bay **out, const struct machine_bus *on, struct disk *const disc[BAY_DISCS])
{
	struct bay *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	err = storvsp_init(&b->storvsp, BAY_CONTROLLER, on->uring, on->uring_ctx);
	if (!err)
		err = disks_open(b);
	if (!err)
		err = storvsp_allow_sub_channels(b->storvsp, BAY_QUEUES - 1);
	if (!err)
		err = storvsp_attach_dvd(b->storvsp, 0, NULL);
	if (err) {
		bay_fini(b);
		return err;
	}
	storvsp_on_released(b->storvsp, bay_released, b);
	for (unsigned i = 0; disc && i < BAY_DISCS; i++)
		b->disc[i] = disc[i];
	*out = b;
	return 0;
}

struct vmbus_device *bay_device(struct bay *b)
{
	return storvsp_device(b->storvsp);
}

void bay_fini(struct bay *b)
{
	if (!b)
		return;
	storvsp_fini(b->storvsp);
	for (unsigned i = 0; i < BAY_DISCS; i++)
		if (b->disc[i] && !b->in_drive[i])
			b->disc[i]->ops->close(b->disc[i]);
	for (u32 i = b->added; i < BAY_DISKS; i++)
		if (b->disk[i])
			b->disk[i]->ops->close(b->disk[i]);
	free(b);
}

/* ---- Disks ----------------------------------------------------------------------------------- */

/* The place of one that has just gone may still be in use. */
bool bay_add(struct bay *b)
{
	u32 lun = b->disks + 1;

	if (lun > BAY_LUNS || b->added == BAY_DISKS ||
	    storvsp_attach(b->storvsp, STORVSP_UNIT(0, lun), b->disk[b->added]))
		return false;
	b->unit[lun] = b->disk[b->added++];
	b->disks++;
	return true;
}

bool bay_remove(struct bay *b)
{
	if (!b->disks || storvsp_detach(b->storvsp, STORVSP_UNIT(0, b->disks)))
		return false;
	b->disks--;
	return true;
}

u32 bay_disks(const struct bay *b)
{
	return b->disks;
}

/* What a disk is told to have is there: first it grows, last it shrinks. */
static bool unit_resize(struct bay *b, u32 lun, u64 size)
{
	struct disk *disk = b->unit[lun];
	bool grows = size > disk->size;

	if (grows && disk_resize(disk, size))
		return false;
	if (storvsp_resize(b->storvsp, STORVSP_UNIT(0, lun), size))
		return false;
	return grows || !disk_resize(disk, size);
}

u32 bay_resize(struct bay *b, u64 size)
{
	u32 done = 0;

	for (u32 lun = 1; lun <= b->disks && size <= BAY_DISK_SIZE_MAX; lun++)
		done += unit_resize(b, lun, size);
	return done;
}

/* ---- The drive ------------------------------------------------------------------------------- */

bool bay_insert(struct bay *b, u32 number)
{
	u32 i = number - 1;

	if (!number)
		return !storvsp_change(b->storvsp, 0, NULL);
	if (i >= BAY_DISCS || !b->disc[i] || atomic_load(&b->in_drive[i]))
		return false;
	atomic_store(&b->in_drive[i], true);
	if (!storvsp_change(b->storvsp, 0, b->disc[i]))
		return true;
	atomic_store(&b->in_drive[i], false);
	return false;
}

bool bay_eject(struct bay *b)
{
	return !storvsp_eject(b->storvsp, 0);
}
