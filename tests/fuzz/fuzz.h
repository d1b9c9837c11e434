/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What fuzz targets share. A target (NAME_fuzz.c) is one LLVMFuzzerTestOneInput(): it reads its
 * input as a program, operation by operation, against the product's libraries; there is no KVM,
 * no thread, and the clock stands still but where the program moves it, so that an input does the
 * same every time. A finding is whatever ends the process: a sanitizer, FUZZ_CHECK(), an input of
 * more than a second, an allocation beyond the target's limit (tests/fuzz/run).
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/types.h"

/* libFuzzer's, or replay.c's. 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the guest does. */
#define FUZZ_CHECK(what)                                                                          \
	do {                                                                                      \
		if (!(what)) {                                                                    \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what); \
			abort();                                                                  \
		}                                                                                 \
	} while (0)

/* What is left of an input; past its end everything reads as zero. */
struct fuzz_input {
	const u8 *at;
	size_t left;
};

static inline void fuzz_bytes(struct fuzz_input *in, void *to, size_t len)
{
	size_t n = MIN(len, in->left);

	memset(to, 0, len);
	if (n)
		memcpy(to, in->at, n);
	in->at += n;
	in->left -= n;
}

static inline u8 fuzz_u8(struct fuzz_input *in)
{
	u8 v;

	fuzz_bytes(in, &v, sizeof(v));
	return v;
}

static inline u16 fuzz_u16(struct fuzz_input *in)
{
	u16 v;

	fuzz_bytes(in, &v, sizeof(v));
	return v;
}

static inline u32 fuzz_u32(struct fuzz_input *in)
{
	u32 v;

	fuzz_bytes(in, &v, sizeof(v));
	return v;
}

static inline u64 fuzz_u64(struct fuzz_input *in)
{
	u64 v;

	fuzz_bytes(in, &v, sizeof(v));
	return v;
}

/* Evenly of [0, n), n <= 256. */
static inline u32 fuzz_below(struct fuzz_input *in, u32 n)
{
	return fuzz_u8(in) % n;
}

/* One time in n, or so. */
static inline bool fuzz_rarely(struct fuzz_input *in, u32 n)
{
	return fuzz_u8(in) % n == n - 1;
}

/* A number as a guest would choose it to do harm: small, near a power of two, or any. */
static inline u64 fuzz_value(struct fuzz_input *in)
{
	u8 kind = fuzz_u8(in);

	if (kind < 160)
		return kind;
	if (kind < 224)
		return (1ull << (kind - 160)) + (u64)(s64)(int8_t)fuzz_u8(in);
	return kind < 240 ? fuzz_u16(in) : kind < 248 ? fuzz_u32(in) : fuzz_u64(in);
}

#endif
