/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An open channel on its I/O loop: signals in, packets both ways, interrupts out. All of what a
 * device calls is here.
 *
 * Packets come in runs. A run masks signals, lets the device receive until the ring is empty,
 * gives the room back, unmasks and looks once more (the protocol is in ring.c). A run takes at
 * most VMBUS_PACKETS_PER_RUN packets and goes on in the loop's next turn, so that the other
 * channels have theirs. Where the device stops early, signals stay masked until channel_resume().
 *
 * A monitored channel is run when its bit is found, too (monitor.c). One that is about to leave for
 * another loop (detach) is not run any more; what its device still sends goes out as ever.
 *
 * What is sent becomes visible in the flush phase, and with it at most one interrupt. Replies to
 * the control loop leave there too, last: whatever they set free, the rings included, nothing of
 * this loop uses any more.
 */
#include <errno.h>
#include <string.h>

#include "vmbus/server.h"

/* One writer, any reader. */
static void count(_Atomic u64 *counter, u64 n)
{
	u64 now = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, now + n, memory_order_relaxed);
}

/* ---- Runs ------------------------------------------------------------------------------------ */

static void owe_interrupt(struct vmbus_channel *ch, bool owed)
{
	if (!owed)
		return;
	ch->interrupt = true;
	loop_flush_later(ch->loop, &ch->flush);
}

static void channel_run(struct vmbus_channel *ch)
{
	if (!ch->live || ch->detaching || ch->frozen || (ch->late && late_holds_run(ch)))
		return;
	/* It goes on by itself: a guest that signals meanwhile gets no more of the loop. */
	if (ch->again.queued)
		return;
	loop_timer_disarm(ch->loop, &ch->poll);
	ring_wait_end(&ch->out);
	ch->budget = VMBUS_PACKETS_PER_RUN;
	do {
		ring_mask(&ch->in);
		ch->drained = false;
		ch->device->ops->ready(ch);
		owe_interrupt(ch, ring_read_commit(&ch->in));
	} while (ch->drained && !pace_waits(ch) && ring_unmask(&ch->in));
	if (!ch->budget && !ch->drained && !(ch->late && late_holds_run(ch))) {
		count(&ch->count.throttled, 1);
		loop_post(ch->loop, &ch->again);
	}
	ch->budget = 0;
}

static void channel_signalled(struct vmbus_channel *ch)
{
	count(&ch->count.signals, 1);
	trace_vmbus_signal_event(ch->relid);
	if (ch->late)
		late_signal(ch);
	channel_run(ch);
}

static void signal_ready(struct loop_fd *f, u32 events)
{
	struct vmbus_channel *ch = container_of(f, struct vmbus_channel, signal);

	(void)events;
	channel_signalled(ch);
}

static void run_again(struct loop_work *w)
{
	channel_run(container_of(w, struct vmbus_channel, again));
}

static void room_poll(struct loop_timer *t)
{
	channel_run(container_of(t, struct vmbus_channel, poll));
}

/* What stops before the ring is drained shows what it has. */
static void pace_look(struct loop_timer *t)
{
	struct vmbus_channel *ch = container_of(t, struct vmbus_channel, pace.look);

	channel_run(ch);
	/* Behind the disk's flush, which may answer what has just been found. */
	loop_flush_later(ch->loop, &ch->flush);
}

static void monitor_look(struct loop_timer *t)
{
	struct vmbus_channel *ch = container_of(t, struct vmbus_channel, monitor_poll);

	if (!monitor_fire(ch))
		return;
	channel_signalled(ch);
}

void channel_resume(struct vmbus_channel *ch)
{
	if (ch->live)
		loop_post(ch->loop, &ch->again);
}

static void channel_interrupt(struct vmbus_channel *ch)
{
	struct vmbus_port *port = ch->bus->port;

	if (ch->target_vp == VMBUS_VP_NONE)
		return;
	count(&ch->count.interrupts, 1);
	trace_vmbus_channel_notify_guest(ch->relid, ch->target_vp);
	if (ch->interrupt_page) {
		interrupt_page_raise(ch);
		port->set_event(port, 0, ch->sint, 0);
	} else {
		port->set_event(port, ch->target_vp, ch->sint, ch->event_flag);
	}
}

/* Shows the guest what was written; later where that, or its interrupt, is to be late. */
static void channel_show(struct vmbus_channel *ch)
{
	/* What goes to the control loop comes behind all that was sent. */
	bool must = ch->reply_due || ch->subs_due, may_wait = ch->late && !must;

	if (!must && pace_holds(ch))
		return;
	if (ch->late && !may_wait)
		late_end(ch);
	if (!(may_wait && late_holds_commit(ch)) && ring_write_commit(&ch->out))
		ch->interrupt = true;
	pace_shown(ch);
	if (!ch->interrupt || (may_wait && late_interrupt(ch)))
		return;
	ch->interrupt = false;
	channel_interrupt(ch);
}

static void channel_flush(struct loop_flush *f)
{
	struct vmbus_channel *ch = container_of(f, struct vmbus_channel, flush);

	if (ch->live)
		channel_show(ch);
	else
		ch->interrupt = false;
	if (ch->subs_due) {
		ch->subs_due = false;
		loop_post(ch->bus->control, &ch->subs);
	}
	if (ch->reply_due) {
		ch->reply_due = false;
		loop_post(ch->bus->control, &ch->reply);
	}
}

/* ---- Orders ---------------------------------------------------------------------------------- */

static void channel_reply(struct vmbus_channel *ch, int result)
{
	ch->result = result;
	ch->reply_due = true;
	loop_flush_later(ch->loop, &ch->flush);
}

/* Starts to listen: the loop calls for ch from now on. 0 or -errno. */
static int channel_listen(struct vmbus_channel *ch)
{
	int err;

	ch->signal.fd = ch->event_fd;
	/* Edge-triggered: the counter need never be read, which saves a system call per signal. */
	err = loop_add(ch->loop, &ch->signal, EPOLLIN | EPOLLET);
	if (err)
		return err;
	ch->live = true;
	monitor_start(ch);
	/* Packets may be waiting that were written before anybody listened. */
	loop_post(ch->loop, &ch->again);
	return 0;
}

/* The loop does not call for ch any more; but its flush may be due. */
static void channel_unlisten(struct vmbus_channel *ch)
{
	loop_del(ch->loop, &ch->signal);
	loop_unpost(ch->loop, &ch->again);
	loop_timer_disarm(ch->loop, &ch->poll);
	pace_end(ch);
	monitor_stop(ch);
	if (ch->late)
		late_stop(ch);
}

static int channel_io_open(struct vmbus_channel *ch)
{
	int err;

	ch->target_vp = ch->order_target;
	err = channel_listen(ch);
	if (err)
		return err;
	err = ch->device->ops->open(ch);
	if (err) {
		ch->live = false;
		channel_unlisten(ch);
	}
	return err;
}

void channel_io_close(struct vmbus_channel *ch)
{
	ch->live = ch->detaching = ch->frozen = false;
	channel_unlisten(ch);
	ch->device->ops->close(ch);
}

static int channel_io_attach(struct vmbus_channel *ch)
{
	int err;

	ch->detaching = false;
	ch->target_vp = ch->order_target;
	err = channel_listen(ch);
	if (!err)
		ch->device->ops->attach(ch);
	return err;
}

void channel_closed(struct vmbus_channel *ch)
{
	if (!ch->bus->ending)
		channel_reply(ch, 0);
}

void channel_detached(struct vmbus_channel *ch)
{
	if (ch->bus->ending)
		return;
	channel_unlisten(ch);
	channel_reply(ch, 0);
}

void channel_frozen(struct vmbus_channel *ch)
{
	ch->stands = true;
	if (!ch->bus->ending)
		channel_reply(ch, 0);
}

static void channel_io_freeze(struct vmbus_channel *ch)
{
	ch->frozen = true;
	ch->stands = false;
	loop_unpost(ch->loop, &ch->again);
	loop_timer_disarm(ch->loop, &ch->poll);
	pace_end(ch);
	monitor_stop(ch);
	if (ch->late)
		late_stop(ch);
	/* What chaos held back, for it may be long until the answer. */
	loop_flush_later(ch->loop, &ch->flush);
	if (ch->device->ops->freeze)
		ch->device->ops->freeze(ch);
	else
		channel_frozen(ch);
}

/* What came meanwhile, signalled or not, is found by the run that follows. */
static void channel_io_thaw(struct vmbus_channel *ch)
{
	ch->frozen = false;
	monitor_start(ch);
	if (ch->device->ops->thaw)
		ch->device->ops->thaw(ch);
	loop_post(ch->loop, &ch->again);
}

/* Unless it stands: then ORDER_THAW follows. */
static void channel_relent(struct loop_work *w)
{
	struct vmbus_channel *ch = container_of(w, struct vmbus_channel, relent);

	if (!ch->frozen || ch->stands)
		return;
	channel_io_thaw(ch);
	channel_reply(ch, -ECANCELED);
}

int channel_io_restore(struct vmbus_channel *ch, struct stream_in *state)
{
	int err;

	if (!ch->device->ops->restore)
		return -EINVAL;
	ch->target_vp = ch->order_target;
	err = channel_listen(ch);
	if (err)
		return err;
	err = ch->device->ops->restore(ch, state);
	if (!err && stream_done(state))
		return 0;
	/* A device that took its state in has to let go of it. */
	if (!err)
		ch->device->ops->close(ch);
	ch->live = false;
	channel_unlisten(ch);
	return err ? err : -EINVAL;
}

void channel_offer_subs(struct vmbus_channel *ch, u16 subs)
{
	atomic_store(&ch->subs_asked, MIN(subs, ch->device->sub_channels_max));
	ch->subs_due = true;
	loop_flush_later(ch->loop, &ch->flush);
}

static void channel_ordered(struct loop_work *w)
{
	struct vmbus_channel *ch = container_of(w, struct vmbus_channel, ordered);

	switch (ch->order) {
	case ORDER_NONE:
		break;
	case ORDER_OPEN:
		channel_reply(ch, channel_io_open(ch));
		break;
	case ORDER_CLOSE:
		channel_io_close(ch);
		break;
	case ORDER_MODIFY:
		/* The reply follows this turn's interrupts: none goes to the old VP after it. */
		ch->target_vp = ch->order_target;
		channel_reply(ch, 0);
		break;
	case ORDER_DETACH:
		/*
		 * The same holds: what is still sent here interrupts the old VP, and then replies.
		 */
		ch->detaching = true;
		ch->device->ops->detach(ch);
		break;
	case ORDER_ATTACH:
		channel_reply(ch, channel_io_attach(ch));
		break;
	case ORDER_FREEZE:
		channel_io_freeze(ch);
		break;
	case ORDER_THAW:
		channel_io_thaw(ch);
		channel_reply(ch, 0);
		break;
	}
}

void channel_io_init(struct vmbus_channel *ch)
{
	ch->ordered.run = channel_ordered;
	ch->relent.run = channel_relent;
	ch->again.run = run_again;
	ch->signal = (struct loop_fd){ .fd = -1, .ready = signal_ready };
	ch->flush.run = channel_flush;
	ch->poll.fire = room_poll;
	ch->monitor_poll.fire = monitor_look;
	ch->pace.look.fire = pace_look;
}

/* ---- Packets in ------------------------------------------------------------------------------ */

/* The ranges between descriptor and payload of a GPA-direct packet. False where they lack. */
static bool packet_ranges(const u8 *bytes, u32 offset, struct vmbus_packet *pkt)
{
	struct ring_gpa_direct head;
	u32 start = sizeof(struct ring_descriptor) + sizeof(head);

	if (offset < start)
		return false;
	memcpy(&head, bytes + sizeof(struct ring_descriptor), sizeof(head));
	pkt->ranges = bytes + start;
	pkt->ranges_size = offset - start;
	pkt->range_count = head.range_cnt;
	return head.range_cnt <= pkt->ranges_size / sizeof(struct ring_gpa_range);
}

/* bytes holds a packet as ring_read() gives it. */
static bool packet_parse(const u8 *bytes, u32 len, struct vmbus_packet *pkt)
{
	struct ring_descriptor d;
	u32 offset;

	memcpy(&d, bytes, sizeof(d));
	offset = d.offset8 * RING_ALIGN;
	*pkt = (struct vmbus_packet){
		.type = d.type,
		.completion_wanted = d.flags & RING_PACKET_COMPLETION_REQUESTED,
		.transaction_id = d.trans_id,
		.payload = bytes + offset,
		.payload_size = len - offset,
	};
	return d.type != VMBUS_PACKET_GPA_DIRECT || packet_ranges(bytes, offset, pkt);
}

int channel_recv(struct vmbus_channel *ch, void *buf, struct vmbus_packet *pkt)
{
	u32 len;
	int got;

	if (!ch->budget)
		return 0;
	got = ring_read(&ch->in, buf, ch->device->ops->packet_max, &len);
	if (!got) {
		/* A broken ring stays masked: its guest has nothing more to say. */
		ch->drained = !ch->in.broken;
		return 0;
	}
	ch->budget--;
	if (ch->late && late_drain(ch))
		ch->budget = 0;
	if (got == 1) {
		count(&ch->count.packets_in, 1);
		count(&ch->count.bytes_in, len);
		ch->budget -= MIN(ch->budget, len / VMBUS_PACKET_CHARGE);
		if (!packet_parse(buf, len, pkt))
			got = -EBADMSG;
	}
	if (got < 0)
		log_guest(&ch->bad_packet, "vmbus: channel %u (%s): %s", ch->relid,
			  ch->device->ops->name,
			  ch->in.broken      ? "the ring is broken"
			  : got == -EMSGSIZE ? "packet too long"
					     : "malformed packet");
	return got;
}

/* ---- Packets out ----------------------------------------------------------------------------- */

/* No room: the guest is asked to tell, or looked after where it does not do so. */
static int channel_full(struct vmbus_channel *ch, const struct ring_packet *p)
{
	owe_interrupt(ch, ring_write_commit(&ch->out));
	if (ring_wait_room(&ch->out, p))
		return ring_write(&ch->out, p);
	if (!ring_peer_signals_room(&ch->in))
		loop_timer_arm(ch->loop, &ch->poll, loop_now_ns() + VMBUS_ROOM_POLL_NS);
	return ch->out.broken ? -EPIPE : -EAGAIN;
}

/* As if there were no room: nothing but the time makes an end of it. */
static int channel_short(struct vmbus_channel *ch, const struct ring_packet *p)
{
	owe_interrupt(ch, ring_write_commit(&ch->out));
	ring_wait_begin(&ch->out, p);
	loop_timer_arm(ch->loop, &ch->poll, ch->late->room_ns);
	return -EAGAIN;
}

/* Bytes of it in the ring, trailer and padding apart. */
static u64 packet_size(const struct ring_packet *p)
{
	u64 size = sizeof(struct ring_descriptor) + p->head_size;

	for (unsigned i = 0; i < p->payload_count; i++)
		size += p->payload[i].iov_len;
	return size;
}

static int channel_write(struct vmbus_channel *ch, const struct ring_packet *p)
{
	int err;

	if (!ch->live)
		return 0;
	if (ch->late && late_room(ch))
		return channel_short(ch, p);
	err = ring_write(&ch->out, p);
	if (err == -EAGAIN)
		err = channel_full(ch, p);
	if (err == -EAGAIN)
		return err;
	if (err) {
		log_guest(&ch->lost_packet, "vmbus: channel %u (%s): a packet is lost: %s",
			  ch->relid, ch->device->ops->name,
			  err == -EPIPE ? "the ring is broken" : "the ring is too small");
		return 0;
	}
	count(&ch->count.packets_out, 1);
	count(&ch->count.bytes_out, packet_size(p));
	if (ch->late)
		late_commit(ch);
	loop_flush_later(ch->loop, &ch->flush);
	return 0;
}

int channel_send(struct vmbus_channel *ch, u16 type, bool completion_wanted, u64 transaction_id,
		 const struct iovec *payload, unsigned count)
{
	struct ring_packet p = {
		.type = type,
		.flags = completion_wanted ? RING_PACKET_COMPLETION_REQUESTED : 0,
		.transaction_id = transaction_id,
		.payload = payload,
		.payload_count = count,
	};

	return channel_write(ch, &p);
}

int channel_complete(struct vmbus_channel *ch, u64 transaction_id, const void *payload, u32 size)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)payload, .iov_len = size };

	return channel_send(ch, VMBUS_PACKET_COMPLETION, false, transaction_id, &iov, 1);
}

int channel_send_xfer(struct vmbus_channel *ch, u16 pageset_id, u64 transaction_id,
		      const struct vmbus_xfer_range *range, unsigned count, const void *payload,
		      u32 size)
{
	struct {
		struct ring_xfer_pages head;
		struct vmbus_xfer_range range[VMBUS_XFER_RANGES_MAX];
	} head; /* as far as it is used */
	struct iovec iov = { .iov_base = (void *)(uintptr_t)payload, .iov_len = size };
	struct ring_packet p = {
		.type = VMBUS_PACKET_TRANSFER_PAGES,
		.flags = RING_PACKET_COMPLETION_REQUESTED,
		.transaction_id = transaction_id,
		.head = &head,
		.head_size = (u32)(sizeof(head.head) + count * sizeof(*range)),
		.payload = &iov,
		.payload_count = 1,
	};

	assert(count <= VMBUS_XFER_RANGES_MAX);
	head.head = (struct ring_xfer_pages){ .xfer_pageset_id = pageset_id, .range_cnt = count };
	memcpy(head.range, range, count * sizeof(*range));
	return channel_write(ch, &p);
}

/* ---- What a device may ask ------------------------------------------------------------------- */

struct loop *channel_loop(const struct vmbus_channel *ch)
{
	return ch->loop;
}

const struct gmem *channel_mem(const struct vmbus_channel *ch)
{
	return ch->bus->mem;
}

struct vmbus_device *channel_device(const struct vmbus_channel *ch)
{
	return ch->device;
}

void *channel_data(const struct vmbus_channel *ch)
{
	return ch->data;
}

void channel_set_data(struct vmbus_channel *ch, void *data)
{
	ch->data = data;
}

u16 channel_sub_index(const struct vmbus_channel *ch)
{
	return ch->sub_index;
}

u32 channel_target_vp(const struct vmbus_channel *ch)
{
	return ch->target_vp;
}
