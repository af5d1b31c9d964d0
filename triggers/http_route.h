/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which paths are bound, for which method, who may, and how often. A path goes to the most specific filter: at the
 * first level where two differ, a literal one goes before +; of the same filter, the binding that names the method
 * before one that takes any. Locks itself; any thread.
 */
#ifndef TRIGGERS_HTTP_ROUTE_H
#define TRIGGERS_HTTP_ROUTE_H

#include <pthread.h>

#include "base/why.h"
#include "triggers/http_head.h"
#include "triggers/trigger.h"

enum { HTTP_TOKEN_BYTES = 4096, HTTP_KEY_BYTES = 32, HTTP_DIGEST_BYTES = 32 };

struct http_token {  /* the first line of a file, read again when that changes */
	char *path;  /* NULL: none is wanted */
	bool closed; /* nobody gets in: why says */
	uint64_t look_ns;
	struct {
		int64_t s, ns;
		uint64_t inode;
		int64_t bytes;
	} seen;
	uint8_t digest[HTTP_DIGEST_BYTES];
	struct why why;
};

struct http_routes {
	pthread_mutex_t lock;
	struct http_route *first; /* the most specific */
	unsigned n;
	uint8_t key[HTTP_KEY_BYTES]; /* of the digests */
};

int http_routes_init(struct http_routes *t) MUST_USE;
void http_routes_fini(struct http_routes *t);
/* -E_INVALID */
int http_routes_add(struct http_routes *t, const struct trigger_route *r, struct why *why) MUST_USE;
void http_routes_remove(struct http_routes *t, uint32_t id);
/* Its token is not to be had: false, and why. */
bool http_routes_well(struct http_routes *t, uint32_t id, struct why *ret);

struct http_found {
	uint32_t id;
	bool waits;
	char allow[48]; /* of a 405 */
};
/* 0, or the status to refuse it with: 401, 404, 405, 429. authorization: the field's value. */
int http_routes_find(struct http_routes *t, const struct http_head *h, uint64_t now_ns,
		     struct http_found *ret);

int http_token_init(struct http_token *t, const char *path) MUST_USE; /* "": none; -ENOMEM */
void http_token_fini(struct http_token *t);
/* May it pass? In time that does not depend on what was sent. */
bool http_token_ok(struct http_token *t, const uint8_t key[HTTP_KEY_BYTES],
		   const struct http_head *h, uint64_t now_ns);

#endif
