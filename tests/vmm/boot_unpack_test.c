/* SPDX-License-Identifier: BSD-2-Clause */
/* Each format is packed by its own library, as Linux's build does, and then damaged. */
#include "tests/vmm/boot_image.h"

#include <errno.h>
#include <stdlib.h>

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#define PLAIN 100000u
#define PACKED_MAX (2 * PLAIN)
#define LZ4_BLOCK 30000u /* the real one is 8 MiB */

static u8 plain[PLAIN], packed[PACKED_MAX], out[PLAIN + 1];

static u64 trailer_put(u64 len)
{
	u32 size = PLAIN;

	memcpy(packed + len, &size, 4);
	return len + 4;
}

static u64 gzip_pack(void)
{
	z_stream z = {
		.next_in = plain, .avail_in = PLAIN, .next_out = packed, .avail_out = PACKED_MAX
	};

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return PACKED_MAX - z.avail_out;
}

static u64 xz_pack(void)
{
	size_t pos = 0;

	assert_int_equal(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, plain, PLAIN, packed,
						 &pos, PACKED_MAX),
			 LZMA_OK);
	return trailer_put(pos);
}

static u64 lzma_pack(void)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_options_lzma options;

	lzma_lzma_preset(&options, 6);
	assert_int_equal(lzma_alone_encoder(&s, &options), LZMA_OK);
	s.next_in = plain;
	s.avail_in = PLAIN;
	s.next_out = packed;
	s.avail_out = PACKED_MAX;
	assert_int_equal(lzma_code(&s, LZMA_FINISH), LZMA_STREAM_END);
	lzma_end(&s);
	return trailer_put(PACKED_MAX - s.avail_out);
}

static u64 lz4_pack(void)
{
	u64 pos = 4;

	memcpy(packed, "\x02\x21\x4c\x18", 4);
	for (u32 done = 0; done < PLAIN; done += LZ4_BLOCK) {
		u32 n = (u32)LZ4_compress_default(
			(const char *)plain + done, (char *)packed + pos + 4,
			(int)MIN(LZ4_BLOCK, PLAIN - done), (int)(PACKED_MAX - pos - 8));

		assert_true(n);
		memcpy(packed + pos, &n, 4);
		pos += 4 + n;
	}
	return trailer_put(pos);
}

static u64 zstd_pack(void)
{
	return trailer_put(ZSTD_compress(packed, PACKED_MAX, plain, PLAIN, 3));
}

static u64 (*const packers[])(void) = { gzip_pack, xz_pack, lzma_pack, lz4_pack, zstd_pack };

/* Neither constant nor noise. */
static int plain_fill(void **state)
{
	u64 seed = 42;

	(void)state;
	for (unsigned i = 0; i < PLAIN; i++)
		plain[i] = i % 5 ? image_byte(i / 3) : (u8)image_random(&seed);
	return 0;
}

static void unpacks_what_was_packed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(packers); i++) {
		u64 len = packers[i]();

		memset(out, 0xee, sizeof(out));
		assert_true(boot_unpack_knows(packed, 16));
		assert_int_equal(boot_unpack(packed, len, out, PLAIN), 0);
		assert_memory_equal(out, plain, PLAIN);
		assert_int_equal(out[PLAIN], 0xee);
	}
}

static void size_must_be_exact(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(packers); i++) {
		u64 len = packers[i]();

		assert_int_equal(boot_unpack(packed, len, out, PLAIN - 1), -EINVAL);
		assert_int_equal(boot_unpack(packed, len, out, PLAIN + 1), -EINVAL);
		assert_int_equal(boot_unpack(packed, len, out, 0), -EINVAL);
		assert_int_equal(boot_unpack(packed, len, out, GiB(3)), -EINVAL);
	}
}

/* On memory of just that size, so that the sanitizer sees a read beyond it. */
static int unpack_copy(u64 len)
{
	u8 *in = malloc(len);
	int err;

	assert_non_null(in);
	memcpy(in, packed, len);
	err = boot_unpack(in, len, out, PLAIN);
	free(in);
	return err;
}

static void truncated_payloads_are_refused(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(packers); i++) {
		u64 len = packers[i]();

		for (u64 n = 1; n < 40; n++)
			assert_int_not_equal(unpack_copy(n), 0);
		for (u64 n = 40; n < len - 8; n += 997)
			assert_int_equal(unpack_copy(n), -EINVAL);
	}
}

static void damaged_payloads_end_in_a_status(void **state)
{
	u64 seed = 0x9e3779b97f4a7c15;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(packers); i++) {
		u64 len = packers[i]();

		for (unsigned n = 0; n < 300; n++) {
			u64 at = n % 2 ? image_random(&seed) % len : image_random(&seed) % 64;
			u8 old = packed[at];
			int err;

			packed[at] = (u8)image_random(&seed);
			err = unpack_copy(len);
			assert_true(!err || err == -EINVAL || err == -ENOTSUP || err == -ENOMEM);
			packed[at] = old;
		}
	}
}

static void others_are_unknown(void **state)
{
	static const u8 bzip2[16] = "BZh9", lzo[16] = "\x89LZO";

	(void)state;
	assert_false(boot_unpack_knows(bzip2, sizeof(bzip2)));
	assert_false(boot_unpack_knows(lzo, sizeof(lzo)));
	assert_int_equal(boot_unpack(bzip2, sizeof(bzip2), out, PLAIN), -ENOTSUP);
	assert_int_equal(boot_unpack((const u8 *)"\x1f\x8b", 2, out, PLAIN), -ENOTSUP);
	assert_int_equal(boot_unpack(bzip2, 0, out, PLAIN), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unpacks_what_was_packed),
		cmocka_unit_test(size_must_be_exact),
		cmocka_unit_test(truncated_payloads_are_refused),
		cmocka_unit_test(damaged_payloads_end_in_a_status),
		cmocka_unit_test(others_are_unknown),
	};

	return cmocka_run_group_tests(tests, plain_fill, NULL);
}
