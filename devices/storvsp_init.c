/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each vstor operation needs and when it may come: one table. Setting up goes BEGIN, VERSION
 * (until one is agreed on), PROPERTIES, END; then requests flow.
 */
#include <string.h>

#include "devices/storvsp.h"

static enum nt_status begin(struct storvsp_request *q, const struct vmbus_packet *pkt)
{
	(void)pkt;
	q->sc->s->state = STORVSP_VERSION;
	return NT_SUCCESS;
}

bool storvsp_version_known(u16 version)
{
	static const u16 known[] = { VSTOR_VERSION_WIN6, VSTOR_VERSION_WIN7, VSTOR_VERSION_WIN8,
				     VSTOR_VERSION_WIN8_1, VSTOR_VERSION_WIN10 };

	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i] == version)
			return true;
	return false;
}

static enum nt_status query_version(struct storvsp_request *q, const struct vmbus_packet *pkt)
{
	u16 version = q->packet.version.major_minor;

	(void)pkt;
	q->packet.version.revision = 0;
	if (!storvsp_version_known(version))
		return NT_REVISION_MISMATCH;
	q->sc->s->version = version;
	q->sc->s->state = STORVSP_PROPERTIES;
	return NT_SUCCESS;
}

static enum nt_status query_properties(struct storvsp_request *q, const struct vmbus_packet *pkt)
{
	struct storvsp *s = q->sc->s;
	u16 subs = s->version >= VSTOR_VERSION_WIN8 ? s->device.sub_channels_max : 0;

	(void)pkt;
	memset(q->packet.bytes, 0, sizeof(q->packet.bytes));
	q->packet.properties.max_channel_cnt = subs;
	q->packet.properties.flags = subs ? VSTOR_SUPPORTS_MULTI_CHANNEL : 0;
	q->packet.properties.max_transfer_bytes = SCSI_TRANSFER_MAX;
	s->state = STORVSP_END;
	return NT_SUCCESS;
}

static enum nt_status end(struct storvsp_request *q, const struct vmbus_packet *pkt)
{
	(void)pkt;
	q->sc->s->state = STORVSP_READY;
	return NT_SUCCESS;
}

/* The offers go out behind the answer. */
static enum nt_status create_sub_channels(struct storvsp_request *q, const struct vmbus_packet *pkt)
{
	struct storvsp *s = q->sc->s;

	(void)pkt;
	if (s->version < VSTOR_VERSION_WIN8)
		return NT_INVALID_DEVICE_REQUEST;
	if (q->packet.sub_channel_count > s->device.sub_channels_max)
		return NT_INVALID_PARAMETER;
	channel_offer_subs(q->sc->ch, q->packet.sub_channel_count);
	return NT_SUCCESS;
}

#define PRIMARY false
#define ANY_CHANNEL true

/* What a sub-channel does not have comes on the primary channel only. FC operations are unknown. */
static const struct {
	enum nt_status (*handle)(struct storvsp_request *q, const struct vmbus_packet *pkt);
	u32 min_size; /* bytes of packet */
	unsigned states;
	bool any_channel;
} operations[VSTOR_OPERATIONS] = {
	[VSTOR_BEGIN_INITIALIZATION] = { begin, VSTOR_HEADER_SIZE, STORVSP_BEGIN, PRIMARY },
	[VSTOR_QUERY_PROTOCOL_VERSION] = { query_version, VSTOR_HEADER_SIZE + 4, STORVSP_VERSION,
					   PRIMARY },
	[VSTOR_QUERY_PROPERTIES] = { query_properties,
				     VSTOR_HEADER_SIZE + sizeof(struct vstor_properties),
				     STORVSP_PROPERTIES, PRIMARY },
	[VSTOR_END_INITIALIZATION] = { end, VSTOR_HEADER_SIZE, STORVSP_END, PRIMARY },
	[VSTOR_CREATE_SUB_CHANNELS] = { create_sub_channels, VSTOR_HEADER_SIZE + 2,
					STORVSP_END | STORVSP_READY, PRIMARY },
	[VSTOR_EXECUTE_SRB] = { storvsp_execute, VSTOR_PACKET_WIN7, STORVSP_READY, ANY_CHANNEL },
	[VSTOR_RESET_LUN] = { storvsp_reset, VSTOR_ADDRESS_SIZE, STORVSP_READY, ANY_CHANNEL },
	[VSTOR_RESET_BUS] = { storvsp_reset, VSTOR_HEADER_SIZE, STORVSP_READY, ANY_CHANNEL },
	[VSTOR_RESET_ADAPTER] = { storvsp_reset, VSTOR_HEADER_SIZE, STORVSP_READY, ANY_CHANNEL },
};

enum nt_status storvsp_operation(struct storvsp_request *q, const struct vmbus_packet *pkt)
{
	struct storvsp *s = q->sc->s;
	u32 op = q->packet.operation;
	bool primary = q->sc == s->channel;

	if (q->size < VSTOR_HEADER_SIZE)
		return NT_INVALID_PARAMETER;
	if (op >= ARRAY_SIZE(operations) || !operations[op].handle)
		return NT_INVALID_DEVICE_REQUEST;
	if (q->size < operations[op].min_size)
		return NT_INVALID_PARAMETER;
	if (!(operations[op].states & s->state) || (!primary && !operations[op].any_channel))
		return NT_INVALID_DEVICE_STATE;
	return operations[op].handle(q, pkt);
}
