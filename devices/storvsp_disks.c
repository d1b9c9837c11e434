/* SPDX-License-Identifier: BSD-2-Clause */
/* A storage controller: made, given disks, taken down. */
#include "devices/storvsp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static size_t channels_size(const struct storvsp *s)
{
	return (s->device.sub_channels_max + 1u) * sizeof(*s->channel);
}

/* Mapped, so that requests never used cost no memory, and a huge page is not one of them. */
static int channels_map(struct storvsp *s)
{
	void *channels = mmap(NULL, channels_size(s), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (channels == MAP_FAILED)
		return -ENOMEM;
	madvise(channels, channels_size(s), MADV_NOHUGEPAGE);
	s->channel = channels;
	return 0;
}

/* In scsi_target's place; perhaps from within scsi_target_detach(), so under the lock or not. */
static void disk_released(struct scsi_target *target, struct disk *disk)
{
	const struct storvsp *s = container_of(target, struct storvsp_target, scsi)->s;

	if (s->released)
		s->released(s->released_ctx, disk);
	else
		disk->ops->close(disk);
}

static int storvsp_make(struct storvsp **s, const struct storvsp *like)
{
	struct storvsp *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	*new = *like;
	new->device.data = new;
	if (channels_map(new)) {
		free(new);
		return -ENOMEM;
	}
	pthread_mutex_init(&new->lock, NULL);
	storvsp_resets_init(new);
	for (unsigned i = 0; i < STORVSP_TARGETS; i++) {
		new->target[i].scsi.released = disk_released;
		new->target[i].s = new;
	}
	*s = new;
	return 0;
}

int storvsp_init(struct storvsp **s, unsigned number, storvsp_uring_fn uring, void *ctx)
{
	const struct storvsp like = {
		.device = { .ops = &storvsp_scsi_ops,
			    .instance = GUID(0x63616e64, 0x656c, 0x4173, 0x80, 0x73, 0x63, 0x73,
					     0x69, 0, (u8)(number >> 8), (u8)number) },
		.uring = uring,
		.uring_ctx = ctx,
	};

	return storvsp_make(s, &like);
}

/* Linux and later Windows read path and target off the instance, earlier ones off the offer. */
int storvsp_init_ide(struct storvsp **s, unsigned position, storvsp_uring_fn uring, void *ctx)
{
	const u8 path = (u8)(position / 2), target = (u8)(position % 2);
	const struct vstor_offer offer = { .path_id = path,
					   .target_id = target,
					   .flags = VSTOR_OFFER_IDE };
	struct storvsp like = {
		.device = { .ops = &storvsp_ide_ops,
			    .instance = GUID(path, target, 0x8899, 0, 0, 0, 0, 0, 0, 0, 0) },
		.ide = true,
		.ide_target = target,
		.uring = uring,
		.uring_ctx = ctx,
	};

	if (position >= STORVSP_IDE_MAX)
		return -EINVAL;
	memcpy(like.device.user_defined, &offer, sizeof(offer));
	return storvsp_make(s, &like);
}

int storvsp_allow_sub_channels(struct storvsp *s, unsigned count)
{
	struct storvsp_channel *before = s->channel;
	size_t size = channels_size(s);
	u16 max = s->device.sub_channels_max;

	if (s->ide)
		return -EINVAL;
	s->device.sub_channels_max = (u16)MIN(count, STORVSP_SUB_CHANNELS_MAX);
	if (channels_map(s)) {
		s->device.sub_channels_max = max;
		return -ENOMEM;
	}
	munmap(before, size);
	return 0;
}

/* ---- Disks ----------------------------------------------------------------------------------- */

static struct scsi_target *target_of(struct storvsp *s, unsigned unit)
{
	return unit < (s->ide ? 1 : STORVSP_UNITS) ? &s->target[unit / STORVSP_LUNS].scsi : NULL;
}

void storvsp_units_changed(struct storvsp *s)
{
	if (s->state != STORVSP_READY)
		return;
	for (unsigned i = 0; i < STORVSP_TARGETS; i++)
		scsi_target_attention(&s->target[i].scsi, SCSI_ASC_REPORTED_LUNS_CHANGED);
	storvsp_rescan(s);
}

static int unit_attach(struct storvsp *s, unsigned unit, enum scsi_type type, struct disk *disk)
{
	struct scsi_target *target = target_of(s, unit);
	int err;

	if (!target)
		return -EINVAL;
	pthread_mutex_lock(&s->lock);
	err = scsi_target_attach(target, unit % STORVSP_LUNS, type, disk);
	if (!err)
		storvsp_units_changed(s);
	pthread_mutex_unlock(&s->lock);
	return err;
}

int storvsp_attach(struct storvsp *s, unsigned unit, struct disk *disk)
{
	return unit_attach(s, unit, SCSI_DISK, disk);
}

int storvsp_attach_dvd(struct storvsp *s, unsigned unit, struct disk *disk)
{
	return unit_attach(s, unit, SCSI_DVD, disk);
}

int storvsp_detach(struct storvsp *s, unsigned unit)
{
	struct scsi_target *target = target_of(s, unit);
	int err;

	if (!target)
		return -ENOENT;
	pthread_mutex_lock(&s->lock);
	err = scsi_target_detach(target, unit % STORVSP_LUNS);
	if (!err)
		storvsp_units_changed(s);
	pthread_mutex_unlock(&s->lock);
	return err;
}

/* The unit that is there, the controller locked; NULL: there is none, and it is not. */
static struct scsi_unit *unit_lock(struct storvsp *s, unsigned unit)
{
	struct scsi_target *target = target_of(s, unit);
	struct scsi_unit *u;

	if (!target)
		return NULL;
	pthread_mutex_lock(&s->lock);
	u = scsi_target_unit(target, unit % STORVSP_LUNS);
	if (!u)
		pthread_mutex_unlock(&s->lock);
	return u;
}

/* An idle guest notices by the commands that its scan sends. */
int storvsp_resize(struct storvsp *s, unsigned unit, u64 size)
{
	struct scsi_unit *u = unit_lock(s, unit);
	int err;

	if (!u)
		return -ENOENT;
	err = scsi_unit_resize(u, size);
	if (!err)
		storvsp_rescan(s);
	pthread_mutex_unlock(&s->lock);
	return err;
}

int storvsp_change(struct storvsp *s, unsigned unit, struct disk *disk)
{
	struct scsi_unit *u = unit_lock(s, unit);
	int err;

	if (!u)
		return -ENOENT;
	err = scsi_unit_change(u, disk);
	pthread_mutex_unlock(&s->lock);
	return err;
}

int storvsp_eject(struct storvsp *s, unsigned unit)
{
	struct scsi_unit *u = unit_lock(s, unit);
	int err;

	if (!u)
		return -ENOENT;
	err = scsi_unit_eject(u);
	pthread_mutex_unlock(&s->lock);
	return err;
}

void storvsp_on_released(struct storvsp *s, void (*released)(void *ctx, struct disk *disk),
			 void *ctx)
{
	s->released = released;
	s->released_ctx = ctx;
}

struct vmbus_device *storvsp_device(struct storvsp *s)
{
	return &s->device;
}

void storvsp_fini(struct storvsp *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < STORVSP_TARGETS; i++)
		scsi_target_fini(&s->target[i].scsi);
	munmap(s->channel, channels_size(s));
	pthread_mutex_destroy(&s->lock);
	free(s);
}
