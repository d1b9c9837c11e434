/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/cli/config_bed.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

void parse(struct line *l, const char *text)
{
	int argc = 0;

	snprintf(l->text, sizeof(l->text), "%s", text);
	for (char *s = strtok(l->text, " "); s && argc < BED_ARGS_MAX; s = strtok(NULL, " "))
		l->argv[argc++] = s;
	l->error[0] = '\0';
	l->result = config_parse(&l->c, argc, l->argv, l->error, sizeof(l->error));
}

void parse_good(struct line *l, const char *text)
{
	parse(l, text);
	if (l->result)
		fail_msg("%s: %s", text, l->error);
}

static void refuse(const struct bad *row)
{
	struct line l;

	parse(&l, row->text);
	if (l.result != -EINVAL || !strstr(l.error, row->words) || strchr(l.error, '\n'))
		fail_msg("`%s` gave %d, \"%s\", not \"%s\"", row->text, l.result, l.error,
			 row->words);
	config_fini(&l.c);
}

void refuse_all(const struct bad *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		refuse(&rows[i]);
}
