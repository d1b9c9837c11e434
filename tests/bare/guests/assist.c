/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VP assist page and its EOI assist (TLFS: "EOI Assist"): where the hypervisor set the bit, the
 * guest clears it and leaves the EOI out; nothing stays in service for it, on any VP.
 */
#include "tests/bare/bare.h"

#define VPS 2
#define VECTOR 0x51
#define ROUNDS 30

static uint32_t pages[VPS][HV_PAGE_SIZE / 4] __attribute__((aligned(HV_PAGE_SIZE)));

/* Instead of the runtime's EOI. */
static void on_vector(void)
{
	uint8_t granted;

	__asm__ volatile("btrl $0, %0; setc %1"
			 : "+m"(pages[bare_vp_index()][0]), "=q"(granted)
			 :
			 : "cc", "memory");
	if (!granted)
		bare_eoi();
}

static void run(uint64_t arg)
{
	const uint64_t page = (uint64_t)pages[bare_vp_index()] | HV_MSR_PAGE_ENABLE;

	(void)arg;
	pages[bare_vp_index()][0] = 1;
	bare_wrmsr(HV_MSR_VP_ASSIST_PAGE, page);
	CHECK_EQUAL(bare_rdmsr(HV_MSR_VP_ASSIST_PAGE), page);
	CHECK_EQUAL(pages[bare_vp_index()][0], 0);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint32_t seen = bare_count(VECTOR);

		bare_ipi(bare_vp_index(), VECTOR);
		bare_wait(VECTOR, seen);
		CHECK_EQUAL(bare_count(VECTOR), seen + 1);
	}
	CHECK(!bare_requested(VECTOR));
	bare_wrmsr(HV_MSR_VP_ASSIST_PAGE, 0);
	CHECK(!bare_in_service(VECTOR));
}

int main(void);
int main(void)
{
	bare_init();
	bare_apic_init();
	bare_irq_on();
	bare_no_eoi(VECTOR);
	bare_on_vector(VECTOR, on_vector);
	bare_start_vps(VPS);
	run(0);
	bare_call_on(1, run, 0);
	CHECK_EQUAL(bare_count(VECTOR), ROUNDS);
	CHECK_EQUAL(bare_count_on(1, VECTOR), ROUNDS);
	bare_pass();
}
