/* SPDX-License-Identifier: BSD-2-Clause */
/* What the counters ask of a limit; see disk.h for the rest. */
#ifndef DEVICES_BACKEND_DISK_LIMIT_H
#define DEVICES_BACKEND_DISK_LIMIT_H

#include "devices/backend/disk.h"

/* Requests that had to wait so far; 0 where disk is no disk_limit. Any thread. */
u64 disk_limit_waited(const struct disk *disk);

#endif
