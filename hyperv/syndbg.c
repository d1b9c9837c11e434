/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Synthetic debugging (the debug MSRs as Linux's KVM and QEMU know them; the TLFS names them only)
 * with no debugger attached: registers keep what is written, a packet is never sent and none ever
 * comes, which STATUS 0 says, and the pending page is left alone, for no data is pending.
 */
#include "hyperv/internal.h"

static u64 *register_of(struct hyperv_syndbg *s, u32 msr)
{
	switch (msr) {
	case HV_MSR_SYNDBG_CONTROL:
		return &s->control;
	case HV_MSR_SYNDBG_STATUS:
		return &s->status;
	case HV_MSR_SYNDBG_SEND_BUFFER:
		return &s->send;
	case HV_MSR_SYNDBG_RECV_BUFFER:
		return &s->receive;
	case HV_MSR_SYNDBG_PENDING_BUFFER:
		return &s->pending;
	case HV_MSR_SYNDBG_OPTIONS:
		return &s->options;
	default:
		return NULL;
	}
}

bool syndbg_read(struct hyperv_vp *vp, u32 msr, u64 *value)
{
	struct hyperv *hv = vp->hv;
	const u64 *reg = register_of(&hv->syndbg, msr);

	if (!reg)
		return false;
	pthread_mutex_lock(&hv->lock);
	*value = *reg;
	pthread_mutex_unlock(&hv->lock);
	return true;
}

bool syndbg_write(struct hyperv_vp *vp, u32 msr, u64 value)
{
	struct hyperv *hv = vp->hv;
	u64 *reg = register_of(&hv->syndbg, msr);

	if (!reg)
		return false;
	pthread_mutex_lock(&hv->lock);
	*reg = value;
	if (msr == HV_MSR_SYNDBG_CONTROL)
		hv->syndbg.status = 0; /* whatever was asked did not happen */
	pthread_mutex_unlock(&hv->lock);
	return true;
}
