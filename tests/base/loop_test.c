/* SPDX-License-Identifier: BSD-2-Clause */
/* The event loop: work, then flush; posted work, timers, descriptors; one test with two threads. */
#include "base/loop.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <unistd.h>

/* The longest wait a loop asked the kernel for; what others run meanwhile does not count. */
static u64 longest_ns;

/* In libc's place. */
int epoll_wait(int fd, struct epoll_event *ev, int max, int timeout_ms)
{
	int (*real)(int, struct epoll_event *, int, int);

	*(void **)&real = dlsym(RTLD_NEXT, "epoll_wait");
	longest_ns = MAX(longest_ns, timeout_ms < 0 ? UINT64_MAX : timeout_ms * NSEC_PER_MSEC);
	return real(fd, ev, max, timeout_ms);
}

int epoll_pwait2(int fd, struct epoll_event *ev, int max, const struct timespec *ts,
		 const sigset_t *mask)
{
	int (*real)(int, struct epoll_event *, int, const struct timespec *, const sigset_t *);

	*(void **)&real = dlsym(RTLD_NEXT, "epoll_pwait2");
	longest_ns = MAX(longest_ns, (u64)ts->tv_sec * NSEC_PER_SEC + (u64)ts->tv_nsec);
	return real(fd, ev, max, ts, mask);
}

struct trace {
	struct loop loop;
	char text[64];
	unsigned len;
};

static void trace_add(struct trace *t, char c)
{
	assert_true(t->len < sizeof(t->text) - 1);
	t->text[t->len++] = c;
}

static int setup(void **state)
{
	static struct trace t;

	t = (struct trace){ 0 };
	longest_ns = 0;
	*state = &t;
	return loop_init(&t.loop);
}

static int teardown(void **state)
{
	struct trace *t = *state;

	loop_fini(&t->loop);
	return 0;
}

struct node {
	struct trace *t;
	char name;
	int again; /* ask for it this many times more */
	struct loop_timer timer;
	struct loop_flush flush;
	struct loop_look look;
	struct loop_work work;
	struct loop_fd fd;
	struct node *removes;
};

static void node_flush(struct loop_flush *f)
{
	struct node *n = container_of(f, struct node, flush);

	trace_add(n->t, n->name);
	if (n->again-- > 0)
		loop_flush_later(&n->t->loop, f);
}

static void node_work(struct loop_work *w)
{
	struct node *n = container_of(w, struct node, work);

	trace_add(n->t, n->name);
	if (n->again-- > 0)
		loop_post(&n->t->loop, w);
}

static void node_fire(struct loop_timer *timer)
{
	struct node *n = container_of(timer, struct node, timer);

	trace_add(n->t, n->name);
}

static void node_ready(struct loop_fd *f, u32 events)
{
	struct node *n = container_of(f, struct node, fd);

	assert_true(events & EPOLLIN);
	trace_add(n->t, n->name);
	if (n->removes)
		loop_del(&n->t->loop, &n->removes->fd);
}

static void node_look(struct loop_look *k)
{
	struct node *n = container_of(k, struct node, look);

	trace_add(n->t, n->name);
	loop_flush_later(&n->t->loop, &n->flush);
}

static void each_turn_looks_before_it_flushes(void **state)
{
	struct trace *t = *state;
	struct node a = { .t = t, .name = 'a', .look.run = node_look, .flush.run = node_flush };
	struct node b = { .t = t, .name = 'b', .look.run = node_look, .flush.run = node_flush };

	loop_look_add(&t->loop, &b.look);
	loop_look_add(&t->loop, &a.look);
	assert_int_equal(loop_turn(&t->loop, 0), 0);
	loop_look_del(&t->loop, &b.look);
	assert_int_equal(loop_turn(&t->loop, 0), 0);
	loop_look_del(&t->loop, &a.look);
	assert_int_equal(loop_turn(&t->loop, 0), 0);
	assert_string_equal(t->text, "ababaa");
}

static void flush_runs_after_work_and_once(void **state)
{
	struct trace *t = *state;
	struct node f = { .t = t, .name = 'f', .again = 1, .flush.run = node_flush };
	struct node w = { .t = t, .name = 'w', .work.run = node_work };

	loop_flush_later(&t->loop, &f.flush);
	loop_flush_later(&t->loop, &f.flush);
	loop_post(&t->loop, &w.work);
	assert_int_equal(loop_turn(&t->loop, 0), 0);
	assert_string_equal(t->text, "wff");
}

static void a_flush_asked_for_between_turns_does_not_wait(void **state)
{
	struct trace *t = *state;
	struct node f = { .t = t, .name = 'f', .flush.run = node_flush };

	loop_flush_later(&t->loop, &f.flush);
	assert_int_equal(loop_turn(&t->loop, 5000), 0);
	assert_string_equal(t->text, "f");
	assert_int_equal(longest_ns, 0);
}

static void posted_work_runs_in_order_and_reposts_next_turn(void **state)
{
	struct trace *t = *state;
	struct node a = { .t = t, .name = 'a', .again = 1, .work.run = node_work };
	struct node b = { .t = t, .name = 'b', .work.run = node_work };

	loop_post(&t->loop, &a.work);
	loop_post(&t->loop, &b.work);
	loop_post(&t->loop, &a.work);
	assert_int_equal(loop_turn(&t->loop, 1000), 0);
	assert_string_equal(t->text, "ab");
	assert_int_equal(loop_turn(&t->loop, 1000), 0);
	assert_string_equal(t->text, "aba");
	assert_int_equal(loop_turn(&t->loop, 0), 0);
	assert_string_equal(t->text, "aba");
}

static void unposted_work_does_not_run(void **state)
{
	struct trace *t = *state;
	struct node n[3];

	for (int i = 0; i < 3; i++) {
		n[i] = (struct node){ .t = t, .name = (char)('a' + i), .work.run = node_work };
		loop_post(&t->loop, &n[i].work);
	}
	loop_unpost(&t->loop, &n[2].work);
	loop_unpost(&t->loop, &n[0].work);
	loop_unpost(&t->loop, &n[0].work);
	loop_post(&t->loop, &n[2].work);
	assert_int_equal(loop_turn(&t->loop, 0), 0);
	assert_string_equal(t->text, "bc");
}

static void node_unpost(struct loop_work *w)
{
	struct node *n = container_of(w, struct node, work);

	trace_add(n->t, n->name);
	loop_unpost(&n->t->loop, &n->removes->work);
}

/* The last piece taken back from within the turn: what posts itself again still ends with it. */
static void unposting_the_last_work_ends_the_turn(void **state)
{
	struct trace *t = *state;
	struct node last = { .t = t, .name = 'z', .work.run = node_work };
	struct node remover = { .t = t, .name = 'r', .work.run = node_unpost, .removes = &last };
	struct node again = { .t = t, .name = 'a', .work.run = node_work, .again = 8 };

	loop_post(&t->loop, &remover.work);
	loop_post(&t->loop, &again.work);
	loop_post(&t->loop, &last.work);
	assert_int_equal(loop_turn(&t->loop, 0), 0);
	assert_string_equal(t->text, "ra");
	assert_int_equal(loop_turn(&t->loop, 0), 0);
	assert_string_equal(t->text, "raa");
	/* With nothing left in front of it. */
	loop_unpost(&t->loop, &again.work);
	loop_post(&t->loop, &remover.work);
	loop_post(&t->loop, &last.work);
	assert_int_equal(loop_turn(&t->loop, 0), 0);
	assert_string_equal(t->text, "raar");
}

static void timers_fire_by_deadline(void **state)
{
	struct trace *t = *state;
	u64 now = loop_now_ns();
	struct node a = { .t = t, .name = 'a', .timer.fire = node_fire };
	struct node b = { .t = t, .name = 'b', .timer.fire = node_fire };
	struct node c = { .t = t, .name = 'c', .timer.fire = node_fire };

	loop_timer_arm(&t->loop, &a.timer, now + 2 * NSEC_PER_MSEC);
	loop_timer_arm(&t->loop, &b.timer, now + 60 * NSEC_PER_SEC);
	loop_timer_arm(&t->loop, &c.timer, now + 1);
	loop_timer_arm(&t->loop, &b.timer, now + NSEC_PER_MSEC);
	while (loop_now_ns() < now + 3 * NSEC_PER_MSEC)
		;
	assert_int_equal(loop_turn(&t->loop, -1), 0);
	assert_string_equal(t->text, "cba");
	loop_timer_arm(&t->loop, &a.timer, now);
	loop_timer_disarm(&t->loop, &a.timer);
	loop_timer_disarm(&t->loop, &a.timer);
	assert_int_equal(loop_turn(&t->loop, 0), 0);
	assert_string_equal(t->text, "cba");
}

/* Fractions of a millisecond are waited for as such. */
static void short_waits_are_short(void **state)
{
	struct trace *t = *state;
	struct node a = { .t = t, .name = 'a', .timer.fire = node_fire };

	for (int i = 0; i < 50; i++) {
		u64 start = loop_now_ns();

		loop_timer_arm(&t->loop, &a.timer, start + NSEC_PER_MSEC / 10);
		while (t->len == (unsigned)i)
			assert_int_equal(loop_turn(&t->loop, -1), 0);
		assert_true(loop_now_ns() - start >= NSEC_PER_MSEC / 10);
	}
	assert_true(longest_ns <= (t->loop.coarse ? NSEC_PER_MSEC : NSEC_PER_MSEC / 10));
	assert_int_equal(t->len, 50);
}

static void a_timer_ends_the_wait(void **state)
{
	struct trace *t = *state;
	struct node a = { .t = t, .name = 'a', .timer.fire = node_fire };
	u64 start = loop_now_ns();

	loop_timer_arm(&t->loop, &a.timer, start + 5 * NSEC_PER_MSEC);
	while (!t->len)
		assert_int_equal(loop_turn(&t->loop, -1), 0);
	assert_true(loop_now_ns() - start >= 5 * NSEC_PER_MSEC);
}

static void a_removed_descriptor_is_not_called_in_the_same_turn(void **state)
{
	struct trace *t = *state;
	struct node n[2] = { 0 };
	int pipes[2][2];

	for (int i = 0; i < 2; i++) {
		assert_int_equal(pipe(pipes[i]), 0);
		assert_int_equal(write(pipes[i][1], "x", 1), 1);
		n[i] = (struct node){ .t = t, .name = 'r', .removes = &n[1 - i] };
		n[i].fd = (struct loop_fd){ .fd = pipes[i][0], .ready = node_ready };
		assert_int_equal(loop_add(&t->loop, &n[i].fd, EPOLLIN), 0);
	}
	assert_int_equal(loop_turn(&t->loop, 0), 0);
	assert_string_equal(t->text, "r");
	for (int i = 0; i < 2; i++) {
		loop_del(&t->loop, &n[i].fd);
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
}

static void a_paused_descriptor_rests(void **state)
{
	struct trace *t = *state;
	struct node n = { .t = t, .name = 'r' };
	int p[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "x", 1), 1);
	n.fd = (struct loop_fd){ .fd = p[0], .ready = node_ready };
	assert_int_equal(loop_add(&t->loop, &n.fd, EPOLLIN), 0);
	assert_int_equal(loop_mod(&t->loop, &n.fd, 0), 0);
	assert_int_equal(loop_turn(&t->loop, 0), 0);
	assert_int_equal(t->len, 0);
	assert_int_equal(loop_mod(&t->loop, &n.fd, EPOLLIN), 0);
	assert_int_equal(loop_turn(&t->loop, 0), 0);
	assert_int_equal(t->len, 1);
	loop_del(&t->loop, &n.fd);
	close(p[0]);
	close(p[1]);
}

/* ---- two threads ---- */

#define STRESS_ROUNDS 20000

struct stress_item {
	struct loop_work work;
	_Atomic unsigned posted;
	unsigned seen;
};

struct stress {
	struct loop loop;
	struct stress_item item[4];
	struct loop_work last;
};

static void stress_run(struct loop_work *w)
{
	struct stress_item *item = container_of(w, struct stress_item, work);

	/* Every post made before this read is answered by this run or by a later one. */
	item->seen = atomic_load(&item->posted);
}

static void stress_last(struct loop_work *w)
{
	loop_stop(&container_of(w, struct stress, last)->loop);
}

static void *stress_loop(void *arg)
{
	struct stress *s = arg;

	return (void *)(intptr_t)loop_run(&s->loop);
}

static void no_post_from_another_thread_is_lost(void **state)
{
	static struct stress s;
	pthread_t thread;
	void *result;

	(void)state;
	assert_int_equal(loop_init(&s.loop), 0);
	for (int i = 0; i < 4; i++)
		s.item[i].work.run = stress_run;
	s.last.run = stress_last;
	assert_int_equal(pthread_create(&thread, NULL, stress_loop, &s), 0);
	for (unsigned round = 0; round < STRESS_ROUNDS; round++) {
		unsigned i = round % 4;

		atomic_fetch_add(&s.item[i].posted, 1);
		loop_post(&s.loop, &s.item[i].work);
	}
	loop_post(&s.loop, &s.last);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_null(result);
	for (int i = 0; i < 4; i++)
		assert_int_equal(s.item[i].seen, STRESS_ROUNDS / 4);
	loop_fini(&s.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_turn_looks_before_it_flushes, setup, teardown),
		cmocka_unit_test_setup_teardown(flush_runs_after_work_and_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flush_asked_for_between_turns_does_not_wait,
						setup, teardown),
		cmocka_unit_test_setup_teardown(posted_work_runs_in_order_and_reposts_next_turn,
						setup, teardown),
		cmocka_unit_test_setup_teardown(unposted_work_does_not_run, setup, teardown),
		cmocka_unit_test_setup_teardown(unposting_the_last_work_ends_the_turn, setup,
						teardown),
		cmocka_unit_test_setup_teardown(timers_fire_by_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(short_waits_are_short, setup, teardown),
		cmocka_unit_test_setup_teardown(a_timer_ends_the_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(a_removed_descriptor_is_not_called_in_the_same_turn,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_paused_descriptor_rests, setup, teardown),
		cmocka_unit_test(no_post_from_another_thread_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
