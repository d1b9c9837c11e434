/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define API_VERSION 12

static int kvm_ioctl(int fd, unsigned long request, unsigned long arg)
{
	int n = ioctl(fd, request, arg);

	return n < 0 ? -errno : n;
}

static int kvm_ioctl_ptr(int fd, unsigned long request, const void *arg)
{
	return kvm_ioctl(fd, request, (unsigned long)arg);
}

int kvm_open(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (kvm_ioctl(fd, KVM_GET_API_VERSION, 0) != API_VERSION) {
		close(fd);
		return -ENOTSUP;
	}
	return fd;
}

int kvm_check_extension(int fd, long cap)
{
	int n = kvm_ioctl(fd, KVM_CHECK_EXTENSION, (unsigned long)cap);

	return n < 0 ? 0 : n;
}

int kvm_create_vm(int kvm_fd)
{
	int fd;

	do
		fd = kvm_ioctl(kvm_fd, KVM_CREATE_VM, 0);
	while (fd == -EINTR);
	return fd;
}

int kvm_create_vcpu(int vm_fd, u32 id)
{
	return kvm_ioctl(vm_fd, KVM_CREATE_VCPU, id);
}

int kvm_vcpu_mmap_size(int kvm_fd)
{
	return kvm_ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
}

int kvm_get_supported_cpuid(int kvm_fd, struct kvm_cpuid2 *cpuid)
{
	return kvm_ioctl_ptr(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid);
}

int kvm_get_supported_hv_cpuid(int fd, struct kvm_cpuid2 *cpuid)
{
	return kvm_ioctl_ptr(fd, KVM_GET_SUPPORTED_HV_CPUID, cpuid);
}

int kvm_set_tss_addr(int vm_fd, u64 gpa)
{
	return kvm_ioctl(vm_fd, KVM_SET_TSS_ADDR, gpa);
}

int kvm_set_identity_map_addr(int vm_fd, u64 gpa)
{
	return kvm_ioctl_ptr(vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &gpa);
}

int kvm_create_irqchip(int vm_fd)
{
	return kvm_ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0);
}

int kvm_set_user_memory_region(int vm_fd, const struct kvm_userspace_memory_region *region)
{
	return kvm_ioctl_ptr(vm_fd, KVM_SET_USER_MEMORY_REGION, region);
}

int kvm_set_gsi_routing(int vm_fd, const struct kvm_irq_routing *routing)
{
	return kvm_ioctl_ptr(vm_fd, KVM_SET_GSI_ROUTING, routing);
}

int kvm_irqfd(int vm_fd, const struct kvm_irqfd *irqfd)
{
	return kvm_ioctl_ptr(vm_fd, KVM_IRQFD, irqfd);
}

int kvm_ioeventfd(int vm_fd, const struct kvm_ioeventfd *ioeventfd)
{
	return kvm_ioctl_ptr(vm_fd, KVM_IOEVENTFD, ioeventfd);
}

int kvm_hyperv_eventfd(int vm_fd, const struct kvm_hyperv_eventfd *eventfd)
{
	return kvm_ioctl_ptr(vm_fd, KVM_HYPERV_EVENTFD, eventfd);
}

int kvm_set_clock(int vm_fd, const struct kvm_clock_data *clock)
{
	return kvm_ioctl_ptr(vm_fd, KVM_SET_CLOCK, clock);
}

int kvm_signal_msi(int vm_fd, const struct kvm_msi *msi)
{
	/* 1: delivered, 0: blocked by the guest. */
	int n = kvm_ioctl_ptr(vm_fd, KVM_SIGNAL_MSI, msi);

	return n < 0 ? n : 0;
}

int kvm_x86_set_msr_filter(int vm_fd, const struct kvm_msr_filter *filter)
{
	return kvm_ioctl_ptr(vm_fd, KVM_X86_SET_MSR_FILTER, filter);
}

int kvm_enable_cap(int fd, u32 cap, u64 arg0)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { arg0 } };

	return kvm_ioctl_ptr(fd, KVM_ENABLE_CAP, &enable);
}

int kvm_run(int vcpu_fd)
{
	return kvm_ioctl(vcpu_fd, KVM_RUN, 0);
}

int kvm_get_regs(int vcpu_fd, struct kvm_regs *regs)
{
	return kvm_ioctl_ptr(vcpu_fd, KVM_GET_REGS, regs);
}

int kvm_set_regs(int vcpu_fd, const struct kvm_regs *regs)
{
	return kvm_ioctl_ptr(vcpu_fd, KVM_SET_REGS, regs);
}

int kvm_get_sregs(int vcpu_fd, struct kvm_sregs *sregs)
{
	return kvm_ioctl_ptr(vcpu_fd, KVM_GET_SREGS, sregs);
}

int kvm_set_sregs(int vcpu_fd, const struct kvm_sregs *sregs)
{
	return kvm_ioctl_ptr(vcpu_fd, KVM_SET_SREGS, sregs);
}

int kvm_get_mp_state(int vcpu_fd, struct kvm_mp_state *state)
{
	return kvm_ioctl_ptr(vcpu_fd, KVM_GET_MP_STATE, state);
}

int kvm_set_mp_state(int vcpu_fd, const struct kvm_mp_state *state)
{
	return kvm_ioctl_ptr(vcpu_fd, KVM_SET_MP_STATE, state);
}

int kvm_get_vcpu_events(int vcpu_fd, struct kvm_vcpu_events *events)
{
	return kvm_ioctl_ptr(vcpu_fd, KVM_GET_VCPU_EVENTS, events);
}

int kvm_set_vcpu_events(int vcpu_fd, const struct kvm_vcpu_events *events)
{
	return kvm_ioctl_ptr(vcpu_fd, KVM_SET_VCPU_EVENTS, events);
}

int kvm_get_fpu(int vcpu_fd, struct kvm_fpu *fpu)
{
	return kvm_ioctl_ptr(vcpu_fd, KVM_GET_FPU, fpu);
}

int kvm_get_lapic(int vcpu_fd, struct kvm_lapic_state *lapic)
{
	return kvm_ioctl_ptr(vcpu_fd, KVM_GET_LAPIC, lapic);
}

int kvm_get_cpuid2(int vcpu_fd, struct kvm_cpuid2 *cpuid)
{
	return kvm_ioctl_ptr(vcpu_fd, KVM_GET_CPUID2, cpuid);
}

int kvm_set_cpuid2(int vcpu_fd, const struct kvm_cpuid2 *cpuid)
{
	return kvm_ioctl_ptr(vcpu_fd, KVM_SET_CPUID2, cpuid);
}

int kvm_get_tsc_khz(int vcpu_fd)
{
	return kvm_ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0);
}

/* Both MSR calls return how many the kernel took. */
static int all_msrs(int n, const struct kvm_msrs *msrs)
{
	if (n < 0)
		return n;
	return (u32)n == msrs->nmsrs ? 0 : -EIO;
}

int kvm_get_msrs(int vcpu_fd, struct kvm_msrs *msrs)
{
	return all_msrs(kvm_ioctl_ptr(vcpu_fd, KVM_GET_MSRS, msrs), msrs);
}

int kvm_set_msrs(int vcpu_fd, const struct kvm_msrs *msrs)
{
	return all_msrs(kvm_ioctl_ptr(vcpu_fd, KVM_SET_MSRS, msrs), msrs);
}
