/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bus under chaos: whatever is late, each packet arrives once and in its order, messages keep
 * theirs, and closing, moving, resetting, rescinding and freezing find nothing left behind. The
 * last tests have I/O loops on threads of their own.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/fakeguest/fakeguest.h"
#include "vmbus/save.h"
#include "vmbus/server.h"

#define SUBS 2

/* ---- The device: sends every packet back, and as many of its own as the test wants ----------- */

struct mirror {
	u8 buf[4096];
	struct vmbus_packet pkt;
	bool blocked; /* pkt found no room */
	u64 sent; /* packets of its own */
};

struct fixture {
	struct fakeguest g;
	struct chaos chaos;
	char log[40]; /* "": none */
	struct vmbus_device dev;
	_Atomic u64 to_send; /* packets of the device's own on the primary channel */
	struct fg_channel ch, sub[SUBS];
	u64 sent[1 + SUBS], got[1 + SUBS], own; /* the guest's counts; own: the device's packets */
	u8 buf[4096];
	_Atomic bool gone;
};

static int mirror_open(struct vmbus_channel *ch)
{
	channel_set_data(ch, calloc(1, sizeof(struct mirror)));
	if (!channel_sub_index(ch))
		channel_offer_subs(ch, SUBS);
	return channel_data(ch) ? 0 : -ENOMEM;
}

static bool mirror_answer(struct vmbus_channel *ch, struct mirror *m)
{
	m->blocked = channel_complete(ch, m->pkt.transaction_id, m->pkt.payload,
				      m->pkt.payload_size) == -EAGAIN;
	return !m->blocked;
}

/* False: no room. */
static bool mirror_send_own(struct vmbus_channel *ch, struct mirror *m)
{
	struct fixture *f = channel_device(ch)->data;
	struct iovec iov = { .iov_base = &m->sent, .iov_len = sizeof(m->sent) };

	for (; !channel_sub_index(ch) && m->sent < f->to_send; m->sent++)
		if (channel_send(ch, VMBUS_PACKET_INBAND, false, m->sent, &iov, 1))
			return false;
	return true;
}

static void mirror_ready(struct vmbus_channel *ch)
{
	struct mirror *m = channel_data(ch);

	if (m->blocked && !mirror_answer(ch, m))
		return;
	if (!mirror_send_own(ch, m))
		return;
	while (channel_recv(ch, m->buf, &m->pkt) == 1)
		if (!mirror_answer(ch, m))
			return;
}

static void mirror_close(struct vmbus_channel *ch)
{
	free(channel_data(ch));
	channel_closed(ch);
}

static void mirror_attach(struct vmbus_channel *ch)
{
	(void)ch;
}

static void mirror_save(struct vmbus_channel *ch, struct stream_out *out)
{
	const struct mirror *m = channel_data(ch);

	stream_put_u64(out, m->sent);
	stream_put_u8(out, m->blocked);
	if (!m->blocked)
		return;
	stream_put_u64(out, m->pkt.transaction_id);
	stream_put_u32(out, m->pkt.payload_size);
	stream_put_bytes(out, m->pkt.payload, m->pkt.payload_size);
}

static int mirror_restore(struct vmbus_channel *ch, struct stream_in *in)
{
	struct mirror *m = calloc(1, sizeof(*m));

	channel_set_data(ch, m);
	m->sent = stream_get_u64(in);
	m->blocked = stream_get_bool(in);
	if (!m->blocked)
		return 0;
	m->pkt.transaction_id = stream_get_u64(in);
	m->pkt.payload_size = stream_get_u32(in);
	m->pkt.payload = m->buf;
	assert_true(m->pkt.payload_size <= sizeof(m->buf));
	stream_get_bytes(in, m->buf, m->pkt.payload_size);
	return 0;
}

static const struct vmbus_device_ops ops = { .name = "mirror",
					     .type = { { 0xc4 } },
					     .packet_max = 4096,
					     .open = mirror_open,
					     .ready = mirror_ready,
					     .close = mirror_close,
					     .detach = channel_detached,
					     .attach = mirror_attach,
					     .save = mirror_save,
					     .restore = mirror_restore };

static void note_gone(struct vmbus_device *dev)
{
	((struct fixture *)dev->data)->gone = true;
}

/* ---- The guest ------------------------------------------------------------------------------- */

static void host_begin(struct fixture *f)
{
	f->dev = (struct vmbus_device){
		.ops = &ops, .sub_channels_max = SUBS, .gone = note_gone, .data = f
	};
	assert_int_equal(vmbus_offer(f->g.bus, &f->dev), 0);
}

/* Delays are short, so that thousands of them fit in a test. */
static int setup_rate(void **state, u32 rate)
{
	const struct fg_config config = { .memory = MiB(256), .io_count = 2 };
	struct fixture *f = calloc(1, sizeof(*f));
	struct fg_config with = config;

	*state = f;
	f->chaos = (struct chaos){ .seed = 7, .rate = rate, .delay_max_us = 60 };
	with.chaos = &f->chaos;
	assert_int_equal(fg_init(&f->g, &with), 0);
	host_begin(f);
	return 0;
}

static int setup(void **state)
{
	return setup_rate(state, CHAOS_RATE_MAX);
}

static int setup_mild(void **state)
{
	return setup_rate(state, 300);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fg_fini(&f->g);
	chaos_fini(&f->chaos);
	if (f->log[0])
		unlink(f->log);
	free(f);
	return 0;
}

static void log_begin(struct fixture *f)
{
	int fd;

	snprintf(f->log, sizeof(f->log), "/tmp/late_test.XXXXXX");
	fd = mkstemp(f->log);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(chaos_log(&f->chaos, f->log), 0);
}

static bool subs_there(void *ctx)
{
	struct fixture *f = ctx;

	fg_offers_poll(&f->g);
	for (u16 i = 0; i <= SUBS; i++)
		if (!fg_offer_find(&f->g, &ops.type, i))
			return false;
	return true;
}

static void connect_and_open(struct fixture *f)
{
	const struct fg_open_params small = { .out_pages = 3, .in_pages = 2 };
	const struct fg_open_params other = { .out_pages = 3, .in_pages = 2, .target_vp = 1 };

	memset(f->sent, 0, sizeof(f->sent));
	memset(f->got, 0, sizeof(f->got));
	f->own = f->to_send = 0;
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(fg_request_offers(&f->g), 0);
	assert_int_equal(fg_open(&f->g, &f->ch, fg_offer_find(&f->g, &ops.type, 0), &small), 0);
	assert_true(fg_pump_until(&f->g, subs_there, f, 5000));
	for (u16 i = 0; i < SUBS; i++)
		assert_int_equal(fg_open(&f->g, &f->sub[i],
					 fg_offer_find(&f->g, &ops.type, (u16)(i + 1)), &other),
				 0);
}

static struct fg_channel *channel_at(struct fixture *f, unsigned i)
{
	return i ? &f->sub[i - 1] : &f->ch;
}

/* A packet tells its number by its size and all of its bytes, too. */
static bool send_next(struct fixture *f, unsigned i, u64 limit)
{
	u64 n = f->sent[i];
	u32 size = 8 + (u32)(n % 40) * 8;
	u8 payload[400];

	memset(payload, (int)n & 0xff, sizeof(payload));
	if (n >= limit || fg_send(channel_at(f, i), n, payload, size, true))
		return false;
	f->sent[i]++;
	return true;
}

static bool recv_next(struct fixture *f, unsigned i)
{
	struct fg_packet pkt;
	int got = fg_recv(channel_at(f, i), f->buf, sizeof(f->buf), &pkt);

	assert_in_range(got, 0, 1);
	if (!got)
		return false;
	if (pkt.type == VMBUS_PACKET_INBAND) {
		assert_int_equal(pkt.transaction_id, f->own++);
		return true;
	}
	assert_int_equal(pkt.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(pkt.transaction_id, f->got[i]);
	assert_int_equal(pkt.payload_size, 8 + f->got[i] % 40 * 8);
	for (u32 b = 0; b < pkt.payload_size; b++)
		assert_int_equal(pkt.payload[b], f->got[i] & 0xff);
	f->got[i]++;
	return true;
}

static bool all_came(const struct fixture *f, u64 limit)
{
	for (unsigned i = 0; i <= SUBS; i++)
		if (f->got[i] < limit)
			return false;
	return f->own >= f->to_send;
}

/* Has every channel carry packets until limit were there and back; the host may take 10 s for none. */
static void exchange(struct fixture *f, u64 limit)
{
	u64 end = loop_now_ns() + 10 * NSEC_PER_SEC;

	while (!all_came(f, limit)) {
		bool any = false;

		for (unsigned i = 0; i <= SUBS; i++) {
			any |= send_next(f, i, limit);
			/* Now and then let the ring from the host run full. */
			if (f->sent[i] % 64 < 32 && f->sent[i] < limit &&
			    f->sent[i] - f->got[i] < 20)
				continue;
			while (recv_next(f, i))
				any = true;
		}
		fg_pump(&f->g);
		if (any)
			end = loop_now_ns() + 10 * NSEC_PER_SEC;
		assert_true(loop_now_ns() < end);
	}
}

/* Leaves packets on their way. */
static void leave(struct fixture *f, u64 count)
{
	for (unsigned i = 0; i <= SUBS; i++)
		for (u64 n = 0; n < count; n++)
			send_next(f, i, UINT64_MAX);
}

/* ---- Nothing is lost ------------------------------------------------------------------------- */

static void every_packet_arrives(void **state)
{
	struct fixture *f = *state;

	connect_and_open(f);
	f->to_send = 1000;
	exchange(f, 2000);
	/* It was not for want of chaos. */
	assert_true(f->ch.open && f->dev.primary->late->sent >= 3000);
	assert_true(f->dev.primary->late->received >= 2000);
	assert_true(f->dev.primary->count.throttled == 0);
}

/* One that looks only when it is interrupted misses nothing. */
static void every_interrupt_comes(void **state)
{
	struct fixture *f = *state;
	u64 end = loop_now_ns() + 20 * NSEC_PER_SEC;
	u32 before;

	connect_and_open(f);
	for (u64 n = 1; n <= 300; n++) {
		before = fg_interrupts(&f->ch);
		assert_true(send_next(f, 0, n));
		while (fg_interrupts(&f->ch) == before) {
			fg_pump(&f->g);
			assert_true(loop_now_ns() < end);
		}
		assert_true(recv_next(f, 0));
		assert_false(recv_next(f, 0));
	}
}

static bool all_rescinded(void *ctx)
{
	struct fixture *f = ctx;

	fg_offers_poll(&f->g);
	for (unsigned i = 0; i < f->g.offer_count; i++)
		if (!f->g.offer[i].rescinded)
			return false;
	return true;
}

static void closed_and_reset(void **state)
{
	struct fixture *f = *state;

	for (u32 i = 0; i < 40; i++) {
		connect_and_open(f);
		exchange(f, 5);
		f->to_send = i;
		leave(f, i);
		if (i % 2)
			fg_pump(&f->g);
		if (i % 4 == 0)
			assert_int_equal(fg_close(&f->ch), 0);
		if (i % 4 == 1)
			assert_int_equal(fg_unload(&f->g), 0);
		/* Else the next guest begins with what this one left; at last the machine ends so. */
	}
}

static void moved(void **state)
{
	struct fixture *f = *state;
	u64 limit = 0;

	connect_and_open(f);
	for (u32 i = 0; i < 100; i++) {
		leave(f, i % 10);
		assert_int_equal(fg_modify(channel_at(f, i % 3), i % 4), 0);
		limit = MAX(limit, f->sent[0]) + 3;
		f->to_send = limit;
		exchange(f, limit);
	}
}

/* The guest hears of it late, of sub-channels first, while nothing of them is served any more. */
static void rescinded(void **state)
{
	struct fixture *f = *state;
	struct vmbus_msg_relid msg;
	u32 primary;

	for (u32 i = 0; i < 20; i++) {
		connect_and_open(f);
		exchange(f, 5);
		leave(f, 5);
		f->gone = false;
		primary = f->ch.relid;
		/* Longer than the messages of before may take. */
		f->chaos.delay_max_us = CHAOS_DELAY_MAX_US;
		vmbus_rescind(&f->dev);
		assert_int_equal(fg_count(&f->g, VMBUS_MSG_RESCIND_CHANNEL_OFFER), 0);
		f->chaos.delay_max_us = 60;
		for (int n = 0; n <= SUBS; n++) {
			assert_true(fg_await(&f->g, VMBUS_MSG_RESCIND_CHANNEL_OFFER, &msg,
					     sizeof(msg)) > 0);
			assert_int_equal(msg.child_relid == primary, n == SUBS);
			assert_int_equal(fg_release(&f->g, msg.child_relid), 0);
		}
		for (u64 end = loop_now_ns() + 5 * NSEC_PER_SEC; !f->gone;) {
			fg_pump(&f->g);
			assert_true(loop_now_ns() < end);
		}
		host_begin(f);
		if (i % 2)
			assert_int_equal(fg_unload(&f->g), 0);
	}
}

/* A guest that connects anew or unloads before it was told is told nothing of the old offers. */
static void rescinds_end_with_the_connection(void **state)
{
	struct fixture *f = *state;

	connect_and_open(f);
	f->chaos.delay_max_us = CHAOS_DELAY_MAX_US;
	vmbus_rescind(&f->dev);
	f->chaos.delay_max_us = 60;
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(fg_request_offers(&f->g), 0);
	assert_null(f->dev.primary);
	usleep(CHAOS_DELAY_MAX_US);
	fg_pump(&f->g);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_RESCIND_CHANNEL_OFFER), 0);
	assert_int_equal(f->g.offer_count, 0);
}

/* ---- Freezing -------------------------------------------------------------------------------- */

static bool host_frozen(void *ctx)
{
	return ((struct fixture *)ctx)->g.frozen;
}

static void save(struct fixture *f, struct stream_out *s)
{
	*s = (struct stream_out){ 0 };
	fg_freeze(&f->g);
	assert_true(fg_pump_until(&f->g, host_frozen, f, 5000));
	assert_int_equal(vmbus_save(f->g.bus, s, NULL), 0);
}

/* Another host takes over. */
static void succeed(struct fixture *f, const struct stream_out *s, bool threads)
{
	fg_stop_io(&f->g);
	assert_int_equal(fg_new_host(&f->g), 0);
	host_begin(f);
	assert_int_equal(vmbus_restore(f->g.bus, s->bytes, s->len), 0);
	if (threads)
		assert_int_equal(fg_start_io(&f->g), 0);
}

static u32 checksum(struct fixture *f)
{
	const u8 *ram = fg_ptr(&f->g, 0, MiB(64));
	u32 sum = 0;

	for (u64 i = 0; i < MiB(2) + (f->g.next_page - MiB(1)); i++)
		sum = sum * 31 + ram[i];
	return sum;
}

static void frozen_and_saved(void **state)
{
	struct fixture *f = *state;
	struct stream_out s;
	u64 limit = 0;
	u32 sum;

	connect_and_open(f);
	for (u32 i = 0; i < 40; i++) {
		leave(f, 30);
		f->to_send = limit;
		if (i % 3)
			fg_pump(&f->g);
		save(f, &s);
		/* It stands still, however late anything is. */
		sum = checksum(f);
		usleep(200);
		fg_pump(&f->g);
		assert_int_equal(checksum(f), sum);
		if (i % 2)
			fg_thaw(&f->g);
		else
			succeed(f, &s, false);
		stream_free(&s);
		limit = f->sent[0];
		exchange(f, limit);
	}
}

/* A guest that was to be told late of a rescind is told by the host it finds, if by no other. */
static void rescinds_are_told_before_saving(void **state)
{
	struct fixture *f = *state;
	struct stream_out s;

	connect_and_open(f);
	exchange(f, 5);
	f->chaos.delay_max_us = CHAOS_DELAY_MAX_US;
	vmbus_rescind(&f->dev);
	f->chaos.delay_max_us = 60;
	save(f, &s);
	succeed(f, &s, false);
	stream_free(&s);
	assert_true(fg_pump_until(&f->g, all_rescinded, f, 5000));
}

/* ---- Logs ------------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines of a run's log, sorted: how streams interleave is another matter. */
static unsigned read_log(const struct fixture *f, char **line, unsigned max)
{
	FILE *file = fopen(f->log, "re");
	unsigned count = 0;
	char text[256];

	while (count < max && fgets(text, sizeof(text), file))
		line[count++] = strdup(text);
	fclose(file);
	qsort(line, count, sizeof(*line), compare);
	return count;
}

#define LINES_MAX 20000u

struct lines {
	char *line[LINES_MAX];
	unsigned count;
};

static struct lines *lines_free(struct lines *l)
{
	for (unsigned i = 0; i < l->count; i++)
		free(l->line[i]);
	free(l);
	return NULL;
}

/* What a guest of its own under this chaos leads to; one packet after the other, all alike. */
static struct lines *run(const struct chaos *chaos)
{
	struct lines *l = calloc(1, sizeof(*l));
	struct fixture *f;
	void *state;

	setup_rate(&state, 0);
	f = state;
	f->chaos = *chaos;
	log_begin(f);
	connect_and_open(f);
	for (u64 n = 1; n <= 100; n++)
		exchange(f, n);
	l->count = read_log(f, l->line, LINES_MAX);
	f->chaos.entry = NULL; /* the caller's */
	teardown(&state);
	return l;
}

/* Lines of a point are in the other log as well; those of how often the loop turned aside. */
static bool same_point(const struct lines *a, const struct lines *b, const char *point)
{
	unsigned i = 0, k = 0;

	for (;;) {
		while (i < a->count && !strstr(a->line[i], point))
			i++;
		while (k < b->count && !strstr(b->line[k], point))
			k++;
		if (i == a->count || k == b->count)
			return i == a->count && k == b->count;
		if (strcmp(a->line[i++], b->line[k++]))
			return false;
	}
}

static const char *const by_packet[] = { "message-in", "message-out", "drain", "room", "commit" };

static void the_same_seed_the_same_log(void **state)
{
	struct chaos seven = { .seed = 7, .rate = 200, .delay_max_us = 60 };
	struct chaos eight = { .seed = 8, .rate = 200, .delay_max_us = 60 };
	struct lines *a = run(&seven), *b = run(&seven), *c = run(&eight);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(by_packet); i++) {
		assert_true(same_point(a, b, by_packet[i]));
		assert_false(same_point(a, c, by_packet[i]));
	}
	assert_true(a->count > 100);
	lines_free(a);
	lines_free(b);
	lines_free(c);
}

static void a_log_replays(void **state)
{
	struct chaos seven = { .seed = 7, .rate = 200, .delay_max_us = 60 };
	struct lines *a = run(&seven), *b;
	struct chaos again = { 0 };
	char path[] = "/tmp/late_test.XXXXXX", error[100];
	FILE *file = fdopen(mkstemp(path), "w");

	(void)state;
	/* But for one line; the first line of a log is the last one by its letters. */
	fputs(a->line[a->count - 1], file);
	for (unsigned i = 0; i < a->count - 1; i++)
		if (!strstr(a->line[i], "1 drain 5 "))
			fputs(a->line[i], file);
	fclose(file);
	assert_int_equal(chaos_replay(&again, path, error, sizeof(error)), 0);
	unlink(path);
	b = run(&again);
	for (unsigned i = 0; i < ARRAY_SIZE(by_packet); i++)
		if (strcmp(by_packet[i], "drain"))
			assert_true(same_point(a, b, by_packet[i]));
	for (unsigned i = 0; i < b->count; i++)
		assert_null(strstr(b->line[i], "1 drain 5 "));
	lines_free(a);
	lines_free(b);
	chaos_fini(&again);
}

static void rate_0_is_nothing(void **state)
{
	struct chaos none = { .seed = 7 };
	struct lines *l = run(&none);

	(void)state;
	assert_int_equal(l->count, 1);
	assert_string_equal(l->line[0], "candela chaos 1 seed=7 rate=0\n");
	lines_free(l);
}

/* ---- With threads ---------------------------------------------------------------------------- */

static void threads_packets_and_moves(void **state)
{
	struct fixture *f = *state;
	u64 limit = 0;

	assert_int_equal(fg_start_io(&f->g), 0);
	connect_and_open(f);
	for (u32 i = 0; i < 30; i++) {
		leave(f, i % 10);
		assert_int_equal(fg_modify(channel_at(f, i % 3), i % 4), 0);
		limit = MAX(limit, f->sent[0]) + 50;
		f->to_send = limit;
		/* Nobody signals for what the device has by itself. */
		exchange(f, limit);
	}
}

static void threads_close_and_reset(void **state)
{
	assert_int_equal(fg_start_io(&((struct fixture *)*state)->g), 0);
	closed_and_reset(state);
}

static void threads_frozen_and_saved(void **state)
{
	struct fixture *f = *state;
	struct stream_out s;

	assert_int_equal(fg_start_io(&f->g), 0);
	connect_and_open(f);
	for (u32 i = 0; i < 40; i++) {
		leave(f, 30);
		if (i % 3)
			usleep(i % 7 * 20);
		save(f, &s);
		if (i % 4)
			fg_thaw(&f->g);
		else
			succeed(f, &s, true);
		stream_free(&s);
		exchange(f, f->sent[0]);
	}
}

#define TEST(setup, test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(setup, every_packet_arrives),
		TEST(setup_mild, every_packet_arrives),
		TEST(setup, every_interrupt_comes),
		TEST(setup_mild, every_interrupt_comes),
		TEST(setup, closed_and_reset),
		TEST(setup, moved),
		TEST(setup_mild, moved),
		TEST(setup, rescinded),
		TEST(setup, rescinds_end_with_the_connection),
		TEST(setup, frozen_and_saved),
		TEST(setup_mild, frozen_and_saved),
		TEST(setup, rescinds_are_told_before_saving),
		cmocka_unit_test(the_same_seed_the_same_log),
		cmocka_unit_test(a_log_replays),
		cmocka_unit_test(rate_0_is_nothing),
		TEST(setup, threads_packets_and_moves),
		TEST(setup_mild, threads_close_and_reset),
		TEST(setup, threads_frozen_and_saved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
