/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/direct.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/own.h"
#include "gateway/dispatch_impl.h"
#include "gateway/durable.h"
#include "proto/message_attrs.h"

enum {
	QUEUE_MESSAGES = 256,
	QUEUE_BYTES = 16 << 20,
	PAUSE_MS = 20, /* after the journal did not take one; doubles up to the second */
	PAUSE_MOST_MS = 2000,
	DROPS_PER_S = 5,
	MARK_BYTES = 64, /* more than the attribute takes */
	MATCHES_USUAL = 32,
};

struct item {
	struct item *next;
	uint64_t token; /* of the outbox; 0: it comes from an event that is not journaled */
	uint64_t wall_ms;
	uint8_t qos, hops;
	struct span topic, payload, attrs;
	uint8_t bytes[];
};

struct direct {
	struct trigger base;
	struct path_source *to;
	char out[80];
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct item *first, **last;
	unsigned n;
	size_t bytes;
	bool refused; /* there was no room: the outbox waits to be told */
	bool deaf;
	uint64_t received, published, dropped;
	struct limiter drops;
};

static struct direct *direct_of(struct trigger *t)
{
	return (struct direct *)t;
}

/* ---- who wants it ---- */

struct matches {
	struct binding *usual[MATCHES_USUAL], **more, **at;
	unsigned n;
};

static void matches_fini(struct matches *m)
{
	for (unsigned i = 0; i < m->n; i++)
		binding_unref(m->at[i]);
	free(m->more);
}
#define OWN_MATCHES __attribute__((cleanup(matches_fini))) struct matches

/* Not those that are to hear only what others publish, or that share their messages with others. */
static int match(const struct direct *d, struct span topic, struct matches *ret)
{
	unsigned cap = MATCHES_USUAL, n;
	*ret = (struct matches){ .at = ret->usual };
	while ((n = binding_table_match(d->to->table, topic, NULL, 0, ret->at, cap)) > cap) {
		for (unsigned i = 0; i < cap; i++)
			binding_unref(ret->at[i]);
		free(ret->more);
		ret->more = ret->at = calloc(n, sizeof(struct binding *));
		if (!ret->more)
			return -ENOMEM;
		cap = n;
	}
	for (unsigned i = 0; i < n; i++) {
		if (ret->at[i]->by_broker)
			binding_unref(ret->at[i]);
		else
			ret->at[ret->n++] = ret->at[i];
	}
	return 0;
}

bool direct_wants(const struct trigger *direct, struct span topic)
{
	OWN_MATCHES m;
	return match((const struct direct *)direct, topic, &m) < 0 || m.n > 0;
}

static struct span marked(struct span attrs, struct wr *room)
{
	static const struct ipc_attr mark = {
		{ (const uint8_t *)MESSAGE_ATTR_DIRECT, sizeof(MESSAGE_ATTR_DIRECT) - 1 },
		{ (const uint8_t *)"1", 1 },
	};
	size_t from = room->len;
	ipc_attr_put(room, &mark);
	wr_bytes(room, attrs.at, attrs.len);
	ENSURE(wr_ok(room));
	return (struct span){ room->buf + from, room->len - from };
}

int direct_copy(struct trigger *direct, const struct trigger *broker, struct trigger_message *m,
		unsigned *n, uint8_t **ret_room)
{
	struct wr room = { 0 };
	size_t most = 0;
	unsigned all = *n;
	for (unsigned i = 0; i < *n; i++)
		most += m[i].attrs.len + MARK_BYTES;
	for (unsigned i = 0; i < *n; i++) {
		if (m[i].to != broker || !direct_wants(direct, m[i].topic))
			continue;
		if (!*ret_room && !(*ret_room = malloc(most)))
			return -ENOMEM;
		if (!room.buf)
			room = wr_into(*ret_room, most);
		struct trigger_message *copy = &m[all++];
		*copy = m[i];
		copy->to = direct;
		copy->qos = m[i].qos > 1 ? 1 : m[i].qos;
		copy->retain = 0;
		m[i].attrs = marked(m[i].attrs, &room);
	}
	*n = all;
	return 0;
}

/* ---- to them: the thread ---- */

static bool is_expired(const struct item *m)
{
	struct span s;
	uint32_t seconds;
	uint64_t now = now_wall_ms();
	return message_attr_find(m->attrs, message_attr_name(ATTR_EXPIRY), &s) &&
	       message_expiry_parse(s, &seconds) && now > m->wall_ms &&
	       (now - m->wall_ms) / 1000 >= seconds;
}

/* Its attributes but for the content type, which an event has elsewhere. */
static uint32_t take_attrs(const struct item *m, struct event *e,
			   struct event_attr ret[IPC_EFFECT_ATTRS])
{
	struct rd r = rd_from(m->attrs.at, m->attrs.len);
	struct ipc_attr a;
	uint32_t n = 0;
	while (n < IPC_EFFECT_ATTRS && ipc_attr_next(&r, &a)) {
		if (message_attr_of(a.name) == ATTR_CONTENT_TYPE)
			e->content_type = a.value;
		else
			ret[n++] = (struct event_attr){ a.name, a.value };
	}
	return n;
}

/* The rows of the events, and that the outbox is rid of it, in one transaction. */
static int deliver(struct direct *d, const struct item *m)
{
	struct path *p = d->to->path;
	struct event_attr attrs[IPC_EFFECT_ATTRS];
	OWN_MATCHES found;
	struct event e = {
		.arrived_ns = now_ns(),
		.time_wall_ms = now_wall_ms(),
		.source = { (const uint8_t *)d->to->source, strlen(d->to->source) },
		.type = { (const uint8_t *)"io.penstock.mqtt.message", 24 },
		.topic = m->topic,
		.payload = m->payload,
		.qos = m->qos,
		.hops = m->hops,
		.attrs = attrs,
	};
	int err = match(d, m->topic, &found);
	if (err < 0)
		return err;
	e.nattrs = take_attrs(m, &e, attrs);
	bool wanted = found.n > 0 && !is_expired(m);
	if (m->token)
		durable_together(p->durable, true);
	if (wanted)
		err = dispatch_event(p->dispatch, &e, found.at, found.n, NULL);
	if (m->token && err == 0)
		outbox_acknowledged(p->outbox, m->token, NULL);
	if (m->token)
		durable_together(p->durable,
				 false); /* committed with the ends of these events, or soon */
	if (wanted && err == 0)
		atomic_fetch_add(&p->received, 1);
	return err;
}

/* lock held */
static void rest(struct direct *d, unsigned failures)
{
	struct timespec t;
	uint64_t ms = failures < 8 ? (uint64_t)PAUSE_MS << (failures - 1) : PAUSE_MOST_MS;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	uint64_t ns = (uint64_t)t.tv_nsec + (ms < PAUSE_MOST_MS ? ms : PAUSE_MOST_MS) * 1000000u;
	t.tv_sec += (time_t)(ns / 1000000000u);
	t.tv_nsec = (long)(ns % 1000000000u);
	while (!d->deaf && pthread_cond_timedwait(&d->wake, &d->lock, &t) == 0)
		;
}

/* lock held. Returns whether the outbox is to be told that there is room. */
static bool drop_first(struct direct *d)
{
	struct item *m = d->first;
	d->first = m->next;
	if (!d->first)
		d->last = &d->first;
	d->n--;
	d->bytes -= m->payload.len;
	d->received++;
	free(m);
	bool tell = d->refused && d->n < QUEUE_MESSAGES / 2;
	d->refused &= !tell;
	return tell;
}

static void *run(void *arg)
{
	struct direct *d = arg;
	unsigned failures = 0;
	(void)pthread_mutex_lock(&d->lock);
	while (!d->deaf) {
		const struct item *m = d->first;
		if (!m) {
			(void)pthread_cond_wait(&d->wake, &d->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&d->lock);
		bool taken = deliver(d, m) == 0;
		(void)pthread_mutex_lock(&d->lock);
		failures = taken ? 0 : failures + 1;
		if (!taken)
			rest(d, failures);
		else if (drop_first(d) && d->to->path->outbox) {
			(void)pthread_mutex_unlock(&d->lock);
			outbox_writable(d->to->path->outbox, &d->base);
			(void)pthread_mutex_lock(&d->lock);
		}
	}
	(void)pthread_mutex_unlock(&d->lock);
	return NULL;
}

/* ---- from the outbox and from events without a journal ---- */

static struct span copy(uint8_t **to, struct span from)
{
	struct span s = { *to, from.len };
	if (from.len)
		memcpy(*to, from.at, from.len);
	*to += from.len;
	return s;
}

static struct item *item_of(const struct trigger_message *m)
{
	struct item *i = calloc(1, sizeof(*i) + m->topic.len + m->payload.len + m->attrs.len);
	if (!i)
		return NULL;
	uint8_t *at = i->bytes;
	i->token = m->token;
	i->wall_ms = m->time_wall_ms ? m->time_wall_ms : now_wall_ms();
	i->qos = m->qos > 1 ? 1 : m->qos;
	i->hops = m->hops;
	i->topic = copy(&at, m->topic);
	i->payload = copy(&at, m->payload);
	i->attrs = copy(&at, m->attrs);
	return i;
}

/* 0; -EAGAIN: no room, or nobody is there any more; -ENOMEM */
static int add(struct direct *d, const struct trigger_message *m)
{
	struct item *i = item_of(m);
	if (!i)
		return -ENOMEM;
	(void)pthread_mutex_lock(&d->lock);
	bool room = !d->deaf && d->n < QUEUE_MESSAGES &&
		    (d->n == 0 || d->bytes + m->payload.len <= QUEUE_BYTES);
	if (room) {
		*d->last = i;
		d->last = &i->next;
		d->n++;
		d->bytes += m->payload.len;
		d->published++;
		(void)pthread_cond_signal(&d->wake);
	}
	d->refused |= !room;
	(void)pthread_mutex_unlock(&d->lock);
	if (!room)
		free(i);
	return room ? 0 : -EAGAIN;
}

static int send_one(struct trigger *t, const struct trigger_message *m)
{
	int err = add(direct_of(t), m);
	return err < 0 ? -EAGAIN : 0; /* without memory, too, it is for later */
}

/* The broker has been given its own already, so nothing can be refused here: what is too much is lost, as
 * such a message is when the gateway dies. */
static int publish(struct trigger *t, const struct trigger_message *m, unsigned n)
{
	struct direct *d = direct_of(t);
	uint64_t held_back;
	for (unsigned i = 0; i < n; i++) {
		if (add(d, &m[i]) == 0)
			continue;
		(void)pthread_mutex_lock(&d->lock);
		d->dropped++;
		(void)pthread_mutex_unlock(&d->lock);
		if (limiter_pass(&d->drops, DROPS_PER_S, &held_back))
			LOG(LOG_WARN, "message between functions dropped: too many wait",
			    F_STR("source", d->to->source),
			    F_BYTES("topic", m[i].topic.at,
				    m[i].topic.len < 256 ? m[i].topic.len : 256),
			    F_U64_SOME("not_logged", held_back));
	}
	return 0;
}

/* ---- what else a trigger does ---- */

static int subscribe(struct trigger *t, const struct trigger_route *r, struct why *why)
{
	(void)t, (void)r;
	return why_set(why, -E_UNSUPPORTED, "bindings are the broker's");
}

static void unsubscribe(struct trigger *t, uint32_t route)
{
	(void)t, (void)route;
}

static void status(struct trigger *t, struct trigger_status *ret)
{
	struct direct *d = direct_of(t);
	(void)pthread_mutex_lock(&d->lock);
	*ret = (struct trigger_status){ .state =
						d->has_thread && !d->deaf ? "connected" : "stopped",
					.received = d->received,
					.published = d->published,
					.dropped = d->dropped,
					.queued = d->n };
	(void)pthread_mutex_unlock(&d->lock);
}

static void start(struct trigger *t)
{
	struct direct *d = direct_of(t);
	int err = pthread_create(&d->thread, NULL, run, d);
	d->has_thread = err == 0;
	if (err)
		LOG(LOG_ERR, "no thread for messages between functions",
		    F_STR("source", d->to->source), F_ERR(-err));
	else
		(void)pthread_setname_np(d->thread, "direct");
}

/* What is being delivered is delivered; the rest stays in the outbox. */
static void deafen(struct trigger *t)
{
	struct direct *d = direct_of(t);
	(void)pthread_mutex_lock(&d->lock);
	d->deaf = true;
	(void)pthread_cond_signal(&d->wake);
	(void)pthread_mutex_unlock(&d->lock);
	if (d->has_thread)
		(void)pthread_join(d->thread, NULL);
	d->has_thread = false;
}

static void stop(struct trigger *t, unsigned grace_ms)
{
	(void)grace_ms;
	deafen(t);
}

static void direct_free(struct trigger *t)
{
	struct direct *d = direct_of(t);
	if (!d)
		return;
	deafen(t);
	for (struct item *m; (m = d->first);) {
		d->first = m->next;
		free(m);
	}
	(void)pthread_cond_destroy(&d->wake);
	(void)pthread_mutex_destroy(&d->lock);
	free(d);
}

static const struct trigger_ops direct_ops = {
	.kind = "direct",
	.subscribe = subscribe,
	.unsubscribe = unsubscribe,
	.publish = publish,
	.send = send_one,
	.status = status,
	.start = start,
	.deafen = deafen,
	.stop = stop,
	.free = direct_free,
};

const char *direct_out(const struct trigger *direct)
{
	return ((const struct direct *)direct)->out;
}

int direct_new(struct path_source *b, struct trigger **ret, struct why *why)
{
	struct direct *d = calloc(1, sizeof(*d));
	pthread_condattr_t monotonic;
	if (!d)
		return why_set(why, -ENOMEM, "out of memory");
	d->base = (struct trigger){ .ops = &direct_ops, .name = b->name };
	d->to = b;
	d->last = &d->first;
	/* No broker's name has a $. */
	(void)snprintf(d->out, sizeof(d->out), "$direct/%s", b->name);
	(void)pthread_mutex_init(&d->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&d->wake, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	*ret = &d->base;
	return 0;
}
