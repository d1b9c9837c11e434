/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void list_push(struct uring_op ***tail, struct uring_op *op)
{
	op->next = NULL;
	**tail = op;
	*tail = &op->next;
}

static struct uring_op *list_pop(struct uring_op **head, struct uring_op ***tail)
{
	struct uring_op *op = *head;

	if (op) {
		*head = op->next;
		if (!*head)
			*tail = head;
	}
	return op;
}

static void later(struct uring *u)
{
	if (!u->draining)
		loop_post(u->loop, &u->later);
}

/* ---- io_uring ---- */

static void sqe_prepare(struct io_uring_sqe *sqe, struct uring_op *op)
{
	switch (op->kind) {
	case URING_READV:
		io_uring_prep_readv(sqe, op->fd, op->iov, op->iov_count, op->offset);
		break;
	case URING_WRITEV:
		io_uring_prep_writev2(sqe, op->fd, op->iov, op->iov_count, op->offset, op->mode);
		break;
	case URING_FSYNC:
		io_uring_prep_fsync(sqe, op->fd, (unsigned)op->mode);
		break;
	case URING_FALLOCATE:
		io_uring_prep_fallocate(sqe, op->fd, op->mode, (off_t)op->offset, (off_t)op->len);
		break;
	}
	io_uring_sqe_set_data(sqe, op);
}

static void native_reap(struct uring *u)
{
	struct io_uring_cqe *cqe;

	while (!io_uring_peek_cqe(&u->ring, &cqe)) {
		struct uring_op *op = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&u->ring, cqe);
		u->in_flight--;
		op->done(op, res);
	}
}

/*
 * Never more in flight than the completion ring holds, so it cannot overflow; the rest stays
 * queued until something was reaped. A refused submission leaves its entries in the ring.
 */
static void native_submit(struct uring *u)
{
	while (u->queued && u->in_flight < u->ring.cq.ring_entries) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

		if (!sqe) {
			if (io_uring_submit(&u->ring) <= 0)
				break;
			continue;
		}
		sqe_prepare(sqe, list_pop(&u->queued, &u->queued_tail));
		u->in_flight++;
	}
	if (io_uring_sq_ready(&u->ring))
		io_uring_submit(&u->ring);
	/* Refused, wholly or in part. */
	if (io_uring_sq_ready(&u->ring))
		later(u);
}

/* ---- plain system calls ---- */

static s64 plain_call(const struct uring_op *op)
{
	switch (op->kind) {
	case URING_READV:
		return preadv(op->fd, op->iov, (int)op->iov_count, (off_t)op->offset);
	case URING_WRITEV:
		return pwritev2(op->fd, op->iov, (int)op->iov_count, (off_t)op->offset, op->mode);
	case URING_FSYNC:
		return (unsigned)op->mode & IORING_FSYNC_DATASYNC ? fdatasync(op->fd)
								  : fsync(op->fd);
	case URING_FALLOCATE:
		return fallocate(op->fd, op->mode, (off_t)op->offset, (off_t)op->len);
	}
	errno = EINVAL;
	return -1;
}

static void plain_submit(struct uring *u)
{
	struct uring_op *op;

	while ((op = list_pop(&u->queued, &u->queued_tail))) {
		s64 res;

		do
			res = plain_call(op);
		while (res < 0 && errno == EINTR);
		uring_complete(u, op, res < 0 ? -errno : (int)res);
	}
}

/* ---- both ---- */

static void submit_queued(struct uring *u)
{
	if (u->native)
		native_submit(u);
	else
		plain_submit(u);
}

/* What had been finished when it was called: done() may finish more, which waits its turn. */
static void deliver_finished(struct uring *u)
{
	struct uring_op *op, *list = u->finished;

	u->finished = NULL;
	u->finished_tail = &u->finished;
	while ((op = list)) {
		list = op->next;
		op->done(op, op->res);
	}
}

/* Asks for another flush for what is still queued, unless that must wait for completions. */
static void flush_queued(struct uring *u)
{
	if (u->queued && (!u->native || u->in_flight < u->ring.cq.ring_entries))
		loop_flush_later(u->loop, &u->flush);
}

static void uring_flush(struct loop_flush *f)
{
	struct uring *u = container_of(f, struct uring, flush);

	submit_queued(u);
	if (!u->native)
		return;
	/* What the page cache answered at once needs no trip through epoll. */
	native_reap(u);
	flush_queued(u);
}

static void uring_ready(struct loop_fd *f, u32 events)
{
	struct uring *u = container_of(f, struct uring, ready);

	(void)events;
	native_reap(u);
	flush_queued(u);
}

static void uring_later(struct loop_work *w)
{
	struct uring *u = container_of(w, struct uring, later);

	deliver_finished(u);
	if (u->queued || (u->native && io_uring_sq_ready(&u->ring)))
		loop_flush_later(u->loop, &u->flush);
}

void uring_submit(struct uring *u, struct uring_op *op)
{
	list_push(&u->queued_tail, op);
	if (!u->draining)
		loop_flush_later(u->loop, &u->flush);
}

void uring_complete(struct uring *u, struct uring_op *op, int res)
{
	op->res = res;
	list_push(&u->finished_tail, op);
	later(u);
}

/* liburing 2.3 declares functions for these two registrations but does not export them. */
static int ring_register(const struct io_uring *ring, unsigned opcode, void *arg, unsigned count)
{
	return syscall(SYS_io_uring_register, ring->ring_fd, opcode, arg, count) < 0 ? -errno : 0;
}

static int ring_restrict(struct io_uring *ring)
{
	static const u8 allowed[] = { IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
				      IORING_OP_FALLOCATE };
	struct io_uring_restriction list[ARRAY_SIZE(allowed)] = { 0 };
	int err;

	for (unsigned i = 0; i < ARRAY_SIZE(allowed); i++) {
		list[i].opcode = IORING_RESTRICTION_SQE_OP;
		list[i].sqe_op = allowed[i];
	}
	err = ring_register(ring, IORING_REGISTER_RESTRICTIONS, list, ARRAY_SIZE(list));
	return err ? err : ring_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static int ring_create(struct io_uring *ring, unsigned entries)
{
	/*
	 * SINGLE_ISSUER would bind the ring to the thread that creates it, which is not the one
	 * that will run the loop; COOP_TASKRUN spares interrupts to that one (Linux 5.19).
	 */
	struct io_uring_params params = {
		.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL |
			 IORING_SETUP_COOP_TASKRUN,
		.cq_entries = 4 * entries,
	};
	int err = io_uring_queue_init_params(entries, ring, &params);

	if (err)
		return err;
	err = ring_restrict(ring);
	if (err)
		io_uring_queue_exit(ring);
	return err;
}

int uring_init(struct uring *u, struct loop *loop, unsigned entries)
{
	int err;

	*u = (struct uring){ .loop = loop };
	u->queued_tail = &u->queued;
	u->finished_tail = &u->finished;
	u->flush.run = uring_flush;
	u->later.run = uring_later;
	u->ready.fd = -1;
	u->ready.ready = uring_ready;
	u->native = !ring_create(&u->ring, entries);
	if (!u->native)
		return 0;
	u->ready.fd = u->ring.ring_fd;
	err = loop_add(loop, &u->ready, EPOLLIN);
	if (err) {
		io_uring_queue_exit(&u->ring);
		*u = (struct uring){ .ready.fd = -1 };
	}
	return err;
}

void uring_fini(struct uring *u)
{
	if (!u->loop)
		return;
	u->draining = true;
	loop_unpost(u->loop, &u->later);
	while (u->queued || u->in_flight || u->finished) {
		submit_queued(u);
		if (u->in_flight) {
			io_uring_submit_and_wait(&u->ring, 1);
			native_reap(u);
		}
		deliver_finished(u);
	}
	if (u->native) {
		loop_del(u->loop, &u->ready);
		io_uring_queue_exit(&u->ring);
	}
	*u = (struct uring){ .ready.fd = -1 };
}
