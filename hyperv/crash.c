/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The crash MSRs (TLFS: Guest Crash Enlightenment). A guest fills P0 to P4 and writes CTL; with the
 * MSG bit P3 and P4 are address and length of a text, else all five are the guest's own affair.
 *
 * Linux 5.7 and later writes CTL once: the end of the kernel log where it can (P0 to P2 are 0),
 * else registers (P0 the error, P1 the OS id, P2 RIP, P3 RAX, P4 RSP). Older ones write the
 * registers first and the log after; the first report ends the VM, so with them the log comes too
 * late. Where two VPs report at once the report with a text stays. A bad address costs the text
 * only.
 */
#include "hyperv/internal.h"

#include <string.h>

/* One page at most, whatever P4 says; what is not printable becomes a dot. */
static void copy_message(struct hyperv *hv, char *text)
{
	u64 len = MIN(hv->crash_param[4], HYPERV_CRASH_MESSAGE_MAX - 1);

	if (gmem_read(hv->mem, hv->crash_param[3], text, len))
		len = 0;
	text[len] = '\0';
	for (u64 i = 0; i < len; i++) {
		if (!text[i])
			return;
		if ((text[i] < ' ' || text[i] > '~') && text[i] != '\n' && text[i] != '\t')
			text[i] = '.';
	}
}

static void report(struct hyperv_vp *vp, u64 ctl)
{
	struct hyperv *hv = vp->hv;
	struct hyperv_crash *c = &hv->crash;

	if (c->valid && c->message[0])
		return;
	memcpy(c->param, hv->crash_param, sizeof(c->param));
	if (ctl & HV_CRASH_NOTIFY_MSG)
		copy_message(hv, c->message);
	c->vp_index = vp->index;
	c->valid = true;
}

bool crash_read(struct hyperv *hv, u32 msr, u64 *value)
{
	pthread_mutex_lock(&hv->lock);
	*value = msr == HV_MSR_CRASH_CTL ? HV_CRASH_NOTIFY | HV_CRASH_NOTIFY_MSG
					 : hv->crash_param[msr - HV_MSR_CRASH_P0];
	pthread_mutex_unlock(&hv->lock);
	return true;
}

bool crash_write(struct hyperv_vp *vp, u32 msr, u64 value)
{
	struct hyperv *hv = vp->hv;
	bool notify = msr == HV_MSR_CRASH_CTL && value & HV_CRASH_NOTIFY;

	pthread_mutex_lock(&hv->lock);
	if (msr != HV_MSR_CRASH_CTL)
		hv->crash_param[msr - HV_MSR_CRASH_P0] = value;
	else if (notify)
		report(vp, value);
	pthread_mutex_unlock(&hv->lock);
	if (notify)
		vm_report_end(hv->vm, VM_END_PANIC, 0);
	return true;
}
