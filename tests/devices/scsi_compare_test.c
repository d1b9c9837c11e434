/* SPDX-License-Identifier: BSD-2-Clause */
/* VERIFY, WRITE AND VERIFY, COMPARE AND WRITE, WRITE SAME of a pattern. */
#include "tests/devices/scsi_bed.h"

static void fill(struct bed *b, u32 blocks)
{
	for (u32 i = 0; i < blocks * BLOCK; i++)
		b->buf[i] = (u8)(i / BLOCK * 7 + i);
}

/* What fill() makes is at the block 16. */
static void write_filled(struct bed *b, u32 blocks)
{
	fill(b, blocks);
	RUN(b, blocks * BLOCK, SCSI_WRITE_10, 0, 0, 0, 0, 16, 0, (u8)(blocks >> 8), (u8)blocks, 0);
	assert_good(b, blocks * BLOCK);
}

static void assert_differs_at(const struct bed *b, u32 at)
{
	assert_sense(b, SCSI_MISCOMPARE, SCSI_ASC_MISCOMPARE);
	assert_true(b->r->sense.informed);
	assert_int_equal(b->r->sense.information, at);
}

static void verify_compares_all_sizes(void **state)
{
	struct bed *b = *state;

	write_filled(b, 40);
	RUN(b, 40 * BLOCK, SCSI_VERIFY_10, 0x02, 0, 0, 0, 16, 0, 0, 40, 0);
	assert_good(b, 40 * BLOCK);
	RUN(b, 40 * BLOCK, SCSI_VERIFY_12, 0x02, 0, 0, 0, 16, 0, 0, 0, 40, 0, 0);
	assert_good(b, 40 * BLOCK);
	RUN(b, 40 * BLOCK, SCSI_VERIFY_16, 0x02, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 40, 0, 0);
	assert_good(b, 40 * BLOCK);
	b->buf[33 * BLOCK + 5] ^= 1;
	RUN(b, 40 * BLOCK, SCSI_VERIFY_10, 0x02, 0, 0, 0, 16, 0, 0, 40, 0);
	assert_differs_at(b, 33 * BLOCK + 5);
	RUN(b, 0, SCSI_VERIFY_10, 0, 0, 0, 0, 16, 0, 0, 40, 0);
	assert_good(b, 0);
}

static void verify_compares_each_block_with_one(void **state)
{
	struct bed *b = *state;

	memset(b->buf, 0, BLOCK);
	RUN(b, BLOCK, SCSI_VERIFY_10, 0x06, 0, 0, 0, 0, 0, 0, 30, 0);
	assert_good(b, BLOCK);
	b->buf[9] = 1;
	RUN(b, BLOCK, SCSI_WRITE_10, 0, 0, 0, 0, 29, 0, 0, 1, 0);
	b->buf[9] = 0;
	RUN(b, BLOCK, SCSI_VERIFY_10, 0x06, 0, 0, 0, 0, 0, 0, 30, 0);
	assert_differs_at(b, 29 * BLOCK + 9);
}

static void verify_refuses(void **state)
{
	static const u8 bad[][10] = {
		{ SCSI_VERIFY_10, 0x04, [8] = 1 }, /* BYTCHK 2, which there is not */
		{ SCSI_VERIFY_10, 0x22, [8] = 1 },
		{ SCSI_VERIFY_10, 0x02, [8] = 2 }, /* more than the data */
		{ SCSI_VERIFY_10, 0x02, [7] = 0x0a },
	};
	struct bed *b = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		bed_run_at(b, &b->target, 0, bad[i], sizeof(bad[i]), BLOCK);
		assert_bad_cdb(b);
	}
	RUN(b, BLOCK, SCSI_VERIFY_10, 0x02, 0, 0, 0x10, 0, 0, 0, 1, 0);
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	b->spy.err = -EIO;
	b->spy.disk.read_only = true; /* else it ends with the flush before */
	RUN(b, BLOCK, SCSI_VERIFY_10, 0x02, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_sense(b, SCSI_MEDIUM_ERROR, SCSI_ASC_READ_ERROR);
}

static void write_and_verify_is_on_the_medium(void **state)
{
	struct bed *b = *state;

	RUN(b, BLOCK, SCSI_WRITE_VERIFY_10, 0, 0, 0, 0, 1, 0, 0, 1, 0);
	assert_good(b, BLOCK);
	assert_true(b->spy.last.fua);
	RUN(b, BLOCK, SCSI_WRITE_VERIFY_12, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0);
	assert_good(b, BLOCK);
	RUN(b, BLOCK, SCSI_WRITE_VERIFY_16, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0);
	assert_good(b, BLOCK);
	RUN(b, BLOCK, SCSI_WRITE_VERIFY_10, 4, 0, 0, 0, 1, 0, 0, 1, 0);
	assert_bad_cdb(b);
	assert_int_equal(b->spy.count, 3);
}

static const u8 compare_cdb[16] = { SCSI_COMPARE_AND_WRITE, [9] = 16, [13] = 1 };

static void compare_and_write_does_both_or_neither(void **state)
{
	struct bed *b = *state;

	write_filled(b, 1);
	memset(b->buf + BLOCK, 0x55, BLOCK);
	bed_run_at(b, &b->target, 0, compare_cdb, 16, 2 * BLOCK);
	assert_good(b, 2 * BLOCK);
	assert_int_equal(b->spy.last.kind, DISK_WRITE);
	assert_false(b->spy.last.fua);
	bed_run_at(b, &b->target, 0, compare_cdb, 16, 2 * BLOCK);
	assert_differs_at(b, 0);
	memset(b->buf, 0x55, BLOCK);
	b->buf[BLOCK - 1] = 0;
	bed_run_at(b, &b->target, 0, compare_cdb, 16, 2 * BLOCK);
	assert_differs_at(b, BLOCK - 1);
	assert_int_equal(b->spy.kinds[DISK_WRITE], 2);
	RUN(b, BLOCK, SCSI_READ_10, 0, 0, 0, 0, 16, 0, 0, 1, 0);
	assert_int_equal(b->buf[BLOCK - 1], 0x55);
}

static void compare_and_write_refuses(void **state)
{
	struct bed *b = *state;

	bed_run_at(b, &b->target, 0, compare_cdb, 16, BLOCK);
	assert_bad_cdb(b);
	RUN(b, 18 * BLOCK, SCSI_COMPARE_AND_WRITE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0);
	assert_bad_cdb(b);
	RUN(b, 2 * BLOCK, SCSI_COMPARE_AND_WRITE, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 1, 0, 0);
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	RUN(b, 0, SCSI_COMPARE_AND_WRITE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_good(b, 0);
	assert_int_equal(b->spy.count, 0);
	b->spy.err = -EIO;
	bed_run_at(b, &b->target, 0, compare_cdb, 16, 2 * BLOCK);
	assert_sense(b, SCSI_MEDIUM_ERROR, SCSI_ASC_READ_ERROR);
	b->spy.err = 0;
	memset(b->buf, 0, 2 * BLOCK);
	bed_run_at(b, &b->target, 0, compare_cdb, 16, 2 * BLOCK);
	assert_good(b, 2 * BLOCK);
	b->spy.disk.read_only = true;
	bed_run_at(b, &b->target, 0, compare_cdb, 16, 2 * BLOCK);
	assert_sense(b, SCSI_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
}

/* Three at once from 0 to 1, of which one may win; a fourth on another unit waits for none. */
static void compare_and_writes_take_turns(void **state)
{
	struct bed *b = *state;
	struct scsi_request *r = calloc(4, sizeof(*r));
	static u8 bytes[4][2 * BLOCK];
	unsigned good = 0;

	b->spy.hold = true;
	for (unsigned i = 0; i < 4; i++) {
		memset(bytes[i], 0, BLOCK);
		memset(bytes[i] + BLOCK, (int)i + 1, BLOCK);
		b->lun = i == 3 ? 7 : 0;
		bed_begin(b, &r[i], compare_cdb, 16, bytes[i], 2 * BLOCK);
		r[i].status = 0xff;
	}
	for (unsigned i = 0; i < 10; i++)
		bed_turn(b);
	assert_int_equal(b->spy.held_count, 1);
	assert_int_equal(r[3].status, SCSI_GOOD);
	r[3].status = 0xff;
	memset(b->buf, 0, BLOCK);
	RUN(b, BLOCK, SCSI_WRITE_10, 0, 0, 0, 0, 16, 0, 0, 1, 0);
	spy_release(&b->spy);
	for (unsigned i = 0; i < 20; i++)
		bed_turn(b);
	for (unsigned i = 0; i < 3; i++) {
		good += r[i].status == SCSI_GOOD;
		assert_true(r[i].status == SCSI_GOOD || r[i].sense.key == SCSI_MISCOMPARE);
	}
	assert_int_equal(good, 1);
	b->lun = 0;
	RUN(b, BLOCK, SCSI_READ_10, 0, 0, 0, 0, 16, 0, 0, 1, 0);
	assert_int_equal(b->buf[0], 1);
	free(r);
}

static void write_same_repeats_a_pattern(void **state)
{
	struct bed *b = *state;

	fill(b, 1);
	RUN(b, BLOCK, SCSI_WRITE_SAME_16, 0x08, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0x0f, 0, 0, 0);
	assert_good(b, BLOCK);
	assert_int_equal(b->spy.kinds[DISK_WRITE], 2);
	for (u32 lba = 0; lba < 3 + 0xf00 + 1; lba += 3 + 0xf00) {
		RUN(b, BLOCK, SCSI_READ_10, 0, 0, 0, (u8)(lba >> 8), (u8)lba, 0, 0, 1, 0);
		assert_int_equal(b->buf[1], 0);
	}
	fill(b, 1);
	RUN(b, BLOCK, SCSI_VERIFY_16, 0x06, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0x07, 0, 0, 0);
	assert_good(b, BLOCK);
	RUN(b, BLOCK, SCSI_VERIFY_16, 0x06, 0, 0, 0, 0, 0, 0, 0x07, 3, 0, 0, 0x08, 0, 0, 0);
	assert_good(b, BLOCK);
	b->spy.err = -ENOSPC;
	RUN(b, BLOCK, SCSI_WRITE_SAME_10, 0, 0, 0, 0, 3, 0, 0x0f, 0, 0);
	assert_sense(b, SCSI_DATA_PROTECT, SCSI_ASC_SPACE_ALLOCATION_FAILED);
}

static void blocks_of_4096(void **state)
{
	struct bed *b = *state;

	RUN(b, 8, SCSI_READ_CAPACITY_10, 0);
	assert_int_equal(scsi_get32(b->buf), BLOCKS / 8 - 1);
	assert_int_equal(scsi_get32(b->buf + 4), 4096);
	fill(b, 16);
	RUN(b, 8192, SCSI_WRITE_10, 0, 0, 0, 0, 4, 0, 0, 2, 0);
	assert_good(b, 8192);
	assert_int_equal(b->spy.last.offset, 4 * 4096);
	RUN(b, 8192, SCSI_VERIFY_10, 2, 0, 0, 0, 4, 0, 0, 2, 0);
	assert_good(b, 8192);
	RUN(b, 16384, SCSI_COMPARE_AND_WRITE, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0);
	assert_bad_cdb(b);
	RUN(b, 8192, SCSI_COMPARE_AND_WRITE, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0);
	assert_good(b, 8192);
	RUN(b, 4096, SCSI_WRITE_SAME_10, 0, 0, 0, 0, 10, 0, 0, 3, 0);
	assert_good(b, 4096);
	assert_int_equal(b->spy.last.len, 3 * 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(verify_compares_all_sizes),
		TEST(verify_compares_each_block_with_one),
		TEST(verify_refuses),
		TEST(write_and_verify_is_on_the_medium),
		TEST(compare_and_write_does_both_or_neither),
		TEST(compare_and_write_refuses),
		TEST(compare_and_writes_take_turns),
		TEST(write_same_repeats_a_pattern),
		TEST_4K(blocks_of_4096),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
