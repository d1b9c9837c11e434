/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Overlay pages (TLFS: "Overlay Pages"): pages of the hypervisor's at a place the guest chooses,
 * with the guest's own bytes coming back when they go. Done by copying 4 KiB, not by changing
 * memory slots: that would split huge pages and stop every VP. The difference shows only to a guest
 * that looks at the page through a second address, and RAM has one.
 *
 * Several may lie on one page, each keeping what it found there. They may go in any order: one that
 * goes from beneath another leaves it what it kept.
 */
#include "hyperv/overlay.h"

#include <string.h>

void overlay_list_init(struct overlay_list *list)
{
	pthread_mutex_init(&list->lock, NULL);
	list->last = NULL;
}

void overlay_list_fini(struct overlay_list *list)
{
	pthread_mutex_destroy(&list->lock);
}

void overlay_init(struct overlay *o, struct overlay_list *list)
{
	o->list = list;
}

/* What follows is under the list's lock. */

/* The one that lies directly on o, or NULL. */
static struct overlay *above(const struct overlay *o)
{
	struct overlay *found = NULL;

	for (struct overlay *p = o->list->last; p != o; p = p->before)
		if (p->host == o->host)
			found = p;
	return found;
}

static void list_remove(const struct overlay *o)
{
	struct overlay **p = &o->list->last;

	while (*p != o)
		p = &(*p)->before;
	*p = o->before;
}

static void lift(struct overlay *o)
{
	struct overlay *on = above(o);

	memcpy(on ? on->under : o->host, o->under, HV_PAGE_SIZE);
	list_remove(o);
	o->host = NULL;
}

static void put(struct overlay *o, gpa_t gpa, u8 *host)
{
	o->gpa = gpa;
	o->host = host;
	o->before = o->list->last;
	o->list->last = o;
}

static void lay(struct overlay *o, gpa_t gpa, u8 *host)
{
	memcpy(o->under, host, HV_PAGE_SIZE);
	memset(host, 0, HV_PAGE_SIZE);
	put(o, gpa, host);
}

static u8 *page_at(const struct gmem *mem, gpa_t gpa)
{
	return gpa % HV_PAGE_SIZE ? NULL : gmem_range(mem, gpa, HV_PAGE_SIZE);
}

void *overlay_place(struct overlay *o, const struct gmem *mem, gpa_t gpa)
{
	u8 *host = page_at(mem, gpa);

	if (!host || host == o->host)
		return host;
	pthread_mutex_lock(&o->list->lock);
	if (o->host)
		lift(o);
	lay(o, gpa, host);
	pthread_mutex_unlock(&o->list->lock);
	return host;
}

bool overlay_adopt(struct overlay *o, const struct gmem *mem, gpa_t gpa,
		   const u8 under[static HV_PAGE_SIZE])
{
	u8 *host = page_at(mem, gpa);

	if (!host || o->host)
		return false;
	pthread_mutex_lock(&o->list->lock);
	memcpy(o->under, under, HV_PAGE_SIZE);
	put(o, gpa, host);
	pthread_mutex_unlock(&o->list->lock);
	return true;
}

void overlay_remove(struct overlay *o)
{
	if (!o->host)
		return;
	pthread_mutex_lock(&o->list->lock);
	lift(o);
	pthread_mutex_unlock(&o->list->lock);
}
