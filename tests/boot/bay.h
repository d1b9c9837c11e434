/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bay: a SCSI controller whose units come, go and change while the guest uses them. LUN 0 is a
 * DVD drive, empty at first; behind it come disks, at LUN 1 and on, the last one going first: raw
 * images in memory, by candela's own way to files, opened before and closed when they go. They are
 * slow on purpose, so that requests are under way then. From the I/O thread of whoever asks for it,
 * one at a time; bay_init() and bay_fini() on the main thread.
 */
#ifndef TESTS_BOOT_BAY_H
#define TESTS_BOOT_BAY_H

#include "machine.h"

#define BAY_DISCS 2u
#define BAY_LUNS 8u
#define BAY_DISK_SIZE MiB(16) /* of one that comes */
#define BAY_DISK_SIZE_MAX MiB(32)
/* So many may come in all. */
#define BAY_DISKS 256u

struct bay;

/*
 * 0 and *b, or -errno. disc: what can be put in the drive, none where NULL; the bay's from where 0
 * is returned on.
 */
int bay_init(struct bay **b, const struct machine_bus *on, struct disk *const disc[BAY_DISCS]);
struct vmbus_device *bay_device(struct bay *b);
/* The bus has ended. NULL is fine. */
void bay_fini(struct bay *b);

/* Adds a disk, zeroed; takes the last one away. False: no place, none left, none there. */
bool bay_add(struct bay *b);
bool bay_remove(struct bay *b);
/* The disks there are. */
u32 bay_disks(const struct bay *b);
/* Every disk has size bytes now, at most BAY_DISK_SIZE_MAX. The number of disks. */
u32 bay_resize(struct bay *b, u64 size);
/*
 * Puts disc number - 1 in the drive in place of what is there; 0: nothing. False: not possible now.
 */
bool bay_insert(struct bay *b, u32 number);
/* Presses the drive's button. */
bool bay_eject(struct bay *b);

#endif
