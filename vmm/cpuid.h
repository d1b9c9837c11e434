/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUID tables as data: what KVM supports, edited into what the guest sees. Pure functions on a
 * table; the Hyper-V leaves are hyperv/'s.
 */
#ifndef VMM_CPUID_H
#define VMM_CPUID_H

#include <linux/kvm.h>

#include "base/types.h"

#define CPUID_ENTRIES_MAX 256

struct cpuid {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entry[CPUID_ENTRIES_MAX]; /* head.entries, contiguous */
};

/* Fills *t with what KVM supports on this host. 0 or -errno. */
int cpuid_supported(int kvm_fd, struct cpuid *t);

/* The entry of (function, index), or NULL. The index matters only where the entry is indexed. */
struct kvm_cpuid_entry2 *cpuid_find(struct cpuid *t, u32 function, u32 index);

/* Replaces or appends an entry. 0 or -ENOSPC. */
int cpuid_set(struct cpuid *t, const struct kvm_cpuid_entry2 *e);

/* Removes all entries of functions first to last. */
void cpuid_remove(struct cpuid *t, u32 first, u32 last);

/* Whether the table shows Intel's or AMD's hardware virtualization, an invariant TSC. */
bool cpuid_has_vmx(struct cpuid *t);
bool cpuid_has_svm(struct cpuid *t);
bool cpuid_has_invariant_tsc(struct cpuid *t);

void cpuid_hide_invariant_tsc(struct cpuid *t);

/*
 * Edits a supported table into that of VP index of cpus: APIC id and topology leaves, hypervisor
 * bit set, KVM's own leaves hidden, VMX and SVM too unless they are the guest's (nested), TSC
 * deadline timer kept, what our machine lacks (e.g. MWAIT) hidden.
 */
void cpuid_for_vp(struct cpuid *t, u32 index, u32 cpus, bool nested);

#endif
