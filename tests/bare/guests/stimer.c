/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Synthetic timers (TLFS: Timers): one-shot, in the past, periodic, lazy, auto-enable, direct, by
 * message into a busy slot, disabled and set anew while armed, all four, another VP's.
 */
#include "tests/bare/bare.h"

#define SINT 3
#define VECTOR (BARE_VECTOR + SINT)
#define DIRECT 0x70
#define TICK 20000u /* 2 ms */
#define FAR (100u * TICK) /* longer than a host keeps a VP waiting, but for now and then */

static struct hv_message last;

static uint32_t config_msr(unsigned n)
{
	return HV_MSR_STIMER0_CONFIG + 2 * n;
}

static uint32_t count_msr(unsigned n)
{
	return config_msr(n) + 1;
}

static uint64_t by_message(unsigned sint, uint64_t bits)
{
	return (uint64_t)sint << HV_STIMER_SINT_SHIFT | bits;
}

static uint64_t by_vector(uint8_t vector, uint64_t bits)
{
	return HV_STIMER_DIRECT | (uint64_t)vector << HV_STIMER_VECTOR_SHIFT | bits;
}

static void arm(unsigned n, uint64_t config, uint64_t count)
{
	bare_wrmsr(config_msr(n), 0);
	bare_wrmsr(count_msr(n), count);
	bare_wrmsr(config_msr(n), config | HV_STIMER_ENABLE);
}

static bool enabled(unsigned n)
{
	return bare_rdmsr(config_msr(n)) & HV_STIMER_ENABLE;
}

/* Takes the next message of timer n; it was due at or after `due`. Its own due time. */
static uint64_t expiry(unsigned n, unsigned sint, uint64_t due)
{
	const struct hv_timer_message *t = (const struct hv_timer_message *)last.payload;
	uint64_t now;

	while (bare_messages()->slot[sint].type == HV_MESSAGE_NONE)
		bare_pause();
	bare_take(sint, &last);
	now = bare_time();
	CHECK_EQUAL(last.type, HV_MESSAGE_TIMER_EXPIRED);
	CHECK_EQUAL(last.payload_size, sizeof(*t));
	CHECK_EQUAL(t->timer_index, n);
	CHECK(t->expiration_time >= due);
	CHECK(t->delivery_time >= t->expiration_time);
	CHECK(t->delivery_time <= now);
	return t->expiration_time;
}

static void check_one_shot(void)
{
	uint32_t seen = bare_count(VECTOR);
	uint64_t due = bare_time() + 1000 * FAR;

	arm(0, by_message(SINT, 0), due);
	CHECK(enabled(0));
	CHECK_EQUAL(bare_rdmsr(count_msr(0)), due);
	due = bare_time() + TICK;
	arm(0, by_message(SINT, 0), due);
	bare_wait(VECTOR, seen);
	CHECK_EQUAL(expiry(0, SINT, due), due);
	CHECK(!enabled(0));
	bare_delay(TICK);
	CHECK_EQUAL(bare_count(VECTOR), seen + 1);
}

static void check_past(void)
{
	uint32_t seen = bare_count(VECTOR);

	arm(1, by_message(SINT, 0), 1);
	bare_wait(VECTOR, seen);
	CHECK_EQUAL(expiry(1, SINT, 1), 1);
	CHECK(!enabled(1));
}

/* Each due time is a period after the last, or whole periods where some were left out. */
static void check_periodic(uint64_t bits)
{
	uint64_t start = bare_time(), due;

	arm(0, by_message(SINT, HV_STIMER_PERIODIC | bits), TICK);
	due = expiry(0, SINT, start + TICK);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t next = expiry(0, SINT, due + TICK);

		CHECK_EQUAL((next - due) % TICK, 0);
		due = next;
		CHECK(enabled(0));
	}
	bare_wrmsr(config_msr(0), 0);
	bare_take(SINT, &last);
	bare_delay(2 * TICK);
	CHECK_EQUAL(bare_messages()->slot[SINT].type, HV_MESSAGE_NONE);
}

static void check_auto_enable(void)
{
	uint64_t due = bare_time() + TICK;

	bare_wrmsr(config_msr(2), by_message(SINT, HV_STIMER_AUTO_ENABLE));
	CHECK(!enabled(2));
	bare_wrmsr(count_msr(2), due);
	CHECK_EQUAL(expiry(2, SINT, due), due);
	CHECK(!enabled(2));
	bare_wrmsr(count_msr(2), bare_time() + 1000 * FAR);
	CHECK(enabled(2));
	bare_wrmsr(count_msr(2), 0);
	CHECK(!enabled(2));
	bare_wrmsr(config_msr(2), 0);
}

static void check_direct(void)
{
	uint32_t seen = bare_count(DIRECT);
	uint64_t due;

	if (!(bare_cpuid(HV_CPUID_FEATURES).edx & HV_FEATURE_DIRECT_STIMERS)) {
		CHECK(bare_wrmsr_faults(config_msr(0), by_vector(DIRECT, 0)));
		return;
	}
	due = bare_time() + TICK;
	arm(3, by_vector(DIRECT, 0), due);
	bare_wait(DIRECT, seen);
	CHECK(bare_time() >= due);
	CHECK(!enabled(3));
	arm(3, by_vector(DIRECT, HV_STIMER_PERIODIC), TICK);
	for (unsigned i = 1; i < 5; i++)
		bare_wait(DIRECT, seen + i);
	bare_wrmsr(config_msr(3), 0);
	CHECK(bare_time() >= due + 4 * TICK);
	for (unsigned i = 0; i < HV_SINTS; i++)
		CHECK_EQUAL(bare_messages()->slot[i].type, HV_MESSAGE_NONE);
}

/* The host's message first; the timer's comes when EOM says that the slot is free. */
static void check_busy_slot(void)
{
	uint64_t due = bare_time() + TICK;

	CHECK_EQUAL(bare_ask(BARE_ASK_MESSAGE, 0, SINT, 1), 0);
	arm(0, by_message(SINT, 0), due);
	while (!(__atomic_load_n(&bare_messages()->slot[SINT].flags, __ATOMIC_ACQUIRE) &
		 HV_MESSAGE_PENDING))
		bare_pause();
	CHECK(bare_time() >= due);
	CHECK_EQUAL(bare_messages()->slot[SINT].type, 1);
	CHECK_EQUAL(bare_take(SINT, &last), 1);
	CHECK_EQUAL(expiry(0, SINT, due), due);
	CHECK(!enabled(0));
}

/*
 * Whether it is not due yet. Where it is, the host kept this VP waiting, and what was done meanwhile
 * proves nothing: timers 0 and 1 are stopped, and what they may have brought is taken away.
 */
static bool in_time(uint64_t due)
{
	if (bare_time() < due)
		return true;
	bare_wrmsr(config_msr(0), 0);
	bare_wrmsr(config_msr(1), 0);
	bare_delay(TICK);
	while (bare_take(SINT, &last) != HV_MESSAGE_NONE)
		bare_delay(TICK);
	return false;
}

static void check_disable(void)
{
	uint64_t due;
	uint32_t seen;

	do {
		due = bare_time() + FAR;
		arm(0, by_message(SINT, 0), due);
		bare_wrmsr(config_msr(0), by_message(SINT, 0));
		arm(1, by_message(SINT, 0), due);
		bare_wrmsr(count_msr(1), 0);
	} while (!in_time(due));
	CHECK(!enabled(0) && !enabled(1));
	seen = bare_count(VECTOR);
	bare_delay(FAR + 2 * TICK);
	CHECK_EQUAL(bare_count(VECTOR), seen);
	CHECK_EQUAL(bare_messages()->slot[SINT].type, HV_MESSAGE_NONE);
}

/* A new count while armed, earlier and later, counts alone. */
static void check_anew(void)
{
	uint64_t due = bare_time() + TICK;
	uint32_t seen;

	arm(0, by_message(SINT, 0), due + 1000 * FAR);
	bare_wrmsr(count_msr(0), due);
	CHECK_EQUAL(expiry(0, SINT, due), due);
	bare_delay(TICK);
	do {
		seen = bare_count(VECTOR);
		due = bare_time() + FAR + 2 * TICK;
		arm(0, by_message(SINT, 0), due - 2 * TICK);
		bare_wrmsr(count_msr(0), due);
	} while (!in_time(due - 2 * TICK));
	CHECK_EQUAL(expiry(0, SINT, due), due);
	bare_delay(TICK);
	CHECK_EQUAL(bare_count(VECTOR), seen + 1);
}

/* Four timers, four SINTs, armed in the other order. */
static void check_all(void)
{
	uint64_t start = bare_time() + 2 * TICK;

	for (unsigned n = 0; n < HV_STIMERS; n++)
		bare_wrmsr(HV_MSR_SINT0 + 8 + n, BARE_VECTOR + 8 + n);
	for (unsigned n = HV_STIMERS; n--;)
		arm(n, by_message(8 + n, 0), start + n * TICK);
	for (unsigned n = 0; n < HV_STIMERS; n++) {
		bare_wait((uint8_t)(BARE_VECTOR + 8 + n), 0);
		CHECK_EQUAL(expiry(n, 8 + n, start + n * TICK), start + n * TICK);
	}
}

static void vp1(uint64_t due)
{
	bare_synic_init();
	bare_wrmsr(HV_MSR_SINT0 + SINT, VECTOR);
	arm(0, by_message(SINT, 0), due);
	bare_wait(VECTOR, 0);
	CHECK_EQUAL(expiry(0, SINT, due), due);
}

static void check_other_vp(void)
{
	uint32_t seen = bare_count(VECTOR);

	bare_on(1, vp1, bare_time() + TICK);
	bare_join(1);
	CHECK_EQUAL(bare_count(VECTOR), seen);
	CHECK_EQUAL(bare_count_on(1, VECTOR), 1);
}

int main(void);
int main(void)
{
	bare_init();
	bare_apic_init();
	bare_irq_on();
	bare_hyperv_init();
	bare_start_vps(2);
	bare_synic_init();
	bare_wrmsr(HV_MSR_SINT0 + SINT, VECTOR);
	check_one_shot();
	check_past();
	check_periodic(0);
	check_periodic(HV_STIMER_LAZY);
	check_auto_enable();
	check_direct();
	check_busy_slot();
	check_disable();
	check_anew();
	check_all();
	check_other_vp();
	bare_pass();
}
