/* SPDX-License-Identifier: BSD-2-Clause */
/* A raw image in a file of its own, for tests, and who uses the disk that it is opened as. */
#ifndef TESTS_DEVICES_RAW_BED_H
#define TESTS_DEVICES_RAW_BED_H

#include "devices/backend/disk.h"
#include "tests/devices/disk_user.h"

#define RAW_BLOCK 512u
#define RAW_SIZE MiB(4)

struct raw_bed {
	struct disk_user user;
	char path[64];
	char error[512]; /* of the last opening that failed */
};

/* cmocka's: an image of RAW_SIZE, without a byte in it. */
int raw_setup(void **state);
int raw_teardown(void **state);

/* A disk; or NULL, and b->error says why. config.path NULL: the bed's image. */
struct disk *raw_open(struct raw_bed *b, struct disk_config config);
struct disk *raw_open_image(struct raw_bed *b, bool read_only, bool ephemeral);
void raw_close(struct disk *disk);
/* disk_io() of the bed's user. */
int raw_io(struct raw_bed *b, struct disk *disk, enum disk_op_kind kind, u64 offset, void *buf,
	   u64 len);

#define RAW_TEST(f) cmocka_unit_test_setup_teardown(f, raw_setup, raw_teardown)

#endif
