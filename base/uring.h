/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One loop's submission ring: requests are queued as they come and submitted together in the
 * flush phase, one system call a batch; completions come back as the loop's own events. Where the
 * host forbids io_uring, and for requests that ask for it, the same is done by plain system calls:
 * on the ring's worker threads where it has any (uring_workers.c), else on the loop's own in the
 * flush phase.
 *
 * The ring is restricted before its first use to the four kinds of request below, on files that
 * were registered with it: a thread that has been taken over cannot make it open, connect or
 * execute anything.
 *
 * Requests are independent of each other: they are carried out in any order, and an FSYNC covers
 * the writes whose done() was called before it was submitted, not those in flight beside it.
 *
 * A file that is registered is open, whoever else has closed it: so rings are told when one is
 * closed (uring_file.c), and let go of it.
 *
 * Owned by the loop it was created for; only uring_complete_remote() and uring_file_close() are for
 * other threads.
 */
#ifndef BASE_URING_H
#define BASE_URING_H

#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "base/loop.h"
#include "base/types.h"

enum uring_kind { URING_READV, URING_WRITEV, URING_FSYNC, URING_FALLOCATE };

/* What requests are for: a file, by one descriptor or several. */
struct uring_file;

/*
 * One request, embedded in its owner and left alone until done() was called, exactly once, on the
 * loop, never from within uring_submit() or uring_complete().
 */
struct uring_op {
	enum uring_kind kind;
	bool threads; /* by plain system calls, whatever the ring is */
	int fd;
	/*
	 * What fd is of: it stays registered, and open, until this is closed, unless another takes
	 * its place before. NULL: registered anew each time, and open until another takes its place
	 * or the ring ends.
	 */
	struct uring_file *file;
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

/* Requests in a row, by their `next`: one thread's own. */
struct uring_list {
	struct uring_op *head, **tail;
};

/* What any thread gives to one that takes it; no lock. Zeroed is empty. */
struct uring_inbox {
	_Atomic(struct uring_op *) newest;
};

/* Files registered at once; more take each other's place. */
#define URING_FILES 128

/* A place for one. The ring's own, but for what is said. */
struct uring_slot {
	int fd; /* registered there; -1: none that is known of */
	/* Whose it is; NULL: nobody's. What could not be taken away may still be there. */
	struct uring_file *file;
	struct uring *uring;
	struct uring_slot *next; /* of the same file's; under its lock */
};

/* Threads of one ring that carry out plain system calls. */
#define URING_WORKERS 4

struct uring_workers {
	struct uring *uring;
	pthread_t thread[URING_WORKERS];
	unsigned count; /* 0: none were started */
	int (*begin)(void *ctx);
	void *ctx;
	pthread_mutex_t lock; /* for all below */
	pthread_cond_t changed, settled;
	struct uring_list waiting;
	unsigned settled_count; /* threads that have run begin() */
	int err;
	bool ending;
};

/* Aligned buffers of a ring: what O_DIRECT takes where a guest's own buffer does not suit it. */
#define URING_BUFFER MiB(1)
#define URING_BUFFERS 4

struct uring {
	struct loop *loop;
	struct io_uring ring;
	bool native; /* io_uring, not the fallback */
	bool draining; /* in uring_fini() */
	unsigned in_flight; /* given to io_uring, not reaped: at most the completion ring holds */
	struct loop_fd ready; /* only wakes the loop ... */
	struct loop_look look; /* ... which looks in each turn */
	struct loop_flush flush;
	struct loop_work later; /* delivers `finished`, tries a refused submission again */
	struct uring_list queued; /* for io_uring */
	struct uring_list plain; /* for plain system calls */
	struct uring_list finished;
	struct uring_slot slot[URING_FILES];
	struct loop_work forget; /* files that were closed */
	/* Ended by other threads. */
	unsigned away; /* with them; the loop's */
	struct uring_inbox arrived;
	_Atomic unsigned posting;
	struct loop_work deliver;
	struct uring_workers workers;
	u8 *buffer; /* URING_BUFFERS of them; untouched ones cost no memory */
	unsigned buffers_used; /* a bit each */
	struct uring_list buffer_wanted;
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

/*
 * For those who carry op out elsewhere: uring_sent_away() on the owner thread before they get it,
 * uring_complete_remote() on any thread when it has ended: op->done(op, res) is then called on the
 * loop. uring_fini() waits for them.
 */
void uring_sent_away(struct uring *u);
void uring_complete_remote(struct uring *u, struct uring_op *op, int res);

/*
 * Starts the ring's worker threads, which outlive uring_init() and end in uring_fini(). begin runs
 * first on each of them (may be NULL): 0 or -errno. 0, or -errno where none is left running. The
 * thread that runs the loop, before it does.
 */
int uring_workers_start(struct uring *u, int (*begin)(void *ctx), void *ctx);

/*
 * Asks for a buffer of URING_BUFFER bytes, aligned to a page: op->done(op, n) is called in a later
 * turn with its number n, in the order of asking. Nobody may ask for a second one before it has
 * given the first back. Owner thread.
 */
void uring_buffer_ask(struct uring *u, struct uring_op *op);
u8 *uring_buffer(const struct uring *u, unsigned n);
void uring_buffer_return(struct uring *u, unsigned n);

/* Whether this process may use io_uring as uring_init() does. */
bool uring_possible(void);

/* ---- Files (uring_file.c) ---- */

/* NULL without memory. Any thread. */
struct uring_file *uring_file_new(void);

/*
 * No request of f is under way, and none comes any more: f is gone. Each ring that has some of it
 * registered is woken, and takes that away on its own thread; descriptors may be closed at once.
 * The kernel then closes the file, unless somebody else has it open. Older ones, such as Linux 6.1,
 * first wait for what that ring has under way, by any file, and up to a second more. One that has
 * no memory for it keeps the file until another takes its place. NULL: nothing. Any thread.
 */
void uring_file_close(struct uring_file *f);

/* ---- Rows of requests (uring_list.c), also for those who carry them out elsewhere ---- */

void uring_list_init(struct uring_list *l);
void uring_list_push(struct uring_list *l, struct uring_op *op);
/* The one pushed first; NULL: none. */
struct uring_op *uring_list_pop(struct uring_list *l);

/*
 * Gives op, which is in no list, to who takes from the inbox. True: the inbox was empty, and that
 * thread is to be woken. What one thread has put is taken in that order. Any thread.
 */
bool uring_inbox_put(struct uring_inbox *in, struct uring_op *op);

/* Moves all there is behind `to`, the oldest first. One thread. */
void uring_inbox_take(struct uring_inbox *in, struct uring_list *to);

/* What is put meanwhile may or may not be seen. */
bool uring_inbox_empty(const struct uring_inbox *in);

/* ---- Between the files of the ring ---- */

/* slot is file's from now on (NULL: nobody's), and no longer whose it was. */
void uring_slot_give(struct uring_slot *slot, struct uring_file *file);
/* Whether it is the place of one that was closed. */
bool uring_slot_stale(const struct uring_slot *slot);

/* Carries op out on this thread: bytes, or -errno. */
int uring_plain_call(const struct uring_op *op);

/* Hands over all of u->plain; the threads' end, with nothing waiting. */
void uring_workers_submit(struct uring *u);
void uring_workers_stop(struct uring *u);

#endif
