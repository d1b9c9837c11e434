/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A logical unit: what is attached to it, who uses that, what its initiators are to be told. Any
 * thread.
 *
 * A medium is held by counting. It is found through `current`, which may have moved on by then: so
 * it is counted only where it is not retired, and nobody can hold one that is. Its slot is used
 * again when the last holder is gone.
 */
#include <errno.h>
#include <stdlib.h>

#include "devices/scsi_internal.h"

/* ---- Media ---- */

struct scsi_medium *scsi_medium_hold(struct scsi_unit *unit)
{
	for (;;) {
		u32 current = atomic_load(&unit->current);
		struct scsi_medium *m = &unit->medium[current];
		u32 refs = atomic_load(&m->refs);

		while (!(refs & SCSI_RETIRED))
			if (atomic_compare_exchange_weak(&m->refs, &refs, refs + 1))
				return m;
		if (atomic_load(&unit->current) == current)
			return NULL;
	}
}

static void disk_release(struct scsi_unit *unit, struct disk *disk)
{
	if (!disk)
		return;
	if (unit->target->released)
		unit->target->released(unit->target, disk);
	else
		disk->ops->close(disk);
}

/* The last one releases first: until then the slot is no one else's. */
void scsi_medium_drop(struct scsi_unit *unit, struct scsi_medium *medium)
{
	u32 refs = atomic_load(&medium->refs);

	while (refs != (SCSI_RETIRED | 1))
		if (atomic_compare_exchange_weak(&medium->refs, &refs, refs - 1))
			return;
	disk_release(unit, medium->disk);
	atomic_store(&medium->refs, SCSI_RETIRED);
}

static void medium_retire(struct scsi_unit *unit, struct scsi_medium *medium)
{
	struct disk *disk = medium->disk;

	if (!atomic_fetch_or(&medium->refs, SCSI_RETIRED))
		disk_release(unit, disk);
}

static struct scsi_medium *medium_current(struct scsi_unit *unit)
{
	return &unit->medium[atomic_load(&unit->current)];
}

static bool unit_present(struct scsi_unit *unit)
{
	return !(atomic_load(&medium_current(unit)->refs) & SCSI_RETIRED);
}

static bool disk_fits(enum scsi_type type, const struct disk *disk)
{
	switch (type) {
	case SCSI_DISK:
		return disk;
	case SCSI_DVD:
		return !disk || disk->logical_block <= SCSI_DVD_BLOCK;
	default:
		return false;
	}
}

/* The slot that is not current; NULL: it is still held. */
static struct scsi_medium *medium_spare(struct scsi_unit *unit)
{
	struct scsi_medium *m = &unit->medium[atomic_load(&unit->current) ^ 1];

	return atomic_load(&m->refs) == SCSI_RETIRED ? m : NULL;
}

/* Fills the spare slot and makes it current. */
static void medium_load(struct scsi_unit *unit, struct scsi_medium *m, enum scsi_type type,
			struct disk *disk)
{
	m->type = type;
	m->disk = disk;
	m->block = type == SCSI_DVD ? SCSI_DVD_BLOCK : disk->logical_block;
	atomic_store(&m->blocks, disk ? disk->size / m->block : 0);
	atomic_store(&m->refs, 0);
	atomic_store(&unit->current, (u32)(m - unit->medium));
}

/* ---- Life ---- */

int scsi_unit_new(struct scsi_unit **unit, struct scsi_target *target)
{
	struct scsi_unit *u = calloc(1, sizeof(*u));
	int err;

	if (!u)
		return -ENOMEM;
	err = pthread_mutex_init(&u->lock, NULL);
	if (err) {
		free(u);
		return -err;
	}
	u->target = target;
	u->waiting_tail = &u->waiting;
	for (unsigned i = 0; i < ARRAY_SIZE(u->medium); i++)
		atomic_init(&u->medium[i].refs, SCSI_RETIRED);
	*unit = u;
	return 0;
}

void scsi_unit_free(struct scsi_unit *unit)
{
	struct scsi_medium *m = medium_current(unit);

	if (unit_present(unit) && m->disk)
		m->disk->ops->close(m->disk);
	pthread_mutex_destroy(&unit->lock);
	free(unit);
}

/* A unit that comes anew remembers nothing of the one before. */
static void unit_forget(struct scsi_unit *unit)
{
	for (unsigned i = 0; i < SCSI_NEXUSES; i++) {
		atomic_store(&unit->gate[i], 0);
		atomic_store(&unit->events[i], 0);
	}
	atomic_store(&unit->flags, 0);
	atomic_store(&unit->read_errors, 0);
	atomic_store(&unit->write_errors, 0);
	pthread_mutex_lock(&unit->lock);
	unit->pr = (struct scsi_reservations){ 0 };
	pthread_mutex_unlock(&unit->lock);
}

int scsi_unit_attach(struct scsi_unit *unit, enum scsi_type type, struct disk *disk)
{
	struct scsi_medium *spare = medium_spare(unit);

	if (unit_present(unit))
		return -EEXIST;
	if (!spare || atomic_load(&medium_current(unit)->refs) != SCSI_RETIRED)
		return -EBUSY;
	unit_forget(unit);
	medium_load(unit, spare, type, disk);
	return 0;
}

int scsi_unit_detach(struct scsi_unit *unit)
{
	if (!unit_present(unit))
		return -ENOENT;
	medium_retire(unit, medium_current(unit));
	return 0;
}

/* ---- What initiators are told ---- */

static const u16 attention_asc[SCSI_UA_COUNT] = {
	[SCSI_UA_RESET] = SCSI_ASC_RESET,
	[SCSI_UA_REPORTED_LUNS] = SCSI_ASC_REPORTED_LUNS_CHANGED,
	[SCSI_UA_INQUIRY_DATA] = SCSI_ASC_INQUIRY_DATA_CHANGED,
	[SCSI_UA_MEDIUM] = SCSI_ASC_MEDIUM_CHANGED,
	[SCSI_UA_CAPACITY] = SCSI_ASC_CAPACITY_CHANGED,
	[SCSI_UA_MODE_PARAMETERS] = SCSI_ASC_MODE_PARAMETERS_CHANGED,
	[SCSI_UA_RESERVATIONS_PREEMPTED] = SCSI_ASC_RESERVATIONS_PREEMPTED,
	[SCSI_UA_RESERVATIONS_RELEASED] = SCSI_ASC_RESERVATIONS_RELEASED,
	[SCSI_UA_REGISTRATIONS_PREEMPTED] = SCSI_ASC_REGISTRATIONS_PREEMPTED,
	[SCSI_UA_EJECT_REQUEST] = SCSI_ASC_EJECT_REQUEST,
};

u16 scsi_attention_asc(enum scsi_attention ua)
{
	return attention_asc[ua];
}

void scsi_unit_attend(struct scsi_unit *unit, enum scsi_attention ua, unsigned except)
{
	for (unsigned i = 0; i < SCSI_NEXUSES; i++)
		if (i != except)
			atomic_fetch_or(&unit->gate[i], 1u << ua);
}

void scsi_unit_attention(struct scsi_unit *unit, enum scsi_asc asc)
{
	for (unsigned ua = 0; ua < SCSI_UA_COUNT; ua++) {
		if (attention_asc[ua] == asc) {
			scsi_unit_attend(unit, ua, SCSI_NEXUSES);
			return;
		}
	}
	assert(false); /* not a unit attention */
}

enum scsi_attention scsi_unit_attention_take(struct scsi_unit *unit, u8 nexus)
{
	u32 gate = atomic_load(&unit->gate[nexus]);

	for (unsigned ua = 0; ua < SCSI_UA_COUNT; ua++) {
		u32 bit = 1u << ua;

		if (gate & bit && atomic_fetch_and(&unit->gate[nexus], ~bit) & bit)
			return ua;
	}
	return SCSI_UA_COUNT;
}

void scsi_unit_event(struct scsi_unit *unit, enum scsi_media_event event)
{
	for (unsigned i = 0; i < SCSI_NEXUSES; i++)
		atomic_fetch_or(&unit->events[i], (u8)event);
}

/* ---- For the owner ---- */

void scsi_unit_reset(struct scsi_unit *unit)
{
	atomic_fetch_and(&unit->flags, (u32)(SCSI_TRAY_OPEN | SCSI_WRITE_THROUGH));
	scsi_reservations_reset(unit);
	scsi_unit_attend(unit, SCSI_UA_RESET, SCSI_NEXUSES);
}

int scsi_unit_resize(struct scsi_unit *unit, u64 size)
{
	struct scsi_medium *m = scsi_medium_hold(unit);
	u64 blocks;
	int err = -ENOENT;

	if (!m)
		return -ENOENT;
	if (m->disk) {
		blocks = size / m->block;
		if (atomic_exchange(&m->blocks, blocks) != blocks)
			scsi_unit_attend(unit, SCSI_UA_CAPACITY, SCSI_NEXUSES);
		err = 0;
	}
	scsi_medium_drop(unit, m);
	return err;
}

/*
 * The attention comes before the medium, or a guest could read of it unannounced; and after it, for
 * a command may have taken the first one while the old medium was in. The old one goes last: it may
 * take its time.
 */
int scsi_unit_change(struct scsi_unit *unit, struct disk *disk)
{
	struct scsi_medium *old = medium_current(unit), *spare = medium_spare(unit);

	if (!unit_present(unit) || old->type != SCSI_DVD || !disk_fits(SCSI_DVD, disk))
		return -EINVAL;
	if (!spare)
		return -EBUSY;
	if (disk)
		scsi_unit_attend(unit, SCSI_UA_MEDIUM, SCSI_NEXUSES);
	medium_load(unit, spare, SCSI_DVD, disk);
	if (disk)
		scsi_unit_attend(unit, SCSI_UA_MEDIUM, SCSI_NEXUSES);
	scsi_unit_event(unit, disk ? SCSI_EVENT_NEW : SCSI_EVENT_REMOVAL);
	atomic_fetch_and(&unit->flags, ~(u32)SCSI_TRAY_OPEN);
	medium_retire(unit, old);
	return 0;
}

int scsi_unit_eject(struct scsi_unit *unit)
{
	if (!unit_present(unit) || medium_current(unit)->type != SCSI_DVD)
		return -EINVAL;
	if (scsi_unit_flag(unit, SCSI_PREVENTED)) {
		scsi_unit_event(unit, SCSI_EVENT_EJECT);
		return 0;
	}
	atomic_fetch_or(&unit->flags, (u32)SCSI_TRAY_OPEN);
	scsi_unit_event(unit, SCSI_EVENT_REMOVAL);
	return 0;
}

/* ---- Targets ---- */

struct scsi_unit *scsi_target_unit(const struct scsi_target *target, unsigned lun)
{
	struct scsi_unit *unit = lun < SCSI_LUNS ? atomic_load(&target->unit[lun]) : NULL;

	return unit && unit_present(unit) ? unit : NULL;
}

int scsi_target_attach(struct scsi_target *target, unsigned lun, enum scsi_type type,
		       struct disk *disk)
{
	struct scsi_unit *unit;
	int err;

	if (lun >= SCSI_LUNS || !disk_fits(type, disk))
		return -EINVAL;
	unit = atomic_load(&target->unit[lun]);
	if (unit)
		return scsi_unit_attach(unit, type, disk);
	err = scsi_unit_new(&unit, target);
	if (err)
		return err;
	err = scsi_unit_attach(unit, type, disk);
	atomic_store(&target->unit[lun], unit);
	return err;
}

int scsi_target_detach(struct scsi_target *target, unsigned lun)
{
	struct scsi_unit *unit = scsi_target_unit(target, lun);

	return unit ? scsi_unit_detach(unit) : -ENOENT;
}

void scsi_target_fini(struct scsi_target *target)
{
	for (unsigned lun = 0; lun < SCSI_LUNS; lun++) {
		struct scsi_unit *unit = atomic_exchange(&target->unit[lun], NULL);

		if (unit)
			scsi_unit_free(unit);
	}
}

void scsi_target_attention(struct scsi_target *target, enum scsi_asc asc)
{
	for (unsigned lun = 0; lun < SCSI_LUNS; lun++) {
		struct scsi_unit *unit = scsi_target_unit(target, lun);

		if (unit && medium_current(unit)->type == SCSI_DISK)
			scsi_unit_attention(unit, asc);
	}
}

void scsi_target_reset(struct scsi_target *target)
{
	for (unsigned lun = 0; lun < SCSI_LUNS; lun++) {
		struct scsi_unit *unit = scsi_target_unit(target, lun);

		if (unit)
			scsi_unit_reset(unit);
	}
}
