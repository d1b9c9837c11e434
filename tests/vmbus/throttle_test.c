/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest can have of a loop's turn (the budgets of vmbus/server.h): one channel misbehaves,
 * the polite one beside it on the same loop sends a packet a turn and must have it handled in that
 * turn. Everything is counted, nothing timed: the guest acts within the device's own calls, so that
 * it is as fast as a guest can be.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/fakeguest/fakeguest.h"
#include "vmbus/server.h"

#define TURNS 200
#define FLOOD_MAX 65000u /* payload of the largest packet */

struct fixture;

struct party {
	struct fixture *f;
	struct vmbus_device dev;
	struct vmbus_channel *ch;
	struct fg_channel guest;
	u8 buf[VMBUS_PACKET_MAX];
	unsigned runs, packets;
	u64 bytes;
	/* What the guest does whenever the host has taken a packet, and at each run. */
	void (*at_packet)(struct party *p);
	void (*at_run)(struct party *p);
	u32 size; /* of its packets */
	bool sends; /* the device sends what it can at each run */
	unsigned sent, refused;
};

struct fixture {
	struct fakeguest g;
	struct party rude, polite;
	struct loop_fd console; /* other work of the control loop */
	unsigned console_runs;
};

static u8 payload[FLOOD_MAX];

/* ---- The device ------------------------------------------------------------------------------ */

static int party_open(struct vmbus_channel *ch)
{
	struct party *p = channel_device(ch)->data;

	p->ch = ch;
	return 0;
}

static void party_send(struct party *p)
{
	struct iovec iov = { .iov_base = payload, .iov_len = 1000 };

	while (!channel_send(p->ch, VMBUS_PACKET_INBAND, false, 0, &iov, 1))
		p->sent++;
	p->refused++;
}

static void party_ready(struct vmbus_channel *ch)
{
	struct party *p = channel_device(ch)->data;
	struct vmbus_packet pkt;

	p->runs++;
	if (p->sends)
		party_send(p);
	if (p->at_run)
		p->at_run(p);
	while (channel_recv(ch, p->buf, &pkt)) {
		p->packets++;
		p->bytes += pkt.payload_size;
		if (p->at_packet)
			p->at_packet(p);
	}
}

static const struct vmbus_device_ops ops = { .name = "party",
					     .type = { { 0x77 } },
					     .packet_max = VMBUS_PACKET_MAX,
					     .open = party_open,
					     .ready = party_ready,
					     .close = channel_closed };

/* ---- The guest ------------------------------------------------------------------------------- */

static void signal_often(struct party *p)
{
	for (int i = 0; i < 10; i++)
		assert_int_equal(fg_signal(&p->guest), 0);
}

/* Fills the ring, and signals whether it must or not. */
static void flood(struct party *p)
{
	while (!fg_send(&p->guest, 0, payload, p->size, false))
		;
	signal_often(p);
}

/* A packet as soon as the last one is taken. */
static void one_more(struct party *p)
{
	assert_int_equal(fg_send(&p->guest, 0, payload, 8, false), 0);
	fg_signal(&p->guest);
}

/* ---- The bed --------------------------------------------------------------------------------- */

static void console_ready(struct loop_fd *l, u32 events)
{
	struct fixture *f = container_of(l, struct fixture, console);

	(void)events;
	f->console_runs++;
}

static void party_init(struct fixture *f, struct party *p, u8 instance, u32 monitor_us)
{
	p->f = f;
	p->size = 8;
	p->dev = (struct vmbus_device){
		.ops = &ops, .instance = { { instance } }, .monitor_us = monitor_us, .data = p
	};
	assert_int_equal(vmbus_offer(f->g.bus, &p->dev), 0);
}

static int setup_with(void **state, u32 version, u32 monitor_us)
{
	const struct fg_open_params params = { .out_pages = 1025, .in_pages = 3 };
	struct fixture *f = calloc(1, sizeof(*f));
	const struct fg_offer *offer;

	*state = f;
	assert_int_equal(fg_init(&f->g, NULL), 0);
	party_init(f, &f->rude, 1, monitor_us);
	party_init(f, &f->polite, 2, 0);
	for (int i = 0; i < 2; i++)
		f->g.monitor_page[i] = monitor_us ? fg_alloc(&f->g, 1) : 0;
	f->g.interrupt_page = version == VMBUS_VERSION_WS2008 ? fg_alloc(&f->g, 1) : 0;
	assert_int_equal(fg_connect(&f->g, version), 0);
	assert_int_equal(fg_request_offers(&f->g), 0);
	offer = fg_offer_instance(&f->g, &f->rude.dev.instance);
	assert_int_equal(fg_open(&f->g, &f->rude.guest, offer, &params), 0);
	offer = fg_offer_instance(&f->g, &f->polite.dev.instance);
	assert_int_equal(fg_open(&f->g, &f->polite.guest, offer, NULL), 0);
	fg_pump(&f->g);
	f->rude.runs = f->polite.runs = 0;
	f->console = (struct loop_fd){ .fd = eventfd(1, EFD_CLOEXEC), .ready = console_ready };
	assert_int_equal(loop_add(&f->g.control, &f->console, EPOLLIN), 0);
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, VMBUS_VERSION_WIN10_V5_3, 0);
}

static int setup_shared(void **state)
{
	return setup_with(state, VMBUS_VERSION_WS2008, 0);
}

static int setup_monitored(void **state)
{
	return setup_with(state, VMBUS_VERSION_WIN10_V5_3, 1);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	loop_del(&f->g.control, &f->console);
	close(f->console.fd);
	return fg_teardown(state);
}

/* A turn of the I/O loop: the polite packet is handled in it. */
static void turn(struct fixture *f)
{
	unsigned before = f->polite.packets;

	one_more(&f->polite);
	assert_int_equal(loop_turn(&f->g.io[0], 0), 0);
	assert_int_equal(f->polite.packets, before + 1);
}

/* ---- I/O loops ------------------------------------------------------------------------------- */

static void a_flood_of_packets(void **state)
{
	struct fixture *f = *state;

	f->rude.at_packet = f->rude.at_run = flood;
	flood(&f->rude);
	for (int i = 0; i < TURNS; i++) {
		unsigned packets = f->rude.packets, runs = f->rude.runs;

		turn(f);
		assert_int_equal(f->rude.runs, runs + 1);
		assert_int_equal(f->rude.packets, packets + VMBUS_PACKETS_PER_RUN);
	}
	assert_int_equal(f->rude.ch->count.throttled, TURNS);
	assert_int_equal(f->polite.ch->count.throttled, 0);
	/* Its signals cost it nothing either way. */
	assert_in_range(f->rude.ch->count.signals, 1, TURNS);
}

static void a_flood_of_long_packets(void **state)
{
	struct fixture *f = *state;

	f->rude.size = FLOOD_MAX;
	f->rude.at_run = flood;
	flood(&f->rude);
	for (int i = 0; i < TURNS; i++) {
		u64 bytes = f->rude.bytes;

		turn(f);
		assert_in_range(f->rude.bytes - bytes, FLOOD_MAX,
				(u64)VMBUS_PACKETS_PER_RUN * VMBUS_PACKET_CHARGE + FLOOD_MAX);
	}
	assert_int_equal(f->rude.ch->count.throttled, TURNS);
}

static void signals_for_nothing(void **state)
{
	struct fixture *f = *state;

	f->rude.at_run = signal_often;
	for (int i = 0; i < TURNS; i++) {
		unsigned runs = f->rude.runs;

		signal_often(&f->rude);
		turn(f);
		assert_int_equal(f->rude.runs, runs + 1);
	}
	assert_int_equal(f->rude.packets, 0);
	assert_int_equal(fg_interrupts(&f->rude.guest), 0);
}

/* Signals in every turn, for one packet less than would end a run for others' sake. */
static void just_within_the_budget(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < TURNS; i++) {
		unsigned packets = f->rude.packets;

		for (u32 n = 1; n < VMBUS_PACKETS_PER_RUN; n++)
			assert_int_equal(fg_send(&f->rude.guest, 0, payload, 8, false), 0);
		signal_often(&f->rude);
		turn(f);
		assert_int_equal(f->rude.packets, packets + VMBUS_PACKETS_PER_RUN - 1);
	}
	assert_int_equal(f->rude.ch->count.throttled, 0);
}

/* The in ring is full for ever; whether the guest would signal room or not. */
static void never_drains(void **state)
{
	struct fixture *f = *state;
	u32 *features = &f->rude.guest.out.header->feature_bits;

	f->rude.sends = true;
	signal_often(&f->rude);
	turn(f);
	assert_in_range(f->rude.sent, 1, 8);
	for (int i = 0; i < TURNS; i++) {
		unsigned runs = f->rude.runs, refused = f->rude.refused, sent = f->rude.sent;

		*features = i % 2 ? 0 : RING_FEATURE_PENDING_SEND;
		if (i % 3 == 0)
			signal_often(&f->rude);
		turn(f);
		/* A try a run; runs for the signals and, where room is polled, for that. */
		assert_int_equal(f->rude.refused - refused, f->rude.runs - runs);
		assert_in_range(f->rude.runs - runs, 0, 2);
		assert_int_equal(f->rude.sent, sent);
	}
	assert_in_range(fg_interrupts(&f->rude.guest), 1, 1);
	/* It waits without a turn of its own. */
	*features = RING_FEATURE_PENDING_SEND;
	fg_pump(&f->g);
	signal_often(&f->rude);
	fg_pump(&f->g);
	assert_false(f->rude.ch->again.queued);
}

/* The bit of a monitored channel is found set whenever it is looked at. */
static void a_monitor_bit_always_set(void **state)
{
	struct fixture *f = *state;

	assert_non_null(f->rude.ch->monitor);
	f->rude.at_packet = f->rude.at_run = flood;
	flood(&f->rude);
	for (int i = 0; i < TURNS; i++) {
		unsigned packets = f->rude.packets, runs = f->rude.runs;

		usleep(10);
		turn(f);
		assert_in_range(f->rude.runs - runs, 0, 1);
		assert_in_range(f->rude.packets - packets, 0, VMBUS_PACKETS_PER_RUN);
	}
	assert_true(f->rude.packets > 0);
}

/* ---- The control loop ------------------------------------------------------------------------ */

/* A turn of the control loop, with its inbox full: other work is done in it, too. */
static void control_turn(struct fixture *f, const void *msg, u32 len)
{
	struct vmbus_status before, after;
	unsigned console = f->console_runs;

	while (!fg_post_raw(&f->g, f->g.msg_conn_id, msg, len))
		;
	/* As often as the guest can say that its slot is free. */
	for (int i = 0; i < 10; i++)
		vmbus_slot_free(f->g.bus);
	vmbus_status(f->g.bus, &before);
	assert_int_equal(loop_turn(&f->g.control, 0), 0);
	vmbus_status(f->g.bus, &after);
	assert_in_range(after.messages - before.messages, 0, VMBUS_MESSAGES_PER_TURN);
	assert_int_equal(f->console_runs, console + 1);
	f->g.message_count = 0;
}

static void a_flood_of_messages(void **state)
{
	struct fixture *f = *state;
	const struct vmbus_msg_header unknown = { .msgtype = 99 };
	struct vmbus_status st;

	for (int i = 0; i < TURNS; i++)
		control_turn(f, &unknown, sizeof(unknown));
	vmbus_status(f->g.bus, &st);
	assert_int_equal(st.out_of_place, TURNS * VMBUS_MESSAGES_PER_TURN);
	turn(f);
}

/* Buffers made until there are too many, and the same for the teardown of none. */
static void a_flood_of_gpadls(void **state)
{
	struct fixture *f = *state;
	struct {
		struct vmbus_msg_gpadl_header head;
		u32 byte_count, byte_offset;
		u64 pfn;
	} __attribute__((packed)) make = {
		.head = { .header.msgtype = VMBUS_MSG_GPADL_HEADER,
			  .child_relid = f->rude.guest.relid,
			  .range_buflen = 16,
			  .rangecount = 1 },
		.byte_count = GUEST_PAGE_SIZE,
	};
	const struct vmbus_msg_gpadl_teardown tear = { .header.msgtype = VMBUS_MSG_GPADL_TEARDOWN,
						       .child_relid = f->rude.guest.relid,
						       .gpadl = 0xdead };

	for (int i = 0; i < 2 * TURNS; i++) {
		for (u32 n = 0; n < VMBUS_MESSAGES_PER_TURN; n++, make.head.gpadl++)
			fg_post_raw(&f->g, f->g.msg_conn_id, &make, sizeof(make));
		control_turn(f, &tear, sizeof(tear));
		assert_in_range(f->g.bus->gpadl_count, 2, VMBUS_GPADLS_MAX);
		turn(f);
	}
	assert_int_equal(f->g.bus->gpadl_count, VMBUS_GPADLS_MAX);
}

/* Every flag of the page all channels share, in 0.13, whenever it is looked at. */
static void a_flood_of_shared_signals(void **state)
{
	struct fixture *f = *state;
	u8 *flags = fg_ptr(&f->g, f->g.interrupt_page, GUEST_PAGE_SIZE);

	for (int i = 0; i < TURNS; i++) {
		unsigned console = f->console_runs, runs = f->rude.runs;

		memset(flags + VMBUS_INTERRUPT_PAGE_WORDS * sizeof(u32), 0xff,
		       VMBUS_INTERRUPT_PAGE_RELIDS / 8);
		signal_often(&f->rude);
		one_more(&f->polite);
		assert_int_equal(loop_turn(&f->g.control, 0), 0);
		assert_int_equal(f->console_runs, console + 1);
		assert_int_equal(loop_turn(&f->g.io[0], 0), 0);
		assert_int_equal(f->polite.packets, i + 1);
		assert_int_equal(f->rude.runs, runs + 1);
	}
}

/* A guest that reads no answers: some wait, then its messages stay where they are. */
static void a_flood_without_answers(void **state)
{
	struct fixture *f = *state;
	const struct vmbus_msg_gpadl_header refused = { .header.msgtype = VMBUS_MSG_GPADL_HEADER };
	struct vmbus_status before, after;

	f->g.slot_held = true;
	vmbus_status(f->g.bus, &before);
	for (int i = 0; i < TURNS; i++)
		control_turn(f, &refused, sizeof(refused));
	vmbus_status(f->g.bus, &after);
	assert_int_equal(after.messages - before.messages, OUTQ_MAX - VMBUS_OUTQ_RESERVE + 1);
	assert_int_equal(f->g.bus->outq.count, OUTQ_MAX - VMBUS_OUTQ_RESERVE + 1);
	turn(f);
	f->g.slot_held = false;
	control_turn(f, &refused, sizeof(refused));
	fg_pump(&f->g);
	assert_int_equal(f->g.bus->outq.count, 0);
	assert_int_equal(f->g.bus->inbox_count, 0);
}

/* ---- The log --------------------------------------------------------------------------------- */

static unsigned lines_of(int fd)
{
	unsigned lines = 0;
	char c;

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	while (read(fd, &c, 1) == 1)
		lines += c == '\n';
	return lines;
}

static void a_flood_of_what_is_logged(void **state)
{
	struct fixture *f = *state;
	const struct ring_descriptor bad = { .type = VMBUS_PACKET_INBAND, .offset8 = 1 };
	const struct vmbus_msg_header unknown = { .msgtype = 99 };
	int out = dup(STDERR_FILENO);
	FILE *log = tmpfile();
	unsigned lines;

	assert_true(out >= 0 && log);
	dup2(fileno(log), STDERR_FILENO);
	log_set_level(LOG_INFO);
	for (int i = 0; i < TURNS; i++) {
		for (int n = 0; n < 100; n++)
			fg_send_raw(&f->rude.guest, &bad, NULL, 0, payload, 8);
		turn(f);
		control_turn(f, &unknown, sizeof(unknown));
	}
	log_set_level(LOG_WARN);
	dup2(out, STDERR_FILENO);
	close(out);
	lines = lines_of(fileno(log));
	fclose(log);
	assert_int_equal(f->rude.ch->bad_packet.count, TURNS * 100);
	/* Of 20,000 packets and 6,400 messages. */
	assert_int_equal(lines, 15 + 13);
}

#define T(setup, test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(setup, a_flood_of_packets),
		T(setup, a_flood_of_long_packets),
		T(setup, signals_for_nothing),
		T(setup, just_within_the_budget),
		T(setup, never_drains),
		T(setup_monitored, a_monitor_bit_always_set),
		T(setup_shared, a_flood_of_shared_signals),
		T(setup, a_flood_of_messages),
		T(setup, a_flood_of_gpadls),
		T(setup, a_flood_without_answers),
		T(setup, a_flood_of_what_is_logged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
