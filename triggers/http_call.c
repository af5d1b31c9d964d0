/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to an event, and from what came of it to a reply. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "proto/aot_abi.h"
#include "proto/ipc.h"
#include "triggers/http_impl.h"

enum { REASON_SHOWN = 200, ATTRS_MOST = 24, ATTR_BYTES_MOST = 2048 };

#define TEXT(s) ((struct span){ (const uint8_t *)(s), sizeof(s) - 1 })

static struct span text_span(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

/* ---- statuses ---- */

static const struct {
	unsigned status;
	const char *text, *code;
} statuses[] = {
	{ 200, "OK", "" },
	{ 202, "Accepted", "" },
	{ 201, "Created", "" },
	{ 204, "No Content", "" },
	{ 400, "Bad Request", "E_INVALID" },
	{ 401, "Unauthorized", "E_TOKEN" },
	{ 404, "Not Found", "E_UNKNOWN" },
	{ 405, "Method Not Allowed", "E_METHOD" },
	{ 408, "Request Timeout", "E_TIME" },
	{ 413, "Content Too Large", "E_LIMIT" },
	{ 417, "Expectation Failed", "E_INVALID" },
	{ 429, "Too Many Requests", "E_RATE" },
	{ 431, "Request Header Fields Too Large", "E_LIMIT" },
	{ 500, "Internal Server Error", "E_INTERNAL" },
	{ 501, "Not Implemented", "E_UNSUPPORTED" },
	{ 502, "Bad Gateway", "E_FAILED" },
	{ 503, "Service Unavailable", "E_BUSY" },
	{ 504, "Gateway Timeout", "E_TIME" },
	{ 505, "HTTP Version Not Supported", "E_UNSUPPORTED" },
	{ 508, "Loop Detected", "E_LOOP" },
};

const char *http_status_text(unsigned status)
{
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].text;
	return ""; /* a function's own; nobody reads it (RFC 9112, 4) */
}

static const char *code_of(unsigned status)
{
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].code;
	return "";
}

/* A guest's words among others: what JSON would have to escape becomes a question mark. */
static void put_words(struct wr *w, const char *s)
{
	for (unsigned n = 0; *s && n < REASON_SHOWN; s++, n++) {
		uint8_t c = (uint8_t)*s;
		wr_u8(w, c < 0x20 || c >= 0x7f || c == '"' || c == '\\' ? '?' : c);
	}
}

size_t http_error_text(char *buf, size_t cap, unsigned status, const char *reason, uint64_t event)
{
	struct wr w = wr_into(buf, cap);
	wr_fmt(&w, "{\"error\":{\"code\":\"%s\",\"message\":\"", code_of(status));
	put_words(&w, reason);
	wr_str(&w, "\"");
	if (event)
		wr_fmt(&w, ",\"event\":\"%" PRIu64 "\"", event);
	wr_str(&w, "}}\n");
	return w.len;
}

/* ---- which function ---- */

static bool is_function_path(const struct http_conn *c)
{
	const struct span p = c->head.path;
	return c->h->o.invoke && p.len > 3 && memcmp(p.at, "/f/", 3) == 0 &&
	       !memchr(p.at + 3, '/', p.len - 3);
}

/* POST /f/NAME. */
static int function_find(struct http_conn *c)
{
	struct http *h = c->h;
	c->found = (struct http_found){ .waits = true, .allow = "POST" };
	if (c->head.method != HTTP_POST)
		return 405;
	return http_token_ok(&h->token, h->routes.key, &c->head, h->now_ns) ? 0 : 401;
}

bool http_call_wanted(struct http_conn *c)
{
	char extra[96];
	struct http *h = c->h;
	int status = http_routes_find(&h->routes, &c->head, h->now_ns, &c->found);
	if (status == 404 && is_function_path(c))
		status = function_find(c);
	switch (status) {
	case 0:
		return true;
	case 401:
		http_conn_refuse(c, 401, "WWW-Authenticate: Bearer realm=\"penstock\"\r\n",
				 "a token is wanted: Authorization: Bearer TOKEN");
		break;
	case 405:
		(void)snprintf(extra, sizeof(extra), "Allow: %s\r\n", c->found.allow);
		http_conn_refuse(c, 405, extra, "this path takes other methods");
		break;
	case 429:
		http_conn_refuse(c, 429, "Retry-After: 1\r\n",
				 "more requests per second than this path takes");
		break;
	default:
		http_conn_refuse(c, 404, "", "nothing is bound to this path");
	}
	return false;
}

/* ---- the event ---- */

/* Headers that functions get, beside Content-Type; and those of CloudEvents, ce-NAME. */
static const char *const passed[] = { "accept",     "host",       "idempotency-key", "traceparent",
				      "tracestate", "user-agent", "x-request-id" };

static bool is_passed(struct span name)
{
	if (name.len > 3 && memcmp(name.at, "ce-", 3) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(passed); i++)
		if (span_eq(name, passed[i]))
			return true;
	return false;
}

struct request_attrs {
	struct event_attr of[ATTRS_MOST];
	unsigned n;
	char from[INET6_ADDRSTRLEN];
};

static void add(struct request_attrs *a, struct span name, struct span value)
{
	if (a->n < ATTRS_MOST && value.len > 0 && value.len <= ATTR_BYTES_MOST)
		a->of[a->n++] = (struct event_attr){ name, value };
}

static void attrs_of(const struct http_conn *c, struct request_attrs *a)
{
	const struct http_head *h = &c->head;
	bool is_v4 = IN6_IS_ADDR_V4MAPPED(&c->from);
	a->n = 0;
	(void)inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? &c->from.s6_addr[12] : (void *)&c->from,
			a->from, sizeof(a->from));
	add(a, TEXT("method"), text_span(http_methods[h->method]));
	add(a, TEXT("path"), h->path);
	add(a, TEXT("query"), h->query);
	add(a, TEXT("remoteaddress"), text_span(a->from));
	for (unsigned i = 0; i < h->nfields; i++)
		if (is_passed(h->field[i].name))
			add(a, h->field[i].name, h->field[i].value);
}

static uint64_t wall_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static int tell(struct http_conn *c, struct http_call *call)
{
	struct http *h = c->h;
	struct request_attrs attrs;
	attrs_of(c, &attrs);
	const struct event e = {
		.arrived_ns = http_now_ns(),
		.time_wall_ms = wall_ms(),
		.source = TEXT("http"),
		.type = TEXT("io.penstock.http.request"),
		.topic = c->head.path,
		.payload = { c->apart ? c->body : c->room + c->head.bytes,
			     c->apart ? c->body_len : (size_t)c->head.length },
		.content_type = http_field(&c->head, "content-type"),
		.qos = 1,
		.attrs = attrs.of,
		.nattrs = attrs.n,
		.caller = &call->caller,
	};
	atomic_fetch_add_explicit(&h->received, 1, memory_order_relaxed);
	return h->trigger.sink.event(h->trigger.sink.arg, &e, &c->found.id, c->found.id != 0,
				     !TAILQ_EMPTY(&h->ready));
}

/* ---- calls ---- */

/* Any thread. The HTTP thread looks here before it sleeps, and is woken when it does. */
static void come_back(struct http_call *call)
{
	struct http *h = call->h;
	const uint64_t one = 1;
	call->next = NULL;
	(void)pthread_mutex_lock(&h->lock);
	*h->done_last = call;
	h->done_last = &call->next;
	bool wake = h->asleep;
	h->asleep = false;
	(void)pthread_mutex_unlock(&h->lock);
	if (wake)
		(void)!write(h->wake, &one, sizeof(one));
}

static void body_set(struct http_call *call, size_t len)
{
	if (call->body != call->small)
		free(call->body);
	call->body_len = len;
	call->body = len <= sizeof(call->small) ? call->small : malloc(len);
	if (!call->body) {
		call->body = call->small;
		call->body_len = 0;
		call->status = 500;
	}
}

static void on_stored(struct event_caller *caller, int err)
{
	struct http_call *call = (struct http_call *)caller;
	call->status = err == 0 ? 202 : 503;
	come_back(call);
}

/* Which part of a list of messages is the answer's. */
enum part { PART_NONE, PART_BODY, PART_STATUS, PART_TYPE };

static enum part part_of(struct span topic)
{
	if (topic.len == 0)
		return PART_BODY;
	if (span_eq(topic, REPLY_TOPIC "status"))
		return PART_STATUS;
	return span_eq(topic, REPLY_TOPIC "content-type") ? PART_TYPE : PART_NONE;
}

/* A status of a function's own, from 200 to 599; else the function has failed. */
static unsigned status_read(struct span s)
{
	unsigned n = 0;
	for (size_t i = 0; i < s.len && i < 4; i++)
		n = s.at[i] >= '0' && s.at[i] <= '9' ? n * 10 + (s.at[i] - '0') : 1000;
	return n >= 200 && n <= 599 ? n : 502;
}

static void type_read(struct span s, char ret[HTTP_TYPE_BYTES])
{
	size_t n = 0;
	while (n < s.len && s.at[n] >= 0x20 && s.at[n] < 0x7f)
		n++;
	if (n < s.len || n == 0 || n >= HTTP_TYPE_BYTES)
		return; /* what its bytes look like, then */
	memcpy(ret, s.at, n);
	ret[n] = '\0';
}

/* What it looks like, where the function did not say. */
static const char *type_of(struct span body)
{
	size_t i = 0;
	while (i < body.len && strchr(" \t\r\n", body.at[i]) && body.at[i])
		i++;
	if (i < body.len && (body.at[i] == '{' || body.at[i] == '['))
		return "application/json";
	return span_is_utf8(body) ? "text/plain; charset=utf-8" : "application/octet-stream";
}

/* stdout of a command, then what was sent to the empty topic, one after the other. */
static void answer(struct http_call *call, const struct ipc_result *r)
{
	struct ipc_effect e;
	size_t len = r->reply.len;
	call->status = 200;
	call->type[0] = '\0';
	for (struct rd list = rd_from(r->effects.at, r->effects.len); ipc_effect_next(&list, &e);) {
		enum part part = part_of(e.topic);
		len += part == PART_BODY ? e.payload.len : 0;
		if (part == PART_STATUS)
			call->status = status_read(e.payload);
		else if (part == PART_TYPE)
			type_read(e.payload, call->type);
	}
	body_set(call, len);
	struct wr w = wr_into(call->body, call->body_len);
	wr_bytes(&w, r->reply.at, r->reply.len);
	for (struct rd list = rd_from(r->effects.at, r->effects.len); ipc_effect_next(&list, &e);)
		if (part_of(e.topic) == PART_BODY)
			wr_bytes(&w, e.payload.at, e.payload.len);
}

static void fail(struct http_call *call, unsigned status, const char *reason)
{
	body_set(call, sizeof(call->small));
	call->status = status;
	(void)snprintf(call->type, sizeof(call->type), "application/json");
	call->body_len = http_error_text((char *)call->small, sizeof(call->small), status, reason,
					 call->caller.event);
}

static void on_said(struct event_caller *caller, const struct ipc_result *r)
{
	struct http_call *call = (struct http_call *)caller;
	char reason[REASON_SHOWN + 1];
	if (r->status == IPC_OK) {
		answer(call, r);
		return;
	}
	if (r->why.len > 0)
		(void)snprintf(reason, sizeof(reason), "%.*s", (int)(r->why.len & 0xffff),
			       (const char *)r->why.at);
	else
		(void)snprintf(reason, sizeof(reason), "the function ended with code %d", r->code);
	fail(call, r->trap == AOT_TRAP_TIME ? 504 : r->status == IPC_REFUSED ? 503 : 502, reason);
}

static void on_ended(struct event_caller *caller, int err)
{
	struct http_call *call = (struct http_call *)caller;
	if (err < 0)
		fail(call, 503, "what it did could not be stored, and has not happened");
	come_back(call);
}

static struct http_call *call_new(struct http_conn *c)
{
	struct http_call *call = malloc(sizeof(*call));
	if (!call)
		return NULL;
	*call = (struct http_call){ .h = c->h, .conn = c };
	call->body = call->small;
	call->caller = (struct event_caller){
		.waits = c->found.waits, .stored = on_stored, .said = on_said, .ended = on_ended
	};
	TAILQ_INSERT_TAIL(&c->h->calls, call, link);
	c->h->ncalls++;
	c->call = call;
	return call;
}

void http_call_free(struct http_call *call)
{
	TAILQ_REMOVE(&call->h->calls, call, link);
	call->h->ncalls--;
	if (call->conn)
		call->conn->call = NULL;
	if (call->body != call->small)
		free(call->body);
	free(call);
}

/* ---- replies ---- */

static void reply_accepted(struct http_conn *c, uint64_t event)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "{\"event\":\"%" PRIu64 "\"}\n", event);
	const struct http_reply r = { .status = 202,
				      .type = "application/json",
				      .body = { (uint8_t *)text, (size_t)n },
				      .event = event };
	http_conn_reply(c, &r);
}

void http_call_done(struct http_call *call)
{
	struct http_conn *c = call->conn;
	const struct span body = { call->body, call->body_len };
	if (c && call->status == 202 && !call->caller.waits) {
		reply_accepted(c, call->caller.event);
	} else if (c && call->status == 503 && !call->caller.waits) {
		http_conn_refuse(c, 503, "Retry-After: 1\r\n", "the event could not be stored");
	} else if (c) {
		const char *type = call->type[0] ? call->type : type_of(body);
		const struct http_reply r = {
			.status = call->status == 0 ? 502 : call->status,
			.type = body.len ? type : NULL,
			.extra = call->status == 503 ? "Retry-After: 1\r\n" : "",
			.body = body,
			.event = call->caller.event,
		};
		http_conn_reply(c, &r);
	}
	http_call_free(call);
}

/* Why the event was not taken, as a status; others: 503. */
static const struct {
	const char *refused;
	unsigned status;
} refusals[] = {
	{ "large", 413 },
	{ "attributes", 431 },
	{ "rate", 429 },
	{ "loop", 508 },
};

static void reply_refused(struct http_conn *c, const struct event_caller *why)
{
	unsigned status = 503;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
		if (strcmp(refusals[i].refused, why->refused) == 0)
			status = refusals[i].status;
	if (strcmp(why->refused, "unknown") == 0 && c->found.id == 0)
		status = 404;
	http_conn_refuse(c, status, status == 503 || status == 429 ? "Retry-After: 1\r\n" : "",
			 why->reason);
}

void http_call_begin(struct http_conn *c)
{
	struct http *h = c->h;
	struct http_call *call = h->is_deaf ? NULL : call_new(c);
	if (!call) {
		http_conn_refuse(c, 503, "Retry-After: 1\r\n",
				 h->is_deaf ? "the gateway is stopping" : "out of memory");
		return;
	}
	int err = tell(c, call);
	const struct event_caller why = call->caller;
	if (err == 0 && !why.refused && (why.event != 0 && (why.waits || why.storing)))
		return; /* it comes back */
	http_call_free(call);
	if (err < 0)
		http_conn_refuse(c, 503, "Retry-After: 1\r\n", "the journal is full, or its disk");
	else if (why.refused)
		reply_refused(c, &why);
	else if (why.event == 0) /* its binding went in this moment */
		http_conn_refuse(c, 404, "", "nothing is bound to this path");
	else
		reply_accepted(c, why.event);
}
