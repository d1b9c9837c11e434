/* SPDX-License-Identifier: BSD-2-Clause */
/* What a machine opens on the host before it is sandboxed. */
#include "machine.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"

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
	alarm(20);
	while ((n = write(f.console_out, text, sizeof(text))) > 0)
		all += (size_t)n;
	alarm(0);
	assert_int_equal(errno, EAGAIN);
	assert_true(all >= sizeof(text));
	machine_files_close(&f, &config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pty_without_a_reader_blocks_nobody),
	};

	/* It says the name of the line, and would make its cache's folder. */
	log_set_level(LOG_ERROR);
	setenv("CANDELA_CACHE", "/dev/null", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
