/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock.h: what a function can ask of the gateway. For functions of the reactor shape:
 *
 *	#include <penstock.h>
 *
 *	PENSTOCK_ON_EVENT int on_event(void)
 *	{
 *		char text[256];
 *		int n = penstock_payload(text, sizeof(text));
 *		...
 *		return penstock_emit("alerts/pump", alert, len);
 *	}
 *
 *	clang-19 --target=wasm32-wasi -O2 -fno-unroll-loops -c f.c
 *	clang-19 --target=wasm32-wasi -mexec-model=reactor -o f.wasm f.o
 *
 * on_event returns 0 when the event is done: only then do its effects happen, all together. Any
 * other value, a trap or a time-out: nothing happens and the event counts as failed.
 * A function of the command shape (main, stdin, stdout) needs none of this.
 *
 * Lengths are in bytes. Functions return >= 0, or a negative PENSTOCK_E... .
 */
#ifndef PENSTOCK_H
#define PENSTOCK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PENSTOCK_IMPORT(name) __attribute__((import_module("penstock"), import_name(name)))
#define PENSTOCK_ON_EVENT     __attribute__((export_name("on_event")))

enum {
	PENSTOCK_EINVAL = -1, /* an argument makes no sense: address, topic, level */
	PENSTOCK_ENOENT = -2, /* the event has no such attribute */
	PENSTOCK_ELIMIT = -3, /* a quota of this function is used up */
};

enum {
	PENSTOCK_ERROR = 3,
	PENSTOCK_WARNING = 4,
	PENSTOCK_NOTICE = 5,
	PENSTOCK_INFO = 6,
	PENSTOCK_DEBUG = 7
};
enum { PENSTOCK_QOS0 = 0, PENSTOCK_QOS1 = 1, PENSTOCK_QOS2 = 2, PENSTOCK_RETAIN = 4 };

/* Copies up to cap bytes of the payload to buf; returns its full length. */
PENSTOCK_IMPORT("event_payload") int32_t penstock_payload(void *buf, uint32_t cap);

/* The same for an attribute by name: "topic", "id", "source", "type", "time", ... Not
 * NUL-terminated. */
PENSTOCK_IMPORT("event_attr")
int32_t penstock_attr_n(const char *name, uint32_t name_len, char *buf, uint32_t cap);

/* A message to be published when the event is done. topic_len 0: the binding's own topic, with at
 * least its QoS.
 * flags: PENSTOCK_QOS0..2 | PENSTOCK_RETAIN. */
PENSTOCK_IMPORT("emit")
int32_t penstock_emit_n(const char *topic, uint32_t topic_len, const void *data, uint32_t len,
			uint32_t flags);

/* A line for the log, kept whatever comes of the event. */
PENSTOCK_IMPORT("log") int32_t penstock_log_n(uint32_t level, const char *text, uint32_t len);

/* The same for C strings. */
static inline int32_t penstock_attr(const char *name, char *buf, uint32_t cap)
{
	return penstock_attr_n(name, (uint32_t)__builtin_strlen(name), buf, cap);
}

/* To a topic with QoS 1; to the binding's own ("") with the binding's QoS. */
static inline int32_t penstock_emit(const char *topic, const void *data, uint32_t len)
{
	uint32_t topic_len = (uint32_t)__builtin_strlen(topic);
	return penstock_emit_n(topic, topic_len, data, len,
			       topic_len ? PENSTOCK_QOS1 : PENSTOCK_QOS0);
}

static inline int32_t penstock_log(uint32_t level, const char *text)
{
	return penstock_log_n(level, text, (uint32_t)__builtin_strlen(text));
}

#ifdef __cplusplus
}
#endif

#endif
