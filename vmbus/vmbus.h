/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VMBus host: offers devices to the guest and carries their packets. This header is the book
 * for those who write a device and for the program that wires the bus; protocol internals are in
 * server.h and beside it.
 *
 * Threads. The bus (connection, offers, GPADLs, channel states) belongs to the control loop. An
 * open channel belongs to the I/O loop that serves its target VP: all functions of its device and
 * all channel_* calls run there. Where the guest moves its interrupt to another VP the channel
 * follows to that VP's loop if its device can (detach, attach), else it stays. The core passes
 * messages between the loops; devices never notice.
 *
 * A device is a descriptor (struct vmbus_device_ops) and a few functions. It sees packets, guest
 * ranges and completions, never KVM, SynIC or GPADL internals.
 */
#ifndef VMBUS_VMBUS_H
#define VMBUS_VMBUS_H

#include <sys/uio.h>

#include "base/guid.h"
#include "base/loop.h"
#include "base/stream.h"
#include "base/types.h"
#include "vmbus/gpa_range.h"
#include "vmbus/port.h"
#include "vmbus/ring_proto.h"
#include "vmm/memory.h"

struct vmbus;
struct vmbus_channel;
struct vmbus_device;
struct chaos;
struct gpadl;

/* ---- For device writers ---------------------------------------------------------------------- */

struct vmbus_device_ops {
	const char *name; /* for messages and traces: "storvsp" */
	struct guid type; /* the interface type the guest's driver matches */
	bool pipe; /* offered in message-pipe mode (integration services) */
	bool hvsock; /* offered as a socket: user_defined is a struct vmbus_hvsock_params */
	u32 packet_max; /* bytes of the largest packet taken, descriptor and ranges included */
	/* The guest opened ch. 0, or -errno: the open fails. ch->data is the device's to use. */
	int (*open)(struct vmbus_channel *ch);
	/*
	 * There may be packets to receive, or room to send. Receives until channel_recv() returns
	 * 0, or stops early (no free request) and calls channel_resume() once it can go on.
	 */
	void (*ready)(struct vmbus_channel *ch);
	/*
	 * The guest closed ch, or the bus is reset: receive no more; call channel_closed() once no
	 * request touches guest memory any more (now or later, on the same loop).
	 */
	void (*close)(struct vmbus_channel *ch);
	/*
	 * Both or neither. ch is to move to another loop: receive no more, call channel_detached()
	 * once nothing of it is under way on this loop (now or later); what is under way may still
	 * be completed until then. Then attach() on the new loop, and ready() after it; or close().
	 */
	void (*detach)(struct vmbus_channel *ch);
	void (*attach)(struct vmbus_channel *ch);
	/*
	 * Saving, see save.h. The bus is to stand still: receive no more, call channel_frozen()
	 * once nothing of ch is under way that save() does not write down, and do not send after
	 * that. A device may drain (wait for its requests; room in the ring does not come) or carry
	 * them. Then thaw() and ready() after it; or close(). Saving may be given up: thaw() comes
	 * before channel_frozen() was called, which then must not be called. NULL: there never is
	 * anything.
	 */
	void (*freeze)(struct vmbus_channel *ch);
	void (*thaw)(struct vmbus_channel *ch);
	/*
	 * Both, or neither: ch cannot be saved while it is open. save: writes down what the device
	 * has of a frozen channel; control loop. restore: in the place of open(), takes it in, and
	 * is followed by ready(); neither receives nor sends; main thread, before loops run. The
	 * bytes are not trusted: 0, -EINVAL where they are not such a device's, or -errno.
	 */
	void (*save)(struct vmbus_channel *ch, struct stream_out *out);
	int (*restore)(struct vmbus_channel *ch, struct stream_in *in);
	/*
	 * Both, or neither: what the device has whether a channel is open or not. save_state:
	 * writes it down, the bus frozen; control loop. restore_state: called twice, main thread,
	 * before loops run. First it only looks, and changes nothing: 0; -EINVAL where the bytes,
	 * not trusted, are not such a device's; -ENODEV where they are of one that differs from
	 * dev. Then, once all else was taken in, `apply`: 0.
	 */
	void (*save_state)(struct vmbus_device *dev, struct stream_out *out);
	int (*restore_state)(struct vmbus_device *dev, struct stream_in *in, bool apply);
};

/* One device on the bus. The owner sets the first part, zeroes the rest and keeps it in place. */
struct vmbus_device {
	const struct vmbus_device_ops *ops;
	struct guid instance; /* stable across boots */
	u16 mmio_megabytes, mmio_megabytes_optional;
	u8 user_defined[120]; /* of the offer; in pipe mode what follows the pipe's type */
	u16 sub_channels_max; /* that channel_offer_subs() may ask for */
	/*
	 * us; not 0: monitored. The guest signals by a bit in a page that is looked at so often
	 * (less often while nothing happens), instead of by a hypercall. Where there is no monitor
	 * id left, or the guest has no monitor pages, it signals as for others.
	 */
	u32 monitor_us;
	/*
	 * The guest answers completions with requests, each of which takes it a while: those that
	 * come in a burst are waited for, up to 2 ms in all, before it is interrupted.
	 */
	bool paced;
	/*
	 * NULL or called when the guest has let go of a rescinded device; not where the bus itself
	 * ends. The device may be freed in it, or offered again. Control loop.
	 */
	void (*gone)(struct vmbus_device *dev);
	/* NULL or called with the result of vmbus_plug(): vmbus_offer()'s. Control loop. */
	void (*plugged)(struct vmbus_device *dev, int result);
	void *data; /* the device's own */
	/* The bus's part. */
	struct vmbus *bus;
	struct vmbus_channel *primary;
	struct vmbus_channel *channel; /* the primary one, then sub_channels_max sub-channels */
	struct loop_work plug;
	_Atomic bool plug_wanted;
	_Atomic bool plug_asked; /* `plug` is still to come */
	struct vmbus_device *plug_next; /* on bus->plugs */
	bool plug_waits; /* ... */
};

/* Longest packet a device may ask for in packet_max. */
#define VMBUS_PACKET_MAX (64u << 10)

/* A packet received: everything points into the caller's buffer, a private copy. */
struct vmbus_packet {
	u16 type; /* enum vmbus_packet_type, or what the guest sent */
	bool completion_wanted;
	u64 transaction_id;
	const void *payload;
	u32 payload_size; /* bytes, a multiple of 8 as sent: padding included */
	const void *ranges; /* GPA-direct: range_count ranges in ranges_size bytes, unchecked */
	u32 ranges_size;
	u32 range_count;
};

/*
 * Copies the next packet into buf (packet_max bytes) and takes it off the ring. 1: *pkt is set;
 * 0: none left, or this channel has had its share of the loop's turn and ready() follows;
 * -EMSGSIZE: larger than packet_max, skipped; -EBADMSG: malformed, skipped or the ring is beyond
 * repair and yields nothing more. Only within ready(). Never blocks.
 */
int channel_recv(struct vmbus_channel *ch, void *buf, struct vmbus_packet *pkt);

/*
 * Queues a packet of count payload pieces; the guest is signalled in the flush phase where it must
 * be. 0, or -EAGAIN: no room now, ready() follows once there is. A packet for a guest that has
 * broken its ring, given it no room for one so large, or closed the channel is lost, which is its
 * own fault: 0. count <= 4.
 */
int channel_send(struct vmbus_channel *ch, u16 type, bool completion_wanted, u64 transaction_id,
		 const struct iovec *payload, unsigned count);

/* channel_send() of a completion with one payload. */
int channel_complete(struct vmbus_channel *ch, u64 transaction_id, const void *payload, u32 size);

#define VMBUS_XFER_RANGES_MAX 64

/*
 * Sends a transfer-page packet (NVSP receive buffers), which asks for a completion. As
 * channel_send(); count of ranges <= VMBUS_XFER_RANGES_MAX.
 */
int channel_send_xfer(struct vmbus_channel *ch, u16 pageset_id, u64 transaction_id,
		      const struct vmbus_xfer_range *range, unsigned count, const void *payload,
		      u32 size);

/* Calls ready() again (in a later phase of the loop) after it had stopped early. */
void channel_resume(struct vmbus_channel *ch);

/* The answer to ops->close. Touch ch no more. */
void channel_closed(struct vmbus_channel *ch);

/* The answer to ops->detach. Touch ch no more until attach() or close(). */
void channel_detached(struct vmbus_channel *ch);

/* The answer to ops->freeze. Touch neither ch nor guest memory until thaw() or close(). */
void channel_frozen(struct vmbus_channel *ch);

/*
 * Offers the sub-channels 1..count of the device, whose primary channel ch is; behind what has been
 * sent so far. Those offered already stay. count <= sub_channels_max. A sub-channel is open only
 * while the primary is: close() of all of them comes before that of the primary. The primary must
 * be opened, and ask, anew after that.
 */
void channel_offer_subs(struct vmbus_channel *ch, u16 count);

/* The loop that owns ch, guest RAM, the device, the device's per-channel pointer. */
struct loop *channel_loop(const struct vmbus_channel *ch);
const struct gmem *channel_mem(const struct vmbus_channel *ch);
struct vmbus_device *channel_device(const struct vmbus_channel *ch);
void *channel_data(const struct vmbus_channel *ch);
void channel_set_data(struct vmbus_channel *ch, void *data);
/* 0 for the primary channel, else the sub-channel's number. The VP it interrupts now. */
u16 channel_sub_index(const struct vmbus_channel *ch);
u32 channel_target_vp(const struct vmbus_channel *ch);

/*
 * A guest buffer shared by GPADL `id` of this channel, pinned: the guest cannot have it torn down
 * before channel_gpadl_put(). NULL where there is none. The channel's loop.
 */
struct gpadl *channel_gpadl_get(struct vmbus_channel *ch, u32 id);
void channel_gpadl_put(struct vmbus_channel *ch, struct gpadl *g);
/* What the guest calls it, also in a host that it is restored in; its bytes. */
u32 gpadl_handle(const struct gpadl *g);
u32 gpadl_size(const struct gpadl *g);
/*
 * Describes [offset, offset + len) of the buffer by at most max pieces. The number of pieces,
 * -EINVAL outside the buffer, -ENOSPC where max is too small.
 */
int gpadl_iov(const struct gpadl *g, u32 offset, u32 len, struct iovec *iov, unsigned max);

/* ---- For the program that wires the bus ------------------------------------------------------ */

struct vmbus_config {
	const struct gmem *mem;
	struct vmbus_port *port;
	struct loop *control;
	struct loop **io; /* channels with target VP v run on io[v % io_count] */
	unsigned io_count;
	struct chaos *chaos; /* NULL: nothing is late on purpose; outlives the bus (chaos.h) */
};

/* 0 and *bus, or -errno. Main thread. */
int vmbus_init(struct vmbus **bus, const struct vmbus_config *config);

/*
 * Frees the bus. Every loop's thread must have ended, the loops themselves still be there; devices
 * get close() for open channels first and must close at once: nothing they are asked here may wait
 * for a loop. A NULL bus is fine.
 */
void vmbus_fini(struct vmbus *bus);

/*
 * Puts a device on the bus: now part of the next REQUEST_OFFERS, or offered at once to a connected
 * guest. Where it (or another with its instance) was rescinded and the guest still holds on to it,
 * the offer follows when the guest lets go. Its relid, and those of its sub-channels, stay the same
 * as long as it is on the bus, over any number of connections. 0, -EEXIST for a duplicate instance,
 * -ENOSPC, -ENOMEM, -EINVAL. Control loop, or before it runs.
 */
int vmbus_offer(struct vmbus *bus, struct vmbus_device *dev);

/*
 * Takes a device off the bus: its channels are closed and the guest told. dev and what it uses must
 * stay until dev->primary is NULL, which it is once the guest has let go (or the bus is freed);
 * then dev->gone() is called. Control loop.
 */
void vmbus_rescind(struct vmbus_device *dev);

/*
 * The same two from any thread, one at a time for a device: done by the control loop soon; of
 * several the last one counts. unplug only after plug or vmbus_offer(), and before gone(), which
 * follows it in any case, unless a plug does.
 */
void vmbus_plug(struct vmbus *bus, struct vmbus_device *dev);
void vmbus_unplug(struct vmbus_device *dev);

/* A guest's socket that wants to connect to a service of the host (TL_CONNECT_REQUEST). */
struct vmbus_connect {
	struct guid endpoint, service;
	struct guid silo; /* of the guest's; all 0: none */
};

/*
 * Who listens for sockets: 0: taken on, and answered later by vmbus_offer() of an hvsock device
 * (type: service, instance: endpoint) or by vmbus_connect_refuse(); else refused at once. Control
 * loop.
 */
typedef int vmbus_connect_fn(void *ctx, const struct vmbus_connect *request);
/* fn NULL: nobody, every request is refused. Control loop, or before it runs. */
void vmbus_on_connect(struct vmbus *bus, vmbus_connect_fn *fn, void *ctx);
/* Tells the guest that nobody serves request. Control loop. */
void vmbus_connect_refuse(struct vmbus *bus, const struct vmbus_connect *request);

/*
 * A message the guest posted: len bytes (0..240), a private copy, sent to connection_id. Any
 * thread: it is queued for the control loop. 0, or -ENOBUFS where the inbox is full and the guest
 * should try again.
 */
int vmbus_receive(struct vmbus *bus, u32 connection_id, const void *msg, u32 len);

/* The message slot of a VP may be free again: retry what waited. Any thread. */
void vmbus_slot_free(struct vmbus *bus);

/* What the guest has done so far, for messages to the user ("the guest never contacted VMBus"). */
struct vmbus_status {
	bool contacted;
	u32 version; /* negotiated, 0x00050003 for 5.3; 0: none */
	unsigned channels_open;
	u64 messages; /* the guest posted */
	u64 out_of_place; /* of those: malformed, unknown or at the wrong time */
};
/* Any thread. */
void vmbus_status(struct vmbus *bus, struct vmbus_status *status);

/* One channel, and what it has carried since its device came. */
struct vmbus_channel_status {
	const char *device;
	struct guid instance;
	u32 relid;
	u16 sub_index;
	bool offered, open;
	u32 target_vp; /* of its interrupts, where open; ~0: none */
	u64 packets_in, bytes_in; /* from the guest; whole packets */
	u64 packets_out, bytes_out;
	u64 signals; /* by the guest that reached us */
	u64 interrupts; /* to the guest */
	u64 throttled; /* runs that ended for others' sake with packets left */
};
/* All channels, at most max, by relid; the number there are. Control loop. */
unsigned vmbus_channels(const struct vmbus *bus, struct vmbus_channel_status *list, unsigned max);

#endif
