/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The synthetic NIC: negotiates NVSP, takes the guest's buffers, and hands RNDIS packets on. The
 * protocol has no public specification; the guest's side is Linux drivers/net/hyperv/netvsc.c.
 *
 * One channel; sub-channels are answered with none, virtual functions and PacketDirect are not
 * offered. Owned by the channel's loop.
 */
#include "devices/netvsp.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MDL_CHAIN_MAX 34u
#define LINK_SPEED 10000000000ull

/* ---- Packets to the guest -------------------------------------------------------------------- */

/* Sends what waits. Whether nothing waits any more. */
static bool out_flush(struct netvsp *n)
{
	unsigned sent = 0;

	for (; sent < n->out_count; sent++) {
		const struct netvsp_out *o = &n->out[sent];
		int err =
			o->xfer ? channel_send_xfer(n->ch, n->recv.id, o->transaction_id, &o->range,
						    1, &o->message, o->size)
				: channel_complete(n->ch, o->transaction_id, &o->message, o->size);

		if (err)
			break;
	}
	n->out_count -= sent;
	memmove(n->out, n->out + sent, n->out_count * sizeof(n->out[0]));
	return !n->out_count;
}

void netvsp_out_push(struct netvsp *n, const struct netvsp_out *out)
{
	assert(n->out_count < NETVSP_OUT_MAX);
	n->out[n->out_count++] = *out;
}

/* Completes pkt, where the guest wants that, with the first size bytes of *m. */
static void complete(struct netvsp *n, const struct vmbus_packet *pkt, const struct nvsp_message *m,
		     u32 size)
{
	struct netvsp_out out = { .transaction_id = pkt->transaction_id, .size = size };

	if (!pkt->completion_wanted)
		return;
	if (size)
		memcpy(&out.message, m, size);
	netvsp_out_push(n, &out);
}

/* ---- Buffers --------------------------------------------------------------------------------- */

static void buffer_put(struct netvsp *n, struct netvsp_buffer *b)
{
	if (b->gpadl)
		channel_gpadl_put(n->ch, b->gpadl);
	*b = (struct netvsp_buffer){ 0 };
}

bool netvsp_buffer_get(struct netvsp *n, struct netvsp_buffer *b, const struct nvsp_send_buf *m,
		       u32 section_size, u32 least)
{
	if (b->gpadl)
		return false;
	b->gpadl = channel_gpadl_get(n->ch, m->gpadl_handle);
	if (!b->gpadl)
		return false;
	b->id = m->id;
	b->section_size = section_size;
	b->section_count = gpadl_size(b->gpadl) / section_size;
	if (b->section_count >= least)
		return true;
	buffer_put(n, b);
	return false;
}

u32 netvsp_recv_section_size(const struct netvsp *n)
{
	u32 need = RNDIS_RX_HEADER + n->frame_max + RNDIS_VLAN_HEADER;

	return MAX(ALIGN_UP(need, 64u), NETVSP_RECV_SECTION);
}

/* ---- Messages -------------------------------------------------------------------------------- */

static const u32 versions[] = { NVSP_VERSION_61, NVSP_VERSION_6, NVSP_VERSION_5,
				NVSP_VERSION_4,  NVSP_VERSION_2, NVSP_VERSION_1 };

bool netvsp_version_known(u32 version)
{
	for (unsigned i = 0; i < ARRAY_SIZE(versions); i++)
		if (versions[i] == version)
			return true;
	return false;
}

static void on_init(struct netvsp *n, const struct vmbus_packet *pkt, const struct nvsp_message *m)
{
	struct nvsp_message r = {
		.type = NVSP_INIT_COMPLETE,
		.init_complete = { .max_mdl_chain_len = MDL_CHAIN_MAX,
				   .status = m->init.min_version > NVSP_VERSION_61
						     ? NVSP_STATUS_TOO_NEW
						     : NVSP_STATUS_PROTOCOL_UNSUPPORTED },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(versions); i++) {
		if (versions[i] < m->init.min_version || versions[i] > m->init.max_version)
			continue;
		n->version = versions[i];
		n->phase = NETVSP_READY;
		r.init_complete.version = n->version;
		r.init_complete.status = NVSP_STATUS_SUCCESS;
		break;
	}
	complete(n, pkt, &r, sizeof(r));
}

static void on_ndis_version(struct netvsp *n, const struct vmbus_packet *pkt,
			    const struct nvsp_message *m)
{
	n->adapter.ndis_major = (u16)m->ndis_version.major;
	n->adapter.ndis_minor = (u16)m->ndis_version.minor;
	complete(n, pkt, NULL, 0);
}

/* The MTU decides the receive slots' length: it counts only before that buffer comes. */
static void on_ndis_config(struct netvsp *n, const struct vmbus_packet *pkt,
			   const struct nvsp_message *m)
{
	u32 mtu = m->ndis_config.mtu;

	if (!n->recv.gpadl && mtu >= NETVSP_FRAME_DEFAULT &&
	    mtu <= RNDIS_FRAME_MAX - RNDIS_VLAN_HEADER)
		n->frame_max = mtu;
	complete(n, pkt, NULL, 0);
}

static void on_recv_buf(struct netvsp *n, const struct vmbus_packet *pkt,
			const struct nvsp_message *m)
{
	struct nvsp_message r = { .type = NVSP_SEND_RECV_BUF_COMPLETE,
				  .recv_buf_complete = { .status = NVSP_STATUS_FAIL } };
	struct netvsp_buffer *b = &n->recv;

	if (netvsp_buffer_get(n, b, &m->send_buf, netvsp_recv_section_size(n), 4)) {
		b->section_count = MIN(b->section_count, NETVSP_SLOTS_MAX);
		netvsp_rx_init(n);
		r.recv_buf_complete.status = NVSP_STATUS_SUCCESS;
		r.recv_buf_complete.num_sections = 1;
		r.recv_buf_complete.section = (struct nvsp_recv_section){
			.sub_alloc_size = b->section_size,
			.num_sub_allocs = b->section_count,
			.end_offset = b->section_size * b->section_count,
		};
	}
	complete(n, pkt, &r, sizeof(r));
}

static void on_revoke_recv_buf(struct netvsp *n, const struct vmbus_packet *pkt,
			       const struct nvsp_message *m)
{
	if (m->revoke_buf.id == n->recv.id) {
		netvsp_rx_reset(n);
		buffer_put(n, &n->recv);
	}
	complete(n, pkt, NULL, 0);
}

static void on_send_buf(struct netvsp *n, const struct vmbus_packet *pkt,
			const struct nvsp_message *m)
{
	struct nvsp_message r = { .type = NVSP_SEND_SEND_BUF_COMPLETE,
				  .send_buf_complete = { .status = NVSP_STATUS_FAIL } };

	if (netvsp_buffer_get(n, &n->send, &m->send_buf, NETVSP_SEND_SECTION, 1)) {
		r.send_buf_complete.status = NVSP_STATUS_SUCCESS;
		r.send_buf_complete.section_size = NETVSP_SEND_SECTION;
	}
	complete(n, pkt, &r, sizeof(r));
}

static void on_revoke_send_buf(struct netvsp *n, const struct vmbus_packet *pkt,
			       const struct nvsp_message *m)
{
	if (m->revoke_buf.id == n->send.id)
		buffer_put(n, &n->send);
	complete(n, pkt, NULL, 0);
}

static void on_rndis_pkt(struct netvsp *n, const struct vmbus_packet *pkt,
			 const struct nvsp_message *m)
{
	struct nvsp_message r = { .type = NVSP_SEND_RNDIS_PKT_COMPLETE };

	r.rndis_pkt_complete.status = netvsp_transmit(n, pkt, &m->rndis_pkt);
	complete(n, pkt, &r, offsetof(struct nvsp_message, bytes) + sizeof(r.rndis_pkt_complete));
	netvsp_answer(n);
}

/* There is no virtual function to switch to. Linux wants the completion without payload. */
static void on_data_path(struct netvsp *n, const struct vmbus_packet *pkt,
			 const struct nvsp_message *m)
{
	(void)m;
	complete(n, pkt, NULL, 0);
}

static void on_oid_query_ex(struct netvsp *n, const struct vmbus_packet *pkt,
			    const struct nvsp_message *m)
{
	struct nvsp_message r = { .type = NVSP_OID_QUERY_EX_COMPLETE,
				  .oid_query_complete = { .status = RNDIS_STATUS_NOT_SUPPORTED } };

	(void)m;
	complete(n, pkt, &r, sizeof(r));
}

static void on_subchannel(struct netvsp *n, const struct vmbus_packet *pkt,
			  const struct nvsp_message *m)
{
	struct nvsp_message r = { .type = NVSP_SUBCHANNEL };

	r.subchannel_complete.status = m->subchannel.op == NVSP_SUBCHANNEL_ALLOCATE
					       ? NVSP_STATUS_SUCCESS
					       : NVSP_STATUS_FAIL;
	complete(n, pkt, &r, sizeof(r));
}

/* By type; size: the least a message has after its type; version: the least it belongs to. */
static const struct {
	u32 type;
	u32 size;
	u32 version;
	unsigned phases; /* of enum netvsp_phase */
	void (*run)(struct netvsp *n, const struct vmbus_packet *pkt, const struct nvsp_message *m);
} messages[] = {
	{ NVSP_SEND_RNDIS_PKT, sizeof(struct nvsp_rndis_pkt), NVSP_VERSION_1, NETVSP_READY,
	  on_rndis_pkt },
	{ NVSP_INIT, sizeof(struct nvsp_init), 0, NETVSP_OPEN, on_init },
	{ NVSP_SEND_NDIS_VER, sizeof(struct nvsp_ndis_version), NVSP_VERSION_1, NETVSP_READY,
	  on_ndis_version },
	{ NVSP_SEND_RECV_BUF, offsetof(struct nvsp_send_buf, reserved), NVSP_VERSION_1,
	  NETVSP_READY, on_recv_buf },
	{ NVSP_REVOKE_RECV_BUF, offsetof(struct nvsp_revoke_buf, reserved), NVSP_VERSION_1,
	  NETVSP_READY, on_revoke_recv_buf },
	{ NVSP_SEND_SEND_BUF, offsetof(struct nvsp_send_buf, reserved), NVSP_VERSION_1,
	  NETVSP_READY, on_send_buf },
	{ NVSP_REVOKE_SEND_BUF, offsetof(struct nvsp_revoke_buf, reserved), NVSP_VERSION_1,
	  NETVSP_READY, on_revoke_send_buf },
	{ NVSP_SEND_NDIS_CONFIG, sizeof(struct nvsp_ndis_config), NVSP_VERSION_2, NETVSP_READY,
	  on_ndis_config },
	{ NVSP_SWITCH_DATA_PATH, sizeof(struct nvsp_data_path), NVSP_VERSION_4, NETVSP_READY,
	  on_data_path },
	{ NVSP_OID_QUERY_EX, 0, NVSP_VERSION_5, NETVSP_READY, on_oid_query_ex },
	{ NVSP_SUBCHANNEL, sizeof(struct nvsp_subchannel), NVSP_VERSION_5, NETVSP_READY,
	  on_subchannel },
};

static void handle_message(struct netvsp *n, const struct vmbus_packet *pkt)
{
	struct nvsp_message m = { 0 };
	u32 size = MIN(pkt->payload_size, (u32)sizeof(m));

	memcpy(&m, pkt->payload, size);
	for (unsigned i = 0; i < ARRAY_SIZE(messages); i++) {
		if (messages[i].type != m.type)
			continue;
		if (size < offsetof(struct nvsp_message, bytes) + messages[i].size ||
		    !(messages[i].phases & n->phase) || n->version < messages[i].version)
			break;
		messages[i].run(n, pkt, &m);
		return;
	}
	log_guest(&n->bad_messages, "netvsp: NVSP message %u of %u bytes is unknown or out of turn",
		  m.type, pkt->payload_size);
	complete(n, pkt, NULL, 0);
}

static void handle_packet(struct netvsp *n, const struct vmbus_packet *pkt)
{
	switch (pkt->type) {
	case VMBUS_PACKET_COMPLETION:
		netvsp_rx_complete(n, pkt->transaction_id);
		break;
	case VMBUS_PACKET_INBAND:
	case VMBUS_PACKET_GPA_DIRECT:
		handle_message(n, pkt);
		break;
	default:
		log_guest(&n->bad_packets, "netvsp: packet type %u", pkt->type);
	}
}

/* ---- The device ------------------------------------------------------------------------------ */

/*
 * A packet causes at most its completion, the answer to a control message and an indication;
 * receiving stops until they are sent, so what waits is bounded.
 */
static void receive_packets(struct netvsp *n)
{
	struct vmbus_packet pkt;
	int got;

	while (out_flush(n) && (got = channel_recv(n->ch, n->packet, &pkt)) != 0)
		if (got > 0)
			handle_packet(n, &pkt);
}

static void netvsp_ready(struct vmbus_channel *ch)
{
	struct netvsp *n = channel_data(ch);

	if (n->closing)
		return;
	netvsp_rx_flush(n);
	receive_packets(n);
	netvsp_rx_update(n);
}

static int netvsp_open(struct vmbus_channel *ch)
{
	struct netvsp *n = channel_device(ch)->data;
	int err;

	if (n->ch || channel_sub_index(ch))
		return -EBUSY;
	err = n->nic->ops->start(n->nic, channel_loop(ch));
	if (err)
		return err;
	n->nic->ops->receive_enable(n->nic, false);
	channel_set_data(ch, n);
	n->ch = ch;
	n->phase = NETVSP_OPEN;
	n->version = 0;
	n->frame_max = NETVSP_FRAME_DEFAULT;
	n->announced = false;
	n->flushed = NULL;
	n->out_count = 0;
	n->rx.enabled = false;
	netvsp_rx_reset(n);
	rndis_adapter_reset(&n->adapter);
	return 0;
}

static void netvsp_close(struct vmbus_channel *ch)
{
	struct netvsp *n = channel_data(ch);

	n->nic->ops->stop(n->nic);
	n->phase = NETVSP_CLOSED;
	n->flushed = NULL;
	n->out_count = 0;
	netvsp_rx_reset(n);
	buffer_put(n, &n->recv);
	buffer_put(n, &n->send);
	/*
	 * The loop still knows the flush: the channel may move to another loop only after it ran.
	 */
	if (n->rx.flush.queued) {
		n->closing = true;
		return;
	}
	n->ch = NULL;
	channel_closed(ch);
}

/* ---- Moving, saving and restoring ------------------------------------------------------------ */

/* Receives no more; frames that came in are sent, or kept where there is no room, and then ... */
static void flush_then(struct netvsp *n, void (*flushed)(struct vmbus_channel *ch))
{
	n->rx.enabled = false;
	if (n->rx.flush.queued)
		n->flushed = flushed;
	else
		flushed(n->ch);
}

static void netvsp_detach(struct vmbus_channel *ch)
{
	struct netvsp *n = channel_data(ch);

	n->nic->ops->stop(n->nic);
	flush_then(n, channel_detached);
}

/* ready() follows, and lets the NIC in. */
static void netvsp_attach(struct vmbus_channel *ch)
{
	struct netvsp *n = channel_data(ch);
	int err = n->nic->ops->start(n->nic, channel_loop(ch));

	if (err)
		log_error("net: the guest's network is cut off: it cannot move to another I/O "
			  "thread: %s",
			  strerror(-err));
	else
		n->nic->ops->receive_enable(n->nic, false);
}

static void netvsp_freeze(struct vmbus_channel *ch)
{
	struct netvsp *n = channel_data(ch);

	n->nic->ops->receive_enable(n->nic, false);
	flush_then(n, channel_frozen);
}

/* ready() follows here, too. */
static void netvsp_thaw(struct vmbus_channel *ch)
{
	struct netvsp *n = channel_data(ch);

	n->flushed = NULL;
}

static int netvsp_restore(struct vmbus_channel *ch, struct stream_in *in)
{
	struct netvsp *n = channel_device(ch)->data;
	int err = netvsp_open(ch);

	if (err)
		return err;
	err = netvsp_state_restore(n, in);
	if (err)
		netvsp_close(ch);
	return err;
}

static const struct vmbus_device_ops netvsp_ops = {
	.name = "netvsp",
	/* f8615163-df3e-46c5-913f-f2d2f965ed0e */
	.type = { { 0x63, 0x51, 0x61, 0xf8, 0x3e, 0xdf, 0xc5, 0x46, 0x91, 0x3f, 0xf2, 0xd2, 0xf9,
		    0x65, 0xed, 0x0e } },
	.packet_max = NETVSP_PACKET_MAX,
	.open = netvsp_open,
	.ready = netvsp_ready,
	.close = netvsp_close,
	.detach = netvsp_detach,
	.attach = netvsp_attach,
	.freeze = netvsp_freeze,
	.thaw = netvsp_thaw,
	.save = netvsp_state_save,
	.restore = netvsp_restore,
};

int netvsp_init(struct netvsp **n, unsigned number, struct nic *nic)
{
	static const u8 none[6];
	struct netvsp *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	if (!memcmp(nic->mac, none, sizeof(none)))
		nic_default_mac(nic->mac, number);
	nic->receive = netvsp_rx_frame;
	nic->data = v;
	v->nic = nic;
	v->phase = NETVSP_CLOSED;
	v->adapter.mtu = nic->mtu;
	v->adapter.link_speed = LINK_SPEED;
	memcpy(v->adapter.permanent_mac, nic->mac, sizeof(nic->mac));
	v->device.ops = &netvsp_ops;
	v->device.instance = GUID(0xca9de1a0, 0x6e65, 0x4774, 0x80, 0x76, 0x73, 0x70, 0x00, 0x00,
				  (u8)(number >> 8), (u8)number);
	v->device.data = v;
	*n = v;
	return 0;
}

struct vmbus_device *netvsp_device(struct netvsp *n)
{
	return &n->device;
}

void netvsp_fini(struct netvsp *n)
{
	if (!n)
		return;
	n->nic->ops->close(n->nic);
	free(n);
}
