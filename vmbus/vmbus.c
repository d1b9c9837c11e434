/* SPDX-License-Identifier: BSD-2-Clause */
/* The bus as a whole: made, taken down, its inbox, what the program may ask of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmbus/server.h"

void vmbus_post_to(struct vmbus *bus, u32 vp, u32 sint, const void *msg, u32 len)
{
	const struct vmbus_msg_header *header = msg;

	trace_vmbus_post_msg(header->msgtype, len, vp, sint);
	outq_push(&bus->outq, vp, sint, msg, len);
	outq_flush(&bus->outq, bus->port);
}

void vmbus_post(struct vmbus *bus, const void *msg, u32 len)
{
	vmbus_post_to(bus, bus->msg_vp, bus->msg_sint, msg, len);
}

bool vmbus_inbox_any(struct vmbus *bus)
{
	bool any;

	pthread_mutex_lock(&bus->inbox_lock);
	any = bus->inbox_count;
	pthread_mutex_unlock(&bus->inbox_lock);
	return any;
}

bool vmbus_inbox_take(struct vmbus *bus, struct inbox_message *m)
{
	bool any;

	pthread_mutex_lock(&bus->inbox_lock);
	any = bus->inbox_count;
	if (any) {
		*m = bus->inbox[bus->inbox_head];
		bus->inbox_head = (bus->inbox_head + 1) % VMBUS_INBOX_MAX;
		bus->inbox_count--;
	}
	pthread_mutex_unlock(&bus->inbox_lock);
	return any;
}

/* 0 where msg is too short to have one. */
static u32 message_type(const void *msg, u32 len)
{
	struct vmbus_msg_header header = { 0 };

	if (len >= sizeof(header))
		memcpy(&header, msg, sizeof(header));
	return header.msgtype;
}

int vmbus_receive(struct vmbus *bus, u32 connection_id, const void *msg, u32 len)
{
	int err = 0;

	trace_vmbus_recv_message(connection_id, message_type(msg, len), len);
	if (len > VMBUS_MESSAGE_MAX)
		return 0;
	pthread_mutex_lock(&bus->inbox_lock);
	if (bus->inbox_count < VMBUS_INBOX_MAX) {
		struct inbox_message *m =
			&bus->inbox[(bus->inbox_head + bus->inbox_count) % VMBUS_INBOX_MAX];

		m->connection_id = connection_id;
		m->len = len;
		memcpy(m->bytes, msg, len);
		bus->inbox_count++;
	} else {
		err = -ENOBUFS;
	}
	pthread_mutex_unlock(&bus->inbox_lock);
	if (!err)
		loop_post(bus->control, &bus->inbox_work);
	return err;
}

static void inbox_ready(struct loop_work *w)
{
	message_process(container_of(w, struct vmbus, inbox_work));
}

static void slot_freed(struct loop_work *w)
{
	struct vmbus *bus = container_of(w, struct vmbus, slot_work);

	if (bus->frozen)
		return;
	outq_flush(&bus->outq, bus->port);
	/* Messages that found no room for their answers may go on: in a turn's one go at them. */
	loop_post(bus->control, &bus->inbox_work);
}

void vmbus_slot_free(struct vmbus *bus)
{
	/* It comes with every interrupt of the SINT: nothing to do is the rule. */
	if (atomic_load(&bus->outq.waiting))
		loop_post(bus->control, &bus->slot_work);
}

void vmbus_status(struct vmbus *bus, struct vmbus_status *status)
{
	status->contacted = atomic_load(&bus->status_contacted);
	status->version = atomic_load(&bus->status_version);
	status->channels_open = atomic_load(&bus->status_open);
	status->messages = atomic_load(&bus->status_messages);
	status->out_of_place = atomic_load(&bus->status_out_of_place);
}

static void channel_status(const struct vmbus_channel *ch, struct vmbus_channel_status *st)
{
	*st = (struct vmbus_channel_status){
		.device = ch->device->ops->name,
		.instance = ch->device->instance,
		.relid = ch->relid,
		.sub_index = ch->sub_index,
		.offered = ch->offered,
		.open = ch->state == CHANNEL_OPEN,
		.target_vp = ch->target,
		.packets_in = ch->count.packets_in,
		.bytes_in = ch->count.bytes_in,
		.packets_out = ch->count.packets_out,
		.bytes_out = ch->count.bytes_out,
		.signals = ch->count.signals,
		.interrupts = ch->count.interrupts,
		.throttled = ch->count.throttled,
	};
}

unsigned vmbus_channels(const struct vmbus *bus, struct vmbus_channel_status *list, unsigned max)
{
	unsigned count = 0;

	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		if (!bus->channel[i])
			continue;
		if (count < max)
			channel_status(bus->channel[i], &list[count]);
		count++;
	}
	return count;
}

int vmbus_init(struct vmbus **out, const struct vmbus_config *config)
{
	struct vmbus *bus = calloc(1, sizeof(*bus));

	*out = NULL;
	if (!bus)
		return -ENOMEM;
	bus->io = calloc(config->io_count, sizeof(*bus->io));
	if (!bus->io) {
		free(bus);
		return -ENOMEM;
	}
	memcpy(bus->io, config->io, config->io_count * sizeof(*bus->io));
	bus->io_count = config->io_count;
	bus->mem = config->mem;
	bus->port = config->port;
	bus->control = config->control;
	bus->msg_sint = VMBUS_SINT;
	bus->shared.fd = -1;
	bus->inbox_work.run = inbox_ready;
	bus->slot_work.run = slot_freed;
	bus->gpadl_work.run = gpadl_sweep;
	bus->chaos = config->chaos;
	if (bus->chaos)
		late_init(bus);
	pthread_mutex_init(&bus->inbox_lock, NULL);
	pthread_mutex_init(&bus->gpadl_lock, NULL);
	*out = bus;
	return 0;
}

/* The loops run no more: what they would have done for ch is done here, in their stead. */
static void channel_end(struct vmbus_channel *ch)
{
	if (ch->loop) {
		loop_unpost(ch->loop, &ch->ordered);
		loop_unpost(ch->loop, &ch->relent);
		if (ch->live)
			channel_io_close(ch);
	}
	loop_unpost(ch->bus->control, &ch->reply);
	channel_release(ch);
}

/* Sub-channels first, as always. */
static void device_end(struct vmbus_device *dev)
{
	for (u32 i = dev->sub_channels_max + 1u; i-- > 0;)
		channel_end(&dev->channel[i]);
	offer_free(dev);
	restore_device_gone(dev);
}

void vmbus_fini(struct vmbus *bus)
{
	if (!bus)
		return;
	bus->ending = true;
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++)
		if (bus->channel[i])
			device_end(bus->channel[i]->device);
	gpadl_free_all(bus);
	interrupt_page_clear(bus);
	late_fini(bus);
	freeze_fini(bus);
	loop_unpost(bus->control, &bus->inbox_work);
	loop_unpost(bus->control, &bus->slot_work);
	loop_unpost(bus->control, &bus->gpadl_work);
	pthread_mutex_destroy(&bus->inbox_lock);
	pthread_mutex_destroy(&bus->gpadl_lock);
	free(bus->io);
	free(bus);
}
