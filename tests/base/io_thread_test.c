/* SPDX-License-Identifier: BSD-2-Clause */
/* An I/O thread: its start, and a start that fails. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* As a container's policy may have it. */
static int forbid_io_uring(void)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { .len = ARRAY_SIZE(program), .filter = program };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

/* In a process of its own, which has no way back. */
static void workers_take_the_place_of_io_uring(void **state)
{
	int wstatus;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (!pid) {
		struct io_thread_hooks hooks = { 0 };
		struct io_thread t;

		if (forbid_io_uring())
			_exit(77);
		_exit(uring_possible() || io_thread_start(&t, &hooks) || t.uring.native ||
		      t.uring.workers.count != URING_WORKERS);
	}
	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
	assert_true(WIFEXITED(wstatus));
	if (WEXITSTATUS(wstatus) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(wstatus), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begin_runs_on_the_thread),
		cmocka_unit_test(workers_come_where_they_are_wanted),
		cmocka_unit_test(workers_take_the_place_of_io_uring),
		cmocka_unit_test(a_failed_start_is_freed_once),
	};

	return cmocka_run_group_tests_name("base/io_thread", tests, NULL, NULL);
}
