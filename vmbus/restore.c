/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Takes a saved bus into a fresh one; the form is in save.h. Every section is checked for itself as
 * it is read, and what must agree between them (restore_agrees()) once all is there; nothing
 * reaches the guest before. Where anything is wrong the bus goes back to what it was. Main thread,
 * no loop runs.
 */
#include "vmbus/save.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmbus/server.h"

/* The bus as it was: who had which relid and monitor id; and what devices have yet to take in. */
struct before {
	struct vmbus_channel *channel[VMBUS_CHANNELS_MAX];
	u8 monitor_id[VMBUS_CHANNELS_MAX];
	bool monitor_taken[VMBUS_MONITORS];
	struct stream_in state[VMBUS_CHANNELS_MAX]; /* of the device whose primary channel it is */
};

/* ---- Devices that are no more ---------------------------------------------------------------- */

/* Stands for a device that was taken away, until the guest has let go of its relids. */
struct gone {
	struct vmbus_device dev;
	struct vmbus_device_ops ops;
};

static void gone_free(struct vmbus_device *dev)
{
	free(container_of(dev, struct gone, dev));
}

static bool device_gone(const struct vmbus_device *dev)
{
	return dev->gone == gone_free;
}

void restore_device_gone(struct vmbus_device *dev)
{
	if (device_gone(dev))
		gone_free(dev);
}

static struct vmbus_device *gone_new(struct vmbus *bus, const struct guid *instance,
				     const struct guid *type, u32 channels)
{
	struct gone *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->ops = (struct vmbus_device_ops){ .name = "gone", .type = *type };
	g->dev.ops = &g->ops;
	g->dev.instance = *instance;
	g->dev.sub_channels_max = (u16)(channels - 1);
	g->dev.gone = gone_free;
	if (!offer_make(bus, &g->dev))
		return &g->dev;
	free(g);
	return NULL;
}

/* Takes dev off the bus, as far as it is there. */
static void gone_drop(struct vmbus *bus, struct vmbus_device *dev)
{
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++)
		if (bus->channel[i] && bus->channel[i]->device == dev)
			bus->channel[i] = NULL;
	late_free(dev);
	free(dev->channel);
	gone_free(dev);
}

/* ---- The sections ---------------------------------------------------------------------------- */

static int page_restore(const struct vmbus *bus, gpa_t gpa, void **page)
{
	*page = NULL;
	if (!gpa)
		return 0;
	*page = gpa % GUEST_PAGE_SIZE ? NULL : gmem_range(bus->mem, gpa, GUEST_PAGE_SIZE);
	return *page ? 0 : -EINVAL;
}

/* What INITIATE_CONTACT could have brought about. */
static bool connection_possible(const struct vmbus *bus, bool up, gpa_t interrupt_page,
				gpa_t monitor_page)
{
	if (bus->msg_vp >= bus->port->vp_count || bus->msg_sint < 1 || bus->msg_sint > 15)
		return false;
	if (!up)
		return !bus->version && !bus->features && !bus->offers_sent && !bus->paused &&
		       !interrupt_page && !monitor_page;
	if (!connection_version_supported(bus->version) ||
	    !connection_features_supported(bus->version, bus->features))
		return false;
	return (!interrupt_page || bus->version < VMBUS_VERSION_WIN8) &&
	       (!bus->paused || bus->features & VMBUS_FEATURE_PAUSE_RESUME);
}

static int restore_bus(struct vmbus *bus, struct stream_in *in)
{
	bool up = stream_get_bool(in);
	gpa_t interrupt_page, monitor_page;
	void *page;

	bus->offers_sent = stream_get_bool(in);
	bus->paused = stream_get_bool(in);
	atomic_store(&bus->status_contacted, stream_get_bool(in));
	bus->version = stream_get_u32(in);
	bus->features = stream_get_u32(in);
	bus->msg_vp = stream_get_u32(in);
	bus->msg_sint = stream_get_u32(in);
	interrupt_page = stream_get_u64(in);
	monitor_page = stream_get_u64(in);
	atomic_store(&bus->status_messages, stream_get_u64(in));
	atomic_store(&bus->status_out_of_place, stream_get_u64(in));
	if (in->bad || !connection_possible(bus, up, interrupt_page, monitor_page) ||
	    page_restore(bus, monitor_page, &page))
		return -EINVAL;
	bus->monitor_page = page;
	bus->state = up ? CONNECTION_UP : CONNECTION_NONE;
	atomic_store(&bus->status_version, bus->version);
	return interrupt_page_set(bus, interrupt_page, bus->version);
}

/* The length of a message, or a bad stream. */
static u32 message_len(struct stream_in *in)
{
	u32 len = stream_get_u32(in);

	if (len > VMBUS_MESSAGE_MAX)
		in->bad = true;
	return in->bad ? 0 : len;
}

static int restore_inbox(struct vmbus *bus, struct stream_in *in)
{
	u32 count = stream_get_u32(in);

	if (count > VMBUS_INBOX_MAX)
		return -EINVAL;
	bus->inbox_head = 0;
	for (bus->inbox_count = 0; bus->inbox_count < count; bus->inbox_count++) {
		struct inbox_message *m = &bus->inbox[bus->inbox_count];

		m->connection_id = stream_get_u32(in);
		m->len = message_len(in);
		stream_get_bytes(in, m->bytes, m->len);
	}
	return 0;
}

static int restore_outq(struct vmbus *bus, struct stream_in *in)
{
	struct outq *q = &bus->outq;
	u32 passing = stream_get_u32(in), count = stream_get_u32(in);

	if (count > OUTQ_MAX || passing > count || (passing && !bus->paused))
		return -EINVAL;
	for (u32 i = 0; i < count; i++) {
		u8 bytes[VMBUS_MESSAGE_MAX];
		u32 vp = stream_get_u32(in), sint = stream_get_u32(in), len = message_len(in);

		stream_get_bytes(in, bytes, len);
		outq_push(q, vp, sint, bytes, len);
	}
	q->held = bus->paused;
	q->passing = passing;
	return 0;
}

/* The device on the bus that was saved, not found yet. */
static struct vmbus_device *device_find(const struct before *before, const struct guid *instance,
					const struct guid *type, u32 channels)
{
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		const struct vmbus_channel *ch = before->channel[i];

		if (ch && !ch->sub_index && !ch->relid &&
		    guid_equal(&ch->device->instance, instance) &&
		    guid_equal(&ch->device->ops->type, type) &&
		    ch->device->sub_channels_max + 1u == channels)
			return ch->device;
	}
	return NULL;
}

static int monitor_restore(struct vmbus_channel *ch, u8 id)
{
	struct vmbus *bus = ch->bus;

	ch->monitor_id = VMBUS_MONITOR_NONE;
	if (id == VMBUS_MONITOR_NONE)
		return 0;
	if (id >= VMBUS_MONITORS || bus->monitor_taken[id] ||
	    (!ch->device->monitor_us && !device_gone(ch->device)))
		return -EINVAL;
	bus->monitor_taken[id] = true;
	ch->monitor_id = id;
	return 0;
}

static int relid_restore(struct vmbus_channel *ch, u32 relid)
{
	if (!relid || relid > VMBUS_CHANNELS_MAX || ch->bus->channel[relid - 1])
		return -EINVAL;
	ch->bus->channel[relid - 1] = ch;
	ch->relid = relid;
	return 0;
}

static int channel_place(struct vmbus_channel *ch, u32 relid, u8 monitor_id, u8 flags)
{
	if (flags & ~VMBUS_SAVED_ALL || relid_restore(ch, relid) || monitor_restore(ch, monitor_id))
		return -EINVAL;
	ch->wanted = flags & VMBUS_SAVED_WANTED;
	ch->offered = flags & VMBUS_SAVED_OFFERED;
	ch->rescinded = flags & VMBUS_SAVED_RESCINDED;
	ch->released = flags & VMBUS_SAVED_RELEASED;
	ch->reserved = flags & VMBUS_SAVED_RESERVED;
	return 0;
}

/* Of a saved device's first channel: is it one the host has taken away? Its flags decide. */
static bool device_taken_away(const struct stream_in *in)
{
	struct stream_in ahead = *in;

	stream_get_u32(&ahead);
	stream_get_u8(&ahead);
	return !(stream_get_u8(&ahead) & VMBUS_SAVED_WANTED);
}

/* What a device has besides its channels: only looked at, see states_apply(). */
static int state_check(struct vmbus_device *dev, struct before *before, struct stream_in *in)
{
	struct stream_in state = stream_get_section(in, VMBUS_SECTION_DEVICE);
	int err = state.bad ? -EINVAL : 0;

	before->state[dev->channel->relid - 1] = state;
	if (!err && dev->ops->restore_state)
		err = dev->ops->restore_state(dev, &state, false);
	return err || stream_done(&state) ? err : -EINVAL;
}

static int restore_device(struct vmbus *bus, struct before *before, struct stream_in *in)
{
	struct guid instance, type;
	struct vmbus_device *dev;
	u32 channels;
	int err = 0;

	stream_get_bytes(in, &instance, sizeof(instance));
	stream_get_bytes(in, &type, sizeof(type));
	channels = stream_get_u16(in);
	if (in->bad || !channels || channels > VMBUS_CHANNELS_MAX)
		return -EINVAL;
	if (device_taken_away(in)) {
		dev = gone_new(bus, &instance, &type, channels);
		if (!dev)
			return -ENOMEM;
	} else {
		dev = device_find(before, &instance, &type, channels);
		if (!dev)
			return -ENODEV;
	}
	for (u32 i = 0; !err && i < channels; i++) {
		u32 relid = stream_get_u32(in);
		u8 monitor_id = stream_get_u8(in);
		u8 flags = stream_get_u8(in);

		err = in->bad ? -EINVAL : channel_place(&dev->channel[i], relid, monitor_id, flags);
	}
	if (!err)
		err = state_check(dev, before, in);
	if (err && device_gone(dev))
		gone_drop(bus, dev);
	return err;
}

/* Those that were not saved come after all others: what is left is theirs. */
static int place_others(const struct vmbus *bus, const struct before *before)
{
	u32 used = 0;

	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++)
		used += bus->channel[i] != NULL;
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		struct vmbus_channel *ch = before->channel[i];

		if (!ch || ch->relid)
			continue;
		if (used++ == VMBUS_CHANNELS_MAX)
			return -ENOSPC;
		offer_place(ch);
	}
	return 0;
}

static int restore_devices(struct vmbus *bus, struct before *before, struct stream_in *in)
{
	u32 count = stream_get_u32(in);
	int err = count > VMBUS_CHANNELS_MAX ? -EINVAL : 0;

	for (; !err && count; count--)
		err = restore_device(bus, before, in);
	return err ? err : place_others(bus, before);
}

static int restore_channels(struct vmbus *bus, struct stream_in *in)
{
	u32 count = stream_get_u32(in);
	int err = count > VMBUS_CHANNELS_MAX ? -EINVAL : 0;

	for (; !err && count; count--) {
		struct vmbus_channel *ch = offer_find(bus, stream_get_u32(in));

		if (!ch || ch->state != CHANNEL_CLOSED || ch->rescinded || !ch->wanted ||
		    (ch != ch->device->primary && ch->device->primary->state != CHANNEL_OPEN))
			return -EINVAL;
		err = channel_restore(ch, in);
	}
	return err;
}

/* ---- All of it ------------------------------------------------------------------------------- */

/* What is said of a channel in several places. */
static bool channel_agrees(const struct vmbus_channel *ch)
{
	bool open = ch->state == CHANNEL_OPEN;

	if (ch->offered && ch->bus->state != CONNECTION_UP && !ch->reserved)
		return false;
	if ((ch->rescinded && !ch->offered) || (ch->released && ch->offered) ||
	    (ch->reserved && !open))
		return false;
	if (ch->sub_index && ch->wanted && ch->device->primary->state != CHANNEL_OPEN)
		return false;
	/* Who is neither wanted nor known is not on the bus. */
	return ch->sub_index || ch->wanted || ch->offered || ch->device->sub_channels_max;
}

static bool restore_agrees(const struct vmbus *bus)
{
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++)
		if (bus->channel[i] && !channel_agrees(bus->channel[i]))
			return false;
	return true;
}

static int restore_section(struct vmbus *bus, struct before *before, u32 type, struct stream_in *in)
{
	switch (type) {
	case VMBUS_SECTION_BUS:
		return restore_bus(bus, in);
	case VMBUS_SECTION_INBOX:
		return restore_inbox(bus, in);
	case VMBUS_SECTION_OUTQ:
		return restore_outq(bus, in);
	case VMBUS_SECTION_DEVICES:
		return restore_devices(bus, before, in);
	case VMBUS_SECTION_GPADLS:
		return gpadl_restore_all(bus, in);
	case VMBUS_SECTION_CHANNELS:
		return restore_channels(bus, in);
	default:
		return gpadl_restore_teardowns(bus, in);
	}
}

static int restore_sections(struct vmbus *bus, struct before *before, struct stream_in *in)
{
	for (u32 type = VMBUS_SECTION_BUS; type <= VMBUS_SECTION_TEARDOWNS; type++) {
		struct stream_in section = stream_get_section(in, type);
		int err = section.bad ? -EINVAL : restore_section(bus, before, type, &section);

		if (!err && !stream_done(&section))
			err = -EINVAL;
		if (err)
			return err;
	}
	return stream_done(in) && restore_agrees(bus) ? 0 : -EINVAL;
}

static void states_apply(struct vmbus *bus, const struct before *before)
{
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		struct stream_in state = before->state[i];

		if (state.at && bus->channel[i]->device->ops->restore_state)
			bus->channel[i]->device->ops->restore_state(bus->channel[i]->device, &state,
								    true);
	}
}

/* From here on the guest may notice. (Channels are run once they listen, signalled or not.) */
static void restore_start(struct vmbus *bus)
{
	offer_try_all(bus);
	loop_post(bus->control, &bus->slot_work);
}

static void before_take(struct vmbus *bus, struct before *before)
{
	memcpy(before->monitor_taken, bus->monitor_taken, sizeof(before->monitor_taken));
	memset(bus->monitor_taken, 0, sizeof(bus->monitor_taken));
	memset(before->state, 0, sizeof(before->state));
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		struct vmbus_channel *ch = bus->channel[i];

		before->channel[i] = ch;
		bus->channel[i] = NULL;
		if (!ch)
			continue;
		before->monitor_id[i] = ch->monitor_id;
		ch->relid = 0;
	}
}

/* Closes what was opened, and takes devices that are no more off again. */
static void channels_undo(struct vmbus *bus)
{
	for (u32 i = VMBUS_CHANNELS_MAX; i-- > 0;) {
		struct vmbus_channel *ch = bus->channel[i];

		if (!ch || ch->state != CHANNEL_OPEN)
			continue;
		channel_io_close(ch);
		channel_release(ch);
		ch->state = CHANNEL_CLOSED;
	}
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		struct vmbus_channel *ch = bus->channel[i];

		if (ch && device_gone(ch->device))
			gone_drop(bus, ch->device);
	}
}

static void before_give(struct vmbus *bus, const struct before *before)
{
	memcpy(bus->monitor_taken, before->monitor_taken, sizeof(bus->monitor_taken));
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		struct vmbus_channel *ch = before->channel[i];

		bus->channel[i] = ch;
		if (!ch)
			continue;
		ch->relid = i + 1;
		ch->monitor_id = before->monitor_id[i];
		ch->wanted = !ch->sub_index;
		ch->offered = ch->rescinded = ch->released = ch->reserved = false;
	}
}

static void restore_undo(struct vmbus *bus, const struct before *before)
{
	channels_undo(bus);
	gpadl_free_all(bus);
	before_give(bus, before);
	interrupt_page_clear(bus);
	outq_clear(&bus->outq);
	bus->monitor_page = NULL;
	bus->inbox_count = 0;
	bus->state = CONNECTION_NONE;
	bus->version = bus->features = bus->msg_vp = 0;
	bus->msg_sint = VMBUS_SINT;
	bus->offers_sent = bus->paused = false;
	atomic_store(&bus->status_contacted, false);
	atomic_store(&bus->status_version, 0);
	atomic_store(&bus->status_open, 0);
	atomic_store(&bus->status_messages, 0);
	atomic_store(&bus->status_out_of_place, 0);
}

static int header_check(struct stream_in *in)
{
	u8 magic[VMBUS_STATE_MAGIC_SIZE];
	u32 version, crc;
	const u8 *from;

	stream_get_bytes(in, magic, sizeof(magic));
	version = stream_get_u32(in);
	crc = stream_get_u32(in);
	if (in->bad || memcmp(magic, VMBUS_STATE_MAGIC, sizeof(magic)) != 0)
		return -EINVAL;
	if (version != VMBUS_STATE_VERSION)
		return -EPROTONOSUPPORT;
	from = in->at;
	if (stream_crc32(from, in->left) != crc || stream_get_u64(in) != in->left)
		return -EINVAL;
	return in->bad ? -EINVAL : 0;
}

static bool bus_fresh(const struct vmbus *bus)
{
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		const struct vmbus_channel *ch = bus->channel[i];

		if (ch && (ch->offered || !channel_idle(ch)))
			return false;
	}
	return bus->state == CONNECTION_NONE && !bus->gpadls && !bus->inbox_count;
}

int vmbus_restore(struct vmbus *bus, const void *bytes, size_t len)
{
	struct stream_in in = { .at = bytes, .left = len };
	struct before before;
	int err = header_check(&in);

	if (err)
		return err;
	if (!bus_fresh(bus))
		return -EBUSY;
	before_take(bus, &before);
	/* A device that has to close again must not wait for a loop. */
	bus->ending = true;
	err = restore_sections(bus, &before, &in);
	if (err)
		restore_undo(bus, &before);
	else
		states_apply(bus, &before);
	bus->ending = false;
	trace_vmbus_restore(len, err);
	if (!err)
		restore_start(bus);
	return err;
}
