/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entry of a bare test guest: PVH (32-bit protected mode, paging off, %ebx the start info) into
 * 64-bit mode with the first 4 GiB mapped one to one, then main().
 */
#define CR0_PG_PE 0x80000001
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100
#define PAGE_TABLE 0x3 /* present, writable */
#define PAGE_2M 0x83

	.section .note.pvh, "a", @note
	.long 4, 4, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long start32

	.text
	.code32
	.globl start32
start32:
	cld
	mov $stack_top, %esp
	mov %cr4, %eax
	or $CR4_PAE, %eax
	mov %eax, %cr4
	mov $pml4, %eax
	mov %eax, %cr3
	mov $MSR_EFER, %ecx
	rdmsr
	or $EFER_LME, %eax
	wrmsr
	mov %cr0, %eax
	or $CR0_PG_PE, %eax
	mov %eax, %cr0
	lgdt gdt_pointer
	ljmp $0x8, $start64

	.code64
start64:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %ebp, %ebp
	mov $stack_top, %rsp
	call main
1:	cli
	hlt
	jmp 1b

	.data
	.balign 8
gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* 0x08: 64-bit code */
	.quad 0x00cf93000000ffff /* 0x10: data */
gdt_pointer:
	.word . - gdt - 1
	.long gdt

	.balign 4096
pml4:
	.quad pdpt + PAGE_TABLE
	.fill 511, 8, 0
pdpt:
	.quad pd + PAGE_TABLE
	.quad pd + 4096 + PAGE_TABLE
	.quad pd + 8192 + PAGE_TABLE
	.quad pd + 12288 + PAGE_TABLE
	.fill 508, 8, 0
pd:
	.set page, 0
	.rept 2048
	.quad page + PAGE_2M
	.set page, page + 0x200000
	.endr

	.bss
	.balign 16
	.skip 16384
stack_top:

	.section .note.GNU-stack, "", @progbits
