/* SPDX-License-Identifier: BSD-2-Clause */
/* Which events a list means, and the log: its lines, and those that find no room. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "base/trace.h"

struct scene {
	volatile unsigned short semaphore[3];
	struct trace_event event[3];
	char folder[64], path[80];
};

static int set_up(void **state)
{
	static const char *const names[] = { "bus_open", "bus_close", "disk_read" };
	struct scene *s = calloc(1, sizeof(*s));

	*state = s;
	for (int i = 0; i < 3; i++)
		s->event[i] = (struct trace_event){ names[i], &s->semaphore[i], false };
	snprintf(s->folder, sizeof(s->folder), "/tmp/candela-trace-XXXXXX");
	if (!mkdtemp(s->folder))
		return -1;
	snprintf(s->path, sizeof(s->path), "%s/log", s->folder);
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;

	trace_close();
	unlink(s->path);
	rmdir(s->folder);
	free(s);
	return 0;
}

static int check(struct scene *s, const char *list, char *error, size_t size)
{
	return trace_check(s->event, 3, list, error, size);
}

static void lists(void **state)
{
	static const char *const good[] = {
		"bus_open",         "bus_*",   "*",    "disk_read:file", "d*,b*",
		"?us_open,-bus_c*", "b*s*s*e", "***?", "bus_open,*:",    "*_read",
		"bus_open,bus_open"
	};
	static const struct {
		const char *list, *name;
	} bad[] = {
		{ "", "''" },
		{ ":file", "''" },
		{ "bus_", "'bus_'" },
		{ "bus_open,x", "'x'" },
		{ "x,bus_open", "'x'" },
		{ "bus_open,,", "''" },
		{ "BUS_open", "'BUS_" },
		{ "net_*:f", "'net_*'" },
	};
	char error[200], longest[200];
	struct scene *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(check(s, good[i], error, sizeof(error)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(check(s, bad[i].list, error, sizeof(error)), -EINVAL);
		assert_non_null(strstr(error, bad[i].name));
		assert_non_null(strstr(error, "there are bus_open bus_close disk_read"));
	}
	/* One too long for a name, and an error with no room. */
	memset(longest, '*', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(check(s, longest, error, sizeof(error)), -EINVAL);
	for (size_t size = 1; size < 60; size++) {
		assert_int_equal(check(s, "x", error, size), -EINVAL);
		assert_int_equal(strlen(error),
				 MIN(size - 1, strlen("no event 'x'; there are bus_open "
						      "bus_close disk_read")));
	}
}

/* However often a list names it, an event is watched once; others stay as tools left them. */
static void arms_semaphores(void **state)
{
	struct scene *s = *state;

	s->semaphore[1] = s->semaphore[2] = 4;
	trace_log(s->event, 3, "bus_*,disk*,bus_open,-d*,-x:*");
	assert_int_equal(s->semaphore[0], 1);
	assert_int_equal(s->semaphore[1], 5);
	assert_int_equal(s->semaphore[2], 4);
	assert_true(s->event[0].logged && s->event[1].logged && !s->event[2].logged);
}

/* The log as it is; room bytes and a NUL. */
static void read_log(const struct scene *s, char *text, size_t room)
{
	FILE *f = fopen(s->path, "r");

	assert_non_null(f);
	text[fread(text, 1, room, f)] = '\0';
	fclose(f);
}

static void *other_thread(void *arg)
{
	struct scene *s = arg;

	trace_thread("vp", 3);
	trace_line(&s->event[0], "bus_open a=%u b=%s", 1u, "x");
	return NULL;
}

static void lines(void **state)
{
	struct scene *s = *state;
	char text[2000], wide[600], *line = text;
	pthread_t thread;
	unsigned at, us;
	int end = 0;

	memset(wide, 'w', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';
	trace_log(s->event, 3, "bus_open");
	assert_int_equal(trace_open(s->path), 0);
	pthread_create(&thread, NULL, other_thread, s);
	pthread_join(thread, NULL);
	trace_thread("main", -1);
	trace_line(&s->event[2], "disk_read");
	trace_line(&s->event[0], "bus_open ");
	trace_line(&s->event[0], "bus_open %s", wide);
	read_log(s, text, sizeof(text) - 1);
	assert_int_equal(sscanf(line, "%u.%6u vp3 bus_open a=1 b=x%n", &at, &us, &end), 2);
	assert_int_equal(line[end], '\n');
	line += end + 1;
	end = 0;
	assert_int_equal(sscanf(line, "%u.%6u main bus_open%n", &at, &us, &end), 2);
	assert_int_equal(line[end], '\n');
	line += end + 1;
	assert_int_equal(strlen(line), 255);
	assert_int_equal(line[254], '\n');
}

static void *writer(void *arg)
{
	struct scene *s = arg;

	trace_thread("io", 0);
	for (unsigned n = 0; n < 500; n++)
		trace_line(&s->event[n % 3], "%s n=%u", s->event[n % 3].name, n);
	return NULL;
}

/* Lines of several threads stay whole. */
static void several_threads(void **state)
{
	struct scene *s = *state;
	pthread_t thread[4];
	char line[300];
	unsigned n, count = 0;
	FILE *f;

	assert_int_equal(trace_open(s->path), 0);
	trace_log(s->event, 3, "*");
	for (int i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, writer, s);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	f = fopen(s->path, "r");
	assert_non_null(f);
	for (; fgets(line, sizeof(line), f); count++) {
		assert_int_equal(sscanf(line, "%*u.%*u io0 %*s n=%u", &n), 1);
		assert_int_equal(strchr(line, '\n')[1], '\0');
	}
	fclose(f);
	assert_int_equal(count, 2000);
}

/* A reader that does not read costs lines, not time; the next line that fits says how many. */
static void full_pipe(void **state)
{
	char text[65536], *found;
	struct scene *s = *state;
	unsigned sent = 0, seen = 0;
	int fd;

	assert_int_equal(mkfifo(s->path, 0600), 0);
	/* Nobody reads it yet. */
	assert_int_equal(trace_open(s->path), -ENXIO);
	fd = open(s->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(trace_open(s->path), 0);
	trace_log(s->event, 3, "*");
	for (; trace_lost() < 7; sent++)
		trace_line(&s->event[0], "bus_open n=%u", sent);
	for (ssize_t n; (n = read(fd, text, sizeof(text))) > 0;)
		for (ssize_t i = 0; i < n; i++)
			seen += text[i] == '\n';
	assert_int_equal(seen, sent - 7);
	trace_line(&s->event[1], "bus_close");
	trace_line(&s->event[1], "bus_close");
	text[read(fd, text, sizeof(text) - 1)] = '\0';
	found = strstr(text, "(7 lines lost) bus_close\n");
	assert_non_null(found);
	assert_null(strstr(found + strlen("(7 lines lost)"), "lost"));
	assert_int_equal(trace_lost(), 0);
	close(fd);
}

/* stderr is a pipe: it stays one whose writers wait. */
static void takes_stderr(void **state)
{
	struct scene *s = *state;
	int old = dup(STDERR_FILENO), fd[2];
	char text[200];

	assert_int_equal(pipe(fd), 0);
	dup2(fd[1], STDERR_FILENO);
	assert_int_equal(trace_open(NULL), 0);
	trace_log(s->event, 3, "bus_open");
	trace_line(&s->event[0], "bus_open n=5");
	assert_false(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK);
	dup2(old, STDERR_FILENO);
	text[read(fd[0], text, sizeof(text) - 1)] = '\0';
	assert_non_null(strstr(text, " bus_open n=5\n"));
	close(fd[0]);
	close(fd[1]);
	close(old);
}

static void bad_file(void **state)
{
	struct scene *s = *state;

	assert_int_equal(trace_open(s->folder), -EISDIR);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lists),     TEST(arms_semaphores), TEST(lines),    TEST(several_threads),
		TEST(full_pipe), TEST(takes_stderr),    TEST(bad_file),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
