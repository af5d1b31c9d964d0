/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/log.h"
#include "base/own.h"
#include "gateway/durable.h"
#include "gateway/path_impl.h"
#include "triggers/mqtt.h"

enum { MATCHES_USUAL = 32, STOP_MS = 2000, GRACE_MS = 500, WORKERS_MOST = 8 };

static struct span text_span(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

/* ---- events come in: on the triggers' threads ---- */

/* Everything that matches, in room if it is enough or else in *ret_more (to be freed). A number that
 * we do not know comes from a subscription of an earlier run: then the topic alone decides. */
static unsigned match(struct path_broker *b, const struct event *e, const uint32_t *routes,
		      unsigned nroutes, struct binding *room[MATCHES_USUAL],
		      struct binding ***ret_more)
{
	struct binding **to = room;
	unsigned cap = MATCHES_USUAL;
	for (;;) {
		unsigned n = binding_table_match(b->table, e->topic, routes, nroutes, to, cap);
		if (n == 0 && nroutes > 0) {
			nroutes = 0;
			continue;
		}
		if (n <= cap)
			return n;
		for (unsigned i = 0; i < cap; i++)
			binding_unref(to[i]);
		free(*ret_more);
		*ret_more = to = calloc(n, sizeof(struct binding *));
		cap = n;
		if (!to)
			return 0;
	}
}

/* Of a subscription that an earlier run left with the broker, or of a binding just removed. */
static void unbound(struct path_broker *b, const struct event *e)
{
	uint64_t held_back;
	atomic_fetch_add_explicit(&b->path->unbound, 1, memory_order_relaxed);
	if (limiter_pass(&b->path->unbound_lines, 1, &held_back))
		LOG(LOG_NOTE, "message dropped: no binding wants it",
		    F_STR("broker", b->config->name),
		    F_BYTES("topic", e->topic.at, e->topic.len < 256 ? e->topic.len : 256),
		    F_U64_SOME("not_logged", held_back));
}

static int on_event(void *arg, const struct event *e, const uint32_t *routes, unsigned nroutes,
		    bool more_at_hand)
{
	struct path_broker *b = arg;
	struct binding *room[MATCHES_USUAL];
	OWN_FREE struct binding **more = NULL;
	unsigned n = match(b, e, routes, nroutes, room, &more);
	struct binding **found = more ? more : room;
	atomic_fetch_add_explicit(&b->path->received, 1, memory_order_relaxed);
	b->path->seat.more = more_at_hand;
	int err = 0;
	if (n == 0)
		unbound(b, e);
	else if (!path_is_repeated(b, e))
		err = dispatch_event(b->path->dispatch, e, found, n, &b->path->seat);
	if (err == 0 && n > 0)
		path_remember(b, e);
	for (unsigned i = 0; i < n; i++)
		binding_unref(found[i]);
	return err;
}

static int on_before_sleep(void *arg)
{
	struct path_broker *b = arg;
	return dispatch_before_sleep(b->path->dispatch, &b->path->seat);
}

static void on_ready(void *arg)
{
	struct path_broker *b = arg;
	dispatch_ready(b->path->dispatch);
}

/* ---- begin and end ---- */

static int broker_open(struct path *p, struct path_broker *b, const struct config_broker *c,
		       struct why *why)
{
	const struct mqtt_options o = {
		.name = c->name,
		.url = c->url,
		.client_id = c->client_id,
		.version = c->version,
		.username = c->username,
		.password_file = c->password_file,
		.ca_file = c->ca_file,
		.cert_file = c->cert_file,
		.key_file = c->key_file,
		.verify = c->verify,
		.keepalive_s = c->keepalive_s,
		.connect_timeout_s = c->connect_timeout_s,
		.backoff_min_ms = c->backoff_min_ms,
		.backoff_max_ms = c->backoff_max_ms,
		.inflight = c->inflight,
		.payload_bytes = p->config->payload_bytes,
		.outbox_messages = p->config->queue_events,
		.outbox_bytes = p->config->queue_bytes,
	};
	struct trigger_sink sink = {
		.event = on_event, .before_sleep = on_before_sleep, .ready = on_ready, .arg = b
	};
	if (p->journal)
		path_sink_durable(&sink);
	(void)snprintf(b->source, sizeof(b->source), "mqtt:%s", c->name);
	b->path = p;
	b->config = c;
	b->table = binding_table_new();
	if (!b->table)
		return why_set(why, -ENOMEM, "out of memory");
	return mqtt_new(&o, &sink, &b->trigger, why);
}

/* In the first turn of the loop: by then the bindings are known, and what a broker has kept for us
 * finds them. */
static void on_first_turn(uv_timer_t *t)
{
	struct path *p = t->data;
	if (p->durable)
		durable_start(p->durable);
	for (unsigned i = 0; i < p->nbrokers; i++)
		p->brokers[i].trigger->ops->start(p->brokers[i].trigger);
}

static void finish_free(struct path *p)
{
	if (p->outbox)
		outbox_stop(p->outbox);
	for (struct binding_entry *e; (e = p->bindings);) {
		p->bindings = e->next;
		binding_unref(e->binding);
		free(e);
	}
	for (unsigned i = 0; i < p->nbrokers; i++) {
		binding_table_free(p->brokers[i].table);
		if (p->brokers[i].trigger)
			p->brokers[i].trigger->ops->free(p->brokers[i].trigger);
	}
	path_journal_close(p);
	free(p);
}

/* No thread is left by now; what the dispatcher still frees holds references of its own. */
static void timer_closed(uv_handle_t *h)
{
	finish_free(h->data);
}

int path_new_with(const struct config *config, uv_loop_t *loop, const char *program, bool journaled,
		  struct path **ret_path, struct why *why)
{
	struct path *p = calloc(1, sizeof(*p));
	if (!p)
		return why_set(why, -ENOMEM, "out of memory");
	p->config = config;
	p->path_config = *config;
	if (config->workers == 0) {
		long cores = sysconf(_SC_NPROCESSORS_ONLN);
		p->path_config.workers = cores < 1              ? 1
					 : cores > WORKERS_MOST ? WORKERS_MOST
								: (unsigned)cores;
	}
	int err = journaled ? path_journal_open(p, why) : 0;
	for (unsigned i = 0; err == 0 && i < config->nbrokers; i++) {
		p->nbrokers++;
		err = broker_open(p, &p->brokers[i], &config->brokers[i], why);
	}
	if (err == 0)
		err = dispatch_new(&p->path_config, loop, program, &p->dispatch, why);
	if (err < 0) {
		finish_free(p);
		return err;
	}
	if (p->journal && (err = path_journal_attach(p, why)) < 0) {
		dispatch_free(p->dispatch, 0);
		finish_free(p);
		return err;
	}
	(void)uv_timer_init(loop, &p->first_turn);
	p->first_turn.data = p;
	(void)uv_timer_start(&p->first_turn, on_first_turn, 0, 0);
	*ret_path = p;
	return 0;
}

int path_new(const struct config *config, uv_loop_t *loop, struct path **ret_path, struct why *why)
{
	OWN_FREE char *program = child_sibling("penstock-sandbox", why);
	if (!program)
		return -ENOENT;
	return path_new_with(config, loop, program, true, ret_path, why);
}

static void stop_brokers(struct path *p, bool deaf_only)
{
	for (unsigned i = 0; i < p->nbrokers; i++) {
		struct trigger *t = p->brokers[i].trigger;
		if (deaf_only)
			t->ops->deafen(t);
		else
			t->ops->stop(t, GRACE_MS);
	}
}

void path_free(struct path *p)
{
	if (!p)
		return;
	(void)uv_timer_stop(&p->first_turn);
	stop_brokers(p, true);                 /* no new events; results still go out */
	dispatch_leave(p->dispatch, &p->seat); /* its thread has been sent away by that */
	dispatch_free(p->dispatch, STOP_MS);
	stop_brokers(p, false);
	uv_close((uv_handle_t *)&p->first_turn, timer_closed);
}

/* ---- functions: the dispatcher's ---- */

int path_function_put(struct path *p, const struct path_function *f, path_loaded *done, void *arg,
		      struct why *why)
{
	return dispatch_function_put(p->dispatch, f, done, arg, why);
}

int path_function_remove(struct path *p, const char *name)
{
	return dispatch_function_remove(p->dispatch, name);
}

int path_candidate_remove(struct path *p, const char *name)
{
	return dispatch_candidate_remove(p->dispatch, name);
}

void path_on_rollout_end(struct path *p, path_rollout_end *ended, void *arg)
{
	dispatch_on_rollout_end(p->dispatch, ended, arg);
}

int path_invoke(struct path *p, const char *function, const struct event *e, path_result *done,
		void *arg, struct why *why)
{
	atomic_fetch_add(&p->received, 1);
	return dispatch_invoke(p->dispatch, function, e, done, arg, why);
}

int path_replay(struct path *p, const struct path_repetition *r, path_result *done, void *arg,
		struct why *why)
{
	return dispatch_replay(p->dispatch, r, done, arg, why);
}

/* ---- bindings ---- */

struct path_broker *path_broker_find(struct path *p, const char *name)
{
	for (unsigned i = 0; i < p->nbrokers; i++) {
		if (strcmp(p->brokers[i].config->name, name) == 0)
			return &p->brokers[i];
	}
	return NULL;
}

struct binding_entry **path_binding_find(struct path *p, uint64_t id)
{
	struct binding_entry **at = &p->bindings;
	while (*at && (*at)->binding->id != id)
		at = &(*at)->next;
	return at;
}

/* Tells the trigger what changed about a route. */
static int route_changed(struct path_broker *b, const struct binding_route *r, struct why *why)
{
	if (r->gone)
		b->trigger->ops->unsubscribe(b->trigger, r->id);
	else if (r->changed)
		return b->trigger->ops->subscribe(b->trigger, r->id, r->filter, r->qos, why);
	return 0;
}

int path_binding_put(struct path *p, const struct path_binding *b, struct why *why)
{
	struct path_broker *broker = path_broker_find(p, b->broker);
	struct binding_route route;
	if (!broker)
		return why_set(why, -E_UNKNOWN,
			       "there is no broker \"%s\" in the configuration ([mqtt] is "
			       "\"default\", others are [mqtt.NAME])",
			       b->broker);
	if (b->qos > 2 || b->publish_qos > 2)
		return why_set(why, -E_INVALID, "a QoS is 0, 1 or 2");
	if (*path_binding_find(p, b->id))
		return why_set(why, -E_EXISTS, "binding %llu exists already",
			       (unsigned long long)b->id);
	OWN_FREE struct binding_entry *e = calloc(1, sizeof(*e));
	if (!e)
		return why_set(why, -ENOMEM, "out of memory");
	int err = binding_new(b->id, text_span(b->function), text_span(b->filter),
			      text_span(b->publish), &e->binding, why);
	if (err < 0)
		return err;
	e->binding->qos = (uint8_t)b->qos;
	e->binding->publish_qos = (uint8_t)b->publish_qos;
	e->binding->retain = b->retain;
	e->binding->deadline_ms = b->deadline_ms;
	uint32_t criticality = CRITICALITIES;
	if (b->criticality)
		(void)criticality_parse(b->criticality, &criticality);
	e->binding->criticality = (uint8_t)criticality;
	e->binding->durability =
		b->durability && *b->durability
			? (enum journal_durability)config_choice(CONFIG_DURABILITY, b->durability)
			: p->durability;
	e->binding->retry_max = b->retry_max;
	e->binding->retry_ms = b->retry_ms;
	e->binding->ordered = b->ordered;
	e->binding->way_out = broker->trigger;
	e->broker = broker;
	err = binding_table_add(broker->table, e->binding, &route);
	if (err == 0 && (err = route_changed(broker, &route, why)) < 0)
		binding_table_remove(broker->table, e->binding, &route);
	if (err < 0) {
		binding_unref(e->binding);
		return why_set(why, err, "out of memory");
	}
	e->next = p->bindings;
	p->bindings = e;
	p->nbindings++;
	(void)ptr_steal(&e);
	return 0;
}

int path_binding_remove(struct path *p, uint64_t id)
{
	struct binding_entry **at = path_binding_find(p, id), *e = *at;
	struct binding_route route;
	if (!e)
		return -E_UNKNOWN;
	*at = e->next;
	p->nbindings--;
	binding_table_remove(e->broker->table, e->binding, &route);
	(void)route_changed(e->broker, &route, NULL);
	binding_unref(e->binding);
	free(e);
	return 0;
}
