/* SPDX-License-Identifier: BSD-2-Clause */
/* The SynIC test port on a partition in plain memory. */
#include "devices/devices.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/hyperv/fake.h"

#define SIMP 0x10000
#define SIEFP 0x20000
#define SINT 8

enum { ROUTE_CREATE = 1, ROUTE_DESTROY, ROUTE_SET, MESSAGE, NO_MESSAGE, EVENT, NO_EVENT };

static struct fake *fake;
static struct synic_test_port *test_port;

static int setup(void **state)
{
	fake_setup(state);
	fake = *state;
	assert_int_equal(synic_test_port_init(&test_port, &fake->hv), 0);
	for (u32 vp = 0; vp < FAKE_VPS; vp++) {
		assert_int_equal(synic_test_port_add_vp(test_port, vp), 0);
		assert_true(synic_set_pages(&fake->hv.vp[vp], HV_SCONTROL_ENABLE,
					    (SIMP + vp * HV_PAGE_SIZE) | 1,
					    (SIEFP + vp * HV_PAGE_SIZE) | 1));
		assert_true(synic_write_sint(&fake->hv.vp[vp], SINT, 0x50));
	}
	return 0;
}

static int teardown(void **state)
{
	synic_test_port_fini(test_port);
	return fake_teardown(state);
}

/* What the guest writes. */
static void tell(u8 id, u8 control, u8 vp, u8 sint)
{
	const u32 value = (u32)id << 24 | (u32)control << 16 | (u32)vp << 8 | sint;
	const struct io_range r = synic_test_port_range(test_port, 0x3000);

	r.write(r.ctx, 0, &value, sizeof(value));
}

static struct hv_message *slot(u32 vp)
{
	struct hv_message_page *page =
		gmem_range(&fake->mem, SIMP + vp * HV_PAGE_SIZE, HV_PAGE_SIZE);

	return &page->slot[SINT];
}

static u32 flags(u32 vp, u32 word)
{
	const struct hv_event_page *page =
		gmem_range(&fake->mem, SIEFP + vp * HV_PAGE_SIZE, HV_PAGE_SIZE);

	return page->flags[SINT][word];
}

static u16 post(u32 id, const char *text)
{
	return ports_post(&fake->hv, id, 0x1234, text, (u32)strlen(text));
}

static void end_of_message(u32 vp)
{
	slot(vp)->type = HV_MESSAGE_NONE;
	synic_end_of_message(&fake->hv.vp[vp]);
}

static void a_route_raises_its_sint(void **state)
{
	(void)state;
	tell(0, ROUTE_SET, 1, SINT);
	assert_int_equal(fake_raised(fake, 1, SINT), 0);
	tell(0, ROUTE_CREATE, 1, SINT);
	assert_int_equal(fake_raised(fake, 1, SINT), 0);
	tell(0, ROUTE_SET, 1, SINT);
	assert_int_equal(fake_raised(fake, 1, SINT), 1);
	tell(0, ROUTE_SET, 0, SINT);
	tell(0, ROUTE_SET, 1, SINT + 1);
	assert_int_equal(fake_raised(fake, 0, SINT), 0);
	assert_int_equal(fake_raised(fake, 1, SINT + 1), 0);
	tell(0, ROUTE_DESTROY, 1, SINT);
	tell(0, ROUTE_SET, 1, SINT);
	assert_int_equal(fake_raised(fake, 1, SINT), 0);
}

static void a_message_comes_back(void **state)
{
	(void)state;
	assert_int_equal(post(0x10, "early"), HV_STATUS_INVALID_CONNECTION_ID);
	tell(0x10, MESSAGE, 1, SINT);
	assert_int_equal(post(0x10, "hello"), HV_STATUS_SUCCESS);
	assert_int_equal(slot(1)->type, 0x1234);
	assert_int_equal(slot(1)->payload_size, 5);
	assert_memory_equal(slot(1)->payload, "hello", 5);
	assert_int_equal(fake_raised(fake, 1, SINT), 1);
	assert_int_equal(slot(0)->type, HV_MESSAGE_NONE);
	assert_int_equal(post(0x11, "other"), HV_STATUS_INVALID_CONNECTION_ID);
	assert_int_equal(post(0x110, "far"), HV_STATUS_INVALID_CONNECTION_ID);
	tell(0x10, NO_MESSAGE, 0, 0);
	assert_int_equal(post(0x10, "late"), HV_STATUS_INVALID_CONNECTION_ID);
}

static void one_message_waits_for_the_slot(void **state)
{
	(void)state;
	tell(0x10, MESSAGE, 1, SINT);
	assert_int_equal(post(0x10, "one"), HV_STATUS_SUCCESS);
	assert_int_equal(post(0x10, "two!"), HV_STATUS_SUCCESS);
	assert_int_equal(post(0x10, "three"), HV_STATUS_INSUFFICIENT_BUFFERS);
	assert_int_equal(slot(1)->payload_size, 3);
	assert_int_equal(slot(1)->flags, HV_MESSAGE_PENDING);
	assert_int_equal(fake_raised(fake, 1, SINT), 1);
	end_of_message(1);
	assert_int_equal(slot(1)->payload_size, 4);
	assert_int_equal(slot(1)->flags, 0);
	assert_int_equal(fake_raised(fake, 1, SINT), 1);
	end_of_message(1);
	assert_int_equal(slot(1)->type, HV_MESSAGE_NONE);
	assert_int_equal(fake_raised(fake, 1, SINT), 0);
}

/* One that is destroyed sends nothing any more, and the other one that waits is not forgotten. */
static void two_messages_wait_for_one_slot(void **state)
{
	(void)state;
	tell(0x10, MESSAGE, 0, SINT);
	tell(0x11, MESSAGE, 0, SINT);
	tell(0x12, MESSAGE, 0, SINT);
	assert_int_equal(post(0x10, "a"), HV_STATUS_SUCCESS);
	assert_int_equal(post(0x10, "bb"), HV_STATUS_SUCCESS);
	assert_int_equal(post(0x11, "ccc"), HV_STATUS_SUCCESS);
	assert_int_equal(post(0x12, "dddd"), HV_STATUS_SUCCESS);
	tell(0x11, NO_MESSAGE, 0, 0);
	end_of_message(0);
	assert_int_equal(slot(0)->payload_size, 2);
	end_of_message(0);
	assert_int_equal(slot(0)->payload_size, 4);
	end_of_message(0);
	assert_int_equal(slot(0)->type, HV_MESSAGE_NONE);
}

static void an_event_sets_the_flag_of_its_number(void **state)
{
	(void)state;
	assert_int_equal(ports_signal(&fake->hv, 0x21, 0), HV_STATUS_INVALID_CONNECTION_ID);
	tell(0x21, EVENT, 1, SINT);
	assert_int_equal(ports_signal(&fake->hv, 0x21, 1), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(flags(1, 1), 0);
	assert_int_equal(ports_signal(&fake->hv, 0x21, 0), HV_STATUS_SUCCESS);
	assert_int_equal(flags(1, 1), 1u << 1);
	assert_int_equal(fake_raised(fake, 1, SINT), 1);
	assert_int_equal(ports_signal(&fake->hv, 0x21, 0), HV_STATUS_SUCCESS);
	assert_int_equal(fake_raised(fake, 1, SINT), 0);
	assert_int_equal(ports_signal(&fake->hv, 0x121, 0), HV_STATUS_INVALID_CONNECTION_ID);
	tell(0x21, NO_EVENT, 0, 0);
	assert_int_equal(ports_signal(&fake->hv, 0x21, 0), HV_STATUS_INVALID_CONNECTION_ID);
}

static void nonsense_is_ignored(void **state)
{
	const struct io_range r = synic_test_port_range(test_port, 0x3000);
	const u32 create = 0x10u << 24 | MESSAGE << 16 | SINT;

	(void)state;
	assert_int_equal(r.base, 0x3000);
	assert_int_equal(r.len, 4);
	assert_null(r.read);
	r.write(r.ctx, 0, &create, 2);
	r.write(r.ctx, 2, &create, 4);
	tell(0x10, MESSAGE, FAKE_VPS, SINT);
	tell(0x10, MESSAGE, 0xff, SINT);
	tell(0x10, MESSAGE, 0, HV_SINTS);
	tell(0x10, EVENT, 0, 0xff);
	assert_int_equal(post(0x10, "x"), HV_STATUS_INVALID_CONNECTION_ID);
	for (unsigned control = 0; control < 256; control++)
		if (control != MESSAGE && control != EVENT)
			tell(0x10, (u8)control, 0xff, 0xff);
	tell(0x10, 0, 0, SINT);
	tell(0x10, 8, 0, SINT);
	assert_int_equal(post(0x10, "x"), HV_STATUS_INVALID_CONNECTION_ID);
	/* A second connection of that number changes nothing. */
	tell(0x10, MESSAGE, 0, SINT);
	tell(0x10, MESSAGE, 1, SINT);
	assert_int_equal(post(0x10, "x"), HV_STATUS_SUCCESS);
	assert_int_equal(slot(0)->type, 0x1234);
	assert_int_equal(slot(1)->type, HV_MESSAGE_NONE);
}

/* A VP without SynIC loses flags; a message to it is refused, not kept for ever. */
static void a_vp_without_synic_gets_nothing(void **state)
{
	(void)state;
	tell(0x10, MESSAGE, 1, SINT);
	tell(0x21, EVENT, 1, SINT);
	assert_true(synic_set_pages(&fake->hv.vp[1], 0, 0, 0));
	assert_int_equal(ports_signal(&fake->hv, 0x21, 0), HV_STATUS_SUCCESS);
	assert_int_not_equal(post(0x10, "x"), HV_STATUS_SUCCESS);
	assert_int_not_equal(post(0x10, "x"), HV_STATUS_INSUFFICIENT_BUFFERS);
}

/* Whatever it writes. */
static void a_storm_of_writes_ends(void **state)
{
	u32 seed = 1;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		seed = seed * 1664525 + 1013904223;
		tell((u8)(seed >> 24 & 7), (u8)(seed >> 16 & 15), (u8)(seed >> 12 & 3),
		     (u8)(seed >> 8 & 31));
		post(seed >> 24 & 7, "storm");
		ports_signal(&fake->hv, seed >> 24 & 7, 0);
		if (!(seed >> 20 & 3))
			end_of_message(seed >> 12 & 1);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_route_raises_its_sint),
		TEST(a_message_comes_back),
		TEST(one_message_waits_for_the_slot),
		TEST(two_messages_wait_for_one_slot),
		TEST(an_event_sets_the_flag_of_its_number),
		TEST(nonsense_is_ignored),
		TEST(a_vp_without_synic_gets_nothing),
		TEST(a_storm_of_writes_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
