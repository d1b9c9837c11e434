/* SPDX-License-Identifier: BSD-2-Clause */
/* VP registers by name: twins of MSRs, CPUID leaves, the processor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/hyperv/hypercall_bed.h"

static u16 get(struct fake *f, u32 name, struct hv_register_value *value)
{
	return vp_register_get(&f->hv.vp[1], name, value);
}

static u16 set(struct fake *f, u32 name, u64 low)
{
	return vp_register_set(&f->hv.vp[1], name, &(struct hv_register_value){ .low = low });
}

static void twins_are_what_their_msrs_are(void **state)
{
	struct fake *f = *state;
	struct hv_register_value v;
	u64 msr;

	assert_int_equal(get(f, HV_REGISTER_VP_INDEX, &v), HV_STATUS_SUCCESS);
	assert_int_equal(v.low, 1);
	assert_int_equal(v.high, 0);
	assert_int_equal(get(f, HV_REGISTER_SVERSION, &v), HV_STATUS_SUCCESS);
	assert_int_equal(v.low, HV_SYNIC_VERSION);
	assert_int_equal(set(f, HV_REGISTER_SINT0 + 3, 0x50), HV_STATUS_SUCCESS);
	assert_true(msr_read(&f->hv.vp[1], HV_MSR_SINT0 + 3, &msr));
	assert_int_equal(msr, 0x50);
	assert_int_equal(set(f, HV_REGISTER_SIEFP, 0x2001), HV_STATUS_SUCCESS);
	assert_int_equal(f->hv.vp[1].siefp, 0x2001);
	assert_int_equal(set(f, HV_REGISTER_SIMP, 0x4001), HV_STATUS_SUCCESS);
	assert_int_equal(f->hv.vp[1].simp, 0x4001);
	assert_int_equal(set(f, HV_REGISTER_CRASH_P0 + 4, 99), HV_STATUS_SUCCESS);
	assert_int_equal(f->hv.crash_param[4], 99);
	assert_int_equal(set(f, HV_REGISTER_GUEST_OS_ID, 7), HV_STATUS_SUCCESS);
	assert_int_equal(f->hv.guest_os_id, 7);
}

static void what_an_msr_refuses_its_twin_does(void **state)
{
	struct fake *f = *state;
	struct hv_register_value v;

	assert_int_equal(set(f, HV_REGISTER_SINT0, 8), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(set(f, HV_REGISTER_SIMP, FAKE_RAM | 1), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(set(f, HV_REGISTER_VP_INDEX, 0), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(set(f, HV_REGISTER_SVERSION, 0), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(set(f, HV_REGISTER_TIME_REF_COUNT, 0), HV_STATUS_INVALID_PARAMETER);
	f->hv.offered.privileges &= ~HV_ACCESS_SYNIC;
	f->hv.offered.features &= ~HV_FEATURE_CRASH_MSRS;
	assert_int_equal(get(f, HV_REGISTER_SCONTROL, &v), HV_STATUS_ACCESS_DENIED);
	assert_int_equal(set(f, HV_REGISTER_SINT15, 0x50), HV_STATUS_ACCESS_DENIED);
	assert_int_equal(get(f, HV_REGISTER_CRASH_CTL, &v), HV_STATUS_ACCESS_DENIED);
}

static bool keeps_all(const struct hyperv *hv, u32 msr)
{
	(void)hv, (void)msr;
	return true;
}

static void kvm_is_asked_for_what_it_keeps(void **state)
{
	struct fake *f = *state;
	struct hyperv_backend kernel = *f->hv.backend;
	struct hv_register_value v;

	kernel.keeps_msr = keeps_all;
	f->hv.backend = &kernel;
	f->tsc = 0x1234;
	assert_int_equal(get(f, HV_REGISTER_SINT0 + 2, &v), HV_STATUS_SUCCESS);
	assert_int_equal(v.low, 0x1234);
	assert_int_equal(set(f, HV_REGISTER_STIMER0_CONFIG, 0x2001), HV_STATUS_SUCCESS);
	assert_int_equal(bed.writes, 1);
	assert_int_equal(bed.written[0].msr, HV_MSR_STIMER0_CONFIG);
	assert_int_equal(bed.written[0].value, 0x2001);
	assert_int_equal(set(f, HV_REGISTER_VP_INDEX, 3), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(bed.writes, 1);
}

static void leaves_are_four_registers(void **state)
{
	struct fake *f = *state;
	struct hv_register_value v;

	bed.leaf = (struct kvm_cpuid_entry2){
		.function = HV_CPUID_HINTS, .eax = 1, .ebx = 2, .ecx = 3, .edx = 4
	};
	assert_int_equal(get(f, HV_REGISTER_FEATURES, &v), HV_STATUS_SUCCESS);
	assert_true(v.low == (2ull << 32 | 1) && v.high == (4ull << 32 | 3));
	assert_int_equal(get(f, HV_REGISTER_VERSION, &v), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(set(f, HV_REGISTER_FEATURES, 0), HV_STATUS_INVALID_PARAMETER);
}

static void the_processor_is_read_only(void **state)
{
	struct fake *f = *state;
	struct hv_register_value v;

	f->kvm[1].regs =
		(struct kvm_regs){ .rax = 1, .rcx = 2, .rdi = 3, .r15 = 4, .rip = 5, .rflags = 6 };
	assert_int_equal(get(f, HV_REGISTER_RAX, &v), HV_STATUS_SUCCESS);
	assert_int_equal(v.low, 1);
	assert_int_equal(get(f, HV_REGISTER_RAX + 1, &v), HV_STATUS_SUCCESS);
	assert_int_equal(v.low, 2);
	assert_int_equal(get(f, HV_REGISTER_RAX + 7, &v), HV_STATUS_SUCCESS);
	assert_int_equal(v.low, 3);
	assert_int_equal(get(f, HV_REGISTER_R15, &v), HV_STATUS_SUCCESS);
	assert_int_equal(v.low, 4);
	assert_int_equal(get(f, HV_REGISTER_RIP, &v), HV_STATUS_SUCCESS);
	assert_int_equal(v.low, 5);
	assert_int_equal(get(f, HV_REGISTER_RFLAGS, &v), HV_STATUS_SUCCESS);
	assert_int_equal(v.low, 6);
	assert_int_equal(set(f, HV_REGISTER_RIP, 0), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(get(f, HV_REGISTER_RFLAGS + 1, &v), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(get(f, 0, &v), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(get(f, UINT32_MAX, &v), HV_STATUS_INVALID_PARAMETER);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(twins_are_what_their_msrs_are),  TEST(what_an_msr_refuses_its_twin_does),
		TEST(kvm_is_asked_for_what_it_keeps), TEST(leaves_are_four_registers),
		TEST(the_processor_is_read_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
