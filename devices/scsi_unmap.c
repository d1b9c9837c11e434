/* SPDX-License-Identifier: BSD-2-Clause */
/* UNMAP (SBC-3 5.28): its parameter list becomes extents, which are discarded one after another. */
#include "devices/scsi_internal.h"

static void unmap_next(struct scsi_request *r);

static void unmap_done(struct disk_op *op, int err)
{
	struct scsi_request *r = container_of(op, struct scsi_request, op);

	if (err)
		scsi_request_done(r, err);
	else
		unmap_next(r);
}

static void unmap_next(struct scsi_request *r)
{
	const struct scsi_extent *e = &r->extents[r->extent];

	if (r->extent == r->extent_count) {
		scsi_request_end(r, (struct scsi_sense){ 0 }, r->transfer_len);
		return;
	}
	r->extent++;
	scsi_submit(r, e->offset, e->len, unmap_done);
}

static void run_unmap(struct scsi_request *r, const struct scsi_command *c)
{
	(void)c;
	r->iov_count = 0;
	unmap_next(r);
}

/* All extents are checked before any is touched. */
static void take_unmap(struct scsi_request *r, struct scsi_command *c, const u8 *list, u32 len)
{
	u32 size = sizeof(struct scsi_unmap_descriptor), head = sizeof(struct scsi_unmap_header);
	u64 all = atomic_load(&c->medium->blocks), block = c->medium->block;
	u32 count;

	if (len < head) {
		scsi_illegal(c, SCSI_ASC_PARAMETER_LIST_LENGTH);
		return;
	}
	count = MIN((u32)scsi_get16(list + 2), len - head) / size;
	if (count > SCSI_UNMAP_MAX) {
		scsi_bad_list(c);
		return;
	}
	r->extent = r->extent_count = 0;
	for (u32 i = 0; i < count; i++) {
		const u8 *d = list + head + i * size;
		u64 lba = scsi_get64(d), blocks = scsi_get32(d + 8);

		if (lba > all || blocks > all - lba) {
			scsi_illegal(c, SCSI_ASC_LBA_OUT_OF_RANGE);
			return;
		}
		if (blocks)
			r->extents[r->extent_count++] =
				(struct scsi_extent){ lba * block, blocks * block };
	}
	c->run = run_unmap;
}

void scsi_unmap(struct scsi_command *c)
{
	c->op = DISK_DISCARD;
	if (c->cdb[1] & 0x01) /* ANCHOR */
		scsi_bad_cdb(c);
	else
		scsi_list(c, scsi_get16(c->cdb + 7), take_unmap);
}
