/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/irq.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/kvm.h"

void irq_fini(struct irq_table *t)
{
	if (!t->kernel)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t->kernel);
	t->kernel = NULL;
}

static void route_entry(struct kvm_irq_routing_entry *e, u32 gsi, const struct irq_route *r)
{
	*e = (struct kvm_irq_routing_entry){ .gsi = gsi };
	if (r->kind == IRQ_MSI) {
		e->type = KVM_IRQ_ROUTING_MSI;
		e->u.msi.address_lo = (u32)r->msi.addr;
		e->u.msi.address_hi = (u32)(r->msi.addr >> 32);
		e->u.msi.data = r->msi.data;
	} else {
		e->type = KVM_IRQ_ROUTING_HV_SINT;
		e->u.hv_sint.vcpu = r->hv_sint.vcpu;
		e->u.hv_sint.sint = r->hv_sint.sint;
	}
}

/*
 * Hands the whole table to the kernel. The pins go to the IOAPIC alone: nobody programs the PIC
 * of a hardware-reduced machine, whose lines start unmasked.
 */
static int commit(struct irq_table *t)
{
	struct kvm_irq_routing *k = t->kernel;

	for (u32 pin = 0; pin < IRQ_IOAPIC_PINS; pin++) {
		k->entries[pin] = (struct kvm_irq_routing_entry){ .gsi = pin,
								  .type = KVM_IRQ_ROUTING_IRQCHIP };
		k->entries[pin].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		k->entries[pin].u.irqchip.pin = pin;
	}
	k->nr = IRQ_IOAPIC_PINS;
	for (u32 i = 0; i < IRQ_ROUTES_MAX; i++) {
		const struct irq_route *r = &t->route[i];

		if (r->kind == IRQ_MSI || r->kind == IRQ_HV_SINT)
			route_entry(&k->entries[k->nr++], IRQ_IOAPIC_PINS + i, r);
	}
	return kvm_set_gsi_routing(t->vm_fd, k);
}

int irq_init(struct irq_table *t, int vm_fd)
{
	*t = (struct irq_table){ .vm_fd = vm_fd };
	t->kernel = calloc(1, sizeof(*t->kernel) + sizeof(struct kvm_irq_routing_entry) *
							   (IRQ_IOAPIC_PINS + IRQ_ROUTES_MAX));
	if (!t->kernel)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	return commit(t);
}

int irq_alloc(struct irq_table *t)
{
	int gsi = -ENOSPC;

	pthread_mutex_lock(&t->lock);
	for (u32 i = 0; i < IRQ_ROUTES_MAX; i++) {
		if (t->route[i].kind != IRQ_FREE)
			continue;
		t->route[i].kind = IRQ_UNUSED;
		gsi = (int)(IRQ_IOAPIC_PINS + i);
		break;
	}
	pthread_mutex_unlock(&t->lock);
	return gsi;
}

void irq_free(struct irq_table *t, u32 gsi)
{
	pthread_mutex_lock(&t->lock);
	t->route[gsi - IRQ_IOAPIC_PINS].kind = IRQ_FREE;
	pthread_mutex_unlock(&t->lock);
}

static bool same_route(const struct irq_route *a, const struct irq_route *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == IRQ_MSI)
		return a->msi.addr == b->msi.addr && a->msi.data == b->msi.data;
	return a->kind != IRQ_HV_SINT ||
	       (a->hv_sint.vcpu == b->hv_sint.vcpu && a->hv_sint.sint == b->hv_sint.sint);
}

static int route_set(struct irq_table *t, u32 gsi, const struct irq_route *r)
{
	struct irq_route *slot;
	int err = 0;

	if (gsi < IRQ_IOAPIC_PINS || gsi - IRQ_IOAPIC_PINS >= IRQ_ROUTES_MAX)
		return -EINVAL;
	slot = &t->route[gsi - IRQ_IOAPIC_PINS];
	pthread_mutex_lock(&t->lock);
	if (!same_route(slot, r)) {
		*slot = *r;
		err = commit(t);
	}
	pthread_mutex_unlock(&t->lock);
	return err;
}

int irq_route_msi(struct irq_table *t, u32 gsi, u64 addr, u32 data)
{
	struct irq_route r = { .kind = IRQ_MSI, .msi = { .addr = addr, .data = data } };

	return route_set(t, gsi, &r);
}

int irq_route_hv_sint(struct irq_table *t, u32 gsi, u32 vp_index, u32 sint)
{
	struct irq_route r = { .kind = IRQ_HV_SINT, .hv_sint = { .vcpu = vp_index, .sint = sint } };

	return route_set(t, gsi, &r);
}

int irq_unroute(struct irq_table *t, u32 gsi)
{
	struct irq_route r = { .kind = IRQ_UNUSED };

	return route_set(t, gsi, &r);
}

int irq_bind(struct irq_table *t, u32 gsi, int eventfd)
{
	struct kvm_irqfd irqfd = { .fd = (u32)eventfd, .gsi = gsi };

	return kvm_irqfd(t->vm_fd, &irqfd);
}
