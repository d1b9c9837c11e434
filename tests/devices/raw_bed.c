/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/devices/raw_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

int raw_setup(void **state)
{
	static struct raw_bed b;

	b = (struct raw_bed){ .path = "/var/tmp/candela-disk-XXXXXX" };
	close(mkstemp(b.path));
	assert_int_equal(truncate(b.path, RAW_SIZE), 0);
	disk_user_init(&b.user);
	*state = &b;
	return 0;
}

int raw_teardown(void **state)
{
	struct raw_bed *b = *state;

	disk_user_fini(&b->user);
	unlink(b->path);
	return 0;
}

struct disk *raw_open(struct raw_bed *b, struct disk_config config)
{
	struct disk *disk = NULL, *top = NULL;

	if (!config.path)
		config.path = b->path;
	if (disk_raw_open(&disk, &config, b->error, sizeof(b->error)))
		return NULL;
	if (!config.ephemeral)
		return disk;
	assert_int_equal(disk_ephemeral_open(&top, disk, b->error, sizeof(b->error)), 0);
	return top;
}

struct disk *raw_open_image(struct raw_bed *b, bool read_only, bool ephemeral)
{
	return raw_open(b, (struct disk_config){ .read_only = read_only, .ephemeral = ephemeral });
}

void raw_close(struct disk *disk)
{
	disk->ops->close(disk);
}

int raw_io(struct raw_bed *b, struct disk *disk, enum disk_op_kind kind, u64 offset, void *buf,
	   u64 len)
{
	return disk_io(&b->user, disk, kind, offset, buf, len);
}
