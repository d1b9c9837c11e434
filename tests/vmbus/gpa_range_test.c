/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "vmbus/gpa_range.h"

#define RAM_PAGES 256u

static struct gmem mem;
static struct iovec iov[8];
static u32 total;

static int setup(void **state)
{
	(void)state;
	return gmem_init(&mem, RAM_PAGES * GUEST_PAGE_SIZE);
}

static int teardown(void **state)
{
	(void)state;
	gmem_fini(&mem);
	return 0;
}

/* A range header as it lies in a list. */
#define RANGE(offset, count) ((u64)(offset) << 32 | (u32)(count))

static int describe(const u64 *words, u32 words_count, u32 ranges, unsigned max)
{
	/* Off by one byte on purpose: nothing may rely on alignment. */
	u8 *copy = calloc(1, words_count * 8 + 1);
	int n;

	memcpy(copy + 1, words, words_count * 8);
	n = gpa_range_iov(&mem, copy + 1, words_count * 8, ranges, iov, max, &total);
	free(copy);
	return n;
}

static u8 *at(u64 gpa)
{
	return gmem_range(&mem, gpa, 1);
}

static void one_range(void **state)
{
	(void)state;
	const u64 words[] = { RANGE(100, 5000), 7, 3 };

	assert_int_equal(describe(words, 3, 1, 8), 2);
	assert_int_equal(total, 5000);
	assert_ptr_equal(iov[0].iov_base, at(7 * 4096 + 100));
	assert_int_equal(iov[0].iov_len, 3996);
	assert_ptr_equal(iov[1].iov_base, at(3 * 4096));
	assert_int_equal(iov[1].iov_len, 1004);
}

static void neighbours_merge(void **state)
{
	(void)state;
	const u64 words[] = { RANGE(8, 3 * 4096 - 8), 7, 8, 9, RANGE(0, 100), 10, RANGE(0, 1), 12 };

	assert_int_equal(describe(words, 8, 3, 8), 2);
	assert_int_equal(total, 3 * 4096 - 8 + 100 + 1);
	assert_int_equal(iov[0].iov_len, 3 * 4096 - 8 + 100);
	/* One piece is enough room for what merges. */
	assert_int_equal(describe(words, 6, 2, 1), 1);
	assert_int_equal(describe(words, 8, 3, 1), -ENOSPC);
}

static void nothing_is_something(void **state)
{
	(void)state;
	const u64 words[] = { RANGE(0, 0), RANGE(4095, 1), 5 };

	assert_int_equal(describe(words, 3, 0, 8), 0);
	assert_int_equal(total, 0);
	assert_int_equal(describe(words, 3, 2, 8), 1);
	assert_int_equal(total, 1);
}

static void lists_cut_short(void **state)
{
	(void)state;
	const u64 words[] = { RANGE(100, 5000), 7, 3, RANGE(0, 1) };

	assert_int_equal(describe(words, 0, 1, 8), -EINVAL);
	assert_int_equal(describe(words, 1, 1, 8), -EINVAL);
	assert_int_equal(describe(words, 2, 1, 8), -EINVAL);
	assert_int_equal(describe(words, 3, 2, 8), -EINVAL);
	assert_int_equal(describe(words, 4, 2, 8), -EINVAL);
	assert_int_equal(describe(words, 4, 0xffffffff, 8), -EINVAL);
}

static void counts_that_would_overflow(void **state)
{
	(void)state;
	const u64 huge[] = { RANGE(4095, 0xffffffff), 1 };
	const u64 offset[] = { RANGE(4096, 1), 1, 1 };
	const u64 far[] = { RANGE(0xffffffff, 0xffffffff), 1, 1 };

	assert_int_equal(describe(huge, 2, 1, 8), -EINVAL);
	assert_int_equal(describe(offset, 3, 1, 8), -EINVAL);
	assert_int_equal(describe(far, 3, 1, 8), -EINVAL);
	assert_int_equal(gpa_range_pages(4095, 0xffffffff), 0x100001);
}

static void total_stays_within_32_bits(void **state)
{
	(void)state;
	const u32 pages = 1024, ranges = 1025;
	u64 *words = calloc(ranges * (pages + 1), sizeof(u64));

	/*
	 * 1,024 ranges of 4 MiB are 4 GiB: one byte too many. All the same page merges into none.
	 */
	for (u32 r = 0; r < ranges; r++) {
		words[r * (pages + 1)] = RANGE(0, pages * GUEST_PAGE_SIZE);
		for (u32 i = 0; i < pages; i++)
			words[r * (pages + 1) + 1 + i] = i % RAM_PAGES;
	}
	static struct iovec many[8192];

	assert_int_equal(
		gpa_range_iov(&mem, words, 1023 * (pages + 1) * 8, 1023, many, 8192, &total),
		1023 * 4);
	assert_int_equal(
		gpa_range_iov(&mem, words, 1024 * (pages + 1) * 8, 1024, many, 8192, &total),
		-EINVAL);
	free(words);
}

static void pages_that_are_not_ram(void **state)
{
	(void)state;
	static const u64 bad[] = { RAM_PAGES, 1ull << 52, ~0ull, ~0ull >> 12, (1ull << 52) + 1 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const u64 words[] = { RANGE(0, 8192), 1, bad[i] };

		assert_int_equal(describe(words, 3, 1, 8), -EFAULT);
		assert_null(gpa_range_page(&mem, bad[i]));
	}
	assert_ptr_equal(gpa_range_page(&mem, RAM_PAGES - 1), at((RAM_PAGES - 1) * 4096ull));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_range),
		cmocka_unit_test(neighbours_merge),
		cmocka_unit_test(nothing_is_something),
		cmocka_unit_test(lists_cut_short),
		cmocka_unit_test(counts_that_would_overflow),
		cmocka_unit_test(total_stays_within_32_bits),
		cmocka_unit_test(pages_that_are_not_ram),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
