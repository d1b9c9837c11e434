/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/vmbus/save_bed.h"

#define RAM MiB(8)

/* ---- The device ------------------------------------------------------------------------------ */

static struct echo *echo_of(const struct vmbus_channel *ch)
{
	return channel_device(ch)->data;
}

static void echo_send(struct echo *e)
{
	u8 bytes[1000] = { 0 };
	struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };

	for (; e->ch && e->to_send; e->to_send--, e->sent++)
		if (channel_send(e->ch, VMBUS_PACKET_INBAND, false, e->sent, &iov, 1))
			break;
}

static void echo_settle(struct echo *e)
{
	struct vmbus_channel *ch = e->ch;

	if (e->held_count)
		return;
	if (e->closing) {
		e->closing = false;
		e->ch = NULL;
		channel_closed(ch);
	} else if (e->freezing) {
		e->freezing = false;
		channel_frozen(ch);
	}
}

void echo_release(struct echo *e)
{
	for (u32 i = 0; i < e->held_count && !e->closing; i++)
		assert_int_equal(channel_complete(e->ch, e->held[i], "held", 4), 0);
	e->held_count = 0;
	echo_settle(e);
}

static int echo_open(struct vmbus_channel *ch)
{
	struct echo *e = echo_of(ch);

	if (channel_sub_index(ch))
		return 0;
	e->ch = ch;
	e->hold = false;
	e->to_send = 0;
	if (e->dev.sub_channels_max)
		channel_offer_subs(ch, e->dev.sub_channels_max);
	return 0;
}

static void echo_ready(struct vmbus_channel *ch)
{
	struct echo *e = echo_of(ch);
	struct vmbus_packet pkt;

	echo_send(e);
	while (e->held_count < HELD_MAX && channel_recv(ch, e->buf, &pkt) == 1) {
		if (e->hold)
			e->held[e->held_count++] = pkt.transaction_id;
		else
			channel_complete(ch, pkt.transaction_id, pkt.payload, pkt.payload_size);
	}
}

static void echo_close(struct vmbus_channel *ch)
{
	struct echo *e = echo_of(ch);

	e->closed++;
	if (channel_sub_index(ch)) {
		channel_closed(ch);
		return;
	}
	if (e->gpadl)
		channel_gpadl_put(ch, e->gpadl);
	e->gpadl = NULL;
	e->closing = true;
	e->freezing = false;
	echo_settle(e);
}

static void echo_thaw(struct vmbus_channel *ch)
{
	echo_of(ch)->thawed++;
	echo_of(ch)->freezing = false;
}

/* The drainer's. */
static void echo_freeze(struct vmbus_channel *ch)
{
	struct echo *e = echo_of(ch);

	if (channel_sub_index(ch)) {
		channel_frozen(ch);
		return;
	}
	e->freezing = true;
	echo_settle(e);
}

static void echo_save(struct vmbus_channel *ch, struct stream_out *out)
{
	const struct echo *e = echo_of(ch);

	stream_put_u32(out, 1);
	if (channel_sub_index(ch))
		return;
	stream_put_u8(out, e->hold);
	stream_put_u32(out, e->to_send);
	stream_put_u32(out, e->sent);
	stream_put_u32(out, e->pinned);
	stream_put_u32(out, e->held_count);
	for (u32 i = 0; i < e->held_count; i++)
		stream_put_u64(out, e->held[i]);
}

static int echo_restore(struct vmbus_channel *ch, struct stream_in *in)
{
	struct echo *e = echo_of(ch);

	if (stream_get_u32(in) != 1)
		return -EINVAL;
	if (channel_sub_index(ch))
		return 0;
	e->hold = stream_get_bool(in);
	e->to_send = stream_get_u32(in) % 1000;
	e->sent = stream_get_u32(in);
	e->pinned = stream_get_u32(in);
	e->held_count = stream_get_u32(in);
	if (e->held_count > HELD_MAX) {
		e->held_count = 0;
		return -EINVAL;
	}
	for (u32 i = 0; i < e->held_count; i++)
		e->held[i] = stream_get_u64(in);
	if (e->pinned && !(e->gpadl = channel_gpadl_get(ch, e->pinned))) {
		e->held_count = 0;
		return -EINVAL;
	}
	e->ch = ch;
	e->restored++;
	return 0;
}

#define ECHO_OPS(n, ...)                                                                          \
	{                                                                                         \
		.name = "echo", .type = { { 0x70, (n) } }, .packet_max = 4096, .open = echo_open, \
		.ready = echo_ready, .close = echo_close, __VA_ARGS__                             \
	}

static const struct vmbus_device_ops ops[DEVICES] = {
	[CARRIER] =
		ECHO_OPS(CARRIER, .save = echo_save, .restore = echo_restore, .thaw = echo_thaw),
	[DRAINER] = ECHO_OPS(DRAINER, .save = echo_save, .restore = echo_restore,
			     .freeze = echo_freeze, .thaw = echo_thaw),
	[MONITORED] = ECHO_OPS(MONITORED, .save = echo_save, .restore = echo_restore),
	[SPARE] = ECHO_OPS(SPARE, .save = NULL),
};

/* ---- The hosts ------------------------------------------------------------------------------- */

static void devices_offer(struct save_bed *b)
{
	memset(b->e, 0, sizeof(b->e));
	for (u8 i = 0; i < DEVICES; i++) {
		struct echo *e = &b->e[i];

		e->dev = (struct vmbus_device){ .ops = &ops[i],
						.instance = { { 0x71, i } },
						.monitor_us = i == MONITORED ? 100 : 0,
						.sub_channels_max = i == DRAINER ? 2 : 0,
						.data = e };
		if (!b->absent[i])
			assert_int_equal(vmbus_offer(b->g.bus, &e->dev), 0);
	}
}

void save_bed_init(struct save_bed *b)
{
	const struct fg_config config = { .memory = RAM, .io_count = 2 };

	assert_int_equal(fg_init(&b->g, &config), 0);
	b->absent[SPARE] = true;
	devices_offer(b);
}

int save_setup(void **state)
{
	*state = calloc(1, sizeof(struct save_bed));
	save_bed_init(*state);
	return 0;
}

int save_teardown(void **state)
{
	struct save_bed *b = *state;

	stream_free(&b->state);
	/* A held packet would keep the end waiting. */
	for (int i = 0; i < DEVICES; i++)
		b->e[i].held_count = 0;
	return fg_teardown(state);
}

void save_take(struct save_bed *b)
{
	assert_true(fg_freeze(&b->g));
	stream_free(&b->state);
	assert_int_equal(vmbus_save(b->g.bus, &b->state, NULL), 0);
}

void save_new_host(struct save_bed *b)
{
	for (int i = 0; i < DEVICES; i++)
		b->e[i].held_count = 0;
	assert_int_equal(fg_new_host(&b->g), 0);
	devices_offer(b);
}

/* What the new host would save, before it has done anything. */
static void expect_the_same(struct save_bed *b)
{
	struct stream_out again = { 0 };

	b->g.bus->frozen = true;
	assert_int_equal(vmbus_save(b->g.bus, &again, NULL), 0);
	b->g.bus->frozen = false;
	assert_int_equal(again.len, b->state.len);
	assert_memory_equal(again.bytes, b->state.bytes, again.len);
	stream_free(&again);
}

void save_move(struct save_bed *b, bool pump)
{
	void *ram = fg_ptr(&b->g, 0, RAM), *copy = malloc(RAM);

	assert_true(fg_freeze(&b->g));
	memcpy(copy, ram, RAM);
	save_take(b);
	save_new_host(b);
	assert_int_equal(vmbus_restore(b->g.bus, b->state.bytes, b->state.len), 0);
	expect_the_same(b);
	assert_memory_equal(copy, ram, RAM);
	free(copy);
	if (pump)
		fg_pump(&b->g);
}

/* ---- The guest ------------------------------------------------------------------------------- */

void save_connect(struct save_bed *b, u32 version)
{
	assert_int_equal(fg_connect(&b->g, version), 0);
	assert_int_equal(fg_request_offers(&b->g), 0);
}

void save_post_raw(struct save_bed *b, const void *msg, u32 len)
{
	assert_int_equal(fg_post_raw(&b->g, b->g.msg_conn_id, msg, len), 0);
}

struct fg_channel *save_open(struct save_bed *b, int n)
{
	struct fg_channel *ch = n == CARRIER ? &b->ch : &b->ch2;

	assert_int_equal(fg_open(&b->g, ch, fg_offer_find(&b->g, &ops[n].type, 0), NULL), 0);
	fg_pump(&b->g);
	return ch;
}

void save_expect(struct fg_channel *ch, u64 id)
{
	u8 buf[4096];
	struct fg_packet pkt;

	assert_int_equal(fg_recv(ch, buf, sizeof(buf), &pkt), 1);
	assert_int_equal(pkt.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(pkt.transaction_id, id);
}

void save_exchange(struct fg_channel *ch, u64 id)
{
	assert_int_equal(fg_send(ch, id, &id, sizeof(id), true), 0);
	fg_pump(ch->guest);
	save_expect(ch, id);
}
