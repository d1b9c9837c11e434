/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Offers: which devices the guest is told of, under which relid (1..VMBUS_CHANNELS_MAX, also the
 * event flag). Control loop.
 *
 * A device taken away (rescind) keeps its relid until the guest has released it, or the
 * connection ends: the guest may still send messages that name it.
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

/* Pipe offers start their user-defined bytes with the pipe's type. */
static void offer_user_def(struct vmbus_msg_offer_channel *msg, const struct vmbus_device *dev)
{
	static const u32 pipe_type = VMBUS_PIPE_TYPE_MESSAGE;
	size_t skip = dev->ops->pipe ? sizeof(pipe_type) : 0;

	memcpy(msg->user_def, &pipe_type, skip);
	memcpy(msg->user_def + skip, dev->user_defined, VMBUS_USER_DEFINED_MAX - skip);
}

static void offer_send(struct vmbus_channel *ch)
{
	const struct vmbus_device *dev = ch->device;
	struct vmbus_msg_offer_channel msg = {
		.header.msgtype = VMBUS_MSG_OFFER_CHANNEL,
		.chn_flags = VMBUS_OFFER_ENUMERATE_DEVICE_INTERFACE,
		.mmio_megabytes = dev->mmio_megabytes,
		.sub_channel_index = ch->sub_index,
		.child_relid = ch->relid,
		.is_dedicated_interrupt = 1,
		.connection_id = VMBUS_EVENT_CONNECTION_ID(ch->relid),
	};

	memcpy(msg.if_type, &dev->ops->type, sizeof(msg.if_type));
	memcpy(msg.if_instance, &dev->instance, sizeof(msg.if_instance));
	if (dev->ops->pipe)
		msg.chn_flags |= VMBUS_OFFER_NAMED_PIPE_MODE;
	offer_user_def(&msg, dev);
	ch->offered = true;
	vmbus_trace("send_offer", "relid %u %s", ch->relid, dev->ops->name);
	vmbus_post(ch->bus, &msg, sizeof(msg));
}

void offer_request(struct vmbus *bus, const void *msg, u32 len)
{
	struct vmbus_msg_header delivered = { .msgtype = VMBUS_MSG_ALL_OFFERS_DELIVERED };

	(void)msg;
	(void)len;
	/* Asked twice, a guest would take every device for a second one. */
	if (bus->offers_sent) {
		log_guest(&bus->bad_message, "vmbus: offers requested again");
		return;
	}
	bus->offers_sent = true;
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++)
		if (bus->channel[i] && !bus->channel[i]->rescinded)
			offer_send(bus->channel[i]);
	vmbus_trace("terminate_offers", "done");
	vmbus_post(bus, &delivered, sizeof(delivered));
}

int vmbus_offer(struct vmbus *bus, struct vmbus_device *dev)
{
	struct vmbus_channel *ch;
	u32 slot = VMBUS_CHANNELS_MAX;

	if (dev->ops->packet_max < sizeof(struct ring_descriptor) ||
	    dev->ops->packet_max > VMBUS_PACKET_MAX)
		return -EINVAL;
	for (u32 i = VMBUS_CHANNELS_MAX; i-- > 0;) {
		const struct vmbus_channel *other = bus->channel[i];

		if (!other)
			slot = i;
		else if (guid_equal(&other->device->instance, &dev->instance))
			return -EEXIST;
	}
	if (slot == VMBUS_CHANNELS_MAX)
		return -ENOSPC;
	ch = calloc(1, sizeof(*ch));
	if (!ch)
		return -ENOMEM;
	ch->bus = bus;
	ch->device = dev;
	ch->relid = slot + 1;
	channel_init(ch);
	channel_io_init(ch);
	bus->channel[slot] = ch;
	dev->bus = bus;
	dev->primary = ch;
	if (bus->state == CONNECTION_UP && bus->offers_sent)
		offer_send(ch);
	return 0;
}

void offer_free(struct vmbus_channel *ch)
{
	vmbus_trace("offer_free", "relid %u", ch->relid);
	ch->bus->channel[ch->relid - 1] = NULL;
	ch->device->primary = NULL;
	ch->device->bus = NULL;
	free(ch);
}

void vmbus_rescind(struct vmbus_device *dev)
{
	struct vmbus_channel *ch = dev->primary;
	struct vmbus_msg_relid msg = { .header.msgtype = VMBUS_MSG_RESCIND_CHANNEL_OFFER };

	if (!ch || ch->rescinded)
		return;
	ch->rescinded = true;
	if (ch->offered) {
		msg.child_relid = ch->relid;
		vmbus_trace("rescind", "relid %u", ch->relid);
		vmbus_post(ch->bus, &msg, sizeof(msg));
		channel_shut(ch);
	} else if (channel_idle(ch)) {
		offer_free(ch);
	}
}

/* The guest has forgotten relid; where the host did not take it away it can come back later. */
void offer_relid_released(struct vmbus *bus, const void *bytes, u32 len)
{
	struct vmbus_msg_relid msg;
	struct vmbus_channel *ch;

	(void)len;
	memcpy(&msg, bytes, sizeof(msg));
	ch = offer_find(bus, msg.child_relid);
	if (!ch || (!ch->rescinded && ch->state != CHANNEL_CLOSED)) {
		log_guest(&bus->bad_channel, "vmbus: channel %u released, which is not closed",
			  msg.child_relid);
		return;
	}
	vmbus_trace("relid_released", "relid %u", ch->relid);
	ch->offered = false;
	gpadl_drop(bus, ch->relid);
	if (ch->rescinded && channel_idle(ch))
		offer_free(ch);
}
