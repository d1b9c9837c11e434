/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Offsets in the local APIC's page, as KVM_GET_LAPIC hands it out (Intel SDM vol. 3, "Local APIC
 * Register Address Map").
 */
#ifndef VMM_LAPIC_H
#define VMM_LAPIC_H

#define APIC_TPR 0x80u
#define APIC_EOI 0xb0u
#define APIC_SPURIOUS 0xf0u
#define APIC_ISR 0x100u
#define APIC_IRR 0x200u
#define APIC_ICR 0x300u
#define APIC_ICR2 0x310u

#endif
