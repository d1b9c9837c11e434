/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AutoEOI (TLFS: "SINTx Registers") on the user back end: the interrupt is delivered, but its
 * vector does not become in service. No APIC does that by itself, so such a SINT is not raised at
 * the APIC at all: its VP's thread waits for a moment at which the processor would take the vector,
 * and injects it as if the APIC had just handed it over. Where none comes, the SINT stays requested
 * and is looked at again (attention.c). An interrupt of a higher class that is requested too comes
 * second, as soon as the handler allows. Leaves out guests that run guests of their own: the
 * interrupt is not made an exit of theirs.
 */
#include "hyperv/apic.h"

#include "vmm/kvm.h"
#include "vmm/vcpu.h"

#define APIC_SOFTWARE_ENABLE 0x100u

#define RFLAGS_IF 0x200u
#define GP_VECTOR 13

enum verdict { NOW, LATER, NEVER };

/* What the APIC says: an interrupt at a disabled one is lost. */
static enum verdict apic_verdict(struct hyperv_vp *vp, u8 vector)
{
	struct kvm_lapic_state apic;
	int served;
	u32 busy;

	if (kvm_get_lapic(vp->vcpu->fd, &apic))
		return LATER;
	if (!(apic_register(&apic, APIC_SPURIOUS) & APIC_SOFTWARE_ENABLE))
		return NEVER;
	served = apic_highest_vector(&apic, APIC_ISR);
	busy = apic_register(&apic, APIC_TPR) & 0xff;
	if (served >= 0)
		busy = MAX(busy, (u32)served);
	return vector >> 4 > busy >> 4 ? NOW : LATER;
}

/*
 * A #GP on its way, as after an MSR access we refused. It has changed nothing yet, so the interrupt
 * may come before the instruction instead: it faults again after that. A guest that does little but
 * such accesses would get no AutoEOI interrupt otherwise.
 */
static bool general_protection(const struct kvm_vcpu_events *e)
{
	return (e->exception.injected || e->exception.pending) && e->exception.nr == GP_VECTOR &&
	       e->exception.has_error_code && !e->exception.error_code;
}

/* What the processor says. */
static enum verdict processor_verdict(struct hyperv_vp *vp, const struct kvm_vcpu_events *e)
{
	struct kvm_regs regs;

	if ((e->exception.injected || e->exception.pending) && !general_protection(e))
		return LATER;
	if (e->interrupt.injected || e->interrupt.shadow || e->nmi.injected || e->nmi.pending ||
	    e->smi.pending)
		return LATER;
	if (kvm_get_regs(vp->vcpu->fd, &regs) || !(regs.rflags & RFLAGS_IF))
		return LATER;
	return NOW;
}

static enum verdict power_verdict(const struct kvm_mp_state *mp)
{
	switch (mp->mp_state) {
	case KVM_MP_STATE_RUNNABLE:
	case KVM_MP_STATE_HALTED:
		return NOW;
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
		return NEVER;
	default:
		return LATER;
	}
}

/*
 * No flag is set: what other threads may change meanwhile, a pending NMI, SIPI's vector, stays
 * KVM's.
 */
static enum verdict inject(struct hyperv_vp *vp, u8 vector, struct kvm_vcpu_events *e, bool halted)
{
	const struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };

	e->flags = 0;
	e->exception.injected = e->exception.pending = 0; /* only a #GP comes this far */
	e->interrupt.injected = 1;
	e->interrupt.nr = vector;
	e->interrupt.soft = 0;
	if (kvm_set_vcpu_events(vp->vcpu->fd, e))
		return LATER;
	if (halted)
		kvm_set_mp_state(vp->vcpu->fd, &runnable);
	return NOW;
}

/* NOW: it is done. */
static enum verdict try_inject(struct hyperv_vp *vp, u8 vector)
{
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	enum verdict v;

	if (!vcpu_complete(vp->vcpu) || kvm_get_mp_state(vp->vcpu->fd, &mp) ||
	    kvm_get_vcpu_events(vp->vcpu->fd, &events))
		return LATER;
	v = power_verdict(&mp);
	if (v == NOW)
		v = processor_verdict(vp, &events);
	if (v == NOW)
		v = apic_verdict(vp, vector);
	return v == NOW ? inject(vp, vector, &events, mp.mp_state == KVM_MP_STATE_HALTED) : v;
}

static u64 sint_value(const struct hyperv_vp *vp, unsigned sint)
{
	return atomic_load(&vp->sint[sint].value);
}

/*
 * The highest vector requested, 0: none. Where the guest changed its mind: a masked SINT waits
 * until it is unmasked, one without AutoEOI is raised as any.
 */
static u8 requested_vector(struct hyperv_vp *vp)
{
	u32 requests = atomic_load(&vp->auto_eoi);
	u8 highest = 0;

	for (unsigned i = 0; i < HV_SINTS; i++) {
		u64 value = sint_value(vp, i);
		u8 vector = (u8)(value & HV_SINT_VECTOR);

		if (!(requests >> i & 1) || value & (HV_SINT_MASKED | HV_SINT_POLLING))
			continue;
		if (value & HV_SINT_AUTO_EOI) {
			highest = MAX(highest, vector);
		} else {
			atomic_fetch_and(&vp->auto_eoi, ~(1u << i));
			apic_raise(vp, vector);
		}
	}
	return highest;
}

/* SINTs of one vector share its interrupt, as they would share its bit in the APIC. */
static void requests_clear(struct hyperv_vp *vp, u8 vector)
{
	for (unsigned i = 0; i < HV_SINTS; i++) {
		u64 value = sint_value(vp, i);

		if ((value & HV_SINT_VECTOR) == vector && !(value & HV_SINT_MASKED))
			atomic_fetch_and(&vp->auto_eoi, ~(1u << i));
	}
}

bool auto_eoi_run(struct hyperv_vp *vp)
{
	u8 vector;

	if (!atomic_load(&vp->auto_eoi))
		return false;
	vector = requested_vector(vp);
	if (!vector)
		return false;
	if (try_inject(vp, vector) == LATER)
		return true;
	/* The guest has not run since: its handler sees whatever was put down before this. */
	requests_clear(vp, vector);
	return requested_vector(vp) != 0;
}
