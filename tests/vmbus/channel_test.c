/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Channels as the control loop has them: of which devices, opening, closing, where interrupts go.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/vmbus/channel_bed.h"

/* ---- Devices --------------------------------------------------------------------------------- */

static int open_nothing(struct vmbus_channel *ch)
{
	(void)ch;
	return -ECONNREFUSED;
}

static void ignore(struct vmbus_channel *ch)
{
	(void)ch;
}

static void save_nothing(struct vmbus_channel *ch, struct stream_out *out)
{
	(void)ch, (void)out;
}

static int restore_nothing(struct vmbus_channel *ch, struct stream_in *in)
{
	(void)ch, (void)in;
	return 0;
}

static void save_no_state(struct vmbus_device *dev, struct stream_out *out)
{
	(void)dev, (void)out;
}

static int restore_no_state(struct vmbus_device *dev, struct stream_in *in, bool apply)
{
	(void)dev, (void)in, (void)apply;
	return 0;
}

#define OPS(packet, ...)                                                                       \
	{                                                                                      \
		.name = "test", .packet_max = (packet), .open = open_nothing, .ready = ignore, \
		.close = ignore, __VA_ARGS__                                                   \
	}

/* What comes in pairs comes in pairs, and packets are neither too small nor too large. */
static void a_device_is_whole(void **state)
{
	static const struct vmbus_device_ops bad[] = {
		OPS(64, .detach = ignore),
		OPS(64, .attach = ignore),
		OPS(64, .save = save_nothing),
		OPS(64, .restore = restore_nothing),
		OPS(64, .save_state = save_no_state),
		OPS(64, .restore_state = restore_no_state),
		OPS(15, .type = { { 1 } }),
		OPS(VMBUS_PACKET_MAX + 1, .type = { { 1 } }),
	};
	static const struct vmbus_device_ops good[] = {
		OPS(16, .detach = ignore, .attach = ignore),
		OPS(VMBUS_PACKET_MAX, .save = save_nothing, .restore = restore_nothing,
		    .save_state = save_no_state, .restore_state = restore_no_state),
	};
	static struct vmbus_device dev[ARRAY_SIZE(good)];
	struct channel_bed *f = *state;

	for (u8 i = 0; i < ARRAY_SIZE(good); i++) {
		dev[i] = (struct vmbus_device){ .instance = { { 0x51, i } } };
		for (unsigned n = 0; n < ARRAY_SIZE(bad); n++) {
			dev[i].ops = &bad[n];
			assert_int_equal(vmbus_offer(f->g.bus, &dev[i]), -EINVAL);
		}
		dev[i].ops = &good[i];
		assert_int_equal(vmbus_offer(f->g.bus, &dev[i]), 0);
	}
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* Eight pages, one of which is there twice. */
static u32 header_twice(struct channel_bed *f, u32 relid, gpa_t gpa, u32 page, u32 also)
{
	u64 pfn[8];
	u32 id;

	for (u32 i = 0; i < 8; i++)
		pfn[i] = gpa / GUEST_PAGE_SIZE + (i == also ? page : i);
	assert_int_equal(fg_gpadl_create_pfns(&f->g, relid, 0, 8 * 4096, pfn, &id), 0);
	return id;
}

static void open_is_checked(void **state)
{
	struct channel_bed *f = *state;
	u32 relid = f->p[0].dev.primary->relid, other = f->p[1].dev.primary->relid;
	gpa_t gpa = fg_alloc(&f->g, 8);
	u32 id, odd, foreign;
	u32 *index = fg_ptr(&f->g, gpa, 8);

	assert_int_equal(fg_gpadl_create(&f->g, relid, gpa, 8 * 4096, &id), 0);
	assert_int_equal(fg_gpadl_create(&f->g, relid, gpa + 8, 7 * 4096, &odd), 0);
	assert_int_equal(fg_gpadl_create(&f->g, other, gpa, 8 * 4096, &foreign), 0);
	assert_int_not_equal(bed_open_status(f, 99, id, 4, 0), 0);
	assert_int_not_equal(bed_open_status(f, 0, id, 4, 0), 0);
	assert_int_not_equal(bed_open_status(f, ~0u, id, 4, 0), 0);
	assert_int_not_equal(bed_open_status(f, relid, id + 99, 4, 0), 0);
	assert_int_not_equal(bed_open_status(f, relid, odd, 4, 0), 0);
	assert_int_not_equal(bed_open_status(f, relid, foreign, 4, 0), 0);
	assert_int_not_equal(bed_open_status(f, relid, id, 0, 0), 0);
	assert_int_not_equal(bed_open_status(f, relid, id, 1, 0), 0);
	assert_int_not_equal(bed_open_status(f, relid, id, 7, 0), 0);
	assert_int_not_equal(bed_open_status(f, relid, id, 8, 0), 0);
	assert_int_not_equal(bed_open_status(f, relid, id, 9, 0), 0);
	assert_int_not_equal(bed_open_status(f, relid, id, 20000, 0), 0);
	assert_int_not_equal(bed_open_status(f, relid, id, ~0u, 0), 0);
	assert_int_not_equal(bed_open_status(f, relid, id, 4, 4), 0);
	index[0] = 3 * 4096;
	assert_int_not_equal(bed_open_status(f, relid, id, 4, 0), 0);
	index[0] = 4;
	assert_int_not_equal(bed_open_status(f, relid, id, 4, 0), 0);
	index[0] = 0;
	assert_int_not_equal(bed_open_status(f, relid, header_twice(f, relid, gpa, 0, 1), 4, 0), 0);
	assert_int_not_equal(bed_open_status(f, relid, header_twice(f, relid, gpa, 0, 4), 4, 0), 0);
	assert_int_not_equal(bed_open_status(f, relid, header_twice(f, relid, gpa, 4, 2), 4, 0), 0);
	assert_int_not_equal(bed_open_status(f, relid, header_twice(f, relid, gpa, 4, 7), 4, 0), 0);
	f->g.bind_error = -ENOSPC;
	assert_int_not_equal(bed_open_status(f, relid, id, 4, 0), 0);
	f->g.bind_error = 0;
	assert_int_equal(f->p[0].opened, 0);
	/* Nothing of all that is left: the same pages still open the channel. */
	assert_int_equal(bed_open_status(f, relid, id, 4, 0), 0);
	assert_int_not_equal(bed_open_status(f, relid, id, 4, 0), 0);
	assert_int_equal(f->p[0].opened, 1);
}

static void a_device_may_refuse(void **state)
{
	struct channel_bed *f = *state;

	f->p[0].open_result = -ENOMEM;
	f->p[0].to_send = 3;
	assert_int_equal(fg_open(&f->g, &f->ch, bed_offer(f, 0), NULL), -EPROTO);
	assert_int_equal(fg_signal(&f->ch), -ENOENT);
	assert_int_equal(fg_gpadl_teardown(&f->g, f->ch.relid, f->ch.ring_gpadl), 0);
	f->p[0].open_result = 0;
	assert_int_equal(fg_open(&f->g, &f->ch, bed_offer(f, 0), NULL), 0);
	assert_int_equal(f->p[0].closed, 0);
}

static void rings_are_given_back_when_the_device_is_done(void **state)
{
	struct channel_bed *f = *state;
	struct vmbus_msg_gpadl_torndown torndown;

	f->p[0].hold_close = true;
	assert_int_equal(fg_close(&f->ch), -ETIMEDOUT);
	assert_int_equal(f->p[0].closed, 1);
	/* Sent after the close: nobody there, and nothing breaks. */
	f->p[0].to_send = 2;
	probe_send(&f->p[0]);
	assert_int_equal(fg_send(&f->ch, 1, "x", 1, true), 0);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].packets, 0);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_GPADL_TORNDOWN), 0);
	channel_closed(f->p[0].ch);
	fg_pump(&f->g);
	assert_true(fg_take(&f->g, VMBUS_MSG_GPADL_TORNDOWN, &torndown, sizeof(torndown)) > 0);
	assert_int_equal(torndown.gpadl, f->ch.ring_gpadl);
	assert_int_equal(bed_recv_all(f), 0);
}

static void opened_again_before_it_is_closed(void **state)
{
	struct channel_bed *f = *state;
	struct fg_channel again;
	struct vmbus_msg_open_result result;

	f->p[0].hold_close = true;
	assert_int_equal(fg_close(&f->ch), -ETIMEDOUT);
	assert_int_equal(fg_open(&f->g, &again, bed_offer(f, 0), NULL), -ETIMEDOUT);
	assert_int_equal(f->p[0].opened, 1);
	channel_closed(f->p[0].ch);
	fg_pump(&f->g);
	assert_true(fg_take(&f->g, VMBUS_MSG_OPEN_CHANNEL_RESULT, &result, sizeof(result)) > 0);
	assert_int_equal(result.status, 0);
	assert_int_equal(f->p[0].opened, 2);
	assert_int_equal(fg_send(&again, 1, "x", 1, true), 0);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].packets, 1);
}

static void close_of_what_is_not_open(void **state)
{
	struct channel_bed *f = *state;
	struct vmbus_msg_relid msg = { .header.msgtype = VMBUS_MSG_CLOSE_CHANNEL };

	for (u32 relid = 0; relid < 300; relid++) {
		msg.child_relid = relid == f->ch.relid ? ~0u : relid;
		assert_int_equal(fg_post(&f->g, &msg, sizeof(msg)), 0);
	}
	assert_int_equal(f->p[0].closed, 0);
	assert_int_equal(f->g.bus->bad_channel.count, 300);
}

/* ---- What may come when ---------------------------------------------------------------------- */

/* Posts event `e` to relid; what the guest gets to hear: a status, or -1: nothing. */
static s64 event_answer(struct channel_bed *f, u32 relid, enum channel_event e)
{
	static const u8 type[] = {
		[EVENT_OPEN] = VMBUS_MSG_OPEN_CHANNEL,
		[EVENT_CLOSE] = VMBUS_MSG_CLOSE_CHANNEL,
		[EVENT_MODIFY] = VMBUS_MSG_MODIFY_CHANNEL,
		[EVENT_RELEASED] = VMBUS_MSG_RELID_RELEASED,
		[EVENT_OPEN_RESERVED] = VMBUS_MSG_OPEN_RESERVED_CHANNEL,
		[EVENT_CLOSE_RESERVED] = VMBUS_MSG_CLOSE_RESERVED_CHANNEL,
	};
	u32 msg[40] = { type[e], 0, relid }, answer[5];

	f->g.message_count = 0;
	assert_int_equal(fg_post(&f->g, msg, sizeof(msg)), 0);
	if (fg_take(&f->g, VMBUS_MSG_OPEN_CHANNEL_RESULT, answer, sizeof(answer)) > 0)
		return answer[4];
	if (fg_take(&f->g, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE, answer, sizeof(answer)) > 0)
		return answer[3];
	return -1;
}

/* For a channel that stays in its state: no event but those in `good` counts as good. */
static void expect_out_of_place(struct channel_bed *f, u32 relid, u32 good, u32 overtaken)
{
	for (u32 e = 0; e < EVENT_COUNT; e++) {
		struct vmbus_status before, after;
		s64 answer;

		if (good & 1u << e)
			continue;
		vmbus_status(f->g.bus, &before);
		answer = event_answer(f, relid, e);
		vmbus_status(f->g.bus, &after);
		assert_int_equal(after.out_of_place - before.out_of_place, !(overtaken & 1u << e));
		assert_int_equal(after.messages - before.messages, 1);
		assert_int_equal(answer != -1, e == EVENT_OPEN || e == EVENT_MODIFY);
		assert_int_not_equal(answer, 0);
	}
}

#define E(name) (1u << EVENT_##name)

static void every_event_in_every_state(void **state)
{
	struct channel_bed *f = *state;
	struct vmbus_channel *ch = f->p[0].dev.primary;
	u32 relid = ch->relid;

	expect_out_of_place(f, 0, 0, 0);
	expect_out_of_place(f, 77, 0, 0);
	expect_out_of_place(f, relid, E(OPEN) | E(RELEASED) | E(OPEN_RESERVED), 0);
	/* Opening: the loop does not run. */
	assert_int_equal(fg_open(&f->g, &f->ch, bed_offer(f, 0), NULL), 0);
	ch->state = CHANNEL_OPENING;
	expect_out_of_place(f, relid, 0, 0);
	ch->state = CHANNEL_OPEN;
	expect_out_of_place(f, relid, E(CLOSE) | E(MODIFY), 0);
	f->p[0].hold_close = true;
	assert_int_equal(fg_close(&f->ch), -ETIMEDOUT);
	assert_int_equal(ch->state, CHANNEL_CLOSING);
	expect_out_of_place(f, relid, E(OPEN) | E(RELEASED), 0);
	/* Rescinded: late, but no error. */
	vmbus_rescind(&f->p[0].dev);
	expect_out_of_place(f, relid, E(RELEASED), ~0u);
	assert_int_equal(fg_release(&f->g, relid), 0);
	channel_closed(f->p[0].ch);
	fg_pump(&f->g);
	assert_null(f->p[0].dev.primary);
}

static void released_while_it_closes(void **state)
{
	struct channel_bed *f = *state;

	f->p[0].hold_close = true;
	assert_int_equal(fg_close(&f->ch), -ETIMEDOUT);
	assert_int_equal(fg_release(&f->g, f->ch.relid), 0);
	assert_null(offer_find(f->g.bus, f->ch.relid));
	channel_closed(f->p[0].ch);
	fg_pump(&f->g);
	/* Not the host's wish: it is offered again with the next connection. */
	assert_int_equal(fg_offers_poll(&f->g), 0);
	assert_int_equal(f->g.bus->gpadl_count, 0);
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(fg_request_offers(&f->g), 0);
	assert_int_equal(f->g.offer_count, 2);
}

/* ---- Interrupts ------------------------------------------------------------------------------ */

static void the_target_can_move(void **state)
{
	struct channel_bed *f = *state;

	f->p[0].to_send = 1;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(f->g.last_event_vp, 0);
	assert_int_equal(f->g.last_event_sint, 2);
	assert_int_equal(bed_recv_all(f), 1);
	assert_int_equal(fg_modify(&f->ch, 3), 0);
	f->p[0].to_send = 1;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(f->g.last_event_vp, 3);
	assert_int_equal(channel_target_vp(f->p[0].ch), 3);
	assert_int_equal(fg_modify(&f->ch, 4), -EPROTO);
	assert_int_equal(fg_modify(&f->ch, ~0u), -EPROTO);
	assert_int_equal(fg_close(&f->ch), 0);
	assert_int_equal(fg_modify(&f->ch, 1), -EPROTO);
}

static void no_target_no_interrupt(void **state)
{
	struct channel_bed *f = *state;
	const struct fg_open_params params = { .target_vp = VMBUS_VP_NONE };

	assert_int_equal(fg_open(&f->g, &f->ch, bed_offer(f, 0), &params), 0);
	f->p[0].to_send = 1;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(fg_interrupts(&f->ch), 0);
	assert_int_equal(bed_recv_all(f), 1);
}

static void one_interrupt_for_a_batch(void **state)
{
	struct channel_bed *f = *state;

	f->p[0].to_send = 50;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(fg_interrupts(&f->ch), 1);
	/* Not empty, or masked: no need for one. */
	f->p[0].to_send = 1;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(fg_interrupts(&f->ch), 1);
	assert_int_equal(bed_recv_all(f), 51);
	f->ch.in.header->interrupt_mask = 1;
	f->p[0].to_send = 1;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(fg_interrupts(&f->ch), 1);
	assert_int_equal(bed_recv_all(f), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bed_setup_closed, a_device_is_whole),
		TEST(bed_setup_closed, open_is_checked),
		TEST(bed_setup_closed, a_device_may_refuse),
		TEST(bed_setup, rings_are_given_back_when_the_device_is_done),
		TEST(bed_setup, opened_again_before_it_is_closed),
		TEST(bed_setup, close_of_what_is_not_open),
		TEST(bed_setup_closed, every_event_in_every_state),
		TEST(bed_setup, released_while_it_closes),
		TEST(bed_setup, the_target_can_move),
		TEST(bed_setup_closed, no_target_no_interrupt),
		TEST(bed_setup, one_interrupt_for_a_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
