/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The synthetic NIC against the fake guest, which speaks NVSP and RNDIS as Linux's hv_netvsc does,
 * and a NIC of memory behind it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/devices.h"
#include "devices/netvsp_proto.h"
#include "devices/rndis.h"
#include "tests/fakeguest/fakeguest.h"

#define RECV_ID    0xcafe
#define RECV_PAGES 64u
#define SEND_PAGES 16u
#define SENT_MAX   64u

/* ---- The NIC --------------------------------------------------------------------------------- */

struct nic_mem {
	struct nic nic;
	struct loop *loop; /* NULL: stopped */
	bool enabled;
	bool closed;
	int error; /* what send() answers */
	unsigned sent;
	u32 len[SENT_MAX];
	u8 frame[SENT_MAX][2048];
};

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

static const struct nic_ops mem_ops = {
	.start = mem_start,
	.stop = mem_stop,
	.send = mem_send,
	.receive_enable = mem_receive_enable,
	.close = mem_close,
};

/* ---- The guest ------------------------------------------------------------------------------- */

struct bed {
	struct fakeguest g;
	struct nic_mem nic;
	struct netvsp *netvsp;
	struct fg_channel ch;
	gpa_t recv, send, scratch;
	u32 recv_gpadl, send_gpadl;
	u32 recv_bytes; /* how much of recv is shared */
	struct nvsp_recv_section section;
	u32 send_section;
	u64 next_id;
	u8 packet[8192];
};

static void bed_connect(struct bed *b)
{
	assert_int_equal(fg_connect(&b->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(fg_request_offers(&b->g), 0);
	assert_int_equal(fg_open(&b->g, &b->ch,
				 fg_offer_find(&b->g, &netvsp_device(b->netvsp)->ops->type, 0),
				 NULL), 0);
}

static struct bed *bed_new(void)
{
	struct bed *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->nic.nic = (struct nic){ .ops = &mem_ops, .mtu = NIC_MTU };
	b->next_id = 100;
	assert_int_equal(fg_init(&b->g, NULL), 0);
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

static void bed_free(struct bed *b)
{
	fg_fini(&b->g);
	netvsp_fini(b->netvsp);
	assert_true(b->nic.closed);
	assert_null(b->nic.loop);
	free(b);
}

static int take(struct bed *b, struct fg_packet *pkt)
{
	fg_pump(&b->g);
	return fg_recv(&b->ch, b->packet, sizeof(b->packet), pkt);
}

static struct nvsp_message message_of(const struct fg_packet *pkt)
{
	struct nvsp_message m = { 0 };

	assert_true(pkt->payload_size >= 8);
	memcpy(&m, pkt->payload, MIN(pkt->payload_size, (u32)sizeof(m)));
	return m;
}

/* The completion of id. */
static struct nvsp_message completion(struct bed *b, u64 id)
{
	struct fg_packet pkt;

	assert_int_equal(take(b, &pkt), 1);
	assert_int_equal(pkt.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(pkt.transaction_id, id);
	return message_of(&pkt);
}

static struct nvsp_message request(struct bed *b, const struct nvsp_message *m)
{
	u64 id = b->next_id++;

	assert_int_equal(fg_send(&b->ch, id, m, sizeof(*m), true), 0);
	return completion(b, id);
}

static void tell(struct bed *b, const struct nvsp_message *m)
{
	assert_int_equal(fg_send(&b->ch, 0, m, sizeof(*m), false), 0);
	fg_pump(&b->g);
}

static u32 negotiate(struct bed *b, u32 version)
{
	struct nvsp_message m = { .type = NVSP_INIT, .init = { version, version } };

	m = request(b, &m);
	assert_int_equal(m.type, NVSP_INIT_COMPLETE);
	return m.init_complete.status;
}

static u32 share_recv(struct bed *b)
{
	struct nvsp_message m = { .type = NVSP_SEND_RECV_BUF };

	assert_int_equal(fg_gpadl_create(&b->g, b->ch.relid, b->recv, b->recv_bytes,
					 &b->recv_gpadl), 0);
	m.send_buf.gpadl_handle = b->recv_gpadl;
	m.send_buf.id = RECV_ID;
	m = request(b, &m);
	assert_int_equal(m.type, NVSP_SEND_RECV_BUF_COMPLETE);
	b->section = m.recv_buf_complete.section;
	if (m.recv_buf_complete.status == NVSP_STATUS_SUCCESS)
		assert_int_equal(m.recv_buf_complete.num_sections, 1);
	return m.recv_buf_complete.status;
}

static u32 share_send(struct bed *b)
{
	struct nvsp_message m = { .type = NVSP_SEND_SEND_BUF };

	assert_int_equal(fg_gpadl_create(&b->g, b->ch.relid, b->send, SEND_PAGES * GUEST_PAGE_SIZE,
					 &b->send_gpadl), 0);
	m.send_buf.gpadl_handle = b->send_gpadl;
	m = request(b, &m);
	assert_int_equal(m.type, NVSP_SEND_SEND_BUF_COMPLETE);
	b->send_section = m.send_buf_complete.section_size;
	return m.send_buf_complete.status;
}

/* Sends ranges of guest memory, after a part of the send buffer where section is one. */
static u64 transmit(struct bed *b, u32 channel, u32 section, u32 section_size,
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

static u32 transmit_status(struct bed *b, u64 id)
{
	struct nvsp_message m = completion(b, id);

	assert_int_equal(m.type, NVSP_SEND_RNDIS_PKT_COMPLETE);
	return m.rndis_pkt_complete.status;
}

static void *recv_at(struct bed *b, u32 offset, u32 len)
{
	assert_true(offset <= b->recv_bytes && len <= b->recv_bytes - offset);
	return fg_ptr(&b->g, b->recv + offset, len);
}

/* A control message from the host, completed. Its type; the body in *body. */
static u32 control_answer(struct bed *b, const u8 **body)
{
	struct fg_packet pkt;
	struct rndis_header h;
	u8 *at;

	assert_int_equal(take(b, &pkt), 1);
	assert_int_equal(pkt.type, VMBUS_PACKET_TRANSFER_PAGES);
	assert_int_equal(pkt.pageset_id, RECV_ID);
	assert_int_equal(pkt.range_count, 1);
	assert_int_equal(message_of(&pkt).rndis_pkt.channel_type, NVSP_CHANNEL_CONTROL);
	at = recv_at(b, pkt.range[0].byte_offset, pkt.range[0].byte_count);
	memcpy(&h, at, sizeof(h));
	assert_int_equal(h.len, pkt.range[0].byte_count);
	*body = at + sizeof(h);
	assert_int_equal(fg_complete(&b->ch, pkt.transaction_id,
				     (u32[]){ NVSP_SEND_RNDIS_PKT_COMPLETE, NVSP_STATUS_SUCCESS }, 8),
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
	id = transmit(b, NVSP_CHANNEL_CONTROL, NVSP_NO_SECTION, 0, &range, 1);
	assert_int_equal(transmit_status(b, id), NVSP_STATUS_SUCCESS);
}

static void set_filter(struct bed *b, u32 filter)
{
	struct {
		struct rndis_oid_request r;
		u32 filter;
	} msg = { { 9, OID_GEN_CURRENT_PACKET_FILTER, 4, sizeof(msg.r), 0 }, filter };
	const u8 *body;

	control(b, RNDIS_SET, &msg, sizeof(msg));
	assert_int_equal(control_answer(b, &body), RNDIS_SET | RNDIS_COMPLETION);
	assert_memory_equal(body, ((u32[]){ 9, RNDIS_STATUS_SUCCESS }), 8);
}

static void initialize(struct bed *b)
{
	struct rndis_initialize i = { .request_id = 1, .major_version = 1 };
	const u8 *body;

	control(b, RNDIS_INITIALIZE, &i, sizeof(i));
	assert_int_equal(control_answer(b, &body), RNDIS_INITIALIZE | RNDIS_COMPLETION);
}

/* As Linux's probe and `ip link set up`. */
static void bring_up(struct bed *b)
{
	struct nvsp_message config = { .type = NVSP_SEND_NDIS_CONFIG, .ndis_config = { .mtu = 1514 } };
	struct nvsp_message ndis = { .type = NVSP_SEND_NDIS_VER, .ndis_version = { 6, 30 } };
	const u8 *body;

	assert_int_equal(negotiate(b, NVSP_VERSION_61), NVSP_STATUS_SUCCESS);
	tell(b, &config);
	tell(b, &ndis);
	assert_int_equal(share_recv(b), NVSP_STATUS_SUCCESS);
	assert_int_equal(share_send(b), NVSP_STATUS_SUCCESS);
	initialize(b);
	assert_false(b->nic.enabled);
	set_filter(b, NDIS_FILTER_DIRECTED | NDIS_FILTER_ALL_MULTICAST | NDIS_FILTER_BROADCAST);
	assert_int_equal(control_answer(b, &body), RNDIS_INDICATE_STATUS);
	assert_memory_equal(body, ((u32[]){ RNDIS_STATUS_MEDIA_CONNECT }), 4);
	fg_pump(&b->g);
	assert_true(b->nic.enabled);
}

/* A packet message at `at`, its frame filled with seed; its length. */
static u32 put_message(u8 *at, u32 len, u8 seed)
{
	struct rndis_rx_header h; /* the same both ways */

	rndis_rx_header(&h, len);
	memcpy(at, &h, sizeof(h));
	memset(at + sizeof(h), seed, len);
	return (u32)sizeof(h) + len;
}

static void expect_sent(struct bed *b, unsigned index, u32 len, u8 seed)
{
	assert_true(index < b->nic.sent);
	assert_int_equal(b->nic.len[index], len);
	for (u32 i = 0; i < len; i++)
		assert_int_equal(b->nic.frame[index][i], seed);
}

/* The NIC gets a broadcast of len bytes in. */
static bool arrive(struct bed *b, u32 len, u8 seed)
{
	u8 frame[2048];

	memset(frame, seed, sizeof(frame));
	memset(frame, 0xff, 6);
	return b->nic.nic.receive(&b->nic.nic, frame, len);
}

/* The data packet pkt holds in its range i a frame of arrive(). */
static void expect_range(struct bed *b, const struct fg_packet *pkt, u32 i, u32 len, u8 seed)
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

static void expect_data(struct bed *b, struct fg_packet *pkt)
{
	assert_int_equal(take(b, pkt), 1);
	assert_int_equal(pkt->type, VMBUS_PACKET_TRANSFER_PAGES);
	assert_int_equal(pkt->pageset_id, RECV_ID);
	assert_int_equal(message_of(pkt).rndis_pkt.channel_type, NVSP_CHANNEL_DATA);
	assert_int_equal(message_of(pkt).rndis_pkt.section_index, NVSP_NO_SECTION);
}

static void done_with(struct bed *b, const struct fg_packet *pkt)
{
	assert_int_equal(fg_complete(&b->ch, pkt->transaction_id,
				     (u32[]){ NVSP_SEND_RNDIS_PKT_COMPLETE, NVSP_STATUS_SUCCESS }, 8),
			 0);
	fg_pump(&b->g);
}

/* ---- Set-up ---------------------------------------------------------------------------------- */

static void known_versions_are_agreed_on(void **state)
{
	static const u32 good[] = { NVSP_VERSION_1, NVSP_VERSION_2, NVSP_VERSION_4,
				    NVSP_VERSION_5, NVSP_VERSION_6, NVSP_VERSION_61 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		struct bed *b = bed_new();

		assert_int_not_equal(negotiate(b, 0x70000), NVSP_STATUS_SUCCESS);
		assert_int_not_equal(negotiate(b, 0x30003), NVSP_STATUS_SUCCESS);
		assert_int_equal(negotiate(b, good[i]), NVSP_STATUS_SUCCESS);
		bed_free(b);
	}
}

static void a_range_of_versions_gives_the_best(void **state)
{
	struct bed *b = bed_new();
	struct nvsp_message m = { .type = NVSP_INIT, .init = { 0, UINT32_MAX } };

	(void)state;
	m = request(b, &m);
	assert_int_equal(m.init_complete.status, NVSP_STATUS_SUCCESS);
	assert_int_equal(m.init_complete.version, NVSP_VERSION_61);
	bed_free(b);
}

static void the_receive_buffer_is_one_section(void **state)
{
	struct bed *b = bed_new();

	(void)state;
	negotiate(b, NVSP_VERSION_61);
	assert_int_equal(share_recv(b), NVSP_STATUS_SUCCESS);
	assert_int_equal(b->section.offset, 0);
	assert_int_equal(b->section.sub_alloc_size, 1728);
	assert_int_equal(b->section.num_sub_allocs, RECV_PAGES * GUEST_PAGE_SIZE / 1728);
	assert_int_equal(b->section.end_offset, 1728 * b->section.num_sub_allocs);
	assert_int_equal(share_send(b), NVSP_STATUS_SUCCESS);
	assert_int_equal(b->send_section, 6144);
	bed_free(b);
}

static void a_larger_mtu_gets_larger_slots(void **state)
{
	struct bed *b = bed_new();
	struct nvsp_message m = { .type = NVSP_SEND_NDIS_CONFIG, .ndis_config = { .mtu = 9014 } };

	(void)state;
	negotiate(b, NVSP_VERSION_6);
	tell(b, &m);
	assert_int_equal(share_recv(b), NVSP_STATUS_SUCCESS);
	assert_true(b->section.sub_alloc_size >= 9014 + 4 + 44);
	bed_free(b);
}

static void buffers_that_are_not_there_are_refused(void **state)
{
	struct bed *b = bed_new();
	struct nvsp_message recv = { .type = NVSP_SEND_RECV_BUF, .send_buf = { 4711, RECV_ID, 0 } };
	struct nvsp_message send = { .type = NVSP_SEND_SEND_BUF, .send_buf = { 4711, 0, 0 } };

	(void)state;
	negotiate(b, NVSP_VERSION_61);
	assert_int_equal(request(b, &recv).recv_buf_complete.status, NVSP_STATUS_FAIL);
	assert_int_equal(request(b, &send).send_buf_complete.status, NVSP_STATUS_FAIL);
	b->recv_bytes = GUEST_PAGE_SIZE; /* not four slots */
	assert_int_equal(share_recv(b), NVSP_STATUS_FAIL);
	b->recv_bytes = RECV_PAGES * GUEST_PAGE_SIZE;
	assert_int_equal(share_recv(b), NVSP_STATUS_SUCCESS);
	assert_int_equal(share_recv(b), NVSP_STATUS_FAIL);
	bed_free(b);
}

static void subchannels_are_none(void **state)
{
	struct bed *b = bed_new();
	struct nvsp_message m = { .type = NVSP_SUBCHANNEL, .subchannel = { 1, 3 } };

	(void)state;
	negotiate(b, NVSP_VERSION_61);
	m = request(b, &m);
	assert_int_equal(m.type, NVSP_SUBCHANNEL);
	assert_int_equal(m.subchannel_complete.status, NVSP_STATUS_SUCCESS);
	assert_int_equal(m.subchannel_complete.num_subchannels, 0);
	bed_free(b);
}

static void the_default_address_follows_the_number(void **state)
{
	struct nic_mem one = { .nic = { .ops = &mem_ops } }, two = { .nic = { .ops = &mem_ops } };
	struct netvsp *a, *b;

	(void)state;
	assert_int_equal(netvsp_init(&a, 1, &one.nic), 0);
	assert_int_equal(netvsp_init(&b, 2, &two.nic), 0);
	assert_memory_equal(one.nic.mac, ((u8[]){ 0x00, 0x15, 0x5d, 0xca, 0, 1 }), 6);
	assert_memory_equal(two.nic.mac, ((u8[]){ 0x00, 0x15, 0x5d, 0xca, 0, 2 }), 6);
	assert_false(guid_equal(&netvsp_device(a)->instance, &netvsp_device(b)->instance));
	netvsp_fini(a);
	netvsp_fini(b);
}

/* ---- Frames ---------------------------------------------------------------------------------- */

static void frames_leave_by_the_send_buffer(void **state)
{
	struct bed *b = bed_new();
	u8 *at;
	u32 len;
	u64 id;

	(void)state;
	bring_up(b);
	at = fg_ptr(&b->g, b->send + 2 * b->send_section, b->send_section);
	len = put_message(at, 60, 1);
	len += put_message(at + len, 1514, 2);
	len += put_message(at + len, 100, 3);
	id = transmit(b, NVSP_CHANNEL_DATA, 2, len, NULL, 0);
	assert_int_equal(transmit_status(b, id), NVSP_STATUS_SUCCESS);
	assert_int_equal(b->nic.sent, 3);
	expect_sent(b, 0, 60, 1);
	expect_sent(b, 1, 1514, 2);
	expect_sent(b, 2, 100, 3);
	bed_free(b);
}

static void frames_leave_from_anywhere(void **state)
{
	struct bed *b = bed_new();
	u32 len = put_message(fg_ptr(&b->g, b->scratch, 4096), 1000, 7), half = 333;
	/* The second half elsewhere, over a page boundary. */
	gpa_t there = b->scratch + 3 * GUEST_PAGE_SIZE - 100;
	struct fg_range range[2] = { { b->scratch, half }, { there, len - half } };
	u64 id;

	(void)state;
	bring_up(b);
	put_message(fg_ptr(&b->g, b->scratch, 4096), 1000, 7);
	memcpy(fg_ptr(&b->g, there, len - half), fg_ptr(&b->g, b->scratch + half, len - half),
	       len - half);
	id = transmit(b, NVSP_CHANNEL_DATA, NVSP_NO_SECTION, 0, range, 2);
	assert_int_equal(transmit_status(b, id), NVSP_STATUS_SUCCESS);
	expect_sent(b, 0, 1000, 7);
	/* Its header in the send buffer, as Linux does when a batch ends with a large frame. */
	memcpy(fg_ptr(&b->g, b->send, half), fg_ptr(&b->g, b->scratch, half), half);
	id = transmit(b, NVSP_CHANNEL_DATA, 0, half, &range[1], 1);
	assert_int_equal(transmit_status(b, id), NVSP_STATUS_SUCCESS);
	expect_sent(b, 1, 1000, 7);
	bed_free(b);
}

static void a_frame_the_network_drops_is_no_error(void **state)
{
	struct bed *b = bed_new();
	u64 id;

	(void)state;
	bring_up(b);
	b->nic.error = -EAGAIN;
	put_message(fg_ptr(&b->g, b->send, 4096), 60, 1);
	id = transmit(b, NVSP_CHANNEL_DATA, 0, 104, NULL, 0);
	assert_int_equal(transmit_status(b, id), NVSP_STATUS_SUCCESS);
	bed_free(b);
}

static void frames_of_one_turn_arrive_in_one_packet(void **state)
{
	struct bed *b = bed_new();
	struct fg_packet pkt;
	u32 interrupts;

	(void)state;
	bring_up(b);
	for (unsigned round = 0; round < 1000; round++) {
		interrupts = fg_interrupts(&b->ch);
		assert_true(arrive(b, 60, 1));
		assert_true(arrive(b, 1514, 2));
		assert_true(arrive(b, 14, 3));
		expect_data(b, &pkt);
		assert_int_equal(pkt.range_count, 3);
		expect_range(b, &pkt, 0, 60, 1);
		expect_range(b, &pkt, 1, 1514, 2);
		expect_range(b, &pkt, 2, 14, 3);
		assert_int_equal(fg_interrupts(&b->ch), interrupts + 1);
		done_with(b, &pkt);
	}
	bed_free(b);
}

static void frames_not_asked_for_stay_out(void **state)
{
	struct bed *b = bed_new();
	struct fg_packet pkt;
	u8 frame[60] = { 2, 0, 0, 0, 0, 1 };

	(void)state;
	bring_up(b);
	assert_true(b->nic.nic.receive(&b->nic.nic, frame, sizeof(frame)));
	assert_true(arrive(b, 1728, 1)); /* longer than a slot */
	assert_int_equal(take(b, &pkt), 0);
	set_filter(b, 0);
	fg_pump(&b->g);
	assert_false(b->nic.enabled);
	assert_false(arrive(b, 60, 1));
	bed_free(b);
}

static void without_slots_the_network_waits(void **state)
{
	struct bed *b = bed_new();
	struct fg_packet pkt;
	unsigned in = 0;

	(void)state;
	b->recv_bytes = 5 * GUEST_PAGE_SIZE; /* eleven slots, two of them for control messages */
	bring_up(b);
	while (b->nic.enabled) {
		assert_true(arrive(b, 60, (u8)in++));
		expect_data(b, &pkt); /* and never completed */
	}
	assert_int_equal(in, 9);
	assert_false(arrive(b, 60, 0));
	/* Control messages still pass. */
	set_filter(b, NDIS_FILTER_BROADCAST);
	assert_false(b->nic.enabled);
	bed_free(b);
}

static void slots_given_back_let_the_network_go_on(void **state)
{
	struct bed *b = bed_new();
	struct fg_packet pkt[9];

	(void)state;
	b->recv_bytes = 5 * GUEST_PAGE_SIZE;
	bring_up(b);
	for (unsigned i = 0; i < 9; i++) {
		assert_true(arrive(b, 60, (u8)i));
		expect_data(b, &pkt[i]);
	}
	assert_false(b->nic.enabled);
	for (unsigned i = 0; i < 9; i++) {
		expect_range(b, &pkt[i], 0, 60, (u8)i);
		done_with(b, &pkt[i]);
	}
	assert_true(b->nic.enabled);
	bed_free(b);
}

/* The guest reads nothing: what does not fit waits, and all of it arrives once in order. */
static void a_full_ring_makes_the_network_wait(void **state)
{
	struct bed *b = bed_new();
	struct fg_open_params small = { .in_pages = 2 };
	struct fg_packet pkt;
	unsigned in = 0, out = 0;

	(void)state;
	assert_int_equal(fg_close(&b->ch), 0);
	assert_int_equal(fg_open(&b->g, &b->ch,
				 fg_offer_find(&b->g, &netvsp_device(b->netvsp)->ops->type, 0),
				 &small), 0);
	bring_up(b);
	while (b->nic.enabled) {
		assert_true(arrive(b, 60, (u8)in++));
		fg_pump(&b->g);
		assert_true(in < 150);
	}
	assert_true(in > 20);
	while (out < in) {
		expect_data(b, &pkt);
		for (u32 i = 0; i < pkt.range_count; i++)
			expect_range(b, &pkt, i, 60, (u8)out++);
		done_with(b, &pkt);
	}
	assert_int_equal(take(b, &pkt), 0);
	assert_true(b->nic.enabled);
	bed_free(b);
}

/* ---- Coming and going ------------------------------------------------------------------------ */

static void a_closed_channel_can_be_opened_again(void **state)
{
	struct bed *b = bed_new();
	struct fg_packet pkt;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		bring_up(b);
		assert_true(arrive(b, 60, 1)); /* on its way when the channel closes */
		assert_int_equal(fg_close(&b->ch), 0);
		assert_null(b->nic.loop);
		assert_int_equal(fg_gpadl_teardown(&b->g, b->ch.relid, b->recv_gpadl), 0);
		assert_int_equal(fg_gpadl_teardown(&b->g, b->ch.relid, b->send_gpadl), 0);
		assert_int_equal(fg_open(&b->g, &b->ch,
					 fg_offer_find(&b->g, &netvsp_device(b->netvsp)->ops->type,
						       0), NULL), 0);
	}
	bring_up(b);
	assert_true(arrive(b, 60, 9));
	expect_data(b, &pkt);
	expect_range(b, &pkt, 0, 60, 9);
	bed_free(b);
}

static void a_new_connection_starts_afresh(void **state)
{
	struct bed *b = bed_new();

	(void)state;
	bring_up(b);
	assert_int_equal(fg_unload(&b->g), 0);
	assert_null(b->nic.loop);
	bed_connect(b);
	bring_up(b);
	bed_free(b);
}

static void revoked_buffers_are_not_used(void **state)
{
	struct bed *b = bed_new();
	struct nvsp_message recv = { .type = NVSP_REVOKE_RECV_BUF, .revoke_buf = { RECV_ID, 0 } };
	struct nvsp_message send = { .type = NVSP_REVOKE_SEND_BUF };
	struct fg_packet pkt;
	u64 id;

	(void)state;
	bring_up(b);
	assert_true(arrive(b, 60, 1));
	tell(b, &recv);
	tell(b, &send);
	while (take(b, &pkt) == 1)
		;
	assert_false(b->nic.enabled);
	assert_false(arrive(b, 60, 1));
	assert_int_equal(fg_gpadl_teardown(&b->g, b->ch.relid, b->recv_gpadl), 0);
	assert_int_equal(fg_gpadl_teardown(&b->g, b->ch.relid, b->send_gpadl), 0);
	id = transmit(b, NVSP_CHANNEL_DATA, 0, 104, NULL, 0);
	assert_int_equal(transmit_status(b, id), NVSP_STATUS_INVALID_RNDIS_PKT);
	assert_int_equal(share_recv(b), NVSP_STATUS_SUCCESS);
	bed_free(b);
}

/* ---- Hostile guests -------------------------------------------------------------------------- */

static void memory_that_is_not_there_is_refused(void **state)
{
	static const struct {
		u32 section, size;
	} bad[] = { { 0, 6145 }, { 0, UINT32_MAX }, { 10, 100 }, { 0xfffffffe, 100 },
		    { 0x80000000, 6144 } };
	struct bed *b = bed_new();
	struct fg_range range = { 1ull << 40, 104 };
	u64 id;

	(void)state;
	bring_up(b);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		id = transmit(b, NVSP_CHANNEL_DATA, bad[i].section, bad[i].size, NULL, 0);
		assert_int_equal(transmit_status(b, id), NVSP_STATUS_INVALID_RNDIS_PKT);
	}
	id = transmit(b, NVSP_CHANNEL_DATA, NVSP_NO_SECTION, 0, &range, 1);
	assert_int_equal(transmit_status(b, id), NVSP_STATUS_INVALID_RNDIS_PKT);
	id = transmit(b, 2, NVSP_NO_SECTION, 0, NULL, 0);
	assert_int_equal(transmit_status(b, id), NVSP_STATUS_INVALID_RNDIS_PKT);
	assert_int_equal(b->nic.sent, 0);
	bed_free(b);
}

static void messages_out_of_turn_do_nothing(void **state)
{
	struct bed *b = bed_new();
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PKT };
	struct fg_packet pkt;

	(void)state;
	/* Before INIT, of no known type, too short, a version too early, INIT twice. */
	for (unsigned i = 0; i < 5; i++) {
		u32 size = sizeof(m);

		m.type = i == 0 ? NVSP_SEND_RNDIS_PKT : i == 1 ? 9999u : i == 2 ? NVSP_INIT
			 : i == 3 ? NVSP_SUBCHANNEL : NVSP_INIT;
		if (i == 2)
			size = 4;
		if (i == 3)
			assert_int_equal(negotiate(b, NVSP_VERSION_4), NVSP_STATUS_SUCCESS);
		assert_int_equal(fg_send(&b->ch, 5, &m, size, true), 0);
		assert_int_equal(take(b, &pkt), 1);
		assert_int_equal(pkt.type, VMBUS_PACKET_COMPLETION);
		assert_int_equal(pkt.transaction_id, 5);
		assert_int_equal(pkt.payload_size, 0);
	}
	assert_int_equal(fg_send(&b->ch, 5, NULL, 0, true), 0);
	assert_int_equal(take(b, &pkt), 1);
	bed_free(b);
}

static void completions_of_nothing_do_nothing(void **state)
{
	struct bed *b = bed_new();
	struct fg_packet pkt;
	u64 id;

	(void)state;
	bring_up(b);
	arrive(b, 60, 1);
	arrive(b, 60, 2);
	expect_data(b, &pkt);
	id = pkt.transaction_id;
	for (u64 i = 0; i < 200; i++)
		if (i != id)
			fg_complete(&b->ch, i, NULL, 0), fg_pump(&b->g);
	fg_complete(&b->ch, UINT64_MAX, NULL, 0);
	fg_complete(&b->ch, 65536 + id, NULL, 0);
	done_with(b, &pkt);
	done_with(b, &pkt); /* and once more */
	/* All slots are there, each once: they can be filled and told apart. */
	for (u32 i = 0; b->nic.enabled; i++) {
		assert_true(i < b->section.num_sub_allocs);
		arrive(b, 60, (u8)i);
		expect_data(b, &pkt);
		expect_range(b, &pkt, 0, 60, (u8)i);
	}
	bed_free(b);
}

static void a_control_flood_is_refused_not_queued(void **state)
{
	struct bed *b = bed_new();
	u32 keepalive[] = { RNDIS_KEEPALIVE, 12, 1 };
	struct fg_range range = { b->scratch, 12 };
	u32 busy = 0;

	(void)state;
	b->recv_bytes = 5 * GUEST_PAGE_SIZE;
	bring_up(b);
	memcpy(fg_ptr(&b->g, b->scratch, 12), keepalive, 12);
	for (unsigned i = 0; i < 20; i++) {
		u64 id = transmit(b, NVSP_CHANNEL_CONTROL, NVSP_NO_SECTION, 0, &range, 1);
		struct fg_packet pkt;

		/* Answers are read and never completed. */
		while (take(b, &pkt) == 1)
			if (pkt.type == VMBUS_PACKET_COMPLETION && pkt.transaction_id == id)
				busy += message_of(&pkt).rndis_pkt_complete.status == NVSP_STATUS_BUSY;
	}
	assert_int_equal(busy, 20 - 11);
	bed_free(b);
}

static u32 random_u32(u64 *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(*seed >> 33);
}

/* Any packet after any other; the sanitizers are the judge, and the channel must live on. */
static void random_packets_do_no_harm(void **state)
{
	static const u32 types[] = { 1, 100, 101, 103, 104, 106, 107, 107, 107, 107, 125, 129, 131, 133 };
	u64 seed = 42;

	(void)state;
	for (unsigned life = 0; life < 20; life++) {
		struct bed *b = bed_new();

		if (life & 1)
			bring_up(b);
		for (unsigned round = 0; round < 500; round++) {
			struct nvsp_message m = { .type = types[random_u32(&seed) % ARRAY_SIZE(types)] };
			struct fg_range range[3];
			struct fg_packet pkt;
			u32 *word = (u32 *)m.bytes;
			u8 *scratch = fg_ptr(&b->g, b->scratch, 8 * GUEST_PAGE_SIZE);
			u32 at = 0;

			for (unsigned i = 0; i < 9; i++)
				word[i] = random_u32(&seed) % 3 ? random_u32(&seed) % 4
								: random_u32(&seed);
			if (m.type == NVSP_INIT)
				word[1] = UINT32_MAX;
			if (m.type < 107 && random_u32(&seed) % 2)
				word[0] = random_u32(&seed) % 2 ? b->recv_gpadl : b->send_gpadl;
			for (unsigned i = 0; i < 4; i++)
				at += put_message(scratch + at, random_u32(&seed) % 300 + 14, 1);
			for (unsigned i = random_u32(&seed) % 4; i--;)
				memcpy(scratch + random_u32(&seed) % 200, &seed, 4);
			if (random_u32(&seed) % 3 == 0)
				memcpy(scratch, (u32[]){ random_u32(&seed) % 10, at }, 8);
			for (unsigned i = 0; i < 3; i++)
				range[i] = (struct fg_range){ b->scratch + random_u32(&seed) % 3 * 100,
							      random_u32(&seed) % 400 };
			range[0].gpa = b->scratch;
			if (random_u32(&seed) % 2)
				fg_send_gpa_direct(&b->ch, random_u32(&seed), range,
						   1 + random_u32(&seed) % 3, &m, sizeof(m));
			else
				fg_send(&b->ch, random_u32(&seed), &m, random_u32(&seed) % 41,
					random_u32(&seed) % 2);
			fg_complete(&b->ch, random_u32(&seed) % 160, NULL, 0);
			if (b->nic.loop && b->nic.enabled)
				arrive(b, 60 + random_u32(&seed) % 1000, 5);
			while (random_u32(&seed) % 8 && take(b, &pkt) == 1)
				;
		}
		assert_int_equal(fg_close(&b->ch), 0);
		bed_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_versions_are_agreed_on),
		cmocka_unit_test(a_range_of_versions_gives_the_best),
		cmocka_unit_test(the_receive_buffer_is_one_section),
		cmocka_unit_test(a_larger_mtu_gets_larger_slots),
		cmocka_unit_test(buffers_that_are_not_there_are_refused),
		cmocka_unit_test(subchannels_are_none),
		cmocka_unit_test(the_default_address_follows_the_number),
		cmocka_unit_test(frames_leave_by_the_send_buffer),
		cmocka_unit_test(frames_leave_from_anywhere),
		cmocka_unit_test(a_frame_the_network_drops_is_no_error),
		cmocka_unit_test(frames_of_one_turn_arrive_in_one_packet),
		cmocka_unit_test(frames_not_asked_for_stay_out),
		cmocka_unit_test(without_slots_the_network_waits),
		cmocka_unit_test(slots_given_back_let_the_network_go_on),
		cmocka_unit_test(a_full_ring_makes_the_network_wait),
		cmocka_unit_test(a_closed_channel_can_be_opened_again),
		cmocka_unit_test(a_new_connection_starts_afresh),
		cmocka_unit_test(revoked_buffers_are_not_used),
		cmocka_unit_test(memory_that_is_not_there_is_refused),
		cmocka_unit_test(messages_out_of_turn_do_nothing),
		cmocka_unit_test(completions_of_nothing_do_nothing),
		cmocka_unit_test(a_control_flood_is_refused_not_queued),
		cmocka_unit_test(random_packets_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
