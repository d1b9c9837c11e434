/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sockets (hvsock): a guest's connect request goes to whoever listens; success is an offer of a
 * channel, failure a message (from 4.1; older guests wait until they give up). Control loop.
 */
#include <string.h>

#include "vmbus/server.h"

void vmbus_on_connect(struct vmbus *bus, vmbus_connect_fn *fn, void *ctx)
{
	bus->connect = fn;
	bus->connect_ctx = ctx;
}

/* What a service is known by: its GUID's first 32 bits; on Linux the port of a vsock. */
static u32 service_number(const struct vmbus_connect *request)
{
	u32 number;

	memcpy(&number, &request->service, sizeof(number));
	return number;
}

void vmbus_connect_refuse(struct vmbus *bus, const struct vmbus_connect *request)
{
	struct vmbus_msg_tl_connect_result result = {
		.header.msgtype = VMBUS_MSG_TL_CONNECT_RESULT,
		.status = VMBUS_STATUS_CONNECTION_REFUSED,
	};

	trace_vmbus_tl_connect_refused(service_number(request));
	if (bus->state != CONNECTION_UP || bus->version < VMBUS_VERSION_WIN10_V4_1)
		return;
	memcpy(result.guest_endpoint_id, &request->endpoint, sizeof(request->endpoint));
	memcpy(result.host_service_id, &request->service, sizeof(request->service));
	vmbus_post(bus, &result, sizeof(result));
}

void tl_connect_request(struct vmbus *bus, const void *bytes, u32 len)
{
	struct vmbus_msg_tl_connect_request msg;
	struct vmbus_connect request = { 0 };

	memcpy(&msg, bytes, sizeof(msg));
	memcpy(&request.endpoint, msg.guest_endpoint_id, sizeof(request.endpoint));
	memcpy(&request.service, msg.host_service_id, sizeof(request.service));
	if (bus->version >= VMBUS_VERSION_WIN10_V5_2 && len >= VMBUS_TL_CONNECT_REQUEST_SIZE_SILO)
		memcpy(&request.silo, (const u8 *)bytes + sizeof(msg), sizeof(request.silo));
	trace_vmbus_tl_connect_request(service_number(&request));
	if (!bus->connect || bus->connect(bus->connect_ctx, &request))
		vmbus_connect_refuse(bus, &request);
}
