/* SPDX-License-Identifier: BSD-2-Clause */
/* GPADLs over messages: assembly, limits, teardown while in use, what a hostile guest may try. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/fakeguest/fakeguest.h"
#include "vmbus/server.h"

/* A device that pins what its opener asks it to. */
static int pin_open(struct vmbus_channel *ch)
{
	(void)ch;
	return 0;
}

static void pin_ready(struct vmbus_channel *ch)
{
	(void)ch;
}

static void pin_close(struct vmbus_channel *ch)
{
	channel_closed(ch);
}

static const struct vmbus_device_ops ops = { .name = "pin",
					     .type = { { 0x11 } },
					     .packet_max = 4096,
					     .open = pin_open,
					     .ready = pin_ready,
					     .close = pin_close };

struct fixture {
	struct fakeguest g;
	struct vmbus_device dev[2];
	u32 relid;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct fg_config config = { .memory = MiB(256) };

	*state = f;
	assert_int_equal(fg_init(&f->g, &config), 0);
	for (u8 i = 0; i < 2; i++) {
		f->dev[i] = (struct vmbus_device){ .ops = &ops, .instance = { { i } } };
		assert_int_equal(vmbus_offer(f->g.bus, &f->dev[i]), 0);
	}
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_2), 0);
	assert_int_equal(fg_request_offers(&f->g), 0);
	f->relid = f->dev[0].primary->relid;
	return 0;
}

/* One header message of these words; its answer's status, or -1 where there is none. */
static s64 header_status(struct fixture *f, u32 id, u16 buflen, u16 ranges, const u64 *words,
			 u32 count)
{
	struct vmbus_msg_gpadl_header h = {
		.header.msgtype = VMBUS_MSG_GPADL_HEADER,
		.child_relid = f->relid,
		.gpadl = id,
		.range_buflen = buflen,
		.rangecount = ranges,
	};
	struct vmbus_msg_gpadl_created created;
	u8 msg[VMBUS_MESSAGE_MAX];

	memcpy(msg, &h, sizeof(h));
	memcpy(msg + sizeof(h), words, count * 8);
	assert_int_equal(fg_post(&f->g, msg, sizeof(h) + count * 8), 0);
	if (fg_take(&f->g, VMBUS_MSG_GPADL_CREATED, &created, sizeof(created)) < 0)
		return -1;
	assert_int_equal(created.gpadl, id);
	return created.creation_status;
}

#define RANGE(offset, count) ((u64)(offset) << 32 | (u32)(count))

static void many_bodies_and_pieces(void **state)
{
	struct fixture *f = *state;
	u64 pfn[1000];
	struct iovec iov[1000];
	struct gpadl *g;
	u32 id;

	/* Pages 256, 255, 258, 257 ...: no two in order follow each other. */
	for (u32 i = 0; i < 1000; i++)
		pfn[i] = 256 + (i ^ 1);
	assert_int_equal(fg_gpadl_create_pfns(&f->g, f->relid, 16, 1000 * 4096 - 32, pfn, &id), 0);
	g = channel_gpadl_get(f->dev[0].primary, id);
	assert_non_null(g);
	assert_int_equal(gpadl_size(g), 1000 * 4096 - 32);
	assert_int_equal(gpadl_iov(g, 0, gpadl_size(g), iov, 1000), 1000);
	assert_ptr_equal(iov[0].iov_base, fg_ptr(&f->g, pfn[0] * 4096 + 16, 1));
	assert_int_equal(iov[0].iov_len, 4080);
	assert_int_equal(iov[999].iov_len, 4080);
	assert_int_equal(gpadl_iov(g, 4080 + 4096 * 7 + 5, 10, iov, 1), 1);
	assert_ptr_equal(iov[0].iov_base, fg_ptr(&f->g, pfn[8] * 4096 + 5, 1));
	assert_int_equal(gpadl_iov(g, 4079, 2, iov, 2), 2);
	assert_int_equal(gpadl_iov(g, 4079, 2, iov, 1), -ENOSPC);
	assert_int_equal(gpadl_iov(g, gpadl_size(g), 0, iov, 1), 0);
	assert_int_equal(gpadl_iov(g, gpadl_size(g), 1, iov, 1), -EINVAL);
	assert_int_equal(gpadl_iov(g, 1, gpadl_size(g), iov, 1), -EINVAL);
	assert_int_equal(gpadl_iov(g, 0xffffffff, 0xffffffff, iov, 1), -EINVAL);
	channel_gpadl_put(f->dev[0].primary, g);
	assert_int_equal(fg_gpadl_teardown(&f->g, f->relid, id), 0);
	assert_null(channel_gpadl_get(f->dev[0].primary, id));
}

static void several_ranges_are_one_buffer(void **state)
{
	struct fixture *f = *state;
	const u64 words[] = { RANGE(4000, 200), 300, 310, RANGE(0, 4096), 311, RANGE(5, 7), 9 };
	struct iovec iov[8];
	struct gpadl *g;

	assert_int_equal(header_status(f, 5, sizeof(words), 3, words, 7), 0);
	g = channel_gpadl_get(f->dev[0].primary, 5);
	assert_int_equal(gpadl_size(g), 200 + 4096 + 7);
	assert_int_equal(gpadl_iov(g, 0, gpadl_size(g), iov, 8), 4);
	assert_int_equal(gpadl_iov(g, 96, 104, iov, 8), 1);
	assert_ptr_equal(iov[0].iov_base, fg_ptr(&f->g, 310 * 4096, 1));
	assert_int_equal(gpadl_iov(g, 200 + 4096 + 6, 1, iov, 8), 1);
	assert_ptr_equal(iov[0].iov_base, fg_ptr(&f->g, 9 * 4096 + 11, 1));
	channel_gpadl_put(f->dev[0].primary, g);
}

static void padding_after_the_ranges_is_ignored(void **state)
{
	struct fixture *f = *state;
	u64 words[27] = { RANGE(0, 4096), 300, ~0ull, ~0ull };

	assert_int_equal(header_status(f, 5, 16, 1, words, 27), 0);
	assert_non_null(channel_gpadl_get(f->dev[0].primary, 5));
}

static void malformed_headers(void **state)
{
	struct fixture *f = *state;
	const u64 good[] = { RANGE(0, 4096), 300 };
	const u64 short_list[] = { RANGE(0, 8192), 300 };
	const u64 offset[] = { RANGE(4096, 1), 300 };
	const u64 empty[] = { RANGE(0, 0), 300 };
	const u64 no_ram[] = { RANGE(0, 4096), 1ull << 40 };
	const u64 wrap[] = { RANGE(0, 4096), 1ull << 52 };
	const u64 huge[] = { RANGE(4095, 0xffffffff), 300 };

	assert_true(header_status(f, 5, 16, 0, good, 2) > 0);
	assert_true(header_status(f, 5, 8, 1, good, 1) > 0);
	assert_true(header_status(f, 5, 0, 1, good, 0) > 0);
	assert_true(header_status(f, 5, 16, 2, good, 2) > 0);
	assert_true(header_status(f, 5, 0xffff, 0xffff, good, 2) > 0);
	assert_true(header_status(f, 5, 24, 2, good, 2) == -1); /* waits for a body */
	assert_true(header_status(f, 6, 16, 1, short_list, 2) > 0);
	assert_true(header_status(f, 6, 16, 1, offset, 2) > 0);
	assert_true(header_status(f, 6, 16, 1, empty, 2) > 0);
	assert_true(header_status(f, 6, 16, 1, no_ram, 2) > 0);
	assert_true(header_status(f, 6, 16, 1, wrap, 2) > 0);
	assert_true(header_status(f, 6, 16, 1, huge, 2) > 0);
	assert_int_equal(f->g.bus->gpadl_count, 1);
	assert_int_equal(header_status(f, 6, 16, 1, good, 2), 0);
	/* The handle is in use; so is the one that waits. */
	assert_true(header_status(f, 6, 16, 1, good, 2) > 0);
	assert_true(header_status(f, 5, 16, 1, good, 2) > 0);
	f->relid = 200;
	assert_true(header_status(f, 7, 16, 1, good, 2) > 0);
}

static void stray_bodies_and_teardowns(void **state)
{
	struct fixture *f = *state;
	struct vmbus_msg_gpadl_body body = { .header.msgtype = VMBUS_MSG_GPADL_BODY, .gpadl = 9 };
	u32 other = f->dev[1].primary->relid, id;

	assert_int_equal(fg_post(&f->g, &body, sizeof(body)), 0);
	assert_int_equal(fg_gpadl_create(&f->g, f->relid, MiB(2), 4096, &id), 0);
	body.gpadl = id;
	assert_int_equal(fg_post(&f->g, &body, sizeof(body)), 0);
	assert_int_equal(fg_gpadl_teardown(&f->g, other, id), -ETIMEDOUT);
	assert_int_equal(fg_gpadl_teardown(&f->g, f->relid, 12345), -ETIMEDOUT);
	assert_null(channel_gpadl_get(f->dev[1].primary, id));
	assert_int_equal(fg_gpadl_teardown(&f->g, f->relid, id), 0);
	assert_int_equal(fg_gpadl_teardown(&f->g, f->relid, id), -ETIMEDOUT);
	assert_int_equal(f->g.bus->gpadl_words, 0);
}

static void teardown_waits_for_the_last_pin(void **state)
{
	struct fixture *f = *state;
	struct vmbus_msg_gpadl_torndown torndown;
	struct gpadl *a, *b;
	u32 id;

	assert_int_equal(fg_gpadl_create(&f->g, f->relid, MiB(2), 8192, &id), 0);
	a = channel_gpadl_get(f->dev[0].primary, id);
	b = channel_gpadl_get(f->dev[0].primary, id);
	assert_ptr_equal(a, b);
	assert_int_equal(fg_gpadl_teardown(&f->g, f->relid, id), -ETIMEDOUT);
	assert_null(channel_gpadl_get(f->dev[0].primary, id));
	channel_gpadl_put(f->dev[0].primary, a);
	fg_pump(&f->g);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_GPADL_TORNDOWN), 0);
	channel_gpadl_put(f->dev[0].primary, b);
	fg_pump(&f->g);
	assert_true(fg_take(&f->g, VMBUS_MSG_GPADL_TORNDOWN, &torndown, sizeof(torndown)) > 0);
	assert_int_equal(torndown.gpadl, id);
}

/* Whatever the guest says, the rings stay until the channel has closed. */
static void rings_of_an_open_channel_stay(void **state)
{
	struct fixture *f = *state;
	struct fg_channel ch;
	struct vmbus_msg_relid close = { .header.msgtype = VMBUS_MSG_CLOSE_CHANNEL };
	u32 id;

	assert_int_equal(fg_open(&f->g, &ch, fg_offer_instance(&f->g, &f->dev[0].instance), NULL),
			 0);
	assert_int_equal(fg_gpadl_teardown(&f->g, ch.relid, ch.ring_gpadl), -ETIMEDOUT);
	assert_int_equal(fg_gpadl_teardown(&f->g, ch.relid, ch.ring_gpadl), -ETIMEDOUT);
	/* Its handle is not free for others, its pages are as ever. */
	f->g.next_gpadl = ch.ring_gpadl;
	assert_int_equal(fg_gpadl_create(&f->g, ch.relid, MiB(2), 4096, &id), -EPROTO);
	assert_int_equal(fg_send(&ch, 1, "x", 1, false), 0);
	fg_pump(&f->g);
	close.child_relid = ch.relid;
	assert_int_equal(fg_post(&f->g, &close, sizeof(close)), 0);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_GPADL_TORNDOWN), 1);
	assert_int_equal(f->g.bus->gpadl_count, 0);
}

/* A page may be there many times, in one buffer and in several. */
static void overlap_is_the_guests_affair(void **state)
{
	struct fixture *f = *state;
	u64 same[8] = { 512, 512, 512, 513, 512, 514, 512, 512 };
	struct iovec iov[8];
	struct gpadl *a, *b;
	u32 one, two;

	assert_int_equal(fg_gpadl_create_pfns(&f->g, f->relid, 100, 7 * 4096, same, &one), 0);
	assert_int_equal(fg_gpadl_create_pfns(&f->g, f->relid, 0, 8 * 4096, same, &two), 0);
	a = channel_gpadl_get(f->dev[0].primary, one);
	b = channel_gpadl_get(f->dev[0].primary, two);
	assert_int_equal(gpadl_iov(b, 0, gpadl_size(b), iov, 8), 7);
	assert_ptr_equal(iov[0].iov_base, iov[1].iov_base);
	assert_int_equal(gpadl_iov(a, 0, gpadl_size(a), iov, 8), 7);
	assert_int_equal(iov[0].iov_len, 4096 - 100);
	channel_gpadl_put(f->dev[0].primary, a);
	channel_gpadl_put(f->dev[0].primary, b);
	assert_int_equal(fg_gpadl_teardown(&f->g, f->relid, one), 0);
	assert_int_equal(fg_gpadl_teardown(&f->g, f->relid, two), 0);
}

/* Bodies that bring nothing, and the end of a channel that waits for bodies. */
static void unfinished_ones_go_with_their_channel(void **state)
{
	struct fixture *f = *state;
	struct vmbus_msg_gpadl_body body = { .header.msgtype = VMBUS_MSG_GPADL_BODY, .gpadl = 5 };
	const u64 good[] = { RANGE(0, 8192), 300, 301 };
	u32 id;

	assert_int_equal(header_status(f, 5, 24, 1, good, 1), -1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(fg_post(&f->g, &body, sizeof(body)), 0);
	assert_int_equal(fg_gpadl_teardown(&f->g, f->relid, 5), -ETIMEDOUT);
	assert_int_equal(f->g.bus->gpadl_count, 1);
	assert_int_equal(fg_release(&f->g, f->relid), 0);
	assert_int_equal(f->g.bus->gpadl_count, 0);
	/* Its bodies are nobody's now. */
	assert_int_equal(fg_post(&f->g, &body, sizeof(body)), 0);
	assert_int_equal(f->g.bus->bad_gpadl.count, 2);
	assert_int_equal(fg_gpadl_create(&f->g, f->relid, MiB(2), 4096, &id), -EPROTO);
}

static void reconnect_waits_for_pins_and_drops_all(void **state)
{
	struct fixture *f = *state;
	struct vmbus_msg_version_response response;
	struct gpadl *g;
	u32 id, other;

	assert_int_equal(fg_gpadl_create(&f->g, f->relid, MiB(2), 8192, &id), 0);
	assert_int_equal(fg_gpadl_create(&f->g, f->relid, MiB(2), 8192, &other), 0);
	g = channel_gpadl_get(f->dev[0].primary, id);
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_2), -ETIMEDOUT);
	channel_gpadl_put(f->dev[0].primary, g);
	fg_pump(&f->g);
	assert_true(fg_take(&f->g, VMBUS_MSG_VERSION_RESPONSE, &response, sizeof(response)) > 0);
	assert_int_equal(response.version_supported, 1);
	assert_int_equal(f->g.bus->gpadl_count, 0);
	assert_int_equal(f->g.bus->gpadl_words, 0);
	assert_int_equal(fg_count(&f->g, VMBUS_MSG_GPADL_TORNDOWN), 0);
	/* A reloaded driver counts from the same handle again. */
	f->g.next_gpadl = id;
	assert_int_equal(fg_request_offers(&f->g), 0);
	assert_int_equal(fg_gpadl_create(&f->g, f->relid, MiB(2), 8192, &id), 0);
}

static void counts_and_pages_are_limited(void **state)
{
	struct fixture *f = *state;
	const u64 words[] = { RANGE(0, 4096), 300 };
	u32 id, n = 0;

	while (n < VMBUS_GPADLS_MAX + 10 && !header_status(f, 1000 + n, 16, 1, words, 2))
		n++;
	assert_int_equal(n, VMBUS_GPADLS_MAX);
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_2), 0);
	assert_int_equal(fg_request_offers(&f->g), 0);
	for (n = 0; n < 100; n++)
		if (fg_gpadl_create(&f->g, f->relid, MiB(2), 8000 * 4096, &id))
			break;
	assert_int_equal(n, VMBUS_GPADL_WORDS_MAX / 8001);
	assert_in_range(f->g.bus->gpadl_words, 1, VMBUS_GPADL_WORDS_MAX);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, fg_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(many_bodies_and_pieces),
		T(several_ranges_are_one_buffer),
		T(padding_after_the_ranges_is_ignored),
		T(malformed_headers),
		T(stray_bodies_and_teardowns),
		T(teardown_waits_for_the_last_pin),
		T(rings_of_an_open_channel_stay),
		T(overlap_is_the_guests_affair),
		T(unfinished_ones_go_with_their_channel),
		T(reconnect_waits_for_pins_and_drops_all),
		T(counts_and_pages_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
