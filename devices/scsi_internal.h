/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside the SCSI layer. A command is looked up in the table of scsi_decode.c, let through the
 * unit's gate, and decoded: checked as far as its CDB goes and answered where that needs no I/O.
 * What needs the guest's bytes or the disk is left to take() and run(), which scsi_execute.c calls.
 */
#ifndef DEVICES_SCSI_INTERNAL_H
#define DEVICES_SCSI_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "devices/scsi.h"

/* Largest parameter data sent to the guest: REPORT SUPPORTED OPERATION CODES. */
#define SCSI_DATA_MAX 2048
/* Largest parameter list looked at: UNMAP. A longer one is read as far as that. */
#define SCSI_LIST_MAX \
	(sizeof(struct scsi_unmap_header) + SCSI_UNMAP_MAX * sizeof(struct scsi_unmap_descriptor))
#define SCSI_DVD_BLOCK 2048u

/* ---- Units (scsi_unit.c) --------------------------------------------------------------------- */

#define SCSI_RETIRED (1u << 31)

/* What is attached to a unit, or loaded into it; all but `blocks` stays as long as it is held. */
struct scsi_medium {
	enum scsi_type type;
	struct disk *disk; /* NULL: an empty drive */
	u32 block; /* bytes of a logical block */
	_Atomic u64 blocks;
	_Atomic u32 refs; /* requests that hold it; SCSI_RETIRED: no new ones */
};

/* Unit attentions, by falling priority (SAM-5 5.14): bits of a gate. */
enum scsi_attention {
	SCSI_UA_RESET,
	SCSI_UA_REPORTED_LUNS,
	SCSI_UA_INQUIRY_DATA,
	SCSI_UA_MEDIUM,
	SCSI_UA_CAPACITY,
	SCSI_UA_MODE_PARAMETERS,
	SCSI_UA_RESERVATIONS_PREEMPTED,
	SCSI_UA_RESERVATIONS_RELEASED,
	SCSI_UA_REGISTRATIONS_PREEMPTED,
	SCSI_UA_EJECT_REQUEST,
	SCSI_UA_COUNT
};

/*
 * What reservations of others keep an initiator from, each more than the last: the gate's two upper
 * bits; and what a command is to them, each kept out by less than the next.
 */
enum scsi_conflict { SCSI_CONFLICT_NONE, SCSI_NO_WRITES, SCSI_NO_READS, SCSI_NO_OTHERS };
enum scsi_access { SCSI_WRITES = 1, SCSI_READS, SCSI_OTHERS, SCSI_ALWAYS };
#define SCSI_CONFLICT_SHIFT 30
#define SCSI_CONFLICT_MASK (3u << SCSI_CONFLICT_SHIFT)

/* Bits of a unit's flags. */
enum scsi_unit_flag {
	SCSI_WRITE_THROUGH = 1 << 0, /* WCE is off */
	SCSI_D_SENSE = 1 << 1,
	SCSI_PREVENTED = 1 << 2, /* the medium may not be removed */
	SCSI_TRAY_OPEN = 1 << 3, /* what is in the drive is out of the guest's reach */
};

/* Media events of a drive (MMC-6 6.6.5.3), pending for an initiator. */
enum scsi_media_event {
	SCSI_EVENT_REMOVAL = 1 << 0,
	SCSI_EVENT_NEW = 1 << 1,
	SCSI_EVENT_EJECT = 1 << 2,
	SCSI_EVENTS = (1 << 3) - 1,
};

/* Reservations of a unit; under its lock. */
struct scsi_reservations {
	u32 generation;
	u64 key[SCSI_NEXUSES]; /* 0: not registered */
	u8 holder; /* where type is not 0; any registered one where the type says so */
	u8 type; /* of the persistent reservation; 0: none */
	bool exclusive; /* RESERVE, of the time before persistent ones */
	u8 owner; /* whose, where exclusive */
};

struct scsi_unit {
	struct scsi_target *target;
	_Atomic u32 current; /* of medium[] */
	struct scsi_medium medium[2]; /* present, and the one before where still held */
	_Atomic u32 gate[SCSI_NEXUSES]; /* 0: nothing bears on this initiator's commands */
	_Atomic u32 flags;
	_Atomic u8 events[SCSI_NEXUSES];
	_Atomic u64 read_errors, write_errors;
	pthread_mutex_t lock; /* what follows */
	struct scsi_reservations pr;
	struct scsi_request *comparing, *waiting, **waiting_tail; /* COMPARE AND WRITE */
};

int scsi_unit_new(struct scsi_unit **unit, struct scsi_target *target);
void scsi_unit_free(struct scsi_unit *unit);
/* As scsi_target_attach(), scsi_target_detach(). */
int scsi_unit_attach(struct scsi_unit *unit, enum scsi_type type, struct disk *disk);
int scsi_unit_detach(struct scsi_unit *unit);

/* What is attached, held until scsi_medium_drop(); NULL: nothing. Any thread. */
struct scsi_medium *scsi_medium_hold(struct scsi_unit *unit);
void scsi_medium_drop(struct scsi_unit *unit, struct scsi_medium *medium);

/* Makes ua pending for every initiator but `except` (SCSI_NEXUSES: none is left out). */
void scsi_unit_attend(struct scsi_unit *unit, enum scsi_attention ua, unsigned except);
void scsi_unit_event(struct scsi_unit *unit, enum scsi_media_event event);
u16 scsi_attention_asc(enum scsi_attention ua);
/* The pending attention of the highest priority, which is none from now on; SCSI_UA_COUNT: none. */
enum scsi_attention scsi_unit_attention_take(struct scsi_unit *unit, u8 nexus);

/* scsi_reserve.c; under the lock. */
bool scsi_reservation_held(const struct scsi_reservations *pr, unsigned nexus);
bool scsi_reserved_for_all(const struct scsi_reservations *pr);
/* Ends a RESERVE, whoever has it. Takes the lock. */
void scsi_reservations_reset(struct scsi_unit *unit);
/* Whether commands can lead there; none: there are no such commands. */
bool scsi_reservations_possible(const struct scsi_reservations *pr, bool none);
/* Puts them into force. Takes the lock. */
void scsi_reservations_set(struct scsi_unit *unit, const struct scsi_reservations *pr);

static inline bool scsi_unit_flag(struct scsi_unit *unit, enum scsi_unit_flag flag)
{
	return atomic_load_explicit(&unit->flags, memory_order_relaxed) & flag;
}

/* ---- Commands -------------------------------------------------------------------------------- */

struct scsi_command;

/* Looks at the parameter list of `len` bytes, of which at most SCSI_LIST_MAX were read. */
typedef void scsi_take_fn(struct scsi_request *r, struct scsi_command *c, const u8 *list, u32 len);

struct scsi_command {
	/* What it is about. */
	const struct scsi_target *target;
	struct scsi_unit *unit; /* NULL: nothing there; then nothing else is looked at */
	struct scsi_medium *medium; /* held */
	const u8 *cdb;
	u8 lun, nexus;

	/* What it means, as far as decoded. */
	enum scsi_status status;
	struct scsi_sense sense;
	u32 data_len; /* of data, for the guest */
	scsi_take_fn *take; /* NULL: there is no parameter list */
	/* Carries it out and ends r. NULL: ended. */
	void (*run)(struct scsi_request *r, const struct scsi_command *c);
	enum disk_op_kind op;
	bool fua, unmap;
	bool flush; /* READ, VERIFY: what lies in a cache is put on the medium first */
	bool zero_block; /* WRITE SAME: of zeroes, without a buffer */
	bool one_block; /* VERIFY: every block against the first of the buffer */
	u64 offset, len; /* bytes, checked against the medium; take: the list's length */
	u8 data[SCSI_DATA_MAX]; /* valid up to data_len */
};

/* Whether a command keeps its place although there is a unit attention, no unit, no medium. */
enum scsi_row_flag {
	SCSI_ANY_UNIT = 1 << 0, /* answered where nothing is attached, and before attentions */
	SCSI_UNATTENDED = 1 << 1, /* answered before attentions */
	SCSI_MEDIUM = 1 << 2, /* needs a medium */
	SCSI_CHANGES = 1 << 3, /* changes the medium */
	SCSI_ON_DISK = 1 << 4,
	SCSI_ON_DVD = 1 << 5,
	SCSI_THIN = 1 << 6, /* only of disks that can discard */
};

/* SCSI_ON_DISK or SCSI_ON_DVD: what c's unit is. */
static inline u8 scsi_row_flag_of(const struct scsi_command *c)
{
	return c->medium->type == SCSI_DVD ? SCSI_ON_DVD : SCSI_ON_DISK;
}

#define SCSI_NO_ACTION 0xff

/* One command. usage: the bits of the CDB that are looked at (SPC-4 6.35.3). */
struct scsi_row {
	u8 opcode, action, flags, access;
	void (*decode)(struct scsi_command *c);
	u8 usage[SCSI_CDB_MAX];
};

/* The table. */
const struct scsi_row *scsi_rows(unsigned *count);
/* Whether c's unit has such a command. */
bool scsi_row_fits(const struct scsi_command *c, const struct scsi_row *row);
/*
 * The row of a command that c's unit has (where there is none, any); NULL: none. *known: another
 * service action of the opcode has one.
 */
const struct scsi_row *scsi_row_find(const struct scsi_command *c, u8 opcode, u8 action,
				     bool *known);
/* Bytes of a CDB by its operation code. */
u32 scsi_cdb_size(u8 opcode);

/* Decodes r's CDB; c->medium is held for it. */
void scsi_decode(struct scsi_command *c, const struct scsi_request *r);

/* Ends c with this sense: for decoders. */
void scsi_fail(struct scsi_command *c, enum scsi_sense_key key, enum scsi_asc asc);
#define scsi_illegal(c, asc) scsi_fail(c, SCSI_ILLEGAL_REQUEST, asc)
#define scsi_bad_cdb(c) scsi_illegal(c, SCSI_ASC_INVALID_FIELD_IN_CDB)
#define scsi_bad_list(c) scsi_illegal(c, SCSI_ASC_INVALID_FIELD_IN_PARAMETERS)
void scsi_conflict(struct scsi_command *c);
/* Ends c with len bytes of data, of which the guest asked for at most alloc. */
void scsi_data(struct scsi_command *c, u32 len, u32 alloc);
/* A parameter list of len bytes is to be looked at; none: nothing to do. */
void scsi_list(struct scsi_command *c, u32 len, scsi_take_fn *take);
/* Where the commands of one size keep their range (SPC-4 4.2.2). */
void scsi_extent_of(const u8 *cdb, u64 *lba, u64 *blocks);
/* Sets offset and len where [lba, lba + blocks) lies on the medium; fails c where not. */
bool scsi_range(struct scsi_command *c, u64 lba, u64 blocks);

/* Blocks (scsi_block.c, scsi_unmap.c, scsi_same.c). */
void scsi_read(struct scsi_command *c);
void scsi_write(struct scsi_command *c);
void scsi_write_verify(struct scsi_command *c);
void scsi_verify(struct scsi_command *c);
void scsi_compare_and_write(struct scsi_command *c);
void scsi_synchronize_cache(struct scsi_command *c);
void scsi_unmap(struct scsi_command *c);
void scsi_write_same(struct scsi_command *c);

/* What is known of the unit (scsi_inquiry.c, scsi_params.c, scsi_mode.c, scsi_log.c). */
void scsi_inquiry(struct scsi_command *c);
void scsi_report_luns(struct scsi_command *c);
void scsi_request_sense(struct scsi_command *c);
void scsi_read_capacity_10(struct scsi_command *c);
void scsi_read_capacity_16(struct scsi_command *c);
void scsi_get_lba_status(struct scsi_command *c);
void scsi_report_opcodes(struct scsi_command *c);
void scsi_mode_sense(struct scsi_command *c);
void scsi_mode_select(struct scsi_command *c);
void scsi_log_sense(struct scsi_command *c);

/* Reservations (scsi_reserve.c, scsi_reserve_in.c). */
void scsi_reserve(struct scsi_command *c);
void scsi_release(struct scsi_command *c);
void scsi_persistent_reserve_in(struct scsi_command *c);
void scsi_persistent_reserve_out(struct scsi_command *c);

/* Removable media (scsi_mmc.c); START STOP UNIT also of disks. */
void scsi_start_stop(struct scsi_command *c);
void scsi_prevent_allow(struct scsi_command *c);
void scsi_read_toc(struct scsi_command *c);
void scsi_get_configuration(struct scsi_command *c);
void scsi_get_event_status(struct scsi_command *c);
void scsi_read_disc_information(struct scsi_command *c);
void scsi_read_track_information(struct scsi_command *c);
void scsi_read_dvd_structure(struct scsi_command *c);
void scsi_mechanism_status(struct scsi_command *c);

/* ---- Requests (scsi_execute.c) --------------------------------------------------------------- */

/* Ends r: GOOD where sense.key is 0, else CHECK CONDITION. */
void scsi_request_end(struct scsi_request *r, struct scsi_sense sense, u32 transferred);
void scsi_request_illegal(struct scsi_request *r, enum scsi_asc asc);
/*
 * Ends r as the disk says of r->op: with transfer_len bytes transferred where err is 0; a write
 * once it is on stable storage, where there is no write cache any more.
 */
void scsi_request_done(struct scsi_request *r, int err);

/* Writes sense data; the bytes. */
u32 scsi_sense_format(const struct scsi_sense *sense, bool descriptor,
		      u8 out[static SCSI_SENSE_MAX]);

/* Copies data to the start of the guest's buffer, as far as it goes. The bytes copied. */
u32 scsi_buffer_write(struct scsi_request *r, const u8 *data, u32 len);
/* Copies bytes [at, at + len) of it. False: it does not go that far. */
bool scsi_buffer_read(const struct scsi_request *r, u32 at, u8 *data, u32 len);
/* Cuts it down to len bytes; it has at least as many. */
void scsi_buffer_trim(struct scsi_request *r, u64 len);

/* Submits r->op for bytes [offset, offset + len); kind, fua, unmap, iov are set. */
void scsi_submit(struct scsi_request *r, u64 offset, u64 len,
		 void (*done)(struct disk_op *op, int err));

/* run() of commands; scsi_compare.c has the last three. */
void scsi_run_transfer(struct scsi_request *r, const struct scsi_command *c);
void scsi_run_flush(struct scsi_request *r, const struct scsi_command *c);
void scsi_run_verify(struct scsi_request *r, const struct scsi_command *c);
void scsi_run_write_verify(struct scsi_request *r, const struct scsi_command *c);
void scsi_run_compare_and_write(struct scsi_request *r, const struct scsi_command *c);

#endif
