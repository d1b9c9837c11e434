/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an I/O costs in the VMM: READ(10) of 4 KiB and of 64 KiB through storvsp and its SCSI layer,
 * so many at a time, from a disk that does nothing and says so in the next turn, as a disk would.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/devices.h"
#include "devices/storvsp_proto.h"
#include "tests/bench/bus.h"

#define READ_10 0x28
#define BLOCK 512u

struct null_disk {
	struct disk disk;
	struct loop *loop;
	struct loop_work later;
	struct disk_op *op[256];
	unsigned count;
};

struct rig {
	struct bus *b;
	struct null_disk disk;
	struct storvsp *s;
	struct uring uring;
	struct fg_channel ch;
	u64 pfn[16];
	u32 wanted, before; /* answers of the round, and those there were */
};

static void null_submit(struct disk *disk, struct disk_op *op)
{
	struct null_disk *d = container_of(disk, struct null_disk, disk);

	d->op[d->count++] = op;
	if (d->count == 1)
		loop_post(d->loop, &d->later);
}

static void null_done(struct loop_work *w)
{
	struct null_disk *d = container_of(w, struct null_disk, later);

	for (unsigned i = 0; i < d->count; i++)
		d->op[i]->done(d->op[i], 0);
	d->count = 0;
}

static void null_close(struct disk *disk)
{
	(void)disk;
}

static const struct disk_ops null_ops = { .submit = null_submit, .close = null_close };

static struct uring *rig_uring(void *ctx, struct loop *loop)
{
	(void)loop;
	return &((struct rig *)ctx)->uring;
}

/* ---- The guest ------------------------------------------------------------------------------- */

static void answer_take(struct rig *r)
{
	static u8 buf[512];
	struct vstor_packet answer;
	struct fg_packet pkt;

	if (fg_recv(&r->ch, buf, sizeof(buf), &pkt) != 1)
		bus_die("an answer", -EPROTO);
	memcpy(&answer, pkt.payload, sizeof(answer));
	if (answer.operation != VSTOR_COMPLETE_IO || answer.status)
		bus_die("a request", -EIO);
}

static void operate(struct rig *r, struct vstor_packet p)
{
	p.flags = 1;
	bus_must(fg_send(&r->ch, 1, &p, sizeof(p), true), "a packet");
	fg_pump(&r->b->g);
	answer_take(r);
}

static void handshake(struct rig *r)
{
	operate(r, (struct vstor_packet){ .operation = VSTOR_BEGIN_INITIALIZATION });
	operate(r, (struct vstor_packet){ .operation = VSTOR_QUERY_PROTOCOL_VERSION,
					  .version.major_minor = 0x0602 });
	operate(r, (struct vstor_packet){ .operation = VSTOR_QUERY_PROPERTIES });
	operate(r, (struct vstor_packet){ .operation = VSTOR_END_INITIALIZATION });
}

static void guest_reads(struct rig *r, u32 id, u32 pages)
{
	u32 bytes = pages * GUEST_PAGE_SIZE;
	struct vstor_packet p = {
		.operation = VSTOR_EXECUTE_SRB,
		.flags = 1,
		.srb = { .length = sizeof(p.srb),
			 .cdb_length = 10,
			 .sense_info_length = VSTOR_SENSE_MAX,
			 .data_in = 1,
			 .data_transfer_length = bytes,
			 .cdb = { READ_10, 0, 0, 0, (u8)id, 0, 0, 0, (u8)(bytes / BLOCK) } },
	};

	bus_must(fg_send_pfns(&r->ch, id, 0, bytes, r->pfn, &p, sizeof(p)), "a request");
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

static u32 answered(const struct rig *r)
{
	struct vmbus_channel_status st;

	vmbus_channels(r->b->g.bus, &st, 1);
	return (u32)st.packets_out;
}

static bool answers_lack(const struct rig *r)
{
	return r->ch.in.header->write_index == r->before;
}

/* All of a round is submitted in one turn, and answered together in the one that follows. */
static void host_serves(void *ctx)
{
	struct rig *r = ctx;

	while (answers_lack(r))
		loop_turn(&r->b->g.io[0], 0);
}

static void reads(struct rig *r, u32 pages, u32 depth)
{
	struct bus *b = r->b;
	char name[64];

	snprintf(name, sizeof(name), "storvsp/%uk/%u", pages * 4, depth);
	if (!bus_case(b, name))
		return;
	for (u32 rounds = bus_rounds(b, depth); b->round < rounds; bus_next(b)) {
		u32 done = answered(r);

		for (u32 i = 0; i < depth; i++)
			guest_reads(r, i, pages);
		r->before = r->ch.in.header->write_index;
		bus_host(b, host_serves, r);
		if (answered(r) != done + depth)
			bus_die("a round's answers", -EPROTO);
		for (u32 i = 0; i < depth; i++)
			answer_take(r);
	}
	bus_report(b, name, "request", depth, true);
}

static void rig_begin(struct rig *r, struct bus *b)
{
	struct vmbus_device *dev;

	r->b = b;
	bus_must(storvsp_init(&r->s, 0, rig_uring, r), "storvsp");
	r->disk = (struct null_disk){ .disk = { .ops = &null_ops,
						.size = GiB(1),
						.logical_block = BLOCK,
						.physical_block = 4096 },
				      .later.run = null_done };
	bus_must(storvsp_attach(r->s, 0, &r->disk.disk), "a disk");
	dev = storvsp_device(r->s);
	bus_begin(b, &dev, 1);
	r->disk.loop = &b->g.io[0];
	bus_must(uring_init(&r->uring, &b->g.io[0], 64), "io_uring");
	bus_must(fg_open(&b->g, &r->ch, &b->g.offer[0], &(struct fg_open_params){ 65, 65, 0 }),
		 "a channel");
	for (u32 i = 0; i < ARRAY_SIZE(r->pfn); i++)
		r->pfn[i] = fg_alloc(&b->g, 2) / GUEST_PAGE_SIZE;
	handshake(r);
}

void bus_storvsp(struct bus *b)
{
	static const u32 depths[] = { 1, 32, 256 };
	static struct rig r;

	rig_begin(&r, b);
	for (size_t i = 0; i < ARRAY_SIZE(depths); i++) {
		reads(&r, 1, depths[i]);
		reads(&r, 16, depths[i]);
	}
	uring_fini(&r.uring);
	fg_fini(&b->g);
	storvsp_fini(r.s);
}
