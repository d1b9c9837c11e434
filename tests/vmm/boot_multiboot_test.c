/* SPDX-License-Identifier: BSD-2-Clause */
/* Multiboot kernels: what they are handed, and bad ones. */
#include "tests/vmm/boot_image.h"

#include <errno.h>

#include "vmm/boot_multiboot_proto.h"

#define HEADER_OFFSET 0x300u

static struct image image;

static void header_put(struct image *i, u64 at, u32 flags)
{
	const struct multiboot_header h = { MULTIBOOT_HEADER_MAGIC, flags,
					    -(MULTIBOOT_HEADER_MAGIC + flags) };

	memcpy(i->bytes + at, &h, sizeof(h));
}

static void addresses_put(struct image *i, const struct multiboot_addresses *a)
{
	memcpy(i->bytes + HEADER_OFFSET + sizeof(struct multiboot_header), a, sizeof(*a));
}

static Elf32_Ehdr *ehdr(struct image *i)
{
	return (Elf32_Ehdr *)i->bytes;
}

static Elf32_Phdr *phdr(struct image *i, unsigned n)
{
	return (Elf32_Phdr *)(i->bytes + sizeof(Elf32_Ehdr)) + n;
}

/* A 32-bit ELF file with the header, and the segment that boot_run_check_segment() knows. */
static void elf32(struct image *i)
{
	image_elf(i);
	memset(i->bytes, 0, HEADER_OFFSET);
	*ehdr(i) = (Elf32_Ehdr){
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = EM_386,
		.e_version = EV_CURRENT,
		.e_entry = IMAGE_ENTRY,
		.e_phoff = sizeof(Elf32_Ehdr),
		.e_ehsize = sizeof(Elf32_Ehdr),
		.e_phentsize = sizeof(Elf32_Phdr),
		.e_phnum = 1,
	};
	*phdr(i, 0) = (Elf32_Phdr){
		.p_type = PT_LOAD,
		.p_offset = IMAGE_DATA_OFFSET,
		.p_vaddr = 0xc0000000u + (u32)IMAGE_LOAD,
		.p_paddr = (u32)IMAGE_LOAD,
		.p_filesz = IMAGE_DATA,
		.p_memsz = IMAGE_MEMORY,
	};
	header_put(i, HEADER_OFFSET, MULTIBOOT_PAGE_ALIGN | MULTIBOOT_MEMORY_INFO);
}

/* The same without any ELF header: the first page is part of what is loaded. */
static struct multiboot_addresses flat(struct image *i)
{
	const struct multiboot_addresses a = {
		.header = (u32)IMAGE_LOAD - IMAGE_DATA_OFFSET + HEADER_OFFSET,
		.load = (u32)IMAGE_LOAD - IMAGE_DATA_OFFSET,
		.load_end = (u32)IMAGE_LOAD + IMAGE_DATA,
		.bss_end = (u32)IMAGE_LOAD + IMAGE_MEMORY,
		.entry = IMAGE_ENTRY,
	};

	elf32(i);
	memset(i->bytes, 0xf4, HEADER_OFFSET);
	header_put(i, HEADER_OFFSET, MULTIBOOT_ADDRESSES);
	addresses_put(i, &a);
	return a;
}

static struct multiboot_info info_get(struct boot_run *r)
{
	struct multiboot_info info;

	assert_int_equal(r->state.regs.rax, MULTIBOOT_BOOT_MAGIC);
	assert_int_equal(gmem_read(&r->mem, r->state.regs.rbx, &info, sizeof(info)), 0);
	return info;
}

static const char *text_at(struct boot_run *r, u32 gpa)
{
	return gmem_range(&r->mem, gpa, 1);
}

static void starts_flat_and_32_bit(void **state)
{
	struct boot_run *r = *state;
	const struct kvm_sregs *s = &r->state.sregs;

	elf32(&image);
	assert_int_equal(boot_run(r, &image), 0);
	boot_run_check_segment(r);
	assert_false(r->state.linux_guest);
	assert_int_equal(r->state.regs.rip, IMAGE_ENTRY);
	assert_int_equal(r->state.regs.rax, 0x2badb002);
	assert_int_equal(r->state.regs.rflags, 2);
	assert_int_equal(s->cr0 & 0x80000001, 1);
	assert_int_equal(s->efer, 0);
	assert_int_equal(s->cs.base, 0);
	assert_int_equal(s->cs.limit, 0xffffffff);
	assert_int_equal(s->cs.type, 0xb);
	assert_int_equal(s->cs.db, 1);
	assert_int_equal(s->ds.limit, 0xffffffff);
	assert_int_equal(s->ds.type, 3);
}

static void information_tells_all(void **state)
{
	struct boot_run *r = *state;
	struct multiboot_map_entry map[4];
	struct multiboot_info info;

	elf32(&image);
	r->config.append = "one two";
	assert_int_equal(boot_run(r, &image), 0);
	info = info_get(r);
	assert_int_equal(info.flags, 0x24d);
	assert_int_equal(info.mem_lower, 639);
	assert_int_equal(info.mem_upper, (IMAGE_RAM - MiB(1)) / 1024);
	assert_string_equal(text_at(r, info.cmdline), "test.kernel one two");
	assert_string_equal(text_at(r, info.loader_name), "candela");
	assert_int_equal(info.mods_count, 0);
	assert_int_equal(info.mmap_length, sizeof(map));
	assert_int_equal(gmem_read(&r->mem, info.mmap_addr, map, sizeof(map)), 0);
	assert_int_equal(map[0].size, 20);
	assert_int_equal(map[0].addr, 0);
	assert_int_equal(map[0].len, 639 * 1024);
	assert_int_equal(map[0].type, 1);
	assert_int_equal(map[2].addr, LAYOUT_ACPI);
	assert_int_equal(map[2].type, 2);
	assert_int_equal(map[3].addr, MiB(1));
	assert_int_equal(map[3].len, IMAGE_RAM - MiB(1));
	assert_int_equal(map[3].type, 1);
}

/* The words that Linux needs are not for others. */
static void command_line_is_the_users(void **state)
{
	struct boot_run *r = *state;

	elf32(&image);
	assert_int_equal(boot_run(r, &image), 0);
	assert_string_equal(text_at(r, info_get(r).cmdline), "test.kernel");
}

static void each_initrd_is_a_module(void **state)
{
	struct boot_run *r = *state;
	struct multiboot_module m[2];
	struct multiboot_info info;

	elf32(&image);
	r->config.initrd[0] =
		(struct boot_blob){ .fd = -1, .data = "abcdef", .size = 6, .name = "dir/env" };
	r->config.initrd[1] = (struct boot_blob){ .fd = -1, .data = "xyz", .size = 3 };
	r->config.initrd_count = 2;
	assert_int_equal(boot_run(r, &image), 0);
	info = info_get(r);
	assert_int_equal(info.mods_count, 2);
	assert_int_equal(gmem_read(&r->mem, info.mods_addr, m, sizeof(m)), 0);
	assert_int_equal(m[0].start % 4096, 0);
	assert_int_equal(m[1].start % 4096, 0);
	assert_int_equal(m[0].end - m[0].start, 6);
	assert_int_equal(m[1].end - m[1].start, 3);
	assert_memory_equal(text_at(r, m[0].start), "abcdef", 6);
	assert_memory_equal(text_at(r, m[1].start), "xyz", 3);
	assert_string_equal(text_at(r, m[0].string), "dir/env");
	assert_string_equal(text_at(r, m[1].string), "");
	assert_string_equal(text_at(r, info.cmdline), "test.kernel");
}

static void long_texts_are_refused(void **state)
{
	static char text[LAYOUT_CMDLINE_MAX + 1];
	struct boot_run *r = *state;

	elf32(&image);
	r->config.append = text;
	r->config.initrd_count = 1;
	r->config.initrd[0] =
		(struct boot_blob){ .fd = -1, .data = "abc", .size = 3, .name = "12345678" };
	memset(text, 'x', LAYOUT_CMDLINE_MAX - 1);
	boot_run_refused(r, &image, "--append");
	text[LAYOUT_CMDLINE_MAX - 12 - 1 - 8] = 0;
	boot_run_refused(r, &image, "no room for the initrd's name");
	text[LAYOUT_CMDLINE_MAX - 12 - 1 - 9] = 0;
	assert_int_equal(boot_run(r, &image), 0);
}

static void header_is_found_in_the_first_8_kib(void **state)
{
	struct boot_run *r = *state;

	elf32(&image);
	memset(image.bytes + HEADER_OFFSET, 0, 12);
	boot_run_refused(r, &image, "no Multiboot header");
	header_put(&image, 0x302, 0);
	boot_run_refused(r, &image, "no Multiboot header");
	header_put(&image, MULTIBOOT_SEARCH - 8, 0);
	boot_run_refused(r, &image, "no Multiboot header");
	header_put(&image, MULTIBOOT_SEARCH - 12, 0);
	assert_int_equal(boot_run(r, &image), 0);
	image.bytes[MULTIBOOT_SEARCH - 1] ^= 1;
	boot_run_refused(r, &image, "no Multiboot header");
}

static void unknown_requirements_are_refused(void **state)
{
	struct boot_run *r = *state;

	elf32(&image);
	for (u32 bit = 0; bit < 32; bit++) {
		header_put(&image, HEADER_OFFSET, 1u << bit);
		if (bit < 3 || bit > 16)
			assert_int_equal(boot_run(r, &image), 0);
		else if (bit < 16)
			boot_run_refused(r, &image, "requires what candela does not know");
	}
}

static void flat_image_goes_where_its_header_says(void **state)
{
	struct boot_run *r = *state;
	struct multiboot_addresses a = flat(&image);

	assert_int_equal(boot_run(r, &image), 0);
	boot_run_check_segment(r);
	assert_int_equal(r->state.regs.rip, IMAGE_ENTRY);
	assert_int_equal(*text_at(r, a.load), (char)0xf4);
	/* 0: to the file's end, and nothing after it. */
	a.load_end = a.bss_end = 0;
	addresses_put(&image, &a);
	memset(gmem_range(&r->mem, 0, IMAGE_RAM), 0xa5, IMAGE_RAM);
	assert_int_equal(boot_run(r, &image), 0);
	assert_int_equal(*(u8 *)text_at(r, IMAGE_LOAD + IMAGE_DATA - 1),
			 image_byte(IMAGE_DATA - 1));
	assert_int_equal(*(u8 *)text_at(r, IMAGE_LOAD + IMAGE_DATA), 0xa5);
}

/* The addresses with one of them changed must end with the words. */
static void flat_refused(struct boot_run *r, size_t field, u32 value, const char *words)
{
	struct multiboot_addresses a = flat(&image);

	memcpy((u8 *)&a + field, &value, sizeof(value));
	addresses_put(&image, &a);
	boot_run_refused(r, &image, words);
}

#define FIELD(f) offsetof(struct multiboot_addresses, f)

static void bad_addresses_are_refused(void **state)
{
	struct boot_run *r = *state;
	const u32 load = (u32)IMAGE_LOAD - IMAGE_DATA_OFFSET, end = (u32)IMAGE_LOAD + IMAGE_DATA;

	flat_refused(r, FIELD(header), load - 1, "begin early enough");
	flat_refused(r, FIELD(header), load + HEADER_OFFSET + 1, "begin early enough");
	flat_refused(r, FIELD(header), 0, "begin early enough");
	flat_refused(r, FIELD(header), load + HEADER_OFFSET - 4, "outside of the file");
	flat_refused(r, FIELD(load_end), end + 1, "outside of the file");
	flat_refused(r, FIELD(load_end), load, "do not ascend");
	flat_refused(r, FIELD(bss_end), end - 1, "do not ascend");
	flat_refused(r, FIELD(bss_end), 0xffffffff, "MiB");
	flat_refused(r, FIELD(entry), load - 1, "entry 0x1fefff");
	flat_refused(r, FIELD(entry), (u32)IMAGE_LOAD + IMAGE_MEMORY, "nothing that is loaded");
	flat(&image);
	image.size = HEADER_OFFSET + 20;
	boot_run_refused(r, &image, "ends within its Multiboot header");
}

/* Below 1 MiB a kernel may lie where nothing of ours is. */
static void low_kernels_keep_clear_of_ours(void **state)
{
	static const struct {
		u32 from, to;
		bool fits;
	} rows[] = {
		{ 0x8000, 0x20000, true },   { 0x7fff, 0x10000, false },
		{ 0x8000, 0x20001, false },  { 0x30000, 0x40000, false },
		{ 0xe0000, 0xe1000, false }, { 0, 0x9000, false },
	};
	struct boot_run *r = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		elf32(&image);
		ehdr(&image)->e_entry = rows[i].from;
		phdr(&image, 0)->p_paddr = rows[i].from;
		phdr(&image, 0)->p_memsz = rows[i].to - rows[i].from;
		phdr(&image, 0)->p_filesz = 0x100;
		if (rows[i].fits)
			assert_int_equal(boot_run(r, &image), 0);
		else
			boot_run_refused(r, &image, "goes to physical address");
	}
}

static void bad_elf_files_are_refused(void **state)
{
	struct boot_run *r = *state;

	elf32(&image);
	ehdr(&image)->e_machine = EM_X86_64;
	boot_run_refused(r, &image, "not an x86 ELF file");
	elf32(&image);
	ehdr(&image)->e_phentsize = sizeof(Elf64_Phdr);
	boot_run_refused(r, &image, "no usable program headers");
	elf32(&image);
	ehdr(&image)->e_phoff = 0xffffffff;
	boot_run_refused(r, &image, "ends within its program headers");
	elf32(&image);
	phdr(&image, 0)->p_offset = 0xffffffff;
	boot_run_refused(r, &image, "outside of the file");
	elf32(&image);
	phdr(&image, 0)->p_memsz = 0xffffffff - (u32)IMAGE_LOAD;
	boot_run_refused(r, &image, "more than the 3072 MiB");
	elf32(&image);
	ehdr(&image)->e_entry = (u32)IMAGE_LOAD + IMAGE_MEMORY;
	boot_run_refused(r, &image, "nothing that is loaded");
	elf32(&image);
	phdr(&image, 0)->p_type = PT_NULL;
	boot_run_refused(r, &image, "nothing that is loaded");
	elf32(&image);
	image.bytes[0] = 0;
	boot_run_refused(r, &image, "not an x86 ELF file");
}

/* A 64-bit file is entered in 32-bit mode as well, but by its PVH note where it has one. */
static void wide_elf_is_entered_like_a_narrow_one(void **state)
{
	struct boot_run *r = *state;

	image_elf(&image);
	header_put(&image, HEADER_OFFSET, 0);
	image_ehdr(&image)->e_entry = IMAGE_ENTRY + 1;
	assert_int_equal(boot_run(r, &image), 0);
	assert_int_equal(r->state.regs.rip, IMAGE_ENTRY);
	assert_int_equal(r->state.regs.rax, 0);
	assert_true(r->state.linux_guest);
	image_phdr(&image, 1)->p_type = PT_NULL;
	assert_int_equal(boot_run(r, &image), 0);
	assert_int_equal(r->state.regs.rip, IMAGE_ENTRY + 1);
	assert_int_equal(r->state.regs.rax, MULTIBOOT_BOOT_MAGIC);
	assert_int_equal(r->state.sregs.cs.l, 0);
	assert_int_equal(r->state.sregs.efer, 0);
	boot_run_check_segment(r);
	image_ehdr(&image)->e_entry = GiB(4) + IMAGE_ENTRY;
	boot_run_refused(r, &image, "nothing that is loaded");
}

static void truncated_files_are_refused(void **state)
{
	struct boot_run *r = *state;

	for (unsigned kind = 0; kind < 2; kind++) {
		if (kind)
			flat(&image);
		else
			elf32(&image);
		for (u64 size = image.size; size > 0; size -= MIN(size, 61)) {
			image.size = size - 1;
			assert_int_equal(boot_run(r, &image), -EINVAL);
			assert_true(strlen(r->error) > 20);
		}
	}
}

/* Whatever the headers say: a status, and our own structures untouched. */
static void mutated_files_end_in_a_status(void **state)
{
	struct boot_run *r = *state;
	u64 seed = 0x9e3779b97f4a7c15, started = 0;

	for (unsigned i = 0; i < 6000; i++) {
		int err;

		if (i % 2) {
			flat(&image);
			image_mutate(&image, HEADER_OFFSET + 12, HEADER_OFFSET + 32, &seed);
		} else {
			elf32(&image);
			image_mutate(&image, 0, sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr), &seed);
		}
		err = boot_run(r, &image);
		started += !err;
		assert_true(!err || err == -EINVAL);
		assert_true(!err || strlen(r->error) > 20);
		assert_int_equal(*(u8 *)gmem_range(&r->mem, LAYOUT_ACPI, 1), 0xa5);
	}
	assert_in_range(started, 100, 5900);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, boot_run_setup, boot_run_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(starts_flat_and_32_bit),           TEST(information_tells_all),
		TEST(command_line_is_the_users),        TEST(each_initrd_is_a_module),
		TEST(long_texts_are_refused),           TEST(header_is_found_in_the_first_8_kib),
		TEST(unknown_requirements_are_refused), TEST(flat_image_goes_where_its_header_says),
		TEST(bad_addresses_are_refused),        TEST(low_kernels_keep_clear_of_ours),
		TEST(bad_elf_files_are_refused),        TEST(wide_elf_is_entered_like_a_narrow_one),
		TEST(truncated_files_are_refused),      TEST(mutated_files_end_in_a_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
