/* SPDX-License-Identifier: BSD-2-Clause */
#include "images/init/options.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/*
 * The next word at *at, NUL-terminated, or NULL. As in the kernel, double quotes keep blanks
 * together and are no part of the word where they enclose it or its value.
 */
static char *word_next(char **at)
{
	char *in = *at, *out, *word;
	bool quoted = false;

	while (*in == ' ' || *in == '\t' || *in == '\n')
		in++;
	if (!*in)
		return NULL;
	for (word = out = in; *in; in++) {
		if (*in == '"')
			quoted = !quoted;
		else if (!quoted && (*in == ' ' || *in == '\t' || *in == '\n'))
			break;
		else
			*out++ = *in;
	}
	*at = *in ? in + 1 : in;
	*out = '\0';
	return word;
}

/* The value of "name=value", or NULL where word is another. */
static const char *word_value(const char *word, const char *name)
{
	size_t len = strlen(name);

	return strncmp(word, name, len) || word[len] != '=' ? NULL : word + len + 1;
}

static unsigned seconds(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	return end == text || *end || n > UINT_MAX ? OPTIONS_ROOT_WAIT_S : (unsigned)n;
}

static void word_apply(struct options *o, const char *word)
{
	const char *value;

	if ((value = word_value(word, "root")))
		o->root = *value ? value : NULL;
	else if ((value = word_value(word, "rootfstype")))
		o->root_type = *value ? value : NULL;
	else if ((value = word_value(word, "rootflags")))
		o->root_flags = value;
	else if ((value = word_value(word, "modules_load")) ||
		 (value = word_value(word, "rd.modules_load")))
		o->modules = value;
	else if (!strcmp(word, "rw"))
		o->root_writable = true;
	else if (!strcmp(word, "ro"))
		o->root_writable = false;
	else if (!strcmp(word, "rootwait"))
		o->root_wait_s = UINT_MAX;
	else if ((value = word_value(word, "rootwait")))
		o->root_wait_s = seconds(value);
}

void options_parse(struct options *o, char *line)
{
	char *word;

	*o = (struct options){
		.root_flags = "",
		.modules = "",
		.root_wait_s = OPTIONS_ROOT_WAIT_S,
	};
	while ((word = word_next(&line)))
		word_apply(o, word);
}
