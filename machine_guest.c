/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the machine starts with: the kernel and its command line, the initrds (the one behind
 * `-- COMMAND` among them), ACPI tables, and the first vCPU's state.
 */
#include "machine_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/guest_command.h"
#include "vmm/acpi.h"
#include "vmm/kvm.h"
#include "vmm/reset_vector.h"

static bool says(const char *cmdline, const char *what)
{
	const char *at = strstr(cmdline, what);

	return at && (at == cmdline || at[-1] == ' ');
}

/* What the user asked for, and what makes it work: a console that is seen, a panic that ends. */
static char *kernel_cmdline(const struct machine *m)
{
	const struct config *c = m->config;
	const char *console = "", *panic = "", *init = "", *space = "";
	char *line;

	if (c->console != CONSOLE_NONE && !says(c->append, "console="))
		console = " console=ttyS0";
	if (c->command) {
		init = guest_command_cmdline();
		space = " ";
		panic = says(c->append, "panic=") ? "" : " panic=-1";
	}
	return asprintf(&line, "%s%s%s%s%s", c->append, console, panic, space, init) < 0 ? NULL
											 : line;
}

/* The command's segment comes first: it must stand before whatever compression the user's has. */
static int add_initrd(struct machine *m, struct boot_config *boot)
{
	if (m->config->command) {
		size_t size;
		int err = guest_command_build(m->config->command, m->config->command_count,
					      &m->command, &size);

		if (err)
			return machine_fail(m, err == -E2BIG ? -EINVAL : err, "-- %s: %s",
					    m->config->command[0], strerror(-err));
		boot->initrd[boot->initrd_count++] =
			(struct boot_blob){ .fd = -1, .data = m->command, .size = size };
	}
	if (m->files->initrd_fd >= 0) {
		off_t size = lseek(m->files->initrd_fd, 0, SEEK_END);

		if (size <= 0)
			return machine_fail(m, -EINVAL, "--initrd %s: it is empty",
					    m->config->initrd);
		boot->initrd[boot->initrd_count++] = (struct boot_blob){
			.fd = m->files->initrd_fd, .size = (u64)size, .name = m->config->initrd
		};
	}
	return 0;
}

int machine_load_guest(struct machine *m)
{
	struct boot_config boot = { .kernel_fd = m->files->kernel_fd,
				    .kernel_name = m->config->kernel,
				    .append = m->config->append,
				    .cache_fd = m->files->cache_fd,
				    .cpus = m->config->cpus };
	char *cmdline = kernel_cmdline(m);
	int err = cmdline ? add_initrd(m, &boot) : machine_fail(m, -ENOMEM, "out of memory");

	if (!err)
		err = acpi_build(&m->vm.mem, m->config->cpus, &boot.rsdp)
			      ?: reset_vector_write(&m->vm.mem);
	if (!err)
		err = kvm_get_sregs(m->vm.vcpu[0].fd, &m->boot.sregs);
	boot.cmdline = cmdline;
	if (!err)
		err = boot_load(&m->vm.mem, &boot, &m->boot, m->error, sizeof(m->error));
	free(cmdline);
	if (err)
		return m->error[0]
			       ? err
			       : machine_fail(m, err, "cannot load the guest: %s", strerror(-err));
	if (m->config->command && !m->boot.linux_guest)
		return machine_fail(m, -EINVAL,
				    "-- %s: %s is no Linux kernel; only one can run a command",
				    m->config->command[0], m->config->kernel);
	if (m->boot.linux_guest && !m->config->force && !doctor_stock_guest_ok())
		return machine_fail(
			m, -ENOTSUP,
			"this KVM runs without hardware virtualization and cannot run a Linux "
			"kernel; run it in the lab (images/lab/lab ./candela run ...), or try "
			"--force");
	err = kvm_set_sregs(m->vm.vcpu[0].fd, &m->boot.sregs);
	if (!err)
		err = kvm_set_regs(m->vm.vcpu[0].fd, &m->boot.regs);
	return err ? machine_fail(m, -EIO, "KVM refuses the guest's first state: %s",
				  strerror(-err))
		   : 0;
}
