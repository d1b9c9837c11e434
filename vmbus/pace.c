/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bursts of a paced channel. A guest that keeps many requests with a disk writes as many packets as
 * it was shown completions; each would wake the host, and each answer interrupt the guest in the
 * midst of writing the next, at several exits each. So where a burst is under way signals stay
 * masked, the ring is looked at by the clock, and answers wait until the guest has written what is
 * expected of it, or is quiet. Channel's I/O loop.
 *
 * What is expected: a packet for each one shown last. A guest that has one request at a time thus
 * never waits. That it could send more is found out by waiting once for as long as packets come: a
 * trial, the rarer the less came of it. Where what is expected fails to come too often, the channel
 * waits no more until a trial says otherwise.
 */
#include "vmbus/server.h"

#define TRIAL_AFTER_MIN 16u /* times something was shown */
#define TRIAL_AFTER_MAX 1024u
#define MISSES_MAX 4u
#define STEP_MIN_NS (10 * 1000ull)
#define STEP_MAX_NS (100 * 1000ull) /* no packet for so long: the guest is quiet */
#define BURST_MAX_NS (2 * NSEC_PER_MSEC)

static u64 packets_in(const struct vmbus_channel *ch)
{
	return atomic_load_explicit(&ch->count.packets_in, memory_order_relaxed);
}

static u64 packets_out(const struct vmbus_channel *ch)
{
	return atomic_load_explicit(&ch->count.packets_out, memory_order_relaxed);
}

static u64 clamp(u64 ns)
{
	return ns < STEP_MIN_NS ? STEP_MIN_NS : MIN(ns, STEP_MAX_NS);
}

static u64 wanted(const struct channel_pace *p)
{
	if (p->trial)
		return UINT64_MAX;
	return p->misses < MISSES_MAX ? p->expected : 0;
}

/* The time between two packets of a burst, smoothed. */
static void gap_learn(struct channel_pace *p, u64 ns)
{
	p->gap_ns = p->gap_ns ? (3 * p->gap_ns + ns) / 4 : ns;
}

static void burst_complete(struct channel_pace *p)
{
	if (p->seen == p->in)
		return; /* there was no need to wait */
	p->seen = p->in;
	p->misses = 0;
	/* Nobody looked when the last one came: not longer ago than it seems. */
	p->gap_ns -= p->gap_ns / 8;
}

/* Whatever comes later is no part of it. */
static void burst_short(struct channel_pace *p, u64 in)
{
	if (!p->trial) {
		p->misses++;
	} else if (in - p->in > p->expected) {
		p->misses = 0;
		p->trial_after = TRIAL_AFTER_MIN;
	} else {
		p->trial_after = MIN(2 * p->trial_after, TRIAL_AFTER_MAX);
	}
	p->trial = false;
	p->expected = 0;
	p->in = p->seen = in;
}

/* Notes what has come by now. False: the guest has been quiet for long, or has had its time. */
static bool burst_goes_on(struct channel_pace *p, u64 in, u64 now)
{
	if (p->seen == p->in) {
		p->begun_ns = now;
	} else if (in != p->seen) {
		gap_learn(p, (now - p->came_ns) / (in - p->seen));
	} else if (now - p->came_ns >= (p->gap_ns ? clamp(4 * p->gap_ns) : STEP_MAX_NS)) {
		return false;
	}
	if (in != p->seen)
		p->came_ns = now;
	p->seen = in;
	return now - p->begun_ns < BURST_MAX_NS;
}

bool pace_waits(struct vmbus_channel *ch)
{
	struct channel_pace *p = &ch->pace;
	u64 in = packets_in(ch), want = wanted(p), arrived = in - p->in, now, step;

	if (!ch->device->paced || ch->late || !arrived)
		return false;
	if (arrived >= want) {
		burst_complete(p);
		pace_end(ch);
		return false;
	}
	now = loop_now_ns();
	step = p->gap_ns ? clamp(p->gap_ns * MIN(want - arrived, 32u)) : STEP_MAX_NS;
	if (!burst_goes_on(p, in, now)) {
		burst_short(p, in);
		pace_end(ch);
		return false;
	}
	loop_timer_arm(ch->loop, &p->look, now + step);
	return true;
}

bool pace_holds(const struct vmbus_channel *ch)
{
	return ch->pace.look.armed;
}

void pace_shown(struct vmbus_channel *ch)
{
	struct channel_pace *p = &ch->pace;
	u64 out = packets_out(ch);

	if (!ch->device->paced || out == p->out)
		return;
	p->expected = (u32)MIN(out - p->out, (u64)UINT32_MAX);
	p->in = p->seen = packets_in(ch);
	p->out = out;
	if (++p->shown < p->trial_after)
		return;
	p->shown = 0;
	p->trial = true;
	p->trial_after = MAX(p->trial_after, TRIAL_AFTER_MIN);
}

void pace_end(struct vmbus_channel *ch)
{
	if (!pace_holds(ch))
		return;
	loop_timer_disarm(ch->loop, &ch->pace.look);
	/* One that closes shows nothing, and may be gone when the loop flushes. */
	if (ch->live)
		loop_flush_later(ch->loop, &ch->flush);
}
