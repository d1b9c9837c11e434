/* SPDX-License-Identifier: BSD-2-Clause */
/* State read out of one partition and put into a fresh one with the same RAM. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hyperv/state.h"
#include "tests/hyperv/fake.h"

#define PAGE 0x5000ull /* SIMP of VP 0 and, on top of it, the assist page of VP 1 */
#define EVENTS 0x6000ull
#define CALLS 0x7000ull
#define TSC 0x8000ull
#define GUEST 0x5a
#define SINT 4u
#define VECTOR 0x33u
#define NOW 500000ull

static struct fake old, fresh;
static struct hyperv_state *state;

static void write_msr(struct fake *f, unsigned vp, u32 msr, u64 value)
{
	assert_true(msr_write(&f->hv.vp[vp], msr, value));
}

static u64 read_msr(struct fake *f, unsigned vp, u32 msr)
{
	u64 value;

	assert_true(msr_read(&f->hv.vp[vp], msr, &value));
	return value;
}

static u8 *page_of(struct fake *f, gpa_t gpa)
{
	return gmem_range(&f->mem, gpa, HV_PAGE_SIZE);
}

/* A guest that has set up a bit of everything. */
static void populate(struct fake *f)
{
	u32 word = 7;

	memset(page_of(f, PAGE), GUEST, HV_PAGE_SIZE);
	memset(page_of(f, CALLS), GUEST + 1, HV_PAGE_SIZE);
	fake_time(f, NOW);
	write_msr(f, 0, HV_MSR_GUEST_OS_ID, 0x8100000000000001ull);
	write_msr(f, 0, HV_MSR_HYPERCALL, CALLS | HV_MSR_PAGE_ENABLE);
	write_msr(f, 0, HV_MSR_REFERENCE_TSC, TSC | HV_MSR_PAGE_ENABLE);
	write_msr(f, 0, HV_MSR_SIMP, PAGE | HV_MSR_PAGE_ENABLE);
	write_msr(f, 0, HV_MSR_SIEFP, EVENTS | HV_MSR_PAGE_ENABLE);
	write_msr(f, 0, HV_MSR_SINT0 + SINT, VECTOR);
	write_msr(f, 0, HV_MSR_SCONTROL, HV_SCONTROL_ENABLE);
	write_msr(f, 0, HV_MSR_CRASH_P0 + 3, 0x33);
	write_msr(f, 0, HV_MSR_SYNDBG_OPTIONS, 4);
	write_msr(f, 0, HV_MSR_STIMER0_CONFIG,
		  HV_STIMER_ENABLE | HV_STIMER_PERIODIC | (u64)SINT << HV_STIMER_SINT_SHIFT);
	write_msr(f, 0, HV_MSR_STIMER0_CONFIG + 1, 1000);
	assert_int_equal(synic_post_message(&f->hv, 0, SINT, 1, &word, sizeof(word)), 0);
	assert_int_equal(synic_post_message(&f->hv, 0, SINT, 1, &word, sizeof(word)), -EAGAIN);
	write_msr(f, 1, HV_MSR_VP_ASSIST_PAGE, PAGE | HV_MSR_PAGE_ENABLE);
}

/* The RAM and the processors of the old machine. */
static void carry_over(void)
{
	memcpy(gmem_range(&fresh.mem, 0, FAKE_RAM), gmem_range(&old.mem, 0, FAKE_RAM), FAKE_RAM);
	fresh.tsc = old.tsc;
}

static int setup(void **unused)
{
	(void)unused;
	fake_init(&old);
	fake_init(&fresh);
	populate(&old);
	assert_int_equal(hyperv_state_read(&old.hv, &state), 0);
	carry_over();
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	free(state);
	fake_fini(&old);
	fake_fini(&fresh);
	return 0;
}

static size_t state_size(const struct hyperv_state *s)
{
	return sizeof(*s) + s->vp_count * sizeof(s->vp[0]);
}

static void what_was_written_reads_the_same(void **unused)
{
	struct hyperv_state *again;

	(void)unused;
	assert_int_equal(hyperv_state_write(&fresh.hv, state), 0);
	assert_int_equal(hyperv_state_read(&fresh.hv, &again), 0);
	assert_memory_equal(again, state, state_size(state));
	free(again);
}

static void the_guest_sees_its_msrs_again(void **unused)
{
	const struct hv_reference_tsc *page = (void *)page_of(&fresh, TSC);

	(void)unused;
	assert_int_equal(hyperv_state_write(&fresh.hv, state), 0);
	assert_int_equal(read_msr(&fresh, 0, HV_MSR_SIMP), PAGE | HV_MSR_PAGE_ENABLE);
	assert_int_equal(read_msr(&fresh, 0, HV_MSR_HYPERCALL), CALLS | HV_MSR_PAGE_ENABLE);
	assert_int_equal(read_msr(&fresh, 0, HV_MSR_SINT0 + SINT), VECTOR);
	assert_int_equal(read_msr(&fresh, 0, HV_MSR_CRASH_P0 + 3), 0x33);
	assert_int_equal(read_msr(&fresh, 0, HV_MSR_TIME_REF_COUNT), NOW);
	assert_int_equal(page->offset, fresh.hv.time.offset);
}

/* On a host with another TSC, time goes on from where it was, and the page says it changed. */
static void time_goes_on_elsewhere(void **unused)
{
	struct hv_reference_tsc *page = (void *)page_of(&fresh, TSC);
	u32 sequence = page->sequence;

	(void)unused;
	time_start(&fresh.hv.time, FAKE_TSC_KHZ * 2, 0);
	fresh.tsc = 123456789;
	assert_int_equal(hyperv_state_write(&fresh.hv, state), 0);
	assert_int_equal(read_msr(&fresh, 0, HV_MSR_TIME_REF_COUNT), NOW);
	assert_true(page->sequence && page->sequence != sequence);
	assert_int_equal(page->scale, fresh.hv.time.scale);
}

static void a_message_that_waited_is_delivered(void **unused)
{
	struct hv_message_page *messages;

	(void)unused;
	assert_int_equal(hyperv_state_write(&fresh.hv, state), 0);
	messages = atomic_load(&fresh.hv.vp[0].messages);
	assert_ptr_equal(messages, page_of(&fresh, PAGE));
	assert_true(atomic_load(&fresh.hv.vp[0].sint[SINT].waiting));
	messages->slot[SINT].type = HV_MESSAGE_NONE;
	write_msr(&fresh, 0, HV_MSR_EOM, 0);
	assert_false(atomic_load(&fresh.hv.vp[0].sint[SINT].waiting));
}

static void a_timer_keeps_its_phase(void **unused)
{
	(void)unused;
	assert_int_equal(hyperv_state_write(&fresh.hv, state), 0);
	assert_int_equal(fresh.hv.vp[0].stimer[0].due, NOW + 1000);
	assert_true(fresh.attended & 1);
}

/* In any order, as they were placed on one page. */
static void the_guest_gets_its_own_bytes_back(void **unused)
{
	const u8 *page = page_of(&fresh, PAGE);

	(void)unused;
	assert_int_equal(hyperv_state_write(&fresh.hv, state), 0);
	write_msr(&fresh, 0, HV_MSR_SIMP, 0);
	assert_int_not_equal(page[0], GUEST);
	write_msr(&fresh, 1, HV_MSR_VP_ASSIST_PAGE, 0);
	assert_int_equal(page[0], GUEST);
	assert_int_equal(page[HV_PAGE_SIZE - 1], GUEST);
	write_msr(&fresh, 0, HV_MSR_HYPERCALL, 0);
	assert_int_equal(page_of(&fresh, CALLS)[0], GUEST + 1);
}

static void refused(void)
{
	assert_int_equal(hyperv_state_write(&fresh.hv, state), -EINVAL);
}

static void another_number_of_vps_is_refused(void **unused)
{
	(void)unused;
	state->vp_count--;
	refused();
}

static void a_page_outside_ram_is_refused(void **unused)
{
	(void)unused;
	state->vp[0].event_page.gpa = FAKE_RAM;
	state->vp[0].siefp = FAKE_RAM | HV_MSR_PAGE_ENABLE;
	refused();
}

static void a_page_its_msr_knows_nothing_of_is_refused(void **unused)
{
	(void)unused;
	state->vp[0].event_page.gpa = EVENTS + HV_PAGE_SIZE;
	refused();
}

static void a_timer_no_guest_could_set_is_refused(void **unused)
{
	(void)unused;
	state->vp[0].stimer[0].count = 0; /* it would divide by it */
	refused();
}

static void a_sint_no_guest_could_set_is_refused(void **unused)
{
	(void)unused;
	state->vp[1].sint[3] = 1;
	refused();
}

/* It would never be delivered, and looked at for ever. */
static void a_sint_there_is_not_is_refused(void **unused)
{
	(void)unused;
	state->vp[1].auto_eoi = 1u << HV_SINTS;
	refused();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_written_reads_the_same),
		TEST(the_guest_sees_its_msrs_again),
		TEST(time_goes_on_elsewhere),
		TEST(a_message_that_waited_is_delivered),
		TEST(a_timer_keeps_its_phase),
		TEST(the_guest_gets_its_own_bytes_back),
		TEST(another_number_of_vps_is_refused),
		TEST(a_page_outside_ram_is_refused),
		TEST(a_page_its_msr_knows_nothing_of_is_refused),
		TEST(a_timer_no_guest_could_set_is_refused),
		TEST(a_sint_no_guest_could_set_is_refused),
		TEST(a_sint_there_is_not_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
