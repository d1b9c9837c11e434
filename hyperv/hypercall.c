/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls (TLFS: Hypercall Interface), as they reach us from either back end: what the input
 * value asks for is checked against the call's row, the input is copied once, then handed to the
 * one function the call has. Adding a call is adding a row. What no row names gets
 * HV_STATUS_INVALID_HYPERCALL_CODE.
 *
 * A rep call does all its reps at once, as its lists end with the page they lie in; so there is
 * never a continuation of ours, but a guest that starts at a later rep is served from there.
 */
#include "hyperv/hypercall.h"

#include <string.h>

enum {
	FAST = 1, /* may carry its input in registers */
	VARIABLE = 2, /* may have a variable header */
	BY_KVM = 4, /* KVM's own on the kernel back end */
};

static const struct call {
	u16 code;
	u16 header; /* bytes of the fixed header */
	u8 element_in, element_out; /* bytes of each rep's; no input: not a rep call */
	u8 output; /* bytes, where it is not a rep call */
	u8 flags;
	u32 privilege; /* HV_CPUID_FEATURES EBX, 0: none */
	u16 (*run)(struct hyperv_vp *vp, struct hypercall *c);
} calls[] = {
	{ HV_CALL_SIGNAL_EVENT, sizeof(struct hv_signal_event), 0, 0, 0, FAST, HV_SIGNAL_EVENTS,
	  call_signal_event },
	{ HV_CALL_POST_MESSAGE, sizeof(struct hv_post_message), 0, 0, 0, 0, HV_POST_MESSAGES,
	  call_post_message },
	{ HV_CALL_NOTIFY_LONG_SPIN_WAIT, 8, 0, 0, 0, FAST | BY_KVM, 0, call_notify_long_spin_wait },
	{ HV_CALL_FLUSH_SPACE, sizeof(struct hv_flush), 0, 0, 0, FAST | BY_KVM, 0, call_flush },
	{ HV_CALL_FLUSH_LIST, sizeof(struct hv_flush), 8, 0, 0, FAST | BY_KVM, 0, call_flush },
	{ HV_CALL_FLUSH_SPACE_EX, sizeof(struct hv_flush_ex), 0, 0, 0, FAST | VARIABLE | BY_KVM, 0,
	  call_flush_ex },
	{ HV_CALL_FLUSH_LIST_EX, sizeof(struct hv_flush_ex), 8, 0, 0, FAST | VARIABLE | BY_KVM, 0,
	  call_flush_ex },
	{ HV_CALL_SEND_IPI, sizeof(struct hv_send_ipi), 0, 0, 0, FAST | BY_KVM, 0, call_send_ipi },
	{ HV_CALL_SEND_IPI_EX, sizeof(struct hv_send_ipi_ex), 0, 0, 0, FAST | VARIABLE | BY_KVM, 0,
	  call_send_ipi_ex },
	{ HV_CALL_GET_VP_REGISTERS, sizeof(struct hv_vp_registers), sizeof(u32),
	  sizeof(struct hv_register_value), 0, FAST, HV_ACCESS_VP_REGISTERS,
	  call_get_vp_registers },
	{ HV_CALL_SET_VP_REGISTERS, sizeof(struct hv_vp_registers),
	  sizeof(struct hv_register_assoc), 0, 0, FAST, HV_ACCESS_VP_REGISTERS,
	  call_set_vp_registers },
	{ HV_CALL_RETARGET_DEVICE_INTERRUPT, sizeof(struct hv_retarget_device_interrupt), 0, 0, 0,
	  FAST | VARIABLE, 0, call_retarget_device_interrupt },
	{ HV_CALL_EXT_QUERY_CAPABILITIES, 0, 0, 0, sizeof(u64), FAST, HV_EXTENDED_HYPERCALLS,
	  call_ext_query_capabilities },
};

static const struct call *call_find(const struct hyperv *hv, u16 code)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		if (calls[i].code == code)
			return calls[i].flags & BY_KVM && hv->backend->id == HYPERV_KERNEL
				       ? NULL
				       : &calls[i];
	}
	return NULL;
}

/* All but the buffers, which are not touched before their size is known. */
static void decode(struct hypercall *c, u64 control, u64 input, u64 output)
{
	c->control = control;
	c->input_register = input;
	c->output_register = output;
	c->code = (u16)(control & HV_CONTROL_CODE);
	c->fast = control & HV_CONTROL_FAST;
	c->var_count = (u16)((control & HV_CONTROL_VARHEAD) >> HV_CONTROL_VARHEAD_SHIFT);
	c->rep_count = (u16)((control & HV_CONTROL_REP_COUNT) >> HV_CONTROL_REP_COUNT_SHIFT);
	c->rep_start = (u16)((control & HV_CONTROL_REP_START) >> HV_CONTROL_REP_START_SHIFT);
	c->reps_done = 0;
	c->input_size = c->output_size = c->header_size = 0;
}

/* Whether the control word is one that this call may have. An HV_STATUS. */
static u16 check_shape(const struct call *call, const struct hypercall *c)
{
	bool reps = call->element_in ? c->rep_start < c->rep_count : !c->rep_start && !c->rep_count;

	if (!reps || (c->var_count && !(call->flags & VARIABLE)) ||
	    (c->fast && !(call->flags & FAST)))
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	return HV_STATUS_SUCCESS;
}

static void set_sizes(const struct call *call, struct hypercall *c)
{
	c->header_size = call->header;
	c->input_size = call->header + c->var_count * 8u + c->rep_count * (u32)call->element_in;
	c->output_size = call->output + c->rep_count * (u32)call->element_out;
	if (call->element_in)
		c->reps_done = c->rep_start;
}

/* Runs a call whose input is in place, and writes what it gives. An HV_STATUS. */
static u16 execute(struct hyperv_vp *vp, const struct call *call, struct hypercall *c)
{
	u16 status;

	memset(c->output, 0, c->output_size);
	status = call->run(vp, c);
	if (call->element_out)
		hypercall_output_write(vp, c, c->rep_start * (u32)call->element_out,
				       c->reps_done * (u32)call->element_out);
	else if (status == HV_STATUS_SUCCESS)
		hypercall_output_write(vp, c, 0, c->output_size);
	return status;
}

static u64 run(struct hyperv_vp *vp, struct hypercall *c)
{
	const struct call *call = call_find(vp->hv, c->code);
	u16 status;

	if (call && call->privilege & ~vp->hv->offered.privileges_high)
		return HV_STATUS_ACCESS_DENIED;
	if (c->control & HV_CONTROL_RESERVED)
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	if (!call)
		return HV_STATUS_INVALID_HYPERCALL_CODE;
	status = check_shape(call, c);
	if (status != HV_STATUS_SUCCESS)
		return status;
	set_sizes(call, c);
	if (hypercall_input_undefined(vp, c))
		return HYPERCALL_UNDEFINED;
	status = hypercall_input_read(vp, c);
	if (status == HV_STATUS_SUCCESS)
		status = execute(vp, call, c);
	return status | (u64)c->reps_done << HV_RESULT_REPS_SHIFT;
}

u64 hypercall_run(struct hyperv_vp *vp, u64 control, u64 input, u64 output)
{
	struct hypercall c;
	u64 result;
	u16 status;

	decode(&c, control, input, output);
	result = run(vp, &c);
	status = (u16)result;
	/* An inbox that is full is back-pressure, not misbehaviour. */
	if (status != HV_STATUS_SUCCESS && status != HV_STATUS_INSUFFICIENT_BUFFERS)
		log_guest(&vp->hv->bad_hypercall,
			  "VP %u: hypercall 0x%llx (0x%llx) refused with status 0x%x", vp->index,
			  (unsigned long long)control, (unsigned long long)input, status);
	return result;
}

const u64 *hypercall_variable(const struct hypercall *c)
{
	return (const u64 *)(const void *)(c->input + c->header_size);
}

const void *hypercall_element(const struct hypercall *c, unsigned n, u32 size)
{
	return c->input + c->header_size + c->var_count * 8u + n * size;
}
