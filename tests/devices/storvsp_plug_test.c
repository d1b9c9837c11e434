/* SPDX-License-Identifier: BSD-2-Clause */
/* Disks that come, go and change while the guest uses their controller. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "tests/devices/storvsp_bed.h"
#include "tests/still_clock.h"

static struct disk *released;

static void on_released(void *ctx, struct disk *disk)
{
	(void)ctx;
	assert_null(released);
	released = disk;
}

static int setup(void **state)
{
	struct bed *b = bed_start(1);

	released = NULL;
	storvsp_on_released(b->s, on_released, b);
	*state = b;
	return 0;
}

/* The guest was told to scan, once. */
static void expect_rescan(struct bed *b)
{
	struct fg_packet pkt;
	u32 operation;

	fg_pump(&b->g);
	assert_int_equal(fg_recv(&b->ch[0], b->buf, sizeof(b->buf), &pkt), 1);
	memcpy(&operation, pkt.payload, 4);
	assert_int_equal(operation, VSTOR_ENUMERATE_BUS);
	assert_int_equal(pkt.type, VMBUS_PACKET_INBAND);
	for (unsigned i = 0; i <= BED_SUBS; i++)
		bed_expect_none(b, &b->ch[i]);
}

static void expect_attention(struct bed *b, u8 target, u8 lun, u16 asc)
{
	struct vstor_packet p = bed_command(b, &b->ch[2], target, lun);

	assert_int_equal(p.srb.sense_data[2] & 0xf, SCSI_UNIT_ATTENTION);
	assert_int_equal(p.srb.sense_data[12] << 8 | p.srb.sense_data[13], asc);
	assert_int_equal(bed_command(b, &b->ch[2], target, lun).status, NT_SUCCESS);
}

static void expect_absent(struct bed *b, unsigned channel, u8 target, u8 lun)
{
	struct vstor_packet p = bed_command(b, &b->ch[channel], target, lun);

	assert_int_equal(p.srb.srb_status, SRB_INVALID_LUN | SRB_AUTOSENSE_VALID);
	assert_int_equal(p.status, NT_DEVICE_DOES_NOT_EXIST);
}

static void a_disk_comes(void **state)
{
	struct bed *b = *state;

	/* None of those there from the start was told anything. */
	assert_int_equal(bed_command(b, &b->ch[1], 0, 0).status, NT_SUCCESS);
	bed_attach(b, 1, STORVSP_UNIT(1, 7));
	expect_rescan(b);
	expect_attention(b, 0, 0, 0x3f0e);
	for (unsigned i = 0; i <= BED_SUBS; i++)
		if (i)
			assert_int_equal(bed_command(b, &b->ch[i], 1, 7).status, NT_SUCCESS);
		else
			bed_command(b, &b->ch[i], 1, 7);
}

static void a_disk_goes(void **state)
{
	struct bed *b = *state;

	assert_int_equal(storvsp_detach(b->s, STORVSP_UNIT(0, 0)), 0);
	assert_ptr_equal(released, &b->disk[0].disk);
	assert_false(b->disk[0].closed);
	released->ops->close(released);
	expect_rescan(b);
	for (unsigned i = 0; i <= BED_SUBS; i++)
		expect_absent(b, i, 0, 0);
	assert_int_equal(storvsp_detach(b->s, STORVSP_UNIT(0, 0)), -ENOENT);
	assert_int_equal(storvsp_detach(b->s, STORVSP_UNITS), -ENOENT);
	assert_int_equal(storvsp_resize(b->s, STORVSP_UNITS, 512), -ENOENT);
	bed_attach(b, 0, STORVSP_UNIT(0, 0));
	expect_rescan(b);
	bed_command(b, &b->ch[0], 0, 0);
	assert_int_equal(bed_command(b, &b->ch[0], 0, 0).status, NT_SUCCESS);
}

static void requests_under_way_end_first(void **state)
{
	struct bed *b = *state;
	struct disk *other = disk_mem_open(BED_DISK_SIZE, BED_BLOCK);
	struct vstor_packet p;

	b->disk[0].hold = true;
	for (unsigned i = 0; i <= BED_SUBS; i++)
		assert_int_equal(bed_read_write(b, &b->ch[i], i, SCSI_READ_10, 0, 0, 0), 0);
	fg_pump(&b->g);
	assert_int_equal(storvsp_detach(b->s, 0), 0);
	expect_rescan(b);
	expect_absent(b, 1, 0, 0);
	assert_null(released);
	assert_int_equal(storvsp_attach(b->s, 0, other), -EBUSY);
	held_disk_release(&b->disk[0]);
	for (unsigned i = 0; i <= BED_SUBS; i++) {
		assert_true(bed_answer(b, &b->ch[i], &p) == i);
		assert_int_equal(p.status, NT_SUCCESS);
	}
	assert_ptr_equal(released, &b->disk[0].disk);
	released->ops->close(released);
	assert_int_equal(storvsp_attach(b->s, 0, other), 0);
	expect_rescan(b);
}

/* A rate limit holds them, in lanes of both loops: the last one takes the disk with it. */
static void requests_that_wait_for_a_limit_end_first(void **state)
{
	struct bed *b = *state;
	struct disk *slow = disk_mem_open(BED_DISK_SIZE, BED_BLOCK);
	struct fg_packet pkt;
	unsigned ended = 0;

	assert_int_equal(disk_limit_open(&slow, slow, 500, 0, 10), 0);
	assert_int_equal(storvsp_attach(b->s, 1, slow), 0);
	expect_rescan(b);
	for (unsigned i = 0; i <= BED_SUBS; i++)
		bed_command(b, &b->ch[0], 0, 1); /* attentions */
	for (unsigned i = 0; i < 10 * (BED_SUBS + 1); i++)
		assert_int_equal(
			bed_read_write(b, &b->ch[i % (BED_SUBS + 1)], i, SCSI_READ_10, 0, 1, 0), 0);
	fg_pump(&b->g);
	assert_int_equal(storvsp_detach(b->s, 1), 0);
	assert_null(released);
	/* Two milliseconds each, but for the burst. */
	for (unsigned ms = 0; ms < 2 * 10 * (BED_SUBS + 1); ms++) {
		still_clock_pass(NSEC_PER_MSEC);
		fg_pump(&b->g);
		for (unsigned i = 0; i <= BED_SUBS; i++)
			while (fg_recv(&b->ch[i], b->buf, sizeof(b->buf), &pkt) == 1)
				ended += pkt.type == VMBUS_PACKET_COMPLETION;
	}
	assert_int_equal(ended, 10 * (BED_SUBS + 1));
	assert_ptr_equal(released, slow);
	slow->ops->close(slow);
}

static void a_reset_and_a_disk_that_goes(void **state)
{
	struct bed *b = *state;
	struct vstor_packet p = bed_unit_ready(0, 0);

	b->disk[0].hold = true;
	assert_int_equal(bed_read_write(b, &b->ch[1], 1, SCSI_READ_10, 0, 0, 0), 0);
	fg_pump(&b->g);
	bed_send(b, &b->ch[2], 2, VSTOR_RESET_LUN, &p, sizeof(p));
	fg_pump(&b->g);
	assert_int_equal(storvsp_detach(b->s, 0), 0);
	expect_rescan(b);
	held_disk_release(&b->disk[0]);
	assert_true(bed_answer(b, &b->ch[1], &p) == 1);
	assert_true(bed_answer(b, &b->ch[2], &p) == 2);
	assert_int_equal(p.status, NT_SUCCESS);
	assert_ptr_equal(released, &b->disk[0].disk);
	released->ops->close(released);
}

static void a_disk_grows(void **state)
{
	struct bed *b = *state;

	assert_int_equal(storvsp_resize(b->s, 0, BED_DISK_SIZE), 0);
	expect_rescan(b);
	assert_int_equal(bed_command(b, &b->ch[0], 0, 0).status, NT_SUCCESS);
	assert_int_equal(storvsp_resize(b->s, 0, BED_DISK_SIZE / 2), 0);
	expect_rescan(b);
	expect_attention(b, 0, 0, 0x2a09);
}

static void a_medium_is_changed(void **state)
{
	struct bed *b = *state;
	struct disk *iso = disk_mem_open(BED_DISK_SIZE, BED_BLOCK);

	assert_int_equal(storvsp_change(b->s, 0, NULL), -EINVAL);
	assert_int_equal(storvsp_change(b->s, 1, NULL), -ENOENT);
	assert_int_equal(storvsp_eject(b->s, 1), -ENOENT);
	assert_int_equal(storvsp_attach_dvd(b->s, 1, NULL), 0);
	expect_rescan(b);
	assert_int_equal(storvsp_change(b->s, 1, iso), 0);
	bed_expect_none(b, &b->ch[0]);
	assert_int_equal(storvsp_eject(b->s, 1), 0);
	assert_int_equal(storvsp_change(b->s, 1, NULL), 0);
	assert_ptr_equal(released, iso);
	iso->ops->close(iso);
}

static void nobody_is_told_where_nobody_is(void **state)
{
	struct bed *b = *state;

	assert_int_equal(fg_unload(&b->g), 0);
	bed_attach(b, 1, 1);
	assert_int_equal(fg_connect(&b->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(fg_request_offers(&b->g), 0);
	assert_int_equal(fg_open(&b->g, &b->ch[0], &b->g.offer[0], NULL), 0);
	bed_handshake(b, VSTOR_VERSION_WIN10);
	bed_expect_none(b, &b->ch[0]);
	assert_int_equal(bed_command(b, &b->ch[0], 0, 0).status, NT_SUCCESS);
	assert_int_equal(bed_command(b, &b->ch[0], 0, 1).status, NT_SUCCESS);
}

static void not_released_to_anybody_it_is_closed(void **state)
{
	struct bed *b = *state;

	storvsp_on_released(b->s, NULL, NULL);
	assert_int_equal(storvsp_detach(b->s, 0), 0);
	assert_true(b->disk[0].closed);
}

static int setup_still(void **state)
{
	int err = setup(state);

	still_clock_begin();
	return err;
}

static int teardown_still(void **state)
{
	still_clock_end();
	return bed_teardown(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, bed_teardown)
#define LIMIT(f) cmocka_unit_test_setup_teardown(f, setup_still, teardown_still)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_disk_comes),
		TEST(a_disk_goes),
		TEST(requests_under_way_end_first),
		LIMIT(requests_that_wait_for_a_limit_end_first),
		TEST(a_reset_and_a_disk_that_goes),
		TEST(a_disk_grows),
		TEST(a_medium_is_changed),
		TEST(nobody_is_told_where_nobody_is),
		TEST(not_released_to_anybody_it_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
