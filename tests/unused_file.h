/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether anybody, the kernel's own workings included, still has a file open. */
#ifndef TESTS_UNUSED_FILE_H
#define TESTS_UNUSED_FILE_H

#include "base/types.h"

/*
 * Nobody holds an OFD lock on it, nor has it open for writing. The caller owns the file. Opens it
 * for a moment.
 */
bool file_unused(const char *path);

/* Waits for that, half a minute at most: Linux 6.1 closes what io_uring had open by a timer. */
bool file_unused_soon(const char *path);

#endif
