/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers: again and again ("every", on a clock that is not set), and by the calendar ("cron", on the wall clock).
 * triggers/schedule.h says what becomes of missed runs and of a clock that is set.
 *
 * An event of type io.penstock.timer.fired has attributes scheduled (RFC 3339, UTC), late_ms and missed (runs
 * before it that did not happen), and the same as a JSON object for its payload. Up to where a timer went is kept
 * over restarts, in one transaction with its event; but not of one that is faster than once a minute and
 * makes up for nothing: it begins anew with the gateway.
 */
#ifndef TRIGGERS_TIMER_H
#define TRIGGERS_TIMER_H

#include <stdatomic.h>

#include "triggers/trigger.h"

struct timer_options {
	const char *zones; /* where time zones lie; NULL: ZONE_DIRECTORY */
	/* For tests: how far the wall clock seems to be ahead. NULL: it is right. */
	const _Atomic int64_t *ahead_ms;
};

/* kind: "every" or "cron"; o is borrowed for the call. -ENOMEM, -errno */
int timer_new(const char *kind, const struct timer_options *o, const struct trigger_sink *sink,
	      struct trigger **ret, struct why *why) MUST_USE;

#endif
