/* SPDX-License-Identifier: Apache-2.0 */
/* Timers with their thread: events, cursors, refusals, a clock that is set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/log.h"
#include "triggers/timer.h"

enum { WAIT_MS = 20000, TEXT = 160 };

static struct bench {
	pthread_mutex_t lock;
	unsigned n;  /* events that were taken */
	bool refuse; /* the journal is full */
	unsigned refusals;
	char payload[TEXT], attrs[TEXT], type[TEXT], source[TEXT], topic[TEXT];
	char name[EVENT_CURSOR_BYTES + 1], cursor[EVENT_CURSOR_BYTES + 1];
	unsigned forgotten;
} bench = { .lock = PTHREAD_MUTEX_INITIALIZER };

static _Atomic int64_t ahead;

static void copy(char *to, size_t cap, struct span s)
{
	(void)snprintf(to, cap, "%.*s", (int)s.len, (const char *)s.at);
}

static int on_event(void *arg, const struct event *e, const uint32_t *routes, unsigned n, bool more)
{
	struct bench *b = arg;
	(void)more;
	assert_int_equal(n, 1);
	assert_true(routes[0] > 0);
	assert_int_equal(e->qos, 1);
	(void)pthread_mutex_lock(&b->lock);
	bool refuse = b->refuse;
	b->refusals += refuse;
	if (!refuse) {
		b->n++;
		copy(b->payload, TEXT, e->payload);
		copy(b->type, TEXT, e->type);
		copy(b->source, TEXT, e->source);
		copy(b->topic, TEXT, e->topic);
		copy(b->name, sizeof(b->name), e->cursor_name);
		copy(b->cursor, sizeof(b->cursor), e->cursor);
		b->attrs[0] = '\0';
		for (uint32_t i = 0; i < e->nattrs; i++)
			(void)snprintf(
				b->attrs + strlen(b->attrs), TEXT - strlen(b->attrs), "%.*s=%.*s ",
				(int)e->attrs[i].name.len, (const char *)e->attrs[i].name.at,
				(int)e->attrs[i].value.len, (const char *)e->attrs[i].value.at);
	}
	(void)pthread_mutex_unlock(&b->lock);
	return refuse ? -E_LIMIT : 0;
}

/* One cursor is enough here. */
static size_t on_cursor(void *arg, struct span name, void *ret, size_t cap)
{
	struct bench *b = arg;
	(void)pthread_mutex_lock(&b->lock);
	size_t n = span_eq(name, b->name) ? strlen(b->cursor) : 0;
	memcpy(ret, b->cursor, n < cap ? n : cap);
	(void)pthread_mutex_unlock(&b->lock);
	return n;
}

static void on_forget(void *arg, struct span name)
{
	struct bench *b = arg;
	(void)pthread_mutex_lock(&b->lock);
	b->forgotten += span_eq(name, b->name);
	(void)pthread_mutex_unlock(&b->lock);
}

static struct trigger *timer_of(const char *kind)
{
	struct trigger *t = NULL;
	struct why why = { 0 };
	const struct timer_options o = { .ahead_ms = &ahead };
	const struct trigger_sink sink = {
		.event = on_event, .cursor = on_cursor, .forget = on_forget, .arg = &bench
	};
	if (timer_new(kind, &o, &sink, &t, &why) < 0)
		fail_msg("%s", why.text);
	return t;
}

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static int bind_as(struct trigger *t, uint32_t id, const char *filter, const char *options,
		   struct why *why)
{
	return t->ops->subscribe(t, &(struct trigger_route){ id, text(filter), text(options), 0 },
				 why);
}

static struct trigger *begin(const char *kind, const char *filter, const char *options)
{
	struct trigger *t = timer_of(kind);
	struct why why = { 0 };
	if (bind_as(t, 1, filter, options, &why) < 0)
		fail_msg("%s", why.text);
	t->ops->start(t);
	return t;
}

static unsigned count(void)
{
	(void)pthread_mutex_lock(&bench.lock);
	unsigned n = bench.n;
	(void)pthread_mutex_unlock(&bench.lock);
	return n;
}

static unsigned refusals(void)
{
	(void)pthread_mutex_lock(&bench.lock);
	unsigned n = bench.refusals;
	(void)pthread_mutex_unlock(&bench.lock);
	return n;
}

static void refuse(bool on)
{
	(void)pthread_mutex_lock(&bench.lock);
	bench.refuse = on;
	(void)pthread_mutex_unlock(&bench.lock);
}

static void rest(long ms)
{
	(void)nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 },
			NULL);
}

#define UNTIL(condition)                                                                           \
	do {                                                                                       \
		for (int ms_ = 0; !(condition); ms_++) {                                           \
			if (ms_ > WAIT_MS)                                                         \
				fail_msg("in vain: %s", #condition);                               \
			rest(1);                                                                   \
		}                                                                                  \
	} while (0)

static int64_t wall_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void start(struct trigger *t)
{
	struct why why;
	t->ops->start(t);
	UNTIL(t->ops->route_status(t, 1, &why)); /* it has begun */
}

/* The clock seems to be set, so that it shows `ms` behind 2026-03-29T12:MINUTE. */
static void set_clock(struct trigger *t, int minute, int64_t ms)
{
	atomic_store(&ahead, INT64_C(1774785600000) + (int64_t)minute * 60000 + ms - wall_ms());
	(void)bind_as(t, 99, strcmp(t->name, "cron") == 0 ? "0 0 1 1 *" : "300d", "", NULL);
	t->ops->unsubscribe(t, 99); /* wakes its thread, as the kernel would */
}

static int setup(void **state)
{
	(void)state;
	bench = (struct bench){ .lock = PTHREAD_MUTEX_INITIALIZER };
	atomic_store(&ahead, 0);
	return 0;
}

/* ---- rules ---- */

static void an_event_says_when_it_was_to_be_how_late_it_is_and_what_was_missed(void **state)
{
	(void)state;
	struct trigger *t = begin("every", "20ms", "{\"missed\":\"all\"}");
	UNTIL(count() >= 5);
	t->ops->free(t);
	assert_string_equal(bench.type, "io.penstock.timer.fired");
	assert_string_equal(bench.source, "every");
	assert_string_equal(bench.topic, "20ms");
	assert_non_null(strstr(bench.payload, "{\"scheduled\":\"20"));
	assert_non_null(strstr(bench.payload, "Z\",\"late_ms\":"));
	assert_non_null(strstr(bench.attrs, "scheduled=20"));
	assert_non_null(strstr(bench.attrs, "Z late_ms="));
	assert_non_null(strstr(bench.attrs, " missed=0"));
	assert_string_equal(bench.name, "20ms {\"missed\":\"all\"}");
	assert_true(llabs(strtoll(bench.cursor, NULL, 10) - wall_ms()) < WAIT_MS);
}

static void what_makes_no_sense_is_refused(void **state)
{
	static const struct {
		const char *kind, *filter, *options, *says;
	} rows[] = {
		{ "every", "", "", "no time" },
		{ "every", "5", "", "a number and its unit" },
		{ "every", "0s", "", "it takes 1ms" },
		{ "every", "367d", "", "to 366d" },
		{ "every", "soon", "", "no time" },
		{ "every", "5s", "{\"zone\":\"UTC\"}", "no option" },
		{ "cron", "* * * *", "", "it takes five" },
		{ "cron", "0 0 L * *", "", "the last day" },
		{ "cron", "0 0 30 2 *", "", "never" },
		{ "cron", "* * * * *", "{\"zone\":\"Europe/Atlantis\"}", "tzdata" },
		{ "cron", "* * * * *", "{\"missed\":\"some\"}", "missed" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct why why = { 0 };
		struct trigger *t = timer_of(rows[i].kind);
		assert_int_equal(bind_as(t, 1, rows[i].filter, rows[i].options, &why), -E_INVALID);
		if (!strstr(why.text, rows[i].says))
			fail_msg("%s: %s", rows[i].filter, why.text);
		t->ops->free(t);
	}
}

static void a_calendar_timer_fires_when_the_clock_gets_there(void **state)
{
	(void)state;
	struct trigger *t = timer_of("cron");
	set_clock(t, 0, 500);
	assert_int_equal(bind_as(t, 1, "1 12 29 3 *", "{\"zone\":\"UTC\"}", NULL), 0);
	start(t);
	rest(50);
	assert_int_equal(count(), 0);
	set_clock(t, 0, 59900); /* put forward, to just before it */
	UNTIL(count() == 1);
	assert_non_null(strstr(bench.attrs, "scheduled=2026-03-29T12:01:00Z late_ms="));
	assert_string_equal(bench.cursor, "1774785660000");
	set_clock(t, 0, 59950); /* put back, to before it again */
	rest(150);
	assert_int_equal(count(), 1);
	t->ops->free(t);
}

static void a_clock_put_forward_over_runs_makes_up_for_what_the_policy_says(void **state)
{
	static const struct {
		const char *options;
		unsigned runs;
	} rows[] = { { "{\"missed\":\"once\",\"zone\":\"UTC\"}", 1 },
		     { "{\"missed\":\"all\",\"zone\":\"UTC\"}", 5 } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		(void)setup(state);
		struct trigger *t = timer_of("cron");
		set_clock(t, 0, 500);
		assert_int_equal(bind_as(t, 1, "*/2 * * * *", rows[i].options, NULL), 0);
		start(t);
		set_clock(t, 11, 30000);
		UNTIL(count() >= rows[i].runs);
		rest(50);
		assert_int_equal(count(), rows[i].runs);
		assert_non_null(strstr(bench.attrs, "scheduled=2026-03-29T12:10:00Z"));
		t->ops->free(t);
	}
}

static void a_restart_goes_on_where_the_last_run_was(void **state)
{
	(void)state;
	const char *options = "{\"missed\":\"all\",\"zone\":\"UTC\"}";
	struct trigger *t = timer_of("cron");
	set_clock(t, 0, 500);
	assert_int_equal(bind_as(t, 1, "* * * * *", options, NULL), 0);
	start(t);
	set_clock(t, 1, 100);
	UNTIL(count() == 1);
	t->ops->free(t);
	t = timer_of("cron");
	set_clock(t, 5, 100);
	assert_int_equal(bind_as(t, 1, "* * * * *", options, NULL), 0);
	start(t);
	UNTIL(count() == 5);
	rest(50);
	assert_int_equal(count(), 5);
	assert_string_equal(bench.cursor, "1774785900000");
	t->ops->unsubscribe(t, 1);
	assert_int_equal(bench.forgotten, 1);
	t->ops->free(t);
}

static void a_slow_timer_keeps_its_pace_over_restarts(void **state)
{
	(void)state;
	(void)snprintf(bench.name, sizeof(bench.name), "1h {\"missed\":\"once\"}");
	(void)snprintf(bench.cursor, sizeof(bench.cursor), "%lld",
		       (long long)(wall_ms() - 3600 * 1000 + 200));
	struct trigger *t = begin("every", "1h", "{\"missed\":\"once\"}");
	UNTIL(count() == 1); /* 0.2 s later, not an hour */
	assert_non_null(strstr(bench.attrs, "missed=0"));
	t->ops->free(t);
}

static void a_refused_run_is_said_and_comes_when_there_is_room(void **state)
{
	struct why why;
	(void)state;
	refuse(true);
	struct trigger *t = begin("every", "100ms", "{\"missed\":\"all\"}");
	UNTIL(refusals() >= 2);
	assert_false(t->ops->route_status(t, 1, &why));
	assert_non_null(strstr(why.text, "does not take"));
	refuse(false);
	UNTIL(count() >= 5); /* all that were due meanwhile */
	UNTIL(t->ops->route_status(t, 1, &why));
	t->ops->free(t);
}

static void many_timers_run_side_by_side(void **state)
{
	enum { MANY = 200 };
	struct trigger *t = timer_of("every");
	(void)state;
	for (uint32_t i = 1; i <= MANY; i++) {
		char filter[16];
		(void)snprintf(filter, sizeof(filter), "%ums", 10 + i % 7);
		assert_int_equal(bind_as(t, i, filter, "", NULL), 0);
	}
	start(t);
	UNTIL(count() >= 20 * MANY);
	for (uint32_t i = 1; i <= MANY; i++)
		t->ops->unsubscribe(t, i);
	rest(50);
	unsigned n = count();
	rest(50);
	assert_int_equal(count(), n);
	t->ops->free(t);
}

static void no_log(void *arg, const struct log_line *line)
{
	(void)arg;
	(void)line;
}

int main(void)
{
	const struct CMUnitTest rules[] = {
		cmocka_unit_test_setup(
			an_event_says_when_it_was_to_be_how_late_it_is_and_what_was_missed, setup),
		cmocka_unit_test_setup(what_makes_no_sense_is_refused, setup),
		cmocka_unit_test_setup(a_calendar_timer_fires_when_the_clock_gets_there, setup),
		cmocka_unit_test_setup(
			a_clock_put_forward_over_runs_makes_up_for_what_the_policy_says, setup),
		cmocka_unit_test_setup(a_restart_goes_on_where_the_last_run_was, setup),
		cmocka_unit_test_setup(a_slow_timer_keeps_its_pace_over_restarts, setup),
		cmocka_unit_test_setup(a_refused_run_is_said_and_comes_when_there_is_room, setup),
		cmocka_unit_test_setup(many_timers_run_side_by_side, setup),
	};
	log_set_sink(no_log, NULL);
	return cmocka_run_group_tests(rules, NULL, NULL);
}
