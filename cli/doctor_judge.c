/* SPDX-License-Identifier: BSD-2-Clause */
/* What the facts mean for a guest, and what a user can do. Pure: no look at the host here. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "cli/doctor.h"

#define KVM_API 12
#define MEMORY_WANTED GiB(1)
/*
 * The most that candela opens for a guest is about 1,560: two for each of 64 CPUs (KVM's, and an
 * eventfd that interrupts it); for each of 64 disks the image and, where it is raw and written,
 * once more for each of 16 I/O threads, which flush by files of their own; one for each of 256
 * channels; three for each I/O thread (epoll, eventfd, io_uring) and for each of 8 NICs; and a few
 * of its own. The rest is for the connections of --net user.
 */
#define FILES_WANTED 2000u
#define LAB "run guests in the lab, an emulated machine with KVM: images/lab/lab COMMAND"

static struct doctor_item *__attribute__((format(printf, 4, 5)))
add(struct doctor_report *r, const char *name, enum doctor_state state, const char *fmt, ...)
{
	struct doctor_item *item = &r->item[r->count++];
	va_list ap;

	item->name = name;
	item->state = state;
	va_start(ap, fmt);
	vsnprintf(item->text, sizeof(item->text), fmt, ap);
	va_end(ap);
	return item;
}

static void __attribute__((format(printf, 2, 3)))
advise(struct doctor_item *item, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(item->advice, sizeof(item->advice), fmt, ap);
	va_end(ap);
}

static void advise_kvm_missing(struct doctor_item *item, const struct doctor_host *h)
{
	if (h->vmx || h->svm)
		advise(item,
		       "load its module: sudo modprobe %s (if that fails, enable "
		       "virtualization in the machine's firmware)",
		       h->vmx ? "kvm_intel" : "kvm_amd");
	else
		advise(item, "enable VT-x or AMD-V in the machine's firmware, or nested "
			     "virtualization in the host this machine is a guest of; else " LAB);
}

static void advise_kvm_forbidden(struct doctor_item *item, const struct doctor_host *h)
{
	if (!h->kvm_group[0])
		advise(item,
		       "give it to a group: sudo chgrp kvm /dev/kvm && "
		       "sudo chmod 660 /dev/kvm && sudo usermod -aG kvm %s; then log in again",
		       h->user);
	else if (h->kvm_member)
		advise(item,
		       "you are in the group %s since this login: log in again, or use "
		       "`newgrp %s`",
		       h->kvm_group, h->kvm_group);
	else
		advise(item, "join its group: sudo usermod -aG %s %s; then log in again",
		       h->kvm_group, h->user);
}

static bool judge_kvm(struct doctor_report *r, const struct doctor_host *h)
{
	struct doctor_item *item;

	if (!h->kvm_error && h->kvm_api == KVM_API) {
		add(r, "kvm", DOCTOR_OK, "/dev/kvm is open to you, API version %d", h->kvm_api);
		return true;
	}
	if (!h->kvm_error) {
		item = add(r, "kvm", DOCTOR_MISSING, "/dev/kvm has API version %d, not %d",
			   h->kvm_api, KVM_API);
		advise(item, "use a Linux kernel of your distribution");
		return false;
	}
	item = add(r, "kvm", DOCTOR_MISSING, "/dev/kvm: %s", strerror(h->kvm_error));
	if (h->kvm_error == EACCES || h->kvm_error == EPERM)
		advise_kvm_forbidden(item, h);
	else
		advise_kvm_missing(item, h);
	return false;
}

static bool judge_hardware(struct doctor_report *r, const struct doctor_host *h)
{
	struct doctor_item *item;

	if (h->vmx || h->svm) {
		add(r, "hardware", DOCTOR_OK, "the CPU has %s", h->vmx ? "vmx" : "svm");
		return true;
	}
	item = add(r, "hardware", DOCTOR_MISSING,
		   "the CPU shows neither vmx nor svm: stock guests cannot run, at most small "
		   "test kernels");
	advise(item, LAB);
	return false;
}

/* One back end: which of its needs KVM lacks. */
static void judge_backend(struct doctor_report *r, const struct doctor_host *h, const char *name,
			  const char *what, bool kernel)
{
	struct doctor_item *item = add(r, name, DOCTOR_OK, "%s: KVM has all it needs", what);
	char missing[160] = "";

	for (unsigned i = 0; i < h->need_count; i++) {
		const struct hyperv_need *n = &h->need[i];
		size_t used = strlen(missing);

		if (!n->present && (kernel ? n->for_kernel : n->for_user))
			snprintf(missing + used, sizeof(missing) - used, " %s", n->name);
	}
	if (!h->need_count) {
		item->state = DOCTOR_MISSING;
		snprintf(item->text, sizeof(item->text), "%s: not known without /dev/kvm", what);
	} else if (missing[0]) {
		/* One of the two is enough. */
		item->state = h->best == HYPERV_AUTO ? DOCTOR_MISSING : DOCTOR_DEGRADED;
		snprintf(item->text, sizeof(item->text), "%s: KVM lacks%s", what, missing);
		advise(item, h->best == HYPERV_AUTO ? "a newer Linux kernel may have it"
						    : "none needed: the other back end serves");
	}
}

static bool judge_backends(struct doctor_report *r, const struct doctor_host *h)
{
	judge_backend(r, h, "hyperv-kernel", "--hyperv kernel", true);
	judge_backend(r, h, "hyperv-user", "--hyperv user", false);
	if (h->kvm_error || h->best == HYPERV_AUTO)
		return false;
	r->backend = h->best == HYPERV_KERNEL ? "kernel" : "user";
	return true;
}

static void judge_memory(struct doctor_report *r, const struct doctor_host *h)
{
	unsigned long long mib = h->memory >> 20;

	if (h->memory >= MEMORY_WANTED)
		add(r, "memory", DOCTOR_OK, "%llu MiB are available", mib);
	else
		advise(add(r, "memory", DOCTOR_DEGRADED, "only %llu MiB are available", mib),
		       "a guest has 512M by default: end other programs, or give it less by "
		       "--memory");
}

static void judge_huge_pages(struct doctor_report *r, const struct doctor_host *h)
{
	if (!strcmp(h->thp, "always") || !strcmp(h->thp, "madvise"))
		add(r, "huge-pages", DOCTOR_OK, "transparent huge pages: %s", h->thp);
	else if (h->thp[0])
		advise(add(r, "huge-pages", DOCTOR_DEGRADED,
			   "transparent huge pages: %s; guests are slower", h->thp),
		       "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled");
	else
		advise(add(r, "huge-pages", DOCTOR_DEGRADED,
			   "this kernel has no transparent huge pages; guests are slower"),
		       "use a Linux kernel of your distribution");
}

static void judge_uring(struct doctor_report *r, const struct doctor_host *h)
{
	struct doctor_item *item;

	if (!h->uring_error && h->uring_usable) {
		add(r, "io_uring", DOCTOR_OK, "io_uring is allowed");
		return;
	}
	item = add(r, "io_uring", DOCTOR_DEGRADED,
		   "io_uring: %s; disks are served by threads instead and are slower",
		   h->uring_error ? strerror(h->uring_error) : "it lacks what disks need");
	if (h->uring_error == EPERM || h->uring_error == EACCES)
		advise(item, "allow it: sudo sysctl kernel.io_uring_disabled=0; in a container, "
			     "by its seccomp profile");
	else if (h->uring_error)
		advise(item, "use a Linux kernel of your distribution");
	else
		advise(item, "use a newer Linux kernel (5.19 has it)");
}

static void judge_storage_daemon(struct doctor_report *r, const struct doctor_host *h)
{
	if (h->storage_daemon)
		add(r, "qemu-storage-daemon", DOCTOR_OK,
		    "qemu-storage-daemon is there, for qcow2, VHDX, VHD and VMDK images");
	else
		advise(add(r, "qemu-storage-daemon", DOCTOR_DEGRADED,
			   "no qemu-storage-daemon; no qcow2, VHDX, VHD and VMDK images"),
		       "sudo apt install qemu-system-common, or make images raw: qemu-img convert "
		       "-O raw");
}

static void judge_files(struct doctor_report *r, const struct doctor_host *h)
{
	unsigned long long files = h->files;

	if (h->files == RLIM_INFINITY)
		add(r, "open-files", DOCTOR_OK, "a process may have unlimited open files");
	else if (h->files >= FILES_WANTED)
		add(r, "open-files", DOCTOR_OK, "a process may have %llu open files", files);
	else
		advise(add(r, "open-files", DOCTOR_DEGRADED,
			   "a process may have only %llu open files; a guest with many CPUs, disks "
			   "and channels needs up to %u",
			   files, FILES_WANTED),
		       "raise the hard limit: LimitNOFILE= of a service, nofile in "
		       "/etc/security/limits.conf");
}

static bool judge_seccomp(struct doctor_report *r, const struct doctor_host *h)
{
	if (!h->seccomp_error) {
		add(r, "seccomp", DOCTOR_OK, "system call filters are supported");
		return true;
	}
	advise(add(r, "seccomp", DOCTOR_MISSING, "no system call filters: %s",
		   strerror(h->seccomp_error)),
	       "use a Linux kernel of your distribution, or --sandbox off for guests you trust");
	return false;
}

static void judge_tap(struct doctor_report *r, const struct doctor_host *h)
{
	if (!h->tun_error)
		add(r, "tap", DOCTOR_OK, "/dev/net/tun is open to you, for --net tap");
	else
		advise(add(r, "tap", DOCTOR_DEGRADED, "/dev/net/tun: %s; no --net tap",
			   strerror(h->tun_error)),
		       h->tun_error == EACCES ? "use --net user, which needs no privileges"
					      : "use --net user, or load it: sudo modprobe tun");
}

void doctor_judge(struct doctor_report *r, const struct doctor_host *h)
{
	bool kvm, hardware, backend, seccomp;

	*r = (struct doctor_report){ 0 };
	kvm = judge_kvm(r, h);
	hardware = judge_hardware(r, h);
	backend = judge_backends(r, h);
	judge_memory(r, h);
	judge_huge_pages(r, h);
	judge_uring(r, h);
	judge_storage_daemon(r, h);
	judge_files(r, h);
	seccomp = judge_seccomp(r, h);
	judge_tap(r, h);
	r->ok = kvm && hardware && backend && seccomp;
}
