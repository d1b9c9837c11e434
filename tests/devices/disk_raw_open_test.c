/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening raw images: which are refused and how, locks, formats, ids. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/devices/raw_bed.h"

static void bad_images_are_named(void **state)
{
	struct raw_bed *bed = *state;
	struct disk_config config = { .path = "/var/tmp/no/such/image" };
	struct disk *disk;

	assert_int_equal(disk_raw_open(&disk, &config, bed->error, sizeof(bed->error)), -ENOENT);
	assert_string_equal(bed->error, "disk image /var/tmp/no/such/image does not exist");
	config.path = "/var/tmp";
	assert_int_equal(disk_raw_open(&disk, &config, bed->error, sizeof(bed->error)), -EINVAL);
	assert_int_equal(truncate(bed->path, 1000), 0);
	assert_null(raw_open_image(bed, false, false));
	assert_non_null(strstr(bed->error, bed->path));
	assert_non_null(strstr(bed->error, "truncate -s %512 "));
	assert_int_equal(truncate(bed->path, 0), 0);
	assert_null(raw_open_image(bed, false, true));
	assert_non_null(strstr(bed->error, "is empty"));
}

static void one_writer_or_many_readers(void **state)
{
	struct raw_bed *bed = *state;
	struct disk *writer = raw_open_image(bed, false, false), *a, *b;

	assert_non_null(writer);
	assert_null(raw_open_image(bed, false, false));
	assert_non_null(strstr(bed->error, "is in use"));
	assert_null(raw_open_image(bed, true, false));
	raw_close(writer);
	a = raw_open_image(bed, true, false);
	b = raw_open_image(bed, false, true);
	assert_non_null(a);
	assert_non_null(b);
	assert_null(raw_open_image(bed, false, false));
	raw_close(a);
	raw_close(b);
}

/* Locks as QEMU takes them, and as one who locks the whole file. */
static void others_locks_are_heeded_and_ours_seen(void **state)
{
	static const struct {
		short type;
		off_t start, len;
		bool reader_goes, writer_goes;
	} rows[] = {
		{ F_RDLCK, 100, 1, true, true }, /* reads */
		{ F_RDLCK, 101, 1, false, false }, /* writes */
		{ F_RDLCK, 201, 1, true, false }, /* suffers no writer */
		{ F_RDLCK, 203, 1, true, true }, /* suffers no resizing */
		{ F_WRLCK, 0, 0, false, false },
		{ F_RDLCK, 0, 0, false, false }, /* cannot be told from a writer's */
	};
	struct raw_bed *bed = *state;
	int fd = open(bed->path, O_RDWR);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct flock l = { .l_type = rows[i].type,
				   .l_start = rows[i].start,
				   .l_len = rows[i].len };
		struct disk *disk;

		for (unsigned writer = 0; writer < 2; writer++) {
			assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
			disk = raw_open_image(bed, !writer, false);
			assert_int_equal(!!disk,
					 writer ? rows[i].writer_goes : rows[i].reader_goes);
			if (disk)
				raw_close(disk);
			else
				assert_non_null(strstr(bed->error, "is in use by"));
			disk = raw_open(bed, (struct disk_config){ .unlocked = true });
			assert_non_null(disk);
			raw_close(disk);
			l.l_type = F_UNLCK;
			assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
			l.l_type = rows[i].type;
		}
	}
	close(fd);
}

static void who_has_it_is_named(void **state)
{
	struct raw_bed *bed = *state;
	struct disk *disk = raw_open_image(bed, false, false);
	char self[64];

	snprintf(self, sizeof(self), "(process %d)", (int)getpid());
	assert_null(raw_open_image(bed, false, false));
	assert_non_null(strstr(bed->error, self));
	assert_non_null(strstr(bed->error, "disk_raw_open_t"));
	raw_close(disk);
}

static void probe_as(struct raw_bed *bed, const char *name, const char *contents, off_t at, int err,
		     enum disk_format format)
{
	enum disk_format got = DISK_FORMATS;
	int fd = open(bed->path, O_RDWR | O_TRUNC);

	assert_int_equal(ftruncate(fd, MiB(1)), 0);
	assert_true(pwrite(fd, contents, strlen(contents), at) >= 0);
	assert_int_equal(disk_probe(fd, name, &got, bed->error, sizeof(bed->error)), err);
	if (!err)
		assert_int_equal(got, format);
	close(fd);
}

static void a_format_is_believed_by_name_and_contents(void **state)
{
	struct raw_bed *bed = *state;

	probe_as(bed, "a.img", "", 0, 0, DISK_RAW);
	probe_as(bed, "a.QCow2", "QFI\xfb", 0, 0, DISK_QCOW2);
	probe_as(bed, "a.vhdx", "vhdxfile", 0, 0, DISK_VHDX);
	probe_as(bed, "a.vhd", "conectix", MiB(1) - 512, 0, DISK_VHD);
	probe_as(bed, "a.vpc", "conectix", 0, 0, DISK_VHD);
	probe_as(bed, "a.vmdk", "KDMV", 0, 0, DISK_VMDK);
	probe_as(bed, "a.vmdk", "# Disk DescriptorFile\n", 0, 0, DISK_VMDK);
	/* What a guest may have written to its raw disk. */
	probe_as(bed, "a.img", "QFI\xfb", 0, -EINVAL, 0);
	assert_non_null(strstr(bed->error, "looks like a qcow2 image and is not named so"));
	probe_as(bed, "/dev/mapper/vm", "conectix", MiB(1) - 512, -EINVAL, 0);
	probe_as(bed, "qcow2", "QFI\xfb", 0, -EINVAL, 0);
	probe_as(bed, ".qcow2", "QFI\xfb", 0, -EINVAL, 0);
	probe_as(bed, "a.vmdk", "QFI\xfb", 0, -EINVAL, 0);
	probe_as(bed, "a.qcow2", "", 0, -EINVAL, 0);
	assert_non_null(strstr(bed->error, "is named like a qcow2 image and is none; format=raw"));
	/* As a raw disk it would be taken for one to be formatted. */
	probe_as(bed, "a.VDI", "<<< Oracle", 0, -EINVAL, 0);
	probe_as(bed, "a.img.xz",
		 "\xfd"
		 "7zXZ",
		 0, -EINVAL, 0);
	assert_non_null(strstr(bed->error, "has to be unpacked or converted"));
	probe_as(bed, "xz", "", 0, 0, DISK_RAW);
}

static void the_id_belongs_to_the_image(void **state)
{
	struct raw_bed *bed = *state;
	struct disk *a = raw_open_image(bed, true, false), *b = raw_open_image(bed, false, true);

	assert_true(strlen(a->id) > 8);
	assert_string_equal(a->id, b->id);
	raw_close(a);
	raw_close(b);
}

/* Leaves no more than `left` descriptors to this process. What it was before. */
static struct rlimit limit_descriptors(unsigned left)
{
	struct rlimit old, few;
	int fd[8];

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	for (unsigned i = 0; i < left; i++)
		fd[i] = dup(STDIN_FILENO);
	few.rlim_cur = (rlim_t)fd[left - 1] + 1;
	for (unsigned i = 0; i < left; i++)
		close(fd[i]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	return old;
}

/* Opens a disk with so few descriptors left; `said`: candela's words meanwhile. */
static struct disk *open_with(struct raw_bed *bed, struct disk_config config, unsigned left,
			      char said[static 512])
{
	int err = dup(STDERR_FILENO), words = memfd_create("words", 0);
	struct rlimit old = limit_descriptors(left);
	struct disk *disk;
	ssize_t len;

	dup2(words, STDERR_FILENO);
	disk = raw_open(bed, config);
	dup2(err, STDERR_FILENO);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	len = pread(words, said, 511, 0);
	said[MAX(len, 0)] = '\0';
	close(words);
	close(err);
	return disk;
}

/*
 * It is used, and the user told once: for each loop's flushes by files of their own there is no
 * room.
 */
static void flushes_that_share_a_file_are_told_of(void **state)
{
	struct raw_bed *bed = *state;
	char said[512];

	for (unsigned left = 5; left; left--) {
		const struct disk_config config = { .loops = 4 };
		struct disk *disk = open_with(bed, config, left, said);
		const char *first =
			strstr(said, "cannot be opened once more (Too many open files)");

		assert_non_null(disk);
		assert_int_equal(first != NULL, left < 5);
		if (first) {
			assert_non_null(strstr(said, bed->path));
			assert_null(strstr(first + 1, "cannot be opened"));
		}
		assert_int_equal(disk_io(&bed->user, disk, DISK_FLUSH, 0, NULL, 0), 0);
		raw_close(disk);
	}
}

/* One loop's flushes share it with FUA writes; where there are no flushes, nothing does. */
static void so_are_those_of_one_loop_but_not_none(void **state)
{
	static const struct disk_config safe = { .loops = 1 };
	static const struct disk_config unsafe = { .loops = 4, .cache = DISK_UNSAFE };
	struct raw_bed *bed = *state;
	struct disk *disk;
	char said[512];

	disk = open_with(bed, safe, 1, said);
	assert_non_null(disk);
	assert_non_null(strstr(said, "flushes and FUA writes share one descriptor"));
	raw_close(disk);
	disk = open_with(bed, unsafe, 1, said);
	assert_non_null(disk);
	assert_string_equal(said, "");
	raw_close(disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RAW_TEST(bad_images_are_named),
		RAW_TEST(one_writer_or_many_readers),
		RAW_TEST(others_locks_are_heeded_and_ours_seen),
		RAW_TEST(who_has_it_is_named),
		RAW_TEST(a_format_is_believed_by_name_and_contents),
		RAW_TEST(the_id_belongs_to_the_image),
		RAW_TEST(flushes_that_share_a_file_are_told_of),
		RAW_TEST(so_are_those_of_one_loop_but_not_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
