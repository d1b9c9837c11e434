/* SPDX-License-Identifier: BSD-2-Clause */
/* Help, manual and parser speak of the same options. Run from the top of the tree. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/config.h"
#include "cli/help.h"

static char manual[32768];

/* Everything print() writes to stdout, and its status. */
static int capture(char *text, size_t size, int (*print)(void *arg), void *arg)
{
	int saved, status;
	FILE *f = tmpfile();
	size_t n;

	assert_non_null(f);
	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	dup2(fileno(f), STDOUT_FILENO);
	status = print(arg);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(f);
	n = fread(text, 1, size - 1, f);
	text[n] = '\0';
	fclose(f);
	return status;
}

static int print_topic(void *topic)
{
	return help_print(topic);
}

static int print_version(void *arg)
{
	(void)arg;
	return help_version();
}

static int read_manual(void **state)
{
	FILE *f = fopen("cli/candela.1", "re");

	(void)state;
	if (!f)
		return -1;
	manual[fread(manual, 1, sizeof(manual) - 1, f)] = '\0';
	fclose(f);
	return 0;
}

/* Copies the next "--name" of *text to name; false at the end. */
static bool next_option(const char **text, char *name, size_t size)
{
	while ((*text = strstr(*text, "--"))) {
		size_t n = 2;

		while (islower((unsigned char)(*text)[n]) || (n > 2 && (*text)[n] == '-'))
			n++;
		snprintf(name, size, "%.*s", (int)n, *text);
		*text += n;
		if (n > 2)
			return true;
	}
	return false;
}

static void check_parser_knows(const char *option)
{
	char word[80], error[256] = "";
	char *argv[] = { word };
	struct config c;

	snprintf(word, sizeof(word), "%s=", option);
	config_parse(&c, 1, argv, error, sizeof(error));
	if (strstr(error, "no such option") || strstr(error, "not available"))
		fail_msg("help names %s, but: %s", option, error);
	config_fini(&c);
}

static void check_manual_knows(const char *option)
{
	char macro[80];

	snprintf(macro, sizeof(macro), "Fl Fl %s", option + 2);
	if (!strstr(manual, macro))
		fail_msg("help names %s, but cli/candela.1 does not", option);
}

static void options_agree(void **state)
{
	char text[8192], run[] = "run", option[64];
	const char *at = text;
	int count = 0;

	(void)state;
	assert_int_equal(capture(text, sizeof(text), print_topic, run), 0);
	for (; next_option(&at, option, sizeof(option)); count++) {
		check_parser_knows(option);
		check_manual_knows(option);
	}
	assert_in_range(count, 20, 60);
}

static void lines_fit(void **state)
{
	char *topics[] = { NULL, "help", "run", "doctor", "status", "console" };
	char text[8192];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(topics); i++) {
		assert_int_equal(capture(text, sizeof(text), print_topic, topics[i]), 0);
		for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
			assert_in_range(strlen(line), 1, 99);
	}
}

static void statuses_agree(void **state)
{
	static const char *const lines[] = { "The guest powered off", "asked for a reboot",
					     "The guest crashed", ".It 124", "gives 130" };
	char text[4096], status[] = "status";

	(void)state;
	assert_int_equal(capture(text, sizeof(text), print_topic, status), 0);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_non_null(strstr(manual, lines[i]));
	assert_non_null(strstr(text, "  124  "));
	assert_non_null(strstr(text, "gives 130"));
}

static void version(void **state)
{
	char text[64];

	(void)state;
	assert_int_equal(capture(text, sizeof(text), print_version, NULL), 0);
	assert_string_equal(text, "candela " CANDELA_VERSION "\n");
}

static void unknown_topic(void **state)
{
	char topic[] = "nothing", *argv[] = { topic };

	(void)state;
	assert_int_equal(help_main(1, argv), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_agree),  cmocka_unit_test(lines_fit),
		cmocka_unit_test(statuses_agree), cmocka_unit_test(version),
		cmocka_unit_test(unknown_topic),
	};

	return cmocka_run_group_tests(tests, read_manual, NULL);
}
