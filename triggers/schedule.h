/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a timer runs: every so often, or by a cron expression; what becomes of runs that were missed; jitter. No
 * clock and no thread in here: who calls says what time it is, in milliseconds of CLOCK_MONOTONIC (every)
 * or since 1970 (cron).
 *
 * A run is missed when its time came while nobody looked: the gateway was off, or the clock was set over it. By
 * policy none, the newest or all of them are made up for, of all at most SCHEDULE_ALL_MOST, the newest; what
 * is not made up for is counted in the next run. A run that the machine was too slow for, or that
 * came within a minute of its time, is not missed but late.
 *
 * The wall clock set back: no run comes twice. Only if the step is so large that waiting would be wrong
 * (three hours; one minute for expressions that go by the clock, see cron.h) do runs follow the new time.
 */
#ifndef TRIGGERS_SCHEDULE_H
#define TRIGGERS_SCHEDULE_H

#include "triggers/cron.h"

enum {
	SCHEDULE_ALL_MOST = 1000,
	SCHEDULE_GRACE_MS = 60 * 1000,
	SCHEDULE_BACK_MS = 3 * 3600 * 1000,
};
/* Missed runs are counted this far back. */
#define SCHEDULE_COUNTED_MS (INT64_C(366) * 86400 * 1000)
#define SCHEDULE_NEVER      INT64_MAX

enum schedule_missed { MISSED_SKIP, MISSED_ONCE, MISSED_ALL };

struct schedule {
	/* Set by who makes it. */
	uint64_t every_ms; /* 0: by cron and zone */
	struct cron cron;
	const struct zone *zone;
	enum schedule_missed missed;
	uint64_t jitter_ms;
	uint64_t chance; /* not 0: where the jitter begins */

	/* schedule.c's */
	int64_t last;     /* up to here every run was reported or counted */
	int64_t due, at;  /* the next run, and when it is reported: later by its jitter */
	uint64_t omitted; /* runs that were not made up for and not told yet */
	unsigned left;    /* of those that are being made up for */
	bool was_off;     /* what is due became so while nobody looked */
	bool pending;     /* a run was taken, and is not done */
};

struct schedule_run {
	int64_t due;
	uint64_t late_ms;
	uint64_t omitted; /* runs before this one that did not happen */
};

/* last: up to where it went in an earlier run of the gateway; NULL: it begins now. */
void schedule_begin(struct schedule *s, int64_t now, const int64_t *last);
/* The rules of its zone are others now. */
void schedule_rezone(struct schedule *s, const struct zone *zone);
/* When to look again; in the past: at once. */
int64_t schedule_at(const struct schedule *s);
/* Is there a run now? The same one again until it is done. */
bool schedule_take(struct schedule *s, int64_t now, struct schedule_run *ret);
void schedule_done(struct schedule *s, const struct schedule_run *r);

#endif
