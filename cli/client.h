/* SPDX-License-Identifier: Apache-2.0 */
/* Talking to penstockd: REST over its unix socket (doc/API.md). */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "cli/cli.h"
#include "cli/file.h"
#include "proto/own_json.h"

struct client;

/* The socket of --socket, $PENSTOCK_SOCKET or the default. Does not connect yet. NULL = the library
 * could not be started (said already). */
struct client *client_new(struct cli *c) MUST_USE;
void client_free(struct client *k);

static inline void own_client(struct client **k)
{
	client_free(*k);
}
#define OWN_CLIENT __attribute__((cleanup(own_client))) struct client

enum client_method { CLIENT_GET, CLIENT_POST, CLIENT_DELETE };

struct client_request {
	enum client_method method;
	const char *path;         /* below /api/v1, query included (client_path) */
	const char *content_type; /* of the body; NULL = none */
	struct span body;
	unsigned timeout_s; /* 0 = usual */
};

/* Builds "/functions/NAME?x=Y": %s arguments are percent-encoded, everything else is literal.
 * malloc'd. */
char *client_path(const char *fmt, ...) PRINTF_LIKE(1, 2) MUST_USE;

/* Returns the HTTP status (200...) and the body as JSON (NULL where there is none), or -E_GONE when
 * the gateway cannot be reached, -E_PROTO when it answers nonsense. Says nothing. */
int client_call(struct client *k, const struct client_request *q, json_t **ret_json,
		struct why *why) MUST_USE;

/* The usual case: anything but a 2xx is said, with hint. Returns an exit code. */
int client_do(struct client *k, const struct client_request *q, json_t **ret_json) MUST_USE;
/* A GET whose answer goes to fd as it comes. What the gateway refuses is said. Returns an exit code. */
int client_save(struct client *k, const char *path, unsigned timeout_s, int fd,
		uint64_t *ret_bytes) MUST_USE;
/* The HTTP status of the last call that came to its end. */
int client_status(const struct client *k);
/* Says what the gateway refused, or how the call failed. Returns the exit code for it. */
int client_refused(struct client *k, int status, const json_t *body, const struct why *why);

/* Fields of foreign JSON: "" and 0 where they are missing or of another type. */
const char *json_text(const json_t *o, const char *key);
double json_num(const json_t *o, const char *key);
/* The text in NAME, or where there is none, the bytes of NAME_base64. malloc'd. */
struct bytes json_bytes(const json_t *o, const char *name);
void json_print(const struct cli *c, const json_t *j);

#endif
