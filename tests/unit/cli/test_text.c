/* SPDX-License-Identifier: Apache-2.0 */
/* What others wrote cannot steer a terminal; columns are aligned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cli/text.h"

static void foreign_text_is_escaped(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t len;
		const char *want;
	} row[] = {
		{ "plain text", 10, "plain text" },
		{ "gr\xc3\xbc\xc3\x9f \xf0\x9f\x8c\xa1", 11,
		  "gr\xc3\xbc\xc3\x9f \xf0\x9f\x8c\xa1" },
		{ "\x1b[2J", 4, "\\x1b[2J" },
		{ "a\nb\r\t", 5, "a\\x0ab\\x0d\\x09" },
		{ "a\0b", 3, "a\\x00b" },
		{ "\x7f", 1, "\\x7f" },
		{ "\xc2\x9b"
		  "31m",
		  5, "\\u{9b}31m" },                /* CSI as one character */
		{ "\xe2\x80\xae", 3, "\\u{202e}" }, /* right-to-left override */
		{ "\xe2\x80\x8b", 3, "\\u{200b}" }, /* zero width space */
		{ "\xff\xfe", 2, "\\xff\\xfe" },
		{ "\xe2\x80", 2, "\\xe2\\x80" },          /* cut short */
		{ "\xc0\x80", 2, "\\xc0\\x80" },          /* over-long */
		{ "\xed\xa0\x80", 3, "\\xed\\xa0\\x80" }, /* surrogate */
		{ "", 0, "" },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		/* An exact copy on the heap, so that ASan sees a read beyond it. */
		char *copy = malloc(row[i].len ? row[i].len : 1);
		memcpy(copy, row[i].text, row[i].len);
		char *got = text_escaped(copy, row[i].len);
		assert_string_equal(got, row[i].want);
		free(got);
		free(copy);
	}
}

static void columns_are_as_wide_as_they_need(void **state)
{
	(void)state;
	static const char *const heads[] = { "NAME", "N", "STATE" };
	char *text = NULL;
	size_t size;
	struct table t;
	FILE *out = open_memstream(&text, &size);
	table_init(&t, heads, 3, 1 << 1);
	table_cell(&t, "gr\xc3\xbc\xc3\x9f-long");
	table_cell_fmt(&t, "%d", 7);
	table_cell(&t, "active");
	table_cell(&t, "b");
	table_cell_fmt(&t, "%d", 12345);
	table_cell(&t, "x\ny");
	table_print(&t, out);
	table_fini(&t);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, "NAME           N  STATE\n"
				  "gr\xc3\xbc\xc3\x9f-long      7  active\n"
				  "b          12345  x\\x0ay\n");
	free(text);
}

static void a_word_for_the_shell_stays_one_word(void **state)
{
	(void)state;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	text_put_quoted(out, "a/+");
	text_put_quoted(out, "'; rm -rf ~; '\n");
	text_put_quoted(out, "");
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, "'a/+'"
				  "''\\''; rm -rf ~; '\\''\\x0a'"
				  "''");
	free(text);
}

static void lines_stay_lines_and_the_last_one_ends(void **state)
{
	(void)state;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	text_put_lines(out, "a\n\tb\x1b[1m", 8);
	text_put_lines(out, "", 0);
	text_put_lines(out, "c\n", 2);
	text_put_lines(out, "\n", 1);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, "a\n\tb\\x1b[1m\nc\n\n");
	free(text);
}

static void times_have_a_unit(void **state)
{
	(void)state;
	char buf[32];
	assert_string_equal(text_us(17, buf, sizeof(buf)), "17 us");
	assert_string_equal(text_us(3210, buf, sizeof(buf)), "3.2 ms");
	assert_string_equal(text_us(2500000, buf, sizeof(buf)), "2.5 s");
	assert_string_equal(text_seconds(5, buf, sizeof(buf)), "5 s");
	assert_string_equal(text_seconds(125, buf, sizeof(buf)), "2 min 5 s");
	assert_string_equal(text_seconds(7380, buf, sizeof(buf)), "2 h 3 min");
	assert_string_equal(text_seconds(90000, buf, sizeof(buf)), "1 d 1 h");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(foreign_text_is_escaped),
		cmocka_unit_test(columns_are_as_wide_as_they_need),
		cmocka_unit_test(a_word_for_the_shell_stays_one_word),
		cmocka_unit_test(lines_stay_lines_and_the_last_one_ends),
		cmocka_unit_test(times_have_a_unit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
