/* SPDX-License-Identifier: BSD-2-Clause */
#include "devices/backend/disk.h"

#include <errno.h>
#include <stdio.h>

static u64 iov_bytes(const struct iovec *iov, unsigned count)
{
	u64 bytes = 0;

	for (unsigned i = 0; i < count; i++)
		bytes += iov[i].iov_len;
	return bytes;
}

int disk_check(const struct disk *disk, const struct disk_op *op)
{
	u64 size = __atomic_load_n(&disk->size, __ATOMIC_RELAXED);

	if (op->kind == DISK_FLUSH)
		return 0;
	if ((unsigned)op->kind >= DISK_OP_KINDS)
		return -EINVAL;
	if (disk->read_only && op->kind != DISK_READ)
		return -EROFS;
	if ((op->offset | op->len) % disk->logical_block || op->offset > size ||
	    op->len > size - op->offset)
		return -EINVAL;
	if (op->kind != DISK_READ && op->kind != DISK_WRITE)
		return 0;
	return iov_bytes(op->iov, op->iov_count) == op->len ? 0 : -EINVAL;
}

int disk_resize(struct disk *disk, u64 size)
{
	if (!size || size % disk->logical_block)
		return -EINVAL;
	for (const struct disk *d = disk; d; d = d->lower)
		if (d->ops->fixed_size)
			return -EOPNOTSUPP;
	for (; disk; disk = disk->lower)
		__atomic_store_n(&disk->size, size, __ATOMIC_RELAXED);
	return 0;
}

/* FNV-1a. */
void disk_set_id(struct disk *disk, const char *name)
{
	u64 hash = 0xcbf29ce484222325ull;

	for (const char *c = name; *c; c++)
		hash = (hash ^ (u8)*c) * 0x100000001b3ull;
	snprintf(disk->id, sizeof(disk->id), "candela-%016llx", (unsigned long long)hash);
}

void disk_op_copy(const struct disk_op *op, u64 skip, u8 *buf, u64 len)
{
	for (const struct iovec *v = op->iov; len; v++) {
		u64 n = v->iov_len > skip ? MIN(v->iov_len - skip, len) : 0;
		u8 *at = (u8 *)v->iov_base + skip;

		if (n && op->kind == DISK_WRITE)
			memcpy(buf, at, n);
		else if (n)
			memcpy(at, buf, n);
		skip = n ? 0 : skip - v->iov_len;
		buf += n;
		len -= n;
	}
}

static void completed(struct uring_op *io, int res)
{
	struct disk_op *op = container_of(io, struct disk_op, io);

	op->done(op, res);
}

void disk_complete(struct disk_op *op, int err)
{
	op->io = (struct uring_op){ .done = completed };
	uring_complete(op->uring, &op->io, err);
}

int disk_connect(struct disk *disk, char *error, size_t error_size)
{
	int err = 0;

	for (; disk && !err; disk = disk->lower)
		if (disk->ops->connect)
			err = disk->ops->connect(disk, error, error_size);
	return err;
}

int disk_launch(struct disk *disk, int (*begin)(void *ctx), void *ctx)
{
	int err = 0;

	for (; disk && !err; disk = disk->lower)
		if (disk->ops->launch)
			err = disk->ops->launch(disk, begin, ctx);
	return err;
}

void disk_let_go(struct disk *disk)
{
	for (; disk; disk = disk->lower)
		if (disk->ops->let_go)
			disk->ops->let_go(disk);
}

void disk_hurry(struct disk *disk)
{
	for (; disk; disk = disk->lower)
		if (disk->ops->hurry)
			disk->ops->hurry(disk);
}
