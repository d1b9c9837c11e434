/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bus as it runs in the product: control loop and I/O loops on threads of their own, a guest
 * beside them. Its worth is in running under TSan; on its own it looks for lost wake-ups and uses
 * after a close.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/fakeguest/fakeguest.h"

/* Sends every packet back; keeps the one that found no room. */
struct mirror {
	u8 buf[4096];
	struct vmbus_packet pkt;
	bool blocked;
};

static int mirror_open(struct vmbus_channel *ch)
{
	channel_set_data(ch, calloc(1, sizeof(struct mirror)));
	return channel_data(ch) ? 0 : -ENOMEM;
}

static bool mirror_send(struct vmbus_channel *ch, struct mirror *m)
{
	m->blocked = channel_complete(ch, m->pkt.transaction_id, m->pkt.payload,
				      m->pkt.payload_size) == -EAGAIN;
	return !m->blocked;
}

static void mirror_ready(struct vmbus_channel *ch)
{
	struct mirror *m = channel_data(ch);

	if (m->blocked && !mirror_send(ch, m))
		return;
	while (channel_recv(ch, m->buf, &m->pkt) == 1)
		if (!mirror_send(ch, m))
			return;
}

static void mirror_close(struct vmbus_channel *ch)
{
	free(channel_data(ch));
	channel_closed(ch);
}

static const struct vmbus_device_ops ops = { .name = "mirror",
					     .type = { { 0x33 } },
					     .packet_max = 4096,
					     .open = mirror_open,
					     .ready = mirror_ready,
					     .close = mirror_close };

struct fixture {
	struct fakeguest g;
	struct vmbus_device dev[2];
	struct fg_channel ch[2];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct fg_config config = { .memory = MiB(512), .io_count = 2 };

	*state = f;
	assert_int_equal(fg_init(&f->g, &config), 0);
	for (u8 i = 0; i < 2; i++) {
		f->dev[i] = (struct vmbus_device){ .ops = &ops, .instance = { { i } } };
		assert_int_equal(vmbus_offer(f->g.bus, &f->dev[i]), 0);
	}
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
					 fg_offer_instance(&f->g, &f->dev[i].instance), &params),
				 0);
	}
}

/* Sends and takes count packets on both channels; the host may take 10 s for none. */
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
			end = loop_now_ns() + 10 * NSEC_PER_SEC;
		else
			assert_true(loop_now_ns() < end);
	}
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
	for (u32 i = 0; i < 50; i++) {
		exchange(f, 50);
		assert_int_equal(fg_modify(&f->ch[i % 2], i % 4), 0);
	}
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(packets_both_ways),
		T(targets_move_under_load),
		T(close_and_reset_under_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
