/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk_turns DISK CPUS ROUNDS MILLISECONDS [LOAD...] <MACHINES: has the machines of the benchmark
 * `disk` take turns. Each line of MACHINES is one that is up, stopped, and waits for its first load
 * (disk_load.c): name, process, KVM's folder for it (debugfs), and the files its console reads and
 * writes. All have the same load, one is at work at a time, for that long; a round is a turn of
 * each, every second one backwards: the turns that are compared are next to each other, for the
 * speed of a host changes from one second to the next.
 *
 * A turn is a line on stdout: name, CPUs, load, round, requests (the disk's own bytes by those of a
 * request, so that no split and no merger counts), nanoseconds, exits, those to user space
 * (tracing's histogram of kvm_userspace_exit by thread), and nanoseconds of processor time of all
 * the machine's threads, the guest's own included. A machine that ends or stands still is left out.
 */
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/disk_loads.h"

#define MACHINES_MAX 16
#define SECTOR 512
#define SETTLE_MS 30 /* from when a machine goes on to where its turn begins */
#define STOP_MS 10 /* until all threads stand */
#define ANSWER_MS 30000
#define IDLE_MAX 5 /* turns */
#define HISTOGRAM "/sys/kernel/debug/tracing/events/kvm/kvm_userspace_exit/hist"

struct machine {
	char name[32], input[256], console[256], exits[256];
	pid_t pid;
	clockid_t clock; /* of its processor time */
	unsigned idle; /* turns without a request, up to now */
	bool lost;
};

struct turns {
	struct machine machines[MACHINES_MAX];
	unsigned count;
	char stat[256]; /* of the disk */
	const char *cpus;
	unsigned rounds, ms;
};

struct counters {
	uint64_t ns, bytes, exits, user_exits, cpu_ns;
};

static _Noreturn void die(const char *what, const char *which)
{
	fprintf(stderr, "disk: %s %s\n", what, which);
	exit(1);
}

static void sleep_ms(unsigned ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts = { 0 };

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* What of it is counted no more; the others go on. */
static void machine_lose(struct machine *m, const char *why)
{
	fprintf(stderr, "disk: %s %s\n", m->name, why);
	kill(m->pid, SIGKILL);
	m->lost = true;
}

/* Read and written; Documentation/block/stat.rst. */
static uint64_t disk_bytes(const char *stat)
{
	uint64_t sectors_read = 0, sectors_written = 0;
	FILE *f = fopen(stat, "re");

	if (!f || fscanf(f, "%*u %*u %" SCNu64 " %*u %*u %*u %" SCNu64, &sectors_read,
			 &sectors_written) != 2)
		die("cannot read", stat);
	fclose(f);
	return (sectors_read + sectors_written) * SECTOR;
}

static uint64_t machine_exits(struct machine *m)
{
	FILE *f = fopen(m->exits, "re");
	uint64_t exits = 0;

	if (!f || fscanf(f, "%" SCNu64, &exits) != 1)
		machine_lose(m, "has ended");
	if (f)
		fclose(f);
	return exits;
}

static uint64_t machine_user_exits(const struct machine *m)
{
	FILE *f = fopen(HISTOGRAM, "re");
	uint64_t sum = 0, hits;
	char line[128], task[64];
	int pid;

	if (!f)
		die("cannot read", HISTOGRAM);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "{ common_pid: %d } hitcount: %" SCNu64, &pid, &hits) != 2)
			continue;
		snprintf(task, sizeof(task), "/proc/%d/task/%d", (int)m->pid, pid);
		if (!access(task, F_OK))
			sum += hits;
	}
	fclose(f);
	return sum;
}

/* In the same order at either end of a turn, so that each counter's is as long as the others'. */
static struct counters counters_read(const struct turns *t, struct machine *m)
{
	struct counters c;

	c.ns = clock_ns(CLOCK_MONOTONIC);
	c.bytes = disk_bytes(t->stat);
	c.exits = machine_exits(m);
	c.cpu_ns = clock_ns(m->clock);
	c.user_exits = machine_user_exits(m);
	return c;
}

static void machine_go(struct machine *m)
{
	if (kill(m->pid, SIGCONT))
		machine_lose(m, "has ended");
}

static void machine_stop(struct machine *m)
{
	if (kill(m->pid, SIGSTOP))
		machine_lose(m, "has ended");
	sleep_ms(STOP_MS);
}

/* Such a turn has no ratio: it is left out, and said. */
static bool machine_idle(struct machine *m, bool idle)
{
	m->idle = idle ? m->idle + 1 : 0;
	if (m->idle == IDLE_MAX)
		machine_lose(m, "stands still");
	else if (idle)
		fprintf(stderr, "disk: %s: a turn without a request\n", m->name);
	return idle;
}

static void machine_turn(struct turns *t, struct machine *m, const struct disk_load *l,
			 unsigned round)
{
	struct counters begin, end;

	machine_go(m);
	sleep_ms(SETTLE_MS);
	begin = counters_read(t, m);
	sleep_ms(t->ms);
	end = counters_read(t, m);
	machine_stop(m);
	if (m->lost || machine_idle(m, end.bytes == begin.bytes))
		return;
	printf("%s %s %s %u %.3f", m->name, t->cpus, l->name, round,
	       (double)(end.bytes - begin.bytes) / l->size);
	printf(" %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", end.ns - begin.ns,
	       end.exits - begin.exits, end.user_exits - begin.user_exits,
	       end.cpu_ns - begin.cpu_ns);
}

/* A line of its console, begun by word. */
static bool machine_says(const struct machine *m, const char *word)
{
	FILE *f = fopen(m->console, "re");
	char line[256];
	bool said = false;

	while (f && !said && fgets(line, sizeof(line), f))
		said = !strncmp(line, word, strlen(word));
	if (f)
		fclose(f);
	return said;
}

static void machine_type(struct machine *m, char key)
{
	FILE *f = fopen(m->input, "r+e");

	if (!f || fputc(key, f) == EOF)
		machine_lose(m, "has no console to type at");
	if (f)
		fclose(f);
}

/* Has it begin a load; stopped again when it has. */
static void machine_load(struct machine *m, unsigned load)
{
	char answer[64];

	snprintf(answer, sizeof(answer), DISK_LOAD_SAYS, disk_loads[load].name);
	machine_type(m, DISK_LOAD_KEY(load));
	machine_go(m);
	for (unsigned ms = 0; !m->lost && !machine_says(m, answer); ms += STOP_MS) {
		if (machine_says(m, "failed"))
			machine_lose(m, "says that it failed");
		else if (ms >= ANSWER_MS)
			machine_lose(m, "does not answer");
		sleep_ms(STOP_MS);
	}
	machine_stop(m);
}

static void turns_load(struct turns *t, unsigned load)
{
	fprintf(stderr, "%s, %s vCPUs\n", disk_loads[load].name, t->cpus);
	for (unsigned i = 0; i < t->count; i++)
		if (!t->machines[i].lost)
			machine_load(&t->machines[i], load);
	for (unsigned round = 0; round < t->rounds; round++) {
		for (unsigned i = 0; i < t->count; i++) {
			struct machine *m = &t->machines[round % 2 ? t->count - 1 - i : i];

			if (!m->lost)
				machine_turn(t, m, &disk_loads[load], round);
		}
		fflush(stdout);
	}
}

static bool load_named(unsigned load, char **names)
{
	while (*names)
		if (!strcmp(*names++, disk_loads[load].name))
			return true;
	return false;
}

static void loads_check(char **names)
{
	for (; *names; names++) {
		unsigned load = 0;

		while (load < DISK_LOADS && strcmp(*names, disk_loads[load].name))
			load++;
		if (load == DISK_LOADS)
			die("no such load:", *names);
	}
}

static void machines_read(struct turns *t)
{
	char line[1024], folder[200];

	while (t->count < MACHINES_MAX && fgets(line, sizeof(line), stdin)) {
		struct machine *m = &t->machines[t->count++];
		int pid;

		if (sscanf(line, "%31s %d %199s %255s %255s", m->name, &pid, folder, m->input,
			   m->console) != 5)
			die("no machine:", line);
		m->pid = pid;
		snprintf(m->exits, sizeof(m->exits), "%s/exits", folder);
		if (clock_getcpuclockid(m->pid, &m->clock))
			machine_lose(m, "has ended");
	}
}

int main(int argc, char **argv)
{
	static struct turns t;
	char **names = argv + 5;

	if (argc < 5)
		die("usage:", "disk_turns DISK CPUS ROUNDS MILLISECONDS [LOAD...] <MACHINES");
	snprintf(t.stat, sizeof(t.stat), "/sys/class/block/%s/stat", argv[1]);
	t.cpus = argv[2];
	t.rounds = (unsigned)atoi(argv[3]);
	t.ms = (unsigned)atoi(argv[4]);
	loads_check(names);
	machines_read(&t);
	for (unsigned load = 0; load < DISK_LOADS; load++) {
		/* with one CPU, the last one is the first */
		if (disk_loads[load].last && atoi(t.cpus) == 1)
			continue;
		if (!*names || load_named(load, names))
			turns_load(&t, load);
	}
	return 0;
}
