/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages, event flags and SINTs; two tests race host and guest for a slot and for flags. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/hyperv/fake.h"
#include "tests/patience.h"

#define SIMP 0x2000
#define SIEFP 0x3000
#define SINT 2
#define ON HV_MSR_PAGE_ENABLE

static struct {
	unsigned calls;
	u32 vp, sint;
} freed;

static void slot_free(void *ctx, u32 vp_index, u32 sint)
{
	(void)ctx;
	freed.calls++;
	freed.vp = vp_index;
	freed.sint = sint;
}

static int setup(void **state)
{
	struct fake *f;

	memset(&freed, 0, sizeof(freed));
	fake_setup(state);
	f = *state;
	synic_on_slot_free(&f->hv, slot_free, NULL);
	return 0;
}

static void enable(struct fake *f, u32 vp)
{
	assert_true(synic_set_pages(&f->hv.vp[vp], HV_SCONTROL_ENABLE, SIMP | ON, SIEFP | ON));
	assert_int_equal(synic_prepare_sint(&f->hv.vp[vp], SINT), 0);
}

static struct hv_message *slot_of(struct fake *f, u32 sint)
{
	struct hv_message_page *page = gmem_range(&f->mem, SIMP, HV_PAGE_SIZE);

	return &page->slot[sint];
}

static int post(struct fake *f, const char *text)
{
	return synic_post_message(&f->hv, 0, SINT, 1, text, (u32)strlen(text));
}

static void a_prepared_sint_can_be_raised(void **state)
{
	struct fake *f = *state;

	assert_int_equal(synic_raise(&f->hv, 1, 7), -ENODEV);
	assert_int_equal(synic_prepare(&f->hv, 1, 7), 0);
	assert_true(synic_write_sint(&f->hv.vp[1], 7, 0x50));
	assert_int_equal(synic_raise(&f->hv, 1, 7), 0);
	assert_int_equal(fake_raised(f, 1, 7), 1);
	assert_int_equal(synic_raise(&f->hv, FAKE_VPS, 7), -EINVAL);
	assert_int_equal(synic_raise(&f->hv, 1, HV_SINTS), -EINVAL);
	assert_int_equal(synic_prepare(&f->hv, FAKE_VPS, 7), -EINVAL);
	assert_int_equal(synic_prepare(&f->hv, 1, HV_SINTS), -EINVAL);
}

static void nothing_is_delivered_before_it_is_enabled(void **state)
{
	struct fake *f = *state;
	struct hyperv_vp *vp = &f->hv.vp[0];

	assert_int_equal(post(f, "x"), -ENODEV);
	assert_int_equal(synic_set_event(&f->hv, 0, SINT, 1), -ENODEV);
	assert_true(synic_set_pages(vp, 0, SIMP | ON, SIEFP | ON));
	assert_int_equal(post(f, "x"), -ENODEV);
	assert_true(synic_set_pages(vp, HV_SCONTROL_ENABLE, SIMP, SIEFP | ON));
	assert_int_equal(post(f, "x"), -ENODEV);
	assert_int_equal(synic_prepare_sint(vp, SINT), 0);
	assert_int_equal(synic_set_event(&f->hv, 0, SINT, 1), 0);
	assert_true(synic_set_pages(vp, 0, SIMP | ON, SIEFP | ON));
	assert_int_equal(synic_set_event(&f->hv, 0, SINT, 1), -ENODEV);
}

static void arguments_are_checked(void **state)
{
	struct fake *f = *state;
	u8 payload[HV_MESSAGE_PAYLOAD_MAX + 1] = { 0 };

	enable(f, 0);
	assert_int_equal(synic_post_message(&f->hv, FAKE_VPS, SINT, 1, "", 0), -EINVAL);
	assert_int_equal(synic_post_message(&f->hv, 0, HV_SINTS, 1, "", 0), -EINVAL);
	assert_int_equal(synic_post_message(&f->hv, 0, SINT, 0, "", 0), -EINVAL);
	assert_int_equal(synic_post_message(&f->hv, 0, SINT, 1, payload, sizeof(payload)), -EINVAL);
	assert_int_equal(synic_set_event(&f->hv, FAKE_VPS, SINT, 0), -EINVAL);
	assert_int_equal(synic_set_event(&f->hv, 0, HV_SINTS, 0), -EINVAL);
	assert_int_equal(synic_set_event(&f->hv, 0, SINT, HV_EVENT_FLAGS), -EINVAL);
}

static void a_message_arrives_whole(void **state)
{
	struct fake *f = *state;
	struct hv_message *m = slot_of(f, SINT);

	enable(f, 0);
	assert_int_equal(post(f, "hello"), 0);
	assert_int_equal(fake_raised(f, 0, SINT), 1);
	assert_int_equal(m->type, 1);
	assert_int_equal(m->payload_size, 5);
	assert_int_equal(m->flags, 0);
	assert_memory_equal(m->payload, "hello", 5);
}

static void a_full_slot_is_waited_for(void **state)
{
	struct fake *f = *state;
	struct hv_message *m = slot_of(f, SINT);

	enable(f, 0);
	assert_int_equal(post(f, "one"), 0);
	fake_raised(f, 0, SINT);
	synic_end_of_message(&f->hv.vp[0]); /* nobody waits yet */
	assert_int_equal(freed.calls, 0);
	assert_int_equal(post(f, "two"), -EAGAIN);
	assert_int_equal(m->flags, HV_MESSAGE_PENDING);
	assert_memory_equal(m->payload, "one", 3);
	assert_int_equal(fake_raised(f, 0, SINT), 0);
	m->type = HV_MESSAGE_NONE;
	synic_end_of_message(&f->hv.vp[1]); /* another VP's */
	assert_int_equal(freed.calls, 0);
	synic_end_of_message(&f->hv.vp[0]);
	assert_int_equal(freed.calls, 1);
	assert_int_equal(freed.vp, 0);
	assert_int_equal(freed.sint, SINT);
	assert_int_equal(post(f, "two"), 0);
	assert_int_equal(m->flags, 0);
	assert_memory_equal(m->payload, "two", 3);
}

/*
 * The guest has emptied the slot and not looked at the flags yet when another writer's message
 * fills it: what waits must not be forgotten.
 */
static void a_message_that_comes_first_says_that_another_waits(void **state)
{
	struct fake *f = *state;
	struct hv_message *m = slot_of(f, SINT);

	enable(f, 0);
	assert_int_equal(post(f, "one"), 0);
	assert_true(synic_write_sint(&f->hv.vp[0], SINT, 0x40));
	assert_int_equal(synic_post_own(&f->hv.vp[0], SINT, 1, "waits", 5), -EAGAIN);
	m->type = HV_MESSAGE_NONE;
	assert_int_equal(post(f, "two"), 0);
	assert_int_equal(m->flags, HV_MESSAGE_PENDING);
	m->type = HV_MESSAGE_NONE;
	synic_end_of_message(&f->hv.vp[0]);
	assert_int_equal(freed.calls, 1);
	assert_int_equal(post(f, "three"), 0);
	assert_int_equal(m->flags, 0);
}

static void waiters_hear_of_a_page_that_moves(void **state)
{
	struct fake *f = *state;
	struct hyperv_vp *vp = &f->hv.vp[0];

	enable(f, 0);
	assert_int_equal(post(f, "one"), 0);
	assert_int_equal(post(f, "two"), -EAGAIN);
	assert_true(synic_set_pages(vp, HV_SCONTROL_ENABLE, SIMP | ON, 0));
	assert_int_equal(freed.calls, 0);
	assert_true(synic_set_pages(vp, HV_SCONTROL_ENABLE, (SIEFP + 0x1000) | ON, 0));
	assert_int_equal(freed.calls, 1);
	assert_int_equal(post(f, "two"), 0);
}

static void *switch_off(void *vp)
{
	synic_set_pages(vp, 0, 0, 0);
	return NULL;
}

/* Who is about to write a message holds the lock: the guest gets no page back before. */
static void a_page_goes_after_the_message_under_way(void **state)
{
	struct fake *f = *state;
	struct hyperv_vp *vp = &f->hv.vp[0];
	const u8 *page = gmem_range(&f->mem, SIMP, HV_PAGE_SIZE);
	pthread_t guest;

	memset(gmem_range(&f->mem, SIMP, HV_PAGE_SIZE), 0x5a, HV_PAGE_SIZE);
	enable(f, 0);
	pthread_mutex_lock(&vp->lock);
	assert_int_equal(pthread_create(&guest, NULL, switch_off, vp), 0);
	usleep(20000);
	assert_non_null(atomic_load(&vp->messages));
	assert_int_equal(page[0], 0);
	pthread_mutex_unlock(&vp->lock);
	pthread_join(guest, NULL);
	assert_null(atomic_load(&vp->messages));
	assert_int_equal(page[0], 0x5a);
}

static void a_flag_raises_once(void **state)
{
	struct fake *f = *state;
	u32 *flags = (u32 *)((u8 *)gmem_range(&f->mem, SIEFP, HV_PAGE_SIZE) + SINT * 256);

	enable(f, 0);
	assert_int_equal(synic_set_event(&f->hv, 0, SINT, 2047), 0);
	assert_int_equal(synic_set_event(&f->hv, 0, SINT, 2047), 0);
	assert_int_equal(fake_raised(f, 0, SINT), 1);
	assert_int_equal(flags[63], 0x80000000);
	assert_int_equal(synic_set_event(&f->hv, 0, SINT, 2046), 0);
	assert_int_equal(fake_raised(f, 0, SINT), 1);
	flags[63] = 0;
	assert_int_equal(synic_set_event(&f->hv, 0, SINT, 2047), 0);
	assert_int_equal(fake_raised(f, 0, SINT), 1);
}

static void other_sints_are_prepared_by_their_first_message(void **state)
{
	struct fake *f = *state;

	enable(f, 0);
	assert_int_equal(synic_set_event(&f->hv, 0, 9, 1), -ENODEV);
	f->fail = -ENOSPC;
	assert_int_equal(synic_post_message(&f->hv, 0, 9, 1, "x", 1), -ENOSPC);
	f->fail = 0;
	assert_int_equal(synic_post_message(&f->hv, 0, 9, 1, "x", 1), 0);
	assert_int_equal(fake_raised(f, 0, 9), 1);
	assert_int_equal(synic_set_event(&f->hv, 0, 9, 1), 0);
}

static void pages_cover_and_uncover(void **state)
{
	struct fake *f = *state;
	struct hyperv_vp *vp = &f->hv.vp[0];
	u8 *page = gmem_range(&f->mem, SIMP, HV_PAGE_SIZE);

	memset(page, 0x5a, HV_PAGE_SIZE);
	assert_true(synic_set_pages(vp, 0, SIMP | ON, 0));
	assert_int_equal(page[0], 0);
	assert_int_equal(page[4095], 0);
	assert_false(synic_set_pages(vp, 0, SIMP | ON, FAKE_RAM | ON));
	assert_false(synic_set_pages(vp, 0, FAKE_RAM | ON, 0));
	assert_false(synic_set_pages(vp, 0, HV_MSR_PAGE_GPA | ON, 0));
	assert_int_equal(vp->simp, SIMP | ON);
	assert_int_equal(page[0], 0);
	assert_true(synic_set_pages(vp, 0, (SIMP + 0x1000) | ON, 0)); /* moved */
	assert_int_equal(page[0], 0x5a);
	assert_int_equal(page[4095], 0x5a);
	assert_true(synic_set_pages(vp, 0, 0, 0));
}

static void sint_values(void **state)
{
	struct fake *f = *state;
	struct hyperv_vp *vp = &f->hv.vp[0];

	assert_int_equal(atomic_load(&vp->sint[SINT].value), HV_SINT_MASKED);
	assert_false(synic_write_sint(vp, SINT, 15));
	assert_true(synic_write_sint(vp, SINT, 15 | HV_SINT_MASKED));
	assert_true(synic_write_sint(vp, SINT, 16));
	assert_int_equal(f->changes, 0); /* it has no interrupt yet */
	assert_int_equal(synic_prepare_sint(vp, SINT), 0);
	assert_true(synic_write_sint(vp, SINT, 0x40));
	assert_int_equal(f->changes, 1);
}

/* ---- Two threads: no message is lost and no waiter forgotten --------------------------------- */

#define MESSAGES 20000u

static struct race {
	struct fake *f;
	sem_t free;
	_Atomic bool done;
	u32 taken, wrong;
} race;

static void race_slot_free(void *ctx, u32 vp_index, u32 sint)
{
	(void)ctx, (void)vp_index, (void)sint;
	sem_post(&race.free);
}

/* The guest's side, as step 4 of synic.c has it. */
static void *race_guest(void *arg)
{
	struct hv_message *m = slot_of(race.f, SINT);

	(void)arg;
	while (race.taken < MESSAGES) {
		u32 word;

		if (__atomic_load_n(&m->type, __ATOMIC_ACQUIRE) == HV_MESSAGE_NONE) {
			sched_yield();
			continue;
		}
		memcpy(&word, m->payload, sizeof(word));
		race.wrong += word != race.taken;
		race.taken++;
		__atomic_store_n(&m->type, HV_MESSAGE_NONE, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&m->flags, __ATOMIC_SEQ_CST) & HV_MESSAGE_PENDING)
			synic_end_of_message(&race.f->hv.vp[0]);
	}
	return NULL;
}

static void no_message_is_lost_between_two_threads(void **state)
{
	pthread_t guest;

	race = (struct race){ .f = *state };
	sem_init(&race.free, 0, 0);
	synic_on_slot_free(&race.f->hv, race_slot_free, NULL);
	enable(race.f, 0);
	assert_int_equal(pthread_create(&guest, NULL, race_guest, NULL), 0);
	for (u32 i = 0; i < MESSAGES; i++) {
		alarm(PATIENCE_S); /* for each */
		while (synic_post_message(&race.f->hv, 0, SINT, 1, &i, sizeof(i)) == -EAGAIN)
			sem_wait(&race.free);
	}
	pthread_join(guest, NULL);
	alarm(0);
	assert_int_equal(race.wrong, 0);
	sem_destroy(&race.free);
}

static void *race_setter(void *arg)
{
	for (u32 i = 0; i < MESSAGES; i++)
		synic_set_event(&race.f->hv, 0, SINT, 32 + *(const u32 *)arg);
	atomic_store(&race.done, true);
	return NULL;
}

/* Two I/O threads set flags of one word; the guest, woken, never finds fewer than were raised. */
static void flags_of_one_word_do_not_disturb_each_other(void **state)
{
	const u32 one = 1, two = 2;
	pthread_t a, b;
	u32 *flags;

	race = (struct race){ .f = *state };
	flags = (u32 *)((u8 *)gmem_range(&race.f->mem, SIEFP, HV_PAGE_SIZE) + SINT * 256);
	enable(race.f, 0);
	pthread_create(&a, NULL, race_setter, (void *)&one);
	pthread_create(&b, NULL, race_setter, (void *)&two);
	while (!atomic_load(&race.done))
		__atomic_exchange_n(&flags[1], 0, __ATOMIC_SEQ_CST);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	__atomic_store_n(&flags[1], 0, __ATOMIC_SEQ_CST);
	fake_raised(race.f, 0, SINT);
	synic_set_event(&race.f->hv, 0, SINT, 33);
	synic_set_event(&race.f->hv, 0, SINT, 34);
	assert_int_equal(flags[1], 6);
	assert_int_equal(fake_raised(race.f, 0, SINT), 2);
}

/* KVM's timers fill slots from KVM_RUN: the VP is kept outside meanwhile. */
static void kvm_is_kept_out_of_the_slots(void **state)
{
	struct fake *f = *state;
	struct hyperv_backend kernel = *f->hv.backend;

	enable(f, 0);
	f->attended = f->drained = 0;
	assert_int_equal(synic_post_message(&f->hv, 0, SINT, 1, "x", 1), 0);
	assert_int_equal(f->drained, 0);
	kernel.id = HYPERV_KERNEL;
	f->hv.backend = &kernel;
	assert_int_equal(synic_post_message(&f->hv, 0, SINT, 1, "x", 1), -EAGAIN);
	assert_int_equal(f->attended, 1);
	assert_int_equal(f->drained, 1);
	synic_let_post(&f->hv.vp[0]); /* nothing is under way: it does not wait */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_prepared_sint_can_be_raised),
		TEST(nothing_is_delivered_before_it_is_enabled),
		TEST(arguments_are_checked),
		TEST(a_message_arrives_whole),
		TEST(a_full_slot_is_waited_for),
		TEST(a_message_that_comes_first_says_that_another_waits),
		TEST(waiters_hear_of_a_page_that_moves),
		TEST(a_page_goes_after_the_message_under_way),
		TEST(a_flag_raises_once),
		TEST(other_sints_are_prepared_by_their_first_message),
		TEST(pages_cover_and_uncover),
		TEST(sint_values),
		TEST(no_message_is_lost_between_two_threads),
		TEST(flags_of_one_word_do_not_disturb_each_other),
		TEST(kvm_is_kept_out_of_the_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
