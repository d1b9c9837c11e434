/* SPDX-License-Identifier: BSD-2-Clause */
/* The CMOS clock, read as Linux's mc146818_get_time() does. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include <time.h>

#include "devices/devices.h"

static struct io_range range;

static u8 get(u8 reg)
{
	u8 value;

	range.write(range.ctx, 0, &reg, 1);
	range.read(range.ctx, 1, &value, 1);
	return value;
}

static void set(u8 reg, u8 value)
{
	range.write(range.ctx, 0, &reg, 1);
	range.write(range.ctx, 1, &value, 1);
}

static int setup(void **state)
{
	struct cmos *c;

	if (cmos_init(&c))
		return -1;
	range = cmos_range(c);
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	cmos_fini(*state);
	return 0;
}

static int binary(u8 bcd)
{
	assert_true((bcd & 0x0f) < 10 && bcd >> 4 < 10);
	return (bcd >> 4) * 10 + (bcd & 0x0f);
}

static void it_gives_the_hosts_time(void **state)
{
	struct tm t = { 0 };
	time_t before = time(NULL), read, after;

	(void)state;
	assert_int_equal(get(0x0a) & 0x80, 0);
	t.tm_sec = binary(get(0));
	t.tm_min = binary(get(2));
	t.tm_hour = binary(get(4));
	t.tm_mday = binary(get(7));
	t.tm_mon = binary(get(8)) - 1;
	t.tm_year = binary(get(9)) + binary(get(0x32)) * 100 - 1900;
	after = time(NULL);
	assert_int_equal(binary(get(6)), gmtime(&before)->tm_wday + 1);
	read = timegm(&t);
	assert_true(read >= before && read <= after);
}

/* Registers of one sequence are of one moment. */
static void a_sequence_sees_one_moment(void **state)
{
	const struct timespec wait = { .tv_sec = 1, .tv_nsec = 100000000 };
	u8 first;

	(void)state;
	get(0x0a);
	first = get(0);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(get(0), first);
	/* No sequence lasts that long. */
	nanosleep(&wait, NULL);
	assert_int_not_equal(get(0), first);
}

/* Register A starts a new one: then the second is the host's, to the point. */
static void sequence_is_exact(void **state)
{
	const struct timespec wait = { .tv_nsec = 20000000 };

	(void)state;
	for (unsigned i = 0; i < 60; i++) {
		time_t before = time(NULL), after;
		int second;

		get(0x0a);
		second = binary(get(0));
		after = time(NULL);
		assert_true(second == before % 60 || second == after % 60);
		nanosleep(&wait, NULL);
	}
}

static void status_registers(void **state)
{
	(void)state;
	assert_int_equal(get(0x0b), 0x02);
	assert_int_equal(get(0x0c), 0);
	assert_int_equal(get(0x0d), 0x80);
	set(0x0a, 0xa6);
	assert_int_equal(get(0x0a), 0x26);
	/* Always BCD and 24 hours; the rest is kept. */
	set(0x0b, 0x84);
	assert_int_equal(get(0x0b), 0x82);
	set(0x0d, 0);
	assert_int_equal(get(0x0d), 0x80);
}

static void bytes(void **state)
{
	u16 both = 0xab40;
	u8 value;

	(void)state;
	set(0x0f, 0x0a);
	set(0x7f, 0x77);
	assert_int_equal(get(0x0f), 0x0a);
	/* Bit 7 masks NMIs and is no part of the index. */
	assert_int_equal(get(0xff), 0x77);
	range.write(range.ctx, 0, &both, 2);
	assert_int_equal(get(0x40), 0xab);
	range.read(range.ctx, 0, &value, 1);
	assert_int_equal(value, 0xff);
}

/* The time is the host's. */
static void time_cannot_be_set(void **state)
{
	u8 century = get(0x32);

	(void)state;
	set(0x32, 0x42);
	assert_int_equal(get(0x32), century);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_gives_the_hosts_time, setup, teardown),
		cmocka_unit_test_setup_teardown(a_sequence_sees_one_moment, setup, teardown),
		cmocka_unit_test_setup_teardown(sequence_is_exact, setup, teardown),
		cmocka_unit_test_setup_teardown(status_registers, setup, teardown),
		cmocka_unit_test_setup_teardown(bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(time_cannot_be_set, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
