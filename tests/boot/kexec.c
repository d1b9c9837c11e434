/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For stock guests: loads a kernel for kexec_file_load(2) and starts it.
 *
 *	kexec load KERNEL INITRD CMDLINE     the one that `kexec run` starts
 *	kexec crash KERNEL INITRD CMDLINE    the one a panic starts, within crashkernel=
 *	kexec run                            now; nothing is shut down but devices
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int failed(const char *what)
{
	fprintf(stderr, "kexec: %s: %s\n", what, strerror(errno));
	return 1;
}

static int load(char **argv, unsigned long flags)
{
	int kernel = open(argv[2], O_RDONLY | O_CLOEXEC);
	int initrd = open(argv[3], O_RDONLY | O_CLOEXEC);

	if (kernel < 0)
		return failed(argv[2]);
	if (initrd < 0)
		return failed(argv[3]);
	if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[4]) + 1, argv[4], flags))
		return failed("kexec_file_load");
	return 0;
}

static int run(void)
{
	sync();
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
	return failed("reboot");
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "load"))
		return load(argv, 0);
	if (argc == 5 && !strcmp(argv[1], "crash"))
		return load(argv, KEXEC_FILE_ON_CRASH);
	if (argc == 2 && !strcmp(argv[1], "run"))
		return run();
	fprintf(stderr, "usage: kexec load|crash KERNEL INITRD CMDLINE, or kexec run\n");
	return 2;
}
