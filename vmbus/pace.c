/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bursts of a paced channel. A guest that keeps many requests with a disk writes as many packets as
 * it was shown completions; each would wake the host, and each answer interrupt the guest in the
 * midst of writing the next, at several exits each. So where a burst is under way signals stay
 * masked, the ring is looked at by the clock, and answers wait until the guest has written what is
 * expected of it, or is quiet. The disk has what was found meanwhile. Channel's I/O loop.
 *
 * What is expected: a packet for each one shown that none has followed yet. That the guest could
 * send more is found out by waiting once for as long as packets come: a trial. Few are not worth
 * waiting for: a guest with one request at a time, or several such, hardly ever waits. Nor is it
 * waited for more than BURST_ENOUGH: of a deeper queue, one part is the disk's while the other is
 * the guest's.
 *
 * Whether to wait is a matter of trust: what comes as expected earns it, what fails to come costs
 * it, and without any only trials wait. Many packets found at once are worth a little of it: so a
 * guest that begins to keep many requests is known soon. What failed to come is expected once more,
 * so that a burst that something broke in two is one again; then it is forgotten: the guest has
 * fewer requests now.
 *
 * What was waited for in vain is time lost, and no more than a part of all time may be: after it,
 * nothing new is tried for so many times as long.
 */
#include "vmbus/server.h"

#define BURST_MIN 4u /* packets; to wait for fewer saves little */
#define BURST_ENOUGH 32u /* ... and for more */
#define TRIAL_AFTER 16u /* times something was shown */
#define TRY_AFTER 64u /* times what the last one cost */
#define TRUST_TRIAL 8u /* what a trial gives */
#define TRUST_FOUND 4u /* ... and a burst found at once */
#define TRUST_MAX 16u
#define TRUST_MISS 2u /* what a burst costs that is too short */
#define GAP_MIN_NS 500ull
#define STEP_MIN_NS (10 * 1000ull)
#define QUIET_GAPS 32u /* nothing for the time of so many packets: the guest is quiet */
#define QUIET_MIN_NS (50 * 1000ull)
#define QUIET_MAX_NS (500 * 1000ull)
#define QUIET_UNKNOWN_NS (100 * 1000ull)
#define BURST_MAX_NS (2 * NSEC_PER_MSEC)
#define STALE_NS (20 * NSEC_PER_MSEC) /* what was shown so long ago, no packet follows any more */

static u64 packets_in(const struct vmbus_channel *ch)
{
	return atomic_load_explicit(&ch->count.packets_in, memory_order_relaxed);
}

static u64 packets_out(const struct vmbus_channel *ch)
{
	return atomic_load_explicit(&ch->count.packets_out, memory_order_relaxed);
}

static u64 quiet_ns(const struct channel_pace *p)
{
	if (!p->gap_ns)
		return QUIET_UNKNOWN_NS;
	return MIN(MAX(QUIET_GAPS * p->gap_ns, QUIET_MIN_NS), QUIET_MAX_NS);
}

static u64 wanted(const struct channel_pace *p)
{
	if (p->trial)
		return UINT64_MAX;
	return p->trust && p->expected >= BURST_MIN ? MIN(p->expected, BURST_ENOUGH) : 0;
}

/* What the guest leaves alone for long, it has no use for. */
static void forget_stale(struct channel_pace *p)
{
	if (p->expected > 1 && p->seen == p->in && loop_now_ns() - p->shown_ns > STALE_NS)
		p->expected = 0;
}

/*
 * How long until the next look: to the middle of what is missing, so that the disk has the first
 * ones while the others are written.
 */
static u64 step_ns(const struct channel_pace *p, u64 missing, u64 left)
{
	u64 gaps = MAX(missing / 2, MIN(missing, 4u));

	return MIN(p->trial || !p->gap_ns ? quiet_ns(p) : MAX(gaps * p->gap_ns, STEP_MIN_NS), left);
}

/* The time between two packets of a burst, smoothed. */
static void gap_learn(struct channel_pace *p, u64 ns)
{
	p->gap_ns = p->gap_ns ? MIN((p->gap_ns + ns) / 2, 2 * p->gap_ns) : ns;
}

/* Nobody looked when the last one came: it may have been less by a part. */
static void gap_lower(struct channel_pace *p, u64 ns)
{
	p->gap_ns = MIN(p->gap_ns, MAX(MAX(p->gap_ns / 2, ns / 4 * 3), GAP_MIN_NS));
}

/* A wait that gained nothing. */
static void try_later(struct channel_pace *p, u64 now)
{
	p->try_ns = now + TRY_AFTER * (now - p->begun_ns);
}

static void trust_lower(struct channel_pace *p, u64 now)
{
	if (!p->trust)
		return;
	p->trust -= MIN(p->trust, TRUST_MISS);
	if (!p->trust)
		try_later(p, now);
}

static void trust_raise(struct channel_pace *p)
{
	if (!p->trust || p->trust == TRUST_MAX)
		return;
	if (++p->trust == TRUST_MAX)
		p->try_ns = 0;
}

/* Nobody waited, and so many came all the same. */
static void trust_find(struct channel_pace *p, u64 arrived)
{
	if (!p->trust && arrived >= BURST_MIN && loop_now_ns() >= p->try_ns)
		p->trust = TRUST_FOUND;
}

/* rest: what is expected once more. */
static void burst_end(struct channel_pace *p, u64 in, u32 rest)
{
	p->expected = rest;
	p->in = p->seen = in;
}

/* What was to be waited for has come, and perhaps more. */
static void burst_complete(struct channel_pace *p, u64 in)
{
	u64 arrived = in - p->in;

	if (p->seen != p->in && p->seen != in)
		gap_lower(p, (loop_now_ns() - p->came_ns) / (in - p->seen));
	if (p->expected >= BURST_MIN)
		trust_raise(p);
	trust_find(p, arrived);
	p->missed = false;
	burst_end(p, in, p->trust && p->expected > arrived ? p->expected - (u32)arrived : 0);
}

static void trial_end(struct channel_pace *p, u64 arrived, u64 now)
{
	if (arrived > p->expected && arrived >= BURST_MIN) {
		p->trust = MAX(p->trust, TRUST_TRIAL);
		p->trial_in = 0; /* there may be still more */
	} else {
		try_later(p, now);
	}
	p->trial = false;
}

/* Whatever comes later is no part of it. */
static void burst_short(struct channel_pace *p, u64 in, u64 now)
{
	u64 arrived = in - p->in;

	if (p->trial)
		trial_end(p, arrived, now);
	p->missed = arrived < p->expected && !p->missed;
	if (arrived < p->expected)
		trust_lower(p, now);
	burst_end(p, in, p->missed && p->trust ? p->expected - (u32)arrived : 0);
}

/* Notes what has come by now. False: the guest has been quiet for long, or has had its time. */
static bool burst_goes_on(struct channel_pace *p, u64 in, u64 now)
{
	if (p->seen == p->in)
		p->begun_ns = now;
	else if (in != p->seen)
		gap_learn(p, (now - p->came_ns) / (in - p->seen));
	else if (now - p->came_ns >= quiet_ns(p))
		return false;
	if (in != p->seen)
		p->came_ns = now;
	p->seen = in;
	return now - p->begun_ns < BURST_MAX_NS;
}

/* What was sent by now is shown in this turn, also where the next burst begins before that. */
static void burst_over(struct vmbus_channel *ch)
{
	ch->pace.due = packets_out(ch) != ch->pace.out;
	pace_end(ch);
}

bool pace_waits(struct vmbus_channel *ch)
{
	struct channel_pace *p = &ch->pace;
	u64 in = packets_in(ch), arrived = in - p->in, now, step;

	if (!ch->device->paced || ch->late || !arrived)
		return false;
	forget_stale(p);
	if (arrived >= wanted(p)) {
		burst_complete(p, in);
		burst_over(ch);
		return false;
	}
	now = loop_now_ns();
	if (!burst_goes_on(p, in, now)) {
		burst_short(p, in, now);
		burst_over(ch);
		return false;
	}
	step = step_ns(p, wanted(p) - arrived, p->begun_ns + BURST_MAX_NS - now);
	loop_timer_arm(ch->loop, &p->look, now + step);
	return true;
}

bool pace_holds(const struct vmbus_channel *ch)
{
	return ch->pace.look.armed && !ch->pace.due;
}

void pace_shown(struct vmbus_channel *ch)
{
	struct channel_pace *p = &ch->pace;
	u64 out = packets_out(ch), shown = out - p->out;

	p->due = false;
	if (!ch->device->paced || !shown)
		return;
	p->out = out;
	p->expected = (u32)MIN(p->expected + shown, (u64)UINT32_MAX);
	p->shown_ns = loop_now_ns();
	if (p->trial_in)
		p->trial_in--;
	if (p->trial_in || p->shown_ns < p->try_ns || p->expected >= BURST_ENOUGH)
		return;
	p->trial_in = TRIAL_AFTER;
	p->trial = true;
}

void pace_end(struct vmbus_channel *ch)
{
	if (!ch->pace.look.armed)
		return;
	loop_timer_disarm(ch->loop, &ch->pace.look);
	/* One that closes shows nothing, and may be gone when the loop flushes. */
	if (ch->live)
		loop_flush_later(ch->loop, &ch->flush);
}
