/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CloudEvents 1.0 in JSON (structured mode): a message whose payload is one, made of what a function publishes,
 * and opened where one comes in. Numbers and booleans become text, as functions see all attributes.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "triggers/mqtt_impl.h"

static const char event_type[] = "application/cloudevents+json";

/* Names that the event around it has itself, or that belong together with those. */
static const char *const foreign[][2] = {
	{ "id", "ce-id" },
	{ "source", "ce-source" },
	{ "type", "ce-type" },
	{ "time", "ce-time" },
	{ "subject", "ce-subject" },
	{ "specversion", "ce-specversion" },
	{ "dataschema", "ce-dataschema" },
};

const char *mqtt_foreign_name(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
		if (span_eq(name, foreign[i][0]))
			return foreign[i][1];
	}
	return NULL;
}

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

/* "application/json", "text/x+json; charset=utf-8"; none: JSON, says CloudEvents' JSON format. */
static bool is_json(struct span type)
{
	const uint8_t *end = type.len ? memchr(type.at, ';', type.len) : NULL;
	size_t n = end ? (size_t)(end - type.at) : type.len;
	while (n > 0 && type.at[n - 1] == ' ')
		n--;
	return n == 0 ||
	       (n == 16 && strncasecmp((const char *)type.at, "application/json", n) == 0) ||
	       (n > 5 && strncasecmp((const char *)type.at + n - 5, "+json", 5) == 0);
}

/* ---- in ---- */

/* 3.1.1 says nothing about a payload, so there it is looked at. */
static bool may_be_event(struct span type, unsigned version, struct span payload)
{
	const size_t n = sizeof(event_type) - 1;
	if (version == 5)
		return type.len >= n && strncasecmp((const char *)type.at, event_type, n) == 0 &&
		       (type.len == n || type.at[n] == ';' || type.at[n] == ' ');
	return payload.len > 0 && payload.at[0] == '{' &&
	       memmem(payload.at, payload.len, "\"specversion\"", 13) != NULL;
}

static bool decode_base64(const char *s, struct mqtt_unwrapped *u)
{
	size_t len = strlen(s), pad = 0;
	if (len % 4 != 0 || len > INT32_MAX)
		return false;
	while (pad < 2 && pad < len && s[len - 1 - pad] == '=')
		pad++;
	if (strcspn(s, "=") != len - pad) /* OpenSSL takes it anywhere */
		return false;
	u->bytes = malloc(len / 4 * 3 + 1);
	if (!u->bytes ||
	    EVP_DecodeBlock(u->bytes, (const unsigned char *)s, (int)len) != (int)(len / 4 * 3))
		return false;
	u->payload = (struct span){ u->bytes, len / 4 * 3 - pad };
	return true;
}

static bool open_data(const json_t *o, struct mqtt_unwrapped *u)
{
	const json_t *data = json_object_get(o, "data");
	const char *base64 = json_string_value(json_object_get(o, "data_base64"));
	if (base64)
		return !data && decode_base64(base64, u);
	if (!data)
		return true;
	if (json_is_string(data) && !is_json(u->content_type)) {
		u->payload = (struct span){ (const uint8_t *)json_string_value(data),
					    json_string_length(data) };
		return true;
	}
	u->bytes = (uint8_t *)json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY);
	if (u->bytes)
		u->payload = text((char *)u->bytes);
	return u->bytes != NULL;
}

static bool add_attr(struct mqtt_unwrapped *u, const char *name, const json_t *v)
{
	char *number = u->number[u->nattrs];
	struct span value = { 0 };
	if (json_is_string(v))
		value = (struct span){ (const uint8_t *)json_string_value(v),
				       json_string_length(v) };
	else if (json_is_integer(v))
		(void)snprintf(number, sizeof(u->number[0]), "%" JSON_INTEGER_FORMAT,
			       json_integer_value(v));
	else if (json_is_boolean(v))
		(void)snprintf(number, sizeof(u->number[0]), "%s",
			       json_is_true(v) ? "true" : "false");
	else
		return json_is_null(v);
	if (!json_is_string(v))
		value = text(number);
	const char *other = mqtt_foreign_name(text(name));
	u->attrs[u->nattrs++] = (struct event_attr){ text(other ? other : name), value };
	return true;
}

static bool open_event(json_t *o, struct mqtt_unwrapped *u)
{
	const char *version = json_string_value(json_object_get(o, "specversion"));
	const char *type = json_string_value(json_object_get(o, "datacontenttype"));
	const char *name;
	json_t *v;
	if (!version || strncmp(version, "1.", 2) != 0 || !json_object_get(o, "id") ||
	    !json_object_get(o, "source") || !json_object_get(o, "type"))
		return false;
	u->content_type = text(type ? type : "application/json");
	json_object_foreach(o, name, v)
	{
		bool is_data = strncmp(name, "data", 4) == 0 && strcmp(name, "dataschema") != 0;
		if (!is_data && (u->nattrs == MQTT_ATTRS_MAX || !add_attr(u, name, v)))
			return false;
	}
	return open_data(o, u);
}

bool mqtt_unwrap(struct span content_type, unsigned version, struct span payload,
		 struct mqtt_unwrapped *ret)
{
	json_error_t e;
	if (!may_be_event(content_type, version, payload))
		return false;
	json_t *o = json_loadb((const char *)payload.at, payload.len, JSON_REJECT_DUPLICATES, &e);
	ret->json = o;
	if (json_is_object(o) && open_event(o, ret))
		return true;
	mqtt_unwrapped_free(ret);
	return false;
}

void mqtt_unwrapped_free(struct mqtt_unwrapped *u)
{
	free(u->bytes);
	json_decref(u->json);
	u->bytes = NULL;
	u->json = NULL;
	u->nattrs = 0;
}

/* ---- out ---- */

/* Names of CloudEvents' attributes are lower-case letters and digits; others find no place in it. */
static bool is_event_name(struct span name)
{
	for (size_t i = 0; i < name.len; i++) {
		if (!(name.at[i] >= 'a' && name.at[i] <= 'z') &&
		    !(name.at[i] >= '0' && name.at[i] <= '9'))
			return false;
	}
	return !span_eq(name, "data") && !span_eq(name, "database64");
}

static int put_span(json_t *o, struct span name, struct span value)
{
	json_t *v = json_stringn((const char *)value.at, value.len);
	char key[256];
	(void)snprintf(key, sizeof(key), "%.*s", (int)name.len, (const char *)name.at);
	return v ? json_object_set_new(o, key, v) : 0;
}

static int put_base64(json_t *o, struct span payload)
{
	char *s = malloc(payload.len / 3 * 4 + 5);
	int n = s ? EVP_EncodeBlock((unsigned char *)s, payload.at, (int)payload.len) : -1;
	json_t *v = n >= 0 ? json_stringn_nocheck(s, (size_t)n) : NULL;
	free(s);
	return json_object_set_new(o, "data_base64", v);
}

/* As it is where it is JSON, as a string where it is text, or else in base64. */
static int put_data(json_t *o, struct span type, struct span payload)
{
	json_error_t e;
	if (payload.len == 0)
		return 0;
	json_t *v = is_json(type)
			    ? json_loadb((const char *)payload.at, payload.len, JSON_DECODE_ANY, &e)
			    : NULL;
	if (v)
		return json_object_set_new(o, "data", v);
	if ((type.len == 0 || !is_json(type)) && !memchr(payload.at, '\0', payload.len))
		v = json_stringn((const char *)payload.at, payload.len); /* NULL: no UTF-8 */
	if (type.len == 0 &&
	    json_object_set_new(o, "datacontenttype",
				json_string(v ? "text/plain" : "application/octet-stream")) < 0) {
		json_decref(v);
		return -1;
	}
	return v ? json_object_set_new(o, "data", v) : put_base64(o, payload);
}

static int put_attrs(json_t *o, struct span list)
{
	struct rd r = rd_from(list.at, list.len);
	int err = 0;
	for (struct ipc_attr a; err == 0 && ipc_attr_next(&r, &a);) {
		if (message_attr_of(a.name) == ATTR_OWN && is_event_name(a.name))
			err = put_span(o, a.name, a.value);
	}
	return err;
}

char *mqtt_wrap(struct mqtt *m, const struct trigger_message *msg, size_t *ret_len)
{
	struct mqtt_props p;
	struct span type = { 0 };
	mqtt_event_of(m, msg, &p);
	json_t *o =
		json_pack("{s:s, s:s, s:s, s:s, s:s}", "specversion", "1.0", "id",
			  msg->id ? msg->id : p.id, "source", msg->source ? msg->source : p.source,
			  "type", "io.penstock.effect", "time", p.time);
	bool has_type = message_attr_find(msg->attrs, message_attr_name(ATTR_CONTENT_TYPE), &type);
	int err = o ? put_attrs(o, msg->attrs) : -1;
	if (err == 0 && has_type)
		err = put_span(o, text("datacontenttype"), type);
	if (err == 0)
		err = put_data(o, type, msg->payload);
	char *s = err == 0 ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	*ret_len = s ? strlen(s) : 0;
	return s;
}
