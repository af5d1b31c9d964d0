/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time zones out of the TZ database (TZif, RFC 8536, version 2 and up with the rule at its end), for a process
 * with threads: no environment, no state of the C library. A zone that was read does not change by itself.
 */
#ifndef TRIGGERS_ZONE_H
#define TRIGGERS_ZONE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rd.h"
#include "base/why.h"

enum { ZONE_NAME_BYTES = 64, ZONE_FILE_BYTES = 128 * 1024 };

#define ZONE_DIRECTORY "/usr/share/zoneinfo"

struct zone;

/* "Europe/Berlin"; "" = the system's (TZ where that names a zone, else /etc/localtime, else UTC). directory:
 * where they lie. -E_INVALID: no such zone, or a file that is none; -ENOMEM */
int zone_open(const char *directory, const char *name, struct zone **ret, struct why *why) MUST_USE;
int zone_parse(struct span file, struct zone **ret, struct why *why) MUST_USE;
void zone_free(struct zone *z);
/* Is there another file now where it was read from? Zones change by law, and packages with them. */
bool zone_changed(const struct zone *z);

/* How far local time is ahead of UTC, and from when until when that is so. Seconds, seconds since 1970. */
struct zone_span {
	int64_t from, until; /* until is the next one's from; INT64_MIN and INT64_MAX: for ever */
	int32_t offset;
	int32_t before; /* before `from` */
};
void zone_at(const struct zone *z, int64_t when, struct zone_span *ret);

/* The calendar (proleptic Gregorian): days since 1970-01-01, and back. month 1..12, day 1..31 */
struct zone_day {
	int64_t year;
	unsigned month, day, weekday; /* 0 = Sunday */
};
int64_t zone_days(int64_t year, unsigned month, unsigned day);
struct zone_day zone_day_of(int64_t days);
unsigned zone_month_days(int64_t year, unsigned month);

#endif
