/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames to and from a descriptor, here one end of a socket pair. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/backend/nic_impl.h"

struct link {
	struct loop loop;
	struct nic *nic;
	int peer;
	unsigned frames, last_len;
	bool last_ok;
	unsigned stop_after; /* receive_enable(false) with this frame; 0: never */
};

static bool on_frame(struct nic *nic, const void *frame, u32 len)
{
	struct link *l = nic->data;

	l->last_len = len;
	l->last_ok = ((const u8 *)frame)[len - 1] == (u8)len;
	if (++l->frames == l->stop_after)
		nic->ops->receive_enable(nic, false);
	return true;
}

static void link_open_as(struct link *l, int type)
{
	int ends[2];

	*l = (struct link){ 0 };
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(loop_init(&l->loop), 0);
	assert_int_equal(nic_fd_new(&l->nic, ends[0], NULL), 0);
	l->peer = ends[1];
	l->nic->receive = on_frame;
	l->nic->data = l;
	assert_int_equal(l->nic->ops->start(l->nic, &l->loop), 0);
}

static void link_open(struct link *l)
{
	link_open_as(l, SOCK_SEQPACKET);
}

static void link_close(struct link *l)
{
	l->nic->ops->close(l->nic);
	close(l->peer);
	loop_fini(&l->loop);
}

static void peer_sends(struct link *l, u32 len)
{
	u8 frame[2048] = { 0 };

	frame[len - 1] = (u8)len;
	assert_int_equal(send(l->peer, frame, len, MSG_DONTWAIT), len);
}

static void turn(struct link *l)
{
	assert_int_equal(loop_turn(&l->loop, 0), 0);
}

static void frames_pass_both_ways(void **state)
{
	u8 head[14] = { 1 }, body[100] = { 2 }, got[200];
	struct iovec iov[2] = { { head, sizeof(head) }, { body, sizeof(body) } };
	struct link l;

	(void)state;
	link_open(&l);
	peer_sends(&l, 60);
	peer_sends(&l, 1514);
	turn(&l);
	assert_int_equal(l.frames, 2);
	assert_int_equal(l.last_len, 1514);
	assert_true(l.last_ok);
	assert_int_equal(l.nic->ops->send(l.nic, iov, 2), 0);
	assert_int_equal(recv(l.peer, got, sizeof(got), MSG_DONTWAIT), 114);
	assert_int_equal(got[0], 1);
	assert_int_equal(got[14], 2);
	link_close(&l);
}

static void runts_are_dropped(void **state)
{
	struct link l;

	(void)state;
	link_open(&l);
	peer_sends(&l, 13);
	peer_sends(&l, 14);
	turn(&l);
	assert_int_equal(l.frames, 1);
	link_close(&l);
}

static void an_empty_datagram_is_a_runt_not_the_end(void **state)
{
	struct link l;

	(void)state;
	link_open_as(&l, SOCK_DGRAM);
	assert_int_equal(send(l.peer, "", 0, MSG_DONTWAIT), 0);
	peer_sends(&l, 60);
	turn(&l);
	assert_int_equal(l.frames, 1);
	/* Both directions shut down, it is the end. */
	assert_int_equal(shutdown(l.peer, SHUT_RDWR), 0);
	turn(&l);
	turn(&l);
	assert_int_equal(l.frames, 1);
	link_close(&l);
}

static void a_full_device_gets_no_more_until_it_says_so(void **state)
{
	struct link l;

	(void)state;
	link_open(&l);
	l.stop_after = 1;
	peer_sends(&l, 60);
	peer_sends(&l, 61);
	turn(&l);
	turn(&l);
	assert_int_equal(l.frames, 1);
	l.nic->ops->receive_enable(l.nic, true);
	turn(&l);
	assert_int_equal(l.frames, 2);
	assert_int_equal(l.last_len, 61);
	link_close(&l);
}

static void a_flood_leaves_the_loop_to_others(void **state)
{
	struct link l;

	(void)state;
	link_open(&l);
	for (unsigned i = 0; i < 100; i++)
		peer_sends(&l, 60);
	turn(&l);
	assert_in_range(l.frames, 1, 99);
	turn(&l);
	assert_int_equal(l.frames, 100);
	link_close(&l);
}

static void a_stopped_nic_delivers_nothing_until_it_starts(void **state)
{
	struct link l;

	(void)state;
	link_open(&l);
	l.nic->ops->stop(l.nic);
	peer_sends(&l, 60);
	turn(&l);
	assert_int_equal(l.frames, 0);
	assert_int_equal(l.nic->ops->start(l.nic, &l.loop), 0);
	turn(&l);
	assert_int_equal(l.frames, 1);
	link_close(&l);
}

static void a_full_queue_drops_and_says_so(void **state)
{
	u8 frame[1514] = { 0 };
	struct iovec iov = { frame, sizeof(frame) };
	struct link l;
	int err = 0;

	(void)state;
	link_open(&l);
	for (unsigned i = 0; i < 100000 && !err; i++)
		err = l.nic->ops->send(l.nic, &iov, 1);
	assert_int_equal(err, -EAGAIN);
	link_close(&l);
}

/* Neither a signal nor a loop that spins. */
static void a_peer_that_goes_away_is_survived(void **state)
{
	u8 frame[60] = { 0 };
	struct iovec iov = { frame, sizeof(frame) };
	struct link l;

	(void)state;
	for (unsigned paused = 0; paused < 2; paused++) {
		link_open(&l);
		l.nic->ops->receive_enable(l.nic, !paused);
		close(l.peer);
		l.peer = -1;
		turn(&l);
		assert_int_equal(l.nic->ops->send(l.nic, &iov, 1), -EPIPE);
		turn(&l);
		assert_int_equal(l.loop.event_count, 0);
		assert_int_equal(epoll_wait(l.loop.epoll_fd, &(struct epoll_event){ 0 }, 1, 0), 0);
		l.nic->ops->receive_enable(l.nic, true);
		l.nic->ops->stop(l.nic);
		assert_int_equal(l.nic->ops->start(l.nic, &l.loop), 0);
		link_close(&l);
	}
}

static void descriptors_without_frames_are_refused(void **state)
{
	struct nic *nic;
	int ends[2], file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(nic_fd_new(&nic, ends[0], NULL), -EINVAL);
	assert_int_equal(nic_fd_new(&nic, file, NULL), -EINVAL);
	assert_int_equal(nic_fd_new(&nic, -1, NULL), -EBADF);
	close(ends[0]);
	close(ends[1]);
	close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_pass_both_ways),
		cmocka_unit_test(runts_are_dropped),
		cmocka_unit_test(an_empty_datagram_is_a_runt_not_the_end),
		cmocka_unit_test(a_full_device_gets_no_more_until_it_says_so),
		cmocka_unit_test(a_flood_leaves_the_loop_to_others),
		cmocka_unit_test(a_stopped_nic_delivers_nothing_until_it_starts),
		cmocka_unit_test(a_full_queue_drops_and_says_so),
		cmocka_unit_test(a_peer_that_goes_away_is_survived),
		cmocka_unit_test(descriptors_without_frames_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
