/* SPDX-License-Identifier: BSD-2-Clause */
/* Bursts of a paced channel, by a clock of the test's own: the loop is what is below. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka wants the three above first */
#include <cmocka.h>

#include "vmbus/server.h"

#define US 1000ull

/* ---- The loop -------------------------------------------------------------------------------- */

static u64 clock_ns;

u64 loop_now_ns(void)
{
	return clock_ns;
}

void loop_timer_arm(struct loop *l, struct loop_timer *t, u64 deadline_ns)
{
	(void)l;
	assert_true(deadline_ns > clock_ns);
	t->deadline_ns = deadline_ns;
	t->armed = true;
}

void loop_timer_disarm(struct loop *l, struct loop_timer *t)
{
	(void)l;
	t->armed = false;
}

void loop_flush_later(struct loop *l, struct loop_flush *f)
{
	(void)l;
	f->queued = true;
}

/* ---- The channel ----------------------------------------------------------------------------- */

struct bed {
	struct vmbus_channel ch;
	struct vmbus_device dev;
	u64 shown; /* packets the guest has seen */
	unsigned shows;
	u64 held_ns; /* the time that something was held back for */
};

static int setup(void **state)
{
	static struct bed b;

	b = (struct bed){ .dev.paced = true, .ch.device = &b.dev };
	clock_ns = 1000 * US;
	*state = &b;
	return 0;
}

/* The end of a run: true: signals stay masked. */
static bool run(struct bed *b)
{
	bool waits = pace_waits(&b->ch);

	b->ch.flush.queued = false;
	if (!pace_holds(&b->ch) && b->shown != b->ch.count.packets_out) {
		b->shown = b->ch.count.packets_out;
		b->shows++;
		pace_shown(&b->ch);
	}
	assert_int_equal(waits, pace_holds(&b->ch));
	return waits;
}

/* count packets come, and are answered. */
static bool packets(struct bed *b, unsigned count)
{
	b->ch.count.packets_in += count;
	b->ch.count.packets_out += count;
	return run(b);
}

/* Time goes by, and the channel is looked at whenever it asked for that. */
static void pass(struct bed *b, u64 ns)
{
	u64 end = clock_ns + ns;

	while (pace_holds(&b->ch) && b->ch.pace.look.deadline_ns <= end) {
		b->held_ns += b->ch.pace.look.deadline_ns - clock_ns;
		clock_ns = b->ch.pace.look.deadline_ns;
		b->ch.pace.look.armed = false;
		run(b);
	}
	clock_ns = end;
}

/* A burst, one packet after the other; the longest wait of an answer behind the last one. */
static void burst(struct bed *b, unsigned count, u64 gap)
{
	for (unsigned i = 0; i < count; i++) {
		b->ch.count.packets_in++;
		b->ch.count.packets_out++;
		if (!pace_holds(&b->ch))
			run(b);
		pass(b, gap);
	}
}

/* It is known to have 32 requests. */
static void settle(struct bed *b)
{
	for (unsigned i = 0; i < 8; i++) {
		burst(b, 32, 5 * US);
		pass(b, 1000 * US);
	}
}

static void one_at_a_time_hardly_waits(void **state)
{
	struct bed *b = *state;
	u64 begin = clock_ns;
	unsigned waited = 0;

	for (unsigned i = 0; i < 10000; i++) {
		if (packets(b, 1)) {
			waited++;
			pass(b, 100 * US);
		}
		assert_int_equal(b->shown, i + 1);
		pass(b, 20 * US);
	}
	assert_in_range(waited, 2, 100);
	assert_in_range(b->held_ns, 1, (clock_ns - begin) / 60);
}

static void a_burst_is_shown_at_once(void **state)
{
	struct bed *b = *state;
	unsigned before;

	settle(b);
	before = b->shows;
	for (unsigned i = 0; i < 10; i++) {
		burst(b, 32, 5 * US);
		assert_int_equal(b->shown, b->ch.count.packets_out - (pace_holds(&b->ch) ? 32 : 0));
		pass(b, 200 * US); /* a trial, at worst */
		assert_int_equal(b->shown, b->ch.count.packets_out);
		pass(b, 1000 * US);
	}
	assert_int_equal(b->shows, before + 10);
}

static void what_is_not_followed_is_not_held(void **state)
{
	struct bed *b = *state;
	u64 begin;

	settle(b);
	begin = clock_ns;
	assert_true(packets(b, 1));
	while (b->shown != b->ch.count.packets_out)
		pass(b, 1 * US);
	assert_in_range(clock_ns - begin, 1, 250 * US);
	assert_false(pace_holds(&b->ch));
}

static void a_broken_burst_is_one_again(void **state)
{
	struct bed *b = *state;
	unsigned before;

	settle(b);
	burst(b, 10, 5 * US);
	pass(b, 400 * US);
	assert_int_equal(b->shown, b->ch.count.packets_out);
	before = b->shows;
	burst(b, 22, 5 * US);
	burst(b, 10, 5 * US);
	pass(b, 50 * US);
	assert_int_equal(b->shown, b->ch.count.packets_out);
	assert_int_equal(b->shows, before + 1);
}

static void fewer_requests_soon_wait_no_more(void **state)
{
	struct bed *b = *state;
	unsigned waited = 0;

	settle(b);
	for (unsigned i = 0; i < 30; i++) {
		burst(b, 8, 5 * US);
		pass(b, 25 * US);
		waited += b->shown != b->ch.count.packets_out;
		pass(b, 1000 * US);
	}
	/* Two of 32 that do not come, and trials. */
	assert_in_range(waited, 2, 6);
}

static void few_are_not_waited_for(void **state)
{
	struct bed *b = *state;
	u64 begin = clock_ns;
	unsigned waited = 0;

	for (unsigned i = 0; i < 1000; i++) {
		for (unsigned n = 0; n < 3; n++)
			waited += packets(b, 1);
		pass(b, 1000 * US);
		assert_int_equal(b->shown, b->ch.count.packets_out);
	}
	assert_in_range(waited, 2, 400);
	assert_in_range(b->held_ns, 1, (clock_ns - begin) / 60);
}

/* 64 requests: each half is shown when it is there. */
static void a_deep_queue_is_shown_by_parts(void **state)
{
	struct bed *b = *state;
	unsigned before;

	for (unsigned i = 0; i < 8; i++) {
		burst(b, 64, 5 * US);
		pass(b, 1000 * US);
	}
	before = b->shows;
	for (unsigned i = 0; i < 10; i++) {
		burst(b, 32, 5 * US);
		pass(b, 100 * US);
		assert_int_equal(b->shown, b->ch.count.packets_out);
		burst(b, 32, 5 * US);
		pass(b, 1000 * US);
	}
	assert_int_equal(b->shows, before + 20);
}

/* A packet that comes as one burst ends begins the next, before the loop's end shows anything. */
static void the_next_burst_holds_none_of_the_last(void **state)
{
	struct bed *b = *state;

	settle(b);
	b->ch.count.packets_out += 64;
	run(b);
	assert_true(b->ch.pace.expected >= 64);
	b->ch.count.packets_in += 32;
	b->ch.count.packets_out++;
	assert_false(pace_waits(&b->ch));
	b->ch.count.packets_in++;
	assert_true(pace_waits(&b->ch));
	assert_false(pace_holds(&b->ch));
	pace_shown(&b->ch);
	assert_true(pace_holds(&b->ch));
}

/* 32 requests; the first answer interrupts it, and the host finds all the others at once. */
static void interrupted_burst(struct bed *b)
{
	if (packets(b, 1)) {
		burst(b, 31, 5 * US);
	} else {
		pass(b, 155 * US);
		packets(b, 31);
	}
	pass(b, 1000 * US);
}

static void many_after_one_at_a_time_are_known_soon(void **state)
{
	struct bed *b = *state;
	unsigned before;

	for (unsigned i = 0; i < 10000; i++) {
		packets(b, 1);
		pass(b, 1000 * US);
	}
	for (unsigned i = 0; i < 10; i++)
		interrupted_burst(b);
	before = b->shows;
	for (unsigned i = 0; i < 10; i++)
		interrupted_burst(b);
	assert_int_equal(b->shows, before + 10);
}

static void what_is_old_is_not_expected(void **state)
{
	struct bed *b = *state;

	settle(b);
	pass(b, 30000 * US);
	assert_false(packets(b, 1));
}

static void who_never_stops_is_shown_something(void **state)
{
	struct bed *b = *state;
	u64 begin;

	packets(b, 1);
	pass(b, 1000 * US);
	begin = clock_ns;
	assert_true(packets(b, 1));
	while (b->shown < 2) {
		b->ch.count.packets_in++;
		b->ch.count.packets_out++;
		pass(b, 5 * US);
	}
	assert_in_range(clock_ns - begin, 1000 * US, 2200 * US);
}

/* A disk that takes its time: what the guest was expected to send came, the answers come later. */
static void late_answers_are_shown(void **state)
{
	struct bed *b = *state;

	for (unsigned i = 0; i < 4; i++) {
		burst(b, 8, 5 * US);
		pass(b, 1000 * US);
	}
	b->ch.count.packets_in += 8;
	assert_false(run(b));
	for (unsigned i = 0; i < 8; i++) {
		pass(b, 500 * US);
		b->ch.count.packets_out++;
		run(b);
		assert_int_equal(b->shown, b->ch.count.packets_out);
	}
}

static void others_are_left_alone(void **state)
{
	struct bed *b = *state;

	b->dev.paced = false;
	for (unsigned i = 0; i < 1000; i++)
		assert_false(packets(b, 1 + i % 7));
	b->dev.paced = true;
	b->ch.late = (struct channel_late *)b;
	for (unsigned i = 0; i < 1000; i++)
		assert_false(packets(b, 1 + i % 7));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_at_a_time_hardly_waits, setup),
		cmocka_unit_test_setup(a_burst_is_shown_at_once, setup),
		cmocka_unit_test_setup(what_is_not_followed_is_not_held, setup),
		cmocka_unit_test_setup(a_broken_burst_is_one_again, setup),
		cmocka_unit_test_setup(fewer_requests_soon_wait_no_more, setup),
		cmocka_unit_test_setup(few_are_not_waited_for, setup),
		cmocka_unit_test_setup(a_deep_queue_is_shown_by_parts, setup),
		cmocka_unit_test_setup(the_next_burst_holds_none_of_the_last, setup),
		cmocka_unit_test_setup(many_after_one_at_a_time_are_known_soon, setup),
		cmocka_unit_test_setup(what_is_old_is_not_expected, setup),
		cmocka_unit_test_setup(who_never_stops_is_shown_something, setup),
		cmocka_unit_test_setup(late_answers_are_shown, setup),
		cmocka_unit_test_setup(others_are_left_alone, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
