/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypercall page of each back end, and the two I/O ports it writes to:
 *
 *	PORT_SIGNAL  the fast HvCallSignalEvent with flag 0: the connection id in EAX. On the user
 *	             back end an ioeventfd with datamatch swallows it in the kernel: a doorbell
 *	             costs no exit to user space
 *	PORT_CALL    everything else: parameters are where the guest put them
 *
 * How a status gets back. On PORT_CALL user space sets the result registers before it resumes. On
 * PORT_SIGNAL the page itself subtracts the id from EAX after the OUT: 0 = HV_STATUS_SUCCESS when
 * the kernel swallowed the write, for EAX was the id. A connection nobody bound does exit, and user
 * space then sets EAX to id + status. So RIP is not touched, and it does not matter whether KVM
 * steps over the OUT before or after the exit. All other registers but the flags are preserved.
 *
 * One page serves every mode, as the guest may change its mode and keep its page. The bytes 4c 90
 * tell them apart: a NOP with a prefix in 64-bit code, DEC ESP and NOP in other code. That code
 * then looks at CR0.PE, and all code at its CPL, for the TLFS wants #UD in real mode and at CPL >
 * 0, where OUT would raise #GP or be allowed. MOV to CS raises it: unlike UD2, KVM's interpreter of
 * real mode knows that.
 *
 * The kernel back end's page begins with ENDBR64, for guests with indirect branch tracking. The
 * user back end's does so on a processor that has it: a KVM that interprets guests may know ENDBR64
 * in 64-bit code only.
 *
 * The kernel back end's page leaves to KVM what KVM serves, that is the codes below 0x50 and the
 * fast HvCallSignalEvent, and has the rest served as on the user back end: KVM would refuse it.
 */
#include "hyperv/hypercall.h"

#include <cpuid.h>
#include <string.h>

#include "vmm/kvm.h"
#include "vmm/vcpu.h"

#define UNDEFINED_OFFSET 0x60 /* of what raises #UD, in both pages */
#define VMCALL_OFFSET 0x43 /* in the kernel back end's */

#define ENDBR_SIZE 4

#define CR0_PE 0x1ull
#define LEAF7_EDX_IBT (1u << 20)

/* clang-format off */
/* 64-bit code leaves ZF set, other code takes one off ESP and so clears it. */
#define ENTRY \
	0x39, 0xc0,             /* cmp %eax, %eax */ \
	0x4c, 0x90              /* nop, or dec %esp; nop */

/* Of other code: ESP again, then ZF only in protected mode at CPL 0. */
#define ENTRY32 \
	0x44,                   /* inc %esp */ \
	0x50,                   /* push %eax */ \
	0x8c, 0xc8,             /* mov %cs, %eax */ \
	0xa8, 0x03,             /* test $3, %al: the CPL */ \
	0x75, 0x07,             /* jnz 1f */ \
	0x0f, 0x01, 0xe0,       /* smsw %eax */ \
	0x34, 0x01,             /* xor $1, %al: CR0.PE */ \
	0xa8, 0x01,             /* test $1, %al */ \
	0x58                    /* 1: pop %eax */

static const u8 user_page[] = {
	0x90, 0x90, 0x90, 0x90,                   /* nop: see above */
	ENTRY,
	0x75, 0x1e,                               /* jnz call32 */
	0x8c, 0xc8,                               /* mov %cs, %eax */
	0xa8, 0x03,                               /* test $3, %al: the CPL */
	0x75, 0x50,                               /* jnz undefined */
	0x48, 0x81, 0xf9, 0x5d, 0x00, 0x01, 0x00, /* cmp $0x1005d, %rcx: fast HvCallSignalEvent */
	0x75, 0x0c,                               /* jne call */
	0x89, 0xd0,                               /* mov %edx, %eax: the connection id */
	0x48, 0x39, 0xd0,                         /* cmp %rdx, %rax: with flag number 0 */
	0x75, 0x05,                               /* jne call */
	0xe7, HYPERCALL_PORT_SIGNAL,              /* out %eax, $HYPERCALL_PORT_SIGNAL */
	0x29, 0xd0,                               /* sub %edx, %eax */
	0xc3,                                     /* ret */
	0xe7, HYPERCALL_PORT_CALL,                /* call: out %eax, $HYPERCALL_PORT_CALL */
	0xc3,                                     /* ret */
	ENTRY32,                                  /* call32: */
	0x75, 0x26,                               /* jnz undefined */
	0x3d, 0x5d, 0x00, 0x01, 0x00,             /* cmp $0x1005d, %eax */
	0x75, 0x0f,                               /* jne 2f */
	0x85, 0xd2,                               /* test %edx, %edx: no reps */
	0x75, 0x0b,                               /* jne 2f */
	0x85, 0xdb,                               /* test %ebx, %ebx: flag number 0 */
	0x75, 0x07,                               /* jne 2f */
	0x89, 0xc8,                               /* mov %ecx, %eax: the connection id */
	0xe7, HYPERCALL_PORT_SIGNAL,              /* out %eax, $HYPERCALL_PORT_SIGNAL */
	0x29, 0xc8,                               /* sub %ecx, %eax; EDX is 0 */
	0xc3,                                     /* ret */
	0xe7, HYPERCALL_PORT_CALL,                /* 2: out %eax, $HYPERCALL_PORT_CALL */
	0xc3,                                     /* ret */
};

static const u8 kernel_page[] = {
	0xf3, 0x0f, 0x1e, 0xfa,                   /* endbr64 */
	ENTRY,
	0x75, 0x17,                               /* jnz call32 */
	0x81, 0xf9, 0x5d, 0x00, 0x01, 0x00,       /* cmp $0x1005d, %ecx: fast HvCallSignalEvent */
	0x74, 0x31,                               /* je kvm */
	0x66, 0x83, 0xf9, 0x50,                   /* cmp $0x50, %cx */
	0x72, 0x2b,                               /* jb kvm, which tests the CPL itself */
	0x8c, 0xc8,                               /* mov %cs, %eax */
	0xa8, 0x03,                               /* test $3, %al */
	0x75, 0x42,                               /* jnz undefined */
	0xe7, HYPERCALL_PORT_CALL,                /* out %eax, $HYPERCALL_PORT_CALL */
	0xc3,                                     /* ret */
	ENTRY32,                                  /* call32: */
	0x75, 0x2d,                               /* jnz undefined */
	0x3d, 0x5d, 0x00, 0x01, 0x00,             /* cmp $0x1005d, %eax */
	0x74, 0x09,                               /* je kvm */
	0x66, 0x83, 0xf8, 0x50,                   /* cmp $0x50, %ax */
	0x72, 0x03,                               /* jb kvm */
	0xe7, HYPERCALL_PORT_CALL,                /* out %eax, $HYPERCALL_PORT_CALL */
	0xc3,                                     /* ret */
	0x0f, 0x01, 0xc1,                         /* kvm: vmcall */
	0xc3,                                     /* ret */
};
/* clang-format on */

static const u8 vmmcall[] = { 0x0f, 0x01, 0xd9 };
static const u8 undefined[] = { 0x8e, 0xc8 }; /* mov %eax, %cs */

_Static_assert(sizeof(user_page) <= UNDEFINED_OFFSET, "`undefined` lies behind it");
_Static_assert(sizeof(kernel_page) <= UNDEFINED_OFFSET, "`undefined` lies behind it");

/* Other VPs may be running the same bytes: none may change, not even for a moment. */
static void fill(u8 page[static HV_PAGE_SIZE], const u8 *code, size_t len)
{
	u8 whole[HV_PAGE_SIZE];

	memset(whole, 0xcc, sizeof(whole)); /* int3 */
	memcpy(whole, code, len);
	memcpy(whole + UNDEFINED_OFFSET, undefined, sizeof(undefined));
	memcpy(page, whole, sizeof(whole));
}

void hypercall_page_fill_user(u8 page[static HV_PAGE_SIZE], bool with_endbr)
{
	u8 code[sizeof(user_page)];

	memcpy(code, user_page, sizeof(code));
	if (with_endbr)
		memcpy(code, kernel_page, ENDBR_SIZE);
	fill(page, code, sizeof(code));
}

void hypercall_page_fill_kernel(u8 page[static HV_PAGE_SIZE], bool with_vmmcall)
{
	u8 code[sizeof(kernel_page)];

	memcpy(code, kernel_page, sizeof(code));
	if (with_vmmcall)
		memcpy(code + VMCALL_OFFSET, vmmcall, sizeof(vmmcall));
	fill(page, code, sizeof(code));
}

bool hypercall_page_host_has_vmmcall(void)
{
	u32 eax, ebx, ecx, edx;

	/* "AuthenticAMD", "HygonGenuine". */
	return __get_cpuid(0, &eax, &ebx, &ecx, &edx) && (ebx == 0x68747541 || ebx == 0x6f677948);
}

bool hypercall_page_host_has_ibt(void)
{
	u32 eax, ebx, ecx, edx;

	return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && edx & LEAF7_EDX_IBT;
}

/* ---- The ports ------------------------------------------------------------------------------- */

static bool long_mode(const struct kvm_sregs *s)
{
	return s->cs.l;
}

/* Where the TLFS allows a hypercall. Our page lets nobody else come here. */
static bool allowed(const struct kvm_sregs *s)
{
	return s->cr0 & CR0_PE && s->ss.dpl == 0;
}

static u64 pair(u64 high, u64 low)
{
	return high << 32 | (u32)low;
}

static u64 run(struct hyperv_vp *vp, const struct kvm_regs *r, const struct kvm_sregs *s)
{
	if (long_mode(s))
		return hypercall_run(vp, r->rcx, r->rdx, r->r8);
	return hypercall_run(vp, pair(r->rdx, r->rax), pair(r->rbx, r->rcx), pair(r->rdi, r->rsi));
}

static void port_call(struct hyperv_vp *vp, struct kvm_regs *r, const struct kvm_sregs *s)
{
	u64 result = run(vp, r, s);

	if (result == HYPERCALL_UNDEFINED) {
		/* The page itself raises it: RIP need not point at the OUT any more. */
		r->rip += UNDEFINED_OFFSET - (s->cs.base + r->rip) % HV_PAGE_SIZE;
	} else if (long_mode(s)) {
		r->rax = result;
	} else {
		r->rdx = result >> 32;
		r->rax = (u32)result;
	}
}

/* The page takes the id, which it has kept in EDX or ECX, off EAX again. */
static void port_signal(struct hyperv_vp *vp, struct kvm_regs *r, const struct kvm_sregs *s,
			u32 connection_id)
{
	u64 status = hypercall_run(vp, HV_CALL_SIGNAL_EVENT | HV_CONTROL_FAST, connection_id, 0);

	r->rax = (u32)((long_mode(s) ? r->rdx : r->rcx) + status);
}

bool hypercall_page_out(struct hyperv_vp *vp, u16 port, u32 value)
{
	struct kvm_sregs s;
	struct kvm_regs r;

	if (port != HYPERCALL_PORT_SIGNAL && port != HYPERCALL_PORT_CALL)
		return false;
	if (kvm_get_regs(vp->vcpu->fd, &r) || kvm_get_sregs(vp->vcpu->fd, &s) || !allowed(&s))
		return true;
	if (port == HYPERCALL_PORT_SIGNAL)
		port_signal(vp, &r, &s, value);
	else
		port_call(vp, &r, &s);
	kvm_set_regs(vp->vcpu->fd, &r);
	return true;
}
