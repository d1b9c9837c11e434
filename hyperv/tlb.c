/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Remote TLB flushes of the user back end. KVM has no call for them, but it flushes a vCPU's TLB
 * before the next instruction whenever the vCPU's paging changes; so each target changes it, and
 * back.
 *
 *	1. the caller notes its wish in every target, and asks for the target's attention
 *	2. it waits until each of them has left the guest, or was outside
 *	3. a target does not enter the guest again before its attention hook came here
 *
 * After 2 no target can use an old entry any more, though it may flush only when it runs next.
 * Nobody waits for more than that, so callers that name each other cannot block one another, and a
 * VP that was never started, or halted, costs one signal.
 *
 * What is changed is EFER.NXE: KVM takes it for another kind of paging (kvm_mmu_reset_context() in
 * its set_efer()) and throws the roots away, with whatever was cached under them. Unlike CR4, of
 * which KVM_SET_SREGS would be the way, it is an MSR: nothing else is read out and written back,
 * not an interrupt on its way in, the APIC's priority or the PAE page pointers.
 */
#include "hyperv/hypercall.h"
#include "hyperv/internal.h"

#include "vmm/vcpu.h"

#define MSR_EFER 0xc0000080u
#define EFER_NXE (1ull << 11)

static int change_paging_and_back(struct vcpu *vcpu)
{
	u64 efer;
	int err = vcpu_get_msr(vcpu, MSR_EFER, &efer);

	if (!err)
		err = vcpu_set_msr(vcpu, MSR_EFER, efer ^ EFER_NXE);
	return err ? err : vcpu_set_msr(vcpu, MSR_EFER, efer);
}

void tlb_flush_own(struct hyperv_vp *vp)
{
	int err;

	if (!atomic_load_explicit(&vp->tlb_flush, memory_order_relaxed) ||
	    !atomic_exchange(&vp->tlb_flush, false))
		return;
	err = change_paging_and_back(vp->vcpu);
	/* To go on would be to run on stale entries. */
	if (err)
		vm_report_end(vp->hv->vm, VM_END_INTERNAL, (u64)-err << 32);
}

void tlb_flush(struct hyperv_vp *caller, const struct vp_set *set)
{
	struct hyperv *hv = caller->hv;

	for (unsigned i = 0; i < hv->vp_count; i++) {
		if (!vp_set_has(set, i))
			continue;
		atomic_store(&hv->vp[i].tlb_flush, true);
		if (i != caller->index)
			vcpu_attend(hv->vp[i].vcpu);
	}
	tlb_flush_own(caller);
	for (unsigned i = 0; i < hv->vp_count; i++) {
		if (vp_set_has(set, i) && i != caller->index)
			vcpu_drain(hv->vp[i].vcpu);
	}
}
