/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypercall interface itself, from 64-bit code (TLFS: "Hypercall Interface"): the input value,
 * where parameters may lie, registers preserved, fast input, extended calls.
 */
#include "tests/bare/bare.h"

#define GET_REGISTERS(reps) (HV_CALL_GET_VP_REGISTERS | (uint64_t)(reps) << 32)

static uint8_t block[2 * HV_PAGE_SIZE] __attribute__((aligned(HV_PAGE_SIZE)));
static uint64_t output[HV_PAGE_SIZE / 8] __attribute__((aligned(HV_PAGE_SIZE)));

static const uint64_t input = (uint64_t)block;

static uint64_t call(uint64_t control)
{
	return bare_hypercall(control, input, (uint64_t)output);
}

static void check_codes(void)
{
	static const uint16_t unknown[] = { 0x0000, 0x0001, 0x0049, 0x005a, 0x005b, 0x005e,
					    0x00ff, 0x7777, 0x8000, 0x8002, 0xffff };

	for (unsigned i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		CHECK_EQUAL(call(unknown[i]), HV_STATUS_INVALID_HYPERCALL_CODE);
		CHECK_EQUAL(call(unknown[i] | HV_CONTROL_FAST), HV_STATUS_INVALID_HYPERCALL_CODE);
		CHECK_EQUAL(call(unknown[i] | 2ull << 32), HV_STATUS_INVALID_HYPERCALL_CODE);
	}
}

static void check_reserved(void)
{
	const uint64_t signal = HV_CALL_SIGNAL_EVENT | HV_CONTROL_FAST;

	for (unsigned bit = 0; bit < 64; bit++) {
		if (HV_CONTROL_RESERVED >> bit & 1)
			CHECK_EQUAL(bare_hypercall(signal | 1ull << bit, BARE_CONNECTION_NONE, 0),
				    HV_STATUS_INVALID_HYPERCALL_INPUT);
	}
}

/* No simple call is a rep call, none of these has a variable header. */
static void check_shapes(void)
{
	static const uint16_t simple[] = { HV_CALL_SIGNAL_EVENT, HV_CALL_POST_MESSAGE,
					   HV_CALL_NOTIFY_LONG_SPIN_WAIT };

	for (unsigned i = 0; i < sizeof(simple) / sizeof(simple[0]); i++) {
		CHECK_EQUAL(call(simple[i] | 1ull << HV_CONTROL_REP_COUNT_SHIFT),
			    HV_STATUS_INVALID_HYPERCALL_INPUT);
		CHECK_EQUAL(call(simple[i] | 1ull << HV_CONTROL_REP_START_SHIFT),
			    HV_STATUS_INVALID_HYPERCALL_INPUT);
		CHECK_EQUAL(call(simple[i] | 1ull << HV_CONTROL_VARHEAD_SHIFT),
			    HV_STATUS_INVALID_HYPERCALL_INPUT);
	}
	CHECK_EQUAL(call(GET_REGISTERS(0)), HV_STATUS_INVALID_HYPERCALL_INPUT);
	CHECK_EQUAL(call(GET_REGISTERS(2) | 2ull << HV_CONTROL_REP_START_SHIFT),
		    HV_STATUS_INVALID_HYPERCALL_INPUT);
	/* 256 bytes fit no registers. */
	CHECK_EQUAL(call(HV_CALL_POST_MESSAGE | HV_CONTROL_FAST),
		    HV_STATUS_INVALID_HYPERCALL_INPUT);
}

static void check_alignment(void)
{
	const uint64_t end = input + HV_PAGE_SIZE;

	for (unsigned off = 1; off < 8; off++) {
		CHECK_EQUAL(bare_hypercall(HV_CALL_POST_MESSAGE, input + off, 0),
			    HV_STATUS_INVALID_ALIGNMENT);
		CHECK_EQUAL(bare_hypercall(HV_CALL_SIGNAL_EVENT, input + off, 0),
			    HV_STATUS_INVALID_ALIGNMENT);
		CHECK_EQUAL(bare_hypercall(GET_REGISTERS(1), input + off, (uint64_t)output),
			    HV_STATUS_INVALID_ALIGNMENT);
		CHECK_EQUAL(bare_hypercall(GET_REGISTERS(1), input, (uint64_t)output + off),
			    HV_STATUS_INVALID_ALIGNMENT);
	}
	for (unsigned off = 8; off < 256; off += 8)
		CHECK_EQUAL(bare_hypercall(HV_CALL_POST_MESSAGE, end - off, 0),
			    HV_STATUS_INVALID_ALIGNMENT);
	/* The last that fit: another error, so they were read. */
	CHECK_EQUAL(bare_hypercall(HV_CALL_POST_MESSAGE, end - 256, 0),
		    HV_STATUS_INVALID_PARAMETER);
	CHECK_EQUAL(bare_hypercall(HV_CALL_SIGNAL_EVENT, end - 8, 0),
		    HV_STATUS_INVALID_CONNECTION_ID);
}

static void check_hostile(void)
{
	static const uint64_t bad[] = { 0xd0000000, 0xfee00000, 1ull << 45, 0xfffffffffffff000 };

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_EQUAL(bare_hypercall(HV_CALL_POST_MESSAGE, bad[i], 0),
			    HV_STATUS_INVALID_ALIGNMENT);
		CHECK_EQUAL(bare_hypercall(HV_CALL_SIGNAL_EVENT, bad[i], 0),
			    HV_STATUS_INVALID_ALIGNMENT);
		CHECK_EQUAL(bare_hypercall(GET_REGISTERS(1), bad[i], (uint64_t)output),
			    HV_STATUS_INVALID_ALIGNMENT);
		CHECK_EQUAL(bare_hypercall(GET_REGISTERS(1), input, bad[i]),
			    HV_STATUS_INVALID_ALIGNMENT);
	}
}

static void fill(struct bare_regs *r, uint64_t control, uint64_t rdx, uint64_t r8)
{
	*r = (struct bare_regs){ .rax = 0xa1,
				 .rbx = 0xa2,
				 .rcx = control,
				 .rdx = rdx,
				 .rsi = 0xa3,
				 .rdi = 0xa4,
				 .rbp = 0xa5,
				 .r8 = r8,
				 .r9 = 0xa6,
				 .r10 = 0xa7,
				 .r11 = 0xa8,
				 .r12 = 0xa9,
				 .r13 = 0xaa,
				 .r14 = 0xab,
				 .r15 = 0xac };
	for (unsigned i = 0; i < 12; i++)
		r->xmm[i / 2][i % 2] = 0x1111111111111111ull * i;
}

/* All registers but RAX and the flags are as they were, in whatever way the call is served. */
static void check_preserved(uint64_t control, uint64_t rdx, uint64_t r8, uint64_t result)
{
	const uint64_t *before, *after;
	struct bare_regs in, out;

	fill(&in, control, rdx, r8);
	out = in;
	bare_call_regs(bare_hypercall_page, &out);
	CHECK_EQUAL(out.rax, result);
	out.rax = in.rax;
	out.rflags = in.rflags;
	before = (const uint64_t *)&in;
	after = (const uint64_t *)&out;
	for (unsigned i = 0; i < sizeof(in) / sizeof(*before); i++)
		CHECK_EQUAL(after[i], before[i]);
}

static void check_registers(void)
{
	const uint64_t fast_signal = HV_CALL_SIGNAL_EVENT | HV_CONTROL_FAST;

	check_preserved(0x7777, input, 0, HV_STATUS_INVALID_HYPERCALL_CODE);
	check_preserved(fast_signal, BARE_CONNECTION_DOORBELL, 0xffff, HV_STATUS_SUCCESS);
	check_preserved(fast_signal, BARE_CONNECTION_NONE, 1, HV_STATUS_INVALID_CONNECTION_ID);
	check_preserved(fast_signal, 1ull << 32 | BARE_CONNECTION_DOORBELL, 1,
			HV_STATUS_INVALID_PARAMETER);
	check_preserved(HV_CALL_POST_MESSAGE, input + 1, 0, HV_STATUS_INVALID_ALIGNMENT);
	check_preserved(HV_CALL_NOTIFY_LONG_SPIN_WAIT | HV_CONTROL_FAST, 1, 0, HV_STATUS_SUCCESS);
	check_preserved(HV_CALL_NOTIFY_LONG_SPIN_WAIT, input, 0, HV_STATUS_SUCCESS);
}

static void check_signal(void)
{
	struct hv_signal_event *s = (struct hv_signal_event *)block;

	*s = (struct hv_signal_event){ .connection_id = BARE_CONNECTION_DOORBELL };
	CHECK_EQUAL(call(HV_CALL_SIGNAL_EVENT), HV_STATUS_SUCCESS);
	s->flag_number = 7;
	CHECK_EQUAL(call(HV_CALL_SIGNAL_EVENT), HV_STATUS_INVALID_PARAMETER);
	s->flag_number = 0;
	s->reserved = 1;
	CHECK_EQUAL(call(HV_CALL_SIGNAL_EVENT), HV_STATUS_INVALID_HYPERCALL_INPUT);
	*s = (struct hv_signal_event){ .connection_id = 1u << 24 | BARE_CONNECTION_DOORBELL };
	CHECK_EQUAL(call(HV_CALL_SIGNAL_EVENT), HV_STATUS_INVALID_HYPERCALL_INPUT);
	CHECK_EQUAL(bare_signal(BARE_CONNECTION_DOORBELL, 0xffff), HV_STATUS_INVALID_PARAMETER);
	*s = (struct hv_signal_event){ 0 };
}

/* Eight bytes, of which none is set; and not one byte more. */
static void check_extended(void)
{
	output[0] = output[1] = ~0ull;
	CHECK_EQUAL(call(HV_CALL_EXT_QUERY_CAPABILITIES), HV_STATUS_SUCCESS);
	CHECK_EQUAL(output[0], 0);
	CHECK_EQUAL(output[1], ~0ull);
	CHECK_EQUAL(bare_hypercall(HV_CALL_EXT_QUERY_CAPABILITIES, 0, (uint64_t)output + 4),
		    HV_STATUS_INVALID_ALIGNMENT);
}

int main(void);
int main(void)
{
	bare_init();
	bare_hyperv_init();
	check_codes();
	check_reserved();
	check_shapes();
	check_alignment();
	check_hostile();
	check_registers();
	check_signal();
	check_extended();
	bare_pass();
}
