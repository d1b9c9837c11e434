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
	bool multi = STORVSP_SUB_CHANNELS && q->sc->s->version >= VSTOR_VERSION_WIN8;

	(void)pkt;
	memset(q->packet.bytes, 0, sizeof(q->packet.bytes));
	q->packet.properties.max_channel_cnt = multi ? STORVSP_SUB_CHANNELS : 0;
	q->packet.properties.flags = multi ? VSTOR_SUPPORTS_MULTI_CHANNEL : 0;
	q->packet.properties.max_transfer_bytes = SCSI_TRANSFER_MAX;
	q->sc->s->state = STORVSP_END;
	return NT_SUCCESS;
}

static enum nt_status end(struct storvsp_request *q, const struct vmbus_packet *pkt)
{
	(void)pkt;
	q->sc->s->state = STORVSP_READY;
	return NT_SUCCESS;
}

/* None were on offer. */
static enum nt_status create_sub_channels(struct storvsp_request *q, const struct vmbus_packet *pkt)
{
	(void)pkt;
	return q->packet.sub_channel_count ? NT_INVALID_PARAMETER : NT_SUCCESS;
}

/* What is under way completes as it would have: the guest waits for it after a reset. */
static enum nt_status reset(struct storvsp_request *q, const struct vmbus_packet *pkt)
{
	(void)q;
	(void)pkt;
	return NT_SUCCESS;
}

static const struct {
	enum nt_status (*handle)(struct storvsp_request *q, const struct vmbus_packet *pkt);
	u32 min_size; /* bytes of packet */
	unsigned states;
} operations[VSTOR_OPERATIONS] = {
	[VSTOR_BEGIN_INITIALIZATION] = { begin, VSTOR_HEADER_SIZE, STORVSP_BEGIN },
	[VSTOR_QUERY_PROTOCOL_VERSION] = { query_version, VSTOR_HEADER_SIZE + 4, STORVSP_VERSION },
	[VSTOR_QUERY_PROPERTIES] = { query_properties,
				     VSTOR_HEADER_SIZE + sizeof(struct vstor_properties),
				     STORVSP_PROPERTIES },
	[VSTOR_END_INITIALIZATION] = { end, VSTOR_HEADER_SIZE, STORVSP_END },
	[VSTOR_CREATE_SUB_CHANNELS] = { create_sub_channels, VSTOR_HEADER_SIZE + 2,
					STORVSP_END | STORVSP_READY },
	[VSTOR_EXECUTE_SRB] = { storvsp_execute, VSTOR_PACKET_WIN7, STORVSP_READY },
	[VSTOR_RESET_LUN] = { reset, VSTOR_HEADER_SIZE, STORVSP_READY },
	[VSTOR_RESET_BUS] = { reset, VSTOR_HEADER_SIZE, STORVSP_READY },
	[VSTOR_RESET_ADAPTER] = { reset, VSTOR_HEADER_SIZE, STORVSP_READY },
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
	if (!(operations[op].states & s->state) || (!primary && op != VSTOR_EXECUTE_SRB))
		return NT_INVALID_DEVICE_STATE;
	return operations[op].handle(q, pkt);
}
