/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ring buffers as they lie in guest memory: a header page, then data pages holding packets. No
 * public document describes them; names and layout are those of Linux include/linux/hyperv.h.
 * Everything is little-endian. Host, fake guest and test guests share this file.
 */
#ifndef VMBUS_RING_PROTO_H
#define VMBUS_RING_PROTO_H

#include <assert.h>

#include "base/types.h"

#define RING_PAGE_SIZE 4096u

/* The first page of a ring (Linux: struct hv_ring_buffer). Indices are bytes into the data. */
struct ring_header {
	u32 write_index; /* the writer's */
	u32 read_index; /* the reader's */
	u32 interrupt_mask; /* the reader's: 1, do not signal me for new packets */
	u32 pending_send_sz; /* the writer's: signal me once more than this is free; 0, do not */
	u32 reserved1[12];
	u32 feature_bits; /* the writer's: RING_FEATURE_* */
	u8 reserved2[RING_PAGE_SIZE - 68];
};
static_assert(sizeof(struct ring_header) == RING_PAGE_SIZE, "ring header");
static_assert(offsetof(struct ring_header, feature_bits) == 64, "ring header");

/* The writer sets pending_send_sz when it waits for room, and signals for that of its peer. */
#define RING_FEATURE_PENDING_SEND 1u

/* Bytes: indices, packets and their parts are multiples of it. */
#define RING_ALIGN 8u

/* Starts every packet (Linux: struct vmpacket_descriptor). Lengths are in 8-byte units. */
struct ring_descriptor {
	u16 type; /* enum vmbus_packet_type */
	u16 offset8; /* of the payload, from the descriptor's start */
	u16 len8; /* of the packet: descriptor, ranges, payload, not the trailer */
	u16 flags; /* RING_PACKET_* */
	u64 trans_id;
};
static_assert(sizeof(struct ring_descriptor) == 16, "packet descriptor");

#define RING_PACKET_COMPLETION_REQUESTED 1u

enum vmbus_packet_type {
	VMBUS_PACKET_INBAND = 6,
	VMBUS_PACKET_TRANSFER_PAGES = 7,
	VMBUS_PACKET_GPA_DIRECT = 9,
	VMBUS_PACKET_COMPLETION = 11,
};

/* Ends every packet, after its len8. */
struct ring_trailer {
	u32 reserved;
	u32 packet_start; /* index of the packet's descriptor */
};
static_assert(sizeof(struct ring_trailer) == 8, "packet trailer");

/*
 * Follows the descriptor of a GPA-direct packet (Linux: struct vmdata_gpa_direct), itself followed
 * by range_cnt ranges.
 */
struct ring_gpa_direct {
	u32 reserved; /* may hold garbage */
	u32 range_cnt;
};
static_assert(sizeof(struct ring_gpa_direct) == 8, "GPA-direct header");

/* A guest range (Linux: struct gpa_range), followed by one u64 PFN for each page it touches. */
struct ring_gpa_range {
	u32 byte_count;
	u32 byte_offset; /* into the first page */
};
static_assert(sizeof(struct ring_gpa_range) == 8, "GPA range");

/* Follows the descriptor of a transfer-page packet, itself followed by range_cnt xfer ranges. */
struct ring_xfer_pages {
	u16 xfer_pageset_id;
	u8 sender_owns_set;
	u8 reserved;
	u32 range_cnt;
};
static_assert(sizeof(struct ring_xfer_pages) == 8, "transfer-page header");

/* One range of a transfer-page packet: bytes inside the buffer the pageset names. */
struct vmbus_xfer_range {
	u32 byte_count;
	u32 byte_offset;
};
static_assert(sizeof(struct vmbus_xfer_range) == 8, "transfer-page range");

#endif
