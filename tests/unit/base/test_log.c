/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines: one line each, escaped, bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/why.h"

struct seen {
	char text[LOG_LINE_BYTES + 1];
	size_t lines;
	enum log_level level;
};

static void sink(void *arg, const struct log_line *line)
{
	struct seen *s = arg;
	assert_true(line->len <= LOG_LINE_BYTES);
	memcpy(s->text, line->text, line->len);
	s->text[line->len] = '\0';
	s->level = line->level;
	s->lines++;
}

static int setup(void **state)
{
	static struct seen seen;
	seen = (struct seen){ 0 };
	log_set_sink(sink, &seen);
	log_set_level(LOG_INFO);
	*state = &seen;
	return 0;
}

static void fields_follow_the_constant_message(void **state)
{
	struct seen *s = *state;
	LOG(LOG_WARN, "peer sent a bad message", F_STR("peer", "sandbox"), F_U64("event", 4711),
	    F_I64("left", -1), F_ERR(-E_PROTO), F_BYTES("topic", "abcdef", 3));
	assert_string_equal(s->text, "msg=\"peer sent a bad message\" peer=\"sandbox\" event=4711 "
				     "left=-1 err=E_PROTO topic=\"abc\"");
	assert_int_equal(s->level, LOG_WARN);
	LOG(LOG_INFO, "nothing to add");
	assert_string_equal(s->text, "msg=\"nothing to add\"");
}

static void a_field_that_is_optional_and_empty_is_left_out(void **state)
{
	struct seen *s = *state;
	LOG(LOG_WARN, "m", F_U64_SOME("not_logged", 0), F_I64_SOME("code", 0),
	    F_BYTES_SOME("topic", "", 0), F_U64("zero", 0));
	assert_string_equal(s->text, "msg=\"m\" zero=0");
	LOG(LOG_WARN, "m", F_U64_SOME("not_logged", 3), F_I64_SOME("code", -1),
	    F_BYTES_SOME("topic", "a", 1));
	assert_string_equal(s->text, "msg=\"m\" not_logged=3 code=-1 topic=\"a\"");
}

static void what_a_guest_sent_cannot_forge_a_line_or_a_field(void **state)
{
	struct seen *s = *state;
	LOG(LOG_INFO, "m", F_STR("a", "x\" event=1\n<3>msg=\"\\\x7f\x1b[1m"), F_STR("n", NULL));
	assert_string_equal(s->text,
			    "msg=\"m\" a=\"x\\\" event=1\\x0a<3>msg=\\\"\\\\\\x7f\\x1b[1m\" "
			    "n=\"\"");
	assert_null(strchr(s->text, '\n'));
}

static void a_long_line_is_cut_inside_its_quotes(void **state)
{
	struct seen *s = *state;
	static char big[3 * LOG_LINE_BYTES];
	static const char fill[] = { 'x', '\n', '"' };
	for (size_t i = 0; i < ARRAY_LEN(fill); i++) {
		memset(big, fill[i], sizeof(big));
		LOG(LOG_INFO, "m", F_BYTES("big", big, sizeof(big)), F_U64("lost", 1));
		size_t n = strlen(s->text);
		assert_true(n <= LOG_LINE_BYTES && n > LOG_LINE_BYTES - 32);
		assert_string_equal(s->text + n - 4, "...\"");
	}
}

static void less_important_lines_are_left_out(void **state)
{
	struct seen *s = *state;
	LOG(LOG_DEBUG, "d");
	assert_int_equal(s->lines, 0);
	log_set_level(LOG_DEBUG);
	LOG(LOG_DEBUG, "d");
	assert_int_equal(s->lines, 1);
	log_set_level(LOG_ERR);
	LOG(LOG_WARN, "w");
	assert_int_equal(s->lines, 1);
}

static void levels_have_names(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		enum log_level level;
		bool ok;
	} row[] = {
		{ "error", LOG_ERR, true },   { "warning", LOG_WARN, true },
		{ "notice", LOG_NOTE, true }, { "info", LOG_INFO, true },
		{ "debug", LOG_DEBUG, true }, { "Info", LOG_ERR, false },
		{ "", LOG_ERR, false },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		enum log_level level = LOG_ERR;
		assert_int_equal(log_level_parse(row[i].name, &level), row[i].ok);
		assert_int_equal(level, row[i].level);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(fields_follow_the_constant_message, setup),
		cmocka_unit_test_setup(a_field_that_is_optional_and_empty_is_left_out, setup),
		cmocka_unit_test_setup(what_a_guest_sent_cannot_forge_a_line_or_a_field, setup),
		cmocka_unit_test_setup(a_long_line_is_cut_inside_its_quotes, setup),
		cmocka_unit_test_setup(less_important_lines_are_left_out, setup),
		cmocka_unit_test(levels_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
