/* SPDX-License-Identifier: BSD-2-Clause */
/* Carries decoded commands out on the guest's buffer and the disk. The submitting loop's thread. */
#include <errno.h>
#include <string.h>

#include "devices/scsi.h"

void scsi_sense_build(struct scsi_sense_fixed *out, struct scsi_sense sense)
{
	*out = (struct scsi_sense_fixed){ .response_code = 0x70,
					  .key = sense.key,
					  .additional_length = sizeof(*out) - 8,
					  .asc = (u8)(sense.asc >> 8),
					  .ascq = (u8)sense.asc };
}

/* How a disk's failure looks to a guest. */
static struct scsi_sense sense_of(enum disk_op_kind kind, int err)
{
	switch (err) {
	case 0:
		return (struct scsi_sense){ 0 };
	case -ENOSPC:
	case -EDQUOT:
		return (struct scsi_sense){ SCSI_DATA_PROTECT, SCSI_ASC_SPACE_ALLOCATION_FAILED };
	case -EROFS:
	case -EPERM:
	case -EACCES:
		return (struct scsi_sense){ SCSI_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED };
	case -EINVAL:
	case -ENOMEM:
		return (struct scsi_sense){ SCSI_HARDWARE_ERROR, SCSI_ASC_INTERNAL_FAILURE };
	default:
		return (struct scsi_sense){ SCSI_MEDIUM_ERROR, kind == DISK_READ
								       ? SCSI_ASC_READ_ERROR
								       : SCSI_ASC_WRITE_ERROR };
	}
}

static void request_end(struct scsi_request *r, struct scsi_sense sense, u32 transferred)
{
	r->status = sense.key ? SCSI_CHECK_CONDITION : SCSI_GOOD;
	r->sense = sense;
	r->transferred = sense.key ? 0 : transferred;
	r->done(r);
}

static void request_illegal(struct scsi_request *r, enum scsi_asc asc)
{
	request_end(r, (struct scsi_sense){ SCSI_ILLEGAL_REQUEST, (u16)asc }, 0);
}

/* ---- The guest's buffer ---- */

static u32 buffer_write(struct scsi_request *r, const u8 *data, u32 len)
{
	u32 done = 0;

	for (unsigned i = 0; i < r->iov_count && done < len; i++) {
		u32 n = (u32)MIN(r->iov[i].iov_len, (size_t)(len - done));

		memcpy(r->iov[i].iov_base, data + done, n);
		done += n;
	}
	return done;
}

static u32 buffer_read(const struct scsi_request *r, u8 *data, u32 len)
{
	u32 done = 0;

	for (unsigned i = 0; i < r->iov_count && done < len; i++) {
		u32 n = (u32)MIN(r->iov[i].iov_len, (size_t)(len - done));

		memcpy(data + done, r->iov[i].iov_base, n);
		done += n;
	}
	return done;
}

/* Cuts the buffer down to len bytes; it has at least as many. */
static void buffer_trim(struct scsi_request *r, u64 len)
{
	unsigned i = 0;

	while (r->iov[i].iov_len < len)
		len -= r->iov[i++].iov_len;
	r->iov[i].iov_len = len;
	r->iov_count = i + 1;
}

/* ---- The disk ---- */

static void op_done(struct disk_op *op, int err)
{
	struct scsi_request *r = container_of(op, struct scsi_request, op);

	request_end(r, sense_of(op->kind, err), r->transfer_len);
}

static void op_submit(struct scsi_request *r, const struct scsi_command *c,
		      void (*done)(struct disk_op *op, int err))
{
	r->op.kind = c->op;
	r->op.fua = c->fua;
	r->op.unmap = c->unmap;
	r->op.offset = c->offset;
	r->op.len = c->len;
	r->op.iov = r->iov;
	r->op.iov_count = r->iov_count;
	r->op.uring = r->uring;
	r->op.done = done;
	disk_submit(r->unit.disk, &r->op);
}

static void execute_transfer(struct scsi_request *r, const struct scsi_command *c)
{
	if (c->len > r->buffer_len) {
		request_illegal(r, SCSI_ASC_INVALID_FIELD_IN_CDB);
		return;
	}
	buffer_trim(r, c->len);
	r->transfer_len = (u32)c->len;
	op_submit(r, c, op_done);
}

static void execute_same(struct scsi_request *r, const struct scsi_command *c)
{
	u32 size = c->zero_block ? 0 : r->unit.disk->logical_block;
	u8 block[4096];

	if (buffer_read(r, block, size) != size) {
		request_illegal(r, SCSI_ASC_INVALID_FIELD_IN_CDB);
		return;
	}
	for (u32 i = 0; i < size; i++) {
		if (block[i]) {
			request_illegal(r, SCSI_ASC_INVALID_FIELD_IN_PARAMETERS);
			return;
		}
	}
	r->transfer_len = size;
	op_submit(r, c, op_done);
}

/* ---- UNMAP ---- */

static void unmap_next(struct scsi_request *r);

static void unmap_done(struct disk_op *op, int err)
{
	struct scsi_request *r = container_of(op, struct scsi_request, op);

	if (err)
		request_end(r, sense_of(op->kind, err), 0);
	else
		unmap_next(r);
}

static void unmap_next(struct scsi_request *r)
{
	struct scsi_command c = { .op = DISK_DISCARD };

	if (r->extent == r->extent_count) {
		request_end(r, (struct scsi_sense){ 0 }, r->transfer_len);
		return;
	}
	c.offset = r->extents[r->extent].offset;
	c.len = r->extents[r->extent].len;
	r->extent++;
	op_submit(r, &c, unmap_done);
}

/* Turns a copied parameter list of len bytes into extents; all are checked, none is touched. */
static enum scsi_asc unmap_parse(struct scsi_request *r, const u8 *list, u32 len)
{
	u32 size = sizeof(struct scsi_unmap_descriptor), head = sizeof(struct scsi_unmap_header);
	u32 block = r->unit.disk->logical_block;
	u64 all = r->unit.disk->size / block;
	u32 count = MIN((u32)scsi_get16(list + 2), len - head) / size;

	r->extent = r->extent_count = 0;
	if (count > SCSI_UNMAP_MAX)
		return SCSI_ASC_INVALID_FIELD_IN_PARAMETERS;
	for (u32 i = 0; i < count; i++) {
		const u8 *d = list + head + i * size;
		u64 lba = scsi_get64(d), blocks = scsi_get32(d + 8);

		if (lba > all || blocks > all - lba)
			return SCSI_ASC_LBA_OUT_OF_RANGE;
		if (blocks)
			r->extents[r->extent_count++] =
				(struct scsi_extent){ lba * block, blocks * block };
	}
	return SCSI_ASC_NONE;
}

static void execute_unmap(struct scsi_request *r, const struct scsi_command *c)
{
	u8 list[sizeof(struct scsi_unmap_header) +
		SCSI_UNMAP_MAX * sizeof(struct scsi_unmap_descriptor)] = { 0 };
	u32 len = (u32)MIN(c->len, sizeof(list));
	enum scsi_asc asc;

	if (c->len > r->buffer_len || buffer_read(r, list, len) != len) {
		request_illegal(r, SCSI_ASC_PARAMETER_LIST_LENGTH);
		return;
	}
	/* A longer list than was copied may only be longer behind its last descriptor. */
	asc = scsi_get16(list + 2) > sizeof(list) - sizeof(struct scsi_unmap_header)
		      ? SCSI_ASC_INVALID_FIELD_IN_PARAMETERS
		      : unmap_parse(r, list, len);
	if (asc) {
		request_illegal(r, asc);
		return;
	}
	r->transfer_len = (u32)c->len;
	r->iov_count = 0;
	unmap_next(r);
}

void scsi_execute(struct scsi_request *r)
{
	struct scsi_command c;

	scsi_decode(&c, &r->unit, r->cdb);
	r->transfer_len = 0;
	switch (c.kind) {
	case SCSI_ENDED:
		request_end(r, c.sense, 0);
		break;
	case SCSI_DATA_IN:
		request_end(r, c.sense, buffer_write(r, c.data, c.data_len));
		break;
	case SCSI_TRANSFER:
		execute_transfer(r, &c);
		break;
	case SCSI_NO_DATA:
		op_submit(r, &c, op_done);
		break;
	case SCSI_UNMAP_LIST:
		execute_unmap(r, &c);
		break;
	case SCSI_SAME:
		execute_same(r, &c);
		break;
	}
}
