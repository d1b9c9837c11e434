/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void later(struct uring *u)
{
	if (!u->draining)
		loop_post(u->loop, &u->later);
}

/* ---- io_uring ---- */

/* liburing 2.3 declares functions for these registrations but does not export them. */
static int ring_register(const struct io_uring *ring, unsigned opcode, void *arg, unsigned count)
{
	return syscall(SYS_io_uring_register, ring->ring_fd, opcode, arg, count) < 0 ? -errno : 0;
}

/* fd -1: takes away what is there. */
static int file_register(struct uring *u, unsigned n, int fd, struct uring_file *file)
{
	struct io_uring_files_update update = { .offset = n, .fds = (u64)(uintptr_t)&fd };
	int err = ring_register(&u->ring, IORING_REGISTER_FILES_UPDATE, &update, 1);

	u->slot[n].fd = err ? -1 : fd;
	if (!err)
		uring_slot_give(&u->slot[n], file);
	return err;
}

static void uring_forget(struct loop_work *w)
{
	struct uring *u = container_of(w, struct uring, forget);

	for (unsigned n = 0; n < URING_FILES; n++)
		if (uring_slot_stale(&u->slot[n]))
			file_register(u, n, -1, NULL);
}

/* The end of a ring is the kernel's to choose; its files' shall not wait for it. */
static void forget_files(struct uring *u)
{
	for (unsigned n = 0; n < URING_FILES; n++) {
		if (u->slot[n].fd >= 0 || u->slot[n].file)
			file_register(u, n, -1, NULL);
		uring_slot_give(&u->slot[n], NULL);
	}
	loop_unpost(u->loop, &u->forget);
}

/*
 * The number under which op's file is registered, or -errno; -EAGAIN: what was queued with the
 * file that has the place must go first.
 */
static int file_slot(struct uring *u, const struct uring_op *op)
{
	int n = op->fd % URING_FILES, err;

	if (op->fd < 0)
		return -EBADF;
	if (op->file && u->slot[n].fd == op->fd && u->slot[n].file == op->file)
		return n;
	if (io_uring_sq_ready(&u->ring)) {
		io_uring_submit(&u->ring);
		if (io_uring_sq_ready(&u->ring))
			return -EAGAIN;
	}
	err = file_register(u, (unsigned)n, op->fd, op->file);
	if (err)
		return err == -EAGAIN ? -ENOMEM : err;
	return n;
}

static void sqe_prepare(struct io_uring_sqe *sqe, struct uring_op *op, int file)
{
	switch (op->kind) {
	case URING_READV:
		io_uring_prep_readv(sqe, file, op->iov, op->iov_count, op->offset);
		break;
	case URING_WRITEV:
		io_uring_prep_writev2(sqe, file, op->iov, op->iov_count, op->offset, op->mode);
		break;
	case URING_FSYNC:
		io_uring_prep_fsync(sqe, file, (unsigned)op->mode);
		break;
	case URING_FALLOCATE:
		io_uring_prep_fallocate(sqe, file, op->mode, (off_t)op->offset, (off_t)op->len);
		break;
	}
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
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
	while (u->queued.head && u->in_flight < u->ring.cq.ring_entries) {
		struct uring_op *op = u->queued.head;
		struct io_uring_sqe *sqe;
		int file = file_slot(u, op);

		if (file == -EAGAIN)
			break;
		if (file < 0) {
			uring_complete(u, uring_list_pop(&u->queued), file);
			continue;
		}
		sqe = io_uring_get_sqe(&u->ring);
		if (!sqe) {
			if (io_uring_submit(&u->ring) <= 0)
				break;
			continue;
		}
		sqe_prepare(sqe, uring_list_pop(&u->queued), file);
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

int uring_plain_call(const struct uring_op *op)
{
	s64 res;

	do
		res = plain_call(op);
	while (res < 0 && errno == EINTR);
	return res < 0 ? -errno : (int)res;
}

static void plain_submit(struct uring *u)
{
	struct uring_op *op;

	if (u->workers.count) {
		if (u->plain.head)
			uring_workers_submit(u);
		return;
	}
	while ((op = uring_list_pop(&u->plain)))
		uring_complete(u, op, uring_plain_call(op));
}

/* ---- both ---- */

static void submit_queued(struct uring *u)
{
	if (u->native)
		native_submit(u);
	plain_submit(u);
}

/* What had been finished when it was called: done() may finish more, which waits its turn. */
static void deliver_finished(struct uring *u)
{
	struct uring_op *op, *list = u->finished.head;

	uring_list_init(&u->finished);
	while ((op = list)) {
		list = op->next;
		op->done(op, op->res);
	}
}

/* Asks for another flush for what is still queued, unless that must wait for completions. */
static void flush_queued(struct uring *u)
{
	if (u->plain.head || (u->queued.head && u->in_flight < u->ring.cq.ring_entries))
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
	(void)f;
	(void)events;
}

/*
 * A completion interrupts the wait for events, which would have to be begun once more to be told of
 * it (COOP_TASKRUN or not): what it wrote is there already.
 */
static void uring_look(struct loop_look *k)
{
	struct uring *u = container_of(k, struct uring, look);

	if (!u->in_flight)
		return;
	native_reap(u);
	flush_queued(u);
}

static void uring_later(struct loop_work *w)
{
	struct uring *u = container_of(w, struct uring, later);

	deliver_finished(u);
	if (u->queued.head || (u->native && io_uring_sq_ready(&u->ring)))
		loop_flush_later(u->loop, &u->flush);
}

void uring_submit(struct uring *u, struct uring_op *op)
{
	uring_list_push(op->threads || !u->native ? &u->plain : &u->queued, op);
	if (!u->draining)
		loop_flush_later(u->loop, &u->flush);
}

void uring_complete(struct uring *u, struct uring_op *op, int res)
{
	op->res = res;
	uring_list_push(&u->finished, op);
	later(u);
}

/* ---- Requests that other threads carry out ---- */

void uring_sent_away(struct uring *u)
{
	u->away++;
}

/* `posting` keeps uring_fini() from pulling the ring away under the last lines here. */
void uring_complete_remote(struct uring *u, struct uring_op *op, int res)
{
	atomic_fetch_add(&u->posting, 1);
	op->res = res;
	if (uring_inbox_put(&u->arrived, op))
		loop_post(u->loop, &u->deliver);
	atomic_fetch_sub(&u->posting, 1);
}

static void deliver_arrived(struct uring *u)
{
	struct uring_list list;
	struct uring_op *op;

	uring_list_init(&list);
	uring_inbox_take(&u->arrived, &list);
	while ((op = uring_list_pop(&list))) {
		u->away--;
		op->done(op, op->res);
	}
}

static void uring_deliver(struct loop_work *w)
{
	deliver_arrived(container_of(w, struct uring, deliver));
}

/* ---- Buffers ---- */

u8 *uring_buffer(const struct uring *u, unsigned n)
{
	return u->buffer + (u64)n * URING_BUFFER;
}

void uring_buffer_ask(struct uring *u, struct uring_op *op)
{
	unsigned all = (1u << URING_BUFFERS) - 1, unused = ~u->buffers_used & all;

	if (!unused) {
		uring_list_push(&u->buffer_wanted, op);
		return;
	}
	u->buffers_used |= unused & -unused;
	uring_complete(u, op, __builtin_ctz(unused));
}

/* It goes straight to who has waited longest. */
void uring_buffer_return(struct uring *u, unsigned n)
{
	struct uring_op *op = uring_list_pop(&u->buffer_wanted);

	if (op)
		uring_complete(u, op, (int)n);
	else
		u->buffers_used &= ~(1u << n);
}

/* ---- Making one ---- */

static int ring_restrict(struct io_uring *ring)
{
	static const u8 allowed[] = { IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
				      IORING_OP_FALLOCATE };
	struct io_uring_restriction list[ARRAY_SIZE(allowed) + 2] = {
		{ .opcode = IORING_RESTRICTION_REGISTER_OP,
		  .register_op = IORING_REGISTER_FILES_UPDATE },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE },
	};
	int none[URING_FILES], err;

	for (unsigned i = 0; i < ARRAY_SIZE(allowed); i++) {
		list[i + 2].opcode = IORING_RESTRICTION_SQE_OP;
		list[i + 2].sqe_op = allowed[i];
	}
	memset(none, 0xff, sizeof(none)); /* -1: nothing there yet */
	err = ring_register(ring, IORING_REGISTER_FILES, none, URING_FILES);
	if (!err)
		err = ring_register(ring, IORING_REGISTER_RESTRICTIONS, list, ARRAY_SIZE(list));
	return err ? err : ring_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static int ring_create(struct io_uring *ring, unsigned entries)
{
	/*
	 * COOP_TASKRUN spares interrupts to the thread that made the ring, the loop's (Linux 5.19).
	 * SINGLE_ISSUER would spare more, but uring_fini() may be another thread's.
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

bool uring_possible(void)
{
	struct io_uring ring;

	if (ring_create(&ring, 1))
		return false;
	io_uring_queue_exit(&ring);
	return true;
}

static void uring_clear(struct uring *u, struct loop *loop)
{
	*u = (struct uring){ .loop = loop, .ready.fd = -1 };
	uring_list_init(&u->queued);
	uring_list_init(&u->plain);
	uring_list_init(&u->finished);
	uring_list_init(&u->buffer_wanted);
	u->flush.run = uring_flush;
	u->later.run = uring_later;
	u->deliver.run = uring_deliver;
	u->forget.run = uring_forget;
	u->ready.ready = uring_ready;
	u->look.run = uring_look;
	for (unsigned i = 0; i < URING_FILES; i++)
		u->slot[i] = (struct uring_slot){ .fd = -1, .uring = u };
}

int uring_init(struct uring *u, struct loop *loop, unsigned entries)
{
	void *buffer = mmap(NULL, URING_BUFFERS * URING_BUFFER, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int err = 0;

	uring_clear(u, NULL);
	if (buffer == MAP_FAILED)
		return -ENOMEM;
	u->loop = loop;
	u->buffer = buffer;
	u->native = !ring_create(&u->ring, entries);
	if (u->native) {
		u->ready.fd = u->ring.ring_fd;
		err = loop_add(loop, &u->ready, EPOLLIN);
		if (!err)
			loop_look_add(loop, &u->look);
	}
	if (err) {
		io_uring_queue_exit(&u->ring);
		munmap(buffer, URING_BUFFERS * URING_BUFFER);
		uring_clear(u, NULL);
	}
	return err;
}

/* Nothing that can be waited for but by looking again: other threads have it. */
static void pause_briefly(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = (long)NSEC_PER_MSEC / 10 }, NULL);
}

static void drain(struct uring *u)
{
	while (u->queued.head || u->plain.head || u->in_flight || u->finished.head || u->away ||
	       atomic_load(&u->posting)) {
		submit_queued(u);
		if (u->in_flight && !u->finished.head && !u->away) {
			io_uring_submit_and_wait(&u->ring, 1);
		} else if (u->away && !u->finished.head && uring_inbox_empty(&u->arrived)) {
			pause_briefly();
		}
		if (u->native)
			native_reap(u);
		deliver_finished(u);
		deliver_arrived(u);
	}
}

void uring_fini(struct uring *u)
{
	if (!u->loop)
		return;
	u->draining = true;
	loop_unpost(u->loop, &u->later);
	drain(u);
	uring_workers_stop(u);
	loop_unpost(u->loop, &u->deliver);
	if (u->native) {
		forget_files(u);
		loop_del(u->loop, &u->ready);
		loop_look_del(u->loop, &u->look);
		io_uring_queue_exit(&u->ring);
	}
	munmap(u->buffer, URING_BUFFERS * URING_BUFFER);
	uring_clear(u, NULL);
}
