/* SPDX-License-Identifier: BSD-2-Clause */
/* CDBs in, status, sense and bytes out, on a memory disk or one that fails as told. */
#include "tests/devices/scsi_bed.h"

static void inquiry_names_a_hyperv_disk(void **state)
{
	struct bed *g = *state;

	RUN(g, 255, SCSI_INQUIRY, 0, 0, 0, 255, 0);
	assert_good(g, 96);
	assert_int_equal(g->buf[0], 0);
	assert_int_equal(g->buf[2], 5);
	assert_memory_equal(g->buf + 8, "Msft    Virtual Disk    1.0 ", 28);
	RUN(g, 255, SCSI_INQUIRY, 0, 0, 0, 36, 0);
	assert_good(g, 36);
	RUN(g, 10, SCSI_INQUIRY, 0, 0, 0, 36, 0);
	assert_good(g, 10);
	RUN(g, 0, SCSI_INQUIRY, 0, 0, 0, 36, 0);
	assert_good(g, 0);
	RUN(g, 255, SCSI_INQUIRY, 0, 0x80, 0, 255, 0);
	assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
}

static void vpd_pages_listed_can_be_read(void **state)
{
	struct bed *g = *state;
	u8 pages[16], count;

	RUN(g, 255, SCSI_INQUIRY, 1, 0, 0, 255, 0);
	count = g->buf[3];
	assert_int_equal(count, 6);
	memcpy(pages, g->buf + 4, count);
	for (unsigned i = 0; i < count; i++) {
		RUN(g, 255, SCSI_INQUIRY, 1, pages[i], 0, 255, 0);
		assert_int_equal(g->r->status, SCSI_GOOD);
		assert_int_equal(g->buf[1], pages[i]);
		assert_int_equal(g->r->transferred, 4 + scsi_get16(g->buf + 2));
	}
	RUN(g, 255, SCSI_INQUIRY, 1, 0xc0, 0, 255, 0);
	assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
	RUN(g, 255, SCSI_INQUIRY, 1, SCSI_VPD_BLOCK_LIMITS, 0, 255, 0);
	assert_int_equal(g->buf[5], SCSI_BOUNCE / BLOCK);
	assert_int_equal(scsi_get16(g->buf + 6), 8);
	assert_int_equal(scsi_get32(g->buf + 8), SCSI_TRANSFER_MAX / BLOCK);
	assert_int_equal(scsi_get32(g->buf + 24), SCSI_UNMAP_MAX);
	assert_int_equal(scsi_get64(g->buf + 36), SCSI_WRITE_SAME_MAX / BLOCK);
	g->spy.disk.can_discard = false;
	RUN(g, 255, SCSI_INQUIRY, 1, SCSI_VPD_PROVISIONING, 0, 255, 0);
	assert_int_equal(g->buf[5], 0);
}

static void absent_units_answer_as_linux_needs(void **state)
{
	struct bed *g = *state;
	const u8 inquiry[] = { SCSI_INQUIRY, 0, 0, 0, 36, 0 };
	const u8 luns[] = { SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0 };
	const u8 ready[] = { SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0 };
	const struct {
		const struct scsi_target *target;
		unsigned lun;
	} places[] = { { &g->target, 3 }, { &g->target, 255 }, { NULL, 0 } };

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		bed_run_at(g, places[i].target, places[i].lun, inquiry, sizeof(inquiry), 36);
		assert_good(g, 36);
		assert_int_equal(g->buf[0], 0x7f);
		bed_run_at(g, places[i].target, places[i].lun, luns, sizeof(luns), 512);
		assert_good(g, places[i].target ? 24 : 8);
		assert_int_equal(scsi_get32(g->buf), places[i].target ? 16 : 0);
		bed_run_at(g, places[i].target, places[i].lun, ready, sizeof(ready), 0);
		assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED);
	}
	RUN(g, 512, SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0);
	assert_int_equal(g->buf[9], 0);
	assert_int_equal(g->buf[17], 7);
}

static void capacity_is_told(void **state)
{
	struct bed *g = *state;

	RUN(g, 8, SCSI_READ_CAPACITY_10, 0);
	assert_good(g, 8);
	assert_int_equal(scsi_get32(g->buf), BLOCKS - 1);
	assert_int_equal(scsi_get32(g->buf + 4), BLOCK);
	RUN(g, 32, SCSI_SERVICE_ACTION_IN_16, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32);
	assert_good(g, 32);
	assert_int_equal(scsi_get64(g->buf), BLOCKS - 1);
	assert_int_equal(g->buf[13], 3);
	assert_int_equal(g->buf[14], 0x80);
	RUN(g, 32, SCSI_SERVICE_ACTION_IN_16, 0x13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32);
	assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
	assert_int_equal(scsi_unit_resize(scsi_target_unit(&g->target, 0), 3ull << 41), 0);
	RUN(g, 0, SCSI_TEST_UNIT_READY, 0);
	assert_sense(g, SCSI_UNIT_ATTENTION, SCSI_ASC_CAPACITY_CHANGED);
	RUN(g, 8, SCSI_READ_CAPACITY_10, 0);
	assert_int_equal(scsi_get32(g->buf), UINT32_MAX);
}

static void mode_pages(void **state)
{
	struct bed *g = *state;

	RUN(g, 192, SCSI_MODE_SENSE_6, 0, SCSI_MODE_CACHING, 0, 192, 0);
	assert_good(g, 24);
	assert_int_equal(g->buf[0], 23);
	assert_int_equal(g->buf[2], 0x10);
	assert_int_equal(g->buf[4], 8);
	assert_int_equal(g->buf[6] & 4, 4);
	RUN(g, 512, SCSI_MODE_SENSE_10, 0, SCSI_MODE_ALL, 0, 0, 0, 0, 2, 0, 0);
	assert_good(g, 8 + 12 + 20 + 12 + 12);
	assert_int_equal(scsi_get16(g->buf), 62);
	RUN(g, 192, SCSI_MODE_SENSE_6, 0, 0x40 | SCSI_MODE_CACHING, 0, 192, 0);
	assert_int_equal(g->buf[6] & 4, 4);
	RUN(g, 192, SCSI_MODE_SENSE_6, 0, 0x1b, 0, 192, 0);
	assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
	RUN(g, 192, SCSI_MODE_SENSE_6, 0, 0xc8, 0, 192, 0);
	assert_good(g, 24);
	assert_int_equal(g->buf[6] & 4, 4);
	g->spy.disk.read_only = true;
	RUN(g, 192, SCSI_MODE_SENSE_6, 0, SCSI_MODE_CACHING, 0, 192, 0);
	assert_int_equal(g->buf[2], 0x90);
}

static void every_size_of_read_and_write(void **state)
{
	struct bed *g = *state;

	memset(g->buf, 0x11, 4 * BLOCK);
	RUN(g, 2 * BLOCK, SCSI_WRITE_6, 0, 0x01, 0x00, 2, 0);
	assert_good(g, 2 * BLOCK);
	assert_int_equal(g->spy.last.offset, 0x100 * BLOCK);
	RUN(g, BLOCK, SCSI_WRITE_10, 0x08, 0, 0, 0x01, 0x02, 0, 0, 1, 0);
	assert_true(g->spy.last.fua);
	RUN(g, BLOCK, SCSI_WRITE_12, 0, 0, 0, 0x01, 0x03, 0, 0, 0, 1, 0, 0);
	assert_false(g->spy.last.fua);
	RUN(g, BLOCK, SCSI_WRITE_16, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x04, 0, 0, 0, 1, 0, 0);
	assert_good(g, BLOCK);
	memset(g->buf, 0, 6 * BLOCK);
	/* A buffer larger than the transfer leaves a residual. */
	RUN(g, 8 * BLOCK, SCSI_READ_16, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x00, 0, 0, 0, 6, 0, 0);
	assert_good(g, 6 * BLOCK);
	for (u32 i = 0; i < 6 * BLOCK; i++)
		assert_int_equal(g->buf[i], i < 5 * BLOCK ? 0x11 : 0);
	RUN(g, BLOCK, SCSI_READ_12, 0, 0, 0, 0x01, 0, 0, 0, 0, 1, 0, 0);
	assert_good(g, BLOCK);
	RUN(g, 0, SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_good(g, 0);
	RUN(g, BLOCK, SCSI_READ_6, 0, 0, 0, 0, 0);
	assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
}

static void ranges_are_checked(void **state)
{
	struct bed *g = *state;

	RUN(g, BLOCK, SCSI_READ_10, 0, 0, 0, 0x10, 0, 0, 0, 1, 0);
	assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	RUN(g, 2 * BLOCK, SCSI_WRITE_10, 0, 0, 0, 0x0f, 0xff, 0, 0, 2, 0);
	assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	RUN(g, BLOCK, SCSI_READ_16, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 1, 0, 0);
	assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	RUN(g, BLOCK, SCSI_READ_16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0);
	assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	RUN(g, BLOCK, SCSI_READ_10, 0x20, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
	assert_int_equal(g->spy.count, 0);
	RUN(g, 0, SCSI_VERIFY_10, 0, 0, 0, 0x0f, 0xff, 0, 0, 2, 0);
	assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	RUN(g, 0, SCSI_VERIFY_16, 0, 0, 0, 0, 0, 0, 0, 0x0f, 0xff, 0, 0, 0, 1, 0, 0);
	assert_good(g, 0);
}

static void flushes_reach_the_disk_and_their_failures_the_guest(void **state)
{
	struct bed *g = *state;

	RUN(g, 0, SCSI_SYNCHRONIZE_CACHE_10, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_good(g, 0);
	RUN(g, 0, SCSI_SYNCHRONIZE_CACHE_16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	RUN(g, 0, SCSI_START_STOP_UNIT, 0, 0, 0, 0, 0);
	assert_int_equal(g->spy.count, 3);
	assert_int_equal(g->spy.last.kind, DISK_FLUSH);
	RUN(g, 0, SCSI_START_STOP_UNIT, 0, 0, 0, 1, 0);
	RUN(g, 0, SCSI_START_STOP_UNIT, 0, 0, 0, 4, 0); /* NO_FLUSH */
	RUN(g, 0, SCSI_START_STOP_UNIT, 0, 0, 0, 0x34, 0);
	assert_good(g, 0);
	assert_int_equal(g->spy.count, 3);
	for (u8 power = 1; power < 16; power++) {
		RUN(g, 0, SCSI_START_STOP_UNIT, 0, 0, 0, (u8)(power << 4), 0);
		assert_good(g, 0);
		assert_int_equal(g->spy.count, 3 + power);
		assert_int_equal(g->spy.last.kind, DISK_FLUSH);
	}
	g->spy.err = -EIO;
	RUN(g, 0, SCSI_SYNCHRONIZE_CACHE_10, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_sense(g, SCSI_MEDIUM_ERROR, SCSI_ASC_WRITE_ERROR);
}

static void host_errors_become_sense(void **state)
{
	static const struct {
		int err;
		u8 key;
		u16 asc;
	} rows[] = {
		{ -EIO, SCSI_MEDIUM_ERROR, SCSI_ASC_WRITE_ERROR },
		{ -ENOSPC, SCSI_DATA_PROTECT, SCSI_ASC_SPACE_ALLOCATION_FAILED },
		{ -EROFS, SCSI_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED },
		{ -ENOMEM, SCSI_HARDWARE_ERROR, SCSI_ASC_INTERNAL_FAILURE },
	};
	struct bed *g = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		g->spy.err = rows[i].err;
		RUN(g, BLOCK, SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
		assert_sense(g, rows[i].key, rows[i].asc);
	}
	g->spy.err = -EIO;
	RUN(g, BLOCK, SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_sense(g, SCSI_MEDIUM_ERROR, SCSI_ASC_READ_ERROR);
}

static void read_only_disks_protect_their_data(void **state)
{
	struct bed *g = *state;

	g->spy.disk.read_only = true;
	RUN(g, BLOCK, SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_sense(g, SCSI_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
	RUN(g, 24, SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 24, 0);
	assert_sense(g, SCSI_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
	RUN(g, BLOCK, SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_good(g, BLOCK);
}

/* ---- UNMAP, WRITE SAME ---- */

static void unmap_list(struct bed *g, unsigned count)
{
	memset(g->buf, 0, 8 + 16 * count);
	scsi_put16(g->buf, (u16)(6 + 16 * count));
	scsi_put16(g->buf + 2, (u16)(16 * count));
}

static void unmap_extent(struct bed *g, unsigned i, u64 lba, u32 blocks)
{
	scsi_put64(g->buf + 8 + 16 * i, lba);
	scsi_put32(g->buf + 16 + 16 * i, blocks);
}

static void unmap_discards_each_extent(void **state)
{
	struct bed *g = *state;

	unmap_list(g, 3);
	unmap_extent(g, 0, 10, 5);
	unmap_extent(g, 1, 20, 0);
	unmap_extent(g, 2, BLOCKS - 1, 1);
	RUN(g, 56, SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 56, 0);
	assert_good(g, 56);
	assert_int_equal(g->spy.count, 2);
	assert_int_equal(g->spy.last.kind, DISK_DISCARD);
	assert_int_equal(g->spy.last.offset, (BLOCKS - 1) * BLOCK);
	RUN(g, 0, SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_good(g, 0);
}

static void unmap_checks_all_before_any(void **state)
{
	struct bed *g = *state;

	unmap_list(g, 2);
	unmap_extent(g, 0, 0, 1);
	unmap_extent(g, 1, BLOCKS, 1);
	RUN(g, 40, SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 40, 0);
	assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	unmap_list(g, SCSI_UNMAP_MAX + 1);
	RUN(g, 8 + 16 * (SCSI_UNMAP_MAX + 1), SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 4, 0x18, 0);
	assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_PARAMETERS);
	RUN(g, 24, SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 40, 0);
	assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH);
	RUN(g, 24, SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 7, 0);
	assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH);
	assert_int_equal(g->spy.count, 0);
	g->spy.disk.can_discard = false;
	RUN(g, 24, SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 24, 0);
	assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
}

static void write_same_writes_zeroes(void **state)
{
	struct bed *g = *state;

	memset(g->buf, 0, BLOCK);
	RUN(g, BLOCK, SCSI_WRITE_SAME_10, 0, 0, 0, 0, 4, 0, 0, 8, 0);
	assert_good(g, BLOCK);
	assert_int_equal(g->spy.last.kind, DISK_WRITE_ZEROES);
	assert_int_equal(g->spy.last.len, 8 * BLOCK);
	assert_false(g->spy.last.unmap);
	RUN(g, 0, SCSI_WRITE_SAME_16, 0x09, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 1, 0, 0, 0);
	assert_good(g, 0);
	assert_true(g->spy.last.unmap);
	assert_int_equal(g->spy.count, 2);
	RUN(g, 0, SCSI_WRITE_SAME_16, 0x08, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 1, 0, 0, 0);
	assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
	RUN(g, BLOCK, SCSI_WRITE_SAME_10, 0, 0, 0, 0, 4, 0, 0, 0, 0);
	assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB);
	g->buf[BLOCK - 1] = 1;
	RUN(g, BLOCK, SCSI_WRITE_SAME_10, 0, 0, 0, 0, 4, 0, 0, 8, 0);
	assert_good(g, BLOCK);
	assert_int_equal(g->spy.last.kind, DISK_WRITE);
}

static void small_commands(void **state)
{
	struct bed *g = *state;

	RUN(g, 0, SCSI_TEST_UNIT_READY, 0);
	assert_good(g, 0);
	RUN(g, 0, SCSI_PREVENT_ALLOW, 0, 0, 0, 1, 0);
	assert_good(g, 0);
	RUN(g, 252, SCSI_REQUEST_SENSE, 0, 0, 0, 252, 0);
	assert_good(g, 18);
	assert_int_equal(g->buf[0], 0x70);
	assert_int_equal(g->buf[2], 0);
	RUN(g, 252, SCSI_REQUEST_SENSE, 1, 0, 0, 252, 0);
	assert_good(g, 8);
	RUN(g, 0, 0x85, 0);
	assert_sense(g, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_OPCODE);
}

/* No CDB, buffer or parameter list makes it fail to answer, or reach beyond the disk. */
static void any_bytes_end_in_a_status(void **state)
{
	struct bed *g = *state;
	u64 random = 0x9e3779b97f4a7c15ull;
	u8 cdb[16];

	for (unsigned n = 0; n < 60000; n++) {
		for (unsigned i = 0; i < sizeof(cdb) + 64; i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			/* Small numbers are the likelier ones to be valid. */
			u8 byte = random >> 8 & 3 ? (u8)(random >> 20 & 3) : (u8)(random >> 32);

			if (i < sizeof(cdb))
				cdb[i] = byte;
			else
				g->buf[i - sizeof(cdb)] = byte;
		}
		if (n % 2)
			cdb[0] = (u8[]){ SCSI_UNMAP,   SCSI_WRITE_SAME_16, SCSI_READ_10,
					 SCSI_WRITE_6, SCSI_INQUIRY,       SCSI_MODE_SENSE_10,
					 SCSI_READ_16, SCSI_REPORT_LUNS }[n / 2 % 8];
		bed_run_at(g, &g->target, (unsigned)(random >> 40) % 2, cdb, sizeof(cdb),
			   (u32)(random >> 44) % 4 * 700);
		assert_true(g->r->transferred <= g->r->buffer_len);
		assert_true(!!g->r->sense.key == (g->r->status == SCSI_CHECK_CONDITION));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(inquiry_names_a_hyperv_disk),
		TEST(vpd_pages_listed_can_be_read),
		TEST(absent_units_answer_as_linux_needs),
		TEST(capacity_is_told),
		TEST(mode_pages),
		TEST(every_size_of_read_and_write),
		TEST(ranges_are_checked),
		TEST(flushes_reach_the_disk_and_their_failures_the_guest),
		TEST(host_errors_become_sense),
		TEST(read_only_disks_protect_their_data),
		TEST(unmap_discards_each_extent),
		TEST(unmap_checks_all_before_any),
		TEST(write_same_writes_zeroes),
		TEST(small_commands),
		TEST(any_bytes_end_in_a_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
