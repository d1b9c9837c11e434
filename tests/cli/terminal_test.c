/* SPDX-License-Identifier: BSD-2-Clause */
/* The console's keys, and raw mode on a pseudo-terminal. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/terminal.h"

struct row {
	const char *typed, *kept;
	bool quit, help, escape;
};

static const struct row rows[] = {
	{ "", "", false, false, false },
	{ "ls -l\r\003\004", "ls -l\r\003\004", false, false, false },
	{ "a\001", "a", false, false, true },
	{ "\001x", "", true, false, false },
	{ "ab\001xcd\001h", "ab", true, false, false },
	{ "\001h", "", false, true, false },
	{ "\001?!", "!", false, true, false },
	{ "\001\001", "\001", false, false, false },
	{ "\001a\001ax", "\001\001x", false, false, false },
	{ "\001\001x", "\001x", false, false, false },
	{ "\001\001\001x", "\001", true, false, false },
	{ "\001qx", "x", false, false, false },
	{ "xha", "xha", false, false, false },
};

static void check(const struct row *r, const struct terminal_keys *k, const u8 *data, u32 len)
{
	assert_int_equal(len, strlen(r->kept));
	assert_memory_equal(data, r->kept, len);
	assert_int_equal(k->quit, r->quit);
	assert_int_equal(k->help, r->help);
	if (!k->quit)
		assert_int_equal(k->escape, r->escape);
}

static void keys_at_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct terminal_keys k = { 0 };
		u8 data[32];
		u32 len = (u32)strlen(rows[i].typed);

		memcpy(data, rows[i].typed, len);
		len = terminal_keys(&k, data, len);
		check(&rows[i], &k, data, len);
	}
}

/* A terminal may give each key its own read. */
static void keys_one_by_one(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct terminal_keys k = { 0 };
		u8 data[32];
		u32 len = 0;

		for (const char *s = rows[i].typed; *s; s++) {
			data[len] = (u8)*s;
			len += terminal_keys(&k, &data[len], 1);
		}
		check(&rows[i], &k, data, len);
	}
}

/* stdin is the pseudo-terminal from here on. */
static void raw_and_restore(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave;
	struct terminal t = { 0 };
	struct termios before, raw, after;

	(void)state;
	assert_true(master >= 0 && !grantpt(master) && !unlockpt(master));
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_true(slave >= 0 && dup2(slave, STDIN_FILENO) == STDIN_FILENO);
	tcgetattr(slave, &before);
	terminal_restore(&t);
	assert_int_equal(terminal_raw(&t), 0);
	assert_int_equal(terminal_raw(&t), 0);
	tcgetattr(slave, &raw);
	assert_int_equal(raw.c_lflag & (ICANON | ECHO | ISIG), 0);
	assert_int_not_equal(raw.c_oflag & OPOST, 0);
	terminal_restore(&t);
	terminal_restore(&t);
	tcgetattr(slave, &after);
	assert_int_equal(after.c_lflag, before.c_lflag);
	assert_int_equal(after.c_iflag, before.c_iflag);
	close(slave);
	close(master);
}

static void no_terminal(void **state)
{
	int null = open("/dev/null", O_RDONLY);
	struct terminal t = { 0 };

	(void)state;
	dup2(null, STDIN_FILENO);
	close(null);
	assert_int_equal(terminal_raw(&t), 0);
	assert_false(t.raw);
	terminal_restore(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_at_once),
		cmocka_unit_test(keys_one_by_one),
		cmocka_unit_test(raw_and_restore),
		cmocka_unit_test(no_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
