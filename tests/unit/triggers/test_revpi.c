/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs and outputs of a Revolution Pi by name: what becomes an event, and what may be set. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/wr.h"
#include "tests/fake/picontrol_calls.h"
#include "triggers/revpi.h"

enum { PATIENCE_MS = 20000, EVENTS_MAX = 64, CYCLE_MS = 2 };

struct seen {
	char topic[32], payload[32], type[40];
	char attrs[256]; /* "edge=rising device=..." */
	uint32_t cursor, route;
	char cursor_name[128]; /* "": none */
};

struct box {
	struct fake_calls calls;
	struct picontrol_calls ops;
	struct picontrol *d;
	struct trigger *t;
	char config[64];
	/* the sink */
	pthread_mutex_t lock;
	struct seen seen[EVENTS_MAX];
	unsigned nseen;
	unsigned refuse, refused; /* so many events */
	unsigned slow_ms;
	bool has_cursor;
	uint32_t cursor;
	char forgotten[128];
};

static void config_write(const struct box *b, unsigned at)
{
	assert_true(fake_config_write(b->config, at));
}

static void move_to(struct box *b, unsigned dio)
{
	config_write(b, dio);
	assert_true(fake_configure(b->calls.pi, b->config));
}

/* ---- the sink ---- */

static void copy(char *to, size_t cap, struct span s)
{
	assert_true(s.len < cap);
	(void)snprintf(to, cap, "%.*s", (int)s.len, s.len ? (const char *)s.at : "");
}

static int on_event(void *arg, const struct event *e, const uint32_t *routes, unsigned n, bool more)
{
	struct box *b = arg;
	(void)pthread_mutex_lock(&b->lock);
	unsigned slow = b->slow_ms;
	assert_int_equal(n, 1);
	assert_false(more);
	if (b->refuse) {
		b->refuse--;
		b->refused++;
		(void)pthread_mutex_unlock(&b->lock);
		return -E_LIMIT;
	}
	assert_true(b->nseen < EVENTS_MAX);
	struct seen *s = &b->seen[b->nseen];
	copy(s->topic, sizeof(s->topic), e->topic);
	copy(s->payload, sizeof(s->payload), e->payload);
	copy(s->type, sizeof(s->type), e->type);
	assert_true(span_eq(e->source, "io") && e->qos == 1);
	struct wr w = wr_into(s->attrs, sizeof(s->attrs) - 1);
	for (unsigned i = 0; i < e->nattrs; i++)
		wr_fmt(&w, "%s%.*s=%.*s", i ? " " : "", (int)e->attrs[i].name.len,
		       e->attrs[i].name.at, (int)e->attrs[i].value.len, e->attrs[i].value.at);
	s->attrs[w.len] = '\0';
	copy(s->cursor_name, sizeof(s->cursor_name), e->cursor_name);
	if (e->cursor_name.len > 0) {
		struct rd r = rd_from(e->cursor.at, e->cursor.len);
		b->cursor = s->cursor = rd_u32(&r);
		b->has_cursor = true;
		assert_true(rd_done(&r));
	}
	s->route = routes[0];
	b->nseen++;
	(void)pthread_mutex_unlock(&b->lock);
	if (slow)
		(void)poll(NULL, 0, (int)slow);
	return 0;
}

static size_t on_cursor(void *arg, struct span name, void *ret, size_t cap)
{
	struct box *b = arg;
	struct wr w = wr_into(ret, cap);
	assert_true(name.len > 15 && memcmp(name.at, "count:Counter_1", 15) == 0);
	if (!b->has_cursor)
		return 0;
	wr_u32(&w, b->cursor);
	return w.len;
}

static void on_forget(void *arg, struct span name)
{
	struct box *b = arg;
	(void)pthread_mutex_lock(&b->lock);
	copy(b->forgotten, sizeof(b->forgotten), name);
	b->has_cursor = false;
	(void)pthread_mutex_unlock(&b->lock);
}

/* ---- begin and end ---- */

static void trigger_open(struct box *b)
{
	struct why why = { 0 };
	const struct trigger_sink sink = {
		.event = on_event, .cursor = on_cursor, .forget = on_forget, .arg = b
	};
	assert_int_equal(revpi_new(b->d, CYCLE_MS, &sink, &b->t, &why), 0);
}

static void box_open(struct box *b)
{
	*b = (struct box){ .config = "/tmp/test_revpi.XXXXXX", .lock = PTHREAD_MUTEX_INITIALIZER };
	int fd = mkstemp(b->config);
	assert_true(fd >= 0);
	(void)close(fd);
	b->calls.pi = fake_new(NULL);
	assert_non_null(b->calls.pi);
	move_to(b, 100);
	b->ops = fake_calls_of(&b->calls);
	const struct picontrol_options o = { .device = "/dev/fake0",
					     .config_rsc = b->config,
					     .calls = &b->ops };
	assert_int_equal(picontrol_new(&o, &b->d, NULL), 0);
	trigger_open(b);
}

static void trigger_close(struct box *b)
{
	b->t->ops->stop(b->t, 0);
	b->t->ops->free(b->t);
	b->t = NULL;
}

static void box_close(struct box *b)
{
	trigger_close(b);
	picontrol_unref(b->d);
	assert_int_equal(b->calls.pi->exported, 0);
	fake_free(b->calls.pi);
	(void)unlink(b->config);
}

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static int bind_to(struct box *b, uint32_t id, const char *name, const char *options,
		   struct why *why)
{
	const struct trigger_route r = { .id = id, .filter = text(name), .options = text(options) };
	return b->t->ops->subscribe(b->t, &r, why);
}

static bool state_says(const struct box *b, uint32_t id, const char *part)
{
	struct why why;
	bool ok = b->t->ops->route_status(b->t, id, &why);
	return part ? !ok && strstr(why.text, part) : ok;
}

/* part NULL: it is fine */
static void wait_state(const struct box *b, uint32_t id, const char *part)
{
	for (int ms = 0; !state_says(b, id, part); ms++) {
		struct why why;
		(void)b->t->ops->route_status(b->t, id, &why);
		if (ms >= PATIENCE_MS)
			fail_msg("\"%s\" is not \"%s\"", why.text, part ? part : "ok");
		(void)poll(NULL, 0, 1);
	}
}

/* So many whole samples from now on. */
static void wait_samples(const struct box *b, unsigned n)
{
	uint64_t until = b->calls.pi->reads + n + 1;
	for (int ms = 0; b->calls.pi->reads < until; ms++) {
		assert_true(ms < PATIENCE_MS);
		(void)poll(NULL, 0, 1);
	}
}

static struct seen wait_event(struct box *b, unsigned i)
{
	for (int ms = 0;; ms++) {
		(void)pthread_mutex_lock(&b->lock);
		bool there = b->nseen > i;
		struct seen s = b->seen[i];
		(void)pthread_mutex_unlock(&b->lock);
		if (there)
			return s;
		assert_true(ms < PATIENCE_MS);
		(void)poll(NULL, 0, 1);
	}
}

static void is_event(struct box *b, unsigned i, const char *payload, const char *attrs)
{
	struct seen s = wait_event(b, i);
	assert_string_equal(s.payload, payload);
	assert_non_null(strstr(s.attrs, attrs));
}

/* What it shows first is looked at, so that what comes is a change. */
static void bind_and_look(struct box *b, uint32_t id, const char *name, const char *options)
{
	struct why why = { 0 };
	if (bind_to(b, id, name, options, &why) < 0)
		fail_msg("%s", why.text);
	wait_state(b, id, NULL);
	wait_samples(b, 1);
}

static void begin(struct box *b)
{
	box_open(b);
	b->t->ops->start(b->t);
}

/* ---- bits ---- */

static void where_a_bit_stands_is_no_event_and_its_edges_are(void **state)
{
	static struct box b;
	(void)state;
	begin(&b);
	fake_set(b.calls.pi, "I_1", 1);
	bind_and_look(&b, 7, "I_1", "{}");
	assert_int_equal(b.nseen, 0);
	fake_set(b.calls.pi, "I_1", 0);
	is_event(&b, 0, "0", "edge=falling device=RevPi DIO, position 32 bits=1");
	fake_set(b.calls.pi, "I_1", 1);
	is_event(&b, 1, "1", "edge=rising");
	const struct seen *e = &b.seen[1];
	assert_string_equal(e->topic, "I_1");
	assert_string_equal(e->type, "io.penstock.io.change");
	assert_true(e->route == 7 && !*e->cursor_name);
	struct trigger_status s;
	b.t->ops->status(b.t, &s);
	assert_int_equal(s.received, 2);
	assert_string_equal(s.state, "connected");
	box_close(&b);
}

static void only_the_edges_that_were_asked_for_are_events(void **state)
{
	static struct box b;
	(void)state;
	begin(&b);
	bind_and_look(&b, 1, "I_1", "{\"edge\":\"rising\"}");
	bind_and_look(&b, 2, "I_2", "{\"edge\":\"falling\"}");
	for (unsigned i = 0; i < 2; i++) {
		fake_set(b.calls.pi, "I_1", 1);
		wait_samples(&b, 1);
		fake_set(b.calls.pi, "I_2", 1);
		wait_samples(&b, 1);
		fake_set(b.calls.pi, "I_1", 0);
		fake_set(b.calls.pi, "I_2", 0);
		wait_samples(&b, 1);
	}
	wait_samples(&b, 2);
	assert_int_equal(b.nseen, 4);
	for (unsigned i = 0; i < 4; i++)
		is_event(&b, i, i % 2 ? "0" : "1", "edge=");
	box_close(&b);
}

static void an_edge_that_the_journal_did_not_take_is_told_with_the_next(void **state)
{
	static struct box b;
	(void)state;
	begin(&b);
	bind_and_look(&b, 1, "I_1", "{}");
	b.refuse = 2;
	for (unsigned i = 1; i <= 3; i++) {
		fake_set(b.calls.pi, "I_1", i % 2);
		wait_samples(&b, 2);
	}
	is_event(&b, 0, "1", "edge=rising missed=2");
	fake_set(b.calls.pi, "I_1", 0);
	is_event(&b, 1, "0", "edge=falling device");
	struct trigger_status s;
	b.t->ops->status(b.t, &s);
	assert_int_equal(s.dropped, 2);
	box_close(&b);
}

/* ---- values ---- */

static void a_value_is_an_event_when_it_left_the_dead_band(void **state)
{
	static struct box b;
	(void)state;
	begin(&b);
	fake_set(b.calls.pi, "analogue", 1000);
	bind_and_look(&b, 1, "analogue", "{\"deadband\":10}");
	fake_set(b.calls.pi, "analogue", 1010);
	wait_samples(&b, 2);
	fake_set(b.calls.pi, "analogue", 990);
	wait_samples(&b, 2);
	assert_int_equal(b.nseen, 0);
	fake_set(b.calls.pi, "analogue", 1011);
	is_event(&b, 0, "1011", "previous=1000 change=11 device=RevPi DIO, position 32 bits=16");
	fake_set(b.calls.pi, "analogue",
		 1001); /* from the last event on, not from the last sample */
	wait_samples(&b, 2);
	fake_set(b.calls.pi, "analogue", 1000);
	is_event(&b, 1, "1000", "previous=1011 change=-11");
	box_close(&b);
}

static void what_has_a_sign_goes_below_zero(void **state)
{
	static const struct {
		const char *name, *options, *payload, *attrs;
	} row[] = {
		{ "analogue", "{\"signed\":true}", "-5", "previous=5 change=-10" },
		{ "Counter_1", "{\"counter\":true,\"signed\":true}", "-5",
		  "previous=5 change=-10" },
	};
	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
		static struct box b;
		begin(&b);
		fake_set(b.calls.pi, row[i].name, 5);
		bind_and_look(&b, 1, row[i].name, row[i].options);
		wait_samples(&b, 2);
		fake_set(b.calls.pi, row[i].name, (uint32_t)-5);
		is_event(&b, i, row[i].payload,
			 row[i].attrs); /* a counter's first is where it stands */
		box_close(&b);
	}
}

static void a_value_that_the_journal_did_not_take_is_offered_again(void **state)
{
	static struct box b;
	(void)state;
	begin(&b);
	bind_and_look(&b, 1, "analogue", "{}");
	b.refuse = 1;
	fake_set(b.calls.pi, "analogue", 3);
	is_event(&b, 0, "3", "previous=0 change=3");
	assert_int_equal(b.refused, 1);
	box_close(&b);
}

/* ---- counters ---- */

static void a_counter_tells_how_far_it_went_on_over_its_wrap(void **state)
{
	static struct box b;
	(void)state;
	begin(&b);
	fake_set(b.calls.pi, "Counter_1", 4294967290u);
	bind_and_look(&b, 1, "Counter_1", "{\"counter\":true}");
	is_event(&b, 0, "4294967290", "change=0"); /* from where it counts */
	fake_set(b.calls.pi, "Counter_1", 5);
	is_event(&b, 1, "5", "previous=4294967290 change=11");
	assert_int_equal(b.seen[1].cursor, 5);
	fake_set(b.calls.pi, "Counter_1", 2); /* it was reset, and two pulses came */
	is_event(&b, 2, "2", "change=2 restarted=1");
	box_close(&b);
}

static void pulses_while_the_gateway_was_off_or_the_journal_full_are_not_lost(void **state)
{
	static struct box b;
	uint64_t sum = 0;
	(void)state;
	begin(&b);
	fake_set(b.calls.pi, "Counter_1", 100);
	bind_and_look(&b, 1, "Counter_1", "{\"counter\":true}");
	is_event(&b, 0, "100", "change=0");
	b.refuse = 1;
	fake_set(b.calls.pi, "Counter_1", 120);
	is_event(&b, 1, "120", "previous=100 change=20");
	trigger_close(&b);
	fake_set(b.calls.pi, "Counter_1", 150);
	trigger_open(&b);
	b.t->ops->start(b.t);
	bind_and_look(&b, 1, "Counter_1", "{\"counter\":true}");
	is_event(&b, 2, "150", "previous=120 change=30");
	for (uint32_t n = 151; n <= 350; n++) {
		fake_set(b.calls.pi, "Counter_1", n);
		if (n % 10 == 0)
			wait_samples(&b, 1);
	}
	wait_samples(&b, 2);
	for (unsigned i = 0; i < b.nseen; i++)
		sum += strtoul(strstr(b.seen[i].attrs, "change=") + 7, NULL, 10);
	assert_int_equal(sum, 250);
	box_close(&b);
}

/* Another binding to it, told other values, is elsewhere. */
static void a_counter_that_nobody_listens_to_is_forgotten(void **state)
{
	static struct box b;
	(void)state;
	begin(&b);
	bind_and_look(&b, 1, "Counter_1", "{\"counter\":true}");
	is_event(&b, 0, "0", "change=0");
	b.has_cursor = false; /* the second one's has another name */
	bind_and_look(&b, 2, "Counter_1", "{\"deadband\":9,\"counter\":true}");
	is_event(&b, 1, "0", "change=0");
	assert_string_not_equal(b.seen[0].cursor_name, b.seen[1].cursor_name);
	b.t->ops->unsubscribe(b.t, 1);
	assert_string_equal(b.forgotten, b.seen[0].cursor_name);
	box_close(&b);
}

/* ---- resets ---- */

static void a_reset_that_moves_names_makes_no_false_edge_and_loses_none(void **state)
{
	static struct box b;
	(void)state;
	begin(&b);
	bind_and_look(&b, 1, "I_1", "{}");
	bind_and_look(&b, 2, "Counter_1", "{\"counter\":true}");
	is_event(&b, 0, "0", "change=0");
	/* The new layout is in force, the event of the reset is not out yet: what is where I_1 and the counter were? */
	move_to(&b, 300);
	(void)pthread_mutex_lock(&b.calls.pi->lock);
	memset(b.calls.pi->image + 100, 0xff, 12);
	(void)pthread_mutex_unlock(&b.calls.pi->lock);
	wait_samples(&b, 5);
	for (unsigned i = 0; i < b.nseen; i++)
		assert_string_equal(b.seen[i].payload, "0");
	fake_run(b.calls.pi);
	fake_set(b.calls.pi, "I_1", 1);
	fake_set(b.calls.pi, "Counter_1", 5);
	struct seen last = wait_event(&b, 2);
	bool in_order = last.topic[0] == 'C';
	struct seen edge = in_order ? b.seen[1] : last, count = in_order ? last : b.seen[1];
	assert_non_null(strstr(edge.attrs, "edge=rising"));
	assert_non_null(strstr(count.attrs, "previous=0 change=5"));
	assert_string_equal(edge.topic, "I_1");
	assert_int_equal(b.nseen, 3);
	box_close(&b);
}

static void a_reset_is_the_state_of_its_routes_and_what_changed_meanwhile_is_an_event(void **state)
{
	static struct box b;
	(void)state;
	begin(&b);
	bind_and_look(&b, 1, "I_1", "{}");
	fake_stop(b.calls.pi);
	wait_state(&b, 1, "being reset");
	move_to(&b, 500);
	fake_set(b.calls.pi, "I_1", 1);
	fake_run(b.calls.pi);
	is_event(&b, 0, "1", "edge=rising");
	wait_state(&b, 1, NULL);
	box_close(&b);
}

/* ---- what is not there, or makes no sense ---- */

static void each_name_has_a_state_of_its_own(void **state)
{
	static const struct {
		const char *name, *options, *said;
	} row[] = {
		{ "I_9", "{}", "there is no \"I_9\"" },
		{ "I_1", "{\"counter\":true}", "is a bit, which has no counter" },
		{ "I_2", "{\"deadband\":3}", "leave out option deadband" },
		{ "O_1", "{\"signed\":true}", "leave out option signed" },
		{ "analogue", "{\"edge\":\"rising\"}", "which has no edges" },
	};
	static struct box b;
	(void)state;
	begin(&b);
	for (uint32_t i = 0; i < ARRAY_LEN(row); i++)
		assert_int_equal(bind_to(&b, i + 1, row[i].name, row[i].options, NULL), 0);
	bind_and_look(&b, 99, "Counter_1", "{}");
	for (uint32_t i = 0; i < ARRAY_LEN(row); i++)
		wait_state(&b, i + 1, row[i].said);
	fake_set(b.calls.pi, "Counter_1", 1); /* the rest goes on */
	is_event(&b, 0, "1", "change=1");
	box_close(&b);
}

static void a_device_and_a_name_that_come_later_are_used_then(void **state)
{
	static struct box b;
	(void)state;
	box_open(&b);
	b.calls.open_errno = ENOENT;
	b.t->ops->start(b.t);
	assert_int_equal(bind_to(&b, 1, "I_1", "{}", NULL), 0);
	wait_state(&b, 1, "is this a Revolution Pi");
	FILE *f = fopen(b.config, "w");
	assert_non_null(f);
	fprintf(f, "{\"Devices\":[]}");
	(void)fclose(f);
	b.calls.open_errno = 0;
	wait_state(&b, 1, "there is no \"I_1\"");
	move_to(&b, 100);
	wait_state(&b, 1, NULL);
	wait_samples(&b, 1);
	fake_set(b.calls.pi, "I_1", 1);
	is_event(&b, 0, "1", "edge=rising");
	box_close(&b);
}

static void names_that_cannot_be_one_are_refused_at_once(void **state)
{
	static struct box b;
	struct why why = { 0 };
	char longest[PICTORY_NAME_BYTES + 2];
	(void)state;
	box_open(&b);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(bind_to(&b, 1, "", "{}", &why), -E_INVALID);
	assert_int_equal(bind_to(&b, 1, longest, "{}", &why), -E_INVALID);
	assert_int_equal(bind_to(&b, 1, "\xff", "{}", &why), -E_INVALID);
	assert_int_equal(bind_to(&b, 1, "I_1", "{\"edge\":\"up\"}", &why), -E_INVALID);
	box_close(&b);
}

static void one_snapshot_serves_all_routes_and_late_ones_are_counted(void **state)
{
	static struct box b;
	struct trigger_status s;
	(void)state;
	begin(&b);
	bind_and_look(&b, 1, "I_1", "{}");
	bind_and_look(&b, 2, "I_2", "{}");
	b.t->ops->status(b.t, &s);
	uint64_t missed = s.missed;
	b.slow_ms = 20 * CYCLE_MS;
	(void)pthread_mutex_lock(&b.calls.pi->lock);
	b.calls.pi->image[100] = 3; /* both at one moment */
	uint64_t reads = b.calls.pi->reads;
	(void)pthread_mutex_unlock(&b.calls.pi->lock);
	is_event(&b, 1, "1", "edge=rising");
	/* No further look lay between the two: the first one's sink took 20 cycles. */
	assert_true(b.calls.pi->reads <= reads + 1);
	b.slow_ms = 0;
	wait_samples(&b, 2);
	b.t->ops->status(b.t, &s);
	assert_true(s.missed >= missed + 19);
	box_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_a_bit_stands_is_no_event_and_its_edges_are),
		cmocka_unit_test(only_the_edges_that_were_asked_for_are_events),
		cmocka_unit_test(an_edge_that_the_journal_did_not_take_is_told_with_the_next),
		cmocka_unit_test(a_value_is_an_event_when_it_left_the_dead_band),
		cmocka_unit_test(what_has_a_sign_goes_below_zero),
		cmocka_unit_test(a_value_that_the_journal_did_not_take_is_offered_again),
		cmocka_unit_test(a_counter_tells_how_far_it_went_on_over_its_wrap),
		cmocka_unit_test(pulses_while_the_gateway_was_off_or_the_journal_full_are_not_lost),
		cmocka_unit_test(a_counter_that_nobody_listens_to_is_forgotten),
		cmocka_unit_test(a_reset_that_moves_names_makes_no_false_edge_and_loses_none),
		cmocka_unit_test(
			a_reset_is_the_state_of_its_routes_and_what_changed_meanwhile_is_an_event),
		cmocka_unit_test(each_name_has_a_state_of_its_own),
		cmocka_unit_test(a_device_and_a_name_that_come_later_are_used_then),
		cmocka_unit_test(names_that_cannot_be_one_are_refused_at_once),
		cmocka_unit_test(one_snapshot_serves_all_routes_and_late_ones_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
