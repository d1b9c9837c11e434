/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk on an NBD server. disk_nbd_open.c finds and connects to it and says what is wrong in one
 * sentence, disk_nbd.c carries requests out on a thread of its own.
 *
 * The connection is made before a start of the guest and never again during it: the sandbox cannot
 * make one, and a server that went away may have come back without what it had not flushed. Who
 * loses it loses the disk until the next start, and is told so.
 */
#ifndef DEVICES_BACKEND_DISK_NBD_H
#define DEVICES_BACKEND_DISK_NBD_H

#include <libnbd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "devices/backend/disk.h"

/* Largest piece of a READ or WRITE sent at once, and buffers for those that lie scattered. */
#define NBD_PIECE MiB(1)
#define NBD_BUFFERS 16

struct nbd_config {
	const char *name; /* for people; lives as long as the disk */
	const char *uri; /* likewise; NULL: dial() makes the connection */
	/* A connected socket, or -errno. */
	int (*dial)(void *ctx);
	void *ctx;
	u32 logical_block; /* 0: 512, or the server's */
	bool read_only; /* nothing is written: an export that cannot be is fine */
	bool unsafe; /* flushes and FUA are not carried out */
};

/* 0 and *disk, connected; or -errno with a sentence naming it in error. Before any sandbox. */
int disk_nbd_open(struct disk **disk, const struct nbd_config *config, char *error,
		  size_t error_size);

/* ---- Between the two files ---- */

struct disk_nbd {
	struct disk disk;
	struct nbd_config config;
	struct nbd_handle *h; /* NULL: not connected */
	bool can_flush, can_fua, can_trim, can_zero; /* what the server offers */
	_Atomic bool *unsynced; /* it could not flush something, for good: for all starts */
	u32 piece; /* bytes at most in a READ or WRITE */
	/* The thread, once launched. */
	pthread_t thread;
	bool launched;
	int (*begin)(void *ctx);
	void *ctx;
	pthread_mutex_t lock;
	pthread_cond_t settled;
	bool up;
	int err;
	int wake_fd;
	_Atomic bool ending;
	_Atomic u64 give_up_ns; /* when a silent server is one that is gone; 0: never */
	struct uring_inbox submitted; /* by any loop; all three: a disk_op's io */
	/* The thread's own. */
	bool lost;
	struct uring_list ended; /* commands whose answer has come */
	struct uring_list wanting; /* a buffer */
	u8 *buffer; /* NBD_BUFFERS of NBD_PIECE; untouched ones cost no memory */
	u8 *zeroes; /* NBD_PIECE bytes, all of them the host's one zero page */
	unsigned buffers_used; /* a bit each */
	struct disk_op *flushing; /* the one FLUSH under way; NULL: none */
	struct uring_list
		flushes; /* `flush_count` that wait; the first `flush_sharing` for that one */
	unsigned flush_count, flush_sharing;
};

void nbd_submit(struct disk *disk, struct disk_op *op);
int nbd_launch(struct disk *disk, int (*begin)(void *ctx), void *ctx);
void nbd_hurry(struct disk *disk);
/* Ends the thread; nothing is in flight. */
void nbd_stop(struct disk_nbd *n);

#endif
