/* SPDX-License-Identifier: BSD-2-Clause */
/* The ring codec, both roles over one memory: sound, full, hostile, and two threads at once. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/patience.h"
#include "vmbus/ring.h"

#define PAGES 5u
#define DATA ((PAGES - 1) * RING_PAGE_SIZE)

struct fixture {
	u8 *memory;
	u8 *page[PAGES];
	struct ring_header *header;
	struct ring in, out;
	u8 buf[DATA];
};

/* Pages in order, or the data pages backwards. */
static int setup_with(void **state, bool scatter)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	f->memory = aligned_alloc(RING_PAGE_SIZE, PAGES * RING_PAGE_SIZE);
	memset(f->memory, 0, PAGES * RING_PAGE_SIZE);
	for (u32 i = 0; i < PAGES; i++)
		f->page[i] = f->memory + (scatter && i ? PAGES - i : i) * RING_PAGE_SIZE;
	f->header = (struct ring_header *)f->page[0];
	assert_int_equal(ring_init_reader(&f->in, f->page, PAGES), 0);
	assert_int_equal(ring_init_writer(&f->out, f->page, PAGES), 0);
	assert_int_equal(!f->in.flat, scatter);
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, false);
}

static int setup_scatter(void **state)
{
	return setup_with(state, true);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	free(f->memory);
	free(f);
	return 0;
}

static struct ring_packet packet(u64 id, const struct iovec *iov)
{
	return (struct ring_packet){ .type = VMBUS_PACKET_INBAND,
				     .transaction_id = id,
				     .payload = iov,
				     .payload_count = 1 };
}

static int put(struct fixture *f, u64 id, u32 size)
{
	static u8 bytes[DATA];
	struct iovec iov = { .iov_base = bytes, .iov_len = size };
	struct ring_packet p = packet(id, &iov);

	for (u32 i = 0; i < size; i++)
		bytes[i] = (u8)(id * 31 + i);
	return ring_write(&f->out, &p);
}

/* Takes a packet that put() made. */
static void take(struct fixture *f, u64 id, u32 size)
{
	struct ring_descriptor d;
	u32 len = 0;

	assert_int_equal(ring_read(&f->in, f->buf, sizeof(f->buf), &len), 1);
	memcpy(&d, f->buf, sizeof(d));
	assert_int_equal(d.trans_id, id);
	assert_int_equal(d.offset8, 2);
	assert_int_equal(d.len8 * 8, len);
	assert_int_equal(len, 16 + ALIGN_UP(size, 8u));
	for (u32 i = 0; i < size; i++)
		assert_int_equal(f->buf[16 + i], (u8)(id * 31 + i));
	for (u32 i = 16 + size; i < len; i++)
		assert_int_equal(f->buf[i], 0);
}

static int try_take(struct fixture *f)
{
	u32 len;

	return ring_read(&f->in, f->buf, sizeof(f->buf), &len);
}

/* ---- Sound ----------------------------------------------------------------------------------- */

static void carries_every_size_round_the_end(void **state)
{
	struct fixture *f = *state;

	for (u32 n = 0; n < 5000; n++) {
		u32 size = n * 7 % 3000;

		assert_int_equal(put(f, n, size), 0);
		ring_write_commit(&f->out);
		take(f, n, size);
		ring_read_commit(&f->in);
	}
	assert_int_equal(try_take(f), 0);
}

static void trailer_names_the_packet(void **state)
{
	struct fixture *f = *state;
	struct ring_trailer t;

	put(f, 1, 8);
	put(f, 2, 8);
	memcpy(&t, f->page[1] + 32 + 16 + 8, sizeof(t));
	assert_int_equal(t.packet_start, 32);
}

static void nothing_shows_before_commit(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 100);
	assert_int_equal(try_take(f), 0);
	ring_write_commit(&f->out);
	take(f, 1, 100);
	assert_int_equal(f->header->read_index, 0);
	ring_read_commit(&f->in);
	assert_int_equal(f->header->read_index, 128);
}

static void head_goes_before_payload(void **state)
{
	struct fixture *f = *state;
	struct iovec iov[2] = { { (void *)(uintptr_t) "abc", 3 }, { (void *)(uintptr_t) "de", 2 } };
	struct ring_packet p = { .type = VMBUS_PACKET_TRANSFER_PAGES,
				 .flags = RING_PACKET_COMPLETION_REQUESTED,
				 .head = "headhead",
				 .head_size = 8,
				 .payload = iov,
				 .payload_count = 2 };
	struct ring_descriptor d;

	assert_int_equal(ring_write(&f->out, &p), 0);
	ring_write_commit(&f->out);
	assert_int_equal(try_take(f), 1);
	memcpy(&d, f->buf, sizeof(d));
	assert_int_equal(d.type, 7);
	assert_int_equal(d.flags, 1);
	assert_int_equal(d.offset8, 3);
	assert_int_equal(d.len8, 4);
	assert_memory_equal(f->buf + 16, "headheadabcde\0\0\0", 16);
}

static void signals_on_the_empty_edge_only(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 8);
	assert_true(ring_write_commit(&f->out));
	put(f, 2, 8);
	assert_false(ring_write_commit(&f->out));
	assert_false(ring_write_commit(&f->out));
	take(f, 1, 8);
	take(f, 2, 8);
	ring_read_commit(&f->in);
	ring_mask(&f->in);
	put(f, 3, 8);
	assert_false(ring_write_commit(&f->out));
	assert_true(ring_unmask(&f->in));
	take(f, 3, 8);
	ring_read_commit(&f->in);
	assert_false(ring_unmask(&f->in));
	put(f, 4, 8);
	assert_true(ring_write_commit(&f->out));
}

/* ---- Full ------------------------------------------------------------------------------------ */

static void never_fills_to_the_brim(void **state)
{
	struct fixture *f = *state;

	/* 24 bytes of frame: DATA - 24 would fill it, and a full ring looks empty. */
	assert_int_equal(put(f, 1, DATA - 24), -EMSGSIZE);
	assert_int_equal(put(f, 1, DATA - 32), 0);
	assert_int_equal(put(f, 2, 0), -EAGAIN);
	ring_write_commit(&f->out);
	take(f, 1, DATA - 32);
	assert_int_equal(put(f, 2, 0), -EAGAIN);
	ring_read_commit(&f->in);
	assert_int_equal(put(f, 2, 0), 0);
}

static void no_packet_is_longer_than_its_length_field(void **state)
{
	struct fixture *f = *state;
	struct iovec iov[2] = { { f->memory, (size_t)65536 * 8 }, { f->memory, SIZE_MAX / 2 } };
	struct ring_packet p = packet(1, iov);

	assert_int_equal(ring_write(&f->out, &p), -EMSGSIZE);
	p.payload_count = 2;
	assert_int_equal(ring_write(&f->out, &p), -EMSGSIZE);
	/* What 32 bits would make a small packet of. */
	iov[0].iov_len = 1ull << 32;
	p.payload_count = 1;
	assert_int_equal(ring_write(&f->out, &p), -EMSGSIZE);
}

/* Fills the ring with packets of 1,024 bytes, frames included; one more does not fit. */
static u32 fill(struct fixture *f)
{
	u32 n = 0;

	while (!put(f, n, 1000))
		n++;
	ring_write_commit(&f->out);
	return n;
}

static void room_is_signalled_when_it_suffices(void **state)
{
	struct fixture *f = *state;
	struct iovec iov = { .iov_base = f->buf, .iov_len = 3000 };
	struct ring_packet p = packet(99, &iov);
	u32 n = fill(f);

	assert_int_equal(n, 15);
	assert_int_equal(ring_write(&f->out, &p), -EAGAIN);
	assert_false(ring_wait_room(&f->out, &p));
	assert_int_equal(f->header->pending_send_sz, 3024);
	/* 1,024 are free; 3,024 are too few before the second packet, enough from it on. */
	take(f, 0, 1000);
	assert_false(ring_read_commit(&f->in));
	take(f, 1, 1000);
	assert_true(ring_read_commit(&f->in));
	take(f, 2, 1000);
	assert_false(ring_read_commit(&f->in));
	ring_wait_end(&f->out);
	assert_int_equal(f->header->pending_send_sz, 0);
	assert_int_equal(ring_write(&f->out, &p), 0);
}

static void room_that_came_meanwhile_is_seen(void **state)
{
	struct fixture *f = *state;
	struct iovec iov = { .iov_base = f->buf, .iov_len = 1000 };
	struct ring_packet p = packet(99, &iov);

	fill(f);
	assert_int_equal(ring_write(&f->out, &p), -EAGAIN);
	take(f, 0, 1000);
	ring_read_commit(&f->in);
	assert_true(ring_wait_room(&f->out, &p));
	assert_int_equal(f->header->pending_send_sz, 0);
}

static void room_is_not_signalled_without_the_feature(void **state)
{
	struct fixture *f = *state;
	struct iovec iov = { .iov_base = f->buf, .iov_len = 1000 };
	struct ring_packet p = packet(99, &iov);

	fill(f);
	assert_false(ring_wait_room(&f->out, &p));
	assert_true(ring_peer_signals_room(&f->in));
	f->header->feature_bits = 0;
	assert_false(ring_peer_signals_room(&f->in));
	take(f, 0, 1000);
	assert_false(ring_read_commit(&f->in));
}

/* ---- Hostile --------------------------------------------------------------------------------- */

static void bad_indices_break_the_reader(void **state)
{
	static const u32 bad[] = { DATA, DATA + 8, 4, 1, 0xffffffff, 0xfffffff8, 8, 16 };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		f->header->write_index = 0;
		assert_int_equal(ring_init_reader(&f->in, f->page, PAGES), 0);
		f->header->write_index = bad[i];
		assert_int_equal(try_take(f), -EBADMSG);
		assert_true(f->in.broken);
		f->header->write_index = 32;
		assert_int_equal(try_take(f), 0);
	}
}

static void bad_indices_break_the_writer(void **state)
{
	struct fixture *f = *state;

	fill(f);
	f->header->read_index = 4;
	assert_int_equal(put(f, 1, 1000), -EPIPE);
	f->header->read_index = 0;
	assert_int_equal(put(f, 1, 0), -EPIPE);
	assert_true(f->out.broken);
}

static void our_own_index_is_not_read_back(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 8);
	ring_write_commit(&f->out);
	f->header->read_index = 0x1234567;
	f->header->write_index = f->out.index;
	take(f, 1, 8);
	ring_read_commit(&f->in);
	assert_int_equal(f->header->read_index, 32);
	f->header->write_index = 0x7654321;
	put(f, 2, 8);
	ring_write_commit(&f->out);
	assert_int_equal(f->header->write_index, 64);
}

static void bad_start_is_refused(void **state)
{
	struct fixture *f = *state;
	struct ring r;

	assert_int_equal(ring_init_reader(&r, f->page, 1), -EINVAL);
	assert_int_equal(ring_init_reader(&r, f->page, 0), -EINVAL);
	f->header->read_index = DATA;
	assert_int_equal(ring_init_reader(&r, f->page, PAGES), -EINVAL);
	assert_true(r.broken);
	f->header->read_index = 0;
	f->header->write_index = 12;
	assert_int_equal(ring_init_writer(&r, f->page, PAGES), -EINVAL);
	f->header->write_index = 24;
	assert_int_equal(ring_init_writer(&r, f->page, PAGES), 0);
	assert_int_equal(r.index, 24);
}

/* A packet whose descriptor says this, with `avail` bytes said to be there. */
static int read_crafted(struct fixture *f, u16 offset8, u16 len8, u32 avail, u32 max)
{
	struct ring_descriptor d = { .type = 6, .offset8 = offset8, .len8 = len8 };
	u32 len;

	f->header->read_index = f->header->write_index = 0;
	assert_int_equal(ring_init_reader(&f->in, f->page, PAGES), 0);
	memcpy(f->page[1], &d, sizeof(d));
	f->header->write_index = avail;
	return ring_read(&f->in, f->buf, max, &len);
}

static void bad_lengths(void **state)
{
	struct fixture *f = *state;

	/* Cannot be delimited: broken. */
	assert_int_equal(read_crafted(f, 2, 1, 64, 100), -EBADMSG);
	assert_true(f->in.broken);
	assert_int_equal(read_crafted(f, 2, 0, 64, 100), -EBADMSG);
	assert_true(f->in.broken);
	assert_int_equal(read_crafted(f, 2, 0xffff, 64, 100), -EBADMSG);
	assert_true(f->in.broken);
	assert_int_equal(read_crafted(f, 2, 8, 64, 100), -EBADMSG);
	assert_true(f->in.broken);
	/* Can: passed over. */
	assert_int_equal(read_crafted(f, 1, 7, 64, 100), -EBADMSG);
	assert_false(f->in.broken);
	assert_int_equal(f->in.index, 64);
	assert_int_equal(read_crafted(f, 8, 7, 64, 100), -EBADMSG);
	assert_false(f->in.broken);
	assert_int_equal(read_crafted(f, 2, 7, 64, 55), -EMSGSIZE);
	assert_int_equal(f->in.index, 64);
	assert_int_equal(read_crafted(f, 7, 7, 64, 56), 1);
}

static void a_broken_write_index_does_not_signal_room(void **state)
{
	struct fixture *f = *state;

	fill(f);
	f->header->pending_send_sz = 2000;
	take(f, 0, 1000);
	f->header->write_index = 3;
	assert_false(ring_read_commit(&f->in));
}

/* ---- Two threads ----------------------------------------------------------------------------- */

#define STRESS_PACKETS 200000u

struct stress {
	struct fixture *f;
	int to_reader, to_writer; /* eventfds: the signals */
	_Atomic bool lost;
};

static void stress_signal(int fd)
{
	u64 one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

/* Sleeps until signalled; a signal that never comes is what this test looks for. */
static bool stress_sleep(struct stress *s, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	u64 count;

	if (poll(&p, 1, PATIENCE_S * 1000) != 1)
		s->lost = true;
	else if (read(fd, &count, sizeof(count)) != sizeof(count))
		s->lost = true;
	return !s->lost;
}

static void *stress_writer(void *arg)
{
	struct stress *s = arg;
	struct ring *out = &s->f->out;
	u64 words[64];

	for (u64 n = 0; n < STRESS_PACKETS && !s->lost;) {
		struct iovec iov = { .iov_base = words, .iov_len = 8 + n % 63 * 8 };
		struct ring_packet p = packet(n, &iov);
		int err;

		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			words[i] = n;
		err = ring_write(out, &p);
		if (err == -EAGAIN) {
			if (ring_write_commit(out))
				stress_signal(s->to_reader);
			if (!ring_wait_room(out, &p) && !stress_sleep(s, s->to_writer))
				break;
			ring_wait_end(out);
			continue;
		}
		assert_int_equal(err, 0);
		/* Sometimes a batch, sometimes each. */
		if (n % 5 && ring_write_commit(out))
			stress_signal(s->to_reader);
		n++;
	}
	if (ring_write_commit(out))
		stress_signal(s->to_reader);
	return NULL;
}

static void stress_check(const u8 *buf, u32 len, u64 n)
{
	struct ring_descriptor d;
	u64 word;

	memcpy(&d, buf, sizeof(d));
	assert_int_equal(d.trans_id, n);
	assert_int_equal(len, 16 + 8 + n % 63 * 8);
	memcpy(&word, buf + len - 8, sizeof(word));
	assert_int_equal(word, n);
}

static void two_threads_lose_nothing(void **state)
{
	struct stress s = { .f = *state, .to_reader = eventfd(0, 0), .to_writer = eventfd(0, 0) };
	struct ring *in = &s.f->in;
	pthread_t writer;
	u64 n = 0;

	assert_int_equal(pthread_create(&writer, NULL, stress_writer, &s), 0);
	while (n < STRESS_PACKETS && stress_sleep(&s, s.to_reader)) {
		do {
			u32 len;

			ring_mask(in);
			while (ring_read(in, s.f->buf, sizeof(s.f->buf), &len) == 1)
				stress_check(s.f->buf, len, n++);
			if (ring_read_commit(in))
				stress_signal(s.to_writer);
		} while (ring_unmask(in));
	}
	s.lost = s.lost || n < STRESS_PACKETS;
	pthread_join(writer, NULL);
	close(s.to_reader);
	close(s.to_writer);
	assert_false(s.lost);
	assert_int_equal(n, STRESS_PACKETS);
}

#ifndef SANITIZE_thread /* the race is the point of it */
struct liar {
	struct ring_descriptor *d;
	struct ring_header *header;
	_Atomic bool stop;
};

/* Changes a packet's lengths while it is read. */
static void *liar_run(void *arg)
{
	struct liar *l = arg;

	for (u16 n = 0; !l->stop; n++) {
		__atomic_store_n(&l->d->len8, n % 64, __ATOMIC_RELAXED);
		__atomic_store_n(&l->d->offset8, n % 65, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void what_was_checked_is_what_is_used(void **state)
{
	struct fixture *f = *state;
	struct liar l = { .d = (struct ring_descriptor *)f->page[1], .header = f->header };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, liar_run, &l), 0);
	for (int i = 0; i < 200000; i++) {
		struct ring_descriptor d;
		u32 len;

		f->header->write_index = 512;
		f->header->read_index = 0;
		assert_int_equal(ring_init_reader(&f->in, f->page, PAGES), 0);
		if (ring_read(&f->in, f->buf, 400, &len) != 1)
			continue;
		memcpy(&d, f->buf, sizeof(d));
		assert_int_equal(d.len8 * 8, len);
		assert_in_range(d.offset8, 2, d.len8);
		assert_in_range(len, 16, 400);
	}
	l.stop = true;
	pthread_join(thread, NULL);
}

#endif

#define WITH(setup_fn, test) cmocka_unit_test_setup_teardown(test, setup_fn, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(setup, carries_every_size_round_the_end),
		WITH(setup_scatter, carries_every_size_round_the_end),
		WITH(setup, trailer_names_the_packet),
		WITH(setup, nothing_shows_before_commit),
		WITH(setup_scatter, head_goes_before_payload),
		WITH(setup, signals_on_the_empty_edge_only),
		WITH(setup, never_fills_to_the_brim),
		WITH(setup, no_packet_is_longer_than_its_length_field),
		WITH(setup, room_is_signalled_when_it_suffices),
		WITH(setup, room_that_came_meanwhile_is_seen),
		WITH(setup, room_is_not_signalled_without_the_feature),
		WITH(setup, bad_indices_break_the_reader),
		WITH(setup, bad_indices_break_the_writer),
		WITH(setup, our_own_index_is_not_read_back),
		WITH(setup, bad_start_is_refused),
		WITH(setup, bad_lengths),
		WITH(setup, a_broken_write_index_does_not_signal_room),
		WITH(setup, two_threads_lose_nothing),
		WITH(setup_scatter, two_threads_lose_nothing),
#ifndef SANITIZE_thread
		WITH(setup, what_was_checked_is_what_is_used),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
