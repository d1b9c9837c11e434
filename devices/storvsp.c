/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A synthetic SCSI controller: takes packets off a channel, runs what they ask for on the disks,
 * answers. The life of a request: free, in flight, perhaps waiting for room in the guest's ring,
 * free. Nothing is allocated after storvsp_init().
 *
 * Back-pressure. No free request: receiving stops (`starved`) until one is answered. No room for an
 * answer: it waits in `unsent`, and nothing more is received until ready() has sent it.
 *
 * Saving. Requests on the disks are drained; answers without room in the ring are carried.
 *
 * Sizes. Guests before Windows 8 know packets of 48 bytes, later ones 64, and Linux checks the
 * length of an answer before a version is agreed on: every answer is as long as its packet was.
 */
#include "devices/storvsp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmbus/gpa_range.h"

/* ---- Requests ---- */

static struct storvsp_request *request_take(struct storvsp_channel *sc)
{
	struct storvsp_request *q = sc->free;

	if (q) {
		sc->free = q->next;
	} else if (sc->fresh < STORVSP_REQUESTS) {
		q = &sc->request[sc->fresh++];
		q->sc = sc;
	} else {
		return NULL;
	}
	sc->in_flight++;
	return q;
}

static void freeze_settle(struct storvsp_channel *sc)
{
	if (!sc->freezing || sc->in_flight != sc->unsent_count)
		return;
	sc->freezing = false;
	channel_frozen(sc->ch);
}

static void request_free(struct storvsp_request *q)
{
	struct storvsp_channel *sc = q->sc;

	q->next = sc->free;
	sc->free = q;
	sc->in_flight--;
	if (sc->closing) {
		if (!sc->in_flight)
			channel_closed(sc->ch);
	} else if (sc->starved) {
		sc->starved = false;
		channel_resume(sc->ch);
	}
	freeze_settle(sc);
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

static void unsent_add(struct storvsp_channel *sc, struct storvsp_request *q)
{
	q->next = NULL;
	*sc->unsent_tail = q;
	sc->unsent_tail = &q->next;
	sc->unsent_count++;
}

static void request_answer(struct storvsp_request *q, enum nt_status status)
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
	unsent_add(sc, q);
	freeze_settle(sc);
}

/* False: some still wait. */
static bool unsent_flush(struct storvsp_channel *sc)
{
	while (sc->unsent) {
		struct storvsp_request *q = sc->unsent, *next = q->next;

		if (!request_send(q))
			return false;
		sc->unsent = next;
		sc->unsent_count--;
		if (!next)
			sc->unsent_tail = &sc->unsent;
	}
	return true;
}

/* ---- EXECUTE_SRB ---- */

/* Linux takes a disk away on INVALID_LUN; it must not do so for the disk of another target. */
static u8 srb_status_of(const struct scsi_request *r)
{
	if (r->status == SCSI_GOOD)
		return SRB_SUCCESS;
	if (r->sense.asc == SCSI_ASC_LUN_NOT_SUPPORTED)
		return r->unit.target ? SRB_INVALID_LUN : SRB_INVALID_TARGET_ID;
	return r->sense.key == SCSI_ILLEGAL_REQUEST ? SRB_INVALID_REQUEST : SRB_ERROR;
}

static void srb_done(struct scsi_request *r)
{
	struct storvsp_request *q = container_of(r, struct storvsp_request, scsi);
	u8 srb_status = srb_status_of(r);
	u32 sense_len = MIN(q->packet.srb.sense_info_length, (u32)sizeof(struct scsi_sense_fixed));
	struct vstor_srb answer = { .length = q->packet.srb.length,
				    .scsi_status = (u8)r->status,
				    .path_id = q->packet.srb.path_id,
				    .target_id = q->packet.srb.target_id,
				    .lun = q->packet.srb.lun,
				    .cdb_length = VSTOR_CDB_MAX,
				    .data_transfer_length = r->transferred };
	struct scsi_sense_fixed sense;

	if (r->status != SCSI_GOOD && sense_len) {
		scsi_sense_build(&sense, r->sense);
		memcpy(answer.sense_data, &sense, sense_len);
		answer.sense_info_length = (u8)sense_len;
		srb_status |= SRB_AUTOSENSE_VALID;
	}
	answer.srb_status = srb_status;
	q->packet.srb = answer;
	if (r->status == SCSI_GOOD)
		request_answer(q, NT_SUCCESS);
	else if (r->sense.asc == SCSI_ASC_LUN_NOT_SUPPORTED)
		request_answer(q, NT_DEVICE_DOES_NOT_EXIST);
	else
		request_answer(q, NT_IO_DEVICE_ERROR);
}

/* The guest's buffer as iovecs: 0, or -errno where the packet does not describe one. */
static int srb_buffer(struct storvsp_request *q, const struct vmbus_packet *pkt)
{
	struct scsi_request *r = &q->scsi;
	u32 total = 0;
	int n = 0;

	if (pkt->type == VMBUS_PACKET_GPA_DIRECT)
		n = pkt->range_count == 1
			    ? gpa_range_iov(channel_mem(q->sc->ch), pkt->ranges, pkt->ranges_size,
					    1, r->iov, SCSI_IOV_MAX, &total)
			    : -EINVAL;
	if (n < 0)
		return n;
	if (total < q->packet.srb.data_transfer_length)
		return -EINVAL;
	r->iov_count = (unsigned)n;
	r->buffer_len = q->packet.srb.data_transfer_length;
	return 0;
}

static enum nt_status srb_refuse(struct storvsp_request *q)
{
	log_guest(&q->sc->s->bad_packets,
		  "storvsp: a request whose buffer or command is malformed");
	q->packet.srb.srb_status = SRB_INVALID_REQUEST;
	q->packet.srb.scsi_status = SCSI_GOOD;
	q->packet.srb.sense_info_length = 0;
	q->packet.srb.data_transfer_length = 0;
	return NT_INVALID_PARAMETER;
}

enum nt_status storvsp_execute(struct storvsp_request *q, const struct vmbus_packet *pkt)
{
	const struct vstor_srb *srb = &q->packet.srb;
	struct storvsp *s = q->sc->s;
	bool here = !srb->path_id && !srb->target_id;
	struct scsi_request *r = &q->scsi;

	if (!srb->cdb_length || srb->cdb_length > VSTOR_CDB_MAX || srb_buffer(q, pkt))
		return srb_refuse(q);
	memset(r->cdb, 0, sizeof(r->cdb));
	memcpy(r->cdb, srb->cdb, srb->cdb_length);
	r->unit = scsi_unit(here ? &s->target : NULL, srb->lun);
	r->uring = q->sc->uring;
	r->done = srb_done;
	scsi_execute(r);
	return NT_PENDING;
}

/* ---- The channel ---- */

static void packet_handle(struct storvsp_channel *sc, const struct vmbus_packet *pkt)
{
	struct storvsp_request *q;
	enum nt_status status;

	if (pkt->type != VMBUS_PACKET_INBAND && pkt->type != VMBUS_PACKET_GPA_DIRECT) {
		log_guest(&sc->s->bad_packets, "storvsp: a packet of type %u", pkt->type);
		return;
	}
	q = request_take(sc);
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
		request_answer(q, status);
}

static bool request_available(const struct storvsp_channel *sc)
{
	return sc->free || sc->fresh < STORVSP_REQUESTS;
}

static void storvsp_ready(struct vmbus_channel *ch)
{
	struct storvsp_channel *sc = channel_data(ch);
	struct vmbus_packet pkt;
	int got;

	sc->uring = sc->s->uring(sc->s->uring_ctx, channel_loop(ch));
	for (unsigned n = 0; n < STORVSP_BATCH; n++) {
		if (!unsent_flush(sc))
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

static void unsent_clear(struct storvsp_channel *sc)
{
	sc->unsent = NULL;
	sc->unsent_tail = &sc->unsent;
	sc->unsent_count = 0;
}

static int storvsp_open(struct vmbus_channel *ch)
{
	struct storvsp *s = channel_device(ch)->data;
	u16 index = channel_sub_index(ch);
	struct storvsp_channel *sc;

	if (index >= STORVSP_CHANNELS || (index && s->state != STORVSP_READY))
		return -EINVAL;
	if (!index)
		s->state = STORVSP_BEGIN;
	sc = &s->channel[index];
	sc->s = s;
	sc->ch = ch;
	sc->closing = sc->starved = sc->freezing = false;
	sc->in_flight = sc->fresh = 0;
	sc->free = NULL;
	unsent_clear(sc);
	channel_set_data(ch, sc);
	return 0;
}

static void storvsp_close(struct vmbus_channel *ch)
{
	struct storvsp_channel *sc = channel_data(ch);

	/* Answers that found no room will not be read any more. */
	sc->in_flight -= sc->unsent_count;
	unsent_clear(sc);
	sc->freezing = false;
	sc->closing = true;
	if (!sc->in_flight)
		channel_closed(ch);
}

/* ---- Saving and restoring ---- */

#define STORVSP_SAVED 1u /* the version of what follows */

static void storvsp_freeze(struct vmbus_channel *ch)
{
	struct storvsp_channel *sc = channel_data(ch);

	sc->freezing = true;
	freeze_settle(sc);
}

/*
 * u32 STORVSP_SAVED, u8 state, u16 version, u32 count of answers without room; each: u64 transaction
 * id, u32 bytes, the packet.
 */
static void storvsp_save(struct vmbus_channel *ch, struct stream_out *out)
{
	const struct storvsp_channel *sc = channel_data(ch);

	stream_put_u32(out, STORVSP_SAVED);
	stream_put_u8(out, (u8)sc->s->state);
	stream_put_u16(out, sc->s->version);
	stream_put_u32(out, sc->unsent_count);
	for (const struct storvsp_request *q = sc->unsent; q; q = q->next) {
		stream_put_u64(out, q->transaction_id);
		stream_put_u32(out, q->size);
		stream_put_bytes(out, &q->packet, q->size);
	}
}

static int unsent_restore(struct storvsp_channel *sc, struct stream_in *in)
{
	u64 id = stream_get_u64(in);
	u32 size = stream_get_u32(in);
	struct storvsp_request *q;

	if (in->bad || size < VSTOR_HEADER_SIZE || size > sizeof(q->packet))
		return -EINVAL;
	q = request_take(sc);
	if (!q)
		return -EINVAL;
	q->transaction_id = id;
	q->answer = true;
	q->size = size;
	memset(&q->packet, 0, sizeof(q->packet));
	stream_get_bytes(in, &q->packet, size);
	unsent_add(sc, q);
	return 0;
}

/* A state as negotiating leads to. */
static int state_restore(struct storvsp *s, struct stream_in *in)
{
	u8 state = stream_get_u8(in);
	u16 version = stream_get_u16(in);

	if (!state || state > STORVSP_READY || state & (state - 1) ||
	    (version && !storvsp_version_known(version)) ||
	    (state >= STORVSP_PROPERTIES && !version))
		return -EINVAL;
	s->state = state;
	s->version = version;
	return 0;
}

static int storvsp_restore(struct vmbus_channel *ch, struct stream_in *in)
{
	struct storvsp *s = channel_device(ch)->data;
	struct storvsp_channel *sc;
	int err = storvsp_open(ch);

	if (err)
		return err;
	sc = channel_data(ch);
	if (stream_get_u32(in) != STORVSP_SAVED || state_restore(s, in))
		return -EINVAL;
	for (u32 count = stream_get_u32(in); !err && count; count--)
		err = unsent_restore(sc, in);
	return err;
}

static const struct vmbus_device_ops storvsp_ops = {
	.name = "storvsp",
	.type = GUID(0xba6163d9, 0x04a1, 0x4d29, 0xb6, 0x05, 0x72, 0xe2, 0xff, 0xb1, 0xdc, 0x7f),
	.packet_max = STORVSP_PACKET_MAX,
	.open = storvsp_open,
	.ready = storvsp_ready,
	.close = storvsp_close,
	.freeze = storvsp_freeze,
	.save = storvsp_save,
	.restore = storvsp_restore,
};

/* ---- The controller ---- */

int storvsp_init(struct storvsp **s, unsigned number, storvsp_uring_fn uring, void *ctx)
{
	struct storvsp *new = calloc(1, sizeof(*new));
	void *channels;

	if (!new)
		return -ENOMEM;
	/* Mapped, so that requests never used cost no memory. */
	channels = mmap(NULL, STORVSP_CHANNELS * sizeof(*new->channel), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (channels == MAP_FAILED) {
		free(new);
		return -ENOMEM;
	}
	new->channel = channels;
	new->uring = uring;
	new->uring_ctx = ctx;
	new->device.ops = &storvsp_ops;
	new->device.instance = GUID(0x63616e64, 0x656c, 0x4173, 0x80, 0x73, 0x63, 0x73, 0x69, 0,
				    (u8)(number >> 8), (u8)number);
	new->device.data = new;
	*s = new;
	return 0;
}

int storvsp_attach(struct storvsp *s, unsigned lun, struct disk *disk)
{
	if (lun >= SCSI_LUNS)
		return -EINVAL;
	if (s->target.lun[lun])
		return -EEXIST;
	s->target.lun[lun] = disk;
	return 0;
}

struct vmbus_device *storvsp_device(struct storvsp *s)
{
	return &s->device;
}

void storvsp_fini(struct storvsp *s)
{
	if (!s)
		return;
	for (unsigned lun = 0; lun < SCSI_LUNS; lun++)
		if (s->target.lun[lun])
			s->target.lun[lun]->ops->close(s->target.lun[lun]);
	munmap(s->channel, STORVSP_CHANNELS * sizeof(*s->channel));
	free(s);
}
