/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/layout.h"

/* Regions start on a huge page, so that guest and host huge pages line up. */
#define HUGE_PAGE MiB(2)

static int region_map(struct gmem *m, gpa_t gpa, u64 size)
{
	u64 span = size + HUGE_PAGE;
	u8 *map = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	u8 *host, *end;

	if (map == MAP_FAILED)
		return -errno;
	host = (u8 *)ALIGN_UP((uintptr_t)map, HUGE_PAGE);
	end = host + size;
	if (host > map)
		munmap(map, (size_t)(host - map));
	if (map + span > end)
		munmap(end, (size_t)(map + span - end));
	if (mprotect(host, size, PROT_READ | PROT_WRITE)) {
		int err = -errno;

		munmap(host, size);
		return err;
	}
	/* Advice: a host without huge pages refuses it, and core dumps need no guest RAM. */
	madvise(host, size, MADV_HUGEPAGE);
	madvise(host, size, MADV_DONTDUMP);
	m->region[m->count++] = (struct gmem_region){ .gpa = gpa, .size = size, .host = host };
	return 0;
}

int gmem_init(struct gmem *m, u64 size)
{
	u64 low = MIN(size, LAYOUT_HOLE);
	int err;

	*m = (struct gmem){ 0 };
	if (!size || size % GUEST_PAGE_SIZE || size > LAYOUT_RAM_MAX)
		return -EINVAL;
	err = region_map(m, 0, low);
	if (!err && size > low)
		err = region_map(m, LAYOUT_HIGH, size - low);
	if (err)
		gmem_fini(m);
	return err;
}

void gmem_fini(struct gmem *m)
{
	for (unsigned i = 0; i < m->count; i++)
		munmap(m->region[i].host, m->region[i].size);
	*m = (struct gmem){ 0 };
}

u64 gmem_size(const struct gmem *m)
{
	u64 size = 0;

	for (unsigned i = 0; i < m->count; i++)
		size += m->region[i].size;
	return size;
}

void *gmem_range(const struct gmem *m, gpa_t gpa, u64 len)
{
	for (unsigned i = 0; i < m->count; i++) {
		const struct gmem_region *r = &m->region[i];

		if (gpa < r->gpa || gpa - r->gpa >= r->size)
			continue;
		return len && len <= r->size - (gpa - r->gpa) ? r->host + (gpa - r->gpa) : NULL;
	}
	return NULL;
}

int gmem_read(const struct gmem *m, gpa_t gpa, void *buf, u64 len)
{
	const void *p = gmem_range(m, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(buf, p, len);
	return 0;
}

int gmem_write(const struct gmem *m, gpa_t gpa, const void *buf, u64 len)
{
	void *p = gmem_range(m, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(p, buf, len);
	return 0;
}

int gmem_zero(const struct gmem *m, gpa_t gpa, u64 len)
{
	u8 *p = gmem_range(m, gpa, len);
	u64 head = MIN(-gpa % GUEST_PAGE_SIZE, len), pages = (len - head) / GUEST_PAGE_SIZE;
	u64 tail = head + pages * GUEST_PAGE_SIZE;

	if (!p)
		return -EFAULT;
	/* Private anonymous pages come back as zeros. */
	if (pages && madvise(p + head, tail - head, MADV_DONTNEED))
		memset(p + head, 0, tail - head);
	memset(p, 0, head);
	memset(p + tail, 0, len - tail);
	return 0;
}
