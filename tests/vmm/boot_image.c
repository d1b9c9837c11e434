/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/vmm/boot_image.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <zlib.h>

#include "vmm/boot_pvh_proto.h"

u8 image_byte(u64 i)
{
	return (u8)(i * 7 + i / 251 + 1);
}

Elf64_Ehdr *image_ehdr(struct image *i)
{
	return (Elf64_Ehdr *)i->bytes;
}

Elf64_Phdr *image_phdr(struct image *i, unsigned n)
{
	return (Elf64_Phdr *)(i->bytes + sizeof(Elf64_Ehdr)) + n;
}

static u64 note_put(u8 *to, const char *name, u32 type, const void *desc, u32 len)
{
	Elf64_Nhdr h = { .n_namesz = (u32)strlen(name) + 1, .n_descsz = len, .n_type = type };
	u64 desc_at = sizeof(h) + ALIGN_UP(h.n_namesz, 4);

	memcpy(to, &h, sizeof(h));
	strcpy((char *)to + sizeof(h), name);
	memcpy(to + desc_at, desc, len);
	return desc_at + ALIGN_UP((u64)len, 4);
}

void image_elf(struct image *i)
{
	u8 *notes = i->bytes + IMAGE_NOTES_OFFSET;
	u64 entry = IMAGE_ENTRY, len = 0;

	memset(i, 0, sizeof(*i));
	*image_ehdr(i) = (Elf64_Ehdr){
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 2,
	};
	len += note_put(notes + len, "GNU", NT_GNU_BUILD_ID, "abc", 3);
	len += note_put(notes + len, "Xen", PVH_NOTE_GUEST_OS, "linux", 6);
	len += note_put(notes + len, "Xen", PVH_NOTE_PHYS32_ENTRY, &entry, 8);
	*image_phdr(i, 0) = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_offset = IMAGE_DATA_OFFSET,
		.p_vaddr = 0xffffffff80000000ull + IMAGE_LOAD,
		.p_paddr = IMAGE_LOAD,
		.p_filesz = IMAGE_DATA,
		.p_memsz = IMAGE_MEMORY,
	};
	*image_phdr(i, 1) = (Elf64_Phdr){
		.p_type = PT_NOTE,
		.p_offset = IMAGE_NOTES_OFFSET,
		.p_filesz = len,
		.p_memsz = len,
	};
	for (u64 n = 0; n < IMAGE_DATA; n++)
		i->bytes[IMAGE_DATA_OFFSET + n] = image_byte(n);
	i->size = IMAGE_DATA_OFFSET + IMAGE_DATA;
}

struct setup_header *image_header(struct image *i)
{
	return (struct setup_header *)(i->bytes + 0x1f1);
}

void image_bzimage(struct image *i, const void *payload, u64 len)
{
	u64 code = 2 * 512, payload_offset = 0x300;

	assert_true(code + payload_offset + len + 16 <= sizeof(i->bytes));
	memset(i, 0, sizeof(*i));
	*image_header(i) = (struct setup_header){
		.setup_sects = 1,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb,
		.header = 0x53726448,
		.version = 0x20f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = 255,
		.payload_offset = (u32)payload_offset,
		.payload_length = (u32)len,
		.pref_address = MiB(4),
		.init_size = MiB(2),
		.syssize = (u32)((payload_offset + len) / 16 + 2),
	};
	for (u64 n = 0; n < payload_offset; n++)
		i->bytes[code + n] = image_byte(n);
	memcpy(i->bytes + code + payload_offset, payload, len);
	i->size = code + image_header(i)->syssize * 16;
}

u64 image_gzip(const struct image *i, u8 *payload, u64 room)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)i->bytes,
		       .avail_in = (uInt)i->size,
		       .next_out = payload,
		       .avail_out = (uInt)room };

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return room - z.avail_out;
}

int image_fd(const void *bytes, u64 size)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	return fd;
}

int boot_run_setup(void **state)
{
	struct boot_run *r = calloc(1, sizeof(*r));

	if (!r || gmem_init(&r->mem, IMAGE_RAM))
		return -1;
	memset(r->mem.region[0].host, 0xa5, IMAGE_RAM);
	memset(&r->state.sregs, 0x5a, sizeof(r->state.sregs));
	r->config = (struct boot_config){ .kernel_fd = -1,
					  .kernel_name = "test.kernel",
					  .cmdline = "console=ttyS0",
					  .cache_fd = -1,
					  .cpus = 1,
					  .rsdp = LAYOUT_ACPI };
	*state = r;
	return 0;
}

int boot_run_teardown(void **state)
{
	struct boot_run *r = *state;

	gmem_fini(&r->mem);
	free(r);
	return 0;
}

int boot_run(struct boot_run *r, const struct image *i)
{
	int err;

	r->config.kernel_fd = image_fd(i->bytes, i->size);
	r->error[0] = 0;
	err = boot_load(&r->mem, &r->config, &r->state, r->error, sizeof(r->error));
	close(r->config.kernel_fd);
	return err;
}

void boot_run_refused(struct boot_run *r, const struct image *i, const char *words)
{
	assert_int_equal(boot_run(r, i), -EINVAL);
	if (!strstr(r->error, words))
		fail_msg("\"%s\" lacks \"%s\"", r->error, words);
	assert_memory_equal(r->error, "test.kernel: ", 13);
}

void boot_run_check_segment(struct boot_run *r)
{
	const u8 *p = gmem_range(&r->mem, IMAGE_LOAD, IMAGE_MEMORY + 1);

	for (u64 n = 0; n < IMAGE_MEMORY; n++)
		if (p[n] != (n < IMAGE_DATA ? image_byte(n) : 0))
			fail_msg("byte 0x%llx of the segment is 0x%x", (unsigned long long)n, p[n]);
	assert_int_equal(p[IMAGE_MEMORY], 0xa5);
}

/* xorshift64 */
u64 image_random(u64 *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

void image_mutate(struct image *i, u64 from, u64 to, u64 *seed)
{
	static const u64 extreme[] = { 0,          1,         0x7fffffff, 0x80000000,   0xffffffff,
				       1ull << 32, ~0ull - 7, ~0ull,      1ull << 63,   IMAGE_LOAD,
				       0xfffff000, 0x1000,    0xf0000,    IMAGE_RAM - 1 };
	u64 count = 1 + image_random(seed) % 4;

	while (count--) {
		u64 at = from + image_random(seed) % (to - from);
		u64 value = extreme[image_random(seed) % ARRAY_SIZE(extreme)];

		switch (image_random(seed) % 4) {
		case 0:
			i->bytes[at] ^= (u8)(1u << (image_random(seed) % 8));
			break;
		case 1:
			i->bytes[at] = (u8)image_random(seed);
			break;
		case 2:
			at &= ~3ull;
			memcpy(i->bytes + at, &value, 4);
			break;
		case 3:
			at &= ~7ull;
			memcpy(i->bytes + at, &value, 8);
			break;
		}
	}
	if (image_random(seed) % 16 == 0)
		i->size = image_random(seed) % (i->size + 1);
}
