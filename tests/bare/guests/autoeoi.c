/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AutoEOI (TLFS: "SINTx Registers"): a SINT whose handler never writes EOI, in a storm, among
 * interrupts of lower and of higher priority that do. Nothing is lost, nothing stays in service.
 */
#include "tests/bare/bare.h"

#define SINT BARE_SINT
#define LOW 0x41
#define VECTOR 0x61 /* the SINT's */
#define HIGH 0x91
#define FLAGS 200
#define ROUNDS 40

static unsigned taken;
static volatile uint32_t lows, highs;

static void take_flags(void)
{
	for (unsigned flag = 0; flag < FLAGS; flag++)
		taken += bare_flag_take(SINT, flag);
}

/* A lower one in service when the SINT comes, and a higher one right after it. */
static void on_low(void)
{
	lows++;
	bare_irq_on();
	bare_ipi(bare_vp_index(), HIGH);
	bare_irq_off();
}

static void on_high(void)
{
	highs++;
}

/* A vector in service would hold back the next LOW, too. */
static bool quiet(uint8_t vector)
{
	return !bare_in_service(vector) && !bare_requested(vector);
}

/* Nor does one come that nobody asked for. */
static void check_no_more(void)
{
	uint32_t seen = bare_count(VECTOR);

	bare_delay(50000);
	CHECK_EQUAL(bare_count(VECTOR), seen);
}

static void check_single(void)
{
	taken = 0;
	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint32_t seen = bare_count(VECTOR);

		CHECK_EQUAL(bare_ask(BARE_ASK_FLAG, bare_vp_index(), SINT, i), 0);
		bare_wait(VECTOR, seen);
		CHECK_EQUAL(bare_count(VECTOR), seen + 1);
		CHECK(quiet(VECTOR));
		seen = bare_count(LOW);
		bare_ipi(bare_vp_index(), LOW);
		bare_wait(LOW, seen);
	}
	take_flags();
	CHECK_EQUAL(taken, ROUNDS);
	taken = 0;
	check_no_more();
}

static void check_storm(void)
{
	CHECK_EQUAL(bare_ask(BARE_ASK_STORM, 0, SINT, FLAGS), 0);
	for (unsigned i = 0; i < ROUNDS || taken < FLAGS; i++) {
		bare_ipi(0, LOW);
		take_flags();
	}
	while (bare_ask(BARE_ASK_CALM, 0, 0, 0))
		bare_pause();
	bare_delay(20000);
	check_no_more();
	CHECK_EQUAL(taken, FLAGS);
	CHECK(lows >= 2 * ROUNDS);
	CHECK_EQUAL(highs, lows);
	CHECK(quiet(LOW) && quiet(VECTOR) && quiet(HIGH));
}

/* Held back by interrupts off and by the task priority, and then delivered. */
static void check_held_back(void)
{
	uint32_t seen = bare_count(VECTOR);

	bare_irq_off();
	CHECK_EQUAL(bare_ask(BARE_ASK_FLAG, 0, SINT, 1), 0);
	bare_delay(10000);
	CHECK_EQUAL(bare_count(VECTOR), seen);
	bare_irq_on();
	bare_wait(VECTOR, seen);
	bare_apic_write(BARE_APIC_TPR, 0x70);
	CHECK_EQUAL(bare_ask(BARE_ASK_FLAG, 0, SINT, 2), 0);
	bare_delay(10000);
	CHECK_EQUAL(bare_count(VECTOR), seen + 1);
	bare_apic_write(BARE_APIC_TPR, 0);
	bare_wait(VECTOR, seen + 1);
	CHECK(bare_flag_take(SINT, 1) && bare_flag_take(SINT, 2));
	CHECK(quiet(VECTOR));
}

/* The same SINT without AutoEOI: its handler's EOI counts again. */
static void check_switch_off(void)
{
	uint32_t seen = bare_count(HIGH + 1);

	bare_wrmsr(HV_MSR_SINT0 + SINT, HIGH + 1);
	for (uint32_t i = 0; i < 3; i++) {
		CHECK_EQUAL(bare_ask(BARE_ASK_FLAG, 0, SINT, i), 0);
		bare_wait(HIGH + 1, seen + i);
	}
	CHECK(quiet(HIGH + 1));
}

static void init(void)
{
	bare_synic_init();
	bare_wrmsr(HV_MSR_SINT0 + SINT, VECTOR | HV_SINT_AUTO_EOI);
}

static void vp1(uint64_t arg)
{
	(void)arg;
	init();
	check_single();
}

int main(void);
int main(void)
{
	bare_init();
	bare_apic_init();
	bare_irq_on();
	bare_hyperv_init();
	bare_start_vps(2);
	bare_no_eoi(VECTOR);
	bare_on_vector(LOW, on_low);
	bare_on_vector(HIGH, on_high);
	init();
	check_single();
	check_held_back();
	check_storm();
	check_switch_off();
	bare_call_on(1, vp1, 0);
	bare_pass();
}
