/* SPDX-License-Identifier: BSD-2-Clause */
/* The features: how they are switched, and which a guest is offered on which back end. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hyperv/features.h"

/* Linux 6.1 as KVM_GET_SUPPORTED_HV_CPUID tells of it. */
#define LINUX_6_1                                                                            \
	{                                                                                    \
		.privileges = 0x2aff, .privileges_high = 0x830, .features = 0x80d12,         \
		.hints = 0x40e2c, .spin_retries = 0xfff, .nested = 0x80000, .nested_vmcs = 1 \
	}

static const struct feature_host user = { .backend = HYPERV_USER };
static const struct feature_host kernel = { .backend = HYPERV_KERNEL, .limit = LINUX_6_1 };

static struct cpuid_features offer(const struct feature_host *host, const char *list)
{
	struct hyperv_switches s = { 0 };
	struct cpuid_features f = { 0 };
	char error[1024] = "";

	if (list && hyperv_switches_parse(&s, list, error, sizeof(error)))
		fail_msg("%s: %s", list, error);
	if (features_offer(&f, host, &s, error, sizeof(error)))
		fail_msg("%s: %s", list ? list : "", error);
	return f;
}

static void refuse(const struct feature_host *host, const char *list, const char *words)
{
	struct hyperv_switches s = { 0 };
	struct cpuid_features f;
	char error[1024] = "";

	assert_int_equal(hyperv_switches_parse(&s, list, error, sizeof(error)), 0);
	if (features_offer(&f, host, &s, error, sizeof(error)) != -EINVAL ||
	    !strstr(error, words) || strchr(error, '\n'))
		fail_msg("%s: \"%s\", not \"%s\"", list, error, words);
}

static void defaults_of_kernel(void **state)
{
	struct cpuid_features f = offer(&kernel, NULL);

	(void)state;
	assert_int_equal(f.privileges, 0x2af7); /* no timers */
	assert_int_equal(f.privileges_high, 0x120030);
	assert_int_equal(f.features, 0x510);
	assert_int_equal(f.hints, 0xe2c);
	assert_int_equal(f.spin_retries, 0xfff);
	assert_int_equal(f.nested, 0);
	assert_int_equal(f.nested_vmcs, 0);
}

static void kernel_offers_nothing_kvm_lacks(void **state)
{
	struct feature_host h = kernel;
	struct cpuid_features f;

	(void)state;
	h.limit.features &= ~HV_FEATURE_DIRECT_STIMERS;
	h.invariant_tsc = true;
	f = offer(&h, NULL);
	assert_false(f.features & HV_FEATURE_DIRECT_STIMERS);
	assert_false(f.privileges & HV_ACCESS_TSC_INVARIANT); /* 6.1 has it not */
	h.limit.privileges |= HV_ACCESS_TSC_INVARIANT;
	assert_true(offer(&h, NULL).privileges & HV_ACCESS_TSC_INVARIANT);
	h.limit = (struct cpuid_features){ 0 };
	f = offer(&h, NULL);
	/* What is left is ours on every back end, and needs nothing of KVM's. */
	assert_int_equal(f.privileges, HV_ACCESS_RESET);
	assert_int_equal(f.privileges_high, 0);
	assert_int_equal(f.features, HV_FEATURE_CRASH_MSRS);
	assert_int_equal(f.hints, HV_HINT_RELAXED_TIMING | HV_HINT_NO_AUTO_EOI);
	assert_int_equal(f.spin_retries, HV_SPIN_NEVER_NOTIFY);
}

static void defaults_of_user(void **state)
{
	struct feature_host h = user;
	struct cpuid_features f = offer(&h, NULL);

	(void)state;
	assert_int_equal(f.privileges, 0x2af7); /* no timers */
	assert_int_equal(f.privileges_high, 0x120030);
	assert_int_equal(f.features, 0x510);
	/* Nothing is recommended that would be slow. */
	assert_int_equal(f.hints, HV_HINT_RELAXED_TIMING | HV_HINT_NO_AUTO_EOI);
	assert_int_equal(f.spin_retries, HV_SPIN_NEVER_NOTIFY);
	h.invariant_tsc = true;
	assert_int_equal(offer(&h, NULL).privileges, 0xaaf7);
}

/* All that is to be had without nesting, on one back end and the other. */
static void everything_on(void **state)
{
	static const char list[] =
		"stimer-direct,hv-vapic,tlbflush,ipi=on,ex-processor-masks,spinlocks,guest-idle";
	struct cpuid_features k = offer(&kernel, list), u = offer(&user, list);

	(void)state;
	assert_int_equal(u.privileges, 0x2eff);
	assert_int_equal(u.features, 0x80530);
	assert_int_equal(u.hints, 0xe2c);
	assert_int_equal(u.spin_retries, 0xfff);
	assert_memory_equal(&k, &u, sizeof(k));
}

static void single_switches(void **state)
{
	struct cpuid_features f;

	(void)state;
	f = offer(&user, "stimer");
	assert_true(f.privileges & HV_ACCESS_STIMERS);
	assert_false(f.features & HV_FEATURE_DIRECT_STIMERS);
	f = offer(&kernel, "stimer,stimer-direct=off");
	assert_true(f.privileges & HV_ACCESS_STIMERS);
	assert_false(f.features & HV_FEATURE_DIRECT_STIMERS);
	assert_false(offer(&kernel, "crash=off").features & HV_FEATURE_CRASH_MSRS);
	f = offer(&user, "frequencies=off");
	assert_false(f.privileges & HV_ACCESS_FREQUENCIES ||
		     f.features & HV_FEATURE_FREQUENCY_MSRS);
	assert_int_equal(offer(&kernel, "spinlocks=off").spin_retries, HV_SPIN_NEVER_NOTIFY);
	f = offer(&user, "syndbg");
	assert_true(f.privileges & HV_ACCESS_DEBUG_MSRS && f.features & HV_FEATURE_DEBUG_MSRS);
	assert_true(offer(&kernel, "no-nonarch-coresharing").hints & HV_HINT_NO_CORE_SHARING);
}

static void what_needs_it_goes_with_it(void **state)
{
	struct cpuid_features f = offer(&kernel, "synic=off");

	(void)state;
	assert_false(f.privileges & (HV_ACCESS_SYNIC | HV_ACCESS_STIMERS));
	assert_false(f.features & HV_FEATURE_DIRECT_STIMERS);
	assert_true(f.privileges_high & HV_POST_MESSAGES);
	f = offer(&kernel, "vpindex=off,hypercall=off");
	assert_int_equal(f.privileges_high, 0);
	assert_false(f.privileges & (HV_ACCESS_SYNIC | HV_ACCESS_HYPERCALL_MSRS));
	assert_false(f.hints & (HV_HINT_REMOTE_TLB_FLUSH | HV_HINT_CLUSTER_IPI));
	assert_false(offer(&user, "time=off").privileges & HV_ACCESS_REFERENCE_TSC);
	refuse(&kernel, "stimer-direct,synic=off",
	       "--hyperv-features stimer: it needs synic, which is switched off");
	refuse(&user, "vapic,apic-msrs=off", "vapic: it needs apic-msrs");
}

static void the_later_switch_counts(void **state)
{
	struct hyperv_switches s = { 0 };
	struct cpuid_features f;
	char error[64];

	(void)state;
	assert_int_equal(hyperv_switches_parse(&s, "stimer,crash=off,relaxed=off", error, 64), 0);
	assert_int_equal(hyperv_switches_parse(&s, "crash=on,hv-stimer=off", error, 64), 0);
	assert_int_equal(s.on & s.off, 0);
	assert_int_equal(features_offer(&f, &user, &s, error, sizeof(error)), 0);
	assert_true(f.features & HV_FEATURE_CRASH_MSRS);
	assert_false(f.privileges & HV_ACCESS_STIMERS);
	assert_false(f.hints & HV_HINT_RELAXED_TIMING);
	assert_false(features_hide_invariant_tsc(&s));
	assert_int_equal(hyperv_switches_parse(&s, "invariant-tsc=off", error, 64), 0);
	assert_true(features_hide_invariant_tsc(&s));
}

static void bad_lists(void **state)
{
	static const struct {
		const char *list, *words;
	} rows[] = {
		{ "", "there is no feature ''; there are hypercall, " },
		{ "relaxed,,time", "there is no feature ''; there are" },
		{ "relaxed,stimr,time", "there is no feature 'stimr'; there are" },
		{ "hv-stimr=off", "there is no feature 'stimr'" },
		{ "hv-", "there is no feature 'hv-'" },
		{ "time = on", "there is no feature 'time '" },
		{ "time=", "time is switched by time=on or time=off" },
		{ "time=1", "time is switched by" },
		{ "time=on=off", "time is switched by" },
		{ "hv-time=onn,ipi", "time is switched by" },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "aaa'; there are" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct hyperv_switches s = { 0 };
		char error[1024] = "";

		if (hyperv_switches_parse(&s, rows[i].list, error, sizeof(error)) != -EINVAL ||
		    !strstr(error, rows[i].words))
			fail_msg("\"%s\": \"%s\"", rows[i].list, error);
	}
}

/* The list of names is whole, also in the room that the command line has for it. */
static void all_names_are_told(void **state)
{
	struct hyperv_feature row[HYPERV_FEATURES_MAX];
	unsigned n = features_describe(&kernel, &user, row, ARRAY_SIZE(row));
	struct hyperv_switches s = { 0 };
	char error[1024], list[1024] = "", small[16];

	(void)state;
	assert_int_equal(hyperv_switches_parse(&s, "none", error, sizeof(error)), -EINVAL);
	assert_in_range(strlen(error), 100, 700);
	for (unsigned i = 0; i < n; i++) {
		size_t used = strlen(list);

		assert_non_null(strstr(error, row[i].name));
		assert_in_range(strlen(row[i].name), 2, 23);
		assert_in_range(strlen(row[i].reason), 2, 39);
		snprintf(list + used, sizeof(list) - used, "%s%s", i ? "," : "", row[i].name);
	}
	assert_int_equal(hyperv_switches_parse(&s, list, error, sizeof(error)), 0);
	assert_int_equal(s.on, (1ull << n) - 1);
	assert_int_equal(hyperv_switches_parse(&s, "none", small, sizeof(small)), -EINVAL);
	assert_in_range(strlen(small), 1, sizeof(small) - 1);
}

static void not_given(void **state)
{
	struct feature_host h = kernel;

	(void)state;
	refuse(&user, "evmcs", "--hyperv-features evmcs: the user back end cannot give it");
	refuse(&user, "evmcs", "only KVM can, take --hyperv kernel");
	refuse(&kernel, "evmcs", "the kernel back end cannot give it: it is part of nested");
	refuse(&user, "no-nonarch-coresharing", "take --hyperv kernel on a host");
	refuse(&user, "invariant-tsc", "TSC is not invariant");
	h.invariant_tsc = true;
	refuse(&h, "invariant-tsc",
	       "the kernel back end cannot give it: this host's KVM lacks it, "
	       "take --hyperv user");
	refuse(&h, "tlbflush-ext", "take --hyperv user");
	h.limit.privileges &= ~HV_ACCESS_SYNIC;
	refuse(&h, "stimer-direct", "--hyperv-features synic: the kernel back end cannot");
	h.limit.hints &= ~HV_HINT_NO_CORE_SHARING;
	refuse(&h, "no-nonarch-coresharing", "leave it out");
}

static void nested(void **state)
{
	struct feature_host h = kernel;
	struct cpuid_features f;

	(void)state;
	h.nested = true;
	assert_int_equal(offer(&h, NULL).nested, 0);
	f = offer(&h, "emsr-bitmap");
	assert_int_equal(f.nested, HV_NESTED_MSR_BITMAP);
	assert_int_equal(f.nested_vmcs, 0);
	refuse(&h, "evmcs", "leave it out"); /* this one is AMD's */
	h.limit.hints |= HV_HINT_ENLIGHTENED_VMCS;
	h.limit.nested |= 0x101;
	f = offer(&h, "evmcs");
	assert_int_equal(f.nested, 0x101);
	assert_int_equal(f.nested_vmcs, 1);
	assert_true(f.hints & HV_HINT_ENLIGHTENED_VMCS);
	h.nested = false;
	refuse(&h, "emsr-bitmap", "add --nested");
	h = user;
	h.nested = true;
	refuse(&h, "emsr-bitmap", "only KVM can");
}

static const struct hyperv_feature *find(const struct hyperv_feature *row, unsigned n,
					 const char *name)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(row[i].name, name))
			return &row[i];
	fail_msg("no %s", name);
	return NULL;
}

static void described(void **state)
{
	const struct feature_host none = { .backend = HYPERV_AUTO };
	struct hyperv_feature row[HYPERV_FEATURES_MAX];
	unsigned n = features_describe(&kernel, &user, row, ARRAY_SIZE(row));

	(void)state;
	assert_int_equal(find(row, n, "stimer")->kernel, HYPERV_ON_REQUEST);
	assert_int_equal(find(row, n, "stimer")->user, HYPERV_ON_REQUEST);
	assert_int_equal(find(row, n, "evmcs")->kernel, HYPERV_NOT_GIVEN);
	assert_int_equal(find(row, n, "evmcs")->user, HYPERV_NOT_GIVEN);
	assert_int_equal(find(row, n, "reset")->kernel, HYPERV_BY_DEFAULT);
	assert_int_equal(find(row, n, "guest-idle")->kernel, HYPERV_ON_REQUEST);
	assert_int_equal(features_describe(&none, &user, row, ARRAY_SIZE(row)), n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(row[i].kernel, HYPERV_NOT_GIVEN);
	assert_int_equal(features_describe(&none, &user, row, 3), 3);
}

static void the_vmbus_tells_what_it_lacks(void **state)
{
	struct cpuid_features f;

	(void)state;
	f = offer(&user, NULL);
	assert_null(features_vmbus_lacks(&f));
	f = offer(&user, "synic=off");
	assert_string_equal(features_vmbus_lacks(&f), "synic");
	f = offer(&kernel, "signal-events=off,crash=off");
	assert_string_equal(features_vmbus_lacks(&f), "signal-events");
	f = offer(&kernel, "hypercall=off");
	assert_string_equal(features_vmbus_lacks(&f), "hypercall");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_of_kernel),
		cmocka_unit_test(kernel_offers_nothing_kvm_lacks),
		cmocka_unit_test(defaults_of_user),
		cmocka_unit_test(everything_on),
		cmocka_unit_test(single_switches),
		cmocka_unit_test(what_needs_it_goes_with_it),
		cmocka_unit_test(the_later_switch_counts),
		cmocka_unit_test(bad_lists),
		cmocka_unit_test(all_names_are_told),
		cmocka_unit_test(not_given),
		cmocka_unit_test(nested),
		cmocka_unit_test(described),
		cmocka_unit_test(the_vmbus_tells_what_it_lacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
