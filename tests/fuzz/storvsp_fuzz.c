/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * storvsp and the SCSI layer, through real open channels on two loops: vstor packets and CDBs of
 * all kinds on guest memory of all kinds, with disks that are slow, fail, cannot be written, come
 * and go, channels that move, and saving, given up or into another host, first with an altered
 * byte. A guest that keeps to the protocol gets one answer to each request, whatever it asked for.
 */
#include "devices/scsi_internal.h"
#include "devices/storvsp.h"
#include "tests/fuzz/cdb.h"
#include "tests/fuzz/guest.h"
#include "vmbus/save.h"

#include <errno.h>

#define DISKS 3
#define LOOPS 2
#define CHANNELS GUEST_CHANNELS
#define DISK_SIZE KiB(64)
#define HELD_MAX (2 * STORVSP_REQUESTS)

/* A disk of memory that does as the input says. */
struct mem {
	struct disk disk;
	bool attached;
	u8 bytes[DISK_SIZE];
};

struct bed {
	struct guest *guest;
	struct fg_channel *ch; /* the primary one, then sub-channels */
	struct uring *uring; /* of each loop */
	struct storvsp *s;
	struct mem *mem;
	int error; /* what requests end with */
	bool hold;
	struct disk_op *held[HELD_MAX];
	unsigned held_count;
	u64 sent, answered;
	bool lax; /* answers are not counted: a channel was closed */
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
	FUZZ_CHECK(op->uring == &bed->uring[0] || op->uring == &bed->uring[1]);
	FUZZ_CHECK(container_of(disk, struct mem, disk)->attached);
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
	container_of(disk, struct mem, disk)->attached = false;
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

/* Where each is at first, and may be put again. */
static const unsigned places[] = { STORVSP_UNIT(0, 0), STORVSP_UNIT(0, 1), STORVSP_UNIT(0, 4),
				   STORVSP_UNIT(1, 0) };

/* One as most are, one of large blocks, one read-only. */
static int disk_attach(struct bed *b, unsigned i, unsigned unit)
{
	struct mem *m = &b->mem[i];
	int err;

	if (m->attached)
		return -EBUSY;
	m->disk = (struct disk){ .ops = &mem_ops,
				 .size = DISK_SIZE,
				 .logical_block = i == 1 ? 4096 : 512,
				 .physical_block = 4096,
				 .read_only = i == 2,
				 .can_discard = i != 1,
				 .rotational = i == 1,
				 .id = "fuzz" };
	m->attached = true;
	err = storvsp_attach(b->s, unit, &m->disk);
	m->attached = !err;
	return err;
}

/* A DVD drive, with a disk in it where that is free. */
static void dvd_attach(struct bed *b, unsigned i, unsigned unit)
{
	bool free = !b->mem[i].attached && b->mem[i].disk.logical_block <= SCSI_DVD_BLOCK;

	if (!storvsp_attach_dvd(b->s, unit, free ? &b->mem[i].disk : NULL))
		b->mem[i].attached |= free;
}

static void disks_attach(struct bed *b)
{
	static struct mem mem[DISKS];

	b->mem = mem;
	for (unsigned i = 0; i < DISKS; i++)
		FUZZ_CHECK(!disk_attach(b, i, places[i]));
}

static struct uring *bed_uring(void *ctx, struct loop *loop)
{
	struct bed *b = ctx;

	FUZZ_CHECK(loop == &b->guest->g.io[0] || loop == &b->guest->g.io[1]);
	return &b->uring[loop - b->guest->g.io];
}

/* ---- The guest ------------------------------------------------------------------------------- */

static void take_from(struct bed *b, struct fg_channel *ch)
{
	struct fg_packet pkt;

	while (guest_take(b->guest, ch, &pkt)) {
		bool told = pkt.type == VMBUS_PACKET_INBAND && !pkt.transaction_id;

		b->answered += !told;
		FUZZ_CHECK(b->guest->tampered || b->lax || (told && ch == b->ch) ||
			   (pkt.type == VMBUS_PACKET_COMPLETION && b->answered <= b->sent &&
			    pkt.payload_size <= sizeof(struct vstor_packet)));
	}
}

static void take(struct bed *b)
{
	for (unsigned i = 0; i < CHANNELS; i++)
		if (guest_has_rings(&b->ch[i]))
			take_from(b, &b->ch[i]);
}

/* Any that has been open: its rings may be used. NULL: that one has not. */
static struct fg_channel *pick(struct bed *b, struct fuzz_input *in)
{
	struct fg_channel *ch = &b->ch[fuzz_below(in, 2 * CHANNELS) % CHANNELS];

	return guest_has_rings(ch) ? ch : NULL;
}

/* Rings that reach into the pages data is written to prove nothing. */
static void open_at(struct bed *b, struct fg_channel *ch, const struct fg_offer *offer,
		    const struct fg_open_params *p)
{
	struct fakeguest *g = &b->guest->g;

	b->lax |= b->sent > 0 && guest_has_rings(ch);
	fg_open(g, ch, offer, p);
	b->guest->tampered |= g->next_page > 64 * GUEST_PAGE_SIZE;
}

static void open_channel(struct bed *b, struct fuzz_input *in)
{
	struct fg_open_params p = { .out_pages = 2 + fuzz_below(in, 8),
				    .in_pages = 2 + fuzz_below(in, 4) };

	open_at(b, b->ch, fg_offer_instance(&b->guest->g, &storvsp_device(b->s)->instance), &p);
}

static void send_operation(struct bed *b, u32 operation, u16 version)
{
	struct vstor_packet p = { .operation = operation, .flags = 1 };

	p.version.major_minor = version;
	b->sent += !fg_send(b->ch, operation, &p, sizeof(p), true);
}

/* Asks for sub-channels and opens what is on offer. */
static void op_subs(struct bed *b, struct fuzz_input *in)
{
	struct vstor_packet p = { .operation = VSTOR_CREATE_SUB_CHANNELS,
				  .sub_channel_count = (u16)fuzz_below(in, CHANNELS + 1) };
	const struct guid *type = &storvsp_device(b->s)->ops->type;

	if (!guest_has_rings(b->ch))
		return;
	b->sent += !fg_send(b->ch, 1, &p, sizeof(p), true);
	fg_offers_poll(&b->guest->g);
	for (u16 i = 1; i < CHANNELS; i++) {
		const struct fg_offer *offer = fg_offer_find(&b->guest->g, type, i);
		const struct fg_open_params params = { .out_pages = 2 + fuzz_below(in, 2),
						       .in_pages = 2,
						       .target_vp = fuzz_below(in, 4) };

		if (offer && !b->ch[i].open)
			open_at(b, &b->ch[i], offer, &params);
	}
}

static void op_move(struct bed *b, struct fuzz_input *in)
{
	struct fg_channel *ch = pick(b, in);

	b->guest->g.modify_unawaited = true;
	if (ch && ch->open)
		fg_modify(ch, fuzz_below(in, 4));
}

static void op_reset(struct bed *b, struct fuzz_input *in)
{
	struct vstor_packet p = { .operation = VSTOR_RESET_LUN + fuzz_below(in, 3), .flags = 1 };
	struct fg_channel *ch = pick(b, in);

	p.srb.lun = (u8)fuzz_below(in, 5);
	p.srb.target_id = (u8)fuzz_below(in, 3);
	if (ch)
		b->sent += !fg_send(ch, b->sent, &p, sizeof(p), true);
}

/* What the host does to its disks. */
static void op_plug(struct bed *b, struct fuzz_input *in)
{
	unsigned unit = places[fuzz_below(in, ARRAY_SIZE(places))];

	switch (fuzz_below(in, 5)) {
	case 4:
		dvd_attach(b, fuzz_below(in, DISKS), unit);
		break;
	case 0:
		disk_attach(b, fuzz_below(in, DISKS), unit);
		break;
	case 1:
		storvsp_detach(b->s, unit);
		break;
	case 2:
		/* Never more than there is. */
		storvsp_resize(b->s, unit, 4096 * fuzz_below(in, DISK_SIZE / 4096 + 1));
		break;
	case 3:
		storvsp_change(b->s, unit, NULL);
		storvsp_eject(b->s, unit);
	}
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

static void op_srb(struct bed *b, struct fuzz_input *in)
{
	static const u8 luns[] = { 0, 1, 4, 2, 63, 255 };
	struct fg_channel *ch = pick(b, in);
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
	fuzz_cdb(in, p.srb.cdb);
	len = fuzz_below(in, 3) ? 512 * fuzz_below(in, 128) : (u32)fuzz_value(in) % KiB(64);
	offset = fuzz_below(in, 2) ? 0 : fuzz_u16(in) % GUEST_PAGE_SIZE;
	p.srb.data_transfer_length = fuzz_rarely(in, 8) ? (u32)fuzz_value(in) : len;
	for (unsigned i = 0; i < ARRAY_SIZE(pfn); i++)
		pfn[i] = i < 2 ? guest_pfn(in) : 64 + i;
	if (!ch)
		return;
	/* A parameter list at the start of it. */
	if (pfn[0] < GUEST_PAGES && pfn[0] >= 64) {
		u8 list[24];

		fuzz_bytes(in, list, sizeof(list));
		gmem_write(&b->guest->g.mem, pfn[0] * GUEST_PAGE_SIZE + offset % 4000, list,
			   sizeof(list));
	}
	/* Its own rings may be there. */
	b->guest->tampered |= pfn[0] < 64 || pfn[1] < 64;
	if (len)
		b->sent += !fg_send_pfns(ch, b->sent, offset, len, pfn, &p, size);
	else
		b->sent += !fg_send(ch, b->sent, &p, size, true);
}

/* Any operation in any state, well-formed as a packet. */
static void op_operation(struct bed *b, struct fuzz_input *in)
{
	struct vstor_packet p = { .operation = fuzz_below(in, VSTOR_OPERATIONS + 1) };
	u32 size = fuzz_rarely(in, 4) ? fuzz_below(in, 80) : sizeof(p);
	struct fg_channel *ch = pick(b, in);
	u8 bytes[80] = { 0 };

	fuzz_bytes(in, p.bytes, 8);
	memcpy(bytes, &p, sizeof(p));
	if (ch)
		b->sent += !fg_send(ch, b->sent, bytes, size, true);
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

struct place {
	struct disk *disk;
	enum scsi_type type;
};

static void controller_make(struct bed *b)
{
	FUZZ_CHECK(!storvsp_init(&b->s, 0, bed_uring, b));
	FUZZ_CHECK(!storvsp_allow_sub_channels(b->s, CHANNELS - 1));
}

static void places_note(const struct bed *b, struct place at[static ARRAY_SIZE(places)])
{
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		struct scsi_unit *unit = scsi_target_unit(
			&b->s->target[places[i] / STORVSP_LUNS].scsi, places[i] % STORVSP_LUNS);
		struct scsi_medium *m = unit ? scsi_medium_hold(unit) : NULL;

		if (!m)
			continue;
		at[i] = (struct place){ m->disk, m->type };
		if (m->disk)
			m->disk->size = m->blocks * m->block;
		scsi_medium_drop(unit, m);
	}
}

/* The bus of a new host and a controller with the same disks. */
static void host_new(struct bed *b)
{
	struct place at[ARRAY_SIZE(places)] = { 0 };
	struct storvsp *old = b->s;

	places_note(b, at);
	FUZZ_CHECK(!fg_new_host(&b->guest->g));
	storvsp_fini(old);
	controller_make(b);
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		if (at[i].disk)
			container_of(at[i].disk, struct mem, disk)->attached = true;
		if (at[i].type)
			FUZZ_CHECK(!(at[i].type == SCSI_DISK ? storvsp_attach : storvsp_attach_dvd)(
				b->s, places[i], at[i].disk));
	}
	FUZZ_CHECK(!vmbus_offer(b->guest->g.bus, storvsp_device(b->s)));
}

/* Takes it in with byte `at` as it is or another, and back again. */
static int restore_with(struct bed *b, struct stream_out *s, size_t at, u8 mask)
{
	int err;

	s->bytes[at] ^= mask;
	stream_patch_u32(
		s, VMBUS_STATE_CRC_AT,
		stream_crc32(s->bytes + VMBUS_STATE_CRC_FROM, s->len - VMBUS_STATE_CRC_FROM));
	err = vmbus_restore(b->guest->g.bus, s->bytes, s->len);
	s->bytes[at] ^= mask;
	return err;
}

static void op_save(struct bed *b, struct fuzz_input *in)
{
	struct stream_out out = { 0 };
	struct fakeguest *g = &b->guest->g;
	size_t at;

	for (; !fg_freeze(g); disks_release(b)) {
		if (!fuzz_rarely(in, 2))
			continue;
		fg_thaw(g);
		return;
	}
	FUZZ_CHECK(!vmbus_save(g->bus, &out, NULL));
	at = VMBUS_STATE_HEADER + fuzz_u16(in) % (out.len - VMBUS_STATE_HEADER);
	host_new(b);
	if (!restore_with(b, &out, at, fuzz_u8(in) | 1))
		host_new(b);
	FUZZ_CHECK(!restore_with(b, &out, at, 0));
	stream_free(&out);
}

static void op_channel(struct bed *b, struct fuzz_input *in)
{
	struct fg_channel *ch = pick(b, in);

	switch (fuzz_below(in, 5)) {
	case 0:
		if (ch && ch->open)
			fg_close(ch);
		b->lax = true;
		break;
	case 1:
		if (!b->ch->open)
			open_channel(b, in);
		break;
	case 2:
		if (ch)
			guest_op_tamper(b->guest, ch, in);
		break;
	case 3:
		if (ch)
			guest_op_packet(b->guest, ch, in);
		break;
	case 4:
		guest_op_write(b->guest, in);
		break;
	}
}

static void step(struct bed *b, struct fuzz_input *in)
{
	switch (fuzz_below(in, 19)) {
	case 18:
		op_save(b, in);
		break;
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
	case 7:
		op_subs(b, in);
		break;
	case 8:
		op_move(b, in);
		break;
	case 9:
		op_reset(b, in);
		break;
	case 10:
		op_plug(b, in);
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
	for (unsigned i = 0; i < CHANNELS; i++)
		FUZZ_CHECK(!b->s->channel[i].in_flight || b->guest->tampered);
	FUZZ_CHECK(!b->s->resets.first);
	FUZZ_CHECK(b->guest->tampered || b->lax || b->answered == b->sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct uring uring[LOOPS];
	struct fuzz_input in = { data, size };
	struct bed b = { .guest = guest_begin(), .uring = uring };
	struct fakeguest *g = &b.guest->g;

	for (unsigned i = 0; i < LOOPS; i++)
		if (!uring[i].loop)
			FUZZ_CHECK(!uring_init(&uring[i], &g->io[i], 64));
	bed = &b;
	b.ch = &b.guest->ch[0];
	controller_make(&b);
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
