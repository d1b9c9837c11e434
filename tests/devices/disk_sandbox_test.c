/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks' own threads under their real filters: what they ask of the kernel for all they can do is
 * allowed, or this program is ended with the call's name. Each test is a process of its own.
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
#include <sys/wait.h>
#include <unistd.h>

#include "devices/backend/disk_nbd.h"
#include "seccomp/seccomp.h"
#include "tests/devices/disk_user.h"
#include "tests/devices/nbd_server.h"

#define SIZE MiB(4)

#if defined(SANITIZE_address) || defined(SANITIZE_thread)
static const enum sandbox_mode mode = SANDBOX_OFF; /* sanitizers make calls of their own */
#else
static const enum sandbox_mode mode = SANDBOX_ON;
#endif

static int nbd_begin(void *ctx)
{
	(void)ctx;
	return sandbox_thread(mode, SANDBOX_NBD);
}

static int worker_begin(void *ctx)
{
	(void)ctx;
	return sandbox_thread(mode, SANDBOX_WORKER);
}

/* All kinds of requests, small and large, straight and scattered. */
static void use(struct disk_user *u, struct disk *disk)
{
	u8 *buf = calloc(1, SIZE);

	for (unsigned i = 0; i < 50; i++) {
		struct disk_request q = disk_request(DISK_WRITE, 0, buf, 5000);

		q.iov[1] = (struct iovec){ buf + 5000, 8192 - 5000 };
		q.op.iov_count = 2;
		q.op.len = 8192;
		q.op.fua = true;
		disk_request_start(u, disk, &q);
		assert_int_equal(disk_request_wait(u, &q), 0);
		assert_int_equal(disk_io(u, disk, DISK_READ, 4096 * i, buf, 4096), 0);
	}
	assert_int_equal(disk_io(u, disk, DISK_WRITE, 0, buf, SIZE), 0);
	assert_int_equal(disk_io(u, disk, DISK_DISCARD, 0, NULL, MiB(1)), 0);
	assert_int_equal(disk_io(u, disk, DISK_WRITE_ZEROES, MiB(1), NULL, MiB(1)), 0);
	assert_int_equal(disk_io(u, disk, DISK_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(disk_io(u, disk, DISK_READ, 0, buf, SIZE), 0);
	free(buf);
}

/* In a child, which a violation ends with status 1. */
static void apart(void (*run)(const char *path), const char *path)
{
	int wstatus;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		char error[256];

		if (sandbox_process(mode, error, sizeof(error)))
			_exit(77);
		run(path);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
	if (WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 77)
		skip();
	assert_true(WIFEXITED(wstatus));
	assert_int_equal(WEXITSTATUS(wstatus), 0);
}

static struct disk *must_open(const char *path, struct disk_config config)
{
	struct disk *disk = NULL;
	char error[512] = "";

	config.path = path;
	if (disk_open(&disk, &config, error, sizeof(error)))
		fprintf(stderr, "%s\n", error);
	assert_non_null(disk);
	return disk;
}

static void run_nbd(const char *uri)
{
	struct disk *disk = must_open(uri, (struct disk_config){ 0 });
	struct disk_user u;

	disk_user_init(&u);
	assert_int_equal(disk_launch(disk, nbd_begin, NULL), 0);
	use(&u, disk);
	disk_user_fini(&u);
	disk->ops->close(disk);
}

/* One end is told that a request was answered. */
static int answered[2];

static void run_nbd_lost(const char *uri)
{
	struct disk *disk = must_open(uri, (struct disk_config){ 0 });
	struct disk_user u;
	u8 buf[512];
	bool told = false;

	disk_user_init(&u);
	assert_int_equal(disk_launch(disk, nbd_begin, NULL), 0);
	while (!disk_io(&u, disk, DISK_READ, 0, buf, sizeof(buf)))
		told = told || write(answered[1], "", 1) == 1;
	assert_true(told);
	disk_user_fini(&u);
	disk->ops->close(disk);
}

static void run_workers(const char *path)
{
	struct disk *disk = must_open(path, (struct disk_config){ .aio = DISK_AIO_THREADS });
	struct disk_user u;

	disk_user_init(&u);
	assert_int_equal(uring_workers_start(&u.uring, worker_begin, NULL), 0);
	use(&u, disk);
	disk_user_fini(&u);
	disk->ops->close(disk);
}

/* The disk goes before its loop ends, which has its ring let go of the image. */
static void run_loop(const char *path)
{
	struct disk *disk = must_open(path, (struct disk_config){ .ephemeral = true });
	struct disk_user u;

	disk_user_init(&u);
	assert_int_equal(sandbox_thread(mode, SANDBOX_IO), 0);
	use(&u, disk);
	disk->ops->close(disk);
	assert_int_equal(loop_turn(&u.loop, 0), 0);
	for (unsigned n = 0; n < URING_FILES; n++)
		assert_int_equal(u.uring.slot[n].fd, -1);
	disk_user_fini(&u);
}

static void an_nbd_thread(void **state)
{
	struct nbd_server s;

	(void)state;
	nbd_server_start(&s, SIZE, (struct nbd_server_how){ .flags = NBD_ALL });
	apart(run_nbd, s.uri);
	nbd_server_remove(&s);
}

static void an_nbd_thread_that_loses_its_server(void **state)
{
	struct nbd_server s;
	pid_t killer;

	(void)state;
	nbd_server_start(&s, SIZE, (struct nbd_server_how){ .flags = NBD_ALL });
	assert_int_equal(pipe(answered), 0);
	killer = fork();
	if (!killer) {
		char word;

		close(answered[1]);
		if (read(answered[0], &word, 1) == 1)
			kill(s.pid, SIGKILL);
		_exit(0);
	}
	apart(run_nbd_lost, s.uri);
	close(answered[0]);
	close(answered[1]);
	waitpid(killer, NULL, 0);
	nbd_server_remove(&s);
}

/* By nbdkit, where there is one, with a key of the test's. */
static void an_nbd_thread_under_tls(void **state)
{
	char dir[] = "/tmp/candela-tls-XXXXXX", command[512], uri[256];

	(void)state;
	if (system("command -v nbdkit >/dev/null"))
		skip();
	assert_non_null(mkdtemp(dir));
	snprintf(command, sizeof(command),
		 "echo candela:1c86b9f8e4d1c0aa5d3f >%s/psk && exec nbdkit -U %s/socket -P %s/pid "
		 "--tls=require --tls-psk=%s/psk memory 4M",
		 dir, dir, dir, dir);
	assert_int_equal(system(command), 0);
	snprintf(uri, sizeof(uri), "nbds+unix://candela@/?socket=%s/socket&tls-psk-file=%s/psk",
		 dir, dir);
	apart(run_nbd, uri);
	snprintf(command, sizeof(command), "kill $(cat %s/pid); rm -r %s", dir, dir);
	assert_int_equal(system(command), 0);
}

static void on_an_image(void (*run)(const char *path))
{
	char path[] = "/var/tmp/candela-disk-XXXXXX";
	int fd = mkstemp(path);

	assert_int_equal(ftruncate(fd, SIZE), 0);
	close(fd);
	apart(run, path);
	unlink(path);
}

static void the_workers_of_a_ring(void **state)
{
	(void)state;
	on_an_image(run_workers);
}

static void a_loop_whose_disk_goes(void **state)
{
	(void)state;
	on_an_image(run_loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_nbd_thread),
		cmocka_unit_test(an_nbd_thread_that_loses_its_server),
		cmocka_unit_test(an_nbd_thread_under_tls),
		cmocka_unit_test(the_workers_of_a_ring),
		cmocka_unit_test(a_loop_whose_disk_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
