/* SPDX-License-Identifier: BSD-2-Clause */
/* Units that come, go and change under requests, and what their initiators are told. */
#include <pthread.h>

#include "tests/devices/scsi_bed.h"

static void ready(struct bed *b, u16 asc)
{
	RUN(b, 0, SCSI_TEST_UNIT_READY, 0);
	if (asc)
		assert_sense(b, SCSI_UNIT_ATTENTION, asc);
	else
		assert_good(b, 0);
}

static void attentions_are_told_once_and_in_order(void **state)
{
	static const u16 order[] = { SCSI_ASC_RESET,
				     SCSI_ASC_REPORTED_LUNS_CHANGED,
				     SCSI_ASC_INQUIRY_DATA_CHANGED,
				     SCSI_ASC_MEDIUM_CHANGED,
				     SCSI_ASC_CAPACITY_CHANGED,
				     SCSI_ASC_MODE_PARAMETERS_CHANGED };
	struct bed *b = *state;
	struct scsi_unit *unit = scsi_target_unit(&b->target, 0);

	ready(b, 0);
	for (unsigned i = ARRAY_SIZE(order); i--;) {
		scsi_unit_attention(unit, order[i]);
		scsi_unit_attention(unit, order[i]);
	}
	for (u8 nexus = 0; nexus < SCSI_NEXUSES; nexus++) {
		b->nexus = nexus;
		for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
			ready(b, order[i]);
		ready(b, 0);
	}
	b->lun = 7;
	ready(b, 0);
}

static void an_attention_comes_before_anything_else(void **state)
{
	struct bed *b = *state;
	struct scsi_unit *unit = scsi_target_unit(&b->target, 0);

	scsi_unit_attention(unit, SCSI_ASC_CAPACITY_CHANGED);
	RUN(b, 36, SCSI_INQUIRY, 0, 0, 0, 36, 0);
	assert_good(b, 36);
	RUN(b, 64, SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0);
	assert_good(b, 24);
	RUN(b, BLOCK, SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	assert_sense(b, SCSI_UNIT_ATTENTION, SCSI_ASC_CAPACITY_CHANGED);
	assert_int_equal(b->spy.count, 0);
	scsi_unit_attention(unit, SCSI_ASC_CAPACITY_CHANGED);
	RUN(b, 0, 0xff, 0);
	assert_sense(b, SCSI_UNIT_ATTENTION, SCSI_ASC_CAPACITY_CHANGED);
	scsi_unit_attention(unit, SCSI_ASC_CAPACITY_CHANGED);
	RUN(b, 18, SCSI_REQUEST_SENSE, 0, 0, 0, 18, 0);
	assert_good(b, 18);
	assert_int_equal(b->buf[2], SCSI_UNIT_ATTENTION);
	assert_int_equal(scsi_get16(b->buf + 12), SCSI_ASC_CAPACITY_CHANGED);
	ready(b, 0);
}

static void resizing(void **state)
{
	struct bed *b = *state;
	struct scsi_unit *unit = scsi_target_unit(&b->target, 0);

	assert_int_equal(scsi_unit_resize(unit, BLOCKS * BLOCK), 0);
	ready(b, 0);
	assert_int_equal(scsi_unit_resize(unit, BLOCKS / 2 * BLOCK), 0);
	ready(b, SCSI_ASC_CAPACITY_CHANGED);
	RUN(b, 8, SCSI_READ_CAPACITY_10, 0);
	assert_int_equal(scsi_get32(b->buf), BLOCKS / 2 - 1);
	RUN(b, BLOCK, SCSI_READ_10, 0, 0, 0, 8, 0, 0, 0, 1, 0);
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LBA_OUT_OF_RANGE);
	assert_int_equal(scsi_unit_resize(unit, BLOCKS * BLOCK), 0);
	ready(b, SCSI_ASC_CAPACITY_CHANGED);
	RUN(b, BLOCK, SCSI_READ_10, 0, 0, 0, 8, 0, 0, 0, 1, 0);
	assert_good(b, BLOCK);
}

static struct disk *released;

static void note_released(struct scsi_target *target, struct disk *disk)
{
	(void)target;
	assert_null(released);
	released = disk;
}

static void a_detached_disk_is_released_after_its_requests(void **state)
{
	struct bed *b = *state;
	struct scsi_request *r = calloc(1, sizeof(*r));
	const u8 read[10] = { SCSI_READ_10, [8] = 1 };
	static u8 bytes[BLOCK];

	released = NULL;
	b->target.released = note_released;
	b->spy.hold = true;
	bed_begin(b, r, read, 10, bytes, BLOCK);
	r->status = 0xff;
	assert_int_equal(scsi_target_detach(&b->target, 0), 0);
	assert_int_equal(scsi_target_detach(&b->target, 0), -ENOENT);
	assert_null(scsi_target_unit(&b->target, 0));
	RUN(b, 0, SCSI_TEST_UNIT_READY, 0);
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED);
	assert_int_equal(scsi_target_attach(&b->target, 0, SCSI_DISK, &b->spy.disk), -EBUSY);
	assert_null(released);
	spy_release(&b->spy);
	bed_turn(b);
	assert_int_equal(r->status, SCSI_GOOD);
	assert_ptr_equal(released, &b->spy.disk);
	assert_int_equal(scsi_target_attach(&b->target, 0, SCSI_DISK, &b->spy.disk), 0);
	assert_int_equal(scsi_target_attach(&b->target, 0, SCSI_DISK, &b->spy.disk), -EEXIST);
	ready(b, 0);
	released = NULL;
	b->target.released = NULL;
	assert_int_equal(scsi_target_detach(&b->target, 7), 0);
	assert_int_equal(b->spy7.closed, 1);
	free(r);
}

static void bad_places(void **state)
{
	struct bed *b = *state;
	struct disk large = b->spy.disk;

	large.logical_block = 4096;
	assert_int_equal(scsi_target_attach(&b->target, 64, SCSI_DISK, &b->spy.disk), -EINVAL);
	assert_int_equal(scsi_target_attach(&b->target, 1, SCSI_DISK, NULL), -EINVAL);
	assert_int_equal(scsi_target_attach(&b->target, 1, SCSI_NOTHING, NULL), -EINVAL);
	assert_int_equal(scsi_target_attach(&b->target, 1, SCSI_DVD, &large), -EINVAL);
	assert_int_equal(scsi_unit_change(scsi_target_unit(&b->target, 0), NULL), -EINVAL);
	assert_int_equal(scsi_target_detach(&b->target, 5), -ENOENT);
	assert_int_equal(scsi_target_detach(&b->target, 500), -ENOENT);
}

static void a_unit_anew_remembers_nothing(void **state)
{
	struct bed *b = *state;
	struct scsi_unit *unit = scsi_target_unit(&b->target, 0);

	scsi_unit_attention(unit, SCSI_ASC_RESET);
	b->nexus = 1;
	ready(b, SCSI_ASC_RESET);
	RUN(b, 0, SCSI_RESERVE_6, 0, 0, 0, 0, 0);
	assert_good(b, 0);
	assert_int_equal(scsi_target_detach(&b->target, 0), 0);
	assert_int_equal(scsi_target_attach(&b->target, 0, SCSI_DISK, &b->spy.disk), 0);
	b->nexus = 0;
	ready(b, 0);
}

static void targets_as_a_whole(void **state)
{
	struct bed *b = *state;

	scsi_target_attention(&b->target, SCSI_ASC_REPORTED_LUNS_CHANGED);
	scsi_target_reset(&b->target);
	for (u8 lun = 0; lun < 8; lun += 7) {
		b->lun = lun;
		ready(b, SCSI_ASC_RESET);
		ready(b, SCSI_ASC_REPORTED_LUNS_CHANGED);
		ready(b, 0);
	}
}

/* ---- Threads ---- */

/* A loop of its own that reads, compares and writes at LUN 0 until told to stop. */
struct reader {
	struct loop loop;
	struct uring uring;
	struct scsi_request *r;
	const struct scsi_target *target;
	u8 buf[2 * BLOCK];
	bool done;
	_Atomic bool *stop;
	_Atomic u64 good, absent, other;
	pthread_t thread;
};

static void reader_done(struct scsi_request *r)
{
	struct reader *d = *(struct reader **)(r + 1);

	d->done = true;
}

static void reader_step(struct reader *d, unsigned i)
{
	struct scsi_request *r = d->r;

	memset(r, 0, sizeof(*r));
	r->target = d->target;
	r->cdb[0] = i % 4 ? SCSI_READ_10 : SCSI_COMPARE_AND_WRITE;
	r->cdb[i % 4 ? 8 : 13] = 1;
	r->cdb[5] =
		i % 4 ? 9 : 0; /* a memory disk has no order for what is read and written at once */
	r->buffer_len = i % 4 ? BLOCK : 2 * BLOCK;
	r->iov[0] = (struct iovec){ d->buf, r->buffer_len };
	r->iov_count = 1;
	r->uring = &d->uring;
	r->done = reader_done;
	d->done = false;
	scsi_execute(r);
	while (!d->done)
		loop_turn(&d->loop, 100);
	if (r->status == SCSI_GOOD || r->sense.key == SCSI_MISCOMPARE)
		d->good++;
	else if (r->sense.asc == SCSI_ASC_LUN_NOT_SUPPORTED)
		d->absent++;
	else
		d->other++;
}

static void *reader_run(void *arg)
{
	struct reader *d = arg;

	for (unsigned i = 0; !*d->stop; i++)
		reader_step(d, i);
	return NULL;
}

static void reader_begin(struct reader *d, struct bed *b, _Atomic bool *stop)
{
	assert_int_equal(loop_init(&d->loop), 0);
	assert_int_equal(uring_init(&d->uring, &d->loop, 8), 0);
	d->r = calloc(1, sizeof(*d->r) + sizeof(d));
	*(struct reader **)(d->r + 1) = d;
	d->target = &b->target;
	d->stop = stop;
	assert_int_equal(pthread_create(&d->thread, NULL, reader_run, d), 0);
}

static _Atomic unsigned release_count;

static void count_released(struct scsi_target *target, struct disk *disk)
{
	(void)target;
	(void)disk;
	release_count++;
}

/* The disk comes and goes under two loops: each time it is released once, nobody has it after. */
static void disks_come_and_go_under_loops(void **state)
{
	struct bed *b = *state;
	static struct reader reader[2];
	_Atomic bool stop = false;
	unsigned gone = 0;

	memset(reader, 0, sizeof(reader));
	release_count = 0;
	b->target.released = count_released;
	/* Not the spy, which is for one thread. */
	assert_int_equal(scsi_target_detach(&b->target, 0), 0);
	assert_int_equal(scsi_target_attach(&b->target, 0, SCSI_DISK, b->spy.below), 0);
	for (unsigned i = 0; i < 2; i++)
		reader_begin(&reader[i], b, &stop);
	while (gone < 300) {
		struct scsi_unit *unit = scsi_target_unit(&b->target, 0);
		int err;

		scsi_unit_attention(unit, SCSI_ASC_MODE_PARAMETERS_CHANGED);
		assert_int_equal(scsi_target_detach(&b->target, 0), 0);
		gone++;
		do
			err = scsi_target_attach(&b->target, 0, SCSI_DISK, b->spy.below);
		while (err == -EBUSY);
		assert_int_equal(err, 0);
		assert_int_equal(release_count, 1 + gone);
		for (unsigned i = 0; gone % 8 == 0 && i < 2; i++)
			for (u64 before = reader[i].good; reader[i].good == before;)
				sched_yield();
	}
	stop = true;
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(reader[i].thread, NULL);
		assert_true(reader[i].good > 0);
		uring_fini(&reader[i].uring);
		loop_fini(&reader[i].loop);
		free(reader[i].r);
	}
	assert_int_equal(scsi_target_detach(&b->target, 0), 0);
	b->target.released = NULL;
}

/* ---- MODE SELECT of two loops ---- */

struct chooser {
	struct loop loop;
	struct uring uring;
	struct scsi_request *r;
	u8 buf[24];
	bool done;
};

static void chooser_done(struct scsi_request *r)
{
	(*(struct chooser **)(r + 1))->done = true;
}

static void chooser_init(struct chooser *c)
{
	memset(c, 0, sizeof(*c));
	assert_int_equal(loop_init(&c->loop), 0);
	assert_int_equal(uring_init(&c->uring, &c->loop, 8), 0);
	c->r = calloc(1, sizeof(*c->r) + sizeof(c));
	*(struct chooser **)(c->r + 1) = c;
}

static void chooser_fini(struct chooser *c)
{
	uring_fini(&c->uring);
	loop_fini(&c->loop);
	free(c->r);
}

/* MODE SELECT or MODE SENSE of a page of len bytes, which c->buf has behind its header. */
static void chooser_run(struct chooser *c, const struct scsi_target *target, u8 opcode, u8 page,
			u8 len)
{
	struct scsi_request *r = c->r;

	memset(r, 0, sizeof(*r));
	r->target = target;
	r->cdb[0] = opcode;
	r->cdb[1] = 0x10; /* PF */
	r->cdb[2] = opcode == SCSI_MODE_SENSE_6 ? page : 0;
	r->cdb[4] = len;
	r->buffer_len = len;
	r->iov[0] = (struct iovec){ c->buf, len };
	r->iov_count = 1;
	r->uring = &c->uring;
	r->done = chooser_done;
	c->done = false;
	scsi_execute(r);
	while (!c->done)
		loop_turn(&c->loop, 100);
}

/* Has the third byte of the page be `bits`. */
static void choose(struct chooser *c, const struct scsi_target *target, u8 page, u8 len, u8 bits)
{
	chooser_run(c, target, SCSI_MODE_SENSE_6, page, len);
	c->buf[0] = 0;
	c->buf[6] = bits;
	chooser_run(c, target, SCSI_MODE_SELECT_6, page, len);
}

struct formats {
	struct chooser c;
	const struct scsi_target *target;
	_Atomic bool *stop;
};

static void *choose_formats(void *arg)
{
	struct formats *f = arg;

	for (unsigned i = 0; !*f->stop; i++)
		choose(&f->c, f->target, SCSI_MODE_CONTROL, 4 + 12, i % 2 ? 0x04 : 0);
	return NULL;
}

/* One loop chooses the format of sense data all the time: the cache stays as the other has it. */
static void a_cache_stays_off_whatever_else_is_chosen(void **state)
{
	struct bed *b = *state;
	static struct formats formats;
	static struct chooser c;
	_Atomic bool stop = false;
	unsigned on_again = 0;
	pthread_t thread;

	assert_int_equal(scsi_target_detach(&b->target, 0), 0);
	assert_int_equal(scsi_target_attach(&b->target, 0, SCSI_DISK, b->spy.below), 0);
	b->target.released = count_released;
	chooser_init(&c);
	chooser_init(&formats.c);
	formats.target = &b->target;
	formats.stop = &stop;
	assert_int_equal(pthread_create(&thread, NULL, choose_formats, &formats), 0);
	for (unsigned i = 0; i < 3000; i++) {
		choose(&c, &b->target, SCSI_MODE_CACHING, 4 + 20, 0);
		chooser_run(&c, &b->target, SCSI_MODE_SENSE_6, SCSI_MODE_CACHING, 4 + 20);
		on_again += c.buf[6] & 0x04;
		choose(&c, &b->target, SCSI_MODE_CACHING, 4 + 20, 0x04);
	}
	stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(on_again, 0);
	chooser_fini(&formats.c);
	chooser_fini(&c);
	assert_int_equal(scsi_target_detach(&b->target, 0), 0);
	b->target.released = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(attentions_are_told_once_and_in_order),
		TEST(an_attention_comes_before_anything_else),
		TEST(resizing),
		TEST(a_detached_disk_is_released_after_its_requests),
		TEST(bad_places),
		TEST(a_unit_anew_remembers_nothing),
		TEST(targets_as_a_whole),
		TEST(disks_come_and_go_under_loops),
		TEST(a_cache_stays_off_whatever_else_is_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
