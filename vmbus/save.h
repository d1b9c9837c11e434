/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bus as bytes: written down by one host, taken in by another, which carries on where the first
 * stopped. The guest notices nothing.
 *
 * Saving, with the VPs stopped:
 *	1. vmbus_freeze(); once it says so nothing of the bus or its devices moves, and guest memory
 *	   is left alone
 *	2. vmbus_save(), and in any order what is saved beside it: RAM, the processors, the SynIC
 *	   (hyperv/state.h), what the back ends of devices hold
 *	3. vmbus_thaw() to go on, or vmbus_fini()
 * Restoring, into a fresh host: RAM, the processors and the SynIC first; then vmbus_init(),
 * vmbus_offer() for all devices, vmbus_restore(); then threads run.
 *
 * What is under way. The bus drains its own: what the guest asked for and was not looked at stays
 * in the inbox, what was begun is brought to its end. Requests to a device are the device's part:
 * it drains or carries them (freeze, save and restore in struct vmbus_device_ops; storvsp drains,
 * see devices/storvsp_save.c). Who waits too long for that gives it up (vmbus_thaw()). Ring cursors
 * are private to us and saved, packets and masks lie in the guest's RAM. Of one save the next host
 * may be restored any number of times.
 *
 * What a device has besides its channels (save_state, restore_state) is saved whether one is open
 * or not, and taken in once all else was: a stream that is refused has changed nothing.
 *
 * Devices are found by type and instance. A device that was taken away but the guest has not let go
 * of needs no counterpart: the bus keeps its relid until then. One that is new is offered like one
 * that was plugged in.
 *
 * Left out: who waits for an answer to its TL_CONNECT_REQUEST is known to who listens, not to the
 * bus; counters of vmbus_channels() start at 0.
 *
 * The stream (base/stream.h; integers little-endian):
 *
 *	u8[8]	"CDLVMBUS"
 *	u32	version: VMBUS_STATE_VERSION, any other is refused
 *	u32	CRC-32 of all that follows
 *	u64	bytes that follow
 *	sections, all of them, in this order (which is that of restoring):
 *	BUS		u8 up, offers requested, paused, contacted; u32 version, features, message
 *			VP, message SINT; u64 GPA of the interrupt page, of the guest's monitor page
 *			(0: none), messages, of those out of place
 *	INBOX		u32 count; each: u32 connection id, u32 len, the bytes
 *	OUTQ		u32 how many of them go although the guest has paused, u32 count; each:
 *			u32 vp, u32 sint, u32 len, the bytes
 *	DEVICES		u32 count; each: u8[16] instance, u8[16] type, u16 channels, and of each
 *			u32 relid, u8 monitor id, u8 VMBUS_SAVED_*; section DEVICE: the device's
 *			own, empty where it has none
 *	GPADLS		u32 count; each: u32 relid, id, u8 complete, u32 ranges, words declared,
 *			words received, those words: range headers and PFNs
 *	CHANNELS	u32 count of open ones; each: u32 relid, open id, ring GPADL, page of the
 *			second ring, VP at opening, connection id, event flag, message VP, message
 *			SINT (these two of a reserved one), VP now, SINT; u8 uses the interrupt
 *			page, is monitored; u32 index of the guest's ring, u8 broken; u32 index of
 *			ours, u8 broken, u8 waits for room; section DEVICE: the device's own of it
 *	TEARDOWNS	u32 count of GPADLs to be given back when the last pin goes; each: u32
 *			relid, id
 *
 * Version rules. A writer may add sections with STREAM_OPTIONAL set, between these or behind them
 * or behind a device's state: older readers pass over them. Whatever a reader must know needs
 * another version, and so does any change of what is here. A device versions its own state.
 */
#ifndef VMBUS_SAVE_H
#define VMBUS_SAVE_H

#include "base/stream.h"
#include "vmbus/vmbus.h"

#define VMBUS_STATE_VERSION 2u
#define VMBUS_STATE_MAGIC "CDLVMBUS"
#define VMBUS_STATE_MAGIC_SIZE 8u

enum vmbus_section {
	VMBUS_SECTION_BUS = 1,
	VMBUS_SECTION_INBOX,
	VMBUS_SECTION_OUTQ,
	VMBUS_SECTION_DEVICES,
	VMBUS_SECTION_GPADLS,
	VMBUS_SECTION_CHANNELS,
	VMBUS_SECTION_TEARDOWNS,
	VMBUS_SECTION_DEVICE,
};

/* What a channel is to host and guest, as in server.h. */
#define VMBUS_SAVED_WANTED 0x01u
#define VMBUS_SAVED_OFFERED 0x02u
#define VMBUS_SAVED_RESCINDED 0x04u
#define VMBUS_SAVED_RELEASED 0x08u
#define VMBUS_SAVED_RESERVED 0x10u
#define VMBUS_SAVED_ALL 0x1fu

/* Where the checksum stands, and from where it counts. */
#define VMBUS_STATE_CRC_AT 12u
#define VMBUS_STATE_CRC_FROM 16u
#define VMBUS_STATE_HEADER 24u

typedef void vmbus_frozen_fn(void *ctx);

/*
 * Brings everything to a stand; frozen(ctx) is called once it is done, perhaps at once. It waits
 * for requests that devices drain, however long they take: every VMBUS_FREEZE_WORDS_NS the log says
 * for which. What vmbus_receive() and vmbus_plug() bring meanwhile waits for vmbus_thaw();
 * vmbus_offer() and vmbus_rescind() must not be called. Control loop.
 */
void vmbus_freeze(struct vmbus *bus, vmbus_frozen_fn *frozen, void *ctx);
#define VMBUS_FREEZE_WORDS_NS (5 * NSEC_PER_SEC)

/* A device that has yet to come to a stand, between vmbus_freeze() and frozen(); NULL: none. */
const struct vmbus_device *vmbus_freeze_awaits(const struct vmbus *bus);

/* Goes on: after frozen(), or before, when it is not called any more. Control loop. */
void vmbus_thaw(struct vmbus *bus);

/*
 * Appends the state of a frozen bus to out, which the caller frees. 0; -EOPNOTSUPP: an open
 * channel's device cannot be saved (*dev, where dev is not NULL); -ENOMEM. Control loop.
 */
int vmbus_save(struct vmbus *bus, struct stream_out *out, const struct vmbus_device **dev);

/*
 * Takes in what vmbus_save() wrote: len bytes, not trusted. The bus is fresh, its devices are
 * offered, no loop runs. 0; -EINVAL: truncated, altered, or not possible on this machine;
 * -EPROTONOSUPPORT: another version; -ENODEV: a device is missing or differs; -EBUSY: the bus is
 * not fresh; -errno of the host. Where it fails the bus is as fresh as before, and can be used or
 * restored once more. Main thread.
 */
int vmbus_restore(struct vmbus *bus, const void *bytes, size_t len);

#endif
