/* SPDX-License-Identifier: BSD-2-Clause */
/* Arming: the filters themselves come from the profiles, by way of compile.c. */
#include "seccomp/seccomp.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "seccomp/filters.h"

/* clang-format off */
static const struct sandbox_filter {
	const char *name;
	const struct sock_filter *trap, *log;
	unsigned short trap_len, log_len;
	const char *const *calls;
} filters[SANDBOX_ROLES] = {
#define FILTER(role) \
	{ #role, filter_##role##_trap, filter_##role##_log, ARRAY_SIZE(filter_##role##_trap), \
	  ARRAY_SIZE(filter_##role##_log), filter_##role##_calls }
	[SANDBOX_MAIN] = FILTER(main),
	[SANDBOX_IO] = FILTER(io),
	[SANDBOX_VCPU] = FILTER(vcpu),
	[SANDBOX_SLIRP] = FILTER(slirp),
	[SANDBOX_WORKER] = FILTER(worker),
	[SANDBOX_NBD] = FILTER(nbd),
#undef FILTER
};
/* clang-format on */

/* Who made a forbidden call: the handler has no other way to know. */
static _Thread_local const char *thread_name = "main";

const char *sandbox_role_name(enum sandbox_role role)
{
	return filters[role].name;
}

const char *const *sandbox_calls(enum sandbox_role role)
{
	return filters[role].calls;
}

/* ---- A violation ---------------------------------------------------------------------------- */

/* A line put together without stdio, which a signal handler must not touch. */
struct words {
	char text[512];
	size_t len;
};

static void words_add(struct words *w, const char *text)
{
	while (*text && w->len < sizeof(w->text))
		w->text[w->len++] = *text++;
}

static void words_add_number(struct words *w, u64 n, unsigned base)
{
	char digits[24];
	size_t i = sizeof(digits) - 1;

	digits[i] = '\0';
	do
		digits[--i] = "0123456789abcdef"[n % base];
	while (n /= base);
	words_add(w, base == 16 ? "0x" : "");
	words_add(w, digits + i);
}

static const char *call_name(int number)
{
	const char *name = NULL;

	if (number >= 0 && (size_t)number < ARRAY_SIZE(filter_call_names))
		name = filter_call_names[number];
	return name ? name : "unknown";
}

static void name_violation(int signal, siginfo_t *info, void *context)
{
	const greg_t *reg = ((const ucontext_t *)context)->uc_mcontext.gregs;
	struct words w = { .len = 0 };

	(void)signal;
	words_add(&w, "candela: sandbox: thread ");
	words_add(&w, thread_name);
	words_add(&w, " made the forbidden call ");
	words_add(&w, call_name(info->si_syscall));
	words_add(&w, " (");
	words_add_number(&w, (u64)info->si_syscall, 10);
	words_add(&w, "), arguments ");
	words_add_number(&w, (u64)reg[REG_RDI], 16);
	words_add(&w, " ");
	words_add_number(&w, (u64)reg[REG_RSI], 16);
	words_add(&w, " ");
	words_add_number(&w, (u64)reg[REG_RDX], 16);
	words_add(&w, "; run with --sandbox log or off to find out why\n");
	syscall(SYS_write, STDERR_FILENO, w.text, w.len);
	/* Not _exit(): before a call that does not return, sanitizers make calls of their own. */
	syscall(SYS_exit_group, 1);
}

static int catch_violations(void)
{
	struct sigaction action = { .sa_sigaction = name_violation, .sa_flags = SA_SIGINFO };

	sigfillset(&action.sa_mask);
	return sigaction(SIGSYS, &action, NULL) ? -errno : 0;
}

/* ---- The process ---------------------------------------------------------------------------- */

static int __attribute__((format(printf, 4, 5)))
explain(int err, char *error, size_t error_size, const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(error, error_size, "sandbox: ");

	va_start(ap, fmt);
	if (n > 0 && (size_t)n < error_size)
		vsnprintf(error + n, error_size - (size_t)n, fmt, ap);
	va_end(ap);
	return err;
}

/* Every set, for good. Only who may set capabilities can empty the bounding set; no need else. */
static int drop_capabilities(void)
{
	bool bounding;

	if (capng_get_caps_process())
		return -EIO;
	bounding = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	capng_clear(CAPNG_SELECT_ALL);
	if (bounding && capng_apply(CAPNG_SELECT_BOUNDS))
		return -EPERM;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
		return -errno;
	return capng_apply(CAPNG_SELECT_CAPS) ? -EPERM : 0;
}

/* The memory of a guest is nobody's business: not a core file's, not another process's. */
static int hide_memory(void)
{
	struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return -errno;
	return 0;
}

static int check_actions(enum sandbox_mode mode)
{
	u32 action = mode == SANDBOX_LOG ? SECCOMP_RET_LOG : SECCOMP_RET_TRAP;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) ? -errno : 0;
}

int sandbox_process(enum sandbox_mode mode, char *error, size_t error_size)
{
	int err;

	if (mode == SANDBOX_OFF)
		return 0;
	err = check_actions(mode);
	if (err)
		return explain(
			err, error, error_size,
			"this kernel has no system call filters (%s); run with --sandbox off",
			strerror(-err));
	/* libc reads the time zone's file at the first use of a date, which would be too late. */
	tzset();
	/*
	 * Nor may it look into /proc before it shrinks a thread's heap: threads share the main one.
	 */
	mallopt(M_ARENA_MAX, 1);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return explain(-errno, error, error_size,
			       "cannot give up new privileges (%s); run with --sandbox off",
			       strerror(errno));
	err = drop_capabilities();
	if (!err)
		err = hide_memory();
	if (!err && mode != SANDBOX_LOG)
		err = catch_violations();
	if (err)
		return explain(err, error, error_size,
			       "cannot drop privileges (%s); run with --sandbox off",
			       strerror(-err));
	return 0;
}

/* ---- A thread ------------------------------------------------------------------------------- */

/*
 * glibc gives a thread its heap at its first malloc(), and reads /sys then. vCPU threads do not
 * allocate.
 */
static void prepare_heap(void)
{
	void *volatile first = malloc(1);

	free(first);
}

/* The kernel kills a process that blocks it, and nobody learns which call it was. */
static void unblock_violations(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int sandbox_thread(enum sandbox_mode mode, enum sandbox_role role)
{
	const struct sandbox_filter *f = &filters[role];
	bool log = mode == SANDBOX_LOG;
	struct sock_fprog program = {
		.len = log ? f->log_len : f->trap_len,
		.filter = (struct sock_filter *)(log ? f->log : f->trap),
	};

	thread_name = f->name;
	/* The main thread's name is the program's, in ps and elsewhere. */
	if (role != SANDBOX_MAIN)
		prctl(PR_SET_NAME, f->name, 0, 0, 0);
	if (mode == SANDBOX_OFF)
		return 0;
	if (role != SANDBOX_VCPU)
		prepare_heap();
	unblock_violations();
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) ? -errno : 0;
}
