/* SPDX-License-Identifier: BSD-2-Clause */
/* The facts behind `candela doctor`. Nothing is changed on the host. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/uring.h"
#include "cli/doctor.h"

/* errno of opening path for reading and writing, and the descriptor or -1. */
static int try_open(const char *path, int *fd)
{
	*fd = open(path, O_RDWR | O_CLOEXEC);
	return *fd < 0 ? errno : 0;
}

/* Who may use /dev/kvm, and whether we will at the next login. */
static void look_at_group(struct doctor_host *h)
{
	const struct passwd *user = getpwuid(getuid());
	const struct group *group;
	struct stat st;

	snprintf(h->user, sizeof(h->user), "%s", user ? user->pw_name : "USER");
	if (stat("/dev/kvm", &st) || (st.st_mode & 0060) != 0060)
		return;
	group = getgrgid(st.st_gid);
	if (!group)
		return;
	snprintf(h->kvm_group, sizeof(h->kvm_group), "%s", group->gr_name);
	for (char **member = group->gr_mem; *member; member++)
		h->kvm_member |= !strcmp(*member, h->user);
}

static void look_at_kvm(struct doctor_host *h)
{
	int fd;

	h->kvm_error = try_open("/dev/kvm", &fd);
	look_at_group(h);
	if (h->kvm_error)
		return;
	h->kvm_api = ioctl(fd, KVM_GET_API_VERSION, 0);
	h->need_count = hyperv_needs(fd, h->need, DOCTOR_NEEDS_MAX);
	h->best = hyperv_best(fd);
	h->feature_count = hyperv_features(fd, h->feature, HYPERV_FEATURES_MAX);
	close(fd);
}

static void look_at_uring(struct doctor_host *h)
{
	struct io_uring_params params = { 0 };
	long fd = syscall(SYS_io_uring_setup, 1, &params);

	h->uring_error = fd < 0 ? errno : 0;
	if (fd >= 0)
		close((int)fd);
	h->uring_usable = uring_possible();
}

static void look_at_files(struct doctor_host *h)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit))
		h->files = limit.rlim_max;
}

/* The word in brackets, such as madvise of "always [madvise] never". */
static void look_at_huge_pages(struct doctor_host *h)
{
	char text[64], *word;

	doctor_read("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text));
	word = strchr(text, '[');
	if (word)
		snprintf(h->thp, sizeof(h->thp), "%.*s", (int)strcspn(word + 1, "]"), word + 1);
}

static void look_at_seccomp(struct doctor_host *h)
{
	u32 action = SECCOMP_RET_TRAP;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action))
		h->seccomp_error = errno;
}

static void look_at_memory(struct doctor_host *h)
{
	char text[4096], *line;

	doctor_read("/proc/meminfo", text, sizeof(text));
	line = strstr(text, "MemAvailable:");
	if (line)
		h->memory = strtoull(line + strlen("MemAvailable:"), NULL, 10) << 10;
}

void doctor_look(struct doctor_host *h)
{
	int fd;

	*h = (struct doctor_host){ .best = HYPERV_AUTO };
	doctor_cpu(&h->vmx, &h->svm);
	look_at_kvm(h);
	look_at_uring(h);
	h->storage_daemon = doctor_in_path("qemu-storage-daemon");
	look_at_files(h);
	look_at_huge_pages(h);
	look_at_seccomp(h);
	look_at_memory(h);
	h->tun_error = try_open("/dev/net/tun", &fd);
	if (fd >= 0)
		close(fd);
}
