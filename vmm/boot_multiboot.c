/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot (version 1) kernels: what test kernels and small systems ask their loader for. The
 * header says where the parts of a flat image go, or leaves it to the ELF headers around it. A
 * 64-bit ELF file is loaded like a 32-bit one and entered in the same 32-bit mode, as boot loaders
 * have it; a PVH note in an ELF file, which tells the kernel more, goes before the header.
 *
 * Leaves out: the video mode a kernel may wish for (there is no screen, and the information says
 * so), symbols, drives, APM, the ROM's configuration table.
 */
#include "vmm/boot_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/boot_multiboot_proto.h"

#define LOADER_NAME "candela"

/* What is done or may be ignored of a header's requirements. */
#define KNOWN (MULTIBOOT_PAGE_ALIGN | MULTIBOOT_MEMORY_INFO | MULTIBOOT_VIDEO_MODE)

/* Where its page ends, the kernel may begin; the command line is the next thing above. */
#define LOW_FREE (BOOT_PARAMS + GUEST_PAGE_SIZE)

struct block {
	struct multiboot_info info;
	struct multiboot_module module[BOOT_INITRD_BLOBS];
	struct multiboot_map_entry map[BOOT_MAP_MAX];
	char loader_name[sizeof(LOADER_NAME)];
};

static_assert(sizeof(struct block) <= GUEST_PAGE_SIZE, "it has a page");

/* The offset of the header, or -1. */
static int header_find(const u8 *head, size_t len)
{
	struct multiboot_header h;

	for (size_t at = 0; at + sizeof(h) <= len; at += MULTIBOOT_HEADER_ALIGN) {
		memcpy(&h, head + at, sizeof(h));
		if (h.magic == MULTIBOOT_HEADER_MAGIC && h.magic + h.flags + h.checksum == 0)
			return (int)at;
	}
	return -1;
}

bool boot_multiboot_probe(const u8 *head, size_t len)
{
	return header_find(head, len) >= 0;
}

/* ---- What is loaded ------------------------------------------------------------------------- */

/* A flat image as one segment: file offset and size follow from where the header shall lie. */
static int addresses_take(struct boot *b, const struct multiboot_addresses *a, u64 header_at,
			  struct boot_elf *elf)
{
	u64 before = (u64)a->header - a->load, data, end;
	Elf64_Phdr p;

	if (a->load > a->header || before > header_at)
		return boot_fail(b, -EINVAL,
				 "its Multiboot header wants to lie at 0x%x, but the file does not "
				 "begin early enough for its load address 0x%x",
				 a->header, a->load);
	data = b->kernel.size - (header_at - before);
	if (a->load_end)
		data = (u64)a->load_end - a->load;
	end = MAX((u64)a->load + data, (u64)a->bss_end);
	if ((a->load_end && a->load_end <= a->load) || (a->bss_end && a->bss_end < a->load + data))
		return boot_fail(b, -EINVAL, "the addresses of its Multiboot header do not ascend");
	p = (Elf64_Phdr){
		.p_offset = header_at - before,
		.p_paddr = a->load,
		.p_filesz = data,
		.p_memsz = end - a->load,
	};
	elf->entry = a->entry;
	return boot_elf_add(b, &b->kernel, &p, elf);
}

/* From the addresses in the header. */
static int flat_parse(struct boot *b, u64 header_at, struct boot_elf *elf)
{
	struct multiboot_addresses a;
	int err = boot_read(&b->kernel, header_at + sizeof(struct multiboot_header), &a, sizeof(a));

	*elf = (struct boot_elf){ 0 };
	return err ? boot_fail_read(b, err, "its Multiboot header")
		   : addresses_take(b, &a, header_at, elf);
}

/* ---- What it is told ------------------------------------------------------------------------ */

/* "KERNEL WORDS": the first word is the kernel's own name, as boot loaders have it. */
static int cmdline_place(struct boot *b)
{
	const char *words = b->config->append ? b->config->append : "";
	char *line;
	int err;

	if (asprintf(&line, "%s%s%s", b->config->kernel_name, *words ? " " : "", words) < 0)
		return boot_fail(b, -ENOMEM, "out of memory");
	err = boot_place_cmdline(b, line);
	free(line);
	return err;
}

static void modules_fill(const struct boot *b, struct block *block)
{
	for (unsigned i = 0; i < b->config->initrd_count; i++)
		block->module[i] = (struct multiboot_module){
			.start = (u32)b->initrd_piece[i],
			.end = (u32)(b->initrd_piece[i] + b->config->initrd[i].size),
		};
}

/* The modules' strings follow the command line. */
static int strings_place(struct boot *b, struct block *block)
{
	const char *cmdline = gmem_range(b->mem, LAYOUT_CMDLINE, LAYOUT_CMDLINE_MAX);
	u64 used = strnlen(cmdline, LAYOUT_CMDLINE_MAX - 1) + 1;

	for (unsigned i = 0; i < b->config->initrd_count; i++) {
		const char *name = b->config->initrd[i].name ? b->config->initrd[i].name : "";
		u64 len = strlen(name) + 1;

		if (len > LAYOUT_CMDLINE_MAX - used ||
		    gmem_write(b->mem, LAYOUT_CMDLINE + used, name, len))
			return boot_fail(b, -EINVAL,
					 "the command line leaves no room for the initrd's name "
					 "(--append)");
		block->module[i].string = (u32)(LAYOUT_CMDLINE + used);
		used += len;
	}
	return 0;
}

static unsigned map_fill(const struct boot *b, struct block *block)
{
	struct boot_map_entry map[BOOT_MAP_MAX];
	unsigned count = boot_map(b->mem, map);

	for (unsigned i = 0; i < count; i++)
		block->map[i] = (struct multiboot_map_entry){
			.size = sizeof(block->map[i]) - sizeof(block->map[i].size),
			.addr = map[i].gpa,
			.len = map[i].size,
			.type = map[i].type,
		};
	return count;
}

static u32 block_address(size_t offset)
{
	return (u32)(BOOT_PARAMS + offset);
}

static int info_place(struct boot *b)
{
	struct block block = { .loader_name = LOADER_NAME };
	int err;

	modules_fill(b, &block);
	err = strings_place(b, &block);
	if (err)
		return err;
	block.info = (struct multiboot_info){
		.flags = MULTIBOOT_HAS_MEMORY | MULTIBOOT_HAS_CMDLINE | MULTIBOOT_HAS_MODULES |
			 MULTIBOOT_HAS_MAP | MULTIBOOT_HAS_LOADER_NAME,
		.mem_lower = (u32)(BOOT_LOW_END / KiB(1)),
		.mem_upper = (u32)((b->ram_end - LAYOUT_KERNEL) / KiB(1)),
		.cmdline = (u32)LAYOUT_CMDLINE,
		.mods_count = b->config->initrd_count,
		.mods_addr = block_address(offsetof(struct block, module)),
		.mmap_length = (u32)(map_fill(b, &block) * sizeof(block.map[0])),
		.mmap_addr = block_address(offsetof(struct block, map)),
		.loader_name = block_address(offsetof(struct block, loader_name)),
	};
	if (gmem_write(b->mem, BOOT_PARAMS, &block, sizeof(block)))
		return boot_fail(b, -EINVAL, "no memory for the boot information");
	return 0;
}

/* ---- The start ------------------------------------------------------------------------------ */

static int start(struct boot *b, const struct boot_elf *elf)
{
	int err;

	if (!boot_elf_holds(elf, elf->entry))
		return boot_fail(b, -EINVAL, "its entry 0x%llx is in nothing that is loaded",
				 (unsigned long long)elf->entry);
	b->initrd_align = GUEST_PAGE_SIZE;
	err = boot_elf_place(b, &b->kernel, elf);
	if (!err)
		err = boot_place_initrd(b);
	if (!err)
		err = cmdline_place(b);
	if (!err)
		err = info_place(b);
	if (err)
		return err;
	boot_cpu_flat32(b->state, (u32)elf->entry, BOOT_PARAMS);
	b->state->regs.rax = MULTIBOOT_BOOT_MAGIC;
	return 0;
}

static int header_read(struct boot *b, struct multiboot_header *h, u64 *at)
{
	u8 head[MULTIBOOT_SEARCH];
	u64 len = MIN(b->kernel.size, sizeof(head));
	int err = boot_read(&b->kernel, 0, head, len), found;

	if (err)
		return boot_fail_read(b, err, "its first pages");
	found = header_find(head, len);
	if (found < 0)
		return boot_fail(b, -EINVAL, "its Multiboot header is gone");
	*at = (u64)found;
	memcpy(h, head + found, sizeof(*h));
	if (h->flags & MULTIBOOT_REQUIREMENTS & ~KNOWN)
		return boot_fail(b, -EINVAL,
				 "its Multiboot header requires what candela does not know (flags "
				 "0x%x)",
				 h->flags);
	return 0;
}

int boot_multiboot_load(struct boot *b)
{
	struct multiboot_header h = { 0 };
	struct boot_elf elf;
	u64 at = 0;
	int err = header_read(b, &h, &at);

	if (err)
		return err;
	b->low_start = LOW_FREE;
	if (h.flags & MULTIBOOT_ADDRESSES) {
		err = flat_parse(b, at, &elf);
		return err ? err : start(b, &elf);
	}
	err = boot_elf_parse(b, &b->kernel, &elf);
	if (!err && elf.has_pvh)
		return boot_elf_load(b);
	return err ? err : start(b, &elf);
}
