/* SPDX-License-Identifier: BSD-2-Clause */
/* The values of --disk and --dvd: an image, then items with commas between them (config_item()). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/config_parse.h"

#define DISK_RATE_MAX 1000000000000ull
#define DISK_BURST_MIN_MS 10u
#define DISK_BURST_MAX_MS 3600000u

/* An item of words; *field is an enum whose values are the words' indices. */
static int disk_word(struct config_parse *p, const char *key, const char *value,
		     const char *const *words, unsigned *field)
{
	int i = config_word(p, key, value, words);

	if (i >= 0)
		*field = (unsigned)i;
	return MIN(i, 0);
}

static int disk_format(struct config_parse *p, struct disk_config *disk, const char *value)
{
	const char *words[DISK_FORMATS + 1] = { NULL };

	for (enum disk_format f = DISK_AUTO; f < DISK_FORMATS; f++)
		words[f] = disk_format_name(f);
	return disk_word(p, "format", value, words, &disk->format);
}

static int disk_cache(struct config_parse *p, struct disk_config *disk, const char *value)
{
	static const char *const words[] = { [DISK_WRITEBACK] = "writeback",
					     [DISK_DIRECT] = "none",
					     [DISK_UNSAFE] = "unsafe",
					     NULL };

	return disk_word(p, "cache", value, words, &disk->cache);
}

static int disk_aio(struct config_parse *p, struct disk_config *disk, const char *value)
{
	static const char *const words[] = { [DISK_AIO_AUTO] = "auto",
					     [DISK_AIO_URING] = "io_uring",
					     [DISK_AIO_THREADS] = "threads",
					     NULL };

	return disk_word(p, "aio", value, words, &disk->aio);
}

static int disk_logical_block(struct config_parse *p, struct disk_config *disk, const char *value)
{
	u64 n;

	if (!config_number(value, 4096, &n) || (n != 512 && n != 4096))
		return config_fail(p, "logical_block= is 512 or 4096");
	disk->logical_block = (u32)n;
	return 0;
}

static int disk_lock_item(struct config_parse *p, struct disk_config *disk, const char *value)
{
	static const char *const words[] = { "on", "off", NULL };
	int i = config_word(p, "lock", value, words);

	disk->unlocked = i == 1;
	return MIN(i, 0);
}

static int disk_backing(struct config_parse *p, struct disk_config *disk, const char *value)
{
	static const char *const words[] = { "off", "on", NULL };
	int i = config_word(p, "backing", value, words);

	disk->backing = i == 1;
	return MIN(i, 0);
}

static int disk_iops(struct config_parse *p, struct disk_config *disk, const char *value)
{
	if (config_number(value, DISK_RATE_MAX, &disk->iops) && disk->iops)
		return 0;
	return config_fail(p, "iops= wants how many requests a second, 1 to %llu", DISK_RATE_MAX);
}

static int disk_bps(struct config_parse *p, struct disk_config *disk, const char *value)
{
	if (config_size(value, &disk->bps) && disk->bps >= 4096 && disk->bps <= DISK_RATE_MAX)
		return 0;
	return config_fail(p, "bps= wants bytes a second, 4K to %lluG, such as 100M",
			   DISK_RATE_MAX >> 30);
}

static int disk_burst(struct config_parse *p, struct disk_config *disk, const char *value)
{
	u64 n;

	if (!config_number(value, DISK_BURST_MAX_MS, &n) || n < DISK_BURST_MIN_MS)
		return config_fail(p, "burst= wants milliseconds, %u to %u", DISK_BURST_MIN_MS,
				   DISK_BURST_MAX_MS);
	disk->burst_ms = (u32)n;
	return 0;
}

static const struct {
	const char *name;
	int (*read)(struct config_parse *p, struct disk_config *disk, const char *value);
} valued_items[] = {
	{ "format", disk_format },  { "cache", disk_cache },
	{ "aio", disk_aio },        { "logical_block", disk_logical_block },
	{ "lock", disk_lock_item }, { "backing", disk_backing },
	{ "iops", disk_iops },      { "bps", disk_bps },
	{ "burst", disk_burst },
};

static const struct {
	const char *name;
	size_t field;
} flag_items[] = {
	{ "ro", offsetof(struct disk_config, read_only) },
	{ "ephemeral", offsetof(struct disk_config, ephemeral) },
};

static int disk_item_unknown(struct config_parse *p, char *item)
{
	static const char *const placed[] = { "bus", "controller", "target", "lun", "queues" };
	bool valueless = false;

	for (size_t i = 0; i < ARRAY_SIZE(flag_items); i++)
		if (config_item_value(item, flag_items[i].name))
			return config_fail(p, "%s takes no value", flag_items[i].name);
	for (size_t i = 0; i < ARRAY_SIZE(valued_items); i++)
		valueless |= !strcmp(item, valued_items[i].name);
	for (size_t i = 0; i < ARRAY_SIZE(placed); i++)
		valueless |= !strcmp(item, placed[i]);
	if (valueless)
		return config_fail(p, "%s needs a value: %s=...", item, item);
	return config_fail(
		p,
		"'%s' is none of ro, ephemeral, format=, cache=, aio=, logical_block=, "
		"lock=, backing=, iops=, bps=, burst=, bus=, controller=, target=, lun=, queues=; "
		"a comma in a file name is written twice (,,)",
		item);
}

static int disk_item(struct config_parse *p, struct disk_config *disk, char *item)
{
	for (size_t i = 0; i < ARRAY_SIZE(flag_items); i++) {
		if (!strcmp(item, flag_items[i].name)) {
			*(bool *)((char *)disk + flag_items[i].field) = true;
			return 0;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(valued_items); i++) {
		const char *value = config_item_value(item, valued_items[i].name);

		if (value)
			return valued_items[i].read(p, disk, value);
	}
	return disk_item_unknown(p, item);
}

/* What makes no sense together. */
static int disk_judge(struct config_parse *p, const struct disk_config *disk)
{
	bool served = disk_is_uri(disk->path);

	if (disk->dvd && (disk->ephemeral || disk->logical_block))
		return config_fail(p, "a DVD is never written, and its blocks have 2048 bytes: "
				      "leave out ephemeral and logical_block=");
	if (disk->read_only && disk->ephemeral)
		return config_fail(p, "ro and ephemeral exclude each other; leave one out");
	if (disk->burst_ms && !disk->iops && !disk->bps)
		return config_fail(p, "burst= wants an iops= or bps= beside it");
	if (disk->backing && (disk->format == DISK_RAW || served))
		return config_fail(p, "backing=on: a raw disk has no backing file");
	if (served && (disk->format > DISK_RAW || disk->cache == DISK_DIRECT || disk->aio))
		return config_fail(p, "format=, cache=none and aio= are for images on this host: "
				      "an NBD server has them its own way");
	return 0;
}

static int disk_items(struct config_parse *p, struct disk_config *disk, struct config_place *place,
		      char *list)
{
	struct config_keys keys = { 0 };
	char *item;
	int err = 0;

	while (!err && (item = config_item(&list))) {
		int placed = config_place_item(p, place, item);

		err = placed ? MIN(placed, 0) : disk_item(p, disk, item);
		if (!err)
			err = config_key_once(p, &keys, item);
	}
	return err;
}

static int add_disk(struct config_parse *p, struct disk_config disk)
{
	struct config *c = p->c;
	struct config_place place = { .controller = -1, .target = -1, .lun = -1 };
	char *list;
	int err;

	if (c->disk_count == CONFIG_DISKS_MAX)
		return config_fail(p, "a guest has at most %d disks and DVDs", CONFIG_DISKS_MAX);
	list = strdup(p->value);
	if (!list) {
		config_fail(p, "out of memory");
		return -ENOMEM;
	}
	c->owned[c->owned_count++] = list;
	disk.path = config_item(&list);
	if (!*disk.path)
		return config_fail(p, "the name of an image file is needed");
	err = disk_items(p, &disk, &place, list);
	if (!err)
		err = disk_judge(p, &disk);
	if (!err)
		err = config_place_judge(p, &place);
	if (!err && disk.dvd && place.ide)
		err = config_fail(p, "bus=ide has no DVD drives, only disks");
	if (err)
		return err;
	c->place[c->disk_count] = place;
	c->disk[c->disk_count++] = disk;
	return 0;
}

int config_disk(struct config_parse *p)
{
	return add_disk(p, (struct disk_config){ 0 });
}

int config_dvd(struct config_parse *p)
{
	return add_disk(p, (struct disk_config){ .read_only = true, .dvd = true });
}
