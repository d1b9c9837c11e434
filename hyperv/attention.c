/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a VP's thread does when somebody wants it or its alarm goes off: the one place where wishes
 * of other threads and time meet the VP, outside the guest.
 */
#include "hyperv/internal.h"

#include "vmm/vcpu.h"

/* How long an AutoEOI interrupt the VP cannot take now waits for the next look. */
#define AUTO_EOI_POLL_NS 200000u

void attention_run(struct hyperv_vp *vp)
{
	u64 deadline = 0, poll;

	tlb_flush_own(vp);
	deadline = stimer_run(vp);
	if (deadline)
		deadline = time_to_clock(vp, deadline);
	if (apic_run_auto_eoi(vp)) {
		poll = vcpu_clock() + AUTO_EOI_POLL_NS;
		deadline = deadline ? MIN(deadline, poll) : poll;
	}
	vcpu_set_alarm(vp->vcpu, deadline);
}
