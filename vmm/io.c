/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/io.h"

#include <errno.h>
#include <string.h>

/* Whether a lies wholly before b in the table's order. */
static bool before(const struct io_range *a, const struct io_range *b)
{
	if (a->space != b->space)
		return a->space < b->space;
	return a->base + a->len <= b->base;
}

int io_add(struct io_table *t, const struct io_range *r)
{
	unsigned at = 0;

	if (!r->len || r->base + r->len < r->base)
		return -EINVAL;
	while (at < t->count && before(&t->range[at], r))
		at++;
	if (at < t->count && !before(r, &t->range[at]))
		return -EBUSY;
	if (t->count == IO_RANGES_MAX)
		return -ENOSPC;
	memmove(&t->range[at + 1], &t->range[at], (t->count - at) * sizeof(*r));
	t->range[at] = *r;
	t->count++;
	return 0;
}

/* The range that holds all of [addr, addr + len), by binary search; NULL where none does. */
static const struct io_range *find(const struct io_table *t, enum io_space space, u64 addr,
				   unsigned len)
{
	unsigned low = 0, high = t->count;

	while (low < high) {
		unsigned mid = low + (high - low) / 2;
		const struct io_range *r = &t->range[mid];

		if (space < r->space || (space == r->space && addr < r->base))
			high = mid;
		else if (space > r->space || addr - r->base >= r->len)
			low = mid + 1;
		else
			return len <= r->len - (addr - r->base) ? r : NULL;
	}
	return NULL;
}

void io_read(const struct io_table *t, enum io_space space, u64 addr, void *data, unsigned len)
{
	const struct io_range *r = find(t, space, addr, len);

	if (r && r->read)
		r->read(r->ctx, addr - r->base, data, len);
	else
		memset(data, 0xff, len);
}

void io_write(const struct io_table *t, enum io_space space, u64 addr, const void *data,
	      unsigned len)
{
	const struct io_range *r = find(t, space, addr, len);

	if (r && r->write)
		r->write(r->ctx, addr - r->base, data, len);
}
