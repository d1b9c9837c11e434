/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Overlay pages (TLFS: "Overlay Pages"): pages of the hypervisor's at a place the guest chooses,
 * with the guest's own bytes coming back when they go. Done by copying 4 KiB, not by changing
 * memory slots: that would split huge pages and stop every VP. The difference shows only to a guest
 * that looks at the page through a second address, and RAM has one.
 */
#include "hyperv/internal.h"

#include <string.h>

void *overlay_place(struct overlay *o, const struct gmem *mem, gpa_t gpa)
{
	u8 *host = gmem_range(mem, gpa, HV_PAGE_SIZE);

	if (!host || host == o->host)
		return host;
	overlay_remove(o);
	memcpy(o->under, host, HV_PAGE_SIZE);
	memset(host, 0, HV_PAGE_SIZE);
	o->gpa = gpa;
	o->host = host;
	return host;
}

void overlay_remove(struct overlay *o)
{
	if (o->host)
		memcpy(o->host, o->under, HV_PAGE_SIZE);
	o->host = NULL;
}
