/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gateway/dispatch_world.h"

static void replies_and_messages_go_to_the_bindings_topic(void **state)
{
	struct world *w = begin(64, 64);
	struct binding *b = bound("f", "alerts/{1}"), *mute = bound("f", "");
	(void)state;
	put(w, "f", 1, 1000);
	happen(w, b, "reply hot", false);
	UNTIL(w, published() == 1); /* two events may end in any order */
	happen(w, b, "emit alerts/x very", true);
	UNTIL(w, published() == 2);
	assert_string_equal(out.sent[0].topic, "alerts/7");
	assert_string_equal(out.sent[0].payload, "hot");
	assert_int_equal(out.sent[0].qos, 1);
	assert_string_equal(out.sent[1].topic, "alerts/x");
	assert_int_equal(out.sent[1].qos, 0);
	happen(w, mute, "reply nobody", false); /* no topic, no message, no failure */
	UNTIL(w, status(w).counts[EVENTS_OK] == 3);
	assert_int_equal(published(), 2);
	assert_int_equal(b->counts[BINDING_OK], 2);
	assert_true(function(w, "f").cpu_us_mean > 0);
	binding_unref(b);
	binding_unref(mute);
	end(w);
}

static void a_topic_that_was_not_granted_fails_the_event(void **state)
{
	struct world *w = begin(64, 64);
	struct binding *b = bound("f", "alerts/{1}"), *mute = bound("f", "");
	(void)state;
	put(w, "f", 1, 1000);
	happen(w, b, "emit pumps/1/off x", false);
	UNTIL(w, status(w).counts[EVENTS_FAILED] == 1);
	struct dispatch_function f = function(w, "f");
	assert_non_null(strstr(f.last_error, "f may not publish to \"pumps/1/off\""));
	happen(w, mute, "emit  x", false); /* the empty topic, and the binding has none */
	UNTIL(w, status(w).counts[EVENTS_FAILED] == 2);
	f = function(w, "f");
	assert_non_null(strstr(f.last_error, "published without a topic"));
	happen(w, b, "emit alerts/# x", false);
	UNTIL(w, status(w).counts[EVENTS_FAILED] == 3);
	assert_int_equal(published(), 0);
	binding_unref(b);
	binding_unref(mute);
	end(w);
}

static void failures_and_traps_are_counted_with_their_reason(void **state)
{
	struct world *w = begin(64, 64);
	struct binding *b = bound("f", "alerts/{1}");
	(void)state;
	put(w, "f", 1, 1000);
	happen(w, b, "fail", false);
	UNTIL(w, status(w).counts[EVENTS_FAILED] == 1);
	assert_string_equal(function(w, "f").last_error, "it ended with code 7");
	happen(w, b, "trap", false);
	UNTIL(w, status(w).counts[EVENTS_TRAPPED] == 1);
	assert_string_equal(function(w, "f").last_error, "memory at f+0x1a");
	assert_int_equal(b->counts[BINDING_TRAPPED], 1);
	/* A reason is cut after so many bytes, here in a character: the answer stays JSON. */
	char payload[400] = "say ";
	while (strlen(payload) < 350)
		(void)strcat(payload, "\xc3\xa4");
	happen(w, b, payload, false);
	UNTIL(w, status(w).counts[EVENTS_FAILED] == 2);
	json_t *counts = path_function_counts(&(struct path){ .dispatch = w->d }, "f");
	char *dumped = json_dumps(counts, 0);
	assert_non_null(dumped);
	free(dumped);
	json_decref(counts);
	binding_unref(b);
	end(w);
}

static void large_payloads_and_results_travel_by_memfd(void **state)
{
	struct world *w = begin(64, 64);
	struct binding *b = bound("f", "alerts/{1}");
	char *payload = malloc(300001);
	(void)state;
	put(w, "f", 1, 1000);
	memset(payload, ' ', 300000);
	memcpy(payload, "large ", 6);
	payload[300000] = '\0';
	happen(w, b, payload, false);
	UNTIL(w, published() == 1);
	assert_int_equal(out.sent[0].len, FAKE_LARGE);
	payload[0] = 'x';
	w->config.payload_bytes = 100000;
	happen(w, b, payload, false);
	assert_int_equal(status(w).counts[EVENTS_REFUSED], 1);
	free(payload);
	binding_unref(b);
	end(w);
}

static void a_message_counts_the_functions_that_led_to_it_up_to_a_bound(void **state)
{
	struct world *w = begin(64, 64);
	struct binding *b = bound("f", "alerts/{1}");
	(void)state;
	put(w, "f", 1, 1000);
	struct event e = { .topic = text("s/7"), .payload = text("reply hot") };
	for (e.hops = 0; e.hops <= DISPATCH_HOPS_MAX; e.hops += DISPATCH_HOPS_MAX - 1) {
		dispatch_event(w->d, &e, &b, 1, NULL);
		UNTIL(w, published() == (e.hops ? 2 : 1));
		assert_int_equal(out.sent[out.n - 1].hops, e.hops + 1);
	}
	e.hops = DISPATCH_HOPS_MAX;
	dispatch_event(w->d, &e, &b, 1, NULL);
	assert_int_equal(status(w).counts[EVENTS_REFUSED], 1);
	assert_int_equal(status(w).counts[EVENTS_INVOKED], 2);
	binding_unref(b);
	end(w);
}

static void queues_are_bounded_and_what_is_refused_is_counted(void **state)
{
	struct world *w = begin(10, 6);
	struct binding *f = bound("f", ""), *g = bound("g", ""), *none = bound("none", "");
	(void)state;
	put(w, "f", 1, 5000);
	put(w, "g", 1, 5000);
	for (int i = 0; i < 20; i++)
		happen(w, f, "slow 10", false);
	uint64_t refused = status(w).counts[EVENTS_REFUSED];
	assert_in_range(refused, 20 - 6 - 2, 20 - 6); /* one or two may be through already */
	for (int i = 0; i < 20; i++)
		happen(w, g, "slow 10", false);
	assert_true(status(w).in_flight <= 10);
	happen(w, none, "reply x", false);
	UNTIL(w, status(w).in_flight == 0);
	struct dispatch_status s = status(w);
	assert_int_equal(s.counts[EVENTS_OK] + s.counts[EVENTS_REFUSED], 41);
	assert_int_equal(s.counts[EVENTS_INVOKED], s.counts[EVENTS_OK]);
	assert_int_equal(none->counts[BINDING_REFUSED], 1);
	binding_unref(f);
	binding_unref(g);
	binding_unref(none);
	end(w);
}

static void an_event_in_flight_at_a_crash_is_tried_once_more(void **state)
{
	struct world *w = begin(64, 64);
	struct binding *b = bound("f", "alerts/{1}");
	char file[] = "/tmp/penstock-once-XXXXXX", payload[64];
	(void)state;
	put(w, "f", 1, 5000);
	(void)close(mkstemp(file));
	(void)unlink(file);
	(void)snprintf(payload, sizeof(payload), "die-once %s", file);
	happen(w, b, payload, true);
	happen(w, b, "reply after", true);
	UNTIL(w, status(w).counts[EVENTS_OK] == 2);
	struct dispatch_status s = status(w);
	assert_in_range(s.counts[EVENTS_RETRIED], 1, 2);
	assert_int_equal(s.counts[EVENTS_FAILED], 0);
	assert_int_equal(s.sandbox.restarts, 1);
	assert_int_equal(published(), 1);
	assert_string_equal(function(w, "f").state, "active");
	(void)unlink(file);
	binding_unref(b);
	end(w);
}

static void a_killed_sandbox_serves_again_within_300_ms(void **state)
{
	struct world *w = begin(64, 64);
	struct binding *b = bound("f", "alerts/{1}");
	(void)state;
	put(w, "f", 1, 5000);
	uint64_t from = uv_hrtime();
	assert_int_equal(kill(status(w).sandbox.pid, SIGKILL), 0);
	happen(w, b, "reply again", false);
	UNTIL(w, published() == 1);
	assert_true(uv_hrtime() - from < 300 * UINT64_C(1000000));
	binding_unref(b);
	end(w);
}

static void who_crashes_twice_is_quarantined_and_the_others_go_on(void **state)
{
	struct world *w = begin(64, 64);
	struct binding *bad = bound("crashes", ""), *good = bound("good", "alerts/{1}");
	(void)state;
	put(w, "crashes", 1, 5000);
	put(w, "good", 1, 5000);
	happen(w, good, "slow 50", false); /* both are in flight at the first crash */
	happen(w, bad, "die", false);
	happen(w, good, "reply 1", false);
	UNTIL(w, strcmp(function(w, "crashes").state, "quarantined") == 0);
	UNTIL(w, published() == 1);
	UNTIL(w, status(w).in_flight == 0);
	assert_string_equal(function(w, "good").state, "active");
	assert_non_null(strstr(function(w, "crashes").reason, "killed by signal 9"));
	happen(w, bad, "reply x", false);
	assert_int_equal(function(w, "crashes").counts[FUNCTION_REFUSED], 1);
	happen(w, good, "reply 2", false);
	UNTIL(w, published() == 2);
	put(w, "crashes", 2, 5000); /* a new version gets a new chance */
	assert_string_equal(function(w, "crashes").state, "active");
	happen(w, bad, "fail", false);
	UNTIL(w, status(w).in_flight == 0);
	binding_unref(bad);
	binding_unref(good);
	end(w);
}

/* Its version is still among those with something to send when the others' turn comes. */
static void a_function_whose_waiting_events_ran_out_of_time_holds_up_nobody(void **state)
{
	struct world *w = begin(500, 200);
	struct binding *brief = bound("brief", ""), *good = bound("good", "alerts/{1}");
	(void)state;
	put(w, "brief", 1, 100);
	put(w, "good", 1, 10000);
	happen(w, good, "slow 1500", false);
	for (unsigned i = 0; i < 150; i++) /* more than may be with the sandbox */
		happen(w, brief, "fail", false);
	for (unsigned i = 0; i < 150; i++)
		happen(w, good, "reply x", false);
	UNTIL(w, status(w).in_flight == 0);
	assert_true(function(w, "brief").counts[FUNCTION_FAILED] > 0);
	assert_int_equal(published(), 150);
	binding_unref(brief);
	binding_unref(good);
	end(w);
}

/* What it says about one function would otherwise refuse all that are in a hurry, for good. */
static void times_that_cannot_be_are_not_believed(void **state)
{
	struct world *w = begin(64, 64);
	struct binding *liar = bound("liar", ""), *good = bound("good", "alerts/{1}");
	(void)state;
	put(w, "liar", 1, 1000);
	put(w, "good", 1, 1000);
	for (unsigned i = 0; i < 3; i++) {
		happen(w, liar, "lie", false);
		UNTIL(w, status(w).counts[EVENTS_OK] == i + 1);
	}
	happen(w, good, "reply x", false);
	UNTIL(w, published() == 1);
	assert_true(function(w, "liar").cpu_us_mean < 10e6);
	assert_int_equal(status(w).counts[EVENTS_REFUSED], 0);
	binding_unref(liar);
	binding_unref(good);
	end(w);
}

static void a_sandbox_that_breaks_the_protocol_is_replaced(void **state)
{
	static const char *const sin[] = { "junk", "badfd", "hello", "flood" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sin); i++) {
		struct world *w = begin(64, 64);
		struct binding *b = bound("f", "alerts/{1}"), *other = bound("g", "alerts/{1}");
		put(w, "f", 1, 5000);
		put(w, "g", 1, 5000);
		happen(w, b, sin[i], false);
		UNTIL(w, status(w).sandbox.restarts >= 1);
		happen(w, other, "reply fine", false);
		UNTIL(w, published() == 1);
		assert_non_null(strstr(status(w).sandbox.last_death, "we killed it"));
		binding_unref(b);
		binding_unref(other);
		end(w);
	}
}

static void an_event_that_is_never_answered_costs_the_sandbox_its_life(void **state)
{
	struct world *w = begin(64, 64);
	struct binding *b = bound("f", ""), *other = bound("g", "alerts/{1}");
	(void)state;
	put(w, "f", 1, 50);
	put(w, "g", 1, 5000);
	happen(w, b, "silent", false);
	UNTIL(w, status(w).counts[EVENTS_FAILED] == 1);
	assert_non_null(strstr(function(w, "f").last_error, "no answer long after its deadline"));
	happen(w, other, "reply fine", false);
	UNTIL(w, published() == 1);
	binding_unref(b);
	binding_unref(other);
	end(w);
}

static void a_new_version_replaces_the_old_without_losing_events(void **state)
{
	struct world *w = begin(600, 600);
	struct binding *b = bound("f", "alerts/{1}");
	(void)state;
	put(w, "f", 1, 20000);
	for (int i = 0; i < 200; i++)
		happen(w, b, "reply old", false);
	put(w, "f", 2, 20000);
	for (int i = 0; i < 200; i++)
		happen(w, b, "reply new", false);
	UNTIL(w, status(w).in_flight == 0);
	assert_int_equal(status(w).counts[EVENTS_OK], 400);
	assert_int_equal(published(), 400);
	assert_int_equal(function(w, "f").counts[FUNCTION_OK], 400);
	binding_unref(b);
	end(w);
}

static void a_function_that_cannot_be_loaded_says_why_and_the_others_go_on(void **state)
{
	static const struct {
		const char *name, *why;
		int err;
	} cases[] = {
		{ "bad", "it is bad", -E_INVALID },
		{ "killer", "the sandbox died each time that it was to be loaded", -E_GONE },
	};
	struct world *w = begin(64, 64);
	struct binding *good = bound("f", "alerts/{1}");
	(void)state;
	put(w, "f", 1, 5000);
	assert_int_equal(dispatch_function_remove(w->d, "nothing"), -E_UNKNOWN);
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct binding *b = bound(cases[i].name, "");
		put(w, cases[i].name, 1, 1000);
		assert_int_equal(w->loaded_err, cases[i].err);
		assert_string_equal(w->loaded_why, cases[i].why);
		happen(w, b, "reply x", false);
		assert_int_equal(status(w).counts[EVENTS_REFUSED], i + 1);
		happen(w, good, "reply hot", false);
		UNTIL(w, published() == i + 1);
		binding_unref(b);
	}
	binding_unref(good);
	end(w);
}

static void removing_a_function_lets_its_events_end(void **state)
{
	struct world *w = begin(64, 64);
	struct binding *b = bound("f", "alerts/{1}");
	(void)state;
	put(w, "f", 1, 5000);
	happen(w, b, "slow 30", false);
	assert_int_equal(dispatch_function_remove(w->d, "f"), 0);
	assert_int_equal(dispatch_function_remove(w->d, "f"), -E_UNKNOWN);
	happen(w, b, "reply x", false);
	assert_int_equal(status(w).counts[EVENTS_REFUSED], 1);
	UNTIL(w, status(w).counts[EVENTS_OK] == 1);
	assert_int_equal(status(w).functions, 0);
	put(w, "f", 2, 5000);
	happen(w, b, "reply x", false);
	UNTIL(w, published() == 1);
	binding_unref(b);
	end(w);
}

/* ---- invoke ---- */

struct invoked {
	unsigned n;
	uint32_t status;
	char reply[64], why[160];
	unsigned effects;
};

static void on_result(void *arg, const struct event *e, const struct ipc_result *m)
{
	struct invoked *i = arg;
	assert_true(e->id != 0);
	i->n++;
	i->status = m->status;
	i->effects = m->neffects;
	(void)snprintf(i->reply, sizeof(i->reply), "%.*s",
		       (int)(m->reply.len < 60 ? m->reply.len : 60), (const char *)m->reply.at);
	(void)snprintf(i->why, sizeof(i->why), "%.*s", (int)m->why.len, (const char *)m->why.at);
}

static void invoke_hands_effects_back_and_publishes_nothing(void **state)
{
	static const struct {
		const char *payload, *reply, *why;
		uint32_t status;
		unsigned effects;
	} row[] = {
		{ "reply hello", "hello", "", IPC_OK, 0 },
		{ "emit alerts/x y", "", "", IPC_OK, 1 },
		{ "emit other/x y", "", "f may not publish to \"other/x\"", IPC_FAILED, 1 },
		{ "trap", "", "memory at f+0x1a", IPC_TRAPPED, 0 },
		{ "large", "LLLLLLLL", "", IPC_OK, 0 },
		{ "die", "", "the sandbox died while it ran", IPC_FAILED, 0 },
	};
	struct world *w = begin(64, 64);
	(void)state;
	put(w, "f", 1, 5000);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct invoked got = { 0 };
		struct why why = { 0 };
		struct event e = { .payload = text(row[i].payload), .source = text("invoke") };
		assert_int_equal(dispatch_invoke(w->d, "f", &e, on_result, &got, &why), 0);
		assert_int_equal(got.n, 0);
		UNTIL(w, got.n == 1);
		assert_int_equal(got.status, row[i].status);
		assert_int_equal(got.effects, row[i].effects);
		assert_memory_equal(got.reply, row[i].reply, strlen(row[i].reply));
		assert_memory_equal(got.why, row[i].why, strlen(row[i].why));
	}
	struct invoked got = { 0 };
	struct why why = { 0 };
	struct event e = { .payload = text("reply x") };
	assert_int_equal(dispatch_invoke(w->d, "nobody", &e, on_result, &got, &why), -E_UNKNOWN);
	assert_string_equal(why.text, "nobody: no such function is deployed");
	assert_int_equal(published(), 0);
	end(w);
}

/* ---- load from several threads, with crashes ---- */

struct storm {
	struct world *w;
	struct binding *b;
	bool spin;
};

static void *rain(void *arg)
{
	struct storm *s = arg;
	for (int i = 0; i < 1500; i++) {
		happen(s->w, s->b, "reply x", s->spin);
		if (i % 16 == 0)
			(void)nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
	}
	return NULL;
}

static void every_event_has_one_end_also_under_crashes(void **state)
{
	struct world *w = begin(4096, 4096);
	struct binding *b[2] = { bound("f", "alerts/{1}"), bound("g", "alerts/{1}") };
	struct storm storm[2] = { { w, b[0], true }, { w, b[1], false } };
	pthread_t t[2];
	(void)state;
	put(w, "f", 1, 20000);
	put(w, "g", 1, 20000);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, rain, &storm[i]), 0);
	UNTIL(w, status(w).counts[EVENTS_OK] > 200);
	(void)kill(status(w).sandbox.pid, SIGKILL);
	for (int i = 0; i < 2; i++)
		(void)pthread_join(t[i], NULL);
	UNTIL(w, status(w).in_flight == 0);
	struct dispatch_status s = status(w);
	assert_int_equal(s.counts[EVENTS_OK] + s.counts[EVENTS_FAILED] + s.counts[EVENTS_REFUSED],
			 3000);
	assert_int_equal(s.counts[EVENTS_OK], published());
	assert_int_equal(s.counts[EVENTS_OK], 3000);
	binding_unref(b[0]);
	binding_unref(b[1]);
	end(w);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "serve") == 0)
		return fake_sandbox();
	log_set_level(LOG_ERR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_and_messages_go_to_the_bindings_topic),
		cmocka_unit_test(a_topic_that_was_not_granted_fails_the_event),
		cmocka_unit_test(failures_and_traps_are_counted_with_their_reason),
		cmocka_unit_test(large_payloads_and_results_travel_by_memfd),
		cmocka_unit_test(a_message_counts_the_functions_that_led_to_it_up_to_a_bound),
		cmocka_unit_test(queues_are_bounded_and_what_is_refused_is_counted),
		cmocka_unit_test(an_event_in_flight_at_a_crash_is_tried_once_more),
		cmocka_unit_test(a_killed_sandbox_serves_again_within_300_ms),
		cmocka_unit_test(who_crashes_twice_is_quarantined_and_the_others_go_on),
		cmocka_unit_test(a_function_whose_waiting_events_ran_out_of_time_holds_up_nobody),
		cmocka_unit_test(times_that_cannot_be_are_not_believed),
		cmocka_unit_test(a_sandbox_that_breaks_the_protocol_is_replaced),
		cmocka_unit_test(an_event_that_is_never_answered_costs_the_sandbox_its_life),
		cmocka_unit_test(a_new_version_replaces_the_old_without_losing_events),
		cmocka_unit_test(a_function_that_cannot_be_loaded_says_why_and_the_others_go_on),
		cmocka_unit_test(removing_a_function_lets_its_events_end),
		cmocka_unit_test(invoke_hands_effects_back_and_publishes_nothing),
		cmocka_unit_test(every_event_has_one_end_also_under_crashes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
