/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SCSI targets of up to SCSI_LUNS logical units, each a disk or a DVD drive. Knows nothing of
 * VMBus: a CDB and a buffer in, status, sense and a count of bytes out. Sources: SPC-4, SBC-3,
 * MMC-6.
 *
 * Threads. scsi_execute() is called by several loops at once, also for one unit; each request stays
 * on the loop of its uring. READ and WRITE take no lock: what bears on them is a few atomics. The
 * functions for the owner may be called by any thread while requests run, one at a time for a
 * target.
 *
 * Life. A unit, once something was attached at its LUN, stays until scsi_target_fini(); what is
 * attached to it (struct disk) comes and goes. A disk that was detached or taken out is given back
 * when the last request that uses it has ended.
 *
 * What is promised of several requests at once: a COMPARE AND WRITE is atomic against every other
 * COMPARE AND WRITE to its unit, not against plain writes of the same blocks.
 *
 * State. Mode parameters, reservations and their keys live as long as the machine does, also where
 * that is saved and restored (scsi_save.c), and no longer (no SP, no APTPL). A unit has no unit
 * attention when it is new: the guest starts with it.
 */
#ifndef DEVICES_SCSI_H
#define DEVICES_SCSI_H

#include <sys/uio.h>

#include "base/stream.h"
#include "base/types.h"
#include "devices/backend/disk.h"
#include "devices/scsi_proto.h"

#define SCSI_LUNS 64
/* Initiators a unit can tell apart: the controllers that share it. */
#define SCSI_NEXUSES 4
/* Largest READ or WRITE, and the iovec pieces it can need: one more page where it is unaligned. */
#define SCSI_TRANSFER_MAX MiB(1)
#define SCSI_IOV_MAX (SCSI_TRANSFER_MAX / 4096 + 1)
/* Descriptors of one UNMAP; bytes of one WRITE SAME. */
#define SCSI_UNMAP_MAX 64
#define SCSI_WRITE_SAME_MAX MiB(64)
/* Bytes compared at a time; of one COMPARE AND WRITE. */
#define SCSI_BOUNCE 4096
/* Longest sense data written. */
#define SCSI_SENSE_MAX 20

/* What is attached at a LUN. */
enum scsi_type { SCSI_NOTHING, SCSI_DISK, SCSI_DVD };

struct scsi_unit;
struct scsi_medium;

/* ---- For the owner --------------------------------------------------------------------------- */

/* Zeroed: no units. */
struct scsi_target {
	struct scsi_unit *_Atomic unit[SCSI_LUNS]; /* NULL: nothing was ever there */
	/*
	 * Takes a disk that is no longer used, on the thread where its last request ended or that
	 * took it out. NULL: it is closed there.
	 */
	void (*released)(struct scsi_target *target, struct disk *disk);
};

/*
 * Puts a disk at a LUN, or a DVD drive with disk in it (NULL: empty; the guest sees blocks of 2048
 * bytes, the disk's are at most as large, and never writes). The disk is the target's where 0 is
 * returned. 0; -EINVAL: no such LUN, or not such a disk; -EEXIST: something is there; -EBUSY:
 * requests for what was there last are still under way; -ENOMEM. Other units are told nothing: see
 * scsi_target_attention().
 */
int scsi_target_attach(struct scsi_target *target, unsigned lun, enum scsi_type type,
		       struct disk *disk);
/* Takes away what is there: new requests find nothing. 0, or -ENOENT. */
int scsi_target_detach(struct scsi_target *target, unsigned lun);
/* Closes every disk, frees every unit. No request is under way. */
void scsi_target_fini(struct scsi_target *target);

/*
 * Tells the initiators of every disk present: SCSI_ASC_REPORTED_LUNS_CHANGED. Not those of a DVD
 * drive: Linux takes any attention of one for another medium, fails what it reads and goes on to
 * refuse the one that is mounted.
 */
void scsi_target_attention(struct scsi_target *target, enum scsi_asc asc);
/* A bus or target reset: scsi_unit_reset() of all. */
void scsi_target_reset(struct scsi_target *target);

/* The unit at lun, any lun; NULL where there is none, or nothing is attached to it. */
struct scsi_unit *scsi_target_unit(const struct scsi_target *target, unsigned lun);

/*
 * The next command of each initiator ends with this unit attention, once. asc: a SCSI_ASC_* that is
 * one: reset, medium, mode parameters, capacity, reported LUNs or inquiry data changed.
 */
void scsi_unit_attention(struct scsi_unit *unit, enum scsi_asc asc);

/*
 * A LUN reset: sense format as it was at first, no RESERVE, no PREVENT. Persistent reservations
 * stay, and so does a write cache that was turned off: who turned it off may not look again.
 * Requests under way end as they would have. A unit attention follows.
 */
void scsi_unit_reset(struct scsi_unit *unit);

/*
 * The disk's size is now `size` bytes; a unit attention where that is not what it was. The owner
 * grows the disk before, shrinks it after. 0, or -ENOENT where there is no disk.
 */
int scsi_unit_resize(struct scsi_unit *unit, u64 size);

/*
 * Takes the medium out of a DVD drive, whatever PREVENT says, and puts disk in (NULL: leaves it
 * empty): event and unit attention. The tray is closed after. 0; -EINVAL: no DVD drive; -EBUSY:
 * requests for the medium before the present one are still under way, and nothing was changed.
 */
int scsi_unit_change(struct scsi_unit *unit, struct disk *disk);

/*
 * Presses the drive's eject button: ejects, or asks the guest to where it prevents that. 0, or
 * -EINVAL: no DVD drive.
 */
int scsi_unit_eject(struct scsi_unit *unit);

/*
 * Writes down all that a unit, to which something is attached, has of its own; and takes it in,
 * into a fresh unit of the same disk or medium. No request is under way, and the owner does nothing
 * else. The bytes are not trusted: 0; -EINVAL where no unit can be so; -ENODEV where what is
 * attached is another than was then: kind, block, size, write protection or id. apply false: looks,
 * and changes nothing.
 */
void scsi_unit_save(struct scsi_unit *unit, struct stream_out *out);
int scsi_unit_restore(struct scsi_unit *unit, struct stream_in *in, bool apply);

/* ---- Requests -------------------------------------------------------------------------------- */

struct scsi_sense {
	u8 key; /* enum scsi_sense_key */
	u16 asc; /* enum scsi_asc */
	bool informed;
	u32 information; /* where informed: MISCOMPARE: the byte that differs; else a block */
};

/* Bytes [offset, offset + len) of a disk. */
struct scsi_extent {
	u64 offset, len;
};

/*
 * A command under way. The caller fills in the first part, keeps it until done() and may use it
 * again after.
 */
struct scsi_request {
	const struct scsi_target *target; /* NULL: there is none at this address */
	u8 lun;
	u8 nexus; /* of the initiator, below SCSI_NEXUSES */
	u8 cdb[SCSI_CDB_MAX]; /* zeroes behind its end */
	u32 buffer_len; /* bytes of iov */
	unsigned iov_count;
	struct uring *uring; /* of the loop that all of it runs on */
	u16 flow; /* which of the initiator's queues it came by: a disk is fair between them */
	/* Perhaps before scsi_execute() returns. */
	void (*done)(struct scsi_request *r);

	/* The answer. */
	enum scsi_status status;
	struct scsi_sense sense; /* CHECK CONDITION: why */
	u32 transferred; /* bytes of the buffer used */

	/* Private. */
	bool descriptor_sense;
	struct scsi_unit *unit;
	struct scsi_medium *medium; /* held */
	struct disk_op op;
	u32 transfer_len;
	u64 offset, left, compared; /* where an operation in steps has got to */
	bool one_block;
	unsigned extent, extent_count;
	struct scsi_request *next; /* waits for its turn */
	struct loop_work turn;
	struct iovec piece; /* of bounce */
	u8 bounce[SCSI_BOUNCE];
	/*
	 * The guest's buffer; for UNMAP and WRITE SAME, once that was copied, what is to be done.
	 */
	union {
		struct iovec iov[SCSI_IOV_MAX];
		struct scsi_extent extents[SCSI_UNMAP_MAX];
	};
};

/* Carries r out. Guest bytes are copied once before they are looked at. */
void scsi_execute(struct scsi_request *r);

/*
 * Writes at most size bytes of the sense data that belong to r's CHECK CONDITION, in the format the
 * guest chose (fixed, or descriptors by D_SENSE). The bytes written, at most SCSI_SENSE_MAX.
 */
u32 scsi_sense_write(const struct scsi_request *r, u8 *out, u32 size);

#endif
