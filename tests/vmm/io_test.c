/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of I/O ranges. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/types.h"
#include "vmm/io.h"

struct seen {
	u64 offset;
	unsigned len;
	unsigned calls;
};

static void on_read(void *ctx, u64 offset, void *data, unsigned len)
{
	*(struct seen *)ctx = (struct seen){ offset, len, ((struct seen *)ctx)->calls + 1 };
	memset(data, 0x5a, len);
}

static void on_write(void *ctx, u64 offset, const void *data, unsigned len)
{
	(void)data;
	*(struct seen *)ctx = (struct seen){ offset, len, ((struct seen *)ctx)->calls + 1 };
}

static int add(struct io_table *t, enum io_space space, u64 base, u64 len, struct seen *seen)
{
	struct io_range r = { .space = space,
			      .base = base,
			      .len = len,
			      .read = on_read,
			      .write = on_write,
			      .ctx = seen };

	return io_add(t, &r);
}

static void finds_the_range_and_gives_offsets(void **state)
{
	struct io_table t = { 0 };
	struct seen com1 = { 0 }, rtc = { 0 }, mmio = { 0 };
	u32 v = 0;

	(void)state;
	assert_int_equal(add(&t, IO_PORT, 0x3f8, 8, &com1), 0);
	assert_int_equal(add(&t, IO_PORT, 0x70, 2, &rtc), 0);
	assert_int_equal(add(&t, IO_MMIO, 0x3f8, 8, &mmio), 0);
	io_read(&t, IO_PORT, 0x3fd, &v, 1);
	assert_int_equal(com1.offset, 5);
	assert_int_equal(v, 0x5a);
	io_write(&t, IO_PORT, 0x71, &v, 1);
	assert_int_equal(rtc.offset, 1);
	io_read(&t, IO_MMIO, 0x3fc, &v, 4);
	assert_int_equal(mmio.offset, 4);
	assert_int_equal(mmio.len, 4);
	assert_int_equal(com1.calls, 1);
}

static void nobody_answers_ones(void **state)
{
	struct io_table t = { 0 };
	struct seen s = { 0 };
	u64 v = 0;

	(void)state;
	assert_int_equal(add(&t, IO_PORT, 0x100, 4, &s), 0);
	io_read(&t, IO_PORT, 0x104, &v, 2);
	assert_int_equal(v, 0xffff);
	/* An access that sticks out of a range is nobody's. */
	io_read(&t, IO_PORT, 0x102, &v, 4);
	assert_int_equal(v, 0xffffffff);
	io_write(&t, IO_PORT, 0xff, &v, 4);
	io_read(&t, IO_MMIO, UINT64_MAX, &v, 8);
	assert_int_equal(s.calls, 0);
}

static void refuses_bad_ranges(void **state)
{
	struct io_table t = { 0 };
	struct seen s = { 0 };

	(void)state;
	assert_int_equal(add(&t, IO_PORT, 0x100, 0, &s), -EINVAL);
	assert_int_equal(add(&t, IO_MMIO, UINT64_MAX, 2, &s), -EINVAL);
	assert_int_equal(add(&t, IO_PORT, 0x100, 8, &s), 0);
	assert_int_equal(add(&t, IO_PORT, 0x107, 1, &s), -EBUSY);
	assert_int_equal(add(&t, IO_PORT, 0xf9, 8, &s), -EBUSY);
	assert_int_equal(add(&t, IO_PORT, 0x90, 0x100, &s), -EBUSY);
	assert_int_equal(add(&t, IO_PORT, 0x108, 1, &s), 0);
	assert_int_equal(add(&t, IO_PORT, 0xf8, 8, &s), 0);
}

static void full_table(void **state)
{
	struct io_table t = { 0 };
	struct seen s = { 0 };
	u8 v;

	(void)state;
	for (unsigned i = 0; i < IO_RANGES_MAX; i++)
		assert_int_equal(add(&t, IO_PORT, (IO_RANGES_MAX - i) * 2, 1, &s), 0);
	assert_int_equal(add(&t, IO_PORT, 0x1001, 1, &s), -ENOSPC);
	for (unsigned i = 1; i <= IO_RANGES_MAX; i++)
		io_read(&t, IO_PORT, i * 2, &v, 1);
	assert_int_equal(s.calls, IO_RANGES_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_range_and_gives_offsets),
		cmocka_unit_test(nobody_answers_ones),
		cmocka_unit_test(refuses_bad_ranges),
		cmocka_unit_test(full_table),
	};

	return cmocka_run_group_tests_name("vmm/io", tests, NULL, NULL);
}
