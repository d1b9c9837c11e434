/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages and events, both ways, through the SynIC with its interrupt. */
#include "tests/bare/bare.h"

static struct hv_message_page messages __attribute__((aligned(HV_PAGE_SIZE)));
static struct hv_event_page events __attribute__((aligned(HV_PAGE_SIZE)));
static struct hv_post_message request __attribute__((aligned(256)));

static void synic_init(void)
{
	bare_wrmsr(HV_MSR_SIMP, (uint64_t)&messages | HV_MSR_PAGE_ENABLE);
	bare_wrmsr(HV_MSR_SIEFP, (uint64_t)&events | HV_MSR_PAGE_ENABLE);
	bare_wrmsr(HV_MSR_SINT0 + BARE_SINT, BARE_VECTOR);
	bare_wrmsr(HV_MSR_SCONTROL, HV_SCONTROL_ENABLE);
	CHECK(bare_rdmsr(HV_MSR_SIMP) == ((uint64_t)&messages | HV_MSR_PAGE_ENABLE));
	CHECK(bare_rdmsr(HV_MSR_SINT0 + BARE_SINT) == BARE_VECTOR);
	CHECK(bare_rdmsr(HV_MSR_SCONTROL) == HV_SCONTROL_ENABLE);
}

static uint64_t post(uint32_t word)
{
	request = (struct hv_post_message){ .connection_id = BARE_CONNECTION_ECHO,
					    .message_type = 1,
					    .payload_size = sizeof(word) };
	*(uint32_t *)request.payload = word;
	return bare_hypercall(HV_CALL_POST_MESSAGE, (uint64_t)&request, 0);
}

/* Takes the message of the slot as a driver does: free it, then look whether another waits. */
static uint32_t take(uint32_t *word)
{
	volatile struct hv_message *m = &messages.slot[BARE_SINT];
	uint32_t type = m->type;

	*word = *(volatile uint32_t *)m->payload;
	CHECK(m->payload_size == sizeof(*word));
	__atomic_store_n(&messages.slot[BARE_SINT].type, HV_MESSAGE_NONE, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (m->flags & HV_MESSAGE_PENDING)
		bare_wrmsr(HV_MSR_EOM, 0);
	return type;
}

static void check_echo(uint32_t word)
{
	uint32_t got, seen = bare_interrupts();

	CHECK(post(word) == HV_STATUS_SUCCESS);
	for (unsigned copies = 0; copies < 2; copies++) {
		bare_wait_interrupt(seen++);
		CHECK(take(&got) == 1);
		CHECK(got == word + copies);
	}
}

static bool flag_take(void)
{
	uint32_t bit = 1u << BARE_FLAG % 32;

	return __atomic_fetch_and(&events.flags[BARE_SINT][BARE_FLAG / 32], ~bit,
				  __ATOMIC_SEQ_CST) &
	       bit;
}

static void check_doorbell(void)
{
	const struct hv_signal_event signal = { .connection_id = BARE_CONNECTION_DOORBELL };
	uint32_t seen = bare_interrupts();

	*(struct hv_signal_event *)&request = signal;
	CHECK(bare_signal(BARE_CONNECTION_DOORBELL, 0) == HV_STATUS_SUCCESS);
	bare_wait_interrupt(seen);
	CHECK(flag_take());
	seen = bare_interrupts();
	CHECK(bare_hypercall(HV_CALL_SIGNAL_EVENT, (uint64_t)&request, 0) == HV_STATUS_SUCCESS);
	bare_wait_interrupt(seen);
	CHECK(flag_take());
	CHECK(bare_signal(BARE_CONNECTION_DOORBELL, 1) == HV_STATUS_INVALID_PARAMETER);
	CHECK(bare_signal(BARE_CONNECTION_NONE, 0) == HV_STATUS_INVALID_CONNECTION_ID);
}

int main(void);
int main(void)
{
	bare_init();
	bare_apic_init();
	bare_hyperv_init();
	synic_init();
	for (uint32_t word = 100; word < 1000; word += 100)
		check_echo(word);
	for (unsigned i = 0; i < BARE_DOORBELL_ROUNDS; i++)
		check_doorbell();
	bare_pass();
}
