/* SPDX-License-Identifier: BSD-2-Clause */
/* Reserved channels: open across connections, results to a target of their own, no interrupts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/vmbus/channel_bed.h"

static u64 out_of_place(struct channel_bed *f)
{
	struct vmbus_status status;

	vmbus_status(f->g.bus, &status);
	return status.out_of_place;
}

/* The only message there is; its target. */
static void expect_at(struct channel_bed *f, u32 type, u32 vp, u32 sint)
{
	u8 msg[VMBUS_MESSAGE_MAX];

	assert_int_equal(f->g.message_count, 1);
	assert_int_equal(f->g.message[0].vp, vp);
	assert_int_equal(f->g.message[0].sint, sint);
	assert_true(fg_take(&f->g, type, msg, sizeof(msg)) > 0);
}

static void close_reserved(struct channel_bed *f, u32 relid, u32 vp, u32 sint)
{
	struct vmbus_msg_close_reserved msg = {
		.header.msgtype = VMBUS_MSG_CLOSE_RESERVED_CHANNEL,
		.child_relid = relid,
		.target_vp = vp,
		.target_sint = sint,
	};

	assert_int_equal(fg_post_raw(&f->g, VMBUS_MESSAGE_CONNECTION_ID, &msg, sizeof(msg)), 0);
	fg_pump(&f->g);
}

static int setup(void **state)
{
	struct channel_bed *f;

	bed_setup_closed(state);
	f = *state;
	assert_int_equal(fg_open_reserved(&f->g, &f->ch, bed_offer(f, 0), 2, 9), 0);
	f->g.message_count = 0;
	return 0;
}

/* It carries packets, whatever becomes of the connection. */
static void expect_alive(struct channel_bed *f)
{
	unsigned before = f->p[0].packets;

	f->p[0].to_send = 1;
	assert_int_equal(fg_send(&f->ch, 1, "x", 1, false), 0);
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].packets, before + 1);
	assert_int_equal(bed_recv_all(f), 1);
	assert_int_equal(fg_interrupts(&f->ch), 0);
	assert_int_equal(f->p[0].closed, 0);
}

static void results_go_where_it_says(void **state)
{
	struct channel_bed *f = *state;
	struct vmbus_msg_open_reserved msg = {
		.header.msgtype = VMBUS_MSG_OPEN_RESERVED_CHANNEL,
		.child_relid = f->p[0].dev.primary->relid,
		.target_vp = 3,
		.target_sint = 5,
		.ringbuffer_gpadlhandle = 1,
	};
	struct vmbus_msg_open_result result;

	assert_int_equal(fg_post(&f->g, &msg, sizeof(msg)), 0);
	assert_int_equal(f->g.message[0].vp, 3);
	assert_int_equal(f->g.message[0].sint, 5);
	assert_true(fg_take(&f->g, VMBUS_MSG_OPEN_CHANNEL_RESULT, &result, sizeof(result)) > 0);
	assert_int_not_equal(result.status, 0);
	assert_int_equal(result.openid, 0);
	assert_false(f->p[0].dev.primary->reserved);
	/* A target that is not there: the result is lost, nothing else. */
	msg.target_vp = ~0u;
	msg.target_sint = 16;
	assert_int_equal(fg_post(&f->g, &msg, sizeof(msg)), 0);
	f->g.message_count = 0;
	assert_int_equal(fg_open(&f->g, &f->ch, bed_offer(f, 0), NULL), 0);
}

static void it_outlives_connections(void **state)
{
	struct channel_bed *f = *state;
	struct fg_channel other;

	expect_alive(f);
	assert_int_equal(fg_unload(&f->g), 0);
	expect_alive(f);
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(fg_request_offers(&f->g), 0);
	/* The next guest is not offered it, and may use the same handles for others. */
	assert_int_equal(f->g.offer_count, 1);
	f->g.next_gpadl = f->ch.ring_gpadl;
	assert_int_equal(fg_open(&f->g, &other, bed_offer(f, 1), NULL), 0);
	assert_int_equal(other.ring_gpadl, f->ch.ring_gpadl);
	assert_int_equal(fg_close(&other), 0);
	expect_alive(f);
	f->g.message_count = 0;
	close_reserved(f, f->ch.relid, 1, 4);
	expect_at(f, VMBUS_MSG_CLOSE_RESERVED_RESPONSE, 1, 4);
	assert_int_equal(f->p[0].closed, 1);
	assert_int_equal(fg_signal(&f->ch), -ENOENT);
	/* From then on it is like others. */
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(f->g.bus->gpadl_count, 0);
	assert_int_equal(fg_request_offers(&f->g), 0);
	assert_int_equal(f->g.offer_count, 2);
}

static void it_closes_without_a_connection(void **state)
{
	struct channel_bed *f = *state;

	assert_int_equal(fg_unload(&f->g), 0);
	f->p[0].hold_close = true;
	close_reserved(f, f->ch.relid, 1, 4);
	assert_int_equal(fg_count(&f->g, 0), 0);
	/* Nor does a new connection wait for it. */
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(fg_unload(&f->g), 0);
	channel_closed(f->p[0].ch);
	fg_pump(&f->g);
	expect_at(f, VMBUS_MSG_CLOSE_RESERVED_RESPONSE, 1, 4);
	assert_null(offer_find(f->g.bus, f->ch.relid));
	assert_int_equal(f->g.bus->gpadl_count, 0);
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(fg_request_offers(&f->g), 0);
	assert_int_equal(f->g.offer_count, 2);
}

static void ordinary_messages_do_not_reach_it(void **state)
{
	struct channel_bed *f = *state;
	u32 relid = f->ch.relid, id;
	struct vmbus_msg_relid close = { .header.msgtype = VMBUS_MSG_CLOSE_CHANNEL,
					 .child_relid = relid };

	assert_int_equal(fg_post(&f->g, &close, sizeof(close)), 0);
	assert_int_equal(fg_release(&f->g, relid), 0);
	assert_int_equal(fg_modify(&f->ch, 1), -EPROTO);
	assert_int_not_equal(bed_open_status(f, relid, f->ch.ring_gpadl, 17, 0), 0);
	assert_int_equal(fg_gpadl_teardown(&f->g, relid, f->ch.ring_gpadl), -ETIMEDOUT);
	assert_int_equal(fg_gpadl_create(&f->g, relid, MiB(8), 4096, &id), -EPROTO);
	assert_int_equal(out_of_place(f), 5);
	expect_alive(f);
	/* And its messages do not reach others. */
	assert_int_equal(fg_open(&f->g, &f->ch2, bed_offer(f, 1), NULL), 0);
	close_reserved(f, f->ch2.relid, 0, 2);
	close_reserved(f, 99, 0, 2);
	assert_int_equal(f->p[1].closed, 0);
	assert_int_equal(out_of_place(f), 7);
	assert_int_equal(fg_count(&f->g, 0), 0);
}

static void it_can_be_taken_away(void **state)
{
	struct channel_bed *f = *state;

	assert_int_equal(fg_unload(&f->g), 0);
	vmbus_rescind(&f->p[0].dev);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].closed, 1);
	assert_null(f->p[0].dev.primary);
	assert_int_equal(f->g.bus->gpadl_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bed_setup_closed, results_go_where_it_says),
		TEST(setup, it_outlives_connections),
		TEST(setup, it_closes_without_a_connection),
		TEST(setup, ordinary_messages_do_not_reach_it),
		TEST(setup, it_can_be_taken_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
