/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of the interface, read out of a stopped machine and put into a fresh one: what the
 * guest set up and what is under way. Guest RAM, the processors and their local APICs are not here;
 * they are saved beside it, and come first when a machine is restored: RAM (with our overlay pages
 * in it, as the guest sees them), then the processors with their TSCs, then this, then the devices.
 *
 * It is the same for both back ends, so that a guest may go from one to the other as far as it is
 * offered the same features. A plain struct; whoever writes it to a file gives it a form there.
 */
#ifndef HYPERV_STATE_H
#define HYPERV_STATE_H

#include "base/types.h"
#include "hyperv/tlfs.h"

struct hyperv;

/* An overlay page, and what the guest gets back when it goes. */
struct hyperv_page_state {
	bool placed;
	u32 order; /* of several on one page the higher lies above */
	u64 gpa;
	u8 under[HV_PAGE_SIZE];
};

struct hyperv_stimer_state {
	u64 config, count; /* the MSRs */
	u64 due; /* reference time; 0: KVM keeps it, or not armed */
	bool waiting; /* its message has found the slot full */
};

struct hyperv_vp_state {
	u64 scontrol, simp, siefp, vp_assist;
	u64 sint[HV_SINTS];
	u32 slots_awaited; /* bit n: the host has a message for SINT n's slot */
	u32 auto_eoi; /* bit n: SINT n is raised, the VP has not taken it */
	struct hyperv_stimer_state stimer[HV_STIMERS];
	struct hyperv_page_state message_page, event_page, assist_page;
};

/* The synthetic debugger's MSRs. */
struct hyperv_syndbg {
	u64 control, status, send, receive, pending, options;
};

struct hyperv_state {
	u64 reference_time; /* 100 ns */
	u64 guest_os_id, hypercall, reference_tsc, tsc_invariant;
	u64 reenlightenment, tsc_emulation;
	struct hyperv_syndbg syndbg;
	u64 crash_param[HV_CRASH_PARAMS];
	struct hyperv_page_state hypercall_page, tsc_page;
	u32 vp_count;
	struct hyperv_vp_state vp[];
};

/*
 * Reads the state out; nothing changes. 0 and *state, which the caller free()s; -ENOMEM, or -errno
 * of KVM. No VP runs; main thread.
 */
int hyperv_state_read(struct hyperv *hv, struct hyperv_state **state);

/*
 * Puts state into a machine whose VPs have not run yet. The state is not trusted: 0, -EINVAL where
 * it is not one of such a machine (another number of VPs, a page that is not RAM, a value no guest
 * could have written), or -errno of KVM; the machine is of no use then. Main thread.
 */
int hyperv_state_write(struct hyperv *hv, const struct hyperv_state *state);

#endif
