/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/guest_command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* cli/init_blob.S */
extern const u8 init_blob_start[], init_blob_end[];

#define HEADER_BYTES 110
#define CPIO_ALIGN 4

struct entry {
	const char *name;
	const void *data;
	size_t size;
	u32 mode;
	u32 major, minor; /* of a device node */
};

/* out == NULL counts only. */
struct writer {
	u8 *out;
	size_t used;
};

static void writer_put(struct writer *w, const void *data, size_t len)
{
	if (w->out && len)
		memcpy(w->out + w->used, data, len);
	w->used += len;
}

static void writer_align(struct writer *w)
{
	static const u8 zero[CPIO_ALIGN];

	writer_put(w, zero, ALIGN_UP(w->used, (size_t)CPIO_ALIGN) - w->used);
}

static void entry_put(struct writer *w, const struct entry *e, unsigned inode)
{
	char header[HEADER_BYTES + 1];
	size_t name_len = strlen(e->name) + 1;
	unsigned links = S_ISDIR(e->mode) ? 2 : 1;

	/* Inode, mode, uid, gid, links, mtime, size, device, device of a node, name, checksum. */
	snprintf(header, sizeof(header),
		 "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", inode, e->mode, 0, 0,
		 links, 0, (unsigned)e->size, 0, 0, e->major, e->minor, (unsigned)name_len, 0);
	writer_put(w, header, HEADER_BYTES);
	writer_put(w, e->name, name_len);
	writer_align(w);
	writer_put(w, e->data, e->size);
	writer_align(w);
}

static void segment_put(struct writer *w, const void *command, size_t command_size)
{
	const struct entry entries[] = {
		{ .name = "dev", .mode = S_IFDIR | 0755 },
		{ .name = "dev/console", .mode = S_IFCHR | 0600, .major = 5, .minor = 1 },
		{ .name = "proc", .mode = S_IFDIR | 0755 },
		{ .name = "sys", .mode = S_IFDIR | 0755 },
		{ .name = "candela", .mode = S_IFDIR | 0755 },
		{ .name = "candela/init",
		  .mode = S_IFREG | 0755,
		  .data = init_blob_start,
		  .size = (size_t)(init_blob_end - init_blob_start) },
		{ .name = "candela/command",
		  .mode = S_IFREG | 0600,
		  .data = command,
		  .size = command_size },
		{ .name = "TRAILER!!!" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(entries); i++)
		entry_put(w, &entries[i], i + 1);
}

/* The arguments, each with its NUL; malloc'ed. */
static int command_join(char *const *argv, unsigned count, char **command, size_t *size)
{
	size_t used = 0;
	char *at;

	for (unsigned i = 0; i < count; i++) {
		used += strlen(argv[i]) + 1;
		if (used > GUEST_COMMAND_MAX)
			return -E2BIG;
	}
	*size = used;
	at = *command = malloc(used);
	if (!at)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++)
		at = stpcpy(at, argv[i]) + 1;
	return 0;
}

int guest_command_build(char *const *argv, unsigned count, void **segment, size_t *size)
{
	struct writer w = { 0 };
	char *command;
	size_t command_size;
	int err;

	if (!count)
		return -EINVAL;
	err = command_join(argv, count, &command, &command_size);
	if (err)
		return err;
	segment_put(&w, command, command_size);
	*size = w.used;
	*segment = malloc(w.used);
	w = (struct writer){ .out = *segment };
	if (w.out)
		segment_put(&w, command, command_size);
	free(command);
	return w.out ? 0 : -ENOMEM;
}

const char *guest_command_cmdline(void)
{
	return "rdinit=/candela/init";
}
