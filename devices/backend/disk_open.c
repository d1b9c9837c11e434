/* SPDX-License-Identifier: BSD-2-Clause */
/* Which back end an image gets, and what is put on top of it. Before any sandbox. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "devices/backend/disk.h"
#include "devices/backend/disk_daemon.h"
#include "devices/backend/disk_nbd.h"

/* Where the file cannot be read, opening it as raw says why. */
static int probe(const struct disk_config *config, enum disk_format *format, char *error,
		 size_t size)
{
	int fd, err;

	*format = config->format;
	if (config->format != DISK_AUTO)
		return 0;
	*format = DISK_RAW;
	fd = open(config->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return 0;
	err = disk_probe(fd, config->path, format, error, size);
	close(fd);
	return err;
}

static int open_served(struct disk **disk, const struct disk_config *config, char *error,
		       size_t size)
{
	struct nbd_config nbd = { .name = config->path,
				  .uri = config->path,
				  .logical_block = config->logical_block,
				  .read_only = config->read_only || config->ephemeral,
				  .unsafe = config->cache == DISK_UNSAFE };

	return disk_nbd_open(disk, &nbd, error, size);
}

static int open_image(struct disk **disk, const struct disk_config *config, char *error,
		      size_t size)
{
	enum disk_format format;
	int err = probe(config, &format, error, size);

	if (!err && config->aio == DISK_AIO_URING && !uring_possible()) {
		snprintf(error, size,
			 "disk image %s: aio=io_uring: this host does not allow it (sysctl "
			 "kernel.io_uring_disabled, or its sandbox); take aio=threads",
			 config->path);
		return -EPERM;
	}
	if (err)
		return err;
	if (format != DISK_RAW)
		return disk_daemon_open(disk, config, format, error, size);
	return disk_raw_open(disk, config, error, size);
}

/* Puts on *disk what config asks for, the last one on top. */
static int put_on_top(struct disk **disk, const struct disk_config *config, char *error,
		      size_t size)
{
	u32 burst = config->burst_ms ? config->burst_ms : DISK_BURST_MS;
	int err = 0;

	if (config->ephemeral)
		err = disk_ephemeral_open(disk, *disk, error, size);
	if (!err && (config->iops || config->bps))
		err = disk_limit_open(disk, *disk, config->iops, config->bps, burst);
	if (!err)
		err = disk_meter_open(disk, *disk);
	if (err == -ENOMEM)
		snprintf(error, size, "out of memory");
	return err;
}

static bool writes(const struct disk_config *config)
{
	return !config->read_only && !config->ephemeral;
}

/* By whatever names: links, symbolic or not, and device nodes. */
static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	if (disk_is_uri(a) || disk_is_uri(b))
		return !strcmp(a, b);
	if (stat(a, &x) || stat(b, &y))
		return false;
	if (S_ISBLK(x.st_mode) && S_ISBLK(y.st_mode))
		return x.st_rdev == y.st_rdev;
	return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

int disk_tell_apart(const struct disk_config *a, const struct disk_config *b, char *error,
		    size_t error_size)
{
	bool same_name = !strcmp(a->path, b->path);

	if (a->unlocked || b->unlocked || (!writes(a) && !writes(b)) ||
	    !same_file(a->path, b->path))
		return 0;
	snprintf(error, error_size,
		 "disk image %s%s%s: it cannot be two disks of one guest of which one is written; "
		 "with ,ro or ,ephemeral for both it can, lock=off heeds none of it",
		 a->path, same_name ? " is given twice" : " is the same as ",
		 same_name ? "" : b->path);
	return -EBUSY;
}

int disk_open(struct disk **disk, const struct disk_config *config, char *error, size_t error_size)
{
	int err = disk_is_uri(config->path) ? open_served(disk, config, error, error_size)
					    : open_image(disk, config, error, error_size);

	if (err)
		return err;
	if (config->cache == DISK_UNSAFE)
		log_warn("disk %s: cache=unsafe: what the guest flushes is not flushed; a crash of "
			 "this host may destroy the image",
			 config->path);
	err = put_on_top(disk, config, error, error_size);
	if (err)
		(*disk)->ops->close(*disk);
	return err;
}
