/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks on an image, so that two machines never write one: advisory OFD locks, which belong to the
 * open file and so survive fork() and end with its last descriptor. Two agreements in one:
 *
 * - Byte 0, a write lock for the writer, a read lock for readers: against each other, and against
 *   whoever locks the whole file.
 * - What QEMU does with its images (docs/system/images, "disk image file locking"): read locks
 *   only. One on byte 100+n says that its holder does n to the image, one on byte 200+n that it
 *   suffers nobody else to do n; who comes asks whether a write lock were possible on the bytes
 *   that speak against it. n is 0 for consistent reads, 1 for writes, 3 for resizing.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "devices/backend/disk.h"

enum { QEMU_READ = 0, QEMU_WRITE = 1, QEMU_RESIZE = 3 };
#define QEMU_DOES(n) (100 + (n))
#define QEMU_BARS(n) (200 + (n))

static struct flock lock_of(short type, off_t byte)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
}

static int lock_byte(int fd, short type, off_t byte)
{
	struct flock l = lock_of(type, byte);

	if (!fcntl(fd, F_OFD_SETLK, &l))
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

/* -EBUSY: somebody holds a lock there. */
static int lock_test(int fd, off_t byte)
{
	struct flock l = lock_of(F_WRLCK, byte);

	if (fcntl(fd, F_OFD_GETLK, &l))
		return -errno;
	return l.l_type == F_UNLCK ? 0 : -EBUSY;
}

static int lock_all(int fd, bool writer)
{
	int err = lock_byte(fd, writer ? F_WRLCK : F_RDLCK, 0);

	if (!err)
		err = lock_byte(fd, F_RDLCK, QEMU_DOES(QEMU_READ));
	if (!err && writer)
		err = lock_byte(fd, F_RDLCK, QEMU_DOES(QEMU_WRITE));
	if (!err)
		err = lock_byte(fd, F_RDLCK, QEMU_BARS(QEMU_WRITE));
	if (!err)
		err = lock_byte(fd, F_RDLCK, QEMU_BARS(QEMU_RESIZE));
	return err;
}

/* After our own, which do not count here: of two that come at once at least one sees the other. */
static int test_all(int fd, bool writer)
{
	int err = lock_test(fd, QEMU_BARS(QEMU_READ));

	if (!err && writer)
		err = lock_test(fd, QEMU_BARS(QEMU_WRITE));
	if (!err)
		err = lock_test(fd, QEMU_DOES(QEMU_WRITE));
	return err ? err : lock_test(fd, QEMU_DOES(QEMU_RESIZE));
}

/* ---- Who has it ---- */

/* Whether descriptor `fd` of process `pid` is that file, and holds a lock. */
static bool holds(const char *pid, const char *fd, const struct stat *file)
{
	char path[300], line[256];
	struct stat st;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.20s/fd/%.20s", pid, fd);
	if (stat(path, &st) || st.st_dev != file->st_dev || st.st_ino != file->st_ino)
		return false;
	snprintf(path, sizeof(path), "/proc/%.20s/fdinfo/%.20s", pid, fd);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = !strncmp(line, "lock:", 5);
	if (f)
		fclose(f);
	return found;
}

static bool process_holds(const char *pid, const struct stat *file)
{
	char path[64];
	struct dirent *e;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	dir = opendir(path);
	while (dir && !found && (e = readdir(dir)))
		found = isdigit((unsigned char)e->d_name[0]) && holds(pid, e->d_name, file);
	if (dir)
		closedir(dir);
	return found;
}

static void name_process(const char *pid, char *holder, size_t size)
{
	char path[64], comm[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	f = fopen(path, "re");
	if (f && fgets(comm, sizeof(comm), f))
		comm[strcspn(comm, "\n")] = '\0';
	if (f)
		fclose(f);
	for (char *c = comm; *c; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
	snprintf(holder, size, "%s (process %.20s)", comm, pid);
}

/* The kernel names no process for an OFD lock: any may have the open file. Ours comes last. */
static void find_holder(int fd, char *holder, size_t size)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	struct stat file;
	long self = getpid();

	if (!proc || fstat(fd, &file)) {
		if (proc)
			closedir(proc);
		return;
	}
	while ((e = readdir(proc))) {
		bool own = strtol(e->d_name, NULL, 10) == self;

		if (isdigit((unsigned char)e->d_name[0]) && process_holds(e->d_name, &file)) {
			name_process(e->d_name, holder, size);
			if (!own)
				break;
		}
	}
	closedir(proc);
}

static int lock_once(int fd, bool writer, char *holder, size_t holder_size)
{
	struct flock none = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
	int err = lock_all(fd, writer);

	if (!err)
		err = test_all(fd, writer);
	if (!err)
		return 0;
	fcntl(fd, F_OFD_SETLK, &none);
	holder[0] = '\0';
	if (err == -EBUSY)
		find_holder(fd, holder, holder_size);
	return err;
}

/*
 * The kernel may hold what a process has closed, or had open when it ended, for a second where it
 * was registered with io_uring: a lock that nobody is found to hold is asked for again.
 */
static int lock_patiently(int fd, bool writer, char *holder, size_t size)
{
	int err = lock_once(fd, writer, holder, size);

	for (unsigned tries = 60; err == -EBUSY && !holder[0] && tries; tries--) {
		nanosleep(&(struct timespec){ .tv_nsec = 50 * (long)NSEC_PER_MSEC }, NULL);
		err = lock_once(fd, writer, holder, size);
	}
	return err;
}

/* ---- The host's loop devices, which take no locks ---- */

static bool loops_over(const char *device, const struct stat *file)
{
	char path[PATH_MAX], backing[PATH_MAX] = "";
	struct stat st;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/block/%.32s/loop/backing_file", device);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (fgets(backing, sizeof(backing), f))
		backing[strcspn(backing, "\n")] = '\0';
	fclose(f);
	return !stat(backing, &st) && st.st_dev == file->st_dev && st.st_ino == file->st_ino;
}

/* The name of one that is made of the file; empty: there is none. */
static void find_loop(int fd, char *loop, size_t size)
{
	DIR *dir = opendir("/sys/block");
	struct dirent *e;
	struct stat file;

	loop[0] = '\0';
	while (dir && !loop[0] && !fstat(fd, &file) && (e = readdir(dir)))
		if (!strncmp(e->d_name, "loop", 4) && loops_over(e->d_name, &file))
			snprintf(loop, size, "/dev/%.32s", e->d_name);
	if (dir)
		closedir(dir);
}

static int loop_check(int fd, const struct disk_config *config, char *error, size_t error_size)
{
	char loop[64];

	find_loop(fd, loop, sizeof(loop));
	if (!loop[0])
		return 0;
	snprintf(error, error_size,
		 "disk image %s is in use by this host itself, as %s, which may be mounted: umount "
		 "and losetup -d end that, lock=off heeds it not",
		 config->path, loop);
	return -EBUSY;
}

int disk_lock(int fd, const struct disk_config *config, char *error, size_t error_size)
{
	bool writer = !config->read_only && !config->ephemeral;
	char holder[128];
	int err = config->unlocked ? 0 : lock_patiently(fd, writer, holder, sizeof(holder));

	if (err == -EBUSY) {
		snprintf(error, error_size,
			 "disk image %s is in use by %s%s; lock=off heeds no lock", config->path,
			 holder[0] ? holder : "another process",
			 writer ? "; with ,ephemeral many may read it" : "");
		return err;
	}
	if (err)
		log_warn("disk image %s cannot be locked (%s): take care that nothing else writes "
			 "it",
			 config->path, strerror(-err));
	return writer && !config->unlocked ? loop_check(fd, config, error, error_size) : 0;
}

int disk_claim(int *fd, const struct disk_config *config, char *error, size_t error_size)
{
	int flags = O_RDWR | O_EXCL | O_CLOEXEC | O_NOCTTY |
		    (config->cache == DISK_DIRECT ? O_DIRECT : 0);
	struct stat st;

	*fd = -1;
	if (config->unlocked || config->read_only || config->ephemeral || stat(config->path, &st) ||
	    !S_ISBLK(st.st_mode))
		return 0;
	for (unsigned tries = 40; tries; tries--) {
		*fd = open(config->path, flags);
		if (*fd >= 0 || errno != EBUSY)
			return 0;
		nanosleep(&(struct timespec){ .tv_nsec = 50 * (long)NSEC_PER_MSEC }, NULL);
	}
	snprintf(
		error, error_size,
		"disk image %s is in use by this host itself (mounted, or part of another device); "
		"lock=off heeds that not",
		config->path);
	return -EBUSY;
}
