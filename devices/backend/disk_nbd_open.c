/* SPDX-License-Identifier: BSD-2-Clause */
/* Connecting to an NBD server, and what it must offer to be a disk. Before any sandbox. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "devices/backend/disk_nbd.h"

/* A server that does not answer in this time is not there. */
#define CONNECT_MS 30000u

struct failure {
	char *error;
	size_t size;
};

__attribute__((format(printf, 4, 5))) static int
nbd_fail(const struct disk_nbd *n, const struct failure *f, int err, const char *fmt, ...)
{
	int used = snprintf(f->error, f->size, "disk %s: ", n->config.name);
	va_list ap;

	if (used < 0 || (size_t)used >= f->size)
		return err;
	va_start(ap, fmt);
	vsnprintf(f->error + used, f->size - (size_t)used, fmt, ap);
	va_end(ap);
	return err;
}

/* libnbd's own sentence begins with the function's name, which says nothing to a user. */
static const char *nbd_words(void)
{
	const char *text = nbd_get_error(), *colon = text ? strstr(text, ": ") : NULL;

	return colon && !strncmp(text, "nbd_", 4) ? colon + 2 : text ? text : "no reason given";
}

/* 0; -ETIMEDOUT, or -EIO where nbd_words() has the reason. */
static int handshake(struct nbd_handle *h)
{
	u64 deadline = loop_now_ns() + CONNECT_MS * NSEC_PER_MSEC;

	while (nbd_aio_is_connecting(h) > 0) {
		u64 now = loop_now_ns();

		if (now >= deadline)
			return -ETIMEDOUT;
		if (nbd_poll(h, (int)((deadline - now) / NSEC_PER_MSEC) + 1) < 0)
			return -EIO;
	}
	return nbd_aio_is_ready(h) > 0 ? 0 : -EIO;
}

/*
 * Its host may vanish without a word, which nobody would notice who only waits for an answer. Where
 * something is sent then, the kernel asks in its own time (tcp_retries2). No TCP_USER_TIMEOUT: that
 * would end a server that only is slow to read.
 */
static void keep_alive(int fd)
{
	const int on = 1, idle_s = 60, again_s = 30, tries = 10;

	/* Not all sockets are TCP's. */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &again_s, sizeof(again_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof(tries));
}

static int dial(struct disk_nbd *n, const struct failure *f)
{
	int fd, err;

	n->h = nbd_create();
	if (!n->h)
		return nbd_fail(n, f, -ENOMEM, "%s", nbd_words());
	/*
	 * The user's own command line may name files with keys; buffers are given out on success
	 * only.
	 */
	nbd_set_uri_allow_local_file(n->h, true);
	nbd_set_pread_initialize(n->h, false);
	if (n->config.uri) {
		err = nbd_aio_connect_uri(n->h, n->config.uri) ? -EIO : 0;
	} else {
		fd = n->config.dial(n->config.ctx);
		if (fd < 0)
			return nbd_fail(n, f, fd, "its server cannot be reached: %s",
					strerror(-fd));
		err = nbd_aio_connect_socket(n->h, fd) ? -EIO : 0;
	}
	if (!err)
		err = handshake(n->h);
	if (err == -ETIMEDOUT)
		return nbd_fail(n, f, err, "its server does not answer");
	if (err && !strncmp(nbd_words(), "connect: ", 9))
		return nbd_fail(n, f, err, "its server cannot be used: %s; is it running?",
				nbd_words());
	if (err)
		return nbd_fail(n, f, err, "its server cannot be used: %s", nbd_words());
	keep_alive(nbd_aio_get_fd(n->h));
	return 0;
}

/* The block the guest sees must be one the server takes. */
static int take_blocks(struct disk_nbd *n, const struct failure *f)
{
	s64 least = nbd_get_block_size(n->h, LIBNBD_SIZE_MINIMUM);
	s64 best = nbd_get_block_size(n->h, LIBNBD_SIZE_PREFERRED);
	s64 most = nbd_get_block_size(n->h, LIBNBD_SIZE_MAXIMUM);
	u32 block = n->config.logical_block;

	if (!block)
		block = least <= 512 ? 512 : 4096;
	if (least > block)
		return nbd_fail(n, f, -EINVAL, "its server takes blocks of %lld bytes only%s",
				(long long)least, least == 4096 ? ": logical_block=4096" : "");
	if (n->disk.logical_block && n->disk.logical_block != block)
		return nbd_fail(n, f, -EINVAL, "its blocks have changed since the first start");
	n->disk.logical_block = block;
	n->disk.physical_block = best > block && best <= (s64)MiB(1) && !(best & (best - 1))
					 ? (u32)best
					 : MAX(block, 4096u);
	n->piece = NBD_PIECE;
	if (most > 0 && most < (s64)NBD_PIECE)
		n->piece = (u32)most / block * block;
	return n->piece ? 0 : nbd_fail(n, f, -EINVAL, "its server takes no whole block");
}

static int take_size(struct disk_nbd *n, const struct failure *f)
{
	s64 size = nbd_get_size(n->h);

	if (size <= 0)
		return nbd_fail(n, f, -EINVAL, "it is empty");
	if ((u64)size % n->disk.logical_block)
		return nbd_fail(n, f, -EINVAL,
				"its %lld bytes are no whole number of %u-byte blocks",
				(long long)size, n->disk.logical_block);
	if (n->disk.size && n->disk.size != (u64)size)
		return nbd_fail(n, f, -EINVAL, "its size has changed since the first start");
	n->disk.size = (u64)size;
	return 0;
}

static int take_offer(struct disk_nbd *n, const struct failure *f)
{
	if (!n->config.read_only && nbd_is_read_only(n->h) > 0)
		return nbd_fail(n, f, -EROFS,
				"its server offers it read-only; ,ro or ,ephemeral only reads it");
	n->can_flush = nbd_can_flush(n->h) > 0;
	n->can_fua = nbd_can_fua(n->h) > 0;
	n->can_trim = nbd_can_trim(n->h) > 0;
	n->can_zero = nbd_can_zero(n->h) > 0;
	n->disk.read_only = n->config.read_only;
	n->disk.can_discard = n->can_trim && !n->disk.read_only;
	if (!n->can_flush && !n->config.read_only && !n->config.unsafe)
		log_warn("disk %s: its server cannot be asked to flush: what the guest has flushed "
			 "may be lost with it",
			 n->config.name);
	return 0;
}

static void nbd_let_go(struct disk *disk)
{
	struct disk_nbd *n = container_of(disk, struct disk_nbd, disk);

	nbd_close(n->h);
	n->h = NULL;
}

static int nbd_connect(struct disk *disk, char *error, size_t size)
{
	struct disk_nbd *n = container_of(disk, struct disk_nbd, disk);
	const struct failure f = { error, size };
	int err;

	if (n->h)
		return 0;
	err = dial(n, &f);
	if (!err)
		err = take_blocks(n, &f);
	if (!err)
		err = take_size(n, &f);
	if (!err)
		err = take_offer(n, &f);
	if (err)
		nbd_let_go(disk);
	return err;
}

static void nbd_disk_close(struct disk *disk)
{
	struct disk_nbd *n = container_of(disk, struct disk_nbd, disk);

	nbd_stop(n);
	nbd_close(n->h);
	munmap(n->unsynced, sizeof(*n->unsynced));
	free(n);
}

static const struct disk_ops nbd_ops = { .submit = nbd_submit,
					 .close = nbd_disk_close,
					 .connect = nbd_connect,
					 .let_go = nbd_let_go,
					 .launch = nbd_launch,
					 .hurry = nbd_hurry,
					 .fixed_size = true };

int disk_nbd_open(struct disk **disk, const struct nbd_config *config, char *error,
		  size_t error_size)
{
	void *unsynced = mmap(NULL, sizeof(_Atomic bool), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct disk_nbd *n = calloc(1, sizeof(*n));
	int err;

	if (!n || unsynced == MAP_FAILED) {
		if (unsynced != MAP_FAILED)
			munmap(unsynced, sizeof(_Atomic bool));
		free(n);
		snprintf(error, error_size, "out of memory");
		return -ENOMEM;
	}
	n->unsynced = unsynced;
	n->config = *config;
	n->wake_fd = -1;
	n->disk.ops = &nbd_ops;
	n->disk.name = config->name;
	disk_set_id(&n->disk, config->name);
	err = nbd_connect(&n->disk, error, error_size);
	if (err) {
		munmap(unsynced, sizeof(_Atomic bool));
		free(n);
	} else {
		*disk = &n->disk;
	}
	return err;
}
