/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The block contract: done() runs on the loop of op->uring, exactly once, never from within
 * disk_submit(). So one disk serves channels of several loops without a lock.
 *
 * Order and durability, as SCSI has them: requests in flight together may be carried out in any
 * order. A FLUSH that succeeds has put on stable storage what was done() before it was submitted;
 * writes still in flight beside it need not be covered. One that fails says so.
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
	bool fua; /* WRITE, WRITE_ZEROES: on stable storage before done() */
	bool unmap; /* WRITE_ZEROES: the space may be given back */
	u64 offset; /* bytes, a multiple of the logical block */
	u64 len; /* bytes, likewise; READ, WRITE: the sum of iov */
	struct iovec *iov; /* kept by the caller until done(); the back end may advance it */
	unsigned iov_count;
	struct uring *uring; /* the submitting loop's */
	/* err: 0, the whole length was carried out; or -errno. */
	void (*done)(struct disk_op *op, int err);
	/* The back end's. */
	struct disk *disk;
	struct uring_op io;
	u64 finished; /* bytes, for requests the kernel carries out in parts */
	struct iovec zeroes; /* a piece of WRITE_ZEROES written out */
	/* What a disk that stands on another one keeps of a request it passes down. */
	struct {
		void *disk;
		enum disk_op_kind kind;
		u64 offset, len, finished;
		struct iovec *iov, tail;
		void (*done)(struct disk_op *op, int err);
	} upper;
};

struct disk;

struct disk_ops {
	void (*submit)(struct disk *disk, struct disk_op *op);
	void (*close)(struct disk *disk); /* nothing in flight; frees disk */
};

struct disk {
	const struct disk_ops *ops;
	u64 size; /* bytes, a multiple of logical_block */
	u32 logical_block; /* 512 or 4096 */
	u32 physical_block; /* a multiple of logical_block */
	bool read_only;
	bool can_discard;
	bool rotational;
	char id[32]; /* stable for the same image: serial number, VPD 0x83 */
};

static inline void disk_submit(struct disk *disk, struct disk_op *op)
{
	op->disk = disk;
	disk->ops->submit(disk, op);
}

/*
 * Whether op may be carried out on disk at all: 0, -EINVAL where it is misaligned, out of range or
 * its iov does not add up, -EROFS.
 */
int disk_check(const struct disk *disk, const struct disk_op *op);

/* Ends op with err in a later turn: for what needs no I/O. */
void disk_complete(struct disk_op *op, int err);

struct disk_config {
	const char *path;
	bool read_only;
	bool ephemeral; /* all writes are thrown away at the end */
	bool format_raw; /* format=raw: take the bytes as they are, look for no magic */
};

/*
 * A raw image file or block device (disk_raw.c). The image is locked against a second writer (OFD
 * lock). 0 and *disk, or -errno with a sentence naming the file and the way out in error.
 */
int disk_raw_open(struct disk **disk, const struct disk_config *config, char *error,
		  size_t error_size);

/*
 * A raw disk on fd, which becomes its own where 0 is returned: not locked, id left empty. 0 and
 * *disk, or -errno.
 */
int disk_raw_adopt(struct disk **disk, int fd, u64 size, u32 logical_block);

/*
 * Keeps all writes to base in a nameless temporary file, thrown away at the end
 * (disk_ephemeral.c). base becomes part of *disk where 0 is returned. 0, or -errno with a
 * sentence in error.
 */
int disk_ephemeral_open(struct disk **disk, struct disk *base, char *error, size_t error_size);

/* size bytes of memory, zeroed (disk_mem.c): tests and benchmarks. NULL without memory. */
struct disk *disk_mem_open(u64 size, u32 logical_block);

#endif
