/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events that can be watched: as USDT probes from outside (bpftrace, perf), and as lines of a text
 * log. An event is declared in its folder's table (vmbus/trace.h), which gives it a semaphore: how
 * many watch it, tools and the log together. Where nobody does, an event is one test of that.
 *
 * Which events are logged, where to and since when is, like the log level, set once by main()
 * before any thread starts. A line is one write(2) that never waits: where it would, or fails, it
 * is lost, and the next one that gets through says how many were:
 *
 *	12.345678 vp0 vmbus_recv_message connection=0x1 type=14 size=40
 *
 * seconds since the start, thread, event, arguments.
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include <stddef.h>

#include "base/types.h"

struct trace_event {
	const char *name;
	volatile unsigned short *semaphore; /* written by tools from outside, too */
	bool logged;
};

/*
 * list: names, in which * and ? stand for any letters and any one, with commas between them, up to
 * its end or a colon; those after a minus sign are taken away again. 0; -EINVAL where one of them
 * is no event's, and a sentence that names it and all there are in error.
 */
int trace_check(const struct trace_event *events, size_t count, const char *list, char *error,
		size_t error_size);

/* Has the events of list logged. Once, before there are threads. */
void trace_log(struct trace_event *events, size_t count, const char *list);

/*
 * Where the log goes and when its time begins: now. A new file, or NULL: stderr. 0 or -errno.
 * Before there are threads; a forked process goes on with it.
 */
int trace_open(const char *file);
void trace_close(void);

/* What lines of the calling thread name it: role and index (-1: none). role stays the caller's. */
void trace_thread(const char *role, int index);

/* Lines lost that no later line has told of. Any thread. */
u64 trace_lost(void);

/*
 * One line for e where it is logged; cut at 256 bytes. The format begins with e's name. Any thread.
 */
void trace_line(const struct trace_event *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
