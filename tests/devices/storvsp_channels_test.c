/* SPDX-License-Identifier: BSD-2-Clause */
/* Sub-channels, protocol versions, targets, IDE disks: what a controller offers its guest. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/devices/storvsp_bed.h"

static const u16 versions[] = { VSTOR_VERSION_WIN6, VSTOR_VERSION_WIN7, VSTOR_VERSION_WIN8,
				VSTOR_VERSION_WIN8_1, VSTOR_VERSION_WIN10 };

static int setup(void **state)
{
	struct bed *b = bed_new(BED_SUBS);

	bed_attach(b, 0, STORVSP_UNIT(0, 0));
	*state = b;
	return 0;
}

static u32 create_subs(struct bed *b, u16 count)
{
	struct vstor_packet p = { .sub_channel_count = count };

	return bed_operate(b, &b->ch[0], VSTOR_CREATE_SUB_CHANNELS, &p);
}

static void rescan(struct bed *b)
{
	pthread_mutex_lock(&b->s->lock);
	storvsp_rescan(b->s);
	pthread_mutex_unlock(&b->s->lock);
}

static void write_and_read(struct bed *b, struct fg_channel *ch, u8 target, u8 lun, u8 seed)
{
	u8 *data = bed_data(b, ch), want[BED_BLOCK];
	struct vstor_packet p;

	memset(want, seed, sizeof(want));
	memcpy(data, want, sizeof(want));
	assert_int_equal(bed_read_write(b, ch, 1, SCSI_WRITE_10, target, lun, seed), 0);
	assert_true(bed_answer(b, ch, &p) == 1);
	assert_int_equal(p.srb.srb_status, SRB_SUCCESS);
	memset(data, 0, BED_BLOCK);
	assert_int_equal(bed_read_write(b, ch, 2, SCSI_READ_10, target, lun, seed), 0);
	assert_true(bed_answer(b, ch, &p) == 2);
	assert_int_equal(p.srb.srb_status, SRB_SUCCESS);
	assert_memory_equal(data, want, sizeof(want));
}

/* ---- Sub-channels ---------------------------------------------------------------------------- */

static void every_channel_carries_requests(void **state)
{
	struct bed *b = *state;
	struct vstor_properties p;

	bed_connect(b);
	p = bed_handshake(b, VSTOR_VERSION_WIN10);
	assert_int_equal(p.max_channel_cnt, BED_SUBS);
	assert_int_equal(p.flags, VSTOR_SUPPORTS_MULTI_CHANNEL);
	assert_int_equal(create_subs(b, BED_SUBS + 1), NT_INVALID_PARAMETER);
	bed_open_subs(b, BED_SUBS);
	for (u8 i = 0; i <= BED_SUBS; i++) {
		write_and_read(b, &b->ch[i], 0, 0, (u8)(i + 1));
		assert_int_equal(b->g.last_event_vp, i);
		assert_ptr_equal(b->s->channel[i].uring, &b->uring[i % BED_LOOPS]);
	}
}

static void the_offers_follow_the_answer(void **state)
{
	struct bed *b = *state;

	bed_connect(b);
	bed_handshake(b, VSTOR_VERSION_WIN10);
	assert_int_equal(create_subs(b, 0), NT_SUCCESS);
	assert_int_equal(fg_offers_poll(&b->g), 0);
	assert_int_equal(create_subs(b, 2), NT_SUCCESS);
	assert_int_equal(fg_offers_poll(&b->g), 2);
	/* More of them later. */
	assert_int_equal(create_subs(b, 3), NT_SUCCESS);
	assert_int_equal(fg_offers_poll(&b->g), 1);
}

static void what_only_the_primary_channel_takes(void **state)
{
	static const u32 others[] = { VSTOR_BEGIN_INITIALIZATION, VSTOR_QUERY_PROTOCOL_VERSION,
				      VSTOR_QUERY_PROPERTIES, VSTOR_END_INITIALIZATION,
				      VSTOR_CREATE_SUB_CHANNELS };
	struct bed *b = *state;
	struct vstor_packet p;

	bed_connect(b);
	bed_handshake(b, VSTOR_VERSION_WIN10);
	bed_open_subs(b, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		p = (struct vstor_packet){ 0 };
		assert_int_equal(bed_operate(b, &b->ch[1], others[i], &p), NT_INVALID_DEVICE_STATE);
	}
	assert_int_equal(bed_command(b, &b->ch[1], 0, 0).status, NT_SUCCESS);
}

/* Opened before the primary one was done, a sub-channel has to wait with requests. */
static void sub_channels_may_come_before_the_end_of_the_handshake(void **state)
{
	static const u32 first[] = { VSTOR_BEGIN_INITIALIZATION, VSTOR_QUERY_PROTOCOL_VERSION,
				     VSTOR_QUERY_PROPERTIES };
	struct bed *b = *state;
	struct vstor_packet p;

	bed_connect(b);
	for (unsigned i = 0; i < ARRAY_SIZE(first); i++) {
		p = (struct vstor_packet){ .version.major_minor = VSTOR_VERSION_WIN10 };
		assert_int_equal(bed_operate(b, &b->ch[0], first[i], &p), NT_SUCCESS);
	}
	bed_open_subs(b, 1);
	assert_int_equal(bed_command(b, &b->ch[1], 0, 0).status, NT_INVALID_DEVICE_STATE);
	p = (struct vstor_packet){ 0 };
	assert_int_equal(bed_operate(b, &b->ch[0], VSTOR_END_INITIALIZATION, &p), NT_SUCCESS);
	assert_int_equal(bed_command(b, &b->ch[1], 0, 0).status, NT_SUCCESS);
}

static void sub_channels_end_with_the_primary_one(void **state)
{
	struct bed *b = *state;

	bed_connect(b);
	for (unsigned round = 0; round < 3; round++) {
		bed_handshake(b, VSTOR_VERSION_WIN10);
		bed_open_subs(b, BED_SUBS);
		write_and_read(b, &b->ch[2], 0, 0, 9);
		assert_int_equal(fg_unload(&b->g), 0);
		for (unsigned i = 0; i <= BED_SUBS; i++)
			assert_null(b->s->channel[i].loop);
		assert_int_equal(fg_connect(&b->g, VMBUS_VERSION_WIN10_V5_3), 0);
		assert_int_equal(fg_request_offers(&b->g), 0);
		assert_int_equal(fg_open(&b->g, &b->ch[0], &b->g.offer[0], NULL), 0);
	}
}

static void memory_is_given_back_on_close(void **state)
{
	struct bed *b = *state;

	bed_connect(b);
	bed_handshake(b, VSTOR_VERSION_WIN10);
	assert_true(b->s->channel->request[0].sc == b->s->channel);
	assert_int_equal(fg_unload(&b->g), 0);
	assert_null(b->s->channel->request[0].sc);
}

/* ---- Versions -------------------------------------------------------------------------------- */

static void reopen(struct bed *b)
{
	assert_int_equal(fg_close(&b->ch[0]), 0);
	assert_int_equal(fg_open(&b->g, &b->ch[0], &b->g.offer[0], NULL), 0);
}

static void versions_differ_in_size_and_channels(void **state)
{
	struct bed *b = *state;

	bed_connect(b);
	for (unsigned i = 0; i < ARRAY_SIZE(versions); i++) {
		bool multi = versions[i] >= VSTOR_VERSION_WIN8;
		u32 size = bed_packet_size(versions[i]);
		struct vstor_properties p = bed_handshake(b, versions[i]);
		struct vstor_packet ready = bed_unit_ready(0, 0);

		assert_int_equal(size, multi ? 64 : 48);
		assert_int_equal(p.max_channel_cnt, multi ? BED_SUBS : 0);
		assert_int_equal(p.flags, multi ? VSTOR_SUPPORTS_MULTI_CHANNEL : 0);
		assert_int_equal(p.max_transfer_bytes, SCSI_TRANSFER_MAX);
		assert_int_equal(create_subs(b, 0), multi ? NT_SUCCESS : NT_INVALID_DEVICE_REQUEST);
		bed_send(b, &b->ch[0], 3, VSTOR_EXECUTE_SRB, &ready, size);
		assert_true(bed_answer(b, &b->ch[0], &ready) == 3);
		assert_int_equal(ready.srb.srb_status, SRB_SUCCESS);
		reopen(b);
	}
}

/* What tells of new disks came with Windows 7, and is as long as its version's packets. */
static void rescans_are_told_as_the_version_has_it(void **state)
{
	struct bed *b = *state;
	struct fg_packet pkt;
	u32 operation;

	bed_connect(b);
	for (unsigned i = 0; i < ARRAY_SIZE(versions); i++) {
		bed_handshake(b, versions[i]);
		rescan(b);
		fg_pump(&b->g);
		assert_int_equal(fg_recv(&b->ch[0], b->buf, sizeof(b->buf), &pkt), i > 0);
		if (i) {
			memcpy(&operation, pkt.payload, 4);
			assert_int_equal(operation, VSTOR_ENUMERATE_BUS);
			assert_int_equal(pkt.type, VMBUS_PACKET_INBAND);
			assert_int_equal(pkt.payload_size, bed_packet_size(versions[i]));
			assert_true(!pkt.transaction_id && !pkt.completion_wanted);
			bed_expect_none(b, &b->ch[0]);
		}
		reopen(b);
	}
}

/* A guest that has not finished its handshake scans after it anyway. */
static void no_rescan_is_told_before_the_end_of_the_handshake(void **state)
{
	struct bed *b = *state;
	struct vstor_packet p = { 0 };

	rescan(b);
	bed_connect(b);
	rescan(b);
	bed_expect_none(b, &b->ch[0]);
	assert_int_equal(bed_operate(b, &b->ch[0], VSTOR_BEGIN_INITIALIZATION, &p), NT_SUCCESS);
	p = (struct vstor_packet){ .version.major_minor = VSTOR_VERSION_WIN10 };
	assert_int_equal(bed_operate(b, &b->ch[0], VSTOR_QUERY_PROTOCOL_VERSION, &p), NT_SUCCESS);
	rescan(b);
	bed_expect_none(b, &b->ch[0]);
	reopen(b);
	bed_handshake(b, VSTOR_VERSION_WIN10);
	bed_expect_none(b, &b->ch[0]);
}

static void a_rescan_waits_for_room(void **state)
{
	struct bed *b = *state;
	struct vstor_packet ready = bed_unit_ready(0, 0);
	const struct fg_open_params small = { .out_pages = 17, .in_pages = 2 };
	struct fg_packet pkt = { 0 };
	unsigned sent = 0, answers = 0;

	bed_connect(b);
	assert_int_equal(fg_close(&b->ch[0]), 0);
	assert_int_equal(fg_open(&b->g, &b->ch[0], &b->g.offer[0], &small), 0);
	bed_handshake(b, VSTOR_VERSION_WIN10);
	/* As many as fill the ring exactly: nothing waits but the rescan. */
	while (fg_in_free(&b->ch[0]) >= 96) {
		bed_send(b, &b->ch[0], ++sent, VSTOR_EXECUTE_SRB, &ready, sizeof(ready));
		fg_pump(&b->g);
	}
	assert_null(b->s->channel->unsent);
	rescan(b);
	fg_pump(&b->g);
	assert_true(b->s->rescan);
	while (fg_recv(&b->ch[0], b->buf, sizeof(b->buf), &pkt) == 1) {
		answers += pkt.type == VMBUS_PACKET_COMPLETION;
		fg_pump(&b->g);
	}
	assert_int_equal(answers, sent);
	assert_int_equal(pkt.type, VMBUS_PACKET_INBAND);
	assert_false(b->s->rescan);
}

/* ---- Targets --------------------------------------------------------------------------------- */

static void disks_lie_on_two_targets(void **state)
{
	struct bed *b = *state;

	bed_attach(b, 1, STORVSP_UNIT(0, 63));
	bed_attach(b, 2, STORVSP_UNIT(1, 5));
	bed_connect(b);
	bed_handshake(b, VSTOR_VERSION_WIN10);
	write_and_read(b, &b->ch[0], 0, 0, 1);
	write_and_read(b, &b->ch[0], 0, 63, 2);
	write_and_read(b, &b->ch[0], 1, 5, 3);
	assert_int_equal(bed_command(b, &b->ch[0], 1, 0).srb.srb_status,
			 SRB_INVALID_LUN | SRB_AUTOSENSE_VALID);
	assert_int_equal(bed_command(b, &b->ch[0], 0, 5).srb.srb_status,
			 SRB_INVALID_LUN | SRB_AUTOSENSE_VALID);
	assert_int_equal(bed_command(b, &b->ch[0], 2, 5).srb.srb_status,
			 SRB_INVALID_TARGET_ID | SRB_AUTOSENSE_VALID);
	assert_int_equal(storvsp_attach(b->s, STORVSP_UNITS, &b->disk[0].disk), -EINVAL);
	assert_int_equal(storvsp_attach(b->s, STORVSP_UNIT(1, 5), &b->disk[0].disk), -EEXIST);
}

/* ---- IDE ------------------------------------------------------------------------------------- */

static void an_ide_disk_is_found_by_its_instance(void **state)
{
	static const struct guid instance[] = { GUID(0, 0, 0x8899, 0, 0, 0, 0, 0, 0, 0, 0),
						GUID(0, 1, 0x8899, 0, 0, 0, 0, 0, 0, 0, 0),
						GUID(1, 0, 0x8899, 0, 0, 0, 0, 0, 0, 0, 0),
						GUID(1, 1, 0x8899, 0, 0, 0, 0, 0, 0, 0, 0) };
	struct bed *b = *state;
	struct storvsp *s;

	for (unsigned i = 0; i < STORVSP_IDE_MAX; i++) {
		struct vstor_offer offer;

		assert_int_equal(storvsp_init_ide(&s, i, NULL, NULL), 0);
		assert_memory_equal(&storvsp_device(s)->instance, &instance[i], 16);
		memcpy(&offer, storvsp_device(s)->user_defined, sizeof(offer));
		assert_int_equal(offer.path_id, i / 2);
		assert_int_equal(offer.target_id, i % 2);
		assert_int_equal(offer.flags, VSTOR_OFFER_IDE);
		assert_int_equal(storvsp_attach(s, 1, &b->disk[0].disk), -EINVAL);
		assert_int_equal(storvsp_allow_sub_channels(s, 1), -EINVAL);
		storvsp_fini(s);
	}
	assert_int_equal(storvsp_init_ide(&s, STORVSP_IDE_MAX, NULL, NULL), -EINVAL);
}

/* Linux says path 0 and the target of the instance, others what they like for the path. */
static void an_ide_disk_has_one_unit_and_one_channel(void **state)
{
	struct bed *b = *state;
	struct vstor_packet p;
	struct storvsp *s;

	assert_int_equal(storvsp_init_ide(&s, 3, NULL, NULL), 0);
	bed_controller(b, s);
	bed_attach(b, 1, 0);
	bed_connect(b);
	assert_int_equal(bed_handshake(b, VSTOR_VERSION_WIN8).max_channel_cnt, 0);
	write_and_read(b, &b->ch[0], 1, 0, 7);
	p = bed_unit_ready(1, 0);
	p.srb.path_id = 1;
	assert_int_equal(bed_operate(b, &b->ch[0], VSTOR_EXECUTE_SRB, &p), NT_SUCCESS);
	assert_int_equal(bed_command(b, &b->ch[0], 0, 0).srb.srb_status,
			 SRB_INVALID_TARGET_ID | SRB_AUTOSENSE_VALID);
	assert_int_equal(bed_command(b, &b->ch[0], 1, 1).srb.srb_status,
			 SRB_INVALID_LUN | SRB_AUTOSENSE_VALID);
	p = (struct vstor_packet){ 0 };
	assert_int_equal(bed_operate(b, &b->ch[0], VSTOR_FCHBA_DATA, &p),
			 NT_INVALID_DEVICE_REQUEST);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, bed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_channel_carries_requests),
		TEST(the_offers_follow_the_answer),
		TEST(what_only_the_primary_channel_takes),
		TEST(sub_channels_may_come_before_the_end_of_the_handshake),
		TEST(sub_channels_end_with_the_primary_one),
		TEST(memory_is_given_back_on_close),
		TEST(versions_differ_in_size_and_channels),
		TEST(rescans_are_told_as_the_version_has_it),
		TEST(no_rescan_is_told_before_the_end_of_the_handshake),
		TEST(a_rescan_waits_for_room),
		TEST(disks_lie_on_two_targets),
		TEST(an_ide_disk_is_found_by_its_instance),
		TEST(an_ide_disk_has_one_unit_and_one_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
