/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/binding.h"
#include "proto/topic.h"

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static struct binding *make(uint64_t id, const char *filter, uint8_t qos)
{
	struct binding *b = NULL;
	struct why why = { 0 };
	assert_int_equal(binding_new(id,
				     &(struct binding_text){ .topics = true,
							     .function = text("f"),
							     .filter = text(filter) },
				     &b, &why),
			 0);
	b->qos = qos;
	return b;
}

/* Ids of what matches, as bits. */
static uint64_t matching(struct binding_table *t, const char *topic, const uint32_t *routes,
			 unsigned nroutes)
{
	struct binding *found[64];
	unsigned n = binding_table_match(t, text(topic), routes, nroutes, found, 64);
	uint64_t bits = 0;
	assert_true(n <= 64);
	for (unsigned i = 0; i < n; i++) {
		assert_false(bits >> found[i]->id & 1); /* each one once */
		bits |= UINT64_C(1) << found[i]->id;
		binding_unref(found[i]);
	}
	return bits;
}

static void topics_find_exactly_the_filters_that_match(void **state)
{
	static const struct {
		const char *topic;
		uint64_t want;
	} row[] = {
		/* 0 "#"  1 "+"  2 "a/#"  3 "a/+/c"  4 "a/b/c"  5 "+/b/#"  6 "$SYS/#"  7 "a//c" 8 "/+" */
		{ "a", 1 << 0 | 1 << 1 | 1 << 2 },
		{ "a/b/c", 1 << 0 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 },
		{ "a//c", 1 << 0 | 1 << 2 | 1 << 3 | 1 << 7 },
		{ "x/b", 1 << 0 | 1 << 5 },
		{ "$SYS/b", 1 << 6 },
		{ "$SYS", 1 << 6 },
		{ "/x", 1 << 0 | 1 << 8 },
		{ "/", 1 << 0 | 1 << 8 },
		{ "zzz/y", 1 << 0 },
	};
	static const char *const filter[] = { "#",     "+",      "a/#",  "a/+/c", "a/b/c",
					      "+/b/#", "$SYS/#", "a//c", "/+" };
	struct binding_table *t = binding_table_new(true);
	struct binding_route r;
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(filter); i++) {
		struct binding *b = make(i, filter[i], 0);
		assert_int_equal(binding_table_add(t, b, &r), 0);
		assert_true(r.changed);
		binding_unref(b);
	}
	for (unsigned i = 0; i < ARRAY_LEN(row); i++)
		assert_int_equal(matching(t, row[i].topic, NULL, 0), row[i].want);
	binding_table_free(t);
}

static void same_filter_shares_a_route_with_the_highest_qos(void **state)
{
	struct binding_table *t = binding_table_new(true);
	struct binding *a = make(1, "a/+", 0), *b = make(2, "a/+", 2);
	struct binding_route r, first;
	(void)state;
	assert_int_equal(binding_table_add(t, a, &first), 0);
	assert_true(first.changed && first.qos == 0);
	assert_int_equal(binding_table_add(t, b, &r), 0);
	assert_true(r.changed && r.qos == 2 && r.id == first.id);
	assert_int_equal(matching(t, "a/x", NULL, 0), 1 << 1 | 1 << 2);
	binding_table_remove(t, b, &r);
	assert_true(r.changed && r.qos == 0 && !r.gone && r.filter.len == 3);
	binding_table_remove(t, a, &r);
	assert_true(r.gone && r.id == first.id);
	assert_int_equal(matching(t, "a/x", NULL, 0), 0);
	binding_table_remove(t, a, &r); /* not there: nothing happens */
	assert_true(!r.gone && !r.changed);
	binding_unref(a);
	binding_unref(b);
	binding_table_free(t);
}

static void a_copy_is_for_the_routes_that_it_names(void **state)
{
	struct binding_table *t = binding_table_new(true);
	struct binding *a = make(1, "a/+", 0), *b = make(2, "+/b", 0);
	struct binding_route ra, rb;
	(void)state;
	assert_int_equal(binding_table_add(t, a, &ra), 0);
	assert_int_equal(binding_table_add(t, b, &rb), 0);
	assert_int_equal(matching(t, "a/b", &ra.id, 1), 1 << 1);
	assert_int_equal(matching(t, "a/b", &rb.id, 1), 1 << 2);
	uint32_t both[] = { ra.id, rb.id };
	assert_int_equal(matching(t, "a/b", both, 2), 1 << 1 | 1 << 2);
	binding_unref(a);
	binding_unref(b);
	binding_table_free(t);
}

static void a_shared_filter_is_a_route_of_its_own_where_its_topics_are(void **state)
{
	static const char *const filter[] = { "a/#", "$share/g/a/#", "$share/h/a/#", "$share/g/a/b",
					      "$share/g/a/#" };
	struct binding_table *t = binding_table_new(true);
	struct binding *b[ARRAY_LEN(filter)];
	struct binding_route r[ARRAY_LEN(filter)], gone;
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(filter); i++) {
		b[i] = make(i, filter[i], 1);
		assert_int_equal(binding_table_add(t, b[i], &r[i]), 0);
		assert_int_equal(r[i].changed, i < 4); /* the last shares the second's */
	}
	assert_int_equal(r[4].id, r[1].id);
	assert_true(r[1].id != r[0].id && r[1].id != r[2].id);
	assert_int_equal(matching(t, "a/b", NULL, 0), 31);
	assert_int_equal(matching(t, "a/b", &r[1].id, 1), 1 << 1 | 1 << 4);
	assert_int_equal(matching(t, "a/b", &r[3].id, 1), 1 << 3);
	assert_int_equal(matching(t, "$share/g/a/b", NULL, 0), 0);
	binding_table_remove(t, b[0], &gone);
	assert_true(gone.gone && gone.id == r[0].id);
	binding_table_remove(t, b[1], &gone);
	assert_true(!gone.gone && span_eq(gone.filter, filter[1]));
	assert_int_equal(matching(t, "a/x", NULL, 0), 1 << 2 | 1 << 4);
	for (unsigned i = 0; i < ARRAY_LEN(filter); i++)
		binding_unref(b[i]);
	binding_table_free(t);
}

static void a_route_has_the_same_number_after_a_restart(void **state)
{
	struct binding_route before, after;
	(void)state;
	for (int run = 0; run < 2; run++) {
		struct binding_table *t = binding_table_new(true);
		struct binding *other = make(1, "other", 0), *b = make(2, "a/#", 0);
		struct binding_route ignored;
		if (run == 1)
			assert_int_equal(binding_table_add(t, other, &ignored), 0);
		assert_int_equal(binding_table_add(t, b, run ? &after : &before), 0);
		binding_unref(other);
		binding_unref(b);
		binding_table_free(t);
	}
	assert_int_equal(before.id, after.id);
	assert_in_range(before.id, 1, 0xfffffff);
}

static void filters_and_templates_that_make_no_sense_are_refused(void **state)
{
	static const struct {
		const char *filter, *publish;
	} row[] = { { "", "" },        { "a/#/b", "" },  { "a+", "" },
		    { "#a", "" },      { "a/+", "{2}" }, { "a", "{1}" },
		    { "a", "{nope}" }, { "a", "{" },     { "\xff", "" } };
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		struct binding *b = NULL;
		struct why why = { 0 };
		assert_int_equal(
			binding_new(1,
				    &(struct binding_text){ .topics = true,
							    .function = text("f"),
							    .filter = text(row[i].filter),
							    .publish = text(row[i].publish) },
				    &b, &why),
			-E_INVALID);
		assert_true(why.text[0] != '\0');
	}
}

/* ---- the trie agrees with topic_match on everything ---- */

static uint32_t seed = 12345;

static unsigned chance(unsigned n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static void random_levels(char *to, size_t cap, bool filter)
{
	static const char *const level[] = { "a", "b", "", "aa", "$s", "+", "#" };
	unsigned n = 1 + chance(5);
	size_t len = 0;
	for (unsigned i = 0; i < n; i++) {
		const char *l = level[chance(filter ? 6 : 5)];
		if (filter && i == n - 1 && chance(4) == 0)
			l = "#";
		len += (size_t)snprintf(to + len, cap - len, "%s%s", i ? "/" : "", l);
	}
}

static void trie_and_brute_force_agree(void **state)
{
	enum { BINDINGS = 60, ROUNDS = 4000 };
	struct binding_table *t = binding_table_new(true);
	struct binding *b[BINDINGS] = { NULL };
	struct binding_route r;
	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		char buf[64];
		unsigned i = chance(BINDINGS);
		if (b[i]) {
			binding_table_remove(t, b[i], &r);
			binding_unref(b[i]);
			b[i] = NULL;
		} else {
			random_levels(buf, sizeof(buf), true);
			if (*buf == '\0')
				continue;
			b[i] = make(i, buf, 0);
			assert_int_equal(binding_table_add(t, b[i], &r), 0);
		}
		random_levels(buf, sizeof(buf), false);
		if (*buf == '\0')
			continue;
		uint64_t want = 0;
		for (i = 0; i < BINDINGS; i++) {
			if (b[i] && topic_match(topic_unshared(b[i]->filter), text(buf)))
				want |= UINT64_C(1) << i;
		}
		assert_int_equal(matching(t, buf, NULL, 0), want);
	}
	for (unsigned i = 0; i < BINDINGS; i++)
		binding_unref(b[i]);
	binding_table_free(t);
}

static void deep_topics_and_filters_stay_within_bounds(void **state)
{
	struct binding_table *t = binding_table_new(true);
	char filter[4 * TOPIC_LEVELS_MAX], topic[4 * 40000];
	struct binding_route r;
	(void)state;
	memset(filter, 0, sizeof(filter));
	for (unsigned i = 0; i < TOPIC_LEVELS_MAX; i++)
		memcpy(filter + 2 * i, i + 1 < TOPIC_LEVELS_MAX ? "+/" : "#", 2);
	struct binding *b = make(1, filter, 0);
	assert_int_equal(binding_table_add(t, b, &r), 0);
	memset(topic, '/', 60000);
	topic[60000] = '\0';
	assert_int_equal(matching(t, topic, NULL, 0), 1 << 1);
	topic[20] = '\0';
	assert_int_equal(matching(t, topic, NULL, 0), 0);
	binding_unref(b);
	binding_table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(topics_find_exactly_the_filters_that_match),
		cmocka_unit_test(same_filter_shares_a_route_with_the_highest_qos),
		cmocka_unit_test(a_copy_is_for_the_routes_that_it_names),
		cmocka_unit_test(a_shared_filter_is_a_route_of_its_own_where_its_topics_are),
		cmocka_unit_test(a_route_has_the_same_number_after_a_restart),
		cmocka_unit_test(filters_and_templates_that_make_no_sense_are_refused),
		cmocka_unit_test(trie_and_brute_force_agree),
		cmocka_unit_test(deep_topics_and_filters_stay_within_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
