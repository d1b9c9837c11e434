/* SPDX-License-Identifier: BSD-2-Clause */
#include "images/init/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "images/init/report.h"

#define COMMAND_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
/* What is left gets this long between SIGTERM and SIGKILL, and again after it. */
#define TERM_MS 2000

char **command_split(char *text, size_t len)
{
	size_t count = 0, n = 0;
	char **argv;

	if (!len || text[len - 1])
		return NULL;
	for (size_t i = 0; i < len; i++)
		count += !text[i];
	argv = calloc(count + 1, sizeof(*argv));
	for (char *arg = text; argv && n < count; arg += strlen(arg) + 1)
		argv[n++] = arg;
	return argv;
}

int command_open(void)
{
	int fd = open(COMMAND_TTY, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios raw;

	if (fd < 0 || tcgetattr(fd, &raw))
		report_failure("the second serial port (%s) is not there: %s", COMMAND_TTY,
			       strerror(errno));
	/* No CR for LF, no echo, no signals from input. */
	cfmakeraw(&raw);
	cfsetspeed(&raw, B115200);
	raw.c_cflag |= CLOCAL;
	tcsetattr(fd, TCSANOW, &raw);
	return fd;
}

static void command_exec(int tty, char **argv) __attribute__((noreturn));

static void command_exec(int tty, char **argv)
{
	int null = open("/dev/null", O_RDONLY);
	sigset_t none;
	int err;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(null, STDIN_FILENO);
	dup2(tty, STDOUT_FILENO);
	dup2(tty, STDERR_FILENO);
	if (null > STDERR_FILENO)
		close(null);
	clearenv();
	setenv("PATH", COMMAND_PATH, 1);
	setenv("HOME", "/root", 1);
	setenv("TERM", "dumb", 1);
	umask(022);
	execvp(argv[0], argv);
	err = errno;
	dprintf(STDERR_FILENO, "candela: %s: %s\n", argv[0], strerror(err));
	_exit(err == ENOENT || err == ENOTDIR ? 127 : 126);
}

static int status_of(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

int command_run(int tty, char **argv)
{
	pid_t pid = fork(), ended;
	int status;

	if (pid < 0)
		report_failure("cannot start the command: %s", strerror(errno));
	if (!pid)
		command_exec(tty, argv);
	do {
		ended = wait(&status);
	} while (ended != pid && (ended > 0 || errno == EINTR));
	return status_of(status);
}

/* Reaps until no child is left: true; or until the time is over. */
static bool children_gone(unsigned ms)
{
	const struct timespec tick = { .tv_nsec = 10 * 1000 * 1000 };

	for (unsigned waited = 0; waited < ms; waited += 10) {
		pid_t pid;

		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		if (pid < 0 && errno == ECHILD)
			return true;
		nanosleep(&tick, NULL);
	}
	return false;
}

void command_finish(int tty)
{
	/* Everything that is left is a child of PID 1 or of one of them. */
	kill(-1, SIGTERM);
	kill(-1, SIGCONT);
	if (!children_gone(TERM_MS)) {
		kill(-1, SIGKILL);
		children_gone(TERM_MS);
	}
	tcdrain(tty);
	close(tty);
}
