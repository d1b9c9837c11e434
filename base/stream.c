/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 4096u

/* ---- Writing --------------------------------------------------------------------------------- */

void stream_free(struct stream_out *s)
{
	free(s->bytes);
	*s = (struct stream_out){ 0 };
}

/* Room for len more bytes, or NULL. */
static u8 *stream_grow(struct stream_out *s, size_t len)
{
	size_t room = s->room ? s->room : ROOM_FIRST;
	u8 *bytes;

	if (s->err)
		return NULL;
	while (room - s->len < len)
		room *= 2;
	if (room != s->room) {
		bytes = realloc(s->bytes, room);
		if (!bytes) {
			s->err = -ENOMEM;
			return NULL;
		}
		s->bytes = bytes;
		s->room = room;
	}
	s->len += len;
	return s->bytes + s->len - len;
}

static void put_le(u8 *to, u64 v, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		to[i] = (u8)(v >> 8 * i);
}

static void stream_put(struct stream_out *s, u64 v, unsigned size)
{
	u8 *to = stream_grow(s, size);

	if (to)
		put_le(to, v, size);
}

void stream_put_u8(struct stream_out *s, u8 v)
{
	stream_put(s, v, sizeof(v));
}

void stream_put_u16(struct stream_out *s, u16 v)
{
	stream_put(s, v, sizeof(v));
}

void stream_put_u32(struct stream_out *s, u32 v)
{
	stream_put(s, v, sizeof(v));
}

void stream_put_u64(struct stream_out *s, u64 v)
{
	stream_put(s, v, sizeof(v));
}

void stream_put_bytes(struct stream_out *s, const void *bytes, size_t len)
{
	u8 *to = len ? stream_grow(s, len) : NULL;

	if (to)
		memcpy(to, bytes, len);
}

size_t stream_begin(struct stream_out *s, u32 type)
{
	stream_put_u32(s, type);
	stream_put_u32(s, 0);
	return s->len;
}

void stream_end(struct stream_out *s, size_t mark)
{
	stream_patch_u32(s, mark - sizeof(u32), (u32)(s->len - mark));
}

static void stream_patch(struct stream_out *s, size_t at, u64 v, unsigned size)
{
	if (!s->err && at <= s->len && size <= s->len - at)
		put_le(s->bytes + at, v, size);
}

void stream_patch_u32(struct stream_out *s, size_t at, u32 v)
{
	stream_patch(s, at, v, sizeof(v));
}

void stream_patch_u64(struct stream_out *s, size_t at, u64 v)
{
	stream_patch(s, at, v, sizeof(v));
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* The next len bytes, or NULL. */
static const u8 *stream_take(struct stream_in *s, size_t len)
{
	if (s->bad || len > s->left) {
		s->bad = true;
		return NULL;
	}
	s->at += len;
	s->left -= len;
	return s->at - len;
}

static u64 stream_get(struct stream_in *s, unsigned size)
{
	const u8 *from = stream_take(s, size);
	u64 v = 0;

	for (unsigned i = 0; from && i < size; i++)
		v |= (u64)from[i] << 8 * i;
	return v;
}

u8 stream_get_u8(struct stream_in *s)
{
	return (u8)stream_get(s, sizeof(u8));
}

u16 stream_get_u16(struct stream_in *s)
{
	return (u16)stream_get(s, sizeof(u16));
}

u32 stream_get_u32(struct stream_in *s)
{
	return (u32)stream_get(s, sizeof(u32));
}

u64 stream_get_u64(struct stream_in *s)
{
	return stream_get(s, sizeof(u64));
}

bool stream_get_bool(struct stream_in *s)
{
	u8 v = stream_get_u8(s);

	s->bad = s->bad || v > 1;
	return v == 1;
}

void stream_get_bytes(struct stream_in *s, void *buf, size_t len)
{
	const u8 *from = stream_take(s, len);

	if (!len)
		return;
	if (from)
		memcpy(buf, from, len);
	else
		memset(buf, 0, len);
}

struct stream_in stream_get_section(struct stream_in *s, u32 type)
{
	struct stream_in section = { .bad = true };
	const u8 *bytes;
	u32 got, len;

	do {
		got = stream_get_u32(s);
		len = stream_get_u32(s);
		bytes = stream_take(s, len);
	} while (bytes && got != type && got & STREAM_OPTIONAL);
	if (!bytes || got != type)
		s->bad = true;
	else
		section = (struct stream_in){ .at = bytes, .left = len };
	return section;
}

bool stream_done(struct stream_in *s)
{
	while (s->left && !s->bad) {
		u32 type = stream_get_u32(s), len = stream_get_u32(s);

		if (!stream_take(s, len) || !(type & STREAM_OPTIONAL))
			s->bad = true;
	}
	return !s->bad;
}

/* ---- Checksum -------------------------------------------------------------------------------- */

/* Half a byte at a time: small, and quick enough for what is read once. */
u32 stream_crc32(const void *bytes, size_t len)
{
	static const u32 table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
		0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	const u8 *at = bytes;
	u32 crc = ~0u;

	for (; len; len--, at++) {
		crc = table[(crc ^ *at) & 15] ^ (crc >> 4);
		crc = table[(crc ^ (*at >> 4)) & 15] ^ (crc >> 4);
	}
	return ~crc;
}
