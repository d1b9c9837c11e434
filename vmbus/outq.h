/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages on their way to the guest, in order. The queue alone knows that a message slot can be
 * busy: what answers a guest just pushes. Control loop.
 */
#ifndef VMBUS_OUTQ_H
#define VMBUS_OUTQ_H

#include <stdatomic.h>

#include "base/log.h"
#include "base/types.h"
#include "vmbus/port.h"
#include "vmbus/vmbus_proto.h"

/* Messages it holds. Only a guest that takes none lets it grow; see VMBUS_OUTQ_RESERVE. */
#define OUTQ_MAX 2048u

struct outq_message {
	u32 vp, sint, len;
	u8 bytes[VMBUS_MESSAGE_MAX];
};

/* Zeroed is valid: empty. */
struct outq {
	struct outq_message message[OUTQ_MAX]; /* a circle */
	u32 head, count;
	u64 gone; /* messages that have left the head, forgotten ones included */
	/*
	 * NULL or asked before each post: true: the head waits, and outq_flush() is called later.
	 */
	bool (*late)(struct outq *q);
	bool held; /* only the first `passing` go */
	u32 passing;
	/* A free slot would be used. True from before a slot is found busy; read by any thread. */
	_Atomic bool waiting;
	struct log_guest lost;
};

/* Appends a message of len (<= VMBUS_MESSAGE_MAX) bytes for (vp, sint). 0, or -ENOSPC: lost. */
int outq_push(struct outq *q, u32 vp, u32 sint, const void *msg, u32 len);

/*
 * Posts from the head until the queue is empty or the port says -EAGAIN. What the port cannot
 * deliver at all is dropped.
 */
void outq_flush(struct outq *q, struct vmbus_port *port);

/* What is pushed from now on stays; what is in the queue goes. Until outq_release(). */
void outq_hold(struct outq *q);
void outq_release(struct outq *q);

/* Forgets everything, also that it is held: its reader is gone. */
void outq_clear(struct outq *q);

/* Messages that fit. */
static inline u32 outq_room(const struct outq *q)
{
	return OUTQ_MAX - q->count;
}

#endif
