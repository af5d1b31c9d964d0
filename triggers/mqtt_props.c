/* SPDX-License-Identifier: Apache-2.0 */
/* Properties of what we publish with MQTT 5: how many functions led to it (mqtt_hops.c), what the function
 * gave it, and, of an effect, or where the configuration wants it, the attributes of a CloudEvent in binary
 * mode, whose id tells a repetition. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/wr.h"
#include "triggers/mqtt_impl.h"

enum {
	STRING_HEAD = 1 + 2, /* property, length */
	PAIR_HEAD = 1 + 2 + 2,
};

/* ---- one by one ---- */

static MQTTProperty *next(MQTTProperties *to, enum MQTTPropertyCodes code, int bytes)
{
	MQTTProperty *p = &to->array[to->count++];
	*p = (MQTTProperty){ .identifier = code };
	to->length += bytes;
	return p;
}

static void add_pair(MQTTProperties *to, struct span name, struct span value)
{
	MQTTProperty *p =
		next(to, MQTTPROPERTY_CODE_USER_PROPERTY, PAIR_HEAD + (int)(name.len + value.len));
	p->value.data = (MQTTLenString){ (int)name.len, (char *)name.at };
	p->value.value = (MQTTLenString){ (int)value.len, (char *)value.at };
}

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static void add_string(MQTTProperties *to, enum MQTTPropertyCodes code, struct span s)
{
	next(to, code, STRING_HEAD + (int)s.len)->value.data =
		(MQTTLenString){ (int)s.len, (char *)s.at };
}

static void add_number(MQTTProperties *to, enum MQTTPropertyCodes code, uint32_t n)
{
	bool byte = code == MQTTPROPERTY_CODE_PAYLOAD_FORMAT_INDICATOR;
	MQTTProperty *p = next(to, code, byte ? 2 : 5);
	if (byte)
		p->value.byte = (unsigned char)n;
	else
		p->value.integer4 = n;
}

/* ---- whose it is ---- */

/* FNV-1a of client and broker: names can be long, and of other brokers' clients the same. */
void mqtt_mark(const struct mqtt *m, char ret[MQTT_MARK_BYTES])
{
	uint64_t h = 14695981039346656037u;
	for (const char *s = m->o.client_id; *s; s++)
		h = (h ^ (uint8_t)*s) * 1099511628211u;
	h = (h ^ '/') * 1099511628211u;
	for (const char *s = m->o.name; *s; s++)
		h = (h ^ (uint8_t)*s) * 1099511628211u;
	(void)snprintf(ret, MQTT_MARK_BYTES, "%016" PRIx64, h);
}

/* ---- expiry ---- */

bool mqtt_expired(const struct trigger_message *msg, uint32_t *ret)
{
	struct span s;
	uint32_t given = 0;
	*ret = 0;
	if (msg->attrs.len == 0 ||
	    !message_attr_find(msg->attrs, message_attr_name(ATTR_EXPIRY), &s) ||
	    !message_expiry_parse(s, &given))
		return false;
	uint64_t now = mqtt_wall_ms(), from = msg->time_wall_ms;
	uint64_t waited = from > 0 && now > from ? (now - from) / 1000 : 0;
	if (waited >= given)
		return true;
	*ret = given - (uint32_t)waited;
	return false;
}

/* ---- a CloudEvent ---- */

void mqtt_event_of(struct mqtt *m, const struct trigger_message *msg, struct mqtt_props *ret)
{
	uint64_t ms = msg->time_wall_ms ? msg->time_wall_ms : mqtt_wall_ms();
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	(void)gmtime_r(&s, &tm);
	size_t n = strftime(ret->time, sizeof(ret->time), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(ret->time + n, sizeof(ret->time) - n, ".%03uZ", (unsigned)(ms % 1000));
	if (!msg->id)
		(void)snprintf(ret->id, sizeof(ret->id), "%s%" PRIu64, m->event_head,
			       atomic_fetch_add(&m->event_number, 1));
	if (!msg->source)
		(void)snprintf(ret->source, sizeof(ret->source), "/penstock/functions/%s",
			       msg->function ? msg->function : "");
}

static void add_event(struct mqtt *m, struct mqtt_props *p, const struct trigger_message *msg)
{
	struct span own;
	bool binary = m->o.cloudevents == MQTT_EVENTS_BINARY;
	if (!msg->id && !binary)
		return;
	if (binary)
		mqtt_event_of(m, msg, p);
	add_pair(&p->list, text("specversion"), text("1.0"));
	add_pair(&p->list, text("id"), text(msg->id ? msg->id : p->id));
	add_pair(&p->list, text("source"),
		 text(msg->source ? msg->source
		      : binary    ? p->source
				  : "penstock"));
	if (!message_attr_find(msg->attrs, "type", &own))
		add_pair(&p->list, text("type"), text("io.penstock.effect"));
	if (binary && !message_attr_find(msg->attrs, "time", &own))
		add_pair(&p->list, text("time"), text(p->time));
}

/* ---- what the function gave it ---- */

static void add_attr(MQTTProperties *to, const struct ipc_attr *a, uint32_t expiry,
		     unsigned *already)
{
	static const enum MQTTPropertyCodes code[ATTR_RESERVED] = {
		[ATTR_CONTENT_TYPE] = MQTTPROPERTY_CODE_CONTENT_TYPE,
		[ATTR_RESPONSE_TOPIC] = MQTTPROPERTY_CODE_RESPONSE_TOPIC,
		[ATTR_CORRELATION] = MQTTPROPERTY_CODE_CORRELATION_DATA,
		[ATTR_EXPIRY] = MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL,
		[ATTR_FORMAT] = MQTTPROPERTY_CODE_PAYLOAD_FORMAT_INDICATOR,
	};
	enum message_attr which = message_attr_of(a->name);
	if (which == ATTR_OWN)
		add_pair(to, a->name, a->value);
	if (which == ATTR_OWN || which == ATTR_RESERVED || *already >> which & 1)
		return; /* each of the others only once, as MQTT wants it */
	*already |= 1u << which;
	if (which == ATTR_EXPIRY)
		add_number(to, code[which], expiry ? expiry : 1);
	else if (which == ATTR_FORMAT)
		add_number(to, code[which], span_eq(a->value, "1"));
	else
		add_string(to, code[which], a->value);
}

static void add_attrs(MQTTProperties *to, const struct trigger_message *msg, bool structured)
{
	struct rd r = rd_from(msg->attrs.at, msg->attrs.len);
	unsigned already = structured ? 1u << ATTR_CONTENT_TYPE | 1u << ATTR_FORMAT : 0;
	uint32_t expiry;
	struct ipc_attr a;
	(void)mqtt_expired(msg, &expiry);
	if (structured)
		add_string(to, MQTTPROPERTY_CODE_CONTENT_TYPE,
			   text("application/cloudevents+json"));
	while (to->count < MQTT_PROPS_MAX && ipc_attr_next(&r, &a)) {
		if (!structured || message_attr_of(a.name) != ATTR_OWN)
			add_attr(to, &a, expiry, &already);
	}
}

MQTTProperties *mqtt_props_of(struct mqtt *m, struct mqtt_props *p,
			      const struct trigger_message *msg)
{
	bool structured = m->o.cloudevents == MQTT_EVENTS_STRUCTURED;
	struct span direct;
	p->list = (MQTTProperties){ .array = p->array, .max_count = MQTT_PROPS_MAX };
	if (msg->hops > 0) {
		(void)snprintf(p->hops, sizeof(p->hops), "%u", msg->hops);
		add_pair(&p->list, text(mqtt_hops_name), text(p->hops));
	}
	if (p->alias)
		next(&p->list, MQTTPROPERTY_CODE_TOPIC_ALIAS, 3)->value.integer2 = p->alias;
	if (msg->attrs.len > 0 && message_attr_find(msg->attrs, MESSAGE_ATTR_DIRECT, &direct)) {
		mqtt_mark(m, p->mark);
		add_pair(&p->list, text(MESSAGE_ATTR_DIRECT), text(p->mark));
	}
	if (!structured)
		add_event(m, p, msg);
	add_attrs(&p->list, msg, structured);
	return &p->list;
}

/* ---- as bytes ---- */

static void put_string(struct wr *w, const MQTTLenString *s)
{
	wr_u8(w, (uint8_t)(s->len >> 8));
	wr_u8(w, (uint8_t)s->len);
	wr_bytes(w, s->data, (size_t)s->len);
}

static void put(struct wr *w, const MQTTProperty *p)
{
	wr_u8(w, (uint8_t)p->identifier);
	if (p->identifier == MQTTPROPERTY_CODE_PAYLOAD_FORMAT_INDICATOR) {
		wr_u8(w, p->value.byte);
	} else if (p->identifier == MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL) {
		for (int shift = 24; shift >= 0; shift -= 8)
			wr_u8(w, (uint8_t)(p->value.integer4 >> shift));
	} else {
		put_string(w, &p->value.data);
		if (p->identifier == MQTTPROPERTY_CODE_USER_PROPERTY)
			put_string(w, &p->value.value);
	}
}

uint8_t *mqtt_props_bytes(struct mqtt *m, const struct trigger_message *msg, size_t *ret_len)
{
	struct mqtt_props p;
	p.alias = 0; /* this is for QoS 2 */
	const MQTTProperties *list = mqtt_props_of(m, &p, msg);
	size_t most = (size_t)list->length;
	uint8_t *bytes = malloc(most + 1);
	struct wr w = wr_into(bytes, bytes ? most : 0);
	for (int i = 0; bytes && i < list->count; i++)
		put(&w, &list->array[i]);
	*ret_len = w.len;
	return bytes;
}
