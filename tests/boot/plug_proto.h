/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest says to the plug device (plug.c), and its answer. */
#ifndef TESTS_BOOT_PLUG_PROTO_H
#define TESTS_BOOT_PLUG_PROTO_H

#include <assert.h>

#include "base/types.h"

enum plug_op {
	PLUG_STATUS, /* how things stand */
	PLUG_ADD_ECHOES,
	PLUG_ADD_DISKS, /* a controller with a disk each */
	PLUG_REMOVE_ECHOES,
	PLUG_REMOVE_DISKS, /* controllers */
	PLUG_EJECT_DISKS, /* ... their disks: the guest sees empty controllers */
	/* The bay (bay.h), where there is one. */
	PLUG_BAY_ADD, /* disks */
	PLUG_BAY_REMOVE,
	PLUG_BAY_RESIZE, /* all of them, to count MiB */
	PLUG_BAY_INSERT, /* disc number count; 0: takes out what is there */
	PLUG_BAY_EJECT, /* the button */
	PLUG_OPS
};

/* The payload of an in-band packet. */
struct plug_command {
	u32 op; /* enum plug_op */
	u32 count; /* devices, or what the operation says */
};
static_assert(sizeof(struct plug_command) == 8, "plug command");

/* The payload of its completion, which comes at once: adding and removing go on behind it. */
struct plug_answer {
	u32 done; /* devices that are being added or removed for this command; of the bay: were */
	u32 echoes, disks; /* not gone */
	u32 gone; /* so far */
	u32 refused; /* by vmbus_plug(), so far */
	u32 bay_disks;
};
static_assert(sizeof(struct plug_answer) == 24, "plug answer");

#endif
