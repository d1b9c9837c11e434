/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The runtime of bare test guests: 64-bit, the first 4 GiB mapped one to one, up to BARE_VPS VPs,
 * no C library. A guest is one main() that ends in bare_pass(), or in bare_fail() with the line of
 * the first CHECK that did not hold. It shares hyperv/tlfs.h with the host.
 */
#ifndef TESTS_BARE_BARE_H
#define TESTS_BARE_BARE_H

#include <stdbool.h>
#include <stdint.h>

#include "hyperv/tlfs.h"
#include "tests/bare/bare_proto.h"

#define BARE_VPS 4

/* ---- Verdict: runtime/bare.c ----------------------------------------------------------------- */

/* Prints a line on the host; the second one with a number. */
void bare_print(const char *text);
void bare_print_number(const char *text, uint64_t n);
_Noreturn void bare_pass(void);
_Noreturn void bare_fail(uint32_t line, const char *what);

#define CHECK(condition)                                 \
	do {                                             \
		if (!(condition))                        \
			bare_fail(__LINE__, #condition); \
	} while (0)

/* Shows both sides where they differ. */
#define CHECK_EQUAL(got, wanted)                                  \
	do {                                                      \
		uint64_t got_ = (got), wanted_ = (wanted);        \
		if (got_ != wanted_) {                            \
			bare_print_number("  it is", got_);       \
			bare_print_number("  wanted", wanted_);   \
			bare_fail(__LINE__, #got " == " #wanted); \
		}                                                 \
	} while (0)

/* ---- The processor: runtime/bare.c ----------------------------------------------------------- */

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
uint32_t bare_in32(uint16_t port);
void bare_irq_on(void);
void bare_irq_off(void);

/* ---- Exceptions and interrupts: runtime/trap.c ----------------------------------------------- */

#define BARE_UD 6
#define BARE_GP 13
#define BARE_PF 14
#define BARE_NO_FAULT 0x100

/* Sets up the IDT; every guest calls it first. */
void bare_init(void);

/* The exception that ended call(arg), or BARE_NO_FAULT. */
unsigned bare_try(void (*call)(void *arg), void *arg);

/* The vectors guests use. All from BARE_VECTOR on are counted and, unless said otherwise, EOIed. */
#define BARE_VECTOR 0x40
#define BARE_WAKE 0xf1 /* the runtime's own */
#define BARE_SPURIOUS 0xff

/* Called for each interrupt of the vector, before its EOI. */
void bare_on_vector(uint8_t vector, void (*handler)(void));
/* Leaves the EOI of the vector to others. */
void bare_no_eoi(uint8_t vector);

/* Interrupts this VP, or another, took on a vector so far. */
uint32_t bare_count(uint8_t vector);
uint32_t bare_count_on(unsigned vp, uint8_t vector);

/* Sleeps until there were more than `seen` interrupts on the vector. Interrupts are on after it. */
void bare_wait(uint8_t vector, uint32_t seen);
/* The same of BARE_VECTOR. */
uint32_t bare_interrupts(void);
void bare_wait_interrupt(uint32_t seen);

/* ---- Several VPs: runtime/smp.c -------------------------------------------------------------- */

/* This VP's index, which is its APIC id. */
unsigned bare_vp_index(void);
/* Starts VPs 1 to vps-1 by INIT and SIPI; they wait for work with interrupts on. APIC first. */
void bare_start_vps(unsigned vps);
/* Has another VP call fn(arg), without waiting for it; and waits. */
void bare_on(unsigned vp, void (*fn)(uint64_t arg), uint64_t arg);
void bare_join(unsigned vp);
/* Both. */
void bare_call_on(unsigned vp, void (*fn)(uint64_t arg), uint64_t arg);
/* Restarts a VP, which first calls the page at BARE_REAL_PAGE in real mode: what that raises. */
#define BARE_REAL_PAGE 0x12000
unsigned bare_real_mode_call(unsigned vp);
/* Calls the code at `page` in CPL 3 (mapped for it): what ends it; BARE_GP where it returned. */
unsigned bare_user_call(uint64_t page, uint64_t control, uint64_t input);
void bare_pause(void);

/* ---- The local APIC: runtime/apic.c ---------------------------------------------------------- */

#define BARE_APIC_ID 0x20
#define BARE_APIC_TPR 0x80
#define BARE_APIC_EOI 0xb0
#define BARE_APIC_ISR 0x100
#define BARE_APIC_IRR 0x200
#define BARE_APIC_ICR 0x300

/* Enables this VP's. */
void bare_apic_init(void);
/* Switches this VP's to x2APIC mode. Interrupts are on after it. */
void bare_apic_x2(void);
bool bare_apic_is_x2(void);
uint32_t bare_apic_read(uint32_t reg);
void bare_apic_write(uint32_t reg, uint32_t value);
void bare_eoi(void);
/* Whether a vector is in service on this VP, or requested. */
bool bare_in_service(uint8_t vector);
bool bare_requested(uint8_t vector);
/* Writes the interrupt command register; bare_ipi() sends a fixed interrupt. */
void bare_icr(uint32_t vp, uint32_t command);
void bare_ipi(uint32_t vp, uint8_t vector);

/* ---- Page tables: runtime/paging.c ----------------------------------------------------------- */

/* 512 pages of 4 KiB at BARE_WINDOW to map as one likes; changes flush nothing. */
#define BARE_WINDOW 0x100000000ull
#define BARE_PAGE_USER 0x4ull
void *bare_window(unsigned slot);
void bare_map(unsigned slot, const void *page, uint64_t flags);
void bare_invlpg(const volatile void *at);

/* ---- Hyper-V: runtime/hyperv.c --------------------------------------------------------------- */

/* Whether KVM executes the interface: only for what tests/bare/differences lists. */
bool bare_backend_is_kernel(void);

/* Gives an OS id and puts a hypercall page in place. */
#define BARE_OS_ID 0x8100000000000001ull /* open source, none in particular */
void bare_hyperv_init(void);
/* Calls through the page. */
uint64_t bare_hypercall(uint64_t control, uint64_t input, uint64_t output);
/* HvCallSignalEvent, fast. */
uint64_t bare_signal(uint32_t connection_id, uint16_t flag);
extern uint8_t bare_hypercall_page[HV_PAGE_SIZE];

/* All registers of a call. */
struct bare_regs {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rflags; /* out only */
	uint64_t xmm[6][2];
};
/* Calls code at `page` with and into *r. runtime/call.S */
void bare_call_regs(const void *page, struct bare_regs *r);
/* A fast call with up to 112 bytes of input in RDX, R8 and XMM0 to 5. */
uint64_t bare_hypercall_xmm(uint64_t control, const uint64_t input[14]);

/* This VP's SynIC pages; bare_synic_init() enables them and the SynIC. */
struct hv_message_page *bare_messages(void);
struct hv_event_page *bare_events(void);
void bare_synic_init(void);
/* Takes the message of a slot as a driver does: copies and frees it, EOM where another waits. */
uint32_t bare_take(unsigned sint, struct hv_message *m);
/* Clears a flag; whether it was set. */
bool bare_flag_take(unsigned sint, unsigned flag);

/* Reference time, 100 ns; and waiting on it with interrupts as they are. */
uint64_t bare_time(void);
void bare_delay(uint64_t ticks);

/* ---- The host (bare_proto.h): what it is asked for is done on return ------------------------- */

/* 0, or an errno. */
uint32_t bare_ask(enum bare_ask what, unsigned vp, unsigned sint, uint32_t argument);

#endif
