/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals, events and messages, each by the TSC: before it asks, and when the answer's interrupt
 * came.
 */
#include "tests/bare/bare.h"
#include "tests/bench/latency_proto.h"

static struct hv_post_message request __attribute__((aligned(256)));
static struct latency_table table;
static uint32_t rounds;

static void signal(void)
{
	CHECK(bare_signal(LATENCY_CONNECTION_EVENT, 0) == HV_STATUS_SUCCESS);
}

static void signal_and_wait(void)
{
	uint32_t seen = bare_interrupts();

	signal();
	bare_wait_interrupt(seen);
	CHECK(bare_flag_take(LATENCY_SINT, LATENCY_FLAG));
}

static void post_and_wait(void)
{
	uint32_t seen = bare_interrupts();
	struct hv_message m;

	CHECK(bare_hypercall(HV_CALL_POST_MESSAGE, (uint64_t)&request, 0) == HV_STATUS_SUCCESS);
	bare_wait_interrupt(seen);
	CHECK(bare_take(LATENCY_SINT, &m) == LATENCY_MESSAGE_TYPE);
}

static void measure(enum latency_part part, void (*round)(void))
{
	bare_out32(LATENCY_PORT_MARK, part);
	for (uint32_t i = 0; i < rounds; i++) {
		uint64_t begin = bare_rdtsc();

		round();
		table.round[i].begin = begin;
		table.round[i].end = bare_rdtsc();
	}
	bare_out32(LATENCY_PORT_MARK, LATENCY_END);
}

int main(void);
int main(void)
{
	bare_init();
	bare_apic_init();
	bare_hyperv_init();
	bare_synic_init();
	bare_wrmsr(HV_MSR_SINT0 + LATENCY_SINT, BARE_VECTOR);
	request = (struct hv_post_message){ .connection_id = LATENCY_CONNECTION_MESSAGE,
					    .message_type = LATENCY_MESSAGE_TYPE,
					    .payload_size = 8 };
	bare_out32(LATENCY_PORT_TABLE, (uint32_t)(uint64_t)&table);
	rounds = bare_in32(LATENCY_PORT_ROUNDS);
	CHECK(rounds <= LATENCY_ROUNDS_MAX);
	measure(LATENCY_SIGNAL, signal);
	measure(LATENCY_EVENT, signal_and_wait);
	measure(LATENCY_MESSAGE, post_and_wait);
	bare_pass();
}
