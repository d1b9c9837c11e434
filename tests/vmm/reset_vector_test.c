/* SPDX-License-Identifier: BSD-2-Clause */
/* What runs where a processor starts after a reset. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/layout.h"
#include "vmm/reset_vector.h"

static void it_writes_the_reset_register(void **state)
{
	struct gmem m;
	u8 code[9];

	(void)state;
	assert_int_equal(gmem_init(&m, MiB(16)), 0);
	assert_int_equal(reset_vector_write(&m), 0);
	assert_int_equal(gmem_read(&m, 0xffff0, code, sizeof(code)), 0);
	assert_int_equal(code[1], LAYOUT_RESET_VALUE);
	assert_int_equal(code[3] | code[4] << 8, LAYOUT_PORT_RESET);
	assert_int_equal(code[5], 0xee);
	gmem_fini(&m);
}

static void no_ram_there(void **state)
{
	struct gmem m = { 0 };

	(void)state;
	assert_int_equal(reset_vector_write(&m), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_writes_the_reset_register),
		cmocka_unit_test(no_ram_there),
	};

	return cmocka_run_group_tests_name("vmm/reset_vector", tests, NULL, NULL);
}
