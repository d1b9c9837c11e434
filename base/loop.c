/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/loop.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* Waits shorter than this end to the nanosecond, not to the millisecond. */
#define PRECISE_NS ((s64)NSEC_PER_SEC / 100)

int loop_init(struct loop *l)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = l };

	*l = (struct loop){ .epoll_fd = -1, .wake_fd = -1 };
	l->posted_tail = &l->posted;
	l->flushes_tail = &l->flushes;
	pthread_mutex_init(&l->posted_lock, NULL);
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	/* The wake-up descriptor is the one entry whose pointer is the loop itself. */
	if (l->epoll_fd < 0 || l->wake_fd < 0 ||
	    epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &ev)) {
		int err = -errno;

		loop_fini(l);
		return err;
	}
	return 0;
}

void loop_fini(struct loop *l)
{
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	l->epoll_fd = l->wake_fd = -1;
	pthread_mutex_destroy(&l->posted_lock);
}

int loop_add(struct loop *l, struct loop_fd *f, u32 events)
{
	struct epoll_event ev = { .events = events, .data.ptr = f };

	return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, f->fd, &ev) ? -errno : 0;
}

int loop_mod(struct loop *l, struct loop_fd *f, u32 events)
{
	struct epoll_event ev = { .events = events, .data.ptr = f };

	return epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, f->fd, &ev) ? -errno : 0;
}

void loop_del(struct loop *l, struct loop_fd *f)
{
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, f->fd, NULL);
	for (int i = 0; i < l->event_count; i++)
		if (l->events[i].data.ptr == f)
			l->events[i].data.ptr = NULL;
}

u64 loop_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * NSEC_PER_SEC + (u64)ts.tv_nsec;
}

void loop_timer_arm(struct loop *l, struct loop_timer *t, u64 deadline_ns)
{
	struct loop_timer **at = &l->timers;

	loop_timer_disarm(l, t);
	while (*at && (*at)->deadline_ns <= deadline_ns)
		at = &(*at)->next;
	t->deadline_ns = deadline_ns;
	t->armed = true;
	t->next = *at;
	*at = t;
}

void loop_timer_disarm(struct loop *l, struct loop_timer *t)
{
	if (!t->armed)
		return;
	for (struct loop_timer **at = &l->timers; *at; at = &(*at)->next) {
		if (*at == t) {
			*at = t->next;
			break;
		}
	}
	t->armed = false;
	t->next = NULL;
}

void loop_look_add(struct loop *l, struct loop_look *k)
{
	k->next = l->looks;
	l->looks = k;
}

void loop_look_del(struct loop *l, struct loop_look *k)
{
	for (struct loop_look **at = &l->looks; *at; at = &(*at)->next) {
		if (*at == k) {
			*at = k->next;
			return;
		}
	}
}

void loop_flush_later(struct loop *l, struct loop_flush *f)
{
	if (f->queued)
		return;
	f->queued = true;
	f->next = NULL;
	*l->flushes_tail = f;
	l->flushes_tail = &f->next;
}

static void wake(struct loop *l)
{
	u64 one = 1;

	/* EAGAIN means the counter is full: it is awake already. */
	if (write(l->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void loop_post(struct loop *l, struct loop_work *w)
{
	bool first = false;

	pthread_mutex_lock(&l->posted_lock);
	if (!w->queued) {
		first = !l->posted;
		w->queued = true;
		w->next = NULL;
		*l->posted_tail = w;
		l->posted_tail = &w->next;
	}
	pthread_mutex_unlock(&l->posted_lock);
	if (first)
		wake(l);
}

void loop_unpost(struct loop *l, struct loop_work *w)
{
	struct loop_work *before = NULL;

	pthread_mutex_lock(&l->posted_lock);
	for (struct loop_work **at = &l->posted; w->queued && *at; at = &(*at)->next) {
		if (*at != w) {
			before = *at;
			continue;
		}
		*at = w->next;
		if (!*at)
			l->posted_tail = at;
		if (l->posted_last == w)
			l->posted_last = before;
		w->queued = false;
		break;
	}
	pthread_mutex_unlock(&l->posted_lock);
}

/* The next piece of this turn's, or NULL. */
static struct loop_work *posted_take(struct loop *l)
{
	struct loop_work *w;

	pthread_mutex_lock(&l->posted_lock);
	w = l->posted_last ? l->posted : NULL;
	if (w) {
		if (w == l->posted_last)
			l->posted_last = NULL;
		l->posted = w->next;
		if (!l->posted)
			l->posted_tail = &l->posted;
		w->queued = false;
	}
	pthread_mutex_unlock(&l->posted_lock);
	return w;
}

/* Work posted by the work itself waits for the next turn: `posted_last` bounds this one. */
static void run_posted(struct loop *l)
{
	struct loop_work *w;
	u64 count;

	if (read(l->wake_fd, &count, sizeof(count)) < 0)
		count = 0;
	pthread_mutex_lock(&l->posted_lock);
	l->posted_last = l->posted ? container_of(l->posted_tail, struct loop_work, next) : NULL;
	pthread_mutex_unlock(&l->posted_lock);
	while ((w = posted_take(l)))
		w->run(w);
	pthread_mutex_lock(&l->posted_lock);
	if (l->posted)
		wake(l);
	pthread_mutex_unlock(&l->posted_lock);
}

static void run_timers(struct loop *l)
{
	u64 now = l->timers ? loop_now_ns() : 0;

	while (l->timers && l->timers->deadline_ns <= now) {
		struct loop_timer *t = l->timers;

		loop_timer_disarm(l, t);
		t->fire(t);
	}
}

static void run_flushes(struct loop *l)
{
	struct loop_flush *f;

	while ((f = l->flushes)) {
		l->flushes = f->next;
		if (!l->flushes)
			l->flushes_tail = &l->flushes;
		f->queued = false;
		f->run(f);
	}
}

/* How long to wait, in ns; -1: for ever. */
static s64 wait_ns(const struct loop *l, int timeout_ms)
{
	s64 most = timeout_ms < 0 ? -1 : timeout_ms * (s64)NSEC_PER_MSEC;
	u64 now, left;

	/* Asked for between turns: it must not wait for an event. */
	if (l->flushes)
		return 0;
	if (!l->timers || !most)
		return most;
	now = loop_now_ns();
	left = l->timers->deadline_ns > now ? l->timers->deadline_ns - now : 0;
	left = MIN(left, (u64)INT32_MAX * NSEC_PER_MSEC);
	return most < 0 ? (s64)left : MIN(most, (s64)left);
}

/* Rounded up to ms where the kernel takes no less: a turn never spins on an early wake-up. */
static int wait_events(struct loop *l, s64 ns)
{
	if (ns > 0 && ns < PRECISE_NS && !l->coarse) {
		struct timespec ts = { .tv_nsec = ns };
		int n = epoll_pwait2(l->epoll_fd, l->events, LOOP_EVENTS, &ts, NULL);

		if (n >= 0 || errno != ENOSYS)
			return n;
		l->coarse = true;
	}
	return epoll_wait(l->epoll_fd, l->events, LOOP_EVENTS,
			  ns < 0 ? -1 : (int)((ns + (s64)NSEC_PER_MSEC - 1) / (s64)NSEC_PER_MSEC));
}

int loop_turn(struct loop *l, int timeout_ms)
{
	int n = wait_events(l, wait_ns(l, timeout_ms));

	if (n < 0 && errno != EINTR)
		return -errno;
	l->event_count = MAX(n, 0);
	for (int i = 0; i < l->event_count; i++) {
		struct epoll_event *ev = &l->events[i];
		struct loop_fd *f = ev->data.ptr;

		if (ev->data.ptr == l)
			run_posted(l);
		else if (f)
			f->ready(f, ev->events);
	}
	l->event_count = 0;
	for (struct loop_look *k = l->looks; k; k = k->next)
		k->run(k);
	run_timers(l);
	run_flushes(l);
	return 0;
}

int loop_run(struct loop *l)
{
	int err = 0;

	while (!err && !atomic_load_explicit(&l->stop, memory_order_acquire))
		err = loop_turn(l, -1);
	return err;
}

void loop_stop(struct loop *l)
{
	atomic_store_explicit(&l->stop, true, memory_order_release);
	wake(l);
}
