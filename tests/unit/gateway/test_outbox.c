/* SPDX-License-Identifier: Apache-2.0 */
/* The outbox before a far side that takes what it is told to: order, and what goes when it is full. */
#include "tests/unit/gateway/scratch.h"

#include <errno.h>

#include "base/log.h"
#include "gateway/outbox.h"
#include "triggers/trigger.h"

enum { BACKLOG = 2 * OUTBOX_LOADED, ALL = OUTBOX_LOADED + 1 + BACKLOG };

static struct {
	bool taking;
	bool owes; /* an acknowledgement of each */
	unsigned n;
	uint64_t tokens[2 * ALL];
} far_side;

static int far_send(struct trigger *t, const struct trigger_message *m)
{
	(void)t;
	if (!far_side.taking)
		return -EAGAIN;
	far_side.tokens[far_side.n++] = m->token;
	return !far_side.owes;
}

static uint16_t far_reserve(struct trigger *t)
{
	(void)t;
	return 0;
}

static const struct trigger_ops far_ops = { .kind = "test",
					    .send = far_send,
					    .reserve = far_reserve };
static struct trigger far = { .ops = &far_ops, .name = "test" };

/* A second way out, which counts. */
static unsigned near_n;

static int near_send(struct trigger *t, const struct trigger_message *m)
{
	(void)t;
	near_n += m->topic.len == 4; /* "near" */
	return 1;
}

static const struct trigger_ops near_ops = { .kind = "near", .send = near_send };
static struct trigger near = { .ops = &near_ops, .name = "near" };

struct bench {
	struct journal *j;
	struct outbox *o;
};

static void open_all(struct bench *b, const char *dir, const struct outbox_options *oo)
{
	const struct journal_options jo = { .state_dir = dir,
					    .quota_bytes = 1 << 26,
					    .quota_rows = 1 << 20,
					    .keep_bytes = 1 << 26,
					    .keep_s = 1000 };
	struct why why = { 0 };
	bool damaged;
	far_side.taking = far_side.owes = false;
	far_side.n = 0;
	log_set_level(LOG_ERR);
	assert_int_equal(journal_open(&jo, &b->j, &damaged, &why), 0);
	assert_int_equal(outbox_new(oo, b->j, &b->o, &why), 0);
	assert_int_equal(outbox_attach(b->o, "test", &far, &why), 0);
}

static void close_all(struct bench *b)
{
	outbox_stop(b->o);
	journal_quiesce(b->j);
	outbox_free(b->o);
	journal_close(b->j);
}

/* An event without a row, whose end is one message. */
struct end {
	struct journal_finish f;
	struct outbox *o;
	struct outbox_batch batch;
	bool holds_back; /* its thread has not come to tell the outbox yet */
};

static void ended(struct journal_op *op, int err)
{
	struct end *e = CONTAINER_OF(op, struct end, f.op);
	if (!e->holds_back)
		outbox_committed(e->o, &e->batch, err);
}

static void publish(struct bench *b, struct end *e, uint64_t event, unsigned bytes, bool holds_back)
{
	static uint8_t payload[4096];
	const struct trigger_message m = { .to = &far,
					   .topic = { (const uint8_t *)"t", 1 },
					   .payload = { payload, bytes },
					   .qos = 1 };
	*e = (struct end){ .o = b->o, .holds_back = holds_back };
	assert_int_equal(outbox_plan(b->o, &m, 1, event, 1, "f", &e->batch), 0);
	e->f.id = event;
	e->f.effects = e->batch.effects;
	e->f.neffects = e->batch.n;
	e->f.op.done = ended;
	journal_finish_put(b->j, &e->f);
}

/* ---- rules ---- */

static void what_waits_on_disk_goes_out_once_and_in_order(void **state)
{
	struct bench b;
	struct end *e = calloc(ALL, sizeof(*e));
	const struct outbox_options oo = { .quota_bytes = 1 << 26, .quota_rows = 1 << 20 };
	assert_non_null(e);
	open_all(&b, *state, &oo);
	for (unsigned i = 0; i < ALL; i++)
		publish(&b, &e[i], i + 1, 10, i == OUTBOX_LOADED);
	journal_commit(b.j);
	far_side.taking = true;
	for (unsigned i = 0; i < 10; i++)
		outbox_writable(b.o, &far);
	assert_int_equal(far_side.n, OUTBOX_LOADED); /* up to the one that is held back */
	outbox_committed(b.o, &e[OUTBOX_LOADED].batch, 0);
	for (unsigned i = 0; i < 10; i++)
		outbox_writable(b.o, &far);
	assert_int_equal(far_side.n, ALL);
	for (unsigned i = 1; i < ALL; i++)
		assert_true(far_side.tokens[i] > far_side.tokens[i - 1]);
	close_all(&b);
	free(e);
}

static void a_full_outbox_drops_as_many_as_it_must(void **state)
{
	struct bench b;
	struct end e[10];
	struct outbox_status st;
	const struct outbox_options oo = { .quota_bytes = 8500,
					   .quota_rows = 100,
					   .full = OUTBOX_DROP_OLDEST };
	open_all(&b, *state, &oo);
	for (unsigned i = 0; i < ARRAY_LEN(e); i++)
		publish(&b, &e[i], i + 1, 999, false); /* and a byte of topic */
	journal_commit(b.j);
	outbox_tick(b.o);
	outbox_tick(b.o);
	outbox_status(b.o, &far, &st);
	assert_int_equal(st.dropped_quota, 2);
	assert_int_equal(st.waiting, 8);
	close_all(&b);
}

static void what_is_too_old_goes_though_there_is_room(void **state)
{
	struct bench b;
	struct end e[3];
	struct outbox_status st;
	const struct outbox_options oo = { .quota_bytes = 1 << 20,
					   .quota_rows = 100,
					   .max_age_s = 3600 };
	open_all(&b, *state, &oo);
	for (unsigned i = 0; i < ARRAY_LEN(e); i++) {
		publish(&b, &e[i], i + 1, 10, true);
		if (i < 2) /* two hours ago */
			e[i].batch.effects[0]->created_wall_ms -= 7200 * 1000;
	}
	journal_commit(b.j);
	for (unsigned i = 0; i < ARRAY_LEN(e); i++)
		outbox_committed(b.o, &e[i].batch, 0);
	outbox_tick(b.o);
	outbox_status(b.o, &far, &st);
	assert_int_equal(st.dropped_age, 2);
	assert_int_equal(st.waiting, 1);
	close_all(&b);
}

/* The broker lost the session: all that it owed an acknowledgement for, before what comes. */
static void what_the_far_side_lost_is_sent_anew_in_order(void **state)
{
	struct bench b;
	struct end e[6];
	struct outbox_status st;
	const struct outbox_options oo = { .quota_bytes = 1 << 20, .quota_rows = 100 };
	open_all(&b, *state, &oo);
	far_side.taking = far_side.owes = true;
	for (unsigned i = 0; i < 4; i++)
		publish(&b, &e[i], i + 1, 10, false);
	journal_commit(b.j);
	assert_int_equal(far_side.n, 4);
	const uint64_t *first = far_side.tokens;
	outbox_acknowledged(b.o, first[1], NULL);
	far_side.taking = false;
	for (unsigned i = 4; i < 6; i++)
		publish(&b, &e[i], i + 1, 10, false);
	journal_commit(b.j);
	outbox_again(b.o, first[2]);
	outbox_again(b.o, first[0]);
	outbox_again(b.o, first[3]);
	far_side.taking = true;
	outbox_writable(b.o, &far);
	assert_int_equal(far_side.n, 4 + 5);
	assert_int_equal(far_side.tokens[4], first[0]);
	assert_int_equal(far_side.tokens[5], first[2]);
	assert_int_equal(far_side.tokens[6], first[3]);
	assert_true(far_side.tokens[7] > first[3] && far_side.tokens[8] > far_side.tokens[7]);
	for (unsigned i = 4; i < 9; i++)
		outbox_acknowledged(b.o, far_side.tokens[i], NULL);
	outbox_status(b.o, &far, &st);
	assert_int_equal(st.delivered, 6);
	assert_int_equal(st.waiting + st.sent, 0);
	close_all(&b);
}

/* A lamp is set and a message is published by one event. */
static void an_event_can_go_out_by_several_ways(void **state)
{
	struct bench b;
	struct end e = { 0 };
	struct why why = { 0 };
	struct outbox_status st;
	const struct outbox_options oo = { .quota_bytes = 1 << 20, .quota_rows = 100 };
	const struct trigger_message m[] = {
		{ .to = &far, .topic = { (const uint8_t *)"far", 3 }, .qos = 1 },
		{ .to = &near, .topic = { (const uint8_t *)"near", 4 }, .qos = 1 },
		{ .to = &far, .topic = { (const uint8_t *)"far", 3 }, .qos = 1 },
	};
	open_all(&b, *state, &oo);
	assert_int_equal(outbox_attach(b.o, "near", &near, &why), 0);
	far_side.taking = true;
	near_n = 0;
	e.o = b.o;
	assert_int_equal(outbox_plan(b.o, m, ARRAY_LEN(m), 1, 1, "f", &e.batch), 0);
	e.f.id = 1;
	e.f.effects = e.batch.effects;
	e.f.neffects = e.batch.n;
	e.f.op.done = ended;
	journal_finish_put(b.j, &e.f);
	journal_commit(b.j);
	assert_int_equal(far_side.n, 2);
	assert_int_equal(near_n, 1);
	outbox_status(b.o, &near, &st);
	assert_int_equal(st.delivered, 1);
	close_all(&b);
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, scratch_new, scratch_free)

int main(void)
{
	const struct CMUnitTest rules[] = {
		RULE(what_waits_on_disk_goes_out_once_and_in_order),
		RULE(a_full_outbox_drops_as_many_as_it_must),
		RULE(what_is_too_old_goes_though_there_is_room),
		RULE(what_the_far_side_lost_is_sent_anew_in_order),
		RULE(an_event_can_go_out_by_several_ways),
	};
	return cmocka_run_group_tests(rules, NULL, NULL);
}
