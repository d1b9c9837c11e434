/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reference time (TLFS: Timers, "Reference Counter" and "Reference TSC"): 100 ns units since the
 * partition was made. The counter MSR and the page are computed from the guest's TSC by the same
 * scale and offset, so a guest that mixes the two never sees time run backwards. Only the user back
 * end needs this; KVM's emulation keeps time itself.
 */
#include "hyperv/partition.h"

#include "vmm/vcpu.h"

#define NSEC_PER_TICK 100u
#define HORIZON (3600ull * HV_TIME_HZ)

static u64 time_scaled(const struct time_source *t, u64 tsc)
{
	return (u64)((unsigned __int128)tsc * t->scale >> 64);
}

void time_start(struct time_source *t, u32 tsc_khz, u64 tsc_now)
{
	/* Reference ticks per TSC tick as a 64-bit binary fraction: 10000 ticks a millisecond. */
	t->tsc_khz = tsc_khz;
	t->scale = (u64)(((unsigned __int128)(HV_TIME_HZ / 1000) << 64) / tsc_khz);
	t->offset = (s64)-time_scaled(t, tsc_now);
}

int time_resume(struct hyperv_vp *vp, u64 reference)
{
	struct time_source *t = &vp->hv->time;
	u64 tsc;
	int err = vcpu_get_msr(vp->vcpu, MSR_IA32_TSC, &tsc);

	if (!err)
		t->offset = (s64)(reference - time_scaled(t, tsc));
	return err;
}

u64 time_reference(const struct time_source *t, u64 tsc)
{
	return time_scaled(t, tsc) + (u64)t->offset;
}

u64 time_now(struct hyperv_vp *vp)
{
	u64 tsc;

	return vcpu_get_msr(vp->vcpu, MSR_IA32_TSC, &tsc) ? 0 : time_reference(&vp->hv->time, tsc);
}

u64 time_to_clock(struct hyperv_vp *vp, u64 reference)
{
	u64 now = time_now(vp), clock = vcpu_clock();
	/* A timer set for the end of time goes off once in a while, and is set again. */
	u64 ahead = reference > now ? MIN(reference - now, HORIZON) : 0;

	/* Not a moment early: reference time is rounded down. */
	return clock + (ahead + 1) * NSEC_PER_TICK;
}

void time_fill_page(const struct time_source *t, struct hv_reference_tsc *page)
{
	u32 next = page->sequence + 1;

	page->scale = t->scale;
	page->offset = t->offset;
	/*
	 * 0 would mean "not valid: read the MSR". Stored last: a reader of the old values sees it.
	 */
	__atomic_store_n(&page->sequence, next ? next : 1, __ATOMIC_RELEASE);
}
