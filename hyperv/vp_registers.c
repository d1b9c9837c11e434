/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers of the calling VP by name (TLFS: HV_REGISTER_NAME), for HvCallGetVpRegisters and
 * HvCallSetVpRegisters. Three kinds:
 *
 *	twins of a synthetic MSR: what the MSR is, wherever it is kept; same privilege
 *	CPUID leaves: a leaf's four registers as one 128-bit value
 *	RIP, RFLAGS and the general registers, inside the hypercall page: read only, for a VP that
 *	waits for a call's end has nothing to be set
 *
 * Others get HV_STATUS_INVALID_PARAMETER: there is one trust level, and no intercepts.
 */
#include "hyperv/hypercall.h"
#include "hyperv/internal.h"

#include <string.h>

#include "vmm/kvm.h"
#include "vmm/vcpu.h"

/* ---- Twins of MSRs --------------------------------------------------------------------------- */

static const struct twin {
	u32 first, last; /* names */
	u32 msr; /* of the first */
	u32 privilege; /* HV_CPUID_FEATURES EAX */
	u32 feature; /* EDX */
	bool writable;
} twins[] = {
	{ HV_REGISTER_CRASH_P0, HV_REGISTER_CRASH_CTL, HV_MSR_CRASH_P0, 0, HV_FEATURE_CRASH_MSRS,
	  true },
	{ HV_REGISTER_VP_RUNTIME, HV_REGISTER_VP_RUNTIME, HV_MSR_VP_RUNTIME, HV_ACCESS_VP_RUNTIME,
	  0, false },
	{ HV_REGISTER_HYPERCALL, HV_REGISTER_HYPERCALL, HV_MSR_HYPERCALL, HV_ACCESS_HYPERCALL_MSRS,
	  0, true },
	{ HV_REGISTER_GUEST_OS_ID, HV_REGISTER_GUEST_OS_ID, HV_MSR_GUEST_OS_ID,
	  HV_ACCESS_HYPERCALL_MSRS, 0, true },
	{ HV_REGISTER_VP_INDEX, HV_REGISTER_VP_INDEX, HV_MSR_VP_INDEX, HV_ACCESS_VP_INDEX, 0,
	  false },
	{ HV_REGISTER_TIME_REF_COUNT, HV_REGISTER_TIME_REF_COUNT, HV_MSR_TIME_REF_COUNT,
	  HV_ACCESS_TIME_REF_COUNT, 0, false },
	{ HV_REGISTER_VP_ASSIST_PAGE, HV_REGISTER_VP_ASSIST_PAGE, HV_MSR_VP_ASSIST_PAGE, 0, 0,
	  true },
	{ HV_REGISTER_REFERENCE_TSC, HV_REGISTER_REFERENCE_TSC, HV_MSR_REFERENCE_TSC,
	  HV_ACCESS_REFERENCE_TSC, 0, true },
	{ HV_REGISTER_SINT0, HV_REGISTER_SINT15, HV_MSR_SINT0, HV_ACCESS_SYNIC, 0, true },
	{ HV_REGISTER_SCONTROL, HV_REGISTER_SCONTROL, HV_MSR_SCONTROL, HV_ACCESS_SYNIC, 0, true },
	{ HV_REGISTER_SVERSION, HV_REGISTER_SVERSION, HV_MSR_SVERSION, HV_ACCESS_SYNIC, 0, false },
	{ HV_REGISTER_SIEFP, HV_REGISTER_EOM, HV_MSR_SIEFP, HV_ACCESS_SYNIC, 0, true },
	{ HV_REGISTER_STIMER0_CONFIG, HV_REGISTER_STIMER3_COUNT, HV_MSR_STIMER0_CONFIG,
	  HV_ACCESS_STIMERS, 0, true },
};

static const struct twin *twin_find(u32 name)
{
	for (size_t i = 0; i < ARRAY_SIZE(twins); i++) {
		if (name >= twins[i].first && name <= twins[i].last)
			return &twins[i];
	}
	return NULL;
}

static u16 twin_check(const struct hyperv *hv, const struct twin *t, bool write)
{
	if (t->privilege & ~hv->offered.privileges || t->feature & ~hv->offered.features)
		return HV_STATUS_ACCESS_DENIED;
	return write && !t->writable ? HV_STATUS_INVALID_PARAMETER : HV_STATUS_SUCCESS;
}

static bool kept_by_kvm(const struct hyperv *hv, u32 msr)
{
	return hv->backend->keeps_msr && hv->backend->keeps_msr(hv, msr);
}

static u16 twin_get(struct hyperv_vp *vp, const struct twin *t, u32 msr, u64 *value)
{
	u16 status = twin_check(vp->hv, t, false);
	bool ok;

	if (status != HV_STATUS_SUCCESS)
		return status;
	ok = kept_by_kvm(vp->hv, msr) ? !vcpu_get_msr(vp->vcpu, msr, value)
				      : msr_read(vp, msr, value);
	return ok ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_PARAMETER;
}

static u16 twin_set(struct hyperv_vp *vp, const struct twin *t, u32 msr, u64 value)
{
	u16 status = twin_check(vp->hv, t, true);
	bool ok;

	if (status != HV_STATUS_SUCCESS)
		return status;
	if (kept_by_kvm(vp->hv, msr))
		ok = !vcpu_set_msr(vp->vcpu, msr, value);
	else
		ok = msr_write(vp, msr, value);
	return ok ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_PARAMETER;
}

/* ---- CPUID leaves ---------------------------------------------------------------------------- */

/* The leaf behind a name, or 0. */
static u32 leaf_of(u32 name)
{
	switch (name) {
	case HV_REGISTER_VERSION:
		return HV_CPUID_VERSION;
	case HV_REGISTER_PRIVILEGES:
		return HV_CPUID_FEATURES;
	case HV_REGISTER_FEATURES:
		return HV_CPUID_HINTS;
	case HV_REGISTER_LIMITS:
		return HV_CPUID_LIMITS;
	case HV_REGISTER_HARDWARE:
		return HV_CPUID_HARDWARE;
	default:
		return 0;
	}
}

static u16 leaf_get(struct hyperv_vp *vp, u32 leaf, struct hv_register_value *value)
{
	struct cpuid t = { .head.nent = CPUID_ENTRIES_MAX };
	const struct kvm_cpuid_entry2 *e;

	if (kvm_get_cpuid2(vp->vcpu->fd, &t.head))
		return HV_STATUS_INVALID_VP_STATE;
	e = cpuid_find(&t, leaf, 0);
	if (!e)
		return HV_STATUS_INVALID_PARAMETER;
	value->low = (u64)e->ebx << 32 | e->eax;
	value->high = (u64)e->edx << 32 | e->ecx;
	return HV_STATUS_SUCCESS;
}

/* ---- The processor's own --------------------------------------------------------------------- */

static bool is_processor(u32 name)
{
	return name >= HV_REGISTER_RAX && name <= HV_REGISTER_RFLAGS;
}

static u16 processor_get(struct hyperv_vp *vp, u32 name, u64 *value)
{
	struct kvm_regs r;

	if (kvm_get_regs(vp->vcpu->fd, &r))
		return HV_STATUS_INVALID_VP_STATE;
	/* In the order of their names, which is the processor's. */
	*value = (const u64[]){
		r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi, r.r8,
		r.r9,  r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rip, r.rflags
	}[name - HV_REGISTER_RAX];
	return HV_STATUS_SUCCESS;
}

/* ---- Both calls ------------------------------------------------------------------------------ */

u16 vp_register_get(struct hyperv_vp *vp, u32 name, struct hv_register_value *value)
{
	const struct twin *t = twin_find(name);

	*value = (struct hv_register_value){ 0 };
	if (t)
		return twin_get(vp, t, t->msr + name - t->first, &value->low);
	if (leaf_of(name))
		return leaf_get(vp, leaf_of(name), value);
	return is_processor(name) ? processor_get(vp, name, &value->low)
				  : HV_STATUS_INVALID_PARAMETER;
}

u16 vp_register_set(struct hyperv_vp *vp, u32 name, const struct hv_register_value *value)
{
	const struct twin *t = twin_find(name);

	return t ? twin_set(vp, t, t->msr + name - t->first, value->low)
		 : HV_STATUS_INVALID_PARAMETER;
}
