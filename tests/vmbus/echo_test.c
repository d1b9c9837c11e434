/* SPDX-License-Identifier: BSD-2-Clause */
/* The echo device (tests/boot/echo.c) by the fake guest: how a device is tested without a guest. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/boot/echo.h"
#include "tests/fakeguest/fakeguest.h"

#define PACKET_MAX 8192u

struct fixture {
	struct fakeguest g;
	struct vmbus_device dev;
	struct fg_channel ch;
	u8 buf[PACKET_MAX];
	struct fg_packet pkt;
};

static int setup_with(void **state, bool scatter)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	assert_non_null(f);
	assert_int_equal(fg_init(&f->g, NULL), 0);
	f->g.scatter = scatter;
	echo_init(&f->dev, 1, 0);
	assert_int_equal(vmbus_offer(f->g.bus, &f->dev), 0);
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(fg_request_offers(&f->g), 0);
	assert_int_equal(fg_open(&f->g, &f->ch, fg_offer_find(&f->g, &echo_ops.type, 0), NULL), 0);
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, false);
}

static int setup_scatter(void **state)
{
	return setup_with(state, true);
}

/* The next answer; its payload must be this. */
static void expect(struct fixture *f, u16 type, u64 id, const void *payload, u32 size)
{
	assert_int_equal(fg_recv(&f->ch, f->buf, sizeof(f->buf), &f->pkt), 1);
	assert_int_equal(f->pkt.type, type);
	assert_int_equal(f->pkt.transaction_id, id);
	assert_true(f->pkt.payload_size >= size && f->pkt.payload_size < size + 8);
	assert_memory_equal(f->pkt.payload, payload, size);
}

static void sends_back(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fg_send(&f->ch, 7, "hello", 5, true), 0);
	assert_int_equal(fg_send(&f->ch, 8, "again", 5, false), 0);
	fg_pump(&f->g);
	expect(f, VMBUS_PACKET_COMPLETION, 7, "hello\0\0\0", 8);
	expect(f, VMBUS_PACKET_INBAND, 8, "again\0\0\0", 8);
	assert_int_equal(fg_recv(&f->ch, f->buf, sizeof(f->buf), &f->pkt), 0);
	/* Two packets, one batch, one interrupt. */
	assert_int_equal(fg_interrupts(&f->ch), 1);
}

static void reaches_guest_ranges(void **state)
{
	struct fixture *f = *state;
	gpa_t gpa = fg_alloc(&f->g, 3);
	struct fg_range range[2] = { { gpa + 100, 5000 }, { gpa + 3 * 4096 - 8, 8 } };
	u8 *p = fg_ptr(&f->g, gpa, 3 * 4096);

	assert_int_equal(fg_send_gpa_direct(&f->ch, 9, range, 2, "cmd.cmd.", 8), 0);
	fg_pump(&f->g);
	expect(f, VMBUS_PACKET_COMPLETION, 9, "cmd.cmd.", 8);
	for (u32 i = 0; i < 3 * 4096; i++) {
		bool in = (i >= 100 && i < 5100) || i >= 3 * 4096 - 8;

		assert_int_equal(p[i], in ? 0xff : 0);
	}
}

/* Many laps round both rings, the guest reading only when it cannot send. */
static void survives_full_rings(void **state)
{
	struct fixture *f = *state;
	u64 sent = 0, got = 0;
	u8 payload[1000];

	while (got < 3000) {
		u32 size = (u32)(sent % 125) * 8 + 8;

		memset(payload, (int)sent & 0xff, sizeof(payload));
		if (sent < 3000 && fg_send(&f->ch, sent, payload, size, true) == 0) {
			sent++;
			continue;
		}
		fg_pump(&f->g);
		while (fg_recv(&f->ch, f->buf, sizeof(f->buf), &f->pkt) == 1) {
			assert_int_equal(f->pkt.transaction_id, got);
			assert_int_equal(f->pkt.payload_size, got % 125 * 8 + 8);
			assert_int_equal(f->pkt.payload[f->pkt.payload_size - 1], got & 0xff);
			got++;
		}
	}
	assert_int_equal(sent, 3000);
}

static void opens_again(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 20; i++) {
		assert_int_equal(fg_close(&f->ch), 0);
		assert_int_equal(
			fg_open(&f->g, &f->ch, fg_offer_find(&f->g, &echo_ops.type, 0), NULL), 0);
		sends_back(state);
		f->g.interrupts[f->ch.relid] = 0;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sends_back, setup, fg_teardown),
		cmocka_unit_test_setup_teardown(reaches_guest_ranges, setup, fg_teardown),
		cmocka_unit_test_setup_teardown(survives_full_rings, setup, fg_teardown),
		cmocka_unit_test_setup_teardown(survives_full_rings, setup_scatter, fg_teardown),
		cmocka_unit_test_setup_teardown(opens_again, setup, fg_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
