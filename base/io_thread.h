/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An I/O thread: one loop and its submission ring. Channels live on it once the machine runs.
 */
#ifndef BASE_IO_THREAD_H
#define BASE_IO_THREAD_H

#include <pthread.h>

#include "base/loop.h"
#include "base/types.h"
#include "base/uring.h"

/* What runs first on the threads: arms their sandboxes. 0 or -errno; NULL: nothing. */
struct io_thread_hooks {
	int (*begin)(void *ctx);
	int (*worker_begin)(void *ctx); /* on several threads at once */
	bool workers; /* wanted even where there is io_uring (base/uring.h) */
	void *ctx;
};

struct io_thread {
	struct loop loop;
	struct uring uring;
	pthread_t thread;
	bool made; /* there is something to free */
	bool started; /* there is a thread to join */
	struct io_thread_hooks hooks;
	/* The start's handshake. */
	pthread_mutex_t lock;
	pthread_cond_t ready;
	bool up;
	int err;
};

/*
 * Creates the loop and starts the thread, and its ring's workers where they are needed; returns
 * when it runs its loop, or failed to: 0 or -errno. Main thread.
 */
int io_thread_start(struct io_thread *t, const struct io_thread_hooks *hooks);

/* Ends the loop after its current turn, waits for requests in flight, joins. Main thread. */
void io_thread_stop(struct io_thread *t);

/* Frees what io_thread_start() made; after io_thread_stop(). A zeroed or failed one is fine. */
void io_thread_fini(struct io_thread *t);

#endif
