/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "base/stream.h"

static void integers_are_little_endian(void **unused)
{
	static const u8 want[] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
				   0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };
	struct stream_out s = { 0 };
	struct stream_in in;

	(void)unused;
	stream_put_u8(&s, 0x11);
	stream_put_u16(&s, 0x3322);
	stream_put_u32(&s, 0x77665544);
	stream_put_u64(&s, 0xffeeddccbbaa9988);
	assert_int_equal(s.len, sizeof(want));
	assert_memory_equal(s.bytes, want, sizeof(want));
	in = (struct stream_in){ .at = s.bytes, .left = s.len };
	assert_int_equal(stream_get_u8(&in), 0x11);
	assert_int_equal(stream_get_u16(&in), 0x3322);
	assert_int_equal(stream_get_u32(&in), 0x77665544);
	assert_true(stream_get_u64(&in) == 0xffeeddccbbaa9988);
	assert_true(stream_done(&in));
	stream_free(&s);
}

static void it_grows(void **unused)
{
	static u8 big[100000];
	struct stream_out s = { 0 };

	(void)unused;
	for (u32 i = 0; i < 5000; i++)
		stream_put_u32(&s, i);
	stream_put_bytes(&s, big, sizeof(big));
	stream_put_bytes(&s, NULL, 0);
	assert_int_equal(s.err, 0);
	assert_int_equal(s.len, 120000);
	assert_int_equal(s.bytes[4 * 4999], 4999 & 0xff);
	stream_free(&s);
	assert_null(s.bytes);
}

static void reading_past_the_end_stays_bad(void **unused)
{
	const u8 bytes[] = { 1, 2, 3 };
	struct stream_in in = { .at = bytes, .left = 3 };
	u8 buf[2] = { 9, 9 };

	(void)unused;
	assert_int_equal(stream_get_u32(&in), 0);
	assert_true(in.bad);
	stream_get_bytes(&in, buf, 2);
	assert_int_equal(buf[0] | buf[1], 0);
	assert_int_equal(stream_get_u8(&in), 0);
	assert_false(stream_done(&in));
}

static void a_bool_is_0_or_1(void **unused)
{
	const u8 bytes[] = { 0, 1, 2 };
	struct stream_in in = { .at = bytes, .left = 3 };

	(void)unused;
	assert_false(stream_get_bool(&in));
	assert_true(stream_get_bool(&in));
	assert_false(in.bad);
	assert_false(stream_get_bool(&in));
	assert_true(in.bad);
}

/* Sections 5, an optional one, and 6, which has one within; then another optional one. */
static void write_sections(struct stream_out *s)
{
	size_t outer, mark = stream_begin(s, 5);

	stream_put_u16(s, 0x55);
	stream_end(s, mark);
	mark = stream_begin(s, STREAM_OPTIONAL | 9);
	stream_put_u64(s, 1);
	stream_end(s, mark);
	outer = stream_begin(s, 6);
	mark = stream_begin(s, 7);
	stream_put_u8(s, 0x77);
	stream_end(s, mark);
	stream_end(s, outer);
	stream_end(s, stream_begin(s, STREAM_OPTIONAL | 10));
}

static void sections_are_found(void **unused)
{
	struct stream_out s = { 0 };
	struct stream_in in, a, b, c;

	(void)unused;
	write_sections(&s);
	in = (struct stream_in){ .at = s.bytes, .left = s.len };
	a = stream_get_section(&in, 5);
	assert_int_equal(stream_get_u16(&a), 0x55);
	assert_true(stream_done(&a));
	b = stream_get_section(&in, 6);
	c = stream_get_section(&b, 7);
	assert_int_equal(stream_get_u8(&c), 0x77);
	assert_true(stream_done(&c) && stream_done(&b) && stream_done(&in));
	stream_free(&s);
}

static void sections_must_be_the_right_ones(void **unused)
{
	struct stream_out s = { 0 };
	struct stream_in in, a;

	(void)unused;
	write_sections(&s);
	in = (struct stream_in){ .at = s.bytes, .left = s.len };
	a = stream_get_section(&in, 6);
	assert_true(a.bad && in.bad);
	/* What is left of one is an error. */
	in = (struct stream_in){ .at = s.bytes, .left = s.len };
	a = stream_get_section(&in, 5);
	assert_false(stream_done(&a));
	assert_false(stream_done(&in));
	/* One that is longer than what there is. */
	in = (struct stream_in){ .at = s.bytes, .left = 9 };
	a = stream_get_section(&in, 5);
	assert_true(a.bad && in.bad && !a.left);
	stream_free(&s);
}

static void the_checksum_is_the_usual_one(void **unused)
{
	(void)unused;
	assert_int_equal(stream_crc32("123456789", 9), 0xcbf43926);
	assert_int_equal(stream_crc32("", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_little_endian),
		cmocka_unit_test(it_grows),
		cmocka_unit_test(reading_past_the_end_stays_bad),
		cmocka_unit_test(a_bool_is_0_or_1),
		cmocka_unit_test(sections_are_found),
		cmocka_unit_test(sections_must_be_the_right_ones),
		cmocka_unit_test(the_checksum_is_the_usual_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
