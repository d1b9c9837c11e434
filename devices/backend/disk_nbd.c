/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The requests of an NBD disk: loops put them into its inbox and wake its thread, which gives them
 * to libnbd and sends the answers back by uring_complete_remote().
 *
 * NBD knows no scattered buffers: a request, or each NBD_PIECE of it, goes straight to and from the
 * guest's buffer where that lies in one piece, else through one of NBD_BUFFERS buffers, for which
 * requests wait in turn. libnbd allocates a few words for each command; nothing here does.
 *
 * Owner: the thread, but for nbd_submit() (any loop) and nbd_launch(), nbd_hurry() and nbd_stop()
 * (main thread).
 */
#include "devices/backend/disk_nbd.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

/* TRIM and WRITE ZEROES carry no data: a piece of them may be longer. */
#define NBD_EXTENT (1ull << 30)

#define STACK_BYTES (512u << 10)

/* ---- The loops' side ---- */

static void submit_done(struct uring_op *io, int res)
{
	struct disk_op *op = container_of(io, struct disk_op, io);

	op->done(op, res);
}

static void nbd_wake(const struct disk_nbd *n)
{
	u64 one = 1;

	/* EAGAIN means the counter is full: it is awake already. */
	if (write(n->wake_fd, &one, sizeof(one)) < 0)
		return;
}

static bool needs_nothing(const struct disk_nbd *n, const struct disk_op *op)
{
	switch (op->kind) {
	case DISK_FLUSH:
		return n->config.unsafe || !n->can_flush;
	case DISK_DISCARD:
		return !op->len || !n->disk.can_discard;
	default:
		return !op->len;
	}
}

void nbd_submit(struct disk *disk, struct disk_op *op)
{
	struct disk_nbd *n = container_of(disk, struct disk_nbd, disk);
	int err = n->launched ? disk_check(disk, op) : -EIO;

	if (err || needs_nothing(n, op)) {
		disk_complete(op, err);
		return;
	}
	op->finished = 0;
	op->buffer = 0;
	op->synced = false;
	op->after_loss = atomic_load_explicit(n->unsynced, memory_order_relaxed);
	op->io = (struct uring_op){ .done = submit_done };
	uring_sent_away(op->uring);
	if (uring_inbox_put(&n->submitted, &op->io))
		nbd_wake(n);
}

/* ---- A request, a command at a time ---- */

static struct disk_op *list_pop(struct uring_list *list)
{
	struct uring_op *io = uring_list_pop(list);

	return io ? container_of(io, struct disk_op, io) : NULL;
}

/* On libnbd's stack, with its handle locked: only notes it. */
static int command_ended(void *data, int *error)
{
	struct disk_op *op = data;
	struct disk_nbd *n = container_of(op->disk, struct disk_nbd, disk);
	bool short_read = op->kind == DISK_READ && op->io.len < op->piece.iov_len;

	op->io.res = *error ? -*error : short_read ? -EIO : 0;
	uring_list_push(&n->ended, &op->io);
	return 1;
}

/* Likewise: io.len counts what has come, for a server may end a reply before all has. */
static int data_came(void *data, const void *buf, size_t len, u64 offset, unsigned status,
		     int *error)
{
	struct disk_op *op = data;

	(void)buf, (void)offset, (void)error;
	if (status != LIBNBD_READ_ERROR)
		op->io.len += len;
	return 0;
}

/* The guest's buffer from what is finished on, as far as it lies in one piece; NULL: not `len`. */
static u8 *in_one_piece(const struct disk_op *op, u64 len)
{
	const struct iovec *v = op->iov;
	u64 skip = op->finished;

	while (skip >= v->iov_len)
		skip -= v++->iov_len;
	return v->iov_len - skip >= len ? (u8 *)v->iov_base + skip : NULL;
}

static bool buffer_take(struct disk_nbd *n, struct disk_op *op)
{
	unsigned all = (1u << NBD_BUFFERS) - 1, unused = ~n->buffers_used & all;

	if (op->buffer)
		return true;
	if (!unused)
		return false;
	n->buffers_used |= unused & -unused;
	op->buffer = (unsigned)__builtin_ctz(unused) + 1;
	return true;
}

static u32 fua_flag(const struct disk_nbd *n, const struct disk_op *op)
{
	return op->fua && n->can_fua && !n->config.unsafe ? LIBNBD_CMD_FLAG_FUA : 0;
}

/* Sends the next piece of a READ or WRITE. False: it waits for a buffer. */
static bool send_transfer(struct disk_nbd *n, struct disk_op *op, s64 *sent)
{
	nbd_completion_callback cb = { .callback = command_ended, .user_data = op };
	nbd_chunk_callback came = { .callback = data_came, .user_data = op };
	u64 len = MIN((u64)n->piece, op->len - op->finished), at = op->offset + op->finished;
	u8 *buf = in_one_piece(op, len);

	if (!buf && !buffer_take(n, op))
		return false;
	op->piece = (struct iovec){ buf, len };
	if (!buf) {
		op->piece.iov_base = buf = n->buffer + (op->buffer - 1) * NBD_PIECE;
		if (op->kind == DISK_WRITE)
			disk_op_copy(op, op->finished, op->piece.iov_base, op->piece.iov_len);
	}
	op->io.len = 0;
	*sent = op->kind == DISK_READ ? nbd_aio_pread_structured(n->h, buf, len, at, came, cb, 0)
				      : nbd_aio_pwrite(n->h, buf, len, at, cb, fua_flag(n, op));
	return true;
}

static s64 send_zeroes(struct disk_nbd *n, struct disk_op *op)
{
	nbd_completion_callback cb = { .callback = command_ended, .user_data = op };
	u64 left = op->len - op->finished, at = op->offset + op->finished;
	u32 hole = op->unmap ? 0 : LIBNBD_CMD_FLAG_NO_HOLE;

	op->piece = (struct iovec){ n->zeroes, MIN(left, n->can_zero ? NBD_EXTENT : n->piece) };
	if (n->can_zero)
		return nbd_aio_zero(n->h, op->piece.iov_len, at, cb, fua_flag(n, op) | hole);
	return nbd_aio_pwrite(n->h, n->zeroes, op->piece.iov_len, at, cb, fua_flag(n, op));
}

static s64 send_discard(struct disk_nbd *n, struct disk_op *op)
{
	nbd_completion_callback cb = { .callback = command_ended, .user_data = op };

	op->piece = (struct iovec){ NULL, MIN(NBD_EXTENT, op->len - op->finished) };
	return nbd_aio_trim(n->h, op->piece.iov_len, op->offset + op->finished, cb, 0);
}

static s64 send_flush(struct disk_nbd *n, struct disk_op *op)
{
	nbd_completion_callback cb = { .callback = command_ended, .user_data = op };

	op->synced = true;
	op->piece = (struct iovec){ NULL, 0 };
	return nbd_aio_flush(n->h, cb, 0);
}

static void op_finish(struct disk_nbd *n, struct disk_op *op, int err)
{
	if (op->buffer)
		n->buffers_used &= ~(1u << (op->buffer - 1));
	op->buffer = 0;
	uring_complete_remote(op->uring, &op->io, err);
}

static bool flush_is_due(const struct disk_nbd *n, const struct disk_op *op)
{
	bool writes = op->kind == DISK_WRITE || op->kind == DISK_WRITE_ZEROES;

	return (op->kind == DISK_FLUSH ||
		(writes && op->fua && !n->can_fua && n->can_flush && !n->config.unsafe)) &&
	       !op->synced;
}

/*
 * A server whose file system could not write back what lay in its page cache is told so once, and
 * may then flush successfully, without it: as with a file of our own (disk_raw.c) no flush succeeds
 * after one that failed, nor what was under way beside it. What came of a command.
 */
static int note_loss(const struct disk_nbd *n, const struct disk_op *op, int err)
{
	bool syncs = op->synced || (op->kind != DISK_READ && fua_flag(n, op));

	if (syncs && (err == -EIO || err == -ENOSPC || err == -EDQUOT))
		atomic_store_explicit(n->unsynced, true, memory_order_relaxed);
	return syncs && !err && !op->after_loss &&
			       atomic_load_explicit(n->unsynced, memory_order_relaxed)
		       ? -EIO
		       : err;
}

/*
 * One at a time, which those share that were there before it: a server tells its loss to one of
 * several that are under way, and the others might be acknowledged before.
 */
static void flush_start(struct disk_nbd *n, struct disk_op *op)
{
	if (n->flushing) {
		/* A write that shares one has moved nothing more when that ends. */
		op->piece = (struct iovec){ NULL, 0 };
		uring_list_push(&n->flushes, &op->io);
		n->flush_count++;
		return;
	}
	n->flushing = op;
	n->flush_sharing = n->flush_count;
	if (send_flush(n, op) >= 0)
		return;
	n->flushing = NULL;
	op_finish(n, op, -EIO);
}

/* Its next command, or its end. */
static void op_start(struct disk_nbd *n, struct disk_op *op)
{
	bool whole = op->kind == DISK_FLUSH || op->finished == op->len;
	s64 sent = -1;

	if (n->lost || (op->kind == DISK_FLUSH && !op->synced && op->after_loss)) {
		op_finish(n, op, -EIO);
		return;
	}
	if (whole && !flush_is_due(n, op)) {
		op_finish(n, op, 0);
		return;
	}
	if (whole) {
		flush_start(n, op);
		return;
	}
	if (op->kind == DISK_DISCARD) {
		sent = send_discard(n, op);
	} else if (op->kind == DISK_WRITE_ZEROES) {
		sent = send_zeroes(n, op);
	} else if (!send_transfer(n, op, &sent)) {
		uring_list_push(&n->wanting, &op->io);
		return;
	}
	/* Refused, it was not begun, and command_ended() is not called. */
	if (sent < 0)
		op_finish(n, op, -EIO);
}

static void op_go_on(struct disk_nbd *n, struct disk_op *op);

static void flush_ended(struct disk_nbd *n, int res)
{
	struct disk_op *op;

	n->flushing = NULL;
	for (unsigned left = n->flush_sharing; left && (op = list_pop(&n->flushes)); left--) {
		n->flush_count--;
		op->synced = true;
		op->io.res = res;
		op_go_on(n, op);
	}
	while (!n->flushing && (op = list_pop(&n->flushes))) {
		n->flush_count--;
		op_start(n, op);
	}
}

static void op_go_on(struct disk_nbd *n, struct disk_op *op)
{
	int err = note_loss(n, op, op->io.res);
	bool copied = op->buffer && op->kind == DISK_READ;

	if (op == n->flushing)
		flush_ended(n, op->io.res);
	/* A hint that the server cannot follow has still been taken. */
	if (op->kind == DISK_DISCARD && (err == -EINVAL || err == -ENOTSUP))
		err = 0;
	if (err) {
		op_finish(n, op, err == -ENOTCONN || err == -ESHUTDOWN ? -EIO : err);
		return;
	}
	if (copied && op->piece.iov_base == n->buffer + (op->buffer - 1) * NBD_PIECE)
		disk_op_copy(op, op->finished, op->piece.iov_base, op->piece.iov_len);
	op->finished += op->piece.iov_len;
	op_start(n, op);
}

/* ---- The thread ---- */

/* Those that waited for a buffer, as far as there are any now. */
static void take_wanting(struct disk_nbd *n)
{
	struct disk_op *op;

	while (n->buffers_used != (1u << NBD_BUFFERS) - 1 && (op = list_pop(&n->wanting)))
		op_start(n, op);
}

static void take_submitted(struct disk_nbd *n)
{
	struct uring_list list;
	struct disk_op *op;

	uring_list_init(&list);
	uring_inbox_take(&n->submitted, &list);
	while ((op = list_pop(&list)))
		op_start(n, op);
}

static void take_ended(struct disk_nbd *n)
{
	struct disk_op *op;

	while ((op = list_pop(&n->ended)))
		op_go_on(n, op);
	take_wanting(n);
}

static void notice_loss(struct disk_nbd *n)
{
	struct disk_op *op;

	if (n->lost || nbd_aio_is_ready(n->h) > 0 || nbd_aio_is_processing(n->h) > 0)
		return;
	n->lost = true;
	log_error(
		"disk %s: the connection to its server was lost; its requests fail until the next "
		"start of the guest",
		n->config.name);
	take_ended(n);
	while ((op = list_pop(&n->wanting)))
		op_finish(n, op, -EIO);
}

/* How long the server may be waited for, in milliseconds; -1: as long as it takes. */
static int patience(const struct disk_nbd *n)
{
	u64 end = n->lost ? 0 : atomic_load(&n->give_up_ns), now = loop_now_ns();

	if (!end)
		return -1;
	return now < end ? (int)((end - now) / NSEC_PER_MSEC) + 1 : 0;
}

/* libnbd sees the end of the connection then, and ends what was under way, if anything was. */
static void give_up(struct disk_nbd *n)
{
	bool waits = nbd_aio_in_flight(n->h) > 0;

	if (waits)
		shutdown(nbd_aio_get_fd(n->h), SHUT_RDWR);
	atomic_store(&n->give_up_ns, waits ? 0 : loop_now_ns() + DISK_HURRY_NS);
}

/* Until the server or a loop has something. A lost server has nothing any more. */
static void wait_for_either(struct disk_nbd *n)
{
	unsigned direction = n->lost ? 0 : nbd_aio_get_direction(n->h);
	struct pollfd fds[2] = { { .fd = n->wake_fd, .events = POLLIN },
				 { .fd = n->lost ? -1 : nbd_aio_get_fd(n->h) } };
	u64 count;

	if (direction & LIBNBD_AIO_DIRECTION_READ)
		fds[1].events |= POLLIN;
	if (direction & LIBNBD_AIO_DIRECTION_WRITE)
		fds[1].events |= POLLOUT;
	if (!poll(fds, 2, patience(n)) && !patience(n))
		give_up(n);
	if (fds[0].revents && read(n->wake_fd, &count, sizeof(count)) < 0)
		return;
}

static void nbd_turn(struct disk_nbd *n)
{
	wait_for_either(n);
	take_submitted(n);
	/* As long as there is something, for TLS may have read more than poll() knows of. */
	while (!n->lost && nbd_poll(n->h, 0) > 0)
		take_ended(n);
	take_ended(n);
	notice_loss(n);
}

static void announce(struct disk_nbd *n, int err)
{
	pthread_mutex_lock(&n->lock);
	n->up = true;
	n->err = err;
	pthread_cond_signal(&n->settled);
	pthread_mutex_unlock(&n->lock);
}

static void *nbd_main(void *arg)
{
	struct disk_nbd *n = arg;
	int err = n->begin ? n->begin(n->ctx) : 0;

	announce(n, err);
	while (!err && !atomic_load(&n->ending))
		nbd_turn(n);
	if (!err && !n->lost)
		nbd_aio_disconnect(n->h, 0);
	return NULL;
}

/* ---- The main thread's side ---- */

static int make_buffers(struct disk_nbd *n)
{
	void *buffer = mmap(NULL, NBD_BUFFERS * NBD_PIECE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	void *zeroes = mmap(NULL, NBD_PIECE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	n->buffer = buffer == MAP_FAILED ? NULL : buffer;
	n->zeroes = zeroes == MAP_FAILED ? NULL : zeroes;
	uring_list_init(&n->flushes);
	n->flush_count = n->flush_sharing = 0;
	n->flushing = NULL;
	uring_list_init(&n->ended);
	uring_list_init(&n->wanting);
	n->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return n->buffer && n->zeroes && n->wake_fd >= 0 ? 0 : -ENOMEM;
}

static void free_buffers(struct disk_nbd *n)
{
	if (n->buffer)
		munmap(n->buffer, NBD_BUFFERS * NBD_PIECE);
	if (n->zeroes)
		munmap(n->zeroes, NBD_PIECE);
	if (n->wake_fd >= 0)
		close(n->wake_fd);
	n->buffer = n->zeroes = NULL;
	n->wake_fd = -1;
}

static int start_thread(struct disk_nbd *n)
{
	pthread_attr_t attr;
	int err;

	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->settled, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	err = -pthread_create(&n->thread, &attr, nbd_main, n);
	pthread_attr_destroy(&attr);
	if (err)
		return err;
	pthread_mutex_lock(&n->lock);
	while (!n->up)
		pthread_cond_wait(&n->settled, &n->lock);
	err = n->err;
	pthread_mutex_unlock(&n->lock);
	if (err)
		pthread_join(n->thread, NULL);
	return err;
}

int nbd_launch(struct disk *disk, int (*begin)(void *ctx), void *ctx)
{
	struct disk_nbd *n = container_of(disk, struct disk_nbd, disk);
	int err = make_buffers(n);

	n->begin = begin;
	n->ctx = ctx;
	if (!err)
		err = start_thread(n);
	if (err)
		free_buffers(n);
	n->launched = !err;
	return err;
}

void nbd_hurry(struct disk *disk)
{
	struct disk_nbd *n = container_of(disk, struct disk_nbd, disk);

	if (!n->launched)
		return;
	atomic_store(&n->give_up_ns, loop_now_ns() + DISK_HURRY_NS);
	nbd_wake(n);
}

void nbd_stop(struct disk_nbd *n)
{
	if (!n->launched)
		return;
	atomic_store(&n->ending, true);
	nbd_wake(n);
	pthread_join(n->thread, NULL);
	pthread_cond_destroy(&n->settled);
	pthread_mutex_destroy(&n->lock);
	free_buffers(n);
	n->launched = false;
}
