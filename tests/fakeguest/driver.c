/* SPDX-License-Identifier: BSD-2-Clause */
/* The fake guest's bus driver: messages, offers, GPADLs, opening and closing channels. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fakeguest/fakeguest.h"
#include "tests/patience.h"

/* ---- Messages -------------------------------------------------------------------------------- */

static u32 message_type(const struct fg_message *m)
{
	struct vmbus_msg_header header = { 0 };

	if (m->len >= sizeof(header))
		memcpy(&header, m->bytes, sizeof(header));
	return header.msgtype;
}

int fg_post_raw(struct fakeguest *g, u32 connection_id, const void *msg, u32 len)
{
	return vmbus_receive(g->bus, connection_id, msg, len);
}

static int post_to(struct fakeguest *g, u32 connection_id, const void *msg, u32 len)
{
	int err = -ENOBUFS;

	for (int tries = 0; err == -ENOBUFS && tries < 3; tries++) {
		err = fg_post_raw(g, connection_id, msg, len);
		fg_pump(g);
	}
	return err;
}

int fg_post(struct fakeguest *g, const void *msg, u32 len)
{
	return post_to(g, g->msg_conn_id, msg, len);
}

int fg_take(struct fakeguest *g, u32 type, void *msg, u32 size)
{
	for (unsigned i = 0; i < g->message_count; i++) {
		u32 len = g->message[i].len;

		if (message_type(&g->message[i]) != type)
			continue;
		memset(msg, 0, size);
		memcpy(msg, g->message[i].bytes, MIN(len, size));
		g->message_count--;
		memmove(&g->message[i], &g->message[i + 1],
			(g->message_count - i) * sizeof(*g->message));
		return (int)len;
	}
	return -ENOENT;
}

int fg_await(struct fakeguest *g, u32 type, void *msg, u32 size)
{
	u64 end = patience_end();
	int len = fg_take(g, type, msg, size);

	while (len < 0 && (g->io_threads || g->chaos) && loop_now_ns() < end) {
		usleep(50);
		fg_pump(g);
		len = fg_take(g, type, msg, size);
	}
	return len < 0 ? -ETIMEDOUT : len;
}

unsigned fg_count(const struct fakeguest *g, u32 type)
{
	unsigned count = 0;

	for (unsigned i = 0; i < g->message_count; i++)
		count += !type || message_type(&g->message[i]) == type;
	return count;
}

/* ---- Connection ------------------------------------------------------------------------------ */

/* The message and its length. */
static u32 contact_message(const struct fakeguest *g, u32 version, u8 *bytes)
{
	struct vmbus_msg_initiate_contact msg = {
		.header.msgtype = VMBUS_MSG_INITIATE_CONTACT,
		.vmbus_version_requested = version,
		.target_vcpu = g->target_vp,
		.monitor_page1 = g->monitor_page[0],
		.monitor_page2 = g->monitor_page[1],
	};

	if (version < VMBUS_VERSION_WIN10_V5)
		msg.interrupt_page = g->interrupt_page;
	else
		msg.msg_sint = g->msg_sint;
	if (version >= VMBUS_VERSION_WIN10_V5_1)
		msg.msg_vtl = g->msg_vtl;
	if (version >= VMBUS_VERSION_V6_0)
		msg.feature_flags = g->features;
	memset(bytes, 0, VMBUS_INITIATE_CONTACT_SIZE_CLIENT_ID);
	memcpy(bytes, &msg, sizeof(msg));
	return version >= VMBUS_VERSION_V6_0 && g->features & VMBUS_FEATURE_CLIENT_ID
		       ? VMBUS_INITIATE_CONTACT_SIZE_CLIENT_ID
		       : sizeof(msg);
}

int fg_connect(struct fakeguest *g, u32 version)
{
	struct vmbus_msg_version_response response;
	bool modern = version >= VMBUS_VERSION_WIN10_V5;
	u8 msg[VMBUS_INITIATE_CONTACT_SIZE_CLIENT_ID];
	u32 len = contact_message(g, version, msg);
	int err;

	g->version = 0;
	g->offer_count = 0;
	err = post_to(g, modern ? VMBUS_MESSAGE_CONNECTION_ID_4 : VMBUS_MESSAGE_CONNECTION_ID, msg,
		      len);
	if (err)
		return err;
	g->response_size = fg_await(g, VMBUS_MSG_VERSION_RESPONSE, &response, sizeof(response));
	if (g->response_size < 0)
		return -ETIMEDOUT;
	g->connection_state = response.connection_state;
	if (!response.version_supported || response.connection_state)
		return -ECONNREFUSED;
	g->version = version;
	g->features_got = response.supported_features;
	g->msg_conn_id = modern ? response.msg_conn_id : VMBUS_MESSAGE_CONNECTION_ID;
	return 0;
}

unsigned fg_offers_poll(struct fakeguest *g)
{
	struct vmbus_msg_relid rescind;
	struct fg_offer offer = { 0 };
	unsigned count = 0;

	fg_pump(g);
	while (g->offer_count < FG_OFFERS &&
	       fg_take(g, VMBUS_MSG_OFFER_CHANNEL, &offer.msg, sizeof(offer.msg)) > 0) {
		g->offer[g->offer_count++] = offer;
		count++;
	}
	while (fg_take(g, VMBUS_MSG_RESCIND_CHANNEL_OFFER, &rescind, sizeof(rescind)) > 0) {
		for (unsigned i = 0; i < g->offer_count; i++)
			if (g->offer[i].msg.child_relid == rescind.child_relid)
				g->offer[i].rescinded = true;
		count++;
	}
	return count;
}

int fg_request_offers(struct fakeguest *g)
{
	struct vmbus_msg_header msg = { .msgtype = VMBUS_MSG_REQUEST_OFFERS };
	int err = fg_post(g, &msg, sizeof(msg));

	if (err)
		return err;
	err = fg_await(g, VMBUS_MSG_ALL_OFFERS_DELIVERED, &msg, sizeof(msg));
	fg_offers_poll(g);
	return err < 0 ? -ETIMEDOUT : 0;
}

const struct fg_offer *fg_offer_find(const struct fakeguest *g, const struct guid *type,
				     u16 sub_index)
{
	for (unsigned i = 0; i < g->offer_count; i++) {
		const struct fg_offer *o = &g->offer[i];

		if (!o->rescinded && o->msg.sub_channel_index == sub_index &&
		    !memcmp(o->msg.if_type, type, sizeof(*type)))
			return o;
	}
	return NULL;
}

const struct fg_offer *fg_offer_instance(const struct fakeguest *g, const struct guid *instance)
{
	for (unsigned i = 0; i < g->offer_count; i++) {
		const struct fg_offer *o = &g->offer[i];

		if (!o->rescinded && !memcmp(o->msg.if_instance, instance, sizeof(*instance)))
			return o;
	}
	return NULL;
}

int fg_unload(struct fakeguest *g)
{
	struct vmbus_msg_header msg = { .msgtype = VMBUS_MSG_UNLOAD };
	int err = fg_post(g, &msg, sizeof(msg));

	if (err)
		return err;
	g->version = 0;
	g->offer_count = 0;
	return fg_await(g, VMBUS_MSG_UNLOAD_RESPONSE, &msg, sizeof(msg)) < 0 ? -ETIMEDOUT : 0;
}

/* ---- GPADLs ---------------------------------------------------------------------------------- */

/* One message with as many PFNs as fit after `head` bytes; how many that were. */
static u32 post_pfns(struct fakeguest *g, u8 *msg, u32 head, const u64 *pfn, u32 count, int *err)
{
	u32 n = MIN(count, (VMBUS_MESSAGE_MAX - head) / (u32)sizeof(u64));

	memcpy(msg + head, pfn, n * sizeof(u64));
	*err = fg_post(g, msg, head + n * (u32)sizeof(u64));
	return n;
}

int fg_gpadl_create_pfns(struct fakeguest *g, u32 relid, u32 byte_offset, u32 byte_count,
			 const u64 *pfn, u32 *id)
{
	u32 pages = gpa_range_pages(byte_offset, byte_count), done;
	struct ring_gpa_range range = { .byte_count = byte_count, .byte_offset = byte_offset };
	struct vmbus_msg_gpadl_header header = {
		.header.msgtype = VMBUS_MSG_GPADL_HEADER,
		.child_relid = relid,
		.gpadl = g->next_gpadl++,
		.range_buflen = (u16)(sizeof(range) + pages * sizeof(u64)),
		.rangecount = 1,
	};
	struct vmbus_msg_gpadl_body body = {
		.header.msgtype = VMBUS_MSG_GPADL_BODY,
		.gpadl = header.gpadl,
	};
	struct vmbus_msg_gpadl_created created;
	u8 msg[VMBUS_MESSAGE_MAX];
	int err;

	memcpy(msg, &header, sizeof(header));
	memcpy(msg + sizeof(header), &range, sizeof(range));
	done = post_pfns(g, msg, sizeof(header) + sizeof(range), pfn, pages, &err);
	memcpy(msg, &body, sizeof(body));
	while (!err && done < pages)
		done += post_pfns(g, msg, sizeof(body), pfn + done, pages - done, &err);
	if (err)
		return err;
	if (fg_await(g, VMBUS_MSG_GPADL_CREATED, &created, sizeof(created)) < 0)
		return -ETIMEDOUT;
	*id = created.gpadl;
	return created.creation_status || created.gpadl != header.gpadl ? -EPROTO : 0;
}

int fg_gpadl_create(struct fakeguest *g, u32 relid, gpa_t gpa, u32 bytes, u32 *id)
{
	u32 offset = (u32)(gpa % GUEST_PAGE_SIZE), pages = gpa_range_pages(offset, bytes);
	u64 *pfn = calloc(pages, sizeof(*pfn));
	int err;

	if (!pfn)
		return -ENOMEM;
	for (u32 i = 0; i < pages; i++)
		pfn[i] = gpa / GUEST_PAGE_SIZE + i;
	err = fg_gpadl_create_pfns(g, relid, offset, bytes, pfn, id);
	free(pfn);
	return err;
}

int fg_gpadl_teardown(struct fakeguest *g, u32 relid, u32 id)
{
	struct vmbus_msg_gpadl_teardown msg = {
		.header.msgtype = VMBUS_MSG_GPADL_TEARDOWN,
		.child_relid = relid,
		.gpadl = id,
	};
	struct vmbus_msg_gpadl_torndown torndown;
	int err = fg_post(g, &msg, sizeof(msg));

	if (err)
		return err;
	if (fg_await(g, VMBUS_MSG_GPADL_TORNDOWN, &torndown, sizeof(torndown)) < 0)
		return -ETIMEDOUT;
	return torndown.gpadl == id ? 0 : -EPROTO;
}

/* ---- Channels -------------------------------------------------------------------------------- */

static void ring_map(struct fakeguest *g, struct fg_ring *r, const u64 *pfn, u32 pages)
{
	r->header = fg_ptr(g, pfn[0] * GUEST_PAGE_SIZE, GUEST_PAGE_SIZE);
	for (u32 i = 1; i < pages; i++)
		r->page[i - 1] = fg_ptr(g, pfn[i] * GUEST_PAGE_SIZE, GUEST_PAGE_SIZE);
	r->size = (pages - 1) * GUEST_PAGE_SIZE;
	r->index = 0;
	memset(r->header, 0, sizeof(*r->header));
	r->header->feature_bits = RING_FEATURE_PENDING_SEND;
}

/* Fresh pages for both rings, in order or, where asked for, backwards. */
static int rings_make(struct fg_channel *ch, u64 *pfn, u32 out_pages, u32 in_pages)
{
	struct fakeguest *g = ch->guest;
	u32 pages = out_pages + in_pages;
	gpa_t gpa = fg_alloc(g, pages);

	if (!gpa)
		return -ENOMEM;
	for (u32 i = 0; i < pages; i++)
		pfn[i] = gpa / GUEST_PAGE_SIZE + (g->scatter ? pages - 1 - i : i);
	ring_map(g, &ch->out, pfn, out_pages);
	ring_map(g, &ch->in, pfn + out_pages, in_pages);
	return fg_gpadl_create_pfns(g, ch->relid, 0, pages * GUEST_PAGE_SIZE, pfn, &ch->ring_gpadl);
}

static int open_await(struct fg_channel *ch)
{
	struct vmbus_msg_open_result result;

	if (fg_await(ch->guest, VMBUS_MSG_OPEN_CHANNEL_RESULT, &result, sizeof(result)) < 0)
		return -ETIMEDOUT;
	ch->open_status = result.status;
	ch->open = !result.status;
	return result.status ? -EPROTO : 0;
}

static int open_post(struct fg_channel *ch, u32 out_pages, const struct fg_open_params *params)
{
	const u32 with_signals = VMBUS_FEATURE_GUEST_SIGNALS | VMBUS_FEATURE_INTERRUPT_REDIRECTION;
	struct fakeguest *g = ch->guest;
	struct {
		struct vmbus_msg_open_channel open;
		struct vmbus_open_signals signals;
	} msg = {
		.open.header.msgtype = VMBUS_MSG_OPEN_CHANNEL,
		.open.child_relid = ch->relid,
		.open.openid = ch->relid,
		.open.ringbuffer_gpadlhandle = ch->ring_gpadl,
		.open.target_vp = params->target_vp,
		.open.downstream_ringbuffer_pageoffset = out_pages,
		.signals.connection_id = ch->connection_id,
		.signals.event_flag = g->open_event_flag ? g->open_event_flag : (u16)ch->relid,
	};
	bool longer =
		ch->guest->version >= VMBUS_VERSION_V6_0 && ch->guest->features_got & with_signals;
	int err = fg_post(ch->guest, &msg, longer ? sizeof(msg) : sizeof(msg.open));

	return err ? err : open_await(ch);
}

/* A channel on offer with rings, not open yet. */
static int channel_make(struct fakeguest *g, struct fg_channel *ch, const struct fg_offer *offer,
			u32 out_pages, u32 in_pages)
{
	u64 *pfn;
	int err;

	if (!offer)
		return -ENOENT;
	if (out_pages < 2 || in_pages < 2 || out_pages > FG_RING_PAGES_MAX ||
	    in_pages > FG_RING_PAGES_MAX)
		return -EINVAL;
	*ch = (struct fg_channel){ .guest = g,
				   .offer = *offer,
				   .relid = offer->msg.child_relid,
				   .connection_id = offer->msg.connection_id };
	pfn = calloc(out_pages + in_pages, sizeof(*pfn));
	if (!pfn)
		return -ENOMEM;
	err = rings_make(ch, pfn, out_pages, in_pages);
	free(pfn);
	return err;
}

int fg_open(struct fakeguest *g, struct fg_channel *ch, const struct fg_offer *offer,
	    const struct fg_open_params *params)
{
	static const struct fg_open_params defaults;
	const struct fg_open_params *p = params ? params : &defaults;
	u32 out_pages = p->out_pages ? p->out_pages : 17;
	int err = channel_make(g, ch, offer, out_pages, p->in_pages ? p->in_pages : 17);

	if (err)
		return err;
	if (g->open_connection_id && g->features_got & VMBUS_FEATURE_GUEST_SIGNALS)
		ch->connection_id = g->open_connection_id;
	return open_post(ch, out_pages, p);
}

int fg_open_reserved(struct fakeguest *g, struct fg_channel *ch, const struct fg_offer *offer,
		     u32 vp, u32 sint)
{
	struct vmbus_msg_open_reserved msg = {
		.header.msgtype = VMBUS_MSG_OPEN_RESERVED_CHANNEL,
		.target_vp = vp,
		.target_sint = sint,
		.downstream_ringbuffer_pageoffset = 17,
	};
	int err = channel_make(g, ch, offer, 17, 17);

	if (err)
		return err;
	msg.child_relid = ch->relid;
	msg.ringbuffer_gpadlhandle = ch->ring_gpadl;
	err = fg_post(g, &msg, sizeof(msg));
	return err ? err : open_await(ch);
}

int fg_release(struct fakeguest *g, u32 relid)
{
	struct vmbus_msg_relid msg = { .header.msgtype = VMBUS_MSG_RELID_RELEASED,
				       .child_relid = relid };

	return fg_post(g, &msg, sizeof(msg));
}

int fg_close(struct fg_channel *ch)
{
	struct vmbus_msg_relid msg = {
		.header.msgtype = VMBUS_MSG_CLOSE_CHANNEL,
		.child_relid = ch->relid,
	};
	int err = fg_post(ch->guest, &msg, sizeof(msg));

	ch->open = false;
	return err ? err : fg_gpadl_teardown(ch->guest, ch->relid, ch->ring_gpadl);
}

int fg_modify(struct fg_channel *ch, u32 target_vp)
{
	struct vmbus_msg_modify_channel msg = {
		.header.msgtype = VMBUS_MSG_MODIFY_CHANNEL,
		.child_relid = ch->relid,
		.target_vp = target_vp,
	};
	struct vmbus_msg_modify_response response;
	struct fakeguest *g = ch->guest;
	int err = fg_post(g, &msg, sizeof(msg));

	if (err || g->version < VMBUS_VERSION_WIN10_V5_3 || g->modify_unawaited)
		return err;
	if (fg_await(g, VMBUS_MSG_MODIFY_CHANNEL_RESPONSE, &response, sizeof(response)) < 0)
		return -ETIMEDOUT;
	return response.status || response.child_relid != ch->relid ? -EPROTO : 0;
}

u32 fg_interrupts(const struct fg_channel *ch)
{
	return ch->guest->interrupts[ch->relid % FG_FLAGS];
}

static int signal_id(struct fakeguest *g, u32 connection_id)
{
	u64 one = 1;

	for (unsigned i = 0; i < FG_BINDINGS; i++)
		if (g->binding[i].fd >= 0 && g->binding[i].id == connection_id)
			return write(g->binding[i].fd, &one, sizeof(one)) == sizeof(one) ? 0
											 : -errno;
	return -ENOENT;
}

int fg_signal(struct fg_channel *ch)
{
	struct fakeguest *g = ch->guest;
	u32 relid = ch->relid, id = ch->offer.msg.monitorid;

	if (ch->offer.msg.monitor_allocated) {
		struct vmbus_monitor_page *page = fg_ptr(g, g->monitor_page[1], sizeof(*page));

		__atomic_fetch_or(&page->group[id / 32].pending, 1u << id % 32, __ATOMIC_SEQ_CST);
		return 0;
	}
	if (g->version == VMBUS_VERSION_WS2008 && g->interrupt_page) {
		u32 *page = fg_ptr(g, g->interrupt_page, GUEST_PAGE_SIZE);

		__atomic_fetch_or(&page[VMBUS_INTERRUPT_PAGE_WORDS + relid / 32], 1u << relid % 32,
				  __ATOMIC_SEQ_CST);
		return signal_id(g, VMBUS_EVENT_CONNECTION_ID_SHARED);
	}
	return signal_id(g, ch->connection_id);
}
