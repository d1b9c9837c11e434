/* SPDX-License-Identifier: BSD-2-Clause */
/* What each synthetic MSR means, and when it faults; crash reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/hyperv/fake.h"

#define PAGE 0x5000
#define ON HV_MSR_PAGE_ENABLE
#define OS_ID 0x8100060100000000ull

static bool write_msr(struct fake *f, u32 msr, u64 value)
{
	return msr_write(&f->hv.vp[0], msr, value);
}

static u64 read_msr(struct fake *f, u32 msr)
{
	u64 value = 0;

	assert_true(msr_read(&f->hv.vp[0], msr, &value));
	return value;
}

static bool read_faults(struct fake *f, u32 msr)
{
	u64 value;

	return !msr_read(&f->hv.vp[0], msr, &value);
}

static u8 *page_of(struct fake *f)
{
	return gmem_range(&f->mem, PAGE, HV_PAGE_SIZE);
}

static void hypercall_page_needs_an_os_id(void **state)
{
	struct fake *f = *state;
	u8 *page = page_of(f);

	memset(page, 0x5a, HV_PAGE_SIZE);
	assert_true(write_msr(f, HV_MSR_HYPERCALL, PAGE | ON));
	assert_int_equal(read_msr(f, HV_MSR_HYPERCALL), PAGE);
	assert_int_equal(page[0], 0x5a);
	assert_true(write_msr(f, HV_MSR_GUEST_OS_ID, OS_ID));
	assert_int_equal(read_msr(f, HV_MSR_GUEST_OS_ID), OS_ID);
	assert_true(write_msr(f, HV_MSR_HYPERCALL, PAGE | ON));
	assert_int_equal(read_msr(f, HV_MSR_HYPERCALL), PAGE | ON);
	assert_int_equal(page[0], 0xc3);
	assert_true(write_msr(f, HV_MSR_GUEST_OS_ID, 0));
	assert_int_equal(read_msr(f, HV_MSR_HYPERCALL), PAGE);
	assert_int_equal(page[0], 0x5a);
}

static void hypercall_page_moves_and_locks(void **state)
{
	struct fake *f = *state;
	u8 *page = page_of(f);

	memset(page, 0x5a, HV_PAGE_SIZE);
	write_msr(f, HV_MSR_GUEST_OS_ID, OS_ID);
	assert_true(write_msr(f, HV_MSR_HYPERCALL, PAGE | ON));
	assert_false(write_msr(f, HV_MSR_HYPERCALL, FAKE_RAM | ON));
	assert_false(write_msr(f, HV_MSR_HYPERCALL, HV_MSR_PAGE_GPA | ON));
	assert_int_equal(read_msr(f, HV_MSR_HYPERCALL), PAGE | ON);
	assert_true(write_msr(f, HV_MSR_HYPERCALL, (PAGE + 0x1000) | ON));
	assert_int_equal(page[0], 0x5a);
	assert_int_equal(page[0x1000], 0xc3);
	assert_true(write_msr(f, HV_MSR_HYPERCALL, PAGE | ON | HV_HYPERCALL_LOCKED));
	assert_false(write_msr(f, HV_MSR_HYPERCALL, 0));
	assert_int_equal(read_msr(f, HV_MSR_HYPERCALL), PAGE | ON | HV_HYPERCALL_LOCKED);
}

static void reference_tsc_page(void **state)
{
	struct fake *f = *state;
	struct hv_reference_tsc *p = (void *)page_of(f);

	memset(p, 0x5a, HV_PAGE_SIZE);
	assert_true(write_msr(f, HV_MSR_REFERENCE_TSC, PAGE | ON));
	assert_int_equal(p->sequence, 1);
	assert_int_equal(p->scale, f->hv.time.scale);
	assert_false(write_msr(f, HV_MSR_REFERENCE_TSC, FAKE_RAM | ON));
	assert_int_equal(read_msr(f, HV_MSR_REFERENCE_TSC), PAGE | ON);
	assert_true(write_msr(f, HV_MSR_REFERENCE_TSC, 0));
	assert_int_equal(p->sequence, 0x5a5a5a5a);
}

static void time_and_frequencies(void **state)
{
	struct fake *f = *state;

	f->tsc = FAKE_TSC_KHZ * 1000ull;
	assert_in_range(read_msr(f, HV_MSR_TIME_REF_COUNT), HV_TIME_HZ - 1, HV_TIME_HZ);
	assert_int_equal(read_msr(f, HV_MSR_TSC_FREQUENCY), FAKE_TSC_KHZ * 1000ull);
	assert_int_equal(read_msr(f, HV_MSR_APIC_FREQUENCY), 1000000000);
	assert_true(read_msr(f, HV_MSR_VP_RUNTIME) > 0);
}

static void read_only_ones_fault_on_write(void **state)
{
	const u32 read_only[] = { HV_MSR_VP_INDEX,       HV_MSR_VP_RUNTIME,
				  HV_MSR_TIME_REF_COUNT, HV_MSR_TSC_FREQUENCY,
				  HV_MSR_APIC_FREQUENCY, HV_MSR_SVERSION };
	struct fake *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(read_only); i++) {
		assert_false(write_msr(f, read_only[i], 0));
		assert_false(read_faults(f, read_only[i]));
	}
}

static void unknown_ones_fault(void **state)
{
	const u32 unknown[] = { 0x40000004, 0x40000074, 0x400000a0, 0x400000b8, 0x400001ff };
	struct fake *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		assert_true(read_faults(f, unknown[i]));
		assert_false(write_msr(f, unknown[i], 0));
	}
}

static void what_is_not_offered_faults(void **state)
{
	struct fake *f = *state;

	f->hv.offered = (struct cpuid_features){ 0 };
	for (u32 msr = HV_MSR_FIRST; msr < HV_MSR_FIRST + HV_MSR_COUNT; msr++)
		assert_int_equal(read_faults(f, msr), msr != HV_MSR_VP_ASSIST_PAGE);
	f->hv.offered.privileges = HV_ACCESS_SYNIC;
	assert_false(read_faults(f, HV_MSR_SIMP));
	assert_true(read_faults(f, HV_MSR_VP_INDEX));
	assert_true(read_faults(f, HV_MSR_CRASH_CTL));
}

/* Each MSR goes with one bit of the mask, of EAX or EDX, and faults without it. */
static void each_has_its_privilege(void **state)
{
	static const struct {
		u32 first, last, privilege, feature;
	} rows[] = {
		{ HV_MSR_GUEST_OS_ID, HV_MSR_HYPERCALL, HV_ACCESS_HYPERCALL_MSRS, 0 },
		{ HV_MSR_VP_INDEX, HV_MSR_VP_INDEX, HV_ACCESS_VP_INDEX, 0 },
		{ HV_MSR_RESET, HV_MSR_RESET, HV_ACCESS_RESET, 0 },
		{ HV_MSR_VP_RUNTIME, HV_MSR_VP_RUNTIME, HV_ACCESS_VP_RUNTIME, 0 },
		{ HV_MSR_TIME_REF_COUNT, HV_MSR_TIME_REF_COUNT, HV_ACCESS_TIME_REF_COUNT, 0 },
		{ HV_MSR_REFERENCE_TSC, HV_MSR_REFERENCE_TSC, HV_ACCESS_REFERENCE_TSC, 0 },
		{ HV_MSR_TSC_FREQUENCY, HV_MSR_APIC_FREQUENCY, HV_ACCESS_FREQUENCIES, 0 },
		{ HV_MSR_ICR, HV_MSR_TPR, HV_ACCESS_APIC_MSRS, 0 },
		{ HV_MSR_SCONTROL, HV_MSR_EOM, HV_ACCESS_SYNIC, 0 },
		{ HV_MSR_SINT0, HV_MSR_SINT15, HV_ACCESS_SYNIC, 0 },
		{ HV_MSR_STIMER0_CONFIG, HV_MSR_STIMER3_COUNT, HV_ACCESS_STIMERS, 0 },
		{ HV_MSR_GUEST_IDLE, HV_MSR_GUEST_IDLE, 0, HV_FEATURE_GUEST_IDLE },
		{ HV_MSR_CRASH_P0, HV_MSR_CRASH_CTL, 0, HV_FEATURE_CRASH_MSRS },
		{ HV_MSR_REENLIGHTENMENT_CONTROL, HV_MSR_TSC_EMULATION_STATUS,
		  HV_ACCESS_REENLIGHTENMENT, 0 },
		{ HV_MSR_TSC_INVARIANT_CONTROL, HV_MSR_TSC_INVARIANT_CONTROL,
		  HV_ACCESS_TSC_INVARIANT, 0 },
	};
	struct fake *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (u32 msr = rows[i].first; msr <= rows[i].last; msr++) {
			f->hv.offered = (struct cpuid_features){ .privileges = rows[i].privilege,
								 .features = rows[i].feature };
			assert_false(read_faults(f, msr));
			f->hv.offered = (struct cpuid_features){ .privileges = ~rows[i].privilege,
								 .features = ~rows[i].feature };
			assert_true(read_faults(f, msr));
			assert_false(write_msr(f, msr, 0));
		}
	}
}

static void synic_msrs(void **state)
{
	struct fake *f = *state;

	assert_int_equal(read_msr(f, HV_MSR_SVERSION), 1);
	assert_int_equal(read_msr(f, HV_MSR_SCONTROL), 0);
	assert_int_equal(read_msr(f, HV_MSR_SINT0 + 15), HV_SINT_MASKED);
	assert_true(write_msr(f, HV_MSR_SIMP, PAGE | ON));
	assert_true(write_msr(f, HV_MSR_SIEFP, (PAGE + 0x1000) | ON));
	assert_true(write_msr(f, HV_MSR_SCONTROL, HV_SCONTROL_ENABLE));
	assert_int_equal(read_msr(f, HV_MSR_SIMP), PAGE | ON);
	assert_int_equal(read_msr(f, HV_MSR_SIEFP), (PAGE + 0x1000) | ON);
	assert_false(write_msr(f, HV_MSR_SIMP, FAKE_RAM | ON));
	assert_int_equal(read_msr(f, HV_MSR_SIMP), PAGE | ON);
	assert_true(write_msr(f, HV_MSR_SINT0 + 2, 0x42));
	assert_int_equal(read_msr(f, HV_MSR_SINT0 + 2), 0x42);
	assert_false(write_msr(f, HV_MSR_SINT0 + 2, 3));
	assert_true(write_msr(f, HV_MSR_EOM, 0));
	assert_int_equal(read_msr(f, HV_MSR_EOM), 0);
}

static void vp_msrs(void **state)
{
	struct fake *f = *state;
	u64 value = 0;

	assert_true(msr_read(&f->hv.vp[1], HV_MSR_VP_INDEX, &value));
	assert_int_equal(value, 1);
	assert_true(write_msr(f, HV_MSR_RESET, 0));
	assert_int_equal(f->ended, -1);
	assert_true(write_msr(f, HV_MSR_RESET, HV_RESET_NOW));
	assert_int_equal(f->ended, VM_END_REBOOT);
}

static void each_vp_has_its_assist_page(void **state)
{
	struct fake *f = *state;
	u8 *page = page_of(f);

	memset(page, 0x5a, 2 * HV_PAGE_SIZE);
	assert_true(write_msr(f, HV_MSR_VP_ASSIST_PAGE, PAGE | ON));
	assert_true(msr_write(&f->hv.vp[1], HV_MSR_VP_ASSIST_PAGE, (PAGE + 0x1000) | ON));
	assert_int_equal(read_msr(f, HV_MSR_VP_ASSIST_PAGE), PAGE | ON);
	assert_int_equal(page[0], 0);
	assert_int_equal(page[0x1000], 0);
	assert_false(write_msr(f, HV_MSR_VP_ASSIST_PAGE, FAKE_RAM | ON));
	assert_false(write_msr(f, HV_MSR_VP_ASSIST_PAGE, HV_MSR_PAGE_GPA | ON));
	assert_int_equal(read_msr(f, HV_MSR_VP_ASSIST_PAGE), PAGE | ON);
	assert_true(write_msr(f, HV_MSR_VP_ASSIST_PAGE, PAGE));
	assert_int_equal(page[0], 0x5a);
	assert_int_equal(page[0x1000], 0);
}

/* All five on one page, the last uncovered first. */
static void five_pages_in_one_place(void **state)
{
	const u32 msrs[] = { HV_MSR_HYPERCALL, HV_MSR_REFERENCE_TSC, HV_MSR_SIMP, HV_MSR_SIEFP,
			     HV_MSR_VP_ASSIST_PAGE };
	struct fake *f = *state;
	u8 *page = page_of(f);

	memset(page, 0x5a, HV_PAGE_SIZE);
	write_msr(f, HV_MSR_GUEST_OS_ID, OS_ID);
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
		assert_true(write_msr(f, msrs[i], PAGE | ON));
		assert_int_not_equal(page[0x800], 0x5a);
	}
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
		assert_int_not_equal(page[0x800], 0x5a);
		assert_true(write_msr(f, msrs[i], PAGE));
	}
	for (size_t i = 0; i < HV_PAGE_SIZE; i++)
		assert_int_equal(page[i], 0x5a);
}

static void reenlightenment(void **state)
{
	struct fake *f = *state;

	assert_true(write_msr(f, HV_MSR_REENLIGHTENMENT_CONTROL, 0x100ee));
	assert_true(write_msr(f, HV_MSR_TSC_EMULATION_CONTROL, 1));
	assert_int_equal(read_msr(f, HV_MSR_REENLIGHTENMENT_CONTROL), 0x100ee);
	assert_int_equal(read_msr(f, HV_MSR_TSC_EMULATION_CONTROL), 1);
	assert_int_equal(read_msr(f, HV_MSR_TSC_EMULATION_STATUS), 0);
	assert_true(write_msr(f, HV_MSR_TSC_EMULATION_STATUS, 0));
	assert_false(write_msr(f, HV_MSR_TSC_EMULATION_STATUS, 1));
}

static void stimers_and_idling(void **state)
{
	struct fake *f = *state;

	assert_true(write_msr(f, HV_MSR_STIMER0_CONFIG + 2, HV_STIMER_AUTO_ENABLE));
	assert_int_equal(read_msr(f, HV_MSR_STIMER0_CONFIG + 2), HV_STIMER_AUTO_ENABLE);
	assert_int_equal(read_msr(f, HV_MSR_STIMER3_COUNT), 0);
	assert_int_equal(read_msr(f, HV_MSR_GUEST_IDLE), 0);
	assert_false(write_msr(f, HV_MSR_GUEST_IDLE, 0));
}

static void invariant_tsc_is_a_one_way_switch(void **state)
{
	struct fake *f = *state;

	assert_false(write_msr(f, HV_MSR_TSC_INVARIANT_CONTROL, 2));
	assert_true(write_msr(f, HV_MSR_TSC_INVARIANT_CONTROL, 1));
	assert_false(write_msr(f, HV_MSR_TSC_INVARIANT_CONTROL, 0));
	assert_int_equal(read_msr(f, HV_MSR_TSC_INVARIANT_CONTROL), 1);
}

/* ---- Crash ----------------------------------------------------------------------------------- */

static void crash(struct fake *f, u64 gpa, u64 len, u64 ctl)
{
	for (u32 i = 0; i < 3; i++)
		assert_true(write_msr(f, HV_MSR_CRASH_P0 + i, i + 1));
	assert_true(write_msr(f, HV_MSR_CRASH_P0 + 3, gpa));
	assert_true(write_msr(f, HV_MSR_CRASH_P0 + 4, len));
	assert_true(write_msr(f, HV_MSR_CRASH_CTL, ctl));
}

static void a_crash_is_reported_with_its_message(void **state)
{
	static const char text[] = "Kernel panic\n\ttab \x1b[31m\xff";
	struct fake *f = *state;

	assert_int_equal(read_msr(f, HV_MSR_CRASH_CTL), HV_CRASH_NOTIFY | HV_CRASH_NOTIFY_MSG);
	gmem_write(&f->mem, PAGE, text, sizeof(text));
	crash(f, PAGE, sizeof(text) - 1, 0); /* no notification, no crash */
	assert_int_equal(f->ended, -1);
	assert_false(f->hv.crash.valid);
	crash(f, PAGE, sizeof(text) - 1, HV_CRASH_NOTIFY | HV_CRASH_NOTIFY_MSG);
	assert_int_equal(f->ended, VM_END_PANIC);
	assert_true(f->hv.crash.valid);
	assert_int_equal(f->hv.crash.param[2], 3);
	assert_string_equal(f->hv.crash.message, "Kernel panic\n\ttab .[31m.");
}

static void the_message_wins(void **state)
{
	struct fake *f = *state;

	gmem_write(&f->mem, PAGE, "text", 4);
	crash(f, 7, 8, HV_CRASH_NOTIFY);
	assert_int_equal(f->ended, VM_END_PANIC);
	assert_string_equal(f->hv.crash.message, "");
	assert_int_equal(f->hv.crash.param[3], 7);
	crash(f, PAGE, 4, HV_CRASH_NOTIFY | HV_CRASH_NOTIFY_MSG);
	assert_string_equal(f->hv.crash.message, "text");
	crash(f, 7, 8, HV_CRASH_NOTIFY);
	assert_string_equal(f->hv.crash.message, "text");
	assert_int_equal(f->hv.crash.param[3], PAGE);
}

static void a_crash_message_is_bounded(void **state)
{
	struct fake *f = *state;

	memset(page_of(f), 'x', 2 * HV_PAGE_SIZE);
	crash(f, PAGE, UINT64_MAX, HV_CRASH_NOTIFY | HV_CRASH_NOTIFY_MSG);
	assert_int_equal(strlen(f->hv.crash.message), HYPERV_CRASH_MESSAGE_MAX - 1);
	f->hv.crash = (struct hyperv_crash){ 0 };
	crash(f, FAKE_RAM - 8, 16, HV_CRASH_NOTIFY | HV_CRASH_NOTIFY_MSG);
	assert_true(f->hv.crash.valid);
	assert_string_equal(f->hv.crash.message, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(hypercall_page_needs_an_os_id),
		TEST(hypercall_page_moves_and_locks),
		TEST(reference_tsc_page),
		TEST(time_and_frequencies),
		TEST(read_only_ones_fault_on_write),
		TEST(unknown_ones_fault),
		TEST(what_is_not_offered_faults),
		TEST(each_has_its_privilege),
		TEST(synic_msrs),
		TEST(vp_msrs),
		TEST(each_vp_has_its_assist_page),
		TEST(five_pages_in_one_place),
		TEST(reenlightenment),
		TEST(stimers_and_idling),
		TEST(invariant_tsc_is_a_one_way_switch),
		TEST(a_crash_is_reported_with_its_message),
		TEST(the_message_wins),
		TEST(a_crash_message_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
