/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest may post, and when: every message comes through the table below, which knows its
 * least size, the states of the connection it may come in, the version and the features it takes.
 * What is out of place is counted and ignored. Control loop.
 *
 *	state       contact, unload   CLOSE_RESERVED    RESUME   all others
 *	NONE        handled           handled           ignored  ignored
 *	UP          handled           handled           handled  handled
 *	UP, paused  handled           ignored           handled  ignored
 *	RESETTING   nothing is looked at until the reset is over
 */
#include <string.h>

#include "vmbus/server.h"

#define IN(state) (1u << (state))
#define UP IN(CONNECTION_UP)
#define ANY (IN(CONNECTION_NONE) | IN(CONNECTION_UP))
#define SIZE(name) sizeof(struct vmbus_msg_##name)

struct message_rule {
	const char *name;
	message_handler *handle; /* NULL: not for the host */
	u32 size; /* bytes at least */
	u32 states;
	bool while_paused;
	u32 since; /* version; 0: always */
	u32 feature; /* to be negotiated; 0: none */
};

/* clang-format off */
static const struct message_rule rules[VMBUS_MSG_COUNT] = {
	[VMBUS_MSG_REQUEST_OFFERS] =
		{ "request_offers", offer_request, SIZE(header), UP, false, 0, 0 },
	[VMBUS_MSG_OPEN_CHANNEL] =
		{ "open_channel", channel_open, SIZE(open_channel), UP, false, 0, 0 },
	[VMBUS_MSG_CLOSE_CHANNEL] =
		{ "close_channel", channel_close, SIZE(relid), UP, false, 0, 0 },
	[VMBUS_MSG_GPADL_HEADER] =
		{ "gpadl_header", gpadl_header, SIZE(gpadl_header), UP, false, 0, 0 },
	[VMBUS_MSG_GPADL_BODY] =
		{ "gpadl_body", gpadl_body, SIZE(gpadl_body), UP, false, 0, 0 },
	[VMBUS_MSG_GPADL_TEARDOWN] =
		{ "gpadl_teardown", gpadl_teardown, SIZE(gpadl_teardown), UP, false, 0, 0 },
	[VMBUS_MSG_RELID_RELEASED] =
		{ "relid_released", offer_relid_released, SIZE(relid), UP, false, 0, 0 },
	[VMBUS_MSG_INITIATE_CONTACT] =
		{ "initiate_contact", connection_contact, SIZE(initiate_contact), ANY, true, 0, 0 },
	[VMBUS_MSG_UNLOAD] =
		{ "unload", connection_unload, SIZE(header), ANY, true, 0, 0 },
	[VMBUS_MSG_OPEN_RESERVED_CHANNEL] =
		{ "open_reserved_channel", channel_open_reserved, SIZE(open_reserved), UP, false,
		  VMBUS_VERSION_WIN10, 0 },
	[VMBUS_MSG_CLOSE_RESERVED_CHANNEL] =
		{ "close_reserved_channel", channel_close_reserved, SIZE(close_reserved), ANY,
		  false, 0, 0 },
	[VMBUS_MSG_TL_CONNECT_REQUEST] =
		{ "tl_connect_request", tl_connect_request, SIZE(tl_connect_request), UP, false,
		  VMBUS_VERSION_WIN10, 0 },
	[VMBUS_MSG_MODIFY_CHANNEL] =
		{ "modify_channel", channel_modify, SIZE(modify_channel), UP, false,
		  VMBUS_VERSION_WIN10_V4_1, 0 },
	[VMBUS_MSG_MODIFY_CONNECTION] =
		{ "modify_connection", connection_modify, SIZE(modify_connection), UP, false,
		  VMBUS_VERSION_V6_0, VMBUS_FEATURE_MODIFY_CONNECTION },
	[VMBUS_MSG_PAUSE] =
		{ "pause", connection_pause, SIZE(header), UP, false,
		  VMBUS_VERSION_V6_0, VMBUS_FEATURE_PAUSE_RESUME },
	[VMBUS_MSG_RESUME] =
		{ "resume", connection_resume, SIZE(header), UP, true,
		  VMBUS_VERSION_V6_0, VMBUS_FEATURE_PAUSE_RESUME },
};
/* clang-format on */

/* What the table asks of a message, or NULL: it may come now. */
static const char *message_refusal(const struct vmbus *bus, const struct message_rule *rule,
				   u32 len)
{
	if (len < rule->size)
		return "too short";
	if (!(rule->states & IN(bus->state)))
		return "without a connection";
	if (bus->version < rule->since || (bus->features & rule->feature) != rule->feature)
		return "not of this version";
	if (bus->paused && !rule->while_paused)
		return "while paused";
	return NULL;
}

void message_out_of_place(struct vmbus *bus, const char *what, u32 relid)
{
	atomic_fetch_add_explicit(&bus->status_out_of_place, 1, memory_order_relaxed);
	trace_vmbus_out_of_place(what, relid);
}

static void message_refuse(struct vmbus *bus, const char *name, u32 len, const char *why)
{
	atomic_fetch_add_explicit(&bus->status_out_of_place, 1, memory_order_relaxed);
	trace_vmbus_message_refused(name, len, why);
	log_guest(&bus->bad_message, "vmbus: %s of %u bytes, %s: ignored", name, len, why);
}

static void message_handle(struct vmbus *bus, const struct inbox_message *m)
{
	struct vmbus_msg_header header = { 0 };
	const char *why;

	if (m->len >= sizeof(header))
		memcpy(&header, m->bytes, sizeof(header));
	trace_vmbus_process_incoming_message(header.msgtype, m->len);
	if (header.msgtype >= VMBUS_MSG_COUNT || !rules[header.msgtype].handle) {
		message_refuse(bus, "a message", m->len, "of unknown type");
		return;
	}
	why = message_refusal(bus, &rules[header.msgtype], m->len);
	if (why) {
		message_refuse(bus, rules[header.msgtype].name, m->len, why);
		return;
	}
	bus->multiclient = m->connection_id == VMBUS_MESSAGE_CONNECTION_ID_4;
	rules[header.msgtype].handle(bus, m->bytes, m->len);
}

/*
 * A paused guest is not answered, so that it needs no room; what ends the pause must get through.
 */
static bool message_room(const struct vmbus *bus)
{
	return bus->paused || outq_room(&bus->outq) >= VMBUS_OUTQ_RESERVE;
}

void message_process(struct vmbus *bus)
{
	struct inbox_message m;

	for (u32 n = 0; n < VMBUS_MESSAGES_PER_TURN; n++) {
		/* A reset, a freeze and a full queue all end in another call. */
		if (bus->state == CONNECTION_RESETTING || bus->freezing || !message_room(bus))
			return;
		if (bus->chaos && late_message_in(bus))
			return;
		if (!vmbus_inbox_take(bus, &m))
			return;
		atomic_fetch_add_explicit(&bus->status_messages, 1, memory_order_relaxed);
		if (m.connection_id != VMBUS_MESSAGE_CONNECTION_ID &&
		    m.connection_id != VMBUS_MESSAGE_CONNECTION_ID_4)
			message_refuse(bus, "a message", m.len, "to an unknown connection id");
		else
			message_handle(bus, &m);
	}
	/* The control loop has other work, too. */
	loop_post(bus->control, &bus->inbox_work);
}
