/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The features by name: which bits each one is, who gives it, and whether a guest is offered it
 * unasked. Names are QEMU's (without its "hv-") where it has one. Two kinds of bits meet here:
 * privileges, offered wherever they are correct when used; and recommendations, offered unasked
 * only where following them is faster.
 *
 * What KVM is to execute is limited to what it says it can; the rest is the shared core's, on both
 * back ends. Bits without a row are never offered: they are of root partitions, isolation, virtual
 * trust levels, or of devices that we have not.
 */
#include "hyperv/features.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum feature {
	HYPERCALL,
	POST_MESSAGES,
	SIGNAL_EVENTS,
	XMM_INPUT,
	EXTENDED_HYPERCALLS,
	VP_REGISTERS,
	VPINDEX,
	RUNTIME,
	TIME,
	REFERENCE_TSC,
	INVARIANT_TSC,
	FREQUENCIES,
	REENLIGHTENMENT,
	SYNIC,
	AVIC,
	STIMER,
	STIMER_DIRECT,
	APIC_MSRS,
	VAPIC,
	TLBFLUSH,
	IPI,
	EX_PROCESSOR_MASKS,
	TLBFLUSH_EXT,
	SPINLOCKS,
	RELAXED,
	GUEST_IDLE,
	NO_CORE_SHARING,
	RESET,
	CRASH,
	SYNDBG,
	EVMCS,
	EMSR_BITMAP,
	TLBFLUSH_DIRECT,
	FEATURES,
};

#define BIT(f) (1ull << (f))

/* Back ends, as a set. */
enum { NEITHER, KERNEL, USER, BOTH };

static const struct row {
	const char *name;
	u8 ours; /* the back ends on which the shared core gives it */
	u8 kvm; /* KERNEL: KVM gives it there, where it can */
	u8 unasked; /* the back ends that offer it unasked */
	u64 needs; /* other features */
	struct cpuid_features bits;
	const char *reason;
} rows[] = {
	/* A row is two lines here. */
	/* clang-format off */
	[HYPERCALL] = { "hypercall", USER, KERNEL, BOTH, 0,
		{ .privileges = HV_ACCESS_HYPERCALL_MSRS }, "every hypercall needs its page" },
	[POST_MESSAGES] = { "post-messages", USER, KERNEL, BOTH, BIT(HYPERCALL),
		{ .privileges_high = HV_POST_MESSAGES }, "the VMBus's control messages" },
	[SIGNAL_EVENTS] = { "signal-events", USER, KERNEL, BOTH, BIT(HYPERCALL),
		{ .privileges_high = HV_SIGNAL_EVENTS }, "the VMBus's doorbells" },
	[XMM_INPUT] = { "xmm-input", USER, KERNEL, BOTH, BIT(HYPERCALL),
		{ .features = HV_FEATURE_XMM_INPUT }, "longer input without a page" },
	[EXTENDED_HYPERCALLS] = { "extended-hypercalls", BOTH, NEITHER, BOTH, BIT(HYPERCALL),
		{ .privileges_high = HV_EXTENDED_HYPERCALLS }, "guests can ask which there are" },
	[VP_REGISTERS] = { "vp-registers", BOTH, NEITHER, BOTH, BIT(HYPERCALL),
		{ .privileges_high = HV_ACCESS_VP_REGISTERS }, "registers by hypercall" },
	[VPINDEX] = { "vpindex", USER, KERNEL, BOTH, 0,
		{ .privileges = HV_ACCESS_VP_INDEX }, "the VMBus names VPs by it" },
	[RUNTIME] = { "runtime", USER, KERNEL, BOTH, 0,
		{ .privileges = HV_ACCESS_VP_RUNTIME }, "a clock read, no state" },
	[TIME] = { "time", USER, KERNEL, BOTH, 0,
		{ .privileges = HV_ACCESS_TIME_REF_COUNT }, "Linux takes no Hyper-V without it" },
	[REFERENCE_TSC] = { "reference-tsc", USER, KERNEL, BOTH, BIT(TIME),
		{ .privileges = HV_ACCESS_REFERENCE_TSC }, "a clock without exits" },
	[INVARIANT_TSC] = { "invariant-tsc", USER, KERNEL, BOTH, 0,
		{ .privileges = HV_ACCESS_TSC_INVARIANT }, "the guest may trust its TSC" },
	[FREQUENCIES] = { "frequencies", USER, KERNEL, BOTH, 0,
		{ .privileges = HV_ACCESS_FREQUENCIES, .features = HV_FEATURE_FREQUENCY_MSRS },
		"no calibration at boot" },
	[REENLIGHTENMENT] = { "reenlightenment", USER, KERNEL, BOTH, 0,
		{ .privileges = HV_ACCESS_REENLIGHTENMENT },
		"a nested KVM trusts its clock by it" },
	[SYNIC] = { "synic", USER, KERNEL, BOTH, BIT(VPINDEX),
		{ .privileges = HV_ACCESS_SYNIC }, "the VMBus stands on it" },
	[AVIC] = { "avic", BOTH, NEITHER, BOTH, 0,
		{ .hints = HV_HINT_NO_AUTO_EOI }, "asks guests to leave AutoEOI alone" },
	[STIMER] = { "stimer", USER, KERNEL, NEITHER, BIT(SYNIC) | BIT(TIME),
		{ .privileges = HV_ACCESS_STIMERS }, "the TSC deadline timer is cheaper" },
	[STIMER_DIRECT] = { "stimer-direct", USER, KERNEL, NEITHER, BIT(STIMER),
		{ .features = HV_FEATURE_DIRECT_STIMERS }, "an interrupt without a message" },
	[APIC_MSRS] = { "apic-msrs", USER, KERNEL, BOTH, 0,
		{ .privileges = HV_ACCESS_APIC_MSRS }, "EOI, ICR and TPR for who wants them" },
	[VAPIC] = { "vapic", USER, KERNEL, KERNEL, BIT(APIC_MSRS),
		{ .hints = HV_HINT_APIC_MSRS }, "user: an exit to candela each" },
	[TLBFLUSH] = { "tlbflush", USER, KERNEL, KERNEL, BIT(HYPERCALL) | BIT(VPINDEX),
		{ .hints = HV_HINT_REMOTE_TLB_FLUSH }, "user: slower than the guest's IPIs" },
	[IPI] = { "ipi", USER, KERNEL, KERNEL, BIT(HYPERCALL) | BIT(VPINDEX),
		{ .hints = HV_HINT_CLUSTER_IPI }, "user: slower than the APIC's" },
	[EX_PROCESSOR_MASKS] = { "ex-processor-masks", USER, KERNEL, KERNEL, BIT(HYPERCALL),
		{ .hints = HV_HINT_EX_PROCESSOR_MASKS }, "goes with tlbflush and ipi" },
	[TLBFLUSH_EXT] = { "tlbflush-ext", USER, KERNEL, NEITHER, BIT(TLBFLUSH),
		{ .features = HV_FEATURE_EXTENDED_GVA_RANGES },
		"large pages in flush lists; rare" },
	[SPINLOCKS] = { "spinlocks", USER, KERNEL, KERNEL, BIT(HYPERCALL),
		{ .spin_retries = HV_SPIN_RETRIES }, "user: yielding costs more than it gains" },
	[RELAXED] = { "relaxed", BOTH, NEITHER, BOTH, 0,
		{ .hints = HV_HINT_RELAXED_TIMING }, "a host may preempt us for long" },
	[GUEST_IDLE] = { "guest-idle", BOTH, NEITHER, NEITHER, 0,
		{ .privileges = HV_ACCESS_GUEST_IDLE, .features = HV_FEATURE_GUEST_IDLE },
		"HLT does the same without an exit" },
	[NO_CORE_SHARING] = { "no-nonarch-coresharing", NEITHER, KERNEL, NEITHER, 0,
		{ .hints = HV_HINT_NO_CORE_SHARING }, "true while the host has no SMT" },
	[RESET] = { "reset", BOTH, NEITHER, BOTH, 0,
		{ .privileges = HV_ACCESS_RESET }, "a reboot that needs no chipset" },
	[CRASH] = { "crash", BOTH, NEITHER, BOTH, 0,
		{ .features = HV_FEATURE_CRASH_MSRS }, "a panic ends the run with its reason" },
	[SYNDBG] = { "syndbg", BOTH, NEITHER, NEITHER, 0,
		{ .privileges = HV_ACCESS_DEBUG_MSRS,
		  .features = HV_FEATURE_DEBUGGING | HV_FEATURE_DEBUG_MSRS },
		"there is no debugger to attach" },
	[EVMCS] = { "evmcs", NEITHER, KERNEL, NEITHER, BIT(APIC_MSRS),
		{ .hints = HV_HINT_ENLIGHTENED_VMCS }, "with --nested; hides some of VMX" },
	[EMSR_BITMAP] = { "emsr-bitmap", NEITHER, KERNEL, NEITHER, 0,
		{ .nested = HV_NESTED_MSR_BITMAP }, "with --nested" },
	[TLBFLUSH_DIRECT] = { "tlbflush-direct", NEITHER, KERNEL, NEITHER, BIT(APIC_MSRS),
		{ .nested = HV_NESTED_DIRECT_FLUSH }, "with --nested" },
	/* clang-format on */
};

_Static_assert(ARRAY_SIZE(rows) == FEATURES && FEATURES <= HYPERV_FEATURES_MAX, "a bit a name");

#define NESTED_FEATURES (BIT(EVMCS) | BIT(EMSR_BITMAP) | BIT(TLBFLUSH_DIRECT))
#define VMBUS_FEATURES \
	(BIT(HYPERCALL) | BIT(POST_MESSAGES) | BIT(SIGNAL_EVENTS) | BIT(VPINDEX) | BIT(SYNIC))

/* ---- Sets of bits ---------------------------------------------------------------------------- */

static void bits_add(struct cpuid_features *to, const struct cpuid_features *bits)
{
	to->privileges |= bits->privileges;
	to->privileges_high |= bits->privileges_high;
	to->features |= bits->features;
	to->hints |= bits->hints;
	to->spin_retries |= bits->spin_retries;
	to->nested |= bits->nested;
}

static bool bits_within(const struct cpuid_features *bits, const struct cpuid_features *limit)
{
	return !(bits->privileges & ~limit->privileges ||
		 bits->privileges_high & ~limit->privileges_high ||
		 bits->features & ~limit->features || bits->hints & ~limit->hints ||
		 bits->spin_retries & ~limit->spin_retries || bits->nested & ~limit->nested);
}

/* ---- Names ----------------------------------------------------------------------------------- */

static int fail_unknown(const char *name, size_t len, char *error, size_t size)
{
	size_t used = (size_t)snprintf(error, size, "there is no feature '%.*s'; there are",
				       (int)MIN(len, 32u), name);

	for (unsigned f = 0; f < FEATURES && used < size; f++)
		used += (size_t)snprintf(error + used, size - used, "%s %s", f ? "," : "",
					 rows[f].name);
	return -EINVAL;
}

/* One item, NAME or NAME=on or NAME=off, of len bytes. */
static int switch_one(struct hyperv_switches *s, const char *item, size_t len, char *error,
		      size_t size)
{
	const char *equals = memchr(item, '=', len);
	const char *name = len > 3 && !memcmp(item, "hv-", 3) ? item + 3 : item;
	size_t name_len = (size_t)((equals ? equals : item + len) - name);
	size_t value_len = equals ? (size_t)(item + len - equals - 1) : 0;
	bool on = !equals || (value_len == 2 && !memcmp(equals + 1, "on", 2));
	unsigned f = 0;

	while (f < FEATURES &&
	       (strlen(rows[f].name) != name_len || memcmp(rows[f].name, name, name_len)))
		f++;
	if (f == FEATURES)
		return fail_unknown(name, name_len, error, size);
	if (!on && (value_len != 3 || memcmp(equals + 1, "off", 3))) {
		snprintf(error, size, "%s is switched by %s=on or %s=off", rows[f].name,
			 rows[f].name, rows[f].name);
		return -EINVAL;
	}
	s->on = on ? s->on | BIT(f) : s->on & ~BIT(f);
	s->off = on ? s->off & ~BIT(f) : s->off | BIT(f);
	return 0;
}

int hyperv_switches_parse(struct hyperv_switches *s, const char *list, char *error,
			  size_t error_size)
{
	for (;;) {
		size_t len = strcspn(list, ",");
		int err = switch_one(s, list, len, error, error_size);

		if (err || !list[len])
			return err;
		list += len + 1;
	}
}

bool features_hide_invariant_tsc(const struct hyperv_switches *s)
{
	return s->off & BIT(INVARIANT_TSC);
}

/* ---- The policy ------------------------------------------------------------------------------ */

/* Back ends as bits of `ours`, `kvm` and `unasked`. */
static u8 side_of(const struct feature_host *host)
{
	return host->backend == HYPERV_KERNEL ? KERNEL : USER;
}

static bool is_given(enum feature f, const struct feature_host *host)
{
	const struct row *r = &rows[f];

	if (f == INVARIANT_TSC && !host->invariant_tsc)
		return false;
	if (BIT(f) & NESTED_FEATURES && !host->nested)
		return false;
	return r->ours & side_of(host) ||
	       (r->kvm & side_of(host) && bits_within(&r->bits, &host->limit));
}

static int fail_not_given(enum feature f, const struct feature_host *host, char *error, size_t size)
{
	const struct row *r = &rows[f];
	const char *way_out = "leave it out; a newer Linux kernel may have it";

	if (f == INVARIANT_TSC && !host->invariant_tsc)
		way_out = "this host's TSC is not invariant, leave it out";
	else if (host->backend == HYPERV_USER)
		way_out = "only KVM can, take --hyperv kernel on a host that has it";
	else if (BIT(f) & NESTED_FEATURES && !host->nested)
		way_out = "it is part of nested virtualization, add --nested";
	else if (r->ours & USER)
		way_out = "this host's KVM lacks it, take --hyperv user";
	snprintf(error, size, "--hyperv-features %s: the %s back end cannot give it: %s", r->name,
		 host->backend == HYPERV_KERNEL ? "kernel" : "user", way_out);
	return -EINVAL;
}

/* Adds to *on what its features need, in turn. 0, or -EINVAL where one of those is switched off. */
static int add_needs(u64 *on, u64 off, char *error, size_t size)
{
	for (unsigned f = 0; f < FEATURES; f++) {
		u64 needs = *on & BIT(f) ? rows[f].needs : 0;

		if (needs & off) {
			snprintf(error, size,
				 "--hyperv-features %s: it needs %s, which is switched off; switch "
				 "both on, or neither",
				 rows[f].name, rows[__builtin_ctzll(needs & off)].name);
			return -EINVAL;
		}
		if (needs & ~*on) {
			*on |= needs;
			return add_needs(on, off, error, size);
		}
	}
	return 0;
}

/* Without those that need what is not there. */
static u64 without_orphans(u64 on)
{
	for (unsigned f = 0; f < FEATURES; f++)
		if (on & BIT(f) && rows[f].needs & ~on)
			return without_orphans(on & ~BIT(f));
	return on;
}

static void fill(struct cpuid_features *offered, u64 on, const struct cpuid_features *limit)
{
	*offered = (struct cpuid_features){ 0 };
	for (unsigned f = 0; f < FEATURES; f++)
		if (on & BIT(f))
			bits_add(offered, &rows[f].bits);
	if (!offered->spin_retries)
		offered->spin_retries = HV_SPIN_NEVER_NOTIFY;
	if (on & BIT(EVMCS)) {
		offered->nested |= limit->nested & HV_NESTED_VMCS_VERSIONS;
		offered->nested_vmcs = limit->nested_vmcs;
	}
}

int features_offer(struct cpuid_features *offered, const struct feature_host *host,
		   const struct hyperv_switches *s, char *error, size_t error_size)
{
	u64 asked = s->on, unasked = 0;
	int err = add_needs(&asked, s->off, error, error_size);

	if (err)
		return err;
	for (unsigned f = 0; f < FEATURES; f++) {
		if (!is_given(f, host)) {
			if (asked & BIT(f))
				return fail_not_given(f, host, error, error_size);
		} else if (rows[f].unasked & side_of(host) && !(s->off & BIT(f))) {
			unasked |= BIT(f);
		}
	}
	fill(offered, without_orphans(asked | unasked), &host->limit);
	return 0;
}

/* ---- Telling the user ------------------------------------------------------------------------ */

static enum hyperv_offer offer_of(enum feature f, const struct feature_host *host)
{
	if (host->backend == HYPERV_AUTO || !is_given(f, host))
		return HYPERV_NOT_GIVEN;
	return rows[f].unasked & side_of(host) ? HYPERV_BY_DEFAULT : HYPERV_ON_REQUEST;
}

unsigned features_describe(const struct feature_host *kernel, const struct feature_host *user,
			   struct hyperv_feature *row, unsigned max)
{
	unsigned count = (unsigned)MIN((size_t)FEATURES, (size_t)max);

	for (unsigned f = 0; f < count; f++)
		row[f] = (struct hyperv_feature){ .name = rows[f].name,
						  .reason = rows[f].reason,
						  .kernel = offer_of(f, kernel),
						  .user = offer_of(f, user) };
	return count;
}

const char *features_vmbus_lacks(const struct cpuid_features *offered)
{
	for (unsigned f = 0; f < FEATURES; f++)
		if (BIT(f) & VMBUS_FEATURES && !bits_within(&rows[f].bits, offered))
			return rows[f].name;
	return NULL;
}
