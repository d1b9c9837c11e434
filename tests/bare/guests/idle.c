/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GUEST_IDLE (TLFS: "Virtual Processor Idle Sleep State"): a read sleeps until an interrupt wakes it,
 * with interrupts off, too, and at times before one, as guests must expect; one that is requested
 * already keeps it from sleeping at all.
 */
#include "tests/bare/bare.h"

#define VECTOR 0x58
#define ROUNDS 5

static void idle(uint64_t arg)
{
	uint32_t seen = bare_count(VECTOR);

	(void)arg;
	bare_irq_off();
	while (!bare_requested(VECTOR))
		CHECK_EQUAL(bare_rdmsr(HV_MSR_GUEST_IDLE), 0);
	CHECK_EQUAL(bare_rdmsr(HV_MSR_GUEST_IDLE), 0);
	CHECK_EQUAL(bare_count(VECTOR), seen);
	bare_irq_on();
	bare_wait(VECTOR, seen);
}

int main(void);
int main(void)
{
	bare_init();
	bare_apic_init();
	bare_irq_on();
	bare_start_vps(2);
	for (unsigned i = 0; i < ROUNDS; i++) {
		bare_on(1, idle, 0);
		bare_delay(20000);
		bare_ipi(1, VECTOR);
		bare_join(1);
	}
	CHECK_EQUAL(bare_count_on(1, VECTOR), ROUNDS);
	bare_pass();
}
