/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest RAM: its regions, and the gate every access goes through. */
#include "vmm/memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "vmm/layout.h"

static void size_is_checked(void **state)
{
	struct gmem m;

	(void)state;
	assert_int_equal(gmem_init(&m, 0), -EINVAL);
	assert_int_equal(gmem_init(&m, 4095), -EINVAL);
	assert_int_equal(gmem_init(&m, LAYOUT_RAM_MAX + 4096), -EINVAL);
	gmem_fini(&m);
}

static void zeroed_is_no_ram(void **state)
{
	struct gmem m = { 0 };
	u8 b;

	(void)state;
	assert_int_equal(gmem_size(&m), 0);
	assert_null(gmem_range(&m, 0, 1));
	assert_int_equal(gmem_read(&m, 0, &b, 1), -EFAULT);
	gmem_fini(&m);
}

static void small_ram_is_one_region(void **state)
{
	struct gmem m;

	(void)state;
	assert_int_equal(gmem_init(&m, MiB(16) + 4096), 0);
	assert_int_equal(m.count, 1);
	assert_int_equal(gmem_size(&m), MiB(16) + 4096);
	assert_int_equal((uintptr_t)m.region[0].host % MiB(2), 0);
	gmem_fini(&m);
	assert_int_equal(gmem_size(&m), 0);
}

static void big_ram_leaves_the_hole(void **state)
{
	struct gmem m;

	(void)state;
	assert_int_equal(gmem_init(&m, GiB(5)), 0);
	assert_int_equal(m.count, 2);
	assert_int_equal(gmem_size(&m), GiB(5));
	assert_int_equal(m.region[0].size, LAYOUT_HOLE);
	assert_int_equal(m.region[1].gpa, LAYOUT_HIGH);
	assert_non_null(gmem_range(&m, LAYOUT_HOLE - 1, 1));
	assert_null(gmem_range(&m, LAYOUT_HOLE - 1, 2));
	assert_null(gmem_range(&m, LAYOUT_HOLE, 1));
	assert_null(gmem_range(&m, LAYOUT_HIGH - 1, 1));
	assert_ptr_equal(gmem_range(&m, LAYOUT_HIGH, 1), m.region[1].host);
	assert_non_null(gmem_range(&m, LAYOUT_HIGH, GiB(2)));
	assert_null(gmem_range(&m, LAYOUT_HIGH, GiB(2) + 1));
	gmem_fini(&m);
}

static void ranges_cannot_wrap(void **state)
{
	struct gmem m;

	(void)state;
	assert_int_equal(gmem_init(&m, MiB(16)), 0);
	assert_null(gmem_range(&m, 0, 0));
	assert_null(gmem_range(&m, MiB(16), 0));
	assert_null(gmem_range(&m, 4096, ~0ull));
	assert_null(gmem_range(&m, ~0ull, 2));
	assert_null(gmem_range(&m, MiB(16) - 1, 2));
	assert_non_null(gmem_range(&m, 0, MiB(16)));
	gmem_fini(&m);
}

static void copies_are_all_or_nothing(void **state)
{
	struct gmem m;
	u8 in[8] = "8 bytes", out[8] = { 0 };

	(void)state;
	assert_int_equal(gmem_init(&m, MiB(16)), 0);
	assert_int_equal(gmem_write(&m, MiB(16) - 8, in, 8), 0);
	assert_int_equal(gmem_read(&m, MiB(16) - 8, out, 8), 0);
	assert_memory_equal(in, out, 8);
	assert_int_equal(gmem_write(&m, MiB(16) - 7, "xxxxxxxx", 8), -EFAULT);
	assert_int_equal(gmem_read(&m, MiB(16) - 8, out, 8), 0);
	assert_memory_equal(in, out, 8);
	memset(out, 0, sizeof(out));
	assert_int_equal(gmem_read(&m, MiB(16) - 7, out, 8), -EFAULT);
	assert_int_equal(out[0], 0);
	gmem_fini(&m);
}

/* Every kind of start and end, around whole pages. */
static void zeroing_ends_where_it_should(void **state)
{
	static const u64 edges[] = { 0, 1, 4095, 4096, 4097, 8191, 8192, 12288, 16383 };
	struct gmem m;

	(void)state;
	assert_int_equal(gmem_init(&m, MiB(16)), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(edges); i++)
		for (unsigned j = i + 1; j < ARRAY_SIZE(edges); j++) {
			u8 *p = gmem_range(&m, 0, 16384);

			memset(p, 0xa5, 16384);
			assert_int_equal(gmem_zero(&m, edges[i], edges[j] - edges[i]), 0);
			for (u64 n = 0; n < 16384; n++)
				assert_int_equal(p[n], n >= edges[i] && n < edges[j] ? 0 : 0xa5);
		}
	assert_int_equal(gmem_zero(&m, MiB(16) - 1, 2), -EFAULT);
	assert_int_equal(gmem_zero(&m, 4096, ~0ull), -EFAULT);
	assert_int_equal(gmem_zero(&m, 0, 0), -EFAULT);
	gmem_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(size_is_checked),
		cmocka_unit_test(zeroed_is_no_ram),
		cmocka_unit_test(small_ram_is_one_region),
		cmocka_unit_test(big_ram_leaves_the_hole),
		cmocka_unit_test(ranges_cannot_wrap),
		cmocka_unit_test(copies_are_all_or_nothing),
		cmocka_unit_test(zeroing_ends_where_it_should),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
