/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC's synthetic side: its MSRs, and the interrupts and registers of KVM's APIC that
 * KVM has no call for. On the user back end, but for idling.
 */
#ifndef HYPERV_APIC_H
#define HYPERV_APIC_H

#include "hyperv/partition.h"
#include "vmm/lapic.h"

struct kvm_lapic_state;

/* ---- apic.c: the local APIC's synthetic side on the user back end ---------------------------- */

/* Where an MSI for VP vp_index's goes (Intel SDM vol. 3, "Message Signalled Interrupts"). */
#define APIC_MSI_ADDRESS(vp_index) (0xfee00000u | (vp_index) << 12)

/* EOI (write only), ICR and TPR; each is what the APIC's own register is. The VP's thread. */
bool apic_read(struct hyperv_vp *vp, u32 msr, u64 *value);
bool apic_write(struct hyperv_vp *vp, u32 msr, u64 value);
/*
 * From KVM_GET_LAPIC's answer: 32 bits at an offset; the highest vector set in ISR or IRR, -1:
 * none.
 */
u32 apic_register(const struct kvm_lapic_state *apic, u32 reg);
int apic_highest_vector(const struct kvm_lapic_state *apic, u32 reg);
/* Raises a fixed interrupt at a VP (edge). 0 or -errno. Any thread. */
int apic_raise(struct hyperv_vp *vp, u8 vector);
/* Part of attention_run(), first: a write that could not be done while the guest's WRMSR lasted. */
void apic_run_write(struct hyperv_vp *vp);
/*
 * Idles a VP until an interrupt is requested, whether it would take it or not; at most a fraction
 * of a millisecond, as waking early is allowed. The VP's thread, on either back end.
 */
void apic_idle(struct hyperv_vp *vp);

/* ---- apic_mmio.c: the APIC's registers in xAPIC mode, on a KVM that cannot write them -------- */

/* Has the VM run what this needs. 0 or -errno. Main thread, before any VP runs. */
int apic_mmio_init(struct hyperv *hv);
/*
 * Writes EOI, or all 64 bits of ICR, as the guest itself would. 0 or -errno. Its thread, after
 * vcpu_complete().
 */
int apic_mmio_write(struct hyperv_vp *vp, u32 reg, u64 value);

/* ---- auto_eoi.c: interrupts of SINTs with AutoEOI on the user back end ----------------------- */

/* Part of attention_run(): injects what vp->auto_eoi asks for. True: some has to wait. */
bool auto_eoi_run(struct hyperv_vp *vp);

#endif
