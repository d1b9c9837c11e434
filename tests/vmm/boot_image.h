/* SPDX-License-Identifier: BSD-2-Clause */
/* Small kernel files made by hand, and one boot of them, for the boot_*_test.c. */
#ifndef TESTS_VMM_BOOT_IMAGE_H
#define TESTS_VMM_BOOT_IMAGE_H

#include "vmm/boot_internal.h"

/* setjmp.h and stdarg.h are cmocka's wish. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* Where the ELF's one segment goes, what of it is in the file, and its bytes. */
#define IMAGE_LOAD MiB(2)
#define IMAGE_DATA 0x3000u
#define IMAGE_MEMORY 0x5000u
#define IMAGE_DATA_OFFSET 0x1000u
#define IMAGE_NOTES_OFFSET 0x200u
#define IMAGE_ENTRY ((u32)IMAGE_LOAD + 0x123)

#define IMAGE_RAM MiB(16)

struct image {
	u8 bytes[KiB(64)];
	u64 size;
};

/* The byte at offset i of the segment. */
u8 image_byte(u64 i);

/* A Linux-like ELF with a PVH note. Program header 0 is the segment, 1 the notes. */
void image_elf(struct image *i);
Elf64_Ehdr *image_ehdr(struct image *i);
Elf64_Phdr *image_phdr(struct image *i, unsigned n);

/* A bzImage around a payload (packed bytes with their size trailer). */
void image_bzimage(struct image *i, const void *payload, u64 len);
struct setup_header *image_header(struct image *i);

/* An image's bytes as a gzip payload. Returns its length. */
u64 image_gzip(const struct image *i, u8 *payload, u64 room);

/* One boot: zeroed config with defaults, RAM full of 0xa5. */
struct boot_run {
	struct gmem mem;
	struct boot_config config;
	struct boot_state state;
	char error[512];
};

int boot_run_setup(void **state);
int boot_run_teardown(void **state);

/* Boots the image; the result is boot_load()'s. */
int boot_run(struct boot_run *r, const struct image *i);

/* Expects -EINVAL with words in the sentence. */
void boot_run_refused(struct boot_run *r, const struct image *i, const char *words);

/* Whether the ELF's segment lies in RAM as it should. */
void boot_run_check_segment(struct boot_run *r);

/* The next of a fixed sequence of pseudo-random numbers. */
u64 image_random(u64 *seed);

/* Changes a few bytes, or single bits, or an aligned field to an extreme value. */
void image_mutate(struct image *i, u64 from, u64 to, u64 *seed);

/* A descriptor of an anonymous file. */
int image_fd(const void *bytes, u64 size);

#endif
