/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The synthetic interrupt controller, host side: putting messages and event flags into a VP's
 * SynIC pages and raising its SINT (TLFS chapter 11, "Inter-Partition Communication", and 12,
 * "Virtual Interrupt Control").
 */
#ifndef HYPERV_SYNIC_H
#define HYPERV_SYNIC_H

#include "base/types.h"
#include "hyperv/tlfs.h"

struct hyperv;

#define SYNIC_SLOT_FREE_MAX 2 /* callbacks */

/*
 * Puts a message of `type` with len (0..HV_MESSAGE_PAYLOAD_MAX) bytes into the VP's slot of sint
 * and raises it. 0; -EAGAIN where the slot still holds one (MessagePending is set: the slot-free
 * callback follows); -ENODEV where the guest has not enabled SynIC, SIMP or that VP; -EINVAL for
 * arguments out of range; another -errno where a first message to a SINT finds the host short of
 * descriptors or interrupt routes. Any thread; a vCPU's only where sint is prepared.
 */
int synic_post_message(struct hyperv *hv, u32 vp_index, u32 sint, u32 type, const void *payload,
		       u32 len);

/*
 * Sets event flag 0..HV_EVENT_FLAGS-1 of sint and raises it where it was clear. 0, -ENODEV,
 * -EINVAL as above; -ENODEV also for a sint other than 2 that is not prepared and never had a
 * message. Any thread, no lock, no allocation.
 */
int synic_set_event(struct hyperv *hv, u32 vp_index, u32 sint, u32 flag);

/*
 * Raises sint with neither message nor flag. 0; -EINVAL; -ENODEV for one that was never prepared or
 * used. Any thread.
 */
int synic_raise(struct hyperv *hv, u32 vp_index, u32 sint);

/*
 * Prepares a SINT other than 2 ahead of its first use: then vCPU threads, which cannot make
 * descriptors, may post to it and set its flags. 0 or -errno. Main thread, after hyperv_vp_init().
 */
int synic_prepare(struct hyperv *hv, u32 vp_index, u32 sint);

/*
 * Has slot_free(ctx, vp_index, sint) called whenever a guest may have emptied a slot that a message
 * waited for (EOM), and those of earlier calls as well: SYNIC_SLOT_FREE_MAX in all. It may come
 * without need. Set before vm_start(); called on any thread, the VP's own among them.
 */
void synic_on_slot_free(struct hyperv *hv, void (*slot_free)(void *ctx, u32 vp_index, u32 sint),
			void *ctx);

#endif
