/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls (TLFS: Hypercall Interface), as they reach us from either back end: the input is
 * decoded and copied once, then handed to the one function a code has. Adding a call is adding a
 * row. What no row names gets HV_STATUS_INVALID_HYPERCALL_CODE.
 *
 * No call here is a rep call or has a variable header or output, so such inputs are refused; XMM
 * input is not offered, so a fast call carries at most 16 bytes.
 */
#include "hyperv/internal.h"

#include <string.h>

#define INPUT_MAX sizeof(struct hv_post_message)
#define FAST_INPUT_MAX 16u /* RDX and R8 */

static u16 call_notify_long_spin_wait(struct hyperv_vp *vp, const void *input)
{
	(void)vp, (void)input;
	return HV_STATUS_SUCCESS;
}

static u16 call_post_message(struct hyperv_vp *vp, const void *input)
{
	const struct hv_post_message *m = input;

	if (!m->message_type || m->message_type & HV_MESSAGE_TYPE_HYPERVISOR ||
	    m->payload_size > sizeof(m->payload))
		return HV_STATUS_INVALID_PARAMETER;
	return ports_post(vp->hv, m->connection_id, m->message_type, m->payload, m->payload_size);
}

static u16 call_signal_event(struct hyperv_vp *vp, const void *input)
{
	const struct hv_signal_event *s = input;

	if (s->reserved || s->connection_id & ~HV_CONNECTION_ID_MASK)
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	return ports_signal(vp->hv, s->connection_id, s->flag_number);
}

static const struct call {
	u16 code;
	u16 input_size; /* bytes */
	u16 (*run)(struct hyperv_vp *vp, const void *input);
} calls[] = {
	{ HV_CALL_NOTIFY_LONG_SPIN_WAIT, 8, call_notify_long_spin_wait },
	{ HV_CALL_POST_MESSAGE, sizeof(struct hv_post_message), call_post_message },
	{ HV_CALL_SIGNAL_EVENT, sizeof(struct hv_signal_event), call_signal_event },
};

static const struct call *call_find(u16 code)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		if (calls[i].code == code)
			return &calls[i];
	}
	return NULL;
}

/* Fills buf with the call's input. An HV_STATUS. */
static u16 input_read(const struct hyperv *hv, const struct call *c, u64 control, u64 input,
		      u64 output, void *buf)
{
	const u64 fast[2] = { input, output };

	if (control & HV_CONTROL_FAST) {
		if (c->input_size > FAST_INPUT_MAX)
			return HV_STATUS_INVALID_HYPERCALL_INPUT;
		memcpy(buf, fast, sizeof(fast));
		return HV_STATUS_SUCCESS;
	}
	if (input % 8 || input % HV_PAGE_SIZE + c->input_size > HV_PAGE_SIZE)
		return HV_STATUS_INVALID_ALIGNMENT;
	return gmem_read(hv->mem, input, buf, c->input_size) ? HV_STATUS_INVALID_PARAMETER
							     : HV_STATUS_SUCCESS;
}

static u16 run(struct hyperv_vp *vp, u64 control, u64 input, u64 output)
{
	const struct call *c = call_find((u16)(control & HV_CONTROL_CODE));
	_Alignas(8) u8 buf[INPUT_MAX];
	u16 status;

	if (control & HV_CONTROL_RESERVED)
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	if (!c)
		return HV_STATUS_INVALID_HYPERCALL_CODE;
	if (control & (HV_CONTROL_VARHEAD | HV_CONTROL_REP_COUNT | HV_CONTROL_REP_START))
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	status = input_read(vp->hv, c, control, input, output, buf);
	return status == HV_STATUS_SUCCESS ? c->run(vp, buf) : status;
}

u64 hypercall_run(struct hyperv_vp *vp, u64 control, u64 input, u64 output)
{
	u16 status = run(vp, control, input, output);

	/* An inbox that is full is back-pressure, not misbehaviour. */
	if (status != HV_STATUS_SUCCESS && status != HV_STATUS_INSUFFICIENT_BUFFERS)
		log_guest(&vp->hv->bad_hypercall,
			  "VP %u: hypercall 0x%llx (0x%llx) refused with status 0x%x", vp->index,
			  (unsigned long long)control, (unsigned long long)input, status);
	return status;
}
