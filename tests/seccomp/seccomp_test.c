/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sandbox for real: child processes arm a filter, break it or live with it; the compiler's
 * errors name file and line. What each filter allows is filters_test.c's.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "seccomp/seccomp.h"

/* ---- Children ------------------------------------------------------------------------------- */

/* What a child wrote to its stderr, and how it ended. */
struct child {
	char said[1024];
	int status;
};

static void child_run(struct child *c, void (*body)(void *arg), void *arg)
{
	size_t used = 0;
	ssize_t n;
	int pipe_fd[2];
	pid_t pid;

	assert_int_equal(pipe(pipe_fd), 0);
	pid = fork();
	if (!pid) {
		dup2(pipe_fd[1], STDERR_FILENO);
		body(arg);
		_exit(0);
	}
	close(pipe_fd[1]);
	while ((n = read(pipe_fd[0], c->said + used, sizeof(c->said) - 1 - used)) > 0)
		used += (size_t)n;
	c->said[used] = '\0';
	close(pipe_fd[0]);
	assert_int_equal(waitpid(pid, &c->status, 0), pid);
}

static void arm_and_break(void *arg)
{
	enum sandbox_mode *mode = arg;
	char error[256];

	if (sandbox_process(*mode, error, sizeof(error))) {
		fprintf(stderr, "%s\n", error);
		_exit(77);
	}
	if (sandbox_thread(*mode, SANDBOX_VCPU))
		_exit(78);
	if (syscall(SYS_socket, AF_INET, SOCK_STREAM, 0) < 0)
		_exit(79);
}

/* As the user network's thread starts, or a program whose parent blocked everything. */
static void block_arm_and_break(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	arm_and_break(arg);
}

static void check_named(void (*body)(void *arg))
{
	enum sandbox_mode mode = SANDBOX_ON;
	struct child c;

	child_run(&c, body, &mode);
	assert_true(WIFEXITED(c.status));
	assert_int_equal(WEXITSTATUS(c.status), 1);
	assert_string_equal(c.said, "candela: sandbox: thread vcpu made the forbidden call socket "
				    "(41), arguments 0x2 0x1 0x0; run with --sandbox log or off to "
				    "find out why\n");
}

static void violation_is_named(void **state)
{
	(void)state;
	check_named(arm_and_break);
	check_named(block_arm_and_break);
}

static void log_and_off_go_on(void **state)
{
	enum sandbox_mode modes[] = { SANDBOX_LOG, SANDBOX_OFF };
	struct child c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		child_run(&c, arm_and_break, &modes[i]);
		assert_string_equal(c.said, "");
		assert_true(WIFEXITED(c.status) && WEXITSTATUS(c.status) == 0);
	}
}

/* Prints what is left of a process's rights, one letter each. */
static void show_rights(void *arg)
{
	struct rlimit core;
	char error[256], line[256];
	FILE *f;

	(void)arg;
	if (sandbox_process(SANDBOX_STRICT, error, sizeof(error))) {
		fprintf(stderr, "%s\n", error);
		_exit(77);
	}
	getrlimit(RLIMIT_CORE, &core);
	fprintf(stderr, "core %d dumpable %d\n", (int)core.rlim_max, prctl(PR_GET_DUMPABLE));
	f = fopen("/proc/thread-self/status", "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "Cap", 3) || !strncmp(line, "NoNewPrivs", 10))
			fputs(line, stderr);
}

static void process_gives_up_rights(void **state)
{
	struct child c;

	(void)state;
	child_run(&c, show_rights, NULL);
	assert_non_null(strstr(c.said, "core 0 dumpable 0\n"));
	assert_non_null(strstr(c.said, "NoNewPrivs:\t1\n"));
	assert_non_null(strstr(c.said, "CapEff:\t0000000000000000\n"));
	assert_non_null(strstr(c.said, "CapPrm:\t0000000000000000\n"));
	assert_non_null(strstr(c.said, "CapInh:\t0000000000000000\n"));
	assert_non_null(strstr(c.said, "CapAmb:\t0000000000000000\n"));
	if (!geteuid())
		assert_non_null(strstr(c.said, "CapBnd:\t0000000000000000\n"));
}

#define BLOCKS 64u
#define BLOCK_BYTES (100u << 10) /* too small for mmap, large enough to be given back */

static void *allocate_and_free(void *mode)
{
	void *block[BLOCKS];

	if (sandbox_thread(*(enum sandbox_mode *)mode, SANDBOX_IO))
		_exit(78);
	for (unsigned i = 0; i < BLOCKS; i++)
		block[i] = malloc(BLOCK_BYTES);
	for (unsigned i = 0; i < BLOCKS; i++)
		free(block[BLOCKS - 1 - i]);
	syscall(SYS_exit_group, 0); /* what a sanitizer does when a thread ends is not asked here */
	return NULL;
}

static void arm_and_allocate(void *arg)
{
	enum sandbox_mode *mode = arg;
	pthread_t thread;
	char error[256];

	if (sandbox_process(*mode, error, sizeof(error)))
		_exit(77);
	if (!pthread_create(&thread, NULL, allocate_and_free, mode))
		pthread_join(thread, NULL);
	_exit(79);
}

/*
 * Before it shrinks a thread's heap glibc opens a file of /proc. (A sanitizer has its own malloc.)
 */
static void threads_give_memory_back(void **state)
{
	enum sandbox_mode mode = SANDBOX_ON;
	struct child c;

	(void)state;
	child_run(&c, arm_and_allocate, &mode);
	assert_string_equal(c.said, "");
	assert_true(WIFEXITED(c.status) && WEXITSTATUS(c.status) == 0);
}

/* ---- The compiler --------------------------------------------------------------------------- */

/* The build's compiler stands beside the tests: BUILD/tests/seccomp/.. and BUILD/seccomp. */
static void exec_compiler(void *arg)
{
	char self[4096], path[4200];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n < 0 ? 0 : n] = '\0';
	*strrchr(self, '/') = '\0';
	snprintf(path, sizeof(path), "%s/../../seccomp/compile", self);
	if (!freopen("/dev/null", "w", stdout))
		_exit(77);
	execl(path, path, (char *)arg, (char *)NULL);
	_exit(78);
}

static void compile(struct child *c, const char *text)
{
	char folder[] = "/tmp/candela-seccomp-XXXXXX", path[64];
	FILE *f;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/x.profile", folder);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	child_run(c, exec_compiler, path);
	unlink(path);
	rmdir(folder);
}

static void good_profiles(void **state)
{
	static const char *const texts[] = {
		"read # a\n",
		"# head\n\n \t\nread # a\nwrite # b\n",
		"ioctl arg1 == KVM_RUN # a\nioctl arg1 == 5 # b",
		"mmap arg2 & PROT_EXEC == 0 && arg4 != 7 # a\n",
		"openat arg2 & O_ACCMODE|O_CREAT == O_RDONLY # a\n",
		"socket arg0 == 2 # a\nrefuse socket arg0 == 0x1 # b\n",
	};
	struct child c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		compile(&c, texts[i]);
		assert_string_equal(c.said, "");
		assert_int_equal(c.status, 0);
	}
}

static void bad_profiles(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{ "", "x.profile:0: the profile allows nothing" },
		{ "read\n", "x.profile:1: a reason is missing" },
		{ "read #  \n", "x.profile:1: a reason is missing" },
		{ "read # a\nraed # b\n", "x.profile:2: there is no system call 'raed'" },
		{ "refuse # b\n", "x.profile:1: there is no system call 'refuse'" },
		{ "read # a\n\nread # b\n", "x.profile:3: a line above settles" },
		{ "ioctl arg6 == 1 # a\n", "a condition begins with arg0 to arg5, not 'arg6'" },
		{ "ioctl arg1 # a\n", "the condition on arg1 is not complete" },
		{ "ioctl arg1 == # a\n", "the condition on arg1 is not complete" },
		{ "ioctl arg1 = 1 # a\n", "'=' is no comparison" },
		{ "ioctl arg1 == KVM_RUNS # a\n", "'KVM_RUNS' is no number and no constant" },
		{ "ioctl arg1 == 1x # a\n", "'1x' is no number" },
		{ "ioctl arg1 == -1 # a\n", "'-1' is no number" },
		{ "ioctl arg1 == 1| # a\n", "'' is no number" },
		{ "ioctl arg1 & 1 # a\n", "a mask is written 'arg1 & MASK == VALUE'" },
		{ "ioctl arg1 & 1 != 0 # a\n", "a mask is written" },
		{ "ioctl arg1 == 1 arg2 == 2 # a\n", "conditions are joined by &&, not 'arg2'" },
		{ "ioctl arg1 == 1 && # a\n", "a condition is missing after &&" },
		{ "ioctl arg1 > 1 && arg1 < 9 # a\n", "x.profile:1: libseccomp refuses it" },
	};
	struct child c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		compile(&c, rows[i].text);
		if (!strstr(c.said, rows[i].error) || WEXITSTATUS(c.status) != 1)
			fail_msg("`%s` gave %d: %s", rows[i].text, c.status, c.said);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(violation_is_named),
		cmocka_unit_test(log_and_off_go_on),
		cmocka_unit_test(process_gives_up_rights),
		cmocka_unit_test(threads_give_memory_back),
		cmocka_unit_test(good_profiles),
		cmocka_unit_test(bad_profiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
