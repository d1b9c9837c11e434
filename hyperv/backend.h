/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who executes the interface: one struct of functions, chosen once in hyperv_init(). The meaning
 * of things is not here but in the shared core (msr.c, hypercall.c, cpuid.c).
 *
 *	kernel  KVM emulates; what must be ours (pages, crash, reset, EOM) comes by the MSR filter
 *	user    all synthetic MSRs come by the MSR filter, hypercalls from a page of ours
 */
#ifndef HYPERV_BACKEND_H
#define HYPERV_BACKEND_H

#include "base/types.h"
#include "hyperv/hyperv.h"
#include "hyperv/tlfs.h"

struct hyperv_vp;
struct hyperv_state;
struct kvm_hyperv_exit;

struct hyperv_backend {
	const char *name;
	enum hyperv_choice id;
	/*
	 * Prepares the VM and sets hv->limit. 0, or -errno with what failed in error (a part of a
	 * sentence). Main thread.
	 */
	int (*init)(struct hyperv *hv, char *error, size_t error_size);
	/* Prepares a VP after its vcpu_init(), in VP order. 0 or -errno. Main thread. */
	int (*vp_init)(struct hyperv_vp *vp);
	/*
	 * Eventfd `fd` raises (vp, sint) from now on, once per SINT. 0 or -errno. Under vp->lock.
	 */
	int (*bind_sint)(struct hyperv_vp *vp, u32 sint, int fd);
	/* The guest gave a bound SINT a new value. 0 or -errno. Under vp->lock. */
	int (*change_sint)(struct hyperv_vp *vp, u32 sint);
	/* Signals to connection_id write fd, or no longer. 0 or -errno. Under ports.lock. */
	int (*bind_event)(struct hyperv *hv, u32 connection_id, int fd);
	int (*unbind_event)(struct hyperv *hv, u32 connection_id, int fd);
	/*
	 * The shared core took what the guest wrote to an MSR: the back end has its own part in
	 * some. NULL: in none. vCPU thread.
	 */
	void (*pass_on)(struct hyperv_vp *vp, u32 msr, u64 value);
	/* Fills the hypercall page. */
	void (*fill_hypercall_page)(u8 page[static HV_PAGE_SIZE]);
	/*
	 * Whether KVM keeps that MSR itself, so that candela reads and writes it there. NULL: none.
	 */
	bool (*keeps_msr)(const struct hyperv *hv, u32 msr);
	/* KVM_EXIT_HYPERV. NULL: never comes. */
	void (*hyperv_exit)(struct hyperv_vp *vp, struct kvm_hyperv_exit *exit);
	/* vm_hooks.out32. NULL: never ours. */
	bool (*out32)(struct hyperv_vp *vp, u16 port, u32 value);
	/* vm_hooks.attention. NULL: nobody asks. vCPU thread. */
	void (*attention)(struct hyperv_vp *vp);
	/*
	 * Completes a state with what the back end keeps of the machine itself, or takes that over
	 * from one. NULL: nothing. 0 or -errno; no VP runs. Main thread.
	 */
	int (*read_state)(struct hyperv *hv, struct hyperv_state *state);
	int (*write_state)(struct hyperv *hv, const struct hyperv_state *state);
};

extern const struct hyperv_backend backend_kernel, backend_user;

/* ---- backend.c: what both share -------------------------------------------------------------- */

struct backend_msrs {
	u32 first, count;
};

#define BACKEND_MSRS_MAX 0x200 /* count of one row */

/* Has the kernel send these MSRs to user space, and no others. 0 or -errno. */
int backend_filter_msrs(struct hyperv *hv, const struct backend_msrs *rows, unsigned count);

/* Allocates a GSI for (vp, sint) and binds fd to it as an irqfd. 0 or -errno. */
int backend_bind_irqfd(struct hyperv_vp *vp, u32 sint, int fd);

#endif
