/* SPDX-License-Identifier: Apache-2.0 */
/* What events come from: brokers, and things by name; and how their events come in. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/own.h"
#include "gateway/cursors.h"
#include "gateway/direct.h"
#include "gateway/home.h"
#include "gateway/path_impl.h"
#include "triggers/gpio.h"
#include "triggers/mqtt.h"

enum { MATCHES_USUAL = 32 };

/* ---- events come in: on the triggers' threads ---- */

/* Everything that matches, in room if it is enough or else in *ret_more (to be freed). A number that
 * we do not know comes from a subscription of an earlier run: then the topic alone decides. */
static unsigned match(struct path_source *b, const struct event *e, const uint32_t *routes,
		      unsigned nroutes, struct binding *room[MATCHES_USUAL],
		      struct binding ***ret_more)
{
	struct binding **to = room;
	unsigned cap = MATCHES_USUAL;
	for (;;) {
		unsigned n = binding_table_match(b->table, e->topic, routes, nroutes, to, cap);
		if (n == 0 && nroutes > 0 && b->config) {
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
static void unbound(struct path_source *b, const struct event *e)
{
	uint64_t held_back;
	atomic_fetch_add_explicit(&b->path->unbound, 1, memory_order_relaxed);
	if (limiter_pass(&b->path->unbound_lines, 1, &held_back))
		LOG(LOG_NOTE, "message dropped: no binding wants it", F_STR("source", b->source),
		    F_BYTES("topic", e->topic.at, e->topic.len < 256 ? e->topic.len : 256),
		    F_U64_SOME("not_logged", held_back));
}

/* What functions published and comes back: only for those who have not been given it. A retained one that comes
 * because we subscribed is another matter. */
static unsigned leave_by_broker(const struct event *e, struct binding **found, unsigned n)
{
	unsigned left = 0;
	if (!e->returned || e->retain)
		return n;
	for (unsigned i = 0; i < n; i++) {
		if (found[i]->by_broker)
			found[left++] = found[i];
		else
			binding_unref(found[i]);
	}
	return left;
}

static int on_event(void *arg, const struct event *e, const uint32_t *routes, unsigned nroutes,
		    bool more_at_hand)
{
	struct path_source *b = arg;
	struct binding *room[MATCHES_USUAL];
	OWN_FREE struct binding **more = NULL;
	unsigned n = match(b, e, routes, nroutes, room, &more);
	struct binding **found = more ? more : room;
	atomic_fetch_add_explicit(&b->path->received, 1, memory_order_relaxed);
	b->path->seat.more = more_at_hand;
	int err = 0;
	bool wanted = n > 0;
	n = home_take(b, e, found, n);
	n = leave_by_broker(e, found, n);
	if (!wanted)
		unbound(b, e);
	else if (n > 0 && !path_is_repeated(b, e))
		err = dispatch_event(b->path->dispatch, e, found, n, &b->path->seat);
	if (err == 0 && n > 0)
		path_remember(b, e);
	for (unsigned i = 0; i < n; i++)
		binding_unref(found[i]);
	return err;
}

/* The event and where its source is after it, in one transaction. */
static int thing_happened(struct path_source *b, const struct event *e, struct binding **found,
			  unsigned n)
{
	struct cursor_step *step;
	if (e->cursor_name.len == 0 || e->qos == 0)
		return dispatch_event(b->path->dispatch, e, found, n, NULL);
	int err = cursors_begin(b->path->cursors, b->source, e->cursor_name, e->cursor, &step);
	if (err < 0)
		return err;
	err = dispatch_event(b->path->dispatch, e, found, n, NULL);
	cursors_end(b->path->cursors, step, err == 0);
	return err;
}

static size_t on_cursor(void *arg, struct span name, void *ret, size_t cap)
{
	struct path_source *b = arg;
	return cursors_get(b->path->cursors, b->source, name, ret, cap);
}

static void on_forget(void *arg, struct span name)
{
	struct path_source *b = arg;
	cursors_forget(b->path->cursors, b->source, name);
}

/* Not from a broker: its routes say all, nothing is delivered twice, and its thread is one of many. */
static int on_thing(void *arg, const struct event *e, const uint32_t *routes, unsigned nroutes,
		    bool more_at_hand)
{
	struct path_source *b = arg;
	struct binding *room[MATCHES_USUAL];
	OWN_FREE struct binding **more = NULL;
	(void)more_at_hand;
	if (nroutes == 0)
		return 0;
	unsigned n = match(b, e, routes, nroutes, room, &more);
	struct binding **found = more ? more : room;
	int err = 0;
	if (n > 0) { /* else its binding went in this moment */
		atomic_fetch_add_explicit(&b->path->received, 1, memory_order_relaxed);
		err = thing_happened(b, e, found, n);
	}
	for (unsigned i = 0; i < n; i++)
		binding_unref(found[i]);
	return err;
}

static int on_before_sleep(void *arg)
{
	struct path_source *b = arg;
	return dispatch_before_sleep(b->path->dispatch, &b->path->seat);
}

static void on_ready(void *arg)
{
	struct path_source *b = arg;
	dispatch_ready(b->path->dispatch);
}

/* ---- begin and end ---- */

/* Without its trigger. NULL: no memory, or no room. */
static struct path_source *source_new(struct path *p, const struct kind *kind, const char *name)
{
	struct path_source *b = calloc(1, sizeof(*b));
	if (!b || p->nsources == SOURCES_MAX || strlen(name) >= sizeof(b->name) ||
	    !(b->table = binding_table_new(strcmp(kind->name, "mqtt") == 0))) {
		free(b);
		return NULL;
	}
	b->path = p;
	b->kind = kind;
	(void)snprintf(b->name, sizeof(b->name), "%s", name);
	(void)snprintf(b->source, sizeof(b->source), strcmp(kind->name, name) == 0 ? "%s" : "%s:%s",
		       kind->name, name);
	p->sources[p->nsources++] = b;
	return b;
}

/* With MQTT 3.1.1 what comes back could not be told from what others publish. */
bool path_is_direct(const struct path_source *b)
{
	return b->direct && b->config->direct && b->config->version == 5;
}

static int broker_open(struct path *p, const struct config_broker *c, struct why *why)
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
		.session_expiry_s = (uint32_t)c->session_expiry_s,
		.status_topic = c->status_topic,
		.topic_aliases = c->topic_aliases,
		.cloudevents = (enum mqtt_events)config_choice(CONFIG_CLOUDEVENTS, c->cloudevents),
		.unwrap = c->unwrap,
	};
	struct path_source *b = source_new(p, kind_find(KIND_INPUT, "mqtt"), c->name);
	if (!b)
		return why_set(why, -ENOMEM, "out of memory");
	b->config = c;
	struct trigger_sink sink = {
		.event = on_event, .before_sleep = on_before_sleep, .ready = on_ready, .arg = b
	};
	if (p->journal)
		path_sink_durable(&sink);
	int err = mqtt_new(&o, &sink, &b->trigger, why);
	/* Also where it is off: for what an earlier run left in the journal. */
	return err < 0 ? err : direct_new(b, &b->direct, why);
}

int path_brokers_open(struct path *p, struct why *why)
{
	int err = 0;
	for (unsigned i = 0; err == 0 && i < p->config->nbrokers; i++)
		err = broker_open(p, &p->config->brokers[i], why);
	return err;
}

/* How a source that is no broker is made; name: of its section in the configuration, or the kind's. */
typedef int source_make(struct path *p, const char *name, const struct trigger_sink *sink,
			struct trigger **ret, struct why *why);

static int gpio_input(struct path *p, const char *name, const struct trigger_sink *sink,
		      struct trigger **ret, struct why *why)
{
	(void)p, (void)name;
	return gpio_new(NULL, sink, ret, why);
}

static const struct source_kind {
	const char *kind;
	source_make *make;
	bool named; /* several, each with a section of its own */
} source_kinds[] = {
	{ "every", path_timer_input, false },
	{ "cron", path_timer_input, false },
	{ "gpio", gpio_input, false },
	{ "io", path_revpi_input, false },
	{ "key", path_key_input, false },
	{ "sensor", path_sensor_input, false },
	{ "modbus", path_modbus_input, true },
	{ "http", path_http_input, false },
	{ NULL, NULL, false },
};

struct path_source *path_source_find(struct path *p, const char *kind, const char *name)
{
	for (unsigned i = 0; i < p->nsources; i++) {
		struct path_source *b = p->sources[i];
		if (strcmp(b->kind->name, kind) == 0 && strcmp(b->name, name) == 0)
			return b;
	}
	return NULL;
}

int path_source_get(struct path *p, const char *kind, const char *name, struct path_source **ret,
		    struct why *why)
{
	const struct kind *k = kind_find(KIND_INPUT, kind);
	char names[160];
	const struct source_kind *made = source_kinds;
	if (!k)
		return why_set(why, -E_UNSUPPORTED, "there is no kind \"%.40s\"; there are %s",
			       kind, kind_names(KIND_INPUT, names, sizeof(names)));
	if (strcmp(kind, "mqtt") != 0 && *name == '\0')
		name = k->name;
	*ret = path_source_find(p, kind, name);
	if (*ret)
		return 0;
	if (strcmp(kind, "mqtt") == 0)
		return why_set(why, -E_UNKNOWN,
			       "there is no broker \"%.63s\" in the configuration ([mqtt] is "
			       "\"default\", others are [mqtt.NAME])",
			       name);
	while (made->kind && strcmp(made->kind, kind) != 0)
		made++;
	if (!made->kind)
		return why_set(why, -E_UNSUPPORTED, "this gateway was built without \"%s\"", kind);
	if (made->named && strcmp(name, kind) == 0)
		return why_set(why, -E_INVALID,
			       "there may be several [%s.NAME] in the configuration: say which "
			       "(penstock bind --broker NAME)",
			       kind);
	if (!made->named && strcmp(name, kind) != 0)
		return why_set(
			why, -E_INVALID,
			"there is one %s, which has no name: leave out \"%.63s\" (broker is for "
			"mqtt and modbus)",
			kind, name);
	struct path_source *b = source_new(p, k, name);
	if (!b)
		return why_set(why, -ENOMEM, "out of memory, or more than %d sources", SOURCES_MAX);
	struct trigger_sink sink = {
		.event = on_thing, .cursor = on_cursor, .forget = on_forget, .arg = b
	};
	int err = made->make(p, name, &sink, &b->trigger, why);
	if (err < 0) {
		p->nsources--;
		binding_table_free(b->table);
		free(b);
		return err;
	}
	if (p->started)
		b->trigger->ops->start(b->trigger);
	*ret = b;
	return 0;
}

void path_sources_start(struct path *p)
{
	path_http_open(p);
	p->started = true;
	for (unsigned i = 0; i < p->nsources; i++) {
		struct path_source *b = p->sources[i];
		if (b->direct)
			b->direct->ops->start(b->direct);
		b->trigger->ops->start(b->trigger);
	}
}

void path_sources_deafen(struct path *p)
{
	for (unsigned i = 0; i < p->nsources; i++) {
		struct path_source *b = p->sources[i];
		if (b->direct)
			b->direct->ops->deafen(b->direct);
		b->trigger->ops->deafen(b->trigger);
	}
	for (unsigned i = 0; i < p->nsources; i++) /* by now nobody sits there */
		dispatch_leave(p->dispatch, &p->sources[i]->seat);
}

void path_sources_stop(struct path *p, unsigned grace_ms)
{
	for (unsigned i = 0; i < p->nsources; i++)
		p->sources[i]->trigger->ops->stop(p->sources[i]->trigger, grace_ms);
}

void path_sources_free(struct path *p)
{
	for (unsigned i = 0; i < p->nsources; i++) {
		binding_table_free(p->sources[i]->table);
		if (p->sources[i]->trigger)
			p->sources[i]->trigger->ops->free(p->sources[i]->trigger);
		if (p->sources[i]->direct)
			p->sources[i]->direct->ops->free(p->sources[i]->direct);
	}
	picontrol_unref(p->revpi.device);
	modbus_links_free(p->modbus);
	path_journal_close(p);
	cursors_free(p->cursors);
	for (unsigned i = 0; i < p->nsources; i++)
		free(p->sources[i]);
}
