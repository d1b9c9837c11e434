/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bus from within: one struct for each noun and what the files of this folder call of each
 * other. Device writers need vmbus.h only.
 *
 *	vmbus.c       made and taken down; the inbox; status
 *	message.c     what the guest may post and when: the table of messages
 *	connection.c  contact, unload, reset, pause
 *	interrupt_page.c  interrupts before 2.4
 *	monitor.c     monitor pages
 *	offer.c       relids, offers, rescinds
 *	subchannel.c  sub-channels
 *	tl_connect.c  sockets' connect requests
 *	gpadl.c       guest buffers
 *	channel_event.c  what a channel is told, and when: the table of its states
 *	channel.c     a channel's states, on the control loop: open, close, modify
 *	channel_io.c  an open channel on its I/O loop: runs, orders, packets
 *	pace.c        ... and its bursts: fewer signals and interrupts
 *	outq.c        messages to the guest
 *	chaos.c, late.c  what is late on purpose, and how: for who tests guest drivers
 *	trace.c       events for those who watch: the table is trace.h
 *	freeze.c      the bus stands still
 *	save.c, restore.c  ... and is written down, and taken in by another host (save.h)
 *	ring.c, gpa_range.c  pure codecs
 */
#ifndef VMBUS_SERVER_H
#define VMBUS_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "vmbus/chaos.h"
#include "vmbus/outq.h"
#include "vmbus/ring.h"
#include "vmbus/trace.h"
#include "vmbus/vmbus.h"
#include "vmbus/vmbus_proto.h"

/* What one guest can make us hold. */
#define VMBUS_CHANNELS_MAX 256u /* relids; event flags would reach to 2,047 */
#define VMBUS_GPADLS_MAX 2048u /* of one connection, unfinished ones included */
/* PFNs and range headers of all GPADLs, 8 bytes each: 4 MiB, for just less than 2 GiB of buffers */
#define VMBUS_GPADL_WORDS_MAX (512u << 10)
#define VMBUS_GPADL_RANGES_MAX 64u /* of one GPADL */
#define VMBUS_INBOX_MAX 256u /* messages posted and not looked at yet */
#define VMBUS_OUTQ_RESERVE 1024u /* room there must be before a message is looked at */
#define VMBUS_ROOM_POLL_NS NSEC_PER_MSEC /* for guests that do not signal room in their ring */
#define VMBUS_MONITOR_IDLE_POLLS 64u /* of a monitor page that found nothing: then half as often, */
#define VMBUS_MONITOR_IDLE_NS (10 * NSEC_PER_MSEC) /* down to once in this time */

/*
 * What a guest, or one channel of it, can have of a loop's turn; the others have theirs after it.
 * Who floods messages or packets, signals without need or never drains a ring slows nobody else:
 *
 *	packets     a run takes so many and goes on in the next turn; long ones count for several
 *	signals     are not counted by the loop: however many, one run a turn, and none while the
 *	            run that goes on is still to come (channel_run()); in 0.13 one look a turn at
 *	            the page that all share
 *	monitor     a bit that is always set is one run a period of the device's (monitor.c)
 *	full ring   a device stops at the first packet without room; a guest that does not signal
 *	            room is one run a VMBUS_ROOM_POLL_NS
 *	interrupts  one a channel and turn
 *	messages    so many are looked at in a turn of the control loop, and none while
 *	            VMBUS_OUTQ_RESERVE answers may find no room; the guest is refused more than
 *	            VMBUS_INBOX_MAX
 *	log         the 1st, 2nd, 4th, 8th ... of a kind (base/log.h)
 */
#define VMBUS_PACKETS_PER_RUN 256u
#define VMBUS_PACKET_CHARGE 4096u /* bytes; a packet counts once more for each */
#define VMBUS_MESSAGES_PER_TURN 32u

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

/* ---- Chaos ----------------------------------------------------------------------------------- */

/* What is late on a channel. The I/O loop's, but for the rescind. */
struct channel_late {
	struct vmbus_channel *ch;
	struct loop_timer run; /* armed: it is not run */
	struct loop_timer commit; /* armed: what was written is not shown */
	struct loop_timer interrupt; /* armed: the guest is not interrupted */
	bool interrupt_due; /* ... and has waited long enough */
	bool room_decided; /* for the next packet ... */
	u64 room_ns; /* ... for which there is no room before this time; 0: there is */
	u64 signals, received, sent, interrupts; /* so far */
	struct loop_timer rescind; /* armed: the guest has not been told yet */
	u64 rescinds;
};

/* ... of the bus's messages. The control loop's. */
struct bus_late {
	struct loop_timer out; /* armed: the head of the queue waits */
	u64 out_decided; /* messages, forgotten ones included */
	struct loop_timer in; /* armed: the inbox is not looked at */
	bool in_due; /* ... and its first message has waited long enough */
	u64 in_decided;
};

/* ---- Channels -------------------------------------------------------------------------------- */

enum channel_state { CHANNEL_CLOSED, CHANNEL_OPENING, CHANNEL_OPEN, CHANNEL_CLOSING };

/* What the control loop has asked of the I/O loop; one at a time. */
enum channel_order {
	ORDER_NONE,
	ORDER_OPEN,
	ORDER_CLOSE,
	ORDER_MODIFY, /* the interrupt moves */
	ORDER_DETACH, /* the channel leaves its loop ... */
	ORDER_ATTACH, /* ... and comes to another */
	ORDER_FREEZE, /* nothing moves ... */
	ORDER_THAW, /* ... and goes on */
};

/* What OPEN_CHANNEL or OPEN_RESERVED_CHANNEL asked for. */
struct channel_request {
	u32 open_id;
	u32 gpadl, ring_offset; /* pages */
	u32 target_vp; /* VMBUS_VP_NONE: no interrupts */
	u32 connection_id, event_flag;
	bool reserved;
	u32 message_vp, message_sint; /* reserved: where the results go */
};

/* pace.c: bursts of packets; the I/O loop's. */
struct channel_pace {
	struct loop_timer look; /* armed: a burst is under way, and what is sent waits */
	bool due; /* ... but for what was sent before the last one ended */
	u64 in; /* packets, when the last burst ended */
	u64 out; /* ... when something was last shown to the guest, and the time */
	u64 shown_ns;
	u64 seen; /* packets in, by the last look */
	u64 begun_ns, came_ns; /* the burst; its last packet */
	u64 gap_ns; /* between two packets of one; 0: not known */
	u32 expected; /* packets, in answer to those shown */
	u32 trust; /* 0: it is not waited for them */
	bool missed; /* the last burst was shorter */
	u32 trial_in; /* times something is shown, before another trial */
	u64 try_ns; /* nothing new is tried before */
	bool trial; /* waits for whatever comes */
};

struct vmbus_channel {
	struct vmbus *bus;
	struct vmbus_device *device;
	u32 relid;
	u16 sub_index;
	u8 monitor_id; /* VMBUS_MONITOR_NONE: not monitored */

	/* The control loop's. */
	enum channel_state state;
	bool wanted; /* the host offers it; false: the host takes, or has taken, it away */
	bool offered; /* the guest knows it, in this connection */
	bool rescinded; /* ... and has been told that it goes */
	bool released; /* the guest let go of it by itself: offered again in the next connection */
	bool reserved; /* open across connections */
	bool quiet; /* frozen, and the I/O loop has said so */
	bool close_wanted;
	bool modify_wanted; /* to target_wanted */
	bool reopen_wanted; /* with `reopen`, which came while it was closing */
	struct channel_request request, reopen; /* `request`: from OPENING to CLOSED */
	u32 target_wanted;
	u32 target; /* the VP it interrupts, as the guest has been told */
	struct gpadl *gpadl; /* of the rings, pinned */
	int event_fd; /* the guest's signals; -1: none */
	struct loop_work reply; /* the I/O loop did what was ordered */
	struct loop_work subs; /* it asks for `subs_asked` sub-channels */

	/* Written before an order or a reply is posted, read after it arrived. */
	enum channel_order order;
	u32 order_target;
	int result;
	struct loop *loop; /* the I/O loop, from OPENING to CLOSED */
	u32 sint, event_flag;
	u32 *interrupt_page; /* before 2.4: flags to set there; else NULL */
	u32 *monitor; /* the word its pending bit is in; NULL: not monitored */
	struct ring in, out;

	/* The I/O loop's. */
	struct loop_work ordered;
	struct loop_work relent; /* a freeze is given up */
	struct loop_work again; /* run once more in a later turn */
	struct loop_fd signal;
	struct loop_flush flush;
	struct loop_timer poll, monitor_poll;
	struct channel_pace pace;
	u32 monitor_idle; /* polls that found nothing, one after the other */
	u32 target_vp;
	bool live; /* between open and close: rings may be used */
	bool detaching; /* about to leave the loop: nothing new is received */
	bool frozen; /* the same, between ORDER_FREEZE and ORDER_THAW */
	bool stands; /* ... and the device has said channel_frozen() */
	bool drained; /* the device has seen the in ring empty */
	bool interrupt; /* owed to the guest in the flush phase */
	bool reply_due; /* also sent there, so that it is the last use of the rings */
	bool subs_due; /* `subs` is posted there as well, behind what the device has just sent */
	u32 budget; /* of VMBUS_PACKETS_PER_RUN, what is left of this run */
	void *data; /* the device's */
	_Atomic u16 subs_asked;
	struct {
		_Atomic u64 packets_in, bytes_in, packets_out, bytes_out;
		_Atomic u64 signals, interrupts, throttled;
	} count; /* written by the I/O loop alone */
	struct log_guest bad_packet, lost_packet;
	struct channel_late *late; /* NULL: nothing is late on purpose */
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

/* INITIATE_CONTACT, as far as its version has the fields; the rest is 0. */
struct contact {
	u32 version, vp, sint, vtl, features;
	u64 interrupt_page, monitor_page1, monitor_page2;
};

struct vmbus {
	const struct gmem *mem;
	struct vmbus_port *port;
	struct loop *control;
	struct loop **io;
	unsigned io_count;

	bool ending; /* vmbus_fini(): the loops run no more, nothing may be left with them */

	/* vmbus_freeze(); the control loop's. */
	bool freezing; /* messages are not looked at */
	bool frozen; /* ... and nothing moves */
	void (*on_frozen)(void *ctx);
	void *on_frozen_ctx;
	u64 freeze_ns; /* since when */
	struct loop_timer freeze_words;
	struct vmbus_device *plugs; /* vmbus_plug() and vmbus_unplug() that wait for vmbus_thaw() */

	/* Any thread, under the lock. */
	pthread_mutex_t inbox_lock;
	struct inbox_message inbox[VMBUS_INBOX_MAX];
	u32 inbox_head, inbox_count;
	struct loop_work inbox_work, slot_work;

	/* The control loop's. */
	enum connection_state state;
	u32 version, features;
	u32 msg_vp, msg_sint;
	bool offers_sent;
	bool paused; /* by the guest: messages wait in the queue */
	bool multiclient; /* the message at hand came to connection id 4 */
	u32 reset_by; /* RESETTING: the message type to answer: INITIATE_CONTACT or UNLOAD */
	struct contact contact;
	struct outq outq;
	struct vmbus_channel *channel[VMBUS_CHANNELS_MAX]; /* [relid - 1]; NULL: free */
	u32 gpadl_count, gpadl_words;
	struct log_guest bad_message, bad_gpadl, bad_channel;
	vmbus_connect_fn *connect; /* who listens for sockets; NULL: nobody */
	void *connect_ctx;

	/* Interrupts before 2.4. */
	u32 *interrupt_page; /* NULL: none */
	struct loop_fd shared; /* the guest's signals in 0.13; fd -1: none */

	/* Monitored channels. */
	struct vmbus_monitor_page *monitor_page; /* the guest-to-host one; NULL: none */
	bool monitor_taken[VMBUS_MONITORS];

	/* Guest buffers; the list, states and pins are any thread's under the lock. */
	pthread_mutex_t gpadl_lock;
	struct gpadl *gpadls;
	struct loop_work gpadl_work; /* a last pin has gone */

	struct chaos *chaos; /* NULL: nothing is late on purpose */
	struct bus_late late;

	/* For vmbus_status(). */
	_Atomic bool status_contacted;
	_Atomic u32 status_version, status_open;
	_Atomic u64 status_messages, status_out_of_place;
};

/* Sends a message to the guest's message target. Control loop. */
void vmbus_post(struct vmbus *bus, const void *msg, u32 len);

/* Is there a message in the inbox? */
bool vmbus_inbox_any(struct vmbus *bus);

/* Takes the oldest message out of the inbox. False: none. Control loop. */
bool vmbus_inbox_take(struct vmbus *bus, struct inbox_message *m);

/* Sends a message to another target. Control loop. */
void vmbus_post_to(struct vmbus *bus, u32 vp, u32 sint, const void *msg, u32 len);

/* message.c: looks at what is in the inbox, as far as there is room to answer. Control loop. */
void message_process(struct vmbus *bus);
/* A message that may not come now: counted, traced. */
void message_out_of_place(struct vmbus *bus, const char *what, u32 relid);

/* Handlers of the table: len is at least what the table says. Control loop. */
typedef void message_handler(struct vmbus *bus, const void *msg, u32 len);
message_handler connection_contact, connection_unload, connection_modify;
message_handler connection_pause, connection_resume;
message_handler offer_request, offer_relid_released;
message_handler gpadl_header, gpadl_body, gpadl_teardown;
message_handler channel_open, channel_close, channel_modify;
message_handler channel_open_reserved, channel_close_reserved;
message_handler tl_connect_request;

/* connection.c: a channel has closed or a GPADL gone: goes on with a reset that waited for it. */
void connection_reset_step(struct vmbus *bus);

/* channel_event.c: what may be asked of a channel, by message. */
enum channel_event {
	EVENT_OPEN,
	EVENT_CLOSE,
	EVENT_MODIFY,
	EVENT_RELEASED,
	EVENT_OPEN_RESERVED,
	EVENT_CLOSE_RESERVED,
	EVENT_COUNT
};
/*
 * The channel the guest calls relid, if the event may come to it now; else NULL: the event is
 * counted where it is the guest's error, and *refuse says that a failure is to be answered.
 */
struct vmbus_channel *channel_event(struct vmbus *bus, u32 relid, enum channel_event event,
				    bool *refuse);

/*
 * interrupt_page.c: takes the page at gpa into use (0: none) as version asks. 0, -EINVAL where it
 * is no page of RAM, -errno from the host. Control loop.
 */
int interrupt_page_set(struct vmbus *bus, gpa_t gpa, u32 version);
void interrupt_page_clear(struct vmbus *bus);
/* Sets the flag of an open channel in it. I/O loop. */
void interrupt_page_raise(const struct vmbus_channel *ch);

/*
 * monitor.c: takes two monitor pages into use, or none (both 0). 0; -EINVAL: not both, or no pages
 * of RAM; -EBUSY: a channel uses the old ones. Control loop.
 */
int monitor_set_pages(struct vmbus *bus, gpa_t page1, gpa_t page2);
/* A free monitor id, or VMBUS_MONITOR_NONE. */
u8 monitor_take(struct vmbus *bus);
void monitor_give(struct vmbus *bus, u8 id);
/* Writes what the guest may read about ch into the page. */
void monitor_describe(const struct vmbus_channel *ch);
/* The word ch's pending bit is in, or NULL where it is not to be polled. */
u32 *monitor_word(const struct vmbus_channel *ch);
/* Polls ch from now on; no longer. I/O loop. */
void monitor_start(struct vmbus_channel *ch);
void monitor_stop(struct vmbus_channel *ch);
/* The timer fired: arms it again. True: the guest has signalled. I/O loop. */
bool monitor_fire(struct vmbus_channel *ch);

/*
 * pace.c. I/O loop. With the in ring drained: true: more is expected soon, signals stay masked
 * until pace.look fires; false: what was held back is shown in this turn.
 */
bool pace_waits(struct vmbus_channel *ch);
/* What is sent waits with it. */
bool pace_holds(const struct vmbus_channel *ch);
/* The guest sees now what was sent. */
void pace_shown(struct vmbus_channel *ch);
/* Waits no more: what was held back is shown in this turn. */
void pace_end(struct vmbus_channel *ch);

/* restore.c: frees dev where restoring made it. */
void restore_device_gone(struct vmbus_device *dev);

/* Versions and features there are. */
bool connection_version_supported(u32 version);
bool connection_features_supported(u32 version, u32 features);

/* freeze.c: something has settled: goes on with a freeze that waited for it. Control loop. */
void freeze_step(struct vmbus *bus);
/* The answer to ORDER_FREEZE has come. Control loop. */
void freeze_replied(struct vmbus_channel *ch);
void freeze_fini(struct vmbus *bus);
/* Keeps dev's plug for later where the bus stands still. */
bool freeze_holds(struct vmbus_device *dev);

/* offer.c: the channel the guest calls relid, or NULL. Control loop. */
struct vmbus_channel *offer_find(const struct vmbus *bus, u32 relid);
/* Offers ch if it is wanted, not known, and nothing stands in the way. */
void offer_try(struct vmbus_channel *ch);
/* Takes ch off the bus: no longer wanted, rescinded where the guest knows it, closed. */
void offer_retract(struct vmbus_channel *ch);
/* Tells the guest that the offer is taken back. */
void offer_rescind(struct vmbus_channel *ch);
/* ch has closed or has been let go of: offers it again, or frees the device that waited for it. */
void offer_settle(struct vmbus_channel *ch);
/* The connection has ended: no guest knows any channel, but reserved ones. */
void offer_forget_all(struct vmbus *bus);
void offer_try_all(struct vmbus *bus);
/* Makes dev's channels, without relids. 0 or -ENOMEM. */
int offer_make(struct vmbus *bus, struct vmbus_device *dev);
/* Gives ch the lowest free relid, and a monitor id. */
void offer_place(struct vmbus_channel *ch);
/* Frees a device's channels, whatever they are. */
void offer_free(struct vmbus_device *dev);

/* subchannel.c: all sub-channels of primary: retracted; closed. Control loop. */
void subchannel_retract_all(struct vmbus_channel *primary);
bool subchannel_all_idle(const struct vmbus_channel *primary);
/* Offers what the device of an open primary channel has asked for. */
void subchannel_offer(struct vmbus_channel *primary);
/* The device's channel with this index, or NULL. */
struct vmbus_channel *subchannel_at(const struct vmbus_device *dev, u32 index);

/* gpadl.c: pins a READY GPADL of relid, or NULL. Any thread. */
struct gpadl *gpadl_pin(struct vmbus *bus, u32 relid, u32 id);
void gpadl_unpin(struct vmbus *bus, struct gpadl *g);
/* Posted where a last pin has gone: frees what waited for it. Control loop. */
void gpadl_sweep(struct loop_work *w);
/* Its pages where it is one range of whole pages, and their number; else NULL. */
u8 *const *gpadl_pages(const struct gpadl *g, u32 *count);
/* Drops all GPADLs of a relid without a word to the guest. Control loop. */
void gpadl_drop(struct vmbus *bus, u32 relid);
/* Drops all but those of reserved channels. True: they have gone, none is pinned. Control loop. */
bool gpadl_drop_all(struct vmbus *bus);
/* Frees every GPADL, pinned or not: the end of the bus. */
void gpadl_free_all(struct vmbus *bus);
/* All of them, but what nobody waits for; then those that wait for their last pin. Control loop. */
void gpadl_save_all(struct vmbus *bus, struct stream_out *out);
void gpadl_save_teardowns(const struct vmbus *bus, struct stream_out *out);
/* Takes them in; the offers are there. 0, -EINVAL or -ENOMEM. Before loops run. */
int gpadl_restore_all(struct vmbus *bus, struct stream_in *in);
/* ... the channels, and with them the pins, too. */
int gpadl_restore_teardowns(struct vmbus *bus, struct stream_in *in);

/* channel.c: makes ch's control part. */
void channel_init(struct vmbus_channel *ch);
/* Closes ch whatever its state, for a reset or a rescind; done when it is idle. Control loop. */
void channel_shut(struct vmbus_channel *ch);
/* Does the next thing that is wanted of ch and can be done. Control loop. */
void channel_step(struct vmbus_channel *ch);
/* Closed, and nothing ordered. */
bool channel_idle(const struct vmbus_channel *ch);
/* Gives up what an open channel holds; the I/O loop is done with it. */
void channel_release(struct vmbus_channel *ch);

/* What an open and frozen channel has, apart from what the guest's RAM has. Control loop. */
void channel_save(struct vmbus_channel *ch, struct stream_out *out);
/* Opens ch as it was saved. 0, -EINVAL or -errno: ch is closed. Before loops run. */
int channel_restore(struct vmbus_channel *ch, struct stream_in *in);

/* channel_io.c: makes ch's I/O part. */
void channel_io_init(struct vmbus_channel *ch);
/* The I/O loop's part of opening a channel as it was saved. Before loops run. */
int channel_io_restore(struct vmbus_channel *ch, struct stream_in *state);
/* The I/O loop's part of closing. */
void channel_io_close(struct vmbus_channel *ch);

/* late.c: makes the bus's part, and its end; the parts of a device's channels. False: no memory. */
void late_init(struct vmbus *bus);
void late_fini(struct vmbus *bus);
bool late_make(struct vmbus_device *dev);
void late_free(struct vmbus_device *dev);

/* True: the message that is next waits, and inbox_work is posted when it has. Control loop. */
bool late_message_in(struct vmbus *bus);
/* True: the guest is told of ch's rescind later. */
bool late_rescind(struct vmbus_channel *ch);
/* It needs not be told any more. Of all that were to be told later: now. */
void late_rescind_forget(struct vmbus_channel *ch);
void late_rescind_all(struct vmbus *bus);

/* The following want ch->late. I/O loop. A signal came, and may keep ch from being run. */
void late_signal(struct vmbus_channel *ch);
/* A packet was received. True: it was the last one of this run. */
bool late_drain(struct vmbus_channel *ch);
/* ch is not run now, and will be. */
bool late_holds_run(const struct vmbus_channel *ch);
/* True: let there be no room for the next packet before room_ns. */
bool late_room(struct vmbus_channel *ch);
/* A packet was written, and may keep the out ring from being committed. */
void late_commit(struct vmbus_channel *ch);
/* The out ring is not to be committed now; it is flushed when it is. */
bool late_holds_commit(const struct vmbus_channel *ch);
/* True: the interrupt that ch owes waits; it is flushed when it has. */
bool late_interrupt(struct vmbus_channel *ch);
/* What the guest is to see is late no more, nor is its interrupt. */
void late_end(struct vmbus_channel *ch);
/* Nothing is: ch runs no more, or nothing is to fire. What waits is to be flushed. */
void late_stop(struct vmbus_channel *ch);

#endif
