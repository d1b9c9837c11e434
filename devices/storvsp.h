/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside storvsp: a controller, its channels, their requests.
 *
 *	storvsp.c        a channel: packets in, answers out; opened, moved, closed
 *	storvsp_init.c   what each operation needs, and those that set a channel up
 *	storvsp_srb.c    EXECUTE_SRB: a request for a disk
 *	storvsp_reset.c  resets, which concern all channels
 *	storvsp_disks.c  the controller: made, given disks, taken down
 *	storvsp_save.c   saving and restoring
 *
 * Threads. A channel and its requests belong to the loop the channel runs on; its array is mapped,
 * so that requests never used cost no memory. The controller's state and version are written by the
 * primary channel alone. Channels on several loops meet in two places, neither on the path of a
 * request: `lock` has who is on which loop and what was asked of it, and disks come and go as
 * devices/scsi.h says.
 */
#ifndef DEVICES_STORVSP_H
#define DEVICES_STORVSP_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "devices/devices.h"
#include "devices/scsi.h"
#include "devices/storvsp_proto.h"

/* Requests a channel has under way at most; a guest that sends more waits in its ring. */
#define STORVSP_REQUESTS 256
/* Packets taken in one go, before the loop's other work has its turn. */
#define STORVSP_BATCH 256
/* Largest packet taken: 500 guest pages, more than SCSI_TRANSFER_MAX needs, so refused in form. */
#define STORVSP_PACKET_MAX 4096u

/* How far the guest's driver has come; the next operation expected. */
enum storvsp_state {
	STORVSP_BEGIN = 1 << 0,
	STORVSP_VERSION = 1 << 1,
	STORVSP_PROPERTIES = 1 << 2,
	STORVSP_END = 1 << 3,
	STORVSP_READY = 1 << 4,
};

struct storvsp_channel;

/* A packet taken from the guest until it was answered. */
struct storvsp_request {
	struct storvsp_channel *sc;
	struct storvsp_request
		*next; /* free, waiting for room in the ring, or for a reset's turn */
	u64 transaction_id;
	bool answer; /* the guest wants one */
	bool running; /* a disk has it */
	bool awaited; /* by the reset under way: it ends first */
	u32 size; /* bytes of the guest's packet, and of the answer */
	struct vstor_packet packet; /* the guest's, then the answer */
	struct scsi_request scsi;
};

struct storvsp_channel {
	struct storvsp *s;
	struct vmbus_channel *ch;
	struct uring *uring; /* of the loop it runs on now */
	bool closing;
	bool starved; /* stopped for want of a request */
	/* NULL, or called once nothing is in flight but answers that wait for room. */
	void (*settled)(struct storvsp_channel *sc);
	unsigned in_flight;
	unsigned fresh; /* requests from here on were never used */
	struct storvsp_request *free;
	struct storvsp_request *unsent, **unsent_tail; /* answered; no room in the ring yet */
	unsigned unsent_count;
	struct loop_work look; /* `asked`, or a rescan is due */

	/* Under the controller's lock. */
	struct loop *loop; /* where it can be reached; NULL: closed, or between two loops */
	bool asked; /* by the reset under way: which of its requests are running? */

	u8 buf[STORVSP_PACKET_MAX];
	_Alignas(GUEST_PAGE_SIZE) struct storvsp_request request[STORVSP_REQUESTS];
};

struct storvsp_target {
	struct scsi_target scsi;
	struct storvsp *s;
};

/* Resets, one at a time: the first of the list is under way. */
struct storvsp_resets {
	struct storvsp_request *first, **last; /* under the lock */
	/* Channels that have not looked yet, and requests that have not ended, of the first. */
	_Atomic unsigned awaited;
	struct loop_work ended; /* on the loop of the first one's channel */
	struct log_guest done;
};

struct storvsp {
	struct vmbus_device device;
	struct storvsp_target target[STORVSP_TARGETS];
	bool ide; /* one disk, at a target of its own, whatever path the guest says */
	u8 ide_target;
	storvsp_uring_fn uring;
	void *uring_ctx;
	_Atomic enum storvsp_state state;
	_Atomic u16 version; /* negotiated */
	_Atomic bool rescan; /* the guest is to be told to look at the bus anew */
	struct log_guest bad_packets;
	pthread_mutex_t lock;
	struct storvsp_resets resets;
	void (*released)(void *ctx, struct disk *disk); /* NULL: closed where it is released */
	void *released_ctx;
	struct storvsp_channel *channel; /* the primary one, then device.sub_channels_max more */
};

/* ---- storvsp.c ------------------------------------------------------------------------------- */

extern const struct vmbus_device_ops storvsp_scsi_ops, storvsp_ide_ops;

/* An unused request, in flight from now on; NULL: all are. */
struct storvsp_request *storvsp_request_take(struct storvsp_channel *sc);

/* Answers q with this status, now or once there is room, and is done with it. */
void storvsp_request_answer(struct storvsp_request *q, enum nt_status status);

/* Puts an answered request behind those that wait for room. */
void storvsp_unsent_add(struct storvsp_channel *sc, struct storvsp_request *q);

/* ops->open. */
int storvsp_open(struct vmbus_channel *ch);

/* Has the guest scan the bus, if one is there that does not do so anyway. Under the lock. */
void storvsp_rescan(struct storvsp *s);

/* ---- storvsp_init.c -------------------------------------------------------------------------- */

/*
 * Answers an operation in q->packet in place. The status to send, or NT_PENDING where q belongs to
 * somebody who will call storvsp_request_answer().
 */
enum nt_status storvsp_operation(struct storvsp_request *q, const struct vmbus_packet *pkt);

/* Whether a version could have been negotiated. */
bool storvsp_version_known(u16 version);

/* ---- storvsp_srb.c --------------------------------------------------------------------------- */

/* The target a block names, or NULL. */
const struct scsi_target *storvsp_target(const struct storvsp *s, const struct vstor_srb *srb);

/* EXECUTE_SRB: NT_PENDING, or the status where the packet makes no sense. */
enum nt_status storvsp_execute(struct storvsp_request *q, const struct vmbus_packet *pkt);

/* ---- storvsp_reset.c ------------------------------------------------------------------------- */

void storvsp_resets_init(struct storvsp *s);

/*
 * RESET_LUN, RESET_BUS, RESET_ADAPTER: NT_PENDING, q is answered once all requests that run now and
 * that it is for have ended.
 */
enum nt_status storvsp_reset(struct storvsp_request *q, const struct vmbus_packet *pkt);

/* A request that a reset awaits has ended. */
void storvsp_reset_ended(struct storvsp *s);

/* sc can be reached by sc->look from now on; no longer. On the loop it runs on. */
void storvsp_join(struct storvsp_channel *sc);
void storvsp_leave(struct storvsp_channel *sc);

/* ---- storvsp_disks.c ------------------------------------------------------------------------- */

/*
 * A guest that uses the controller is told that its units are others now, once its channel has a
 * loop where that is on its way from one to another. Under the lock.
 */
void storvsp_units_changed(struct storvsp *s);

/* ---- storvsp_save.c -------------------------------------------------------------------------- */

/* ops->save and ops->restore; ops->save_state and ops->restore_state. */
void storvsp_save(struct vmbus_channel *ch, struct stream_out *out);
int storvsp_restore(struct vmbus_channel *ch, struct stream_in *in);
void storvsp_save_state(struct vmbus_device *dev, struct stream_out *out);
int storvsp_restore_state(struct vmbus_device *dev, struct stream_in *in, bool apply);

#endif
