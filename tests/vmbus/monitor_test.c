/* SPDX-License-Identifier: BSD-2-Clause */
/* Monitored channels: ids, what the page says, polling while open, idle and not at all. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/vmbus/channel_bed.h"

#define LATENCY_US 500

struct monitor_bed {
	struct channel_bed bed;
	struct probe m; /* the monitored one */
	struct vmbus_monitor_page *page;
};

static bool packet_came(void *ctx)
{
	return ((struct probe *)ctx)->packets;
}

static void page_make(struct monitor_bed *f)
{
	gpa_t gpa = fg_alloc(&f->bed.g, 2);

	f->bed.g.monitor_page[0] = gpa;
	f->bed.g.monitor_page[1] = gpa + GUEST_PAGE_SIZE;
	f->page = fg_ptr(&f->bed.g, gpa + GUEST_PAGE_SIZE, GUEST_PAGE_SIZE);
}

static int setup(void **state)
{
	struct monitor_bed *f = calloc(1, sizeof(*f));

	*state = f;
	assert_int_equal(fg_init(&f->bed.g, NULL), 0);
	probe_init(&f->m, 8);
	f->m.dev.monitor_us = LATENCY_US;
	probe_init(&f->bed.p[0], 0);
	assert_int_equal(vmbus_offer(f->bed.g.bus, &f->bed.p[0].dev), 0);
	assert_int_equal(vmbus_offer(f->bed.g.bus, &f->m.dev), 0);
	page_make(f);
	return 0;
}

static const struct fg_offer *connect(struct monitor_bed *f, u32 version)
{
	assert_int_equal(fg_connect(&f->bed.g, version), 0);
	assert_int_equal(fg_request_offers(&f->bed.g), 0);
	return fg_offer_instance(&f->bed.g, &f->m.dev.instance);
}

static void open_monitored(struct monitor_bed *f)
{
	const struct fg_offer *o = connect(f, VMBUS_VERSION_WIN10_V5_3);

	assert_int_equal(fg_open(&f->bed.g, &f->bed.ch, o, NULL), 0);
	fg_pump(&f->bed.g);
}

static void the_page_tells_of_the_channel(void **state)
{
	struct monitor_bed *f = *state;
	const struct fg_offer *o = connect(f, VMBUS_VERSION_WIN10_V5_3);
	u32 id = o->msg.monitorid;

	assert_int_equal(o->msg.monitor_allocated, 1);
	assert_int_equal(f->page->parameter[id].connection_id, o->msg.connection_id);
	assert_int_equal(f->page->latency[id], LATENCY_US * 10);
	assert_int_equal(f->page->group_enable, 1u << id / 32);
	/* Others are as ever. */
	o = bed_offer(&f->bed, 0);
	assert_int_equal(o->msg.monitor_allocated, 0);
	assert_int_equal(o->msg.monitorid, VMBUS_MONITOR_NONE);
}

static void no_pages_no_monitor(void **state)
{
	struct monitor_bed *f = *state;
	const struct fg_offer *o;

	f->bed.g.monitor_page[0] = f->bed.g.monitor_page[1] = 0;
	o = connect(f, VMBUS_VERSION_WIN10_V5_3);
	assert_int_equal(o->msg.monitor_allocated, 0);
	assert_int_equal(fg_open(&f->bed.g, &f->bed.ch, o, NULL), 0);
	assert_null(f->m.dev.primary->monitor);
	assert_false(f->m.dev.primary->monitor_poll.armed);
	assert_int_equal(fg_send(&f->bed.ch, 1, "x", 1, false), 0);
	fg_pump(&f->bed.g);
	assert_int_equal(f->m.packets, 1);
}

static void a_bit_is_a_signal(void **state)
{
	struct monitor_bed *f = *state;
	u32 bit;

	open_monitored(f);
	bit = 1u << f->bed.ch.offer.msg.monitorid % 32;
	for (int i = 0; i < 20; i++) {
		f->m.packets = 0;
		f->page->group[0].pending = ~bit; /* nobody's, or others' */
		assert_int_equal(fg_send(&f->bed.ch, 1, "x", 1, false), 0);
		assert_true(f->page->group[0].pending & bit);
		assert_true(fg_pump_until(&f->bed.g, packet_came, &f->m));
		assert_int_equal(f->page->group[0].pending, ~bit);
	}
	assert_true(f->m.dev.primary->count.signals >= 20);
}

/* Armed since `before`, for then and least to most nanoseconds; however long ago that is by now. */
static void expect_look(const struct vmbus_channel *ch, u64 before, u64 least, u64 most)
{
	assert_true(ch->monitor_poll.armed);
	assert_in_range(ch->monitor_poll.deadline_ns, before + least, loop_now_ns() + most);
}

static void idle_channels_are_polled_less(void **state)
{
	struct monitor_bed *f = *state;
	struct vmbus_channel *ch = f->m.dev.primary;
	u64 before = loop_now_ns();

	open_monitored(f);
	expect_look(ch, before, LATENCY_US * 1000ull, LATENCY_US * 1000ull);
	before = loop_now_ns();
	ch->monitor_idle = VMBUS_MONITOR_IDLE_POLLS;
	monitor_fire(ch);
	expect_look(ch, before, 1, 2 * LATENCY_US * 1000ull);
	before = loop_now_ns();
	ch->monitor_idle = ~0u - 1;
	monitor_fire(ch);
	expect_look(ch, before, VMBUS_MONITOR_IDLE_NS, 2 * VMBUS_MONITOR_IDLE_NS);
	/* It still hears, and is quick again. */
	assert_int_equal(fg_send(&f->bed.ch, 1, "x", 1, false), 0);
	assert_true(fg_pump_until(&f->bed.g, packet_came, &f->m));
	assert_true(ch->monitor_idle < VMBUS_MONITOR_IDLE_POLLS);
}

static void closed_channels_are_not_polled(void **state)
{
	struct monitor_bed *f = *state;
	struct vmbus_channel *ch = f->m.dev.primary;
	const struct fg_open_params silent = { .target_vp = VMBUS_VP_NONE };

	open_monitored(f);
	assert_true(ch->monitor_poll.armed);
	assert_int_equal(fg_close(&f->bed.ch), 0);
	assert_false(ch->monitor_poll.armed);
	f->m.open_result = -ENOMEM;
	assert_int_equal(fg_open(&f->bed.g, &f->bed.ch, &f->bed.ch.offer, NULL), -EPROTO);
	assert_false(ch->monitor_poll.armed);
	assert_null(ch->monitor);
	f->m.open_result = 0;
	/* Without interrupts there is no monitor, either. */
	assert_int_equal(fg_open(&f->bed.g, &f->bed.ch, &f->bed.ch.offer, &silent), 0);
	assert_false(ch->monitor_poll.armed);
}

static void pages_stay_while_in_use(void **state)
{
	struct monitor_bed *f = *state;
	struct vmbus_msg_modify_connection msg = {
		.header.msgtype = VMBUS_MSG_MODIFY_CONNECTION,
	};
	struct vmbus_msg_modify_connection_response response;

	f->bed.g.features = VMBUS_FEATURE_MODIFY_CONNECTION;
	assert_int_equal(fg_open(&f->bed.g, &f->bed.ch, connect(f, VMBUS_VERSION_V6_0), NULL), 0);
	assert_int_equal(fg_post(&f->bed.g, &msg, sizeof(msg)), 0);
	fg_take(&f->bed.g, VMBUS_MSG_MODIFY_CONNECTION_RESPONSE, &response, sizeof(response));
	assert_int_equal(response.connection_state, VMBUS_CONNECTION_FAILED_UNKNOWN);
	assert_int_equal(fg_close(&f->bed.ch), 0);
	/* New pages are told of the channels there are. */
	page_make(f);
	msg.monitor_page1 = f->bed.g.monitor_page[0];
	msg.monitor_page2 = f->bed.g.monitor_page[1];
	assert_int_equal(fg_post(&f->bed.g, &msg, sizeof(msg)), 0);
	fg_take(&f->bed.g, VMBUS_MSG_MODIFY_CONNECTION_RESPONSE, &response, sizeof(response));
	assert_int_equal(response.connection_state, 0);
	assert_int_equal(f->page->latency[f->bed.ch.offer.msg.monitorid], LATENCY_US * 10);
}

static void ids_run_out_and_come_back(void **state)
{
	struct monitor_bed *f = *state;
	static struct probe many[VMBUS_MONITORS];
	struct vmbus *bus = f->bed.g.bus;

	for (u32 i = 0; i < VMBUS_MONITORS; i++) {
		probe_init(&many[i], (u8)(10 + i));
		many[i].dev.monitor_us = 100;
		assert_int_equal(vmbus_offer(bus, &many[i].dev), 0);
	}
	assert_int_equal(many[VMBUS_MONITORS - 2].dev.primary->monitor_id, VMBUS_MONITORS - 1);
	assert_int_equal(many[VMBUS_MONITORS - 1].dev.primary->monitor_id, VMBUS_MONITOR_NONE);
	vmbus_rescind(&many[5].dev);
	vmbus_rescind(&many[VMBUS_MONITORS - 1].dev);
	assert_int_equal(vmbus_offer(bus, &many[5].dev), 0);
	assert_int_equal(many[5].dev.primary->monitor_id, 6);
	/* The last group's last bit works as well. */
	assert_int_equal(fg_connect(&f->bed.g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(fg_request_offers(&f->bed.g), 0);
	assert_int_equal(
		fg_open(&f->bed.g, &f->bed.ch,
			fg_offer_instance(&f->bed.g, &many[VMBUS_MONITORS - 2].dev.instance), NULL),
		0);
	assert_int_equal(fg_send(&f->bed.ch, 1, "x", 1, false), 0);
	assert_int_equal(f->page->group[3].pending, 1u << 31);
	assert_true(fg_pump_until(&f->bed.g, packet_came, &many[VMBUS_MONITORS - 2]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(setup, the_page_tells_of_the_channel),
		TEST(setup, no_pages_no_monitor),
		TEST(setup, a_bit_is_a_signal),
		TEST(setup, idle_channels_are_polled_less),
		TEST(setup, closed_channels_are_not_polled),
		TEST(setup, pages_stay_while_in_use),
		TEST(setup, ids_run_out_and_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
