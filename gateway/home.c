/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/home.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/own.h"
#include "gateway/cursors.h"
#include "gateway/home_json.h"
#include "triggers/outputs.h"

enum { TICK_MS = 60000, SOON_MS = 100, AWAY_MS = 1000, REFUSALS_PER_S = 5 };

struct home_topic { /* where something retained is, or was to be */
	struct home_topic *next;
	bool wanted;  /* in this look around */
	bool emptied; /* it was not in the last one, and is to be forgotten when that is out */
	char *said;   /* in this run, on this connection; NULL: nothing */
	char topic[];
};

enum home_binding { HOME_STATUS, HOME_SET, HOME_BINDINGS };

struct home_broker {
	struct home *home;
	struct path_source *from;
	struct home_device device;
	bool on;         /* else only what an earlier run said is taken back */
	char cursor[80]; /* "home:BROKER" */
	struct binding *binding[HOME_BINDINGS];
	struct home_topic *topics;
	atomic_bool again; /* all is to be said once more */
	struct limiter refusals;
};

struct home {
	struct path *path;
	uv_async_t changed;
	uv_timer_t tick, soon;
	bool full; /* soon: also what there is, not only what it is */
	unsigned open;
	struct output_range range[OUTPUTS_MAX];
	struct home_broker broker[CONFIG_BROKERS_MAX];
	unsigned n;
};

static struct span text_span(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

/* ---- what is said, and remembered ---- */

static struct home_topic *topic_find(const struct home_broker *b, const char *topic)
{
	struct home_topic *t = b->topics;
	while (t && strcmp(t->topic, topic) != 0)
		t = t->next;
	return t;
}

static struct home_topic *topic_add(struct home_broker *b, struct span topic)
{
	struct home_topic *t = calloc(1, sizeof(*t) + topic.len + 1);
	if (!t)
		return NULL;
	memcpy(t->topic, topic.at, topic.len);
	t->next = b->topics;
	b->topics = t;
	return t;
}

static void topic_free(struct home_topic *t)
{
	free(t->said);
	free(t);
}

/* In the journal before anything can be at the broker. NULL: it cannot be remembered, and nothing is said. */
static struct home_topic *topic_get(struct home_broker *b, const char *topic)
{
	static const struct span yes = { (const uint8_t *)"1", 1 };
	struct cursors *c = b->home->path->cursors;
	struct cursor_step *step;
	struct home_topic *t = topic_find(b, topic);
	if (t || cursors_begin(c, b->cursor, text_span(topic), yes, &step) < 0)
		return t;
	cursors_end(c, step, true);
	return topic_add(b, text_span(topic));
}

static bool publish(struct home_broker *b, const char *topic, const char *text)
{
	const struct trigger_message m = {
		.topic = text_span(topic), .payload = text_span(text), .qos = 1, .retain = 1
	};
	return b->from->trigger->ops->publish(b->from->trigger, &m, 1) == 0;
}

/* What could not go out is tried again by the next tick. text NULL: there was no memory for it. */
static void say(struct home_broker *b, const char *topic, const char *text)
{
	struct home_topic *t = topic_get(b, topic);
	if (!t)
		return;
	t->wanted = true;
	t->emptied = false;
	if (!text || (t->said && strcmp(t->said, text) == 0))
		return;
	char *copy = strdup(text);
	if (!copy || !publish(b, topic, text)) {
		free(copy);
		return;
	}
	free(t->said);
	t->said = copy;
}

static void keep(struct home_broker *b, const char *topic)
{
	struct home_topic *t = topic_find(b, topic);
	if (t)
		t->wanted = true;
}

/* idle: all that was published before has left this gateway. */
static void take_back(struct home_broker *b, bool idle)
{
	for (struct home_topic **at = &b->topics, *t; (t = *at);) {
		if (!t->wanted && t->emptied && idle) {
			cursors_forget(b->home->path->cursors, b->cursor, text_span(t->topic));
			*at = t->next;
			topic_free(t);
			continue;
		}
		if (!t->wanted)
			t->emptied = publish(b, t->topic, "");
		at = &t->next;
	}
}

/* ---- what there is to say ---- */

static void say_state(struct home_broker *b, const struct output_status *s)
{
	char topic[HOME_TOPIC_BYTES], state[HOME_STATE_BYTES];
	home_output_topic(&b->device, s->name, "state", topic);
	if (home_state(s, state))
		say(b, topic, state);
	else
		keep(b, topic);
}

/* One whose device is away since the start stays what an earlier run said. */
static void say_output(struct home_broker *b, const struct output_status *s)
{
	char topic[HOME_TOPIC_BYTES];
	const char *component = home_component(s);
	if (component) {
		OWN_FREE char *config = home_output_config(&b->device, s);
		home_config_topic(&b->device, component, s->name, topic);
		say(b, topic, config);
		return;
	}
	static const char *const any[] = { "switch", "number" };
	for (size_t i = 0; i < ARRAY_LEN(any); i++) {
		home_config_topic(&b->device, any[i], s->name, topic);
		keep(b, topic);
	}
}

static void say_counters(struct home_broker *b)
{
	struct path *p = b->home->path;
	struct dispatch_status d;
	struct journal_status j = { 0 };
	char topic[HOME_TOPIC_BYTES];
	for (unsigned i = 0; i < HOME_SENSORS; i++) {
		OWN_FREE char *config = home_sensor_config(&b->device, i);
		home_sensor_topic(&b->device, i, topic);
		say(b, topic, config);
	}
	dispatch_status(p->dispatch, &d);
	if (p->journal)
		journal_status(p->journal, &j);
	const struct home_counters c = {
		.ok = d.counts[EVENTS_OK],
		.failed = d.counts[EVENTS_FAILED] + d.counts[EVENTS_TRAPPED],
		.dead = j.dead,
		.queue = j.open > d.in_flight ? j.open : d.in_flight, /* many are in both */
	};
	OWN_FREE char *text = home_counters(&c);
	home_counters_topic(&b->device, topic);
	say(b, topic, text);
}

static void say_outputs(struct home_broker *b, bool full)
{
	struct trigger *outputs = b->home->path->outputs;
	const unsigned n = outputs ? outputs_count(outputs) : 0;
	for (unsigned i = 0; i < n; i++) {
		struct output_status s;
		outputs_status(outputs, i, &s);
		if (full)
			say_output(b, &s);
		say_state(b, &s);
	}
}

/* False: the broker is away. Nothing waits for it then: what would be said changes meanwhile, and it may have
 * forgotten all when it is back. */
static bool look_around(struct home_broker *b, bool full)
{
	struct trigger_status s;
	b->from->trigger->ops->status(b->from->trigger, &s);
	if (strcmp(s.state, "connected") != 0) {
		atomic_store(&b->again, true);
		return false;
	}
	if (atomic_exchange(&b->again, false)) {
		full = true;
		for (struct home_topic *t = b->topics; t; t = t->next) {
			free(t->said);
			t->said = NULL;
		}
	}
	if (full) {
		for (struct home_topic *t = b->topics; t; t = t->next)
			t->wanted = false;
	}
	if (b->on)
		say_outputs(b, full);
	if (b->on && full)
		say_counters(b);
	if (full)
		take_back(b, s.queued == 0);
	return true;
}

/* ---- when ---- */

/* A device that came says what it takes. */
static bool ranges_changed(struct home *h)
{
	bool changed = false;
	struct trigger *outputs = h->path->outputs;
	const unsigned n = outputs ? outputs_count(outputs) : 0;
	for (unsigned i = 0; i < n; i++) {
		struct output_status s;
		struct output_range *r = &h->range[i];
		outputs_status(outputs, i, &s);
		changed |= s.range.least != r->least || s.range.most != r->most;
		*r = s.range;
	}
	return changed;
}

static void on_soon(uv_timer_t *t);

static void soon(struct home *h, uint64_t ms, bool full)
{
	h->full |= full;
	if (!uv_is_active((uv_handle_t *)&h->soon))
		(void)uv_timer_start(&h->soon, on_soon, ms, 0);
}

static void look_at_all(struct home *h, bool full)
{
	bool all = true;
	full |= ranges_changed(h);
	for (unsigned i = 0; i < h->n; i++)
		all &= look_around(&h->broker[i], full);
	if (!all)
		soon(h, AWAY_MS, false);
}

static void on_soon(uv_timer_t *t)
{
	struct home *h = t->data;
	bool full = h->full;
	h->full = false;
	look_at_all(h, full);
}

static void on_tick(uv_timer_t *t)
{
	look_at_all(t->data, true);
}

/* An output that blinks is not worth more. */
static void on_changed(uv_async_t *a)
{
	soon(a->data, SOON_MS, false);
}

void home_output_changed(struct home *h)
{
	if (h)
		(void)uv_async_send(&h->changed);
}

/* ---- what is asked, on the receiving thread ---- */

static void set_output(struct home_broker *b, const struct event *e)
{
	struct why why = { 0 };
	struct span name = { 0 };
	unsigned i;
	uint64_t ticket, held_back;
	struct trigger *outputs = b->home->path->outputs;
	if (e->payload.len == 0) /* a retained one was taken away */
		return;
	int err = home_output_of_topic(&b->device, e->topic, &name) ? 0 : -E_INVALID;
	if (err == 0 && e->retain)
		err = why_set(&why, -E_INVALID,
			      "it is retained, so it would come again at each start: publish it "
			      "without the retain flag, and empty the topic");
	if (err == 0)
		err = outputs_find(outputs, name, &i, &why);
	if (err == 0)
		err = outputs_set(outputs, i, e->payload, &ticket, &why);
	if (err < 0 && limiter_pass(&b->refusals, REFUSALS_PER_S, &held_back))
		LOG(LOG_WARN, "command for an output refused", F_STR("source", b->from->source),
		    F_BYTES("topic", e->topic.at, e->topic.len < 256 ? e->topic.len : 256),
		    F_STR("reason", why_text(&why, err)), F_U64_SOME("not_logged", held_back));
}

unsigned home_take(struct path_source *from, const struct event *e, struct binding **found,
		   unsigned n)
{
	struct home_broker *b = from->home;
	unsigned left = 0;
	if (!b)
		return n;
	for (unsigned i = 0; i < n; i++) {
		if (found[i] != b->binding[HOME_STATUS] && found[i] != b->binding[HOME_SET]) {
			found[left++] = found[i];
			continue;
		}
		if (found[i] == b->binding[HOME_SET]) {
			set_output(b, e);
		} else if (span_eq(e->payload, "online")) {
			atomic_store(&b->again, true);
			(void)uv_async_send(&b->home->changed);
		}
		binding_unref(found[i]);
	}
	return left;
}

/* ---- begin and end ---- */

static void recall(void *arg, struct span name, struct span value)
{
	(void)value;
	(void)topic_add(arg, name); /* without memory for it, it stays for the next run */
}

/* Bindings as all others, so that a function may listen to the same filters. */
static int listen_to(struct home_broker *b, enum home_binding which, const char *filter,
		     struct why *why)
{
	struct binding_route r;
	const struct binding_text text = { .topics = true,
					   .filter = text_span(filter),
					   .options = text_span("{}") };
	struct trigger *t = b->from->trigger;
	int err = binding_new(0, &text, &b->binding[which], why);
	if (err < 0)
		return why_set(why, err, "out of memory");
	b->binding[which]->qos = 1;
	b->binding[which]->by_broker = true;
	err = binding_table_add(b->from->table, b->binding[which], &r);
	if (err == 0 && r.changed)
		err = t->ops->subscribe(
			t, &(struct trigger_route){ r.id, r.filter, r.options, r.qos }, why);
	return err < 0 ? why_set(why, err, "out of memory") : 0;
}

static int broker_add(struct home *h, struct path_source *from, struct why *why)
{
	struct home_broker *b = &h->broker[h->n];
	char filter[HOME_TOPIC_BYTES];
	if (*from->config->url == '\0')
		return 0;
	b->home = h;
	b->from = from;
	b->on = config_home_assistant(from->config);
	home_device_init(&b->device, from->config);
	(void)snprintf(b->cursor, sizeof(b->cursor), "home:%s", from->name);
	cursors_each(h->path->cursors, b->cursor, recall, b);
	if (!b->on && !b->topics)
		return 0;
	h->n++;
	if (!b->on)
		return 0;
	from->home = b;
	(void)snprintf(filter, sizeof(filter), "%s/status", from->config->home_assistant);
	int err = listen_to(b, HOME_STATUS, filter, why);
	home_output_topic(&b->device, "+", "set", filter);
	if (err == 0 && h->path->outputs)
		err = listen_to(b, HOME_SET, filter, why);
	return err;
}

static void finish_free(struct home *h)
{
	for (unsigned i = 0; i < h->n; i++) {
		struct home_broker *b = &h->broker[i];
		for (unsigned k = 0; k < HOME_BINDINGS; k++)
			binding_unref(b->binding[k]);
		for (struct home_topic *t; (t = b->topics);) {
			b->topics = t->next;
			topic_free(t);
		}
	}
	free(h);
}

static void closed(uv_handle_t *handle)
{
	struct home *h = handle->data;
	if (--h->open == 0)
		finish_free(h);
}

void home_free(struct home *h)
{
	if (!h)
		return;
	h->open = 3;
	uv_close((uv_handle_t *)&h->changed, closed);
	uv_close((uv_handle_t *)&h->tick, closed);
	uv_close((uv_handle_t *)&h->soon, closed);
}

int home_new(struct path *p, uv_loop_t *loop, struct home **ret, struct why *why)
{
	struct home *h = calloc(1, sizeof(*h));
	int err = h ? 0 : why_set(why, -ENOMEM, "out of memory");
	if (err < 0)
		return err;
	h->path = p;
	for (unsigned i = 0; err == 0 && i < p->nsources; i++)
		err = broker_add(h, p->sources[i], why);
	if (err == 0 && h->n > 0 && (err = uv_async_init(loop, &h->changed, on_changed)) < 0)
		(void)why_set(why, err, "an eventfd for Home Assistant: %s", uv_strerror(err));
	if (err < 0 || h->n == 0) {
		finish_free(h);
		return err;
	}
	(void)uv_timer_init(loop, &h->tick);
	(void)uv_timer_init(loop, &h->soon);
	h->changed.data = h->tick.data = h->soon.data = h;
	(void)uv_timer_start(&h->tick, on_tick, TICK_MS, TICK_MS);
	soon(h, SOON_MS, true);
	*ret = h;
	return 0;
}
