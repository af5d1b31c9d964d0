/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/log.h"
#include "base/own.h"
#include "gateway/cursors.h"
#include "gateway/durable.h"
#include "gateway/home.h"
#include "gateway/path_impl.h"
#include "proto/topic.h"

enum { STOP_MS = 2000, GRACE_MS = 500, WORKERS_MOST = 8 };

static struct span text_span(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

/* ---- begin and end ---- */

/* In the first turn of the loop: by then the bindings are known, and what a broker has kept for us
 * finds them. */
static void on_first_turn(uv_timer_t *t)
{
	struct path *p = t->data;
	if (p->durable)
		durable_start(p->durable);
	if (p->outputs)
		p->outputs->ops->start(p->outputs);
	path_sources_start(p);
}

static void finish_free(struct path *p)
{
	if (p->outbox)
		outbox_stop(p->outbox);
	if (p->outputs)
		p->outputs->ops->free(p->outputs);
	for (struct binding_entry *e; (e = p->bindings);) {
		p->bindings = e->next;
		binding_unref(e->binding);
		free(e);
	}
	path_sources_free(p);
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
	if (err == 0)
		err = cursors_new(p->journal, &p->cursors, why);
	if (err == 0)
		err = path_brokers_open(p, why);
	if (err == 0)
		err = path_outputs_open(p, why);
	if (err == 0)
		err = dispatch_new(&p->path_config, loop, program, &p->dispatch, why);
	if (err < 0) {
		finish_free(p);
		return err;
	}
	err = path_outputs_attach(p, why);
	if (err == 0 && p->journal)
		err = path_journal_attach(p, why);
	if (err == 0)
		err = home_new(p, loop, &p->home, why);
	if (err < 0) {
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

void path_free(struct path *p)
{
	if (!p)
		return;
	(void)uv_timer_stop(&p->first_turn);
	path_sources_deafen(p);                /* no new events; results still go out */
	dispatch_leave(p->dispatch, &p->seat); /* its thread has been sent away by that */
	dispatch_free(p->dispatch, STOP_MS);
	path_sources_stop(p, GRACE_MS);
	if (p->outputs)
		p->outputs->ops->stop(p->outputs, GRACE_MS);
	home_free(p->home); /* whoever called it is deaf by now */
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

struct binding_entry **path_binding_find(struct path *p, uint64_t id)
{
	struct binding_entry **at = &p->bindings;
	while (*at && (*at)->binding->id != id)
		at = &(*at)->next;
	return at;
}

/* Tells the trigger what changed about a route. */
static int route_changed(struct path_source *b, const struct binding_route *r, struct why *why)
{
	if (r->gone)
		b->trigger->ops->unsubscribe(b->trigger, r->id);
	else if (r->changed)
		return b->trigger->ops->subscribe(
			b->trigger, &(struct trigger_route){ r->id, r->filter, r->options, r->qos },
			why);
	return 0;
}

/* Where its messages go: the broker it names, that of its events, or "default". NULL: there is none. */
static int way_out(struct path *p, const struct path_binding *b, struct path_source *from,
		   struct path_source **ret, struct why *why)
{
	bool named = b->publish_broker && *b->publish_broker;
	*ret = from->config ? from : path_source_find(p, "mqtt", "default");
	if (!named)
		return 0;
	return path_source_get(p, "mqtt", b->publish_broker, ret, why);
}

/* A shared subscription's messages are for whom the broker chooses; no_local wants none of our own; and who is to
 * see the retain flag as it was sent could not be told what comes back from what was retained. */
static bool only_by_broker(const struct binding *b)
{
	struct kind_values v;
	if (topic_unshared(b->filter).len != b->filter.len)
		return true;
	if (kind_values_read(KIND_INPUT, "mqtt", b->options, &v, NULL) < 0)
		return false;
	bool only = kind_flag(&v, "no_local") || kind_flag(&v, "retain_as_published");
	kind_values_free(&v);
	return only;
}

int path_binding_put(struct path *p, const struct path_binding *b, struct why *why)
{
	struct path_source *from, *to;
	struct binding_route route;
	int err = path_source_get(p, b->kind, b->broker, &from, why);
	if (err == 0)
		err = way_out(p, b, from, &to, why);
	if (err < 0)
		return err;
	if (b->qos > 2 || b->publish_qos > 2)
		return why_set(why, -E_INVALID, "a QoS is 0, 1 or 2");
	if (*path_binding_find(p, b->id))
		return why_set(why, -E_EXISTS, "binding %llu exists already",
			       (unsigned long long)b->id);
	OWN_FREE struct binding_entry *e = calloc(1, sizeof(*e));
	if (!e)
		return why_set(why, -ENOMEM, "out of memory");
	const struct binding_text text = { .topics = from->config != NULL,
					   .function = text_span(b->function),
					   .filter = text_span(b->filter),
					   .options = text_span(b->options),
					   .publish = text_span(b->publish) };
	err = binding_new(b->id, &text, &e->binding, why);
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
	e->binding->way_out = to ? to->trigger : NULL;
	e->binding->direct = to && path_is_direct(to) ? to->direct : NULL;
	e->binding->by_broker = from->config && only_by_broker(e->binding);
	e->binding->outputs = p->outputs;
	e->from = from;
	err = binding_table_add(from->table, e->binding, &route);
	if (err == -E_EXISTS)
		(void)why_set(why, err,
			      "another binding listens to \"%.200s\" with other options; one "
			      "subscription has one set of them",
			      b->filter);
	if (err == 0 && (err = route_changed(from, &route, why)) < 0)
		binding_table_remove(from->table, e->binding, &route);
	if (err < 0) {
		binding_unref(e->binding);
		return why_set(why, err, "out of memory");
	}
	e->route = route.id;
	e->next = p->bindings;
	p->bindings = e;
	p->nbindings++;
	(void)ptr_steal(&e);
	return 0;
}

bool path_binding_known(struct path *p, uint64_t id)
{
	return *path_binding_find(p, id) != NULL;
}

int path_binding_remove(struct path *p, uint64_t id)
{
	struct binding_entry **at = path_binding_find(p, id), *e = *at;
	struct binding_route route;
	if (!e)
		return -E_UNKNOWN;
	*at = e->next;
	p->nbindings--;
	binding_table_remove(e->from->table, e->binding, &route);
	(void)route_changed(e->from, &route, NULL);
	binding_unref(e->binding);
	free(e);
	return 0;
}
