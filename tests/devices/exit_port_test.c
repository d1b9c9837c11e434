/* SPDX-License-Identifier: BSD-2-Clause */
/* The exit port, written by good inits and by hostile guests. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "devices/devices.h"
#include "images/init/exit_port.h"

static void out(struct exit_port *p, u64 reg, u8 value)
{
	struct io_range r = exit_port_range(p);

	r.write(r.ctx, reg, &value, 1);
}

static int setup(void **state)
{
	return exit_port_init((struct exit_port **)state);
}

static int teardown(void **state)
{
	exit_port_fini(*state);
	return 0;
}

static void assert_silent(const struct exit_port *p)
{
	assert_false(exit_port_started(p));
	assert_int_equal(exit_port_status(p), -1);
	assert_string_equal(exit_port_message(p), "");
}

static void nothing_said(void **state)
{
	struct io_range r = exit_port_range(*state);

	assert_int_equal(r.base, 0xc80);
	assert_int_equal(r.len, 3);
	assert_null(r.read);
	assert_silent(*state);
}

static void status(void **state)
{
	out(*state, EXIT_PORT_STARTED, EXIT_PORT_STARTED_VALUE);
	assert_true(exit_port_started(*state));
	assert_int_equal(exit_port_status(*state), -1);
	out(*state, EXIT_PORT_STATUS, 255);
	assert_int_equal(exit_port_status(*state), 255);
	/* Said once is said. */
	out(*state, EXIT_PORT_STATUS, 0);
	assert_int_equal(exit_port_status(*state), 255);
}

static void message(void **state)
{
	for (const char *c = "\nno disk\n\033[2J\x80\n"; *c; c++)
		out(*state, EXIT_PORT_MESSAGE, (u8)*c);
	assert_string_equal(exit_port_message(*state), "no disk\n?[2J?");
}

static void message_is_bounded(void **state)
{
	for (unsigned i = 0; i < 2 * EXIT_PORT_MESSAGE_MAX; i++)
		out(*state, EXIT_PORT_MESSAGE, 0);
	assert_int_equal(strlen(exit_port_message(*state)), EXIT_PORT_MESSAGE_MAX);
}

static void other_values_are_ignored(void **state)
{
	struct io_range r = exit_port_range(*state);
	u16 wide = 0x0101;

	out(*state, EXIT_PORT_STARTED, 2);
	r.write(r.ctx, EXIT_PORT_STATUS, &wide, 2);
	assert_silent(*state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_said, setup, teardown),
		cmocka_unit_test_setup_teardown(status, setup, teardown),
		cmocka_unit_test_setup_teardown(message, setup, teardown),
		cmocka_unit_test_setup_teardown(message_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(other_values_are_ignored, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
