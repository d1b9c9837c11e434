/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercall pages of our own.
 */
#include "hyperv/internal.h"

#include <string.h>

#include "vmm/kvm.h"
#include "vmm/vcpu.h"

/* clang-format off */
static const u8 hypercall_page[] = {
	0xf3, 0x0f, 0x1e, 0xfa,                   /* endbr64 */
	0x48, 0x81, 0xf9, 0x5d, 0x00, 0x01, 0x00, /* cmp $0x1005d, %rcx: fast HvCallSignalEvent */
	0x75, 0x0d,                               /* jne call */
	0x89, 0xd0,                               /* mov %edx, %eax: the connection id */
	0x48, 0x39, 0xd0,                         /* cmp %rdx, %rax: with flag number 0 */
	0x75, 0x06,                               /* jne call */
	0xe7, HYPERCALL_PORT_SIGNAL,                        /* out %eax, $HYPERCALL_PORT_SIGNAL */
	0x29, 0xd0,                               /* sub %edx, %eax */
	0xc3,                                     /* ret */
	0xcc,                                     /* (never) */
	0xe7, HYPERCALL_PORT_CALL,                          /* call: out %eax, $HYPERCALL_PORT_CALL */
	0xc3,                                     /* ret */
};
/* clang-format on */

void hypercall_page_fill_user(u8 page[static HV_PAGE_SIZE])
{
	memset(page, 0xcc, HV_PAGE_SIZE); /* int3 */
	memcpy(page, hypercall_page, sizeof(hypercall_page));
}

void hypercall_page_fill_kernel(u8 page[static HV_PAGE_SIZE], bool vmmcall)
{
	(void)vmmcall;
	memset(page, 0xcc, HV_PAGE_SIZE);
}

/* Whether the caller runs 64-bit code. */
static bool long_mode(const struct hyperv_vp *vp)
{
	struct kvm_sregs s;

	return !kvm_get_sregs(vp->vcpu->fd, &s) && s.cs.l;
}

static void user_call(struct hyperv_vp *vp, struct kvm_regs *r)
{
	if (long_mode(vp)) {
		r->rax = hypercall_run(vp, r->rcx, r->rdx, r->r8);
	} else {
		r->rax = HV_STATUS_INVALID_HYPERCALL_CODE;
		r->rdx = 0;
	}
}

static void user_signal(struct hyperv_vp *vp, struct kvm_regs *r, u32 connection_id)
{
	u64 status = hypercall_run(vp, HV_CALL_SIGNAL_EVENT | HV_CONTROL_FAST, connection_id, 0);

	r->rax = (u32)(r->rdx + status);
}

bool hypercall_page_out(struct hyperv_vp *vp, u16 port, u32 value)
{
	struct kvm_regs r;

	if (port != HYPERCALL_PORT_SIGNAL && port != HYPERCALL_PORT_CALL)
		return false;
	if (kvm_get_regs(vp->vcpu->fd, &r))
		return true;
	if (port == HYPERCALL_PORT_SIGNAL)
		user_signal(vp, &r, value);
	else
		user_call(vp, &r);
	kvm_set_regs(vp->vcpu->fd, &r);
	return true;
}

