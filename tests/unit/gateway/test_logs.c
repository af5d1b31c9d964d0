/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gateway/scratch.h"

#include <pthread.h>

#include "gateway/logs.h"

static struct logs *logs_of(size_t cap)
{
	struct logs *l = NULL;
	assert_int_equal(logs_new(cap, &l, NULL), 0);
	return l;
}

static void say(struct logs *l, enum log_level level, const char *msg, const char *function)
{
	const struct log_field fields[] = { F_STR("function", function), F_U64("event", UINT64_MAX),
					    F_ERR(-1000), F_BYTES("raw", "a\xff\"", 3) };
	const struct log_line line = {
		.level = level, .msg = msg, .fields = fields, .nfields = ARRAY_LEN(fields)
	};
	logs_sink(l, &line);
}

static json_t *items_of(json_t *found)
{
	return json_object_get(found, "items");
}

static const char *message_of(json_t *found, size_t i)
{
	return json_string_value(json_object_get(json_array_get(items_of(found), i), "message"));
}

static void lines_come_back_with_their_fields(void **state)
{
	(void)state;
	struct logs *l = logs_of(1 << 16);
	say(l, LOG_WARN, "hello", "overheat@3");
	json_t *found =
		logs_read(l, &(struct logs_filter){ .limit = 10, .most_verbose = LOG_DEBUG });
	json_t *item = json_array_get(items_of(found), 0);
	json_t *fields = json_object_get(item, "fields");
	assert_string_equal(message_of(found, 0), "hello");
	assert_string_equal(json_string_value(json_object_get(item, "level")), "warning");
	assert_string_equal(json_string_value(json_object_get(fields, "function")), "overheat@3");
	assert_string_equal(json_string_value(json_object_get(fields, "err")), "E_PROTO");
	assert_string_equal(json_string_value(json_object_get(fields, "raw")), "a\xef\xbf\xbd\"");
	assert_string_equal(json_string_value(json_object_get(fields, "event")),
			    "18446744073709551615");
	assert_true(json_integer_value(json_object_get(item, "seq")) ==
		    json_integer_value(json_object_get(found, "next")));
	json_decref(found);
	logs_free(l);
}

static void a_filter_gives_only_what_it_names(void **state)
{
	(void)state;
	struct logs *l = logs_of(1 << 16);
	say(l, LOG_INFO, "1", "a");
	say(l, LOG_ERR, "2", "ab");
	say(l, LOG_WARN, "3", "a@12");
	static const struct {
		struct logs_filter f;
		size_t want;
		const char *first;
	} rows[] = {
		{ { .limit = 9, .most_verbose = LOG_DEBUG }, 3, "1" },
		{ { .limit = 2, .most_verbose = LOG_DEBUG }, 2, "2" }, /* the newest */
		{ { .limit = 9, .most_verbose = LOG_WARN }, 2, "2" },
		{ { .limit = 9, .most_verbose = LOG_DEBUG, .function = "a" }, 2, "1" },
		{ { .limit = 9, .most_verbose = LOG_WARN, .function = "a" }, 1, "3" },
		{ { .limit = 9, .most_verbose = LOG_DEBUG, .function = "" }, 0, NULL },
		{ { .limit = 9, .most_verbose = LOG_DEBUG, .after = INT64_MAX }, 0, NULL },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *found = logs_read(l, &rows[i].f);
		assert_int_equal(json_array_size(items_of(found)), rows[i].want);
		if (rows[i].first)
			assert_string_equal(message_of(found, 0), rows[i].first);
		json_decref(found);
	}
	logs_free(l);
}

static void following_with_next_gives_every_line_once(void **state)
{
	(void)state;
	struct logs *l = logs_of(1 << 20);
	struct logs_filter f = { .limit = 7, .most_verbose = LOG_DEBUG };
	unsigned seen = 0;
	json_t *found = logs_read(l, &f);
	f.after = (uint64_t)json_integer_value(json_object_get(found, "next"));
	json_decref(found);
	for (unsigned i = 0; i < 100; i++)
		say(l, LOG_INFO, "x", "f");
	for (size_t n = 1; n > 0; seen += n) {
		found = logs_read(l, &f);
		n = json_array_size(items_of(found));
		f.after = (uint64_t)json_integer_value(json_object_get(found, "next"));
		json_decref(found);
	}
	assert_int_equal(seen, 100);
	logs_free(l);
}

static void the_ring_stays_within_its_bytes_and_lines(void **state)
{
	(void)state;
	struct logs *l = logs_of(4096);
	for (unsigned i = 0; i < 3 * LOGS_LINES_MAX; i++)
		say(l, LOG_INFO, i == 3 * LOGS_LINES_MAX - 1 ? "last" : "x", "f");
	json_t *found = logs_read(
		l, &(struct logs_filter){ .limit = LOGS_READ_MAX, .most_verbose = LOG_DEBUG });
	size_t n = json_array_size(items_of(found));
	assert_true(n > 10 && n < 100);
	assert_string_equal(message_of(found, n - 1), "last");
	json_decref(found);
	logs_free(l);
}

static void oversized_fields_do_not_break_a_line(void **state)
{
	(void)state;
	struct logs *l = logs_of(1 << 20);
	char *big = malloc(100000);
	assert_non_null(big);
	memset(big, 'y', 100000);
	const struct log_field fields[] = { F_BYTES("a", big, 100000), F_BYTES("b", big, 100000),
					    F_BYTES("c", big, 100000), F_BYTES("d", big, 100000),
					    F_BYTES("e", big, 100000), F_STR("null", NULL) };
	const struct log_line line = {
		.level = LOG_INFO, .msg = "m", .fields = fields, .nfields = ARRAY_LEN(fields)
	};
	logs_sink(l, &line);
	json_t *found =
		logs_read(l, &(struct logs_filter){ .limit = 1, .most_verbose = LOG_DEBUG });
	assert_string_equal(message_of(found, 0), "m");
	json_decref(found);
	free(big);
	logs_free(l);
}

static void count_wake(void *arg)
{
	++*(unsigned *)arg;
}

static void do_nothing(uv_timer_t *t)
{
	(void)t;
}

static void *say_many(void *arg)
{
	for (unsigned i = 0; i < 1000; i++)
		say(arg, LOG_INFO, "from a thread", "f");
	return NULL;
}

static void lines_of_other_threads_wake_the_loop(void **state)
{
	(void)state;
	struct logs *l = logs_of(1 << 20);
	uv_loop_t loop;
	unsigned woken = 0;
	pthread_t thread[2];
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(logs_watch(l, &loop, count_wake, &woken, NULL), 0);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, say_many, l), 0);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	/* The watch alone does not keep a loop running. */
	uv_timer_t timer;
	assert_int_equal(uv_timer_init(&loop, &timer), 0);
	assert_int_equal(uv_timer_start(&timer, do_nothing, 5, 0), 0);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&timer, NULL);
	assert_true(woken >= 1 && woken < 2000);
	logs_unwatch(l);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	json_t *found = logs_read(
		l, &(struct logs_filter){ .limit = LOGS_READ_MAX, .most_verbose = LOG_DEBUG });
	assert_int_equal(json_array_size(items_of(found)), LOGS_READ_MAX);
	json_decref(found);
	logs_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_come_back_with_their_fields),
		cmocka_unit_test(a_filter_gives_only_what_it_names),
		cmocka_unit_test(following_with_next_gives_every_line_once),
		cmocka_unit_test(the_ring_stays_within_its_bytes_and_lines),
		cmocka_unit_test(oversized_fields_do_not_break_a_line),
		cmocka_unit_test(lines_of_other_threads_wake_the_loop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
