/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ring codec alone: its reader on rings of any content and indices, which change between any
 * two calls; its writer towards a reader that lies; and, where nobody lies, that what is written is
 * what is read.
 */
#include "tests/fuzz/fuzz.h"
#include "vmbus/ring.h"

#include <errno.h>

#define PAGES 4u /* the header's included */
#define PACKET_MAX 600u

static _Alignas(RING_PAGE_SIZE) u8 memory[PAGES][RING_PAGE_SIZE];
static u8 *page[PAGES];

struct bed {
	struct ring reader, writer;
	struct ring_header *header;
	bool tampered;
	u64 written, read; /* packets: transaction ids count up */
	u8 *packet; /* PACKET_MAX bytes of their own */
};

/* Pages in any order, and in the order that makes the ring flat. */
static int bed_init(struct bed *b, struct fuzz_input *in)
{
	u8 order = fuzz_u8(in);

	memset(memory, 0, sizeof(memory));
	for (u32 i = 0; i < PAGES; i++)
		page[i] = memory[order & 1 ? PAGES - 1 - i : i];
	b->header = (struct ring_header *)page[0];
	if (order & 2) {
		b->header->read_index = (u32)fuzz_value(in);
		b->header->write_index = (u32)fuzz_value(in);
		b->tampered = true;
	} else if (order & 4) {
		b->header->read_index = b->header->write_index =
			fuzz_u16(in) * RING_ALIGN % ((PAGES - 1) * RING_PAGE_SIZE);
	}
	return ring_init_reader(&b->reader, page, PAGES)
		       ? -EINVAL
		       : ring_init_writer(&b->writer, page, PAGES);
}

static void ring_sound(const struct ring *r)
{
	FUZZ_CHECK(r->index < r->size && r->index % RING_ALIGN == 0);
	FUZZ_CHECK(r->published < r->size && r->published % RING_ALIGN == 0);
	FUZZ_CHECK(r->peer < r->size && r->peer % RING_ALIGN == 0);
}

static void op_read(struct bed *b, struct fuzz_input *in)
{
	u32 max = fuzz_rarely(in, 4) ? fuzz_u16(in) % PACKET_MAX + 16 : PACKET_MAX, len = 0;
	struct ring_descriptor d;
	int got = ring_read(&b->reader, b->packet, MIN(max, PACKET_MAX), &len);

	if (got == -EMSGSIZE)
		b->read++;
	if (got != 1) {
		FUZZ_CHECK(!got || got == -EMSGSIZE || (got == -EBADMSG && b->tampered));
		return;
	}
	memcpy(&d, b->packet, sizeof(d));
	FUZZ_CHECK(len <= max && len == d.len8 * RING_ALIGN && len >= sizeof(d));
	FUZZ_CHECK(d.offset8 * RING_ALIGN >= sizeof(d) && d.offset8 * RING_ALIGN <= len);
	if (b->tampered)
		return;
	FUZZ_CHECK(d.trans_id == b->read && d.type == VMBUS_PACKET_INBAND);
	for (u32 i = d.offset8 * RING_ALIGN; i + RING_ALIGN <= len; i++)
		FUZZ_CHECK(b->packet[i] == (u8)d.trans_id);
	b->read++;
}

static void op_write(struct bed *b, struct fuzz_input *in)
{
	u8 bytes[PACKET_MAX + 256];
	u32 head = fuzz_below(in, 4) * RING_ALIGN, first = fuzz_u8(in), second = fuzz_u8(in);
	struct iovec iov[2] = { { bytes, first }, { bytes, second } };
	struct ring_packet p = { .type = VMBUS_PACKET_INBAND,
				 .transaction_id = b->written,
				 .head = bytes,
				 .head_size = head,
				 .payload = iov,
				 .payload_count = 2 };
	int err;

	if (fuzz_rarely(in, 32))
		iov[1].iov_len = 0x7fffffff; /* refused before it is looked at */
	memset(bytes, (u8)b->written, sizeof(bytes));
	err = ring_write(&b->writer, &p);
	if (err == -EAGAIN) {
		ring_write_commit(&b->writer);
		if (ring_wait_room(&b->writer, &p))
			ring_wait_end(&b->writer);
	}
	FUZZ_CHECK(!err || err == -EAGAIN || err == -EMSGSIZE || (err == -EPIPE && b->tampered));
	b->written += !err;
}

static void op_tamper(struct bed *b, struct fuzz_input *in)
{
	u8 where = fuzz_u8(in), bytes[32];
	u32 at, len;

	b->tampered = true;
	switch (where % 6) {
	case 0:
		b->header->write_index = (u32)fuzz_value(in);
		break;
	case 1:
		b->header->read_index = (u32)fuzz_value(in);
		break;
	case 2:
		b->header->pending_send_sz = (u32)fuzz_value(in);
		break;
	case 3:
		b->header->write_index = b->reader.index + fuzz_u8(in) * RING_ALIGN;
		break;
	default:
		/* At what is read next, or anywhere. */
		at = where & 64 ? b->reader.index : fuzz_u16(in) % b->reader.size;
		len = fuzz_below(in, sizeof(bytes));
		len = MIN(len, RING_PAGE_SIZE - at % RING_PAGE_SIZE);
		fuzz_bytes(in, bytes, len);
		memcpy(page[1 + at / RING_PAGE_SIZE] + at % RING_PAGE_SIZE, bytes, len);
	}
}

static void step(struct bed *b, struct fuzz_input *in)
{
	switch (fuzz_below(in, 10)) {
	case 0:
	case 1:
		op_read(b, in);
		break;
	case 2:
		ring_read_commit(&b->reader);
		break;
	case 3:
		ring_mask(&b->reader);
		break;
	case 4:
		ring_read_commit(&b->reader);
		ring_unmask(&b->reader);
		break;
	case 5:
	case 6:
		op_write(b, in);
		break;
	case 7:
		ring_write_commit(&b->writer);
		break;
	case 8:
		op_tamper(b, in);
		break;
	case 9:
		ring_peer_signals_room(&b->reader);
		ring_wait_end(&b->writer);
		break;
	}
	ring_sound(&b->reader);
	ring_sound(&b->writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct bed b = { .packet = malloc(PACKET_MAX) };

	FUZZ_CHECK(b.packet);
	if (!bed_init(&b, &in)) {
		while (in.left)
			step(&b, &in);
		/* What was written and shown arrives, all of it. */
		ring_write_commit(&b.writer);
		for (u64 left = b.written + 1; !b.tampered && left && b.read < b.written; left--)
			op_read(&b, &in);
		FUZZ_CHECK(b.tampered || b.read == b.written);
	}
	free(b.packet);
	return 0;
}
