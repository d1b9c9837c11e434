/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/vmbus/mirror.h"

#include <errno.h>
#include <stdlib.h>

/* Of a channel. */
struct image {
	u8 buf[4096];
	struct vmbus_packet pkt;
	bool blocked; /* pkt found no room */
	u64 sent; /* packets of its own */
};

static int mirror_open(struct vmbus_channel *ch)
{
	channel_set_data(ch, calloc(1, sizeof(struct image)));
	if (!channel_sub_index(ch))
		channel_offer_subs(ch, channel_device(ch)->sub_channels_max);
	return channel_data(ch) ? 0 : -ENOMEM;
}

static bool send_back(struct vmbus_channel *ch, struct image *m)
{
	m->blocked = channel_complete(ch, m->pkt.transaction_id, m->pkt.payload,
				      m->pkt.payload_size) == -EAGAIN;
	return !m->blocked;
}

/* False: no room. */
static bool send_own(struct vmbus_channel *ch, struct image *m)
{
	struct mirror *mirror = container_of(channel_device(ch), struct mirror, dev);
	struct iovec iov = { .iov_base = &m->sent, .iov_len = sizeof(m->sent) };

	for (; !channel_sub_index(ch) && m->sent < mirror->to_send; m->sent++)
		if (channel_send(ch, VMBUS_PACKET_INBAND, false, m->sent, &iov, 1))
			return false;
	return true;
}

static void mirror_ready(struct vmbus_channel *ch)
{
	struct image *m = channel_data(ch);

	if (m->blocked && !send_back(ch, m))
		return;
	if (!send_own(ch, m))
		return;
	while (channel_recv(ch, m->buf, &m->pkt) == 1)
		if (!send_back(ch, m))
			return;
}

static void mirror_close(struct vmbus_channel *ch)
{
	free(channel_data(ch));
	channel_closed(ch);
}

/* It has nothing under way on a loop but within ready(). */
static void mirror_attach(struct vmbus_channel *ch)
{
	(void)ch;
}

/* Sends to the last, which a device may. */
static void mirror_freeze(struct vmbus_channel *ch)
{
	struct image *m = channel_data(ch);

	if (!m->blocked)
		send_own(ch, m);
	channel_frozen(ch);
}

static void mirror_save(struct vmbus_channel *ch, struct stream_out *out)
{
	const struct image *m = channel_data(ch);

	stream_put_u64(out, m->sent);
	stream_put_u8(out, m->blocked);
	if (!m->blocked)
		return;
	stream_put_u64(out, m->pkt.transaction_id);
	stream_put_u32(out, m->pkt.payload_size);
	stream_put_bytes(out, m->pkt.payload, m->pkt.payload_size);
}

static int restore_blocked(struct image *m, struct stream_in *in)
{
	m->pkt.transaction_id = stream_get_u64(in);
	m->pkt.payload_size = stream_get_u32(in);
	if (m->pkt.payload_size > sizeof(m->buf))
		return -EINVAL;
	m->pkt.payload = m->buf;
	stream_get_bytes(in, m->buf, m->pkt.payload_size);
	return 0;
}

static int mirror_restore(struct vmbus_channel *ch, struct stream_in *in)
{
	struct image *m = calloc(1, sizeof(*m));
	int err = 0;

	if (!m)
		return -ENOMEM;
	m->sent = stream_get_u64(in);
	m->blocked = stream_get_bool(in);
	if (m->blocked)
		err = restore_blocked(m, in);
	if (err) {
		free(m);
		return err;
	}
	channel_set_data(ch, m);
	return 0;
}

const struct vmbus_device_ops mirror_ops = { .name = "mirror",
					     .type = { { 0xc4 } },
					     .packet_max = 4096,
					     .open = mirror_open,
					     .ready = mirror_ready,
					     .close = mirror_close,
					     .detach = channel_detached,
					     .attach = mirror_attach,
					     .freeze = mirror_freeze,
					     .save = mirror_save,
					     .restore = mirror_restore };
