/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/bare/host_boot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/boot.h"
#include "vmm/kvm.h"
#include "vmm/vcpu.h"

int host_boot_vcpu(struct vm *vm, struct hyperv *hv, u32 index)
{
	static struct cpuid t;
	int err = cpuid_supported(vm->kvm_fd, &t);

	if (err)
		return err;
	cpuid_for_vp(&t, index, vm->cpu_count, false);
	err = hyperv_cpuid(hv, &t);
	if (!err)
		err = vcpu_init(&vm->vcpu[index], vm, index, &t.head);
	return err ? err : hyperv_vp_init(hv, &vm->vcpu[index]);
}

int host_boot_load(struct vm *vm, const char *path, char *error, size_t error_size)
{
	struct boot_config config = {
		.kernel_name = path, .cmdline = "", .cache_fd = -1, .cpus = vm->cpu_count
	};
	struct boot_state state = { 0 };
	int fd = vm->vcpu[0].fd, err;

	config.kernel_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (config.kernel_fd < 0) {
		err = -errno;
		snprintf(error, error_size, "%s: %s", path, strerror(errno));
		return err;
	}
	error[0] = '\0';
	err = kvm_get_sregs(fd, &state.sregs);
	if (!err)
		err = boot_load(&vm->mem, &config, &state, error, error_size);
	close(config.kernel_fd);
	if (!err && state.linux_guest) {
		snprintf(error, error_size, "%s: taken for a Linux kernel", path);
		return -EINVAL;
	}
	if (!err)
		err = kvm_set_sregs(fd, &state.sregs);
	if (!err)
		err = kvm_set_regs(fd, &state.regs);
	if (err && !*error)
		snprintf(error, error_size, "the registers of vCPU 0: %s", strerror(-err));
	return err;
}
