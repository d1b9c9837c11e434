/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connection ids (TLFS: Inter-Partition Communication). A signal normally never gets here: the
 * kernel writes the eventfd. What comes is what the kernel does not know: other connections, flag
 * numbers, and on the user back end signals whose parameters lie in memory.
 *
 * Message ports are frozen when the VPs start and read without a lock. Event ports come and go with
 * channels, under a lock no doorbell takes. Whoever needs more than that is asked last (others).
 */
#include "hyperv/internal.h"

#include <errno.h>
#include <sys/eventfd.h>

void ports_init(struct ports *p)
{
	pthread_mutex_init(&p->lock, NULL);
}

void ports_fini(struct ports *p)
{
	pthread_mutex_destroy(&p->lock);
}

void ports_set_others(struct hyperv *hv, const struct ports_others *others)
{
	hv->ports.others = *others;
}

int ports_add_message(struct hyperv *hv, u32 connection_id, ports_message_fn receive, void *ctx)
{
	struct ports *p = &hv->ports;

	for (unsigned i = 0; i < p->message_count; i++) {
		if (p->message[i].connection_id == connection_id)
			return -EEXIST;
	}
	if (p->message_count == PORTS_MESSAGE_MAX)
		return -ENOSPC;
	p->message[p->message_count].connection_id = connection_id;
	p->message[p->message_count].receive = receive;
	p->message[p->message_count++].ctx = ctx;
	return 0;
}

/* The event port of connection_id, or event_count. Under the lock. */
static unsigned event_find(const struct ports *p, u32 connection_id)
{
	unsigned i = 0;

	while (i < p->event_count && p->event[i].connection_id != connection_id)
		i++;
	return i;
}

static int event_add(struct hyperv *hv, u32 connection_id, int fd)
{
	struct ports *p = &hv->ports;
	int err;

	if (event_find(p, connection_id) < p->event_count)
		return -EEXIST;
	if (p->event_count == PORTS_EVENT_MAX)
		return -ENOSPC;
	err = hv->backend->bind_event(hv, connection_id, fd);
	if (err)
		return err;
	p->event[p->event_count].connection_id = connection_id;
	p->event[p->event_count++].fd = fd;
	return 0;
}

int ports_bind_event(struct hyperv *hv, u32 connection_id, int fd)
{
	int err;

	if (!connection_id || connection_id & ~HV_CONNECTION_ID_MASK)
		return -EINVAL;
	pthread_mutex_lock(&hv->ports.lock);
	err = event_add(hv, connection_id, fd);
	pthread_mutex_unlock(&hv->ports.lock);
	return err;
}

int ports_unbind_event(struct hyperv *hv, u32 connection_id, int fd)
{
	struct ports *p = &hv->ports;
	int err = -ENOENT;
	unsigned i;

	pthread_mutex_lock(&p->lock);
	i = event_find(p, connection_id);
	if (i < p->event_count && p->event[i].fd == fd) {
		hv->backend->unbind_event(hv, connection_id, fd);
		p->event[i] = p->event[--p->event_count];
		err = 0;
	}
	pthread_mutex_unlock(&p->lock);
	return err;
}

u16 ports_post(struct hyperv *hv, u32 connection_id, u32 type, const void *payload, u32 size)
{
	const struct ports *p = &hv->ports;

	for (unsigned i = 0; i < p->message_count; i++) {
		if (p->message[i].connection_id == connection_id)
			return p->message[i].receive(p->message[i].ctx, connection_id, type,
						     payload, size);
	}
	if (p->others.post)
		return p->others.post(p->others.ctx, connection_id, type, payload, size);
	return HV_STATUS_INVALID_CONNECTION_ID;
}

u16 ports_signal(struct hyperv *hv, u32 connection_id, u16 flag)
{
	struct ports *p = &hv->ports;
	u16 status = HV_STATUS_SUCCESS;
	unsigned i;

	pthread_mutex_lock(&p->lock);
	i = event_find(p, connection_id);
	if (i == p->event_count)
		status = HV_STATUS_INVALID_CONNECTION_ID;
	else if (flag) /* an event port of ours has one flag */
		status = HV_STATUS_INVALID_PARAMETER;
	else
		eventfd_write(p->event[i].fd, 1); /* fails only where it is signalled already */
	pthread_mutex_unlock(&p->lock);
	if (status == HV_STATUS_INVALID_CONNECTION_ID && p->others.signal)
		return p->others.signal(p->others.ctx, connection_id, flag);
	return status;
}
