/* SPDX-License-Identifier: BSD-2-Clause */
/* Reference time: the counter against what a guest computes from the page. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/hyperv/fake.h"

/* What a guest computes from the page. */
static u64 page_time(const struct hv_reference_tsc *p, u64 tsc)
{
	return (u64)((unsigned __int128)tsc * p->scale >> 64) + (u64)p->offset;
}

static void a_second_is_ten_million(void **state)
{
	const u32 khz[] = { TIME_TSC_KHZ_MIN, 800000, 2000000, 2494140, 5000001 };
	struct time_source t;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(khz); i++) {
		time_start(&t, khz[i], 0);
		assert_int_equal(time_reference(&t, 0), 0);
		/* Rounded down: at most one tick less. */
		assert_in_range(time_reference(&t, khz[i] * 1000ull), HV_TIME_HZ - 1, HV_TIME_HZ);
		/* A year, to the tick. */
		assert_in_range(time_reference(&t, khz[i] * 1000ull * 86400 * 365),
				HV_TIME_HZ * 86400ull * 365 - 1, HV_TIME_HZ * 86400ull * 365);
	}
}

static void time_starts_at_zero_whatever_the_tsc(void **state)
{
	const u64 start = 0x123456789abcdefull;
	struct time_source t;

	(void)state;
	time_start(&t, 3000000, start);
	assert_int_equal(time_reference(&t, start), 0);
	assert_in_range(time_reference(&t, start + 3000000000ull), HV_TIME_HZ - 1, HV_TIME_HZ + 1);
}

static void page_and_counter_agree_exactly(void **state)
{
	struct hv_reference_tsc page = { 0 };
	struct time_source t;

	(void)state;
	time_start(&t, 2494140, 987654321);
	time_fill_page(&t, &page);
	assert_int_equal(page.sequence, 1);
	for (u64 tsc = 987654321; tsc < 1ull << 60; tsc = tsc * 3 + 1)
		assert_int_equal(page_time(&page, tsc), time_reference(&t, tsc));
}

/* An alarm is never early, and far ones go off in between. */
static void reference_time_to_host_time(void **state)
{
	const u64 horizon = 3600ull * HV_TIME_HZ;
	struct fake *f = *state;
	struct hyperv_vp *vp = &f->hv.vp[1];

	fake_time(f, 5000);
	assert_int_equal(time_now(vp), 5000);
	assert_in_range(time_to_clock(vp, 0), FAKE_CLOCK, FAKE_CLOCK + 100);
	assert_in_range(time_to_clock(vp, 5000), FAKE_CLOCK, FAKE_CLOCK + 100);
	assert_in_range(time_to_clock(vp, 6000), FAKE_CLOCK + 100000, FAKE_CLOCK + 100100);
	assert_in_range(time_to_clock(vp, UINT64_MAX), FAKE_CLOCK + horizon * 100,
			FAKE_CLOCK + horizon * 100 + 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_second_is_ten_million),
		cmocka_unit_test(time_starts_at_zero_whatever_the_tsc),
		cmocka_unit_test(page_and_counter_agree_exactly),
		cmocka_unit_test_setup_teardown(reference_time_to_host_time, fake_setup,
						fake_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
