/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets through one channel, one at a time and as many as its ring holds. What one at a time
 * costs is mostly a turn of the loop: two system calls for the signal, beside those of the guest.
 * The lower bound copies the bytes a packet takes in the ring, once, between memory as warm as the
 * ring's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/bench/bus.h"

#define RING_PAGES 65u
#define RING_BYTES ((RING_PAGES - 1) * RING_PAGE_SIZE)
#define PAYLOAD_MAX (16u << 10)
#define GPA_PAGES_MAX 16u
/* Descriptor and trailer. */
#define OVERHEAD ((u32)(sizeof(struct ring_descriptor) + sizeof(struct ring_trailer)))

/* Takes packets in, sends packets out: either is what the round wants. */
struct pump {
	struct bus *b;
	struct vmbus_device dev;
	struct fg_channel ch;
	u8 buf[VMBUS_PACKET_MAX];
	u32 taken, to_take;
	u32 to_send, send_size;
	bool xfer;
	u64 pfn[GPA_PAGES_MAX];
	/* The lower bound's. */
	u8 twin[RING_BYTES], copy[VMBUS_PACKET_MAX];
	u32 at, size, count;
	bool out;
};

static u8 bytes[PAYLOAD_MAX];

/* ---- The device ------------------------------------------------------------------------------ */

static void send_all(struct pump *p, struct vmbus_channel *ch)
{
	const struct vmbus_xfer_range range = { .byte_count = p->send_size };
	struct iovec iov = { .iov_base = bytes, .iov_len = p->send_size };
	int err = 0;

	for (; p->to_send && !err; p->to_send -= !err)
		err = p->xfer ? channel_send_xfer(ch, 1, 0, &range, 1, bytes, p->send_size)
			      : channel_send(ch, VMBUS_PACKET_INBAND, false, 0, &iov, 1);
}

static int pump_open(struct vmbus_channel *ch)
{
	(void)ch;
	return 0;
}

static void pump_ready(struct vmbus_channel *ch)
{
	struct pump *p = channel_device(ch)->data;
	struct iovec iov[GPA_PAGES_MAX];
	struct vmbus_packet pkt;
	u32 total;

	send_all(p, ch);
	while (channel_recv(ch, p->buf, &pkt) == 1) {
		if (pkt.type == VMBUS_PACKET_GPA_DIRECT &&
		    gpa_range_iov(channel_mem(ch), pkt.ranges, pkt.ranges_size, pkt.range_count,
				  iov, GPA_PAGES_MAX, &total) < 0)
			bus_die("a guest range", -EINVAL);
		p->taken++;
	}
}

static void pump_close(struct vmbus_channel *ch)
{
	channel_closed(ch);
}

static const struct vmbus_device_ops ops = { .name = "pump",
					     .type = { { 0x9d } },
					     .packet_max = VMBUS_PACKET_MAX,
					     .open = pump_open,
					     .ready = pump_ready,
					     .close = pump_close };

/* ---- Rounds ---------------------------------------------------------------------------------- */

static void host_takes(void *ctx)
{
	struct pump *p = ctx;

	while (p->taken < p->to_take)
		loop_turn(&p->b->g.io[0], 0);
}

static void host_sends(void *ctx)
{
	struct pump *p = ctx;

	while (p->to_send)
		loop_turn(&p->b->g.io[0], 0);
}

static void host_turns(void *ctx)
{
	struct pump *p = ctx;

	loop_turn(&p->b->g.io[0], 0);
}

/* The lengths are not known to the compiler, as a packet's are not. */
static void copies(void *ctx)
{
	struct pump *p = ctx;

	for (u32 i = 0; i < p->count; i++, p->at += p->size) {
		if (p->at + p->size > sizeof(p->twin))
			p->at = 0;
		if (p->out)
			memcpy(p->twin + p->at, p->copy, p->size);
		else
			memcpy(p->copy, p->twin + p->at, p->size);
		__asm__ volatile("" : : "r"(p->copy), "r"(p->twin) : "memory");
	}
}

/* count packets of size bytes in the ring have been moved; what that takes at least. */
static void bound(struct pump *p, bool out, u32 size, u32 count)
{
	if (p->b->profile)
		return;
	p->out = out;
	p->size = size;
	p->count = count;
	/* The guest has just written what the host reads. */
	for (u32 i = 0, at = p->at; !out && i < count; i++, at += size) {
		at = at + size > sizeof(p->twin) ? 0 : at;
		memset(p->twin + at, (int)p->b->round, size);
	}
	bus_bound(p->b, copies, p);
}

/* The guest's part of one packet in: so many bytes in band, or so many pages by reference. */
static void guest_sends(struct pump *p, u32 size, u32 pages)
{
	int err = pages ? fg_send_pfns(&p->ch, 1, 0, pages * GUEST_PAGE_SIZE, p->pfn, bytes, size)
			: fg_send(&p->ch, 1, bytes, size, false);

	bus_must(err, "a packet in");
}

static void packets_in(struct pump *p, const char *kind, u32 size, u32 pages, bool full)
{
	u32 head = pages ? 8 + 8 + pages * 8 : 0;
	u32 each = OVERHEAD + head + size, n = full ? (RING_BYTES - 1) / each : 1;
	struct bus *b = p->b;
	char name[64];

	snprintf(name, sizeof(name), "in/%s/%s", kind, full ? "full-ring" : "one");
	if (!bus_case(b, name))
		return;
	for (u32 rounds = bus_rounds(b, n); b->round < rounds; bus_next(b)) {
		for (u32 i = 0; i < n; i++)
			guest_sends(p, size, pages);
		p->to_take = p->taken + n;
		bus_host(b, host_takes, p);
		bound(p, false, each - (u32)sizeof(struct ring_trailer), n);
	}
	bus_report(b, name, "packet", n, true);
}

static void guest_takes(struct pump *p, u32 n)
{
	static u8 buf[VMBUS_PACKET_MAX];
	struct fg_packet pkt;

	for (; n; n--)
		if (fg_recv(&p->ch, buf, sizeof(buf), &pkt) != 1)
			bus_die("a packet out", -EPROTO);
}

static void packets_out(struct pump *p, const char *kind, u32 size, bool xfer, bool full)
{
	u32 head = xfer ? 8 + 8 : 0;
	u32 each = OVERHEAD + head + size, n = full ? (RING_BYTES - 1) / each : 1;
	struct bus *b = p->b;
	char name[64];

	snprintf(name, sizeof(name), "out/%s/%s", kind, full ? "full-ring" : "one");
	if (!bus_case(b, name))
		return;
	p->send_size = size;
	p->xfer = xfer;
	for (u32 rounds = bus_rounds(b, n); b->round < rounds; bus_next(b)) {
		p->to_send = n;
		bus_must(fg_signal(&p->ch), "a signal");
		bus_host(b, host_sends, p);
		bound(p, true, each, n);
		guest_takes(p, n);
	}
	bus_report(b, name, "packet", n, true);
}

/* A signal that finds nothing: what a turn costs before any packet. */
static void signals(struct pump *p)
{
	struct bus *b = p->b;

	if (!bus_case(b, "signal"))
		return;
	for (u32 rounds = bus_rounds(b, 1); b->round < rounds; bus_next(b)) {
		bus_must(fg_signal(&p->ch), "a signal");
		bus_host(b, host_turns, p);
	}
	bus_report(b, "signal", "signal", 1, true);
}

static void pump_begin(struct pump *p, struct bus *b)
{
	const struct fg_open_params params = { .out_pages = RING_PAGES, .in_pages = RING_PAGES };
	struct vmbus_device *dev = &p->dev;

	*dev = (struct vmbus_device){ .ops = &ops, .instance = { { 1 } }, .data = p };
	p->b = b;
	bus_begin(b, &dev, 1);
	bus_must(fg_open(&b->g, &p->ch, fg_offer_find(&b->g, &ops.type, 0), &params), "a channel");
	fg_pump(&b->g);
	/* Pages that do not follow each other. */
	for (u32 i = 0; i < GPA_PAGES_MAX; i++)
		p->pfn[i] = fg_alloc(&b->g, 2) / GUEST_PAGE_SIZE;
}

void bus_packets(struct bus *b)
{
	static const struct {
		const char *name;
		u32 size;
	} sizes[] = { { "64", 64 },
		      { "256", 256 },
		      { "1512", 1512 },
		      { "4096", 4096 },
		      { "16384", PAYLOAD_MAX } };
	static struct pump p;

	pump_begin(&p, b);
	signals(&p);
	for (int full = 0; full < 2; full++) {
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
			packets_in(&p, sizes[i].name, sizes[i].size, 0, full);
		packets_in(&p, "64+1-page", 64, 1, full);
		packets_in(&p, "64+16-pages", 64, GPA_PAGES_MAX, full);
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
			packets_out(&p, sizes[i].name, sizes[i].size, false, full);
		packets_out(&p, "64+xfer", 64, true, full);
	}
	fg_fini(&b->g);
}
