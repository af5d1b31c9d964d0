/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "gateway/rollout.h"

static void about_percent_of_the_events_are_picked_and_the_same_ones_again(void **state)
{
	(void)state;
	for (unsigned percent = 1; percent <= 100; percent += 33) {
		unsigned n = 0;
		for (uint64_t id = UINT64_C(1) << 60; id < (UINT64_C(1) << 60) + 100000; id++) {
			n += rollout_picks(id, percent);
			assert_true(rollout_picks(id, percent) == rollout_picks(id, percent));
		}
		assert_in_range(n, percent * 1000 - 500, percent * 1000 + 500);
	}
	/* every tenth number, as of ten sensors in turn, is no pattern either */
	unsigned n = 0;
	for (uint64_t id = 0; id < 1000000; id += 10)
		n += rollout_picks(id, 10);
	assert_in_range(n, 9500, 10500);
}

static void a_candidate_is_worse_when_chance_does_not_explain_it(void **state)
{
	static const struct {
		struct rollout_counts active, candidate;
		const char *says; /* NULL: it goes on */
	} rows[] = {
		{ { 1000, 0, 0, 0, 0 }, { 4, 4, 0, 0, 0 }, NULL },
		{ { 1000, 0, 0, 0, 0 }, { 5, 5, 0, 0, 0 }, "5 of its 5 events failed" },
		{ { 1000, 1000, 0, 0, 0 }, { 500, 500, 0, 0, 0 }, NULL }, /* no worse than it was */
		{ { 1000, 0, 0, 0, 0 }, { 100, 24, 0, 0, 0 }, NULL },
		{ { 1000, 0, 0, 0, 0 }, { 100, 26, 0, 0, 0 }, "(active version: 0.0 %)" },
		{ { 1000, 100, 0, 0, 0 }, { 100, 26, 0, 0, 0 }, NULL },
		{ { 1000, 0, 0, 0, 0 }, { 100, 0, 26, 0, 0 }, "missed their deadline" },
		{ { 1000, 0, 0, 0, 0 }, { 100, 0, 0, 5, 5 }, "other effects" },
		{ { 1000, 0, 0, 0, 0 }, { 100, 0, 0, 100, 3 }, NULL },
		{ { 0, 0, 0, 0, 0 }, { 0, 0, 0, 0, 0 }, NULL },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char reason[128] = "";
		bool worse = rollout_is_worse(&rows[i].active, &rows[i].candidate, reason,
					      sizeof(reason));
		if (worse != (rows[i].says != NULL) || (worse && !strstr(reason, rows[i].says)))
			fail_msg("row %zu: %s \"%s\"", i, worse ? "worse" : "not worse", reason);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(about_percent_of_the_events_are_picked_and_the_same_ones_again),
		cmocka_unit_test(a_candidate_is_worse_when_chance_does_not_explain_it),
	};
	return cmocka_run_group_tests_name("rollout", tests, NULL, NULL);
}
