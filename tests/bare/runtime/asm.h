/* SPDX-License-Identifier: BSD-2-Clause */
/* What the runtime's assembly and C agree on. */
#ifndef TESTS_BARE_RUNTIME_ASM_H
#define TESTS_BARE_RUNTIME_ASM_H

#define CR0_START 0x80000033 /* paging, protected mode, MP, ET, NE */
#define CR4_START 0x620 /* PAE, OSFXSR, OSXMMEXCPT */
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100
#define PAGE_TABLE 0x7 /* present, writable, user */
#define PAGE_2M 0x83

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_USER_DATA 0x1b
#define SELECTOR_USER_CODE 0x23
#define SELECTOR_TSS 0x28

/* Of one VP, aligned to its size: at the bottom the VP's struct, half-way up the top for CPL 3. */
#define STACK_SIZE 0x4000

#define TRAMPOLINE 0x10000 /* below 1 MiB, page aligned */
#define REAL_PAGE (TRAMPOLINE + 0x2000) /* the hypercall page in real mode's reach */

#define NO_FAULT 0x100

#endif
