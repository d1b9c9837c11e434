/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmbus/chaos.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#define HEADER_FORMAT "candela chaos 1 seed=%" PRIu64 " rate=%u"
#define LINE_MAX_BYTES 128

static const char *const names[CHAOS_POINTS] = {
	[CHAOS_MESSAGE_OUT] = "message-out",
	[CHAOS_MESSAGE_IN] = "message-in",
	[CHAOS_RESCIND] = "rescind",
	[CHAOS_SIGNAL] = "signal",
	[CHAOS_DRAIN] = "drain",
	[CHAOS_ROOM] = "room",
	[CHAOS_COMMIT] = "commit",
	[CHAOS_INTERRUPT] = "interrupt",
};

const char *chaos_point_name(enum chaos_point point)
{
	return names[point];
}

/* ---- Deciding -------------------------------------------------------------------------------- */

/* Spreads x over 64 bits (the finalizer of SplitMix64: Steele, Lea, Flood, 2014). */
static u64 spread(u64 x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* A number below limit from 32 random bits. */
static u32 below(u64 bits, u32 limit)
{
	return (u32)((bits & UINT32_MAX) * limit >> 32);
}

/* Short delays are as many as long ones: first the power of two, then where in it. */
static u32 delay_us(u64 bits, u32 max)
{
	u32 doublings = 0, least;

	while (CHAOS_DELAY_MIN_US << (doublings + 1) <= max)
		doublings++;
	least = CHAOS_DELAY_MIN_US << below(bits, doublings + 1);
	return MIN(least + below(bits >> 32, least), max);
}

static u32 decide_by_seed(const struct chaos *c, u32 relid, enum chaos_point point, u64 n)
{
	u64 stream = spread(c->seed ^ spread((u64)relid << 8 | point));
	u64 bits = spread(stream + n);

	if (below(bits, CHAOS_RATE_MAX) >= c->rate)
		return 0;
	return delay_us(spread(bits), c->delay_max_us ? c->delay_max_us : CHAOS_DELAY_MAX_US);
}

static int entry_compare(const void *a, const void *b)
{
	const struct chaos_entry *x = a, *y = b;

	if (x->relid != y->relid)
		return x->relid < y->relid ? -1 : 1;
	if (x->point != y->point)
		return x->point < y->point ? -1 : 1;
	return x->n == y->n ? 0 : x->n < y->n ? -1 : 1;
}

static u32 decide_by_log(const struct chaos *c, u32 relid, enum chaos_point point, u64 n)
{
	const struct chaos_entry wanted = { .n = n, .relid = relid, .point = point };
	const struct chaos_entry *e = NULL;

	if (c->entry_count)
		e = bsearch(&wanted, c->entry, c->entry_count, sizeof(wanted), entry_compare);
	return e ? e->us : 0;
}

static void log_write(struct chaos *c, const char *line, int len)
{
	if (write(c->log_fd, line, (size_t)len) == len || atomic_exchange(&c->log_failed, true))
		return;
	log_warn("--chaos: the log has a gap: %s", strerror(errno));
}

u32 chaos_decide(struct chaos *c, u32 relid, enum chaos_point point, u64 n)
{
	u32 us = c->replaying ? decide_by_log(c, relid, point, n)
			      : decide_by_seed(c, relid, point, n);
	char line[LINE_MAX_BYTES];

	if (us && c->logging)
		log_write(c, line,
			  snprintf(line, sizeof(line), "%u %s %" PRIu64 " %u\n", relid,
				   names[point], n, us));
	return us;
}

/* ---- Logs ------------------------------------------------------------------------------------ */

int chaos_log(struct chaos *c, const char *file)
{
	char line[LINE_MAX_BYTES];

	c->log_fd = open(
		file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		0666);
	if (c->log_fd < 0)
		return -errno;
	c->logging = true;
	log_write(c, line, snprintf(line, sizeof(line), HEADER_FORMAT "\n", c->seed, c->rate));
	return 0;
}

/* The next word of *text up to a blank, cut off; NULL: none. */
static char *next_word(char **text)
{
	char *word;

	do
		word = strsep(text, " \t\r");
	while (word && !*word);
	return word;
}

static bool next_number(char **text, u64 max, u64 *number)
{
	const char *word = next_word(text);

	if (!word || word[strspn(word, "0123456789")])
		return false;
	errno = 0;
	*number = strtoull(word, NULL, 10);
	return !errno && *number <= max;
}

static bool next_point(char **text, u32 *point)
{
	const char *word = next_word(text);

	for (u32 i = 0; word && i < CHAOS_POINTS; i++) {
		*point = i;
		if (!strcmp(word, names[i]))
			return true;
	}
	return false;
}

/* What is wrong with a line, or NULL: *e is what it says. */
static const char *entry_parse(char *line, struct chaos_entry *e)
{
	u64 relid, us;

	if (!next_number(&line, UINT32_MAX, &relid))
		return "it does not begin with a channel's number";
	if (!next_point(&line, &e->point))
		return "its second word is no point of disturbance";
	if (!next_number(&line, UINT64_MAX, &e->n))
		return "its third word is no number";
	if (!next_number(&line, CHAOS_DELAY_MAX_US, &us) || !us)
		return "its delay is no number from 1 to 20000 (us)";
	if (next_word(&line))
		return "it is too long";
	e->relid = (u32)relid;
	e->us = (u32)us;
	return NULL;
}

static bool header_parse(struct chaos *c, const char *line)
{
	int end = 0;

	return line && sscanf(line, HEADER_FORMAT "%n", &c->seed, &c->rate, &end) == 2 && end &&
	       !line[end + (line[end] == '\r')] && c->rate <= CHAOS_RATE_MAX;
}

static int fail_line(const char *file, unsigned long number, const char *why, char *error,
		     size_t size)
{
	snprintf(error, size, "%s: line %lu: %s", file, number, why);
	return -EINVAL;
}

/* Room for one more. */
static int entries_grow(struct chaos *c)
{
	size_t count = c->entry_count;
	struct chaos_entry *more;

	/* Powers of two are full. */
	if (count & (count - 1))
		return 0;
	more = realloc(c->entry, MAX(2 * count, (size_t)1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	c->entry = more;
	return 0;
}

/* text is a whole log, and is cut to pieces. */
static int log_parse(struct chaos *c, const char *file, char *text, char *error, size_t size)
{
	char *line = strsep(&text, "\n");

	if (!header_parse(c, line))
		return fail_line(file, 1, "no log of --chaos begins like that", error, size);
	for (unsigned long number = 2; (line = strsep(&text, "\n")); number++) {
		const char *why;

		if (!line[strspn(line, " \t\r")] || *line == '#')
			continue;
		if (c->entry_count == CHAOS_REPLAY_MAX)
			return fail_line(file, number, "there are too many", error, size);
		if (entries_grow(c)) {
			snprintf(error, size, "%s: out of memory", file);
			return -ENOMEM;
		}
		why = entry_parse(line, &c->entry[c->entry_count]);
		if (why)
			return fail_line(file, number, why, error, size);
		c->entry_count++;
	}
	if (c->entry_count)
		qsort(c->entry, c->entry_count, sizeof(*c->entry), entry_compare);
	return 0;
}

/* The whole of a regular file as a string; the caller frees it. NULL with errno. */
static char *file_read(const char *file)
{
	FILE *f = fopen(file, "re");
	char *text = NULL;
	struct stat st;

	if (!f)
		return NULL;
	if (fstat(fileno(f), &st) || !S_ISREG(st.st_mode) ||
	    st.st_size > (off_t)CHAOS_REPLAY_MAX * LINE_MAX_BYTES)
		errno = EINVAL;
	else
		text = calloc(1, (size_t)st.st_size + 1);
	if (text && fread(text, 1, (size_t)st.st_size, f) != (size_t)st.st_size) {
		free(text);
		text = NULL;
		errno = EIO;
	}
	/* What follows a zero would be read as nothing. */
	if (text && strlen(text) != (size_t)st.st_size) {
		free(text);
		text = NULL;
		errno = EINVAL;
	}
	fclose(f);
	return text;
}

int chaos_replay(struct chaos *c, const char *file, char *error, size_t error_size)
{
	char *text = file_read(file);
	int err = -errno;

	c->replaying = true;
	if (!text) {
		snprintf(error, error_size, "%s: %s", file,
			 err == -EINVAL ? "it is no log of --chaos" : strerror(-err));
		return err;
	}
	err = log_parse(c, file, text, error, error_size);
	free(text);
	return err;
}

void chaos_fini(struct chaos *c)
{
	if (c->logging)
		close(c->log_fd);
	free(c->entry);
	*c = (struct chaos){ 0 };
}
