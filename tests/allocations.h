/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counts what the linked objects allocate: malloc, calloc, realloc, aligned_alloc and mmap called
 * from them, not what libraries do within. A program that links allocations.c is linked with
 * $(COUNT_ALLOCATIONS) of tests.mk.
 */
#ifndef TESTS_ALLOCATIONS_H
#define TESTS_ALLOCATIONS_H

#include "base/types.h"

/* Calls so far, by any thread. */
u64 allocations(void);

#endif
