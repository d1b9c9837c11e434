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
#include <time.h>

#include "base/types.h"

struct vm;

/* What makes a vCPU leave the guest. */
enum { WAKE_KICK, WAKE_ALARM, WAKES };

struct vcpu {
	struct vm *vm;
	u32 index; /* VP index and APIC id */
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool started;
	_Atomic bool stop;
	_Atomic bool timers_made;
	timer_t timer[WAKES]; /* signal the thread; alarm set by it alone */
	/* Who wants this VP, and where it is. */
	_Atomic bool attention;
	_Atomic u32 passages; /* odd: in the guest, or about to be */
	_Atomic u32 drainers;
	pthread_mutex_t lock;
	pthread_cond_t left;
};

/* Creates vCPU `index` of vm with the CPUID table given. 0 or -errno. Main thread, in VP order. */
int vcpu_init(struct vcpu *vcpu, struct vm *vm, u32 index, const struct kvm_cpuid2 *cpuid);
void vcpu_fini(struct vcpu *vcpu);

/* Starts the thread, or makes it leave KVM_RUN and joins it. Main thread. */
int vcpu_start(struct vcpu *vcpu);
void vcpu_stop(struct vcpu *vcpu);

/*
 * Has hooks.attention run on this vCPU's thread before the guest runs another instruction on it; a
 * vCPU in the guest, halted ones too, is made to leave for it. Several calls may make one. Any
 * thread, its own included; it does not wait.
 */
void vcpu_attend(struct vcpu *vcpu);

/*
 * After vcpu_attend(): waits until the vCPU has left the guest, or finds it outside, so that it
 * cannot run another instruction before its hook did. Any thread but its own; two vCPUs may wait
 * for each other, as a waiting one is outside.
 */
void vcpu_drain(struct vcpu *vcpu);

/*
 * Has hooks.attention run at `deadline` (CLOCK_MONOTONIC, ns) or soon after, once; 0: never.
 * Replaces the one set before. Its own thread, or before vm_start() with 0.
 */
void vcpu_set_alarm(struct vcpu *vcpu, u64 deadline);

/*
 * Has KVM finish the instruction of the last exit, so that the processor's state is that between
 * two instructions and may be changed; exits this leads to are handled. False: it could not be
 * finished, which may be tried again later. On its own thread, from hooks.attention.
 */
bool vcpu_complete(struct vcpu *vcpu);

/*
 * Has the vCPU run, from the state it was given, until it writes to `port`: a detour the guest
 * knows nothing of, by code on the page LAYOUT_ASIDE. hooks.attention does not run meanwhile, but
 * after it. 0; -ECANCELED where the guest's own INIT, SMI, debug exception or shutdown took over,
 * whose state it has now; -EINTR where the VM is being stopped; another -errno of KVM_RUN. On its
 * own thread, from hooks.attention.
 */
int vcpu_run_aside(struct vcpu *vcpu, u16 port);

/* CLOCK_MONOTONIC in ns: what alarms are set by. */
u64 vcpu_clock(void);

/*
 * Describes in one line where a stopped vCPU stands: RIP, privilege, interrupt flag, whether it
 * halted, and the vectors its APIC requests (IRR) and serves (ISR). For people; what does not fit
 * is cut off. After vcpu_stop().
 */
void vcpu_describe(struct vcpu *vcpu, char *text, size_t size);

/* Reads or writes one MSR of this vCPU. 0 or -errno. Its own thread, or before vm_start(). */
int vcpu_get_msr(struct vcpu *vcpu, u32 msr, u64 *value);
int vcpu_set_msr(struct vcpu *vcpu, u32 msr, u64 value);

#endif
