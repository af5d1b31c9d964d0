/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /events/ID/replay: an event once more, told what it was told then, and what is different. A revision that
 * is not loaded is loaded for it. GET /events/ID/export: all of that for a laptop.
 */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <string.h>

#include "base/own.h"
#include "gateway/api/event_copy.h"
#include "gateway/text.h"
#include "gateway/wall.h"

enum { DIFFERENCES_MAX = 100, EXPORT_FORMAT = 1 };

struct repeating {
	struct api_request *q;
	struct event_copy event;
	unsigned revision;
	bool loaded_for_it;
};

static void over(struct repeating *r)
{
	event_copy_fini(&r->event);
	free(r);
}

static void fail(struct repeating *r, int err, const char *reason, const char *hint)
{
	request_error(r->q, err, reason, hint, NULL);
	over(r);
}

static json_t *id_json(uint64_t id)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%" PRIu64, id);
	return json_string(text);
}

static json_t *shown_json(struct span s)
{
	return s.at ? text_json(s) : json_null();
}

static void differs(void *arg, const char *what, struct span then, struct span now)
{
	if (json_array_size(arg) < DIFFERENCES_MAX)
		(void)json_array_append_new(arg,
					    json_pack("{s:s, s:o, s:o}", "what", what, "then",
						      shown_json(then), "now", shown_json(now)));
}

static json_t *changes_json(struct span state)
{
	static const char *const names[] = {
		[IPC_STATE_PUT] = "put", [IPC_STATE_DELETE] = "delete"
	};
	json_t *list = json_array();
	struct rd r = rd_from(state.at, state.len);
	for (struct ipc_state_op o; ipc_state_next(&r, &o);) {
		if (o.what != IPC_STATE_PUT && o.what != IPC_STATE_DELETE)
			continue;
		json_t *one = json_pack("{s:s, s:o, s:o}", "what", names[o.what], "bucket",
					text_json(o.bucket), "key", text_json(o.key));
		if (o.what == IPC_STATE_PUT) {
			(void)json_object_set_new(one, "ttl_ms",
						  json_integer((json_int_t)o.ttl_ms));
			text_put_json(one, "value", o.value);
		}
		(void)json_array_append_new(list, one);
	}
	return list;
}

static void on_result(void *arg, const struct event *e, const struct ipc_result *m)
{
	struct repeating *r = arg;
	const struct event_copy *c = &r->event;
	const struct outcome now = outcome_of(m);
	json_t *differences = json_array();
	(void)e;
	unsigned n = outcome_compare(&c->outcome, &now, differs, differences);
	json_t *first = json_pack("{s:i, s:s, s:i, s:o}", "revision", (int)c->revision, "status",
				  ipc_status_name(c->outcome.status), "code", (int)c->outcome.code,
				  "reason", text_json(c->reason));
	json_t *body = json_pack(
		"{s:o, s:s, s:i, s:s, s:i, s:o, s:o, s:o, s:o, s:b, s:i, s:o, s:o, s:I, s:I}",
		"event", id_json(c->id), "function", c->function, "revision", (int)r->revision,
		"status", ipc_status_name(m->status), "code", (int)m->code, "reason",
		text_json(m->why), "effects", api_effects_json(m->effects), "state",
		changes_json(m->state), "log", api_log_json(m->log), "same", n == 0, "ndifferences",
		(int)n, "differences", differences, "first", first, "run_us",
		(json_int_t)(m->run_ns / 1000), "cpu_us", (json_int_t)(m->cpu_ns / 1000));
	(void)json_object_set_new(body, "trap", api_trap_json(m));
	text_put_json(body, "reply", m->reply);
	request_reply(r->q, 200, body);
	over(r);
}

static void repeat(struct repeating *r);

static void on_there(void *arg, const struct deploy_outcome *o)
{
	struct repeating *r = arg;
	if (o->err == 0)
		repeat(r);
	else
		fail(r, o->err, o->why, o->hint);
}

static void repeat(struct repeating *r)
{
	struct why why = { 0 };
	const struct path_repetition p = {
		.function = r->event.function,
		.revision = r->revision,
		.topic = r->event.topic,
		.attrs = r->event.attrs,
		.payload = r->event.payload,
		.trace = r->event.trace,
		.nattrs = r->event.nattrs,
	};
	int err = path_replay(r->q->g->path, &p, on_result, r, &why);
	if (err == -E_UNKNOWN && !r->loaded_for_it) {
		r->loaded_for_it = true;
		why = (struct why){ 0 };
		err = deploy_aside(r->q->g->deployer, r->event.function, r->revision, on_there, r,
				   &why);
	}
	if (err < 0)
		fail(r, err, why_text(&why, err),
		     err == -E_LIMIT ? "this event cannot be repeated; see doc/API.md, replay"
				     : NULL);
}

static void commit(struct api_request *q)
{
	struct why why = { 0 };
	uint64_t id;
	int err = request_event(q, &id, &why);
	if (err == 0 && query_get(&q->query, "revision"))
		err = why_set(&why, -EINVAL,
			      "only the active version's effects can be published: leave "
			      "revision or commit out");
	if (err == 0)
		err = path_event_retry(q->g->path, id, true, &why);
	if (err < 0)
		request_fail(q, err, &why);
	else
		request_reply(q, 200, json_pack("{s:s, s:s}", "id", q->arg, "state", "open"));
}

void api_events_replay(struct api_request *q)
{
	struct why why = { 0 };
	uint64_t revision = 0;
	bool commits = false;
	int err = query_bool(&q->query, "commit", &commits, &why);
	if (err == 0 && commits) {
		commit(q);
		return;
	}
	struct repeating *r = calloc(1, sizeof(*r));
	if (!r)
		err = why_set(&why, -ENOMEM, "out of memory");
	if (err == 0)
		err = query_u64(&q->query, "revision", 1, INT32_MAX, &revision, &why);
	if (err == 0)
		err = event_copy(q, &r->event, &why);
	if (err < 0) {
		free(r);
		request_fail(q, err, &why);
		return;
	}
	r->q = q;
	r->revision = revision ? (unsigned)revision : r->event.revision;
	repeat(r);
}

/* ---- export ---- */

static void base64_put(json_t *o, const char *name, struct span bytes)
{
	size_t cap = sodium_base64_encoded_len(bytes.len, sodium_base64_VARIANT_ORIGINAL);
	OWN_FREE char *text = malloc(cap);
	if (!text)
		return;
	(void)sodium_bin2base64(text, cap, bytes.at, bytes.len, sodium_base64_VARIANT_ORIGINAL);
	(void)json_object_set_new(o, name, json_string(text));
}

/* For people only: what is run is attributes_base64. */
static json_t *attrs_json(struct span list)
{
	json_t *o = json_object();
	struct rd r = rd_from(list.at, list.len);
	for (struct ipc_attr a; ipc_attr_next(&r, &a);) {
		char name[256];
		(void)snprintf(name, sizeof(name), "%.*s",
			       (int)(a.name.len < 255 ? a.name.len : 255), (const char *)a.name.at);
		(void)json_object_set_new(o, name, text_json(a.value));
	}
	return o;
}

struct version_text {
	char version[64], hash[REGISTRY_HASH_TEXT];
};

static int version_take(void *arg, const struct registry_function *f)
{
	struct version_text *v = arg;
	(void)snprintf(v->version, sizeof(v->version), "%s", f->version);
	(void)snprintf(v->hash, sizeof(v->hash), "%s", f->hash);
	return 0;
}

void api_events_export(struct api_request *q)
{
	struct why why = { 0 };
	struct event_copy c;
	struct version_text v = { 0 }; /* empty when it is deployed no more */
	char arrived[WALL_TEXT];
	int err = event_copy(q, &c, &why);
	if (err < 0) {
		request_fail(q, err, &why);
		return;
	}
	(void)!registry_version(q->g->registry, c.function, c.revision, version_take, &v, NULL);
	json_t *o = json_pack("{s:i, s:o, s:s, s:i, s:s, s:s, s:s, s:o, s:o, s:s, s:i, s:o}",
			      "penstock_event", EXPORT_FORMAT, "id", id_json(c.id), "function",
			      c.function, "revision", (int)c.revision, "version", v.version,
			      "sha256", v.hash, "arrived_at", wall_text(c.arrived_wall_ms, arrived),
			      "topic", text_json(c.topic), "attributes", attrs_json(c.attrs),
			      "status", ipc_status_name(c.outcome.status), "code",
			      (int)c.outcome.code, "reason", text_json(c.reason));
	base64_put(o, "attributes_base64", c.attrs);
	base64_put(o, "payload_base64", c.payload);
	base64_put(o, "trace_base64", c.trace);
	base64_put(o, "output_base64", c.output);
	event_copy_fini(&c);
	request_reply(q, 200, o);
}
