/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A loop and its ring, requests to a disk that are waited for, and random ones that compare disks.
 */
#ifndef TESTS_DEVICES_DISK_USER_H
#define TESTS_DEVICES_DISK_USER_H

#include "devices/backend/disk.h"

struct disk_user {
	struct loop loop;
	struct uring uring;
	u64 random; /* the same at each start */
};

struct disk_request {
	struct disk_op op;
	struct iovec iov[8];
	bool submitting, done;
	int err;
};

void disk_user_init(struct disk_user *u);
void disk_user_fini(struct disk_user *u);
u32 disk_user_random(struct disk_user *u, u64 below);

/* One buffer: iov[0]. */
struct disk_request disk_request(enum disk_op_kind kind, u64 offset, void *buf, u64 len);
void disk_request_start(struct disk_user *u, struct disk *disk, struct disk_request *q);
int disk_request_wait(struct disk_user *u, struct disk_request *q);

/* Both: 0 or -errno. */
int disk_request_run(struct disk_user *u, struct disk *disk, struct disk_request *q);
/* That for one buffer. */
int disk_io(struct disk_user *u, struct disk *disk, enum disk_op_kind kind, u64 offset, void *buf,
	    u64 len);

/*
 * Has disk, of size bytes and all zeroes, and one in memory carry out the same count random
 * requests of up to `longest` bytes, in up to eight pieces; what is read must be the same, and all
 * of it at the end. DISCARD is left out where disk cannot.
 */
void disk_compare(struct disk_user *u, struct disk *disk, u64 size, u64 longest, unsigned count);

#endif
