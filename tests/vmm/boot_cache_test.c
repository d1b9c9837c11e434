/* SPDX-License-Identifier: BSD-2-Clause */
/* The cache of unpacked kernels: what is found, and what is not believed. */
#include "tests/vmm/boot_image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static char path[] = "/tmp/candela-boot-XXXXXX";
static int dir_fd;
static struct image image;

/* The name of the only entry, or the number of entries. */
static unsigned entries(char name[256])
{
	DIR *d = opendir(path);
	struct dirent *e;
	unsigned count = 0;

	assert_non_null(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.') {
			if (name)
				snprintf(name, 256, "%s", e->d_name);
			count++;
		}
	closedir(d);
	return count;
}

static int dir_open(void **state)
{
	strcpy(path + sizeof(path) - 7, "XXXXXX");
	if (!mkdtemp(path))
		return -1;
	dir_fd = open(path, O_RDONLY | O_DIRECTORY);
	image_elf(&image);
	return dir_fd < 0 ? -1 : boot_run_setup(state);
}

static int dir_remove(void **state)
{
	char name[256];

	while (entries(name))
		assert_int_equal(unlinkat(dir_fd, name, 0), 0);
	close(dir_fd);
	boot_run_teardown(state);
	return rmdir(path);
}

static struct stat source(u64 inode)
{
	return (struct stat){
		.st_ino = inode, .st_size = 4711, .st_mtim = { 1, 2 }, .st_ctim = { 3, 4 }
	};
}

/* Whether an entry for s can be opened. */
static bool hit(const struct stat *s, u64 size)
{
	int fd = boot_cache_open(dir_fd, s, size);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void gives_back_what_was_stored(void **state)
{
	struct stat s = source(1);
	u8 back[sizeof(image.bytes)];
	int fd;

	(void)state;
	assert_false(hit(&s, image.size));
	boot_cache_store(dir_fd, &s, image.bytes, image.size);
	assert_int_equal(entries(NULL), 1);
	fd = boot_cache_open(dir_fd, &s, image.size);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, back, sizeof(back)), image.size);
	assert_memory_equal(back, image.bytes, image.size);
	close(fd);
}

static void another_file_is_a_miss(void **state)
{
	struct stat s = source(1), other = s;

	(void)state;
	boot_cache_store(dir_fd, &s, image.bytes, image.size);
	assert_false(hit(&s, image.size + 1));
	other.st_ino = 2;
	assert_false(hit(&other, image.size));
	other = s;
	other.st_size++;
	assert_false(hit(&other, image.size));
	other = s;
	other.st_mtim.tv_nsec++;
	assert_false(hit(&other, image.size));
	other = s;
	other.st_ctim.tv_nsec++;
	assert_false(hit(&other, image.size));
	assert_true(hit(&s, image.size));
}

static void doubtful_entries_are_misses(void **state)
{
	struct stat s = source(1);
	char name[256];

	(void)state;
	boot_cache_store(dir_fd, &s, image.bytes, image.size);
	assert_int_equal(entries(name), 1);
	assert_int_equal(fchmodat(dir_fd, name, 0666, 0), 0);
	assert_false(hit(&s, image.size));
	assert_int_equal(fchmodat(dir_fd, name, 0644, 0), 0);
	assert_true(hit(&s, image.size));
	assert_int_equal(renameat(dir_fd, name, dir_fd, "moved"), 0);
	assert_int_equal(symlinkat("moved", dir_fd, name), 0);
	assert_false(hit(&s, image.size));
	/* Replaced by the next one that is stored. */
	boot_cache_store(dir_fd, &s, image.bytes, image.size);
	assert_true(hit(&s, image.size));
	memset(image.bytes, 0, 4);
	boot_cache_store(dir_fd, &s, image.bytes, image.size);
	assert_false(hit(&s, image.size));
}

static void old_entries_make_room(void **state)
{
	struct stat s;
	int fd;

	(void)state;
	for (u64 i = 1; i <= 20; i++) {
		struct timespec when[2] = { { (time_t)i, 0 }, { (time_t)i, 0 } };
		char name[256];

		s = source(i);
		boot_cache_store(dir_fd, &s, image.bytes, image.size);
		snprintf(name, sizeof(name), "vmlinux-1-%llx-1267-1.2-3.4", (unsigned long long)i);
		assert_int_equal(utimensat(dir_fd, name, when, 0), 0);
		/* The first stays in use. */
		s = source(1);
		assert_true(hit(&s, image.size));
	}
	assert_int_equal(entries(NULL), 16);
	s = source(2);
	assert_false(hit(&s, image.size));
	s = source(20);
	assert_true(hit(&s, image.size));
	/* What is not ours is not counted. */
	fd = openat(dir_fd, "something", O_CREAT | O_WRONLY, 0644);
	close(fd);
	s = source(21);
	boot_cache_store(dir_fd, &s, image.bytes, image.size);
	assert_int_equal(entries(NULL), 17);
}

static void no_directory_is_a_miss(void **state)
{
	struct stat s = source(1);

	(void)state;
	boot_cache_store(-1, &s, image.bytes, image.size);
	assert_int_equal(boot_cache_open(-1, &s, image.size), -1);
}

/* The second boot reads what the first one kept: a change of it is seen. */
static void second_boot_is_from_the_cache(void **state)
{
	static u8 payload[KiB(48)];
	struct boot_run *r = *state;
	u64 len = image_gzip(&image, payload, sizeof(payload));
	char name[256];
	int fd;

	image_bzimage(&image, payload, len);
	r->config.kernel_fd = image_fd(image.bytes, image.size);
	r->config.cache_fd = dir_fd;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(
			boot_load(&r->mem, &r->config, &r->state, r->error, sizeof(r->error)), 0);
		boot_run_check_segment(r);
		assert_int_equal(entries(name), 1);
	}
	fd = openat(dir_fd, name, O_WRONLY);
	assert_int_equal(pwrite(fd, "Z", 1, IMAGE_DATA_OFFSET), 1);
	close(fd);
	assert_int_equal(boot_load(&r->mem, &r->config, &r->state, r->error, sizeof(r->error)), 0);
	assert_int_equal(*(u8 *)gmem_range(&r->mem, IMAGE_LOAD, 1), 'Z');
	close(r->config.kernel_fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, dir_open, dir_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(gives_back_what_was_stored),  TEST(another_file_is_a_miss),
		TEST(doubtful_entries_are_misses), TEST(old_entries_make_room),
		TEST(no_directory_is_a_miss),      TEST(second_boot_is_from_the_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
