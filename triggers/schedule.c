/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/schedule.h"

static int64_t next(const struct schedule *s, int64_t after)
{
	if (s->every_ms)
		return after + (int64_t)s->every_ms;
	int64_t seconds = after / 1000 - (after % 1000 < 0);
	int64_t run = cron_next(&s->cron, s->zone, seconds);
	return run < 0 ? SCHEDULE_NEVER : run * 1000;
}

/* Marsaglia's xorshift: nobody has to be unable to guess it. */
static uint64_t chance(struct schedule *s)
{
	s->chance ^= s->chance << 13;
	s->chance ^= s->chance >> 7;
	s->chance ^= s->chance << 17;
	return s->chance;
}

/* A jitter never reaches the run after it: so none is overtaken. */
static void arm(struct schedule *s)
{
	s->due = s->at = next(s, s->last);
	if (s->jitter_ms == 0 || s->due == SCHEDULE_NEVER)
		return;
	int64_t following = next(s, s->due);
	uint64_t room =
		following == SCHEDULE_NEVER ? s->jitter_ms : (uint64_t)(following - s->due) - 1;
	s->at += (int64_t)(chance(s) % ((room < s->jitter_ms ? room : s->jitter_ms) + 1));
}

void schedule_begin(struct schedule *s, int64_t now, const int64_t *last)
{
	s->last = last ? *last : now;
	s->was_off = last != NULL;
	arm(s);
	if (s->was_off && s->due <= now)
		s->at = s->due;
}

void schedule_rezone(struct schedule *s, const struct zone *zone)
{
	s->zone = zone;
	if (s->left == 0)
		arm(s);
}

int64_t schedule_at(const struct schedule *s)
{
	return s->pending || s->left > 0 ? INT64_MIN : s->at;
}

/* How many runs are due; the newest of them. */
static uint64_t count(struct schedule *s, int64_t now, int64_t *ret_newest)
{
	if (s->every_ms) {
		uint64_t n = (uint64_t)(now - s->last) / s->every_ms;
		*ret_newest = s->last + (int64_t)(n * s->every_ms);
		return n;
	}
	uint64_t n = 0;
	if (now - s->last > SCHEDULE_COUNTED_MS)
		s->last = now - SCHEDULE_COUNTED_MS;
	*ret_newest = s->last;
	for (int64_t t; (t = next(s, *ret_newest)) <= now; n++)
		*ret_newest = t;
	return n;
}

/* Goes over the oldest runs, which are not made up for. */
static void omit(struct schedule *s, uint64_t runs)
{
	s->omitted += runs;
	if (s->every_ms)
		s->last += (int64_t)(runs * s->every_ms);
	else
		while (runs-- > 0)
			s->last = next(s, s->last);
}

static void decide(struct schedule *s, int64_t now)
{
	int64_t newest;
	uint64_t n = count(s, now, &newest), made_up = 1;
	int64_t late = now - (n == 1 ? s->at : newest);
	bool missed = s->was_off || (!s->every_ms && late > SCHEDULE_GRACE_MS);
	if (s->missed == MISSED_ALL)
		made_up = n < SCHEDULE_ALL_MOST ? n : SCHEDULE_ALL_MOST;
	else if (n == 0 || (missed && s->missed == MISSED_SKIP))
		made_up = 0;
	omit(s, n - made_up);
	s->left = (unsigned)made_up;
	if (made_up == 0)
		arm(s);
}

static void clock_was_set_back(struct schedule *s, int64_t now)
{
	int64_t most = s->cron.by_clock ? SCHEDULE_GRACE_MS : SCHEDULE_BACK_MS;
	if (s->last - now <= most)
		return; /* it comes there again soon */
	s->last = now;
	s->pending = false;
	s->left = 0;
	arm(s);
}

bool schedule_take(struct schedule *s, int64_t now, struct schedule_run *ret)
{
	if (now < s->last)
		clock_was_set_back(s, now);
	if (s->left == 0 && now >= s->at)
		decide(s, now);
	s->was_off = false;
	if (s->left == 0)
		return false;
	s->pending = true;
	*ret = (struct schedule_run){ .due = next(s, s->last), .omitted = s->omitted };
	ret->late_ms = now > ret->due ? (uint64_t)(now - ret->due) : 0;
	return true;
}

void schedule_done(struct schedule *s, const struct schedule_run *r)
{
	s->last = r->due;
	s->omitted = 0;
	s->pending = false;
	s->left--;
	if (s->left == 0)
		arm(s);
}
