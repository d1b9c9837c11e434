/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * --result FILE: how a run ended, as one JSON object for scripts. An exit status of 1 to 4 or 124
 * may be a command's own; `reason` tells them apart. Keys, always all of them:
 *
 *	candela  the program's version
 *	reason   "poweroff", "command", "debug-exit", "reboot", "panic", "timeout", "host", "usage",
 *	         "signal"
 *	status   the exit status
 *	detail   one line for people, "" where there is nothing to say
 *	hyperv   the back end: "kernel" or "user"; null where no guest was started
 *	vmbus    the version the guest chose, such as "5.3"; null where it never connected
 *	channels of its last start: for each VMBus channel it opened an object with `device`,
 *	         `relid`, `sub` (0: the primary channel), and counts of `packets_in`, `bytes_in`
 *	         (from the guest), `packets_out`, `bytes_out`, `signals`, `interrupts` and
 *	         `throttled`
 *	disks    of its last start: for each disk an object with its `name`, `throttled` (requests
 *	         that waited for its limit), and `read`, `write`, `flush`, `discard` and
 *	         `write_zeroes`, each with counts of `ops`, `bytes`, `errors` and `latency`: how
 *	         many took less than 1 us, 1 to 2 us, 2 to 4 us ... up to the longest there was
 */
#ifndef CLI_RESULT_H
#define CLI_RESULT_H

#include "base/types.h"
#include "machine.h"

struct result {
	enum outcome_reason reason;
	int status;
	const char *detail;
	u32 vmbus_version; /* 0x00050003 for 5.3; 0: none */
	const char *hyperv; /* "": none */
	const struct outcome_channel *channel;
	unsigned channel_count;
	const struct outcome_disk *disk;
	unsigned disk_count;
};

/* "poweroff", "command" ... */
const char *result_reason_name(enum outcome_reason reason);

/* Whether result_write() to path looks possible, before there is anything to write. 0 or -errno. */
int result_check(const char *path);

/*
 * Writes r to path. An old file is replaced as a whole or not at all; what is no regular file (a
 * pipe), or is what our stdout or stderr goes to (/dev/stdout), is written to. 0 or -errno.
 */
int result_write(const char *path, const struct result *r);

#endif
