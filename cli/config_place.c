/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a disk appears in the guest: on which controller, as which target and LUN, or in which
 * place of the IDE bus; and how many queues its controller has. What the user leaves open is given
 * out in the order of the options, to disks before DVD drives, after what was asked for in full: a
 * LUN of the first controller, if no other is named.
 */
#include <errno.h>
#include <string.h>

#include "cli/config_parse.h"

/* The range of each: of a SCSI controller's units, of IDE's two channels of two disks. */
static const struct config_place scsi_limit = { .controller = CONFIG_CONTROLLERS_MAX,
						.target = STORVSP_TARGETS,
						.lun = STORVSP_LUNS };
static const struct config_place ide_limit = {
	.ide = true, .controller = STORVSP_IDE_MAX / 2, .target = 2, .lun = 1
};

static const struct config_place *limit_of(const struct config_place *place)
{
	return place->ide ? &ide_limit : &scsi_limit;
}

static int place_bus(struct config_parse *p, struct config_place *place, const char *value)
{
	static const char *const words[] = { "scsi", "ide", NULL };
	int i = config_word(p, "bus", value, words);

	place->ide = i == 1;
	return MIN(i, 0);
}

static int place_number(struct config_parse *p, const char *name, int *field, const char *value)
{
	u64 n;

	if (!config_number(value, STORVSP_LUNS - 1, &n))
		return config_fail(p, "%s= is a number from 0 to %d at most", name,
				   STORVSP_LUNS - 1);
	*field = (int)n;
	return 1;
}

/* How many of them there are vCPUs for is known later: config_places(). */
static int place_queues(struct config_parse *p, struct config_place *place, const char *value)
{
	u64 n;

	if (!config_number(value, UINT32_MAX, &n) || !n)
		return config_fail(p, "queues= is a number from 1 to that of the vCPUs");
	place->queues = (unsigned)n;
	return 1;
}

int config_place_item(struct config_parse *p, struct config_place *place, char *item)
{
	const char *queues = config_item_value(item, "queues");
	const char *bus = config_item_value(item, "bus");
	const char *controller = config_item_value(item, "controller");
	const char *target = config_item_value(item, "target");
	const char *lun = config_item_value(item, "lun");

	if (bus)
		return place_bus(p, place, bus) ?: 1;
	if (controller)
		return place_number(p, "controller", &place->controller, controller);
	if (target)
		return place_number(p, "target", &place->target, target);
	if (lun)
		return place_number(p, "lun", &place->lun, lun);
	if (queues)
		return place_queues(p, place, queues);
	return 0;
}

int config_place_judge(struct config_parse *p, const struct config_place *place)
{
	const struct config_place *limit = limit_of(place);
	const char *bus = place->ide ? "bus=ide" : "a guest";

	if (place->controller >= limit->controller)
		return config_fail(p, "%s has controllers 0 to %d", bus, limit->controller - 1);
	if (place->target >= limit->target)
		return config_fail(p, "a controller has targets 0 to %d", limit->target - 1);
	if (place->lun >= limit->lun)
		return config_fail(p, "bus=ide has no LUN but 0");
	if (place->ide && place->queues > 1)
		return config_fail(p, "bus=ide has one queue");
	return 0;
}

/* The disk before `count` at this place, or NULL. */
static const char *occupant(const struct config *c, const struct config_place *place)
{
	for (unsigned i = 0; i < c->disk_count; i++) {
		const struct config_place *other = &c->place[i];

		if (other != place && other->ide == place->ide && other->lun == place->lun &&
		    other->target == place->target && other->controller == place->controller)
			return c->disk[i].path;
	}
	return NULL;
}

static bool place_full(const struct config_place *place)
{
	return place->controller >= 0 && place->target >= 0 && place->lun >= 0;
}

/*
 * What is to be tried for one number: the one given; else all (of SCSI's controllers only the
 * first).
 */
struct choice {
	int from, to;
};

static struct choice choice_of(int given, int limit)
{
	return given >= 0 ? (struct choice){ given, given + 1 } : (struct choice){ 0, limit };
}

/* Fills in what is open, with the first place that is free. False: there is none. */
static bool place_find(const struct config *c, struct config_place *place)
{
	const struct config_place *limit = limit_of(place);
	struct choice controller = choice_of(place->controller, place->ide ? limit->controller : 1);
	struct choice target = choice_of(place->target, limit->target);
	struct choice lun = choice_of(place->lun, limit->lun);

	for (place->controller = controller.from; place->controller < controller.to;
	     place->controller++)
		for (place->target = target.from; place->target < target.to; place->target++)
			for (place->lun = lun.from; place->lun < lun.to; place->lun++)
				if (!occupant(c, place))
					return true;
	return false;
}

/* What follows is said of this disk. */
static void place_blame(struct config_parse *p, unsigned disk)
{
	p->option = p->c->disk[disk].dvd ? "--dvd" : "--disk";
	p->value = p->c->disk[disk].path;
}

static int place_fail(struct config_parse *p, unsigned disk)
{
	const struct config_place *place = &p->c->place[disk];

	place_blame(p, disk);
	if (!place_full(place))
		return config_fail(p, "there is no room left on that %s",
				   place->ide ? "bus" : "controller");
	return config_fail(
		p,
		"%scontroller %d, target %d, LUN %d is taken by %s; leave out %s to get a free one",
		place->ide ? "IDE " : "", place->controller, place->target, place->lun,
		occupant(p->c, place), place->ide ? "target=" : "lun=");
}

/* A LUN is one of the first target of the first controller, where no other is named. */
static void place_settle(struct config_place *place)
{
	if (place->ide)
		place->lun = 0;
	if (place->ide || place->lun < 0)
		return;
	place->controller = MAX(place->controller, 0);
	place->target = MAX(place->target, 0);
}

/* Gives a disk its place. False: there is none left. */
static bool place_give(struct config *c, unsigned disk)
{
	struct config_place found = c->place[disk]; /* a copy: not in its own way */

	if (place_full(&found))
		return true;
	if (!place_find(c, &found))
		return false;
	c->place[disk] = found;
	return true;
}

static int check_queues(struct config_parse *p)
{
	const struct config *c = p->c;

	for (unsigned i = 0; i < c->disk_count; i++) {
		if (c->place[i].queues <= c->cpus)
			continue;
		place_blame(p, i);
		return config_fail(p, "queues=%u are more than the %u vCPUs of --cpus",
				   c->place[i].queues, c->cpus);
	}
	return 0;
}

int config_places(struct config_parse *p)
{
	struct config *c = p->c;

	for (unsigned i = 0; i < c->disk_count; i++)
		place_settle(&c->place[i]);
	for (unsigned i = 0; i < c->disk_count; i++)
		if (place_full(&c->place[i]) && occupant(c, &c->place[i]))
			return place_fail(p, i);
	for (unsigned i = 0; i < c->disk_count; i++)
		if (!c->disk[i].dvd && !place_give(c, i))
			return place_fail(p, i);
	for (unsigned i = 0; i < c->disk_count; i++)
		if (c->disk[i].dvd && !place_give(c, i))
			return place_fail(p, i);
	return check_queues(p);
}
