/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The smallest useful device: it sends every packet back, as a completion where one is wanted, else
 * as a packet of its own. GPA-direct packets have the bytes of their guest ranges inverted in
 * place first. vmbus/DEVICES.md goes through it line by line. All of it runs on the channel's loop.
 */
#include "tests/boot/echo.h"

#include <errno.h>
#include <stdlib.h>

#define ECHO_RANGES_MAX 64u /* pieces of host memory that one packet's ranges may come to */

/* What an open channel has. */
struct echo {
	struct vmbus_packet pkt; /* the last one received; its bytes lie in buf */
	bool unsent; /* ... and its answer has found no room yet */
	u8 buf[VMBUS_PACKET_MAX];
};

static int echo_open(struct vmbus_channel *ch)
{
	struct echo *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	channel_set_data(ch, e);
	return 0;
}

/* Nothing is under way between two calls of ready(), so that it can close at once. */
static void echo_close(struct vmbus_channel *ch)
{
	free(channel_data(ch));
	channel_closed(ch);
}

/* What the ranges name is the guest's own memory: it may change meanwhile, but it is there. */
static void echo_invert(const struct vmbus_channel *ch, const struct vmbus_packet *pkt)
{
	struct iovec iov[ECHO_RANGES_MAX];
	u32 total;
	int count = gpa_range_iov(channel_mem(ch), pkt->ranges, pkt->ranges_size, pkt->range_count,
				  iov, ECHO_RANGES_MAX, &total);

	for (int i = 0; i < count; i++)
		for (size_t n = 0; n < iov[i].iov_len; n++)
			((u8 *)iov[i].iov_base)[n] ^= 0xff;
}

static void echo_answer(struct vmbus_channel *ch, struct echo *e)
{
	const struct vmbus_packet *pkt = &e->pkt;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)pkt->payload,
			     .iov_len = pkt->payload_size };
	u16 type = pkt->completion_wanted ? VMBUS_PACKET_COMPLETION : VMBUS_PACKET_INBAND;

	e->unsent = channel_send(ch, type, false, pkt->transaction_id, &iov, 1) == -EAGAIN;
}

static void echo_ready(struct vmbus_channel *ch)
{
	struct echo *e = channel_data(ch);
	int got;

	if (e->unsent)
		echo_answer(ch, e);
	while (!e->unsent && (got = channel_recv(ch, e->buf, &e->pkt))) {
		if (got < 0)
			continue; /* the guest's fault: skipped */
		if (e->pkt.type == VMBUS_PACKET_GPA_DIRECT)
			echo_invert(ch, &e->pkt);
		echo_answer(ch, e);
	}
}

const struct vmbus_device_ops echo_ops = {
	.name = "echo",
	.type = GUID(0x6563686f, 0x0ca1, 0x4de1, 0xa0, 0x65, 0x63, 0x68, 0x6f, 0x64, 0x65, 0x76),
	.packet_max = VMBUS_PACKET_MAX,
	.open = echo_open,
	.ready = echo_ready,
	.close = echo_close,
};

void echo_init(struct vmbus_device *dev, u16 number, u32 monitor_us)
{
	*dev = (struct vmbus_device){
		.ops = &echo_ops,
		.instance = GUID(0x6563686f, 0x0ca1, 0x4173, 0x80, 0x65, 0x63, 0x68, 0x6f, 0,
				 number >> 8, number),
		.monitor_us = monitor_us,
	};
}
