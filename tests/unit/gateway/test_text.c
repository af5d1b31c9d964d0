/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gateway/scratch.h"

#include "gateway/text.h"

#define BAD "\xef\xbf\xbd"

static void every_byte_gives_a_string_that_json_readers_take(void **state)
{
	static const struct {
		const char *in;
		size_t len;
		bool clean;
		const char *out;
	} rows[] = {
		{ "", 0, true, "" },
		{ "plain", 5, true, "plain" },
		{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, true,
		  "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "a\0b", 3, false, "a" BAD "b" },
		{ "\xff\xc3\xa4\xc3", 4, false, BAD "\xc3\xa4" BAD },
		{ "\xed\xa0\x80", 3, false, BAD BAD BAD }, /* a surrogate */
		{ "\xc0\xaf", 2, false, BAD BAD },         /* over-long */
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct span s = { (const uint8_t *)rows[i].in, rows[i].len };
		json_t *j = text_json(s);
		assert_int_equal(text_is_clean(s), rows[i].clean);
		assert_string_equal(json_string_value(j), rows[i].out);
		json_decref(j);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_gives_a_string_that_json_readers_take),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
