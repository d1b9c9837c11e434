/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connection ids: what HvCallPostMessage and HvCallSignalEvent reach (TLFS chapter 11). A message
 * port is a function, an event port an eventfd that the kernel signals without an exit to user
 * space.
 */
#ifndef HYPERV_PORTS_H
#define HYPERV_PORTS_H

#include "base/types.h"

struct hyperv;

/*
 * Called on the vCPU thread with a private copy of the message (size 0..240). Must not block.
 * Returns an HV_STATUS (tlfs.h): HV_STATUS_SUCCESS, or HV_STATUS_INSUFFICIENT_BUFFERS where the
 * inbox is full and the guest should try again.
 */
typedef u16 (*ports_message_fn)(void *ctx, u32 connection_id, u32 type, const void *payload,
				u32 size);

/*
 * Who is asked about connections that no port has, for those that come and go while VPs run. Both
 * answer as a port does, HV_STATUS_INVALID_CONNECTION_ID where they do not know the id either. A
 * signal to them always leaves the kernel: it is slow.
 */
struct ports_others {
	ports_message_fn post; /* NULL: nobody is asked */
	u16 (*signal)(void *ctx, u32 connection_id, u16 flag); /* likewise; vCPU thread */
	void *ctx;
};

/* Once, before vm_start(). Main thread. */
void ports_set_others(struct hyperv *hv, const struct ports_others *others);

/* Adds a message port; before vm_start(). 0, -EEXIST, -ENOSPC. Main thread. */
int ports_add_message(struct hyperv *hv, u32 connection_id, ports_message_fn receive, void *ctx);

/*
 * Signals to connection_id (24 bits, not 0; else -EINVAL) write fd, an eventfd that stays the
 * caller's. 0, -EEXIST, -ENOSPC or -errno from the kernel. Any thread but a vCPU's; control path.
 */
int ports_bind_event(struct hyperv *hv, u32 connection_id, int fd);

/* After it returns no signal reaches the fd any more. 0 or -ENOENT. */
int ports_unbind_event(struct hyperv *hv, u32 connection_id, int fd);

#endif
