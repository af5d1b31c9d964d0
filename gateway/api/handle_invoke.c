/* SPDX-License-Identifier: Apache-2.0 */
/* POST /functions/NAME/invoke: one event by hand; its effects are shown, not published. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "gateway/api/request.h"
#include "gateway/flight.h"
#include "gateway/text.h"
#include "gateway/wall.h"
#include "proto/aot_abi.h"
#include "proto/topic.h"

enum { INVOKE_MS = 30000, INVOKE_MS_MAX = 600000 };

static const char *const trap_names[] = {
#define TRAP(name, text) [AOT_TRAP_##name] = (text),
	AOT_TRAPS(TRAP)
#undef TRAP
};

json_t *api_effects_json(struct span effects)
{
	json_t *list = json_array();
	struct rd r = rd_from(effects.at, effects.len);
	for (struct ipc_effect e; ipc_effect_next(&r, &e);) {
		json_t *one = json_pack("{s:o, s:i, s:b}", "topic", text_json(e.topic), "qos",
					(int)e.qos, "retain", (int)e.retain);
		text_put_json(one, "payload", e.payload);
		(void)json_array_append_new(list, one);
	}
	return list;
}

json_t *api_log_json(struct span log)
{
	json_t *list = json_array();
	while (log.len > 0) {
		const uint8_t *end = memchr(log.at, '\n', log.len);
		size_t len = end ? (size_t)(end - log.at) : log.len;
		bool has_level = len > 0 && log.at[0] >= '3' && log.at[0] <= '7';
		enum log_level level = has_level ? (enum log_level)(log.at[0] - '0') : LOG_INFO;
		const struct span text = { log.at + has_level, len - has_level };
		(void)json_array_append_new(list,
					    json_pack("{s:s, s:o}", "level", logs_level_name(level),
						      "text", text_json(text)));
		log.at += len + (end != NULL);
		log.len -= len + (end != NULL);
	}
	return list;
}

json_t *api_trap_json(const struct ipc_result *r)
{
	if (r->status != IPC_TRAPPED)
		return json_null();
	return json_string(r->trap < ARRAY_LEN(trap_names) ? trap_names[r->trap] : "unknown");
}

/* The path owes us one call for each; the request may be answered before, by its time limit. */
struct invocation {
	struct api_request *q; /* NULL: answered */
};

static void on_result(void *arg, const struct event *e, const struct ipc_result *r)
{
	struct invocation *i = arg;
	struct api_request *q = i->q;
	free(i);
	if (!q)
		return;
	char id[24]; /* in text: beyond 2^53, numbers of JavaScript and jq are not exact */
	(void)snprintf(id, sizeof(id), "%" PRIu64, e->id);
	json_t *body = json_pack(
		"{s:s, s:s, s:i, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "event", id, "status",
		ipc_status_name(r->status), "code", (int)r->code, "reason", text_json(r->why),
		"effects", api_effects_json(r->effects), "log", api_log_json(r->log), "queue_us",
		(json_int_t)(r->queue_ns / 1000), "run_us", (json_int_t)(r->run_ns / 1000),
		"cpu_us", (json_int_t)(r->cpu_ns / 1000), "memory_bytes",
		(json_int_t)r->memory_bytes);
	(void)json_object_set_new(body, "trap", api_trap_json(r));
	text_put_json(body, "reply", r->reply);
	request_reply(q, 200, body);
}

static void on_late(struct api_request *q)
{
	struct invocation *i = q->handler;
	i->q = NULL;
	request_error(q, -E_TIME, "no result within timeout_ms",
		      "it may still run: see penstock logs, or give a larger timeout_ms", NULL);
}

/* "attr.unit=C" becomes the attribute "unit". */
static uint32_t attrs_read(const struct query *query, struct event_attr *attrs)
{
	static const char prefix[] = "attr.";
	uint32_t n = 0;
	for (unsigned i = 0; i < query->n && n < IPC_ATTRS_MAX; i++) {
		const char *name = query->bytes + query->name[i];
		const char *value = query->bytes + query->value[i];
		if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
			continue;
		name += sizeof(prefix) - 1;
		attrs[n++] = (struct event_attr){
			.name = { (const uint8_t *)name, strlen(name) },
			.value = { (const uint8_t *)value, strlen(value) },
		};
	}
	return n;
}

/* What would be left out silently is refused. */
static int attrs_check(const struct event_attr *attrs, uint32_t n, struct why *why)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct span name = attrs[i].name;
		if (!flight_attr_ok(&attrs[i]))
			return why_set(
				why, -EINVAL,
				"attr.%.*s: this attribute is the gateway's own, or no name%s",
				(int)(name.len > 64 ? 64 : name.len), (const char *)name.at,
				span_eq(name, "topic") ? "; the topic is topic=" : "");
	}
	return 0;
}

static struct span text_span(const char *text)
{
	return (struct span){ (const uint8_t *)text, strlen(text) };
}

static int exists(void *arg, const struct registry_function *f)
{
	(void)arg;
	(void)f;
	return 0;
}

static int invoke(struct api_request *q, uint64_t *ret_timeout_ms, struct why *why)
{
	struct event_attr attrs[IPC_ATTRS_MAX];
	const char *topic = query_get(&q->query, "topic");
	struct event e = {
		.arrived_ns = uv_hrtime(),
		.time_wall_ms = wall_ms(),
		.source = text_span("invoke"),
		.type = text_span("io.penstock.invoke"),
		.topic = text_span(topic ? topic : ""),
		.payload = q->body,
		.attrs = attrs,
		.nattrs = attrs_read(&q->query, attrs),
	};
	*ret_timeout_ms = INVOKE_MS;
	int err = query_u64(&q->query, "timeout_ms", 1, INVOKE_MS_MAX, ret_timeout_ms, why);
	if (err == 0)
		err = attrs_check(attrs, e.nattrs, why);
	if (err == 0 && topic && *topic && !topic_name_ok(e.topic))
		err = why_set(why, -EINVAL,
			      "topic=%.80s is no MQTT topic name: a topic has no wildcards", topic);
	if (err == 0)
		err = registry_functions(q->g->registry, q->arg, exists, NULL, why);
	if (err < 0)
		return err;
	struct invocation *i = malloc(sizeof(*i));
	if (!i)
		return why_set(why, -ENOMEM, "out of memory");
	i->q = q;
	q->handler = i;
	err = path_invoke(q->g->path, q->arg, &e, on_result, i, why);
	if (err < 0)
		free(i);
	return err;
}

void api_invoke(struct api_request *q)
{
	struct why why = { 0 };
	uint64_t timeout_ms;
	int err = invoke(q, &timeout_ms, &why);
	if (err < 0)
		request_fail(q, err, &why);
	else
		request_timer(q, timeout_ms, on_late);
}
