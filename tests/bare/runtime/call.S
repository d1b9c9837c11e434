/* SPDX-License-Identifier: BSD-2-Clause */
/* A call with every register set and read back. */
#include "tests/bare/runtime/asm.h"

/*
 * void bare_call_regs(const void *page, struct bare_regs *r): the layout of *r is bare.h's.
 */
	.text
	.globl bare_call_regs
bare_call_regs:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	push %rsi
	push %rdi
	mov %rsi, %rax
	.irp i, 0, 1, 2, 3, 4, 5
	movups 128 + 16 * \i(%rax), %xmm\i
	.endr
	mov 8(%rax), %rbx
	mov 16(%rax), %rcx
	mov 24(%rax), %rdx
	mov 32(%rax), %rsi
	mov 40(%rax), %rdi
	mov 48(%rax), %rbp
	mov 56(%rax), %r8
	mov 64(%rax), %r9
	mov 72(%rax), %r10
	mov 80(%rax), %r11
	mov 88(%rax), %r12
	mov 96(%rax), %r13
	mov 104(%rax), %r14
	mov 112(%rax), %r15
	mov (%rax), %rax
	call *(%rsp)
	push %rax
	mov 16(%rsp), %rax
	mov %rbx, 8(%rax)
	mov %rcx, 16(%rax)
	mov %rdx, 24(%rax)
	mov %rsi, 32(%rax)
	mov %rdi, 40(%rax)
	mov %rbp, 48(%rax)
	mov %r8, 56(%rax)
	mov %r9, 64(%rax)
	mov %r10, 72(%rax)
	mov %r11, 80(%rax)
	mov %r12, 88(%rax)
	mov %r13, 96(%rax)
	mov %r14, 104(%rax)
	mov %r15, 112(%rax)
	pop %rbx
	mov %rbx, (%rax)
	pushf
	pop 120(%rax)
	.irp i, 0, 1, 2, 3, 4, 5
	movups %xmm\i, 128 + 16 * \i(%rax)
	.endr
	add $16, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

	.section .note.GNU-stack, "", @progbits
