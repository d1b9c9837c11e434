/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Synthetic timers (TLFS: Timers, "Synthetic Timers") of the user back end; KVM has its own. A VP
 * has four, each two MSRs, all served by the VP's own thread: its alarm brings it here when one is
 * due. A timer
 *
 *	goes off once, when reference time is COUNT, at once where that has passed; or, PERIODIC,
 *	every COUNT from when it was set
 *	interrupts by itself (DIRECT), or sends a message to a SINT. Where that cannot take it, the
 *	timer holds this one message until it can: at EOM, or when the guest changed SINT or SIMP
 *	starts anew with every write to its registers; what it held is dropped
 *
 * Periods that passed unseen, because the VP was away or a message waited, are left out and the
 * phase is kept, LAZY or not, as KVM has it. KVM's SINT 0 rule is ours too: giving it to a timer
 * that runs stops the timer.
 */
#include "hyperv/apic.h"
#include "hyperv/internal.h"

#include "vmm/vcpu.h"

/* Reference time. A guest that wants ticks faster than this shall still get to run. */
#define TICK_MIN (HV_TIME_HZ / 50000)

static struct stimer *stimer_of(struct hyperv_vp *vp, u32 msr)
{
	return &vp->stimer[(msr - HV_MSR_STIMER0_CONFIG) / 2];
}

static bool is_count(u32 msr)
{
	return (msr - HV_MSR_STIMER0_CONFIG) % 2;
}

static u32 sint_of(u64 config)
{
	return config >> HV_STIMER_SINT_SHIFT & (HV_SINTS - 1);
}

static u64 add(u64 a, u64 b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

/* ---- The registers --------------------------------------------------------------------------- */

static void start(struct hyperv_vp *vp, struct stimer *t)
{
	t->waiting = false;
	t->due = 0;
	if (t->config & HV_STIMER_ENABLE && t->count)
		t->due = t->config & HV_STIMER_PERIODIC ? add(time_now(vp), t->count) : t->count;
	vcpu_attend(vp->vcpu);
}

static bool write_config(struct hyperv_vp *vp, struct stimer *t, u64 value)
{
	bool direct = value & HV_STIMER_DIRECT;

	if (value & HV_STIMER_RESERVED)
		return false;
	if (direct && !(vp->hv->offered.features & HV_FEATURE_DIRECT_STIMERS))
		return false;
	if (t->config & HV_STIMER_ENABLE && !direct && !sint_of(value))
		value &= ~HV_STIMER_ENABLE;
	t->config = value;
	start(vp, t);
	return true;
}

static bool write_count(struct hyperv_vp *vp, struct stimer *t, u64 value)
{
	t->count = value;
	if (!value)
		t->config &= ~HV_STIMER_ENABLE;
	else if (t->config & HV_STIMER_AUTO_ENABLE)
		t->config |= HV_STIMER_ENABLE;
	start(vp, t);
	return true;
}

bool stimer_read(struct hyperv_vp *vp, u32 msr, u64 *value)
{
	const struct stimer *t = stimer_of(vp, msr);

	*value = is_count(msr) ? t->count : t->config;
	return true;
}

bool stimer_write(struct hyperv_vp *vp, u32 msr, u64 value)
{
	struct stimer *t = stimer_of(vp, msr);

	return is_count(msr) ? write_count(vp, t, value) : write_config(vp, t, value);
}

/* ---- Going off ------------------------------------------------------------------------------- */

/* False: not now. */
static bool deliver(struct hyperv_vp *vp, const struct stimer *t, u64 now)
{
	const struct hv_timer_message m = { .timer_index = (u32)(t - vp->stimer),
					    .expiration_time = t->due,
					    .delivery_time = now };

	if (!(t->config & HV_STIMER_DIRECT))
		return !synic_post_own(vp, sint_of(t->config), HV_MESSAGE_TIMER_EXPIRED, &m,
				       sizeof(m));
	apic_raise(vp, (u8)(t->config >> HV_STIMER_VECTOR_SHIFT));
	return true;
}

/* The first tick of t that is well after now. */
static u64 next_tick(const struct stimer *t, u64 now)
{
	u64 earliest = add(now, TICK_MIN);
	u64 missed = earliest > t->due ? (earliest - t->due - 1) / t->count : 0;

	return add(t->due + missed * t->count, t->count);
}

static void expire(struct hyperv_vp *vp, struct stimer *t, u64 now)
{
	t->waiting = !deliver(vp, t, now);
	if (t->waiting)
		return;
	if (t->config & HV_STIMER_PERIODIC) {
		t->due = next_tick(t, now);
	} else {
		t->config &= ~HV_STIMER_ENABLE;
		t->due = 0;
	}
}

u64 stimer_run(struct hyperv_vp *vp)
{
	u64 next = 0, now = 0;

	for (struct stimer *t = vp->stimer; t < vp->stimer + HV_STIMERS; t++) {
		if (!t->due)
			continue;
		if (!now)
			now = time_now(vp);
		if (t->due <= now)
			expire(vp, t, now);
		if (t->due && !t->waiting)
			next = next ? MIN(next, t->due) : t->due;
	}
	return next;
}

void stimer_end_of_message(struct hyperv_vp *vp, u32 sint)
{
	for (const struct stimer *t = vp->stimer; t < vp->stimer + HV_STIMERS; t++)
		if (t->waiting && sint_of(t->config) == sint)
			vcpu_attend(vp->vcpu);
}
