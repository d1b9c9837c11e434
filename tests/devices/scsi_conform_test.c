/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What commands say of each other must be true: what is offered is carried out, the rest refused.
 */
#include "tests/devices/scsi_bed.h"

/* ---- WRITE AND VERIFY with BYTCHK ---- */

#define LBA 8
#define COUNT 20
#define BYTES (COUNT * BLOCK) /* two and a half of the pieces they are compared in */

/* A disk that says it has written what it has not, at one place. */
struct forgetful {
	struct disk disk, *below;
	u64 offset;
};

static void forgetful_submit(struct disk *disk, struct disk_op *op)
{
	struct forgetful *f = container_of(disk, struct forgetful, disk);

	if (op->kind == DISK_WRITE && op->offset == f->offset)
		disk_complete(op, 0);
	else
		disk_submit(f->below, op);
}

static const struct disk_ops forgetful_ops = { .submit = forgetful_submit };

static void fill(struct bed *b, u8 seed)
{
	for (unsigned i = 0; i < BYTES; i++)
		b->buf[i] = (u8)(seed + i * 7 + i / 256);
}

static void write_and_verify(struct bed *b)
{
	RUN(b, BYTES, SCSI_WRITE_VERIFY_16, 2, 0, 0, 0, 0, 0, 0, 0, LBA, 0, 0, 0, COUNT, 0, 0);
}

static void what_was_written_is_read_back(void **state)
{
	struct bed *b = *state;
	u8 was[BYTES];

	fill(b, 1);
	memcpy(was, b->buf, BYTES);
	write_and_verify(b);
	assert_good(b, BYTES);
	/* Compared is what the cache no longer holds. */
	assert_int_equal(b->spy.kinds[DISK_WRITE], 3);
	assert_int_equal(b->spy.kinds[DISK_FLUSH], 1);
	assert_int_equal(b->spy.kinds[DISK_READ], 3);
	assert_int_equal(b->spy.last.kind, DISK_READ);
	memset(b->buf, 0, BYTES);
	RUN(b, BYTES, SCSI_READ_10, 0, 0, 0, 0, LBA, 0, 0, COUNT, 0);
	assert_memory_equal(b->buf, was, BYTES);
	RUN(b, BLOCK, SCSI_WRITE_VERIFY_10, 2, 0, 0, 0, 1, 0, 0, 1, 0);
	assert_good(b, BLOCK);
	RUN(b, BLOCK, SCSI_WRITE_VERIFY_12, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0);
	assert_good(b, BLOCK);
	RUN(b, 0, SCSI_WRITE_VERIFY_10, 2, 0, 0, 0, 1, 0, 0, 0, 0);
	assert_good(b, 0);
	RUN(b, BLOCK, SCSI_WRITE_VERIFY_10, 2, 0, 0, 0, 1, 0, 0, 2, 0);
	assert_bad_cdb(b);
	RUN(b, BLOCK, SCSI_WRITE_VERIFY_10, 6, 0, 0, 0, 1, 0, 0, 1, 0);
	assert_bad_cdb(b);
	RUN(b, BLOCK, SCSI_WRITE_VERIFY_10, 2, 0, 0, 0x10, 0, 0, 0, 1, 0);
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
}

static void what_was_not_written_is_found(void **state)
{
	struct forgetful f = { .below = ((struct bed *)*state)->spy.below, .offset = 8192 };
	struct bed *b = *state;

	f.disk = *f.below;
	f.disk.ops = &forgetful_ops;
	b->spy.below = &f.disk;
	fill(b, 3);
	write_and_verify(b);
	assert_sense(b, SCSI_MISCOMPARE, SCSI_ASC_MISCOMPARE);
	assert_int_equal(b->r->sense.information, 8192 - LBA * BLOCK);
	b->spy.below = f.below;
}

static void each_step_may_fail(void **state)
{
	struct bed *b = *state;

	b->spy.err = -EIO;
	write_and_verify(b);
	assert_sense(b, SCSI_MEDIUM_ERROR, SCSI_ASC_WRITE_ERROR);
	assert_int_equal(b->spy.kinds[DISK_FLUSH], 0);
	for (enum disk_op_kind failing = DISK_READ; failing <= DISK_FLUSH; failing++) {
		const u8 cdb[] = { SCSI_WRITE_VERIFY_10, 2, 0, 0, 0, LBA, 0, 0, 1, 0 };

		b->spy.err = 0;
		b->spy.hold = true;
		b->done = false;
		bed_begin(b, b->r, cdb, sizeof(cdb), b->buf, BLOCK);
		while (!b->done) {
			b->spy.err = b->spy.last.kind == failing ? -EIO : 0;
			spy_release(&b->spy);
			b->spy.hold = true;
			bed_turn(b);
		}
		assert_sense(b, SCSI_MEDIUM_ERROR,
			     failing == DISK_READ ? SCSI_ASC_READ_ERROR : SCSI_ASC_WRITE_ERROR);
		b->spy.hold = false;
	}
}

/* ---- What is read from the medium itself ---- */

/* The kinds of requests a command of n bytes comes to, one digit each, the first first. */
static u32 asked(struct bed *b, const u8 *cdb, u32 n)
{
	u32 kinds = 0;

	b->done = false;
	b->spy.hold = true;
	bed_begin(b, b->r, cdb, n, b->buf, BLOCK);
	while (!b->done) {
		assert_int_equal(b->spy.held_count, 1);
		kinds = kinds * 10 + 1 + b->spy.held[0]->kind;
		spy_release(&b->spy);
		b->spy.hold = true;
		bed_turn(b);
	}
	b->spy.hold = false;
	assert_int_equal(b->r->status, SCSI_GOOD);
	return kinds;
}

static void turn_write_cache_off(struct bed *b)
{
	RUN(b, 24, SCSI_MODE_SENSE_6, 0x08, SCSI_MODE_CACHING, 0, 24, 0);
	assert_good(b, 24);
	b->buf[0] = 0;
	b->buf[6] = 0;
	RUN(b, 24, SCSI_MODE_SELECT_6, 0x10, 0, 0, 24, 0);
	assert_good(b, 24);
	memset(b->buf, 0, 24);
}

static void what_lies_in_a_cache_is_put_on_the_medium_first(void **state)
{
	enum { READ = DISK_READ + 1, FLUSH = DISK_FLUSH + 1, BOTH = FLUSH * 10 + READ };
	static const struct {
		u8 cdb[16], len;
		u32 asked, uncached;
	} rows[] = {
		{ { SCSI_READ_6, 0, [4] = 1 }, 6, READ, READ },
		{ { SCSI_READ_10, 0, [8] = 1 }, 10, READ, READ },
		{ { SCSI_READ_10, 0x10, [8] = 1 }, 10, READ, READ },
		{ { SCSI_READ_10, 0x08, [8] = 1 }, 10, BOTH, READ },
		{ { SCSI_READ_12, 0x18, [9] = 1 }, 12, BOTH, READ },
		{ { SCSI_READ_16, 0x08, [13] = 1 }, 16, BOTH, READ },
		{ { SCSI_READ_10, 0x08 }, 10, 0, 0 },
		{ { SCSI_VERIFY_10, 0, [8] = 1 }, 10, FLUSH, 0 },
		{ { SCSI_VERIFY_10, 0x02, [8] = 1 }, 10, BOTH, READ },
		{ { SCSI_VERIFY_12, 0x06, [9] = 1 }, 12, BOTH, READ },
		{ { SCSI_VERIFY_16, 0, [13] = 1 }, 16, FLUSH, 0 },
		{ { SCSI_VERIFY_10, 0 }, 10, 0, 0 },
	};
	struct bed *b = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(asked(b, rows[i].cdb, rows[i].len), rows[i].asked);
		b->spy.disk.read_only = true;
		assert_int_equal(asked(b, rows[i].cdb, rows[i].len), rows[i].uncached);
		b->spy.disk.read_only = false;
	}
	turn_write_cache_off(b);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(asked(b, rows[i].cdb, rows[i].len), rows[i].uncached);
}

static void nothing_is_read_where_that_fails(void **state)
{
	struct bed *b = *state;

	b->spy.err = -EIO;
	RUN(b, BLOCK, SCSI_READ_10, 0x08, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_sense(b, SCSI_MEDIUM_ERROR, SCSI_ASC_WRITE_ERROR);
	RUN(b, BLOCK, SCSI_VERIFY_10, 0x02, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_sense(b, SCSI_MEDIUM_ERROR, SCSI_ASC_WRITE_ERROR);
	RUN(b, 0, SCSI_VERIFY_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_sense(b, SCSI_MEDIUM_ERROR, SCSI_ASC_WRITE_ERROR);
	assert_int_equal(b->spy.kinds[DISK_READ], 0);
}

/* ---- Provisioning ---- */

static void supported(struct bed *b, u8 how, u8 opcode, u16 action, u8 expected)
{
	RUN(b, 512, SCSI_MAINTENANCE_IN, SCSI_SA_REPORT_SUPPORTED_OPCODES, how, opcode,
	    (u8)(action >> 8), (u8)action, 0, 0, 2, 0, 0, 0);
	assert_int_equal(b->r->status, SCSI_GOOD);
	assert_int_equal(b->buf[1], expected);
}

static bool listed(struct bed *b, u8 opcode)
{
	RUN(b, 4096, SCSI_MAINTENANCE_IN, SCSI_SA_REPORT_SUPPORTED_OPCODES, 0, 0, 0, 0, 0, 0, 16, 0,
	    0, 0);
	assert_int_equal(b->r->status, SCSI_GOOD);
	for (u32 at = 4; at < 4 + scsi_get32(b->buf); at += 8)
		if (b->buf[at] == opcode)
			return true;
	return false;
}

/* READ CAPACITY (16), VPD B0 and B2, the list of commands, and what becomes of them. */
static void expect_thin(struct bed *b, bool thin)
{
	RUN(b, 32, SCSI_SERVICE_ACTION_IN_16, SCSI_SA_READ_CAPACITY_16, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	    0, 0, 32, 0, 0);
	assert_int_equal(b->buf[14] >> 7, thin);
	RUN(b, 64, SCSI_INQUIRY, 1, SCSI_VPD_PROVISIONING, 0, 64, 0);
	assert_int_equal(b->buf[5], thin ? 0xe0 : 0);
	assert_int_equal(b->buf[6], thin ? 2 : 0);
	RUN(b, 64, SCSI_INQUIRY, 1, SCSI_VPD_BLOCK_LIMITS, 0, 64, 0);
	assert_int_equal(scsi_get32(b->buf + 20) != 0, thin);
	assert_int_equal(scsi_get32(b->buf + 24), thin ? SCSI_UNMAP_MAX : 0);
	supported(b, 1, SCSI_UNMAP, 0, thin ? 3 : 1);
	assert_int_equal(listed(b, SCSI_UNMAP), thin);
	assert_true(listed(b, SCSI_WRITE_SAME_16));
	memset(b->buf, 0, 24);
	RUN(b, 24, SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 24, 0);
	if (thin)
		assert_good(b, 24);
	else
		assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
	memset(b->buf, 0, BLOCK);
	RUN(b, BLOCK, SCSI_WRITE_SAME_16, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0);
	if (thin)
		assert_good(b, BLOCK);
	else
		assert_bad_cdb(b);
	memset(b->buf, 0, BLOCK);
	RUN(b, BLOCK, SCSI_WRITE_SAME_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_good(b, BLOCK);
}

static void provisioning_is_told_alike_everywhere(void **state)
{
	struct bed *b = *state;

	expect_thin(b, true);
	b->spy.disk.can_discard = false;
	expect_thin(b, false);
}

/* The most that VPD B0 names is carried out, a block more is not. */
static void limits_are_kept_to_the_block(void **state)
{
	struct bed *b = *state;
	u32 same, compare, transfer;

	RUN(b, 64, SCSI_INQUIRY, 1, SCSI_VPD_BLOCK_LIMITS, 0, 64, 0);
	compare = b->buf[5];
	transfer = scsi_get32(b->buf + 8);
	same = (u32)scsi_get64(b->buf + 36);
	assert_int_equal(transfer, SCSI_TRANSFER_MAX / BLOCK);
	RUN(b, 2 * compare * BLOCK, SCSI_COMPARE_AND_WRITE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	    (u8)compare, 0, 0);
	assert_int_equal(b->r->sense.asc, b->r->status ? SCSI_ASC_MISCOMPARE : 0);
	RUN(b, 2 * (compare + 1) * BLOCK, SCSI_COMPARE_AND_WRITE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	    0, (u8)(compare + 1), 0, 0);
	assert_bad_cdb(b);
	/* The disk is smaller than that: what comes first is the limit. */
	RUN(b, 0, SCSI_WRITE_SAME_16, 1, 0, 0, 0, 0, 0, 0, 0, 0, (u8)(same >> 24), (u8)(same >> 16),
	    (u8)(same >> 8), (u8)same, 0, 0);
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	same++;
	RUN(b, 0, SCSI_WRITE_SAME_16, 1, 0, 0, 0, 0, 0, 0, 0, 0, (u8)(same >> 24), (u8)(same >> 16),
	    (u8)(same >> 8), (u8)same, 0, 0);
	assert_bad_cdb(b);
}

/* ---- Lists ---- */

static void units_by_select_report(void **state)
{
	struct bed *b = *state;

	for (u8 which = 0; which < 4; which++) {
		RUN(b, 64, SCSI_REPORT_LUNS, 0, which, 0, 0, 0, 0, 0, 0, 64, 0, 0);
		if (which == 3) {
			assert_bad_cdb(b);
			continue;
		}
		assert_good(b, which == 1 ? 8 : 24);
		assert_int_equal(scsi_get32(b->buf), which == 1 ? 0 : 16);
	}
}

/* As Linux's sd asks, and sg_opcodes. */
static void commands_one_by_one(void **state)
{
	struct bed *b = *state;

	supported(b, 1, SCSI_INQUIRY, 0, 3);
	supported(b, 1, SCSI_WRITE_SAME_16, 0, 3);
	supported(b, 1, 0xff, 0, 1);
	supported(b, 3, SCSI_WRITE_SAME_16, 0, 3);
	supported(b, 3, SCSI_WRITE_SAME_16, 1, 1);
	supported(b, 3, SCSI_SERVICE_ACTION_IN_16, SCSI_SA_READ_CAPACITY_16, 3);
	supported(b, 2, SCSI_SERVICE_ACTION_IN_16, SCSI_SA_READ_CAPACITY_16, 3);
	supported(b, 2, SCSI_SERVICE_ACTION_IN_16, 0x20 | SCSI_SA_READ_CAPACITY_16, 1);
	supported(b, 3, SCSI_SERVICE_ACTION_IN_16, 0x100 | SCSI_SA_READ_CAPACITY_16, 1);
	RUN(b, 64, SCSI_MAINTENANCE_IN, SCSI_SA_REPORT_SUPPORTED_OPCODES, 2, SCSI_INQUIRY, 0, 0, 0,
	    0, 0, 64, 0, 0);
	assert_bad_cdb(b);
}

/* One without service actions is asked for (1): what the field of theirs holds says nothing. */
static void a_service_action_is_looked_at_where_one_is_meant(void **state)
{
	static const u16 actions[] = { 0,     1,    SCSI_SA_READ_CAPACITY_16,
				       0x1f,  0x20, 0x100 | SCSI_SA_READ_CAPACITY_16,
				       0xffff };
	struct bed *b = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(actions); i++) {
		u8 high = (u8)(actions[i] >> 8), low = (u8)actions[i];

		supported(b, 1, SCSI_INQUIRY, actions[i], 3);
		supported(b, 1, 0xff, actions[i], 1);
		RUN(b, 64, SCSI_MAINTENANCE_IN, SCSI_SA_REPORT_SUPPORTED_OPCODES, 1,
		    SCSI_SERVICE_ACTION_IN_16, high, low, 0, 0, 0, 64, 0, 0);
		assert_bad_cdb(b);
	}
}

static void a_self_test_is_passed(void **state)
{
	struct bed *b = *state;

	RUN(b, 0, SCSI_SEND_DIAGNOSTIC, 4, 0, 0, 0, 0);
	assert_good(b, 0);
	RUN(b, 0, SCSI_SEND_DIAGNOSTIC, 0x20, 0, 0, 0, 0);
	assert_bad_cdb(b);
	RUN(b, 8, SCSI_SEND_DIAGNOSTIC, 0x10, 0, 0, 8, 0);
	assert_bad_cdb(b);
	supported(b, 1, SCSI_SEND_DIAGNOSTIC, 0, 3);
}

/* Nothing of an allocation length of 0 is an error, nor what is cut off (SPC-4 4.3.5.6). */
static void as_much_as_there_is_room_for(void **state)
{
	struct bed *b = *state;
	static const struct {
		u8 at, size; /* of the allocation length */
		u8 cdb[16];
	} rows[] = {
		{ 3, 2, { SCSI_INQUIRY } },
		{ 3, 2, { SCSI_INQUIRY, 1, SCSI_VPD_IDENTIFICATION } },
		{ 4, 1, { SCSI_REQUEST_SENSE } },
		{ 4, 1, { SCSI_MODE_SENSE_6, 8, SCSI_MODE_ALL } },
		{ 7, 2, { SCSI_MODE_SENSE_10, 0x18, SCSI_MODE_ALL } },
		{ 7, 2, { SCSI_LOG_SENSE, 0, 0x40 } },
		{ 6, 4, { SCSI_REPORT_LUNS } },
		{ 6, 4, { SCSI_MAINTENANCE_IN, SCSI_SA_REPORT_SUPPORTED_OPCODES } },
		{ 10, 4, { SCSI_SERVICE_ACTION_IN_16, SCSI_SA_READ_CAPACITY_16 } },
		{ 10, 4, { SCSI_SERVICE_ACTION_IN_16, SCSI_SA_GET_LBA_STATUS } },
		{ 7, 2, { SCSI_PERSISTENT_RESERVE_IN, SCSI_PR_READ_KEYS } },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		for (u8 alloc = 0; alloc < 9; alloc++) {
			u8 cdb[16];

			memcpy(cdb, rows[i].cdb, sizeof(cdb));
			cdb[rows[i].at + rows[i].size - 1] = alloc;
			memset(b->buf, 0xee, 64);
			bed_run_at(b, &b->target, 0, cdb, sizeof(cdb), 64);
			assert_good(b, MIN(alloc, 8));
			assert_int_equal(b->buf[alloc], 0xee);
			/* A buffer shorter than the CDB says. */
			bed_run_at(b, &b->target, 0, cdb, sizeof(cdb), alloc / 2);
			assert_good(b, alloc / 2);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_written_is_read_back),
		TEST(what_was_not_written_is_found),
		TEST(each_step_may_fail),
		TEST(what_lies_in_a_cache_is_put_on_the_medium_first),
		TEST(nothing_is_read_where_that_fails),
		TEST(provisioning_is_told_alike_everywhere),
		TEST(limits_are_kept_to_the_block),
		TEST(units_by_select_report),
		TEST(commands_one_by_one),
		TEST(a_service_action_is_looked_at_where_one_is_meant),
		TEST(a_self_test_is_passed),
		TEST(as_much_as_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
