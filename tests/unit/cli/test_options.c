/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines: what is given arrives, what makes no sense is said with the option's name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cli/options.h"

static const struct option_row rows[] = {
	{ "follow", 'f', OPT_FLAG, NULL, "go on", 0, 0 },
	{ "lines", 'n', OPT_NUMBER, "N", "how many", 1, 1000 },
	{ "env", 'e', OPT_TEXT, "K=V", "environment", 0, 0 },
	{ "memory", 0, OPT_SIZE, "SIZE", "memory", 65536, UINT64_C(4) << 30 },
	{ "bounds", 0, OPT_CHOICE, "guard|check", "how", 0, 0 },
	{ "help", 'h', OPT_FLAG, NULL, "this", 0, 0 },
};

enum { WORDS = 8 };

static int parse(const char *const *words, bool rest_is_foreign, struct args *a, struct why *why)
{
	struct options o = { .rest_is_foreign = rest_is_foreign };
	options_add(&o, rows, ARRAY_LEN(rows));
	return options_parse(&o, words, a, why);
}

/* "a b c" of what is left over */
static void rest_join(const struct args *a, char *buf, size_t cap)
{
	size_t n = 0;
	buf[0] = '\0';
	for (size_t i = 0; i < a->nrest; i++)
		n += (size_t)snprintf(buf + n, cap - n, "%s%s", i ? " " : "", a->rest[i]);
}

static void options_stand_anywhere_and_in_every_spelling(void **state)
{
	(void)state;
	static const struct {
		const char *words[WORDS];
		bool follow;
		uint64_t lines;
		const char *env, *rest;
	} row[] = {
		{ { NULL }, false, 10, NULL, "" },
		{ { "a", "b" }, false, 10, NULL, "a b" },
		{ { "-f", "a" }, true, 10, NULL, "a" },
		{ { "a", "--follow" }, true, 10, NULL, "a" },
		{ { "--lines", "5", "a" }, false, 5, NULL, "a" },
		{ { "--lines=5" }, false, 5, NULL, "" },
		{ { "-n5" }, false, 5, NULL, "" },
		{ { "-n", "5" }, false, 5, NULL, "" },
		{ { "-fn5" }, true, 5, NULL, "" },
		{ { "-fn", "5", "x" }, true, 5, NULL, "x" },
		{ { "-n5", "-n7" }, false, 7, NULL, "" },
		{ { "--env", "A=b", "--env=C=d" }, false, 10, "C=d", "" },
		{ { "--env", "--follow" }, false, 10, "--follow", "" },
		{ { "--", "-f" }, false, 10, NULL, "-f" },
		{ { "-" }, false, 10, NULL, "-" },
		{ { "a", "--", "--" }, false, 10, NULL, "a --" },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct args a;
		struct why why = { 0 };
		char rest[64];
		if (parse(row[i].words, false, &a, &why) != 0)
			fail_msg("row %zu: %s", i, why.text);
		assert_int_equal(args_flag(&a, "follow"), row[i].follow);
		assert_int_equal(args_number(&a, "lines", 10), row[i].lines);
		const char *env = args_text(&a, "env");
		assert_true(env ? row[i].env && strcmp(env, row[i].env) == 0 : !row[i].env);
		rest_join(&a, rest, sizeof(rest));
		assert_string_equal(rest, row[i].rest);
		args_fini(&a);
	}
}

static void behind_a_program_only_known_options_are_ours(void **state)
{
	(void)state;
	static const struct {
		const char *words[WORDS];
		bool follow;
		const char *rest;
	} row[] = {
		{ { "-f", "p.wasm", "x" }, true, "p.wasm x" },
		{ { "p.wasm", "--follow", "x" }, true, "p.wasm x" },
		{ { "p.wasm", "x", "--follow" }, false, "p.wasm x --follow" },
		{ { "p.wasm", "--", "--follow" }, false, "p.wasm --follow" },
		{ { "p.wasm", "--help" }, false, "p.wasm --help" },
		{ { "p.wasm", "--verbose" }, false, "p.wasm --verbose" },
		{ { "p.wasm", "-f" }, false, "p.wasm -f" },
		{ { "p.wasm", "-1" }, false, "p.wasm -1" },
		{ { "p.wasm", "--env", "A=b", "-x", "--env" }, false, "p.wasm -x --env" },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct args a;
		char rest[64];
		assert_int_equal(parse(row[i].words, true, &a, NULL), 0);
		assert_int_equal(args_flag(&a, "follow"), row[i].follow);
		rest_join(&a, rest, sizeof(rest));
		assert_string_equal(rest, row[i].rest);
		args_fini(&a);
	}
}

static void what_makes_no_sense_is_named(void **state)
{
	(void)state;
	static const struct {
		const char *words[WORDS];
		const char *why;
	} row[] = {
		{ { "--rocket" }, "there is no option --rocket" },
		{ { "--folow" }, "did you mean --follow?" },
		{ { "-x" }, "there is no option -x" },
		{ { "-fx" }, "there is no option -x" },
		{ { "--lines" }, "--lines needs a value" },
		{ { "-n" }, "--lines needs a value" },
		{ { "--lines", "five" }, "--lines five: a whole number" },
		{ { "--lines", "0" }, "it must be 1 to 1000" },
		{ { "--lines", "1001" }, "it must be 1 to 1000" },
		{ { "--lines", "99999999999999999999999" }, "a whole number" },
		{ { "--lines", "-1" }, "a whole number" },
		{ { "--lines=" }, "is empty" },
		{ { "--env", "" }, "is empty" },
		{ { "--memory", "2MB" }, "a size such as 64MiB" },
		{ { "--memory", "1KiB" }, "it must be 64KiB to 4GiB" },
		{ { "--bounds", "guar" }, "one of guard|check" },
		{ { "--bounds", "guard|check" }, "one of guard|check" },
		{ { "--follow=yes" }, "takes no value" },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct args a;
		struct why why = { 0 };
		assert_int_equal(parse(row[i].words, false, &a, &why), -E_CONFIG);
		if (!strstr(why.text, row[i].why))
			fail_msg("row %zu: \"%s\"", i, why.text);
		args_fini(&a);
	}
}

static void values_that_come_several_times_are_all_there(void **state)
{
	(void)state;
	static const char *const words[] = { "-e", "A=1", "x", "--env=B=2", "-n3", "-eC=3", NULL };
	struct args a;
	assert_int_equal(parse(words, false, &a, NULL), 0);
	assert_string_equal(args_each(&a, "env", 0), "A=1");
	assert_string_equal(args_each(&a, "env", 1), "B=2");
	assert_string_equal(args_each(&a, "env", 2), "C=3");
	assert_null(args_each(&a, "env", 3));
	args_fini(&a);
}

static void too_many_options_are_refused(void **state)
{
	(void)state;
	static const char *words[OPTIONS_GIVEN_MAX + 2];
	for (size_t i = 0; i <= OPTIONS_GIVEN_MAX; i++)
		words[i] = "-f";
	struct args a;
	assert_int_equal(parse(words, false, &a, NULL), -E_CONFIG);
	args_fini(&a);
}

static void the_nearest_name_is_suggested_and_no_far_one(void **state)
{
	(void)state;
	static const char *const names[] = { "sign", "status", "bind", "bindings", "run" };
	static const struct {
		const char *word, *want;
	} row[] = {
		{ "sgin", "sign" },
		{ "stauts", "status" },
		{ "binding", "bindings" },
		{ "bnd", "bind" },
		{ "rocket", NULL },
		{ "", NULL },
		{ "xyz", NULL },
		{ "rn", "run" },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const char *got = nearest_name(row[i].word, names, ARRAY_LEN(names));
		assert_true(got ? row[i].want && strcmp(got, row[i].want) == 0 : !row[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_stand_anywhere_and_in_every_spelling),
		cmocka_unit_test(behind_a_program_only_known_options_are_ours),
		cmocka_unit_test(what_makes_no_sense_is_named),
		cmocka_unit_test(values_that_come_several_times_are_all_there),
		cmocka_unit_test(too_many_options_are_refused),
		cmocka_unit_test(the_nearest_name_is_suggested_and_no_far_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
