/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages: guest buffers made and torn down, offers, channels opened and closed. Counted as the
 * guest's messages (offers: as the host's); the host's share is to take them in (on a vCPU's
 * thread), to look at them and to post the answers. That it allocates here is as it should be: a
 * guest buffer is what it holds, within VMBUS_GPADL_WORDS_MAX.
 */
#include "tests/bench/bus.h"

#include <errno.h>
#include <stdio.h>

#define DEVICES 64u
#define PAIRS 100u

static int device_open(struct vmbus_channel *ch)
{
	(void)ch;
	return 0;
}

static void device_ready(struct vmbus_channel *ch)
{
	(void)ch;
}

static const struct vmbus_device_ops ops = { .name = "none",
					     .type = { { 0x0e } },
					     .packet_max = 256,
					     .open = device_open,
					     .ready = device_ready,
					     .close = channel_closed };

/* What the guest posts in one go, and how many answers that has. */
struct mail {
	struct bus *b;
	u32 pairs, answers;
	u32 relid;
	u64 pfn;
};

static void post(struct mail *m, const void *msg, u32 len)
{
	bus_must(fg_post_raw(&m->b->g, m->b->g.msg_conn_id, msg, len), "a message");
}

static void host_answers(struct mail *m)
{
	while (m->b->g.message_count < m->answers)
		loop_turn(&m->b->g.control, 0);
}

static void gpadl_pairs(void *ctx)
{
	struct mail *m = ctx;
	struct {
		struct vmbus_msg_gpadl_header head;
		u32 byte_count, byte_offset;
		u64 pfn;
	} __attribute__((packed)) make = {
		.head = { .header.msgtype = VMBUS_MSG_GPADL_HEADER,
			  .child_relid = m->relid,
			  .range_buflen = 16,
			  .rangecount = 1 },
		.byte_count = GUEST_PAGE_SIZE,
		.pfn = m->pfn,
	};
	struct vmbus_msg_gpadl_teardown tear = { .header.msgtype = VMBUS_MSG_GPADL_TEARDOWN,
						 .child_relid = m->relid };

	for (u32 i = 1; i <= m->pairs; i++) {
		make.head.gpadl = tear.gpadl = i;
		post(m, &make, sizeof(make));
		post(m, &tear, sizeof(tear));
	}
	host_answers(m);
}

static void gpadls(struct mail *m, const char *name, u32 pairs)
{
	struct bus *b = m->b;

	if (!bus_case(b, name))
		return;
	m->pairs = pairs;
	m->answers = 2 * pairs;
	for (u32 rounds = bus_rounds(b, 2 * pairs); b->round < rounds; bus_next(b)) {
		b->g.message_count = 0;
		bus_host(b, gpadl_pairs, m);
	}
	bus_report(b, name, "message", 2 * pairs, false);
}

static void request_offers(void *ctx)
{
	const struct vmbus_msg_header msg = { .msgtype = VMBUS_MSG_REQUEST_OFFERS };

	post(ctx, &msg, sizeof(msg));
	host_answers(ctx);
}

static void offers(struct mail *m)
{
	struct bus *b = m->b;

	if (!bus_case(b, "offers"))
		return;
	m->answers = DEVICES + 1;
	for (u32 rounds = bus_rounds(b, 2 * DEVICES); b->round < rounds; bus_next(b)) {
		b->g.message_count = 0;
		bus_must(fg_unload(&b->g), "an unload");
		bus_must(fg_connect(&b->g, VMBUS_VERSION_WIN10_V5_3), "a connection");
		b->g.message_count = 0;
		bus_host(b, request_offers, m);
	}
	bus_report(b, "offers", "message", DEVICES + 1, false);
}

/* Opened and closed, the rings' buffer made and torn down: with the fake guest's own part. */
static void open_and_close(void *ctx)
{
	struct mail *m = ctx;
	struct fg_channel ch;

	bus_must(fg_open(&m->b->g, &ch, &m->b->g.offer[0], NULL), "a channel");
	bus_must(fg_close(&ch), "a close");
}

static void channels(struct mail *m)
{
	struct bus *b = m->b;
	gpa_t page = b->g.next_page;

	if (!bus_case(b, "open-and-close"))
		return;
	for (u32 rounds = bus_rounds(b, 50); b->round < rounds; bus_next(b)) {
		b->g.next_page = page;
		b->g.message_count = 0;
		bus_host(b, open_and_close, m);
	}
	bus_report(b, "open-and-close", "channel", 1, false);
}

void bus_messages(struct bus *b)
{
	static struct vmbus_device dev[DEVICES];
	struct vmbus_device *list[DEVICES];
	struct mail m = { .b = b };

	for (u8 i = 0; i < DEVICES; i++) {
		dev[i] = (struct vmbus_device){ .ops = &ops, .instance = { { 2, i } } };
		list[i] = &dev[i];
	}
	bus_begin(b, list, DEVICES);
	m.relid = b->g.offer[0].msg.child_relid;
	m.pfn = fg_alloc(&b->g, 1) / GUEST_PAGE_SIZE;
	gpadls(&m, "gpadl/one", 1);
	gpadls(&m, "gpadl/100", PAIRS);
	channels(&m);
	offers(&m);
	fg_fini(&b->g);
}
