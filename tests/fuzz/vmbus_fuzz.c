/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bus under a guest and a host that do as they please: every message in any order and form,
 * signals, packets, broken rings, a SynIC that is full or gone, hot add and remove, and a device
 * that answers when it likes. At the end the guest unloads, and whatever went before nothing of it
 * may be left.
 */
#include "tests/fuzz/guest.h"
#include "vmbus/save.h"
#include "vmbus/server.h"

#include <errno.h>

#define DEVICES 3
#define SUBS 2

/* A device that holds on to things. */
struct dev {
	struct vmbus_device dev;
	struct slot {
		struct vmbus_channel *ch; /* open, or closing and not let go */
		bool closing, detaching;
		struct gpadl *pin;
	} slot[1 + SUBS];
	u8 mood; /* MOOD_* */
	u8 packet[1024];
};

enum { MOOD_REFUSE = 1, MOOD_HOLD = 2, MOOD_ECHO = 4, MOOD_STOP = 8, MOOD_SEND = 16 };

struct bed {
	struct guest *guest;
	struct dev dev[DEVICES];
};

/* ---- The device ------------------------------------------------------------------------------ */

static struct dev *dev_of(struct vmbus_channel *ch)
{
	return container_of(channel_device(ch), struct dev, dev);
}

static struct slot *slot_of(struct vmbus_channel *ch)
{
	FUZZ_CHECK(channel_sub_index(ch) <= SUBS);
	return &dev_of(ch)->slot[channel_sub_index(ch)];
}

static int dev_open(struct vmbus_channel *ch)
{
	struct slot *s = slot_of(ch);

	FUZZ_CHECK(!s->ch && channel_loop(ch) && channel_mem(ch));
	if (dev_of(ch)->mood & MOOD_REFUSE)
		return -EIO;
	s->ch = ch;
	channel_set_data(ch, s);
	return 0;
}

/* Packets lie in the device's buffer. */
static void dev_packet(struct dev *d, struct vmbus_channel *ch, const struct vmbus_packet *pkt)
{
	const u8 *payload = pkt->payload;
	struct iovec iov[8];
	u32 total;

	FUZZ_CHECK(payload >= d->packet &&
		   payload + pkt->payload_size <= d->packet + sizeof(d->packet));
	if (pkt->type == VMBUS_PACKET_GPA_DIRECT)
		gpa_range_iov(channel_mem(ch), pkt->ranges, pkt->ranges_size, pkt->range_count, iov,
			      ARRAY_SIZE(iov), &total);
	if (d->mood & MOOD_ECHO)
		channel_complete(ch, pkt->transaction_id, payload, pkt->payload_size);
}

static void dev_ready(struct vmbus_channel *ch)
{
	struct dev *d = dev_of(ch);
	struct slot *s = slot_of(ch);
	struct vmbus_packet pkt;
	int got;

	FUZZ_CHECK(s->ch == ch && !s->closing && !s->detaching && channel_data(ch) == s);
	while (!(d->mood & MOOD_STOP) && (got = channel_recv(ch, d->packet, &pkt)))
		if (got == 1)
			dev_packet(d, ch, &pkt);
	for (int n = 0; n < 64 && d->mood & MOOD_SEND; n++) {
		struct vmbus_xfer_range range[2] = { { 1, 2 }, { 3, 4 } };

		if (channel_send_xfer(ch, 1, (u64)n, range, 2, d->packet, 500))
			break;
	}
}

static void slot_let_go(struct slot *s)
{
	struct vmbus_channel *ch = s->ch;

	if (s->pin)
		channel_gpadl_put(ch, s->pin);
	s->pin = NULL;
	if (s->closing) {
		s->ch = NULL;
		s->closing = false;
		channel_closed(ch);
	} else if (s->detaching) {
		s->detaching = false;
		channel_detached(ch);
	}
}

static void dev_let_go(struct dev *d)
{
	for (unsigned i = 0; i <= SUBS; i++)
		slot_let_go(&d->slot[i]);
}

static void dev_close(struct vmbus_channel *ch)
{
	struct slot *s = slot_of(ch);

	FUZZ_CHECK(s->ch == ch && !s->closing);
	s->closing = true;
	s->detaching = false;
	if (!(dev_of(ch)->mood & MOOD_HOLD))
		slot_let_go(s);
}

static void dev_detach(struct vmbus_channel *ch)
{
	struct slot *s = slot_of(ch);

	FUZZ_CHECK(s->ch == ch && !s->closing && !s->detaching);
	s->detaching = true;
	if (!(dev_of(ch)->mood & MOOD_HOLD))
		slot_let_go(s);
}

static void dev_attach(struct vmbus_channel *ch)
{
	FUZZ_CHECK(slot_of(ch)->ch == ch && !slot_of(ch)->closing && !slot_of(ch)->detaching);
}

/* Nothing but what the bus saves; restoring is the target save's. */
static void dev_save(struct vmbus_channel *ch, struct stream_out *out)
{
	(void)out;
	FUZZ_CHECK(slot_of(ch)->ch == ch && !slot_of(ch)->closing && !slot_of(ch)->detaching);
}

static int dev_restore(struct vmbus_channel *ch, struct stream_in *in)
{
	(void)ch;
	(void)in;
	return -EINVAL;
}

/* Names, types and packet sizes differ; one is a pipe, one stays on its loop. */
#define DEV_OPS(id, text, is_pipe, max, out, in)                                              \
	{                                                                                     \
		.name = (text), .type = { { (id) } }, .pipe = (is_pipe), .packet_max = (max), \
		.open = dev_open, .ready = dev_ready, .close = dev_close, .detach = (out),    \
		.attach = (in), .save = dev_save, .restore = dev_restore,                     \
	}
static const struct vmbus_device_ops ops[DEVICES] = {
	DEV_OPS(1, "a", false, 64, dev_detach, dev_attach),
	DEV_OPS(2, "b", true, 256, NULL, NULL),
	DEV_OPS(3, "c", false, 1024, dev_detach, dev_attach),
};

/* One has sub-channels, one is monitored. */
static void dev_offer(struct bed *b, unsigned i)
{
	struct dev *d = &b->dev[i];

	if (d->dev.primary)
		return;
	for (unsigned n = 0; n <= SUBS; n++)
		FUZZ_CHECK(!d->slot[n].ch);
	d->dev = (struct vmbus_device){ .ops = &ops[i],
					.instance = { { (u8)(i + 10) } },
					.sub_channels_max = i == 0 ? SUBS : 0,
					.monitor_us = i == 2 ? 100 : 0 };
	FUZZ_CHECK(!vmbus_offer(b->guest->g.bus, &d->dev));
}

static void op_device(struct bed *b, struct fuzz_input *in)
{
	unsigned i = fuzz_below(in, DEVICES);
	struct dev *d = &b->dev[i];
	struct slot *s = &d->slot[fuzz_below(in, 8) % (1 + SUBS)];
	bool live = s->ch && !s->closing && !s->detaching;

	switch (fuzz_below(in, 8)) {
	case 0:
		vmbus_rescind(&d->dev);
		break;
	case 1:
		dev_offer(b, i);
		break;
	case 2:
		d->mood = fuzz_u8(in);
		break;
	case 3:
		dev_let_go(d);
		break;
	case 4:
		if (live && !s->pin)
			s->pin = channel_gpadl_get(s->ch, fuzz_u8(in));
		break;
	case 5:
		if (live)
			channel_resume(s->ch);
		break;
	case 6:
		if (live)
			channel_send(s->ch, VMBUS_PACKET_INBAND, fuzz_u8(in) & 1, fuzz_u8(in),
				     &(struct iovec){ d->packet, fuzz_u8(in) }, 1);
		break;
	case 7:
		if (i == 0 && d->slot[0].ch && !d->slot[0].closing && !d->slot[0].detaching)
			channel_offer_subs(d->slot[0].ch, (u16)fuzz_below(in, 1 + SUBS));
		break;
	}
}

/* ---- The guest ------------------------------------------------------------------------------- */

static const u32 versions[] = { VMBUS_VERSION_WIN10_V5_3, VMBUS_VERSION_WIN10_V5_2,
				VMBUS_VERSION_WIN10_V4_1, VMBUS_VERSION_WIN8,
				VMBUS_VERSION_WIN7,       VMBUS_VERSION_WS2008,
				VMBUS_VERSION_V6_0,       VMBUS_VERSION_WIN8_1 };

static void op_connect(struct bed *b, struct fuzz_input *in)
{
	struct fakeguest *g = &b->guest->g;

	g->target_vp = fuzz_rarely(in, 8) ? (u32)fuzz_value(in) : 0;
	g->msg_sint = fuzz_rarely(in, 8) ? fuzz_u8(in) : VMBUS_SINT;
	g->features = fuzz_rarely(in, 2) ? fuzz_u8(in) : 0;
	g->monitor_page[0] = fuzz_below(in, 4) * GUEST_PAGE_SIZE;
	g->monitor_page[1] = fuzz_below(in, 4) * GUEST_PAGE_SIZE;
	g->interrupt_page = fuzz_below(in, 4) * GUEST_PAGE_SIZE;
	fg_connect(g, versions[fuzz_below(in, ARRAY_SIZE(versions))]);
	if (!fuzz_rarely(in, 4))
		fg_request_offers(g);
}

static void op_open(struct bed *b, struct fuzz_input *in)
{
	struct fakeguest *g = &b->guest->g;
	struct fg_open_params p = { .out_pages = 2 + fuzz_below(in, 3),
				    .in_pages = 2 + fuzz_below(in, 3),
				    .target_vp = fuzz_below(in, 5) };
	struct fg_channel *ch = &b->guest->ch[fuzz_below(in, GUEST_CHANNELS)];

	g->scatter = fuzz_u8(in) & 1;
	if (p.target_vp == 4)
		p.target_vp = (u32)fuzz_value(in);
	if (g->offer_count)
		fg_open(g, ch, &g->offer[fuzz_below(in, 8) % g->offer_count], &p);
}

/* A message of the right length and any content: relids and handles are small numbers. */
/* Reserved channels stay open across connections; a relid of no channel is no harm. */
static void op_reserved(struct bed *b, struct fuzz_input *in)
{
	struct fakeguest *g = &b->guest->g;
	struct fg_channel *ch = &b->guest->ch[fuzz_below(in, GUEST_CHANNELS)];
	struct vmbus_msg_close_reserved msg = {
		.header.msgtype = VMBUS_MSG_CLOSE_RESERVED_CHANNEL,
		.child_relid = fuzz_below(in, 8),
		.target_vp = fuzz_below(in, 5),
		.target_sint = fuzz_below(in, 17),
	};

	if (fuzz_below(in, 2))
		fg_post_raw(g, VMBUS_MESSAGE_CONNECTION_ID, &msg, sizeof(msg));
	else if (g->offer_count)
		fg_open_reserved(g, ch, &g->offer[fuzz_below(in, 8) % g->offer_count],
				 fuzz_below(in, 5), fuzz_below(in, 17));
}

static void op_message(struct bed *b, struct fuzz_input *in)
{
	struct fakeguest *g = &b->guest->g;
	u32 word[VMBUS_MESSAGE_MAX / 4] = { fuzz_below(in, VMBUS_MSG_COUNT + 1) };
	u32 len = 8 + fuzz_below(in, 38) * 4, n = fuzz_below(in, 8);

	for (u32 i = 2; i < 2 + n; i++)
		word[i] = (u32)fuzz_value(in);
	fg_post_raw(g, fuzz_rarely(in, 16) ? fuzz_u8(in) : g->msg_conn_id, word, len);
}

/* The same with bytes of the input for all of it, and any length there can be. */
static void op_message_raw(struct bed *b, struct fuzz_input *in)
{
	u8 bytes[VMBUS_MESSAGE_MAX];
	u32 len = fuzz_below(in, VMBUS_MESSAGE_MAX + 1), given = fuzz_below(in, 64);

	memset(bytes, 0, sizeof(bytes));
	fuzz_bytes(in, bytes, given);
	fg_post_raw(&b->guest->g, b->guest->g.msg_conn_id, bytes, len);
}

static void op_gpadl(struct bed *b, struct fuzz_input *in)
{
	struct fakeguest *g = &b->guest->g;
	u32 relid = 1 + fuzz_below(in, DEVICES + 1), id;
	u64 pfn[64];

	if (fuzz_below(in, 2)) {
		fg_gpadl_teardown(g, relid, fuzz_below(in, 16));
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(pfn); i++)
		pfn[i] = i < 4 ? guest_pfn(in) : i;
	fg_gpadl_create_pfns(g, relid, fuzz_u8(in) * 16u, fuzz_below(in, 60) * GUEST_PAGE_SIZE + 8,
			     pfn, &id);
}

static void op_channel(struct bed *b, struct fuzz_input *in)
{
	struct fg_channel *ch = &b->guest->ch[fuzz_below(in, GUEST_CHANNELS)];
	u8 bytes[32];

	if (!guest_has_rings(ch))
		return;
	switch (fuzz_below(in, 6)) {
	case 0:
		fg_close(ch);
		break;
	case 1:
		fg_modify(ch, (u32)fuzz_value(in));
		break;
	case 2:
		fg_signal(ch);
		break;
	case 3:
		fuzz_bytes(in, bytes, sizeof(bytes));
		for (u32 n = 1u << fuzz_below(in, 9); n; n--)
			if (fg_send(ch, n, bytes, fuzz_below(in, sizeof(bytes)), n & 1))
				break;
		break;
	case 4:
		guest_op_tamper(b->guest, ch, in);
		break;
	case 5:
		guest_op_packet(b->guest, ch, in);
		break;
	}
}

static void op_take(struct bed *b, struct fuzz_input *in)
{
	struct fg_packet pkt;

	for (u32 n = fuzz_u8(in), i = fuzz_below(in, GUEST_CHANNELS);
	     n && guest_take(b->guest, &b->guest->ch[i], &pkt); n--)
		;
}

static void op_synic(struct bed *b, struct fuzz_input *in)
{
	struct fakeguest *g = &b->guest->g;

	switch (fuzz_below(in, 4)) {
	case 0:
		g->refuse_posts = fuzz_below(in, 4);
		break;
	case 1:
		g->slot_held = !g->slot_held;
		if (!g->slot_held)
			vmbus_slot_free(g->bus);
		break;
	case 2:
		g->bind_error = fuzz_below(in, 2) ? -EEXIST : 0;
		break;
	case 3:
		g->synic_off = fuzz_u8(in) & 1;
		break;
	}
}

static void step(struct bed *b, struct fuzz_input *in)
{
	static void (*const operations[])(struct bed *, struct fuzz_input *) = {
		op_connect, op_open,  op_message, op_message_raw, op_gpadl,    op_channel,
		op_take,    op_synic, op_device,  op_message,     op_reserved, op_device,
	};
	u8 op = fuzz_u8(in) % (ARRAY_SIZE(operations) + 3);

	if (op < ARRAY_SIZE(operations))
		operations[op](b, in);
	else if (op == ARRAY_SIZE(operations))
		guest_op_write(b->guest, in);
	else
		guest_op_turn(b->guest, in);
}

/* ---- What must hold -------------------------------------------------------------------------- */

static void check(struct bed *b)
{
	const struct vmbus *bus = b->guest->g.bus;
	u32 count = 0, words = 0, open = 0;

	for (const struct gpadl *g = bus->gpadls; g; g = g->next, count++) {
		words += g->words;
		FUZZ_CHECK(g->received <= g->words);
		FUZZ_CHECK(g->state != GPADL_ASSEMBLING || !g->pins);
	}
	FUZZ_CHECK(count == bus->gpadl_count && count <= VMBUS_GPADLS_MAX);
	FUZZ_CHECK(words == bus->gpadl_words && words <= VMBUS_GPADL_WORDS_MAX);
	FUZZ_CHECK(bus->inbox_count <= VMBUS_INBOX_MAX);
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		const struct vmbus_channel *ch = bus->channel[i];

		if (!ch)
			continue;
		open += ch->state == CHANNEL_OPEN;
		FUZZ_CHECK((ch->state != CHANNEL_CLOSED) == (ch->gpadl && ch->event_fd >= 0));
		FUZZ_CHECK(!ch->gpadl || ch->gpadl->pins);
	}
	FUZZ_CHECK(open == atomic_load(&bus->status_open));
}

static void close_reserved(struct fakeguest *g, u32 relid)
{
	struct vmbus_msg_close_reserved msg = {
		.header.msgtype = VMBUS_MSG_CLOSE_RESERVED_CHANNEL,
		.child_relid = relid,
		.target_sint = VMBUS_SINT,
	};

	fg_post(g, &msg, sizeof(msg));
	g->message_count = 0;
}

static void let_go(struct bed *b)
{
	for (unsigned i = 0; i < DEVICES; i++) {
		b->dev[i].mood = 0;
		dev_let_go(&b->dev[i]);
	}
}

/* Whatever state the bus is in: it comes to a stand, is written down, and goes on. */
static void stand_still(struct bed *b)
{
	struct fakeguest *g = &b->guest->g;
	struct stream_out out = { 0 };

	let_go(b);
	FUZZ_CHECK(fg_freeze(g));
	FUZZ_CHECK(!vmbus_save(g->bus, &out, NULL) && out.len);
	stream_free(&out);
	fg_thaw(g);
	check(b);
}

/* Devices let go, the SynIC works again, the guest unloads. */
static void unload(struct bed *b)
{
	struct fakeguest *g = &b->guest->g;
	struct vmbus_msg_header msg;

	g->slot_held = g->synic_off = false;
	g->refuse_posts = 0;
	guest_chaos_end(b->guest);
	let_go(b);
	vmbus_slot_free(g->bus);
	fg_pump(g);
	g->message_count = 0;
	while (fg_take(g, VMBUS_MSG_UNLOAD_RESPONSE, &msg, sizeof(msg)) > 0)
		;
	g->msg_conn_id = VMBUS_MESSAGE_CONNECTION_ID;
	FUZZ_CHECK(!fg_unload(g));
	/* Not before: a guest that has paused the connection is not heard. */
	for (u32 relid = 1; relid <= VMBUS_CHANNELS_MAX; relid++)
		if (g->bus->channel[relid - 1] && g->bus->channel[relid - 1]->reserved)
			close_reserved(g, relid);
	check(b);
	FUZZ_CHECK(!g->bus->gpadl_count && !atomic_load(&g->bus->status_open));
	for (unsigned i = 0; i < DEVICES; i++)
		for (unsigned n = 0; n <= SUBS; n++)
			FUZZ_CHECK(!b->dev[i].slot[n].ch);
	for (unsigned i = 0; i < FG_BINDINGS; i++)
		FUZZ_CHECK(g->binding[i].fd < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct bed b = { .guest = guest_begin() };
	struct fakeguest *g = &b.guest->g;
	u8 mode = fuzz_u8(&in);
	bool clean = !(mode & 1);

	if (mode & 2)
		guest_chaos(b.guest, fuzz_u8(&in), fuzz_u8(&in) * 4u);
	for (unsigned i = 0; i < DEVICES; i++)
		dev_offer(&b, i);
	while (in.left) {
		step(&b, &in);
		check(&b);
		/* A guest that takes no message has them all by now. */
		if (g->message_count > FG_MESSAGES / 2)
			g->message_count = 0;
	}
	if (mode & 4)
		stand_still(&b);
	if (clean)
		unload(&b);
	for (unsigned i = 0; i < DEVICES; i++)
		b.dev[i].mood = 0;
	guest_end(b.guest);
	return 0;
}
