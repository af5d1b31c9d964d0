/* SPDX-License-Identifier: Apache-2.0 */
/* Topic rules: the examples of MQTT 5.0, section 4.7, and our templates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/topic.h"

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static void names_and_filters_follow_4_7(void **state)
{
	(void)state;
	static const struct {
		const char *topic;
		bool name, filter;
	} row[] = {
		{ "sport/tennis/player1", true, true },
		{ "/", true, true },
		{ "/finance", true, true },
		{ "a//b", true, true },
		{ " ", true, true },
		{ "ACCOUNTS", true, true },
		{ "$SYS/broker", true, true },
		{ "", false, false },
		{ "#", false, true },
		{ "+", false, true },
		{ "sport/tennis/#", false, true },
		{ "sport/tennis#", false, false },
		{ "sport/tennis/#/ranking", false, false },
		{ "+/tennis/#", false, true },
		{ "sport+", false, false },
		{ "sport/+/player1", false, true },
		{ "a/+b", false, false },
		{ "##", false, false },
		{ "$share/g/a/+", false, true }, /* 4.8.2 */
		{ "$share/g/#", false, true },
		{ "$share/g//", true, true },
		{ "$share/g/", true, false },
		{ "$share/g", true, false },
		{ "$share//a", true, false },
		{ "$share/+/a", false, false },
		{ "$share/g#/a", false, false },
		{ "$shared/g", true, true },
		{ "\xff", false, false },
		{ "a\xc0\x80", false, false },
		{ "\xed\xa0\x80", false, false },
		{ "gr\xc3\xbc\xc3\x9f/\xf0\x9f\x8c\xa1", true, true },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		assert_int_equal(topic_name_ok(text(row[i].topic)), row[i].name);
		assert_int_equal(topic_filter_ok(text(row[i].topic)), row[i].filter);
	}
	assert_false(topic_name_ok((struct span){ (const uint8_t *)"a\0b", 3 }));
	assert_false(topic_filter_ok((struct span){ (const uint8_t *)"a\0b", 3 }));
}

static void a_shared_filter_matches_by_what_it_shares(void **state)
{
	(void)state;
	uint8_t buf[64];
	struct why why = { 0 };
	struct wr w = wr_into(buf, sizeof(buf));
	const struct topic_vars vars = { .filter = text("$share/g/a/+/#"),
					 .topic = text("a/x/y/z") };
	static const char *const row[][2] = { { "$share/g/a/+", "a/+" },
					      { "$share/g//", "/" },
					      { "a/$share/b", "a/$share/b" },
					      { "$sharea/b/c", "$sharea/b/c" } };
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		assert_true(span_eq(topic_unshared(text(row[i][0])), row[i][1]));
	assert_int_equal(topic_template_check(text("o/{2}/{1}"), vars.filter, &why), 0);
	assert_true(topic_template_expand(text("o/{2}/{1}"), &vars, &w));
	assert_true(span_eq((struct span){ buf, w.len }, "o/y/z/x"));
	assert_true(topic_template_loops(text("a/{1}/b"), vars.filter));
	assert_false(topic_template_loops(text("o/{1}/b"), vars.filter));
}

static void length_and_depth_are_bounded(void **state)
{
	(void)state;
	static uint8_t a[TOPIC_BYTES_MAX + 1];
	memset(a, 'a', sizeof(a));
	assert_true(topic_name_ok((struct span){ a, TOPIC_BYTES_MAX }));
	assert_false(topic_name_ok((struct span){ a, TOPIC_BYTES_MAX + 1 }));
	memset(a, '/', sizeof(a));
	assert_true(topic_filter_ok((struct span){ a, TOPIC_LEVELS_MAX - 1 }));
	assert_false(topic_filter_ok((struct span){ a, TOPIC_LEVELS_MAX }));
}

static void filters_match_as_in_the_specification(void **state)
{
	(void)state;
	static const struct {
		const char *filter, *name;
		bool want;
	} row[] = {
		{ "sport/tennis/player1/#", "sport/tennis/player1", true },
		{ "sport/tennis/player1/#", "sport/tennis/player1/ranking", true },
		{ "sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true },
		{ "sport/#", "sport", true },
		{ "sport/#", "sports", false },
		{ "#", "a/b/c", true },
		{ "#", "/", true },
		{ "sport/tennis/+", "sport/tennis/player1", true },
		{ "sport/tennis/+", "sport/tennis/player1/ranking", false },
		{ "sport/+", "sport", false },
		{ "sport/+", "sport/", true },
		{ "+/+", "/finance", true },
		{ "/+", "/finance", true },
		{ "+", "/finance", false },
		{ "#", "$SYS/x", false },
		{ "+/monitor/Clients", "$SYS/monitor/Clients", false },
		{ "$SYS/#", "$SYS/x", true },
		{ "$SYS/monitor/+", "$SYS/monitor/Clients", true },
		{ "a/b", "a/b", true },
		{ "a/b", "A/b", false },
		{ "a/b", "a/b/", false },
		{ "a/b/", "a/b", false },
		{ "+/#", "a", true },
		{ "a/+/c/#", "a/b/c", true },
		{ "a/+/c/#", "a//c/d/e", true },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		assert_int_equal(topic_match(text(row[i].filter), text(row[i].name)), row[i].want);
}

static void a_filter_covers_what_it_contains(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		bool want;
	} row[] = {
		{ "alerts/#", "alerts/p1", true },
		{ "alerts/#", "alerts", true },
		{ "alerts/#", "alerts/+/x", true },
		{ "alerts/#", "alerts/#", true },
		{ "alerts/#", "#", false },
		{ "alerts/+", "alerts/#", false },
		{ "alerts/+", "alerts/+", true },
		{ "alerts/+", "alerts/x", true },
		{ "alerts/x", "alerts/+", false },
		{ "#", "a/b", true },
		{ "#", "+", true },
		{ "#", "$SYS/x", false },
		{ "$SYS/#", "$SYS/x", true },
		{ "+/#", "#", true },
		{ "+/+/#", "#", false },
		{ "a/+/#", "a/#", false },
		{ "a/b", "a/b/c", false },
		{ "a/b/c", "a/b", false },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		assert_int_equal(topic_covers(text(row[i].a), text(row[i].b)), row[i].want);
}

static void templates_are_checked_when_they_are_written(void **state)
{
	(void)state;
	static const struct {
		const char *tmpl, *filter, *why; /* NULL = fine */
	} row[] = {
		{ "alerts", "#", NULL },
		{ "alerts/{1}", "sensors/+/t", NULL },
		{ "{1}/{2}", "+/#", NULL },
		{ "{topic}/{id}/{function}", "a", NULL },
		{ "a{{b}}", "a", NULL },
		{ "alerts/{2}", "sensors/+/t", "has 1 wildcard" },
		{ "alerts/{1}", "sensors", "has 0 wildcards" },
		{ "alerts/{0}", "+", "{0} is unknown" },
		{ "alerts/{01}", "+", "{01} is unknown" },
		{ "alerts/{}", "+", "{} is unknown" },
		{ "alerts/{topics}", "+", "{topics} is unknown" },
		{ "alerts/{1", "+", "a { without" },
		{ "alerts/1}", "+", "a } without" },
		{ "alerts/+", "+", "without + and #" },
		{ "", "+", "1 to 65535 bytes" },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct why why = { 0 };
		int err = topic_template_check(text(row[i].tmpl), text(row[i].filter), &why);
		assert_int_equal(err, row[i].why ? -E_INVALID : 0);
		if (row[i].why && !strstr(why.text, row[i].why))
			fail_msg("%s: \"%s\"", row[i].tmpl, why.text);
	}
}

static void templates_expand_to_topics(void **state)
{
	(void)state;
	static const struct {
		const char *tmpl, *filter, *topic, *want; /* NULL = no valid topic */
	} row[] = {
		{ "alerts/{1}", "sensors/+/t", "sensors/p1/t", "alerts/p1" },
		{ "{2}/{1}", "+/+", "a/b", "b/a" },
		{ "x/{1}", "a/#", "a/b/c", "x/b/c" },
		{ "x/{1}", "a/#", "a", "x/" },
		{ "{1}", "a/#", "a", NULL },
		{ "{1}", "#", "a/b", "a/b" },
		{ "{1}", "#", "/", "/" },
		/* Where a topic begins with $ is no sender's choice: $output/NAME would be one. */
		{ "{2}/{1}", "+/+", "lamp/$output", NULL },
		{ "{1}/{2}", "a/+/+", "a/$output/lamp", NULL },
		{ "{topic}", "#", "$output/lamp", NULL },
		{ "$output/{1}", "a/+", "a/lamp", "$output/lamp" },
		{ "{1}|{2}", "+/#", "a", "a|" },
		{ "x{1}y", "a/+/b", "a//b", "xy" },
		{ "{topic}/{id}/{function}", "a", "a", "a/42/overheat" },
		{ "{{{1}}}", "+", "a", "{a}" },
		{ "{9}", "+", "a", NULL },
		{ "{bad}", "+", "a", NULL },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const struct topic_vars v = { .filter = text(row[i].filter),
					      .topic = text(row[i].topic),
					      .id = text("42"),
					      .function = text("overheat") };
		char buf[64];
		struct wr w = wr_into(buf, sizeof(buf));
		bool ok = topic_template_expand(text(row[i].tmpl), &v, &w);
		assert_int_equal(ok, row[i].want != NULL);
		if (ok) {
			assert_int_equal(w.len, strlen(row[i].want));
			assert_memory_equal(buf, row[i].want, w.len);
		}
	}
}

static void a_template_that_can_come_back_to_its_filter_is_known(void **state)
{
	(void)state;
	static const struct {
		const char *tmpl, *filter;
		bool want;
	} row[] = {
		{ "alerts/{1}", "sensors/+/t", false },
		{ "alerts/{1}", "alerts/+", true },
		{ "alerts/{1}/x", "alerts/+", false },
		{ "alerts/{1}/x", "alerts/#", true },
		{ "{1}/out", "+/in", false },
		{ "{1}/in", "+/in", true },
		{ "anything", "#", true },
		{ "$SYS/x", "#", false },
		{ "a", "a/#", true },
		{ "a", "a", true },
		{ "b", "a", false },
		{ "{topic}", "a", true },
		{ "{topic}/done", "sensors/+", false },
		{ "{topic}/done", "sensors/#", true },
		{ "done/{topic}", "sensors/#", false },
		{ "{1}/b/c", "+/#", true },
		{ "x/{1}", "a/#", false },
		{ "{1}", "a/#", true },
		{ "{1}", "a/#", true },
		{ "{2}/z", "+/#", true },
		{ "x{1}y/b", "a/+", true }, /* no: but a look at each byte would not pay */
		{ "x{1}y/b", "+/b", true },
		{ "{function}", "f", true },
		{ "f/{id}", "f/+/x", false },
		{ "a}}", "a}", true },
		{ "{{a/b", "{a/+", true },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		if (topic_template_loops(text(row[i].tmpl), text(row[i].filter)) != row[i].want)
			fail_msg("%s, %s", row[i].tmpl, row[i].filter);
}

static void an_expansion_that_does_not_fit_is_refused(void **state)
{
	(void)state;
	const struct topic_vars v = {
		.filter = text("+"), .topic = text("abcdef"), .id = text("1"), .function = text("f")
	};
	char buf[12];
	for (size_t cap = 0; cap <= sizeof(buf); cap++) {
		struct wr w = wr_into(buf, cap);
		assert_int_equal(topic_template_expand(text("{1}{topic}"), &v, &w), cap == 12);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_filters_follow_4_7),
		cmocka_unit_test(a_shared_filter_matches_by_what_it_shares),
		cmocka_unit_test(length_and_depth_are_bounded),
		cmocka_unit_test(filters_match_as_in_the_specification),
		cmocka_unit_test(a_filter_covers_what_it_contains),
		cmocka_unit_test(templates_are_checked_when_they_are_written),
		cmocka_unit_test(templates_expand_to_topics),
		cmocka_unit_test(a_template_that_can_come_back_to_its_filter_is_known),
		cmocka_unit_test(an_expansion_that_does_not_fit_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
