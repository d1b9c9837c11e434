/* SPDX-License-Identifier: BSD-2-Clause */
/* The CMOS clock, read as Linux's mc146818_get_time() does, of a host whose time stands still. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include <time.h>

#include "devices/devices.h"

static struct io_range range;

/* The host's time, and how long it has been up. */
static time_t host_s;
static u64 up_ns;

/* In libc's place. */
time_t time(time_t *t)
{
	if (t)
		*t = host_s;
	return host_s;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	(void)id;
	*ts = (struct timespec){ .tv_sec = (time_t)(up_ns / NSEC_PER_SEC),
				 .tv_nsec = (long)(up_ns % NSEC_PER_SEC) };
	return 0;
}

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

	host_s = 951827696; /* 29 February 2000, 12:34:56, a Tuesday */
	up_ns = 1000 * NSEC_PER_SEC;
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

	(void)state;
	assert_int_equal(get(0x0a) & 0x80, 0);
	t.tm_sec = binary(get(0));
	t.tm_min = binary(get(2));
	t.tm_hour = binary(get(4));
	t.tm_mday = binary(get(7));
	t.tm_mon = binary(get(8)) - 1;
	t.tm_year = binary(get(9)) + binary(get(0x32)) * 100 - 1900;
	assert_int_equal(binary(get(6)), 3);
	assert_true(timegm(&t) == host_s);
}

/* Registers of one sequence are of one moment. */
static void a_sequence_sees_one_moment(void **state)
{
	(void)state;
	get(0x0a);
	assert_int_equal(get(0), 0x56);
	host_s += 100;
	up_ns += NSEC_PER_SEC / 10;
	assert_int_equal(get(0), 0x56);
	assert_int_equal(get(2), 0x34);
	/* No sequence lasts that long. */
	up_ns += NSEC_PER_SEC / 2;
	assert_int_equal(get(0), 0x36);
	assert_int_equal(get(2), 0x36);
}

/* Register A starts a new one: then the second is the host's, to the point. */
static void sequence_is_exact(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 60; i++, host_s++) {
		get(0x0a);
		assert_true(binary(get(0)) == host_s % 60);
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
