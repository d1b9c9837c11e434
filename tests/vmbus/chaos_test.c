/* SPDX-License-Identifier: BSD-2-Clause */
/* Chaos by itself: what is decided, what is logged, what is taken out of a log. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "vmbus/chaos.h"

#define DECISIONS 20000u

static char file[64], error[256];

static int setup(void **state)
{
	int fd;

	(void)state;
	snprintf(file, sizeof(file), "/tmp/chaos_test.XXXXXX");
	fd = mkstemp(file);
	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(file);
}

/* The lines of the log, as a string to free. */
static char *read_log(void)
{
	FILE *f = fopen(file, "re");
	char *text = calloc(1, 1u << 22);
	size_t len = fread(text, 1, (1u << 22) - 1, f);

	assert_true(len > 0);
	fclose(f);
	return text;
}

static void write_log(const char *text, size_t len)
{
	FILE *f = fopen(file, "we");

	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
}

static void the_same_seed_decides_the_same(void **state)
{
	struct chaos a = { .seed = 7, .rate = 100 }, b = a, other = { .seed = 8, .rate = 100 };
	unsigned same = 0, some = 0;

	(void)state;
	for (u32 point = 0; point < CHAOS_POINTS; point++) {
		for (u64 n = DECISIONS; n-- > 0;) {
			u32 us = chaos_decide(&a, 3, point, n);

			some += us != 0;
			same += us && us == chaos_decide(&other, 3, point, n);
		}
		/* In another order. */
		for (u64 n = 0; n < DECISIONS; n++)
			assert_int_equal(chaos_decide(&b, 3, point, n),
					 chaos_decide(&a, 3, point, n));
	}
	assert_true(some > 1000);
	assert_true(same < some / 50);
}

static void streams_go_their_own_ways(void **state)
{
	struct chaos c = { .seed = 7, .rate = CHAOS_RATE_MAX };
	unsigned same = 0;

	(void)state;
	for (u64 n = 0; n < 1000; n++) {
		same += chaos_decide(&c, 1, CHAOS_ROOM, n) == chaos_decide(&c, 2, CHAOS_ROOM, n);
		same += chaos_decide(&c, 1, CHAOS_ROOM, n) == chaos_decide(&c, 1, CHAOS_DRAIN, n);
		same += chaos_decide(&c, 1, CHAOS_ROOM, n) ==
			chaos_decide(&c, 1, CHAOS_ROOM, n + 1);
	}
	assert_true(same < 100);
}

/* Of 1,000 decisions as many as asked for, none or all at the ends. */
static void the_rate_is_kept(void **state)
{
	static const u32 rates[] = { 0, 1, CHAOS_RATE_DEFAULT, 500, CHAOS_RATE_MAX };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
		struct chaos c = { .seed = i, .rate = rates[i] };
		u32 disturbed = 0, wanted = DECISIONS / CHAOS_RATE_MAX * rates[i];

		for (u64 n = 0; n < DECISIONS; n++)
			disturbed += chaos_decide(&c, 1, CHAOS_SIGNAL, n) != 0;
		if (!rates[i] || rates[i] == CHAOS_RATE_MAX)
			assert_int_equal(disturbed, wanted);
		else
			assert_true(disturbed > wanted * 6 / 10 && disturbed < wanted * 14 / 10);
	}
}

static void delays_have_bounds(void **state)
{
	struct chaos c = { .seed = 1, .rate = CHAOS_RATE_MAX };
	u32 least = UINT32_MAX, most = 0, shorts = 0;

	(void)state;
	for (u64 n = 0; n < DECISIONS; n++) {
		u32 us = chaos_decide(&c, 1, CHAOS_COMMIT, n);

		least = MIN(least, us);
		most = MAX(most, us);
		shorts += us < 1000;
	}
	assert_in_range(least, CHAOS_DELAY_MIN_US, CHAOS_DELAY_MIN_US + 5);
	assert_in_range(most, CHAOS_DELAY_MAX_US - 2000, CHAOS_DELAY_MAX_US);
	assert_in_range(shorts, DECISIONS / 2, DECISIONS * 3 / 4);
	c.delay_max_us = CHAOS_DELAY_MIN_US;
	for (u64 n = 0; n < DECISIONS; n++)
		assert_int_equal(chaos_decide(&c, 1, CHAOS_COMMIT, n), CHAOS_DELAY_MIN_US);
}

/*
 * A whole number of lines, one for each disturbance; replaying it disturbs alike, and logs alike.
 */
static void a_log_replays(void **state)
{
	struct chaos c = { .seed = UINT64_MAX, .rate = 30 }, again = { 0 };
	char *first, *second;

	(void)state;
	assert_int_equal(chaos_log(&c, file), 0);
	for (u32 relid = 0; relid < 3; relid++)
		for (u64 n = 0; n < 2000; n++)
			chaos_decide(&c, relid, n % CHAOS_POINTS, n);
	first = read_log();
	assert_int_equal(chaos_replay(&again, file, error, sizeof(error)), 0);
	assert_int_equal(again.seed, UINT64_MAX);
	assert_int_equal(again.rate, 30);
	assert_int_equal(chaos_log(&again, file), 0);
	for (u32 relid = 0; relid < 3; relid++)
		for (u64 n = 0; n < 2000; n++)
			chaos_decide(&again, relid, n % CHAOS_POINTS, n);
	second = read_log();
	assert_true(strlen(first) > 1000);
	assert_string_equal(first, second);
	free(first);
	free(second);
	chaos_fini(&c);
	chaos_fini(&again);
}

static void only_what_a_log_says(void **state)
{
	static const char log[] = "candela chaos 1 seed=7 rate=1000\r\n"
				  "# what matters\n"
				  "2 commit 17 20000\r\n"
				  "\n"
				  " 18446744 interrupt\t18446744073709551615  1 \n"
				  "0 message-in 0 10";
	struct chaos c = { 0 };

	(void)state;
	write_log(log, sizeof(log) - 1);
	assert_int_equal(chaos_replay(&c, file, error, sizeof(error)), 0);
	assert_int_equal(chaos_decide(&c, 2, CHAOS_COMMIT, 17), 20000);
	assert_int_equal(chaos_decide(&c, 18446744, CHAOS_INTERRUPT, UINT64_MAX), 1);
	assert_int_equal(chaos_decide(&c, 0, CHAOS_MESSAGE_IN, 0), 10);
	for (u32 point = 0; point < CHAOS_POINTS; point++)
		for (u64 n = 0; n < 100; n++)
			if (point != CHAOS_COMMIT || n != 17)
				assert_int_equal(chaos_decide(&c, 2, point, n), 0);
	chaos_fini(&c);
	/* Nothing but its first line: nothing. */
	write_log(log, 32);
	assert_int_equal(chaos_replay(&c, file, error, sizeof(error)), 0);
	assert_int_equal(chaos_decide(&c, 2, CHAOS_COMMIT, 17), 0);
	chaos_fini(&c);
}

#define HEAD "candela chaos 1 seed=7 rate=50\n"

static void what_is_no_log(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "line 1: no log of --chaos begins like that" },
		{ "candela chaos 2 seed=7 rate=50\n", "line 1: no log" },
		{ "candela chaos 1 seed=7\n", "line 1: no log" },
		{ "candela chaos 1 seed=7 rate=50 more\n", "line 1: no log" },
		{ "candela chaos 1 seed=7 rate=1001\n", "line 1: no log" },
		{ HEAD "2 commit 1 10\nx commit 1 10\n", "line 3: it does not begin with" },
		{ HEAD "-2 commit 1 10\n", "line 2: it does not begin with" },
		{ HEAD "4294967296 commit 1 10\n", "line 2: it does not begin with" },
		{ HEAD "\n2 late 1 10\n", "line 3: its second word is no point" },
		{ HEAD "2\n", "line 2: its second word is no point" },
		{ HEAD "2 commit\n", "line 2: its third word is no number" },
		{ HEAD "2 commit 18446744073709551616 1\n", "line 2: its third word is no number" },
		{ HEAD "2 commit 1 0\n", "line 2: its delay is no number from 1 to 20000" },
		{ HEAD "2 commit 1 20001\n", "line 2: its delay is no number from 1 to 20000" },
		{ HEAD "2 commit 1\n", "line 2: its delay is no number from 1 to 20000" },
		{ HEAD "2 commit 1 10 us\n", "line 2: it is too long" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct chaos c = { 0 };

		write_log(rows[i].text, strlen(rows[i].text));
		assert_int_equal(chaos_replay(&c, file, error, sizeof(error)), -EINVAL);
		assert_memory_equal(error, file, strlen(file));
		assert_non_null(strstr(error, rows[i].why));
		chaos_fini(&c);
	}
}

static void files_that_cannot_be_read(void **state)
{
	static const char zero[] = HEAD "2 commit 1 10\n\0002 commit 2 10\n";
	struct chaos c = { 0 };

	(void)state;
	assert_int_equal(chaos_replay(&c, "/nowhere/log", error, sizeof(error)), -ENOENT);
	assert_string_equal(error, "/nowhere/log: No such file or directory");
	assert_int_equal(chaos_replay(&c, "/dev/null", error, sizeof(error)), -EINVAL);
	assert_string_equal(error, "/dev/null: it is no log of --chaos");
	write_log(zero, sizeof(zero) - 1);
	assert_int_equal(chaos_replay(&c, file, error, sizeof(error)), -EINVAL);
	assert_int_equal(chaos_log(&c, "/nowhere/log"), -ENOENT);
	chaos_fini(&c);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_same_seed_decides_the_same),
		TEST(streams_go_their_own_ways),
		TEST(the_rate_is_kept),
		TEST(delays_have_bounds),
		TEST(a_log_replays),
		TEST(only_what_a_log_says),
		TEST(what_is_no_log),
		TEST(files_that_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
