/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypercall page: put in place, moved, taken away, locked; what lay under it comes back. */
#include "tests/bare/bare.h"

#define NOT_RAM 0xd0000000ull
#define BEYOND (1ull << 45)
#define UNDER 0x5a

static uint8_t pages[3][HV_PAGE_SIZE] __attribute__((aligned(HV_PAGE_SIZE)));

static void paint(void)
{
	for (unsigned p = 0; p < 3; p++) {
		for (unsigned i = 0; i < HV_PAGE_SIZE; i++)
			pages[p][i] = (uint8_t)(UNDER + p);
	}
}

/* Whether the guest's own bytes are in page p. */
static bool own(unsigned p)
{
	for (unsigned i = 0; i < HV_PAGE_SIZE; i += 7) {
		if (pages[p][i] != UNDER + p)
			return false;
	}
	return pages[p][HV_PAGE_SIZE - 1] == UNDER + p;
}

static uint64_t value(unsigned p)
{
	return (uint64_t)pages[p] | HV_MSR_PAGE_ENABLE;
}

static void put(uint64_t v)
{
	bare_wrmsr(HV_MSR_HYPERCALL, v);
}

/* Whether a call through page p is answered. */
static bool answers(unsigned p)
{
	struct bare_regs r = { .rcx = 0x7777 };

	bare_call_regs(pages[p], &r);
	return r.rax == HV_STATUS_INVALID_HYPERCALL_CODE;
}

static void check_os_id(void)
{
	put(value(0));
	CHECK(!(bare_rdmsr(HV_MSR_HYPERCALL) & HV_MSR_PAGE_ENABLE));
	CHECK(own(0));
	bare_wrmsr(HV_MSR_GUEST_OS_ID, BARE_OS_ID);
	CHECK_EQUAL(bare_rdmsr(HV_MSR_GUEST_OS_ID), BARE_OS_ID);
	CHECK(own(0));
	put(value(0));
	CHECK_EQUAL(bare_rdmsr(HV_MSR_HYPERCALL), value(0));
	CHECK(!own(0) && answers(0));
	bare_wrmsr(HV_MSR_GUEST_OS_ID, BARE_OS_ID + 1);
	CHECK(answers(0));
	bare_wrmsr(HV_MSR_GUEST_OS_ID, 0);
	CHECK(!(bare_rdmsr(HV_MSR_HYPERCALL) & HV_MSR_PAGE_ENABLE));
	CHECK(own(0));
	bare_wrmsr(HV_MSR_GUEST_OS_ID, BARE_OS_ID);
}

static void check_moves(void)
{
	put(value(0));
	CHECK(!own(0) && own(1));
	put(value(1));
	CHECK(own(0) && !own(1) && answers(1));
	put(value(1));
	CHECK(!own(1) && answers(1));
	put((uint64_t)pages[1]);
	CHECK_EQUAL(bare_rdmsr(HV_MSR_HYPERCALL), (uint64_t)pages[1]);
	CHECK(own(0) && own(1));
	put(value(2));
	CHECK(!own(2) && answers(2));
}

static void check_hostile(void)
{
	static const uint64_t bad[] = { NOT_RAM, 0xfee00000, BEYOND, 0xfffffffffffff000 };

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(bare_wrmsr_faults(HV_MSR_HYPERCALL, bad[i] | HV_MSR_PAGE_ENABLE));
		CHECK_EQUAL(bare_rdmsr(HV_MSR_HYPERCALL), value(2));
		CHECK(answers(2));
	}
}

/* Nothing but an OS id of zero changes it any more. */
static void check_lock(void)
{
	put(value(2) | HV_HYPERCALL_LOCKED);
	CHECK_EQUAL(bare_rdmsr(HV_MSR_HYPERCALL), value(2) | HV_HYPERCALL_LOCKED);
	CHECK(answers(2));
	CHECK(bare_wrmsr_faults(HV_MSR_HYPERCALL, value(1)));
	CHECK(bare_wrmsr_faults(HV_MSR_HYPERCALL, 0));
	CHECK_EQUAL(bare_rdmsr(HV_MSR_HYPERCALL), value(2) | HV_HYPERCALL_LOCKED);
	CHECK(own(1) && answers(2));
	bare_wrmsr(HV_MSR_GUEST_OS_ID, 0);
	CHECK(!(bare_rdmsr(HV_MSR_HYPERCALL) & HV_MSR_PAGE_ENABLE));
	CHECK(own(2));
}

int main(void);
int main(void)
{
	bare_init();
	paint();
	check_os_id();
	check_moves();
	check_hostile();
	check_lock();
	bare_pass();
}
