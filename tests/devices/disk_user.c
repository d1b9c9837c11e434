/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/devices/disk_user.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/patience.h"

#define BLOCK 512u

void disk_user_init(struct disk_user *u)
{
	u->random = 88172645463325252ull;
	assert_int_equal(loop_init(&u->loop), 0);
	assert_int_equal(uring_init(&u->uring, &u->loop, 64), 0);
}

void disk_user_fini(struct disk_user *u)
{
	uring_fini(&u->uring);
	loop_fini(&u->loop);
}

u32 disk_user_random(struct disk_user *u, u64 below)
{
	u->random ^= u->random << 13;
	u->random ^= u->random >> 7;
	u->random ^= u->random << 17;
	return (u32)((u->random >> 20) % below);
}

static void request_done(struct disk_op *op, int err)
{
	struct disk_request *q = container_of(op, struct disk_request, op);

	assert_false(q->submitting);
	assert_false(q->done);
	q->done = true;
	q->err = err;
}

struct disk_request disk_request(enum disk_op_kind kind, u64 offset, void *buf, u64 len)
{
	struct disk_request q = {
		.op = { .kind = kind, .offset = offset, .len = len, .iov_count = 1 }
	};

	q.iov[0] = (struct iovec){ .iov_base = buf, .iov_len = len };
	return q;
}

void disk_request_start(struct disk_user *u, struct disk *disk, struct disk_request *q)
{
	q->op.uring = &u->uring;
	q->op.done = request_done;
	q->op.iov = q->iov;
	q->done = false;
	q->submitting = true;
	disk_submit(disk, &q->op);
	q->submitting = false;
}

int disk_request_wait(struct disk_user *u, struct disk_request *q)
{
	for (u64 end = patience_end(); !q->done;) {
		assert_true(loop_now_ns() < end);
		assert_int_equal(loop_turn(&u->loop, 100), 0);
	}
	return q->err;
}

int disk_request_run(struct disk_user *u, struct disk *disk, struct disk_request *q)
{
	disk_request_start(u, disk, q);
	return disk_request_wait(u, q);
}

int disk_io(struct disk_user *u, struct disk *disk, enum disk_op_kind kind, u64 offset, void *buf,
	    u64 len)
{
	struct disk_request q = disk_request(kind, offset, buf, len);

	return disk_request_run(u, disk, &q);
}

/* ---- One stream of requests, compared ---- */

/* Cuts buf into pieces. */
static void random_pieces(struct disk_user *u, struct disk_request *q, u8 *buf)
{
	u64 left = q->op.len;

	for (unsigned i = 0; i < ARRAY_SIZE(q->iov) && left; i++) {
		bool last = i == ARRAY_SIZE(q->iov) - 1 || !disk_user_random(u, 4);
		u64 n = last ? left : disk_user_random(u, left + 1);

		q->iov[i] = (struct iovec){ .iov_base = buf + (q->op.len - left), .iov_len = n };
		q->op.iov_count = i + 1;
		left -= n;
	}
}

static struct disk_request random_request(struct disk_user *u, u64 size, u64 longest, u8 *buf)
{
	static const enum disk_op_kind kinds[] = { DISK_READ,    DISK_READ,         DISK_READ,
						   DISK_WRITE,   DISK_WRITE,        DISK_WRITE,
						   DISK_DISCARD, DISK_WRITE_ZEROES, DISK_FLUSH };
	struct disk_request q = { .op = { .kind = kinds[disk_user_random(u, ARRAY_SIZE(kinds))] } };

	q.op.len = (u64)disk_user_random(u, disk_user_random(u, 8) ? 40 : longest / BLOCK) * BLOCK;
	q.op.offset = (u64)disk_user_random(u, (size - q.op.len) / BLOCK + 1) * BLOCK;
	q.op.fua = !disk_user_random(u, 16);
	q.op.unmap = disk_user_random(u, 2);
	random_pieces(u, &q, buf);
	return q;
}

void disk_compare(struct disk_user *u, struct disk *disk, u64 size, u64 longest, unsigned count)
{
	struct disk *model = disk_mem_open(size, BLOCK);
	u8 *a = malloc(size), *b = malloc(size);

	for (unsigned n = 0; n < count; n++) {
		struct disk_request q = random_request(u, size, longest, a), copy = q;

		/* One that is not carried out has no model. */
		if (q.op.kind == DISK_DISCARD && !disk->can_discard)
			continue;
		for (u64 i = 0; i < q.op.len; i += 61)
			a[i] = (u8)disk_user_random(u, 256);
		assert_int_equal(disk_request_run(u, disk, &q), 0);
		if (q.op.kind == DISK_READ)
			memcpy(b, a, q.op.len);
		assert_int_equal(disk_request_run(u, model, &copy), 0);
		if (q.op.kind == DISK_READ)
			assert_memory_equal(a, b, q.op.len);
	}
	assert_int_equal(disk_io(u, disk, DISK_READ, 0, a, size), 0);
	assert_int_equal(disk_io(u, model, DISK_READ, 0, b, size), 0);
	assert_memory_equal(a, b, size);
	free(a);
	free(b);
	model->ops->close(model);
}
