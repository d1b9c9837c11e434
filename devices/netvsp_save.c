/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The NIC's state as bytes: what was negotiated, the guest's buffers and which slots of them it
 * has, what waits for room. Guest memory apart, that is all there is: frames are never in flight
 * here. What the network behind the NIC holds is its back end's to keep or lose.
 */
#include <errno.h>

#include "devices/netvsp.h"

#define NETVSP_SAVED 1u /* the version of what follows */

static void buffer_save(const struct netvsp_buffer *b, struct stream_out *out)
{
	stream_put_u8(out, b->gpadl != NULL);
	stream_put_u32(out, b->gpadl ? gpadl_handle(b->gpadl) : 0);
	stream_put_u16(out, b->id);
	stream_put_u32(out, b->section_size);
}

/* Sections as long as the guest was told; only a buffer large enough was taken. */
static int buffer_restore(struct netvsp *n, struct netvsp_buffer *b, u32 section_size, u32 least,
			  struct stream_in *in)
{
	bool any = stream_get_bool(in);
	struct nvsp_send_buf m = { .gpadl_handle = stream_get_u32(in) };
	u32 size;

	m.id = stream_get_u16(in);
	size = stream_get_u32(in);
	if (in->bad || (any && n->phase != NETVSP_READY))
		return -EINVAL;
	return !any || (size == section_size && netvsp_buffer_get(n, b, &m, size, least)) ? 0
											  : -EINVAL;
}

static void adapter_save(const struct rndis_adapter *a, struct stream_out *out)
{
	const u64 counters[] = { a->tx_frames, a->tx_bytes,  a->tx_errors,   a->rx_frames,
				 a->rx_bytes,  a->rx_errors, a->rx_no_buffer };

	stream_put_u16(out, a->ndis_major);
	stream_put_u16(out, a->ndis_minor);
	stream_put_u8(out, a->initialized);
	stream_put_bytes(out, a->mac, sizeof(a->mac));
	stream_put_u32(out, a->filter);
	for (unsigned i = 0; i < ARRAY_SIZE(counters); i++)
		stream_put_u64(out, counters[i]);
}

static void adapter_restore(struct rndis_adapter *a, struct stream_in *in)
{
	u64 *const counters[] = { &a->tx_frames, &a->tx_bytes,  &a->tx_errors,   &a->rx_frames,
				  &a->rx_bytes,  &a->rx_errors, &a->rx_no_buffer };

	a->ndis_major = stream_get_u16(in);
	a->ndis_minor = stream_get_u16(in);
	a->initialized = stream_get_bool(in);
	stream_get_bytes(in, a->mac, sizeof(a->mac));
	a->filter = stream_get_u32(in);
	for (unsigned i = 0; i < ARRAY_SIZE(counters); i++)
		*counters[i] = stream_get_u64(in);
}

static void outs_save(const struct netvsp *n, struct stream_out *out)
{
	stream_put_u32(out, n->out_count);
	for (unsigned i = 0; i < n->out_count; i++) {
		const struct netvsp_out *o = &n->out[i];

		stream_put_u8(out, o->xfer);
		stream_put_u64(out, o->transaction_id);
		stream_put_u32(out, o->range.byte_count);
		stream_put_u32(out, o->size);
		stream_put_bytes(out, &o->message, o->size);
	}
}

static int out_restore(struct netvsp *n, struct stream_in *in)
{
	struct netvsp_out o = { .xfer = stream_get_bool(in) };

	o.transaction_id = stream_get_u64(in);
	o.range.byte_count = stream_get_u32(in);
	o.size = stream_get_u32(in);
	if (in->bad || o.size > sizeof(o.message))
		return -EINVAL;
	stream_get_bytes(in, &o.message, o.size);
	if (o.xfer) {
		if (o.transaction_id >= n->recv.section_count ||
		    n->rx.state[o.transaction_id] != SLOT_FIRST ||
		    o.range.byte_count > n->recv.section_size)
			return -EINVAL;
		o.range.byte_offset = (u32)o.transaction_id * n->recv.section_size;
	}
	netvsp_out_push(n, &o);
	return 0;
}

/*
 * u32 NETVSP_SAVED, u8 a version is agreed on, u8 link announced, u32 version, u32 frame_max; the
 * adapter; the receive and the send buffer: u8 there, u32 GPADL, u16 id, u32 bytes of a section;
 * the slots (netvsp_rx_save(), where there is a receive buffer); packets that wait for room: u32
 * count, each: u8 control message, u64 transaction id, u32 bytes in the slot, u32 bytes of NVSP
 * message.
 */
void netvsp_state_save(struct vmbus_channel *ch, struct stream_out *out)
{
	const struct netvsp *n = channel_data(ch);

	stream_put_u32(out, NETVSP_SAVED);
	stream_put_u8(out, n->phase == NETVSP_READY);
	stream_put_u8(out, n->announced);
	stream_put_u32(out, n->version);
	stream_put_u32(out, n->frame_max);
	adapter_save(&n->adapter, out);
	buffer_save(&n->recv, out);
	buffer_save(&n->send, out);
	if (n->recv.gpadl)
		netvsp_rx_save(n, out);
	outs_save(n, out);
}

static int phase_restore(struct netvsp *n, struct stream_in *in)
{
	bool ready = stream_get_bool(in);

	n->announced = stream_get_bool(in);
	n->version = stream_get_u32(in);
	n->frame_max = stream_get_u32(in);
	if (ready ? !netvsp_version_known(n->version) : n->version != 0)
		return -EINVAL;
	n->phase = ready ? NETVSP_READY : NETVSP_OPEN;
	return n->frame_max >= NETVSP_FRAME_DEFAULT &&
			       n->frame_max <= RNDIS_FRAME_MAX - RNDIS_VLAN_HEADER
		       ? 0
		       : -EINVAL;
}

int netvsp_state_restore(struct netvsp *n, struct stream_in *in)
{
	u32 count;
	int err;

	if (stream_get_u32(in) != NETVSP_SAVED || phase_restore(n, in))
		return -EINVAL;
	adapter_restore(&n->adapter, in);
	err = buffer_restore(n, &n->recv, netvsp_recv_section_size(n), 4, in);
	if (!err && n->recv.gpadl) {
		n->recv.section_count = MIN(n->recv.section_count, NETVSP_SLOTS_MAX);
		netvsp_rx_init(n);
	}
	if (!err)
		err = buffer_restore(n, &n->send, NETVSP_SEND_SECTION, 1, in);
	if (!err && n->recv.gpadl)
		err = netvsp_rx_restore(n, in);
	count = stream_get_u32(in);
	if (count > NETVSP_OUT_MAX)
		return -EINVAL;
	for (; !err && count; count--)
		err = out_restore(n, in);
	return err;
}
