/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing a register of a local APIC in xAPIC mode for the guest, exactly, on a KVM that knows no
 * other way: the VP does it itself. Its state is put aside, and it runs three instructions of ours
 * in flat 32-bit mode without paging or interrupts: one or two stores to the APIC's page, and an
 * OUT that brings it back. They lie on a page of their own, below KVM's.
 *
 * It costs a dozen system calls. What the guest could do to disturb it, a debug register that names
 * one of these addresses, or other VPs' INIT, hurts or means the guest alone. Owner: the VP's
 * thread, from attention_run().
 */
#include "hyperv/apic.h"

#include <errno.h>

#include "vmm/kvm.h"
#include "vmm/vcpu.h"

#define SLOT 100 /* of KVM's memory; RAM has the first */
#define PORT 0xe8

#define RFLAGS_ONE 0x2u
#define CR0_PE 0x1u
#define CR0_ET 0x10u
#define CR0_NE 0x20u
#define CR4_VMXE 0x2000u /* cannot be cleared while the guest uses it */
#define EFER_LMA 0x400u

/* clang-format off */
static const u8 code[HV_PAGE_SIZE] __attribute__((aligned(HV_PAGE_SIZE))) = {
	0x89, 0x19, /* mov %ebx, (%ecx): with two registers only */
	0x89, 0x02, /* mov %eax, (%edx) */
	0xe6, PORT, /* out %al, $PORT */
	0xeb, 0xfe, /* (never) */
};
/* clang-format on */

#define ENTRY_TWO 0
#define ENTRY_ONE 2

int apic_mmio_init(struct hyperv *hv)
{
	const struct kvm_userspace_memory_region slot = { .slot = SLOT,
							  .flags = KVM_MEM_READONLY,
							  .guest_phys_addr = LAYOUT_ASIDE,
							  .memory_size = sizeof(code),
							  .userspace_addr = (u64)(uintptr_t)code };

	return kvm_set_user_memory_region(hv->vm->fd, &slot);
}

static struct kvm_segment flat_segment(bool is_code)
{
	return (struct kvm_segment){ .limit = 0xffffffff,
				     .selector = is_code ? 0x8 : 0x10,
				     .type = is_code ? 11 : 3,
				     .present = 1,
				     .db = 1,
				     .s = 1,
				     .g = 1 };
}

static struct kvm_sregs flat_sregs(const struct kvm_sregs *guest)
{
	struct kvm_sregs s = *guest;

	s.cs = flat_segment(true);
	s.ds = s.es = s.ss = flat_segment(false);
	s.cr0 = CR0_PE | CR0_ET | CR0_NE;
	s.cr4 &= CR4_VMXE;
	s.efer &= ~(u64)EFER_LMA;
	for (size_t i = 0; i < ARRAY_SIZE(s.interrupt_bitmap); i++)
		s.interrupt_bitmap[i] = 0;
	return s;
}

struct state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
};

static int state_get(int fd, struct state *s)
{
	int err = kvm_get_regs(fd, &s->regs);

	if (!err)
		err = kvm_get_sregs(fd, &s->sregs);
	if (!err)
		err = kvm_get_vcpu_events(fd, &s->events);
	return err;
}

/* Events last: setting the others drops some. Pending NMIs stay KVM's, as others add to them. */
static int state_set(int fd, const struct state *s)
{
	int err = kvm_set_sregs(fd, &s->sregs);

	if (!err)
		err = kvm_set_regs(fd, &s->regs);
	if (!err)
		err = kvm_set_vcpu_events(fd, &s->events);
	return err;
}

int apic_mmio_write(struct hyperv_vp *vp, u32 reg, u64 value)
{
	struct state guest, ours = { 0 };
	int fd = vp->vcpu->fd, err, restored;
	u32 page;

	err = state_get(fd, &guest);
	if (err)
		return err;
	guest.events.flags = KVM_VCPUEVENT_VALID_SHADOW;
	page = (u32)guest.sregs.apic_base & ~(HV_PAGE_SIZE - 1);
	ours.sregs = flat_sregs(&guest.sregs);
	ours.regs = (struct kvm_regs){ .rip = LAYOUT_ASIDE + ENTRY_ONE,
				       .rflags = RFLAGS_ONE,
				       .rax = (u32)value,
				       .rdx = page + reg };
	if (reg == APIC_ICR) {
		ours.regs.rip = LAYOUT_ASIDE + ENTRY_TWO;
		ours.regs.rbx = value >> 32;
		ours.regs.rcx = page + APIC_ICR2;
	}
	ours.events.flags = KVM_VCPUEVENT_VALID_SHADOW;
	ours.events.nmi.masked = 1;
	err = state_set(fd, &ours);
	if (!err)
		err = vcpu_run_aside(vp->vcpu, PORT);
	if (err == -ECANCELED)
		return 0;
	restored = state_set(fd, &guest);
	return err ? err : restored;
}
