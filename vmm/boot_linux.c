/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The zero page of Linux's own entry (Documentation/arch/x86/boot.rst, zero-page.rst). The header
 * comes from the image and is copied as far as it says it goes; the loader's fields are ours.
 */
#include "vmm/boot_internal.h"

#include <errno.h>
#include <string.h>

/* "Loader without an id", and a video mode left alone. */
#define LOADER_UNDEFINED 0xff
#define VIDEO_NORMAL 0xffff

/* Where the header's jump instruction, whose operand gives its length, lies in it. */
#define HEADER_JUMP_END (0x202 - 0x1f1)

static_assert(sizeof(struct boot_params) == BOOT_GDT - BOOT_PARAMS, "zero-page.rst: one page");

static void header_fill(struct setup_header *to, const struct setup_header *from)
{
	size_t len = HEADER_JUMP_END + (from->jump >> 8);

	memcpy(to, from, MIN(len, sizeof(*to)));
	to->type_of_loader = LOADER_UNDEFINED;
	to->vid_mode = VIDEO_NORMAL;
	to->cmd_line_ptr = (u32)LAYOUT_CMDLINE;
	to->setup_data = 0;
}

int boot_linux_params(const struct boot *b, const struct setup_header *header)
{
	struct boot_map_entry map[BOOT_MAP_MAX];
	struct boot_params p;

	memset(&p, 0, sizeof(p));
	header_fill(&p.hdr, header);
	p.hdr.ramdisk_image = (u32)b->initrd;
	p.hdr.ramdisk_size = (u32)b->initrd_size;
	p.ext_ramdisk_image = (u32)(b->initrd >> 32);
	p.ext_ramdisk_size = (u32)(b->initrd_size >> 32);
	p.ext_cmd_line_ptr = (u32)(LAYOUT_CMDLINE >> 32);
	p.acpi_rsdp_addr = b->config->rsdp;
	p.e820_entries = (u8)boot_map(b->mem, map);
	for (unsigned i = 0; i < p.e820_entries; i++)
		p.e820_table[i] = (struct boot_e820_entry){ .addr = map[i].gpa,
							    .size = map[i].size,
							    .type = map[i].type };
	return gmem_write(b->mem, BOOT_PARAMS, &p, sizeof(p));
}
