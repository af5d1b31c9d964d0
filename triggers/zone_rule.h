/* SPDX-License-Identifier: Apache-2.0 */
/* The rule at the end of a TZif file, "CET-1CEST,M3.5.0,M10.5.0/3": POSIX's TZ with RFC 8536's longer times. */
#ifndef TRIGGERS_ZONE_RULE_H
#define TRIGGERS_ZONE_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rd.h"

enum zone_date_kind {
	DATE_JULIAN,
	DATE_YEARDAY,
	DATE_WEEKDAY
}; /* J60 (never Feb 29), 60, M3.5.0 */

struct zone_date {
	enum zone_date_kind kind;
	unsigned day; /* of the year, or of the week */
	unsigned month, week;
	int32_t seconds; /* of that day, local time */
};

struct zone_rule {
	int32_t standard, summer; /* ahead of UTC */
	bool has_summer;
	struct zone_date begin, end;
};

/* -E_INVALID */
int zone_rule_parse(struct span text, struct zone_rule *ret) MUST_USE;
/* When summer time begins and ends in that year, in UTC. */
void zone_rule_year(const struct zone_rule *r, int64_t year, int64_t *ret_begin, int64_t *ret_end);

#endif
