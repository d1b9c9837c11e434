/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of the command line share: a line parsed, a line refused. */
#ifndef TESTS_CLI_CONFIG_BED_H
#define TESTS_CLI_CONFIG_BED_H

#include "cli/config.h"

#define BED_ARGS_MAX 24

/* A command line in one string, its arguments parted by blanks. */
struct line {
	struct config c;
	char text[512];
	char *argv[BED_ARGS_MAX];
	char error[1024];
	int result;
};

/* What must stand in the one line of the error. */
struct bad {
	const char *text, *words;
};

/* Parses text; l->result is config_parse()'s. */
void parse(struct line *l, const char *text);

/* The same; the test fails where it is refused. config_fini() frees what it holds. */
void parse_good(struct line *l, const char *text);

/* The test fails where one of the rows is not refused with these words, in one line. */
void refuse_all(const struct bad *rows, size_t count);

#endif
