/* SPDX-License-Identifier: BSD-2-Clause */
/* PERSISTENT RESERVE IN (SPC-4 6.15): what is registered and reserved. */
#include <string.h>

#include "devices/scsi_internal.h"

/* Each writes behind the 8-byte header and returns how much. */

static u32 read_keys(u8 *p, const struct scsi_command *c)
{
	const struct scsi_reservations *pr = &c->unit->pr;
	u32 len = 0;

	for (unsigned i = 0; i < SCSI_NEXUSES; i++) {
		if (!pr->key[i])
			continue;
		scsi_put64(p + len, pr->key[i]);
		len += 8;
	}
	return len;
}

/* A reservation of all registrants is shown with key 0. */
static u32 read_reservation(u8 *p, const struct scsi_command *c)
{
	const struct scsi_reservations *pr = &c->unit->pr;

	if (!pr->type)
		return 0;
	memset(p, 0, 16);
	if (!scsi_reserved_for_all(pr))
		scsi_put64(p, pr->key[pr->holder]);
	p[13] = pr->type;
	return 16;
}

/* An initiator of one port, named as parallel SCSI names them: address and port. */
static u32 initiator_write(u8 *p, u8 nexus)
{
	memset(p, 0, 24);
	p[0] = 1;
	scsi_put16(p + 2, nexus);
	scsi_put16(p + 6, 1);
	return 24;
}

static u32 read_full_status(u8 *p, const struct scsi_command *c)
{
	const struct scsi_reservations *pr = &c->unit->pr;
	u32 len = 0;

	for (u8 i = 0; i < SCSI_NEXUSES; i++) {
		u8 *d = p + len;

		if (!pr->key[i])
			continue;
		memset(d, 0, 24);
		scsi_put64(d, pr->key[i]);
		if (scsi_reservation_held(pr, i)) {
			d[12] = 0x01;
			d[13] = pr->type;
		}
		scsi_put16(d + 18, 1);
		scsi_put32(d + 20, 24);
		len += 24 + initiator_write(d + 24, i);
	}
	return len;
}

/* All types; all target ports, of which there is one; no persistence through power loss. */
static void report_capabilities(struct scsi_command *c)
{
	static const u8 data[8] = { 0, 8, 0x04, 0x80, 0xea, 0x01, 0, 0 };

	memcpy(c->data, data, sizeof(data));
	scsi_data(c, sizeof(data), scsi_get16(c->cdb + 7));
}

void scsi_persistent_reserve_in(struct scsi_command *c)
{
	static u32 (*const write[])(u8 * p, const struct scsi_command *c) = {
		[SCSI_PR_READ_KEYS] = read_keys,
		[SCSI_PR_READ_RESERVATION] = read_reservation,
		[SCSI_PR_READ_FULL_STATUS] = read_full_status,
	};
	u8 action = c->cdb[1] & 0x1f;
	struct scsi_unit *u = c->unit;
	u32 len;

	if (action == SCSI_PR_REPORT_CAPABILITIES) {
		report_capabilities(c);
		return;
	}
	pthread_mutex_lock(&u->lock);
	if (u->pr.exclusive) {
		scsi_conflict(c);
	} else {
		len = write[action](c->data + 8, c);
		scsi_put32(c->data, u->pr.generation);
		scsi_put32(c->data + 4, len);
		scsi_data(c, 8 + len, scsi_get16(c->cdb + 7));
	}
	pthread_mutex_unlock(&u->lock);
}
