/* SPDX-License-Identifier: BSD-2-Clause */
#include "devices/backend/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* A descriptor poll() calls writable takes this much without blocking. */
#define WRITE_MAX 4096u

/* Pieces written in one go where the descriptor cannot be watched. */
#define PIECES_PER_TURN 64

/* How long a client waits that there was no descriptor for. */
#define ACCEPT_AGAIN_NS (100 * NSEC_PER_MSEC)

/* ---- Output --------------------------------------------------------------------------------- */

static void consume(struct console *c, u32 n)
{
	pthread_mutex_lock(&c->lock);
	c->head = (c->head + n) % CONSOLE_QUEUE_BYTES;
	c->used -= n;
	pthread_cond_broadcast(&c->space);
	pthread_mutex_unlock(&c->lock);
}

/* The next contiguous piece of output, at most WRITE_MAX bytes; 0 where there is none. */
static u32 peek(struct console *c, const u8 **data)
{
	u32 n;

	pthread_mutex_lock(&c->lock);
	*data = c->queue + c->head;
	n = MIN(c->used, CONSOLE_QUEUE_BYTES - c->head);
	pthread_mutex_unlock(&c->lock);
	return MIN(n, WRITE_MAX);
}

/* Writes one piece. False: nothing left, or the descriptor would block. */
static bool write_piece(struct console *c)
{
	const u8 *data;
	u32 len = peek(c, &data);
	ssize_t n;

	if (!len)
		return false;
	n = c->out.fd < 0 ? (ssize_t)len : write(c->out.fd, data, len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	/* Whoever closed the other end is not interested: the guest goes on without it. */
	consume(c, n < 0 ? len : (u32)n);
	return true;
}

/* Off means off the loop: a descriptor that is only paused still reports that it hung up. */
static void watch_out(struct console *c, bool on)
{
	if (c->out_waiting == on)
		return;
	c->out_waiting = on;
	if (on)
		loop_add(c->loop, &c->out, EPOLLOUT);
	else
		loop_del(c->loop, &c->out);
}

static void watch_in(struct console *c, bool on)
{
	if (c->in_waiting == on)
		return;
	c->in_waiting = on;
	if (on)
		loop_add(c->loop, &c->in, EPOLLIN);
	else
		loop_del(c->loop, &c->in);
}

static void out_ready(struct loop_fd *f, u32 events)
{
	struct console *c = container_of(f, struct console, out);
	const u8 *data;

	(void)events;
	write_piece(c);
	if (!peek(c, &data))
		watch_out(c, false);
}

static void work_run(struct loop_work *w)
{
	struct console *c = container_of(w, struct console, work);

	if (c->out_pollable) {
		watch_out(c, true);
		return;
	}
	for (unsigned i = 0; i < PIECES_PER_TURN; i++)
		if (!write_piece(c))
			return;
	/* A guest that prints as fast as we write does not get the loop to itself. */
	loop_post(c->loop, &c->work);
}

void console_write(struct console *c, const void *data, u32 len)
{
	const u8 *from = data;
	bool first = false;

	pthread_mutex_lock(&c->lock);
	while (len) {
		u32 at = (c->head + c->used) % CONSOLE_QUEUE_BYTES;
		u32 n = MIN(len, MIN(CONSOLE_QUEUE_BYTES - c->used, CONSOLE_QUEUE_BYTES - at));

		if (!n && c->closed)
			break;
		if (!n) {
			pthread_cond_wait(&c->space, &c->lock);
			continue;
		}
		first |= !c->used;
		memcpy(c->queue + at, from, n);
		c->used += n;
		from += n;
		len -= n;
		if (first && c->used == CONSOLE_QUEUE_BYTES)
			loop_post(c->loop, &c->work);
	}
	pthread_mutex_unlock(&c->lock);
	if (first)
		loop_post(c->loop, &c->work);
}

void console_close(struct console *c)
{
	if (!c->queue)
		return;
	pthread_mutex_lock(&c->lock);
	c->closed = true;
	pthread_cond_broadcast(&c->space);
	pthread_mutex_unlock(&c->lock);
}

/* ---- Input ---------------------------------------------------------------------------------- */

static void offer_pending(struct console *c)
{
	while (c->pending_len) {
		u32 n = c->config.input(c->config.ctx, c->pending + c->pending_at, c->pending_len);

		c->pending_at += n;
		c->pending_len -= n;
		if (!n)
			break;
	}
	if (c->in.fd >= 0)
		watch_in(c, !c->pending_len);
}

static void input_end(struct console *c)
{
	watch_in(c, false);
	c->in.fd = -1;
}

static void client_gone(struct console *c)
{
	input_end(c);
	watch_out(c, false);
	c->out_pollable = false;
	if (c->out.fd >= 0)
		close(c->out.fd);
	c->out.fd = -1;
	close(c->client_fd);
	c->client_fd = -1;
	loop_mod(c->loop, &c->listen, EPOLLIN);
	loop_post(c->loop, &c->work);
}

static void in_ready(struct loop_fd *f, u32 events)
{
	struct console *c = container_of(f, struct console, in);
	ssize_t n;

	n = read(c->in.fd, c->pending, sizeof(c->pending));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		if (c->client_fd < 0)
			input_end(c);
		else if (n < 0 || events & EPOLLHUP)
			client_gone(c);
		else
			loop_mod(c->loop, &c->in, 0); /* it only listens now, until it hangs up */
		return;
	}
	c->pending_at = 0;
	c->pending_len = (u32)n;
	if (c->config.filter)
		c->pending_len = c->config.filter(c->config.ctx, c->pending, c->pending_len);
	offer_pending(c);
}

static void room_run(struct loop_work *w)
{
	offer_pending(container_of(w, struct console, room));
}

void console_room(struct console *c)
{
	loop_post(c->loop, &c->room);
}

/* ---- Set-up --------------------------------------------------------------------------------- */

/*
 * A terminal that is paused takes less than poll() promises, a pipe may have other writers: where
 * it can be had, an open file of our own does not block, and leaves the user's as it is.
 */
static int open_output(int fd)
{
	char path[32];
	struct stat st;
	unsigned number;
	int own = -1;
	/* A pseudo-terminal's master, opened anew, would be another's. */
	bool terminal = isatty(fd) && ioctl(fd, TIOCGPTN, &number);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (terminal || (!fstat(fd, &st) && S_ISFIFO(st.st_mode)))
		own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return own >= 0 ? own : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* fd is the console's own: one epoll set takes a descriptor once. -1: errno says why not. */
static int watch_output(struct console *c, int fd)
{
	c->out.fd = fd;
	if (fd < 0)
		return -errno;
	c->out_pollable = !loop_add(c->loop, &c->out, 0);
	if (c->out_pollable)
		loop_del(c->loop, &c->out);
	return 0;
}

/* Who waits for a descriptor is ready all the time: not to be looked at for a while. */
static void listen_pause(struct console *c)
{
	loop_mod(c->loop, &c->listen, 0);
	loop_timer_arm(c->loop, &c->listen_again, loop_now_ns() + ACCEPT_AGAIN_NS);
}

static void listen_again(struct loop_timer *t)
{
	struct console *c = container_of(t, struct console, listen_again);

	loop_mod(c->loop, &c->listen, EPOLLIN);
}

static void listen_ready(struct loop_fd *f, u32 events)
{
	struct console *c = container_of(f, struct console, listen);
	int fd = accept4(f->fd, NULL, NULL, SOCK_CLOEXEC);

	(void)events;
	if (fd < 0 || watch_output(c, fcntl(fd, F_DUPFD_CLOEXEC, 0))) {
		if (fd >= 0)
			close(fd);
		listen_pause(c);
		return;
	}
	loop_mod(c->loop, &c->listen, 0); /* one client at a time */
	c->client_fd = fd;
	c->in.fd = fd;
	watch_in(c, true);
	loop_post(c->loop, &c->work);
}

int console_init(struct console *c, struct loop *loop, const struct console_config *config)
{
	int err = 0;

	*c = (struct console){ .config = *config,
			       .loop = loop,
			       .in = { .fd = config->in_fd, .ready = in_ready },
			       .out = { .fd = -1, .ready = out_ready },
			       .listen = { .fd = config->listen_fd, .ready = listen_ready },
			       .listen_again = { .fire = listen_again },
			       .client_fd = -1,
			       .work = { .run = work_run },
			       .room = { .run = room_run } };
	c->queue = malloc(CONSOLE_QUEUE_BYTES);
	if (!c->queue)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->space, NULL);
	if (config->out_fd >= 0)
		err = watch_output(c, open_output(config->out_fd));
	if (!err && c->listen.fd >= 0)
		err = loop_add(loop, &c->listen, EPOLLIN);
	/* A regular file or /dev/null cannot be watched: such input counts as ended. */
	c->in_waiting = !err && c->in.fd >= 0 && !loop_add(loop, &c->in, EPOLLIN);
	if (!c->in_waiting)
		c->in.fd = -1;
	return err;
}

void console_fini(struct console *c, int timeout_ms)
{
	const u8 *data;

	if (!c->queue)
		return;
	while (peek(c, &data)) {
		struct pollfd p = { .fd = c->out.fd, .events = POLLOUT };

		if (p.fd >= 0 && poll(&p, 1, timeout_ms) <= 0)
			break;
		if (write_piece(c))
			continue;
		/* Ready, it took nothing: a terminal with room for less than a character. */
		if (timeout_ms-- <= 0)
			break;
		poll(NULL, 0, 1);
	}
	loop_timer_disarm(c->loop, &c->listen_again);
	if (c->out.fd >= 0)
		close(c->out.fd);
	if (c->client_fd >= 0)
		close(c->client_fd);
	pthread_cond_destroy(&c->space);
	pthread_mutex_destroy(&c->lock);
	free(c->queue);
	c->queue = NULL;
}
