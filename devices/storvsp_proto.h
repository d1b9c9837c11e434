/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The packets between storvsc in the guest and storvsp here. No public specification: names and
 * layouts as in Linux drivers/scsi/storvsc_drv.c. Little-endian, packed.
 */
#ifndef DEVICES_STORVSP_PROTO_H
#define DEVICES_STORVSP_PROTO_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* Major << 8 | minor. */
enum vstor_version {
	VSTOR_VERSION_WIN6 = 0x0200,
	VSTOR_VERSION_WIN7 = 0x0402,
	VSTOR_VERSION_WIN8 = 0x0501,
	VSTOR_VERSION_WIN8_1 = 0x0600,
	VSTOR_VERSION_WIN10 = 0x0602,
};

/* enum vstor_packet_operation. */
enum vstor_operation {
	VSTOR_COMPLETE_IO = 1,
	VSTOR_REMOVE_DEVICE = 2,
	VSTOR_EXECUTE_SRB = 3,
	VSTOR_RESET_LUN = 4,
	VSTOR_RESET_ADAPTER = 5,
	VSTOR_RESET_BUS = 6,
	VSTOR_BEGIN_INITIALIZATION = 7,
	VSTOR_END_INITIALIZATION = 8,
	VSTOR_QUERY_PROTOCOL_VERSION = 9,
	VSTOR_QUERY_PROPERTIES = 10,
	VSTOR_ENUMERATE_BUS = 11,
	VSTOR_FCHBA_DATA = 12,
	VSTOR_CREATE_SUB_CHANNELS = 13,
	VSTOR_OPERATIONS
};

/* NT status codes ([MS-ERREF] 2.3) of a completion. */
enum nt_status {
	NT_SUCCESS = 0x00000000,
	NT_PENDING = 0x00000103, /* never sent */
	NT_INVALID_PARAMETER = 0xc000000d,
	NT_INVALID_DEVICE_REQUEST = 0xc0000010,
	NT_REVISION_MISMATCH = 0xc0000059,
	NT_DEVICE_DOES_NOT_EXIST = 0xc00000c0,
	NT_INVALID_DEVICE_STATE = 0xc0000184,
	NT_IO_DEVICE_ERROR = 0xc0000185,
};

/* srb_status: six bits of code, two of flags. */
enum srb_status {
	SRB_SUCCESS = 0x01,
	SRB_ERROR = 0x04,
	SRB_INVALID_REQUEST = 0x06,
	SRB_INVALID_LUN = 0x20,
	SRB_INVALID_TARGET_ID = 0x21,
	SRB_AUTOSENSE_VALID = 0x80,
};

#define VSTOR_CDB_MAX 16
#define VSTOR_SENSE_MAX 20

/* struct vmscsi_request; the last 16 bytes came with Windows 8. */
struct vstor_srb {
	uint16_t length;
	uint8_t srb_status;
	uint8_t scsi_status;
	uint8_t port_number;
	uint8_t path_id;
	uint8_t target_id;
	uint8_t lun;
	uint8_t cdb_length;
	uint8_t sense_info_length;
	uint8_t data_in; /* 0: to the device, 1: from it, 2: no data */
	uint8_t reserved;
	uint32_t data_transfer_length;
	union {
		uint8_t cdb[VSTOR_CDB_MAX];
		uint8_t sense_data[VSTOR_SENSE_MAX];
	};
	uint16_t reserve;
	uint8_t queue_tag;
	uint8_t queue_action;
	uint32_t srb_flags;
	uint32_t time_out_value;
	uint32_t queue_sort_key;
} __attribute__((packed));
static_assert(sizeof(struct vstor_srb) == 0x34, "as Windows 8 and later have it");
static_assert(offsetof(struct vstor_srb, reserve) == 0x24, "all that Windows 7 has");

/* struct vmstorage_protocol_version. */
struct vstor_protocol_version {
	uint16_t major_minor;
	uint16_t revision;
} __attribute__((packed));
static_assert(sizeof(struct vstor_protocol_version) == 4, "");

/* struct vmstorage_channel_properties. */
struct vstor_properties {
	uint32_t reserved;
	uint16_t max_channel_cnt; /* sub-channels */
	uint16_t reserved1;
	uint32_t flags;
	uint32_t max_transfer_bytes;
	uint64_t reserved2;
} __attribute__((packed));
static_assert(sizeof(struct vstor_properties) == 24, "");

#define VSTOR_SUPPORTS_MULTI_CHANNEL 0x1u

/*
 * What the offer of an IDE disk says about it (user-defined bytes), for drivers before Windows 8.
 */
struct vstor_offer {
	uint16_t reserved;
	uint8_t path_id;
	uint8_t target_id;
	uint32_t reserved2;
	uint32_t flags;
	uint32_t reserved3[3];
} __attribute__((packed));
static_assert(sizeof(struct vstor_offer) == 24, "");

#define VSTOR_OFFER_IDE 0x2u

/* struct vstor_packet. */
struct vstor_packet {
	uint32_t operation;
	uint32_t flags;
	uint32_t status; /* enum nt_status */
	union {
		struct vstor_srb srb;
		struct vstor_properties properties;
		struct vstor_protocol_version version;
		uint16_t sub_channel_count;
		uint8_t bytes[0x34];
	};
} __attribute__((packed));
static_assert(sizeof(struct vstor_packet) == 64, "as Windows 8 and later have it");

#define VSTOR_HEADER_SIZE offsetof(struct vstor_packet, bytes)
/* As much of it as names a unit. */
#define VSTOR_ADDRESS_SIZE (VSTOR_HEADER_SIZE + offsetof(struct vstor_srb, cdb_length))
/* The packet of Windows 7 and before. */
#define VSTOR_PACKET_WIN7 (VSTOR_HEADER_SIZE + offsetof(struct vstor_srb, reserve))
static_assert(VSTOR_PACKET_WIN7 == 48, "");

#endif
