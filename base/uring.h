/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One loop's submission ring: requests are queued as they come and submitted together in the
 * flush phase, one system call a batch; completions come back as the loop's own events. Where the
 * host forbids io_uring the same requests are carried out by plain system calls in the flush
 * phase: slower, correct.
 *
 * The ring is restricted to the four kinds of request below before its first use: a thread that
 * has been taken over cannot make it open, connect or execute anything.
 *
 * Requests are independent of each other: the kernel carries them out in any order, and an FSYNC
 * covers the writes whose done() was called before it was submitted, not those in flight beside it.
 *
 * Owned by the loop it was created for; nothing here is thread-safe.
 */
#ifndef BASE_URING_H
#define BASE_URING_H

#include <liburing.h>
#include <sys/uio.h>

#include "base/loop.h"
#include "base/types.h"

enum uring_kind { URING_READV, URING_WRITEV, URING_FSYNC, URING_FALLOCATE };

/*
 * One request, embedded in its owner and left alone until done() was called, exactly once, on the
 * loop, never from within uring_submit() or uring_complete().
 */
struct uring_op {
	enum uring_kind kind;
	int fd;
	u64 offset; /* bytes */
	const struct iovec *iov; /* READV, WRITEV */
	unsigned iov_count;
	u64 len; /* FALLOCATE: bytes */
	int mode; /* FALLOCATE: FALLOC_FL_*; WRITEV: RWF_* flags; FSYNC: IORING_FSYNC_* */
	/* res: bytes done, or -errno, as the system call would say. */
	void (*done)(struct uring_op *op, int res);
	struct uring_op *next; /* private */
	int res; /* private */
};

struct uring {
	struct loop *loop;
	struct io_uring ring;
	bool native; /* io_uring, not the fallback */
	bool draining; /* in uring_fini() */
	unsigned in_flight; /* given to io_uring, not reaped: at most the completion ring holds */
	struct loop_fd ready;
	struct loop_flush flush;
	struct loop_work later; /* delivers `finished`, tries a refused submission again */
	struct uring_op *queued, **queued_tail;
	struct uring_op *finished, **finished_tail;
};

/*
 * Creates the ring of `loop`. entries: a power of two. Falls back where io_uring is refused.
 * 0 or -errno. Any thread, before the loop runs.
 */
int uring_init(struct uring *u, struct loop *loop, unsigned entries);

/*
 * Waits for what is queued or in flight (done() is called, and may submit more), then frees. The
 * loop's thread between two turns, or any thread once the loop no longer runs.
 */
void uring_fini(struct uring *u);

/* Queues op for the flush phase of this turn. Any number may be queued. Owner thread. */
void uring_submit(struct uring *u, struct uring_op *op);

/* Ends op with res in the next turn, without any system call of its own. Owner thread. */
void uring_complete(struct uring *u, struct uring_op *op, int res);

#endif
