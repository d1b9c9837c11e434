/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The plug device (tests/boot/plug.c) by the fake guest: many devices come and go from an I/O
 * thread while channels are open and busy; more than there are relids.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the above first */
#include <cmocka.h>

#include "tests/boot/echo.h"
#include "tests/boot/plug.h"
#include "tests/boot/plug_proto.h"
#include "tests/fakeguest/fakeguest.h"
#include "tests/patience.h"

#define OPENED 20u

struct fixture {
	struct fakeguest g;
	struct vmbus_device dev;
	struct bay *bay; /* not offered: no guest looks at it */
	struct plug *plug;
	struct fg_channel echo, commands, opened[OPENED];
	u64 sent, got; /* of echo */
	u8 buf[4096];
	struct plug_answer answer;
};

/* No request reaches a disk here. */
static struct uring *no_ring(void *ctx, struct loop *loop)
{
	(void)ctx;
	(void)loop;
	return NULL;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct machine_bus on = { .uring = no_ring };

	*state = f;
	assert_non_null(f);
	assert_int_equal(fg_init(&f->g, NULL), 0);
	on.bus = f->g.bus;
	on.control = &f->g.control;
	echo_init(&f->dev, 0, 0);
	assert_int_equal(bay_init(&f->bay, &on, NULL), 0);
	assert_int_equal(plug_init(&f->plug, &on, 0, f->bay), 0);
	assert_int_equal(vmbus_offer(f->g.bus, &f->dev), 0);
	assert_int_equal(vmbus_offer(f->g.bus, plug_device(f->plug)), 0);
	assert_int_equal(fg_connect(&f->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(fg_request_offers(&f->g), 0);
	assert_int_equal(fg_open(&f->g, &f->echo, &f->g.offer[0], NULL), 0);
	assert_int_equal(fg_open(&f->g, &f->commands, &f->g.offer[1], NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fg_stop_io(&f->g);
	fg_fini(&f->g);
	plug_fini(f->plug);
	bay_fini(f->bay);
	free(f);
	return 0;
}

/* ---- Traffic and commands -------------------------------------------------------------------- */

/* Waits for the next packet: with I/O threads it takes a while. */
static void receive(struct fixture *f, struct fg_channel *ch, struct fg_packet *pkt)
{
	for (u64 end = patience_end(); loop_now_ns() < end;) {
		fg_pump(&f->g);
		if (fg_recv(ch, f->buf, sizeof(f->buf), pkt) == 1)
			return;
		usleep(100);
	}
	fail_msg("no answer");
}

/* Keeps the echo device busy, and looks at what comes back. */
static void traffic(struct fixture *f)
{
	struct fg_packet pkt;

	for (int i = 0; i < 20 && !fg_send(&f->echo, f->sent, &f->sent, sizeof(f->sent), true); i++)
		f->sent++;
	while (fg_recv(&f->echo, f->buf, sizeof(f->buf), &pkt) == 1) {
		assert_int_equal(pkt.transaction_id, f->got);
		assert_memory_equal(pkt.payload, &f->got, sizeof(f->got));
		f->got++;
	}
}

static const struct plug_answer *command(struct fixture *f, u32 op, u32 count)
{
	struct plug_command c = { op, count };
	struct fg_packet pkt;

	traffic(f);
	assert_int_equal(fg_send(&f->commands, op, &c, sizeof(c), true), 0);
	receive(f, &f->commands, &pkt);
	assert_int_equal(pkt.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(pkt.payload_size, sizeof(f->answer));
	memcpy(&f->answer, pkt.payload, sizeof(f->answer));
	return &f->answer;
}

/* Offers of plugged devices, or rescinds of them. */
static unsigned count_plugged(const struct fixture *f, bool rescinded)
{
	unsigned count = 0;

	for (unsigned i = 2; i < f->g.offer_count; i++)
		count += f->g.offer[i].rescinded == rescinded;
	return count;
}

static void await_plugged(struct fixture *f, bool rescinded, unsigned wanted)
{
	u64 end = patience_end();

	while (count_plugged(f, rescinded) != wanted && loop_now_ns() < end) {
		traffic(f);
		if (!fg_offers_poll(&f->g))
			usleep(100);
	}
	assert_int_equal(count_plugged(f, rescinded), wanted);
}

/* Lets go of all rescinded devices; those that were open are closed first, or not at all. */
static void release_all(struct fixture *f)
{
	u32 gone = command(f, PLUG_STATUS, 0)->gone + f->g.offer_count - 2;

	for (unsigned i = 0; i < OPENED; i++)
		if (f->opened[i].open && i % 2)
			assert_int_equal(fg_close(&f->opened[i]), 0);
	for (unsigned i = 2; i < f->g.offer_count; i++) {
		while (fg_release(&f->g, f->g.offer[i].msg.child_relid))
			fg_pump(&f->g);
		traffic(f);
	}
	f->g.offer_count = 2;
	memset(f->opened, 0, sizeof(f->opened));
	for (u64 end = patience_end(); loop_now_ns() < end; usleep(100))
		if (command(f, PLUG_STATUS, 0)->gone == gone)
			break;
	assert_int_equal(f->answer.gone, gone);
	assert_int_equal(f->answer.echoes, 0);
	assert_int_equal(f->answer.disks, 0);
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void come_and_go(struct fixture *f)
{
	assert_int_equal(command(f, PLUG_ADD_ECHOES, 80)->done, 80);
	assert_int_equal(command(f, PLUG_ADD_DISKS, 20)->done, 20);
	await_plugged(f, false, 100);
	for (unsigned i = 0; i < OPENED; i++) {
		traffic(f);
		assert_int_equal(fg_open(&f->g, &f->opened[i], &f->g.offer[2 + i * 5], NULL), 0);
		assert_true(f->opened[i].relid <= 102);
		/* On their way when the channel is taken away. */
		for (unsigned n = 0; n < 50; n++)
			fg_send(&f->opened[i], n, &n, sizeof(n), true);
	}
	assert_int_equal(command(f, PLUG_EJECT_DISKS, 7)->done, 7);
	assert_int_equal(command(f, PLUG_REMOVE_ECHOES, 1000)->done, 80);
	assert_int_equal(command(f, PLUG_REMOVE_DISKS, 1000)->done, 20);
	await_plugged(f, true, 100);
	release_all(f);
	assert_int_equal(f->answer.refused, 0);
}

static void hundred_come_and_go(void **state)
{
	for (int i = 0; i < 5; i++)
		come_and_go(*state);
}

static void hundred_come_and_go_beside_an_io_thread(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fg_start_io(&f->g), 0);
	hundred_come_and_go(state);
	for (u64 end = patience_end(); f->got <= 1000 && loop_now_ns() < end;)
		traffic(f);
	assert_true(f->got > 1000);
}

/* 256 relids, two of which are taken. */
static void more_than_there_are_relids(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(command(f, PLUG_ADD_ECHOES, 1000)->done, 240);
		assert_int_equal(command(f, PLUG_ADD_DISKS, 1000)->done, 60);
		await_plugged(f, false, 254);
		assert_int_equal(command(f, PLUG_STATUS, 0)->refused, (i + 1) * 46);
		assert_int_equal(command(f, PLUG_REMOVE_DISKS, 1000)->done, 60);
		/* There was nothing to let go of. */
		assert_int_equal(command(f, PLUG_STATUS, 0)->disks, 14);
		assert_int_equal(command(f, PLUG_REMOVE_ECHOES, 1000)->done, 240);
		await_plugged(f, true, 254);
		release_all(f);
	}
}

static void the_bay_does_as_it_is_told(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(command(f, PLUG_BAY_ADD, 1000)->done, BAY_LUNS);
	assert_int_equal(f->answer.bay_disks, BAY_LUNS);
	assert_int_equal(command(f, PLUG_BAY_RESIZE, 8)->done, BAY_LUNS);
	assert_int_equal(command(f, PLUG_BAY_RESIZE, 28)->done, BAY_LUNS);
	assert_int_equal(command(f, PLUG_BAY_RESIZE, 33)->done, 0);
	assert_int_equal(command(f, PLUG_BAY_REMOVE, 3)->done, 3);
	assert_int_equal(f->answer.bay_disks, BAY_LUNS - 3);
	assert_int_equal(command(f, PLUG_BAY_ADD, 1)->done, 1);
	assert_int_equal(command(f, PLUG_BAY_REMOVE, 1000)->done, BAY_LUNS - 2);
	assert_int_equal(command(f, PLUG_BAY_INSERT, 1)->done, 0);
	assert_int_equal(command(f, PLUG_BAY_INSERT, 0)->done, 1);
	assert_int_equal(command(f, PLUG_BAY_EJECT, 0)->done, 1);
	assert_int_equal(command(f, PLUG_OPS, 1)->done, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(hundred_come_and_go, setup, teardown),
		cmocka_unit_test_setup_teardown(hundred_come_and_go_beside_an_io_thread, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_bay_does_as_it_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(more_than_there_are_relids, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
