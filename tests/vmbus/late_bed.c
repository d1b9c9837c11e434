/* SPDX-License-Identifier: BSD-2-Clause */
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

static void note_gone(struct vmbus_device *dev)
{
	((struct late_bed *)dev->data)->gone = true;
}

void late_host(struct late_bed *f)
{
	f->mirror.dev = (struct vmbus_device){
		.ops = &mirror_ops, .sub_channels_max = SUBS, .gone = note_gone, .data = f
	};
	assert_int_equal(vmbus_offer(f->g.bus, &f->mirror.dev), 0);
}

/* Delays are short, so that thousands of them fit in a test. */
int late_setup_rate(void **state, u32 rate)
{
	const struct fg_config config = { .memory = MiB(256), .io_count = 2 };
	struct late_bed *f = calloc(1, sizeof(*f));
	struct fg_config with = config;

	*state = f;
	f->chaos = (struct chaos){ .seed = 7, .rate = rate, .delay_max_us = 60 };
	with.chaos = &f->chaos;
	assert_int_equal(fg_init(&f->g, &with), 0);
	late_host(f);
	return 0;
}

int late_setup(void **state)
{
	return late_setup_rate(state, CHAOS_RATE_MAX);
}

int late_setup_mild(void **state)
{
	return late_setup_rate(state, 300);
}

int late_teardown(void **state)
{
	struct late_bed *f = *state;

	fg_fini(&f->g);
	chaos_fini(&f->chaos);
	if (f->log[0])
		unlink(f->log);
	free(f);
	return 0;
}

void late_log(struct late_bed *f)
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
	struct late_bed *f = ctx;

	fg_offers_poll(&f->g);
	for (u16 i = 0; i <= SUBS; i++)
		if (!fg_offer_find(&f->g, &mirror_ops.type, i))
			return false;
	return true;
}

void late_open(struct late_bed *f)
{
	const struct fg_open_params small = { .out_pages = 3, .in_pages = 2 };
	const struct fg_open_params other = { .out_pages = 3, .in_pages = 2, .target_vp = 1 };

	memset(f->sent, 0, sizeof(f->sent));
	memset(f->got, 0, sizeof(f->got));
	f->own = 0;
	f->mirror.to_send = 0;
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(fg_request_offers(&f->g), 0);
	assert_int_equal(fg_open(&f->g, &f->ch, fg_offer_find(&f->g, &mirror_ops.type, 0), &small),
			 0);
	assert_true(fg_pump_until(&f->g, subs_there, f));
	for (u16 i = 0; i < SUBS; i++)
		assert_int_equal(fg_open(&f->g, &f->sub[i],
					 fg_offer_find(&f->g, &mirror_ops.type, (u16)(i + 1)),
					 &other),
				 0);
}

struct fg_channel *late_channel(struct late_bed *f, unsigned i)
{
	return i ? &f->sub[i - 1] : &f->ch;
}

/* A packet tells its number by its size and all of its bytes, too. */
bool late_send(struct late_bed *f, unsigned i, u64 limit)
{
	u64 n = f->sent[i];
	u32 size = 8 + (u32)(n % 40) * 8;
	u8 payload[400];

	memset(payload, (int)n & 0xff, sizeof(payload));
	if (n >= limit || fg_send(late_channel(f, i), n, payload, size, true))
		return false;
	f->sent[i]++;
	return true;
}

bool late_recv(struct late_bed *f, unsigned i)
{
	struct fg_packet pkt;
	int got = fg_recv(late_channel(f, i), f->buf, sizeof(f->buf), &pkt);

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

static bool all_came(const struct late_bed *f, u64 limit)
{
	for (unsigned i = 0; i <= SUBS; i++)
		if (f->got[i] < limit)
			return false;
	return f->own >= f->mirror.to_send;
}

/* Has every channel carry packets until limit were there and back. */
void late_exchange(struct late_bed *f, u64 limit)
{
	u64 end = patience_end();

	while (!all_came(f, limit)) {
		bool any = false;

		for (unsigned i = 0; i <= SUBS; i++) {
			any |= late_send(f, i, limit);
			/* Now and then let the ring from the host run full. */
			if (f->sent[i] % 64 < 32 && f->sent[i] < limit &&
			    f->sent[i] - f->got[i] < 20)
				continue;
			while (late_recv(f, i))
				any = true;
		}
		fg_pump(&f->g);
		if (any)
			end = patience_end();
		assert_true(loop_now_ns() < end);
	}
}

/* Leaves packets on their way. */
void late_leave(struct late_bed *f, u64 count)
{
	for (unsigned i = 0; i <= SUBS; i++)
		for (u64 n = 0; n < count; n++)
			late_send(f, i, UINT64_MAX);
}
