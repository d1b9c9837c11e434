/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GPADLs: guest buffers named by a handle. A GPADL_HEADER declares how many bytes of ranges will
 * come and brings the first, GPADL_BODY messages the rest; the last is answered by GPADL_CREATED.
 * From then on it never changes: who has it pinned reads it without a lock. A teardown is answered
 * when the last pin goes.
 *
 * A handle is the guest's choice and names one GPADL at a time. Those of reserved channels outlive
 * the connection, whose next guest does not know of them: they are found by their channel only, can
 * be neither made nor torn down, and go when the channel closes.
 *
 * Pages may be listed twice and overlap with those of others: only the guest's own data suffers.
 *
 * The list, states and pins are under gpadl_lock, since channels pin on their own loops;
 * everything else, and every free, happens on the control loop.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmbus/server.h"

#define WORD_SIZE ((u32)sizeof(union gpadl_word))
static_assert(sizeof(union gpadl_word) == sizeof(u64), "a page's address takes its PFN's place");

/* The READY one of this channel's with this handle. Under the lock, or on the control loop. */
static struct gpadl *gpadl_find(const struct vmbus *bus, u32 relid, u32 id)
{
	for (struct gpadl *g = bus->gpadls; g; g = g->next)
		if (g->id == id && g->relid == relid && g->state == GPADL_READY)
			return g;
	return NULL;
}

/* The one that waits for bodies: these do not say whose they are. Control loop. */
static struct gpadl *gpadl_find_assembling(const struct vmbus *bus, u32 id)
{
	for (struct gpadl *g = bus->gpadls; g; g = g->next)
		if (g->id == id && g->state == GPADL_ASSEMBLING)
			return g;
	return NULL;
}

static bool relid_reserved(const struct vmbus *bus, u32 relid)
{
	const struct vmbus_channel *ch = offer_find(bus, relid);

	return ch && ch->reserved;
}

static bool gpadl_in_use(const struct vmbus *bus, u32 id)
{
	for (const struct gpadl *g = bus->gpadls; g; g = g->next)
		if (g->id == id && g->state != GPADL_DROPPED && !relid_reserved(bus, g->relid))
			return true;
	return false;
}

static void gpadl_created(struct vmbus *bus, u32 relid, u32 id, u32 status)
{
	struct vmbus_msg_gpadl_created created = {
		.header.msgtype = VMBUS_MSG_GPADL_CREATED,
		.child_relid = relid,
		.gpadl = id,
		.creation_status = status,
	};

	if (status)
		log_guest(&bus->bad_gpadl, "vmbus: GPADL %#x of channel %u refused: %#x", id, relid,
			  status);
	trace_vmbus_gpadl_created(relid, id, status);
	vmbus_post(bus, &created, sizeof(created));
}

/* ---- Making one ------------------------------------------------------------------------------ */

/* Checks that the words are ranges of RAM, and puts host addresses in the place of PFNs. */
static int gpadl_resolve(struct vmbus *bus, struct gpadl *g)
{
	union gpadl_word *word = g->word, *end = g->word + g->words;
	u64 size = 0;

	for (u32 i = 0; i < g->range_count; i++) {
		struct ring_gpa_range range;
		u32 pages;

		if (word == end)
			return -EINVAL;
		range = word++->range;
		if (range.byte_offset >= GUEST_PAGE_SIZE || !range.byte_count)
			return -EINVAL;
		pages = gpa_range_pages(range.byte_offset, range.byte_count);
		if (pages > end - word)
			return -EINVAL;
		for (; pages; pages--, word++) {
			word->page = gpa_range_page(bus->mem, word->raw);
			if (!word->page)
				return -EFAULT;
		}
		size += range.byte_count;
	}
	/* At most 8,191 pages, by the header's 16-bit length: it fits. */
	g->size = (u32)size;
	return 0;
}

static void gpadl_unlink(struct vmbus *bus, struct gpadl *g)
{
	struct gpadl **at = &bus->gpadls;

	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	bus->gpadl_count--;
	bus->gpadl_words -= g->words;
}

static void gpadl_free(struct vmbus *bus, struct gpadl *g)
{
	pthread_mutex_lock(&bus->gpadl_lock);
	gpadl_unlink(bus, g);
	pthread_mutex_unlock(&bus->gpadl_lock);
	free(g);
}

/* Takes in more of the ranges; bytes past the declared end are padding (UEFI sends such). */
static void gpadl_append(struct vmbus *bus, struct gpadl *g, const u8 *bytes, u32 len)
{
	u32 words = MIN(len / WORD_SIZE, g->words - g->received);
	int err;

	memcpy(&g->word[g->received], bytes, (size_t)words * WORD_SIZE);
	g->received += words;
	if (g->received < g->words)
		return;
	err = gpadl_resolve(bus, g);
	if (err) {
		gpadl_created(bus, g->relid, g->id, VMBUS_STATUS_INVALID_PARAMETER);
		gpadl_free(bus, g);
		return;
	}
	pthread_mutex_lock(&bus->gpadl_lock);
	g->state = GPADL_READY;
	pthread_mutex_unlock(&bus->gpadl_lock);
	gpadl_created(bus, g->relid, g->id, VMBUS_STATUS_SUCCESS);
}

static bool gpadl_plausible(u32 ranges, u32 words)
{
	return ranges && ranges <= VMBUS_GPADL_RANGES_MAX && words > ranges;
}

/* An empty one in the list, or NULL: no room for it. */
static struct gpadl *gpadl_add(struct vmbus *bus, u32 relid, u32 id, u32 ranges, u32 words)
{
	struct gpadl *g;

	if (bus->gpadl_count == VMBUS_GPADLS_MAX ||
	    words > VMBUS_GPADL_WORDS_MAX - bus->gpadl_words)
		return NULL;
	g = calloc(1, sizeof(*g) + (size_t)words * WORD_SIZE);
	if (!g)
		return NULL;
	g->id = id;
	g->relid = relid;
	g->words = words;
	g->range_count = ranges;
	pthread_mutex_lock(&bus->gpadl_lock);
	g->next = bus->gpadls;
	bus->gpadls = g;
	bus->gpadl_count++;
	bus->gpadl_words += words;
	pthread_mutex_unlock(&bus->gpadl_lock);
	return g;
}

/* An empty GPADL as declared, in the list; or NULL and *status. */
static struct gpadl *gpadl_new(struct vmbus *bus, const struct vmbus_msg_gpadl_header *msg,
			       u32 *status)
{
	u32 words = msg->range_buflen / WORD_SIZE;

	*status = VMBUS_STATUS_INVALID_PARAMETER;
	if (!offer_find(bus, msg->child_relid) || relid_reserved(bus, msg->child_relid) ||
	    gpadl_in_use(bus, msg->gpadl))
		return NULL;
	if (!gpadl_plausible(msg->rangecount, words))
		return NULL;
	*status = VMBUS_STATUS_INSUFFICIENT_RESOURCES;
	return gpadl_add(bus, msg->child_relid, msg->gpadl, msg->rangecount, words);
}

void gpadl_header(struct vmbus *bus, const void *bytes, u32 len)
{
	struct vmbus_msg_gpadl_header msg;
	struct gpadl *g;
	u32 status;

	memcpy(&msg, bytes, sizeof(msg));
	trace_vmbus_gpadl_header(msg.child_relid, msg.gpadl, msg.rangecount, msg.range_buflen);
	g = gpadl_new(bus, &msg, &status);
	if (!g) {
		gpadl_created(bus, msg.child_relid, msg.gpadl, status);
		return;
	}
	gpadl_append(bus, g, (const u8 *)bytes + sizeof(msg), len - (u32)sizeof(msg));
}

void gpadl_body(struct vmbus *bus, const void *bytes, u32 len)
{
	struct vmbus_msg_gpadl_body msg;
	struct gpadl *g;

	memcpy(&msg, bytes, sizeof(msg));
	trace_vmbus_gpadl_body(msg.gpadl, len - (u32)sizeof(msg));
	g = gpadl_find_assembling(bus, msg.gpadl);
	if (!g) {
		message_out_of_place(bus, "gpadl_body", 0);
		log_guest(&bus->bad_gpadl, "vmbus: body for GPADL %#x, which waits for none",
			  msg.gpadl);
		return;
	}
	gpadl_append(bus, g, (const u8 *)bytes + sizeof(msg), len - (u32)sizeof(msg));
}

/* ---- Giving one back ------------------------------------------------------------------------- */

static void gpadl_torndown(struct vmbus *bus, u32 id)
{
	struct vmbus_msg_gpadl_torndown torndown = {
		.header.msgtype = VMBUS_MSG_GPADL_TORNDOWN,
		.gpadl = id,
	};

	trace_vmbus_gpadl_torndown(id);
	vmbus_post(bus, &torndown, sizeof(torndown));
}

/* Takes the first one nobody needs off the list, or NULL. */
static struct gpadl *gpadl_reap(struct vmbus *bus)
{
	struct gpadl *g;

	pthread_mutex_lock(&bus->gpadl_lock);
	for (g = bus->gpadls; g; g = g->next)
		if (!g->pins && (g->state == GPADL_TEARDOWN || g->state == GPADL_DROPPED))
			break;
	if (g)
		gpadl_unlink(bus, g);
	pthread_mutex_unlock(&bus->gpadl_lock);
	return g;
}

static void gpadl_reap_all(struct vmbus *bus)
{
	struct gpadl *g;

	while ((g = gpadl_reap(bus))) {
		if (g->state == GPADL_TEARDOWN)
			gpadl_torndown(bus, g->id);
		free(g);
	}
}

void gpadl_sweep(struct loop_work *w)
{
	struct vmbus *bus = container_of(w, struct vmbus, gpadl_work);

	gpadl_reap_all(bus);
	connection_reset_step(bus);
	freeze_step(bus);
}

void gpadl_teardown(struct vmbus *bus, const void *bytes, u32 len)
{
	struct vmbus_msg_gpadl_teardown msg;
	struct gpadl *g;

	(void)len;
	memcpy(&msg, bytes, sizeof(msg));
	trace_vmbus_gpadl_teardown(msg.child_relid, msg.gpadl);
	pthread_mutex_lock(&bus->gpadl_lock);
	g = relid_reserved(bus, msg.child_relid) ? NULL
						 : gpadl_find(bus, msg.child_relid, msg.gpadl);
	if (g)
		g->state = GPADL_TEARDOWN;
	pthread_mutex_unlock(&bus->gpadl_lock);
	if (!g) {
		message_out_of_place(bus, "gpadl_teardown", msg.child_relid);
		log_guest(&bus->bad_gpadl, "vmbus: teardown of GPADL %#x, which channel %u has not",
			  msg.gpadl, msg.child_relid);
	}
	gpadl_reap_all(bus);
}

void gpadl_drop(struct vmbus *bus, u32 relid)
{
	pthread_mutex_lock(&bus->gpadl_lock);
	for (struct gpadl *g = bus->gpadls; g; g = g->next)
		if (g->relid == relid)
			g->state = GPADL_DROPPED;
	pthread_mutex_unlock(&bus->gpadl_lock);
	gpadl_reap_all(bus);
}

bool gpadl_drop_all(struct vmbus *bus)
{
	bool gone = true;

	pthread_mutex_lock(&bus->gpadl_lock);
	for (struct gpadl *g = bus->gpadls; g; g = g->next) {
		if (relid_reserved(bus, g->relid))
			continue;
		g->state = GPADL_DROPPED;
		gone = gone && !g->pins;
	}
	pthread_mutex_unlock(&bus->gpadl_lock);
	gpadl_reap_all(bus);
	return gone;
}

void gpadl_free_all(struct vmbus *bus)
{
	while (bus->gpadls)
		gpadl_free(bus, bus->gpadls);
}

/* ---- Saving and restoring -------------------------------------------------------------------- */

/* The words as the guest sent them: addresses are PFNs again. */
static void words_save(const struct vmbus *bus, const struct gpadl *g, struct stream_out *out)
{
	const union gpadl_word *word = g->word, *end = g->word + g->received;

	if (g->state == GPADL_ASSEMBLING) {
		for (; word < end; word++)
			stream_put_u64(out, word->raw);
		return;
	}
	for (u32 i = 0; i < g->range_count; i++) {
		u32 pages = gpa_range_pages(word->range.byte_offset, word->range.byte_count);

		stream_put_u64(out, (word++)->raw);
		for (; pages; pages--, word++)
			stream_put_u64(out, gpa_range_pfn(bus->mem, word->page));
	}
	/* What the guest sent behind its last range. */
	for (; word < end; word++)
		stream_put_u64(out, word->raw);
}

void gpadl_save_all(struct vmbus *bus, struct stream_out *out)
{
	size_t at;
	u32 count = 0;

	gpadl_reap_all(bus);
	at = out->len;
	stream_put_u32(out, 0);
	for (const struct gpadl *g = bus->gpadls; g; g = g->next) {
		if (g->state == GPADL_DROPPED)
			continue;
		stream_put_u32(out, g->relid);
		stream_put_u32(out, g->id);
		stream_put_u8(out, g->state != GPADL_ASSEMBLING);
		stream_put_u32(out, g->range_count);
		stream_put_u32(out, g->words);
		stream_put_u32(out, g->received);
		words_save(bus, g, out);
		count++;
	}
	stream_patch_u32(out, at, count);
}

void gpadl_save_teardowns(const struct vmbus *bus, struct stream_out *out)
{
	size_t at = out->len;
	u32 count = 0;

	stream_put_u32(out, 0);
	for (const struct gpadl *g = bus->gpadls; g; g = g->next) {
		if (g->state != GPADL_TEARDOWN)
			continue;
		stream_put_u32(out, g->relid);
		stream_put_u32(out, g->id);
		count++;
	}
	stream_patch_u32(out, at, count);
}

/* Could the guest have made it? */
static bool gpadl_restorable(const struct vmbus *bus, u32 relid, u32 id)
{
	bool reserved = relid_reserved(bus, relid);

	if (!offer_find(bus, relid) || (bus->state != CONNECTION_UP && !reserved))
		return false;
	return !gpadl_find(bus, relid, id) && (reserved || !gpadl_in_use(bus, id));
}

static int gpadl_restore(struct vmbus *bus, struct stream_in *in)
{
	u32 relid = stream_get_u32(in), id = stream_get_u32(in);
	bool complete = stream_get_bool(in);
	u32 ranges = stream_get_u32(in), words = stream_get_u32(in), received = stream_get_u32(in);
	struct gpadl *g;

	if (in->bad || !gpadl_plausible(ranges, words) || received > words ||
	    complete != (received == words) || received > in->left / WORD_SIZE ||
	    !gpadl_restorable(bus, relid, id) || (!complete && relid_reserved(bus, relid)))
		return -EINVAL;
	if (words > UINT16_MAX / WORD_SIZE)
		return -EINVAL;
	g = gpadl_add(bus, relid, id, ranges, words);
	if (!g)
		return -ENOMEM;
	for (; g->received < received; g->received++)
		g->word[g->received].raw = stream_get_u64(in);
	if (!complete)
		return 0;
	if (gpadl_resolve(bus, g))
		return -EINVAL;
	g->state = GPADL_READY;
	return 0;
}

/* New ones are put in front: to keep their order the list is turned round. */
static void gpadls_reverse(struct vmbus *bus)
{
	struct gpadl *g = bus->gpadls, *next;

	for (bus->gpadls = NULL; g; g = next) {
		next = g->next;
		g->next = bus->gpadls;
		bus->gpadls = g;
	}
}

int gpadl_restore_all(struct vmbus *bus, struct stream_in *in)
{
	u32 count = stream_get_u32(in);
	int err = count > VMBUS_GPADLS_MAX ? -EINVAL : 0;

	for (; !err && count; count--)
		err = gpadl_restore(bus, in);
	gpadls_reverse(bus);
	return err;
}

int gpadl_restore_teardowns(struct vmbus *bus, struct stream_in *in)
{
	for (u32 count = stream_get_u32(in); count; count--) {
		u32 relid = stream_get_u32(in), id = stream_get_u32(in);
		struct gpadl *g = in->bad ? NULL : gpadl_find(bus, relid, id);

		if (!g || !g->pins || relid_reserved(bus, relid))
			return -EINVAL;
		g->state = GPADL_TEARDOWN;
	}
	return 0;
}

/* ---- Using one ------------------------------------------------------------------------------- */

struct gpadl *gpadl_pin(struct vmbus *bus, u32 relid, u32 id)
{
	struct gpadl *g;

	pthread_mutex_lock(&bus->gpadl_lock);
	g = gpadl_find(bus, relid, id);
	if (g)
		g->pins++;
	pthread_mutex_unlock(&bus->gpadl_lock);
	return g;
}

void gpadl_unpin(struct vmbus *bus, struct gpadl *g)
{
	bool last;

	pthread_mutex_lock(&bus->gpadl_lock);
	last = !--g->pins && g->state != GPADL_READY;
	pthread_mutex_unlock(&bus->gpadl_lock);
	if (last)
		loop_post(bus->control, &bus->gpadl_work);
}

u8 *const *gpadl_pages(const struct gpadl *g, u32 *count)
{
	const struct ring_gpa_range *range = &g->word[0].range;

	if (g->range_count != 1 || range->byte_offset || range->byte_count % GUEST_PAGE_SIZE)
		return NULL;
	*count = range->byte_count / GUEST_PAGE_SIZE;
	return &g->word[1].page;
}

u32 gpadl_handle(const struct gpadl *g)
{
	return g->id;
}

u32 gpadl_size(const struct gpadl *g)
{
	return g->size;
}

/* Adds [offset, offset + len) of one range to the n pieces there are. The new n or -ENOSPC. */
static int range_iov(const union gpadl_word *word, u32 offset, u32 len, struct iovec *iov, int n,
		     unsigned max)
{
	u64 at = (u64)word->range.byte_offset + offset;

	while (len) {
		u32 in_page = (u32)(at % GUEST_PAGE_SIZE);
		u32 piece = MIN(len, GUEST_PAGE_SIZE - in_page);
		u8 *host = word[1 + at / GUEST_PAGE_SIZE].page + in_page;

		if (n && (u8 *)iov[n - 1].iov_base + iov[n - 1].iov_len == host)
			iov[n - 1].iov_len += piece;
		else if ((unsigned)n == max)
			return -ENOSPC;
		else
			iov[n++] = (struct iovec){ .iov_base = host, .iov_len = piece };
		at += piece;
		len -= piece;
	}
	return n;
}

int gpadl_iov(const struct gpadl *g, u32 offset, u32 len, struct iovec *iov, unsigned max)
{
	const union gpadl_word *word = g->word;
	int n = 0;

	if (offset > g->size || len > g->size - offset)
		return -EINVAL;
	while (len) {
		const struct ring_gpa_range *range = &word->range;

		if (offset < range->byte_count) {
			u32 part = MIN(len, range->byte_count - offset);

			n = range_iov(word, offset, part, iov, n, max);
			if (n < 0)
				return n;
			len -= part;
			offset = 0;
		} else {
			offset -= range->byte_count;
		}
		word += 1 + gpa_range_pages(range->byte_offset, range->byte_count);
	}
	return n;
}

struct gpadl *channel_gpadl_get(struct vmbus_channel *ch, u32 id)
{
	return gpadl_pin(ch->bus, ch->relid, id);
}

void channel_gpadl_put(struct vmbus_channel *ch, struct gpadl *g)
{
	gpadl_unpin(ch->bus, g);
}
