/* SPDX-License-Identifier: BSD-2-Clause */
/* A disk of zeroed memory: for tests and benchmarks, and the model other back ends must match. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "devices/backend/disk.h"

struct disk_mem {
	struct disk disk;
	u8 *bytes;
};

static void mem_copy(u8 *at, const struct disk_op *op)
{
	for (unsigned i = 0; i < op->iov_count; i++) {
		const struct iovec *v = &op->iov[i];

		if (op->kind == DISK_READ)
			memcpy(v->iov_base, at, v->iov_len);
		else
			memcpy(at, v->iov_base, v->iov_len);
		at += v->iov_len;
	}
}

static void mem_submit(struct disk *disk, struct disk_op *op)
{
	struct disk_mem *m = container_of(disk, struct disk_mem, disk);
	int err = disk_check(disk, op);

	if (!err) {
		switch (op->kind) {
		case DISK_READ:
		case DISK_WRITE:
			mem_copy(m->bytes + op->offset, op);
			break;
		case DISK_DISCARD:
		case DISK_WRITE_ZEROES:
			memset(m->bytes + op->offset, 0, op->len);
			break;
		case DISK_FLUSH:
		case DISK_OP_KINDS:
			break;
		}
	}
	disk_complete(op, err);
}

static void mem_close(struct disk *disk)
{
	struct disk_mem *m = container_of(disk, struct disk_mem, disk);

	munmap(m->bytes, disk->size);
	free(m);
}

static const struct disk_ops mem_ops = { .submit = mem_submit,
					 .close = mem_close,
					 .fixed_size = true };

struct disk *disk_mem_open(u64 size, u32 logical_block)
{
	struct disk_mem *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->bytes == MAP_FAILED) {
		free(m);
		return NULL;
	}
	m->disk = (struct disk){ .ops = &mem_ops,
				 .size = size,
				 .logical_block = logical_block,
				 .physical_block = MAX(logical_block, 4096u),
				 .can_discard = true };
	snprintf(m->disk.id, sizeof(m->disk.id), "candela-memory");
	return &m->disk;
}
