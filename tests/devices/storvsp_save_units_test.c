/* SPDX-License-Identifier: BSD-2-Clause */
/* What a controller's units have of their own comes along where it is saved, or nothing does. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/devices/storvsp_bed.h"
#include "tests/still_clock.h"
#include "vmbus/save.h"
#include "vmbus/server.h"

#define SUBS 1u
#define WCE 0x04

/* Disks 0 and 1 of the bed are there. */
static const unsigned places[] = { STORVSP_UNIT(0, 0), STORVSP_UNIT(1, 5) };

static int setup(void **state)
{
	struct bed *b = bed_new(SUBS);

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
		bed_attach(b, i, places[i]);
	bed_connect(b);
	bed_handshake(b, VSTOR_VERSION_WIN10);
	bed_open_subs(b, SUBS);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	bed_free(*state);
	return 0;
}

/* A controller as the first one, without disks, on the bus of a new host. */
static void host_new(struct bed *b)
{
	struct storvsp *s;

	assert_int_equal(fg_new_host(&b->g), 0);
	assert_int_equal(storvsp_init(&s, 0, NULL, NULL), 0);
	assert_int_equal(storvsp_allow_sub_channels(s, SUBS), 0);
	bed_controller(b, s);
	assert_int_equal(vmbus_offer(b->g.bus, storvsp_device(b->s)), 0);
}

static void host_with_disks(struct bed *b)
{
	host_new(b);
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
		bed_attach(b, i, places[i]);
}

static struct stream_out save(struct bed *b)
{
	struct stream_out out = { 0 };

	assert_true(fg_freeze(&b->g));
	assert_int_equal(vmbus_save(b->g.bus, &out, NULL), 0);
	return out;
}

/* What the host would save that has taken something in, and run nothing yet. */
static struct stream_out save_again(struct bed *b)
{
	struct stream_out out = { 0 };

	b->g.bus->frozen = true;
	assert_int_equal(vmbus_save(b->g.bus, &out, NULL), 0);
	b->g.bus->frozen = false;
	return out;
}

static int restore(struct bed *b, const struct stream_out *out)
{
	return vmbus_restore(b->g.bus, out->bytes, out->len);
}

static void move(struct bed *b)
{
	struct stream_out out = save(b), again;

	host_with_disks(b);
	assert_int_equal(restore(b, &out), 0);
	again = save_again(b);
	assert_int_equal(again.len, out.len);
	assert_memory_equal(again.bytes, out.bytes, out.len);
	stream_free(&again);
	stream_free(&out);
	fg_pump(&b->g);
}

/* A command of 10 bytes at (target, lun) with len bytes of ch's page: the answer. */
static struct vstor_packet command(struct bed *b, struct fg_channel *ch, unsigned unit,
				   const u8 cdb[10], u32 len)
{
	u64 pfn = b->data / GUEST_PAGE_SIZE + (u64)(ch - b->ch);
	struct vstor_packet p = bed_unit_ready((u8)(unit / STORVSP_LUNS), unit % STORVSP_LUNS);

	p.srb.cdb_length = 10;
	p.srb.data_transfer_length = len;
	memcpy(p.srb.cdb, cdb, 10);
	assert_int_equal(fg_send_pfns(ch, 77, 0, len, &pfn, &p, sizeof(p)), 0);
	assert_true(bed_answer(b, ch, &p) == 77);
	return p;
}

static u16 asc(const struct vstor_packet *p)
{
	return scsi_get16(p->srb.sense_data + 12);
}

static void write_cache_off(struct bed *b, unsigned unit)
{
	const u8 list[28] = { [8] = SCSI_MODE_CACHING, 0x12 };
	const u8 cdb[10] = { SCSI_MODE_SELECT_10, 0x10, [8] = sizeof(list) };
	struct vstor_packet p;

	memcpy(bed_data(b, &b->ch[0]), list, sizeof(list));
	p = command(b, &b->ch[0], unit, cdb, sizeof(list));
	assert_int_equal(p.status, NT_SUCCESS);
}

/* Whether a plain write to disk d is put through. */
static bool writes_through(struct bed *b, struct fg_channel *ch, unsigned d)
{
	struct vstor_packet p;
	bool fua;

	b->disk[d].hold = true;
	assert_int_equal(bed_read_write(b, ch, 5, SCSI_WRITE_10, (u8)(places[d] / STORVSP_LUNS),
					places[d] % STORVSP_LUNS, 3),
			 0);
	fg_pump(&b->g);
	assert_int_equal(b->disk[d].count, 1);
	fua = b->disk[d].op[0]->fua;
	held_disk_release(&b->disk[d]);
	assert_true(bed_answer(b, ch, &p) == 5);
	assert_int_equal(p.status, NT_SUCCESS);
	return fua;
}

static void each_unit_has_its_own(void **state)
{
	struct bed *b = *state;
	struct vstor_packet p;

	write_cache_off(b, places[1]);
	scsi_unit_attention(scsi_target_unit(&b->s->target[0].scsi, 0), SCSI_ASC_CAPACITY_CHANGED);
	move(b);
	p = bed_command(b, &b->ch[1], 0, 0);
	assert_int_equal(asc(&p), SCSI_ASC_CAPACITY_CHANGED);
	p = bed_command(b, &b->ch[1], 0, 0);
	assert_int_equal(p.status, NT_SUCCESS);
	assert_true(writes_through(b, &b->ch[1], 1));
	assert_false(writes_through(b, &b->ch[0], 0));
	move(b);
	assert_true(writes_through(b, &b->ch[0], 1));
}

/* The guest's registration, of which its cluster knows. */
static void a_registration_comes_along(void **state)
{
	const u8 out[10] = { SCSI_PERSISTENT_RESERVE_OUT, SCSI_PR_REGISTER, [8] = 24 };
	const u8 in[10] = { SCSI_PERSISTENT_RESERVE_IN, SCSI_PR_READ_KEYS, [8] = 24 };
	struct bed *b = *state;
	u8 *data = bed_data(b, &b->ch[0]);
	struct vstor_packet p;

	memset(data, 0, 24);
	scsi_put64(data + 8, 0xabcdef);
	p = command(b, &b->ch[0], places[0], out, 24);
	assert_int_equal(p.status, NT_SUCCESS);
	move(b);
	p = command(b, &b->ch[0], places[0], in, 24);
	assert_int_equal(p.status, NT_SUCCESS);
	assert_int_equal(scsi_get32(data), 1);
	assert_int_equal(scsi_get32(data + 4), 8);
	assert_true(scsi_get64(data + 8) == 0xabcdef);
}

/* Between two kernels of a guest, or two drivers: no channel is open. */
static void without_a_channel_it_is_saved_all_the_same(void **state)
{
	struct bed *b = *state;

	write_cache_off(b, places[0]);
	assert_int_equal(fg_close(&b->ch[1]), 0);
	assert_int_equal(fg_close(&b->ch[0]), 0);
	move(b);
	fg_open(&b->g, &b->ch[0], fg_offer_find(&b->g, &storvsp_device(b->s)->ops->type, 0), NULL);
	bed_handshake(b, VSTOR_VERSION_WIN10);
	assert_true(writes_through(b, &b->ch[0], 0));
}

/* Neither bus nor units have anything of what was refused. */
static void expect_refused(struct bed *b, const struct stream_out *out, int err)
{
	struct stream_out before = save_again(b), after;
	struct vmbus_status status;

	assert_int_equal(restore(b, out), err);
	after = save_again(b);
	assert_int_equal(after.len, before.len);
	assert_memory_equal(after.bytes, before.bytes, before.len);
	vmbus_status(b->g.bus, &status);
	assert_int_equal(status.version, 0);
	stream_free(&before);
	stream_free(&after);
}

static void a_unit_that_is_not_there(void **state)
{
	struct bed *b = *state;
	struct stream_out out;

	write_cache_off(b, places[0]);
	write_cache_off(b, places[1]);
	out = save(b);
	host_new(b);
	bed_attach(b, 0, places[0]);
	expect_refused(b, &out, -ENODEV);
	/* In another place; smaller; a drive. */
	bed_attach(b, 1, places[1] + 1);
	expect_refused(b, &out, -ENODEV);
	assert_int_equal(storvsp_detach(b->s, places[1] + 1), 0);
	bed_attach(b, 1, places[1]);
	assert_int_equal(storvsp_resize(b->s, places[1], BED_DISK_SIZE / 2), 0);
	expect_refused(b, &out, -ENODEV);
	assert_int_equal(storvsp_detach(b->s, places[1]), 0);
	assert_int_equal(storvsp_attach_dvd(b->s, places[1], NULL), 0);
	expect_refused(b, &out, -ENODEV);
	assert_int_equal(storvsp_detach(b->s, places[1]), 0);
	bed_attach(b, 1, places[1]);
	assert_int_equal(restore(b, &out), 0);
	stream_free(&out);
	fg_pump(&b->g);
	assert_true(writes_through(b, &b->ch[0], 0));
	assert_true(writes_through(b, &b->ch[1], 1));
}

static void a_unit_that_was_not_there(void **state)
{
	struct bed *b = *state;
	struct stream_out out = save(b);
	struct vstor_packet p;
	struct fg_packet pkt;

	host_with_disks(b);
	bed_attach(b, 2, 3);
	assert_int_equal(restore(b, &out), 0);
	stream_free(&out);
	fg_pump(&b->g);
	assert_int_equal(fg_recv(&b->ch[0], b->buf, sizeof(b->buf), &pkt), 1);
	assert_int_equal(pkt.type, VMBUS_PACKET_INBAND);
	p = bed_command(b, &b->ch[0], 0, 0);
	assert_int_equal(asc(&p), SCSI_ASC_REPORTED_LUNS_CHANGED);
}

/* ---- Streams nobody wrote -------------------------------------------------------------------- */

static void seal(struct stream_out *out)
{
	stream_patch_u64(out, VMBUS_STATE_CRC_FROM, out->len - VMBUS_STATE_HEADER);
	stream_patch_u32(
		out, VMBUS_STATE_CRC_AT,
		stream_crc32(out->bytes + VMBUS_STATE_CRC_FROM, out->len - VMBUS_STATE_CRC_FROM));
}

/* Where the controller's part begins, and its bytes. */
static size_t part_at(const struct stream_out *out, u32 *len)
{
	struct stream_in in = { .at = out->bytes + VMBUS_STATE_HEADER,
				.left = out->len - VMBUS_STATE_HEADER };
	struct stream_in devices, part;

	for (u32 type = VMBUS_SECTION_BUS; type < VMBUS_SECTION_DEVICES; type++)
		stream_get_section(&in, type);
	devices = stream_get_section(&in, VMBUS_SECTION_DEVICES);
	devices.at += 4 + 16 + 16 + 2 + 6 * (1 + SUBS);
	devices.left -= 4 + 16 + 16 + 2 + 6 * (1 + SUBS);
	part = stream_get_section(&devices, VMBUS_SECTION_DEVICE);
	assert_false(part.bad);
	*len = (u32)part.left;
	return (size_t)(part.at - out->bytes);
}

static void cut_short_anywhere_it_is_refused(void **state)
{
	struct bed *b = *state;
	struct stream_out out;
	size_t all;

	write_cache_off(b, places[0]);
	out = save(b);
	host_with_disks(b);
	all = out.len;
	while (out.len--) {
		u8 *copy = malloc(out.len + 1);

		memcpy(copy, out.bytes, out.len);
		assert_int_equal(vmbus_restore(b->g.bus, copy, out.len), -EINVAL);
		if (out.len >= VMBUS_STATE_HEADER) {
			struct stream_out cut = { .bytes = copy, .len = out.len };

			seal(&cut);
			expect_refused(b, &cut, -EINVAL);
		}
		free(copy);
	}
	out.len = all;
	assert_int_equal(restore(b, &out), 0);
	stream_free(&out);
}

/*
 * Every bit of the controller's part: refused, with nothing changed, or what is saved again is
 * that.
 */
static void altered_it_is_refused_or_just_that(void **state)
{
	struct bed *b = *state;
	struct stream_out out, again;
	unsigned taken = 0;
	size_t at;
	u32 len;

	write_cache_off(b, places[0]);
	out = save(b);
	at = part_at(&out, &len);
	assert_int_equal(len, 8 + 2 * (4 + 127));
	host_with_disks(b);
	for (u32 bit = 0; bit < 8 * len; bit++) {
		u8 *byte = &out.bytes[at + bit / 8], mask = (u8)(1 << bit % 8);

		*byte ^= mask;
		seal(&out);
		if (restore(b, &out)) {
			int err = restore(b, &out);

			assert_true(err == -EINVAL || err == -ENODEV);
			expect_refused(b, &out, err);
		} else {
			again = save_again(b);
			assert_int_equal(again.len, out.len);
			assert_memory_equal(again.bytes, out.bytes, out.len);
			stream_free(&again);
			host_with_disks(b);
			taken++;
		}
		*byte ^= mask;
	}
	/*
	 * None of what names the units and what is in them (4 + 47 bytes each), nor version and
	 * count.
	 */
	assert_in_range(taken, 800, 8 * (len - 8 - 2 * 51));
	stream_free(&out);
}

/* Units are taken in once all else was. */
static void what_is_wrong_behind_them_leaves_them_alone(void **state)
{
	struct bed *b = *state;
	struct stream_out out;

	write_cache_off(b, places[0]);
	out = save(b);
	host_with_disks(b);
	/* A teardown more than there are. */
	out.bytes[out.len - 4] = 1;
	seal(&out);
	expect_refused(b, &out, -EINVAL);
	stream_free(&out);
}

/* ---- Disks that do not answer ---------------------------------------------------------------- */

static void given_up_a_silent_disk_harms_no_other(void **state)
{
	struct bed *b = *state;
	struct vstor_packet p;

	b->disk[0].hold = true;
	assert_int_equal(bed_read_write(b, &b->ch[0], 1, SCSI_READ_10, 0, 0, 0), 0);
	fg_pump(&b->g);
	assert_false(fg_freeze(&b->g));
	assert_ptr_equal(vmbus_freeze_awaits(b->g.bus), storvsp_device(b->s));
	fg_thaw(&b->g);
	assert_null(vmbus_freeze_awaits(b->g.bus));
	/* The other disk, on the channel that waited and on the one that stood. */
	for (unsigned i = 0; i <= SUBS; i++) {
		p = bed_command(b, &b->ch[i], 1, 5);
		assert_int_equal(p.status, NT_SUCCESS);
	}
	held_disk_release(&b->disk[0]);
	assert_true(bed_answer(b, &b->ch[0], &p) == 1);
	assert_false(b->g.frozen);
	assert_int_equal(fg_count(&b->g, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE), 0);
	move(b);
	p = bed_command(b, &b->ch[0], 0, 0);
	assert_int_equal(p.status, NT_SUCCESS);
}

/* Those that wait for a limit are requests like others: they end at its rate. */
static void a_limit_is_waited_for(void **state)
{
	struct bed *b = *state;
	struct vstor_packet p;
	struct disk *disk;

	assert_int_equal(
		disk_limit_open(&disk, disk_mem_open(BED_DISK_SIZE, BED_BLOCK), 100, 0, 10), 0);
	assert_int_equal(storvsp_attach(b->s, 9, disk), 0);
	bed_command(b, &b->ch[1], 0, 9); /* that units changed */
	for (u64 id = 0; id < 5; id++)
		assert_int_equal(bed_read_write(b, &b->ch[1], id, SCSI_READ_10, 0, 9, 0), 0);
	fg_pump(&b->g);
	assert_false(fg_freeze(&b->g));
	while (!b->g.frozen) {
		still_clock_pass(NSEC_PER_MSEC);
		fg_pump(&b->g);
	}
	for (u64 id = 0; id < 5; id++) {
		assert_true(bed_answer(b, &b->ch[1], &p) == id);
		assert_int_equal(p.status, NT_SUCCESS);
	}
}

static int setup_still(void **state)
{
	int err = setup(state);

	still_clock_begin();
	return err;
}

static int teardown_still(void **state)
{
	still_clock_end();
	return teardown(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define LIMIT(f) cmocka_unit_test_setup_teardown(f, setup_still, teardown_still)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_unit_has_its_own),
		TEST(a_registration_comes_along),
		TEST(without_a_channel_it_is_saved_all_the_same),
		TEST(a_unit_that_is_not_there),
		TEST(a_unit_that_was_not_there),
		TEST(cut_short_anywhere_it_is_refused),
		TEST(altered_it_is_refused_or_just_that),
		TEST(what_is_wrong_behind_them_leaves_them_alone),
		TEST(given_up_a_silent_disk_harms_no_other),
		LIMIT(a_limit_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
