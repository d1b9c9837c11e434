/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One-shot deadlines, 0.5 to 1.5 ms away: of synthetic timer 0 in direct and in message mode, where
 * they are offered, and of the local APIC's TSC deadline. In the table: the TSC of the deadline,
 * and when the guest was back from HLT with the interrupt taken.
 */
#include "tests/bare/bare.h"
#include "tests/bench/latency_proto.h"

#define APIC_LVT_TIMER 0xfee00320ul
#define LVT_TSC_DEADLINE (2u << 17)
#define MSR_TSC_DEADLINE 0x6e0
#define CPUID1_ECX_TSC_DEADLINE (1u << 24)

static struct hv_reference_tsc reference __attribute__((aligned(HV_PAGE_SIZE)));
static struct latency_table table;
static uint32_t rounds;

/* The reference time at which the TSC has that value. */
static uint64_t reference_time(uint64_t tsc)
{
	return (uint64_t)((unsigned __int128)tsc * reference.scale >> 64) +
	       (uint64_t)reference.offset;
}

static void arm_stimer(uint64_t config, uint64_t deadline_tsc)
{
	bare_wrmsr(HV_MSR_STIMER0_CONFIG, config);
	bare_wrmsr(HV_MSR_STIMER0_CONFIG + 1, reference_time(deadline_tsc));
}

static void arm_direct(uint64_t deadline_tsc)
{
	arm_stimer(HV_STIMER_AUTO_ENABLE | HV_STIMER_DIRECT |
			   (uint64_t)BARE_VECTOR << HV_STIMER_VECTOR_SHIFT,
		   deadline_tsc);
}

static void arm_message(uint64_t deadline_tsc)
{
	arm_stimer(HV_STIMER_AUTO_ENABLE | (uint64_t)LATENCY_SINT << HV_STIMER_SINT_SHIFT,
		   deadline_tsc);
}

static void arm_deadline(uint64_t deadline_tsc)
{
	bare_wrmsr(MSR_TSC_DEADLINE, deadline_tsc);
}

static void measure(enum latency_part part, void (*arm)(uint64_t deadline_tsc), uint64_t tsc_per_ms)
{
	bare_out32(LATENCY_PORT_MARK, part);
	for (uint32_t i = 0; i < rounds; i++) {
		struct hv_message m;
		uint32_t seen = bare_interrupts();
		uint64_t deadline =
			bare_rdtsc() + tsc_per_ms / 2 + tsc_per_ms * (i * 37 % 100) / 100;

		arm(deadline);
		bare_wait_interrupt(seen);
		table.round[i].end = bare_rdtsc();
		table.round[i].begin = deadline;
		if (part == LATENCY_STIMER_MESSAGE)
			bare_take(LATENCY_SINT, &m);
	}
	bare_out32(LATENCY_PORT_MARK, LATENCY_END);
}

int main(void);
int main(void)
{
	uint32_t privileges = bare_cpuid(HV_CPUID_FEATURES).eax;
	uint32_t features = bare_cpuid(HV_CPUID_FEATURES).edx;
	uint64_t tsc_per_ms;

	bare_init();
	bare_apic_init();
	bare_hyperv_init();
	tsc_per_ms = bare_rdmsr(HV_MSR_TSC_FREQUENCY) / 1000;
	bare_wrmsr(HV_MSR_REFERENCE_TSC, (uint64_t)&reference | HV_MSR_PAGE_ENABLE);
	CHECK(reference.sequence);
	bare_synic_init();
	bare_wrmsr(HV_MSR_SINT0 + LATENCY_SINT, BARE_VECTOR);
	bare_out32(LATENCY_PORT_TABLE, (uint32_t)(uint64_t)&table);
	rounds = bare_in32(LATENCY_PORT_ROUNDS);
	CHECK(rounds <= LATENCY_ROUNDS_MAX);
	if (bare_cpuid(1).ecx & CPUID1_ECX_TSC_DEADLINE) {
		*(volatile uint32_t *)APIC_LVT_TIMER = BARE_VECTOR | LVT_TSC_DEADLINE;
		measure(LATENCY_TSC_DEADLINE, arm_deadline, tsc_per_ms);
	}
	if (privileges & HV_ACCESS_STIMERS && features & HV_FEATURE_DIRECT_STIMERS)
		measure(LATENCY_STIMER_DIRECT, arm_direct, tsc_per_ms);
	if (privileges & HV_ACCESS_STIMERS)
		measure(LATENCY_STIMER_MESSAGE, arm_message, tsc_per_ms);
	bare_pass();
}
