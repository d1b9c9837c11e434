/* SPDX-License-Identifier: BSD-2-Clause */
/* What the leaves say. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "hyperv/cpuid.h"
#include "hyperv/features.h"

static const struct cpuid_features some = { .privileges = 0x2e7f,
					    .privileges_high = 0x120030,
					    .features = 0x510,
					    .hints = 0x220,
					    .spin_retries = 0xfff };

static void check_name(const struct kvm_cpuid_entry2 *e, const char *want)
{
	char name[13] = "";

	memcpy(name, &e->ebx, 4);
	memcpy(name + 4, &e->ecx, 4);
	memcpy(name + 8, &e->edx, 4);
	assert_string_equal(name, want);
}

static void expect(struct cpuid *t, u32 leaf, u32 eax, u32 ebx, u32 ecx, u32 edx)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(t, leaf, 0);

	assert_non_null(e);
	if (e->eax != eax || e->ebx != ebx || e->ecx != ecx || e->edx != edx)
		fail_msg("leaf 0x%x is 0x%x 0x%x 0x%x 0x%x", leaf, e->eax, e->ebx, e->ecx, e->edx);
}

/* As Windows Server 2022 says them, but for the feature bits. */
static void leaves_are_complete(void **state)
{
	static struct cpuid t;
	struct kvm_cpuid_entry2 *e;

	(void)state;
	cpuid_set(&t, &(struct kvm_cpuid_entry2){ .function = 0x80000008, .eax = 0x3028 });
	cpuid_set(&t, &(struct kvm_cpuid_entry2){ .function = 0x40000001, .eax = 1 });
	cpuid_set(&t, &(struct kvm_cpuid_entry2){ .function = 0x40000082, .eax = 1 });
	assert_int_equal(cpuid_add_leaves(&t, &some, 64), 0);
	e = cpuid_find(&t, HV_CPUID_VENDOR, 0);
	assert_int_equal(e->eax, 0x4000000a);
	check_name(e, "Microsoft Hv");
	assert_int_equal(t.head.nent, 1 + 0xb);
	expect(&t, 0x40000001, 0x31237648, 0, 0, 0);
	expect(&t, 0x40000002, 20348, 0xa0000, 0, 0);
	expect(&t, 0x40000003, 0x2e7f, 0x120030, 0, 0x510);
	expect(&t, 0x40000004, 0x220, 0xfff, 40, 0);
	expect(&t, 0x40000005, 64, 64, 0, 0);
	for (u32 leaf = 0x40000006; leaf <= 0x4000000a; leaf++)
		expect(&t, leaf, 0, 0, 0, 0);
}

static void leaves_of_debugging(void **state)
{
	static struct cpuid t;
	struct cpuid_features f = some;

	(void)state;
	f.features |= HV_FEATURE_DEBUG_MSRS;
	assert_int_equal(cpuid_add_leaves(&t, &f, 64), 0);
	assert_int_equal(cpuid_find(&t, HV_CPUID_VENDOR, 0)->eax, 0x40000082);
	assert_int_equal(cpuid_find(&t, 0x40000080, 0)->eax, 0x40000082);
	check_name(cpuid_find(&t, 0x40000080, 0), "Microsoft VS");
	expect(&t, 0x40000081, 0x31235356, 0, 0, 0);
	expect(&t, 0x40000082, 2, 0, 0, 0);
	/* Once more, without: nothing of it stays. */
	assert_int_equal(cpuid_add_leaves(&t, &some, 64), 0);
	assert_null(cpuid_find(&t, 0x40000081, 0));
}

static void leaf_of_nesting(void **state)
{
	static struct cpuid t;
	struct cpuid_features f = some;

	(void)state;
	f.nested = HV_NESTED_MSR_BITMAP | 0x101;
	f.nested_vmcs = 1;
	assert_int_equal(cpuid_add_leaves(&t, &f, 64), 0);
	expect(&t, 0x4000000a, 0x80101, 1, 0, 0);
}

static void a_full_table(void **state)
{
	static struct cpuid t;

	(void)state;
	for (u32 i = 0; i < CPUID_ENTRIES_MAX - 5; i++)
		cpuid_set(&t, &(struct kvm_cpuid_entry2){ .function = 0x100 + i });
	assert_int_equal(cpuid_add_leaves(&t, &some, 64), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_are_complete),
		cmocka_unit_test(leaves_of_debugging),
		cmocka_unit_test(leaf_of_nesting),
		cmocka_unit_test(a_full_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
