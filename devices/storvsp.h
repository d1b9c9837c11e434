/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside storvsp: a controller, its channels, their requests. storvsp.c moves packets and runs
 * requests, storvsp_init.c answers the operations that set a channel up.
 *
 * A channel and its requests belong to the loop the channel runs on. The controller is written
 * before the loops run; but for `state` and `version`, which the primary channel negotiates before
 * any sub-channel can be open.
 */
#ifndef DEVICES_STORVSP_H
#define DEVICES_STORVSP_H

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
/* Sub-channels a guest may ask for. */
#define STORVSP_SUB_CHANNELS 0
#define STORVSP_CHANNELS (1 + STORVSP_SUB_CHANNELS)

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
	struct storvsp_request *next; /* free, or waiting for room in the ring */
	u64 transaction_id;
	bool answer; /* the guest wants one */
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
	bool freezing; /* until all in flight wait for room */
	unsigned in_flight;
	unsigned fresh; /* requests from here on were never used */
	struct storvsp_request *free;
	struct storvsp_request *unsent, **unsent_tail; /* answered; no room in the ring yet */
	unsigned unsent_count;
	u8 buf[STORVSP_PACKET_MAX];
	struct storvsp_request request[STORVSP_REQUESTS];
};

struct storvsp {
	struct vmbus_device device;
	struct scsi_target target; /* path 0, target 0 */
	storvsp_uring_fn uring;
	void *uring_ctx;
	enum storvsp_state state;
	u16 version; /* negotiated */
	struct log_guest bad_packets;
	struct storvsp_channel *channel; /* STORVSP_CHANNELS of them, the primary first */
};

/*
 * Answers an operation in q->packet in place. The status to send, or NT_PENDING where q belongs to
 * storvsp_execute() now.
 */
enum nt_status storvsp_operation(struct storvsp_request *q, const struct vmbus_packet *pkt);

/* Whether a version could have been negotiated. */
bool storvsp_version_known(u16 version);

/* EXECUTE_SRB: NT_PENDING, or the status where the packet makes no sense. */
enum nt_status storvsp_execute(struct storvsp_request *q, const struct vmbus_packet *pkt);

#endif
