/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The runtime of bare test guests: 64-bit, identity-mapped, one VP, no C library. A guest is one
 * main() that ends in bare_pass(), or in bare_fail() with the line of the first CHECK that did not
 * hold. It shares hyperv/tlfs.h with the host.
 */
#ifndef TESTS_BARE_BARE_H
#define TESTS_BARE_BARE_H

#include <stdbool.h>
#include <stdint.h>

#include "hyperv/tlfs.h"
#include "tests/bare/bare_proto.h"

/* ---- Verdict ------------------------------------------------------------------------------------ */

/* Prints a line on the host. */
void bare_print(const char *text);
_Noreturn void bare_pass(void);
_Noreturn void bare_fail(uint32_t line, const char *what);

#define CHECK(condition)                                 \
	do {                                             \
		if (!(condition))                        \
			bare_fail(__LINE__, #condition); \
	} while (0)

/* ---- The processor -------------------------------------------------------------------------------- */

struct cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};

struct cpuid_regs bare_cpuid(uint32_t leaf);
uint64_t bare_rdtsc(void);
uint64_t bare_rdmsr(uint32_t msr);
void bare_wrmsr(uint32_t msr, uint64_t value);
/* Whether the access raises #GP. */
bool bare_rdmsr_faults(uint32_t msr);
bool bare_wrmsr_faults(uint32_t msr, uint64_t value);
void bare_out32(uint16_t port, uint32_t value);

/* ---- Interrupts ------------------------------------------------------------------------------------ */

#define BARE_VECTOR 0x40

/* Sets up the IDT; every guest calls it first. */
void bare_init(void);
/* Enables the local APIC. */
void bare_apic_init(void);
/* Interrupts taken on BARE_VECTOR so far. */
uint32_t bare_interrupts(void);
/* Sleeps until there were more than `seen` of them. */
void bare_wait_interrupt(uint32_t seen);

/* ---- Hyper-V ---------------------------------------------------------------------------------------- */

/* Gives an OS id and puts a hypercall page in place. */
void bare_hyperv_init(void);
/* Calls through the page. */
uint64_t bare_hypercall(uint64_t control, uint64_t input, uint64_t output);
/* HvCallSignalEvent, fast. */
uint64_t bare_signal(uint32_t connection_id, uint16_t flag);
/* The hypercall page, and whether it is one of candela's own rather than KVM's. */
extern uint8_t bare_hypercall_page[HV_PAGE_SIZE];
bool bare_page_is_ours(void);

#endif
