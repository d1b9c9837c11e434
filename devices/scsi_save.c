/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A unit as bytes: what its initiators have made of it and are still to be told. What is attached
 * to it is the host's, named here so that it is known again: a machine restored with two disks the
 * wrong way round would destroy both. What only advises the guest (physical block, discards,
 * rotation) may differ.
 *
 *	u8 type; u32 bytes of a block; u64 blocks; u8 is read-only; u8 a medium is in; u8[32] its id
 *	u32 flags, by enum scsi_unit_flag
 *	for each of SCSI_NEXUSES initiators: u32 unit attentions pending, a bit each by
 *	enum scsi_attention; u8 media events pending
 *	u64 errors of reading, of writing
 *	reservations: u32 generation; u64 keys of the initiators; u8 holder, type; u8 RESERVE is in
 *	force, u8 whose
 */
#include <errno.h>
#include <string.h>

#include "devices/scsi_internal.h"

struct saved_medium {
	u8 type;
	u32 block;
	u64 blocks;
	bool read_only, loaded;
	char id[32];
};

struct saved_unit {
	struct saved_medium medium;
	u32 flags;
	u32 attentions[SCSI_NEXUSES];
	u8 events[SCSI_NEXUSES];
	u64 read_errors, write_errors;
	struct scsi_reservations pr;
};

/* ---- Out ---- */

static struct saved_medium medium_describe(const struct scsi_medium *m)
{
	struct saved_medium saved = { .type = (u8)m->type,
				      .block = m->block,
				      .blocks = atomic_load(&m->blocks),
				      .loaded = m->disk };

	if (m->disk) {
		saved.read_only = m->disk->read_only;
		memcpy(saved.id, m->disk->id, strnlen(m->disk->id, sizeof(saved.id)));
	}
	return saved;
}

static void medium_save(const struct scsi_medium *m, struct stream_out *out)
{
	struct saved_medium saved = medium_describe(m);

	stream_put_u8(out, saved.type);
	stream_put_u32(out, saved.block);
	stream_put_u64(out, saved.blocks);
	stream_put_u8(out, saved.read_only);
	stream_put_u8(out, saved.loaded);
	stream_put_bytes(out, saved.id, sizeof(saved.id));
}

static void reservations_save(struct scsi_unit *unit, struct stream_out *out)
{
	pthread_mutex_lock(&unit->lock);
	stream_put_u32(out, unit->pr.generation);
	for (unsigned i = 0; i < SCSI_NEXUSES; i++)
		stream_put_u64(out, unit->pr.key[i]);
	stream_put_u8(out, unit->pr.holder);
	stream_put_u8(out, unit->pr.type);
	stream_put_u8(out, unit->pr.exclusive);
	stream_put_u8(out, unit->pr.owner);
	pthread_mutex_unlock(&unit->lock);
}

void scsi_unit_save(struct scsi_unit *unit, struct stream_out *out)
{
	struct scsi_medium *m = scsi_medium_hold(unit);

	assert(m);
	medium_save(m, out);
	scsi_medium_drop(unit, m);
	stream_put_u32(out, atomic_load(&unit->flags));
	for (unsigned i = 0; i < SCSI_NEXUSES; i++) {
		stream_put_u32(out, atomic_load(&unit->gate[i]) & ~SCSI_CONFLICT_MASK);
		stream_put_u8(out, atomic_load(&unit->events[i]));
	}
	stream_put_u64(out, atomic_load(&unit->read_errors));
	stream_put_u64(out, atomic_load(&unit->write_errors));
	reservations_save(unit, out);
}

/* ---- In ---- */

static struct saved_unit unit_read(struct stream_in *in)
{
	struct saved_unit u = { .medium = { .type = stream_get_u8(in) } };

	u.medium.block = stream_get_u32(in);
	u.medium.blocks = stream_get_u64(in);
	u.medium.read_only = stream_get_bool(in);
	u.medium.loaded = stream_get_bool(in);
	stream_get_bytes(in, u.medium.id, sizeof(u.medium.id));
	u.flags = stream_get_u32(in);
	for (unsigned i = 0; i < SCSI_NEXUSES; i++) {
		u.attentions[i] = stream_get_u32(in);
		u.events[i] = stream_get_u8(in);
	}
	u.read_errors = stream_get_u64(in);
	u.write_errors = stream_get_u64(in);
	u.pr.generation = stream_get_u32(in);
	for (unsigned i = 0; i < SCSI_NEXUSES; i++)
		u.pr.key[i] = stream_get_u64(in);
	u.pr.holder = stream_get_u8(in);
	u.pr.type = stream_get_u8(in);
	u.pr.exclusive = stream_get_bool(in);
	u.pr.owner = stream_get_u8(in);
	return u;
}

static bool medium_known(struct scsi_unit *unit, const struct saved_medium *saved)
{
	struct scsi_medium *m = scsi_medium_hold(unit);
	struct saved_medium here = { 0 };

	if (m) {
		here = medium_describe(m);
		scsi_medium_drop(unit, m);
	}
	return here.type == saved->type && here.block == saved->block &&
	       here.blocks == saved->blocks && here.read_only == saved->read_only &&
	       here.loaded == saved->loaded && !memcmp(here.id, saved->id, sizeof(here.id));
}

/* What commands, resets and the owner can make of a unit of this type. */
static bool unit_possible(const struct saved_unit *u)
{
	bool dvd = u->medium.type == SCSI_DVD;
	u32 flags = SCSI_D_SENSE | SCSI_PREVENTED | (dvd ? SCSI_TRAY_OPEN : SCSI_WRITE_THROUGH);

	if (u->flags & ~flags)
		return false;
	for (unsigned i = 0; i < SCSI_NEXUSES; i++)
		if (u->attentions[i] >> SCSI_UA_COUNT || u->events[i] & ~SCSI_EVENTS ||
		    (u->events[i] && !dvd))
			return false;
	return scsi_reservations_possible(&u->pr, dvd);
}

int scsi_unit_restore(struct scsi_unit *unit, struct stream_in *in, bool apply)
{
	struct saved_unit u = unit_read(in);

	if (in->bad || !unit_possible(&u))
		return -EINVAL;
	if (!medium_known(unit, &u.medium))
		return -ENODEV;
	if (!apply)
		return 0;
	atomic_store(&unit->flags, u.flags);
	for (unsigned i = 0; i < SCSI_NEXUSES; i++) {
		atomic_store(&unit->gate[i], u.attentions[i]);
		atomic_store(&unit->events[i], u.events[i]);
	}
	atomic_store(&unit->read_errors, u.read_errors);
	atomic_store(&unit->write_errors, u.write_errors);
	scsi_reservations_set(unit, &u.pr);
	return 0;
}
