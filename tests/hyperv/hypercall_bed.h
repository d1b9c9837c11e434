/* SPDX-License-Identifier: BSD-2-Clause */
/* A partition (fake.h) with everything offered and KVM's part of hypercalls in the test's hands. */
#ifndef TESTS_HYPERV_HYPERCALL_BED_H
#define TESTS_HYPERV_HYPERCALL_BED_H

#include "tests/hyperv/fake.h"
#include "vmm/kvm.h"

#define BED_INPUT 0x1000
#define BED_OUTPUT 0x3000

struct bed {
	struct kvm_sregs sregs; /* of every vCPU; 64-bit, CPL 0 */
	struct kvm_fpu fpu;
	unsigned fpu_reads;
	struct kvm_cpuid_entry2 leaf; /* the one there is */
	struct {
		u32 msr;
		u64 value;
	} written[8]; /* MSRs, by candela */
	unsigned writes;
	int fail; /* what vcpu_set_msr() returns */
};

extern struct bed bed;

/* cmocka's; *state is the struct fake. */
int bed_setup(void **state);

/* Control words. */
#define BED_FAST(code) ((code) | HV_CONTROL_FAST)
#define BED_VAR(n) ((u64)(n) << HV_CONTROL_VARHEAD_SHIFT)
#define BED_REPS(count, start) \
	((u64)(count) << HV_CONTROL_REP_COUNT_SHIFT | (u64)(start) << HV_CONTROL_REP_START_SHIFT)

/* The result of a call by VP 0 that completed `reps`. */
#define BED_RESULT(status, reps) ((u64)(reps) << HV_RESULT_REPS_SHIFT | (status))

/* Calls from VP 0 with `size` bytes of input at BED_INPUT and its output going to BED_OUTPUT. */
u64 bed_call(struct fake *f, u64 control, const void *input, size_t size);
/* The same in registers; size at most 112. */
u64 bed_call_fast(struct fake *f, u64 control, const void *input, size_t size);

#endif
