/* SPDX-License-Identifier: BSD-2-Clause */
/* Synthetic timers on a clock the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/hyperv/fake.h"

#define SIMP 0x2000
#define SINT 3
#define VECTOR 0x51
#define CONFIG(n) (HV_MSR_STIMER0_CONFIG + 2 * (n))
#define COUNT(n) (CONFIG(n) + 1)
#define TO_SINT ((u64)SINT << HV_STIMER_SINT_SHIFT)
#define DIRECT (HV_STIMER_DIRECT | (u64)VECTOR << HV_STIMER_VECTOR_SHIFT)
#define MS (HV_TIME_HZ / 1000)

static int setup(void **state)
{
	struct fake *f;

	fake_setup(state);
	f = *state;
	assert_true(
		synic_set_pages(&f->hv.vp[0], HV_SCONTROL_ENABLE, SIMP | HV_MSR_PAGE_ENABLE, 0));
	assert_true(synic_write_sint(&f->hv.vp[0], SINT, VECTOR));
	return 0;
}

static bool set(struct fake *f, u32 msr, u64 value)
{
	f->attended = 0;
	return stimer_write(&f->hv.vp[0], msr, value);
}

static u64 get(struct fake *f, u32 msr)
{
	u64 value = 0;

	assert_true(stimer_read(&f->hv.vp[0], msr, &value));
	return value;
}

/* What the VP does at a reference time; when it wants to be called next. */
static u64 run(struct fake *f, u64 ticks)
{
	fake_time(f, ticks);
	return stimer_run(&f->hv.vp[0]);
}

static unsigned interrupts(struct fake *f)
{
	unsigned n = f->kvm[0].msis;

	for (unsigned i = 0; i < n; i++)
		assert_int_equal(f->kvm[0].msi[i], VECTOR);
	f->kvm[0].msis = 0;
	return n;
}

static struct hv_message *slot(struct fake *f)
{
	struct hv_message_page *page = gmem_range(&f->mem, SIMP, HV_PAGE_SIZE);

	return &page->slot[SINT];
}

/* Takes the message as a driver does; whether it has to write EOM. */
static bool take(struct fake *f, struct hv_timer_message *m)
{
	struct hv_message *s = slot(f);

	assert_int_equal(s->type, HV_MESSAGE_TIMER_EXPIRED);
	assert_int_equal(s->payload_size, sizeof(*m));
	memcpy(m, s->payload, sizeof(*m));
	s->type = HV_MESSAGE_NONE;
	return s->flags & HV_MESSAGE_PENDING;
}

static void registers(void **state)
{
	const u64 all = TO_SINT | DIRECT | HV_STIMER_PERIODIC | HV_STIMER_LAZY |
			HV_STIMER_AUTO_ENABLE | HV_STIMER_ENABLE;
	struct fake *f = *state;

	for (u32 n = 0; n < HV_STIMERS; n++) {
		assert_int_equal(get(f, CONFIG(n)), 0);
		assert_true(set(f, CONFIG(n), all));
		assert_true(set(f, COUNT(n), 1000 + n));
		assert_int_equal(get(f, CONFIG(n)), all);
		assert_int_equal(get(f, COUNT(n)), 1000 + n);
	}
	for (unsigned bit = 0; bit < 64; bit++) {
		bool reserved = (bit >= 13 && bit < 16) || bit >= 20;

		assert_int_equal(set(f, CONFIG(0), 1ull << bit), !reserved);
	}
}

static void direct_mode_needs_its_feature(void **state)
{
	struct fake *f = *state;

	f->hv.offered.features &= ~HV_FEATURE_DIRECT_STIMERS;
	assert_false(set(f, CONFIG(0), DIRECT));
	assert_int_equal(get(f, CONFIG(0)), 0);
	assert_true(set(f, CONFIG(0), TO_SINT));
}

static void one_shot(void **state)
{
	struct fake *f = *state;

	assert_true(set(f, CONFIG(1), DIRECT | HV_STIMER_ENABLE));
	assert_int_equal(f->attended, 1);
	assert_int_equal(run(f, 0), 0); /* no count yet */
	assert_int_equal(get(f, CONFIG(1)), DIRECT | HV_STIMER_ENABLE);
	assert_true(set(f, COUNT(1), 5 * MS));
	assert_int_equal(f->attended, 1);
	assert_int_equal(run(f, 5 * MS - 1), 5 * MS);
	assert_int_equal(interrupts(f), 0);
	assert_int_equal(run(f, 5 * MS), 0);
	assert_int_equal(interrupts(f), 1);
	assert_int_equal(get(f, CONFIG(1)), DIRECT);
	assert_int_equal(get(f, COUNT(1)), 5 * MS);
	assert_int_equal(run(f, 9 * MS), 0);
	assert_int_equal(interrupts(f), 0);
	/* Enabled again, in the past: at once. */
	assert_true(set(f, CONFIG(1), DIRECT | HV_STIMER_ENABLE));
	assert_int_equal(run(f, 9 * MS), 0);
	assert_int_equal(interrupts(f), 1);
}

static void count_disables_and_auto_enables(void **state)
{
	struct fake *f = *state;

	assert_true(set(f, CONFIG(0), DIRECT | HV_STIMER_AUTO_ENABLE));
	assert_true(set(f, COUNT(0), MS));
	assert_int_equal(get(f, CONFIG(0)), DIRECT | HV_STIMER_AUTO_ENABLE | HV_STIMER_ENABLE);
	assert_true(set(f, COUNT(0), 0));
	assert_int_equal(get(f, CONFIG(0)), DIRECT | HV_STIMER_AUTO_ENABLE);
	assert_int_equal(run(f, 2 * MS), 0);
	assert_int_equal(interrupts(f), 0);
	assert_true(set(f, CONFIG(0), DIRECT));
	assert_true(set(f, COUNT(0), MS));
	assert_int_equal(get(f, CONFIG(0)), DIRECT);
	assert_int_equal(run(f, 2 * MS), 0);
	assert_int_equal(interrupts(f), 0);
}

static void sint_0_stops_a_running_timer(void **state)
{
	struct fake *f = *state;

	assert_true(set(f, COUNT(0), MS));
	assert_true(set(f, CONFIG(0), TO_SINT | HV_STIMER_ENABLE));
	assert_true(set(f, CONFIG(0), HV_STIMER_ENABLE));
	assert_int_equal(get(f, CONFIG(0)), 0);
	assert_true(set(f, CONFIG(0), DIRECT | HV_STIMER_ENABLE));
	assert_true(set(f, CONFIG(0), DIRECT | HV_STIMER_ENABLE)); /* it needs no SINT */
	assert_int_equal(get(f, CONFIG(0)), DIRECT | HV_STIMER_ENABLE);
}

static void periods_keep_their_phase(void **state)
{
	struct fake *f = *state;

	fake_time(f, 3 * MS);
	assert_true(set(f, COUNT(0), 10 * MS));
	assert_true(set(f, CONFIG(0), DIRECT | HV_STIMER_PERIODIC | HV_STIMER_ENABLE));
	assert_int_equal(run(f, 4 * MS), 13 * MS);
	assert_int_equal(run(f, 14 * MS), 23 * MS);
	assert_int_equal(interrupts(f), 1);
	/* Away for three periods: one interrupt, not three. */
	assert_int_equal(run(f, 44 * MS), 53 * MS);
	assert_int_equal(interrupts(f), 1);
	assert_int_equal(run(f, 53 * MS), 63 * MS);
	assert_int_equal(interrupts(f), 1);
	assert_true(get(f, CONFIG(0)) & HV_STIMER_ENABLE);
	/* Written again, it starts anew. */
	assert_true(set(f, COUNT(0), 10 * MS));
	assert_int_equal(run(f, 54 * MS), 63 * MS);
	fake_time(f, 58 * MS);
	assert_true(set(f, COUNT(0), 10 * MS));
	assert_int_equal(run(f, 59 * MS), 68 * MS);
}

static void extreme_counts(void **state)
{
	struct fake *f = *state;
	u64 next;

	fake_time(f, MS);
	assert_true(set(f, CONFIG(0), DIRECT | HV_STIMER_PERIODIC | HV_STIMER_ENABLE));
	assert_true(set(f, COUNT(0), UINT64_MAX));
	assert_int_equal(run(f, 2 * MS), UINT64_MAX);
	assert_int_equal(interrupts(f), 0);
	/* The shortest period leaves the guest some time between two ticks. */
	assert_true(set(f, COUNT(0), 1));
	next = run(f, 3 * MS);
	assert_int_equal(interrupts(f), 1);
	assert_in_range(next, 3 * MS + 100, 4 * MS);
	assert_true(set(f, CONFIG(0), DIRECT | HV_STIMER_ENABLE));
	assert_true(set(f, COUNT(0), UINT64_MAX));
	assert_int_equal(run(f, 4 * MS), UINT64_MAX);
}

static void a_message_says_when(void **state)
{
	struct hv_timer_message m;
	struct fake *f = *state;

	assert_true(set(f, CONFIG(2), TO_SINT | HV_STIMER_ENABLE));
	assert_true(set(f, COUNT(2), 5 * MS));
	assert_int_equal(run(f, 7 * MS), 0);
	assert_int_equal(interrupts(f), 1);
	assert_false(take(f, &m));
	assert_int_equal(m.timer_index, 2);
	assert_int_equal(m.expiration_time, 5 * MS);
	assert_int_equal(m.delivery_time, 7 * MS);
	assert_int_equal(get(f, CONFIG(2)), TO_SINT);
}

static void a_full_slot_is_tried_again_at_eom(void **state)
{
	struct hv_timer_message m;
	struct fake *f = *state;

	assert_true(set(f, CONFIG(0), TO_SINT | HV_STIMER_ENABLE));
	assert_true(set(f, CONFIG(1), TO_SINT | HV_STIMER_ENABLE));
	assert_true(set(f, COUNT(0), MS));
	assert_true(set(f, COUNT(1), 2 * MS));
	assert_int_equal(run(f, 3 * MS), 0);
	assert_int_equal(interrupts(f), 1);
	assert_int_equal(get(f, CONFIG(1)), TO_SINT | HV_STIMER_ENABLE); /* not before delivery */
	f->attended = 0;
	assert_true(take(f, &m));
	assert_int_equal(m.timer_index, 0);
	synic_end_of_message(&f->hv.vp[0]);
	assert_int_equal(f->attended, 1);
	assert_int_equal(run(f, 4 * MS), 0);
	assert_int_equal(interrupts(f), 1);
	assert_false(take(f, &m));
	assert_int_equal(m.timer_index, 1);
	assert_int_equal(m.expiration_time, 2 * MS);
	assert_int_equal(m.delivery_time, 4 * MS);
	assert_int_equal(get(f, CONFIG(1)), TO_SINT);
}

static void a_periodic_timer_holds_one_message(void **state)
{
	struct hv_timer_message m;
	struct fake *f = *state;

	assert_true(set(f, CONFIG(0), TO_SINT | HV_STIMER_PERIODIC | HV_STIMER_ENABLE));
	assert_true(set(f, COUNT(0), 10 * MS));
	assert_int_equal(run(f, 10 * MS), 20 * MS);
	assert_int_equal(run(f, 20 * MS), 0); /* the slot is full */
	assert_int_equal(run(f, 35 * MS), 0);
	assert_int_equal(interrupts(f), 1);
	assert_true(take(f, &m));
	synic_end_of_message(&f->hv.vp[0]);
	assert_int_equal(run(f, 36 * MS), 40 * MS);
	assert_int_equal(interrupts(f), 1);
	assert_false(take(f, &m));
	assert_int_equal(m.expiration_time, 20 * MS);
	assert_int_equal(run(f, 37 * MS), 40 * MS);
	assert_int_equal(interrupts(f), 0);
}

static void a_masked_sint_and_a_missing_page_hold_it(void **state)
{
	struct fake *f = *state;
	struct hyperv_vp *vp = &f->hv.vp[0];

	assert_true(synic_write_sint(vp, SINT, VECTOR | HV_SINT_MASKED));
	assert_true(set(f, CONFIG(0), TO_SINT | HV_STIMER_ENABLE));
	assert_true(set(f, COUNT(0), MS));
	assert_int_equal(run(f, MS), 0);
	assert_int_equal(slot(f)->type, HV_MESSAGE_NONE);
	f->attended = 0;
	assert_true(synic_write_sint(vp, SINT, VECTOR));
	assert_int_equal(f->attended, 1);
	assert_true(synic_set_pages(vp, 0, vp->simp, 0));
	assert_int_equal(run(f, MS), 0);
	assert_int_equal(interrupts(f), 0);
	f->attended = 0;
	assert_true(synic_set_pages(vp, HV_SCONTROL_ENABLE, vp->simp, 0));
	assert_int_equal(f->attended, 1);
	assert_int_equal(run(f, MS), 0);
	assert_int_equal(interrupts(f), 1);
}

static void a_new_start_drops_what_waited(void **state)
{
	struct fake *f = *state;

	assert_true(set(f, CONFIG(0), TO_SINT | HV_STIMER_PERIODIC | HV_STIMER_ENABLE));
	assert_true(set(f, COUNT(0), MS));
	run(f, MS);
	assert_int_equal(run(f, 2 * MS), 0);
	assert_true(set(f, CONFIG(0), TO_SINT | HV_STIMER_PERIODIC | HV_STIMER_ENABLE));
	assert_int_equal(run(f, 2 * MS), 3 * MS);
	assert_int_equal(run(f, 3 * MS), 0);
	assert_true(set(f, CONFIG(0), TO_SINT));
	slot(f)->type = HV_MESSAGE_NONE;
	synic_end_of_message(&f->hv.vp[0]);
	assert_int_equal(run(f, 4 * MS), 0);
	assert_int_equal(slot(f)->type, HV_MESSAGE_NONE);
}

static void polling_and_auto_eoi_sints(void **state)
{
	struct fake *f = *state;
	struct hyperv_vp *vp = &f->hv.vp[0];

	assert_true(set(f, CONFIG(0), TO_SINT | HV_STIMER_ENABLE));
	assert_true(synic_write_sint(vp, SINT, VECTOR | HV_SINT_POLLING));
	assert_true(set(f, COUNT(0), MS));
	run(f, MS);
	assert_int_equal(slot(f)->type, HV_MESSAGE_TIMER_EXPIRED);
	assert_int_equal(interrupts(f), 0);
	slot(f)->type = HV_MESSAGE_NONE;
	assert_true(synic_write_sint(vp, SINT, VECTOR | HV_SINT_AUTO_EOI));
	assert_true(set(f, CONFIG(0), TO_SINT | HV_STIMER_ENABLE));
	run(f, MS);
	assert_int_equal(interrupts(f), 0);
	assert_int_equal(atomic_load(&vp->auto_eoi), 1u << SINT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(registers),
		TEST(direct_mode_needs_its_feature),
		TEST(one_shot),
		TEST(count_disables_and_auto_enables),
		TEST(sint_0_stops_a_running_timer),
		TEST(periods_keep_their_phase),
		TEST(extreme_counts),
		TEST(a_message_says_when),
		TEST(a_full_slot_is_tried_again_at_eom),
		TEST(a_periodic_timer_holds_one_message),
		TEST(a_masked_sint_and_a_missing_page_hold_it),
		TEST(a_new_start_drops_what_waited),
		TEST(polling_and_auto_eoi_sints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
