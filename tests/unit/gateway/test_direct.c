/* SPDX-License-Identifier: Apache-2.0 */
/* From function to function without the broker: who gets what, once, and in which transaction. */
#include "tests/unit/gateway/dispatch_world.h"

#include <sqlite3.h>

#include "gateway/direct.h"
#include "gateway/durable_impl.h"
#include "gateway/state.h"
#include "proto/message_attrs.h"
#include "tests/unit/gateway/scratch.h"

/* ---- a broker that takes what it gets ---- */

static int send_it(struct trigger *t, const struct trigger_message *m)
{
	(void)remember(t, m, 1);
	return 1;
}

static const struct trigger_ops taking = { .kind = "test", .publish = remember, .send = send_it };
static struct trigger far_side = { .ops = &taking, .name = "test" };

/* ---- a gateway with a journal and one broker ---- */

struct box {
	struct world *w;
	struct path path;
	struct path_source source;
	struct state_store *state;
	struct binding *first, *second;
};

static struct binding *binding_of(void *arg, uint64_t id)
{
	struct box *b = arg;
	return id == 1 ? binding_ref(b->first) : id == 2 ? binding_ref(b->second) : NULL;
}

static struct binding *bind_it(struct box *b, uint64_t id, const char *filter, const char *publish)
{
	struct binding *to = NULL;
	struct binding_route route;
	const struct binding_text t = { .topics = true,
					.function = text("f"),
					.filter = text(filter),
					.publish = text(publish) };
	assert_int_equal(binding_new(id, &t, &to, NULL), 0);
	to->way_out = &far_side;
	to->direct = b->source.direct;
	to->publish_qos = 1;
	to->retain = true;
	to->durability = DURABLE_PROCESS;
	assert_int_equal(binding_table_add(b->source.table, to, &route), 0);
	return to;
}

static void begin_box(struct box *b, const char *dir, uint64_t quota_rows)
{
	struct why why = { 0 };
	bool damaged;
	const struct journal_options jo = { .state_dir = dir,
					    .quota_bytes = 1 << 26,
					    .quota_rows = quota_rows,
					    .keep_bytes = 1 << 30,
					    .keep_s = 3600 };
	const struct outbox_options oo = { .quota_bytes = 1 << 26, .quota_rows = 1 << 20 };
	const struct state_limits sl = { .bytes = 1 << 20, .keys = 1000 };
	*b = (struct box){ .w = begin(64, 64) };
	struct path *p = &b->path;
	p->dispatch = b->w->d;
	b->source.path = p;
	(void)snprintf(b->source.name, sizeof(b->source.name), "test");
	(void)snprintf(b->source.source, sizeof(b->source.source), "mqtt:test");
	assert_non_null(b->source.table = binding_table_new(true));
	assert_int_equal(journal_open(&jo, &p->journal, &damaged, &why), 0);
	assert_int_equal(outbox_new(&oo, p->journal, &p->outbox, &why), 0);
	assert_int_equal(state_open(p->journal, &sl, &b->state, &why), 0);
	assert_int_equal(
		durable_new(b->w->d, p->journal, p->outbox, binding_of, b, &p->durable, &why), 0);
	dispatch_use(b->w->d, p->durable, b->state, journal_last_id(p->journal));
	assert_int_equal(direct_new(&b->source, &b->source.direct, &why), 0);
	struct trigger *d = b->source.direct;
	assert_int_equal(outbox_attach(p->outbox, "test", &far_side, &why), 0);
	assert_int_equal(outbox_attach(p->outbox, direct_out(d), d, &why), 0);
	outbox_exact(p->outbox, d);
	put(b->w, "f", 1, 60000);
	b->first = bind_it(b, 1, "first/+", "second/x");
	b->second = bind_it(b, 2, "second/+", "third");
}

static void end_box(struct box *b)
{
	b->source.direct->ops->deafen(b->source.direct);
	end(b->w);
	outbox_stop(b->path.outbox);
	b->source.direct->ops->free(b->source.direct);
	journal_quiesce(b->path.journal);
	durable_free(b->path.durable);
	outbox_free(b->path.outbox);
	state_stop(b->state);
	journal_close(b->path.journal);
	state_free(b->state);
	binding_unref(b->first);
	binding_unref(b->second);
	binding_table_free(b->source.table);
}

static int arrive(struct box *b, const char *payload, uint8_t hops)
{
	struct event e = { .arrived_ns = uv_hrtime(),
			   .time_wall_ms = now_wall_ms(),
			   .source = text("mqtt:test"),
			   .type = text("t"),
			   .topic = text("first/1"),
			   .payload = text(payload),
			   .qos = 1,
			   .packet = 1,
			   .hops = hops };
	int err = dispatch_event(b->w->d, &e, &b->first, 1, NULL);
	dispatch_commit(b->w->d);
	return err;
}

static int64_t ask(struct box *b, const char *sql)
{
	sqlite3_stmt *s = NULL;
	assert_int_equal(sqlite3_prepare_v2(journal_reader(b->path.journal), sql, -1, &s, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	int64_t n = sqlite3_column_int64(s, 0);
	(void)sqlite3_finalize(s);
	return n;
}

#define OVER "SELECT count(*) FROM events WHERE state = 1 AND CAST(topic AS TEXT) = "

/* ---- rules ---- */

static void what_a_binding_wants_goes_there_and_to_the_broker(void **state)
{
	struct box b;
	begin_box(&b, *state, 1 << 20);
	b.source.direct->ops->start(b.source.direct);
	assert_int_equal(arrive(&b, "reply reply done", 3), 0);
	UNTIL(b.w, ask(&b, OVER "'second/x'") == 1);
	UNTIL(b.w, published() == 2);
	assert_string_equal(out.sent[0].topic, "second/x");
	assert_string_equal(out.sent[1].topic, "third");
	assert_string_equal(out.sent[1].payload, "done");
	assert_true(ask(&b, "SELECT hops FROM events WHERE CAST(topic AS TEXT) = 'second/x'") == 4);
	assert_true(ask(&b, "SELECT retain = 0 AND qos = 1 AND state = 3 AND position = 1 FROM "
			    "effects WHERE out = '$direct/test'") == 1);
	assert_true(ask(&b, "SELECT retain = 1 AND qos = 1 AND position = 0 FROM effects WHERE "
			    "out = 'test' AND CAST(topic AS TEXT) = 'second/x'") == 1);
	end_box(&b);
}

static void only_the_brokers_is_marked_and_only_where_it_went_directly(void **state)
{
	struct box b;
	struct span mark;
	uint8_t room_bytes[64], *room = NULL;
	begin_box(&b, *state, 1 << 20);
	struct wr w = wr_into(room_bytes, sizeof(room_bytes));
	ipc_attr_put(&w, &(struct ipc_attr){ text("own"), text("1") });
	struct trigger_message m[6] = {
		{ .to = &far_side, .topic = text("second/a"), .attrs = { w.buf, w.len }, .qos = 2 },
		{ .to = &far_side, .topic = text("nobody's") },
		{ .to = &broker, .topic = text("second/b") }, /* elsewhere */
	};
	unsigned n = 3;
	assert_int_equal(direct_copy(b.source.direct, &far_side, m, &n, &room), 0);
	assert_int_equal(n, 4);
	assert_true(message_attr_find(m[0].attrs, MESSAGE_ATTR_DIRECT, &mark));
	assert_true(message_attr_find(m[0].attrs, "own", &mark));
	assert_int_equal(m[1].attrs.len, 0);
	assert_int_equal(m[2].attrs.len, 0);
	assert_ptr_equal(m[3].to, b.source.direct);
	assert_int_equal(m[0].qos, 2);
	assert_int_equal(m[3].qos, 1);
	assert_true(span_eq(m[3].topic, "second/a"));
	assert_false(message_attr_find(m[3].attrs, MESSAGE_ATTR_DIRECT, &mark));
	free(room);
	b.second->by_broker = true;
	assert_false(direct_wants(b.source.direct, text("second/a")));
	assert_true(direct_wants(b.source.direct, text("first/a")));
	end_box(&b);
}

static void a_function_cannot_set_the_mark(void **state)
{
	(void)state;
	assert_int_equal(message_attr_of(text(MESSAGE_ATTR_DIRECT)), ATTR_RESERVED);
	assert_false(message_attr_ok(&(struct ipc_attr){ text(MESSAGE_ATTR_DIRECT), text("1") }));
}

/* Killed before it was delivered: it is there, and not twice. */
static void what_was_not_delivered_is_after_a_restart(void **state)
{
	struct box b;
	begin_box(&b, *state, 1 << 20); /* its thread is not started */
	assert_int_equal(arrive(&b, "reply reply done", 0), 0);
	UNTIL(b.w, ask(&b, OVER "'first/1'") == 1);
	assert_true(ask(&b, "SELECT count(*) FROM events") == 1);
	end_box(&b);
	for (int i = 0; i < 2; i++) {
		begin_box(&b, *state, 1 << 20);
		b.source.direct->ops->start(b.source.direct);
		UNTIL(b.w, ask(&b, OVER "'second/x'") == 1);
		assert_true(ask(&b, "SELECT count(*) FROM events") == 2);
		end_box(&b);
	}
}

static void a_full_journal_holds_it_up_and_loses_nothing(void **state)
{
	enum { EVENTS = 20 };
	struct box b;
	begin_box(&b, *state, 1 << 20);
	for (int i = 0; i < EVENTS; i++)
		assert_int_equal(arrive(&b, "reply reply done", 0), 0);
	UNTIL(b.w, ask(&b, OVER "'first/1'") == EVENTS);
	end_box(&b);
	begin_box(&b, *state, 1);
	b.source.direct->ops->start(b.source.direct);
	struct journal_status st;
	UNTIL(b.w, (journal_status(b.path.journal, &st), st.refused) >= 3);
	assert_true(ask(&b, "SELECT count(*) FROM events") == EVENTS);
	end_box(&b);
	begin_box(&b, *state, 1 << 20);
	b.source.direct->ops->start(b.source.direct);
	UNTIL(b.w, ask(&b, OVER "'second/x'") == EVENTS);
	assert_true(ask(&b, "SELECT count(*) FROM events") == 2 * EVENTS);
	end_box(&b);
}

static void without_a_journal_it_goes_while_there_is_room(void **state)
{
	enum { MORE = 400 };
	struct box b;
	struct trigger_status st;
	begin_box(&b, *state, 1 << 20);
	struct trigger *d = b.source.direct;
	for (int i = 0; i < MORE; i++) {
		const struct trigger_message m = { .to = d,
						   .topic = text("second/1"),
						   .payload = text("reply done") };
		assert_int_equal(d->ops->publish(d, &m, 1), 0);
	}
	d->ops->status(d, &st);
	assert_true(st.dropped > 0 && st.dropped + st.queued == MORE);
	uint64_t queued = st.queued;
	d->ops->start(d);
	UNTIL(b.w, (d->ops->status(d, &st), st.received) == queued);
	UNTIL(b.w, status(b.w).in_flight == 0);
	assert_true(ask(&b, "SELECT count(*) FROM events") == 0); /* QoS 0 */
	end_box(&b);
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, scratch_new, scratch_free)

int main(int argc, char **argv)
{
	const struct CMUnitTest rules[] = {
		RULE(what_a_binding_wants_goes_there_and_to_the_broker),
		RULE(only_the_brokers_is_marked_and_only_where_it_went_directly),
		RULE(a_function_cannot_set_the_mark),
		RULE(what_was_not_delivered_is_after_a_restart),
		RULE(a_full_journal_holds_it_up_and_loses_nothing),
		RULE(without_a_journal_it_goes_while_there_is_room),
	};
	if (argc > 1 && strcmp(argv[1], "serve") == 0)
		return fake_sandbox();
	log_set_level(LOG_ERR);
	return cmocka_run_group_tests(rules, NULL, NULL);
}
