/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bus [-n ROUNDS] [-p] [CASE]: what the bus costs by itself: a fake guest, no KVM. Prints a line a
 * figure: case, measure, value, unit. -n: that many rounds of each case. -p: for a profiler, which
 * collects what bus_host() calls: the only figure is "items", those of all rounds.
 *
 * Exit status 0; 1 for a failure, which an allocation on the data path is, too.
 */
#include "tests/bench/bus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <x86intrin.h>

#include "tests/allocations.h"

_Noreturn void bus_die(const char *what, int err)
{
	fprintf(stderr, "bus: %s: %s\n", what, strerror(-err));
	exit(1);
}

void bus_figure(const char *name, const char *measure, double value, const char *unit)
{
	printf("%s\t%s\t%.*f\t%s\n", name, measure, value < 100 ? 2 : 0, value, unit);
}

void bus_begin(struct bus *b, struct vmbus_device *const *dev, unsigned count)
{
	bus_must(fg_init(&b->g, NULL), "a fake guest");
	for (unsigned i = 0; i < count; i++)
		bus_must(vmbus_offer(b->g.bus, dev[i]), "an offer");
	bus_must(fg_connect(&b->g, VMBUS_VERSION_WIN10_V5_3), "a connection");
	bus_must(fg_request_offers(&b->g), "offers");
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

bool bus_case(struct bus *b, const char *name)
{
	b->round = 0;
	b->allocations = 0;
	memset(b->bound, 0, sizeof(b->bound));
	return !b->only || !strcmp(b->only, name);
}

u32 bus_rounds(const struct bus *b, u32 n)
{
	return b->rounds ? b->rounds : MIN(MAX(60000 / n, 40u), BUS_ROUNDS_MAX);
}

/* What a profiler collects: it must be there by its name. */
__attribute__((noinline)) void bus_host(struct bus *b, void (*work)(void *ctx), void *ctx)
{
	u64 allocated = allocations(), begin = __rdtsc();

	work(ctx);
	b->host[b->round] = __rdtsc() - begin;
	b->allocations += allocations() - allocated;
}

void bus_bound(struct bus *b, void (*work)(void *ctx), void *ctx)
{
	u64 begin = __rdtsc();

	work(ctx);
	b->bound[b->round] = __rdtsc() - begin;
}

void bus_next(struct bus *b)
{
	b->round++;
}

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return (x > y) - (x < y);
}

static double median(u64 *v, u32 n)
{
	qsort(v, n, sizeof(*v), compare);
	return (double)v[n / 2];
}

void bus_report(struct bus *b, const char *name, const char *unit, u32 n, bool data_path)
{
	double cycles = median(b->host, b->round) / n, bound = median(b->bound, b->round) / n;
	char rate[32];

	if (b->profile) {
		bus_figure(name, "items", (double)b->round * n, unit);
		return;
	}
	snprintf(rate, sizeof(rate), "%ss/s", unit);
	bus_figure(name, "cycles", cycles, "cycles");
	if (bound > 0)
		bus_figure(name, "memcpy", bound, "cycles");
	bus_figure(name, "rate", b->tsc_hz / cycles, rate);
	bus_figure(name, "allocations", (double)b->allocations / b->round / n, "each");
	if (data_path && b->allocations) {
		fprintf(stderr, "bus: %s: %llu allocations on the data path\n", name,
			(unsigned long long)b->allocations);
		b->failed = true;
	}
}

/* ---- The program ----------------------------------------------------------------------------- */

static double tsc_hz(void)
{
	u64 ns = loop_now_ns(), tsc = __rdtsc();

	usleep(50000);
	return (double)(__rdtsc() - tsc) * 1e9 / (double)(loop_now_ns() - ns);
}

int main(int argc, char **argv)
{
	static struct bus b;
	int option;

	while ((option = getopt(argc, argv, "n:p")) != -1) {
		if (option == 'n')
			b.rounds = (u32)strtoul(optarg, NULL, 10);
		else if (option == 'p')
			b.profile = true;
		else
			return 1;
	}
	b.rounds = MIN(b.rounds, BUS_ROUNDS_MAX);
	b.only = optind < argc ? argv[optind] : NULL;
	b.tsc_hz = tsc_hz();
	bus_messages(&b);
	bus_packets(&b);
	bus_storvsp(&b);
	if (!b.profile)
		bus_load(&b);
	return b.failed;
}
