/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who answers a port or MMIO access that left the kernel. The table is built while the machine is
 * wired and frozen before the first KVM_RUN; handlers run on the vCPU thread that made the access
 * and lock what they share with other threads.
 */
#ifndef VMM_IO_H
#define VMM_IO_H

#include "base/types.h"

enum io_space { IO_PORT, IO_MMIO };

struct io_range {
	enum io_space space;
	u64 base;
	u64 len;
	/*
	 * offset: from base. len: 1, 2, 4 or 8 bytes, wholly inside the range. NULL reads as ones.
	 */
	void (*read)(void *ctx, u64 offset, void *data, unsigned len);
	/* NULL ignores writes. */
	void (*write)(void *ctx, u64 offset, const void *data, unsigned len);
	void *ctx;
};

#define IO_RANGES_MAX 64

/* Zeroed is valid: nobody answers. */
struct io_table {
	struct io_range range[IO_RANGES_MAX]; /* by space, then base */
	unsigned count;
};

/*
 * Adds a copy of r. 0, -EBUSY where it overlaps another, -ENOSPC, -EINVAL where it wraps or is
 * empty.
 */
int io_add(struct io_table *t, const struct io_range *r);

/* Answer one access. Where nobody does, reads give all ones and writes are dropped. vCPU thread. */
void io_read(const struct io_table *t, enum io_space space, u64 addr, void *data, unsigned len);
void io_write(const struct io_table *t, enum io_space space, u64 addr, const void *data,
	      unsigned len);

#endif
