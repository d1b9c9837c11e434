/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 256
#define ITEM_MAX_BYTES 64

static int log_fd = -1;
static u64 start_ns;
static _Atomic u64 lost;
static _Thread_local char thread_name[16] = "-";

/* ---- Which events ---------------------------------------------------------------------------- */

/* Cuts the next item off the list: true, and item is a string ("" where it is too long for one). */
static bool next_item(const char **list, char item[ITEM_MAX_BYTES])
{
	size_t len = strcspn(*list, ",:");

	if (!**list || **list == ':')
		return false;
	snprintf(item, ITEM_MAX_BYTES, "%.*s", (int)(len < ITEM_MAX_BYTES ? len : 0), *list);
	*list += len;
	if (**list == ',')
		++*list;
	return true;
}

/*
 * Does the name of an event match the item? In time that grows with their lengths' product at most.
 */
static bool matches(const char *item, const char *name)
{
	const char *star = NULL, *retry = NULL;

	while (*name) {
		if (*item == '*') {
			star = item++;
			retry = name;
		} else if (*item == '?' || *item == *name) {
			item++;
			name++;
		} else if (star) {
			item = star + 1;
			name = ++retry;
		} else {
			return false;
		}
	}
	return !item[strspn(item, "*")];
}

static int fail_unknown(const struct trace_event *events, size_t count, const char *item,
			char *error, size_t size)
{
	int n = snprintf(error, size, "no event '%s'; there are", item);

	for (size_t i = 0; i < count && n > 0 && (size_t)n < size; i++)
		n += snprintf(error + n, size - (size_t)n, " %s", events[i].name);
	return -EINVAL;
}

int trace_check(const struct trace_event *events, size_t count, const char *list, char *error,
		size_t error_size)
{
	char item[ITEM_MAX_BYTES] = "";
	bool any = false;

	while (next_item(&list, item)) {
		any = false;
		for (size_t i = 0; i < count && !any; i++)
			any = matches(item + (*item == '-'), events[i].name);
		if (!any)
			break;
	}
	return any ? 0 : fail_unknown(events, count, item, error, error_size);
}

void trace_log(struct trace_event *events, size_t count, const char *list)
{
	char item[ITEM_MAX_BYTES];

	while (next_item(&list, item))
		for (size_t i = 0; i < count; i++)
			if (matches(item + (*item == '-'), events[i].name))
				events[i].logged = *item != '-';
	for (size_t i = 0; i < count; i++)
		if (events[i].logged)
			*events[i].semaphore = (unsigned short)(*events[i].semaphore + 1);
}

/* ---- The log --------------------------------------------------------------------------------- */

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000u + (u64)ts.tv_nsec;
}

/*
 * A description of its own, so that others' writes to the same terminal or pipe still wait. Files
 * share their position, and never make a writer wait for a reader.
 */
static int open_stderr(void)
{
	struct stat st;
	int fd = -1;

	if (!fstat(STDERR_FILENO, &st) && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
		fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd >= 0 ? fd : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
}

int trace_open(const char *file)
{
	trace_close();
	log_fd = file ? open(file,
			     O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NONBLOCK | O_NOCTTY |
				     O_CLOEXEC,
			     0666)
		      : open_stderr();
	start_ns = now_ns();
	return log_fd < 0 ? -errno : 0;
}

void trace_close(void)
{
	if (log_fd >= 0)
		close(log_fd);
	log_fd = -1;
}

void trace_thread(const char *role, int index)
{
	if (index < 0)
		snprintf(thread_name, sizeof(thread_name), "%s", role);
	else
		snprintf(thread_name, sizeof(thread_name), "%s%d", role, index);
}

u64 trace_lost(void)
{
	return atomic_load(&lost);
}

/* Time and thread, and what was lost: bytes written. */
static size_t line_begin(char *line, size_t size, u64 missing)
{
	unsigned long long us = (now_ns() - start_ns) / 1000;
	int n = snprintf(line, size, "%llu.%06llu %s ", us / 1000000, us % 1000000, thread_name);

	if (missing)
		n += snprintf(line + n, size - (size_t)n, "(%llu lines lost) ",
			      (unsigned long long)missing);
	return (size_t)n;
}

void trace_line(const struct trace_event *e, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	u64 missing;
	size_t used;
	va_list ap;
	int n;

	if (!e->logged)
		return;
	missing = atomic_exchange(&lost, 0);
	used = line_begin(line, sizeof(line), missing);
	va_start(ap, fmt);
	n = vsnprintf(line + used, sizeof(line) - used - 1, fmt, ap);
	va_end(ap);
	used += MIN((size_t)MAX(n, 0), sizeof(line) - used - 2);
	/* Of an event without arguments only the name. */
	if (line[used - 1] == ' ')
		used--;
	line[used++] = '\n';
	if (write(log_fd, line, used) != (ssize_t)used)
		atomic_fetch_add(&lost, missing + 1);
}
