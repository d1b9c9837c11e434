/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EXECUTE_SRB: a SCSI request block becomes a request for the SCSI target it names, and what came
 * of it the block that answers. On the channel's loop.
 */
#include "devices/storvsp.h"

#include <errno.h>
#include <string.h>

#include "vmbus/gpa_range.h"

/* Linux takes a disk away on INVALID_LUN; it must not do so for the disk of another path. */
static u8 srb_status_of(const struct scsi_request *r)
{
	if (r->status == SCSI_GOOD)
		return SRB_SUCCESS;
	if (r->sense.asc == SCSI_ASC_LUN_NOT_SUPPORTED)
		return r->target ? SRB_INVALID_LUN : SRB_INVALID_TARGET_ID;
	return r->sense.key == SCSI_ILLEGAL_REQUEST ? SRB_INVALID_REQUEST : SRB_ERROR;
}

static enum nt_status nt_status_of(const struct scsi_request *r)
{
	if (r->status == SCSI_GOOD)
		return NT_SUCCESS;
	return r->sense.asc == SCSI_ASC_LUN_NOT_SUPPORTED ? NT_DEVICE_DOES_NOT_EXIST
							  : NT_IO_DEVICE_ERROR;
}

static void srb_done(struct scsi_request *r)
{
	struct storvsp_request *q = container_of(r, struct storvsp_request, scsi);
	const struct vstor_srb *srb = &q->packet.srb;
	u32 sense_len = MIN(srb->sense_info_length, (u32)VSTOR_SENSE_MAX);
	struct vstor_srb answer = { .length = srb->length,
				    .srb_status = srb_status_of(r),
				    .scsi_status = (u8)r->status,
				    .path_id = srb->path_id,
				    .target_id = srb->target_id,
				    .lun = srb->lun,
				    .cdb_length = VSTOR_CDB_MAX,
				    .data_transfer_length = r->transferred };

	if (r->status == SCSI_CHECK_CONDITION && sense_len) {
		answer.sense_info_length = (u8)scsi_sense_write(r, answer.sense_data, sense_len);
		answer.srb_status |= SRB_AUTOSENSE_VALID;
	}
	q->packet.srb = answer;
	q->running = false;
	if (q->awaited) {
		q->awaited = false;
		storvsp_reset_ended(q->sc->s);
	}
	storvsp_request_answer(q, nt_status_of(r));
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

/* Guests do not set the path of an IDE disk reliably. */
const struct scsi_target *storvsp_target(const struct storvsp *s, const struct vstor_srb *srb)
{
	if (s->ide)
		return srb->target_id == s->ide_target ? &s->target[0].scsi : NULL;
	return !srb->path_id && srb->target_id < STORVSP_TARGETS ? &s->target[srb->target_id].scsi
								 : NULL;
}

enum nt_status storvsp_execute(struct storvsp_request *q, const struct vmbus_packet *pkt)
{
	const struct vstor_srb *srb = &q->packet.srb;
	struct scsi_request *r = &q->scsi;

	if (!srb->cdb_length || srb->cdb_length > VSTOR_CDB_MAX || srb_buffer(q, pkt))
		return srb_refuse(q);
	memset(r->cdb, 0, sizeof(r->cdb));
	memcpy(r->cdb, srb->cdb, srb->cdb_length);
	r->target = storvsp_target(q->sc->s, srb);
	r->lun = srb->lun;
	r->nexus = 0; /* a unit belongs to one controller */
	r->uring = q->sc->uring;
	r->flow = channel_sub_index(q->sc->ch);
	r->done = srb_done;
	q->running = true;
	scsi_execute(r);
	return NT_PENDING;
}
