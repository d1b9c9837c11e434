/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The user back end: the interface on any KVM, knowing nothing of Hyper-V itself. Every synthetic
 * MSR comes here by the MSR filter, SINT interrupts are MSIs through irqfds, and hypercalls come
 * from a page of ours that writes to I/O ports (hypercall_page.c), a doorbell to one that an
 * ioeventfd swallows.
 */
#include "hyperv/apic.h"
#include "hyperv/hypercall.h"
#include "hyperv/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/kvm.h"
#include "vmm/vcpu.h"

static const struct backend_msrs all_msrs[] = { { HV_MSR_FIRST, HV_MSR_COUNT } };

static int user_init(struct hyperv *hv, char *error, size_t error_size)
{
	int err = backend_filter_msrs(hv, all_msrs, ARRAY_SIZE(all_msrs));

	if (err) {
		snprintf(error, error_size, "KVM_X86_SET_MSR_FILTER: %s", strerror(-err));
		return err;
	}
	hv->kvm_apic_msrs = kvm_check_extension(hv->vm->kvm_fd, KVM_CAP_HYPERV) > 0;
	err = hv->kvm_apic_msrs ? 0 : apic_mmio_init(hv);
	if (err)
		snprintf(error, error_size, "KVM_SET_USER_MEMORY_REGION: %s", strerror(-err));
	return err;
}

/* Reference time starts with the first VP; KVM keeps the TSCs of the others in step with it. */
static int user_vp_init(struct hyperv_vp *vp)
{
	int khz, err;
	u64 tsc;

	if (vp->index)
		return 0;
	khz = kvm_get_tsc_khz(vp->vcpu->fd);
	if (khz < 0)
		return khz;
	if (khz < (int)TIME_TSC_KHZ_MIN)
		return -ERANGE;
	err = vcpu_get_msr(vp->vcpu, MSR_IA32_TSC, &tsc);
	if (!err)
		time_start(&vp->hv->time, (u32)khz, tsc);
	return err;
}

static int user_change_sint(struct hyperv_vp *vp, u32 sint)
{
	const struct synic_sint *s = &vp->sint[sint];
	u64 value = atomic_load(&s->value);

	/* AutoEOI is auto_eoi.c's affair. */
	if (value & (HV_SINT_MASKED | HV_SINT_AUTO_EOI | HV_SINT_POLLING))
		return irq_unroute(&vp->hv->vm->irq, s->gsi);
	return irq_route_msi(&vp->hv->vm->irq, s->gsi, APIC_MSI_ADDRESS(vp->index),
			     (u32)(value & HV_SINT_VECTOR));
}

static int user_bind_sint(struct hyperv_vp *vp, u32 sint, int fd)
{
	int err = backend_bind_irqfd(vp, sint, fd);

	if (err)
		return err;
	err = user_change_sint(vp, sint);
	if (err)
		irq_free(&vp->hv->vm->irq, vp->sint[sint].gsi); /* fd goes, and the irqfd with it */
	return err;
}

static struct kvm_ioeventfd doorbell(u32 connection_id, int fd)
{
	return (struct kvm_ioeventfd){ .datamatch = connection_id,
				       .addr = HYPERCALL_PORT_SIGNAL,
				       .len = 4,
				       .fd = fd,
				       .flags = KVM_IOEVENTFD_FLAG_PIO |
						KVM_IOEVENTFD_FLAG_DATAMATCH };
}

static int user_bind_event(struct hyperv *hv, u32 connection_id, int fd)
{
	const struct kvm_ioeventfd e = doorbell(connection_id, fd);

	return kvm_ioeventfd(hv->vm->fd, &e);
}

static int user_unbind_event(struct hyperv *hv, u32 connection_id, int fd)
{
	struct kvm_ioeventfd e = doorbell(connection_id, fd);

	e.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
	return kvm_ioeventfd(hv->vm->fd, &e);
}

static void user_fill_hypercall_page(u8 page[static HV_PAGE_SIZE])
{
	hypercall_page_fill_user(page, hypercall_page_host_has_ibt());
}

const struct hyperv_backend backend_user = {
	.name = "user",
	.id = HYPERV_USER,
	.init = user_init,
	.vp_init = user_vp_init,
	.bind_sint = user_bind_sint,
	.change_sint = user_change_sint,
	.bind_event = user_bind_event,
	.unbind_event = user_unbind_event,
	.fill_hypercall_page = user_fill_hypercall_page,
	.out32 = hypercall_page_out,
	.attention = attention_run,
};
