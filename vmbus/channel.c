/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A channel's states, on the control loop. Messages only note what is wanted; channel_step() does
 * the next thing where none is under way, so that a channel has one order at its I/O loop at most:
 *
 *	CLOSED --OPEN_CHANNEL--> OPENING --reply--> OPEN --close wanted--> CLOSING --reply--> CLOSED
 *	                            `--reply: refused--> CLOSED
 *
 * From OPENING to the reply that closes it the channel pins the GPADL its rings lie in, and rings
 * belong to the I/O loop. Left out: moving an open channel to another I/O loop when its target VP
 * changes; the interrupt moves, the work stays where it is.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmbus/server.h"

static void channel_step(struct vmbus_channel *ch);

static void channel_set_state(struct vmbus_channel *ch, enum channel_state state)
{
	static const char *const name[] = { "closed", "opening", "open", "closing" };

	vmbus_trace("channel_state", "relid %u %s -> %s", ch->relid, name[ch->state], name[state]);
	if (state == CHANNEL_OPEN)
		atomic_fetch_add(&ch->bus->status_open, 1);
	if (ch->state == CHANNEL_OPEN)
		atomic_fetch_sub(&ch->bus->status_open, 1);
	ch->state = state;
}

bool channel_idle(const struct vmbus_channel *ch)
{
	return ch->state == CHANNEL_CLOSED && ch->order == ORDER_NONE;
}

static void channel_order(struct vmbus_channel *ch, enum channel_order order)
{
	ch->order = order;
	loop_post(ch->loop, &ch->ordered);
}

/* ---- Open ------------------------------------------------------------------------------------ */

static void open_result(struct vmbus *bus, u32 relid, u32 open_id, u32 status)
{
	struct vmbus_msg_open_result result = {
		.header.msgtype = VMBUS_MSG_OPEN_CHANNEL_RESULT,
		.child_relid = relid,
		.openid = open_id,
		.status = status,
	};

	if (status)
		log_guest(&bus->bad_channel, "vmbus: channel %u does not open: %#x", relid, status);
	vmbus_post(bus, &result, sizeof(result));
}

void channel_release(struct vmbus_channel *ch)
{
	if (ch->event_fd >= 0) {
		ch->bus->port->unbind_event(ch->bus->port, VMBUS_EVENT_CONNECTION_ID(ch->relid),
					    ch->event_fd);
		close(ch->event_fd);
	}
	ch->event_fd = -1;
	if (ch->gpadl)
		gpadl_unpin(ch->bus, ch->gpadl);
	ch->gpadl = NULL;
	ch->in = ch->out = (struct ring){ .broken = true };
	ch->loop = NULL;
}

/* The two rings: the guest's first, ours from page `offset` of the GPADL on. */
static int rings_map(struct vmbus_channel *ch, u32 gpadl, u32 offset)
{
	u8 *const *page;
	u32 count;
	int err;

	ch->gpadl = gpadl_pin(ch->bus, ch->relid, gpadl);
	if (!ch->gpadl)
		return -ENOENT;
	page = gpadl_pages(ch->gpadl, &count);
	if (!page || offset >= count)
		return -EINVAL;
	err = ring_init_reader(&ch->in, page, offset);
	return err ? err : ring_init_writer(&ch->out, page + offset, count - offset);
}

/* Signals are bound before the guest can know the channel is open: none is lost. */
static int signals_bind(struct vmbus_channel *ch)
{
	struct vmbus_port *port = ch->bus->port;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), err;

	if (fd < 0)
		return -errno;
	err = port->bind_event(port, VMBUS_EVENT_CONNECTION_ID(ch->relid), fd);
	if (err) {
		close(fd);
		return err;
	}
	ch->event_fd = fd;
	return 0;
}

static void channel_begin_open(struct vmbus_channel *ch, const struct vmbus_msg_open_channel *msg)
{
	struct vmbus *bus = ch->bus;
	u32 vp = msg->target_vp == VMBUS_VP_NONE ? 0 : msg->target_vp;
	int err;

	ch->open_id = msg->openid;
	err = vp < bus->port->vp_count ? rings_map(ch, msg->ringbuffer_gpadlhandle,
						   msg->downstream_ringbuffer_pageoffset)
				       : -EINVAL;
	if (!err)
		err = signals_bind(ch);
	if (err) {
		channel_release(ch);
		open_result(bus, ch->relid, ch->open_id,
			    err == -EINVAL || err == -ENOENT ? VMBUS_STATUS_INVALID_PARAMETER
							     : VMBUS_STATUS_UNSUCCESSFUL);
		return;
	}
	ch->loop = bus->io[vp % bus->io_count];
	ch->sint = bus->msg_sint;
	ch->order_target = msg->target_vp;
	channel_set_state(ch, CHANNEL_OPENING);
	channel_order(ch, ORDER_OPEN);
}

void channel_open(struct vmbus *bus, const void *bytes, u32 len)
{
	struct vmbus_msg_open_channel msg;
	struct vmbus_channel *ch;

	(void)len;
	memcpy(&msg, bytes, sizeof(msg));
	vmbus_trace("open_channel", "relid %u gpadl %#x vp %u", msg.child_relid,
		    msg.ringbuffer_gpadlhandle, msg.target_vp);
	ch = offer_find(bus, msg.child_relid);
	if (!ch || ch->rescinded || ch->state == CHANNEL_OPENING || ch->state == CHANNEL_OPEN) {
		open_result(bus, msg.child_relid, msg.openid, VMBUS_STATUS_UNSUCCESSFUL);
		return;
	}
	ch->reopen = msg;
	ch->reopen_wanted = true;
	channel_step(ch);
}

static void channel_opened(struct vmbus_channel *ch)
{
	if (ch->result) {
		channel_set_state(ch, CHANNEL_CLOSED);
		channel_release(ch);
	} else {
		channel_set_state(ch, CHANNEL_OPEN);
	}
	open_result(ch->bus, ch->relid, ch->open_id,
		    ch->result ? VMBUS_STATUS_UNSUCCESSFUL : VMBUS_STATUS_SUCCESS);
}

/* ---- Close ----------------------------------------------------------------------------------- */

void channel_close(struct vmbus *bus, const void *bytes, u32 len)
{
	struct vmbus_msg_relid msg;
	struct vmbus_channel *ch;

	(void)len;
	memcpy(&msg, bytes, sizeof(msg));
	vmbus_trace("close_channel", "relid %u", msg.child_relid);
	ch = offer_find(bus, msg.child_relid);
	if (ch && ch->rescinded)
		return; /* the host closes it already */
	if (!ch || ch->state != CHANNEL_OPEN) {
		log_guest(&bus->bad_channel, "vmbus: channel %u closed, which is not open",
			  msg.child_relid);
		return;
	}
	channel_shut(ch);
}

void channel_shut(struct vmbus_channel *ch)
{
	ch->reopen_wanted = false;
	ch->modify_wanted = false;
	if (ch->state == CHANNEL_CLOSED || ch->state == CHANNEL_CLOSING)
		return;
	ch->close_wanted = true;
	channel_step(ch);
}

/* ---- Modify ---------------------------------------------------------------------------------- */

static void modify_response(struct vmbus *bus, u32 relid, u32 status)
{
	struct vmbus_msg_modify_response response = {
		.header.msgtype = VMBUS_MSG_MODIFY_CHANNEL_RESPONSE,
		.child_relid = relid,
		.status = status,
	};

	if (status)
		log_guest(&bus->bad_channel, "vmbus: channel %u is not modified", relid);
	if (bus->version >= VMBUS_VERSION_WIN10_V5_3)
		vmbus_post(bus, &response, sizeof(response));
}

void channel_modify(struct vmbus *bus, const void *bytes, u32 len)
{
	struct vmbus_msg_modify_channel msg;
	struct vmbus_channel *ch;

	(void)len;
	memcpy(&msg, bytes, sizeof(msg));
	vmbus_trace("modify_channel", "relid %u vp %u", msg.child_relid, msg.target_vp);
	ch = offer_find(bus, msg.child_relid);
	if (!ch || ch->state != CHANNEL_OPEN || ch->close_wanted ||
	    msg.target_vp >= bus->port->vp_count) {
		modify_response(bus, msg.child_relid, VMBUS_STATUS_UNSUCCESSFUL);
		return;
	}
	/* Asked again before it was done: the last word counts, and is answered once. */
	ch->modify_wanted = true;
	ch->target_wanted = msg.target_vp;
	channel_step(ch);
}

/* ---- Orders and replies ---------------------------------------------------------------------- */

static void channel_step(struct vmbus_channel *ch)
{
	if (ch->order != ORDER_NONE)
		return;
	if (ch->state == CHANNEL_OPEN && ch->close_wanted) {
		ch->close_wanted = false;
		channel_set_state(ch, CHANNEL_CLOSING);
		channel_order(ch, ORDER_CLOSE);
	} else if (ch->state == CHANNEL_OPEN && ch->modify_wanted) {
		ch->modify_wanted = false;
		ch->order_target = ch->target_wanted;
		channel_order(ch, ORDER_MODIFY);
	} else if (ch->state == CHANNEL_CLOSED && ch->reopen_wanted) {
		ch->reopen_wanted = false;
		channel_begin_open(ch, &ch->reopen);
	}
}

static void channel_replied(struct loop_work *w)
{
	struct vmbus_channel *ch = container_of(w, struct vmbus_channel, reply);
	struct vmbus *bus = ch->bus;
	enum channel_order order = ch->order;

	ch->order = ORDER_NONE;
	if (order == ORDER_OPEN) {
		channel_opened(ch);
	} else if (order == ORDER_CLOSE) {
		channel_set_state(ch, CHANNEL_CLOSED);
		channel_release(ch);
	} else if (order == ORDER_MODIFY) {
		modify_response(bus, ch->relid, VMBUS_STATUS_SUCCESS);
	}
	if (ch->state == CHANNEL_CLOSED)
		ch->close_wanted = false;
	channel_step(ch);
	if (ch->rescinded && !ch->offered && channel_idle(ch))
		offer_free(ch);
	connection_reset_step(bus);
}

void channel_init(struct vmbus_channel *ch)
{
	ch->event_fd = -1;
	ch->reply.run = channel_replied;
	ch->in = ch->out = (struct ring){ .broken = true };
}
