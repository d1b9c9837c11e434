/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of the benchmark of the bus share. A part lets the fake guest act, then has the
 * host's share of it done by bus_host(): that alone is measured. Cycles are those of the TSC, and a
 * figure is the median over the rounds, which leaves out what else the machine did.
 */
#ifndef TESTS_BENCH_BUS_H
#define TESTS_BENCH_BUS_H

#include "tests/fakeguest/fakeguest.h"

#define BUS_ROUNDS_MAX 4096u

struct bus {
	struct fakeguest g;
	const char *only; /* the case asked for; NULL: all */
	u32 rounds; /* of each case; 0: what takes about 50 ms */
	bool profile; /* the host's share alone counts: no lower bounds, no threads */
	double tsc_hz;
	bool failed;
	/* Of the case under way. */
	u32 round;
	u64 host[BUS_ROUNDS_MAX], bound[BUS_ROUNDS_MAX]; /* cycles */
	u64 allocations;
};

_Noreturn void bus_die(const char *what, int err);
static inline void bus_must(int err, const char *what)
{
	if (err)
		bus_die(what, err);
}

/* A fresh guest with count devices on offer and I/O loops, connected. Ended by fg_fini(). */
void bus_begin(struct bus *b, struct vmbus_device *const *dev, unsigned count);

/* Whether this case is asked for; forgets the one before it. */
bool bus_case(struct bus *b, const char *name);

/* Rounds to do where one has n items. */
u32 bus_rounds(const struct bus *b, u32 n);

/* Measures the host's work of a round; and what it has to take at least, done by bound. */
void bus_host(struct bus *b, void (*work)(void *ctx), void *ctx);
void bus_bound(struct bus *b, void (*work)(void *ctx), void *ctx);

/* Ends the round. */
void bus_next(struct bus *b);

/*
 * Prints the case, with n items of this unit a round: cycles each, their lower bound where there
 * is one, items a second, allocations each. data_path: an allocation is a failure.
 */
void bus_report(struct bus *b, const char *name, const char *unit, u32 n, bool data_path);

/* One line: case, measure, value, unit. */
void bus_figure(const char *name, const char *measure, double value, const char *unit);

/* The parts. */
void bus_messages(struct bus *b);
void bus_packets(struct bus *b);
void bus_load(struct bus *b);
void bus_storvsp(struct bus *b);

#endif
