/* SPDX-License-Identifier: BSD-2-Clause */
#include "hyperv/internal.h"

#include "vmm/kvm.h"

bool apic_read(struct hyperv_vp *vp, u32 msr, u64 *value)
{
	(void)vp, (void)msr, (void)value;
	return false;
}

bool apic_write(struct hyperv_vp *vp, u32 msr, u64 value)
{
	(void)vp, (void)msr, (void)value;
	return false;
}

int apic_raise(struct hyperv_vp *vp, u8 vector)
{
	const struct kvm_msi msi = { .address_lo = 0xfee00000u | vp->index << 12, .data = vector };

	return kvm_signal_msi(vp->hv->vm->fd, &msi);
}

bool apic_run_auto_eoi(struct hyperv_vp *vp)
{
	(void)vp;
	return false;
}
