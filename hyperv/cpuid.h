/* SPDX-License-Identifier: BSD-2-Clause */
/* The Hyper-V CPUID leaves (TLFS: Feature and Interface Discovery). */
#ifndef HYPERV_CPUID_H
#define HYPERV_CPUID_H

#include "base/types.h"
#include "vmm/cpuid.h"

struct cpuid_features;

/* Reads what KVM says it can execute (KVM_GET_SUPPORTED_HV_CPUID). 0 or -errno. */
int cpuid_read_limit(int kvm_fd, struct cpuid_features *limit);

/*
 * Replaces the leaves HV_CPUID_VENDOR to HV_CPUID_LAST, and those of the virtualization stack where
 * debugging is offered. 0 or -ENOSPC. Pure.
 */
int cpuid_add_leaves(struct cpuid *t, const struct cpuid_features *f, u32 vps_max);

#endif
