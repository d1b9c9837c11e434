/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a disk or partition holds, from its first bytes. Pure. Layouts: ext4 (Documentation/
 * filesystems/ext4/super.rst), XFS and btrfs on-disk formats, UEFI 2.10 chapter 5 for GPT and MBR.
 */
#ifndef IMAGES_INIT_VOLUME_H
#define IMAGES_INIT_VOLUME_H

#include "base/types.h"

/* As many first bytes as volume_identify() and volume_partition() can use. */
#define VOLUME_HEAD (KiB(64) + KiB(4))

#define VOLUME_UUID_TEXT 37 /* with the NUL */

struct volume {
	const char *type; /* the file system's name for mount(2) */
	char label[257]; /* "" where it has none */
	char uuid[VOLUME_UUID_TEXT];
};

/* True where a known file system starts in head: ext2 to ext4, xfs, btrfs, squashfs. */
bool volume_identify(const u8 *head, size_t len, struct volume *v);

/*
 * The UUID of partition number (from 1) of the disk that starts with head, as PARTUUID= writes it:
 * GPT's, or "SSSSSSSS-NN" with MBR. False where there is no such partition.
 */
bool volume_partition(const u8 *head, size_t len, unsigned number, char uuid[VOLUME_UUID_TEXT]);

#endif
