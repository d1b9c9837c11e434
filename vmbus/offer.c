/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Offers: which channels the guest is told of, under which relid (1..VMBUS_CHANNELS_MAX, also the
 * event flag). Control loop.
 *
 * A channel is wanted by the host or not, and offered (known to the guest) or not; the one follows
 * the other by messages: an offer, or a rescind and the guest's RELID_RELEASED, or the end of the
 * connection. A relid stays its channel's until the device is freed: the guest may still send
 * messages that name it, and finds the same number in its next connection.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmbus/server.h"

struct vmbus_channel *offer_find(const struct vmbus *bus, u32 relid)
{
	struct vmbus_channel *ch;

	if (!relid || relid > VMBUS_CHANNELS_MAX)
		return NULL;
	ch = bus->channel[relid - 1];
	return ch && ch->offered ? ch : NULL;
}

/* ---- The message ----------------------------------------------------------------------------- */

/* Pipe offers start their user-defined bytes with the pipe's type; a socket's bring it along. */
static void offer_user_def(struct vmbus_msg_offer_channel *msg, const struct vmbus_device *dev)
{
	static const u32 pipe_type = VMBUS_PIPE_TYPE_MESSAGE;
	size_t skip = dev->ops->pipe ? sizeof(pipe_type) : 0;

	memcpy(msg->user_def, &pipe_type, skip);
	memcpy(msg->user_def + skip, dev->user_defined, VMBUS_USER_DEFINED_MAX - skip);
}

static u16 offer_flags(const struct vmbus_device_ops *ops)
{
	u16 flags = VMBUS_OFFER_ENUMERATE_DEVICE_INTERFACE;

	if (ops->pipe || ops->hvsock)
		flags |= VMBUS_OFFER_NAMED_PIPE_MODE;
	if (ops->hvsock)
		flags |= VMBUS_OFFER_TLNPI_PROVIDER;
	return flags;
}

static void offer_send(struct vmbus_channel *ch)
{
	const struct vmbus_device *dev = ch->device;
	const struct vmbus *bus = ch->bus;
	bool monitored = bus->monitor_page && ch->monitor_id != VMBUS_MONITOR_NONE;
	struct vmbus_msg_offer_channel msg = {
		.header.msgtype = VMBUS_MSG_OFFER_CHANNEL,
		.chn_flags = offer_flags(dev->ops),
		.mmio_megabytes = dev->mmio_megabytes,
		.mmio_megabytes_optional = dev->mmio_megabytes_optional,
		.sub_channel_index = ch->sub_index,
		.child_relid = ch->relid,
		.monitorid = monitored ? ch->monitor_id : VMBUS_MONITOR_NONE,
		.monitor_allocated = monitored,
		.is_dedicated_interrupt = 1,
		.connection_id = VMBUS_EVENT_CONNECTION_ID(ch->relid),
	};

	memcpy(msg.if_type, &dev->ops->type, sizeof(msg.if_type));
	memcpy(msg.if_instance, &dev->instance, sizeof(msg.if_instance));
	offer_user_def(&msg, dev);
	ch->offered = true;
	monitor_describe(ch);
	trace_vmbus_send_offer(ch->relid, dev->ops->name, ch->sub_index);
	vmbus_post(ch->bus, &msg,
		   bus->version < VMBUS_VERSION_WIN7 ? VMBUS_OFFER_SIZE_OLD : sizeof(msg));
}

void offer_rescind(struct vmbus_channel *ch)
{
	struct vmbus_msg_relid msg = { .header.msgtype = VMBUS_MSG_RESCIND_CHANNEL_OFFER,
				       .child_relid = ch->relid };

	trace_vmbus_rescind_offer(ch->relid);
	vmbus_post(ch->bus, &msg, sizeof(msg));
}

/* ---- Wanted and offered ---------------------------------------------------------------------- */

/* The guest still knows the channel by another relid: two at once would confuse it. */
static bool offer_has_twin(const struct vmbus_channel *ch)
{
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		const struct vmbus_channel *other = ch->bus->channel[i];

		if (other && other != ch && other->offered && other->sub_index == ch->sub_index &&
		    guid_equal(&other->device->instance, &ch->device->instance))
			return true;
	}
	return false;
}

/* Can guests of this version make use of it? */
static bool offer_suits(const struct vmbus_channel *ch)
{
	u32 version = ch->bus->version;

	if (version < VMBUS_VERSION_WIN8 && ch->relid >= VMBUS_INTERRUPT_PAGE_RELIDS)
		return false;
	return version >= VMBUS_VERSION_WIN10 || !ch->device->ops->hvsock;
}

void offer_try(struct vmbus_channel *ch)
{
	if (ch->bus->state != CONNECTION_UP || !ch->bus->offers_sent || !ch->wanted ||
	    ch->offered || ch->released || !channel_idle(ch))
		return;
	if (offer_suits(ch) && !offer_has_twin(ch))
		offer_send(ch);
}

void offer_try_all(struct vmbus *bus)
{
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++)
		if (bus->channel[i])
			offer_try(bus->channel[i]);
}

void offer_retract(struct vmbus_channel *ch)
{
	ch->wanted = false;
	if (ch->offered && !ch->rescinded && ch->bus->state == CONNECTION_UP) {
		ch->rescinded = true;
		if (!ch->late || !late_rescind(ch))
			offer_rescind(ch);
	}
	channel_shut(ch);
}

/* A device is freed when nobody, host or guest, has anything to do with any of its channels. */
static bool device_forgotten(const struct vmbus_device *dev)
{
	for (u32 i = 0; i <= dev->sub_channels_max; i++) {
		const struct vmbus_channel *ch = subchannel_at(dev, i);

		if (ch->wanted || ch->offered || !channel_idle(ch))
			return false;
	}
	return true;
}

void offer_settle(struct vmbus_channel *ch)
{
	struct vmbus_device *dev = ch->device;
	struct vmbus *bus = ch->bus;

	if (ch->offered || !channel_idle(ch))
		return;
	if (device_forgotten(dev)) {
		offer_free(dev);
		/* Where another thread has asked for something, plug_run() has the last word. */
		if (dev->gone && !atomic_load(&dev->plug_asked))
			dev->gone(dev);
	}
	/* It may have stood in the way of its twin. */
	offer_try_all(bus);
}

void offer_request(struct vmbus *bus, const void *msg, u32 len)
{
	struct vmbus_msg_header delivered = { .msgtype = VMBUS_MSG_ALL_OFFERS_DELIVERED };

	(void)msg;
	(void)len;
	trace_vmbus_request_offers();
	/* Asked twice, a guest would take every device for a second one. */
	if (bus->offers_sent) {
		message_out_of_place(bus, "offers requested again", 0);
		return;
	}
	bus->offers_sent = true;
	offer_try_all(bus);
	trace_vmbus_terminate_offers();
	vmbus_post(bus, &delivered, sizeof(delivered));
}

/* The guest has forgotten relid; where the host did not take it away it can come back later. */
void offer_relid_released(struct vmbus *bus, const void *bytes, u32 len)
{
	struct vmbus_msg_relid msg;
	struct vmbus_channel *ch;
	bool refuse;

	(void)len;
	memcpy(&msg, bytes, sizeof(msg));
	trace_vmbus_relid_released(msg.child_relid);
	ch = channel_event(bus, msg.child_relid, EVENT_RELEASED, &refuse);
	if (!ch)
		return;
	ch->offered = false;
	ch->released = !ch->rescinded;
	ch->rescinded = false;
	late_rescind_forget(ch);
	ch->reopen_wanted = false;
	gpadl_drop(bus, ch->relid);
	offer_settle(ch);
}

void offer_forget_all(struct vmbus *bus)
{
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		struct vmbus_channel *ch = bus->channel[i];

		if (!ch || ch->reserved)
			continue;
		ch->offered = ch->rescinded = ch->released = false;
		late_rescind_forget(ch);
		if (ch->sub_index)
			ch->wanted = false;
	}
	bus->offers_sent = false;
	/* Each frees its device at most, which takes itself off the list. */
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++)
		if (bus->channel[i])
			offer_settle(bus->channel[i]);
}

/* ---- Devices --------------------------------------------------------------------------------- */

static int device_check(const struct vmbus *bus, const struct vmbus_device *dev)
{
	u32 slots = 0;

	if (dev->ops->packet_max < sizeof(struct ring_descriptor) ||
	    dev->ops->packet_max > VMBUS_PACKET_MAX || !dev->ops->detach != !dev->ops->attach ||
	    !dev->ops->save != !dev->ops->restore ||
	    !dev->ops->save_state != !dev->ops->restore_state)
		return -EINVAL;
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		const struct vmbus_channel *other = bus->channel[i];

		if (!other)
			slots++;
		else if (!other->sub_index && other->wanted &&
			 guid_equal(&other->device->instance, &dev->instance))
			return -EEXIST;
	}
	return slots > dev->sub_channels_max ? 0 : -ENOSPC;
}

static void plug_run(struct loop_work *w);

/* Written once: another thread may be asking for something. */
static void plug_init(struct vmbus_device *dev, struct vmbus *bus)
{
	if (dev->bus != bus)
		dev->bus = bus;
	if (!dev->plug.run)
		dev->plug.run = plug_run;
}

void offer_place(struct vmbus_channel *ch)
{
	struct vmbus *bus = ch->bus;
	u32 slot = 0;

	while (bus->channel[slot])
		slot++;
	bus->channel[slot] = ch;
	ch->relid = slot + 1;
	ch->monitor_id = ch->device->monitor_us ? monitor_take(bus) : VMBUS_MONITOR_NONE;
}

int offer_make(struct vmbus *bus, struct vmbus_device *dev)
{
	dev->channel = calloc(1u + dev->sub_channels_max, sizeof(*dev->channel));
	if (!dev->channel)
		return -ENOMEM;
	for (u32 i = 0; i <= dev->sub_channels_max; i++) {
		struct vmbus_channel *ch = &dev->channel[i];

		ch->bus = bus;
		ch->device = dev;
		ch->sub_index = (u16)i;
		channel_init(ch);
		channel_io_init(ch);
	}
	plug_init(dev, bus);
	dev->primary = dev->channel;
	if (!bus->chaos || late_make(dev))
		return 0;
	free(dev->channel);
	dev->channel = dev->primary = NULL;
	return -ENOMEM;
}

int vmbus_offer(struct vmbus *bus, struct vmbus_device *dev)
{
	int err;

	if (dev->primary && !dev->primary->wanted) {
		dev->primary->wanted = true;
		offer_try(dev->primary);
		return 0;
	}
	err = device_check(bus, dev);
	if (!err)
		err = offer_make(bus, dev);
	if (err)
		return err;
	for (u32 i = 0; i <= dev->sub_channels_max; i++)
		offer_place(&dev->channel[i]);
	dev->primary->wanted = true;
	offer_try(dev->primary);
	return 0;
}

void offer_free(struct vmbus_device *dev)
{
	trace_vmbus_device_gone(dev->primary->relid, dev->ops->name);
	for (u32 i = 0; i <= dev->sub_channels_max; i++) {
		struct vmbus_channel *ch = &dev->channel[i];

		loop_unpost(ch->bus->control, &ch->subs);
		monitor_give(ch->bus, ch->monitor_id);
		ch->bus->channel[ch->relid - 1] = NULL;
	}
	late_free(dev);
	free(dev->channel);
	dev->channel = dev->primary = NULL;
}

void vmbus_rescind(struct vmbus_device *dev)
{
	struct vmbus_channel *primary = dev->primary;

	if (!primary || !primary->wanted)
		return;
	/* Guests expect sub-channels to go first. */
	subchannel_retract_all(primary);
	offer_retract(primary);
	offer_settle(primary);
}

/* ---- From other threads ---------------------------------------------------------------------- */

static void plug_run(struct loop_work *w)
{
	struct vmbus_device *dev = container_of(w, struct vmbus_device, plug);
	int err;

	if (freeze_holds(dev))
		return;
	atomic_store(&dev->plug_asked, false);
	if (atomic_load(&dev->plug_wanted)) {
		err = vmbus_offer(dev->bus, dev);
		if (dev->plugged)
			dev->plugged(dev, err);
	} else if (dev->primary) {
		vmbus_rescind(dev);
	} else if (dev->gone) {
		dev->gone(dev);
	}
}

static void plug_post(struct vmbus_device *dev, bool wanted)
{
	atomic_store(&dev->plug_wanted, wanted);
	atomic_store(&dev->plug_asked, true);
	loop_post(dev->bus->control, &dev->plug);
}

void vmbus_plug(struct vmbus *bus, struct vmbus_device *dev)
{
	plug_init(dev, bus);
	plug_post(dev, true);
}

void vmbus_unplug(struct vmbus_device *dev)
{
	plug_post(dev, false);
}
