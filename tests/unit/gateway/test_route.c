/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gateway/scratch.h"

#include <errno.h>

#include "gateway/api/route.h"

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static void a_path_finds_its_row_or_says_what_it_takes(void **state)
{
	static const struct {
		enum api_method method;
		const char *path, *pattern, *arg, *allow;
	} rows[] = {
		{ API_GET, "/api/v1/status", "/status", "", "GET" },
		{ API_POST, "/api/v1/status", NULL, "", "GET" },
		{ API_OTHER, "/api/v1/keys", NULL, "", "GET, POST" },
		{ API_DELETE, "/api/v1/keys/ab", "/keys/*", "ab", "DELETE" },
		{ API_GET, "/api/v1/functions/over-heat_1", "/functions/*", "over-heat_1",
		  "GET, DELETE" },
		{ API_POST, "/api/v1/functions/f/invoke", "/functions/*/invoke", "f", "POST" },
		{ API_POST, "/api/v1/functions/f/invoke/", NULL, "", "" },
		{ API_GET, "/api/v1/functions/", NULL, "", "" },
		{ API_POST, "/api/v1/functions//invoke", NULL, "", "" },
		{ API_GET, "/metrics", "/metrics", "", "GET" },
		{ API_POST, "/metrics", NULL, "", "GET" },
		{ API_GET, "/metricsx", NULL, "", "" },
		{ API_GET, "/status", NULL, "", "" },
		{ API_GET, "/api/v1", NULL, "", "" },
		{ API_GET, "/api/v1status", NULL, "", "" },
		{ API_GET, "/api/v", NULL, "", "" },
		{ API_GET, "", NULL, "", "" },
		{ API_GET, "/api/v1/statusx", NULL, "", "" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct route_found found;
		route_find(rows[i].method, text(rows[i].path), &found);
		assert_string_equal(found.allow, rows[i].allow);
		assert_int_equal(found.route != NULL, rows[i].pattern != NULL);
		if (!found.route)
			continue;
		assert_string_equal(found.route->pattern, rows[i].pattern);
		assert_true(span_eq(found.arg, rows[i].arg));
	}
}

static const struct route *route_of(const char *path)
{
	struct route_found found;
	route_find(API_POST, text(path), &found);
	if (!found.route)
		route_find(API_GET, text(path), &found);
	assert_non_null(found.route);
	return found.route;
}

static void a_query_takes_what_its_row_names_once(void **state)
{
	static const struct {
		const char *path, *first, *second;
		int want;
	} rows[] = {
		{ "/api/v1/functions", "granted=1", "name=a", 0 },
		{ "/api/v1/functions", "granted", "name=", 0 },
		{ "/api/v1/functions", "granted=1", "granted=1", -EINVAL },
		{ "/api/v1/functions", "granted=1", "grant=1", -EINVAL },
		{ "/api/v1/functions", "granted=1", "", -EINVAL },
		{ "/api/v1/functions", "granted=1", "=1", -EINVAL },
		{ "/api/v1/functions", "granted=1", "name=\xff", -EINVAL },
		{ "/api/v1/functions/f/invoke", "attr.a=1", "attr.b=1", 0 },
		{ "/api/v1/functions/f/invoke", "attr.a=1", "attr.=1", -EINVAL },
		{ "/api/v1/functions/f/invoke", "attr.a=1", "attr=1", -EINVAL },
		{ "/api/v1/logs", "after=1", "limit=2", 0 },
		{ "/api/v1/status", NULL, "x=1", -EINVAL },
	};
	static struct query q;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct route *route = route_of(rows[i].path);
		memset(&q, 0, sizeof(q));
		if (rows[i].first)
			assert_int_equal(query_add(&q, route, text(rows[i].first), NULL), 0);
		assert_int_equal(query_add(&q, route, text(rows[i].second), NULL), rows[i].want);
	}
}

static void values_are_read_as_what_they_are(void **state)
{
	static const struct {
		const char *pair;
		int want;
		uint64_t value;
	} numbers[] = {
		{ "limit=1", 0, 1 },
		{ "limit=1000", 0, 1000 },
		{ "limit=0", -EINVAL, 77 },
		{ "limit=1001", -EINVAL, 77 },
		{ "limit=", -EINVAL, 77 },
		{ "limit=-1", -EINVAL, 77 },
		{ "limit=+1", -EINVAL, 77 },
		{ "limit= 1", -EINVAL, 77 },
		{ "limit=0x10", -EINVAL, 77 },
		{ "limit=1e3", -EINVAL, 77 },
		{ "limit=99999999999999999999999", -EINVAL, 77 },
		{ "after=1", 0, 77 }, /* not given */
	};
	static struct query q;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		uint64_t v = 77;
		memset(&q, 0, sizeof(q));
		assert_int_equal(
			query_add(&q, route_of("/api/v1/logs"), text(numbers[i].pair), NULL), 0);
		assert_int_equal(query_u64(&q, "limit", 1, 1000, &v, NULL), numbers[i].want);
		assert_true(v == numbers[i].value);
	}
	static const struct {
		const char *pair;
		int want;
		bool value;
	} bools[] = {
		{ "granted=1", 0, true },   { "granted=true", 0, true },
		{ "granted", 0, true },     { "granted=0", 0, false },
		{ "granted=no", 0, false }, { "granted=maybe", -EINVAL, false },
	};
	for (size_t i = 0; i < ARRAY_LEN(bools); i++) {
		bool b = false;
		memset(&q, 0, sizeof(q));
		assert_int_equal(
			query_add(&q, route_of("/api/v1/functions"), text(bools[i].pair), NULL), 0);
		assert_int_equal(query_bool(&q, "granted", &b, NULL), bools[i].want);
		assert_int_equal(b, bools[i].value);
	}
}

static void a_query_has_a_bounded_size(void **state)
{
	static struct query q;
	static char big[API_QUERY_BYTES_MAX];
	char pair[32];
	const struct route *route = route_of("/api/v1/functions/f/invoke");
	int err = 0;
	unsigned n = 0;
	(void)state;
	for (; err == 0; n += err == 0) {
		(void)snprintf(pair, sizeof(pair), "attr.a%u=1", n);
		err = query_add(&q, route, text(pair), NULL);
	}
	assert_int_equal(err, -E_LIMIT);
	assert_int_equal(n, API_QUERY_MAX);
	memset(&q, 0, sizeof(q));
	memset(big, 'a', sizeof(big) - 1);
	memcpy(big, "attr.", 5);
	assert_int_equal(query_add(&q, route, text(big), NULL), -E_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_finds_its_row_or_says_what_it_takes),
		cmocka_unit_test(a_query_takes_what_its_row_names_once),
		cmocka_unit_test(values_are_read_as_what_they_are),
		cmocka_unit_test(a_query_has_a_bounded_size),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
