/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mode pages (SPC-4 6.11 to 6.14, SBC-3 6.5, MMC-6 annex E). A guest may change two bits: WCE,
 * without which every write is put through (FUA), and D_SENSE, the format of sense data. No block
 * descriptor is sent. Nothing can be saved, yet saved values are told, and are the default ones:
 * Linux storvsc turns a MODE SENSE that fails into one that succeeds without data, on which tools
 * stumble. For the same reason no unit attention comes before one: Linux would take a disk for one
 * without a write cache, and flush no more.
 */
#include <string.h>

#include "devices/scsi_internal.h"

/* PC of MODE SENSE; a page is a table of bytes for each. */
enum values { CURRENT, CHANGEABLE, DEFAULT, SAVED };

#define PAGE_MAX 0x16
#define WCE 0x04
#define D_SENSE 0x04

/* Read-write error recovery: automatic reallocation, as far as the host does that. */
static u32 page_recovery(u8 *p, struct scsi_command *c, enum values values)
{
	(void)c;
	if (values != CHANGEABLE)
		p[2] = 0xc0; /* AWRE, ARRE */
	return 0x0a;
}

/* The write cache is the host's, and on until the guest turns it off. */
static u32 page_caching(u8 *p, struct scsi_command *c, enum values values)
{
	if (values != CURRENT || !scsi_unit_flag(c->unit, SCSI_WRITE_THROUGH))
		p[2] = WCE;
	return 0x12;
}

static u32 page_control(u8 *p, struct scsi_command *c, enum values values)
{
	if (values == CHANGEABLE || (values == CURRENT && scsi_unit_flag(c->unit, SCSI_D_SENSE)))
		p[2] = D_SENSE;
	if (values != CHANGEABLE)
		p[3] = 0x10; /* commands may be reordered */
	return 0x0a;
}

/* Informational exceptions: none are reported. */
static u32 page_exceptions(u8 *p, struct scsi_command *c, enum values values)
{
	(void)c;
	if (values != CHANGEABLE)
		p[2] = 0x08; /* DEXCPT */
	return 0x0a;
}

/* What a drive with a tray can do: read CDs and DVDs, lock, eject. */
static u32 page_capabilities(u8 *p, struct scsi_command *c, enum values values)
{
	if (values == CHANGEABLE)
		return 0x14;
	p[2] = 0x0b; /* CD-R, CD-RW, DVD-ROM */
	p[4] = 0x70; /* mode 2 form 1, form 2, multi-session */
	p[6] = 0x29; /* a tray, which can be locked and ejects */
	if (scsi_unit_flag(c->unit, SCSI_PREVENTED))
		p[6] |= 0x02;
	scsi_put16(p + 8, 16 * 1385); /* kB/s: DVD at 16x */
	scsi_put16(p + 14, 16 * 1385);
	return 0x14;
}

static const struct page {
	u8 code;
	u8 on; /* SCSI_ON_* */
	u32 (*write)(u8 *p, struct scsi_command *c, enum values values);
} pages[] = {
	{ SCSI_MODE_RECOVERY, SCSI_ON_DISK | SCSI_ON_DVD, page_recovery },
	{ SCSI_MODE_CACHING, SCSI_ON_DISK, page_caching },
	{ SCSI_MODE_CONTROL, SCSI_ON_DISK | SCSI_ON_DVD, page_control },
	{ SCSI_MODE_EXCEPTIONS, SCSI_ON_DISK, page_exceptions },
	{ SCSI_MODE_CAPABILITIES, SCSI_ON_DVD, page_capabilities },
};

static bool page_here(const struct page *page, const struct scsi_command *c)
{
	return page->on & scsi_row_flag_of(c);
}

/* Writes a page; its bytes. */
static u32 page_write(u8 p[static PAGE_MAX], const struct page *page, struct scsi_command *c,
		      enum values values)
{
	u32 len;

	memset(p, 0, PAGE_MAX);
	len = page->write(p, c, values);
	p[0] = page->code;
	p[1] = (u8)len;
	return 2 + len;
}

/* ---- MODE SENSE ---- */

/* The byte of the header that is the device's: write protection; DPO and FUA are heeded. */
static u8 device_specific(const struct scsi_command *c)
{
	if (c->medium->type == SCSI_DVD)
		return 0;
	return c->medium->disk->read_only ? 0x90 : 0x10;
}

void scsi_mode_sense(struct scsi_command *c)
{
	bool ten = c->cdb[0] == SCSI_MODE_SENSE_10;
	u32 head = ten ? 8 : 4, len = head, alloc = ten ? scsi_get16(c->cdb + 7) : c->cdb[4];
	u8 code = c->cdb[2] & 0x3f, subpage = c->cdb[3];
	enum values values = c->cdb[2] >> 6;

	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		if (page_here(&pages[i], c) && (code == SCSI_MODE_ALL || code == pages[i].code))
			len += page_write(c->data + len, &pages[i], c, values);
	if (len == head || (subpage && subpage != 0xff)) {
		scsi_bad_cdb(c);
		return;
	}
	memset(c->data, 0, head);
	if (ten) {
		scsi_put16(c->data, (u16)(len - 2));
		c->data[3] = device_specific(c);
	} else {
		c->data[0] = (u8)(len - 1);
		c->data[2] = device_specific(c);
	}
	scsi_data(c, len, alloc);
}

/* ---- MODE SELECT ---- */

/* Whether p, of at least 2 bytes, changes nothing but what may be. */
static bool page_allowed(const struct page *page, struct scsi_command *c, const u8 *p)
{
	u8 now[PAGE_MAX], mask[PAGE_MAX];
	u32 len = page_write(now, page, c, CURRENT);

	page_write(mask, page, c, CHANGEABLE);
	for (u32 i = 2; i < len; i++)
		if ((p[i] ^ now[i]) & ~mask[i])
			return false;
	return true;
}

/* What a list has of the unit's flags: those that it names, and of these the ones that are set. */
struct choice {
	u32 named, set;
};

static void choose(struct choice *choice, u32 flag, bool set)
{
	choice->named |= flag;
	choice->set = set ? choice->set | flag : choice->set & ~flag;
}

static void page_apply(const u8 *p, struct choice *choice)
{
	if ((p[0] & 0x3f) == SCSI_MODE_CACHING)
		choose(choice, SCSI_WRITE_THROUGH, !(p[2] & WCE));
	else if ((p[0] & 0x3f) == SCSI_MODE_CONTROL)
		choose(choice, SCSI_D_SENSE, p[2] & D_SENSE);
}

static const struct page *page_find(const struct scsi_command *c, const u8 *p)
{
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		if (pages[i].code == (p[0] & 0x7f) && page_here(&pages[i], c))
			return &pages[i];
	return NULL;
}

/* Checks every page before the first one counts. False: c has failed. */
static bool pages_parse(struct scsi_command *c, const u8 *p, u32 len, struct choice *choice)
{
	while (len) {
		const struct page *page = page_find(c, p);
		u8 now[PAGE_MAX];
		u32 size;

		if (!page || len < 2) {
			scsi_bad_list(c);
			return false;
		}
		size = page_write(now, page, c, CURRENT);
		if (p[1] != now[1]) {
			scsi_bad_list(c);
			return false;
		}
		if (size > len) {
			scsi_illegal(c, SCSI_ASC_PARAMETER_LIST_LENGTH);
			return false;
		}
		if (!page_allowed(page, c, p)) {
			scsi_bad_list(c);
			return false;
		}
		page_apply(p, choice);
		p += size;
		len -= size;
	}
	return true;
}

/*
 * What was cached before is put through before the guest may rely on that: also where the cache was
 * off already, for then it may be that this failed the last time. What the list does not name stays
 * as another queue's list may have it by now.
 */
static void choice_apply(struct scsi_command *c, const struct choice *choice)
{
	u32 before = atomic_load(&c->unit->flags), flags;

	do
		flags = (before & ~choice->named) | choice->set;
	while (!atomic_compare_exchange_weak(&c->unit->flags, &before, flags));
	if (before != flags)
		scsi_unit_attend(c->unit, SCSI_UA_MODE_PARAMETERS, c->nexus);
	if (flags & SCSI_WRITE_THROUGH)
		c->run = scsi_run_flush;
}

static void take_mode(struct scsi_request *r, struct scsi_command *c, const u8 *list, u32 len)
{
	bool ten = c->cdb[0] == SCSI_MODE_SELECT_10;
	struct choice choice = { 0 };
	u32 head = ten ? 8 : 4;

	(void)r;
	if (len < head || len > SCSI_LIST_MAX) {
		scsi_illegal(c, SCSI_ASC_PARAMETER_LIST_LENGTH);
		return;
	}
	/* A block descriptor is passed over: neither size nor number of blocks can be changed. */
	head += ten ? scsi_get16(list + 6) : list[3];
	if (head > len)
		scsi_illegal(c, SCSI_ASC_PARAMETER_LIST_LENGTH);
	else if (pages_parse(c, list + head, len - head, &choice))
		choice_apply(c, &choice);
}

void scsi_mode_select(struct scsi_command *c)
{
	bool ten = c->cdb[0] == SCSI_MODE_SELECT_10;

	if ((c->cdb[1] & 0x11) != 0x10) /* PF, not SP */
		scsi_bad_cdb(c);
	else
		scsi_list(c, ten ? scsi_get16(c->cdb + 7) : c->cdb[4], take_mode);
}
