/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/bare/bare.h"

#define GP_VECTOR 13
#define APIC 0xfee00000ul
#define APIC_EOI 0xb0
#define APIC_SPURIOUS 0xf0
#define APIC_ENABLE 0x100
#define SPURIOUS_VECTOR 0xff
#define OS_ID 0x8100000000000001ull /* open source, none in particular */

struct gate {
	uint16_t low, selector, type, mid;
	uint32_t high, reserved;
};

struct frame {
	uint64_t rip, cs, rflags, rsp, ss;
};

uint8_t bare_hypercall_page[HV_PAGE_SIZE] __attribute__((aligned(HV_PAGE_SIZE)));

static struct gate idt[256];
static volatile bool faulted;
static volatile uint32_t interrupts;

/* ---- What the compiler expects of any C library -------------------------------------------------- */

void *memset(void *to, int byte, size_t n);
void *memset(void *to, int byte, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)to)[i] = (uint8_t)byte;
	return to;
}

void *memcpy(void *to, const void *from, size_t n);
void *memcpy(void *to, const void *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
	return to;
}

/* ---- Verdict ------------------------------------------------------------------------------------ */

static void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

void bare_out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

void bare_print(const char *text)
{
	for (; *text; text++)
		out8(BARE_PORT_TEXT, (uint8_t)*text);
	out8(BARE_PORT_TEXT, '\n');
}

static _Noreturn void stop(uint32_t verdict)
{
	bare_out32(BARE_PORT_VERDICT, verdict);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void bare_pass(void)
{
	stop(0);
}

void bare_fail(uint32_t line, const char *what)
{
	bare_print(what);
	stop(line);
}

/* ---- The processor -------------------------------------------------------------------------------- */

struct cpuid_regs bare_cpuid(uint32_t leaf)
{
	struct cpuid_regs r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(0));
	return r;
}

uint64_t bare_rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

uint64_t bare_rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return (uint64_t)high << 32 | low;
}

void bare_wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

bool bare_rdmsr_faults(uint32_t msr)
{
	faulted = false;
	bare_rdmsr(msr);
	return faulted;
}

bool bare_wrmsr_faults(uint32_t msr, uint64_t value)
{
	faulted = false;
	bare_wrmsr(msr, value);
	return faulted;
}

/* ---- Interrupts ------------------------------------------------------------------------------------ */

/* RDMSR and WRMSR, the only instructions expected to fault, are two bytes long. */
__attribute__((interrupt)) static void on_gp(struct frame *f, uint64_t error)
{
	(void)error;
	faulted = true;
	f->rip += 2;
}

__attribute__((interrupt)) static void on_interrupt(struct frame *f)
{
	(void)f;
	interrupts++;
	*(volatile uint32_t *)(APIC + APIC_EOI) = 0;
}

static void gate_set(unsigned vector, uint64_t handler)
{
	idt[vector] = (struct gate){ .low = (uint16_t)handler,
				     .selector = 0x8,
				     .type = 0x8e00, /* present, interrupt gate */
				     .mid = (uint16_t)(handler >> 16),
				     .high = (uint32_t)(handler >> 32) };
}

void bare_init(void)
{
	const struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} pointer = { sizeof(idt) - 1, (uint64_t)idt };

	gate_set(GP_VECTOR, (uint64_t)on_gp);
	gate_set(BARE_VECTOR, (uint64_t)on_interrupt);
	__asm__ volatile("lidt %0" : : "m"(pointer));
}

void bare_apic_init(void)
{
	*(volatile uint32_t *)(APIC + APIC_SPURIOUS) = APIC_ENABLE | SPURIOUS_VECTOR;
}

uint32_t bare_interrupts(void)
{
	return interrupts;
}

void bare_wait_interrupt(uint32_t seen)
{
	/* STI holds interrupts off for one more instruction: none is lost before HLT. */
	for (;;) {
		__asm__ volatile("cli" : : : "memory");
		if (interrupts != seen)
			break;
		__asm__ volatile("sti; hlt" : : : "memory");
	}
	__asm__ volatile("sti" : : : "memory");
}

/* ---- Hyper-V ---------------------------------------------------------------------------------------- */

void bare_hyperv_init(void)
{
	bare_wrmsr(HV_MSR_GUEST_OS_ID, OS_ID);
	bare_wrmsr(HV_MSR_HYPERCALL, (uint64_t)bare_hypercall_page | HV_MSR_PAGE_ENABLE);
}

uint64_t bare_hypercall(uint64_t control, uint64_t input, uint64_t output)
{
	register uint64_t r8 __asm__("r8") = output;
	uint64_t result;

	__asm__ volatile("call *%[page]"
			 : "=a"(result), "+c"(control), "+d"(input), "+r"(r8)
			 : [page] "r"((uint64_t)bare_hypercall_page)
			 : "cc", "memory", "r9", "r10", "r11");
	return result;
}

uint64_t bare_signal(uint32_t connection_id, uint16_t flag)
{
	return bare_hypercall(HV_CALL_SIGNAL_EVENT | HV_CONTROL_FAST,
			      (uint64_t)flag << 32 | connection_id, 0);
}

bool bare_page_is_ours(void)
{
	/* KVM's begins with VMCALL or VMMCALL, maybe after an OR of RAX: never with ENDBR64. */
	return bare_hypercall_page[0] == 0xf3 && bare_hypercall_page[1] == 0x0f;
}
