/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bus stands still, so that it can be saved: first everything under way between host and guest
 * comes to its end (resets, channels that open, close or move), while new messages stay in the
 * inbox; then every open channel is frozen by its device, on its own loop. What is left is a
 * connection that is up or not and channels that are open or closed. Control loop.
 */
#include "vmbus/save.h"
#include "vmbus/server.h"

/* What is wanted of a channel waits for an order only, its own or one of its sub-channels'. */
static bool bus_settled(const struct vmbus *bus)
{
	if (bus->state == CONNECTION_RESETTING)
		return false;
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++)
		if (bus->channel[i] && bus->channel[i]->order != ORDER_NONE)
			return false;
	return true;
}

static void channel_ask(struct vmbus_channel *ch, enum channel_order order)
{
	ch->order = order;
	loop_post(ch->loop, &ch->ordered);
}

void freeze_step(struct vmbus *bus)
{
	bool all = true;

	if (!bus->freezing || bus->frozen || !bus_settled(bus))
		return;
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		struct vmbus_channel *ch = bus->channel[i];

		if (!ch || ch->state != CHANNEL_OPEN || ch->quiet)
			continue;
		channel_ask(ch, ORDER_FREEZE);
		all = false;
	}
	if (!all)
		return;
	bus->frozen = true;
	trace_vmbus_frozen();
	bus->on_frozen(bus->on_frozen_ctx);
}

void vmbus_freeze(struct vmbus *bus, vmbus_frozen_fn *frozen, void *ctx)
{
	bus->freezing = true;
	bus->on_frozen = frozen;
	bus->on_frozen_ctx = ctx;
	late_rescind_all(bus);
	freeze_step(bus);
}

bool freeze_holds(struct vmbus_device *dev)
{
	struct vmbus *bus = dev->bus;

	if (!bus->freezing)
		return false;
	if (!dev->plug_waits) {
		dev->plug_waits = true;
		dev->plug_next = bus->plugs;
		bus->plugs = dev;
	}
	return true;
}

static void plugs_release(struct vmbus *bus)
{
	while (bus->plugs) {
		struct vmbus_device *dev = bus->plugs;

		bus->plugs = dev->plug_next;
		dev->plug_waits = false;
		loop_post(bus->control, &dev->plug);
	}
}

void vmbus_thaw(struct vmbus *bus)
{
	bus->freezing = bus->frozen = false;
	trace_vmbus_thaw();
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		struct vmbus_channel *ch = bus->channel[i];

		if (!ch || !ch->quiet)
			continue;
		ch->quiet = false;
		channel_ask(ch, ORDER_THAW);
	}
	plugs_release(bus);
	/* Looks at the inbox, too. */
	loop_post(bus->control, &bus->slot_work);
}
