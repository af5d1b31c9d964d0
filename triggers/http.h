/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests over HTTP/1.1: a bound path's function runs, and its reply is the answer; or the event is stored, and
 * 202 says so. One thread has all connections (http.c); http_head.h is the reader of what comes over them.
 *
 * What it reports: topic is the path, source "http", type "io.penstock.http.request", attributes method, path, query,
 * remoteaddress and some of the request's headers (http_call.c). An event without a route is POST /f/NAME.
 */
#ifndef TRIGGERS_HTTP_H
#define TRIGGERS_HTTP_H

#include <netinet/in.h>

#include "triggers/trigger.h"

struct http_options {       /* copied */
	const char *listen; /* "": not at all; "127.0.0.1:8080", "[::1]:8080", ":8080" */
	bool insecure;      /* also where others than this machine can come from */
	uint64_t body_bytes;
	unsigned connections, per_address;
	unsigned header_ms, body_ms, idle_ms;
	unsigned answer_ms;     /* longer than any function may take */
	bool invoke;            /* POST /f/NAME without a binding */
	const char *token_file; /* for that; "": none */
};

int http_new(const struct http_options *o, const struct trigger_sink *sink, struct trigger **ret,
	     struct why *why) MUST_USE;

/* Where to listen. -E_INVALID: that is no address and port; *ret_local: only this machine can reach it. */
struct http_address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} at;
	socklen_t len;
	bool local;
};
int http_address_read(const char *listen, struct http_address *ret, struct why *why) MUST_USE;
/* The same, and -E_INVALID with why not where it is not local and insecure does not say so. */
int http_listen_check(const char *listen, bool insecure, struct why *why) MUST_USE;

#endif
