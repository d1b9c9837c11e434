/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Remote NDIS messages and the object identifiers (OIDs) of NDIS, byte by byte. Source: [MS-RNDIS]
 * section 2.2; NDIS structures as in Linux drivers/net/hyperv/hyperv_net.h. Little-endian.
 *
 * Every message is a struct rndis_header and a body; all offsets inside a message count from the
 * start of its body.
 */
#ifndef DEVICES_RNDIS_PROTO_H
#define DEVICES_RNDIS_PROTO_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

enum rndis_type {
	RNDIS_PACKET = 1,
	RNDIS_INITIALIZE = 2,
	RNDIS_HALT = 3,
	RNDIS_QUERY = 4,
	RNDIS_SET = 5,
	RNDIS_RESET = 6,
	RNDIS_INDICATE_STATUS = 7,
	RNDIS_KEEPALIVE = 8,
};
/* The type of an answer is the request's with this bit. */
#define RNDIS_COMPLETION 0x80000000u

/* NDIS statuses, [MS-RNDIS] 2.2.1.2.2 and ntstatus.h */
#define RNDIS_STATUS_SUCCESS 0x00000000u
#define RNDIS_STATUS_MEDIA_CONNECT 0x4001000bu
#define RNDIS_STATUS_FAILURE 0xc0000001u
#define RNDIS_STATUS_NOT_SUPPORTED 0xc00000bbu
#define RNDIS_STATUS_BAD_VERSION 0xc0010004u
#define RNDIS_STATUS_INVALID_LENGTH 0xc0010014u
#define RNDIS_STATUS_INVALID_DATA 0xc0010015u

#define RNDIS_MAJOR_VERSION 1u
#define RNDIS_MEDIUM_802_3 0u
#define RNDIS_FLAG_CONNECTIONLESS 1u

struct rndis_header {
	uint32_t type;
	uint32_t len; /* of the whole message, this header included */
};
static_assert(sizeof(struct rndis_header) == 8, "RNDIS message header");

/* [MS-RNDIS] 2.2.2 */
struct rndis_initialize {
	uint32_t request_id;
	uint32_t major_version;
	uint32_t minor_version;
	uint32_t max_transfer_size;
};
static_assert(sizeof(struct rndis_initialize) == 16, "REMOTE_NDIS_INITIALIZE_MSG");

/* [MS-RNDIS] 2.2.8 */
struct rndis_initialize_complete {
	uint32_t request_id;
	uint32_t status;
	uint32_t major_version;
	uint32_t minor_version;
	uint32_t device_flags;
	uint32_t medium;
	uint32_t max_packets_per_message;
	uint32_t max_transfer_size;
	uint32_t packet_alignment_factor; /* a power of two */
	uint32_t af_list_offset;
	uint32_t af_list_size;
};
static_assert(sizeof(struct rndis_initialize_complete) == 44, "REMOTE_NDIS_INITIALIZE_CMPLT");

/* [MS-RNDIS] 2.2.4 and 2.2.5: QUERY and SET have one shape */
struct rndis_oid_request {
	uint32_t request_id;
	uint32_t oid;
	uint32_t info_len;
	uint32_t info_offset;
	uint32_t vc_handle;
};
static_assert(sizeof(struct rndis_oid_request) == 20, "REMOTE_NDIS_QUERY_MSG");

/* [MS-RNDIS] 2.2.10 */
struct rndis_query_complete {
	uint32_t request_id;
	uint32_t status;
	uint32_t info_len;
	uint32_t info_offset;
};
static_assert(sizeof(struct rndis_query_complete) == 16, "REMOTE_NDIS_QUERY_CMPLT");

/* [MS-RNDIS] 2.2.11 and 2.2.13: SET and KEEPALIVE */
struct rndis_status_complete {
	uint32_t request_id;
	uint32_t status;
};
static_assert(sizeof(struct rndis_status_complete) == 8, "REMOTE_NDIS_SET_CMPLT");

/* [MS-RNDIS] 2.2.12 */
struct rndis_reset_complete {
	uint32_t status;
	uint32_t addressing_reset; /* 1: filters and addresses must be set again */
};
static_assert(sizeof(struct rndis_reset_complete) == 8, "REMOTE_NDIS_RESET_CMPLT");

/* [MS-RNDIS] 2.2.7 */
struct rndis_indicate_status {
	uint32_t status;
	uint32_t buffer_len;
	uint32_t buffer_offset;
};
static_assert(sizeof(struct rndis_indicate_status) == 12, "REMOTE_NDIS_INDICATE_STATUS_MSG");

/* [MS-RNDIS] 2.2.14 */
struct rndis_packet {
	uint32_t data_offset;
	uint32_t data_len;
	uint32_t oob_offset;
	uint32_t oob_len;
	uint32_t oob_count;
	uint32_t info_offset; /* per-packet information */
	uint32_t info_len;
	uint32_t vc_handle;
	uint32_t reserved;
};
static_assert(sizeof(struct rndis_packet) == 36, "REMOTE_NDIS_PACKET_MSG");

/* [MS-RNDIS] 2.2.14.2; the value lies at value_offset from here */
struct rndis_packet_info {
	uint32_t size; /* of this record, header and value */
	uint32_t type;
	uint32_t value_offset;
};
static_assert(sizeof(struct rndis_packet_info) == 12, "Per-Packet-Info Data");

/* The value is a tag: priority in bits 0-2, CFI in bit 3, VLAN id in bits 4-15. */
#define RNDIS_INFO_VLAN 6u

/* RNDIS_OID_GEN_RNDIS_CONFIG_PARAMETER; offsets count from the start of this structure */
struct rndis_config_parameter {
	uint32_t name_offset;
	uint32_t name_len;
	uint32_t type;
	uint32_t value_offset;
	uint32_t value_len;
};
static_assert(sizeof(struct rndis_config_parameter) == 20, "rndis_config_parameter_info");

#define RNDIS_CONFIG_STRING 2u

/* NDIS_OBJECT_HEADER */
struct ndis_header {
	uint8_t type;
	uint8_t revision;
	uint16_t size;
};
static_assert(sizeof(struct ndis_header) == 4, "NDIS_OBJECT_HEADER");

#define NDIS_OBJECT_DEFAULT 0x80u
#define NDIS_OBJECT_OFFLOAD 0xa7u

/* NDIS_OFFLOAD's length by revision: NDIS 6.0, 6.1, 6.30. Nothing offered is all zeroes. */
#define NDIS_OFFLOAD_SIZE_1 112u
#define NDIS_OFFLOAD_SIZE_2 144u
#define NDIS_OFFLOAD_SIZE_3 156u

/*
 * NDIS_OFFLOAD_PARAMETERS: one byte a feature; 0 leaves it, 1 turns it off, more turns it on.
 * Fields after flags are there from revision 2 or 3 on.
 */
struct ndis_offload_parameters {
	struct ndis_header header;
	uint8_t checksum[5]; /* IPv4, TCP4, UDP4, TCP6, UDP6 */
	uint8_t lso_v1;
	uint8_t ipsec_v1;
	uint8_t lso_v2[2];
	uint8_t tcp_connection[2];
	uint8_t reserved;
	uint32_t flags;
	uint8_t ipsec_v2[2];
	uint8_t rsc[2];
	uint8_t encapsulation[2];
	uint8_t pad[2];
};
static_assert(sizeof(struct ndis_offload_parameters) == 28, "NDIS_OFFLOAD_PARAMETERS");
static_assert(offsetof(struct ndis_offload_parameters, rsc) == 22, "NDIS_OFFLOAD_PARAMETERS");

#define NDIS_OFFLOAD_PARAMETERS_SIZE_1 20u
#define NDIS_OFFLOAD_DISABLED 1u

/* NDIS_LINK_STATE */
struct ndis_link_state {
	struct ndis_header header;
	uint32_t connected; /* 1: connected */
	uint32_t duplex; /* 2: full */
	uint32_t pad;
	uint64_t xmit_speed; /* bit/s */
	uint64_t recv_speed;
	uint32_t pause_functions;
	uint32_t auto_negotiation;
};
static_assert(sizeof(struct ndis_link_state) == 40, "NDIS_LINK_STATE");

/* OID_GEN_CURRENT_PACKET_FILTER */
#define NDIS_FILTER_DIRECTED 0x01u
#define NDIS_FILTER_MULTICAST 0x02u
#define NDIS_FILTER_ALL_MULTICAST 0x04u
#define NDIS_FILTER_BROADCAST 0x08u
#define NDIS_FILTER_PROMISCUOUS 0x20u

/* ntddndis.h */
enum rndis_oid {
	OID_GEN_SUPPORTED_LIST = 0x00010101,
	OID_GEN_HARDWARE_STATUS = 0x00010102,
	OID_GEN_MEDIA_SUPPORTED = 0x00010103,
	OID_GEN_MEDIA_IN_USE = 0x00010104,
	OID_GEN_MAXIMUM_LOOKAHEAD = 0x00010105,
	OID_GEN_MAXIMUM_FRAME_SIZE = 0x00010106,
	OID_GEN_LINK_SPEED = 0x00010107,
	OID_GEN_TRANSMIT_BUFFER_SPACE = 0x00010108,
	OID_GEN_RECEIVE_BUFFER_SPACE = 0x00010109,
	OID_GEN_TRANSMIT_BLOCK_SIZE = 0x0001010a,
	OID_GEN_RECEIVE_BLOCK_SIZE = 0x0001010b,
	OID_GEN_VENDOR_ID = 0x0001010c,
	OID_GEN_VENDOR_DESCRIPTION = 0x0001010d,
	OID_GEN_CURRENT_PACKET_FILTER = 0x0001010e,
	OID_GEN_CURRENT_LOOKAHEAD = 0x0001010f,
	OID_GEN_DRIVER_VERSION = 0x00010110,
	OID_GEN_MAXIMUM_TOTAL_SIZE = 0x00010111,
	OID_GEN_PROTOCOL_OPTIONS = 0x00010112,
	OID_GEN_MAC_OPTIONS = 0x00010113,
	OID_GEN_MEDIA_CONNECT_STATUS = 0x00010114,
	OID_GEN_MAXIMUM_SEND_PACKETS = 0x00010115,
	OID_GEN_VENDOR_DRIVER_VERSION = 0x00010116,
	OID_GEN_NETWORK_LAYER_ADDRESSES = 0x00010118,
	OID_GEN_RECEIVE_SCALE_CAPABILITIES = 0x00010203,
	OID_GEN_RECEIVE_SCALE_PARAMETERS = 0x00010204,
	OID_GEN_MAX_LINK_SPEED = 0x00010206,
	OID_GEN_LINK_STATE = 0x00010207,
	OID_GEN_RNDIS_CONFIG_PARAMETER = 0x0001021b,
	OID_GEN_XMIT_OK = 0x00020101,
	OID_GEN_RCV_OK = 0x00020102,
	OID_GEN_XMIT_ERROR = 0x00020103,
	OID_GEN_RCV_ERROR = 0x00020104,
	OID_GEN_RCV_NO_BUFFER = 0x00020105,
	OID_GEN_BYTES_RCV = 0x00020219,
	OID_GEN_BYTES_XMIT = 0x0002021a,
	OID_802_3_PERMANENT_ADDRESS = 0x01010101,
	OID_802_3_CURRENT_ADDRESS = 0x01010102,
	OID_802_3_MULTICAST_LIST = 0x01010103,
	OID_802_3_MAXIMUM_LIST_SIZE = 0x01010104,
	OID_802_3_RCV_ERROR_ALIGNMENT = 0x01020101,
	OID_802_3_XMIT_ONE_COLLISION = 0x01020102,
	OID_802_3_XMIT_MORE_COLLISIONS = 0x01020103,
};

/* Above INT_MAX, so not in the enum. */
#define OID_TCP_OFFLOAD_CURRENT_CONFIG 0xfc01020bu
#define OID_TCP_OFFLOAD_PARAMETERS 0xfc01020cu
#define OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES 0xfc01020du

#endif
