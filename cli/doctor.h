/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `candela doctor`: what this host offers a guest, and what to do about the rest. Three steps:
 * doctor_look() gathers facts, doctor_judge() turns them into findings (pure), doctor_main()
 * prints those.
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "base/types.h"
#include "hyperv/hyperv.h"

#define DOCTOR_NEEDS_MAX 64

/* What was found on the host. */
struct doctor_host {
	int kvm_error; /* errno of opening /dev/kvm for use, 0: it is open to us */
	int kvm_api; /* its version; 12 is the only one there ever was */
	char kvm_group[33]; /* whose members may use /dev/kvm; "": no group may */
	bool kvm_member; /* the user is in it, but this login is older than that */
	char user[33];
	bool vmx, svm; /* hardware virtualization, as the CPU's flags say */
	struct hyperv_need need[DOCTOR_NEEDS_MAX];
	unsigned need_count;
	enum hyperv_choice best;
	struct hyperv_feature feature[HYPERV_FEATURES_MAX];
	unsigned feature_count;
	int uring_error; /* errno of making a ring */
	bool uring_usable; /* it can do what ours do */
	bool storage_daemon; /* a qemu-storage-daemon is in PATH */
	u64 files; /* that a process may open, as far as its user may raise it; or RLIM_INFINITY */
	char thp[16]; /* "always", "madvise", "never"; "": not known to this kernel */
	int seccomp_error; /* errno of asking for the filter actions */
	int tun_error; /* errno of opening /dev/net/tun */
	u64 memory; /* bytes available */
};

enum doctor_state { DOCTOR_OK, DOCTOR_DEGRADED, DOCTOR_MISSING };

struct doctor_item {
	const char *name; /* stable, for programs */
	enum doctor_state state;
	char text[256]; /* what is there */
	char advice[256]; /* what to do, "" where nothing needs doing */
};

struct doctor_report {
	bool ok; /* a stock guest can run here */
	const char *backend; /* of --hyperv auto; NULL: none can work */
	struct doctor_item item[16];
	unsigned count;
};

void doctor_look(struct doctor_host *h);
void doctor_judge(struct doctor_report *r, const struct doctor_host *h);

/* Whether text (of /proc/cpuinfo) lists flag among its first processor's flags. */
bool doctor_cpu_has(const char *text, const char *flag);
/* The same for this host's vmx and svm. */
void doctor_cpu(bool *vmx, bool *svm);

/* Whether execvp() would find the program, whose name has no slash, by PATH. */
bool doctor_in_path(const char *program);

/* Reads the beginning of a file as text; "" where it cannot be read. */
void doctor_read(const char *path, char *text, size_t size);

/*
 * Whether the KVM at hand runs on hardware virtualization (vmx or svm among the CPU's flags); a
 * KVM without it cannot run a stock kernel. Any thread, before the sandbox.
 */
bool doctor_stock_guest_ok(void);

/* The command. argc counts what follows "doctor". The exit status: 0 ok, 1 not, 2 usage. */
int doctor_main(int argc, char **argv);

#endif
