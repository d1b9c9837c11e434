/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * NVSP, the protocol between a guest's NIC driver and the host over a VMBus channel, byte by byte.
 * No public specification; the names are those of Linux drivers/net/hyperv/hyperv_net.h. All
 * fields are little-endian; a message starts at the first payload byte of a VMBus packet.
 */
#ifndef DEVICES_NETVSP_PROTO_H
#define DEVICES_NETVSP_PROTO_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define NVSP_VERSION_1 0x00000002u
#define NVSP_VERSION_2 0x00030002u
#define NVSP_VERSION_4 0x00040000u
#define NVSP_VERSION_5 0x00050000u
#define NVSP_VERSION_6 0x00060000u
#define NVSP_VERSION_61 0x00060001u

enum nvsp_type {
	NVSP_INIT = 1,
	NVSP_INIT_COMPLETE = 2,
	/* Version 1 */
	NVSP_SEND_NDIS_VER = 100,
	NVSP_SEND_RECV_BUF = 101,
	NVSP_SEND_RECV_BUF_COMPLETE = 102,
	NVSP_REVOKE_RECV_BUF = 103,
	NVSP_SEND_SEND_BUF = 104,
	NVSP_SEND_SEND_BUF_COMPLETE = 105,
	NVSP_REVOKE_SEND_BUF = 106,
	NVSP_SEND_RNDIS_PKT = 107,
	NVSP_SEND_RNDIS_PKT_COMPLETE = 108,
	/* Version 2 */
	NVSP_SEND_NDIS_CONFIG = 125,
	/* Version 4 */
	NVSP_SEND_VF_ASSOCIATION = 128,
	NVSP_SWITCH_DATA_PATH = 129,
	/* Version 5 */
	NVSP_OID_QUERY_EX = 131,
	NVSP_OID_QUERY_EX_COMPLETE = 132,
	NVSP_SUBCHANNEL = 133,
	NVSP_SEND_INDIRECTION_TABLE = 134,
};

enum nvsp_status {
	NVSP_STATUS_NONE = 0,
	NVSP_STATUS_SUCCESS = 1,
	NVSP_STATUS_FAIL = 2,
	NVSP_STATUS_TOO_NEW = 3,
	NVSP_STATUS_TOO_OLD = 4,
	NVSP_STATUS_INVALID_RNDIS_PKT = 5,
	NVSP_STATUS_BUSY = 6,
	NVSP_STATUS_PROTOCOL_UNSUPPORTED = 7,
};

/* struct nvsp_message_init */
struct nvsp_init {
	uint32_t min_version;
	uint32_t max_version;
};
static_assert(sizeof(struct nvsp_init) == 8, "nvsp_message_init");

/* struct nvsp_message_init_complete */
struct nvsp_init_complete {
	uint32_t version;
	uint32_t max_mdl_chain_len;
	uint32_t status;
};
static_assert(sizeof(struct nvsp_init_complete) == 12, "nvsp_message_init_complete");

/* struct nvsp_1_message_send_ndis_version */
struct nvsp_ndis_version {
	uint32_t major;
	uint32_t minor;
};
static_assert(sizeof(struct nvsp_ndis_version) == 8, "nvsp_1_message_send_ndis_version");

/* struct nvsp_2_send_ndis_config; mtu: of the whole frame, its Ethernet header included */
struct nvsp_ndis_config {
	uint32_t mtu;
	uint32_t reserved;
	uint64_t capabilities;
} __attribute__((packed, aligned(4)));
static_assert(sizeof(struct nvsp_ndis_config) == 16, "nvsp_2_send_ndis_config");

/* struct nvsp_1_message_send_receive_buffer, ..._send_send_buffer */
struct nvsp_send_buf {
	uint32_t gpadl_handle;
	uint16_t id;
	uint16_t reserved;
};
static_assert(sizeof(struct nvsp_send_buf) == 8, "nvsp_1_message_send_receive_buffer");

/* struct nvsp_1_receive_buffer_section */
struct nvsp_recv_section {
	uint32_t offset;
	uint32_t sub_alloc_size;
	uint32_t num_sub_allocs;
	uint32_t end_offset;
};
static_assert(sizeof(struct nvsp_recv_section) == 16, "nvsp_1_receive_buffer_section");

/* struct nvsp_1_message_send_receive_buffer_complete, with the one section that is ever used */
struct nvsp_recv_buf_complete {
	uint32_t status;
	uint32_t num_sections;
	struct nvsp_recv_section section;
};
static_assert(sizeof(struct nvsp_recv_buf_complete) == 24,
	      "nvsp_1_message_send_receive_buffer_complete");

/* struct nvsp_1_message_send_send_buffer_complete */
struct nvsp_send_buf_complete {
	uint32_t status;
	uint32_t section_size;
};
static_assert(sizeof(struct nvsp_send_buf_complete) == 8,
	      "nvsp_1_message_send_send_buffer_complete");

/* struct nvsp_1_message_revoke_receive_buffer, ..._revoke_send_buffer */
struct nvsp_revoke_buf {
	uint16_t id;
	uint16_t reserved;
};
static_assert(sizeof(struct nvsp_revoke_buf) == 4, "nvsp_1_message_revoke_receive_buffer");

#define NVSP_CHANNEL_DATA 0u
#define NVSP_CHANNEL_CONTROL 1u
#define NVSP_NO_SECTION 0xffffffffu

/* struct nvsp_1_message_send_rndis_packet */
struct nvsp_rndis_pkt {
	uint32_t channel_type;
	uint32_t section_index; /* in the send buffer; NVSP_NO_SECTION: none of it is there */
	uint32_t section_size;
};
static_assert(sizeof(struct nvsp_rndis_pkt) == 12, "nvsp_1_message_send_rndis_packet");

/* struct nvsp_1_message_send_rndis_packet_complete */
struct nvsp_rndis_pkt_complete {
	uint32_t status;
};
static_assert(sizeof(struct nvsp_rndis_pkt_complete) == 4,
	      "nvsp_1_message_send_rndis_packet_complete");

/* struct nvsp_4_sw_datapath */
struct nvsp_data_path {
	uint32_t active; /* 0: this device; 1: a virtual function */
};
static_assert(sizeof(struct nvsp_data_path) == 4, "nvsp_4_sw_datapath");

/* The answer to OID_QUERY_EX (no Linux counterpart): an NDIS status and the bytes that follow. */
struct nvsp_oid_query_complete {
	uint32_t status;
	uint32_t bytes;
};
static_assert(sizeof(struct nvsp_oid_query_complete) == 8, "OID_QUERY_EX_COMPLETE");

#define NVSP_SUBCHANNEL_ALLOCATE 1u

/* struct nvsp_5_subchannel_request */
struct nvsp_subchannel {
	uint32_t op;
	uint32_t num_subchannels;
};
static_assert(sizeof(struct nvsp_subchannel) == 8, "nvsp_5_subchannel_request");

/* struct nvsp_5_subchannel_complete */
struct nvsp_subchannel_complete {
	uint32_t status;
	uint32_t num_subchannels;
};
static_assert(sizeof(struct nvsp_subchannel_complete) == 8, "nvsp_5_subchannel_complete");

/*
 * struct nvsp_message. Linux pads every message to the longest one, 40 bytes, and takes an answer
 * to a set-up message only in full length.
 */
struct nvsp_message {
	uint32_t type; /* enum nvsp_type */
	union {
		struct nvsp_init init;
		struct nvsp_init_complete init_complete;
		struct nvsp_ndis_version ndis_version;
		struct nvsp_ndis_config ndis_config;
		struct nvsp_send_buf send_buf;
		struct nvsp_recv_buf_complete recv_buf_complete;
		struct nvsp_send_buf_complete send_buf_complete;
		struct nvsp_revoke_buf revoke_buf;
		struct nvsp_rndis_pkt rndis_pkt;
		struct nvsp_rndis_pkt_complete rndis_pkt_complete;
		struct nvsp_data_path data_path;
		struct nvsp_oid_query_complete oid_query_complete;
		struct nvsp_subchannel subchannel;
		struct nvsp_subchannel_complete subchannel_complete;
		uint8_t bytes[36];
	};
};
static_assert(sizeof(struct nvsp_message) == 40, "nvsp_message");
static_assert(offsetof(struct nvsp_message, bytes) == 4, "nvsp_message.msg");

#endif
