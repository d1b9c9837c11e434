/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CPUID leaves (TLFS: Feature and Interface Discovery). Identity, version and limits are ours
 * on both back ends, so that a guest cannot tell them apart; the feature bits come from features.c.
 *
 * HV_CPUID_HARDWARE names the hardware that helps the hypervisor. It stays zero: KVM does not say
 * what it uses, and no guest relies on it.
 */
#include "hyperv/cpuid.h"
#include "hyperv/features.h"

#include <string.h>

#include "vmm/kvm.h"

/* Windows Server 2022. */
#define VERSION_BUILD 20348u
#define VERSION_MAJOR_MINOR 0x000a0000u

#define LOGICAL_PROCESSORS_MAX 64u

int cpuid_read_limit(int kvm_fd, struct cpuid_features *limit)
{
	struct cpuid t = { .head.nent = CPUID_ENTRIES_MAX };
	const struct kvm_cpuid_entry2 *e;
	int err = kvm_get_supported_hv_cpuid(kvm_fd, &t.head);

	*limit = (struct cpuid_features){ 0 };
	if (err)
		return err;
	e = cpuid_find(&t, HV_CPUID_FEATURES, 0);
	if (e) {
		limit->privileges = e->eax;
		limit->privileges_high = e->ebx;
		limit->features = e->edx;
	}
	e = cpuid_find(&t, HV_CPUID_HINTS, 0);
	if (e) {
		limit->hints = e->eax;
		limit->spin_retries = e->ebx;
	}
	e = cpuid_find(&t, HV_CPUID_NESTED, 0);
	if (e) {
		limit->nested = e->eax;
		limit->nested_vmcs = e->ebx;
	}
	return 0;
}

/* A leaf with a name of twelve letters, and the last of its range. */
static struct kvm_cpuid_entry2 vendor_leaf(u32 function, u32 last, const char *name)
{
	struct kvm_cpuid_entry2 e = { .function = function, .eax = last };
	u32 text[3];

	memcpy(text, name, sizeof(text));
	e.ebx = text[0];
	e.ecx = text[1];
	e.edx = text[2];
	return e;
}

static int add(struct cpuid *t, const struct kvm_cpuid_entry2 *leaves, size_t count)
{
	int err = 0;

	for (size_t i = 0; !err && i < count; i++)
		err = cpuid_set(t, &leaves[i]);
	return err;
}

static int add_stack_leaves(struct cpuid *t)
{
	const struct kvm_cpuid_entry2 leaves[] = {
		vendor_leaf(HV_CPUID_STACK_VENDOR, HV_CPUID_STACK_PROPERTIES, HV_STACK_VENDOR),
		{ .function = HV_CPUID_STACK_INTERFACE, .eax = HV_STACK_INTERFACE },
		{ .function = HV_CPUID_STACK_PROPERTIES, .eax = HV_STACK_DEBUG_DEVICE },
	};

	return add(t, leaves, ARRAY_SIZE(leaves));
}

/* Bits of a physical address, as the processor itself says. */
static u32 address_bits(struct cpuid *t)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(t, 0x80000008, 0);

	return e ? e->eax & 0x7f : 0;
}

int cpuid_add_leaves(struct cpuid *t, const struct cpuid_features *f, u32 vps_max)
{
	const bool debugging = f->features & HV_FEATURE_DEBUG_MSRS;
	const struct kvm_cpuid_entry2 leaves[] = {
		vendor_leaf(HV_CPUID_VENDOR, debugging ? HV_CPUID_STACK_PROPERTIES : HV_CPUID_LAST,
			    HV_VENDOR),
		{ .function = HV_CPUID_INTERFACE, .eax = HV_INTERFACE },
		{ .function = HV_CPUID_VERSION, .eax = VERSION_BUILD, .ebx = VERSION_MAJOR_MINOR },
		{ .function = HV_CPUID_FEATURES,
		  .eax = f->privileges,
		  .ebx = f->privileges_high,
		  .edx = f->features },
		{ .function = HV_CPUID_HINTS,
		  .eax = f->hints,
		  .ebx = f->spin_retries,
		  .ecx = address_bits(t) },
		{ .function = HV_CPUID_LIMITS, .eax = vps_max, .ebx = LOGICAL_PROCESSORS_MAX },
		/* These say nothing, but must be there up to the last one named. */
		{ .function = HV_CPUID_HARDWARE },
		{ .function = HV_CPUID_HARDWARE + 1 },
		{ .function = HV_CPUID_HARDWARE + 2 },
		{ .function = HV_CPUID_HARDWARE + 3 },
		{ .function = HV_CPUID_NESTED, .eax = f->nested, .ebx = f->nested_vmcs },
	};
	int err;

	cpuid_remove(t, HV_CPUID_VENDOR, HV_CPUID_STACK_PROPERTIES);
	err = add(t, leaves, ARRAY_SIZE(leaves));
	return err || !debugging ? err : add_stack_leaves(t);
}
