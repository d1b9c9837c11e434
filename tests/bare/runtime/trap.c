/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exceptions and interrupts. An exception inside bare_try() ends that; elsewhere it ends the guest.
 * An interrupt is counted, handled and EOIed.
 */
#include "tests/bare/runtime/vp.h"

#define EXCEPTIONS 32
#define VECTOR_SIZE 16
#define GDT_ENTRIES 7 /* null, code, data, user data, user code, TSS (two) */

struct gate {
	uint16_t low, selector, type, mid;
	uint32_t high, reserved;
};

struct frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

struct __attribute__((packed)) tss {
	uint32_t reserved;
	uint64_t rsp0;
	uint8_t rest[90];
	uint16_t io_map;
};
_Static_assert(sizeof(struct tss) == 104, "64-bit TSS");

struct __attribute__((packed)) pointer {
	uint16_t limit;
	uint64_t base;
};

extern const uint8_t bare_vectors[], bare_try_end[];
void bare_trap(struct frame *f);

static struct gate idt[256];
static uint64_t gdt[BARE_VPS][GDT_ENTRIES];
static struct tss tss[BARE_VPS];
static void (*handler[256])(void);
static bool no_eoi[256];

static void set_gdt(unsigned vp)
{
	const struct pointer p = { sizeof(gdt[vp]) - 1, (uint64_t)gdt[vp] };
	const uint64_t base = (uint64_t)&tss[vp];
	const uint16_t selector = SELECTOR_TSS;

	tss[vp] = (struct tss){ .rsp0 = (uint64_t)bare_stacks[vp] + STACK_SIZE / 2,
				.io_map = sizeof(struct tss) };
	gdt[vp][1] = 0x00af9b000000ffff;
	gdt[vp][2] = 0x00cf93000000ffff;
	gdt[vp][3] = 0x00cff3000000ffff;
	gdt[vp][4] = 0x00affb000000ffff;
	gdt[vp][5] = (sizeof(struct tss) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 |
		     (base >> 24 & 0xff) << 56;
	gdt[vp][6] = base >> 32;
	__asm__ volatile("lgdt %0; ltr %1" : : "m"(p), "r"(selector) : "memory");
}

static void set_idt(void)
{
	const struct pointer p = { sizeof(idt) - 1, (uint64_t)idt };

	for (unsigned v = 0; v < 256; v++) {
		uint64_t at = (uint64_t)bare_vectors + v * VECTOR_SIZE;

		idt[v] = (struct gate){ .low = (uint16_t)at,
					.selector = SELECTOR_CODE,
					.type = 0x8e00, /* present, interrupt gate */
					.mid = (uint16_t)(at >> 16),
					.high = (uint32_t)(at >> 32) };
	}
	__asm__ volatile("lidt %0" : : "m"(p) : "memory");
}

void bare_trap_init(void)
{
	set_gdt(bare_vp()->index);
	set_idt();
}

void bare_init(void)
{
	bare_trap_init();
}

static void exception(struct bare_vp *vp, struct frame *f)
{
	if (!vp->try_rsp) {
		bare_print_number("exception", f->vector);
		bare_print_number("  error code", f->error);
		bare_print_number("  called from", *(uint64_t *)f->rsp);
		bare_print_number("  RCX", f->rcx);
		bare_fail((uint32_t)f->rip, "unexpected exception; the verdict is RIP");
	}
	f->rax = f->vector;
	f->rip = (uint64_t)bare_try_end;
	f->rsp = vp->try_rsp;
	f->cs = SELECTOR_CODE;
	f->ss = SELECTOR_DATA;
}

void bare_trap(struct frame *f)
{
	struct bare_vp *vp = bare_vp();
	uint8_t v = (uint8_t)f->vector;

	if (v < EXCEPTIONS) {
		exception(vp, f);
		return;
	}
	vp->count[v]++;
	if (handler[v])
		handler[v]();
	if (!no_eoi[v] && v != BARE_SPURIOUS)
		bare_eoi();
}

void bare_on_vector(uint8_t vector, void (*fn)(void))
{
	handler[vector] = fn;
}

void bare_no_eoi(uint8_t vector)
{
	no_eoi[vector] = true;
}

uint32_t bare_count_on(unsigned vp, uint8_t vector)
{
	return bare_vp_at(vp)->count[vector];
}

uint32_t bare_count(uint8_t vector)
{
	return bare_vp()->count[vector];
}

void bare_wait(uint8_t vector, uint32_t seen)
{
	/* STI holds interrupts off for one more instruction: none is lost before HLT. */
	for (;;) {
		bare_irq_off();
		if (bare_count(vector) != seen)
			break;
		__asm__ volatile("sti; hlt" : : : "memory");
	}
	bare_irq_on();
}

uint32_t bare_interrupts(void)
{
	return bare_count(BARE_VECTOR);
}

void bare_wait_interrupt(uint32_t seen)
{
	bare_wait(BARE_VECTOR, seen);
}
