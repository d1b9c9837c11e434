/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the files of the synthetic NIC; others use devices.h. netvsp.c speaks NVSP, netvsp_tx.c
 * takes what the guest sends, netvsp_rx.c brings what it receives, netvsp_save.c is for saving.
 * Everything belongs to the channel's loop, and so does the NIC behind it.
 *
 * Frames are copied at once in both directions, so nothing of guest memory is ever in flight: a
 * buffer can be given back the moment the guest revokes it or closes the channel.
 */
#ifndef DEVICES_NETVSP_H
#define DEVICES_NETVSP_H

#include "base/log.h"
#include "devices/devices.h"
#include "devices/netvsp_proto.h"
#include "devices/rndis.h"

/* Largest packet a guest sends: a full list of ranges for one transmission, and then some. */
#define NETVSP_PACKET_MAX 4096u

/* Length of a slot of the send buffer, and the least of the receive buffer: Linux's defaults. */
#define NETVSP_SEND_SECTION 6144u
#define NETVSP_RECV_SECTION 1728u

/* The guest's MTU and the Ethernet header, before it says otherwise. */
#define NETVSP_FRAME_DEFAULT (NIC_MTU + RNDIS_ETHERNET_HEADER)

/* Slots of the receive buffer in use, however large it is: the guest's 31 MiB at most. */
#define NETVSP_SLOTS_MAX 18816u
#define NETVSP_NO_SLOT 0xffffu
static_assert(NETVSP_SLOTS_MAX < NETVSP_NO_SLOT, "slots are numbered by 16 bits");

/* Frames that go to the guest in one packet: what channel_send_xfer() takes. */
#define NETVSP_BATCH 64u

/* A buffer the guest shares. Zeroed: none. */
struct netvsp_buffer {
	struct gpadl *gpadl;
	u16 id;
	u32 section_size;
	u32 section_count;
};

/*
 * The receive buffer's slots. A slot is free, part of the batch being filled, or the guest's. Slots
 * of one packet are a chain by next[]; its first slot is the packet's transaction id.
 */
enum netvsp_slot { SLOT_FREE, SLOT_FIRST, SLOT_FURTHER };

struct netvsp_rx {
	u16 next[NETVSP_SLOTS_MAX];
	u8 state[NETVSP_SLOTS_MAX]; /* enum netvsp_slot */
	u16 free; /* the first free slot; the last one freed, so still in cache */
	u32 free_count;
	u32 reserved; /* of these for control messages */
	struct vmbus_xfer_range batch[NETVSP_BATCH];
	u32 batch_count;
	u16 batch_first, batch_last;
	struct loop_flush flush;
	bool stalled; /* the ring had no room for the batch */
	bool enabled; /* the NIC may call receive() */
};

/* A packet to the guest that may have to wait for room in the ring. */
struct netvsp_out {
	bool xfer; /* a control message in a slot, else a completion */
	u64 transaction_id;
	struct vmbus_xfer_range range;
	u32 size; /* bytes of message */
	struct nvsp_message message;
};

/* One packet of the guest causes at most three: see receive_packets(). */
#define NETVSP_OUT_MAX 4u

enum netvsp_phase {
	NETVSP_CLOSED = 1,
	NETVSP_OPEN = 2, /* no version yet */
	NETVSP_READY = 4, /* n->version is agreed on */
};

struct netvsp {
	struct vmbus_device device;
	struct nic *nic;
	struct vmbus_channel *ch; /* NULL: closed */
	enum netvsp_phase phase;
	bool closing; /* the flush under way ends with channel_closed() */
	/* NULL, or what it ends with where nothing more is to be received: frozen, or detached. */
	void (*flushed)(struct vmbus_channel *ch);
	bool announced; /* the guest was told that the link is up */
	u32 version;
	u32 frame_max; /* the guest's MTU and the Ethernet header */
	struct rndis_adapter adapter;
	struct netvsp_buffer recv, send;
	struct netvsp_rx rx;
	struct netvsp_out out[NETVSP_OUT_MAX];
	unsigned out_count;
	struct log_guest bad_packets, bad_messages, bad_frames, bad_completions;
	/* One packet's work, kept off the stack. */
	struct rndis_buf tx;
	struct rndis_frame frame;
	u8 control[RNDIS_CONTROL_MAX];
	u8 response[RNDIS_RESPONSE_MAX];
	u32 response_len; /* of the answer to the control message at hand; 0: none */
	u8 packet[NETVSP_PACKET_MAX];
};

/* ---- netvsp.c -------------------------------------------------------------------------------- */

/* Queues a packet behind those that wait for room. */
void netvsp_out_push(struct netvsp *n, const struct netvsp_out *out);

/* Takes the buffer a message names, in sections of this size, at least `least` of them. */
bool netvsp_buffer_get(struct netvsp *n, struct netvsp_buffer *b, const struct nvsp_send_buf *m,
		       u32 section_size, u32 least);

/* A slot holds the RNDIS header and the guest's longest frame, VLAN tag included. */
u32 netvsp_recv_section_size(const struct netvsp *n);

/* Whether a version could have been negotiated. */
bool netvsp_version_known(u32 version);

/* ---- netvsp_save.c --------------------------------------------------------------------------- */

/* ops->save; what ops->restore does with a channel just opened: 0 or -EINVAL. */
void netvsp_state_save(struct vmbus_channel *ch, struct stream_out *out);
int netvsp_state_restore(struct netvsp *n, struct stream_in *in);

/* ---- netvsp_tx.c ----------------------------------------------------------------------------- */

/* Carries out a SEND_RNDIS_PKT message, which came with pkt: the status to complete it with. */
enum nvsp_status netvsp_transmit(struct netvsp *n, const struct vmbus_packet *pkt,
				 const struct nvsp_rndis_pkt *m);

/* After that completion: sends what a control message is answered with, if anything. */
void netvsp_answer(struct netvsp *n);

/* ---- netvsp_rx.c ----------------------------------------------------------------------------- */

/* The flush callback and the slots of a receive buffer just set up (n->recv). */
void netvsp_rx_init(struct netvsp *n);

/* Forgets all slots and the batch. */
void netvsp_rx_reset(struct netvsp *n);

/* nic->receive. */
bool netvsp_rx_frame(struct nic *nic, const void *frame, u32 len);

/* The guest is done with the packet of this transaction id. */
void netvsp_rx_complete(struct netvsp *n, u64 transaction_id);

/* Sends the batch; what the ring has no room for waits for the next call. */
void netvsp_rx_flush(struct netvsp *n);

/* Opens or shuts the NIC's way in, as buffers, filter and ring now demand. */
void netvsp_rx_update(struct netvsp *n);

/*
 * Writes down and takes in the slots that are not free and the batch: u32 count of packets the
 * guest has; each: u32 count, that many u16 slots; u32 frames of the batch, each: u16 slot, u32
 * bytes; u8 stalled. restore: after netvsp_rx_init(); 0 or -EINVAL.
 */
void netvsp_rx_save(const struct netvsp *n, struct stream_out *out);
int netvsp_rx_restore(struct netvsp *n, struct stream_in *in);

/* Whether a control message could be sent; sends one of len bytes (at most RNDIS_RESPONSE_MAX). */
bool netvsp_rx_control_room(const struct netvsp *n);
void netvsp_rx_control(struct netvsp *n, const void *message, u32 len);

#endif
