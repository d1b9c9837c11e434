/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/devices/nbd_server.h"

#include <endian.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK 512u

enum { OPT_EXPORT_NAME = 1, OPT_ABORT = 2, OPT_INFO = 6, OPT_GO = 7, OPT_STRUCTURED = 8 };
enum { REP_ACK = 1, REP_INFO = 3 };
#define REP_ERR_UNSUP 0x80000001u
enum { CMD_READ, CMD_WRITE, CMD_DISC, CMD_FLUSH, CMD_TRIM, CMD_WRITE_ZEROES = 6 };
enum { CMD_FUA = 1 };

struct option {
	u64 magic;
	u32 option, len;
} __attribute__((packed));

struct option_reply {
	u64 magic;
	u32 option, type, len;
} __attribute__((packed));

struct info_export {
	u16 type;
	u64 size;
	u16 flags;
} __attribute__((packed));

struct request {
	u32 magic;
	u16 flags, type;
	u64 handle, offset;
	u32 len;
} __attribute__((packed));

struct reply {
	u32 magic, error;
	u64 handle;
} __attribute__((packed));

/* A structured reply's only chunk: data from an offset on. */
struct chunk {
	u32 magic;
	u16 flags, type;
	u64 handle;
	u32 len;
	u64 offset;
} __attribute__((packed));

struct service {
	struct nbd_server_how how;
	int fd; /* the client's */
	int stable;
	u64 size;
	u8 *cache; /* what the disk holds, stable or not */
	u8 *dirty; /* a byte each block */
	u8 *data; /* of a request */
};

static bool get(int fd, void *buf, size_t len)
{
	return !len || recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

static bool put(int fd, const void *buf, size_t len)
{
	return !len || send(fd, buf, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool answer(struct service *s, u32 option, u32 type, const void *data, u32 len)
{
	struct option_reply r = { htobe64(0x3e889045565a9), htobe32(option), htobe32(type),
				  htobe32(len) };

	return put(s->fd, &r, sizeof(r)) && put(s->fd, data, len);
}

/* 1: go on with requests, 0: with options, -1: the client is gone. */
static int negotiate(struct service *s)
{
	struct info_export info = { 0, htobe64(s->size), htobe16(s->how.flags) };
	struct option o;
	u32 option, len;
	u8 skipped[4096];

	if (!get(s->fd, &o, sizeof(o)))
		return -1;
	option = be32toh(o.option);
	len = be32toh(o.len);
	if (len > sizeof(skipped) || !get(s->fd, skipped, len))
		return -1;
	switch (option) {
	case OPT_GO:
	case OPT_INFO:
		if (!answer(s, option, REP_INFO, &info, sizeof(info)) ||
		    !answer(s, option, REP_ACK, NULL, 0))
			return -1;
		return option == OPT_GO;
	case OPT_ABORT:
		return -1;
	case OPT_STRUCTURED:
		return answer(s, option, s->how.half_reads ? REP_ACK : REP_ERR_UNSUP, NULL, 0) ? 0
											       : -1;
	default:
		return answer(s, option, REP_ERR_UNSUP, NULL, 0) ? 0 : -1;
	}
}

static bool greet(struct service *s)
{
	const struct {
		u64 magic, option;
		u16 flags;
	} __attribute__((packed))
	hello = { htobe64(0x4e42444d41474943), htobe64(0x49484156454f5054), htobe16(3) };
	u32 client;
	int n;

	if (!put(s->fd, &hello, sizeof(hello)) || !get(s->fd, &client, sizeof(client)))
		return false;
	while (!(n = negotiate(s)))
		;
	return n > 0;
}

static void make_stable(struct service *s, u64 offset, u64 len)
{
	for (u64 b = offset / BLOCK; b < (offset + len) / BLOCK; b++) {
		if (s->dirty[b] &&
		    pwrite(s->stable, s->cache + b * BLOCK, BLOCK, (off_t)(b * BLOCK)) != BLOCK)
			_exit(1);
		s->dirty[b] = 0;
	}
}

/* As if there were no more, which no server may. */
static bool put_half(const struct service *s, const struct request *r)
{
	u32 len = be32toh(r->len) / 2;
	const struct chunk c = { .magic = htobe32(0x668e33ef),
				 .flags = htobe16(1),
				 .type = htobe16(1),
				 .handle = r->handle,
				 .len = htobe32(len + 8),
				 .offset = r->offset };

	return put(s->fd, &c, sizeof(c)) && put(s->fd, s->cache + be64toh(r->offset), len);
}

static bool serve_one(struct service *s)
{
	struct request r;
	struct reply reply = { .magic = htobe32(0x67446698) };
	u16 type;
	u64 at;
	u32 len;
	u8 next;

	if (!get(s->fd, &r, sizeof(r)))
		return false;
	type = be16toh(r.type);
	at = be64toh(r.offset);
	len = be32toh(r.len);
	reply.handle = r.handle;
	if (type == CMD_DISC || at > s->size || len > s->size - at)
		return false;
	if (type == CMD_READ && s->how.half_reads)
		return put_half(s, &r);
	if (type == CMD_WRITE && !get(s->fd, s->data, len))
		return false;
	if (type == CMD_WRITE && s->how.write_error) {
		reply.error = htobe32(s->how.write_error);
	} else if (type == CMD_FLUSH && s->how.good_flushes) {
		if (s->how.flush_waits && recv(s->fd, &next, 1, MSG_PEEK) != 1)
			return false;
		s->how.flush_waits = false;
		s->how.good_flushes--;
		make_stable(s, 0, s->size);
	} else if (type == CMD_FLUSH && s->how.flush_error) {
		reply.error = htobe32(s->how.flush_error);
		s->how.flush_error = 0;
	} else if (type == CMD_FLUSH) {
		make_stable(s, 0, s->size);
	} else if (type != CMD_READ) {
		if (type == CMD_WRITE)
			memcpy(s->cache + at, s->data, len);
		else
			memset(s->cache + at, 0, len);
		memset(s->dirty + at / BLOCK, 1, len / BLOCK);
		if (be16toh(r.flags) & CMD_FUA)
			make_stable(s, at, len);
	}
	return put(s->fd, &reply, sizeof(reply)) &&
	       (type != CMD_READ || put(s->fd, s->cache + at, len));
}

static void __attribute__((noreturn)) serve(struct service *s, int listen_fd)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		s->fd = accept(listen_fd, NULL, NULL);
		if (greet(s))
			while (serve_one(s))
				;
		close(s->fd);
	}
}

void nbd_server_start(struct nbd_server *s, u64 size, struct nbd_server_how how)
{
	struct service service = { .how = how, .size = size };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*s = (struct nbd_server){ .stable = "/tmp/candela-nbd-XXXXXX", .size = size };
	service.stable = mkostemp(s->stable, O_CLOEXEC);
	assert_true(service.stable >= 0);
	assert_int_equal(ftruncate(service.stable, (off_t)size), 0);
	snprintf(s->path, sizeof(s->path), "%s.socket", s->stable);
	snprintf(s->uri, sizeof(s->uri), "nbd+unix:///?socket=%s", s->path);
	strcpy(addr.sun_path, s->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 4), 0);
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (!s->pid) {
		service.cache = calloc(1, size);
		service.dirty = calloc(1, size / BLOCK);
		service.data = malloc(size);
		serve(&service, fd);
	}
	close(fd);
	close(service.stable);
}

void nbd_server_kill(struct nbd_server *s)
{
	if (s->pid <= 0)
		return;
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	s->pid = 0;
}

void nbd_server_remove(struct nbd_server *s)
{
	nbd_server_kill(s);
	unlink(s->path);
	unlink(s->stable);
}
