/* SPDX-License-Identifier: BSD-2-Clause */
/* Files that are closed while rings have them registered. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "base/io_thread.h"
#include "tests/unused_file.h"

#define ENTRIES 16
#define BUSY 8u /* requests of the file that is always used */

/* An image as a disk has it: locked, its requests by descriptors of its own. */
struct image {
	char path[64];
	int fd;
	struct uring_file *file;
};

static void image_open(struct image *i)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	*i = (struct image){ .path = "/var/tmp/candela-file-XXXXXX" };
	i->fd = mkstemp(i->path);
	assert_true(i->fd >= 0);
	assert_int_equal(ftruncate(i->fd, 4096), 0);
	assert_int_equal(fcntl(i->fd, F_OFD_SETLK, &all), 0);
	i->file = uring_file_new();
	assert_non_null(i->file);
}

static void image_close(struct image *i)
{
	uring_file_close(i->file);
	close(i->fd);
}

/* Whose number shares a place with that of `other`. */
static void image_collide(struct image *i, const struct image *other)
{
	int fd = fcntl(i->fd, F_DUPFD_CLOEXEC, other->fd + URING_FILES);

	assert_int_equal(fd % URING_FILES, other->fd % URING_FILES);
	close(i->fd);
	i->fd = fd;
}

struct request {
	struct uring_op op;
	struct uring *uring;
	struct iovec iov;
	u8 buf[512];
	bool again; /* submitted once more, a turn after it was done */
	struct loop_work next;
	unsigned done;
	int res;
	void (*then)(struct request *q);
};

static void request_again(struct loop_work *w)
{
	struct request *q = container_of(w, struct request, next);

	if (q->again)
		uring_submit(q->uring, &q->op);
}

static void request_done(struct uring_op *op, int res)
{
	struct request *q = container_of(op, struct request, op);

	q->res = res;
	q->done++;
	if (q->again)
		loop_post(q->uring->loop, &q->next);
	else if (q->then)
		q->then(q);
}

static void request_make(struct request *q, struct uring *uring, const struct image *i)
{
	*q = (struct request){ .uring = uring, .next.run = request_again };
	q->iov = (struct iovec){ .iov_base = q->buf, .iov_len = sizeof(q->buf) };
	q->op = (struct uring_op){ .kind = URING_READV,
				   .fd = i->fd,
				   .file = i->file,
				   .iov = &q->iov,
				   .iov_count = 1,
				   .done = request_done };
}

/* ---- On this thread ---- */

struct rig {
	struct loop loop;
	struct uring uring;
	struct image image, busy_image;
	struct request request, busy[BUSY];
};

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	assert_int_equal(loop_init(&r->loop), 0);
	assert_int_equal(uring_init(&r->uring, &r->loop, ENTRIES), 0);
	image_open(&r->image);
	image_open(&r->busy_image);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < BUSY; i++)
		r->busy[i].again = false;
	uring_fini(&r->uring);
	loop_fini(&r->loop);
	image_close(&r->busy_image);
	unlink(r->busy_image.path);
	unlink(r->image.path);
	free(r);
	return 0;
}

static void use(struct rig *r, const struct image *i)
{
	request_make(&r->request, &r->uring, i);
	uring_submit(&r->uring, &r->request.op);
	while (!r->request.done)
		assert_int_equal(loop_turn(&r->loop, 1000), 0);
	assert_int_equal(r->request.res, sizeof(r->request.buf));
}

/* file_unused_soon(), with the loop running. */
static bool unused_soon(struct rig *r, const struct image *i)
{
	u64 end = loop_now_ns() + 30 * NSEC_PER_SEC;

	while (loop_now_ns() < end) {
		assert_int_equal(loop_turn(&r->loop, 10), 0);
		if (file_unused(i->path))
			return true;
	}
	return false;
}

static void a_closed_file_is_open_no_longer(void **state)
{
	struct rig *r = *state;

	use(r, &r->image);
	assert_false(file_unused(r->image.path));
	image_close(&r->image);
	/* What all this is about. */
	assert_int_equal(file_unused(r->image.path), !r->uring.native);
	assert_true(unused_soon(r, &r->image));
}

static void others_are_used_all_the_while(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < BUSY; i++) {
		request_make(&r->busy[i], &r->uring, &r->busy_image);
		r->busy[i].again = true;
		uring_submit(&r->uring, &r->busy[i].op);
	}
	use(r, &r->image);
	image_close(&r->image);
	assert_true(unused_soon(r, &r->image));
	for (unsigned i = 0; i < BUSY; i++)
		assert_int_equal(r->busy[i].res, sizeof(r->busy[i].buf));
}

static void all_of_its_descriptors_go(void **state)
{
	struct rig *r = *state;
	struct image second = r->image;

	second.fd = open(r->image.path, O_RDWR | O_CLOEXEC);
	use(r, &r->image);
	use(r, &second);
	close(second.fd);
	image_close(&r->image);
	assert_true(unused_soon(r, &r->image));
}

/* By the time the loop hears of it the same number is another file's, which stays. */
static void its_number_is_another_s_already(void **state)
{
	struct rig *r = *state;
	struct image other;
	int fd = r->image.fd;

	use(r, &r->image);
	image_close(&r->image);
	image_open(&other);
	assert_int_equal(other.fd, fd);
	request_make(&r->request, &r->uring, &other);
	uring_submit(&r->uring, &r->request.op);
	assert_true(unused_soon(r, &r->image));
	assert_int_equal(r->request.res, sizeof(r->request.buf));
	assert_int_equal(r->uring.slot[fd % URING_FILES].fd, r->uring.native ? fd : -1);
	use(r, &other);
	image_close(&other);
	assert_true(unused_soon(r, &other));
	unlink(other.path);
}

/* It left that place long before. */
static void two_that_take_each_other_s_place(void **state)
{
	struct rig *r = *state;

	image_collide(&r->image, &r->busy_image);
	use(r, &r->image);
	use(r, &r->busy_image);
	use(r, &r->image);
	use(r, &r->busy_image);
	image_close(&r->image);
	assert_true(file_unused_soon(r->image.path));
	use(r, &r->busy_image);
	assert_false(file_unused(r->busy_image.path));
}

static void the_ring_ends_before_it_hears(void **state)
{
	struct rig *r = *state;

	use(r, &r->image);
	image_close(&r->image);
	uring_fini(&r->uring);
	assert_true(file_unused_soon(r->image.path));
}

static void the_ring_ends_before_the_file(void **state)
{
	struct rig *r = *state;

	use(r, &r->image);
	uring_fini(&r->uring);
	image_close(&r->image);
	assert_true(file_unused_soon(r->image.path));
}

/* A kernel short of memory: so many registrations are refused. */
static unsigned refused;

long syscall(long number, ...)
{
	long (*real)(long, ...);
	va_list ap;
	int fd;
	unsigned opcode, count;
	void *arg;

	va_start(ap, number);
	fd = va_arg(ap, int);
	opcode = va_arg(ap, unsigned);
	arg = va_arg(ap, void *);
	count = va_arg(ap, unsigned);
	va_end(ap);
	assert_int_equal(number, SYS_io_uring_register);
	if (refused) {
		refused--;
		errno = ENOMEM;
		return -1;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "syscall");
	return real(number, fd, opcode, arg, count);
}

/* It then goes as before: with the place's next owner, or with the ring. */
static void what_is_not_taken_away(void **state)
{
	struct rig *r = *state;
	struct image other;

	if (!r->uring.native)
		skip();
	use(r, &r->image);
	image_open(&other);
	image_collide(&other, &r->image);
	image_close(&r->image);
	refused = 1;
	assert_int_equal(loop_turn(&r->loop, 0), 0);
	assert_int_equal(refused, 0);
	assert_false(file_unused(r->image.path));
	refused = 1;
	request_make(&r->request, &r->uring, &other);
	uring_submit(&r->uring, &r->request.op);
	while (!r->request.done)
		assert_int_equal(loop_turn(&r->loop, 1000), 0);
	assert_int_equal(r->request.res, -ENOMEM);
	use(r, &other);
	assert_true(file_unused_soon(r->image.path));
	image_close(&other);
	refused = 1;
	assert_int_equal(loop_turn(&r->loop, 0), 0);
	assert_false(file_unused(other.path));
	uring_fini(&r->uring);
	assert_true(file_unused_soon(other.path));
	unlink(other.path);
}

/* ---- On threads ---- */

#define RINGS 3u
#define ROUNDS 40u

struct user {
	struct io_thread io;
	struct loop_work begin, end;
	struct image busy_image;
	struct request busy[BUSY], request;
	struct crowd *crowd;
};

struct crowd {
	struct user user[RINGS];
	struct image images[ROUNDS], *image; /* the one of this round */
	_Atomic unsigned using;
	_Atomic bool closed;
};

/* The last one takes the image with it, as with a disk. */
static void last_closes(struct request *q)
{
	struct crowd *c = container_of(q, struct user, request)->crowd;

	assert_int_equal(q->res, sizeof(q->buf));
	if (atomic_fetch_sub(&c->using, 1) > 1)
		return;
	image_close(c->image);
	c->closed = true;
}

static void user_begin(struct loop_work *w)
{
	struct user *user = container_of(w, struct user, begin);

	request_make(&user->request, &user->io.uring, user->crowd->image);
	user->request.then = last_closes;
	uring_submit(&user->io.uring, &user->request.op);
	for (unsigned i = 0; i < BUSY; i++) {
		if (user->busy[i].again)
			continue;
		request_make(&user->busy[i], &user->io.uring, &user->busy_image);
		user->busy[i].again = true;
		uring_submit(&user->io.uring, &user->busy[i].op);
	}
}

static void user_end(struct loop_work *w)
{
	struct user *user = container_of(w, struct user, end);

	for (unsigned i = 0; i < BUSY; i++)
		user->busy[i].again = false;
}

static void crowd_begin(struct crowd *c)
{
	static const struct io_thread_hooks hooks;

	for (unsigned i = 0; i < RINGS; i++) {
		struct user *user = &c->user[i];

		image_open(&user->busy_image);
		user->crowd = c;
		user->begin.run = user_begin;
		user->end.run = user_end;
		assert_int_equal(io_thread_start(&user->io, &hooks), 0);
	}
}

static void crowd_end(struct crowd *c)
{
	for (unsigned i = 0; i < RINGS; i++)
		loop_post(&c->user[i].io.loop, &c->user[i].end);
	for (unsigned i = 0; i < RINGS; i++)
		io_thread_stop(&c->user[i].io);
	for (unsigned i = 0; i < RINGS; i++) {
		image_close(&c->user[i].busy_image);
		assert_true(file_unused_soon(c->user[i].busy_image.path));
		unlink(c->user[i].busy_image.path);
		io_thread_fini(&c->user[i].io);
	}
}

/* Every other image takes turns with a busy one in its place. */
static void crowd_use(struct crowd *c, unsigned round)
{
	c->image = &c->images[round];
	image_open(c->image);
	if (round % 2)
		image_collide(c->image, &c->user[round % RINGS].busy_image);
	c->using = RINGS;
	c->closed = false;
	for (unsigned i = 0; i < RINGS; i++)
		loop_post(&c->user[i].io.loop, &c->user[i].begin);
	while (!c->closed)
		usleep(100);
}

static void rings_on_threads(void **state)
{
	struct crowd *c = calloc(1, sizeof(*c));

	(void)state;
	assert_non_null(c);
	crowd_begin(c);
	for (unsigned round = 0; round < ROUNDS - 1; round++)
		crowd_use(c, round);
	for (unsigned round = 0; round < ROUNDS - 1; round++)
		assert_true(file_unused_soon(c->images[round].path));
	/* The last one goes as the rings do. */
	crowd_use(c, ROUNDS - 1);
	crowd_end(c);
	assert_true(file_unused_soon(c->image->path));
	for (unsigned round = 0; round < ROUNDS; round++)
		unlink(c->images[round].path);
	free(c);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_closed_file_is_open_no_longer),  TEST(others_are_used_all_the_while),
		TEST(all_of_its_descriptors_go),        TEST(its_number_is_another_s_already),
		TEST(two_that_take_each_other_s_place), TEST(the_ring_ends_before_it_hears),
		TEST(the_ring_ends_before_the_file),    TEST(what_is_not_taken_away),
		cmocka_unit_test(rings_on_threads),
	};

	return cmocka_run_group_tests_name("base/uring_file", tests, NULL, NULL);
}
