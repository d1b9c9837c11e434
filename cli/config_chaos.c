/* SPDX-License-Identifier: BSD-2-Clause */
/* The value of --chaos. A file's name is the last of it, and may have commas. */
#include <string.h>

#include "cli/config_parse.h"
#include "vmbus/chaos.h"

#define NUMBER_MAX_BYTES 24

/* A number up to the next comma or the end, which *text is moved to. */
static bool take_number(const char **text, u64 max, u64 *number)
{
	size_t len = strcspn(*text, ",");
	char word[NUMBER_MAX_BYTES];

	if (len >= sizeof(word))
		return false;
	memcpy(word, *text, len);
	word[len] = '\0';
	*text += len;
	return config_number(word, max, number);
}

static int set_file(struct config_parse *p, const char *name, const char **field)
{
	if (!*name)
		return config_fail(p, "the name of a file is needed after the equals sign");
	*field = name;
	return 0;
}

int config_chaos(struct config_parse *p)
{
	struct chaos_config *c = &p->c->chaos;
	const char *rest = p->value;
	u64 rate = CHAOS_RATE_DEFAULT;

	*c = (struct chaos_config){ .on = true };
	if (!strncmp(rest, "replay=", 7))
		return set_file(p, rest + 7, &c->replay);
	if (!take_number(&rest, UINT64_MAX, &c->seed))
		return config_fail(p, "give a seed, a number of at most 64 bits, or replay=FILE");
	if (*rest && strncmp(rest, ",log=", 5)) {
		rest++;
		if (!take_number(&rest, CHAOS_RATE_MAX, &rate))
			return config_fail(p,
					   "what follows the seed is a rate from 0 to %u "
					   "or log=FILE",
					   CHAOS_RATE_MAX);
	}
	c->rate = (u32)rate;
	if (!*rest)
		return 0;
	if (strncmp(rest, ",log=", 5))
		return config_fail(p, "what follows the rate is log=FILE");
	return set_file(p, rest + 5, &c->log);
}
