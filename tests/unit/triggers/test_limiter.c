/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "triggers/limiter.h"

static void what_is_held_back_is_told_by_the_next_that_passes(void **state)
{
	struct limiter l = { 0 };
	unsigned passed = 0;
	uint64_t held_back = 0;
	(void)state;
	for (int i = 0; i < 100; i++)
		passed += limiter_pass(&l, 3, &held_back);
	assert_in_range(passed, 3, 6); /* a second may have ended in between */
	assert_true(held_back == 0 || passed > 3);
	(void)nanosleep(&(struct timespec){ .tv_sec = 1, .tv_nsec = 10000000 }, NULL);
	assert_true(limiter_pass(&l, 3, &held_back));
	assert_in_range(held_back, 1, 97);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_held_back_is_told_by_the_next_that_passes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
