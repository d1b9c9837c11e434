/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entry of a bare test guest: PVH (32-bit protected mode, paging off, %ebx the start info) into
 * 64-bit mode with SSE and the first 4 GiB mapped one to one, then main().
 */
#include "tests/bare/runtime/asm.h"

	.section .note.pvh, "a", @note
	.long 4, 4, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long start32

	.text
	.code32
	.globl start32
start32:
	cld
	mov $CR4_START, %eax
	mov %eax, %cr4
	mov $bare_pml4, %eax
	mov %eax, %cr3
	mov $MSR_EFER, %ecx
	rdmsr
	or $EFER_LME, %eax
	wrmsr
	mov $CR0_START, %eax
	mov %eax, %cr0
	lgdt boot_gdt_pointer
	ljmp $SELECTOR_CODE, $start64

	.code64
start64:
	mov $SELECTOR_DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %ebp, %ebp
	mov $bare_stacks + STACK_SIZE, %rsp
	call main
1:	cli
	hlt
	jmp 1b

/* Where the trampoline of another VP arrives: its stack is that of its APIC id. */
	.globl bare_start_vp
bare_start_vp:
	mov $SELECTOR_DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $1, %eax
	cpuid
	shr $24, %ebx
	inc %ebx
	imul $STACK_SIZE, %rbx, %rbx
	lea bare_stacks(%rbx), %rsp
	xor %ebp, %ebp
	call bare_vp_main
1:	cli
	hlt
	jmp 1b

	.data
	.balign 8
	.globl boot_gdt_pointer
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* SELECTOR_CODE */
	.quad 0x00cf93000000ffff /* SELECTOR_DATA */
boot_gdt_pointer:
	.word . - boot_gdt - 1
	.long boot_gdt

/* All levels but the last let CPL 3 in: what it may touch is the leaves' affair. */
	.balign 4096
	.globl bare_pml4, bare_window_table
bare_pml4:
	.quad pdpt + PAGE_TABLE
	.fill 511, 8, 0
pdpt:
	.quad pd + PAGE_TABLE
	.quad pd + 4096 + PAGE_TABLE
	.quad pd + 8192 + PAGE_TABLE
	.quad pd + 12288 + PAGE_TABLE
	.quad window_pd + PAGE_TABLE /* BARE_WINDOW */
	.fill 507, 8, 0
pd:
	.set page, 0
	.rept 2048
	.quad page + PAGE_2M
	.set page, page + 0x200000
	.endr
window_pd:
	.quad bare_window_table + PAGE_TABLE
	.fill 511, 8, 0
bare_window_table:
	.fill 512, 8, 0

	.section .note.GNU-stack, "", @progbits
