/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unpacking of kernel payloads, pure: bytes in, bytes out. Linux's build appends the unpacked size
 * to what the compressor wrote, but for gzip, whose own last field it is.
 *
 * Leaves out: bzip2 and LZO; such a kernel unpacks itself.
 */
#include "vmm/boot_internal.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#define SIZE_TRAILER 4

/* Of the xz decoder's dictionary; Linux's build takes 32 MiB at most. */
#define LZMA_MEMORY MiB(256)

static int gzip_unpack(const u8 *in, u64 in_len, u8 *out, u64 out_len)
{
	z_stream z = {
		.next_in = (Bytef *)(uintptr_t)in,
		.avail_in = (uInt)in_len,
		.next_out = out,
		.avail_out = (uInt)out_len,
	};
	int r;

	/* 16: with a gzip header */
	if (inflateInit2(&z, MAX_WBITS + 16) != Z_OK)
		return -ENOMEM;
	r = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	if (r == Z_MEM_ERROR)
		return -ENOMEM;
	return r == Z_STREAM_END && !z.avail_out ? 0 : -EINVAL;
}

/* Runs an initialised decoder (init is what that returned) in one step. */
static int lzma_run(lzma_stream *s, lzma_ret init, const u8 *in, u64 in_len, u8 *out, u64 out_len)
{
	lzma_ret r;

	if (init != LZMA_OK)
		return -ENOMEM;
	s->next_in = in;
	s->avail_in = in_len;
	s->next_out = out;
	s->avail_out = out_len;
	r = lzma_code(s, LZMA_FINISH);
	lzma_end(s);
	if (r == LZMA_MEM_ERROR || r == LZMA_MEMLIMIT_ERROR)
		return -ENOMEM;
	return r == LZMA_STREAM_END && !s->avail_out ? 0 : -EINVAL;
}

static int xz_unpack(const u8 *in, u64 in_len, u8 *out, u64 out_len)
{
	lzma_stream s = LZMA_STREAM_INIT;

	return lzma_run(&s, lzma_stream_decoder(&s, LZMA_MEMORY, 0), in, in_len - SIZE_TRAILER, out,
			out_len);
}

static int lzma_unpack(const u8 *in, u64 in_len, u8 *out, u64 out_len)
{
	lzma_stream s = LZMA_STREAM_INIT;

	return lzma_run(&s, lzma_alone_decoder(&s, LZMA_MEMORY), in, in_len - SIZE_TRAILER, out,
			out_len);
}

/*
 * The legacy frame, which liblz4's frame API does not read: a magic number, then blocks, each with
 * its packed size before it (LZ4 frame format 1.6.x, "Legacy frame").
 */
static int lz4_unpack(const u8 *in, u64 in_len, u8 *out, u64 out_len)
{
	u64 pos = 4, end = in_len - SIZE_TRAILER, done = 0;

	while (end - pos >= 4) {
		u32 block;
		int n;

		memcpy(&block, in + pos, sizeof(block));
		pos += 4;
		if (block > end - pos || block > INT_MAX)
			return -EINVAL;
		n = LZ4_decompress_safe((const char *)in + pos, (char *)out + done, (int)block,
					(int)(out_len - done));
		if (n <= 0)
			return -EINVAL;
		pos += block;
		done += (u64)n;
	}
	return done == out_len ? 0 : -EINVAL;
}

static int zstd_unpack(const u8 *in, u64 in_len, u8 *out, u64 out_len)
{
	size_t n = ZSTD_decompress(out, out_len, in, in_len - SIZE_TRAILER);

	return n == out_len ? 0 : -EINVAL;
}

static const struct codec {
	u8 magic[6];
	u8 magic_len;
	int (*unpack)(const u8 *in, u64 in_len, u8 *out, u64 out_len);
} codecs[] = {
	{ { 0x1f, 0x8b }, 2, gzip_unpack },
	{ { 0xfd, '7', 'z', 'X', 'Z', 0 }, 6, xz_unpack },
	{ { 0x5d, 0, 0 }, 3, lzma_unpack },
	{ { 0x02, 0x21, 0x4c, 0x18 }, 4, lz4_unpack },
	{ { 0x28, 0xb5, 0x2f, 0xfd }, 4, zstd_unpack },
};

static const struct codec *codec_find(const u8 *in, u64 len)
{
	for (unsigned i = 0; i < ARRAY_SIZE(codecs); i++)
		if (len >= codecs[i].magic_len + (u64)SIZE_TRAILER &&
		    !memcmp(in, codecs[i].magic, codecs[i].magic_len))
			return &codecs[i];
	return NULL;
}

bool boot_unpack_knows(const u8 *in, u64 len)
{
	return codec_find(in, len);
}

int boot_unpack(const u8 *in, u64 in_len, u8 *out, u64 out_len)
{
	const struct codec *c = codec_find(in, in_len);

	if (!c)
		return -ENOTSUP;
	/* Some of the libraries count in int. */
	if (in_len > INT_MAX || out_len > INT_MAX || !out_len)
		return -EINVAL;
	return c->unpack(in, in_len, out, out_len);
}
