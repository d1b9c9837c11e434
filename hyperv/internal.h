/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of hyperv/ share: the state of the partition and of each VP, and what each file
 * offers the others. Nothing outside this folder includes it but its tests.
 *
 * Threads. A VP's MSRs, hypercalls and exits run on its own vCPU thread. Partition-wide MSRs and
 * the crash report are under `lock`, SINT routes and message slots of a VP under its `lock`: both
 * are set-up and control paths. What the data path reads (SynIC page addresses, irqfds) is atomic.
 */
#ifndef HYPERV_INTERNAL_H
#define HYPERV_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "hyperv/backend.h"
#include "hyperv/hyperv.h"
#include "hyperv/ports.h"
#include "hyperv/synic.h"
#include "hyperv/tlfs.h"
#include "vmm/memory.h"

/* ---- overlay.c: a page of ours over a page of the guest's -------------------------------------- */

/* Zeroed is valid: not placed. */
struct overlay {
	gpa_t gpa;
	u8 *host; /* NULL: not placed */
	u8 under[HV_PAGE_SIZE];
};

/*
 * Lays a page of zeros at gpa (page aligned) and returns its host address; what lies there is kept
 * aside, and put back where the overlay was before. At the same gpa nothing changes. NULL, and no
 * change, where gpa is not RAM.
 */
void *overlay_place(struct overlay *o, const struct gmem *mem, gpa_t gpa);

/* Puts back what lay under it. */
void overlay_remove(struct overlay *o);

struct hyperv_vp;

/* ---- time.c: reference time from the guest's TSC ------------------------------------------------ */

#define TIME_TSC_KHZ_MIN 10001u /* below it the scale does not fit 64 bits */

struct time_source {
	u32 tsc_khz;
	u64 scale;
	s64 offset; /* 100 ns */
};

/* Starts reference time at 0 when the guest's TSC is tsc_now. tsc_khz >= TIME_TSC_KHZ_MIN. */
void time_start(struct time_source *t, u32 tsc_khz, u64 tsc_now);

/* Reference time in 100 ns when the guest's TSC is tsc. */
u64 time_reference(const struct time_source *t, u64 tsc);

/* Reference time of the VP's partition now, by its TSC. Its thread; 0 where KVM cannot tell. */
u64 time_now(struct hyperv_vp *vp);
/* The CLOCK_MONOTONIC ns at which reference time will be `reference`; never 0. The VP's thread. */
u64 time_to_clock(struct hyperv_vp *vp, u64 reference);

/* Fills the reference TSC page with what makes the guest compute the same. */
void time_fill_page(const struct time_source *t, struct hv_reference_tsc *page);

/* ---- the partition ------------------------------------------------------------------------------- */

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
	_Atomic bool tlb_flush;
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
	pthread_mutex_t lock; /* of what follows */
	struct {
		u32 connection_id;
		int fd;
	} event[PORTS_EVENT_MAX];
	unsigned event_count;
};

/* The Hyper-V leaves that carry feature bits, as offered to the guest. */
struct cpuid_features {
	u32 privileges; /* HV_CPUID_FEATURES EAX */
	u32 privileges_high; /* EBX */
	u32 features; /* EDX */
	u32 hints; /* HV_CPUID_HINTS EAX */
	u32 spin_retries; /* HV_CPUID_HINTS EBX */
	u32 nested; /* HV_CPUID_NESTED EAX */
	u32 nested_vmcs; /* EBX: enlightened VMCS fields */
};

/* The synthetic debugger's registers. Of no effect: nobody is attached. */
struct syndbg {
	u64 control, status, send, receive, pending, options;
};

struct hyperv {
	struct vm *vm;
	const struct gmem *mem;
	const struct hyperv_backend *backend;
	struct hyperv_config config;
	struct cpuid_features limit; /* what KVM says it can execute; the kernel back end's */
	struct cpuid_features offered;
	bool vmx; /* the guest gets Intel's nested virtualization */
	struct hyperv_vp *vp;
	unsigned vp_count;
	void (*slot_free)(void *ctx, u32 vp_index, u32 sint);
	void *slot_free_ctx;
	struct ports ports;
	struct time_source time;

	pthread_mutex_t lock; /* of what follows */
	u64 guest_os_id, hypercall, reference_tsc, tsc_invariant;
	struct overlay hypercall_overlay, tsc_overlay;
	struct syndbg syndbg;
	u64 crash_param[HV_CRASH_PARAMS];
	struct hyperv_crash crash;

	struct log_guest bad_msr, bad_hypercall, auto_eoi;
};

/* ---- partition.c: the above without any VM behind it, for hyperv_init() and tests ---------------- */

/* *hv zeroed. 0 or -ENOMEM; hyperv_teardown() is fine in either case. */
int hyperv_setup(struct hyperv *hv, const struct gmem *mem, const struct hyperv_backend *backend,
		 unsigned vp_count);
void hyperv_teardown(struct hyperv *hv);

/* ---- features.c: which features there are, and which of them a guest is offered -------------------- */

/* What a back end stands on. */
struct feature_host {
	enum hyperv_choice backend; /* AUTO: none, which cannot give anything */
	struct cpuid_features limit; /* what KVM says it can execute; of no interest to USER */
	bool invariant_tsc; /* the processor has one */
	bool nested; /* the guest gets VMX or SVM */
};

/*
 * The policy: what a guest is offered on host, with the user's switches. 0, or -EINVAL with a
 * sentence in error for a feature that cannot be switched on here. Pure.
 */
int features_offer(struct cpuid_features *offered, const struct feature_host *host,
		   const struct hyperv_switches *s, char *error, size_t error_size);

/* One row for each feature: row->kernel and row->user as those hosts give it. Pure. */
unsigned features_describe(const struct feature_host *kernel, const struct feature_host *user,
			   struct hyperv_feature *row, unsigned max);

/* The name of a feature that the VMBus needs and offered lacks, or NULL. Pure. */
const char *features_vmbus_lacks(const struct cpuid_features *offered);

/* Whether the user switched the invariant TSC off. */
bool features_hide_invariant_tsc(const struct hyperv_switches *s);

/* ---- cpuid.c: the leaves ------------------------------------------------------------------------------ */

/* Reads what KVM says it can execute (KVM_GET_SUPPORTED_HV_CPUID). 0 or -errno. */
int cpuid_read_limit(int kvm_fd, struct cpuid_features *limit);

/*
 * Replaces the leaves HV_CPUID_VENDOR to HV_CPUID_LAST, and those of the virtualization stack where
 * debugging is offered. 0 or -ENOSPC. Pure.
 */
int cpuid_add_leaves(struct cpuid *t, const struct cpuid_features *f, u32 vps_max);

/* ---- syndbg.c: synthetic debugging with no debugger attached ------------------------------------------ */

bool syndbg_read(struct hyperv_vp *vp, u32 msr, u64 *value);
bool syndbg_write(struct hyperv_vp *vp, u32 msr, u64 value);

/* ---- msr.c: what each synthetic MSR means. True: done; false: #GP ----------------------------------- */

bool msr_read(struct hyperv_vp *vp, u32 msr, u64 *value);
bool msr_write(struct hyperv_vp *vp, u32 msr, u64 value);

/* ---- hypercall.c ------------------------------------------------------------------------------------- */

/* Carries out one hypercall; the three TLFS registers in, the result value out. vCPU thread. */
u64 hypercall_run(struct hyperv_vp *vp, u64 control, u64 input, u64 output);

/* ---- hypercall_page.c: the pages of both back ends, and the ports they write to ---------------------- */

#define HYPERCALL_PORT_SIGNAL 0xe0
#define HYPERCALL_PORT_CALL 0xe4

/* Fills the user back end's page; the kernel one's for a host that has VMMCALL (AMD) or VMCALL. */
void hypercall_page_fill_user(u8 page[static 4096]);
void hypercall_page_fill_kernel(u8 page[static 4096], bool vmmcall);
/* vm_hooks.out32 for those pages. True: it was theirs. vCPU thread. */
bool hypercall_page_out(struct hyperv_vp *vp, u16 port, u32 value);

/* ---- vp_set.c: the sets of VPs that hypercalls name ---------------------------------------------------- */

struct vp_set {
	u64 bank[(LAYOUT_CPUS_MAX + 63) / 64];
};

/* ---- tlb.c: remote TLB flushes of the user back end ------------------------------------------------------- */

/* Flushes the TLBs of the VPs in set before it returns, the caller's too where it is named. */
void tlb_flush(struct hyperv_vp *caller, const struct vp_set *set);
/* Part of attention_run(). */
void tlb_flush_own(struct hyperv_vp *vp);

/* ---- stimer.c: synthetic timers of the user back end. The VP's thread ----------------------------------- */

bool stimer_read(struct hyperv_vp *vp, u32 msr, u64 *value);
bool stimer_write(struct hyperv_vp *vp, u32 msr, u64 value);
/* Delivers what is due. The reference time of the next expiry, 0: none. */
u64 stimer_run(struct hyperv_vp *vp);
/* The guest wrote EOM: messages that found the slot of sint full are tried again. */
void stimer_end_of_message(struct hyperv_vp *vp, u32 sint);

/* ---- apic.c: the local APIC's synthetic side on the user back end ---------------------------------------- */

/* EOI, ICR and TPR; each is what the APIC's own register is. The VP's thread. */
bool apic_read(struct hyperv_vp *vp, u32 msr, u64 *value);
bool apic_write(struct hyperv_vp *vp, u32 msr, u64 value);
/* Raises a fixed interrupt at a VP (edge). 0 or -errno. Any thread. */
int apic_raise(struct hyperv_vp *vp, u8 vector);
/* Part of attention_run(): injects what vp->auto_eoi asks for. True: some has to wait. */
bool apic_run_auto_eoi(struct hyperv_vp *vp);

/* ---- attention.c -------------------------------------------------------------------------------------------- */

/*
 * On the VP's thread, outside the guest, whenever somebody asked by vcpu_attend() or the alarm went
 * off: TLB flush, timers, AutoEOI interrupts; then sets the alarm anew.
 */
void attention_run(struct hyperv_vp *vp);

/* ---- vp_registers.c: HvCallGetVpRegisters, HvCallSetVpRegisters ------------------------------------------ */

/* One register of the calling VP by its HV_REGISTER_NAME. An HV_STATUS. */
u16 vp_register_get(struct hyperv_vp *vp, u32 name, u64 value[static 2]);
u16 vp_register_set(struct hyperv_vp *vp, u32 name, const u64 value[static 2]);

/* ---- ports.c: the guest's side --------------------------------------------------------------------- */

void ports_init(struct ports *p);
void ports_fini(struct ports *p);
/* Each returns an HV_STATUS. */
u16 ports_post(struct hyperv *hv, u32 connection_id, u32 type, const void *payload, u32 size);
u16 ports_signal(struct hyperv *hv, u32 connection_id, u16 flag);

/* ---- synic.c: the guest's side --------------------------------------------------------------------- */

void synic_vp_init(struct hyperv_vp *vp);
void synic_vp_fini(struct hyperv_vp *vp);
/* Gives sint its irqfd, once; later calls do nothing. 0 or -errno. */
int synic_prepare_sint(struct hyperv_vp *vp, u32 sint);
/*
 * Takes new values of SCONTROL, SIMP and SIEFP and puts them into effect. False, and no change,
 * where an enabled page is not RAM. The VP's thread.
 */
bool synic_set_pages(struct hyperv_vp *vp, u64 scontrol, u64 simp, u64 siefp);
bool synic_write_sint(struct hyperv_vp *vp, u32 sint, u64 value);
/* The guest wrote EOM: tells whoever waits for a slot of this VP. */
void synic_end_of_message(struct hyperv_vp *vp);

/* ---- crash.c ----------------------------------------------------------------------------------------- */

bool crash_read(struct hyperv *hv, u32 msr, u64 *value);
bool crash_write(struct hyperv_vp *vp, u32 msr, u64 value);

#endif
