/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC's synthetic side on the user back end, on KVM's own APIC, whose state other threads
 * change at any moment: KVM_SET_LAPIC would lose an interrupt requested meanwhile, so it is never
 * used.
 *
 * AutoEOI (TLFS: "SINTx Registers"): the interrupt is delivered, but its vector does not become in
 * service. No APIC does that by itself, so such a SINT is not raised at the APIC at all: its VP's
 * thread waits for a moment at which the processor would take the vector, and injects it as if the
 * APIC had just handed it over. Where none comes, the SINT stays requested and is looked at again.
 * An interrupt of a higher class that is requested too comes second, as soon as the handler allows.
 */
#include "hyperv/internal.h"

#include <errno.h>
#include <string.h>

#include "vmm/kvm.h"
#include "vmm/vcpu.h"

#define APIC_SOFTWARE_ENABLE 0x100u
#define APIC_VECTORS 256u

#define RFLAGS_IF 0x200u

/* An idle VP looks for an interrupt this often, and so many times. */
#define IDLE_STEP_NS 50000u
#define IDLE_STEPS 4

static u32 reg32(const struct kvm_lapic_state *apic, u32 reg)
{
	u32 value;

	memcpy(&value, &apic->regs[reg], sizeof(value));
	return value;
}

/* The highest vector set in ISR or IRR, -1: none. */
static int highest_vector(const struct kvm_lapic_state *apic, u32 reg)
{
	for (int word = APIC_VECTORS / 32 - 1; word >= 0; word--) {
		u32 bits = reg32(apic, reg + (u32)word * 0x10);

		if (bits)
			return word * 32 + 31 - __builtin_clz(bits);
	}
	return -1;
}

int apic_raise(struct hyperv_vp *vp, u8 vector)
{
	const struct kvm_msi msi = { .address_lo = 0xfee00000u | vp->index << 12, .data = vector };

	return kvm_signal_msi(vp->hv->vm->fd, &msi);
}

/* ---- AutoEOI ------------------------------------------------------------------------------------- */

enum verdict { NOW, LATER, NEVER };

/* What the APIC says: an interrupt at a disabled one is lost. */
static enum verdict apic_verdict(struct hyperv_vp *vp, u8 vector)
{
	struct kvm_lapic_state apic;
	int served;
	u32 busy;

	if (kvm_get_lapic(vp->vcpu->fd, &apic))
		return LATER;
	if (!(reg32(&apic, APIC_SPURIOUS) & APIC_SOFTWARE_ENABLE))
		return NEVER;
	served = highest_vector(&apic, APIC_ISR);
	busy = reg32(&apic, APIC_TPR) & 0xff;
	if (served >= 0)
		busy = MAX(busy, (u32)served);
	return vector >> 4 > busy >> 4 ? NOW : LATER;
}

/* What the processor says. */
static enum verdict processor_verdict(struct hyperv_vp *vp, const struct kvm_vcpu_events *e)
{
	struct kvm_regs regs;

	if (e->exception.injected || e->exception.pending || e->interrupt.injected ||
	    e->interrupt.shadow || e->nmi.injected || e->nmi.pending || e->smi.pending)
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
 * The highest vector requested, 0: none. Where the guest changed its mind: a masked SINT waits until
 * it is unmasked, one without AutoEOI is raised as any.
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

bool apic_run_auto_eoi(struct hyperv_vp *vp)
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

/* ---- Registers ------------------------------------------------------------------------------------ */

bool apic_read(struct hyperv_vp *vp, u32 msr, u64 *value)
{
	struct kvm_lapic_state apic;

	if (msr == HV_MSR_EOI || kvm_get_lapic(vp->vcpu->fd, &apic))
		return false;
	if (msr == HV_MSR_TPR)
		*value = reg32(&apic, APIC_TPR);
	else
		*value = (u64)reg32(&apic, APIC_ICR2) << 32 | reg32(&apic, APIC_ICR);
	return true;
}

/* What the APIC takes for reserved in the lower half of ICR. */
#define ICR_RESERVED 0xfff32000u

/* IA32_APIC_BASE. In x2APIC mode the registers are MSRs, ICR one of 64 bits. */
#define APIC_BASE_X2APIC 0x400u
#define APIC_BASE_ENABLE 0x800u
#define APIC_BASE_PAGE 0xfffffffffffff000ull
#define MSR_X2APIC(reg) (0x800 + ((reg) >> 4))

static u32 register_of(u32 msr)
{
	if (msr == HV_MSR_EOI)
		return APIC_EOI;
	return msr == HV_MSR_ICR ? APIC_ICR : APIC_TPR;
}

/*
 * In xAPIC mode. CR8 is all of TPR that can be set this way: its lower half, which only takes part in
 * arbitration, becomes 0.
 */
static bool write_xapic(struct hyperv_vp *vp, u32 reg, u64 value, struct kvm_sregs *s)
{
	u64 page = s->apic_base & APIC_BASE_PAGE;

	/* Else the store would go elsewhere. */
	if (!(s->apic_base & APIC_BASE_ENABLE) || page > UINT32_MAX ||
	    gmem_range(vp->hv->mem, page, HV_PAGE_SIZE))
		return false;
	if (reg == APIC_TPR) {
		s->cr8 = value >> 4 & 0xf;
		return !kvm_set_sregs(vp->vcpu->fd, s);
	}
	vp->apic_write.reg = reg;
	vp->apic_write.value = value;
	vcpu_attend(vp->vcpu);
	return true;
}

/* Where KVM knows Hyper-V it does it itself. */
bool apic_write(struct hyperv_vp *vp, u32 msr, u64 value)
{
	u32 reg = register_of(msr);
	struct kvm_sregs s;

	if (reg == APIC_ICR ? value & ICR_RESERVED : value >> 32)
		return false;
	if (vp->hv->kvm_apic_msrs)
		return !vcpu_set_msr(vp->vcpu, msr, value);
	if (kvm_get_sregs(vp->vcpu->fd, &s))
		return false;
	if (s.apic_base & APIC_BASE_X2APIC)
		return !vcpu_set_msr(vp->vcpu, MSR_X2APIC(reg), reg == APIC_EOI ? 0 : value);
	return write_xapic(vp, reg, value, &s);
}

void apic_run_write(struct hyperv_vp *vp)
{
	u32 reg = vp->apic_write.reg;
	int err = -EAGAIN;

	if (!reg)
		return;
	vp->apic_write.reg = 0;
	if (vcpu_complete(vp->vcpu))
		err = apic_mmio_write(vp, reg, vp->apic_write.value);
	/* The guest would wait for what never comes. */
	if (err && err != -EINTR)
		vm_report_end(vp->hv->vm, VM_END_INTERNAL, (u64)-err << 32);
}

/* ---- Idling --------------------------------------------------------------------------------------- */

static void doze(u64 ns)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t never = PTHREAD_COND_INITIALIZER;
	u64 until = vcpu_clock() + ns;
	const struct timespec t = { .tv_sec = (time_t)(until / NSEC_PER_SEC),
				    .tv_nsec = (long)(until % NSEC_PER_SEC) };

	/* Of the ways to sleep, one the thread's sandbox allows anyway. */
	pthread_mutex_lock(&lock);
	pthread_cond_clockwait(&never, &lock, CLOCK_MONOTONIC, &t);
	pthread_mutex_unlock(&lock);
}

static bool wanted(struct hyperv_vp *vp)
{
	struct kvm_lapic_state apic;

	return atomic_load(&vp->vcpu->attention) || atomic_load(&vp->auto_eoi) ||
	       kvm_get_lapic(vp->vcpu->fd, &apic) || highest_vector(&apic, APIC_IRR) >= 0;
}

void apic_idle(struct hyperv_vp *vp)
{
	for (unsigned i = 0; i < IDLE_STEPS && !wanted(vp); i++)
		doze(IDLE_STEP_NS);
}
