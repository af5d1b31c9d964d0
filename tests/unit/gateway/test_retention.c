/* SPDX-License-Identifier: Apache-2.0 */
/* What is over goes in small steps: however much of it there is, and whatever stands before it, no event waits. */
#include "tests/unit/gateway/scratch.h"

#include <sqlite3.h>
#include <time.h>

#include "base/log.h"
#include "gateway/journal.h"

enum {
	ROWS = 20000,
	EVENTS = 200,
	MOST_US =
		10000, /* loose: sanitized, on a shared machine; the stalls it is to find have 30 ms and more */
};

static char dir[64];

static int setup(void **state)
{
	int err = scratch_new(state);
	if (err == 0)
		(void)snprintf(dir, sizeof(dir), "%s", (char *)*state);
	log_set_sink(NULL, NULL);
	return err;
}

static struct journal *open_journal(uint64_t keep_s)
{
	struct journal *j = NULL;
	struct why why = { 0 };
	bool damaged;
	const struct journal_options o = { .state_dir = dir,
					   .quota_bytes = 1 << 30,
					   .quota_rows = 1 << 20,
					   .keep_bytes = UINT64_C(1) << 40,
					   .keep_s = keep_s };
	if (journal_open(&o, &j, &damaged, &why) < 0)
		fail_msg("%s", why.text);
	return j;
}

static void run_sql(const char *sql)
{
	char path[128];
	sqlite3 *db;
	(void)snprintf(path, sizeof(path), "%s/journal.db", dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s", sqlite3_errmsg(db));
	(void)sqlite3_close(db);
}

static int64_t ask(const char *sql)
{
	char path[128];
	sqlite3 *db;
	sqlite3_stmt *s;
	(void)snprintf(path, sizeof(path), "%s/journal.db", dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	int64_t n = sqlite3_column_int64(s, 0);
	(void)sqlite3_finalize(s);
	(void)sqlite3_close(db);
	return n;
}

/* Events from number first on, in this state, with so many messages that were delivered or wait. */
static void fill(unsigned first, unsigned n, enum journal_state state, unsigned effects,
		 enum effect_state effect)
{
	char sql[1200];
	(void)snprintf(
		sql, sizeof(sql),
		"WITH RECURSIVE n(i) AS (SELECT %u UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %u) "
		"INSERT INTO events (id, state, due, attempts, binding, function, source, packet, "
		"digest, arrived, hops, topic, attrs, payload, first_effect, neffects) SELECT i, "
		"%d, "
		"0, 1, 1, 'f', 's', 0, 0, 1, 0, x'41', x'', randomblob(100), i * %u, %u FROM n;"
		"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %u) "
		"INSERT INTO effects (id, state, event, revision, position, out, function, topic, "
		"payload, qos, retain, hops, packet, created) SELECT %u * 10 + i, %d, %u + i / "
		"max(1, "
		"%u), "
		"1, 0, 'default', 'f', x'41', randomblob(50), 1, 0, 0, 0, 1 FROM n WHERE %u > 0;",
		first, first + n, (int)state, effects, effects, n * effects ? n * effects : 1,
		first * effects, (int)effect, first, effects, effects);
	run_sql(sql);
}

struct lone {
	struct journal_event event;
	struct journal_finish finish;
	unsigned done;
};

static void event_done(struct journal_op *op, int err)
{
	assert_int_equal(err, 0);
	CONTAINER_OF(op, struct lone, event.op)->done++;
}

static void finish_done(struct journal_op *op, int err)
{
	assert_int_equal(err, 0);
	CONTAINER_OF(op, struct lone, finish.op)->done++;
}

static unsigned now_us(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned)((uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000);
}

/* From its arrival until its end is committed, by itself. */
static unsigned lone_event_us(struct journal *j, uint64_t id)
{
	static const struct span f = { (const uint8_t *)"f", 1 };
	struct lone x = { .event = { .id = id, .function = f, .source = f, .topic = f },
			  .finish = { .id = id, .stored = true, .state = EVENT_DONE } };
	x.event.op.done = event_done;
	x.finish.op.done = finish_done;
	unsigned from = now_us();
	journal_event_put(j, &x.event);
	journal_commit(j);
	journal_finish_put(j, &x.finish);
	journal_commit(j);
	assert_int_equal(x.done, 2);
	return now_us() - from;
}

static int by_size(const void *a, const void *b)
{
	const unsigned *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

/* The middle one, with the steps of retention between: each commit has a step of its own, so a stall is in all
 * of them, and the machine's other work is not. */
static unsigned usual_us(struct journal *j)
{
	unsigned us[EVENTS];
	for (unsigned i = 0; i < EVENTS; i++) {
		if (i % 4 == 0)
			journal_tick(j);
		us[i] = lone_event_us(j, 1000000 + i);
	}
	qsort(us, EVENTS, sizeof(us[0]), by_size);
	return us[EVENTS / 2];
}

struct world {
	const char *name;
	enum journal_state old;
	unsigned dead_before, effects;
	enum effect_state effect;
};

static void no_event_waits_for_what_goes(void **state)
{
	static const struct world worlds[] = {
		{ "events with messages", EVENT_DONE, 0, 1, EFFECT_DELIVERED },
		{ "events without any", EVENT_DONE, 0, 0, EFFECT_DELIVERED },
		{ "behind dead letters", EVENT_DONE, ROWS, 1, EFFECT_DELIVERED },
		{ "behind messages that wait", EVENT_DONE, 0, 1, EFFECT_WAITING },
		{ "dead letters only", EVENT_DEAD, 0, 0, EFFECT_DELIVERED },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(worlds); i++) {
		const struct world *w = &worlds[i];
		journal_close(open_journal(1));
		run_sql("DELETE FROM events; DELETE FROM effects");
		fill(1, w->dead_before ? w->dead_before : 1, EVENT_DEAD, 0, EFFECT_DELIVERED);
		fill(100000, ROWS, w->old, w->effects, w->effect);
		struct journal *j = open_journal(1); /* ids here are of 1970 */
		unsigned us = usual_us(j);
		journal_close(j);
		if (us > MOST_US)
			fail_msg("%s: a lone event took %u us", w->name, us);
		if (getenv("SHOW"))
			print_message("%s: %u us\n", w->name, us);
	}
}

static void all_of_it_goes_but_what_is_not_over(void **state)
{
	(void)state;
	journal_close(open_journal(1));
	fill(10, 700, EVENT_DEAD, 0, EFFECT_DELIVERED);
	fill(1000, 1500, EVENT_DONE, 2, EFFECT_DELIVERED);
	fill(4000, 300, EVENT_DONE, 1, EFFECT_WAITING);
	fill(5000, 600, EVENT_DROPPED, 0, EFFECT_DELIVERED);
	struct journal *j = open_journal(1);
	(void)lone_event_us(j, 9000); /* the last stays: its number must not come again */
	for (int i = 0; i < 100; i++)
		journal_tick(j);
	journal_quiesce(j);
	journal_close(j);
	assert_int_equal(ask("SELECT count(*) FROM events WHERE state = 2"), 700);
	assert_int_equal(ask("SELECT count(*) FROM events WHERE state <> 2"), 1);
	assert_int_equal(ask("SELECT count(*) FROM effects WHERE state < 3"), 300);
	assert_int_equal(ask("SELECT count(*) FROM effects WHERE state > 2"), 0);
}

/* An event that was old and open when retention came by it, and ends then, goes the next time round. */
static void what_ends_late_goes_as_well(void **state)
{
	(void)state;
	journal_close(open_journal(1));
	fill(10, 400, EVENT_OPEN, 0, EFFECT_DELIVERED);
	struct journal *j = open_journal(1);
	(void)lone_event_us(j, 9000);
	for (int i = 0; i < 5; i++)
		journal_tick(j);
	journal_close(j);
	run_sql("UPDATE events SET state = 1 WHERE id < 100");
	j = open_journal(1);
	for (int i = 0; i < 20; i++)
		journal_tick(j);
	journal_quiesce(j);
	journal_close(j);
	assert_int_equal(ask("SELECT count(*) FROM events WHERE id < 100"), 0);
	assert_int_equal(ask("SELECT count(*) FROM events WHERE state = 0"), 310);
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, setup, scratch_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(no_event_waits_for_what_goes),
		RULE(all_of_it_goes_but_what_is_not_over),
		RULE(what_ends_late_goes_as_well),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
