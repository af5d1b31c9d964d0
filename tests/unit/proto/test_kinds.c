/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/kinds.h"
#include "proto/own_json.h"

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

/* In both ways of writing: as people do, and as JSON. */
static void options_are_made_canonical(void **state)
{
	static const struct {
		enum kind_side side;
		const char *kind, *given, *want;
	} row[] = {
		{ KIND_INPUT, "gpio", "{}", "{}" },
		{ KIND_INPUT, "gpio", "{\"edge\":\"both\",\"active_low\":false}", "{}" },
		{ KIND_INPUT, "gpio", "{\"debounce\":\"5ms\",\"edge\":\"rising\"}",
		  "{\"edge\":\"rising\",\"debounce\":5}" },
		{ KIND_INPUT, "gpio", "{\"active_low\":\"yes\"}", "{\"active_low\":true}" },
		{ KIND_INPUT, "gpio", "{\"debounce\":5}", "{\"debounce\":5}" },
		{ KIND_INPUT, "sensor", "{\"every\":\"1.5s\",\"deadband\":\"0.25\"}",
		  "{\"every\":1500,\"deadband\":0.25}" },
		{ KIND_INPUT, "sensor", "{\"every\":1000}", "{}" },
		{ KIND_INPUT, "cron", "{\"zone\":\"Europe/Berlin\"}",
		  "{\"zone\":\"Europe/Berlin\"}" },
		{ KIND_OUTPUT, "gpio", "{\"safe\":\"1\"}", "{\"safe\":\"1\"}" },
		{ KIND_OUTPUT, "gpio", "{\"safe\":1}", "{\"safe\":\"1\"}" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		char got[KIND_OPTIONS_BYTES], again[KIND_OPTIONS_BYTES];
		struct why why = { 0 };
		const struct kind *k = kind_find(row[i].side, row[i].kind);
		OWN_JSON *given = json_loads(row[i].given, 0, NULL);
		assert_int_equal(kind_options(k, given, got, &why), 0);
		assert_string_equal(got, row[i].want);
		OWN_JSON *canonical = json_loads(got, 0, NULL);
		assert_int_equal(kind_options(k, canonical, again, &why), 0);
		assert_string_equal(again, got);
	}
}

static void nonsense_is_refused_with_what_is_expected(void **state)
{
	static const struct {
		const char *kind, *given, *reason;
	} row[] = {
		{ "gpio", "{\"edges\":\"both\"}",
		  "gpio has no option \"edges\"; it has: edge, bias, active_low, debounce" },
		{ "gpio", "{\"edge\":\"up\"}",
		  "option edge of gpio is \"up\": expected one of both rising falling" },
		{ "gpio", "{\"edge\":\"bot\"}", "expected one of" },
		{ "gpio", "{\"edge\":\"\"}", "expected one of" },
		{ "gpio", "{\"edge\":[]}", "expected a text, a number, true or false" },
		{ "gpio", "{\"active_low\":2}", "expected yes or no" },
		{ "gpio", "{\"debounce\":\"fast\"}", "expected a time" },
		{ "gpio", "{\"debounce\":\"-5ms\"}", "expected a time" },
		{ "gpio", "{\"debounce\":\"0.5\"}", "expected a time" },
		{ "gpio", "{\"debounce\":\"1h\"}", "must be from 0 to 10000 ms" },
		{ "sensor", "{\"deadband\":\"nan\"}", "expected a number" },
		{ "sensor", "{\"deadband\":\"0x10\"}", "expected a number" },
		{ "sensor", "{\"deadband\":-1}", "must be from 0" },
		{ "sensor", "{\"every\":1}", "must be from 10 to" },
		{ "cron", "{\"zone\":\"a\\u0000b\"}", "holds a NUL" },
		{ "cron",
		  "{\"zone\":\"0123456789012345678901234567890123456789012345678901234567890123\"}",
		  "expected a text up to 63 bytes" },
		{ "mqtt", "[]", "must be an object" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		char got[KIND_OPTIONS_BYTES];
		struct why why = { 0 };
		OWN_JSON *given = json_loads(row[i].given, JSON_ALLOW_NUL, NULL);
		assert_non_null(given);
		assert_int_equal(kind_options(kind_find(KIND_INPUT, row[i].kind), given, got, &why),
				 -E_INVALID);
		if (!strstr(why.text, row[i].reason))
			fail_msg("row %zu: \"%s\" lacks \"%s\"", i, why.text, row[i].reason);
	}
}

static void what_is_not_given_is_the_default(void **state)
{
	struct kind_values v;
	struct why why = { 0 };
	(void)state;
	assert_int_equal(
		kind_values_read(KIND_INPUT, "sensor", text("{\"deadband\":2.5}"), &v, &why), 0);
	assert_true(kind_number(&v, "deadband") == 2.5);
	assert_int_equal(kind_ms(&v, "every"), 1000);
	kind_values_free(&v);
	assert_int_equal(kind_values_read(KIND_INPUT, "gpio", text(""), &v, &why), 0);
	assert_string_equal(kind_text(&v, "edge"), "both");
	assert_false(kind_flag(&v, "active_low"));
	kind_values_free(&v);
	assert_int_equal(kind_values_read(KIND_INPUT, "gpio", text("{\"edge\":"), &v, &why),
			 -E_INVALID);
	assert_int_equal(kind_values_read(KIND_INPUT, "smoke", text("{}"), &v, &why), -E_INVALID);
}

/* A default that its own row refuses would be found by the first user. */
static void every_default_is_a_value_of_its_key(void **state)
{
	(void)state;
	for (unsigned i = 0; i < kinds_count; i++) {
		const struct kind_key *k;
		for (unsigned at = 0; (k = kind_key_at(&kinds[i], at)); at++) {
			char got[KIND_OPTIONS_BYTES];
			struct why why = { 0 };
			OWN_JSON *given = json_pack("{s:s}", k->name, k->def);
			if (kind_options(&kinds[i], given, got, &why) != 0)
				fail_msg("%s", why.text);
			assert_string_equal(got, "{}");
		}
	}
}

static void levels_are_what_people_write(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		double level;
	} row[] = {
		{ "1", true, 1 },      { "0", true, 0 },    { " on\n", true, 1 },
		{ "OFF", true, 0 },    { "true", true, 1 }, { "-2.5", true, -2.5 },
		{ "1e3", true, 1000 }, { "", false, 0 },    { "  ", false, 0 },
		{ "inf", false, 0 },   { "1 2", false, 0 }, { "yes!", false, 0 },
		{ "1e999", false, 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		double got = 0;
		assert_int_equal(kind_level_parse(text(row[i].text), &got), row[i].ok);
		if (row[i].ok)
			assert_true(got == row[i].level);
	}
}

static void output_topics_name_their_output(void **state)
{
	struct span name;
	(void)state;
	assert_true(output_of_topic(text("$output/lamp"), &name));
	assert_true(span_eq(name, "lamp"));
	assert_false(output_of_topic(text("output/lamp"), &name));
	assert_false(output_of_topic(text("$outputs/lamp"), &name));
	assert_true(output_name_ok(text("lamp-2_b")));
	assert_false(output_name_ok(text("Lamp")));
	assert_false(output_name_ok(text("-a")));
	assert_false(output_name_ok(text("a/b")));
	assert_false(output_name_ok(text("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_are_made_canonical),
		cmocka_unit_test(nonsense_is_refused_with_what_is_expected),
		cmocka_unit_test(what_is_not_given_is_the_default),
		cmocka_unit_test(every_default_is_a_value_of_its_key),
		cmocka_unit_test(levels_are_what_people_write),
		cmocka_unit_test(output_topics_name_their_output),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
