/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The event loop of one thread: file descriptors, timers, work posted by other threads.
 *
 * A turn has two phases. Work: every ready descriptor, due timer and posted piece of work gets
 * its callback, which only prepares (fills submission queues, writes ring packets). Flush: what
 * asked for it with loop_flush_later() runs once, so that a batch of work costs one system call
 * and at most one interrupt. Batching is thus structure, not code.
 *
 * An object belongs to exactly one loop and is touched only by the thread that runs it;
 * loop_post() and loop_stop() are the only functions another thread may call. Every node below
 * is embedded in its owner; the loop allocates nothing after loop_init().
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#include "base/types.h"

/* A descriptor to watch. The owner sets fd and ready; the loop never closes it. */
struct loop_fd {
	int fd;
	/* events: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP as epoll gives them. */
	void (*ready)(struct loop_fd *f, u32 events);
};

/* A one-shot timer on CLOCK_MONOTONIC. The owner sets fire; zeroed otherwise. */
struct loop_timer {
	void (*fire)(struct loop_timer *t);
	u64 deadline_ns;
	struct loop_timer *next;
	bool armed;
};

/*
 * What each turn looks at, events or none: memory that the kernel writes, where a system call that
 * was interrupted by that very write would have to be repeated to hear of it. The owner sets run.
 */
struct loop_look {
	void (*run)(struct loop_look *k);
	struct loop_look *next;
};

/* A piece of work for the flush phase. The owner sets run; zeroed otherwise. */
struct loop_flush {
	void (*run)(struct loop_flush *f);
	struct loop_flush *next;
	bool queued;
};

/* A piece of work from another thread. The owner sets run; zeroed otherwise. */
struct loop_work {
	void (*run)(struct loop_work *w);
	struct loop_work *next;
	bool queued;
};

#define LOOP_EVENTS 64

struct loop {
	int epoll_fd;
	int wake_fd;
	_Atomic bool stop;
	pthread_mutex_t posted_lock;
	struct loop_work *posted, **posted_tail;
	struct loop_work *posted_last; /* the last one for the turn under way; NULL: none left */
	struct loop_timer *timers; /* by deadline */
	struct loop_look *looks;
	struct loop_flush *flushes, **flushes_tail;
	struct epoll_event events[LOOP_EVENTS]; /* of the turn under way */
	int event_count;
	bool coarse; /* the kernel knows waits in ms only (before 5.11) */
};

/* 0 or -errno. The loop may be run by any one thread; it holds pointers to itself: do not copy. */
int loop_init(struct loop *l);

/* Everything added must have been removed, or be forgotten together with the loop. */
void loop_fini(struct loop *l);

/* Watches f->fd for events (level-triggered). 0 or -errno. Owner thread. */
int loop_add(struct loop *l, struct loop_fd *f, u32 events);

/* Changes the events f waits for; 0 pauses it. 0 or -errno. Owner thread. */
int loop_mod(struct loop *l, struct loop_fd *f, u32 events);

/* Forgets f, also where it is ready in this very turn; call before closing f->fd. Owner thread. */
void loop_del(struct loop *l, struct loop_fd *f);

/* Fires t at deadline_ns (see loop_now_ns()); moves it where it was armed. Owner thread. */
void loop_timer_arm(struct loop *l, struct loop_timer *t, u64 deadline_ns);

/* No effect on a timer that is not armed. Owner thread. */
void loop_timer_disarm(struct loop *l, struct loop_timer *t);

/* CLOCK_MONOTONIC in ns. Any thread. */
u64 loop_now_ns(void);

/* Runs k->run in each turn, between its events and its timers. Owner thread. */
void loop_look_add(struct loop *l, struct loop_look *k);

/* Ends that; not from within a look. Owner thread. */
void loop_look_del(struct loop *l, struct loop_look *k);

/*
 * Runs f->run in the flush phase of this turn, once however often it is asked for. A flush that
 * asks again during the flush phase runs again in the same turn. Owner thread.
 */
void loop_flush_later(struct loop *l, struct loop_flush *f);

/*
 * Runs w->run on the loop's thread, in the order posted. Posting a piece that is still queued
 * changes nothing; it may be posted again from run() on. Any thread, never blocks.
 */
void loop_post(struct loop *l, struct loop_work *w);

/*
 * Takes w back. After it returns w->run will not start any more; it must be called on the loop's
 * own thread, or when that thread no longer runs.
 */
void loop_unpost(struct loop *l, struct loop_work *w);

/* One turn: waits at most timeout_ms (-1: for ever, 0: not at all), works, flushes. 0 or -errno. */
int loop_turn(struct loop *l, int timeout_ms);

/* Turns until loop_stop(). 0 or -errno. */
int loop_run(struct loop *l);

/* Ends loop_run() after the turn under way. Any thread. */
void loop_stop(struct loop *l);

#endif
