/* SPDX-License-Identifier: BSD-2-Clause */
/* A controller saved and restored: what it negotiated, requests it drains, answers it carries. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "devices/storvsp.h"
#include "tests/devices/held_disk.h"
#include "tests/fakeguest/fakeguest.h"
#include "vmbus/save.h"

#define BLOCK 512u
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

struct rig {
	struct fakeguest g;
	struct fg_channel ch;
	struct uring uring;
	struct storvsp *s;
	struct held_disk slow;
	struct stream_out state;
	u8 buf[4096];
	struct fg_packet pkt;
};

static struct uring *rig_uring(void *ctx, struct loop *loop)
{
	(void)loop;
	return &((struct rig *)ctx)->uring;
}

static void controller_new(struct rig *r)
{
	assert_int_equal(storvsp_init(&r->s, 0, rig_uring, r), 0);
	assert_int_equal(storvsp_attach(r->s, 0, &r->slow.disk), 0);
	assert_int_equal(vmbus_offer(r->g.bus, storvsp_device(r->s)), 0);
}

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	const struct fg_config config = { .memory = MiB(8) };

	*state = r;
	assert_int_equal(fg_init(&r->g, &config), 0);
	assert_int_equal(uring_init(&r->uring, &r->g.io[0], 64), 0);
	held_disk_open(&r->slow, MiB(1), BLOCK);
	r->slow.kept = true;
	controller_new(r);
	assert_int_equal(fg_connect(&r->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(fg_request_offers(&r->g), 0);
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	uring_fini(&r->uring);
	fg_fini(&r->g);
	storvsp_fini(r->s);
	r->slow.below->ops->close(r->slow.below);
	stream_free(&r->state);
	free(r);
	return 0;
}

/* A new host, with a new controller for the same disk. */
static void host_new(struct rig *r)
{
	struct storvsp *old = r->s;

	assert_true(fg_freeze(&r->g));
	stream_free(&r->state);
	assert_int_equal(vmbus_save(r->g.bus, &r->state, NULL), 0);
	assert_int_equal(fg_new_host(&r->g), 0);
	storvsp_fini(old);
	controller_new(r);
}

static void move(struct rig *r)
{
	host_new(r);
	assert_int_equal(vmbus_restore(r->g.bus, r->state.bytes, r->state.len), 0);
	fg_pump(&r->g);
}

static void open_rings(struct rig *r, u32 in_pages)
{
	const struct fg_open_params params = { .out_pages = 17, .in_pages = in_pages };

	assert_int_equal(fg_open(&r->g, &r->ch, &r->g.offer[0], &params), 0);
}

static void expect_answer(struct rig *r, u64 id)
{
	fg_pump(&r->g);
	assert_int_equal(fg_recv(&r->ch, r->buf, sizeof(r->buf), &r->pkt), 1);
	assert_true(r->pkt.transaction_id == id);
	assert_int_equal(((const struct vstor_packet *)r->pkt.payload)->status, NT_SUCCESS);
}

static void operate(struct rig *r, u32 operation)
{
	struct vstor_packet p = { .operation = operation, .flags = 1 };

	if (operation == VSTOR_QUERY_PROTOCOL_VERSION)
		p.version.major_minor = VSTOR_VERSION_WIN10;
	assert_int_equal(fg_send(&r->ch, operation, &p, sizeof(p), true), 0);
	expect_answer(r, operation);
}

static const u32 handshake[] = { VSTOR_BEGIN_INITIALIZATION, VSTOR_QUERY_PROTOCOL_VERSION,
				 VSTOR_QUERY_PROPERTIES, VSTOR_END_INITIALIZATION };

static void shake_hands(struct rig *r)
{
	for (unsigned i = 0; i < ARRAY_SIZE(handshake); i++)
		operate(r, handshake[i]);
}

static void unit_ready(struct rig *r, u64 id)
{
	struct vstor_packet p = { .operation = VSTOR_EXECUTE_SRB, .flags = 1 };

	p.srb.length = sizeof(p.srb);
	p.srb.cdb_length = 6;
	assert_int_equal(fg_send(&r->ch, id, &p, sizeof(p), true), 0);
}

static void write_block(struct rig *r, u64 id)
{
	struct vstor_packet p = { .operation = VSTOR_EXECUTE_SRB, .flags = 1 };
	u64 pfn = 256;

	p.srb.length = sizeof(p.srb);
	p.srb.cdb_length = 10;
	p.srb.data_transfer_length = BLOCK;
	p.srb.cdb[0] = SCSI_WRITE_10;
	scsi_put16(p.srb.cdb + 7, 1);
	assert_int_equal(fg_send_pfns(&r->ch, id, 0, BLOCK, &pfn, &p, sizeof(p)), 0);
}

static void each_step_of_the_handshake_is_kept(void **state)
{
	struct rig *r = *state;

	open_rings(r, 17);
	for (unsigned i = 0; i < ARRAY_SIZE(handshake); i++) {
		move(r);
		operate(r, handshake[i]);
	}
	move(r);
	assert_int_equal(r->s->version, VSTOR_VERSION_WIN10);
	unit_ready(r, 9);
	expect_answer(r, 9);
}

static void requests_on_the_disk_are_drained(void **state)
{
	struct rig *r = *state;

	open_rings(r, 17);
	shake_hands(r);
	r->slow.hold = true;
	for (u64 id = 50; id < 60; id++)
		write_block(r, id);
	fg_pump(&r->g);
	assert_int_equal(r->slow.count, 10);
	assert_false(fg_freeze(&r->g));
	/* Nothing new is begun. */
	write_block(r, 60);
	fg_signal(&r->ch);
	fg_pump(&r->g);
	assert_int_equal(r->slow.count, 10);
	held_disk_release(&r->slow);
	fg_pump(&r->g);
	assert_true(r->g.frozen);
	move(r);
	for (u64 id = 50; id <= 60; id++)
		expect_answer(r, id);
	assert_int_equal(r->s->channel->in_flight, 0);
}

/* count requests, whose answers do not all fit. */
static unsigned crowd(struct rig *r)
{
	unsigned count = 0;

	open_rings(r, 2);
	shake_hands(r);
	for (; count < 100; count++)
		unit_ready(r, 1000 + count);
	fg_pump(&r->g);
	assert_true(r->s->channel->unsent_count > 0);
	return count;
}

static void answers_without_room_are_carried(void **state)
{
	struct rig *r = *state;
	unsigned count = crowd(r), unsent = r->s->channel->unsent_count;

	host_new(r);
	assert_int_equal(vmbus_restore(r->g.bus, r->state.bytes, r->state.len), 0);
	assert_int_equal(r->s->channel->unsent_count, unsent);
	fg_pump(&r->g);
	for (unsigned i = 0; i < count; i++)
		expect_answer(r, 1000 + i);
	assert_int_equal(r->s->channel->unsent_count, 0);
	unit_ready(r, 1);
	expect_answer(r, 1);
}

static void answers_from_the_disk_may_find_no_room(void **state)
{
	struct rig *r = *state;
	struct fg_packet *pkt = &r->pkt;
	u64 next = 0;

	open_rings(r, 2);
	shake_hands(r);
	r->slow.hold = true;
	for (u64 id = 0; id < 100; id++)
		write_block(r, id);
	fg_pump(&r->g);
	assert_false(fg_freeze(&r->g));
	held_disk_release(&r->slow);
	fg_pump(&r->g);
	assert_true(r->g.frozen);
	assert_true(r->s->channel->unsent_count > 0);
	move(r);
	for (; next < 100; next++) {
		assert_int_equal(fg_recv(&r->ch, r->buf, sizeof(r->buf), pkt), 1);
		assert_true(pkt->transaction_id == next);
		fg_pump(&r->g);
	}
}

/* Answers that get out while the channel is to stand still are not taken for what it waits for. */
static void what_is_on_the_disk_is_waited_for(void **state)
{
	struct rig *r = *state;

	open_rings(r, 2);
	shake_hands(r);
	r->slow.hold = true;
	write_block(r, 1);
	for (u64 id = 100; id < 200; id++)
		unit_ready(r, id);
	fg_pump(&r->g);
	assert_int_equal(r->slow.count, 1);
	assert_true(r->s->channel->unsent_count > 0);
	assert_false(fg_freeze(&r->g));
	while (fg_recv(&r->ch, r->buf, sizeof(r->buf), &r->pkt) == 1)
		continue;
	storvsp_scsi_ops.ready(r->s->channel->ch);
	fg_pump(&r->g);
	assert_false(r->g.frozen);
	held_disk_release(&r->slow);
	fg_pump(&r->g);
	assert_true(r->g.frozen);
	assert_int_equal(r->s->channel->in_flight, r->s->channel->unsent_count);
}

static void thawed_it_goes_on(void **state)
{
	struct rig *r = *state;
	unsigned count = crowd(r);

	assert_true(fg_freeze(&r->g));
	fg_thaw(&r->g);
	for (unsigned i = 0; i < count; i++)
		expect_answer(r, 1000 + i);
}

static void seal(u8 *bytes, size_t len)
{
	struct stream_out s = { .bytes = bytes, .len = len };

	stream_patch_u32(&s, VMBUS_STATE_CRC_AT,
			 stream_crc32(bytes + VMBUS_STATE_CRC_FROM, len - VMBUS_STATE_CRC_FROM));
}

/* Only the controller's own part, which is at the end, before TEARDOWNS. */
static void forged_it_is_refused_or_harmless(void **state)
{
	struct rig *r = *state;
	size_t own, len;
	u8 *bytes;

	crowd(r);
	own = 12 + r->s->channel->unsent_count * (12 + sizeof(struct vstor_packet));
	host_new(r);
	len = r->state.len;
	bytes = malloc(len);
	for (size_t at = len - 12 - own; at < len; at++) {
		memcpy(bytes, r->state.bytes, len);
		bytes[at] ^= at % 3 ? 0xff : 0x04;
		seal(bytes, len);
		if (vmbus_restore(r->g.bus, bytes, len))
			continue;
		fg_pump(&r->g);
		assert_int_equal(fg_new_host(&r->g), 0);
		storvsp_fini(r->s);
		controller_new(r);
	}
	/* Two states at once. */
	memcpy(bytes, r->state.bytes, len);
	bytes[len - 12 - own + 4] = STORVSP_VERSION | STORVSP_BEGIN;
	seal(bytes, len);
	assert_int_equal(vmbus_restore(r->g.bus, bytes, len), -EINVAL);
	free(bytes);
	assert_int_equal(vmbus_restore(r->g.bus, r->state.bytes, len), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_step_of_the_handshake_is_kept),
		TEST(requests_on_the_disk_are_drained),
		TEST(answers_without_room_are_carried),
		TEST(answers_from_the_disk_may_find_no_room),
		TEST(what_is_on_the_disk_is_waited_for),
		TEST(thawed_it_goes_on),
		TEST(forged_it_is_refused_or_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
