/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reference time on several VPs: one time for all, by counter and by page, never backwards; and
 * what becomes of it within a day.
 */
#include "tests/bare/bare.h"

#define VPS 3
#define ROUNDS 30
/* Between the TSCs of two VPs, and between the counter and the page. */
#define SLACK 50u

static uint8_t page[HV_PAGE_SIZE] __attribute__((aligned(HV_PAGE_SIZE)));
static volatile uint64_t now;

static uint64_t page_time(void)
{
	const struct hv_reference_tsc *p = (const struct hv_reference_tsc *)page;
	unsigned __int128 scaled = (unsigned __int128)bare_rdtsc() * p->scale;

	return (uint64_t)(scaled >> 64) + (uint64_t)p->offset;
}

static void read_counter(uint64_t arg)
{
	(void)arg;
	now = bare_time();
}

static void read_page(uint64_t arg)
{
	(void)arg;
	now = page_time();
}

/* Reads follow one another on different VPs. */
static void check_order(void (*const read[2])(uint64_t))
{
	uint64_t last = bare_time();

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned vp = i % VPS;

		if (vp)
			bare_call_on(vp, read[i & 1], 0);
		else
			read[i & 1](0);
		CHECK(now + SLACK >= last);
		last = now;
	}
}

int main(void);
int main(void)
{
	bare_init();
	bare_apic_init();
	bare_irq_on();
	bare_start_vps(VPS);
	bare_wrmsr(HV_MSR_REFERENCE_TSC, (uint64_t)page | HV_MSR_PAGE_ENABLE);
	check_order((void (*const[2])(uint64_t)){ read_counter, read_counter });
	check_order((void (*const[2])(uint64_t)){ read_page, read_page });
	check_order((void (*const[2])(uint64_t)){ read_counter, read_page });
	/* The host judges what the page will say a day from now. */
	CHECK_EQUAL(bare_ask(BARE_ASK_TSC_PAGE, 0, 0, (uint32_t)(uint64_t)page), 0);
	bare_pass();
}
