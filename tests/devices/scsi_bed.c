/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/devices/scsi_bed.h"

static void spy_pass(struct spy *s, struct disk_op *op)
{
	if (s->err)
		disk_complete(op, s->err);
	else
		disk_submit(s->below, op);
}

static void spy_submit(struct disk *disk, struct disk_op *op)
{
	struct spy *s = container_of(disk, struct spy, disk);

	s->last = *op;
	s->count++;
	s->kinds[op->kind]++;
	if (!s->hold) {
		spy_pass(s, op);
		return;
	}
	assert_in_range(s->held_count, 0, ARRAY_SIZE(s->held) - 1);
	s->held[s->held_count++] = op;
}

void spy_release(struct spy *s)
{
	unsigned count = s->held_count;

	s->hold = false;
	s->held_count = 0;
	for (unsigned i = 0; i < count; i++)
		spy_pass(s, s->held[i]);
}

static void spy_close(struct disk *disk)
{
	container_of(disk, struct spy, disk)->closed++;
}

static const struct disk_ops spy_ops = { .submit = spy_submit, .close = spy_close };

void spy_init(struct spy *s, struct disk *below)
{
	s->below = below;
	s->disk = *below;
	s->disk.ops = &spy_ops;
}

static int setup(void **state, u32 block)
{
	static struct bed b;

	b = (struct bed){ 0 };
	assert_int_equal(loop_init(&b.loop), 0);
	assert_int_equal(uring_init(&b.uring, &b.loop, 8), 0);
	spy_init(&b.spy, disk_mem_open(BLOCKS * BLOCK, block));
	spy_init(&b.spy7, b.spy.below);
	assert_int_equal(scsi_target_attach(&b.target, 0, SCSI_DISK, &b.spy.disk), 0);
	assert_int_equal(scsi_target_attach(&b.target, 7, SCSI_DISK, &b.spy7.disk), 0);
	b.r = calloc(1, sizeof(*b.r));
	*state = &b;
	return 0;
}

int bed_setup(void **state)
{
	return setup(state, BLOCK);
}

int bed_setup_4k(void **state)
{
	return setup(state, 4096);
}

int bed_teardown(void **state)
{
	struct bed *b = *state;

	scsi_target_fini(&b->target);
	uring_fini(&b->uring);
	loop_fini(&b->loop);
	b->spy.below->ops->close(b->spy.below);
	free(b->r);
	return 0;
}

static struct bed *running;

static void request_done(struct scsi_request *r)
{
	if (r != running->r)
		return;
	assert_false(running->done);
	running->done = true;
}

static void request_fill(struct bed *b, struct scsi_request *r, const u8 *cdb, u32 n, u8 *buf,
			 u32 len)
{
	memset(r, 0, sizeof(*r));
	memcpy(r->cdb, cdb, n);
	r->target = &b->target;
	r->lun = b->lun;
	r->nexus = b->nexus;
	r->buffer_len = len;
	if (len) {
		r->iov[0] = (struct iovec){ buf, len / 3 };
		r->iov[1] = (struct iovec){ buf + len / 3, len - len / 3 };
		r->iov_count = 2;
	}
	r->uring = &b->uring;
	r->done = request_done;
	running = b;
}

void bed_begin(struct bed *b, struct scsi_request *r, const u8 *cdb, u32 n, u8 *buf, u32 len)
{
	request_fill(b, r, cdb, n, buf, len);
	scsi_execute(r);
}

void bed_turn(struct bed *b)
{
	assert_int_equal(loop_turn(&b->loop, 10), 0);
}

void bed_run_at(struct bed *b, const struct scsi_target *target, unsigned lun, const u8 *cdb, u32 n,
		u32 len)
{
	request_fill(b, b->r, cdb, n, b->buf, len);
	b->r->target = target;
	b->r->lun = (u8)lun;
	b->done = false;
	scsi_execute(b->r);
	while (!b->done)
		assert_int_equal(loop_turn(&b->loop, 1000), 0);
}

void assert_good_at(const struct bed *b, u32 transferred, const char *file, int line)
{
	_assert_int_equal(b->r->sense.asc, 0, file, line);
	_assert_int_equal(b->r->status, SCSI_GOOD, file, line);
	_assert_int_equal(b->r->transferred, transferred, file, line);
}

void assert_sense_at(const struct bed *b, u8 key, u16 asc, const char *file, int line)
{
	_assert_int_equal(b->r->status, SCSI_CHECK_CONDITION, file, line);
	_assert_int_equal(b->r->sense.key, key, file, line);
	_assert_int_equal(b->r->sense.asc, asc, file, line);
	_assert_int_equal(b->r->transferred, 0, file, line);
}

void assert_conflict_at(const struct bed *b, const char *file, int line)
{
	_assert_int_equal(b->r->status, SCSI_RESERVATION_CONFLICT, file, line);
	_assert_int_equal(b->r->sense.key, 0, file, line);
	_assert_int_equal(b->r->transferred, 0, file, line);
}

void bed_expect_attention(struct bed *b, u8 nexus, u16 asc)
{
	b->nexus = nexus;
	RUN(b, 0, SCSI_TEST_UNIT_READY, 0);
	if (asc)
		assert_sense(b, SCSI_UNIT_ATTENTION, asc);
	else
		assert_good(b, 0);
}

void bed_reserve_out(struct bed *b, u8 nexus, u8 action, u8 type, u64 key, u64 action_key)
{
	memset(b->buf, 0, 24);
	scsi_put64(b->buf, key);
	scsi_put64(b->buf + 8, action_key);
	b->nexus = nexus;
	RUN(b, 24, SCSI_PERSISTENT_RESERVE_OUT, action, type, 0, 0, 0, 0, 0, 24, 0);
}

void bed_reserve_good(struct bed *b, u8 nexus, u8 action, u8 type, u64 key, u64 action_key)
{
	bed_reserve_out(b, nexus, action, type, key, action_key);
	assert_good(b, 24);
}
