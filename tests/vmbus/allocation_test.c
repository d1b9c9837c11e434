/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No allocation per packet: nothing on the way of packets, either way and whatever becomes of them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/allocations.h"
#include "tests/vmbus/channel_bed.h"

#define ROUNDS 20

/* Lets the host work: without an allocation. */
static void work(struct channel_bed *f)
{
	u64 before = allocations();

	fg_pump(&f->g);
	assert_int_equal(allocations(), before);
}

static void they_are_counted(void **state)
{
	u64 before = allocations();
	/* volatile: a compiler may spare itself what nobody looks at. */
	void *volatile p = malloc(10), *volatile q, *volatile r;

	(void)state;
	p = realloc(p, 20);
	q = calloc(1, 10);
	r = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(p && q && r != MAP_FAILED);
	assert_int_equal(allocations(), before + 4);
	munmap(r, 4096);
	free(q);
	free(p);
}

static void in_band(void **state)
{
	struct channel_bed *f = *state;

	for (int i = 0; i < ROUNDS; i++) {
		while (!fg_send(&f->ch, 1, f->buf, (u32)i * 100, true))
			;
		work(f);
	}
	/* More than one run's. */
	assert_true(f->p[0].packets > 2 * VMBUS_PACKETS_PER_RUN);
	assert_true(f->p[0].ch->count.throttled > 0);
}

static void by_reference(void **state)
{
	struct channel_bed *f = *state;
	gpa_t gpa = fg_alloc(&f->g, 4);
	const struct fg_range range[] = { { gpa, 100 }, { gpa + 5000, 8192 } };

	for (int i = 0; i < ROUNDS; i++) {
		while (!fg_send_gpa_direct(&f->ch, 1, range, ARRAY_SIZE(range), "x", 1))
			;
		work(f);
	}
	assert_true(f->p[0].packets > ROUNDS);
	assert_int_equal(f->p[0].last_ranges, 2);
}

static void out_and_no_room(void **state)
{
	struct channel_bed *f = *state;
	const struct vmbus_xfer_range range = { .byte_count = 100 };

	for (int i = 0; i < ROUNDS; i++) {
		f->p[0].to_send = 5000;
		fg_signal(&f->ch);
		work(f);
		/* The ring is full: nothing is kept for later. */
		assert_int_not_equal(f->p[0].to_send, 0);
		assert_int_equal(channel_send_xfer(f->p[0].ch, 1, 0, &range, 1, f->buf, 100),
				 -EAGAIN);
		work(f);
		assert_true(bed_recv_all(f) > 100);
	}
	assert_int_equal(channel_send_xfer(f->p[0].ch, 1, 0, &range, 1, f->buf, 100), 0);
	work(f);
}

static void malformed_and_too_long(void **state)
{
	struct channel_bed *f = *state;
	const struct ring_descriptor bad = { .type = VMBUS_PACKET_INBAND, .offset8 = 1 };

	for (int i = 0; i < ROUNDS; i++) {
		assert_int_equal(fg_send_raw(&f->ch, &bad, NULL, 0, "x", 1), 0);
		assert_int_equal(fg_send(&f->ch, 1, f->buf, 5000, false), 0);
		work(f);
	}
	assert_int_equal(f->p[0].bad, ROUNDS);
	assert_int_equal(f->p[0].too_long, ROUNDS);
	fg_set_write_index(&f->ch, 4);
	fg_signal(&f->ch);
	work(f);
	assert_true(f->p[0].ch->in.broken);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_are_counted),      TEST(bed_setup, in_band),
		TEST(bed_setup, by_reference),           TEST(bed_setup, out_and_no_room),
		TEST(bed_setup, malformed_and_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
