/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each decoder works from memory to memory. None of the formats promises to say how large the
 * result is, so a buffer that proves too small is doubled and the work done again.
 */
#include "images/init/unpack.h"

#include <errno.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* 0 and *used, -ENOSPC where cap is too small, -EBADMSG, -ENOMEM. */
typedef int (*decoder)(const u8 *in, size_t len, u8 *out, size_t cap, size_t *used);

static int decode_xz(const u8 *in, size_t len, u8 *out, size_t cap, size_t *used)
{
	uint64_t memory = UINT64_MAX;
	size_t in_pos = 0;

	*used = 0;
	switch (lzma_stream_buffer_decode(&memory, 0, NULL, in, &in_pos, len, out, used, cap)) {
	case LZMA_OK:
		return 0;
	case LZMA_BUF_ERROR:
		return -ENOSPC;
	case LZMA_MEM_ERROR:
		return -ENOMEM;
	default:
		return -EBADMSG;
	}
}

static int decode_zstd(const u8 *in, size_t len, u8 *out, size_t cap, size_t *used)
{
	size_t n = ZSTD_decompress(out, cap, in, len);

	if (!ZSTD_isError(n)) {
		*used = n;
		return 0;
	}
	/* The stable part of the API tells errors apart by words only. */
	return strstr(ZSTD_getErrorName(n), "buffer is too small") ? -ENOSPC : -EBADMSG;
}

static int decode_gzip(const u8 *in, size_t len, u8 *out, size_t cap, size_t *used)
{
	z_stream s = {
		.next_in = (u8 *)(uintptr_t)in,
		.avail_in = (uInt)len,
		.next_out = out,
		.avail_out = (uInt)cap,
	};
	int ret;

	if (inflateInit2(&s, 16 + MAX_WBITS) != Z_OK)
		return -ENOMEM;
	ret = inflate(&s, Z_FINISH);
	*used = s.total_out;
	inflateEnd(&s);
	if (ret == Z_STREAM_END)
		return 0;
	return (ret == Z_OK || ret == Z_BUF_ERROR) && !s.avail_out ? -ENOSPC : -EBADMSG;
}

static decoder decoder_of(const u8 *in, size_t len)
{
	static const struct {
		u8 magic[6];
		u8 len;
		decoder decode;
	} format[] = {
		{ { 0xfd, '7', 'z', 'X', 'Z', 0 }, 6, decode_xz },
		{ { 0x28, 0xb5, 0x2f, 0xfd }, 4, decode_zstd },
		{ { 0x1f, 0x8b }, 2, decode_gzip },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(format); i++)
		if (len >= format[i].len && !memcmp(in, format[i].magic, format[i].len))
			return format[i].decode;
	return NULL;
}

int unpack(const void *in, size_t len, void **out, size_t *out_len)
{
	decoder decode = decoder_of(in, len);

	if (!decode)
		return -ENODATA;
	if (len > UNPACK_MAX)
		return -EFBIG;
	for (size_t cap = MAX(8 * len, (size_t)KiB(64)); cap <= UNPACK_MAX; cap *= 2) {
		void *buf = malloc(cap);
		int err = buf ? decode(in, len, buf, cap, out_len) : -ENOMEM;

		if (!err) {
			*out = buf;
			return 0;
		}
		free(buf);
		if (err != -ENOSPC)
			return err;
	}
	return -EFBIG;
}
