/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a VP's thread does when somebody wants it or its alarm goes off: the one place where wishes
 * of other threads and time meet the VP, outside the guest.
 */
#include "hyperv/apic.h"
#include "hyperv/internal.h"

#include "vmm/vcpu.h"

/*
 * When to look again whether the VP can take an AutoEOI interrupt: soon, then the later the longer
 * it could not, but often enough for one that can only at rare moments, between two faults.
 */
#define AUTO_EOI_POLL_MIN_NS 200000u
#define AUTO_EOI_POLL_MAX_NS 2000000u

/* vcpu_clock() of the next look, 0: none. */
static u64 auto_eoi_poll(struct hyperv_vp *vp)
{
	u64 now, wait;

	if (!auto_eoi_run(vp)) {
		vp->auto_eoi_since = 0;
		return 0;
	}
	now = vcpu_clock();
	if (!vp->auto_eoi_since)
		vp->auto_eoi_since = now;
	wait = MAX((now - vp->auto_eoi_since) / 4, AUTO_EOI_POLL_MIN_NS);
	return now + MIN(wait, AUTO_EOI_POLL_MAX_NS);
}

void attention_run(struct hyperv_vp *vp)
{
	u64 deadline, poll;

	tlb_flush_own(vp);
	apic_run_write(vp);
	deadline = stimer_run(vp);
	if (deadline)
		deadline = time_to_clock(vp, deadline);
	poll = auto_eoi_poll(vp);
	if (poll)
		deadline = deadline ? MIN(deadline, poll) : poll;
	vcpu_set_alarm(vp->vcpu, deadline);
}
