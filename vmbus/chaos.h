/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chaos: what a host may do at any time and seldom does, on purpose. Here it is decided whether
 * something is to be late, and by how much; late.c does it.
 *
 * Decision n of a stream is a function of the seed, the stream and n alone, where a stream is a
 * channel's relid (0: the bus's own messages) and a point. So it matters neither how threads
 * interleave nor what became of other decisions: with the same seed the n-th packet of a channel
 * meets the same fate in every run.
 *
 * A log has a line of its own for what it comes from and one for each disturbance:
 *
 *	candela chaos 1 seed=7 rate=50
 *	2 commit 1234 350
 *
 * relid, point, n and us. Replaying a log does what its lines say and nothing else: lines may be
 * taken out of it. Blank lines, and those that begin with #, say nothing.
 */
#ifndef VMBUS_CHAOS_H
#define VMBUS_CHAOS_H

#include <stdatomic.h>

#include "base/types.h"

#define CHAOS_RATE_MAX 1000u /* of 1,000 decisions, how many disturb */
#define CHAOS_RATE_DEFAULT 50u
#define CHAOS_DELAY_MIN_US 10u /* of a delay; each doubling of it is as likely as the others */
#define CHAOS_DELAY_MAX_US 20000u
#define CHAOS_REPLAY_MAX (4u << 20) /* lines of a log */

enum chaos_point {
	CHAOS_MESSAGE_OUT, /* a message to the guest waits, those behind it with it */
	CHAOS_MESSAGE_IN, /* a message of the guest's is looked at late, those behind it too */
	CHAOS_RESCIND, /* a channel is served no more, and the guest told so late */
	CHAOS_SIGNAL, /* a signal of the guest's is acted on late */
	CHAOS_DRAIN, /* the host stops receiving behind a packet, and goes on late */
	CHAOS_ROOM, /* there is no room for a packet to the guest, although there is */
	CHAOS_COMMIT, /* a packet to the guest becomes visible late, those behind it with it */
	CHAOS_INTERRUPT, /* the guest is interrupted late */
	CHAOS_POINTS
};

/* A line of a log. */
struct chaos_entry {
	u64 n;
	u32 relid, point, us;
};

/* Zeroed is valid: nothing is ever late. */
struct chaos {
	u64 seed;
	u32 rate; /* of CHAOS_RATE_MAX */
	u32 delay_max_us; /* 0: CHAOS_DELAY_MAX_US; not below CHAOS_DELAY_MIN_US */
	bool logging, replaying;
	int log_fd;
	struct chaos_entry *entry; /* replaying: sorted */
	size_t entry_count;
	_Atomic bool log_failed;
};

/*
 * What to do at decision n of a stream: 0, or how late it is to be in us. Logged where there is a
 * log, and then a system call; else pure. Any thread.
 */
u32 chaos_decide(struct chaos *c, u32 relid, enum chaos_point point, u64 n);

/* "commit" and so on; as in logs. */
const char *chaos_point_name(enum chaos_point point);

/*
 * Logs from now on into a new file. 0 or -errno. Before there are threads; a forked process goes
 * on with it.
 */
int chaos_log(struct chaos *c, const char *file);

/*
 * Takes the disturbances out of a log, and seed and rate for its successor's first line. 0;
 * -EINVAL, -ENOMEM or another -errno, with a sentence in error that begins with the file's name and
 * names the line.
 */
int chaos_replay(struct chaos *c, const char *file, char *error, size_t error_size);

void chaos_fini(struct chaos *c);

#endif
