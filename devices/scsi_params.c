/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The other commands that answer with data from what is known of the unit: READ CAPACITY
 * (SBC-3 5.15, 5.16), GET LBA STATUS (SBC-3 5.4), REPORT LUNS (SPC-4 6.33), REQUEST SENSE (SPC-4
 * 6.39), REPORT SUPPORTED OPERATION CODES (SPC-4 6.35).
 */
#include <string.h>

#include "devices/scsi_internal.h"

/*
 * Succeeds whatever is there: an error, or a LUN reported absent here, makes Linux storvsc take
 * away LUN 0 of the first target. Where there is no target the list is empty, and so is that of
 * well known units (SELECT REPORT 1); 0 and 2 ask for the others, all of them.
 */
void scsi_report_luns(struct scsi_command *c)
{
	u8 which = c->cdb[2];
	u32 len = 8;

	if (which > 2) {
		scsi_bad_cdb(c);
		return;
	}
	memset(c->data, 0, sizeof(c->data));
	for (unsigned lun = 0; c->target && which != 1 && lun < SCSI_LUNS; lun++) {
		if (!scsi_target_unit(c->target, lun))
			continue;
		c->data[len + 1] = (u8)lun;
		len += 8;
	}
	scsi_put32(c->data, len - 8);
	scsi_data(c, len, scsi_get32(c->cdb + 6));
}

/* Every error was reported with its command: what is left to report is a unit attention. */
void scsi_request_sense(struct scsi_command *c)
{
	struct scsi_sense sense = { 0 };
	enum scsi_attention ua = SCSI_UA_COUNT;

	if (c->unit)
		ua = scsi_unit_attention_take(c->unit, c->nexus);
	else
		sense = (struct scsi_sense){ SCSI_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED,
					     false, 0 };
	if (ua != SCSI_UA_COUNT)
		sense = (struct scsi_sense){ SCSI_UNIT_ATTENTION, scsi_attention_asc(ua), false,
					     0 };
	scsi_data(c, scsi_sense_format(&sense, c->cdb[1] & 0x01, c->data), c->cdb[4]);
}

/* A medium smaller than a block seems to have one, which cannot be read. */
static u64 last_block(struct scsi_command *c)
{
	u64 all = atomic_load(&c->medium->blocks);

	return all ? all - 1 : 0;
}

void scsi_read_capacity_10(struct scsi_command *c)
{
	u64 last = last_block(c);

	scsi_put32(c->data, (u32)MIN(last, (u64)UINT32_MAX));
	scsi_put32(c->data + 4, c->medium->block);
	scsi_data(c, 8, 8);
}

void scsi_read_capacity_16(struct scsi_command *c)
{
	const struct disk *disk = c->medium->disk;
	u32 ratio = disk->physical_block / c->medium->block;

	memset(c->data, 0, 32);
	scsi_put64(c->data, last_block(c));
	scsi_put32(c->data + 8, disk->logical_block);
	c->data[13] = ratio ? (u8)(31 - __builtin_clz(ratio)) : 0;
	if (disk->can_discard)
		c->data[14] = 0x80; /* LBPME */
	scsi_data(c, 32, scsi_get32(c->cdb + 10));
}

/* Everything is mapped, or might be: the host is not asked. */
void scsi_get_lba_status(struct scsi_command *c)
{
	u64 all = atomic_load(&c->medium->blocks), lba = scsi_get64(c->cdb + 2);

	if (lba >= all) {
		scsi_illegal(c, SCSI_ASC_LBA_OUT_OF_RANGE);
		return;
	}
	memset(c->data, 0, 24);
	scsi_put32(c->data, 20);
	scsi_put64(c->data + 8, lba);
	scsi_put32(c->data + 16, (u32)MIN(all - lba, (u64)UINT32_MAX));
	scsi_data(c, 24, scsi_get32(c->cdb + 10));
}

/* ---- REPORT SUPPORTED OPERATION CODES ---- */

/* A timeouts descriptor that names none. */
static u32 opcode_timeouts(u8 *p)
{
	memset(p, 0, 12);
	p[1] = 10;
	return 12;
}

static void opcodes_all(struct scsi_command *c, u32 alloc)
{
	bool timeouts = c->cdb[2] & 0x80;
	const struct scsi_row *rows;
	unsigned count;
	u32 len = 4;

	rows = scsi_rows(&count);
	for (unsigned i = 0; i < count; i++) {
		u8 *p = c->data + len;
		bool action = rows[i].action != SCSI_NO_ACTION;

		if (!scsi_row_fits(c, &rows[i]))
			continue;
		memset(p, 0, 8);
		p[0] = rows[i].opcode;
		p[3] = action ? rows[i].action : 0;
		p[5] = (action ? 1 : 0) | (timeouts ? 2 : 0);
		p[7] = (u8)scsi_cdb_size(rows[i].opcode);
		len += 8 + (timeouts ? opcode_timeouts(p + 8) : 0);
	}
	scsi_put32(c->data, len - 4);
	scsi_data(c, len, alloc);
}

/*
 * The row that is asked for, whichever it is; NULL: this unit has none. Who asks for one without
 * service actions (1) may leave anything in the field of theirs.
 */
static const struct scsi_row *opcode_row(const struct scsi_command *c, bool *known)
{
	u16 action = (c->cdb[2] & 0x07) == 1 ? 0 : scsi_get16(c->cdb + 4);
	const struct scsi_row *row = scsi_row_find(c, c->cdb[3], (u8)action, known);

	return row && row->action != SCSI_NO_ACTION && action > 0x1f ? NULL : row;
}

/*
 * How many bytes `usage` has depends on the command; none where it is not supported, as a service
 * action is not of a command without them.
 */
static void opcodes_one(struct scsi_command *c, const struct scsi_row *row, u32 alloc)
{
	bool timeouts = c->cdb[2] & 0x80, actions = row && row->action != SCSI_NO_ACTION;
	bool stray = (c->cdb[2] & 0x07) == 3 && !actions && scsi_get16(c->cdb + 4);
	bool here = row && !stray;
	u32 size = here ? scsi_cdb_size(row->opcode) : 0, len = 4 + size;

	c->data[0] = 0;
	c->data[1] = (u8)((here ? 0x03 : 0x01) | (timeouts && here ? 0x80 : 0));
	scsi_put16(c->data + 2, (u16)size);
	if (here) {
		memcpy(c->data + 4, row->usage, size);
		c->data[4] = row->opcode;
	}
	if (timeouts && here)
		len += opcode_timeouts(c->data + len);
	scsi_data(c, len, alloc);
}

/*
 * Reporting options: 0 all; 1 one without service actions; 2 one with; 3 one, whichever it is.
 * Asking the wrong way is an error but for 3.
 */
void scsi_report_opcodes(struct scsi_command *c)
{
	u32 alloc = scsi_get32(c->cdb + 6);
	u8 how = c->cdb[2] & 0x07;
	bool known;
	const struct scsi_row *row = opcode_row(c, &known);
	bool actions = known || (row && row->action != SCSI_NO_ACTION);

	if (!how)
		opcodes_all(c, alloc);
	else if (how > 3 || (how == 1 && actions) || (how == 2 && row && !actions))
		scsi_bad_cdb(c);
	else
		opcodes_one(c, row, alloc);
}
