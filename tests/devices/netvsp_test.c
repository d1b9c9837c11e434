/* SPDX-License-Identifier: BSD-2-Clause */
/* The synthetic NIC with a guest that behaves. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "tests/devices/netvsp_bed.h"

/* ---- Set-up ---------------------------------------------------------------------------------- */

static void known_versions_are_agreed_on(void **state)
{
	static const u32 good[] = { NVSP_VERSION_1, NVSP_VERSION_2, NVSP_VERSION_4,
				    NVSP_VERSION_5, NVSP_VERSION_6, NVSP_VERSION_61 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		struct bed *b = bed_new();

		assert_int_not_equal(bed_negotiate(b, 0x70000), NVSP_STATUS_SUCCESS);
		assert_int_not_equal(bed_negotiate(b, 0x30003), NVSP_STATUS_SUCCESS);
		assert_int_equal(bed_negotiate(b, good[i]), NVSP_STATUS_SUCCESS);
		bed_free(b);
	}
}

static void a_range_of_versions_gives_the_best(void **state)
{
	struct bed *b = bed_new();
	struct nvsp_message m = { .type = NVSP_INIT, .init = { 0, UINT32_MAX } };

	(void)state;
	m = bed_request(b, &m);
	assert_int_equal(m.init_complete.status, NVSP_STATUS_SUCCESS);
	assert_int_equal(m.init_complete.version, NVSP_VERSION_61);
	bed_free(b);
}

static void the_receive_buffer_is_one_section(void **state)
{
	struct bed *b = bed_new();

	(void)state;
	bed_negotiate(b, NVSP_VERSION_61);
	assert_int_equal(bed_share_recv(b), NVSP_STATUS_SUCCESS);
	assert_int_equal(b->section.offset, 0);
	assert_int_equal(b->section.sub_alloc_size, 1728);
	assert_int_equal(b->section.num_sub_allocs, RECV_PAGES * GUEST_PAGE_SIZE / 1728);
	assert_int_equal(b->section.end_offset, 1728 * b->section.num_sub_allocs);
	assert_int_equal(bed_share_send(b), NVSP_STATUS_SUCCESS);
	assert_int_equal(b->send_section, 6144);
	bed_free(b);
}

static void a_larger_mtu_gets_larger_slots(void **state)
{
	struct bed *b = bed_new();
	struct nvsp_message m = { .type = NVSP_SEND_NDIS_CONFIG, .ndis_config = { .mtu = 9014 } };

	(void)state;
	bed_negotiate(b, NVSP_VERSION_6);
	bed_tell(b, &m);
	assert_int_equal(bed_share_recv(b), NVSP_STATUS_SUCCESS);
	assert_true(b->section.sub_alloc_size >= 9014 + 4 + 44);
	bed_free(b);
}

static void buffers_that_are_not_there_are_refused(void **state)
{
	struct bed *b = bed_new();
	struct nvsp_message recv = { .type = NVSP_SEND_RECV_BUF, .send_buf = { 4711, RECV_ID, 0 } };
	struct nvsp_message send = { .type = NVSP_SEND_SEND_BUF, .send_buf = { 4711, 0, 0 } };

	(void)state;
	bed_negotiate(b, NVSP_VERSION_61);
	assert_int_equal(bed_request(b, &recv).recv_buf_complete.status, NVSP_STATUS_FAIL);
	assert_int_equal(bed_request(b, &send).send_buf_complete.status, NVSP_STATUS_FAIL);
	b->recv_bytes = GUEST_PAGE_SIZE; /* not four slots */
	assert_int_equal(bed_share_recv(b), NVSP_STATUS_FAIL);
	b->recv_bytes = RECV_PAGES * GUEST_PAGE_SIZE;
	assert_int_equal(bed_share_recv(b), NVSP_STATUS_SUCCESS);
	assert_int_equal(bed_share_recv(b), NVSP_STATUS_FAIL);
	bed_free(b);
}

static void subchannels_are_none(void **state)
{
	struct bed *b = bed_new();
	struct nvsp_message m = { .type = NVSP_SUBCHANNEL, .subchannel = { 1, 3 } };

	(void)state;
	bed_negotiate(b, NVSP_VERSION_61);
	m = bed_request(b, &m);
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
	bed_bring_up(b);
	at = fg_ptr(&b->g, b->send + 2 * b->send_section, b->send_section);
	len = bed_put_message(at, 60, 1);
	len += bed_put_message(at + len, 1514, 2);
	len += bed_put_message(at + len, 100, 3);
	id = bed_transmit(b, NVSP_CHANNEL_DATA, 2, len, NULL, 0);
	assert_int_equal(bed_transmit_status(b, id), NVSP_STATUS_SUCCESS);
	assert_int_equal(b->nic.sent, 3);
	bed_expect_sent(b, 0, 60, 1);
	bed_expect_sent(b, 1, 1514, 2);
	bed_expect_sent(b, 2, 100, 3);
	bed_free(b);
}

static void frames_leave_from_anywhere(void **state)
{
	struct bed *b = bed_new();
	u32 len = bed_put_message(fg_ptr(&b->g, b->scratch, 4096), 1000, 7), half = 333;
	/* The second half elsewhere, over a page boundary. */
	gpa_t there = b->scratch + 3 * GUEST_PAGE_SIZE - 100;
	struct fg_range range[2] = { { b->scratch, half }, { there, len - half } };
	u64 id;

	(void)state;
	bed_bring_up(b);
	bed_put_message(fg_ptr(&b->g, b->scratch, 4096), 1000, 7);
	memcpy(fg_ptr(&b->g, there, len - half), fg_ptr(&b->g, b->scratch + half, len - half),
	       len - half);
	id = bed_transmit(b, NVSP_CHANNEL_DATA, NVSP_NO_SECTION, 0, range, 2);
	assert_int_equal(bed_transmit_status(b, id), NVSP_STATUS_SUCCESS);
	bed_expect_sent(b, 0, 1000, 7);
	/* Its header in the send buffer, as Linux does when a batch ends with a large frame. */
	memcpy(fg_ptr(&b->g, b->send, half), fg_ptr(&b->g, b->scratch, half), half);
	id = bed_transmit(b, NVSP_CHANNEL_DATA, 0, half, &range[1], 1);
	assert_int_equal(bed_transmit_status(b, id), NVSP_STATUS_SUCCESS);
	bed_expect_sent(b, 1, 1000, 7);
	bed_free(b);
}

static void a_frame_the_network_drops_is_no_error(void **state)
{
	struct bed *b = bed_new();
	u64 id;

	(void)state;
	bed_bring_up(b);
	b->nic.error = -EAGAIN;
	bed_put_message(fg_ptr(&b->g, b->send, 4096), 60, 1);
	id = bed_transmit(b, NVSP_CHANNEL_DATA, 0, 104, NULL, 0);
	assert_int_equal(bed_transmit_status(b, id), NVSP_STATUS_SUCCESS);
	bed_free(b);
}

static void a_frame_behind_the_halt_is_lost_without_an_error(void **state)
{
	struct bed *b = bed_new();
	u64 id;

	(void)state;
	bed_bring_up(b);
	bed_halt(b);
	bed_put_message(fg_ptr(&b->g, b->send, 4096), 60, 1);
	id = bed_transmit(b, NVSP_CHANNEL_DATA, 0, 104, NULL, 0);
	assert_int_equal(bed_transmit_status(b, id), NVSP_STATUS_SUCCESS);
	assert_int_equal(b->nic.sent, 0);
	bed_free(b);
}

static void frames_of_one_turn_arrive_in_one_packet(void **state)
{
	struct bed *b = bed_new();
	struct fg_packet pkt;
	u32 interrupts;

	(void)state;
	bed_bring_up(b);
	for (unsigned round = 0; round < 1000; round++) {
		interrupts = fg_interrupts(&b->ch);
		assert_true(bed_arrive(b, 60, 1));
		assert_true(bed_arrive(b, 1514, 2));
		assert_true(bed_arrive(b, 14, 3));
		bed_expect_data(b, &pkt);
		assert_int_equal(pkt.range_count, 3);
		bed_expect_range(b, &pkt, 0, 60, 1);
		bed_expect_range(b, &pkt, 1, 1514, 2);
		bed_expect_range(b, &pkt, 2, 14, 3);
		assert_int_equal(fg_interrupts(&b->ch), interrupts + 1);
		bed_done_with(b, &pkt);
	}
	bed_free(b);
}

static void frames_not_asked_for_stay_out(void **state)
{
	struct bed *b = bed_new();
	struct fg_packet pkt;
	u8 frame[60] = { 2, 0, 0, 0, 0, 1 };

	(void)state;
	bed_bring_up(b);
	assert_true(b->nic.nic.receive(&b->nic.nic, frame, sizeof(frame)));
	assert_true(bed_arrive(b, 1728, 1)); /* longer than a slot */
	assert_int_equal(bed_take(b, &pkt), 0);
	bed_set_filter(b, 0);
	fg_pump(&b->g);
	assert_false(b->nic.enabled);
	assert_false(bed_arrive(b, 60, 1));
	bed_free(b);
}

static void without_slots_the_network_waits(void **state)
{
	struct bed *b = bed_new();
	struct fg_packet pkt;
	unsigned in = 0;

	(void)state;
	b->recv_bytes = 5 * GUEST_PAGE_SIZE; /* eleven slots, two of them for control messages */
	bed_bring_up(b);
	while (b->nic.enabled) {
		assert_true(bed_arrive(b, 60, (u8)in++));
		bed_expect_data(b, &pkt); /* and never completed */
	}
	assert_int_equal(in, 9);
	assert_false(bed_arrive(b, 60, 0));
	/* Control messages still pass. */
	bed_set_filter(b, NDIS_FILTER_BROADCAST);
	assert_false(b->nic.enabled);
	bed_free(b);
}

static void slots_given_back_let_the_network_go_on(void **state)
{
	struct bed *b = bed_new();
	struct fg_packet pkt[9];

	(void)state;
	b->recv_bytes = 5 * GUEST_PAGE_SIZE;
	bed_bring_up(b);
	for (unsigned i = 0; i < 9; i++) {
		assert_true(bed_arrive(b, 60, (u8)i));
		bed_expect_data(b, &pkt[i]);
	}
	assert_false(b->nic.enabled);
	for (unsigned i = 0; i < 9; i++) {
		bed_expect_range(b, &pkt[i], 0, 60, (u8)i);
		bed_done_with(b, &pkt[i]);
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
				 &small),
			 0);
	bed_bring_up(b);
	while (b->nic.enabled) {
		assert_true(bed_arrive(b, 60, (u8)in++));
		fg_pump(&b->g);
		assert_true(in < 150);
	}
	assert_true(in > 20);
	while (out < in) {
		bed_expect_data(b, &pkt);
		for (u32 i = 0; i < pkt.range_count; i++)
			bed_expect_range(b, &pkt, i, 60, (u8)out++);
		bed_done_with(b, &pkt);
	}
	assert_int_equal(bed_take(b, &pkt), 0);
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
		bed_bring_up(b);
		assert_true(bed_arrive(b, 60, 1)); /* on its way when the channel closes */
		assert_int_equal(fg_close(&b->ch), 0);
		assert_null(b->nic.loop);
		assert_int_equal(fg_gpadl_teardown(&b->g, b->ch.relid, b->recv_gpadl), 0);
		assert_int_equal(fg_gpadl_teardown(&b->g, b->ch.relid, b->send_gpadl), 0);
		assert_int_equal(
			fg_open(&b->g, &b->ch,
				fg_offer_find(&b->g, &netvsp_device(b->netvsp)->ops->type, 0),
				NULL),
			0);
	}
	bed_bring_up(b);
	assert_true(bed_arrive(b, 60, 9));
	bed_expect_data(b, &pkt);
	bed_expect_range(b, &pkt, 0, 60, 9);
	bed_free(b);
}

static void a_new_connection_starts_afresh(void **state)
{
	struct bed *b = bed_new();

	(void)state;
	bed_bring_up(b);
	assert_int_equal(fg_unload(&b->g), 0);
	assert_null(b->nic.loop);
	bed_connect(b);
	bed_bring_up(b);
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
	bed_bring_up(b);
	assert_true(bed_arrive(b, 60, 1));
	bed_tell(b, &recv);
	bed_tell(b, &send);
	while (bed_take(b, &pkt) == 1)
		;
	assert_false(b->nic.enabled);
	assert_false(bed_arrive(b, 60, 1));
	assert_int_equal(fg_gpadl_teardown(&b->g, b->ch.relid, b->recv_gpadl), 0);
	assert_int_equal(fg_gpadl_teardown(&b->g, b->ch.relid, b->send_gpadl), 0);
	id = bed_transmit(b, NVSP_CHANNEL_DATA, 0, 104, NULL, 0);
	assert_int_equal(bed_transmit_status(b, id), NVSP_STATUS_INVALID_RNDIS_PKT);
	assert_int_equal(bed_share_recv(b), NVSP_STATUS_SUCCESS);
	bed_free(b);
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
		cmocka_unit_test(a_frame_behind_the_halt_is_lost_without_an_error),
		cmocka_unit_test(frames_of_one_turn_arrive_in_one_packet),
		cmocka_unit_test(frames_not_asked_for_stay_out),
		cmocka_unit_test(without_slots_the_network_waits),
		cmocka_unit_test(slots_given_back_let_the_network_go_on),
		cmocka_unit_test(a_full_ring_makes_the_network_wait),
		cmocka_unit_test(a_closed_channel_can_be_opened_again),
		cmocka_unit_test(a_new_connection_starts_afresh),
		cmocka_unit_test(revoked_buffers_are_not_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
