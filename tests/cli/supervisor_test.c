/* SPDX-License-Identifier: BSD-2-Clause */
/* The supervisor with machines that are told what to do: machine_run() below is theirs. */
#include "cli/supervisor.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "cli/result.h"
#include "machine.h"
#include "tests/patience.h"

/* Shared with the machines' processes. */
struct scene {
	void (*run)(struct outcome *outcome, unsigned start);
	unsigned starts;
	bool stuck; /* opening what it needs, until a signal comes */
};
static struct scene *scene;

static struct result told;
static char told_detail[sizeof(((struct outcome *)0)->text) + 1];

int machine_files_open(struct machine_files *f, const struct config *config, char *error,
		       size_t error_size)
{
	(void)f, (void)config, (void)error, (void)error_size;
	while (scene->stuck)
		raise(SIGTERM);
	return 0;
}

int machine_files_connect(struct machine_files *f, char *error, size_t error_size)
{
	(void)f;
	(void)error;
	(void)error_size;
	return 0;
}

static bool supervisor_is_late; /* first looks at its machine when that has ended */

void machine_files_let_go(struct machine_files *f)
{
	siginfo_t info;

	(void)f;
	if (supervisor_is_late)
		waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
}

void machine_files_close(struct machine_files *f, const struct config *config)
{
	(void)f, (void)config;
}

void machine_run(const struct config *config, const struct machine_files *files,
		 struct outcome *outcome)
{
	(void)config, (void)files;
	scene->run(outcome, ++scene->starts);
}

int result_check(const char *path)
{
	return strcmp(path, "nowhere") ? 0 : -ENOENT;
}

int result_write(const char *path, const struct result *r)
{
	(void)path;
	told = *r;
	strncpy(told_detail, r->detail, sizeof(told_detail) - 1);
	assert_true(r->channel_count <= OUTCOME_CHANNELS_MAX);
	for (unsigned i = 0; i < r->channel_count; i++)
		assert_true(strlen(r->channel[i].device) < sizeof(r->channel[i].device));
	return 0;
}

static int supervise(void (*run)(struct outcome *outcome, unsigned start), bool reboot_exits)
{
	struct config config = { .console = CONSOLE_NONE,
				 .result = "result",
				 .reboot_exits = reboot_exits };

	*scene = (struct scene){ .run = run };
	return supervisor_run(&config);
}

static void power_off(struct outcome *outcome)
{
	outcome->reason = OUTCOME_POWEROFF;
	outcome->status = 0;
}

static void reboot(struct outcome *outcome)
{
	outcome->reason = OUTCOME_REBOOT;
	outcome->status = 3;
}

static void reboot_once(struct outcome *outcome, unsigned start)
{
	if (start == 1)
		reboot(outcome);
	else
		power_off(outcome);
}

static void a_reboot_is_another_start(void **state)
{
	(void)state;
	assert_int_equal(supervise(reboot_once, false), 0);
	assert_int_equal(scene->starts, 2);
	assert_int_equal(told.reason, OUTCOME_POWEROFF);
	assert_int_equal(supervise(reboot_once, true), 3);
	assert_int_equal(scene->starts, 1);
}

/* The user's signal comes when the machine takes itself apart, and no longer listens. */
static void reboot_and_signal(struct outcome *outcome, unsigned start)
{
	sigset_t passed_on;

	reboot_once(outcome, start);
	if (start > 1)
		return;
	kill(getppid(), SIGTERM);
	if (supervisor_is_late)
		return;
	sigemptyset(&passed_on);
	sigaddset(&passed_on, SIGTERM);
	sigwaitinfo(&passed_on, NULL);
}

static void a_signal_ends_a_guest_about_to_reboot(void **state)
{
	(void)state;
	for (int late = 0; late < 2; late++) {
		supervisor_is_late = late;
		assert_int_equal(supervise(reboot_and_signal, false), 128 + SIGTERM);
		assert_int_equal(scene->starts, 1);
		assert_int_equal(told.reason, OUTCOME_SIGNAL);
	}
	assert_int_equal(supervise(reboot_and_signal, true), 3);
	assert_int_equal(told.reason, OUTCOME_REBOOT);
	supervisor_is_late = false;
}

static void one_that_opens_a_file_for_ever_can_be_stopped(void **state)
{
	struct config config = { .console = CONSOLE_NONE };
	int wstatus;
	pid_t pid;

	(void)state;
	*scene = (struct scene){ .stuck = true };
	pid = fork();
	if (!pid) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL); /* earlier supervisors blocked some */
		alarm(PATIENCE_S);
		_exit(supervisor_run(&config));
	}
	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
	assert_true(WIFSIGNALED(wstatus) && WTERMSIG(wstatus) == SIGTERM);
}

/* As a parent that wants no zombies leaves it to its children. */
static void who_ignores_children_has_them_waited_for(void **state)
{
	int wstatus;
	pid_t pid;

	(void)state;
	pid = fork();
	if (!pid) {
		signal(SIGCHLD, SIG_IGN);
		alarm(5);
		_exit(supervise(reboot_once, true));
	}
	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
	assert_true(WIFEXITED(wstatus));
	assert_int_equal(WEXITSTATUS(wstatus), 3);
}

static void scribble(struct outcome *outcome, unsigned start)
{
	(void)start;
	memset(outcome, 'x', sizeof(*outcome));
}

static void scribble_text(struct outcome *outcome, unsigned start)
{
	scribble(outcome, start);
	outcome->reason = OUTCOME_PANIC;
	outcome->status = 4;
}

static void what_a_machine_leaves_is_not_trusted(void **state)
{
	(void)state;
	assert_int_equal(supervise(scribble, false), 1);
	assert_int_equal(told.reason, OUTCOME_HOST);
	assert_int_equal(supervise(scribble_text, false), 4);
	assert_int_equal(told.reason, OUTCOME_PANIC);
	assert_int_equal(strlen(told_detail), sizeof(told_detail) - 2);
	assert_int_equal(told.channel_count, OUTCOME_CHANNELS_MAX);
}

static void a_result_that_cannot_be_written_starts_nothing(void **state)
{
	struct config config = { .console = CONSOLE_NONE, .result = "nowhere" };

	(void)state;
	*scene = (struct scene){ .run = scribble };
	assert_int_equal(supervisor_run(&config), 2);
	assert_int_equal(scene->starts, 0);
}

static void a_guest_may_have_many_descriptors(void **state)
{
	struct rlimit limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_max < 2048)
		skip();
	limit.rlim_cur = 1024;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(supervise(reboot_once, false), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_true(limit.rlim_cur >= 2048);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_result_that_cannot_be_written_starts_nothing),
		cmocka_unit_test(a_guest_may_have_many_descriptors),
		cmocka_unit_test(a_reboot_is_another_start),
		cmocka_unit_test(a_signal_ends_a_guest_about_to_reboot),
		cmocka_unit_test(one_that_opens_a_file_for_ever_can_be_stopped),
		cmocka_unit_test(who_ignores_children_has_them_waited_for),
		cmocka_unit_test(what_a_machine_leaves_is_not_trusted),
	};

	log_set_level(LOG_ERROR);
	scene = mmap(NULL, sizeof(*scene), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (scene == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
