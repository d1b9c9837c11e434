/* SPDX-License-Identifier: BSD-2-Clause */
/* The window: one page table of 4 KiB pages for tests (start.S has the rest). */
#include "tests/bare/bare.h"

#define PRESENT_WRITABLE 0x3ull

extern volatile uint64_t bare_window_table[512] __asm__("bare_window_table");

void *bare_window(unsigned slot)
{
	return (void *)(BARE_WINDOW + slot * HV_PAGE_SIZE);
}

void bare_map(unsigned slot, const void *page, uint64_t flags)
{
	bare_window_table[slot] = (uint64_t)page | flags | PRESENT_WRITABLE;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void bare_invlpg(const volatile void *at)
{
	__asm__ volatile("invlpg (%0)" : : "r"(at) : "memory");
}
