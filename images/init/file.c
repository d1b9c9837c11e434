/* SPDX-License-Identifier: BSD-2-Clause */
#include "images/init/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Doubles *buf (cap bytes) up to FILE_MAX. */
static bool buffer_grow(char **buf, size_t *cap)
{
	char *grown;

	if (*cap >= FILE_MAX) {
		errno = EFBIG;
		return false;
	}
	grown = realloc(*buf, *cap * 2);
	if (!grown)
		return false;
	*buf = grown;
	*cap *= 2;
	return true;
}

/* Files of procfs and sysfs have no size to go by. */
static char *descriptor_read(int fd, size_t *len)
{
	size_t cap = KiB(4), used = 0;
	char *buf = malloc(cap);
	ssize_t n = 1;

	while (buf && n > 0) {
		if (used + 1 == cap && !buffer_grow(&buf, &cap))
			break;
		n = read(fd, buf + used, cap - used - 1);
		if (n > 0)
			used += (size_t)n;
	}
	if (!buf || n) {
		free(buf);
		return NULL;
	}
	buf[used] = '\0';
	if (len)
		*len = used;
	return buf;
}

char *file_read(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text;
	int saved;

	if (fd < 0)
		return NULL;
	text = descriptor_read(fd, len);
	saved = errno;
	close(fd);
	errno = saved;
	return text;
}

int file_write(const char *path, const char *text)
{
	size_t len = strlen(text);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len)
		err = -errno;
	close(fd);
	return err;
}
