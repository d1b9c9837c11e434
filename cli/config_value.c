/* SPDX-License-Identifier: BSD-2-Clause */
/* What values are made of: numbers, sizes, items with commas between them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/config_parse.h"

bool config_number(const char *text, u64 max, u64 *number)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *digits = hex ? "0123456789abcdefABCDEF" : "0123456789";
	char *end;

	if (hex)
		text += 2;
	/* strtoull() would take blanks and signs. */
	if (!*text || text[strspn(text, digits)])
		return false;
	errno = 0;
	*number = strtoull(text, &end, hex ? 16 : 10);
	return errno == 0 && *number <= max;
}

bool config_size(const char *text, u64 *bytes)
{
	static const char suffixes[] = "KMG";
	size_t digits = strspn(text, "0123456789");
	unsigned shift = 0;

	if (!digits)
		return false;
	if (text[digits]) {
		const char *suffix = strchr(suffixes, text[digits] & ~0x20);

		if (!suffix || !*suffix || text[digits + 1])
			return false;
		shift = 10 * (unsigned)(suffix - suffixes + 1);
	}
	errno = 0;
	*bytes = strtoull(text, NULL, 10);
	*bytes = errno || *bytes > UINT64_MAX >> shift ? UINT64_MAX : *bytes << shift;
	return true;
}

char *config_item(char **list)
{
	char *item = *list, *from = item, *to = item;

	if (!item)
		return NULL;
	for (; *from && (*from != ',' || from[1] == ','); *to++ = *from++)
		if (*from == ',')
			from++;
	*list = *from ? from + 1 : NULL;
	*to = '\0';
	return item;
}

char *config_item_value(char *item, const char *name)
{
	size_t len = strlen(name);

	return !strncmp(item, name, len) && item[len] == '=' ? item + len + 1 : NULL;
}

int config_key_once(struct config_parse *p, struct config_keys *keys, const char *item)
{
	size_t len = strcspn(item, "=");

	for (unsigned i = 0; i < keys->count; i++)
		if (strcspn(keys->item[i], "=") == len && !memcmp(keys->item[i], item, len))
			return config_fail(p, "%.*s is given twice", (int)len, item);
	if (keys->count < ARRAY_SIZE(keys->item))
		keys->item[keys->count++] = item;
	return 0;
}

int config_word(struct config_parse *p, const char *key, const char *value,
		const char *const *words)
{
	char list[128] = "";

	for (int i = 0; words[i]; i++) {
		size_t used = strlen(list);

		if (!strcmp(value, words[i]))
			return i;
		snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", words[i]);
	}
	return config_fail(p, "%s=%s is none of %s", key, value, list);
}
