/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A controller with several channels saved and restored: each carries on, none contradicts another.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/devices/storvsp_bed.h"
#include "vmbus/save.h"

static int setup(void **state)
{
	struct bed *b = bed_new(BED_SUBS);

	bed_attach(b, 0, 0);
	bed_connect(b);
	bed_handshake(b, VSTOR_VERSION_WIN8);
	*state = b;
	return 0;
}

/* The bus of a new host, with such a controller and a disk in the same place. */
static void host_new(struct bed *b, unsigned subs)
{
	struct storvsp *s;

	assert_int_equal(fg_new_host(&b->g), 0);
	assert_int_equal(storvsp_init(&s, 0, NULL, NULL), 0);
	assert_int_equal(storvsp_allow_sub_channels(s, subs), 0);
	bed_controller(b, s);
	bed_attach(b, 0, 0);
	assert_int_equal(vmbus_offer(b->g.bus, storvsp_device(b->s)), 0);
}

static struct stream_out save(struct bed *b)
{
	struct stream_out out = { 0 };

	assert_true(fg_freeze(&b->g));
	assert_int_equal(vmbus_save(b->g.bus, &out, NULL), 0);
	return out;
}

static void move(struct bed *b)
{
	struct stream_out out = save(b);

	host_new(b, BED_SUBS);
	assert_int_equal(vmbus_restore(b->g.bus, out.bytes, out.len), 0);
	stream_free(&out);
	fg_pump(&b->g);
}

static void expect_each_works(struct bed *b, unsigned channels)
{
	struct vstor_packet p;

	for (unsigned i = 0; i < channels; i++) {
		assert_int_equal(bed_read_write(b, &b->ch[i], i, SCSI_READ_10, 0, 0, i), 0);
		assert_true(bed_answer(b, &b->ch[i], &p) == i);
		assert_int_equal(p.status, NT_SUCCESS);
		assert_ptr_equal(b->s->channel[i].loop, &b->g.io[i % BED_LOOPS]);
	}
}

static void every_channel_carries_on(void **state)
{
	struct bed *b = *state;

	bed_open_subs(b, 2);
	move(b);
	assert_int_equal(b->s->version, VSTOR_VERSION_WIN8);
	expect_each_works(b, 3);
	/* And the guest may ask for more of them. */
	bed_open_subs(b, 0);
	expect_each_works(b, 3);
}

static void requests_of_all_are_drained_and_a_reset_ends(void **state)
{
	struct bed *b = *state;
	struct vstor_packet p = bed_unit_ready(0, 0);

	bed_open_subs(b, BED_SUBS);
	b->disk[0].hold = true;
	for (unsigned i = 0; i <= BED_SUBS; i++)
		assert_int_equal(bed_read_write(b, &b->ch[i], i, SCSI_READ_10, 0, 0, i), 0);
	fg_pump(&b->g);
	bed_send(b, &b->ch[2], 9, VSTOR_RESET_BUS, &p, sizeof(p));
	fg_pump(&b->g);
	assert_false(fg_freeze(&b->g));
	held_disk_release(&b->disk[0]);
	fg_pump(&b->g);
	assert_true(b->g.frozen);
	move(b);
	for (unsigned i = 0; i <= BED_SUBS; i++)
		assert_true(bed_answer(b, &b->ch[i], &p) == i);
	assert_true(bed_answer(b, &b->ch[2], &p) == 9);
	/* What the guest is to be told of the reset has come along. */
	p = bed_command(b, &b->ch[1], 0, 0);
	assert_int_equal(scsi_get16(p.srb.sense_data + 12), SCSI_ASC_RESET);
	expect_each_works(b, 1 + BED_SUBS);
}

static void what_the_guest_is_to_be_told_is_kept(void **state)
{
	struct bed *b = *state;
	struct stream_out out;
	struct fg_packet pkt;

	assert_true(fg_freeze(&b->g));
	bed_attach(b, 1, 1);
	bed_expect_none(b, &b->ch[0]);
	assert_true(b->s->rescan);
	out = save(b);
	host_new(b, BED_SUBS);
	bed_attach(b, 1, 1);
	assert_int_equal(vmbus_restore(b->g.bus, out.bytes, out.len), 0);
	stream_free(&out);
	fg_pump(&b->g);
	assert_int_equal(fg_recv(&b->ch[0], b->buf, sizeof(b->buf), &pkt), 1);
	assert_int_equal(pkt.type, VMBUS_PACKET_INBAND);
	bed_expect_none(b, &b->ch[0]);
}

static void save_and_plug(struct vmbus_channel *ch, struct stream_out *out)
{
	struct storvsp *s = channel_device(ch)->data;

	storvsp_save(ch, out);
	storvsp_rescan(s);
}

/* A disk that comes while the channels are written down, from another thread. */
static void plugged_while_it_is_saved(void **state)
{
	struct vmbus_device_ops ops = storvsp_scsi_ops;
	struct bed *b = *state;
	struct fg_packet pkt;

	bed_open_subs(b, 2);
	ops.save = save_and_plug;
	storvsp_device(b->s)->ops = &ops;
	move(b);
	assert_int_equal(fg_recv(&b->ch[0], b->buf, sizeof(b->buf), &pkt), 1);
	assert_int_equal(pkt.type, VMBUS_PACKET_INBAND);
	expect_each_works(b, 3);
}

/* The byte at `at` of sub-channel 1's part of the stream is another. */
static void expect_refused(struct bed *b, const struct stream_out *out, size_t at)
{
	u8 *bytes = malloc(out->len);
	struct stream_out s = { .bytes = bytes, .len = out->len };

	memcpy(bytes, out->bytes, out->len);
	bytes[at] ^= 1;
	stream_patch_u32(
		&s, VMBUS_STATE_CRC_AT,
		stream_crc32(bytes + VMBUS_STATE_CRC_FROM, out->len - VMBUS_STATE_CRC_FROM));
	assert_int_equal(vmbus_restore(b->g.bus, bytes, out->len), -EINVAL);
	for (unsigned i = 0; i <= BED_SUBS; i++)
		assert_null(b->s->channel[i].loop);
	free(bytes);
	host_new(b, BED_SUBS);
}

/* The controller's part is the same with each of its channels: u32, u8, u16; u8 may differ. */
static void channels_that_contradict_each_other_are_refused(void **state)
{
	struct bed *b = *state;
	struct stream_out out;
	size_t own;

	bed_open_subs(b, 1);
	out = save(b);
	host_new(b, BED_SUBS);
	/* The last channel's, before an empty list of answers and the end of the stream. */
	own = out.len - 12 - 4 - 8;
	assert_int_equal(out.bytes[own], 2);
	assert_int_equal(out.bytes[own + 4], STORVSP_READY);
	assert_int_equal(out.bytes[own + 5], VSTOR_VERSION_WIN8 & 0xff);
	for (size_t at = own; at < own + 7; at++)
		expect_refused(b, &out, at);
	assert_int_equal(vmbus_restore(b->g.bus, out.bytes, out.len), 0);
	expect_each_works(b, 2);
	stream_free(&out);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, bed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_channel_carries_on),
		TEST(requests_of_all_are_drained_and_a_reset_ends),
		TEST(what_the_guest_is_to_be_told_is_kept),
		TEST(plugged_while_it_is_saved),
		TEST(channels_that_contradict_each_other_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
