/* SPDX-License-Identifier: BSD-2-Clause */
/* Entries of all 256 vectors, 16 bytes each, and bare_try(), which survives what faults in it. */
#include "tests/bare/runtime/asm.h"

#define HAS_ERROR_CODE 0x60227d00 /* vectors 8, 10 to 14, 17, 21, 29, 30 */

	.text
	.balign 16
	.globl bare_vectors
bare_vectors:
	.set vector, 0
	.rept 256
	.balign 16
	.if vector > 31 || !(HAS_ERROR_CODE >> (vector & 31) & 1)
	push $0
	.endif
	push $vector
	jmp entry
	.set vector, vector + 1
	.endr

	.balign 16
entry:
	push %rax
	push %rcx
	push %rdx
	push %rbx
	push %rbp
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, %rdi
	cld
	call bare_trap
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq

/*
 * unsigned bare_try(void (*call)(void *arg), void *arg): the vector of the exception that ended
 * call(arg), or NO_FAULT. The first member of the VP's struct is where the stack stood.
 */
	.globl bare_try, bare_try_end
bare_try:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	sub $8, %rsp
	mov %rsp, %r11
	and $-STACK_SIZE, %r11
	mov %rsp, (%r11)
	mov %rdi, %rax
	mov %rsi, %rdi
	call *%rax
	mov $NO_FAULT, %eax
bare_try_end:
	mov %rsp, %r11
	and $-STACK_SIZE, %r11
	movq $0, (%r11)
	add $8, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

	.section .note.GNU-stack, "", @progbits
