/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sub-channels: more rings for one device, offered when its driver has asked the device for them
 * (in the device's own protocol, on the open primary channel). They come and go with the primary:
 * when it closes they are rescinded, and offered anew when they are asked for again; a guest that
 * has not let go of one by then gets its offer when it does. From 2.4 on. Control loop.
 *
 * All a device may have are made with it, relids included, so that asking cannot fail.
 */
#include "vmbus/server.h"

struct vmbus_channel *subchannel_at(const struct vmbus_device *dev, u32 index)
{
	return index <= dev->sub_channels_max ? &dev->channel[index] : NULL;
}

void subchannel_retract_all(struct vmbus_channel *primary)
{
	for (u32 i = 1; i <= primary->device->sub_channels_max; i++)
		offer_retract(subchannel_at(primary->device, i));
}

bool subchannel_all_idle(const struct vmbus_channel *primary)
{
	for (u32 i = 1; i <= primary->device->sub_channels_max; i++)
		if (!channel_idle(subchannel_at(primary->device, i)))
			return false;
	return true;
}

void subchannel_offer(struct vmbus_channel *primary)
{
	u32 count = MIN(atomic_load(&primary->subs_asked), primary->device->sub_channels_max);

	if (primary->state != CHANNEL_OPEN || primary->close_wanted || primary->reserved ||
	    primary->bus->state != CONNECTION_UP || primary->bus->version < VMBUS_VERSION_WIN8)
		return;
	for (u32 i = 1; i <= count; i++) {
		struct vmbus_channel *ch = subchannel_at(primary->device, i);

		ch->wanted = true;
		offer_try(ch);
	}
}
