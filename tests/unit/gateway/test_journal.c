/* SPDX-License-Identifier: Apache-2.0 */
/* The journal: what is committed is there after a crash, what cannot be written is told and kept. */
#include "tests/unit/gateway/scratch.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include "base/log.h"
#include "gateway/dedupe.h"
#include "gateway/journal_impl.h"

enum { FOREVER_S = INT32_MAX }; /* ids here are of 1970 */

static char dir[64];

static int nothing(struct journal *j, struct journal_op *op)
{
	return j && op ? 0 : 1;
}

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

enum { DEAD_ROWS = 5 };

static struct journal *open_with(uint64_t keep_s, bool *damaged)
{
	struct journal *j = NULL;
	struct why why = { 0 };
	bool mine;
	const struct journal_options o = { .state_dir = dir,
					   .quota_bytes = 1 << 20,
					   .quota_rows = 1000,
					   .keep_bytes = 1 << 30,
					   .keep_s = keep_s,
					   .dead_rows = DEAD_ROWS };
	if (journal_open(&o, &j, damaged ? damaged : &mine, &why) < 0)
		fail_msg("%s", why.text);
	return j;
}

static void no_log(void *arg, const struct log_line *line)
{
	(void)arg;
	(void)line;
}

static int setup(void **state)
{
	int err = scratch_new(state);
	if (err == 0)
		(void)snprintf(dir, sizeof(dir), "%s", (char *)*state);
	log_set_sink(NULL, NULL);
	return err;
}

struct sample {
	struct journal_event event;
	struct journal_finish finish;
	struct journal_effect effect, *effects[1];
	int done, err;
};

static void event_done(struct journal_op *op, int err)
{
	struct sample *s = CONTAINER_OF(op, struct sample, event.op);
	s->done++;
	s->err = err;
}

static void finish_done(struct journal_op *op, int err)
{
	struct sample *s = CONTAINER_OF(op, struct sample, finish.op);
	s->done++;
	s->err = err;
}

static void begin(struct journal *j, struct sample *s, uint64_t id, bool power)
{
	*s = (struct sample){ .event = { .id = id,
					 .binding = 1,
					 .packet = (uint16_t)id,
					 .digest = id * 3,
					 .arrived_wall_ms = 1,
					 .function = text("f"),
					 .source = text("mqtt:default"),
					 .topic = text("a/b"),
					 .payload = text("12345") } };
	s->event.op.done = event_done;
	s->event.op.power = power;
	journal_event_put(j, &s->event);
}

static void finish(struct journal *j, struct sample *s, enum journal_state state)
{
	s->effect = (struct journal_effect){ .event = s->event.id,
					     .out = text("default"),
					     .function = text("f"),
					     .topic = text("out"),
					     .payload = text("x"),
					     .qos = 1 };
	s->effects[0] = &s->effect;
	s->finish = (struct journal_finish){ .id = s->event.id,
					     .stored = true,
					     .state = state,
					     .attempts = 1,
					     .reason = text("why"),
					     .event_bytes = 8,
					     .effects = s->effects,
					     .neffects = state == EVENT_DONE };
	s->finish.op.done = finish_done;
	journal_finish_put(j, &s->finish);
}

static int count_row(void *arg, const struct journal_row *r)
{
	(void)r;
	++*(unsigned *)arg;
	return 0;
}

static unsigned rows(struct journal *j, int state)
{
	unsigned n = 0;
	struct why why = { 0 };
	const struct journal_query q = { .state = state, .limit = 1000 };
	if (journal_events(j, &q, count_row, &n, &why) < 0)
		fail_msg("%s", why.text);
	return n;
}

static void a_commit_takes_all_that_was_put_in_one_transaction(void **state)
{
	struct journal *j = open_with(FOREVER_S, NULL);
	struct sample s[20];
	struct journal_status st;
	(void)state;
	for (unsigned i = 0; i < 20; i++)
		begin(j, &s[i], 100 + i, false);
	struct journal_ticket t = journal_ticket(j);
	assert_false(journal_durable(j, t));
	journal_commit(j);
	assert_true(journal_durable(j, t));
	for (unsigned i = 0; i < 20; i++)
		assert_true(s[i].done == 1 && s[i].err == 0);
	journal_status(j, &st);
	assert_int_equal(st.commits, 1);
	assert_int_equal(st.open, 20);
	assert_int_equal(journal_last_id(j), 119);
	journal_close(j);
}

static void an_end_its_effects_and_nothing_else_are_there_after_a_restart(void **state)
{
	struct journal *j = open_with(FOREVER_S, NULL);
	struct sample s[3];
	struct journal_status st;
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		begin(j, &s[i], 7 + i, false);
	finish(j, &s[0], EVENT_DONE);
	finish(j, &s[1], EVENT_DEAD);
	journal_close(j);
	j = open_with(FOREVER_S, NULL);
	journal_load(j, &st);
	assert_true(st.open == 1 && st.dead == 1 && st.effects == 1);
	assert_int_equal(rows(j, EVENT_DONE), 1);
	assert_int_equal(rows(j, EVENT_DEAD), 1);
	assert_int_equal(rows(j, -1), 3);
	assert_int_equal(journal_last_id(j), 9);
	journal_close(j);
}

static void what_was_committed_survives_the_process(void **state)
{
	int fd[2];
	char byte;
	(void)state;
	assert_int_equal(pipe(fd), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct journal *j = open_with(FOREVER_S, NULL);
		struct sample s;
		begin(j, &s, 5, false);
		journal_commit(j);
		begin(j, &s, 6, false); /* put, not committed */
		(void)!write(fd[1], "x", 1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(fd[0], &byte, 1), 1);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	(void)close(fd[0]);
	(void)close(fd[1]);
	struct journal *j = open_with(FOREVER_S, NULL);
	assert_int_equal(rows(j, EVENT_OPEN), 1);
	journal_close(j);
}

/* And from then on the steps of QoS 2 are. */
static void power_is_told_when_it_is_synced_and_not_before(void **state)
{
	struct journal *j = open_with(FOREVER_S, NULL);
	struct journal_progress step[2] = { { .state = EFFECT_RELEASED },
					    { .state = EFFECT_SENT } };
	struct journal_status st;
	struct sample s;
	(void)state;
	journal_progress_put(j, &step[0]);
	assert_int_equal(journal_ticket(j).power, 0);
	begin(j, &s, 5, true);
	journal_progress_put(j, &step[1]);
	assert_int_equal(journal_ticket(j).power, step[1].op.seq);
	struct journal_ticket t = journal_ticket(j);
	journal_commit(j);
	for (unsigned i = 0; i < 5000 && !journal_durable(j, t); i++)
		(void)usleep(1000);
	assert_true(journal_durable(j, t));
	for (unsigned i = 0; i < 1000 && s.done == 0; i++)
		(void)usleep(1000);
	assert_int_equal(s.done, 1);
	journal_status(j, &st);
	assert_int_equal(st.syncs, 1);
	journal_close(j);
}

/* Another process has the database: nothing is done, nothing is lost, and later all of it is written. */
static void a_locked_database_keeps_operations_in_order_until_it_can_be_written(void **state)
{
	struct journal *j = open_with(FOREVER_S, NULL);
	struct journal_status st;
	struct sample s[2];
	struct why why = { 0 };
	char name[96];
	sqlite3 *other = NULL;
	(void)state;
	(void)snprintf(name, sizeof(name), "%s/journal.db", dir);
	assert_int_equal(sqlite3_open(name, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	log_set_sink(no_log, NULL);
	begin(j, &s[0], 1, false);
	journal_commit(j);
	assert_int_equal(s[0].done, 0);
	assert_false(journal_durable(j, journal_ticket(j)));
	assert_true(journal_admit(j, 1, &why) < 0);
	finish(j, &s[0], EVENT_DONE);
	begin(j, &s[1], 2, false);
	journal_tick(j);
	journal_status(j, &st);
	assert_string_equal(st.state, "failing");
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
	journal_tick(j);
	assert_true(s[0].done == 2 && s[1].done == 1 && s[0].err == 0 && s[1].err == 0);
	assert_int_equal(journal_admit(j, 1, NULL), 0);
	assert_int_equal(rows(j, EVENT_DONE), 1);
	journal_close(j);
}

struct moody {
	struct journal_op op;
	int codes[2]; /* of its first and its second write */
	unsigned writes;
	int done, err;
};

static int moody_write(struct journal *j, struct journal_op *op)
{
	struct moody *m = CONTAINER_OF(op, struct moody, op);
	(void)j;
	return m->codes[m->writes++ & 1];
}

static void moody_done(struct journal_op *op, int err)
{
	struct moody *m = CONTAINER_OF(op, struct moody, op);
	m->done++;
	m->err = err;
}

static void what_was_refused_before_a_rollback_is_judged_anew(void **state)
{
	struct journal *j = open_with(FOREVER_S, NULL);
	struct moody refused = { .codes = { SQLITE_CONSTRAINT, SQLITE_OK } };
	struct moody full = { .codes = { SQLITE_FULL, SQLITE_OK } };
	(void)state;
	log_set_sink(no_log, NULL);
	refused.op.write = full.op.write = moody_write;
	refused.op.done = full.op.done = moody_done;
	journal_put(j, &refused.op);
	journal_put(j, &full.op);
	journal_commit(j);
	assert_true(refused.done == 0 && full.done == 0);
	journal_tick(j);
	assert_true(refused.done == 1 && full.done == 1);
	assert_int_equal(refused.err, 0);
	journal_close(j);
}

static void who_decides_twice_about_a_dead_letter_counts_once(void **state)
{
	struct journal *j = open_with(FOREVER_S, NULL);
	struct journal_status st;
	struct sample s;
	char name[96];
	sqlite3 *other = NULL;
	(void)state;
	log_set_sink(no_log, NULL);
	begin(j, &s, 1, false);
	finish(j, &s, EVENT_DEAD);
	journal_commit(j);
	(void)snprintf(name, sizeof(name), "%s/journal.db", dir);
	assert_int_equal(sqlite3_open(name, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(journal_dead_retry(j, 1, 5, NULL), 0);
	assert_int_equal(journal_dead_drop(j, 1, NULL), 0); /* nothing of the first is there yet */
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
	journal_tick(j);
	journal_load(j, &st);
	assert_int_equal(st.open, 1);
	assert_int_equal(st.dead, 0);
	assert_int_equal(rows(j, EVENT_OPEN), 1);
	journal_close(j);
}

static void above_the_quota_new_events_are_refused_and_counted(void **state)
{
	struct journal *j = open_with(FOREVER_S, NULL);
	struct sample *s = calloc(1000, sizeof(*s));
	struct journal_status st;
	struct why why = { 0 };
	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(journal_admit(j, 5, NULL), 0);
		begin(j, &s[i], 1 + i, false);
	}
	journal_commit(j);
	assert_int_equal(journal_admit(j, 5, &why), -E_LIMIT);
	assert_non_null(strstr(why.text, "journal.rows"));
	finish(j, &s[0], EVENT_DROPPED);
	journal_commit(j);
	assert_int_equal(journal_admit(j, 5, NULL), 0);
	journal_status(j, &st);
	assert_int_equal(st.refused, 1);
	journal_close(j);
	free(s);
}

static void what_is_over_goes_by_age_but_never_the_last(void **state)
{
	struct journal *j = open_with(0, NULL);
	struct sample s[10];
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		begin(j, &s[i], 1 + i, false);
	for (unsigned i = 0; i < 10; i++)
		finish(j, &s[i], i == 3 ? EVENT_DEAD : EVENT_DROPPED);
	journal_commit(j);
	for (unsigned i = 0; i < 3; i++)
		journal_tick(j);
	assert_int_equal(rows(j, EVENT_DEAD), 1);
	assert_int_equal(rows(j, -1), 2);
	journal_close(j);
	j = open_with(0, NULL);
	assert_int_equal(journal_last_id(j), 10);
	journal_close(j);
}

static int take_id(void *arg, const struct journal_row *r)
{
	*(uint64_t *)arg = r->id; /* newest first: the oldest comes last */
	return 0;
}

static void of_too_many_dead_letters_the_oldest_go(void **state)
{
	struct journal *j = open_with(FOREVER_S, NULL);
	struct sample s[DEAD_ROWS + 3];
	struct journal_status status;
	uint64_t oldest = 0;
	(void)state;
	log_set_sink(no_log, NULL);
	for (unsigned i = 0; i < DEAD_ROWS + 3; i++) {
		begin(j, &s[i], 1 + i, false);
		finish(j, &s[i], EVENT_DEAD);
	}
	journal_commit(j);
	assert_int_equal(rows(j, EVENT_DEAD), DEAD_ROWS + 3);
	journal_tick(j);
	journal_tick(j);
	assert_int_equal(rows(j, EVENT_DEAD), DEAD_ROWS);
	const struct journal_query q = { .state = EVENT_DEAD, .limit = 100 };
	assert_int_equal(journal_events(j, &q, take_id, &oldest, NULL), 0);
	assert_int_equal(oldest, 4);
	journal_status(j, &status);
	assert_int_equal(status.dead, DEAD_ROWS);
	journal_close(j);
}

static void a_damaged_file_is_set_aside_and_a_new_one_begun(void **state)
{
	char name[96];
	bool damaged = false;
	(void)state;
	(void)snprintf(name, sizeof(name), "%s/journal.db", dir);
	int fd = open(name, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(write(fd, "not a database, whatever", 24), 24);
	(void)close(fd);
	log_set_sink(no_log, NULL);
	struct journal *j = open_with(FOREVER_S, &damaged);
	assert_true(damaged);
	assert_int_equal(rows(j, -1), 0);
	journal_close(j);
}

static void a_dead_letter_is_open_again_after_retry_and_nothing_else_can_be(void **state)
{
	struct journal *j = open_with(FOREVER_S, NULL);
	struct sample s[2];
	struct why why = { 0 };
	(void)state;
	begin(j, &s[0], 1, false);
	begin(j, &s[1], 2, false);
	finish(j, &s[0], EVENT_DEAD);
	finish(j, &s[1], EVENT_DEAD);
	journal_commit(j);
	assert_int_equal(journal_dead_retry(j, 1, 5, &why), 0);
	assert_int_equal(journal_dead_retry(j, 1, 5, &why), -E_UNKNOWN);
	assert_int_equal(journal_dead_retry(j, 77, 5, &why), -E_UNKNOWN);
	assert_int_equal(journal_dead_drop(j, 2, &why), 0);
	assert_int_equal(rows(j, EVENT_OPEN), 1);
	assert_int_equal(rows(j, EVENT_DROPPED), 1);
	journal_close(j);
}

static void a_repetition_is_told_from_a_message_that_looks_like_one(void **state)
{
	static const struct {
		uint16_t packet;
		bool dup;
		uint64_t digest, at_ms;
		bool repeated;
	} row[] = {
		{ 1, false, 10, 1000, false },   { 1, true, 10, 1001, true }, /* the redelivery */
		{ 1, true, 11, 1002, false },    /* its identifier, other bytes */
		{ 2, true, 10, 1003, false },    /* its bytes, another identifier */
		{ 1, true, 10, 900000, true },   /* a broker that counts on: whenever */
		{ 1, false, 10, 900001, false }, /* it uses identifiers again */
		{ 1, true, 10, 900500, true },   /* so only soon after */
		{ 1, true, 10, 903000, false },  /* and later it is an equal reading */
	};
	struct dedupe *d = dedupe_new();
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		bool r = dedupe_is_repeated(d, 1, row[i].packet, row[i].dup, row[i].digest,
					    row[i].at_ms);
		if (r != row[i].repeated)
			fail_msg("row %u", i);
		if (i == 0 || i == 5)
			dedupe_add(d, 1, row[i].packet, row[i].digest, row[i].at_ms);
	}
	dedupe_free(d);
}

static void note_done(struct journal_op *op, int err)
{
	(void)op;
	assert_int_equal(err, 0);
}

static bool is_queued(struct journal *j, const struct journal_op *op)
{
	for (const struct journal_op *o = j->lazy_first; o; o = o->next)
		if (o == op)
			return true;
	return false;
}

/* Its pages are written anyway then. An event's are others. */
static void what_is_lazy_goes_with_effects_or_at_a_tick(void **state)
{
	struct journal *j = open_with(FOREVER_S, NULL);
	struct journal_op lazy = { .write = nothing, .done = note_done, .lazy = true };
	struct journal_op effects = { .write = nothing, .effects = 1 };
	struct sample s;
	(void)state;
	journal_put(j, &lazy);
	begin(j, &s, 1, false);
	journal_commit(j);
	assert_true(journal_durable(j, journal_ticket(j)));
	assert_true(is_queued(j, &lazy));
	journal_put(j, &effects);
	journal_commit(j);
	assert_false(is_queued(j, &lazy));
	journal_put(j, &lazy);
	journal_tick(j);
	assert_false(is_queued(j, &lazy));
	journal_close(j);
}

/* The rows of a message's several bindings: a crash leaves all or none. */
static void what_is_put_while_held_is_in_one_transaction(void **state)
{
	struct journal *j = open_with(FOREVER_S, NULL);
	struct journal_status before, after;
	struct sample s[2];
	(void)state;
	journal_status(j, &before);
	journal_hold(j, true);
	begin(j, &s[0], 1, false);
	journal_commit(j); /* as another thread may */
	journal_tick(j);
	assert_false(journal_durable(j, journal_ticket(j)));
	begin(j, &s[1], 2, false);
	journal_hold(j, false);
	journal_commit(j);
	assert_true(journal_durable(j, journal_ticket(j)));
	journal_status(j, &after);
	assert_int_equal(after.commits - before.commits, 1);
	assert_int_equal(after.open, 2);
	journal_close(j);
}

static bool is_back_soon;

static bool lingers(void *arg)
{
	++*(unsigned *)arg;
	return is_back_soon;
}

/* Fifteen are not enough to wait for others; and who does not come back, or comes late, commits. */
static void only_a_crowd_waits_and_only_for_a_moment(void **state)
{
	static struct sample s[16];
	struct journal *j = open_with(FOREVER_S, NULL);
	unsigned asked = 0;
	(void)state;
	journal_on_linger(j, lingers, &asked);
	is_back_soon = true;
	for (unsigned i = 0; i < 15; i++)
		begin(j, &s[i], i + 1, false);
	journal_commit(j);
	begin(j, &s[15], 16, false);
	journal_commit(j);
	assert_int_equal(asked, 0);
	assert_true(journal_durable(j, journal_ticket(j)));

	struct journal_op op[2] = { { .write = nothing }, { .write = nothing } };
	journal_put(j, &op[0]);
	journal_commit(j);
	assert_int_equal(asked, 1);
	assert_false(journal_durable(j, journal_ticket(j)));
	(void)usleep(1100);
	journal_commit(j);
	assert_true(journal_durable(j, journal_ticket(j)));
	is_back_soon = false;
	journal_put(j, &op[1]);
	journal_commit(j);
	assert_int_equal(asked, 2);
	assert_true(journal_durable(j, journal_ticket(j)));
	journal_close(j);
}

int main(void)
{
#define RULE(f) cmocka_unit_test_setup_teardown(f, setup, scratch_free)
	const struct CMUnitTest tests[] = {
		RULE(a_commit_takes_all_that_was_put_in_one_transaction),
		RULE(an_end_its_effects_and_nothing_else_are_there_after_a_restart),
		RULE(what_was_committed_survives_the_process),
		RULE(power_is_told_when_it_is_synced_and_not_before),
		RULE(a_locked_database_keeps_operations_in_order_until_it_can_be_written),
		RULE(what_was_refused_before_a_rollback_is_judged_anew),
		RULE(who_decides_twice_about_a_dead_letter_counts_once),
		RULE(above_the_quota_new_events_are_refused_and_counted),
		RULE(what_is_over_goes_by_age_but_never_the_last),
		RULE(of_too_many_dead_letters_the_oldest_go),
		RULE(a_damaged_file_is_set_aside_and_a_new_one_begun),
		RULE(a_dead_letter_is_open_again_after_retry_and_nothing_else_can_be),
		RULE(a_repetition_is_told_from_a_message_that_looks_like_one),
		RULE(only_a_crowd_waits_and_only_for_a_moment),
		RULE(what_is_put_while_held_is_in_one_transaction),
		RULE(what_is_lazy_goes_with_effects_or_at_a_tick),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
