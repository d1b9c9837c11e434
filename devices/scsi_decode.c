/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a CDB means: the table of commands and the decoders of those that touch blocks. Pure.
 * Source: SBC-3 chapter 5.
 */
#include "devices/scsi.h"

typedef void scsi_decoder(struct scsi_command *c, const struct scsi_unit *unit, const u8 *cdb);

void scsi_fail(struct scsi_command *c, enum scsi_sense_key key, enum scsi_asc asc)
{
	c->kind = SCSI_ENDED;
	c->sense = (struct scsi_sense){ .key = (u8)key, .asc = (u16)asc };
}

void scsi_data(struct scsi_command *c, u32 len, u32 alloc)
{
	c->kind = SCSI_DATA_IN;
	c->data_len = MIN(len, alloc);
}

static void decode_nothing(struct scsi_command *c, const struct scsi_unit *unit, const u8 *cdb)
{
	(void)c;
	(void)unit;
	(void)cdb;
}

/* Sets offset and len where [lba, lba + blocks) lies on the disk; fails the command where not. */
static bool decode_range(struct scsi_command *c, const struct disk *disk, u64 lba, u64 blocks)
{
	u64 all = disk->size / disk->logical_block;

	if (lba > all || blocks > all - lba) {
		scsi_illegal(c, SCSI_ASC_LBA_OUT_OF_RANGE);
		return false;
	}
	c->offset = lba * disk->logical_block;
	c->len = blocks * disk->logical_block;
	return true;
}

/* Where the commands of one size keep their fields (SPC-4 4.2.2). */
static void decode_extent(const u8 *cdb, u64 *lba, u64 *blocks)
{
	switch (cdb[0] >> 5) {
	case 0: /* 6 bytes: no blocks means 256 */
		*lba = scsi_get32(cdb) & 0x1fffff;
		*blocks = cdb[4] ? cdb[4] : 256;
		break;
	case 4:
		*lba = scsi_get64(cdb + 2);
		*blocks = scsi_get32(cdb + 10);
		break;
	case 5:
		*lba = scsi_get32(cdb + 2);
		*blocks = scsi_get32(cdb + 6);
		break;
	default:
		*lba = scsi_get32(cdb + 2);
		*blocks = scsi_get16(cdb + 7);
		break;
	}
}

static void decode_transfer(struct scsi_command *c, const struct scsi_unit *unit, const u8 *cdb)
{
	bool six = cdb[0] < 0x20;
	u64 lba, blocks;

	/* RDPROTECT, WRPROTECT: there is no protection information. */
	if (!six && cdb[1] >> 5) {
		scsi_illegal(c, SCSI_ASC_INVALID_FIELD_IN_CDB);
		return;
	}
	decode_extent(cdb, &lba, &blocks);
	if (!decode_range(c, unit->disk, lba, blocks))
		return;
	c->fua = !six && cdb[1] & 0x08;
	if (c->len)
		c->kind = SCSI_TRANSFER;
}

static void decode_read(struct scsi_command *c, const struct scsi_unit *unit, const u8 *cdb)
{
	c->op = DISK_READ;
	decode_transfer(c, unit, cdb);
}

static void decode_write(struct scsi_command *c, const struct scsi_unit *unit, const u8 *cdb)
{
	c->op = DISK_WRITE;
	decode_transfer(c, unit, cdb);
}

/* Only without BYTCHK: there is no medium to scrape, the range is what is verified. */
static void decode_verify(struct scsi_command *c, const struct scsi_unit *unit, const u8 *cdb)
{
	u64 lba, blocks;

	if (cdb[1] & 0xe6) {
		scsi_illegal(c, SCSI_ASC_INVALID_FIELD_IN_CDB);
		return;
	}
	decode_extent(cdb, &lba, &blocks);
	decode_range(c, unit->disk, lba, blocks);
}

/* The whole disk, whatever range is named; IMMED may wait all the same. */
static void decode_flush(struct scsi_command *c, const struct scsi_unit *unit, const u8 *cdb)
{
	u64 lba, blocks;

	decode_extent(cdb, &lba, &blocks);
	if (!decode_range(c, unit->disk, lba, blocks))
		return;
	c->kind = SCSI_NO_DATA;
	c->op = DISK_FLUSH;
}

/* Stopping means that everything is on the medium. */
static void decode_start_stop(struct scsi_command *c, const struct scsi_unit *unit, const u8 *cdb)
{
	(void)unit;
	if (cdb[4] & 0x01)
		return;
	c->kind = SCSI_NO_DATA;
	c->op = DISK_FLUSH;
}

static void decode_unmap(struct scsi_command *c, const struct scsi_unit *unit, const u8 *cdb)
{
	u32 len = scsi_get16(cdb + 7);

	if (!unit->disk->can_discard) {
		scsi_illegal(c, SCSI_ASC_INVALID_OPCODE);
	} else if (cdb[1] & 0x01) { /* ANCHOR */
		scsi_illegal(c, SCSI_ASC_INVALID_FIELD_IN_CDB);
	} else if (len && len < sizeof(struct scsi_unmap_header)) {
		scsi_illegal(c, SCSI_ASC_PARAMETER_LIST_LENGTH);
	} else if (len) {
		c->kind = SCSI_UNMAP_LIST;
		c->len = len;
	}
}

/* No blocks would mean "to the end": the block limits page says that is not supported. */
static void decode_write_same(struct scsi_command *c, const struct scsi_unit *unit, const u8 *cdb)
{
	bool sixteen = cdb[0] == SCSI_WRITE_SAME_16;
	u64 lba, blocks;

	decode_extent(cdb, &lba, &blocks);
	/* WRPROTECT, ANCHOR, the obsolete PBDATA and LBDATA. */
	if (cdb[1] & 0xf6 || !blocks || blocks > SCSI_WRITE_SAME_MAX / unit->disk->logical_block) {
		scsi_illegal(c, SCSI_ASC_INVALID_FIELD_IN_CDB);
		return;
	}
	if (!decode_range(c, unit->disk, lba, blocks))
		return;
	c->kind = SCSI_SAME;
	c->op = DISK_WRITE_ZEROES;
	c->unmap = cdb[1] & 0x08;
	c->zero_block = sixteen && cdb[1] & 0x01;
}

static void decode_service_action_in(struct scsi_command *c, const struct scsi_unit *unit,
				     const u8 *cdb)
{
	if ((cdb[1] & 0x1f) == SCSI_SA_READ_CAPACITY_16)
		scsi_read_capacity_16(c, unit, cdb);
	else
		scsi_illegal(c, SCSI_ASC_INVALID_FIELD_IN_CDB);
}

enum { OTHER, WRITES, ANY_UNIT /* answered even where there is no disk */ };

static const struct {
	scsi_decoder *decode;
	u8 kind;
} commands[256] = {
	[SCSI_TEST_UNIT_READY] = { decode_nothing, OTHER },
	[SCSI_REQUEST_SENSE] = { scsi_request_sense, ANY_UNIT },
	[SCSI_READ_6] = { decode_read, OTHER },
	[SCSI_WRITE_6] = { decode_write, WRITES },
	[SCSI_INQUIRY] = { scsi_inquiry, ANY_UNIT },
	[SCSI_MODE_SENSE_6] = { scsi_mode_sense, OTHER },
	[SCSI_START_STOP_UNIT] = { decode_start_stop, OTHER },
	[SCSI_PREVENT_ALLOW] = { decode_nothing, OTHER },
	[SCSI_READ_CAPACITY_10] = { scsi_read_capacity_10, OTHER },
	[SCSI_READ_10] = { decode_read, OTHER },
	[SCSI_WRITE_10] = { decode_write, WRITES },
	[SCSI_VERIFY_10] = { decode_verify, OTHER },
	[SCSI_SYNCHRONIZE_CACHE_10] = { decode_flush, OTHER },
	[SCSI_WRITE_SAME_10] = { decode_write_same, WRITES },
	[SCSI_UNMAP] = { decode_unmap, WRITES },
	[SCSI_MODE_SENSE_10] = { scsi_mode_sense, OTHER },
	[SCSI_READ_16] = { decode_read, OTHER },
	[SCSI_WRITE_16] = { decode_write, WRITES },
	[SCSI_VERIFY_16] = { decode_verify, OTHER },
	[SCSI_SYNCHRONIZE_CACHE_16] = { decode_flush, OTHER },
	[SCSI_WRITE_SAME_16] = { decode_write_same, WRITES },
	[SCSI_SERVICE_ACTION_IN_16] = { decode_service_action_in, OTHER },
	[SCSI_REPORT_LUNS] = { scsi_report_luns, ANY_UNIT },
	[SCSI_READ_12] = { decode_read, OTHER },
	[SCSI_WRITE_12] = { decode_write, WRITES },
};

void scsi_decode(struct scsi_command *c, const struct scsi_unit *unit,
		 const u8 cdb[static SCSI_CDB_MAX])
{
	scsi_decoder *decode = commands[cdb[0]].decode;
	u8 kind = commands[cdb[0]].kind;

	c->kind = SCSI_ENDED;
	c->fua = c->unmap = c->zero_block = false;
	c->offset = c->len = 0;
	c->sense = (struct scsi_sense){ 0 };
	c->data_len = 0;
	if (!unit->disk && kind != ANY_UNIT)
		scsi_illegal(c, SCSI_ASC_LUN_NOT_SUPPORTED);
	else if (!decode)
		scsi_illegal(c, SCSI_ASC_INVALID_OPCODE);
	else if (kind == WRITES && unit->disk->read_only)
		scsi_fail(c, SCSI_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
	else
		decode(c, unit, cdb);
}
