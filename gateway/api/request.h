/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request and its reply, as handlers see it. A handler answers exactly once, at once or later,
 * by one of the reply calls, after which the request is not its any more. A client that went away in
 * between makes no difference to it.
 */
#ifndef GATEWAY_API_REQUEST_H
#define GATEWAY_API_REQUEST_H

#include <jansson.h>
#include <sys/queue.h>

#include "base/wr.h"
#include "gateway/api/api.h"
#include "gateway/api/route.h"
#include "proto/kinds.h"

struct lws;

struct api_request {
	struct api *api;
	struct gateway *g;
	struct lws *wsi;           /* NULL: the client is gone */
	const struct route *route; /* NULL: refused before a handler saw it */
	char arg[256];             /* what "*" in the pattern matched; NUL-terminated UTF-8 */
	struct query query;
	struct span body; /* complete when the handler is called */

	/* A handler that waits (GET /logs). */
	TAILQ_ENTRY(api_request) waiter;
	bool is_waiting;
	void (*on_line)(struct api_request *q);
	void *handler;  /* the handler's own */
	uint64_t seen;  /* GET /logs: up to here nothing was wanted */
	uint64_t by_ms; /* the handler's own: until when it waits, uv_now() */
	void (*on_timer)(struct api_request *q); /* armed by request_timer() */

	/* server.c's own */
	uint8_t *buffer; /* of body */
	size_t buffer_cap, body_most, declared;
	uint64_t body_by_ns;
	bool is_handled; /* a handler has it */
	bool is_closing; /* no keep-alive after this */
	unsigned status; /* 0: not answered yet */
	const char *content_type;
	char allow[32];
	uint8_t *out; /* LWS_PRE bytes, then the body */
	uint64_t out_len, out_sent;
	int out_fd; /* -1, or the body's: out is a piece of it then */
	bool head_sent;
	TAILQ_ENTRY(api_request) link;
};

/* Takes the reference to body; NULL: no body (204). */
void request_reply(struct api_request *q, unsigned status, json_t *body);
/* The same for text; copies it. */
void request_reply_text(struct api_request *q, const char *content_type, struct span text);
/* The next `bytes` bytes of a file, read as the client takes them; fd is taken. */
void request_reply_fd(struct api_request *q, const char *content_type, int fd, uint64_t bytes);
/* {"error": {code, message, hint}}; status, code and hint by err where the last two are NULL.
 * extra (may be NULL) is a reference that is taken; its members go beside "error". */
void request_error(struct api_request *q, int err, const char *message, const char *hint,
		   json_t *extra);
/* The same with the reason in why. */
void request_fail(struct api_request *q, int err, const struct why *why);

/* The event that the path names. -E_UNKNOWN: that is no number of one. */
int request_event(const struct api_request *q, uint64_t *ret, struct why *why) MUST_USE;
/* Calls q->on_timer once after ms, unless it was answered before. */
void request_timer(struct api_request *q, uint64_t ms, void (*on_timer)(struct api_request *q));

/* The body, malloc'd; the caller's from here (its length is in q->body until then). */
uint8_t *request_body_steal(struct api_request *q) MUST_USE;

/* The body as a JSON object, a new reference. -EINVAL. */
int body_object(struct span body, json_t **ret, struct why *why) MUST_USE;
/* The same, every member known: `format` and what follows as for
 * json_unpack_ex(). *ret is a new reference that keeps the strings. -EINVAL. */
int body_json(struct span body, json_t **ret, struct why *why, const char *format, ...) MUST_USE;
/* POST /bindings: strings of *ret live as long as *ret_body, which is the caller's also after an
 * error. */
/* options: where the canonical ones are written, and ret points. */
int api_binding_read(struct span body, json_t **ret_body, struct registry_binding *ret,
		     char options[KIND_OPTIONS_BYTES], struct why *why) MUST_USE;

/* Answers with what a deploy or a switch of versions came to; arg: the request. */
void api_on_deployed(void *arg, const struct deploy_outcome *o);
/* What became of a function's last candidate; NULL: it never had one. A new reference. */
json_t *api_rollout_json(struct gateway *g, const char *name);

/* Parts of a result: messages, lines of a guest's log (level byte '3'..'7', text, newline), the trap or null. */
json_t *api_effects_json(struct span effects);
json_t *api_log_json(struct span log);
json_t *api_trap_json(const struct ipc_result *r);

/* Handlers that wait for log lines: cap on their number, and who is called when lines came. */
bool request_wait(struct api_request *q, void (*on_line)(struct api_request *q));

/* status for errno or E_...; code and hint for people. */
struct api_error {
	int err;
	unsigned status;
	const char *code, *hint;
};
struct api_error api_error_of(int err);

#define ROUTE(method, pattern, handle, body, query) void handle(struct api_request *q);
#include "gateway/api/api.def"
#undef ROUTE

#endif
