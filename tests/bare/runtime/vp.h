/* SPDX-License-Identifier: BSD-2-Clause */
/* What the runtime keeps of a VP, at the bottom of its stack. The runtime's own. */
#ifndef TESTS_BARE_RUNTIME_VP_H
#define TESTS_BARE_RUNTIME_VP_H

#include "tests/bare/bare.h"
#include "tests/bare/runtime/asm.h"

struct bare_vp {
	uint64_t try_rsp; /* 0: no bare_try() under way (vectors.S) */
	uint32_t index;
	bool x2apic;
	/* Work for it, and how much of it is done. */
	void (*volatile fn)(uint64_t arg);
	uint64_t arg;
	volatile uint32_t asked, done;
	/* Interrupts taken. */
	volatile uint32_t count[256];
};

extern uint8_t bare_stacks[BARE_VPS][STACK_SIZE];

static inline struct bare_vp *bare_vp(void)
{
	uint64_t rsp;

	__asm__ volatile("mov %%rsp, %0" : "=r"(rsp));
	return (struct bare_vp *)(rsp & ~(uint64_t)(STACK_SIZE - 1));
}

static inline struct bare_vp *bare_vp_at(unsigned vp)
{
	return (struct bare_vp *)bare_stacks[vp];
}

/* This VP's GDT, TSS and IDT. */
void bare_trap_init(void);
/* The C entry of VPs 1 and up. */
void bare_vp_main(void);

#endif
