/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * INQUIRY: who a unit is (SPC-3 6.4) and the vital product data pages that Linux and Windows read
 * (SPC-4 7.8, SBC-3 6.6). The vendor is Hyper-V's: guests key on it.
 */
#include <string.h>

#include "devices/scsi_internal.h"

#define VENDOR "Msft    "
#define PRODUCT "Virtual Disk    "
#define REVISION "1.0 "

static void inquiry_standard(struct scsi_command *c, u32 alloc)
{
	struct scsi_inquiry_data d = {
		.version = 5, .format = 2, .additional_length = sizeof(d) - 5, .cmdque = 2
	};
	u32 len = sizeof(d);

	memcpy(d.vendor, VENDOR, sizeof(d.vendor));
	memcpy(d.product, PRODUCT, sizeof(d.product));
	memcpy(d.revision, REVISION, sizeof(d.revision));
	if (!c->unit) {
		d = (struct scsi_inquiry_data){ .peripheral = SCSI_PERIPHERAL_ABSENT,
						.version = 5,
						.format = 2,
						.additional_length = 36 - 5 };
		len = 36;
	}
	memcpy(c->data, &d, len);
	scsi_data(c, len, alloc);
}

/* Each page writes behind the 4-byte header and returns how much; at most 60 bytes, zeroed. */

static u32 vpd_supported(u8 *p, const struct disk *disk)
{
	static const u8 pages[] = { SCSI_VPD_SUPPORTED,       SCSI_VPD_SERIAL,
				    SCSI_VPD_IDENTIFICATION,  SCSI_VPD_BLOCK_LIMITS,
				    SCSI_VPD_CHARACTERISTICS, SCSI_VPD_PROVISIONING };

	(void)disk;
	memcpy(p, pages, sizeof(pages));
	return sizeof(pages);
}

static u32 vpd_serial(u8 *p, const struct disk *disk)
{
	u32 len = (u32)strnlen(disk->id, sizeof(disk->id));

	memcpy(p, disk->id, len);
	return len;
}

/* Two designators of the unit: vendor and id as text, and a locally assigned 60-bit NAA name. */
static u32 vpd_identification(u8 *p, const struct disk *disk)
{
	u32 len = (u32)strnlen(disk->id, sizeof(disk->id));
	u64 hash = 0xcbf29ce484222325ull;
	u8 *naa = p + 4 + 8 + len;

	for (u32 i = 0; i < len; i++)
		hash = (hash ^ (u8)disk->id[i]) * 0x100000001b3ull;
	p[0] = 2; /* ASCII */
	p[1] = 1; /* T10 vendor ID */
	p[3] = (u8)(8 + len);
	memcpy(p + 4, VENDOR, 8);
	memcpy(p + 12, disk->id, len);
	naa[0] = 1; /* binary */
	naa[1] = 3; /* NAA */
	naa[3] = 8;
	scsi_put64(naa + 4, 3ull << 60 | hash >> 4);
	return 4 + 8 + len + 4 + 8;
}

static u32 vpd_block_limits(u8 *p, const struct disk *disk)
{
	u32 block = disk->logical_block;

	p[0] = 1; /* WSNZ: WRITE SAME of no blocks is refused */
	scsi_put32(p + 4, (u32)(SCSI_TRANSFER_MAX / block));
	scsi_put64(p + 32, disk->read_only ? 0 : SCSI_WRITE_SAME_MAX / block);
	if (disk->can_discard) {
		scsi_put32(p + 16, UINT32_MAX); /* blocks of one descriptor */
		scsi_put32(p + 20, SCSI_UNMAP_MAX);
		scsi_put32(p + 24, disk->physical_block / block);
		p[28] = 0x80; /* the alignment, 0, is valid */
	}
	return 0x3c;
}

static u32 vpd_characteristics(u8 *p, const struct disk *disk)
{
	scsi_put16(p, disk->rotational ? 0 : 1); /* 0: not told, 1: does not rotate */
	return 0x3c;
}

static u32 vpd_provisioning(u8 *p, const struct disk *disk)
{
	if (disk->can_discard) {
		p[1] = 0xe0; /* UNMAP, WRITE SAME 16 and 10 with UNMAP */
		p[2] = 2; /* thin */
	}
	return 4;
}

static const struct {
	u8 page;
	u32 (*write)(u8 *p, const struct disk *disk);
} vpd_pages[] = {
	{ SCSI_VPD_SUPPORTED, vpd_supported },
	{ SCSI_VPD_SERIAL, vpd_serial },
	{ SCSI_VPD_IDENTIFICATION, vpd_identification },
	{ SCSI_VPD_BLOCK_LIMITS, vpd_block_limits },
	{ SCSI_VPD_CHARACTERISTICS, vpd_characteristics },
	{ SCSI_VPD_PROVISIONING, vpd_provisioning },
};

static void inquiry_vpd(struct scsi_command *c, u8 page, u32 alloc)
{
	const struct disk *disk = c->unit ? c->medium->disk : NULL;
	u32 len = 0;

	memset(c->data, 0, 64);
	c->data[0] = disk ? 0 : SCSI_PERIPHERAL_ABSENT;
	c->data[1] = page;
	for (unsigned i = 0; disk && i < ARRAY_SIZE(vpd_pages); i++) {
		if (vpd_pages[i].page != page)
			continue;
		len = vpd_pages[i].write(c->data + 4, disk);
		scsi_put16(c->data + 2, (u16)len);
	}
	if (disk && !len)
		scsi_illegal(c, SCSI_ASC_INVALID_FIELD_IN_CDB);
	else
		scsi_data(c, 4 + len, alloc);
}

void scsi_inquiry(struct scsi_command *c)
{
	const u8 *cdb = c->cdb;
	u32 alloc = scsi_get16(cdb + 3);
	bool vpd = cdb[1] & 0x01;

	if (cdb[1] & 0x02 || (!vpd && cdb[2]))
		scsi_illegal(c, SCSI_ASC_INVALID_FIELD_IN_CDB);
	else if (vpd)
		inquiry_vpd(c, cdb[2], alloc);
	else
		inquiry_standard(c, alloc);
}
