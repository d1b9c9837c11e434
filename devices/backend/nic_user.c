/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A network without privileges: libslirp's TCP/IP stack on a thread of its own turns the guest's
 * connections into sockets of this process. Network 10.0.2.0/24: host 10.0.2.2 (its own services
 * included), DNS 10.0.2.3 (passed to the host's resolver), the guest 10.0.2.15 by DHCP; IPv6
 * (fec0::/64 by router advertisement) only where the host itself has a route for it, else guests
 * would wait for connections that cannot be.
 *
 * Frames cross to the loop's side (nic_fd.c) by a pair of sequenced-packet sockets. The thread owns
 * libslirp from nic_launch() to the join in user_close(); before and after, who opened the NIC
 * does.
 *
 * The guest makes libslirp open sockets and keep buffers for them: over SOCKETS_MAX of them,
 * nothing that could open another is let in. Left out: TFTP, SMB, guest forwards.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <libslirp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* GLib's own, which base/types.h defines the same way. */
#undef MIN
#undef MAX

#include "base/log.h"
#include "devices/backend/nic_impl.h"

#define FRAMES_PER_TURN 64
/* libslirp keeps its buffers on the heap. */
#define STACK_BYTES (512u << 10)
/* Bytes on their way to the guest; the kernel bounds it by net.core.wmem_max. */
#define SEND_BUFFER (1 << 20)
/* Sockets the guest can have open; the host's own side (hostfwd) may add to them. */
#define SOCKETS_MAX 512u
#define POLLS_MAX 1024
#define BACKLOG_MAX (512u << 10)

struct user_timer;

struct nic_user {
	struct nic_peer peer;
	Slirp *slirp;
	int fd; /* our end of the link */
	int stop_fd; /* an eventfd: written once, by user_close() */
	pthread_t thread;
	bool running;
	int (*thread_start)(void *ctx);
	void *start_ctx;
	int start_error;
	sem_t started;
	/* The thread's. */
	struct user_timer *timers;
	unsigned sockets;
	struct pollfd polls[POLLS_MAX];
	unsigned poll_count;
	struct log_guest dropped, refused, guest_errors;
	u8 frame[NIC_FRAME_MAX];
	/* Frames that wait for room towards the guest, each after its u32 length: [start, end). */
	u32 backlog_start, backlog_end;
	u8 backlog[BACKLOG_MAX];
};

/* ---- Timers ---------------------------------------------------------------------------------- */

struct user_timer {
	SlirpTimerCb fire;
	void *opaque;
	s64 deadline_ms; /* -1: not armed */
	struct user_timer *next;
};

static s64 now_ms(void)
{
	return (s64)(loop_now_ns() / NSEC_PER_MSEC);
}

static int64_t cb_clock_ns(void *opaque)
{
	(void)opaque;
	return (s64)loop_now_ns();
}

/* As many as libslirp's stack has (one: router advertisements), all made by slirp_new(). */
static void *cb_timer_new(SlirpTimerCb fire, void *cb_opaque, void *opaque)
{
	struct nic_user *u = opaque;
	struct user_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct user_timer){ .fire = fire, .opaque = cb_opaque, .deadline_ms = -1 };
	t->next = u->timers;
	u->timers = t;
	return t;
}

static void cb_timer_free(void *timer, void *opaque)
{
	struct nic_user *u = opaque;

	for (struct user_timer **at = &u->timers; *at; at = &(*at)->next) {
		if (*at != timer)
			continue;
		*at = (*at)->next;
		free(timer);
		return;
	}
}

static void cb_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
	struct user_timer *t = timer;

	(void)opaque;
	if (t)
		t->deadline_ms = expire_ms;
}

static void timers_run(struct nic_user *u)
{
	s64 now = u->timers ? now_ms() : 0;

	for (struct user_timer *t = u->timers; t; t = t->next) {
		if (t->deadline_ms < 0 || t->deadline_ms > now)
			continue;
		t->deadline_ms = -1;
		t->fire(t->opaque);
	}
}

/* What is left to the first timer, at most timeout_ms; -1: for ever. */
static int timers_wait(const struct nic_user *u, u32 timeout_ms)
{
	s64 wait = MIN(timeout_ms, (u32)INT32_MAX);
	s64 now = u->timers ? now_ms() : 0;

	for (const struct user_timer *t = u->timers; t; t = t->next)
		if (t->deadline_ms >= 0)
			wait = MIN(wait, MAX(t->deadline_ms - now, (s64)0));
	return wait == INT32_MAX ? -1 : (int)wait;
}

/* ---- Frames ---------------------------------------------------------------------------------- */

/* Keeps a frame the socket had no room for; without room here either it is dropped. */
static void backlog_put(struct nic_user *u, const void *frame, u32 len)
{
	if (sizeof(len) + len > sizeof(u->backlog) - u->backlog_end) {
		log_guest(&u->dropped, "net user: the guest takes no frames: one is dropped");
		return;
	}
	memcpy(u->backlog + u->backlog_end, &len, sizeof(len));
	memcpy(u->backlog + u->backlog_end + sizeof(len), frame, len);
	u->backlog_end += (u32)sizeof(len) + len;
}

static void backlog_flush(struct nic_user *u)
{
	while (u->backlog_start < u->backlog_end) {
		u32 len;

		memcpy(&len, u->backlog + u->backlog_start, sizeof(len));
		if (send(u->fd, u->backlog + u->backlog_start + sizeof(len), len,
			 MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
		    errno == EAGAIN)
			return;
		u->backlog_start += (u32)sizeof(len) + len;
	}
	u->backlog_start = u->backlog_end = 0;
}

static ssize_t cb_send_packet(const void *frame, size_t len, void *opaque)
{
	struct nic_user *u = opaque;

	if (len > NIC_FRAME_MAX)
		return -1;
	if (u->backlog_end ||
	    (send(u->fd, frame, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EAGAIN))
		backlog_put(u, frame, (u32)len);
	return (ssize_t)len;
}

/* With too many sockets open only frames that open none pass: ARP, and TCP other than SYN. */
static bool frame_admitted(const struct nic_user *u, u32 len)
{
	const u8 *ip = u->frame + 14;
	u32 header;

	if (u->sockets < SOCKETS_MAX)
		return true;
	if (len >= 14 && u->frame[12] == 0x08 && u->frame[13] == 0x06)
		return true;
	if (len < 34 || u->frame[12] != 0x08 || u->frame[13] != 0x00 || ip[9] != IPPROTO_TCP)
		return false;
	header = (ip[0] & 0xfu) * 4;
	return header >= 20 && len >= 14 + header + 14 && !(ip[header + 13] & 0x02);
}

static void frames_receive(struct nic_user *u)
{
	for (unsigned i = 0; i < FRAMES_PER_TURN; i++) {
		ssize_t len = recv(u->fd, u->frame, sizeof(u->frame), MSG_DONTWAIT);

		if (len <= 0)
			return;
		if (frame_admitted(u, (u32)len))
			slirp_input(u->slirp, u->frame, (int)len);
		else
			log_guest(&u->refused,
				  "net user: the guest has %u connections open, the limit",
				  u->sockets);
	}
}

/* ---- Other things libslirp asks for ---------------------------------------------------------- */

static void cb_guest_error(const char *msg, void *opaque)
{
	struct nic_user *u = opaque;

	log_guest(&u->guest_errors, "net user: %s", msg);
}

static void cb_register(int fd, void *opaque)
{
	struct nic_user *u = opaque;

	(void)fd;
	u->sockets++;
}

static void cb_unregister(int fd, void *opaque)
{
	struct nic_user *u = opaque;

	(void)fd;
	if (u->sockets)
		u->sockets--;
}

/* All runs on one thread: it is awake. */
static void cb_notify(void *opaque)
{
	(void)opaque;
}

static const SlirpCb callbacks = {
	.send_packet = cb_send_packet,
	.guest_error = cb_guest_error,
	.clock_get_ns = cb_clock_ns,
	.timer_new = cb_timer_new,
	.timer_free = cb_timer_free,
	.timer_mod = cb_timer_mod,
	.register_poll_fd = cb_register,
	.unregister_poll_fd = cb_unregister,
	.notify = cb_notify,
};

/*
 * libslirp warns through GLib, whose handler is one for the process: so is the counter that keeps
 * a guest from flooding the log.
 */
static void glib_log(const char *domain, GLogLevelFlags level, const char *msg, void *data)
{
	static struct log_guest count;

	(void)domain;
	(void)level;
	(void)data;
	log_guest(&count, "net user: %s", msg);
}

/* ---- The thread ------------------------------------------------------------------------------ */

enum { POLL_STOP, POLL_FRAMES, POLL_FIXED };

static int poll_add(int fd, int events, void *opaque)
{
	struct nic_user *u = opaque;
	short wanted = 0;

	if (u->poll_count == ARRAY_SIZE(u->polls))
		return -1;
	if (events & SLIRP_POLL_IN)
		wanted |= POLLIN;
	if (events & SLIRP_POLL_OUT)
		wanted |= POLLOUT;
	if (events & SLIRP_POLL_PRI)
		wanted |= POLLPRI;
	u->polls[u->poll_count] = (struct pollfd){ .fd = fd, .events = wanted };
	return (int)u->poll_count++;
}

static int poll_result(int index, void *opaque)
{
	const struct nic_user *u = opaque;
	int events = 0;
	short got;

	if (index < 0)
		return 0;
	got = u->polls[index].revents;
	if (got & POLLIN)
		events |= SLIRP_POLL_IN;
	if (got & POLLOUT)
		events |= SLIRP_POLL_OUT;
	if (got & POLLPRI)
		events |= SLIRP_POLL_PRI;
	if (got & POLLERR)
		events |= SLIRP_POLL_ERR;
	if (got & POLLHUP)
		events |= SLIRP_POLL_HUP;
	return events;
}

/*
 * One turn. While frames wait for room towards the guest the host's sockets are left alone: the
 * wait then reaches the senders as TCP's flow control instead of as lost frames.
 */
static bool user_turn(struct nic_user *u)
{
	bool blocked = u->backlog_end;
	u32 timeout_ms = UINT32_MAX;
	int n;

	u->polls[POLL_STOP] = (struct pollfd){ .fd = u->stop_fd, .events = POLLIN };
	u->polls[POLL_FRAMES] =
		(struct pollfd){ .fd = u->fd, .events = blocked ? POLLIN | POLLOUT : POLLIN };
	u->poll_count = POLL_FIXED;
	if (!blocked)
		slirp_pollfds_fill(u->slirp, &timeout_ms, poll_add, u);
	n = poll(u->polls, u->poll_count, timers_wait(u, timeout_ms));
	if (u->polls[POLL_STOP].revents && n > 0)
		return false;
	if (blocked)
		backlog_flush(u);
	else
		slirp_pollfds_poll(u->slirp, n < 0, poll_result, u);
	timers_run(u);
	if (n > 0 && u->polls[POLL_FRAMES].revents & POLLIN)
		frames_receive(u);
	/* The NIC was closed: only the stop is left to wait for. */
	return n <= 0 || !(u->polls[POLL_FRAMES].revents & (POLLHUP | POLLERR));
}

static void *user_thread(void *arg)
{
	struct nic_user *u = arg;

	u->start_error = u->thread_start ? u->thread_start(u->start_ctx) : 0;
	sem_post(&u->started);
	while (!u->start_error && user_turn(u))
		;
	return NULL;
}

/* Signals are the main thread's, and a peer that went away shall not raise SIGPIPE here. */
static int thread_create(struct nic_user *u)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	err = pthread_create(&u->thread, &attr, user_thread, u);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

static int user_launch(struct nic_peer *peer, int (*thread_start)(void *ctx), void *ctx)
{
	struct nic_user *u = container_of(peer, struct nic_user, peer);
	int err;

	u->thread_start = thread_start;
	u->start_ctx = ctx;
	err = thread_create(u);
	if (err)
		return err;
	u->running = true;
	while (sem_wait(&u->started) && errno == EINTR)
		;
	return u->start_error;
}

static void user_close(struct nic_peer *peer)
{
	struct nic_user *u = container_of(peer, struct nic_user, peer);
	u64 one = 1;

	if (u->running) {
		while (write(u->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		pthread_join(u->thread, NULL);
	}
	if (u->slirp)
		slirp_cleanup(u->slirp);
	while (u->timers)
		cb_timer_free(u->timers, u);
	if (u->fd >= 0)
		close(u->fd);
	if (u->stop_fd >= 0)
		close(u->stop_fd);
	sem_destroy(&u->started);
	free(u);
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* Whether the host could send to the IPv6 Internet. Nothing is sent. */
static bool host_has_ipv6(void)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(53) };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool has;

	if (fd < 0)
		return false;
	inet_pton(AF_INET6, "2000::1", &to.sin6_addr);
	has = !connect(fd, (struct sockaddr *)&to, sizeof(to));
	close(fd);
	return has;
}

static int stack_open(struct nic_user *u)
{
	SlirpConfig config = { .version = 1, .in_enabled = true, .in6_enabled = host_has_ipv6() };

	config.vnetwork.s_addr = htonl(0x0a000200);
	config.vnetmask.s_addr = htonl(0xffffff00);
	config.vhost.s_addr = htonl(0x0a000202);
	config.vnameserver.s_addr = htonl(0x0a000203);
	config.vdhcp_start.s_addr = htonl(0x0a00020f);
	inet_pton(AF_INET6, "fec0::", &config.vprefix_addr6);
	config.vprefix_len = 64;
	inet_pton(AF_INET6, "fec0::2", &config.vhost6);
	inet_pton(AF_INET6, "fec0::3", &config.vnameserver6);
	g_log_set_default_handler(glib_log, NULL);
	u->slirp = slirp_new(&config, &callbacks, u);
	return u->slirp ? 0 : -ENOMEM;
}

static int forwards_open(struct nic_user *u, const struct nic_config *config, char *error,
			 size_t error_size)
{
	for (unsigned i = 0; i < config->hostfwd_count; i++) {
		const struct nic_hostfwd *f = &config->hostfwd[i];
		struct in_addr host = { f->host_addr }, guest = { f->guest_addr };
		char text[INET_ADDRSTRLEN];
		int err;

		errno = 0;
		if (!slirp_add_hostfwd(u->slirp, f->udp, host, f->host_port, guest, f->guest_port))
			continue;
		err = errno ? -errno : -EADDRNOTAVAIL;
		snprintf(error, error_size,
			 "net user: hostfwd: cannot listen on %s port %s:%u: %s%s",
			 f->udp ? "udp" : "tcp", inet_ntop(AF_INET, &host, text, sizeof(text)),
			 f->host_port, strerror(-err),
			 err == -EACCES ? " (ports below 1024 need root)" : "");
		return err;
	}
	return 0;
}

/* The loop's end of the link in *fd, the other in u->fd. */
static int link_open(struct nic_user *u, int *fd)
{
	int size = SEND_BUFFER, ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends))
		return -errno;
	for (unsigned i = 0; i < 2; i++)
		setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	*fd = ends[0];
	u->fd = ends[1];
	u->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return u->stop_fd < 0 ? -errno : 0;
}

int nic_user_open(struct nic **nic, const struct nic_config *config, char *error, size_t error_size)
{
	struct nic_user *u = calloc(1, sizeof(*u));
	int fd = -1, err;

	if (!u)
		return -ENOMEM;
	u->peer = (struct nic_peer){ .launch = user_launch, .close = user_close };
	u->fd = u->stop_fd = -1;
	sem_init(&u->started, 0, 0);
	err = link_open(u, &fd);
	if (!err)
		err = stack_open(u);
	if (err)
		snprintf(error, error_size, "net user: %s", strerror(-err));
	else
		err = forwards_open(u, config, error, error_size);
	if (!err)
		err = nic_fd_new(nic, fd, &u->peer);
	if (err) {
		if (fd >= 0)
			close(fd);
		user_close(&u->peer);
	}
	return err;
}
