/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The connection: every message the guest posts comes through the table below, which knows its
 * least size and when it may come; then contact, unload, and the reset that both begin with. A
 * guest is replaced by the next (firmware, boot loader, kernel, crash kernel) without a word of
 * farewell: INITIATE_CONTACT always starts from nothing.
 *
 * Control loop. Left out: versions before 2.4, whose interrupts go through a shared page, and 6.0;
 * guests are told so and try another.
 */
#include <string.h>

#include "vmbus/server.h"

/* ---- Contact --------------------------------------------------------------------------------- */

static bool version_supported(u32 version)
{
	static const u32 versions[] = {
		VMBUS_VERSION_WIN8,       VMBUS_VERSION_WIN8_1,     VMBUS_VERSION_WIN10,
		VMBUS_VERSION_WIN10_V4_1, VMBUS_VERSION_WIN10_V5,   VMBUS_VERSION_WIN10_V5_1,
		VMBUS_VERSION_WIN10_V5_2, VMBUS_VERSION_WIN10_V5_3,
	};

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++)
		if (versions[i] == version)
			return true;
	return false;
}

/* Where messages go from now on. False where the guest names a VP or SINT there is not. */
static bool contact_target(struct vmbus *bus, const struct vmbus_msg_initiate_contact *msg)
{
	u32 version = msg->vmbus_version_requested;
	u32 vp = version >= VMBUS_VERSION_WIN8_1 ? msg->target_vcpu : 0;
	u32 sint = version >= VMBUS_VERSION_WIN10_V5 ? msg->msg_sint : VMBUS_SINT;
	bool good = vp < bus->port->vp_count && sint >= 1 && sint <= 15;

	bus->msg_vp = good ? vp : 0;
	bus->msg_sint = good ? sint : VMBUS_SINT;
	return good;
}

static void contact_answer(struct vmbus *bus)
{
	const struct vmbus_msg_initiate_contact *msg = &bus->contact;
	u32 version = msg->vmbus_version_requested;
	bool good = contact_target(bus, msg) && version_supported(version);
	struct vmbus_msg_version_response response = {
		.header.msgtype = VMBUS_MSG_VERSION_RESPONSE,
		.version_supported = good,
	};

	if (good)
		response.msg_conn_id =
			version >= VMBUS_VERSION_WIN10_V5 ? VMBUS_MESSAGE_CONNECTION_ID : version;
	bus->state = good ? CONNECTION_UP : CONNECTION_NONE;
	bus->version = good ? version : 0;
	atomic_store(&bus->status_contacted, true);
	atomic_store(&bus->status_version, bus->version);
	vmbus_trace("initiate_contact", "version %u.%u vp %u sint %u: %s", version >> 16,
		    version & 0xffff, bus->msg_vp, bus->msg_sint, good ? "yes" : "no");
	vmbus_post(bus, &response, VMBUS_VERSION_RESPONSE_SIZE_OLD);
}

static void unload_answer(struct vmbus *bus)
{
	struct vmbus_msg_header response = { .msgtype = VMBUS_MSG_UNLOAD_RESPONSE };

	bus->state = CONNECTION_NONE;
	bus->version = 0;
	atomic_store(&bus->status_version, 0);
	vmbus_trace("unload", "done");
	vmbus_post(bus, &response, sizeof(response));
}

/* ---- Reset ----------------------------------------------------------------------------------- */

/* Everything the last guest set up goes; `message` is answered once it has gone. */
static void reset_begin(struct vmbus *bus, u32 message)
{
	bus->state = CONNECTION_RESETTING;
	bus->reset_by = message;
	outq_clear(&bus->outq);
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++)
		if (bus->channel[i])
			channel_shut(bus->channel[i]);
	connection_reset_step(bus);
}

static bool channels_idle(const struct vmbus *bus)
{
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++)
		if (bus->channel[i] && !channel_idle(bus->channel[i]))
			return false;
	return true;
}

/* The offers of the last connection mean nothing in the next. */
static void offers_forget(struct vmbus *bus)
{
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		struct vmbus_channel *ch = bus->channel[i];

		if (!ch)
			continue;
		ch->offered = false;
		if (ch->rescinded)
			offer_free(ch);
	}
	bus->offers_sent = false;
}

void connection_reset_step(struct vmbus *bus)
{
	if (bus->state != CONNECTION_RESETTING || !channels_idle(bus))
		return;
	gpadl_drop(bus, 0);
	if (bus->gpadl_count)
		return;
	offers_forget(bus);
	outq_clear(&bus->outq);
	if (bus->reset_by == VMBUS_MSG_INITIATE_CONTACT)
		contact_answer(bus);
	else
		unload_answer(bus);
	/* Messages waited for the end of the reset. */
	loop_post(bus->control, &bus->inbox_work);
}

static void initiate_contact(struct vmbus *bus, const void *msg, u32 len)
{
	(void)len;
	memcpy(&bus->contact, msg, sizeof(bus->contact));
	reset_begin(bus, VMBUS_MSG_INITIATE_CONTACT);
}

static void unload(struct vmbus *bus, const void *msg, u32 len)
{
	(void)msg;
	(void)len;
	reset_begin(bus, VMBUS_MSG_UNLOAD);
}

/* Sockets to the host are not served: say so, or the guest waits for nothing. */
static void tl_connect_request(struct vmbus *bus, const void *msg, u32 len)
{
	struct vmbus_msg_tl_connect_request request;
	struct vmbus_msg_tl_connect_result result = {
		.header.msgtype = VMBUS_MSG_TL_CONNECT_RESULT,
		.status = VMBUS_STATUS_CONNECTION_REFUSED,
	};

	(void)len;
	memcpy(&request, msg, sizeof(request));
	memcpy(result.guest_endpoint_id, request.guest_endpoint_id, 16);
	memcpy(result.host_service_id, request.host_service_id, 16);
	vmbus_post(bus, &result, sizeof(result));
}

/* ---- Dispatch -------------------------------------------------------------------------------- */

#define IN(state) (1u << (state))
#define ANY_STATE (IN(CONNECTION_NONE) | IN(CONNECTION_UP))

static const struct {
	const char *name;
	connection_handler *handle; /* NULL: not for the host */
	u32 size; /* bytes at least */
	u32 states;
	u32 since; /* version; 0: always */
} dispatch[VMBUS_MSG_COUNT] = {
	[VMBUS_MSG_REQUEST_OFFERS] = { "request_offers", offer_request,
				       sizeof(struct vmbus_msg_header), IN(CONNECTION_UP), 0 },
	[VMBUS_MSG_OPEN_CHANNEL] = { "open_channel", channel_open,
				     sizeof(struct vmbus_msg_open_channel), IN(CONNECTION_UP), 0 },
	[VMBUS_MSG_CLOSE_CHANNEL] = { "close_channel", channel_close,
				      sizeof(struct vmbus_msg_relid), IN(CONNECTION_UP), 0 },
	[VMBUS_MSG_GPADL_HEADER] = { "gpadl_header", gpadl_header,
				     sizeof(struct vmbus_msg_gpadl_header), IN(CONNECTION_UP), 0 },
	[VMBUS_MSG_GPADL_BODY] = { "gpadl_body", gpadl_body, sizeof(struct vmbus_msg_gpadl_body),
				   IN(CONNECTION_UP), 0 },
	[VMBUS_MSG_GPADL_TEARDOWN] = { "gpadl_teardown", gpadl_teardown,
				       sizeof(struct vmbus_msg_gpadl_teardown), IN(CONNECTION_UP),
				       0 },
	[VMBUS_MSG_RELID_RELEASED] = { "relid_released", offer_relid_released,
				       sizeof(struct vmbus_msg_relid), IN(CONNECTION_UP), 0 },
	[VMBUS_MSG_INITIATE_CONTACT] = { "initiate_contact", initiate_contact,
					 sizeof(struct vmbus_msg_initiate_contact), ANY_STATE, 0 },
	[VMBUS_MSG_UNLOAD] = { "unload", unload, sizeof(struct vmbus_msg_header), ANY_STATE, 0 },
	[VMBUS_MSG_TL_CONNECT_REQUEST] = { "tl_connect_request", tl_connect_request,
					   sizeof(struct vmbus_msg_tl_connect_request),
					   IN(CONNECTION_UP), VMBUS_VERSION_WIN10 },
	[VMBUS_MSG_MODIFY_CHANNEL] = { "modify_channel", channel_modify,
				       sizeof(struct vmbus_msg_modify_channel), IN(CONNECTION_UP),
				       VMBUS_VERSION_WIN10_V4_1 },
};

static void connection_message(struct vmbus *bus, const struct inbox_message *m)
{
	struct vmbus_msg_header header = { 0 };
	u32 type;

	if (m->len >= sizeof(header))
		memcpy(&header, m->bytes, sizeof(header));
	type = header.msgtype;
	if (type >= VMBUS_MSG_COUNT || !dispatch[type].handle) {
		log_guest(&bus->bad_message, "vmbus: message of unknown type %u, %u bytes", type,
			  m->len);
		return;
	}
	vmbus_trace("recv_message", "%s len %u", dispatch[type].name, m->len);
	if (m->len < dispatch[type].size || !(dispatch[type].states & IN(bus->state)) ||
	    bus->version < dispatch[type].since) {
		log_guest(&bus->bad_message, "vmbus: %s of %u bytes out of place",
			  dispatch[type].name, m->len);
		return;
	}
	dispatch[type].handle(bus, m->bytes, m->len);
}

void connection_process(struct vmbus *bus)
{
	struct inbox_message m;

	for (u32 n = 0; n < VMBUS_INBOX_MAX; n++) {
		/* A reset and a full queue both end in another call. */
		if (bus->state == CONNECTION_RESETTING ||
		    outq_room(&bus->outq) < VMBUS_OUTQ_RESERVE)
			return;
		if (!vmbus_inbox_take(bus, &m))
			return;
		if (m.connection_id != VMBUS_MESSAGE_CONNECTION_ID &&
		    m.connection_id != VMBUS_MESSAGE_CONNECTION_ID_4)
			log_guest(&bus->bad_message, "vmbus: message to connection id %u",
				  m.connection_id);
		else
			connection_message(bus, &m);
	}
	loop_post(bus->control, &bus->inbox_work);
}
