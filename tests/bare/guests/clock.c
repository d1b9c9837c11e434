/* SPDX-License-Identifier: BSD-2-Clause */
/* Reference time: the counter, the TSC page, their agreement, and the frequencies. */
#include "tests/bare/bare.h"

#define ROUNDS 50
/* Between two reads of one clock and the other. */
#define SLACK_100NS 50u

static uint8_t page[HV_PAGE_SIZE] __attribute__((aligned(HV_PAGE_SIZE)));

static uint64_t page_time(void)
{
	const struct hv_reference_tsc *p = (const struct hv_reference_tsc *)page;
	unsigned __int128 scaled = (unsigned __int128)bare_rdtsc() * p->scale;

	return (uint64_t)(scaled >> 64) + (uint64_t)p->offset;
}

static void check_counter(void)
{
	uint64_t last = bare_rdmsr(HV_MSR_TIME_REF_COUNT);

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t now = bare_rdmsr(HV_MSR_TIME_REF_COUNT);

		CHECK(now >= last);
		last = now;
	}
	CHECK(bare_wrmsr_faults(HV_MSR_TIME_REF_COUNT, 0));
}

struct moment {
	uint64_t tsc_before, reference, tsc_after;
};

static struct moment moment(void)
{
	uint64_t before = bare_rdtsc(), reference = bare_rdmsr(HV_MSR_TIME_REF_COUNT);

	return (struct moment){ before, reference, bare_rdtsc() };
}

/*
 * However long the host kept us waiting in between: reference time lies between two TSC readings.
 */
static void check_rate(void)
{
	uint64_t hz = bare_rdmsr(HV_MSR_TSC_FREQUENCY), ticks = hz / HV_TIME_HZ;
	struct moment first, last;
	uint64_t passed;

	CHECK(hz > 100000000);
	CHECK(bare_rdmsr(HV_MSR_APIC_FREQUENCY) > 1000000);
	first = moment();
	while (bare_rdtsc() - first.tsc_after < hz / 50)
		;
	last = moment();
	passed = last.reference - first.reference;
	passed += passed / 20;
	CHECK(passed >= (last.tsc_before - first.tsc_after) / ticks);
	passed -= passed / 10;
	CHECK(passed <= (last.tsc_after - first.tsc_before) / ticks);
}

static void check_page(void)
{
	const struct hv_reference_tsc *p = (const struct hv_reference_tsc *)page;

	page[100] = 1;
	bare_wrmsr(HV_MSR_REFERENCE_TSC, (uint64_t)page | HV_MSR_PAGE_ENABLE);
	CHECK(bare_rdmsr(HV_MSR_REFERENCE_TSC) == ((uint64_t)page | HV_MSR_PAGE_ENABLE));
	CHECK(p->sequence && p->scale);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t before = page_time(), msr = bare_rdmsr(HV_MSR_TIME_REF_COUNT),
			 after = page_time();

		CHECK(before <= msr + SLACK_100NS);
		CHECK(msr <= after + SLACK_100NS);
	}
}

int main(void);
int main(void)
{
	bare_init();
	bare_hyperv_init();
	check_counter();
	check_rate();
	check_page();
	bare_pass();
}
