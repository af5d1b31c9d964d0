/* SPDX-License-Identifier: Apache-2.0 */
/* Requests over HTTP on their way to functions. */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "gateway/path_impl.h"
#include "triggers/http.h"

enum { FUNCTIONS_MOST = 16, WAIT_MORE_MS = 5000 };

/* NULL: there is none. Only brokers are looked at: other sources come and go on the loop's thread. */
static struct trigger *default_broker(const struct path *p)
{
	for (unsigned i = 0; i < p->config->nbrokers; i++) {
		if (strcmp(p->sources[i]->name, "default") == 0)
			return p->sources[i]->trigger;
	}
	return NULL;
}

/* POST /f/NAME without a binding: as if one were there for this request, with nothing but defaults. */
static int invoke(struct path_source *b, const struct event *e)
{
	static const char prefix[] = "/f/";
	struct path *p = b->path;
	struct binding *once;
	struct why why = { 0 };
	const size_t skip = sizeof(prefix) - 1;
	if (e->topic.len <= skip || memcmp(e->topic.at, prefix, skip) != 0)
		return 0;
	const struct binding_text text = { .function = { e->topic.at + skip, e->topic.len - skip },
					   .filter = e->topic };
	int err = binding_new(0, &text, &once, &why);
	if (err < 0)
		return err;
	once->criticality = CRITICALITIES;
	once->durability = p->durability;
	once->way_out = default_broker(p);
	once->outputs = p->outputs;
	err = dispatch_event(p->dispatch, e, &once, 1, &b->seat);
	binding_unref(once);
	return err;
}

static int on_request(void *arg, const struct event *e, const uint32_t *routes, unsigned nroutes,
		      bool more_at_hand)
{
	struct path_source *b = arg;
	struct binding *room[FUNCTIONS_MOST];
	int err = 0;
	b->seat.more = more_at_hand;
	atomic_fetch_add_explicit(&b->path->received, 1, memory_order_relaxed);
	if (nroutes == 0)
		return invoke(b, e);
	unsigned n = binding_table_match(b->table, e->topic, routes, nroutes, room, FUNCTIONS_MOST);
	n = n < FUNCTIONS_MOST ? n : FUNCTIONS_MOST;
	if (n > 0) /* else its binding went in this moment, and the caller sees no event */
		err = dispatch_event(b->path->dispatch, e, room, n, &b->seat);
	for (unsigned i = 0; i < n; i++)
		binding_unref(room[i]);
	return err;
}

static int on_before_sleep(void *arg)
{
	struct path_source *b = arg;
	return dispatch_before_sleep(b->path->dispatch, &b->seat);
}

static void on_ready(void *arg)
{
	struct path_source *b = arg;
	dispatch_ready(b->path->dispatch);
}

int path_http_input(struct path *p, const char *name, const struct trigger_sink *sink,
		    struct trigger **ret, struct why *why)
{
	const struct config_http *c = &p->config->http;
	struct trigger_sink own = *sink;
	const struct http_options o = {
		.listen = c->listen,
		.insecure = c->insecure,
		.body_bytes = c->max_body < p->config->payload_bytes ? c->max_body
								     : p->config->payload_bytes,
		.connections = c->max_connections,
		.per_address = c->max_per_address,
		.header_ms = c->header_timeout_ms,
		.body_ms = c->body_timeout_ms,
		.idle_ms = c->idle_timeout_ms,
		.answer_ms = p->config->deadline_ms + WAIT_MORE_MS,
		.invoke = c->invoke,
		.token_file = c->token_file,
	};
	(void)name;
	own.event = on_request;
	own.before_sleep = on_before_sleep;
	own.ready = on_ready;
	return http_new(&o, &own, ret, why);
}

/* It listens also where nothing is bound (yet). */
void path_http_open(struct path *p)
{
	struct path_source *b;
	struct why why = { 0 };
	if (!p->config->http.listen || *p->config->http.listen == '\0')
		return;
	int err = path_source_get(p, "http", "", &b, &why);
	if (err < 0)
		LOG(LOG_ERR, "HTTP is off", F_STR("reason", why_text(&why, err)), F_ERR(err));
}
