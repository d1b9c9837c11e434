/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every test runs three times: on io_uring (where the host has it), on the plain system calls, and
 * on worker threads.
 */
#include "base/uring.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/patience.h"

#define OPS 1000
#define ENTRIES 16 /* far fewer than OPS */

struct request {
	struct uring_op op;
	struct iovec iov;
	u64 value;
	int res;
	unsigned done;
	struct rig *rig;
	struct request *then;
};

struct rig {
	struct loop loop;
	struct uring uring;
	int fd;
	struct uring_file *file, *other;
	unsigned done;
	bool in_submit;
	struct request request[OPS];
};

enum mode { NATIVE, PLAIN, WORKERS, MODES };

static void rig_init(struct rig *r, enum mode mode)
{
	char name[] = "/tmp/candela-uring-XXXXXX";

	*r = (struct rig){ 0 };
	assert_int_equal(loop_init(&r->loop), 0);
	assert_int_equal(uring_init(&r->uring, &r->loop, ENTRIES), 0);
	if (mode != NATIVE && r->uring.native) {
		loop_del(&r->loop, &r->uring.ready);
		io_uring_queue_exit(&r->uring.ring);
		r->uring.native = false;
	}
	if (mode == WORKERS)
		assert_int_equal(uring_workers_start(&r->uring, NULL, NULL), 0);
	r->fd = mkstemp(name);
	assert_true(r->fd >= 0);
	unlink(name);
	r->file = uring_file_new();
	r->other = uring_file_new();
}

static void rig_fini(struct rig *r)
{
	uring_fini(&r->uring);
	loop_fini(&r->loop);
	close(r->fd);
	uring_file_close(r->file);
	uring_file_close(r->other);
}

static void request_done(struct uring_op *op, int res)
{
	struct request *q = container_of(op, struct request, op);

	assert_false(q->rig->in_submit);
	q->res = res;
	q->done++;
	q->rig->done++;
	if (q->then)
		uring_submit(&q->rig->uring, &q->then->op);
}

static struct request *request_make(struct rig *r, unsigned i, enum uring_kind kind)
{
	struct request *q = &r->request[i];

	*q = (struct request){ .rig = r, .value = i };
	q->iov = (struct iovec){ .iov_base = &q->value, .iov_len = sizeof(q->value) };
	q->op = (struct uring_op){ .kind = kind,
				   .fd = r->fd,
				   .file = r->file,
				   .offset = i * sizeof(q->value),
				   .iov = &q->iov,
				   .iov_count = 1,
				   .done = request_done };
	return q;
}

static void request_submit(struct request *q)
{
	q->rig->in_submit = true;
	uring_submit(&q->rig->uring, &q->op);
	q->rig->in_submit = false;
}

static void rig_wait(struct rig *r, unsigned count)
{
	while (r->done < count)
		assert_int_equal(loop_turn(&r->loop, 5000), 0);
}

static void many_requests_at_once(struct rig *r)
{
	for (unsigned i = 0; i < OPS; i++)
		request_submit(request_make(r, i, URING_WRITEV));
	assert_int_equal(r->done, 0);
	rig_wait(r, OPS);
	for (unsigned i = 0; i < OPS; i++) {
		assert_int_equal(r->request[i].res, sizeof(u64));
		assert_int_equal(r->request[i].done, 1);
		request_make(r, i, URING_READV)->value = ~0ull;
		request_submit(&r->request[i]);
	}
	rig_wait(r, 2 * OPS);
	for (unsigned i = 0; i < OPS; i++)
		assert_int_equal(r->request[i].value, i);
}

static void errors_and_short_reads(struct rig *r)
{
	struct request *bad = request_make(r, 0, URING_READV);
	struct request *eof = request_make(r, 1, URING_READV);
	struct request *sync = request_make(r, 2, URING_FSYNC);
	struct request *trim = request_make(r, 3, URING_FALLOCATE);

	bad->op.fd = -1;
	sync->op.mode = IORING_FSYNC_DATASYNC;
	trim->op.mode = FALLOC_FL_PUNCH_HOLE;
	trim->op.len = 4096;
	for (unsigned i = 0; i < 4; i++)
		request_submit(&r->request[i]);
	rig_wait(r, 4);
	assert_int_equal(bad->res, -EBADF);
	assert_int_equal(eof->res, 0);
	assert_int_equal(sync->res, 0);
	/* PUNCH_HOLE without KEEP_SIZE is refused. */
	assert_int_equal(trim->res, -EOPNOTSUPP);
}

static void completed_without_a_call(struct rig *r)
{
	struct request *q = request_make(r, 0, URING_READV);

	uring_complete(&r->uring, &q->op, -ENOSPC);
	assert_int_equal(r->done, 0);
	rig_wait(r, 1);
	assert_int_equal(q->res, -ENOSPC);
}

static void done_may_submit(struct rig *r)
{
	struct request *first = request_make(r, 0, URING_WRITEV);

	first->then = request_make(r, 1, URING_WRITEV);
	first->then->then = request_make(r, 2, URING_FSYNC);
	request_submit(first);
	rig_wait(r, 3);
	assert_int_equal(r->request[1].res, sizeof(u64));
}

static void fini_drains(struct rig *r)
{
	struct request *first = request_make(r, 0, URING_WRITEV);
	struct request *none = request_make(r, 3, URING_READV);

	first->then = request_make(r, 1, URING_WRITEV);
	first->then->then = request_make(r, 2, URING_FSYNC);
	request_submit(first);
	uring_complete(&r->uring, &none->op, 0);
	uring_fini(&r->uring);
	assert_int_equal(r->done, 4);
	uring_fini(&r->uring);
}

/* A kernel short of memory: it takes one entry a call. */
static bool one_at_a_time;
static unsigned submissions;

int io_uring_submit(struct io_uring *ring)
{
	int (*real)(struct io_uring *);
	unsigned tail = ring->sq.sqe_tail;
	int n;

	*(void **)&real = dlsym(RTLD_NEXT, "io_uring_submit");
	if (one_at_a_time && tail != ring->sq.sqe_head)
		ring->sq.sqe_tail = ring->sq.sqe_head + 1;
	submissions++;
	n = real(ring);
	ring->sq.sqe_tail = tail;
	return n;
}

static void part_of_a_batch_is_taken(struct rig *r)
{
	one_at_a_time = true;
	for (unsigned i = 0; i < 8; i++)
		request_submit(request_make(r, i, URING_WRITEV));
	for (u64 end = patience_end(); r->done < 8 && loop_now_ns() < end;)
		assert_int_equal(loop_turn(&r->loop, 50), 0);
	one_at_a_time = false;
	assert_int_equal(r->done, 8);
}

/* The same descriptor, another file: what was registered for the first must not be written. */
static void each_file_gets_its_own(struct rig *r)
{
	struct request *q = request_make(r, 7, URING_WRITEV);
	char name[] = "/tmp/candela-uring-XXXXXX";
	u64 value = 0;
	int first, other;

	request_submit(q);
	rig_wait(r, 1);
	first = dup(r->fd);
	other = mkstemp(name);
	unlink(name);
	assert_int_equal(dup2(other, r->fd), r->fd);
	q = request_make(r, 8, URING_WRITEV);
	q->op.offset = 7 * sizeof(u64);
	q->op.file = r->other;
	request_submit(q);
	/* One that does not say which file it is: looked at each time. */
	q = request_make(r, 9, URING_WRITEV);
	q->op.file = NULL;
	request_submit(q);
	rig_wait(r, 3);
	assert_int_equal(pread(first, &value, sizeof(value), 7 * sizeof(value)), sizeof(value));
	assert_int_equal(value, 7);
	assert_int_equal(pread(other, &value, sizeof(value), 7 * sizeof(value)), sizeof(value));
	assert_int_equal(value, 8);
	assert_int_equal(pread(other, &value, sizeof(value), 9 * sizeof(value)), sizeof(value));
	assert_int_equal(value, 9);
	close(first);
	close(other);
}

static void buffer_done(struct uring_op *op, int res)
{
	struct request *q = container_of(op, struct request, op);

	q->res = res;
	q->value = q->rig->done++;
	memset(uring_buffer(&q->rig->uring, (unsigned)res), 1, URING_BUFFER);
}

static void buffers_go_round(struct rig *r)
{
	for (unsigned i = 0; i < 3 * URING_BUFFERS; i++) {
		request_make(r, i, URING_READV)->op.done = buffer_done;
		uring_buffer_ask(&r->uring, &r->request[i].op);
	}
	assert_int_equal(r->done, 0);
	for (unsigned i = 0; i < 3 * URING_BUFFERS; i++) {
		rig_wait(r, MIN(3 * URING_BUFFERS, i + URING_BUFFERS));
		assert_int_equal(r->request[i].value, i);
		uring_buffer_return(&r->uring, (unsigned)r->request[i].res);
	}
	assert_int_equal(r->uring.buffers_used, 0);
}

static void *other_thread(void *arg)
{
	struct rig *r = arg;

	for (unsigned i = 0; i < OPS; i++)
		uring_complete_remote(&r->uring, &r->request[i].op, (int)i);
	return NULL;
}

/* Half of them arrive while the loop turns, the rest uring_fini() waits for. */
static void others_may_end_requests(struct rig *r)
{
	pthread_t thread;

	for (unsigned i = 0; i < OPS; i++) {
		request_make(r, i, URING_READV);
		uring_sent_away(&r->uring);
	}
	assert_int_equal(pthread_create(&thread, NULL, other_thread, r), 0);
	rig_wait(r, OPS / 2);
	uring_fini(&r->uring);
	assert_int_equal(r->done, OPS);
	for (unsigned i = 0; i < OPS; i++) {
		assert_int_equal(r->request[i].done, 1);
		assert_int_equal(r->request[i].res, i);
	}
	pthread_join(thread, NULL);
}

static void on_all(void (*test)(struct rig *r))
{
	static struct rig r;

	for (enum mode mode = NATIVE; mode < MODES; mode++) {
		rig_init(&r, mode);
		test(&r);
		rig_fini(&r);
	}
}

#define ALL(test)                             \
	static void test_##test(void **state) \
	{                                     \
		(void)state;                  \
		on_all(test);                 \
	}

ALL(many_requests_at_once)
ALL(errors_and_short_reads)
ALL(completed_without_a_call)
ALL(done_may_submit)
ALL(fini_drains)
ALL(part_of_a_batch_is_taken)
ALL(each_file_gets_its_own)
ALL(buffers_go_round)
ALL(others_may_end_requests)

static void the_ring_takes_nothing_but_file_io(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct io_uring_cqe *cqe;

	(void)state;
	assert_non_null(r);
	rig_init(r, NATIVE);
	if (r->uring.native) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring.ring);

		io_uring_prep_openat(sqe, AT_FDCWD, "/", O_RDONLY, 0);
		io_uring_sqe_set_data(sqe, NULL);
		io_uring_submit(&r->uring.ring);
		assert_int_equal(io_uring_wait_cqe(&r->uring.ring, &cqe), 0);
		assert_int_equal(cqe->res, -EACCES);
		io_uring_cqe_seen(&r->uring.ring, cqe);
		/* File I/O, but on a descriptor that was not registered. */
		sqe = io_uring_get_sqe(&r->uring.ring);
		io_uring_prep_fsync(sqe, r->fd, 0);
		io_uring_sqe_set_data(sqe, NULL);
		io_uring_submit(&r->uring.ring);
		assert_int_equal(io_uring_wait_cqe(&r->uring.ring, &cqe), 0);
		assert_int_equal(cqe->res, -EACCES);
		io_uring_cqe_seen(&r->uring.ring, cqe);
	}
	rig_fini(r);
	free(r);
}

static int begin_fails(void *ctx)
{
	__atomic_fetch_add((unsigned *)ctx, 1, __ATOMIC_RELAXED);
	return -EPERM;
}

static void workers_that_cannot_begin(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	static unsigned begun;

	(void)state;
	assert_non_null(r);
	rig_init(r, PLAIN);
	begun = 0;
	assert_int_equal(uring_workers_start(&r->uring, begin_fails, &begun), -EPERM);
	assert_int_equal(r->uring.workers.count, 0);
	request_submit(request_make(r, 0, URING_WRITEV));
	rig_wait(r, 1);
	assert_int_equal(r->request[0].res, sizeof(u64));
	rig_fini(r);
	free(r);
}

/* A batch is one system call. */
static void one_call_a_batch(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	(void)state;
	assert_non_null(r);
	rig_init(r, NATIVE);
	request_submit(request_make(r, 0, URING_WRITEV));
	rig_wait(r, 1);
	submissions = 0;
	for (unsigned i = 0; i < ENTRIES; i++)
		request_submit(request_make(r, i, URING_READV));
	assert_int_equal(submissions, 0);
	rig_wait(r, 1 + ENTRIES);
	assert_int_equal(submissions, r->uring.native ? 1 : 0);
	rig_fini(r);
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_requests_at_once),
		cmocka_unit_test(test_errors_and_short_reads),
		cmocka_unit_test(test_completed_without_a_call),
		cmocka_unit_test(test_done_may_submit),
		cmocka_unit_test(test_fini_drains),
		cmocka_unit_test(test_part_of_a_batch_is_taken),
		cmocka_unit_test(test_each_file_gets_its_own),
		cmocka_unit_test(test_buffers_go_round),
		cmocka_unit_test(test_others_may_end_requests),
		cmocka_unit_test(the_ring_takes_nothing_but_file_io),
		cmocka_unit_test(workers_that_cannot_begin),
		cmocka_unit_test(one_call_a_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
