/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host calls of one task work on: its arguments, its environment, its three streams, and
 * in a gateway the event and what comes of it.
 *
 * Everything that grows here is bounded by the function's output quota or by a constant, belongs to
 * the task's host, and is freed or kept by host_reset(); host calls own nothing (STYLE.md, 6).
 */
#ifndef RUNTIME_HOST_H
#define RUNTIME_HOST_H

#include <stdbool.h>

#include "base/rd.h"
#include "base/util.h"
#include "proto/ipc.h"
#include "proto/told.h"
#include "sandbox/runtime/state.h"
#include "sandbox/runtime/task.h"
#include "sandbox/runtime/trace.h"

struct outbuf {
	uint8_t *p;
	size_t len, cap;
};

enum host_stream { HOST_STDIN, HOST_STDOUT, HOST_STDERR, HOST_CLOSED };
enum { HOST_FDS = 3, HOST_KEEP_BYTES = 4 << 10 };

struct host {
	bool direct;           /* the streams are descriptors 0, 1, 2 of this process */
	struct span args, env; /* NUL-separated */
	enum host_stream fds[HOST_FDS];
	uint32_t output_bytes; /* quota of reply and effects together */

	struct span payload;
	size_t payload_read; /* by fd_read(0) */
	struct span attrs;   /* encoded, see ipc_attr_next() */
	struct outbuf reply, effects, log, environ;
	uint32_t neffects;
	struct state state;
	struct trace trace;
	uint64_t event;          /* the gateway's number of it */
	const struct told *told; /* who answers instead of a gateway; NULL: nobody */
	bool strayed;            /* it asked what told does not know */
	bool has_event;          /* false in _initialize */
	bool environ_made, log_full, log_mid_line;
};

/* For the next event; buffers stay allocated up to HOST_KEEP_BYTES each. */
void host_reset(struct host *h);
void host_fini(struct host *h);

/* False when there is no memory; len is then unchanged. */
bool outbuf_reserve(struct outbuf *b, size_t more) MUST_USE;
bool outbuf_put(struct outbuf *b, const void *p, size_t n) MUST_USE;

/* Bytes of reply and effects that may still come. */
size_t host_output_left(const struct host *h);
/* Text for the log at a level '3'..'7'; each of its lines becomes one; cut at IPC_LOG_BYTES. */
void host_log(struct host *h, char level, const uint8_t *text, size_t len);
/* The same for what must not be missing, of at most half of that: it takes the place of what came
 * before it. */
void host_log_last(struct host *h, char level, const uint8_t *text, size_t len);
/* stderr comes in pieces: a line goes on where the last piece ended. */
void host_log_stream(struct host *h, const uint8_t *text, size_t len);
/* The whole environment, NUL-terminated entries: env, then the event's attributes as CE_NAME=value
 * and MQTT_TOPIC. Empty span when out of memory. */
struct span host_environ(struct host *h);

/* NUL-separated strings: the next one, without its NUL. */
bool host_next_string(struct span *list, struct span *ret);

#endif
