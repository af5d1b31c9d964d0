/* SPDX-License-Identifier: Apache-2.0 */
/* Which runs are reported, when, and what becomes of those that were missed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "triggers/schedule.h"

enum { S = 1000, MIN = 60 * S, HOUR = 60 * MIN };
#define NOON (INT64_C(1774785600) * S) /* 2026-03-29T12:00:00Z */
#define DAY  ((int64_t)24 * HOUR)

static struct zone *utc;

static int setup(void **state)
{
	(void)state;
	return zone_open("", "UTC", &utc, NULL);
}

static int teardown(void **state)
{
	(void)state;
	zone_free(utc);
	return 0;
}

static struct schedule every(uint64_t ms, enum schedule_missed missed)
{
	return (struct schedule){ .every_ms = ms, .missed = missed, .chance = 1 };
}

static struct schedule cron(const char *text, enum schedule_missed missed)
{
	struct schedule s = { .zone = utc, .missed = missed, .chance = 1 };
	assert_int_equal(cron_parse(text, &s.cron, NULL), 0);
	return s;
}

/* All that is due at `now`: how many; the first, the last, and what the first had left out. */
struct seen {
	unsigned n;
	int64_t first, last;
	uint64_t omitted;
};

static struct seen look(struct schedule *s, int64_t now)
{
	struct seen seen = { 0 };
	struct schedule_run r;
	while (schedule_take(s, now, &r)) {
		if (seen.n++ == 0) {
			seen.first = r.due;
			seen.omitted = r.omitted;
		} else {
			assert_true(r.due > seen.last);
			assert_true(r.omitted == 0);
		}
		assert_true(r.due <= now);
		assert_true(r.late_ms == (uint64_t)(now - r.due));
		seen.last = r.due;
		schedule_done(s, &r);
	}
	return seen;
}

/* ---- rules ---- */

static void runs_come_at_their_time_and_not_before(void **state)
{
	(void)state;
	struct schedule e = every(5 * S, MISSED_SKIP), c = cron("*/5 * * * *", MISSED_SKIP);
	schedule_begin(&e, 7, NULL);
	schedule_begin(&c, NOON + 1, NULL);
	for (int64_t i = 1; i < 100; i++) {
		assert_true(schedule_at(&e) == 7 + i * 5 * S);
		assert_int_equal(look(&e, 7 + i * 5 * S - 1).n, 0);
		struct seen one = look(&e, 7 + i * 5 * S + 3);
		assert_int_equal(one.n, 1);
		assert_true(one.last == 7 + i * 5 * S);
		assert_true(schedule_at(&c) == NOON + i * 5 * MIN);
		assert_int_equal(look(&c, NOON + i * 5 * MIN - 1).n, 0);
		assert_int_equal(look(&c, NOON + i * 5 * MIN).n, 1);
		assert_int_equal(look(&c, NOON + i * 5 * MIN).n, 0);
	}
}

static void what_was_missed_while_off_goes_by_policy(void **state)
{
	static const struct {
		enum schedule_missed policy;
		unsigned off, runs; /* so many runs were missed; so many come at the start */
		uint64_t omitted;   /* in the first of these, or where there is none in the next */
	} rows[] = {
		{ MISSED_SKIP, 0, 0, 0 },         { MISSED_SKIP, 1, 0, 1 },
		{ MISSED_SKIP, 5000, 0, 5000 },   { MISSED_ONCE, 0, 0, 0 },
		{ MISSED_ONCE, 1, 1, 0 },         { MISSED_ONCE, 5000, 1, 4999 },
		{ MISSED_ALL, 0, 0, 0 },          { MISSED_ALL, 1, 1, 0 },
		{ MISSED_ALL, 1000, 1000, 0 },    { MISSED_ALL, 1001, 1000, 1 },
		{ MISSED_ALL, 5000, 1000, 4000 },
	};
	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		const size_t k = i / 2;
		struct schedule s =
			i % 2 ? every(MIN, rows[k].policy) : cron("* * * * *", rows[k].policy);
		int64_t last = NOON, now = NOON + (int64_t)rows[k].off * MIN + 30 * S;
		schedule_begin(&s, now, &last);
		struct seen all = look(&s, now);
		assert_int_equal(all.n, rows[k].runs);
		if (all.n > 0)
			assert_true(all.last == NOON + (int64_t)rows[k].off * MIN);
		struct seen next = look(&s, now + 30 * S);
		assert_int_equal(next.n, 1);
		assert_true(next.last == now + 30 * S);
		assert_true((all.n ? all.omitted : next.omitted) == rows[k].omitted);
		assert_true(all.n == 0 || next.omitted == 0);
	}
}

static void a_run_that_is_late_is_not_missed(void **state)
{
	(void)state;
	struct schedule c = cron("0 12 * * *", MISSED_SKIP), e = every(10, MISSED_SKIP);
	schedule_begin(&c, NOON - HOUR, NULL);
	assert_int_equal(look(&c, NOON + 59 * S).n, 1); /* the clock was put forward a little */
	assert_int_equal(look(&c, NOON + 59 * S).n, 0);
	schedule_begin(&e, 0, NULL);
	struct seen one = look(&e, 10 * 1000 + 5); /* the machine was busy */
	assert_int_equal(one.n, 1);
	assert_true(one.last == 10 * 1000);
	assert_true(one.omitted == 999);
}

static void a_clock_put_forward_over_runs_goes_by_policy(void **state)
{
	static const struct {
		enum schedule_missed policy;
		unsigned runs;
	} rows[] = { { MISSED_SKIP, 0 }, { MISSED_ONCE, 1 }, { MISSED_ALL, 5 } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct schedule s = cron("0 * * * *", rows[i].policy);
		schedule_begin(&s, NOON + 1, NULL);
		assert_int_equal(look(&s, NOON + 5 * HOUR + 10 * MIN).n, rows[i].runs);
		assert_int_equal(look(&s, NOON + 6 * HOUR).n, 1);
	}
	/* By years: no storm, and no end of counting. */
	struct schedule s = cron("* * * * *", MISSED_ALL);
	schedule_begin(&s, 0, NULL); /* a board without a clock wakes in 1970 */
	struct seen all = look(&s, NOON);
	assert_int_equal(all.n, SCHEDULE_ALL_MOST);
	assert_true(all.omitted == 366 * 1440 - SCHEDULE_ALL_MOST);
	assert_true(all.last == NOON);
}

static void a_clock_put_back_doubles_nothing(void **state)
{
	static const struct {
		const char *cron;
		int64_t back;
		bool again; /* runs of that time come again */
	} rows[] = {
		{ "0 12 * * *", 1, false },
		{ "0 12 * * *", 30 * MIN, false },
		{ "0 12 * * *", 3 * HOUR - 1, false },
		{ "0 12 * * *", 4 * HOUR, true }, /* it was wrong before */
		{ "* * * * *", 1, false },
		{ "* * * * *", MIN, false },
		{ "* * * * *", 30 * MIN, true }, /* "every minute" stays that */
		{ "0 * * * *", 5 * HOUR, true },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct schedule s = cron(rows[i].cron, MISSED_ALL);
		schedule_begin(&s, NOON - S, NULL);
		assert_int_equal(look(&s, NOON).n, 1);
		unsigned runs = 0;
		for (int64_t now = NOON - rows[i].back; now <= NOON;
		     now += rows[i].back > MIN ? MIN : 1)
			runs += look(&s, now).n;
		assert_int_equal(rows[i].again, runs > 0);
		assert_true(schedule_at(&s) > NOON - MIN);
	}
}

static void a_cursor_of_the_future_counts_as_a_clock_put_back(void **state)
{
	(void)state;
	int64_t soon = NOON + HOUR, late = NOON + 1000 * DAY;
	struct schedule s = cron("30 12 * * *", MISSED_ALL);
	schedule_begin(&s, NOON, &soon); /* it ran at 13:00 by the clock that is right now */
	assert_int_equal(look(&s, NOON + 30 * MIN).n, 0);
	schedule_begin(&s, NOON, &late);
	assert_int_equal(look(&s, NOON).n, 0);
	assert_int_equal(look(&s, NOON + 30 * MIN).n, 1);
}

static void a_run_that_was_refused_comes_again_until_it_is_taken(void **state)
{
	(void)state;
	struct schedule s = cron("0 12 * * *", MISSED_SKIP);
	struct schedule_run r;
	schedule_begin(&s, NOON - S, NULL);
	for (int64_t i = 0; i < 5; i++) {
		assert_true(schedule_take(&s, NOON + i * HOUR, &r));
		assert_true(r.due == NOON);
		assert_true(r.late_ms == (uint64_t)i * HOUR);
	}
	schedule_done(&s, &r);
	assert_false(schedule_take(&s, NOON + 5 * HOUR, &r));
	assert_true(schedule_at(&s) == NOON + DAY);
}

static void jitter_spreads_runs_and_never_reaches_the_next(void **state)
{
	static const uint64_t jitters[] = { 1, 20 * S, HOUR, 24 * HOUR };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(jitters); i++) {
		struct schedule s = cron("* * * * *", MISSED_SKIP);
		int64_t least = INT64_MAX, most = 0;
		s.jitter_ms = jitters[i];
		schedule_begin(&s, NOON, NULL);
		for (int64_t k = 1; k < 500; k++) {
			int64_t later = schedule_at(&s) - (NOON + k * MIN);
			assert_true(later >= 0 && later < MIN && later <= (int64_t)jitters[i]);
			least = later < least ? later : least;
			most = later > most ? later : most;
			struct seen one = look(&s, schedule_at(&s));
			assert_int_equal(one.n, 1);
			assert_true(one.last == NOON + k * MIN);
			assert_true(one.omitted == 0);
		}
		int64_t room = jitters[i] < MIN ? (int64_t)jitters[i] : MIN - 1;
		assert_true(least <= room / 10);
		assert_true(most >= room - room / 10);
	}
}

static void other_rules_of_a_zone_count_from_then_on(void **state)
{
	struct zone *kolkata = NULL;
	(void)state;
	assert_int_equal(zone_open(ZONE_DIRECTORY, "Asia/Kolkata", &kolkata, NULL), 0);
	struct schedule s = cron("0 23 * * *", MISSED_SKIP);
	schedule_begin(&s, NOON, NULL);
	assert_true(schedule_at(&s) == NOON + 11 * (int64_t)HOUR);
	schedule_rezone(&s, kolkata);
	assert_true(schedule_at(&s) == NOON + 5 * (int64_t)HOUR + 30 * MIN);
	zone_free(kolkata);
}

static void what_never_comes_is_never_looked_for(void **state)
{
	(void)state;
	struct schedule s = cron("0 0 29 2 *", MISSED_ALL);
	s.cron.day = 0; /* which cron_parse refuses */
	schedule_begin(&s, NOON, NULL);
	assert_true(schedule_at(&s) == SCHEDULE_NEVER);
	assert_int_equal(look(&s, NOON + DAY).n, 0);
}

int main(void)
{
	const struct CMUnitTest rules[] = {
		cmocka_unit_test(runs_come_at_their_time_and_not_before),
		cmocka_unit_test(what_was_missed_while_off_goes_by_policy),
		cmocka_unit_test(a_run_that_is_late_is_not_missed),
		cmocka_unit_test(a_clock_put_forward_over_runs_goes_by_policy),
		cmocka_unit_test(a_clock_put_back_doubles_nothing),
		cmocka_unit_test(a_cursor_of_the_future_counts_as_a_clock_put_back),
		cmocka_unit_test(a_run_that_was_refused_comes_again_until_it_is_taken),
		cmocka_unit_test(jitter_spreads_runs_and_never_reaches_the_next),
		cmocka_unit_test(other_rules_of_a_zone_count_from_then_on),
		cmocka_unit_test(what_never_comes_is_never_looked_for),
	};
	return cmocka_run_group_tests(rules, setup, teardown);
}
