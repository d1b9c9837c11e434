/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GUIDs as they lie in memory on Hyper-V: the first three groups little-endian, the rest as
 * written. GUID(...) takes the five groups of the usual text form, the last two as bytes.
 */
#ifndef BASE_GUID_H
#define BASE_GUID_H

#include <string.h>

#include "base/types.h"

struct guid {
	u8 b[16];
};

#define GUID(a, b_, c, d0, d1, d2, d3, d4, d5, d6, d7)                                            \
	((struct guid){ { (u8)(a), (u8)((a) >> 8), (u8)((a) >> 16), (u8)((a) >> 24), (u8)(b_),    \
			  (u8)((b_) >> 8), (u8)(c), (u8)((c) >> 8), (d0), (d1), (d2), (d3), (d4), \
			  (d5), (d6), (d7) } })

static inline bool guid_equal(const struct guid *a, const struct guid *b)
{
	return !memcmp(a, b, sizeof(*a));
}

#endif
