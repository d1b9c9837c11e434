/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only way down from the VMBus: four things asked of the hypervisor below. In the product
 * port_synic.c answers them with the SynIC; in tests the fake guest does. Messages come up through
 * vmbus_receive().
 */
#ifndef VMBUS_PORT_H
#define VMBUS_PORT_H

#include "base/types.h"

struct vmbus_port {
	/*
	 * Sends a channel message (type 1, len <= 240) to (vp, sint). 0; -EAGAIN: the slot is busy,
	 * call again after vmbus_slot_free(); another -errno: it cannot be delivered at all.
	 * Control loop.
	 */
	int (*post_message)(struct vmbus_port *port, u32 vp, u32 sint, const void *msg, u32 len);
	/* Sets the channel's flag (its relid) on (vp, sint). 0 or -errno. Any thread. */
	int (*set_event)(struct vmbus_port *port, u32 vp, u32 sint, u32 flag);
	/*
	 * The guest's signals to connection_id write eventfd fd from now on, which nobody need
	 * read. 0 or -errno. Control loop.
	 */
	int (*bind_event)(struct vmbus_port *port, u32 connection_id, int fd);
	/* They do so no longer. Control loop, or the end of the bus. */
	void (*unbind_event)(struct vmbus_port *port, u32 connection_id, int fd);
	/* VPs of the machine: valid targets are 0..vp_count-1. */
	u32 vp_count;
};

#endif
