/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/devices/netvsp_bed.h"

/* ---- The NIC --------------------------------------------------------------------------------- */

static int mem_start(struct nic *nic, struct loop *loop)
{
	struct nic_mem *m = container_of(nic, struct nic_mem, nic);

	assert_null(m->loop);
	m->loop = loop;
	m->enabled = true;
	return 0;
}

static void mem_stop(struct nic *nic)
{
	container_of(nic, struct nic_mem, nic)->loop = NULL;
}

static int mem_send(struct nic *nic, const struct iovec *iov, unsigned count)
{
	struct nic_mem *m = container_of(nic, struct nic_mem, nic);
	u32 at = m->sent++ % SENT_MAX, len = 0;

	assert_non_null(m->loop);
	for (unsigned i = 0; i < count; i++) {
		u32 n = (u32)MIN(iov[i].iov_len, sizeof(m->frame[0]) - len);

		memcpy(m->frame[at] + len, iov[i].iov_base, n);
		len += n;
	}
	m->len[at] = len;
	return m->error;
}

static void mem_receive_enable(struct nic *nic, bool on)
{
	container_of(nic, struct nic_mem, nic)->enabled = on;
}

static void mem_close(struct nic *nic)
{
	container_of(nic, struct nic_mem, nic)->closed = true;
}

const struct nic_ops mem_ops = {
	.start = mem_start,
	.stop = mem_stop,
	.send = mem_send,
	.receive_enable = mem_receive_enable,
	.close = mem_close,
};

/* ---- The guest ------------------------------------------------------------------------------- */

void bed_connect(struct bed *b)
{
	assert_int_equal(fg_connect(&b->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(fg_request_offers(&b->g), 0);
	assert_int_equal(fg_open(&b->g, &b->ch,
				 fg_offer_find(&b->g, &netvsp_device(b->netvsp)->ops->type, 0),
				 NULL),
			 0);
}

struct bed *bed_new(void)
{
	struct bed *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->nic.nic = (struct nic){ .ops = &mem_ops, .mtu = NIC_MTU };
	b->next_id = 100;
	assert_int_equal(fg_init(&b->g, &(struct fg_config){ .io_count = 2 }), 0);
	assert_int_equal(netvsp_init(&b->netvsp, 0, &b->nic.nic), 0);
	assert_int_equal(vmbus_offer(b->g.bus, netvsp_device(b->netvsp)), 0);
	b->recv = fg_alloc(&b->g, RECV_PAGES);
	b->send = fg_alloc(&b->g, SEND_PAGES);
	b->scratch = fg_alloc(&b->g, 8);
	b->recv_bytes = RECV_PAGES * GUEST_PAGE_SIZE;
	assert_true(b->recv && b->send && b->scratch);
	bed_connect(b);
	return b;
}

void bed_free(struct bed *b)
{
	fg_fini(&b->g);
	netvsp_fini(b->netvsp);
	assert_true(b->nic.closed);
	assert_null(b->nic.loop);
	free(b);
}

int bed_take(struct bed *b, struct fg_packet *pkt)
{
	fg_pump(&b->g);
	return fg_recv(&b->ch, b->packet, sizeof(b->packet), pkt);
}

struct nvsp_message bed_message(const struct fg_packet *pkt)
{
	struct nvsp_message m = { 0 };

	assert_true(pkt->payload_size >= 8);
	memcpy(&m, pkt->payload, MIN(pkt->payload_size, (u32)sizeof(m)));
	return m;
}

struct nvsp_message bed_completion(struct bed *b, u64 id)
{
	struct fg_packet pkt;

	assert_int_equal(bed_take(b, &pkt), 1);
	assert_int_equal(pkt.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(pkt.transaction_id, id);
	return bed_message(&pkt);
}

struct nvsp_message bed_request(struct bed *b, const struct nvsp_message *m)
{
	u64 id = b->next_id++;

	assert_int_equal(fg_send(&b->ch, id, m, sizeof(*m), true), 0);
	return bed_completion(b, id);
}

void bed_tell(struct bed *b, const struct nvsp_message *m)
{
	assert_int_equal(fg_send(&b->ch, 0, m, sizeof(*m), false), 0);
	fg_pump(&b->g);
}

u32 bed_negotiate(struct bed *b, u32 version)
{
	struct nvsp_message m = { .type = NVSP_INIT, .init = { version, version } };

	m = bed_request(b, &m);
	assert_int_equal(m.type, NVSP_INIT_COMPLETE);
	return m.init_complete.status;
}

u32 bed_share_recv(struct bed *b)
{
	struct nvsp_message m = { .type = NVSP_SEND_RECV_BUF };

	assert_int_equal(
		fg_gpadl_create(&b->g, b->ch.relid, b->recv, b->recv_bytes, &b->recv_gpadl), 0);
	m.send_buf.gpadl_handle = b->recv_gpadl;
	m.send_buf.id = RECV_ID;
	m = bed_request(b, &m);
	assert_int_equal(m.type, NVSP_SEND_RECV_BUF_COMPLETE);
	b->section = m.recv_buf_complete.section;
	if (m.recv_buf_complete.status == NVSP_STATUS_SUCCESS)
		assert_int_equal(m.recv_buf_complete.num_sections, 1);
	return m.recv_buf_complete.status;
}

u32 bed_share_send(struct bed *b)
{
	struct nvsp_message m = { .type = NVSP_SEND_SEND_BUF };

	assert_int_equal(fg_gpadl_create(&b->g, b->ch.relid, b->send, SEND_PAGES * GUEST_PAGE_SIZE,
					 &b->send_gpadl),
			 0);
	m.send_buf.gpadl_handle = b->send_gpadl;
	m = bed_request(b, &m);
	assert_int_equal(m.type, NVSP_SEND_SEND_BUF_COMPLETE);
	b->send_section = m.send_buf_complete.section_size;
	return m.send_buf_complete.status;
}

/* Sends ranges of guest memory, after a part of the send buffer where section is one. */
u64 bed_transmit(struct bed *b, u32 channel, u32 section, u32 section_size,
		 const struct fg_range *range, unsigned count)
{
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PKT,
				  .rndis_pkt = { channel, section, section_size } };
	u64 id = b->next_id++;

	if (count)
		assert_int_equal(fg_send_gpa_direct(&b->ch, id, range, count, &m, sizeof(m)), 0);
	else
		assert_int_equal(fg_send(&b->ch, id, &m, sizeof(m), true), 0);
	return id;
}

u32 bed_transmit_status(struct bed *b, u64 id)
{
	struct nvsp_message m = bed_completion(b, id);

	assert_int_equal(m.type, NVSP_SEND_RNDIS_PKT_COMPLETE);
	return m.rndis_pkt_complete.status;
}

static void *recv_at(struct bed *b, u32 offset, u32 len)
{
	assert_true(offset <= b->recv_bytes && len <= b->recv_bytes - offset);
	return fg_ptr(&b->g, b->recv + offset, len);
}

/* A control message from the host, completed. Its type; the body in *body. */
u32 bed_control_answer(struct bed *b, const u8 **body)
{
	struct fg_packet pkt;
	struct rndis_header h;
	u8 *at;

	assert_int_equal(bed_take(b, &pkt), 1);
	assert_int_equal(pkt.type, VMBUS_PACKET_TRANSFER_PAGES);
	assert_int_equal(pkt.pageset_id, RECV_ID);
	assert_int_equal(pkt.range_count, 1);
	assert_int_equal(bed_message(&pkt).rndis_pkt.channel_type, NVSP_CHANNEL_CONTROL);
	at = recv_at(b, pkt.range[0].byte_offset, pkt.range[0].byte_count);
	memcpy(&h, at, sizeof(h));
	assert_int_equal(h.len, pkt.range[0].byte_count);
	*body = at + sizeof(h);
	assert_int_equal(fg_complete(&b->ch, pkt.transaction_id,
				     (u32[]){ NVSP_SEND_RNDIS_PKT_COMPLETE, NVSP_STATUS_SUCCESS },
				     8),
			 0);
	return h.type;
}

/* Sends a control message, split over two pages, and checks its completion. */
static void control(struct bed *b, u32 type, const void *body, u32 len)
{
	struct rndis_header h = { .type = type, .len = (u32)sizeof(h) + len };
	gpa_t at = b->scratch + GUEST_PAGE_SIZE - 12;
	struct fg_range range = { at, h.len };
	u64 id;

	memcpy(fg_ptr(&b->g, at, sizeof(h)), &h, sizeof(h));
	if (len)
		memcpy(fg_ptr(&b->g, at + sizeof(h), len), body, len);
	id = bed_transmit(b, NVSP_CHANNEL_CONTROL, NVSP_NO_SECTION, 0, &range, 1);
	assert_int_equal(bed_transmit_status(b, id), NVSP_STATUS_SUCCESS);
}

void bed_set_filter(struct bed *b, u32 filter)
{
	struct {
		struct rndis_oid_request r;
		u32 filter;
	} msg = { { 9, OID_GEN_CURRENT_PACKET_FILTER, 4, sizeof(msg.r), 0 }, filter };
	const u8 *body;

	control(b, RNDIS_SET, &msg, sizeof(msg));
	assert_int_equal(bed_control_answer(b, &body), RNDIS_SET | RNDIS_COMPLETION);
	assert_memory_equal(body, ((u32[]){ 9, RNDIS_STATUS_SUCCESS }), 8);
}

static void initialize(struct bed *b)
{
	struct rndis_initialize i = { .request_id = 1, .major_version = 1 };
	const u8 *body;

	control(b, RNDIS_INITIALIZE, &i, sizeof(i));
	assert_int_equal(bed_control_answer(b, &body), RNDIS_INITIALIZE | RNDIS_COMPLETION);
}

void bed_halt(struct bed *b)
{
	control(b, RNDIS_HALT, (u32[]){ 77 }, 4);
}

/* As Linux's probe and `ip link set up`. */
void bed_bring_up(struct bed *b)
{
	struct nvsp_message config = { .type = NVSP_SEND_NDIS_CONFIG,
				       .ndis_config = { .mtu = 1514 } };
	struct nvsp_message ndis = { .type = NVSP_SEND_NDIS_VER, .ndis_version = { 6, 30 } };
	const u8 *body;

	assert_int_equal(bed_negotiate(b, NVSP_VERSION_61), NVSP_STATUS_SUCCESS);
	bed_tell(b, &config);
	bed_tell(b, &ndis);
	assert_int_equal(bed_share_recv(b), NVSP_STATUS_SUCCESS);
	assert_int_equal(bed_share_send(b), NVSP_STATUS_SUCCESS);
	initialize(b);
	assert_false(b->nic.enabled);
	bed_set_filter(b, NDIS_FILTER_DIRECTED | NDIS_FILTER_ALL_MULTICAST | NDIS_FILTER_BROADCAST);
	assert_int_equal(bed_control_answer(b, &body), RNDIS_INDICATE_STATUS);
	assert_memory_equal(body, ((u32[]){ RNDIS_STATUS_MEDIA_CONNECT }), 4);
	fg_pump(&b->g);
	assert_true(b->nic.enabled);
}

/* A packet message at `at`, its frame filled with seed; its length. */
u32 bed_put_message(u8 *at, u32 len, u8 seed)
{
	struct rndis_rx_header h; /* the same both ways */

	rndis_rx_header(&h, len);
	memcpy(at, &h, sizeof(h));
	memset(at + sizeof(h), seed, len);
	return (u32)sizeof(h) + len;
}

void bed_expect_sent(struct bed *b, unsigned index, u32 len, u8 seed)
{
	assert_true(index < b->nic.sent);
	assert_int_equal(b->nic.len[index], len);
	for (u32 i = 0; i < len; i++)
		assert_int_equal(b->nic.frame[index][i], seed);
}

/* The NIC gets a broadcast of len bytes in. */
bool bed_arrive(struct bed *b, u32 len, u8 seed)
{
	u8 frame[2048];

	memset(frame, seed, sizeof(frame));
	memset(frame, 0xff, 6);
	return b->nic.nic.receive(&b->nic.nic, frame, len);
}

/* The data packet pkt holds in its range i a frame of bed_arrive(). */
void bed_expect_range(struct bed *b, const struct fg_packet *pkt, u32 i, u32 len, u8 seed)
{
	const u8 *at = recv_at(b, pkt->range[i].byte_offset, pkt->range[i].byte_count);
	struct rndis_rx_header h;

	memcpy(&h, at, sizeof(h));
	assert_int_equal(pkt->range[i].byte_offset % b->section.sub_alloc_size, 0);
	assert_int_equal(pkt->range[i].byte_count, sizeof(h) + len);
	assert_int_equal(h.header.type, RNDIS_PACKET);
	assert_int_equal(h.header.len, sizeof(h) + len);
	assert_int_equal(h.packet.data_len, len);
	assert_int_equal(8 + h.packet.data_offset, sizeof(h));
	assert_int_equal(at[sizeof(h)], 0xff);
	assert_int_equal(at[sizeof(h) + 6], seed);
	assert_int_equal(at[sizeof(h) + len - 1], seed);
}

void bed_expect_data(struct bed *b, struct fg_packet *pkt)
{
	assert_int_equal(bed_take(b, pkt), 1);
	assert_int_equal(pkt->type, VMBUS_PACKET_TRANSFER_PAGES);
	assert_int_equal(pkt->pageset_id, RECV_ID);
	assert_int_equal(bed_message(pkt).rndis_pkt.channel_type, NVSP_CHANNEL_DATA);
	assert_int_equal(bed_message(pkt).rndis_pkt.section_index, NVSP_NO_SECTION);
}

void bed_done_with(struct bed *b, const struct fg_packet *pkt)
{
	assert_int_equal(fg_complete(&b->ch, pkt->transaction_id,
				     (u32[]){ NVSP_SEND_RNDIS_PKT_COMPLETE, NVSP_STATUS_SUCCESS },
				     8),
			 0);
	fg_pump(&b->g);
}

void bed_transmit_one(struct bed *b, u8 seed)
{
	u8 *at = fg_ptr(&b->g, b->scratch, GUEST_PAGE_SIZE);
	struct fg_range range = { b->scratch, bed_put_message(at, 300, seed) };
	unsigned before = b->nic.sent;
	u64 id = bed_transmit(b, 0, NVSP_NO_SECTION, 0, &range, 1);

	assert_int_equal(bed_transmit_status(b, id), NVSP_STATUS_SUCCESS);
	bed_expect_sent(b, before, 300, seed);
}

void bed_receive_one(struct bed *b, u8 seed)
{
	struct fg_packet pkt;

	assert_true(bed_arrive(b, 200, seed));
	bed_expect_data(b, &pkt);
	assert_int_equal(pkt.range_count, 1);
	bed_expect_range(b, &pkt, 0, 200, seed);
	bed_done_with(b, &pkt);
}
