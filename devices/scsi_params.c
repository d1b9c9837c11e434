/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The other commands that answer with data from what is known of the unit: READ CAPACITY
 * (SBC-3 5.15, 5.16), MODE SENSE (SPC-4 6.13, SBC-3 6.5), REPORT LUNS (SPC-4 6.33), REQUEST SENSE
 * (SPC-4 6.39).
 */
#include <string.h>

#include "devices/scsi_internal.h"

/*
 * Always succeeds: an error, or a LUN reported absent here, makes Linux storvsc take away LUN 0
 * of the first target. Where there is no target the list is empty.
 */
void scsi_report_luns(struct scsi_command *c)
{
	u32 len = 8;

	memset(c->data, 0, sizeof(c->data));
	for (unsigned lun = 0; c->target && lun < SCSI_LUNS; lun++) {
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

void scsi_read_capacity_10(struct scsi_command *c)
{
	u64 last = atomic_load(&c->medium->blocks) - 1;

	scsi_put32(c->data, (u32)MIN(last, (u64)UINT32_MAX));
	scsi_put32(c->data + 4, c->medium->block);
	scsi_data(c, 8, 8);
}

void scsi_read_capacity_16(struct scsi_command *c)
{
	const struct disk *disk = c->medium->disk;
	u32 ratio = disk->physical_block / disk->logical_block;

	memset(c->data, 0, 32);
	scsi_put64(c->data, atomic_load(&c->medium->blocks) - 1);
	scsi_put32(c->data + 8, disk->logical_block);
	c->data[13] = ratio ? (u8)(31 - __builtin_clz(ratio)) : 0;
	if (disk->can_discard)
		c->data[14] = 0x80; /* LBPME */
	scsi_data(c, 32, scsi_get32(c->cdb + 10));
}

/* The write cache is the host's page cache, and on. Nothing can be changed. */
static u32 mode_caching(u8 *p, bool changeable)
{
	p[0] = SCSI_MODE_CACHING;
	p[1] = 0x12;
	if (!changeable)
		p[2] = 0x04; /* WCE */
	return 2 + 0x12;
}

static u32 mode_control(u8 *p, bool changeable)
{
	p[0] = SCSI_MODE_CONTROL;
	p[1] = 0x0a;
	if (!changeable)
		p[3] = 0x10; /* commands may be reordered */
	return 2 + 0x0a;
}

void scsi_mode_sense(struct scsi_command *c)
{
	const u8 *cdb = c->cdb;
	bool ten = cdb[0] == SCSI_MODE_SENSE_10, changeable = cdb[2] >> 6 == 1;
	u32 len = ten ? 8 : 4, alloc = ten ? scsi_get16(cdb + 7) : cdb[4];
	u8 page = cdb[2] & 0x3f, device = (u8)(0x10 | (c->medium->disk->read_only ? 0x80 : 0));
	bool all = page == SCSI_MODE_ALL;

	if (cdb[2] >> 6 == 3) {
		scsi_illegal(c, SCSI_ASC_SAVING_NOT_SUPPORTED);
		return;
	}
	if ((!all && page != SCSI_MODE_CACHING && page != SCSI_MODE_CONTROL) ||
	    (cdb[3] && !(all && cdb[3] == 0xff))) {
		scsi_illegal(c, SCSI_ASC_INVALID_FIELD_IN_CDB);
		return;
	}
	memset(c->data, 0, 64);
	if (all || page == SCSI_MODE_CACHING)
		len += mode_caching(c->data + len, changeable);
	if (all || page == SCSI_MODE_CONTROL)
		len += mode_control(c->data + len, changeable);
	/* The header: length of what follows, DPOFUA and write protection. No block descriptor. */
	if (ten) {
		scsi_put16(c->data, (u16)(len - 2));
		c->data[3] = device;
	} else {
		c->data[0] = (u8)(len - 1);
		c->data[2] = device;
	}
	scsi_data(c, len, alloc);
}
