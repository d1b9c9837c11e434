/* SPDX-License-Identifier: BSD-2-Clause */
/* Images in formats other than raw, which another program reads for us; see disk_daemon.c. */
#ifndef DEVICES_BACKEND_DISK_DAEMON_H
#define DEVICES_BACKEND_DISK_DAEMON_H

#include "devices/backend/disk.h"

/*
 * Opens config's image as `format` (not raw) with a qemu-storage-daemon of its own, which the disk
 * ends with. 0 and *disk, or -errno with a sentence naming the image and the way out in error. For
 * the process that outlives every start of the guest.
 */
int disk_daemon_open(struct disk **disk, const struct disk_config *config, enum disk_format format,
		     char *error, size_t error_size);

#endif
