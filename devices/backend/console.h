/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's end of a serial line. What the guest prints is queued by the vCPU thread and written
 * by the main loop in batches, so a slow terminal costs the guest no system calls; a full queue
 * makes the vCPU wait, so nothing is lost. Input goes the other way as the guest takes it.
 */
#ifndef DEVICES_BACKEND_CONSOLE_H
#define DEVICES_BACKEND_CONSOLE_H

#include <pthread.h>

#include "base/loop.h"
#include "base/types.h"

#define CONSOLE_QUEUE_BYTES (64u << 10)
#define CONSOLE_INPUT_BYTES 256u

struct console_config {
	int in_fd; /* -1: no input */
	int out_fd; /* -1: output is dropped */
	int listen_fd; /* -1; or a listening Unix socket, one client at a time; both are -1 then */
	/*
	 * Input for the guest is offered here, bytes taken are returned; called on the main loop.
	 * Call console_room() once more can be taken.
	 */
	u32 (*input)(void *ctx, const void *data, u32 len);
	/* Edits input in place before the guest gets it (escape keys); NULL: as it comes. */
	u32 (*filter)(void *ctx, u8 *data, u32 len);
	void *ctx;
};

struct console {
	struct console_config config;
	struct loop *loop;
	struct loop_fd in, out, listen;
	bool out_pollable; /* a regular file is always ready and cannot be watched */
	bool out_waiting;
	struct loop_timer listen_again; /* after a client that there was no descriptor for */
	int client_fd;
	struct loop_work work, room;
	/* Output: the vCPU threads' ring buffer. */
	pthread_mutex_t lock;
	pthread_cond_t space;
	u8 *queue;
	u32 head, used;
	bool closed;
	/* Input read but not taken yet. */
	u8 pending[CONSOLE_INPUT_BYTES];
	u32 pending_at, pending_len;
	bool in_waiting;
};

/*
 * Starts serving on loop (the main loop). Descriptors stay the caller's, and blocking where they
 * are: a terminal or pipe is opened anew for output. Before the sandbox. 0 or -errno.
 */
int console_init(struct console *c, struct loop *loop, const struct console_config *config);

/* Queues output; waits while the queue is full, unless console_close() was called. Any thread. */
void console_write(struct console *c, const void *data, u32 len);

/* The guest can take input again. Any thread. */
void console_room(struct console *c);

/* Nobody waits for space any more: called before the vCPUs are stopped. Any thread. */
void console_close(struct console *c);

/*
 * Writes out what is still queued, blocking at most timeout_ms on a stuck reader; frees. Main
 * thread.
 */
void console_fini(struct console *c, int timeout_ms);

#endif
