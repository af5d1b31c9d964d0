/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "gateway/metrics.h"

static void every_time_is_in_the_bucket_that_ends_at_or_after_it(void **state)
{
	(void)state;
	for (uint64_t ns = 1; ns < UINT64_C(1) << 45; ns += 1 + ns / 7) {
		struct histogram h = { 0 };
		histogram_add(&h, ns);
		uint64_t end = histogram_quantile(&h, 1);
		assert_true(end >= ns);
		assert_true(ns < 128 || ns > UINT64_C(1) << 38 || end <= ns + ns / 4 + 1);
	}
	for (unsigned i = 1; i < HISTOGRAM_BUCKETS; i++)
		assert_true(histogram_bound(i) > histogram_bound(i - 1));
}

static void quantiles_are_those_of_what_was_added(void **state)
{
	struct histogram h = { 0 };
	(void)state;
	assert_int_equal(histogram_quantile(&h, 0.5), 0);
	for (uint64_t us = 1; us <= 1000; us++)
		histogram_add(&h, us * 1000);
	assert_int_equal(histogram_count(&h), 1000);
	assert_in_range(histogram_quantile(&h, 0.5), 500000, 625000);
	assert_in_range(histogram_quantile(&h, 0.99), 990000, 1240000);
}

static struct ipc_result result(uint32_t status, uint64_t run_us, uint32_t memory)
{
	return (struct ipc_result){ .status = status,
				    .queue_ns = 10000,
				    .instantiate_ns = 1000,
				    .run_ns = run_us * 1000,
				    .cpu_ns = run_us * 1000,
				    .memory_bytes = memory };
}

static void an_answer_is_counted_by_outcome_and_stage(void **state)
{
	static struct metrics m;
	struct ipc_result r = result(IPC_OK, 100, 65536);
	(void)state;
	memset(&m, 0, sizeof(m));
	metrics_result(&m, &r, 5000, false);
	r = result(IPC_TRAPPED, 300, 131072);
	metrics_result(&m, &r, 5000, true);
	r = result(IPC_REFUSED, 0, 0); /* it did not run: no times of it */
	metrics_result(&m, &r, 5000, false);
	metrics_refused(&m, REFUSE_DEADLINE);
	json_t *j = metrics_json(&m);
	int ok = 0, trapped = 0, refused = 0, late = 0, memory = 0, deadline = 0, runs = 0;
	double cpu_s = 0, p99 = 0;
	assert_int_equal(json_unpack(j, "{s:{s:i, s:i, s:i}, s:i, s:i, s:{s:i}, s:f, s:{s:i, s:f}}",
				     "outcomes", "ok", &ok, "trapped", &trapped, "refused",
				     &refused, "deadline_misses", &late, "memory_bytes", &memory,
				     "refused", "deadline", &deadline, "cpu_s", &cpu_s, "run",
				     "count", &runs, "p99_us", &p99),
			 0);
	assert_int_equal(ok, 1);
	assert_int_equal(trapped, 1);
	assert_int_equal(refused, 1);
	assert_int_equal(late, 1);
	assert_int_equal(memory, 131072);
	assert_int_equal(deadline, 1);
	assert_int_equal(runs, 2);
	assert_true(cpu_s > 0.00039 && cpu_s < 0.00041 && p99 >= 300 && p99 <= 376);
	json_decref(j);
}

/* Each line "name{labels} value", buckets that only grow, the last one the count. */
static void the_text_is_what_prometheus_reads(void **state)
{
	static struct metrics m;
	static char text[64 << 10];
	struct wr w = wr_into(text, sizeof(text) - 1);
	const struct ipc_result r = result(IPC_OK, 100, 65536);
	(void)state;
	memset(&m, 0, sizeof(m));
	for (int i = 0; i < 3; i++)
		metrics_result(&m, &r, 0, false);
	for (unsigned g = 0; g < METRICS_TEXT_GROUPS; g++) {
		metrics_text_head(&w, g);
		metrics_text(&w, g, "f-1", &m);
	}
	assert_true(wr_ok(&w));
	text[w.len] = '\0';
	assert_non_null(strstr(
		text, "penstock_function_events_total{function=\"f-1\",outcome=\"ok\"} 3\n"));
	assert_non_null(strstr(text, "# TYPE penstock_function_seconds histogram\n"));
	assert_non_null(strstr(text, "stage=\"run\",le=\"+Inf\"} 3\n"));
	assert_non_null(strstr(
		text, "penstock_function_seconds_count{function=\"f-1\",stage=\"run\"} 3\n"));
	uint64_t last = 0;
	const char *at = text;
	while ((at = strstr(at, "_bucket{function=\"f-1\",stage=\"run\"")) != NULL) {
		at = strchr(at, '}') + 2;
		uint64_t n = strtoull(at, NULL, 10);
		assert_true(n >= last);
		last = n;
	}
	assert_int_equal(last, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_time_is_in_the_bucket_that_ends_at_or_after_it),
		cmocka_unit_test(quantiles_are_those_of_what_was_added),
		cmocka_unit_test(an_answer_is_counted_by_outcome_and_stage),
		cmocka_unit_test(the_text_is_what_prometheus_reads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
