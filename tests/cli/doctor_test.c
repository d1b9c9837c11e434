/* SPDX-License-Identifier: BSD-2-Clause */
/* What `candela doctor` makes of hosts of every kind. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/doctor.h"

/* A machine on which nothing is missing. */
static const struct doctor_host good = {
	.kvm_api = 12,
	.kvm_group = "kvm",
	.user = "ada",
	.svm = true,
	.need = { { "KVM_CAP_A", "a", true, true, true },
		  { "KVM_CAP_K", "k", true, true, false },
		  { "KVM_CAP_U", "u", true, false, true },
		  { "KVM_CAP_N", "n", false, false, false } },
	.need_count = 4,
	.best = HYPERV_KERNEL,
	.uring_usable = true,
	.storage_daemon = true,
	.files = 4096,
	.thp = "madvise",
	.memory = GiB(8),
};

static const struct doctor_item *find(const struct doctor_report *r, const char *name)
{
	for (unsigned i = 0; i < r->count; i++)
		if (!strcmp(r->item[i].name, name))
			return &r->item[i];
	fail_msg("no item %s", name);
	return NULL;
}

static void expect(const struct doctor_host *h, const char *name, enum doctor_state state,
		   const char *text, const char *advice)
{
	struct doctor_report r;
	const struct doctor_item *item;

	doctor_judge(&r, h);
	item = find(&r, name);
	if (item->state != state || !strstr(item->text, text) || !strstr(item->advice, advice))
		fail_msg("%s is %d, \"%s\", \"%s\"", name, item->state, item->text, item->advice);
}

static void good_host(void **state)
{
	static const char *const names[] = {
		"kvm",        "hardware", "hyperv-kernel",       "hyperv-user", "memory",
		"huge-pages", "io_uring", "qemu-storage-daemon", "open-files",  "seccomp",
		"tap"
	};
	struct doctor_report r;

	(void)state;
	doctor_judge(&r, &good);
	assert_true(r.ok);
	assert_string_equal(r.backend, "kernel");
	assert_int_equal(r.count, ARRAY_SIZE(names));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_string_equal(r.item[i].name, names[i]);
		assert_int_equal(r.item[i].state, DOCTOR_OK);
		assert_string_equal(r.item[i].advice, "");
	}
}

static void no_kvm(void **state)
{
	struct doctor_host h = good;
	struct doctor_report r;

	(void)state;
	h.kvm_error = ENOENT;
	h.need_count = 0;
	h.best = HYPERV_AUTO;
	expect(&h, "kvm", DOCTOR_MISSING, "/dev/kvm: No such file", "sudo modprobe kvm_amd");
	expect(&h, "hyperv-user", DOCTOR_MISSING, "not known without /dev/kvm", "");
	h.vmx = true;
	expect(&h, "kvm", DOCTOR_MISSING, "/dev/kvm: No such file", "sudo modprobe kvm_intel");
	h.vmx = h.svm = false;
	expect(&h, "kvm", DOCTOR_MISSING, "/dev/kvm: No such file", "images/lab/lab");
	doctor_judge(&r, &h);
	assert_false(r.ok);
	assert_null(r.backend);
}

static void forbidden_kvm(void **state)
{
	struct doctor_host h = good;

	(void)state;
	h.kvm_error = EACCES;
	expect(&h, "kvm", DOCTOR_MISSING, "Permission denied", "sudo usermod -aG kvm ada;");
	h.kvm_member = true;
	expect(&h, "kvm", DOCTOR_MISSING, "Permission denied", "log in again, or use `newgrp kvm`");
	h.kvm_group[0] = '\0';
	expect(&h, "kvm", DOCTOR_MISSING, "Permission denied", "sudo chmod 660 /dev/kvm");
}

static void old_kvm(void **state)
{
	struct doctor_host h = good;

	(void)state;
	h.kvm_api = 11;
	expect(&h, "kvm", DOCTOR_MISSING, "API version 11, not 12", "Linux kernel");
}

static void no_hardware(void **state)
{
	struct doctor_host h = good;
	struct doctor_report r;

	(void)state;
	h.svm = false;
	expect(&h, "hardware", DOCTOR_MISSING, "neither vmx nor svm", "images/lab/lab");
	doctor_judge(&r, &h);
	assert_false(r.ok);
	assert_string_equal(r.backend, "kernel");
}

static void back_ends(void **state)
{
	struct doctor_host h = good;
	struct doctor_report r;

	(void)state;
	h.need[1].present = false;
	h.best = HYPERV_USER;
	expect(&h, "hyperv-kernel", DOCTOR_DEGRADED, "KVM lacks KVM_CAP_K", "other back end");
	expect(&h, "hyperv-user", DOCTOR_OK, "has all", "");
	doctor_judge(&r, &h);
	assert_true(r.ok);
	assert_string_equal(r.backend, "user");
	h.need[0].present = false;
	h.best = HYPERV_AUTO;
	expect(&h, "hyperv-kernel", DOCTOR_MISSING, "KVM_CAP_A KVM_CAP_K", "newer Linux");
	expect(&h, "hyperv-user", DOCTOR_MISSING, "KVM_CAP_A", "newer Linux");
	doctor_judge(&r, &h);
	assert_false(r.ok);
}

static void lesser_things(void **state)
{
	struct doctor_host h = good;
	struct doctor_report r;

	(void)state;
	h.memory = MiB(700);
	h.uring_error = EPERM;
	h.tun_error = EACCES;
	h.storage_daemon = false;
	h.files = 1024;
	strcpy(h.thp, "never");
	expect(&h, "memory", DOCTOR_DEGRADED, "only 700 MiB", "--memory");
	expect(&h, "io_uring", DOCTOR_DEGRADED, "served by threads", "io_uring_disabled=0");
	expect(&h, "qemu-storage-daemon", DOCTOR_DEGRADED, "no qcow2", "qemu-system-common");
	expect(&h, "open-files", DOCTOR_DEGRADED, "only 1024 open files", "LimitNOFILE=");
	expect(&h, "tap", DOCTOR_DEGRADED, "no --net tap", "use --net user");
	expect(&h, "huge-pages", DOCTOR_DEGRADED, "never", "echo madvise | sudo tee");
	doctor_judge(&r, &h);
	assert_true(r.ok);
	h.thp[0] = '\0';
	h.uring_error = ENOSYS;
	h.tun_error = ENOENT;
	expect(&h, "io_uring", DOCTOR_DEGRADED, "served by threads", "Linux kernel");
	expect(&h, "tap", DOCTOR_DEGRADED, "no --net tap", "modprobe tun");
	expect(&h, "huge-pages", DOCTOR_DEGRADED, "no transparent", "Linux kernel");
	h.uring_error = 0;
	h.uring_usable = false;
	expect(&h, "io_uring", DOCTOR_DEGRADED, "lacks what disks need", "5.19");
}

static void open_files(void **state)
{
	struct doctor_host h = good;

	(void)state;
	h.files = 2000;
	expect(&h, "open-files", DOCTOR_OK, "may have 2000 open files", "");
	h.files = 1999;
	expect(&h, "open-files", DOCTOR_DEGRADED, "only 1999 open files", "LimitNOFILE=");
	h.files = RLIM_INFINITY;
	expect(&h, "open-files", DOCTOR_OK, "may have unlimited open files", "");
}

static void make_program(const char *dir, const char *name, mode_t mode)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = creat(path, mode);
	assert_true(fd >= 0);
	close(fd);
}

/* Wherever execvp() would run it from, the current directory where an element is empty. */
static void programs(void **state)
{
	static const struct {
		const char *path; /* %s: where they are */
		bool here, found;
	} rows[] = {
		{ "%s", false, true },        { "/no/such:%s", false, true },
		{ "/no/such", true, false },  { "", true, true },
		{ "", false, false },         { ":/no/such", true, true },
		{ "/no/such:", true, true },  { "/no::/such", true, true },
		{ "/no:/such", true, false },
	};
	char dir[] = "/tmp/candela-doctor-XXXXXX", path[128], *before = strdup(getenv("PATH"));
	int cwd = open(".", O_DIRECTORY | O_RDONLY);

	(void)state;
	assert_non_null(mkdtemp(dir));
	make_program(dir, "a-program", 0755);
	make_program(dir, "a-file", 0644);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(path, sizeof(path), rows[i].path, dir);
		assert_int_equal(setenv("PATH", path, 1), 0);
		assert_int_equal(chdir(rows[i].here ? dir : "/"), 0);
		assert_int_equal(doctor_in_path("a-program"), rows[i].found);
		assert_false(doctor_in_path("a-file"));
	}
	assert_int_equal(setenv("PATH", before, 1), 0);
	assert_int_equal(chdir(dir), 0);
	unlink("a-program");
	unlink("a-file");
	assert_int_equal(fchdir(cwd), 0);
	rmdir(dir);
	close(cwd);
	free(before);
}

static void no_seccomp(void **state)
{
	struct doctor_host h = good;
	struct doctor_report r;

	(void)state;
	h.seccomp_error = EINVAL;
	expect(&h, "seccomp", DOCTOR_MISSING, "no system call filters", "--sandbox off");
	doctor_judge(&r, &h);
	assert_false(r.ok);
}

static void cpu_flags(void **state)
{
	static const char intel[] = "processor\t: 0\nflags\t\t: fpu vme vmx_x de\t vmx\n"
				    "vmx flags\t: svm\nprocessor\t: 1\nflags\t: svm\n";

	(void)state;
	assert_true(doctor_cpu_has(intel, "vmx"));
	assert_true(doctor_cpu_has(intel, "fpu"));
	assert_false(doctor_cpu_has(intel, "svm"));
	assert_false(doctor_cpu_has(intel, "vm"));
	assert_false(doctor_cpu_has(intel, "processor"));
	assert_true(doctor_cpu_has("flags\t\t: fpu svm npt\n", "svm"));
	assert_false(doctor_cpu_has("flags\t\t: fpu svm_lock npt\nbugs : svm\n", "svm"));
	assert_false(doctor_cpu_has("processor\t: 0\nvmx flags\t: vmx\n", "vmx"));
	assert_false(doctor_cpu_has("", "vmx"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_host),     cmocka_unit_test(no_kvm),
		cmocka_unit_test(forbidden_kvm), cmocka_unit_test(old_kvm),
		cmocka_unit_test(no_hardware),   cmocka_unit_test(back_ends),
		cmocka_unit_test(lesser_things), cmocka_unit_test(no_seccomp),
		cmocka_unit_test(cpu_flags),     cmocka_unit_test(open_files),
		cmocka_unit_test(programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
