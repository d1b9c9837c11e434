/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest ranges: lists of (byte count, byte offset, PFNs) as GPA-direct packets and GPADLs carry
 * them, turned into iovecs on guest RAM. Pure: no state, any thread. The list is a private copy of
 * guest bytes and trusted in nothing.
 */
#ifndef VMBUS_GPA_RANGE_H
#define VMBUS_GPA_RANGE_H

#include <sys/uio.h>

#include "base/types.h"
#include "vmbus/ring_proto.h"
#include "vmm/memory.h"

/* Pages a range touches. byte_offset < GUEST_PAGE_SIZE. */
static inline u32 gpa_range_pages(u32 byte_offset, u32 byte_count)
{
	return (u32)(((u64)byte_offset + byte_count + GUEST_PAGE_SIZE - 1) / GUEST_PAGE_SIZE);
}

/* The host address of guest page pfn, or NULL where it is not RAM. */
u8 *gpa_range_page(const struct gmem *mem, u64 pfn);

/* Back from such an address to its page's number. */
u64 gpa_range_pfn(const struct gmem *mem, const u8 *page);

/*
 * Describes the count ranges packed in [ranges, ranges + size), one after the other, by at most
 * max pieces of guest RAM; pieces that touch are merged. The number of pieces, and all bytes
 * in *total; -EINVAL where the list is malformed or longer than UINT32_MAX bytes, -EFAULT where
 * it names a page that is not RAM, -ENOSPC where max is too small.
 */
int gpa_range_iov(const struct gmem *mem, const void *ranges, u32 size, u32 count,
		  struct iovec *iov, unsigned max, u32 *total);

#endif
