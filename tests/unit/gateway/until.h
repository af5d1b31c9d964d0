/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting in tests that have a loop; include cmocka.h before. */
#ifndef TESTS_UNTIL_H
#define TESTS_UNTIL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

static void wake_up(uv_timer_t *t)
{
	(void)t;
}

/* Turns the loop until the condition holds; fails the test after WAIT_MS. */
#define UNTIL(w, condition)                                                                        \
	do {                                                                                       \
		uv_timer_t pulse_;                                                                 \
		(void)uv_timer_init(&(w)->loop, &pulse_);                                          \
		(void)uv_timer_start(&pulse_, wake_up, 1, 1);                                      \
		uint64_t end_ = uv_hrtime() + WAIT_MS * UINT64_C(1000000);                         \
		while (!(condition) && uv_hrtime() < end_)                                         \
			(void)uv_run(&(w)->loop, UV_RUN_ONCE);                                     \
		bool held_ = (condition);                                                          \
		uv_close((uv_handle_t *)&pulse_, NULL);                                            \
		(void)uv_run(&(w)->loop, UV_RUN_NOWAIT);                                           \
		if (!held_)                                                                        \
			fail_msg("not within %d ms: %s", WAIT_MS, #condition);                     \
	} while (0)

#endif
