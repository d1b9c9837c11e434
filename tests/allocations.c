/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/allocations.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

static _Atomic u64 calls;

u64 allocations(void)
{
	return atomic_load(&calls);
}

/* The linker turns calls of NAME into those of __wrap_NAME, and __real_NAME into NAME. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);

void *__wrap_malloc(size_t size)
{
	atomic_fetch_add(&calls, 1);
	return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	atomic_fetch_add(&calls, 1);
	return __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	atomic_fetch_add(&calls, 1);
	return __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	atomic_fetch_add(&calls, 1);
	return __real_aligned_alloc(alignment, size);
}

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	atomic_fetch_add(&calls, 1);
	return __real_mmap(at, len, prot, flags, fd, offset);
}
