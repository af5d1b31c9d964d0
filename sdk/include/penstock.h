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
 *	clang-19 --target=wasm32-wasi -O2 -c f.c
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
	PENSTOCK_EINVAL = -1,   /* an argument makes no sense: address, topic, level */
	PENSTOCK_ENOENT = -2,   /* no such attribute, key, or next key */
	PENSTOCK_ELIMIT = -3,   /* a quota of this function is used up */
	PENSTOCK_EPERM = -4,    /* its manifest does not ask for it, or nobody granted it */
	PENSTOCK_ECHANGED = -5, /* state_cas: the value is another one */
	PENSTOCK_EIO = -6,      /* the gateway cannot read its database now */
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

/* The same for an attribute by name: "topic", "id", "source", "type", "time", "qos", "retain",
 * "datacontenttype"; of an MQTT 5 message also "responsetopic", "correlationdata", "expiry", "payloadformat" and
 * its user properties, of which CloudEvents' own are "ce-id", "ce-source", "ce-type", "ce-time", "ce-subject",
 * "ce-dataschema", "ce-specversion". Not NUL-terminated. */
PENSTOCK_IMPORT("event_attr")
int32_t penstock_attr_n(const char *name, uint32_t name_len, char *buf, uint32_t cap);

/* A message to be published when the event is done. topic_len 0: the binding's own topic, with at
 * least its QoS.
 * flags: PENSTOCK_QOS0..2 | PENSTOCK_RETAIN. */
PENSTOCK_IMPORT("emit")
int32_t penstock_emit_n(const char *topic, uint32_t topic_len, const void *data, uint32_t len,
			uint32_t flags);

/* The same with attributes, which travel with the message where its way knows them: with MQTT 5
 *   datacontenttype  content type of the payload     responsetopic    where an answer is wanted
 *   correlationdata  any bytes, given back with it   expiry           seconds; then it is thrown away
 *   payloadformat    "1": the payload is UTF-8
 * and all others as user properties, such as CloudEvents' "type", "subject" and "time". At most 32, of 8 KB.
 * PENSTOCK_EINVAL: no such value can be; or "id", "source", "specversion", "penstock-hops", which are the
 * gateway's. */
struct penstock_attribute {
	const char *name;
	uint32_t name_len;
	const void *value;
	uint32_t value_len;
};
PENSTOCK_IMPORT("emit_with")
int32_t penstock_emit_with_n(const char *topic, uint32_t topic_len, const void *data, uint32_t len,
			     uint32_t flags, const struct penstock_attribute *attrs, uint32_t n);

/* A line for the log, kept whatever comes of the event. */
PENSTOCK_IMPORT("log") int32_t penstock_log_n(uint32_t level, const char *text, uint32_t len);

/*
 * State: values under keys, which outlive the event (capabilities.state in the manifest). bucket ""
 * is the function's own, kept over deploys; others are shared by all functions that were granted their
 * name (capabilities.buckets). Keys are 1 to 512 bytes, buckets up to 64, values up to 32768.
 *
 * What an event changes is committed with its effects when it is done, or not at all. When another event
 * has changed meanwhile what this one has read, this one is run again from its beginning, so a counter
 * is a get and a put. One event can touch 1024 keys, with about 36 KB of changes.
 */

/* Copies up to cap bytes of the value to buf; returns its full length, or PENSTOCK_ENOENT. */
PENSTOCK_IMPORT("state_get")
int32_t penstock_state_get_n(const char *bucket, uint32_t bucket_len, const void *key,
			     uint32_t key_len, void *buf, uint32_t cap);
/* ttl_s: it is gone after so many seconds; 0 = never. */
PENSTOCK_IMPORT("state_put")
int32_t penstock_state_put_n(const char *bucket, uint32_t bucket_len, const void *key,
			     uint32_t key_len, const void *value, uint32_t len, uint32_t ttl_s);
PENSTOCK_IMPORT("state_delete")
int32_t penstock_state_delete_n(const char *bucket, uint32_t bucket_len, const void *key,
				uint32_t key_len);
/* Puts it when the value is `expected` (expected_len -1: when there is none), else PENSTOCK_ECHANGED. */
PENSTOCK_IMPORT("state_cas")
int32_t penstock_state_cas_n(const char *bucket, uint32_t bucket_len, const void *key,
			     uint32_t key_len, const void *expected, int32_t expected_len,
			     const void *value, uint32_t len, uint32_t ttl_s);
/* The next key behind `after` ("" = the first) that begins with prefix, in the order of their bytes; as
 * state_get. */
PENSTOCK_IMPORT("state_next")
int32_t penstock_state_next_n(const char *bucket, uint32_t bucket_len, const void *prefix,
			      uint32_t prefix_len, const void *after, uint32_t after_len, void *buf,
			      uint32_t cap);

/* The same for C strings, in the function's own bucket. */
static inline int32_t penstock_state_get(const char *key, void *buf, uint32_t cap)
{
	return penstock_state_get_n("", 0, key, (uint32_t)__builtin_strlen(key), buf, cap);
}

static inline int32_t penstock_state_put(const char *key, const void *value, uint32_t len)
{
	return penstock_state_put_n("", 0, key, (uint32_t)__builtin_strlen(key), value, len, 0);
}

static inline int32_t penstock_state_delete(const char *key)
{
	return penstock_state_delete_n("", 0, key, (uint32_t)__builtin_strlen(key));
}

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

static inline int32_t penstock_emit_with(const char *topic, const void *data, uint32_t len,
					 const struct penstock_attribute *attrs, uint32_t n)
{
	uint32_t topic_len = (uint32_t)__builtin_strlen(topic);
	return penstock_emit_with_n(topic, topic_len, data, len,
				    topic_len ? PENSTOCK_QOS1 : PENSTOCK_QOS0, attrs, n);
}

static inline struct penstock_attribute penstock_attribute(const char *name, const char *value)
{
	struct penstock_attribute a = { name, (uint32_t)__builtin_strlen(name), value,
					(uint32_t)__builtin_strlen(value) };
	return a;
}

/* Sets an output of the gateway when the event is done: "lamp" is its [output.lamp], the value "1", "0", "on", "off"
 * or a number, as that output takes it. The manifest asks for it: "capabilities": {"io": ["lamp"]}. The function
 * is not told what became of it: an output whose device is away is set when it comes back. */
static inline int32_t penstock_set_output(const char *name, const char *value)
{
	char topic[8 + 63] = "$output/";
	uint32_t len = (uint32_t)__builtin_strlen(name);
	if (len > sizeof(topic) - 8)
		return PENSTOCK_EINVAL;
	__builtin_memcpy(topic + 8, name, len);
	return penstock_emit_n(topic, 8 + len, value, (uint32_t)__builtin_strlen(value),
			       PENSTOCK_QOS1);
}

static inline int32_t penstock_log(uint32_t level, const char *text)
{
	return penstock_log_n(level, text, (uint32_t)__builtin_strlen(text));
}

#ifdef __cplusplus
}
#endif

#endif
