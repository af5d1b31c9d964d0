/* SPDX-License-Identifier: Apache-2.0 */
/* A broker that only remembers what was published to it. */
#ifndef TESTS_FAKE_BROKER_H
#define TESTS_FAKE_BROKER_H

#include <pthread.h>
#include <stdio.h>

#include "triggers/trigger.h"

enum { SENT_MAX = 4096 };

struct sent {
	char topic[128], payload[128];
	size_t len;
	uint8_t qos, retain, hops;
};

static struct {
	pthread_mutex_t lock;
	struct sent sent[SENT_MAX];
	unsigned n;
} out = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void remember_one(const struct trigger_message *m)
{
	struct sent *s = &out.sent[out.n++ % SENT_MAX];
	(void)snprintf(s->topic, sizeof(s->topic), "%.*s", (int)m->topic.len,
		       (const char *)m->topic.at);
	(void)snprintf(s->payload, sizeof(s->payload), "%.*s",
		       (int)(m->payload.len < 100 ? m->payload.len : 100),
		       (const char *)m->payload.at);
	s->len = m->payload.len;
	s->qos = m->qos;
	s->retain = m->retain;
	s->hops = m->hops;
}

static int remember(struct trigger *t, const struct trigger_message *m, unsigned n)
{
	(void)t;
	(void)pthread_mutex_lock(&out.lock);
	for (unsigned i = 0; i < n; i++)
		remember_one(&m[i]);
	(void)pthread_mutex_unlock(&out.lock);
	return 0;
}

static inline unsigned published(void)
{
	(void)pthread_mutex_lock(&out.lock);
	unsigned n = out.n;
	(void)pthread_mutex_unlock(&out.lock);
	return n;
}

static const struct trigger_ops remembering = { .kind = "test", .publish = remember };
static struct trigger broker = { .ops = &remembering, .name = "test" };

#endif
