/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each hypercall does, given its input in a private copy of the size its row in hypercall.c
 * says. Where the TLFS leaves a status open, it is the one KVM gives: both back ends answer alike.
 */
#include "hyperv/apic.h"
#include "hyperv/hypercall.h"
#include "hyperv/internal.h"

u16 call_notify_long_spin_wait(struct hyperv_vp *vp, struct hypercall *c)
{
	(void)vp, (void)c;
	return HV_STATUS_SUCCESS;
}

/* ---- Messages and events --------------------------------------------------------------------- */

u16 call_post_message(struct hyperv_vp *vp, struct hypercall *c)
{
	const struct hv_post_message *m = (const void *)c->input;

	if (!m->message_type || m->message_type & HV_MESSAGE_TYPE_HYPERVISOR ||
	    m->payload_size > sizeof(m->payload))
		return HV_STATUS_INVALID_PARAMETER;
	return ports_post(vp->hv, m->connection_id, m->message_type, m->payload, m->payload_size);
}

u16 call_signal_event(struct hyperv_vp *vp, struct hypercall *c)
{
	const struct hv_signal_event *s = (const void *)c->input;

	if (s->reserved || s->connection_id & ~HV_CONNECTION_ID_MASK)
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	return ports_signal(vp->hv, s->connection_id, s->flag_number);
}

/* ---- TLB flushes ----------------------------------------------------------------------------- */

/*
 * Whatever address space, pages or kinds of entries are named, all of a TLB goes: that is allowed,
 * and no finer tool is at hand.
 */
static u16 flush(struct hyperv_vp *vp, struct hypercall *c, const struct vp_set *set)
{
	tlb_flush(vp, set);
	c->reps_done = c->rep_count;
	return HV_STATUS_SUCCESS;
}

u16 call_flush(struct hyperv_vp *vp, struct hypercall *c)
{
	const struct hv_flush *f = (const void *)c->input;
	/* Windows Server 2012 names no VP where it means all. */
	bool all = f->flags & HV_FLUSH_ALL_PROCESSORS || !f->processor_mask;
	struct vp_set set = all ? vp_set_all(vp->hv) : vp_set_of_mask(vp->hv, f->processor_mask);

	return flush(vp, c, &set);
}

u16 call_flush_ex(struct hyperv_vp *vp, struct hypercall *c)
{
	const struct hv_flush_ex *f = (const void *)c->input;
	struct vp_set set;
	u16 status = vp_set_of_sparse(vp->hv, &f->set, hypercall_variable(c), c->var_count, &set);

	return status == HV_STATUS_SUCCESS ? flush(vp, c, &set) : status;
}

/* ---- IPIs ------------------------------------------------------------------------------------ */

static u16 send_ipi(struct hyperv_vp *vp, u32 vector, const struct vp_set *set)
{
	if (vector < HV_IPI_VECTOR_MIN || vector > HV_IPI_VECTOR_MAX)
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	for (unsigned i = 0; i < vp->hv->vp_count; i++) {
		if (vp_set_has(set, i))
			apic_raise(&vp->hv->vp[i], (u8)vector);
	}
	return HV_STATUS_SUCCESS;
}

u16 call_send_ipi(struct hyperv_vp *vp, struct hypercall *c)
{
	const struct hv_send_ipi *s = (const void *)c->input;
	struct vp_set set = vp_set_of_mask(vp->hv, s->processor_mask);

	if (s->reserved)
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	return send_ipi(vp, s->vector, &set);
}

u16 call_send_ipi_ex(struct hyperv_vp *vp, struct hypercall *c)
{
	const struct hv_send_ipi_ex *s = (const void *)c->input;
	struct vp_set set;
	u16 status = vp_set_of_sparse(vp->hv, &s->set, hypercall_variable(c), c->var_count, &set);

	if (s->reserved)
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	return status == HV_STATUS_SUCCESS ? send_ipi(vp, s->vector, &set) : status;
}

/* ---- VP registers ---------------------------------------------------------------------------- */

/* Whose registers: only the caller's own, in its only trust level. An HV_STATUS. */
static u16 check_registers(const struct hyperv_vp *vp, const struct hypercall *c)
{
	const struct hv_vp_registers *r = (const void *)c->input;

	if (r->partition_id != HV_PARTITION_ID_SELF)
		return HV_STATUS_INVALID_PARTITION_ID;
	if (r->reserved[0] || r->reserved[1] || r->reserved[2])
		return HV_STATUS_INVALID_PARAMETER;
	if (r->target_vtl && r->target_vtl != HV_INPUT_VTL_USE)
		return HV_STATUS_ACCESS_DENIED;
	if (r->vp_index == HV_VP_INDEX_SELF || r->vp_index == vp->index)
		return HV_STATUS_SUCCESS;
	/* That of a VP that runs is not to be had. */
	return r->vp_index < vp->hv->vp_count ? HV_STATUS_INVALID_VP_STATE
					      : HV_STATUS_INVALID_VP_INDEX;
}

u16 call_get_vp_registers(struct hyperv_vp *vp, struct hypercall *c)
{
	struct hv_register_value *values = (void *)c->output;
	u16 status = check_registers(vp, c);

	while (status == HV_STATUS_SUCCESS && c->reps_done < c->rep_count) {
		const u32 *name = hypercall_element(c, c->reps_done, sizeof(*name));

		status = vp_register_get(vp, *name, &values[c->reps_done]);
		if (status == HV_STATUS_SUCCESS)
			c->reps_done++;
	}
	return status;
}

u16 call_set_vp_registers(struct hyperv_vp *vp, struct hypercall *c)
{
	u16 status = check_registers(vp, c);

	while (status == HV_STATUS_SUCCESS && c->reps_done < c->rep_count) {
		const struct hv_register_assoc *a = hypercall_element(c, c->reps_done, sizeof(*a));

		status = vp_register_set(vp, a->name, &a->value);
		if (status == HV_STATUS_SUCCESS)
			c->reps_done++;
	}
	return status;
}

/* ---- Virtual PCI ----------------------------------------------------------------------------- */

void hyperv_on_retarget(struct hyperv *hv, hyperv_retarget_fn retarget, void *ctx)
{
	hv->retarget = retarget;
	hv->retarget_ctx = ctx;
}

/* Whom the interrupt is to reach: a mask in the header, or a set that goes on behind it. */
static u16 retarget_set(const struct hyperv *hv, const struct hypercall *c, struct vp_set *set)
{
	const struct hv_retarget_device_interrupt *r = (const void *)c->input;
	const u64 *variable = hypercall_variable(c);

	if (!(r->target_flags & HV_TARGET_VP_SET)) {
		*set = vp_set_of_mask(hv, r->mask_or_format);
		return c->var_count ? HV_STATUS_INVALID_HYPERCALL_INPUT : HV_STATUS_SUCCESS;
	}
	if (!c->var_count)
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	return vp_set_of_sparse(
		hv, &(struct hv_vp_set){ .format = r->mask_or_format, .valid_banks = variable[0] },
		variable + 1, c->var_count - 1u, set);
}

u16 call_retarget_device_interrupt(struct hyperv_vp *vp, struct hypercall *c)
{
	const struct hv_retarget_device_interrupt *r = (const void *)c->input;
	const struct hyperv *hv = vp->hv;
	struct hyperv_retarget to = { .device_id = r->device_id,
				      .msi_address = r->msi_address,
				      .msi_data = r->msi_data,
				      .vector = (u8)r->vector,
				      .multicast = r->target_flags & HV_TARGET_MULTICAST };
	u16 status = retarget_set(hv, c, &to.targets);

	if (status != HV_STATUS_SUCCESS)
		return status;
	if (r->partition_id != HV_PARTITION_ID_SELF)
		return HV_STATUS_INVALID_PARTITION_ID;
	if (r->source != HV_INTERRUPT_SOURCE_MSI ||
	    r->target_flags & ~(HV_TARGET_MULTICAST | HV_TARGET_VP_SET) ||
	    r->vector < HV_IPI_VECTOR_MIN || r->vector > HV_IPI_VECTOR_MAX)
		return HV_STATUS_INVALID_PARAMETER;
	return hv->retarget ? hv->retarget(hv->retarget_ctx, &to) : HV_STATUS_INVALID_DEVICE_ID;
}

/* ---- Extended calls -------------------------------------------------------------------------- */

/* Eight bytes with a bit a call beyond this one: there are none. */
u16 call_ext_query_capabilities(struct hyperv_vp *vp, struct hypercall *c)
{
	(void)vp, (void)c;
	return HV_STATUS_SUCCESS;
}
