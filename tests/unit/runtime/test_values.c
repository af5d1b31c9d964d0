/* SPDX-License-Identifier: Apache-2.0 */
/* Values on a command line and in its output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sandbox/runtime/values.h"

static void values_are_printed_as_they_are_read(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		const char *text, *again;
	} row[] = {
		{ AOT_I32, "-1", "-1" },
		{ AOT_I32, "0xffffffff", "-1" },
		{ AOT_I32, "2147483648", "-2147483648" },
		{ AOT_I64, "-9223372036854775808", "-9223372036854775808" },
		{ AOT_F32, "0.1", "0.1" },
		{ AOT_F64, "-inf", "-inf" },
		{ AOT_EXTERNREF, "null", "null" },
		{ AOT_V128, "0x0f0e0d0c0b0a09080706050403020100",
		  "0x0f0e0d0c0b0a09080706050403020100" },
		{ AOT_V128, "0xFFFFFFFFFFFFFFFF0000000000000001",
		  "0xffffffffffffffff0000000000000001" },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		char out[64];
		union aot_value v;
		struct wr w = wr_into(out, sizeof(out));
		assert_true(value_parse(row[i].text, row[i].type, &v));
		value_print(&v, row[i].type, &w);
		wr_u8(&w, 0);
		assert_string_equal(out, row[i].again);
	}
}

static void lane_0_is_the_last_of_a_vector(void **state)
{
	(void)state;
	union aot_value v;
	assert_true(value_parse("0x80000000000000000000000000000102", AOT_V128, &v));
	assert_int_equal(v.v128[0], 2);
	assert_int_equal(v.v128[1], 1);
	assert_int_equal(v.v128[15], 0x80);
}

static void what_is_no_value_is_refused(void **state)
{
	(void)state;
	static const struct {
		uint8_t type;
		const char *text;
	} row[] = {
		{ AOT_I32, "" },
		{ AOT_I32, "4294967296" },
		{ AOT_I32, "-2147483649" },
		{ AOT_I64, "1x" },
		{ AOT_F32, "1.5 " },
		{ AOT_FUNCREF, "7" },
		{ AOT_V128, "0" },
		{ AOT_V128, "0x" },
		{ AOT_V128, "0x0f0e0d0c0b0a090807060504030201" },
		{ AOT_V128, "0x0f0e0d0c0b0a0908070605040302010000" },
		{ AOT_V128, "0x0f0e0d0c0b0a0908070605040302010g" },
		{ AOT_V128, "0x 0e0d0c0b0a09080706050403020100f" },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		union aot_value v;
		if (value_parse(row[i].text, row[i].type, &v))
			fail_msg("\"%s\" was taken", row[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_printed_as_they_are_read),
		cmocka_unit_test(lane_0_is_the_last_of_a_vector),
		cmocka_unit_test(what_is_no_value_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
