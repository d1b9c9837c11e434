/* SPDX-License-Identifier: BSD-2-Clause */
/* What synthetic MSRs hold at first, keep, and refuse; those of each VP apart. */
#include "tests/bare/bare.h"

#define VPS 3
#define OTHER 0x123456789abcdefull

static volatile uint64_t seen;

static void read_msr(uint64_t msr)
{
	seen = bare_rdmsr((uint32_t)msr);
}

static uint64_t rdmsr_on(unsigned vp, uint32_t msr)
{
	if (!vp)
		return bare_rdmsr(msr);
	bare_call_on(vp, read_msr, msr);
	return seen;
}

static void check_reset_values(unsigned vp)
{
	CHECK_EQUAL(rdmsr_on(vp, HV_MSR_VP_INDEX), vp);
	CHECK_EQUAL(rdmsr_on(vp, HV_MSR_GUEST_OS_ID), 0);
	CHECK_EQUAL(rdmsr_on(vp, HV_MSR_HYPERCALL), 0);
	CHECK_EQUAL(rdmsr_on(vp, HV_MSR_REFERENCE_TSC), 0);
	CHECK_EQUAL(rdmsr_on(vp, HV_MSR_VP_ASSIST_PAGE), 0);
	CHECK_EQUAL(rdmsr_on(vp, HV_MSR_SCONTROL), 0);
	CHECK_EQUAL(rdmsr_on(vp, HV_MSR_SVERSION), HV_SYNIC_VERSION);
	CHECK_EQUAL(rdmsr_on(vp, HV_MSR_SIEFP), 0);
	CHECK_EQUAL(rdmsr_on(vp, HV_MSR_SIMP), 0);
	CHECK_EQUAL(rdmsr_on(vp, HV_MSR_EOM), 0);
	for (uint32_t msr = HV_MSR_SINT0; msr <= HV_MSR_SINT15; msr++)
		CHECK_EQUAL(rdmsr_on(vp, msr), HV_SINT_MASKED);
	for (uint32_t msr = HV_MSR_STIMER0_CONFIG; msr <= HV_MSR_STIMER3_COUNT; msr++)
		CHECK_EQUAL(rdmsr_on(vp, msr), 0);
	CHECK_EQUAL(rdmsr_on(vp, HV_MSR_RESET), 0);
	CHECK_EQUAL(rdmsr_on(vp, HV_MSR_CRASH_CTL), HV_CRASH_NOTIFY | HV_CRASH_NOTIFY_MSG);
}

/* One copy for the partition. */
static void check_partition_wide(void)
{
	bare_wrmsr(HV_MSR_GUEST_OS_ID, OTHER);
	CHECK_EQUAL(rdmsr_on(1, HV_MSR_GUEST_OS_ID), OTHER);
	for (uint32_t msr = HV_MSR_CRASH_P0; msr <= HV_MSR_CRASH_P4; msr++) {
		bare_wrmsr(msr, OTHER + msr);
		CHECK_EQUAL(rdmsr_on(2, msr), OTHER + msr);
	}
	bare_wrmsr(HV_MSR_CRASH_CTL, 1); /* no report without NOTIFY */
	CHECK_EQUAL(bare_rdmsr(HV_MSR_CRASH_CTL), HV_CRASH_NOTIFY | HV_CRASH_NOTIFY_MSG);
	bare_wrmsr(HV_MSR_RESET, 2); /* nor a reset without bit 0 */
	CHECK_EQUAL(bare_rdmsr(HV_MSR_TSC_FREQUENCY), rdmsr_on(1, HV_MSR_TSC_FREQUENCY));
	CHECK_EQUAL(bare_rdmsr(HV_MSR_APIC_FREQUENCY), 1000000000);
}

/* One copy a VP. */
static void check_per_vp(void)
{
	bare_wrmsr(HV_MSR_SINT0 + 5, BARE_VECTOR);
	bare_wrmsr(HV_MSR_SINT0 + 6, BARE_VECTOR | HV_SINT_AUTO_EOI);
	bare_wrmsr(HV_MSR_SCONTROL, HV_SCONTROL_ENABLE);
	CHECK_EQUAL(bare_rdmsr(HV_MSR_SINT0 + 5), BARE_VECTOR);
	CHECK_EQUAL(bare_rdmsr(HV_MSR_SINT0 + 6), BARE_VECTOR | HV_SINT_AUTO_EOI);
	CHECK_EQUAL(bare_rdmsr(HV_MSR_SCONTROL), HV_SCONTROL_ENABLE);
	CHECK_EQUAL(rdmsr_on(1, HV_MSR_SINT0 + 5), HV_SINT_MASKED);
	CHECK_EQUAL(rdmsr_on(1, HV_MSR_SCONTROL), 0);
}

static void check_sint_vectors(void)
{
	for (uint32_t vector = 0; vector < HV_SINT_VECTOR_MIN; vector++) {
		CHECK(bare_wrmsr_faults(HV_MSR_SINT0 + 7, vector));
		CHECK(!bare_wrmsr_faults(HV_MSR_SINT0 + 7, vector | HV_SINT_MASKED));
	}
	CHECK(!bare_wrmsr_faults(HV_MSR_SINT0 + 7, HV_SINT_VECTOR_MIN));
	CHECK(!bare_wrmsr_faults(HV_MSR_SINT0 + 7, 0xff));
	CHECK_EQUAL(bare_rdmsr(HV_MSR_SINT0 + 7), 0xff);
	bare_wrmsr(HV_MSR_SINT0 + 7, HV_SINT_MASKED);
}

static void check_runtime(void)
{
	uint64_t last = bare_rdmsr(HV_MSR_VP_RUNTIME);

	bare_delay(200000);
	CHECK(bare_rdmsr(HV_MSR_VP_RUNTIME) >= last);
}

static void check_reenlightenment(void)
{
	if (!(bare_cpuid(HV_CPUID_FEATURES).eax & HV_ACCESS_REENLIGHTENMENT))
		return;
	bare_wrmsr(HV_MSR_REENLIGHTENMENT_CONTROL, 0x10040); /* enabled, vector 0x40 */
	CHECK_EQUAL(bare_rdmsr(HV_MSR_REENLIGHTENMENT_CONTROL), 0x10040);
	bare_wrmsr(HV_MSR_TSC_EMULATION_CONTROL, 1);
	CHECK_EQUAL(rdmsr_on(1, HV_MSR_TSC_EMULATION_CONTROL), 1);
	CHECK_EQUAL(bare_rdmsr(HV_MSR_TSC_EMULATION_STATUS), 0);
	CHECK(bare_wrmsr_faults(HV_MSR_TSC_EMULATION_STATUS, 1));
	CHECK(!bare_wrmsr_faults(HV_MSR_TSC_EMULATION_STATUS, 0));
	bare_wrmsr(HV_MSR_TSC_EMULATION_CONTROL, 0);
	bare_wrmsr(HV_MSR_REENLIGHTENMENT_CONTROL, 0);
}

int main(void);
int main(void)
{
	bare_init();
	bare_apic_init();
	bare_irq_on();
	bare_start_vps(VPS);
	for (unsigned vp = 0; vp < VPS; vp++)
		check_reset_values(vp);
	check_partition_wide();
	check_per_vp();
	check_sint_vectors();
	check_runtime();
	check_reenlightenment();
	bare_pass();
}
