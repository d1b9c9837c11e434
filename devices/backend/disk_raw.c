/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The requests of a disk whose bytes lie in a file or block device as they are: each becomes one
 * or more requests of the submitting loop's uring. How the file is found and locked is
 * disk_raw_open.c's.
 *
 * The host's page cache is the disk's write cache, or with O_DIRECT what its device has, and FLUSH
 * (fdatasync) or FUA (RWF_DSYNC) empties it. Where O_DIRECT takes no buffer that lies as the
 * guest's does, the request goes through buffers of its loop's ring, a piece at a time; so does one
 * that it refuses, for what it takes is not always known beforehand.
 *
 * Flushes. What the kernel could not write back it tells each open file once, whoever asks by it:
 * of two flushes under way the one that is told nothing might be acknowledged before the other's
 * failure is known, over what it lost. So each loop flushes by an open file of its own, one flush
 * at a time; those that come meanwhile wait, and share the next one. FUA writes go by the file that
 * all other requests use. They take no news from a flush. Of several FUA writes under way at once,
 * through the page cache, one may still be told of another's loss (disks past the page cache are
 * told of each). After a loss every flush fails; a FUA write that begins then speaks for itself
 * only.
 *
 * Nothing else here but a flag is written once the disk is in use, so any loop may submit.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "devices/backend/disk.h"

/* Zeroes are written in pieces of this size where the file system cannot be asked for them. */
#define ZEROES MiB(1)

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)

/* How often the kernel may ask for a request again. */
#define RETRIES 16u

/* A loop's; more loops than this share one file for their flushes. */
#define FLUSHERS 16u

struct flusher {
	_Atomic(struct uring *) uring; /* the loop's; NULL: nobody's yet */
	int fd; /* -1: the disk's */
	struct disk_op *running; /* those that share it follow it as a list */
	struct disk_op *waiting;
};

struct disk_raw {
	struct disk disk;
	int fd;
	struct uring_file *file; /* of all descriptors here */
	struct disk_raw_how how;
	_Atomic bool *lost; /* some of what was written, for good: for all starts of the guest */
	void *zeroes; /* ZEROES bytes, all of them the host's one zero page */
	struct flusher flusher[FLUSHERS];
};

static void raw_io_done(struct uring_op *io, int res);
static void raw_ended(struct disk_op *op, int res);

static struct disk_raw *raw_of(const struct disk_op *op)
{
	return container_of(op->disk, struct disk_raw, disk);
}

static void raw_submit_io(struct disk_op *op, struct uring_op io)
{
	const struct disk_raw *r = raw_of(op);

	if (io.kind != URING_FSYNC)
		io.fd = r->fd;
	io.file = r->file;
	io.threads = r->how.threads;
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

static void raw_transfer(struct disk_op *op, const struct iovec *iov, unsigned count)
{
	bool write = op->kind == DISK_WRITE, sync = op->fua && !raw_of(op)->how.unsafe;

	raw_submit_io(op, (struct uring_op){ .kind = write ? URING_WRITEV : URING_READV,
					     .offset = op->offset + op->finished,
					     .iov = iov,
					     .iov_count = count,
					     .mode = write && sync ? RWF_DSYNC : 0 });
}

/* ---- Flushes ---- */

/* Whoever takes one for its loop is the only one to touch the rest. NULL: all are taken. */
static struct flusher *flusher_of(struct disk_raw *r, struct uring *uring)
{
	for (unsigned i = 0; i < FLUSHERS; i++) {
		struct flusher *f = &r->flusher[i];
		struct uring *has = atomic_load_explicit(&f->uring, memory_order_relaxed);

		if (has == uring || (!has && atomic_compare_exchange_strong_explicit(
						     &f->uring, &has, uring, memory_order_relaxed,
						     memory_order_relaxed)))
			return f;
	}
	return NULL;
}

static void flush_submit(const struct flusher *f, struct disk_op *op)
{
	int fd = f && f->fd >= 0 ? f->fd : raw_of(op)->fd;

	raw_submit_io(op, (struct uring_op){
				  .kind = URING_FSYNC, .fd = fd, .mode = IORING_FSYNC_DATASYNC });
}

static void raw_sync(struct disk_op *op)
{
	struct flusher *f = flusher_of(raw_of(op), op->uring);

	op->flush_next = NULL;
	if (f && f->running) {
		op->io = (struct uring_op){ .kind = URING_FSYNC };
		op->flush_next = f->waiting;
		f->waiting = op;
		return;
	}
	if (f)
		f->running = op;
	flush_submit(f, op);
}

/* What was submitted before the next one begins is covered by it. */
static void flush_next(struct disk_op *op)
{
	struct flusher *f = flusher_of(raw_of(op), op->uring);

	if (!f || f->running != op)
		return;
	f->running = f->waiting;
	f->waiting = NULL;
	if (f->running)
		flush_submit(f, f->running);
}

static void raw_write_zeroes(struct disk_op *op)
{
	op->piece = (struct iovec){ .iov_base = raw_of(op)->zeroes,
				    .iov_len = MIN(ZEROES, op->len - op->finished) };
	raw_submit_io(op, (struct uring_op){ .kind = URING_WRITEV,
					     .offset = op->offset + op->finished,
					     .iov = &op->piece,
					     .iov_count = 1 });
}

static void raw_finish(struct disk_op *op, int err)
{
	if (op->buffer)
		uring_buffer_return(op->uring, op->buffer - 1);
	op->buffer = 0;
	op->done(op, err);
}

/* ---- Through a buffer of the ring ---- */

static bool suits(const struct disk_raw *r, const struct disk_op *op)
{
	uintptr_t bits = 0;

	for (unsigned i = 0; r->how.align && i < op->iov_count; i++)
		bits |= (uintptr_t)op->iov[i].iov_base | op->iov[i].iov_len;
	return !(bits & (r->how.align - 1));
}

static void bounce_next(struct disk_op *op)
{
	u8 *buf = uring_buffer(op->uring, op->buffer - 1);
	u64 len = MIN(URING_BUFFER, op->len - op->finished);

	op->piece = (struct iovec){ .iov_base = buf, .iov_len = len };
	if (op->kind == DISK_WRITE)
		disk_op_copy(op, op->finished - op->advanced, buf, len);
	raw_transfer(op, &op->piece, 1);
}

static void bounce_ready(struct uring_op *io, int number)
{
	struct disk_op *op = container_of(io, struct disk_op, io);

	op->buffer = (unsigned)number + 1;
	bounce_next(op);
}

static void raw_bounce(struct disk_op *op)
{
	op->io = (struct uring_op){ .done = bounce_ready };
	uring_buffer_ask(op->uring, &op->io);
}

static void raw_transfer_all(struct disk_op *op)
{
	if (suits(raw_of(op), op))
		raw_transfer(op, op->iov, op->iov_count);
	else
		raw_bounce(op);
}

/* ---- What came of it ---- */

static void iov_advance(struct disk_op *op, u64 bytes)
{
	op->advanced += bytes;
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
		raw_finish(op, -EIO);
		return;
	}
	if (op->buffer && op->kind == DISK_READ)
		disk_op_copy(op, op->finished - op->advanced, op->piece.iov_base, bytes);
	op->finished += bytes;
	if (op->finished == op->len) {
		raw_finish(op, 0);
	} else if (op->buffer) {
		bounce_next(op);
	} else {
		iov_advance(op, bytes);
		raw_transfer(op, op->iov, op->iov_count);
	}
}

static void transfer_failed(struct disk_op *op, int err)
{
	if (err == -EINVAL && raw_of(op)->how.align && !op->buffer)
		raw_bounce(op);
	else
		raw_finish(op, err);
}

static bool has_lost(const struct disk_op *op)
{
	return atomic_load_explicit(raw_of(op)->lost, memory_order_relaxed);
}

/*
 * Where the kernel could not write back what lay in its page cache, it says so once and then takes
 * it for clean: the next flush would succeed, and cover nothing. So none succeeds any more; nor
 * does what another loop has under way then, flush or FUA, for of several the kernel tells any one.
 * What came of it.
 */
static int note_loss(const struct disk_op *op, int res)
{
	bool syncs = op->io.kind == URING_FSYNC || (op->io.kind == URING_WRITEV && op->io.mode);

	if (syncs && (res == -EIO || res == -ENOSPC || res == -EDQUOT))
		atomic_store_explicit(raw_of(op)->lost, true, memory_order_relaxed);
	return syncs && res >= 0 && has_lost(op) && !op->after_loss ? -EIO : res;
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
	if (op->fua && op->io.kind != URING_FSYNC && !raw_of(op)->how.unsafe)
		raw_sync(op);
	else
		op->done(op, 0);
}

/* All that shared it, once what became of it is noted. */
static void flush_ended(struct disk_op *op, int res)
{
	note_loss(op, res);
	flush_next(op);
	while (op) {
		struct disk_op *next = op->flush_next;

		raw_ended(op, note_loss(op, res));
		op = next;
	}
}

static void raw_io_done(struct uring_op *io, int res)
{
	struct disk_op *op = container_of(io, struct disk_op, io);

	if ((res == -EINTR || res == -EAGAIN) && op->retries) {
		op->retries--;
		uring_submit(op->uring, io);
		return;
	}
	if (io->kind == URING_FSYNC)
		flush_ended(op, res);
	else
		raw_ended(op, note_loss(op, res));
}

static void raw_ended(struct disk_op *op, int res)
{
	switch (op->kind) {
	case DISK_READ:
	case DISK_WRITE:
		if (res < 0)
			transfer_failed(op, res);
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
	case DISK_OP_KINDS:
		op->done(op, res);
		break;
	}
}

static bool raw_needs_nothing(const struct disk *disk, const struct disk_op *op)
{
	if (op->kind == DISK_FLUSH)
		return raw_of(op)->how.unsafe;
	return !op->len || (op->kind == DISK_DISCARD && !disk->can_discard);
}

static void raw_submit(struct disk *disk, struct disk_op *op)
{
	int err = disk_check(disk, op);

	op->finished = op->advanced = 0;
	op->retries = RETRIES;
	op->buffer = 0;
	op->after_loss = has_lost(op);
	if (!err && op->kind == DISK_FLUSH && op->after_loss)
		err = -EIO;
	if (err || raw_needs_nothing(disk, op)) {
		disk_complete(op, err);
		return;
	}
	switch (op->kind) {
	case DISK_READ:
	case DISK_WRITE:
		raw_transfer_all(op);
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
	case DISK_OP_KINDS:
		break;
	}
}

static void raw_close(struct disk *disk)
{
	struct disk_raw *r = container_of(disk, struct disk_raw, disk);

	uring_file_close(r->file);
	munmap(r->zeroes, ZEROES);
	munmap(r->lost, sizeof(*r->lost));
	for (unsigned i = 0; i < FLUSHERS; i++)
		if (r->flusher[i].fd >= 0)
			close(r->flusher[i].fd);
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

/* 0 or -ENOMEM. */
static int raw_map(struct disk_raw *r)
{
	void *zeroes = mmap(NULL, ZEROES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *lost = mmap(NULL, sizeof(*r->lost), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	r->zeroes = zeroes;
	r->lost = lost;
	if (zeroes != MAP_FAILED && lost != MAP_FAILED)
		return 0;
	if (zeroes != MAP_FAILED)
		munmap(zeroes, ZEROES);
	if (lost != MAP_FAILED)
		munmap(lost, sizeof(*r->lost));
	return -ENOMEM;
}

int disk_raw_adopt(struct disk **disk, int fd, u64 size, u32 logical_block)
{
	struct disk_raw *r = calloc(1, sizeof(*r));
	struct uring_file *file = uring_file_new();

	if (!r || !file || raw_map(r)) {
		uring_file_close(file);
		free(r);
		return -ENOMEM;
	}
	r->fd = fd;
	r->file = file;
	for (unsigned i = 0; i < FLUSHERS; i++)
		r->flusher[i].fd = -1;
	r->disk = (struct disk){ .ops = &raw_ops,
				 .size = size,
				 .logical_block = logical_block,
				 .physical_block = MAX(logical_block, 4096u) };
	r->disk.can_discard = can_punch(fd, size);
	*disk = &r->disk;
	return 0;
}

void disk_raw_set(struct disk *disk, struct disk_raw_how how)
{
	container_of(disk, struct disk_raw, disk)->how = how;
}

void disk_raw_flush_apart(struct disk *disk, unsigned loops, int fd)
{
	struct disk_raw *r = container_of(disk, struct disk_raw, disk);
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", r->fd);
	r->flusher[0].fd = fd;
	if (r->how.unsafe)
		return;
	for (unsigned i = fd >= 0; i < MIN(MAX(loops, 1u), FLUSHERS); i++) {
		r->flusher[i].fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
		if (r->flusher[i].fd >= 0)
			continue;
		log_warn("disk image %s cannot be opened once more (%s): flushes and FUA "
			 "writes share one descriptor, and what the host could not write is told "
			 "one of them",
			 disk->name, strerror(errno));
		return;
	}
}
