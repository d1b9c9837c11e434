/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LOG SENSE (SPC-4 6.9): what a disk without a surface has to tell: its errors, and that it is
 * well.
 */
#include <string.h>

#include "devices/scsi_internal.h"

/* Each page writes behind the 4-byte header and returns how much. */

static u32 log_supported(u8 *p, struct scsi_command *c);

/* One 8-byte counter. */
static u32 log_counter(u8 *p, u16 code, u64 value)
{
	scsi_put16(p, code);
	p[2] = 0; /* bounded data counter */
	p[3] = 8;
	scsi_put64(p + 4, value);
	return 12;
}

static u32 log_errors(u8 *p, u64 count)
{
	u32 len = log_counter(p, 3, 0); /* corrected */

	return len + log_counter(p + len, 6, count); /* uncorrected */
}

static u32 log_write_errors(u8 *p, struct scsi_command *c)
{
	return log_errors(p, atomic_load(&c->unit->write_errors));
}

static u32 log_read_errors(u8 *p, struct scsi_command *c)
{
	return log_errors(p, atomic_load(&c->unit->read_errors));
}

/* Parameter 0: no exception, no known temperature. */
static u32 log_exceptions(u8 *p, struct scsi_command *c)
{
	(void)c;
	scsi_put32(p, 0x00000304);
	scsi_put32(p + 4, 0x0000ff00);
	return 8;
}

static const struct {
	u8 code;
	u32 (*write)(u8 *p, struct scsi_command *c);
} pages[] = {
	{ 0x00, log_supported },
	{ 0x02, log_write_errors },
	{ 0x03, log_read_errors },
	{ 0x2f, log_exceptions },
};

/* With subpages: pairs of page and subpage, of which all are 0. */
static u32 log_supported(u8 *p, struct scsi_command *c)
{
	u32 step = c->cdb[3] ? 2 : 1;

	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		p[i * step] = pages[i].code;
		if (step == 2)
			p[i * step + 1] = 0;
	}
	return step * ARRAY_SIZE(pages);
}

void scsi_log_sense(struct scsi_command *c)
{
	u8 code = c->cdb[2] & 0x3f, subpage = c->cdb[3];
	u32 len = 0;

	/* SP, PPC; a first parameter; subpages, but for the list of all. */
	if (c->cdb[1] & 0x03 || scsi_get16(c->cdb + 5) || (subpage && (code || subpage != 0xff))) {
		scsi_bad_cdb(c);
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		if (pages[i].code == code)
			len = pages[i].write(c->data + 4, c);
	if (!len) {
		scsi_bad_cdb(c);
		return;
	}
	c->data[0] = (u8)(code | (subpage ? 0x40 : 0));
	c->data[1] = subpage;
	scsi_put16(c->data + 2, (u16)len);
	scsi_data(c, 4 + len, scsi_get16(c->cdb + 7));
}
