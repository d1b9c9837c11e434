/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GUEST_IDLE (TLFS: "Virtual Processor Idle Sleep State"): a read sleeps until an interrupt wakes
 * it, with interrupts off, too, and at times before one, as guests must expect; one that is
 * requested already keeps it from sleeping at all.
 */
#include "tests/bare/bare.h"

#define VECTOR 0x58
#define ROUNDS 5

static volatile uint64_t off; /* the last round in which VP 1 has its interrupts off */

static void idle(uint64_t round)
{
	uint32_t seen = bare_count(VECTOR);

	bare_irq_off();
	off = round;
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
	for (unsigned i = 1; i <= ROUNDS; i++) {
		bare_on(1, idle, i);
		while (off != i)
			bare_pause();
		bare_delay(20000);
		bare_ipi(1, VECTOR);
		bare_join(1);
	}
	CHECK_EQUAL(bare_count_on(1, VECTOR), ROUNDS);
	bare_pass();
}
