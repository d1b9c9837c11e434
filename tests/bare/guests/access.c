/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The access rules of every synthetic MSR, held against what CPUID offers: with its bit the MSR can
 * be read and written as TLFS states, without it either raises #GP. Run with several sets of
 * features. TLFS: appendix "Hypervisor Synthetic MSRs".
 */
#include "tests/bare/bare.h"

enum word { ALWAYS, PRIVILEGES, FEATURES };
enum access { NO, YES, DEAR };

static const struct row {
	uint32_t first, last;
	enum word word;
	uint32_t bit;
	enum access read, write; /* DEAR: it can, but not just so */
	uint64_t value; /* written */
} rows[] = {
	{ HV_MSR_HYPERCALL, HV_MSR_HYPERCALL, PRIVILEGES, HV_ACCESS_HYPERCALL_MSRS, YES, YES, 0 },
	{ HV_MSR_GUEST_OS_ID, HV_MSR_GUEST_OS_ID, PRIVILEGES, HV_ACCESS_HYPERCALL_MSRS, YES, YES,
	  BARE_OS_ID },
	{ HV_MSR_VP_INDEX, HV_MSR_VP_INDEX, PRIVILEGES, HV_ACCESS_VP_INDEX, YES, NO, 0 },
	{ HV_MSR_RESET, HV_MSR_RESET, PRIVILEGES, HV_ACCESS_RESET, YES, YES, 0 },
	{ HV_MSR_VP_RUNTIME, HV_MSR_VP_RUNTIME, PRIVILEGES, HV_ACCESS_VP_RUNTIME, YES, NO, 0 },
	{ HV_MSR_TIME_REF_COUNT, HV_MSR_TIME_REF_COUNT, PRIVILEGES, HV_ACCESS_TIME_REF_COUNT, YES,
	  NO, 0 },
	{ HV_MSR_REFERENCE_TSC, HV_MSR_REFERENCE_TSC, PRIVILEGES, HV_ACCESS_REFERENCE_TSC, YES, YES,
	  0 },
	{ HV_MSR_TSC_FREQUENCY, HV_MSR_APIC_FREQUENCY, PRIVILEGES, HV_ACCESS_FREQUENCIES, YES, NO,
	  0 },
	{ HV_MSR_EOI, HV_MSR_EOI, PRIVILEGES, HV_ACCESS_APIC_MSRS, NO, YES, 0 },
	{ HV_MSR_ICR, HV_MSR_ICR, PRIVILEGES, HV_ACCESS_APIC_MSRS, YES, DEAR, 0 },
	{ HV_MSR_TPR, HV_MSR_TPR, PRIVILEGES, HV_ACCESS_APIC_MSRS, YES, YES, 0 },
	/* Linux writes it whatever its privileges are. */
	{ HV_MSR_VP_ASSIST_PAGE, HV_MSR_VP_ASSIST_PAGE, ALWAYS, 0, YES, YES, 0 },
	{ HV_MSR_SCONTROL, HV_MSR_SCONTROL, PRIVILEGES, HV_ACCESS_SYNIC, YES, YES, 0 },
	{ HV_MSR_SVERSION, HV_MSR_SVERSION, PRIVILEGES, HV_ACCESS_SYNIC, YES, NO, 1 },
	{ HV_MSR_SIEFP, HV_MSR_SIMP, PRIVILEGES, HV_ACCESS_SYNIC, YES, YES, 0 },
	{ HV_MSR_EOM, HV_MSR_EOM, PRIVILEGES, HV_ACCESS_SYNIC, YES, YES, 0 },
	{ HV_MSR_SINT0, HV_MSR_SINT15, PRIVILEGES, HV_ACCESS_SYNIC, YES, YES, HV_SINT_MASKED },
	{ HV_MSR_STIMER0_CONFIG, HV_MSR_STIMER3_COUNT, PRIVILEGES, HV_ACCESS_STIMERS, YES, YES, 0 },
	{ HV_MSR_GUEST_IDLE, HV_MSR_GUEST_IDLE, FEATURES, HV_FEATURE_GUEST_IDLE, DEAR, NO, 0 },
	{ HV_MSR_CRASH_P0, HV_MSR_CRASH_P4, FEATURES, HV_FEATURE_CRASH_MSRS, YES, YES, 7 },
	{ HV_MSR_CRASH_CTL, HV_MSR_CRASH_CTL, FEATURES, HV_FEATURE_CRASH_MSRS, YES, YES, 0 },
	{ HV_MSR_REENLIGHTENMENT_CONTROL, HV_MSR_TSC_EMULATION_STATUS, PRIVILEGES,
	  HV_ACCESS_REENLIGHTENMENT, YES, YES, 0 },
	{ HV_MSR_TSC_INVARIANT_CONTROL, HV_MSR_TSC_INVARIANT_CONTROL, PRIVILEGES,
	  HV_ACCESS_TSC_INVARIANT, YES, YES, 0 },
	{ HV_MSR_SYNDBG_CONTROL, HV_MSR_SYNDBG_PENDING_BUFFER, FEATURES, HV_FEATURE_DEBUG_MSRS, YES,
	  DEAR, 0 },
	{ HV_MSR_SYNDBG_OPTIONS, HV_MSR_SYNDBG_OPTIONS, FEATURES, HV_FEATURE_DEBUG_MSRS, YES, YES,
	  0 },
};

/* None of them is anything. */
static const uint32_t absent[] = {
	0x40000004, 0x4000000f, 0x40000011, 0x4000001f, 0x40000024, 0x40000074,
	0x4000007f, 0x40000085, 0x4000008f, 0x400000a0, 0x400000af, 0x400000b8,
	0x400000f6, 0x4000010f, 0x40000117, 0x40000119, 0x400001ff,
};

static bool offered(const struct row *r)
{
	struct cpuid_regs c = bare_cpuid(HV_CPUID_FEATURES);

	if (r->word == ALWAYS)
		return true;
	return (r->word == PRIVILEGES ? c.eax : c.edx) & r->bit;
}

static void check(uint32_t msr, enum access can, bool faults, const char *what)
{
	if (can == DEAR || faults == !can)
		return;
	bare_print_number(what, msr);
	bare_fail(msr, faults ? "it faults" : "it does not fault");
}

static void check_row(const struct row *r)
{
	bool on = offered(r);

	for (uint32_t msr = r->first; msr <= r->last; msr++) {
		if (!on || r->read != DEAR)
			check(msr, on ? r->read : NO, bare_rdmsr_faults(msr), "reading");
		if (!on || r->write != DEAR)
			check(msr, on ? r->write : NO, bare_wrmsr_faults(msr, r->value), "writing");
	}
}

int main(void);
int main(void)
{
	bare_init();
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(&rows[i]);
	for (unsigned i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		check(absent[i], NO, bare_rdmsr_faults(absent[i]), "reading");
		check(absent[i], NO, bare_wrmsr_faults(absent[i], 0), "writing");
	}
	bare_pass();
}
