/* SPDX-License-Identifier: Apache-2.0 */
/* What a trigger's sink was given, to be waited for. */
#ifndef TESTS_UNIT_TRIGGERS_SEEN_H
#define TESTS_UNIT_TRIGGERS_SEEN_H

#include "tests/unit/gateway/scratch.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "triggers/trigger.h"

enum { SEEN_MAX = 64, SEEN_SECONDS = 20 };

struct seen_event {
	uint32_t route;
	uint8_t qos;
	char source[64], type[64], topic[128], payload[64], attrs[256]; /* "key=KEY_A;code=30;" */
};

struct seen {
	pthread_mutex_t lock;
	pthread_cond_t more;
	unsigned n, refuse; /* so many are not taken */
	struct seen_event e[SEEN_MAX];
};

static inline void seen_copy(char *to, size_t cap, struct span s)
{
	(void)snprintf(to, cap, "%.*s", (int)s.len, (const char *)s.at);
}

static int seen_sink(void *arg, const struct event *e, const uint32_t *routes, unsigned nroutes,
		     bool more)
{
	struct seen *s = arg;
	int err = 0;
	(void)more;
	(void)pthread_mutex_lock(&s->lock);
	if (s->refuse > 0) {
		s->refuse--;
		err = -EIO;
	} else if (s->n < SEEN_MAX && nroutes == 1) {
		struct seen_event *to = &s->e[s->n++];
		to->route = routes[0];
		to->qos = e->qos;
		seen_copy(to->source, sizeof(to->source), e->source);
		seen_copy(to->type, sizeof(to->type), e->type);
		seen_copy(to->topic, sizeof(to->topic), e->topic);
		seen_copy(to->payload, sizeof(to->payload), e->payload);
		size_t at = 0;
		for (unsigned i = 0; i < e->nattrs && at < sizeof(to->attrs); i++)
			at += (size_t)snprintf(
				to->attrs + at, sizeof(to->attrs) - at, "%.*s=%.*s;",
				(int)e->attrs[i].name.len, (const char *)e->attrs[i].name.at,
				(int)e->attrs[i].value.len, (const char *)e->attrs[i].value.at);
	}
	(void)pthread_cond_broadcast(&s->more);
	(void)pthread_mutex_unlock(&s->lock);
	return err;
}

static inline void seen_init(struct seen *s)
{
	*s = (struct seen){ .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER };
}

static inline struct trigger_sink seen_as_sink(struct seen *s)
{
	return (struct trigger_sink){ .event = seen_sink, .arg = s };
}

/* The i-th event, when it is there. */
static inline const struct seen_event *seen_at(struct seen *s, unsigned i)
{
	struct timespec until;
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += SEEN_SECONDS;
	(void)pthread_mutex_lock(&s->lock);
	while (s->n <= i && pthread_cond_timedwait(&s->more, &s->lock, &until) == 0)
		;
	unsigned n = s->n;
	(void)pthread_mutex_unlock(&s->lock);
	if (n <= i)
		fail_msg("there were %u events, not %u", n, i + 1);
	return &s->e[i];
}

static inline unsigned seen_count(struct seen *s)
{
	(void)pthread_mutex_lock(&s->lock);
	unsigned n = s->n;
	(void)pthread_mutex_unlock(&s->lock);
	return n;
}

static inline void seen_refuse(struct seen *s, unsigned n)
{
	(void)pthread_mutex_lock(&s->lock);
	s->refuse = n;
	(void)pthread_mutex_unlock(&s->lock);
}

/* Until none is left to refuse. */
static inline void seen_refused(struct seen *s)
{
	(void)pthread_mutex_lock(&s->lock);
	while (s->refuse > 0)
		(void)pthread_cond_wait(&s->more, &s->lock);
	(void)pthread_mutex_unlock(&s->lock);
}

static inline int seen_subscribe(struct trigger *t, uint32_t route, const char *filter,
				 const char *options, struct why *why)
{
	const struct trigger_route r = { route,
					 { (const uint8_t *)filter, strlen(filter) },
					 { (const uint8_t *)options, strlen(options) },
					 1 };
	return t->ops->subscribe(t, &r, why);
}

static inline void seen_bind(struct trigger *t, uint32_t route, const char *filter,
			     const char *options)
{
	struct why why = { 0 };
	if (seen_subscribe(t, route, filter, options, &why) != 0)
		fail_msg("%s: %s", filter, why.text);
}

/* Waits until the route is there (words NULL), or until what is wrong with it holds these words. */
static inline void seen_state(struct trigger *t, uint32_t route, const char *words)
{
	struct why why = { 0 };
	bool ok = false;
	for (int i = 0; i < SEEN_SECONDS * 100; i++) {
		ok = t->ops->route_status(t, route, &why);
		if (words ? !ok && strstr(why.text, words) : ok)
			return;
		(void)nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	fail_msg("route %u is %s, not \"%s\"", route, ok ? "there" : why.text,
		 words ? words : "there");
}

static inline void seen_end(struct trigger *t)
{
	t->ops->deafen(t);
	t->ops->stop(t, 0);
	t->ops->free(t);
}

#endif
