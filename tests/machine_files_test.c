/* SPDX-License-Identifier: BSD-2-Clause */
/* What a machine opens on the host before it is sandboxed. */
#include "machine.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "tests/patience.h"
#include "vmbus/chaos.h"

/* The main loop writes to the line, and must not wait there for a reader that nobody started. */
static void a_pty_without_a_reader_blocks_nobody(void **state)
{
	const struct config config = { .kernel = "/proc/self/exe", .console = CONSOLE_PTY };
	static const char text[1000];
	struct machine_files f;
	char error[256] = "";
	size_t all = 0;
	ssize_t n;

	(void)state;
	assert_int_equal(machine_files_open(&f, &config, error, sizeof(error)), 0);
	alarm(PATIENCE_S);
	while ((n = write(f.console_out, text, sizeof(text))) > 0)
		all += (size_t)n;
	alarm(0);
	assert_int_equal(errno, EAGAIN);
	assert_true(all >= sizeof(text));
	machine_files_close(&f, &config);
}

/* The seed comes from the command line, or from a log. */
static void chaos_has_a_seed(void **state)
{
	struct config config = { .kernel = "/proc/self/exe",
				 .chaos = { .on = true, .seed = 7, .rate = 9 } };
	struct machine_files f;
	char error[256] = "", path[] = "/tmp/machine_files_test.XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	config.chaos.log = path;
	assert_true(fd >= 0);
	assert_int_equal(machine_files_open(&f, &config, error, sizeof(error)), 0);
	assert_int_equal(f.chaos->seed, 7);
	assert_int_equal(f.chaos->rate, 9);
	machine_files_close(&f, &config);
	config.chaos = (struct chaos_config){ .on = true, .replay = path };
	assert_int_equal(machine_files_open(&f, &config, error, sizeof(error)), 0);
	assert_int_equal(f.chaos->seed, 7);
	machine_files_close(&f, &config);
	assert_int_equal(ftruncate(fd, 1), 0);
	assert_int_equal(machine_files_open(&f, &config, error, sizeof(error)), -EINVAL);
	assert_memory_equal(error, "--chaos replay=/tmp/machine_files_test.", 39);
	machine_files_close(&f, &config);
	close(fd);
	unlink(path);
}

/* What is at the name of a socket that could not be made is somebody else's. */
static void a_file_in_the_way_is_left_alone(void **state)
{
	char path[] = "/tmp/machine_files_test.XXXXXX";
	const struct config config = { .kernel = "/proc/self/exe",
				       .console = CONSOLE_UNIX,
				       .console_path = path };
	struct machine_files f;
	char error[256] = "";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(machine_files_open(&f, &config, error, sizeof(error)), -EINVAL);
	assert_non_null(strstr(error, "remove it if no other candela serves it"));
	machine_files_close(&f, &config);
	assert_int_equal(access(path, F_OK), 0);
	/* Nor is it ours where nothing was opened at all. */
	f = (struct machine_files){ 0 };
	machine_files_close(&f, &config);
	assert_int_equal(access(path, F_OK), 0);
	/* One that is ours goes. */
	unlink(path);
	assert_int_equal(machine_files_open(&f, &config, error, sizeof(error)), 0);
	assert_int_equal(access(path, F_OK), 0);
	machine_files_close(&f, &config);
	assert_int_equal(access(path, F_OK), -1);
	close(fd);
}

static void a_pipe_is_no_kernel(void **state)
{
	char path[] = "/tmp/machine_files_test.XXXXXX";
	const struct config config = { .kernel = path };
	struct machine_files f;
	char error[256] = "";

	(void)state;
	close(mkstemp(path));
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(PATIENCE_S);
	assert_int_equal(machine_files_open(&f, &config, error, sizeof(error)), -EINVAL);
	alarm(0);
	assert_non_null(strstr(error, "not a regular file"));
	machine_files_close(&f, &config);
	unlink(path);
}

/* What each keeps of its own would else be one disk's, by two paths. */
static void one_image_is_disks_of_different_ids(void **state)
{
	char path[] = "/tmp/machine_files_test.XXXXXX";
	const struct disk_config disk = { .path = path, .ephemeral = true };
	const struct config config = { .kernel = "/proc/self/exe",
				       .console = CONSOLE_NONE,
				       .disk = { disk, disk, disk },
				       .disk_count = 3,
				       .io_threads = 1 };
	int fd = mkstemp(path);
	struct machine_files f;
	char error[256] = "";
	char id[sizeof(f.disk[0]->id)];

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(machine_files_open(&f, &config, error, sizeof(error)), 0);
	strcpy(id, f.disk[0]->id);
	assert_string_not_equal(f.disk[1]->id, id);
	assert_string_not_equal(f.disk[2]->id, id);
	assert_string_not_equal(f.disk[2]->id, f.disk[1]->id);
	assert_true(!strncmp(f.disk[2]->id, id, strlen(id)));
	machine_files_close(&f, &config);
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pty_without_a_reader_blocks_nobody),
		cmocka_unit_test(chaos_has_a_seed),
		cmocka_unit_test(a_file_in_the_way_is_left_alone),
		cmocka_unit_test(a_pipe_is_no_kernel),
		cmocka_unit_test(one_image_is_disks_of_different_ids),
	};

	/* It says the name of the line, and would make its cache's folder. */
	log_set_level(LOG_ERROR);
	setenv("CANDELA_CACHE", "/dev/null", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
