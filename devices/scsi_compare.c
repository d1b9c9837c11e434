/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands that look at what is on the medium: VERIFY (SBC-3 5.33) and WRITE AND VERIFY (SBC-3
 * 5.39) with BYTCHK, COMPARE AND WRITE (SBC-3 5.2). They read a piece at a time into the request's
 * own memory and compare it there.
 *
 * Of a unit's COMPARE AND WRITEs one is under way at a time. The others wait in line and start on
 * their own loops. Nothing keeps a plain WRITE from coming between the two halves of one.
 */
#include <string.h>

#include "devices/scsi_internal.h"

static const struct scsi_sense good = { 0 };

/* The first of len bytes of the guest's buffer, from `at` on, that differs from data; len: none. */
static u32 buffer_differs(const struct scsi_request *r, u32 at, const u8 *data, u32 len)
{
	u8 copy[SCSI_BOUNCE];
	u32 i = 0;

	scsi_buffer_read(r, at, copy, len);
	if (!memcmp(copy, data, len))
		return len;
	while (copy[i] == data[i])
		i++;
	return i;
}

static struct scsi_sense miscompare(u32 at)
{
	return (struct scsi_sense){ SCSI_MISCOMPARE, SCSI_ASC_MISCOMPARE, true, at };
}

/* Moves `len` bytes of the bounce buffer from or to the disk. */
static void bounce_submit(struct scsi_request *r, enum disk_op_kind kind, u64 offset, u32 len,
			  void (*done)(struct disk_op *op, int err))
{
	r->piece = (struct iovec){ r->bounce, len };
	r->op.kind = kind;
	r->op.iov = &r->piece;
	r->op.iov_count = 1;
	scsi_submit(r, offset, len, done);
}

/* ---- VERIFY ---- */

static void verify_next(struct scsi_request *r);

/* Bytes under way; where one block is compared with all, extent is its size, else 0. */
static u32 verify_step(const struct scsi_request *r)
{
	return (u32)MIN(r->left, (u64)SCSI_BOUNCE);
}

static u32 verify_differs(const struct scsi_request *r, u64 at, u32 len)
{
	u32 block = r->medium->block;

	if (!r->one_block)
		return buffer_differs(r, (u32)at, r->bounce, len);
	for (u32 i = 0; i < len; i += block) {
		u32 same = buffer_differs(r, 0, r->bounce + i, block);

		if (same < block)
			return i + same;
	}
	return len;
}

static void verify_done(struct disk_op *op, int err)
{
	struct scsi_request *r = container_of(op, struct scsi_request, op);
	u32 len = verify_step(r), same;

	if (err) {
		scsi_request_done(r, err);
		return;
	}
	same = verify_differs(r, r->compared, len);
	if (same < len) {
		scsi_request_end(r, miscompare((u32)(r->compared + same)), 0);
		return;
	}
	r->compared += len;
	r->offset += len;
	r->left -= len;
	if (r->left)
		verify_next(r);
	else
		scsi_request_end(r, good, r->transfer_len);
}

static void verify_next(struct scsi_request *r)
{
	bounce_submit(r, DISK_READ, r->offset, verify_step(r), verify_done);
}

static void verify_begin(struct scsi_request *r, u64 offset, u64 len)
{
	r->compared = 0;
	r->offset = offset;
	r->left = len;
}

static void verify_flushed(struct disk_op *op, int err)
{
	struct scsi_request *r = container_of(op, struct scsi_request, op);

	if (err)
		scsi_request_done(r, err);
	else
		verify_next(r);
}

/* What is compared is what a cache that was emptied gives back. */
static void verify_flush(struct scsi_request *r)
{
	r->op.kind = DISK_FLUSH;
	scsi_submit(r, 0, 0, verify_flushed);
}

void scsi_run_verify(struct scsi_request *r, const struct scsi_command *c)
{
	u64 len = c->one_block ? c->medium->block : c->len;

	if (len > r->buffer_len) {
		scsi_request_illegal(r, SCSI_ASC_INVALID_FIELD_IN_CDB);
		return;
	}
	r->transfer_len = (u32)len;
	r->one_block = c->one_block;
	verify_begin(r, c->offset, c->len);
	if (c->flush)
		verify_flush(r);
	else
		verify_next(r);
}

/* ---- WRITE AND VERIFY ---- */

static void checked_next(struct scsi_request *r);

static void checked_written(struct disk_op *op, int err)
{
	struct scsi_request *r = container_of(op, struct scsi_request, op);
	u32 len = verify_step(r);

	if (err) {
		scsi_request_done(r, err);
		return;
	}
	r->compared += len;
	r->offset += len;
	r->left -= len;
	if (r->left) {
		checked_next(r);
		return;
	}
	verify_begin(r, r->offset - r->transfer_len, r->transfer_len);
	verify_flush(r);
}

/* By pieces of our own: a disk may use up the list of a buffer it is given. */
static void checked_next(struct scsi_request *r)
{
	u32 len = verify_step(r);

	scsi_buffer_read(r, (u32)r->compared, r->bounce, len);
	bounce_submit(r, DISK_WRITE, r->offset, len, checked_written);
}

void scsi_run_write_verify(struct scsi_request *r, const struct scsi_command *c)
{
	if (c->len > r->buffer_len) {
		scsi_request_illegal(r, SCSI_ASC_INVALID_FIELD_IN_CDB);
		return;
	}
	r->transfer_len = (u32)c->len;
	r->one_block = false;
	verify_begin(r, c->offset, c->len);
	checked_next(r);
}

/* ---- COMPARE AND WRITE ---- */

static void compare_start(struct scsi_request *r);

static void compare_turn(struct loop_work *w)
{
	compare_start(container_of(w, struct scsi_request, turn));
}

/* Whether it is r's turn; else it waits for it. */
static bool turn_take(struct scsi_request *r)
{
	struct scsi_unit *u = r->unit;
	bool mine;

	r->next = NULL;
	pthread_mutex_lock(&u->lock);
	mine = !u->comparing;
	if (mine) {
		u->comparing = r;
	} else {
		*u->waiting_tail = r;
		u->waiting_tail = &r->next;
	}
	pthread_mutex_unlock(&u->lock);
	return mine;
}

static void turn_pass(struct scsi_request *r)
{
	struct scsi_unit *u = r->unit;
	struct scsi_request *next;

	pthread_mutex_lock(&u->lock);
	next = u->waiting;
	if (next && !(u->waiting = next->next))
		u->waiting_tail = &u->waiting;
	u->comparing = next;
	pthread_mutex_unlock(&u->lock);
	if (!next)
		return;
	next->turn = (struct loop_work){ .run = compare_turn };
	loop_post(next->uring->loop, &next->turn);
}

static void compare_written(struct disk_op *op, int err)
{
	struct scsi_request *r = container_of(op, struct scsi_request, op);

	turn_pass(r);
	scsi_request_done(r, err);
}

static void compare_read(struct disk_op *op, int err)
{
	struct scsi_request *r = container_of(op, struct scsi_request, op);
	u32 len = r->transfer_len / 2, same;

	if (err) {
		turn_pass(r);
		scsi_request_done(r, err);
		return;
	}
	same = buffer_differs(r, 0, r->bounce, len);
	if (same < len) {
		turn_pass(r);
		scsi_request_end(r, miscompare(same), 0);
		return;
	}
	scsi_buffer_read(r, len, r->bounce, len);
	bounce_submit(r, DISK_WRITE, r->offset, len, compare_written);
}

static void compare_start(struct scsi_request *r)
{
	bounce_submit(r, DISK_READ, r->offset, r->transfer_len / 2, compare_read);
}

void scsi_run_compare_and_write(struct scsi_request *r, const struct scsi_command *c)
{
	if (2 * c->len > r->buffer_len) {
		scsi_request_illegal(r, SCSI_ASC_INVALID_FIELD_IN_CDB);
		return;
	}
	r->transfer_len = (u32)(2 * c->len);
	r->offset = c->offset;
	if (turn_take(r))
		compare_start(r);
}
