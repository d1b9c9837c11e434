/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fake guest: a VMBus driver on plain memory, in the process of the test. It owns guest RAM,
 * the loops and the bus, plays the hypervisor (struct vmbus_port) and the guest's side of every
 * protocol step, and can misbehave at each. Used by tests of the bus and of devices, by fuzzers
 * and by benchmarks.
 *
 * Everything runs in the caller's thread: a call that talks to the host turns all loops until
 * nothing is left to do (fg_pump()). Functions that do not pump say so. Its ring code shares
 * nothing with vmbus/ring.c but the wire header.
 *
 *	struct fakeguest g;
 *	fg_init(&g, NULL);
 *	vmbus_offer(g.bus, &device);
 *	fg_connect(&g, VMBUS_VERSION_WIN10_V5_3);
 *	fg_request_offers(&g);
 *	fg_open(&g, &ch, fg_offer_find(&g, &type, 0), NULL);
 *	fg_send(&ch, id, &request, sizeof(request), true);
 *	fg_pump(&g);
 *	while (fg_recv(&ch, buf, sizeof(buf), &pkt) == 1)
 *		...
 *	fg_close(&ch);
 *	fg_fini(&g);
 */
#ifndef TESTS_FAKEGUEST_H
#define TESTS_FAKEGUEST_H

#include "base/guid.h"
#include "base/loop.h"
#include "base/types.h"
#include "vmbus/ring_proto.h"
#include "vmbus/vmbus.h"
#include "vmbus/vmbus_proto.h"
#include "vmm/memory.h"

#define FG_IO_MAX 4
#define FG_BINDINGS 512
#define FG_MESSAGES 4096
#define FG_OFFERS 512
#define FG_FLAGS 2048
#define FG_RING_PAGES_MAX 2048

struct fg_config {
	u64 memory; /* bytes; 0: 64 MiB */
	unsigned io_count; /* 0: 1 */
	u32 vp_count; /* 0: 4 */
	struct chaos *chaos; /* NULL: none; else calls that need an answer wait up to 5 s for it */
};

/* A message the host posted. */
struct fg_message {
	u32 vp, sint, len;
	u8 bytes[VMBUS_MESSAGE_MAX];
};

/* A channel on offer. */
struct fg_offer {
	struct vmbus_msg_offer_channel msg;
	bool rescinded;
};

struct fakeguest {
	struct gmem mem;
	struct loop control;
	struct loop io[FG_IO_MAX];
	struct loop *io_list[FG_IO_MAX];
	unsigned io_count;
	pthread_t io_thread[FG_IO_MAX];
	bool io_threads; /* between fg_start_io() and fg_stop_io() */
	struct vmbus *bus;
	struct chaos *chaos; /* of the next host's bus, too */
	bool frozen; /* between fg_freeze() and fg_thaw() or fg_new_host() */

	/* The hypervisor's part. */
	struct vmbus_port port;
	struct {
		u32 id;
		int fd; /* -1: free */
	} binding[FG_BINDINGS];
	_Atomic u32 interrupts[FG_FLAGS]; /* set_event() calls by flag */
	_Atomic u32 last_event_vp, last_event_sint, last_event_flag;
	struct fg_message *message; /* received and not taken yet, oldest first */
	unsigned message_count;
	unsigned refuse_posts; /* that many posts get -EAGAIN; fg_pump() tells the bus later */
	bool slot_held; /* every post gets -EAGAIN until cleared and vmbus_slot_free() */
	bool synic_off; /* every post gets -ENODEV */
	unsigned posts_refused;
	bool slot_free_owed;
	int bind_error; /* what bind_event() answers; 0: it works */

	/* The driver's part. */
	u32 version; /* negotiated; 0: none */
	u32 msg_conn_id; /* where messages go */
	/* What fg_connect() asks for. */
	u32 target_vp;
	u8 msg_sint, msg_vtl;
	u32 features; /* of 6.0 */
	gpa_t interrupt_page; /* before 5.0; 0: none */
	gpa_t monitor_page[2]; /* 0: none */
	/* ... and what it got. */
	u32 features_got;
	u8 connection_state;
	int response_size; /* bytes of VERSION_RESPONSE */
	struct fg_offer offer[FG_OFFERS];
	unsigned offer_count;
	u32 next_gpadl;
	gpa_t next_page; /* the bump allocator of fg_alloc() */
	bool scatter; /* fg_open() gives rings of pages in no order */
	/* What fg_open() sends where the features ask for it; 0: as the offer has them. */
	u32 open_connection_id;
	u16 open_event_flag;
	bool modify_unawaited; /* fg_modify() does not wait for the response */
};

/* ---- The machine ----------------------------------------------------------------------------- */

/* Makes RAM, loops and a bus with no devices. NULL: the defaults. 0 or -errno. */
int fg_init(struct fakeguest *g, const struct fg_config *config);

/* Takes all of it down, open channels included. */
void fg_fini(struct fakeguest *g);

/* cmocka's end of a test whose *state is malloc()ed and begins with its struct fakeguest. 0. */
int fg_teardown(void **state);

/*
 * Gives each I/O loop a thread of its own, for stress tests and benchmarks; fg_pump() then turns
 * the control loop only, and calls that need an answer wait up to 5 s for it. 0 or -errno.
 */
int fg_start_io(struct fakeguest *g);

/* Ends those threads; fg_fini() does so where it was forgotten. */
void fg_stop_io(struct fakeguest *g);

/* Turns all loops until none has anything to do (at most 100,000 turns each). */
void fg_pump(struct fakeguest *g);

/* Turns all loops until done(ctx); for work outside the loops. False where that never is (PATIENCE_S). */
bool fg_pump_until(struct fakeguest *g, bool (*done)(void *ctx), void *ctx);

/*
 * vmbus_freeze(), then pumps; false: something is still under way, look at g->frozen later.
 * vmbus_thaw(), and pumps.
 */
bool fg_freeze(struct fakeguest *g);
void fg_thaw(struct fakeguest *g);

/* The host ends and another begins, on the same memory and loops; no devices yet. 0 or -errno. */
int fg_new_host(struct fakeguest *g);

/* count fresh contiguous zeroed pages, for ever; 0 where RAM is used up. Does not pump. */
gpa_t fg_alloc(struct fakeguest *g, u32 count);

/* The host address of guest memory, NULL where it is not RAM. Does not pump. */
void *fg_ptr(struct fakeguest *g, gpa_t gpa, u64 len);

/* ---- Messages -------------------------------------------------------------------------------- */

/* Posts any bytes to any connection id. 0 or -ENOBUFS. Does not pump. */
int fg_post_raw(struct fakeguest *g, u32 connection_id, const void *msg, u32 len);

/* Posts a message to the negotiated id, then pumps; tries again while the inbox is full. */
int fg_post(struct fakeguest *g, const void *msg, u32 len);

/*
 * Takes the oldest message of this type out of those received: its length in bytes (as much as
 * fits goes to msg), or -ENOENT. Does not pump.
 */
int fg_take(struct fakeguest *g, u32 type, void *msg, u32 size);

/* fg_take(), waiting for what an I/O thread has to do first. -ETIMEDOUT where none came. */
int fg_await(struct fakeguest *g, u32 type, void *msg, u32 size);

/* Messages of this type received and not taken; type 0: of all. Does not pump. */
unsigned fg_count(const struct fakeguest *g, u32 type);

/*
 * INITIATE_CONTACT on the id the version asks for, and its answer. 0; -ECONNREFUSED: not supported;
 * -ETIMEDOUT: no answer. The connection is g->version and g->msg_conn_id.
 */
int fg_connect(struct fakeguest *g, u32 version);

/* REQUEST_OFFERS; g->offer[] is what came. 0 or -ETIMEDOUT. */
int fg_request_offers(struct fakeguest *g);

/* Takes in offers and rescinds that came since (hot plug). The number of either. Pumps. */
unsigned fg_offers_poll(struct fakeguest *g);

/* The live offer of this type and sub-channel index, or NULL. By instance where type is NULL. */
const struct fg_offer *fg_offer_find(const struct fakeguest *g, const struct guid *type,
				     u16 sub_index);
const struct fg_offer *fg_offer_instance(const struct fakeguest *g, const struct guid *instance);

/* UNLOAD. 0 or -ETIMEDOUT. */
int fg_unload(struct fakeguest *g);

/* ---- GPADLs ---------------------------------------------------------------------------------- */

/*
 * Shares one range: byte_count bytes from byte_offset in the first of the pages in pfn[]. 0 and
 * *id; -EPROTO where the host refused; -ETIMEDOUT.
 */
int fg_gpadl_create_pfns(struct fakeguest *g, u32 relid, u32 byte_offset, u32 byte_count,
			 const u64 *pfn, u32 *id);

/* The same for contiguous memory. */
int fg_gpadl_create(struct fakeguest *g, u32 relid, gpa_t gpa, u32 bytes, u32 *id);

/* GPADL_TEARDOWN. 0; -ETIMEDOUT where no TORNDOWN has come yet (take it later with fg_take()). */
int fg_gpadl_teardown(struct fakeguest *g, u32 relid, u32 id);

/* ---- Channels -------------------------------------------------------------------------------- */

/* The guest's side of one ring. */
struct fg_ring {
	struct ring_header *header;
	u8 *page[FG_RING_PAGES_MAX]; /* data pages */
	u32 size; /* bytes of data */
	u32 index; /* our own: out write, in read */
};

struct fg_channel {
	struct fakeguest *guest;
	struct fg_offer offer;
	u32 relid;
	u32 connection_id; /* that fg_signal() signals */
	u32 ring_gpadl;
	u32 open_status; /* of OPEN_CHANNEL_RESULT */
	bool open;
	struct fg_ring out; /* guest to host */
	struct fg_ring in;
};

struct fg_open_params {
	u32 out_pages, in_pages; /* header included; 0: 17 */
	u32 target_vp;
};

/*
 * Makes rings, shares them and opens the channel on offer. NULL params: the defaults. 0; -EPROTO
 * where the host refused (ch->open_status); -ETIMEDOUT; -ENOENT for a NULL offer.
 */
int fg_open(struct fakeguest *g, struct fg_channel *ch, const struct fg_offer *offer,
	    const struct fg_open_params *params);

/* OPEN_RESERVED_CHANNEL, results to (vp, sint). As fg_open(). */
int fg_open_reserved(struct fakeguest *g, struct fg_channel *ch, const struct fg_offer *offer,
		     u32 vp, u32 sint);

/* RELID_RELEASED. 0 or -ENOBUFS. */
int fg_release(struct fakeguest *g, u32 relid);

/* CLOSE_CHANNEL and the teardown of its rings. 0, or -ETIMEDOUT where the host still holds them. */
int fg_close(struct fg_channel *ch);

/* MODIFY_CHANNEL. 0, the host's refusal as -EPROTO, -ETIMEDOUT (no answer before 5.3: 0). */
int fg_modify(struct fg_channel *ch, u32 target_vp);

/* Interrupts received for this channel so far. */
u32 fg_interrupts(const struct fg_channel *ch);

/*
 * Signals as the channel's version and offer say: a monitored channel sets its bit, in 0.13 there
 * is a flag and a connection id for all, else the channel's connection id. 0, or -ENOENT where
 * nothing is bound. Does not pump.
 */
int fg_signal(struct fg_channel *ch);

/* ---- Packets: none of these pumps ------------------------------------------------------------ */

/*
 * Sends an in-band packet and signals as Linux would (ring was empty, host does not mask). 0, or
 * -EAGAIN where the ring is full. Payload is padded to 8 bytes with zeros.
 */
int fg_send(struct fg_channel *ch, u64 transaction_id, const void *payload, u32 size,
	    bool completion_wanted);

/* A completion, the same way. */
int fg_complete(struct fg_channel *ch, u64 transaction_id, const void *payload, u32 size);

/* Contiguous guest memory. */
struct fg_range {
	gpa_t gpa;
	u32 len;
};

/* A GPA-direct packet, one range each (as netvsc sends page buffers). Wants a completion. */
int fg_send_gpa_direct(struct fg_channel *ch, u64 transaction_id, const struct fg_range *range,
		       unsigned count, const void *payload, u32 size);

/* A GPA-direct packet of one range over any pages (as storvsc sends). Wants a completion. */
int fg_send_pfns(struct fg_channel *ch, u64 transaction_id, u32 byte_offset, u32 byte_count,
		 const u64 *pfn, const void *payload, u32 size);

/*
 * Any packet: after the descriptor head_size bytes of header (ranges), then the payload. Lengths in
 * the descriptor follow from the sizes unless desc says otherwise (len8, offset8 not 0).
 */
int fg_send_raw(struct fg_channel *ch, const struct ring_descriptor *desc, const void *head,
		u32 head_size, const void *payload, u32 size);

/* Writes bytes into a ring's data at index (mod size), no index changed. */
void fg_ring_poke(struct fg_ring *r, u32 index, const void *bytes, u32 len);

/* Sets the write index of the out ring to any value. */
void fg_set_write_index(struct fg_channel *ch, u32 index);

/* A packet from the host; payload points into the caller's buffer. */
struct fg_packet {
	u16 type; /* enum vmbus_packet_type */
	bool completion_wanted;
	u64 transaction_id;
	const u8 *payload;
	u32 payload_size;
	u16 pageset_id; /* transfer pages */
	u32 range_count;
	struct vmbus_xfer_range range[64];
};

/*
 * Takes the next packet off the in ring, frees its room and signals as Linux would (the host waits
 * for room and now has it). 1; 0: none; -EPROTO: the host wrote nonsense; -EMSGSIZE: size.
 */
int fg_recv(struct fg_channel *ch, void *buf, u32 size, struct fg_packet *pkt);

/* Bytes the host may still write into the in ring, and the guest into the out ring. */
u32 fg_in_free(const struct fg_channel *ch);
u32 fg_out_free(const struct fg_channel *ch);

#endif
