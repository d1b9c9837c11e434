/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/devices/held_disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those above first */
#include <cmocka.h>

static void held_submit(struct disk *disk, struct disk_op *op)
{
	struct held_disk *d = container_of(disk, struct held_disk, disk);

	assert_false(d->closed);
	if (!d->hold) {
		disk_submit(d->below, op);
		return;
	}
	assert_true(d->count < ARRAY_SIZE(d->op));
	d->op[d->count++] = op;
}

static void held_close(struct disk *disk)
{
	struct held_disk *d = container_of(disk, struct held_disk, disk);

	assert_int_equal(d->count, 0);
	if (d->kept)
		return;
	d->below->ops->close(d->below);
	d->closed = true;
}

static const struct disk_ops held_ops = { .submit = held_submit, .close = held_close };

void held_disk_open(struct held_disk *d, u64 size, u32 logical_block)
{
	d->below = disk_mem_open(size, logical_block);
	assert_non_null(d->below);
	d->disk = *d->below;
	d->disk.ops = &held_ops;
	d->closed = false;
}

void held_disk_release(struct held_disk *d)
{
	unsigned count = d->count;

	d->hold = false;
	d->count = 0;
	for (unsigned i = 0; i < count; i++)
		disk_submit(d->below, d->op[i]);
}
