/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams nobody wrote like that: cut short, altered, contradictory. Refused, or harmless. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/vmbus/save_bed.h"

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* A bit of everything, written down; b's host is a fresh one. */
struct stream_bed {
	struct save_bed b;
	u8 *bytes; /* a copy to spoil */
	u32 len;
};

static void gpadl_begin(struct save_bed *b, u32 id)
{
	struct {
		struct vmbus_msg_gpadl_header msg;
		struct ring_gpa_range range;
		u64 pfn[2];
	} __attribute__((packed)) msg = {
		.msg = { .header.msgtype = VMBUS_MSG_GPADL_HEADER,
			 .child_relid = b->ch.relid,
			 .gpadl = id,
			 .range_buflen = 8 + 4 * 8,
			 .rangecount = 1 },
		.range = { .byte_count = 4 * GUEST_PAGE_SIZE },
		.pfn = { 300, 303 },
	};

	assert_int_equal(fg_post(&b->g, &msg, sizeof(msg)), 0);
}

static struct fg_channel open_small(struct save_bed *b, int n, u16 sub_index)
{
	const struct fg_open_params small = { .out_pages = 3, .in_pages = 3 };
	const struct guid *type = &b->e[n].dev.ops->type;
	struct fg_channel ch;

	assert_int_equal(fg_open(&b->g, &ch, fg_offer_find(&b->g, type, sub_index), &small), 0);
	fg_offers_poll(&b->g);
	return ch;
}

static void populate(struct save_bed *b)
{
	struct vmbus_msg_header msg = { .msgtype = VMBUS_MSG_PAUSE };
	struct echo *e = &b->e[CARRIER];
	gpa_t gpa = fg_alloc(&b->g, 4);

	b->g.monitor_page[0] = gpa;
	b->g.monitor_page[1] = gpa + GUEST_PAGE_SIZE;
	b->g.features = VMBUS_FEATURE_PAUSE_RESUME;
	assert_int_equal(vmbus_offer(b->g.bus, &b->e[SPARE].dev), 0);
	save_connect(b, VMBUS_VERSION_V6_0);
	b->ch = open_small(b, CARRIER, 0);
	b->ch2 = open_small(b, DRAINER, 0);
	open_small(b, DRAINER, 1);
	open_small(b, MONITORED, 0);
	assert_int_equal(fg_gpadl_create(&b->g, b->ch.relid, gpa, 2 * GUEST_PAGE_SIZE, &e->pinned),
			 0);
	e->gpadl = channel_gpadl_get(e->ch, e->pinned);
	assert_int_equal(fg_gpadl_teardown(&b->g, b->ch.relid, e->pinned), -ETIMEDOUT);
	gpadl_begin(b, 0xabc);
	e->hold = true;
	for (u64 id = 0; id < 3; id++)
		assert_int_equal(fg_send(&b->ch, id, &id, sizeof(id), true), 0);
	fg_pump(&b->g);
	b->g.slot_held = true;
	assert_int_equal(fg_post(&b->g, &msg, sizeof(msg)), 0);
	vmbus_rescind(&b->e[SPARE].dev);
	assert_true(fg_freeze(&b->g));
	msg.msgtype = VMBUS_MSG_RESUME;
	assert_int_equal(fg_post(&b->g, &msg, sizeof(msg)), 0);
	b->g.slot_held = false;
}

static int setup(void **state)
{
	struct stream_bed *f = calloc(1, sizeof(*f));

	*state = f;
	save_bed_init(&f->b);
	populate(&f->b);
	save_take(&f->b);
	save_new_host(&f->b);
	f->len = (u32)f->b.state.len;
	f->bytes = malloc(f->len);
	memcpy(f->bytes, f->b.state.bytes, f->len);
	return 0;
}

static int teardown(void **state)
{
	free(((struct stream_bed *)*state)->bytes);
	return save_teardown(state);
}

/* Makes the checksum right, and the length. */
static void seal(u8 *bytes, u32 len)
{
	struct stream_out s = { .bytes = bytes, .len = len };

	stream_patch_u64(&s, VMBUS_STATE_CRC_FROM, len - VMBUS_STATE_HEADER);
	stream_patch_u32(&s, VMBUS_STATE_CRC_AT,
			 stream_crc32(bytes + VMBUS_STATE_CRC_FROM, len - VMBUS_STATE_CRC_FROM));
}

static void unspoil(struct stream_bed *f)
{
	memcpy(f->bytes, f->b.state.bytes, f->len);
}

/* Nothing is left of what was refused. */
static void expect_fresh(struct save_bed *b)
{
	struct vmbus_status status;

	vmbus_status(b->g.bus, &status);
	assert_int_equal(status.version, 0);
	assert_int_equal(status.channels_open, 0);
	assert_null(b->g.bus->gpadls);
	assert_int_equal(b->g.bus->gpadl_count, 0);
	assert_int_equal(b->g.bus->outq.count, 0);
	for (unsigned i = 0; i < FG_BINDINGS; i++)
		assert_int_equal(b->g.binding[i].fd, -1);
	for (unsigned i = 0; i < VMBUS_MONITORS; i++)
		assert_int_equal(b->g.bus->monitor_taken[i],
				 b->e[MONITORED].dev.primary->monitor_id == i);
	for (unsigned i = 0; i < b->g.io_count; i++)
		assert_null(b->g.io[i].flushes);
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		const struct vmbus_channel *ch = b->g.bus->channel[i];

		assert_true(!ch || (ch->relid == i + 1 && !ch->offered && channel_idle(ch) &&
				    ch->wanted == !ch->sub_index));
	}
}

/* A guest that goes on as if nothing had been, with whatever it is that was restored. */
static void carry_on(struct save_bed *b)
{
	struct vmbus_msg_header resume = { .msgtype = VMBUS_MSG_RESUME };

	fg_pump(&b->g);
	fg_signal(&b->ch);
	for (int i = 0; i < 8 && fg_recv(&b->ch, b->buf, sizeof(b->buf), &b->pkt) == 1; i++)
		fg_pump(&b->g);
	fg_post(&b->g, &resume, sizeof(resume));
	b->g.message_count = 0;
	save_new_host(b);
}

/* Whether it is taken; either way nothing comes of it. */
static bool harmless(struct stream_bed *f, const u8 *bytes, u32 len)
{
	/* In a block of its own: a byte read behind it is found. */
	u8 *copy = malloc(len ? len : 1);
	int err;

	memcpy(copy, bytes, len);
	err = vmbus_restore(f->b.g.bus, copy, len);
	free(copy);
	if (err)
		expect_fresh(&f->b);
	else
		carry_on(&f->b);
	return !err;
}

static void as_it_was_it_is_taken(void **state)
{
	struct stream_bed *f = *state;
	struct save_bed *b = &f->b;

	seal(f->bytes, f->len);
	assert_memory_equal(f->bytes, b->state.bytes, f->len);
	assert_int_equal(vmbus_restore(b->g.bus, f->bytes, f->len), 0);
	fg_pump(&b->g);
	assert_int_equal(fg_count(&b->g, VMBUS_MSG_PAUSE_RESPONSE), 1);
	assert_int_equal(fg_count(&b->g, VMBUS_MSG_RESCIND_CHANNEL_OFFER), 1);
	echo_release(&b->e[CARRIER]);
	fg_pump(&b->g);
	for (u64 id = 0; id < 3; id++)
		save_expect(&b->ch, id);
	save_exchange(&b->ch2, 4);
}

static void cut_short_anywhere(void **state)
{
	struct stream_bed *f = *state;

	for (u32 len = 0; len < f->len; len++) {
		assert_false(harmless(f, f->bytes, len));
		if (len < VMBUS_STATE_HEADER)
			continue;
		seal(f->bytes, len);
		assert_false(harmless(f, f->bytes, len));
		unspoil(f);
	}
	/* The bus is as good as new. */
	f->b.g.features = 0;
	f->b.g.offer_count = 0;
	save_connect(&f->b, VMBUS_VERSION_WIN10_V5_3);
	save_exchange(save_open(&f->b, CARRIER), 1);
}

static void longer(void **state)
{
	struct stream_bed *f = *state;

	f->bytes = realloc(f->bytes, f->len + 16);
	memset(f->bytes + f->len, 0, 16);
	assert_false(harmless(f, f->bytes, f->len + 16));
	seal(f->bytes, f->len + 16);
	assert_false(harmless(f, f->bytes, f->len + 16));
	/* Two sections without bytes that one may pass over. */
	f->bytes[f->len + 3] = f->bytes[f->len + 11] = 0x80;
	seal(f->bytes, f->len + 16);
	assert_true(harmless(f, f->bytes, f->len + 16));
}

static void altered_anywhere(void **state)
{
	static const u8 change[] = { 0x01, 0x80, 0xff };
	struct stream_bed *f = *state;

	for (u32 at = 0; at < f->len; at++) {
		for (size_t i = 0; i < ARRAY_SIZE(change); i++) {
			f->bytes[at] ^= change[i];
			assert_false(harmless(f, f->bytes, f->len));
			f->bytes[at] ^= change[i];
		}
	}
}

/* ... by one who knows of the checksum. */
static void forged_anywhere(void **state)
{
	static const u8 change[] = { 0x01, 0x02, 0x10, 0x80, 0xff };
	struct stream_bed *f = *state;
	unsigned taken = 0, refused = 0;

	for (u32 at = VMBUS_STATE_HEADER; at < f->len; at++) {
		for (size_t i = 0; i < ARRAY_SIZE(change); i++) {
			bool ok;

			f->bytes[at] ^= change[i];
			seal(f->bytes, f->len);
			ok = harmless(f, f->bytes, f->len);
			taken += ok;
			refused += !ok;
			unspoil(f);
		}
	}
	/* Neither is all of it checked away, nor nothing. */
	assert_true(taken > 100);
	assert_true(refused > taken);
}

static void words_forged(void **state)
{
	static const u32 words[] = { 0, 1, 7, 255, 256, 257, 0x7fffffff, 0xffffffff };
	struct stream_bed *f = *state;

	for (u32 at = VMBUS_STATE_HEADER; at + 4 <= f->len; at++) {
		for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
			memcpy(f->bytes + at, &words[i], 4);
			seal(f->bytes, f->len);
			harmless(f, f->bytes, f->len);
			unspoil(f);
		}
	}
}

/* The first connection of all, with what it has bound. */
static void cut_short_with_shared_signals(void **state)
{
	struct stream_bed *f = *state;
	struct save_bed *b = &f->b;

	b->g.monitor_page[0] = b->g.monitor_page[1] = 0;
	b->g.interrupt_page = fg_alloc(&b->g, 1);
	b->g.offer_count = 0;
	save_connect(b, VMBUS_VERSION_WS2008);
	save_open(b, CARRIER);
	save_take(b);
	save_new_host(b);
	f->len = (u32)b->state.len;
	unspoil(f);
	for (u32 len = VMBUS_STATE_HEADER; len < f->len; len++) {
		seal(f->bytes, len);
		assert_false(harmless(f, f->bytes, len));
		unspoil(f);
	}
	assert_true(harmless(f, f->bytes, f->len));
}

/* Where the payload of a section begins. */
static u32 section_at(const struct stream_bed *f, u32 type)
{
	u32 at = VMBUS_STATE_HEADER, head[2];

	for (;; at += 8 + head[1]) {
		memcpy(head, f->bytes + at, sizeof(head));
		if (head[0] == type)
			return at + 8;
	}
}

/* One byte of the section changed: refused, and the reason is that. */
static void refuses(struct stream_bed *f, u32 type, u32 offset, u8 old, u8 new)
{
	u32 at = section_at(f, type) + offset;

	assert_int_equal(f->bytes[at], old);
	f->bytes[at] = new;
	seal(f->bytes, f->len);
	assert_int_equal(vmbus_restore(f->b.g.bus, f->bytes, f->len), -EINVAL);
	expect_fresh(&f->b);
	unspoil(f);
}

/* The same for a word. */
static void refuses_word(struct stream_bed *f, u32 type, u32 offset, u32 word)
{
	memcpy(f->bytes + section_at(f, type) + offset, &word, sizeof(word));
	seal(f->bytes, f->len);
	assert_int_equal(vmbus_restore(f->b.g.bus, f->bytes, f->len), -EINVAL);
	expect_fresh(&f->b);
	unspoil(f);
}

/*
 * A device of one channel: instance, type, count, then relid, monitor id, flags; an empty section.
 */
#define DEVICE_1 46u
#define DEVICE_3 (DEVICE_1 + 12u)
#define FLAGS 39u

static void contradictions(void **state)
{
	struct stream_bed *f = *state;
	const u32 devices = VMBUS_SECTION_DEVICES, carrier = 4, drainer = carrier + DEVICE_1 + 2,
		  monitored = drainer + DEVICE_3 + 2, spare = monitored + DEVICE_1 + 2;
	u8 relid = f->bytes[section_at(f, devices) + carrier + 34];
	u32 id;

	/* Up, but offers without; paused without the feature; a SINT there is not; VP 0. */
	refuses(f, VMBUS_SECTION_BUS, 0, 1, 0);
	refuses(f, VMBUS_SECTION_BUS, 8, VMBUS_FEATURE_PAUSE_RESUME, 0);
	refuses(f, VMBUS_SECTION_BUS, 8, VMBUS_FEATURE_PAUSE_RESUME,
		VMBUS_FEATURE_PAUSE_RESUME | VMBUS_FEATURE_CONFIDENTIAL_CHANNELS);
	refuses(f, VMBUS_SECTION_BUS, 12, 0, 4);
	refuses(f, VMBUS_SECTION_BUS, 16, 2, 16);
	refuses(f, VMBUS_SECTION_BUS, 21, 0, 0x10); /* an interrupt page */
	refuses(f, VMBUS_SECTION_BUS, 28, 0, 8); /* a monitor page that begins anywhere */
	/* Open and rescinded; open and released; reserved; a relid twice. */
	refuses(f, devices, carrier + FLAGS, 3, 3 | VMBUS_SAVED_RESCINDED);
	refuses(f, devices, carrier + FLAGS, 3, 3 | VMBUS_SAVED_RELEASED);
	refuses(f, devices, carrier + FLAGS, 3, 3 | 0x20);
	refuses(f, devices, drainer + 34, relid + 1, relid);
	/* Nobody's; rescinded without an offer; a monitor id of a device that is not polled. */
	refuses(f, devices, spare + FLAGS, 6, 0);
	refuses(f, devices, spare + FLAGS, 6, 4);
	refuses(f, devices, carrier + 38, VMBUS_MONITOR_NONE, 1);
	refuses(f, devices, spare + 38, VMBUS_MONITOR_NONE, 0);
	/* A sub-channel wanted of a device that is closed: the count of open ones is lower. */
	refuses(f, VMBUS_SECTION_CHANNELS, 0, 4, 3);
	refuses(f, VMBUS_SECTION_CHANNELS, 0, 4, 5);
	refuses(f, devices, drainer + FLAGS + 12, 3, 1 | VMBUS_SAVED_RESCINDED);
	/* VPs there are not; no interrupts now, but at opening; an event flag beyond all. */
	refuses_word(f, VMBUS_SECTION_CHANNELS, 4 + 4 * 4, 4);
	refuses_word(f, VMBUS_SECTION_CHANNELS, 4 + 4 * 9, 4);
	refuses_word(f, VMBUS_SECTION_CHANNELS, 4 + 4 * 9, VMBUS_VP_NONE);
	refuses_word(f, VMBUS_SECTION_CHANNELS, 4 + 4 * 6, VMBUS_EVENT_FLAGS);
	/* An interrupt page, or polling, where there is none. */
	refuses(f, VMBUS_SECTION_CHANNELS, 4 + 4 * 11, 0, 1);
	refuses(f, VMBUS_SECTION_CHANNELS, 4 + 4 * 11 + 1, 0, 1);
	/* A GPADL of no channel; two of one name. */
	refuses_word(f, VMBUS_SECTION_GPADLS, 4, 200);
	memcpy(&id, f->bytes + section_at(f, VMBUS_SECTION_GPADLS) + 4 + 21 + 24 + 4, sizeof(id));
	refuses_word(f, VMBUS_SECTION_GPADLS, 8, id);
	/* The first GPADL is one half built. */
	refuses(f, VMBUS_SECTION_GPADLS, 12, 0, 1);
	refuses(f, VMBUS_SECTION_GPADLS, 13, 1, 0);
	/*
	 * A pipe that nobody holds is not being torn down: of the ring's id the half built one's.
	 */
	refuses(f, VMBUS_SECTION_TEARDOWNS, 4, relid, relid + 1);
	assert_int_equal(vmbus_restore(f->b.g.bus, f->bytes, f->len), 0);
}

/* Nobody knows of an offer, nobody has asked for a sub-channel. */
static void offers_without_a_guest(void **state)
{
	struct stream_bed *f = *state;

	f->b.absent[SPARE] = true;
	save_new_host(&f->b);
	save_take(&f->b);
	save_new_host(&f->b);
	f->len = (u32)f->b.state.len;
	unspoil(f);
	refuses(f, VMBUS_SECTION_DEVICES, 4 + FLAGS, 1, 3);
	refuses(f, VMBUS_SECTION_DEVICES, 4 + DEVICE_1 + 2 + FLAGS + 6, 0, 1);
	assert_true(harmless(f, f->bytes, f->len));
}

/* A teardown of what nobody has pinned. */
static void teardown_of_what_is_free(void **state)
{
	struct stream_bed *f = *state;
	struct save_bed *b = &f->b;
	u32 words[5], id, at;

	save_new_host(b);
	b->g.features = 0;
	b->g.offer_count = 0;
	save_connect(b, VMBUS_VERSION_WIN10_V5_3);
	assert_int_equal(fg_gpadl_create(&b->g, 1, MiB(2), GUEST_PAGE_SIZE, &id), 0);
	save_take(b);
	save_new_host(b);
	f->len = (u32)b->state.len + 8;
	f->bytes = realloc(f->bytes, f->len);
	memcpy(f->bytes, b->state.bytes, f->len - 8);
	at = section_at(f, VMBUS_SECTION_TEARDOWNS);
	words[0] = VMBUS_SECTION_TEARDOWNS;
	words[1] = 12;
	words[2] = 1;
	words[3] = 1;
	words[4] = id;
	memcpy(f->bytes + at - 8, words, sizeof(words));
	seal(f->bytes, f->len);
	assert_int_equal(vmbus_restore(b->g.bus, f->bytes, f->len), -EINVAL);
	expect_fresh(b);
	f->len -= 8;
	unspoil(f);
	assert_int_equal(vmbus_restore(b->g.bus, f->bytes, f->len), 0);
}

static void of_another_version(void **state)
{
	struct stream_bed *f = *state;

	f->bytes[8]++;
	assert_int_equal(vmbus_restore(f->b.g.bus, f->bytes, f->len), -EPROTONOSUPPORT);
	expect_fresh(&f->b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(as_it_was_it_is_taken),
		TEST(cut_short_anywhere),
		TEST(longer),
		TEST(altered_anywhere),
		TEST(forged_anywhere),
		TEST(words_forged),
		TEST(cut_short_with_shared_signals),
		TEST(contradictions),
		TEST(teardown_of_what_is_free),
		TEST(offers_without_a_guest),
		TEST(of_another_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
