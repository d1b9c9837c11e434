/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "tests/devices/storvsp_bed.h"

#define INIT_ID 0xfffffffffffffffdull

/* ---- Disks ----------------------------------------------------------------------------------- */

void bed_attach(struct bed *b, unsigned d, unsigned unit)
{
	held_disk_open(&b->disk[d], BED_DISK_SIZE, BED_BLOCK);
	assert_int_equal(storvsp_attach(b->s, unit, &b->disk[d].disk), 0);
}

/* ---- The host -------------------------------------------------------------------------------- */

static struct uring *bed_uring(void *ctx, struct loop *loop)
{
	struct bed *b = ctx;

	for (unsigned i = 0; i < BED_LOOPS; i++)
		if (loop == &b->g.io[i])
			return &b->uring[i];
	return NULL;
}

void bed_controller(struct bed *b, struct storvsp *s)
{
	storvsp_fini(b->s);
	s->uring = bed_uring;
	s->uring_ctx = b;
	b->s = s;
}

struct bed *bed_new(unsigned sub_channels)
{
	const struct fg_config config = { .memory = MiB(32), .io_count = BED_LOOPS, .vp_count = 8 };
	struct bed *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	assert_int_equal(fg_init(&b->g, &config), 0);
	for (unsigned i = 0; i < BED_LOOPS; i++)
		assert_int_equal(uring_init(&b->uring[i], &b->g.io[i], 64), 0);
	assert_int_equal(storvsp_init(&b->s, 0, bed_uring, b), 0);
	assert_int_equal(storvsp_allow_sub_channels(b->s, sub_channels), 0);
	b->data = fg_alloc(&b->g, 1 + BED_SUBS);
	assert_true(b->data);
	return b;
}

void bed_free(struct bed *b)
{
	fg_stop_io(&b->g);
	for (unsigned i = 0; i < BED_DISKS; i++)
		held_disk_release(&b->disk[i]);
	for (unsigned i = 0; i < BED_LOOPS; i++)
		uring_fini(&b->uring[i]);
	fg_fini(&b->g);
	storvsp_fini(b->s);
	free(b);
}

/* ---- The guest ------------------------------------------------------------------------------- */

u32 bed_packet_size(u16 version)
{
	return version < VSTOR_VERSION_WIN8 ? VSTOR_PACKET_WIN7 : sizeof(struct vstor_packet);
}

static struct fg_channel *bed_open(struct bed *b, unsigned index)
{
	const struct fg_open_params params = { .target_vp = index };
	const struct fg_offer *offer =
		fg_offer_find(&b->g, &storvsp_device(b->s)->ops->type, (u16)index);

	assert_non_null(offer);
	assert_int_equal(fg_open(&b->g, &b->ch[index], offer, &params), 0);
	return &b->ch[index];
}

void bed_connect(struct bed *b)
{
	assert_int_equal(vmbus_offer(b->g.bus, storvsp_device(b->s)), 0);
	assert_int_equal(fg_connect(&b->g, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(fg_request_offers(&b->g), 0);
	bed_open(b, 0);
}

void bed_send(struct bed *b, struct fg_channel *ch, u64 id, u32 operation,
	      const struct vstor_packet *p, u32 size)
{
	struct vstor_packet packet = *p;

	(void)b;
	packet.operation = operation;
	packet.flags = 1;
	assert_int_equal(fg_send(ch, id, &packet, size, true), 0);
}

u64 bed_answer(struct bed *b, struct fg_channel *ch, struct vstor_packet *p)
{
	struct fg_packet pkt;

	fg_pump(&b->g);
	assert_int_equal(fg_recv(ch, b->buf, sizeof(b->buf), &pkt), 1);
	assert_int_equal(pkt.type, VMBUS_PACKET_COMPLETION);
	assert_true(pkt.payload_size <= sizeof(*p));
	memset(p, 0, sizeof(*p));
	memcpy(p, pkt.payload, pkt.payload_size);
	assert_int_equal(p->operation, VSTOR_COMPLETE_IO);
	return pkt.transaction_id;
}

void bed_expect_none(struct bed *b, struct fg_channel *ch)
{
	struct fg_packet pkt;

	fg_pump(&b->g);
	assert_int_equal(fg_recv(ch, b->buf, sizeof(b->buf), &pkt), 0);
}

static u32 operate(struct bed *b, struct fg_channel *ch, u32 operation, struct vstor_packet *p,
		   u32 size)
{
	bed_send(b, ch, INIT_ID, operation, p, size);
	assert_true(bed_answer(b, ch, p) == INIT_ID);
	return p->status;
}

u32 bed_operate(struct bed *b, struct fg_channel *ch, u32 operation, struct vstor_packet *p)
{
	return operate(b, ch, operation, p, sizeof(*p));
}

struct vstor_properties bed_handshake(struct bed *b, u16 version)
{
	u32 size = bed_packet_size(version);
	struct fg_channel *ch = &b->ch[0];
	struct vstor_packet p = { 0 }, properties = { 0 };

	assert_int_equal(operate(b, ch, VSTOR_BEGIN_INITIALIZATION, &p, size), NT_SUCCESS);
	p = (struct vstor_packet){ .version.major_minor = version };
	assert_int_equal(operate(b, ch, VSTOR_QUERY_PROTOCOL_VERSION, &p, size), NT_SUCCESS);
	assert_int_equal(operate(b, ch, VSTOR_QUERY_PROPERTIES, &properties, size), NT_SUCCESS);
	p = (struct vstor_packet){ 0 };
	assert_int_equal(operate(b, ch, VSTOR_END_INITIALIZATION, &p, size), NT_SUCCESS);
	return properties.properties;
}

void bed_open_subs(struct bed *b, unsigned count)
{
	struct vstor_packet p = { .sub_channel_count = (u16)count };

	assert_int_equal(bed_operate(b, &b->ch[0], VSTOR_CREATE_SUB_CHANNELS, &p), NT_SUCCESS);
	fg_offers_poll(&b->g);
	for (unsigned i = 1; i <= count; i++)
		bed_open(b, i);
}

u8 *bed_data(struct bed *b, const struct fg_channel *ch)
{
	return fg_ptr(&b->g, b->data + (gpa_t)(ch - b->ch) * GUEST_PAGE_SIZE, GUEST_PAGE_SIZE);
}

static struct vstor_packet srb(u8 target, u8 lun, u8 cdb_length, u32 len)
{
	struct vstor_packet p = { .operation = VSTOR_EXECUTE_SRB, .flags = 1 };

	p.srb.length = sizeof(p.srb);
	p.srb.target_id = target;
	p.srb.lun = lun;
	p.srb.cdb_length = cdb_length;
	p.srb.sense_info_length = VSTOR_SENSE_MAX;
	p.srb.data_transfer_length = len;
	return p;
}

struct vstor_packet bed_unit_ready(u8 target, u8 lun)
{
	return srb(target, lun, 6, 0);
}

int bed_read_write(struct bed *b, struct fg_channel *ch, u64 id, u8 opcode, u8 target, u8 lun,
		   u32 lba)
{
	struct vstor_packet p = srb(target, lun, 10, BED_BLOCK);
	u64 pfn = b->data / GUEST_PAGE_SIZE + (u64)(ch - b->ch);

	p.srb.cdb[0] = opcode;
	scsi_put32(p.srb.cdb + 2, lba);
	scsi_put16(p.srb.cdb + 7, 1);
	return fg_send_pfns(ch, id, 0, BED_BLOCK, &pfn, &p, sizeof(p));
}

struct vstor_packet bed_command(struct bed *b, struct fg_channel *ch, u8 target, u8 lun)
{
	struct vstor_packet p = bed_unit_ready(target, lun);

	bed_operate(b, ch, VSTOR_EXECUTE_SRB, &p);
	return p;
}

/* ---- Both ------------------------------------------------------------------------------------ */

struct bed *bed_start(unsigned disks)
{
	static const unsigned unit[BED_DISKS] = { STORVSP_UNIT(0, 0), STORVSP_UNIT(0, 1),
						  STORVSP_UNIT(1, 0) };
	struct bed *b = bed_new(BED_SUBS);

	for (unsigned i = 0; i < disks; i++)
		bed_attach(b, i, unit[i]);
	bed_connect(b);
	bed_handshake(b, VSTOR_VERSION_WIN10);
	bed_open_subs(b, BED_SUBS);
	return b;
}

int bed_teardown(void **state)
{
	bed_free(*state);
	return 0;
}
