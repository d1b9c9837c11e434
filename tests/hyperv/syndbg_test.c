/* SPDX-License-Identifier: BSD-2-Clause */
/* Synthetic debugging's MSRs, by way of the table of all MSRs. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/hyperv/fake.h"

#define SEND 1u

static const u32 msrs[] = { HV_MSR_SYNDBG_CONTROL,        HV_MSR_SYNDBG_STATUS,
			    HV_MSR_SYNDBG_SEND_BUFFER,    HV_MSR_SYNDBG_RECV_BUFFER,
			    HV_MSR_SYNDBG_PENDING_BUFFER, HV_MSR_SYNDBG_OPTIONS };

static u64 read_msr(struct fake *f, u32 vp, u32 msr)
{
	u64 value = ~0ull;

	assert_true(msr_read(&f->hv.vp[vp], msr, &value));
	return value;
}

static void registers_keep_what_is_written(void **state)
{
	struct fake *f = *state;

	f->hv.offered.features = HV_FEATURE_DEBUG_MSRS;
	for (u32 i = 0; i < ARRAY_SIZE(msrs); i++)
		assert_int_equal(read_msr(f, 0, msrs[i]), 0);
	for (u32 i = 0; i < ARRAY_SIZE(msrs); i++)
		assert_true(msr_write(&f->hv.vp[0], msrs[i], 0x1000 * (i + 1)));
	for (u32 i = 0; i < ARRAY_SIZE(msrs); i++)
		assert_int_equal(read_msr(f, 1, msrs[i]), 0x1000 * (i + 1)); /* the partition's */
}

static void nothing_is_sent(void **state)
{
	struct fake *f = *state;

	f->hv.offered.features = HV_FEATURE_DEBUG_MSRS;
	assert_true(msr_write(&f->hv.vp[0], HV_MSR_SYNDBG_STATUS, 1));
	assert_true(msr_write(&f->hv.vp[0], HV_MSR_SYNDBG_CONTROL, 64 << 16 | SEND));
	assert_int_equal(read_msr(f, 0, HV_MSR_SYNDBG_STATUS), 0);
}

static void faults_where_not_offered(void **state)
{
	struct fake *f = *state;
	u64 value;

	f->hv.offered.features = ~HV_FEATURE_DEBUG_MSRS;
	for (u32 i = 0; i < ARRAY_SIZE(msrs); i++) {
		assert_false(msr_read(&f->hv.vp[0], msrs[i], &value));
		assert_false(msr_write(&f->hv.vp[0], msrs[i], 0));
	}
	f->hv.offered.features = HV_FEATURE_DEBUG_MSRS;
	assert_false(msr_read(&f->hv.vp[0], HV_MSR_SYNDBG_OPTIONS - 1, &value));
	assert_false(msr_read(&f->hv.vp[0], HV_MSR_SYNDBG_PENDING_BUFFER + 1, &value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(registers_keep_what_is_written, fake_setup,
						fake_teardown),
		cmocka_unit_test_setup_teardown(nothing_is_sent, fake_setup, fake_teardown),
		cmocka_unit_test_setup_teardown(faults_where_not_offered, fake_setup,
						fake_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
