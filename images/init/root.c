/* SPDX-License-Identifier: BSD-2-Clause */
#include "images/init/root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "images/init/file.h"
#include "images/init/modinfo.h"
#include "images/init/report.h"
#include "images/init/volume.h"

#define NEW_ROOT "/candela/root"
#define POLL_MS 20
#define DEVICE_MAX 300 /* "/dev/" and a name of sysfs */

static size_t head_read(const char *device, u8 *head)
{
	int fd = open(device, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = pread(fd, head, VOLUME_HEAD, 0);
	close(fd);
	return n > 0 ? (size_t)n : 0;
}

/* The PARTUUID of a partition by its sysfs name: its disk is the folder above it. */
static bool partition_uuid(const char *name, u8 *head, char uuid[VOLUME_UUID_TEXT])
{
	char path[DEVICE_MAX + 32], target[PATH_MAX];
	char *number;
	unsigned n;

	snprintf(path, sizeof(path), "/sys/class/block/%s/partition", name);
	number = file_read(path, NULL);
	if (!number)
		return false;
	n = (unsigned)strtoul(number, NULL, 10);
	free(number);
	*strrchr(path, '/') = '\0';
	if (!realpath(path, target))
		return false;
	snprintf(path, sizeof(path), "/dev/%.255s", basename(dirname(target)));
	return volume_partition(head, head_read(path, head), n, uuid);
}

/* Is the block device called name the one that root asks for by LABEL=, UUID= or PARTUUID=? */
static bool device_matches(const char *name, const char *root, u8 *head)
{
	const char *wanted = strchr(root, '=') + 1;
	char device[DEVICE_MAX], uuid[VOLUME_UUID_TEXT];
	struct volume v;

	if (!strncmp(root, "PARTUUID=", 9))
		return partition_uuid(name, head, uuid) && !strcasecmp(uuid, wanted);
	snprintf(device, sizeof(device), "/dev/%s", name);
	if (!volume_identify(head, head_read(device, head), &v))
		return false;
	return root[0] == 'L' ? !strcmp(v.label, wanted) : !strcasecmp(v.uuid, wanted);
}

static bool device_search(const char *root, u8 *head, char device[DEVICE_MAX])
{
	DIR *dir = opendir("/sys/class/block");
	struct dirent *entry = NULL;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || !device_matches(entry->d_name, root, head))
			continue;
		snprintf(device, DEVICE_MAX, "/dev/%s", entry->d_name);
		break;
	}
	if (dir)
		closedir(dir);
	return entry;
}

static bool device_find(const char *root, u8 *head, char device[DEVICE_MAX])
{
	struct stat st;

	if (root[0] != '/')
		return device_search(root, head, device);
	snprintf(device, DEVICE_MAX, "%s", root);
	return !stat(root, &st) && S_ISBLK(st.st_mode);
}

/* Why no disk came, as far as one can tell. */
static const char *missing_reason(const struct modules *m)
{
	if (m->failure[0])
		return m->failure;
	if (access("/sys/bus/vmbus", F_OK))
		return "no VMBus: neither kernel nor initramfs has hv_vmbus, or this is no Hyper-V";
	if (access("/sys/bus/vmbus/drivers/hv_storvsc", F_OK))
		return "neither kernel nor initramfs has hv_storvsc";
	return "the VMBus and its disk driver are there";
}

static void device_wait(const struct options *o, const struct modules *m, u8 *head,
			char device[DEVICE_MAX])
{
	u64 polls = (u64)o->root_wait_s * (1000 / POLL_MS);

	if (o->root[0] != '/' && strncmp(o->root, "LABEL=", 6) && strncmp(o->root, "UUID=", 5) &&
	    strncmp(o->root, "PARTUUID=", 9))
		report_failure(
			"root=%s is not understood: give /dev/NAME, LABEL=, UUID= or PARTUUID=",
			o->root);
	while (!device_find(o->root, head, device)) {
		if (!polls--)
			report_failure("no disk for root=%s after %u s; %s", o->root,
				       o->root_wait_s, missing_reason(m));
		usleep(POLL_MS * 1000);
	}
}

/* Tries each type of a list; 0, or the last error with the type's name in type. */
static int mount_types(const struct options *o, struct modules *m, const char *device,
		       const char *types, char type[MODINFO_NAME_MAX])
{
	unsigned long flags = o->root_writable ? 0 : MS_RDONLY;
	int err = -EINVAL;

	while (modinfo_list_next(&types, type)) {
		module_load(m, type);
		if (!mount(device, NEW_ROOT, type, flags, o->root_flags))
			return 0;
		err = -errno;
	}
	return err;
}

static void root_mount(const struct options *o, struct modules *m, const char *device, u8 *head)
{
	const char *types = o->root_type;
	char type[MODINFO_NAME_MAX] = "";
	struct volume v;
	int err;

	if (!types && volume_identify(head, head_read(device, head), &v))
		types = v.type;
	if (!types)
		report_failure("no known file system on %s: give rootfstype=", device);
	mkdir(NEW_ROOT, 0755);
	err = mount_types(o, m, device, types, type);
	if (err == -ENODEV)
		report_failure("neither kernel nor initramfs knows the file system %s of %s%s%s",
			       type, device, m->failure[0] ? "; " : "", m->failure);
	if (err)
		report_failure("cannot mount %s (%s) as root: %s", device, type, strerror(-err));
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	/* Mount points stay. */
	remove(path);
	return 0;
}

static void initramfs_free(void)
{
	struct statfs fs;

	if (!statfs("/", &fs) && (fs.f_type == RAMFS_MAGIC || fs.f_type == TMPFS_MAGIC))
		nftw("/", remove_entry, 16, FTW_DEPTH | FTW_MOUNT | FTW_PHYS);
}

static void root_switch(const char *device)
{
	static const char *const moved[] = { "/dev", "/proc", "/sys" };
	char target[64];

	for (unsigned i = 0; i < ARRAY_SIZE(moved); i++) {
		snprintf(target, sizeof(target), NEW_ROOT "%s", moved[i]);
		if (mount(moved[i], target, NULL, MS_MOVE, NULL))
			report_failure("%s is no root file system: no folder %s on it", device,
				       moved[i]);
	}
	if (chdir(NEW_ROOT))
		report_failure("cannot enter %s: %s", device, strerror(errno));
	initramfs_free();
	if (mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		report_failure("cannot make %s the root: %s", device, strerror(errno));
}

void root_enter(const struct options *o, struct modules *m)
{
	u8 *head = malloc(VOLUME_HEAD);
	char device[DEVICE_MAX];

	if (!head)
		report_failure("out of memory");
	device_wait(o, m, head, device);
	root_mount(o, m, device, head);
	root_switch(device);
	free(head);
}
