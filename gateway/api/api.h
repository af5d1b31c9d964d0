/* SPDX-License-Identifier: Apache-2.0 */
/*
 * REST on RUNTIME_DIR/penstock.sock (doc/API.md), by libwebsockets as a guest on the libuv loop.
 * Who may open the socket may do everything: its mode, 0660, is the authorisation.
 */
#ifndef GATEWAY_API_API_H
#define GATEWAY_API_API_H

#include "base/util.h"
#include "base/why.h"
#include "gateway/gateway.h"

enum {
	API_CONNECTIONS_MAX = 128,
	API_JSON_BYTES_MAX = 64 << 10,
	API_DRAIN_BYTES_MAX = 64 << 20, /* a refused body is read to its end up to here */
	API_BODY_SECONDS = 120,         /* in which a body must have come */
	API_WAITERS_MAX = 32,           /* GET /logs?wait_ms */
	API_WAIT_MS_MAX = 60000,
};

struct api;

/* -EADDRINUSE when another gateway answers on that socket. */
int api_new(struct gateway *g, struct api **ret, struct why *why) MUST_USE;
/* Closes the socket and all connections; the loop must run until nothing is left on it. */
void api_stop(struct api *a);
/* Frees what is left. NULL is fine. */
void api_free(struct api *a);

#endif
