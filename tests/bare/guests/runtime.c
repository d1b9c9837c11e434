/* SPDX-License-Identifier: BSD-2-Clause */
/* The runtime itself: what other guests prove stands on this. */
#include "tests/bare/bare.h"

static volatile uint32_t ran[BARE_VPS];
static uint8_t pages[2][HV_PAGE_SIZE] __attribute__((aligned(HV_PAGE_SIZE)));

static void undefined(void *arg)
{
	(void)arg;
	__asm__ volatile("ud2");
}

static void load(void *arg)
{
	(void)*(volatile uint8_t *)arg;
}

static void nothing(void *arg)
{
	(void)arg;
}

static void check_faults(void)
{
	CHECK_EQUAL(bare_try(nothing, 0), BARE_NO_FAULT);
	CHECK_EQUAL(bare_try(undefined, 0), BARE_UD);
	CHECK_EQUAL(bare_try(load, bare_window(0)), BARE_PF);
	CHECK(bare_rdmsr_faults(0x400001f0));
	CHECK(!bare_rdmsr_faults(HV_MSR_VP_INDEX));
}

static void check_window(void)
{
	volatile uint8_t *at = bare_window(3);

	pages[0][0] = 1;
	pages[1][0] = 2;
	bare_map(3, pages[0], 0);
	bare_invlpg(at);
	CHECK_EQUAL(*at, 1);
	bare_map(3, pages[1], 0);
	bare_invlpg(at);
	CHECK_EQUAL(*at, 2);
}

/* A return address on top of the stack: two CPL 3 instructions, RET and HLT. */
static void check_user(void)
{
	pages[0][0] = 0xc3;
	pages[1][0] = 0x0f;
	pages[1][1] = 0x0b;
	bare_map(0, pages[0], BARE_PAGE_USER);
	bare_map(1, pages[1], BARE_PAGE_USER);
	bare_map(2, pages[0], 0);
	CHECK_EQUAL(bare_user_call((uint64_t)bare_window(0), 0, 0), BARE_GP);
	CHECK_EQUAL(bare_user_call((uint64_t)bare_window(1), 0, 0), BARE_UD);
	CHECK_EQUAL(bare_user_call((uint64_t)bare_window(2), 0, 0), BARE_PF);
}

static void check_registers(void)
{
	struct bare_regs r = { .rbx = 1, .rcx = 2, .rbp = 3, .r15 = 4, .xmm = { [5] = { 5, 6 } } };

	pages[0][0] = 0xb8; /* mov $0x11223344, %eax; ret */
	*(uint32_t *)(pages[0] + 1) = 0x11223344;
	pages[0][5] = 0xc3;
	bare_call_regs(pages[0], &r);
	CHECK_EQUAL(r.rax, 0x11223344);
	CHECK(r.rbx == 1 && r.rcx == 2 && r.rbp == 3 && r.r15 == 4);
	CHECK(r.xmm[5][0] == 5 && r.xmm[5][1] == 6);
}

static void note(uint64_t arg)
{
	ran[bare_vp_index()] += (uint32_t)arg;
}

static void to_x2apic(uint64_t arg)
{
	(void)arg;
	bare_apic_x2();
}

static void ipi_back(uint64_t arg)
{
	bare_ipi(0, (uint8_t)arg);
}

static void check_vps(void)
{
	uint32_t seen = bare_count(BARE_VECTOR);

	for (unsigned vp = 1; vp < BARE_VPS; vp++)
		bare_call_on(vp, note, vp);
	for (unsigned vp = 1; vp < BARE_VPS; vp++)
		CHECK_EQUAL(ran[vp], vp);
	for (unsigned vp = 1; vp < BARE_VPS; vp++) {
		bare_on(vp, ipi_back, BARE_VECTOR);
		bare_wait(BARE_VECTOR, seen++);
		bare_join(vp);
	}
	CHECK_EQUAL(bare_count(BARE_VECTOR), seen);
	CHECK(!bare_in_service(BARE_VECTOR));
	bare_irq_off();
	bare_ipi(0, BARE_VECTOR);
	CHECK(bare_requested(BARE_VECTOR));
	bare_irq_on();
	bare_wait(BARE_VECTOR, seen);
}

int main(void);
int main(void)
{
	bare_init();
	check_faults();
	check_window();
	check_user();
	check_registers();
	bare_apic_init();
	bare_irq_on();
	bare_start_vps(BARE_VPS);
	check_vps();
	bare_apic_x2();
	CHECK_EQUAL(bare_apic_read(BARE_APIC_ID), 0);
	for (unsigned vp = 1; vp < BARE_VPS; vp++)
		bare_call_on(vp, to_x2apic, 0);
	for (unsigned vp = 1; vp < BARE_VPS; vp++) {
		bare_on(vp, ipi_back, BARE_VECTOR + 1);
		bare_wait(BARE_VECTOR + 1, vp - 1);
		bare_join(vp);
	}
	bare_pass();
}
