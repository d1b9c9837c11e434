/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SCSI layer by itself: CDBs made from its own table of commands, or of any bytes, from several
 * initiators at a disk, a read-only one of large blocks, and a DVD drive, whose owner resets,
 * resizes, changes and takes them away meanwhile. Every request ends once, with a status that makes
 * sense, and no disk is asked for what it cannot do.
 */
#include <errno.h>
#include <time.h>

#include "devices/scsi_internal.h"
#include "tests/fuzz/fuzz.h"

#define DISK_SIZE KiB(64)
#define REQUESTS 8
#define BUFFER KiB(16)

struct mem {
	struct disk disk;
	bool attached; /* until it is closed: an owner does not give one away twice */
	u8 bytes[DISK_SIZE];
};

/* One at a LUN; or free. */
enum place { LUN_DISK, LUN_LARGE, LUN_DVD, LUN_EMPTY, PLACES };

struct running {
	struct scsi_request r;
	bool busy;
	u8 buf[BUFFER];
};

struct bed {
	struct loop loop;
	struct uring uring;
	struct scsi_target target;
	struct mem mem[PLACES];
	struct running request[REQUESTS];
	int error;
	bool hold;
	struct disk_op *held[REQUESTS];
	unsigned held_count;
};

static struct bed bed;

int fuzz_clock_gettime(clockid_t id, struct timespec *ts);

int fuzz_clock_gettime(clockid_t id, struct timespec *ts)
{
	(void)id;
	*ts = (struct timespec){ 0 };
	return 0;
}

/* ---- Disks ---- */

static void mem_carry_out(struct mem *m, struct disk_op *op)
{
	u8 *at = m->bytes + op->offset;

	if (op->kind == DISK_DISCARD || op->kind == DISK_WRITE_ZEROES)
		memset(at, 0, op->len);
	for (unsigned i = 0; i < op->iov_count && op->kind <= DISK_WRITE; i++) {
		if (op->kind == DISK_READ)
			memcpy(op->iov[i].iov_base, at, op->iov[i].iov_len);
		else
			memcpy(at, op->iov[i].iov_base, op->iov[i].iov_len);
		at += op->iov[i].iov_len;
	}
}

static void mem_submit(struct disk *disk, struct disk_op *op)
{
	FUZZ_CHECK(!disk_check(disk, op));
	FUZZ_CHECK(op->uring == &bed.uring);
	if (bed.hold) {
		FUZZ_CHECK(bed.held_count < REQUESTS);
		bed.held[bed.held_count++] = op;
		return;
	}
	if (!bed.error)
		mem_carry_out(container_of(disk, struct mem, disk), op);
	disk_complete(op, bed.error);
}

static void mem_close(struct disk *disk)
{
	for (unsigned i = 0; i < bed.held_count; i++)
		FUZZ_CHECK(bed.held[i]->disk != disk);
	container_of(disk, struct mem, disk)->attached = false;
}

static const struct disk_ops mem_ops = { .submit = mem_submit, .close = mem_close };

static void held_release(void)
{
	unsigned count = bed.held_count;

	bed.hold = false;
	bed.held_count = 0;
	for (unsigned i = 0; i < count; i++)
		mem_submit(bed.held[i]->disk, bed.held[i]);
}

static int place_attach(enum place place)
{
	struct disk *disk = place == LUN_EMPTY ? NULL : &bed.mem[place].disk;

	int err = scsi_target_attach(&bed.target, place, place < LUN_DVD ? SCSI_DISK : SCSI_DVD,
				     disk);

	bed.mem[place].attached |= !err && disk;
	return err;
}

/* ---- Requests ---- */

static void request_done(struct scsi_request *r)
{
	struct running *q = container_of(r, struct running, r);

	FUZZ_CHECK(q->busy && r->transferred <= r->buffer_len);
	FUZZ_CHECK(!!r->sense.key == (r->status == SCSI_CHECK_CONDITION));
	FUZZ_CHECK(r->status == SCSI_GOOD || !r->transferred);
	q->busy = false;
}

static void cdb_make(struct fuzz_input *in, u8 cdb[static SCSI_CDB_MAX])
{
	unsigned count;
	const struct scsi_row *rows = scsi_rows(&count), *row = &rows[fuzz_u8(in) % count];

	fuzz_bytes(in, cdb, SCSI_CDB_MAX);
	if (fuzz_rarely(in, 16))
		return;
	for (unsigned i = 1; i < SCSI_CDB_MAX; i++)
		cdb[i] &= row->usage[i];
	cdb[0] = row->opcode;
	if (row->action != SCSI_NO_ACTION)
		cdb[1] = row->action;
	/* Most numbers are large, and not to be had. */
	if (!fuzz_rarely(in, 4)) {
		memset(cdb + 2, 0, cdb[0] >= 0x80 && cdb[0] < 0xa0 ? 7 : 3);
		if (cdb[0] >= 0x80 && cdb[0] < 0xb0)
			cdb[cdb[0] < 0xa0 ? 10 : 6] = cdb[cdb[0] < 0xa0 ? 11 : 7] = 0;
	}
}

/* Of lists that must be just so, one that nearly is. */
static void list_make(struct fuzz_input *in, u8 *cdb, u8 *list)
{
	static const u8 pages[] = { 0x01, 0x08, 0x0a, 0x1c, 0x2a }, lens[] = { 10, 18, 10, 10, 20 };
	u8 which = (u8)fuzz_below(in, ARRAY_SIZE(pages));

	switch (cdb[0]) {
	case SCSI_PERSISTENT_RESERVE_OUT:
		memset(cdb + 5, 0, 4);
		cdb[8] = 24;
		cdb[2] &= 0x0f;
		for (unsigned i = 0; i < 24; i++)
			list[i] &= i == 7 || i == 15 ? 1 : 0;
		break;
	case SCSI_MODE_SELECT_6:
		cdb[1] = 0x10;
		cdb[4] = (u8)(6 + lens[which]);
		memset(list, 0, 32);
		list[4] = pages[which];
		list[5] = lens[which];
		fuzz_bytes(in, list + 6, 2);
		break;
	case SCSI_UNMAP:
		memset(cdb + 1, 0, 7);
		cdb[8] = 24;
		memset(list, 0, 14);
		list[3] = 16;
		memset(list + 16, 0, 3);
		break;
	}
}

static void op_request(struct fuzz_input *in)
{
	struct running *q = &bed.request[fuzz_below(in, REQUESTS)];
	struct scsi_request *r = &q->r;
	u32 cut;

	if (q->busy)
		return;
	memset(r, 0xa5, offsetof(struct scsi_request, iov));
	cdb_make(in, r->cdb);
	fuzz_bytes(in, q->buf, 32);
	if (!fuzz_rarely(in, 4))
		list_make(in, r->cdb, q->buf);
	r->target = fuzz_rarely(in, 32) ? NULL : &bed.target;
	r->lun = (u8)fuzz_below(in, PLACES + 1);
	r->nexus = (u8)fuzz_below(in, SCSI_NEXUSES);
	r->buffer_len = fuzz_below(in, 2) ? BUFFER : (u32)fuzz_u16(in) % BUFFER;
	cut = r->buffer_len / 3;
	r->iov[0] = (struct iovec){ q->buf, cut };
	r->iov[1] = (struct iovec){ q->buf + cut, r->buffer_len - cut };
	r->iov_count = r->buffer_len ? 2 : 0;
	r->uring = &bed.uring;
	r->done = request_done;
	q->busy = true;
	scsi_execute(r);
}

/* ---- The owner ---- */

static void medium_change(struct scsi_unit *unit, struct mem *m, bool put_in)
{
	put_in = put_in && !m->attached;
	if (!scsi_unit_change(unit, put_in ? &m->disk : NULL))
		m->attached |= put_in;
}

static void op_owner(struct fuzz_input *in)
{
	enum place place = fuzz_below(in, PLACES);
	struct scsi_unit *unit = scsi_target_unit(&bed.target, place);

	switch (fuzz_below(in, 8)) {
	case 0:
		scsi_target_detach(&bed.target, place);
		break;
	case 1:
		place_attach(place);
		break;
	case 2:
		scsi_target_reset(&bed.target);
		break;
	case 3:
		scsi_target_attention(&bed.target, SCSI_ASC_REPORTED_LUNS_CHANGED);
		break;
	case 4: /* shrinks to no less than the disk will have */
		if (unit)
			scsi_unit_resize(unit, fuzz_below(in, 2) ? DISK_SIZE : DISK_SIZE / 2);
		break;
	case 5:
		if (unit)
			medium_change(unit, &bed.mem[place], fuzz_below(in, 2));
		break;
	case 6:
		if (unit)
			scsi_unit_eject(unit);
		break;
	case 7:
		if (unit)
			scsi_unit_reset(unit);
		break;
	}
}

static void op_disk(struct fuzz_input *in)
{
	static const int errors[] = { 0, -EIO, -ENOSPC, -EROFS, -EINVAL, 0, 0, 0 };

	bed.error = errors[fuzz_below(in, ARRAY_SIZE(errors))];
	if (fuzz_below(in, 2))
		bed.hold = true;
	else
		held_release();
}

static void turn(void)
{
	FUZZ_CHECK(!loop_turn(&bed.loop, 0));
}

static void step(struct fuzz_input *in)
{
	switch (fuzz_below(in, 16)) {
	case 0:
		op_disk(in);
		break;
	case 1:
		op_owner(in);
		break;
	case 2:
		turn();
		break;
	default:
		op_request(in);
		if (!bed.hold)
			turn();
	}
}

static bool busy(void)
{
	for (unsigned i = 0; i < REQUESTS; i++)
		if (bed.request[i].busy)
			return true;
	return false;
}

/*
 * A VERIFY of 64 KiB by pages takes sixteen turns; of eight requests, all may wait for each other.
 */
static void finish(void)
{
	bed.error = 0;
	for (unsigned i = 0; busy() && i < 4096; i++) {
		held_release();
		turn();
	}
	FUZZ_CHECK(!busy());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };

	if (!bed.uring.loop)
		FUZZ_CHECK(!loop_init(&bed.loop) && !uring_init(&bed.uring, &bed.loop, 16));
	for (unsigned i = 0; i < PLACES; i++) {
		bed.mem[i].disk = (struct disk){ .ops = &mem_ops,
						 .size = DISK_SIZE,
						 .logical_block = i == LUN_LARGE ? 4096 : 512,
						 .physical_block = 4096,
						 .read_only = i >= LUN_DVD,
						 .can_discard = i == LUN_DISK,
						 .id = "fuzz" };
		FUZZ_CHECK(!place_attach(i));
	}
	while (in.left)
		step(&in);
	finish();
	scsi_target_fini(&bed.target);
	return 0;
}
