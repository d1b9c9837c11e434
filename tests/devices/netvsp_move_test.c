/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A NIC whose channel follows its VP to another loop: the back end goes along, frames are neither
 * lost nor doubled. The last test has the loops on threads of their own and a real descriptor
 * behind the NIC; its worth is in running under TSan.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "devices/backend/nic_impl.h"
#include "devices/netvsp.h"
#include "tests/devices/netvsp_bed.h"
#include "vmbus/save.h"

static int setup(void **state)
{
	struct bed *b = bed_new();

	bed_bring_up(b);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	bed_free(*state);
	return 0;
}

/* A frame has come in whose packet the loop has still to send when it is told to let go. */
static void begin_move(struct bed *b, u32 vp)
{
	assert_true(bed_arrive(b, 200, 77));
	assert_true(b->netvsp->rx.flush.queued);
	b->g.modify_unawaited = true;
	fg_post_raw(&b->g, b->g.msg_conn_id,
		    &(struct vmbus_msg_modify_channel){ .header.msgtype = VMBUS_MSG_MODIFY_CHANNEL,
							.child_relid = b->ch.relid,
							.target_vp = vp },
		    sizeof(struct vmbus_msg_modify_channel));
	loop_turn(&b->g.control, 0);
}

static void expect_frame(struct bed *b)
{
	struct fg_packet pkt;

	bed_expect_data(b, &pkt);
	assert_int_equal(pkt.range_count, 1);
	bed_expect_range(b, &pkt, 0, 200, 77);
	bed_done_with(b, &pkt);
	assert_int_equal(bed_take(b, &pkt), 0);
}

static void the_back_end_follows_the_channel(void **state)
{
	struct bed *b = *state;

	for (u32 n = 0; n < 12; n++) {
		u32 vp = n * 3 % 4;

		assert_int_equal(fg_modify(&b->ch, vp), 0);
		assert_ptr_equal(b->nic.loop, &b->g.io[vp % 2]);
		assert_true(b->nic.enabled);
		bed_transmit_one(b, (u8)n);
		bed_receive_one(b, (u8)n);
		assert_int_equal(b->g.last_event_vp, vp);
	}
}

static void frames_that_came_in_are_sent_first(void **state)
{
	struct bed *b = *state;

	begin_move(b, 1);
	loop_turn(&b->g.io[0], 0);
	assert_null(b->nic.loop);
	/* By the old loop, to the old VP. */
	assert_int_equal(b->g.last_event_vp, 0);
	/* On the new one nothing is let in before there is room for it. */
	loop_turn(&b->g.control, 0);
	loop_turn(&b->g.io[1], 0);
	assert_ptr_equal(b->nic.loop, &b->g.io[1]);
	assert_false(b->nic.enabled);
	expect_frame(b);
	assert_ptr_equal(b->nic.loop, &b->g.io[1]);
	bed_receive_one(b, 5);
}

static void frames_without_room_go_along(void **state)
{
	struct bed *b = *state;
	struct fg_packet pkt;
	unsigned sent = 0, got = 0;

	/* One packet a frame, until the ring is full and a batch waits. */
	for (; sent < 4000 && !b->netvsp->rx.stalled; sent++) {
		if (!bed_arrive(b, 60, (u8)sent))
			break;
		fg_pump(&b->g);
	}
	assert_int_equal(fg_modify(&b->ch, 1), 0);
	while (bed_take(b, &pkt) == 1) {
		got += pkt.range_count;
		bed_done_with(b, &pkt);
	}
	assert_int_equal(got, sent);
	bed_receive_one(b, 1);
}

static void closed_while_it_moves(void **state)
{
	struct bed *b = *state;

	begin_move(b, 1);
	assert_int_equal(fg_close(&b->ch), 0);
	assert_null(b->nic.loop);
	assert_null(b->netvsp->ch);
	fg_unload(&b->g);
	bed_connect(b);
	bed_bring_up(b);
	bed_receive_one(b, 2);
}

static void rescinded_while_it_moves(void **state)
{
	struct bed *b = *state;

	begin_move(b, 1);
	vmbus_rescind(netvsp_device(b->netvsp));
	fg_pump(&b->g);
	assert_null(b->nic.loop);
	assert_null(b->netvsp->ch);
}

static void unloaded_while_it_moves(void **state)
{
	struct bed *b = *state;

	begin_move(b, 1);
	assert_int_equal(fg_unload(&b->g), 0);
	assert_null(b->nic.loop);
	bed_connect(b);
	bed_bring_up(b);
	bed_receive_one(b, 2);
}

static void frozen_while_it_moves(void **state)
{
	struct bed *b = *state;
	struct stream_out out = { 0 };

	begin_move(b, 1);
	assert_true(fg_freeze(&b->g));
	assert_false(b->nic.enabled);
	assert_int_equal(vmbus_save(b->g.bus, &out, NULL), 0);
	stream_free(&out);
	fg_thaw(&b->g);
	expect_frame(b);
	assert_ptr_equal(b->nic.loop, &b->g.io[1]);
	bed_receive_one(b, 3);
}

static void ended_while_it_moves(void **state)
{
	begin_move(*state, 1);
}

static int refuse_start(struct nic *nic, struct loop *loop)
{
	(void)nic;
	(void)loop;
	return -ENOMEM;
}

/* The guest keeps its NIC, which gets nothing any more. */
static void a_back_end_may_not_follow(void **state)
{
	struct bed *b = *state;
	struct nic_ops ops = mem_ops;

	ops.start = refuse_start;
	b->nic.nic.ops = &ops;
	assert_int_equal(fg_modify(&b->ch, 1), 0);
	assert_null(b->nic.loop);
	assert_int_equal(fg_modify(&b->ch, 0), 0);
	b->nic.nic.ops = &mem_ops;
	assert_int_equal(fg_modify(&b->ch, 1), 0);
	assert_ptr_equal(b->nic.loop, &b->g.io[1]);
	bed_receive_one(b, 4);
}

/* ---- On threads ------------------------------------------------------------------------------ */

#define FRAMES 2000u
#define UNDER_WAY 16u
#define FRAME 100u

static struct nic *wire; /* what the NIC of the bed hands everything on to */

static int wired_start(struct nic *nic, struct loop *loop)
{
	mem_ops.start(nic, loop);
	return wire->ops->start(wire, loop);
}

static void wired_stop(struct nic *nic)
{
	mem_ops.stop(nic);
	wire->ops->stop(wire);
}

static int wired_send(struct nic *nic, const struct iovec *iov, unsigned count)
{
	(void)nic;
	return wire->ops->send(wire, iov, count);
}

static void wired_receive_enable(struct nic *nic, bool on)
{
	mem_ops.receive_enable(nic, on);
	wire->ops->receive_enable(wire, on);
}

static void wired_close(struct nic *nic)
{
	mem_ops.close(nic);
	wire->ops->close(wire);
}

static const struct nic_ops wired_ops = {
	.start = wired_start,
	.stop = wired_stop,
	.send = wired_send,
	.receive_enable = wired_receive_enable,
	.close = wired_close,
};

static bool wired_receive(struct nic *nic, const void *frame, u32 len)
{
	struct bed *b = nic->data;

	return b->nic.nic.receive(&b->nic.nic, frame, len);
}

static void *echo(void *ctx)
{
	int fd = *(int *)ctx;
	u8 frame[2048];
	ssize_t len;

	while ((len = read(fd, frame, sizeof(frame))) > 0)
		if (write(fd, frame, (size_t)len) != len)
			break;
	return NULL;
}

struct stress {
	struct bed *b;
	u32 sent, completed, came;
	u8 seen[FRAMES];
};

static void stress_send(struct stress *t)
{
	struct bed *b = t->b;

	while (t->sent < FRAMES && t->sent - t->came < UNDER_WAY &&
	       t->sent - t->completed < UNDER_WAY) {
		gpa_t at = b->scratch + t->sent % UNDER_WAY * 256;
		u8 *message = fg_ptr(&b->g, at, 256);
		struct fg_range range = { at, bed_put_message(message, FRAME, 0xff) };

		memcpy(message + range.len - 4, &t->sent, 4);
		bed_transmit(b, 0, NVSP_NO_SECTION, 0, &range, 1);
		t->sent++;
	}
}

static void stress_take(struct stress *t)
{
	struct bed *b = t->b;
	struct fg_packet pkt;
	u32 n;

	while (bed_take(b, &pkt) == 1) {
		if (pkt.type == VMBUS_PACKET_COMPLETION) {
			t->completed++;
			continue;
		}
		for (u32 i = 0; i < pkt.range_count; i++) {
			u32 end = pkt.range[i].byte_offset + pkt.range[i].byte_count;

			memcpy(&n, fg_ptr(&b->g, b->recv + end - 4, 4), 4);
			assert_true(n < t->sent);
			assert_int_equal(t->seen[n]++, 0);
			t->came++;
		}
		bed_done_with(b, &pkt);
	}
}

static bool stress_idle(void *ctx)
{
	struct stress *t = ctx;

	stress_take(t);
	stress_send(t);
	return t->came == FRAMES && t->completed == FRAMES;
}

static void every_frame_comes_back_once(void **state)
{
	struct bed *b = *state;
	struct stress *t = calloc(1, sizeof(*t));
	pthread_t peer;
	int fd[2];

	assert_non_null(t);
	t->b = b;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	assert_int_equal(nic_fd_new(&wire, fd[0], NULL), 0);
	wire->receive = wired_receive;
	wire->data = b;
	b->nic.nic.ops = &wired_ops;
	assert_int_equal(fg_modify(&b->ch, 1), 0);
	assert_int_equal(pthread_create(&peer, NULL, echo, &fd[1]), 0);
	assert_int_equal(fg_start_io(&b->g), 0);
	for (u32 n = 0; t->sent < FRAMES && n < 20 * FRAMES; n++) {
		stress_send(t);
		assert_int_equal(fg_modify(&b->ch, n % 4), 0);
		stress_take(t);
	}
	assert_true(fg_pump_until(&b->g, stress_idle, t));
	fg_stop_io(&b->g);
	shutdown(fd[1], SHUT_RDWR);
	pthread_join(peer, NULL);
	close(fd[1]);
	free(t);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_back_end_follows_the_channel),
		TEST(frames_that_came_in_are_sent_first),
		TEST(frames_without_room_go_along),
		TEST(closed_while_it_moves),
		TEST(rescinded_while_it_moves),
		TEST(unloaded_while_it_moves),
		TEST(frozen_while_it_moves),
		TEST(ended_while_it_moves),
		TEST(a_back_end_may_not_follow),
		TEST(every_frame_comes_back_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
