/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cron expressions: "minute hour day month weekday" with lists (1,15), ranges (1-5), steps (8-18/2, and of
 * all: a star, a slash, 10), names (mon, jan), or @hourly, @daily, @weekly, @monthly, @yearly. Where day and weekday are
 * both given either will do, as in crontab(5).
 *
 * Summer time. An expression whose minute or hour begins with a star goes by what the clock shows: it skips what
 * is skipped and repeats what is repeated, so that "every ten minutes" stays that. Of the others each local
 * time is met once a day: one that is skipped runs when the clock is put forward, one that comes twice
 * the first time.
 */
#ifndef TRIGGERS_CRON_H
#define TRIGGERS_CRON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/why.h"
#include "triggers/zone.h"

enum { CRON_TEXT_BYTES = 256, CRON_YEARS = 12 };

struct cron { /* a bit for each value that matches */
	uint64_t minute;
	uint32_t hour, day;
	uint16_t month;
	uint8_t weekday;
	bool any_day, any_weekday; /* it begins with a star: the other one decides */
	bool by_clock;             /* minute or hour does */
};

/* -E_INVALID: says which part, what is expected, and what to write instead. Also for what never comes. */
int cron_parse(const char *text, struct cron *ret, struct why *why) MUST_USE;

/* The first time behind `after`, both in seconds since 1970; -1: none in CRON_YEARS. */
int64_t cron_next(const struct cron *c, const struct zone *z, int64_t after);

#endif
