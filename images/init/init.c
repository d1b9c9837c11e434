/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The init of a guest that `candela run ... -- COMMAND` starts: PID 1 of the initramfs, there to
 * run one command and to say how it ended (exit_port.h). It loads the Hyper-V modules, enters the
 * file system of root= if the kernel's command line has one, names the host, brings up `lo`, runs
 * the command and powers off. Networks are the command's own affair.
 *
 * One thread; started by the kernel a second time (not as PID 1) it is its modprobe.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "images/init/command.h"
#include "images/init/file.h"
#include "images/init/modules.h"
#include "images/init/options.h"
#include "images/init/report.h"
#include "images/init/root.h"

#define SELF "/candela/init"
#define COMMAND_FILE "/candela/command"
#define HYPERV_MODULES "hv_vmbus,hv_storvsc,sd_mod,hv_netvsc,hv_utils"
#define NETVSC_CLASS "{f8615163-df3e-46c5-913f-f2d2f965ed0e}"
#define NIC_WAIT_MS 5000
#define MOUNTS_MAX 256

struct mount_point {
	const char *type, *target, *options;
	unsigned long flags;
};

static const struct mount_point kernel_mounts[] = {
	{ "proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
	{ "sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
	{ "devtmpfs", "/dev", "mode=755", MS_NOSUID },
};

static const struct mount_point system_mounts[] = {
	{ "devpts", "/dev/pts", "mode=620,ptmxmode=666", MS_NOSUID | MS_NOEXEC },
	{ "tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV },
	{ "tmpfs", "/run", "mode=755", MS_NOSUID | MS_NODEV },
};

/* What is mounted already, or unknown to the kernel, is not missed here but where it is needed. */
static void mount_all(const struct mount_point *mounts, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		mkdir(mounts[i].target, 0755);
		mount(mounts[i].type, mounts[i].target, mounts[i].type, mounts[i].flags,
		      mounts[i].options);
	}
}

/* Descriptors 0 to 2 are there, whatever the kernel's console is. */
static void descriptors_fill(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static char **command_read(void)
{
	char **argv = NULL;
	char *text;
	size_t len;

	text = file_read(COMMAND_FILE, &len);
	if (text)
		argv = command_split(text, len);
	if (!argv)
		report_failure("no command in " COMMAND_FILE " of the initramfs");
	return argv;
}

/*
 * hostname= of the kernel's command line, or the name that the kernel was built with, where it has
 * any. Before 5.19 Linux does not know hostname= and puts it into our environment.
 */
static void host_name(void)
{
	const char *name = getenv("hostname");
	struct utsname kernel;

	if (!name && !uname(&kernel) && !strcmp(kernel.nodename, "(none)"))
		name = "candela";
	if (name)
		sethostname(name, strnlen(name, HOST_NAME_MAX));
}

static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	/* A kernel without networks is no reason not to run the command. */
	if (ioctl(fd, SIOCSIFFLAGS, &request))
		fprintf(stderr, "candela: lo: %s\n", strerror(errno));
	close(fd);
}

/* Does the VMBus device offer a NIC that its driver has not made yet? */
static bool nic_pending(const char *device)
{
	char path[320];
	char *class_id;
	bool nic;

	snprintf(path, sizeof(path), "/sys/bus/vmbus/devices/%s/class_id", device);
	class_id = file_read(path, NULL);
	nic = class_id && !strncmp(class_id, NETVSC_CLASS, strlen(NETVSC_CLASS));
	free(class_id);
	snprintf(path, sizeof(path), "/sys/bus/vmbus/devices/%s/net", device);
	return nic && access(path, F_OK);
}

static bool nics_pending(void)
{
	DIR *dir = opendir("/sys/bus/vmbus/devices");
	struct dirent *entry;
	bool pending = false;

	while (dir && !pending && (entry = readdir(dir)))
		pending = entry->d_name[0] != '.' && nic_pending(entry->d_name);
	if (dir)
		closedir(dir);
	return pending;
}

/* Drivers are probed in the background: a command that uses eth0 at once should find it. */
static void nics_wait(void)
{
	if (access("/sys/bus/vmbus/drivers/hv_netvsc", F_OK))
		return;
	for (unsigned waited = 0; waited < NIC_WAIT_MS && nics_pending(); waited += 10)
		usleep(10 * 1000);
}

/* Unmounts what the command mounted from disks, latest first, and makes the root read-only. */
static void disks_release(void)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	char *target[MOUNTS_MAX];
	struct mntent *entry;
	unsigned count = 0;

	sync();
	while (mounts && count < MOUNTS_MAX && (entry = getmntent(mounts)))
		if (entry->mnt_fsname[0] == '/')
			target[count++] = strdup(entry->mnt_dir);
	if (mounts)
		endmntent(mounts);
	while (count--)
		if (target[count] && strcmp(target[count], "/") != 0)
			umount2(target[count], MNT_FORCE);
	mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
}

static void system_prepare(void)
{
	struct options o;
	struct modules m;
	char *cmdline = file_read("/proc/cmdline", NULL);

	if (!cmdline)
		report_failure("no /proc/cmdline: %s", strerror(errno));
	options_parse(&o, cmdline);
	modules_init(&m, SELF);
	modules_load_list(&m, HYPERV_MODULES);
	modules_load_list(&m, o.modules);
	if (o.root)
		root_enter(&o, &m);
	modules_fini(&m, SELF);
	free(cmdline);
	mount_all(system_mounts, ARRAY_SIZE(system_mounts));
	host_name();
	loopback_up();
	nics_wait();
}

int main(int argc, char **argv)
{
	char **command;
	int tty, status;

	if (getpid() != 1)
		return modules_helper(argc, argv);
	report_started();
	mount_all(kernel_mounts, ARRAY_SIZE(kernel_mounts));
	descriptors_fill();
	command = command_read();
	system_prepare();
	tty = command_open();
	status = command_run(tty, command);
	command_finish(tty);
	disks_release();
	report_status(status);
	report_poweroff();
}
