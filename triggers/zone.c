/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/zone.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/own.h"
#include "triggers/zone_rule.h"

enum {
	HEADER_BYTES = 44,
	TYPE_BYTES = 6,
	OFFSET_MOST = 26 * 3600, /* RFC 8536, 3.2 */
	DAY_S = 86400,
	RULE_YEARS = 3, /* the one before, this, the next */
};
/* Beyond any time that means something here, and far from where sums overflow. */
static const int64_t TIME_MOST = INT64_C(1) << 59;

struct change {
	int64_t at;
	int32_t offset; /* from then on */
};

struct zone {
	char *path; /* NULL: it is of no file */
	struct timespec modified;
	ino_t inode;
	int32_t first; /* offset before all changes */
	bool has_rule; /* behind the last change */
	struct zone_rule rule;
	unsigned n;
	struct change changes[]; /* ascending, each with another offset than before */
};

/* ---- the calendar ---- */

/* Years that begin in March, so that the leap day is the last; eras of 400 years, which are all alike. */
int64_t zone_days(int64_t year, unsigned month, unsigned day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t of_era = year - era * 400;
	int64_t of_year = (153 * (int64_t)(month + (month > 2 ? -3u : 9u)) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

struct zone_day zone_day_of(int64_t days)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t of_era = z - era * 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * of_year + 2) / 153; /* from March */
	struct zone_day d = {
		.year = year + era * 400 + (month >= 10),
		.month = (unsigned)(month < 10 ? month + 3 : month - 9),
		.day = (unsigned)(of_year - (153 * month + 2) / 5 + 1),
		.weekday = (unsigned)(((days + 4) % 7 + 7) % 7),
	};
	return d;
}

unsigned zone_month_days(int64_t year, unsigned month)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	return days[month - 1] + (month == 2 && leap);
}

/* ---- the file ---- */

static uint32_t be32(struct rd *r)
{
	struct span s = rd_span(r, 4);
	return rd_ok(r) ? (uint32_t)s.at[0] << 24 | (uint32_t)s.at[1] << 16 |
				  (uint32_t)s.at[2] << 8 | s.at[3]
			: 0;
}

static int64_t be64(struct rd *r)
{
	uint64_t high = be32(r);
	return (int64_t)(high << 32 | be32(r));
}

struct header {
	uint8_t version;
	uint32_t isut, isstd, leap, time, type, chars;
};

/* Counts are bounded by the file's size before they are multiplied. */
static struct header take_header(struct rd *r)
{
	struct span head = rd_span(r, 20);
	struct header h = { 0 };
	if (!rd_ok(r) || memcmp(head.at, "TZif", 4) != 0) {
		rd_fail(r, -E_INVALID);
		return h;
	}
	h.version = head.at[4];
	uint32_t *const count[] = { &h.isut, &h.isstd, &h.leap, &h.time, &h.type, &h.chars };
	for (size_t i = 0; i < ARRAY_LEN(count); i++) {
		*count[i] = be32(r);
		if (*count[i] > r->left)
			rd_fail(r, -E_INVALID);
	}
	return h;
}

static int parse_rule(struct zone *z, struct rd *r)
{
	if (rd_u8(r) != '\n' || !rd_ok(r) || r->left == 0)
		return -E_INVALID;
	const uint8_t *end = memchr(r->at, '\n', r->left);
	if (!end)
		return -E_INVALID;
	struct span text = { r->at, (size_t)(end - r->at) };
	z->has_rule = text.len > 0; /* else the last change is for ever */
	return z->has_rule ? zone_rule_parse(text, &z->rule) : 0;
}

static void add_change(struct zone *z, int64_t at, int32_t offset)
{
	int32_t before = z->n ? z->changes[z->n - 1].offset : z->first;
	if (offset != before) /* else another name only */
		z->changes[z->n++] = (struct change){ at, offset };
}

static int offset_of(struct span types, unsigned type, int32_t *ret)
{
	if (type >= types.len / TYPE_BYTES)
		return -E_INVALID;
	struct rd r = rd_from(types.at + (size_t)type * TYPE_BYTES, 4);
	*ret = (int32_t)be32(&r);
	return *ret > -OFFSET_MOST && *ret < OFFSET_MOST ? 0 : -E_INVALID;
}

static int parse_changes(struct zone *z, struct span times, struct span of, struct span types)
{
	struct rd r = rd_from(times.at, times.len);
	int64_t last = INT64_MIN;
	int err = offset_of(types, 0, &z->first);
	for (size_t i = 0; i < of.len && err == 0; i++) {
		int64_t at = be64(&r);
		int32_t offset = 0;
		err = offset_of(types, of.at[i], &offset);
		if (at <= last || at < -TIME_MOST || at > TIME_MOST)
			err = -E_INVALID;
		last = at;
		if (err == 0)
			add_change(z, at, offset);
	}
	return err;
}

int zone_parse(struct span file, struct zone **ret, struct why *why)
{
	struct rd r = rd_from(file.at, file.len);
	struct header h = take_header(&r);
	size_t old = (size_t)h.time * 5 + (size_t)h.type * TYPE_BYTES + h.chars +
		     (size_t)h.leap * 8 + h.isstd + h.isut;
	(void)rd_span(&r, old);
	if (rd_ok(&r) && h.version < '2')
		return why_set(why, -E_INVALID,
			       "the file is of the first version of TZif, which ends in 2037");
	h = take_header(&r);
	if (rd_ok(&r) && h.leap > 0)
		return why_set(why, -E_INVALID,
			       "the zone counts leap seconds, which the system's clock does not; "
			       "take the one without right/");
	struct span times = rd_span(&r, (size_t)h.time * 8), of = rd_span(&r, h.time),
		    types = rd_span(&r, (size_t)h.type * TYPE_BYTES);
	(void)rd_span(&r, (size_t)h.chars + h.isstd + h.isut);
	OWN_FREE struct zone *z =
		rd_ok(&r) ? calloc(1, sizeof(*z) + h.time * sizeof(z->changes[0])) : NULL;
	if (rd_ok(&r) && !z)
		return why_set(why, -ENOMEM, "out of memory");
	if (!rd_ok(&r) || parse_changes(z, times, of, types) < 0 || parse_rule(z, &r) < 0)
		return why_set(why, -E_INVALID, "the file is damaged, or no TZif");
	*ret = ptr_steal(&z);
	return 0;
}

static int read_file(const char *path, uint8_t *buf, size_t *ret_len, struct stat *ret_st)
{
	OWN_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, ret_st) < 0)
		return -errno;
	if (!S_ISREG(ret_st->st_mode))
		return -ENOENT;
	for (*ret_len = 0; *ret_len < ZONE_FILE_BYTES;) {
		ssize_t n = read(fd, buf + *ret_len, ZONE_FILE_BYTES - *ret_len);
		if (n <= 0)
			return n < 0 ? -errno : 0;
		*ret_len += (size_t)n;
	}
	return -EFBIG;
}

static bool name_ok(const char *name)
{
	size_t n = strlen(name);
	if (n == 0 || n >= ZONE_NAME_BYTES || *name == '/')
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("+-_/", *name))
			return false;
	return true;
}

static struct zone *utc(void)
{
	return calloc(1, sizeof(struct zone));
}

static int open_path(const char *path, const char *name, struct zone **ret, struct why *why)
{
	OWN_FREE uint8_t *buf = malloc(ZONE_FILE_BYTES);
	struct why reason = { 0 };
	struct stat st;
	size_t len = 0;
	int err = buf ? read_file(path, buf, &len, &st) : -ENOMEM;
	if (err == 0)
		err = zone_parse((struct span){ buf, len }, ret, &reason);
	if (err == 0) {
		(*ret)->path = strdup(path); /* without it, it stays as it is */
		(*ret)->modified = st.st_mtim;
		(*ret)->inode = st.st_ino;
	}
	if (err == 0 || err == -ENOMEM)
		return err == 0 ? 0 : why_set(why, err, "out of memory");
	if (err == -ENOENT || err == -ENOTDIR)
		return why_set(why, -E_INVALID,
			       "there is no time zone \"%s\" (%s); zones are called Europe/Berlin, "
			       "timedatectl list-timezones lists them; package tzdata brings them",
			       name, path);
	return why_set(why, -E_INVALID,
		       "time zone \"%s\" cannot be read (%s: %s); install package "
		       "tzdata anew",
		       name, path, reason.text[0] ? reason.text : strerrordesc_np(-err));
}

int zone_open(const char *directory, const char *name, struct zone **ret, struct why *why)
{
	char path[PATH_MAX];
	const char *given = getenv("TZ");
	if (*name == '\0' && given && *given)
		name = given + (*given == ':');
	if (*name == '\0' && access("/etc/localtime", F_OK) == 0)
		return open_path("/etc/localtime", "of the system", ret, why);
	if (*name == '\0' || strcmp(name, "UTC") == 0) /* also where there is no tzdata */
		return (*ret = utc()) ? 0 : why_set(why, -ENOMEM, "out of memory");
	if (!name_ok(name))
		return why_set(
			why, -E_INVALID,
			"\"%.63s\" is no name of a time zone; they are called Europe/Berlin, "
			"timedatectl list-timezones lists them",
			name);
	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	return open_path(path, name, ret, why);
}

void zone_free(struct zone *z)
{
	if (z)
		free(z->path);
	free(z);
}

bool zone_changed(const struct zone *z)
{
	struct stat st;
	return z->path && stat(z->path, &st) == 0 &&
	       (st.st_ino != z->inode || st.st_mtim.tv_sec != z->modified.tv_sec ||
		st.st_mtim.tv_nsec != z->modified.tv_nsec);
}

/* ---- when ---- */

static void put(struct change *list, unsigned *n, int64_t at, int32_t offset)
{
	unsigned i = (*n)++;
	for (; i > 0 && list[i - 1].at > at; i--)
		list[i] = list[i - 1];
	list[i] = (struct change){ at, offset };
}

/* Behind the last change of the table: `from`, with its offset. */
static void by_rule(const struct zone *z, int64_t when, struct zone_span *s)
{
	struct change list[2 * RULE_YEARS];
	unsigned n = 0;
	if (!z->rule.has_summer) {
		s->until = INT64_MAX;
		return;
	}
	int64_t days = when / DAY_S, year = zone_day_of(days).year;
	for (int64_t y = year - 1; y < year - 1 + RULE_YEARS; y++) {
		int64_t begin, end;
		zone_rule_year(&z->rule, y, &begin, &end);
		put(list, &n, begin, z->rule.summer);
		put(list, &n, end, z->rule.standard);
	}
	s->until = INT64_MAX;
	for (unsigned i = 0; i < n; i++) {
		bool for_nothing = i + 1 < n && list[i + 1].at == list[i].at;
		if (list[i].at <= s->from || for_nothing || list[i].offset == s->offset)
			continue;
		if (list[i].at > when) {
			s->until = list[i].at;
			return;
		}
		s->from = list[i].at;
		s->before = s->offset;
		s->offset = list[i].offset;
	}
}

void zone_at(const struct zone *z, int64_t when, struct zone_span *ret)
{
	unsigned low = 0, high = z->n; /* changes[low - 1].at <= when < changes[high].at */
	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		if (z->changes[middle].at <= when)
			low = middle + 1;
		else
			high = middle;
	}
	*ret = (struct zone_span){
		.from = low ? z->changes[low - 1].at : INT64_MIN,
		.until = low < z->n ? z->changes[low].at : INT64_MAX,
		.offset = low ? z->changes[low - 1].offset : z->first,
		.before = low > 1 ? z->changes[low - 2].offset : z->first,
	};
	if (low == z->n && z->has_rule)
		by_rule(z, when, ret);
}
