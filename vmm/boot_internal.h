/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the boot_*.c files share the work; nobody else includes this. In the order of a boot:
 *
 *	boot.c          which format is it: one table
 *	boot_bzimage.c  Linux's bzImage: header, payload, its own 64-bit entry
 *	boot_vmlinux.c  the vmlinux in a bzImage: from the cache, or unpacked
 *	boot_cache.c    what was unpacked before
 *	boot_unpack.c   decompression, pure
 *	boot_multiboot.c  Multiboot (version 1): header, ELF or flat image, what the kernel is told
 *	boot_elf.c      ELF: checks, notes, segments into RAM
 *	boot_place.c    what every format needs: initrd, command line, memory map
 *	boot_pvh.c      the PVH start info
 *	boot_linux.c    the boot_params of Linux's own entry
 *	boot_cpu.c      registers and page tables
 *
 * Kernel and initrd files are untrusted: every offset and size in them is checked, and nothing of
 * them is loaded where our own structures and the ACPI tables lie, below LAYOUT_KERNEL.
 */
#ifndef VMM_BOOT_INTERNAL_H
#define VMM_BOOT_INTERNAL_H

#include <assert.h>
#include <elf.h>
#include <sys/stat.h>

#include <asm/bootparam.h>

#include "vmm/boot.h"
#include "vmm/layout.h"

/* Below LAYOUT_KERNEL; only one kind of boot parameters is used at a time. */
#define BOOT_PARAMS LAYOUT_BOOT_PARAMS
#define BOOT_GDT 0x8000ull
#define BOOT_PAGE_TABLES 0x9000ull /* six pages */

/* One boot under way. */
struct boot {
	const struct gmem *mem;
	const struct boot_config *config;
	struct boot_state *state;
	char *error;
	size_t error_size;

	struct boot_blob kernel; /* the file as given */
	struct stat kernel_stat;
	u64 ram_end; /* of the RAM that starts at 0 */

	/* What the format says. */
	u32 cmdline_max; /* without the final NUL */
	u64 initrd_limit; /* where it must end at the latest */
	gpa_t kernel_end; /* nothing of the kernel lies at or above */
	gpa_t low_start; /* also from here to LAYOUT_CMDLINE; 0: only from LAYOUT_KERNEL */

	u32 initrd_align; /* of each piece */

	/* Set by boot_place_initrd(). */
	gpa_t initrd;
	u64 initrd_size;
	gpa_t initrd_piece[BOOT_INITRD_BLOBS];
};

/* boot.c */

/* Writes "FILE: sentence" as the reason of the failure and returns err. */
int boot_fail(struct boot *b, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Copies [offset, offset + len) of a blob. 0, -ENODATA where it ends before, or -errno. */
int boot_read(const struct boot_blob *blob, u64 offset, void *buf, u64 len);

/* The failure of a boot_read() of `what`. Returns -EINVAL or -errno. */
int boot_fail_read(struct boot *b, int err, const char *what);

/* Fails with how much memory is needed where [0, end) is more than there is. 0 or -EINVAL. */
int boot_check_memory(struct boot *b, u64 end);

/* boot_bzimage.c: an image whose head is `len` bytes. */
bool boot_bzimage_probe(const u8 *head, size_t len);
int boot_bzimage_load(struct boot *b);

/* boot_vmlinux.c: the unpacked vmlinux of a payload at [offset, offset + len) of the kernel file.
 * 0 with *vmlinux to be given to boot_vmlinux_close(); -ENOTSUP where the compression is not known
 * to us; or -errno with the reason. */
int boot_vmlinux_open(struct boot *b, u64 offset, u64 len, struct boot_blob *vmlinux);
void boot_vmlinux_close(struct boot_blob *vmlinux);

/*
 * boot_cache.c: unpacked files, named by the identity of the file they came from (inode, size and
 * both times: contents cannot be made to collide, and nothing has to be read and hashed).
 */

/* A descriptor of what was stored for source, size bytes, or -1. */
int boot_cache_open(int dir_fd, const struct stat *source, u64 size);

/* Keeps data for the next time, at best effort; old entries make room. */
void boot_cache_store(int dir_fd, const struct stat *source, const void *data, u64 size);

/* boot_unpack.c */

/* Whether boot_unpack() knows what starts with these bytes. */
bool boot_unpack_knows(const u8 *in, u64 len);

/*
 * Unpacks a kernel payload (gzip, xz, lzma, LZ4 in its legacy frame, Zstandard) that must yield
 * exactly out_len bytes; in ends in their number as 4 bytes, as Linux's build leaves it. 0,
 * -ENOTSUP (unknown), -EINVAL (damaged) or -ENOMEM.
 */
int boot_unpack(const u8 *in, u64 in_len, u8 *out, u64 out_len);

/* boot_elf.c */

#define BOOT_ELF_SEGMENTS 32

/* What of an ELF file matters, checked. */
struct boot_elf {
	Elf64_Phdr load[BOOT_ELF_SEGMENTS]; /* within the file; below 4 GiB in RAM */
	unsigned count;
	gpa_t end; /* of the highest */
	u64 entry; /* as the file header has it */
	bool has_pvh;
	u32 pvh_entry;
	bool is_linux;
};

bool boot_elf_probe(const u8 *head, size_t len);

/* Of either class. 0, or -EINVAL or -errno with the reason. */
int boot_elf_parse(struct boot *b, const struct boot_blob *file, struct boot_elf *elf);

/* Adds what is to be loaded, once it is known to lie where it may. 0 or -EINVAL with the reason. */
int boot_elf_add(struct boot *b, const struct boot_blob *file, const Elf64_Phdr *p,
		 struct boot_elf *elf);

/* Whether gpa lies in what is loaded. */
bool boot_elf_holds(const struct boot_elf *elf, u64 gpa);

/* Whether it can be started by its PVH note. 0 or -EINVAL with the reason. */
int boot_elf_check_pvh(struct boot *b, const struct boot_elf *elf);

/*
 * Takes the zeros at the end of each segment out of its p_filesz, as p_memsz asks for them anyway:
 * Linux's vmlinux carries 10 to 25 MiB of bss, which then is neither read nor touched. What is no
 * sound ELF file is left alone. file: at least 8-byte aligned.
 */
void boot_elf_trim(u8 *file, u64 size);

/* Loads the segments and sets kernel_end. 0, or -EINVAL or -errno with the reason. */
int boot_elf_place(struct boot *b, const struct boot_blob *file, const struct boot_elf *elf);

/* Loads a file that boot_elf_check_pvh() took, and all it is started with. */
int boot_elf_start(struct boot *b, const struct boot_blob *file, const struct boot_elf *elf);

/* A file that is an ELF by itself. */
int boot_elf_load(struct boot *b);

/* boot_place.c */

/*
 * Reads the initrd pieces to the top of low RAM: the first page aligned, the others initrd_align. 0
 * or -errno with the reason.
 */
int boot_place_initrd(struct boot *b);

/* Where conventional memory ends, and the BIOS's data area used to start. */
#define BOOT_LOW_END 0x9fc00ull

/* Writes the command line to LAYOUT_CMDLINE; NULL: "". 0 or -EINVAL with the reason. */
int boot_place_cmdline(struct boot *b, const char *text);

enum boot_map_type { BOOT_MAP_RAM = 1, BOOT_MAP_RESERVED = 2 }; /* as in E820 and PVH */

struct boot_map_entry {
	gpa_t gpa;
	u64 size;
	enum boot_map_type type;
};

#define BOOT_MAP_MAX 5

/* The guest physical map as told to the guest, ascending. Returns the number of entries. */
unsigned boot_map(const struct gmem *mem, struct boot_map_entry map[static BOOT_MAP_MAX]);

/* boot_multiboot.c: the head has its first MULTIBOOT_SEARCH bytes. */
bool boot_multiboot_probe(const u8 *head, size_t len);
int boot_multiboot_load(struct boot *b);

/* boot_pvh.c: writes the start info and sets the state of a PVH start at entry. */
int boot_pvh_start(struct boot *b, u32 entry);

/* boot_linux.c: fills the zero page from the header of the image. 0 or -EFAULT. */
int boot_linux_params(const struct boot *b, const struct setup_header *header);

/* boot_cpu.c: 32-bit protected mode without paging (PVH). */
void boot_cpu_flat32(struct boot_state *state, u32 entry, gpa_t start_info);

/* boot_cpu.c: long mode, the low 4 GiB mapped one to one (Linux's 64-bit entry). 0 or -EFAULT. */
int boot_cpu_long64(const struct gmem *mem, struct boot_state *state, u64 entry, gpa_t params);

#endif
