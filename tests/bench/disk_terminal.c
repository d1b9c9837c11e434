/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk_terminal COMMAND [ARG...]: runs it on a terminal, and copies between that and its own stdin
 * and stdout: for kvmtool, which looks after its guest's console only where it has one. The command
 * ends with it, and it with the command.
 */
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static bool copy(int from, int to)
{
	char buffer[4096];
	ssize_t n = read(from, buffer, sizeof(buffer));

	return n > 0 && write(to, buffer, (size_t)n) == n;
}

static void relay(int terminal)
{
	struct pollfd fds[] = {
		{ .fd = terminal, .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};

	while (poll(fds, 2, -1) > 0) {
		if (fds[0].revents && !copy(terminal, STDOUT_FILENO))
			return;
		/* without anybody who types it goes on */
		if (fds[1].revents && !copy(STDIN_FILENO, terminal))
			fds[1].fd = -1;
	}
}

int main(int argc, char **argv)
{
	int terminal;
	pid_t pid;

	if (argc < 2)
		return 2;
	pid = forkpty(&terminal, NULL, NULL, NULL);
	if (pid < 0) {
		perror("disk: a terminal");
		return 1;
	}
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(argv[1], argv + 1);
		perror(argv[1]);
		_exit(127);
	}
	relay(terminal);
	kill(pid, SIGKILL);
	return 0;
}
