/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reservations: the persistent ones (SPC-4 5.13, 6.15, 6.16) and RESERVE and RELEASE of the time
 * before (SPC-2 7.21). Rare, so all of it is under the unit's lock; what it means for READ and
 * WRITE is put into the gates. PREEMPT AND ABORT preempts: what is under way is left to end.
 */
#include "devices/scsi_internal.h"

/* SPC-4 table 67. */
enum pr_type {
	WRITE_EXCLUSIVE = 1,
	EXCLUSIVE_ACCESS = 3,
	WRITE_EXCLUSIVE_REGISTRANTS = 5,
	EXCLUSIVE_ACCESS_REGISTRANTS = 6,
	WRITE_EXCLUSIVE_ALL = 7,
	EXCLUSIVE_ACCESS_ALL = 8,
};

/* The parameter list of PERSISTENT RESERVE OUT. */
struct pr_list {
	u64 key, action_key;
	u8 flags;
};

static bool type_valid(u8 type)
{
	return type < 9 && (1u << type & 0x1ea);
}

static bool type_all(u8 type)
{
	return type == WRITE_EXCLUSIVE_ALL || type == EXCLUSIVE_ACCESS_ALL;
}

static bool type_registrants(u8 type)
{
	return type >= WRITE_EXCLUSIVE_REGISTRANTS;
}

bool scsi_reserved_for_all(const struct scsi_reservations *pr)
{
	return type_all(pr->type);
}

bool scsi_reservation_held(const struct scsi_reservations *pr, unsigned nexus)
{
	return pr->type && (type_all(pr->type) ? pr->key[nexus] != 0 : pr->holder == nexus);
}

/* ---- What it means for commands ---- */

static u32 pr_conflict(const struct scsi_reservations *pr, unsigned nexus)
{
	if (pr->exclusive && pr->owner != nexus)
		return SCSI_NO_OTHERS;
	if (!pr->type || scsi_reservation_held(pr, nexus) ||
	    (type_registrants(pr->type) && pr->key[nexus]))
		return SCSI_CONFLICT_NONE;
	return pr->type == WRITE_EXCLUSIVE || pr->type == WRITE_EXCLUSIVE_REGISTRANTS ||
			       pr->type == WRITE_EXCLUSIVE_ALL
		       ? SCSI_NO_WRITES
		       : SCSI_NO_READS;
}

static void gates_set(struct scsi_unit *u)
{
	for (unsigned i = 0; i < SCSI_NEXUSES; i++) {
		u32 conflict = pr_conflict(&u->pr, i) << SCSI_CONFLICT_SHIFT;
		u32 gate = atomic_load(&u->gate[i]);

		while (!atomic_compare_exchange_weak(&u->gate[i], &gate,
						     (gate & ~SCSI_CONFLICT_MASK) | conflict))
			;
	}
}

/* Tells every registered initiator but one. */
static void registered_attend(struct scsi_unit *u, enum scsi_attention ua, unsigned except)
{
	for (unsigned i = 0; i < SCSI_NEXUSES; i++)
		if (i != except && u->pr.key[i])
			atomic_fetch_or(&u->gate[i], 1u << ua);
}

/* ---- RESERVE and RELEASE ---- */

static bool pr_registered(const struct scsi_reservations *pr)
{
	for (unsigned i = 0; i < SCSI_NEXUSES; i++)
		if (pr->key[i])
			return true;
	return false;
}

/* Third parties and extents are not supported. */
void scsi_reserve(struct scsi_command *c)
{
	struct scsi_unit *u = c->unit;

	if (c->cdb[1] & 0x1f) {
		scsi_bad_cdb(c);
		return;
	}
	pthread_mutex_lock(&u->lock);
	if (pr_registered(&u->pr) || (u->pr.exclusive && u->pr.owner != c->nexus)) {
		scsi_conflict(c);
	} else {
		u->pr.exclusive = true;
		u->pr.owner = c->nexus;
		gates_set(u);
	}
	pthread_mutex_unlock(&u->lock);
}

static void unreserve(struct scsi_unit *u, unsigned nexus)
{
	pthread_mutex_lock(&u->lock);
	if (u->pr.exclusive && (u->pr.owner == nexus || nexus == SCSI_NEXUSES)) {
		u->pr.exclusive = false;
		gates_set(u);
	}
	pthread_mutex_unlock(&u->lock);
}

/* Of what another one has reserved: does nothing, successfully. */
void scsi_release(struct scsi_command *c)
{
	if (c->cdb[1] & 0x1f)
		scsi_bad_cdb(c);
	else
		unreserve(c->unit, c->nexus);
}

void scsi_reservations_reset(struct scsi_unit *unit)
{
	unreserve(unit, SCSI_NEXUSES);
}

/* ---- Saved and restored ---- */

bool scsi_reservations_possible(const struct scsi_reservations *pr, bool none)
{
	bool registered = pr_registered(pr);

	if (none && (registered || pr->type || pr->exclusive))
		return false;
	if (pr->holder >= SCSI_NEXUSES || pr->owner >= SCSI_NEXUSES ||
	    (pr->exclusive && (registered || pr->type)))
		return false;
	return !pr->type || (type_valid(pr->type) &&
			     (type_all(pr->type) ? registered : pr->key[pr->holder] != 0));
}

void scsi_reservations_set(struct scsi_unit *unit, const struct scsi_reservations *pr)
{
	pthread_mutex_lock(&unit->lock);
	unit->pr = *pr;
	gates_set(unit);
	pthread_mutex_unlock(&unit->lock);
}

/* ---- PERSISTENT RESERVE OUT ---- */

/* The reservation ends; those it let in are told that others are, too, now. */
static void pr_end(struct scsi_unit *u, unsigned except)
{
	if (type_registrants(u->pr.type))
		registered_attend(u, SCSI_UA_RESERVATIONS_RELEASED, except);
	u->pr.type = 0;
}

/* A reservation of all registrants ends with the last of them, another one with its holder. */
static void pr_unregister(struct scsi_unit *u, unsigned nexus)
{
	bool holds = scsi_reservation_held(&u->pr, nexus);

	u->pr.key[nexus] = 0;
	if (holds && (!type_all(u->pr.type) || !pr_registered(&u->pr)))
		pr_end(u, nexus);
}

static void pr_register(struct scsi_command *c, const struct pr_list *list)
{
	struct scsi_unit *u = c->unit;

	if (!u->pr.key[c->nexus] && !list->action_key)
		return;
	if (list->action_key)
		u->pr.key[c->nexus] = list->action_key;
	else
		pr_unregister(u, c->nexus);
	u->pr.generation++;
}

static void pr_reserve(struct scsi_command *c, const struct pr_list *list)
{
	struct scsi_reservations *pr = &c->unit->pr;
	u8 type = c->cdb[2];

	(void)list;
	if (!pr->type) {
		pr->type = type;
		pr->holder = c->nexus;
	} else if (!scsi_reservation_held(pr, c->nexus) || pr->type != type) {
		scsi_conflict(c);
	}
}

static void pr_release(struct scsi_command *c, const struct pr_list *list)
{
	struct scsi_unit *u = c->unit;

	(void)list;
	if (!scsi_reservation_held(&u->pr, c->nexus))
		return;
	if (u->pr.type == c->cdb[2])
		pr_end(u, c->nexus);
	else
		scsi_illegal(c, SCSI_ASC_INVALID_RELEASE);
}

static void pr_clear(struct scsi_command *c, const struct pr_list *list)
{
	struct scsi_reservations *pr = &c->unit->pr;

	(void)list;
	registered_attend(c->unit, SCSI_UA_RESERVATIONS_PREEMPTED, c->nexus);
	for (unsigned i = 0; i < SCSI_NEXUSES; i++)
		pr->key[i] = 0;
	pr->type = 0;
	pr->generation++;
}

/* Takes away the registrations with this key (0: all), c's own only where told; how many. */
static unsigned pr_expel(struct scsi_command *c, u64 key, bool own)
{
	struct scsi_unit *u = c->unit;
	unsigned count = 0;

	for (unsigned i = 0; i < SCSI_NEXUSES; i++) {
		bool self = i == c->nexus;

		if (!u->pr.key[i] || (self && !own) || (key && u->pr.key[i] != key))
			continue;
		u->pr.key[i] = 0;
		if (!self)
			atomic_fetch_or(&u->gate[i], 1u << SCSI_UA_REGISTRATIONS_PREEMPTED);
		count++;
	}
	return count;
}

/* The reservation passes to c's initiator, with the type it asks for. */
static void pr_seize(struct scsi_command *c, u64 key)
{
	struct scsi_unit *u = c->unit;

	pr_expel(c, key, false);
	if (u->pr.type != c->cdb[2])
		pr_end(u, c->nexus);
	u->pr.type = c->cdb[2];
	u->pr.holder = c->nexus;
}

static void pr_preempt(struct scsi_command *c, const struct pr_list *list)
{
	struct scsi_reservations *pr = &c->unit->pr;
	bool all = type_all(pr->type);
	u64 key = list->action_key;

	if (!key && !all) {
		scsi_bad_list(c);
	} else if (all ? !key : pr->type && pr->key[pr->holder] == key) {
		pr_seize(c, key);
		pr->generation++;
	} else if (!pr_expel(c, key, true)) {
		scsi_conflict(c);
	} else {
		if (pr->type && !pr_registered(pr))
			pr_end(c->unit, c->nexus);
		pr->generation++;
	}
}

static const struct {
	void (*run)(struct scsi_command *c, const struct pr_list *list);
	bool any_key; /* does not look at the key given */
	bool unregistered; /* for initiators that have none as well */
	bool typed; /* scope and type count */
} actions[] = {
	[SCSI_PR_REGISTER] = { pr_register, false, true, false },
	[SCSI_PR_RESERVE] = { pr_reserve, false, false, true },
	[SCSI_PR_RELEASE] = { pr_release, false, false, true },
	[SCSI_PR_CLEAR] = { pr_clear, false, false, false },
	[SCSI_PR_PREEMPT] = { pr_preempt, false, false, true },
	[SCSI_PR_PREEMPT_AND_ABORT] = { pr_preempt, false, false, true },
	[SCSI_PR_REGISTER_AND_IGNORE] = { pr_register, true, true, false },
};

static void pr_out(struct scsi_command *c, const struct pr_list *list)
{
	struct scsi_reservations *pr = &c->unit->pr;
	u8 action = c->cdb[1] & 0x1f;
	u64 key = pr->key[c->nexus];

	if (pr->exclusive || (!actions[action].any_key && key != list->key) ||
	    (!key && !actions[action].unregistered))
		scsi_conflict(c);
	else if (actions[action].typed && (c->cdb[2] >> 4 || !type_valid(c->cdb[2])))
		scsi_bad_cdb(c);
	else
		actions[action].run(c, list);
}

static void take_pr_out(struct scsi_request *r, struct scsi_command *c, const u8 *bytes, u32 len)
{
	struct pr_list list = { .key = scsi_get64(bytes),
				.action_key = scsi_get64(bytes + 8),
				.flags = bytes[20] };

	(void)r;
	if (len != 24) {
		scsi_illegal(c, SCSI_ASC_PARAMETER_LIST_LENGTH);
		return;
	}
	if (list.flags & 0x09) { /* SPEC_I_PT, APTPL */
		scsi_bad_list(c);
		return;
	}
	pthread_mutex_lock(&c->unit->lock);
	pr_out(c, &list);
	gates_set(c->unit);
	pthread_mutex_unlock(&c->unit->lock);
}

void scsi_persistent_reserve_out(struct scsi_command *c)
{
	u32 len = scsi_get32(c->cdb + 5);

	if (len)
		scsi_list(c, len, take_pr_out);
	else
		scsi_illegal(c, SCSI_ASC_PARAMETER_LIST_LENGTH);
}
