/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * latency GUEST.elf BACKEND [ROUNDS]: runs a bare guest of the latency benchmarks on one Hyper-V
 * back end, answers it from a thread of its own, and prints a line a measure: part, measure, its
 * minimum, median, 99th percentile and maximum, unit. Latencies are differences of TSCs: the host's
 * own are brought to the guest's by the offset between them. Exits are KVM's own count for the vCPU
 * (its statistics fd), those to user space what vmm/vcpu.c counts.
 *
 * Exit status 0, 1 for a failure, 77 where this host cannot.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <x86intrin.h>

#include "hyperv/hyperv.h"
#include "hyperv/ports.h"
#include "hyperv/synic.h"
#include "hyperv/tlfs.h"
#include "tests/bare/bare_proto.h"
#include "tests/bare/host_boot.h"
#include "tests/bench/latency_proto.h"
#include "vmm/kvm.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define RAM MiB(64)
#define DEADLINE_MS 60000
#define MSR_IA32_TSC 0x10
#define CANNOT 77

enum { FD_DONE, FD_INBOX, FD_DOORBELL, FDS };

struct host {
	struct vm vm;
	struct hyperv *hv;
	int fd[FDS];
	u32 rounds;
	_Atomic u32 part;
	_Atomic u32 verdict;
	gpa_t table;
	/* The guest's TSC minus ours, and how many of them a microsecond has. */
	s64 tsc_offset;
	double tsc_per_us;
	/* When the serving thread saw it (guest's TSC), a place a round; of the part under way. */
	u64 seen[LATENCY_ROUNDS_MAX];
	u32 seen_count;
	/* Of the part under way, on the vCPU's thread. */
	int stats_fd;
	u64 stats_offset;
	u64 exits, user_exits;
};

static _Noreturn void die(int status, const char *what, const char *why)
{
	fprintf(stderr, "latency: %s: %s\n", what, why);
	exit(status);
}

static void must(int err, const char *what)
{
	if (err)
		die(1, what, strerror(-err));
}

/* ---- KVM's statistics ------------------------------------------------------------------------ */

/* Finds the vCPU's count of exits; without one (an older KVM) stats_fd stays -1. */
static void stats_find(struct host *h)
{
	struct kvm_stats_header head;
	int fd = ioctl(h->vm.vcpu[0].fd, KVM_GET_STATS_FD, NULL);
	char desc[sizeof(struct kvm_stats_desc) + 256];

	h->stats_fd = -1;
	if (fd < 0 || pread(fd, &head, sizeof(head), 0) != sizeof(head) || head.name_size > 256)
		return;
	for (u32 i = 0; i < head.num_desc; i++) {
		const struct kvm_stats_desc *d = (const void *)desc;
		size_t size = sizeof(*d) + head.name_size;

		if (pread(fd, desc, size, (off_t)(head.desc_offset + i * size)) != (ssize_t)size)
			return;
		if (strcmp(d->name, "exits"))
			continue;
		h->stats_fd = fd;
		h->stats_offset = head.data_offset + d->offset;
	}
}

static u64 stats_exits(const struct host *h)
{
	u64 n = 0;

	if (h->stats_fd >= 0 &&
	    pread(h->stats_fd, &n, sizeof(n), (off_t)h->stats_offset) != sizeof(n))
		return 0;
	return n;
}

/* Returns of KVM_RUN. */
static u64 user_exits(const struct host *h)
{
	return atomic_load(&h->vm.vcpu[0].passages) / 2;
}

/* ---- Figures --------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_figure(const char *part, const char *measure, double *v, u32 n)
{
	qsort(v, n, sizeof(*v), compare);
	printf("%s\t%s\t%.2f\t%.2f\t%.2f\t%.2f\tus\n", part, measure, v[0], v[n / 2],
	       v[(u64)(n - 1) * 99 / 100], v[n - 1]);
}

static void print_count(const char *part, const char *measure, double v)
{
	printf("%s\t%s\t%.2f\t%.2f\t%.2f\t%.2f\t-\n", part, measure, v, v, v, v);
}

/* The end minus the beginning, each of enum point, of every round. */
enum point { BEGIN, SEEN, END };

static u64 tsc_at(const struct host *h, const struct latency_table *t, u32 i, enum point p)
{
	return p == BEGIN ? t->round[i].begin : p == END ? t->round[i].end : h->seen[i];
}

static void print_span(const struct host *h, const struct latency_table *t, const char *part,
		       const char *measure, enum point from, enum point to)
{
	static double v[LATENCY_ROUNDS_MAX];

	for (u32 i = 0; i < h->rounds; i++)
		v[i] = (double)(s64)(tsc_at(h, t, i, to) - tsc_at(h, t, i, from)) / h->tsc_per_us;
	print_figure(part, measure, v, h->rounds);
}

static void print_part(struct host *h, enum latency_part part)
{
	static const char *const names[LATENCY_PARTS] = {
		"", "signal", "event", "message", "stimer-direct", "stimer-message", "tsc-deadline"
	};
	static struct latency_table t;
	const char *name = names[part];

	must(gmem_read(&h->vm.mem, h->table, &t, sizeof(t)), "the guest's table");
	if (part >= LATENCY_STIMER_DIRECT) {
		print_span(h, &t, name, "late", BEGIN, END);
	} else if (part == LATENCY_SIGNAL) {
		print_span(h, &t, name, "call", BEGIN, END);
	} else {
		if (h->seen_count == h->rounds) {
			print_span(h, &t, name, "guest-to-host", BEGIN, SEEN);
			print_span(h, &t, name, "host-to-guest", SEEN, END);
		}
		print_span(h, &t, name, "round-trip", BEGIN, END);
	}
	if (h->stats_fd >= 0)
		print_count(name, "exits", (double)h->exits / h->rounds);
	print_count(name, "user-exits", (double)h->user_exits / h->rounds);
}

/* ---- What the guest reaches: its own thread -------------------------------------------------- */

static void write_mark(void *ctx, u64 offset, const void *data, unsigned len)
{
	struct host *h = ctx;
	u32 mark = 0;

	(void)offset;
	memcpy(&mark, data, MIN(len, sizeof(mark)));
	if (mark == LATENCY_END) {
		/* But for that of this mark. */
		h->exits = stats_exits(h) - h->exits - 1;
		h->user_exits = user_exits(h) - h->user_exits - 1;
		print_part(h, atomic_load(&h->part));
		return;
	}
	if (mark >= LATENCY_PARTS)
		return;
	atomic_store(&h->part, mark);
	h->seen_count = 0;
	h->user_exits = user_exits(h);
	h->exits = stats_exits(h);
}

static void write_table(void *ctx, u64 offset, const void *data, unsigned len)
{
	struct host *h = ctx;
	u32 address = 0;

	(void)offset;
	memcpy(&address, data, MIN(len, sizeof(address)));
	h->table = address;
}

static void read_rounds(void *ctx, u64 offset, void *data, unsigned len)
{
	struct host *h = ctx;

	(void)offset;
	memcpy(data, &h->rounds, MIN(len, sizeof(h->rounds)));
}

static void write_text(void *ctx, u64 offset, const void *data, unsigned len)
{
	(void)ctx, (void)offset, (void)len;
	fputc(*(const char *)data, stderr);
}

static void write_verdict(void *ctx, u64 offset, const void *data, unsigned len)
{
	struct host *h = ctx;
	u32 v = 0;

	(void)offset;
	memcpy(&v, data, MIN(len, sizeof(v)));
	atomic_store(&h->verdict, v);
	eventfd_write(h->fd[FD_DONE], 1);
}

static void guest_end(void *ctx, enum vm_end why, u64 value)
{
	struct host *h = ctx;

	fprintf(stderr, "latency: the guest ended by itself (%u, 0x%llx)\n", why,
		(unsigned long long)value);
	eventfd_write(h->fd[FD_DONE], 1);
}

static u16 receive(void *ctx, u32 connection_id, u32 type, const void *payload, u32 size)
{
	struct host *h = ctx;

	(void)connection_id, (void)type, (void)payload, (void)size;
	eventfd_write(h->fd[FD_INBOX], 1);
	return HV_STATUS_SUCCESS;
}

/* ---- One run --------------------------------------------------------------------------------- */

static void wire(struct host *h)
{
	const struct io_range ports[] = {
		{ .base = BARE_PORT_TEXT, .len = 1, .write = write_text, .ctx = h },
		{ .base = BARE_PORT_VERDICT, .len = 4, .write = write_verdict, .ctx = h },
		{ .base = LATENCY_PORT_MARK, .len = 4, .write = write_mark, .ctx = h },
		{ .base = LATENCY_PORT_TABLE, .len = 4, .write = write_table, .ctx = h },
		{ .base = LATENCY_PORT_ROUNDS, .len = 4, .read = read_rounds, .ctx = h },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
		must(io_add(&h->vm.io, &ports[i]), "io_add");
	h->vm.hooks.ctx = h;
	h->vm.hooks.end = guest_end;
	for (unsigned i = 0; i < FDS; i++)
		h->fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must(ports_add_message(h->hv, LATENCY_CONNECTION_MESSAGE, receive, h), "a message port");
	must(ports_bind_event(h->hv, LATENCY_CONNECTION_EVENT, h->fd[FD_DOORBELL]),
	     "an event port");
}

/* The offset from the try that took the shortest; it is wrong by half of that at most. */
static void tsc_compare(struct host *h)
{
	u64 best = UINT64_MAX;
	int khz = kvm_get_tsc_khz(h->vm.vcpu[0].fd);

	if (khz <= 0)
		die(CANNOT, "KVM_GET_TSC_KHZ", strerror(-khz));
	h->tsc_per_us = khz / 1e3;
	for (unsigned i = 0; i < 1000; i++) {
		u64 guest = 0, before = __rdtsc(), after;

		must(vcpu_get_msr(&h->vm.vcpu[0], MSR_IA32_TSC, &guest), "the guest's TSC");
		after = __rdtsc();
		if (after - before < best) {
			best = after - before;
			h->tsc_offset = (s64)(guest - before - best / 2);
		}
	}
}

static void answer(struct host *h, unsigned fd)
{
	static const u64 payload;
	u64 now = __rdtsc() + (u64)h->tsc_offset;
	u32 part = atomic_load(&h->part);

	if (part == LATENCY_SIGNAL)
		return;
	if (h->seen_count < h->rounds)
		h->seen[h->seen_count++] = now;
	if (fd == FD_DOORBELL)
		must(synic_set_event(h->hv, 0, LATENCY_SINT, LATENCY_FLAG), "synic_set_event");
	else
		must(synic_post_message(h->hv, 0, LATENCY_SINT, LATENCY_MESSAGE_TYPE, &payload,
					sizeof(payload)),
		     "synic_post_message");
}

static int serve(struct host *h)
{
	struct pollfd p[FDS];
	eventfd_t n;

	for (unsigned i = 0; i < FDS; i++)
		p[i] = (struct pollfd){ .fd = h->fd[i], .events = POLLIN };
	while (poll(p, FDS, DEADLINE_MS) > 0) {
		if (p[FD_DONE].revents)
			return 0;
		for (unsigned i = FD_INBOX; i < FDS; i++) {
			if (p[i].revents && !eventfd_read(h->fd[i], &n))
				answer(h, i);
		}
	}
	return -ETIMEDOUT;
}

/* What timers there are shall be measured, offered by default or not. */
static void begin(struct host *h, const char *backend)
{
	struct hyperv_config config = { .choice = !strcmp(backend, "user") ? HYPERV_USER
									   : HYPERV_KERNEL };
	char error[512];

	hyperv_switches_parse(&config.switches, "stimer,stimer-direct", error, sizeof(error));
	if (vm_init(&h->vm, 1, RAM, error, sizeof(error)) ||
	    hyperv_init(&h->hv, &h->vm, &config, error, sizeof(error)))
		die(CANNOT, backend, error);
}

int main(int argc, char **argv)
{
	static struct host h;
	char error[512];
	int err;

	if (argc < 3)
		die(1, "usage", "latency GUEST.elf kernel|user [ROUNDS]");
	h.rounds = argc > 3 ? (u32)strtoul(argv[3], NULL, 10) : 500;
	h.rounds = MIN(MAX(h.rounds, 1u), LATENCY_ROUNDS_MAX);
	atomic_store(&h.verdict, UINT32_MAX);
	begin(&h, argv[2]);
	wire(&h);
	must(host_boot_vcpu(&h.vm, h.hv, 0), "a vCPU");
	tsc_compare(&h);
	stats_find(&h);
	if (host_boot_load(&h.vm, argv[1], error, sizeof(error)))
		die(1, argv[1], error);
	must(vm_start(&h.vm), "vm_start");
	err = serve(&h);
	vm_stop(&h.vm);
	must(err, "the guest");
	if (atomic_load(&h.verdict))
		die(1, argv[1], "the guest failed (its line is above)");
	ports_unbind_event(h.hv, LATENCY_CONNECTION_EVENT, h.fd[FD_DOORBELL]);
	hyperv_fini(h.hv);
	vcpu_fini(&h.vm.vcpu[0]);
	vm_fini(&h.vm);
	return 0;
}
