/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An NBD server in a process of its own that keeps what was not flushed in memory only, so that
 * killing it is pulling the plug of its disk. One client at a time, on a Unix socket. Source: the
 * NBD protocol's "proto.md", fixed newstyle.
 */
#ifndef TESTS_DEVICES_NBD_SERVER_H
#define TESTS_DEVICES_NBD_SERVER_H

#include <sys/types.h>

#include "base/types.h"

/* Transmission flags, as on the wire. */
enum {
	NBD_HAS_FLAGS = 1 << 0,
	NBD_READ_ONLY = 1 << 1,
	NBD_SEND_FLUSH = 1 << 2,
	NBD_SEND_FUA = 1 << 3,
	NBD_SEND_TRIM = 1 << 5,
	NBD_SEND_WRITE_ZEROES = 1 << 6,
	NBD_ALL = NBD_HAS_FLAGS | NBD_SEND_FLUSH | NBD_SEND_FUA | NBD_SEND_TRIM |
		  NBD_SEND_WRITE_ZEROES,
};

struct nbd_server {
	char path[80]; /* of its socket */
	char uri[112];
	char stable[64]; /* the file that survives it */
	u64 size;
	pid_t pid;
};

/*
 * How it fails: answers every WRITE, or one FLUSH after so many good ones, with this errno of NBD's
 * (28: no space); 0: it does not. And how it is slow: it answers the first of the good ones when
 * another request has come behind it. half_reads: of what is read it sends the first half only, in a
 * structured reply, as a success.
 */
struct nbd_server_how {
	u16 flags;
	u32 write_error, flush_error, good_flushes;
	bool flush_waits, half_reads;
};

/* Makes the files and starts serving. The caller ends it by nbd_server_kill(). */
void nbd_server_start(struct nbd_server *s, u64 size, struct nbd_server_how how);

/* SIGKILL, and waits. The stable file stays for who wants to look at it. */
void nbd_server_kill(struct nbd_server *s);
void nbd_server_remove(struct nbd_server *s);

#endif
