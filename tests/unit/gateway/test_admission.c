/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "base/why.h"
#include "gateway/admission.h"

#define MS    UINT64_C(1000000)
#define START (UINT64_C(5000000000) * 1000)

struct bench {
	struct admission a;
	struct admission_estimate slow, quick;
	uint64_t now_ns;
};

static void bench_init(struct bench *b)
{
	memset(b, 0, sizeof(*b));
	b->a.workers = 1;
	b->now_ns = START;
	for (int i = 0; i < 50; i++) {
		admission_learn(&b->slow, 100 * MS);
		admission_learn(&b->quick, 1 * MS);
	}
}

static enum refusal ask(struct bench *b, struct admission_estimate *e, uint64_t deadline_ms,
			enum criticality criticality)
{
	const struct admission_wish w = { .now_ns = b->now_ns,
					  .deadline_ns = b->now_ns + deadline_ms * MS,
					  .criticality = criticality,
					  .queue_events = 1000 };
	uint64_t cost = 0;
	enum refusal r = admission_check(&b->a, e, &w, &cost);
	if (r == ADMITTED)
		(void)admission_charge(&b->a, b->now_ns, w.deadline_ns, cost);
	return r;
}

static void what_cannot_be_in_time_is_refused(void **state)
{
	struct bench b;
	(void)state;
	bench_init(&b);
	int taken = 0;
	while (ask(&b, &b.slow, 1000, CRITICALITY_NORMAL) == ADMITTED)
		taken++;
	assert_in_range(taken, 6, 9); /* of 100 ms each, in a second, with room */
	assert_int_equal(ask(&b, &b.slow, 1000, CRITICALITY_NORMAL), REFUSE_DEADLINE);
	assert_int_equal(ask(&b, &b.slow, 5000, CRITICALITY_NORMAL), ADMITTED);
}

static void what_is_due_later_does_not_count(void **state)
{
	static const uint64_t later_ms[] = { 100, 2500, 8000, 50000, 600000 };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(later_ms); i++) {
		struct bench b;
		bench_init(&b);
		for (int k = 0; k < 400; k++)
			(void)admission_charge(&b.a, b.now_ns, b.now_ns + later_ms[i] * MS,
					       1000 * MS);
		assert_int_equal(ask(&b, &b.quick, 10, CRITICALITY_NORMAL), ADMITTED);
		assert_int_equal(ask(&b, &b.quick, later_ms[i] + 600, CRITICALITY_NORMAL),
				 later_ms[i] > 300000 ? ADMITTED : REFUSE_DEADLINE);
	}
}

static void less_critical_events_give_way_first(void **state)
{
	int taken[CRITICALITIES] = { 0 };
	(void)state;
	for (int c = 0; c < CRITICALITIES; c++) {
		struct bench b;
		bench_init(&b);
		while (ask(&b, &b.slow, 5000, (enum criticality)c) == ADMITTED)
			taken[c]++;
	}
	assert_true(taken[CRITICALITY_LOW] < taken[CRITICALITY_NORMAL]);
	assert_true(taken[CRITICALITY_NORMAL] < taken[CRITICALITY_HIGH]);
	assert_true(taken[CRITICALITY_HIGH] <= 50);
}

static void the_queue_is_kept_for_the_critical(void **state)
{
	static const struct {
		unsigned queued;
		enum refusal low, normal, high;
	} row[] = {
		{ 499, ADMITTED, ADMITTED, ADMITTED },
		{ 500, REFUSE_SHARE, ADMITTED, ADMITTED },
		{ 900, REFUSE_SHARE, REFUSE_SHARE, ADMITTED },
		{ 1000, REFUSE_SHARE, REFUSE_SHARE, REFUSE_FULL },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct bench b;
		uint64_t cost;
		bench_init(&b);
		struct admission_wish w = { .now_ns = START,
					    .deadline_ns = START + 1000 * MS,
					    .queued = row[i].queued,
					    .queue_events = 1000 };
		w.criticality = CRITICALITY_LOW;
		assert_int_equal(admission_check(&b.a, &b.quick, &w, &cost), row[i].low);
		w.criticality = CRITICALITY_NORMAL;
		assert_int_equal(admission_check(&b.a, &b.quick, &w, &cost), row[i].normal);
		w.criticality = CRITICALITY_HIGH;
		assert_int_equal(admission_check(&b.a, &b.quick, &w, &cost), row[i].high);
	}
}

/* A function that only says that it is in a hurry, and burns. */
static void those_in_a_hurry_leave_a_fifth_to_the_others(void **state)
{
	struct bench b;
	uint64_t cost, hurried_ns = 0;
	unsigned refused = 0, taken_patient = 0;
	(void)state;
	bench_init(&b);
	for (int i = 0; i < 10000; i++) { /* ten seconds; 5 ms of work each millisecond */
		uint64_t now = START + (uint64_t)i * MS;
		struct admission_estimate burner = { .run_ns = 5 * MS };
		struct admission_wish w = { .now_ns = now,
					    .deadline_ns = now + 10 * MS,
					    .hurried = true,
					    .queue_events = 1000 };
		b.a.all_ns = 0; /* all of it is done at once */
		if (admission_check(&b.a, &burner, &w, &cost) == ADMITTED)
			hurried_ns += cost;
		else
			refused++;
		w.hurried = false;
		w.deadline_ns = now + 3000 * MS;
		b.a.all_ns = 100 * MS;
		taken_patient += admission_check(&b.a, &b.quick, &w, &cost) == ADMITTED;
	}
	assert_in_range(hurried_ns / MS, 7900, 8400);
	assert_true(refused > 8000);
	assert_true(taken_patient > 9900);
}

static void no_more_events_per_second_than_allowed(void **state)
{
	struct bench b;
	uint64_t cost;
	unsigned taken = 0;
	(void)state;
	bench_init(&b);
	for (int i = 0; i < 10000; i++) { /* ten seconds, a thousand a second */
		const struct admission_wish w = { .now_ns = START + (uint64_t)i * MS,
						  .deadline_ns = START + 60000 * MS,
						  .events_per_s = 100,
						  .queue_events = 1000 };
		enum refusal r = admission_check(&b.a, &b.quick, &w, &cost);
		assert_true(r == ADMITTED || r == REFUSE_RATE);
		taken += r == ADMITTED;
	}
	assert_in_range(taken, 1000, 1030);
}

static void an_unknown_run_time_or_an_idle_gateway_refuses_nothing(void **state)
{
	struct bench b;
	struct admission_estimate unknown = { 0 };
	(void)state;
	bench_init(&b);
	assert_int_equal(ask(&b, &b.slow, 1, CRITICALITY_LOW), ADMITTED); /* may be quicker today */
	assert_int_equal(ask(&b, &unknown, 1, CRITICALITY_LOW), ADMITTED);
	assert_int_equal(ask(&b, &b.slow, 1, CRITICALITY_LOW), REFUSE_DEADLINE);
}

static void what_ends_is_not_before_anything_any_more(void **state)
{
	static const uint64_t ahead_ms[] = { 0, 1, 16, 17, 3000, 4000, 60000, 90000 };
	struct bench b;
	uint8_t ring[ARRAY_LEN(ahead_ms)];
	(void)state;
	bench_init(&b);
	for (size_t i = 0; i < ARRAY_LEN(ahead_ms); i++)
		ring[i] = admission_charge(&b.a, START, START + ahead_ms[i] * MS, (i + 1) * MS);
	assert_int_equal(admission_before_ns(&b.a, START, START + 100000 * MS), 36 * MS);
	assert_int_equal(admission_before_ns(&b.a, START, START + 40 * MS), 10 * MS);
	for (size_t i = 0; i < ARRAY_LEN(ahead_ms); i++)
		admission_discharge(&b.a, ring[i], START + ahead_ms[i] * MS, (i + 1) * MS);
	assert_int_equal(admission_before_ns(&b.a, START, START + 100000 * MS), 0);
	for (unsigned i = 0; i < ADMISSION_FINE; i++)
		assert_true(b.a.fine_ns[i] == 0 && b.a.coarse_ns[i] == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_in_time_is_refused),
		cmocka_unit_test(what_is_due_later_does_not_count),
		cmocka_unit_test(less_critical_events_give_way_first),
		cmocka_unit_test(the_queue_is_kept_for_the_critical),
		cmocka_unit_test(those_in_a_hurry_leave_a_fifth_to_the_others),
		cmocka_unit_test(no_more_events_per_second_than_allowed),
		cmocka_unit_test(an_unknown_run_time_or_an_idle_gateway_refuses_nothing),
		cmocka_unit_test(what_ends_is_not_before_anything_any_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
