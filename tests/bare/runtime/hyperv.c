/* SPDX-License-Identifier: BSD-2-Clause */
/* Hypercalls, the SynIC, reference time, and the host. */
#include "tests/bare/runtime/vp.h"

uint8_t bare_hypercall_page[HV_PAGE_SIZE] __attribute__((aligned(HV_PAGE_SIZE)));

static struct hv_message_page messages[BARE_VPS] __attribute__((aligned(HV_PAGE_SIZE)));
static struct hv_event_page events[BARE_VPS] __attribute__((aligned(HV_PAGE_SIZE)));

bool bare_backend_is_kernel(void)
{
	return bare_in32(BARE_PORT_BACKEND) == BARE_IS_KERNEL;
}

void bare_hyperv_init(void)
{
	bare_wrmsr(HV_MSR_GUEST_OS_ID, BARE_OS_ID);
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

uint64_t bare_hypercall_xmm(uint64_t control, const uint64_t input[14])
{
	struct bare_regs r = { .rcx = control, .rdx = input[0], .r8 = input[1] };

	for (unsigned i = 0; i < 12; i++)
		r.xmm[i / 2][i % 2] = input[2 + i];
	bare_call_regs(bare_hypercall_page, &r);
	return r.rax;
}

uint64_t bare_signal(uint32_t connection_id, uint16_t flag)
{
	return bare_hypercall(HV_CALL_SIGNAL_EVENT | HV_CONTROL_FAST,
			      (uint64_t)flag << 32 | connection_id, 0);
}

/* ---- The SynIC ------------------------------------------------------------------------------- */

struct hv_message_page *bare_messages(void)
{
	return &messages[bare_vp_index()];
}

struct hv_event_page *bare_events(void)
{
	return &events[bare_vp_index()];
}

void bare_synic_init(void)
{
	bare_wrmsr(HV_MSR_SIMP, (uint64_t)bare_messages() | HV_MSR_PAGE_ENABLE);
	bare_wrmsr(HV_MSR_SIEFP, (uint64_t)bare_events() | HV_MSR_PAGE_ENABLE);
	bare_wrmsr(HV_MSR_SCONTROL, HV_SCONTROL_ENABLE);
}

uint32_t bare_take(unsigned sint, struct hv_message *m)
{
	struct hv_message *slot = &bare_messages()->slot[sint];
	uint32_t type = __atomic_load_n(&slot->type, __ATOMIC_ACQUIRE);

	*m = *slot;
	__atomic_store_n(&slot->type, HV_MESSAGE_NONE, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (type != HV_MESSAGE_NONE &&
	    __atomic_load_n(&slot->flags, __ATOMIC_SEQ_CST) & HV_MESSAGE_PENDING)
		bare_wrmsr(HV_MSR_EOM, 0);
	return type;
}

bool bare_flag_take(unsigned sint, unsigned flag)
{
	uint32_t bit = 1u << flag % 32;

	return __atomic_fetch_and(&bare_events()->flags[sint][flag / 32], ~bit, __ATOMIC_SEQ_CST) &
	       bit;
}

/* ---- Time ------------------------------------------------------------------------------------ */

uint64_t bare_time(void)
{
	return bare_rdmsr(HV_MSR_TIME_REF_COUNT);
}

void bare_delay(uint64_t ticks)
{
	uint64_t end = bare_time() + ticks;

	while (bare_time() < end)
		bare_pause();
}

/* ---- The host -------------------------------------------------------------------------------- */

uint32_t bare_ask(enum bare_ask what, unsigned vp, unsigned sint, uint32_t argument)
{
	bare_out32(BARE_PORT_ARGUMENT, argument);
	bare_out32(BARE_PORT_ASK, (uint32_t)what << 16 | vp << 8 | sint);
	return bare_in32(BARE_PORT_ASK);
}
