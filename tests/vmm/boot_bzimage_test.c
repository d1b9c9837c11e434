/* SPDX-License-Identifier: BSD-2-Clause */
/* bzImages: by the vmlinux inside, by their own entry, and bad ones. */
#include "tests/vmm/boot_image.h"

#include <errno.h>
#include <unistd.h>

static struct image image;
static u8 payload[KiB(48)];
static u64 payload_len;

static int payload_pack(void **state)
{
	(void)state;
	image_elf(&image);
	payload_len = image_gzip(&image, payload, sizeof(payload));
	return 0;
}

/* A payload we cannot unpack, so that the image's own entry is taken. */
static void image_of_unknown(void)
{
	static const u8 bytes[64] = "BZh91AY&SY";

	image_bzimage(&image, bytes, sizeof(bytes));
}

static void vmlinux_is_started_by_pvh(void **state)
{
	struct boot_run *r = *state;

	image_bzimage(&image, payload, payload_len);
	assert_int_equal(boot_run(r, &image), 0);
	boot_run_check_segment(r);
	assert_int_equal(r->state.regs.rip, IMAGE_ENTRY);
	assert_int_equal(r->state.sregs.cr0, 0x11);
	assert_true(r->state.linux_guest);
}

/* Signed images have a certificate behind the last paragraph. */
static void bytes_behind_the_image_do_not_matter(void **state)
{
	struct boot_run *r = *state;

	image_bzimage(&image, payload, payload_len);
	image.size += 1000;
	assert_int_equal(boot_run(r, &image), 0);
	image.size -= 1000 + 15;
	assert_int_equal(boot_run(r, &image), 0);
	image.size -= 1;
	boot_run_refused(r, &image, "shorter than its header says");
}

static void own_entry_is_the_way_out(void **state)
{
	struct boot_run *r = *state;
	const struct kvm_sregs *s = &r->state.sregs;
	const u8 *code = gmem_range(&r->mem, MiB(4), 0x300);

	image_of_unknown();
	assert_int_equal(boot_run(r, &image), 0);
	for (u64 n = 0; n < 0x300; n++)
		assert_int_equal(code[n], image_byte(n));
	assert_int_equal(r->state.regs.rip, MiB(4) + 0x200);
	assert_int_equal(r->state.regs.rsi, LAYOUT_BOOT_PARAMS);
	assert_int_equal(s->cr0, 0x80000011);
	assert_int_equal(s->cr4, 0x20);
	assert_int_equal(s->efer, 0x500);
	assert_int_equal(s->cs.selector, 0x10);
	assert_int_equal(s->cs.l, 1);
	assert_int_equal(s->cs.db, 0);
	assert_int_equal(s->ss.selector, 0x18);
	assert_true(r->state.linux_guest);
}

static u64 entry_at(struct boot_run *r, gpa_t gpa)
{
	u64 e;

	assert_int_equal(gmem_read(&r->mem, gpa, &e, 8), 0);
	return e;
}

/* Where the tables that the state names lead to. */
static gpa_t walk(struct boot_run *r, u64 va)
{
	gpa_t table = r->state.sregs.cr3;

	for (unsigned shift = 39; shift > 21; shift -= 9) {
		u64 e = entry_at(r, table + (va >> shift & 511) * 8);

		assert_int_equal(e & 0xfff, 3);
		table = e & ~0xfffull;
	}
	va = entry_at(r, table + (va >> 21 & 511) * 8) + (va & 0x1fffff);
	return va - 0x83;
}

static void low_4_gib_are_mapped_one_to_one(void **state)
{
	struct boot_run *r = *state;
	u64 gdt[4];

	image_of_unknown();
	assert_int_equal(boot_run(r, &image), 0);
	for (u64 va = 0; va < GiB(4); va += MiB(2) + 0x1000)
		assert_int_equal(walk(r, va), va);
	assert_int_equal(r->state.sregs.gdt.limit, sizeof(gdt) - 1);
	assert_int_equal(gmem_read(&r->mem, r->state.sregs.gdt.base, gdt, sizeof(gdt)), 0);
	assert_int_equal(gdt[2] >> 40 & 0xff, 0x9b);
	assert_int_equal(gdt[2] >> 53 & 1, 1);
	assert_int_equal(gdt[3] >> 40 & 0xff, 0x93);
}

static void zero_page_tells_all(void **state)
{
	struct boot_run *r = *state;
	struct boot_params p;

	image_of_unknown();
	image_header(&image)->setup_data = 0x1234;
	image_header(&image)->type_of_loader = 0x77;
	r->config.initrd[0] = (struct boot_blob){ .fd = -1, .data = "initrd", .size = 6 };
	r->config.initrd_count = 1;
	assert_int_equal(boot_run(r, &image), 0);
	assert_int_equal(gmem_read(&r->mem, LAYOUT_BOOT_PARAMS, &p, sizeof(p)), 0);
	assert_int_equal(p.hdr.header, 0x53726448);
	assert_int_equal(p.hdr.pref_address, MiB(4));
	assert_int_equal(p.hdr.type_of_loader, 0xff);
	assert_int_equal(p.hdr.setup_data, 0);
	assert_int_equal(p.hdr.cmd_line_ptr, LAYOUT_CMDLINE);
	assert_int_equal(p.hdr.ramdisk_size, 6);
	assert_memory_equal(gmem_range(&r->mem, p.hdr.ramdisk_image, 6), "initrd", 6);
	assert_int_equal(p.ext_ramdisk_image, 0);
	assert_int_equal(p.acpi_rsdp_addr, LAYOUT_ACPI);
	assert_int_equal(p.e820_entries, 4);
	assert_int_equal(p.e820_table[3].addr, MiB(1));
	assert_int_equal(p.e820_table[3].size, IMAGE_RAM - MiB(1));
	/* Beyond what the header says of its own length nothing is taken. */
	assert_int_equal(p.screen_info.orig_video_mode, 0);
	image_header(&image)->jump = 0x00eb;
	assert_int_equal(boot_run(r, &image), 0);
	assert_int_equal(gmem_read(&r->mem, LAYOUT_BOOT_PARAMS, &p, sizeof(p)), 0);
	assert_int_equal(p.hdr.pref_address, 0);
}

static void vmlinux_without_note_starts_by_itself(void **state)
{
	static u8 noteless[KiB(32)];
	struct boot_run *r = *state;
	u64 len;

	image_elf(&image);
	image_phdr(&image, 1)->p_type = PT_NULL;
	len = image_gzip(&image, noteless, sizeof(noteless));
	image_bzimage(&image, noteless, len);
	assert_int_equal(boot_run(r, &image), 0);
	assert_int_equal(r->state.regs.rip, MiB(4) + 0x200);
}

/* Its offsets lead out of the unpacked bytes, not out of a file. */
static void hostile_vmlinux_starts_by_itself(void **state)
{
	static const u64 offsets[] = { KiB(32), MiB(64), ~0ull - 8 };
	static u8 hostile[KiB(32)];
	struct boot_run *r = *state;

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(offsets); i++) {
		u64 len;

		image_elf(&image);
		if (i % 2)
			image_ehdr(&image)->e_phoff = offsets[i / 2];
		else
			image_phdr(&image, 1)->p_offset = offsets[i / 2];
		len = image_gzip(&image, hostile, sizeof(hostile));
		image_bzimage(&image, hostile, len);
		assert_int_equal(boot_run(r, &image), 0);
		assert_int_equal(r->state.regs.rip, MiB(4) + 0x200);
	}
}

static void damaged_payload_is_said(void **state)
{
	struct boot_run *r = *state;

	image_bzimage(&image, payload, payload_len);
	image.bytes[image_header(&image)->payload_offset + 1024 + payload_len / 2] ^= 0xff;
	boot_run_refused(r, &image, "packed kernel is damaged");
}

static void limits_of_the_header_hold(void **state)
{
	char text[257] = { 0 };
	struct boot_run *r = *state;

	memset(text, 'x', 256);
	r->config.cmdline = text;
	image_bzimage(&image, payload, payload_len);
	boot_run_refused(r, &image, "255");
	text[255] = 0;
	assert_int_equal(boot_run(r, &image), 0);
	r->config.initrd[0] = (struct boot_blob){ .fd = -1, .data = "initrd", .size = 6 };
	r->config.initrd_count = 1;
	image_header(&image)->initrd_addr_max = MiB(3) - 1;
	assert_int_equal(boot_run(r, &image), 0);
	assert_memory_equal(gmem_range(&r->mem, MiB(3) - 4096, 6), "initrd", 6);
	image_header(&image)->initrd_addr_max = IMAGE_LOAD;
	boot_run_refused(r, &image, "more than it can take");
	image_header(&image)->initrd_addr_max = 0;
	boot_run_refused(r, &image, "more than it can take");
}

static void old_kernels_are_refused(void **state)
{
	struct boot_run *r = *state;

	image_bzimage(&image, payload, payload_len);
	image_header(&image)->version = 0x20b;
	boot_run_refused(r, &image, "64-bit Linux kernel");
	image_bzimage(&image, payload, payload_len);
	image_header(&image)->xloadflags = 0;
	boot_run_refused(r, &image, "64-bit Linux kernel");
	image_bzimage(&image, payload, payload_len);
	image_header(&image)->header = 0;
	boot_run_refused(r, &image, "not a kernel candela knows");
}

static void bad_offsets_are_refused(void **state)
{
	struct boot_run *r = *state;

	image_bzimage(&image, payload, payload_len);
	image_header(&image)->syssize = 0xffffffff;
	boot_run_refused(r, &image, "shorter than its header says");
	image_header(&image)->syssize = 0;
	boot_run_refused(r, &image, "shorter than its header says");
	image_bzimage(&image, payload, payload_len);
	image_header(&image)->setup_sects = 255;
	boot_run_refused(r, &image, "shorter than its header says");
	image_bzimage(&image, payload, payload_len);
	image_header(&image)->payload_offset = 0xffffffff;
	boot_run_refused(r, &image, "payload lies outside");
	image_bzimage(&image, payload, payload_len);
	image_header(&image)->payload_length += 32;
	boot_run_refused(r, &image, "payload lies outside");
	image_of_unknown();
	image_header(&image)->pref_address = 0x7000;
	boot_run_refused(r, &image, "asks to be loaded at 0x7000");
	image_header(&image)->pref_address = ~0ull;
	boot_run_refused(r, &image, "asks to be loaded at 0xffffffffffffffff");
	image_header(&image)->pref_address = MiB(15);
	boot_run_refused(r, &image, "at least 17 MiB of memory");
	image_header(&image)->init_size = 0xffffffff;
	boot_run_refused(r, &image, "below 4 GiB");
}

static void mutated_images_end_in_a_status(void **state)
{
	struct boot_run *r = *state;
	u64 seed = 0x853c49e6748fea9b, started = 0;

	for (unsigned i = 0; i < 4000; i++) {
		int err;

		if (i % 2)
			image_of_unknown();
		else
			image_bzimage(&image, payload, payload_len);
		image_mutate(&image, 0x1f0, 0x270, &seed);
		if (i % 8 == 0 && image.size > 1024 + 0x308)
			image_mutate(&image, 1024 + 0x300, image.size, &seed);
		err = boot_run(r, &image);
		started += !err;
		assert_true(!err || err == -EINVAL || err == -ENOMEM);
		assert_true(!err || strlen(r->error) > 20);
		assert_int_equal(*(u8 *)gmem_range(&r->mem, LAYOUT_ACPI, 1), 0xa5);
	}
	assert_in_range(started, 100, 3900);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, boot_run_setup, boot_run_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(vmlinux_is_started_by_pvh),
		TEST(bytes_behind_the_image_do_not_matter),
		TEST(own_entry_is_the_way_out),
		TEST(low_4_gib_are_mapped_one_to_one),
		TEST(zero_page_tells_all),
		TEST(vmlinux_without_note_starts_by_itself),
		TEST(hostile_vmlinux_starts_by_itself),
		TEST(damaged_payload_is_said),
		TEST(limits_of_the_header_hold),
		TEST(old_kernels_are_refused),
		TEST(bad_offsets_are_refused),
		TEST(mutated_images_end_in_a_status),
	};

	return cmocka_run_group_tests(tests, payload_pack, NULL);
}
