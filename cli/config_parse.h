/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files behind config.h share: the parse under way, and how a bad value is reported.
 */
#ifndef CLI_CONFIG_PARSE_H
#define CLI_CONFIG_PARSE_H

#include "cli/config.h"

struct config_parse {
	struct config *c;
	const char *option; /* as the user wrote it, with its dashes */
	const char *value; /* NULL: the option takes none */
	bool console_given, reboot_given, no_nic;
	char *error;
	size_t error_size;
};

/* Reports "OPTION VALUE: words" on one line, control characters made visible. Always -EINVAL. */
int config_fail(struct config_parse *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- config_value.c -------------------------------------------------------------------------- */

/* A decimal or 0x number that fills all of text. False: it is none, or above max. */
bool config_number(const char *text, u64 max, u64 *number);

/* Reads 512M and the like. False: no size at all. A size beyond 64 bits is made the largest. */
bool config_size(const char *text, u64 *bytes);

/*
 * Cuts the next item off a comma-separated list, in place; a doubled comma stands for itself. NULL
 * at the end of the list.
 */
char *config_item(char **list);

/* What follows "name=" in item, or NULL. */
char *config_item_value(char *item, const char *name);

/*
 * Which of words, which end with NULL, item key=value has; its index. -EINVAL where it is none of
 * them, which are listed in the error.
 */
int config_word(struct config_parse *p, const char *key, const char *value,
		const char *const *words);

/* The keys of one option's items so far; zeroed: none. */
struct config_keys {
	const char *item[16];
	unsigned count;
};

/* Notes item's key, what precedes its "=". 0, or as config_parse() where it was there before. */
int config_key_once(struct config_parse *p, struct config_keys *keys, const char *item);

/* ---- Options with a file of their own; each takes p->value. 0, or as config_parse() ---------- */

/* config_disk.c: --disk FILE[,...], --dvd FILE[,...]. */
int config_disk(struct config_parse *p);
int config_dvd(struct config_parse *p);

/* config_net.c: --net KIND[,...]. */
int config_net(struct config_parse *p);

/*
 * After all options: whether every NIC has an address of its own, where the default of one
 * (nic_default_mac()) counts as what another is given. 0, or -EINVAL.
 */
int config_nics(struct config_parse *p);

/* config_chaos.c: --chaos SEED[,RATE][,log=FILE] or replay=FILE. */
int config_chaos(struct config_parse *p);

/* ---- config_place.c -------------------------------------------------------------------------- */

/*
 * bus=, controller=, target= or lun=, items of --disk. 1: item was one, and is in *place; 0: it was
 * none; or as config_parse().
 */
int config_place_item(struct config_parse *p, struct config_place *place, char *item);

/* Whether there is such a place. 0, or -EINVAL. */
int config_place_judge(struct config_parse *p, const struct config_place *place);

/* After all options: gives every disk a place of its own. 0, or -EINVAL. */
int config_places(struct config_parse *p);

#endif
