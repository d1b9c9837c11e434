/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk whose writes are thrown away: they go to a nameless temporary file of the base disk's
 * size, and a map with one bit a logical block says which blocks are there. Every request is a
 * whole number of blocks, so nothing is ever copied up, two writes never meet in one bit's data,
 * and the map needs no lock: a bit is set, atomically, after its block was written.
 *
 * Both files are sparse where nothing was written, and so is the map: 1/4096 of what the guest has
 * written to (32 MiB for 128 GiB of 512-byte blocks). A FLUSH has nothing to keep.
 *
 * A request is passed down as it is; one that reads from both files goes down in several parts,
 * one after the other. Runs on the submitting loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/backend/disk.h"

struct disk_ephemeral {
	struct disk disk;
	struct disk *base, *overlay;
	_Atomic u64 *map;
	u64 map_bytes;
};

static bool map_test(const struct disk_ephemeral *e, u64 block)
{
	return atomic_load_explicit(&e->map[block / 64], memory_order_acquire) >> block % 64 & 1;
}

static void map_set(struct disk_ephemeral *e, u64 block, u64 count)
{
	while (count) {
		u64 bit = block % 64, n = MIN(64 - bit, count);
		u64 mask = (n == 64 ? ~0ull : (1ull << n) - 1) << bit;

		atomic_fetch_or_explicit(&e->map[block / 64], mask, memory_order_release);
		block += n;
		count -= n;
	}
}

/*
 * Blocks from `block` on, at most count, that lie in the same file as it: the overlay where *up. A
 * bit is set at any time by a write of another loop, so each is looked at once; one that is missed
 * is of a write that was under way beside the read.
 */
static u64 map_run(const struct disk_ephemeral *e, u64 block, u64 count, bool *up)
{
	bool here = map_test(e, block);
	u64 n = 1;

	*up = here;
	while (n < count) {
		u64 at = block + n, left = 64 - at % 64;
		u64 word = atomic_load_explicit(&e->map[at / 64], memory_order_acquire) >> at % 64;
		u64 other = here ? ~word : word;
		u64 same = other ? (u64)__builtin_ctzll(other) : 64;

		n += MIN(same, left);
		if (same < left)
			break;
	}
	return MIN(n, count);
}

/* Gives op->iov the first bytes of what is left of the upper request's; the cut piece is kept. */
static void iov_cut(struct disk_op *op, u64 bytes)
{
	struct iovec *v = op->upper.iov;

	while (v->iov_len < bytes)
		bytes -= v++->iov_len;
	op->iov = op->upper.iov;
	op->iov_count = (unsigned)(v - op->upper.iov) + 1;
	op->upper.iov = v;
	op->upper.tail = (struct iovec){ .iov_base = (u8 *)v->iov_base + bytes,
					 .iov_len = v->iov_len - bytes };
	v->iov_len = bytes;
}

static void ephemeral_read(struct disk_ephemeral *e, struct disk_op *op)
{
	u64 at = op->upper.offset + op->upper.finished;
	u64 left = op->upper.len - op->upper.finished;
	u32 block = e->disk.logical_block;
	bool up;

	op->offset = at;
	op->len = map_run(e, at / block, left / block, &up) * block;
	iov_cut(op, op->len);
	disk_submit(up ? e->overlay : e->base, op);
}

static void ephemeral_finish(struct disk_ephemeral *e, struct disk_op *op, int err)
{
	op->disk = &e->disk;
	op->kind = op->upper.kind;
	op->offset = op->upper.offset;
	op->len = op->upper.len;
	op->done = op->upper.done;
	op->done(op, err);
}

static void read_done(struct disk_op *op, int err)
{
	struct disk_ephemeral *e = op->upper.disk;

	*op->upper.iov = op->upper.tail;
	op->upper.finished += op->len;
	if (err || op->upper.finished == op->upper.len)
		ephemeral_finish(e, op, err);
	else
		ephemeral_read(e, op);
}

static void write_done(struct disk_op *op, int err)
{
	struct disk_ephemeral *e = op->upper.disk;
	u32 block = e->disk.logical_block;

	if (!err)
		map_set(e, op->upper.offset / block, op->upper.len / block);
	ephemeral_finish(e, op, err);
}

static void ephemeral_submit(struct disk *disk, struct disk_op *op)
{
	struct disk_ephemeral *e = container_of(disk, struct disk_ephemeral, disk);
	int err = disk_check(disk, op);

	if (err || !op->len || op->kind == DISK_FLUSH ||
	    (op->kind == DISK_DISCARD && !disk->can_discard)) {
		disk_complete(op, err);
		return;
	}
	op->upper.disk = e;
	op->upper.kind = op->kind;
	op->upper.offset = op->offset;
	op->upper.len = op->len;
	op->upper.finished = 0;
	op->upper.iov = op->iov;
	op->upper.done = op->done;
	if (op->kind == DISK_READ) {
		op->done = read_done;
		ephemeral_read(e, op);
		return;
	}
	op->done = write_done;
	op->fua = false;
	/* The base must not show through what was discarded. */
	if (op->kind == DISK_DISCARD) {
		op->kind = DISK_WRITE_ZEROES;
		op->unmap = true;
	}
	disk_submit(e->overlay, op);
}

static void ephemeral_close(struct disk *disk)
{
	struct disk_ephemeral *e = container_of(disk, struct disk_ephemeral, disk);

	e->overlay->ops->close(e->overlay);
	e->base->ops->close(e->base);
	munmap(e->map, e->map_bytes);
	free(e);
}

static const struct disk_ops ephemeral_ops = { .submit = ephemeral_submit,
					       .close = ephemeral_close,
					       .fixed_size = true };

/* ---- Making one ---- */

static int nameless_file(const char *dir)
{
	char name[4096];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	if ((size_t)snprintf(name, sizeof(name), "%s/candela-XXXXXX", dir) >= sizeof(name))
		return -ENAMETOOLONG;
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(name);
	return fd;
}

/* TMPDIR, else /var/tmp: unlike /tmp, that is seldom memory. */
static int overlay_open(struct disk_ephemeral *e, const char *dir)
{
	int fd = nameless_file(dir), err;

	if (fd < 0)
		return fd;
	err = ftruncate(fd, (off_t)e->disk.size) ? -errno : 0;
	if (!err)
		err = disk_raw_adopt(&e->overlay, fd, e->disk.size, e->disk.logical_block);
	if (err)
		close(fd);
	return err;
}

static int map_open(struct disk_ephemeral *e)
{
	u64 blocks = e->disk.size / e->disk.logical_block;
	void *map;

	e->map_bytes = (blocks + 63) / 64 * sizeof(u64);
	/* Shared: what one start of the guest wrote, the next one after a reboot must find. */
	map = mmap(NULL, e->map_bytes, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return -errno;
	e->map = map;
	return 0;
}

int disk_ephemeral_open(struct disk **disk, struct disk *base, char *error, size_t error_size)
{
	const char *env = getenv("TMPDIR"), *dir = env && *env ? env : "/var/tmp";
	struct disk_ephemeral *e = calloc(1, sizeof(*e));
	int err = e ? 0 : -ENOMEM;

	if (!err) {
		e->base = base;
		e->disk = *base;
		e->disk.lower = base;
		e->disk.ops = &ephemeral_ops;
		e->disk.read_only = false;
		err = map_open(e);
	}
	if (!err) {
		err = overlay_open(e, dir);
		if (err)
			munmap(e->map, e->map_bytes);
	}
	if (err) {
		snprintf(error, error_size,
			 "no room for an ephemeral disk's writes in %s: %s; TMPDIR names another "
			 "place",
			 dir, strerror(-err));
		free(e);
		return err;
	}
	e->disk.can_discard = e->overlay->can_discard;
	*disk = &e->disk;
	return 0;
}
