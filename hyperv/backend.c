/* SPDX-License-Identifier: BSD-2-Clause */
/* What both back ends ask of KVM. */
#include "hyperv/partition.h"

#include <errno.h>

#include "vmm/kvm.h"

int backend_filter_msrs(struct hyperv *hv, const struct backend_msrs *rows, unsigned count)
{
	/* A clear bit sends the MSR to user space. */
	static u8 none[BACKEND_MSRS_MAX / 8];
	struct kvm_msr_filter filter = { .flags = KVM_MSR_FILTER_DEFAULT_ALLOW };
	int err =
		kvm_enable_cap(hv->vm->fd, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER);

	if (err)
		return err;
	if (count > KVM_MSR_FILTER_MAX_RANGES)
		return -EINVAL;
	for (unsigned i = 0; i < count; i++)
		filter.ranges[i] = (struct kvm_msr_filter_range){
			.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
			.base = rows[i].first,
			.nmsrs = rows[i].count,
			.bitmap = none,
		};
	return kvm_x86_set_msr_filter(hv->vm->fd, &filter);
}

int backend_bind_irqfd(struct hyperv_vp *vp, u32 sint, int fd)
{
	struct irq_table *irq = &vp->hv->vm->irq;
	int gsi = irq_alloc(irq), err;

	if (gsi < 0)
		return gsi;
	vp->sint[sint].gsi = (u32)gsi;
	err = irq_bind(irq, (u32)gsi, fd);
	if (err)
		irq_free(irq, (u32)gsi);
	return err;
}
