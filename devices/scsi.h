/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A SCSI target of up to SCSI_LUNS block devices, each in front of a disk. Knows nothing of VMBus:
 * a CDB and a buffer in, status, sense and a count of bytes out.
 *
 * Two halves. scsi_decode() is pure: what a CDB means for a unit, with everything checked that can
 * be checked from the CDB, and the answer itself where that needs no I/O. scsi_execute() carries it
 * out on the guest's buffer and the disk.
 *
 * Left out for now: persistent reservations, MODE SELECT, COMPARE AND WRITE, WRITE SAME of anything
 * but zeroes, unit attentions.
 */
#ifndef DEVICES_SCSI_H
#define DEVICES_SCSI_H

#include <sys/uio.h>

#include "base/types.h"
#include "devices/backend/disk.h"
#include "devices/scsi_proto.h"

#define SCSI_LUNS 64
/* Largest READ or WRITE, and the iovec pieces it can need: one more page where it is unaligned. */
#define SCSI_TRANSFER_MAX MiB(1)
#define SCSI_IOV_MAX (SCSI_TRANSFER_MAX / 4096 + 1)
/* Descriptors of one UNMAP; bytes of one WRITE SAME. */
#define SCSI_UNMAP_MAX 64
#define SCSI_WRITE_SAME_MAX MiB(64)
/* Largest parameter data sent to the guest: REPORT LUNS. */
#define SCSI_DATA_MAX (8 + 8 * SCSI_LUNS)

struct scsi_target {
	struct disk *lun[SCSI_LUNS]; /* NULL: nothing there */
};

/* A logical unit, or the place of one: target is NULL where there is no target, disk likewise. */
struct scsi_unit {
	const struct scsi_target *target;
	struct disk *disk;
};

/* The unit at (target, lun); any lun. */
static inline struct scsi_unit scsi_unit(const struct scsi_target *target, unsigned lun)
{
	struct disk *disk = target && lun < SCSI_LUNS ? target->lun[lun] : NULL;

	return (struct scsi_unit){ .target = target, .disk = disk };
}

struct scsi_sense {
	u8 key; /* enum scsi_sense_key */
	u16 asc; /* enum scsi_asc */
};

enum scsi_kind {
	SCSI_ENDED, /* nothing more to do: sense says how it ended */
	SCSI_DATA_IN, /* send data_len bytes of data */
	SCSI_TRANSFER, /* READ or WRITE [offset, offset + len) from or to the buffer */
	SCSI_NO_DATA, /* FLUSH */
	SCSI_UNMAP_LIST, /* read a parameter list of len bytes, discard what it names */
	SCSI_SAME, /* read one block (unless zero_block), write it over [offset, offset + len) */
};

/* What a CDB means. Offsets and lengths are bytes, checked against the disk. */
struct scsi_command {
	enum scsi_kind kind;
	enum disk_op_kind op;
	bool fua, unmap, zero_block;
	u64 offset, len;
	struct scsi_sense sense; /* key 0: good */
	u32 data_len;
	u8 data[SCSI_DATA_MAX]; /* valid up to data_len */
};

/* Decodes cdb for unit. Pure. */
void scsi_decode(struct scsi_command *c, const struct scsi_unit *unit,
		 const u8 cdb[static SCSI_CDB_MAX]);

/* Ends c with this sense: for decoders. */
void scsi_fail(struct scsi_command *c, enum scsi_sense_key key, enum scsi_asc asc);
#define scsi_illegal(c, asc) scsi_fail(c, SCSI_ILLEGAL_REQUEST, asc)

/* Ends c with len bytes of data, of which the guest asked for at most alloc. */
void scsi_data(struct scsi_command *c, u32 len, u32 alloc);

/* The commands that answer with data (scsi_inquiry.c, scsi_params.c). */
void scsi_inquiry(struct scsi_command *c, const struct scsi_unit *unit, const u8 *cdb);
void scsi_report_luns(struct scsi_command *c, const struct scsi_unit *unit, const u8 *cdb);
void scsi_request_sense(struct scsi_command *c, const struct scsi_unit *unit, const u8 *cdb);
void scsi_read_capacity_10(struct scsi_command *c, const struct scsi_unit *unit, const u8 *cdb);
void scsi_read_capacity_16(struct scsi_command *c, const struct scsi_unit *unit, const u8 *cdb);
void scsi_mode_sense(struct scsi_command *c, const struct scsi_unit *unit, const u8 *cdb);

/* Writes sense as the guest sees it. */
void scsi_sense_build(struct scsi_sense_fixed *out, struct scsi_sense sense);

/* Bytes [offset, offset + len) of a disk. */
struct scsi_extent {
	u64 offset, len;
};

/*
 * A command under way. The caller fills in the first part, keeps it until done() and may use it
 * again after.
 */
struct scsi_request {
	struct scsi_unit unit;
	u8 cdb[SCSI_CDB_MAX];
	u32 buffer_len; /* bytes of iov */
	unsigned iov_count;
	struct uring *uring; /* of the loop that all of it runs on */
	/* Perhaps before scsi_execute() returns. */
	void (*done)(struct scsi_request *r);

	/* The answer. */
	enum scsi_status status;
	struct scsi_sense sense; /* CHECK CONDITION: why */
	u32 transferred; /* bytes of the buffer used */

	/* Private. */
	struct disk_op op;
	u32 transfer_len;
	unsigned extent, extent_count;
	/* The guest's buffer; for UNMAP, once its list was copied, what is to be discarded. */
	union {
		struct iovec iov[SCSI_IOV_MAX];
		struct scsi_extent extents[SCSI_UNMAP_MAX];
	};
};

/* Carries r out. Guest bytes are copied once before they are looked at. */
void scsi_execute(struct scsi_request *r);

#endif
