/* SPDX-License-Identifier: BSD-2-Clause */
/* The processor a guest sees: what is hidden, and each VP's place in it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/cpuid.h"

static void put(struct cpuid *t, u32 function, u32 eax, u32 ebx, u32 ecx, u32 edx)
{
	struct kvm_cpuid_entry2 e = {
		.function = function, .eax = eax, .ebx = ebx, .ecx = ecx, .edx = edx
	};

	assert_int_equal(cpuid_set(t, &e), 0);
}

/* A table as an AMD host with SVM and an Intel host with VMX would give, together. */
static void host_table(struct cpuid *t)
{
	memset(t, 0, sizeof(*t));
	put(t, 0, 0x1f, 0, 0, 0);
	put(t, 1, 0, 0xff10ffff, 1u << 5 | 1u << 3, 0);
	put(t, 5, 1, 2, 3, 4);
	put(t, 0x40000000, 0x40000001, 0, 0, 0);
	put(t, 0x40000001, 1, 0, 0, 0);
	put(t, 0x80000001, 0, 0, 1u << 2 | 1u << 22, 0);
	put(t, 0x80000008, 0x3030, 0, 0, 0);
	put(t, 0x8000000a, 1, 2, 3, 4);
	put(t, 0x8000001e, 9, 9, 9, 9);
}

static void hides_what_the_guest_must_not_see(void **state)
{
	struct cpuid t;

	(void)state;
	host_table(&t);
	cpuid_for_vp(&t, 0, 1, false);
	assert_int_equal(cpuid_find(&t, 1, 0)->ecx & (1u << 5 | 1u << 3), 0);
	assert_int_equal(cpuid_find(&t, 0x80000001, 0)->ecx & 1u << 2, 0);
	assert_null(cpuid_find(&t, 0x40000000, 0));
	assert_null(cpuid_find(&t, 0x40000001, 0));
	assert_null(cpuid_find(&t, 0x8000000a, 0));
	assert_true(cpuid_find(&t, 1, 0)->ecx & 1u << 31);
	assert_true(cpuid_find(&t, 1, 0)->ecx & 1u << 24);
}

static void nested_keeps_virtualization(void **state)
{
	struct cpuid t;

	(void)state;
	host_table(&t);
	assert_true(cpuid_has_vmx(&t) && cpuid_has_svm(&t));
	cpuid_for_vp(&t, 0, 1, true);
	assert_true(cpuid_has_vmx(&t) && cpuid_has_svm(&t));
	assert_int_equal(cpuid_find(&t, 1, 0)->ecx & 1u << 3, 0);
	assert_int_equal(cpuid_find(&t, 0x8000000a, 0)->edx, 4);
	cpuid_for_vp(&t, 0, 1, false);
	assert_false(cpuid_has_vmx(&t) || cpuid_has_svm(&t));
}

static void hides_the_invariant_tsc(void **state)
{
	struct cpuid t;

	(void)state;
	host_table(&t);
	cpuid_hide_invariant_tsc(&t);
	assert_false(cpuid_has_invariant_tsc(&t));
	put(&t, 0x80000007, 0, 0, 0, 1u << 8 | 1);
	assert_true(cpuid_has_invariant_tsc(&t));
	cpuid_hide_invariant_tsc(&t);
	assert_false(cpuid_has_invariant_tsc(&t));
	assert_int_equal(cpuid_find(&t, 0x80000007, 0)->edx, 1);
}

static void gives_each_vp_its_place(void **state)
{
	struct cpuid t;

	(void)state;
	host_table(&t);
	cpuid_for_vp(&t, 5, 6, false);
	assert_int_equal(cpuid_find(&t, 1, 0)->ebx >> 24, 5);
	assert_int_equal(cpuid_find(&t, 1, 0)->ebx >> 16 & 0xff, 8);
	assert_int_equal(cpuid_find(&t, 0xb, 0)->ebx, 1);
	assert_int_equal(cpuid_find(&t, 0xb, 1)->eax, 3);
	assert_int_equal(cpuid_find(&t, 0xb, 1)->ebx, 6);
	assert_int_equal(cpuid_find(&t, 0xb, 1)->edx, 5);
	assert_int_equal(cpuid_find(&t, 0x80000008, 0)->ecx, 3u << 12 | 5);
	assert_int_equal(cpuid_find(&t, 0x8000001e, 0)->eax, 5);
}

static void one_vp_has_no_siblings(void **state)
{
	struct cpuid t;

	(void)state;
	host_table(&t);
	cpuid_for_vp(&t, 0, 1, false);
	assert_int_equal(cpuid_find(&t, 1, 0)->edx & 1u << 28, 0);
	assert_int_equal(cpuid_find(&t, 0xb, 1)->eax, 0);
}

static void set_replaces_and_remove_removes(void **state)
{
	struct cpuid t = { 0 };
	struct kvm_cpuid_entry2 e = { .function = 7,
				      .index = 1,
				      .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX };

	(void)state;
	put(&t, 1, 10, 0, 0, 0);
	put(&t, 1, 20, 0, 0, 0);
	assert_int_equal(t.head.nent, 1);
	assert_int_equal(cpuid_find(&t, 1, 0)->eax, 20);
	assert_int_equal(cpuid_set(&t, &e), 0);
	assert_null(cpuid_find(&t, 7, 0));
	assert_non_null(cpuid_find(&t, 7, 1));
	for (u32 i = 0; t.head.nent < CPUID_ENTRIES_MAX; i++)
		put(&t, 0x100 + i, 0, 0, 0, 0);
	e.function = 0x9999;
	assert_int_equal(cpuid_set(&t, &e), -ENOSPC);
	cpuid_remove(&t, 0x100, 0xffff);
	assert_int_equal(t.head.nent, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hides_what_the_guest_must_not_see),
		cmocka_unit_test(nested_keeps_virtualization),
		cmocka_unit_test(hides_the_invariant_tsc),
		cmocka_unit_test(gives_each_vp_its_place),
		cmocka_unit_test(one_vp_has_no_siblings),
		cmocka_unit_test(set_replaces_and_remove_removes),
	};

	return cmocka_run_group_tests_name("vmm/cpuid", tests, NULL, NULL);
}
