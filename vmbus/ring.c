/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How reader and writer keep from sleeping past each other. Each side stores its own word, then
 * loads the other's; both with sequential consistency, so at least one of them sees the other.
 * Linux's side of both is in drivers/hv/ring_buffer.c.
 *
 * New packets (writer: ring_write_commit(); reader: ring_read_commit(), ring_unmask()):
 *   W1 store the packet           R1 store read_index (all that was read)
 *   W2 store write_index          R2 store interrupt_mask = 0
 *   W3 load interrupt_mask        R3 load write_index; not all read: mask, read on
 *   W4 load read_index
 *   W5 signal where the mask is clear and read_index is where write_index was: the ring was
 *      empty, the reader may be asleep. Otherwise it has yet to do R3 and will see W2.
 *
 * Room (writer: ring_write_commit(), ring_wait_room(); reader: ring_read_commit()):
 *   W1 store write_index          R1 store read_index
 *   W2 store pending_send_sz      R2 load pending_send_sz; 0: nobody waits
 *   W3 load read_index; room:     R3 load write_index
 *      pending_send_sz = 0, go on R4 signal where the free room was at most pending_send_sz
 *                                    before R1 and is more after it
 *   W1 must come before W2: a reader that does not know of all packets believes there is more
 *   room than there is, sees no change in R4 and never signals.
 */
#include "vmbus/ring.h"

#include <errno.h>
#include <string.h>

#define RING_TRAILER_SIZE ((u32)sizeof(struct ring_trailer))
#define RING_DESCRIPTOR_SIZE ((u32)sizeof(struct ring_descriptor))

static u32 word_load(const u32 *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void word_store(u32 *word, u32 value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static bool index_valid(const struct ring *r, u32 index)
{
	return index < r->size && index % RING_ALIGN == 0;
}

static u32 index_add(const struct ring *r, u32 index, u32 bytes)
{
	index += bytes;
	return index >= r->size ? index - r->size : index;
}

/* Bytes from one index forward to another. */
static u32 index_distance(const struct ring *r, u32 from, u32 to)
{
	return to >= from ? to - from : r->size - from + to;
}

static bool pages_follow(u8 *const *page, u32 count)
{
	for (u32 i = 1; i < count; i++)
		if (page[i] != page[i - 1] + RING_PAGE_SIZE)
			return false;
	return true;
}

/* Maps the memory; both indices are taken from the header once, by the callers' roles. */
static int ring_map(struct ring *r, u8 *const *page, u32 page_count)
{
	*r = (struct ring){ .broken = true };
	if (page_count < 2 || page_count > UINT32_MAX / RING_PAGE_SIZE / 2)
		return -EINVAL;
	r->header = (struct ring_header *)page[0];
	r->page = page + 1;
	r->size = (page_count - 1) * RING_PAGE_SIZE;
	r->flat = pages_follow(r->page, page_count - 1) ? r->page[0] : NULL;
	return 0;
}

static int ring_start(struct ring *r, u32 own, u32 peer)
{
	if (!index_valid(r, own) || !index_valid(r, peer))
		return -EINVAL;
	r->index = r->published = own;
	r->peer = peer;
	r->broken = false;
	return 0;
}

int ring_init_reader(struct ring *r, u8 *const *page, u32 page_count)
{
	int err = ring_map(r, page, page_count);

	if (err)
		return err;
	return ring_start(r, word_load(&r->header->read_index), word_load(&r->header->write_index));
}

int ring_init_writer(struct ring *r, u8 *const *page, u32 page_count)
{
	int err = ring_map(r, page, page_count);

	if (err)
		return err;
	err = ring_start(r, word_load(&r->header->write_index), word_load(&r->header->read_index));
	if (err)
		return err;
	word_store(&r->header->feature_bits, RING_FEATURE_PENDING_SEND);
	word_store(&r->header->pending_send_sz, 0);
	return 0;
}

int ring_restore_reader(struct ring *r, u8 *const *page, u32 page_count, u32 index)
{
	int err = ring_map(r, page, page_count);

	/* Nothing known of is left to read: it looks at the header. */
	return err ? err : ring_start(r, index, index);
}

int ring_restore_writer(struct ring *r, u8 *const *page, u32 page_count, u32 index, bool waiting)
{
	int err = ring_map(r, page, page_count);

	if (err)
		return err;
	r->waiting = waiting;
	/* No room known of is left: it looks at the header. */
	return ring_start(r, index, index_valid(r, index) ? index_add(r, index, RING_ALIGN) : 0);
}

/* The longest piece of data memory at index, at most len bytes, that is contiguous. */
static u8 *ring_piece(const struct ring *r, u32 index, u32 len, u32 *piece)
{
	u32 offset = index % RING_PAGE_SIZE;

	if (r->flat) {
		*piece = MIN(len, r->size - index);
		return r->flat + index;
	}
	*piece = MIN(len, RING_PAGE_SIZE - offset);
	return r->page[index / RING_PAGE_SIZE] + offset;
}

/*
 * The address of len bytes at index where no page or end of the ring lies between them, else NULL.
 */
static u8 *ring_span(const struct ring *r, u32 index, u32 len)
{
	u32 offset = index % RING_PAGE_SIZE;

	if (r->flat)
		return len <= r->size - index ? r->flat + index : NULL;
	return len <= RING_PAGE_SIZE - offset ? r->page[index / RING_PAGE_SIZE] + offset : NULL;
}

static __attribute__((noinline)) void ring_gather(const struct ring *r, u32 index, u8 *dst, u32 len)
{
	u32 piece;

	for (; len; len -= piece, dst += piece, index = index_add(r, index, piece)) {
		const u8 *src = ring_piece(r, index, len, &piece);

		memcpy(dst, src, piece);
	}
}

static __attribute__((noinline)) void ring_scatter(const struct ring *r, u32 index, const u8 *src,
						   u32 len)
{
	u32 piece;

	for (; len; len -= piece, src += piece, index = index_add(r, index, piece)) {
		u8 *dst = ring_piece(r, index, len, &piece);

		memcpy(dst, src, piece);
	}
}

/* Inline, as most copies are in one piece, and those of descriptors of a length known here. */
static inline __attribute__((always_inline)) void ring_copy_out(const struct ring *r, u32 index,
								void *to, u32 len)
{
	const u8 *src = ring_span(r, index, len);

	if (src)
		memcpy(to, src, len);
	else
		ring_gather(r, index, to, len);
	/* The guest may change it by now: the compiler is not to fetch any of it once more. */
	__asm__ volatile("" : : : "memory");
}

/* Returns the index after the bytes. */
static inline __attribute__((always_inline)) u32 ring_copy_in(const struct ring *r, u32 index,
							      const void *from, u32 len)
{
	u8 *dst = ring_span(r, index, len);

	if (!len)
		return index;
	if (dst)
		memcpy(dst, from, len);
	else
		ring_scatter(r, index, from, len);
	return index_add(r, index, len);
}

/* ---- Reader ---------------------------------------------------------------------------------- */

/* Bytes there are to read, or -EBADMSG. Looks at the header only when what it knew of is read. */
static s64 ring_readable(struct ring *r)
{
	u32 write;

	if (r->index != r->peer)
		return index_distance(r, r->index, r->peer);
	write = word_load(&r->header->write_index);
	if (!index_valid(r, write)) {
		r->broken = true;
		return -EBADMSG;
	}
	r->peer = write;
	return index_distance(r, r->index, write);
}

static int ring_break(struct ring *r)
{
	r->broken = true;
	return -EBADMSG;
}

int ring_read(struct ring *r, void *buf, u32 max, u32 *len)
{
	struct ring_descriptor d;
	s64 avail = r->broken ? 0 : ring_readable(r);
	u32 size, offset, at = r->index;

	if (avail <= 0)
		return (int)avail;
	if (avail < RING_DESCRIPTOR_SIZE + RING_TRAILER_SIZE)
		return ring_break(r);
	ring_copy_out(r, at, &d, RING_DESCRIPTOR_SIZE);
	size = d.len8 * RING_ALIGN;
	offset = d.offset8 * RING_ALIGN;
	if (size < RING_DESCRIPTOR_SIZE || (s64)size + RING_TRAILER_SIZE > avail)
		return ring_break(r);
	r->index = index_add(r, at, size + RING_TRAILER_SIZE);
	if (offset < RING_DESCRIPTOR_SIZE || offset > size)
		return -EBADMSG;
	if (size > max)
		return -EMSGSIZE;
	/* The descriptor as checked, not as it may be by now. */
	memcpy(buf, &d, RING_DESCRIPTOR_SIZE);
	ring_copy_out(r, index_add(r, at, RING_DESCRIPTOR_SIZE), (u8 *)buf + RING_DESCRIPTOR_SIZE,
		      size - RING_DESCRIPTOR_SIZE);
	*len = size;
	return 1;
}

/* Room for the writer, both indices given; the writer can use less than all of it. */
static u32 ring_room(const struct ring *r, u32 read, u32 write)
{
	return r->size - index_distance(r, read, write);
}

bool ring_read_commit(struct ring *r)
{
	u32 before = r->published, pending, write;

	if (!r->header || r->index == before)
		return false;
	word_store(&r->header->read_index, r->index);
	r->published = r->index;
	pending = word_load(&r->header->pending_send_sz);
	if (!pending || !(word_load(&r->header->feature_bits) & RING_FEATURE_PENDING_SEND))
		return false;
	write = word_load(&r->header->write_index);
	if (!index_valid(r, write))
		return false;
	return ring_room(r, before, write) <= pending && ring_room(r, r->index, write) > pending;
}

void ring_mask(struct ring *r)
{
	word_store(&r->header->interrupt_mask, 1);
}

bool ring_unmask(struct ring *r)
{
	word_store(&r->header->interrupt_mask, 0);
	/* A wrong index counts as news: ring_read() deals with it. */
	return word_load(&r->header->write_index) != r->index;
}

/* ---- Writer ---------------------------------------------------------------------------------- */

/* Bytes p takes in the ring; 0 where no packet can be so large. */
static u32 packet_size(const struct ring_packet *p)
{
	u64 size = RING_DESCRIPTOR_SIZE + (u64)p->head_size;

	for (unsigned i = 0; i < p->payload_count; i++)
		size += p->payload[i].iov_len;
	size = ALIGN_UP(size, (u64)RING_ALIGN);
	return size / RING_ALIGN > UINT16_MAX ? 0 : (u32)size + RING_TRAILER_SIZE;
}

/* A full ring would look empty: some room always stays free. */
static bool ring_fits(struct ring *r, u32 size)
{
	u32 read;

	if (ring_room(r, r->peer, r->index) > size)
		return true;
	read = word_load(&r->header->read_index);
	if (!index_valid(r, read)) {
		r->broken = true;
		return false;
	}
	r->peer = read;
	return ring_room(r, read, r->index) > size;
}

static u32 ring_put_payload(const struct ring *r, u32 at, const struct ring_packet *p)
{
	static const u8 zeros[RING_ALIGN];
	u32 bytes = 0;

	for (unsigned i = 0; i < p->payload_count; i++) {
		u32 len = (u32)p->payload[i].iov_len;

		at = ring_copy_in(r, at, p->payload[i].iov_base, len);
		bytes += len;
	}
	return ring_copy_in(r, at, zeros, ALIGN_UP(bytes, RING_ALIGN) - bytes);
}

int ring_write(struct ring *r, const struct ring_packet *p)
{
	u32 size = packet_size(p), at = r->index;
	struct ring_descriptor d = {
		.type = p->type,
		.offset8 = (u16)((RING_DESCRIPTOR_SIZE + p->head_size) / RING_ALIGN),
		.len8 = (u16)((size - RING_TRAILER_SIZE) / RING_ALIGN),
		.flags = p->flags,
		.trans_id = p->transaction_id,
	};
	struct ring_trailer trailer = { .packet_start = at };

	if (r->broken)
		return -EPIPE;
	if (!size || size >= r->size)
		return -EMSGSIZE;
	if (!ring_fits(r, size))
		return r->broken ? -EPIPE : -EAGAIN;
	at = ring_copy_in(r, at, &d, RING_DESCRIPTOR_SIZE);
	at = ring_copy_in(r, at, p->head, p->head_size);
	at = ring_put_payload(r, at, p);
	r->index = ring_copy_in(r, at, &trailer, RING_TRAILER_SIZE);
	return 0;
}

bool ring_write_commit(struct ring *r)
{
	u32 before = r->published;

	if (!r->header || r->index == before)
		return false;
	word_store(&r->header->write_index, r->index);
	r->published = r->index;
	return !word_load(&r->header->interrupt_mask) &&
	       word_load(&r->header->read_index) == before;
}

void ring_wait_begin(struct ring *r, const struct ring_packet *p)
{
	word_store(&r->header->pending_send_sz, packet_size(p));
	r->waiting = true;
}

bool ring_wait_room(struct ring *r, const struct ring_packet *p)
{
	ring_wait_begin(r, p);
	if (!ring_fits(r, packet_size(p)))
		return false;
	ring_wait_end(r);
	return true;
}

void ring_wait_end(struct ring *r)
{
	if (!r->waiting)
		return;
	r->waiting = false;
	word_store(&r->header->pending_send_sz, 0);
}

bool ring_peer_signals_room(const struct ring *from_peer)
{
	return word_load(&from_peer->header->feature_bits) & RING_FEATURE_PENDING_SEND;
}
