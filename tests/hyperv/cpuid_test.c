/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "hyperv/internal.h"

/* What Linux 6.1's KVM says (KVM_GET_SUPPORTED_HV_CPUID). */
static const struct cpuid_features linux_6_1 = { .privileges = 0x2aff,
						 .privileges_high = 0x830,
						 .features = 0x80d12,
						 .hints = 0x40e2c,
						 .spin_retries = 0xfff };
static const struct cpuid_features nothing;

static void kernel_offers_what_kvm_can_do(void **state)
{
	struct cpuid_features f = cpuid_policy(HYPERV_KERNEL, &linux_6_1, false);

	(void)state;
	assert_int_equal(f.privileges, 0x0aff); /* no reenlightenment */
	assert_int_equal(f.privileges_high, HV_POST_MESSAGES | HV_SIGNAL_EVENTS);
	assert_int_equal(f.features, HV_FEATURE_XMM_INPUT | HV_FEATURE_FREQUENCY_MSRS |
					     HV_FEATURE_CRASH_MSRS | HV_FEATURE_DIRECT_STIMERS);
	assert_int_equal(f.hints, 0xe2c);
	assert_int_equal(f.spin_retries, 0xfff);
}

static void kernel_offers_nothing_kvm_lacks(void **state)
{
	struct cpuid_features limit = linux_6_1, f;

	(void)state;
	limit.features &= ~HV_FEATURE_DIRECT_STIMERS;
	f = cpuid_policy(HYPERV_KERNEL, &limit, true);
	assert_false(f.features & HV_FEATURE_DIRECT_STIMERS);
	assert_false(f.privileges & HV_ACCESS_TSC_INVARIANT); /* 6.1 has it not */
	limit.privileges |= HV_ACCESS_TSC_INVARIANT;
	f = cpuid_policy(HYPERV_KERNEL, &limit, true);
	assert_true(f.privileges & HV_ACCESS_TSC_INVARIANT);
	f = cpuid_policy(HYPERV_KERNEL, &nothing, true);
	/* What is left is ours on every back end. */
	assert_int_equal(f.privileges, HV_ACCESS_RESET);
	assert_int_equal(f.features, HV_FEATURE_CRASH_MSRS);
}

static void user_offers_the_shared_core(void **state)
{
	struct cpuid_features f = cpuid_policy(HYPERV_USER, &nothing, false);

	(void)state;
	assert_true(f.privileges & HV_ACCESS_SYNIC && f.privileges & HV_ACCESS_REFERENCE_TSC);
	assert_false(f.privileges & (HV_ACCESS_STIMERS | HV_ACCESS_APIC_MSRS));
	assert_int_equal(f.features, HV_FEATURE_FREQUENCY_MSRS | HV_FEATURE_CRASH_MSRS);
	/* Nothing is recommended that would be slow; AutoEOI is discouraged: it would hang. */
	assert_int_equal(f.hints, HV_HINT_RELAXED_TIMING | HV_HINT_NO_AUTO_EOI);
	assert_int_equal(f.spin_retries, HV_SPIN_NEVER_NOTIFY);
	assert_false(f.privileges & HV_ACCESS_TSC_INVARIANT);
	f = cpuid_policy(HYPERV_USER, &nothing, true);
	assert_true(f.privileges & HV_ACCESS_TSC_INVARIANT);
}

static void leaves_are_complete(void **state)
{
	static struct cpuid t;
	const struct cpuid_features f = cpuid_policy(HYPERV_KERNEL, &linux_6_1, false);
	struct kvm_cpuid_entry2 *e;
	char vendor[13] = "";

	(void)state;
	cpuid_set(&t, &(struct kvm_cpuid_entry2){ .function = 0x40000001, .eax = 1 });
	assert_int_equal(cpuid_add_leaves(&t, &f, 64), 0);
	e = cpuid_find(&t, HV_CPUID_VENDOR, 0);
	memcpy(vendor, &e->ebx, 4);
	memcpy(vendor + 4, &e->ecx, 4);
	memcpy(vendor + 8, &e->edx, 4);
	assert_string_equal(vendor, "Microsoft Hv");
	for (u32 leaf = HV_CPUID_VENDOR; leaf <= e->eax; leaf++)
		assert_non_null(cpuid_find(&t, leaf, 0));
	assert_int_equal(t.head.nent, HV_CPUID_LAST - HV_CPUID_VENDOR + 1);
	assert_int_equal(cpuid_find(&t, HV_CPUID_INTERFACE, 0)->eax, 0x31237648);
	assert_int_equal(cpuid_find(&t, HV_CPUID_FEATURES, 0)->eax, f.privileges);
	assert_int_equal(cpuid_find(&t, HV_CPUID_FEATURES, 0)->edx, f.features);
	assert_int_equal(cpuid_find(&t, HV_CPUID_HINTS, 0)->eax, f.hints);
	assert_int_equal(cpuid_find(&t, HV_CPUID_LIMITS, 0)->eax, 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_offers_what_kvm_can_do),
		cmocka_unit_test(kernel_offers_nothing_kvm_lacks),
		cmocka_unit_test(user_offers_the_shared_core),
		cmocka_unit_test(leaves_are_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
