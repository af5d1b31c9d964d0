/* SPDX-License-Identifier: Apache-2.0 */
/* Cron expressions by the calendar of real zones, and against the C library's idea of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "triggers/cron.h"

enum { DAY = 86400, WINDOW_DAYS = 2, ROUNDS = 60 };

static struct zone *zone_of(const char *name)
{
	struct zone *z = NULL;
	struct why why = { 0 };
	if (zone_open(ZONE_DIRECTORY, name, &z, &why) < 0)
		fail_msg("%s", why.text);
	return z;
}

static int64_t utc_of(const char *text)
{
	struct tm t = { 0 };
	assert_non_null(strptime(text, "%Y-%m-%dT%H:%M:%SZ", &t));
	return timegm(&t);
}

/* ---- rules ---- */

static void what_makes_no_sense_is_refused_with_what_to_do(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "", "0 fields" },
		{ "* * * *", "4 fields, it takes five: minute hour day month weekday" },
		{ "0 30 6 * * *", "bind with --every" },
		{ "60 * * * *", "minute: \"60\" is not understood; it takes 0 to 59" },
		{ "* 24 * * *", "hour: \"24\"" },
		{ "* * 0 * *", "day: \"0\"" },
		{ "* * 32 * *", "day: \"32\"" },
		{ "* * * 13 *", "month: \"13\"" },
		{ "* * * * 8", "weekday: \"8\"" },
		{ "* * * foo *", "names such as jan" },
		{ "* * * * monday", "names such as mon" },
		{ "99999999999 * * * *", "minute" },
		{ "-1 * * * *", "minute" },
		{ "1, * * * *", "minute: \"\"" },
		{ "1--2 * * * *", "minute" },
		{ "1-2-3 * * * *", "minute" },
		{ "*5 * * * *", "minute" },
		{ "* 22-4 * * *", "22-23,0-4" },
		{ "* * * * fri-tue", "5-6,0-2" },
		{ "5/15 * * * *", "5-59/... or */..." },
		{ "*/0 * * * *", "a step is 1 to 59" },
		{ "*/60 * * * *", "a step is 1 to 59" },
		{ "*/ * * * *", "a step" },
		{ "0 0 L * *", "L (the last day) is not known" },
		{ "0 0 15W * *", "W (the nearest working day)" },
		{ "0 0 * * 5L", "L (the last day)" },
		{ "0 0 * * mon#2", "# (the n-th weekday" },
		{ "0 0 ? * mon", "? (any) is not known here; write *" },
		{ "H * * * *", "H (any, but always the same)" },
		{ "@reboot", "@reboot\" is not known here" },
		{ "@every 5s", "--every TIME" },
		{ "0 0 30 2 *", "never comes" },
		{ "0 0 31 2,4,6,9,11 *", "never comes" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct cron c;
		struct why why = { 0 };
		if (cron_parse(rows[i].text, &c, &why) >= 0)
			fail_msg("\"%s\" was taken", rows[i].text);
		if (!strstr(why.text, rows[i].says))
			fail_msg("\"%s\": %s", rows[i].text, why.text);
	}
}

static void a_name_means_its_number_and_a_word_its_expression(void **state)
{
	static const char *const same[][2] = {
		{ "@hourly", "0 * * * *" },
		{ "@Daily", "0 0 * * *" },
		{ "@weekly", "0 0 * * 0" },
		{ "@monthly", "0 0 1 * *" },
		{ "@yearly", "0 0 1 1 *" },
		{ "0 0 * * mon-FRI", "0 0 * * 1-5" },
		{ "0 0 * * 7", "0 0 * * 0" },
		{ "0 0 * * fri-sun", "0 0 * * 0,5,6" },
		{ "0 0 1 Jan,dec *", "0 0 1 1,12 *" },
		{ "  1-9/3\t* * * *  ", "1,4,7 * * * *" },
		{ "0 0 * * *", "0 0 1-31 * *" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		struct cron a, b;
		struct zone *utc = zone_of("UTC");
		assert_int_equal(cron_parse(same[i][0], &a, NULL), 0);
		assert_int_equal(cron_parse(same[i][1], &b, NULL), 0);
		int64_t from = 1700000000;
		for (int k = 0; k < 50; k++) {
			int64_t next = cron_next(&a, utc, from);
			assert_true(next > from);
			assert_true(cron_next(&b, utc, from) == next);
			from = next;
		}
		zone_free(utc);
	}
}

static const struct {
	const char *zone, *cron, *after, *at[4];
} summer[] = {
	/* put forward at 02:00 */
	{ "Europe/Berlin",
	  "30 2 * * *",
	  "2026-03-28T12:00:00Z",
	  { "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z" } },
	{ "Europe/Berlin",
	  "0,30 2,3 * * *",
	  "2026-03-28T12:00:00Z",
	  { "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:00:00Z" } },
	{ "Europe/Berlin",
	  "*/30 * * * *",
	  "2026-03-29T00:29:59Z",
	  { "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z" } },
	{ "Europe/Berlin",
	  "30 * * * *",
	  "2026-03-29T00:00:00Z",
	  { "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z" } },
	/* put back at 03:00 */
	{ "Europe/Berlin",
	  "30 2 * * *",
	  "2026-10-24T12:00:00Z",
	  { "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z" } },
	{ "Europe/Berlin", "30 2,3 * * *", "2026-10-25T00:30:00Z", { "2026-10-25T02:30:00Z" } },
	{ "Europe/Berlin",
	  "*/30 2 * * *",
	  "2026-10-24T12:00:00Z",
	  { "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z",
	    "2026-10-25T01:30:00Z" } },
	{ "America/New_York",
	  "15 2 * * sun",
	  "2026-03-07T00:00:00Z",
	  { "2026-03-08T07:00:00Z", "2026-03-15T06:15:00Z" } },
	{ "America/New_York",
	  "0 1 * * *",
	  "2026-10-31T12:00:00Z",
	  { "2026-11-01T05:00:00Z", "2026-11-02T06:00:00Z" } },
	/* by half an hour: 02:00 becomes 02:30, and 02:00 01:30 */
	{ "Australia/Lord_Howe",
	  "15 2 * * *",
	  "2026-10-03T00:00:00Z",
	  { "2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z" } },
	{ "Australia/Lord_Howe",
	  "45 1 * * *",
	  "2026-04-04T00:00:00Z",
	  { "2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z" } },
	{ "Asia/Kolkata", "0 6 * * *", "2026-01-01T00:30:00Z", { "2026-01-02T00:30:00Z" } },
	{ "UTC", "0 0 29 2 *", "2096-03-01T00:00:00Z", { "2104-02-29T00:00:00Z" } },
	/* either day will do */
	{ "UTC",
	  "0 0 13 * fri",
	  "2026-11-01T00:00:00Z",
	  { "2026-11-06T00:00:00Z", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z" } },
	/* a whole day that was skipped */
	{ "Pacific/Apia",
	  "0 12 30 12 *",
	  "2011-12-29T12:00:00Z",
	  { "2011-12-30T10:00:00Z", "2012-12-29T22:00:00Z" } },
	/* by the rule, behind the table */
	{ "Europe/Berlin",
	  "30 2 * * *",
	  "2090-03-25T12:00:00Z",
	  { "2090-03-26T01:00:00Z", "2090-03-27T00:30:00Z" } },
};

static void local_times_are_met_once_and_clocks_are_followed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(summer); i++) {
		struct cron c;
		struct zone *z = zone_of(summer[i].zone);
		int64_t at = utc_of(summer[i].after);
		assert_int_equal(cron_parse(summer[i].cron, &c, NULL), 0);
		for (size_t k = 0; k < 4 && summer[i].at[k]; k++) {
			at = cron_next(&c, z, at);
			if (at != utc_of(summer[i].at[k]))
				fail_msg("%s %s: run %zu is at %lld, not %s", summer[i].zone,
					 summer[i].cron, k, (long long)at, summer[i].at[k]);
		}
		zone_free(z);
	}
}

static void a_zone_that_is_not_there_is_told_with_the_package(void **state)
{
	static const struct {
		const char *name, *says;
	} rows[] = {
		{ "Europe/Atlantis", "package tzdata" },
		{ "Europe", "package tzdata" },
		{ "../../../etc/passwd", "no name of a time zone" },
		{ "/etc/localtime", "no name of a time zone" },
		{ "zone.tab", "no name of a time zone" },
		{ "leapseconds", "damaged, or no TZif" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct zone *z = NULL;
		struct why why = { 0 };
		assert_int_equal(zone_open(ZONE_DIRECTORY, rows[i].name, &z, &why), -E_INVALID);
		if (!strstr(why.text, rows[i].says))
			fail_msg("\"%s\": %s", rows[i].name, why.text);
	}
}

static void put_zone(const char *directory, const char *from)
{
	char command[256];
	(void)snprintf(command, sizeof(command),
		       "cp -L " ZONE_DIRECTORY "/%s %s/new && mv %s/new %s/Own", from, directory,
		       directory, directory);
	assert_int_equal(system(command), 0);
}

static void a_zone_whose_file_was_replaced_has_changed(void **state)
{
	char directory[] = "/tmp/penstock-zones-XXXXXX", own[64];
	struct zone *z = NULL;
	(void)state;
	assert_non_null(mkdtemp(directory));
	put_zone(directory, "Europe/Berlin");
	assert_int_equal(zone_open(directory, "Own", &z, NULL), 0);
	assert_false(zone_changed(z));
	put_zone(directory, "Asia/Kolkata");
	assert_true(zone_changed(z));
	zone_free(z);
	(void)snprintf(own, sizeof(own), "%s/Own", directory);
	assert_int_equal(unlink(own), 0);
	assert_int_equal(rmdir(directory), 0);
	assert_int_equal(zone_open("/nowhere", "UTC", &z, NULL), 0);
	assert_false(zone_changed(z));
	zone_free(z);
}

static void utc_needs_no_files(void **state)
{
	struct zone *z = NULL;
	struct zone_span s;
	(void)state;
	assert_int_equal(zone_open("/nowhere", "UTC", &z, NULL), 0);
	zone_at(z, 0, &s);
	assert_int_equal(s.offset, 0);
	assert_true(s.from == INT64_MIN && s.until == INT64_MAX);
	zone_free(z);
}

/* ---- against the C library ---- */

static const char *const zones[] = {
	"Europe/Berlin",
	"America/New_York",
	"Australia/Lord_Howe",
	"Asia/Kolkata",
	"UTC",
	"Africa/Casablanca",
	"Europe/Dublin",
	"America/St_Johns",
	"Pacific/Chatham",
	"America/Santiago",
	"Asia/Gaza",
	"Asia/Tehran",
	"America/Sao_Paulo",
	"Pacific/Apia",
};

static void use_library_zone(const char *name)
{
	assert_int_equal(setenv("TZ", name, 1), 0);
	tzset();
}

static void offsets_are_the_c_librarys(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
		struct zone *z = zone_of(zones[i]);
		use_library_zone(zones[i]);
		for (int64_t t = utc_of("1975-01-01T00:00:00Z"); t < utc_of("2099-12-01T00:00:00Z");
		     t += 86400 * 3 + 3607) {
			struct zone_span s;
			struct tm tm;
			time_t when = t;
			zone_at(z, t, &s);
			assert_non_null(localtime_r(&when, &tm));
			if (s.offset != tm.tm_gmtoff || s.from > t || s.until <= t)
				fail_msg("%s at %lld: %d, not %ld", zones[i], (long long)t,
					 s.offset, tm.tm_gmtoff);
		}
		zone_free(z);
	}
	assert_int_equal(unsetenv("TZ"), 0);
}

/* A field of an expression, and what it takes: written twice, so that one can judge the other. */
struct wish {
	char text[64];
	bool takes[64], star;
};

static struct wish wish_of(unsigned least, unsigned most)
{
	struct wish w = { 0 };
	unsigned a = least + (unsigned)rand() % (most - least + 1),
		 b = least + (unsigned)rand() % (most - least + 1), step = 1;
	unsigned low = a < b ? a : b, high = a < b ? b : a;
	switch (rand() % 5) {
	case 0:
		(void)snprintf(w.text, sizeof(w.text), "%u,%u", a, b);
		w.takes[a] = w.takes[b] = true;
		return w;
	case 1:
		step = 1 + (unsigned)rand() % 7;
		(void)snprintf(w.text, sizeof(w.text), "%u-%u/%u", low, high, step);
		break;
	case 2:
		step = 1 + (unsigned)rand() % 20;
		(void)snprintf(w.text, sizeof(w.text), "*/%u", step > most ? most : step);
		step = step > most ? most : step;
		low = least;
		high = most;
		w.star = true;
		break;
	default:
		(void)snprintf(w.text, sizeof(w.text), "*");
		low = least;
		high = most;
		w.star = true;
	}
	for (unsigned v = low; v <= high; v += step)
		w.takes[v] = true;
	return w;
}

/* seconds: of local time, as if it were UTC. */
static bool wished(const struct wish w[5], int64_t seconds)
{
	struct tm t;
	time_t when = seconds;
	assert_non_null(gmtime_r(&when, &t));
	bool day = w[2].takes[t.tm_mday], weekday = w[4].takes[t.tm_wday];
	if (!w[0].takes[t.tm_min] || !w[1].takes[t.tm_hour] || !w[3].takes[t.tm_mon + 1])
		return false;
	return w[2].star || w[4].star ? day && weekday : day || weekday;
}

static int64_t library_local(int64_t t)
{
	struct tm tm;
	time_t when = t;
	assert_non_null(localtime_r(&when, &tm));
	return t + tm.tm_gmtoff;
}

/* Minute by minute: does it run in this one? *most: the latest local minute that was there. */
static bool runs_at(const struct wish w[5], int64_t t, int64_t *most)
{
	int64_t local = library_local(t), before = *most;
	bool runs = wished(w, local);
	*most = local > *most ? local : *most;
	if (w[0].star || w[1].star)
		return runs;
	if (local <= before)
		return false;
	for (int64_t skipped = before + 60; skipped < local && !runs; skipped += 60)
		runs = wished(w, skipped);
	return runs;
}

static void compare(const char *name, const struct zone *z, int64_t begin)
{
	struct cron c;
	char text[400];
	struct wish w[5] = { wish_of(0, 59), wish_of(0, 23), wish_of(1, 31), wish_of(1, 12),
			     wish_of(0, 6) };
	if (rand() % 3) /* else there is little to see */
		w[3] = (struct wish){ .text = "*", .star = true };
	for (unsigned m = 0; w[3].star && strcmp(w[3].text, "*") == 0 && m <= 12; m++)
		w[3].takes[m] = true;
	(void)snprintf(text, sizeof(text), "%s %s %s %s %s", w[0].text, w[1].text, w[2].text,
		       w[3].text, w[4].text);
	if (cron_parse(text, &c, NULL) < 0)
		return; /* never comes */
	begin -= begin % 60;
	int64_t most = INT64_MIN;
	for (int64_t t = begin - (int64_t)2 * DAY; t <= begin; t += 60) {
		int64_t local = library_local(t);
		most = local > most ? local : most;
	}
	int64_t next = cron_next(&c, z, begin);
	for (int64_t t = begin + 60; t < begin + (int64_t)WINDOW_DAYS * DAY; t += 60) {
		bool runs = runs_at(w, t, &most);
		if (runs != (t == next))
			fail_msg("%s, \"%s\": next after %lld is %lld, the scan says %d at %lld",
				 name, text, (long long)begin, (long long)next, runs, (long long)t);
		if (runs)
			next = cron_next(&c, z, t);
	}
}

static void a_scan_minute_by_minute_finds_the_same_runs(void **state)
{
	(void)state;
	srand(20260329);
	for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
		struct zone *z = zone_of(zones[i]);
		int64_t at = utc_of("2005-01-01T00:00:00Z");
		use_library_zone(zones[i]);
		for (int k = 0; k < ROUNDS; k++) {
			struct zone_span s;
			zone_at(z, at, &s);
			at = s.until < utc_of("2060-01-01T00:00:00Z") && rand() % 4
				     ? s.until
				     : at + rand() % (200 * DAY);
			if (at > utc_of("2060-01-01T00:00:00Z"))
				at = utc_of("2005-01-01T00:00:00Z") + rand() % (1000 * DAY);
			compare(zones[i], z, at - rand() % DAY);
		}
		zone_free(z);
	}
	assert_int_equal(unsetenv("TZ"), 0);
}

int main(void)
{
	const struct CMUnitTest rules[] = {
		cmocka_unit_test(what_makes_no_sense_is_refused_with_what_to_do),
		cmocka_unit_test(a_name_means_its_number_and_a_word_its_expression),
		cmocka_unit_test(local_times_are_met_once_and_clocks_are_followed),
		cmocka_unit_test(a_zone_that_is_not_there_is_told_with_the_package),
		cmocka_unit_test(a_zone_whose_file_was_replaced_has_changed),
		cmocka_unit_test(utc_needs_no_files),
		cmocka_unit_test(offsets_are_the_c_librarys),
		cmocka_unit_test(a_scan_minute_by_minute_finds_the_same_runs),
	};
	return cmocka_run_group_tests(rules, NULL, NULL);
}
