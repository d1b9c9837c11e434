/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a CDB means: its row in the table of commands, and whether the unit lets it through. Source:
 * SAM-5 5.14 (unit attentions), SPC-4 5.13 (reservations).
 */
#include <string.h>

#include "devices/scsi_internal.h"

void scsi_fail(struct scsi_command *c, enum scsi_sense_key key, enum scsi_asc asc)
{
	c->run = NULL;
	c->take = NULL;
	c->data_len = 0;
	c->sense = (struct scsi_sense){ (u8)key, (u16)asc, false, 0 };
}

void scsi_conflict(struct scsi_command *c)
{
	c->run = NULL;
	c->take = NULL;
	c->data_len = 0;
	c->status = SCSI_RESERVATION_CONFLICT;
}

void scsi_data(struct scsi_command *c, u32 len, u32 alloc)
{
	c->data_len = MIN(len, alloc);
}

void scsi_list(struct scsi_command *c, u32 len, scsi_take_fn *take)
{
	c->len = len;
	if (len)
		c->take = take;
}

static void decode_nothing(struct scsi_command *c)
{
	(void)c;
}

/* The default self-test (SPC-4 6.42), which nothing fails that answers; no page is taken. */
static void decode_diagnostic(struct scsi_command *c)
{
	if (c->cdb[1] & 0xe0 || scsi_get16(c->cdb + 3))
		scsi_bad_cdb(c);
}

/* ---- The table ------------------------------------------------------------------------------- */

#define DISK SCSI_ON_DISK
#define DVD SCSI_ON_DVD
#define BOTH (SCSI_ON_DISK | SCSI_ON_DVD)
#define MEDIUM SCSI_MEDIUM
#define CHANGES (SCSI_ON_DISK | SCSI_CHANGES)
#define ANY_UNIT (BOTH | SCSI_ANY_UNIT | SCSI_UNATTENDED)
#define NONE SCSI_NO_ACTION

/* A whole field of 2, 4, 8 bytes. */
#define F2 0xff, 0xff
#define F4 F2, F2
#define F8 F4, F4

#define PR_IN(action)                                                                              \
	{                                                                                          \
		SCSI_PERSISTENT_RESERVE_IN, action, DISK, SCSI_OTHERS, scsi_persistent_reserve_in, \
		{                                                                                  \
			0x5e, 0x1f, 0, 0, 0, 0, 0, F2                                              \
		}                                                                                  \
	}
#define PR_OUT(action)                                                  \
	{                                                               \
		SCSI_PERSISTENT_RESERVE_OUT, action, DISK, SCSI_OTHERS, \
			scsi_persistent_reserve_out,                    \
		{                                                       \
			0x5f, 0x1f, 0xff, 0, 0, F4                      \
		}                                                       \
	}

/* clang-format off */
/* Looked up from the top: what guests use most comes first. */
static const struct scsi_row rows[] = {
	{ SCSI_READ_10, NONE, BOTH | MEDIUM, SCSI_READS, scsi_read,
	  { 0x28, 0xf8, F4, 0, F2 } },
	{ SCSI_WRITE_10, NONE, CHANGES, SCSI_WRITES, scsi_write,
	  { 0x2a, 0xf8, F4, 0, F2 } },
	{ SCSI_READ_16, NONE, DISK, SCSI_READS, scsi_read,
	  { 0x88, 0xf8, F8, F4 } },
	{ SCSI_WRITE_16, NONE, CHANGES, SCSI_WRITES, scsi_write,
	  { 0x8a, 0xf8, F8, F4 } },
	{ SCSI_SYNCHRONIZE_CACHE_10, NONE, DISK, SCSI_WRITES, scsi_synchronize_cache,
	  { 0x35, 0x02, F4, 0, F2 } },
	{ SCSI_UNMAP, NONE, CHANGES | SCSI_THIN, SCSI_WRITES, scsi_unmap,
	  { 0x42, 0x01, 0, 0, 0, 0, 0, F2 } },
	{ SCSI_TEST_UNIT_READY, NONE, BOTH | MEDIUM, SCSI_OTHERS, decode_nothing,
	  { 0 } },
	{ SCSI_REQUEST_SENSE, NONE, ANY_UNIT, SCSI_ALWAYS, scsi_request_sense,
	  { 0x03, 0x01, 0, 0, 0xff } },
	{ SCSI_READ_6, NONE, DISK, SCSI_READS, scsi_read,
	  { 0x08, 0x1f, F2, 0xff } },
	{ SCSI_WRITE_6, NONE, CHANGES, SCSI_WRITES, scsi_write,
	  { 0x0a, 0x1f, F2, 0xff } },
	{ SCSI_INQUIRY, NONE, ANY_UNIT, SCSI_ALWAYS, scsi_inquiry,
	  { 0x12, 0x01, 0xff, F2 } },
	{ SCSI_MODE_SENSE_6, NONE, BOTH | SCSI_UNATTENDED, SCSI_WRITES, scsi_mode_sense,
	  { 0x1a, 0x08, F2, 0xff } },
	{ SCSI_START_STOP_UNIT, NONE, BOTH, SCSI_OTHERS, scsi_start_stop,
	  { 0x1b, 0x01, 0, 0, 0xf7 } },
	{ SCSI_SEND_DIAGNOSTIC, NONE, BOTH, SCSI_WRITES, decode_diagnostic,
	  { 0x1d, 0x04, 0, F2 } },
	{ SCSI_PREVENT_ALLOW, NONE, BOTH, SCSI_OTHERS, scsi_prevent_allow,
	  { 0x1e, 0, 0, 0, 0x01 } },
	{ SCSI_READ_CAPACITY_10, NONE, BOTH | MEDIUM, SCSI_OTHERS, scsi_read_capacity_10,
	  { 0x25, 0 } },
	{ SCSI_WRITE_VERIFY_10, NONE, CHANGES, SCSI_WRITES, scsi_write_verify,
	  { 0x2e, 0xfe, F4, 0, F2 } },
	{ SCSI_VERIFY_10, NONE, DISK, SCSI_READS, scsi_verify,
	  { 0x2f, 0xf6, F4, 0, F2 } },
	{ SCSI_WRITE_SAME_10, NONE, CHANGES, SCSI_WRITES, scsi_write_same,
	  { 0x41, 0xf8, F4, 0, F2 } },
	{ SCSI_MODE_SENSE_10, NONE, BOTH | SCSI_UNATTENDED, SCSI_WRITES, scsi_mode_sense,
	  { 0x5a, 0x18, F2, 0, 0, 0, F2 } },
	{ SCSI_COMPARE_AND_WRITE, NONE, CHANGES, SCSI_WRITES, scsi_compare_and_write,
	  { 0x89, 0xf8, F8, 0, 0, 0, 0xff } },
	{ SCSI_WRITE_VERIFY_16, NONE, CHANGES, SCSI_WRITES, scsi_write_verify,
	  { 0x8e, 0xfe, F8, F4 } },
	{ SCSI_VERIFY_16, NONE, DISK, SCSI_READS, scsi_verify,
	  { 0x8f, 0xf6, F8, F4 } },
	{ SCSI_SYNCHRONIZE_CACHE_16, NONE, DISK, SCSI_WRITES, scsi_synchronize_cache,
	  { 0x91, 0x02, F8, F4 } },
	{ SCSI_WRITE_SAME_16, NONE, CHANGES, SCSI_WRITES, scsi_write_same,
	  { 0x93, 0xf9, F8, F4 } },
	{ SCSI_SERVICE_ACTION_IN_16, SCSI_SA_READ_CAPACITY_16, DISK, SCSI_OTHERS,
	  scsi_read_capacity_16,
	  { 0x9e, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0, F4 } },
	{ SCSI_REPORT_LUNS, NONE, ANY_UNIT, SCSI_ALWAYS, scsi_report_luns,
	  { 0xa0, 0, 0xff, 0, 0, 0, F4 } },
	{ SCSI_READ_12, NONE, BOTH | MEDIUM, SCSI_READS, scsi_read,
	  { 0xa8, 0xf8, F4, F4 } },
	{ SCSI_WRITE_12, NONE, CHANGES, SCSI_WRITES, scsi_write,
	  { 0xaa, 0xf8, F4, F4 } },
	{ SCSI_WRITE_VERIFY_12, NONE, CHANGES, SCSI_WRITES, scsi_write_verify,
	  { 0xae, 0xfe, F4, F4 } },
	{ SCSI_VERIFY_12, NONE, DISK, SCSI_READS, scsi_verify,
	  { 0xaf, 0xf6, F4, F4 } },
	{ SCSI_MODE_SELECT_6, NONE, BOTH, SCSI_WRITES, scsi_mode_select,
	  { 0x15, 0x11, 0, 0, 0xff } },
	{ SCSI_MODE_SELECT_10, NONE, BOTH, SCSI_WRITES, scsi_mode_select,
	  { 0x55, 0x11, 0, 0, 0, 0, 0, F2 } },
	{ SCSI_LOG_SENSE, NONE, DISK, SCSI_OTHERS, scsi_log_sense,
	  { 0x4d, 0, 0xff, 0xff, 0, F2, F2 } },
	{ SCSI_SERVICE_ACTION_IN_16, SCSI_SA_GET_LBA_STATUS, DISK, SCSI_READS,
	  scsi_get_lba_status,
	  { 0x9e, 0x1f, F8, F4 } },
	{ SCSI_MAINTENANCE_IN, SCSI_SA_REPORT_SUPPORTED_OPCODES, BOTH, SCSI_OTHERS,
	  scsi_report_opcodes,
	  { 0xa3, 0x1f, 0x87, 0xff, F2, F4 } },

	{ SCSI_RESERVE_6, NONE, DISK, SCSI_OTHERS, scsi_reserve, { 0x16, 0x1f } },
	{ SCSI_RELEASE_6, NONE, DISK, SCSI_ALWAYS, scsi_release, { 0x17, 0x1f } },
	{ SCSI_RESERVE_10, NONE, DISK, SCSI_OTHERS, scsi_reserve, { 0x56, 0x1f } },
	{ SCSI_RELEASE_10, NONE, DISK, SCSI_ALWAYS, scsi_release, { 0x57, 0x1f } },
	PR_IN(SCSI_PR_READ_KEYS),
	PR_IN(SCSI_PR_READ_RESERVATION),
	PR_IN(SCSI_PR_REPORT_CAPABILITIES),
	PR_IN(SCSI_PR_READ_FULL_STATUS),
	PR_OUT(SCSI_PR_REGISTER),
	PR_OUT(SCSI_PR_RESERVE),
	PR_OUT(SCSI_PR_RELEASE),
	PR_OUT(SCSI_PR_CLEAR),
	PR_OUT(SCSI_PR_PREEMPT),
	PR_OUT(SCSI_PR_PREEMPT_AND_ABORT),
	PR_OUT(SCSI_PR_REGISTER_AND_IGNORE),

	{ SCSI_READ_TOC, NONE, DVD | MEDIUM, SCSI_READS, scsi_read_toc,
	  { 0x43, 0x02, 0x0f, 0, 0, 0, 0xff, F2, 0xc0 } },
	{ SCSI_GET_CONFIGURATION, NONE, DVD | SCSI_UNATTENDED, SCSI_ALWAYS, scsi_get_configuration,
	  { 0x46, 0x03, F2, 0, 0, 0, F2 } },
	{ SCSI_GET_EVENT_STATUS, NONE, DVD | SCSI_UNATTENDED, SCSI_ALWAYS, scsi_get_event_status,
	  { 0x4a, 0x01, 0, 0, 0xff, 0, 0, F2 } },
	{ SCSI_READ_DISC_INFORMATION, NONE, DVD | MEDIUM, SCSI_READS, scsi_read_disc_information,
	  { 0x51, 0x07, 0, 0, 0, 0, 0, F2 } },
	{ SCSI_READ_TRACK_INFORMATION, NONE, DVD | MEDIUM, SCSI_READS, scsi_read_track_information,
	  { 0x52, 0x03, F4, 0, F2 } },
	{ SCSI_READ_DVD_STRUCTURE, NONE, DVD | MEDIUM, SCSI_READS, scsi_read_dvd_structure,
	  { 0xad, 0, 0, 0, 0, 0, 0xff, 0xff, F2 } },
	{ SCSI_MECHANISM_STATUS, NONE, DVD, SCSI_OTHERS, scsi_mechanism_status,
	  { 0xbd, 0, 0, 0, 0, 0, 0, 0, F2 } },
};
/* clang-format on */

static_assert(4 + 20 * ARRAY_SIZE(rows) <= SCSI_DATA_MAX, "REPORT SUPPORTED OPERATION CODES");

const struct scsi_row *scsi_rows(unsigned *count)
{
	*count = ARRAY_SIZE(rows);
	return rows;
}

const struct scsi_row *scsi_row_find(const struct scsi_command *c, u8 opcode, u8 action,
				     bool *known)
{
	*known = false;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].opcode != opcode || (c->unit && !scsi_row_fits(c, &rows[i])))
			continue;
		if (rows[i].action == NONE || rows[i].action == (action & 0x1f))
			return &rows[i];
		*known = true;
	}
	return NULL;
}

bool scsi_row_fits(const struct scsi_command *c, const struct scsi_row *row)
{
	return row->flags & scsi_row_flag_of(c) &&
	       (!(row->flags & SCSI_THIN) || c->medium->disk->can_discard);
}

u32 scsi_cdb_size(u8 opcode)
{
	static const u8 size[8] = { 6, 10, 10, 0, 16, 12, 0, 0 };

	return size[opcode >> 5];
}

/* ---- What the unit lets through -------------------------------------------------------------- */

static bool attention_pass(struct scsi_command *c, u8 flags)
{
	enum scsi_attention ua;

	if (flags & SCSI_UNATTENDED)
		return true;
	ua = scsi_unit_attention_take(c->unit, c->nexus);
	if (ua == SCSI_UA_COUNT)
		return true;
	scsi_fail(c, SCSI_UNIT_ATTENTION, scsi_attention_asc(ua));
	return false;
}

static bool gate_pass(struct scsi_command *c, u8 flags, u8 access)
{
	u32 gate = atomic_load_explicit(&c->unit->gate[c->nexus], memory_order_relaxed);

	if (!gate)
		return true;
	if (!attention_pass(c, flags))
		return false;
	if (access > gate >> SCSI_CONFLICT_SHIFT)
		return true;
	scsi_conflict(c);
	return false;
}

static bool medium_pass(struct scsi_command *c, u8 flags)
{
	bool open = scsi_unit_flag(c->unit, SCSI_TRAY_OPEN);

	if (flags & SCSI_MEDIUM && (open || !c->medium->disk)) {
		scsi_fail(c, SCSI_NOT_READY,
			  open ? SCSI_ASC_NO_MEDIUM_TRAY_OPEN : SCSI_ASC_NO_MEDIUM_TRAY_CLOSED);
		return false;
	}
	if (flags & SCSI_CHANGES && c->medium->disk->read_only) {
		scsi_fail(c, SCSI_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
		return false;
	}
	return true;
}

static void decode_present(struct scsi_command *c, const struct scsi_row *row, bool known)
{
	if (!gate_pass(c, row ? row->flags : 0, row ? row->access : SCSI_OTHERS))
		return;
	if (!row)
		scsi_illegal(c, known ? SCSI_ASC_INVALID_FIELD_IN_CDB : SCSI_ASC_INVALID_OPCODE);
	else if (medium_pass(c, row->flags))
		row->decode(c);
}

void scsi_decode(struct scsi_command *c, const struct scsi_request *r)
{
	const struct scsi_row *row;
	bool known;

	memset(c, 0, offsetof(struct scsi_command, data));
	c->target = r->target;
	c->unit = r->unit;
	c->medium = r->medium;
	c->cdb = r->cdb;
	c->lun = r->lun;
	c->nexus = r->nexus;
	row = scsi_row_find(c, c->cdb[0], c->cdb[1], &known);
	if (c->unit)
		decode_present(c, row, known);
	else if (row && row->flags & SCSI_ANY_UNIT)
		row->decode(c);
	else
		scsi_illegal(c, SCSI_ASC_LUN_NOT_SUPPORTED);
}
