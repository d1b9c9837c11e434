/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel files: an image of each format, changed as the input says, loaded into RAM. What is
 * refused is refused in one line; what is taken starts within RAM. An input is the base image, its
 * patches (where, what), and settings; base 0 takes the input's bytes as the file.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/vmm/boot_image.h"

#include <errno.h>
#include <unistd.h>

#include <lz4.h>
#include <lzma.h>
#include <zstd.h>

#include "vmm/boot_multiboot_proto.h"

enum {
	BASE_RAW,
	BASE_ELF,
	BASE_GZIP,
	BASE_XZ,
	BASE_LZ4,
	BASE_ZSTD,
	BASE_PLAIN,
	BASE_MULTIBOOT,
	BASE_MULTIBOOT_ELF,
	BASE_ELF32,
	BASES
};

static struct image base[BASES];

/* ---- The images ------------------------------------------------------------------------------ */

static u64 trailer_put(u8 *packed, u64 len, u64 plain)
{
	u32 size = (u32)plain;

	memcpy(packed + len, &size, sizeof(size));
	return len + sizeof(size);
}

static void multiboot_put(u8 *at, u32 flags)
{
	struct multiboot_header h = { .magic = MULTIBOOT_HEADER_MAGIC, .flags = flags };

	h.checksum = 0u - h.magic - h.flags;
	memcpy(at, &h, sizeof(h));
}

static void elf32_make(struct image *i)
{
	Elf32_Ehdr e = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
			 .e_type = ET_EXEC,
			 .e_machine = EM_386,
			 .e_version = EV_CURRENT,
			 .e_entry = IMAGE_ENTRY,
			 .e_phoff = sizeof(e),
			 .e_ehsize = sizeof(e),
			 .e_phentsize = sizeof(Elf32_Phdr),
			 .e_phnum = 1 };
	Elf32_Phdr p = { .p_type = PT_LOAD,
			 .p_offset = IMAGE_DATA_OFFSET,
			 .p_vaddr = (u32)IMAGE_LOAD,
			 .p_paddr = (u32)IMAGE_LOAD,
			 .p_filesz = IMAGE_DATA,
			 .p_memsz = IMAGE_MEMORY };

	memcpy(i->bytes, &e, sizeof(e));
	memcpy(i->bytes + sizeof(e), &p, sizeof(p));
	i->size = IMAGE_DATA_OFFSET + IMAGE_DATA;
}

static void multiboot_make(struct image *i)
{
	struct multiboot_addresses a = { .header = (u32)IMAGE_LOAD,
					 .load = (u32)IMAGE_LOAD,
					 .entry = (u32)IMAGE_LOAD + 64 };

	multiboot_put(i->bytes, MULTIBOOT_MEMORY_INFO | MULTIBOOT_PAGE_ALIGN | MULTIBOOT_ADDRESSES);
	memcpy(i->bytes + sizeof(struct multiboot_header), &a, sizeof(a));
	i->size = 0x2000;
}

static void images_make(void)
{
	static u8 packed[KiB(32)];
	const struct image *elf = &base[BASE_ELF];
	size_t pos = 0;
	u32 n;

	image_elf(&base[BASE_ELF]);
	image_bzimage(&base[BASE_GZIP], packed, image_gzip(elf, packed, sizeof(packed)));
	FUZZ_CHECK(!lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, elf->bytes, elf->size,
					    packed, &pos, sizeof(packed) - 4));
	image_bzimage(&base[BASE_XZ], packed, trailer_put(packed, pos, elf->size));
	memcpy(packed, "\x02\x21\x4c\x18", 4);
	n = (u32)LZ4_compress_default((const char *)elf->bytes, (char *)packed + 8, (int)elf->size,
				      (int)sizeof(packed) - 12);
	FUZZ_CHECK(n);
	memcpy(packed + 4, &n, 4);
	image_bzimage(&base[BASE_LZ4], packed, trailer_put(packed, 8 + n, elf->size));
	pos = ZSTD_compress(packed, sizeof(packed) - 4, elf->bytes, elf->size, 3);
	FUZZ_CHECK(!ZSTD_isError(pos));
	image_bzimage(&base[BASE_ZSTD], packed, trailer_put(packed, pos, elf->size));
	image_bzimage(&base[BASE_PLAIN], "no payload of ours", 19);
	multiboot_make(&base[BASE_MULTIBOOT]);
	elf32_make(&base[BASE_ELF32]);
	elf32_make(&base[BASE_MULTIBOOT_ELF]);
	multiboot_put(base[BASE_MULTIBOOT_ELF].bytes + 0x800, MULTIBOOT_PAGE_ALIGN);
}

/* Where the format has its fields. */
static u64 patch_at(struct fuzz_input *in, u8 which)
{
	switch (which) {
	case BASE_ELF:
		return fuzz_below(in, 2) ? (u64)fuzz_u8(in)
					 : IMAGE_NOTES_OFFSET + fuzz_below(in, 96);
	case BASE_MULTIBOOT:
		return fuzz_below(in, 40);
	case BASE_MULTIBOOT_ELF:
		return fuzz_below(in, 2) ? fuzz_below(in, 100) : 0x800 + fuzz_below(in, 16);
	case BASE_ELF32:
		return fuzz_below(in, 100);
	default: /* the header, or the payload */
		return fuzz_below(in, 2) ? 0x1f1 + fuzz_below(in, 128)
					 : 0x700u + fuzz_u16(in) % 1024u;
	}
}

static void image_patch(struct image *i, struct fuzz_input *in, u8 which)
{
	for (u32 n = fuzz_below(in, 16); n; n--) {
		u64 at = patch_at(in, which), value = fuzz_value(in);
		u32 len = 1u << fuzz_below(in, 4);

		memcpy(i->bytes + at, &value, len);
	}
	/* A checksum that is right again keeps what it protects within reach. */
	if (which == BASE_MULTIBOOT_ELF || which == BASE_MULTIBOOT) {
		u8 *h = i->bytes + (which == BASE_MULTIBOOT ? 0 : 0x800);
		u32 flags;

		memcpy(&flags, h + 4, sizeof(flags));
		if (!fuzz_rarely(in, 4))
			multiboot_put(h, flags);
	}
	if (fuzz_rarely(in, 8))
		i->size = fuzz_u16(in) % (i->size + 1);
}

/* ---- One boot -------------------------------------------------------------------------------- */

static void check(const struct boot_run *r, int err)
{
	u64 top = IMAGE_RAM;

	if (err) {
		FUZZ_CHECK(err == -EINVAL && !strncmp(r->error, "test.kernel: ", 13));
		FUZZ_CHECK(r->error[13] && !strchr(r->error, '\n'));
		return;
	}
	FUZZ_CHECK(r->state.regs.rip < top && r->state.regs.rbx < top && r->state.regs.rsi < top);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct boot_run *r;
	static struct image image;
	struct fuzz_input in = { data, size };
	char initrd[300];
	u8 which = fuzz_u8(&in) % BASES, settings = fuzz_u8(&in);
	struct boot_config fresh;
	void *state = NULL;

	if (!r) {
		images_make();
		FUZZ_CHECK(!boot_run_setup(&state));
		r = state;
	}
	fresh = r->config;
	memset(initrd, 'i', sizeof(initrd));
	for (r->config.initrd_count = 0; r->config.initrd_count < (settings & 3);)
		r->config.initrd[r->config.initrd_count++] =
			(struct boot_blob){ .fd = -1,
					    .data = initrd,
					    .size = settings & 4 ? fuzz_u8(&in) : 300,
					    .name = settings & 8 ? "module" : NULL };
	if (settings & 16)
		r->config.cmdline = "a command line that is longer than some";
	image = base[which];
	if (which == BASE_RAW) {
		image.size = MIN(in.left, sizeof(image.bytes));
		fuzz_bytes(&in, image.bytes, image.size);
	} else {
		image_patch(&image, &in, which);
	}
	check(r, boot_run(r, &image));
	r->config = fresh;
	return 0;
}
