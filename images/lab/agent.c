// SPDX-License-Identifier: BSD-2-Clause
/*
 * agent.c: the lab's process 1, once its init has prepared the tree in argv[1]: takes the job from
 * the host (wire.h), makes that tree the root, runs the command and carries its streams and its
 * exit status. Static; one thread. When it ends the kernel panics, and the machine with it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire.h"

#define AGENT_WORDS 65536 /* arguments, and likewise variables */

struct agent {
	int port; /* to the host; non-blocking */
	char *argv[AGENT_WORDS + 1];
	size_t argc;
	char *env[AGENT_WORDS + 1];
	size_t env_count;
	char *directory;
	struct wire_terminal terminal;
	pid_t pid;
	int status; /* wait status, valid when `ended` */
	bool ended;
	int input; /* the command's stdin, or the terminal's other side; -1 */
	int output; /* its stdout, or the terminal's other side; -1 */
	int errors; /* its stderr; -1 */
	int signals; /* signalfd: SIGCHLD */
	char pending[WIRE_WINDOW]; /* input it has not taken yet */
	size_t pending_count;
	bool input_ended; /* close its stdin once nothing is pending */
};

static void agent_wait(int fd, short events)
{
	struct pollfd one = { .fd = fd, .events = events };

	while (poll(&one, 1, -1) < 0 && errno == EINTR)
		;
}

static void agent_write(const struct agent *agent, const void *data, size_t count)
{
	const char *at = data;

	while (count > 0) {
		ssize_t done = write(agent->port, at, count);

		if (done < 0 && errno != EAGAIN && errno != EINTR)
			exit(1);
		if (done <= 0) {
			agent_wait(agent->port, POLLOUT);
			continue;
		}
		at += done;
		count -= (size_t)done;
	}
}

static void agent_send(const struct agent *agent, enum wire_type type, const void *data,
		       size_t count)
{
	struct wire_header header = { .type = type, .length = (uint32_t)count };

	agent_write(agent, &header, sizeof(header));
	agent_write(agent, data, count);
}

/* Tell the host that the job cannot be run, and wait to be ended by it. */
__attribute__((noreturn, format(printf, 2, 3))) static void agent_fail(const struct agent *agent,
								       const char *format, ...)
{
	char text[512];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	agent_send(agent, WIRE_FAILED, text, strlen(text));
	for (;;)
		pause();
}

static void agent_read(const struct agent *agent, void *data, size_t count)
{
	char *at = data;

	while (count > 0) {
		ssize_t done = read(agent->port, at, count);

		if (done == 0 || (done < 0 && errno != EAGAIN && errno != EINTR))
			exit(1); /* the host is gone */
		if (done < 0) {
			agent_wait(agent->port, POLLIN);
			continue;
		}
		at += done;
		count -= (size_t)done;
	}
}

/* The next frame; its bytes, ended by a NUL of ours, are the caller's to free. */
static char *agent_receive(const struct agent *agent, struct wire_header *header)
{
	char *data;

	agent_read(agent, header, sizeof(*header));
	if (header->length > WIRE_MAX)
		agent_fail(agent, "a frame of %u bytes", header->length);
	data = malloc(header->length + 1U);
	if (!data)
		agent_fail(agent, "out of memory");
	agent_read(agent, data, header->length);
	data[header->length] = '\0';
	return data;
}

static void agent_open_port(struct agent *agent)
{
	const char *class = "/sys/class/virtio-ports";
	char path[512], name[64];
	struct dirent *entry;
	DIR *dir = opendir(class);

	while (dir && (entry = readdir(dir))) {
		FILE *file;

		snprintf(path, sizeof(path), "%s/%s/name", class, entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fgets(name, sizeof(name), file) && !strcmp(name, WIRE_PORT "\n")) {
			snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
			agent->port = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		}
		fclose(file);
	}
	if (dir)
		closedir(dir);
}

static void agent_mount(const struct agent *agent, const char *root, const char *data, size_t count)
{
	const char *tag = data, *path;
	char target[8192];

	if (strlen(tag) + 1 >= count)
		agent_fail(agent, "a share without a path");
	path = tag + strlen(tag) + 1;
	if (snprintf(target, sizeof(target), "%s%s", root, path) >= (int)sizeof(target))
		agent_fail(agent, "the path is too long: %s", path);
	if (mount(tag, target, "9p", 0, "trans=virtio,version=9p2000.L,msize=512000,cache=mmap") <
	    0)
		agent_fail(agent, "cannot mount %s: %s", path, strerror(errno));
}

static void agent_add(const struct agent *agent, char **list, size_t *count, char *word)
{
	if (*count >= AGENT_WORDS)
		agent_fail(agent, "too many arguments or variables");
	list[(*count)++] = word;
}

/* Collect the job up to RUN. */
static void agent_take_job(struct agent *agent, const char *root)
{
	struct wire_header header;

	for (;;) {
		char *data = agent_receive(agent, &header);

		switch (header.type) {
		case WIRE_MOUNT:
			agent_mount(agent, root, data, header.length);
			break;
		case WIRE_DIRECTORY:
			agent->directory = data;
			continue;
		case WIRE_ENV:
			agent_add(agent, agent->env, &agent->env_count, data);
			continue;
		case WIRE_ARG:
			agent_add(agent, agent->argv, &agent->argc, data);
			continue;
		case WIRE_TERMINAL:
			if (header.length == sizeof(agent->terminal))
				memcpy(&agent->terminal, data, sizeof(agent->terminal));
			break;
		case WIRE_RUN:
			free(data);
			return;
		default:
			break;
		}
		free(data);
	}
}

/* A moved mount, not only chroot: so that user namespaces and pivot_root work in there. */
static void agent_enter(const struct agent *agent, const char *root)
{
	if (chdir(root) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
		agent_fail(agent, "cannot enter %s: %s", root, strerror(errno));
	if (chdir(agent->directory) < 0)
		agent_fail(agent, "no directory %s: %s", agent->directory, strerror(errno));
}

static void agent_set_window(int fd, const struct wire_terminal *terminal)
{
	struct winsize size = { .ws_row = terminal->rows, .ws_col = terminal->columns };

	if (terminal->rows && terminal->columns)
		ioctl(fd, TIOCSWINSZ, &size);
}

/* The command's side: its three descriptors in place, then the command or 126/127. */
static void agent_exec(const struct agent *agent, const int fds[3], bool terminal)
{
	sigset_t none;
	int error;

	setsid();
	for (int i = 0; i < 3; i++)
		dup2(fds[i], i);
	if (terminal)
		ioctl(0, TIOCSCTTY, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	environ = (char **)agent->env;
	execvp(agent->argv[0], agent->argv);
	error = errno;
	dprintf(2, "lab: cannot run %s: %s\n", agent->argv[0], strerror(error));
	_exit(error == ENOENT ? 127 : 126);
}

static void agent_pipe(const struct agent *agent, int *ours, int *theirs, bool input)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		agent_fail(agent, "pipe: %s", strerror(errno));
	*ours = ends[input ? 1 : 0];
	*theirs = ends[input ? 0 : 1];
	fcntl(*ours, F_SETFL, O_NONBLOCK);
}

/* Start the command: each of its streams on the terminal where the host's is one, else a pipe. */
static void agent_start(struct agent *agent)
{
	unsigned int streams = agent->terminal.streams;
	int *ours[3] = { &agent->input, &agent->output, &agent->errors };
	int fds[3], master = -1, slave = -1;

	if (streams & 1) {
		if (openpty(&master, &slave, NULL, NULL, NULL) < 0)
			agent_fail(agent, "openpty: %s", strerror(errno));
		fcntl(master, F_SETFL, O_NONBLOCK);
		fcntl(master, F_SETFD, FD_CLOEXEC);
		fcntl(slave, F_SETFD, FD_CLOEXEC);
		agent_set_window(slave, &agent->terminal);
		agent->output = master;
	}
	for (int i = 0; i < 3; i++) {
		if ((streams & 1) && (streams >> i & 1))
			fds[i] = slave;
		else
			agent_pipe(agent, ours[i], &fds[i], i == 0);
	}
	if (streams & 1)
		agent->input = fcntl(master, F_DUPFD_CLOEXEC, 3);
	agent->pid = fork();
	if (agent->pid == 0)
		agent_exec(agent, fds, streams & 1);
	if (agent->pid < 0)
		agent_fail(agent, "fork: %s", strerror(errno));
	for (int i = 0; i < 3; i++)
		if (fds[i] != slave)
			close(fds[i]);
	if (slave >= 0)
		close(slave);
}

static void agent_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Carry what a stream has to the host; false when it has no more for now, or ever. */
static bool agent_carry(const struct agent *agent, int *fd, enum wire_type type)
{
	char data[WIRE_CHUNK];
	ssize_t count;

	if (*fd < 0)
		return false;
	count = read(*fd, data, sizeof(data));
	if (count > 0) {
		agent_send(agent, type, data, (size_t)count);
		return true;
	}
	if (count == 0 || (errno != EAGAIN && errno != EINTR))
		agent_close(fd);
	return false;
}

/* Give the command what is pending; what it can never take is dropped, and credited too. */
static void agent_feed(struct agent *agent)
{
	uint32_t taken = (uint32_t)agent->pending_count;

	if (agent->pending_count > 0 && agent->input >= 0) {
		ssize_t count = write(agent->input, agent->pending, agent->pending_count);

		if (count < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (count < 0)
			agent_close(&agent->input);
		else
			taken = (uint32_t)count;
	}
	agent->pending_count -= taken;
	memmove(agent->pending, agent->pending + taken, agent->pending_count);
	if (taken > 0)
		agent_send(agent, WIRE_CREDIT, &taken, sizeof(taken));
	if (agent->input_ended && agent->pending_count == 0)
		agent_close(&agent->input);
}

static void agent_handle(struct agent *agent)
{
	struct wire_header header;
	struct wire_terminal terminal;
	uint32_t number = 0;
	char *data = agent_receive(agent, &header);

	switch (header.type) {
	case WIRE_INPUT:
		if (header.length > sizeof(agent->pending) - agent->pending_count)
			agent_fail(agent, "more input than was asked for");
		memcpy(agent->pending + agent->pending_count, data, header.length);
		agent->pending_count += header.length;
		agent->input_ended |= header.length == 0;
		agent_feed(agent);
		break;
	case WIRE_WINDOW_SIZE:
		if (header.length == sizeof(terminal) && (agent->terminal.streams & 1)) {
			memcpy(&terminal, data, sizeof(terminal));
			agent_set_window(agent->input, &terminal);
		}
		break;
	case WIRE_SIGNAL:
		if (header.length == sizeof(number)) {
			memcpy(&number, data, sizeof(number));
			kill(-agent->pid, (int)number);
		}
		break;
	default:
		break;
	}
	free(data);
}

/* Process 1 collects everybody's children. */
static void agent_reap(struct agent *agent)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(agent->signals, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != agent->pid)
			continue;
		agent->status = status;
		agent->ended = true;
	}
}

static void agent_turn(struct agent *agent)
{
	struct pollfd fds[] = {
		{ .fd = agent->port, .events = POLLIN },
		{ .fd = agent->signals, .events = POLLIN },
		{ .fd = agent->output, .events = POLLIN },
		{ .fd = agent->errors, .events = POLLIN },
		{ .fd = agent->pending_count ? agent->input : -1, .events = POLLOUT },
	};

	if (poll(fds, 5, -1) < 0)
		return;
	if (fds[0].revents)
		agent_handle(agent);
	if (fds[2].revents)
		agent_carry(agent, &agent->output, WIRE_OUTPUT);
	if (fds[3].revents)
		agent_carry(agent, &agent->errors, WIRE_ERRORS);
	if (fds[4].revents)
		agent_feed(agent);
	if (fds[1].revents)
		agent_reap(agent);
}

/*
 * What the command left in its streams. A pipe has it at once; a terminal passes it on a moment
 * later, and tells the end by an error when nobody else holds it.
 */
static void agent_drain(struct agent *agent)
{
	while (agent_carry(agent, &agent->errors, WIRE_ERRORS))
		;
	while (agent->output >= 0) {
		struct pollfd one = { .fd = agent->output, .events = POLLIN };

		if (poll(&one, 1, agent->terminal.streams & 1 ? 50 : 0) <= 0)
			return;
		agent_carry(agent, &agent->output, WIRE_OUTPUT);
	}
}

int main(int argc, char **argv)
{
	static struct agent agent = { .port = -1, .input = -1, .output = -1, .errors = -1 };
	uint32_t status;
	sigset_t child;

	if (argc != 2)
		return 1;
	agent_open_port(&agent);
	if (agent.port < 0)
		return 1;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	signal(SIGPIPE, SIG_IGN);
	agent.signals = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
	agent_send(&agent, WIRE_READY, NULL, 0);
	agent_take_job(&agent, argv[1]);
	if (!agent.argc || !agent.directory)
		agent_fail(&agent, "no command");
	agent_enter(&agent, argv[1]);
	agent_start(&agent);
	while (!agent.ended)
		agent_turn(&agent);
	agent_drain(&agent);
	sync();
	status = (uint32_t)(WIFSIGNALED(agent.status) ? 128 + WTERMSIG(agent.status)
						      : WEXITSTATUS(agent.status));
	agent_send(&agent, WIRE_EXIT, &status, sizeof(status));
	for (;;)
		pause();
}
