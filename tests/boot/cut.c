/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/boot/cut.h"

#include <string.h>

#define MAGIC 0x7475632d72776f70ull

/* FNV-1a. */
uint64_t cut_name(const char *name)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x100000001b3ull;
	return hash;
}

/* splitmix64 */
uint64_t cut_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

void cut_fill(struct cut_block *b, uint64_t file, uint64_t number, uint64_t version, uint64_t size)
{
	uint64_t state = file ^ number << 40 ^ version << 20 ^ size;

	*b = (struct cut_block){
		.magic = MAGIC, .file = file, .number = number, .version = version, .size = size
	};
	for (size_t i = 0; i < sizeof(b->noise) / 8; i++)
		b->noise[i] = cut_random(&state);
}

bool cut_whole(const struct cut_block *b, size_t len, uint64_t file, uint64_t number,
	       uint64_t version, uint64_t size)
{
	struct cut_block want;

	cut_fill(&want, file, number, version, size);
	return !memcmp(b, &want, len);
}
