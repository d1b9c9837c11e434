/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmbus/port_synic.h"

#include "base/types.h"
#include "hyperv/ports.h"
#include "hyperv/synic.h"
#include "hyperv/tlfs.h"

/* The message type of channel messages (Linux include/linux/hyperv.h: "VMBUS_MESSAGE"). */
#define CHANNEL_MESSAGE 1

/* Where guests send theirs: 1 up to protocol version 4, 4 from version 5 on. */
static const u32 message_connections[] = { 1, 4 };

static struct port_synic *synic_of(struct vmbus_port *port)
{
	return container_of(port, struct port_synic, port);
}

static int post_message(struct vmbus_port *port, u32 vp, u32 sint, const void *msg, u32 len)
{
	return synic_post_message(synic_of(port)->hv, vp, sint, CHANNEL_MESSAGE, msg, len);
}

static int set_event(struct vmbus_port *port, u32 vp, u32 sint, u32 flag)
{
	return synic_set_event(synic_of(port)->hv, vp, sint, flag);
}

static int bind_event(struct vmbus_port *port, u32 connection_id, int fd)
{
	return ports_bind_event(synic_of(port)->hv, connection_id, fd);
}

static void unbind_event(struct vmbus_port *port, u32 connection_id, int fd)
{
	ports_unbind_event(synic_of(port)->hv, connection_id, fd);
}

/* vCPU thread. A message of another type is nobody's: it is taken and dropped. */
static u16 receive(void *ctx, u32 connection_id, u32 type, const void *payload, u32 size)
{
	struct port_synic *p = ctx;

	if (type != CHANNEL_MESSAGE)
		return HV_STATUS_SUCCESS;
	return vmbus_receive(p->bus, connection_id, payload, size) ? HV_STATUS_INSUFFICIENT_BUFFERS
								   : HV_STATUS_SUCCESS;
}

static void slot_free(void *ctx, u32 vp_index, u32 sint)
{
	struct port_synic *p = ctx;

	(void)vp_index, (void)sint;
	vmbus_slot_free(p->bus);
}

void port_synic_init(struct port_synic *p, struct hyperv *hv, u32 vp_count)
{
	*p = (struct port_synic){
		.port = { .post_message = post_message,
			  .set_event = set_event,
			  .bind_event = bind_event,
			  .unbind_event = unbind_event,
			  .vp_count = vp_count },
		.hv = hv,
	};
}

int port_synic_connect(struct port_synic *p, struct vmbus *bus)
{
	int err = 0;

	p->bus = bus;
	for (size_t i = 0; !err && i < ARRAY_SIZE(message_connections); i++)
		err = ports_add_message(p->hv, message_connections[i], receive, p);
	synic_on_slot_free(p->hv, slot_free, p);
	return err;
}
