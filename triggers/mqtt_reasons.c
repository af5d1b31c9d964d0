/* SPDX-License-Identifier: Apache-2.0 */
/* What a broker says when it does not want us, and what to do about it. */
#include <errno.h>
#include <string.h>

#include "triggers/mqtt_impl.h"

/* Paho gives a refusal's properties to nobody, so CONNACK is read here too (mqtt_acks.c); one client connects at a
 * time, but any broker may send a CONNACK that nobody asked for. */
static pthread_mutex_t named_lock = PTHREAD_MUTEX_INITIALIZER;
static char named[MQTT_ELSEWHERE];

static void keep_printable(const uint8_t *at, size_t len, char ret[MQTT_ELSEWHERE])
{
	size_t n = 0;
	for (; n < len && n < MQTT_ELSEWHERE - 1; n++)
		ret[n] = at[n] > ' ' && at[n] <= '~' ? (char)at[n] : '?';
	ret[n] = '\0';
}

static struct span string_of(struct rd *r)
{
	size_t n = (size_t)rd_u8(r) << 8;
	n |= rd_u8(r);
	return rd_span(r, n);
}

/* The properties of CONNACK (MQTT 5.0, table 2.4) up to the one that names a server. */
static struct span reference_in(struct rd *r)
{
	while (rd_ok(r) && r->left > 0) {
		switch (rd_u8(r)) {
		case MQTTPROPERTY_CODE_SERVER_REFERENCE:
			return string_of(r);
		case MQTTPROPERTY_CODE_MAXIMUM_QOS:
		case MQTTPROPERTY_CODE_RETAIN_AVAILABLE:
		case MQTTPROPERTY_CODE_WILDCARD_SUBSCRIPTION_AVAILABLE:
		case MQTTPROPERTY_CODE_SUBSCRIPTION_IDENTIFIERS_AVAILABLE:
		case MQTTPROPERTY_CODE_SHARED_SUBSCRIPTION_AVAILABLE:
			(void)rd_span(r, 1);
			break;
		case MQTTPROPERTY_CODE_SERVER_KEEP_ALIVE:
		case MQTTPROPERTY_CODE_RECEIVE_MAXIMUM:
		case MQTTPROPERTY_CODE_TOPIC_ALIAS_MAXIMUM:
			(void)rd_span(r, 2);
			break;
		case MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL:
		case MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE:
			(void)rd_span(r, 4);
			break;
		case MQTTPROPERTY_CODE_USER_PROPERTY:
			(void)string_of(r);
			(void)string_of(r);
			break;
		default: /* the rest are strings or bytes */
			(void)string_of(r);
		}
	}
	return (struct span){ 0 };
}

void mqtt_connack_seen(const void *packet, size_t len)
{
	struct rd r = rd_from(packet, len);
	(void)rd_span(&r, 2); /* flags, code */
	while (rd_ok(&r) && rd_u8(&r) & 0x80)
		;
	struct span s = reference_in(&r);
	(void)pthread_mutex_lock(&named_lock);
	keep_printable(s.at, rd_ok(&r) ? s.len : 0, named);
	(void)pthread_mutex_unlock(&named_lock);
}

void mqtt_connack_reference(char ret[MQTT_ELSEWHERE])
{
	(void)pthread_mutex_lock(&named_lock);
	memcpy(ret, named, sizeof(named));
	(void)pthread_mutex_unlock(&named_lock);
}

void mqtt_elsewhere(MQTTProperties *props, char ret[MQTT_ELSEWHERE])
{
	const MQTTProperty *p =
		props ? MQTTProperties_getProperty(props, MQTTPROPERTY_CODE_SERVER_REFERENCE)
		      : NULL;
	keep_printable(p ? (const uint8_t *)p->value.data.data : NULL,
		       p && p->value.data.len > 0 ? (size_t)p->value.data.len : 0, ret);
}

/* Of CONNACK and DISCONNECT (MQTT 5.0, 2.4; 3.1.1, 3.2.2.3). */
static const struct {
	int v3, v5;
	const char *text;
} reasons[] = {
	{ 1, 0x84, "it does not speak this version of MQTT; set version = 3 (or 5)" },
	{ 2, 0x85, "it does not accept the client id; set client_id" },
	{ 3, 0x88, "it is not available now" },
	{ 4, 0x86, "wrong username or password; check username and password_file" },
	{ 5, 0x87,
	  "not authorized; check username, password_file and the broker's rules, also for "
	  "status_topic" },
	{ -1, 0x81, "it could not read what was sent" },
	{ -1, 0x82, "it says that the protocol was broken" },
	{ -1, 0x89, "it is busy" },
	{ -1, 0x8a, "this client is banned; see its list of banned clients" },
	{ -1, 0x8b, "it is shutting down" },
	{ -1, 0x8c, "it wants another way of authentication" },
	{ -1, 0x8d, "it heard nothing for too long; raise keepalive_s" },
	{ -1, 0x8e,
	  "another client connected with our client id; each gateway needs its own client_id" },
	{ -1, 0x90, "it does not accept status_topic; set another one, or leave it empty" },
	{ -1, 0x93, "more was sent than it can take at a time" },
	{ -1, 0x94, "it does not take as many topic aliases as it said; set topic_aliases = 0" },
	{ -1, 0x95, "a packet was larger than it takes" },
	{ -1, 0x96, "messages came too fast for it" },
	{ -1, 0x97, "its quota is exceeded" },
	{ -1, 0x98, "somebody there closed it" },
	{ -1, 0x9a, "it has no retained messages; leave status_topic empty" },
	{ -1, 0x9b, "it does not take this QoS" },
	{ -1, 0x9c, "another server is to be used for now" },
	{ -1, 0x9d, "it has moved; change url" },
	{ -1, 0x9f, "connections come too fast for it; raise backoff_min_ms" },
	{ -1, 0xa0, "the connection lasted as long as it allows" },
};

static const char *text_of(int rc)
{
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		if (rc == reasons[i].v3 || rc == reasons[i].v5)
			return reasons[i].text;
	}
	const char *text = rc >= 0x80 ? MQTTReasonCode_toString((enum MQTTReasonCodes)rc) : NULL;
	return text ? text : "no reason given";
}

void mqtt_reason(int rc, const char *elsewhere, char *ret, size_t cap)
{
	(void)snprintf(ret, cap, "%s (code %d)%s%s", text_of(rc), rc,
		       *elsewhere ? "; it names " : "", elsewhere);
}

int mqtt_refused(const struct mqtt *m, int rc, struct why *why)
{
	char text[256];
	mqtt_reason(rc, m->elsewhere, text, sizeof(text));
	return why_set(why, -EACCES, "the broker refused the connection: %s", text);
}
