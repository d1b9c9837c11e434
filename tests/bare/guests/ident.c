/* SPDX-License-Identifier: BSD-2-Clause */
/* Who am I: CPUID leaves, OS id and hypercall page, VP index, hypercall statuses. */
#include "tests/bare/bare.h"

#define NOT_RAM 0xd0000000ull
#define UNDER 0x5a

static uint8_t block[HV_PAGE_SIZE] __attribute__((aligned(HV_PAGE_SIZE)));

static void check_cpuid(void)
{
	struct cpuid_regs r = bare_cpuid(1);

	CHECK(r.ecx >> 31);
	CHECK(!(r.ecx >> 5 & 1)); /* no VMX */
	r = bare_cpuid(HV_CPUID_VENDOR);
	CHECK(r.eax >= HV_CPUID_LIMITS && r.eax <= 0x4000ffff);
	CHECK(r.ebx == 0x7263694d && r.ecx == 0x666f736f && r.edx == 0x76482074);
	CHECK(bare_cpuid(HV_CPUID_INTERFACE).eax == HV_INTERFACE);
	CHECK(bare_cpuid(HV_CPUID_VERSION).ebx >> 16 == 10);
	r = bare_cpuid(HV_CPUID_FEATURES);
	CHECK(r.eax & HV_ACCESS_HYPERCALL_MSRS);
	CHECK(r.eax & HV_ACCESS_SYNIC);
	CHECK(r.eax & HV_ACCESS_VP_INDEX);
	CHECK(r.eax & HV_ACCESS_REFERENCE_TSC);
	CHECK(r.eax & HV_ACCESS_TIME_REF_COUNT);
	CHECK(r.eax & HV_ACCESS_FREQUENCIES && r.edx & HV_FEATURE_FREQUENCY_MSRS);
	CHECK(r.ebx == (HV_POST_MESSAGES | HV_SIGNAL_EVENTS | HV_ACCESS_VP_REGISTERS |
			HV_EXTENDED_HYPERCALLS));
	CHECK(r.edx & HV_FEATURE_CRASH_MSRS);
	CHECK(bare_cpuid(HV_CPUID_HINTS).eax & HV_HINT_NO_AUTO_EOI);
	CHECK(bare_cpuid(HV_CPUID_LIMITS).eax >= 1);
}

static void check_page(void)
{
	const uint64_t page = (uint64_t)bare_hypercall_page | HV_MSR_PAGE_ENABLE;

	for (unsigned i = 0; i < HV_PAGE_SIZE; i++)
		bare_hypercall_page[i] = UNDER;
	CHECK(!bare_rdmsr(HV_MSR_GUEST_OS_ID));
	bare_wrmsr(HV_MSR_HYPERCALL, page);
	CHECK(!(bare_rdmsr(HV_MSR_HYPERCALL) & HV_MSR_PAGE_ENABLE));
	CHECK(bare_hypercall_page[0] == UNDER);
	bare_hyperv_init();
	CHECK(bare_rdmsr(HV_MSR_GUEST_OS_ID));
	CHECK(bare_rdmsr(HV_MSR_HYPERCALL) == page);
	CHECK(bare_hypercall_page[0] != UNDER);
	CHECK(bare_wrmsr_faults(HV_MSR_HYPERCALL, NOT_RAM | HV_MSR_PAGE_ENABLE));
	CHECK(bare_rdmsr(HV_MSR_HYPERCALL) == page);
	bare_wrmsr(HV_MSR_HYPERCALL, 0);
	CHECK(bare_hypercall_page[0] == UNDER && bare_hypercall_page[4095] == UNDER);
	bare_wrmsr(HV_MSR_HYPERCALL, page);
}

static void check_hypercalls(void)
{
	const uint64_t input = (uint64_t)block;
	struct hv_post_message *m = (struct hv_post_message *)block;

	CHECK(bare_hypercall(0x7777, input, 0) == HV_STATUS_INVALID_HYPERCALL_CODE);
	CHECK(bare_hypercall(HV_CALL_SIGNAL_EVENT | HV_CONTROL_FAST | 1ull << 60,
			     BARE_CONNECTION_NONE, 0) == HV_STATUS_INVALID_HYPERCALL_INPUT);
	CHECK(bare_hypercall(HV_CALL_SIGNAL_EVENT | HV_CONTROL_FAST | 1ull << 32,
			     BARE_CONNECTION_NONE, 0) == HV_STATUS_INVALID_HYPERCALL_INPUT);
	CHECK(bare_signal(BARE_CONNECTION_NONE, 0) == HV_STATUS_INVALID_CONNECTION_ID);
	CHECK(bare_signal(BARE_CONNECTION_NONE, 1) == HV_STATUS_INVALID_CONNECTION_ID);
	CHECK(bare_signal(0x1000000, 0) == HV_STATUS_INVALID_HYPERCALL_INPUT);
	CHECK(bare_hypercall(HV_CALL_SIGNAL_EVENT, input + 4, 0) == HV_STATUS_INVALID_ALIGNMENT);
	*m = (struct hv_post_message){ .connection_id = BARE_CONNECTION_NONE,
				       .message_type = 1,
				       .payload_size = 4 };
	CHECK(bare_hypercall(HV_CALL_POST_MESSAGE, input, 0) == HV_STATUS_INVALID_CONNECTION_ID);
	CHECK(bare_hypercall(HV_CALL_POST_MESSAGE, input + 4, 0) == HV_STATUS_INVALID_ALIGNMENT);
	CHECK(bare_hypercall(HV_CALL_POST_MESSAGE, input + 0xf80, 0) ==
	      HV_STATUS_INVALID_ALIGNMENT);
	CHECK(bare_hypercall(HV_CALL_POST_MESSAGE, NOT_RAM, 0) == HV_STATUS_INVALID_ALIGNMENT);
	m->payload_size = HV_MESSAGE_PAYLOAD_MAX + 1;
	CHECK(bare_hypercall(HV_CALL_POST_MESSAGE, input, 0) == HV_STATUS_INVALID_PARAMETER);
	m->payload_size = 4;
	m->message_type = HV_MESSAGE_TYPE_HYPERVISOR | 1;
	CHECK(bare_hypercall(HV_CALL_POST_MESSAGE, input, 0) == HV_STATUS_INVALID_PARAMETER);
}

static void check_msrs(void)
{
	CHECK(bare_rdmsr(HV_MSR_VP_INDEX) == 0);
	CHECK(bare_wrmsr_faults(HV_MSR_VP_INDEX, 1));
	CHECK(bare_rdmsr_faults(0x400001f0));
	CHECK(bare_wrmsr_faults(0x400001f0, 0));
	CHECK(!bare_wrmsr_faults(HV_MSR_VP_ASSIST_PAGE, (uint64_t)block | HV_MSR_PAGE_ENABLE));
	CHECK(bare_rdmsr(HV_MSR_VP_ASSIST_PAGE) == ((uint64_t)block | HV_MSR_PAGE_ENABLE));
	bare_wrmsr(HV_MSR_VP_ASSIST_PAGE, 0);
	CHECK(bare_rdmsr(HV_MSR_SVERSION) == HV_SYNIC_VERSION);
	CHECK(bare_wrmsr_faults(HV_MSR_SVERSION, 1));
	CHECK(bare_rdmsr(HV_MSR_SCONTROL) == 0);
	CHECK(bare_rdmsr(HV_MSR_SINT0) == HV_SINT_MASKED);
	CHECK(bare_wrmsr_faults(HV_MSR_SINT0, 8)); /* an exception's vector, unmasked */
	bare_wrmsr(HV_MSR_CRASH_P0 + 2, 0x123456789abcdefull);
	CHECK(bare_rdmsr(HV_MSR_CRASH_P0 + 2) == 0x123456789abcdefull);
	CHECK(bare_rdmsr(HV_MSR_CRASH_CTL) == (HV_CRASH_NOTIFY | HV_CRASH_NOTIFY_MSG));
	CHECK(bare_rdmsr(HV_MSR_RESET) == 0);
}

int main(void);
int main(void)
{
	bare_init();
	check_cpuid();
	check_page();
	check_hypercalls();
	check_msrs();
	bare_pass();
}
