/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk that lets only so many requests and bytes a second through to the one below it.
 *
 * A limit is a token bucket, kept as one number: the time up to which all it gives is spoken for
 * (the "theoretical arrival time" of the generic cell rate algorithm). A request that costs t moves
 * it on by t, and may go once it is no further ahead of the clock than a burst. All loops share it,
 * by compare and exchange.
 *
 * Fair: requests that must wait stand in lanes, one for each loop and queue (op->flow), and only
 * the first of a lane speaks for tokens. So lanes take turns, a request each, however many stand in
 * them. A lane belongs to its loop, whose timer lets its first one go; what a late timer missed
 * goes all at once, for the time was its own.
 *
 * What waits when its loop ends is not carried out.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "devices/backend/disk_limit.h"

/*
 * A loop has LOOP_LANES lanes, that queues share where it has more; LANES is enough for 16 loops.
 */
#define LOOP_LANES 4u
#define LANES 64u

struct bucket {
	u64 rate; /* a second; 0: no limit */
	_Atomic u64 spoken_ns;
};

struct lane {
	_Atomic u64 key; /* 0: unused */
	struct disk_limit *limit;
	struct loop_timer timer; /* armed while anything waits, for when the first may go */
	struct disk_op *first, **last;
};

struct disk_limit {
	struct disk disk;
	struct bucket ops, bytes;
	u64 burst_ns;
	_Atomic u64 waited;
	struct lane lane[LANES];
};

/* When a request that takes n of what b gives may go. */
static u64 bucket_take(struct bucket *b, u64 n, u64 now, u64 burst)
{
	u64 before, from, cost;

	if (!b->rate || !n)
		return now;
	cost = (u64)((unsigned __int128)n * NSEC_PER_SEC / b->rate);
	before = atomic_load_explicit(&b->spoken_ns, memory_order_relaxed);
	do
		from = MAX(before, now);
	while (!atomic_compare_exchange_weak_explicit(&b->spoken_ns, &before, from + cost,
						      memory_order_relaxed, memory_order_relaxed));
	return from > now + burst ? from - burst : now;
}

/*
 * Zeroes count as what they are on a host that cannot but write them: it may turn out to be one
 * only when it is asked. What is discarded costs a request.
 */
static u64 limit_take(struct disk_limit *l, const struct disk_op *op, u64 now)
{
	u64 bytes = op->kind == DISK_DISCARD ? 0 : op->len;
	u64 a = bucket_take(&l->ops, 1, now, l->burst_ns);
	u64 b = bucket_take(&l->bytes, bytes, now, l->burst_ns);

	return MAX(a, b);
}

/* ---- Lanes ---- */

/* Lets the first go whose time has come, and speaks for the next. */
static void lane_fire(struct loop_timer *t)
{
	struct lane *lane = container_of(t, struct lane, timer);
	struct disk_limit *l = lane->limit;
	u64 now = loop_now_ns(), start = now;
	struct disk_op *op;

	while ((op = lane->first) && start <= now) {
		lane->first = op->limit_next;
		if (!lane->first)
			lane->last = &lane->first;
		else
			start = limit_take(l, lane->first, now);
		if (lane->first && start > now)
			loop_timer_arm(op->uring->loop, t, start);
		disk_submit(l->disk.lower, op);
	}
}

static struct lane *lane_of(struct disk_limit *l, const struct disk_op *op)
{
	u64 key = (u64)(uintptr_t)op->uring << 8 | (op->flow % LOOP_LANES) << 1 | 1;

	for (unsigned i = 0; i < LANES; i++) {
		u64 has = atomic_load_explicit(&l->lane[i].key, memory_order_relaxed);

		if (has == key)
			return &l->lane[i];
		/* Whoever takes it is the only one to touch the rest. */
		if (!has && atomic_compare_exchange_strong_explicit(&l->lane[i].key, &has, key,
								    memory_order_relaxed,
								    memory_order_relaxed))
			return &l->lane[i];
	}
	return NULL;
}

static void lane_add(struct lane *lane, struct disk_limit *l, struct disk_op *op)
{
	if (!lane->first) {
		lane->limit = l;
		lane->timer.fire = lane_fire;
		lane->last = &lane->first;
	}
	op->limit_next = NULL;
	*lane->last = op;
	lane->last = &op->limit_next;
	atomic_fetch_add_explicit(&l->waited, 1, memory_order_relaxed);
}

/* ---- The disk ---- */

static void limit_submit(struct disk *disk, struct disk_op *op)
{
	struct disk_limit *l = container_of(disk, struct disk_limit, disk);
	u64 now, start;
	struct lane *lane;

	lane = op->kind == DISK_FLUSH || disk_check(disk, op) ? NULL : lane_of(l, op);
	if (lane && lane->first) {
		lane_add(lane, l, op);
		return;
	}
	now = loop_now_ns();
	start = lane ? limit_take(l, op, now) : now;
	if (start <= now) {
		disk_submit(l->disk.lower, op);
		return;
	}
	lane_add(lane, l, op);
	loop_timer_arm(op->uring->loop, &lane->timer, start);
}

static void limit_close(struct disk *disk)
{
	disk->lower->ops->close(disk->lower);
	free(container_of(disk, struct disk_limit, disk));
}

static const struct disk_ops limit_ops = { .submit = limit_submit, .close = limit_close };

int disk_limit_open(struct disk **disk, struct disk *base, u64 iops, u64 bps, u32 burst_ms)
{
	struct disk_limit *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->disk = *base;
	l->disk.ops = &limit_ops;
	l->disk.lower = base;
	l->ops.rate = iops;
	l->bytes.rate = bps;
	l->burst_ns = burst_ms * NSEC_PER_MSEC;
	*disk = &l->disk;
	return 0;
}

u64 disk_limit_waited(const struct disk *disk)
{
	if (disk->ops != &limit_ops)
		return 0;
	return atomic_load_explicit(&container_of(disk, struct disk_limit, disk)->waited,
				    memory_order_relaxed);
}
