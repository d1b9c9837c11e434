/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ring codec: packets in and out of one ring in guest memory. Pure: it works on a list of host
 * pages, calls nothing back, allocates nothing, and knows neither channels nor signals; it only
 * says when one is due. A ring is used by one thread at a time.
 *
 * The peer can write anything anywhere in the ring at any time. Our own index is kept privately
 * and never read back; the peer's index and every packet are copied once, checked, then used. An
 * index out of range or a packet that cannot be delimited breaks the ring for good: it yields
 * and takes nothing more.
 */
#ifndef VMBUS_RING_H
#define VMBUS_RING_H

#include <sys/uio.h>

#include "base/types.h"
#include "vmbus/ring_proto.h"

/* One end of a ring. Zeroed is valid: broken, no memory. */
struct ring {
	struct ring_header *header; /* guest memory */
	u8 *const *page; /* the data pages, host addresses; NULL: not mapped */
	u8 *flat; /* the data, where its pages follow each other; else NULL */
	u32 size; /* bytes of data */
	u32 index; /* ours: of the next packet to read or write */
	u32 published; /* what the header says of it */
	u32 peer; /* the peer's index as we last saw it */
	bool broken;
	bool waiting; /* writer: pending_send_sz is set */
};

/*
 * Maps a ring of page_count (>= 2) pages, the header first; page[] and what it points to must
 * outlive the ring. Starts where the header's indices stand. 0, or -EINVAL where they are wrong.
 */
int ring_init_reader(struct ring *r, u8 *const *page, u32 page_count);

/* The same; says in the header that we use pending_send_sz. */
int ring_init_writer(struct ring *r, u8 *const *page, u32 page_count);

/*
 * The same two for a ring that was in use: go on from index, whatever the header says by now, and
 * write nothing to it. waiting: pending_send_sz is set there. 0, or -EINVAL.
 */
int ring_restore_reader(struct ring *r, u8 *const *page, u32 page_count, u32 index);
int ring_restore_writer(struct ring *r, u8 *const *page, u32 page_count, u32 index, bool waiting);

/* ---- Reader ---------------------------------------------------------------------------------- */

/*
 * Copies the next packet (descriptor up to, not including, its trailer) into buf and goes past it.
 * 1: *len bytes are there, with a descriptor whose len8 and offset8 fit them; 0: none;
 * -EMSGSIZE: longer than max, passed over; -EBADMSG: malformed, and either passed over or the ring
 * is broken now.
 */
int ring_read(struct ring *r, void *buf, u32 max, u32 *len);

/* Gives the room of what was read back. True: the writer waits for it, signal. */
bool ring_read_commit(struct ring *r);

/* Tells the writer not to signal new packets. */
void ring_mask(struct ring *r);

/*
 * Tells it to signal again, then looks once more. True: packets came meanwhile that no signal
 * follows: mask and read on. Everything read must be committed before.
 */
bool ring_unmask(struct ring *r);

/* ---- Writer ---------------------------------------------------------------------------------- */

/* What a packet is made of. */
struct ring_packet {
	u16 type; /* enum vmbus_packet_type */
	u16 flags; /* RING_PACKET_* */
	u64 transaction_id;
	const void *head; /* after the descriptor: transfer-page header and ranges */
	u32 head_size; /* bytes, a multiple of 8 */
	const struct iovec *payload;
	unsigned payload_count;
};

/*
 * Writes a packet, unseen by the reader until ring_write_commit(). 0; -EAGAIN: no room now;
 * -EMSGSIZE: larger than the ring, or than a packet can be; -EPIPE: broken.
 */
int ring_write(struct ring *r, const struct ring_packet *p);

/* Shows the reader what was written. True: it may be asleep, signal. */
bool ring_write_commit(struct ring *r);

/* With everything committed: asks the reader to signal once p fits where it does not now. */
void ring_wait_begin(struct ring *r, const struct ring_packet *p);

/*
 * After ring_write() said -EAGAIN, with everything committed: asks the reader to signal once p
 * fits. True: it fits already, and no signal follows.
 */
bool ring_wait_room(struct ring *r, const struct ring_packet *p);

/* Takes that request back. */
void ring_wait_end(struct ring *r);

/* The reader signals when it makes the room we wait for; else we must look ourselves. */
bool ring_peer_signals_room(const struct ring *from_peer);

#endif
