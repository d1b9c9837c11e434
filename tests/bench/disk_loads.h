/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loads of the benchmark `disk`, for the guest, which puts them on its disk (disk_load.c), and
 * for the host, which says when, and counts them (disk_turns.c).
 */
#ifndef TESTS_BENCH_DISK_LOADS_H
#define TESTS_BENCH_DISK_LOADS_H

#include <stdbool.h>
#include <stdint.h>

struct disk_load {
	const char *name;
	bool write;
	uint32_t size; /* bytes a request */
	unsigned depth; /* 1: of one thread; else of a thread a CPU */
	bool random, last; /* last: on the last CPU, where there are several */
};

#define DISK_LOADS (sizeof(disk_loads) / sizeof(disk_loads[0]))
static const struct disk_load disk_loads[] = {
	{ "randread-4k-qd1", false, 4096, 1, true, false },
	{ "randread-4k-qd1-last", false, 4096, 1, true, true },
	{ "randread-4k-qd32", false, 4096, 32, true, false },
	{ "randwrite-4k-qd32", true, 4096, 32, true, false },
	{ "seqread-1m-qd4", false, 1 << 20, 4, false, false },
};

/* What the host types for a load; the guest answers DISK_LOAD_SAYS when it is under way. */
#define DISK_LOAD_KEY(index) ((char)('a' + (index)))
#define DISK_LOAD_SAYS "load %s ."

#endif
