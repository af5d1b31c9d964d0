/* SPDX-License-Identifier: Apache-2.0 */
/* An event and the cursor that it moves are in the journal together, or neither is. */
#include "tests/unit/gateway/scratch.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "gateway/cursors.h"

enum { KILLS = 12, EVENTS_MOST = 200000 };

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static struct journal *open_at(const char *dir)
{
	struct journal *j = NULL;
	struct why why = { 0 };
	bool damaged;
	const struct journal_options o = { .state_dir = dir,
					   .quota_bytes = 1 << 30,
					   .quota_rows = 1 << 30,
					   .keep_bytes = 1 << 30,
					   .keep_s = INT32_MAX };
	if (journal_open(&o, &j, &damaged, &why) < 0)
		fail_msg("%s", why.text);
	return j;
}

static struct cursors *cursors_of(struct journal *j)
{
	struct cursors *c = NULL;
	assert_int_equal(cursors_new(j, &c, NULL), 0);
	return c;
}

static void event_gone(struct journal_op *op, int err)
{
	(void)err;
	free(CONTAINER_OF(op, struct journal_event, op));
}

static void event_put(struct journal *j, uint64_t id)
{
	struct journal_event *e = calloc(1, sizeof(*e));
	assert_non_null(e);
	*e = (struct journal_event){ .id = id,
				     .binding = 1,
				     .function = text("f"),
				     .source = text("every"),
				     .topic = text("1s") };
	e->op.done = event_gone;
	journal_event_put(j, e);
}

static struct cursor_step *step_to(struct cursors *c, uint64_t at)
{
	struct cursor_step *s;
	char value[32];
	(void)snprintf(value, sizeof(value), "%llu", (unsigned long long)at);
	assert_int_equal(cursors_begin(c, "every", text("1s"), text(value), &s), 0);
	return s;
}

static uint64_t at_of(struct cursors *c, const char *source)
{
	char value[32] = "";
	size_t n = cursors_get(c, source, text("1s"), value, sizeof(value) - 1);
	return n ? strtoull(value, NULL, 10) : 0;
}

static int highest(void *arg, const struct journal_row *r)
{
	uint64_t *most = arg;
	*most = r->id;
	return 0;
}

/* What is in the file. */
static void look(const char *dir, uint64_t *ret_event, uint64_t *ret_cursor)
{
	struct journal *j = open_at(dir);
	struct cursors *c = cursors_of(j);
	const struct journal_query q = { .state = -1, .limit = 1 };
	*ret_event = 0;
	assert_int_equal(journal_events(j, &q, highest, ret_event, NULL), 0);
	*ret_cursor = at_of(c, "every");
	journal_close(j);
	cursors_free(c);
}

/* ---- rules ---- */

static void *commit_all_the_time(void *arg)
{
	for (;;)
		journal_commit(arg);
	return NULL;
}

static void report_events(const char *dir)
{
	pthread_t other;
	struct journal *j = open_at(dir);
	struct cursors *c = cursors_of(j);
	uint64_t from = at_of(c, "every");
	if (pthread_create(&other, NULL, commit_all_the_time, j) != 0)
		_exit(1);
	for (uint64_t id = from + 1; id < from + EVENTS_MOST; id++) {
		struct cursor_step *s = step_to(c, id);
		event_put(j, id);
		(void)nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL); /* be killed here */
		cursors_end(c, s, true);
	}
	for (;;)
		(void)pause();
}

static void a_process_killed_at_any_moment_leaves_both_or_none(void **state)
{
	uint64_t event = 0, cursor = 0, before = 0;
	for (unsigned i = 0; i < KILLS || before == 0; i++) {
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0)
			report_events(*state);
		(void)nanosleep(&(struct timespec){ .tv_nsec = 20000000 + 3333333L * i }, NULL);
		(void)kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		look(*state, &event, &cursor);
		assert_true(event == cursor);
		assert_true(event >= before);
		before = event;
	}
}

static void nothing_is_committed_between_an_event_and_its_cursor(void **state)
{
	uint64_t event, cursor;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct journal *j = open_at(*state);
		struct cursors *c = cursors_of(j);
		struct cursor_step *s = step_to(c, 7);
		event_put(j, 7);
		journal_commit(j);
		journal_tick(j);
		(void)s;
		_exit(0);
	}
	assert_int_equal(waitpid(child, NULL, 0), child);
	look(*state, &event, &cursor);
	assert_true(event == 0);
	assert_true(cursor == 0);
}

static uint64_t committed(struct journal *j)
{
	struct journal_status s;
	journal_load(j, &s);
	return s.open;
}

static void who_wanted_to_commit_while_it_was_held_need_not_come_back(void **state)
{
	struct journal *j = open_at(*state);
	journal_hold(j, true);
	event_put(j, 1);
	journal_hold(j, false);
	assert_true(committed(j) == 0); /* nobody wanted to */
	journal_hold(j, true);
	event_put(j, 2);
	journal_commit(j);
	assert_true(committed(j) == 0);
	journal_hold(j, false);
	assert_true(committed(j) == 2);
	journal_close(j);
}

static void a_cursor_stays_where_the_event_did_not_happen(void **state)
{
	uint64_t event, cursor;
	struct journal *j = open_at(*state);
	struct cursors *c = cursors_of(j);
	cursors_end(c, step_to(c, 1), true);
	cursors_end(c, step_to(c, 2), false);
	assert_true(at_of(c, "every") == 1);
	assert_true(at_of(c, "cron") == 0); /* another source's names are others */
	journal_close(j);
	cursors_free(c);
	look(*state, &event, &cursor);
	assert_true(cursor == 1);
}

static void what_is_forgotten_is_gone_also_after_a_restart(void **state)
{
	uint64_t event, cursor;
	struct journal *j = open_at(*state);
	struct cursors *c = cursors_of(j);
	cursors_end(c, step_to(c, 1), true);
	struct cursor_step *late = step_to(c, 2);
	cursors_forget(c, "every", text("1s")); /* unbound while its last event comes */
	cursors_end(c, late, true);
	assert_true(at_of(c, "every") == 0);
	journal_close(j);
	cursors_free(c);
	look(*state, &event, &cursor);
	assert_true(cursor == 0);
}

static void without_a_journal_cursors_last_as_long_as_the_run(void **state)
{
	(void)state;
	struct cursors *c = cursors_of(NULL);
	cursors_end(c, step_to(c, 1), true);
	cursors_end(c, step_to(c, 2), true);
	assert_true(at_of(c, "every") == 2);
	cursors_forget(c, "every", text("1s"));
	assert_true(at_of(c, "every") == 0);
	cursors_free(c);
}

static void names_and_values_are_bounded(void **state)
{
	static const uint8_t bytes[EVENT_CURSOR_BYTES + 1];
	static const struct {
		size_t name, value;
		int want;
	} rows[] = {
		{ 0, 1, -E_LIMIT },
		{ 1, 0, 0 },
		{ EVENT_CURSOR_BYTES, EVENT_CURSOR_BYTES, 0 },
		{ EVENT_CURSOR_BYTES + 1, 1, -E_LIMIT },
		{ 1, EVENT_CURSOR_BYTES + 1, -E_LIMIT },
	};
	struct journal *j = open_at(*state);
	struct cursors *c = cursors_of(j);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct cursor_step *s;
		const struct span name = { bytes, rows[i].name }, value = { bytes, rows[i].value };
		int err = cursors_begin(c, "x", name, value, &s);
		assert_int_equal(err, rows[i].want);
		if (err == 0)
			cursors_end(c, s, true);
	}
	journal_close(j);
	cursors_free(c);
	j = open_at(*state);
	c = cursors_of(j);
	assert_int_equal(cursors_get(c, "x", (struct span){ bytes, EVENT_CURSOR_BYTES }, NULL, 0),
			 EVENT_CURSOR_BYTES);
	journal_close(j);
	cursors_free(c);
}

struct seen_names {
	char text[64];
	unsigned n;
};

static void see(void *arg, struct span name, struct span value)
{
	struct seen_names *s = arg;
	assert_int_equal(value.len, 1);
	s->n++;
	(void)snprintf(s->text, sizeof(s->text), "%.*s", (int)name.len, (const char *)name.at);
}

static void a_source_sees_its_own(void **state)
{
	static const char *const rows[][2] = { { "mine", "a" }, { "mine", "b" }, { "other", "c" } };
	struct journal *j = open_at(*state);
	struct cursors *c = cursors_of(j);
	struct cursor_step *s;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(cursors_begin(c, rows[i][0], text(rows[i][1]), text("1"), &s), 0);
		cursors_end(c, s, true);
	}
	cursors_forget(c, "mine", text("a"));
	for (int run = 0; run < 2; run++) {
		struct seen_names seen = { .n = 0 };
		cursors_each(c, "mine", see, &seen);
		assert_int_equal(seen.n, 1);
		assert_string_equal(seen.text, "b");
		journal_close(j);
		cursors_free(c);
		j = open_at(*state);
		c = cursors_of(j);
	}
	journal_close(j);
	cursors_free(c);
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, scratch_new, scratch_free)

int main(void)
{
	const struct CMUnitTest rules[] = {
		RULE(a_process_killed_at_any_moment_leaves_both_or_none),
		RULE(nothing_is_committed_between_an_event_and_its_cursor),
		RULE(who_wanted_to_commit_while_it_was_held_need_not_come_back),
		RULE(a_cursor_stays_where_the_event_did_not_happen),
		RULE(what_is_forgotten_is_gone_also_after_a_restart),
		RULE(without_a_journal_cursors_last_as_long_as_the_run),
		RULE(names_and_values_are_bounded),
		RULE(a_source_sees_its_own),
	};
	return cmocka_run_group_tests(rules, NULL, NULL);
}
