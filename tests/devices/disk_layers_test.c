/* SPDX-License-Identifier: BSD-2-Clause */
/* What is put on top of disks: rate limits, counters, and requests that must not fail. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/backend/disk.h"
#include "tests/patience.h"
#include "tests/still_clock.h"

#define BLOCK 512u
#define SIZE MiB(1)
#define DEEP 64

/* A user of a disk: one loop, `depth` reads of `len` bytes at a time, again and again. */
struct user {
	struct loop loop;
	struct uring uring, *ring;
	struct disk *disk;
	struct user_op {
		struct disk_op op;
		struct iovec iov;
		struct user *user;
	} request[DEEP];
	u8 buf[MiB(1)];
	u32 len;
	u16 flow;
	unsigned in_flight, ended, failed, last_err;
	bool again;
	u64 until_ns;
	unsigned most, started; /* most: of requests, 0: any number */
};

static void user_init(struct user *u, struct disk *disk)
{
	u->disk = disk;
	u->len = BLOCK;
	u->ring = &u->uring;
	assert_int_equal(loop_init(&u->loop), 0);
	assert_int_equal(uring_init(&u->uring, &u->loop, 64), 0);
}

static void user_fini(struct user *u)
{
	uring_fini(&u->uring);
	loop_fini(&u->loop);
}

static struct user *user_new(struct disk *disk)
{
	struct user *u = calloc(1, sizeof(*u));

	assert_non_null(u);
	user_init(u, disk);
	return u;
}

static void user_free(struct user *u)
{
	user_fini(u);
	free(u);
}

static void request_done(struct disk_op *op, int err);

static void request_start(struct user_op *q, enum disk_op_kind kind, u64 offset)
{
	struct user *u = q->user;

	q->iov = (struct iovec){ .iov_base = u->buf, .iov_len = u->len };
	q->op = (struct disk_op){ .kind = kind,
				  .offset = offset,
				  .len = kind == DISK_FLUSH ? 0 : u->len,
				  .iov = &q->iov,
				  .iov_count = 1,
				  .uring = u->ring,
				  .flow = u->flow,
				  .done = request_done };
	u->started++;
	u->in_flight++;
	disk_submit(u->disk, &q->op);
}

static void request_done(struct disk_op *op, int err)
{
	struct user_op *q = container_of(op, struct user_op, op);
	struct user *u = q->user;

	u->in_flight--;
	u->ended++;
	if (err) {
		u->failed++;
		u->last_err = (unsigned)-err;
	}
	if (u->again && loop_now_ns() < u->until_ns && (!u->most || u->started < u->most))
		request_start(q, op->kind, 0);
}

static void user_start(struct user *u, unsigned depth, u64 until_ns)
{
	u->again = true;
	u->until_ns = until_ns;
	for (unsigned i = 0; i < depth; i++) {
		u->request[i].user = u;
		request_start(&u->request[i], DISK_READ, 0);
	}
}

static void turn(struct user *u)
{
	assert_int_equal(loop_turn(&u->loop, 1), 0);
}

/* One request; 0 or -errno. */
static int run(struct user *u, enum disk_op_kind kind, u64 offset)
{
	unsigned failed = u->failed;

	u->request[0].user = u;
	request_start(&u->request[0], kind, offset);
	while (u->in_flight)
		turn(u);
	return u->failed > failed ? -(int)u->last_err : 0;
}

/* ---- Limits, by a clock of the test's ---- */

static int limits_begin(void **state)
{
	(void)state;
	still_clock_begin();
	return 0;
}

static int limits_end(void **state)
{
	(void)state;
	still_clock_end();
	return 0;
}

static struct disk *limited(u64 iops, u64 bps, u32 burst_ms)
{
	struct disk *disk;

	assert_int_equal(disk_limit_open(&disk, disk_mem_open(SIZE, BLOCK), iops, bps, burst_ms),
			 0);
	return disk;
}

/* What one user with 32 requests at a time gets done in 300 ms. */
static void gets(struct disk *disk, u32 len, u64 per_second, u64 burst_ms)
{
	struct user *u = user_new(disk);
	u64 begin = loop_now_ns(), ms;

	u->len = len;
	user_start(u, 32, begin + 300 * NSEC_PER_MSEC);
	while (u->in_flight)
		turn(u);
	ms = (loop_now_ns() - begin) / NSEC_PER_MSEC + 1;
	assert_in_range(u->ended, per_second * 300 / 1000, per_second * (ms + burst_ms) / 1000 + 1);
	user_free(u);
	disk->ops->close(disk);
}

static void requests_a_second(void **state)
{
	(void)state;
	gets(limited(2000, 0, 20), BLOCK, 2000, 20);
}

static void bytes_a_second(void **state)
{
	(void)state;
	gets(limited(0, MiB(8), 20), 16384, 512, 20);
	/* One that takes longer than a burst goes, too. */
	gets(limited(0, MiB(64), 10), MiB(1), 64, 10);
}

static void a_burst_is_saved_up(void **state)
{
	struct disk *disk = limited(10, 0, 2000);
	struct user *u = user_new(disk);
	u64 begin = loop_now_ns();

	(void)state;
	/* The burst is there at first, and a 21st waits. */
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(run(u, DISK_READ, 0), 0);
	assert_int_equal(loop_now_ns(), begin);
	assert_int_equal(run(u, DISK_READ, 0), 0);
	assert_int_equal(run(u, DISK_READ, 0), 0);
	assert_in_range(loop_now_ns() - begin, 90 * NSEC_PER_MSEC, 210 * NSEC_PER_MSEC);
	user_free(u);
	disk->ops->close(disk);
}

static void flushes_and_mistakes_do_not_wait(void **state)
{
	struct disk *disk = limited(1, 0, 10);
	struct user *u = user_new(disk);
	u64 begin = loop_now_ns();

	(void)state;
	assert_int_equal(run(u, DISK_READ, 0), 0);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(run(u, DISK_FLUSH, 0), 0);
		assert_int_equal(run(u, DISK_READ, SIZE), -EINVAL);
	}
	assert_int_equal(loop_now_ns(), begin);
	user_free(u);
	disk->ops->close(disk);
}

/* 32 at a time against one at a time: on two loops, or on two queues of one. */
static void share(bool two_loops)
{
	struct disk *disk = limited(1000, 0, 10);
	struct user *deep = user_new(disk), *shallow = user_new(disk);
	u64 until = loop_now_ns() + 400 * NSEC_PER_MSEC;

	shallow->flow = 1;
	if (!two_loops)
		shallow->ring = &deep->uring;
	user_start(deep, 32, until);
	user_start(shallow, 1, until);
	while (deep->in_flight || shallow->in_flight) {
		turn(deep);
		turn(shallow);
	}
	assert_true(shallow->ended > 40);
	assert_true(shallow->ended * 6 > deep->ended);
	user_free(shallow);
	user_free(deep);
	disk->ops->close(disk);
}

static void shallow_queues_get_their_share(void **state)
{
	(void)state;
	share(true);
	share(false);
}

#define RACERS 3u
#define RACER_DEEP 8u
#define RACER_READS 200u

struct racer {
	struct disk *disk;
	pthread_barrier_t *turn;
	unsigned ended;
};

/* Its first requests are made at the same moment as the others'. */

static void *racer_run(void *arg)
{
	struct racer *r = arg;
	struct user *u = user_new(r->disk);

	u->most = RACER_READS;
	user_start(u, RACER_DEEP, UINT64_MAX);
	pthread_barrier_wait(r->turn);
	while (u->in_flight)
		turn(u);
	r->ended = u->ended;
	/* A lane is known by its loop, which ends with the machine: no other may have its address. */
	pthread_barrier_wait(r->turn);
	user_free(u);
	return NULL;
}

static void threads_share_a_limit(void **state)
{
	struct disk *disk = limited(2000, 0, 10), *top;
	struct racer r[RACERS];
	struct disk_counters c;
	pthread_barrier_t turn;
	pthread_t thread[RACERS];
	u64 begin = loop_now_ns(), ms;
	unsigned sum = 0;

	(void)state;
	assert_int_equal(disk_meter_open(&top, disk), 0);
	assert_int_equal(pthread_barrier_init(&turn, NULL, RACERS), 0);
	for (unsigned i = 0; i < RACERS; i++) {
		r[i] = (struct racer){ .disk = top, .turn = &turn };
		assert_int_equal(pthread_create(&thread[i], NULL, racer_run, &r[i]), 0);
	}
	for (unsigned i = 0; i < RACERS; i++) {
		pthread_join(thread[i], NULL);
		sum += r[i].ended;
	}
	ms = (loop_now_ns() - begin) / NSEC_PER_MSEC + 1;
	assert_in_range(sum, RACERS * RACER_READS, 2 * (ms + 10) + 1);
	disk_counters(top, &c);
	assert_int_equal(c.kind[DISK_READ].ops, sum);
	/* Of the first ones a burst goes at once, and one more. */
	assert_in_range(c.throttled, RACERS * RACER_DEEP - 21, sum);
	pthread_barrier_destroy(&turn);
	top->ops->close(top);
}

/* ---- Counters ---- */

static void everything_is_counted(void **state)
{
	struct disk *disk;
	struct disk_counters c;
	struct user *u;
	u64 sum = 0;

	(void)state;
	assert_int_equal(disk_meter_open(&disk, disk_mem_open(SIZE, BLOCK)), 0);
	u = user_new(disk);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(run(u, DISK_WRITE, 0), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(run(u, DISK_READ, 0), 0);
	assert_int_equal(run(u, DISK_FLUSH, 0), 0);
	assert_int_equal(run(u, DISK_DISCARD, 0), 0);
	assert_int_equal(run(u, DISK_WRITE_ZEROES, 0), 0);
	/* Not the disk's. */
	assert_int_equal(run(u, DISK_READ, SIZE), -EINVAL);
	disk_counters(disk, &c);
	assert_int_equal(c.kind[DISK_WRITE].ops, 5);
	assert_int_equal(c.kind[DISK_WRITE].bytes, 5 * BLOCK);
	assert_int_equal(c.kind[DISK_READ].ops, 3);
	assert_int_equal(c.kind[DISK_READ].errors, 0);
	assert_int_equal(c.kind[DISK_FLUSH].ops, 1);
	assert_int_equal(c.kind[DISK_FLUSH].bytes, 0);
	assert_int_equal(c.kind[DISK_DISCARD].bytes, BLOCK);
	assert_int_equal(c.kind[DISK_WRITE_ZEROES].ops, 1);
	assert_int_equal(c.throttled, 0);
	for (unsigned i = 0; i < DISK_LATENCIES; i++)
		sum += c.kind[DISK_WRITE].latency[i];
	assert_int_equal(sum, 5);
	user_free(u);
	disk->ops->close(disk);
}

/* The second read waits for the first one's second to pass: 100 ms, 2^16 to 2^17 us. */
static void latency_is_what_the_guest_sees(void **state)
{
	struct disk *disk;
	struct disk_counters c;
	u64 late = 0;
	struct user *u;

	(void)state;
	assert_int_equal(disk_meter_open(&disk, limited(10, 0, 10)), 0);
	u = user_new(disk);
	assert_int_equal(run(u, DISK_READ, 0), 0);
	assert_int_equal(run(u, DISK_READ, 0), 0);
	disk_counters(disk, &c);
	for (unsigned i = 17; i < DISK_LATENCIES; i++)
		late += c.kind[DISK_READ].latency[i];
	assert_int_equal(late, 1);
	user_free(u);
	disk->ops->close(disk);
}

/* ---- Failures ---- */

struct failure {
	unsigned count;
	enum disk_op_kind kind;
	int err;
};

static void failed(void *ctx, struct disk *disk, const struct disk_op *op, int err)
{
	struct failure *f = ctx;

	assert_non_null(disk);
	f->count++;
	f->kind = op->kind;
	f->err = err;
}

static struct disk *full_disk(void)
{
	struct disk *disk, *top;

	assert_int_equal(disk_raw_adopt(&disk, open("/dev/full", O_RDWR), SIZE, BLOCK), 0);
	assert_int_equal(disk_meter_open(&top, disk), 0);
	return top;
}

static void failures_are_counted_and_told(void **state)
{
	struct disk *disk = full_disk();
	struct user *u = user_new(disk);
	struct disk_counters c;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(run(u, DISK_WRITE, 0), -ENOSPC);
	disk_counters(disk, &c);
	assert_int_equal(c.kind[DISK_WRITE].errors, 3);
	assert_int_equal(c.kind[DISK_WRITE].bytes, 0);
	user_free(u);
	disk->ops->close(disk);
}

static void a_guest_need_not_hear_of_failures(void **state)
{
	struct disk *disk = full_disk();
	struct user *u = user_new(disk);
	struct failure f = { 0 };

	(void)state;
	disk_on_error(disk, failed, &f);
	/* Its own mistakes it hears of. */
	assert_int_equal(run(u, DISK_WRITE, SIZE), -EINVAL);
	assert_int_equal(f.count, 0);
	request_start(&u->request[0], DISK_WRITE, 0);
	for (u64 end = patience_end(); !f.count && loop_now_ns() < end;)
		turn(u);
	assert_int_equal(f.count, 1);
	assert_int_equal(f.kind, DISK_WRITE);
	assert_int_equal(f.err, -ENOSPC);
	assert_int_equal(u->in_flight, 1);
	/* Neither the ring's end nor the disk's lets it out. */
	user_fini(u);
	disk->ops->close(disk);
	assert_int_equal(u->in_flight, 1);
	free(u);
}

/* ---- Sizes ---- */

/* A raw disk on a nameless file of SIZE bytes, with all that can be put on one that is written. */
static struct disk *growing(int *fd)
{
	struct disk *disk;

	*fd = memfd_create("growing", 0);
	assert_int_equal(ftruncate(*fd, SIZE), 0);
	assert_int_equal(disk_raw_adopt(&disk, dup(*fd), SIZE, BLOCK), 0);
	assert_int_equal(disk_limit_open(&disk, disk, 1000000, 0, 100), 0);
	assert_int_equal(disk_meter_open(&disk, disk), 0);
	return disk;
}

static void a_disk_grows_and_shrinks(void **state)
{
	u8 byte = 0;
	int fd;
	struct disk *disk = growing(&fd);
	struct user *u = user_new(disk);

	(void)state;
	assert_int_equal(run(u, DISK_READ, SIZE), -EINVAL);
	assert_int_equal(ftruncate(fd, 2 * SIZE), 0);
	assert_int_equal(disk_resize(disk, 2 * SIZE), 0);
	memset(u->buf, 0x5a, BLOCK);
	assert_int_equal(run(u, DISK_WRITE, SIZE), 0);
	assert_int_equal(run(u, DISK_READ, 2 * SIZE - BLOCK), 0);
	assert_int_equal(run(u, DISK_READ, 2 * SIZE), -EINVAL);
	assert_int_equal(pread(fd, &byte, 1, SIZE), 1);
	assert_int_equal(byte, 0x5a);
	assert_int_equal(disk_resize(disk, SIZE / 2), 0);
	assert_int_equal(run(u, DISK_READ, SIZE / 2), -EINVAL);
	assert_int_equal(run(u, DISK_READ, SIZE / 2 - BLOCK), 0);
	assert_int_equal(disk_resize(disk, SIZE + 1), -EINVAL);
	assert_int_equal(disk_resize(disk, 0), -EINVAL);
	user_free(u);
	disk->ops->close(disk);
	close(fd);
}

/* Not in part either: what stands on one that cannot is as large as it. */
static void a_size_that_is_fixed_stays(void **state)
{
	struct disk *disk = disk_mem_open(SIZE, BLOCK);

	(void)state;
	assert_int_equal(disk_meter_open(&disk, disk), 0);
	assert_int_equal(disk_resize(disk, SIZE / 2), -EOPNOTSUPP);
	assert_int_equal(disk->size, SIZE);
	disk->ops->close(disk);
}

#define LIMITS(test) cmocka_unit_test_setup_teardown(test, limits_begin, limits_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIMITS(requests_a_second),
		LIMITS(bytes_a_second),
		LIMITS(a_burst_is_saved_up),
		LIMITS(flushes_and_mistakes_do_not_wait),
		LIMITS(shallow_queues_get_their_share),
		LIMITS(threads_share_a_limit),
		cmocka_unit_test(everything_is_counted),
		LIMITS(latency_is_what_the_guest_sees),
		cmocka_unit_test(failures_are_counted_and_told),
		cmocka_unit_test(a_guest_need_not_hear_of_failures),
		cmocka_unit_test(a_disk_grows_and_shrinks),
		cmocka_unit_test(a_size_that_is_fixed_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
