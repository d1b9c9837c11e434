/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of a power cut's load hold: 4 KiB blocks that say which they are, so that whoever
 * finds one can tell whose it is, which version, and whether it is whole.
 */
#ifndef TESTS_BOOT_CUT_H
#define TESTS_BOOT_CUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CUT_BLOCK 4096u

struct cut_block {
	uint64_t magic;
	uint64_t file; /* cut_name() */
	uint64_t number; /* of the block in the file */
	uint64_t version;
	uint64_t size; /* of the file, bytes; 0 where it is not fixed */
	uint64_t noise[CUT_BLOCK / 8 - 5]; /* made from the above */
};

/* A file's number, from its name. */
uint64_t cut_name(const char *name);

/* The next pseudo-random number. */
uint64_t cut_random(uint64_t *state);

void cut_fill(struct cut_block *b, uint64_t file, uint64_t number, uint64_t version, uint64_t size);

/* Whether the first len bytes of b, at most its size, are those of just that block. */
bool cut_whole(const struct cut_block *b, size_t len, uint64_t file, uint64_t number,
	       uint64_t version, uint64_t size);

#endif
