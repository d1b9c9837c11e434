/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /dev/kvm, one function per ioctl used: 0 (or the value named) or -errno. Documentation/virt/kvm/
 * api.rst of the kernel says what each does; nothing is added here but the errno convention.
 */
#ifndef VMM_KVM_H
#define VMM_KVM_H

#include <linux/kvm.h>

#include "base/types.h"

/* Opens /dev/kvm. The descriptor, or -errno; -ENOTSUP for another API version than 12. */
int kvm_open(void);
/* The capability's value, 0 where it is absent. fd: /dev/kvm or a VM. */
int kvm_check_extension(int fd, long cap);
/* Descriptors of a new VM (from /dev/kvm) and a new vCPU (from a VM). */
int kvm_create_vm(int kvm_fd);
int kvm_create_vcpu(int vm_fd, u32 id);
/* Bytes of the shared kvm_run area. */
int kvm_vcpu_mmap_size(int kvm_fd);
int kvm_get_supported_cpuid(int kvm_fd, struct kvm_cpuid2 *cpuid);
/* fd: /dev/kvm or a vCPU. */
int kvm_get_supported_hv_cpuid(int fd, struct kvm_cpuid2 *cpuid);

/* On a VM. */
int kvm_set_tss_addr(int vm_fd, u64 gpa);
int kvm_set_identity_map_addr(int vm_fd, u64 gpa);
int kvm_create_irqchip(int vm_fd);
int kvm_set_user_memory_region(int vm_fd, const struct kvm_userspace_memory_region *region);
int kvm_set_gsi_routing(int vm_fd, const struct kvm_irq_routing *routing);
int kvm_irqfd(int vm_fd, const struct kvm_irqfd *irqfd);
int kvm_ioeventfd(int vm_fd, const struct kvm_ioeventfd *ioeventfd);
int kvm_hyperv_eventfd(int vm_fd, const struct kvm_hyperv_eventfd *eventfd);
int kvm_set_clock(int vm_fd, const struct kvm_clock_data *clock);
int kvm_signal_msi(int vm_fd, const struct kvm_msi *msi);
int kvm_x86_set_msr_filter(int vm_fd, const struct kvm_msr_filter *filter);
/* On a VM or a vCPU. */
int kvm_enable_cap(int fd, u32 cap, u64 arg0);

/* On a vCPU. kvm_run() is -EINTR or -EAGAIN where it should simply be tried again. */
int kvm_run(int vcpu_fd);
int kvm_get_regs(int vcpu_fd, struct kvm_regs *regs);
int kvm_set_regs(int vcpu_fd, const struct kvm_regs *regs);
int kvm_get_sregs(int vcpu_fd, struct kvm_sregs *sregs);
int kvm_set_sregs(int vcpu_fd, const struct kvm_sregs *sregs);
int kvm_get_mp_state(int vcpu_fd, struct kvm_mp_state *state);
int kvm_get_lapic(int vcpu_fd, struct kvm_lapic_state *lapic);
int kvm_set_mp_state(int vcpu_fd, const struct kvm_mp_state *state);
int kvm_get_vcpu_events(int vcpu_fd, struct kvm_vcpu_events *events);
int kvm_set_vcpu_events(int vcpu_fd, const struct kvm_vcpu_events *events);
int kvm_get_fpu(int vcpu_fd, struct kvm_fpu *fpu);
int kvm_get_cpuid2(int vcpu_fd, struct kvm_cpuid2 *cpuid);
int kvm_set_cpuid2(int vcpu_fd, const struct kvm_cpuid2 *cpuid);
int kvm_get_tsc_khz(int vcpu_fd);
/* 0, or -EIO where the kernel did not take every one of the msrs. */
int kvm_get_msrs(int vcpu_fd, struct kvm_msrs *msrs);
int kvm_set_msrs(int vcpu_fd, const struct kvm_msrs *msrs);

#endif
