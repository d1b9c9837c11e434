/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest and the host at the same time, each a thread: packets that are sent back, so many of them
 * under way, and how often either has to wake the other. The guest's reader masks interrupts while
 * there are packets, as drivers do.
 */
#include "tests/bench/bus.h"

#define PACKETS 200000u
#define SIZE 64u

/* Sends every packet back; keeps the one that found no room. */
struct mirror {
	struct vmbus_device dev;
	u8 buf[256];
	struct vmbus_packet pkt;
	bool blocked;
};

static bool mirror_send(struct vmbus_channel *ch, struct mirror *m)
{
	m->blocked =
		channel_complete(ch, m->pkt.transaction_id, m->pkt.payload, m->pkt.payload_size);
	return !m->blocked;
}

static int mirror_open(struct vmbus_channel *ch)
{
	(void)ch;
	return 0;
}

static void mirror_ready(struct vmbus_channel *ch)
{
	struct mirror *m = channel_device(ch)->data;

	if (m->blocked && !mirror_send(ch, m))
		return;
	while (channel_recv(ch, m->buf, &m->pkt) == 1)
		if (!mirror_send(ch, m))
			return;
}

static const struct vmbus_device_ops ops = { .name = "mirror",
					     .type = { { 0x33 } },
					     .packet_max = 256,
					     .open = mirror_open,
					     .ready = mirror_ready,
					     .close = channel_closed };

/* Takes what is there, with interrupts masked as Linux's hv_begin_read() has them. */
static u32 guest_takes(struct fg_channel *ch)
{
	u32 *mask = &ch->in.header->interrupt_mask, n = 0;
	struct fg_packet pkt;
	u8 buf[512];

	__atomic_store_n(mask, 1, __ATOMIC_SEQ_CST);
	while (fg_recv(ch, buf, sizeof(buf), &pkt) == 1)
		n++;
	__atomic_store_n(mask, 0, __ATOMIC_SEQ_CST);
	return n;
}

/* Sends PACKETS with at most depth of them under way, and takes them back. */
static void exchange(struct fg_channel *ch, u32 depth, bool signal_each)
{
	static const u8 payload[SIZE];
	u32 sent = 0, got = 0;

	while (got < PACKETS) {
		while (sent < PACKETS && sent - got < depth &&
		       !fg_send(ch, sent, payload, SIZE, true)) {
			sent++;
			if (signal_each)
				fg_signal(ch);
		}
		got += guest_takes(ch);
	}
}

struct load_figures {
	u64 ns;
	struct vmbus_channel_status st;
};

static struct load_figures load_run(struct bus *b, u32 depth, bool signal_each, bool paced)
{
	static struct mirror m;
	struct vmbus_device *dev = &m.dev;
	struct load_figures f;
	struct fg_channel ch;
	u64 began;

	m = (struct mirror){
		.dev = { .ops = &ops, .instance = { { 3 } }, .data = &m, .paced = paced }
	};
	bus_begin(b, &dev, 1);
	bus_must(fg_open(&b->g, &ch, fg_offer_find(&b->g, &ops.type, 0), NULL), "a channel");
	fg_pump(&b->g);
	bus_must(fg_start_io(&b->g), "a thread");
	began = loop_now_ns();
	exchange(&ch, depth, signal_each);
	f.ns = loop_now_ns() - began;
	fg_stop_io(&b->g);
	vmbus_channels(b->g.bus, &f.st, 1);
	fg_fini(&b->g);
	return f;
}

/* The fastest of a few: in the others the two threads had less than a core each. */
static void load(struct bus *b, const char *name, u32 depth, bool signal_each, bool paced)
{
	struct load_figures f = { .ns = UINT64_MAX };

	if (!bus_case(b, name))
		return;
	for (unsigned i = 0; i < 5; i++) {
		struct load_figures run = load_run(b, depth, signal_each, paced);

		f = run.ns < f.ns ? run : f;
	}
	bus_figure(name, "rate", PACKETS * 1e9 / (double)f.ns, "packets/s");
	bus_figure(name, "signals", (double)f.st.signals * 1000 / PACKETS, "per-1000-packets");
	bus_figure(name, "interrupts", (double)f.st.interrupts * 1000 / PACKETS,
		   "per-1000-packets");
}

void bus_load(struct bus *b)
{
	load(b, "load/1", 1, false, false);
	load(b, "load/1/paced", 1, false, true);
	load(b, "load/32", 32, false, false);
	load(b, "load/32/paced", 32, false, true);
	load(b, "load/full-ring", UINT32_MAX, false, false);
	load(b, "load/full-ring-signal-each", UINT32_MAX, true, false);
}
