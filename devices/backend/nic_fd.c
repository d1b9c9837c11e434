/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A NIC on a descriptor that gives and takes whole frames. One read(2) and one write a frame; the
 * reads of one turn of the loop are bounded, so that a flood cannot starve the loop's channels.
 * Owned by the loop of start().
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "devices/backend/nic_impl.h"

#define FRAMES_PER_TURN 64
#define FRAME_MIN 14

struct nic_fd {
	struct nic nic;
	struct loop_fd watch;
	struct loop *loop; /* NULL: stopped */
	bool socket; /* a socket, not a tap */
	bool datagrams; /* a socket on which nothing read is an empty frame, not the end */
	bool receiving; /* receive_enable() */
	bool dead; /* the other end is gone */
	struct log_guest dropped;
	struct nic_peer *peer; /* NULL: none of ours */
	u8 frame[NIC_FRAME_MAX];
};

static struct nic_fd *nic_fd(struct nic *nic)
{
	return container_of(nic, struct nic_fd, nic);
}

/* The link is gone for good: watch it no more (a hang-up is reported for ever). */
static void nic_fd_dead(struct nic_fd *n, int err)
{
	if (n->dead)
		return;
	n->dead = true;
	loop_del(n->loop, &n->watch);
	log_warn("net: the guest's network is cut off: %s",
		 err ? strerror(err) : "closed by the peer");
}

static void nic_fd_ready(struct loop_fd *f, u32 events)
{
	struct nic_fd *n = container_of(f, struct nic_fd, watch);

	for (unsigned i = 0; i < FRAMES_PER_TURN && n->receiving && n->loop; i++) {
		ssize_t len = read(f->fd, n->frame, sizeof(n->frame));

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && errno == EAGAIN)
			return;
		if (!len && n->datagrams && !(events & EPOLLHUP))
			continue;
		if (len <= 0) {
			nic_fd_dead(n, len < 0 ? errno : 0);
			return;
		}
		if (len >= FRAME_MIN && !n->nic.receive(&n->nic, n->frame, (u32)len))
			return;
	}
	if (!n->receiving && events & (EPOLLHUP | EPOLLERR) && n->loop)
		nic_fd_dead(n, 0);
}

static int nic_fd_start(struct nic *nic, struct loop *loop)
{
	struct nic_fd *n = nic_fd(nic);
	int err = n->dead ? 0 : loop_add(loop, &n->watch, EPOLLIN);

	if (err)
		return err;
	n->loop = loop;
	n->receiving = true;
	return 0;
}

static void nic_fd_stop(struct nic *nic)
{
	struct nic_fd *n = nic_fd(nic);

	if (n->loop && !n->dead)
		loop_del(n->loop, &n->watch);
	n->loop = NULL;
	n->receiving = false;
}

static void nic_fd_receive_enable(struct nic *nic, bool on)
{
	struct nic_fd *n = nic_fd(nic);

	if (on == n->receiving || !n->loop)
		return;
	n->receiving = on;
	if (!n->dead)
		loop_mod(n->loop, &n->watch, on ? EPOLLIN : 0);
}

static int nic_fd_send(struct nic *nic, const struct iovec *iov, unsigned count)
{
	struct nic_fd *n = nic_fd(nic);
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = count };
	ssize_t len;
	int err;

	do
		len = n->socket ? sendmsg(n->watch.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT)
				: writev(n->watch.fd, iov, (int)count);
	while (len < 0 && errno == EINTR);
	if (len >= 0)
		return 0;
	err = errno == ENOBUFS ? -EAGAIN : -errno;
	log_guest(&n->dropped, "net: a frame from the guest is dropped: %s", strerror(-err));
	return err;
}

static int nic_fd_launch(struct nic *nic, int (*thread_start)(void *ctx), void *ctx)
{
	struct nic_peer *peer = nic_fd(nic)->peer;

	return peer ? peer->launch(peer, thread_start, ctx) : 0;
}

static void nic_fd_close(struct nic *nic)
{
	struct nic_fd *n = nic_fd(nic);

	nic_fd_stop(nic);
	close(n->watch.fd);
	if (n->peer)
		n->peer->close(n->peer);
	free(n);
}

static const struct nic_ops nic_fd_ops = {
	.launch = nic_fd_launch,
	.start = nic_fd_start,
	.stop = nic_fd_stop,
	.send = nic_fd_send,
	.receive_enable = nic_fd_receive_enable,
	.close = nic_fd_close,
};

/* 0; *type: of the socket, 0 where fd is none. -EINVAL where frames would run into each other. */
static int fd_kind(int fd, int *type)
{
	socklen_t size = sizeof(*type);
	struct stat st;

	*type = 0;
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return S_ISCHR(st.st_mode) ? 0 : -EINVAL;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, type, &size))
		return -errno;
	return *type == SOCK_DGRAM || *type == SOCK_SEQPACKET ? 0 : -EINVAL;
}

int nic_fd_new(struct nic **nic, int fd, struct nic_peer *peer)
{
	struct nic_fd *n;
	int type, flags, err = fd_kind(fd, &type);

	if (err)
		return err;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->nic = (struct nic){ .ops = &nic_fd_ops, .mtu = NIC_MTU };
	n->watch = (struct loop_fd){ .fd = fd, .ready = nic_fd_ready };
	n->socket = type != 0;
	n->datagrams = type == SOCK_DGRAM;
	n->peer = peer;
	*nic = &n->nic;
	return 0;
}
