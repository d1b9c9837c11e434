/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls from 32-bit protected mode (TLFS: "Hypercall Interface"): the input value in EDX:EAX,
 * parameters in EBX:ECX and EDI:ESI, the result in EDX:EAX, all else preserved. A Multiboot guest
 * without the runtime, which is 64-bit.
 */
#include <stdbool.h>
#include <stdint.h>

#include "hyperv/tlfs.h"
#include "tests/bare/bare_proto.h"

/* The Multiboot header, and the entry: flat 32-bit segments, paging off. */
__asm__(".section .multiboot, \"a\"\n"
	".balign 4\n"
	".long 0x1badb002, 0, -0x1badb002\n"
	".text\n"
	".globl start\n"
	"start:\n"
	"	mov $stack_top, %esp\n"
	"	call main\n"
	".bss\n"
	".balign 16\n"
	".skip 8192\n"
	"stack_top:\n"
	".text\n");

struct regs {
	uint32_t eax, ebx, ecx, edx, esi, edi, ebp;
};

uint8_t page[HV_PAGE_SIZE] __attribute__((aligned(HV_PAGE_SIZE)));
static uint32_t block[1024] __attribute__((aligned(HV_PAGE_SIZE)));
static struct hv_register_value value[4] __attribute__((aligned(64)));

void *memset(void *to, int byte, size_t n);
void *memset(void *to, int byte, size_t n)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(byte) : "memory");
	return to;
}

static _Noreturn void stop(uint32_t verdict)
{
	for (;;) {
		__asm__ volatile("outl %0, %w1" : : "a"(verdict), "d"(BARE_PORT_VERDICT));
		__asm__ volatile("cli; hlt");
	}
}

#define CHECK(condition)                \
	do {                            \
		if (!(condition))       \
			stop(__LINE__); \
	} while (0)

static void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "A"(v) : "memory");
}

/* call32(regs): all of *regs in, the page called, all of *regs out. */
void call32(struct regs *r);
__asm__(".globl call32\n"
	"call32:\n"
	"	push %ebx\n"
	"	push %ebp\n"
	"	push %esi\n"
	"	push %edi\n"
	"	mov 20(%esp), %eax\n"
	"	mov 4(%eax), %ebx\n"
	"	mov 8(%eax), %ecx\n"
	"	mov 12(%eax), %edx\n"
	"	mov 16(%eax), %esi\n"
	"	mov 20(%eax), %edi\n"
	"	mov 24(%eax), %ebp\n"
	"	mov (%eax), %eax\n"
	"	call page\n"
	"	push %eax\n"
	"	mov 24(%esp), %eax\n"
	"	mov %ebx, 4(%eax)\n"
	"	mov %ecx, 8(%eax)\n"
	"	mov %edx, 12(%eax)\n"
	"	mov %esi, 16(%eax)\n"
	"	mov %edi, 20(%eax)\n"
	"	mov %ebp, 24(%eax)\n"
	"	pop (%eax)\n"
	"	pop %edi\n"
	"	pop %esi\n"
	"	pop %ebp\n"
	"	pop %ebx\n"
	"	ret\n");

/* The result; and that the other registers are as they were. */
static uint64_t call(uint64_t control, uint64_t input, uint64_t output)
{
	const struct regs in = { .eax = (uint32_t)control,
				 .edx = (uint32_t)(control >> 32),
				 .ecx = (uint32_t)input,
				 .ebx = (uint32_t)(input >> 32),
				 .esi = (uint32_t)output,
				 .edi = (uint32_t)(output >> 32),
				 .ebp = 0x5a5a5a5a };
	struct regs r = in;

	call32(&r);
	CHECK(r.ebx == in.ebx && r.ecx == in.ecx && r.esi == in.esi && r.edi == in.edi &&
	      r.ebp == in.ebp);
	return (uint64_t)r.edx << 32 | r.eax;
}

static void check_errors(void)
{
	const uint64_t signal = HV_CALL_SIGNAL_EVENT | HV_CONTROL_FAST;
	const uint64_t input = (uint32_t)block;

	CHECK(call(0x7777, 0, 0) == HV_STATUS_INVALID_HYPERCALL_CODE);
	CHECK(call(0x7777 | HV_CONTROL_FAST, 0, 0) == HV_STATUS_INVALID_HYPERCALL_CODE);
	CHECK(call(signal | 1ull << 60, BARE_CONNECTION_NONE, 0) ==
	      HV_STATUS_INVALID_HYPERCALL_INPUT);
	CHECK(call(signal | 1ull << 32, BARE_CONNECTION_NONE, 0) ==
	      HV_STATUS_INVALID_HYPERCALL_INPUT);
	CHECK(call(HV_CALL_POST_MESSAGE, input + 4, 0) == HV_STATUS_INVALID_ALIGNMENT);
	CHECK(call(HV_CALL_POST_MESSAGE, 1ull << 32 | input, 0) == HV_STATUS_INVALID_ALIGNMENT);
}

static void check_signal(void)
{
	const uint64_t signal = HV_CALL_SIGNAL_EVENT | HV_CONTROL_FAST;

	CHECK(call(signal, BARE_CONNECTION_DOORBELL, 0) == HV_STATUS_SUCCESS);
	CHECK(call(signal, BARE_CONNECTION_DOORBELL, 0x123456789abull) == HV_STATUS_SUCCESS);
	CHECK(call(signal, BARE_CONNECTION_NONE, 0) == HV_STATUS_INVALID_CONNECTION_ID);
	CHECK(call(signal, 1ull << 32 | BARE_CONNECTION_DOORBELL, 0) ==
	      HV_STATUS_INVALID_PARAMETER);
	CHECK(call(signal, 0x1000000, 0) == HV_STATUS_INVALID_HYPERCALL_INPUT);
	block[0] = BARE_CONNECTION_DOORBELL;
	CHECK(call(HV_CALL_SIGNAL_EVENT, (uint32_t)block, 0) == HV_STATUS_SUCCESS);
}

static void check_message(void)
{
	struct hv_post_message *m = (struct hv_post_message *)block;

	m->connection_id = BARE_CONNECTION_ECHO;
	m->reserved = 0;
	m->message_type = 2; /* which the host refuses, with a status of its own */
	m->payload_size = 4;
	CHECK(call(HV_CALL_POST_MESSAGE, (uint32_t)block, 0) == HV_STATUS_INVALID_PARAMETER);
	m->connection_id = BARE_CONNECTION_NONE;
	CHECK(call(HV_CALL_POST_MESSAGE, (uint32_t)block, 0) == HV_STATUS_INVALID_CONNECTION_ID);
}

/* Reps completed come in EDX. */
static void check_reps(void)
{
	struct hv_vp_registers *head = (struct hv_vp_registers *)block;

	memset(block, 0, sizeof(block));
	head->partition_id = HV_PARTITION_ID_SELF;
	head->vp_index = HV_VP_INDEX_SELF;
	for (unsigned i = 0; i < 3; i++)
		block[sizeof(*head) / 4 + i] = HV_REGISTER_GUEST_OS_ID;
	CHECK(call(HV_CALL_GET_VP_REGISTERS | 3ull << HV_CONTROL_REP_COUNT_SHIFT, (uint32_t)block,
		   (uint32_t)value) == 3ull << HV_RESULT_REPS_SHIFT);
	CHECK(value[0].low == 0x1234500001 && value[2].low == 0x1234500001 && !value[3].low);
}

int main(void);
int main(void)
{
	wrmsr(HV_MSR_GUEST_OS_ID, 0x1234500001);
	wrmsr(HV_MSR_HYPERCALL, (uint32_t)page | HV_MSR_PAGE_ENABLE);
	check_errors();
	check_signal();
	check_message();
	check_reps();
	stop(0);
}
