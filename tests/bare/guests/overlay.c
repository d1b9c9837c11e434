/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Overlay pages (TLFS: "Overlay Pages"): SIMP, SIEFP, reference TSC and VP assist page anywhere,
 * moved, disabled, at a place of another; what lay under comes back; hostile addresses are refused.
 * The fifth, the hypercall page, has a guest of its own (page.c).
 */
#include "tests/bare/bare.h"

#define UNDER 0x5a
#define NOT_RAM 0xd0000000ull
#define BEYOND (1ull << 45)
#define LOW 0x90000ull /* RAM below 1 MiB */

static uint8_t pages[2][HV_PAGE_SIZE] __attribute__((aligned(HV_PAGE_SIZE)));

static void paint(uint8_t *page)
{
	for (unsigned i = 0; i < HV_PAGE_SIZE; i++)
		page[i] = (uint8_t)(UNDER + i / 256);
}

static bool own(const uint8_t *page)
{
	for (unsigned i = 0; i < HV_PAGE_SIZE; i++) {
		if (page[i] != (uint8_t)(UNDER + i / 256))
			return false;
	}
	return true;
}

/* Past what the reference TSC page holds, each of them is zeros at first. */
static bool fresh(const uint8_t *page)
{
	for (unsigned i = sizeof(struct hv_reference_tsc); i < HV_PAGE_SIZE; i++) {
		if (page[i])
			return false;
	}
	return true;
}

static uint64_t at(const uint8_t *page)
{
	return (uint64_t)page | HV_MSR_PAGE_ENABLE;
}

static void check_page(uint32_t msr, uint8_t *first, uint8_t *second)
{
	paint(first);
	paint(second);
	bare_wrmsr(msr, at(first));
	CHECK_EQUAL(bare_rdmsr(msr), at(first));
	CHECK(fresh(first));
	bare_wrmsr(msr, at(second));
	CHECK(own(first));
	CHECK(fresh(second));
	bare_wrmsr(msr, (uint64_t)second);
	CHECK_EQUAL(bare_rdmsr(msr), (uint64_t)second);
	CHECK(own(first) && own(second));
	bare_wrmsr(msr, at(second));
	CHECK(fresh(second));
}

static void check_hostile(uint32_t msr)
{
	static const uint64_t bad[] = { NOT_RAM, 0xfee00000, BEYOND, 0xfffffffffffff000 };
	uint64_t before = bare_rdmsr(msr);

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(bare_wrmsr_faults(msr, bad[i] | HV_MSR_PAGE_ENABLE));
		CHECK_EQUAL(bare_rdmsr(msr), before);
		CHECK(!bare_wrmsr_faults(msr, bad[i])); /* disabled, any address will do */
		bare_wrmsr(msr, before);
	}
}

/* Two of them at one place: the one that stays keeps working, and in the end the page is ours. */
static void check_shared(void)
{
	const struct hv_message *m = &((const struct hv_message_page *)pages[0])->slot[BARE_SINT];

	paint(pages[0]);
	bare_wrmsr(HV_MSR_SIEFP, at(pages[0]));
	bare_wrmsr(HV_MSR_SIMP, at(pages[0]));
	bare_wrmsr(HV_MSR_SIEFP, 0);
	bare_wrmsr(HV_MSR_SCONTROL, HV_SCONTROL_ENABLE);
	if (!m->type) {
		CHECK_EQUAL(bare_ask(BARE_ASK_MESSAGE, 0, BARE_SINT, 1), 0);
		CHECK_EQUAL(m->type, 1);
	}
	bare_wrmsr(HV_MSR_SCONTROL, 0);
	bare_wrmsr(HV_MSR_SIMP, 0);
}

int main(void);
int main(void)
{
	static const uint32_t msrs[] = { HV_MSR_SIMP, HV_MSR_SIEFP, HV_MSR_REFERENCE_TSC,
					 HV_MSR_VP_ASSIST_PAGE };

	bare_init();
	for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		check_page(msrs[i], pages[0], pages[1]);
		check_page(msrs[i], (uint8_t *)LOW, pages[0]);
		check_hostile(msrs[i]);
		bare_wrmsr(msrs[i], 0);
	}
	check_shared();
	bare_pass();
}
