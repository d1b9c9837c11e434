/* SPDX-License-Identifier: BSD-2-Clause */
/* Channels that follow their interrupt to another I/O loop, and their counters. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/vmbus/channel_bed.h"

#define LOOPS 2u

/* A device that answers when the test says so, and knows on which loop it should be. */
struct mover {
	struct vmbus_device dev;
	struct vmbus_channel *ch;
	struct loop *on; /* NULL: detached or closed */
	u8 buf[4096];
	/* Set by the test. */
	bool hold; /* keep what comes in flight */
	bool hold_close;
	/* Noted. */
	unsigned attached, detached, closed, packets;
	u64 flying[64];
	unsigned in_flight;
	bool detaching;
};

static int mover_open(struct vmbus_channel *ch)
{
	struct mover *m = channel_device(ch)->data;

	m->ch = ch;
	m->on = channel_loop(ch);
	return 0;
}

static void mover_complete(struct mover *m)
{
	while (m->in_flight)
		channel_complete(m->ch, m->flying[--m->in_flight], "done....", 8);
	if (m->detaching) {
		m->detaching = false;
		m->on = NULL;
		channel_detached(m->ch);
	}
}

static void mover_ready(struct vmbus_channel *ch)
{
	struct mover *m = channel_device(ch)->data;
	struct vmbus_packet pkt;

	assert_ptr_equal(m->on, channel_loop(ch));
	assert_false(m->detaching);
	while (m->in_flight < ARRAY_SIZE(m->flying) && channel_recv(ch, m->buf, &pkt) == 1) {
		m->packets++;
		m->flying[m->in_flight++] = pkt.transaction_id;
	}
	if (!m->hold)
		mover_complete(m);
}

static void mover_close(struct vmbus_channel *ch)
{
	struct mover *m = channel_device(ch)->data;

	m->on = NULL;
	m->in_flight = 0;
	m->detaching = false;
	m->closed++;
	if (!m->hold_close)
		channel_closed(ch);
}

static void mover_detach(struct vmbus_channel *ch)
{
	struct mover *m = channel_device(ch)->data;

	assert_ptr_equal(m->on, channel_loop(ch));
	m->detached++;
	m->detaching = true;
	if (!m->in_flight)
		mover_complete(m);
}

static void mover_attach(struct vmbus_channel *ch)
{
	struct mover *m = channel_device(ch)->data;

	m->attached++;
	m->on = channel_loop(ch);
}

static const struct vmbus_device_ops ops = { .name = "mover",
					     .type = { { 0x66 } },
					     .packet_max = 4096,
					     .open = mover_open,
					     .ready = mover_ready,
					     .close = mover_close,
					     .detach = mover_detach,
					     .attach = mover_attach };

struct fixture {
	struct fakeguest g;
	struct mover m;
	struct fg_channel ch;
	u8 buf[4096];
	struct fg_packet pkt;
};

static int setup_version(void **state, u32 version)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct fg_config config = { .io_count = LOOPS, .vp_count = 4 };

	*state = f;
	assert_int_equal(fg_init(&f->g, &config), 0);
	f->m.dev = (struct vmbus_device){ .ops = &ops, .data = &f->m };
	assert_int_equal(vmbus_offer(f->g.bus, &f->m.dev), 0);
	assert_int_equal(fg_connect(&f->g, version), 0);
	assert_int_equal(fg_request_offers(&f->g), 0);
	assert_int_equal(fg_open(&f->g, &f->ch, &f->g.offer[0], NULL), 0);
	fg_pump(&f->g);
	return 0;
}

static int setup(void **state)
{
	return setup_version(state, VMBUS_VERSION_WIN10_V5_3);
}

static int setup_old(void **state)
{
	return setup_version(state, VMBUS_VERSION_WIN10_V4_1);
}

static unsigned recv_all(struct fixture *f)
{
	unsigned n = 0;

	while (fg_recv(&f->ch, f->buf, sizeof(f->buf), &f->pkt) == 1)
		n++;
	return n;
}

static void work_follows_the_interrupt(void **state)
{
	struct fixture *f = *state;

	assert_ptr_equal(f->m.on, &f->g.io[0]);
	for (u32 vp = 1; vp < 20; vp++) {
		assert_int_equal(fg_modify(&f->ch, vp % 4), 0);
		assert_ptr_equal(f->m.on, &f->g.io[vp % LOOPS]);
		assert_int_equal(channel_target_vp(f->m.ch), vp % 4);
		assert_int_equal(fg_send(&f->ch, vp, "x", 1, true), 0);
		fg_pump(&f->g);
		assert_int_equal(f->g.last_event_vp, vp % 4);
		assert_int_equal(recv_all(f), 1);
	}
	assert_int_equal(f->m.attached, 19);
	/* To a VP of the same loop nothing moves but the interrupt. */
	assert_int_equal(fg_modify(&f->ch, 1), 0);
	assert_int_equal(f->m.attached, 19);
	assert_int_equal(fg_close(&f->ch), 0);
}

static void what_is_under_way_ends_first(void **state)
{
	struct fixture *f = *state;
	struct vmbus_msg_modify_response response;

	f->m.hold = true;
	for (u64 i = 0; i < 3; i++)
		assert_int_equal(fg_send(&f->ch, i, "x", 1, true), 0);
	fg_pump(&f->g);
	f->g.modify_unawaited = true;
	assert_int_equal(fg_modify(&f->ch, 3), 0);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE), 0);
	/* What comes now waits for the new loop, and is not lost. */
	assert_int_equal(fg_send(&f->ch, 3, "x", 1, true), 0);
	fg_signal(&f->ch);
	channel_resume(f->m.ch);
	fg_pump(&f->g);
	assert_int_equal(f->m.packets, 3);
	mover_complete(&f->m);
	f->m.hold = false;
	loop_turn(&f->g.io[0], 0);
	/* Their interrupt went to the old VP, before the answer. */
	assert_int_equal(fg_interrupts(&f->ch), 1);
	assert_int_equal(f->g.last_event_vp, 0);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE), 0);
	assert_int_equal(recv_all(f), 3);
	fg_pump(&f->g);
	assert_true(fg_take(&f->g, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE, &response, sizeof(response)) >
		    0);
	assert_int_equal(response.status, 0);
	assert_int_equal(f->m.packets, 4);
	assert_int_equal(f->g.last_event_vp, 3);
	assert_int_equal(recv_all(f), 1);
}

static void one_modify_at_a_time(void **state)
{
	struct fixture *f = *state;

	f->m.hold = true;
	assert_int_equal(fg_send(&f->ch, 1, "x", 1, true), 0);
	fg_pump(&f->g);
	f->g.modify_unawaited = true;
	assert_int_equal(fg_modify(&f->ch, 3), 0);
	assert_int_equal(fg_modify(&f->ch, 2), 0);
	mover_complete(&f->m);
	fg_pump(&f->g);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE), 1);
	assert_int_equal(channel_target_vp(f->m.ch), 3);
}

/* Before 5.3 there is no answer to wait for: the last word counts. */
static void old_guests_say_it_again(void **state)
{
	struct fixture *f = *state;

	f->m.hold = true;
	assert_int_equal(fg_send(&f->ch, 1, "x", 1, true), 0);
	fg_pump(&f->g);
	assert_int_equal(fg_modify(&f->ch, 3), 0);
	assert_int_equal(fg_modify(&f->ch, 1), 0);
	assert_int_equal(fg_modify(&f->ch, 2), 0);
	mover_complete(&f->m);
	fg_pump(&f->g);
	assert_int_equal(channel_target_vp(f->m.ch), 2);
	assert_ptr_equal(f->m.on, &f->g.io[0]);
	assert_int_equal(f->m.attached, 2);
}

static void closed_while_it_moves(void **state)
{
	struct fixture *f = *state;

	f->m.hold = true;
	assert_int_equal(fg_send(&f->ch, 1, "x", 1, true), 0);
	fg_pump(&f->g);
	f->g.modify_unawaited = true;
	assert_int_equal(fg_modify(&f->ch, 3), 0);
	assert_int_equal(fg_close(&f->ch), -ETIMEDOUT);
	assert_int_equal(f->m.closed, 0);
	mover_complete(&f->m);
	fg_pump(&f->g);
	assert_int_equal(f->m.attached, 1);
	assert_int_equal(f->m.closed, 1);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_GPADL_TORNDOWN), 1);
	f->m.hold = false;
	assert_int_equal(fg_open(&f->g, &f->ch, &f->g.offer[0], NULL), 0);
	assert_int_equal(fg_send(&f->ch, 1, "x", 1, true), 0);
	fg_pump(&f->g);
	assert_int_equal(recv_all(f), 1);
}

/* The end of the machine finds it on no loop. */
static void ended_while_it_moves(void **state)
{
	struct fixture *f = *state;

	f->m.hold = true;
	f->g.modify_unawaited = true;
	assert_int_equal(fg_modify(&f->ch, 3), 0);
	assert_int_equal(fg_send(&f->ch, 1, "x", 1, true), 0);
	fg_pump(&f->g);
	assert_int_equal(fg_modify(&f->ch, 2), 0);
}

static void no_interrupts_cannot_move(void **state)
{
	struct fixture *f = *state;
	const struct fg_open_params silent = { .target_vp = VMBUS_VP_NONE };

	assert_int_equal(fg_close(&f->ch), 0);
	assert_int_equal(fg_open(&f->g, &f->ch, &f->g.offer[0], &silent), 0);
	assert_int_equal(fg_modify(&f->ch, 1), -EPROTO);
	assert_int_equal(f->m.detached, 0);
}

static void nobody(struct loop_fd *f, u32 events)
{
	(void)f;
	(void)events;
}

/* A loop that cannot take it (here: epoll has the descriptor already): the device is taken away. */
static void a_move_may_fail(void **state)
{
	struct fixture *f = *state;
	struct loop_fd other = { .fd = f->m.dev.primary->event_fd, .ready = nobody };

	assert_int_equal(loop_add(&f->g.io[1], &other, EPOLLOUT), 0);
	assert_int_equal(fg_modify(&f->ch, 1), 0);
	assert_int_equal(f->m.detached, 1);
	assert_int_equal(f->m.attached, 0);
	assert_int_equal(f->m.closed, 1);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_RESCIND_CHANNEL_OFFER), 1);
	assert_int_equal(fg_release(&f->g, f->ch.relid), 0);
	assert_null(f->m.dev.primary);
}

/* ---- Counters -------------------------------------------------------------------------------- */

static void counters_tell_what_it_carried(void **state)
{
	struct fixture *f = *state;
	struct vmbus_channel_status st[2];

	for (u64 i = 0; i < 10; i++) {
		assert_int_equal(fg_send(&f->ch, i, "12345678", 8, true), 0);
		if (i % 2)
			fg_pump(&f->g);
	}
	assert_int_equal(vmbus_channels(f->g.bus, st, 2), 1);
	assert_string_equal(st[0].device, "mover");
	assert_true(st[0].offered && st[0].open);
	assert_int_equal(st[0].relid, f->ch.relid);
	assert_int_equal(st[0].target_vp, 0);
	assert_int_equal(st[0].packets_in, 10);
	assert_int_equal(st[0].bytes_in, 10 * 24);
	assert_int_equal(st[0].packets_out, 10);
	assert_int_equal(st[0].bytes_out, 10 * 24);
	assert_int_equal(st[0].signals, 5);
	assert_int_equal(st[0].interrupts, 1); /* nobody read the ring */
	assert_int_equal(st[0].throttled, 0);
	assert_int_equal(recv_all(f), 10);
	/* Over a close, and a move, they go on. */
	assert_int_equal(fg_close(&f->ch), 0);
	assert_int_equal(fg_open(&f->g, &f->ch, &f->g.offer[0], NULL), 0);
	assert_int_equal(fg_modify(&f->ch, 1), 0);
	assert_int_equal(fg_send(&f->ch, 1, "12345678", 8, true), 0);
	fg_pump(&f->g);
	assert_int_equal(vmbus_channels(f->g.bus, st, 1), 1);
	assert_int_equal(st[0].packets_in, 11);
	assert_int_equal(st[0].interrupts, 2);
	assert_int_equal(st[0].target_vp, 1);
	assert_int_equal(vmbus_channels(f->g.bus, NULL, 0), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(setup, work_follows_the_interrupt),
		TEST(setup, what_is_under_way_ends_first),
		TEST(setup, one_modify_at_a_time),
		TEST(setup_old, old_guests_say_it_again),
		TEST(setup, closed_while_it_moves),
		TEST(setup, ended_while_it_moves),
		TEST(setup, no_interrupts_cannot_move),
		TEST(setup, a_move_may_fail),
		TEST(setup, counters_tell_what_it_carried),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
