/* SPDX-License-Identifier: BSD-2-Clause */
/* Disk back ends: one random stream of requests to all compared, and what raw images refuse. */
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

#include "devices/backend/disk.h"

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

#define BLOCK 512u
#define SIZE MiB(4)
#define PIECES 8

struct rig {
	struct loop loop;
	struct uring uring;
	char path[64];
	char error[512];
	u64 random;
};

static int setup(void **state)
{
	static struct rig r;

	r = (struct rig){ .path = "/var/tmp/candela-disk-XXXXXX", .random = 88172645463325252ull };
	close(mkstemp(r.path));
	assert_int_equal(truncate(r.path, SIZE), 0);
	assert_int_equal(loop_init(&r.loop), 0);
	assert_int_equal(uring_init(&r.uring, &r.loop, 32), 0);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	uring_fini(&r->uring);
	loop_fini(&r->loop);
	unlink(r->path);
	return 0;
}

static u32 rig_random(struct rig *r, u32 below)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return (u32)((r->random >> 20) % below);
}

/* ---- one request, waited for ---- */

struct request {
	struct disk_op op;
	struct iovec iov[PIECES];
	bool submitting, done;
	int err;
};

static void request_done(struct disk_op *op, int err)
{
	struct request *q = container_of(op, struct request, op);

	assert_false(q->submitting);
	assert_false(q->done);
	q->done = true;
	q->err = err;
}

static void request_start(struct rig *r, struct disk *disk, struct request *q)
{
	q->op.uring = &r->uring;
	q->op.done = request_done;
	q->op.iov = q->iov;
	q->done = false;
	q->submitting = true;
	disk_submit(disk, &q->op);
	q->submitting = false;
}

static int request_wait(struct rig *r, struct request *q)
{
	while (!q->done)
		assert_int_equal(loop_turn(&r->loop, 5000), 0);
	return q->err;
}

static int request_run(struct rig *r, struct disk *disk, struct request *q)
{
	request_start(r, disk, q);
	return request_wait(r, q);
}

static struct request io(enum disk_op_kind kind, u64 offset, void *buf, u64 len)
{
	struct request q = { .op = { .kind = kind, .offset = offset, .len = len, .iov_count = 1 } };

	q.iov[0] = (struct iovec){ .iov_base = buf, .iov_len = len };
	return q;
}

static int io_run(struct rig *r, struct disk *disk, enum disk_op_kind kind, u64 offset, void *buf,
		  u64 len)
{
	struct request q = io(kind, offset, buf, len);

	return request_run(r, disk, &q);
}

/* NULL and r->error, or a disk. */
static struct disk *config_open(struct rig *r, struct disk_config config)
{
	struct disk *disk = NULL, *top = NULL;

	if (!config.path)
		config.path = r->path;
	if (disk_raw_open(&disk, &config, r->error, sizeof(r->error)))
		return NULL;
	if (!config.ephemeral)
		return disk;
	assert_int_equal(disk_ephemeral_open(&top, disk, r->error, sizeof(r->error)), 0);
	return top;
}

static struct disk *image_open(struct rig *r, bool read_only, bool ephemeral)
{
	return config_open(r,
			   (struct disk_config){ .read_only = read_only, .ephemeral = ephemeral });
}

static void disk_close(struct disk *disk)
{
	disk->ops->close(disk);
}

/* ---- the stream ---- */

static struct request stream_next(struct rig *r, u8 *buf)
{
	static const enum disk_op_kind kinds[] = { DISK_READ,    DISK_READ,         DISK_READ,
						   DISK_WRITE,   DISK_WRITE,        DISK_WRITE,
						   DISK_DISCARD, DISK_WRITE_ZEROES, DISK_FLUSH };
	struct request q = { .op = { .kind = kinds[rig_random(r, ARRAY_SIZE(kinds))] } };
	u32 left;

	q.op.len = rig_random(r, rig_random(r, 8) ? 40 : 600) * BLOCK;
	q.op.offset = rig_random(r, (u32)((SIZE - q.op.len) / BLOCK + 1)) * (u64)BLOCK;
	q.op.fua = !rig_random(r, 50);
	q.op.unmap = rig_random(r, 2);
	left = (u32)q.op.len;
	for (unsigned i = 0; i < PIECES && left; i++) {
		u32 n = i == PIECES - 1 ? left : rig_random(r, left + 1);

		q.iov[i] = (struct iovec){ .iov_base = buf + (q.op.len - left), .iov_len = n };
		q.op.iov_count = i + 1;
		left -= n;
	}
	return q;
}

static void stream_compare(struct rig *r, struct disk *disk, unsigned count)
{
	struct disk *model = disk_mem_open(SIZE, BLOCK);
	u8 *a = malloc(SIZE), *b = malloc(SIZE);

	for (unsigned n = 0; n < count; n++) {
		struct request q = stream_next(r, a), copy = q;

		for (u64 i = 0; i < q.op.len; i++)
			a[i] = (u8)rig_random(r, 256);
		assert_int_equal(request_run(r, disk, &q), 0);
		if (q.op.kind == DISK_READ)
			memcpy(b, a, q.op.len);
		assert_int_equal(request_run(r, model, &copy), 0);
		if (q.op.kind == DISK_READ)
			assert_memory_equal(a, b, q.op.len);
	}
	assert_int_equal(io_run(r, disk, DISK_READ, 0, a, SIZE), 0);
	assert_int_equal(io_run(r, model, DISK_READ, 0, b, SIZE), 0);
	assert_memory_equal(a, b, SIZE);
	free(a);
	free(b);
	disk_close(model);
}

static void raw_matches_memory(void **state)
{
	struct rig *r = *state;
	struct disk *disk = image_open(r, false, false);

	assert_non_null(disk);
	stream_compare(r, disk, 3000);
	disk_close(disk);
}

/* The stream's buffers lie on 512 bytes or not at all, as a hostile guest's do. */
static void past_the_page_cache_matches_memory(void **state)
{
	struct rig *r = *state;
	struct disk_config config = { .cache = DISK_DIRECT };
	struct disk *disk = config_open(r, config);

	if (!disk && strstr(r->error, "O_DIRECT"))
		skip();
	assert_non_null(disk);
	stream_compare(r, disk, 1500);
	disk_close(disk);
	assert_int_equal(r->uring.buffers_used, 0);
	/* What is registered with a ring stays open, and locked, as long as that is. */
	uring_fini(&r->uring);
	assert_int_equal(uring_init(&r->uring, &r->loop, 32), 0);
	config.logical_block = 4096;
	disk = config_open(r, config);
	assert_non_null(disk);
	assert_int_equal(disk->logical_block, 4096);
	disk_close(disk);
}

/* More at once than there are buffers, each longer than one. */
static void bounced_requests_wait_for_each_other(void **state)
{
	struct rig *r = *state;
	struct disk *disk = config_open(r, (struct disk_config){ .cache = DISK_DIRECT });
	u64 len = URING_BUFFER + MiB(1) / 2;
	u8 *buf = malloc(SIZE + 1);
	struct request q[2 * URING_BUFFERS];

	if (!disk)
		skip();
	for (u64 i = 0; i <= SIZE; i++)
		buf[i] = (u8)(i * 7 + i / 1000);
	assert_int_equal(io_run(r, disk, DISK_WRITE, 0, buf + 1, SIZE), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++) {
		q[i] = io(DISK_READ, i * 2 * BLOCK, malloc(len + 1), len);
		q[i].iov[0].iov_base = (u8 *)q[i].iov[0].iov_base + 1;
		request_start(r, disk, &q[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++) {
		u8 *got = q[i].iov[0].iov_base;

		assert_int_equal(request_wait(r, &q[i]), 0);
		assert_memory_equal(got, buf + 1 + i * 2 * BLOCK, len);
		free(got - 1);
	}
	assert_int_equal(r->uring.buffers_used, 0);
	free(buf);
	disk_close(disk);
}

static void threads_match_memory(void **state)
{
	struct rig *r = *state;
	struct disk *disk = config_open(r, (struct disk_config){ .aio = DISK_AIO_THREADS });

	assert_non_null(disk);
	assert_int_equal(uring_workers_start(&r->uring, NULL, NULL), 0);
	stream_compare(r, disk, 1500);
	disk_close(disk);
}

static void ephemeral_matches_memory_and_keeps_the_image(void **state)
{
	struct rig *r = *state;
	struct disk *disk = image_open(r, false, true);
	struct stat before, after;

	assert_non_null(disk);
	assert_int_equal(stat(r->path, &before), 0);
	stream_compare(r, disk, 3000);
	disk_close(disk);
	assert_int_equal(stat(r->path, &after), 0);
	assert_int_equal(before.st_blocks, after.st_blocks);
	assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

static void ephemeral_shows_the_image_where_nothing_was_written(void **state)
{
	struct rig *r = *state;
	u8 image[8 * BLOCK], buf[8 * BLOCK], one[BLOCK];
	int fd = open(r->path, O_WRONLY);
	struct disk *disk;

	for (u32 i = 0; i < sizeof(image); i++)
		image[i] = (u8)(1 + i / BLOCK);
	assert_int_equal(pwrite(fd, image, sizeof(image), 0), sizeof(image));
	close(fd);
	disk = image_open(r, false, true);
	memset(one, 0xee, sizeof(one));
	assert_int_equal(io_run(r, disk, DISK_WRITE, 2 * BLOCK, one, BLOCK), 0);
	assert_int_equal(io_run(r, disk, DISK_DISCARD, 5 * BLOCK, NULL, BLOCK), 0);
	assert_int_equal(io_run(r, disk, DISK_READ, 0, buf, sizeof(buf)), 0);
	memset(image + 2 * BLOCK, 0xee, BLOCK);
	memset(image + 5 * BLOCK, 0, BLOCK);
	assert_memory_equal(buf, image, sizeof(buf));
	disk_close(disk);
}

/* The kernel is made to stop short by cutting what it was asked for. */
static void short_transfers_go_on(void **state)
{
	struct rig *r = *state;
	struct disk *disk = image_open(r, false, false);
	u8 out[4 * BLOCK], in[4 * BLOCK];
	struct request q = { .op = { .len = sizeof(out), .iov_count = 3 } };
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
		request_start(r, disk, &q);
		part = (struct iovec){ buf, write ? 100 : 700 };
		q.op.io.iov = &part;
		q.op.io.iov_count = 1;
		assert_int_equal(request_wait(r, &q), 0);
		assert_int_equal(q.op.finished, sizeof(out));
	}
	assert_memory_equal(in, out, sizeof(out));
	disk_close(disk);
}

/* ---- two loops, one disk ---- */

#define SHARED_ROUNDS 400

struct sharer {
	struct disk *disk;
	unsigned parity; /* writes every other block */
	bool failed;
};

/* Neighbouring blocks of the two threads share words of the map. */
static void *sharer_run(void *arg)
{
	struct sharer *s = arg;
	struct rig *r = calloc(1, sizeof(*r));
	u8 buf[BLOCK];

	s->failed = !r || loop_init(&r->loop) || uring_init(&r->uring, &r->loop, 8);
	for (unsigned n = 0; n < 2 * SHARED_ROUNDS && !s->failed; n++) {
		unsigned i = n % SHARED_ROUNDS;
		struct request q = io(n < SHARED_ROUNDS ? DISK_WRITE : DISK_READ,
				      (2 * i + s->parity) * (u64)BLOCK, buf, BLOCK);

		memset(buf, (int)(i + s->parity) | 1, sizeof(buf));
		request_start(r, s->disk, &q);
		while (!q.done)
			s->failed |= !!loop_turn(&r->loop, 1000);
		s->failed |= q.err || buf[BLOCK - 1] != (u8)((i + s->parity) | 1);
	}
	uring_fini(&r->uring);
	loop_fini(&r->loop);
	free(r);
	return NULL;
}

static void one_disk_serves_two_loops(void **state)
{
	struct rig *r = *state;
	struct sharer s[2] = { { image_open(r, false, true), 0, false } };
	pthread_t thread[2];

	s[1] = (struct sharer){ s[0].disk, 1, false };
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, sharer_run, &s[i]), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_false(s[i].failed);
	}
	disk_close(s[0].disk);
}

/* ---- what goes wrong ---- */

static void requests_beyond_the_contract_are_refused(void **state)
{
	struct rig *r = *state;
	u8 buf[2 * BLOCK] = { 0 };
	struct disk *disks[] = { image_open(r, false, false), disk_mem_open(SIZE, BLOCK) };
	struct request q;

	for (unsigned i = 0; i < ARRAY_SIZE(disks); i++) {
		struct disk *d = disks[i];

		assert_int_equal(io_run(r, d, DISK_READ, SIZE - BLOCK, buf, 2 * BLOCK), -EINVAL);
		assert_int_equal(io_run(r, d, DISK_READ, ~0ull - 511, buf, BLOCK), -EINVAL);
		assert_int_equal(io_run(r, d, DISK_WRITE, 1, buf, BLOCK), -EINVAL);
		assert_int_equal(io_run(r, d, DISK_WRITE, 0, buf, 100), -EINVAL);
		assert_int_equal(io_run(r, d, DISK_DISCARD, SIZE, NULL, BLOCK), -EINVAL);
		q = io(DISK_READ, 0, buf, BLOCK);
		q.op.len = 2 * BLOCK;
		assert_int_equal(request_run(r, d, &q), -EINVAL);
		disk_close(d);
	}
}

static void read_only_is_enforced_below(void **state)
{
	struct rig *r = *state;
	struct disk *disk = image_open(r, true, false);
	u8 buf[BLOCK] = { 1 };

	assert_true(disk->read_only);
	assert_int_equal(io_run(r, disk, DISK_WRITE, 0, buf, BLOCK), -EROFS);
	assert_int_equal(io_run(r, disk, DISK_DISCARD, 0, NULL, BLOCK), -EROFS);
	assert_int_equal(io_run(r, disk, DISK_WRITE_ZEROES, 0, NULL, BLOCK), -EROFS);
	assert_int_equal(io_run(r, disk, DISK_READ, 0, buf, BLOCK), 0);
	assert_int_equal(io_run(r, disk, DISK_FLUSH, 0, NULL, 0), 0);
	disk_close(disk);
}

static void a_shrunken_file_is_an_io_error(void **state)
{
	struct rig *r = *state;
	struct disk *disk = image_open(r, false, false);
	u8 buf[4 * BLOCK];

	assert_int_equal(truncate(r->path, SIZE - 2 * BLOCK), 0);
	assert_int_equal(io_run(r, disk, DISK_READ, SIZE - 4 * BLOCK, buf, sizeof(buf)), -EIO);
	assert_int_equal(io_run(r, disk, DISK_READ, SIZE - BLOCK, buf, BLOCK), -EIO);
	disk_close(disk);
}

static void discard_frees_space(void **state)
{
	struct rig *r = *state;
	struct disk *disk = image_open(r, false, false);
	u8 *buf = malloc(MiB(1));
	struct stat st;

	memset(buf, 0x5a, MiB(1));
	assert_int_equal(io_run(r, disk, DISK_WRITE, 0, buf, MiB(1)), 0);
	assert_int_equal(io_run(r, disk, DISK_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(stat(r->path, &st), 0);
	assert_true(st.st_blocks >= 2048);
	assert_true(disk->can_discard);
	assert_int_equal(io_run(r, disk, DISK_DISCARD, 0, NULL, MiB(1)), 0);
	assert_int_equal(stat(r->path, &st), 0);
	assert_true(st.st_blocks < 2048);
	free(buf);
	disk_close(disk);
}

/* /dev/full is no file to open as an image, but adopted it gives ENOSPC on writes, EINVAL else. */
static void host_errors_are_passed_on(void **state)
{
	struct rig *r = *state;
	struct disk *disk;
	u8 buf[BLOCK] = { 0 };

	assert_int_equal(disk_raw_adopt(&disk, open("/dev/full", O_RDWR), SIZE, BLOCK), 0);
	assert_int_equal(io_run(r, disk, DISK_WRITE, 0, buf, BLOCK), -ENOSPC);
	assert_int_equal(io_run(r, disk, DISK_FLUSH, 0, NULL, 0), -EINVAL);
	disk->can_discard = true;
	assert_int_equal(io_run(r, disk, DISK_DISCARD, 0, NULL, BLOCK), 0);
	assert_int_equal(io_run(r, disk, DISK_WRITE_ZEROES, 0, NULL, MiB(2)), -ENOSPC);
	disk_close(disk);
}

/* The kernel says "again" as often as it likes, but is asked no more than so often. */
static void asking_again_has_an_end(void **state)
{
	struct rig *r = *state;
	struct disk *disk;
	int fds[2];
	u8 buf[BLOCK];

	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	assert_int_equal(disk_raw_adopt(&disk, fds[0], SIZE, BLOCK), 0);
	disk_raw_set(disk, (struct disk_raw_how){ .threads = true });
	/* A pipe has no places to read from, but a way to say it that is no EAGAIN. */
	assert_int_equal(io_run(r, disk, DISK_READ, 0, buf, BLOCK), -ESPIPE);
	again = true;
	assert_int_equal(io_run(r, disk, DISK_READ, 0, buf, BLOCK), -EAGAIN);
	again = false;
	disk_close(disk);
	close(fds[1]);
}

static void what_was_lost_once_is_lost(void **state)
{
	struct rig *r = *state;
	struct disk *disk = config_open(r, (struct disk_config){ .aio = DISK_AIO_THREADS });
	u8 buf[BLOCK] = { 0 };

	assert_non_null(disk);
	assert_int_equal(io_run(r, disk, DISK_WRITE, 0, buf, BLOCK), 0);
	assert_int_equal(io_run(r, disk, DISK_FLUSH, 0, NULL, 0), 0);
	sync_fails = true;
	assert_int_equal(io_run(r, disk, DISK_FLUSH, 0, NULL, 0), -EIO);
	sync_fails = false;
	assert_int_equal(io_run(r, disk, DISK_FLUSH, 0, NULL, 0), -EIO);
	assert_int_equal(io_run(r, disk, DISK_READ, 0, buf, BLOCK), 0);
	disk_close(disk);
}

/* A machine's process that hears of the loss is followed by another, at the guest's reboot. */
static void a_loss_outlives_the_machine(void **state)
{
	struct rig *r = *state;
	struct disk *disk = config_open(r, (struct disk_config){ .aio = DISK_AIO_THREADS });
	int status;
	pid_t pid;

	assert_non_null(disk);
	pid = fork();
	if (!pid) {
		struct rig own = { .random = 1 };
		int err = loop_init(&own.loop) ?: uring_init(&own.uring, &own.loop, 8);

		sync_fails = true;
		_exit(err || io_run(&own, disk, DISK_FLUSH, 0, NULL, 0) != -EIO);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(io_run(r, disk, DISK_FLUSH, 0, NULL, 0), -EIO);
	disk_close(disk);
}

/* Of several at once, of different loops, the kernel tells any one; who comes later stands alone. */
static void a_loss_concerns_all_that_is_under_way(void **state)
{
	struct rig *r = *state, other = { .random = 1 };
	struct disk *disk = config_open(r, (struct disk_config){ .aio = DISK_AIO_THREADS });
	u8 buf[BLOCK] = { 1 };
	struct request flush = io(DISK_FLUSH, 0, NULL, 0);
	struct request fua = io(DISK_WRITE, 0, buf, BLOCK), plain = fua;

	assert_non_null(disk);
	assert_int_equal(loop_init(&other.loop), 0);
	assert_int_equal(uring_init(&other.uring, &other.loop, 8), 0);
	fua.op.fua = true;
	request_start(&other, disk, &flush);
	request_start(&other, disk, &fua);
	request_start(&other, disk, &plain);
	sync_fails = true;
	assert_int_equal(io_run(r, disk, DISK_FLUSH, 0, NULL, 0), -EIO);
	sync_fails = false;
	assert_int_equal(request_wait(&other, &flush), -EIO);
	assert_int_equal(request_wait(&other, &fua), -EIO);
	assert_int_equal(request_wait(&other, &plain), 0);
	fua = io(DISK_WRITE, 0, buf, BLOCK);
	fua.op.fua = true;
	assert_int_equal(request_run(&other, disk, &fua), 0);
	uring_fini(&other.uring);
	loop_fini(&other.loop);
	disk_close(disk);
}

/* /dev/full cannot be flushed: who never asks it does not notice. */
static void an_unsafe_disk_flushes_nothing(void **state)
{
	struct rig *r = *state;
	struct disk *disk;

	assert_int_equal(disk_raw_adopt(&disk, open("/dev/full", O_RDWR), SIZE, BLOCK), 0);
	assert_int_equal(io_run(r, disk, DISK_FLUSH, 0, NULL, 0), -EINVAL);
	disk_raw_set(disk, (struct disk_raw_how){ .unsafe = true });
	assert_int_equal(io_run(r, disk, DISK_FLUSH, 0, NULL, 0), 0);
	disk_close(disk);
}

/* A file system without any fallocate but the plain one: /dev/shm has holes, no ZERO_RANGE. */
static void zeroes_are_written_where_they_cannot_be_asked_for(void **state)
{
	struct rig *r = *state;
	char path[] = "/dev/shm/candela-disk-XXXXXX";
	int fd = mkstemp(path);
	u8 *buf = malloc(MiB(3));
	struct disk *disk;
	struct request q;

	if (fd < 0)
		skip();
	unlink(path);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	assert_int_equal(disk_raw_adopt(&disk, fd, SIZE, BLOCK), 0);
	memset(buf, 0x77, MiB(3));
	assert_int_equal(io_run(r, disk, DISK_WRITE, 0, buf, MiB(3)), 0);
	q = io(DISK_WRITE_ZEROES, BLOCK, NULL, MiB(3) - 2 * BLOCK);
	q.op.fua = true;
	assert_int_equal(request_run(r, disk, &q), 0);
	assert_int_equal(io_run(r, disk, DISK_READ, 0, buf, MiB(3)), 0);
	for (u64 i = 0; i < MiB(3); i++)
		assert_int_equal(buf[i], i < BLOCK || i >= MiB(3) - BLOCK ? 0x77 : 0);
	free(buf);
	disk_close(disk);
}

/* ---- opening ---- */

static void bad_images_are_named(void **state)
{
	struct rig *r = *state;
	struct disk_config config = { .path = "/var/tmp/no/such/image" };
	struct disk *disk;

	assert_int_equal(disk_raw_open(&disk, &config, r->error, sizeof(r->error)), -ENOENT);
	assert_string_equal(r->error, "disk image /var/tmp/no/such/image does not exist");
	config.path = "/var/tmp";
	assert_int_equal(disk_raw_open(&disk, &config, r->error, sizeof(r->error)), -EINVAL);
	assert_int_equal(truncate(r->path, 1000), 0);
	assert_null(image_open(r, false, false));
	assert_non_null(strstr(r->error, r->path));
	assert_non_null(strstr(r->error, "truncate -s %512 "));
	assert_int_equal(truncate(r->path, 0), 0);
	assert_null(image_open(r, false, true));
	assert_non_null(strstr(r->error, "is empty"));
}

static void one_writer_or_many_readers(void **state)
{
	struct rig *r = *state;
	struct disk *writer = image_open(r, false, false), *a, *b;

	assert_non_null(writer);
	assert_null(image_open(r, false, false));
	assert_non_null(strstr(r->error, "is in use"));
	assert_null(image_open(r, true, false));
	disk_close(writer);
	a = image_open(r, true, false);
	b = image_open(r, false, true);
	assert_non_null(a);
	assert_non_null(b);
	assert_null(image_open(r, false, false));
	disk_close(a);
	disk_close(b);
}

/* Locks as QEMU takes them, and as one who locks the whole file. */
static void others_locks_are_heeded_and_ours_seen(void **state)
{
	static const struct {
		short type;
		off_t start, len;
		bool reader_goes, writer_goes;
	} rows[] = {
		{ F_RDLCK, 100, 1, true, true }, /* reads */
		{ F_RDLCK, 101, 1, false, false }, /* writes */
		{ F_RDLCK, 201, 1, true, false }, /* suffers no writer */
		{ F_RDLCK, 203, 1, true, true }, /* suffers no resizing */
		{ F_WRLCK, 0, 0, false, false },
		{ F_RDLCK, 0, 0, false, false }, /* cannot be told from a writer's */
	};
	struct rig *r = *state;
	int fd = open(r->path, O_RDWR);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct flock l = { .l_type = rows[i].type,
				   .l_start = rows[i].start,
				   .l_len = rows[i].len };
		struct disk *disk;

		for (unsigned writer = 0; writer < 2; writer++) {
			assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
			disk = image_open(r, !writer, false);
			assert_int_equal(!!disk,
					 writer ? rows[i].writer_goes : rows[i].reader_goes);
			if (disk)
				disk_close(disk);
			else
				assert_non_null(strstr(r->error, "is in use by"));
			disk = config_open(r, (struct disk_config){ .unlocked = true });
			assert_non_null(disk);
			disk_close(disk);
			l.l_type = F_UNLCK;
			assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
			l.l_type = rows[i].type;
		}
	}
	close(fd);
}

static void who_has_it_is_named(void **state)
{
	struct rig *r = *state;
	struct disk *disk = image_open(r, false, false);
	char self[64];

	snprintf(self, sizeof(self), "(process %d)", (int)getpid());
	assert_null(image_open(r, false, false));
	assert_non_null(strstr(r->error, self));
	assert_non_null(strstr(r->error, "disk_raw_test"));
	disk_close(disk);
}

static void probe_as(struct rig *r, const char *name, const char *contents, off_t at, int err,
		     enum disk_format format)
{
	enum disk_format got = DISK_FORMATS;
	int fd = open(r->path, O_RDWR | O_TRUNC);

	assert_int_equal(ftruncate(fd, MiB(1)), 0);
	assert_true(pwrite(fd, contents, strlen(contents), at) >= 0);
	assert_int_equal(disk_probe(fd, name, &got, r->error, sizeof(r->error)), err);
	if (!err)
		assert_int_equal(got, format);
	close(fd);
}

static void a_format_is_believed_by_name_and_contents(void **state)
{
	struct rig *r = *state;

	probe_as(r, "a.img", "", 0, 0, DISK_RAW);
	probe_as(r, "a.QCow2", "QFI\xfb", 0, 0, DISK_QCOW2);
	probe_as(r, "a.vhdx", "vhdxfile", 0, 0, DISK_VHDX);
	probe_as(r, "a.vhd", "conectix", MiB(1) - 512, 0, DISK_VHD);
	probe_as(r, "a.vpc", "conectix", 0, 0, DISK_VHD);
	probe_as(r, "a.vmdk", "KDMV", 0, 0, DISK_VMDK);
	probe_as(r, "a.vmdk", "# Disk DescriptorFile\n", 0, 0, DISK_VMDK);
	/* What a guest may have written to its raw disk. */
	probe_as(r, "a.img", "QFI\xfb", 0, -EINVAL, 0);
	assert_non_null(strstr(r->error, "looks like a qcow2 image and is not named so"));
	probe_as(r, "/dev/mapper/vm", "conectix", MiB(1) - 512, -EINVAL, 0);
	probe_as(r, "qcow2", "QFI\xfb", 0, -EINVAL, 0);
	probe_as(r, ".qcow2", "QFI\xfb", 0, -EINVAL, 0);
	probe_as(r, "a.vmdk", "QFI\xfb", 0, -EINVAL, 0);
	probe_as(r, "a.qcow2", "", 0, -EINVAL, 0);
	assert_non_null(strstr(r->error, "is named like a qcow2 image and is none; format=raw"));
}

static void the_id_belongs_to_the_image(void **state)
{
	struct rig *r = *state;
	struct disk *a = image_open(r, true, false), *b = image_open(r, false, true);

	assert_true(strlen(a->id) > 8);
	assert_string_equal(a->id, b->id);
	disk_close(a);
	disk_close(b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(raw_matches_memory),
		TEST(past_the_page_cache_matches_memory),
		TEST(bounced_requests_wait_for_each_other),
		TEST(threads_match_memory),
		TEST(ephemeral_matches_memory_and_keeps_the_image),
		TEST(ephemeral_shows_the_image_where_nothing_was_written),
		TEST(short_transfers_go_on),
		TEST(one_disk_serves_two_loops),
		TEST(requests_beyond_the_contract_are_refused),
		TEST(read_only_is_enforced_below),
		TEST(a_shrunken_file_is_an_io_error),
		TEST(discard_frees_space),
		TEST(host_errors_are_passed_on),
		TEST(asking_again_has_an_end),
		TEST(what_was_lost_once_is_lost),
		TEST(a_loss_outlives_the_machine),
		TEST(a_loss_concerns_all_that_is_under_way),
		TEST(an_unsafe_disk_flushes_nothing),
		TEST(zeroes_are_written_where_they_cannot_be_asked_for),
		TEST(bad_images_are_named),
		TEST(one_writer_or_many_readers),
		TEST(others_locks_are_heeded_and_ours_seen),
		TEST(who_has_it_is_named),
		TEST(a_format_is_believed_by_name_and_contents),
		TEST(the_id_belongs_to_the_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
