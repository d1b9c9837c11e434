/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In a stock guest: writers that make what they write durable, in each of the ways there are, and
 * say then what is. `cut_load DISK DIRECTORY SEED WRITERS`: a line on stdout begins with DISK and
 * is
 *
 *	whole NAME VERSION SIZE           the file is there, of that version or a later one
 *	blocks NAME FIRST COUNT VERSION   those blocks of it are of that version or a later one
 *	grown NAME LENGTH                 at least so many bytes of it are there
 *	gone NAME                         there is no such file
 *	trouble WHAT: ERROR               a system call failed; that writer ends
 *
 * NAME is relative to DIRECTORY, the file system's root. It runs until it is killed; each writer
 * makes new files until they are BUDGET bytes, and then only changes those it has.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/boot/cut.h"

#define BUDGET (16u << 20)
#define BLOCKS 64u /* of the file that is changed in place */
#define FILE_MAX (128u << 10)
#define LOG_MAX (256u << 10)

struct writer {
	const char *disk;
	unsigned number;
	int folder;
	int file; /* changed in place */
	int direct; /* the same with O_DIRECT */
	int through; /* the same with O_DIRECT and O_DSYNC */
	struct cut_block *map; /* the same */
	struct cut_block *buffer; /* FILE_MAX bytes, for O_DIRECT */
	uint64_t random, version, made, files;
	int log; /* only appended to, with O_SYNC */
	uint64_t log_number, log_size;
};

__attribute__((format(printf, 2, 3))) static void say(const struct writer *w, const char *fmt, ...)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "%s ", w->disk);
	va_list ap;

	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	va_end(ap);
	line[n++] = '\n';
	if (write(STDOUT_FILENO, line, (size_t)n) != n)
		_exit(1);
}

static void must(const struct writer *w, bool good, const char *what)
{
	if (good)
		return;
	say(w, "trouble %s: %s", what, strerror(errno));
	_exit(1);
}

static uint64_t below(struct writer *w, uint64_t limit)
{
	return cut_random(&w->random) % limit;
}

/* The name that the lines say; the name in the folder is what follows the slash. */
static const char *named(const struct writer *w, char kind, uint64_t number, char name[static 32])
{
	snprintf(name, 32, "w%u/%c%llu", w->number, kind, (unsigned long long)number);
	return strchr(name, '/') + 1;
}

static int opened(const struct writer *w, const char *name, int flags)
{
	int fd = openat(w->folder, name, flags | O_CLOEXEC, 0644);

	must(w, fd >= 0, "open");
	return fd;
}

static void sync_folder(const struct writer *w)
{
	must(w, !fsync(w->folder), "fsync of a directory");
}

/* A new file of a random size, written in random pieces, and fsynced. Its size. */
static uint64_t make(struct writer *w, const char *path, const char *name, uint64_t version)
{
	uint64_t size = 64 + below(w, below(w, 4) ? 16384 : FILE_MAX - 64);
	int fd = opened(w, path, O_WRONLY | O_CREAT | O_TRUNC);

	for (uint64_t i = 0; i * CUT_BLOCK < size; i++)
		cut_fill(&w->buffer[i], cut_name(name), i, version, size);
	for (uint64_t at = 0, len; at < size; at += len) {
		len = 1 + below(w, size - at);
		must(w, write(fd, (char *)w->buffer + at, len) == (ssize_t)len, "write");
	}
	must(w, !(below(w, 2) ? fsync(fd) : fdatasync(fd)), "fsync");
	close(fd);
	return size;
}

static void create(struct writer *w)
{
	char name[32];
	const char *path = named(w, 'n', w->files++, name);
	uint64_t size = make(w, path, name, 1);

	sync_folder(w);
	w->made += size;
	say(w, "whole %s 1 %llu", name, (unsigned long long)size);
}

/* As editors and package managers do. */
static void replace(struct writer *w)
{
	char name[32];
	const char *path = named(w, 'r', below(w, 3), name);
	uint64_t version = ++w->version, size = make(w, "tmp", name, version);

	must(w, !renameat(w->folder, "tmp", w->folder, path), "rename");
	sync_folder(w);
	say(w, "whole %s %llu %llu", name, (unsigned long long)version, (unsigned long long)size);
}

static void remove_one(struct writer *w)
{
	char name[32];
	const char *path = named(w, 't', w->files++, name);

	make(w, path, name, 1);
	must(w, !unlinkat(w->folder, path, 0), "unlink");
	sync_folder(w);
	say(w, "gone %s", name);
}

static void change(struct writer *w)
{
	char name[32];
	uint64_t first = below(w, BLOCKS), count = 1 + below(w, 8), version = ++w->version;
	size_t len;
	unsigned how = (unsigned)below(w, 4);
	int fd = how == 1 ? w->direct : how == 2 ? w->through : w->file;

	named(w, 'o', 0, name);
	if (count > BLOCKS - first)
		count = BLOCKS - first;
	len = count * CUT_BLOCK;
	for (uint64_t i = 0; i < count; i++)
		cut_fill(&w->buffer[i], cut_name(name), first + i, version, 0);
	if (how == 3) {
		memcpy(w->map + first, w->buffer, len);
		must(w, !msync(w->map + first, len, MS_SYNC), "msync");
	} else {
		must(w, pwrite(fd, w->buffer, len, (off_t)(first * CUT_BLOCK)) == (ssize_t)len,
		     "pwrite");
	}
	if (how < 2)
		must(w, !fdatasync(fd), "fdatasync");
	say(w, "blocks %s %llu %llu %llu", name, (unsigned long long)first,
	    (unsigned long long)count, (unsigned long long)version);
}

static void append(struct writer *w)
{
	uint64_t len = 1 + below(w, 6000), first;
	size_t skip;
	char name[32];
	const char *path;

	if (w->log >= 0 && w->log_size > LOG_MAX) {
		close(w->log);
		w->log = -1;
		w->log_size = 0;
		w->log_number++;
	}
	path = named(w, 'a', w->log_number, name);
	if (w->log < 0) {
		w->log = opened(w, path, O_WRONLY | O_CREAT | O_APPEND | O_SYNC);
		sync_folder(w);
	}
	first = w->log_size / CUT_BLOCK;
	skip = w->log_size % CUT_BLOCK;
	for (uint64_t i = 0; i * CUT_BLOCK < skip + len; i++)
		cut_fill(&w->buffer[i], cut_name(name), first + i, 1, 0);
	must(w, write(w->log, (char *)w->buffer + skip, len) == (ssize_t)len, "O_SYNC write");
	w->log_size += len;
	w->made += len;
	say(w, "grown %s %llu", name, (unsigned long long)w->log_size);
}

/* The file that is changed in place, all of it of version 1. */
static void lay_out(struct writer *w)
{
	char name[32];
	const char *path = named(w, 'o', 0, name);

	w->file = opened(w, path, O_RDWR | O_CREAT);
	w->version = 1;
	for (uint64_t i = 0; i < BLOCKS; i++) {
		cut_fill(w->buffer, cut_name(name), i, 1, 0);
		must(w, write(w->file, w->buffer, CUT_BLOCK) == CUT_BLOCK, "write");
	}
	must(w, !fsync(w->file), "fsync");
	sync_folder(w);
	w->direct = opened(w, path, O_WRONLY | O_DIRECT);
	w->through = opened(w, path, O_WRONLY | O_DIRECT | O_DSYNC);
	w->map = mmap(NULL, (size_t)BLOCKS * CUT_BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, w->file,
		      0);
	must(w, w->map != MAP_FAILED, "mmap");
	say(w, "blocks %s 0 %u 1", name, BLOCKS);
}

/*
 * By half seconds: all of them as fast as they can; the first alone, with time for what it said to
 * get out before anything else is flushed.
 */
static void take_turns(const struct writer *w)
{
	struct timespec now;
	unsigned ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (unsigned)(now.tv_nsec / 1000000);
	if (ms < 500)
		return;
	usleep((w->number ? 1000 - ms : 40) * 1000);
}

static void __attribute__((noreturn)) work(struct writer *w)
{
	static void (*const ways[])(struct writer *) = { change,     change, replace,
							 remove_one, append, create };
	char folder[16];

	snprintf(folder, sizeof(folder), "w%u", w->number);
	must(w, !mkdir(folder, 0755), "mkdir");
	w->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(w, w->folder >= 0, "open of a directory");
	must(w, !posix_memalign((void **)&w->buffer, CUT_BLOCK, FILE_MAX + 2 * CUT_BLOCK),
	     "memory");
	lay_out(w);
	for (;;) {
		size_t count = sizeof(ways) / sizeof(ways[0]);

		take_turns(w);
		ways[below(w, w->made < BUDGET ? count : count - 2)](w);
	}
}

int main(int argc, char **argv)
{
	unsigned writers;

	if (argc != 5 || chdir(argv[2])) {
		fprintf(stderr, "usage: cut_load DISK DIRECTORY SEED WRITERS\n");
		return 2;
	}
	writers = (unsigned)strtoul(argv[4], NULL, 0);
	for (unsigned i = 0; i < writers; i++) {
		struct writer w = { .disk = argv[1],
				    .number = i,
				    .log = -1,
				    .random = strtoul(argv[3], NULL, 0) * 64 + i };

		if (!fork())
			work(&w);
	}
	while (wait(NULL) > 0)
		;
	return 1;
}
