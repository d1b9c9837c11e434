/* SPDX-License-Identifier: BSD-2-Clause */
/* Verdict and processor. */
#include "tests/bare/bare.h"

/* ---- What the compiler expects of any C library ---------------------------------------------- */

void *memset(void *to, int byte, size_t n);
void *memset(void *to, int byte, size_t n)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(byte) : "memory");
	return to;
}

void *memcpy(void *to, const void *from, size_t n);
void *memcpy(void *to, const void *from, size_t n)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n) : : "memory");
	return to;
}

/* ---- Verdict --------------------------------------------------------------------------------- */

static void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

void bare_out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

uint32_t bare_in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static void print(const char *text)
{
	for (; *text; text++)
		out8(BARE_PORT_TEXT, (uint8_t)*text);
}

void bare_print(const char *text)
{
	print(text);
	out8(BARE_PORT_TEXT, '\n');
}

void bare_print_number(const char *text, uint64_t n)
{
	print(text);
	print(" 0x");
	for (int shift = 60; shift >= 0; shift -= 4) {
		if (n >> shift || !shift)
			out8(BARE_PORT_TEXT, (uint8_t) "0123456789abcdef"[n >> shift & 0xf]);
	}
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

/* ---- The processor --------------------------------------------------------------------------- */

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

struct msr_access {
	uint32_t msr;
	uint64_t value;
};

static void try_rdmsr(void *arg)
{
	bare_rdmsr(((const struct msr_access *)arg)->msr);
}

static void try_wrmsr(void *arg)
{
	const struct msr_access *a = arg;

	bare_wrmsr(a->msr, a->value);
}

bool bare_rdmsr_faults(uint32_t msr)
{
	struct msr_access a = { msr, 0 };

	return bare_try(try_rdmsr, &a) == BARE_GP;
}

bool bare_wrmsr_faults(uint32_t msr, uint64_t value)
{
	struct msr_access a = { msr, value };

	return bare_try(try_wrmsr, &a) == BARE_GP;
}

void bare_irq_on(void)
{
	__asm__ volatile("sti" : : : "memory");
}

void bare_irq_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}

void bare_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}
