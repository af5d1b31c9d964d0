/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/limiter.h"

#include <time.h>

bool limiter_pass(struct limiter *l, unsigned burst, uint64_t *ret_held_back)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	uint64_t second = (uint64_t)now.tv_sec + 1; /* never the 0 of a fresh limiter */
	if (atomic_exchange(&l->second, second) != second)
		atomic_store(&l->passed, 0);
	if (atomic_fetch_add(&l->passed, 1) >= burst) {
		atomic_fetch_add(&l->held_back, 1);
		return false;
	}
	*ret_held_back = atomic_exchange(&l->held_back, 0);
	return true;
}
