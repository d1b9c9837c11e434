/* SPDX-License-Identifier: BSD-2-Clause */
/* How a bare guest comes into a machine: for the tests (host.c) and the latency benchmarks. */
#ifndef TESTS_BARE_HOST_BOOT_H
#define TESTS_BARE_HOST_BOOT_H

#include "hyperv/hyperv.h"
#include "vmm/vm.h"

/* Makes a vCPU, its CPUID and its VP. 0 or -errno. */
int host_boot_vcpu(struct vm *vm, struct hyperv *hv, u32 index);

/* Loads the ELF file and has vCPU 0 begin with it. 0, or -errno with why in error. */
int host_boot_load(struct vm *vm, const char *path, char *error, size_t error_size);

#endif
