/* SPDX-License-Identifier: Apache-2.0 */
/* From method, path and query to a row of api.def. No I/O. */
#ifndef GATEWAY_API_ROUTE_H
#define GATEWAY_API_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rd.h"
#include "base/util.h"
#include "base/why.h"

enum api_method { API_GET, API_POST, API_DELETE, API_OTHER };
enum api_body { API_BODY_NONE, API_BODY_JSON, API_BODY_MODULE, API_BODY_PAYLOAD };

enum {
	API_PATH_MAX = 1024,
	API_QUERY_MAX = 64,          /* parameters */
	API_QUERY_BYTES_MAX = 16384, /* all of them */
};

struct api_request;

struct route {
	enum api_method method;
	const char *pattern;
	void (*handle)(struct api_request *q);
	enum api_body body;
	const char *query;
};

struct route_found {
	const struct route *route; /* NULL: see allow */
	struct span arg;           /* what "*" matched, in the path */
	char allow[32];            /* methods of this path: "GET, POST"; "" = no such path */
};

/* path: decoded, with /api/v1. */
void route_find(enum api_method method, struct span path, struct route_found *ret);

/* The query: name and value each NUL-terminated in bytes[]. */
struct query {
	unsigned n;
	size_t used;
	uint16_t name[API_QUERY_MAX], value[API_QUERY_MAX]; /* offsets */
	char bytes[API_QUERY_BYTES_MAX];
};

/* One decoded "name=value" for this route. -EINVAL: unknown to it, given twice, not UTF-8;
 * -E_LIMIT. */
int query_add(struct query *q, const struct route *route, struct span pair,
	      struct why *why) MUST_USE;
/* NULL when it was not given. */
const char *query_get(const struct query *q, const char *name);
/* Decimal in [least, most]; *ret stays as it is when it was not given. -EINVAL. */
int query_u64(const struct query *q, const char *name, uint64_t least, uint64_t most, uint64_t *ret,
	      struct why *why) MUST_USE;
/* "1", "true", "yes" and "" (as in ?granted) are true; "0", "false", "no" false. -EINVAL. */
int query_bool(const struct query *q, const char *name, bool *ret, struct why *why) MUST_USE;

#endif
