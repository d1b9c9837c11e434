/* SPDX-License-Identifier: BSD-2-Clause */
/* Resets: what they wait for, on every channel, and what follows them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/devices/storvsp_bed.h"

#define RESET_ID 0xfffffffffffffffcull

static int setup(void **state)
{
	*state = bed_start(BED_DISKS);
	return 0;
}

static void send_read(struct bed *b, unsigned channel, u64 id, u8 target, u8 lun)
{
	assert_int_equal(bed_read_write(b, &b->ch[channel], id, SCSI_READ_10, target, lun, 0), 0);
}

static void send_reset(struct bed *b, unsigned channel, u32 operation, u8 target, u8 lun)
{
	struct vstor_packet p = bed_unit_ready(target, lun);

	bed_send(b, &b->ch[channel], RESET_ID, operation, &p, sizeof(p));
}

static void expect(struct bed *b, unsigned channel, u64 id)
{
	struct vstor_packet p;

	assert_true(bed_answer(b, &b->ch[channel], &p) == id);
	assert_int_equal(p.status, NT_SUCCESS);
}

/* The unit's next command ends with a unit attention, the one after it does not. */
static void expect_attention(struct bed *b, u8 target, u8 lun)
{
	struct vstor_packet p = bed_command(b, &b->ch[2], target, lun);

	assert_int_equal(p.srb.scsi_status, SCSI_CHECK_CONDITION);
	assert_int_equal(p.srb.srb_status, SRB_ERROR | SRB_AUTOSENSE_VALID);
	assert_int_equal(p.srb.sense_data[2] & 0xf, SCSI_UNIT_ATTENTION);
	assert_int_equal(p.srb.sense_data[12], 0x29);
	assert_int_equal(bed_command(b, &b->ch[2], target, lun).status, NT_SUCCESS);
}

static void expect_no_attention(struct bed *b, u8 target, u8 lun)
{
	assert_int_equal(bed_command(b, &b->ch[2], target, lun).status, NT_SUCCESS);
}

static void each_kind_is_answered_and_told(void **state)
{
	static const u32 kinds[] = { VSTOR_RESET_BUS, VSTOR_RESET_ADAPTER };
	struct bed *b = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		send_reset(b, i, kinds[i], 0, 0);
		expect(b, i, RESET_ID);
		expect_attention(b, 0, 0);
		expect_attention(b, 0, 1);
		expect_attention(b, 1, 0);
	}
	send_reset(b, 0, VSTOR_RESET_LUN, 0, 1);
	expect(b, 0, RESET_ID);
	expect_no_attention(b, 0, 0);
	expect_attention(b, 0, 1);
	expect_no_attention(b, 1, 0);
	/* Of nothing. */
	send_reset(b, 0, VSTOR_RESET_LUN, 0, 9);
	expect(b, 0, RESET_ID);
	send_reset(b, 0, VSTOR_RESET_LUN, 9, 9);
	expect(b, 0, RESET_ID);
}

static void it_waits_for_requests_of_all_channels(void **state)
{
	struct bed *b = *state;

	b->disk[0].hold = b->disk[2].hold = true;
	for (unsigned i = 0; i <= BED_SUBS; i++)
		send_read(b, i, 10 + i, i % 2, 0);
	fg_pump(&b->g);
	send_reset(b, 1, VSTOR_RESET_BUS, 0, 0);
	bed_expect_none(b, &b->ch[1]);
	held_disk_release(&b->disk[0]);
	expect(b, 0, 10);
	expect(b, 2, 12);
	bed_expect_none(b, &b->ch[1]);
	held_disk_release(&b->disk[2]);
	expect(b, 1, 11);
	expect(b, 1, RESET_ID);
	expect(b, 3, 13);
}

static void a_unit_s_reset_waits_for_that_unit(void **state)
{
	struct bed *b = *state;

	b->disk[0].hold = b->disk[1].hold = true;
	send_read(b, 0, 1, 0, 0);
	send_read(b, 3, 2, 0, 1);
	fg_pump(&b->g);
	send_reset(b, 0, VSTOR_RESET_LUN, 0, 1);
	bed_expect_none(b, &b->ch[0]);
	held_disk_release(&b->disk[1]);
	expect(b, 3, 2);
	expect(b, 0, RESET_ID);
	held_disk_release(&b->disk[0]);
	expect(b, 0, 1);
}

static void what_is_begun_later_is_not_waited_for(void **state)
{
	struct bed *b = *state;

	b->disk[0].hold = b->disk[1].hold = true;
	send_read(b, 0, 1, 0, 0);
	fg_pump(&b->g);
	send_reset(b, 0, VSTOR_RESET_BUS, 0, 0);
	fg_pump(&b->g);
	send_read(b, 2, 2, 0, 1);
	fg_pump(&b->g);
	held_disk_release(&b->disk[0]);
	expect(b, 0, 1);
	expect(b, 0, RESET_ID);
	bed_expect_none(b, &b->ch[2]);
	held_disk_release(&b->disk[1]);
	expect(b, 2, 2);
}

static void resets_take_turns(void **state)
{
	struct bed *b = *state;

	b->disk[0].hold = true;
	send_read(b, 1, 1, 0, 0);
	fg_pump(&b->g);
	for (unsigned i = 0; i <= BED_SUBS; i++)
		for (unsigned n = 0; n < 5; n++)
			send_reset(b, i, VSTOR_RESET_BUS + (n & 1 ? -1 : 0), 0, 0);
	for (unsigned i = 0; i <= BED_SUBS; i++)
		bed_expect_none(b, &b->ch[i]);
	held_disk_release(&b->disk[0]);
	expect(b, 1, 1);
	for (unsigned i = 0; i <= BED_SUBS; i++) {
		for (unsigned n = 0; n < 5; n++)
			expect(b, i, RESET_ID);
		bed_expect_none(b, &b->ch[i]);
	}
	assert_null(b->s->resets.first);
}

/* A channel that closes, with the reset or with what it waits for. */
static void channels_close_meanwhile(void **state)
{
	struct bed *b = *state;

	b->disk[0].hold = b->disk[1].hold = true;
	send_read(b, 1, 1, 0, 0);
	send_read(b, 2, 2, 0, 1);
	fg_pump(&b->g);
	send_reset(b, 3, VSTOR_RESET_BUS, 0, 0);
	fg_pump(&b->g);
	assert_int_equal(fg_close(&b->ch[1]), -ETIMEDOUT);
	assert_int_equal(fg_close(&b->ch[3]), -ETIMEDOUT);
	held_disk_release(&b->disk[0]);
	fg_pump(&b->g);
	assert_null(b->s->channel[1].loop);
	assert_non_null(b->s->channel[3].loop);
	held_disk_release(&b->disk[1]);
	fg_pump(&b->g);
	assert_null(b->s->channel[3].loop);
	assert_null(b->s->resets.first);
	expect(b, 2, 2);
	send_reset(b, 0, VSTOR_RESET_BUS, 0, 0);
	expect(b, 0, RESET_ID);
}

/* Asked by a reset, a channel leaves before it has looked. */
static void a_channel_leaves_that_was_asked(void **state)
{
	struct bed *b = *state;

	send_reset(b, 0, VSTOR_RESET_BUS, 0, 0);
	b->g.modify_unawaited = true;
	loop_turn(&b->g.io[0], 0);
	assert_true(b->s->channel[1].asked);
	storvsp_leave(&b->s->channel[1]);
	assert_false(b->s->channel[1].asked);
	expect(b, 0, RESET_ID);
	storvsp_join(&b->s->channel[1]);
}

/* The end of the machine comes before that of a reset. */
static void the_bus_goes_meanwhile(void **state)
{
	struct bed *b = *state;

	b->disk[0].hold = true;
	send_read(b, 1, 1, 0, 0);
	fg_pump(&b->g);
	send_reset(b, 0, VSTOR_RESET_BUS, 0, 0);
	send_reset(b, 3, VSTOR_RESET_BUS, 0, 0);
	fg_pump(&b->g);
}

static void short_ones_are_refused(void **state)
{
	struct bed *b = *state;
	struct vstor_packet p = { 0 };

	bed_send(b, &b->ch[0], 1, VSTOR_RESET_LUN, &p, VSTOR_HEADER_SIZE + 4);
	assert_true(bed_answer(b, &b->ch[0], &p) == 1);
	assert_int_equal(p.status, NT_INVALID_PARAMETER);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, bed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_kind_is_answered_and_told),
		TEST(it_waits_for_requests_of_all_channels),
		TEST(a_unit_s_reset_waits_for_that_unit),
		TEST(what_is_begun_later_is_not_waited_for),
		TEST(resets_take_turns),
		TEST(channels_close_meanwhile),
		TEST(a_channel_leaves_that_was_asked),
		TEST(the_bus_goes_meanwhile),
		TEST(short_ones_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
