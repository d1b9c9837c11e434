/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * candela's own words: whole lines on stderr, each prefixed "candela: ". Guest data and the
 * guest's console never pass through here. All functions may be called from any thread; a line
 * is one write(2).
 *
 * The level is the one process-wide setting of the program: set once by main() before any thread
 * starts, read only afterwards.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdatomic.h>

#include "base/types.h"

enum log_level {
	LOG_ERROR, /* it ends here, and why */
	LOG_WARN, /* it goes on, but the user should know */
	LOG_INFO, /* worth a line with -v */
};

/* Lines above this level are dropped. Default LOG_WARN. */
void log_set_level(enum log_level level);

bool log_enabled(enum log_level level);

/* Colour the prefix (a terminal). Default off. */
void log_set_colour(bool on);

/* Prints one line; the format carries neither prefix nor newline. Cut at 1 KiB. */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)

/*
 * Counts one kind of guest misbehaviour and prints it at LOG_INFO, but only the 1st, 2nd, 4th,
 * 8th ... time, so that no guest can flood the host's log. Zeroed is valid.
 */
struct log_guest {
	_Atomic u64 count;
};

void log_guest(struct log_guest *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
