/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A clock that the test moves, in place of the host's CLOCK_MONOTONIC, so that no test about time
 * depends on how fast the machine is. Programs that link it have clock_gettime() and the waits of
 * loops from here; until still_clock_begin() they are the host's.
 */
#ifndef TESTS_STILL_CLOCK_H
#define TESTS_STILL_CLOCK_H

#include "base/types.h"

/*
 * From here on time passes only as told, and when a loop waits: with nothing to do its wait is over
 * at once, and the clock as much further.
 */
void still_clock_begin(void);
/* ns later. Any thread. */
void still_clock_pass(u64 ns);
/* The host's clock again, which may be behind. */
void still_clock_end(void);

#endif
