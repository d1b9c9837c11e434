/* SPDX-License-Identifier: BSD-2-Clause */
/* A partition on plain memory: no KVM, a back end that only notes what it was asked. */
#ifndef TESTS_HYPERV_FAKE_H
#define TESTS_HYPERV_FAKE_H

#include "hyperv/apic.h"
#include "hyperv/hypercall.h"
#include "hyperv/internal.h"
#include "vmm/vcpu.h"

#define FAKE_VPS 2
#define FAKE_RAM MiB(1)
#define FAKE_TSC_KHZ 2000000u
#define FAKE_CLOCK 1000000000ull /* what CLOCK_MONOTONIC stands at, ns */

struct fake {
	struct vm vm; /* its end is reported here */
	struct gmem mem;
	struct hyperv hv;
	struct vcpu vcpu[FAKE_VPS];
	u64 tsc; /* what the guest's TSC reads */
	u32 attended, drained; /* bit n: VP n */
	u64 alarm[FAKE_VPS]; /* CLOCK_MONOTONIC ns */
	int ended; /* enum vm_end, -1: not */
	unsigned changes; /* of SINTs */
	unsigned events; /* bound */
	int fail; /* what the next bind returns */
	/* In place of KVM: what a vCPU's descriptor (its index) stands for. */
	struct fake_kvm {
		struct kvm_regs regs;
		struct kvm_sregs sregs;
		struct kvm_vcpu_events events;
		struct kvm_lapic_state apic;
		unsigned apic_reads;
		struct kvm_mp_state mp;
		bool incomplete; /* an instruction cannot be finished */
		u32 msi[8]; /* vectors raised by MSI, in order */
		unsigned msis;
		u32 msr; /* written last, and the value */
		u64 msr_value;
		/* vcpu_run_aside(): what it found, and is to return. */
		struct kvm_regs aside_regs;
		struct kvm_sregs aside_sregs;
		struct kvm_vcpu_events aside_events;
		int aside_result;
	} kvm[FAKE_VPS];
};

/* Sets or reads 32 bits of a VP's local APIC page. */
void fake_apic_set(struct fake *f, u32 vp, u32 reg, u32 value);
u32 fake_apic_get(struct fake *f, u32 vp, u32 reg);
/* Has reference time be `ticks` (100 ns), for the VP's TSC. */
void fake_time(struct fake *f, u64 ticks);

/* Everything is offered, reference time starts at 0 with TSC 0. */
void fake_init(struct fake *f);
void fake_fini(struct fake *f);

/* The same for cmocka. 0. */
int fake_setup(void **state);
int fake_teardown(void **state);

/* Interrupts raised on (vp, sint) since the last call. */
u64 fake_raised(struct fake *f, u32 vp, u32 sint);

#endif
