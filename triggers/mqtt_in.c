/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that come in: what their properties say, and the event that they become. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "proto/topic.h"
#include "triggers/mqtt_impl.h"
#include "triggers/nodelay.h"

enum { NUMBER_BYTES = 12 };

uint64_t mqtt_wall_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

struct arrived { /* what the properties of an MQTT 5 message say */
	uint32_t routes[TRIGGER_ROUTES_MAX];
	unsigned nroutes;
	bool too_many; /* more routes than can be named: all that match are meant */
	struct event_attr attrs[MQTT_ATTRS_MAX];
	uint32_t nattrs;
	struct span content_type, mark;
	uint8_t hops;
	char expiry[NUMBER_BYTES], format[NUMBER_BYTES];
};

static struct span span_of(const MQTTLenString *s)
{
	return (struct span){ (const uint8_t *)s->data, s->len > 0 ? (size_t)s->len : 0 };
}

static void add(struct arrived *a, struct span name, struct span value)
{
	if (a->nattrs < MQTT_ATTRS_MAX)
		a->attrs[a->nattrs++] = (struct event_attr){ name, value };
}

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static void add_number(struct arrived *a, enum message_attr which, char buf[NUMBER_BYTES],
		       uint32_t n)
{
	(void)snprintf(buf, NUMBER_BYTES, "%" PRIu32, n);
	add(a, text(message_attr_name(which)), text(buf));
}

/* The attributes of a CloudEvent have their own names among the user properties; those of the event that we make
 * of the message are called so already. */
static void add_user(struct arrived *a, const MQTTProperty *p)
{
	struct span name = span_of(&p->value.data);
	const char *foreign = mqtt_foreign_name(name);
	if (span_eq(name, MESSAGE_ATTR_DIRECT))
		a->mark = span_of(&p->value.value);
	else if (!mqtt_hops_property(p, &a->hops))
		add(a, foreign ? text(foreign) : name, span_of(&p->value.value));
}

static void read_property(const MQTTProperty *p, struct arrived *ret)
{
	switch (p->identifier) {
	case MQTTPROPERTY_CODE_SUBSCRIPTION_IDENTIFIER:
		if (ret->nroutes < TRIGGER_ROUTES_MAX)
			ret->routes[ret->nroutes++] = p->value.integer4;
		else
			ret->too_many = true;
		break;
	case MQTTPROPERTY_CODE_CONTENT_TYPE:
		ret->content_type = span_of(&p->value.data);
		break;
	case MQTTPROPERTY_CODE_USER_PROPERTY:
		add_user(ret, p);
		break;
	case MQTTPROPERTY_CODE_RESPONSE_TOPIC:
		add(ret, text(message_attr_name(ATTR_RESPONSE_TOPIC)), span_of(&p->value.data));
		break;
	case MQTTPROPERTY_CODE_CORRELATION_DATA:
		add(ret, text(message_attr_name(ATTR_CORRELATION)), span_of(&p->value.data));
		break;
	case MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL:
		add_number(ret, ATTR_EXPIRY, ret->expiry, p->value.integer4);
		break;
	case MQTTPROPERTY_CODE_PAYLOAD_FORMAT_INDICATOR:
		add_number(ret, ATTR_FORMAT, ret->format, p->value.byte);
		break;
	default:
		break;
	}
}

/* The broker keeps it, and sends it again on a new connection: soon, but not to one that is deaf because
 * it ends. */
static void not_taken(struct mqtt *m, int id, bool deaf)
{
	mqtt_ack_withhold(m, id);
	if (deaf || atomic_exchange(&m->renew, true))
		return;
	mqtt_look_again(m);
}

static bool is_mine(const struct mqtt *m, struct span mark)
{
	char own[MQTT_MARK_BYTES];
	if (mark.len == 0)
		return false;
	mqtt_mark(m, own);
	return span_eq(mark, own);
}

static void deliver(struct mqtt *m, struct span topic, const MQTTClient_message *msg)
{
	struct arrived a;
	a.nroutes = a.nattrs = 0;
	a.too_many = false;
	a.content_type = a.mark = (struct span){ 0 };
	a.hops = mqtt_hops_in(m->hops, topic,
			      (struct span){ msg->payload, (size_t)msg->payloadlen });
	for (int i = 0; m->o.version == 5 && i < msg->properties.count; i++)
		read_property(&msg->properties.array[i], &a);
	struct span payload = { msg->payload, (size_t)msg->payloadlen };
	struct mqtt_unwrapped inside = { 0 };
	if (m->o.unwrap && mqtt_unwrap(a.content_type, m->o.version, payload, &inside)) {
		payload = inside.payload;
		a.content_type = inside.content_type;
		for (unsigned i = 0; i < inside.nattrs; i++)
			add(&a, inside.attrs[i].name, inside.attrs[i].value);
	}
	const struct event e = {
		.arrived_ns = mqtt_now_ns(),
		.time_wall_ms = mqtt_wall_ms(),
		.source = { (const uint8_t *)m->source, strlen(m->source) },
		.type = { (const uint8_t *)"io.penstock.mqtt.message", 24 },
		.topic = topic,
		.payload = payload,
		.content_type = a.content_type,
		.packet = (uint16_t)(msg->qos > 0 ? msg->msgid : 0),
		.inbound = msg->qos < 2        ? EVENT_INBOUND_NONE
			   : m->o.version == 5 ? EVENT_INBOUND_KEEP
					       : EVENT_INBOUND_DROP,
		.qos = (uint8_t)msg->qos,
		.retain = msg->retained != 0,
		.dup = msg->dup != 0,
		.connection = atomic_load(&m->connection),
		.returned = is_mine(m, a.mark),
		.hops = a.hops,
		.nattrs = a.nattrs,
		.attrs = a.attrs,
	};
	int err = -E_GONE;
	(void)pthread_mutex_lock(&m->sink_lock);
	bool deaf = m->deaf;
	if (!deaf)
		err = m->base.sink.event(m->base.sink.arg, &e, a.routes,
					 a.too_many || !m->route_ids ? 0 : a.nroutes,
					 m->drained && nodelay_more(m->fd));
	(void)pthread_mutex_unlock(&m->sink_lock);
	mqtt_unwrapped_free(&inside);
	if (e.inbound != EVENT_INBOUND_NONE)
		mqtt_inbound_settle(m, e.packet, err == 0);
	if (err != 0 && e.qos > 0)
		not_taken(m, msg->msgid, deaf);
}

/* Paho's callback, on its receiving thread. topic_len 0: the topic has no NUL in it. */
int mqtt_arrived(void *arg, char *topic, int topic_len, MQTTClient_message *msg)
{
	struct mqtt *m = arg;
	struct span name = { (uint8_t *)topic, topic_len > 0 ? (size_t)topic_len : strlen(topic) };
	size_t bytes = (size_t)msg->payloadlen;
	atomic_fetch_add_explicit(&m->received, 1, memory_order_relaxed);
	if (!topic_name_ok(name))
		mqtt_drop(m, &m->drops, "message dropped", name,
			  "its topic is not valid: not UTF-8, or with U+0000 or wildcards", bytes);
	else if (bytes > m->o.payload_bytes)
		mqtt_drop(m, &m->drops, "message dropped", name,
			  "its payload is larger than limits.payload_bytes", bytes);
	else
		deliver(m, name, msg);
	MQTTClient_freeMessage(&msg);
	MQTTClient_free(topic);
	return 1; /* taken: Paho forgets it */
}
