/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bridge between the VMBus and the Hyper-V interface: struct vmbus_port answered by the SynIC
 * and the ports. The only file that knows both.
 *
 * Life, on the main thread: port_synic_init (after hyperv_init), vmbus_init with &p->port,
 * port_synic_connect (before vm_start), ... vm_stop, vmbus_fini; nothing to free.
 */
#ifndef VMBUS_PORT_SYNIC_H
#define VMBUS_PORT_SYNIC_H

#include "hyperv/hyperv.h"
#include "vmbus/port.h"
#include "vmbus/vmbus.h"

struct port_synic {
	struct vmbus_port port;
	struct hyperv *hv;
	struct vmbus *bus;
};

/* vp_count: VPs of the machine. The caller keeps p in place. */
void port_synic_init(struct port_synic *p, struct hyperv *hv, u32 vp_count);

/* Sends the guest's messages, and word of free slots, to bus. 0 or -errno. */
int port_synic_connect(struct port_synic *p, struct vmbus *bus);

#endif
