/* SPDX-License-Identifier: BSD-2-Clause */
/* Small files, whole. */
#ifndef IMAGES_INIT_FILE_H
#define IMAGES_INIT_FILE_H

#include "base/types.h"

#define FILE_MAX MiB(64)

/*
 * Reads a file: malloc'ed, the caller's, with a NUL behind it; its length in *len (may be NULL).
 * NULL with errno: EFBIG past FILE_MAX, or why it cannot be read.
 */
char *file_read(const char *path, size_t *len);

/* Replaces what a (sysfs, procfs) file says. 0 or -errno. */
int file_write(const char *path, const char *text);

#endif
