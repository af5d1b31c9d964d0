/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line per fact, with fields, on stderr (systemd reads the <N> priority). The message is a
 * constant, what varies is a field, everything is escaped, so a line cannot be forged by what a
 * guest or a broker sent:
 *
 *	LOG(LOG_WARN, "peer sent a bad message", F_STR("peer", name), F_U64("event", id));
 *	<4>msg="peer sent a bad message" peer="sandbox" event=4711
 *
 * Only the function that decides logs; libraries return their reason (base/why.h).
 * Safe from any thread; one write(2) per line.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

enum log_level { LOG_ERR = 3, LOG_WARN = 4, LOG_NOTE = 5, LOG_INFO = 6, LOG_DEBUG = 7 };

struct log_field {
	const char *key;
	enum { LOG_F_STR, LOG_F_BYTES, LOG_F_U64, LOG_F_I64, LOG_F_ERR } kind;
	bool is_optional;
	const void *p;
	size_t len;
	uint64_t u;
};

#define F_STR(k, s) ((struct log_field){ .key = (k), .kind = LOG_F_STR, .p = (s) })
#define F_BYTES(k, s, n)                                                                           \
	((struct log_field){ .key = (k), .kind = LOG_F_BYTES, .p = (s), .len = (n) })
#define F_U64(k, v) ((struct log_field){ .key = (k), .kind = LOG_F_U64, .u = (uint64_t)(v) })
#define F_I64(k, v)                                                                                \
	((struct log_field){ .key = (k), .kind = LOG_F_I64, .u = (uint64_t)(int64_t)(v) })
/* Left out where it is 0 or empty: for fields that mostly have nothing to say. */
#define F_U64_SOME(k, v)                                                                           \
	((struct log_field){                                                                       \
		.key = (k), .kind = LOG_F_U64, .is_optional = true, .u = (uint64_t)(v) })
#define F_I64_SOME(k, v)                                                                           \
	((struct log_field){                                                                       \
		.key = (k), .kind = LOG_F_I64, .is_optional = true, .u = (uint64_t)(int64_t)(v) })
#define F_BYTES_SOME(k, s, n)                                                                      \
	((struct log_field){                                                                       \
		.key = (k), .kind = LOG_F_BYTES, .is_optional = true, .p = (s), .len = (n) })
#define F_ERR(e)                                                                                   \
	((struct log_field){ .key = "err", .kind = LOG_F_ERR, .u = (uint64_t)(int64_t)(e) })

#define LOG(level, msg, ...)                                                                       \
	do {                                                                                       \
		const struct log_field log_f_[] = { { 0 }, ##__VA_ARGS__ };                        \
		log_write((level), (msg), log_f_ + 1, ARRAY_LEN(log_f_) - 1);                      \
	} while (0)

/* Longest line; what is longer is cut in the last field, with "..." inside its quotes. */
enum { LOG_LINE_BYTES = 2048 };

/* A finished line, without newline and <N>, and what it was made of. */
struct log_line {
	enum log_level level;
	const char *msg;
	const struct log_field *fields;
	size_t nfields;
	const char *text;
	size_t len;
};

/* False: the field is optional and empty, so it is not in the line. */
bool log_field_says(const struct log_field *f);

/* Where finished lines go besides stderr (a ring for the API, say). Called on the thread that logs;
 * must not log. Set once at start, before other threads exist. */
void log_set_sink(void (*sink)(void *arg, const struct log_line *line), void *arg);
void log_set_level(enum log_level most_verbose);
bool log_level_parse(const char *name, enum log_level *ret_level); /* "error" ... "debug" */
void log_write(enum log_level level, const char *msg, const struct log_field *f, size_t n);

#endif
