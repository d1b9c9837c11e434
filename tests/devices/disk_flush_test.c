/* SPDX-License-Identifier: BSD-2-Clause */
/* Flushes of one disk by several loops: none is acknowledged over another's bad news. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* cmocka wants the three above first */
#include <cmocka.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "devices/backend/disk.h"
#include "tests/devices/disk_user.h"
#include "tests/devices/raw_bed.h"

#define LOOPS 2u
#define FDS 1024

/* A host that could not write something back so often, and tells each open file once. */
static unsigned losses, told[FDS], calls, fds[8];

int fdatasync(int fd)
{
	assert_in_range(fd, 0, FDS - 1);
	if (calls < ARRAY_SIZE(fds))
		fds[calls] = (unsigned)fd;
	calls++;
	errno = EIO;
	if (told[fd] == losses)
		return 0;
	told[fd] = losses;
	return -1;
}

/* By what file the last write with RWF_DSYNC went. */
static unsigned written;

ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t at, int flags)
{
	assert_true(flags & RWF_DSYNC);
	written = (unsigned)fd;
	return pwritev(fd, iov, count, at);
}

struct bed {
	struct raw_bed *raw;
	struct disk_user other;
	struct disk *disk;
};

/* By plain system calls, which a loop makes at the end of a turn and hears of in the next. */
static int setup(void **state)
{
	static struct bed b;
	int err = raw_setup((void **)&b.raw);

	losses = calls = 0;
	memset(told, 0, sizeof(told));
	disk_user_init(&b.other);
	b.disk = raw_open(b.raw, (struct disk_config){ .aio = DISK_AIO_THREADS, .loops = LOOPS });
	*state = &b;
	return err;
}

static int teardown(void **state)
{
	struct bed *b = *state;

	disk_user_fini(&b->other);
	raw_close(b->disk);
	return raw_teardown((void **)&b->raw);
}

static void turn(struct disk_user *u)
{
	assert_int_equal(loop_turn(&u->loop, 0), 0);
}

/* Its failure is not noted yet when the other's success would be. */
static void each_loop_hears_of_it_by_itself(void **state)
{
	struct bed *b = *state;
	struct disk_request here = disk_request(DISK_FLUSH, 0, NULL, 0);
	struct disk_request there = disk_request(DISK_FLUSH, 0, NULL, 0);

	losses = 1;
	disk_request_start(&b->raw->user, b->disk, &here);
	disk_request_start(&b->other, b->disk, &there);
	turn(&b->raw->user);
	assert_int_equal(calls, 1);
	assert_false(here.done);
	assert_int_equal(disk_request_wait(&b->other, &there), -EIO);
	assert_int_equal(disk_request_wait(&b->raw->user, &here), -EIO);
	assert_int_not_equal(fds[0], fds[1]);
}

/* What a FUA write is told is not taken from a flush: it goes by another file. */
static void nor_does_a_fua_write_hear_it_in_its_stead(void **state)
{
	struct bed *b = *state;
	u8 zero[RAW_BLOCK] = { 0 };
	struct disk_request fua = disk_request(DISK_WRITE, 0, zero, RAW_BLOCK);

	fua.op.fua = true;
	assert_int_equal(disk_request_run(&b->raw->user, b->disk, &fua), 0);
	assert_int_equal(raw_io(b->raw, b->disk, DISK_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(calls, 1);
	assert_int_not_equal(fds[0], written);
}

static void one_at_a_time_and_the_next_for_all(void **state)
{
	struct disk_request flush[5];
	struct bed *b = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(flush); i++) {
		flush[i] = disk_request(DISK_FLUSH, 0, NULL, 0);
		disk_request_start(&b->raw->user, b->disk, &flush[i]);
	}
	turn(&b->raw->user);
	assert_int_equal(calls, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(flush); i++)
		assert_int_equal(disk_request_wait(&b->raw->user, &flush[i]), 0);
	assert_int_equal(calls, 2);
	assert_int_equal(raw_io(b->raw, b->disk, DISK_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(calls, 3);
}

/* The first is over before it happens; those that share the second one all hear of it. */
static void those_that_share_one_share_what_it_brings(void **state)
{
	struct disk_request flush[3], zeroes = disk_request(DISK_WRITE_ZEROES, 0, NULL, RAW_BLOCK);
	struct bed *b = *state;

	zeroes.op.fua = true;
	for (unsigned i = 0; i < ARRAY_SIZE(flush); i++) {
		flush[i] = disk_request(DISK_FLUSH, 0, NULL, 0);
		disk_request_start(&b->raw->user, b->disk, &flush[i]);
	}
	disk_request_start(&b->raw->user, b->disk, &zeroes);
	turn(&b->raw->user);
	losses = 1;
	assert_int_equal(disk_request_wait(&b->raw->user, &flush[0]), 0);
	assert_int_equal(disk_request_wait(&b->raw->user, &flush[1]), -EIO);
	assert_int_equal(disk_request_wait(&b->raw->user, &flush[2]), -EIO);
	assert_int_equal(disk_request_wait(&b->raw->user, &zeroes), -EIO);
	assert_int_equal(raw_io(b->raw, b->disk, DISK_FLUSH, 0, NULL, 0), -EIO);
}

/* More loops than there are files: they share one, and are served all the same. */
static void more_loops_than_files(void **state)
{
	struct bed *b = *state;
	struct disk_user *u = calloc(40, sizeof(*u));

	for (unsigned i = 0; i < 40; i++) {
		struct disk_request flush = disk_request(DISK_FLUSH, 0, NULL, 0);

		disk_user_init(&u[i]);
		assert_int_equal(disk_request_run(&u[i], b->disk, &flush), 0);
	}
	for (unsigned i = 0; i < 40; i++)
		disk_user_fini(&u[i]);
	free(u);
	assert_int_equal(calls, 40);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_loop_hears_of_it_by_itself),
		TEST(nor_does_a_fua_write_hear_it_in_its_stead),
		TEST(one_at_a_time_and_the_next_for_all),
		TEST(those_that_share_one_share_what_it_brings),
		TEST(more_loops_than_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
