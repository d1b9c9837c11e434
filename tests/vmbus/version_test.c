/* SPDX-License-Identifier: BSD-2-Clause */
/* What each protocol version, and each feature of 6.0, changes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/vmbus/channel_bed.h"

static const u32 versions[] = { 0x0000d, 0x10001, 0x20004, 0x30000, 0x40000, 0x40001,
				0x50000, 0x50001, 0x50002, 0x50003, 0x60000 };

static u64 out_of_place(struct channel_bed *f)
{
	struct vmbus_status status;

	vmbus_status(f->g.bus, &status);
	return status.out_of_place;
}

static void reconnect(struct channel_bed *f, u32 version)
{
	assert_int_equal(fg_connect(&f->g, version), 0);
	assert_int_equal(fg_request_offers(&f->g), 0);
}

/* ---- Messages -------------------------------------------------------------------------------- */

/* The first version a message is looked at in; 0: none; with a feature where named. */
static const struct {
	u32 type, since, feature;
} first[] = {
	{ VMBUS_MSG_REQUEST_OFFERS, 0x0000d, 0 },
	{ VMBUS_MSG_OPEN_CHANNEL, 0x0000d, 0 },
	{ VMBUS_MSG_CLOSE_CHANNEL, 0x0000d, 0 },
	{ VMBUS_MSG_GPADL_HEADER, 0x0000d, 0 },
	{ VMBUS_MSG_OPEN_RESERVED_CHANNEL, 0x40000, 0 },
	{ VMBUS_MSG_TL_CONNECT_REQUEST, 0x40000, 0 },
	{ VMBUS_MSG_MODIFY_CHANNEL, 0x40001, 0 },
	{ VMBUS_MSG_MODIFY_CONNECTION, 0x60000, VMBUS_FEATURE_MODIFY_CONNECTION },
	{ VMBUS_MSG_PAUSE, 0x60000, VMBUS_FEATURE_PAUSE_RESUME },
	{ VMBUS_MSG_RESUME, 0x60000, VMBUS_FEATURE_PAUSE_RESUME },
};

/* Was the message handed to its handler? log_guest() counts refusals by the table. */
static bool handled(struct channel_bed *f, u32 type)
{
	u64 before = f->g.bus->bad_message.count;
	u8 msg[VMBUS_MESSAGE_MAX] = { (u8)type };

	assert_int_equal(fg_post(&f->g, msg, sizeof(msg)), 0);
	return f->g.bus->bad_message.count == before;
}

static void messages_have_their_versions(void **state)
{
	struct channel_bed *f = *state;

	for (size_t v = 0; v < ARRAY_SIZE(versions); v++) {
		for (size_t i = 0; i < ARRAY_SIZE(first); i++) {
			f->g.features = first[i].feature;
			assert_int_equal(fg_connect(&f->g, versions[v]), 0);
			assert_int_equal(handled(f, first[i].type), versions[v] >= first[i].since);
			/* Not negotiated, not there. */
			f->g.features = 0;
			assert_int_equal(fg_connect(&f->g, versions[v]), 0);
			if (first[i].feature)
				assert_false(handled(f, first[i].type));
		}
	}
}

static void host_messages_are_not_for_the_host(void **state)
{
	static const u8 types[] = { 0, 1, 2, 4, 6, 10, 12, 15, 17, 20, 23, 24, 26, 28, 30, 255 };
	struct channel_bed *f = *state;

	f->g.features = ~0u;
	assert_int_equal(fg_connect(&f->g, 0x60000), 0);
	f->g.message_count = 0;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		assert_false(handled(f, types[i]));
	assert_int_equal(out_of_place(f), ARRAY_SIZE(types));
	assert_int_equal(f->g.message_count, 0);
}

static void answers_have_their_versions(void **state)
{
	struct channel_bed *f = *state;
	struct vmbus_msg_tl_connect_request tl = { .header.msgtype = VMBUS_MSG_TL_CONNECT_REQUEST };

	for (size_t v = 0; v < ARRAY_SIZE(versions); v++) {
		u32 version = versions[v];

		reconnect(f, version);
		assert_int_equal(fg_open(&f->g, &f->ch, bed_offer(f, 0), NULL), 0);
		assert_int_equal(fg_post(&f->g, &tl, sizeof(tl)), 0);
		assert_int_equal(fg_count(&f->g, VMBUS_MSG_TL_CONNECT_RESULT), version >= 0x40001);
		f->g.modify_unawaited = true;
		assert_int_equal(fg_modify(&f->ch, 1), 0);
		f->g.modify_unawaited = false;
		assert_int_equal(fg_count(&f->g, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE),
				 version >= 0x50003);
		assert_int_equal(channel_target_vp(f->p[0].ch), version >= 0x40001);
		f->g.message_count = 0;
	}
}

/* 0.13 ends offers before the fields it does not know. */
static void offers_have_their_size(void **state)
{
	struct channel_bed *f = *state;
	struct vmbus_msg_header request = { .msgtype = VMBUS_MSG_REQUEST_OFFERS };
	struct vmbus_msg_offer_channel offer;

	for (size_t v = 0; v < ARRAY_SIZE(versions); v++) {
		assert_int_equal(fg_connect(&f->g, versions[v]), 0);
		assert_int_equal(fg_post(&f->g, &request, sizeof(request)), 0);
		assert_int_equal(fg_take(&f->g, VMBUS_MSG_OFFER_CHANNEL, &offer, sizeof(offer)),
				 versions[v] == 0x0000d ? 190 : 196);
		f->g.message_count = 0;
	}
}

/* ---- Contact --------------------------------------------------------------------------------- */

static void id_1_names_no_sint(void **state)
{
	struct channel_bed *f = *state;
	struct vmbus_msg_initiate_contact msg = {
		.header.msgtype = VMBUS_MSG_INITIATE_CONTACT,
		.vmbus_version_requested = VMBUS_VERSION_WIN10_V5_3,
		.msg_sint = 7,
		.msg_vtl = 3,
	};

	f->g.message_count = 0;
	assert_int_equal(fg_post_raw(&f->g, VMBUS_MESSAGE_CONNECTION_ID, &msg, sizeof(msg)), 0);
	fg_pump(&f->g);
	assert_int_equal(f->g.message_count, 1);
	assert_int_equal(f->g.message[0].sint, VMBUS_SINT);
	assert_int_equal(f->g.bus->state, CONNECTION_UP);
	assert_int_equal(fg_post_raw(&f->g, VMBUS_MESSAGE_CONNECTION_ID_4, &msg, sizeof(msg)), 0);
	fg_pump(&f->g);
	assert_int_equal(f->g.bus->state, CONNECTION_NONE);
}

static void other_vtls_are_refused(void **state)
{
	struct channel_bed *f = *state;

	f->g.msg_vtl = 2;
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5), 0);
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_1), -ECONNREFUSED);
	f->g.msg_vtl = 0;
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_1), 0);
}

static void pages_must_be_pages(void **state)
{
	struct channel_bed *f = *state;
	static const gpa_t bad[][2] = {
		{ MiB(1), 0 },          { 0, MiB(1) },
		{ MiB(1) + 8, MiB(2) }, { MiB(1), MiB(2) + 4095 },
		{ MiB(1), 1ull << 40 }, { 1ull << 40, MiB(1) },
		{ MiB(1), ~4095ull },   { ~4095ull, ~4095ull },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		memcpy(f->g.monitor_page, bad[i], sizeof(bad[i]));
		assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), -ECONNREFUSED);
		assert_int_equal(f->g.connection_state, VMBUS_CONNECTION_FAILED_UNKNOWN);
		/* Older guests do not look at the state. */
		assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN7), -ECONNREFUSED);
		assert_int_equal(f->g.connection_state, 0);
		assert_int_equal(f->g.bus->state, CONNECTION_NONE);
	}
	f->g.monitor_page[0] = MiB(1);
	f->g.monitor_page[1] = MiB(2);
	f->g.interrupt_page = MiB(3) + 1;
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN7), -ECONNREFUSED);
	f->g.interrupt_page = 1ull << 40;
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN7), -ECONNREFUSED);
	assert_null(f->g.bus->monitor_page);
	/* From 2.4 on nobody looks at it. */
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN8), 0);
	f->g.interrupt_page = MiB(3);
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN7), 0);
}

static void features_are_negotiated(void **state)
{
	struct channel_bed *f = *state;
	struct vmbus_msg_initiate_contact msg = {
		.header.msgtype = VMBUS_MSG_INITIATE_CONTACT,
		.vmbus_version_requested = VMBUS_VERSION_V6_0,
		.msg_sint = VMBUS_SINT,
		.feature_flags = VMBUS_FEATURE_CLIENT_ID,
	};

	f->g.features = 0xffffffff;
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_V6_0), 0);
	/* No confidential channels, no monitor pages of ours, no pinning. */
	assert_int_equal(f->g.features_got, 0x2f);
	f->g.features = VMBUS_FEATURE_PAUSE_RESUME;
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_V6_0), 0);
	assert_int_equal(f->g.features_got, VMBUS_FEATURE_PAUSE_RESUME);
	/* Before 6.0 the same bytes mean nothing. */
	msg.vmbus_version_requested = VMBUS_VERSION_WIN10_V5_3;
	fg_post_raw(&f->g, VMBUS_MESSAGE_CONNECTION_ID_4, &msg, sizeof(msg));
	fg_pump(&f->g);
	assert_int_equal(f->g.bus->version, VMBUS_VERSION_WIN10_V5_3);
	assert_int_equal(f->g.bus->features, 0);
	/* Who promises an id must bring it. */
	msg.vmbus_version_requested = VMBUS_VERSION_V6_0;
	fg_post_raw(&f->g, VMBUS_MESSAGE_CONNECTION_ID_4, &msg, sizeof(msg));
	fg_pump(&f->g);
	assert_int_equal(f->g.bus->version, VMBUS_VERSION_WIN10_V5_3);
	assert_int_equal(out_of_place(f), 1);
}

/* ---- Features -------------------------------------------------------------------------------- */

static void guests_choose_their_signals(void **state)
{
	struct channel_bed *f = *state;

	f->g.features = VMBUS_FEATURE_GUEST_SIGNALS | VMBUS_FEATURE_INTERRUPT_REDIRECTION;
	f->g.open_connection_id = 0x123456;
	f->g.open_event_flag = 2047;
	reconnect(f, VMBUS_VERSION_V6_0);
	assert_int_equal(fg_open(&f->g, &f->ch, bed_offer(f, 0), NULL), 0);
	fg_pump(&f->g);
	f->p[0].to_send = 1;
	assert_int_equal(fg_signal(&f->ch), 0);
	fg_pump(&f->g);
	assert_int_equal(f->g.last_event_flag, 2047);
	assert_int_equal(bed_recv_all(f), 1);
	/* Two channels cannot have the same. */
	assert_int_equal(fg_open(&f->g, &f->ch2, bed_offer(f, 1), NULL), -EPROTO);
	f->g.open_connection_id++;
	f->g.open_event_flag = 2048;
	assert_int_equal(fg_open(&f->g, &f->ch2, bed_offer(f, 1), NULL), -EPROTO);
	f->g.open_event_flag = 0;
	assert_int_equal(fg_open(&f->g, &f->ch2, bed_offer(f, 1), NULL), 0);
	assert_int_equal(fg_close(&f->ch), 0);
	assert_int_equal(fg_signal(&f->ch), -ENOENT);
	/* The short message is for others. */
	f->g.open_connection_id++;
	assert_int_equal(fg_open(&f->g, &f->ch, bed_offer(f, 0), NULL), 0);
	assert_int_equal(fg_close(&f->ch), 0);
	f->g.features_got = 0;
	assert_int_equal(fg_open(&f->g, &f->ch, bed_offer(f, 0), NULL), -ETIMEDOUT);
	assert_int_equal(out_of_place(f), 1);
}

static void redirection_alone_leaves_the_signals(void **state)
{
	struct channel_bed *f = *state;

	f->g.features = VMBUS_FEATURE_INTERRUPT_REDIRECTION;
	f->g.open_connection_id = 0x123456;
	f->g.open_event_flag = 2047;
	reconnect(f, VMBUS_VERSION_V6_0);
	assert_int_equal(fg_open(&f->g, &f->ch, bed_offer(f, 0), NULL), 0);
	fg_pump(&f->g);
	f->p[0].to_send = 1;
	assert_int_equal(fg_signal(&f->ch), 0);
	fg_pump(&f->g);
	assert_int_equal(f->g.last_event_flag, f->ch.relid);
}

static void a_pause_holds_messages_back(void **state)
{
	struct channel_bed *f = *state;
	struct vmbus_msg_header msg = { .msgtype = VMBUS_MSG_PAUSE };
	struct vmbus_msg_header offers = { .msgtype = VMBUS_MSG_REQUEST_OFFERS };

	f->g.features = VMBUS_FEATURE_PAUSE_RESUME;
	reconnect(f, VMBUS_VERSION_V6_0);
	/* What was said before the pause is said, however late; the response is the last. */
	f->g.slot_held = true;
	vmbus_rescind(&f->p[1].dev);
	assert_int_equal(fg_post(&f->g, &msg, sizeof(msg)), 0);
	vmbus_rescind(&f->p[0].dev);
	f->g.slot_held = false;
	vmbus_slot_free(f->g.bus);
	fg_pump(&f->g);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_RESCIND_CHANNEL_OFFER), 1);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_PAUSE_RESPONSE), 1);
	assert_false(f->g.bus->outq.waiting);
	/* Other messages are out of place. */
	assert_int_equal(fg_post(&f->g, &offers, sizeof(offers)), 0);
	assert_int_equal(fg_post(&f->g, &msg, sizeof(msg)), 0);
	assert_int_equal(out_of_place(f), 2);
	assert_int_equal(fg_count(&f->g, 0), 2);
	msg.msgtype = VMBUS_MSG_RESUME;
	assert_int_equal(fg_post(&f->g, &msg, sizeof(msg)), 0);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_RESCIND_CHANNEL_OFFER), 2);
	/* Unload and contact end it, too. */
	msg.msgtype = VMBUS_MSG_PAUSE;
	assert_int_equal(fg_post(&f->g, &msg, sizeof(msg)), 0);
	assert_int_equal(fg_unload(&f->g), 0);
	reconnect(f, VMBUS_VERSION_V6_0);
	assert_int_equal(fg_post(&f->g, &msg, sizeof(msg)), 0);
	reconnect(f, VMBUS_VERSION_V6_0);
}

/* However full the queue: what ends the pause needs no room. */
static void a_paused_guest_can_always_resume(void **state)
{
	struct channel_bed *f = *state;
	struct vmbus_msg_header msg = { .msgtype = VMBUS_MSG_PAUSE };

	f->g.features = VMBUS_FEATURE_PAUSE_RESUME;
	reconnect(f, VMBUS_VERSION_V6_0);
	f->g.message_count = 0;
	assert_int_equal(fg_post(&f->g, &msg, sizeof(msg)), 0);
	while (outq_room(&f->g.bus->outq) >= VMBUS_OUTQ_RESERVE)
		vmbus_post(f->g.bus, &msg, sizeof(msg));
	assert_int_equal(fg_count(&f->g, 0), 1);
	msg.msgtype = VMBUS_MSG_RESUME;
	assert_int_equal(fg_post(&f->g, &msg, sizeof(msg)), 0);
	assert_true(fg_count(&f->g, 0) > 1000);
}

static u8 modify_connection(struct channel_bed *f, gpa_t page1, gpa_t page2)
{
	struct vmbus_msg_modify_connection msg = {
		.header.msgtype = VMBUS_MSG_MODIFY_CONNECTION,
		.monitor_page1 = page1,
		.monitor_page2 = page2,
	};
	struct vmbus_msg_modify_connection_response response;

	assert_int_equal(fg_post(&f->g, &msg, sizeof(msg)), 0);
	assert_int_equal(
		fg_take(&f->g, VMBUS_MSG_MODIFY_CONNECTION_RESPONSE, &response, sizeof(response)),
		9);
	return response.connection_state;
}

static void monitor_pages_can_change(void **state)
{
	struct channel_bed *f = *state;

	f->g.features = VMBUS_FEATURE_MODIFY_CONNECTION;
	reconnect(f, VMBUS_VERSION_V6_0);
	assert_int_equal(modify_connection(f, MiB(1), MiB(2)), 0);
	assert_ptr_equal(f->g.bus->monitor_page, fg_ptr(&f->g, MiB(2), 4096));
	assert_int_equal(modify_connection(f, MiB(1), 0), VMBUS_CONNECTION_FAILED_UNKNOWN);
	assert_int_equal(modify_connection(f, MiB(1), MiB(2) + 1), VMBUS_CONNECTION_FAILED_UNKNOWN);
	assert_ptr_equal(f->g.bus->monitor_page, fg_ptr(&f->g, MiB(2), 4096));
	assert_int_equal(modify_connection(f, 0, 0), 0);
	assert_null(f->g.bus->monitor_page);
}

/* ---- Before 2.4 ------------------------------------------------------------------------------ */

/* Both directions with the interrupt page; target_vp of OPEN_CHANNEL means nothing. */
static void exchange_by_page(struct channel_bed *f, u32 version)
{
	const struct fg_open_params params = { .target_vp = 77 };
	u32 *page, flags;

	f->g.interrupt_page = fg_alloc(&f->g, 1);
	page = fg_ptr(&f->g, f->g.interrupt_page, GUEST_PAGE_SIZE);
	reconnect(f, version);
	assert_int_equal(fg_open(&f->g, &f->ch, bed_offer(f, 1), &params), 0);
	fg_pump(&f->g);
	f->g.interrupts[0] = 0;
	f->p[1].packets = 0;
	f->p[1].to_send = 1;
	assert_int_equal(fg_send(&f->ch, 1, "x", 1, false), 0);
	fg_pump(&f->g);
	assert_int_equal(f->p[1].packets, 1);
	assert_int_equal(f->g.interrupts[0], 1);
	assert_int_equal(fg_interrupts(&f->ch), 0);
	assert_int_equal(f->g.last_event_vp, 0);
	flags = __atomic_exchange_n(&page[0], 0, __ATOMIC_SEQ_CST);
	assert_int_equal(flags, 1u << f->ch.relid);
	assert_int_equal(page[512], 0);
	assert_int_equal(bed_recv_all(f), 1);
}

static void ws2008_shares_a_page_both_ways(void **state)
{
	struct channel_bed *f = *state;
	u32 *page;

	exchange_by_page(f, VMBUS_VERSION_WS2008);
	/* Flags of channels that are not open, or not there, or beyond: nothing happens. */
	page = fg_ptr(&f->g, f->g.interrupt_page, GUEST_PAGE_SIZE);
	memset(page, 0xff, GUEST_PAGE_SIZE);
	assert_int_equal(fg_signal(&f->ch), 0);
	fg_pump(&f->g);
	assert_int_equal(page[512], 0);
	assert_int_equal(page[519], 0);
	assert_int_equal(page[520], 0xffffffff);
	/* The shared id goes with the connection. */
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN8), 0);
	f->g.version = VMBUS_VERSION_WS2008;
	assert_int_equal(fg_signal(&f->ch), -ENOENT);
}

static void win7_signals_by_channel(void **state)
{
	struct channel_bed *f = *state;

	exchange_by_page(f, VMBUS_VERSION_WIN7);
	f->g.version = VMBUS_VERSION_WS2008;
	assert_int_equal(fg_signal(&f->ch), -ENOENT);
}

static void win8_leaves_the_page_alone(void **state)
{
	struct channel_bed *f = *state;
	u32 *page;

	f->g.interrupt_page = fg_alloc(&f->g, 1);
	page = fg_ptr(&f->g, f->g.interrupt_page, GUEST_PAGE_SIZE);
	reconnect(f, VMBUS_VERSION_WIN8);
	assert_int_equal(fg_open(&f->g, &f->ch, bed_offer(f, 1), NULL), 0);
	f->p[1].to_send = 1;
	assert_int_equal(fg_signal(&f->ch), 0);
	fg_pump(&f->g);
	assert_int_equal(fg_interrupts(&f->ch), 1);
	assert_int_equal(page[0], 0);
}

static void a_host_without_the_shared_id_refuses(void **state)
{
	struct channel_bed *f = *state;

	f->g.interrupt_page = fg_alloc(&f->g, 1);
	f->g.bind_error = -ENOSPC;
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WS2008), -ECONNREFUSED);
	f->g.bind_error = 0;
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WS2008), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bed_setup_closed, messages_have_their_versions),
		TEST(bed_setup_closed, host_messages_are_not_for_the_host),
		TEST(bed_setup_closed, answers_have_their_versions),
		TEST(bed_setup_closed, offers_have_their_size),
		TEST(bed_setup_closed, id_1_names_no_sint),
		TEST(bed_setup_closed, other_vtls_are_refused),
		TEST(bed_setup_closed, pages_must_be_pages),
		TEST(bed_setup_closed, features_are_negotiated),
		TEST(bed_setup_closed, guests_choose_their_signals),
		TEST(bed_setup_closed, redirection_alone_leaves_the_signals),
		TEST(bed_setup_closed, a_pause_holds_messages_back),
		TEST(bed_setup_closed, a_paused_guest_can_always_resume),
		TEST(bed_setup_closed, monitor_pages_can_change),
		TEST(bed_setup_closed, ws2008_shares_a_page_both_ways),
		TEST(bed_setup_closed, win7_signals_by_channel),
		TEST(bed_setup_closed, win8_leaves_the_page_alone),
		TEST(bed_setup_closed, a_host_without_the_shared_id_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
