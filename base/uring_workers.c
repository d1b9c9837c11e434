/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The threads that carry out a ring's requests by plain system calls, so that a slow disk does not
 * hold its loop: a queue under a lock that is taken once for each batch of requests and once for
 * each request taken out. What has ended comes back by uring_complete_remote().
 */
#include <errno.h>

#include "base/uring.h"

/* As an I/O thread's: small enough that a host that likes huge pages gives it none. */
#define STACK_BYTES (256u << 10)

/* The next request, NULL at the end. */
static struct uring_op *worker_wait(struct uring_workers *w)
{
	struct uring_op *op;

	pthread_mutex_lock(&w->lock);
	while (!(op = uring_list_pop(&w->waiting)) && !w->ending)
		pthread_cond_wait(&w->changed, &w->lock);
	pthread_mutex_unlock(&w->lock);
	return op;
}

static void *worker_main(void *arg)
{
	struct uring_workers *w = arg;
	int err = w->begin ? w->begin(w->ctx) : 0;
	struct uring_op *op;

	pthread_mutex_lock(&w->lock);
	w->settled_count++;
	if (err)
		w->err = err;
	pthread_cond_signal(&w->settled);
	pthread_mutex_unlock(&w->lock);
	while (!err && (op = worker_wait(w)))
		uring_complete_remote(w->uring, op, uring_plain_call(op));
	return NULL;
}

static int worker_start(struct uring_workers *w)
{
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	err = -pthread_create(&w->thread[w->count], &attr, worker_main, w);
	pthread_attr_destroy(&attr);
	if (!err)
		w->count++;
	return err;
}

int uring_workers_start(struct uring *u, int (*begin)(void *ctx), void *ctx)
{
	struct uring_workers *w = &u->workers;
	int err = 0;

	*w = (struct uring_workers){ .uring = u, .begin = begin, .ctx = ctx };
	uring_list_init(&w->waiting);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	pthread_cond_init(&w->settled, NULL);
	while (!err && w->count < URING_WORKERS)
		err = worker_start(w);
	pthread_mutex_lock(&w->lock);
	while (w->settled_count < w->count)
		pthread_cond_wait(&w->settled, &w->lock);
	err = err ? err : w->err;
	pthread_mutex_unlock(&w->lock);
	if (!err)
		return 0;
	uring_workers_stop(u);
	return err;
}

void uring_workers_submit(struct uring *u)
{
	struct uring_workers *w = &u->workers;

	for (const struct uring_op *op = u->plain.head; op; op = op->next)
		u->away++;
	pthread_mutex_lock(&w->lock);
	*w->waiting.tail = u->plain.head;
	w->waiting.tail = u->plain.tail;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	uring_list_init(&u->plain);
}

void uring_workers_stop(struct uring *u)
{
	struct uring_workers *w = &u->workers;

	if (!w->count)
		return;
	pthread_mutex_lock(&w->lock);
	w->ending = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
	while (w->count)
		pthread_join(w->thread[--w->count], NULL);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->changed);
	pthread_cond_destroy(&w->settled);
}
