/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Event flags from the host: each flag's bit, one interrupt from clear to set, masked SINTs,
 * vectors that change, other VPs, and many at once from another thread of the host.
 */
#include "tests/bare/bare.h"

#define VPS 3
#define SINT BARE_SINT /* has its interrupt from the start */
#define STORM 300

static uint32_t set(unsigned vp, unsigned flag)
{
	return bare_ask(BARE_ASK_FLAG, vp, SINT, flag);
}

static void check_flags(void)
{
	static const unsigned flags[] = { 0, 1, 31, 32, 77, 1023, 1024, 2047 };
	const unsigned count = sizeof(flags) / sizeof(flags[0]);

	for (unsigned i = 0; i < count; i++) {
		uint32_t seen = bare_count(BARE_VECTOR);

		CHECK_EQUAL(set(0, flags[i]), 0);
		bare_wait(BARE_VECTOR, seen);
		for (unsigned j = 0; j < count; j++)
			CHECK(bare_flag_take(SINT, flags[j]) == (i == j));
		CHECK_EQUAL(bare_count(BARE_VECTOR), seen + 1);
	}
	CHECK(set(0, HV_EVENT_FLAGS)); /* there is none */
}

/* A flag still set has had its interrupt. */
static void check_edge(void)
{
	uint32_t seen = bare_count(BARE_VECTOR);

	CHECK_EQUAL(set(0, 5), 0);
	bare_wait(BARE_VECTOR, seen);
	CHECK_EQUAL(set(0, 5), 0);
	bare_delay(20000);
	CHECK_EQUAL(bare_count(BARE_VECTOR), seen + 1);
	CHECK_EQUAL(set(0, 6), 0);
	bare_wait(BARE_VECTOR, seen + 1);
	CHECK(bare_flag_take(SINT, 5) && bare_flag_take(SINT, 6));
}

static void check_mask(void)
{
	uint32_t seen = bare_count(BARE_VECTOR), other = bare_count(BARE_VECTOR + 1);

	bare_wrmsr(HV_MSR_SINT0 + SINT, BARE_VECTOR | HV_SINT_MASKED);
	CHECK_EQUAL(set(0, 9), 0);
	bare_delay(20000);
	CHECK_EQUAL(bare_count(BARE_VECTOR), seen);
	CHECK(bare_flag_take(SINT, 9));
	bare_wrmsr(HV_MSR_SINT0 + SINT, BARE_VECTOR + 1);
	CHECK_EQUAL(set(0, 9), 0);
	bare_wait(BARE_VECTOR + 1, other);
	CHECK_EQUAL(bare_count(BARE_VECTOR), seen);
	CHECK(bare_flag_take(SINT, 9));
	bare_wrmsr(HV_MSR_SINT0 + SINT, BARE_VECTOR);
}

static void vp_init(uint64_t vector)
{
	bare_synic_init();
	bare_wrmsr(HV_MSR_SINT0 + SINT, vector);
}

static void vp_take(uint64_t flag)
{
	bare_wait(BARE_VECTOR + 2, 0);
	CHECK(bare_flag_take(SINT, (unsigned)flag));
}

static void check_vps(void)
{
	uint32_t seen = bare_count(BARE_VECTOR);

	for (unsigned vp = 1; vp < VPS; vp++) {
		/* Not SINT 2's of that VP before it asked. */
		CHECK(set(vp, 40 + vp));
		bare_call_on(vp, vp_init, BARE_VECTOR + 2);
		CHECK_EQUAL(set(vp, 40 + vp), 0);
		bare_call_on(vp, vp_take, 40 + vp);
		CHECK_EQUAL(bare_count_on(vp, BARE_VECTOR + 2), 1);
	}
	CHECK_EQUAL(bare_count(BARE_VECTOR), seen);
	CHECK_EQUAL(bare_count(BARE_VECTOR + 2), 0);
}

/* Flags 0 to STORM-1 come while we take them: none is missed, and nothing stays behind. */
static void check_storm(void)
{
	unsigned taken = 0;

	CHECK_EQUAL(bare_ask(BARE_ASK_STORM, 0, SINT, STORM), 0);
	while (taken < STORM) {
		bare_irq_off();
		for (unsigned flag = 0; flag < STORM; flag++)
			taken += bare_flag_take(SINT, flag);
		/* What comes now raises an interrupt after this look. */
		if (taken < STORM)
			__asm__ volatile("sti; hlt" : : : "memory");
		bare_irq_on();
	}
	while (bare_ask(BARE_ASK_CALM, 0, 0, 0))
		bare_pause();
	bare_delay(1000);
	CHECK(!bare_in_service(BARE_VECTOR) && !bare_requested(BARE_VECTOR));
}

int main(void);
int main(void)
{
	bare_init();
	bare_apic_init();
	bare_irq_on();
	bare_hyperv_init();
	bare_start_vps(VPS);
	vp_init(BARE_VECTOR);
	check_flags();
	check_edge();
	check_mask();
	check_vps();
	check_storm();
	bare_pass();
}
