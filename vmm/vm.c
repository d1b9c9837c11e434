/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/kvm.h"
#include "vmm/vcpu.h"

static const struct {
	long cap;
	const char *name;
} required_caps[] = {
	{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
	{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
	{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD" },
	{ KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD" },
	{ KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING" },
	{ KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI" },
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
};

static int open_error(int err, char *error, size_t size)
{
	const char *what;

	switch (err) {
	case -ENOENT:
	case -ENODEV:
	case -ENXIO:
		what = "there is no KVM: load kvm_intel or kvm_amd, or enable virtualization in "
		       "the "
		       "firmware";
		break;
	case -EACCES:
	case -EPERM:
		what = "permission denied: join its group with `sudo usermod -aG kvm $USER` and "
		       "log "
		       "in again";
		break;
	default:
		what = strerror(-err);
		break;
	}
	snprintf(error, size, "/dev/kvm: %s (`candela doctor` says more)", what);
	return err;
}

static int check_caps(struct vm *vm, char *error, size_t size)
{
	for (size_t i = 0; i < ARRAY_SIZE(required_caps); i++) {
		if (kvm_check_extension(vm->kvm_fd, required_caps[i].cap))
			continue;
		snprintf(error, size,
			 "this host's KVM lacks %s, which candela needs; a newer kernel has it",
			 required_caps[i].name);
		return -ENOTSUP;
	}
	return 0;
}

static int map_ram(struct vm *vm)
{
	for (unsigned i = 0; i < vm->mem.count; i++) {
		const struct gmem_region *r = &vm->mem.region[i];
		struct kvm_userspace_memory_region slot = { .slot = i,
							    .guest_phys_addr = r->gpa,
							    .memory_size = r->size,
							    .userspace_addr = (uintptr_t)r->host };
		int err = kvm_set_user_memory_region(vm->fd, &slot);

		if (err)
			return err;
	}
	return 0;
}

/* Intel needs three pages and one for real mode; elsewhere the calls do nothing. */
static int create_chips(struct vm *vm)
{
	int err = 0;

	if (kvm_check_extension(vm->kvm_fd, KVM_CAP_SET_IDENTITY_MAP_ADDR))
		err = kvm_set_identity_map_addr(vm->fd, LAYOUT_IDENTITY_MAP);
	if (!err && kvm_check_extension(vm->kvm_fd, KVM_CAP_SET_TSS_ADDR))
		err = kvm_set_tss_addr(vm->fd, LAYOUT_TSS);
	if (!err)
		err = kvm_create_irqchip(vm->fd);
	if (!err)
		err = irq_init(&vm->irq, vm->fd);
	return err;
}

static int create(struct vm *vm, u64 ram_bytes, char *error, size_t size)
{
	int err = gmem_init(&vm->mem, ram_bytes);

	if (err) {
		snprintf(error, size,
			 "cannot map %llu MiB of guest memory: %s; try a smaller --memory",
			 (unsigned long long)(ram_bytes >> 20), strerror(-err));
		return err;
	}
	vm->fd = kvm_create_vm(vm->kvm_fd);
	err = vm->fd < 0 ? vm->fd : 0;
	if (!err)
		err = map_ram(vm);
	if (!err)
		err = create_chips(vm);
	if (!err) {
		int n = kvm_vcpu_mmap_size(vm->kvm_fd);

		vm->run_size = n < 0 ? 0 : (size_t)n;
		err = n < 0 ? n : 0;
	}
	if (err)
		snprintf(error, size, "KVM cannot create the VM: %s", strerror(-err));
	return err;
}

int vm_init(struct vm *vm, unsigned cpus, u64 ram_bytes, char *error, size_t error_size)
{
	int err;

	*vm = (struct vm){ .kvm_fd = -1, .fd = -1 };
	vm->kvm_fd = kvm_open();
	if (vm->kvm_fd < 0)
		return open_error(vm->kvm_fd, error, error_size);
	err = check_caps(vm, error, error_size);
	if (!err)
		err = create(vm, ram_bytes, error, error_size);
	if (err)
		goto out;
	vm->vcpu = calloc(cpus, sizeof(*vm->vcpu));
	if (!vm->vcpu) {
		snprintf(error, error_size, "out of memory");
		err = -ENOMEM;
		goto out;
	}
	vm->cpu_count = cpus;
	for (unsigned i = 0; i < cpus; i++)
		vm->vcpu[i].fd = -1;
out:
	if (err)
		vm_fini(vm);
	return err;
}

void vm_fini(struct vm *vm)
{
	for (unsigned i = 0; i < vm->cpu_count; i++)
		vcpu_fini(&vm->vcpu[i]);
	free(vm->vcpu);
	irq_fini(&vm->irq);
	/* A zeroed VM was never opened: its descriptors are not ours. */
	if (vm->fd > 0)
		close(vm->fd);
	if (vm->kvm_fd > 0)
		close(vm->kvm_fd);
	gmem_fini(&vm->mem);
	*vm = (struct vm){ .kvm_fd = -1, .fd = -1 };
}

int vm_start(struct vm *vm)
{
	for (unsigned i = 0; i < vm->cpu_count; i++) {
		int err = vcpu_start(&vm->vcpu[i]);

		if (err)
			return err;
	}
	return 0;
}

void vm_stop(struct vm *vm)
{
	for (unsigned i = 0; i < vm->cpu_count; i++)
		vcpu_stop(&vm->vcpu[i]);
}

void vm_report_end(struct vm *vm, enum vm_end why, u64 value)
{
	if (!atomic_exchange(&vm->ended, true) && vm->hooks.end)
		vm->hooks.end(vm->hooks.ctx, why, value);
}
