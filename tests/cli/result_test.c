/* SPDX-License-Identifier: BSD-2-Clause */
/* The JSON of --result: its keys, its text, and that a file is replaced as a whole. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "cli/result.h"

struct scratch {
	char folder[64], path[80];
};

static int set_up(void **state)
{
	struct scratch *s = calloc(1, sizeof(*s));

	snprintf(s->folder, sizeof(s->folder), "/tmp/candela-result-XXXXXX");
	*state = s;
	if (!mkdtemp(s->folder))
		return -1;
	snprintf(s->path, sizeof(s->path), "%s/r.json", s->folder);
	return 0;
}

static int tear_down(void **state)
{
	struct scratch *s = *state;

	unlink(s->path);
	/* Fails where something was left behind. */
	if (rmdir(s->folder))
		return -1;
	free(s);
	return 0;
}

static const char *text_of(struct json_object *o, const char *key)
{
	struct json_object *value;

	assert_true(json_object_object_get_ex(o, key, &value));
	return value ? json_object_get_string(value) : NULL;
}

static void all_keys(void **state)
{
	static const struct outcome_channel channel[2] = {
		{ .device = "storvsp", .relid = 1, .packets_in = 1ull << 60, .throttled = 2 },
		{ .device = "netvsp", .relid = 3, .sub_index = 1 },
	};
	static const struct outcome_disk disk[1] = {
		{ .name = "a.img",
		  .counters = { .throttled = 5,
				.kind[DISK_READ] = { .ops = 3,
						     .bytes = 1536,
						     .errors = 1,
						     .latency = { 1, 0, 2 } } } },
	};
	struct scratch *s = *state;
	struct result r = { .reason = OUTCOME_COMMAND,
			    .status = 7,
			    .detail = "a \"b\" /c\n",
			    .vmbus_version = 0x00050003,
			    .hyperv = "kernel",
			    .channel = channel,
			    .channel_count = 2,
			    .disk = disk,
			    .disk_count = 1 };
	struct json_object *o, *list, *reads;

	assert_int_equal(result_write(s->path, &r), 0);
	o = json_object_from_file(s->path);
	assert_non_null(o);
	assert_int_equal(json_object_object_length(o), 8);
	assert_string_equal(text_of(o, "candela"), CANDELA_VERSION);
	assert_string_equal(text_of(o, "reason"), "command");
	assert_string_equal(text_of(o, "status"), "7");
	assert_string_equal(text_of(o, "detail"), "a \"b\" /c\n");
	assert_string_equal(text_of(o, "hyperv"), "kernel");
	assert_string_equal(text_of(o, "vmbus"), "5.3");
	assert_true(json_object_object_get_ex(o, "channels", &list));
	assert_int_equal(json_object_array_length(list), 2);
	assert_string_equal(text_of(json_object_array_get_idx(list, 0), "packets_in"),
			    "1152921504606846976");
	assert_string_equal(text_of(json_object_array_get_idx(list, 0), "throttled"), "2");
	assert_string_equal(text_of(json_object_array_get_idx(list, 1), "device"), "netvsp");
	assert_string_equal(text_of(json_object_array_get_idx(list, 1), "sub"), "1");
	assert_true(json_object_object_get_ex(o, "disks", &list));
	assert_int_equal(json_object_array_length(list), 1);
	assert_string_equal(text_of(json_object_array_get_idx(list, 0), "name"), "a.img");
	assert_string_equal(text_of(json_object_array_get_idx(list, 0), "throttled"), "5");
	assert_true(json_object_object_get_ex(json_object_array_get_idx(list, 0), "read", &reads));
	assert_string_equal(text_of(reads, "bytes"), "1536");
	assert_string_equal(text_of(reads, "errors"), "1");
	assert_string_equal(text_of(reads, "latency"), "[ 1, 0, 2 ]");
	json_object_put(o);
}

static void nothing_known(void **state)
{
	struct scratch *s = *state;
	struct result r = { .reason = OUTCOME_USAGE, .status = 2, .hyperv = "" };
	struct json_object *o;

	assert_int_equal(result_write(s->path, &r), 0);
	o = json_object_from_file(s->path);
	assert_string_equal(text_of(o, "reason"), "usage");
	assert_string_equal(text_of(o, "detail"), "");
	assert_null(text_of(o, "hyperv"));
	assert_null(text_of(o, "vmbus"));
	assert_string_equal(text_of(o, "channels"), "[ ]");
	assert_string_equal(text_of(o, "disks"), "[ ]");
	json_object_put(o);
}

static void reasons(void **state)
{
	static const char *const names[] = {
		[OUTCOME_NONE] = "host",       [OUTCOME_POWEROFF] = "poweroff",
		[OUTCOME_COMMAND] = "command", [OUTCOME_DEBUG_EXIT] = "debug-exit",
		[OUTCOME_REBOOT] = "reboot",   [OUTCOME_PANIC] = "panic",
		[OUTCOME_TIMEOUT] = "timeout", [OUTCOME_HOST] = "host",
		[OUTCOME_USAGE] = "usage",     [OUTCOME_SIGNAL] = "signal",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_string_equal(result_reason_name((enum outcome_reason)i), names[i]);
}

/* A guest's words need not be UTF-8; what is stays. */
static void guest_words(void **state)
{
	struct scratch *s = *state;
	struct result r = { .reason = OUTCOME_PANIC,
			    .status = 4,
			    .detail = "\xff"
				      "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x95\xaf\xc3(\xe2\x82" };
	struct json_object *o;

	assert_int_equal(result_write(s->path, &r), 0);
	o = json_object_from_file(s->path);
	assert_string_equal(text_of(o, "detail"), "?a\xc3\xa9\xe2\x82\xac\xf0\x9f\x95\xaf?(??");
	json_object_put(o);
}

static void replaces_a_file(void **state)
{
	struct scratch *s = *state;
	struct result r = { .reason = OUTCOME_POWEROFF };
	mode_t mask = umask(022);
	struct stat st;
	FILE *f = fopen(s->path, "w");

	fputs("something older and longer than that, which must not shine through", f);
	for (int i = 0; i < 200; i++)
		fputs("\nolder", f);
	fclose(f);
	assert_int_equal(result_write(s->path, &r), 0);
	umask(mask);
	assert_int_equal(stat(s->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_true(st.st_size < 200);
}

/* As /dev/stdout with stdout a file: that is added to, the link stays. */
static void stdout_is_written_to(void **state)
{
	struct scratch *s = *state;
	struct result r = { .reason = OUTCOME_POWEROFF };
	int old = dup(STDOUT_FILENO), fd = memfd_create("stdout", 0), err;
	char text[300] = "";
	struct stat st;

	assert_int_equal(write(fd, "guest", 5), 5);
	assert_int_equal(symlink("/proc/self/fd/1", s->path), 0);
	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	err = result_write(s->path, &r);
	dup2(old, STDOUT_FILENO);
	assert_int_equal(err, 0);
	assert_int_equal(lstat(s->path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_true(pread(fd, text, sizeof(text) - 1, 0) > 50);
	assert_memory_equal(text, "guest{ \"candela\"", 16);
	close(fd);
	close(old);
}

static void devices_are_written_to(void **state)
{
	struct result r = { .reason = OUTCOME_POWEROFF };
	struct stat st;

	(void)state;
	assert_int_equal(result_write("/dev/null", &r), 0);
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
}

static void bad_paths(void **state)
{
	struct scratch *s = *state;
	struct result r = { .reason = OUTCOME_POWEROFF };
	char path[128];

	snprintf(path, sizeof(path), "%s/none/r.json", s->folder);
	assert_int_equal(result_write(path, &r), -ENOENT);
	assert_int_equal(result_check(path), -ENOENT);
	assert_int_equal(result_write(s->folder, &r), -EISDIR);
	assert_int_equal(result_check(s->folder), -EISDIR);
}

/* Looking leaves nothing behind. */
static void good_paths(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(result_check(s->path), 0);
	assert_int_equal(access(s->path, F_OK), -1);
	assert_int_equal(result_check("/dev/null"), 0);
	assert_int_equal(result_check("relative.json"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_keys, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_known, set_up, tear_down),
		cmocka_unit_test(reasons),
		cmocka_unit_test_setup_teardown(guest_words, set_up, tear_down),
		cmocka_unit_test_setup_teardown(replaces_a_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(stdout_is_written_to, set_up, tear_down),
		cmocka_unit_test(devices_are_written_to),
		cmocka_unit_test_setup_teardown(bad_paths, set_up, tear_down),
		cmocka_unit_test_setup_teardown(good_paths, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
