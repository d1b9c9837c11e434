/* SPDX-License-Identifier: BSD-2-Clause */
/* How a hypercall is decoded: its control word, and where its input and output are. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/hyperv/hypercall_bed.h"

static const struct hv_flush flush_all = { .flags = HV_FLUSH_ALL_PROCESSORS };

static void codes_are_looked_up(void **state)
{
	const u16 unknown[] = { 0, 1, 0x1234, 0x8000, 0x8002, 0xffff };
	struct fake *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		assert_int_equal(bed_call(f, unknown[i], NULL, 0),
				 HV_STATUS_INVALID_HYPERCALL_CODE);
	assert_int_equal(bed_call_fast(f, HV_CALL_NOTIFY_LONG_SPIN_WAIT, &(u64){ 1 }, 8),
			 HV_STATUS_SUCCESS);
}

static void reserved_bits_are_refused(void **state)
{
	const u64 call = BED_FAST(HV_CALL_NOTIFY_LONG_SPIN_WAIT);
	struct fake *f = *state;

	for (unsigned bit = 17; bit < 64; bit++)
		assert_int_equal(hypercall_run(&f->hv.vp[0], call | 1ull << bit, 1, 0),
				 HV_STATUS_INVALID_HYPERCALL_INPUT);
	/* They count before the code does. */
	assert_int_equal(bed_call(f, 0x1234 | 1ull << 27, NULL, 0),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
}

static void privileges_are_needed(void **state)
{
	const struct {
		u16 code;
		u32 privilege;
	} rows[] = {
		{ HV_CALL_POST_MESSAGE, HV_POST_MESSAGES },
		{ HV_CALL_SIGNAL_EVENT, HV_SIGNAL_EVENTS },
		{ HV_CALL_GET_VP_REGISTERS, HV_ACCESS_VP_REGISTERS },
		{ HV_CALL_SET_VP_REGISTERS, HV_ACCESS_VP_REGISTERS },
		{ HV_CALL_EXT_QUERY_CAPABILITIES, HV_EXTENDED_HYPERCALLS },
	};
	struct fake *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		f->hv.offered.privileges_high = ~rows[i].privilege;
		assert_int_equal(bed_call(f, rows[i].code, NULL, 0), HV_STATUS_ACCESS_DENIED);
		assert_int_equal(bed_call(f, rows[i].code | 1ull << 27, NULL, 0),
				 HV_STATUS_ACCESS_DENIED);
		f->hv.offered.privileges_high = ~0u;
		assert_int_not_equal(bed_call(f, rows[i].code, NULL, 0), HV_STATUS_ACCESS_DENIED);
	}
}

static void reps_and_headers_fit_the_call(void **state)
{
	const u64 list = HV_CALL_FLUSH_LIST;
	struct fake *f = *state;
	u8 input[512] = { 0 };

	memcpy(input, &flush_all, sizeof(flush_all));
	assert_int_equal(bed_call(f, HV_CALL_FLUSH_SPACE | BED_REPS(1, 0), input, 24),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(bed_call(f, HV_CALL_FLUSH_SPACE | BED_REPS(0, 1), input, 24),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(bed_call(f, list, input, 24), HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(bed_call(f, list | BED_REPS(2, 2), input, 40),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(bed_call(f, list | BED_REPS(2, 4095), input, 40),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_true(bed_call(f, list | BED_REPS(2, 0), input, 40) == BED_RESULT(0, 2));
	/* Continued by the guest: what is done counts all of them. */
	assert_true(bed_call(f, list | BED_REPS(5, 4), input, 64) == BED_RESULT(0, 5));
	/* Only the calls with a set of VPs have a variable header. */
	assert_int_equal(bed_call(f, HV_CALL_FLUSH_SPACE | BED_VAR(1), input, 32),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(bed_call(f, list | BED_VAR(1) | BED_REPS(1, 0), input, 40),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
}

static u64 flush_at(struct fake *f, u64 control, gpa_t gpa)
{
	return hypercall_run(&f->hv.vp[0], control, gpa, 0);
}

static void input_lies_in_one_page_of_ram(void **state)
{
	const u64 call = HV_CALL_FLUSH_SPACE, list = HV_CALL_FLUSH_LIST;
	struct fake *f = *state;

	for (gpa_t off = 1; off < 8; off++)
		assert_int_equal(flush_at(f, call, BED_INPUT + off), HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(flush_at(f, call, BED_INPUT + 8), HV_STATUS_SUCCESS);
	assert_int_equal(flush_at(f, call, FAKE_RAM - 24), HV_STATUS_SUCCESS);
	assert_int_equal(flush_at(f, call, BED_INPUT + 4096 - 16), HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(flush_at(f, call, FAKE_RAM), HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(flush_at(f, call, ~7ull), HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(flush_at(f, call, ~0xfffull), HV_STATUS_INVALID_ALIGNMENT);
	/* A list may fill the page, and no more. */
	assert_true(flush_at(f, list | BED_REPS(509, 0), BED_INPUT) == BED_RESULT(0, 509));
	assert_int_equal((u16)flush_at(f, list | BED_REPS(510, 0), BED_INPUT),
			 HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal((u16)flush_at(f, list | BED_REPS(4095, 0), BED_INPUT),
			 HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal((u16)flush_at(f, HV_CALL_FLUSH_LIST_EX | BED_VAR(1023) | BED_REPS(4095, 0),
				       BED_INPUT),
			 HV_STATUS_INVALID_ALIGNMENT);
}

static void output_lies_in_one_page_of_ram(void **state)
{
	const u64 call = HV_CALL_EXT_QUERY_CAPABILITIES;
	struct hyperv_vp *vp = &((struct fake *)*state)->hv.vp[0];

	/* There is no input, so its address does not matter. */
	assert_int_equal(hypercall_run(vp, call, ~0ull, BED_OUTPUT), HV_STATUS_SUCCESS);
	assert_int_equal(hypercall_run(vp, call, 0, BED_OUTPUT + 4), HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(hypercall_run(vp, call, 0, FAKE_RAM - 8), HV_STATUS_SUCCESS);
	assert_int_equal(hypercall_run(vp, call, 0, FAKE_RAM), HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(hypercall_run(vp, BED_FAST(call), 0, BED_OUTPUT),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
}

/* The set is in XMM registers: its format in XMM0, the first banks in XMM1. */
static void fast_input_goes_on_in_xmm(void **state)
{
	struct {
		struct hv_flush_ex header;
		u64 bank[11];
	} in = { .header.set = { HV_VP_SET_SPARSE_4K, 0x3ff }, .bank = { [0] = 2 } };
	struct fake *f = *state;

	/* 112 bytes: 32 of header and ten banks. */
	assert_int_equal(bed_call_fast(f, HV_CALL_FLUSH_SPACE_EX | BED_VAR(10), &in, 112),
			 HV_STATUS_SUCCESS);
	assert_int_equal(f->attended, 2);
	assert_int_equal(bed.fpu_reads, 1);
	in.header.set.valid_banks = 0x7ff;
	assert_int_equal(bed_call_fast(f, HV_CALL_FLUSH_SPACE_EX | BED_VAR(11), &in, 112),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	/* What two registers hold needs no more of them. */
	assert_int_equal(bed_call_fast(f, HV_CALL_SEND_IPI,
				       &(struct hv_send_ipi){ .vector = 0x40, .processor_mask = 1 },
				       16),
			 HV_STATUS_SUCCESS);
	assert_int_equal(bed.fpu_reads, 1);
}

static void xmm_that_is_not_offered_is_undefined(void **state)
{
	struct fake *f = *state;
	struct hv_send_ipi ipi = { .vector = 0x40, .processor_mask = 1 };

	f->hv.offered.features &= ~HV_FEATURE_XMM_INPUT;
	assert_true(bed_call_fast(f, HV_CALL_FLUSH_SPACE, &flush_all, 24) == HYPERCALL_UNDEFINED);
	assert_int_equal(bed_call_fast(f, HV_CALL_SEND_IPI, &ipi, 16), HV_STATUS_SUCCESS);
	assert_int_equal(bed_call_fast(f, HV_CALL_POST_MESSAGE, NULL, 0),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(bed.fpu_reads, 0);
}

static void kvm_serves_its_own(void **state)
{
	struct fake *f = *state;
	struct hyperv_backend kernel = *f->hv.backend;

	kernel.id = HYPERV_KERNEL;
	f->hv.backend = &kernel;
	assert_int_equal(bed_call(f, HV_CALL_FLUSH_SPACE, &flush_all, 24),
			 HV_STATUS_INVALID_HYPERCALL_CODE);
	assert_int_equal(bed_call(f, HV_CALL_EXT_QUERY_CAPABILITIES, NULL, 0), HV_STATUS_SUCCESS);
	assert_int_equal(f->attended, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(codes_are_looked_up),
		TEST(reserved_bits_are_refused),
		TEST(privileges_are_needed),
		TEST(reps_and_headers_fit_the_call),
		TEST(input_lies_in_one_page_of_ram),
		TEST(output_lies_in_one_page_of_ram),
		TEST(fast_input_goes_on_in_xmm),
		TEST(xmm_that_is_not_offered_is_undefined),
		TEST(kvm_serves_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
