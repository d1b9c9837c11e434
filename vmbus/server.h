/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bus from within: one struct for each noun and what the files of this folder call of each
 * other. Device writers need vmbus.h only.
 *
 *	vmbus.c       made and taken down; the inbox; status
 *	connection.c  the dispatch table; contact, unload, reset
 *	offer.c       relids, offers, rescinds
 *	gpadl.c       guest buffers
 *	channel.c     a channel's states, on the control loop: open, close, modify
 *	channel_io.c  an open channel on its I/O loop: what devices call
 *	outq.c        messages to the guest
 *	ring.c, gpa_range.c  pure codecs
 */
#ifndef VMBUS_SERVER_H
#define VMBUS_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "vmbus/outq.h"
#include "vmbus/ring.h"
#include "vmbus/vmbus.h"
#include "vmbus/vmbus_proto.h"

/* What one guest can make us hold. */
#define VMBUS_CHANNELS_MAX 256u /* relids; event flags would reach to 2,047 */
#define VMBUS_GPADLS_MAX 2048u /* of one connection, unfinished ones included */
#define VMBUS_GPADL_WORDS_MAX (128u << 10) /* PFNs and range headers of all GPADLs, 8 bytes each */
#define VMBUS_GPADL_RANGES_MAX 64u /* of one GPADL */
#define VMBUS_INBOX_MAX 256u /* messages posted and not looked at yet */
#define VMBUS_OUTQ_RESERVE 1024u /* room there must be before a message is looked at */
#define VMBUS_PACKETS_PER_RUN 256u /* of one channel before the loop's others are served */
#define VMBUS_ROOM_POLL_NS NSEC_PER_MSEC /* for guests that do not signal room in their ring */

/* Connection id of a channel's signals: 24 bits. */
#define VMBUS_EVENT_CONNECTION_ID(relid) (0x2000u + (relid))

/* ---- GPADLs ---------------------------------------------------------------------------------- */

enum gpadl_state {
	GPADL_ASSEMBLING, /* bodies are missing */
	GPADL_READY,
	GPADL_TEARDOWN, /* the guest wants it back: TORNDOWN goes out with the last pin */
	GPADL_DROPPED, /* nobody waits for it: freed with the last pin */
};

/* A range header, then its PFNs; once READY the host addresses of its pages. */
union gpadl_word {
	u64 raw;
	struct ring_gpa_range range;
	u8 *page;
};

struct gpadl {
	struct gpadl *next;
	u32 id, relid;
	enum gpadl_state state;
	u32 pins;
	u32 size; /* bytes of all ranges */
	u32 range_count;
	u32 words, received;
	union gpadl_word word[];
};

/* ---- Channels -------------------------------------------------------------------------------- */

enum channel_state { CHANNEL_CLOSED, CHANNEL_OPENING, CHANNEL_OPEN, CHANNEL_CLOSING };

/* What the control loop has asked of the I/O loop; one at a time. */
enum channel_order { ORDER_NONE, ORDER_OPEN, ORDER_CLOSE, ORDER_MODIFY };

struct vmbus_channel {
	struct vmbus *bus;
	struct vmbus_device *device;
	u32 relid;
	u16 sub_index;

	/* The control loop's. */
	enum channel_state state;
	bool offered; /* the guest knows it, in this connection */
	bool rescinded; /* the host takes it away: freed once closed and released */
	bool close_wanted;
	bool modify_wanted; /* to target_wanted */
	bool reopen_wanted; /* with `reopen`, which came while it was closing */
	struct vmbus_msg_open_channel reopen;
	u32 open_id;
	u32 target_wanted;
	struct gpadl *gpadl; /* of the rings, pinned */
	int event_fd; /* the guest's signals; -1: none */
	struct loop_work reply; /* the I/O loop did what was ordered */

	/* Written before an order or a reply is posted, read after it arrived. */
	enum channel_order order;
	u32 order_target;
	int result;
	struct loop *loop; /* the I/O loop, from OPENING to CLOSED */
	u32 sint;
	struct ring in, out;

	/* The I/O loop's. */
	struct loop_work ordered;
	struct loop_work again; /* run once more in a later turn */
	struct loop_fd signal;
	struct loop_flush flush;
	struct loop_timer poll;
	u32 target_vp;
	bool live; /* between open and close: rings may be used */
	bool drained; /* the device has seen the in ring empty */
	bool interrupt; /* owed to the guest in the flush phase */
	bool reply_due; /* also sent there, so that it is the last use of the rings */
	u32 budget; /* packets that may still be received in this run */
	void *data; /* the device's */
	struct log_guest bad_packet, lost_packet;
};

/* ---- The bus --------------------------------------------------------------------------------- */

enum connection_state {
	CONNECTION_NONE,
	CONNECTION_UP,
	CONNECTION_RESETTING, /* waits for channels to close, then for `next` */
};

struct inbox_message {
	u32 connection_id, len;
	u8 bytes[VMBUS_MESSAGE_MAX];
};

struct vmbus {
	const struct gmem *mem;
	struct vmbus_port *port;
	struct loop *control;
	struct loop **io;
	unsigned io_count;

	bool ending; /* vmbus_fini(): the loops run no more, nothing may be left with them */

	/* Any thread, under the lock. */
	pthread_mutex_t inbox_lock;
	struct inbox_message inbox[VMBUS_INBOX_MAX];
	u32 inbox_head, inbox_count;
	struct loop_work inbox_work, slot_work;

	/* The control loop's. */
	enum connection_state state;
	u32 version;
	u32 msg_vp, msg_sint;
	bool offers_sent;
	u32 reset_by; /* RESETTING: the message type to answer: INITIATE_CONTACT or UNLOAD */
	struct vmbus_msg_initiate_contact contact;
	struct outq outq;
	struct vmbus_channel *channel[VMBUS_CHANNELS_MAX]; /* [relid - 1]; NULL: free */
	u32 gpadl_count, gpadl_words;
	struct log_guest bad_message, bad_gpadl, bad_channel;

	/* Guest buffers; the list, states and pins are any thread's under the lock. */
	pthread_mutex_t gpadl_lock;
	struct gpadl *gpadls;
	struct loop_work gpadl_work; /* a last pin has gone */

	/* For vmbus_status(). */
	_Atomic bool status_contacted;
	_Atomic u32 status_version, status_open;
};

/* One event of the bus, for those who watch (LOG_DEBUG). event: "open_channel". */
void vmbus_trace(const char *event, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Sends a message to the guest's message target. Control loop. */
void vmbus_post(struct vmbus *bus, const void *msg, u32 len);

/* Takes the oldest message out of the inbox. False: none. Control loop. */
bool vmbus_inbox_take(struct vmbus *bus, struct inbox_message *m);

/* connection.c: looks at what is in the inbox, as far as there is room to answer. Control loop. */
void connection_process(struct vmbus *bus);
/* A channel has closed or a GPADL gone: goes on with a reset that waited for it. Control loop. */
void connection_reset_step(struct vmbus *bus);

/* Handlers of the dispatch table: len is at least the size of the message's struct. Control loop. */
typedef void connection_handler(struct vmbus *bus, const void *msg, u32 len);
connection_handler offer_request, offer_relid_released;
connection_handler gpadl_header, gpadl_body, gpadl_teardown;
connection_handler channel_open, channel_close, channel_modify;

/* offer.c: the channel the guest calls relid, or NULL. Control loop. */
struct vmbus_channel *offer_find(const struct vmbus *bus, u32 relid);
/* Frees ch, closed and unknown to the guest. Control loop. */
void offer_free(struct vmbus_channel *ch);

/* gpadl.c: pins a READY GPADL of relid, or NULL. Any thread. */
struct gpadl *gpadl_pin(struct vmbus *bus, u32 relid, u32 id);
void gpadl_unpin(struct vmbus *bus, struct gpadl *g);
/* Posted where a last pin has gone: frees what waited for it. Control loop. */
void gpadl_sweep(struct loop_work *w);
/* Its pages where it is one range of whole pages, and their number; else NULL. */
u8 *const *gpadl_pages(const struct gpadl *g, u32 *count);
/* Drops all GPADLs of a relid (0: of all) without a word to the guest. Control loop. */
void gpadl_drop(struct vmbus *bus, u32 relid);
/* Frees every GPADL, pinned or not: the end of the bus. */
void gpadl_free_all(struct vmbus *bus);

/* channel.c: makes ch's control part. */
void channel_init(struct vmbus_channel *ch);
/* Closes ch whatever its state, for a reset or a rescind; done when it is idle. Control loop. */
void channel_shut(struct vmbus_channel *ch);
/* Closed, and nothing ordered. */
bool channel_idle(const struct vmbus_channel *ch);
/* Gives up what an open channel holds; the I/O loop is done with it. */
void channel_release(struct vmbus_channel *ch);

/* channel_io.c: makes ch's I/O part. */
void channel_io_init(struct vmbus_channel *ch);
/* The I/O loop's part of closing. */
void channel_io_close(struct vmbus_channel *ch);

#endif
