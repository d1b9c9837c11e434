/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Leaf numbers and bits: Intel SDM volume 2A "CPUID", AMD APM volume 3 appendix E.
 */
#include "vmm/cpuid.h"

#include <errno.h>
#include <string.h>

#include "vmm/kvm.h"

#define LEAF1_ECX_MONITOR (1u << 3)
#define LEAF1_ECX_VMX (1u << 5)
#define LEAF1_ECX_TSC_DEADLINE (1u << 24)
#define LEAF1_ECX_HYPERVISOR (1u << 31)
#define LEAF1_EDX_HTT (1u << 28)
#define EXT1_ECX_CMP_LEGACY (1u << 1)
#define EXT1_ECX_SVM (1u << 2)
#define EXT1_ECX_TOPOLOGY (1u << 22)
#define POWER_EDX_INVARIANT_TSC (1u << 8)

#define LEAF_EXT1 0x80000001
#define LEAF_POWER 0x80000007
#define LEAF_SVM 0x8000000a

#define TOPOLOGY_SMT 1u
#define TOPOLOGY_CORE 2u

int cpuid_supported(int kvm_fd, struct cpuid *t)
{
	memset(t, 0, sizeof(*t));
	t->head.nent = CPUID_ENTRIES_MAX;
	return kvm_get_supported_cpuid(kvm_fd, &t->head);
}

struct kvm_cpuid_entry2 *cpuid_find(struct cpuid *t, u32 function, u32 index)
{
	for (u32 i = 0; i < t->head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &t->entry[i];

		if (e->function != function)
			continue;
		if (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index)
			return e;
	}
	return NULL;
}

int cpuid_set(struct cpuid *t, const struct kvm_cpuid_entry2 *e)
{
	struct kvm_cpuid_entry2 *old = cpuid_find(t, e->function, e->index);

	if (!old) {
		if (t->head.nent == CPUID_ENTRIES_MAX)
			return -ENOSPC;
		old = &t->entry[t->head.nent++];
	}
	*old = *e;
	return 0;
}

void cpuid_remove(struct cpuid *t, u32 first, u32 last)
{
	u32 kept = 0;

	for (u32 i = 0; i < t->head.nent; i++)
		if (t->entry[i].function < first || t->entry[i].function > last)
			t->entry[kept++] = t->entry[i];
	t->head.nent = kept;
}

bool cpuid_has_vmx(struct cpuid *t)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(t, 1, 0);

	return e && e->ecx & LEAF1_ECX_VMX;
}

bool cpuid_has_svm(struct cpuid *t)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(t, LEAF_EXT1, 0);

	return e && e->ecx & EXT1_ECX_SVM;
}

bool cpuid_has_invariant_tsc(struct cpuid *t)
{
	const struct kvm_cpuid_entry2 *e = cpuid_find(t, LEAF_POWER, 0);

	return e && e->edx & POWER_EDX_INVARIANT_TSC;
}

void cpuid_hide_invariant_tsc(struct cpuid *t)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(t, LEAF_POWER, 0);

	if (e)
		e->edx &= ~POWER_EDX_INVARIANT_TSC;
}

static void hide_virtualization(struct cpuid *t)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(t, 1, 0);

	if (e)
		e->ecx &= ~LEAF1_ECX_VMX;
	e = cpuid_find(t, LEAF_EXT1, 0);
	if (e)
		e->ecx &= ~EXT1_ECX_SVM;
	cpuid_remove(t, LEAF_SVM, LEAF_SVM);
}

/* Bits an APIC id needs for cpus processors. */
static u32 apic_id_bits(u32 cpus)
{
	u32 bits = 0;

	while ((1u << bits) < cpus)
		bits++;
	return bits;
}

static void edit_features(struct cpuid *t, u32 index, u32 cpus)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(t, 1, 0);

	if (e) {
		e->ebx = (e->ebx & 0xffff) | (1u << apic_id_bits(cpus)) << 16 | index << 24;
		e->ecx &= ~LEAF1_ECX_MONITOR;
		e->ecx |= LEAF1_ECX_HYPERVISOR | LEAF1_ECX_TSC_DEADLINE;
		e->edx = cpus > 1 ? e->edx | LEAF1_EDX_HTT : e->edx & ~LEAF1_EDX_HTT;
	}
	e = cpuid_find(t, LEAF_EXT1, 0);
	if (e) {
		e->ecx &= ~EXT1_ECX_CMP_LEGACY;
		if (cpus > 1)
			e->ecx |= EXT1_ECX_CMP_LEGACY & (e->ecx & EXT1_ECX_TOPOLOGY ? ~0u : 0);
	}
	cpuid_remove(t, 5, 5); /* MONITOR */
}

/* Cache leaves (Intel 4, AMD 0x8000001d): levels 1 and 2 are a core's own, 3 is everybody's. */
static void edit_caches(struct cpuid *t, u32 cpus)
{
	for (u32 i = 0; i < t->head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &t->entry[i];
		u32 level = e->eax >> 5 & 7;
		u32 sharing = level >= 3 ? (1u << apic_id_bits(cpus)) - 1 : 0;

		if ((e->function != 4 && e->function != 0x8000001d) || !(e->eax & 0x1f))
			continue;
		e->eax = (e->eax & 0x3fff) | sharing << 14;
		if (e->function == 4)
			e->eax |= ((1u << MIN(apic_id_bits(cpus), 5u)) - 1) << 26;
	}
}

/* Extended topology: one thread a core, all cores in one package. */
static void edit_topology(struct cpuid *t, u32 leaf, u32 index, u32 cpus)
{
	struct kvm_cpuid_entry2 *max = cpuid_find(t, 0, 0);
	struct kvm_cpuid_entry2 level[] = {
		{ .index = 0, .eax = 0, .ebx = 1, .ecx = TOPOLOGY_SMT << 8 | 0 },
		{ .index = 1,
		  .eax = apic_id_bits(cpus),
		  .ebx = cpus,
		  .ecx = TOPOLOGY_CORE << 8 | 1 },
		{ .index = 2, .ecx = 2 },
	};

	cpuid_remove(t, leaf, leaf);
	if (!max || max->eax < leaf)
		return;
	for (u32 i = 0; i < ARRAY_SIZE(level); i++) {
		level[i].function = leaf;
		level[i].flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		level[i].edx = index;
		cpuid_set(t, &level[i]);
	}
}

static void edit_amd_topology(struct cpuid *t, u32 index, u32 cpus)
{
	struct kvm_cpuid_entry2 *e = cpuid_find(t, 0x80000008, 0);

	if (e)
		e->ecx = (e->ecx & ~0xf0ffu) | (cpus - 1) | apic_id_bits(cpus) << 12;
	e = cpuid_find(t, 0x8000001e, 0);
	if (e) {
		e->eax = index;
		e->ebx = (e->ebx & ~0xffffu) | (index & 0xff); /* one thread a core */
		e->ecx &= ~0x7ffu; /* node 0 of one */
	}
}

void cpuid_for_vp(struct cpuid *t, u32 index, u32 cpus, bool nested)
{
	cpuid_remove(t, 0x40000000, 0x4fffffff);
	if (!nested)
		hide_virtualization(t);
	edit_features(t, index, cpus);
	edit_caches(t, cpus);
	edit_topology(t, 0xb, index, cpus);
	edit_topology(t, 0x1f, index, cpus);
	edit_amd_topology(t, index, cpus);
}
