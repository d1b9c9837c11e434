/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One virtual processor and its thread: KVM_RUN and the few exits that need no one else. A vCPU
 * thread is treated as hostile once it runs: it answers exits, copies, posts, and touches nothing
 * else.
 */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/types.h"

struct vm;

struct vcpu {
	struct vm *vm;
	u32 index; /* VP index and APIC id */
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool started;
	_Atomic bool stop;
};

/* Creates vCPU `index` of vm with the CPUID table given. 0 or -errno. Main thread, in VP order. */
int vcpu_init(struct vcpu *vcpu, struct vm *vm, u32 index, const struct kvm_cpuid2 *cpuid);
void vcpu_fini(struct vcpu *vcpu);

/* Starts the thread, or makes it leave KVM_RUN and joins it. Main thread. */
int vcpu_start(struct vcpu *vcpu);
void vcpu_stop(struct vcpu *vcpu);

/*
 * Describes in one line where a stopped vCPU stands: RIP, privilege, interrupt flag, whether it
 * halted, and the vectors its APIC requests (IRR) and serves (ISR). For people; after vcpu_stop().
 */
void vcpu_describe(struct vcpu *vcpu, char *text, size_t size);

/* Reads or writes one MSR of this vCPU. 0 or -errno. Its own thread, or before vm_start(). */
int vcpu_get_msr(struct vcpu *vcpu, u32 msr, u64 *value);
int vcpu_set_msr(struct vcpu *vcpu, u32 msr, u64 value);

#endif
