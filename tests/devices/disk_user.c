/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/devices/disk_user.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

void disk_user_init(struct disk_user *u)
{
	assert_int_equal(loop_init(&u->loop), 0);
	assert_int_equal(uring_init(&u->uring, &u->loop, 64), 0);
}

void disk_user_fini(struct disk_user *u)
{
	uring_fini(&u->uring);
	loop_fini(&u->loop);
}

static void request_done(struct disk_op *op, int err)
{
	struct disk_request *q = container_of(op, struct disk_request, op);

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
	disk_submit(disk, &q->op);
}

int disk_request_wait(struct disk_user *u, struct disk_request *q)
{
	for (unsigned turns = 0; !q->done; turns++) {
		assert_in_range(turns, 0, 1000);
		assert_int_equal(loop_turn(&u->loop, 100), 0);
	}
	return q->err;
}

int disk_io(struct disk_user *u, struct disk *disk, enum disk_op_kind kind, u64 offset, void *buf,
	    u64 len)
{
	struct disk_request q = disk_request(kind, offset, buf, len);

	disk_request_start(u, disk, &q);
	return disk_request_wait(u, &q);
}
