/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long a test waits for what must come. It measures nothing: a machine may be slow, and busy
 * with other things, and only what never comes takes as long.
 */
#ifndef TESTS_PATIENCE_H
#define TESTS_PATIENCE_H

#include "base/loop.h"

#define PATIENCE_S 120u /* for alarm() */
#define PATIENCE_NS (PATIENCE_S * NSEC_PER_SEC)

/* When it ends, by loop_now_ns(). */
static inline u64 patience_end(void)
{
	return loop_now_ns() + PATIENCE_NS;
}

#endif
