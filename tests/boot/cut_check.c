/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a file system holds what was acknowledged: `cut_check DIRECTORY DISK MARK <LINES`. A line
 * is a number, then what cut_load.c said; those of DISK whose number is at most MARK must be true
 * of DIRECTORY. Says what is not, and last how many were; 1 where one was not.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/boot/cut.h"

struct found {
	const struct cut_block *blocks;
	uint64_t size;
};

static bool find(int folder, const char *name, struct found *f)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *map;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) || !st.st_size) {
		close(fd);
		return false;
	}
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return false;
	*f = (struct found){ .blocks = map, .size = (uint64_t)st.st_size };
	return true;
}

static size_t block_length(uint64_t size, uint64_t number)
{
	uint64_t left = size - number * CUT_BLOCK;

	return left < CUT_BLOCK ? left : CUT_BLOCK;
}

static bool whole(const struct found *f, const char *name, uint64_t version)
{
	const struct cut_block *first = f->blocks;

	if (f->size < offsetof(struct cut_block, noise) || first->size != f->size ||
	    first->version < version)
		return false;
	for (uint64_t i = 0; i * CUT_BLOCK < f->size; i++)
		if (!cut_whole(&f->blocks[i], block_length(f->size, i), cut_name(name), i,
			       first->version, f->size))
			return false;
	return true;
}

static bool blocks(const struct found *f, const char *name, const uint64_t v[static 3])
{
	for (uint64_t i = v[0]; i < v[0] + v[1]; i++) {
		const struct cut_block *b = &f->blocks[i];

		if ((i + 1) * CUT_BLOCK > f->size || b->version < v[2] ||
		    !cut_whole(b, CUT_BLOCK, cut_name(name), i, b->version, 0))
			return false;
	}
	return true;
}

static bool grown(const struct found *f, const char *name, uint64_t length)
{
	for (uint64_t i = 0; i * CUT_BLOCK < length; i++)
		if (f->size < length ||
		    !cut_whole(&f->blocks[i], block_length(length, i), cut_name(name), i, 1, 0))
			return false;
	return true;
}

/* Whether what a line says is so. */
static bool holds(int folder, const char *what, const char *name, const uint64_t v[static 3])
{
	struct found f;
	bool good = false;

	if (!strcmp(what, "gone"))
		return faccessat(folder, name, F_OK, 0) != 0;
	if (!find(folder, name, &f))
		return false;
	if (!strcmp(what, "whole"))
		good = whole(&f, name, v[0]);
	else if (!strcmp(what, "blocks"))
		good = blocks(&f, name, v);
	else if (!strcmp(what, "grown"))
		good = grown(&f, name, v[0]);
	munmap((void *)f.blocks, f.size);
	return good;
}

int main(int argc, char **argv)
{
	int folder = argc == 4 ? open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	unsigned long long mark, checked = 0, lost = 0;
	char line[512];

	if (folder < 0) {
		fprintf(stderr, "usage: cut_check DIRECTORY DISK MARK <LINES\n");
		return 2;
	}
	mark = strtoull(argv[3], NULL, 10);
	while (fgets(line, sizeof(line), stdin)) {
		char disk[32], what[32], name[64];
		unsigned long long at, v[3] = { 0 };

		if (sscanf(line, "%llu %31s %31s %63s %llu %llu %llu", &at, disk, what, name, &v[0],
			   &v[1], &v[2]) < 4 ||
		    strcmp(disk, argv[2]) || at > mark)
			continue;
		checked++;
		if (holds(folder, what, name, (uint64_t[]){ v[0], v[1], v[2] }))
			continue;
		lost++;
		printf("lost: %s", line);
	}
	printf("%llu acknowledged, %llu lost\n", checked, lost);
	return lost > 0;
}
