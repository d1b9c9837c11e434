/* SPDX-License-Identifier: BSD-2-Clause */
/* Who flushes when a hypercall names VPs, and what it costs them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/hyperv/hypercall_bed.h"

#define EFER 0xc0000080
#define EFER_VALUE 0xd01ull

static int setup(void **state)
{
	bed_setup(state);
	((struct fake *)*state)->tsc = EFER_VALUE; /* what any MSR reads */
	return 0;
}

static void assert_flushed_once(void)
{
	assert_int_equal(bed.writes, 2);
	assert_int_equal(bed.written[0].msr, EFER);
	assert_int_equal(bed.written[0].value, EFER_VALUE ^ 0x800);
	assert_int_equal(bed.written[1].msr, EFER);
	assert_int_equal(bed.written[1].value, EFER_VALUE);
}

static void callers_flush_at_once(void **state)
{
	struct vp_set set = { .bank = { 1 } };
	struct fake *f = *state;

	tlb_flush(&f->hv.vp[0], &set);
	assert_flushed_once();
	assert_int_equal(f->attended, 0);
	assert_int_equal(f->drained, 0);
	assert_int_equal(f->ended, -1);
}

static void others_flush_by_themselves(void **state)
{
	struct vp_set set = { .bank = { 2 } };
	struct fake *f = *state;

	tlb_flush(&f->hv.vp[0], &set);
	assert_int_equal(bed.writes, 0);
	assert_int_equal(f->attended, 2);
	assert_int_equal(f->drained, 2);
	tlb_flush_own(&f->hv.vp[0]);
	assert_int_equal(bed.writes, 0);
	tlb_flush_own(&f->hv.vp[1]);
	assert_flushed_once();
	tlb_flush_own(&f->hv.vp[1]);
	assert_flushed_once();
}

static void a_flush_that_fails_ends_the_run(void **state)
{
	struct vp_set set = { .bank = { 1 } };
	struct fake *f = *state;

	bed.fail = -22;
	tlb_flush(&f->hv.vp[0], &set);
	assert_int_equal(f->ended, VM_END_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(callers_flush_at_once, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(others_flush_by_themselves, setup, fake_teardown),
		cmocka_unit_test_setup_teardown(a_flush_that_fails_ends_the_run, setup,
						fake_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
