/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ELF kernels of 32 and 64 bits, and those with a PVH entry (the note Xen calls PHYS32_ENTRY).
 * Read: file header, program headers, notes; what follows the segments (Linux appends relocations)
 * does not matter. 32-bit headers are widened first. ELF-64 Object File Format 1.5, System V ABI
 * (generic ELF); Xen's public/elfnote.h.
 */
#include "vmm/boot_internal.h"

#include <errno.h>
#include <string.h>

#include "vmm/boot_pvh_proto.h"

/* Linux has 5 program headers and 0.5 KiB of notes; beyond these limits nothing is looked at. */
#define HEADERS_MAX 64
#define NOTES_MAX KiB(16)

/* Linux's COMMAND_LINE_SIZE on x86, which it cuts at without a word. */
#define LINUX_CMDLINE_MAX 2047

static bool equal(const u8 *bytes, u64 len, const char *text, size_t text_size)
{
	return len == text_size && !memcmp(bytes, text, text_size);
}

/* Takes one note into account; name and desc lie within a copy. */
static void note_take(struct boot_elf *elf, u32 type, const u8 *name, u64 name_len, const u8 *desc,
		      u64 desc_len)
{
	if (equal(name, name_len, "Linux", sizeof("Linux")))
		elf->is_linux = true;
	if (!equal(name, name_len, "Xen", sizeof("Xen")))
		return;
	if (type == PVH_NOTE_GUEST_OS && desc_len >= 5 && !memcmp(desc, "linux", 5))
		elf->is_linux = true;
	if (type == PVH_NOTE_PHYS32_ENTRY && (desc_len == 4 || desc_len == 8)) {
		u64 entry = 0;

		memcpy(&entry, desc, desc_len);
		elf->has_pvh = entry <= UINT32_MAX;
		elf->pvh_entry = (u32)entry;
	}
}

/* Walks notes, each padded to 4 bytes; a malformed one ends the walk. */
static void notes_walk(struct boot_elf *elf, const u8 *notes, u64 size)
{
	u64 pos = 0;

	while (pos <= size && size - pos >= sizeof(Elf64_Nhdr)) {
		u64 name = pos + sizeof(Elf64_Nhdr), desc;
		Elf64_Nhdr h;

		memcpy(&h, notes + pos, sizeof(h));
		desc = name + ALIGN_UP((u64)h.n_namesz, 4);
		if (desc > size || h.n_descsz > size - desc)
			return;
		note_take(elf, h.n_type, notes + name, h.n_namesz, notes + desc, h.n_descsz);
		pos = desc + ALIGN_UP((u64)h.n_descsz, 4);
	}
}

static int notes_read(struct boot *b, const struct boot_blob *file, const Elf64_Phdr *p,
		      struct boot_elf *elf)
{
	u8 notes[NOTES_MAX];
	u64 len = MIN(p->p_filesz, NOTES_MAX);
	int err = boot_read(file, p->p_offset, notes, len);

	if (err)
		return boot_fail_read(b, err, "its notes");
	notes_walk(elf, notes, len);
	return 0;
}

/* Clear of our own structures, below 4 GiB. */
static bool place_is_free(const struct boot *b, u64 gpa, u64 size)
{
	if (gpa >= LAYOUT_HIGH || size > LAYOUT_HIGH - gpa)
		return false;
	return gpa >= LAYOUT_KERNEL ||
	       (b->low_start && gpa >= b->low_start && gpa + size <= LAYOUT_CMDLINE);
}

int boot_elf_add(struct boot *b, const struct boot_blob *file, const Elf64_Phdr *p,
		 struct boot_elf *elf)
{
	if (!p->p_memsz)
		return 0;
	if (elf->count == BOOT_ELF_SEGMENTS)
		return boot_fail(b, -EINVAL, "it has more than %d segments to load",
				 BOOT_ELF_SEGMENTS);
	if (p->p_filesz > p->p_memsz || p->p_offset > file->size ||
	    p->p_filesz > file->size - p->p_offset)
		return boot_fail(b, -EINVAL,
				 "a segment lies outside of the file (is it "
				 "complete?)");
	if (!place_is_free(b, p->p_paddr, p->p_memsz))
		return boot_fail(b, -EINVAL,
				 "a segment goes to physical address 0x%llx; candela loads "
				 "kernels from 0x%llx up to 4 GiB",
				 (unsigned long long)p->p_paddr, LAYOUT_KERNEL);
	elf->load[elf->count++] = *p;
	elf->end = MAX(elf->end, p->p_paddr + p->p_memsz);
	return 0;
}

static Elf64_Phdr phdr_widen(const Elf32_Phdr *p)
{
	return (Elf64_Phdr){
		.p_type = p->p_type,
		.p_flags = p->p_flags,
		.p_offset = p->p_offset,
		.p_vaddr = p->p_vaddr,
		.p_paddr = p->p_paddr,
		.p_filesz = p->p_filesz,
		.p_memsz = p->p_memsz,
		.p_align = p->p_align,
	};
}

static Elf64_Ehdr ehdr_widen(const Elf32_Ehdr *e)
{
	Elf64_Ehdr wide = {
		.e_machine = e->e_machine,
		.e_entry = e->e_entry,
		.e_phoff = e->e_phoff,
		.e_phentsize = e->e_phentsize,
		.e_phnum = e->e_phnum,
	};

	memcpy(wide.e_ident, e->e_ident, sizeof(wide.e_ident));
	return wide;
}

static bool is_wide(const Elf64_Ehdr *e)
{
	return e->e_ident[EI_CLASS] == ELFCLASS64;
}

/* Program header n, widened. */
static int phdr_read(const struct boot_blob *file, const Elf64_Ehdr *e, unsigned n, Elf64_Phdr *p)
{
	Elf32_Phdr narrow;
	int err;

	if (e->e_phoff > file->size)
		return -ENODATA;
	if (is_wide(e))
		return boot_read(file, e->e_phoff + n * sizeof(*p), p, sizeof(*p));
	err = boot_read(file, e->e_phoff + n * sizeof(narrow), &narrow, sizeof(narrow));
	if (!err)
		*p = phdr_widen(&narrow);
	return err;
}

static int headers_read(struct boot *b, const struct boot_blob *file, const Elf64_Ehdr *e,
			struct boot_elf *elf)
{
	int err = 0;

	if (e->e_phentsize != (is_wide(e) ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) ||
	    !e->e_phnum || e->e_phnum > HEADERS_MAX)
		return boot_fail(b, -EINVAL, "the ELF file has no usable program headers");
	for (unsigned i = 0; i < e->e_phnum && !err; i++) {
		Elf64_Phdr p;

		err = phdr_read(file, e, i, &p);
		if (err)
			return boot_fail_read(b, err, "its program headers");
		if (p.p_type == PT_LOAD)
			err = boot_elf_add(b, file, &p, elf);
		else if (p.p_type == PT_NOTE)
			err = notes_read(b, file, &p, elf);
	}
	return err;
}

bool boot_elf_holds(const struct boot_elf *elf, u64 gpa)
{
	for (unsigned i = 0; i < elf->count; i++)
		if (gpa >= elf->load[i].p_paddr &&
		    gpa - elf->load[i].p_paddr < elf->load[i].p_memsz)
			return true;
	return false;
}

void boot_elf_trim(u8 *file, u64 size)
{
	const Elf64_Ehdr *e = (const Elf64_Ehdr *)file;
	Elf64_Phdr *p;

	if (size < sizeof(*e) || e->e_phoff % sizeof(u64) || e->e_phoff > size ||
	    e->e_phnum * sizeof(*p) > size - e->e_phoff)
		return;
	p = (Elf64_Phdr *)(file + e->e_phoff);
	for (unsigned i = 0; i < e->e_phnum; i++) {
		const u8 *data;

		if (p[i].p_type != PT_LOAD || p[i].p_offset > size ||
		    p[i].p_filesz > size - p[i].p_offset)
			continue;
		data = file + p[i].p_offset;
		while (p[i].p_filesz && !data[p[i].p_filesz - 1])
			p[i].p_filesz--;
	}
}

bool boot_elf_probe(const u8 *head, size_t len)
{
	return len >= SELFMAG && !memcmp(head, ELFMAG, SELFMAG);
}

/* The file header, widened. 0, or -EINVAL or -errno with the reason. */
static int ehdr_read(struct boot *b, const struct boot_blob *file, Elf64_Ehdr *e)
{
	Elf32_Ehdr narrow;
	int err = boot_read(file, 0, &narrow, sizeof(narrow));

	if (!err && narrow.e_ident[EI_CLASS] == ELFCLASS64)
		err = boot_read(file, 0, e, sizeof(*e));
	else if (!err)
		*e = ehdr_widen(&narrow);
	if (err)
		return boot_fail_read(b, err, "its header");
	if (!boot_elf_probe(e->e_ident, SELFMAG) || e->e_ident[EI_DATA] != ELFDATA2LSB ||
	    e->e_machine != (is_wide(e) ? EM_X86_64 : EM_386))
		return boot_fail(b, -EINVAL, "not an x86 ELF file");
	return 0;
}

int boot_elf_parse(struct boot *b, const struct boot_blob *file, struct boot_elf *elf)
{
	Elf64_Ehdr e = { 0 };
	int err = ehdr_read(b, file, &e);

	*elf = (struct boot_elf){ 0 };
	if (err)
		return err;
	elf->entry = e.e_entry;
	return headers_read(b, file, &e, elf);
}

int boot_elf_check_pvh(struct boot *b, const struct boot_elf *elf)
{
	if (!elf->has_pvh)
		return boot_fail(b, -EINVAL,
				 "the ELF file has no PVH note (Xen PHYS32_ENTRY) and no Multiboot "
				 "header; a Linux kernel has the note where it was built with "
				 "CONFIG_PVH");
	if (!boot_elf_holds(elf, elf->pvh_entry))
		return boot_fail(b, -EINVAL, "its PVH entry 0x%x is in none of its segments",
				 elf->pvh_entry);
	return 0;
}

static int segment_load(struct boot *b, const struct boot_blob *file, const Elf64_Phdr *p)
{
	u8 *to = gmem_range(b->mem, p->p_paddr, p->p_memsz);
	int err = to ? boot_read(file, p->p_offset, to, p->p_filesz) : -EFAULT;

	if (err)
		return boot_fail_read(b, err, "a segment");
	if (p->p_memsz > p->p_filesz)
		err = gmem_zero(b->mem, p->p_paddr + p->p_filesz, p->p_memsz - p->p_filesz);
	return err;
}

int boot_elf_place(struct boot *b, const struct boot_blob *file, const struct boot_elf *elf)
{
	int err;

	b->kernel_end = elf->end;
	err = boot_check_memory(b, b->kernel_end);
	for (unsigned i = 0; i < elf->count && !err; i++)
		err = segment_load(b, file, &elf->load[i]);
	return err;
}

int boot_elf_start(struct boot *b, const struct boot_blob *file, const struct boot_elf *elf)
{
	int err = boot_elf_place(b, file, elf);

	if (!err)
		err = boot_place_cmdline(b, b->config->cmdline);
	if (!err)
		err = boot_place_initrd(b);
	return err ? err : boot_pvh_start(b, elf->pvh_entry);
}

int boot_elf_load(struct boot *b)
{
	struct boot_elf elf;
	int err = boot_elf_parse(b, &b->kernel, &elf);

	if (!err)
		err = boot_elf_check_pvh(b, &elf);
	if (err)
		return err;
	b->state->linux_guest = elf.is_linux;
	if (elf.is_linux)
		b->cmdline_max = LINUX_CMDLINE_MAX;
	return boot_elf_start(b, &b->kernel, &elf);
}
