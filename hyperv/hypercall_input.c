/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a hypercall's input comes from and its output goes (TLFS: Hypercall Inputs, Hypercall
 * Outputs). In memory both are aligned to 8 bytes and lie in one page of RAM each; else the status
 * is HV_STATUS_INVALID_ALIGNMENT, whichever of these it is. Fast input is the two general registers
 * and, where the guest was offered that, XMM0 to XMM5 behind them: 112 bytes.
 *
 * Not here: output in XMM registers, which is never offered.
 */
#include "hyperv/hypercall.h"

#include <string.h>

#include "vmm/kvm.h"
#include "vmm/vcpu.h"

bool hypercall_input_undefined(const struct hyperv_vp *vp, const struct hypercall *c)
{
	return c->fast && c->input_size > HV_FAST_REGISTERS_SIZE &&
	       !(vp->hv->offered.features & HV_FEATURE_XMM_INPUT);
}

static u16 read_fast(struct hyperv_vp *vp, struct hypercall *c)
{
	const u64 registers[2] = { c->input_register, c->output_register };
	struct kvm_fpu fpu;

	if (c->output_size || c->input_size > HV_FAST_REGISTERS_SIZE + HV_FAST_XMM_SIZE)
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	memcpy(c->input, registers, HV_FAST_REGISTERS_SIZE);
	if (c->input_size <= HV_FAST_REGISTERS_SIZE)
		return HV_STATUS_SUCCESS;
	if (kvm_get_fpu(vp->vcpu->fd, &fpu))
		return HV_STATUS_INVALID_VP_STATE;
	memcpy(c->input + HV_FAST_REGISTERS_SIZE, fpu.xmm, HV_FAST_XMM_SIZE);
	return HV_STATUS_SUCCESS;
}

static bool block_valid(const struct gmem *mem, gpa_t gpa, u32 size)
{
	return !size || (gpa % 8 == 0 && gpa % HV_PAGE_SIZE + size <= HV_PAGE_SIZE &&
			 gmem_range(mem, gpa, size));
}

u16 hypercall_input_read(struct hyperv_vp *vp, struct hypercall *c)
{
	const struct gmem *mem = vp->hv->mem;

	if (c->fast)
		return read_fast(vp, c);
	if (!block_valid(mem, c->input_register, c->input_size) ||
	    !block_valid(mem, c->output_register, c->output_size))
		return HV_STATUS_INVALID_ALIGNMENT;
	if (c->input_size)
		gmem_read(mem, c->input_register, c->input, c->input_size);
	return HV_STATUS_SUCCESS;
}

void hypercall_output_write(struct hyperv_vp *vp, const struct hypercall *c, u32 from, u32 to)
{
	if (from < to)
		gmem_write(vp->hv->mem, c->output_register + from, c->output + from, to - from);
}
