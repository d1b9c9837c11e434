/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each thing that chaos can make late, by itself: it is late, nothing else is, and when its time
 * comes it goes on. The time is an hour, and comes when the test says so.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/vmbus/late_bed.h"

#define HOUR_US 3600000000u

static struct chaos_entry entry;

static int setup(void **state)
{
	struct late_bed *f;

	late_setup_rate(state, 0);
	f = *state;
	late_open(f);
	late_exchange(f, 10);
	return 0;
}

static int teardown(void **state)
{
	((struct late_bed *)*state)->chaos.entry = NULL;
	return late_teardown(state);
}

/* From now on this alone is late. */
static void disturb(struct late_bed *f, u32 relid, enum chaos_point point, u64 n)
{
	entry = (struct chaos_entry){ .n = n, .relid = relid, .point = point, .us = HOUR_US };
	f->chaos.entry = &entry;
	f->chaos.entry_count = 1;
	f->chaos.replaying = true;
}

static void time_comes(struct late_bed *f, struct loop_timer *t)
{
	assert_true(t->armed);
	t->deadline_ns = 0;
	fg_pump(&f->g);
	assert_false(t->armed);
}

static void send(struct late_bed *f, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_true(late_send(f, 0, UINT64_MAX));
	fg_pump(&f->g);
}

static unsigned answers(struct late_bed *f)
{
	unsigned n = 0;

	while (late_recv(f, 0))
		n++;
	return n;
}

static void a_signal(void **state)
{
	struct late_bed *f = *state;
	struct vmbus_channel *ch = f->mirror.dev.primary;
	u64 before = ch->late->received;

	disturb(f, f->ch.relid, CHAOS_SIGNAL, ch->late->signals + 1);
	send(f, 1);
	assert_int_equal(answers(f), 1);
	send(f, 1);
	/* Others do not hurry it. */
	assert_int_equal(fg_signal(&f->ch), 0);
	send(f, 1);
	assert_int_equal(ch->late->received, before + 1);
	assert_int_equal(answers(f), 0);
	time_comes(f, &ch->late->run);
	assert_int_equal(answers(f), 2);
}

static void a_drain(void **state)
{
	struct late_bed *f = *state;
	struct vmbus_channel *ch = f->mirror.dev.primary;
	u32 room = fg_out_free(&f->ch);

	disturb(f, f->ch.relid, CHAOS_DRAIN, ch->late->received + 2);
	send(f, 5);
	assert_int_equal(answers(f), 3);
	/* The guest sees that the others have not been read, and is not to signal for more. */
	assert_true(fg_out_free(&f->ch) < room);
	assert_int_equal(f->ch.out.header->interrupt_mask, 1);
	assert_int_equal(ch->count.throttled, 0);
	time_comes(f, &ch->late->run);
	assert_int_equal(answers(f), 2);
	assert_int_equal(fg_out_free(&f->ch), room);
	assert_int_equal(f->ch.out.header->interrupt_mask, 0);
}

static void a_room(void **state)
{
	struct late_bed *f = *state;
	struct vmbus_channel *ch = f->mirror.dev.primary;

	disturb(f, f->ch.relid, CHAOS_ROOM, ch->late->sent + 2);
	send(f, 5);
	assert_int_equal(answers(f), 2);
	/* The guest is asked to signal room, and there is none even then. */
	assert_true(f->ch.in.header->pending_send_sz > 0);
	assert_int_equal(fg_signal(&f->ch), 0);
	fg_pump(&f->g);
	assert_int_equal(answers(f), 0);
	ch->late->room_ns = 1;
	time_comes(f, &ch->poll);
	assert_int_equal(answers(f), 3);
	assert_int_equal(f->ch.in.header->pending_send_sz, 0);
}

static void a_commit(void **state)
{
	struct late_bed *f = *state;
	struct vmbus_channel *ch = f->mirror.dev.primary;
	u32 before = fg_interrupts(&f->ch);

	disturb(f, f->ch.relid, CHAOS_COMMIT, ch->late->sent + 1);
	send(f, 3);
	send(f, 1);
	assert_int_equal(answers(f), 0);
	assert_int_equal(fg_interrupts(&f->ch), before);
	time_comes(f, &ch->late->commit);
	assert_int_equal(fg_interrupts(&f->ch), before + 1);
	assert_int_equal(answers(f), 4);
}

static void an_interrupt(void **state)
{
	struct late_bed *f = *state;
	struct vmbus_channel *ch = f->mirror.dev.primary;
	u32 before = fg_interrupts(&f->ch);

	disturb(f, f->ch.relid, CHAOS_INTERRUPT, ch->late->interrupts + 1);
	send(f, 1);
	assert_int_equal(fg_interrupts(&f->ch), before + 1);
	assert_int_equal(answers(f), 1);
	send(f, 1);
	send(f, 1);
	assert_int_equal(fg_interrupts(&f->ch), before + 1);
	assert_int_equal(answers(f), 2);
	time_comes(f, &ch->late->interrupt);
	assert_int_equal(fg_interrupts(&f->ch), before + 2);
	send(f, 1);
	assert_int_equal(fg_interrupts(&f->ch), before + 3);
}

/* Whoever is answered has had all that came before the answer. */
static void an_answer_ends_it(void **state)
{
	struct late_bed *f = *state;
	struct vmbus_channel *ch = f->mirror.dev.primary;

	disturb(f, f->ch.relid, CHAOS_COMMIT, ch->late->sent);
	send(f, 1);
	assert_int_equal(answers(f), 0);
	/* To a VP of the same loop. */
	assert_int_equal(fg_modify(&f->ch, 2), 0);
	assert_false(ch->late->commit.armed);
	assert_int_equal(f->g.last_event_vp, 2);
	assert_int_equal(answers(f), 1);
	/* To another loop. */
	disturb(f, f->ch.relid, CHAOS_INTERRUPT, ch->late->interrupts);
	send(f, 1);
	assert_true(ch->late->interrupt.armed);
	assert_int_equal(fg_modify(&f->ch, 1), 0);
	assert_false(ch->late->interrupt.armed);
	assert_int_equal(f->g.last_event_vp, 2);
	assert_int_equal(answers(f), 1);
	disturb(f, f->ch.relid, CHAOS_SIGNAL, ch->late->signals);
	send(f, 1);
	assert_int_equal(answers(f), 0);
	assert_true(fg_freeze(&f->g));
	assert_false(ch->late->run.armed);
	fg_thaw(&f->g);
	assert_int_equal(answers(f), 1);
}

static void freeze_later(struct vmbus_channel *ch)
{
	(void)ch;
}

/* A device may take long to come to a stand: what it has sent does not wait for that. */
static void a_freeze_ends_it(void **state)
{
	struct vmbus_device_ops busy = mirror_ops;
	struct late_bed *f = *state;
	struct vmbus_channel *ch = f->mirror.dev.primary;

	busy.freeze = freeze_later;
	f->mirror.dev.ops = &busy;
	disturb(f, f->ch.relid, CHAOS_COMMIT, ch->late->sent);
	send(f, 1);
	assert_int_equal(answers(f), 0);
	assert_false(fg_freeze(&f->g));
	assert_int_equal(answers(f), 1);
	fg_thaw(&f->g);
	send(f, 1);
	assert_int_equal(answers(f), 1);
	f->mirror.dev.ops = &mirror_ops;
}

/* Sub-channels are offered behind the packets that asked for them. */
static void an_offer_ends_it(void **state)
{
	struct late_bed *f = *state;
	struct vmbus_channel *ch = f->mirror.dev.primary;

	disturb(f, f->ch.relid, CHAOS_COMMIT, ch->late->sent);
	assert_true(late_send(f, 0, UINT64_MAX));
	loop_turn(&f->g.io[0], 0);
	assert_true(ch->late->commit.armed);
	channel_offer_subs(ch, SUBS);
	loop_turn(&f->g.io[0], 0);
	assert_false(ch->late->commit.armed);
	assert_int_equal(answers(f), 1);
}

static void a_message_to_the_guest(void **state)
{
	struct late_bed *f = *state;
	struct vmbus_msg_modify_response response;
	u64 gone = f->g.bus->outq.gone;

	assert_true(gone >= 10);
	f->g.modify_unawaited = true;
	disturb(f, 0, CHAOS_MESSAGE_OUT, gone + 1);
	for (unsigned i = 0; i <= SUBS; i++)
		assert_int_equal(fg_modify(late_channel(f, i), 3), 0);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE), 1);
	/* A free slot changes nothing. */
	vmbus_slot_free(f->g.bus);
	fg_pump(&f->g);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE), 1);
	time_comes(f, &f->g.bus->late.out);
	for (unsigned i = 0; i <= SUBS; i++) {
		assert_true(fg_take(&f->g, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE, &response,
				    sizeof(response)) > 0);
		assert_int_equal(response.child_relid, late_channel(f, i)->relid);
	}
	/* One that is forgotten keeps nobody waiting. */
	disturb(f, 0, CHAOS_MESSAGE_OUT, f->g.bus->outq.gone);
	assert_int_equal(fg_modify(&f->ch, 2), 0);
	assert_true(f->g.bus->late.out.armed);
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_false(f->g.bus->late.out.armed);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE), 0);
}

static void a_message_of_the_guest(void **state)
{
	struct late_bed *f = *state;
	struct vmbus_status before, now;

	vmbus_status(f->g.bus, &before);
	f->g.modify_unawaited = true;
	disturb(f, 0, CHAOS_MESSAGE_IN, f->g.bus->late.in_decided + 1);
	for (unsigned i = 0; i <= SUBS; i++)
		assert_int_equal(fg_modify(late_channel(f, i), 3), 0);
	vmbus_status(f->g.bus, &now);
	assert_int_equal(now.messages, before.messages + 1);
	/* Standing still and going on in between is no matter. */
	assert_true(fg_freeze(&f->g));
	fg_thaw(&f->g);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE), 1);
	time_comes(f, &f->g.bus->late.in);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE), 3);
	vmbus_status(f->g.bus, &now);
	assert_int_equal(now.messages, before.messages + 3);
}

static void a_rescind(void **state)
{
	struct late_bed *f = *state;
	struct vmbus_channel *sub = &f->mirror.dev.channel[1];
	struct loop_timer *primary = &f->mirror.dev.primary->late->rescind;

	disturb(f, f->sub[0].relid, CHAOS_RESCIND, 0);
	vmbus_rescind(&f->mirror.dev);
	fg_pump(&f->g);
	/* Nothing is served; the other sub-channel's goes at once, the primary's waits. */
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_RESCIND_CHANNEL_OFFER), 1);
	assert_int_equal(f->mirror.dev.primary->state, CHANNEL_CLOSED);
	assert_int_equal(primary->deadline_ns, sub->late->rescind.deadline_ns);
	primary->deadline_ns = 0;
	time_comes(f, &sub->late->rescind);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_RESCIND_CHANNEL_OFFER), 3);
}

/* The primary's, with its sub-channels, and what that leads to; then it comes back. */
static struct loop_timer *rescind_and_offer(struct late_bed *f)
{
	struct channel_late *l = f->mirror.dev.primary->late;

	disturb(f, f->ch.relid, CHAOS_RESCIND, l->rescinds);
	vmbus_rescind(&f->mirror.dev);
	assert_true(l->rescind.armed);
	assert_int_equal(vmbus_offer(f->g.bus, &f->mirror.dev), 0);
	fg_pump(&f->g);
	return &l->rescind;
}

/* A guest that connects anew before it was told is told nothing of the old offer. */
static void a_rescind_ends_with_the_connection(void **state)
{
	struct late_bed *f = *state;
	struct loop_timer *t = rescind_and_offer(f);

	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_false(t->armed);
	late_open(f);
	late_exchange(f, 5);
	/* Nor where the old one has not ended yet. */
	t = rescind_and_offer(f);
	f->g.bus->state = CONNECTION_RESETTING;
	time_comes(f, t);
	f->g.bus->state = CONNECTION_UP;
	assert_int_equal(fg_offers_poll(&f->g), SUBS);
	/* Nor where the host is frozen by then. */
	late_open(f);
	rescind_and_offer(f);
	assert_int_equal(fg_offers_poll(&f->g), SUBS);
	f->g.bus->state = CONNECTION_RESETTING;
	late_rescind_all(f->g.bus);
	f->g.bus->state = CONNECTION_UP;
	assert_int_equal(fg_offers_poll(&f->g), 0);
}

/* Nor is one that lets go of it by itself. */
static void a_rescind_ends_with_the_offer(void **state)
{
	struct late_bed *f = *state;
	struct loop_timer *t = rescind_and_offer(f);

	assert_int_equal(fg_offers_poll(&f->g), SUBS);
	f->g.offer_count = 0;
	for (unsigned i = 0; i <= SUBS; i++)
		assert_int_equal(fg_release(&f->g, late_channel(f, i)->relid), 0);
	assert_false(t->armed);
	assert_int_equal(fg_offers_poll(&f->g), 1);
	assert_int_equal(fg_open(&f->g, &f->ch, &f->g.offer[0], NULL), 0);
}

/* What stands still has told all there is to tell. */
static void a_rescind_is_not_frozen(void **state)
{
	struct late_bed *f = *state;
	struct loop_timer *t = rescind_and_offer(f);

	assert_true(fg_freeze(&f->g));
	assert_false(t->armed);
	assert_int_equal(fg_offers_poll(&f->g), SUBS + 1);
	fg_thaw(&f->g);
	late_open(f);
	f->g.bus->freezing = true;
	disturb(f, f->ch.relid, CHAOS_RESCIND, f->mirror.dev.primary->late->rescinds);
	vmbus_rescind(&f->mirror.dev);
	assert_false(f->mirror.dev.primary->late->rescind.armed);
	f->g.bus->freezing = false;
}

/* A host that cannot take in what was saved leaves nothing of it behind. */
static void a_device_that_cannot_be_restored(void **state)
{
	struct late_bed *f = *state;
	struct stream_out s = { 0 };

	vmbus_rescind(&f->mirror.dev);
	assert_true(fg_freeze(&f->g));
	assert_int_equal(vmbus_save(f->g.bus, &s, NULL), 0);
	assert_int_equal(fg_new_host(&f->g), 0);
	/* The devices are there; what follows them is not. */
	s.bytes[s.len - 1] ^= 1;
	stream_patch_u32(
		&s, VMBUS_STATE_CRC_AT,
		stream_crc32(s.bytes + VMBUS_STATE_CRC_FROM, s.len - VMBUS_STATE_CRC_FROM));
	assert_int_equal(vmbus_restore(f->g.bus, s.bytes, s.len), -EINVAL);
	stream_free(&s);
}

/* The end of the machine, with a rescind that nobody was told of; the loops outlive the bus. */
static void the_end(void **state)
{
	struct late_bed *f = *state;

	disturb(f, f->ch.relid, CHAOS_RESCIND, 0);
	vmbus_rescind(&f->mirror.dev);
	fg_pump(&f->g);
	assert_true(f->mirror.dev.primary->late->rescind.armed);
	assert_int_equal(fg_new_host(&f->g), 0);
	assert_null(f->g.control.timers);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_signal),
		TEST(a_drain),
		TEST(a_room),
		TEST(a_commit),
		TEST(an_interrupt),
		TEST(an_answer_ends_it),
		TEST(a_freeze_ends_it),
		TEST(an_offer_ends_it),
		TEST(a_message_to_the_guest),
		TEST(a_message_of_the_guest),
		TEST(a_rescind),
		TEST(a_rescind_ends_with_the_connection),
		TEST(a_rescind_ends_with_the_offer),
		TEST(a_rescind_is_not_frozen),
		TEST(a_device_that_cannot_be_restored),
		TEST(the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
