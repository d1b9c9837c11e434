/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a VP runs after INIT and SIPI: copied to TRAMPOLINE, entered in real mode with CS its
 * segment. With a probe asked for it first calls the page at REAL_PAGE, still in real mode, and
 * notes the exception that raised, if any. Then 64-bit mode.
 */
#include "tests/bare/runtime/asm.h"

#define AT(label) (label - bare_trampoline)
#define VECTOR_UD 6
#define VECTOR_GP 13

	.text
	.globl bare_trampoline, bare_trampoline_end, bare_trampoline_probe, bare_trampoline_gdt
	.code16
bare_trampoline:
	cli
	cld
	mov %cs, %ax
	mov %ax, %ds
	mov %ax, %ss
	mov $0x1ff0, %sp
	cmpw $0, AT(bare_trampoline_probe)
	jz long_mode

	xor %ax, %ax
	mov %ax, %es
	movw $AT(real_ud), %es:4 * VECTOR_UD
	mov %cs, %es:4 * VECTOR_UD + 2
	movw $AT(real_gp), %es:4 * VECTOR_GP
	mov %cs, %es:4 * VECTOR_GP + 2
	mov $REAL_PAGE - TRAMPOLINE, %ax
	mov %ax, %bx
	mov $0x7777, %ecx
	mov %ecx, %eax
	xor %edx, %edx
	call *%bx
	movw $NO_FAULT, AT(bare_trampoline_probe)
	jmp long_mode
real_ud:
	movw $VECTOR_UD, %cs:AT(bare_trampoline_probe)
	jmp long_mode
real_gp:
	movw $VECTOR_GP, %cs:AT(bare_trampoline_probe)

long_mode:
	mov %cs, %ax
	mov %ax, %ds
	mov $CR4_START, %eax
	mov %eax, %cr4
	mov $bare_pml4, %eax
	mov %eax, %cr3
	mov $MSR_EFER, %ecx
	rdmsr
	or $EFER_LME, %eax
	wrmsr
	lgdtl AT(bare_trampoline_gdt)
	mov $CR0_START, %eax
	mov %eax, %cr0
	ljmpl $SELECTOR_CODE, $bare_start_vp

	.balign 4
bare_trampoline_probe:
	.word 0
	.word 0
bare_trampoline_gdt: /* a copy of boot_gdt_pointer */
	.word 0
	.long 0
bare_trampoline_end:

	.section .note.GNU-stack, "", @progbits
