/* SPDX-License-Identifier: BSD-2-Clause */
/* As save_test.c: what open channels, their rings and their requests bring with them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/vmbus/save_bed.h"

#define LATEST VMBUS_VERSION_WIN10_V5_3
#define TEST(test) cmocka_unit_test_setup_teardown(test, save_setup, save_teardown)

static void opening(void **state)
{
	struct save_bed *b = *state;
	struct vmbus_msg_open_result result;
	struct vmbus_msg_open_channel msg = { .header.msgtype = VMBUS_MSG_OPEN_CHANNEL,
					      .openid = 9,
					      .downstream_ringbuffer_pageoffset = 4 };
	gpa_t gpa = fg_alloc(&b->g, 8);

	save_connect(b, LATEST);
	msg.child_relid = b->g.offer[0].msg.child_relid;
	assert_int_equal(fg_gpadl_create(&b->g, msg.child_relid, gpa, 8 * GUEST_PAGE_SIZE,
					 &msg.ringbuffer_gpadlhandle),
			 0);
	save_post_raw(b, &msg, sizeof(msg));
	/* The control loop has looked, the channel's has not. */
	loop_turn(&b->g.control, 0);
	assert_int_equal(b->g.bus->channel[msg.child_relid - 1]->state, CHANNEL_OPENING);
	save_move(b, true);
	assert_true(fg_take(&b->g, VMBUS_MSG_OPEN_CHANNEL_RESULT, &result, sizeof(result)) > 0);
	assert_int_equal(result.status, 0);
	assert_int_equal(b->g.bus->channel[msg.child_relid - 1]->state, CHANNEL_OPEN);
}

static void packets_not_read_yet(void **state)
{
	struct save_bed *b = *state;

	save_connect(b, LATEST);
	save_open(b, CARRIER);
	save_take(b);
	/* Signalled, but nobody looks any more. */
	for (u64 id = 0; id < 20; id++)
		assert_int_equal(fg_send(&b->ch, id, &id, sizeof(id), true), 0);
	fg_pump(&b->g);
	assert_int_equal(b->e[CARRIER].ch->in.header->read_index, 0);
	save_move(b, true);
	for (u64 id = 0; id < 20; id++)
		save_expect(&b->ch, id);
	save_exchange(&b->ch, 21);
}

static void requests_carried(void **state)
{
	struct save_bed *b = *state;
	struct echo *e = &b->e[CARRIER];

	save_connect(b, LATEST);
	save_open(b, CARRIER);
	e->hold = true;
	for (u64 id = 100; id < 105; id++)
		assert_int_equal(fg_send(&b->ch, id, &id, sizeof(id), true), 0);
	fg_pump(&b->g);
	save_move(b, true);
	assert_int_equal(e->restored, 1);
	assert_int_equal(fg_recv(&b->ch, b->buf, sizeof(b->buf), &b->pkt), 0);
	echo_release(e);
	fg_pump(&b->g);
	for (u64 id = 100; id < 105; id++)
		save_expect(&b->ch, id);
	assert_int_equal(fg_recv(&b->ch, b->buf, sizeof(b->buf), &b->pkt), 0);
}

static void requests_drained(void **state)
{
	struct save_bed *b = *state;

	save_connect(b, LATEST);
	save_open(b, DRAINER);
	b->e[DRAINER].hold = true;
	for (u64 id = 0; id < 3; id++)
		assert_int_equal(fg_send(&b->ch2, id, &id, sizeof(id), true), 0);
	fg_pump(&b->g);
	assert_false(fg_freeze(&b->g));
	/* New ones are not taken while it drains. */
	assert_int_equal(fg_send(&b->ch2, 3, "x", 1, true), 0);
	assert_int_equal(fg_signal(&b->ch2), 0);
	fg_pump(&b->g);
	assert_int_equal(b->e[DRAINER].held_count, 3);
	echo_release(&b->e[DRAINER]);
	fg_pump(&b->g);
	assert_true(b->g.frozen);
	assert_true(fg_interrupts(&b->ch2) > 0);
	save_move(b, true);
	for (u64 id = 0; id < 3; id++)
		save_expect(&b->ch2, id);
	assert_int_equal(b->e[DRAINER].held_count, 1);
	echo_release(&b->e[DRAINER]);
	fg_pump(&b->g);
	save_expect(&b->ch2, 3);
}

static void a_full_ring(void **state)
{
	struct save_bed *b = *state;
	struct echo *e = &b->e[CARRIER];
	u32 next = 0;

	save_connect(b, LATEST);
	save_open(b, CARRIER);
	e->to_send = 500;
	channel_resume(e->ch);
	fg_pump(&b->g);
	assert_true(e->to_send > 0);
	assert_true(e->ch->out.waiting);
	for (bool moved = false; next < 500; moved = true) {
		if (!moved || next == 200)
			save_move(b, next == 200);
		assert_int_equal(fg_recv(&b->ch, b->buf, sizeof(b->buf), &b->pkt), 1);
		assert_int_equal(b->pkt.transaction_id, next++);
		fg_pump(&b->g);
	}
	assert_int_equal(e->ch->out.header->pending_send_sz, 0);
}

static void closing(void **state)
{
	struct save_bed *b = *state;
	struct vmbus_msg_relid msg = { .header.msgtype = VMBUS_MSG_CLOSE_CHANNEL };

	save_connect(b, LATEST);
	save_open(b, CARRIER);
	b->e[CARRIER].hold = true;
	assert_int_equal(fg_send(&b->ch, 5, "x", 1, true), 0);
	fg_pump(&b->g);
	msg.child_relid = b->ch.relid;
	assert_int_equal(fg_post(&b->g, &msg, sizeof(msg)), 0);
	assert_false(fg_freeze(&b->g));
	echo_release(&b->e[CARRIER]);
	fg_pump(&b->g);
	assert_true(b->g.frozen);
	save_move(b, true);
	assert_int_equal(b->g.bus->channel[b->ch.relid - 1]->state, CHANNEL_CLOSED);
	assert_int_equal(fg_gpadl_teardown(&b->g, b->ch.relid, b->ch.ring_gpadl), 0);
	save_exchange(save_open(b, CARRIER), 1);
}

static void sub_channels(void **state)
{
	struct save_bed *b = *state;
	struct fg_channel sub;

	save_connect(b, LATEST);
	save_open(b, DRAINER);
	assert_int_equal(fg_offers_poll(&b->g), 2);
	assert_int_equal(
		fg_open(&b->g, &sub, fg_offer_find(&b->g, &b->e[DRAINER].dev.ops->type, 2), NULL),
		0);
	save_move(b, true);
	assert_int_equal(fg_offers_poll(&b->g), 0);
	save_exchange(&sub, 1);
	save_exchange(&b->ch2, 2);
	/* The primary closes last, the sub-channels are taken away. */
	assert_int_equal(fg_close(&b->ch2), 0);
	assert_int_equal(fg_offers_poll(&b->g), 2);
	assert_int_equal(b->e[DRAINER].closed, 2);
}

static void reserved_without_a_connection(void **state)
{
	struct save_bed *b = *state;
	struct vmbus_msg_close_reserved msg = {
		.header.msgtype = VMBUS_MSG_CLOSE_RESERVED_CHANNEL,
		.target_vp = 1,
		.target_sint = 5,
	};
	const struct fg_offer *offer;

	save_connect(b, LATEST);
	offer = fg_offer_instance(&b->g, &b->e[CARRIER].dev.instance);
	assert_int_equal(fg_open_reserved(&b->g, &b->ch, offer, 2, 9), 0);
	save_move(b, true);
	save_exchange(&b->ch, 1);
	assert_int_equal(fg_unload(&b->g), 0);
	save_move(b, true);
	save_exchange(&b->ch, 2);
	b->g.message_count = 0;
	msg.child_relid = b->ch.relid;
	save_post_raw(b, &msg, sizeof(msg));
	fg_pump(&b->g);
	assert_int_equal(fg_count(&b->g, VMBUS_MSG_CLOSE_RESERVED_RESPONSE), 1);
	assert_int_equal(b->g.message[0].vp, 1);
	assert_null(b->g.bus->gpadls);
}

static bool packet_came(void *ctx)
{
	struct save_bed *b = ctx;

	return fg_recv(&b->ch2, b->buf, sizeof(b->buf), &b->pkt) == 1;
}

static void monitored(void **state)
{
	struct save_bed *b = *state;
	gpa_t gpa = fg_alloc(&b->g, 2);

	b->g.monitor_page[0] = gpa;
	b->g.monitor_page[1] = gpa + GUEST_PAGE_SIZE;
	save_connect(b, LATEST);
	save_open(b, MONITORED);
	save_move(b, true);
	/* Only the bit in the page says so. */
	assert_int_equal(fg_send(&b->ch2, 6, "x", 1, true), 0);
	assert_true(fg_pump_until(&b->g, packet_came, b));
	assert_int_equal(b->pkt.transaction_id, 6);
	assert_true(b->e[MONITORED].ch->monitor != NULL);
}

static void a_monitored_channel_stands_still(void **state)
{
	struct save_bed *b = *state;
	gpa_t gpa = fg_alloc(&b->g, 2);
	u32 *word;

	b->g.monitor_page[0] = gpa;
	b->g.monitor_page[1] = gpa + GUEST_PAGE_SIZE;
	save_connect(b, LATEST);
	save_open(b, MONITORED);
	word = b->e[MONITORED].ch->monitor;
	assert_true(fg_freeze(&b->g));
	assert_int_equal(fg_send(&b->ch2, 6, "x", 1, true), 0);
	/* Longer than it is between two looks. */
	usleep(2000);
	fg_pump(&b->g);
	assert_int_not_equal(*word, 0);
	fg_thaw(&b->g);
	save_expect(&b->ch2, 6);
	assert_int_equal(fg_send(&b->ch2, 7, "x", 1, true), 0);
	assert_true(fg_pump_until(&b->g, packet_came, b));
}

static void note_frozen(void *ctx)
{
	++*(unsigned *)ctx;
}

/*
 * Given up when the channel stood already, and wanted again before that was heard: the word that it
 * is given up comes late, to one that stands again.
 */
static void given_up_and_wanted_again_it_stands_still(void **state)
{
	struct save_bed *b = *state;
	unsigned frozen = 0;

	save_connect(b, LATEST);
	save_open(b, CARRIER);
	vmbus_freeze(b->g.bus, note_frozen, &frozen);
	for (unsigned i = 0; i < b->g.io_count; i++)
		assert_int_equal(loop_turn(&b->g.io[i], 0), 0);
	vmbus_thaw(b->g.bus);
	vmbus_freeze(b->g.bus, note_frozen, &frozen);
	fg_pump(&b->g);
	assert_int_equal(frozen, 1);
	assert_int_equal(fg_send(&b->ch, 6, "x", 1, true), 0);
	fg_pump(&b->g);
	assert_int_equal(b->e[CARRIER].thawed, 0);
	assert_int_equal(fg_recv(&b->ch, b->buf, sizeof(b->buf), &b->pkt), 0);
	vmbus_thaw(b->g.bus);
	fg_pump(&b->g);
	assert_int_equal(b->e[CARRIER].thawed, 1);
	save_expect(&b->ch, 6);
	assert_int_equal(fg_count(&b->g, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE), 0);
}

static void a_moved_interrupt(void **state)
{
	struct save_bed *b = *state;

	save_connect(b, LATEST);
	save_open(b, CARRIER);
	assert_int_equal(fg_modify(&b->ch, 3), 0);
	save_move(b, true);
	save_exchange(&b->ch, 1);
	assert_int_equal(b->g.last_event_vp, 3);
	assert_ptr_equal(channel_loop(b->e[CARRIER].ch), &b->g.io[1]);
}

static void signals_the_guest_chose(void **state)
{
	struct save_bed *b = *state;

	b->g.features = VMBUS_FEATURE_GUEST_SIGNALS;
	b->g.open_connection_id = 0x5555;
	b->g.open_event_flag = 1234;
	save_connect(b, VMBUS_VERSION_V6_0);
	save_open(b, CARRIER);
	save_move(b, true);
	save_exchange(&b->ch, 1);
	assert_int_equal(b->g.last_event_flag, 1234);
}

/* The guest has forged the index we keep: ours counts. */
static void our_index_not_the_guests(void **state)
{
	struct save_bed *b = *state;

	save_connect(b, LATEST);
	save_open(b, CARRIER);
	save_exchange(&b->ch, 1);
	b->e[CARRIER].ch->out.header->write_index = 8;
	b->e[CARRIER].ch->in.header->read_index = 16;
	save_move(b, true);
	assert_int_equal(fg_send(&b->ch, 2, "x", 1, true), 0);
	assert_int_equal(fg_signal(&b->ch), 0);
	fg_pump(&b->g);
	save_expect(&b->ch, 2);
}

static void a_broken_ring(void **state)
{
	struct save_bed *b = *state;

	save_connect(b, LATEST);
	save_open(b, CARRIER);
	fg_set_write_index(&b->ch, 7);
	fg_signal(&b->ch);
	fg_pump(&b->g);
	assert_true(b->e[CARRIER].ch->in.broken);
	save_move(b, true);
	assert_true(b->e[CARRIER].ch->in.broken);
	assert_false(b->e[CARRIER].ch->out.broken);
	b->e[CARRIER].ch->out.broken = true;
	save_move(b, true);
	assert_true(b->e[CARRIER].ch->out.broken);
	assert_int_equal(fg_close(&b->ch), 0);
	save_exchange(save_open(b, CARRIER), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(opening),
		TEST(packets_not_read_yet),
		TEST(requests_carried),
		TEST(requests_drained),
		TEST(a_full_ring),
		TEST(closing),
		TEST(sub_channels),
		TEST(reserved_without_a_connection),
		TEST(monitored),
		TEST(a_monitored_channel_stands_still),
		TEST(given_up_and_wanted_again_it_stands_still),
		TEST(a_moved_interrupt),
		TEST(signals_the_guest_chose),
		TEST(our_index_not_the_guests),
		TEST(a_broken_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
