/* SPDX-License-Identifier: BSD-2-Clause */
/* What every format needs in RAM beside the kernel: initrd, command line, memory map. */
#include "vmm/boot_internal.h"

#include <errno.h>
#include <string.h>

#define LOW_VIDEO 0xa0000ull

/* The size of all pieces with their padding; more than LAYOUT_HOLE where that does not fit. */
static u64 initrd_total(const struct boot *b)
{
	const struct boot_config *c = b->config;
	u64 total = 0;

	for (unsigned i = 0; i < c->initrd_count; i++) {
		if (c->initrd[i].size > LAYOUT_HOLE)
			return LAYOUT_HOLE + 1;
		total = ALIGN_UP(total, b->initrd_align) + c->initrd[i].size;
	}
	return total;
}

/* Reads the pieces to `to`, which has room for all. */
static int initrd_read(struct boot *b, u8 *to)
{
	u64 pos = 0;

	for (unsigned i = 0; i < b->config->initrd_count; i++) {
		const struct boot_blob *blob = &b->config->initrd[i];
		u64 start = ALIGN_UP(pos, b->initrd_align);
		int err;

		memset(to + pos, 0, start - pos);
		err = boot_read(blob, 0, to + start, blob->size);
		if (err)
			return boot_fail_read(b, err, "its initrd");
		b->initrd_piece[i] = b->initrd + start;
		pos = start + blob->size;
	}
	return 0;
}

int boot_place_initrd(struct boot *b)
{
	u64 total, limit = MIN(b->initrd_limit, b->ram_end), room;
	int err;

	if (b->config->initrd_count > BOOT_INITRD_BLOBS)
		return boot_fail(b, -EINVAL, "more than %d initrd pieces", BOOT_INITRD_BLOBS);
	total = initrd_total(b);
	if (!total)
		return 0;
	/* Pages on either side are lost to alignment. */
	room = ALIGN_UP(total, GUEST_PAGE_SIZE) + GUEST_PAGE_SIZE;
	err = boot_check_memory(b, b->kernel_end + room);
	if (err)
		return err;
	if (b->kernel_end + room > limit)
		return boot_fail(b, -EINVAL, "an initrd of %llu MiB is more than it can take",
				 (unsigned long long)(total >> 20));
	b->initrd = (limit - total) & ~(u64)(GUEST_PAGE_SIZE - 1);
	b->initrd_size = total;
	return initrd_read(b, gmem_range(b->mem, b->initrd, total));
}

int boot_place_cmdline(struct boot *b, const char *text)
{
	size_t len;

	text = text ?: "";
	len = strlen(text);

	if (len > MIN(b->cmdline_max, LAYOUT_CMDLINE_MAX - 1))
		return boot_fail(b, -EINVAL,
				 "a command line of %zu bytes is more than the %u it takes "
				 "(--append)",
				 len, MIN(b->cmdline_max, LAYOUT_CMDLINE_MAX - 1));
	if (gmem_write(b->mem, LAYOUT_CMDLINE, text, len + 1))
		return boot_fail(b, -EINVAL, "no memory for the command line");
	return 0;
}

unsigned boot_map(const struct gmem *mem, struct boot_map_entry map[static BOOT_MAP_MAX])
{
	const struct boot_map_entry low[] = {
		{ 0, BOOT_LOW_END, BOOT_MAP_RAM },
		{ BOOT_LOW_END, LOW_VIDEO - BOOT_LOW_END, BOOT_MAP_RESERVED },
		{ LAYOUT_ACPI, LAYOUT_KERNEL - LAYOUT_ACPI, BOOT_MAP_RESERVED },
	};
	unsigned n = ARRAY_SIZE(low);

	memcpy(map, low, sizeof(low));
	for (unsigned i = 0; i < mem->count; i++) {
		const struct gmem_region *r = &mem->region[i];
		gpa_t start = MAX(r->gpa, LAYOUT_KERNEL);

		if (r->gpa + r->size > start)
			map[n++] = (struct boot_map_entry){ start, r->gpa + r->size - start,
							    BOOT_MAP_RAM };
	}
	return n;
}
