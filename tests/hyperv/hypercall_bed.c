/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/hyperv/hypercall_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct bed bed;
static struct fake *fake;

int kvm_get_sregs(int vcpu_fd, struct kvm_sregs *sregs)
{
	(void)vcpu_fd;
	*sregs = bed.sregs;
	return 0;
}

int kvm_set_regs(int vcpu_fd, const struct kvm_regs *regs)
{
	fake->kvm[vcpu_fd].regs = *regs;
	return 0;
}

int kvm_get_fpu(int vcpu_fd, struct kvm_fpu *fpu)
{
	(void)vcpu_fd;
	bed.fpu_reads++;
	*fpu = bed.fpu;
	return 0;
}

int kvm_get_cpuid2(int vcpu_fd, struct kvm_cpuid2 *cpuid)
{
	struct cpuid *t = container_of(cpuid, struct cpuid, head);

	(void)vcpu_fd;
	cpuid->nent = 1;
	t->entry[0] = bed.leaf;
	return 0;
}

/* For vmm/cpuid.c. */
int kvm_get_supported_cpuid(int kvm_fd, struct kvm_cpuid2 *cpuid)
{
	(void)kvm_fd, (void)cpuid;
	return -1;
}

int vcpu_set_msr(struct vcpu *vcpu, u32 msr, u64 value)
{
	(void)vcpu;
	bed.written[bed.writes % ARRAY_SIZE(bed.written)].msr = msr;
	bed.written[bed.writes++ % ARRAY_SIZE(bed.written)].value = value;
	return bed.fail;
}

int bed_setup(void **state)
{
	bed = (struct bed){ .sregs = { .cr0 = 1, .cs.l = 1 } };
	fake_setup(state);
	fake = *state;
	fake->hv.offered.privileges_high = ~0u;
	return 0;
}

u64 bed_call(struct fake *f, u64 control, const void *input, size_t size)
{
	assert_int_equal(size ? gmem_write(&f->mem, BED_INPUT, input, size) : 0, 0);
	return hypercall_run(&f->hv.vp[0], control, BED_INPUT, BED_OUTPUT);
}

u64 bed_call_fast(struct fake *f, u64 control, const void *input, size_t size)
{
	u64 registers[2] = { 0 };

	memset(&bed.fpu, 0, sizeof(bed.fpu));
	if (size)
		memcpy(registers, input, MIN(size, sizeof(registers)));
	if (size > sizeof(registers))
		memcpy(bed.fpu.xmm, (const u8 *)input + 16, size - 16);
	return hypercall_run(&f->hv.vp[0], control | HV_CONTROL_FAST, registers[0], registers[1]);
}
