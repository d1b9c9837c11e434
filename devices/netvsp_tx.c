/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest sends: RNDIS messages in a section of the send buffer, in ranges of guest memory,
 * or the first part there and the rest here. Frames go to the NIC by iovec, straight from guest
 * memory; control messages are copied, carried out and answered.
 */
#include "devices/netvsp.h"

#include "vmbus/gpa_range.h"

/* More than the guest was told it may put in one transmission; beyond it, it is up to no good. */
#define FRAMES_MAX (4 * RNDIS_PACKETS_MAX)

/* Adds the part that lies in the send buffer. */
static bool tx_add_section(struct netvsp *n, const struct nvsp_rndis_pkt *m)
{
	struct rndis_buf *tx = &n->tx;
	int count;

	if (m->section_index == NVSP_NO_SECTION)
		return true;
	if (m->section_index >= n->send.section_count || m->section_size > n->send.section_size)
		return false;
	if (!m->section_size)
		return true;
	count = gpadl_iov(n->send.gpadl, m->section_index * n->send.section_size, m->section_size,
			  tx->iov, RNDIS_IOV_MAX);
	return count >= 0 && !rndis_buf_grow(tx, (unsigned)count);
}

/* Adds the part that lies anywhere in guest memory. */
static bool tx_add_ranges(struct netvsp *n, const struct vmbus_packet *pkt)
{
	struct rndis_buf *tx = &n->tx;
	u32 total;
	int count;

	if (pkt->type != VMBUS_PACKET_GPA_DIRECT)
		return true;
	count = gpa_range_iov(channel_mem(n->ch), pkt->ranges, pkt->ranges_size, pkt->range_count,
			      tx->iov + tx->count, RNDIS_IOV_MAX - tx->count, &total);
	return count >= 0 && !rndis_buf_grow(tx, (unsigned)count);
}

static enum nvsp_status tx_frames(struct netvsp *n)
{
	struct rndis_adapter *a = &n->adapter;
	int more;

	/* A driver on its way out halts before its queues stop: frames of that moment are lost. */
	if (!a->initialized) {
		a->tx_errors++;
		return NVSP_STATUS_SUCCESS;
	}
	for (unsigned i = 0; (more = rndis_next_frame(&n->tx, &n->frame)) > 0; i++) {
		if (i == FRAMES_MAX) {
			more = -1;
			break;
		}
		if (n->nic->ops->send(n->nic, n->frame.iov, n->frame.count)) {
			a->tx_errors++;
			continue;
		}
		a->tx_frames++;
		a->tx_bytes += n->frame.len;
	}
	if (!more)
		return NVSP_STATUS_SUCCESS;
	log_guest(&n->bad_frames, "netvsp: the guest sent a malformed packet message");
	return NVSP_STATUS_INVALID_RNDIS_PKT;
}

static enum nvsp_status tx_control(struct netvsp *n)
{
	u32 size = MIN(n->tx.size, RNDIS_CONTROL_MAX);
	int len;

	if (!netvsp_rx_control_room(n))
		return NVSP_STATUS_BUSY;
	if (rndis_buf_copy(&n->tx, 0, n->control, size))
		return NVSP_STATUS_FAIL;
	len = rndis_control(&n->adapter, n->control, size, n->response);
	if (len < 0) {
		log_guest(&n->bad_messages, "netvsp: the guest sent a malformed control message");
		return NVSP_STATUS_INVALID_RNDIS_PKT;
	}
	n->response_len = (u32)len;
	return NVSP_STATUS_SUCCESS;
}

void netvsp_answer(struct netvsp *n)
{
	if (n->response_len)
		netvsp_rx_control(n, n->response, n->response_len);
	n->response_len = 0;
	/*
	 * The first filter is the sign that the guest's driver runs: tell it that the link is up.
	 */
	if (n->announced || !n->adapter.filter || !netvsp_rx_control_room(n))
		return;
	n->announced = true;
	netvsp_rx_control(n, n->response,
			  rndis_indication(RNDIS_STATUS_MEDIA_CONNECT, n->response));
}

enum nvsp_status netvsp_transmit(struct netvsp *n, const struct vmbus_packet *pkt,
				 const struct nvsp_rndis_pkt *m)
{
	n->tx.count = 0;
	n->tx.size = 0;
	n->tx.used = 0;
	if (!tx_add_section(n, m) || !tx_add_ranges(n, pkt)) {
		log_guest(&n->bad_packets, "netvsp: the guest sent from memory that is not there");
		return NVSP_STATUS_INVALID_RNDIS_PKT;
	}
	switch (m->channel_type) {
	case NVSP_CHANNEL_DATA:
		return tx_frames(n);
	case NVSP_CHANNEL_CONTROL:
		return tx_control(n);
	default:
		return NVSP_STATUS_INVALID_RNDIS_PKT;
	}
}
