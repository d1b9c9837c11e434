/* SPDX-License-Identifier: BSD-2-Clause */
/* Raw and ephemeral disks: against one in memory, and where the host fails them. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/devices/raw_bed.h"

/* A kernel that has no time for plain reads. */
static bool again;

ssize_t preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
	if (again) {
		errno = EAGAIN;
		return -1;
	}
	return preadv2(fd, iov, count, offset, 0);
}

/* A host disk that fails to take what the page cache holds, and is asked about it once. */
static bool sync_fails;

int fdatasync(int fd)
{
	(void)fd;
	errno = EIO;
	return sync_fails ? -1 : 0;
}

#define BLOCK RAW_BLOCK
#define SIZE RAW_SIZE

static void raw_matches_memory(void **state)
{
	struct raw_bed *bed = *state;
	struct disk *disk = raw_open_image(bed, false, false);

	assert_non_null(disk);
	disk_compare(&bed->user, disk, SIZE, 600 * BLOCK, 3000);
	raw_close(disk);
}

/* The stream's buffers lie on 512 bytes or not at all, as a hostile guest's do. */
static void past_the_page_cache_matches_memory(void **state)
{
	struct raw_bed *bed = *state;
	struct disk_config config = { .cache = DISK_DIRECT };
	struct disk *disk = raw_open(bed, config);

	if (!disk && strstr(bed->error, "O_DIRECT"))
		skip();
	assert_non_null(disk);
	disk_compare(&bed->user, disk, SIZE, 600 * BLOCK, 1500);
	raw_close(disk);
	assert_int_equal(bed->user.uring.buffers_used, 0);
	/* What is registered with a ring stays open, and locked, as long as that is. */
	uring_fini(&bed->user.uring);
	assert_int_equal(uring_init(&bed->user.uring, &bed->user.loop, 32), 0);
	config.logical_block = 4096;
	disk = raw_open(bed, config);
	assert_non_null(disk);
	assert_int_equal(disk->logical_block, 4096);
	raw_close(disk);
}

/* More at once than there are buffers, each longer than one. */
static void bounced_requests_wait_for_each_other(void **state)
{
	struct raw_bed *bed = *state;
	struct disk *disk = raw_open(bed, (struct disk_config){ .cache = DISK_DIRECT });
	u64 len = URING_BUFFER + MiB(1) / 2;
	u8 *buf = malloc(SIZE + 1);
	struct disk_request q[2 * URING_BUFFERS];

	if (!disk)
		skip();
	for (u64 i = 0; i <= SIZE; i++)
		buf[i] = (u8)(i * 7 + i / 1000);
	assert_int_equal(raw_io(bed, disk, DISK_WRITE, 0, buf + 1, SIZE), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++) {
		q[i] = disk_request(DISK_READ, i * 2 * BLOCK, malloc(len + 1), len);
		q[i].iov[0].iov_base = (u8 *)q[i].iov[0].iov_base + 1;
		disk_request_start(&bed->user, disk, &q[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++) {
		u8 *got = q[i].iov[0].iov_base;

		assert_int_equal(disk_request_wait(&bed->user, &q[i]), 0);
		assert_memory_equal(got, buf + 1 + i * 2 * BLOCK, len);
		free(got - 1);
	}
	assert_int_equal(bed->user.uring.buffers_used, 0);
	free(buf);
	raw_close(disk);
}

static void threads_match_memory(void **state)
{
	struct raw_bed *bed = *state;
	struct disk *disk = raw_open(bed, (struct disk_config){ .aio = DISK_AIO_THREADS });

	assert_non_null(disk);
	assert_int_equal(uring_workers_start(&bed->user.uring, NULL, NULL), 0);
	disk_compare(&bed->user, disk, SIZE, 600 * BLOCK, 1500);
	raw_close(disk);
}

static void ephemeral_matches_memory_and_keeps_the_image(void **state)
{
	struct raw_bed *bed = *state;
	struct disk *disk = raw_open_image(bed, false, true);
	struct stat before, after;

	assert_non_null(disk);
	assert_int_equal(stat(bed->path, &before), 0);
	disk_compare(&bed->user, disk, SIZE, 600 * BLOCK, 3000);
	raw_close(disk);
	assert_int_equal(stat(bed->path, &after), 0);
	assert_int_equal(before.st_blocks, after.st_blocks);
	assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

static void ephemeral_shows_the_image_where_nothing_was_written(void **state)
{
	struct raw_bed *bed = *state;
	u8 image[8 * BLOCK], buf[8 * BLOCK], one[BLOCK];
	int fd = open(bed->path, O_WRONLY);
	struct disk *disk;

	for (u32 i = 0; i < sizeof(image); i++)
		image[i] = (u8)(1 + i / BLOCK);
	assert_int_equal(pwrite(fd, image, sizeof(image), 0), sizeof(image));
	close(fd);
	disk = raw_open_image(bed, false, true);
	memset(one, 0xee, sizeof(one));
	assert_int_equal(raw_io(bed, disk, DISK_WRITE, 2 * BLOCK, one, BLOCK), 0);
	assert_int_equal(raw_io(bed, disk, DISK_DISCARD, 5 * BLOCK, NULL, BLOCK), 0);
	assert_int_equal(raw_io(bed, disk, DISK_READ, 0, buf, sizeof(buf)), 0);
	memset(image + 2 * BLOCK, 0xee, BLOCK);
	memset(image + 5 * BLOCK, 0, BLOCK);
	assert_memory_equal(buf, image, sizeof(buf));
	raw_close(disk);
}

/* The kernel is made to stop short by cutting what it was asked for. */
static void short_transfers_go_on(void **state)
{
	struct raw_bed *bed = *state;
	struct disk *disk = raw_open_image(bed, false, false);
	u8 out[4 * BLOCK], in[4 * BLOCK];
	struct disk_request q = { .op = { .len = sizeof(out), .iov_count = 3 } };
	struct iovec part;

	for (u32 i = 0; i < sizeof(out); i++)
		out[i] = (u8)(i * 31 + i / 256);
	for (unsigned write = 2; write--;) {
		u8 *buf = write ? out : in;

		q.op.kind = write ? DISK_WRITE : DISK_READ;
		q.op.iov_count = 3;
		q.iov[0] = (struct iovec){ buf, 700 };
		q.iov[1] = (struct iovec){ buf + 700, 500 };
		q.iov[2] = (struct iovec){ buf + 1200, sizeof(out) - 1200 };
		disk_request_start(&bed->user, disk, &q);
		part = (struct iovec){ buf, write ? 100 : 700 };
		q.op.io.iov = &part;
		q.op.io.iov_count = 1;
		assert_int_equal(disk_request_wait(&bed->user, &q), 0);
		assert_int_equal(q.op.finished, sizeof(out));
	}
	assert_memory_equal(in, out, sizeof(out));
	raw_close(disk);
}

/* ---- two loops, one disk ---- */

#define SHARED_ROUNDS 400

struct sharer {
	struct disk *disk;
	unsigned parity; /* writes every other block */
	pthread_barrier_t *end;
	bool failed;
};

/* Neighbouring blocks of the two threads share words of the map. */
static void *sharer_run(void *arg)
{
	struct sharer *s = arg;
	struct disk_user *u = calloc(1, sizeof(*u));
	u8 buf[BLOCK];

	s->failed = !u || loop_init(&u->loop) || uring_init(&u->uring, &u->loop, 8);
	for (unsigned n = 0; n < 2 * SHARED_ROUNDS && !s->failed; n++) {
		unsigned i = n % SHARED_ROUNDS;
		struct disk_request q = disk_request(n < SHARED_ROUNDS ? DISK_WRITE : DISK_READ,
						     (2 * i + s->parity) * (u64)BLOCK, buf, BLOCK);

		memset(buf, (int)(i + s->parity) | 1, sizeof(buf));
		disk_request_start(u, s->disk, &q);
		while (!q.done)
			s->failed |= !!loop_turn(&u->loop, 1000);
		s->failed |= q.err || buf[BLOCK - 1] != (u8)((i + s->parity) | 1);
	}
	/* TSan does not see liburing unmap a ring: another at its address would be a race. */
	pthread_barrier_wait(s->end);
	disk_user_fini(u);
	free(u);
	return NULL;
}

static void one_disk_serves_two_loops(void **state)
{
	struct raw_bed *bed = *state;
	pthread_barrier_t end;
	struct sharer s[2] = { { raw_open_image(bed, false, true), 0, &end, false } };
	pthread_t thread[2];

	s[1] = (struct sharer){ s[0].disk, 1, &end, false };
	assert_int_equal(pthread_barrier_init(&end, NULL, 2), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, sharer_run, &s[i]), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_false(s[i].failed);
	}
	pthread_barrier_destroy(&end);
	raw_close(s[0].disk);
}

/* ---- what goes wrong ---- */

static void requests_beyond_the_contract_are_refused(void **state)
{
	struct raw_bed *bed = *state;
	u8 buf[2 * BLOCK] = { 0 };
	struct disk *disks[] = { raw_open_image(bed, false, false), disk_mem_open(SIZE, BLOCK) };
	struct disk_request q;

	for (unsigned i = 0; i < ARRAY_SIZE(disks); i++) {
		struct disk *d = disks[i];

		assert_int_equal(raw_io(bed, d, DISK_READ, SIZE - BLOCK, buf, 2 * BLOCK), -EINVAL);
		assert_int_equal(raw_io(bed, d, DISK_READ, ~0ull - 511, buf, BLOCK), -EINVAL);
		assert_int_equal(raw_io(bed, d, DISK_WRITE, 1, buf, BLOCK), -EINVAL);
		assert_int_equal(raw_io(bed, d, DISK_WRITE, 0, buf, 100), -EINVAL);
		assert_int_equal(raw_io(bed, d, DISK_DISCARD, SIZE, NULL, BLOCK), -EINVAL);
		q = disk_request(DISK_READ, 0, buf, BLOCK);
		q.op.len = 2 * BLOCK;
		assert_int_equal(disk_request_run(&bed->user, d, &q), -EINVAL);
		raw_close(d);
	}
}

static void read_only_is_enforced_below(void **state)
{
	struct raw_bed *bed = *state;
	struct disk *disk = raw_open_image(bed, true, false);
	u8 buf[BLOCK] = { 1 };

	assert_true(disk->read_only);
	assert_int_equal(raw_io(bed, disk, DISK_WRITE, 0, buf, BLOCK), -EROFS);
	assert_int_equal(raw_io(bed, disk, DISK_DISCARD, 0, NULL, BLOCK), -EROFS);
	assert_int_equal(raw_io(bed, disk, DISK_WRITE_ZEROES, 0, NULL, BLOCK), -EROFS);
	assert_int_equal(raw_io(bed, disk, DISK_READ, 0, buf, BLOCK), 0);
	assert_int_equal(raw_io(bed, disk, DISK_FLUSH, 0, NULL, 0), 0);
	raw_close(disk);
}

static void a_shrunken_file_is_an_io_error(void **state)
{
	struct raw_bed *bed = *state;
	struct disk *disk = raw_open_image(bed, false, false);
	u8 buf[4 * BLOCK];

	assert_int_equal(truncate(bed->path, SIZE - 2 * BLOCK), 0);
	assert_int_equal(raw_io(bed, disk, DISK_READ, SIZE - 4 * BLOCK, buf, sizeof(buf)), -EIO);
	assert_int_equal(raw_io(bed, disk, DISK_READ, SIZE - BLOCK, buf, BLOCK), -EIO);
	raw_close(disk);
}

static void discard_frees_space(void **state)
{
	struct raw_bed *bed = *state;
	struct disk *disk = raw_open_image(bed, false, false);
	u8 *buf = malloc(MiB(1));
	struct stat st;

	memset(buf, 0x5a, MiB(1));
	assert_int_equal(raw_io(bed, disk, DISK_WRITE, 0, buf, MiB(1)), 0);
	assert_int_equal(raw_io(bed, disk, DISK_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(stat(bed->path, &st), 0);
	assert_true(st.st_blocks >= 2048);
	assert_true(disk->can_discard);
	assert_int_equal(raw_io(bed, disk, DISK_DISCARD, 0, NULL, MiB(1)), 0);
	assert_int_equal(stat(bed->path, &st), 0);
	assert_true(st.st_blocks < 2048);
	free(buf);
	raw_close(disk);
}

/* /dev/full is no file to open as an image, but adopted it gives ENOSPC on writes, EINVAL else. */
static void host_errors_are_passed_on(void **state)
{
	struct raw_bed *bed = *state;
	struct disk *disk;
	u8 buf[BLOCK] = { 0 };

	assert_int_equal(disk_raw_adopt(&disk, open("/dev/full", O_RDWR), SIZE, BLOCK), 0);
	assert_int_equal(raw_io(bed, disk, DISK_WRITE, 0, buf, BLOCK), -ENOSPC);
	assert_int_equal(raw_io(bed, disk, DISK_FLUSH, 0, NULL, 0), -EINVAL);
	disk->can_discard = true;
	assert_int_equal(raw_io(bed, disk, DISK_DISCARD, 0, NULL, BLOCK), 0);
	assert_int_equal(raw_io(bed, disk, DISK_WRITE_ZEROES, 0, NULL, MiB(2)), -ENOSPC);
	raw_close(disk);
}

/* The kernel says "again" as often as it likes, but is asked no more than so often. */
static void asking_again_has_an_end(void **state)
{
	struct raw_bed *bed = *state;
	struct disk *disk;
	int fds[2];
	u8 buf[BLOCK];

	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	assert_int_equal(disk_raw_adopt(&disk, fds[0], SIZE, BLOCK), 0);
	disk_raw_set(disk, (struct disk_raw_how){ .threads = true });
	/* A pipe has no places to read from, but a way to say it that is no EAGAIN. */
	assert_int_equal(raw_io(bed, disk, DISK_READ, 0, buf, BLOCK), -ESPIPE);
	again = true;
	assert_int_equal(raw_io(bed, disk, DISK_READ, 0, buf, BLOCK), -EAGAIN);
	again = false;
	raw_close(disk);
	close(fds[1]);
}

static void what_was_lost_once_is_lost(void **state)
{
	struct raw_bed *bed = *state;
	struct disk *disk = raw_open(bed, (struct disk_config){ .aio = DISK_AIO_THREADS });
	u8 buf[BLOCK] = { 0 };

	assert_non_null(disk);
	assert_int_equal(raw_io(bed, disk, DISK_WRITE, 0, buf, BLOCK), 0);
	assert_int_equal(raw_io(bed, disk, DISK_FLUSH, 0, NULL, 0), 0);
	sync_fails = true;
	assert_int_equal(raw_io(bed, disk, DISK_FLUSH, 0, NULL, 0), -EIO);
	sync_fails = false;
	assert_int_equal(raw_io(bed, disk, DISK_FLUSH, 0, NULL, 0), -EIO);
	assert_int_equal(raw_io(bed, disk, DISK_READ, 0, buf, BLOCK), 0);
	raw_close(disk);
}

/* A machine's process that hears of the loss is followed by another, at the guest's reboot. */
static void a_loss_outlives_the_machine(void **state)
{
	struct raw_bed *bed = *state;
	struct disk *disk = raw_open(bed, (struct disk_config){ .aio = DISK_AIO_THREADS });
	int status;
	pid_t pid;

	assert_non_null(disk);
	pid = fork();
	if (!pid) {
		struct disk_user own;
		int err = loop_init(&own.loop) ?: uring_init(&own.uring, &own.loop, 8);

		sync_fails = true;
		_exit(err || disk_io(&own, disk, DISK_FLUSH, 0, NULL, 0) != -EIO);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(raw_io(bed, disk, DISK_FLUSH, 0, NULL, 0), -EIO);
	raw_close(disk);
}

/*
 * Of several at once, of different loops, the kernel tells any one; who comes later stands alone.
 */
static void a_loss_concerns_all_that_is_under_way(void **state)
{
	struct raw_bed *bed = *state;
	struct disk_user other;
	struct disk *disk = raw_open(bed, (struct disk_config){ .aio = DISK_AIO_THREADS });
	u8 buf[BLOCK] = { 1 };
	struct disk_request flush = disk_request(DISK_FLUSH, 0, NULL, 0);
	struct disk_request fua = disk_request(DISK_WRITE, 0, buf, BLOCK), plain = fua;

	assert_non_null(disk);
	disk_user_init(&other);
	fua.op.fua = true;
	disk_request_start(&other, disk, &flush);
	disk_request_start(&other, disk, &fua);
	disk_request_start(&other, disk, &plain);
	sync_fails = true;
	assert_int_equal(raw_io(bed, disk, DISK_FLUSH, 0, NULL, 0), -EIO);
	sync_fails = false;
	assert_int_equal(disk_request_wait(&other, &flush), -EIO);
	assert_int_equal(disk_request_wait(&other, &fua), -EIO);
	assert_int_equal(disk_request_wait(&other, &plain), 0);
	fua = disk_request(DISK_WRITE, 0, buf, BLOCK);
	fua.op.fua = true;
	assert_int_equal(disk_request_run(&other, disk, &fua), 0);
	disk_user_fini(&other);
	raw_close(disk);
}

/* /dev/full cannot be flushed: who never asks it does not notice. */
static void an_unsafe_disk_flushes_nothing(void **state)
{
	struct raw_bed *bed = *state;
	struct disk *disk;

	assert_int_equal(disk_raw_adopt(&disk, open("/dev/full", O_RDWR), SIZE, BLOCK), 0);
	assert_int_equal(raw_io(bed, disk, DISK_FLUSH, 0, NULL, 0), -EINVAL);
	disk_raw_set(disk, (struct disk_raw_how){ .unsafe = true });
	assert_int_equal(raw_io(bed, disk, DISK_FLUSH, 0, NULL, 0), 0);
	raw_close(disk);
}

/* A file system without any fallocate but the plain one: /dev/shm has holes, no ZERO_RANGE. */
static void zeroes_are_written_where_they_cannot_be_asked_for(void **state)
{
	struct raw_bed *bed = *state;
	char path[] = "/dev/shm/candela-disk-XXXXXX";
	int fd = mkstemp(path);
	u8 *buf = malloc(MiB(3));
	struct disk *disk;
	struct disk_request q;

	if (fd < 0)
		skip();
	unlink(path);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	assert_int_equal(disk_raw_adopt(&disk, fd, SIZE, BLOCK), 0);
	memset(buf, 0x77, MiB(3));
	assert_int_equal(raw_io(bed, disk, DISK_WRITE, 0, buf, MiB(3)), 0);
	q = disk_request(DISK_WRITE_ZEROES, BLOCK, NULL, MiB(3) - 2 * BLOCK);
	q.op.fua = true;
	assert_int_equal(disk_request_run(&bed->user, disk, &q), 0);
	assert_int_equal(raw_io(bed, disk, DISK_READ, 0, buf, MiB(3)), 0);
	for (u64 i = 0; i < MiB(3); i++)
		assert_int_equal(buf[i], i < BLOCK || i >= MiB(3) - BLOCK ? 0x77 : 0);
	free(buf);
	raw_close(disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RAW_TEST(raw_matches_memory),
		RAW_TEST(past_the_page_cache_matches_memory),
		RAW_TEST(bounced_requests_wait_for_each_other),
		RAW_TEST(threads_match_memory),
		RAW_TEST(ephemeral_matches_memory_and_keeps_the_image),
		RAW_TEST(ephemeral_shows_the_image_where_nothing_was_written),
		RAW_TEST(short_transfers_go_on),
		RAW_TEST(one_disk_serves_two_loops),
		RAW_TEST(requests_beyond_the_contract_are_refused),
		RAW_TEST(read_only_is_enforced_below),
		RAW_TEST(a_shrunken_file_is_an_io_error),
		RAW_TEST(discard_frees_space),
		RAW_TEST(host_errors_are_passed_on),
		RAW_TEST(asking_again_has_an_end),
		RAW_TEST(what_was_lost_once_is_lost),
		RAW_TEST(a_loss_outlives_the_machine),
		RAW_TEST(a_loss_concerns_all_that_is_under_way),
		RAW_TEST(an_unsafe_disk_flushes_nothing),
		RAW_TEST(zeroes_are_written_where_they_cannot_be_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
