/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "triggers/http_route.h"

static struct span span_of(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static int add(struct http_routes *t, uint32_t id, const char *filter, const char *options)
{
	struct why why = { 0 };
	const struct trigger_route r = { .id = id,
					 .filter = span_of(filter),
					 .options = span_of(options) };
	int err = http_routes_add(t, &r, &why);
	assert_true(err == 0 || why.text[0] != '\0');
	return err;
}

static const uint64_t second = 1000000000;

static int find(struct http_routes *t, enum http_method m, const char *path, struct http_found *f)
{
	struct http_head h = { .method = m, .path = span_of(path) };
	return http_routes_find(t, &h, second, f);
}

static int begin(void **state)
{
	*state = calloc(1, sizeof(struct http_routes));
	return *state ? http_routes_init(*state) : -1;
}

static int end(void **state)
{
	http_routes_fini(*state);
	free(*state);
	return 0;
}

static void test_the_most_specific_filter_gets_it(void **state)
{
	static const struct {
		const char *path;
		uint32_t id; /* 0: nobody */
	} row[] = {
		{ "/a", 1 },     { "/b", 2 },     { "/a/b", 3 },   { "/a/x", 4 },
		{ "/x/b", 5 },   { "/x/y", 6 },   { "/a/", 0 },    { "/", 0 },
		{ "/x/y/z", 0 }, { "/a/b/c", 7 }, { "/x/b/c", 8 }, { "/a//c", 0 },
		{ "/a/+", 4 },   { "/a/x/c", 0 }, { "", 0 },       { "/a/bb", 4 },
	};
	struct http_routes *t = *state;
	static const char *const filters[] = { "/+",   "/+/b/c", "/a/b/c", "/+/+",
					       "/+/b", "/a/+",   "/a/b",   "/a" };
	static const uint32_t ids[] = { 2, 8, 7, 6, 5, 4, 3, 1 };
	for (size_t i = 0; i < ARRAY_LEN(filters); i++)
		assert_int_equal(add(t, ids[i], filters[i], "{}"), 0);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct http_found f = { 0 };
		int status = find(t, HTTP_POST, row[i].path, &f);
		if (status != (row[i].id ? 0 : 404) || f.id != row[i].id)
			print_error("%s: %d, %u\n", row[i].path, status, f.id);
		assert_int_equal(status, row[i].id ? 0 : 404);
		assert_int_equal(f.id, row[i].id);
	}
	http_routes_remove(t, 3);
	struct http_found f = { 0 };
	assert_int_equal(find(t, HTTP_POST, "/a/b", &f), 0);
	assert_int_equal(f.id, 4);
}

static void test_methods_are_part_of_it(void **state)
{
	struct http_routes *t = *state;
	struct http_found f = { 0 };
	assert_int_equal(add(t, 1, "/a", "{\"method\":\"any\"}"), 0);
	assert_int_equal(add(t, 2, "/a", "{\"method\":\"GET\",\"reply\":\"accept\"}"), 0);
	assert_int_equal(add(t, 3, "/b", "{\"method\":\"PUT\"}"), 0);
	assert_int_equal(add(t, 4, "/b", "{\"method\":\"DELETE\"}"), 0);
	assert_int_equal(find(t, HTTP_GET, "/a", &f), 0);
	assert_true(f.id == 2 && !f.waits);
	assert_int_equal(find(t, HTTP_POST, "/a", &f), 0);
	assert_true(f.id == 1 && f.waits);
	assert_int_equal(find(t, HTTP_OTHER, "/a", &f), 0);
	assert_int_equal(find(t, HTTP_HEAD, "/a", &f), 405);
	assert_string_equal(f.allow, "GET, POST, PUT, DELETE");
	assert_int_equal(find(t, HTTP_GET, "/b", &f), 405);
	assert_string_equal(f.allow, "PUT, DELETE");
}

static void test_filters_are_paths(void **state)
{
	static const char *const bad[] = { "",      "a",     "/a b",  "/a?b", "/a#",
					   "/a%20", "/a+",   "/+a/b", "/./a", "/a/..",
					   "/a\n",  "/\xff", "/a/#",  "/a\\b" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (add(*state, 1, bad[i], "{}") == 0)
			print_error("%s\n", bad[i]);
		assert_int_equal(add(*state, 1, bad[i], "{}"), -E_INVALID);
	}
	assert_int_equal(add(*state, 1, "/a", "{\"token_file\":\"relative\"}"), -E_INVALID);
	assert_int_equal(add(*state, 1, "/", "{}"), 0);
	assert_int_equal(add(*state, 2, "/\xc3\xa4/...", "{}"), 0);
}

static void test_rates_are_kept(void **state)
{
	struct http_routes *t = *state;
	struct http_found f = { 0 };
	struct http_head h = { .method = HTTP_POST, .path = span_of("/a") };
	unsigned passed = 0;
	assert_int_equal(add(t, 1, "/a", "{\"rate\":10}"), 0);
	for (unsigned i = 0; i < 1000; i++) /* ten seconds */
		passed += http_routes_find(t, &h, second + i * (second / 100), &f) == 0;
	assert_in_range(passed, 108, 111); /* what the bucket holds at first, and 10 a second */
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void test_tokens_open_and_their_file_can_change(void **state)
{
	char dir[] = "/tmp/penstock-token.XXXXXX", path[64], options[128];
	struct http_routes *t = *state;
	struct why why = { 0 };
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/token", dir);
	(void)snprintf(options, sizeof(options), "{\"token_file\":\"%s\"}", path);
	assert_int_equal(add(t, 1, "/a", options), 0);
	static const struct {
		const char *file; /* NULL: as it was; "-": removed */
		const char *given;
		int want;
	} row[] = {
		{ NULL, "Bearer secret", 401 }, /* it is missing */
		{ "secret\nmore\n", "Bearer secret", 0 },
		{ NULL, "bearer secret", 0 },
		{ NULL, "Bearer secre", 401 },
		{ NULL, "Bearer secretx", 401 },
		{ NULL, "Bearer ", 401 },
		{ NULL, "Basic secret", 401 },
		{ NULL, "secret", 401 },
		{ NULL, "", 401 },
		{ "other\r\n", "Bearer secret", 401 },
		{ NULL, "Bearer other", 0 },
		{ "\n", "Bearer ", 401 }, /* an empty word opens nothing */
		{ "\n", "Bearer other", 401 },
		{ "back", "Bearer back", 0 },
		{ "-", "Bearer back", 401 },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct http_found f = { 0 };
		struct http_head h = { .method = HTTP_POST, .path = span_of("/a"), .nfields = 1 };
		h.field[0].name = span_of("authorization");
		h.field[0].value = span_of(row[i].given);
		if (row[i].file && row[i].file[0] == '-')
			assert_int_equal(unlink(path), 0);
		else if (row[i].file)
			put(path, row[i].file);
		int status = http_routes_find(t, &h, (i + 1) * 2 * second, &f);
		if (status != row[i].want)
			print_error("%zu\n", i);
		assert_int_equal(status, row[i].want);
	}
	assert_false(http_routes_well(t, 1, &why));
	assert_non_null(strstr(why.text, path));
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_most_specific_filter_gets_it, begin, end),
		cmocka_unit_test_setup_teardown(test_methods_are_part_of_it, begin, end),
		cmocka_unit_test_setup_teardown(test_filters_are_paths, begin, end),
		cmocka_unit_test_setup_teardown(test_rates_are_kept, begin, end),
		cmocka_unit_test_setup_teardown(test_tokens_open_and_their_file_can_change, begin,
						end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
