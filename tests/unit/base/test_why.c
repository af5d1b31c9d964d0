/* SPDX-License-Identifier: Apache-2.0 */
/* Reasons and names of errors. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/why.h"

static void the_first_reason_wins_and_the_error_passes_through(void **state)
{
	(void)state;
	struct why w = { 0 };
	assert_int_equal(why_set(&w, -E_LIMIT, "%u of %s", 3, "them"), -E_LIMIT);
	assert_int_equal(why_set(&w, -EIO, "later"), -EIO);
	assert_string_equal(w.text, "3 of them");
	assert_string_equal(why_text(&w, -EIO), "3 of them");
	assert_int_equal(why_set(NULL, -EIO, "nobody asks"), -EIO);
}

static void a_long_reason_is_cut(void **state)
{
	(void)state;
	struct why w = { 0 };
	char text[2 * sizeof(w.text)];
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	(void)why_set(&w, -EIO, "%s", text);
	assert_int_equal(strlen(w.text), sizeof(w.text) - 1);
}

static void every_error_has_a_name_and_a_text(void **state)
{
	(void)state;
	static const struct {
		int err;
		const char *name;
	} row[] = {
		{ -ENOENT, "ENOENT" },
		{ ENOENT, "ENOENT" },
		{ -E_PROTO, "E_PROTO" },
		{ -E_GONE, "E_GONE" },
		{ -E_AFTER_LAST, "unknown error" },
		{ -999, "unknown error" },
	};
	struct why none = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		assert_string_equal(why_name(row[i].err), row[i].name);
		assert_true(why_text(NULL, row[i].err)[0] != '\0');
	}
	for (int e = E_PROTO; e < E_AFTER_LAST; e++) {
		assert_memory_equal(why_name(-e), "E_", 2);
		assert_true(why_text(&none, -e)[0] != '\0');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_reason_wins_and_the_error_passes_through),
		cmocka_unit_test(a_long_reason_is_cut),
		cmocka_unit_test(every_error_has_a_name_and_a_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
