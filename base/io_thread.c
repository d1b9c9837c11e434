/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/io_thread.h"

#include <sys/prctl.h>

#define RING_ENTRIES 256
/* ns; the timers of a loop are to the point */
#define TIMER_SLACK 1000
/* Small enough that a host that likes huge pages gives it none. */
#define STACK_BYTES (256u << 10)

static void announce(struct io_thread *t, int err)
{
	pthread_mutex_lock(&t->lock);
	t->up = true;
	t->err = err;
	pthread_cond_signal(&t->ready);
	pthread_mutex_unlock(&t->lock);
}

/*
 * The ring is made by the thread that uses it: the kernel then takes cheaper paths. Workers come
 * before the thread gives up the right to start any.
 */
static int ring_start(struct io_thread *t)
{
	const struct io_thread_hooks *h = &t->hooks;
	int err = uring_init(&t->uring, &t->loop, RING_ENTRIES);

	if (!err && (h->workers || !t->uring.native))
		err = uring_workers_start(&t->uring, h->worker_begin, h->ctx);
	return err;
}

static void *io_thread_main(void *arg)
{
	struct io_thread *t = arg;
	int err;

	prctl(PR_SET_TIMERSLACK, TIMER_SLACK);
	err = ring_start(t);

	if (!err && t->hooks.begin)
		err = t->hooks.begin(t->hooks.ctx);
	announce(t, err);
	if (!err)
		loop_run(&t->loop);
	uring_fini(&t->uring);
	return NULL;
}

int io_thread_start(struct io_thread *t, const struct io_thread_hooks *hooks)
{
	pthread_attr_t attr;
	int err;

	*t = (struct io_thread){ .hooks = *hooks };
	err = loop_init(&t->loop);
	if (err)
		return err;
	t->made = true;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->ready, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	err = -pthread_create(&t->thread, &attr, io_thread_main, t);
	pthread_attr_destroy(&attr);
	t->started = !err;
	if (!err) {
		pthread_mutex_lock(&t->lock);
		while (!t->up)
			pthread_cond_wait(&t->ready, &t->lock);
		err = t->err;
		pthread_mutex_unlock(&t->lock);
	}
	if (err) {
		io_thread_stop(t);
		io_thread_fini(t);
	}
	return err;
}

void io_thread_stop(struct io_thread *t)
{
	if (!t->started)
		return;
	loop_stop(&t->loop);
	pthread_join(t->thread, NULL);
	t->started = false;
}

void io_thread_fini(struct io_thread *t)
{
	if (!t->made)
		return;
	loop_fini(&t->loop);
	pthread_cond_destroy(&t->ready);
	pthread_mutex_destroy(&t->lock);
	t->made = false;
}
