/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netvsp and RNDIS, through a real open channel: NVSP messages in any order, packet and control
 * messages in send sections and in pages, frames that come in while buffers come and go, and a
 * guest that gives receive slots back twice or never.
 */
#include "devices/netvsp.h"
#include "tests/fuzz/guest.h"

#include <errno.h>

#define FRAME_MAX 2048u
#define RECV_GPADL_PAGES 16u
#define SEND_GPADL_PAGES 4u
#define OWED 64u

struct bed {
	struct guest *guest;
	struct fg_channel *ch;
	struct nic nic;
	struct loop *loop; /* NULL: stopped */
	bool enabled;
	int send_error;
	u64 frames, bytes; /* the guest sent */
	struct netvsp *netvsp;
	gpa_t scratch, recv, send;
	u32 recv_gpadl, send_gpadl;
	u64 next_id;
	u64 owed[OWED]; /* transfer-page packets not completed yet */
	unsigned owed_count;
};

/* ---- The NIC --------------------------------------------------------------------------------- */

static struct bed *bed_of(struct nic *nic)
{
	return container_of(nic, struct bed, nic);
}

static int nic_start(struct nic *nic, struct loop *loop)
{
	FUZZ_CHECK(!bed_of(nic)->loop);
	bed_of(nic)->loop = loop;
	bed_of(nic)->enabled = true;
	return 0;
}

static void nic_stop(struct nic *nic)
{
	bed_of(nic)->loop = NULL;
}

static int nic_send(struct nic *nic, const struct iovec *iov, unsigned count)
{
	struct bed *b = bed_of(nic);
	const struct gmem_region *ram = &b->guest->g.mem.region[0];
	u64 len = 0;

	FUZZ_CHECK(b->loop && count);
	for (unsigned i = 0; i < count; i++) {
		const u8 *at = iov[i].iov_base;

		len += iov[i].iov_len;
		if (i)
			FUZZ_CHECK(at >= ram->host && at + iov[i].iov_len <= ram->host + ram->size);
	}
	FUZZ_CHECK(len >= RNDIS_ETHERNET_HEADER && len <= NIC_FRAME_MAX);
	b->frames++;
	b->bytes += len;
	return b->send_error;
}

static void nic_receive_enable(struct nic *nic, bool on)
{
	bed_of(nic)->enabled = on;
}

static void nic_close(struct nic *nic)
{
	FUZZ_CHECK(!bed_of(nic)->loop);
}

static const struct nic_ops nic_ops = { .start = nic_start,
					.stop = nic_stop,
					.send = nic_send,
					.receive_enable = nic_receive_enable,
					.close = nic_close };

/* Frames come in, as long as they are wanted. */
static void op_arrive(struct bed *b, struct fuzz_input *in)
{
	u8 frame[FRAME_MAX];
	u32 len = fuzz_u16(in) % FRAME_MAX, n = fuzz_u8(in);

	memset(frame, fuzz_u8(in) & 1 ? 0xff : 2, sizeof(frame));
	while (n-- && b->loop && b->enabled)
		b->nic.receive(&b->nic, frame, len);
}

/* ---- The guest ------------------------------------------------------------------------------- */

static void take(struct bed *b)
{
	struct fg_packet pkt;

	while (guest_take(b->guest, b->ch, &pkt)) {
		if (pkt.type != VMBUS_PACKET_TRANSFER_PAGES)
			continue;
		for (u32 i = 0; i < pkt.range_count && !b->guest->tampered; i++)
			FUZZ_CHECK(pkt.range[i].byte_offset + (u64)pkt.range[i].byte_count <=
				   RECV_GPADL_PAGES * GUEST_PAGE_SIZE);
		if (b->owed_count < OWED)
			b->owed[b->owed_count++] = pkt.transaction_id;
	}
}

static void op_give_back(struct bed *b, struct fuzz_input *in)
{
	u32 answer[2] = { NVSP_SEND_RNDIS_PKT_COMPLETE, NVSP_STATUS_SUCCESS };
	bool twice = fuzz_rarely(in, 8);
	u64 id;

	if (!guest_has_rings(b->ch))
		return;
	take(b);
	for (u32 n = fuzz_u8(in); n && b->owed_count; n--) {
		id = b->owed[--b->owed_count];
		fg_complete(b->ch, id, answer, sizeof(answer));
		if (twice)
			fg_complete(b->ch, id + fuzz_below(in, 2), answer, sizeof(answer));
	}
	if (fuzz_rarely(in, 16))
		fg_complete(b->ch, fuzz_value(in), answer, fuzz_below(in, 9));
}

static void message_send(struct bed *b, const struct nvsp_message *m, bool answer)
{
	if (guest_has_rings(b->ch))
		fg_send(b->ch, b->next_id++, m, sizeof(*m), answer);
	fg_pump(&b->guest->g);
}

static void op_negotiate(struct bed *b, struct fuzz_input *in)
{
	static const u32 versions[] = { NVSP_VERSION_61, NVSP_VERSION_1, NVSP_VERSION_2,
					NVSP_VERSION_4,  NVSP_VERSION_5, NVSP_VERSION_6 };
	struct nvsp_message m = { .type = NVSP_INIT };

	m.init.min_version = m.init.max_version = versions[fuzz_below(in, ARRAY_SIZE(versions))];
	message_send(b, &m, true);
	m = (struct nvsp_message){ .type = NVSP_SEND_NDIS_CONFIG };
	m.ndis_config.mtu = fuzz_rarely(in, 4) ? (u32)fuzz_value(in) : 1514;
	message_send(b, &m, false);
	m = (struct nvsp_message){ .type = NVSP_SEND_NDIS_VER, .ndis_version = { 6, 30 } };
	message_send(b, &m, false);
}

static void op_buffers(struct bed *b, struct fuzz_input *in)
{
	struct fakeguest *g = &b->guest->g;
	struct nvsp_message m = { .type = NVSP_SEND_RECV_BUF };

	if (!b->recv_gpadl)
		fg_gpadl_create(g, b->ch->relid, b->recv + (fuzz_u8(in) & 1),
				RECV_GPADL_PAGES * GUEST_PAGE_SIZE - 64, &b->recv_gpadl);
	if (!b->send_gpadl)
		fg_gpadl_create(g, b->ch->relid, b->send, SEND_GPADL_PAGES * GUEST_PAGE_SIZE,
				&b->send_gpadl);
	m.send_buf.gpadl_handle = b->recv_gpadl;
	m.send_buf.id = 0xcafe;
	message_send(b, &m, true);
	m = (struct nvsp_message){ .type = NVSP_SEND_SEND_BUF };
	m.send_buf.gpadl_handle = b->send_gpadl;
	message_send(b, &m, true);
}

static void op_teardown(struct bed *b, struct fuzz_input *in)
{
	struct nvsp_message m = { .type = fuzz_below(in, 2) ? NVSP_REVOKE_RECV_BUF
							    : NVSP_REVOKE_SEND_BUF };
	u32 *gpadl = m.type == NVSP_REVOKE_RECV_BUF ? &b->recv_gpadl : &b->send_gpadl;

	m.revoke_buf.id = fuzz_rarely(in, 4) ? fuzz_u8(in) : 0xcafe;
	if (!fuzz_rarely(in, 4))
		message_send(b, &m, false);
	if (fuzz_below(in, 2) && *gpadl) {
		fg_gpadl_teardown(&b->guest->g, b->ch->relid, *gpadl);
		*gpadl = 0;
	}
}

static void op_message(struct bed *b, struct fuzz_input *in)
{
	static const u8 types[] = { 1,   2,   100, 101, 103, 104, 106, 107,
				    108, 125, 128, 129, 131, 133, 134 };
	struct nvsp_message m = { .type = types[fuzz_below(in, ARRAY_SIZE(types))] };
	u32 word[9] = { 0 };

	for (u32 i = 0, n = fuzz_below(in, 10); i < n; i++)
		word[i] = (u32)fuzz_value(in);
	memcpy(m.bytes, word, sizeof(word));
	if (guest_has_rings(b->ch))
		fg_send(b->ch, b->next_id++, &m, fuzz_rarely(in, 8) ? fuzz_below(in, 41) : 40,
			fuzz_u8(in) & 1);
}

/* One packet message with its info records; bytes written. */
static u32 put_packet(u8 *at, struct fuzz_input *in)
{
	struct {
		struct rndis_header h;
		struct rndis_packet p;
		struct rndis_packet_info info;
		u32 value;
	} m = { .h.type = RNDIS_PACKET };
	u32 len = fuzz_below(in, 128);
	bool info = fuzz_below(in, 2);

	m.p.data_offset = sizeof(m.p) + (info ? 16 : 0);
	m.p.data_len = len;
	if (info) {
		m.p.info_offset = sizeof(m.p);
		m.p.info_len = 16;
		m.info.size = fuzz_rarely(in, 4) ? (u32)fuzz_value(in) : 16;
		m.info.type = fuzz_below(in, 8);
		m.info.value_offset = fuzz_rarely(in, 4) ? (u32)fuzz_value(in) : 12;
		m.value = fuzz_u16(in);
	}
	m.h.len = (u32)sizeof(m.h) + m.p.data_offset + len;
	m.h.len = fuzz_rarely(in, 4) ? ALIGN_UP(m.h.len, 8) : m.h.len;
	if (fuzz_rarely(in, 8))
		((u32 *)&m)[fuzz_below(in, 15)] = (u32)fuzz_value(in);
	memcpy(at, &m, sizeof(m));
	return (u32)sizeof(m.h) + (info ? 52 : 36) + len;
}

static const u32 oids[] = {
	OID_GEN_SUPPORTED_LIST,
	OID_GEN_HARDWARE_STATUS,
	OID_GEN_MEDIA_SUPPORTED,
	OID_GEN_MEDIA_IN_USE,
	OID_GEN_MAXIMUM_LOOKAHEAD,
	OID_GEN_MAXIMUM_FRAME_SIZE,
	OID_GEN_LINK_SPEED,
	OID_GEN_TRANSMIT_BUFFER_SPACE,
	OID_GEN_RECEIVE_BUFFER_SPACE,
	OID_GEN_TRANSMIT_BLOCK_SIZE,
	OID_GEN_RECEIVE_BLOCK_SIZE,
	OID_GEN_VENDOR_ID,
	OID_GEN_VENDOR_DESCRIPTION,
	OID_GEN_CURRENT_PACKET_FILTER,
	OID_GEN_CURRENT_LOOKAHEAD,
	OID_GEN_DRIVER_VERSION,
	OID_GEN_MAXIMUM_TOTAL_SIZE,
	OID_GEN_PROTOCOL_OPTIONS,
	OID_GEN_MAC_OPTIONS,
	OID_GEN_MEDIA_CONNECT_STATUS,
	OID_GEN_MAXIMUM_SEND_PACKETS,
	OID_GEN_VENDOR_DRIVER_VERSION,
	OID_GEN_NETWORK_LAYER_ADDRESSES,
	OID_GEN_RECEIVE_SCALE_CAPABILITIES,
	OID_GEN_RECEIVE_SCALE_PARAMETERS,
	OID_GEN_MAX_LINK_SPEED,
	OID_GEN_LINK_STATE,
	OID_GEN_RNDIS_CONFIG_PARAMETER,
	OID_GEN_XMIT_OK,
	OID_GEN_RCV_OK,
	OID_GEN_XMIT_ERROR,
	OID_GEN_RCV_ERROR,
	OID_GEN_RCV_NO_BUFFER,
	OID_GEN_BYTES_RCV,
	OID_GEN_BYTES_XMIT,
	OID_802_3_PERMANENT_ADDRESS,
	OID_802_3_CURRENT_ADDRESS,
	OID_802_3_MULTICAST_LIST,
	OID_802_3_MAXIMUM_LIST_SIZE,
	OID_802_3_RCV_ERROR_ALIGNMENT,
	OID_802_3_XMIT_ONE_COLLISION,
	OID_802_3_XMIT_MORE_COLLISIONS,
	OID_TCP_OFFLOAD_CURRENT_CONFIG,
	OID_TCP_OFFLOAD_PARAMETERS,
	OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES,
};

static u32 put_control(u8 *at, struct fuzz_input *in)
{
	u32 word[32] = { fuzz_below(in, 10), 0, fuzz_u8(in) }, n = fuzz_below(in, 24);

	word[3] = fuzz_rarely(in, 4) ? (u32)fuzz_value(in) : oids[fuzz_below(in, ARRAY_SIZE(oids))];
	word[4] = fuzz_below(in, 4) * 4;
	word[5] = 20;
	for (u32 i = 0; i < n; i++)
		word[7 + i] = (u32)fuzz_value(in);
	if (word[0] == RNDIS_INITIALIZE)
		word[3] = 1;
	word[1] = 28 + n * 4;
	if (fuzz_rarely(in, 8))
		word[fuzz_below(in, 7)] = (u32)fuzz_value(in);
	memcpy(at, word, 28 + n * 4);
	return 28 + n * 4;
}

static void op_transmit(struct bed *b, struct fuzz_input *in)
{
	bool control = fuzz_below(in, 2), section = fuzz_below(in, 2);
	u32 index = section ? fuzz_below(in, 3) : NVSP_NO_SECTION, size = 0;
	u32 at = fuzz_u16(in) % 4000, split;
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PKT };
	struct fg_range range[3];
	u8 *to = section ? fg_ptr(&b->guest->g, b->send + index * NETVSP_SEND_SECTION % 8192, 8192)
			 : fg_ptr(&b->guest->g, b->scratch + at, 8192);

	if (!guest_has_rings(b->ch))
		return;
	for (u32 n = 1 + fuzz_below(in, 9); n; n--)
		size += control ? put_control(to + size, in) : put_packet(to + size, in);
	m.rndis_pkt.channel_type = control ? NVSP_CHANNEL_CONTROL : NVSP_CHANNEL_DATA;
	m.rndis_pkt.section_index = index;
	m.rndis_pkt.section_size = section ? size : 0;
	if (fuzz_rarely(in, 8))
		m.rndis_pkt.section_size = (u32)fuzz_value(in);
	split = fuzz_u16(in) % (size + 1);
	range[0] = (struct fg_range){ b->scratch + at, section ? 64 : split };
	range[1] = (struct fg_range){ b->scratch + at + split, size - split };
	range[2] = (struct fg_range){ guest_pfn(in) * GUEST_PAGE_SIZE, fuzz_u8(in) };
	if (section && fuzz_below(in, 2))
		fg_send(b->ch, b->next_id++, &m, sizeof(m), true);
	else
		fg_send_gpa_direct(b->ch, b->next_id++, range, fuzz_rarely(in, 8) ? 3 : 2, &m,
				   sizeof(m));
}

static void open_channel(struct bed *b, struct fuzz_input *in)
{
	struct fakeguest *g = &b->guest->g;
	struct fg_open_params p = { .out_pages = 2 + fuzz_below(in, 4),
				    .in_pages = 2 + fuzz_below(in, 2) };

	b->owed_count = 0;
	fg_open(g, b->ch, fg_offer_find(g, &netvsp_device(b->netvsp)->ops->type, 0), &p);
}

static void op_channel(struct bed *b, struct fuzz_input *in)
{
	switch (fuzz_below(in, 6)) {
	case 0:
		if (b->ch->open)
			fg_close(b->ch);
		break;
	case 1:
		if (!b->ch->open)
			open_channel(b, in);
		break;
	case 2:
		guest_op_tamper(b->guest, b->ch, in);
		break;
	case 3:
		guest_op_packet(b->guest, b->ch, in);
		break;
	case 4:
		guest_op_write(b->guest, in);
		break;
	case 5:
		b->send_error = fuzz_below(in, 2) ? -EAGAIN : 0;
		break;
	}
}

/* As Linux's probe does it. */
static void bring_up(struct bed *b, struct fuzz_input *in)
{
	static const u32 initialize[6] = { RNDIS_INITIALIZE, 24, 1, 1, 0, 0x4000 };
	static const u32 filter[8] = { RNDIS_SET, 32, 2, 0x0001010e, 4, 20, 0, 0xf };
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PKT };
	struct fg_range range = { b->scratch, sizeof(initialize) };

	op_negotiate(b, in);
	op_buffers(b, in);
	if (!guest_has_rings(b->ch))
		return;
	m.rndis_pkt.channel_type = NVSP_CHANNEL_CONTROL;
	m.rndis_pkt.section_index = NVSP_NO_SECTION;
	gmem_write(&b->guest->g.mem, b->scratch, initialize, sizeof(initialize));
	fg_send_gpa_direct(b->ch, b->next_id++, &range, 1, &m, sizeof(m));
	fg_pump(&b->guest->g);
	range.len = sizeof(filter);
	gmem_write(&b->guest->g.mem, b->scratch, filter, sizeof(filter));
	fg_send_gpa_direct(b->ch, b->next_id++, &range, 1, &m, sizeof(m));
	fg_pump(&b->guest->g);
	take(b);
}

static void step(struct bed *b, struct fuzz_input *in)
{
	static void (*const operations[])(struct bed *, struct fuzz_input *) = {
		op_negotiate, op_buffers,   op_teardown, op_message, op_transmit,  op_transmit,
		op_arrive,    op_give_back, op_channel,  op_arrive,  op_give_back,
	};
	u8 op = fuzz_u8(in) % (ARRAY_SIZE(operations) + 2);

	if (op < ARRAY_SIZE(operations))
		operations[op](b, in);
	else
		guest_op_turn(b->guest, in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct bed b = { .guest = guest_begin(), .nic = { .ops = &nic_ops, .mtu = NIC_MTU } };
	struct fakeguest *g = &b.guest->g;

	b.ch = &b.guest->ch[0];
	b.scratch = fg_alloc(g, 4);
	b.recv = fg_alloc(g, RECV_GPADL_PAGES + 1);
	b.send = fg_alloc(g, SEND_GPADL_PAGES);
	FUZZ_CHECK(!netvsp_init(&b.netvsp, 0, &b.nic));
	FUZZ_CHECK(!vmbus_offer(g->bus, netvsp_device(b.netvsp)));
	FUZZ_CHECK(!fg_connect(g, VMBUS_VERSION_WIN10_V5_3) && !fg_request_offers(g));
	open_channel(&b, &in);
	if (!fuzz_rarely(&in, 4))
		bring_up(&b, &in);
	while (in.left)
		step(&b, &in);
	guest_end(b.guest);
	netvsp_fini(b.netvsp);
	return 0;
}
