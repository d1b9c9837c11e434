/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Images in other formats, by a real qemu-storage-daemon; skipped where there is none, or no
 * qemu-img to make and check them.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "devices/backend/disk_daemon.h"
#include "tests/devices/disk_user.h"
#include "tests/patience.h"

#define SIZE MiB(8)

struct rig {
	struct disk_user user;
	char dir[64];
	char error[1024];
	char command[1024];
	char path[128];
};

static bool have_qemu(void)
{
	return !system(
		"command -v qemu-img >/dev/null && command -v qemu-storage-daemon >/dev/null");
}

static int setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	strcpy(r->dir, "/var/tmp/candela-images-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	disk_user_init(&r->user);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;
	int err;

	disk_user_fini(&r->user);
	/* Also a failed test's device: the kernel lets go of it when its last user has. */
	snprintf(r->command, sizeof(r->command),
		 "cd %s && { [ ! -L device ] || losetup -d $(readlink device); }; e=$?; "
		 "rm -r %s && exit $e",
		 r->dir, r->dir);
	err = system(r->command);
	free(r);
	return err ? -1 : 0;
}

/* qemu-img WORDS, in the scratch folder. */
__attribute__((format(printf, 2, 3))) static void qemu_img(struct rig *r, const char *fmt, ...)
{
	int n = snprintf(r->command, sizeof(r->command), "cd %s && qemu-img ", r->dir);
	va_list ap;

	va_start(ap, fmt);
	n += vsnprintf(r->command + n, sizeof(r->command) - (size_t)n, fmt, ap);
	va_end(ap);
	snprintf(r->command + n, sizeof(r->command) - (size_t)n, " >/dev/null");
	assert_int_equal(system(r->command), 0);
}

/* NULL and r->error, or a disk that may be used. */
static struct disk *image_open(struct rig *r, const char *name, struct disk_config config)
{
	struct disk *disk = NULL;

	snprintf(r->path, sizeof(r->path), "%s/%s", r->dir, name);
	config.path = r->path;
	if (disk_open(&disk, &config, r->error, sizeof(r->error)))
		return NULL;
	assert_int_equal(disk_launch(disk, NULL, NULL), 0);
	return disk;
}

static void image_close(struct disk *disk)
{
	disk->ops->close(disk);
}

static void fill(u8 *buf, u64 len, u8 seed)
{
	for (u64 i = 0; i < len; i++)
		buf[i] = (u8)(i * 7 + i / 4096 + seed);
}

static void each_format(void **state)
{
	static const char *const formats[][2] = { { "qcow2", "a.qcow2" },
						  { "vhdx", "a.vhdx" },
						  { "vpc", "a.vhd" },
						  { "vmdk", "a.vmdk" } };
	struct rig *r = *state;
	u8 *out = malloc(MiB(1)), *in = malloc(MiB(1));
	char raw[32];

	if (!have_qemu())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct disk *disk;

		qemu_img(r, "create -q -f %s %s%s 8M", formats[i][0],
			 strcmp(formats[i][0], "vpc") ? "" : "-o force_size=on ", formats[i][1]);
		disk = image_open(r, formats[i][1], (struct disk_config){ 0 });
		assert_non_null(disk);
		assert_int_equal(disk->size, SIZE);
		fill(out, MiB(1), (u8)i);
		assert_int_equal(disk_io(&r->user, disk, DISK_WRITE, MiB(3), out, MiB(1)), 0);
		assert_int_equal(disk_io(&r->user, disk, DISK_FLUSH, 0, NULL, 0), 0);
		assert_int_equal(disk_io(&r->user, disk, DISK_READ, MiB(3), in, MiB(1)), 0);
		assert_memory_equal(in, out, MiB(1));
		/* Another may not have it meanwhile, but by its own word. */
		assert_null(image_open(r, formats[i][1], (struct disk_config){ 0 }));
		assert_non_null(strstr(r->error, "is in use by qemu-storage-da (process "));
		image_close(disk);
		/* A file each: the ring keeps those it has seen, and their locks. */
		snprintf(raw, sizeof(raw), "%zu.raw", i);
		qemu_img(r, "convert -O raw %s %s", formats[i][1], raw);
		disk = image_open(r, raw, (struct disk_config){ .read_only = true });
		assert_non_null(disk);
		assert_int_equal(disk_io(&r->user, disk, DISK_READ, MiB(3), in, MiB(1)), 0);
		assert_memory_equal(in, out, MiB(1));
		image_close(disk);
	}
	free(out);
	free(in);
}

static void ro_and_ephemeral_leave_it_alone(void **state)
{
	struct rig *r = *state;
	struct stat before, after;
	struct disk *ro, *ephemeral;
	u8 out[4096], in[4096];

	if (!have_qemu())
		skip();
	qemu_img(r, "create -q -f qcow2 a,b.qcow2 8M");
	snprintf(r->path, sizeof(r->path), "%s/a,b.qcow2", r->dir);
	assert_int_equal(stat(r->path, &before), 0);
	ro = image_open(r, "a,b.qcow2", (struct disk_config){ .read_only = true });
	ephemeral = image_open(r, "a,b.qcow2", (struct disk_config){ .ephemeral = true });
	assert_non_null(ro);
	assert_non_null(ephemeral);
	fill(out, sizeof(out), 1);
	assert_int_equal(disk_io(&r->user, ro, DISK_WRITE, 0, out, sizeof(out)), -EROFS);
	assert_int_equal(disk_io(&r->user, ephemeral, DISK_WRITE, 0, out, sizeof(out)), 0);
	assert_int_equal(disk_io(&r->user, ephemeral, DISK_READ, 0, in, sizeof(in)), 0);
	assert_memory_equal(in, out, sizeof(in));
	image_close(ro);
	image_close(ephemeral);
	assert_int_equal(stat(r->path, &after), 0);
	assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	assert_int_equal(before.st_size, after.st_size);
}

/* A qcow2 image of 1 MiB in a loop device, which the name "device" leads to. */
static void device_make(struct rig *r)
{
	qemu_img(r, "create -f qcow2 a.qcow2 1M && truncate -s 4M a.qcow2");
	snprintf(r->command, sizeof(r->command),
		 "cd %s && d=$(losetup -f --show a.qcow2 2>/dev/null) && ln -s $d device", r->dir);
	if (!system(r->command))
		return;
	print_error("skipped: no loop device can be made here\n");
	skip();
}

/* Such as a logical volume. */
static void an_image_may_lie_in_a_block_device(void **state)
{
	struct rig *r = *state;
	u8 out[4096], in[4096] = { 0 };
	struct disk *disk;

	if (!have_qemu())
		skip();
	device_make(r);
	disk = image_open(r, "device", (struct disk_config){ .format = DISK_QCOW2 });
	if (!disk)
		print_error("%s\n", r->error);
	assert_non_null(disk);
	fill(out, sizeof(out), 3);
	assert_int_equal(disk->size, MiB(1));
	assert_int_equal(disk_io(&r->user, disk, DISK_WRITE, 4096, out, 4096), 0);
	assert_int_equal(disk_io(&r->user, disk, DISK_READ, 4096, in, 4096), 0);
	/* The host cannot mount it meanwhile. */
	assert_int_equal(open(r->path, O_RDONLY | O_EXCL | O_CLOEXEC), -1);
	assert_int_equal(errno, EBUSY);
	image_close(disk);
	assert_memory_equal(in, out, sizeof(in));
}

/* The clusters of what was thrown away are zeroed and taken for what is written next. */
static void clusters_of_a_device_are_used_again(void **state)
{
	static u8 out[KiB(64)], in[KiB(64)];
	struct rig *r = *state;
	struct disk *disk;

	if (!have_qemu())
		skip();
	device_make(r);
	disk = image_open(r, "device", (struct disk_config){ .format = DISK_QCOW2 });
	assert_non_null(disk);
	memset(out, 1, sizeof(out));
	for (u64 at = 0; at < MiB(1) - sizeof(out); at += sizeof(out)) {
		assert_int_equal(disk_io(&r->user, disk, DISK_WRITE, at, out, sizeof(out)), 0);
		assert_int_equal(disk_io(&r->user, disk, DISK_DISCARD, at, NULL, sizeof(out)), 0);
		at += sizeof(out);
		assert_int_equal(disk_io(&r->user, disk, DISK_WRITE, at, out, 512), 0);
		assert_int_equal(disk_io(&r->user, disk, DISK_READ, at, in, sizeof(in)), 0);
		for (unsigned i = 0; i < sizeof(in); i++)
			assert_int_equal(in[i], i < 512);
		assert_int_equal(disk_io(&r->user, disk, DISK_WRITE_ZEROES, at, NULL, sizeof(out)),
				 0);
		assert_int_equal(disk_io(&r->user, disk, DISK_READ, at, in, sizeof(in)), 0);
		for (unsigned i = 0; i < sizeof(in); i++)
			assert_int_equal(in[i], 0);
	}
	image_close(disk);
}

static void images_that_name_others_are_refused(void **state)
{
	struct rig *r = *state;
	struct disk *disk;
	u8 in[512];

	if (!have_qemu())
		skip();
	qemu_img(r, "create -q -f raw base.raw 8M");
	qemu_img(r, "create -q -f qcow2 -b base.raw -F raw a.qcow2");
	qemu_img(r, "create -q -f qcow2 -o data_file=d.raw,data_file_raw=on b.qcow2 8M");
	qemu_img(r, "create -q -f vmdk -o subformat=monolithicFlat c.vmdk 8M");
	assert_null(image_open(r, "a.qcow2", (struct disk_config){ 0 }));
	assert_non_null(strstr(r->error, "names other files"));
	assert_null(image_open(r, "b.qcow2", (struct disk_config){ 0 }));
	assert_non_null(strstr(r->error, "names other files"));
	assert_null(image_open(r, "c.vmdk", (struct disk_config){ 0 }));
	assert_non_null(strstr(r->error, "names other files"));
	disk = image_open(r, "a.qcow2", (struct disk_config){ .backing = true });
	assert_non_null(disk);
	assert_int_equal(disk_io(&r->user, disk, DISK_READ, 0, in, sizeof(in)), 0);
	image_close(disk);
}

/* Its daemon is a script, which has it name a file, and is the real one then. */
static void nor_are_those_opened_that_it_came_to_name(void **state)
{
	struct rig *r = *state;
	char *path = strdup(getenv("PATH")), *longer = malloc(strlen(path) + sizeof(r->dir) + 1);
	struct disk *disk;
	u8 in[512];

	if (!have_qemu())
		skip();
	qemu_img(r, "create -q -f qcow2 a.qcow2 8M");
	snprintf(r->command, sizeof(r->command),
		 "cd %s && head -c 8M /dev/zero | tr '\\0' x >base.raw && "
		 "printf '#!/bin/sh\nqemu-img rebase -u -f qcow2 -b base.raw -F raw %s/a.qcow2\n"
		 "PATH=%s exec qemu-storage-daemon \"$@\"\n' >qemu-storage-daemon && "
		 "chmod +x qemu-storage-daemon",
		 r->dir, r->dir, path);
	assert_int_equal(system(r->command), 0);
	sprintf(longer, "%s:%s", r->dir, path);
	setenv("PATH", longer, 1);
	disk = image_open(r, "a.qcow2", (struct disk_config){ 0 });
	setenv("PATH", path, 1);
	assert_non_null(disk);
	assert_int_equal(disk_io(&r->user, disk, DISK_READ, 0, in, sizeof(in)), 0);
	assert_int_equal(in[0], 0);
	image_close(disk);
	assert_null(image_open(r, "a.qcow2", (struct disk_config){ 0 }));
	assert_non_null(strstr(r->error, "names other files"));
	free(longer);
	free(path);
}

/* Writes a VHD footer of this type, without a checksum, at `at`; below 0: from the end. */
static void vhd_footer(struct rig *r, const char *name, off_t at, u8 type)
{
	u8 footer[512] = "conectix";
	int fd;

	footer[63] = type;
	snprintf(r->path, sizeof(r->path), "%s/%s", r->dir, name);
	fd = open(r->path, O_WRONLY);
	assert_true(fd >= 0);
	assert_true(lseek(fd, at, at < 0 ? SEEK_END : SEEK_SET) >= 0);
	assert_int_equal(write(fd, footer, sizeof(footer)), sizeof(footer));
	close(fd);
}

/* What a guest writes into the first sector of a fixed VHD makes it no other kind. */
static void a_vhd_is_what_its_end_says(void **state)
{
	static const char fixed[] = "create -q -f vpc -o subformat=fixed,force_size=on %s 8M";
	struct rig *r = *state;
	struct disk *disk;

	if (!have_qemu())
		skip();
	qemu_img(r, fixed, "a.vhd");
	disk = image_open(r, "a.vhd", (struct disk_config){ 0 });
	assert_non_null(disk);
	assert_int_equal(disk->size, SIZE);
	image_close(disk);
	vhd_footer(r, "a.vhd", 0, 3);
	assert_null(image_open(r, "a.vhd", (struct disk_config){ 0 }));
	assert_non_null(strstr(r->error, "a.vhd is a fixed VHD whose guest wrote"));
	/* a type that there is not, at which nobody looks */
	vhd_footer(r, "a.vhd", 0, 0);
	assert_null(image_open(r, "a.vhd", (struct disk_config){ 0 }));
	assert_non_null(strstr(r->error, "a.vhd is a fixed VHD whose guest wrote"));
	qemu_img(r, "create -q -f vpc -o force_size=on b.vhd 8M");
	vhd_footer(r, "b.vhd", 0, 4);
	assert_null(image_open(r, "b.vhd", (struct disk_config){ 0 }));
	assert_non_null(strstr(r->error, "b.vhd is a differencing VHD"));
	qemu_img(r, fixed, "c.vhd");
	vhd_footer(r, "c.vhd", -512, 4);
	assert_null(image_open(r, "c.vhd", (struct disk_config){ 0 }));
	assert_non_null(strstr(r->error, "c.vhd is a differencing VHD"));
}

static void the_id_is_of_the_image_not_of_its_name(void **state)
{
	struct rig *r = *state;
	struct disk *disk;
	char id[sizeof(disk->id)];

	if (!have_qemu())
		skip();
	qemu_img(r, "create -q -f qcow2 a.qcow2 8M");
	disk = image_open(r, "a.qcow2", (struct disk_config){ 0 });
	assert_non_null(disk);
	memcpy(id, disk->id, sizeof(id));
	image_close(disk);
	disk = image_open(r, "./a.qcow2", (struct disk_config){ 0 });
	assert_non_null(disk);
	assert_string_equal(disk->id, id);
	image_close(disk);
}

static void what_cannot_be_opened_is_named(void **state)
{
	static const struct disk_config qcow2 = { .format = DISK_QCOW2 };
	struct rig *r = *state;
	char *path = strdup(getenv("PATH"));

	if (!have_qemu())
		skip();
	assert_null(image_open(r, "none.qcow2", qcow2));
	assert_non_null(strstr(r->error, "none.qcow2 does not exist"));
	assert_null(image_open(r, "", qcow2));
	assert_non_null(strstr(r->error, "is neither a file nor a block device"));
	qemu_img(r, "create -q -f raw a.raw 8M");
	assert_null(image_open(r, "a.raw", qcow2));
	assert_non_null(strstr(r->error, "a.raw cannot be opened as qcow2: "));
	assert_non_null(strstr(r->error, "opened as qcow2: Image is not in qcow2 format; "));
	assert_null(strchr(r->error, '\n'));
	qemu_img(r, "create -q -f qcow2 a.qcow2 8M");
	assert_null(image_open(r, "a.qcow2", (struct disk_config){ .format = DISK_VMDK }));
	assert_non_null(strstr(r->error, "a.qcow2 is a qcow2 image, not vmdk"));
	setenv("PATH", "/nowhere", 1);
	assert_null(image_open(r, "a.qcow2", qcow2));
	setenv("PATH", path, 1);
	free(path);
	assert_non_null(strstr(r->error, "install qemu-system-common"));
}

static pid_t child_of_ours(void)
{
	char path[64];
	pid_t pid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "r");
	if (!f)
		return 0;
	if (fscanf(f, "%d", &pid) != 1)
		pid = 0;
	fclose(f);
	return pid;
}

static bool daemon_killed(void)
{
	pid_t pid = child_of_ours();
	siginfo_t info;

	if (!pid)
		return false;
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	return true;
}

static void a_daemon_that_dies_is_an_io_error(void **state)
{
	struct rig *r = *state;
	struct disk *disk;
	u8 in[512];

	if (!have_qemu())
		skip();
	qemu_img(r, "create -q -f qcow2 a.qcow2 8M");
	disk = image_open(r, "a.qcow2", (struct disk_config){ 0 });
	assert_non_null(disk);
	if (daemon_killed())
		assert_int_equal(disk_io(&r->user, disk, DISK_READ, 0, in, sizeof(in)), -EIO);
	image_close(disk);
}

/* In the process that opened the disk, where no thread serves it. */
static void the_next_start_is_told_of_a_daemon_that_died(void **state)
{
	struct rig *r = *state;
	struct disk *disk = NULL;

	if (!have_qemu())
		skip();
	qemu_img(r, "create -q -f qcow2 a.qcow2 8M");
	snprintf(r->path, sizeof(r->path), "%s/a.qcow2", r->dir);
	assert_int_equal(disk_open(&disk, &(struct disk_config){ .path = r->path }, r->error,
				   sizeof(r->error)),
			 0);
	if (daemon_killed()) {
		disk_let_go(disk);
		assert_int_equal(disk_connect(disk, r->error, sizeof(r->error)), -EIO);
		assert_non_null(strstr(r->error, "qemu-storage-daemon has ended"));
	}
	image_close(disk);
}

static void the_daemon_dies_with_us(void **state)
{
	struct disk *next = NULL;
	struct rig *r = *state;
	int fds[2];
	pid_t us, daemon = 0;

	if (!have_qemu())
		skip();
	qemu_img(r, "create -q -f qcow2 a.qcow2 8M");
	assert_int_equal(pipe(fds), 0);
	us = fork();
	if (!us) {
		struct disk *disk = image_open(r, "a.qcow2", (struct disk_config){ 0 });

		daemon = disk ? child_of_ours() : 0;
		_exit(write(fds[1], &daemon, sizeof(daemon)) != sizeof(daemon));
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &daemon, sizeof(daemon)), sizeof(daemon));
	close(fds[0]);
	waitpid(us, NULL, 0);
	if (!daemon)
		skip();
	/* Dead, or nobody's child that waits for being buried: the image is free. */
	for (u64 end = patience_end(); !next && loop_now_ns() < end; usleep(5000))
		next = image_open(r, "a.qcow2", (struct disk_config){ 0 });
	assert_non_null(next);
	image_close(next);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_format),
		TEST(ro_and_ephemeral_leave_it_alone),
		TEST(an_image_may_lie_in_a_block_device),
		TEST(clusters_of_a_device_are_used_again),
		TEST(images_that_name_others_are_refused),
		TEST(nor_are_those_opened_that_it_came_to_name),
		TEST(a_vhd_is_what_its_end_says),
		TEST(the_id_is_of_the_image_not_of_its_name),
		TEST(what_cannot_be_opened_is_named),
		TEST(a_daemon_that_dies_is_an_io_error),
		TEST(the_next_start_is_told_of_a_daemon_that_died),
		TEST(the_daemon_dies_with_us),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
