/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Corners of disks: O_DIRECT on hosts that do not say what it takes, one image under two names,
 * what a limit counts, a server whose first flush fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "devices/backend/disk_nbd.h"
#include "tests/devices/disk_user.h"
#include "tests/devices/nbd_server.h"

#define BLOCK 512u
#define SIZE MiB(1)

/* ---- A host whose O_DIRECT takes only multiples of `wants`, and of places only of `lies` ---- */

static size_t wants, lies;
static unsigned refusals;

/* The kernel does not know STATX_DIOALIGN. */
int statx(int fd, const char *restrict path, int flags, unsigned mask, struct statx *restrict x)
{
	(void)fd;
	(void)path;
	(void)flags;
	(void)mask;
	*x = (struct statx){ 0 };
	return 0;
}

static bool takes(const struct iovec *iov, int count)
{
	for (int i = 0; i < count; i++) {
		if ((wants && iov[i].iov_len % wants) ||
		    (lies && (uintptr_t)iov[i].iov_base % lies)) {
			refusals++;
			errno = EINVAL;
			return false;
		}
	}
	return true;
}

ssize_t pread(int fd, void *buf, size_t len, off_t at)
{
	const struct iovec iov = { buf, len };

	return takes(&iov, 1) ? preadv2(fd, &iov, 1, at, 0) : -1;
}

ssize_t preadv(int fd, const struct iovec *iov, int count, off_t at)
{
	return takes(iov, count) ? preadv2(fd, iov, count, at, 0) : -1;
}

/* By a descriptor whose place is moved: pwritev2() is what the product calls. */
ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t at, int flags)
{
	(void)flags;
	return takes(iov, count) ? pwritev(fd, iov, count, at) : -1;
}

struct rig {
	struct disk_user user;
	char path[64], other[64];
	char error[512];
};

static int setup(void **state)
{
	static struct rig r;

	r = (struct rig){ .path = "/var/tmp/candela-disk-XXXXXX" };
	close(mkstemp(r.path));
	assert_int_equal(truncate(r.path, SIZE), 0);
	snprintf(r.other, sizeof(r.other), "%s-other", r.path);
	disk_user_init(&r.user);
	wants = lies = refusals = 0;
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	disk_user_fini(&r->user);
	unlink(r->path);
	if (!strncmp(r->other, r->path, strlen(r->path)))
		unlink(r->other);
	return 0;
}

/* By plain system calls, so that the host is ours. */
static int raw_open(struct rig *r, struct disk **disk, u32 logical_block)
{
	const struct disk_config config = { .path = r->path,
					    .cache = DISK_DIRECT,
					    .aio = DISK_AIO_THREADS,
					    .logical_block = logical_block };

	return disk_raw_open(disk, &config, r->error, sizeof(r->error));
}

static void what_past_the_page_cache_takes_is_tried(void **state)
{
	struct rig *r = *state;
	struct disk *disk;

	assert_int_equal(raw_open(r, &disk, 0), 0);
	disk->ops->close(disk);
	wants = 4096;
	assert_int_equal(raw_open(r, &disk, 0), -EINVAL);
	assert_non_null(strstr(r->error, "pieces of 4096 bytes only"));
	assert_int_equal(raw_open(r, &disk, 4096), 0);
	disk->ops->close(disk);
}

/* It took the buffer that was tried, and not those of requests: no guest hears of it. */
static void what_it_refuses_goes_through_a_buffer(void **state)
{
	u8 *memory = aligned_alloc(4096, 65536), *back = memory + 32768;
	struct rig *r = *state;
	struct disk *disk;

	assert_int_equal(raw_open(r, &disk, 0), 0);
	for (unsigned i = 0; i < 32768; i++)
		memory[i] = (u8)(i * 31 + i / 512);
	memset(back, 0, 32768);
	lies = 4096;
	assert_int_equal(disk_io(&r->user, disk, DISK_WRITE, 0, memory + 512, 8192), 0);
	assert_int_equal(refusals, 1);
	assert_int_equal(disk_io(&r->user, disk, DISK_READ, 0, back + 512, 8192), 0);
	assert_int_equal(refusals, 2);
	assert_memory_equal(memory + 512, back + 512, 8192);
	/* A place it never takes is an error all the same. */
	wants = 4096;
	assert_int_equal(disk_io(&r->user, disk, DISK_READ, 512, back, 512), -EINVAL);
	disk->ops->close(disk);
	free(memory);
}

/* ---- One image twice ---- */

static int apart(struct rig *r, struct disk_config a, struct disk_config b)
{
	int err = disk_tell_apart(&a, &b, r->error, sizeof(r->error));

	assert_int_equal(err, disk_tell_apart(&b, &a, r->error, sizeof(r->error)));
	return err;
}

static void an_image_is_known_by_all_its_names(void **state)
{
	struct rig *r = *state;
	const struct disk_config a = { .path = r->path }, b = { .path = r->other };
	const struct disk_config ro = { .path = r->other, .read_only = true };
	const struct disk_config thrown = { .path = r->path, .ephemeral = true };
	const struct disk_config off = { .path = r->path, .unlocked = true };

	assert_int_equal(apart(r, a, a), -EBUSY);
	assert_non_null(strstr(r->error, "is given twice"));
	assert_int_equal(apart(r, a, b), 0);
	assert_int_equal(link(r->path, r->other), 0);
	assert_int_equal(apart(r, a, b), -EBUSY);
	assert_non_null(strstr(r->error, " is the same as "));
	assert_non_null(strstr(r->error, r->path));
	assert_non_null(strstr(r->error, r->other));
	assert_int_equal(unlink(r->other), 0);
	assert_int_equal(symlink(r->path, r->other), 0);
	assert_int_equal(apart(r, a, b), -EBUSY);
	/* One that writes is enough; none may share it; who heeds no lock heeds none. */
	assert_int_equal(apart(r, a, ro), -EBUSY);
	assert_int_equal(apart(r, a, thrown), -EBUSY);
	assert_int_equal(apart(r, thrown, ro), 0);
	assert_int_equal(apart(r, off, b), 0);
}

static void and_so_is_an_export(void **state)
{
	const struct disk_config a = { .path = "nbd://host/a" }, b = { .path = "nbd://host/b" };
	struct rig *r = *state;

	assert_int_equal(apart(r, a, a), -EBUSY);
	assert_int_equal(apart(r, a, b), 0);
}

/* ---- A device that the host itself uses ---- */

/* A loop device of r->path in r->other, which is empty where there are none. */
static void device_make(struct rig *r)
{
	char command[256];
	FILE *f;

	snprintf(command, sizeof(command), "losetup -f --show %s 2>/dev/null", r->path);
	f = popen(command, "r");
	if (!f || !fgets(r->other, sizeof(r->other), f))
		r->other[0] = '\0';
	if (f)
		pclose(f);
	r->other[strcspn(r->other, "\n")] = '\0';
}

static int device_setup(void **state)
{
	setup(state);
	device_make(*state);
	return 0;
}

/* Also of one that failed: the kernel lets go of it when its last user has. */
static int device_teardown(void **state)
{
	struct rig *r = *state;
	char command[128];
	int err;

	snprintf(command, sizeof(command), "losetup -d %s", r->other);
	err = r->other[0] && system(command) ? -1 : 0;
	r->other[0] = '\0';
	return teardown(state) || err ? -1 : 0;
}

static void device_needed(const struct rig *r)
{
	if (r->other[0])
		return;
	print_error("skipped: no loop device can be made here\n");
	skip();
}

static int device_open(struct rig *r, struct disk **disk, struct disk_config config)
{
	config.path = r->other;
	return disk_raw_open(disk, &config, r->error, sizeof(r->error));
}

static void a_device_is_not_shared_with_the_host(void **state)
{
	struct rig *r = *state;
	struct disk *disk;
	int holder;

	device_needed(r);
	/* As a mount has it. */
	holder = open(r->other, O_RDONLY | O_EXCL | O_CLOEXEC);
	assert_true(holder >= 0);
	assert_int_equal(device_open(r, &disk, (struct disk_config){ 0 }), -EBUSY);
	assert_non_null(strstr(r->error, "by this host itself"));
	assert_int_equal(device_open(r, &disk, (struct disk_config){ .read_only = true }), 0);
	disk->ops->close(disk);
	assert_int_equal(device_open(r, &disk, (struct disk_config){ .unlocked = true }), 0);
	disk->ops->close(disk);
	close(holder);
	assert_int_equal(device_open(r, &disk, (struct disk_config){ 0 }), 0);
	assert_int_equal(open(r->other, O_RDONLY | O_EXCL | O_CLOEXEC), -1);
	assert_int_equal(errno, EBUSY);
	disk->ops->close(disk);
	holder = open(r->other, O_RDONLY | O_EXCL | O_CLOEXEC);
	assert_true(holder >= 0);
	close(holder);
}

/* Nor is the file that a device is made of. */
static void a_file_is_not_shared_with_a_device(void **state)
{
	struct rig *r = *state;
	struct disk_config config = { .path = r->path };
	struct disk *disk;

	device_needed(r);
	assert_int_equal(disk_raw_open(&disk, &config, r->error, sizeof(r->error)), -EBUSY);
	assert_non_null(strstr(r->error, "by this host itself, as /dev/loop"));
	config.read_only = true;
	assert_int_equal(disk_raw_open(&disk, &config, r->error, sizeof(r->error)), 0);
	disk->ops->close(disk);
	config = (struct disk_config){ .path = r->path, .unlocked = true };
	assert_int_equal(disk_raw_open(&disk, &config, r->error, sizeof(r->error)), 0);
	disk->ops->close(disk);
}

/* Written, not flushed, and thrown away or zeroed then: the page cache is not in the way. */
static void what_was_just_written_can_be_thrown_away(void **state)
{
	static const struct {
		enum disk_op_kind kind;
		bool unmap, zeroes;
	} rows[] = { { DISK_DISCARD, false, false },
		     { DISK_WRITE_ZEROES, false, true },
		     { DISK_WRITE_ZEROES, true, true } };
	static u8 ones[65536], got[65536], none[65536];
	struct rig *r = *state;

	device_needed(r);
	memset(ones, 1, sizeof(ones));
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		struct disk_request q = disk_request(rows[i / 2].kind, 0, NULL, sizeof(ones));
		struct disk *disk;

		q.op.unmap = rows[i / 2].unmap;
		assert_int_equal(device_open(r, &disk,
					     (struct disk_config){ .aio = i % 2 ? DISK_AIO_THREADS
										: DISK_AIO_AUTO }),
				 0);
		assert_int_equal(disk_io(&r->user, disk, DISK_WRITE, 0, ones, sizeof(ones)), 0);
		assert_int_equal(disk_request_run(&r->user, disk, &q), 0);
		assert_int_equal(disk_io(&r->user, disk, DISK_READ, 0, got, sizeof(got)), 0);
		if (rows[i / 2].zeroes)
			assert_memory_equal(got, none, sizeof(got));
		disk->ops->close(disk);
		/* The ring keeps the files it has seen, and with them the claim. */
		disk_user_fini(&r->user);
		disk_user_init(&r->user);
	}
}

/* Whichever file a request goes by. */
static void a_device_past_the_page_cache_is_open_so_only(void **state)
{
	struct rig *r = *state;
	unsigned direct = 0;
	struct stat device, st;
	struct disk *disk;

	device_needed(r);
	assert_int_equal(stat(r->other, &device), 0);
	assert_int_equal(device_open(r, &disk, (struct disk_config){ .cache = DISK_DIRECT }), 0);
	for (int fd = 0; fd < 256; fd++) {
		if (fstat(fd, &st) || !S_ISBLK(st.st_mode) || st.st_rdev != device.st_rdev)
			continue;
		assert_true(fcntl(fd, F_GETFL) & O_DIRECT);
		direct++;
	}
	assert_int_equal(direct, 2); /* the claim, and the one with the locks */
	disk->ops->close(disk);
}

/* ---- Limits ---- */

static u64 waited(struct rig *r, enum disk_op_kind kind)
{
	u8 *buf = aligned_alloc(4096, MiB(1));
	struct disk_request first, second;
	struct disk_counters counters;
	struct disk *disk;

	assert_int_equal(disk_limit_open(&disk, disk_mem_open(MiB(2), BLOCK), 0, MiB(8), 10), 0);
	first = disk_request(kind, 0, buf, MiB(1));
	second = disk_request(DISK_WRITE, 0, buf, BLOCK);
	disk_request_start(&r->user, disk, &first);
	disk_request_start(&r->user, disk, &second);
	assert_int_equal(disk_request_wait(&r->user, &first), 0);
	assert_int_equal(disk_request_wait(&r->user, &second), 0);
	disk_counters(disk, &counters);
	disk->ops->close(disk);
	free(buf);
	return counters.throttled;
}

static void zeroes_count_as_bytes(void **state)
{
	struct rig *r = *state;

	assert_int_equal(waited(r, DISK_WRITE), 1);
	assert_int_equal(waited(r, DISK_WRITE_ZEROES), 1);
	assert_int_equal(waited(r, DISK_DISCARD), 0);
}

/* ---- A server that has lost what it could not flush ---- */

static struct disk *served(struct rig *r, struct nbd_server *s, struct nbd_server_how how)
{
	const struct disk_config config = { .path = s->uri };
	struct disk *disk;

	nbd_server_start(s, SIZE, how);
	assert_int_equal(disk_open(&disk, &config, r->error, sizeof(r->error)), 0);
	assert_int_equal(disk_launch(disk, NULL, NULL), 0);
	return disk;
}

static void a_flush_that_failed_is_never_made_good(void **state)
{
	static const u16 flags[] = { NBD_ALL, NBD_ALL & ~NBD_SEND_FUA };
	struct rig *r = *state;
	u8 block[BLOCK] = { 1 };

	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		struct nbd_server s;
		struct disk *disk = served(
			r, &s, (struct nbd_server_how){ .flags = flags[i], .flush_error = 5 });

		assert_int_equal(disk_io(&r->user, disk, DISK_WRITE, 0, block, BLOCK), 0);
		assert_int_equal(disk_io(&r->user, disk, DISK_FLUSH, 0, NULL, 0), -EIO);
		assert_int_equal(disk_io(&r->user, disk, DISK_WRITE, 0, block, BLOCK), 0);
		assert_int_equal(disk_io(&r->user, disk, DISK_FLUSH, 0, NULL, 0), -EIO);
		/*
		 * The next start is of the same disk, whose server may hide it as long as it lives.
		 */
		disk_user_fini(&r->user);
		disk_user_init(&r->user);
		assert_int_equal(disk_io(&r->user, disk, DISK_FLUSH, 0, NULL, 0), -EIO);
		disk->ops->close(disk);
		nbd_server_remove(&s);
	}
}

/* Two at once, of which the server tells one. */
static void nor_is_what_was_under_way_beside_it(void **state)
{
	struct rig *r = *state;
	struct nbd_server s;
	struct disk *disk =
		served(r, &s, (struct nbd_server_how){ .flags = NBD_ALL, .flush_error = 5 });
	struct disk_request first = disk_request(DISK_FLUSH, 0, NULL, 0);
	struct disk_request second = disk_request(DISK_FLUSH, 0, NULL, 0);

	disk_request_start(&r->user, disk, &first);
	disk_request_start(&r->user, disk, &second);
	assert_int_equal(disk_request_wait(&r->user, &first), -EIO);
	assert_int_equal(disk_request_wait(&r->user, &second), -EIO);
	disk->ops->close(disk);
	nbd_server_remove(&s);
}

/* One at a time, and the next for all that came meanwhile: the third would fail. */
static void flushes_share_what_they_can(void **state)
{
	struct rig *r = *state;
	struct nbd_server s;
	struct disk *disk = served(r, &s,
				   (struct nbd_server_how){ .flags = NBD_ALL,
							    .flush_error = 5,
							    .good_flushes = 2,
							    .flush_waits = true });
	struct disk_request flush[6], behind;
	u8 block[BLOCK];

	for (unsigned i = 0; i < ARRAY_SIZE(flush); i++)
		flush[i] = disk_request(DISK_FLUSH, 0, NULL, 0);
	/* The first is not over before the read has come: those in between wait for each other. */
	for (unsigned i = 0; i < ARRAY_SIZE(flush); i++)
		disk_request_start(&r->user, disk, &flush[i]);
	behind = disk_request(DISK_READ, 0, block, BLOCK);
	disk_request_start(&r->user, disk, &behind);
	assert_int_equal(disk_request_wait(&r->user, &behind), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(flush); i++)
		assert_int_equal(disk_request_wait(&r->user, &flush[i]), 0);
	assert_int_equal(disk_io(&r->user, disk, DISK_FLUSH, 0, NULL, 0), -EIO);
	disk->ops->close(disk);
	nbd_server_remove(&s);
}

/* Without FUA a write ends with a flush; one that shares it goes no further. */
static void a_fua_write_that_shares_a_flush_is_over_with_it(void **state)
{
	static u8 got[SIZE];
	struct rig *r = *state;
	struct nbd_server s;
	struct disk *disk =
		served(r, &s, (struct nbd_server_how){ .flags = NBD_ALL & ~NBD_SEND_FUA });
	struct disk_request write[4];
	u8 ones[BLOCK];

	memset(ones, 1, BLOCK);
	for (unsigned i = 0; i < ARRAY_SIZE(write); i++) {
		write[i] = disk_request(DISK_WRITE, i * BLOCK, ones, BLOCK);
		write[i].op.fua = true;
		disk_request_start(&r->user, disk, &write[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(write); i++)
		assert_int_equal(disk_request_wait(&r->user, &write[i]), 0);
	assert_int_equal(disk_io(&r->user, disk, DISK_READ, 0, got, SIZE), 0);
	for (unsigned i = 0; i < SIZE; i++)
		assert_int_equal(got[i], i < ARRAY_SIZE(write) * BLOCK);
	disk->ops->close(disk);
	nbd_server_remove(&s);
}

/* What stands on the disk would go on with blocks that it no longer takes. */
static void a_server_whose_blocks_change_is_another(void **state)
{
	struct rig *r = *state;
	struct nbd_config config = { .name = "it" };
	struct nbd_server s;
	struct disk *disk;

	nbd_server_start(&s, SIZE, (struct nbd_server_how){ .flags = NBD_ALL });
	config.uri = s.uri;
	assert_int_equal(disk_nbd_open(&disk, &config, r->error, sizeof(r->error)), 0);
	disk_let_go(disk);
	container_of(disk, struct disk_nbd, disk)->config.logical_block = 4096;
	assert_int_equal(disk_connect(disk, r->error, sizeof(r->error)), -EINVAL);
	assert_non_null(strstr(r->error, "blocks have changed"));
	container_of(disk, struct disk_nbd, disk)->config.logical_block = 512;
	assert_int_equal(disk_connect(disk, r->error, sizeof(r->error)), 0);
	disk->ops->close(disk);
	nbd_server_remove(&s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_past_the_page_cache_takes_is_tried),
		TEST(what_it_refuses_goes_through_a_buffer),
		TEST(an_image_is_known_by_all_its_names),
		TEST(and_so_is_an_export),
		cmocka_unit_test_setup_teardown(a_file_is_not_shared_with_a_device, device_setup,
						device_teardown),
		cmocka_unit_test_setup_teardown(a_device_is_not_shared_with_the_host, device_setup,
						device_teardown),
		cmocka_unit_test_setup_teardown(what_was_just_written_can_be_thrown_away,
						device_setup, device_teardown),
		cmocka_unit_test_setup_teardown(a_device_past_the_page_cache_is_open_so_only,
						device_setup, device_teardown),
		TEST(zeroes_count_as_bytes),
		TEST(a_flush_that_failed_is_never_made_good),
		TEST(nor_is_what_was_under_way_beside_it),
		TEST(flushes_share_what_they_can),
		TEST(a_fua_write_that_shares_a_flush_is_over_with_it),
		TEST(a_server_whose_blocks_change_is_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
