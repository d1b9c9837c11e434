/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Channels that follow their VP to another loop while requests are under way: none is lost, none is
 * answered twice. The last tests have the loops on threads of their own, disks that come and go on
 * another one, and resets; their worth is in running under TSan.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/devices/storvsp_bed.h"
#include "tests/patience.h"
#include "vmbus/save.h"

static int setup(void **state)
{
	*state = bed_start(1);
	return 0;
}

static void send_reads(struct bed *b, unsigned channel, u64 first, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(
			bed_read_write(b, &b->ch[channel], first + i, SCSI_READ_10, 0, 0, i), 0);
}

static void expect(struct bed *b, unsigned channel, u64 first, unsigned count)
{
	struct vstor_packet p;

	for (unsigned i = 0; i < count; i++) {
		assert_true(bed_answer(b, &b->ch[channel], &p) == first + i);
		assert_int_equal(p.status, NT_SUCCESS);
	}
	bed_expect_none(b, &b->ch[channel]);
}

/* Asks for a move of channel 1, which is on loop 1 with 10 requests under way, to loop 0. */
static void begin_move(struct bed *b)
{
	unsigned before = b->disk[0].count;

	b->disk[0].hold = true;
	send_reads(b, 1, 100, 10);
	fg_pump(&b->g);
	assert_int_equal(b->disk[0].count, before + 10);
	b->g.modify_unawaited = true;
	assert_int_equal(fg_modify(&b->ch[1], 2), 0);
	assert_int_equal(fg_count(&b->g, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE), 0);
}

static void expect_moved(struct bed *b)
{
	fg_pump(&b->g);
	assert_int_equal(fg_count(&b->g, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE), 1);
	assert_ptr_equal(b->s->channel[1].uring, &b->uring[0]);
	assert_ptr_equal(b->s->channel[1].loop, &b->g.io[0]);
	send_reads(b, 1, 500, 3);
	expect(b, 1, 500, 3);
	assert_int_equal(b->g.last_event_vp, 2);
}

/* ---- One after the other --------------------------------------------------------------------- */

static void each_channel_follows_its_vp(void **state)
{
	struct bed *b = *state;

	for (unsigned n = 0; n < 20; n++) {
		unsigned i = n % (1 + BED_SUBS), vp = n * 3 % 8;

		assert_int_equal(fg_modify(&b->ch[i], vp), 0);
		assert_ptr_equal(b->s->channel[i].uring, &b->uring[vp % BED_LOOPS]);
		send_reads(b, i, n, 4);
		expect(b, i, n, 4);
		assert_int_equal(b->g.last_event_vp, vp);
	}
}

static void requests_under_way_end_first(void **state)
{
	struct bed *b = *state;

	begin_move(b);
	/* What comes meanwhile waits for the new loop. */
	send_reads(b, 1, 110, 5);
	fg_signal(&b->ch[1]);
	fg_pump(&b->g);
	assert_int_equal(b->disk[0].count, 10);
	held_disk_release(&b->disk[0]);
	/* Their interrupt goes to the old VP. */
	loop_turn(&b->g.io[1], 0);
	assert_int_equal(b->g.last_event_vp, 1);
	expect(b, 1, 100, 15);
	expect_moved(b);
}

static void answers_without_room_go_along(void **state)
{
	struct bed *b = *state;
	const struct fg_open_params small = { .out_pages = 17, .in_pages = 2, .target_vp = 1 };
	struct fg_offer offer = b->ch[1].offer;
	struct vstor_packet ready = bed_unit_ready(0, 0), p;
	unsigned sent = 0;

	assert_int_equal(fg_close(&b->ch[1]), 0);
	assert_int_equal(fg_open(&b->g, &b->ch[1], &offer, &small), 0);
	while (++sent <= 100)
		bed_send(b, &b->ch[1], sent, VSTOR_EXECUTE_SRB, &ready, sizeof(ready));
	fg_pump(&b->g);
	assert_true(b->s->channel[1].unsent_count > 0);
	assert_int_equal(fg_modify(&b->ch[1], 2), 0);
	assert_true(b->s->channel[1].unsent_count > 0);
	for (unsigned i = 1; i < sent; i++)
		assert_true(bed_answer(b, &b->ch[1], &p) == i);
	bed_expect_none(b, &b->ch[1]);
	assert_int_equal(b->s->channel[1].unsent_count, 0);
}

static void closed_while_it_moves(void **state)
{
	struct bed *b = *state;
	const struct fg_open_params params = { .target_vp = 3 };
	struct fg_offer offer = b->ch[1].offer;

	begin_move(b);
	assert_int_equal(fg_close(&b->ch[1]), -ETIMEDOUT);
	held_disk_release(&b->disk[0]);
	fg_pump(&b->g);
	assert_null(b->s->channel[1].loop);
	assert_int_equal(fg_open(&b->g, &b->ch[1], &offer, &params), 0);
	send_reads(b, 1, 7, 3);
	expect(b, 1, 7, 3);
}

static void rescinded_while_it_moves(void **state)
{
	struct bed *b = *state;

	begin_move(b);
	vmbus_rescind(storvsp_device(b->s));
	fg_pump(&b->g);
	held_disk_release(&b->disk[0]);
	fg_pump(&b->g);
	for (unsigned i = 0; i <= BED_SUBS; i++)
		assert_null(b->s->channel[i].loop);
}

static void unloaded_while_it_moves(void **state)
{
	struct bed *b = *state;

	begin_move(b);
	assert_int_equal(fg_unload(&b->g), -ETIMEDOUT);
	held_disk_release(&b->disk[0]);
	fg_pump(&b->g);
	assert_int_equal(fg_count(&b->g, VMBUS_MSG_UNLOAD_RESPONSE), 1);
	for (unsigned i = 0; i <= BED_SUBS; i++)
		assert_null(b->s->channel[i].loop);
}

static void frozen_while_it_moves(void **state)
{
	struct bed *b = *state;
	struct stream_out out = { 0 };

	begin_move(b);
	assert_false(fg_freeze(&b->g));
	held_disk_release(&b->disk[0]);
	fg_pump(&b->g);
	assert_true(b->g.frozen);
	assert_int_equal(vmbus_save(b->g.bus, &out, NULL), 0);
	stream_free(&out);
	fg_thaw(&b->g);
	expect(b, 1, 100, 10);
	expect_moved(b);
}

static void ended_while_it_moves(void **state)
{
	begin_move(*state);
}

/* One that waits for requests of the channel that moves, and one that came on it. */
static void reset_while_it_moves(void **state)
{
	struct bed *b = *state;
	struct vstor_packet p = bed_unit_ready(0, 0);

	b->disk[0].hold = true;
	send_reads(b, 1, 98, 1);
	bed_send(b, &b->ch[1], 99, VSTOR_RESET_BUS, &p, sizeof(p));
	fg_pump(&b->g);
	begin_move(b);
	bed_send(b, &b->ch[3], 1, VSTOR_RESET_LUN, &p, sizeof(p));
	bed_expect_none(b, &b->ch[3]);
	held_disk_release(&b->disk[0]);
	assert_true(bed_answer(b, &b->ch[3], &p) == 1);
	assert_true(bed_answer(b, &b->ch[1], &p) == 98);
	for (unsigned i = 0; i < 10; i++)
		assert_true(bed_answer(b, &b->ch[1], &p) == 100 + i);
	expect(b, 1, 99, 1);
	bed_command(b, &b->ch[0], 0, 0);
	expect_moved(b);
}

static void told_to_scan_while_it_moves(void **state)
{
	struct bed *b = *state;
	struct fg_packet pkt;

	b->disk[0].hold = true;
	send_reads(b, 0, 1, 1);
	fg_pump(&b->g);
	b->g.modify_unawaited = true;
	assert_int_equal(fg_modify(&b->ch[0], 1), 0);
	bed_attach(b, 1, 1);
	bed_expect_none(b, &b->ch[0]);
	held_disk_release(&b->disk[0]);
	fg_pump(&b->g);
	assert_int_equal(fg_recv(&b->ch[0], b->buf, sizeof(b->buf), &pkt), 1);
	assert_int_equal(pkt.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(fg_recv(&b->ch[0], b->buf, sizeof(b->buf), &pkt), 1);
	assert_int_equal(pkt.type, VMBUS_PACKET_INBAND);
	assert_ptr_equal(b->s->channel[0].loop, &b->g.io[1]);
}

/* A disk that comes when the primary channel is on neither loop. */
static void told_to_scan_between_two_loops(void **state)
{
	struct bed *b = *state;
	struct vmbus_msg_modify_channel msg = { .header.msgtype = VMBUS_MSG_MODIFY_CHANNEL,
						.child_relid = b->ch[0].relid,
						.target_vp = 1 };
	struct vstor_packet p;
	struct fg_packet pkt;

	assert_int_equal(fg_post_raw(&b->g, b->g.msg_conn_id, &msg, sizeof(msg)), 0);
	loop_turn(&b->g.control, 0);
	loop_turn(&b->g.io[0], 0);
	assert_null(b->s->channel[0].loop);
	bed_attach(b, 1, 1);
	fg_pump(&b->g);
	assert_ptr_equal(b->s->channel[0].loop, &b->g.io[1]);
	assert_int_equal(fg_recv(&b->ch[0], b->buf, sizeof(b->buf), &pkt), 1);
	assert_int_equal(pkt.type, VMBUS_PACKET_INBAND);
	p = bed_command(b, &b->ch[0], 0, 0);
	assert_int_equal(p.srb.scsi_status, SCSI_CHECK_CONDITION);
	/* A closed one is told nothing, nor when it is open again. */
	assert_int_equal(fg_unload(&b->g), 0);
	assert_int_equal(b->s->state, STORVSP_BEGIN);
	assert_int_equal(storvsp_detach(b->s, 1), 0);
	assert_false(b->s->rescan);
}

/* ---- On threads ------------------------------------------------------------------------------ */

#define ROUNDS 60u
#define OUTSTANDING 48u

struct stress {
	struct bed *b;
	u64 next;
	unsigned out[1 + BED_SUBS]; /* requests each channel has under way */
	u8 state[1u << 16]; /* of each id: 1 sent, 2 answered */
	_Atomic bool stop;
	_Atomic unsigned released, plugged;
};

static void stress_send(struct stress *t, unsigned i)
{
	struct bed *b = t->b;

	while (t->out[i] < OUTSTANDING && t->next < ARRAY_SIZE(t->state)) {
		u8 opcode = t->next & 1 ? SCSI_READ_10 : SCSI_WRITE_10;
		struct vstor_packet p = bed_unit_ready(0, 0);
		int err;

		if (t->next % 97)
			err = bed_read_write(b, &b->ch[i], t->next, opcode, 0, t->next % 5 == 0, i);
		else
			err = fg_send(&b->ch[i], t->next,
				      &(struct vstor_packet){ .operation = VSTOR_RESET_BUS,
							      .srb = p.srb },
				      sizeof(p), true);
		if (err)
			return;
		t->state[t->next++] = 1;
		t->out[i]++;
	}
}

static void stress_take(struct stress *t, unsigned i)
{
	struct bed *b = t->b;
	struct fg_packet pkt;

	while (fg_recv(&b->ch[i], b->buf, sizeof(b->buf), &pkt) == 1) {
		if (pkt.type == VMBUS_PACKET_INBAND)
			continue;
		assert_true(pkt.transaction_id < t->next);
		assert_int_equal(t->state[pkt.transaction_id], 1);
		t->state[pkt.transaction_id] = 2;
		t->out[i]--;
	}
}

static bool stress_idle(void *ctx)
{
	struct stress *t = ctx;

	for (unsigned i = 0; i <= BED_SUBS; i++) {
		stress_take(t, i);
		if (t->out[i])
			return false;
	}
	return true;
}

static void stress_released(void *ctx, struct disk *disk)
{
	struct stress *t = ctx;

	disk->ops->close(disk);
	t->released++;
}

static void *stress_plug(void *ctx)
{
	struct stress *t = ctx;
	struct disk *disk = NULL;

	while (!t->stop) {
		if (!disk)
			disk = disk_mem_open(BED_DISK_SIZE, BED_BLOCK);
		if (!storvsp_attach(t->b->s, 1, disk)) {
			t->plugged++;
			disk = NULL;
		}
		storvsp_resize(t->b->s, 1, BED_DISK_SIZE);
		storvsp_detach(t->b->s, 1);
	}
	if (disk)
		disk->ops->close(disk);
	return NULL;
}

/* Every channel moves again and again, under load. */
static void all_is_answered_once(void **state)
{
	struct stress *t = calloc(1, sizeof(*t));
	struct bed *b = *state;
	pthread_t plug;

	assert_non_null(t);
	t->b = b;
	storvsp_on_released(b->s, stress_released, t);
	assert_int_equal(fg_start_io(&b->g), 0);
	assert_int_equal(pthread_create(&plug, NULL, stress_plug, t), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i <= BED_SUBS; i++) {
			stress_send(t, i);
			assert_int_equal(fg_modify(&b->ch[i], (round * 5 + i * 3) % 8), 0);
			stress_take(t, i);
			stress_send(t, i);
		}
	}
	for (u64 end = patience_end(); !t->plugged && loop_now_ns() < end;)
		fg_pump(&b->g);
	t->stop = true;
	pthread_join(plug, NULL);
	assert_true(fg_pump_until(&b->g, stress_idle, t));
	assert_true(t->next > ROUNDS);
	fg_stop_io(&b->g);
	fg_pump(&b->g);
	storvsp_detach(b->s, 1);
	assert_true(t->plugged > 0);
	assert_int_equal(t->released, t->plugged);
	storvsp_on_released(b->s, NULL, NULL);
	free(t);
}

/* Moves, and what may come in between: resets, closes, freezes, whole reconnections. */
static void nothing_stands_in_the_way_of_anything(void **state)
{
	struct vstor_packet p = bed_unit_ready(0, 0);
	struct bed *b = *state;

	assert_int_equal(fg_start_io(&b->g), 0);
	for (unsigned round = 0; round < 20; round++) {
		b->g.modify_unawaited = true;
		for (unsigned i = 0; i <= BED_SUBS; i++) {
			send_reads(b, i, 1, 16);
			bed_send(b, &b->ch[i], 17, i % 2 ? VSTOR_RESET_LUN : VSTOR_RESET_BUS, &p,
				 sizeof(p));
			assert_int_equal(fg_modify(&b->ch[i], (round + i * 3) % 8), 0);
		}
		if (round % 3 == 0) {
			fg_freeze(&b->g);
			while (!b->g.frozen)
				fg_pump(&b->g);
			fg_thaw(&b->g);
		} else if (round % 3 == 1) {
			assert_int_equal(fg_close(&b->ch[1 + round % BED_SUBS]), 0);
		}
		assert_int_equal(fg_unload(&b->g), 0);
		assert_int_equal(fg_connect(&b->g, VMBUS_VERSION_WIN10_V5_3), 0);
		assert_int_equal(fg_request_offers(&b->g), 0);
		fg_stop_io(&b->g);
		assert_int_equal(fg_open(&b->g, &b->ch[0], &b->g.offer[0], NULL), 0);
		bed_handshake(b, VSTOR_VERSION_WIN10);
		bed_open_subs(b, BED_SUBS);
		assert_int_equal(fg_start_io(&b->g), 0);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, bed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_channel_follows_its_vp),
		TEST(requests_under_way_end_first),
		TEST(answers_without_room_go_along),
		TEST(closed_while_it_moves),
		TEST(rescinded_while_it_moves),
		TEST(unloaded_while_it_moves),
		TEST(frozen_while_it_moves),
		TEST(ended_while_it_moves),
		TEST(reset_while_it_moves),
		TEST(told_to_scan_while_it_moves),
		TEST(told_to_scan_between_two_loops),
		TEST(all_is_answered_once),
		TEST(nothing_stands_in_the_way_of_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
