/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bus as it runs in the product: control loop and I/O loops on threads of their own, a guest
 * beside them. Its worth is in running under TSan; on its own it looks for lost wake-ups and uses
 * after a close.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/fakeguest/fakeguest.h"
#include "tests/patience.h"
#include "tests/vmbus/mirror.h"
#include "vmbus/save.h"

#define PLUGGED 100

struct fixture {
	struct fakeguest g;
	struct mirror mirror[2];
	struct fg_channel ch[2];
	/* Of another thread's. */
	struct mirror plugged[PLUGGED];
	_Atomic unsigned on, gone;
	_Atomic bool stop;
};

static void offer_mirrors(struct fixture *f)
{
	for (u8 i = 0; i < 2; i++) {
		f->mirror[i].dev =
			(struct vmbus_device){ .ops = &mirror_ops, .instance = { { i } } };
		assert_int_equal(vmbus_offer(f->g.bus, &f->mirror[i].dev), 0);
	}
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct fg_config config = { .memory = MiB(512), .io_count = 2 };

	*state = f;
	assert_int_equal(fg_init(&f->g, &config), 0);
	offer_mirrors(f);
	assert_int_equal(fg_start_io(&f->g), 0);
	return 0;
}

static void connect_and_open(struct fixture *f)
{
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(fg_request_offers(&f->g), 0);
	for (u32 i = 0; i < 2; i++) {
		const struct fg_open_params params = { .out_pages = 3, .in_pages = 2, i };

		assert_int_equal(fg_open(&f->g, &f->ch[i],
					 fg_offer_instance(&f->g, &f->mirror[i].dev.instance),
					 &params),
				 0);
	}
}

/* Sends and takes count packets on both channels. */
static void exchange(struct fixture *f, u64 count)
{
	u64 sent[2] = { 0 }, got[2] = { 0 }, end = 0;
	struct fg_packet pkt;
	u8 buf[4096];

	while (got[0] < count || got[1] < count) {
		bool idle = true;

		for (int i = 0; i < 2; i++) {
			u64 words[40] = { sent[i] };
			u32 size = 8 + (u32)(sent[i] % 40) * 8;

			if (sent[i] < count && !fg_send(&f->ch[i], sent[i], words, size, true)) {
				sent[i]++;
				idle = false;
			}
			/* Now and then let the in ring run full. */
			if (sent[i] % 64 < 32 && sent[i] < count && sent[i] - got[i] < 20)
				continue;
			while (fg_recv(&f->ch[i], buf, sizeof(buf), &pkt) == 1) {
				assert_int_equal(pkt.transaction_id, got[i]);
				assert_int_equal(pkt.payload_size, 8 + got[i] % 40 * 8);
				got[i]++;
				idle = false;
			}
		}
		if (!idle)
			end = 0;
		else if (!end)
			end = patience_end();
		else
			assert_true(loop_now_ns() < end);
	}
}

/* Takes count packets of one channel. */
static void collect(struct fixture *f, u32 ch, u32 count)
{
	u64 end = patience_end();
	struct fg_packet pkt;
	u8 buf[4096];

	while (count && loop_now_ns() < end)
		count -= fg_recv(&f->ch[ch], buf, sizeof(buf), &pkt) == 1;
	assert_int_equal(count, 0);
}

static void packets_both_ways(void **state)
{
	struct fixture *f = *state;

	connect_and_open(f);
	exchange(f, 20000);
}

static void targets_move_under_load(void **state)
{
	struct fixture *f = *state;

	connect_and_open(f);
	for (u32 i = 0; i < 200; i++) {
		exchange(f, 50);
		/* Packets on their way while it moves. */
		for (u32 n = 0; n < i % 8; n++)
			fg_send(&f->ch[i % 2], n, "12345678", 8, true);
		assert_int_equal(fg_modify(&f->ch[i % 2], i % 4), 0);
		collect(f, i % 2, i % 8);
	}
}

/* Devices that another thread plugs and unplugs, while packets go both ways on others. */
static void note_plugged(struct vmbus_device *dev, int result)
{
	struct fixture *f = dev->data;

	if (!result)
		f->on++;
}

static void note_gone(struct vmbus_device *dev)
{
	struct fixture *f = dev->data;

	f->gone++;
}

static void *plug_run(void *arg)
{
	struct fixture *f = arg;

	for (int round = 0; round < 3; round++) {
		for (u32 i = 0; i < PLUGGED; i++)
			vmbus_plug(f->g.bus, &f->plugged[i].dev);
		while (f->on < PLUGGED * (round + 1u) && !f->stop)
			usleep(100);
		for (u32 i = 0; i < PLUGGED; i++)
			vmbus_unplug(&f->plugged[i].dev);
		while (f->gone < PLUGGED * (round + 1u) && !f->stop)
			usleep(100);
	}
	return NULL;
}

/* What a guest does: opens what is offered, closes and lets go of what is rescinded. */
static void serve_plugging(struct fixture *f, struct fg_channel *open, unsigned *seen)
{
	fg_offers_poll(&f->g);
	for (; *seen < f->g.offer_count; (*seen)++) {
		struct fg_offer *o = &f->g.offer[*seen];

		if (*seen % 4 == 0 && !o->rescinded)
			fg_open(&f->g, &open[o->msg.child_relid % 256], o, NULL);
	}
	for (unsigned i = 0; i < f->g.offer_count; i++) {
		struct fg_offer *o = &f->g.offer[i];

		if (!o->rescinded)
			continue;
		if (open[o->msg.child_relid % 256].open)
			assert_int_equal(fg_close(&open[o->msg.child_relid % 256]), 0);
		assert_int_equal(fg_release(&f->g, o->msg.child_relid), 0);
		*o = f->g.offer[--f->g.offer_count];
		(*seen)--;
		i--;
	}
}

static void devices_come_and_go_under_load(void **state)
{
	struct fixture *f = *state;
	struct fg_channel *open = calloc(256, sizeof(*open));
	unsigned seen = 2;
	pthread_t plugger;
	u64 end = patience_end();

	for (u32 i = 0; i < PLUGGED; i++)
		f->plugged[i].dev = (struct vmbus_device){ .ops = &mirror_ops,
							   .instance = { { 9, (u8)i } },
							   .plugged = note_plugged,
							   .gone = note_gone,
							   .data = f };
	connect_and_open(f);
	assert_int_equal(pthread_create(&plugger, NULL, plug_run, f), 0);
	while (f->gone < 3 * PLUGGED && loop_now_ns() < end) {
		unsigned before = f->on + f->gone;

		exchange(f, 20);
		serve_plugging(f, open, &seen);
		if (f->on + f->gone != before)
			end = patience_end();
	}
	f->stop = true;
	pthread_join(plugger, NULL);
	assert_int_equal(f->gone, 3 * PLUGGED);
	exchange(f, 100);
	free(open);
}

/* Leaves packets on their way at every close and reconnect. */
static void close_and_reset_under_load(void **state)
{
	struct fixture *f = *state;

	for (u32 i = 0; i < 60; i++) {
		connect_and_open(f);
		exchange(f, 20);
		for (u32 n = 0; n < i; n++)
			fg_send(&f->ch[n % 2], n, "12345678", 8, true);
		if (i % 3 == 0)
			assert_int_equal(fg_close(&f->ch[0]), 0);
		if (i % 3 == 1)
			assert_int_equal(fg_unload(&f->g), 0);
	}
	/* And the end of the machine with channels open. */
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, fg_teardown)

static bool host_frozen(void *ctx)
{
	return ((struct fixture *)ctx)->g.frozen;
}

/* Another host takes over, threads and all. */
static void succeed(struct fixture *f, const struct stream_out *s)
{
	fg_stop_io(&f->g);
	assert_int_equal(fg_new_host(&f->g), 0);
	offer_mirrors(f);
	assert_int_equal(vmbus_restore(f->g.bus, s->bytes, s->len), 0);
	assert_int_equal(fg_start_io(&f->g), 0);
}

/* Takes count packets of each channel, which were sent from id on. */
static void take_all(struct fixture *f, u64 id, unsigned count)
{
	u64 end = patience_end();
	unsigned got[2] = { 0 };
	struct fg_packet pkt;
	u8 buf[4096];

	while ((got[0] < count || got[1] < count) && loop_now_ns() < end) {
		for (int i = 0; i < 2; i++)
			while (fg_recv(&f->ch[i], buf, sizeof(buf), &pkt) == 1)
				assert_int_equal(pkt.transaction_id, id + got[i]++);
		fg_pump(&f->g);
	}
	assert_int_equal(got[0], count);
	assert_int_equal(got[1], count);
}

/* The bus stands still in the middle of it: is saved, and goes on here or in another host. */
static void saved_under_load(void **state)
{
	struct fixture *f = *state;
	struct stream_out s;
	u8 payload[200] = { 0 };

	connect_and_open(f);
	for (u64 round = 0; round < 200; round++) {
		/* More than the ring to the guest holds. */
		for (u64 n = 0; n < 30; n++)
			for (int i = 0; i < 2; i++)
				assert_int_equal(fg_send(&f->ch[i], round * 30 + n, payload,
							 sizeof(payload), true),
						 0);
		if (round % 3)
			usleep(round % 7 * 10);
		fg_freeze(&f->g);
		assert_true(fg_pump_until(&f->g, host_frozen, f));
		s = (struct stream_out){ 0 };
		assert_int_equal(vmbus_save(f->g.bus, &s, NULL), 0);
		if (round % 4)
			fg_thaw(&f->g);
		else
			succeed(f, &s);
		stream_free(&s);
		take_all(f, round * 30, 30);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(packets_both_ways),          T(targets_move_under_load),
		T(close_and_reset_under_load), T(devices_come_and_go_under_load),
		T(saved_under_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
