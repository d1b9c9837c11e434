/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A channel's states, on the control loop. Messages only note what is wanted; channel_step() does
 * the next thing where none is under way, so that a channel has one order at its I/O loop at most:
 *
 *	CLOSED --OPEN_CHANNEL--> OPENING --reply--> OPEN --close wanted--> CLOSING --reply--> CLOSED
 *	                            `--reply: refused--> CLOSED
 *
 * From OPENING to the reply that closes it the channel pins the GPADL its rings lie in, and rings
 * belong to the I/O loop. An OPEN channel whose interrupt goes to a VP of another I/O loop leaves
 * the one (ORDER_DETACH) and comes to the other (ORDER_ATTACH); the guest is answered after that.
 * Before the answer the last interrupt to the old VP has been sent.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmbus/save.h"
#include "vmbus/server.h"

static void channel_set_state(struct vmbus_channel *ch, enum channel_state state)
{
	static const char *const name[] = { "closed", "opening", "open", "closing" };

	trace_vmbus_channel_state(ch->relid, name[ch->state], name[state]);
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

static struct loop *loop_of_vp(const struct vmbus *bus, u32 vp)
{
	return bus->io[vp == VMBUS_VP_NONE ? 0 : vp % bus->io_count];
}

/* ---- Open ------------------------------------------------------------------------------------ */

static void open_result(struct vmbus *bus, u32 relid, const struct channel_request *req, u32 status)
{
	struct vmbus_msg_open_result result = {
		.header.msgtype = VMBUS_MSG_OPEN_CHANNEL_RESULT,
		.child_relid = relid,
		.openid = req->open_id,
		.status = status,
	};

	if (status)
		log_guest(&bus->bad_channel, "vmbus: channel %u does not open: %#x", relid, status);
	trace_vmbus_channel_open(relid, status);
	if (req->reserved)
		vmbus_post_to(bus, req->message_vp, req->message_sint, &result, sizeof(result));
	else
		vmbus_post(bus, &result, sizeof(result));
}

void channel_release(struct vmbus_channel *ch)
{
	if (ch->event_fd >= 0) {
		ch->bus->port->unbind_event(ch->bus->port, ch->request.connection_id, ch->event_fd);
		close(ch->event_fd);
	}
	ch->event_fd = -1;
	if (ch->gpadl)
		gpadl_unpin(ch->bus, ch->gpadl);
	ch->gpadl = NULL;
	ch->in = ch->out = (struct ring){ .broken = true };
	ch->loop = NULL;
	ch->monitor = ch->interrupt_page = NULL;
	ch->reserved = false;
}

/* A ring whose header lies in its own, or the other's, data is none. */
static bool headers_alone(u8 *const *page, u32 count, u32 offset)
{
	for (u32 i = 0; i < count; i++)
		if ((i && page[i] == page[0]) || (i != offset && page[i] == page[offset]))
			return false;
	return true;
}

/* The pages of the two rings, pinned: the guest's first, ours from page ring_offset on. */
static int rings_pin(struct vmbus_channel *ch, u8 *const **page, u32 *count)
{
	u32 offset = ch->request.ring_offset;

	ch->gpadl = gpadl_pin(ch->bus, ch->relid, ch->request.gpadl);
	if (!ch->gpadl)
		return -ENOENT;
	*page = gpadl_pages(ch->gpadl, count);
	return *page && offset < *count && headers_alone(*page, *count, offset) ? 0 : -EINVAL;
}

static int rings_map(struct vmbus_channel *ch)
{
	u32 offset = ch->request.ring_offset, count;
	u8 *const *page;
	int err = rings_pin(ch, &page, &count);

	if (!err)
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
	err = port->bind_event(port, ch->request.connection_id, fd);
	if (err) {
		close(fd);
		return err;
	}
	ch->event_fd = fd;
	return 0;
}

/* Is what the guest names there? */
static int request_check(const struct vmbus_channel *ch)
{
	const struct channel_request *req = &ch->request;

	if (req->target_vp != VMBUS_VP_NONE && req->target_vp >= ch->bus->port->vp_count)
		return -EINVAL;
	return req->event_flag < VMBUS_EVENT_FLAGS ? 0 : -EINVAL;
}

static void channel_begin_open(struct vmbus_channel *ch, const struct channel_request *req)
{
	struct vmbus *bus = ch->bus;
	int err;

	ch->request = *req;
	err = request_check(ch);
	if (!err)
		err = rings_map(ch);
	if (!err)
		err = signals_bind(ch);
	if (err) {
		channel_release(ch);
		open_result(bus, ch->relid, req,
			    err == -EINVAL || err == -ENOENT ? VMBUS_STATUS_INVALID_PARAMETER
							     : VMBUS_STATUS_UNSUCCESSFUL);
		return;
	}
	ch->reserved = req->reserved;
	ch->target = ch->order_target = req->target_vp;
	ch->event_flag = req->event_flag;
	ch->sint = bus->msg_sint;
	ch->interrupt_page = bus->interrupt_page;
	ch->monitor = monitor_word(ch);
	ch->loop = loop_of_vp(bus, req->target_vp);
	atomic_store(&ch->subs_asked, 0);
	channel_set_state(ch, CHANNEL_OPENING);
	channel_order(ch, ORDER_OPEN);
}

static void channel_open_later(struct vmbus_channel *ch, const struct channel_request *req)
{
	ch->reopen = *req;
	ch->reopen_wanted = true;
	channel_step(ch);
}

/* The fields of the message that the connection has. */
static struct channel_request request_parse(const struct vmbus *bus, const void *bytes, u32 len)
{
	struct vmbus_msg_open_channel msg;
	struct vmbus_open_signals signals;
	struct channel_request req;

	memcpy(&msg, bytes, sizeof(msg));
	req = (struct channel_request){
		.open_id = msg.openid,
		.gpadl = msg.ringbuffer_gpadlhandle,
		.ring_offset = msg.downstream_ringbuffer_pageoffset,
		.target_vp = bus->version >= VMBUS_VERSION_WIN8 ? msg.target_vp : 0,
		.connection_id = VMBUS_EVENT_CONNECTION_ID(msg.child_relid),
		.event_flag = msg.child_relid,
	};
	/* The table has looked at the version's least size; this much more comes with a feature. */
	if (bus->features & VMBUS_FEATURE_GUEST_SIGNALS && len >= sizeof(msg) + sizeof(signals)) {
		memcpy(&signals, (const u8 *)bytes + sizeof(msg), sizeof(signals));
		req.connection_id = signals.connection_id;
		req.event_flag = signals.event_flag;
	}
	return req;
}

void channel_open(struct vmbus *bus, const void *bytes, u32 len)
{
	const u32 with_signals =
		sizeof(struct vmbus_msg_open_channel) + sizeof(struct vmbus_open_signals);
	struct channel_request req = request_parse(bus, bytes, len);
	struct vmbus_msg_open_channel msg;
	struct vmbus_channel *ch;
	bool refuse;

	memcpy(&msg, bytes, sizeof(msg));
	trace_vmbus_open_channel(msg.child_relid, msg.ringbuffer_gpadlhandle, msg.target_vp);
	if (bus->features & (VMBUS_FEATURE_GUEST_SIGNALS | VMBUS_FEATURE_INTERRUPT_REDIRECTION) &&
	    len < with_signals) {
		message_out_of_place(bus, "open_channel without its signals", msg.child_relid);
		return;
	}
	ch = channel_event(bus, msg.child_relid, EVENT_OPEN, &refuse);
	/* Opened again before it has closed: once, and only what was OPEN can be so. */
	if (ch && ch->reopen_wanted)
		refuse = true;
	if (refuse)
		open_result(bus, msg.child_relid, &req, VMBUS_STATUS_UNSUCCESSFUL);
	else if (ch)
		channel_open_later(ch, &req);
}

void channel_open_reserved(struct vmbus *bus, const void *bytes, u32 len)
{
	struct vmbus_msg_open_reserved msg;
	struct channel_request req;
	struct vmbus_channel *ch;
	bool refuse;

	(void)len;
	memcpy(&msg, bytes, sizeof(msg));
	trace_vmbus_open_reserved_channel(msg.child_relid, msg.ringbuffer_gpadlhandle);
	req = (struct channel_request){
		.gpadl = msg.ringbuffer_gpadlhandle,
		.ring_offset = msg.downstream_ringbuffer_pageoffset,
		.target_vp = VMBUS_VP_NONE,
		.connection_id = VMBUS_EVENT_CONNECTION_ID(msg.child_relid),
		.event_flag = msg.child_relid,
		.reserved = true,
		.message_vp = msg.target_vp,
		.message_sint = msg.target_sint,
	};
	ch = channel_event(bus, msg.child_relid, EVENT_OPEN_RESERVED, &refuse);
	if (ch)
		channel_open_later(ch, &req);
}

static void channel_opened(struct vmbus_channel *ch)
{
	struct channel_request req = ch->request;

	if (ch->result) {
		channel_set_state(ch, CHANNEL_CLOSED);
		channel_release(ch);
	} else {
		channel_set_state(ch, CHANNEL_OPEN);
	}
	open_result(ch->bus, ch->relid, &req,
		    ch->result ? VMBUS_STATUS_UNSUCCESSFUL : VMBUS_STATUS_SUCCESS);
	subchannel_offer(ch);
}

/* ---- Close ----------------------------------------------------------------------------------- */

void channel_close(struct vmbus *bus, const void *bytes, u32 len)
{
	struct vmbus_msg_relid msg;
	struct vmbus_channel *ch;
	bool refuse;

	(void)len;
	memcpy(&msg, bytes, sizeof(msg));
	trace_vmbus_close_channel(msg.child_relid);
	ch = channel_event(bus, msg.child_relid, EVENT_CLOSE, &refuse);
	if (ch)
		channel_shut(ch);
}

/* May come without a connection: the one it was opened in has ended. */
void channel_close_reserved(struct vmbus *bus, const void *bytes, u32 len)
{
	struct vmbus_msg_close_reserved msg;
	struct vmbus_channel *ch;
	bool refuse;

	(void)len;
	memcpy(&msg, bytes, sizeof(msg));
	trace_vmbus_close_reserved_channel(msg.child_relid);
	ch = channel_event(bus, msg.child_relid, EVENT_CLOSE_RESERVED, &refuse);
	if (!ch)
		return;
	ch->request.message_vp = msg.target_vp;
	ch->request.message_sint = msg.target_sint;
	channel_shut(ch);
}

void channel_shut(struct vmbus_channel *ch)
{
	ch->reopen_wanted = false;
	ch->modify_wanted = false;
	if (ch == ch->device->primary)
		subchannel_retract_all(ch);
	if (ch->state == CHANNEL_CLOSED || ch->state == CHANNEL_CLOSING)
		return;
	ch->close_wanted = true;
	channel_step(ch);
}

static void channel_has_closed(struct vmbus_channel *ch)
{
	struct vmbus_msg_relid response = { .header.msgtype = VMBUS_MSG_CLOSE_RESERVED_RESPONSE,
					    .child_relid = ch->relid };
	struct channel_request req = ch->request;

	channel_set_state(ch, CHANNEL_CLOSED);
	channel_release(ch);
	if (!req.reserved || ch->rescinded)
		return;
	vmbus_post_to(ch->bus, req.message_vp, req.message_sint, &response, sizeof(response));
	/* It belonged to no connection, and where there is none nobody has the offer. */
	if (ch->bus->state != CONNECTION_UP) {
		ch->offered = false;
		gpadl_drop(ch->bus, ch->relid);
	}
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
	trace_vmbus_channel_modified(relid, status);
	if (bus->version >= VMBUS_VERSION_WIN10_V5_3)
		vmbus_post(bus, &response, sizeof(response));
}

static bool modifying(const struct vmbus_channel *ch)
{
	return ch->modify_wanted || ch->order == ORDER_MODIFY || ch->order == ORDER_DETACH ||
	       ch->order == ORDER_ATTACH;
}

void channel_modify(struct vmbus *bus, const void *bytes, u32 len)
{
	struct vmbus_msg_modify_channel msg;
	struct vmbus_channel *ch;
	bool refuse;

	(void)len;
	memcpy(&msg, bytes, sizeof(msg));
	trace_vmbus_modify_channel(msg.child_relid, msg.target_vp);
	ch = channel_event(bus, msg.child_relid, EVENT_MODIFY, &refuse);
	/* Interrupts can be moved, neither turned off nor on. */
	if (ch && (msg.target_vp >= bus->port->vp_count || ch->target == VMBUS_VP_NONE))
		refuse = true;
	if (refuse) {
		modify_response(bus, msg.child_relid, VMBUS_STATUS_UNSUCCESSFUL);
		return;
	}
	if (!ch)
		return;
	/* Guests that are answered wait for it; of others the last word counts. */
	if (bus->version >= VMBUS_VERSION_WIN10_V5_3 && modifying(ch)) {
		message_out_of_place(bus, "modify during a modify", ch->relid);
		return;
	}
	ch->modify_wanted = true;
	ch->target_wanted = msg.target_vp;
	channel_step(ch);
}

static void channel_begin_modify(struct vmbus_channel *ch)
{
	bool moves = loop_of_vp(ch->bus, ch->target_wanted) != ch->loop && ch->device->ops->detach;

	ch->modify_wanted = false;
	ch->order_target = ch->target_wanted;
	channel_order(ch, moves ? ORDER_DETACH : ORDER_MODIFY);
}

static void channel_modified(struct vmbus_channel *ch)
{
	ch->target = ch->order_target;
	modify_response(ch->bus, ch->relid, VMBUS_STATUS_SUCCESS);
	if (!ch->result)
		return;
	log_error("channel %u (%s) cannot move to another I/O thread: %s", ch->relid,
		  ch->device->ops->name, strerror(-ch->result));
	vmbus_rescind(ch->device);
}

/* ---- Orders and replies ---------------------------------------------------------------------- */

void channel_step(struct vmbus_channel *ch)
{
	if (ch->order != ORDER_NONE)
		return;
	if (ch->state == CHANNEL_OPEN && ch->close_wanted) {
		/* Of a device's channels the primary one opens first and closes last. */
		if (ch == ch->device->primary && !subchannel_all_idle(ch))
			return;
		ch->close_wanted = false;
		channel_set_state(ch, CHANNEL_CLOSING);
		channel_order(ch, ORDER_CLOSE);
	} else if (ch->state == CHANNEL_OPEN && ch->modify_wanted) {
		channel_begin_modify(ch);
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
	if (order == ORDER_DETACH) {
		ch->loop = loop_of_vp(bus, ch->order_target);
		channel_order(ch, ORDER_ATTACH);
		return;
	}
	if (order == ORDER_FREEZE)
		freeze_replied(ch);
	else if (order == ORDER_OPEN)
		channel_opened(ch);
	else if (order == ORDER_CLOSE)
		channel_has_closed(ch);
	else if (order != ORDER_THAW)
		channel_modified(ch);
	if (ch->state == CHANNEL_CLOSED)
		ch->close_wanted = false;
	channel_step(ch);
	if (ch != ch->device->primary && channel_idle(ch))
		channel_step(ch->device->primary);
	offer_settle(ch);
	connection_reset_step(bus);
	freeze_step(bus);
}

/* ---- Saving and restoring -------------------------------------------------------------------- */

void channel_save(struct vmbus_channel *ch, struct stream_out *out)
{
	const struct channel_request *req = &ch->request;
	const u32 words[] = { ch->relid,        req->open_id,    req->gpadl,
			      req->ring_offset, req->target_vp,  req->connection_id,
			      req->event_flag,  req->message_vp, req->message_sint,
			      ch->target,       ch->sint };
	size_t mark;

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		stream_put_u32(out, words[i]);
	stream_put_u8(out, ch->interrupt_page != NULL);
	stream_put_u8(out, ch->monitor != NULL);
	stream_put_u32(out, ch->in.index);
	stream_put_u8(out, ch->in.broken);
	stream_put_u32(out, ch->out.index);
	stream_put_u8(out, ch->out.broken);
	stream_put_u8(out, ch->out.waiting);
	mark = stream_begin(out, VMBUS_SECTION_DEVICE);
	ch->device->ops->save(ch, out);
	stream_end(out, mark);
}

/* What channel_save() wrote behind the relid, up to the rings. */
static int request_restore(struct vmbus_channel *ch, struct stream_in *in)
{
	struct vmbus *bus = ch->bus;
	bool flagged, monitored;

	ch->request = (struct channel_request){ .reserved = ch->reserved };
	ch->request.open_id = stream_get_u32(in);
	ch->request.gpadl = stream_get_u32(in);
	ch->request.ring_offset = stream_get_u32(in);
	ch->request.target_vp = stream_get_u32(in);
	ch->request.connection_id = stream_get_u32(in);
	ch->request.event_flag = ch->event_flag = stream_get_u32(in);
	ch->request.message_vp = stream_get_u32(in);
	ch->request.message_sint = stream_get_u32(in);
	ch->target = ch->order_target = stream_get_u32(in);
	ch->sint = stream_get_u32(in);
	flagged = stream_get_bool(in);
	monitored = stream_get_bool(in);
	if (in->bad || request_check(ch) || ch->sint < 1 || ch->sint > 15)
		return -EINVAL;
	if (ch->target != VMBUS_VP_NONE && ch->target >= bus->port->vp_count)
		return -EINVAL;
	if ((ch->target == VMBUS_VP_NONE) != (ch->request.target_vp == VMBUS_VP_NONE))
		return -EINVAL;
	ch->interrupt_page = flagged ? bus->interrupt_page : NULL;
	ch->monitor = monitored ? monitor_word(ch) : NULL;
	if (flagged != (ch->interrupt_page != NULL) || monitored != (ch->monitor != NULL) ||
	    (flagged && ch->relid >= VMBUS_INTERRUPT_PAGE_RELIDS))
		return -EINVAL;
	return 0;
}

static int rings_restore(struct vmbus_channel *ch, struct stream_in *in)
{
	u32 offset = ch->request.ring_offset, count;
	u32 in_index = stream_get_u32(in);
	bool in_broken = stream_get_bool(in);
	u32 out_index = stream_get_u32(in);
	bool out_broken = stream_get_bool(in), waiting = stream_get_bool(in);
	u8 *const *page;

	if (in->bad || rings_pin(ch, &page, &count) ||
	    ring_restore_reader(&ch->in, page, offset, in_index) ||
	    ring_restore_writer(&ch->out, page + offset, count - offset, out_index, waiting))
		return -EINVAL;
	ch->in.broken = in_broken;
	ch->out.broken = out_broken;
	return 0;
}

int channel_restore(struct vmbus_channel *ch, struct stream_in *in)
{
	struct stream_in state;
	int err = request_restore(ch, in);

	if (!err)
		err = rings_restore(ch, in);
	state = stream_get_section(in, VMBUS_SECTION_DEVICE);
	if (!err && state.bad)
		err = -EINVAL;
	if (!err)
		err = signals_bind(ch);
	if (!err) {
		ch->loop = loop_of_vp(ch->bus, ch->target);
		err = channel_io_restore(ch, &state);
	}
	if (err) {
		channel_release(ch);
		return err;
	}
	channel_set_state(ch, CHANNEL_OPEN);
	return 0;
}

static void channel_subs(struct loop_work *w)
{
	subchannel_offer(container_of(w, struct vmbus_channel, subs));
}

void channel_init(struct vmbus_channel *ch)
{
	ch->event_fd = -1;
	ch->reply.run = channel_replied;
	ch->subs.run = channel_subs;
	ch->in = ch->out = (struct ring){ .broken = true };
}
