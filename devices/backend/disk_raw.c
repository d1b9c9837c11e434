/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The requests of a disk whose bytes lie in a file or block device as they are: each becomes one
 * or more requests of the submitting loop's uring. How the file is found and locked is
 * disk_raw_open.c's.
 *
 * Buffered: the host's page cache is the disk's write cache, and FLUSH (fdatasync) or FUA
 * (RWF_DSYNC) empties it. Nothing here is written after the disk was made, so any loop may submit.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/backend/disk.h"

/* Zeroes are written in pieces of this size where the file system cannot be asked for them. */
#define ZEROES MiB(1)

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)

struct disk_raw {
	struct disk disk;
	int fd;
	void *zeroes; /* ZEROES bytes, all of them the host's one zero page */
};

static void raw_io_done(struct uring_op *io, int res);

static void raw_submit_io(struct disk_op *op, struct uring_op io)
{
	io.fd = container_of(op->disk, struct disk_raw, disk)->fd;
	io.done = raw_io_done;
	op->io = io;
	uring_submit(op->uring, &op->io);
}

static void raw_fallocate(struct disk_op *op, int mode)
{
	raw_submit_io(op, (struct uring_op){ .kind = URING_FALLOCATE,
					     .offset = op->offset,
					     .len = op->len,
					     .mode = mode });
}

static void raw_sync(struct disk_op *op)
{
	raw_submit_io(op, (struct uring_op){ .kind = URING_FSYNC, .mode = IORING_FSYNC_DATASYNC });
}

static void raw_transfer(struct disk_op *op)
{
	bool write = op->kind == DISK_WRITE;

	raw_submit_io(op, (struct uring_op){ .kind = write ? URING_WRITEV : URING_READV,
					     .offset = op->offset + op->finished,
					     .iov = op->iov,
					     .iov_count = op->iov_count,
					     .mode = write && op->fua ? RWF_DSYNC : 0 });
}

static void raw_write_zeroes(struct disk_op *op)
{
	const struct disk_raw *r = container_of(op->disk, struct disk_raw, disk);

	op->zeroes = (struct iovec){ .iov_base = r->zeroes,
				     .iov_len = MIN(ZEROES, op->len - op->finished) };
	raw_submit_io(op, (struct uring_op){ .kind = URING_WRITEV,
					     .offset = op->offset + op->finished,
					     .iov = &op->zeroes,
					     .iov_count = 1 });
}

static void iov_advance(struct disk_op *op, u64 bytes)
{
	while (op->iov_count && bytes >= op->iov->iov_len) {
		bytes -= op->iov->iov_len;
		op->iov++;
		op->iov_count--;
	}
	if (bytes) {
		op->iov->iov_base = (u8 *)op->iov->iov_base + bytes;
		op->iov->iov_len -= bytes;
	}
}

/* Nothing done means the end of the file: it has shrunk under us, or it cannot grow. */
static void transfer_done(struct disk_op *op, u64 bytes)
{
	if (!bytes) {
		op->done(op, -EIO);
		return;
	}
	op->finished += bytes;
	if (op->finished == op->len) {
		op->done(op, 0);
		return;
	}
	iov_advance(op, bytes);
	raw_transfer(op);
}

static bool refused(int res)
{
	return res == -EOPNOTSUPP || res == -ENOSYS || res == -EINVAL || res == -ENODEV;
}

/* A hint that the host cannot follow has still been taken. */
static void discard_done(struct disk_op *op, int res)
{
	op->done(op, refused(res) ? 0 : res);
}

/* Three ways, each tried where the one before was refused: give back, convert, write. */
static void zeroes_done(struct disk_op *op, int res)
{
	bool written = op->io.kind == URING_WRITEV;

	if (op->io.kind == URING_FALLOCATE && refused(res)) {
		if (op->io.mode == PUNCH)
			raw_fallocate(op, ZERO);
		else
			raw_write_zeroes(op);
		return;
	}
	if (written && !res)
		res = -EIO;
	if (res < 0) {
		op->done(op, res);
		return;
	}
	if (written) {
		op->finished += (u64)res;
		if (op->finished < op->len) {
			raw_write_zeroes(op);
			return;
		}
	}
	if (op->fua && op->io.kind != URING_FSYNC)
		raw_sync(op);
	else
		op->done(op, 0);
}

static void raw_io_done(struct uring_op *io, int res)
{
	struct disk_op *op = container_of(io, struct disk_op, io);

	if (res == -EINTR || res == -EAGAIN) {
		uring_submit(op->uring, io);
		return;
	}
	switch (op->kind) {
	case DISK_READ:
	case DISK_WRITE:
		if (res < 0)
			op->done(op, res);
		else
			transfer_done(op, (u64)res);
		break;
	case DISK_DISCARD:
		discard_done(op, res);
		break;
	case DISK_WRITE_ZEROES:
		zeroes_done(op, res);
		break;
	case DISK_FLUSH:
		op->done(op, res);
		break;
	}
}

static void raw_submit(struct disk *disk, struct disk_op *op)
{
	int err = disk_check(disk, op);

	op->finished = 0;
	if (err || (!op->len && op->kind != DISK_FLUSH) ||
	    (op->kind == DISK_DISCARD && !disk->can_discard)) {
		disk_complete(op, err);
		return;
	}
	switch (op->kind) {
	case DISK_READ:
	case DISK_WRITE:
		raw_transfer(op);
		break;
	case DISK_FLUSH:
		raw_sync(op);
		break;
	case DISK_DISCARD:
		raw_fallocate(op, PUNCH);
		break;
	case DISK_WRITE_ZEROES:
		raw_fallocate(op, op->unmap && disk->can_discard ? PUNCH : ZERO);
		break;
	}
}

static void raw_close(struct disk *disk)
{
	struct disk_raw *r = container_of(disk, struct disk_raw, disk);

	munmap(r->zeroes, ZEROES);
	close(r->fd);
	free(r);
}

static const struct disk_ops raw_ops = { .submit = raw_submit, .close = raw_close };

/*
 * A hole past the end of a file changes nothing, but tells whether the file system can make holes.
 * A block device cannot be asked so: it gets the hint and may refuse it.
 */
static bool can_punch(int fd, u64 size)
{
	return !fallocate(fd, PUNCH, (off_t)size, 4096) || errno == EINVAL;
}

int disk_raw_adopt(struct disk **disk, int fd, u64 size, u32 logical_block)
{
	struct disk_raw *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->zeroes = mmap(NULL, ZEROES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (r->zeroes == MAP_FAILED) {
		free(r);
		return -ENOMEM;
	}
	r->fd = fd;
	r->disk = (struct disk){ .ops = &raw_ops,
				 .size = size,
				 .logical_block = logical_block,
				 .physical_block = MAX(logical_block, 4096u) };
	r->disk.can_discard = can_punch(fd, size);
	*disk = &r->disk;
	return 0;
}
