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

#include "tests/patience.h"
#include "tests/vmbus/late_bed.h"

/* ---- Nothing is lost ------------------------------------------------------------------------- */

static void every_packet_arrives(void **state)
{
	struct late_bed *f = *state;

	late_open(f);
	f->mirror.to_send = 1000;
	late_exchange(f, 2000);
	/* It was not for want of chaos. */
	assert_true(f->ch.open && f->mirror.dev.primary->late->sent >= 3000);
	assert_true(f->mirror.dev.primary->late->received >= 2000);
	assert_true(f->mirror.dev.primary->count.throttled == 0);
}

/* One that looks only when it is interrupted misses nothing. */
static void every_interrupt_comes(void **state)
{
	struct late_bed *f = *state;
	u32 before;

	late_open(f);
	for (u64 n = 1; n <= 300; n++) {
		before = fg_interrupts(&f->ch);
		assert_true(late_send(f, 0, n));
		for (u64 end = patience_end(); fg_interrupts(&f->ch) == before;) {
			fg_pump(&f->g);
			assert_true(loop_now_ns() < end);
		}
		assert_true(late_recv(f, 0));
		assert_false(late_recv(f, 0));
	}
}

static bool all_rescinded(void *ctx)
{
	struct late_bed *f = ctx;

	fg_offers_poll(&f->g);
	for (unsigned i = 0; i < f->g.offer_count; i++)
		if (!f->g.offer[i].rescinded)
			return false;
	return true;
}

static void closed_and_reset(void **state)
{
	struct late_bed *f = *state;

	for (u32 i = 0; i < 40; i++) {
		late_open(f);
		late_exchange(f, 5);
		f->mirror.to_send = i;
		late_leave(f, i);
		if (i % 2)
			fg_pump(&f->g);
		if (i % 4 == 0)
			assert_int_equal(fg_close(&f->ch), 0);
		if (i % 4 == 1)
			assert_int_equal(fg_unload(&f->g), 0);
		/*
		 * Else the next guest begins with what this one left; at last the machine ends so.
		 */
	}
}

static void moved(void **state)
{
	struct late_bed *f = *state;
	u64 limit = 0;

	late_open(f);
	for (u32 i = 0; i < 100; i++) {
		late_leave(f, i % 10);
		assert_int_equal(fg_modify(late_channel(f, i % 3), i % 4), 0);
		limit = MAX(limit, f->sent[0]) + 3;
		f->mirror.to_send = limit;
		late_exchange(f, limit);
	}
}

/* The guest hears of it late, of sub-channels first, while nothing of them is served any more. */
static void rescinded(void **state)
{
	struct late_bed *f = *state;
	struct vmbus_msg_relid msg;
	u32 primary;

	for (u32 i = 0; i < 20; i++) {
		late_open(f);
		late_exchange(f, 5);
		late_leave(f, 5);
		f->gone = false;
		primary = f->ch.relid;
		/* Longer than the messages of before may take. */
		f->chaos.delay_max_us = CHAOS_DELAY_MAX_US;
		vmbus_rescind(&f->mirror.dev);
		assert_int_equal(fg_count(&f->g, VMBUS_MSG_RESCIND_CHANNEL_OFFER), 0);
		f->chaos.delay_max_us = 60;
		for (int n = 0; n <= SUBS; n++) {
			assert_true(fg_await(&f->g, VMBUS_MSG_RESCIND_CHANNEL_OFFER, &msg,
					     sizeof(msg)) > 0);
			assert_int_equal(msg.child_relid == primary, n == SUBS);
			assert_int_equal(fg_release(&f->g, msg.child_relid), 0);
		}
		for (u64 end = patience_end(); !f->gone;) {
			fg_pump(&f->g);
			assert_true(loop_now_ns() < end);
		}
		late_host(f);
		if (i % 2)
			assert_int_equal(fg_unload(&f->g), 0);
	}
}

static void rescind_late(struct late_bed *f)
{
	f->chaos.delay_max_us = CHAOS_DELAY_MAX_US;
	vmbus_rescind(&f->mirror.dev);
	f->chaos.delay_max_us = 60;
}

/* ---- Freezing -------------------------------------------------------------------------------- */

static bool host_frozen(void *ctx)
{
	return ((struct late_bed *)ctx)->g.frozen;
}

static void save(struct late_bed *f, struct stream_out *s)
{
	*s = (struct stream_out){ 0 };
	fg_freeze(&f->g);
	assert_true(fg_pump_until(&f->g, host_frozen, f));
	/* Nothing is left to be shown. */
	for (u32 i = 0; i <= SUBS; i++)
		assert_int_equal(f->mirror.dev.channel[i].out.published,
				 f->mirror.dev.channel[i].out.index);
	assert_int_equal(vmbus_save(f->g.bus, s, NULL), 0);
}

/* Another host takes over. */
static void succeed(struct late_bed *f, const struct stream_out *s, bool threads)
{
	fg_stop_io(&f->g);
	assert_int_equal(fg_new_host(&f->g), 0);
	late_host(f);
	assert_int_equal(vmbus_restore(f->g.bus, s->bytes, s->len), 0);
	if (threads)
		assert_int_equal(fg_start_io(&f->g), 0);
}

static u32 checksum(struct late_bed *f)
{
	const u8 *ram = fg_ptr(&f->g, 0, MiB(64));
	u32 sum = 0;

	for (u64 i = 0; i < MiB(2) + (f->g.next_page - MiB(1)); i++)
		sum = sum * 31 + ram[i];
	return sum;
}

static void frozen_and_saved(void **state)
{
	struct late_bed *f = *state;
	struct stream_out s;
	u64 limit = 0;
	u32 sum;

	late_open(f);
	for (u32 i = 0; i < 40; i++) {
		late_leave(f, 30);
		f->mirror.to_send = limit + i;
		if (i % 3)
			fg_pump(&f->g);
		f->chaos.delay_max_us = CHAOS_DELAY_MAX_US;
		save(f, &s);
		f->chaos.delay_max_us = 60;
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
		late_exchange(f, limit);
	}
}

/* A guest that was to be told late of a rescind is told by the host it finds, if by no other. */
static void rescinds_are_told_before_saving(void **state)
{
	struct late_bed *f = *state;
	struct stream_out s;

	late_open(f);
	late_exchange(f, 5);
	rescind_late(f);
	save(f, &s);
	succeed(f, &s, false);
	stream_free(&s);
	assert_true(fg_pump_until(&f->g, all_rescinded, f));
}

/* ---- Logs ------------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines of a run's log, sorted: how streams interleave is another matter. */
static unsigned read_log(const struct late_bed *f, char **line, unsigned max)
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
	struct late_bed *f;
	void *state;

	late_setup_rate(&state, 0);
	f = state;
	f->chaos = *chaos;
	late_log(f);
	late_open(f);
	for (u64 n = 1; n <= 100; n++)
		late_exchange(f, n);
	l->count = read_log(f, l->line, LINES_MAX);
	f->chaos.entry = NULL; /* the caller's */
	late_teardown(&state);
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
	struct late_bed *f = *state;
	u64 limit = 0;

	assert_int_equal(fg_start_io(&f->g), 0);
	late_open(f);
	for (u32 i = 0; i < 30; i++) {
		late_leave(f, i % 10);
		assert_int_equal(fg_modify(late_channel(f, i % 3), i % 4), 0);
		limit = MAX(limit, f->sent[0]) + 50;
		f->mirror.to_send = limit;
		/* Nobody signals for what the device has by itself. */
		late_exchange(f, limit);
	}
}

static void threads_close_and_reset(void **state)
{
	assert_int_equal(fg_start_io(&((struct late_bed *)*state)->g), 0);
	closed_and_reset(state);
}

static void threads_frozen_and_saved(void **state)
{
	struct late_bed *f = *state;
	struct stream_out s;

	assert_int_equal(fg_start_io(&f->g), 0);
	late_open(f);
	for (u32 i = 0; i < 40; i++) {
		late_leave(f, 30);
		if (i % 3)
			usleep(i % 7 * 20);
		save(f, &s);
		if (i % 4)
			fg_thaw(&f->g);
		else
			succeed(f, &s, true);
		stream_free(&s);
		late_exchange(f, f->sent[0]);
	}
}

#define TEST(late_setup, test) cmocka_unit_test_setup_teardown(test, late_setup, late_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(late_setup, every_packet_arrives),
		TEST(late_setup_mild, every_packet_arrives),
		TEST(late_setup, every_interrupt_comes),
		TEST(late_setup_mild, every_interrupt_comes),
		TEST(late_setup, closed_and_reset),
		TEST(late_setup, moved),
		TEST(late_setup_mild, moved),
		TEST(late_setup, rescinded),
		TEST(late_setup, frozen_and_saved),
		TEST(late_setup_mild, frozen_and_saved),
		TEST(late_setup, rescinds_are_told_before_saving),
		cmocka_unit_test(the_same_seed_the_same_log),
		cmocka_unit_test(a_log_replays),
		cmocka_unit_test(rate_0_is_nothing),
		TEST(late_setup, threads_packets_and_moves),
		TEST(late_setup_mild, threads_close_and_reset),
		TEST(late_setup, threads_frozen_and_saved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
