/* SPDX-License-Identifier: BSD-2-Clause */
/* An I/O thread: its start, and a start that fails. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/io_thread.h"

struct seen {
	int result;
	pthread_t thread;
};

static int begin(void *ctx)
{
	struct seen *seen = ctx;

	seen->thread = pthread_self();
	return seen->result;
}

static void begin_runs_on_the_thread(void **state)
{
	struct io_thread t;
	struct seen seen = { 0 };
	struct io_thread_hooks hooks = { .begin = begin, .ctx = &seen };

	(void)state;
	assert_int_equal(io_thread_start(&t, &hooks), 0);
	assert_false(pthread_equal(seen.thread, pthread_self()));
	io_thread_stop(&t);
	io_thread_fini(&t);
}

/* What failed has nothing left to free, and says so: its descriptors may be others' by now. */
static void a_failed_start_is_freed_once(void **state)
{
	struct io_thread t;
	struct seen seen = { .result = -EACCES };
	struct io_thread_hooks hooks = { .begin = begin, .ctx = &seen };

	(void)state;
	assert_int_equal(io_thread_start(&t, &hooks), -EACCES);
	assert_false(t.made);
	io_thread_stop(&t);
	io_thread_fini(&t);
}

static int no(void *ctx)
{
	(void)ctx;
	return -EPERM;
}

static void workers_come_where_they_are_wanted(void **state)
{
	struct seen seen = { 0 };
	struct io_thread_hooks hooks = { .begin = begin, .workers = true, .ctx = &seen };
	struct io_thread t;

	(void)state;
	assert_int_equal(io_thread_start(&t, &hooks), 0);
	assert_int_equal(t.uring.workers.count, URING_WORKERS);
	io_thread_stop(&t);
	io_thread_fini(&t);
	hooks.worker_begin = no;
	assert_int_equal(io_thread_start(&t, &hooks), -EPERM);
	assert_false(t.made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begin_runs_on_the_thread),
		cmocka_unit_test(workers_come_where_they_are_wanted),
		cmocka_unit_test(a_failed_start_is_freed_once),
	};

	return cmocka_run_group_tests_name("base/io_thread", tests, NULL, NULL);
}
