/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest receives: each frame is copied into a slot of the guest's receive buffer behind an
 * RNDIS header; the frames of one turn of the loop go out as one transfer-page packet, whose slots
 * are free again once the guest completes it. A few slots are kept for control messages. With no
 * slot left, or no room in the ring, the NIC is told to wait.
 */
#include "devices/netvsp.h"

#include <errno.h>
#include <string.h>

#define CONTROL_SLOTS 16u
/* Slots that must be free before the NIC may go on, so that it does not stop and go for each. */
#define RESUME_SLOTS 64u

/* Pieces of guest memory a slot may lie in: pages of the longest frame, begun anywhere. */
#define SLOT_IOV (RNDIS_FRAME_MAX / GUEST_PAGE_SIZE + 3)

static u16 slot_take(struct netvsp_rx *rx, enum netvsp_slot state)
{
	u16 slot = rx->free;

	rx->free = rx->next[slot];
	rx->free_count--;
	rx->next[slot] = NETVSP_NO_SLOT;
	rx->state[slot] = (u8)state;
	return slot;
}

static void slot_give(struct netvsp_rx *rx, u16 slot)
{
	rx->next[slot] = rx->free;
	rx->state[slot] = SLOT_FREE;
	rx->free = slot;
	rx->free_count++;
}

/* Writes head and body into the slot, one after the other. */
static void slot_write(struct netvsp *n, u16 slot, const struct iovec part[2])
{
	struct iovec iov[SLOT_IOV];
	u32 offset = slot * n->recv.section_size;
	u32 len = (u32)(part[0].iov_len + part[1].iov_len);
	int count = gpadl_iov(n->recv.gpadl, offset, len, iov, SLOT_IOV);
	size_t room = 0;
	u8 *to = NULL;
	int at = 0;

	for (unsigned i = 0; i < 2; i++) {
		const u8 *from = part[i].iov_base;
		size_t left = part[i].iov_len;

		while (left && (room || at < count)) {
			size_t bytes;

			if (!room) {
				to = iov[at].iov_base;
				room = iov[at++].iov_len;
			}
			bytes = MIN(room, left);
			memcpy(to, from, bytes);
			to += bytes;
			from += bytes;
			room -= bytes;
			left -= bytes;
		}
	}
}

static struct vmbus_xfer_range slot_range(const struct netvsp *n, u16 slot, u32 len)
{
	return (struct vmbus_xfer_range){ .byte_count = len,
					  .byte_offset = slot * n->recv.section_size };
}

void netvsp_rx_reset(struct netvsp *n)
{
	struct netvsp_rx *rx = &n->rx;

	rx->free = NETVSP_NO_SLOT;
	rx->free_count = rx->reserved = rx->batch_count = 0;
	rx->stalled = false;
}

static void rx_flush_run(struct loop_flush *f)
{
	struct netvsp *n = container_of(f, struct netvsp, rx.flush);
	void (*flushed)(struct vmbus_channel *) = n->flushed;
	struct vmbus_channel *ch = n->ch;

	if (n->closing) {
		n->closing = false;
		n->ch = NULL;
		channel_closed(ch);
		return;
	}
	netvsp_rx_flush(n);
	if (flushed) {
		n->flushed = NULL;
		flushed(ch);
		return;
	}
	netvsp_rx_update(n);
}

void netvsp_rx_init(struct netvsp *n)
{
	struct netvsp_rx *rx = &n->rx;

	netvsp_rx_reset(n);
	rx->flush.run = rx_flush_run;
	for (u32 slot = n->recv.section_count; slot--;)
		slot_give(rx, (u16)slot);
	rx->reserved = MIN(CONTROL_SLOTS, n->recv.section_count / 4);
}

static const struct nvsp_message *rx_message(struct nvsp_message *m, u32 channel_type)
{
	*m = (struct nvsp_message){
		.type = NVSP_SEND_RNDIS_PKT,
		.rndis_pkt = { .channel_type = channel_type, .section_index = NVSP_NO_SECTION },
	};
	return m;
}

void netvsp_rx_flush(struct netvsp *n)
{
	struct netvsp_rx *rx = &n->rx;
	struct nvsp_message m;

	if (!rx->batch_count)
		return;
	rx->stalled =
		channel_send_xfer(n->ch, n->recv.id, rx->batch_first, rx->batch, rx->batch_count,
				  rx_message(&m, NVSP_CHANNEL_DATA), sizeof(m)) != 0;
	if (!rx->stalled)
		rx->batch_count = 0;
}

static void batch_add(struct netvsp *n, u16 slot, u32 len)
{
	struct netvsp_rx *rx = &n->rx;

	if (rx->batch_count)
		rx->next[rx->batch_last] = slot;
	else
		rx->batch_first = slot;
	rx->batch_last = slot;
	rx->batch[rx->batch_count++] = slot_range(n, slot, len);
	if (rx->batch_count == NETVSP_BATCH)
		netvsp_rx_flush(n);
	else
		loop_flush_later(channel_loop(n->ch), &rx->flush);
}

static bool rx_has_room(const struct netvsp_rx *rx)
{
	return rx->free_count > rx->reserved && rx->batch_count < NETVSP_BATCH && !rx->stalled;
}

bool netvsp_rx_frame(struct nic *nic, const void *frame, u32 len)
{
	struct netvsp *n = nic->data;
	struct netvsp_rx *rx = &n->rx;
	struct rndis_rx_header header;
	struct iovec part[2] = { { &header, sizeof(header) }, { (void *)frame, len } };
	u16 slot;

	if (!rx->enabled)
		return false;
	if (len < RNDIS_ETHERNET_HEADER || !rndis_accepts(&n->adapter, frame))
		return true;
	if (len > n->recv.section_size - RNDIS_RX_HEADER) {
		n->adapter.rx_errors++;
		return true;
	}
	if (!rx_has_room(rx)) {
		n->adapter.rx_no_buffer++;
		netvsp_rx_update(n);
		return false;
	}
	slot = slot_take(rx, rx->batch_count ? SLOT_FURTHER : SLOT_FIRST);
	rndis_rx_header(&header, len);
	slot_write(n, slot, part);
	batch_add(n, slot, RNDIS_RX_HEADER + len);
	n->adapter.rx_frames++;
	n->adapter.rx_bytes += len;
	if (!rx_has_room(rx))
		netvsp_rx_update(n);
	return true;
}

void netvsp_rx_complete(struct netvsp *n, u64 transaction_id)
{
	struct netvsp_rx *rx = &n->rx;
	u16 slot;

	if (transaction_id >= n->recv.section_count || rx->state[transaction_id] != SLOT_FIRST ||
	    (rx->batch_count && transaction_id == rx->batch_first)) {
		log_guest(&n->bad_completions, "netvsp: the guest completed a packet it never got");
		return;
	}
	slot = (u16)transaction_id;
	while (slot != NETVSP_NO_SLOT) {
		u16 next = rx->next[slot];

		slot_give(rx, slot);
		slot = next;
	}
}

void netvsp_rx_update(struct netvsp *n)
{
	struct netvsp_rx *rx = &n->rx;
	u32 usable = n->recv.section_count - rx->reserved;
	u32 least = rx->enabled ? 0 : MIN(RESUME_SLOTS, usable / 2);
	bool enable = n->recv.gpadl && n->adapter.initialized && n->adapter.filter &&
		      rx_has_room(rx) && rx->free_count > rx->reserved + least;

	if (!n->ch || n->closing || enable == rx->enabled)
		return;
	rx->enabled = enable;
	n->nic->ops->receive_enable(n->nic, enable);
}

bool netvsp_rx_control_room(const struct netvsp *n)
{
	return n->recv.gpadl && n->rx.free_count;
}

void netvsp_rx_control(struct netvsp *n, const void *message, u32 len)
{
	struct iovec part[2] = { { (void *)message, len }, { NULL, 0 } };
	u16 slot = slot_take(&n->rx, SLOT_FIRST);
	struct netvsp_out out = { .xfer = true,
				  .transaction_id = slot,
				  .size = sizeof(out.message),
				  .range = slot_range(n, slot, len) };

	slot_write(n, slot, part);
	rx_message(&out.message, NVSP_CHANNEL_CONTROL);
	netvsp_out_push(n, &out);
}

/* ---- Saving and restoring -------------------------------------------------------------------- */

static u32 chain_len(const struct netvsp_rx *rx, u16 slot)
{
	u32 len = 0;

	for (; slot != NETVSP_NO_SLOT; slot = rx->next[slot])
		len++;
	return len;
}

static void chains_save(const struct netvsp *n, struct stream_out *out)
{
	const struct netvsp_rx *rx = &n->rx;
	size_t at = out->len;
	u32 count = 0;

	stream_put_u32(out, 0);
	for (u32 first = 0; first < n->recv.section_count; first++) {
		if (rx->state[first] != SLOT_FIRST || (rx->batch_count && rx->batch_first == first))
			continue;
		stream_put_u32(out, chain_len(rx, (u16)first));
		for (u16 slot = (u16)first; slot != NETVSP_NO_SLOT; slot = rx->next[slot])
			stream_put_u16(out, slot);
		count++;
	}
	stream_patch_u32(out, at, count);
}

void netvsp_rx_save(const struct netvsp *n, struct stream_out *out)
{
	const struct netvsp_rx *rx = &n->rx;

	chains_save(n, out);
	stream_put_u32(out, rx->batch_count);
	for (u32 i = 0; i < rx->batch_count; i++) {
		stream_put_u16(out, (u16)(rx->batch[i].byte_offset / n->recv.section_size));
		stream_put_u32(out, rx->batch[i].byte_count);
	}
	stream_put_u8(out, rx->stalled);
}

/* Puts the next slot behind `last`, or first. The slot, or NETVSP_NO_SLOT: it is no free one. */
static u16 chain_restore(struct netvsp *n, struct stream_in *in, u16 last)
{
	struct netvsp_rx *rx = &n->rx;
	u16 slot = stream_get_u16(in);

	if (in->bad || slot >= n->recv.section_count || rx->state[slot] != SLOT_FREE)
		return NETVSP_NO_SLOT;
	rx->state[slot] = last == NETVSP_NO_SLOT ? SLOT_FIRST : SLOT_FURTHER;
	rx->next[slot] = NETVSP_NO_SLOT;
	if (last != NETVSP_NO_SLOT)
		rx->next[last] = slot;
	return slot;
}

static int chains_restore(struct netvsp *n, struct stream_in *in)
{
	for (u32 count = stream_get_u32(in); count; count--) {
		u32 len = stream_get_u32(in);
		u16 last = NETVSP_NO_SLOT;

		if (!len || len > NETVSP_BATCH)
			return -EINVAL;
		for (; len; len--) {
			last = chain_restore(n, in, last);
			if (last == NETVSP_NO_SLOT)
				return -EINVAL;
		}
	}
	return 0;
}

static int batch_restore(struct netvsp *n, struct stream_in *in)
{
	struct netvsp_rx *rx = &n->rx;
	u32 count = stream_get_u32(in);
	u16 last = NETVSP_NO_SLOT;

	if (count > NETVSP_BATCH)
		return -EINVAL;
	for (u32 i = 0; i < count; i++) {
		u32 len;

		last = chain_restore(n, in, last);
		len = stream_get_u32(in);
		if (last == NETVSP_NO_SLOT || len < RNDIS_RX_HEADER || len > n->recv.section_size)
			return -EINVAL;
		if (!i)
			rx->batch_first = last;
		rx->batch[i] = slot_range(n, last, len);
	}
	rx->batch_last = last;
	rx->batch_count = count;
	rx->stalled = stream_get_bool(in);
	return rx->stalled && !count ? -EINVAL : 0;
}

int netvsp_rx_restore(struct netvsp *n, struct stream_in *in)
{
	struct netvsp_rx *rx = &n->rx;
	int err = chains_restore(n, in);

	if (!err)
		err = batch_restore(n, in);
	rx->free = NETVSP_NO_SLOT;
	rx->free_count = 0;
	for (u32 slot = n->recv.section_count; slot--;)
		if (rx->state[slot] == SLOT_FREE)
			slot_give(rx, (u16)slot);
	return err;
}
