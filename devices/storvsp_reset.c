/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Resets. One ends no request early, for the host's kernel has them: it waits until all that ran
 * when it came have ended, on every channel and therefore on several loops, sees to the units and
 * is answered then. What is begun meanwhile is not waited for.
 *
 *	1. The controller asks each channel that is on a loop, by a message to that loop.
 *	2. The channel marks its running requests (`awaited`), counts them, and is counted no more.
 *	3. Each counts itself off as it ends. Who takes the count to 0 sends the last message: to
 *	   the loop of the channel the reset came on, which stays there as long as it is unanswered.
 *
 * Only one is under way at a time, others wait: a guest whose disk does not answer waits for
 * itself.
 */
#include "devices/storvsp.h"

void storvsp_reset_ended(struct storvsp *s)
{
	struct storvsp_request *q;

	if (atomic_fetch_sub(&s->resets.awaited, 1) != 1)
		return;
	pthread_mutex_lock(&s->lock);
	q = s->resets.first;
	loop_post(q->sc->loop, &s->resets.ended);
	pthread_mutex_unlock(&s->lock);
}

/* The first reset of the list, under the lock. What it counts is at least its caller. */
static void reset_begin(struct storvsp *s)
{
	unsigned channels = s->device.sub_channels_max + 1u;

	s->resets.awaited = 1;
	for (unsigned i = 0; i < channels; i++) {
		struct storvsp_channel *sc = &s->channel[i];

		if (!sc->loop)
			continue;
		sc->asked = true;
		s->resets.awaited++;
		loop_post(sc->loop, &sc->look);
	}
}

enum nt_status storvsp_reset(struct storvsp_request *q, const struct vmbus_packet *pkt)
{
	struct storvsp *s = q->sc->s;
	bool first;

	(void)pkt;
	q->next = NULL;
	pthread_mutex_lock(&s->lock);
	first = !s->resets.first;
	*s->resets.last = q;
	s->resets.last = &q->next;
	if (first)
		reset_begin(s);
	pthread_mutex_unlock(&s->lock);
	if (first)
		storvsp_reset_ended(s);
	return NT_PENDING;
}

/* Whether the reset (op, srb) is for what q runs on. */
static bool reset_covers(u32 op, const struct vstor_srb *srb, const struct storvsp_request *q)
{
	const struct vstor_srb *other = &q->packet.srb;

	if (op != VSTOR_RESET_LUN)
		return true;
	return other->target_id == srb->target_id && other->lun == srb->lun &&
	       (q->sc->s->ide || other->path_id == srb->path_id);
}

static void requests_mark(struct storvsp_channel *sc, u32 op, const struct vstor_srb *srb)
{
	for (unsigned i = 0; i < sc->fresh; i++) {
		struct storvsp_request *q = &sc->request[i];

		if (!q->running || !reset_covers(op, srb, q))
			continue;
		q->awaited = true;
		sc->s->resets.awaited++;
	}
}

static void channel_look(struct loop_work *w)
{
	struct storvsp_channel *sc = container_of(w, struct storvsp_channel, look);
	struct storvsp *s = sc->s;
	struct vstor_srb srb;
	u32 op = 0;
	bool asked;

	pthread_mutex_lock(&s->lock);
	asked = sc->asked;
	sc->asked = false;
	if (asked) {
		op = s->resets.first->packet.operation;
		srb = s->resets.first->packet.srb;
	}
	pthread_mutex_unlock(&s->lock);
	if (asked) {
		requests_mark(sc, op, &srb);
		storvsp_reset_ended(s);
	}
	if (sc == s->channel && s->rescan && !sc->closing)
		channel_resume(sc->ch);
}

void storvsp_join(struct storvsp_channel *sc)
{
	sc->look.run = channel_look;
	pthread_mutex_lock(&sc->s->lock);
	sc->loop = channel_loop(sc->ch);
	pthread_mutex_unlock(&sc->s->lock);
}

/* It has no requests running: what it was asked is answered by that. */
void storvsp_leave(struct storvsp_channel *sc)
{
	struct storvsp *s = sc->s;
	bool asked;

	pthread_mutex_lock(&s->lock);
	asked = sc->asked;
	sc->asked = false;
	sc->loop = NULL;
	pthread_mutex_unlock(&s->lock);
	loop_unpost(channel_loop(sc->ch), &sc->look);
	if (asked)
		storvsp_reset_ended(s);
}

/* What is left to do once nothing runs that ran before. Under the lock. */
static void units_reset(struct storvsp *s, const struct vstor_packet *p)
{
	const struct scsi_target *target = storvsp_target(s, &p->srb);
	struct scsi_unit *unit;

	if (p->operation == VSTOR_RESET_LUN) {
		unit = target ? scsi_target_unit(target, p->srb.lun) : NULL;
		if (unit)
			scsi_unit_reset(unit);
		return;
	}
	for (unsigned i = 0; i < STORVSP_TARGETS; i++)
		scsi_target_reset(&s->target[i].scsi);
}

/* On the loop of the first one's channel. */
static void reset_has_ended(struct loop_work *w)
{
	struct storvsp *s = container_of(w, struct storvsp, resets.ended);
	struct storvsp_request *q;
	bool more;

	pthread_mutex_lock(&s->lock);
	q = s->resets.first;
	units_reset(s, &q->packet);
	s->resets.first = q->next;
	more = s->resets.first;
	if (more)
		reset_begin(s);
	else
		s->resets.last = &s->resets.first;
	pthread_mutex_unlock(&s->lock);
	if (more)
		storvsp_reset_ended(s);
	log_guest(&s->resets.done, "storvsp: the guest has reset %s",
		  q->packet.operation == VSTOR_RESET_LUN ? "a unit" : "the bus");
	storvsp_request_answer(q, NT_SUCCESS);
}

void storvsp_resets_init(struct storvsp *s)
{
	s->resets.last = &s->resets.first;
	s->resets.ended.run = reset_has_ended;
}
