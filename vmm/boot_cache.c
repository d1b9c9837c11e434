/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unpacked kernels from one run to the next. An entry appears whole or not at all (written aside,
 * synced, renamed), is used only where nobody but the owner of the directory could have written
 * it, and holds an ELF file that is checked like any other. The cache only ever saves time: every
 * failure here is a miss.
 */
#include "vmm/boot_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CACHE_PREFIX "vmlinux-"
#define CACHE_FORMAT 1
#define CACHE_NAME 160

/* Each is some 50 MiB; the least recently used goes first. */
#define CACHE_ENTRIES_MAX 16

static void entry_name(char name[static CACHE_NAME], const struct stat *s)
{
	snprintf(name, CACHE_NAME, CACHE_PREFIX "%d-%llx-%llx-%llx.%lx-%llx.%lx", CACHE_FORMAT,
		 (unsigned long long)s->st_ino, (unsigned long long)s->st_size,
		 (unsigned long long)s->st_mtim.tv_sec, (unsigned long)s->st_mtim.tv_nsec,
		 (unsigned long long)s->st_ctim.tv_sec, (unsigned long)s->st_ctim.tv_nsec);
}

/* Whether an open entry is one we wrote, complete. */
static bool entry_is_good(int dir_fd, int fd, u64 size)
{
	u8 magic[SELFMAG];
	struct stat dir, s;

	return !fstat(dir_fd, &dir) && !fstat(fd, &s) && S_ISREG(s.st_mode) &&
	       s.st_uid == dir.st_uid && !(s.st_mode & (S_IWGRP | S_IWOTH)) &&
	       (u64)s.st_size == size && pread(fd, magic, sizeof(magic), 0) == sizeof(magic) &&
	       boot_elf_probe(magic, sizeof(magic));
}

int boot_cache_open(int dir_fd, const struct stat *source, u64 size)
{
	char name[CACHE_NAME];
	int fd;

	if (dir_fd < 0)
		return -1;
	entry_name(name, source);
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -1;
	if (!entry_is_good(dir_fd, fd, size)) {
		close(fd);
		return -1;
	}
	/* Used now. It may be somebody else's file: then its age stays. */
	futimens(fd, NULL);
	return fd;
}

static bool write_all(int fd, const u8 *data, u64 size)
{
	while (size) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data += n;
		size -= (u64)n;
	}
	return true;
}

/* Removes the oldest entry where there are too many. */
static void cache_prune(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char oldest[CACHE_NAME] = "";
	struct timespec age = { 0 };
	unsigned count = 0;
	struct dirent *e;
	struct stat s;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(dir))) {
		if (strncmp(e->d_name, CACHE_PREFIX, strlen(CACHE_PREFIX)) ||
		    strlen(e->d_name) >= sizeof(oldest) ||
		    fstatat(dir_fd, e->d_name, &s, AT_SYMLINK_NOFOLLOW))
			continue;
		if (!count++ || s.st_mtim.tv_sec < age.tv_sec ||
		    (s.st_mtim.tv_sec == age.tv_sec && s.st_mtim.tv_nsec < age.tv_nsec)) {
			age = s.st_mtim;
			snprintf(oldest, sizeof(oldest), "%s", e->d_name);
		}
	}
	closedir(dir);
	if (count > CACHE_ENTRIES_MAX)
		unlinkat(dir_fd, oldest, 0);
}

void boot_cache_store(int dir_fd, const struct stat *source, const void *data, u64 size)
{
	char name[CACHE_NAME], temp[CACHE_NAME + 64];
	struct timespec now;
	bool written;
	int fd;

	if (dir_fd < 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	entry_name(name, source);
	snprintf(temp, sizeof(temp), CACHE_PREFIX "%ld.%lx.%lx.tmp", (long)getpid(),
		 (unsigned long)now.tv_sec, (unsigned long)now.tv_nsec);
	fd = openat(dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return;
	written = write_all(fd, data, size) && !fdatasync(fd);
	if (close(fd) || !written || renameat(dir_fd, temp, dir_fd, name))
		unlinkat(dir_fd, temp, 0);
	cache_prune(dir_fd);
}
