/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bus stands still, so that it can be saved: first everything under way between host and guest
 * comes to its end (resets, channels that open, close or move), while new messages stay in the
 * inbox; then every open channel is frozen by its device, on its own loop. What is left is a
 * connection that is up or not and channels that are open or closed. Who does not want to wait that
 * long gives it up: channels that stand go on, those that do not are told to. Control loop.
 */
#include "base/log.h"
#include "vmbus/save.h"
#include "vmbus/server.h"

/* One with an order under way: a freeze, or what has to end before it; NULL: none. */
static const struct vmbus_channel *channel_awaited(const struct vmbus *bus)
{
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++)
		if (bus->channel[i] && bus->channel[i]->order != ORDER_NONE)
			return bus->channel[i];
	return NULL;
}

/* What is wanted of a channel waits for an order only, its own or one of its sub-channels'. */
static bool bus_settled(const struct vmbus *bus)
{
	return bus->state != CONNECTION_RESETTING && !channel_awaited(bus);
}

static void channel_ask(struct vmbus_channel *ch, enum channel_order order)
{
	ch->order = order;
	loop_post(ch->loop, &ch->ordered);
}

const struct vmbus_device *vmbus_freeze_awaits(const struct vmbus *bus)
{
	const struct vmbus_channel *ch = bus->freezing ? channel_awaited(bus) : NULL;

	return ch ? ch->device : NULL;
}

static void words_later(struct vmbus *bus)
{
	loop_timer_arm(bus->control, &bus->freeze_words, loop_now_ns() + VMBUS_FREEZE_WORDS_NS);
}

static void freeze_words(struct loop_timer *t)
{
	struct vmbus *bus = container_of(t, struct vmbus, freeze_words);
	const struct vmbus_channel *ch = channel_awaited(bus);

	log_warn("saving has waited %llu s so far%s%s: what the guest asked it for has not ended",
		 (unsigned long long)((loop_now_ns() - bus->freeze_ns) / NSEC_PER_SEC),
		 ch ? " for " : "", ch ? ch->device->ops->name : "");
	words_later(bus);
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
	freeze_fini(bus);
	trace_vmbus_frozen();
	bus->on_frozen(bus->on_frozen_ctx);
}

void vmbus_freeze(struct vmbus *bus, vmbus_frozen_fn *frozen, void *ctx)
{
	bus->freezing = true;
	bus->on_frozen = frozen;
	bus->on_frozen_ctx = ctx;
	bus->freeze_ns = loop_now_ns();
	bus->freeze_words.fire = freeze_words;
	words_later(bus);
	late_rescind_all(bus);
	freeze_step(bus);
}

void freeze_fini(struct vmbus *bus)
{
	loop_timer_disarm(bus->control, &bus->freeze_words);
}

static void channel_thaw(struct vmbus_channel *ch)
{
	ch->quiet = false;
	channel_ask(ch, ORDER_THAW);
}

void freeze_replied(struct vmbus_channel *ch)
{
	ch->quiet = !ch->result;
	/*
	 * Given up meanwhile; wanted again, it comes behind what the guest has asked for in
	 * between.
	 */
	if (ch->quiet && (!ch->bus->freezing || ch->close_wanted || ch->modify_wanted))
		channel_thaw(ch);
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
	freeze_fini(bus);
	trace_vmbus_thaw();
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		struct vmbus_channel *ch = bus->channel[i];

		if (ch && ch->quiet)
			channel_thaw(ch);
		else if (ch && ch->order == ORDER_FREEZE)
			loop_post(ch->loop, &ch->relent);
	}
	plugs_release(bus);
	/* Looks at the inbox, too. */
	loop_post(bus->control, &bus->slot_work);
}
