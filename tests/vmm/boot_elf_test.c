/* SPDX-License-Identifier: BSD-2-Clause */
/* ELF kernels with a PVH note: what they are handed, and bad ones. */
#include "tests/vmm/boot_image.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/boot_pvh_proto.h"

static struct image image;

static struct pvh_start_info start_info(struct boot_run *r)
{
	struct pvh_start_info info;

	assert_int_equal(gmem_read(&r->mem, r->state.regs.rbx, &info, sizeof(info)), 0);
	assert_int_equal(info.magic, 0x336ec578);
	assert_int_equal(info.version, 1);
	return info;
}

static void starts_as_pvh_asks(void **state)
{
	struct boot_run *r = *state;
	const struct kvm_sregs *s = &r->state.sregs;

	image_elf(&image);
	assert_int_equal(boot_run(r, &image), 0);
	boot_run_check_segment(r);
	assert_true(r->state.linux_guest);
	assert_int_equal(r->state.regs.rip, IMAGE_ENTRY);
	assert_int_equal(r->state.regs.rflags, 2);
	assert_int_equal(s->cr0, 0x11);
	assert_int_equal(s->cr4, 0);
	assert_int_equal(s->efer, 0);
	assert_int_equal(s->cs.base, 0);
	assert_int_equal(s->cs.limit, 0xffffffff);
	assert_int_equal(s->cs.type, 0xb);
	assert_int_equal(s->cs.db, 1);
	assert_int_equal(s->cs.l, 0);
	assert_int_equal(s->ds.type, 3);
	assert_int_equal(s->tr.type, 0xb);
	assert_int_equal(s->tr.limit, 0x67);
	assert_int_equal(s->tr.s, 0);
	/* What the protocol leaves open stays as it was. */
	assert_int_equal(s->apic_base, 0x5a5a5a5a5a5a5a5aull);
}

static void start_info_tells_all(void **state)
{
	struct boot_run *r = *state;
	struct pvh_start_info info;
	struct pvh_memmap_entry map[4];

	image_elf(&image);
	assert_int_equal(boot_run(r, &image), 0);
	info = start_info(r);
	assert_int_equal(info.rsdp_paddr, LAYOUT_ACPI);
	assert_int_equal(info.nr_modules, 0);
	assert_string_equal(gmem_range(&r->mem, info.cmdline_paddr, 14), "console=ttyS0");
	assert_int_equal(info.memmap_entries, 4);
	assert_int_equal(gmem_read(&r->mem, info.memmap_paddr, map, sizeof(map)), 0);
	assert_int_equal(map[0].addr, 0);
	assert_int_equal(map[0].type, 1);
	assert_int_equal(map[2].addr, LAYOUT_ACPI);
	assert_int_equal(map[2].size, LAYOUT_KERNEL - LAYOUT_ACPI);
	assert_int_equal(map[2].type, 2);
	assert_int_equal(map[3].addr, MiB(1));
	assert_int_equal(map[3].size, IMAGE_RAM - MiB(1));
	assert_int_equal(map[3].type, 1);
}

static void map_has_ram_above_4_gib(void **state)
{
	struct boot_map_entry map[BOOT_MAP_MAX];
	struct gmem big;

	(void)state;
	assert_int_equal(gmem_init(&big, GiB(5)), 0);
	assert_int_equal(boot_map(&big, map), 5);
	assert_int_equal(map[3].gpa + map[3].size, LAYOUT_HOLE);
	assert_int_equal(map[4].gpa, LAYOUT_HIGH);
	assert_int_equal(map[4].size, GiB(2));
	for (unsigned i = 1; i < 5; i++)
		assert_true(map[i].gpa >= map[i - 1].gpa + map[i - 1].size);
	gmem_fini(&big);
}

/* Pieces from a file and from memory, each at a multiple of 4, the gaps zero. */
static void initrd_pieces_are_joined(void **state)
{
	struct boot_run *r = *state;
	struct pvh_start_info info;
	struct pvh_module m;
	const u8 *p;
	int fd = image_fd("12345", 5);

	image_elf(&image);
	r->config.initrd[0] = (struct boot_blob){ .fd = fd, .size = 5 };
	r->config.initrd[1] = (struct boot_blob){ .fd = -1, .data = "abcdef", .size = 6 };
	r->config.initrd[2] = (struct boot_blob){ .fd = -1, .data = "xyz", .size = 3 };
	r->config.initrd_count = 3;
	assert_int_equal(boot_run(r, &image), 0);
	info = start_info(r);
	assert_int_equal(info.nr_modules, 1);
	assert_int_equal(gmem_read(&r->mem, info.modlist_paddr, &m, sizeof(m)), 0);
	assert_int_equal(m.paddr % 4096, 0);
	assert_int_equal(m.size, 19);
	assert_true(m.paddr >= IMAGE_RAM - 8192);
	p = gmem_range(&r->mem, m.paddr, m.size);
	assert_memory_equal(p, "12345\0\0\0abcdef\0\0xyz", 19);
	close(fd);
}

static void initrd_that_does_not_fit_is_refused(void **state)
{
	struct boot_run *r = *state;
	int fd = image_fd("12345", 5);

	image_elf(&image);
	r->config.initrd_count = 1;
	r->config.initrd[0] = (struct boot_blob){ .fd = fd, .size = MiB(14) - IMAGE_MEMORY };
	boot_run_refused(r, &image, "at least 17 MiB of memory: raise --memory");
	r->config.initrd[0].size = GiB(3);
	boot_run_refused(r, &image, "below 4 GiB");
	r->config.initrd[0].size = ~0ull;
	boot_run_refused(r, &image, "below 4 GiB");
	r->config.initrd[0].size = 6;
	boot_run_refused(r, &image, "ends within its initrd");
	r->config.initrd[0].size = 0;
	assert_int_equal(boot_run(r, &image), 0);
	assert_int_equal(start_info(r).nr_modules, 0);
	r->config.initrd_count = BOOT_INITRD_BLOBS + 1;
	boot_run_refused(r, &image, "initrd pieces");
	close(fd);
}

static void long_command_lines_are_refused(void **state)
{
	static char text[LAYOUT_CMDLINE_MAX + 1];
	struct boot_run *r = *state;

	image_elf(&image);
	r->config.cmdline = text;
	memset(text, 'x', 2047);
	assert_int_equal(boot_run(r, &image), 0);
	text[2047] = 'x';
	boot_run_refused(r, &image, "--append");
	/* Only Linux has that limit. */
	memcpy(memmem(image.bytes, image.size, "linux", 6), "other", 5);
	assert_int_equal(boot_run(r, &image), 0);
	memset(text, 'x', LAYOUT_CMDLINE_MAX);
	boot_run_refused(r, &image, "--append");
}

static void other_systems_are_not_linux(void **state)
{
	struct boot_run *r = *state;
	u8 *os;

	image_elf(&image);
	os = memmem(image.bytes, image.size, "linux", 6);
	memcpy(os, "other", 5);
	assert_int_equal(boot_run(r, &image), 0);
	assert_false(r->state.linux_guest);
}

static void missing_note_is_named(void **state)
{
	struct boot_run *r = *state;

	image_elf(&image);
	image_phdr(&image, 1)->p_type = PT_NULL;
	boot_run_refused(r, &image, "no PVH note");
	image_elf(&image);
	image_phdr(&image, 1)->p_filesz -= 4;
	boot_run_refused(r, &image, "no PVH note");
}

static void bad_headers_are_refused(void **state)
{
	struct boot_run *r = *state;

	image_elf(&image);
	image_ehdr(&image)->e_ident[EI_CLASS] = ELFCLASS32;
	boot_run_refused(r, &image, "not an x86 ELF file");
	image_elf(&image);
	image_ehdr(&image)->e_machine = EM_AARCH64;
	boot_run_refused(r, &image, "not an x86 ELF file");
	image_elf(&image);
	image_ehdr(&image)->e_phentsize = 32;
	boot_run_refused(r, &image, "no usable program headers");
	image_elf(&image);
	image_ehdr(&image)->e_phnum = 65535;
	boot_run_refused(r, &image, "no usable program headers");
	image_elf(&image);
	image_ehdr(&image)->e_phoff = ~0ull - 8;
	boot_run_refused(r, &image, "ends within its program headers");
	image.size = 20;
	boot_run_refused(r, &image, "ends within its header");
	memset(image.bytes, 'x', 4096);
	boot_run_refused(r, &image, "not a kernel candela knows");
	image.size = 0;
	boot_run_refused(r, &image, "not a kernel candela knows");
}

static void truncated_files_are_refused(void **state)
{
	struct boot_run *r = *state;

	image_elf(&image);
	for (u64 size = image.size; size > 0; size -= MIN(size, 61)) {
		image.size = size - 1;
		assert_int_equal(boot_run(r, &image), -EINVAL);
		assert_true(strlen(r->error) > 20);
	}
}

/* A segment changed so must end with the words. */
static void segment_refused(struct boot_run *r, Elf64_Phdr change, const char *words)
{
	image_elf(&image);
	image_phdr(&image, 0)->p_offset += change.p_offset;
	image_phdr(&image, 0)->p_paddr += change.p_paddr;
	image_phdr(&image, 0)->p_filesz += change.p_filesz;
	image_phdr(&image, 0)->p_memsz += change.p_memsz;
	boot_run_refused(r, &image, words);
}

static void bad_segments_are_refused(void **state)
{
	struct boot_run *r = *state;

	segment_refused(r, (Elf64_Phdr){ .p_offset = 1 }, "outside of the file");
	segment_refused(r, (Elf64_Phdr){ .p_offset = ~0ull - IMAGE_DATA_OFFSET },
			"outside of the file");
	segment_refused(r, (Elf64_Phdr){ .p_filesz = 1 }, "outside of the file");
	segment_refused(r, (Elf64_Phdr){ .p_memsz = -(u64)IMAGE_MEMORY + IMAGE_DATA - 1 },
			"outside of the file");
	segment_refused(r, (Elf64_Phdr){ .p_paddr = MiB(1) - 1 - IMAGE_LOAD }, "0xfffff");
	segment_refused(r, (Elf64_Phdr){ .p_paddr = LAYOUT_BOOT_PARAMS - IMAGE_LOAD }, "0x7000");
	segment_refused(r, (Elf64_Phdr){ .p_paddr = GiB(4) }, "up to 4 GiB");
	segment_refused(r, (Elf64_Phdr){ .p_paddr = GiB(4) - IMAGE_LOAD - 1 }, "up to 4 GiB");
	segment_refused(r, (Elf64_Phdr){ .p_memsz = ~0ull - IMAGE_MEMORY }, "up to 4 GiB");
	segment_refused(r, (Elf64_Phdr){ .p_memsz = MiB(14) - IMAGE_MEMORY + 1 },
			"at least 17 MiB of memory");
	segment_refused(r, (Elf64_Phdr){ .p_memsz = GiB(3) - IMAGE_MEMORY },
			"more than the 3072 MiB");
}

static void too_many_segments_are_refused(void **state)
{
	struct boot_run *r = *state;

	image_elf(&image);
	for (unsigned i = 0; i < BOOT_ELF_SEGMENTS + 1; i++)
		*image_phdr(&image, i) = *image_phdr(&image, 0);
	image_ehdr(&image)->e_phnum = BOOT_ELF_SEGMENTS + 1;
	boot_run_refused(r, &image, "more than 32 segments");
}

static void entry_outside_is_refused(void **state)
{
	struct boot_run *r = *state;
	u64 entry = IMAGE_ENTRY, beyond = IMAGE_LOAD + IMAGE_MEMORY, high = GiB(4) + IMAGE_ENTRY;
	u8 *at;

	image_elf(&image);
	at = memmem(image.bytes, image.size, &entry, 8);
	memcpy(at, &beyond, 8);
	boot_run_refused(r, &image, "in none of its segments");
	memcpy(at, &high, 8);
	boot_run_refused(r, &image, "no PVH note");
}

static void absurd_notes_end_the_walk(void **state)
{
	struct boot_run *r = *state;

	image_elf(&image);
	((Elf64_Nhdr *)(image.bytes + IMAGE_NOTES_OFFSET))->n_namesz = 0xffffffff;
	boot_run_refused(r, &image, "no PVH note");
	image_elf(&image);
	((Elf64_Nhdr *)(image.bytes + IMAGE_NOTES_OFFSET))->n_descsz = 0xffffffff;
	boot_run_refused(r, &image, "no PVH note");
	image_elf(&image);
	image_phdr(&image, 1)->p_filesz = ~0ull;
	boot_run_refused(r, &image, "ends within its notes");
}

/* A PVH note whose value would lie behind all that is read of notes. */
static void note_behind_the_last_byte_is_none(void **state)
{
	struct boot_run *r = *state;
	u32 size = KiB(16), last = size - 16;
	u8 *notes = image.bytes + KiB(32);
	Elf64_Nhdr filler = { .n_namesz = 4, .n_descsz = last - 16 };
	Elf64_Nhdr pvh = { .n_namesz = 4, .n_descsz = 8, .n_type = PVH_NOTE_PHYS32_ENTRY };

	image_elf(&image);
	memcpy(notes, &filler, sizeof(filler));
	memcpy(notes + last, &pvh, sizeof(pvh));
	memcpy(notes + last + sizeof(pvh), "Xen", 4);
	image_phdr(&image, 1)->p_offset = KiB(32);
	image_phdr(&image, 1)->p_filesz = size;
	image.size = KiB(32) + size;
	boot_run_refused(r, &image, "no PVH note");
}

static void little_memory_is_refused(void **state)
{
	struct boot_run *r = *state;

	image_elf(&image);
	r->mem.region[0].size = MiB(8);
	boot_run_refused(r, &image, "at least 16 MiB of memory");
	r->mem.region[0].size = IMAGE_RAM;
}

static void what_is_no_file_is_refused(void **state)
{
	struct boot_run *r = *state;

	r->config.kernel_fd = -1;
	assert_int_equal(boot_load(&r->mem, &r->config, &r->state, r->error, sizeof(r->error)),
			 -EBADF);
	assert_int_equal(boot_load(&r->mem, &r->config, &r->state, r->error, 5), -EBADF);
	assert_string_equal(r->error, "test");
}

static void trimming_takes_the_zeros_at_the_end(void **state)
{
	struct boot_run *r = *state;

	image_elf(&image);
	memset(image.bytes + IMAGE_DATA_OFFSET + 0x2000, 0, 0x1000);
	boot_elf_trim(image.bytes, image.size);
	assert_in_range(image_phdr(&image, 0)->p_filesz, 0x1f00, 0x2000);
	assert_int_equal(image_phdr(&image, 0)->p_memsz, IMAGE_MEMORY);
	assert_int_equal(boot_run(r, &image), 0);
	for (u64 n = 0x2000; n < IMAGE_MEMORY; n++)
		assert_int_equal(*(u8 *)gmem_range(&r->mem, IMAGE_LOAD + n, 1), 0);
	assert_int_equal(*(u8 *)gmem_range(&r->mem, IMAGE_LOAD + 0x1eff, 1), image_byte(0x1eff));
	memset(image.bytes + IMAGE_DATA_OFFSET, 0, IMAGE_DATA);
	boot_elf_trim(image.bytes, image.size);
	assert_int_equal(image_phdr(&image, 0)->p_filesz, 0);
}

/* On memory of just that size, so that the sanitizer sees what is read beyond it. */
static void trimming_stays_inside(void **state)
{
	u64 seed = 0xda942042e4dd58b5;

	(void)state;
	for (unsigned i = 0; i < 4000; i++) {
		u8 *file;

		image_elf(&image);
		image_mutate(&image, 0, IMAGE_NOTES_OFFSET, &seed);
		file = malloc(image.size + 1);
		assert_non_null(file);
		memcpy(file, image.bytes, image.size);
		boot_elf_trim(file, image.size);
		free(file);
	}
}

/* Whatever the headers say: a status, and our own structures untouched where it is bad. */
static void mutated_files_end_in_a_status(void **state)
{
	struct boot_run *r = *state;
	u64 seed = 0x2545f4914f6cdd1d, started = 0;

	for (unsigned i = 0; i < 4000; i++) {
		int err;

		image_elf(&image);
		image_mutate(&image, 0, IMAGE_NOTES_OFFSET + 0x60, &seed);
		err = boot_run(r, &image);
		started += !err;
		assert_true(!err || err == -EINVAL);
		assert_true(!err || strlen(r->error) > 20);
		assert_int_equal(*(u8 *)gmem_range(&r->mem, LAYOUT_ACPI, 1), 0xa5);
	}
	assert_in_range(started, 100, 3900);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, boot_run_setup, boot_run_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(starts_as_pvh_asks),
		TEST(start_info_tells_all),
		TEST(map_has_ram_above_4_gib),
		TEST(initrd_pieces_are_joined),
		TEST(initrd_that_does_not_fit_is_refused),
		TEST(long_command_lines_are_refused),
		TEST(other_systems_are_not_linux),
		TEST(missing_note_is_named),
		TEST(bad_headers_are_refused),
		TEST(truncated_files_are_refused),
		TEST(bad_segments_are_refused),
		TEST(too_many_segments_are_refused),
		TEST(entry_outside_is_refused),
		TEST(absurd_notes_end_the_walk),
		TEST(note_behind_the_last_byte_is_none),
		TEST(little_memory_is_refused),
		TEST(what_is_no_file_is_refused),
		TEST(trimming_takes_the_zeros_at_the_end),
		TEST(trimming_stays_inside),
		TEST(mutated_files_end_in_a_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
