/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The newest log lines in memory, for GET /logs. Bounded in bytes and lines: the oldest go first,
 * and a reader sees by the sequence numbers that it missed some.
 *
 * logs_sink() may run on any thread; everything else belongs to the loop thread.
 */
#ifndef GATEWAY_LOGS_H
#define GATEWAY_LOGS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/log.h"
#include "base/util.h"
#include "base/why.h"

enum { LOGS_LINES_MAX = 8192, LOGS_READ_MAX = 1000 };

struct logs;

int logs_new(size_t cap_bytes, struct logs **ret, struct why *why) MUST_USE;
/* After log_set_sink(NULL, NULL) or when no other thread logs any more. */
void logs_free(struct logs *l);

/* For log_set_sink(); arg is the struct logs. */
void logs_sink(void *arg, const struct log_line *line);

/* Calls wake on the loop after lines came, once for many. */
typedef void logs_wake(void *arg);
int logs_watch(struct logs *l, uv_loop_t *loop, logs_wake *wake, void *arg,
	       struct why *why) MUST_USE;
/* Ends the watch; run the loop once more before logs_free. */
void logs_unwatch(struct logs *l);

struct logs_filter {
	uint64_t after;       /* only lines with a greater sequence number; 0: the newest ones */
	unsigned limit;       /* at most LOGS_READ_MAX */
	const char *function; /* NULL, or the name in the field "function" */
	enum log_level most_verbose;
};

/* {items: [{seq, at, level, message, fields}], next}: next is the `after` to go on with. Sequence
 * numbers grow also over a restart. NULL when out of memory. */
json_t *logs_read(struct logs *l, const struct logs_filter *f);

const char *logs_level_name(enum log_level level);

#endif
