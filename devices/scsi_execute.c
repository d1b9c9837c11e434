/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Carries decoded commands out: the guest's buffer, the disk, how a request ends. The submitting
 * loop's thread.
 */
#include <errno.h>
#include <string.h>

#include "devices/scsi_internal.h"

/* ---- Ends ---- */

static u32 sense_fixed(const struct scsi_sense *sense, u8 out[static SCSI_SENSE_MAX])
{
	struct scsi_sense_fixed fixed = { .response_code = sense->informed ? 0xf0 : 0x70,
					  .key = sense->key,
					  .additional_length = sizeof(fixed) - 8,
					  .asc = (u8)(sense->asc >> 8),
					  .ascq = (u8)sense->asc };

	scsi_put32(fixed.information, sense->information);
	memcpy(out, &fixed, sizeof(fixed));
	return sizeof(fixed);
}

/* SPC-4 4.5.2: a header, and a descriptor of type 0 where there is information. */
static u32 sense_descriptor(const struct scsi_sense *sense, u8 out[static SCSI_SENSE_MAX])
{
	memset(out, 0, SCSI_SENSE_MAX);
	out[0] = 0x72;
	out[1] = sense->key;
	scsi_put16(out + 2, sense->asc);
	if (!sense->informed)
		return 8;
	out[7] = 12;
	out[9] = 10;
	out[10] = 0x80;
	scsi_put64(out + 12, sense->information);
	return 20;
}

u32 scsi_sense_format(const struct scsi_sense *sense, bool descriptor,
		      u8 out[static SCSI_SENSE_MAX])
{
	return descriptor ? sense_descriptor(sense, out) : sense_fixed(sense, out);
}

u32 scsi_sense_write(const struct scsi_request *r, u8 *out, u32 size)
{
	u8 sense[SCSI_SENSE_MAX];
	u32 len = scsi_sense_format(&r->sense, r->descriptor_sense, sense);

	len = MIN(len, size);
	memcpy(out, sense, len);
	return len;
}

/* How a disk's failure looks to a guest. */
static struct scsi_sense sense_of(enum disk_op_kind kind, int err)
{
	switch (err) {
	case 0:
		return (struct scsi_sense){ 0 };
	case -ENOSPC:
	case -EDQUOT:
		return (struct scsi_sense){ SCSI_DATA_PROTECT, SCSI_ASC_SPACE_ALLOCATION_FAILED,
					    false, 0 };
	case -EROFS:
	case -EPERM:
	case -EACCES:
		return (struct scsi_sense){ SCSI_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED, false, 0 };
	case -EINVAL:
	case -ENOMEM:
		return (struct scsi_sense){ SCSI_HARDWARE_ERROR, SCSI_ASC_INTERNAL_FAILURE, false,
					    0 };
	default:
		return (struct scsi_sense){ SCSI_MEDIUM_ERROR,
					    kind == DISK_READ ? SCSI_ASC_READ_ERROR
							      : SCSI_ASC_WRITE_ERROR,
					    false, 0 };
	}
}

static void request_finish(struct scsi_request *r)
{
	r->descriptor_sense = r->unit && scsi_unit_flag(r->unit, SCSI_D_SENSE);
	if (r->medium)
		scsi_medium_drop(r->unit, r->medium);
	r->done(r);
}

void scsi_request_end(struct scsi_request *r, struct scsi_sense sense, u32 transferred)
{
	r->status = sense.key ? SCSI_CHECK_CONDITION : SCSI_GOOD;
	r->sense = sense;
	r->transferred = sense.key ? 0 : transferred;
	request_finish(r);
}

void scsi_request_illegal(struct scsi_request *r, enum scsi_asc asc)
{
	scsi_request_end(r, (struct scsi_sense){ SCSI_ILLEGAL_REQUEST, (u16)asc, false, 0 }, 0);
}

/* Written while there was a cache, which the guest has turned off since: it will not flush. */
static bool left_in_cache(const struct scsi_request *r)
{
	return (r->op.kind == DISK_WRITE || r->op.kind == DISK_WRITE_ZEROES) && !r->op.fua &&
	       scsi_unit_flag(r->unit, SCSI_WRITE_THROUGH);
}

void scsi_request_done(struct scsi_request *r, int err)
{
	enum disk_op_kind kind = r->op.kind;

	if (!err && left_in_cache(r)) {
		scsi_run_flush(r, NULL);
		return;
	}
	if (err)
		atomic_fetch_add(kind == DISK_READ ? &r->unit->read_errors : &r->unit->write_errors,
				 1);
	scsi_request_end(r, sense_of(kind, err), r->transfer_len);
}

/* ---- The guest's buffer ---- */

/* Copies [at, at + len) of the buffer from or to data, as far as it goes; the bytes copied. */
static u32 buffer_copy(const struct scsi_request *r, u32 at, u8 *data, u32 len, bool write)
{
	u32 done = 0;

	for (unsigned i = 0; i < r->iov_count && done < len; i++) {
		size_t size = r->iov[i].iov_len;
		u8 *base = r->iov[i].iov_base;
		u32 n;

		if (at >= size) {
			at -= (u32)size;
			continue;
		}
		n = (u32)MIN(size - at, (size_t)(len - done));
		if (write)
			memcpy(base + at, data + done, n);
		else
			memcpy(data + done, base + at, n);
		done += n;
		at = 0;
	}
	return done;
}

u32 scsi_buffer_write(struct scsi_request *r, const u8 *data, u32 len)
{
	return buffer_copy(r, 0, (u8 *)data, MIN(len, r->buffer_len), true);
}

bool scsi_buffer_read(const struct scsi_request *r, u32 at, u8 *data, u32 len)
{
	return at <= r->buffer_len && len <= r->buffer_len - at &&
	       buffer_copy(r, at, data, len, false) == len;
}

void scsi_buffer_trim(struct scsi_request *r, u64 len)
{
	unsigned i = 0;

	while (r->iov[i].iov_len < len)
		len -= r->iov[i++].iov_len;
	r->iov[i].iov_len = len;
	r->iov_count = i + 1;
}

/* ---- The disk ---- */

void scsi_submit(struct scsi_request *r, u64 offset, u64 len,
		 void (*done)(struct disk_op *op, int err))
{
	r->op.offset = offset;
	r->op.len = len;
	r->op.uring = r->uring;
	r->op.flow = r->flow;
	r->op.done = done;
	disk_submit(r->medium->disk, &r->op);
}

static void op_done(struct disk_op *op, int err)
{
	scsi_request_done(container_of(op, struct scsi_request, op), err);
}

static void flushed_first(struct disk_op *op, int err)
{
	struct scsi_request *r = container_of(op, struct scsi_request, op);

	if (err) {
		scsi_request_done(r, err);
		return;
	}
	r->op.kind = DISK_READ;
	scsi_submit(r, r->offset, r->transfer_len, op_done);
}

void scsi_run_transfer(struct scsi_request *r, const struct scsi_command *c)
{
	if (c->len > r->buffer_len) {
		scsi_request_illegal(r, SCSI_ASC_INVALID_FIELD_IN_CDB);
		return;
	}
	scsi_buffer_trim(r, c->len);
	r->transfer_len = (u32)c->len;
	r->op.iov = r->iov;
	r->op.iov_count = r->iov_count;
	if (!c->flush) {
		scsi_submit(r, c->offset, c->len, op_done);
		return;
	}
	r->offset = c->offset;
	r->op.kind = DISK_FLUSH;
	scsi_submit(r, 0, 0, flushed_first);
}

void scsi_run_flush(struct scsi_request *r, const struct scsi_command *c)
{
	(void)c;
	r->op.kind = DISK_FLUSH;
	scsi_submit(r, 0, 0, op_done);
}

/* ---- Commands ---- */

/* A list shorter than the CDB says is no list; what lies behind SCSI_LIST_MAX is not looked at. */
static void list_take(struct scsi_request *r, struct scsi_command *c)
{
	u8 list[SCSI_LIST_MAX] = { 0 };
	u32 len = (u32)c->len;

	if (scsi_buffer_read(r, 0, list, MIN(len, (u32)sizeof(list))) && len <= r->buffer_len) {
		r->transfer_len = len;
		c->take(r, c, list, len);
	} else {
		scsi_illegal(c, SCSI_ASC_PARAMETER_LIST_LENGTH);
	}
}

static void request_conflict(struct scsi_request *r)
{
	r->status = SCSI_RESERVATION_CONFLICT;
	r->sense = (struct scsi_sense){ 0 };
	r->transferred = 0;
	request_finish(r);
}

void scsi_execute(struct scsi_request *r)
{
	struct scsi_command c;

	r->unit = r->target && r->lun < SCSI_LUNS ? atomic_load(&r->target->unit[r->lun]) : NULL;
	r->medium = r->unit ? scsi_medium_hold(r->unit) : NULL;
	if (!r->medium)
		r->unit = NULL;
	r->transfer_len = 0;
	scsi_decode(&c, r);
	r->op.kind = c.op;
	r->op.fua = c.fua;
	r->op.unmap = c.unmap;
	if (c.take)
		list_take(r, &c);
	if (c.status == SCSI_RESERVATION_CONFLICT)
		request_conflict(r);
	else if (c.sense.key)
		scsi_request_end(r, c.sense, 0);
	else if (c.run)
		c.run(r, &c);
	else
		scsi_request_end(r, c.sense,
				 c.data_len ? scsi_buffer_write(r, c.data, c.data_len)
					    : r->transfer_len);
}
