/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What may happen to a controller's channels at the same time happens, in an order that chance
 * picks, one turn of one loop after the other: requests, resets, moves, closes, freezes that are
 * given up or not, disks that come and go, and chaos. Each request of a channel that stays open is
 * answered once, a reset not before what its channel had sent before it, and nothing is left
 * behind.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/devices/storvsp_bed.h"
#include "vmbus/chaos.h"
#include "vmbus/save.h"

#define SEEDS 120u
#define STEPS 900u
#define IDS 2048u
#define OUTSTANDING 60u
#define HOT_UNIT STORVSP_UNIT(1, 5)

enum fate { UNUSED, SENT, ANSWERED };

struct chance {
	struct bed *b;
	struct chaos chaos;
	u64 random;
	bool freezing;
	struct {
		u8 fate[IDS];
		bool reset[IDS]; /* of all units */
		unsigned next, outstanding;
		bool closed;
	} ch[1 + BED_SUBS];
};

static u32 pick(struct chance *c, u32 count)
{
	c->random = c->random * 6364136223846793005 + 1442695040888963407;
	return (u32)(c->random >> 33) % count;
}

/* ---- The guest ------------------------------------------------------------------------------- */

static bool may_send(const struct chance *c, unsigned i)
{
	return !c->ch[i].closed && c->ch[i].outstanding < OUTSTANDING && c->ch[i].next < IDS;
}

static void note_sent(struct chance *c, unsigned i, bool reset)
{
	c->ch[i].reset[c->ch[i].next] = reset;
	c->ch[i].fate[c->ch[i].next++] = SENT;
	c->ch[i].outstanding++;
}

static void do_read(struct chance *c, unsigned i)
{
	u8 target = (u8)pick(c, 2), lun = (u8)(target ? 0 : pick(c, 2));

	if (may_send(c, i) && !bed_read_write(c->b, &c->b->ch[i], c->ch[i].next, SCSI_READ_10,
					      target, lun, pick(c, 100)))
		note_sent(c, i, false);
}

static void do_reset(struct chance *c, unsigned i)
{
	static const u32 kinds[] = { VSTOR_RESET_LUN, VSTOR_RESET_BUS, VSTOR_RESET_ADAPTER };
	struct vstor_packet p = bed_unit_ready(0, (u8)pick(c, 2));

	p.operation = kinds[pick(c, ARRAY_SIZE(kinds))];
	if (may_send(c, i) && !fg_send(&c->b->ch[i], c->ch[i].next, &p, sizeof(p), true))
		note_sent(c, i, p.operation != VSTOR_RESET_LUN);
}

static void take(struct chance *c, unsigned i)
{
	struct bed *b = c->b;
	struct fg_packet pkt;

	while (!c->ch[i].closed && fg_recv(&b->ch[i], b->buf, sizeof(b->buf), &pkt) == 1) {
		if (pkt.type == VMBUS_PACKET_INBAND)
			continue;
		assert_true(pkt.transaction_id < c->ch[i].next);
		assert_int_equal(c->ch[i].fate[pkt.transaction_id], SENT);
		c->ch[i].fate[pkt.transaction_id] = ANSWERED;
		c->ch[i].outstanding--;
		for (u64 id = 0; c->ch[i].reset[pkt.transaction_id] && id < pkt.transaction_id;
		     id++)
			assert_int_equal(c->ch[i].fate[id], ANSWERED);
	}
}

static void post(struct chance *c, const void *msg, u32 len)
{
	fg_post_raw(&c->b->g, c->b->g.msg_conn_id, msg, len);
}

static void do_move(struct chance *c, unsigned i)
{
	const struct vmbus_msg_modify_channel msg = {
		.header.msgtype = VMBUS_MSG_MODIFY_CHANNEL,
		.child_relid = c->b->ch[i].relid,
		.target_vp = pick(c, 8),
	};

	post(c, &msg, sizeof(msg));
}

static void do_close(struct chance *c, unsigned i)
{
	const struct vmbus_msg_relid msg = { .header.msgtype = VMBUS_MSG_CLOSE_CHANNEL,
					     .child_relid = c->b->ch[i].relid };

	/* Seldom, or none would be left. */
	if (!i || pick(c, 20))
		return;
	c->ch[i].closed = true;
	post(c, &msg, sizeof(msg));
}

/* ---- The host -------------------------------------------------------------------------------- */

static void note_frozen(void *ctx)
{
	((struct chance *)ctx)->b->g.frozen = true;
}

static void do_freeze(struct chance *c, unsigned i)
{
	struct fakeguest *g = &c->b->g;
	struct stream_out out = { 0 };

	(void)i;
	if (!c->freezing) {
		c->freezing = true;
		vmbus_freeze(g->bus, note_frozen, c);
	} else if (g->frozen) {
		assert_int_equal(vmbus_save(g->bus, &out, NULL), 0);
		stream_free(&out);
		c->freezing = g->frozen = false;
		vmbus_thaw(g->bus);
	} else if (!pick(c, 2)) {
		/* Given up; perhaps wanted again at once. */
		vmbus_thaw(g->bus);
		c->freezing = pick(c, 2);
		if (c->freezing)
			vmbus_freeze(g->bus, note_frozen, c);
	}
}

static void do_hold(struct chance *c, unsigned i)
{
	c->b->disk[i % BED_DISKS].hold = true;
}

static void do_release(struct chance *c, unsigned i)
{
	held_disk_release(&c->b->disk[i % BED_DISKS]);
}

static void do_plug(struct chance *c, unsigned i)
{
	struct disk *disk = disk_mem_open(BED_BLOCK, BED_BLOCK);

	(void)i;
	if (!storvsp_attach(c->b->s, HOT_UNIT, disk))
		return;
	disk->ops->close(disk);
	storvsp_detach(c->b->s, HOT_UNIT);
}

static void do_turn(struct chance *c, unsigned i)
{
	loop_turn(i % 3 < BED_LOOPS ? &c->b->g.io[i % 3] : &c->b->g.control, 0);
}

/* ---- What it comes to ------------------------------------------------------------------------ */

static void (*const deeds[])(struct chance *c, unsigned i) = {
	do_turn, do_turn, do_turn, do_turn,  do_turn,   do_turn,    do_turn, do_read, do_read,
	do_read, take,    do_move, do_reset, do_freeze, do_release, do_hold, do_plug, do_close,
};

static bool all_answered(void *ctx)
{
	struct chance *c = ctx;
	bool all = true;

	for (unsigned i = 0; i <= BED_SUBS; i++) {
		take(c, i);
		all &= c->ch[i].closed || !c->ch[i].outstanding;
		all &= !c->ch[i].closed || !c->b->s->channel[i].loop;
	}
	return all;
}

static bool all_frozen(void *ctx)
{
	const struct chance *c = ctx;

	all_answered(ctx);
	return c->b->g.frozen;
}

static bool all_let_go(void *ctx)
{
	const struct chance *c = ctx;

	for (unsigned i = 0; i <= BED_SUBS; i++)
		if (c->b->s->channel[i].loop)
			return false;
	return true;
}

static struct chance *chance_new(u64 seed)
{
	struct chance *c = calloc(1, sizeof(*c));
	struct bed *b = bed_new(BED_SUBS);

	assert_non_null(c);
	c->random = seed;
	c->b = b;
	c->chaos = (struct chaos){ .seed = seed, .delay_max_us = 60 };
	b->g.chaos = seed % 5 ? &c->chaos : NULL;
	assert_int_equal(fg_new_host(&b->g), 0);
	bed_attach(b, 0, STORVSP_UNIT(0, 0));
	bed_attach(b, 1, STORVSP_UNIT(0, 1));
	bed_attach(b, 2, STORVSP_UNIT(1, 0));
	bed_connect(b);
	bed_handshake(b, VSTOR_VERSION_WIN10);
	bed_open_subs(b, BED_SUBS);
	c->chaos.rate = seed % 3 * 200;
	/* Bursts are paced where nothing is late. */
	storvsp_device(b->s)->paced = !b->g.chaos;
	return c;
}

static void settle(struct chance *c)
{
	for (unsigned d = 0; d < BED_DISKS; d++)
		held_disk_release(&c->b->disk[d]);
	if (c->freezing) {
		assert_true(fg_pump_until(&c->b->g, all_frozen, c));
		fg_thaw(&c->b->g);
	}
	assert_true(fg_pump_until(&c->b->g, all_answered, c));
	assert_null(c->b->s->resets.first);
	assert_int_equal(c->b->s->resets.awaited, 0);
}

static void live(u64 seed)
{
	struct chance *c = chance_new(seed);

	for (unsigned n = 0; n < STEPS; n++)
		deeds[pick(c, ARRAY_SIZE(deeds))](c, pick(c, 12) % (1 + BED_SUBS));
	if (seed % 4)
		settle(c);
	/* Else it ends in the midst of all; or the end of the machine does it. */
	if (seed % 8 < 6) {
		for (unsigned d = 0; d < BED_DISKS; d++)
			held_disk_release(&c->b->disk[d]);
		if (c->freezing && seed % 4 == 0) {
			fg_pump(&c->b->g);
			fg_thaw(&c->b->g);
		}
		vmbus_rescind(storvsp_device(c->b->s));
		assert_true(fg_pump_until(&c->b->g, all_let_go, c));
	}
	bed_free(c->b);
	chaos_fini(&c->chaos);
	free(c);
}

static void whatever_chance_brings(void **state)
{
	const char *seed = getenv("SEED");

	(void)state;
	for (u64 n = 1; n <= SEEDS; n++)
		live(seed ? strtoull(seed, NULL, 0) : n);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(whatever_chance_brings) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
