/* SPDX-License-Identifier: Apache-2.0 */
/* Events in the journal, between a real dispatcher and a fake sandbox: each runs once. */
#include "tests/unit/gateway/dispatch_world.h"

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
	assert_int_equal(durable_new(k->w->d, k->journal, k->outbox, binding_of, k, &k->durable,
				     &why),
			 0);
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

static void arrive(struct kept *k, const char *payload)
{
	struct event e = { .arrived_ns = uv_hrtime(),
			   .time_wall_ms = now_wall_ms(),
			   .source = text("mqtt:test"),
			   .type = text("t"),
			   .topic = text("s/7"),
			   .payload = text(payload),
			   .qos = 1,
			   .packet = 1 };
	assert_int_equal(dispatch_event(k->w->d, &e, &k->binding, 1, NULL), 0);
	dispatch_commit(k->w->d);
}

/* ---- rules ---- */

static void what_waits_in_the_journal_runs_once(void **state)
{
	enum { EVENTS = 4000 };
	struct kept k;
	struct journal_status st;
	begin_kept(&k, *state, 64);
	arrive(&k, "slow 500");
	for (unsigned i = 1; i < EVENTS; i++)
		arrive(&k, "reply x");
	journal_load(k.journal, &st);
	assert_true(st.open > EVENTS / 2); /* most were put aside */
	UNTIL(k.w, (journal_load(k.journal, &st), st.open) == 0);
	assert_int_equal(status(k.w).counts[EVENTS_INVOKED], EVENTS);
	assert_int_equal(status(k.w).counts[EVENTS_OK], EVENTS);
	end_kept(&k);
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, scratch_new, scratch_free)

int main(int argc, char **argv)
{
	const struct CMUnitTest rules[] = {
		RULE(what_waits_in_the_journal_runs_once),
	};
	if (argc > 1 && strcmp(argv[1], "serve") == 0)
		return fake_sandbox();
	log_set_level(LOG_ERR);
	return cmocka_run_group_tests(rules, NULL, NULL);
}
