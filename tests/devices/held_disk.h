/* SPDX-License-Identifier: BSD-2-Clause */
/* A memory disk that can hold its requests back: for tests of what is under way. */
#ifndef TESTS_DEVICES_HELD_DISK_H
#define TESTS_DEVICES_HELD_DISK_H

#include "devices/backend/disk.h"

#define HELD_DISK_OPS 1024u

/* disk is what is attached. Hold back, count and release on one thread at a time. */
struct held_disk {
	struct disk disk;
	struct disk *below;
	bool hold; /* from now on, until held_disk_release() */
	bool kept; /* its user's close() leaves it open, for the next */
	_Atomic bool closed;
	struct disk_op *op[HELD_DISK_OPS];
	unsigned count; /* of op */
};

/* size bytes, zeroed. The disk's close() closes it, unless it is kept. */
void held_disk_open(struct held_disk *d, u64 size, u32 logical_block);

/* Goes on with what it holds, and holds no more. Does not turn the loop. */
void held_disk_release(struct held_disk *d);

#endif
