/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls (TLFS: Hypercall Interface): the way of one from the page the guest calls, by its
 * input in registers or memory, to the function that carries it out and back. All on the calling
 * VP's thread.
 */
#ifndef HYPERV_HYPERCALL_H
#define HYPERV_HYPERCALL_H

#include "hyperv/partition.h"

/* ---- hypercall_page.c: the pages of both back ends, and the ports they write to -------------- */

#define HYPERCALL_PORT_SIGNAL 0xe0
#define HYPERCALL_PORT_CALL 0xe4

/* Fills the user back end's page; the kernel one's for a host that has VMMCALL (AMD) or VMCALL. */
void hypercall_page_fill_user(u8 page[static HV_PAGE_SIZE], bool with_endbr);
void hypercall_page_fill_kernel(u8 page[static HV_PAGE_SIZE], bool vmmcall);
/* Whether the host's processor makes hypercalls by VMMCALL. */
bool hypercall_page_host_has_vmmcall(void);
/* Whether it has indirect branch tracking, which ENDBR64 is for. */
bool hypercall_page_host_has_ibt(void);
/* vm_hooks.out32 for those pages. True: it was theirs. vCPU thread. */
bool hypercall_page_out(struct hyperv_vp *vp, u16 port, u32 value);

/* ---- hypercall.c: the table of calls --------------------------------------------------------- */

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

/* ---- hypercall_input.c: from registers and memory to bytes, and back ------------------------- */

/* Whether the input, all of it, is to come by registers that the guest was not offered. */
bool hypercall_input_undefined(const struct hyperv_vp *vp, const struct hypercall *c);
/* Fills c->input, and checks where the output goes; c's sizes are set. An HV_STATUS. */
u16 hypercall_input_read(struct hyperv_vp *vp, struct hypercall *c);
/* Gives the guest c->output[from, to). */
void hypercall_output_write(struct hyperv_vp *vp, const struct hypercall *c, u32 from, u32 to);

/* The variable header, c->var_count long, and rep element n of `size` bytes. */
const u64 *hypercall_variable(const struct hypercall *c);
const void *hypercall_element(const struct hypercall *c, unsigned n, u32 size);

/* ---- vp_set.c: the sets of VPs that hypercalls name ------------------------------------------ */

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

/* ---- hypercall_calls.c: what each call does. Each returns an HV_STATUS ----------------------- */

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

/* ---- vp_registers.c: HvCallGetVpRegisters, HvCallSetVpRegisters ------------------------------ */

/* One register of the calling VP by its HV_REGISTER_NAME. An HV_STATUS. */
u16 vp_register_get(struct hyperv_vp *vp, u32 name, struct hv_register_value *value);
u16 vp_register_set(struct hyperv_vp *vp, u32 name, const struct hv_register_value *value);

#endif
