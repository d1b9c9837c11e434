/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A channel of a storage controller: takes packets, has them carried out, answers. The life of a
 * request: free, in flight, perhaps waiting for room in the guest's ring, free. Nothing is
 * allocated after the controller was made.
 *
 * Back-pressure. No free request: receiving stops (`starved`) until one is answered. No room for an
 * answer: it waits in `unsent`, and nothing more is received until ready() has sent it.
 *
 * Moving to another loop, saving, closing: requests on the disks are drained, for they belong to
 * the loop's ring; answers without room go along, are written down, or are dropped.
 *
 * Sizes. Guests before Windows 8 know packets of 48 bytes, later ones 64, and Linux checks the
 * length of an answer before a version is agreed on: every answer is as long as its packet was.
 */
#include "devices/storvsp.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* ---- Requests -------------------------------------------------------------------------------- */

static bool request_available(const struct storvsp_channel *sc)
{
	return sc->free || sc->fresh < STORVSP_REQUESTS;
}

struct storvsp_request *storvsp_request_take(struct storvsp_channel *sc)
{
	struct storvsp_request *q = sc->free;

	if (!request_available(sc))
		return NULL;
	if (q) {
		sc->free = q->next;
	} else {
		q = &sc->request[sc->fresh++];
		q->sc = sc;
	}
	sc->in_flight++;
	return q;
}

static void channel_settle(struct storvsp_channel *sc)
{
	void (*settled)(struct storvsp_channel *) = sc->settled;

	if (!settled || sc->in_flight != sc->unsent_count)
		return;
	sc->settled = NULL;
	settled(sc);
}

static void request_free(struct storvsp_request *q)
{
	struct storvsp_channel *sc = q->sc;

	q->next = sc->free;
	sc->free = q;
	sc->in_flight--;
	if (sc->starved && !sc->closing) {
		sc->starved = false;
		channel_resume(sc->ch);
	}
	channel_settle(sc);
}

/* False: no room. */
static bool request_send(struct storvsp_request *q)
{
	int err = channel_complete(q->sc->ch, q->transaction_id, &q->packet, q->size);

	if (err == -EAGAIN)
		return false;
	request_free(q);
	return true;
}

void storvsp_unsent_add(struct storvsp_channel *sc, struct storvsp_request *q)
{
	q->next = NULL;
	*sc->unsent_tail = q;
	sc->unsent_tail = &q->next;
	sc->unsent_count++;
}

void storvsp_request_answer(struct storvsp_request *q, enum nt_status status)
{
	struct storvsp_channel *sc = q->sc;

	if (!q->answer || sc->closing) {
		request_free(q);
		return;
	}
	q->packet.operation = VSTOR_COMPLETE_IO;
	q->packet.flags = 0;
	q->packet.status = status;
	if (!sc->unsent && request_send(q))
		return;
	storvsp_unsent_add(sc, q);
	channel_settle(sc);
}

static struct storvsp_request *unsent_take(struct storvsp_channel *sc)
{
	struct storvsp_request *q = sc->unsent;

	sc->unsent = q->next;
	if (!sc->unsent)
		sc->unsent_tail = &sc->unsent;
	sc->unsent_count--;
	return q;
}

/* Where it was before it was taken: the first. */
static void unsent_put_back(struct storvsp_channel *sc, struct storvsp_request *q)
{
	q->next = sc->unsent;
	if (!sc->unsent)
		sc->unsent_tail = &q->next;
	sc->unsent = q;
	sc->unsent_count++;
}

/* One that is sent is free then, and no longer among them when that settles. False: some wait. */
static bool unsent_flush(struct storvsp_channel *sc)
{
	while (sc->unsent) {
		struct storvsp_request *q = unsent_take(sc);

		if (!request_send(q)) {
			unsent_put_back(sc, q);
			return false;
		}
	}
	return true;
}

static void unsent_clear(struct storvsp_channel *sc)
{
	sc->unsent = NULL;
	sc->unsent_tail = &sc->unsent;
	sc->unsent_count = 0;
}

/* ---- Packets --------------------------------------------------------------------------------- */

static void packet_handle(struct storvsp_channel *sc, const struct vmbus_packet *pkt)
{
	struct storvsp_request *q;
	enum nt_status status;

	if (pkt->type != VMBUS_PACKET_INBAND && pkt->type != VMBUS_PACKET_GPA_DIRECT) {
		log_guest(&sc->s->bad_packets, "storvsp: a packet of type %u", pkt->type);
		return;
	}
	q = storvsp_request_take(sc);
	if (!q)
		return;
	q->transaction_id = pkt->transaction_id;
	q->answer = pkt->completion_wanted;
	q->size = MIN(pkt->payload_size, (u32)sizeof(q->packet));
	memset(&q->packet, 0, sizeof(q->packet));
	memcpy(&q->packet, pkt->payload, q->size);
	status = storvsp_operation(q, pkt);
	q->size = MAX(q->size, (u32)VSTOR_HEADER_SIZE);
	if (status != NT_PENDING)
		storvsp_request_answer(q, status);
}

/*
 * Sends what tells the guest to scan the bus; before Windows 7 there was nothing. A guest that has
 * not finished its initialization scans after it. False: no room.
 */
static bool rescan_send(struct storvsp_channel *sc)
{
	struct vstor_packet p = { .operation = VSTOR_ENUMERATE_BUS };
	struct storvsp *s = sc->s;
	struct iovec iov = { &p, s->version < VSTOR_VERSION_WIN8 ? VSTOR_PACKET_WIN7 : sizeof(p) };

	if (!atomic_exchange(&s->rescan, false) || s->state != STORVSP_READY ||
	    s->version < VSTOR_VERSION_WIN7)
		return true;
	if (channel_send(sc->ch, VMBUS_PACKET_INBAND, false, 0, &iov, 1) != -EAGAIN)
		return true;
	s->rescan = true;
	return false;
}

/* What waits for room goes first. False: some still waits. */
static bool channel_send_waiting(struct storvsp_channel *sc)
{
	if (!unsent_flush(sc))
		return false;
	return sc != sc->s->channel || !sc->s->rescan || rescan_send(sc);
}

static void storvsp_ready(struct vmbus_channel *ch)
{
	struct storvsp_channel *sc = channel_data(ch);
	struct vmbus_packet pkt;
	int got;

	for (unsigned n = 0; n < STORVSP_BATCH; n++) {
		if (!channel_send_waiting(sc))
			return;
		if (!request_available(sc)) {
			sc->starved = true;
			return;
		}
		got = channel_recv(ch, sc->buf, &pkt);
		if (!got)
			return;
		if (got == 1)
			packet_handle(sc, &pkt);
		else
			log_guest(&sc->s->bad_packets, "storvsp: a packet that is %s",
				  got == -EMSGSIZE ? "too large" : "malformed");
	}
	/* A guest that fills its ring as fast as we empty it does not get the loop to itself. */
	channel_resume(ch);
}

void storvsp_rescan(struct storvsp *s)
{
	struct storvsp_channel *primary = s->channel;

	s->rescan = true;
	if (primary->loop)
		loop_post(primary->loop, &primary->look);
}

/* ---- The channel ----------------------------------------------------------------------------- */

static void channel_begin(struct storvsp_channel *sc)
{
	struct loop *loop = channel_loop(sc->ch);

	sc->uring = sc->s->uring(sc->s->uring_ctx, loop);
	storvsp_join(sc);
}

int storvsp_open(struct vmbus_channel *ch)
{
	struct storvsp *s = channel_device(ch)->data;
	struct storvsp_channel *sc = &s->channel[channel_sub_index(ch)];

	if (sc == s->channel) {
		s->state = STORVSP_BEGIN;
		s->rescan = false;
	}
	sc->s = s;
	sc->ch = ch;
	sc->closing = sc->starved = false;
	sc->settled = NULL;
	sc->in_flight = sc->fresh = 0;
	sc->free = NULL;
	unsent_clear(sc);
	channel_set_data(ch, sc);
	channel_begin(sc);
	return 0;
}

/* The memory of its requests is given back. */
static void close_settled(struct storvsp_channel *sc)
{
	storvsp_leave(sc);
	madvise(sc->request, sc->fresh * sizeof(*sc->request), MADV_DONTNEED);
	channel_closed(sc->ch);
}

static void storvsp_close(struct vmbus_channel *ch)
{
	struct storvsp_channel *sc = channel_data(ch);

	/* There is nobody to be told of anything. */
	if (sc == sc->s->channel)
		sc->s->state = STORVSP_BEGIN;
	/* Answers that found no room will not be read any more. */
	sc->in_flight -= sc->unsent_count;
	unsent_clear(sc);
	sc->closing = true;
	sc->settled = close_settled;
	channel_settle(sc);
}

static void detach_settled(struct storvsp_channel *sc)
{
	storvsp_leave(sc);
	channel_detached(sc->ch);
}

static void storvsp_leave_loop(struct vmbus_channel *ch)
{
	struct storvsp_channel *sc = channel_data(ch);

	sc->settled = detach_settled;
	channel_settle(sc);
}

static void storvsp_enter_loop(struct vmbus_channel *ch)
{
	channel_begin(channel_data(ch));
}

static void freeze_settled(struct storvsp_channel *sc)
{
	channel_frozen(sc->ch);
}

static void storvsp_freeze(struct vmbus_channel *ch)
{
	struct storvsp_channel *sc = channel_data(ch);

	sc->settled = freeze_settled;
	channel_settle(sc);
}

/* Saving may have been given up. */
static void storvsp_thaw(struct vmbus_channel *ch)
{
	struct storvsp_channel *sc = channel_data(ch);

	sc->settled = NULL;
}

#define STORVSP_OPS                                                                         \
	.packet_max = STORVSP_PACKET_MAX, .open = storvsp_open, .ready = storvsp_ready,     \
	.close = storvsp_close, .detach = storvsp_leave_loop, .attach = storvsp_enter_loop, \
	.freeze = storvsp_freeze, .thaw = storvsp_thaw, .save = storvsp_save,               \
	.restore = storvsp_restore, .save_state = storvsp_save_state,                       \
	.restore_state = storvsp_restore_state

const struct vmbus_device_ops storvsp_scsi_ops = {
	.name = "storvsp",
	.type = GUID(0xba6163d9, 0x04a1, 0x4d29, 0xb6, 0x05, 0x72, 0xe2, 0xff, 0xb1, 0xdc, 0x7f),
	STORVSP_OPS,
};

const struct vmbus_device_ops storvsp_ide_ops = {
	.name = "storvsp-ide",
	.type = GUID(0x32412632, 0x86cb, 0x44a2, 0x9b, 0x5c, 0x50, 0xd1, 0x41, 0x73, 0x54, 0xf5),
	STORVSP_OPS,
};
