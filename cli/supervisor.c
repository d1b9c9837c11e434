/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "cli/result.h"
#include "cli/terminal.h"
#include "machine.h"
#include "vmbus/trace.h"

/* Open files, where the hard limit has so many. */
#define DESCRIPTORS 65536u

/* How long a machine told to stop may take for its last writes. */
#define GRACE_NS (5 * NSEC_PER_SEC)

#define STATUS_TIMEOUT 124

struct supervisor {
	const struct config *config;
	struct machine_files files;
	struct outcome *outcome; /* shared with the machine's process */
	sigset_t signals; /* blocked, and taken by wait_signal() */
	u64 deadline_ns; /* 0: none */
	pid_t machine;
	int exit_signal; /* that ended us, 0: none */
	bool timed_out;
};

static void outcome_set(struct outcome *o, enum outcome_reason reason, int status, const char *text)
{
	o->reason = reason;
	o->status = status;
	snprintf(o->text, sizeof(o->text), "%s", text);
}

/* The next of our signals, or 0 at deadline_ns (0: none). */
static int wait_signal(const struct supervisor *s, u64 deadline_ns)
{
	for (;;) {
		u64 now = loop_now_ns();
		u64 left = deadline_ns > now ? deadline_ns - now : 0;
		struct timespec ts = { .tv_sec = (time_t)(left / NSEC_PER_SEC),
				       .tv_nsec = (long)(left % NSEC_PER_SEC) };
		int n = deadline_ns ? sigtimedwait(&s->signals, NULL, &ts)
				    : sigwaitinfo(&s->signals, NULL);

		if (n > 0 || (n < 0 && errno == EAGAIN))
			return MAX(n, 0);
	}
}

/* Waits until the machine's process has ended; true when it has. */
static bool reap(struct supervisor *s, int *wstatus)
{
	return waitpid(s->machine, wstatus, WNOHANG) == s->machine;
}

/* First asks, so that the machine finishes its writes, then insists. */
static void stop_machine(struct supervisor *s, int *wstatus)
{
	u64 deadline = loop_now_ns() + GRACE_NS;

	kill(s->machine, SIGTERM);
	while (!reap(s, wstatus)) {
		if (wait_signal(s, deadline))
			continue;
		kill(s->machine, SIGKILL);
		waitpid(s->machine, wstatus, 0);
		break;
	}
}

static int wait_machine(struct supervisor *s)
{
	int wstatus = 0;

	while (!reap(s, &wstatus)) {
		int n = wait_signal(s, s->deadline_ns);

		if (n == SIGCHLD)
			continue;
		s->timed_out = !n;
		s->exit_signal = n;
		stop_machine(s, &wstatus);
		break;
	}
	/* Who wanted it ended meanwhile wants no other start, either. */
	for (int n; (n = wait_signal(s, 1));)
		if (n != SIGCHLD && !s->exit_signal)
			s->exit_signal = n;
	return wstatus;
}

/* In the machine's process. */
static void __attribute__((noreturn)) run_machine(struct supervisor *s, pid_t parent)
{
	/* Nobody may keep a guest that its supervisor lost. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		machine_run(s->config, &s->files, s->outcome);
	_exit(0);
}

/* The machine's process may have been the guest's: what it left is made fit to be used. */
static void outcome_check(struct outcome *o)
{
	if ((unsigned)o->reason > OUTCOME_SIGNAL)
		o->reason = OUTCOME_NONE;
	o->text[sizeof(o->text) - 1] = '\0';
	o->crash[sizeof(o->crash) - 1] = '\0';
	o->hyperv[sizeof(o->hyperv) - 1] = '\0';
	o->channel_count = MIN(o->channel_count, OUTCOME_CHANNELS_MAX);
	for (unsigned i = 0; i < o->channel_count; i++)
		o->channel[i].device[sizeof(o->channel[i].device) - 1] = '\0';
	o->disk_count = MIN(o->disk_count, CONFIG_DISKS_MAX);
	for (unsigned i = 0; i < o->disk_count; i++)
		o->disk[i].name[sizeof(o->disk[i].name) - 1] = '\0';
}

/* Whether the machine's word is the last one: no guest is started again for who wants it ended. */
static bool outcome_final(const struct supervisor *s)
{
	bool again = s->outcome->reason == OUTCOME_REBOOT && !s->config->reboot_exits;

	return s->outcome->reason != OUTCOME_NONE && !(again && (s->timed_out || s->exit_signal));
}

/* What the supervisor knows better than the machine. */
static void judge(struct supervisor *s, int wstatus)
{
	struct outcome *o = s->outcome;
	char text[sizeof(o->text)];

	outcome_check(o);
	if (outcome_final(s))
		return;
	if (s->timed_out) {
		snprintf(text, sizeof(text), "the time limit of %u s ran out%s",
			 s->config->timeout_s,
			 o->vmbus_contacted || !o->linux_guest
				 ? ""
				 : "; the guest never contacted the VMBus (is hv_vmbus in its "
				   "initrd?)");
		outcome_set(o, OUTCOME_TIMEOUT, STATUS_TIMEOUT, text);
	} else if (s->exit_signal) {
		outcome_set(o, OUTCOME_SIGNAL, 128 + s->exit_signal, "");
	} else if (WIFSIGNALED(wstatus)) {
		snprintf(text, sizeof(text), "the machine's process was killed by signal %d (%s)",
			 WTERMSIG(wstatus), strsignal(WTERMSIG(wstatus)));
		outcome_set(o, OUTCOME_HOST, 1, text);
	} else {
		/* It said why on stderr: the sandbox's handler can do no more than that. */
		outcome_set(o, OUTCOME_HOST, 1,
			    WEXITSTATUS(wstatus) ? "the machine's process stopped itself; see above"
						 : "the machine's process ended without a word");
	}
}

/* One start of the guest. */
static void run_once(struct supervisor *s)
{
	pid_t parent = getpid();
	char error[512];

	memset(s->outcome, 0, sizeof(*s->outcome));
	if (machine_files_connect(&s->files, error, sizeof(error))) {
		outcome_set(s->outcome, OUTCOME_HOST, 1, error);
		return;
	}
	s->machine = fork();
	if (!s->machine)
		run_machine(s, parent);
	if (s->machine < 0)
		outcome_set(s->outcome, OUTCOME_HOST, 1, strerror(errno));
	machine_files_let_go(&s->files);
	if (s->machine > 0)
		judge(s, wait_machine(s));
}

/* Line by line: of one long line the log would cut the end, which says most. */
static void log_last_words(const char *text)
{
	log_info("the guest's last words:");
	while (*text) {
		size_t len = strcspn(text, "\n");

		log_info("%.*s", (int)len, text);
		text += len + !!text[len];
	}
}

/* Says how it ended, on stderr and in --result. The exit status. */
static int report(const struct config *config, const struct outcome *o)
{
	struct result r = { .reason = o->reason,
			    .status = o->status,
			    .detail = o->text,
			    .vmbus_version = o->vmbus_version,
			    .hyperv = o->hyperv,
			    .channel = o->channel,
			    .channel_count = o->channel_count,
			    .disk = o->disk,
			    .disk_count = o->disk_count };
	int err;

	if (o->text[0])
		log_error("%s", o->text);
	if (o->crash[0])
		log_last_words(o->crash);
	if (!config->result)
		return o->status;
	err = result_write(config->result, &r);
	if (!err)
		return o->status;
	log_error("--result %s: %s", config->result, strerror(-err));
	return 1;
}

static void catch_signals(struct supervisor *s)
{
	static const int wanted[] = { SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT };

	sigemptyset(&s->signals);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		sigaddset(&s->signals, wanted[i]);
	sigprocmask(SIG_BLOCK, &s->signals, NULL);
}

static void run_to_the_end(struct supervisor *s)
{
	struct terminal terminal = { 0 };

	if (s->config->console == CONSOLE_STDIO)
		terminal_raw(&terminal);
	do
		run_once(s);
	while (s->outcome->reason == OUTCOME_REBOOT && !s->config->reboot_exits);
	terminal_restore(&terminal);
}

/* The log of events, for this process and those it forks. */
static int open_trace(const struct config *config, char *error, size_t size)
{
	const char *events = config->trace           ? config->trace
			     : config->verbosity > 1 ? VMBUS_EVENTS_CONTROL
						     : NULL;
	int err = events ? trace_open(config->trace_file) : 0;

	if (err) {
		snprintf(error, size, "--trace %s: %s", config->trace, strerror(-err));
		return -EINVAL;
	}
	if (events)
		trace_log(vmbus_events, ARRAY_SIZE(vmbus_events), events);
	return 0;
}

/* The usual soft limit, 1024, is there for programs with select(); a large guest needs more. */
static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = MAX(limit.rlim_cur, MIN(limit.rlim_max, DESCRIPTORS));
	setrlimit(RLIMIT_NOFILE, &limit);
}

int supervisor_run(const struct config *config)
{
	struct supervisor s = { .config = config };
	char error[1024] = "";
	int err = config->result ? result_check(config->result) : 0, status;

	/* Better now than after hours of a guest. */
	if (err) {
		log_error("--result %s: %s", config->result, strerror(-err));
		return 2;
	}
	/*
	 * A limit on the size of files is an error of who writes, here and in the machine's
	 * process.
	 */
	signal(SIGXFSZ, SIG_IGN);
	/* Whoever started us may ignore it: then the kernel would not keep how children ended. */
	signal(SIGCHLD, SIG_DFL);
	allow_descriptors();
	s.outcome = mmap(NULL, sizeof(*s.outcome), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s.outcome == MAP_FAILED) {
		log_error("out of memory");
		return 1;
	}
	if (config->timeout_s)
		s.deadline_ns = loop_now_ns() + config->timeout_s * NSEC_PER_SEC;
	err = open_trace(config, error, sizeof(error))
		      ?: machine_files_open(&s.files, config, error, sizeof(error));
	/*
	 * Not before: a pipe, or a server that says nothing, is waited for as long as the user
	 * likes.
	 */
	catch_signals(&s);
	if (err == -EINVAL)
		outcome_set(s.outcome, OUTCOME_USAGE, 2, error);
	else if (err)
		outcome_set(s.outcome, OUTCOME_HOST, 1, error);
	else
		run_to_the_end(&s);
	status = report(config, s.outcome);
	machine_files_close(&s.files, config);
	trace_close();
	munmap(s.outcome, sizeof(*s.outcome));
	return status;
}

int supervisor_refuse(const struct config *config, const char *why)
{
	struct outcome o = { 0 };

	outcome_set(&o, OUTCOME_USAGE, 2, why);
	return report(config, &o);
}
