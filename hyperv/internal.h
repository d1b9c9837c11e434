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
#include "hyperv/state.h"
#include "hyperv/synic.h"
#include "hyperv/tlfs.h"
#include "vmm/memory.h"

/* ---- overlay.c: a page of ours over a page of the guest's -------------------------------------- */

/* A partition's overlays in their places. */
struct overlay_list {
	pthread_mutex_t lock;
	struct overlay *last; /* the one placed last; before it ->before */
};

/* Placed and removed by one thread at a time; those of one list by any. */
struct overlay {
	struct overlay_list *list;
	struct overlay *before;
	gpa_t gpa;
	u8 *host; /* NULL: not placed */
	u8 under[HV_PAGE_SIZE];
};

void overlay_list_init(struct overlay_list *list);
void overlay_list_fini(struct overlay_list *list);
/* o is zeroed; it belongs to list from now on. */
void overlay_init(struct overlay *o, struct overlay_list *list);

/*
 * Lays a page of zeros at gpa and returns its host address; what lies there is kept aside, and put
 * back where the overlay was before. At the same gpa nothing changes. NULL, and no change, where gpa
 * is not a page of RAM.
 */
void *overlay_place(struct overlay *o, const struct gmem *mem, gpa_t gpa);

/*
 * Takes charge of an overlay that lies at gpa in restored RAM, on top of what is placed already, and
 * of what lay under it. False, and no change, where gpa is not a page of RAM or o is placed.
 */
bool overlay_adopt(struct overlay *o, const struct gmem *mem, gpa_t gpa,
		   const u8 under[static HV_PAGE_SIZE]);

/* Puts back what lay under it, or leaves that to the overlay that lies on it. */
void overlay_remove(struct overlay *o);

struct hyperv_vp;
struct kvm_lapic_state;

/* ---- time.c: reference time from the guest's TSC ------------------------------------------------ */

#define TIME_TSC_KHZ_MIN 10001u /* below it the scale does not fit 64 bits */

struct time_source {
	u32 tsc_khz;
	u64 scale;
	s64 offset; /* 100 ns */
};

/* Starts reference time at 0 when the guest's TSC is tsc_now. tsc_khz >= TIME_TSC_KHZ_MIN. */
void time_start(struct time_source *t, u32 tsc_khz, u64 tsc_now);

/* Has the partition's reference time be `reference` now, by vp's TSC. 0 or -errno. */
int time_resume(struct hyperv_vp *vp, u64 reference);

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

struct hyperv {
	struct vm *vm;
	const struct gmem *mem;
	const struct hyperv_backend *backend;
	struct hyperv_config config;
	bool kvm_apic_msrs; /* the user back end's KVM knows EOI, ICR and TPR by our MSRs' numbers */
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

	struct log_guest bad_msr, bad_hypercall;
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

/* ---- state_kernel.c: KVM's part of the state; struct hyperv_backend says what they do ------------------ */

int state_kernel_read(struct hyperv *hv, struct hyperv_state *state);
int state_kernel_write(struct hyperv *hv, const struct hyperv_state *state);

/* ---- msr.c: what each synthetic MSR means. True: done; false: #GP ----------------------------------- */

bool msr_read(struct hyperv_vp *vp, u32 msr, u64 *value);
bool msr_write(struct hyperv_vp *vp, u32 msr, u64 value);

/* ---- hypercall.c ------------------------------------------------------------------------------------- */

/* No result: the caller is to get #UD. */
#define HYPERCALL_UNDEFINED UINT64_MAX

/*
 * Carries out one hypercall; the three TLFS registers in, the result value (or HYPERCALL_UNDEFINED)
 * out. vCPU thread.
 */
u64 hypercall_run(struct hyperv_vp *vp, u64 control, u64 input, u64 output);

/* One call under way: what it brought, in a private copy, and what it is to give back. */
struct hypercall {
	u64 control, input_register, output_register;
	u16 code;
	bool fast;
	u16 var_count; /* 8-byte units of variable header */
	u16 rep_count, rep_start;
	u16 reps_done; /* completed, with those before rep_start */
	u32 input_size, output_size; /* bytes */
	u32 header_size; /* the fixed one */
	_Alignas(16) u8 input[HV_PAGE_SIZE]; /* header, variable header, rep elements */
	_Alignas(16) u8 output[HV_PAGE_SIZE];
};

/* ---- hypercall_input.c: from registers and memory to bytes, and back --------------------------------- */

/* Whether the input, all of it, is to come by registers that the guest was not offered. */
bool hypercall_input_undefined(const struct hyperv_vp *vp, const struct hypercall *c);
/* Fills c->input, and checks where the output goes; c's sizes are set. An HV_STATUS. */
u16 hypercall_input_read(struct hyperv_vp *vp, struct hypercall *c);
/* Gives the guest c->output[from, to). */
void hypercall_output_write(struct hyperv_vp *vp, const struct hypercall *c, u32 from, u32 to);

/* The variable header, c->var_count long, and rep element n of `size` bytes. */
const u64 *hypercall_variable(const struct hypercall *c);
const void *hypercall_element(const struct hypercall *c, unsigned n, u32 size);

/* ---- hypercall_calls.c: what each call does. Each returns an HV_STATUS ------------------------------- */

u16 call_notify_long_spin_wait(struct hyperv_vp *vp, struct hypercall *c);
u16 call_post_message(struct hyperv_vp *vp, struct hypercall *c);
u16 call_signal_event(struct hyperv_vp *vp, struct hypercall *c);
u16 call_flush(struct hyperv_vp *vp, struct hypercall *c);
u16 call_flush_ex(struct hyperv_vp *vp, struct hypercall *c);
u16 call_send_ipi(struct hyperv_vp *vp, struct hypercall *c);
u16 call_send_ipi_ex(struct hyperv_vp *vp, struct hypercall *c);
u16 call_get_vp_registers(struct hyperv_vp *vp, struct hypercall *c);
u16 call_set_vp_registers(struct hyperv_vp *vp, struct hypercall *c);
u16 call_retarget_device_interrupt(struct hyperv_vp *vp, struct hypercall *c);
u16 call_ext_query_capabilities(struct hyperv_vp *vp, struct hypercall *c);

/* ---- hypercall_page.c: the pages of both back ends, and the ports they write to ---------------------- */

#define HYPERCALL_PORT_SIGNAL 0xe0
#define HYPERCALL_PORT_CALL 0xe4

/* Fills the user back end's page; the kernel one's for a host that has VMMCALL (AMD) or VMCALL. */
void hypercall_page_fill_user(u8 page[static 4096], bool with_endbr);
void hypercall_page_fill_kernel(u8 page[static 4096], bool vmmcall);
/* Whether the host's processor makes hypercalls by VMMCALL. */
bool hypercall_page_host_has_vmmcall(void);
/* Whether it has indirect branch tracking, which ENDBR64 is for. */
bool hypercall_page_host_has_ibt(void);
/* vm_hooks.out32 for those pages. True: it was theirs. vCPU thread. */
bool hypercall_page_out(struct hyperv_vp *vp, u16 port, u32 value);

/* ---- vp_set.c: the sets of VPs that hypercalls name ---------------------------------------------------- */

/* The VPs of one mask (index 0 to 63), of an HV_VP_SET. Those that do not exist are left out. */
struct vp_set vp_set_of_mask(const struct hyperv *hv, u64 mask);
/*
 * `banks` holds var_count of them. An HV_STATUS: HV_STATUS_INVALID_HYPERCALL_INPUT where there are
 * not as many as valid_banks says, HV_STATUS_INVALID_PARAMETER for an unknown format.
 */
u16 vp_set_of_sparse(const struct hyperv *hv, const struct hv_vp_set *sparse, const u64 *banks,
		     unsigned var_count, struct vp_set *set);
struct vp_set vp_set_all(const struct hyperv *hv);
bool vp_set_has(const struct vp_set *set, u32 vp_index);

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

/* Offsets in its page (Intel SDM vol. 3, "Local APIC Register Address Map"). */
#define APIC_TPR 0x80u
#define APIC_EOI 0xb0u
#define APIC_SPURIOUS 0xf0u
#define APIC_ISR 0x100u
#define APIC_IRR 0x200u
#define APIC_ICR 0x300u
#define APIC_ICR2 0x310u

/* EOI (write only), ICR and TPR; each is what the APIC's own register is. The VP's thread. */
bool apic_read(struct hyperv_vp *vp, u32 msr, u64 *value);
bool apic_write(struct hyperv_vp *vp, u32 msr, u64 value);
/* From KVM_GET_LAPIC's answer: 32 bits at an offset; the highest vector set in ISR or IRR, -1: none. */
u32 apic_register(const struct kvm_lapic_state *apic, u32 reg);
int apic_highest_vector(const struct kvm_lapic_state *apic, u32 reg);
/* Raises a fixed interrupt at a VP (edge). 0 or -errno. Any thread. */
int apic_raise(struct hyperv_vp *vp, u8 vector);
/* Part of attention_run(), first: a write that could not be done while the guest's WRMSR lasted. */
void apic_run_write(struct hyperv_vp *vp);
/*
 * Idles a VP until an interrupt is requested, whether it would take it or not; at most a fraction of
 * a millisecond, as waking early is allowed. The VP's thread, on either back end.
 */
void apic_idle(struct hyperv_vp *vp);

/* ---- auto_eoi.c: interrupts of SINTs with AutoEOI on the user back end -------------------------------------- */

/* Part of attention_run(): injects what vp->auto_eoi asks for. True: some has to wait. */
bool auto_eoi_run(struct hyperv_vp *vp);

/* ---- apic_mmio.c: the APIC's registers in xAPIC mode, on a KVM that cannot write them ------------------------ */

/* Has the VM run what this needs. 0 or -errno. Main thread, before any VP runs. */
int apic_mmio_init(struct hyperv *hv);
/*
 * Writes EOI, or all 64 bits of ICR, as the guest itself would. 0 or -errno. Its thread, after
 * vcpu_complete().
 */
int apic_mmio_write(struct hyperv_vp *vp, u32 reg, u64 value);

/* ---- attention.c -------------------------------------------------------------------------------------------- */

/*
 * On the VP's thread, outside the guest, whenever somebody asked by vcpu_attend() or the alarm went
 * off: TLB flush, timers, AutoEOI interrupts; then sets the alarm anew.
 */
void attention_run(struct hyperv_vp *vp);

/* ---- vp_registers.c: HvCallGetVpRegisters, HvCallSetVpRegisters ------------------------------------------ */

/* One register of the calling VP by its HV_REGISTER_NAME. An HV_STATUS. */
u16 vp_register_get(struct hyperv_vp *vp, u32 name, struct hv_register_value *value);
u16 vp_register_set(struct hyperv_vp *vp, u32 name, const struct hv_register_value *value);

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
/* Whether a guest may write it to a SINT: unmasked, it has no exception for a vector. */
bool synic_sint_valid(u64 value);
bool synic_write_sint(struct hyperv_vp *vp, u32 sint, u64 value);
/*
 * As synic_post_message(), from the VP's own thread on the user back end: sint needs no irqfd, and
 * -ENODEV also where it is masked. What could not be posted is to be tried again at attention_run().
 */
int synic_post_own(struct hyperv_vp *vp, u32 sint, u32 type, const void *payload, u32 len);
/* The guest wrote EOM: tells whoever waits for a slot of this VP. */
void synic_end_of_message(struct hyperv_vp *vp);

/* ---- crash.c ----------------------------------------------------------------------------------------- */

bool crash_read(struct hyperv *hv, u32 msr, u64 *value);
bool crash_write(struct hyperv_vp *vp, u32 msr, u64 value);

#endif
