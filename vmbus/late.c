/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What chaos makes late, and how. Every hook of the bus asks here, and only where there is chaos.
 * A delay is a timer on the loop of what is delayed; while it is armed the hook holds back, and
 * when it fires what was held back goes its usual way. So each delay ends by itself, and all of
 * them do where a channel closes, moves or is frozen (late_stop()), or where somebody waits for
 * what was sent (late_end()).
 *
 * Within what guests know of hosts: messages keep their order, packets theirs; a primary channel is
 * rescinded behind its sub-channels; a device that was told of no room is told when there is.
 * Short delays take longer where an idle loop sleeps in whole milliseconds (before Linux 5.11).
 *
 * Decisions are numbered by what the guest can count as well: its own messages, signals and
 * packets, and those it gets.
 */
#include <stdlib.h>

#include "vmbus/server.h"

/* How late, in ns. */
static u64 late_ns(struct vmbus *bus, u32 relid, enum chaos_point point, u64 n)
{
	u32 us = chaos_decide(bus->chaos, relid, point, n);

	if (us)
		trace_vmbus_chaos(relid, chaos_point_name(point), n, us);
	return us * 1000ull;
}

/* Arms t, on the channel's loop, if decision n says so. */
static void delay(struct vmbus_channel *ch, struct loop_timer *t, enum chaos_point point, u64 n)
{
	u64 ns = late_ns(ch->bus, ch->relid, point, n);

	if (ns)
		loop_timer_arm(ch->loop, t, loop_now_ns() + ns);
}

/* ---- Messages -------------------------------------------------------------------------------- */

static bool message_out_late(struct outq *q)
{
	struct vmbus *bus = container_of(q, struct vmbus, outq);
	struct bus_late *l = &bus->late;
	u64 ns;

	if (l->out_decided <= q->gone) {
		/* An older one may have been forgotten. */
		loop_timer_disarm(bus->control, &l->out);
		l->out_decided = q->gone + 1;
		ns = late_ns(bus, 0, CHAOS_MESSAGE_OUT, q->gone);
		if (ns)
			loop_timer_arm(bus->control, &l->out, loop_now_ns() + ns);
	}
	return l->out.armed;
}

static void message_out_fire(struct loop_timer *t)
{
	struct vmbus *bus = container_of(t, struct vmbus, late.out);

	loop_post(bus->control, &bus->slot_work);
}

bool late_message_in(struct vmbus *bus)
{
	struct bus_late *l = &bus->late;
	u64 ns;

	if (l->in.armed)
		return true;
	if (!vmbus_inbox_any(bus))
		return false;
	if (l->in_due) {
		l->in_due = false;
		return false;
	}
	ns = late_ns(bus, 0, CHAOS_MESSAGE_IN, l->in_decided++);
	if (ns)
		loop_timer_arm(bus->control, &l->in, loop_now_ns() + ns);
	return ns;
}

static void message_in_fire(struct loop_timer *t)
{
	struct vmbus *bus = container_of(t, struct vmbus, late.in);

	bus->late.in_due = true;
	loop_post(bus->control, &bus->inbox_work);
}

void late_init(struct vmbus *bus)
{
	bus->late.out.fire = message_out_fire;
	bus->late.in.fire = message_in_fire;
	bus->outq.late = message_out_late;
}

void late_fini(struct vmbus *bus)
{
	loop_timer_disarm(bus->control, &bus->late.out);
	loop_timer_disarm(bus->control, &bus->late.in);
}

/* ---- Rescinds -------------------------------------------------------------------------------- */

/* When the last of the sub-channels' rescinds goes out; 0: none waits. */
static u64 subs_deadline(const struct vmbus_channel *primary)
{
	u64 last = 0;

	for (u32 i = 1; i <= primary->device->sub_channels_max; i++) {
		const struct loop_timer *t = &subchannel_at(primary->device, i)->late->rescind;

		if (t->armed)
			last = MAX(last, t->deadline_ns);
	}
	return last;
}

bool late_rescind(struct vmbus_channel *ch)
{
	struct channel_late *l = ch->late;
	u64 deadline = 0, ns;

	/* A bus that is to be saved tells all there is to tell. */
	if (ch->bus->freezing)
		return false;
	ns = late_ns(ch->bus, ch->relid, CHAOS_RESCIND, l->rescinds++);
	if (ns)
		deadline = loop_now_ns() + ns;
	if (!ch->sub_index)
		deadline = MAX(deadline, subs_deadline(ch));
	if (!deadline)
		return false;
	loop_timer_arm(ch->bus->control, &l->rescind, deadline);
	return true;
}

/* A guest that connects anew or unloads has forgotten it. */
static void rescind_tell(struct vmbus_channel *ch)
{
	if (ch->bus->state == CONNECTION_UP)
		offer_rescind(ch);
}

static void rescind_fire(struct loop_timer *t)
{
	rescind_tell(container_of(t, struct channel_late, rescind)->ch);
}

void late_rescind_forget(struct vmbus_channel *ch)
{
	if (ch->late)
		loop_timer_disarm(ch->bus->control, &ch->late->rescind);
}

static void rescind_now(struct vmbus_channel *ch)
{
	if (!ch->late || !ch->late->rescind.armed)
		return;
	late_rescind_forget(ch);
	rescind_tell(ch);
}

void late_rescind_all(struct vmbus *bus)
{
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++)
		if (bus->channel[i] && bus->channel[i]->sub_index)
			rescind_now(bus->channel[i]);
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++)
		if (bus->channel[i])
			rescind_now(bus->channel[i]);
}

/* ---- Channels -------------------------------------------------------------------------------- */

void late_signal(struct vmbus_channel *ch)
{
	u64 n = ch->late->signals++;

	if (!ch->late->run.armed)
		delay(ch, &ch->late->run, CHAOS_SIGNAL, n);
}

bool late_drain(struct vmbus_channel *ch)
{
	delay(ch, &ch->late->run, CHAOS_DRAIN, ch->late->received++);
	return ch->late->run.armed;
}

bool late_holds_run(const struct vmbus_channel *ch)
{
	return ch->late->run.armed;
}

static void run_fire(struct loop_timer *t)
{
	channel_resume(container_of(t, struct channel_late, run)->ch);
}

bool late_room(struct vmbus_channel *ch)
{
	struct channel_late *l = ch->late;
	u64 ns;

	if (!l->room_decided) {
		l->room_decided = true;
		ns = late_ns(ch->bus, ch->relid, CHAOS_ROOM, l->sent);
		l->room_ns = ns ? loop_now_ns() + ns : 0;
	}
	if (l->room_ns && loop_now_ns() >= l->room_ns)
		l->room_ns = 0;
	return l->room_ns;
}

void late_commit(struct vmbus_channel *ch)
{
	struct channel_late *l = ch->late;
	u64 n = l->sent++;

	l->room_decided = false;
	if (!l->commit.armed)
		delay(ch, &l->commit, CHAOS_COMMIT, n);
}

bool late_holds_commit(const struct vmbus_channel *ch)
{
	return ch->late->commit.armed;
}

static void commit_fire(struct loop_timer *t)
{
	struct vmbus_channel *ch = container_of(t, struct channel_late, commit)->ch;

	loop_flush_later(ch->loop, &ch->flush);
}

bool late_interrupt(struct vmbus_channel *ch)
{
	struct channel_late *l = ch->late;

	if (l->interrupt_due) {
		l->interrupt_due = false;
		return false;
	}
	if (!l->interrupt.armed)
		delay(ch, &l->interrupt, CHAOS_INTERRUPT, l->interrupts++);
	return l->interrupt.armed;
}

static void interrupt_fire(struct loop_timer *t)
{
	struct channel_late *l = container_of(t, struct channel_late, interrupt);

	l->interrupt_due = true;
	loop_flush_later(l->ch->loop, &l->ch->flush);
}

void late_end(struct vmbus_channel *ch)
{
	loop_timer_disarm(ch->loop, &ch->late->commit);
	loop_timer_disarm(ch->loop, &ch->late->interrupt);
	ch->late->interrupt_due = false;
}

void late_stop(struct vmbus_channel *ch)
{
	late_end(ch);
	loop_timer_disarm(ch->loop, &ch->late->run);
}

bool late_make(struct vmbus_device *dev)
{
	u32 count = dev->sub_channels_max + 1u;
	struct channel_late *l = calloc(count, sizeof(*l));

	for (u32 i = 0; l && i < count; i++) {
		l[i].ch = subchannel_at(dev, i);
		l[i].ch->late = &l[i];
		l[i].run.fire = run_fire;
		l[i].commit.fire = commit_fire;
		l[i].interrupt.fire = interrupt_fire;
		l[i].rescind.fire = rescind_fire;
	}
	return l;
}

void late_free(struct vmbus_device *dev)
{
	for (u32 i = 0; i <= dev->sub_channels_max; i++)
		late_rescind_forget(&dev->channel[i]);
	free(dev->channel->late);
}
