/* SPDX-License-Identifier: Apache-2.0 */
/* /events: what the journal knows of events, and what is to become of dead letters. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/api/request.h"
#include "gateway/outbox.h"
#include "gateway/text.h"
#include "gateway/wall.h"
#include "proto/ipc.h"

enum { EVENTS_USUAL = 100, EVENTS_MOST = 1000 };

static const char *const state_names[] = { "open", "done", "dead", "dropped" };
static const char *const effect_names[] = { "waiting", "sent", "received", "delivered", "dropped" };

static json_t *time_json(uint64_t wall)
{
	char at[WALL_TEXT];
	return wall ? json_string(wall_text(wall, at)) : json_null();
}

static json_t *id_json(uint64_t id)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
	return json_string(text); /* above 2^53, where numbers in JSON end for many */
}

static json_t *head_json(const struct journal_row *r)
{
	return json_pack("{s:o, s:s, s:s, s:I, s:s, s:o, s:i, s:o, s:o, s:s, s:i, s:o}", "id",
			 id_json(r->id), "state", state_names[r->state & 3], "function",
			 r->function, "binding", (json_int_t)r->binding, "source", r->source,
			 "topic", text_json(r->topic), "attempts", (int)r->attempts, "arrived_at",
			 time_json(r->arrived_wall_ms), "finished_at",
			 time_json(r->finished_wall_ms), "status",
			 r->finished_wall_ms ? ipc_status_name(r->status) : "", "payload_bytes",
			 (int)r->payload.len, "reason",
			 text_json((struct span){ (const uint8_t *)r->reason, strlen(r->reason) }));
}

static int append(void *arg, const struct journal_row *r)
{
	return json_array_append_new(arg, head_json(r));
}

/* "dead" -> EVENT_DEAD; -1: any. -EINVAL */
static int state_of(const char *name, int *ret, struct why *why)
{
	*ret = -1;
	for (unsigned i = 0; name && i < ARRAY_LEN(state_names); i++)
		if (strcmp(name, state_names[i]) == 0)
			*ret = (int)i;
	if (name && *ret < 0)
		return why_set(why, -EINVAL,
			       "`state` is \"%.20s\", it must be open, done, dead or dropped",
			       name);
	return 0;
}

void api_events_list(struct api_request *q)
{
	struct why why = { 0 };
	struct journal *j = path_journal(q->g->path);
	uint64_t limit = EVENTS_USUAL, age_s = 0, now = wall_ms();
	struct journal_query jq = { .function = query_get(&q->query, "function") };
	json_t *items = json_array();
	int err = state_of(query_get(&q->query, "state"), &jq.state, &why);
	if (err == 0)
		err = query_u64(&q->query, "limit", 1, EVENTS_MOST, &limit, &why);
	if (err == 0)
		err = query_u64(&q->query, "since_s", 0, INT32_MAX, &age_s, &why);
	if (err == 0)
		err = query_u64(&q->query, "before", 0, INT64_MAX, &jq.before_id, &why);
	jq.limit = (unsigned)limit;
	jq.since_wall_ms = age_s && age_s * 1000 < now ? now - age_s * 1000 : 0;
	if (err == 0 && j)
		err = journal_events(j, &jq, append, items, &why);
	if (err == 0) {
		request_reply(q, 200, json_pack("{s:o}", "items", items));
		return;
	}
	json_decref(items);
	request_fail(q, err, &why);
}

/* ---- one event: its whole story ---- */

static int effect_append(void *arg, const struct journal_effect *e, const char *reason)
{
	char id[EFFECT_ID_BYTES];
	effect_id_text(e, id);
	return json_array_append_new(
		arg, json_pack("{s:s, s:s, s:s%, s:o, s:o, s:i, s:b, s:s}", "id", id, "state",
			       effect_names[e->state <= EFFECT_LOST ? e->state : EFFECT_LOST],
			       "out", (const char *)e->out.at, e->out.len, "topic",
			       text_json(e->topic), "payload", text_json(e->payload), "qos",
			       (int)e->qos, "retain", (int)e->retain, "reason", reason));
}

static json_t *attrs_json(struct span list)
{
	struct rd r = rd_from(list.at, list.len);
	struct ipc_attr a;
	json_t *o = json_object();
	for (unsigned i = 0; i < IPC_ATTRS_MAX && ipc_attr_next(&r, &a); i++) {
		char name[256];
		(void)snprintf(name, sizeof(name), "%.*s",
			       (int)(a.name.len < 255 ? a.name.len : 255), (const char *)a.name.at);
		(void)json_object_set_new(o, name, text_json(a.value));
	}
	return o;
}

struct story {
	json_t *o;
	uint64_t first;
	unsigned n;
};

static int tell(void *arg, const struct journal_row *r)
{
	struct story *s = arg;
	s->o = head_json(r);
	s->first = r->first_effect;
	s->n = r->neffects;
	(void)json_object_set_new(s->o, "due_at",
				  r->state == EVENT_OPEN ? time_json(r->due_wall_ms) : json_null());
	(void)json_object_set_new(s->o, "revision", json_integer(r->revision));
	(void)json_object_set_new(s->o, "code", json_integer(r->code));
	(void)json_object_set_new(
		s->o, "stack",
		text_json((struct span){ (const uint8_t *)r->stack, strlen(r->stack) }));
	(void)json_object_set_new(s->o, "attributes", attrs_json(r->attrs));
	(void)json_object_set_new(s->o, "payload", text_json(r->payload));
	return 0;
}

void api_events_get(struct api_request *q)
{
	struct why why = { 0 };
	struct story s = { 0 };
	struct journal *j = path_journal(q->g->path);
	struct journal_query jq = { .state = -1 };
	int err = request_event(q, &jq.id, &why);
	if (err == 0 && j)
		err = journal_events(j, &jq, tell, &s, &why);
	if (err == 0 && !s.o)
		err = why_set(&why, -E_UNKNOWN, "the journal has no event %.24s (any more)",
			      q->arg);
	json_t *effects = json_array();
	if (err == 0 && s.n > 0)
		err = journal_effects_of(j, s.first, s.n, effect_append, effects, &why);
	if (err == 0) {
		(void)json_object_set_new(s.o, "effects", effects);
		request_reply(q, 200, s.o);
		return;
	}
	json_decref(effects);
	json_decref(s.o);
	request_fail(q, err, &why);
}

void api_events_retry(struct api_request *q)
{
	struct why why = { 0 };
	uint64_t id;
	int err = request_event(q, &id, &why);
	if (err == 0)
		err = path_event_retry(q->g->path, id, false, &why);
	if (err < 0)
		request_fail(q, err, &why);
	else
		request_reply(q, 200, json_pack("{s:s, s:s}", "id", q->arg, "state", "open"));
}

void api_events_drop(struct api_request *q)
{
	struct why why = { 0 };
	struct journal *j = path_journal(q->g->path);
	uint64_t id;
	int err = request_event(q, &id, &why);
	if (err == 0)
		err = j ? journal_dead_drop(j, id, &why)
			: why_set(&why, -E_UNKNOWN, "there is no journal");
	if (err < 0)
		request_fail(q, err, &why);
	else
		request_reply(q, 200, json_pack("{s:s, s:s}", "id", q->arg, "state", "dropped"));
}
