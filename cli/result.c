/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/result.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *result_reason_name(enum outcome_reason reason)
{
	switch (reason) {
	case OUTCOME_POWEROFF:
		return "poweroff";
	case OUTCOME_COMMAND:
		return "command";
	case OUTCOME_DEBUG_EXIT:
		return "debug-exit";
	case OUTCOME_REBOOT:
		return "reboot";
	case OUTCOME_PANIC:
		return "panic";
	case OUTCOME_TIMEOUT:
		return "timeout";
	case OUTCOME_USAGE:
		return "usage";
	case OUTCOME_SIGNAL:
		return "signal";
	case OUTCOME_NONE:
	case OUTCOME_HOST:
		break;
	}
	return "host";
}

/* The bytes of the UTF-8 character that text begins with; 0 where it is none. */
static size_t utf8_length(const char *text)
{
	unsigned char lead = (unsigned char)*text;
	size_t len = lead < 0x80                   ? 1
		     : lead >= 0xc2 && lead < 0xe0 ? 2
		     : lead >= 0xe0 && lead < 0xf0 ? 3
		     : lead >= 0xf0 && lead < 0xf5 ? 4
						   : 0;

	for (size_t i = 1; i < len; i++)
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

/* JSON is UTF-8, a guest's last words may be anything. NULL without memory. */
static struct json_object *new_text(const char *text)
{
	char *clean = strdup(text);
	struct json_object *string = NULL;

	for (char *s = clean; s && *s;) {
		size_t len = utf8_length(s);

		if (!len)
			*s = '?';
		s += MAX(len, 1u);
	}
	if (clean)
		string = json_object_new_string(clean);
	free(clean);
	return string;
}

static struct json_object *new_version(u32 version)
{
	char text[16];

	if (!version)
		return NULL;
	snprintf(text, sizeof(text), "%u.%u", version >> 16, version & 0xffff);
	return json_object_new_string(text);
}

static struct json_object *new_channel(const struct outcome_channel *ch)
{
	const struct {
		const char *key;
		u64 value;
	} counts[] = {
		{ "relid", ch->relid },
		{ "sub", ch->sub_index },
		{ "packets_in", ch->packets_in },
		{ "bytes_in", ch->bytes_in },
		{ "packets_out", ch->packets_out },
		{ "bytes_out", ch->bytes_out },
		{ "signals", ch->signals },
		{ "interrupts", ch->interrupts },
		{ "throttled", ch->throttled },
	};
	struct json_object *o = json_object_new_object();

	if (!o)
		return NULL;
	json_object_object_add(o, "device", new_text(ch->device));
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		json_object_object_add(o, counts[i].key, json_object_new_uint64(counts[i].value));
	return o;
}

static struct json_object *new_channels(const struct result *r)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; list && i < r->channel_count; i++)
		json_object_array_add(list, new_channel(&r->channel[i]));
	return list;
}

static struct json_object *new_latency(const struct disk_counts *c)
{
	struct json_object *list = json_object_new_array();
	unsigned n = DISK_LATENCIES;

	while (n && !c->latency[n - 1])
		n--;
	for (unsigned i = 0; list && i < n; i++)
		json_object_array_add(list, json_object_new_uint64(c->latency[i]));
	return list;
}

static struct json_object *new_counts(const struct disk_counts *c)
{
	struct json_object *o = json_object_new_object();

	if (!o)
		return NULL;
	json_object_object_add(o, "ops", json_object_new_uint64(c->ops));
	json_object_object_add(o, "bytes", json_object_new_uint64(c->bytes));
	json_object_object_add(o, "errors", json_object_new_uint64(c->errors));
	json_object_object_add(o, "latency", new_latency(c));
	return o;
}

static struct json_object *new_disk(const struct outcome_disk *disk)
{
	const struct disk_counters *c = &disk->counters;
	struct json_object *o = json_object_new_object();

	if (!o)
		return NULL;
	json_object_object_add(o, "name", new_text(disk->name));
	json_object_object_add(o, "throttled", json_object_new_uint64(c->throttled));
	for (unsigned k = 0; k < DISK_OP_KINDS; k++)
		json_object_object_add(o, disk_op_name((enum disk_op_kind)k),
				       new_counts(&c->kind[k]));
	return o;
}

static struct json_object *new_disks(const struct result *r)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; list && i < r->disk_count; i++)
		json_object_array_add(list, new_disk(&r->disk[i]));
	return list;
}

static struct json_object *new_object(const struct result *r)
{
	struct json_object *o = json_object_new_object();

	if (!o)
		return NULL;
	json_object_object_add(o, "candela", json_object_new_string(CANDELA_VERSION));
	json_object_object_add(o, "reason", json_object_new_string(result_reason_name(r->reason)));
	json_object_object_add(o, "status", json_object_new_int(r->status));
	json_object_object_add(o, "detail", new_text(r->detail ? r->detail : ""));
	json_object_object_add(o, "hyperv", r->hyperv && *r->hyperv ? new_text(r->hyperv) : NULL);
	json_object_object_add(o, "vmbus", new_version(r->vmbus_version));
	json_object_object_add(o, "channels", new_channels(r));
	json_object_object_add(o, "disks", new_disks(r));
	return o;
}

/* Writes text and a newline, and closes fd. 0 or -errno. */
static int write_close(int fd, const char *text)
{
	int err = dprintf(fd, "%s\n", text) < 0 ? -errno : 0;

	if (close(fd) && !err)
		err = -errno;
	return err;
}

static int write_in_place(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : write_close(fd, text);
}

static int replace(const char *path, const char *text)
{
	mode_t mask = umask(0);
	char *temporary;
	int fd, err;

	umask(mask);
	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return -ENOMEM;
	fd = mkostemp(temporary, O_CLOEXEC);
	err = fd < 0 ? -errno : 0;
	/* mkostemp() makes it the user's alone; it shall be a file like any other. */
	if (fd >= 0 && fchmod(fd, 0666 & ~mask))
		err = -errno;
	if (fd >= 0) {
		int write_err = write_close(fd, text);

		err = err ? err : write_err;
		if (!err && rename(temporary, path))
			err = -errno;
		if (err)
			unlink(temporary);
	}
	free(temporary);
	return err;
}

/* Our stdout or stderr where that is the file, else -1: replacing it would take a link's place. */
static int own_stream(const struct stat *st)
{
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
		struct stat own;

		if (!fstat(fd, &own) && own.st_dev == st->st_dev && own.st_ino == st->st_ino)
			return fd;
	}
	return -1;
}

static int write_own(int stream, const char *text)
{
	int fd = fcntl(stream, F_DUPFD_CLOEXEC, 0);

	return fd < 0 ? -errno : write_close(fd, text);
}

static int write_text(const char *path, const char *text)
{
	struct stat st;
	int stream;

	if (stat(path, &st))
		return replace(path, text);
	stream = own_stream(&st);
	if (stream >= 0)
		return write_own(stream, text);
	return S_ISREG(st.st_mode) ? replace(path, text) : write_in_place(path, text);
}

static int folder_check(const char *path)
{
	char *copy = strdup(path);
	int err = copy ? 0 : -ENOMEM;

	if (copy && faccessat(AT_FDCWD, dirname(copy), W_OK | X_OK, AT_EACCESS))
		err = -errno;
	free(copy);
	return err;
}

int result_check(const char *path)
{
	struct stat st;
	bool there = !stat(path, &st);

	if (there && S_ISDIR(st.st_mode))
		return -EISDIR;
	if (there && own_stream(&st) >= 0)
		return 0;
	if (!there || S_ISREG(st.st_mode))
		return folder_check(path);
	return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) ? -errno : 0;
}

int result_write(const char *path, const struct result *r)
{
	struct json_object *o = new_object(r);
	const char *text = o ? json_object_to_json_string_ext(
				       o, JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE)
			     : NULL;
	int err = text ? write_text(path, text) : -ENOMEM;

	json_object_put(o);
	return err;
}
