/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every state a guest can bring the bus to is saved, restored in a fresh host, and carried on; what
 * an open channel brings with it is in save_channel_test.c.
 */
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

static const u32 versions[] = { 0x0000d, 0x10001, 0x20004, 0x30000, 0x40000, 0x40001,
				0x50000, 0x50001, 0x50002, 0x50003, 0x60000 };

static void post_plain(struct save_bed *b, u32 type)
{
	struct vmbus_msg_header msg = { .msgtype = type };

	assert_int_equal(fg_post(&b->g, &msg, sizeof(msg)), 0);
}

/* Connects from nothing, opens, exchanges: all of a guest's life. */
static void live(struct save_bed *b)
{
	save_connect(b, LATEST);
	save_exchange(save_open(b, CARRIER), 1);
	assert_int_equal(fg_close(&b->ch), 0);
	assert_int_equal(fg_unload(&b->g), 0);
}

/* ---- The connection -------------------------------------------------------------------------- */

static void nothing_yet(void **state)
{
	save_move(*state, true);
	live(*state);
}

static void unloaded(void **state)
{
	live(*state);
	save_move(*state, true);
	live(*state);
}

static void connected_in_each_version(void **state)
{
	struct save_bed *b = *state;

	for (size_t v = 0; v < ARRAY_SIZE(versions); v++) {
		struct vmbus_status status;

		b->g.interrupt_page = versions[v] < 0x20004 ? fg_alloc(&b->g, 1) : 0;
		assert_int_equal(fg_connect(&b->g, versions[v]), 0);
		save_move(b, true);
		vmbus_status(b->g.bus, &status);
		assert_int_equal(status.version, versions[v]);
		assert_true(status.contacted);
		assert_int_equal(fg_request_offers(&b->g), 0);
		save_move(b, true);
		save_open(b, CARRIER);
		save_move(b, true);
		save_exchange(&b->ch, v);
		assert_int_equal(fg_interrupts(&b->ch) > 0, versions[v] >= 0x20004);
		assert_int_equal(fg_close(&b->ch), 0);
	}
}

static void the_message_target_stays(void **state)
{
	struct save_bed *b = *state;

	b->g.target_vp = 3;
	b->g.msg_sint = 7;
	assert_int_equal(fg_connect(&b->g, LATEST), 0);
	save_move(b, true);
	post_plain(b, VMBUS_MSG_REQUEST_OFFERS);
	assert_true(b->g.message_count > 0);
	assert_int_equal(b->g.message[0].vp, 3);
	assert_int_equal(b->g.message[0].sint, 7);
	/* ... as that of interrupts does. */
	b->g.message_count = 0;
	save_connect(b, LATEST);
	save_open(b, CARRIER);
	save_move(b, true);
	b->g.last_event_sint = 0;
	save_exchange(&b->ch, 1);
	assert_int_equal(b->g.last_event_sint, 7);
}

static void offers_are_not_made_twice(void **state)
{
	struct save_bed *b = *state;

	save_connect(b, LATEST);
	save_move(b, true);
	assert_int_equal(fg_count(&b->g, 0), 0);
	post_plain(b, VMBUS_MSG_REQUEST_OFFERS);
	assert_int_equal(fg_count(&b->g, 0), 0);
	save_exchange(save_open(b, CARRIER), 1);
}

static void paused_with_messages_held(void **state)
{
	struct save_bed *b = *state;

	b->g.features = VMBUS_FEATURE_PAUSE_RESUME;
	save_connect(b, VMBUS_VERSION_V6_0);
	b->g.slot_held = true;
	post_plain(b, VMBUS_MSG_PAUSE);
	vmbus_rescind(&b->e[CARRIER].dev);
	b->absent[CARRIER] = true;
	save_move(b, true);
	assert_int_equal(fg_count(&b->g, 0), 0);
	b->g.slot_held = false;
	vmbus_slot_free(b->g.bus);
	fg_pump(&b->g);
	/* The answer passes, what was sent later does not. */
	assert_int_equal(fg_count(&b->g, VMBUS_MSG_PAUSE_RESPONSE), 1);
	assert_int_equal(fg_count(&b->g, 0), 1);
	post_plain(b, VMBUS_MSG_RESUME);
	assert_int_equal(fg_count(&b->g, VMBUS_MSG_RESCIND_CHANNEL_OFFER), 1);
}

static void messages_that_wait_for_the_slot(void **state)
{
	struct save_bed *b = *state;
	u8 msg[VMBUS_MESSAGE_MAX];

	assert_int_equal(fg_connect(&b->g, LATEST), 0);
	b->g.slot_held = true;
	post_plain(b, VMBUS_MSG_REQUEST_OFFERS);
	/* Free while it stands still: nothing comes. */
	assert_true(fg_freeze(&b->g));
	b->g.slot_held = false;
	vmbus_slot_free(b->g.bus);
	fg_pump(&b->g);
	assert_int_equal(fg_count(&b->g, 0), 0);
	save_move(b, true);
	assert_int_equal(fg_count(&b->g, VMBUS_MSG_OFFER_CHANNEL), 3);
	/* The last of them last. */
	assert_int_equal(b->g.message_count, 4);
	memcpy(msg, b->g.message[3].bytes, sizeof(msg));
	assert_int_equal(msg[0], VMBUS_MSG_ALL_OFFERS_DELIVERED);
}

static void messages_not_looked_at(void **state)
{
	struct save_bed *b = *state;
	struct vmbus_msg_header request = { .msgtype = VMBUS_MSG_REQUEST_OFFERS };

	assert_int_equal(fg_connect(&b->g, LATEST), 0);
	assert_true(fg_freeze(&b->g));
	save_post_raw(b, &request, sizeof(request));
	fg_pump(&b->g);
	assert_int_equal(fg_count(&b->g, 0), 0);
	save_move(b, true);
	assert_int_equal(fg_count(&b->g, VMBUS_MSG_ALL_OFFERS_DELIVERED), 1);
}

/* A reset under way ends first. */
static void a_reset_under_way(void **state)
{
	struct save_bed *b = *state;
	struct vmbus_msg_header unload = { .msgtype = VMBUS_MSG_UNLOAD };

	save_connect(b, LATEST);
	save_open(b, CARRIER);
	b->e[CARRIER].hold = true;
	assert_int_equal(fg_send(&b->ch, 5, "x", 1, true), 0);
	fg_pump(&b->g);
	save_post_raw(b, &unload, sizeof(unload));
	fg_pump(&b->g);
	assert_false(fg_freeze(&b->g));
	echo_release(&b->e[CARRIER]);
	fg_pump(&b->g);
	assert_true(b->g.frozen);
	assert_int_equal(fg_count(&b->g, VMBUS_MSG_UNLOAD_RESPONSE), 1);
	b->g.message_count = 0;
	save_move(b, true);
	live(b);
}

/* So does one that waits for memory the host still uses. */
static void a_reset_that_waits_for_a_pin(void **state)
{
	struct save_bed *b = *state;
	struct vmbus_msg_header unload = { .msgtype = VMBUS_MSG_UNLOAD };
	struct gpadl *g;

	save_connect(b, LATEST);
	save_open(b, CARRIER);
	g = gpadl_pin(b->g.bus, b->ch.relid, b->ch.ring_gpadl);
	save_post_raw(b, &unload, sizeof(unload));
	fg_pump(&b->g);
	assert_false(fg_freeze(&b->g));
	gpadl_unpin(b->g.bus, g);
	fg_pump(&b->g);
	assert_true(b->g.frozen);
	save_move(b, true);
	assert_int_equal(fg_count(&b->g, VMBUS_MSG_UNLOAD_RESPONSE), 1);
}

/* ---- GPADLs ---------------------------------------------------------------------------------- */

static void gpadl_half_built(void **state)
{
	struct save_bed *b = *state;
	struct {
		struct vmbus_msg_gpadl_header msg;
		struct ring_gpa_range range;
		u64 pfn[2];
	} __attribute__((packed)) header = {
		.msg = { .header.msgtype = VMBUS_MSG_GPADL_HEADER,
			 .gpadl = 0xabc,
			 .range_buflen = 8 + 4 * 8,
			 .rangecount = 1 },
		.range = { .byte_count = 4 * GUEST_PAGE_SIZE },
		.pfn = { 300, 303 },
	};
	struct {
		struct vmbus_msg_gpadl_body msg;
		u64 pfn[1];
	} __attribute__((packed)) body = {
		.msg = { .header.msgtype = VMBUS_MSG_GPADL_BODY, .gpadl = 0xabc },
		.pfn = { 302 },
	};
	struct vmbus_msg_gpadl_created created;
	struct gpadl *g;
	struct iovec iov[4];

	save_connect(b, LATEST);
	save_open(b, CARRIER);
	header.msg.child_relid = b->ch.relid;
	assert_int_equal(fg_post(&b->g, &header, sizeof(header)), 0);
	save_move(b, true);
	assert_int_equal(fg_post(&b->g, &body, sizeof(body)), 0);
	save_move(b, true);
	body.pfn[0] = 301;
	assert_int_equal(fg_post(&b->g, &body, sizeof(body)), 0);
	assert_true(fg_take(&b->g, VMBUS_MSG_GPADL_CREATED, &created, sizeof(created)) > 0);
	assert_int_equal(created.creation_status, 0);
	save_move(b, true);
	g = gpadl_pin(b->g.bus, b->ch.relid, 0xabc);
	assert_non_null(g);
	assert_int_equal(gpadl_iov(g, 0, 4 * GUEST_PAGE_SIZE, iov, 4), 4);
	assert_ptr_equal(iov[1].iov_base, fg_ptr(&b->g, 303 * GUEST_PAGE_SIZE, 1));
	assert_ptr_equal(iov[3].iov_base, fg_ptr(&b->g, 301 * GUEST_PAGE_SIZE, 1));
	gpadl_unpin(b->g.bus, g);
	assert_int_equal(fg_gpadl_teardown(&b->g, b->ch.relid, 0xabc), 0);
}

static void teardown_waits_for_the_device(void **state)
{
	struct save_bed *b = *state;
	struct echo *e = &b->e[CARRIER];
	gpa_t gpa = fg_alloc(&b->g, 3);
	struct vmbus_msg_gpadl_torndown torndown;

	save_connect(b, LATEST);
	save_open(b, CARRIER);
	assert_int_equal(fg_gpadl_create(&b->g, b->ch.relid, gpa, 3 * GUEST_PAGE_SIZE, &e->pinned),
			 0);
	e->gpadl = channel_gpadl_get(e->ch, e->pinned);
	assert_non_null(e->gpadl);
	assert_int_equal(fg_gpadl_teardown(&b->g, b->ch.relid, e->pinned), -ETIMEDOUT);
	save_move(b, true);
	assert_non_null(e->gpadl);
	assert_int_equal(fg_count(&b->g, 0), 0);
	channel_gpadl_put(e->ch, e->gpadl);
	e->gpadl = NULL;
	fg_pump(&b->g);
	assert_true(fg_take(&b->g, VMBUS_MSG_GPADL_TORNDOWN, &torndown, sizeof(torndown)) > 0);
	assert_int_equal(torndown.gpadl, e->pinned);
}

/* ---- Devices that come and go ---------------------------------------------------------------- */

static void rescinded(void **state)
{
	struct save_bed *b = *state;
	u32 relid;

	save_connect(b, LATEST);
	save_open(b, CARRIER);
	relid = b->ch.relid;
	vmbus_rescind(&b->e[CARRIER].dev);
	fg_pump(&b->g);
	assert_int_equal(fg_offers_poll(&b->g), 1);
	b->absent[CARRIER] = true;
	save_move(b, true);
	/* Its twin has to wait for the guest. */
	assert_int_equal(vmbus_offer(b->g.bus, &b->e[CARRIER].dev), 0);
	assert_int_equal(fg_offers_poll(&b->g), 0);
	assert_int_not_equal(b->e[CARRIER].dev.primary->relid, relid);
	assert_int_equal(fg_gpadl_teardown(&b->g, relid, b->ch.ring_gpadl), 0);
	assert_int_equal(fg_release(&b->g, relid), 0);
	fg_pump(&b->g);
	assert_null(b->g.bus->channel[relid - 1]);
	assert_int_equal(fg_offers_poll(&b->g), 1);
	save_exchange(save_open(b, CARRIER), 1);
}

static void released_by_the_guest(void **state)
{
	struct save_bed *b = *state;
	u32 relid;

	save_connect(b, LATEST);
	relid = fg_offer_instance(&b->g, &b->e[CARRIER].dev.instance)->msg.child_relid;
	assert_int_equal(fg_release(&b->g, relid), 0);
	fg_pump(&b->g);
	save_move(b, true);
	assert_int_equal(fg_offers_poll(&b->g), 0);
	/* In the next connection it is there again. */
	b->g.offer_count = 0;
	save_connect(b, LATEST);
	assert_int_equal(fg_offer_instance(&b->g, &b->e[CARRIER].dev.instance)->msg.child_relid,
			 relid);
}

static void a_device_more(void **state)
{
	struct save_bed *b = *state;

	save_connect(b, LATEST);
	save_take(b);
	b->absent[SPARE] = false;
	save_new_host(b);
	assert_int_equal(vmbus_restore(b->g.bus, b->state.bytes, b->state.len), 0);
	fg_pump(&b->g);
	assert_int_equal(fg_offers_poll(&b->g), 1);
	save_exchange(save_open(b, SPARE), 1);
}

static void a_device_less(void **state)
{
	struct save_bed *b = *state;

	save_connect(b, LATEST);
	save_open(b, CARRIER);
	save_take(b);
	b->absent[CARRIER] = true;
	save_new_host(b);
	assert_int_equal(vmbus_restore(b->g.bus, b->state.bytes, b->state.len), -ENODEV);
	/* As fresh as before; and with the device it can be restored. */
	assert_int_equal(vmbus_offer(b->g.bus, &b->e[CARRIER].dev), 0);
	assert_int_equal(vmbus_restore(b->g.bus, b->state.bytes, b->state.len), 0);
	fg_pump(&b->g);
	save_exchange(&b->ch, 1);
	assert_int_equal(vmbus_restore(b->g.bus, b->state.bytes, b->state.len), -EBUSY);
}

/* Other relids than this host would give. */
static void relids_stay(void **state)
{
	struct save_bed *b = *state;
	u32 relid;

	vmbus_rescind(&b->e[CARRIER].dev);
	assert_int_equal(vmbus_offer(b->g.bus, &b->e[SPARE].dev), 0);
	assert_int_equal(vmbus_offer(b->g.bus, &b->e[CARRIER].dev), 0);
	vmbus_rescind(&b->e[SPARE].dev);
	relid = b->e[CARRIER].dev.primary->relid;
	save_connect(b, LATEST);
	save_open(b, CARRIER);
	b->absent[SPARE] = false;
	save_take(b);
	save_new_host(b);
	assert_int_not_equal(b->e[CARRIER].dev.primary->relid, relid);
	assert_int_equal(vmbus_restore(b->g.bus, b->state.bytes, b->state.len), 0);
	assert_int_equal(b->e[CARRIER].dev.primary->relid, relid);
	assert_ptr_equal(b->g.bus->channel[relid - 1], b->e[CARRIER].dev.primary);
	fg_pump(&b->g);
	save_exchange(&b->ch, 1);
}

/* ---- Going on -------------------------------------------------------------------------------- */

static void thawed_it_goes_on(void **state)
{
	struct save_bed *b = *state;

	save_connect(b, LATEST);
	save_open(b, CARRIER);
	save_open(b, DRAINER);
	b->e[CARRIER].hold = true;
	assert_int_equal(fg_send(&b->ch, 1, "x", 1, true), 0);
	fg_pump(&b->g);
	save_take(b);
	assert_int_equal(fg_send(&b->ch2, 2, "x", 1, true), 0);
	vmbus_unplug(&b->e[MONITORED].dev);
	fg_pump(&b->g);
	assert_int_equal(fg_recv(&b->ch2, b->buf, sizeof(b->buf), &b->pkt), 0);
	assert_int_equal(fg_offers_poll(&b->g), 2);
	fg_thaw(&b->g);
	assert_int_equal(b->e[CARRIER].thawed, 1);
	save_expect(&b->ch2, 2);
	echo_release(&b->e[CARRIER]);
	fg_pump(&b->g);
	save_expect(&b->ch, 1);
	assert_int_equal(fg_offers_poll(&b->g), 1);
	assert_int_equal(fg_close(&b->ch), 0);
	b->absent[MONITORED] = true;
	save_move(b, true);
	save_exchange(&b->ch2, 3);
}

static void ended_while_it_stands_still(void **state)
{
	struct save_bed *b = *state;

	save_connect(b, LATEST);
	save_open(b, CARRIER);
	save_take(b);
	save_new_host(b);
	live(b);
}

static void a_device_that_cannot_be_saved(void **state)
{
	struct save_bed *b = *state;
	const struct vmbus_device *dev = NULL;

	assert_int_equal(vmbus_offer(b->g.bus, &b->e[SPARE].dev), 0);
	save_connect(b, LATEST);
	save_open(b, SPARE);
	assert_true(fg_freeze(&b->g));
	assert_int_equal(vmbus_save(b->g.bus, &b->state, &dev), -EOPNOTSUPP);
	assert_ptr_equal(dev, &b->e[SPARE].dev);
	fg_thaw(&b->g);
	save_exchange(&b->ch2, 1);
	/* Closed, it can. */
	assert_int_equal(fg_close(&b->ch2), 0);
	b->absent[SPARE] = false;
	save_move(b, true);
	save_exchange(save_open(b, SPARE), 1);
}

/* Requests that do not end: who is waited for is told, and it can be given up. */
static void given_up_it_goes_on(void **state)
{
	struct save_bed *b = *state;
	struct echo *e = &b->e[DRAINER];

	save_connect(b, LATEST);
	save_open(b, CARRIER);
	save_open(b, DRAINER);
	assert_null(vmbus_freeze_awaits(b->g.bus));
	e->hold = true;
	assert_int_equal(fg_send(&b->ch2, 1, "1", 1, true), 0);
	fg_pump(&b->g);
	assert_false(fg_freeze(&b->g));
	assert_ptr_equal(vmbus_freeze_awaits(b->g.bus), &e->dev);
	b->g.bus->freeze_words.fire(&b->g.bus->freeze_words);
	assert_false(b->g.frozen);
	/* The one that stood and the one that did not. */
	fg_thaw(&b->g);
	assert_null(vmbus_freeze_awaits(b->g.bus));
	e->hold = false;
	save_exchange(&b->ch, 2);
	save_exchange(&b->ch2, 3);
	echo_release(e);
	fg_pump(&b->g);
	save_expect(&b->ch2, 1);
	assert_false(b->g.frozen);
	assert_int_equal(e->thawed, 1);
	assert_int_equal(b->e[CARRIER].thawed, 1);
	save_move(b, true);
	save_exchange(&b->ch2, 4);
}

static void count_frozen(void *ctx)
{
	++*(unsigned *)ctx;
}

/* Also where it is given up, or wanted again, before anybody has answered. */
static void given_up_at_once_and_wanted_again(void **state)
{
	struct save_bed *b = *state;
	struct echo *e = &b->e[DRAINER];
	unsigned frozen = 0;

	save_connect(b, LATEST);
	save_open(b, CARRIER);
	save_open(b, DRAINER);
	e->hold = true;
	assert_int_equal(fg_send(&b->ch2, 1, "1", 1, true), 0);
	fg_pump(&b->g);
	for (unsigned i = 0; i < 3; i++) {
		vmbus_freeze(b->g.bus, count_frozen, &frozen);
		vmbus_thaw(b->g.bus);
	}
	/* The answers are on their way. */
	vmbus_freeze(b->g.bus, count_frozen, &frozen);
	for (unsigned i = 0; i < b->g.io_count; i++)
		assert_int_equal(loop_turn(&b->g.io[i], 0), 0);
	vmbus_thaw(b->g.bus);
	save_exchange(&b->ch, 7);
	vmbus_freeze(b->g.bus, count_frozen, &frozen);
	fg_pump(&b->g);
	vmbus_thaw(b->g.bus);
	vmbus_freeze(b->g.bus, count_frozen, &frozen);
	fg_pump(&b->g);
	assert_int_equal(frozen, 0);
	echo_release(e);
	fg_pump(&b->g);
	assert_int_equal(frozen, 1);
	vmbus_thaw(b->g.bus);
	save_exchange(&b->ch, 2);
	save_expect(&b->ch2, 1);
	e->hold = false;
	save_exchange(&b->ch2, 3);
	/* Nobody has answered twice: it would be taken for the answer to something else. */
	assert_int_equal(fg_count(&b->g, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE), 0);
}

/*
 * Gives up, has the guest's message come, and wants it again: before a loop has heard of any of it.
 */
static void ask_between(struct save_bed *b, const void *msg, u32 len, unsigned *frozen)
{
	vmbus_freeze(b->g.bus, count_frozen, frozen);
	vmbus_thaw(b->g.bus);
	save_post_raw(b, msg, len);
	assert_int_equal(loop_turn(&b->g.control, 0), 0);
	vmbus_freeze(b->g.bus, count_frozen, frozen);
	fg_pump(&b->g);
	vmbus_thaw(b->g.bus);
	fg_pump(&b->g);
}

static void what_is_asked_in_between_is_done_first(void **state)
{
	struct vmbus_msg_modify_channel modify = { .header.msgtype = VMBUS_MSG_MODIFY_CHANNEL,
						   .target_vp = 1 };
	struct vmbus_msg_relid close = { .header.msgtype = VMBUS_MSG_CLOSE_CHANNEL };
	struct save_bed *b = *state;
	unsigned frozen = 0;

	save_connect(b, LATEST);
	save_open(b, CARRIER);
	modify.child_relid = close.child_relid = b->ch.relid;
	ask_between(b, &modify, sizeof(modify), &frozen);
	assert_int_equal(frozen, 1);
	assert_int_equal(fg_count(&b->g, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE), 1);
	save_exchange(&b->ch, 1);
	ask_between(b, &close, sizeof(close), &frozen);
	assert_int_equal(frozen, 2);
	assert_int_equal(b->e[CARRIER].closed, 1);
	save_exchange(save_open(b, CARRIER), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(given_up_it_goes_on),
		TEST(given_up_at_once_and_wanted_again),
		TEST(what_is_asked_in_between_is_done_first),
		TEST(nothing_yet),
		TEST(unloaded),
		TEST(connected_in_each_version),
		TEST(the_message_target_stays),
		TEST(offers_are_not_made_twice),
		TEST(paused_with_messages_held),
		TEST(messages_that_wait_for_the_slot),
		TEST(messages_not_looked_at),
		TEST(a_reset_under_way),
		TEST(a_reset_that_waits_for_a_pin),
		TEST(gpadl_half_built),
		TEST(teardown_waits_for_the_device),
		TEST(rescinded),
		TEST(released_by_the_guest),
		TEST(a_device_more),
		TEST(a_device_less),
		TEST(relids_stay),
		TEST(thawed_it_goes_on),
		TEST(ended_while_it_stands_still),
		TEST(a_device_that_cannot_be_saved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
