/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A port by which a test guest plays the host's part: it raises SINTs, and creates connections that
 * send back what they get. A 32-bit write of
 *
 *	connection id << 24 | control << 16 | VP index << 8 | SINT
 *
 * does what control says (below), as QEMU's hyperv-testdev does: test suites use its encoding. What
 * makes no sense, which QEMU aborts on, is ignored.
 *
 * An event connection sets the flag of its own number. A message connection posts what it was sent;
 * where the slot is full it keeps one message until the guest has emptied it.
 *
 * All on vCPU threads, under one lock. They may make no descriptors, so every SINT is prepared
 * ahead, and the connections are no ports (hyperv/ports.h) but looked up here: signals to them
 * leave the kernel. A guest can have 256 messages kept, no more.
 */
#include "devices/devices.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "hyperv/ports.h"
#include "hyperv/synic.h"
#include "hyperv/tlfs.h"
#include "vmm/layout.h"

enum control {
	ROUTE_CREATE = 1,
	ROUTE_DESTROY,
	ROUTE_SET,
	MESSAGE_CREATE,
	MESSAGE_DESTROY,
	EVENT_CREATE,
	EVENT_DESTROY,
};

#define CONNECTIONS 256

struct target {
	bool used;
	u8 vp, sint;
};

struct message {
	struct target to;
	bool kept; /* what follows waits for the slot */
	u32 type, size;
	u8 payload[HV_MESSAGE_PAYLOAD_MAX];
};

struct synic_test_port {
	struct hyperv *hv;
	u32 vp_count;
	pthread_mutex_t lock; /* of what follows */
	u16 routes[LAYOUT_CPUS_MAX]; /* a bit a SINT */
	struct message message[CONNECTIONS];
	struct target event[CONNECTIONS];
};

/* ---- Connections. Under the lock ------------------------------------------------------------- */

/* Tries to deliver it, and keeps it where the slot is full. 0 or -errno. */
static int message_send(struct synic_test_port *t, struct message *m)
{
	int err = synic_post_message(t->hv, m->to.vp, m->to.sint, m->type, m->payload, m->size);

	m->kept = err == -EAGAIN;
	return m->kept ? 0 : err;
}

static u16 message_post(struct synic_test_port *t, struct message *m, u32 type, const void *payload,
			u32 size)
{
	if (!m->to.used)
		return HV_STATUS_INVALID_CONNECTION_ID;
	if (m->kept)
		return HV_STATUS_INSUFFICIENT_BUFFERS;
	m->type = type;
	m->size = MIN(size, HV_MESSAGE_PAYLOAD_MAX);
	memcpy(m->payload, payload, m->size);
	return message_send(t, m) ? HV_STATUS_INVALID_HYPERCALL_INPUT : HV_STATUS_SUCCESS;
}

static u16 event_signal(struct synic_test_port *t, u8 id, u16 flag)
{
	const struct target *e = &t->event[id];

	if (!e->used)
		return HV_STATUS_INVALID_CONNECTION_ID;
	if (flag) /* it has one */
		return HV_STATUS_INVALID_PARAMETER;
	synic_set_event(t->hv, e->vp, e->sint, id); /* lost on a VP without SynIC */
	return HV_STATUS_SUCCESS;
}

/* ---- What hyperv/ asks. vCPU threads --------------------------------------------------------- */

static u16 post(void *ctx, u32 connection_id, u32 type, const void *payload, u32 size)
{
	struct synic_test_port *t = ctx;
	u16 status;

	if (connection_id >= CONNECTIONS)
		return HV_STATUS_INVALID_CONNECTION_ID;
	pthread_mutex_lock(&t->lock);
	status = message_post(t, &t->message[connection_id], type, payload, size);
	pthread_mutex_unlock(&t->lock);
	return status;
}

static u16 signal_event(void *ctx, u32 connection_id, u16 flag)
{
	struct synic_test_port *t = ctx;
	u16 status;

	if (connection_id >= CONNECTIONS)
		return HV_STATUS_INVALID_CONNECTION_ID;
	pthread_mutex_lock(&t->lock);
	status = event_signal(t, (u8)connection_id, flag);
	pthread_mutex_unlock(&t->lock);
	return status;
}

static void slot_free(void *ctx, u32 vp_index, u32 sint)
{
	struct synic_test_port *t = ctx;

	pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		struct message *m = &t->message[i];

		if (m->kept && m->to.vp == vp_index && m->to.sint == sint)
			message_send(t, m);
	}
	pthread_mutex_unlock(&t->lock);
}

/* ---- The port -------------------------------------------------------------------------------- */

static void create(struct target *to, u8 vp, u8 sint)
{
	if (!to->used)
		*to = (struct target){ .used = true, .vp = vp, .sint = sint };
}

/* Under the lock. vp and sint exist. */
static void run(struct synic_test_port *t, u8 control, u8 id, u8 vp, u8 sint)
{
	u16 bit = (u16)(1u << sint);

	switch (control) {
	case ROUTE_CREATE:
		t->routes[vp] |= bit;
		break;
	case ROUTE_DESTROY:
		t->routes[vp] &= (u16)~bit;
		break;
	case ROUTE_SET:
		if (t->routes[vp] & bit)
			synic_raise(t->hv, vp, sint);
		break;
	case MESSAGE_CREATE:
		create(&t->message[id].to, vp, sint);
		break;
	case MESSAGE_DESTROY:
		t->message[id] = (struct message){ 0 };
		break;
	case EVENT_CREATE:
		create(&t->event[id], vp, sint);
		break;
	case EVENT_DESTROY:
		t->event[id] = (struct target){ 0 };
		break;
	default:
		break;
	}
}

static void port_write(void *ctx, u64 offset, const void *data, unsigned len)
{
	struct synic_test_port *t = ctx;
	u8 sint, vp, control, id;
	u32 value;

	if (offset || len != sizeof(value))
		return;
	memcpy(&value, data, sizeof(value));
	sint = (u8)value;
	vp = (u8)(value >> 8);
	control = (u8)(value >> 16);
	id = (u8)(value >> 24);
	if (vp >= t->vp_count || sint >= HV_SINTS)
		return;
	pthread_mutex_lock(&t->lock);
	run(t, control, id, vp, sint);
	pthread_mutex_unlock(&t->lock);
}

struct io_range synic_test_port_range(struct synic_test_port *t, u64 base)
{
	return (struct io_range){
		.space = IO_PORT,
		.base = base,
		.len = sizeof(u32),
		.write = port_write,
		.ctx = t,
	};
}

int synic_test_port_init(struct synic_test_port **t, struct hyperv *hv)
{
	struct synic_test_port *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	pthread_mutex_init(&new->lock, NULL);
	new->hv = hv;
	ports_set_others(hv, &(struct ports_others){ post, signal_event, new });
	synic_on_slot_free(hv, slot_free, new);
	*t = new;
	return 0;
}

int synic_test_port_add_vp(struct synic_test_port *t, u32 vp_index)
{
	int err = 0;

	if (vp_index >= LAYOUT_CPUS_MAX)
		return -EINVAL;
	for (u32 sint = 0; sint < HV_SINTS && !err; sint++)
		err = synic_prepare(t->hv, vp_index, sint);
	if (!err)
		t->vp_count = MAX(t->vp_count, vp_index + 1);
	return err;
}

void synic_test_port_fini(struct synic_test_port *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t);
}
