/* SPDX-License-Identifier: BSD-2-Clause */
/* storvsp through real rings, driven by a guest that plays storvsc: well, and badly. */
#include "devices/storvsp.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/devices/held_disk.h"
#include "tests/fakeguest/fakeguest.h"

#define BLOCK 512u
#define DISK_SIZE MiB(8)
#define INIT_ID 0xfffffffffffffffdull

struct rig {
	struct fakeguest g;
	struct fg_channel ch;
	struct uring uring;
	struct storvsp *s;
	struct held_disk slow;
	gpa_t data; /* SCSI_TRANSFER_MAX + 2 pages of guest memory */
	u64 random;
	u8 buf[8192];
};

static struct uring *rig_uring(void *ctx, struct loop *loop)
{
	struct rig *r = ctx;

	assert_ptr_equal(loop, &r->g.io[0]);
	return &r->uring;
}

static void rig_open(struct rig *r)
{
	const struct fg_offer *offer;

	assert_int_equal(fg_connect(&r->g, 0x00050003), 0);
	assert_int_equal(fg_request_offers(&r->g), 0);
	offer = fg_offer_instance(&r->g, &storvsp_device(r->s)->instance);
	assert_non_null(offer);
	assert_int_equal(fg_open(&r->g, &r->ch, offer, NULL), 0);
}

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->random = 0x2545f4914f6cdd1dull;
	assert_int_equal(fg_init(&r->g, NULL), 0);
	assert_int_equal(uring_init(&r->uring, &r->g.io[0], 64), 0);
	assert_int_equal(storvsp_init(&r->s, 0, rig_uring, r), 0);
	held_disk_open(&r->slow, DISK_SIZE, BLOCK);
	assert_int_equal(storvsp_attach(r->s, 0, &r->slow.disk), 0);
	assert_int_equal(storvsp_attach(r->s, 0, &r->slow.disk), -EEXIST);
	assert_int_equal(storvsp_attach(r->s, STORVSP_UNITS, &r->slow.disk), -EINVAL);
	assert_int_equal(vmbus_offer(r->g.bus, storvsp_device(r->s)), 0);
	r->data = fg_alloc(&r->g, (u32)(SCSI_TRANSFER_MAX / 4096 + 2));
	assert_true(r->data);
	rig_open(r);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	uring_fini(&r->uring);
	fg_fini(&r->g);
	storvsp_fini(r->s);
	free(r);
	return 0;
}

/* ---- packets ---- */

/* Takes the answer to transaction id out of the ring: its size in bytes, 0 where there is none. */
static u32 answer_take(struct rig *r, u64 id, struct vstor_packet *packet)
{
	struct fg_packet pkt;

	fg_pump(&r->g);
	if (fg_recv(&r->ch, r->buf, sizeof(r->buf), &pkt) != 1)
		return 0;
	assert_int_equal(pkt.type, VMBUS_PACKET_COMPLETION);
	assert_true(pkt.transaction_id == id);
	assert_true(pkt.payload_size <= sizeof(*packet));
	memset(packet, 0xee, sizeof(*packet));
	memcpy(packet, pkt.payload, pkt.payload_size);
	assert_int_equal(packet->operation, VSTOR_COMPLETE_IO);
	return pkt.payload_size;
}

/* One operation of `size` bytes; the status of its answer, which has the same size. */
static u32 operate(struct rig *r, u32 operation, struct vstor_packet *packet, u32 size)
{
	packet->operation = operation;
	packet->flags = 1;
	assert_int_equal(fg_send(&r->ch, INIT_ID, packet, size, true), 0);
	assert_int_equal(answer_take(r, INIT_ID, packet), ALIGN_UP(size, 8u));
	return packet->status;
}

static u32 operate_version(struct rig *r, u16 version, u32 size)
{
	struct vstor_packet p = { .version.major_minor = version };

	return operate(r, VSTOR_QUERY_PROTOCOL_VERSION, &p, size);
}

/* As storvsc_channel_init() does. */
static void handshake(struct rig *r, u16 version, u32 size)
{
	struct vstor_packet p = { 0 };

	assert_int_equal(operate(r, VSTOR_BEGIN_INITIALIZATION, &p, size), NT_SUCCESS);
	assert_int_equal(operate_version(r, version, size), NT_SUCCESS);
	p = (struct vstor_packet){ 0 };
	assert_int_equal(operate(r, VSTOR_QUERY_PROPERTIES, &p, size), NT_SUCCESS);
	assert_int_equal(p.properties.max_transfer_bytes, SCSI_TRANSFER_MAX);
	assert_int_equal(p.properties.max_channel_cnt, 0);
	assert_int_equal(p.properties.flags, 0);
	p = (struct vstor_packet){ 0 };
	assert_int_equal(operate(r, VSTOR_END_INITIALIZATION, &p, size), NT_SUCCESS);
}

static struct vstor_packet srb(u8 lun, const u8 *cdb, u32 cdb_len, u32 len)
{
	struct vstor_packet p = { .operation = VSTOR_EXECUTE_SRB, .flags = 1 };

	p.srb.length = sizeof(p.srb);
	p.srb.lun = lun;
	p.srb.cdb_length = (u8)cdb_len;
	p.srb.sense_info_length = VSTOR_SENSE_MAX;
	p.srb.data_transfer_length = len;
	memcpy(p.srb.cdb, cdb, MIN(cdb_len, (u32)VSTOR_CDB_MAX));
	return p;
}

/* Sends p with len bytes at r->data + offset as its buffer. */
static int srb_send(struct rig *r, u64 id, const struct vstor_packet *p, u32 offset, u32 len)
{
	u64 pfn[600];

	if (!len)
		return fg_send(&r->ch, id, p, sizeof(*p), true);
	for (u32 i = 0; i < (offset + len + 4095) / 4096; i++)
		pfn[i] = r->data / 4096 + i;
	return fg_send_pfns(&r->ch, id, offset, len, pfn, p, sizeof(*p));
}

static struct vstor_packet execute(struct rig *r, struct vstor_packet p, u32 offset, u32 len)
{
	assert_int_equal(srb_send(r, 7, &p, offset, len), 0);
	assert_int_equal(answer_take(r, 7, &p), sizeof(p));
	return p;
}

static struct vstor_packet read_write(u8 opcode, u32 lba, u16 blocks)
{
	u8 cdb[10] = { opcode };

	scsi_put32(cdb + 2, lba);
	scsi_put16(cdb + 7, blocks);
	return srb(0, cdb, sizeof(cdb), blocks * BLOCK);
}

static u8 *guest_data(struct rig *r)
{
	return fg_ptr(&r->g, r->data, SCSI_TRANSFER_MAX + 8192);
}

/* ---- setting up ---- */

static void every_known_version_is_taken(void **state)
{
	static const u16 versions[] = { VSTOR_VERSION_WIN6, VSTOR_VERSION_WIN7, VSTOR_VERSION_WIN8,
					VSTOR_VERSION_WIN8_1, VSTOR_VERSION_WIN10 };
	struct rig *r = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(versions); i++) {
		handshake(r, versions[i],
			  versions[i] < VSTOR_VERSION_WIN8 ? VSTOR_PACKET_WIN7
							   : sizeof(struct vstor_packet));
		assert_int_equal(r->s->version, versions[i]);
		assert_int_equal(fg_close(&r->ch), 0);
		rig_open(r);
	}
}

static void unknown_versions_are_refused_until_one_fits(void **state)
{
	struct rig *r = *state;
	struct vstor_packet p = { 0 };

	operate(r, VSTOR_BEGIN_INITIALIZATION, &p, sizeof(p));
	assert_int_equal(operate_version(r, 0x0700, sizeof(p)), NT_REVISION_MISMATCH);
	assert_int_equal(operate_version(r, 0, sizeof(p)), NT_REVISION_MISMATCH);
	assert_int_equal(operate_version(r, VSTOR_VERSION_WIN10, sizeof(p)), NT_SUCCESS);
	assert_int_equal(operate_version(r, VSTOR_VERSION_WIN10, sizeof(p)),
			 NT_INVALID_DEVICE_STATE);
}

static void operations_out_of_order_are_refused(void **state)
{
	struct rig *r = *state;
	struct vstor_packet p;

	for (u32 op = 0; op < 40; op++) {
		p = (struct vstor_packet){ 0 };
		if (op == VSTOR_BEGIN_INITIALIZATION)
			continue;
		assert_int_not_equal(operate(r, op, &p, sizeof(p)), NT_SUCCESS);
	}
	handshake(r, VSTOR_VERSION_WIN10, sizeof(p));
	p = (struct vstor_packet){ .sub_channel_count = 3 };
	assert_int_equal(operate(r, VSTOR_CREATE_SUB_CHANNELS, &p, sizeof(p)),
			 NT_INVALID_PARAMETER);
	p = (struct vstor_packet){ 0 };
	assert_int_equal(operate(r, VSTOR_FCHBA_DATA, &p, sizeof(p)), NT_INVALID_DEVICE_REQUEST);
	assert_int_equal(operate(r, VSTOR_RESET_BUS, &p, sizeof(p)), NT_SUCCESS);
	assert_int_equal(operate(r, VSTOR_RESET_LUN, &p, sizeof(p)), NT_SUCCESS);
	assert_int_equal(operate(r, VSTOR_RESET_ADAPTER, &p, sizeof(p)), NT_SUCCESS);
}

static void truncated_packets_get_a_status(void **state)
{
	struct rig *r = *state;
	struct vstor_packet p = { .operation = VSTOR_EXECUTE_SRB };

	handshake(r, VSTOR_VERSION_WIN10, sizeof(p));
	for (u32 size = 0; size < VSTOR_PACKET_WIN7; size += 8) {
		assert_int_equal(fg_send(&r->ch, 9, &p, size, true), 0);
		assert_int_equal(answer_take(r, 9, &p), MAX(size, 16u));
		assert_int_equal(p.status, NT_INVALID_PARAMETER);
		p = (struct vstor_packet){ .operation = VSTOR_EXECUTE_SRB };
	}
}

/* ---- requests ---- */

static void data_goes_out_and_comes_back(void **state)
{
	struct rig *r = *state;
	u32 len = (u32)SCSI_TRANSFER_MAX;
	struct vstor_packet p;
	u8 *data = guest_data(r);

	handshake(r, VSTOR_VERSION_WIN10, sizeof(p));
	for (u32 i = 0; i < len; i++)
		data[1024 + i] = (u8)(i * 7 + i / 4096);
	p = execute(r, read_write(SCSI_WRITE_10, 100, (u16)(len / BLOCK)), 1024, len);
	assert_int_equal(p.status, NT_SUCCESS);
	assert_int_equal(p.srb.srb_status, SRB_SUCCESS);
	assert_int_equal(p.srb.scsi_status, SCSI_GOOD);
	assert_int_equal(p.srb.data_transfer_length, len);
	memset(data, 0, len + 8192);
	p = execute(r, read_write(SCSI_READ_10, 100, (u16)(len / BLOCK)), 512, len);
	assert_int_equal(p.srb.srb_status, SRB_SUCCESS);
	for (u32 i = 0; i < len; i++)
		assert_int_equal(data[512 + i], (u8)(i * 7 + i / 4096));
	assert_int_equal(data[511], 0);
	assert_int_equal(data[512 + len], 0);
}

static void failures_carry_sense(void **state)
{
	struct rig *r = *state;
	struct vstor_packet p = read_write(SCSI_READ_10, (u32)(DISK_SIZE / BLOCK), 1);

	handshake(r, VSTOR_VERSION_WIN10, sizeof(p));
	p = execute(r, p, 0, BLOCK);
	assert_int_equal(p.srb.srb_status, SRB_INVALID_REQUEST | SRB_AUTOSENSE_VALID);
	assert_int_equal(p.srb.scsi_status, SCSI_CHECK_CONDITION);
	assert_int_equal(p.srb.sense_info_length, 18);
	assert_int_equal(p.srb.data_transfer_length, 0);
	assert_int_equal(p.srb.sense_data[0], 0x70);
	assert_int_equal(p.srb.sense_data[2], SCSI_ILLEGAL_REQUEST);
	assert_int_equal(p.srb.sense_data[12], 0x21);
	p = read_write(SCSI_READ_10, (u32)(DISK_SIZE / BLOCK), 1);
	p.srb.sense_info_length = 0;
	p = execute(r, p, 0, BLOCK);
	assert_int_equal(p.srb.srb_status, SRB_INVALID_REQUEST);
}

static void absent_units_do_not_hurt_present_ones(void **state)
{
	static const u8 ready[6] = { SCSI_TEST_UNIT_READY };
	static const u8 inquiry[6] = { SCSI_INQUIRY, 0, 0, 0, 36, 0 };
	static const u8 luns[12] = { SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0 };
	struct rig *r = *state;
	struct vstor_packet p;

	handshake(r, VSTOR_VERSION_WIN10, sizeof(p));
	p = execute(r, srb(5, ready, 6, 0), 0, 0);
	assert_int_equal(p.srb.srb_status, SRB_INVALID_LUN | SRB_AUTOSENSE_VALID);
	assert_int_equal(p.status, NT_DEVICE_DOES_NOT_EXIST);
	/* A second target of the path, empty; one too many; another path. */
	for (unsigned i = 0; i < 3; i++) {
		p = srb(0, ready, 6, 0);
		p.srb.path_id = i == 2;
		p.srb.target_id = (u8)(i < 2 ? i + 1 : 0);
		p = execute(r, p, 0, 0);
		assert_int_equal(p.srb.srb_status, (i ? SRB_INVALID_TARGET_ID : SRB_INVALID_LUN) |
							   SRB_AUTOSENSE_VALID);
		p = srb(0, luns, 12, 512);
		p.srb.path_id = 1;
		p = execute(r, p, 0, 512);
		assert_int_equal(p.srb.srb_status, SRB_SUCCESS);
		assert_int_equal(p.srb.data_transfer_length, 8);
	}
	p = execute(r, srb(200, inquiry, 6, 36), 0, 36);
	assert_int_equal(p.srb.srb_status, SRB_SUCCESS);
	assert_int_equal(guest_data(r)[0], 0x7f);
	p = execute(r, srb(0, ready, 6, 0), 0, 0);
	assert_int_equal(p.srb.srb_status, SRB_SUCCESS);
}

static void malformed_buffers_are_refused(void **state)
{
	struct rig *r = *state;
	struct fg_range two[2] = { { r->data, BLOCK }, { r->data + 4096, BLOCK } };
	struct vstor_packet p = read_write(SCSI_READ_10, 0, 1);
	u64 wild[2] = { ~0ull, 1ull << 52 };

	handshake(r, VSTOR_VERSION_WIN10, sizeof(p));
	/* The buffer is shorter than the SRB says. */
	p.srb.data_transfer_length = 2 * BLOCK;
	p = execute(r, p, 0, BLOCK);
	assert_int_equal(p.status, NT_INVALID_PARAMETER);
	assert_int_equal(p.srb.srb_status, SRB_INVALID_REQUEST);
	/* There is none at all. */
	p = execute(r, read_write(SCSI_READ_10, 0, 1), 0, 0);
	assert_int_equal(p.status, NT_INVALID_PARAMETER);
	/* More than the largest transfer. */
	p = execute(r, read_write(SCSI_READ_10, 0, 1), 0, 300 * 4096);
	assert_int_equal(p.srb.srb_status, SRB_SUCCESS);
	/* Two ranges. */
	p = read_write(SCSI_READ_10, 0, 1);
	assert_int_equal(fg_send_gpa_direct(&r->ch, 7, two, 2, &p, sizeof(p)), 0);
	assert_int_equal(answer_take(r, 7, &p), sizeof(p));
	assert_int_equal(p.status, NT_INVALID_PARAMETER);
	/* Pages that are not RAM. */
	for (unsigned i = 0; i < 2; i++) {
		p = read_write(SCSI_READ_10, 0, 1);
		assert_int_equal(fg_send_pfns(&r->ch, 7, 0, BLOCK, &wild[i], &p, sizeof(p)), 0);
		assert_int_equal(answer_take(r, 7, &p), sizeof(p));
		assert_int_equal(p.status, NT_INVALID_PARAMETER);
	}
	/* A command of no or too many bytes. */
	for (unsigned i = 0; i < 256; i = i ? i * 2 + 1 : 17) {
		p = read_write(SCSI_READ_10, 0, 1);
		p.srb.cdb_length = (u8)i;
		p = execute(r, p, 0, BLOCK);
		assert_int_equal(p.status, NT_INVALID_PARAMETER);
	}
	p = execute(r, read_write(SCSI_READ_10, 0, 1), 0, BLOCK);
	assert_int_equal(p.status, NT_SUCCESS);
}

/* ---- pressure ---- */

static void requests_beyond_the_slots_wait_and_all_are_answered(void **state)
{
	struct rig *r = *state;
	struct vstor_packet p = read_write(SCSI_WRITE_10, 0, 1);
	unsigned sent = 0, answered = 0;
	struct fg_packet pkt;

	handshake(r, VSTOR_VERSION_WIN10, sizeof(p));
	r->slow.hold = true;
	while (sent < 3 * STORVSP_REQUESTS) {
		if (srb_send(r, 100 + sent, &p, 0, BLOCK)) {
			fg_pump(&r->g);
			if (srb_send(r, 100 + sent, &p, 0, BLOCK))
				break;
		}
		sent++;
	}
	fg_pump(&r->g);
	assert_int_equal(r->slow.count, STORVSP_REQUESTS);
	assert_true(sent > STORVSP_REQUESTS);
	held_disk_release(&r->slow);
	/* The in ring is too small for all answers: those wait for room. */
	for (unsigned rounds = 0; answered < sent && rounds < 10000; rounds++) {
		fg_pump(&r->g);
		while (fg_recv(&r->ch, r->buf, sizeof(r->buf), &pkt) == 1) {
			assert_true(pkt.transaction_id >= 100 && pkt.transaction_id < 100 + sent);
			answered++;
		}
	}
	assert_int_equal(answered, sent);
	assert_int_equal(r->s->channel->in_flight, 0);
}

static void answers_wait_for_room(void **state)
{
	struct rig *r = *state;
	static const u8 ready[6] = { SCSI_TEST_UNIT_READY };
	struct vstor_packet p = srb(0, ready, 6, 0);
	struct fg_open_params small = { .out_pages = 17, .in_pages = 2 };
	struct fg_packet pkt;
	unsigned answered = 0, sent = 0;

	assert_int_equal(fg_close(&r->ch), 0);
	assert_int_equal(fg_open(&r->g, &r->ch,
				 fg_offer_instance(&r->g, &storvsp_device(r->s)->instance), &small),
			 0);
	handshake(r, VSTOR_VERSION_WIN10, sizeof(p));
	while (!srb_send(r, 1 + sent, &p, 0, 0))
		sent++;
	fg_pump(&r->g);
	assert_non_null(r->s->channel->unsent);
	while (answered < sent) {
		assert_int_equal(fg_recv(&r->ch, r->buf, sizeof(r->buf), &pkt), 1);
		assert_true(pkt.transaction_id == ++answered);
		fg_pump(&r->g);
	}
	assert_null(r->s->channel->unsent);
	assert_int_equal(r->s->channel->in_flight, 0);
}

static void the_loop_is_shared(void **state)
{
	struct rig *r = *state;
	static const u8 ready[6] = { SCSI_TEST_UNIT_READY };
	struct vstor_packet p = srb(0, ready, 6, 0);
	struct fg_packet pkt;
	unsigned answered = 0, sent = 0;

	handshake(r, VSTOR_VERSION_WIN10, sizeof(p));
	while (sent < 2 * STORVSP_BATCH && !srb_send(r, 1 + sent, &p, 0, 0))
		sent++;
	assert_int_equal(sent, 2 * STORVSP_BATCH);
	loop_turn(&r->g.io[0], 0);
	while (fg_recv(&r->ch, r->buf, sizeof(r->buf), &pkt) == 1)
		answered++;
	assert_int_equal(answered, STORVSP_BATCH);
	fg_pump(&r->g);
	while (fg_recv(&r->ch, r->buf, sizeof(r->buf), &pkt) == 1)
		answered++;
	assert_int_equal(answered, sent);
}

static void closing_waits_for_what_is_under_way(void **state)
{
	struct rig *r = *state;
	struct vstor_packet p = read_write(SCSI_READ_10, 0, 8);

	handshake(r, VSTOR_VERSION_WIN10, sizeof(p));
	r->slow.hold = true;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(srb_send(r, 1 + i, &p, 0, 8 * BLOCK), 0);
	fg_pump(&r->g);
	assert_int_equal(fg_close(&r->ch), -ETIMEDOUT);
	assert_int_equal(r->slow.count, 10);
	held_disk_release(&r->slow);
	fg_pump(&r->g);
	assert_int_equal(r->s->channel->in_flight, 0);
	rig_open(r);
	handshake(r, VSTOR_VERSION_WIN10, sizeof(p));
	p = execute(r, read_write(SCSI_READ_10, 0, 8), 0, 8 * BLOCK);
	assert_int_equal(p.status, NT_SUCCESS);
}

static void the_bus_goes_with_requests_under_way(void **state)
{
	struct rig *r = *state;
	struct vstor_packet p = read_write(SCSI_READ_10, 0, 8);

	handshake(r, VSTOR_VERSION_WIN10, sizeof(p));
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(srb_send(r, 1 + i, &p, 0, 8 * BLOCK), 0);
	loop_turn(&r->g.io[0], 0);
}

/* ---- anything ---- */

static u32 rig_random(struct rig *r, u32 below)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return (u32)((r->random >> 20) % below);
}

/* A valid packet with a few bytes changed. */
static void mutated_send(struct rig *r)
{
	static const u8 opcodes[] = { SCSI_READ_10,       SCSI_WRITE_10, SCSI_UNMAP,
				      SCSI_WRITE_SAME_16, SCSI_INQUIRY,  SCSI_REPORT_LUNS,
				      SCSI_MODE_SENSE_6 };
	struct vstor_packet p = read_write(opcodes[rig_random(r, ARRAY_SIZE(opcodes))],
					   rig_random(r, 64), (u16)rig_random(r, 64));
	u32 len = rig_random(r, 40000), offset = rig_random(r, 4096);

	for (u32 n = rig_random(r, 4); n; n--)
		((u8 *)&p)[rig_random(r, sizeof(p))] = (u8)rig_random(r, 256);
	if (rig_random(r, 2))
		p.srb.data_transfer_length = rig_random(r, len + 1);
	if (rig_random(r, 10))
		srb_send(r, rig_random(r, 1000), &p, offset, len);
	else
		fg_send(&r->ch, 1, memcpy(r->buf, &p, sizeof(p)), 8 * rig_random(r, 40),
			rig_random(r, 2));
}

static void mutated_packets_hurt_nobody(void **state)
{
	struct rig *r = *state;
	struct fg_packet pkt;

	handshake(r, VSTOR_VERSION_WIN10, sizeof(struct vstor_packet));
	for (unsigned n = 0; n < 30000; n++) {
		mutated_send(r);
		if (n % 8)
			continue;
		fg_pump(&r->g);
		while (fg_recv(&r->ch, r->buf, sizeof(r->buf), &pkt) == 1)
			;
	}
	do
		fg_pump(&r->g);
	while (fg_recv(&r->ch, r->buf, sizeof(r->buf), &pkt) == 1);
	assert_int_equal(r->s->channel->in_flight, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_known_version_is_taken),
		TEST(unknown_versions_are_refused_until_one_fits),
		TEST(operations_out_of_order_are_refused),
		TEST(truncated_packets_get_a_status),
		TEST(data_goes_out_and_comes_back),
		TEST(failures_carry_sense),
		TEST(absent_units_do_not_hurt_present_ones),
		TEST(malformed_buffers_are_refused),
		TEST(requests_beyond_the_slots_wait_and_all_are_answered),
		TEST(answers_wait_for_room),
		TEST(the_loop_is_shared),
		TEST(closing_waits_for_what_is_under_way),
		TEST(the_bus_goes_with_requests_under_way),
		TEST(mutated_packets_hurt_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
