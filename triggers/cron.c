/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/cron.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { FIELDS = 5, DAY_MINUTES = 24 * 60, MINUTE_S = 60, YEAR_S = 366 * 86400, TOLD_BYTES = 20 };

/* ---- what people write ---- */

static const struct field {
	const char *name;
	unsigned least, most;
	const char *names; /* three letters each */
	unsigned first;    /* what the first of them means */
} fields[FIELDS] = {
	{ "minute", 0, 59, "", 0 },
	{ "hour", 0, 23, "", 0 },
	{ "day", 1, 31, "", 0 },
	{ "month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec", 1 },
	{ "weekday", 0, 7, "sunmontuewedthufrisat", 0 }, /* 7 is Sunday, too */
};

static const struct {
	const char *word, *meaning;
} words[] = {
	{ "@hourly", "0 * * * *" },   { "@daily", "0 0 * * *" },   { "@midnight", "0 0 * * *" },
	{ "@weekly", "0 0 * * 0" },   { "@monthly", "0 0 1 * *" }, { "@yearly", "0 0 1 1 *" },
	{ "@annually", "0 0 1 1 *" },
};

/* Of other programs' crons. */
static const struct {
	char sign;
	const char *meaning, *instead;
} unknown[] = {
	{ 'L', "the last day", "have it run on 28-31, and let the function look at the date" },
	{ 'W', "the nearest working day", "write weekdays: 1-5" },
	{ '#', "the n-th weekday of the month",
	  "have it run each week, and let the function look at the date" },
	{ '?', "any", "write *" },
	{ 'H', "any, but always the same", "write a number" },
};

struct reader {
	const char *text; /* all of it, for messages */
	const char *at;
	const struct field *field;
	struct why *why;
};

static int refuse(struct reader *r)
{
	size_t n = strcspn(r->at, " \t");
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
		const char *sign = memchr(r->at, unknown[i].sign, n);
		bool in_word = sign && isalpha((unsigned char)*sign) &&
			       ((sign > r->at && isalpha((unsigned char)sign[-1])) ||
				isalpha((unsigned char)sign[1]));
		if (sign && !in_word)
			return why_set(r->why, -E_UNSUPPORTED,
				       "cron \"%.100s\": %s: %c (%s) is not known here; %s",
				       r->text, r->field->name, unknown[i].sign, unknown[i].meaning,
				       unknown[i].instead);
	}
	return why_set(r->why, -E_INVALID,
		       "cron \"%.100s\": %s: \"%.*s\" is not understood; it takes %u to %u%s%s, "
		       "with lists (1,3), ranges (1-3) and steps (*/5)",
		       r->text, r->field->name, (int)(n < TOLD_BYTES ? n : TOLD_BYTES), r->at,
		       r->field->least, r->field->most,
		       r->field->names[0] ? " or names such as " : "",
		       r->field->names[0] == 'j'   ? "jan"
		       : r->field->names[0] == 's' ? "mon"
						   : "");
}

static bool take(struct reader *r, char c)
{
	if (*r->at != c)
		return false;
	r->at++;
	return true;
}

static bool take_name(struct reader *r, unsigned *ret)
{
	const struct field *f = r->field;
	for (unsigned i = 0; f->names[(size_t)i * 3] != '\0'; i++) {
		if (strncasecmp(r->at, f->names + (size_t)i * 3, 3) != 0 ||
		    isalnum((unsigned char)r->at[3]))
			continue;
		r->at += 3;
		*ret = f->first + i;
		return true;
	}
	return false;
}

static bool take_number(struct reader *r, unsigned *ret)
{
	const char *begin = r->at;
	for (*ret = 0; isdigit((unsigned char)*r->at) && r->at - begin < 4; r->at++)
		*ret = *ret * 10 + (unsigned)(*r->at - '0');
	return r->at > begin;
}

static bool take_value(struct reader *r, unsigned *ret)
{
	const char *begin = r->at;
	if ((take_name(r, ret) || take_number(r, ret)) && *ret >= r->field->least &&
	    *ret <= r->field->most)
		return true;
	r->at = begin;
	return false;
}

static int refuse_range(struct reader *r, unsigned from, unsigned to)
{
	return why_set(r->why, -E_INVALID,
		       "cron \"%.100s\": %s: %u-%u goes backwards; write it as two: "
		       "%u-%u,%u-%u",
		       r->text, r->field->name, from, to, from,
		       r->field->most - (r->field->most == 7), r->field->least, to);
}

/* One of a list. */
static int take_item(struct reader *r, uint64_t *bits)
{
	unsigned from = r->field->least, to = r->field->most, step = 1;
	const char *begin = r->at;
	bool range = take(r, '*');
	if (!range && !take_value(r, &from))
		return refuse(r);
	if (!range) {
		to = from;
		range = take(r, '-');
		if (range && !take_value(r, &to))
			return refuse(r);
		if (to < from && to == 0 && r->field->most == 7)
			to = 7; /* fri-sun */
	}
	if (to < from)
		return refuse_range(r, from, to);
	if (take(r, '/')) {
		if (!range)
			return why_set(r->why, -E_INVALID,
				       "cron \"%.100s\": %s: a step needs a range before it: "
				       "%u-%u/... or */...",
				       r->text, r->field->name, from, r->field->most);
		if (!take_number(r, &step) || step == 0 || step > r->field->most)
			return why_set(r->why, -E_INVALID, "cron \"%.100s\": %s: a step is 1 to %u",
				       r->text, r->field->name, r->field->most);
	}
	if (*r->at != '\0' && !strchr(", \t", *r->at)) {
		r->at = begin;
		return refuse(r);
	}
	for (unsigned v = from; v <= to; v += step)
		*bits |= UINT64_C(1) << v;
	return 0;
}

static int take_field(struct reader *r, uint64_t *ret_bits, bool *ret_any)
{
	int err;
	*ret_bits = 0;
	*ret_any = *r->at == '*';
	do
		err = take_item(r, ret_bits);
	while (err == 0 && take(r, ','));
	return err;
}

static unsigned count_fields(const char *text)
{
	unsigned n = 0;
	while (*(text += strspn(text, " \t")) != '\0') {
		n++;
		text += strcspn(text, " \t");
	}
	return n;
}

/* Is there such a day in one of the months? */
static bool comes(const struct cron *c)
{
	if (!c->any_weekday)
		return true;
	for (unsigned month = 1; month <= 12; month++) {
		uint32_t days = (uint32_t)((UINT64_C(2) << zone_month_days(2000, month)) - 2);
		if ((c->month >> month & 1) && (c->day & days))
			return true;
	}
	return false;
}

static int refuse_count(const char *text, unsigned n, struct why *why)
{
	return why_set(why, -E_INVALID,
		       "cron \"%.100s\" has %u field%s, it takes five: minute hour day month "
		       "weekday%s",
		       text, n, n == 1 ? "" : "s",
		       n == 6 ? "; there are no seconds or years: for what is faster bind with "
				"--every"
			      : "");
}

static const char *meaning_of(const char *text, struct why *why)
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcasecmp(text, words[i].word) == 0)
			return words[i].meaning;
	(void)why_set(why, -E_INVALID,
		      "cron \"%.100s\" is not known here; there are @hourly, @daily, @weekly, "
		      "@monthly and @yearly%s",
		      text, strncasecmp(text, "@every", 6) == 0 ? "; bind with --every TIME" : "");
	return NULL;
}

int cron_parse(const char *text, struct cron *ret, struct why *why)
{
	uint64_t bits[FIELDS];
	bool any[FIELDS];
	int err = 0;
	*ret = (struct cron){ 0 };
	if (strlen(text) >= CRON_TEXT_BYTES)
		return why_set(why, -E_INVALID, "a cron expression has up to %d bytes",
			       CRON_TEXT_BYTES - 1);
	if (*text == '@' && !(text = meaning_of(text, why)))
		return -E_INVALID;
	unsigned n = count_fields(text);
	if (n != FIELDS)
		return refuse_count(text, n, why);
	struct reader r = { .text = text, .at = text, .why = why };
	for (size_t i = 0; i < FIELDS && err == 0; i++) {
		r.at += strspn(r.at, " \t");
		r.field = &fields[i];
		err = take_field(&r, &bits[i], &any[i]);
	}
	if (err < 0)
		return err;
	*ret = (struct cron){
		.minute = bits[0],
		.hour = (uint32_t)bits[1],
		.day = (uint32_t)bits[2],
		.month = (uint16_t)bits[3],
		.weekday = (uint8_t)((bits[4] | bits[4] >> 7) & 0x7f),
		.any_day = any[2],
		.any_weekday = any[4],
		.by_clock = any[0] || any[1],
	};
	if (!comes(ret))
		return why_set(why, -E_INVALID,
			       "cron \"%.100s\" never comes: none of its months has such a day",
			       text);
	return 0;
}

/* ---- the next ---- */

/* Local time here is in minutes, as if it were UTC. */

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static bool day_matches(const struct cron *c, const struct zone_day *d)
{
	bool day = c->day >> d->day & 1, weekday = c->weekday >> d->weekday & 1;
	return c->any_day || c->any_weekday ? day && weekday : day || weekday;
}

/* The first from that minute of a day on, or DAY_MINUTES. */
static unsigned next_in_day(const struct cron *c, unsigned from)
{
	for (unsigned hour = from / 60; hour < 24; hour++) {
		uint64_t left = c->minute >> (hour == from / 60 ? from % 60 : 0)
						     << (hour == from / 60 ? from % 60 : 0);
		if ((c->hour >> hour & 1) && left)
			return hour * 60 + (unsigned)__builtin_ctzll(left);
	}
	return DAY_MINUTES;
}

/* The first in [from, end), or end. */
static int64_t next_local(const struct cron *c, int64_t from, int64_t end)
{
	int64_t days = floor_div(from, DAY_MINUTES);
	unsigned minute = (unsigned)(from - days * DAY_MINUTES);
	for (; days * DAY_MINUTES < end; minute = 0) {
		struct zone_day d = zone_day_of(days);
		if (!(c->month >> d.month & 1)) {
			days += zone_month_days(d.year, d.month) - d.day + 1;
			continue;
		}
		unsigned in_day = day_matches(c, &d) ? next_in_day(c, minute) : DAY_MINUTES;
		int64_t found = days * DAY_MINUTES + in_day;
		if (in_day < DAY_MINUTES)
			return found < end ? found : end;
		days++;
	}
	return end;
}

static int64_t minute_up(int64_t seconds)
{
	return floor_div(seconds + MINUTE_S - 1, MINUTE_S);
}

/* Would it have run while the clock was put forward? */
static bool was_skipped(const struct cron *c, const struct zone_span *s)
{
	int64_t begin = minute_up(s->from + s->before), end = minute_up(s->from + s->offset);
	return !c->by_clock && s->offset > s->before && next_local(c, begin, end) < end;
}

int64_t cron_next(const struct cron *c, const struct zone *z, int64_t after)
{
	int64_t from = after + 1, limit = after + (int64_t)CRON_YEARS * YEAR_S;
	while (from < limit) {
		struct zone_span s;
		zone_at(z, from, &s);
		if (from == s.from && was_skipped(c, &s))
			return from;
		int64_t local = from + s.offset;
		if (!c->by_clock && s.offset < s.before && local < s.from + s.before)
			local = s.from + s.before; /* that was there already */
		int64_t until = s.until < limit ? s.until : limit;
		int64_t end = minute_up(until + s.offset);
		int64_t found = next_local(c, minute_up(local), end);
		if (found < end)
			return found * MINUTE_S - s.offset;
		from = until;
	}
	return -1;
}
