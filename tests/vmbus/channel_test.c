/* SPDX-License-Identifier: BSD-2-Clause */
/* Channels: opening, packets, masks, interrupts, fairness, room, and guests that break all rules. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/fakeguest/fakeguest.h"
#include "vmbus/server.h"

#define LOG_MAX 8192

/* A device that notes what comes and does what the test sets. */
struct probe {
	struct vmbus_device dev;
	struct vmbus_channel *ch;
	u8 buf[VMBUS_PACKET_MAX];
	/* Set by the test. */
	int open_result;
	bool hold_close;
	unsigned quota; /* packets it takes before it stops early; 0: all */
	unsigned to_send; /* packets it wants to send */
	u32 send_size;
	void (*when_full)(void *ctx); /* once, when a packet finds no room */
	void *when_full_ctx;
	struct fg_channel *early; /* the guest writes here while the device opens */
	/* Noted. */
	unsigned opened, closed, ready, packets, bad, too_long, sent;
	u32 last_ranges, last_size;
	struct journal *journal;
};

/* Who received what, in order, over all devices. */
struct journal {
	u64 id[LOG_MAX];
	unsigned count;
};

static void probe_send(struct probe *p)
{
	static u8 bytes[VMBUS_PACKET_MAX];
	struct iovec iov = { .iov_base = bytes, .iov_len = p->send_size };

	for (; p->to_send; p->to_send--, p->sent++)
		if (channel_send(p->ch, VMBUS_PACKET_INBAND, false, p->sent, &iov, 1))
			break;
	if (p->to_send && p->when_full) {
		p->when_full(p->when_full_ctx);
		p->when_full = NULL;
	}
}

static int probe_open(struct vmbus_channel *ch)
{
	struct probe *p = channel_device(ch)->data;

	p->ch = ch;
	p->opened++;
	if (p->early)
		fg_send(p->early, 1, "x", 1, false);
	if (p->open_result)
		probe_send(p);
	return p->open_result;
}

static void probe_ready(struct vmbus_channel *ch)
{
	struct probe *p = channel_device(ch)->data;
	struct vmbus_packet pkt;
	unsigned taken = 0;
	int got;

	p->ready++;
	probe_send(p);
	while ((!p->quota || taken < p->quota) && (got = channel_recv(ch, p->buf, &pkt))) {
		p->bad += got == -EBADMSG;
		p->too_long += got == -EMSGSIZE;
		if (got < 0)
			continue;
		taken++;
		p->packets++;
		p->last_ranges = pkt.range_count;
		p->last_size = pkt.payload_size;
		if (p->journal && p->journal->count < LOG_MAX)
			p->journal->id[p->journal->count++] = pkt.transaction_id;
	}
}

static void probe_close(struct vmbus_channel *ch)
{
	struct probe *p = channel_device(ch)->data;

	p->closed++;
	if (!p->hold_close)
		channel_closed(ch);
}

static const struct vmbus_device_ops ops = { .name = "probe",
					     .type = { { 0x44 } },
					     .packet_max = 4096,
					     .open = probe_open,
					     .ready = probe_ready,
					     .close = probe_close };

struct fixture {
	struct fakeguest g;
	struct probe p[2];
	struct fg_channel ch, ch2;
	struct journal journal;
	u64 pfn[34]; /* of ch's rings */
	u8 buf[VMBUS_PACKET_MAX];
	struct fg_packet pkt;
};

static const struct fg_offer *offer(struct fixture *f, int n)
{
	return fg_offer_instance(&f->g, &f->p[n].dev.instance);
}

static int setup_closed(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct fg_config config = { .memory = MiB(256) };

	*state = f;
	assert_int_equal(fg_init(&f->g, &config), 0);
	for (u8 i = 0; i < 2; i++) {
		f->p[i].dev = (struct vmbus_device){ .ops = &ops,
						     .instance = { { i } },
						     .data = &f->p[i] };
		f->p[i].send_size = 100;
		assert_int_equal(vmbus_offer(f->g.bus, &f->p[i].dev), 0);
	}
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(fg_request_offers(&f->g), 0);
	return 0;
}

static int setup(void **state)
{
	struct fixture *f;

	setup_closed(state);
	f = *state;
	for (u32 i = 0; i < ARRAY_SIZE(f->pfn); i++)
		f->pfn[i] = f->g.next_page / GUEST_PAGE_SIZE + i;
	assert_int_equal(fg_open(&f->g, &f->ch, offer(f, 0), NULL), 0);
	fg_pump(&f->g);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fg_fini(&f->g);
	free(f);
	return 0;
}

static unsigned recv_all(struct fixture *f)
{
	unsigned n = 0;

	while (fg_recv(&f->ch, f->buf, sizeof(f->buf), &f->pkt) == 1)
		n++;
	return n;
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* OPEN_CHANNEL with just these; the result's status. */
static u32 open_status(struct fixture *f, u32 relid, u32 gpadl, u32 offset, u32 vp)
{
	struct vmbus_msg_open_channel msg = {
		.header.msgtype = VMBUS_MSG_OPEN_CHANNEL,
		.child_relid = relid,
		.openid = 77,
		.ringbuffer_gpadlhandle = gpadl,
		.target_vp = vp,
		.downstream_ringbuffer_pageoffset = offset,
	};
	struct vmbus_msg_open_result result;

	assert_int_equal(fg_post(&f->g, &msg, sizeof(msg)), 0);
	assert_true(fg_take(&f->g, VMBUS_MSG_OPEN_CHANNEL_RESULT, &result, sizeof(result)) > 0);
	assert_int_equal(result.child_relid, relid);
	assert_int_equal(result.openid, 77);
	return result.status;
}

static void open_is_checked(void **state)
{
	struct fixture *f = *state;
	u32 relid = f->p[0].dev.primary->relid, other = f->p[1].dev.primary->relid;
	gpa_t gpa = fg_alloc(&f->g, 8);
	u32 id, odd, foreign;
	u32 *index = fg_ptr(&f->g, gpa, 8);

	assert_int_equal(fg_gpadl_create(&f->g, relid, gpa, 8 * 4096, &id), 0);
	assert_int_equal(fg_gpadl_create(&f->g, relid, gpa + 8, 7 * 4096, &odd), 0);
	assert_int_equal(fg_gpadl_create(&f->g, other, gpa, 8 * 4096, &foreign), 0);
	assert_int_not_equal(open_status(f, 99, id, 4, 0), 0);
	assert_int_not_equal(open_status(f, 0, id, 4, 0), 0);
	assert_int_not_equal(open_status(f, ~0u, id, 4, 0), 0);
	assert_int_not_equal(open_status(f, relid, id + 99, 4, 0), 0);
	assert_int_not_equal(open_status(f, relid, odd, 4, 0), 0);
	assert_int_not_equal(open_status(f, relid, foreign, 4, 0), 0);
	assert_int_not_equal(open_status(f, relid, id, 0, 0), 0);
	assert_int_not_equal(open_status(f, relid, id, 1, 0), 0);
	assert_int_not_equal(open_status(f, relid, id, 7, 0), 0);
	assert_int_not_equal(open_status(f, relid, id, 8, 0), 0);
	assert_int_not_equal(open_status(f, relid, id, 9, 0), 0);
	assert_int_not_equal(open_status(f, relid, id, 20000, 0), 0);
	assert_int_not_equal(open_status(f, relid, id, ~0u, 0), 0);
	assert_int_not_equal(open_status(f, relid, id, 4, 4), 0);
	index[0] = 3 * 4096;
	assert_int_not_equal(open_status(f, relid, id, 4, 0), 0);
	index[0] = 4;
	assert_int_not_equal(open_status(f, relid, id, 4, 0), 0);
	index[0] = 0;
	f->g.bind_error = -ENOSPC;
	assert_int_not_equal(open_status(f, relid, id, 4, 0), 0);
	f->g.bind_error = 0;
	assert_int_equal(f->p[0].opened, 0);
	/* Nothing of all that is left: the same pages still open the channel. */
	assert_int_equal(open_status(f, relid, id, 4, 0), 0);
	assert_int_not_equal(open_status(f, relid, id, 4, 0), 0);
	assert_int_equal(f->p[0].opened, 1);
}

static void a_device_may_refuse(void **state)
{
	struct fixture *f = *state;

	f->p[0].open_result = -ENOMEM;
	f->p[0].to_send = 3;
	assert_int_equal(fg_open(&f->g, &f->ch, offer(f, 0), NULL), -EPROTO);
	assert_int_equal(fg_signal(&f->ch), -ENOENT);
	assert_int_equal(fg_gpadl_teardown(&f->g, f->ch.relid, f->ch.ring_gpadl), 0);
	f->p[0].open_result = 0;
	assert_int_equal(fg_open(&f->g, &f->ch, offer(f, 0), NULL), 0);
	assert_int_equal(f->p[0].closed, 0);
}

static void rings_are_given_back_when_the_device_is_done(void **state)
{
	struct fixture *f = *state;
	struct vmbus_msg_gpadl_torndown torndown;

	f->p[0].hold_close = true;
	assert_int_equal(fg_close(&f->ch), -ETIMEDOUT);
	assert_int_equal(f->p[0].closed, 1);
	/* Sent after the close: nobody there, and nothing breaks. */
	f->p[0].to_send = 2;
	probe_send(&f->p[0]);
	assert_int_equal(fg_send(&f->ch, 1, "x", 1, true), 0);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].packets, 0);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_GPADL_TORNDOWN), 0);
	channel_closed(f->p[0].ch);
	fg_pump(&f->g);
	assert_true(fg_take(&f->g, VMBUS_MSG_GPADL_TORNDOWN, &torndown, sizeof(torndown)) > 0);
	assert_int_equal(torndown.gpadl, f->ch.ring_gpadl);
	assert_int_equal(recv_all(f), 0);
}

static void opened_again_before_it_is_closed(void **state)
{
	struct fixture *f = *state;
	struct fg_channel again;
	struct vmbus_msg_open_result result;

	f->p[0].hold_close = true;
	assert_int_equal(fg_close(&f->ch), -ETIMEDOUT);
	assert_int_equal(fg_open(&f->g, &again, offer(f, 0), NULL), -ETIMEDOUT);
	assert_int_equal(f->p[0].opened, 1);
	channel_closed(f->p[0].ch);
	fg_pump(&f->g);
	assert_true(fg_take(&f->g, VMBUS_MSG_OPEN_CHANNEL_RESULT, &result, sizeof(result)) > 0);
	assert_int_equal(result.status, 0);
	assert_int_equal(f->p[0].opened, 2);
	assert_int_equal(fg_send(&again, 1, "x", 1, true), 0);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].packets, 1);
}

static void close_of_what_is_not_open(void **state)
{
	struct fixture *f = *state;
	struct vmbus_msg_relid msg = { .header.msgtype = VMBUS_MSG_CLOSE_CHANNEL };

	for (u32 relid = 0; relid < 300; relid++) {
		msg.child_relid = relid == f->ch.relid ? ~0u : relid;
		assert_int_equal(fg_post(&f->g, &msg, sizeof(msg)), 0);
	}
	assert_int_equal(f->p[0].closed, 0);
	assert_int_equal(f->g.bus->bad_channel.count, 300);
}

/* ---- Interrupts ------------------------------------------------------------------------------ */

static void the_target_can_move(void **state)
{
	struct fixture *f = *state;

	f->p[0].to_send = 1;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(f->g.last_event_vp, 0);
	assert_int_equal(f->g.last_event_sint, 2);
	assert_int_equal(recv_all(f), 1);
	assert_int_equal(fg_modify(&f->ch, 3), 0);
	f->p[0].to_send = 1;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(f->g.last_event_vp, 3);
	assert_int_equal(channel_target_vp(f->p[0].ch), 3);
	assert_int_equal(fg_modify(&f->ch, 4), -EPROTO);
	assert_int_equal(fg_modify(&f->ch, ~0u), -EPROTO);
	assert_int_equal(fg_close(&f->ch), 0);
	assert_int_equal(fg_modify(&f->ch, 1), -EPROTO);
}

static void no_target_no_interrupt(void **state)
{
	struct fixture *f = *state;
	const struct fg_open_params params = { .target_vp = VMBUS_VP_NONE };

	assert_int_equal(fg_open(&f->g, &f->ch, offer(f, 0), &params), 0);
	f->p[0].to_send = 1;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(fg_interrupts(&f->ch), 0);
	assert_int_equal(recv_all(f), 1);
}

static void one_interrupt_for_a_batch(void **state)
{
	struct fixture *f = *state;

	f->p[0].to_send = 50;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(fg_interrupts(&f->ch), 1);
	/* Not empty, or masked: no need for one. */
	f->p[0].to_send = 1;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(fg_interrupts(&f->ch), 1);
	assert_int_equal(recv_all(f), 51);
	f->ch.in.header->interrupt_mask = 1;
	f->p[0].to_send = 1;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(fg_interrupts(&f->ch), 1);
	assert_int_equal(recv_all(f), 1);
}

/* ---- Runs ------------------------------------------------------------------------------------ */

static void masked_while_the_device_is_full(void **state)
{
	struct fixture *f = *state;

	f->p[0].quota = 2;
	for (u64 i = 0; i < 5; i++)
		assert_int_equal(fg_send(&f->ch, i, "x", 1, true), 0);
	assert_int_equal(f->ch.out.header->interrupt_mask, 0);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].packets, 2);
	assert_int_equal(f->ch.out.header->interrupt_mask, 1);
	assert_int_not_equal(f->ch.out.header->read_index, 0);
	channel_resume(f->p[0].ch);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].packets, 4);
	f->p[0].quota = 0;
	channel_resume(f->p[0].ch);
	channel_resume(f->p[0].ch);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].packets, 5);
	assert_int_equal(f->ch.out.header->interrupt_mask, 0);
}

static void what_waits_at_open_is_seen(void **state)
{
	struct fixture *f = *state;

	/* Written with signals masked: none tells the host. */
	f->ch.out.header->interrupt_mask = 1;
	f->p[0].early = &f->ch;
	assert_int_equal(fg_send(&f->ch, 0, "x", 1, false), 0);
	assert_int_equal(fg_close(&f->ch), 0);
	assert_int_equal(f->p[0].packets, 0);
	f->ch.out.header->interrupt_mask = 1;
	assert_int_equal(
		fg_gpadl_create_pfns(&f->g, f->ch.relid, 0, 34 * 4096, f->pfn, &f->ch.ring_gpadl),
		0);
	assert_int_equal(open_status(f, f->ch.relid, f->ch.ring_gpadl, 17, 0), 0);
	assert_int_equal(f->p[0].packets, 2);
}

static void a_busy_channel_leaves_time_for_others(void **state)
{
	struct fixture *f = *state;
	const struct fg_open_params params = { .out_pages = 65 };
	unsigned at = 0;

	f->p[0].journal = f->p[1].journal = &f->journal;
	assert_int_equal(fg_open(&f->g, &f->ch, offer(f, 0), &params), 0);
	assert_int_equal(fg_open(&f->g, &f->ch2, offer(f, 1), NULL), 0);
	fg_pump(&f->g);
	for (u64 i = 0; i < 3000; i++)
		assert_int_equal(fg_send(&f->ch, i, "x", 1, true), 0);
	assert_int_equal(fg_send(&f->ch2, 1000000, "x", 1, true), 0);
	fg_pump(&f->g);
	assert_int_equal(f->journal.count, 3001);
	while (f->journal.id[at] != 1000000)
		at++;
	assert_in_range(at, 0, VMBUS_PACKETS_PER_RUN);
	assert_true(f->p[0].ready >= 3000 / VMBUS_PACKETS_PER_RUN);
}

static void signals_for_nothing_cost_a_run_each(void **state)
{
	struct fixture *f = *state;
	unsigned before = f->p[0].ready;

	for (int i = 0; i < 1000; i++)
		fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].ready, before + 1);
	assert_int_equal(fg_interrupts(&f->ch), 0);
}

/* ---- Room ------------------------------------------------------------------------------------ */

static void the_device_goes_on_when_there_is_room(void **state)
{
	struct fixture *f = *state;
	unsigned got = 0;

	f->p[0].to_send = 5000;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_not_equal(f->p[0].to_send, 0);
	assert_int_not_equal(f->ch.in.header->pending_send_sz, 0);
	for (int i = 0; i < 5000 && got < 5000; i++) {
		got += recv_all(f);
		fg_pump(&f->g);
	}
	assert_int_equal(got, 5000);
	assert_int_equal(f->ch.in.header->pending_send_sz, 0);
	/* One interrupt each time the ring was empty, not one a packet. */
	assert_in_range(fg_interrupts(&f->ch), 5000 * 128 / (16 * 4096), 200);
}

static void drain(void *ctx)
{
	recv_all(ctx);
}

/* The guest reads in the middle of the host's batch: it must know of all of it to signal room. */
static void room_made_within_a_batch_is_told(void **state)
{
	struct fixture *f = *state;

	f->p[0].to_send = 250;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	f->p[0].to_send = 600;
	f->p[0].when_full = drain;
	f->p[0].when_full_ctx = f;
	fg_signal(&f->ch);
	for (int i = 0; i < 20; i++) {
		fg_pump(&f->g);
		recv_all(f);
	}
	assert_int_equal(f->p[0].sent, 850);
}

static bool all_sent(void *ctx)
{
	struct fixture *f = ctx;

	recv_all(f);
	return f->p[0].sent == 2000;
}

static void guests_that_never_tell_are_looked_after(void **state)
{
	struct fixture *f = *state;

	f->ch.out.header->feature_bits = 0;
	f->p[0].to_send = 2000;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_not_equal(f->p[0].to_send, 0);
	/* No signal for room: the guest does not know of it. */
	f->ch.in.header->feature_bits = 0;
	assert_true(fg_pump_until(&f->g, all_sent, f, 5000));
}

static void a_waiting_guest_is_told_of_room(void **state)
{
	struct fixture *f = *state;

	f->p[0].quota = 1;
	while (!fg_send(&f->ch, 0, f->buf, 1000, false))
		;
	f->ch.out.header->pending_send_sz = 8000;
	fg_pump(&f->g);
	assert_int_equal(fg_interrupts(&f->ch), 0);
	for (int i = 0; i < 20; i++) {
		channel_resume(f->p[0].ch);
		fg_pump(&f->g);
		assert_int_equal(fg_interrupts(&f->ch), fg_out_free(&f->ch) > 8000);
	}
	assert_int_equal(fg_interrupts(&f->ch), 1);
}

static void too_long_for_the_ring_is_lost(void **state)
{
	struct fixture *f = *state;
	const struct fg_open_params params = { .in_pages = 2 };

	assert_int_equal(fg_open(&f->g, &f->ch, offer(f, 0), &params), 0);
	f->p[0].to_send = 2;
	f->p[0].send_size = 4096;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].to_send, 0);
	assert_int_equal(f->p[0].ch->lost_packet.count, 2);
	assert_int_equal(recv_all(f), 0);
}

static void transfer_pages(void **state)
{
	struct fixture *f = *state;
	struct vmbus_xfer_range range[VMBUS_XFER_RANGES_MAX];

	for (u32 i = 0; i < VMBUS_XFER_RANGES_MAX; i++)
		range[i] = (struct vmbus_xfer_range){ .byte_count = i, .byte_offset = i * 4096 };
	assert_int_equal(channel_send_xfer(f->p[0].ch, 0xcafe, 5, range, VMBUS_XFER_RANGES_MAX,
					   "payload", 7),
			 0);
	fg_pump(&f->g);
	assert_int_equal(fg_interrupts(&f->ch), 1);
	assert_int_equal(fg_recv(&f->ch, f->buf, sizeof(f->buf), &f->pkt), 1);
	assert_int_equal(f->pkt.type, VMBUS_PACKET_TRANSFER_PAGES);
	assert_true(f->pkt.completion_wanted);
	assert_int_equal(f->pkt.pageset_id, 0xcafe);
	assert_int_equal(f->pkt.range_count, VMBUS_XFER_RANGES_MAX);
	assert_memory_equal(f->pkt.range, range, sizeof(range));
	assert_memory_equal(f->pkt.payload, "payload", 8);
}

/* ---- Hostile --------------------------------------------------------------------------------- */

static void bad_packets_are_passed_over(void **state)
{
	struct fixture *f = *state;
	const struct ring_descriptor gpa = { .type = VMBUS_PACKET_GPA_DIRECT };
	const struct ring_descriptor no_head = { .type = VMBUS_PACKET_GPA_DIRECT, .offset8 = 2 };
	const struct ring_descriptor offset = { .type = VMBUS_PACKET_INBAND, .offset8 = 1 };
	const struct ring_descriptor unknown = { .type = 0xffff };
	const u32 many[4] = { 0, 2, 4096, 0 };
	const u32 huge[4] = { 0, 0xffffffff, 4096, 0 };

	assert_int_equal(fg_send_raw(&f->ch, &gpa, many, 16, "x", 1), 0);
	assert_int_equal(fg_send_raw(&f->ch, &gpa, huge, 16, "x", 1), 0);
	assert_int_equal(fg_send_raw(&f->ch, &no_head, NULL, 0, NULL, 0), 0);
	assert_int_equal(fg_send_raw(&f->ch, &offset, NULL, 0, "x", 1), 0);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].bad, 4);
	assert_int_equal(fg_send(&f->ch, 0, f->buf, 4096 - 16 + 8, false), 0);
	assert_int_equal(fg_send(&f->ch, 0, f->buf, 4096 - 16, false), 0);
	assert_int_equal(fg_send_raw(&f->ch, &unknown, NULL, 0, "x", 1), 0);
	assert_int_equal(fg_send(&f->ch, 0, NULL, 0, false), 0);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].too_long, 1);
	assert_int_equal(f->p[0].packets, 3);
	assert_int_equal(f->p[0].last_size, 0);
	assert_int_equal(f->p[0].ch->bad_packet.count, 5);
}

static void a_broken_ring_is_one_channels_trouble(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fg_open(&f->g, &f->ch2, offer(f, 1), NULL), 0);
	fg_pump(&f->g);
	fg_set_write_index(&f->ch, 0xfffffff0);
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].bad, 1);
	assert_int_equal(f->ch.out.header->interrupt_mask, 1);
	fg_set_write_index(&f->ch, 0);
	assert_int_equal(fg_send(&f->ch, 1, "x", 1, true), 0);
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].packets, 0);
	assert_int_equal(fg_send(&f->ch2, 1, "x", 1, true), 0);
	fg_pump(&f->g);
	assert_int_equal(f->p[1].packets, 1);
	/* It closes and opens like any other. */
	assert_int_equal(fg_close(&f->ch), 0);
	assert_int_equal(fg_open(&f->g, &f->ch, offer(f, 0), NULL), 0);
	assert_int_equal(fg_send(&f->ch, 1, "x", 1, true), 0);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].packets, 1);
}

static void a_broken_in_ring_swallows(void **state)
{
	struct fixture *f = *state;

	f->ch.in.header->read_index = 4;
	f->p[0].to_send = 2000;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].to_send, 0);
	assert_true(f->p[0].ch->out.broken);
	assert_int_equal(fg_close(&f->ch), 0);
}

/* Guest bytes at random in header and data, with real traffic between. */
static void random_rings(void **state)
{
	struct fixture *f = *state;
	struct ring_header *h;

	srand(2);
	for (int i = 0; i < 3000; i++) {
		assert_int_equal(
			fg_open(&f->g, &f->ch, offer(f, 0), &(struct fg_open_params){ 4, 4, 0 }),
			0);
		h = rand() % 4 ? f->ch.out.header : f->ch.in.header;
		f->p[0].to_send = (unsigned)rand() % 200;
		for (int n = 0; n < 20; n++) {
			u64 words[8];
			u32 *field[] = { &h->write_index, &h->read_index, &h->interrupt_mask,
					 &h->pending_send_sz, &h->feature_bits };

			for (int w = 0; w < 8; w++)
				words[w] = (u64)(rand() % 12) | (u64)(rand() % 12) << 16 |
					   (u64)(rand() % 12) << 32;
			fg_ring_poke(&f->ch.out, (u32)rand() % 512 * 8, words, sizeof(words));
			if (rand() % 4)
				*field[rand() % 5] =
					rand() % 8 ? (u32)rand() % 1600 * 8 : (u32)rand();
			fg_signal(&f->ch);
			fg_pump(&f->g);
		}
		assert_int_equal(fg_close(&f->ch), 0);
		f->g.next_page = MiB(1);
	}
}

#define T(setup_fn, test) cmocka_unit_test_setup_teardown(test, setup_fn, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(setup_closed, open_is_checked),
		T(setup_closed, a_device_may_refuse),
		T(setup, rings_are_given_back_when_the_device_is_done),
		T(setup, opened_again_before_it_is_closed),
		T(setup, close_of_what_is_not_open),
		T(setup, the_target_can_move),
		T(setup_closed, no_target_no_interrupt),
		T(setup, one_interrupt_for_a_batch),
		T(setup, masked_while_the_device_is_full),
		T(setup, what_waits_at_open_is_seen),
		T(setup_closed, a_busy_channel_leaves_time_for_others),
		T(setup, signals_for_nothing_cost_a_run_each),
		T(setup, the_device_goes_on_when_there_is_room),
		T(setup, room_made_within_a_batch_is_told),
		T(setup, guests_that_never_tell_are_looked_after),
		T(setup, a_waiting_guest_is_told_of_room),
		T(setup_closed, too_long_for_the_ring_is_lost),
		T(setup, transfer_pages),
		T(setup, bad_packets_are_passed_over),
		T(setup, a_broken_ring_is_one_channels_trouble),
		T(setup, a_broken_in_ring_swallows),
		T(setup_closed, random_rings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
