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

struct io_thread {
	struct loop loop;
	struct uring uring;
	pthread_t thread;
	bool made; /* there is something to free */
	bool started; /* there is a thread to join */
	/* Runs first on the thread: arms the sandbox. 0 or -errno. */
	int (*begin)(void *ctx);
	void *ctx;
	/* The start's handshake. */
	pthread_mutex_t lock;
	pthread_cond_t ready;
	bool up;
	int err;
};

/*
 * Creates the loop and starts the thread; returns when it runs its loop, or failed to: 0 or
 * -errno. begin may be NULL. Main thread.
 */
int io_thread_start(struct io_thread *t, int (*begin)(void *ctx), void *ctx);

/* Ends the loop after its current turn, waits for requests in flight, joins. Main thread. */
void io_thread_stop(struct io_thread *t);

/* Frees what io_thread_start() made; after io_thread_stop(). A zeroed or failed one is fine. */
void io_thread_fini(struct io_thread *t);

#endif
