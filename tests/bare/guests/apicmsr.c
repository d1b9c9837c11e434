/* SPDX-License-Identifier: BSD-2-Clause */
/* The EOI, ICR and TPR MSRs against the APIC's own registers, in xAPIC and x2APIC mode. */
#include "tests/bare/bare.h"

#define VPS 2
#define LOW 0x45
#define VECTOR 0x55
#define HIGH 0x85
#define FIXED 0x4000ull

static volatile bool again;

/*
 * In service the vector holds back another of its own, and the EOI lets it come. The software KVM
 * some machines have keeps no vector in service (ISR reads zero in a handler): there is nothing to
 * see there but that the MSR may be written.
 */
static void eoi_by_msr(void)
{
	uint32_t count = bare_count(VECTOR);

	if (again && bare_in_service(VECTOR)) {
		bare_ipi(0, VECTOR);
		bare_irq_on();
		bare_delay(100);
		bare_irq_off();
		CHECK_EQUAL(bare_count(VECTOR), count);
	} else if (again) {
		bare_ipi(0, VECTOR);
	}
	again = false;
	bare_wrmsr(HV_MSR_EOI, 0);
	CHECK(!bare_in_service(VECTOR));
}

/* An xAPIC has the destination in the upper 8 bits, an x2APIC in the upper 32. */
static uint64_t command(uint64_t vp, uint8_t vector)
{
	return (bare_apic_is_x2() ? vp << 32 : vp << 56) | FIXED | vector;
}

static void check_eoi(void)
{
	uint32_t seen = bare_count(VECTOR);

	for (uint32_t i = 0; i < 10; i += 2) {
		again = true;
		bare_ipi(0, VECTOR);
		bare_wait(VECTOR, seen + i);
		bare_wait(VECTOR, seen + i + 1);
	}
	CHECK_EQUAL(bare_count(VECTOR), seen + 10);
	CHECK(!bare_in_service(VECTOR));
}

static void check_icr(void)
{
	uint32_t seen = bare_count(LOW), other = bare_count_on(1, LOW);

	bare_wrmsr(HV_MSR_ICR, command(0, LOW));
	bare_wait(LOW, seen);
	bare_wrmsr(HV_MSR_ICR, command(1, LOW));
	while (bare_count_on(1, LOW) == other)
		bare_pause();
	CHECK_EQUAL(bare_count(LOW), seen + 1);
	CHECK_EQUAL(bare_rdmsr(HV_MSR_ICR) & 0xff, LOW);
	CHECK_EQUAL(bare_apic_read(BARE_APIC_ICR) & 0xff, LOW);
	bare_wrmsr(HV_MSR_ICR, FIXED | 3 << 18 | LOW); /* all but self */
	while (bare_count_on(1, LOW) == other + 1)
		bare_pause();
	CHECK_EQUAL(bare_count(LOW), seen + 1);
}

/* Holds back what is not above it. */
static void check_tpr(void)
{
	uint32_t low = bare_count(LOW), high = bare_count(HIGH);

	bare_wrmsr(HV_MSR_TPR, 0x60);
	CHECK_EQUAL(bare_rdmsr(HV_MSR_TPR), 0x60);
	CHECK_EQUAL(bare_apic_read(BARE_APIC_TPR), 0x60);
	bare_ipi(0, LOW);
	bare_ipi(0, HIGH);
	bare_wait(HIGH, high);
	CHECK_EQUAL(bare_count(LOW), low);
	CHECK(bare_requested(LOW));
	bare_apic_write(BARE_APIC_TPR, 0x30);
	CHECK_EQUAL(bare_rdmsr(HV_MSR_TPR), 0x30);
	bare_wait(LOW, low);
	bare_wrmsr(HV_MSR_TPR, 0x70);
	bare_ipi(0, LOW);
	bare_delay(1000);
	CHECK_EQUAL(bare_count(LOW), low + 1);
	bare_wrmsr(HV_MSR_TPR, 0);
	bare_wait(LOW, low + 1);
}

static void to_x2apic(uint64_t arg)
{
	(void)arg;
	bare_apic_x2();
}

int main(void);
int main(void)
{
	bare_init();
	bare_apic_init();
	bare_irq_on();
	bare_start_vps(VPS);
	bare_no_eoi(VECTOR);
	bare_on_vector(VECTOR, eoi_by_msr);
	for (unsigned x2 = 0; x2 < 2; x2++) {
		check_eoi();
		check_icr();
		check_tpr();
		bare_call_on(1, to_x2apic, 0);
		bare_apic_x2();
	}
	bare_pass();
}
