/* SPDX-License-Identifier: BSD-2-Clause */
/* A DVD drive: what is in it, its tray, media that change. It is LUN 1. */
#include "tests/devices/scsi_bed.h"

#define DVD_BLOCKS (BLOCKS / 4)

static struct scsi_unit *drive(struct bed *b, struct disk *disk)
{
	b->spy.disk.read_only = true;
	b->lun = 1;
	assert_int_equal(scsi_target_detach(&b->target, 0), 0);
	assert_int_equal(scsi_target_attach(&b->target, 1, SCSI_DVD, disk), 0);
	return scsi_target_unit(&b->target, 1);
}

static void ready(struct bed *b, u8 key, u16 asc)
{
	RUN(b, 0, SCSI_TEST_UNIT_READY, 0);
	if (key)
		assert_sense(b, key, asc);
	else
		assert_good(b, 0);
}

/* The event that is pending, and whether the tray is open (1) and there is a medium (2). */
static void event(struct bed *b, u8 code, u8 status)
{
	RUN(b, 8, SCSI_GET_EVENT_STATUS, 1, 0, 0, 0x10, 0, 0, 0, 8, 0);
	assert_good(b, 8);
	assert_int_equal(b->buf[2], 4);
	assert_int_equal(b->buf[4], code);
	assert_int_equal(b->buf[5], status);
}

static void a_drive_says_so(void **state)
{
	struct bed *b = *state;

	drive(b, &b->spy.disk);
	RUN(b, 96, SCSI_INQUIRY, 0, 0, 0, 96, 0);
	assert_good(b, 96);
	assert_int_equal(b->buf[0], 5);
	assert_int_equal(b->buf[1], 0x80);
	assert_memory_equal(b->buf + 8, "Msft    Virtual DVD-ROM ", 24);
	RUN(b, 96, SCSI_INQUIRY, 1, 0, 0, 96, 0);
	assert_int_equal(b->buf[3], 3);
	RUN(b, 96, SCSI_INQUIRY, 1, SCSI_VPD_BLOCK_LIMITS, 0, 96, 0);
	assert_bad_cdb(b);
	RUN(b, 96, SCSI_INQUIRY, 1, SCSI_VPD_SERIAL, 0, 96, 0);
	assert_memory_equal(b->buf + 4, "candela-dvd-1", 13);
	RUN(b, 255, SCSI_MODE_SENSE_10, 0, SCSI_MODE_CAPABILITIES, 0, 0, 0, 0, 0, 255, 0);
	assert_good(b, 8 + 22);
	assert_int_equal(b->buf[3], 0);
	assert_true(b->buf[8 + 2] & 0x08);
	assert_int_equal(b->buf[8 + 6] >> 5, 1);
	RUN(b, 255, SCSI_MODE_SENSE_6, 0, SCSI_MODE_CACHING, 0, 255, 0);
	assert_bad_cdb(b);
}

static u8 supported(struct bed *b, u8 how, u8 opcode, u8 action)
{
	RUN(b, 64, SCSI_MAINTENANCE_IN, SCSI_SA_REPORT_SUPPORTED_OPCODES, how, opcode, 0, action, 0,
	    0, 0, 64, 0, 0);
	assert_int_equal(b->r->status, SCSI_GOOD);
	return b->buf[1];
}

/* What only disks have is not supported, however it is asked for or asked. */
static void a_drive_has_no_commands_of_disks(void **state)
{
	static const u8 opcodes[] = { SCSI_PERSISTENT_RESERVE_IN, SCSI_UNMAP, SCSI_READ_6,
				      SCSI_WRITE_10 };
	struct bed *b = *state;

	drive(b, &b->spy.disk);
	for (unsigned i = 0; i < ARRAY_SIZE(opcodes); i++) {
		for (u8 how = 1; how <= 3; how++)
			assert_int_equal(supported(b, how, opcodes[i], 0), 1);
		RUN(b, 0, opcodes[i], 0x1f, 0, 0, 0, 0, 0, 0, 0, 0);
		assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
	}
	assert_int_equal(supported(b, 1, SCSI_READ_10, 0), 3);
	RUN(b, 64, SCSI_MAINTENANCE_IN, SCSI_SA_REPORT_SUPPORTED_OPCODES, 2, SCSI_READ_10, 0, 0, 0,
	    0, 0, 64, 0, 0);
	assert_bad_cdb(b);
}

static void blocks_are_of_2048(void **state)
{
	struct bed *b = *state;

	drive(b, &b->spy.disk);
	RUN(b, 8, SCSI_READ_CAPACITY_10, 0);
	assert_good(b, 8);
	assert_int_equal(scsi_get32(b->buf), DVD_BLOCKS - 1);
	assert_int_equal(scsi_get32(b->buf + 4), 2048);
	RUN(b, 4096, SCSI_READ_10, 0, 0, 0, 0, 3, 0, 0, 2, 0);
	assert_good(b, 4096);
	assert_int_equal(b->spy.last.offset, 3 * 2048);
	RUN(b, 4096, SCSI_READ_12, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0);
	assert_good(b, 4096);
	RUN(b, 2048, SCSI_READ_10, 0, 0, 0, 4, 0, 0, 0, 1, 0);
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	RUN(b, 2048, SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
	RUN(b, 24, SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 24, 0);
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
}

static void tables_of_contents(void **state)
{
	struct bed *b = *state;

	drive(b, &b->spy.disk);
	RUN(b, 64, SCSI_READ_TOC, 0, 0, 0, 0, 0, 0, 0, 64, 0);
	assert_good(b, 20);
	assert_int_equal(scsi_get16(b->buf), 18);
	assert_int_equal(b->buf[5], 0x14);
	assert_int_equal(b->buf[6], 1);
	assert_int_equal(scsi_get32(b->buf + 8), 0);
	assert_int_equal(b->buf[14], 0xaa);
	assert_int_equal(scsi_get32(b->buf + 16), DVD_BLOCKS);
	RUN(b, 64, SCSI_READ_TOC, 2, 0, 0, 0, 0, 0xaa, 0, 64, 0);
	assert_good(b, 12);
	assert_int_equal(scsi_get32(b->buf + 8),
			 (DVD_BLOCKS + 150) / 75 << 8 | (DVD_BLOCKS + 150) % 75);
	RUN(b, 64, SCSI_READ_TOC, 0, 1, 0, 0, 0, 0, 0, 64, 0);
	assert_good(b, 12);
	RUN(b, 64, SCSI_READ_TOC, 0, 0, 0, 0, 0, 0, 0, 64, 0x40);
	assert_good(b, 12);
	RUN(b, 64, SCSI_READ_TOC, 0, 0, 0, 0, 0, 2, 0, 64, 0);
	assert_bad_cdb(b);
	RUN(b, 64, SCSI_READ_TOC, 0, 5, 0, 0, 0, 0, 0, 64, 0);
	assert_bad_cdb(b);
	RUN(b, 64, SCSI_READ_TOC, 0, 0, 0, 0, 0, 0, 0, 4, 0);
	assert_good(b, 4);
}

static void what_is_in_the_drive(void **state)
{
	struct bed *b = *state;

	drive(b, &b->spy.disk);
	RUN(b, 64, SCSI_READ_DISC_INFORMATION, 0, 0, 0, 0, 0, 0, 0, 64, 0);
	assert_good(b, 34);
	assert_int_equal(b->buf[2], 0x0e);
	RUN(b, 64, SCSI_READ_TRACK_INFORMATION, 1, 0, 0, 0, 1, 0, 0, 64, 0);
	assert_good(b, 36);
	assert_int_equal(scsi_get32(b->buf + 24), DVD_BLOCKS);
	RUN(b, 64, SCSI_READ_TRACK_INFORMATION, 0, 0, 0, 4, 0, 0, 0, 64, 0);
	assert_bad_cdb(b);
	RUN(b, 4096, SCSI_READ_DVD_STRUCTURE, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0);
	assert_int_equal(b->r->status, SCSI_GOOD);
	assert_int_equal(scsi_get32(b->buf + 12), 0x30000 + DVD_BLOCKS - 1);
	RUN(b, 64, SCSI_MECHANISM_STATUS, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0);
	assert_good(b, 8);
}

static void configurations(void **state)
{
	struct bed *b = *state;
	struct scsi_unit *unit = drive(b, &b->spy.disk);
	u32 all;

	RUN(b, 255, SCSI_GET_CONFIGURATION, 0, 0, 0, 0, 0, 0, 0, 255, 0);
	all = b->r->transferred;
	assert_int_equal(scsi_get32(b->buf), all - 4);
	assert_int_equal(scsi_get16(b->buf + 6), 0x10);
	for (u32 at = 8, last = 0; at < all; at += 4u + b->buf[at + 3]) {
		assert_true(at == 8 || scsi_get16(b->buf + at) > last);
		last = scsi_get16(b->buf + at);
	}
	RUN(b, 255, SCSI_GET_CONFIGURATION, 2, 0, 0x10, 0, 0, 0, 0, 255, 0);
	assert_good(b, 20);
	assert_int_equal(b->buf[10] & 1, 1);
	assert_int_equal(scsi_get32(b->buf + 12), 2048);
	RUN(b, 255, SCSI_GET_CONFIGURATION, 2, 0x77, 0, 0, 0, 0, 0, 255, 0);
	assert_good(b, 8);
	assert_int_equal(scsi_unit_change(unit, NULL), 0);
	RUN(b, 255, SCSI_GET_CONFIGURATION, 0, 0, 0, 0, 0, 0, 0, 255, 0);
	assert_good(b, all);
	assert_int_equal(scsi_get16(b->buf + 6), 0);
	RUN(b, 255, SCSI_GET_CONFIGURATION, 1, 0, 0, 0, 0, 0, 0, 255, 0);
	assert_true(b->r->transferred < all);
}

static void an_empty_drive_is_not_ready(void **state)
{
	static const u8 opcodes[] = { SCSI_READ_10,
				      SCSI_READ_CAPACITY_10,
				      SCSI_READ_TOC,
				      SCSI_READ_DISC_INFORMATION,
				      SCSI_READ_DVD_STRUCTURE,
				      SCSI_TEST_UNIT_READY };
	struct bed *b = *state;
	struct scsi_unit *unit = drive(b, NULL);

	for (unsigned i = 0; i < ARRAY_SIZE(opcodes); i++) {
		RUN(b, 2048, opcodes[i], 0, 0, 0, 0, 0, 0, 0, 1, 0);
		assert_sense(b, SCSI_NOT_READY, SCSI_ASC_NO_MEDIUM_TRAY_CLOSED);
	}
	event(b, 0, 0);
	RUN(b, 255, SCSI_MODE_SENSE_6, 0, SCSI_MODE_ALL, 0, 255, 0);
	assert_int_equal(b->r->status, SCSI_GOOD);
	RUN(b, 255, SCSI_INQUIRY, 1, SCSI_VPD_IDENTIFICATION, 0, 255, 0);
	assert_int_equal(b->r->status, SCSI_GOOD);
	assert_int_equal(scsi_unit_resize(unit, 5), -ENOENT);
}

static void the_guest_ejects_and_loads(void **state)
{
	struct bed *b = *state;

	drive(b, &b->spy.disk);
	RUN(b, 0, SCSI_PREVENT_ALLOW, 0, 0, 0, 1, 0);
	RUN(b, 0, SCSI_START_STOP_UNIT, 0, 0, 0, 2, 0);
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_REMOVAL_PREVENTED);
	RUN(b, 0, SCSI_PREVENT_ALLOW, 0, 0, 0, 0, 0);
	RUN(b, 0, SCSI_START_STOP_UNIT, 0, 0, 0, 2, 0);
	assert_good(b, 0);
	ready(b, SCSI_NOT_READY, SCSI_ASC_NO_MEDIUM_TRAY_OPEN);
	event(b, 3, 1);
	event(b, 0, 1);
	RUN(b, 0, SCSI_START_STOP_UNIT, 0, 0, 0, 3, 0);
	assert_good(b, 0);
	event(b, 2, 2);
	ready(b, SCSI_UNIT_ATTENTION, SCSI_ASC_MEDIUM_CHANGED);
	ready(b, 0, 0);
	RUN(b, 0, SCSI_START_STOP_UNIT, 0, 0, 0, 0, 0);
	ready(b, 0, 0);
	assert_int_equal(b->spy.count, 0);
}

static void the_host_changes_the_medium(void **state)
{
	struct bed *b = *state;
	struct scsi_unit *unit = drive(b, &b->spy.disk);
	unsigned before = b->spy.closed;
	struct spy other = { 0 };

	spy_init(&other, b->spy.below);
	other.disk.size = 100 * 2048;
	RUN(b, 0, SCSI_PREVENT_ALLOW, 0, 0, 0, 1, 0);
	assert_int_equal(scsi_unit_change(unit, &other.disk), 0);
	assert_int_equal(b->spy.closed, before + 1);
	event(b, 2, 2);
	RUN(b, 8, SCSI_READ_CAPACITY_10, 0);
	assert_sense(b, SCSI_UNIT_ATTENTION, SCSI_ASC_MEDIUM_CHANGED);
	RUN(b, 8, SCSI_READ_CAPACITY_10, 0);
	assert_int_equal(scsi_get32(b->buf), 99);
	assert_int_equal(scsi_unit_change(unit, NULL), 0);
	assert_int_equal(other.closed, 1);
	event(b, 3, 0);
	ready(b, SCSI_NOT_READY, SCSI_ASC_NO_MEDIUM_TRAY_CLOSED);
	assert_int_equal(scsi_unit_change(unit, &b->spy.disk), 0);
	ready(b, SCSI_UNIT_ATTENTION, SCSI_ASC_MEDIUM_CHANGED);
	ready(b, 0, 0);
}

/* Giving the old medium back may take a while: a guest that reads meanwhile has been told. */
static void read_while_released(struct scsi_target *target, struct disk *disk)
{
	struct bed *b = container_of(target, struct bed, target);

	disk->ops->close(disk);
	RUN(b, 2048, SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_sense(b, SCSI_UNIT_ATTENTION, SCSI_ASC_MEDIUM_CHANGED);
	event(b, 2, 2);
}

static void nothing_of_a_new_medium_is_read_unannounced(void **state)
{
	struct bed *b = *state;
	struct scsi_unit *unit = drive(b, &b->spy.disk);
	struct spy other = { 0 };

	spy_init(&other, b->spy.below);
	b->target.released = read_while_released;
	assert_int_equal(scsi_unit_change(unit, &other.disk), 0);
	assert_int_equal(other.count, 0);
	b->target.released = NULL;
	ready(b, 0, 0);
	assert_int_equal(scsi_unit_change(unit, NULL), 0);
	assert_int_equal(other.closed, 1);
}

/* To a guest any attention of a drive may be another medium: what is mounted is given up. */
static void other_units_are_no_news_to_a_drive(void **state)
{
	struct bed *b = *state;

	drive(b, &b->spy.disk);
	scsi_target_attention(&b->target, SCSI_ASC_REPORTED_LUNS_CHANGED);
	RUN(b, 2048, SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_good(b, 2048);
	b->lun = 7;
	ready(b, SCSI_UNIT_ATTENTION, SCSI_ASC_REPORTED_LUNS_CHANGED);
}

/* Two changes while a request holds the first medium: the second has to wait. */
static void a_medium_in_use_is_released_later(void **state)
{
	struct bed *b = *state;
	struct scsi_unit *unit = drive(b, &b->spy.disk);
	struct scsi_request *r = calloc(1, sizeof(*r));
	const u8 read[10] = { SCSI_READ_10, [8] = 1 };
	unsigned before = b->spy.closed;
	struct spy other = { 0 };
	static u8 bytes[2048];

	spy_init(&other, b->spy.below);
	b->spy.hold = true;
	bed_begin(b, r, read, 10, bytes, sizeof(bytes));
	assert_int_equal(scsi_unit_change(unit, &other.disk), 0);
	assert_int_equal(scsi_unit_change(unit, NULL), -EBUSY);
	assert_int_equal(b->spy.closed, before);
	assert_int_equal(other.closed, 0);
	spy_release(&b->spy);
	bed_turn(b);
	assert_int_equal(r->status, SCSI_GOOD);
	assert_int_equal(b->spy.closed, before + 1);
	assert_int_equal(scsi_unit_change(unit, NULL), 0);
	free(r);
}

static void the_eject_button(void **state)
{
	struct bed *b = *state;
	struct scsi_unit *unit = drive(b, &b->spy.disk);

	RUN(b, 0, SCSI_PREVENT_ALLOW, 0, 0, 0, 1, 0);
	scsi_unit_eject(unit);
	event(b, 1, 2);
	ready(b, 0, 0);
	RUN(b, 0, SCSI_PREVENT_ALLOW, 0, 0, 0, 0, 0);
	scsi_unit_eject(unit);
	event(b, 3, 1);
	ready(b, SCSI_NOT_READY, SCSI_ASC_NO_MEDIUM_TRAY_OPEN);
}

static void events_are_only_polled(void **state)
{
	struct bed *b = *state;
	struct scsi_unit *unit = drive(b, &b->spy.disk);

	RUN(b, 8, SCSI_GET_EVENT_STATUS, 0, 0, 0, 0x10, 0, 0, 0, 8, 0);
	assert_bad_cdb(b);
	RUN(b, 8, SCSI_GET_EVENT_STATUS, 1, 0, 0, 0x02, 0, 0, 0, 8, 0);
	assert_good(b, 4);
	assert_int_equal(b->buf[2], 0x80);
	assert_int_equal(b->buf[3], 0x10);
	/* Nor are they before an attention: it comes with them. */
	assert_int_equal(scsi_unit_change(unit, NULL), 0);
	RUN(b, 4, SCSI_GET_EVENT_STATUS, 1, 0, 0, 0x10, 0, 0, 0, 4, 0);
	assert_good(b, 4);
	event(b, 3, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_drive_says_so),
		TEST(a_drive_has_no_commands_of_disks),
		TEST(blocks_are_of_2048),
		TEST(tables_of_contents),
		TEST(what_is_in_the_drive),
		TEST(configurations),
		TEST(an_empty_drive_is_not_ready),
		TEST(the_guest_ejects_and_loads),
		TEST(the_host_changes_the_medium),
		TEST(nothing_of_a_new_medium_is_read_unannounced),
		TEST(other_units_are_no_news_to_a_drive),
		TEST(a_medium_in_use_is_released_later),
		TEST(the_eject_button),
		TEST(events_are_only_polled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
