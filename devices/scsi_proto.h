/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SCSI as bytes: operation codes, status, sense, pages. All multi-byte fields are big-endian and
 * reached by the helpers at the end. Sources: SPC-3 and SPC-4 (commands of all devices), SBC-3
 * (block devices), SAM-5 (status).
 */
#ifndef DEVICES_SCSI_PROTO_H
#define DEVICES_SCSI_PROTO_H

#include <assert.h>
#include <stdint.h>

/* SPC-4 annex F, SBC-3 table 25, MMC-6 annex H. */
enum scsi_opcode {
	SCSI_TEST_UNIT_READY = 0x00,
	SCSI_REQUEST_SENSE = 0x03,
	SCSI_READ_6 = 0x08,
	SCSI_WRITE_6 = 0x0a,
	SCSI_INQUIRY = 0x12,
	SCSI_MODE_SELECT_6 = 0x15,
	SCSI_RESERVE_6 = 0x16,
	SCSI_RELEASE_6 = 0x17,
	SCSI_MODE_SENSE_6 = 0x1a,
	SCSI_START_STOP_UNIT = 0x1b,
	SCSI_SEND_DIAGNOSTIC = 0x1d,
	SCSI_PREVENT_ALLOW = 0x1e,
	SCSI_READ_CAPACITY_10 = 0x25,
	SCSI_READ_10 = 0x28,
	SCSI_WRITE_10 = 0x2a,
	SCSI_WRITE_VERIFY_10 = 0x2e,
	SCSI_VERIFY_10 = 0x2f,
	SCSI_SYNCHRONIZE_CACHE_10 = 0x35,
	SCSI_WRITE_SAME_10 = 0x41,
	SCSI_UNMAP = 0x42,
	SCSI_READ_TOC = 0x43,
	SCSI_GET_CONFIGURATION = 0x46,
	SCSI_GET_EVENT_STATUS = 0x4a,
	SCSI_LOG_SENSE = 0x4d,
	SCSI_READ_DISC_INFORMATION = 0x51,
	SCSI_READ_TRACK_INFORMATION = 0x52,
	SCSI_MODE_SELECT_10 = 0x55,
	SCSI_RESERVE_10 = 0x56,
	SCSI_RELEASE_10 = 0x57,
	SCSI_MODE_SENSE_10 = 0x5a,
	SCSI_PERSISTENT_RESERVE_IN = 0x5e,
	SCSI_PERSISTENT_RESERVE_OUT = 0x5f,
	SCSI_READ_16 = 0x88,
	SCSI_COMPARE_AND_WRITE = 0x89,
	SCSI_WRITE_16 = 0x8a,
	SCSI_WRITE_VERIFY_16 = 0x8e,
	SCSI_VERIFY_16 = 0x8f,
	SCSI_SYNCHRONIZE_CACHE_16 = 0x91,
	SCSI_WRITE_SAME_16 = 0x93,
	SCSI_SERVICE_ACTION_IN_16 = 0x9e,
	SCSI_REPORT_LUNS = 0xa0,
	SCSI_MAINTENANCE_IN = 0xa3,
	SCSI_READ_12 = 0xa8,
	SCSI_WRITE_12 = 0xaa,
	SCSI_READ_DVD_STRUCTURE = 0xad,
	SCSI_WRITE_VERIFY_12 = 0xae,
	SCSI_VERIFY_12 = 0xaf,
	SCSI_MECHANISM_STATUS = 0xbd,
};

enum scsi_service_action {
	SCSI_SA_READ_CAPACITY_16 = 0x10,
	SCSI_SA_GET_LBA_STATUS = 0x12,
	SCSI_SA_REPORT_SUPPORTED_OPCODES = 0x0c,
	SCSI_PR_READ_KEYS = 0x00,
	SCSI_PR_READ_RESERVATION = 0x01,
	SCSI_PR_REPORT_CAPABILITIES = 0x02,
	SCSI_PR_READ_FULL_STATUS = 0x03,
	SCSI_PR_REGISTER = 0x00,
	SCSI_PR_RESERVE = 0x01,
	SCSI_PR_RELEASE = 0x02,
	SCSI_PR_CLEAR = 0x03,
	SCSI_PR_PREEMPT = 0x04,
	SCSI_PR_PREEMPT_AND_ABORT = 0x05,
	SCSI_PR_REGISTER_AND_IGNORE = 0x06,
};

#define SCSI_CDB_MAX 16

/* SAM-5 5.3.1. */
enum scsi_status {
	SCSI_GOOD = 0x00,
	SCSI_CHECK_CONDITION = 0x02,
	SCSI_RESERVATION_CONFLICT = 0x18,
};

/* SPC-4 4.5.6. */
enum scsi_sense_key {
	SCSI_NO_SENSE = 0x0,
	SCSI_NOT_READY = 0x2,
	SCSI_MEDIUM_ERROR = 0x3,
	SCSI_HARDWARE_ERROR = 0x4,
	SCSI_ILLEGAL_REQUEST = 0x5,
	SCSI_UNIT_ATTENTION = 0x6,
	SCSI_DATA_PROTECT = 0x7,
	SCSI_MISCOMPARE = 0xe,
};

/* SPC-4 annex F, MMC-6 annex F: additional sense code << 8 | qualifier. */
enum scsi_asc {
	SCSI_ASC_NONE = 0x0000,
	SCSI_ASC_WRITE_ERROR = 0x0c00,
	SCSI_ASC_READ_ERROR = 0x1100,
	SCSI_ASC_PARAMETER_LIST_LENGTH = 0x1a00,
	SCSI_ASC_MISCOMPARE = 0x1d00,
	SCSI_ASC_INVALID_OPCODE = 0x2000,
	SCSI_ASC_LBA_OUT_OF_RANGE = 0x2100,
	SCSI_ASC_INVALID_FIELD_IN_CDB = 0x2400,
	SCSI_ASC_LUN_NOT_SUPPORTED = 0x2500,
	SCSI_ASC_INVALID_FIELD_IN_PARAMETERS = 0x2600,
	SCSI_ASC_INVALID_RELEASE = 0x2604,
	SCSI_ASC_WRITE_PROTECTED = 0x2700,
	SCSI_ASC_SPACE_ALLOCATION_FAILED = 0x2707,
	SCSI_ASC_MEDIUM_CHANGED = 0x2800,
	SCSI_ASC_RESET = 0x2900,
	SCSI_ASC_MODE_PARAMETERS_CHANGED = 0x2a01,
	SCSI_ASC_RESERVATIONS_PREEMPTED = 0x2a03,
	SCSI_ASC_RESERVATIONS_RELEASED = 0x2a04,
	SCSI_ASC_REGISTRATIONS_PREEMPTED = 0x2a05,
	SCSI_ASC_CAPACITY_CHANGED = 0x2a09,
	SCSI_ASC_NO_MEDIUM_TRAY_CLOSED = 0x3a01,
	SCSI_ASC_NO_MEDIUM_TRAY_OPEN = 0x3a02,
	SCSI_ASC_INQUIRY_DATA_CHANGED = 0x3f03,
	SCSI_ASC_REPORTED_LUNS_CHANGED = 0x3f0e,
	SCSI_ASC_INTERNAL_FAILURE = 0x4400,
	SCSI_ASC_REMOVAL_PREVENTED = 0x5302,
	SCSI_ASC_INSUFFICIENT_REGISTRATIONS = 0x5504,
	SCSI_ASC_EJECT_REQUEST = 0x5a01,
};

/* Fixed format sense data (SPC-4 4.5.3). */
struct scsi_sense_fixed {
	uint8_t response_code; /* 0x70: current error; 0x80: the information is valid */
	uint8_t obsolete;
	uint8_t key;
	uint8_t information[4];
	uint8_t additional_length; /* 10 */
	uint8_t command_specific[4];
	uint8_t asc;
	uint8_t ascq;
	uint8_t fru;
	uint8_t key_specific[3];
};
static_assert(sizeof(struct scsi_sense_fixed) == 18, "SPC-4 table 47");

/* Standard INQUIRY data (SPC-3 6.4.2). */
struct scsi_inquiry_data {
	uint8_t peripheral;
	uint8_t removable;
	uint8_t version; /* 5: SPC-3 */
	uint8_t format; /* 2 */
	uint8_t additional_length;
	uint8_t flags[2];
	uint8_t cmdque; /* 2: tagged queuing */
	uint8_t vendor[8];
	uint8_t product[16];
	uint8_t revision[4];
	uint8_t vendor_specific[20];
	uint8_t reserved[2];
	uint8_t version_descriptors[16];
	uint8_t reserved2[22];
};
static_assert(sizeof(struct scsi_inquiry_data) == 96, "SPC-3 table 81");

#define SCSI_PERIPHERAL_DVD 0x05
/* Qualifier 3, type 0x1f: nothing can be attached here. */
#define SCSI_PERIPHERAL_ABSENT 0x7f

enum scsi_vpd_page {
	SCSI_VPD_SUPPORTED = 0x00,
	SCSI_VPD_SERIAL = 0x80,
	SCSI_VPD_IDENTIFICATION = 0x83,
	SCSI_VPD_BLOCK_LIMITS = 0xb0,
	SCSI_VPD_CHARACTERISTICS = 0xb1,
	SCSI_VPD_PROVISIONING = 0xb2,
};

/* UNMAP parameter list (SBC-3 5.28.2): the header, then descriptors. */
struct scsi_unmap_header {
	uint8_t data_length[2];
	uint8_t descriptors_length[2];
	uint8_t reserved[4];
};
static_assert(sizeof(struct scsi_unmap_header) == 8, "SBC-3 table 90");

struct scsi_unmap_descriptor {
	uint8_t lba[8];
	uint8_t blocks[4];
	uint8_t reserved[4];
};
static_assert(sizeof(struct scsi_unmap_descriptor) == 16, "SBC-3 table 91");

enum scsi_mode_page {
	SCSI_MODE_RECOVERY = 0x01,
	SCSI_MODE_CACHING = 0x08,
	SCSI_MODE_CONTROL = 0x0a,
	SCSI_MODE_EXCEPTIONS = 0x1c,
	SCSI_MODE_CAPABILITIES = 0x2a,
	SCSI_MODE_ALL = 0x3f,
};

static inline uint16_t scsi_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t scsi_get32(const uint8_t *p)
{
	return (uint32_t)scsi_get16(p) << 16 | scsi_get16(p + 2);
}

static inline uint64_t scsi_get64(const uint8_t *p)
{
	return (uint64_t)scsi_get32(p) << 32 | scsi_get32(p + 4);
}

static inline void scsi_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void scsi_put32(uint8_t *p, uint32_t v)
{
	scsi_put16(p, (uint16_t)(v >> 16));
	scsi_put16(p + 2, (uint16_t)v);
}

static inline void scsi_put64(uint8_t *p, uint64_t v)
{
	scsi_put32(p, (uint32_t)(v >> 32));
	scsi_put32(p + 4, (uint32_t)v);
}

#endif
