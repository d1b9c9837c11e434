/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * INQUIRY: who a unit is (SPC-4 6.6) and the vital product data pages that Linux and Windows read
 * (SPC-4 7.8, SBC-3 6.6). The vendor is Hyper-V's: guests key on it.
 */
#include <stdio.h>
#include <string.h>

#include "devices/scsi_internal.h"

#define VENDOR "Msft    "
#define REVISION "1.0 "

static const struct identity {
	u8 peripheral, removable;
	char product[17];
	u16 versions[3]; /* SPC-4 table 146 */
} identities[] = {
	[SCSI_NOTHING] = { SCSI_PERIPHERAL_ABSENT, 0, "", { 0 } },
	[SCSI_DISK] = { 0,
			0,
			"Virtual Disk    ",
			{ 0x00a0, 0x0460, 0x04c0 } }, /* SAM-5, SPC-4, SBC-3 */
	[SCSI_DVD] = { SCSI_PERIPHERAL_DVD, 0x80, "Virtual DVD-ROM ", { 0x00a0, 0x0460, 0x04e0 } },
};

static const struct identity *identity_of(const struct scsi_command *c)
{
	return &identities[c->unit ? c->medium->type : SCSI_NOTHING];
}

static void inquiry_standard(struct scsi_command *c, u32 alloc)
{
	const struct identity *id = identity_of(c);
	struct scsi_inquiry_data d = {
		.peripheral = id->peripheral, .removable = id->removable, .version = 5, .format = 2
	};
	u32 len = c->unit ? sizeof(d) : 36;

	d.additional_length = (u8)(len - 5);
	if (c->unit) {
		d.cmdque = 2;
		memcpy(d.vendor, VENDOR, sizeof(d.vendor));
		memcpy(d.product, id->product, sizeof(d.product));
		memcpy(d.revision, REVISION, sizeof(d.revision));
		for (unsigned i = 0; i < ARRAY_SIZE(id->versions); i++)
			scsi_put16(d.version_descriptors + 2 * i, id->versions[i]);
	}
	memcpy(c->data, &d, len);
	scsi_data(c, len, alloc);
}

/* ---- Pages: each writes behind the 4-byte header and returns how much; 0: not this unit's ---- */

/* At most 31 letters: the image's own, or a drive's by its place. */
static u32 serial_write(char serial[static 32], const struct scsi_command *c)
{
	const char *id = c->medium->disk ? c->medium->disk->id : "";

	memset(serial, 0, 32);
	if (c->medium->type == SCSI_DVD)
		snprintf(serial, 32, "candela-dvd-%u", c->lun);
	else
		memcpy(serial, id, strnlen(id, 31));
	return (u32)strlen(serial);
}

static u32 vpd_serial(u8 *p, const struct scsi_command *c)
{
	char serial[32];
	u32 len = serial_write(serial, c);

	memcpy(p, serial, len);
	return len;
}

/*
 * A designator's header; the bytes written. set 1: binary, 2: ASCII; type 1: T10 vendor ID, 3: NAA.
 */
static u32 designator(u8 *p, u8 set, u8 type, u32 len)
{
	p[0] = set;
	p[1] = type;
	p[3] = (u8)len;
	return 4;
}

/* Vendor and serial number as text; of a disk, a locally assigned 60-bit NAA name made of that. */
static u32 vpd_identification(u8 *p, const struct scsi_command *c)
{
	char serial[32];
	u32 len = serial_write(serial, c), at = designator(p, 2, 1, 8 + len);
	u64 hash = 0xcbf29ce484222325ull;

	memcpy(p + at, VENDOR, 8);
	memcpy(p + at + 8, serial, len);
	at += 8 + len;
	if (c->medium->type == SCSI_DVD)
		return at;
	for (u32 i = 0; i < len; i++)
		hash = (hash ^ (u8)serial[i]) * 0x100000001b3ull;
	at += designator(p + at, 1, 3, 8);
	scsi_put64(p + at, 3ull << 60 | hash >> 4);
	return at + 8;
}

static u32 vpd_block_limits(u8 *p, const struct scsi_command *c)
{
	const struct disk *disk = c->medium->disk;
	u32 block = c->medium->block, physical = disk->physical_block / block;

	p[0] = 1; /* WSNZ: WRITE SAME of no blocks is refused */
	p[1] = (u8)(disk->read_only ? 0 : SCSI_BOUNCE / block); /* of COMPARE AND WRITE */
	scsi_put16(p + 2, (u16)MIN(physical, UINT16_MAX)); /* transfers are best a multiple of */
	scsi_put32(p + 4, (u32)(SCSI_TRANSFER_MAX / block));
	scsi_put64(p + 32, disk->read_only ? 0 : SCSI_WRITE_SAME_MAX / block);
	if (disk->can_discard) {
		scsi_put32(p + 16, UINT32_MAX); /* blocks of one descriptor */
		scsi_put32(p + 20, SCSI_UNMAP_MAX);
		scsi_put32(p + 24, physical);
		p[28] = 0x80; /* the alignment, 0, is valid */
	}
	return 0x3c;
}

static u32 vpd_characteristics(u8 *p, const struct scsi_command *c)
{
	scsi_put16(p, c->medium->disk->rotational ? 0 : 1); /* 0: not told, 1: does not rotate */
	return 0x3c;
}

static u32 vpd_provisioning(u8 *p, const struct scsi_command *c)
{
	if (c->medium->disk->can_discard) {
		p[1] = 0xe0; /* UNMAP, WRITE SAME 16 and 10 with UNMAP */
		p[2] = 2; /* thin */
	}
	return 4;
}

static u32 vpd_supported(u8 *p, const struct scsi_command *c);

static const struct {
	u8 page;
	u8 on; /* SCSI_ON_* */
	u32 (*write)(u8 *p, const struct scsi_command *c);
} vpd_pages[] = {
	{ SCSI_VPD_SUPPORTED, SCSI_ON_DISK | SCSI_ON_DVD, vpd_supported },
	{ SCSI_VPD_SERIAL, SCSI_ON_DISK | SCSI_ON_DVD, vpd_serial },
	{ SCSI_VPD_IDENTIFICATION, SCSI_ON_DISK | SCSI_ON_DVD, vpd_identification },
	{ SCSI_VPD_BLOCK_LIMITS, SCSI_ON_DISK, vpd_block_limits },
	{ SCSI_VPD_CHARACTERISTICS, SCSI_ON_DISK, vpd_characteristics },
	{ SCSI_VPD_PROVISIONING, SCSI_ON_DISK, vpd_provisioning },
};

static u32 vpd_supported(u8 *p, const struct scsi_command *c)
{
	u32 len = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(vpd_pages); i++)
		if (vpd_pages[i].on & scsi_row_flag_of(c))
			p[len++] = vpd_pages[i].page;
	return len;
}

static void inquiry_vpd(struct scsi_command *c, u8 page, u32 alloc)
{
	bool found = false;
	u32 len = 0;

	memset(c->data, 0, 128);
	c->data[0] = identity_of(c)->peripheral;
	c->data[1] = page;
	for (unsigned i = 0; c->unit && i < ARRAY_SIZE(vpd_pages); i++) {
		if (vpd_pages[i].page != page || !(vpd_pages[i].on & scsi_row_flag_of(c)))
			continue;
		len = vpd_pages[i].write(c->data + 4, c);
		found = true;
	}
	scsi_put16(c->data + 2, (u16)len);
	if (c->unit && !found)
		scsi_bad_cdb(c);
	else
		scsi_data(c, 4 + len, alloc);
}

void scsi_inquiry(struct scsi_command *c)
{
	u32 alloc = scsi_get16(c->cdb + 3);
	bool vpd = c->cdb[1] & 0x01;

	if (c->cdb[1] & 0x02 || (!vpd && c->cdb[2]))
		scsi_bad_cdb(c);
	else if (vpd)
		inquiry_vpd(c, c->cdb[2], alloc);
	else
		inquiry_standard(c, alloc);
}
