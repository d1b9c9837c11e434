/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes in order, for state that outlives the process: integers of fixed width, little-endian
 * whatever the host, byte strings, and sections that know their length. Writing grows a buffer;
 * reading never leaves what it was given. Both remember the first thing that went wrong, so that a
 * caller may go on and ask once at the end. Not shared between threads.
 *
 *	section	u32 type, u32 bytes that follow, the bytes
 *
 * A section whose type has STREAM_OPTIONAL set may be passed over by who does not know it; any
 * other unknown one makes the stream unreadable. What else a reader leaves of a section is an error
 * (stream_done()): a section grows by optional ones at its end, or with another version of the
 * whole.
 */
#ifndef BASE_STREAM_H
#define BASE_STREAM_H

#include "base/types.h"

#define STREAM_OPTIONAL 0x80000000u

/* ---- Writing --------------------------------------------------------------------------------- */

/* Zeroed is valid: empty. */
struct stream_out {
	u8 *bytes; /* len of them; the stream's own until stream_free() */
	size_t len, room;
	int err; /* 0, or -ENOMEM: bytes are missing */
};

void stream_free(struct stream_out *s);

void stream_put_u8(struct stream_out *s, u8 v);
void stream_put_u16(struct stream_out *s, u16 v);
void stream_put_u32(struct stream_out *s, u32 v);
void stream_put_u64(struct stream_out *s, u64 v);
void stream_put_bytes(struct stream_out *s, const void *bytes, size_t len);

/* Begins a section; the mark is for stream_end(), which writes its length. They nest. */
size_t stream_begin(struct stream_out *s, u32 type);
void stream_end(struct stream_out *s, size_t mark);

/* Writes v over the 4 or 8 bytes there are at `at`; nothing where they are not. */
void stream_patch_u32(struct stream_out *s, size_t at, u32 v);
void stream_patch_u64(struct stream_out *s, size_t at, u64 v);

/* ---- Reading --------------------------------------------------------------------------------- */

struct stream_in {
	const u8 *at;
	size_t left;
	bool bad; /* something was not there: what was read since is 0 */
};

u8 stream_get_u8(struct stream_in *s);
u16 stream_get_u16(struct stream_in *s);
u32 stream_get_u32(struct stream_in *s);
u64 stream_get_u64(struct stream_in *s);
/* A bool: anything but 0 and 1 is bad. */
bool stream_get_bool(struct stream_in *s);
/* Zeroes buf where there are not so many. */
void stream_get_bytes(struct stream_in *s, void *buf, size_t len);

/*
 * The next section, which must be of this type, optional ones before it passed over; and s stands
 * behind it. Bad (and empty) where it is another, or not all there; s is bad then, too.
 */
struct stream_in stream_get_section(struct stream_in *s, u32 type);

/* Passes over optional sections at the end. Whether all was read and nothing went wrong. */
bool stream_done(struct stream_in *s);

/* ---- Checksum -------------------------------------------------------------------------------- */

/* CRC-32 (IEEE 802.3): against accidents, not against malice. */
u32 stream_crc32(const void *bytes, size_t len);

#endif
