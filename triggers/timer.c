/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/timer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "proto/kinds.h"
#include "triggers/feed.h"
#include "triggers/schedule.h"

enum {
	EVERY_MOST_DAYS = 366,
	CURSOR_FROM_MS = 60 * 1000, /* slower ones remember where they were, in any case */
	TURN_RUNS = 64,             /* of one route, before the others have their turn */
	WALL_BYTES = 32,
	FDS = 2,
	LOOK_MS = 60 * 1000,
};

struct timer {
	struct feed feed;
	struct timer_options options;
	int wall_fd; /* of cron: wakes also when the clock is set */
	struct feed_route **routes;
};

struct timer_route {
	struct feed_route base;
	struct schedule schedule;
	struct zone *zone;
	bool begun;
	unsigned refused;      /* how often in a row */
	uint64_t paused_until; /* CLOCK_MONOTONIC ns; 0: it is not */
	uint64_t looked_ns;    /* at the file of its zone */
	char zone_name[ZONE_NAME_BYTES];
	char cursor_name[EVENT_CURSOR_BYTES], cursor[24];
};

static struct timer *timer_of(struct feed *f)
{
	return (struct timer *)f;
}

static struct timer_route *route_of(struct feed_route *r)
{
	return (struct timer_route *)r;
}

/* ---- clocks ---- */

static int64_t wall_now(const struct timer *t)
{
	struct timespec w;
	(void)clock_gettime(CLOCK_REALTIME, &w);
	int64_t ahead = t->options.ahead_ms ? atomic_load(t->options.ahead_ms) : 0;
	return (int64_t)w.tv_sec * 1000 + w.tv_nsec / 1000000 + ahead;
}

static bool is_cron(const struct timer *t)
{
	return t->wall_fd >= 0;
}

static int64_t now_of(const struct timer *t)
{
	return is_cron(t) ? wall_now(t) : (int64_t)(feed_now_ns() / 1000000u);
}

/* Absolute, and cancelled when the clock is set: the thread then looks anew. It looks each minute in any case,
 * for a clock that was set just before this. */
static void arm_wall(const struct timer *t, int64_t at)
{
	int64_t ahead = t->options.ahead_ms ? atomic_load(t->options.ahead_ms) : 0;
	int64_t now = wall_now(t), most = now + LOOK_MS;
	int64_t ms = (at < now ? now : at > most ? most : at) - ahead;
	const struct itimerspec when = { .it_value = { .tv_sec = ms / 1000,
						       .tv_nsec = ms % 1000 * 1000000 } };
	(void)timerfd_settime(t->wall_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, NULL);
}

/* RFC 3339 in UTC, with milliseconds where there are. */
static void wall_text(int64_t ms, char ret[WALL_BYTES])
{
	struct tm tm;
	time_t s = ms / 1000;
	ret[0] = '\0';
	if (!gmtime_r(&s, &tm))
		return;
	size_t n = strftime(ret, WALL_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	if (ms % 1000 != 0)
		n += (size_t)snprintf(ret + n, WALL_BYTES - n, ".%03d", (int)(ms % 1000));
	(void)snprintf(ret + n, WALL_BYTES - n, "Z");
}

/* ---- what a route means ---- */

static int read_every(struct timer_route *r, struct why *why)
{
	const char *text = r->base.filter;
	uint64_t ms = 0;
	size_t digits = strspn(text, "0123456789");
	if (!kind_time_parse(text, &ms) || text[digits] == '\0')
		return why_set(why, -E_INVALID,
			       "\"%.40s\" is no time; write a number and its unit: 500ms, 5s, "
			       "10min, 1h, 1d",
			       text);
	if (ms < 1 || ms > (uint64_t)EVERY_MOST_DAYS * 86400000u)
		return why_set(why, -E_INVALID, "every %.40s: it takes 1ms to %dd", text,
			       EVERY_MOST_DAYS);
	r->schedule.every_ms = ms;
	return 0;
}

static int open_zone(const struct timer *t, const char *name, struct zone **ret, struct why *why)
{
	return zone_open(t->options.zones ? t->options.zones : ZONE_DIRECTORY, name, ret, why);
}

static int read_cron(const struct timer *t, struct timer_route *r, const struct kind_values *v,
		     struct why *why)
{
	int err = cron_parse(r->base.filter, &r->schedule.cron, why);
	if (err == 0)
		err = open_zone(t, kind_text(v, "zone"), &r->zone, why);
	(void)snprintf(r->zone_name, sizeof(r->zone_name), "%s", kind_text(v, "zone"));
	r->schedule.zone = r->zone;
	return err == -E_UNSUPPORTED ? -E_INVALID : err;
}

static enum schedule_missed missed_of(const char *word)
{
	return strcmp(word, "all") == 0    ? MISSED_ALL
	       : strcmp(word, "once") == 0 ? MISSED_ONCE
					   : MISSED_SKIP;
}

/* Filter and options: what is bound in another way is another timer. */
static int name_cursor(struct timer_route *r, struct span options, struct why *why)
{
	const struct schedule *s = &r->schedule;
	if (s->every_ms && s->every_ms < CURSOR_FROM_MS && s->missed == MISSED_SKIP)
		return 0;
	int n = snprintf(r->cursor_name, sizeof(r->cursor_name), "%s %.*s", r->base.filter,
			 (int)options.len, (const char *)options.at);
	if (n < 0 || (size_t)n >= sizeof(r->cursor_name))
		return why_set(why, -E_INVALID, "expression and options are longer than %d bytes",
			       EVENT_CURSOR_BYTES - 1);
	r->base.cursor_name = (struct span){ (const uint8_t *)r->cursor_name, (size_t)n };
	return 0;
}

static int timer_read(struct feed *f, struct feed_route *route, const struct trigger_route *given,
		      struct why *why)
{
	const struct timer *t = timer_of(f);
	struct timer_route *r = route_of(route);
	struct kind_values v;
	int err = kind_values_read(KIND_INPUT, f->base.ops->kind, given->options, &v, why);
	if (err < 0)
		return err;
	r->schedule.missed = missed_of(kind_text(&v, "missed"));
	r->schedule.jitter_ms = kind_ms(&v, "jitter");
	(void)!getrandom(&r->schedule.chance, sizeof(r->schedule.chance), GRND_NONBLOCK);
	r->schedule.chance |= 1;
	err = is_cron(t) ? read_cron(t, r, &v, why) : read_every(r, why);
	kind_values_free(&v);
	return err == 0 ? name_cursor(r, given->options, why) : err;
}

static void timer_drop(struct feed_route *route)
{
	zone_free(route_of(route)->zone);
}

/* ---- runs ---- */

/* A cursor is the wall clock's time of the last run. On the other clock that is so long ago as it seems; if it
 * is not past at all, the clock was wrong then or is now, and the timer begins. */
static void begin(struct timer *t, struct timer_route *r)
{
	const struct trigger_sink *sink = &t->feed.base.sink;
	char text[sizeof(r->cursor)] = "";
	int64_t now = now_of(t), last = 0;
	size_t n = 0;
	if (sink->cursor && r->base.cursor_name.len)
		n = sink->cursor(sink->arg, r->base.cursor_name, text, sizeof(text) - 1);
	if (n > 0 && n < sizeof(text))
		last = strtoll(text, NULL, 10);
	bool known = last > 0;
	if (known && !is_cron(t)) {
		int64_t ago = wall_now(t) - last;
		known = ago >= 0 && ago <= SCHEDULE_COUNTED_MS;
		last = now - ago;
	}
	schedule_begin(&r->schedule, now, known ? &last : NULL);
	r->begun = true;
	feed_says_ok(&t->feed, &r->base);
}

static int report(struct timer *t, struct timer_route *r, const struct schedule_run *run)
{
	char wall[WALL_BYTES], late[24], missed[24], payload[128];
	int64_t due = is_cron(t) ? run->due : wall_now(t) - (now_of(t) - run->due);
	wall_text(due, wall);
	(void)snprintf(late, sizeof(late), "%llu", (unsigned long long)run->late_ms);
	(void)snprintf(missed, sizeof(missed), "%llu", (unsigned long long)run->omitted);
	(void)snprintf(payload, sizeof(payload),
		       "{\"scheduled\":\"%s\",\"late_ms\":%s,\"missed\":%s}", wall, late, missed);
	int n = snprintf(r->cursor, sizeof(r->cursor), "%lld", (long long)due);
	r->base.cursor = (struct span){ (const uint8_t *)r->cursor, (size_t)n };
	const struct event_attr attrs[] = {
		{ { (const uint8_t *)"scheduled", 9 }, { (const uint8_t *)wall, strlen(wall) } },
		{ { (const uint8_t *)"late_ms", 7 }, { (const uint8_t *)late, strlen(late) } },
		{ { (const uint8_t *)"missed", 6 }, { (const uint8_t *)missed, strlen(missed) } },
	};
	int err = feed_event(&t->feed, &r->base, "fired", payload, attrs, ARRAY_LEN(attrs));
	if (err == 0)
		atomic_fetch_add(&t->feed.missed, run->omitted);
	return err;
}

/* A file that is no zone, or half of one, leaves it as it is until the next look. */
static void renew_zone(struct timer *t, struct timer_route *r)
{
	struct zone *new;
	uint64_t now = feed_now_ns();
	if (!r->zone || now - r->looked_ns < LOOK_MS * UINT64_C(1000000))
		return;
	r->looked_ns = now;
	if (!zone_changed(r->zone) || open_zone(t, r->zone_name, &new, NULL) < 0)
		return;
	LOG(LOG_NOTE, "the time zone has changed", F_STR("timer", r->base.filter),
	    F_STR("zone", r->zone_name));
	schedule_rezone(&r->schedule, new);
	zone_free(r->zone);
	r->zone = new;
}

/* What is due. Refused runs come again, with growing pauses. */
static void turn(struct timer *t, struct timer_route *r)
{
	struct schedule_run run;
	if (!r->begun)
		begin(t, r);
	renew_zone(t, r);
	if (r->paused_until > feed_now_ns())
		return;
	r->paused_until = 0;
	for (unsigned n = 0; n < TURN_RUNS && schedule_take(&r->schedule, now_of(t), &run); n++) {
		if (report(t, r, &run) < 0) {
			r->paused_until = feed_now_ns() + feed_pause_ns(++r->refused);
			feed_says(&t->feed, &r->base,
				  "the gateway does not take its events; they come when it does "
				  "(penstock status, penstock logs)");
			return;
		}
		if (r->refused)
			feed_says_ok(&t->feed, &r->base);
		r->refused = 0;
		schedule_done(&r->schedule, &run);
	}
}

/* When to look again: on the timer's own clock, and on CLOCK_MONOTONIC. */
static void when_next(const struct timer *t, int64_t *ret_at, uint64_t *ret_until_ns)
{
	uint64_t until = UINT64_MAX;
	*ret_at = SCHEDULE_NEVER;
	for (size_t i = 0; t->routes && t->routes[i]; i++) {
		const struct timer_route *r = route_of(t->routes[i]);
		int64_t at = schedule_at(&r->schedule);
		if (r->paused_until && r->paused_until < until)
			until = r->paused_until;
		else if (!r->paused_until && at < *ret_at)
			*ret_at = at;
	}
	if (!is_cron(t) && *ret_at != SCHEDULE_NEVER) {
		uint64_t at_ns = *ret_at > 0 ? (uint64_t)*ret_at * 1000000u : 1;
		until = at_ns < until ? at_ns : until;
	}
	*ret_until_ns = until == UINT64_MAX ? 0 : until;
}

static void timer_run(struct feed *f)
{
	struct timer *t = timer_of(f);
	struct pollfd fds[FDS] = { [1] = { .fd = t->wall_fd, .events = POLLIN } };
	uint64_t until = 0, times;
	do {
		struct feed_route **before = t->routes;
		int64_t at;
		if (feed_changed(f, &t->routes))
			feed_drop(f, before);
		for (size_t i = 0; t->routes && t->routes[i]; i++)
			turn(t, route_of(t->routes[i]));
		when_next(t, &at, &until);
		if (is_cron(t)) {
			(void)!read(t->wall_fd, &times, sizeof(times));
			arm_wall(t, at);
		}
	} while (feed_wait(f, fds, is_cron(t) ? 2 : 1, until));
}

/* ---- begin and end ---- */

static void timer_fini(struct feed *f)
{
	struct timer *t = timer_of(f);
	feed_drop(f, t->routes);
	if (t->wall_fd >= 0)
		(void)close(t->wall_fd);
}

static const struct feed_ops kinds_of_timers[] = {
	{
		.trigger = FEED_TRIGGER_OPS("every"),
		.type = "io.penstock.timer",
		.content_type = "application/json",
		.route_bytes = sizeof(struct timer_route),
		.read = timer_read,
		.drop = timer_drop,
		.run = timer_run,
		.fini = timer_fini,
	},
	{
		.trigger = FEED_TRIGGER_OPS("cron"),
		.type = "io.penstock.timer",
		.content_type = "application/json",
		.route_bytes = sizeof(struct timer_route),
		.read = timer_read,
		.drop = timer_drop,
		.run = timer_run,
		.fini = timer_fini,
	},
};

int timer_new(const char *kind, const struct timer_options *o, const struct trigger_sink *sink,
	      struct trigger **ret, struct why *why)
{
	bool cron = strcmp(kind, "cron") == 0;
	OWN_FD fd = cron ? timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK) : -1;
	struct feed *f;
	if (cron && fd < 0)
		return why_set(why, -errno, "no timer of the kernel: %s", strerrordesc_np(errno));
	int err = feed_new(&kinds_of_timers[cron], sizeof(struct timer), NULL, sink, &f, why);
	if (err < 0)
		return err;
	timer_of(f)->options = *o;
	timer_of(f)->wall_fd = fd_steal(&fd);
	*ret = &f->base;
	return 0;
}
