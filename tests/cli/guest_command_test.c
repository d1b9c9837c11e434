/* SPDX-License-Identifier: BSD-2-Clause */
/* The cpio segment: read back here entry by entry, and by cpio where that is installed. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/guest_command.h"

#define HEADER 110

struct cpio {
	u32 mode, size, major, minor;
	const char *name;
	const u8 *data;
};

static u32 hex(const u8 *header, unsigned field)
{
	char text[9] = { 0 };
	char *end;
	u32 value;

	memcpy(text, header + 6 + 8 * field, 8);
	value = (u32)strtoul(text, &end, 16);
	assert_ptr_equal(end, text + 8);
	return value;
}

/* Reads the entry at *at. */
static struct cpio entry_next(const u8 *segment, size_t size, size_t *at)
{
	const u8 *h = segment + *at;
	struct cpio e;

	assert_true(*at % 4 == 0 && *at + HEADER < size);
	assert_memory_equal(h, "070701", 6);
	assert_int_equal(hex(h, 2) | hex(h, 3), 0); /* root's */
	e.mode = hex(h, 1);
	e.size = hex(h, 6);
	e.major = hex(h, 9);
	e.minor = hex(h, 10);
	e.name = (const char *)h + HEADER;
	assert_int_equal(hex(h, 11), strlen(e.name) + 1);
	*at = ALIGN_UP(*at + HEADER + strlen(e.name) + 1, (size_t)4);
	e.data = segment + *at;
	assert_true(e.size <= size - *at);
	*at = ALIGN_UP(*at + e.size, (size_t)4);
	return e;
}

static struct cpio entry_find(const u8 *segment, size_t size, const char *name)
{
	struct cpio e;
	size_t at = 0;

	do {
		e = entry_next(segment, size, &at);
		if (!strcmp(e.name, name))
			return e;
	} while (strcmp(e.name, "TRAILER!!!") != 0);
	fail_msg("no %s in the segment", name);
	return e;
}

static void build(char *const *argv, unsigned count, u8 **segment, size_t *size)
{
	void *bytes;

	assert_int_equal(guest_command_build(argv, count, &bytes, size), 0);
	*segment = bytes;
}

static void entries(void **state)
{
	char *argv[] = { "sh", "-c", "", "exit 7" };
	struct cpio e;
	u8 *segment;
	size_t size;

	(void)state;
	build(argv, 4, &segment, &size);
	assert_int_equal(size % 4, 0);
	e = entry_find(segment, size, "candela/command");
	assert_int_equal(e.size, 14);
	assert_memory_equal(e.data, "sh\0-c\0\0exit 7", 14);
	e = entry_find(segment, size, "candela/init");
	assert_int_equal(e.mode, S_IFREG | 0755);
	assert_memory_equal(e.data, "\177ELF", 4);
	e = entry_find(segment, size, "candela");
	assert_int_equal(e.mode, S_IFDIR | 0755);
	e = entry_find(segment, size, "dev/console");
	assert_int_equal(e.mode, S_IFCHR | 0600);
	assert_int_equal(e.major, 5);
	assert_int_equal(e.minor, 1);
	entry_find(segment, size, "proc");
	entry_find(segment, size, "sys");
	entry_find(segment, size, "dev");
	free(segment);
}

/* The trailer is the last entry: what follows is another archive. */
static void trailer_ends_it(void **state)
{
	char *argv[] = { "true" };
	struct cpio e;
	u8 *segment;
	size_t size, at = 0;

	(void)state;
	build(argv, 1, &segment, &size);
	while (at < size)
		e = entry_next(segment, size, &at);
	assert_int_equal(at, size);
	assert_string_equal(e.name, "TRAILER!!!");
	free(segment);
}

static void limits(void **state)
{
	char *big = calloc(1, GUEST_COMMAND_MAX + 1);
	char *argv[] = { big };
	void *segment;
	size_t size;

	(void)state;
	assert_int_equal(guest_command_build(argv, 0, &segment, &size), -EINVAL);
	memset(big, 'x', GUEST_COMMAND_MAX);
	assert_int_equal(guest_command_build(argv, 1, &segment, &size), -E2BIG);
	big[GUEST_COMMAND_MAX - 1] = '\0';
	assert_int_equal(guest_command_build(argv, 1, &segment, &size), 0);
	free(segment);
	free(big);
}

static void cpio_reads_it(void **state)
{
	char *argv[] = { "one", "two words" };
	char path[] = "/tmp/guest_command_test.XXXXXX", line[256];
	u8 *segment;
	size_t size;
	FILE *file, *list;

	(void)state;
	if (access("/usr/bin/cpio", X_OK))
		skip();
	build(argv, 2, &segment, &size);
	file = fdopen(mkstemp(path), "w");
	assert_int_equal(fwrite(segment, 1, size, file), size);
	fclose(file);
	free(segment);
	snprintf(line, sizeof(line),
		 "/usr/bin/cpio -i --quiet --to-stdout candela/command <%s | tr '\\0' '|'", path);
	list = popen(line, "r");
	assert_non_null(fgets(line, sizeof(line), list));
	assert_int_equal(pclose(list), 0);
	unlink(path);
	assert_string_equal(line, "one|two words|");
}

static void cmdline(void **state)
{
	(void)state;
	assert_string_equal(guest_command_cmdline(), "rdinit=/candela/init");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries), cmocka_unit_test(trailer_ends_it),
		cmocka_unit_test(limits),  cmocka_unit_test(cpio_reads_it),
		cmocka_unit_test(cmdline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
