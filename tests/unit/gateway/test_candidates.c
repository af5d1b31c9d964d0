/* SPDX-License-Identifier: Apache-2.0 */
/* Versions on trial beside the active one. */
#include "tests/unit/gateway/dispatch_world.h"

struct ended {
	unsigned calls, revision;
	char function[32], reason[256];
};

static void on_ended(void *arg, const char *function_name, unsigned revision, const char *reason)
{
	struct ended *e = arg;
	e->calls++;
	e->revision = revision;
	(void)snprintf(e->function, sizeof(e->function), "%s", function_name);
	(void)snprintf(e->reason, sizeof(e->reason), "%s", reason);
}

static struct world *with_canary(unsigned percent, struct ended *ended)
{
	struct world *w = begin(4096, 4096);
	*ended = (struct ended){ 0 };
	dispatch_on_rollout_end(w->d, on_ended, ended);
	put(w, "f", 1, 5000);
	put_as(w, "f", 2, 5000, PATH_CANARY, percent);
	assert_int_equal(w->loaded_err, 0);
	return w;
}

static void events(struct world *w, struct binding *b, const char *payload, unsigned n)
{
	uint64_t ends = status(w).counts[EVENTS_OK] + status(w).counts[EVENTS_FAILED];
	for (unsigned i = 0; i < n; i++)
		happen(w, b, payload, false);
	UNTIL(w, status(w).counts[EVENTS_OK] + status(w).counts[EVENTS_FAILED] == ends + n);
}

/* Of the messages from `from` on: how many say this. */
static unsigned said(unsigned from, const char *payload)
{
	unsigned n = 0;
	for (unsigned i = from; i < published(); i++)
		n += strcmp(out.sent[i].payload, payload) == 0;
	return n;
}

static void a_canary_gets_its_part_until_it_is_taken_away(void **state)
{
	struct ended ended;
	struct world *w = with_canary(20, &ended);
	struct binding *b = bound("f", "alerts/{1}");
	(void)state;
	events(w, b, "only nobody@0 x", 1000);
	assert_in_range(said(0, "f@2"), 140, 260);
	assert_int_equal(said(0, "f@1") + said(0, "f@2"), 1000);
	assert_int_equal(dispatch_candidate_remove(w->d, "f"), 0);
	assert_int_equal(dispatch_candidate_remove(w->d, "f"), -E_UNKNOWN);
	events(w, b, "only nobody@0 x", 100);
	assert_int_equal(said(1000, "f@1"), 100);
	assert_int_equal(ended.calls, 0); /* who takes it away knows */
	binding_unref(b);
	end(w);
}

static void a_new_active_version_ends_the_trial(void **state)
{
	struct ended ended;
	struct world *w = with_canary(50, &ended);
	struct binding *b = bound("f", "alerts/{1}");
	(void)state;
	put(w, "f", 2, 5000);
	events(w, b, "only nobody@0 x", 100);
	assert_int_equal(said(0, "f@2"), 100);
	assert_int_equal(dispatch_candidate_remove(w->d, "f"), -E_UNKNOWN);
	put_as(w, "none", 1, 5000, PATH_CANARY, 50); /* beside nothing: it is no candidate */
	assert_int_equal(dispatch_candidate_remove(w->d, "none"), -E_UNKNOWN);
	binding_unref(b);
	end(w);
}

static void a_canary_that_fails_is_ended_after_a_few_events(void **state)
{
	struct ended ended;
	struct world *w = with_canary(50, &ended);
	struct binding *b = bound("f", "alerts/{1}");
	(void)state;
	events(w, b, "only f@2 fail", 20);
	UNTIL(w, ended.calls == 1);
	assert_string_equal(ended.function, "f");
	assert_int_equal(ended.revision, 2);
	assert_non_null(strstr(ended.reason, "events failed"));
	unsigned before = published();
	events(w, b, "only f@2 fail", 50);
	assert_int_equal(said(before, "f@1"), 50);
	assert_string_equal(function(w, "f").state, "active");
	binding_unref(b);
	end(w);
}

static void a_canary_that_is_no_worse_goes_on(void **state)
{
	struct ended ended;
	struct world *w = with_canary(50, &ended);
	struct binding *b = bound("f", "alerts/{1}");
	(void)state;
	for (int i = 0; i < 5; i++) {
		events(w, b, "fail", 20);
		events(w, b, "reply x", 20);
	}
	(void)usleep(300000);
	UNTIL(w, true);
	assert_int_equal(ended.calls, 0);
	assert_int_equal(dispatch_candidate_remove(w->d, "f"), 0);
	binding_unref(b);
	end(w);
}

static void
a_canary_that_kills_the_sandbox_twice_is_ended_and_its_events_run_elsewhere(void **state)
{
	struct ended ended;
	struct world *w = with_canary(100, &ended);
	struct binding *b = bound("f", "alerts/{1}"), *g = bound("g", "alerts/{1}");
	(void)state;
	put(w, "g", 1, 5000);
	for (int i = 0; i < 2; i++) {
		happen(w, b, "only f@2 die", false);
		UNTIL(w, status(w).counts[EVENTS_OK] == (uint64_t)i + 1);
		UNTIL(w, status(w).sandbox.restarts == (unsigned)i + 1);
	}
	UNTIL(w, ended.calls == 1);
	assert_int_equal(said(0, "f@1"), 2);
	assert_non_null(strstr(ended.reason, "when the sandbox died"));
	events(w, b, "only f@2 die", 10);
	events(w, g, "reply well", 10);
	assert_int_equal(said(0, "f@1"), 12);
	assert_string_equal(function(w, "f").state, "active");
	assert_int_equal(status(w).counts[EVENTS_FAILED], 0);
	binding_unref(b);
	binding_unref(g);
	end(w);
}

static void tally_is(struct world *w, uint64_t compared, uint64_t differing)
{
	UNTIL(w, function(w, "f").candidate.compared >= compared);
	const struct dispatch_function f = function(w, "f");
	assert_int_equal(f.candidate.compared, compared);
	assert_int_equal(f.candidate.differing, differing);
}

static void a_shadow_is_compared_and_nothing_of_it_is_seen(void **state)
{
	struct ended ended = { 0 };
	struct world *w = begin(4096, 4096);
	struct binding *b = bound("f", "alerts/{1}");
	(void)state;
	dispatch_on_rollout_end(w->d, on_ended, &ended);
	put(w, "f", 1, 5000);
	put_as(w, "f", 2, 5000, PATH_SHADOW, 100);
	events(w, b, "reply same", 20);
	tally_is(w, 20, 0);
	assert_int_equal(published(), 20);
	events(w, b, "fail", 5); /* both fail: no difference */
	tally_is(w, 25, 0);
	events(w, b, "only f@2 reply other", 2); /* the active one says "f@1" */
	tally_is(w, 27, 2);
	assert_int_equal(said(0, "other"), 0);
	assert_int_equal(status(w).counts[EVENTS_OK], 22);
	assert_int_equal(ended.calls, 0);
	events(w, b, "only f@2 reply other", 40);
	UNTIL(w, ended.calls == 1);
	assert_non_null(strstr(ended.reason, "other effects"));
	assert_int_equal(published(), 62);
	binding_unref(b);
	end(w);
}

static void a_shadow_that_kills_the_sandbox_costs_no_event_and_is_ended(void **state)
{
	struct ended ended = { 0 };
	struct world *w = begin(4096, 4096);
	struct binding *b = bound("f", "alerts/{1}");
	(void)state;
	dispatch_on_rollout_end(w->d, on_ended, &ended);
	put(w, "f", 1, 5000);
	put_as(w, "f", 2, 5000, PATH_SHADOW, 100);
	/* After a death the active version may be loaded and run an event before the shadow is. */
	unsigned sent = 0;
	while (status(w).sandbox.restarts < 2) {
		happen(w, b, "only f@2 die", false);
		sent++;
		UNTIL(w, status(w).counts[EVENTS_OK] == sent && status(w).in_flight == 0);
	}
	UNTIL(w, ended.calls == 1);
	events(w, b, "only f@2 die", 10);
	assert_int_equal(status(w).counts[EVENTS_OK], sent + 10);
	assert_int_equal(status(w).counts[EVENTS_FAILED], 0);
	assert_string_equal(function(w, "f").state, "active");
	binding_unref(b);
	end(w);
}

struct repeated {
	unsigned calls;
	uint32_t status;
	char reply[64];
};

static void on_repeated(void *arg, const struct event *e, const struct ipc_result *r)
{
	struct repeated *x = arg;
	(void)e;
	x->calls++;
	x->status = r->status;
	(void)snprintf(x->reply, sizeof(x->reply), "%.*s", (int)r->reply.len,
		       (const char *)r->reply.at);
}

static void what_was_is_repeated_by_any_loaded_version(void **state)
{
	struct ended ended;
	struct world *w = with_canary(10, &ended);
	struct repeated x = { 0 };
	struct why why = { 0 };
	struct path_repetition r = { .function = "f",
				     .topic = text("s/1"),
				     .payload = text("only f@0 x") };
	(void)state;
	for (r.revision = 1; r.revision <= 2; r.revision++) {
		assert_int_equal(dispatch_replay(w->d, &r, on_repeated, &x, &why), 0);
		UNTIL(w, x.calls == r.revision);
		assert_string_equal(x.reply, r.revision == 1 ? "f@1" : "f@2");
	}
	assert_int_equal(dispatch_replay(w->d, &r, on_repeated, &x, &why), -E_UNKNOWN);
	r.revision = 1;
	r.trace = text("\xff\xff");
	assert_int_equal(dispatch_replay(w->d, &r, on_repeated, &x, NULL), -E_INVALID);
	assert_int_equal(status(w).counts[EVENTS_OK], 0); /* it is nobody's event */
	assert_int_equal(published(), 0);
	end(w);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "serve") == 0)
		return fake_sandbox();
	log_set_level(LOG_ERR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_canary_gets_its_part_until_it_is_taken_away),
		cmocka_unit_test(a_new_active_version_ends_the_trial),
		cmocka_unit_test(a_canary_that_fails_is_ended_after_a_few_events),
		cmocka_unit_test(a_canary_that_is_no_worse_goes_on),
		cmocka_unit_test(
			a_canary_that_kills_the_sandbox_twice_is_ended_and_its_events_run_elsewhere),
		cmocka_unit_test(a_shadow_is_compared_and_nothing_of_it_is_seen),
		cmocka_unit_test(a_shadow_that_kills_the_sandbox_costs_no_event_and_is_ended),
		cmocka_unit_test(what_was_is_repeated_by_any_loaded_version),
	};
	return cmocka_run_group_tests_name("candidates", tests, NULL, NULL);
}
