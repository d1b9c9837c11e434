/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What KVM keeps of the interface on the kernel back end is read by KVM_GET_MSRS and put back by
 * KVM_SET_MSRS; what the shared core keeps and KVM acts on as well, KVM is only told. Values set
 * from here are no guest's writes: KVM takes them without clearing pages or telling us.
 *
 * The order matters: reference time before the timers that count in it, SCONTROL before the pages,
 * the pages before the SINTs and timers that send messages there. KVM 6.1, arch/x86/kvm/hyperv.c.
 */
#include "hyperv/internal.h"
#include "hyperv/state.h"
#include "vmm/kvm.h"
#include "vmm/vcpu.h"

/* MSRs that a guest may not have been offered: where KVM has none there is nothing to keep. */
static u64 optional_read(struct hyperv_vp *vp, u32 msr)
{
	u64 value;

	return vcpu_get_msr(vp->vcpu, msr, &value) ? 0 : value;
}

static int vp_read(struct hyperv_vp *vp, struct hyperv_vp_state *s)
{
	int err = 0;

	for (u32 i = 0; !err && i < HV_STIMERS; i++) {
		err = vcpu_get_msr(vp->vcpu, HV_MSR_STIMER0_CONFIG + 2 * i, &s->stimer[i].config);
		if (!err)
			err = vcpu_get_msr(vp->vcpu, HV_MSR_STIMER0_CONFIG + 2 * i + 1,
					   &s->stimer[i].count);
	}
	return err;
}

int state_kernel_read(struct hyperv *hv, struct hyperv_state *s)
{
	struct hyperv_vp *first = &hv->vp[0];
	int err = vcpu_get_msr(first->vcpu, HV_MSR_TIME_REF_COUNT, &s->reference_time);

	s->reenlightenment = optional_read(first, HV_MSR_REENLIGHTENMENT_CONTROL);
	s->tsc_emulation = optional_read(first, HV_MSR_TSC_EMULATION_CONTROL);
	s->tsc_invariant = optional_read(first, HV_MSR_TSC_INVARIANT_CONTROL);
	for (unsigned i = 0; !err && i < hv->vp_count; i++)
		err = vp_read(&hv->vp[i], &s->vp[i]);
	return err;
}

struct setting {
	u32 msr;
	u64 value;
};

static int set_all(struct hyperv_vp *vp, const struct setting *s, unsigned count)
{
	int err = 0;

	for (unsigned i = 0; !err && i < count; i++)
		err = vcpu_set_msr(vp->vcpu, s[i].msr, s[i].value);
	return err;
}

static int vp_write(struct hyperv_vp *vp, const struct hyperv_vp_state *s)
{
	const struct setting pages[] = { { HV_MSR_VP_ASSIST_PAGE, s->vp_assist },
					 { HV_MSR_SCONTROL, s->scontrol },
					 { HV_MSR_SIMP, s->simp },
					 { HV_MSR_SIEFP, s->siefp } };
	int err = set_all(vp, pages, ARRAY_SIZE(pages));

	for (u32 i = 0; !err && i < HV_SINTS; i++)
		err = vcpu_set_msr(vp->vcpu, HV_MSR_SINT0 + i, s->sint[i]);
	for (u32 i = 0; !err && i < HV_STIMERS; i++) {
		const struct setting timer[] = {
			{ HV_MSR_STIMER0_CONFIG + 2 * i + 1, s->stimer[i].count },
			{ HV_MSR_STIMER0_CONFIG + 2 * i, s->stimer[i].config }
		};

		err = set_all(vp, timer, ARRAY_SIZE(timer));
	}
	return err;
}

int state_kernel_write(struct hyperv *hv, const struct hyperv_state *s)
{
	const struct kvm_clock_data clock = { .clock = s->reference_time *
						       (NSEC_PER_SEC / HV_TIME_HZ) };
	const struct setting optional[] = {
		{ HV_MSR_REENLIGHTENMENT_CONTROL, s->reenlightenment },
		{ HV_MSR_TSC_EMULATION_CONTROL, s->tsc_emulation },
		{ HV_MSR_TSC_INVARIANT_CONTROL, s->tsc_invariant },
	};
	struct hyperv_vp *first = &hv->vp[0];
	int err = kvm_set_clock(hv->vm->fd, &clock);

	if (!err)
		err = vcpu_set_msr(first->vcpu, HV_MSR_GUEST_OS_ID, s->guest_os_id);
	if (!err)
		err = vcpu_set_msr(first->vcpu, HV_MSR_REFERENCE_TSC, s->reference_tsc);
	for (unsigned i = 0; !err && i < ARRAY_SIZE(optional); i++)
		if (optional[i].value)
			err = vcpu_set_msr(first->vcpu, optional[i].msr, optional[i].value);
	for (unsigned i = 0; !err && i < hv->vp_count; i++)
		err = vp_write(&hv->vp[i], &s->vp[i]);
	return err;
}
