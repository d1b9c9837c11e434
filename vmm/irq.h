/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt routes and the eventfds that raise them. The GSI table always holds the 24 IOAPIC
 * pins; MSI and SynIC routes take GSIs above them. Setting the kernel's table is slow (up to
 * milliseconds), so a route is set when the guest sets up its vector, never per interrupt.
 */
#ifndef VMM_IRQ_H
#define VMM_IRQ_H

#include <pthread.h>

#include "base/types.h"

#define IRQ_IOAPIC_PINS 24
#define IRQ_ROUTES_MAX 1024

struct irq_route {
	enum {
		IRQ_FREE,
		IRQ_UNUSED,
		IRQ_MSI,
		IRQ_HV_SINT
	} kind; /* IRQ_UNUSED: allocated, not set */
	union {
		struct {
			u64 addr;
			u32 data;
		} msi;
		struct {
			u32 vcpu; /* VP index */
			u32 sint;
		} hv_sint;
	};
};

struct kvm_irq_routing;

struct irq_table {
	int vm_fd;
	pthread_mutex_t lock;
	struct kvm_irq_routing *kernel; /* room for the whole table as the kernel takes it */
	struct irq_route route[IRQ_ROUTES_MAX]; /* GSI minus IRQ_IOAPIC_PINS */
};

/* vm_fd: a KVM VM with its irqchip. 0 or -errno. A zeroed table may be given to irq_fini(). */
int irq_init(struct irq_table *t, int vm_fd);
void irq_fini(struct irq_table *t);

/* A GSI (>= IRQ_IOAPIC_PINS) without a route yet, or -ENOSPC. Any thread. */
int irq_alloc(struct irq_table *t);

/* Set or replace the route of an allocated GSI and tell the kernel. 0 or -errno. Any thread. */
int irq_route_msi(struct irq_table *t, u32 gsi, u64 addr, u32 data);
int irq_route_hv_sint(struct irq_table *t, u32 gsi, u32 vp_index, u32 sint);

/*
 * Takes the route away; the GSI stays allocated and its irqfd does nothing. 0 or -errno. Any
 * thread.
 */
int irq_unroute(struct irq_table *t, u32 gsi);

/* Gives an allocated GSI without a route back. Any thread. */
void irq_free(struct irq_table *t, u32 gsi);

/* Writing eventfd, which stays the caller's, raises gsi (an edge). 0 or -errno. */
int irq_bind(struct irq_table *t, u32 gsi, int eventfd);

#endif
