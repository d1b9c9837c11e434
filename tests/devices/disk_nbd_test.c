/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks on an NBD server: against one in memory, with every offer a server may lack, scattered and
 * long requests, servers that fail, hang and die; and that what was flushed survives them.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "devices/backend/disk_nbd.h"
#include "tests/devices/disk_user.h"
#include "tests/devices/nbd_server.h"
#include "tests/patience.h"

#define BLOCK 512u
#define SIZE MiB(4)

struct rig {
	struct nbd_server server;
	struct disk_user user;
	struct disk *disk;
	char error[512];
};

static int rig_open(struct rig *r, struct disk_config config)
{
	config.path = r->server.uri;
	return disk_open(&r->disk, &config, r->error, sizeof(r->error));
}

static struct rig *rig_begin(struct nbd_server_how how)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	nbd_server_start(&r->server, SIZE, how);
	disk_user_init(&r->user);
	return r;
}

static struct rig *rig_launched(u16 flags, struct disk_config config)
{
	struct rig *r = rig_begin((struct nbd_server_how){ .flags = flags });

	assert_int_equal(rig_open(r, config), 0);
	assert_int_equal(disk_connect(r->disk, r->error, sizeof(r->error)), 0);
	assert_int_equal(disk_launch(r->disk, NULL, NULL), 0);
	return r;
}

static void rig_end(struct rig *r)
{
	disk_user_fini(&r->user);
	if (r->disk)
		r->disk->ops->close(r->disk);
	nbd_server_remove(&r->server);
	free(r);
}

static void stream_compare(struct rig *r, unsigned count)
{
	disk_compare(&r->user, r->disk, SIZE, MiB(2), count);
}

static void a_server_matches_memory(void **state)
{
	struct rig *r = rig_launched(NBD_ALL, (struct disk_config){ 0 });

	(void)state;
	assert_int_equal(r->disk->size, SIZE);
	assert_int_equal(r->disk->logical_block, 512);
	assert_true(r->disk->can_discard);
	stream_compare(r, 600);
	rig_end(r);
}

static void so_does_one_with_few_offers(void **state)
{
	struct rig *r = rig_launched(NBD_HAS_FLAGS | NBD_SEND_FLUSH, (struct disk_config){ 0 });

	(void)state;
	assert_false(r->disk->can_discard);
	stream_compare(r, 400);
	rig_end(r);
	r = rig_launched(NBD_HAS_FLAGS, (struct disk_config){ 0 });
	assert_int_equal(disk_io(&r->user, r->disk, DISK_FLUSH, 0, NULL, 0), 0);
	rig_end(r);
}

static void ephemeral_writes_do_not_reach_it(void **state)
{
	struct rig *r =
		rig_launched(NBD_ALL | NBD_READ_ONLY, (struct disk_config){ .ephemeral = true });

	(void)state;
	stream_compare(r, 300);
	rig_end(r);
}

/* More scattered ones at once than there are buffers. */
static void scattered_requests_wait_for_buffers(void **state)
{
	struct rig *r = rig_launched(NBD_ALL, (struct disk_config){ 0 });
	u8 *image = malloc(SIZE), *buf = malloc(3 * NBD_BUFFERS * MiB(1) + 1);
	struct disk_request q[3 * NBD_BUFFERS];

	(void)state;
	for (u64 i = 0; i < SIZE; i++)
		image[i] = (u8)(i * 31 + i / 777);
	assert_int_equal(disk_io(&r->user, r->disk, DISK_WRITE, 0, image, SIZE), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++) {
		u8 *to = buf + i * MiB(1);

		q[i] = disk_request(DISK_READ, i * BLOCK, to, 700);
		q[i].iov[1] = (struct iovec){ to + 700, MiB(1) - 700 };
		q[i].op.iov_count = 2;
		q[i].op.len = MiB(1);
		disk_request_start(&r->user, r->disk, &q[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++) {
		assert_int_equal(disk_request_wait(&r->user, &q[i]), 0);
		assert_memory_equal(buf + i * MiB(1), image + i * BLOCK, MiB(1));
	}
	free(image);
	free(buf);
	rig_end(r);
}

/* ---- Several loops ---- */

struct sharer {
	struct disk *disk;
	unsigned number;
	bool failed;
};

static void *sharer_run(void *arg)
{
	struct sharer *s = arg;
	struct disk_user u;
	u8 buf[BLOCK];

	disk_user_init(&u);
	for (unsigned i = 0; i < 600; i++) {
		u64 at = (3 * (i % 300) + s->number) * (u64)BLOCK;

		memset(buf, (int)(i % 300 + s->number) | 1, sizeof(buf));
		s->failed |=
			!!disk_io(&u, s->disk, i < 300 ? DISK_WRITE : DISK_READ, at, buf, BLOCK);
		s->failed |= buf[BLOCK - 1] != (u8)((i % 300 + s->number) | 1);
	}
	disk_user_fini(&u);
	return NULL;
}

static void one_disk_serves_three_loops(void **state)
{
	struct rig *r = rig_launched(NBD_ALL, (struct disk_config){ 0 });
	struct sharer s[3];
	pthread_t thread[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		s[i] = (struct sharer){ r->disk, i, false };
		assert_int_equal(pthread_create(&thread[i], NULL, sharer_run, &s[i]), 0);
	}
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_false(s[i].failed);
	}
	rig_end(r);
}

/* ---- What goes wrong ---- */

static void a_server_that_dies_is_an_io_error(void **state)
{
	struct rig *r = rig_launched(NBD_ALL, (struct disk_config){ 0 });
	struct disk_request q[40];
	u8 buf[BLOCK] = { 1 };

	(void)state;
	assert_int_equal(disk_io(&r->user, r->disk, DISK_WRITE, 0, buf, BLOCK), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++) {
		q[i] = disk_request(DISK_READ, i * BLOCK, buf, BLOCK);
		disk_request_start(&r->user, r->disk, &q[i]);
	}
	nbd_server_kill(&r->server);
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++) {
		int err = disk_request_wait(&r->user, &q[i]);

		assert_true(!err || err == -EIO);
	}
	assert_int_equal(disk_io(&r->user, r->disk, DISK_READ, 0, buf, BLOCK), -EIO);
	assert_int_equal(disk_io(&r->user, r->disk, DISK_FLUSH, 0, NULL, 0), -EIO);
	rig_end(r);
}

/* Who is about to end does not wait for it for ever. */
static void a_silent_server_does_not_keep_a_machine(void **state)
{
	struct rig *r = rig_launched(NBD_ALL, (struct disk_config){ 0 });
	struct disk_request q;
	u8 buf[BLOCK] = { 1 };

	(void)state;
	assert_int_equal(disk_io(&r->user, r->disk, DISK_WRITE, 0, buf, BLOCK), 0);
	kill(r->server.pid, SIGSTOP);
	q = disk_request(DISK_WRITE, 0, buf, BLOCK);
	disk_request_start(&r->user, r->disk, &q);
	assert_int_equal(loop_turn(&r->user.loop, 100), 0);
	assert_false(q.done);
	alarm(PATIENCE_S);
	disk_hurry(r->disk);
	uring_fini(&r->user.uring);
	alarm(0);
	assert_true(q.done);
	assert_int_equal(q.err, -EIO);
	rig_end(r);
}

/* One that speaks is heard to the end. */
static void a_machine_that_ends_hears_a_server_that_speaks(void **state)
{
	struct rig *r = rig_launched(NBD_ALL, (struct disk_config){ 0 });
	u8 buf[BLOCK] = { 1 };

	(void)state;
	disk_hurry(r->disk);
	assert_int_equal(disk_io(&r->user, r->disk, DISK_WRITE, 0, buf, BLOCK), 0);
	assert_int_equal(disk_io(&r->user, r->disk, DISK_FLUSH, 0, NULL, 0), 0);
	rig_end(r);
}

/* As many as all queues of a controller hold, most of them waiting for a buffer. */
static void all_that_waits_for_a_dead_server_ends(void **state)
{
	struct rig *r = rig_launched(NBD_ALL, (struct disk_config){ 0 });
	const unsigned count = 64 * 256;
	struct disk_request *q = calloc(count, sizeof(*q));
	u8 buf[2 * BLOCK];

	(void)state;
	kill(r->server.pid, SIGSTOP);
	for (unsigned i = 0; i < count; i++) {
		q[i] = disk_request(DISK_READ, 0, buf, BLOCK);
		q[i].iov[1] = (struct iovec){ buf + BLOCK, BLOCK };
		q[i].op.iov_count = 2;
		q[i].op.len = 2 * BLOCK;
		disk_request_start(&r->user, r->disk, &q[i]);
	}
	usleep(200000); /* until they wait */
	nbd_server_kill(&r->server);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(disk_request_wait(&r->user, &q[i]), -EIO);
	free(q);
	rig_end(r);
}

static void its_errors_are_passed_on(void **state)
{
	struct rig *r = rig_begin((struct nbd_server_how){ .flags = NBD_ALL, .write_error = 28 });
	u8 buf[BLOCK] = { 1 };

	(void)state;
	assert_int_equal(rig_open(r, (struct disk_config){ 0 }), 0);
	assert_int_equal(disk_launch(r->disk, NULL, NULL), 0);
	assert_int_equal(disk_io(&r->user, r->disk, DISK_WRITE, 0, buf, BLOCK), -ENOSPC);
	assert_int_equal(disk_io(&r->user, r->disk, DISK_READ, 0, buf, BLOCK), 0);
	rig_end(r);
}

/* Neither what is to be in one piece, nor what goes through a buffer. */
static void half_a_read_is_an_io_error(void **state)
{
	struct rig *r = rig_begin((struct nbd_server_how){ .flags = NBD_ALL, .half_reads = true });
	u8 buf[4 * BLOCK] = { 0 };
	struct disk_request q = disk_request(DISK_READ, 0, buf, sizeof(buf));

	(void)state;
	assert_int_equal(rig_open(r, (struct disk_config){ 0 }), 0);
	assert_int_equal(disk_launch(r->disk, NULL, NULL), 0);
	assert_int_equal(disk_request_run(&r->user, r->disk, &q), -EIO);
	q = disk_request(DISK_READ, 0, buf, BLOCK);
	q.iov[1] = (struct iovec){ buf + BLOCK, sizeof(buf) - BLOCK };
	q.op.iov_count = 2;
	q.op.len = sizeof(buf);
	assert_int_equal(disk_request_run(&r->user, r->disk, &q), -EIO);
	rig_end(r);
}

static void what_is_no_server_is_named(void **state)
{
	struct rig *r = rig_begin((struct nbd_server_how){ .flags = NBD_ALL | NBD_READ_ONLY });

	(void)state;
	assert_int_equal(rig_open(r, (struct disk_config){ 0 }), -EROFS);
	assert_non_null(strstr(r->error, "offers it read-only; ,ro or ,ephemeral"));
	assert_int_equal(rig_open(r, (struct disk_config){ .read_only = true }), 0);
	r->disk->ops->close(r->disk);
	r->disk = NULL;
	nbd_server_kill(&r->server);
	assert_true(rig_open(r, (struct disk_config){ 0 }) < 0);
	assert_non_null(strstr(r->error, r->server.uri));
	assert_non_null(strstr(r->error, "cannot be used"));
	rig_end(r);
}

/* A second start of the guest: the first one's connection is not its own. */
static void each_start_has_its_own_connection(void **state)
{
	struct rig *r = rig_begin((struct nbd_server_how){ .flags = NBD_ALL });
	u8 out[BLOCK] = { 7 }, in[BLOCK] = { 0 };

	(void)state;
	assert_int_equal(rig_open(r, (struct disk_config){ 0 }), 0);
	disk_let_go(r->disk);
	assert_int_equal(disk_connect(r->disk, r->error, sizeof(r->error)), 0);
	assert_int_equal(disk_launch(r->disk, NULL, NULL), 0);
	assert_int_equal(disk_io(&r->user, r->disk, DISK_WRITE, 0, out, BLOCK), 0);
	assert_int_equal(disk_io(&r->user, r->disk, DISK_READ, 0, in, BLOCK), 0);
	assert_memory_equal(in, out, BLOCK);
	rig_end(r);
}

/* ---- The plug is pulled ---- */

#define BLOCKS 64
#define WRITES 400

/* For each block the number of the last write that a flush or FUA covered, and of the last one. */
struct history {
	u32 covered[BLOCKS], last[BLOCKS];
};

static void write_history(struct rig *r, struct history *h)
{
	u32 buf[BLOCK / 4];

	for (u32 n = 1; n <= WRITES; n++) {
		u32 b = disk_user_random(&r->user, BLOCKS);
		struct disk_request q = disk_request(DISK_WRITE, b * BLOCK, buf, BLOCK);

		for (u32 i = 0; i < ARRAY_SIZE(buf); i++)
			buf[i] = n;
		q.op.fua = !disk_user_random(&r->user, 10);
		assert_int_equal(disk_request_run(&r->user, r->disk, &q), 0);
		h->last[b] = n;
		if (q.op.fua)
			h->covered[b] = n;
		if (!disk_user_random(&r->user, 40)) {
			assert_int_equal(disk_io(&r->user, r->disk, DISK_FLUSH, 0, NULL, 0), 0);
			memcpy(h->covered, h->last, sizeof(h->covered));
		}
	}
}

/* Blocks that are older than what a flush covered. */
static unsigned count_lost(struct rig *r, const struct history *h)
{
	u32 buf[BLOCK / 4];
	unsigned lost = 0;
	int fd = open(r->server.stable, O_RDONLY);

	for (u32 b = 0; b < BLOCKS; b++) {
		assert_int_equal(pread(fd, buf, BLOCK, b * BLOCK), BLOCK);
		lost += buf[0] < h->covered[b];
		assert_true(buf[0] <= h->last[b] && buf[0] == buf[BLOCK / 4 - 1]);
	}
	close(fd);
	return lost;
}

static unsigned pull_the_plug(u16 flags, enum disk_cache cache)
{
	struct rig *r = rig_launched(flags, (struct disk_config){ .cache = cache });
	struct history h = { 0 };
	unsigned lost;

	write_history(r, &h);
	nbd_server_kill(&r->server);
	lost = count_lost(r, &h);
	rig_end(r);
	return lost;
}

static void what_was_flushed_survives(void **state)
{
	(void)state;
	assert_int_equal(pull_the_plug(NBD_ALL, DISK_WRITEBACK), 0);
	/* FUA by a flush. */
	assert_int_equal(pull_the_plug(NBD_HAS_FLAGS | NBD_SEND_FLUSH, DISK_WRITEBACK), 0);
}

/* The test can fail: with flushes that are none, and with FUA that is none, blocks are lost. */
static void without_flushes_it_does_not(void **state)
{
	(void)state;
	assert_true(pull_the_plug(NBD_ALL, DISK_UNSAFE) > BLOCKS / 2);
	assert_true(pull_the_plug(NBD_HAS_FLAGS, DISK_WRITEBACK) > BLOCKS / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_matches_memory),
		cmocka_unit_test(so_does_one_with_few_offers),
		cmocka_unit_test(ephemeral_writes_do_not_reach_it),
		cmocka_unit_test(scattered_requests_wait_for_buffers),
		cmocka_unit_test(one_disk_serves_three_loops),
		cmocka_unit_test(a_server_that_dies_is_an_io_error),
		cmocka_unit_test(a_silent_server_does_not_keep_a_machine),
		cmocka_unit_test(a_machine_that_ends_hears_a_server_that_speaks),
		cmocka_unit_test(all_that_waits_for_a_dead_server_ends),
		cmocka_unit_test(its_errors_are_passed_on),
		cmocka_unit_test(half_a_read_is_an_io_error),
		cmocka_unit_test(what_is_no_server_is_named),
		cmocka_unit_test(each_start_has_its_own_connection),
		cmocka_unit_test(what_was_flushed_survives),
		cmocka_unit_test(without_flushes_it_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
