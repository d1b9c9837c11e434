/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmbus/gpa_range.h"

#include <errno.h>
#include <string.h>

u8 *gpa_range_page(const struct gmem *mem, u64 pfn)
{
	if (pfn > UINT64_MAX >> GUEST_PAGE_SHIFT)
		return NULL;
	return gmem_range(mem, pfn << GUEST_PAGE_SHIFT, GUEST_PAGE_SIZE);
}

u64 gpa_range_pfn(const struct gmem *mem, const u8 *page)
{
	const struct gmem_region *r = mem->region;

	while (page < r->host || page >= r->host + r->size)
		r++;
	return (r->gpa + (u64)(page - r->host)) >> GUEST_PAGE_SHIFT;
}

/* The pieces written so far. */
struct pieces {
	struct iovec *iov;
	unsigned count, max;
};

static int piece_add(struct pieces *p, u8 *host, u32 len)
{
	struct iovec *last = p->count ? &p->iov[p->count - 1] : NULL;

	if (last && (u8 *)last->iov_base + last->iov_len == host) {
		last->iov_len += len;
		return 0;
	}
	if (p->count == p->max)
		return -ENOSPC;
	p->iov[p->count++] = (struct iovec){ .iov_base = host, .iov_len = len };
	return 0;
}

/* One range: pfns holds its PFNs, as many as gpa_range_pages() says. */
static int range_add(struct pieces *p, const struct gmem *mem, const struct ring_gpa_range *range,
		     const u8 *pfns)
{
	u32 offset = range->byte_offset, left = range->byte_count;

	for (; left; pfns += sizeof(u64), offset = 0) {
		u32 len = MIN(left, GUEST_PAGE_SIZE - offset);
		u64 pfn;
		u8 *page;
		int err;

		memcpy(&pfn, pfns, sizeof(pfn));
		page = gpa_range_page(mem, pfn);
		if (!page)
			return -EFAULT;
		err = piece_add(p, page + offset, len);
		if (err)
			return err;
		left -= len;
	}
	return 0;
}

int gpa_range_iov(const struct gmem *mem, const void *ranges, u32 size, u32 count,
		  struct iovec *iov, unsigned max, u32 *total)
{
	struct pieces p = { .iov = iov, .max = max };
	const u8 *at = ranges;
	u64 bytes = 0;

	for (u32 i = 0; i < count; i++) {
		struct ring_gpa_range range;
		u32 pages;
		int err;

		if (size < sizeof(range))
			return -EINVAL;
		memcpy(&range, at, sizeof(range));
		at += sizeof(range);
		size -= (u32)sizeof(range);
		if (range.byte_offset >= GUEST_PAGE_SIZE)
			return -EINVAL;
		pages = range.byte_count ? gpa_range_pages(range.byte_offset, range.byte_count) : 0;
		if (pages > size / sizeof(u64))
			return -EINVAL;
		bytes += range.byte_count;
		if (bytes > UINT32_MAX)
			return -EINVAL;
		err = range_add(&p, mem, &range, at);
		if (err)
			return err;
		at += pages * sizeof(u64);
		size -= pages * (u32)sizeof(u64);
	}
	*total = (u32)bytes;
	return (int)p.count;
}
