/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

static enum log_level max_level = LOG_WARN;
static bool colour;

void log_set_level(enum log_level level)
{
	max_level = level;
}

bool log_enabled(enum log_level level)
{
	return level <= max_level;
}

void log_set_colour(bool on)
{
	colour = on;
}

static const char *prefix(enum log_level level)
{
	if (!colour)
		return "candela: ";
	return level == LOG_ERROR ? "\033[1;31mcandela:\033[0m " : "\033[1mcandela:\033[0m ";
}

static void print(enum log_level level, const char *fmt, va_list ap)
{
	char line[LINE_MAX_BYTES];
	size_t used = (size_t)snprintf(line, sizeof(line), "%s", prefix(level));
	int n = vsnprintf(line + used, sizeof(line) - used - 1, fmt, ap);

	if (n > 0)
		used += MIN((size_t)n, sizeof(line) - used - 2);
	line[used++] = '\n';
	/* A lost log line is nobody's error. */
	if (write(STDERR_FILENO, line, used) < 0)
		return;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	print(level, fmt, ap);
	va_end(ap);
}

void log_guest(struct log_guest *g, const char *fmt, ...)
{
	u64 n = atomic_fetch_add_explicit(&g->count, 1, memory_order_relaxed) + 1;
	va_list ap;

	if (!log_enabled(LOG_INFO) || (n & (n - 1)))
		return;
	va_start(ap, fmt);
	print(LOG_INFO, fmt, ap);
	va_end(ap);
}
