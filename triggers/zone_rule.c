/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/zone_rule.h"

#include <ctype.h>

#include "base/why.h"
#include "triggers/zone.h"

enum { DAY_S = 86400, HOUR_S = 3600, WEEK_LAST = 5, OFFSET_HOURS = 24, TIME_HOURS = 167 };

static bool take(struct rd *r, char c)
{
	if (r->err != 0 || r->left == 0 || *r->at != (uint8_t)c)
		return false;
	(void)rd_u8(r);
	return true;
}

static unsigned take_number(struct rd *r, unsigned least, unsigned most)
{
	unsigned n = 0, digits = 0;
	for (; rd_ok(r) && r->left > 0 && isdigit(*r->at) && digits < 4; digits++)
		n = n * 10 + (unsigned)(rd_u8(r) - '0');
	if (digits == 0 || n < least || n > most)
		rd_fail(r, -E_INVALID);
	return rd_ok(r) ? n : 0;
}

/* Three letters or more, or anything of that kind in <>. */
static void skip_name(struct rd *r)
{
	bool quoted = take(r, '<');
	unsigned n = 0;
	while (rd_ok(r) && r->left > 0 &&
	       (isalpha(*r->at) ||
		(quoted && (isdigit(*r->at) || *r->at == '+' || *r->at == '-')))) {
		(void)rd_u8(r);
		n++;
	}
	if (n < 3 || (quoted && !take(r, '>')))
		rd_fail(r, -E_INVALID);
}

/* [+-]hh[:mm[:ss]] */
static int32_t take_time(struct rd *r, unsigned most_hours)
{
	bool minus = take(r, '-');
	if (!minus)
		(void)take(r, '+');
	int32_t s = (int32_t)take_number(r, 0, most_hours) * HOUR_S;
	if (take(r, ':')) {
		s += (int32_t)take_number(r, 0, 59) * 60;
		if (take(r, ':'))
			s += (int32_t)take_number(r, 0, 59);
	}
	return minus ? -s : s;
}

static struct zone_date take_date(struct rd *r)
{
	struct zone_date d = { .kind = DATE_YEARDAY, .seconds = 2 * HOUR_S };
	if (!take(r, ','))
		rd_fail(r, -E_INVALID);
	if (take(r, 'M')) {
		d.kind = DATE_WEEKDAY;
		d.month = take_number(r, 1, 12);
		if (!take(r, '.'))
			rd_fail(r, -E_INVALID);
		d.week = take_number(r, 1, WEEK_LAST);
		if (!take(r, '.'))
			rd_fail(r, -E_INVALID);
		d.day = take_number(r, 0, 6);
	} else if (take(r, 'J')) {
		d.kind = DATE_JULIAN;
		d.day = take_number(r, 1, 365);
	} else {
		d.day = take_number(r, 0, 365);
	}
	if (take(r, '/'))
		d.seconds = take_time(r, TIME_HOURS);
	return d;
}

int zone_rule_parse(struct span text, struct zone_rule *ret)
{
	struct rd r = rd_from(text.at, text.len);
	*ret = (struct zone_rule){ 0 };
	skip_name(&r);
	ret->standard = -take_time(&r, OFFSET_HOURS); /* POSIX counts to the west */
	if (rd_ok(&r) && r.left > 0) {
		ret->has_summer = true;
		skip_name(&r);
		ret->summer = r.left > 0 && *r.at != ',' ? -take_time(&r, OFFSET_HOURS)
							 : ret->standard + HOUR_S;
		ret->begin = take_date(&r);
		ret->end = take_date(&r);
	}
	return rd_done(&r) ? 0 : -E_INVALID;
}

static int64_t day_of(const struct zone_date *d, int64_t year)
{
	int64_t first = zone_days(year, 1, 1);
	if (d->kind == DATE_YEARDAY)
		return first + d->day;
	if (d->kind == DATE_JULIAN) {
		bool leap = zone_month_days(year, 2) == 29;
		return first + d->day - 1 + (leap && d->day >= 60);
	}
	first = zone_days(year, d->month, 1);
	unsigned ahead = (d->day + 7 - zone_day_of(first).weekday) % 7;
	unsigned in_month = ahead + 7 * (d->week - 1);
	if (in_month >= zone_month_days(year, d->month))
		in_month -= 7; /* the fifth is the last */
	return first + in_month;
}

void zone_rule_year(const struct zone_rule *r, int64_t year, int64_t *ret_begin, int64_t *ret_end)
{
	*ret_begin = day_of(&r->begin, year) * DAY_S + r->begin.seconds - r->standard;
	*ret_end = day_of(&r->end, year) * DAY_S + r->end.seconds - r->summer;
}
