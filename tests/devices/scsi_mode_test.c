/* SPDX-License-Identifier: BSD-2-Clause */
/* Mode parameters, logs, and what is told of the commands there are. */
#include "tests/devices/scsi_bed.h"

#define WCE 0x04
#define PAGES_PF 0x10

/* A list for MODE SELECT(6) with the page that MODE SENSE tells; its bytes. */
static u8 page_list(struct bed *b, u8 page)
{
	u8 len;

	RUN(b, 255, SCSI_MODE_SENSE_6, 0, page, 0, 255, 0);
	assert_int_equal(b->r->status, SCSI_GOOD);
	len = (u8)(b->buf[0] + 1);
	b->buf[0] = 0;
	return len;
}

static void select_6(struct bed *b, u8 len)
{
	RUN(b, len, SCSI_MODE_SELECT_6, PAGES_PF, 0, 0, len, 0);
}

static void set_write_cache(struct bed *b, bool on)
{
	u8 len = page_list(b, SCSI_MODE_CACHING);

	b->buf[6] = on ? WCE : 0;
	select_6(b, len);
	assert_good(b, len);
}

static void no_write_cache_means_write_through(void **state)
{
	struct bed *b = *state;

	set_write_cache(b, false);
	assert_int_equal(b->spy.kinds[DISK_FLUSH], 1); /* what was cached before */
	RUN(b, 255, SCSI_MODE_SENSE_6, 0, SCSI_MODE_CACHING, 0, 255, 0);
	assert_int_equal(b->buf[6], 0);
	RUN(b, 255, SCSI_MODE_SENSE_6, 0, 0x80 | SCSI_MODE_CACHING, 0, 255, 0);
	assert_int_equal(b->buf[6], WCE);
	RUN(b, BLOCK, SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_true(b->spy.last.fua);
	RUN(b, BLOCK, SCSI_WRITE_6, 0, 0, 0, 1, 0);
	assert_true(b->spy.last.fua);
	RUN(b, 0, SCSI_WRITE_SAME_16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0);
	assert_true(b->spy.last.fua);
	b->lun = 7;
	RUN(b, BLOCK, SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_false(b->spy7.last.fua);
	b->lun = 0;
	set_write_cache(b, true);
	RUN(b, BLOCK, SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_false(b->spy.last.fua);
	assert_int_equal(b->spy.kinds[DISK_FLUSH], 1);
}

/* Writes under way then end as those do that begin after it: the guest flushes no more. */
static void what_is_under_way_is_put_through_too(void **state)
{
	static const u8 write[] = { SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0 };
	static const u8 same[16] = { SCSI_WRITE_SAME_16, 1, [13] = 1 };
	struct scsi_request *r = calloc(2, sizeof(*r));
	struct bed *b = *state;
	u8 buf[BLOCK] = { 1 };

	b->spy.hold = true;
	bed_begin(b, &r[0], write, sizeof(write), buf, BLOCK);
	bed_begin(b, &r[1], same, sizeof(same), NULL, 0);
	assert_int_equal(b->spy.held_count, 2);
	b->spy.hold = false;
	set_write_cache(b, false);
	assert_int_equal(b->spy.kinds[DISK_FLUSH], 1);
	spy_release(&b->spy);
	bed_turn(b);
	bed_turn(b);
	assert_int_equal(b->spy.kinds[DISK_FLUSH], 3);
	assert_int_equal(r[0].status, SCSI_GOOD);
	assert_int_equal(r[0].transferred, BLOCK);
	free(r);
}

static void a_cache_that_cannot_be_flushed_is_an_error(void **state)
{
	struct bed *b = *state;
	u8 len = page_list(b, SCSI_MODE_CACHING);

	b->buf[6] = 0;
	b->spy.err = -EIO;
	select_6(b, len);
	assert_sense(b, SCSI_MEDIUM_ERROR, SCSI_ASC_WRITE_ERROR);
	/* Nor is it none when the guest asks again. */
	select_6(b, len);
	assert_sense(b, SCSI_MEDIUM_ERROR, SCSI_ASC_WRITE_ERROR);
	b->spy.err = 0;
	select_6(b, len);
	assert_good(b, len);
	assert_int_equal(b->spy.kinds[DISK_FLUSH], 3);
}

static void other_initiators_are_told(void **state)
{
	struct bed *b = *state;

	set_write_cache(b, false);
	RUN(b, 0, SCSI_TEST_UNIT_READY, 0);
	assert_good(b, 0);
	b->nexus = 1;
	RUN(b, 0, SCSI_TEST_UNIT_READY, 0);
	assert_sense(b, SCSI_UNIT_ATTENTION, SCSI_ASC_MODE_PARAMETERS_CHANGED);
	RUN(b, 0, SCSI_TEST_UNIT_READY, 0);
	assert_good(b, 0);
	set_write_cache(b, false); /* as it was: no news */
	b->nexus = 0;
	RUN(b, 0, SCSI_TEST_UNIT_READY, 0);
	assert_good(b, 0);
	b->nexus = 2;
	RUN(b, 0, SCSI_TEST_UNIT_READY, 0);
	assert_sense(b, SCSI_UNIT_ATTENTION, SCSI_ASC_MODE_PARAMETERS_CHANGED);
	RUN(b, 0, SCSI_TEST_UNIT_READY, 0);
	assert_good(b, 0);
}

/*
 * A guest to which a MODE SENSE that failed looks like one without data would take a disk that was
 * just resized, say, for one without a cache, and flush no more.
 */
static void no_attention_keeps_the_cache_from_being_told(void **state)
{
	struct bed *b = *state;

	scsi_unit_attention(scsi_target_unit(&b->target, 0), SCSI_ASC_CAPACITY_CHANGED);
	RUN(b, 255, SCSI_MODE_SENSE_6, 0, SCSI_MODE_CACHING, 0, 255, 0);
	assert_good(b, 4 + 20);
	assert_int_equal(b->buf[6], WCE);
	RUN(b, 255, SCSI_MODE_SENSE_10, 0, SCSI_MODE_CACHING, 0, 0, 0, 0, 0, 255, 0);
	assert_good(b, 8 + 20);
	assert_int_equal(b->buf[10], WCE);
	bed_expect_attention(b, 0, SCSI_ASC_CAPACITY_CHANGED);
	bed_expect_attention(b, 0, 0);
}

static void sense_by_descriptors(void **state)
{
	struct bed *b = *state;
	u8 len = page_list(b, SCSI_MODE_CONTROL), sense[SCSI_SENSE_MAX];

	b->buf[6] |= 0x04;
	select_6(b, len);
	assert_good(b, len);
	RUN(b, 0, 0xff, 0);
	assert_int_equal(scsi_sense_write(b->r, sense, sizeof(sense)), 8);
	assert_int_equal(sense[0], 0x72);
	assert_int_equal(sense[1], SCSI_ILLEGAL_REQUEST);
	assert_int_equal(scsi_get16(sense + 2), SCSI_ASC_INVALID_OPCODE);
	memset(b->buf, 1, BLOCK);
	RUN(b, BLOCK, SCSI_VERIFY_10, 2, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_int_equal(scsi_sense_write(b->r, sense, sizeof(sense)), 20);
	assert_int_equal(sense[7], 12);
	assert_int_equal(scsi_get64(sense + 12), 0);
	assert_int_equal(scsi_sense_write(b->r, sense, 5), 5);
	scsi_unit_reset(scsi_target_unit(&b->target, 0));
	RUN(b, 0, SCSI_TEST_UNIT_READY, 0);
	assert_int_equal(scsi_sense_write(b->r, sense, sizeof(sense)), 18);
	assert_int_equal(sense[0], 0x70);
	assert_int_equal(sense[2], SCSI_UNIT_ATTENTION);
	assert_int_equal(scsi_get16(sense + 12), SCSI_ASC_RESET);
}

static void several_pages_in_one_list(void **state)
{
	struct bed *b = *state;
	u16 len;

	RUN(b, 255, SCSI_MODE_SENSE_10, 0, SCSI_MODE_ALL, 0, 0, 0, 0, 0, 255, 0);
	assert_int_equal(b->r->status, SCSI_GOOD);
	len = (u16)(scsi_get16(b->buf) + 2);
	b->buf[8 + 12 + 2] = 0; /* behind the page on recovery: WCE */
	RUN(b, len, SCSI_MODE_SELECT_10, PAGES_PF, 0, 0, 0, 0, 0, (u8)(len >> 8), (u8)len, 0);
	assert_good(b, len);
	RUN(b, BLOCK, SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_true(b->spy.last.fua);
	/* One bad byte, and nothing of the list counts. */
	RUN(b, 255, SCSI_MODE_SENSE_10, 0, SCSI_MODE_ALL, 0, 0, 0, 0, 0, 255, 0);
	b->buf[8 + 12 + 2] = WCE;
	b->buf[len - 1] = 1;
	RUN(b, len, SCSI_MODE_SELECT_10, PAGES_PF, 0, 0, 0, 0, 0, (u8)(len >> 8), (u8)len, 0);
	assert_bad_list(b);
	RUN(b, BLOCK, SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_true(b->spy.last.fua);
}

static void mode_select_refuses(void **state)
{
	struct bed *b = *state;
	u8 len = page_list(b, SCSI_MODE_CACHING);

	RUN(b, len, SCSI_MODE_SELECT_6, 0, 0, 0, len, 0);
	assert_bad_cdb(b);
	RUN(b, len, SCSI_MODE_SELECT_6, PAGES_PF | 1, 0, 0, len, 0);
	assert_bad_cdb(b);
	select_6(b, (u8)(len - 1));
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH);
	RUN(b, len - 1, SCSI_MODE_SELECT_6, PAGES_PF, 0, 0, len, 0);
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH);
	b->buf[6] = WCE | 1; /* RCD */
	select_6(b, len);
	assert_bad_list(b);
	b->buf[6] = WCE;
	b->buf[5]++; /* the page's length */
	select_6(b, len);
	assert_bad_list(b);
	b->buf[5]--;
	b->buf[4] = 0x1d;
	select_6(b, len);
	assert_bad_list(b);
	b->buf[4] = SCSI_MODE_CACHING;
	b->buf[3] = 250; /* the block descriptors' length */
	select_6(b, len);
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH);
	RUN(b, 0, SCSI_MODE_SELECT_6, PAGES_PF, 0, 0, 0, 0);
	assert_good(b, 0);
}

static void a_block_descriptor_is_passed_over(void **state)
{
	struct bed *b = *state;
	u8 len = page_list(b, SCSI_MODE_CACHING);

	memmove(b->buf + 12, b->buf + 4, len - 4u);
	memset(b->buf + 4, 0, 8);
	b->buf[3] = 8;
	b->buf[14] = 0;
	select_6(b, (u8)(len + 8));
	assert_good(b, len + 8);
	RUN(b, BLOCK, SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_true(b->spy.last.fua);
}

static void log_pages(void **state)
{
	struct bed *b = *state;
	u8 pages[8], count;

	b->spy.err = -EIO;
	for (unsigned i = 0; i < 3; i++)
		RUN(b, BLOCK, SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	RUN(b, BLOCK, SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	RUN(b, 255, SCSI_LOG_SENSE, 0, 0x40, 0, 0, 0, 0, 0, 255, 0);
	count = b->buf[3];
	assert_good(b, 4 + count);
	memcpy(pages, b->buf + 4, count);
	for (unsigned i = 0; i < count; i++) {
		RUN(b, 255, SCSI_LOG_SENSE, 0, 0x40 | pages[i], 0, 0, 0, 0, 0, 255, 0);
		assert_good(b, 4 + scsi_get16(b->buf + 2));
		assert_int_equal(b->buf[0], pages[i]);
	}
	RUN(b, 255, SCSI_LOG_SENSE, 0, 0x43, 0, 0, 0, 0, 0, 255, 0);
	assert_int_equal(scsi_get16(b->buf + 16), 6);
	assert_int_equal(scsi_get64(b->buf + 20), 3);
	RUN(b, 255, SCSI_LOG_SENSE, 0, 0x42, 0, 0, 0, 0, 0, 255, 0);
	assert_int_equal(scsi_get64(b->buf + 20), 1);
	RUN(b, 255, SCSI_LOG_SENSE, 0, 0x42, 0, 0, 0, 0, 0, 6, 0);
	assert_good(b, 6);
	RUN(b, 255, SCSI_LOG_SENSE, 0, 0x40, 0xff, 0, 0, 0, 0, 255, 0);
	assert_good(b, 4 + 2 * count);
	RUN(b, 255, SCSI_LOG_SENSE, 0, 0x55, 0, 0, 0, 0, 0, 255, 0);
	assert_bad_cdb(b);
	RUN(b, 255, SCSI_LOG_SENSE, 1, 0x42, 0, 0, 0, 0, 0, 255, 0);
	assert_bad_cdb(b);
}

/* Whether the unit has the command, by REPORT SUPPORTED OPERATION CODES of one. */
static bool reported(struct bed *b, u8 opcode, u8 action)
{
	RUN(b, 64, SCSI_MAINTENANCE_IN, 0x0c, 3, opcode, 0, action, 0, 0, 0, 64, 0, 0);
	assert_int_equal(b->r->status, SCSI_GOOD);
	if (b->buf[1] == 3)
		assert_int_equal(b->r->transferred, 4 + scsi_get16(b->buf + 2));
	return b->buf[1] == 3;
}

/* What is reported is carried out, and nothing else is. */
static void opcodes_are_those_there_are(void **state)
{
	struct bed *b = *state;
	unsigned listed, count = 0;

	RUN(b, 2048, SCSI_MAINTENANCE_IN, 0x0c, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0);
	listed = scsi_get32(b->buf) / 8;
	assert_good(b, 4 + 8 * listed);
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		bool any = false;

		for (u8 action = 0; action < 32; action++) {
			u8 row[4];
			bool there = reported(b, (u8)opcode, action);

			memcpy(row, b->buf + 4, 4);
			any |= there;
			count += there && (!action || row[1] & 0x1f);
			if (there)
				assert_int_equal(row[0], opcode);
		}
		RUN(b, 0, (u8)opcode, 0);
		assert_int_equal(!any, b->r->sense.asc == SCSI_ASC_INVALID_OPCODE);
	}
	assert_true(count >= listed);
	RUN(b, 2048, SCSI_MAINTENANCE_IN, 0x0c, 0x80, 0, 0, 0, 0, 0, 8, 0, 0, 0);
	assert_good(b, 4 + 20 * listed);
	RUN(b, 64, SCSI_MAINTENANCE_IN, 0x0c, 1, 0x5e, 0, 0, 0, 0, 0, 64, 0, 0);
	assert_bad_cdb(b);
	RUN(b, 64, SCSI_MAINTENANCE_IN, 0x0c, 2, 0x28, 0, 0, 0, 0, 0, 64, 0, 0);
	assert_bad_cdb(b);
	RUN(b, 64, SCSI_MAINTENANCE_IN, 0x0c, 2, 0x5e, 0, 9, 0, 0, 0, 64, 0, 0);
	assert_good(b, 4);
	assert_int_equal(b->buf[1], 1);
}

static void lba_status(void **state)
{
	struct bed *b = *state;

	RUN(b, 64, SCSI_SERVICE_ACTION_IN_16, 0x12, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 64, 0, 0);
	assert_good(b, 24);
	assert_int_equal(scsi_get64(b->buf + 8), 256);
	assert_int_equal(scsi_get32(b->buf + 16), BLOCKS - 256);
	RUN(b, 64, SCSI_SERVICE_ACTION_IN_16, 0x12, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 64, 0, 0);
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_write_cache_means_write_through),
		TEST(what_is_under_way_is_put_through_too),
		TEST(a_cache_that_cannot_be_flushed_is_an_error),
		TEST(other_initiators_are_told),
		TEST(no_attention_keeps_the_cache_from_being_told),
		TEST(sense_by_descriptors),
		TEST(several_pages_in_one_list),
		TEST(mode_select_refuses),
		TEST(a_block_descriptor_is_passed_over),
		TEST(log_pages),
		TEST(opcodes_are_those_there_are),
		TEST(lba_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
