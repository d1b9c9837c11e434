/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device that plugs devices. A slot is free, or has a device from the moment it is plugged (taken
 * or refused) until gone() on the control loop; the channel's I/O loop takes free slots and asks
 * for the removal of others. The state of a slot is all they share.
 */
#include "tests/boot/plug.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "devices/storvsp.h"
#include "tests/boot/echo.h"
#include "tests/boot/plug_proto.h"

#define PLUG_ECHOES 240u
#define PLUG_DISKS 60u
#define PLUG_SLOTS (PLUG_ECHOES + PLUG_DISKS)
#define PLUG_DISK_SIZE (4u << 20)

enum slot_state { SLOT_FREE, SLOT_USED, SLOT_GOING };

struct plug_slot {
	struct plug *plug;
	_Atomic int state;
	struct vmbus_device echo;
	struct storvsp *storvsp; /* of a slot for disks, while it is not free */
};

struct plug {
	struct vmbus_device device;
	struct machine_bus on;
	u32 monitor_us;
	struct bay *bay; /* NULL: none */
	_Atomic u32 gone, refused;
	bool unsent; /* `answer` waits for room */
	u64 transaction_id;
	struct plug_answer answer;
	struct plug_slot slot[PLUG_SLOTS]; /* the first PLUG_ECHOES for echo devices */
};

/* ---- Slots ----------------------------------------------------------------------------------- */

static struct plug_slot *slot_of(struct vmbus_device *dev)
{
	if (dev->ops == &echo_ops)
		return container_of(dev, struct plug_slot, echo);
	return container_of(dev, struct storvsp, device)->uring_ctx;
}

static void slot_gone(struct vmbus_device *dev)
{
	struct plug_slot *slot = slot_of(dev);

	storvsp_fini(slot->storvsp);
	slot->storvsp = NULL;
	atomic_fetch_add(&slot->plug->gone, 1);
	atomic_store(&slot->state, SLOT_FREE);
}

static void slot_plugged(struct vmbus_device *dev, int result)
{
	if (result)
		atomic_fetch_add(&slot_of(dev)->plug->refused, 1);
}

static struct uring *slot_uring(void *ctx, struct loop *loop)
{
	const struct plug_slot *slot = ctx;

	return slot->plug->on.uring(slot->plug->on.uring_ctx, loop);
}

/* The slot's controller, with its disk. NULL without memory. */
static struct vmbus_device *slot_make_disk(struct plug_slot *slot, u32 number)
{
	struct disk *disk;

	if (storvsp_init(&slot->storvsp, number, slot_uring, slot))
		return NULL;
	disk = disk_mem_open(PLUG_DISK_SIZE, 512);
	if (disk && !storvsp_attach(slot->storvsp, 0, disk))
		return storvsp_device(slot->storvsp);
	storvsp_fini(slot->storvsp);
	slot->storvsp = NULL;
	return NULL;
}

static bool slot_add(struct plug *p, u32 index)
{
	struct plug_slot *slot = &p->slot[index];
	struct vmbus_device *dev = &slot->echo;

	if (atomic_load(&slot->state) != SLOT_FREE)
		return false;
	if (index < PLUG_ECHOES)
		echo_init(dev, (u16)(index + 1), p->monitor_us);
	else
		dev = slot_make_disk(slot, index - PLUG_ECHOES + 1);
	if (!dev)
		return false;
	dev->gone = slot_gone;
	dev->plugged = slot_plugged;
	atomic_store(&slot->state, SLOT_USED);
	vmbus_plug(p->on.bus, dev);
	return true;
}

static bool slot_remove(struct plug *p, u32 index)
{
	struct plug_slot *slot = &p->slot[index];
	int used = SLOT_USED;

	if (!atomic_compare_exchange_strong(&slot->state, &used, SLOT_GOING))
		return false;
	vmbus_unplug(index < PLUG_ECHOES ? &slot->echo : storvsp_device(slot->storvsp));
	return true;
}

/* Requests under way end, later ones find no disk there; and so the guest lets go of it. */
static bool slot_eject(struct plug *p, u32 index)
{
	struct plug_slot *slot = &p->slot[index];

	return atomic_load(&slot->state) == SLOT_USED && !storvsp_detach(slot->storvsp, 0);
}

/* ---- Commands -------------------------------------------------------------------------------- */

static u32 slots_used(const struct plug *p, u32 from, u32 to)
{
	u32 used = 0;

	for (u32 i = from; i < to; i++)
		used += atomic_load(&p->slot[i].state) != SLOT_FREE;
	return used;
}

static const struct {
	bool (*run)(struct plug *p, u32 index);
	u32 begin, end; /* of the slots it looks at */
} commands[PLUG_BAY_ADD] = {
	[PLUG_ADD_ECHOES] = { slot_add, 0, PLUG_ECHOES },
	[PLUG_ADD_DISKS] = { slot_add, PLUG_ECHOES, PLUG_SLOTS },
	[PLUG_REMOVE_ECHOES] = { slot_remove, 0, PLUG_ECHOES },
	[PLUG_REMOVE_DISKS] = { slot_remove, PLUG_ECHOES, PLUG_SLOTS },
	[PLUG_EJECT_DISKS] = { slot_eject, PLUG_ECHOES, PLUG_SLOTS },
};

static u32 repeat(bool (*step)(struct bay *b), struct bay *b, u32 count)
{
	u32 done = 0;

	while (done < MIN(count, BAY_LUNS) && step(b))
		done++;
	return done;
}

/* The number of units it was done to. */
static u32 bay_do(struct bay *b, const struct plug_command *c)
{
	switch (c->op) {
	case PLUG_BAY_ADD:
		return repeat(bay_add, b, c->count);
	case PLUG_BAY_REMOVE:
		return repeat(bay_remove, b, c->count);
	case PLUG_BAY_RESIZE:
		return bay_resize(b, MiB(c->count));
	case PLUG_BAY_INSERT:
		return bay_insert(b, c->count);
	case PLUG_BAY_EJECT:
		return bay_eject(b);
	default:
		return 0;
	}
}

/* The number of slots it was done to. */
static u32 plug_do(struct plug *p, const struct plug_command *c)
{
	u32 done = 0;

	if (c->op >= PLUG_BAY_ADD)
		return p->bay ? bay_do(p->bay, c) : 0;
	for (u32 i = commands[c->op].begin; i < commands[c->op].end && done < c->count; i++)
		done += commands[c->op].run(p, i);
	return done;
}

static void plug_answer(struct vmbus_channel *ch, struct plug *p)
{
	p->unsent =
		channel_complete(ch, p->transaction_id, &p->answer, sizeof(p->answer)) == -EAGAIN;
}

static void plug_ready(struct vmbus_channel *ch)
{
	struct plug *p = channel_data(ch);
	struct plug_command command;
	struct vmbus_packet pkt;
	u8 buf[256];
	int got;

	if (p->unsent)
		plug_answer(ch, p);
	while (!p->unsent && (got = channel_recv(ch, buf, &pkt))) {
		if (got < 0 || pkt.payload_size < sizeof(command))
			continue;
		memcpy(&command, pkt.payload, sizeof(command));
		p->transaction_id = pkt.transaction_id;
		p->answer.done = plug_do(p, &command);
		p->answer.echoes = slots_used(p, 0, PLUG_ECHOES);
		p->answer.disks = slots_used(p, PLUG_ECHOES, PLUG_SLOTS);
		p->answer.gone = atomic_load(&p->gone);
		p->answer.refused = atomic_load(&p->refused);
		p->answer.bay_disks = p->bay ? bay_disks(p->bay) : 0;
		plug_answer(ch, p);
	}
}

static int plug_open(struct vmbus_channel *ch)
{
	struct plug *p = channel_device(ch)->data;

	p->unsent = false;
	channel_set_data(ch, p);
	return 0;
}

static void plug_close(struct vmbus_channel *ch)
{
	channel_closed(ch);
}

static const struct vmbus_device_ops plug_ops = {
	.name = "plug",
	.type = GUID(0x706c7567, 0x0ca1, 0x4de1, 0xa0, 0x70, 0x6c, 0x75, 0x67, 0x64, 0x65, 0x76),
	.packet_max = 256,
	.open = plug_open,
	.ready = plug_ready,
	.close = plug_close,
};

/* ---- The device ------------------------------------------------------------------------------ */

int plug_init(struct plug **out, const struct machine_bus *on, u32 monitor_us, struct bay *bay)
{
	struct plug *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->on = *on;
	p->monitor_us = monitor_us;
	p->bay = bay;
	p->device = (struct vmbus_device){
		.ops = &plug_ops,
		.instance = GUID(0x706c7567, 0x0ca1, 0x4173, 0x80, 0x70, 0x6c, 0x75, 0x67, 0, 0, 0),
		.monitor_us = monitor_us,
		.data = p,
	};
	for (u32 i = 0; i < PLUG_SLOTS; i++)
		p->slot[i].plug = p;
	*out = p;
	return 0;
}

struct vmbus_device *plug_device(struct plug *p)
{
	return &p->device;
}

void plug_fini(struct plug *p)
{
	if (!p)
		return;
	for (u32 i = 0; i < PLUG_SLOTS; i++)
		storvsp_fini(p->slot[i].storvsp);
	free(p);
}
