/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * WRITE SAME (SBC-3 5.43, 5.44). Zeroes are one request to the disk; another pattern is written by
 * repeating the block, copied once, as far as an iovec list goes, again and again.
 */
#include <string.h>

#include "devices/scsi_internal.h"

static void same_done(struct disk_op *op, int err)
{
	scsi_request_done(container_of(op, struct scsi_request, op), err);
}

static void pattern_next(struct scsi_request *r);

static void pattern_done(struct disk_op *op, int err)
{
	struct scsi_request *r = container_of(op, struct scsi_request, op);

	if (err || !r->left)
		scsi_request_done(r, err);
	else
		pattern_next(r);
}

static void pattern_next(struct scsi_request *r)
{
	u64 len = MIN(r->left, (u64)SCSI_TRANSFER_MAX), offset = r->offset;
	unsigned count = 0;

	for (u64 at = 0; at < len; at += SCSI_BOUNCE)
		r->iov[count++] = (struct iovec){ r->bounce, MIN(len - at, (u64)SCSI_BOUNCE) };
	r->op.iov = r->iov;
	r->op.iov_count = count;
	r->offset += len;
	r->left -= len;
	scsi_submit(r, offset, len, pattern_done);
}

static bool block_zero(const u8 *block, u32 size)
{
	return !block[0] && !memcmp(block, block + 1, size - 1);
}

static void run_same(struct scsi_request *r, const struct scsi_command *c)
{
	u32 size = c->zero_block ? 0 : r->medium->block;

	if (!scsi_buffer_read(r, 0, r->bounce, size)) {
		scsi_request_illegal(r, SCSI_ASC_INVALID_FIELD_IN_CDB);
		return;
	}
	r->transfer_len = size;
	if (c->zero_block || block_zero(r->bounce, size)) {
		scsi_submit(r, c->offset, c->len, same_done);
		return;
	}
	for (u32 at = size; at < SCSI_BOUNCE; at += size)
		memcpy(r->bounce + at, r->bounce, size);
	r->op.kind = DISK_WRITE;
	r->op.unmap = false;
	r->offset = c->offset;
	r->left = c->len;
	pattern_next(r);
}

/* No blocks would mean "to the end": the block limits page says that is not supported. */
void scsi_write_same(struct scsi_command *c)
{
	bool sixteen = c->cdb[0] == SCSI_WRITE_SAME_16;
	u64 lba, blocks;

	scsi_extent_of(c->cdb, &lba, &blocks);
	/* WRPROTECT, ANCHOR, the obsolete PBDATA and LBDATA; UNMAP where there is no such thing. */
	if (c->cdb[1] & 0xf6 || (c->cdb[1] & 0x08 && !c->medium->disk->can_discard) || !blocks ||
	    blocks > SCSI_WRITE_SAME_MAX / c->medium->block || (!sixteen && c->cdb[1] & 0x01)) {
		scsi_bad_cdb(c);
		return;
	}
	if (!scsi_range(c, lba, blocks))
		return;
	c->op = DISK_WRITE_ZEROES;
	c->unmap = c->cdb[1] & 0x08;
	c->zero_block = c->cdb[1] & 0x01;
	c->fua = scsi_unit_flag(c->unit, SCSI_WRITE_THROUGH);
	c->run = run_same;
}
