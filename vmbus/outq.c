/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmbus/outq.h"

#include <errno.h>
#include <string.h>

#include "vmbus/trace.h"

int outq_push(struct outq *q, u32 vp, u32 sint, const void *msg, u32 len)
{
	struct outq_message *m;

	if (!outq_room(q) || len > VMBUS_MESSAGE_MAX) {
		log_guest(&q->lost, "vmbus: the guest takes no messages, one is lost");
		return -ENOSPC;
	}
	m = &q->message[(q->head + q->count) % OUTQ_MAX];
	m->vp = vp;
	m->sint = sint;
	m->len = len;
	memcpy(m->bytes, msg, len);
	q->count++;
	return 0;
}

/* Messages that may go now. */
static u32 outq_ready(const struct outq *q)
{
	return q->held ? q->passing : q->count;
}

void outq_flush(struct outq *q, struct vmbus_port *port)
{
	atomic_store(&q->waiting, outq_ready(q) > 0);
	while (outq_ready(q)) {
		const struct outq_message *m = &q->message[q->head];
		int err;

		if (q->late && q->late(q))
			return;
		err = port->post_message(port, m->vp, m->sint, m->bytes, m->len);
		trace_vmbus_msg_cb(m->vp, m->sint, err);
		if (err == -EAGAIN)
			return;
		if (err)
			log_guest(&q->lost, "vmbus: no message reaches VP %u, SINT %u: %s", m->vp,
				  m->sint, strerror(-err));
		q->head = (q->head + 1) % OUTQ_MAX;
		q->count--;
		q->gone++;
		q->passing -= q->held;
	}
	atomic_store(&q->waiting, false);
	/* Back to the front: a queue that is short lived touches few pages. */
	if (!q->count)
		q->head = 0;
}

void outq_hold(struct outq *q)
{
	q->held = true;
	q->passing = q->count;
}

void outq_release(struct outq *q)
{
	q->held = false;
}

void outq_clear(struct outq *q)
{
	q->gone += q->count;
	q->head = q->count = q->passing = 0;
	q->held = false;
}
