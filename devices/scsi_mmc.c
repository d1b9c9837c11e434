/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A DVD drive (MMC-6): the commands that disks do not have. The medium is a DVD-ROM of one session
 * with one data track, which is the whole image. Left out: audio, raw sectors (READ CD), regions
 * and keys, speeds.
 */
#include <string.h>

#include "devices/scsi_internal.h"

static bool medium_present(const struct scsi_command *c)
{
	return c->medium->disk && !scsi_unit_flag(c->unit, SCSI_TRAY_OPEN);
}

static u32 medium_blocks(struct scsi_command *c)
{
	return (u32)MIN(atomic_load(&c->medium->blocks), (u64)UINT32_MAX);
}

/* ---- READ TOC/PMA/ATIP (MMC-6 6.25) ---- */

#define DATA_TRACK 0x14 /* ADR 1, a data track recorded uninterrupted */
#define LEAD_OUT 0xaa

/* Minutes, seconds, frames from the start of the lead-in, or a block. */
static void address_write(u8 *p, u32 block, bool msf)
{
	u32 frame = block + 150;

	if (!msf) {
		scsi_put32(p, block);
		return;
	}
	p[0] = 0;
	p[1] = (u8)MIN(frame / 75 / 60, 255u);
	p[2] = (u8)(frame / 75 % 60);
	p[3] = (u8)(frame % 75);
}

static u32 toc_track(u8 *p, u8 number, u32 block, bool msf)
{
	memset(p, 0, 8);
	p[1] = DATA_TRACK;
	p[2] = number;
	address_write(p + 4, block, msf);
	return 8;
}

void scsi_read_toc(struct scsi_command *c)
{
	u8 format = c->cdb[2] & 0x0f, first = c->cdb[6];
	bool msf = c->cdb[1] & 0x02;
	u32 len = 4;

	if (!format) /* of the time before there were more than two, these bits said which */
		format = c->cdb[9] >> 6;
	if (format > 1 || (!format && first > 1 && first != LEAD_OUT)) {
		scsi_bad_cdb(c);
		return;
	}
	if (format || first <= 1)
		len += toc_track(c->data + len, 1, 0, msf);
	if (!format)
		len += toc_track(c->data + len, LEAD_OUT, medium_blocks(c), msf);
	scsi_put16(c->data, (u16)(len - 2));
	c->data[2] = 1; /* first track, or session */
	c->data[3] = 1; /* the last one */
	scsi_data(c, len, scsi_get16(c->cdb + 7));
}

/* ---- GET CONFIGURATION (MMC-6 6.6, chapter 5) ---- */

#define PROFILE_CD_ROM 0x0008
#define PROFILE_DVD_ROM 0x0010

/* A feature descriptor: its flags (version << 2 | persistent << 1 | current) and what follows. */
static const struct feature {
	u16 code;
	u8 flags;
	bool with_medium; /* current only where there is one */
	u8 size;
	u8 data[8];
} features[] = {
	{ 0x0000, 0x03, false, 8, { 0, PROFILE_DVD_ROM, 0, 0, 0, PROFILE_CD_ROM, 0, 0 } },
	{ 0x0001, 0x0b, false, 8, { 0, 0, 0, 1, 0x01, 0, 0, 0 } }, /* core: over SCSI; DBE */
	{ 0x0002, 0x07, false, 4, { 0x02, 0, 0, 0 } }, /* morphing: media events, polled */
	{ 0x0003, 0x0b, false, 4, { 0x39, 0, 0, 0 } }, /* removable: tray, eject, load, lock */
	{ 0x0010, 0x00, true, 8, { 0, 0, SCSI_DVD_BLOCK >> 8, 0, 0, 1, 1, 0 } }, /* blocks */
	{ 0x001d, 0x00, true, 0, { 0 } }, /* reads what it is given */
	{ 0x001f, 0x00, true, 4, { 0, 0, 0, 0 } }, /* DVD */
};

static u32 feature_write(u8 *p, const struct feature *f, bool present)
{
	scsi_put16(p, f->code);
	p[2] = (u8)(f->flags | (f->with_medium && present));
	p[3] = f->size;
	memcpy(p + 4, f->data, f->size);
	if (!f->code) /* which profile is current */
		p[6] = present;
	return 4u + f->size;
}

void scsi_get_configuration(struct scsi_command *c)
{
	u8 wanted = c->cdb[1] & 0x03; /* 0: all; 1: all that are current; 2: one */
	u16 start = scsi_get16(c->cdb + 2);
	bool present = medium_present(c);
	u32 len = 8;

	if (wanted == 3) {
		scsi_bad_cdb(c);
		return;
	}
	memset(c->data, 0, 8);
	scsi_put16(c->data + 6, present ? PROFILE_DVD_ROM : 0);
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
		const struct feature *f = &features[i];

		if (wanted == 2 ? f->code != start : f->code < start)
			continue;
		if (wanted != 1 || !f->with_medium || present)
			len += feature_write(c->data + len, f, present);
	}
	scsi_put32(c->data, len - 4);
	scsi_data(c, len, scsi_get16(c->cdb + 7));
}

/* ---- GET EVENT STATUS NOTIFICATION (MMC-6 6.7) ---- */

#define EVENT_MEDIA 4

/* The first event that is pending, which is none from now on; as the status calls it. */
static u8 event_take(struct scsi_command *c)
{
	static const struct {
		u8 event, code;
	} events[] = { { SCSI_EVENT_REMOVAL, 3 }, { SCSI_EVENT_NEW, 2 }, { SCSI_EVENT_EJECT, 1 } };
	_Atomic u8 *pending = &c->unit->events[c->nexus];

	for (unsigned i = 0; i < ARRAY_SIZE(events); i++)
		if (atomic_fetch_and(pending, (u8)~events[i].event) & events[i].event)
			return events[i].code;
	return 0;
}

void scsi_get_event_status(struct scsi_command *c)
{
	bool media = c->cdb[4] & 1 << EVENT_MEDIA;
	u32 alloc = scsi_get16(c->cdb + 7);

	if (!(c->cdb[1] & 0x01)) { /* polled is the only way */
		scsi_bad_cdb(c);
		return;
	}
	memset(c->data, 0, 8);
	scsi_put16(c->data, media ? 6 : 2);
	c->data[2] = media ? EVENT_MEDIA : 0x80; /* none of those asked for */
	c->data[3] = 1 << EVENT_MEDIA;
	if (media && alloc > 4) {
		c->data[4] = event_take(c);
		c->data[5] = (u8)(scsi_unit_flag(c->unit, SCSI_TRAY_OPEN) | medium_present(c) << 1);
	}
	scsi_data(c, media ? 8 : 4, alloc);
}

/* ---- What is in the drive ---- */

/* READ DISC INFORMATION (MMC-6 6.21): a finished disc of one session and track. */
void scsi_read_disc_information(struct scsi_command *c)
{
	if (c->cdb[1] & 0x07) {
		scsi_bad_cdb(c);
		return;
	}
	memset(c->data, 0, 34);
	scsi_put16(c->data, 32);
	c->data[2] = 0x0e; /* the last session is complete, and so is the disc */
	c->data[3] = c->data[4] = c->data[5] = c->data[6] = 1;
	c->data[7] = 0x20; /* for unrestricted use */
	memset(c->data + 16, 0xff, 8); /* nothing can be written behind it */
	scsi_data(c, 34, scsi_get16(c->cdb + 7));
}

/* READ TRACK INFORMATION (MMC-6 6.26), by block, track or session. */
void scsi_read_track_information(struct scsi_command *c)
{
	u32 address = scsi_get32(c->cdb + 2), blocks = medium_blocks(c);
	u8 type = c->cdb[1] & 0x03;

	if (type == 3 || (type ? address != 1 : address >= blocks)) {
		scsi_bad_cdb(c);
		return;
	}
	memset(c->data, 0, 36);
	scsi_put16(c->data, 34);
	c->data[2] = c->data[3] = 1; /* track and session */
	c->data[5] = DATA_TRACK & 0x0f;
	c->data[6] = 0x01; /* mode 1 */
	scsi_put32(c->data + 24, blocks);
	scsi_data(c, 36, scsi_get16(c->cdb + 7));
}

/* READ DVD STRUCTURE (MMC-6 6.22): the physical format, and that nothing protects the contents. */
void scsi_read_dvd_structure(struct scsi_command *c)
{
	u8 format = c->cdb[7], *p = c->data + 4;
	u32 size = format ? 4 : 2048, start = 0x30000;

	if (format > 1 || c->cdb[6]) {
		scsi_bad_cdb(c);
		return;
	}
	memset(c->data, 0, sizeof(c->data));
	scsi_put16(c->data, (u16)(size + 2));
	if (!format) {
		p[0] = 0x01; /* DVD-ROM, part version 1 */
		p[1] = 0x0f; /* 120 mm, any rate */
		p[2] = 0x01; /* one layer, embossed */
		scsi_put32(p + 4, start);
		scsi_put32(p + 8, start + medium_blocks(c) - 1);
	}
	scsi_data(c, MIN(4 + size, (u32)sizeof(c->data)), scsi_get16(c->cdb + 8));
}

void scsi_mechanism_status(struct scsi_command *c)
{
	memset(c->data, 0, 8);
	c->data[1] = scsi_unit_flag(c->unit, SCSI_TRAY_OPEN) ? 0x10 : 0;
	scsi_data(c, 8, scsi_get16(c->cdb + 8));
}

/* ---- The tray ---- */

static void tray_open(struct scsi_command *c)
{
	if (scsi_unit_flag(c->unit, SCSI_PREVENTED)) {
		scsi_illegal(c, SCSI_ASC_REMOVAL_PREVENTED);
		return;
	}
	if (!(atomic_fetch_or(&c->unit->flags, (u32)SCSI_TRAY_OPEN) & SCSI_TRAY_OPEN))
		scsi_unit_event(c->unit, SCSI_EVENT_REMOVAL);
}

/* What lies in it is a new medium for all the guest knows. */
static void tray_close(struct scsi_command *c)
{
	u32 before = atomic_fetch_and(&c->unit->flags, ~(u32)SCSI_TRAY_OPEN);

	if (!(before & SCSI_TRAY_OPEN) || !c->medium->disk)
		return;
	scsi_unit_event(c->unit, SCSI_EVENT_NEW);
	scsi_unit_attend(c->unit, SCSI_UA_MEDIUM, SCSI_NEXUSES);
}

/*
 * Stopping a disk, or putting it into whatever power condition, which changes nothing else, means
 * that everything is on the medium, unless NO_FLUSH is set (SBC-3, START STOP UNIT).
 */
static void disk_start_stop(struct scsi_command *c, bool power)
{
	bool start = c->cdb[4] & 0x01, load = c->cdb[4] & 0x02, no_flush = c->cdb[4] & 0x04;

	if (load && !power)
		scsi_bad_cdb(c);
	else if ((power || !start) && !no_flush)
		c->run = scsi_run_flush;
}

/* A drive has no power conditions. */
void scsi_start_stop(struct scsi_command *c)
{
	bool start = c->cdb[4] & 0x01, load = c->cdb[4] & 0x02, power = c->cdb[4] & 0xf0;

	if (c->medium->type == SCSI_DISK) {
		disk_start_stop(c, power);
	} else if (power) {
		return;
	} else if (load && start) {
		tray_close(c);
	} else if (load) {
		tray_open(c);
	}
}

void scsi_prevent_allow(struct scsi_command *c)
{
	if (c->cdb[4] & 0x01)
		atomic_fetch_or(&c->unit->flags, (u32)SCSI_PREVENTED);
	else
		atomic_fetch_and(&c->unit->flags, ~(u32)SCSI_PREVENTED);
}
