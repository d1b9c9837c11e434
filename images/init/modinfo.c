/* SPDX-License-Identifier: BSD-2-Clause */
#include "images/init/modinfo.h"

#include <fnmatch.h>
#include <string.h>

/* A line of modules.alias: the longest in Debian's kernels has some 200 characters. */
#define ALIAS_LINE_MAX 512

bool modinfo_list_next(const char **list, char name[MODINFO_NAME_MAX])
{
	while (**list) {
		const char *start = *list;
		size_t len = strcspn(start, ",");

		*list += len + (start[len] == ',');
		if (!len || len >= MODINFO_NAME_MAX)
			continue;
		memcpy(name, start, len);
		name[len] = '\0';
		return true;
	}
	return false;
}

static bool name_equal(const char *a, size_t a_len, const char *b)
{
	if (a_len != strlen(b))
		return false;
	for (size_t i = 0; i < a_len; i++)
		if (a[i] != b[i] && !(strchr("-_", a[i]) && strchr("-_", b[i])))
			return false;
	return true;
}

/* Is path (len bytes) that of the module called name: .../NAME.ko or .../NAME.ko.SUFFIX? */
static bool path_names(const char *path, size_t len, const char *name)
{
	const char *base = memrchr(path, '/', len);
	const char *end;

	base = base ? base + 1 : path;
	end = memmem(base, len - (size_t)(base - path), ".ko", 3);
	if (!end || (end + 3 < path + len && end[3] != '.'))
		return false;
	return name_equal(base, (size_t)(end - base), name);
}

const char *modinfo_path(const char *index, const char *name, size_t *len)
{
	while (*index) {
		size_t line = strcspn(index, "\n");
		const char *colon = memchr(index, ':', line);

		*len = colon ? (size_t)(colon - index) : 0;
		if (*len && path_names(index, *len, name))
			return index;
		index += line + (index[line] == '\n');
	}
	return NULL;
}

const char *modinfo_depends(const void *image, size_t len)
{
	/* Section .modinfo is a row of strings; none but "depends" starts so. */
	static const char key[] = "\0depends=";
	const char *at = memmem(image, len, key, sizeof(key) - 1);
	const char *end = (const char *)image + len;

	if (!at)
		return "";
	at += sizeof(key) - 1;
	return memchr(at, '\0', (size_t)(end - at)) ? at : "";
}

/* Cuts the next word off *line; "" at its end. */
static const char *word_cut(char **line)
{
	char *word = *line + strspn(*line, " \t");

	*line = word + strcspn(word, " \t");
	if (**line)
		*(*line)++ = '\0';
	return word;
}

/* Is line "alias PATTERN MODULE" with a pattern that matches name? */
static bool alias_matches(char *line, const char *name, char module[MODINFO_NAME_MAX])
{
	const char *pattern, *target;

	if (strcmp(word_cut(&line), "alias") != 0)
		return false;
	pattern = word_cut(&line);
	target = word_cut(&line);
	if (!*target || strlen(target) >= MODINFO_NAME_MAX || fnmatch(pattern, name, 0))
		return false;
	memcpy(module, target, strlen(target) + 1);
	return true;
}

bool modinfo_alias_next(const char **aliases, const char *name, char module[MODINFO_NAME_MAX])
{
	char line[ALIAS_LINE_MAX];

	while (**aliases) {
		const char *start = *aliases;
		size_t len = strcspn(start, "\n");

		*aliases += len + (start[len] == '\n');
		if (len >= sizeof(line))
			continue;
		memcpy(line, start, len);
		line[len] = '\0';
		if (alias_matches(line, name, module))
			return true;
	}
	return false;
}
