/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * storvsp and the SCSI layer, through a real open channel: vstor packets and CDBs of all kinds on
 * guest memory of all kinds, with a disk that is slow, fails, or cannot be written. A guest that
 * keeps to the protocol gets one answer to each request, whatever it asked for.
 */
#include "devices/storvsp.h"
#include "tests/fuzz/guest.h"

#include <errno.h>

#define DISKS 3
#define DISK_SIZE KiB(64)
#define HELD_MAX (2 * STORVSP_REQUESTS)

/* A disk of memory that does as the input says. */
struct mem {
	struct disk disk;
	u8 bytes[DISK_SIZE];
};

struct bed {
	struct guest *guest;
	struct fg_channel *ch;
	struct uring *uring;
	struct storvsp *s;
	struct mem *mem;
	int error; /* what requests end with */
	bool hold;
	struct disk_op *held[HELD_MAX];
	unsigned held_count;
	u64 sent, answered;
	bool lax; /* answers are not counted: the channel was closed */
};

/* ---- The disk -------------------------------------------------------------------------------- */

static struct bed *bed; /* of the input at hand */

static void mem_carry_out(struct mem *m, struct disk_op *op)
{
	u8 *at = m->bytes + op->offset;

	if (op->kind == DISK_DISCARD || op->kind == DISK_WRITE_ZEROES)
		memset(at, 0, op->len);
	for (unsigned i = 0; i < op->iov_count && op->kind <= DISK_WRITE; i++) {
		void *host = op->iov[i].iov_base;

		if (op->kind == DISK_READ)
			memcpy(host, at, op->iov[i].iov_len);
		else
			memcpy(at, host, op->iov[i].iov_len);
		at += op->iov[i].iov_len;
	}
}

static void mem_submit(struct disk *disk, struct disk_op *op)
{
	/* The caller has checked it: that is the contract. */
	FUZZ_CHECK(!disk_check(disk, op));
	FUZZ_CHECK(op->uring == bed->uring);
	if (bed->hold && bed->held_count < HELD_MAX) {
		bed->held[bed->held_count++] = op;
		return;
	}
	if (!bed->error)
		mem_carry_out(container_of(disk, struct mem, disk), op);
	disk_complete(op, bed->error);
}

static void mem_close(struct disk *disk)
{
	(void)disk;
}

static const struct disk_ops mem_ops = { .submit = mem_submit, .close = mem_close };

static void disks_release(struct bed *b)
{
	unsigned count = b->held_count;

	b->hold = false;
	b->held_count = 0;
	for (unsigned i = 0; i < count; i++)
		mem_submit(b->held[i]->disk, b->held[i]);
}

/* One as most are, one of large blocks, one read-only. */
static void disks_attach(struct bed *b)
{
	static struct mem mem[DISKS];

	b->mem = mem;
	for (unsigned i = 0; i < DISKS; i++) {
		mem[i].disk = (struct disk){ .ops = &mem_ops,
					     .size = DISK_SIZE,
					     .logical_block = i == 1 ? 4096 : 512,
					     .physical_block = 4096,
					     .read_only = i == 2,
					     .can_discard = i != 1,
					     .rotational = i == 1,
					     .id = "fuzz" };
		FUZZ_CHECK(!storvsp_attach(b->s, i * i, &mem[i].disk));
	}
}

static struct uring *bed_uring(void *ctx, struct loop *loop)
{
	struct bed *b = ctx;

	FUZZ_CHECK(loop == &b->guest->g.io[0]);
	return b->uring;
}

/* ---- The guest ------------------------------------------------------------------------------- */

static void take(struct bed *b)
{
	struct fg_packet pkt;

	while (guest_take(b->guest, b->ch, &pkt)) {
		b->answered++;
		FUZZ_CHECK(b->guest->tampered || b->lax ||
			   (pkt.type == VMBUS_PACKET_COMPLETION && b->answered <= b->sent &&
			    pkt.payload_size <= sizeof(struct vstor_packet)));
	}
}

static void open_channel(struct bed *b, struct fuzz_input *in)
{
	struct fakeguest *g = &b->guest->g;
	/* All channels on the loop that has the uring. */
	struct fg_open_params p = { .out_pages = 2 + fuzz_below(in, 8),
				    .in_pages = 2 + fuzz_below(in, 4) };

	b->lax = b->sent > 0;
	fg_open(g, b->ch, fg_offer_instance(g, &storvsp_device(b->s)->instance), &p);
}

static void send_operation(struct bed *b, u32 operation, u16 version)
{
	struct vstor_packet p = { .operation = operation, .flags = 1 };

	p.version.major_minor = version;
	b->sent += !fg_send(b->ch, operation, &p, sizeof(p), true);
}

static void op_initialize(struct bed *b, struct fuzz_input *in)
{
	static const u16 versions[] = { VSTOR_VERSION_WIN10, VSTOR_VERSION_WIN8, VSTOR_VERSION_WIN7,
					VSTOR_VERSION_WIN6 };

	if (!guest_has_rings(b->ch))
		return;
	send_operation(b, VSTOR_BEGIN_INITIALIZATION, 0);
	send_operation(b, VSTOR_QUERY_PROTOCOL_VERSION, versions[fuzz_below(in, 4)]);
	send_operation(b, VSTOR_QUERY_PROPERTIES, 0);
	send_operation(b, VSTOR_END_INITIALIZATION, 0);
	fg_pump(&b->guest->g);
}

static void put_be(u8 *at, u64 value, unsigned bytes)
{
	while (bytes--) {
		at[bytes] = (u8)value;
		value >>= 8;
	}
}

/* A CDB: the fields of its group in their places, or any bytes. */
static void cdb_make(struct fuzz_input *in, u8 cdb[static VSTOR_CDB_MAX])
{
	static const u8 opcodes[] = {
		0x00, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2a,
		0x2e, 0x2f, 0x35, 0x41, 0x42, 0x4d, 0x55, 0x5a, 0x5e, 0x5f, 0x88, 0x89,
		0x8a, 0x8f, 0x91, 0x93, 0x9e, 0xa0, 0xa3, 0xa8, 0xaa, 0xaf,
	};
	static const u8 vpd[] = { 0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2, 0x84, 0xff };
	u64 lba, count;

	fuzz_bytes(in, cdb, 2);
	cdb[0] = cdb[0] < 224 ? opcodes[cdb[0] % ARRAY_SIZE(opcodes)] : cdb[0];
	if (fuzz_rarely(in, 4)) {
		fuzz_bytes(in, cdb + 2, VSTOR_CDB_MAX - 2);
		return;
	}
	lba = fuzz_value(in);
	count = fuzz_value(in);
	if (cdb[0] == SCSI_INQUIRY && cdb[1] & 1)
		lba = (u64)vpd[fuzz_below(in, ARRAY_SIZE(vpd))] << 8;
	switch (cdb[0] >> 5) {
	case 0:
		put_be(cdb + 2, lba, 2);
		cdb[4] = (u8)count;
		break;
	case 1:
	case 2:
		put_be(cdb + 2, lba, 4);
		put_be(cdb + 7, count, 2);
		break;
	case 5:
		put_be(cdb + 2, lba, 4);
		put_be(cdb + 6, count, 4);
		break;
	default:
		put_be(cdb + 2, lba, 8);
		put_be(cdb + 10, count, 4);
	}
}

static void op_srb(struct bed *b, struct fuzz_input *in)
{
	static const u8 luns[] = { 0, 1, 4, 2, 63, 255 };
	struct vstor_packet p = { .operation = VSTOR_EXECUTE_SRB, .flags = 1 };
	u32 size = fuzz_rarely(in, 4) ? VSTOR_PACKET_WIN7 : sizeof(p), offset, len;
	u64 pfn[20];

	p.srb.length = sizeof(p.srb);
	p.srb.lun = luns[fuzz_below(in, 16) % ARRAY_SIZE(luns)];
	p.srb.target_id = fuzz_rarely(in, 16);
	p.srb.path_id = fuzz_rarely(in, 16);
	p.srb.cdb_length = fuzz_rarely(in, 16) ? fuzz_u8(in) : VSTOR_CDB_MAX;
	p.srb.sense_info_length = VSTOR_SENSE_MAX;
	p.srb.data_in = fuzz_below(in, 3);
	cdb_make(in, p.srb.cdb);
	len = fuzz_below(in, 3) ? 512 * fuzz_below(in, 128) : (u32)fuzz_value(in) % KiB(64);
	offset = fuzz_below(in, 2) ? 0 : fuzz_u16(in) % GUEST_PAGE_SIZE;
	p.srb.data_transfer_length = fuzz_rarely(in, 8) ? (u32)fuzz_value(in) : len;
	for (unsigned i = 0; i < ARRAY_SIZE(pfn); i++)
		pfn[i] = i < 2 ? guest_pfn(in) : 64 + i;
	if (!guest_has_rings(b->ch))
		return;
	/* A parameter list at the start of it. */
	if (pfn[0] < GUEST_PAGES && pfn[0] >= 64) {
		u8 list[24];

		fuzz_bytes(in, list, sizeof(list));
		gmem_write(&b->guest->g.mem, pfn[0] * GUEST_PAGE_SIZE + offset % 4000, list,
			   sizeof(list));
	} else {
		b->guest->tampered = true; /* its own rings may be there */
	}
	if (len)
		b->sent += !fg_send_pfns(b->ch, b->sent, offset, len, pfn, &p, size);
	else
		b->sent += !fg_send(b->ch, b->sent, &p, size, true);
}

/* Any operation in any state, well-formed as a packet. */
static void op_operation(struct bed *b, struct fuzz_input *in)
{
	struct vstor_packet p = { .operation = fuzz_below(in, VSTOR_OPERATIONS + 1) };
	u32 size = fuzz_rarely(in, 4) ? fuzz_below(in, 80) : sizeof(p);
	u8 bytes[80] = { 0 };

	fuzz_bytes(in, p.bytes, 8);
	memcpy(bytes, &p, sizeof(p));
	if (guest_has_rings(b->ch))
		b->sent += !fg_send(b->ch, b->sent, bytes, size, true);
}

static void op_disk(struct bed *b, struct fuzz_input *in)
{
	static const int errors[] = { 0, -EIO, -ENOSPC, -EROFS, -EINVAL, -ENODATA };

	switch (fuzz_below(in, 4)) {
	case 0:
		b->error = errors[fuzz_below(in, ARRAY_SIZE(errors))];
		break;
	case 1:
		b->hold = true;
		break;
	default:
		disks_release(b);
	}
}

static void op_channel(struct bed *b, struct fuzz_input *in)
{
	switch (fuzz_below(in, 5)) {
	case 0:
		if (b->ch->open)
			fg_close(b->ch);
		b->lax = true;
		break;
	case 1:
		if (!b->ch->open)
			open_channel(b, in);
		break;
	case 2:
		guest_op_tamper(b->guest, b->ch, in);
		break;
	case 3:
		guest_op_packet(b->guest, b->ch, in);
		break;
	case 4:
		guest_op_write(b->guest, in);
		break;
	}
}

static void step(struct bed *b, struct fuzz_input *in)
{
	switch (fuzz_below(in, 12)) {
	case 0:
		op_initialize(b, in);
		break;
	case 1:
		op_operation(b, in);
		break;
	case 2:
		op_disk(b, in);
		break;
	case 3:
		op_channel(b, in);
		break;
	case 4:
		take(b);
		break;
	case 5:
	case 6:
		guest_op_turn(b->guest, in);
		break;
	default:
		op_srb(b, in);
	}
}

/* Everything is carried out, and all of it was answered. */
static void finish(struct bed *b)
{
	b->error = 0;
	disks_release(b);
	for (u64 before = b->answered + 1; before != b->answered;) {
		before = b->answered;
		fg_pump(&b->guest->g);
		disks_release(b);
		take(b);
	}
	FUZZ_CHECK(!b->held_count);
	for (unsigned i = 0; i < (b->s->device.sub_channels_max + 1u); i++)
		FUZZ_CHECK(!b->s->channel[i].in_flight || b->guest->tampered);
	FUZZ_CHECK(b->guest->tampered || b->lax || b->answered == b->sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct uring uring;
	struct fuzz_input in = { data, size };
	struct bed b = { .guest = guest_begin(), .uring = &uring };
	struct fakeguest *g = &b.guest->g;

	if (!uring.loop)
		FUZZ_CHECK(!uring_init(&uring, &g->io[0], 64));
	bed = &b;
	b.ch = &b.guest->ch[0];
	FUZZ_CHECK(!storvsp_init(&b.s, 0, bed_uring, &b));
	disks_attach(&b);
	FUZZ_CHECK(!vmbus_offer(g->bus, storvsp_device(b.s)));
	FUZZ_CHECK(!fg_connect(g, VMBUS_VERSION_WIN10_V5_3) && !fg_request_offers(g));
	open_channel(&b, &in);
	if (!fuzz_rarely(&in, 8))
		op_initialize(&b, &in);
	while (in.left)
		step(&b, &in);
	finish(&b);
	guest_end(b.guest);
	storvsp_fini(b.s);
	bed = NULL;
	return 0;
}
