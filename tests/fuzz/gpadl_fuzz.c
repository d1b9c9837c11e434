/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GPADLs and guest ranges: headers and bodies with any counts, in any order and number, torn down
 * while pinned; then every part of what was built is looked at, as a device would.
 */
#include "tests/fuzz/guest.h"
#include "vmbus/server.h"

#include <errno.h>

#define PINS 4
#define IDS 8

struct bed {
	struct guest *guest;
	struct vmbus_device dev;
	struct gpadl *pin[PINS];
};

static int dev_open(struct vmbus_channel *ch)
{
	(void)ch;
	return -EIO;
}

static void dev_unused(struct vmbus_channel *ch)
{
	(void)ch;
}

static const struct vmbus_device_ops ops = { .name = "gpadl",
					     .type = { { 1 } },
					     .packet_max = 64,
					     .open = dev_open,
					     .ready = dev_unused,
					     .close = dev_unused };

/* Words as a list of ranges is made of: headers and frame numbers, not always in order. */
static u32 words_put(struct fuzz_input *in, u64 *word, u32 max)
{
	u32 count = fuzz_below(in, max + 1);

	for (u32 i = 0; i < count; i++) {
		struct ring_gpa_range range;
		u8 kind = fuzz_u8(in);

		if (kind < 160) {
			word[i] = kind % GUEST_PAGES;
			continue;
		}
		if (kind < 240) {
			range.byte_offset = kind & 1 ? fuzz_u16(in) % GUEST_PAGE_SIZE : 0;
			range.byte_count =
				kind & 2 ? fuzz_u16(in) : fuzz_below(in, 32) * GUEST_PAGE_SIZE;
		} else {
			range.byte_offset = (u32)fuzz_value(in);
			range.byte_count = (u32)fuzz_value(in);
		}
		memcpy(&word[i], &range, sizeof(range));
	}
	return count;
}

static void op_header(struct bed *b, struct fuzz_input *in)
{
	struct {
		struct vmbus_msg_gpadl_header head;
		u64 word[27];
	} __attribute__((packed))
	msg = { .head = {
			.header.msgtype = VMBUS_MSG_GPADL_HEADER,
			.child_relid = fuzz_rarely(in, 16) ? fuzz_u8(in) : 1,
			.gpadl = fuzz_below(in, IDS),
			.rangecount = (u16)(fuzz_rarely(in, 4) ? fuzz_value(in) : 1),
		} };
	u64 word[27];
	u32 count = words_put(in, word, ARRAY_SIZE(word));

	msg.head.range_buflen = (u16)(fuzz_rarely(in, 2) ? fuzz_value(in) : count * sizeof(u64));
	memcpy(msg.word, word, sizeof(word));
	fg_post_raw(&b->guest->g, b->guest->g.msg_conn_id, &msg,
		    (u32)(sizeof(msg.head) + count * sizeof(u64)));
}

static void op_body(struct bed *b, struct fuzz_input *in)
{
	struct {
		struct vmbus_msg_gpadl_body head;
		u64 word[28];
	} msg = { .head = { .header.msgtype = VMBUS_MSG_GPADL_BODY,
			    .gpadl = fuzz_below(in, IDS) } };
	u32 count = words_put(in, msg.word, ARRAY_SIZE(msg.word)), times = 1;

	if (fuzz_rarely(in, 8))
		times = fuzz_u8(in);
	while (times--)
		fg_post_raw(&b->guest->g, b->guest->g.msg_conn_id, &msg,
			    (u32)(sizeof(msg.head) + count * sizeof(u64)) -
				    fuzz_below(in, 8) % 8 * (count > 0));
}

static void op_teardown(struct bed *b, struct fuzz_input *in)
{
	struct vmbus_msg_gpadl_teardown msg = { .header.msgtype = VMBUS_MSG_GPADL_TEARDOWN,
						.child_relid = 1,
						.gpadl = fuzz_below(in, IDS) };

	fg_post_raw(&b->guest->g, b->guest->g.msg_conn_id, &msg, sizeof(msg));
}

static void op_pin(struct bed *b, struct fuzz_input *in)
{
	struct gpadl **pin = &b->pin[fuzz_below(in, PINS)];

	if (*pin)
		gpadl_unpin(b->guest->g.bus, *pin);
	*pin = gpadl_pin(b->guest->g.bus, 1, fuzz_below(in, IDS));
}

/* Pieces lie in RAM, and are as long as they should be together. */
static void check_iov(struct bed *b, const struct iovec *iov, int count, u64 len)
{
	const struct gmem_region *ram = &b->guest->g.mem.region[0];
	u64 sum = 0;

	for (int i = 0; i < count; i++) {
		const u8 *at = iov[i].iov_base;

		FUZZ_CHECK(iov[i].iov_len && at >= ram->host);
		FUZZ_CHECK(at + iov[i].iov_len <= ram->host + ram->size);
		sum += iov[i].iov_len;
	}
	FUZZ_CHECK(sum == len);
}

static void op_use(struct bed *b, struct fuzz_input *in)
{
	const struct gpadl *g = b->pin[fuzz_below(in, PINS)];
	unsigned max = 1 + fuzz_u8(in);
	struct iovec iov[256];
	u32 offset, len, pages;
	int count;

	if (!g)
		return;
	offset = (u32)fuzz_value(in);
	len = fuzz_rarely(in, 4) ? gpadl_size(g) - offset : (u32)fuzz_value(in);
	count = gpadl_iov(g, offset, len, iov, max);
	FUZZ_CHECK(count <= (int)max);
	if (offset > gpadl_size(g) || len > gpadl_size(g) - offset)
		FUZZ_CHECK(count == -EINVAL);
	else if (count >= 0)
		check_iov(b, iov, count, len);
	else
		FUZZ_CHECK(count == -ENOSPC);
	if (gpadl_pages(g, &pages))
		FUZZ_CHECK(pages * GUEST_PAGE_SIZE == gpadl_size(g));
}

/* The list of a GPA-direct packet, in a buffer of its very size. */
static void op_ranges(struct bed *b, struct fuzz_input *in)
{
	u64 word[32];
	u32 count = words_put(in, word, ARRAY_SIZE(word)), total = 0;
	u32 size = count * (u32)sizeof(u64) - (count ? fuzz_below(in, 8) % 8 : 0);
	unsigned max = 1 + fuzz_below(in, 64);
	struct iovec iov[64];
	u8 *list = malloc(size ? size : 1);
	int n;

	FUZZ_CHECK(list);
	memcpy(list, word, size);
	n = gpa_range_iov(&b->guest->g.mem, list, size, (u32)fuzz_value(in), iov, max, &total);
	FUZZ_CHECK(n <= (int)max);
	if (n >= 0)
		check_iov(b, iov, n, total);
	free(list);
}

static void step(struct bed *b, struct fuzz_input *in)
{
	static void (*const operations[])(struct bed *, struct fuzz_input *) = {
		op_header, op_body, op_teardown, op_pin, op_use, op_ranges,
	};
	u8 op = fuzz_u8(in) % (ARRAY_SIZE(operations) + 1);

	if (op < ARRAY_SIZE(operations))
		operations[op](b, in);
	else
		guest_op_turn(b->guest, in);
	b->guest->g.message_count = 0;
}

static void let_go(struct bed *b)
{
	struct fakeguest *g = &b->guest->g;

	for (unsigned i = 0; i < PINS; i++)
		if (b->pin[i])
			gpadl_unpin(g->bus, b->pin[i]);
	fg_pump(g);
	FUZZ_CHECK(!fg_unload(g));
	FUZZ_CHECK(!g->bus->gpadl_count && !g->bus->gpadl_words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct bed b = { .guest = guest_begin(), .dev = { .ops = &ops } };
	struct fakeguest *g = &b.guest->g;

	FUZZ_CHECK(!vmbus_offer(g->bus, &b.dev));
	FUZZ_CHECK(!fg_connect(g, VMBUS_VERSION_WIN10_V5_3) && !fg_request_offers(g));
	while (in.left)
		step(&b, &in);
	let_go(&b);
	guest_end(b.guest);
	return 0;
}
