/* SPDX-License-Identifier: BSD-2-Clause */
/* A unit saved, and taken in by a fresh one of the same disk: all that initiators made of it. */
#include "tests/devices/scsi_bed.h"

#define WCE 0x04
#define D_SENSE 0x04
#define UNIT_BYTES 127u /* of the stream, each unit */
#define MEDIUM_BYTES 47u /* of them, what names the medium */

static struct scsi_unit *unit(struct bed *b)
{
	return scsi_target_unit(&b->target, b->lun);
}

static struct stream_out save(struct bed *b)
{
	struct stream_out out = { 0 };

	scsi_unit_save(unit(b), &out);
	assert_int_equal(out.len, UNIT_BYTES);
	return out;
}

static int take(struct bed *b, const struct stream_out *out, bool apply)
{
	struct stream_in in = { .at = out->bytes, .left = out->len };
	int err = scsi_unit_restore(unit(b), &in, apply);

	assert_true(err || !in.left);
	return err;
}

/* The same is attached anew: nothing is left of what was before. */
static void fresh(struct bed *b, enum scsi_type type, struct disk *disk)
{
	assert_int_equal(scsi_target_detach(&b->target, b->lun), 0);
	assert_int_equal(scsi_target_attach(&b->target, b->lun, type, disk), 0);
}

/* Another host: looking at what was saved changes nothing, taking it in all. */
static void move(struct bed *b, enum scsi_type type, struct disk *disk)
{
	struct stream_out out = save(b), before, looked, taken;

	fresh(b, type, disk);
	before = save(b);
	assert_int_equal(take(b, &out, false), 0);
	looked = save(b);
	assert_memory_equal(looked.bytes, before.bytes, UNIT_BYTES);
	assert_int_equal(take(b, &out, true), 0);
	taken = save(b);
	assert_memory_equal(taken.bytes, out.bytes, UNIT_BYTES);
	stream_free(&out);
	stream_free(&before);
	stream_free(&looked);
	stream_free(&taken);
}

static void move_disk(struct bed *b)
{
	move(b, SCSI_DISK, &b->spy.disk);
}

static void set_page(struct bed *b, u8 page, u8 byte)
{
	u8 len;

	RUN(b, 255, SCSI_MODE_SENSE_6, 0, page, 0, 255, 0);
	len = (u8)(b->buf[0] + 1);
	b->buf[0] = 0;
	b->buf[6] = byte;
	RUN(b, len, SCSI_MODE_SELECT_6, 0x10, 0, 0, len, 0);
	assert_good(b, len);
}

static u8 page_byte(struct bed *b, u8 page)
{
	RUN(b, 255, SCSI_MODE_SENSE_6, 0, page, 0, 255, 0);
	assert_int_equal(b->r->status, SCSI_GOOD);
	return b->buf[6];
}

static void mode_pages(void **state)
{
	struct bed *b = *state;

	set_page(b, SCSI_MODE_CACHING, 0);
	set_page(b, SCSI_MODE_CONTROL, D_SENSE);
	move_disk(b);
	assert_int_equal(page_byte(b, SCSI_MODE_CACHING), 0);
	assert_int_equal(page_byte(b, SCSI_MODE_CONTROL), D_SENSE);
	RUN(b, BLOCK, SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_good(b, BLOCK);
	assert_true(b->spy.last.fua);
	/* The others have not been told yet. */
	bed_expect_attention(b, 2, SCSI_ASC_MODE_PARAMETERS_CHANGED);
	b->nexus = 0;
	set_page(b, SCSI_MODE_CACHING, WCE);
	move_disk(b);
	assert_int_equal(page_byte(b, SCSI_MODE_CACHING), WCE);
}

static void unit_attentions(void **state)
{
	struct bed *b = *state;

	scsi_unit_reset(unit(b));
	bed_expect_attention(b, 1, SCSI_ASC_RESET);
	scsi_unit_attention(unit(b), SCSI_ASC_REPORTED_LUNS_CHANGED);
	bed_expect_attention(b, 3, SCSI_ASC_RESET);
	move_disk(b);
	bed_expect_attention(b, 0, SCSI_ASC_RESET);
	bed_expect_attention(b, 0, SCSI_ASC_REPORTED_LUNS_CHANGED);
	bed_expect_attention(b, 0, 0);
	bed_expect_attention(b, 1, SCSI_ASC_REPORTED_LUNS_CHANGED);
	bed_expect_attention(b, 1, 0);
	bed_expect_attention(b, 3, SCSI_ASC_REPORTED_LUNS_CHANGED);
}

static void write_block(struct bed *b, u8 nexus)
{
	b->nexus = nexus;
	RUN(b, BLOCK, SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
}

static void persistent_reservations(void **state)
{
	struct bed *b = *state;

	bed_reserve_good(b, 0, SCSI_PR_REGISTER, 0, 0, 0x10);
	bed_reserve_good(b, 1, SCSI_PR_REGISTER, 0, 0, 0x11);
	bed_reserve_good(b, 1, SCSI_PR_RESERVE, 1, 0x11, 0);
	move_disk(b);
	write_block(b, 0);
	assert_conflict(b);
	write_block(b, 2);
	assert_conflict(b);
	write_block(b, 1);
	assert_good(b, BLOCK);
	RUN(b, 512, SCSI_PERSISTENT_RESERVE_IN, SCSI_PR_READ_KEYS, 0, 0, 0, 0, 0, 2, 0, 0);
	assert_int_equal(scsi_get32(b->buf), 2); /* generation */
	assert_int_equal(scsi_get32(b->buf + 4), 16);
	assert_true(scsi_get64(b->buf + 8) == 0x10 && scsi_get64(b->buf + 16) == 0x11);
	RUN(b, 512, SCSI_PERSISTENT_RESERVE_IN, SCSI_PR_READ_RESERVATION, 0, 0, 0, 0, 0, 2, 0, 0);
	assert_true(scsi_get64(b->buf + 8) == 0x11);
	assert_int_equal(b->buf[8 + 13], 1);
	bed_reserve_good(b, 1, SCSI_PR_CLEAR, 0, 0x11, 0);
	move_disk(b);
	bed_expect_attention(b, 0, SCSI_ASC_RESERVATIONS_PREEMPTED);
	write_block(b, 2);
	assert_good(b, BLOCK);
}

static void a_reserve(void **state)
{
	struct bed *b = *state;

	b->nexus = 2;
	RUN(b, 0, SCSI_RESERVE_6, 0, 0, 0, 0, 0);
	assert_good(b, 0);
	move_disk(b);
	b->nexus = 0;
	RUN(b, 0, SCSI_TEST_UNIT_READY, 0);
	assert_conflict(b);
	b->nexus = 2;
	RUN(b, 0, SCSI_RELEASE_6, 0, 0, 0, 0, 0);
	b->nexus = 0;
	RUN(b, 0, SCSI_TEST_UNIT_READY, 0);
	assert_good(b, 0);
}

static void errors_it_counts(void **state)
{
	struct bed *b = *state;

	b->spy.err = -EIO;
	for (unsigned i = 0; i < 3; i++) {
		write_block(b, 0);
		assert_sense(b, SCSI_MEDIUM_ERROR, SCSI_ASC_WRITE_ERROR);
	}
	RUN(b, BLOCK, SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	b->spy.err = 0;
	move_disk(b);
	RUN(b, 64, SCSI_LOG_SENSE, 0, 0x42, 0, 0, 0, 0, 0, 64, 0);
	assert_true(scsi_get64(b->buf + 4 + 12 + 4) == 3);
	RUN(b, 64, SCSI_LOG_SENSE, 0, 0x43, 0, 0, 0, 0, 0, 64, 0);
	assert_true(scsi_get64(b->buf + 4 + 12 + 4) == 1);
}

/* LUN 0 as a DVD drive. */
static void drive(struct bed *b, struct disk *disk)
{
	b->spy.disk.read_only = true;
	fresh(b, SCSI_DVD, disk);
}

static u8 event(struct bed *b, u8 nexus)
{
	b->nexus = nexus;
	RUN(b, 8, SCSI_GET_EVENT_STATUS, 1, 0, 0, 0x10, 0, 0, 0, 8, 0);
	assert_good(b, 8);
	return b->buf[4];
}

static void a_locked_drive(void **state)
{
	struct bed *b = *state;

	drive(b, &b->spy.disk);
	RUN(b, 0, SCSI_PREVENT_ALLOW, 0, 0, 0, 1, 0);
	assert_int_equal(scsi_unit_eject(unit(b)), 0);
	move(b, SCSI_DVD, &b->spy.disk);
	RUN(b, 0, SCSI_START_STOP_UNIT, 0, 0, 0, 2, 0);
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_REMOVAL_PREVENTED);
	assert_int_equal(event(b, 0), 1);
	assert_int_equal(event(b, 0), 0);
	assert_int_equal(event(b, 3), 1);
}

static void an_open_tray(void **state)
{
	struct bed *b = *state;

	drive(b, &b->spy.disk);
	RUN(b, 0, SCSI_START_STOP_UNIT, 0, 0, 0, 2, 0);
	assert_good(b, 0);
	move(b, SCSI_DVD, &b->spy.disk);
	RUN(b, 0, SCSI_TEST_UNIT_READY, 0);
	assert_sense(b, SCSI_NOT_READY, SCSI_ASC_NO_MEDIUM_TRAY_OPEN);
	assert_int_equal(event(b, 0), 3);
	RUN(b, 0, SCSI_START_STOP_UNIT, 0, 0, 0, 3, 0);
	bed_expect_attention(b, 0, SCSI_ASC_MEDIUM_CHANGED);
	bed_expect_attention(b, 0, 0);
}

static void a_medium_that_changed(void **state)
{
	struct bed *b = *state;

	drive(b, NULL);
	move(b, SCSI_DVD, NULL);
	assert_int_equal(scsi_unit_change(unit(b), &b->spy.disk), 0);
	move(b, SCSI_DVD, &b->spy.disk);
	assert_int_equal(event(b, 0), 2);
	bed_expect_attention(b, 0, SCSI_ASC_MEDIUM_CHANGED);
	bed_expect_attention(b, 0, 0);
}

static void a_disk_has_no_tray(void **state)
{
	struct bed *b = *state;

	assert_int_equal(scsi_unit_eject(unit(b)), -EINVAL);
	bed_expect_attention(b, 0, 0);
}

/* Each thing by which a disk is known. */
static void another_disk_is_refused(void **state)
{
	struct bed *b = *state;
	struct stream_out out;
	struct spy other;

	set_page(b, SCSI_MODE_CACHING, 0);
	out = save(b);
	for (unsigned what = 0; what < 6; what++) {
		spy_init(&other, b->spy.below);
		other.disk.size -= what == 0 ? BLOCK : 0;
		other.disk.read_only = what == 1;
		other.disk.logical_block = what == 2 ? 1024 : BLOCK;
		other.disk.id[0] = what == 3 ? 'x' : other.disk.id[0];
		fresh(b, what == 4 ? SCSI_DVD : SCSI_DISK, &other.disk);
		assert_int_equal(take(b, &out, false), what == 5 ? 0 : -ENODEV);
		assert_int_equal(take(b, &out, true), what == 5 ? 0 : -ENODEV);
	}
	assert_int_equal(page_byte(b, SCSI_MODE_CACHING), 0);
	fresh(b, SCSI_DISK, &b->spy.disk);
	stream_free(&out);
}

static void another_medium_is_refused(void **state)
{
	struct bed *b = *state;
	struct stream_out out;

	drive(b, NULL);
	out = save(b);
	fresh(b, SCSI_DVD, &b->spy.disk);
	assert_int_equal(take(b, &out, true), -ENODEV);
	stream_free(&out);
	out = save(b);
	fresh(b, SCSI_DVD, NULL);
	assert_int_equal(take(b, &out, true), -ENODEV);
	stream_free(&out);
}

static void cut_short_anywhere(void **state)
{
	struct bed *b = *state;
	struct stream_out out = save(b), after;

	for (size_t len = 0; len < UNIT_BYTES; len++) {
		struct stream_in in = { .at = out.bytes, .left = len };

		assert_int_equal(scsi_unit_restore(unit(b), &in, true), -EINVAL);
	}
	after = save(b);
	assert_memory_equal(after.bytes, out.bytes, UNIT_BYTES);
	stream_free(&out);
	stream_free(&after);
}

/* One bit of one byte: refused, or what is saved again is just that. */
static void altered_anywhere(struct bed *b, unsigned *taken)
{
	struct stream_out out = save(b), clean = save(b);

	*taken = 0;
	for (unsigned bit = 0; bit < 8 * UNIT_BYTES; bit++) {
		struct stream_out now;
		int err;

		out.bytes[bit / 8] ^= (u8)(1 << bit % 8);
		err = take(b, &out, true);
		now = save(b);
		assert_memory_equal(now.bytes, err ? clean.bytes : out.bytes, UNIT_BYTES);
		assert_true(err == 0 || err == -EINVAL || err == -ENODEV);
		assert_true(err || bit / 8 >= MEDIUM_BYTES);
		*taken += !err;
		stream_free(&now);
		out.bytes[bit / 8] ^= (u8)(1 << bit % 8);
		assert_int_equal(take(b, &clean, true), 0);
	}
	stream_free(&out);
	stream_free(&clean);
}

static void altered_it_is_refused_or_just_that(void **state)
{
	struct bed *b = *state;
	unsigned plain, reserved, dvd;

	altered_anywhere(b, &plain);
	bed_reserve_good(b, 0, SCSI_PR_REGISTER, 0, 0, 0x10);
	bed_reserve_good(b, 0, SCSI_PR_RESERVE, 1, 0x10, 0);
	altered_anywhere(b, &reserved);
	drive(b, &b->spy.disk);
	altered_anywhere(b, &dvd);
	/* Flags; attentions; errors; generation, keys, who holds, RESERVE. */
	assert_int_equal(plain, 3 + 4 * 10 + 128 + 32 + 256 + 4 + 1);
	/* No RESERVE, no other holder, whose key stays; types 0, 3, 5 are a bit from 1. */
	assert_int_equal(reserved, 3 + 4 * 10 + 128 + 32 + 255 + 2 + 3);
	/* A drive has media events, and no reservations. */
	assert_int_equal(dvd, 3 + 4 * 10 + 4 * 3 + 128 + 32 + 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mode_pages),
		TEST(unit_attentions),
		TEST(persistent_reservations),
		TEST(a_reserve),
		TEST(errors_it_counts),
		TEST(a_locked_drive),
		TEST(an_open_tray),
		TEST(a_medium_that_changed),
		TEST(a_disk_has_no_tray),
		TEST(another_disk_is_refused),
		TEST(another_medium_is_refused),
		TEST(cut_short_anywhere),
		TEST(altered_it_is_refused_or_just_that),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
