/* SPDX-License-Identifier: BSD-2-Clause */
/* The synthetic NIC with a guest that does not behave. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "tests/devices/netvsp_bed.h"

static void memory_that_is_not_there_is_refused(void **state)
{
	static const struct {
		u32 section, size;
	} bad[] = { { 0, 6145 },
		    { 0, UINT32_MAX },
		    { 10, 100 },
		    { 0xfffffffe, 100 },
		    { 0x80000000, 6144 } };
	struct bed *b = bed_new();
	struct fg_range range = { 1ull << 40, 104 };
	u64 id;

	(void)state;
	bed_bring_up(b);
	/* What lies there would be taken: a long message, and one behind the last whole section. */
	bed_put_message(fg_ptr(&b->g, b->send, 6145), 6145 - 44, 1);
	bed_put_message(fg_ptr(&b->g, b->send + 10 * 6144, 100), 100 - 44, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		id = bed_transmit(b, NVSP_CHANNEL_DATA, bad[i].section, bad[i].size, NULL, 0);
		assert_int_equal(bed_transmit_status(b, id), NVSP_STATUS_INVALID_RNDIS_PKT);
	}
	id = bed_transmit(b, NVSP_CHANNEL_DATA, NVSP_NO_SECTION, 0, &range, 1);
	assert_int_equal(bed_transmit_status(b, id), NVSP_STATUS_INVALID_RNDIS_PKT);
	id = bed_transmit(b, 2, NVSP_NO_SECTION, 0, NULL, 0);
	assert_int_equal(bed_transmit_status(b, id), NVSP_STATUS_INVALID_RNDIS_PKT);
	assert_int_equal(b->nic.sent, 0);
	bed_free(b);
}

static void messages_out_of_turn_do_nothing(void **state)
{
	struct bed *b = bed_new();
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PKT };
	struct fg_packet pkt;

	(void)state;
	/* Before INIT, of no known type, too short, a version too early, INIT twice. */
	for (unsigned i = 0; i < 5; i++) {
		u32 size = sizeof(m);

		m.type = i == 0   ? NVSP_SEND_RNDIS_PKT
			 : i == 1 ? 9999u
			 : i == 2 ? NVSP_INIT
			 : i == 3 ? NVSP_SUBCHANNEL
				  : NVSP_INIT;
		if (i == 2)
			size = 4;
		if (i == 3)
			assert_int_equal(bed_negotiate(b, NVSP_VERSION_4), NVSP_STATUS_SUCCESS);
		assert_int_equal(fg_send(&b->ch, 5, &m, size, true), 0);
		assert_int_equal(bed_take(b, &pkt), 1);
		assert_int_equal(pkt.type, VMBUS_PACKET_COMPLETION);
		assert_int_equal(pkt.transaction_id, 5);
		assert_int_equal(pkt.payload_size, 0);
	}
	assert_int_equal(fg_send(&b->ch, 5, NULL, 0, true), 0);
	assert_int_equal(bed_take(b, &pkt), 1);
	bed_free(b);
}

static void completions_of_nothing_do_nothing(void **state)
{
	struct bed *b = bed_new();
	struct fg_packet pkt;
	u64 id;

	(void)state;
	bed_bring_up(b);
	bed_arrive(b, 60, 1);
	bed_arrive(b, 60, 2);
	bed_expect_data(b, &pkt);
	id = pkt.transaction_id;
	for (u64 i = 0; i < 200; i++)
		if (i != id)
			fg_complete(&b->ch, i, NULL, 0), fg_pump(&b->g);
	fg_complete(&b->ch, UINT64_MAX, NULL, 0);
	fg_complete(&b->ch, 65536 + id, NULL, 0);
	bed_done_with(b, &pkt);
	bed_done_with(b, &pkt); /* and once more */
	/* All slots are there, each once: they can be filled and told apart. */
	for (u32 i = 0; b->nic.enabled; i++) {
		assert_true(i < b->section.num_sub_allocs);
		bed_arrive(b, 60, (u8)i);
		bed_expect_data(b, &pkt);
		bed_expect_range(b, &pkt, 0, 60, (u8)i);
	}
	bed_free(b);
}

static void a_control_flood_is_refused_not_queued(void **state)
{
	struct bed *b = bed_new();
	u32 keepalive[] = { RNDIS_KEEPALIVE, 12, 1 };
	struct fg_range range = { b->scratch, 12 };
	u32 busy = 0;

	(void)state;
	b->recv_bytes = 5 * GUEST_PAGE_SIZE;
	bed_bring_up(b);
	memcpy(fg_ptr(&b->g, b->scratch, 12), keepalive, 12);
	for (unsigned i = 0; i < 20; i++) {
		u64 id = bed_transmit(b, NVSP_CHANNEL_CONTROL, NVSP_NO_SECTION, 0, &range, 1);
		struct fg_packet pkt;

		/* Answers are read and never completed. */
		while (bed_take(b, &pkt) == 1)
			if (pkt.type == VMBUS_PACKET_COMPLETION && pkt.transaction_id == id)
				busy += bed_message(&pkt).rndis_pkt_complete.status ==
					NVSP_STATUS_BUSY;
	}
	assert_int_equal(busy, 20 - 11);
	bed_free(b);
}

static u32 random_u32(u64 *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(*seed >> 33);
}

/* Any packet after any other; the sanitizers are the judge, and the channel must live on. */
static void random_packets_do_no_harm(void **state)
{
	static const u32 types[] = { 1,   100, 101, 103, 104, 106, 107,
				     107, 107, 107, 125, 129, 131, 133 };
	u64 seed = 42;

	(void)state;
	for (unsigned life = 0; life < 20; life++) {
		struct bed *b = bed_new();

		if (life & 1)
			bed_bring_up(b);
		for (unsigned round = 0; round < 500; round++) {
			struct nvsp_message m = {
				.type = types[random_u32(&seed) % ARRAY_SIZE(types)]
			};
			struct fg_range range[3];
			struct fg_packet pkt;
			u32 *word = (u32 *)m.bytes;
			u8 *scratch = fg_ptr(&b->g, b->scratch, 8 * GUEST_PAGE_SIZE);
			u32 at = 0;

			for (unsigned i = 0; i < 9; i++)
				word[i] = random_u32(&seed) % 3 ? random_u32(&seed) % 4
								: random_u32(&seed);
			if (m.type == NVSP_INIT)
				word[1] = UINT32_MAX;
			if (m.type < 107 && random_u32(&seed) % 2)
				word[0] = random_u32(&seed) % 2 ? b->recv_gpadl : b->send_gpadl;
			for (unsigned i = 0; i < 4; i++)
				at += bed_put_message(scratch + at, random_u32(&seed) % 300 + 14,
						      1);
			for (unsigned i = random_u32(&seed) % 4; i--;)
				memcpy(scratch + random_u32(&seed) % 200, &seed, 4);
			if (random_u32(&seed) % 3 == 0)
				memcpy(scratch, (u32[]){ random_u32(&seed) % 10, at }, 8);
			for (unsigned i = 0; i < 3; i++)
				range[i] =
					(struct fg_range){ b->scratch + random_u32(&seed) % 3 * 100,
							   random_u32(&seed) % 400 };
			range[0].gpa = b->scratch;
			if (random_u32(&seed) % 2)
				fg_send_gpa_direct(&b->ch, random_u32(&seed), range,
						   1 + random_u32(&seed) % 3, &m, sizeof(m));
			else
				fg_send(&b->ch, random_u32(&seed), &m, random_u32(&seed) % 41,
					random_u32(&seed) % 2);
			fg_complete(&b->ch, random_u32(&seed) % 160, NULL, 0);
			if (b->nic.loop && b->nic.enabled)
				bed_arrive(b, 60 + random_u32(&seed) % 1000, 5);
			while (random_u32(&seed) % 8 && bed_take(b, &pkt) == 1)
				;
		}
		assert_int_equal(fg_close(&b->ch), 0);
		bed_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_that_is_not_there_is_refused),
		cmocka_unit_test(messages_out_of_turn_do_nothing),
		cmocka_unit_test(completions_of_nothing_do_nothing),
		cmocka_unit_test(a_control_flood_is_refused_not_queued),
		cmocka_unit_test(random_packets_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
