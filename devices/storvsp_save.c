/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Saving and restoring a channel. Requests on the disks, and with them resets, were drained; answers
 * without room in the ring are carried.
 *
 *	u32 STORVSP_SAVED
 *	u8 state, u16 version: of the controller, with each channel the same; u8 rescan is due, as
 *	it was at this channel's turn: disks come and go meanwhile
 *	u32 count of answers without room; each: u64 transaction id, u32 bytes, the packet
 */
#include "devices/storvsp.h"

#include <errno.h>
#include <string.h>

#define STORVSP_SAVED 2u /* the version of what follows */

void storvsp_save(struct vmbus_channel *ch, struct stream_out *out)
{
	const struct storvsp_channel *sc = channel_data(ch);

	stream_put_u32(out, STORVSP_SAVED);
	stream_put_u8(out, (u8)sc->s->state);
	stream_put_u16(out, sc->s->version);
	stream_put_u8(out, sc->s->rescan);
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
	q = storvsp_request_take(sc);
	if (!q)
		return -EINVAL;
	q->transaction_id = id;
	q->answer = true;
	q->size = size;
	memset(&q->packet, 0, sizeof(q->packet));
	stream_get_bytes(in, &q->packet, size);
	storvsp_unsent_add(sc, q);
	return 0;
}

/* A state as negotiating leads to; sub-channels have the primary one's, which comes before them. */
static int state_restore(struct storvsp_channel *sc, struct stream_in *in)
{
	struct storvsp *s = sc->s;
	u8 state = stream_get_u8(in);
	u16 version = stream_get_u16(in);
	bool rescan = stream_get_bool(in);

	if (in->bad || !state || state > STORVSP_READY || state & (state - 1) ||
	    (version && !storvsp_version_known(version)) ||
	    (state >= STORVSP_PROPERTIES && !version))
		return -EINVAL;
	if (sc == s->channel) {
		s->state = state;
		s->version = version;
	}
	if (rescan)
		s->rescan = true;
	return state == s->state && version == s->version ? 0 : -EINVAL;
}

int storvsp_restore(struct vmbus_channel *ch, struct stream_in *in)
{
	struct storvsp_channel *sc;
	int err = storvsp_open(ch);

	if (err)
		return err;
	sc = channel_data(ch);
	if (stream_get_u32(in) != STORVSP_SAVED || state_restore(sc, in))
		err = -EINVAL;
	for (u32 count = err ? 0 : stream_get_u32(in); !err && count; count--)
		err = unsent_restore(sc, in);
	if (err)
		storvsp_leave(sc);
	return err;
}
