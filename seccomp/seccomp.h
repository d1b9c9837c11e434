/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sandbox: one system-call allow-list per thread role, written as readable *.profile files in
 * this folder, compiled to BPF by libseccomp at build time and embedded. Armed before the first
 * guest instruction, last thing in each thread's start.
 */
#ifndef SECCOMP_SECCOMP_H
#define SECCOMP_SECCOMP_H

#include "base/types.h"

enum sandbox_mode {
	SANDBOX_ON, /* a violation ends the program; thread and call are named */
	SANDBOX_OFF,
	SANDBOX_LOG, /* a violation is logged by the kernel and allowed */
	SANDBOX_STRICT, /* as ON, and the host must support every part of the sandbox */
};

enum sandbox_role {
	SANDBOX_MAIN,
	SANDBOX_IO,
	SANDBOX_VCPU,
	SANDBOX_SLIRP,
	SANDBOX_WORKER,
	SANDBOX_NBD,
	SANDBOX_ROLES
};

/* "main", "io", "vcpu", "slirp", "worker", "nbd". */
const char *sandbox_role_name(enum sandbox_role role);

/*
 * For the whole process, once, on the main thread before other threads start: no_new_privs, all
 * capabilities dropped, no core dumps with guest memory, the handler that names violations. 0, or
 * -errno with a sentence for the user in error.
 */
int sandbox_process(enum sandbox_mode mode, char *error, size_t error_size);

/*
 * Arms role's filter on the calling thread (and names it). The main thread arms last: threads
 * started afterwards would inherit its filter. 0 or -errno.
 */
int sandbox_thread(enum sandbox_mode mode, enum sandbox_role role);

/* The names of the calls on role's allow-list, then NULL; for tests. */
const char *const *sandbox_calls(enum sandbox_role role);

#endif
