/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Saving and restoring a controller.
 *
 * What is under way is drained: a request whose CDB was looked at goes to its end on the disk, and
 * a reset, which waits for such requests, with it; what the guest put into its rings after that
 * stays there. The other way, to write requests down and send them to the disk again in the next
 * host, would have a write of which nobody knows whether it was carried out be done twice, perhaps
 * over a later one of another channel. What was answered and found no room in the guest's ring is
 * carried: nobody but the guest can make room.
 *
 * So saving lasts as long as the slowest request: those that wait for a limit (bps=, iops=) are
 * waited for as others are, at the rate there is; one that a disk never answers, because its NFS or
 * NBD server is silent, holds it up until that ends, in words (vmbus_freeze()), and can be given up
 * (vmbus_thaw()). With --on-io-error stop there is none of it: the guest has ended by then.
 *
 * What is on the disks is not part of it: the next host must find it as it was left. On this
 * machine it does, but for what an ephemeral disk held, which goes with the process; another
 * machine that has the same images does once they were synced here.
 *
 * A channel's part (units belong to the controller, whose part is there while no channel is open,
 * too):
 *
 *	u32 STORVSP_SAVED
 *	u8 state, u16 version: of the controller, with each channel the same; u8 rescan is due, as
 *	it was at this channel's turn: disks come and go meanwhile
 *	u32 count of answers without room; each: u64 transaction id, u32 bytes, the packet
 *
 * The controller's:
 *
 *	u32 STORVSP_UNITS_SAVED
 *	u32 count of units; each, in ascending order: u32 STORVSP_UNIT(), the unit (scsi_save.c)
 *
 * Each of them must be there again, with the same in it. A unit that was not is one that was
 * plugged in, for all the guest knows.
 */
#include "devices/storvsp.h"

#include <errno.h>
#include <string.h>

#define STORVSP_SAVED 2u /* the version of what follows */
#define STORVSP_UNITS_SAVED 1u /* ... */

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

/* ---- Units ----------------------------------------------------------------------------------- */

static struct scsi_unit *unit_of(const struct storvsp *s, u32 number)
{
	return number < STORVSP_UNITS ? scsi_target_unit(&s->target[number / STORVSP_LUNS].scsi,
							 number % STORVSP_LUNS)
				      : NULL;
}

void storvsp_save_state(struct vmbus_device *dev, struct stream_out *out)
{
	struct storvsp *s = dev->data;
	u32 count = 0;
	size_t at;

	stream_put_u32(out, STORVSP_UNITS_SAVED);
	at = out->len;
	stream_put_u32(out, 0);
	pthread_mutex_lock(&s->lock);
	for (u32 i = 0; i < STORVSP_UNITS; i++) {
		struct scsi_unit *unit = unit_of(s, i);

		if (!unit)
			continue;
		stream_put_u32(out, i);
		scsi_unit_save(unit, out);
		count++;
	}
	pthread_mutex_unlock(&s->lock);
	stream_patch_u32(out, at, count);
}

/* The next unit of the stream, which is not below *next. */
static int unit_restore(struct storvsp *s, u32 *next, struct stream_in *in, bool apply)
{
	u32 number = stream_get_u32(in);
	struct scsi_unit *unit = unit_of(s, number);

	if (in->bad || number < *next || number >= STORVSP_UNITS)
		return -EINVAL;
	*next = number + 1;
	return unit ? scsi_unit_restore(unit, in, apply) : -ENODEV;
}

static u32 units_present(const struct storvsp *s)
{
	u32 count = 0;

	for (u32 i = 0; i < STORVSP_UNITS; i++)
		count += unit_of(s, i) != NULL;
	return count;
}

int storvsp_restore_state(struct vmbus_device *dev, struct stream_in *in, bool apply)
{
	u32 version = stream_get_u32(in), count = stream_get_u32(in), next = 0;
	struct storvsp *s = dev->data;
	int err = version == STORVSP_UNITS_SAVED && count <= STORVSP_UNITS ? 0 : -EINVAL;

	pthread_mutex_lock(&s->lock);
	for (u32 i = 0; !err && i < count; i++)
		err = unit_restore(s, &next, in, apply);
	if (!err && apply && units_present(s) > count)
		storvsp_units_changed(s);
	pthread_mutex_unlock(&s->lock);
	return err;
}
