// SPDX-License-Identifier: BSD-2-Clause
/*
 * host.c: the host's side of the lab (images/lab/lab is what people call, with the same options):
 * starts the machine, hands the agent its job (wire.h), carries the streams, the terminal's size
 * and signals, enforces the time limit and ends with the command's exit status. One thread.
 *
 * Exit statuses of its own: 125 the lab failed, 124 time ran out, 128+n ended by signal n.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"
#include "wire.h"

#define HOST_FAILED 125
#define HOST_TIMEOUT 124
#define HOST_GRACE_MS 3000 /* between asking the command to end and ending the machine */
#define HOST_START_MS 180000 /* an emulated machine on a loaded host */
#define HOST_ENDING_MS 2000 /* from QEMU letting go of its descriptors to its end */
#define HOST_LOG 16384 /* a kernel's last words with their traces */

struct host {
	struct machine machine;
	const char *names[32]; /* further variables: NAME or NAME=VALUE */
	size_t name_count;
	long limit_s; /* 0: none */
	bool verbose;
	int signals; /* signalfd */
	unsigned int streams; /* bit n: descriptor n is a terminal */
	bool raw; /* the terminal is to be restored */
	struct termios saved;
	int64_t start_ms; /* when the machine must have started; 0: it has */
	int64_t deadline_ms; /* 0: none; then `verdict` is the status */
	int verdict; /* 0: still running undisturbed */
	size_t credit; /* bytes of input the agent still takes */
	bool input_ended;
	char in[sizeof(struct wire_header) + WIRE_CHUNK]; /* the frame being received */
	size_t in_count;
	size_t out_done; /* bytes of its data already written to our stdout or stderr */
	char log[HOST_LOG]; /* the end of what QEMU and the console said */
	size_t log_count;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The only way out once the machine may run. */
__attribute__((noreturn)) static void host_end(struct host *host, int status)
{
	machine_stop(&host->machine);
	if (host->raw)
		tcsetattr(0, TCSADRAIN, &host->saved);
	exit(status);
}

__attribute__((noreturn, format(printf, 2, 3))) static void host_fail(struct host *host,
								      const char *format, ...)
{
	va_list list;

	machine_stop(&host->machine);
	if (host->raw)
		tcsetattr(0, TCSADRAIN, &host->saved);
	host->raw = false;
	fprintf(stderr, "lab: ");
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fprintf(stderr, "\n");
	if (host->log_count && !host->verbose) {
		fprintf(stderr, "lab: its last words:\n");
		fwrite(host->log, 1, host->log_count, stderr);
	}
	exit(HOST_FAILED);
}

/* The machine is gone or going: say why, with what it left in its log. */
__attribute__((noreturn)) static void host_lost(struct host *host);

static void host_write(struct host *host, const void *data, size_t count)
{
	const char *at = data;

	while (count > 0) {
		ssize_t done = write(host->machine.channel, at, count);

		if (done < 0 && errno == EAGAIN) {
			struct pollfd one = { .fd = host->machine.channel, .events = POLLOUT };

			poll(&one, 1, 1000);
			continue;
		}
		if (done < 0 && errno != EINTR)
			host_lost(host);
		if (done > 0) {
			at += done;
			count -= (size_t)done;
		}
	}
}

static void host_send(struct host *host, enum wire_type type, const void *data, size_t count)
{
	struct wire_header header = { .type = type, .length = (uint32_t)count };

	if (count > WIRE_MAX)
		host_fail(host, "an argument or variable is longer than %u bytes", WIRE_MAX);
	host_write(host, &header, sizeof(header));
	host_write(host, data, count);
}

/* Keep the end of the log; with -v show all of it. False when it has ended. */
static bool host_log(struct host *host)
{
	char data[HOST_LOG];
	ssize_t count = read(host->machine.log, data, sizeof(data));
	size_t new, old;

	if (count <= 0)
		return count < 0 && (errno == EAGAIN || errno == EINTR);
	if (host->verbose)
		fwrite(data, 1, (size_t)count, stderr);
	new = (size_t)count;
	old = host->log_count + new > HOST_LOG ? HOST_LOG - new : host->log_count;
	memmove(host->log, host->log + host->log_count - old, old);
	memcpy(host->log + old, data, new);
	host->log_count = old + new;
	return true;
}

/* How QEMU ended by itself, in words. */
static void host_ending(struct host *host, char *text, size_t size)
{
	int status = 0;

	if (!machine_ended(&host->machine, HOST_ENDING_MS, &status))
		snprintf(text, size, "QEMU closed its side but still runs");
	else if (WIFSIGNALED(status))
		snprintf(text, size, "QEMU was ended by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) != 0)
		snprintf(text, size, "QEMU failed with status %d", WEXITSTATUS(status));
	else
		snprintf(text, size, "it reset itself (a panic, or a triple fault)");
}

static void host_lost(struct host *host)
{
	struct pollfd one = { .fd = host->machine.log, .events = POLLIN };
	char how[128];

	while (poll(&one, 1, 200) > 0 && host_log(host))
		;
	host_ending(host, how, sizeof(how));
	host_fail(host, "the machine ended before the command did: %s", how);
}

static struct wire_terminal host_window(const struct host *host)
{
	struct wire_terminal terminal = { .streams = (uint16_t)host->streams };
	struct winsize size;

	if (ioctl(0, TIOCGWINSZ, &size) == 0) {
		terminal.rows = size.ws_row;
		terminal.columns = size.ws_col;
	}
	return terminal;
}

static void host_raw(struct host *host)
{
	struct termios raw;

	if (!(host->streams & 1) || tcgetpgrp(0) != getpgrp() || tcgetattr(0, &host->saved) < 0)
		return;
	raw = host->saved;
	cfmakeraw(&raw);
	host->raw = tcsetattr(0, TCSADRAIN, &raw) == 0;
}

static void host_send_variable(struct host *host, const char *name)
{
	const char *value = getenv(name);
	char *text;

	if (!value)
		return;
	if (asprintf(&text, "%s=%s", name, value) < 0)
		host_fail(host, "out of memory");
	host_send(host, WIRE_ENV, text, strlen(text));
	free(text);
}

/* Of the caller's environment what concerns terminal, language and candela; the rest stays here. */
static void host_send_environment(struct host *host)
{
	static const char *const fixed[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"CANDELA_LAB=1",
	};
	static const char *const names[] = { "HOME",     "TERM", "COLORTERM", "NO_COLOR", "LANG",
					     "LANGUAGE", "TZ",   "CI",        "VERBOSE" };

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		host_send(host, WIRE_ENV, fixed[i], strlen(fixed[i]));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		host_send_variable(host, names[i]);
	for (char **entry = environ; *entry; entry++)
		if (!strncmp(*entry, "LC_", 3) ||
		    (!strncmp(*entry, "CANDELA_", 8) && strncmp(*entry, "CANDELA_LAB=", 12)))
			host_send(host, WIRE_ENV, *entry, strlen(*entry));
	for (size_t i = 0; i < host->name_count; i++) {
		if (strchr(host->names[i], '='))
			host_send(host, WIRE_ENV, host->names[i], strlen(host->names[i]));
		else
			host_send_variable(host, host->names[i]);
	}
}

static void host_send_job(struct host *host, char **command)
{
	struct wire_terminal terminal = host_window(host);
	char *directory = getcwd(NULL, 0);

	if (!directory)
		host_fail(host, "no current directory: %s", strerror(errno));
	for (size_t i = 0; i < host->machine.share_count; i++) {
		char data[8192];
		int count =
			snprintf(data, sizeof(data), "share%zu%c%s", i, 0, host->machine.shares[i]);

		if (count >= (int)sizeof(data))
			host_fail(host, "the path is too long: %s", host->machine.shares[i]);
		host_send(host, WIRE_MOUNT, data, (size_t)count + 1);
	}
	host_send(host, WIRE_DIRECTORY, directory, strlen(directory));
	free(directory);
	host_send_environment(host);
	for (; *command; command++)
		host_send(host, WIRE_ARG, *command, strlen(*command));
	host_send(host, WIRE_TERMINAL, &terminal, sizeof(terminal));
	host_send(host, WIRE_RUN, NULL, 0);
}

static void host_input(struct host *host)
{
	char data[WIRE_CHUNK];
	size_t want = host->credit < sizeof(data) ? host->credit : sizeof(data);
	ssize_t count = read(0, data, want);

	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count < 0)
		count = 0;
	host_send(host, WIRE_INPUT, data, (size_t)count);
	host->credit -= (size_t)count;
	host->input_ended = count == 0;
}

/* Ask the command to end with `number`; the machine follows with `verdict` in a moment. */
static void host_ask(struct host *host, uint32_t number, int verdict)
{
	if (host->verdict)
		host_end(host, host->verdict); /* asked twice */
	if (host->start_ms)
		host_end(host, verdict); /* nobody to ask yet */
	host->verdict = verdict;
	host->deadline_ms = now_ms() + HOST_GRACE_MS;
	host_send(host, WIRE_SIGNAL, &number, sizeof(number));
}

static void host_signal(struct host *host)
{
	struct signalfd_siginfo info;
	struct wire_terminal terminal;

	if (read(host->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH) {
		terminal = host_window(host);
		host_send(host, WIRE_WINDOW_SIZE, &terminal, sizeof(terminal));
		return;
	}
	host_ask(host, info.ssi_signo, 128 + (int)info.ssi_signo);
}

/* A whole frame other than output has come. */
static void host_answer(struct host *host, const struct wire_header *header, char *data)
{
	uint32_t number = 0;

	if (header->length == sizeof(number))
		memcpy(&number, data, sizeof(number));
	switch (header->type) {
	case WIRE_READY:
		host->start_ms = 0;
		break;
	case WIRE_CREDIT:
		host->credit += number;
		break;
	case WIRE_EXIT:
		host_end(host, host->verdict ? host->verdict : (int)(number & 255));
	case WIRE_FAILED:
		host_fail(host, "%.*s", (int)header->length, data);
	default:
		host_fail(host, "the agent sent a frame of type %u", header->type);
	}
}

/* Descriptor the frame's data goes to; -1: none. */
static int host_frame_target(const struct wire_header *header)
{
	if (header->type == WIRE_OUTPUT)
		return 1;
	return header->type == WIRE_ERRORS ? 2 : -1;
}

/* The frame at hand, if it is whole: true, with its header. */
static bool host_frame(const struct host *host, struct wire_header *header)
{
	if (host->in_count < sizeof(*header))
		return false;
	memcpy(header, host->in, sizeof(*header));
	return host->in_count == sizeof(*header) + header->length;
}

/* Receive more of the frame at hand, never of the one behind it. */
static void host_receive(struct host *host)
{
	struct wire_header header;
	size_t want = sizeof(header);
	ssize_t count;

	if (host->in_count >= sizeof(header)) {
		memcpy(&header, host->in, sizeof(header));
		want += header.length;
	}
	if (want > sizeof(host->in))
		host_fail(host, "the agent sent a frame of %u bytes", header.length);
	count = read(host->machine.channel, host->in + host->in_count, want - host->in_count);
	if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR))
		host_lost(host);
	if (count > 0)
		host->in_count += (size_t)count;
	if (host_frame(host, &header) && host_frame_target(&header) < 0) {
		host->in_count = 0;
		host_answer(host, &header, host->in + sizeof(header));
	}
}

/* Write some of the frame's data; a small piece, which a ready pipe takes without blocking. */
static void host_output(struct host *host, int fd, const struct wire_header *header)
{
	size_t left = header->length - host->out_done;
	ssize_t count =
		write(fd, host->in + sizeof(*header) + host->out_done, left > 4096 ? 4096 : left);

	if (count < 0 && errno != EAGAIN && errno != EINTR)
		host_end(host, errno == EPIPE ? 128 + SIGPIPE : HOST_FAILED);
	if (count > 0)
		host->out_done += (size_t)count;
	if (host->out_done == header->length) {
		host->out_done = 0;
		host->in_count = 0;
	}
}

static int host_poll_ms(const struct host *host)
{
	int64_t left = 60000, now = now_ms();

	if (host->deadline_ms && host->deadline_ms - now < left)
		left = host->deadline_ms - now;
	if (host->start_ms && host->start_ms - now < left)
		left = host->start_ms - now;
	return left < 0 ? 0 : (int)left;
}

static void host_deadline(struct host *host)
{
	if (host->start_ms && now_ms() >= host->start_ms)
		host_fail(host, "the machine did not start within %d s", HOST_START_MS / 1000);
	if (!host->deadline_ms || now_ms() < host->deadline_ms)
		return;
	if (host->verdict)
		host_end(host, host->verdict);
	if (host->raw)
		tcsetattr(0, TCSADRAIN, &host->saved);
	host->raw = false;
	fprintf(stderr, "lab: the time limit of %ld s ran out\n", host->limit_s);
	host_ask(host, SIGTERM, HOST_TIMEOUT);
}

static void host_turn(struct host *host)
{
	struct wire_header header = { 0 };
	bool full = host_frame(host, &header);
	int target = full ? host_frame_target(&header) : -1;
	struct pollfd fds[] = {
		{ .fd = host->signals, .events = POLLIN },
		{ .fd = host->machine.log, .events = POLLIN },
		{ .fd = full ? target : host->machine.channel, .events = full ? POLLOUT : POLLIN },
		{ .fd = host->input_ended || !host->credit ? -1 : 0, .events = POLLIN },
	};

	if (poll(fds, 4, host_poll_ms(host)) < 0 && errno != EINTR)
		host_fail(host, "poll: %s", strerror(errno));
	if (fds[0].revents)
		host_signal(host);
	if (fds[1].revents && !host_log(host))
		host_lost(host);
	if (fds[2].revents && full)
		host_output(host, target, &header);
	else if (fds[2].revents)
		host_receive(host);
	if (fds[3].revents)
		host_input(host);
	host_deadline(host);
}

/* The options images/lab/lab documents, and -q -p -k -b which it adds. */
static void host_options(struct host *host, int argc, char **argv)
{
	struct machine *machine = &host->machine;
	int option;

	while ((option = getopt(argc, argv, "+q:p:k:b:w:c:m:t:e:nv")) != -1) {
		switch (option) {
		case 'q':
			machine->qemu = optarg;
			break;
		case 'p':
			machine->preload = optarg;
			break;
		case 'k':
			machine->kernel = optarg;
			break;
		case 'b':
			machine->boot = optarg;
			break;
		case 'c':
			machine->cpus = optarg;
			break;
		case 'm':
			machine->memory = optarg;
			break;
		case 'n':
			machine->network = true;
			break;
		case 'v':
			host->verbose = true;
			break;
		case 't':
			host->limit_s = strtol(optarg, NULL, 10);
			break;
		case 'w':
			if (machine->share_count == MACHINE_SHARES)
				host_fail(host, "more than %d writable directories",
					  MACHINE_SHARES);
			machine->shares[machine->share_count++] = optarg;
			break;
		case 'e':
			if (host->name_count == sizeof(host->names) / sizeof(host->names[0]))
				host_fail(host, "too many -e");
			host->names[host->name_count++] = optarg;
			break;
		default:
			exit(HOST_FAILED);
		}
	}
	if (!machine->qemu || !machine->preload || !machine->kernel || !machine->boot ||
	    optind == argc)
		host_fail(host, "started wrongly: use images/lab/lab");
}

/* Descriptors 0 to 2 exist, and signals come by a descriptor from now on. */
static void host_prepare(struct host *host)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH };
	sigset_t set;
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= 2);
	close(fd);
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	host->signals = signalfd(-1, &set, SFD_CLOEXEC);
	for (int i = 0; i < 3; i++)
		host->streams |= isatty(i) ? 1U << i : 0;
}

int main(int argc, char **argv)
{
	static struct host host = {
		.machine = { .cpus = "2", .memory = "4G", .channel = -1, .log = -1 },
		.credit = WIRE_WINDOW,
	};
	int error;

	host_options(&host, argc, argv);
	host_prepare(&host);
	if (host.limit_s > 0)
		host.deadline_ms = now_ms() + host.limit_s * 1000;
	host.start_ms = now_ms() + HOST_START_MS;
	error = machine_start(&host.machine);
	if (error)
		host_fail(&host, "cannot start QEMU: %s", strerror(-error));
	host_raw(&host);
	host_send_job(&host, argv + optind);
	for (;;)
		host_turn(&host);
}
