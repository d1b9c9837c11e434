/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of the partition and of each VP, which the files of this folder share. Nothing outside
 * of it includes this but its tests.
 *
 * Threads. A VP's MSRs, hypercalls and exits run on its own vCPU thread. Partition-wide MSRs and
 * the crash report are under `lock`, SINT routes and message slots of a VP under its `lock`: both
 * are set-up and control paths. What the data path reads (SynIC page addresses, irqfds) is atomic.
 */
#ifndef HYPERV_PARTITION_H
#define HYPERV_PARTITION_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "hyperv/backend.h"
#include "hyperv/features.h"
#include "hyperv/hyperv.h"
#include "hyperv/overlay.h"
#include "hyperv/ports.h"
#include "hyperv/state.h"
#include "hyperv/synic.h"
#include "hyperv/time.h"
#include "hyperv/tlfs.h"
#include "vmm/memory.h"

struct synic_sint {
	_Atomic u64 value; /* the MSR */
	_Atomic int irq_fd; /* -1: not prepared yet */
	_Atomic bool waiting; /* a message found the slot full */
	u32 gsi; /* the back end's, where prepared */
};

struct stimer {
	u64 config, count; /* the MSRs */
	u64 due; /* reference time of the next expiry, 0: none */
	bool waiting; /* expired, but its message finds the slot full */
};

struct hyperv_vp {
	struct hyperv *hv;
	struct vcpu *vcpu;
	u32 index;
	/* Written by the VP's own thread. */
	u64 scontrol, simp, siefp, vp_assist;
	struct overlay message_overlay, event_overlay, assist_overlay;
	struct stimer stimer[HV_STIMERS]; /* the user back end's */
	/* Wishes of others, carried out by attention_run(). */
	_Atomic u32 auto_eoi; /* bit n: SINT n, which has AutoEOI, is to be raised */
	u64 auto_eoi_since; /* ... and could not be, since this vcpu_clock(); 0: it could */
	_Atomic bool tlb_flush;
	/* A write for apic_run_write(). */
	struct {
		u32 reg; /* 0: none */
		u64 value;
	} apic_write;
	/* NULL while the guest has SynIC or that page off. Any thread. */
	struct hv_message_page *_Atomic messages;
	struct hv_event_page *_Atomic events;
	pthread_mutex_t lock;
	struct synic_sint sint[HV_SINTS];
};

#define PORTS_MESSAGE_MAX 8
#define PORTS_EVENT_MAX 2048

struct ports {
	/* Frozen when the VPs start. */
	struct {
		u32 connection_id;
		ports_message_fn receive;
		void *ctx;
	} message[PORTS_MESSAGE_MAX];
	unsigned message_count;
	struct ports_others others;
	pthread_mutex_t lock; /* of what follows */
	struct {
		u32 connection_id;
		int fd;
	} event[PORTS_EVENT_MAX];
	unsigned event_count;
};

struct hyperv {
	struct vm *vm;
	const struct gmem *mem;
	const struct hyperv_backend *backend;
	struct hyperv_config config;
	bool kvm_apic_msrs; /* the user back end's KVM knows EOI, ICR, TPR by our MSRs' numbers */
	struct cpuid_features limit; /* what KVM says it can execute; the kernel back end's */
	struct cpuid_features offered;
	bool vmx; /* the guest gets Intel's nested virtualization */
	struct hyperv_vp *vp;
	unsigned vp_count;
	struct {
		void (*call)(void *ctx, u32 vp_index, u32 sint);
		void *ctx;
	} slot_free[SYNIC_SLOT_FREE_MAX];
	unsigned slot_free_count;
	hyperv_retarget_fn retarget;
	void *retarget_ctx;
	struct ports ports;
	struct time_source time;
	struct overlay_list overlays;

	pthread_mutex_t lock; /* of what follows */
	u64 guest_os_id, hypercall, reference_tsc, tsc_invariant;
	u64 reenlightenment, tsc_emulation; /* the CONTROL MSRs */
	struct overlay hypercall_overlay, tsc_overlay;
	struct hyperv_syndbg syndbg; /* of no effect: nobody is attached */
	u64 crash_param[HV_CRASH_PARAMS];
	struct hyperv_crash crash;

	struct log_guest bad_msr, bad_hypercall, no_route;
};

/*
 * The above without any VM behind it, for hyperv_init() and tests. *hv zeroed. 0 or -ENOMEM;
 * hyperv_teardown() is fine in either case.
 */
int hyperv_setup(struct hyperv *hv, const struct gmem *mem, const struct hyperv_backend *backend,
		 unsigned vp_count);
void hyperv_teardown(struct hyperv *hv);

#endif
