/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The features by name (features.c): which there are, and which of them a guest is offered. A
 * policy, pure but for the caller's buffers.
 */
#ifndef HYPERV_FEATURES_H
#define HYPERV_FEATURES_H

#include <stddef.h>

#include "base/types.h"
#include "hyperv/hyperv.h"
#include "hyperv/tlfs.h"

/* The Hyper-V leaves that carry feature bits, as offered to the guest. */
struct cpuid_features {
	u32 privileges; /* HV_CPUID_FEATURES EAX */
	u32 privileges_high; /* EBX */
	u32 features; /* EDX */
	u32 hints; /* HV_CPUID_HINTS EAX */
	u32 spin_retries; /* HV_CPUID_HINTS EBX */
	u32 nested; /* HV_CPUID_NESTED EAX */
	u32 nested_vmcs; /* EBX: enlightened VMCS fields */
};

/* What a back end stands on. */
struct feature_host {
	enum hyperv_choice backend; /* AUTO: none, which cannot give anything */
	struct cpuid_features limit; /* what KVM says it can execute; of no interest to USER */
	bool invariant_tsc; /* the processor has one */
	bool nested; /* the guest gets VMX or SVM */
};

/*
 * The policy: what a guest is offered on host, with the user's switches. 0, or -EINVAL with a
 * sentence in error for a feature that cannot be switched on here. Pure.
 */
int features_offer(struct cpuid_features *offered, const struct feature_host *host,
		   const struct hyperv_switches *s, char *error, size_t error_size);

/* One row for each feature: row->kernel and row->user as those hosts give it. Pure. */
unsigned features_describe(const struct feature_host *kernel, const struct feature_host *user,
			   struct hyperv_feature *row, unsigned max);

/* The name of a feature that the VMBus needs and offered lacks, or NULL. Pure. */
const char *features_vmbus_lacks(const struct cpuid_features *offered);

/* Whether the user switched the invariant TSC off. */
bool features_hide_invariant_tsc(const struct hyperv_switches *s);

#endif
