/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log of a dm-log-writes target (Linux, drivers/md/dm-log-writes.c): what was written below it,
 * in the order in which it became durable. A write goes into the log when it ends with FUA, or when
 * a FLUSH that was asked for after its end has ended. So the log is groups of writes with a FLUSH
 * behind them, single writes with FUA, and marks; what lies before the end of one of those was
 * durable at a moment of the run when the group that follows was not, any part of which may have
 * been.
 *
 *	cut_log mark LINES NAME...        copies whole lines from stdin to the file LINES, each with
 *	                                  a number before it, which is a mark in the targets' logs
 *	cut_log plan LOG MARK COUNT SEED DISK <LINES
 *	                                  at most COUNT moments behind that mark, the last of all,
 *	                                  and random ones, half of them right behind a mark, and
 *	                                  there one where the log does not have all yet that the
 *	                                  lines say of DISK, if any is: lines "ENTRY MARK",
 *	                                  ascending, ENTRY the first not durable, MARK the last
 *	                                  before; first a line on the log
 *	cut_log apply LOG IMAGE FROM TO   carries out what is durable from entry FROM to before TO
 *	cut_log tear LOG IMAGE ENTRY SEED carries out a random part of the group at ENTRY, by 4 KiB
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/dm-ioctl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/boot/cut.h"

#define MAGIC 0x6a736677736872ull
#define FLUSH 1u
#define FUA 2u
#define DISCARD 4u
#define MARK 8u

/* The smallest block of a file system's; and what tells whose it is. */
#define FS_BLOCK 1024u
#define HEAD ((ssize_t)offsetof(struct cut_block, noise))

struct super {
	uint64_t magic, version, entries;
	uint32_t sector;
};

struct entry {
	uint64_t sector, sectors, flags, length;
};

struct log {
	int fd;
	uint64_t count, sector; /* bytes */
	struct entry *entries;
	uint64_t *data; /* where in the log */
	uint64_t *marks; /* the last before each entry; 0: none */
	bool *lacks; /* a mark before which not all is durable that was said before it */
	uint64_t said, early; /* lines that tell of data, and those that made it so */
};

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "cut_log: %s: %s\n", what, errno ? strerror(errno) : "not as it must be");
	exit(2);
}

static void must(bool good, const char *what)
{
	if (!good)
		die(what);
}

static uint64_t number(const char *text)
{
	return strtoull(text, NULL, 10);
}

/* ---- Marks ---- */

static void mark_one(int control, const char *name, uint64_t mark)
{
	struct {
		struct dm_ioctl dm;
		uint64_t sector;
		char message[64];
	} m = { .dm = { .version = { DM_VERSION_MAJOR, 0, 0 },
			.data_size = sizeof(m),
			.data_start = sizeof(m.dm) } };

	snprintf(m.dm.name, sizeof(m.dm.name), "%s", name);
	snprintf(m.message, sizeof(m.message), "mark %llu", (unsigned long long)mark);
	must(!ioctl(control, DM_TARGET_MSG, &m), name);
}

static void note_lines(FILE *lines, const char *text, size_t len, uint64_t mark)
{
	while (len) {
		size_t line = (size_t)((const char *)memchr(text, '\n', len) - text) + 1;

		fprintf(lines, "%llu %.*s", (unsigned long long)mark, (int)line, text);
		text += line;
		len -= line;
	}
	fflush(lines);
}

/* Those that were read at once get one mark, made after they were read. */
static int mark(char **names)
{
	int control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	FILE *lines = fopen(names[0], "a");
	char buf[65536];
	size_t held = 0;
	uint64_t count = 0;
	ssize_t n;

	must(control >= 0 && lines, "cannot begin");
	while ((n = read(STDIN_FILENO, buf + held, sizeof(buf) - held)) > 0) {
		const char *end = memrchr(buf + held, '\n', (size_t)n);
		size_t len = end ? (size_t)(end - buf) + 1 : 0;

		held += (size_t)n;
		if (!len)
			continue;
		count++;
		for (char **name = names + 1; *name; name++)
			mark_one(control, *name, count);
		note_lines(lines, buf, len, count);
		memmove(buf, buf + len, held -= len);
	}
	return 0;
}

/* ---- The log ---- */

static void log_read_entry(struct log *l, uint64_t i, uint64_t *at, uint64_t *last_mark)
{
	struct entry *e = &l->entries[i];
	char sector[4096] = "";

	must(pread(l->fd, sector, l->sector, (off_t)*at) == (ssize_t)l->sector, "log");
	memcpy(e, sector, sizeof(*e));
	l->marks[i] = *last_mark;
	if (e->flags & MARK && e->length < 32)
		*last_mark = number(sector + sizeof(*e));
	*at += l->sector;
	l->data[i] = *at;
	if (!(e->flags & DISCARD))
		*at += e->sectors * l->sector;
}

/* The last mark is the target's own, behind what was never flushed. */
static struct log log_open(const char *path)
{
	struct log l = { .fd = open(path, O_RDONLY | O_CLOEXEC) };
	uint64_t at, last_mark = 0;
	struct super s;

	must(l.fd >= 0, path);
	must(pread(l.fd, &s, sizeof(s), 0) == sizeof(s) && s.magic == MAGIC && s.version == 1,
	     path);
	l.sector = at = s.sector;
	l.count = s.entries;
	l.entries = calloc(l.count + 1, sizeof(*l.entries));
	l.data = calloc(l.count + 1, sizeof(*l.data));
	l.marks = calloc(l.count + 1, sizeof(*l.marks));
	l.lacks = calloc(l.count + 1, sizeof(*l.lacks));
	must(l.entries && l.data && l.marks && l.lacks && l.sector <= 4096, "memory");
	for (uint64_t i = 0; i < l.count; i++)
		log_read_entry(&l, i, &at, &last_mark);
	must(l.count && l.entries[l.count - 1].flags & MARK, "the end of the log");
	l.count--;
	return l;
}

static void log_close(struct log *l)
{
	free(l->entries);
	free(l->data);
	free(l->marks);
	free(l->lacks);
	close(l->fd);
}

/* ---- What was said too early ---- */

/*
 * The blocks of the load's files tell whose they are, so the log itself shows when what a sync was
 * to cover became durable: all syncs are looked up there, not those of some moments only. That the
 * rest of each block is there, too, and what the file system needs to find it, a moment must show.
 */
struct known {
	uint64_t file, number;
	uint64_t version; /* the latest; 0: none is durable yet */
};

struct ledger {
	struct known *slots;
	uint64_t count;
};

/* Those bytes of the file, whole blocks but for the end, are of that version or a later one. */
struct claim {
	uint64_t mark, first, end, version;
	char name[64];
};

static uint64_t entry_bytes(const struct log *l, uint64_t i)
{
	return l->entries[i].flags & (MARK | DISCARD) ? 0 : l->entries[i].sectors * l->sector;
}

/* As many slots as could be filled, and as many empty ones. */
static struct ledger ledger_make(const struct log *l)
{
	struct ledger d = { .count = 1 };

	for (uint64_t i = 0; i < l->count; i++)
		d.count += 2 * (entry_bytes(l, i) / FS_BLOCK + 1);
	d.slots = calloc(d.count, sizeof(*d.slots));
	must(d.slots, "memory");
	return d;
}

static struct known *ledger_slot(const struct ledger *d, uint64_t file, uint64_t number)
{
	uint64_t state = file ^ number, i = cut_random(&state) % d->count;

	while (d->slots[i].version && (d->slots[i].file != file || d->slots[i].number != number))
		i = (i + 1) % d->count;
	return &d->slots[i];
}

/* The load's blocks that begin in entry i. */
static void ledger_note(const struct ledger *d, const struct log *l, uint64_t i)
{
	uint64_t len = entry_bytes(l, i), begin = l->entries[i].sector * l->sector;

	for (uint64_t at = -begin % FS_BLOCK; at + HEAD <= len; at += FS_BLOCK) {
		struct cut_block b;
		struct known *k;

		must(pread(l->fd, &b, HEAD, (off_t)(l->data[i] + at)) == HEAD, "log");
		if (!cut_whole(&b, HEAD, b.file, b.number, b.version, b.size))
			continue;
		k = ledger_slot(d, b.file, b.number);
		if (b.version > k->version)
			*k = (struct known){ b.file, b.number, b.version };
	}
}

/* Whether all blocks are there; of a last one of a few bytes it cannot be told. */
static bool ledger_holds(const struct ledger *d, const struct claim *c)
{
	for (uint64_t i = c->first; i * CUT_BLOCK + HEAD <= c->end; i++)
		if (ledger_slot(d, cut_name(c->name), i)->version < c->version)
			return false;
	return true;
}

/* False: the line is another disk's, or tells of no data. */
static bool claim_read(struct claim *c, const char *line, const char *disk_wanted)
{
	char disk[32], what[32];
	uint64_t v[3] = { 0 };

	if (sscanf(line, "%" SCNu64 " %31s %31s %63s %" SCNu64 " %" SCNu64 " %" SCNu64, &c->mark,
		   disk, what, c->name, &v[0], &v[1], &v[2]) < 5 ||
	    strcmp(disk, disk_wanted))
		return false;
	c->first = 0;
	c->version = v[0];
	c->end = v[1];
	if (!strcmp(what, "blocks")) {
		c->first = v[0];
		c->end = (v[0] + v[1]) * CUT_BLOCK;
		c->version = v[2];
	} else if (!strcmp(what, "grown")) {
		c->version = 1;
		c->end = v[0];
	}
	return true;
}

/* Looks up what the lines on stdin say of the disk. */
static void log_compare(struct log *l, const char *disk)
{
	struct ledger d = ledger_make(l);
	struct claim c;
	char line[512];
	uint64_t i = 0;

	while (fgets(line, sizeof(line), stdin)) {
		if (!claim_read(&c, line, disk))
			continue;
		while (i < l->count && l->marks[i] < c.mark)
			ledger_note(&d, l, i++);
		if (l->marks[i] < c.mark)
			break;
		l->said++;
		if (ledger_holds(&d, &c))
			continue;
		l->early++;
		l->lacks[i - 1] = true;
	}
	free(d.slots);
}

/* ---- Moments ---- */

static void describe(const struct log *l)
{
	uint64_t writes = 0, bytes = 0, flushes = 0, fuas = 0, discards = 0, marks = 0;

	for (uint64_t i = 0; i < l->count; i++) {
		uint64_t flags = l->entries[i].flags;

		marks += !!(flags & MARK);
		flushes += !!(flags & FLUSH);
		discards += !!(flags & DISCARD);
		fuas += !!(flags & FUA);
		writes += !(flags & (MARK | DISCARD)) && l->entries[i].sectors;
		bytes += flags & DISCARD ? 0 : l->entries[i].sectors * l->sector;
	}
	printf("log: %llu writes (%llu MiB), %llu with FUA, %llu flushes, %llu discards, %llu "
	       "marks; %llu syncs looked up, %llu said too early\n",
	       (unsigned long long)writes, (unsigned long long)bytes >> 20,
	       (unsigned long long)fuas, (unsigned long long)flushes, (unsigned long long)discards,
	       (unsigned long long)marks, (unsigned long long)l->said,
	       (unsigned long long)l->early);
}

/* Right behind a write or flush; a mark; a mark that came too early, if any did, else a mark. */
enum moment { WRITTEN, MARKED, LACKING };

/* Whether all before entry i is durable, and what begins there is a group, or nothing. */
static bool is_moment(const struct log *l, uint64_t i)
{
	return i && l->entries[i - 1].flags & (FLUSH | FUA | MARK);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool is_wanted(const struct log *l, uint64_t i, enum moment what)
{
	bool marked = i && l->entries[i - 1].flags & MARK;

	return is_moment(l, i) && marked == (what != WRITTEN) &&
	       (what != LACKING || l->lacks[i - 1]);
}

/* A moment behind first; first where there is none such. */
static uint64_t moment_choose(const struct log *l, uint64_t first, enum moment what,
			      uint64_t *random)
{
	uint64_t count = 0, i;

	for (i = first; i <= l->count; i++)
		count += is_wanted(l, i, what);
	if (!count)
		return what == LACKING ? moment_choose(l, first, MARKED, random) : first;
	count = cut_random(random) % count;
	for (i = first; !is_wanted(l, i, what) || count--; i++)
		;
	return i;
}

static uint64_t moment_last(const struct log *l, uint64_t first)
{
	uint64_t i = l->count;

	while (i > first && !is_moment(l, i))
		i--;
	return i;
}

static int plan(const char *path, uint64_t mark_wanted, uint64_t count, uint64_t random,
		const char *disk)
{
	struct log l = log_open(path);
	uint64_t first = 1, last = UINT64_MAX, *chosen = calloc(count + 1, sizeof(*chosen));

	must(chosen, "memory");
	log_compare(&l, disk);
	describe(&l);
	while (first < l.count && l.marks[first] < mark_wanted)
		first++;
	must(first < l.count, "the mark");
	chosen[0] = moment_last(&l, first);
	for (uint64_t i = 1; i < count; i++) {
		chosen[i] = moment_choose(&l, first, i % 2 ? LACKING : WRITTEN, &random);
		l.lacks[chosen[i] - 1] = false;
	}
	qsort(chosen, count, sizeof(*chosen), compare);
	for (uint64_t i = 0; i < count; i++) {
		if (chosen[i] != last)
			printf("%llu %llu\n", (unsigned long long)chosen[i],
			       (unsigned long long)l.marks[chosen[i]]);
		last = chosen[i];
	}
	free(chosen);
	log_close(&l);
	return 0;
}

/* ---- Carrying out ---- */

static void carry_out(const struct log *l, int image, uint64_t i, uint64_t skip, uint64_t len)
{
	const struct entry *e = &l->entries[i];
	off_t to = (off_t)(e->sector * l->sector + skip);
	static char buf[1 << 16];

	if (e->flags & DISCARD) {
		must(!fallocate(image, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, to, (off_t)len),
		     "hole");
		return;
	}
	for (uint64_t done = 0, n; done < len; done += n) {
		n = len - done < sizeof(buf) ? len - done : sizeof(buf);
		must(pread(l->fd, buf, n, (off_t)(l->data[i] + skip + done)) == (ssize_t)n, "log");
		must(pwrite(image, buf, n, to + (off_t)done) == (ssize_t)n, "image");
	}
}

static int image_open(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	must(fd >= 0, path);
	return fd;
}

static int apply(const char *path, const char *image, uint64_t from, uint64_t to)
{
	struct log l = log_open(path);
	int fd = image_open(image);

	must(to <= l.count, "entry");
	for (uint64_t i = from; i < to; i++)
		if (l.entries[i].sectors)
			carry_out(&l, fd, i, 0, l.entries[i].sectors * l.sector);
	log_close(&l);
	return 0;
}

/* Whole entries, and of others pieces; how much of it all is left to chance, too. */
static void tear_entry(const struct log *l, int image, uint64_t i, uint64_t percent,
		       uint64_t *random)
{
	uint64_t len = l->entries[i].sectors * l->sector;
	bool pieces = cut_random(random) % 2;

	for (uint64_t at = 0, n; at < len; at += n) {
		n = pieces && len - at > CUT_BLOCK ? CUT_BLOCK : len - at;
		if (cut_random(random) % 100 < percent)
			carry_out(l, image, i, at, n);
	}
}

static int tear(const char *path, const char *image, uint64_t at, uint64_t random)
{
	struct log l = log_open(path);
	int fd = image_open(image);
	uint64_t percent = cut_random(&random) % 101;

	for (uint64_t i = at; i < l.count && !(l.entries[i].flags & (FLUSH | FUA | MARK)); i++)
		tear_entry(&l, fd, i, percent, &random);
	log_close(&l);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 3 && !strcmp(argv[1], "mark"))
		return mark(argv + 2);
	if (argc == 7 && !strcmp(argv[1], "plan"))
		return plan(argv[2], number(argv[3]), number(argv[4]), number(argv[5]), argv[6]);
	if (argc == 6 && !strcmp(argv[1], "apply"))
		return apply(argv[2], argv[3], number(argv[4]), number(argv[5]));
	if (argc == 6 && !strcmp(argv[1], "tear"))
		return tear(argv[2], argv[3], number(argv[4]), number(argv[5]));
	fprintf(stderr, "usage: cut_log mark|plan|apply|tear ..., see tests/boot/cut_log.c\n");
	return 2;
}
