/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fake guest's rings, with the rules of Linux's drivers/hv/ring_buffer.c. Written apart from
 * vmbus/ring.c on purpose: an error in one is no error in the other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fakeguest/fakeguest.h"

#define LOAD(word) __atomic_load_n(&(word), __ATOMIC_SEQ_CST)
#define STORE(word, value) __atomic_store_n(&(word), (value), __ATOMIC_SEQ_CST)

static u8 *ring_at(const struct fg_ring *r, u32 index)
{
	index %= r->size;
	return &r->page[index / RING_PAGE_SIZE][index % RING_PAGE_SIZE];
}

/* The longest run of bytes at index that is contiguous. */
static u32 run_at(const struct fg_ring *r, u32 index, u32 len)
{
	u32 in_page = RING_PAGE_SIZE - index % r->size % RING_PAGE_SIZE;

	return MIN(len, in_page);
}

void fg_ring_poke(struct fg_ring *r, u32 index, const void *bytes, u32 len)
{
	for (u32 done = 0, n; done < len; done += n) {
		n = run_at(r, index + done, len - done);
		memcpy(ring_at(r, index + done), (const u8 *)bytes + done, n);
	}
}

static void ring_peek(const struct fg_ring *r, u32 index, void *bytes, u32 len)
{
	for (u32 done = 0, n; done < len; done += n) {
		n = run_at(r, index + done, len - done);
		memcpy((u8 *)bytes + done, ring_at(r, index + done), n);
	}
}

/* ---- Out ------------------------------------------------------------------------------------- */

void fg_set_write_index(struct fg_channel *ch, u32 index)
{
	STORE(ch->out.header->write_index, index);
}

u32 fg_out_free(const struct fg_channel *ch)
{
	const struct fg_ring *r = &ch->out;
	u32 used = (r->index + r->size - LOAD(r->header->read_index)) % r->size;

	return r->size - used;
}

static void signal_on_write(struct fg_channel *ch, u32 old_write)
{
	if (!LOAD(ch->out.header->interrupt_mask) && LOAD(ch->out.header->read_index) == old_write)
		fg_signal(ch);
}

int fg_send_raw(struct fg_channel *ch, const struct ring_descriptor *desc, const void *head,
		u32 head_size, const void *payload, u32 size)
{
	static const u8 zeros[RING_ALIGN];
	struct fg_ring *r = &ch->out;
	u32 padded = ALIGN_UP(size, RING_ALIGN), start = r->index;
	u32 len = (u32)sizeof(*desc) + head_size + padded;
	struct ring_trailer trailer = { .packet_start = start };
	struct ring_descriptor d = *desc;

	if (fg_out_free(ch) <= len + sizeof(trailer))
		return -EAGAIN;
	d.offset8 = d.offset8 ? d.offset8 : (u16)((sizeof(d) + head_size) / RING_ALIGN);
	d.len8 = d.len8 ? d.len8 : (u16)(len / RING_ALIGN);
	fg_ring_poke(r, start, &d, sizeof(d));
	fg_ring_poke(r, start + (u32)sizeof(d), head, head_size);
	fg_ring_poke(r, start + (u32)sizeof(d) + head_size, payload, size);
	fg_ring_poke(r, start + (u32)sizeof(d) + head_size + size, zeros, padded - size);
	fg_ring_poke(r, start + len, &trailer, sizeof(trailer));
	r->index = (start + len + (u32)sizeof(trailer)) % r->size;
	STORE(r->header->write_index, r->index);
	signal_on_write(ch, start);
	return 0;
}

static u16 flags_of(bool completion_wanted)
{
	return completion_wanted ? RING_PACKET_COMPLETION_REQUESTED : 0;
}

int fg_send(struct fg_channel *ch, u64 transaction_id, const void *payload, u32 size,
	    bool completion_wanted)
{
	struct ring_descriptor d = {
		.type = VMBUS_PACKET_INBAND,
		.flags = flags_of(completion_wanted),
		.trans_id = transaction_id,
	};

	return fg_send_raw(ch, &d, NULL, 0, payload, size);
}

int fg_complete(struct fg_channel *ch, u64 transaction_id, const void *payload, u32 size)
{
	struct ring_descriptor d = { .type = VMBUS_PACKET_COMPLETION, .trans_id = transaction_id };

	return fg_send_raw(ch, &d, NULL, 0, payload, size);
}

/* A GPA-direct packet with ranges as they lie in memory. */
static int send_ranges(struct fg_channel *ch, u64 transaction_id, u8 *head, u32 head_size,
		       u32 count, const void *payload, u32 size)
{
	struct ring_descriptor d = {
		.type = VMBUS_PACKET_GPA_DIRECT,
		.flags = RING_PACKET_COMPLETION_REQUESTED,
		.trans_id = transaction_id,
	};
	struct ring_gpa_direct direct = { .range_cnt = count };

	memcpy(head, &direct, sizeof(direct));
	return fg_send_raw(ch, &d, head, head_size, payload, size);
}

int fg_send_pfns(struct fg_channel *ch, u64 transaction_id, u32 byte_offset, u32 byte_count,
		 const u64 *pfn, const void *payload, u32 size)
{
	struct ring_gpa_range range = { .byte_count = byte_count, .byte_offset = byte_offset };
	u32 pages = gpa_range_pages(byte_offset, byte_count);
	u32 head_size = (u32)sizeof(struct ring_gpa_direct) + (u32)sizeof(range) + pages * 8;
	u8 *head = malloc(head_size);
	int err;

	if (!head)
		return -ENOMEM;
	memcpy(head + sizeof(struct ring_gpa_direct), &range, sizeof(range));
	memcpy(head + sizeof(struct ring_gpa_direct) + sizeof(range), pfn, pages * sizeof(u64));
	err = send_ranges(ch, transaction_id, head, head_size, 1, payload, size);
	free(head);
	return err;
}

int fg_send_gpa_direct(struct fg_channel *ch, u64 transaction_id, const struct fg_range *range,
		       unsigned count, const void *payload, u32 size)
{
	u32 head_size = (u32)sizeof(struct ring_gpa_direct);
	u8 *head, *at;
	int err;

	for (unsigned i = 0; i < count; i++)
		head_size += 8 + 8 * gpa_range_pages((u32)(range[i].gpa % GUEST_PAGE_SIZE),
						     range[i].len);
	head = malloc(head_size);
	if (!head)
		return -ENOMEM;
	at = head + sizeof(struct ring_gpa_direct);
	for (unsigned i = 0; i < count; i++) {
		struct ring_gpa_range r = { .byte_count = range[i].len,
					    .byte_offset = (u32)(range[i].gpa % GUEST_PAGE_SIZE) };
		u64 pfn = range[i].gpa / GUEST_PAGE_SIZE;

		memcpy(at, &r, sizeof(r));
		at += sizeof(r);
		for (u32 n = gpa_range_pages(r.byte_offset, r.byte_count); n; n--, pfn++, at += 8)
			memcpy(at, &pfn, sizeof(pfn));
	}
	err = send_ranges(ch, transaction_id, head, head_size, count, payload, size);
	free(head);
	return err;
}

/* ---- In -------------------------------------------------------------------------------------- */

/* Bytes the host may write, given where we read. */
static u32 in_free(const struct fg_ring *r, u32 read)
{
	u32 used = (LOAD(r->header->write_index) + r->size - read) % r->size;

	return r->size - used;
}

u32 fg_in_free(const struct fg_channel *ch)
{
	return in_free(&ch->in, ch->in.index);
}

static void signal_on_read(struct fg_channel *ch, u32 old_read)
{
	const struct fg_ring *r = &ch->in;
	u32 pending = LOAD(r->header->pending_send_sz);

	if (!(LOAD(r->header->feature_bits) & RING_FEATURE_PENDING_SEND) || !pending)
		return;
	if (in_free(r, old_read) <= pending && in_free(r, r->index) > pending)
		fg_signal(ch);
}

static bool xfer_parse(const u8 *bytes, u32 offset, struct fg_packet *pkt)
{
	struct ring_xfer_pages head;
	u32 start = sizeof(struct ring_descriptor) + sizeof(head);

	if (offset < start)
		return false;
	memcpy(&head, bytes + sizeof(struct ring_descriptor), sizeof(head));
	if (head.range_cnt > ARRAY_SIZE(pkt->range) ||
	    start + head.range_cnt * sizeof(pkt->range[0]) != offset)
		return false;
	pkt->pageset_id = head.xfer_pageset_id;
	pkt->range_count = head.range_cnt;
	memcpy(pkt->range, bytes + start, head.range_cnt * sizeof(pkt->range[0]));
	return true;
}

static int packet_parse(const u8 *bytes, u32 len, struct fg_packet *pkt)
{
	struct ring_descriptor d;
	u32 offset;

	memcpy(&d, bytes, sizeof(d));
	offset = d.offset8 * RING_ALIGN;
	*pkt = (struct fg_packet){
		.type = d.type,
		.completion_wanted = d.flags & RING_PACKET_COMPLETION_REQUESTED,
		.transaction_id = d.trans_id,
		.payload = bytes + offset,
		.payload_size = len - offset,
	};
	if (d.type == VMBUS_PACKET_TRANSFER_PAGES && !xfer_parse(bytes, offset, pkt))
		return -EPROTO;
	return 1;
}

int fg_recv(struct fg_channel *ch, void *buf, u32 size, struct fg_packet *pkt)
{
	struct fg_ring *r = &ch->in;
	u32 start = r->index, avail, len, offset;
	struct ring_trailer trailer;
	struct ring_descriptor d;

	avail = (LOAD(r->header->write_index) + r->size - start) % r->size;
	if (!avail)
		return 0;
	ring_peek(r, start, &d, sizeof(d));
	len = d.len8 * RING_ALIGN;
	offset = d.offset8 * RING_ALIGN;
	if (avail < sizeof(d) || len + sizeof(trailer) > avail || offset < sizeof(d) ||
	    offset > len)
		return -EPROTO;
	ring_peek(r, start + len, &trailer, sizeof(trailer));
	if (trailer.packet_start != start)
		return -EPROTO;
	if (len > size)
		return -EMSGSIZE;
	ring_peek(r, start, buf, len);
	r->index = (start + len + (u32)sizeof(trailer)) % r->size;
	STORE(r->header->read_index, r->index);
	signal_on_read(ch, start);
	return packet_parse(buf, len, pkt);
}
