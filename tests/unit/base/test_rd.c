/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded reading: lengths, LEB128 (core specification, section 5.2.2), UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/rd.h"
#include "base/why.h"

struct leb_row {
	uint8_t in[11];
	size_t len;
	int64_t want;
	bool ok;
};

static void check_leb(const struct leb_row *row, size_t n, int64_t (*read)(struct rd *r))
{
	for (size_t i = 0; i < n; i++) {
		struct rd r = rd_from(row[i].in, row[i].len);
		int64_t got = read(&r);
		assert_int_equal(rd_ok(&r), row[i].ok);
		assert_int_equal(got, row[i].ok ? row[i].want : 0);
		if (row[i].ok)
			assert_true(rd_done(&r));
	}
}

static int64_t read_u32(struct rd *r)
{
	return rd_leb_u32(r);
}

static int64_t read_s32(struct rd *r)
{
	return rd_leb_s32(r);
}

static void leb_u32_has_at_most_five_bytes_and_32_bits(void **state)
{
	(void)state;
	static const struct leb_row row[] = {
		{ { 0 }, 1, 0, true },
		{ { 0x7f }, 1, 127, true },
		{ { 0x80, 0x01 }, 2, 128, true },
		{ { 0x83, 0x00 }, 2, 3, true }, /* longer than needed is allowed */
		{ { 0x80, 0x80, 0x80, 0x80, 0x00 }, 5, 0, true },
		{ { 0xff, 0xff, 0xff, 0xff, 0x0f }, 5, 0xffffffff, true },
		{ { 0xff, 0xff, 0xff, 0xff, 0x1f }, 5, 0, false }, /* the 33rd bit */
		{ { 0xff, 0xff, 0xff, 0xff, 0x4f }, 5, 0, false },
		{ { 0x80, 0x80, 0x80, 0x80, 0x80, 0x00 }, 6, 0, false }, /* a sixth byte */
		{ { 0x80 }, 1, 0, false },                               /* cut short */
		{ { 0 }, 0, 0, false },
	};
	check_leb(row, ARRAY_LEN(row), read_u32);
}

static void leb_s32_extends_the_sign(void **state)
{
	(void)state;
	static const struct leb_row row[] = {
		{ { 0x7f }, 1, -1, true },
		{ { 0x3f }, 1, 63, true },
		{ { 0x40 }, 1, -64, true },
		{ { 0xbf, 0x7f }, 2, -65, true },
		{ { 0xff, 0x00 }, 2, 127, true },
		{ { 0xff, 0xff, 0xff, 0xff, 0x07 }, 5, INT32_MAX, true },
		{ { 0x80, 0x80, 0x80, 0x80, 0x78 }, 5, INT32_MIN, true },
		{ { 0xff, 0xff, 0xff, 0xff, 0x7f }, 5, -1, true },
		{ { 0xff, 0xff, 0xff, 0xff, 0x0f }, 5, 0, false }, /* sign without copies */
		{ { 0x80, 0x80, 0x80, 0x80, 0x70 }, 5, 0, false },
		{ { 0x80, 0x80, 0x80, 0x80, 0x80, 0x00 }, 6, 0, false },
		{ { 0xff }, 1, 0, false },
	};
	check_leb(row, ARRAY_LEN(row), read_s32);
}

static void leb_s33_reaches_one_bit_further(void **state)
{
	(void)state;
	static const struct leb_row row[] = {
		{ { 0x40 }, 1, -64, true },
		{ { 0xff, 0xff, 0xff, 0xff, 0x0f }, 5, 0xffffffff, true },
		{ { 0x80, 0x80, 0x80, 0x80, 0x70 }, 5, -(INT64_C(1) << 32), true },
		{ { 0xff, 0xff, 0xff, 0xff, 0x1f }, 5, 0, false },
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0x00 }, 6, 0, false },
	};
	check_leb(row, ARRAY_LEN(row), rd_leb_s33);
}

static void leb_s64_has_at_most_ten_bytes(void **state)
{
	(void)state;
	static const struct leb_row row[] = {
		{ { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f },
		  10,
		  INT64_MIN,
		  true },
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00 },
		  10,
		  INT64_MAX,
		  true },
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 }, 10, 0, false },
		{ { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7e }, 10, 0, false },
		{ { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0 }, 11, 0, false },
	};
	check_leb(row, ARRAY_LEN(row), rd_leb_s64);
}

static void integers_are_little_endian(void **state)
{
	(void)state;
	const uint8_t in[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	struct rd r = rd_from(in, sizeof(in));
	assert_int_equal(rd_u8(&r), 1);
	assert_int_equal(rd_u16(&r), 0x0302);
	assert_int_equal(rd_u32(&r), 0x07060504);
	assert_int_equal(rd_u64(&r), 0x0f0e0d0c0b0a0908);
	assert_true(rd_done(&r));
}

static void the_first_error_sticks_and_nothing_is_read_after_it(void **state)
{
	(void)state;
	const uint8_t in[] = { 1, 2, 3 };
	struct rd r = rd_from(in, sizeof(in));
	assert_int_equal(rd_u32(&r), 0);
	assert_int_equal(r.err, -E_PROTO);
	assert_int_equal(r.left, 3);
	rd_fail(&r, -E_LIMIT);
	assert_int_equal(r.err, -E_PROTO);
	assert_int_equal(rd_u8(&r), 0);
	assert_int_equal(rd_leb_u32(&r), 0);
	assert_int_equal(rd_span(&r, 0).len, 0);
	assert_null(rd_span(&r, 1).at);
	assert_int_equal(r.left, 3);
	assert_false(rd_done(&r));
}

static void a_span_never_reaches_beyond_the_buffer(void **state)
{
	(void)state;
	const uint8_t in[] = { 1, 2, 3, 4 };
	static const struct {
		size_t len;
		bool ok;
	} row[] = { { 0, true }, { 4, true }, { 5, false }, { SIZE_MAX, false } };
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct rd r = rd_from(in, sizeof(in));
		struct span s = rd_span(&r, row[i].len);
		assert_int_equal(rd_ok(&r), row[i].ok);
		assert_int_equal(s.len, row[i].ok ? row[i].len : 0);
	}
}

static void a_count_is_proven_against_what_is_left(void **state)
{
	(void)state;
	static const struct {
		uint8_t count;
		size_t min_bytes;
		uint32_t want;
		bool ok;
	} row[] = {
		{ 6, 1, 6, true },  { 7, 1, 0, false }, { 3, 2, 3, true },
		{ 4, 2, 0, false }, { 0, 9, 0, true },  { 1, SIZE_MAX, 0, false },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const uint8_t leb[7] = { row[i].count }, fixed[10] = { row[i].count };
		struct rd r = rd_from(leb, sizeof(leb)), f = rd_from(fixed, sizeof(fixed));
		assert_int_equal(rd_leb_count(&r, row[i].min_bytes), row[i].want);
		assert_int_equal(rd_ok(&r), row[i].ok);
		assert_int_equal(rd_u32_count(&f, row[i].min_bytes), row[i].want);
		assert_int_equal(rd_ok(&f), row[i].ok);
	}
}

static void utf8_is_well_formed_or_not(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool ok;
	} row[] = {
		{ "", true },
		{ "plain", true },
		{ "\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xef\xbf\xbf", true },
		{ "\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf", true },
		{ "\xed\x9f\xbf\xee\x80\x80", true }, /* around the surrogates */
		{ "\xed\xa0\x80", false },
		{ "\xed\xbf\xbf", false },
		{ "\xc0\x80", false }, /* over-long */
		{ "\xc1\xbf", false },
		{ "\xe0\x9f\xbf", false },
		{ "\xf0\x8f\xbf\xbf", false },
		{ "\xf4\x90\x80\x80", false }, /* above U+10FFFF */
		{ "\xf8\x88\x80\x80\x80", false },
		{ "\xff", false },
		{ "\x80", false },
		{ "a\xc3", false }, /* cut short */
		{ "\xe2\x82", false },
		{ "\xe2\x28\xa1", false },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct span s = { (const uint8_t *)row[i].text, strlen(row[i].text) };
		if (span_is_utf8(s) != row[i].ok)
			fail_msg("row %zu", i);
	}
}

static void a_span_equals_text_of_its_length_only(void **state)
{
	(void)state;
	struct span s = { (const uint8_t *)"name", 4 };
	assert_true(span_eq(s, "name"));
	assert_false(span_eq(s, "nam"));
	assert_false(span_eq(s, "names"));
	assert_true(span_eq((struct span){ 0 }, ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leb_u32_has_at_most_five_bytes_and_32_bits),
		cmocka_unit_test(leb_s32_extends_the_sign),
		cmocka_unit_test(leb_s33_reaches_one_bit_further),
		cmocka_unit_test(leb_s64_has_at_most_ten_bytes),
		cmocka_unit_test(integers_are_little_endian),
		cmocka_unit_test(the_first_error_sticks_and_nothing_is_read_after_it),
		cmocka_unit_test(a_span_never_reaches_beyond_the_buffer),
		cmocka_unit_test(a_count_is_proven_against_what_is_left),
		cmocka_unit_test(utf8_is_well_formed_or_not),
		cmocka_unit_test(a_span_equals_text_of_its_length_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
