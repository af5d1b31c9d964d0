/* SPDX-License-Identifier: Apache-2.0 */
/*
 * So that a flood of bad messages is no flood of log lines: at most `burst` per second, and the
 * next line that passes says how many did not. Safe from any thread.
 */
#ifndef TRIGGERS_LIMITER_H
#define TRIGGERS_LIMITER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct limiter { /* all zero at first */
	_Atomic uint64_t second;
	atomic_uint passed; /* in that second */
	_Atomic uint64_t held_back;
};

/* May this line be written? *ret_held_back: how many were not since the last one that was. */
bool limiter_pass(struct limiter *l, unsigned burst, uint64_t *ret_held_back);

#endif
