/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Overlay pages: a page of ours over a page of the guest's, whose bytes come back when it goes
 * (TLFS: "Overlay Pages"). Knows guest RAM and nothing of the partition.
 */
#ifndef HYPERV_OVERLAY_H
#define HYPERV_OVERLAY_H

#include <pthread.h>

#include "base/types.h"
#include "hyperv/tlfs.h"
#include "vmm/memory.h"

/* A partition's overlays in their places. */
struct overlay_list {
	pthread_mutex_t lock;
	struct overlay *last; /* the one placed last; before it ->before */
};

/* Placed and removed by one thread at a time; those of one list by any. */
struct overlay {
	struct overlay_list *list;
	struct overlay *before;
	gpa_t gpa;
	u8 *host; /* NULL: not placed */
	u8 under[HV_PAGE_SIZE];
};

void overlay_list_init(struct overlay_list *list);
void overlay_list_fini(struct overlay_list *list);
/* o is zeroed; it belongs to list from now on. */
void overlay_init(struct overlay *o, struct overlay_list *list);

/*
 * Lays a page of zeros at gpa and returns its host address; what lies there is kept aside, and put
 * back where the overlay was before. At the same gpa nothing changes. NULL, and no change, where
 * gpa is not a page of RAM.
 */
void *overlay_place(struct overlay *o, const struct gmem *mem, gpa_t gpa);

/*
 * Takes charge of an overlay that lies at gpa in restored RAM, on top of what is placed already,
 * and of what lay under it. False, and no change, where gpa is not a page of RAM or o is placed.
 */
bool overlay_adopt(struct overlay *o, const struct gmem *mem, gpa_t gpa,
		   const u8 under[static HV_PAGE_SIZE]);

/* Puts back what lay under it, or leaves that to the overlay that lies on it. */
void overlay_remove(struct overlay *o);

#endif
