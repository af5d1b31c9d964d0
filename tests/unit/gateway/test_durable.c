/* SPDX-License-Identifier: Apache-2.0 */
/* Events in the journal, between a real dispatcher and a fake sandbox: each runs once. */
#include "tests/unit/gateway/dispatch_world.h"

#include <sqlite3.h>

#include "gateway/durable_impl.h"
#include "gateway/state.h"
#include "tests/unit/gateway/scratch.h"

struct kept {
	struct world *w;
	struct journal *journal;
	struct outbox *outbox;
	struct state_store *state;
	struct durable_store *durable;
	struct binding *binding;
};

static struct binding *binding_of(void *arg, uint64_t id)
{
	struct kept *k = arg;
	return id == k->binding->id ? binding_ref(k->binding) : NULL;
}

static void begin_kept(struct kept *k, const char *dir, unsigned queue)
{
	struct why why = { 0 };
	bool damaged;
	const struct journal_options jo = { .state_dir = dir,
					    .quota_bytes = 1 << 26,
					    .quota_rows = 1 << 20,
					    .keep_bytes = 1 << 30,
					    .keep_s = 3600 };
	const struct outbox_options oo = { .quota_bytes = 1 << 26, .quota_rows = 1 << 20 };
	const struct state_limits sl = { .bytes = 1 << 20, .keys = 1000 };
	*k = (struct kept){ .w = begin(queue, queue) };
	assert_int_equal(journal_open(&jo, &k->journal, &damaged, &why), 0);
	assert_int_equal(outbox_new(&oo, k->journal, &k->outbox, &why), 0);
	assert_int_equal(state_open(k->journal, &sl, &k->state, &why), 0);
	assert_int_equal(
		durable_new(k->w->d, k->journal, k->outbox, binding_of, k, &k->durable, &why), 0);
	dispatch_use(k->w->d, k->durable, k->state, journal_last_id(k->journal));
	put(k->w, "f", 1, 60000);
	k->binding = bound("f", "");
	k->binding->durability = DURABLE_PROCESS;
}

static void end_kept(struct kept *k)
{
	end(k->w);
	binding_unref(k->binding);
	durable_free(k->durable);
	outbox_free(k->outbox);
	state_stop(k->state);
	journal_close(k->journal);
	state_free(k->state);
}

static void arrive_as(struct kept *k, const char *payload, uint8_t qos)
{
	struct event e = { .arrived_ns = uv_hrtime(),
			   .time_wall_ms = now_wall_ms(),
			   .source = text("mqtt:test"),
			   .type = text("t"),
			   .topic = text("s/7"),
			   .payload = text(payload),
			   .qos = qos,
			   .packet = qos };
	assert_int_equal(dispatch_event(k->w->d, &e, &k->binding, 1, NULL), 0);
	dispatch_commit(k->w->d);
}

static void arrive(struct kept *k, const char *payload)
{
	arrive_as(k, payload, 1);
}

/* ---- rules ---- */

static void what_waits_in_the_journal_runs_once(void **state)
{
	enum { EVENTS = 4000 };
	struct kept k;
	struct journal_status st;
	begin_kept(&k, *state, 64);
	arrive(&k, "slow 1500");
	for (unsigned i = 1; i < EVENTS; i++)
		arrive(&k, "reply x");
	journal_load(k.journal, &st);
	assert_true(st.open > 200); /* more than the queue takes: they were put aside */
	UNTIL(k.w, (journal_load(k.journal, &st), st.open) == 0);
	assert_int_equal(status(k.w).counts[EVENTS_INVOKED], EVENTS);
	assert_int_equal(status(k.w).counts[EVENTS_OK], EVENTS);
	end_kept(&k);
}

static void an_event_has_one_version_however_often_it_is_run(void **state)
{
	struct kept k;
	enum refusal why;
	const struct event e = { .topic = text("s/7"), .payload = text("reply x") };
	begin_kept(&k, *state, 64);
	put_as(k.w, "f", 2, 60000, PATH_CANARY, 50);
	for (uint64_t id = 1000; id < 1200; id++) {
		struct flight *f = dispatch_admit(k.w->d, text("f"), &e, k.binding, id, &why);
		assert_non_null(f);
		assert_int_equal(f->id, id);
		assert_int_equal(f->version->revision, rollout_picks(id, 50) ? 2 : 1);
		dispatch_release(k.w->d, f);
	}
	end_kept(&k);
}

static int trace_row(void *arg, const struct journal_row *r)
{
	size_t *bytes = arg;
	assert_int_equal(r->state, EVENT_DONE);
	*bytes = r->trace.len;
	return 0;
}

static size_t trace_of(struct kept *k, uint64_t before)
{
	size_t bytes = 0;
	struct journal_status st;
	const struct journal_query q = { .state = -1, .before_id = before, .limit = 1 };
	UNTIL(k->w, (journal_load(k->journal, &st), st.open) == 0);
	assert_int_equal(journal_events(k->journal, &q, trace_row, &bytes, NULL), 0);
	return bytes;
}

static void what_a_run_was_told_that_did_not_count_is_not_kept(void **state)
{
	struct kept k;
	char dying[128];
	(void)snprintf(dying, sizeof(dying), "ask die-once %s/died", (char *)*state);
	begin_kept(&k, *state, 64);
	arrive(&k, "ask reply x");
	size_t once = trace_of(&k, 0);
	assert_true(once > 0);
	arrive(&k, dying);
	assert_int_equal(trace_of(&k, 0), once);
	assert_int_equal(status(k.w).sandbox.restarts, 1);
	end_kept(&k);
}

/* Stored or not. */
static void who_read_what_has_changed_runs_again_and_counts_once(void **state)
{
	for (uint8_t qos = 0; qos < 2; qos++) {
		struct kept k;
		struct journal_status st;
		begin_kept(&k, *state, 64);
		arrive_as(&k, "stale reply x", qos);
		UNTIL(k.w, status(k.w).in_flight == 0);
		assert_int_equal(status(k.w).counts[EVENTS_OK], 1);
		assert_int_equal(status(k.w).counts[EVENTS_RETRIED], 1);
		assert_int_equal(function(k.w, "f").counts[FUNCTION_OK], 1);
		assert_int_equal(k.binding->counts[BINDING_OK], 1);
		journal_load(k.journal, &st);
		assert_int_equal(st.open, 0);
		end_kept(&k);
	}
}

/* LeakSanitizer is the judge. */
static void events_in_flight_at_the_end_leave_nothing_behind(void **state)
{
	struct kept k;
	begin_kept(&k, *state, 64);
	uint64_t before = k.w->d->answers;
	arrive(&k, "ask silent");
	UNTIL(k.w, k.w->d->answers > before);
	end_kept(&k);
}

static bool any_key(const struct kept *k)
{
	for (unsigned i = 0; i < ORDERED_BUCKETS; i++)
		if (k->durable->keys[i])
			return true;
	return false;
}

static void a_topic_is_known_only_while_its_events_wait(void **state)
{
	struct kept k;
	struct journal_status st;
	begin_kept(&k, *state, 64);
	k.binding->ordered = true;
	k.binding->retry_max = 0;
	arrive(&k, "reply x");
	arrive(&k, "fail");
	UNTIL(k.w, (journal_load(k.journal, &st), st.open) == 0);
	k.w->config.payload_bytes = 4;
	arrive(&k, "reply that is too large");
	k.w->config.payload_bytes = 1000;
	UNTIL(k.w, (journal_load(k.journal, &st), st.open) == 0);
	assert_int_equal(st.dead, 2);
	UNTIL(k.w, !any_key(&k)); /* the last is told of its end after it was counted */
	end_kept(&k);
}

/* An event that failed and waits for its next attempt; then the gateway is started again. */
static void restart_in_a_pause(struct kept *k, const char *dir)
{
	struct journal_status st;
	begin_kept(k, dir, 64);
	k->binding->ordered = true;
	k->binding->retry_max = 3;
	k->binding->retry_ms = 60000;
	arrive(k, "fail");
	UNTIL(k->w, status(k->w).counts[EVENTS_FAILED] == 1 && status(k->w).in_flight == 0);
	arrive(k, "reply behind it");
	journal_load(k->journal, &st);
	assert_int_equal(st.open, 2);
	end_kept(k);
	begin_kept(k, dir, 64);
	k->binding->ordered = true;
	k->binding->retry_max = 3;
	k->binding->retry_ms = 60000;
}

static void a_pause_goes_on_after_a_restart_and_holds_up_its_topic(void **state)
{
	struct kept k;
	struct journal_status st;
	restart_in_a_pause(&k, *state);
	durable_start(k.durable);
	for (unsigned i = 0; i < 3; i++)
		durable_tick(k.durable);
	assert_int_equal(status(k.w).counts[EVENTS_INVOKED], 0);
	journal_load(k.journal, &st);
	assert_int_equal(st.open, 2);
	end_kept(&k);
}

static void a_pause_noted_by_a_clock_that_was_wrong_is_over(void **state)
{
	struct kept k;
	restart_in_a_pause(&k, *state);
	assert_int_equal(sqlite3_exec(journal_reader(k.journal),
				      "UPDATE events SET due = due + 86400000 WHERE attempts > 0",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	durable_start(k.durable);
	UNTIL(k.w, status(k.w).counts[EVENTS_FAILED] == 1);
	assert_int_equal(status(k.w).counts[EVENTS_INVOKED], 1); /* not the one behind it */
	end_kept(&k);
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, scratch_new, scratch_free)

int main(int argc, char **argv)
{
	const struct CMUnitTest rules[] = {
		RULE(what_waits_in_the_journal_runs_once),
		RULE(an_event_has_one_version_however_often_it_is_run),
		RULE(what_a_run_was_told_that_did_not_count_is_not_kept),
		RULE(who_read_what_has_changed_runs_again_and_counts_once),
		RULE(events_in_flight_at_the_end_leave_nothing_behind),
		RULE(a_topic_is_known_only_while_its_events_wait),
		RULE(a_pause_goes_on_after_a_restart_and_holds_up_its_topic),
		RULE(a_pause_noted_by_a_clock_that_was_wrong_is_over),
	};
	if (argc > 1 && strcmp(argv[1], "serve") == 0)
		return fake_sandbox();
	log_set_level(LOG_ERR);
	return cmocka_run_group_tests(rules, NULL, NULL);
}
