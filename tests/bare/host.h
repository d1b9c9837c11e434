/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host of bare test guests: /dev/kvm, vmm/ and hyperv/, one guest a run, and what bare_proto.h
 * promises the guest.
 */
#ifndef TESTS_BARE_HOST_H
#define TESTS_BARE_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hyperv/hyperv.h"
#include "hyperv/synic.h"
#include "vmm/vm.h"

struct guest {
	const char *name; /* NAME.elf of the build */
	unsigned vps; /* 0: one */
	const char *features; /* as of --hyperv-features; NULL: the policy's */
};

enum { FD_DONE, FD_INBOX, FD_DOORBELL, FD_FREE, FD_STORM, FDS };

struct host {
	struct vm vm;
	struct hyperv *hv;
	enum hyperv_choice choice;
	char error[4096];
	int fd[FDS];
	char text[4096];
	size_t text_len;
	_Atomic u32 verdict;
	_Atomic u32 end; /* enum vm_end, or NO_END */
	u64 end_value; /* of vm_report_end() */
	bool late; /* the deadline passed */
	/* The message under way: from the VP's thread, handed over by FD_INBOX. */
	_Atomic u32 word;
	_Atomic bool blocked;
	u32 copies, busy;
	/* The request under way, the VP's thread's own, and the storm, handed over by FD_STORM. */
	u32 argument, result;
	_Atomic u64 storm; /* flags << 32 | vp << 8 | sint */
	_Atomic u32 slot_frees[LAYOUT_CPUS_MAX][HV_SINTS];
	/* The Hyper-V layer's hook, and how often the signal port reached it. */
	bool (*out32)(void *ctx, struct vcpu *vcpu, u16 port, u32 value);
	u32 signal_exits;
};

#define NO_VERDICT UINT32_MAX
#define NO_END UINT32_MAX

/*
 * Runs a guest until it is done, and leaves it stopped; skips where the host has no such back end.
 */
void host_run(struct host *h, const struct guest *guest, enum hyperv_choice choice);
void host_fini(struct host *h);

/* Runs a guest that must pass: its verdict is the line that failed. */
void host_run_passing(struct host *h, const struct guest *guest, enum hyperv_choice choice);

/* ---- host_ask.c: requests -------------------------------------------------------------------- */

/* The two ports, for io_add(). */
void ask_write(void *ctx, u64 offset, const void *data, unsigned len);
void ask_read(void *ctx, u64 offset, void *data, unsigned len);
/* The main thread's part. */
void ask_storm(struct host *h);

#endif
