/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of VPs as hypercalls write them, masks and sparse banks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hyperv/hypercall.h"

static struct hyperv hv = { .vp_count = 40 };
#define ALL ((1ull << 40) - 1)

static void masks_name_vps_that_exist(void **state)
{
	struct vp_set set = vp_set_of_mask(&hv, 1ull << 63 | 1ull << 39 | 5);

	(void)state;
	assert_true(set.bank[0] == (1ull << 39 | 5));
	assert_true(vp_set_has(&set, 0) && vp_set_has(&set, 2) && vp_set_has(&set, 39));
	assert_false(vp_set_has(&set, 1));
	assert_false(vp_set_has(&set, 63));
	assert_false(vp_set_has(&set, 64));
	assert_false(vp_set_has(&set, UINT32_MAX));
	set = vp_set_all(&hv);
	assert_true(set.bank[0] == ALL);
}

static u16 sparse(u64 format, u64 valid, const u64 *banks, unsigned count, struct vp_set *set)
{
	return vp_set_of_sparse(&hv, &(struct hv_vp_set){ format, valid }, banks, count, set);
}

static void sparse_sets_take_the_banks_that_are_there(void **state)
{
	const u64 banks[] = { 0x8000000000000003, 0xff };
	struct vp_set set;

	(void)state;
	assert_int_equal(sparse(HV_VP_SET_SPARSE_4K, 1, banks, 1, &set), HV_STATUS_SUCCESS);
	assert_true(set.bank[0] == 3);
	/* Bank 63 is far from any VP of ours; bank 0 comes first all the same. */
	assert_int_equal(sparse(HV_VP_SET_SPARSE_4K, 1ull << 63 | 1, banks, 2, &set),
			 HV_STATUS_SUCCESS);
	assert_true(set.bank[0] == 3);
	/* Without bank 0 the first bank given is another one's. */
	assert_int_equal(sparse(HV_VP_SET_SPARSE_4K, 6, banks, 2, &set), HV_STATUS_SUCCESS);
	assert_true(set.bank[0] == 0);
	assert_int_equal(sparse(HV_VP_SET_SPARSE_4K, 0, NULL, 0, &set), HV_STATUS_SUCCESS);
	assert_true(set.bank[0] == 0);
	assert_int_equal(sparse(HV_VP_SET_ALL, 0, NULL, 0, &set), HV_STATUS_SUCCESS);
	assert_true(set.bank[0] == ALL);
}

static void sparse_sets_are_checked(void **state)
{
	const u64 banks[2] = { ~0ull, ~0ull };
	struct vp_set set;

	(void)state;
	assert_int_equal(sparse(HV_VP_SET_SPARSE_4K, 1, banks, 0, &set),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(sparse(HV_VP_SET_SPARSE_4K, 1, banks, 2, &set),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(sparse(HV_VP_SET_SPARSE_4K, ~0ull, banks, 2, &set),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(sparse(HV_VP_SET_ALL, 1, banks, 0, &set),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(sparse(2, 1, banks, 1, &set), HV_STATUS_INVALID_PARAMETER);
	assert_true(set.bank[0] == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(masks_name_vps_that_exist),
		cmocka_unit_test(sparse_sets_take_the_banks_that_are_there),
		cmocka_unit_test(sparse_sets_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
