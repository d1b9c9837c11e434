/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Remote NDIS as pure functions: Ethernet frames out of packet messages that lie scattered in
 * guest memory (rndis.c), and answers to control messages (rndis_oid.c). [MS-RNDIS].
 *
 * Guest memory is read once: headers are copied, checked and used from the copy; payload is
 * described by iovecs and never looked into. Nothing here allocates, waits or knows of VMBus.
 */
#ifndef DEVICES_RNDIS_H
#define DEVICES_RNDIS_H

#include <sys/uio.h>

#include "base/types.h"
#include "devices/rndis_proto.h"

/* ---- Frames the guest sends ------------------------------------------------------------------ */

/* Pieces of guest memory one transmission may consist of: 64 KiB and a piece for each fragment. */
#define RNDIS_IOV_MAX 96

/* A transmission: one or more messages, one after the other. */
struct rndis_buf {
	struct iovec iov[RNDIS_IOV_MAX];
	unsigned count;
	u32 size; /* bytes in iov */
	u32 used; /* bytes consumed by rndis_next_frame() */
};

/* Adds count pieces already placed at buf->iov[buf->count]. 0, or -EMSGSIZE beyond 1 MiB. */
int rndis_buf_grow(struct rndis_buf *buf, unsigned count);

/* Copies [offset, offset + len) out of guest memory. 0, or -EINVAL outside the transmission. */
int rndis_buf_copy(const struct rndis_buf *buf, u32 offset, void *dst, u32 len);

#define RNDIS_ETHERNET_HEADER 14u
#define RNDIS_VLAN_HEADER 4u
/* Longest frame taken: as NIC_FRAME_MAX. */
#define RNDIS_FRAME_MAX 65550u

/* A frame to send; iov[0] may point to `head`, so do not copy the structure. */
struct rndis_frame {
	struct iovec iov[RNDIS_IOV_MAX + 1];
	unsigned count;
	u32 len;
	u8 head[12 + RNDIS_VLAN_HEADER]; /* addresses and the VLAN tag the guest asked to insert */
};

/*
 * The next packet message of buf as a frame. 1: *frame is set; 0: none left; -EINVAL: malformed,
 * and where the next message begins is not known.
 */
int rndis_next_frame(struct rndis_buf *buf, struct rndis_frame *frame);

/* ---- Frames the guest receives --------------------------------------------------------------- */

/* Bytes in front of a frame the guest receives. */
#define RNDIS_RX_HEADER ((u32)(sizeof(struct rndis_header) + sizeof(struct rndis_packet)))

struct rndis_rx_header {
	struct rndis_header header;
	struct rndis_packet packet;
};
static_assert(sizeof(struct rndis_rx_header) == 44, "RNDIS packet message without info");

/* Fills the header of a packet message that carries one frame of len bytes. */
void rndis_rx_header(struct rndis_rx_header *h, u32 len);

/* ---- Control messages ------------------------------------------------------------------------ */

/* What the guest may ask for and set. The owner sets the first part and zeroes the rest. */
struct rndis_adapter {
	u8 permanent_mac[6];
	u32 mtu; /* without the Ethernet header */
	u64 link_speed; /* bit/s */
	u16 ndis_major, ndis_minor;
	/* Set by control messages. */
	bool initialized;
	u8 mac[6]; /* current */
	u32 filter; /* NDIS_FILTER_* */
	/* Statistics, counted by the owner. */
	u64 tx_frames, tx_bytes, tx_errors;
	u64 rx_frames, rx_bytes, rx_errors, rx_no_buffer;
};

/* Longest control message taken, longest answer given. */
#define RNDIS_CONTROL_MAX 4096u
#define RNDIS_RESPONSE_MAX 512u

/* Messages the guest may put in one transmission, and their alignment: 1 << factor bytes. */
#define RNDIS_PACKETS_MAX 8u
#define RNDIS_ALIGNMENT_FACTOR 3u

/* Back to the state before INITIALIZE. */
void rndis_adapter_reset(struct rndis_adapter *a);

/*
 * Carries out the control message msg (a private copy, len bytes) and writes the answer. The
 * answer's bytes; 0: there is none (HALT); -EINVAL: not a message that could be answered.
 */
int rndis_control(struct rndis_adapter *a, const void *msg, u32 len,
		  u8 response[RNDIS_RESPONSE_MAX]);

/* Writes a status indication without data and returns its bytes. */
u32 rndis_indication(u32 status, u8 message[RNDIS_RESPONSE_MAX]);

/*
 * Whether the guest's packet filter lets frame (at least RNDIS_ETHERNET_HEADER bytes) in. The
 * multicast list is not kept: who asks for some multicast gets all.
 */
bool rndis_accepts(const struct rndis_adapter *a, const void *frame);

#endif
