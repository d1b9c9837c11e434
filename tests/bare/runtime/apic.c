/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC, in xAPIC and x2APIC mode. */
#include "tests/bare/runtime/vp.h"

#define APIC 0xfee00000ul
#define MSR_APIC_BASE 0x1b
#define APIC_BASE_X2 0x400
#define MSR_X2APIC 0x800
#define SPURIOUS_REG 0xf0
#define APIC_ENABLE 0x100
#define ICR_BUSY 0x1000
#define ICR_HIGH 0x310

bool bare_apic_is_x2(void)
{
	return bare_vp()->x2apic;
}

uint32_t bare_apic_read(uint32_t reg)
{
	if (bare_apic_is_x2())
		return (uint32_t)bare_rdmsr(MSR_X2APIC + reg / 16);
	return *(volatile uint32_t *)(APIC + reg);
}

void bare_apic_write(uint32_t reg, uint32_t value)
{
	if (bare_apic_is_x2())
		bare_wrmsr(MSR_X2APIC + reg / 16, value);
	else
		*(volatile uint32_t *)(APIC + reg) = value;
}

void bare_apic_init(void)
{
	bare_apic_write(SPURIOUS_REG, APIC_ENABLE | BARE_SPURIOUS);
}

void bare_apic_x2(void)
{
	/* No interrupt in between: its EOI would go the old way. */
	bare_irq_off();
	bare_wrmsr(MSR_APIC_BASE, bare_rdmsr(MSR_APIC_BASE) | APIC_BASE_X2);
	bare_vp()->x2apic = true;
	bare_irq_on();
}

void bare_eoi(void)
{
	bare_apic_write(BARE_APIC_EOI, 0);
}

static bool vector_in(uint32_t reg, uint8_t vector)
{
	return bare_apic_read(reg + vector / 32 * 16) >> vector % 32 & 1;
}

bool bare_in_service(uint8_t vector)
{
	return vector_in(BARE_APIC_ISR, vector);
}

bool bare_requested(uint8_t vector)
{
	return vector_in(BARE_APIC_IRR, vector);
}

void bare_icr(uint32_t vp, uint32_t command)
{
	if (bare_apic_is_x2()) {
		bare_wrmsr(MSR_X2APIC + BARE_APIC_ICR / 16, (uint64_t)vp << 32 | command);
		return;
	}
	bare_apic_write(ICR_HIGH, vp << 24);
	bare_apic_write(BARE_APIC_ICR, command);
	while (bare_apic_read(BARE_APIC_ICR) & ICR_BUSY)
		bare_pause();
}

void bare_ipi(uint32_t vp, uint8_t vector)
{
	bare_icr(vp, 0x4000 | vector); /* fixed, physical, assert */
}
