/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linux's bzImage (Documentation/arch/x86/boot.rst), by two ways in. First choice is the vmlinux
 * in its payload and that one's PVH entry: nothing is unpacked or moved in the guest. Where that
 * cannot be had the image's own 64-bit entry point is taken and the guest unpacks itself.
 *
 * Leaves out: the 16-bit and 32-bit entries; kernels before protocol 2.12 (Linux 3.8).
 */
#include "vmm/boot_internal.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define HEADER_OFFSET 0x1f1
#define HEADER_MAGIC 0x53726448u /* "HdrS" */
#define BOOT_FLAG 0xaa55
#define PROTOCOL_MIN 0x020c

#define SECTOR 512u
#define SETUP_SECTORS_DEFAULT 4
#define PARAGRAPH 16u

/* The 64-bit entry point, from where the protected-mode code was loaded. */
#define ENTRY64 0x200

static_assert(offsetof(struct boot_params, hdr) == HEADER_OFFSET, "boot.rst");

/* The image's parts as offsets in the file, checked. */
struct image {
	struct setup_header header;
	u64 code; /* protected-mode code */
	u64 code_len;
	u64 payload;
	u64 payload_len;
};

bool boot_bzimage_probe(const u8 *head, size_t len)
{
	struct setup_header h;

	if (len < HEADER_OFFSET + sizeof(h))
		return false;
	memcpy(&h, head + HEADER_OFFSET, sizeof(h));
	return h.boot_flag == BOOT_FLAG && h.header == HEADER_MAGIC;
}

static int image_check(struct boot *b, struct image *i)
{
	const struct setup_header *h = &i->header;
	u64 room, sectors = h->setup_sects ? h->setup_sects : SETUP_SECTORS_DEFAULT;

	if (h->version < PROTOCOL_MIN || !(h->xloadflags & XLF_KERNEL_64) ||
	    !(h->loadflags & LOADED_HIGH))
		return boot_fail(b, -EINVAL, "not a 64-bit Linux kernel of version 3.8 or newer");
	i->code = (1 + sectors) * SECTOR;
	i->code_len = (u64)h->syssize * PARAGRAPH;
	room = b->kernel.size > i->code ? b->kernel.size - i->code : 0;
	/* The size is counted in paragraphs, so the last one may not be whole. */
	if (i->code_len > room && i->code_len - room < PARAGRAPH)
		i->code_len = room;
	if (i->code_len > room || i->code_len <= ENTRY64)
		return boot_fail(b, -EINVAL,
				 "the file is shorter than its header says (is it "
				 "complete?)");
	if (h->payload_offset > i->code_len || h->payload_length > i->code_len - h->payload_offset)
		return boot_fail(b, -EINVAL, "its payload lies outside of the file");
	i->payload = i->code + h->payload_offset;
	i->payload_len = h->payload_length;
	return 0;
}

/* 1 where the vmlinux in the image cannot be had or has no PVH entry. */
static int image_start_pvh(struct boot *b, const struct image *i)
{
	struct boot_blob vmlinux;
	struct boot_elf elf;
	int err = boot_vmlinux_open(b, i->payload, i->payload_len, &vmlinux);

	if (err)
		return err == -ENOTSUP ? 1 : err;
	if (boot_elf_parse(b, &vmlinux, &elf) || boot_elf_check_pvh(b, &elf))
		err = 1;
	else
		err = boot_elf_start(b, &vmlinux, &elf);
	boot_vmlinux_close(&vmlinux);
	return err;
}

/* The kernel unpacks itself in place, within init_size from where it is put. */
static int image_start_self(struct boot *b, const struct image *i)
{
	gpa_t base = i->header.pref_address;
	u64 size = MAX((u64)i->header.init_size, i->code_len);
	u8 *to;
	int err;

	if (base < LAYOUT_KERNEL || base >= LAYOUT_HIGH || base % GUEST_PAGE_SIZE)
		return boot_fail(b, -EINVAL, "it asks to be loaded at 0x%llx",
				 (unsigned long long)base);
	b->kernel_end = base + size;
	err = boot_check_memory(b, b->kernel_end);
	if (err)
		return err;
	to = gmem_range(b->mem, base, i->code_len);
	err = to ? boot_read(&b->kernel, i->code, to, i->code_len) : -EFAULT;
	if (err)
		return boot_fail_read(b, err, "its code");
	err = boot_place_cmdline(b, b->config->cmdline);
	if (!err)
		err = boot_place_initrd(b);
	if (err)
		return err;
	err = boot_linux_params(b, &i->header);
	if (!err)
		err = boot_cpu_long64(b->mem, b->state, base + ENTRY64, BOOT_PARAMS);
	return err ? boot_fail(b, err, "no memory for its boot parameters") : 0;
}

int boot_bzimage_load(struct boot *b)
{
	struct image i;
	int err = boot_read(&b->kernel, HEADER_OFFSET, &i.header, sizeof(i.header));

	if (err)
		return boot_fail_read(b, err, "its header");
	err = image_check(b, &i);
	if (err)
		return err;
	b->state->linux_guest = true;
	b->cmdline_max = i.header.cmdline_size;
	b->initrd_limit = (u64)i.header.initrd_addr_max + 1;
	err = image_start_pvh(b, &i);
	return err == 1 ? image_start_self(b, &i) : err;
}
