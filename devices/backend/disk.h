/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The block contract: done() runs on the loop of op->uring, exactly once, never from within
 * disk_submit(). So one disk serves channels of several loops without a lock.
 *
 * A back end knows nothing of VMBus or SCSI: byte offsets in, 0 or -errno out. It never sees a
 * request that is out of range, misaligned or forbidden: disk_submit()'s caller has checked them
 * against the fields below (a back end still refuses, it does not trust).
 */
#ifndef DEVICES_BACKEND_DISK_H
#define DEVICES_BACKEND_DISK_H

#include <sys/uio.h>

#include "base/types.h"
#include "base/uring.h"

enum disk_op_kind { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_WRITE_ZEROES };

struct disk_op {
	enum disk_op_kind kind;
	bool fua;                /* WRITE, WRITE_ZEROES: on stable storage before done() */
	u64 offset;              /* bytes, a multiple of the logical block */
	u64 len;                 /* bytes, likewise; READ, WRITE: the sum of iov */
	struct iovec *iov;       /* kept by the caller until done(); the back end may advance it */
	unsigned iov_count;
	struct uring *uring;     /* the submitting loop's */
	/* err: 0, the whole length was carried out; or -errno. */
	void (*done)(struct disk_op *op, int err);
	/* The back end's. */
	struct disk *disk;
	struct uring_op io;
	u64 finished;            /* bytes, for requests the kernel carries out in parts */
};

struct disk;

struct disk_ops {
	void (*submit)(struct disk *disk, struct disk_op *op);
	void (*close)(struct disk *disk); /* nothing in flight; frees disk */
};

struct disk {
	const struct disk_ops *ops;
	u64 size;                /* bytes, a multiple of logical_block */
	u32 logical_block;       /* 512 or 4096 */
	u32 physical_block;      /* a multiple of logical_block */
	bool read_only;
	bool can_discard;
	bool rotational;
	char id[32];             /* stable for the same image: serial number, VPD 0x83 */
};

static inline void disk_submit(struct disk *disk, struct disk_op *op)
{
	op->disk = disk;
	disk->ops->submit(disk, op);
}

struct disk_config {
	const char *path;
	bool read_only;
	bool ephemeral;          /* all writes are thrown away at the end */
};

/*
 * A raw image file or block device (disk_raw.c). The image is locked against a second writer (OFD
 * lock). 0 and *disk, or -errno with a sentence naming the file and the way out in error.
 */
int disk_raw_open(struct disk **disk, const struct disk_config *config, char *error,
		  size_t error_size);

/* size bytes of memory, zeroed (disk_mem.c): tests and benchmarks. NULL without memory. */
struct disk *disk_mem_open(u64 size, u32 logical_block);

#endif
