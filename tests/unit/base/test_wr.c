/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded writing: whole things or nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/rd.h"
#include "base/wr.h"

static void what_does_not_fit_is_left_out_whole(void **state)
{
	(void)state;
	uint8_t buf[5] = { 0, 0, 0, 0, 0xee };
	struct wr w = wr_into(buf, 4);
	wr_u16(&w, 0x0201);
	wr_u32(&w, 0x06050403);
	assert_false(wr_ok(&w));
	assert_int_equal(w.len, 2);
	/* Sticky: what would fit is refused too, so a record is never torn. */
	wr_u8(&w, 9);
	assert_int_equal(w.len, 2);
	assert_memory_equal(buf, "\1\2\0\0\xee", 5);
}

static void an_exact_fit_is_a_fit(void **state)
{
	(void)state;
	uint8_t buf[8];
	struct wr w = wr_into(buf, sizeof(buf));
	wr_u64(&w, 0x0807060504030201);
	wr_bytes(&w, NULL, 0);
	wr_str(&w, "");
	assert_true(wr_ok(&w));
	assert_memory_equal(buf, "\1\2\3\4\5\6\7\x08", 8);
	wr_u8(&w, 0);
	assert_false(wr_ok(&w));
}

static void leb_is_as_short_as_can_be_and_reads_back(void **state)
{
	(void)state;
	static const struct {
		uint32_t v;
		size_t len;
	} row[] = { { 0, 1 },         { 127, 1 },       { 128, 2 },
		    { 16383, 2 },     { 16384, 3 },     { 2097151, 3 },
		    { 268435455, 4 }, { 268435456, 5 }, { UINT32_MAX, 5 } };
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		uint8_t buf[8];
		struct wr w = wr_into(buf, sizeof(buf));
		wr_leb_u32(&w, row[i].v);
		assert_int_equal(w.len, row[i].len);
		struct rd r = rd_from(buf, w.len);
		assert_int_equal(rd_leb_u32(&r), row[i].v);
		assert_true(rd_done(&r));
	}
}

static void leb_that_does_not_fit_leaves_nothing(void **state)
{
	(void)state;
	uint8_t buf[4];
	struct wr w = wr_into(buf, sizeof(buf));
	wr_leb_u32(&w, UINT32_MAX);
	assert_false(wr_ok(&w));
	assert_int_equal(w.len, 0);
}

static void formatted_text_is_all_or_nothing(void **state)
{
	(void)state;
	uint8_t buf[8];
	struct wr w = wr_into(buf, sizeof(buf));
	wr_fmt(&w, "%d-%s", 12, "ab");
	assert_true(wr_ok(&w));
	assert_int_equal(w.len, 5);
	assert_memory_equal(buf, "12-ab", 5);
	wr_fmt(&w, "%s", "much too long");
	assert_false(wr_ok(&w));
	assert_int_equal(w.len, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_does_not_fit_is_left_out_whole),
		cmocka_unit_test(an_exact_fit_is_a_fit),
		cmocka_unit_test(leb_is_as_short_as_can_be_and_reads_back),
		cmocka_unit_test(leb_that_does_not_fit_leaves_nothing),
		cmocka_unit_test(formatted_text_is_all_or_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
