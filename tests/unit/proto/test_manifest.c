/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests: what is not understood is refused, and the reason names field, wish and bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/manifest.h"
#include "proto/signature.h"

static struct arena arena;

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static int parse(const char *json, struct manifest *m, struct why *why)
{
	/* An exact copy on the heap, so that ASan sees a read beyond it. */
	size_t len = strlen(json);
	char *copy = malloc(len ? len : 1);
	memcpy(copy, json, len);
	int err = manifest_parse((struct span){ (const uint8_t *)copy, len }, &manifest_limits_most,
				 &arena, m, why);
	free(copy);
	return err;
}

static void a_full_manifest_is_read(void **state)
{
	(void)state;
	struct manifest m;
	struct why why = { 0 };
	const char *json =
		"{ \"name\": \"overheat\", \"version\": \"1.2.3-rc.1+b7\", \"abi\": 1,"
		"  \"description\": \"gr\u00fc\u00df dich\","
		"  \"limits\": { \"memory\": \"2MiB\", \"cpu_ms\": 50, \"deadline_ms\": 1000,"
		"               \"stack\": \"256KiB\", \"output\": 65536, \"events_per_s\": 10,"
		"               \"concurrency\": 2, \"host_calls\": 99, \"log_lines_per_s\": 3 },"
		"  \"criticality\": \"high\","
		"  \"capabilities\": { \"publish\": [\"alerts/#\", \"x\"], \"state\": true,"
		"     \"io\": [\"lamp\"], \"models\": [], \"http\": [\"example.org\"] },"
		"  \"bindings\": [ { \"mqtt\": \"sensors/+/temperature\", \"publish\": "
		"\"alerts/{1}\" },"
		"                { \"mqtt\": \"a/#\", \"qos\": 2 } ] }";
	if (parse(json, &m, &why) != 0)
		fail_msg("%s", why.text);
	assert_string_equal(m.name, "overheat");
	assert_string_equal(m.version, "1.2.3-rc.1+b7");
	assert_int_equal(m.limits.memory_bytes, 2 << 20);
	assert_int_equal(m.limits.stack_bytes, 256 << 10);
	assert_int_equal(m.limits.output_bytes, 65536);
	assert_int_equal(m.limits.cpu_ms, 50);
	assert_int_equal(m.limits.deadline_ms, 1000);
	assert_int_equal(m.limits.events_per_s, 10);
	assert_int_equal(m.limits.concurrency, 2);
	assert_int_equal(m.limits.host_calls, 99);
	assert_int_equal(m.limits.log_lines_per_s, 3);
	assert_int_equal(m.limits.criticality, CRITICALITY_HIGH);
	assert_int_equal(m.npublish, 2);
	assert_string_equal(m.publish[0], "alerts/#");
	assert_true(m.state);
	assert_int_equal(m.nio, 1);
	assert_string_equal(m.io[0], "lamp");
	assert_int_equal(m.nmodels, 0);
	assert_int_equal(m.nhttp, 1);
	assert_int_equal(m.nbindings, 2);
	assert_string_equal(m.bindings[0].publish, "alerts/{1}");
	assert_int_equal(m.bindings[0].qos, 1);
	assert_null(m.bindings[1].publish);
	assert_int_equal(m.bindings[1].qos, 2);
}

static void what_is_left_out_has_defaults_and_no_capabilities(void **state)
{
	(void)state;
	struct manifest m;
	assert_int_equal(parse("{\"name\":\"f\"}", &m, NULL), 0);
	assert_string_equal(m.version, "0.0.0");
	assert_string_equal(m.description, "");
	assert_memory_equal(&m.limits, &manifest_limits_default, sizeof(m.limits));
	assert_int_equal(m.npublish + m.nio + m.nmodels + m.nhttp + m.nbindings, 0);
	assert_false(m.state);
	const struct manifest_limits little = { 65536, 65536, 10, 5, 5, 4, 3, 2, 1, 0 };
	assert_int_equal(manifest_parse(text("{\"name\":\"f\"}"), &little, &arena, &m, NULL), 0);
	assert_memory_equal(&m.limits, &little, sizeof(little));
}

#define F "\"name\":\"f\","

static const struct {
	const char *json;
	int err;
	const char *why;
} refused[] = {
	{ "", -E_INVALID, "empty" },
	{ "no json", -E_INVALID, "line 1" },
	{ "{\n\n \"name\": }", -E_INVALID, "line 3" },
	{ "[]", -E_INVALID, "the whole must be an object" },
	{ "\"x\"", -E_INVALID, "line 1" },
	{ "{}", -E_INVALID, "name is missing" },
	{ "{\"name\":\"f\"} x", -E_INVALID, "end of file expected" },
	{ "{\"name\":\"f\",\"name\":\"g\"}", -E_INVALID, "duplicate" },
	{ "{\"name\":\"\\u0000\"}", -E_INVALID, "line 1" },
	{ "{\"name\":\"\xff\"}", -E_INVALID, "line 1" },
	{ "{\"name\":7}", -E_INVALID, "name must be a string" },
	{ "{\"name\":\"Upper\"}", -E_INVALID, "a-z" },
	{ "{\"name\":\"-x\"}", -E_INVALID, "begins" },
	{ "{\"name\":\"../x\"}", -E_INVALID, "a-z" },
	{ "{\"name\":\"\"}", -E_INVALID, "a-z" },
	{ "{\"name\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
	  -E_INVALID, "at most 63" },
	{ "{" F "\"nmae\":1}", -E_INVALID, "nmae is not a key" },
	{ "{" F "\"version\":\"1\"}", -E_INVALID, "semantic version" },
	{ "{" F "\"version\":\"1.2\"}", -E_INVALID, "semantic version" },
	{ "{" F "\"version\":\"1.2.3.4\"}", -E_INVALID, "semantic version" },
	{ "{" F "\"version\":\"01.2.3\"}", -E_INVALID, "semantic version" },
	{ "{" F "\"version\":\"1.2.3-\"}", -E_INVALID, "semantic version" },
	{ "{" F "\"version\":\"1.2.3-a..b\"}", -E_INVALID, "semantic version" },
	{ "{" F "\"version\":\"1.2.3 \"}", -E_INVALID, "semantic version" },
	{ "{" F "\"version\":\"1.2.3+\"}", -E_INVALID, "semantic version" },
	{ "{" F "\"version\":\"\"}", -E_INVALID, "semantic version" },
	{ "{" F "\"abi\":2}", -E_INVALID, "abi 2 is not offered; it must be 1" },
	{ "{" F "\"abi\":\"1\"}", -E_INVALID, "abi must be a number" },
	{ "{" F "\"description\":\"a\\nb\"}", -E_INVALID, "control character" },
	{ "{" F "\"limits\":[]}", -E_INVALID, "limits must be an object" },
	{ "{" F "\"limits\":{\"mem\":1}}", -E_INVALID, "limits.mem is not" },
	{ "{" F "\"limits\":{\"memory\":\"2MB\"}}", -E_INVALID, "such as \"2MiB\"" },
	{ "{" F "\"limits\":{\"memory\":\"MiB\"}}", -E_INVALID, "limits.memory" },
	{ "{" F "\"limits\":{\"memory\":\"2 MiB\"}}", -E_INVALID, "limits.memory" },
	{ "{" F "\"limits\":{\"memory\":-1}}", -E_INVALID, "limits.memory" },
	{ "{" F "\"limits\":{\"memory\":1.5}}", -E_INVALID, "limits.memory" },
	{ "{" F "\"limits\":{\"memory\":\"99999999999999999999GiB\"}}", -E_INVALID,
	  "limits.memory" },
	{ "{" F "\"limits\":{\"memory\":\"2GiB\"}}", -E_LIMIT,
	  "asks for 2GiB, this gateway grants at "
	  "most 256MiB" },
	{ "{" F "\"limits\":{\"memory\":\"4GiB\"}}", -E_LIMIT, "4GiB" },
	{ "{" F "\"limits\":{\"stack\":\"1KiB\"}}", -E_INVALID,
	  "limits.stack is 1KiB, it must be at "
	  "least 16KiB" },
	{ "{" F "\"limits\":{\"cpu_ms\":0}}", -E_INVALID, "limits.cpu_ms is 0" },
	{ "{" F "\"limits\":{\"cpu_ms\":\"5ms\"}}", -E_INVALID, "whole number of milliseconds" },
	{ "{" F "\"limits\":{\"cpu_ms\":4294967297}}", -E_LIMIT, "at most 10000 ms" },
	{ "{" F "\"limits\":{\"deadline_ms\":99999999}}", -E_LIMIT, "limits.deadline_ms asks for" },
	{ "{" F "\"capabilities\":true}", -E_INVALID, "capabilities must be an object" },
	{ "{" F "\"capabilities\":{\"publsh\":[]}}", -E_INVALID, "capabilities.publsh is not" },
	{ "{" F "\"capabilities\":{\"publish\":\"a\"}}", -E_INVALID, "must be a list" },
	{ "{" F "\"capabilities\":{\"publish\":[1]}}", -E_INVALID, "must be a string" },
	{ "{" F "\"capabilities\":{\"publish\":[\"a\",\"a/#/b\"]}}", -E_INVALID,
	  "publish[1], \"a/#/b\": not an MQTT topic filter" },
	{ "{" F "\"capabilities\":{\"io\":[\"\"]}}", -E_INVALID, "an output's name" },
	{ "{" F "\"capabilities\":{\"io\":[\"#\"]}}", -E_INVALID, "an output's name" },
	{ "{" F "\"capabilities\":{\"state\":1}}", -E_INVALID, "state must be true or false" },
	{ "{" F "\"bindings\":{}}", -E_INVALID, "bindings must be a list" },
	{ "{" F "\"bindings\":[1]}", -E_INVALID, "bindings[0] must be an object" },
	{ "{" F "\"bindings\":[{}]}", -E_INVALID, "bindings[0].mqtt is missing" },
	{ "{" F "\"bindings\":[{\"mqtt\":\"a+\"}]}", -E_INVALID, "not an MQTT topic filter" },
	{ "{" F "\"bindings\":[{\"mqtt\":\"a\",\"qos\":3}]}", -E_INVALID, "0, 1 or 2" },
	{ "{" F "\"bindings\":[{\"mqtt\":\"a\",\"gpio\":3}]}", -E_INVALID,
	  "bindings[0].gpio is not" },
	{ "{" F "\"bindings\":[{\"mqtt\":\"a/+\",\"publish\":\"b/{2}\"}]}", -E_INVALID,
	  "bindings[0].publish: {2}: the filter a/+ has 1 wildcard" },
};

static void what_is_wrong_is_refused_with_its_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct manifest m = { .name = "untouched" };
		struct why why = { 0 };
		int err = parse(refused[i].json, &m, &why);
		if (err != refused[i].err || !strstr(why.text, refused[i].why))
			fail_msg("%s: %d \"%s\"", refused[i].json, err, why.text);
		assert_string_equal(m.name, "untouched");
	}
}

static void deep_and_huge_input_is_bounded(void **state)
{
	(void)state;
	static char deep[MANIFEST_BYTES_MAX + 2];
	struct manifest m;
	memset(deep, '[', MANIFEST_BYTES_MAX);
	assert_int_equal(parse(deep, &m, NULL), -E_INVALID);
	memset(deep, ' ', MANIFEST_BYTES_MAX + 1);
	struct why why = { 0 };
	assert_int_equal(parse(deep, &m, &why), -E_INVALID);
	assert_non_null(strstr(why.text, "at most 65536"));
	/* 300 filters: more than a list may have */
	size_t n =
		(size_t)snprintf(deep, sizeof(deep), "{" F "\"capabilities\":{\"publish\":[\"a\"");
	for (int i = 0; i < 300; i++)
		n += (size_t)snprintf(deep + n, sizeof(deep) - n, ",\"a\"");
	(void)snprintf(deep + n, sizeof(deep) - n, "]}}");
	why.text[0] = '\0';
	assert_int_equal(parse(deep, &m, &why), -E_INVALID);
	assert_non_null(strstr(why.text, "301 entries, at most 256"));
}

static void an_arena_that_is_full_is_no_crash(void **state)
{
	(void)state;
	const char *json = "{" F "\"capabilities\":{\"publish\":[\"a\",\"b\"]},"
			   "\"bindings\":[{\"mqtt\":\"a\",\"publish\":\"b\"}]}";
	struct manifest m;
	for (size_t cap = 0, ok = 0; !ok; cap += 16) {
		struct arena small;
		arena_init(&small, cap);
		int err = manifest_parse(text(json), &manifest_limits_most, &small, &m, NULL);
		arena_fini(&small);
		ok = err == 0;
		assert_true(ok || err == -12);
		assert_true(cap < 4096);
	}
}

/* ---- in a module ---- */

static const uint8_t tiny[] = { 0, 'a', 's', 'm', 1, 0, 0, 0, 0, 3, 1, 'x', 7 };
static const struct span tiny_module = { tiny, sizeof(tiny) };

static void a_module_without_one_has_the_defaults(void **state)
{
	(void)state;
	struct manifest m;
	struct span json = { tiny, 1 };
	assert_int_equal(
		manifest_from_module(tiny_module, &manifest_limits_most, &arena, &m, &json, NULL),
		0);
	assert_string_equal(m.name, "");
	assert_int_equal(json.len, 0);
}

static void embedding_replaces_and_drops_the_signature(void **state)
{
	(void)state;
	struct sig_secret sk;
	struct sig_public pk;
	assert_int_equal(sig_init(), 0);
	assert_int_equal(sig_keygen(&sk, &pk), 0);
	uint8_t *one, *two, *three;
	size_t len, index;
	struct manifest m;
	struct span json;
	assert_int_equal(manifest_embed(tiny_module, text("{\"name\":\"one\"}"), &one, &len, NULL),
			 0);
	assert_int_equal(sig_sign((struct span){ one, len }, &sk, &two, &len, NULL), 0);
	assert_int_equal(sig_verify((struct span){ two, len }, &pk, 1, &index, NULL), 0);
	assert_int_equal(manifest_embed((struct span){ two, len }, text("{\"name\":\"two\"}"),
					&three, &len, NULL),
			 0);
	const struct span last = { three, len };
	assert_int_equal(sig_verify(last, &pk, 1, &index, NULL), -E_SIGNATURE);
	assert_int_equal(manifest_from_module(last, &manifest_limits_most, &arena, &m, &json, NULL),
			 0);
	assert_string_equal(m.name, "two");
	assert_memory_equal(json.at, "{\"name\":\"two\"}", json.len);
	free(one);
	free(two);
	free(three);
	struct why why = { 0 };
	assert_int_equal(manifest_embed(tiny_module, text("{\"nam\":1}"), &one, &len, &why),
			 -E_INVALID);
	assert_non_null(strstr(why.text, "nam is not"));
}

static void two_manifests_are_refused(void **state)
{
	(void)state;
	uint8_t *one;
	size_t len;
	assert_int_equal(manifest_embed(tiny_module, text("{\"name\":\"one\"}"), &one, &len, NULL),
			 0);
	size_t section = len - sizeof(tiny);
	uint8_t *twice = malloc(len + section);
	memcpy(twice, one, len);
	memcpy(twice + len, one + sizeof(tiny), section);
	struct manifest m;
	struct why why = { 0 };
	assert_int_equal(manifest_from_module((struct span){ twice, len + section },
					      &manifest_limits_most, &arena, &m, NULL, &why),
			 -E_INVALID);
	assert_non_null(strstr(why.text, "a second manifest"));
	free(one);
	free(twice);
}

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 16 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_manifest_is_read),
		cmocka_unit_test(what_is_left_out_has_defaults_and_no_capabilities),
		cmocka_unit_test(what_is_wrong_is_refused_with_its_place),
		cmocka_unit_test(deep_and_huge_input_is_bounded),
		cmocka_unit_test(an_arena_that_is_full_is_no_crash),
		cmocka_unit_test(a_module_without_one_has_the_defaults),
		cmocka_unit_test(embedding_replaces_and_drops_the_signature),
		cmocka_unit_test(two_manifests_are_refused),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
