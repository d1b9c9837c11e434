/* SPDX-License-Identifier: BSD-2-Clause */
#include "images/init/volume.h"

#include <stdio.h>
#include <string.h>

#define MBR_SIGNATURE 440
#define MBR_MAGIC 510
#define GPT_ENTRIES_LBA 72
#define GPT_ENTRIES_COUNT 80
#define GPT_ENTRY_SIZE 84
#define GPT_ENTRY_UUID 16

struct format {
	const char *type;
	u32 magic_at;
	char magic[9];
	u8 magic_len;
	u32 uuid_at, label_at; /* 0: none */
	u32 label_len;
};

static const struct format formats[] = {
	{ "ext4", 1024 + 56, "\x53\xef", 2, 1024 + 104, 1024 + 120, 16 },
	{ "xfs", 0, "XFSB", 4, 32, 108, 12 },
	{ "btrfs", 65536 + 64, "_BHRfS_M", 8, 65536 + 32, 65536 + 299, 256 },
	{ "squashfs", 0, "hsqs", 4, 0, 0, 0 },
};

static u32 le32(const u8 *p)
{
	return (u32)p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24;
}

/* order: which byte is printed at each place. */
static void uuid_print(const u8 *uuid, const u8 order[16], char text[VOLUME_UUID_TEXT])
{
	for (unsigned i = 0; i < 16; i++) {
		bool dash = i == 4 || i == 6 || i == 8 || i == 10;

		text += sprintf(text, dash ? "-%02x" : "%02x", uuid[order[i]]);
	}
}

bool volume_identify(const u8 *head, size_t len, struct volume *v)
{
	static const u8 as_is[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
		const struct format *f = &formats[i];
		size_t needed = MAX(f->magic_at + f->magic_len, f->label_at + f->label_len);

		if (len < needed || memcmp(head + f->magic_at, f->magic, f->magic_len) != 0)
			continue;
		*v = (struct volume){ .type = f->type };
		if (f->uuid_at)
			uuid_print(head + f->uuid_at, as_is, v->uuid);
		memcpy(v->label, head + f->label_at, f->label_len);
		return true;
	}
	return false;
}

static bool gpt_partition(const u8 *head, size_t len, size_t sector, unsigned number,
			  char uuid[VOLUME_UUID_TEXT])
{
	static const u8 mixed[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
	static const u8 unused[16];
	const u8 *gpt = head + sector;
	u64 at;

	if (len < 2 * sector || memcmp(gpt, "EFI PART", 8) != 0)
		return false;
	if (!number || number > le32(gpt + GPT_ENTRIES_COUNT))
		return false;
	at = (u64)le32(gpt + GPT_ENTRIES_LBA) * sector +
	     (u64)(number - 1) * le32(gpt + GPT_ENTRY_SIZE);
	if (at > len - 128 || !memcmp(head + at + GPT_ENTRY_UUID, unused, sizeof(unused)))
		return false;
	uuid_print(head + at + GPT_ENTRY_UUID, mixed, uuid);
	return true;
}

bool volume_partition(const u8 *head, size_t len, unsigned number, char uuid[VOLUME_UUID_TEXT])
{
	if (gpt_partition(head, len, 512, number, uuid) ||
	    gpt_partition(head, len, 4096, number, uuid))
		return true;
	if (len < 512 || head[MBR_MAGIC] != 0x55 || head[MBR_MAGIC + 1] != 0xaa || !number ||
	    number > 255)
		return false;
	snprintf(uuid, VOLUME_UUID_TEXT, "%08x-%02x", le32(head + MBR_SIGNATURE), number);
	return true;
}
