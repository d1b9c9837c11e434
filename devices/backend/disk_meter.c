/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk that counts what is asked of the one below it, and how long that takes; and that keeps the
 * guest from hearing of the host's failures where it shall not (--on-io-error stop).
 *
 * Several loops count at once: each number is an atomic of its own, added to without order, so that
 * a reader may find them a request apart.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "devices/backend/disk.h"
#include "devices/backend/disk_limit.h"

struct meter_counts {
	_Atomic u64 ops, bytes, errors;
	_Atomic u64 latency[DISK_LATENCIES];
};

struct disk_meter {
	struct disk disk;
	struct meter_counts kind[DISK_OP_KINDS];
	void (*failed)(void *ctx, struct disk *disk, const struct disk_op *op, int err);
	void *ctx;
};

static void add(_Atomic u64 *counter, u64 n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static unsigned bucket_of(u64 ns)
{
	u64 us = ns / 1000;

	return us ? MIN(64u - (unsigned)__builtin_clzll(us), DISK_LATENCIES - 1u) : 0;
}

/* The 1st, 2nd, 4th ... time: a guest can ask for what fails as often as it likes. */
static void report(const struct disk *disk, const struct disk_op *op, int err, u64 before)
{
	if (before & (before + 1))
		return;
	log_warn("disk %s: %s at byte %llu: %s; the guest was told, %llu so far",
		 disk->name ? disk->name : "?", disk_op_name(op->kind),
		 (unsigned long long)op->offset, strerror(-err), (unsigned long long)before + 1);
}

static void meter_done(struct disk_op *op, int err)
{
	struct disk_meter *m = container_of(op->meter.disk, struct disk_meter, disk);
	struct meter_counts *c = &m->kind[op->kind];

	add(&c->ops, 1);
	add(&c->latency[bucket_of(loop_now_ns() - op->meter.begun_ns)], 1);
	op->disk = &m->disk;
	op->done = op->meter.done;
	if (err) {
		u64 before = atomic_fetch_add_explicit(&c->errors, 1, memory_order_relaxed);

		if (m->failed) {
			m->failed(m->ctx, &m->disk, op, err);
			return;
		}
		report(&m->disk, op, err, before);
	} else if (op->kind != DISK_FLUSH) {
		add(&c->bytes, op->len);
	}
	op->done(op, err);
}

static void meter_submit(struct disk *disk, struct disk_op *op)
{
	int err = disk_check(disk, op);

	/* The guest's own mistakes are not the disk's. */
	if (err) {
		disk_complete(op, err);
		return;
	}
	op->meter.disk = disk;
	op->meter.done = op->done;
	op->meter.begun_ns = loop_now_ns();
	op->done = meter_done;
	disk_submit(disk->lower, op);
}

static void meter_close(struct disk *disk)
{
	disk->lower->ops->close(disk->lower);
	free(container_of(disk, struct disk_meter, disk));
}

static const struct disk_ops meter_ops = { .submit = meter_submit, .close = meter_close };

int disk_meter_open(struct disk **disk, struct disk *base)
{
	struct disk_meter *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->disk = *base;
	m->disk.ops = &meter_ops;
	m->disk.lower = base;
	*disk = &m->disk;
	return 0;
}

static void counts_read(const struct meter_counts *from, struct disk_counts *to)
{
	to->ops = atomic_load_explicit(&from->ops, memory_order_relaxed);
	to->bytes = atomic_load_explicit(&from->bytes, memory_order_relaxed);
	to->errors = atomic_load_explicit(&from->errors, memory_order_relaxed);
	for (unsigned i = 0; i < DISK_LATENCIES; i++)
		to->latency[i] = atomic_load_explicit(&from->latency[i], memory_order_relaxed);
}

void disk_counters(const struct disk *disk, struct disk_counters *counters)
{
	memset(counters, 0, sizeof(*counters));
	for (; disk; disk = disk->lower) {
		counters->throttled += disk_limit_waited(disk);
		if (disk->ops != &meter_ops)
			continue;
		for (unsigned k = 0; k < DISK_OP_KINDS; k++)
			counts_read(&container_of(disk, struct disk_meter, disk)->kind[k],
				    &counters->kind[k]);
	}
}

void disk_on_error(struct disk *disk,
		   void (*failed)(void *ctx, struct disk *disk, const struct disk_op *op, int err),
		   void *ctx)
{
	struct disk_meter *m = container_of(disk, struct disk_meter, disk);

	if (disk->ops != &meter_ops)
		return;
	m->failed = failed;
	m->ctx = ctx;
}
