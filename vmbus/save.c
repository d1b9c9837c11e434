/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes a frozen bus down; the form is in save.h. Control loop. */
#include "vmbus/save.h"

#include <errno.h>

#include "vmbus/server.h"

static u64 page_gpa(const struct vmbus *bus, const void *page)
{
	return page ? gpa_range_pfn(bus->mem, page) << GUEST_PAGE_SHIFT : 0;
}

static void save_bus(struct vmbus *bus, struct stream_out *out)
{
	stream_put_u8(out, bus->state == CONNECTION_UP);
	stream_put_u8(out, bus->offers_sent);
	stream_put_u8(out, bus->paused);
	stream_put_u8(out, atomic_load(&bus->status_contacted));
	stream_put_u32(out, bus->version);
	stream_put_u32(out, bus->features);
	stream_put_u32(out, bus->msg_vp);
	stream_put_u32(out, bus->msg_sint);
	stream_put_u64(out, page_gpa(bus, bus->interrupt_page));
	stream_put_u64(out, page_gpa(bus, bus->monitor_page));
	stream_put_u64(out, atomic_load(&bus->status_messages));
	stream_put_u64(out, atomic_load(&bus->status_out_of_place));
}

static void save_inbox(struct vmbus *bus, struct stream_out *out)
{
	pthread_mutex_lock(&bus->inbox_lock);
	stream_put_u32(out, bus->inbox_count);
	for (u32 i = 0; i < bus->inbox_count; i++) {
		const struct inbox_message *m =
			&bus->inbox[(bus->inbox_head + i) % VMBUS_INBOX_MAX];

		stream_put_u32(out, m->connection_id);
		stream_put_u32(out, m->len);
		stream_put_bytes(out, m->bytes, m->len);
	}
	pthread_mutex_unlock(&bus->inbox_lock);
}

static void save_outq(struct vmbus *bus, struct stream_out *out)
{
	const struct outq *q = &bus->outq;

	stream_put_u32(out, q->held ? q->passing : 0);
	stream_put_u32(out, q->count);
	for (u32 i = 0; i < q->count; i++) {
		const struct outq_message *m = &q->message[(q->head + i) % OUTQ_MAX];

		stream_put_u32(out, m->vp);
		stream_put_u32(out, m->sint);
		stream_put_u32(out, m->len);
		stream_put_bytes(out, m->bytes, m->len);
	}
}

static u8 channel_flags(const struct vmbus_channel *ch)
{
	return (u8)((ch->wanted ? VMBUS_SAVED_WANTED : 0) |
		    (ch->offered ? VMBUS_SAVED_OFFERED : 0) |
		    (ch->rescinded ? VMBUS_SAVED_RESCINDED : 0) |
		    (ch->released ? VMBUS_SAVED_RELEASED : 0) |
		    (ch->reserved ? VMBUS_SAVED_RESERVED : 0));
}

/* One that was taken away has nothing more to say. */
static void save_device(struct vmbus_device *dev, struct stream_out *out)
{
	size_t mark;

	stream_put_bytes(out, &dev->instance, sizeof(dev->instance));
	stream_put_bytes(out, &dev->ops->type, sizeof(dev->ops->type));
	stream_put_u16(out, (u16)(dev->sub_channels_max + 1));
	for (u32 i = 0; i <= dev->sub_channels_max; i++) {
		const struct vmbus_channel *ch = &dev->channel[i];

		stream_put_u32(out, ch->relid);
		stream_put_u8(out, ch->monitor_id);
		stream_put_u8(out, channel_flags(ch));
	}
	mark = stream_begin(out, VMBUS_SECTION_DEVICE);
	if (dev->primary->wanted && dev->ops->save_state)
		dev->ops->save_state(dev, out);
	stream_end(out, mark);
}

static void save_devices(struct vmbus *bus, struct stream_out *out)
{
	size_t at = out->len;
	u32 count = 0;

	stream_put_u32(out, 0);
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		if (!bus->channel[i] || bus->channel[i]->sub_index)
			continue;
		save_device(bus->channel[i]->device, out);
		count++;
	}
	stream_patch_u32(out, at, count);
}

/* By relid: a device's primary channel has a lower one than its sub-channels. */
static void save_channels(struct vmbus *bus, struct stream_out *out)
{
	size_t at = out->len;
	u32 count = 0;

	stream_put_u32(out, 0);
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		if (!bus->channel[i] || bus->channel[i]->state != CHANNEL_OPEN)
			continue;
		channel_save(bus->channel[i], out);
		count++;
	}
	stream_patch_u32(out, at, count);
}

static void save_teardowns(struct vmbus *bus, struct stream_out *out)
{
	gpadl_save_teardowns(bus, out);
}

/* The first open channel whose device cannot be saved. */
static const struct vmbus_device *device_refuses(const struct vmbus *bus)
{
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		const struct vmbus_channel *ch = bus->channel[i];

		if (ch && ch->state == CHANNEL_OPEN && !ch->device->ops->save)
			return ch->device;
	}
	return NULL;
}

static void save_sections(struct vmbus *bus, struct stream_out *out)
{
	static void (*const write[])(struct vmbus * bus, struct stream_out * out) = {
		[VMBUS_SECTION_BUS] = save_bus,
		[VMBUS_SECTION_INBOX] = save_inbox,
		[VMBUS_SECTION_OUTQ] = save_outq,
		[VMBUS_SECTION_DEVICES] = save_devices,
		[VMBUS_SECTION_GPADLS] = gpadl_save_all,
		[VMBUS_SECTION_CHANNELS] = save_channels,
		[VMBUS_SECTION_TEARDOWNS] = save_teardowns,
	};

	for (u32 type = VMBUS_SECTION_BUS; type < ARRAY_SIZE(write); type++) {
		size_t mark = stream_begin(out, type);

		write[type](bus, out);
		stream_end(out, mark);
	}
}

int vmbus_save(struct vmbus *bus, struct stream_out *out, const struct vmbus_device **dev)
{
	const struct vmbus_device *refuses = device_refuses(bus);
	size_t from = out->len;

	assert(bus->frozen);
	if (refuses) {
		if (dev)
			*dev = refuses;
		return -EOPNOTSUPP;
	}
	stream_put_bytes(out, VMBUS_STATE_MAGIC, VMBUS_STATE_MAGIC_SIZE);
	stream_put_u32(out, VMBUS_STATE_VERSION);
	stream_put_u32(out, 0);
	stream_put_u64(out, 0);
	save_sections(bus, out);
	if (out->err)
		return out->err;
	stream_patch_u64(out, from + VMBUS_STATE_CRC_FROM, out->len - from - VMBUS_STATE_HEADER);
	stream_patch_u32(out, from + VMBUS_STATE_CRC_AT,
			 stream_crc32(out->bytes + from + VMBUS_STATE_CRC_FROM,
				      out->len - from - VMBUS_STATE_CRC_FROM));
	trace_vmbus_save(out->len - from);
	return 0;
}
