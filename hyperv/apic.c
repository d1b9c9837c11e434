/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC's synthetic side (TLFS: "Virtual Interrupt Control") on the user back end, on
 * KVM's own APIC. Other threads change its state at any moment: KVM_SET_LAPIC would lose an
 * interrupt requested meanwhile, so it is never used.
 */
#include "hyperv/apic.h"

#include <errno.h>
#include <string.h>

#include "vmm/kvm.h"
#include "vmm/vcpu.h"

#define APIC_VECTORS 256u

/* An idle VP looks for an interrupt this often, and so many times. */
#define IDLE_STEP_NS 50000u
#define IDLE_STEPS 4

u32 apic_register(const struct kvm_lapic_state *apic, u32 reg)
{
	u32 value;

	memcpy(&value, &apic->regs[reg], sizeof(value));
	return value;
}

int apic_highest_vector(const struct kvm_lapic_state *apic, u32 reg)
{
	for (int word = APIC_VECTORS / 32 - 1; word >= 0; word--) {
		u32 bits = apic_register(apic, reg + (u32)word * 0x10);

		if (bits)
			return word * 32 + 31 - __builtin_clz(bits);
	}
	return -1;
}

int apic_raise(struct hyperv_vp *vp, u8 vector)
{
	const struct kvm_msi msi = { .address_lo = APIC_MSI_ADDRESS(vp->index), .data = vector };

	return kvm_signal_msi(vp->hv->vm->fd, &msi);
}

/* ---- Registers ------------------------------------------------------------------------------- */

bool apic_read(struct hyperv_vp *vp, u32 msr, u64 *value)
{
	struct kvm_lapic_state apic;

	if (msr == HV_MSR_EOI || kvm_get_lapic(vp->vcpu->fd, &apic))
		return false;
	if (msr == HV_MSR_TPR)
		*value = apic_register(&apic, APIC_TPR);
	else
		*value =
			(u64)apic_register(&apic, APIC_ICR2) << 32 | apic_register(&apic, APIC_ICR);
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
 * In xAPIC mode. CR8 is all of TPR that can be set this way: its lower half, which only takes part
 * in arbitration, becomes 0.
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

/* ---- Idling ---------------------------------------------------------------------------------- */

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
	       kvm_get_lapic(vp->vcpu->fd, &apic) || apic_highest_vector(&apic, APIC_IRR) >= 0;
}

void apic_idle(struct hyperv_vp *vp)
{
	for (unsigned i = 0; i < IDLE_STEPS && !wanted(vp); i++)
		doze(IDLE_STEP_NS);
}
