/* SPDX-License-Identifier: BSD-2-Clause */
/* The connection: versions, targets, offers, rescind, unload, reconnect, floods and nonsense. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/fakeguest/fakeguest.h"
#include "vmbus/server.h"

/* A device whose close can be held back. */
struct slow {
	struct vmbus_device dev;
	bool hold;
	struct vmbus_channel *closing;
	int open_result;
	unsigned opened, closed;
};

static int slow_open(struct vmbus_channel *ch)
{
	struct slow *s = channel_device(ch)->data;

	s->opened += !s->open_result;
	return s->open_result;
}

static void slow_ready(struct vmbus_channel *ch)
{
	(void)ch;
}

static void slow_close(struct vmbus_channel *ch)
{
	struct slow *s = channel_device(ch)->data;

	s->closed++;
	if (s->hold)
		s->closing = ch;
	else
		channel_closed(ch);
}

static const struct vmbus_device_ops ops = { .name = "slow",
					     .type = { { 0x22 } },
					     .packet_max = 4096,
					     .open = slow_open,
					     .ready = slow_ready,
					     .close = slow_close };
static const struct vmbus_device_ops pipe_ops = { .name = "pipe",
						  .type = { { 0x23 } },
						  .pipe = true,
						  .packet_max = 4096,
						  .open = slow_open,
						  .ready = slow_ready,
						  .close = slow_close };

struct fixture {
	struct fakeguest g;
	struct slow dev[3];
	struct fg_channel ch;
};

static void device(struct fixture *f, u8 n)
{
	struct slow *s = &f->dev[n];

	s->dev = (struct vmbus_device){ .ops = n == 2 ? &pipe_ops : &ops,
					.instance = { { 0x40, n } },
					.mmio_megabytes = n,
					.mmio_megabytes_optional = 7,
					.user_defined = { 1, 2, 3 },
					.data = s };
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	assert_int_equal(fg_init(&f->g, NULL), 0);
	for (u8 i = 0; i < 3; i++) {
		device(f, i);
		assert_int_equal(vmbus_offer(f->g.bus, &f->dev[i].dev), 0);
	}
	return 0;
}

static void connect(struct fixture *f)
{
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(fg_request_offers(&f->g), 0);
}

static int open_first(struct fixture *f)
{
	return fg_open(&f->g, &f->ch, fg_offer_instance(&f->g, &f->dev[0].dev.instance), NULL);
}

/* ---- Contact --------------------------------------------------------------------------------- */

static void versions(void **state)
{
	static const u32 good[] = { 0x0000d, 0x10001, 0x20004, 0x30000, 0x40000, 0x40001,
				    0x50000, 0x50001, 0x50002, 0x50003, 0x60000 };
	static const u32 bad[] = { 0, 0xc, 0x10000, 0x20003, 0x50004, 0x60001, 0xffffffff };
	struct fixture *f = *state;
	struct vmbus_status status;

	vmbus_status(f->g.bus, &status);
	assert_false(status.contacted);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(fg_connect(&f->g, bad[i]), -ECONNREFUSED);
	vmbus_status(f->g.bus, &status);
	assert_true(status.contacted);
	assert_int_equal(status.version, 0);
	/* Upwards, downwards, with one that fails in between. */
	for (size_t i = 0; i < 2 * ARRAY_SIZE(good); i++) {
		u32 version = good[i < ARRAY_SIZE(good) ? i : 2 * ARRAY_SIZE(good) - 1 - i];

		assert_int_equal(fg_connect(&f->g, version), 0);
		assert_int_equal(f->g.response_size, version < 0x60000 ? 16 : 20);
		assert_int_equal(fg_request_offers(&f->g), 0);
		assert_int_equal(f->g.offer_count, 3);
		vmbus_status(f->g.bus, &status);
		assert_int_equal(status.version, version);
		if (i % 3 == 0)
			assert_int_equal(fg_connect(&f->g, bad[i % ARRAY_SIZE(bad)]),
					 -ECONNREFUSED);
	}
}

static void messages_go_where_the_guest_says(void **state)
{
	struct fixture *f = *state;

	f->g.target_vp = 3;
	f->g.msg_sint = 5;
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	fg_post(&f->g, &(struct vmbus_msg_header){ .msgtype = VMBUS_MSG_REQUEST_OFFERS }, 8);
	assert_int_equal(f->g.message_count, 4);
	for (u32 i = 0; i < 4; i++) {
		assert_int_equal(f->g.message[i].vp, 3);
		assert_int_equal(f->g.message[i].sint, 5);
	}
	f->g.message_count = 0;
	/* Before 5.0 there is no SINT to name, before 3.0 no VP. */
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10), 0);
	assert_int_equal(f->g.bus->msg_vp, 3);
	assert_int_equal(f->g.bus->msg_sint, 2);
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN8), 0);
	assert_int_equal(f->g.bus->msg_vp, 0);
}

static void targets_that_are_not_there(void **state)
{
	struct fixture *f = *state;

	f->g.target_vp = 4;
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), -ECONNREFUSED);
	f->g.target_vp = 0xffffffff;
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10), -ECONNREFUSED);
	f->g.target_vp = 0;
	f->g.msg_sint = 16;
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), -ECONNREFUSED);
	f->g.msg_sint = 0;
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), -ECONNREFUSED);
	assert_int_equal(f->g.bus->state, CONNECTION_NONE);
}

/* ---- Offers ---------------------------------------------------------------------------------- */

static void offers_say_what_linux_wants(void **state)
{
	struct fixture *f = *state;
	const struct fg_offer *o;

	connect(f);
	o = fg_offer_instance(&f->g, &f->dev[1].dev.instance);
	assert_memory_equal(o->msg.if_type, &ops.type, 16);
	assert_int_equal(o->msg.mmio_megabytes, 1);
	assert_int_equal(o->msg.mmio_megabytes_optional, 7);
	assert_int_equal(o->msg.monitorid, 0xff);
	assert_int_equal(o->msg.is_dedicated_interrupt, 1);
	assert_int_equal(o->msg.monitor_allocated, 0);
	assert_int_equal(o->msg.chn_flags, 1);
	assert_int_equal(o->msg.user_def[0], 1);
	assert_int_equal(o->msg.connection_id >> 24, 0);
	assert_int_equal(o->msg.connection_id, VMBUS_EVENT_CONNECTION_ID(o->msg.child_relid));
	o = fg_offer_find(&f->g, &pipe_ops.type, 0);
	assert_int_equal(o->msg.chn_flags, 0x11);
	assert_memory_equal(o->msg.user_def, "\4\0\0\0\1\2\3", 7);
	/* Asked again, they would look like other devices. */
	assert_int_equal(fg_request_offers(&f->g), -ETIMEDOUT);
	assert_int_equal(f->g.offer_count, 3);
}

static void devices_come_and_go(void **state)
{
	struct fixture *f = *state;
	struct slow late = { .dev = { .ops = &ops, .instance = { { 9 } } } };
	struct vmbus_msg_relid released = { .header.msgtype = VMBUS_MSG_RELID_RELEASED };

	late.dev.data = &late;
	assert_int_equal(vmbus_offer(f->g.bus, &f->dev[0].dev), -EEXIST);
	connect(f);
	assert_int_equal(vmbus_offer(f->g.bus, &late.dev), 0);
	assert_int_equal(fg_offers_poll(&f->g), 1);
	assert_int_equal(fg_open(&f->g, &f->ch, fg_offer_instance(&f->g, &late.dev.instance), NULL),
			 0);
	vmbus_rescind(&late.dev);
	vmbus_rescind(&late.dev);
	assert_int_equal(fg_offers_poll(&f->g), 1);
	assert_int_equal(late.closed, 1);
	assert_null(fg_offer_instance(&f->g, &late.dev.instance));
	assert_non_null(late.dev.primary);
	/* Linux closes what it has open, then lets go. */
	assert_int_equal(fg_close(&f->ch), 0);
	released.child_relid = f->ch.relid;
	assert_int_equal(fg_post(&f->g, &released, sizeof(released)), 0);
	assert_null(late.dev.primary);
	assert_int_equal(vmbus_offer(f->g.bus, &late.dev), 0);
	assert_int_equal(fg_offers_poll(&f->g), 1);
	vmbus_rescind(&late.dev);
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_null(late.dev.primary);
}

static void rescind_waits_for_the_device(void **state)
{
	struct fixture *f = *state;
	struct vmbus_msg_relid released = { .header.msgtype = VMBUS_MSG_RELID_RELEASED };

	connect(f);
	assert_int_equal(open_first(f), 0);
	f->dev[0].hold = true;
	vmbus_rescind(&f->dev[0].dev);
	fg_pump(&f->g);
	released.child_relid = f->ch.relid;
	fg_post(&f->g, &released, sizeof(released));
	assert_non_null(f->dev[0].dev.primary);
	channel_closed(f->dev[0].closing);
	fg_pump(&f->g);
	assert_null(f->dev[0].dev.primary);
	assert_int_equal(f->g.bus->gpadl_count, 0);
	/* Not offered to anybody: gone at once. */
	assert_int_equal(fg_unload(&f->g), 0);
	vmbus_rescind(&f->dev[1].dev);
	assert_null(f->dev[1].dev.primary);
}

static void a_released_relid_is_offered_next_time(void **state)
{
	struct fixture *f = *state;
	struct vmbus_msg_relid released = { .header.msgtype = VMBUS_MSG_RELID_RELEASED };

	connect(f);
	assert_int_equal(open_first(f), 0);
	released.child_relid = f->ch.relid;
	fg_post(&f->g, &released, sizeof(released));
	assert_non_null(offer_find(f->g.bus, f->ch.relid)); /* open: refused */
	assert_int_equal(fg_close(&f->ch), 0);
	fg_post(&f->g, &released, sizeof(released));
	assert_null(offer_find(f->g.bus, f->ch.relid));
	assert_int_equal(open_first(f), -EPROTO);
	connect(f);
	assert_int_equal(open_first(f), 0);
}

static void the_bus_is_full_at_its_limit(void **state)
{
	struct fixture *f = *state;
	static struct vmbus_device many[VMBUS_CHANNELS_MAX];
	u32 n;

	for (n = 0; n < VMBUS_CHANNELS_MAX; n++) {
		many[n] = (struct vmbus_device){ .ops = &ops,
						 .instance = { { 7, (u8)n, (u8)(n >> 8) } } };
		if (vmbus_offer(f->g.bus, &many[n]))
			break;
	}
	assert_int_equal(n, VMBUS_CHANNELS_MAX - 3);
	connect(f);
	assert_int_equal(f->g.offer_count, VMBUS_CHANNELS_MAX);
}

/* ---- Unload and reconnect -------------------------------------------------------------------- */

static void unload_closes_and_reconnect_works(void **state)
{
	struct fixture *f = *state;
	struct vmbus_status status;

	assert_int_equal(fg_unload(&f->g), 0);
	for (int i = 0; i < 3; i++) {
		connect(f);
		assert_int_equal(open_first(f), 0);
		vmbus_status(f->g.bus, &status);
		assert_int_equal(status.channels_open, 1);
		assert_int_equal(fg_unload(&f->g), 0);
		assert_int_equal(f->dev[0].closed, i + 1);
		vmbus_status(f->g.bus, &status);
		assert_int_equal(status.channels_open, 0);
		assert_int_equal(fg_signal(&f->ch), -ENOENT);
	}
}

static void contact_is_a_reset(void **state)
{
	struct fixture *f = *state;

	connect(f);
	assert_int_equal(open_first(f), 0);
	f->dev[0].hold = true;
	/* The answer waits until the device has let go, and so do later messages. */
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), -ETIMEDOUT);
	assert_int_equal(fg_unload(&f->g), -ETIMEDOUT);
	assert_int_equal(f->dev[0].closed, 1);
	channel_closed(f->dev[0].closing);
	fg_pump(&f->g);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_VERSION_RESPONSE), 1);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_UNLOAD_RESPONSE), 1);
	assert_int_equal(f->g.bus->gpadl_count, 0);
	assert_int_equal(f->g.bus->state, CONNECTION_NONE);
}

static void messages_for_the_last_guest_are_dropped(void **state)
{
	struct fixture *f = *state;

	connect(f);
	f->g.slot_held = true;
	for (int i = 0; i < 10; i++)
		fg_post(&f->g,
			&(struct vmbus_msg_open_channel){ .header.msgtype = VMBUS_MSG_OPEN_CHANNEL,
							  .child_relid = 100 },
			sizeof(struct vmbus_msg_open_channel));
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), -ETIMEDOUT);
	f->g.slot_held = false;
	vmbus_slot_free(f->g.bus);
	fg_pump(&f->g);
	assert_int_equal(fg_count(&f->g, 0), 1);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_VERSION_RESPONSE), 1);
}

/* ---- Busy slots and floods ------------------------------------------------------------------- */

static void busy_slots_keep_the_order(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	for (unsigned i = 0; i < 8; i++) {
		f->g.refuse_posts = i;
		connect(f);
		assert_int_equal(f->g.offer_count, 3);
		assert_true(f->g.offer[0].msg.child_relid < f->g.offer[1].msg.child_relid);
		assert_true(f->g.offer[1].msg.child_relid < f->g.offer[2].msg.child_relid);
	}
	assert_int_equal(f->g.posts_refused, 28);
}

static void free_slots_wake_nobody_without_need(void **state)
{
	struct fixture *f = *state;

	connect(f);
	vmbus_slot_free(f->g.bus);
	assert_false(f->g.bus->slot_work.queued);
	f->g.slot_held = true;
	assert_int_equal(fg_unload(&f->g), -ETIMEDOUT);
	vmbus_slot_free(f->g.bus);
	assert_true(f->g.bus->slot_work.queued);
	f->g.slot_held = false;
	fg_pump(&f->g);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_UNLOAD_RESPONSE), 1);
}

static void a_guest_without_synic_hurts_nobody(void **state)
{
	struct fixture *f = *state;

	f->g.synic_off = true;
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), -ETIMEDOUT);
	f->g.synic_off = false;
	connect(f);
}

static void a_flood_is_turned_away(void **state)
{
	struct fixture *f = *state;
	const struct vmbus_msg_open_channel msg = { .header.msgtype = VMBUS_MSG_OPEN_CHANNEL,
						    .child_relid = 100 };
	unsigned sent = 0, refused = 0;

	connect(f);
	f->g.slot_held = true;
	while (refused < 5) {
		if (fg_post_raw(&f->g, 1, &msg, sizeof(msg))) {
			assert_int_equal(fg_post_raw(&f->g, 1, &msg, sizeof(msg)), -ENOBUFS);
			fg_pump(&f->g);
			refused++;
		} else {
			sent++;
		}
		assert_true(sent < OUTQ_MAX + VMBUS_INBOX_MAX);
	}
	/* What channels and offers have to say still finds room. */
	assert_int_equal(outq_room(&f->g.bus->outq), VMBUS_OUTQ_RESERVE - 1);
	/* Each is answered, none is lost, once it takes messages again. */
	f->g.slot_held = false;
	vmbus_slot_free(f->g.bus);
	fg_pump(&f->g);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_OPEN_CHANNEL_RESULT), sent);
}

/* ---- Nonsense -------------------------------------------------------------------------------- */

static void every_short_message_is_ignored(void **state)
{
	struct fixture *f = *state;
	u8 msg[VMBUS_MESSAGE_MAX] = { 0 };

	connect(f);
	for (u32 type = 0; type < 40; type++) {
		if (type == VMBUS_MSG_UNLOAD || type == VMBUS_MSG_REQUEST_OFFERS)
			continue;
		memcpy(msg, &type, sizeof(type));
		for (u32 len = 0; len < 12; len++)
			assert_int_equal(fg_post(&f->g, msg, len), 0);
	}
	assert_int_equal(fg_count(&f->g, 0), 0);
	assert_int_equal(f->g.bus->state, CONNECTION_UP);
	assert_true(f->g.bus->bad_message.count > 400);
}

static void out_of_place(void **state)
{
	struct fixture *f = *state;
	u8 msg[VMBUS_MESSAGE_MAX] = { 0 };

	/* Nothing but contact and unload before there is a connection. */
	for (u32 type = 0; type < VMBUS_MSG_COUNT; type++) {
		if (type == VMBUS_MSG_UNLOAD || type == VMBUS_MSG_INITIATE_CONTACT)
			continue;
		memcpy(msg, &type, sizeof(type));
		assert_int_equal(fg_post(&f->g, msg, sizeof(msg)), 0);
	}
	assert_int_equal(fg_count(&f->g, 0), 0);
	/* Other connection ids are nobody's. */
	msg[0] = VMBUS_MSG_UNLOAD;
	assert_int_equal(fg_post_raw(&f->g, 7, msg, 8), 0);
	fg_pump(&f->g);
	assert_int_equal(fg_count(&f->g, 0), 0);
	/* MODIFY_CHANNEL is of 4.1. */
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10), 0);
	msg[0] = VMBUS_MSG_MODIFY_CHANNEL;
	assert_int_equal(fg_post(&f->g, msg, sizeof(msg)), 0);
	assert_int_equal(fg_count(&f->g, 0), 0);
}

static void random_messages(void **state)
{
	struct fixture *f = *state;
	u8 msg[VMBUS_MESSAGE_MAX];

	srand(1);
	for (int i = 0; i < 30000; i++) {
		u32 type = (u32)rand() % 32, len = (u32)rand() % (VMBUS_MESSAGE_MAX + 1);

		for (size_t n = 0; n < sizeof(msg); n++)
			msg[n] = rand() % 4 ? 0 : (u8)(rand() % 8);
		memcpy(msg, &type, sizeof(type));
		if (type == VMBUS_MSG_INITIATE_CONTACT && rand() % 2)
			memcpy(msg + 8, rand() % 2 ? "\3\0\5" : "\0\0\6", 4);
		fg_post_raw(&f->g, rand() % 8 ? 1 : 4, msg, len);
		if (rand() % 4 == 0)
			fg_pump(&f->g);
		if (f->g.message_count > 1000)
			f->g.message_count = 0;
	}
	fg_pump(&f->g);
	f->g.message_count = 0;
	f->g.target_vp = 0;
	connect(f);
	assert_int_equal(open_first(f), 0);
}

static void sockets_are_refused(void **state)
{
	struct fixture *f = *state;
	struct vmbus_msg_tl_connect_request msg = {
		.header.msgtype = VMBUS_MSG_TL_CONNECT_REQUEST,
		.guest_endpoint_id = { 1 },
		.host_service_id = { 2 },
	};
	struct vmbus_msg_tl_connect_result result;

	connect(f);
	fg_post(&f->g, &msg, sizeof(msg));
	assert_int_equal(fg_take(&f->g, VMBUS_MSG_TL_CONNECT_RESULT, &result, sizeof(result)), 44);
	assert_int_equal(result.status, 0xc0000236);
	assert_int_equal(result.host_service_id[0], 2);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, fg_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(versions),
		T(messages_go_where_the_guest_says),
		T(targets_that_are_not_there),
		T(offers_say_what_linux_wants),
		T(devices_come_and_go),
		T(rescind_waits_for_the_device),
		T(a_released_relid_is_offered_next_time),
		T(the_bus_is_full_at_its_limit),
		T(unload_closes_and_reconnect_works),
		T(contact_is_a_reset),
		T(messages_for_the_last_guest_are_dropped),
		T(busy_slots_keep_the_order),
		T(free_slots_wake_nobody_without_need),
		T(a_guest_without_synic_hurts_nobody),
		T(a_flood_is_turned_away),
		T(every_short_message_is_ignored),
		T(out_of_place),
		T(random_messages),
		T(sockets_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
