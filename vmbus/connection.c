/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The connection: contact, unload, the reset that both begin with, pause. A guest is replaced by
 * the next (firmware, boot loader, kernel, crash kernel) without a word of farewell:
 * INITIATE_CONTACT always starts from nothing but for the channels that were opened as reserved.
 *
 * What a version changes is decided where it matters; here is the list.
 *
 *	1.1   offers name dedicated signals (VMBUS_OFFER_SIZE_OLD)
 *	2.4   no interrupt page any more, interrupts on any VP, sub-channels, failures with a reason
 *	3.0   messages to any VP (target_vcpu)
 *	4.0   sockets, reserved channels
 *	4.1   MODIFY_CHANNEL, TL_CONNECT_RESULT
 *	5.0   contact on connection id 4, which names the SINT; the answer names the id for messages
 *	5.1   ... and the VTL
 *	5.2   a silo id in TL_CONNECT_REQUEST
 *	5.3   MODIFY_CHANNEL_RESPONSE
 *	6.0   feature flags
 *
 * Control loop. Left out: other VTLs than 0, confidential channels, monitor pages of the host's;
 * they are refused or not negotiated.
 */
#include <errno.h>
#include <string.h>

#include "vmbus/server.h"

#define CONNECTION_FEATURES                                                  \
	(VMBUS_FEATURE_GUEST_SIGNALS | VMBUS_FEATURE_INTERRUPT_REDIRECTION | \
	 VMBUS_FEATURE_MODIFY_CONNECTION | VMBUS_FEATURE_CLIENT_ID | VMBUS_FEATURE_PAUSE_RESUME)

/* ---- Contact --------------------------------------------------------------------------------- */

bool connection_version_supported(u32 version)
{
	static const u32 versions[] = {
		VMBUS_VERSION_WS2008,     VMBUS_VERSION_WIN7,       VMBUS_VERSION_WIN8,
		VMBUS_VERSION_WIN8_1,     VMBUS_VERSION_WIN10,      VMBUS_VERSION_WIN10_V4_1,
		VMBUS_VERSION_WIN10_V5,   VMBUS_VERSION_WIN10_V5_1, VMBUS_VERSION_WIN10_V5_2,
		VMBUS_VERSION_WIN10_V5_3, VMBUS_VERSION_V6_0,
	};

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++)
		if (versions[i] == version)
			return true;
	return false;
}

bool connection_features_supported(u32 version, u32 features)
{
	return !(features & ~(version < VMBUS_VERSION_V6_0 ? 0 : CONNECTION_FEATURES));
}

/* Takes from the message what its version says is there. */
static struct contact contact_parse(const struct vmbus *bus, const void *bytes)
{
	struct vmbus_msg_initiate_contact msg;
	struct contact c = { .sint = VMBUS_SINT };
	u32 version;

	memcpy(&msg, bytes, sizeof(msg));
	c.version = version = msg.vmbus_version_requested;
	c.monitor_page1 = msg.monitor_page1;
	c.monitor_page2 = msg.monitor_page2;
	if (version < VMBUS_VERSION_WIN8)
		c.interrupt_page = msg.interrupt_page;
	if (version >= VMBUS_VERSION_WIN8_1)
		c.vp = msg.target_vcpu;
	if (version >= VMBUS_VERSION_WIN10_V5 && bus->multiclient)
		c.sint = msg.msg_sint;
	if (version >= VMBUS_VERSION_WIN10_V5_1 && bus->multiclient)
		c.vtl = msg.msg_vtl;
	if (version >= VMBUS_VERSION_V6_0)
		c.features = msg.feature_flags;
	return c;
}

/* Where messages go from now on. False where the guest names a VP, SINT or VTL there is not. */
static bool contact_target(struct vmbus *bus, const struct contact *c)
{
	bool good = c->vp < bus->port->vp_count && c->sint >= 1 && c->sint <= 15 && !c->vtl;

	bus->msg_vp = good ? c->vp : 0;
	bus->msg_sint = good ? c->sint : VMBUS_SINT;
	return good;
}

/* The pages of the guest's that it wants used. */
static int contact_pages(struct vmbus *bus, const struct contact *c)
{
	int err = monitor_set_pages(bus, c->monitor_page1, c->monitor_page2);

	if (!err)
		err = interrupt_page_set(bus, c->interrupt_page, c->version);
	if (err)
		monitor_set_pages(bus, 0, 0);
	return err;
}

static void contact_response(struct vmbus *bus, const struct contact *c, bool good, int err)
{
	struct vmbus_msg_version_response response = {
		.header.msgtype = VMBUS_MSG_VERSION_RESPONSE,
	};
	u32 size = VMBUS_VERSION_RESPONSE_SIZE_OLD;

	/* Before 2.4 there is no other way to say that it failed than "not supported". */
	if (good && (!err || c->version >= VMBUS_VERSION_WIN8)) {
		response.version_supported = 1;
		response.connection_state =
			err ? VMBUS_CONNECTION_FAILED_UNKNOWN : VMBUS_CONNECTION_SUCCESSFUL;
		response.msg_conn_id = c->version >= VMBUS_VERSION_WIN10_V5
					       ? VMBUS_MESSAGE_CONNECTION_ID
					       : c->version;
		if (c->version >= VMBUS_VERSION_V6_0) {
			response.supported_features = c->features & CONNECTION_FEATURES;
			size = sizeof(response);
		}
	}
	vmbus_post(bus, &response, size);
}

static void contact_answer(struct vmbus *bus)
{
	const struct contact *c = &bus->contact;
	bool good = contact_target(bus, c) && connection_version_supported(c->version);
	int err = good ? contact_pages(bus, c) : 0;
	bool up = good && !err;

	bus->state = up ? CONNECTION_UP : CONNECTION_NONE;
	bus->version = up ? c->version : 0;
	bus->features = up ? c->features & CONNECTION_FEATURES : 0;
	atomic_store(&bus->status_contacted, true);
	atomic_store(&bus->status_version, bus->version);
	trace_vmbus_version_response(bus->version >> 16, bus->version & 0xffff, bus->features);
	contact_response(bus, c, good, err);
}

static void unload_answer(struct vmbus *bus)
{
	struct vmbus_msg_header response = { .msgtype = VMBUS_MSG_UNLOAD_RESPONSE };

	bus->state = CONNECTION_NONE;
	bus->version = bus->features = 0;
	atomic_store(&bus->status_version, 0);
	trace_vmbus_unload_response();
	vmbus_post(bus, &response, sizeof(response));
}

/* ---- Reset ----------------------------------------------------------------------------------- */

/* Everything the last guest set up goes; `message` is answered once it has gone. */
static void reset_begin(struct vmbus *bus, u32 message)
{
	bus->state = CONNECTION_RESETTING;
	bus->reset_by = message;
	bus->paused = false;
	outq_clear(&bus->outq);
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++)
		if (bus->channel[i] && !bus->channel[i]->reserved)
			channel_shut(bus->channel[i]);
	connection_reset_step(bus);
}

static bool channels_idle(const struct vmbus *bus)
{
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++) {
		const struct vmbus_channel *ch = bus->channel[i];

		if (ch && !ch->reserved && !channel_idle(ch))
			return false;
	}
	return true;
}

void connection_reset_step(struct vmbus *bus)
{
	if (bus->state != CONNECTION_RESETTING || !channels_idle(bus) || !gpadl_drop_all(bus))
		return;
	offer_forget_all(bus);
	interrupt_page_clear(bus);
	monitor_set_pages(bus, 0, 0);
	outq_clear(&bus->outq);
	if (bus->reset_by == VMBUS_MSG_INITIATE_CONTACT)
		contact_answer(bus);
	else
		unload_answer(bus);
	/* Messages waited for the end of the reset. */
	loop_post(bus->control, &bus->inbox_work);
}

void connection_contact(struct vmbus *bus, const void *msg, u32 len)
{
	struct contact c = contact_parse(bus, msg);

	trace_vmbus_initiate_contact(c.version >> 16, c.version & 0xffff, c.vp, c.sint, c.features,
				     c.interrupt_page, c.monitor_page1, c.monitor_page2);
	if (c.features & VMBUS_FEATURE_CLIENT_ID && len < VMBUS_INITIATE_CONTACT_SIZE_CLIENT_ID) {
		message_out_of_place(bus, "initiate_contact without its client id", 0);
		return;
	}
	bus->contact = c;
	reset_begin(bus, VMBUS_MSG_INITIATE_CONTACT);
}

void connection_unload(struct vmbus *bus, const void *msg, u32 len)
{
	(void)msg;
	(void)len;
	trace_vmbus_unload();
	reset_begin(bus, VMBUS_MSG_UNLOAD);
}

/* ---- While it is up -------------------------------------------------------------------------- */

void connection_modify(struct vmbus *bus, const void *bytes, u32 len)
{
	struct vmbus_msg_modify_connection msg;
	struct vmbus_msg_modify_connection_response response = {
		.header.msgtype = VMBUS_MSG_MODIFY_CONNECTION_RESPONSE,
	};
	int err;

	(void)len;
	memcpy(&msg, bytes, sizeof(msg));
	err = monitor_set_pages(bus, msg.monitor_page1, msg.monitor_page2);
	if (err)
		message_out_of_place(bus, "modify_connection with wrong pages", 0);
	response.connection_state =
		err ? VMBUS_CONNECTION_FAILED_UNKNOWN : VMBUS_CONNECTION_SUCCESSFUL;
	trace_vmbus_modify_connection(err);
	vmbus_post(bus, &response, sizeof(response));
}

/* The answer is the last message until the guest resumes. */
void connection_pause(struct vmbus *bus, const void *msg, u32 len)
{
	struct vmbus_msg_header response = { .msgtype = VMBUS_MSG_PAUSE_RESPONSE };

	(void)msg;
	(void)len;
	trace_vmbus_pause();
	vmbus_post(bus, &response, sizeof(response));
	bus->paused = true;
	outq_hold(&bus->outq);
}

void connection_resume(struct vmbus *bus, const void *msg, u32 len)
{
	(void)msg;
	(void)len;
	trace_vmbus_resume();
	bus->paused = false;
	outq_release(&bus->outq);
	outq_flush(&bus->outq, bus->port);
}
