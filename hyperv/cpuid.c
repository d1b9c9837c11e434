/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CPUID leaves (TLFS: Feature and Interface Discovery). One row per feature bit: why it is
 * offered, and by which back end. Identity, version and limits are ours on both, so that a guest
 * cannot tell them apart; what KVM is to execute is limited to what it says it can
 * (KVM_GET_SUPPORTED_HV_CPUID), as releases differ.
 *
 * Bits without a row are not offered. Of those KVM knows, on purpose: debugging, reenlightenment
 * (its place is migration), "no core sharing" (our VPs are not pinned), enlightened VMCS (no nested
 * virtualization).
 */
#include "hyperv/internal.h"

#include <string.h>

/* Windows Server 2022. */
#define VERSION_BUILD 20348u
#define VERSION_MAJOR_MINOR 0x000a0000u

#define LOGICAL_PROCESSORS_MAX 64u

enum word { PRIVILEGES, PRIVILEGES_HIGH, FEATURES, HINTS, WORDS };

enum giver {
	OURS = 1, /* the shared core, on both back ends */
	USER = 2, /* the shared core, on the user back end */
	KVM = 4, /* KVM, on the kernel back end, where it can */
	BOTH = USER | KVM,
};

static const struct row {
	enum word word;
	u32 bit;
	enum giver giver;
	bool invariant_tsc; /* only on a processor that has one */
	const char *reason;
} rows[] = {
	{ PRIVILEGES, HV_ACCESS_VP_RUNTIME, BOTH, false, "a clock read, no state" },
	{ PRIVILEGES, HV_ACCESS_TIME_REF_COUNT, BOTH, false, "Linux needs it to accept Hyper-V" },
	{ PRIVILEGES, HV_ACCESS_SYNIC, BOTH, false, "the VMBus stands on it" },
	{ PRIVILEGES, HV_ACCESS_STIMERS, KVM, false,
	  "in the kernel they beat the APIC timer; from user space the TSC deadline beats them" },
	{ PRIVILEGES, HV_ACCESS_APIC_MSRS, KVM, false, "an exit each from user space" },
	{ PRIVILEGES, HV_ACCESS_HYPERCALL_MSRS, BOTH, false, "every hypercall needs them" },
	{ PRIVILEGES, HV_ACCESS_VP_INDEX, BOTH, false, "the VMBus names VPs by it" },
	{ PRIVILEGES, HV_ACCESS_RESET, OURS, false, "a reboot that needs no chipset" },
	{ PRIVILEGES, HV_ACCESS_REFERENCE_TSC, BOTH, false, "a clock without exits" },
	{ PRIVILEGES, HV_ACCESS_FREQUENCIES, BOTH, false, "no calibration at boot" },
	{ PRIVILEGES, HV_ACCESS_TSC_INVARIANT, BOTH, true, "the guest may trust its TSC" },
	{ PRIVILEGES_HIGH, HV_POST_MESSAGES, BOTH, false, "the VMBus's control messages" },
	{ PRIVILEGES_HIGH, HV_SIGNAL_EVENTS, BOTH, false, "the VMBus's doorbells" },
	{ FEATURES, HV_FEATURE_XMM_INPUT, KVM, false, "flushes without a memory page" },
	{ FEATURES, HV_FEATURE_FREQUENCY_MSRS, BOTH, false, "goes with HV_ACCESS_FREQUENCIES" },
	{ FEATURES, HV_FEATURE_CRASH_MSRS, OURS, false, "a panic ends the run with its reason" },
	{ FEATURES, HV_FEATURE_DIRECT_STIMERS, KVM, false, "a timer interrupt without a message" },
	{ HINTS, HV_HINT_REMOTE_TLB_FLUSH, KVM, false, "one call for many IPIs" },
	{ HINTS, HV_HINT_APIC_MSRS, KVM, false, "cheaper than emulated MMIO" },
	{ HINTS, HV_HINT_RELAXED_TIMING, OURS, false, "a host may preempt us for long" },
	{ HINTS, HV_HINT_NO_AUTO_EOI, OURS, false, "AutoEOI forbids posted interrupts" },
	{ HINTS, HV_HINT_CLUSTER_IPI, KVM, false, "one call for many IPIs" },
	{ HINTS, HV_HINT_EX_PROCESSOR_MASKS, KVM, false, "flushes and IPIs beyond 64 VPs" },
};

static u32 limit_of(const struct cpuid_features *f, enum word word)
{
	const u32 words[WORDS] = { f->privileges, f->privileges_high, f->features, f->hints };

	return words[word];
}

static bool row_offered(const struct row *r, enum hyperv_choice backend,
			const struct cpuid_features *limit, bool invariant_tsc)
{
	if (r->invariant_tsc && !invariant_tsc)
		return false;
	if (r->giver & OURS)
		return true;
	if (backend == HYPERV_USER)
		return r->giver & USER;
	return r->giver & KVM && limit_of(limit, r->word) & r->bit;
}

struct cpuid_features cpuid_policy(enum hyperv_choice backend, const struct cpuid_features *limit,
				   bool invariant_tsc)
{
	u32 words[WORDS] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (row_offered(&rows[i], backend, limit, invariant_tsc))
			words[rows[i].word] |= rows[i].bit;
	}
	return (struct cpuid_features){ .privileges = words[PRIVILEGES],
					.privileges_high = words[PRIVILEGES_HIGH],
					.features = words[FEATURES],
					.hints = words[HINTS],
					.spin_retries = backend == HYPERV_USER
								? HV_SPIN_NEVER_NOTIFY
								: limit->spin_retries };
}

static struct kvm_cpuid_entry2 vendor_leaf(void)
{
	struct kvm_cpuid_entry2 e = { .function = HV_CPUID_VENDOR, .eax = HV_CPUID_LAST };
	u32 text[3];

	memcpy(text, HV_VENDOR, sizeof(text));
	e.ebx = text[0];
	e.ecx = text[1];
	e.edx = text[2];
	return e;
}

int cpuid_add_leaves(struct cpuid *t, const struct cpuid_features *f, u32 vps_max)
{
	const struct kvm_cpuid_entry2 leaves[] = {
		vendor_leaf(),
		{ .function = HV_CPUID_INTERFACE, .eax = HV_INTERFACE },
		{ .function = HV_CPUID_VERSION, .eax = VERSION_BUILD, .ebx = VERSION_MAJOR_MINOR },
		{ .function = HV_CPUID_FEATURES,
		  .eax = f->privileges,
		  .ebx = f->privileges_high,
		  .edx = f->features },
		{ .function = HV_CPUID_HINTS, .eax = f->hints, .ebx = f->spin_retries },
		{ .function = HV_CPUID_LIMITS, .eax = vps_max, .ebx = LOGICAL_PROCESSORS_MAX },
	};
	int err = 0;

	cpuid_remove(t, HV_CPUID_VENDOR, HV_CPUID_LAST);
	for (size_t i = 0; !err && i < ARRAY_SIZE(leaves); i++)
		err = cpuid_set(t, &leaves[i]);
	/* The rest say nothing, but must be there up to the last one named. */
	for (u32 leaf = HV_CPUID_HARDWARE; !err && leaf <= HV_CPUID_LAST; leaf++)
		err = cpuid_set(t, &(struct kvm_cpuid_entry2){ .function = leaf });
	return err;
}
