/* SPDX-License-Identifier: BSD-2-Clause */
/* Decodes the commands that move blocks (SBC-3 chapter 5). */
#include "devices/scsi_internal.h"

bool scsi_range(struct scsi_command *c, u64 lba, u64 blocks)
{
	u64 all = atomic_load_explicit(&c->medium->blocks, memory_order_relaxed);

	if (lba > all || blocks > all - lba) {
		scsi_illegal(c, SCSI_ASC_LBA_OUT_OF_RANGE);
		return false;
	}
	c->offset = lba * c->medium->block;
	c->len = blocks * c->medium->block;
	return true;
}

void scsi_extent_of(const u8 *cdb, u64 *lba, u64 *blocks)
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

/* RDPROTECT, WRPROTECT, VRPROTECT: there is no protection information. */
static bool protection_wanted(const u8 *cdb)
{
	return cdb[0] >= 0x20 && cdb[1] >> 5;
}

static bool write_through(const struct scsi_command *c)
{
	return scsi_unit_flag(c->unit, SCSI_WRITE_THROUGH);
}

/* Whether blocks may lie in a cache, and not on the medium yet. */
static bool cached(const struct scsi_command *c)
{
	return c->medium->type == SCSI_DISK && !c->medium->disk->read_only && !write_through(c);
}

static void decode_transfer(struct scsi_command *c, enum disk_op_kind op, bool fua)
{
	u64 lba, blocks;

	if (protection_wanted(c->cdb)) {
		scsi_bad_cdb(c);
		return;
	}
	scsi_extent_of(c->cdb, &lba, &blocks);
	if (!scsi_range(c, lba, blocks))
		return;
	c->op = op;
	c->fua = fua;
	if (c->len)
		c->run = scsi_run_transfer;
}

static bool fua_wanted(const u8 *cdb)
{
	return cdb[0] >= 0x20 && cdb[1] & 0x08;
}

/* FUA: what is read is on the medium then, as it is read (SBC-3, READ (10)). */
void scsi_read(struct scsi_command *c)
{
	c->flush = fua_wanted(c->cdb) && cached(c);
	decode_transfer(c, DISK_READ, false);
}

void scsi_write(struct scsi_command *c)
{
	decode_transfer(c, DISK_WRITE, fua_wanted(c->cdb) || write_through(c));
}

/* BYTCHK 0: what is on stable storage counts as verified. 1: it is read back and compared. */
void scsi_write_verify(struct scsi_command *c)
{
	u8 check = c->cdb[1] >> 1 & 3;

	if (check > 1) {
		scsi_bad_cdb(c);
		return;
	}
	decode_transfer(c, DISK_WRITE, !check);
	if (c->run && check)
		c->run = scsi_run_write_verify;
}

/*
 * What lies in a cache is put on the medium, which is what is verified. BYTCHK 0: there is none to
 * scrape, so that is all.
 */
void scsi_verify(struct scsi_command *c)
{
	u8 check = c->cdb[1] >> 1 & 3;
	u64 lba, blocks;

	if (protection_wanted(c->cdb) || check == 2) {
		scsi_bad_cdb(c);
		return;
	}
	scsi_extent_of(c->cdb, &lba, &blocks);
	if (!scsi_range(c, lba, blocks) || !blocks)
		return;
	c->flush = cached(c);
	if (!check) {
		c->run = c->flush ? scsi_run_flush : NULL;
		return;
	}
	if (c->len > SCSI_TRANSFER_MAX) {
		scsi_bad_cdb(c);
		return;
	}
	c->op = DISK_READ;
	c->one_block = check == 3;
	c->run = scsi_run_verify;
}

void scsi_compare_and_write(struct scsi_command *c)
{
	u64 lba = scsi_get64(c->cdb + 2), blocks = c->cdb[13];

	if (protection_wanted(c->cdb) || blocks > SCSI_BOUNCE / c->medium->block) {
		scsi_bad_cdb(c);
		return;
	}
	if (!scsi_range(c, lba, blocks) || !blocks)
		return;
	c->op = DISK_WRITE;
	c->fua = c->cdb[1] & 0x08 || write_through(c);
	c->run = scsi_run_compare_and_write;
}

/* The whole disk, whatever range is named; IMMED may wait all the same. */
void scsi_synchronize_cache(struct scsi_command *c)
{
	u64 lba, blocks;

	scsi_extent_of(c->cdb, &lba, &blocks);
	if (scsi_range(c, lba, blocks))
		c->run = scsi_run_flush;
}
