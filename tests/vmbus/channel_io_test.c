/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets of channels: masks, fairness, room, and guests that break all rules. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/vmbus/channel_bed.h"

/* ---- Runs ------------------------------------------------------------------------------------ */

static void masked_while_the_device_is_full(void **state)
{
	struct channel_bed *f = *state;

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
	struct channel_bed *f = *state;

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
	assert_int_equal(bed_open_status(f, f->ch.relid, f->ch.ring_gpadl, 17, 0), 0);
	assert_int_equal(f->p[0].packets, 2);
}

static void a_busy_channel_leaves_time_for_others(void **state)
{
	struct channel_bed *f = *state;
	const struct fg_open_params params = { .out_pages = 65 };
	unsigned at = 0;

	f->p[0].journal = f->p[1].journal = &f->journal;
	assert_int_equal(fg_open(&f->g, &f->ch, bed_offer(f, 0), &params), 0);
	assert_int_equal(fg_open(&f->g, &f->ch2, bed_offer(f, 1), NULL), 0);
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
	assert_int_equal(f->p[0].dev.primary->count.throttled, 3000 / VMBUS_PACKETS_PER_RUN);
	assert_int_equal(f->p[1].dev.primary->count.throttled, 0);
}

static void signals_for_nothing_cost_a_run_each(void **state)
{
	struct channel_bed *f = *state;
	unsigned before = f->p[0].ready;

	for (int i = 0; i < 1000; i++)
		fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].ready, before + 1);
	assert_int_equal(fg_interrupts(&f->ch), 0);
}

/* A burst of requests and its answers, whatever the clock makes of them: none is left behind. */
static void a_paced_channel_answers_all(void **state)
{
	struct channel_bed *f = *state;

	f->p[0].dev.paced = true;
	for (u64 round = 0; round < 100; round++) {
		unsigned got = 0, tries = 0;

		for (u64 i = 0; i < 1 + round % 9; i++) {
			f->p[0].to_send++;
			assert_int_equal(fg_send(&f->ch, i, "x", 1, true), 0);
			fg_pump(&f->g);
		}
		while (got < 1 + round % 9 && tries++ < 10000) {
			got += bed_recv_all(f);
			usleep(10);
			fg_pump(&f->g);
		}
		assert_int_equal(got, 1 + round % 9);
	}
	assert_int_equal(f->ch.out.header->interrupt_mask, 0);
	/* One that is closed takes what it held back with it. */
	for (unsigned i = 0; i < 20; i++) {
		f->p[0].to_send++;
		assert_int_equal(fg_send(&f->ch, i, "x", 1, true), 0);
		fg_pump(&f->g);
	}
	assert_int_equal(fg_close(&f->ch), 0);
}

/* The end of the machine in the midst of a burst; the loops outlive the bus. */
static void a_paced_channel_ends_with_the_bus(void **state)
{
	struct channel_bed *f = *state;
	struct vmbus_channel *ch = f->p[0].ch;

	loop_timer_arm(ch->loop, &ch->pace.look, loop_now_ns() + NSEC_PER_SEC);
	assert_int_equal(fg_new_host(&f->g), 0);
	fg_pump(&f->g);
}

/* ---- Room ------------------------------------------------------------------------------------ */

static void the_device_goes_on_when_there_is_room(void **state)
{
	struct channel_bed *f = *state;
	unsigned got = 0;

	f->p[0].to_send = 5000;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_not_equal(f->p[0].to_send, 0);
	assert_int_not_equal(f->ch.in.header->pending_send_sz, 0);
	for (int i = 0; i < 5000 && got < 5000; i++) {
		got += bed_recv_all(f);
		fg_pump(&f->g);
	}
	assert_int_equal(got, 5000);
	assert_int_equal(f->ch.in.header->pending_send_sz, 0);
	/* One interrupt each time the ring was empty, not one a packet. */
	assert_in_range(fg_interrupts(&f->ch), 5000 * 128 / (16 * 4096), 200);
}

static void drain(void *ctx)
{
	bed_recv_all(ctx);
}

/* The guest reads in the middle of the host's batch: it must know of all of it to signal room. */
static void room_made_within_a_batch_is_told(void **state)
{
	struct channel_bed *f = *state;

	f->p[0].to_send = 250;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	f->p[0].to_send = 600;
	f->p[0].when_full = drain;
	f->p[0].when_full_ctx = f;
	fg_signal(&f->ch);
	for (int i = 0; i < 20; i++) {
		fg_pump(&f->g);
		bed_recv_all(f);
	}
	assert_int_equal(f->p[0].sent, 850);
}

static bool all_sent(void *ctx)
{
	struct channel_bed *f = ctx;

	bed_recv_all(f);
	return f->p[0].sent == 2000;
}

static void guests_that_never_tell_are_looked_after(void **state)
{
	struct channel_bed *f = *state;

	f->ch.out.header->feature_bits = 0;
	f->p[0].to_send = 2000;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_not_equal(f->p[0].to_send, 0);
	/* No signal for room: the guest does not know of it. */
	f->ch.in.header->feature_bits = 0;
	assert_true(fg_pump_until(&f->g, all_sent, f));
}

static void a_waiting_guest_is_told_of_room(void **state)
{
	struct channel_bed *f = *state;

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
	struct channel_bed *f = *state;
	const struct fg_open_params params = { .in_pages = 2 };

	assert_int_equal(fg_open(&f->g, &f->ch, bed_offer(f, 0), &params), 0);
	f->p[0].to_send = 2;
	f->p[0].send_size = 4096;
	fg_signal(&f->ch);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].to_send, 0);
	assert_int_equal(f->p[0].ch->lost_packet.count, 2);
	assert_int_equal(bed_recv_all(f), 0);
}

static void transfer_pages(void **state)
{
	struct channel_bed *f = *state;
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
	struct channel_bed *f = *state;
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
	struct channel_bed *f = *state;

	assert_int_equal(fg_open(&f->g, &f->ch2, bed_offer(f, 1), NULL), 0);
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
	assert_int_equal(fg_open(&f->g, &f->ch, bed_offer(f, 0), NULL), 0);
	assert_int_equal(fg_send(&f->ch, 1, "x", 1, true), 0);
	fg_pump(&f->g);
	assert_int_equal(f->p[0].packets, 1);
}

static void a_broken_in_ring_swallows(void **state)
{
	struct channel_bed *f = *state;

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
	struct channel_bed *f = *state;
	struct ring_header *h;

	srand(2);
	for (int i = 0; i < 3000; i++) {
		assert_int_equal(fg_open(&f->g, &f->ch, bed_offer(f, 0),
					 &(struct fg_open_params){ 4, 4, 0 }),
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bed_setup, masked_while_the_device_is_full),
		TEST(bed_setup, what_waits_at_open_is_seen),
		TEST(bed_setup_closed, a_busy_channel_leaves_time_for_others),
		TEST(bed_setup, signals_for_nothing_cost_a_run_each),
		TEST(bed_setup, a_paced_channel_answers_all),
		TEST(bed_setup, a_paced_channel_ends_with_the_bus),
		TEST(bed_setup, the_device_goes_on_when_there_is_room),
		TEST(bed_setup, room_made_within_a_batch_is_told),
		TEST(bed_setup, guests_that_never_tell_are_looked_after),
		TEST(bed_setup, a_waiting_guest_is_told_of_room),
		TEST(bed_setup_closed, too_long_for_the_ring_is_lost),
		TEST(bed_setup, transfer_pages),
		TEST(bed_setup, bad_packets_are_passed_over),
		TEST(bed_setup, a_broken_ring_is_one_channels_trouble),
		TEST(bed_setup, a_broken_in_ring_swallows),
		TEST(bed_setup_closed, random_rings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
