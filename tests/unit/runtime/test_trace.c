/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/runtime/trace.h"

struct seen {
	uint64_t clocks[3];
	uint8_t random[2][70];
};

static struct seen look(struct trace *t, uint64_t now)
{
	struct seen s;
	s.clocks[0] = trace_clock(t, now);
	assert_int_equal(trace_random(t, s.random[0], sizeof(s.random[0])), 0);
	s.clocks[1] = trace_clock(t, now + 1);
	assert_int_equal(trace_random(t, s.random[1], sizeof(s.random[1])), 0);
	s.clocks[2] = trace_clock(t, now + 2);
	return s;
}

static struct span copy(const struct trace *t)
{
	static uint8_t bytes[IPC_TRACE_BYTES];
	const struct span s = trace_span(t);
	assert_true(s.len <= sizeof(bytes));
	memcpy(bytes, s.at, s.len);
	return (struct span){ bytes, s.len };
}

static void a_replay_sees_what_was_seen_and_another_event_does_not(void **state)
{
	struct trace t = { 0 };
	(void)state;
	const struct seen first = look(&t, 1000);
	assert_int_equal(first.clocks[2], 1002);
	assert_memory_not_equal(first.random[0], first.random[1], 70);
	const struct span kept = copy(&t);
	trace_reset(&t);
	const struct seen other = look(&t, 1000);
	assert_memory_not_equal(first.random[0], other.random[0], 70);
	trace_reset(&t);
	trace_replay(&t, kept);
	const struct seen again = look(&t, 5000);
	assert_memory_equal(&first, &again, sizeof(first));
	const struct span kept_again = trace_span(&t);
	assert_int_equal(kept_again.len, kept.len); /* so a replay can be replayed */
	assert_memory_equal(kept_again.at, kept.at, kept.len);
	trace_fini(&t);
}

static void a_replay_that_reads_more_gets_what_is_now(void **state)
{
	struct trace t = { 0 };
	(void)state;
	assert_int_equal(trace_clock(&t, 7), 7);
	const struct span kept = copy(&t);
	trace_reset(&t);
	trace_replay(&t, kept);
	assert_int_equal(trace_clock(&t, 100), 7);
	assert_int_equal(trace_clock(&t, 101), 101);
	trace_fini(&t);
}

static void a_trace_is_bounded_and_says_that_it_was_cut(void **state)
{
	struct trace t = { 0 };
	(void)state;
	for (uint64_t i = 0; i < 100000; i++)
		assert_int_equal(trace_clock(&t, i), i);
	const struct span s = trace_span(&t);
	assert_true(s.len <= IPC_TRACE_BYTES && t.cut);
	assert_int_equal(s.at[s.len - 1], 'X');
	trace_reset(&t);
	assert_int_equal(trace_span(&t).len, 0);
	trace_fini(&t);
}

static void any_bytes_as_a_trace_are_harmless(void **state)
{
	struct trace t = { 0 };
	uint8_t bytes[64], to[8];
	(void)state;
	srand(1);
	for (int round = 0; round < 2000; round++) {
		size_t n = (size_t)rand() % sizeof(bytes);
		for (size_t i = 0; i < n; i++)
			bytes[i] = rand() % 4 ? "CRX"[rand() % 3] : (uint8_t)rand();
		trace_reset(&t);
		trace_replay(&t, (struct span){ bytes, n });
		for (int i = 0; i < 12; i++) {
			(void)trace_clock(&t, 1);
			assert_int_equal(trace_random(&t, to, sizeof(to)), 0);
		}
	}
	trace_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_replay_sees_what_was_seen_and_another_event_does_not),
		cmocka_unit_test(a_replay_that_reads_more_gets_what_is_now),
		cmocka_unit_test(a_trace_is_bounded_and_says_that_it_was_cut),
		cmocka_unit_test(any_bytes_as_a_trace_are_harmless),
	};
	return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
