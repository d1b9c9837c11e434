/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The map of an ephemeral disk changes while a read looks at it: that a write on another loop ends
 * is put between any two looks, for which the source is part of this test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
/* cmocka wants the three above first */
#include <cmocka.h>
#include <string.h>

#include "devices/backend/disk.h"
#include "tests/devices/disk_user.h"

static void looked(void);
#undef atomic_load_explicit
#define atomic_load_explicit(p, order) (looked(), atomic_fetch_or((p), 0))
#include "devices/backend/disk_ephemeral.c"

#define BLOCK 512u
#define BLOCKS 8u

static struct disk_ephemeral *written_to;
static unsigned looks_left, written_block;

static void looked(void)
{
	if (written_to && looks_left && !--looks_left)
		map_set(written_to, written_block, 1);
}

/* Blocks from 1 on were written before; block `late` is while all are read, before such a look. */
static void read_beside_a_write(struct disk_user *u, unsigned late, unsigned look)
{
	static u8 ones[BLOCKS * BLOCK], got[BLOCKS * BLOCK];
	char error[256];
	struct disk *disk;

	memset(ones, 1, sizeof(ones));
	assert_int_equal(
		disk_ephemeral_open(&disk, disk_mem_open(MiB(1), BLOCK), error, sizeof(error)), 0);
	for (unsigned i = 1; i < BLOCKS; i++)
		if (i != late)
			assert_int_equal(disk_io(u, disk, DISK_WRITE, i * BLOCK, ones, BLOCK), 0);
	written_to = container_of(disk, struct disk_ephemeral, disk);
	written_block = late;
	looks_left = look;
	assert_int_equal(disk_io(u, written_to->overlay, DISK_WRITE, late * BLOCK, ones, BLOCK), 0);
	assert_int_equal(disk_io(u, disk, DISK_READ, 0, got, sizeof(got)), 0);
	written_to = NULL;
	for (unsigned i = 1; i < BLOCKS; i++)
		if (i != late)
			assert_memory_equal(got + i * BLOCK, ones, BLOCK);
	disk->ops->close(disk);
}

static void a_read_beside_a_write_shows_what_was_written_before(void **state)
{
	struct disk_user u;

	(void)state;
	disk_user_init(&u);
	for (unsigned late = 0; late < BLOCKS; late++)
		for (unsigned look = 1; look < 8; look++)
			read_beside_a_write(&u, late, look);
	disk_user_fini(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_read_beside_a_write_shows_what_was_written_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
