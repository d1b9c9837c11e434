/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds, checks and locks the image of a raw disk, and says in one sentence what is wrong with it.
 * Main thread, before any sandbox.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/backend/disk.h"

/* An image being opened. */
struct image {
	const char *path;
	int fd;
	int claim_fd; /* -1: nothing is claimed */
	const struct disk_config *config;
	bool writable; /* by us */
	u64 size;
	u32 logical_block, physical_block;
	u32 align; /* what O_DIRECT wants; 0: there is none */
	bool rotational;
	char *error;
	size_t error_size;
};

/* Fills in the sentence and returns err. */
__attribute__((format(printf, 3, 4))) static int image_fail(const struct image *im, int err,
							    const char *fmt, ...)
{
	int n = snprintf(im->error, im->error_size, "disk image %s ", im->path);
	va_list ap;

	if (n < 0 || (size_t)n >= im->error_size)
		return err;
	va_start(ap, fmt);
	vsnprintf(im->error + n, im->error_size - (size_t)n, fmt, ap);
	va_end(ap);
	return err;
}

static int image_open(struct image *im)
{
	int flags = (im->writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY |
		    (im->config->cache == DISK_DIRECT ? O_DIRECT : 0);
	struct stat st;

	if (stat(im->path, &st)) {
		if (errno == ENOENT)
			return image_fail(im, -ENOENT, "does not exist%s",
					  strstr(im->path, "://") ||
							  !strncasecmp(im->path, "nbd:", 4)
						  ? "; a URI begins with nbd://, nbds://, "
						    "nbd+unix:// or nbds+unix://"
						  : "");
		return image_fail(im, -errno, "cannot be found: %s", strerror(errno));
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return image_fail(im, -EINVAL, "is neither a file nor a block device");
	im->fd = open(im->path, flags);
	if (im->fd >= 0)
		return 0;
	if (errno == EINVAL && im->config->cache == DISK_DIRECT)
		return image_fail(im, -EINVAL,
				  "lies where there is no I/O past the page cache (O_DIRECT): take "
				  "cache=writeback instead of none");
	if (im->writable && (errno == EACCES || errno == EROFS || errno == EPERM))
		return image_fail(im, -errno,
				  "may not be written (%s); ,ro or ,ephemeral only reads it",
				  strerror(errno));
	return image_fail(im, -errno, "cannot be opened: %s", strerror(errno));
}

static int image_measure_device(struct image *im)
{
	int logical = 0, read_only = 0;
	unsigned physical = 0;
	unsigned short rotational = 0;

	if (ioctl(im->fd, BLKGETSIZE64, &im->size) || ioctl(im->fd, BLKSSZGET, &logical))
		return image_fail(im, -errno, "does not tell its size: %s", strerror(errno));
	if (logical != 512 && logical != 4096)
		return image_fail(im, -EINVAL, "has blocks of %d bytes, not 512 or 4096", logical);
	im->align = (u32)logical;
	if (im->writable && !ioctl(im->fd, BLKROGET, &read_only) && read_only)
		return image_fail(im, -EROFS,
				  "is a read-only device; ,ro or ,ephemeral only reads it");
	im->logical_block = (u32)logical;
	if (!ioctl(im->fd, BLKPBSZGET, &physical) && physical >= im->logical_block)
		im->physical_block = physical;
	im->rotational = !ioctl(im->fd, BLKROTATIONAL, &rotational) && rotational;
	return 0;
}

/* The smallest piece, lying no better than its size, that is read; as assumed where none is. */
static void image_try_align(struct image *im)
{
	u8 *buf = aligned_alloc(4096, 8192);

	for (u32 align = 512; buf && align <= 4096; align *= 2) {
		if (pread(im->fd, buf + align, align, 0) < 0)
			continue;
		im->align = align;
		break;
	}
	free(buf);
}

/*
 * What O_DIRECT wants of a place on the disk and of a buffer: where the kernel says (Linux 6.1, not
 * every file system), as it says, else as it does.
 */
static void image_align(struct image *im)
{
#ifdef STATX_DIOALIGN
	struct statx x;

	if (!statx(im->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &x) && x.stx_mask & STATX_DIOALIGN &&
	    x.stx_dio_offset_align) {
		im->align = MAX(x.stx_dio_offset_align, x.stx_dio_mem_align);
		return;
	}
#endif
	image_try_align(im);
}

/* The guest's block is what was asked for, but O_DIRECT cannot do with less than its own. */
static int image_blocks(struct image *im)
{
	if (im->config->cache != DISK_DIRECT)
		im->align = 0;
	else
		image_align(im);
	if (im->config->logical_block)
		im->logical_block = im->config->logical_block;
	im->physical_block = MAX(im->physical_block, im->logical_block);
	if (im->align <= im->logical_block)
		return 0;
	return image_fail(
		im, -EINVAL,
		"takes cache=none in pieces of %u bytes only: give it logical_block=4096, "
		"if what is on it was made for that, or cache=writeback",
		im->align);
}

static int image_measure(struct image *im)
{
	struct stat st;
	int err = 0;

	im->logical_block = im->align = 512;
	im->physical_block = 4096;
	if (fstat(im->fd, &st))
		return image_fail(im, -errno, "cannot be measured: %s", strerror(errno));
	if (S_ISBLK(st.st_mode))
		err = image_measure_device(im);
	else
		im->size = (u64)st.st_size;
	if (!err)
		err = image_blocks(im);
	if (err)
		return err;
	if (S_ISBLK(st.st_mode) && !im->size)
		return image_fail(im, -EINVAL, "is a device with nothing in it");
	if (!im->size)
		return image_fail(im, -EINVAL, "is empty; give it a size: truncate -s 10G %s",
				  im->path);
	if (S_ISBLK(st.st_mode) && im->size % im->logical_block)
		return image_fail(im, -EINVAL, "is no whole number of %u-byte blocks",
				  im->logical_block);
	if (im->size % im->logical_block)
		return image_fail(im, -EINVAL,
				  "is no whole number of %u-byte blocks; round it up: "
				  "truncate -s %%%u %s",
				  im->logical_block, im->logical_block, im->path);
	return 0;
}

/* All requests go by the claim where there is one; the file with the locks serves flushes then. */
static int image_disk(const struct image *im, struct disk **disk)
{
	bool claimed = im->claim_fd >= 0;
	char *full = NULL;
	int err =
		disk_raw_adopt(disk, claimed ? im->claim_fd : im->fd, im->size, im->logical_block);

	if (err)
		return image_fail(im, err, "cannot be used: %s", strerror(-err));
	disk_raw_set(*disk,
		     (struct disk_raw_how){ .align = im->align,
					    .unsafe = im->config->cache == DISK_UNSAFE,
					    .threads = im->config->aio == DISK_AIO_THREADS });
	(*disk)->name = im->path;
	if (im->writable)
		disk_raw_flush_apart(*disk, im->config->loops, claimed ? im->fd : -1);
	(*disk)->physical_block = im->physical_block;
	(*disk)->rotational = im->rotational;
	(*disk)->read_only = !im->writable;
	(*disk)->can_discard &= im->writable;
	full = realpath(im->path, NULL);
	disk_set_id(*disk, full ? full : im->path);
	free(full);
	return 0;
}

int disk_raw_open(struct disk **disk, const struct disk_config *config, char *error,
		  size_t error_size)
{
	struct image im = { .path = config->path,
			    .fd = -1,
			    .claim_fd = -1,
			    .config = config,
			    .writable = !config->read_only && !config->ephemeral,
			    .error = error,
			    .error_size = error_size };
	int err = image_open(&im);

	if (im.fd >= 0)
		err = image_measure(&im);
	if (!err)
		err = disk_lock(im.fd, config, error, error_size);
	if (!err)
		err = disk_claim(&im.claim_fd, config, error, error_size);
	if (!err)
		err = image_disk(&im, disk);
	if (err && im.claim_fd >= 0)
		close(im.claim_fd);
	if (err && im.fd >= 0)
		close(im.fd);
	return err;
}
