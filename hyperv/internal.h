/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of hyperv/ offer each other, but for the nouns that have a header of their own
 * (partition, features, CPUID, overlay pages, time, hypercalls, APIC): MSRs, SynIC and ports as the
 * guest sees them, timers, and what a VP does when it is wanted. Nothing outside this folder
 * includes it but its tests.
 */
#ifndef HYPERV_INTERNAL_H
#define HYPERV_INTERNAL_H

#include "hyperv/partition.h"

/* ---- msr.c: what each synthetic MSR means ---------------------------------------------------- */

/* Carries out an access by its row. False: #GP, and no change. The VP's thread. */
bool msr_read(struct hyperv_vp *vp, u32 msr, u64 *value);
bool msr_write(struct hyperv_vp *vp, u32 msr, u64 value);

/* ---- crash.c: the crash MSRs ----------------------------------------------------------------- */

/* As msr_read() and msr_write(). A write to CTL reports the crash and ends the VM. */
bool crash_read(struct hyperv *hv, u32 msr, u64 *value);
bool crash_write(struct hyperv_vp *vp, u32 msr, u64 value);

/* ---- syndbg.c: synthetic debugging with no debugger attached --------------------------------- */

/* As msr_read() and msr_write(). */
bool syndbg_read(struct hyperv_vp *vp, u32 msr, u64 *value);
bool syndbg_write(struct hyperv_vp *vp, u32 msr, u64 value);

/* ---- synic.c: the guest's side --------------------------------------------------------------- */

/* Every SINT masked, all pages off. *vp zeroed. fini closes the irqfds. Main thread. */
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
/*
 * Gives a SINT its new value, and its interrupt's route where it has one. False, and no change,
 * where the value is not valid. The VP's thread, or before any VP runs.
 */
bool synic_write_sint(struct hyperv_vp *vp, u32 sint, u64 value);
/*
 * As synic_post_message(), from the VP's own thread on the user back end: sint needs no irqfd, and
 * -ENODEV also where it is masked. What could not be posted is to be tried again at
 * attention_run().
 */
int synic_post_own(struct hyperv_vp *vp, u32 sint, u32 type, const void *payload, u32 len);
/* The kernel back end's attention: waits until a message under way to this VP is in its slot. */
void synic_let_post(struct hyperv_vp *vp);
/* The guest wrote EOM: tells whoever waits for a slot of this VP. */
void synic_end_of_message(struct hyperv_vp *vp);

/* ---- ports.c: the guest's side --------------------------------------------------------------- */

/* *p zeroed. The eventfds of ports stay their owners'. Main thread. */
void ports_init(struct ports *p);
void ports_fini(struct ports *p);
/* The guest's HvCallPostMessage and HvCallSignalEvent. An HV_STATUS. vCPU threads. */
u16 ports_post(struct hyperv *hv, u32 connection_id, u32 type, const void *payload, u32 size);
u16 ports_signal(struct hyperv *hv, u32 connection_id, u16 flag);

/* ---- stimer.c: synthetic timers of the user back end. The VP's thread ------------------------ */

/* As msr_read() and msr_write(). */
bool stimer_read(struct hyperv_vp *vp, u32 msr, u64 *value);
bool stimer_write(struct hyperv_vp *vp, u32 msr, u64 value);
/* Delivers what is due. The reference time of the next expiry, 0: none. */
u64 stimer_run(struct hyperv_vp *vp);
/* The guest wrote EOM: messages that found the slot of sint full are tried again. */
void stimer_end_of_message(struct hyperv_vp *vp, u32 sint);

/* ---- tlb.c: remote TLB flushes of the user back end ------------------------------------------ */

/* Flushes the TLBs of the VPs in set before it returns, the caller's too where it is named. */
void tlb_flush(struct hyperv_vp *caller, const struct vp_set *set);
/* Part of attention_run(). */
void tlb_flush_own(struct hyperv_vp *vp);

/* ---- attention.c: what a VP does for others and for time ------------------------------------- */

/*
 * On the VP's thread, outside the guest, whenever somebody asked by vcpu_attend() or the alarm went
 * off: TLB flush, timers, AutoEOI interrupts; then sets the alarm anew.
 */
void attention_run(struct hyperv_vp *vp);

/* ---- state_kernel.c: KVM's part of the state; struct hyperv_backend says what they do -------- */

int state_kernel_read(struct hyperv *hv, struct hyperv_state *state);
int state_kernel_write(struct hyperv *hv, const struct hyperv_state *state);

#endif
