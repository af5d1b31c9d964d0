/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Paho asks its persistence for, at the creation of a client: the QoS 2 exchanges that were begun. PUBLISH
 * with its identifier, whether PUBREC came, and the identifiers that came in and were not released. The
 * owner's journal has told us (resume), or this process knows (after a renewal of the client). QoS 1
 * needs none of this: who does not know whether it arrived publishes it again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/wr.h"
#include "triggers/mqtt_impl.h"

/* ---- of an earlier run ---- */

static void put_string(struct wr *w, const void *at, size_t len)
{
	wr_u8(w, (uint8_t)(len >> 8));
	wr_u8(w, (uint8_t)len);
	wr_bytes(w, at, len);
}

static void put_length(struct wr *w, size_t n)
{
	do {
		wr_u8(w, (uint8_t)(n % 128 | (n >= 128 ? 128 : 0)));
		n /= 128;
	} while (n > 0);
}

/* The PUBLISH that was sent, for Paho to send again. */
static uint8_t *packet_as_is(struct mqtt *m, const struct trigger_message *msg, size_t *ret_len)
{
	uint8_t *props = NULL;
	size_t nprops = 0;
	if (m->o.version == 5 && !(props = mqtt_props_bytes(m, msg, &nprops)))
		return NULL;
	size_t body =
		2 + msg->topic.len + 2 + (m->o.version == 5 ? nprops + 4 : 0) + msg->payload.len;
	uint8_t *packet = malloc(body + 5), *rest = malloc(body);
	struct wr w = wr_into(rest, body), head = wr_into(packet, packet ? body + 5 : 0);
	if (packet && rest) {
		put_string(&w, msg->topic.at, msg->topic.len);
		wr_u8(&w, (uint8_t)(msg->packet >> 8));
		wr_u8(&w, (uint8_t)msg->packet);
		if (m->o.version == 5) {
			put_length(&w, nprops);
			wr_bytes(&w, props, nprops);
		}
		wr_bytes(&w, msg->payload.at, msg->payload.len);
		wr_u8(&head, (uint8_t)(0x30 | 2 << 1 | (msg->retain ? 1 : 0)));
		put_length(&head, w.len);
		wr_bytes(&head, w.buf, w.len);
		*ret_len = head.len;
	}
	free(props);
	free(rest);
	return packet && rest ? packet : (free(packet), NULL);
}

static uint8_t *publish_packet(struct mqtt *m, const struct trigger_message *msg, size_t *ret_len)
{
	if (m->o.cloudevents != MQTT_EVENTS_STRUCTURED)
		return packet_as_is(m, msg, ret_len);
	struct trigger_message event = *msg;
	OWN_FREE char *json = mqtt_wrap(m, msg, &event.payload.len);
	event.payload.at = (const uint8_t *)json;
	return json ? packet_as_is(m, &event, ret_len) : NULL;
}

static struct mqtt_inbound *inbound_of(struct mqtt_slots *s, unsigned id)
{
	struct mqtt_inbound *in = s->inbound;
	while (in && in->id != id)
		in = in->next;
	return in;
}

/* lock held */
static bool inbound_add(struct mqtt_slots *s, uint16_t id, struct span bytes)
{
	struct mqtt_inbound *in = inbound_of(s, id);
	if (in)
		return true;
	in = malloc(sizeof(*in) + bytes.len);
	if (!in)
		return false;
	*in = (struct mqtt_inbound){ .next = s->inbound, .id = id, .len = bytes.len };
	if (bytes.len)
		memcpy(in->bytes, bytes.at, bytes.len);
	s->inbound = in;
	return true;
}

/* Out of the list; NULL. */
static struct mqtt_inbound *inbound_take(struct mqtt_slots *s, unsigned id)
{
	struct mqtt_inbound **at = &s->inbound;
	while (*at && (*at)->id != id)
		at = &(*at)->next;
	struct mqtt_inbound *in = *at;
	if (in)
		*at = in->next;
	return in;
}

int mqtt_resume(struct trigger *t, const struct trigger_resume *r)
{
	struct mqtt *m = (struct mqtt *)t;
	struct mqtt_slot *slot = mqtt_slot_of(m, r->m.packet);
	size_t len = 0;
	uint8_t *bytes = NULL;
	if (r->kind != RESUME_INBOUND) {
		if (!slot || slot->state != SLOT_FREE)
			return -E_INVALID; /* inflight was made smaller */
		bytes = publish_packet(m, &r->m, &len);
		if (!bytes)
			return -ENOMEM;
	}
	(void)pthread_mutex_lock(&m->slots.lock);
	m->slots.resume = true;
	bool ok = true;
	if (r->kind == RESUME_INBOUND) {
		ok = inbound_add(&m->slots, r->packet, r->bytes);
	} else {
		*slot = (struct mqtt_slot){
			.state = r->kind == RESUME_RELEASED ? SLOT_RELEASED : SLOT_SENT,
			.token = r->m.token,
			.qos = 2,
			.bytes = bytes,
			.len = len,
		};
		atomic_fetch_add(&m->inflight, 1);
	}
	(void)pthread_mutex_unlock(&m->slots.lock);
	return ok ? 0 : -ENOMEM;
}

/* ---- Paho's persistence ---- */

/* "s5-12": what it is of, and the identifier; 0: a kind that is not kept. */
static unsigned key_parse(const char *key, char *ret_kind)
{
	static const struct {
		const char *prefix;
		char kind;
	} known[] = { { "s-", 's' },   { "s5-", 's' }, { "sc-", 'c' },
		      { "sc5-", 'c' }, { "r-", 'r' },  { "r5-", 'r' } };
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		size_t n = strlen(known[i].prefix);
		if (strncmp(key, known[i].prefix, n) != 0)
			continue;
		*ret_kind = known[i].kind;
		return (unsigned)strtoul(key + n, NULL, 10);
	}
	return 0;
}

/* Is the key one of the version that this client speaks? Paho removes both. */
static bool mine(const struct mqtt *m, const char *key)
{
	return (strchr(key, '5') && strchr(key, '5') < strchr(key, '-')) == (m->o.version == 5);
}

static uint8_t *joined(int n, char *const at[], const int len[], size_t *ret_len)
{
	size_t all = 0;
	for (int i = 0; i < n; i++)
		all += (size_t)len[i];
	uint8_t *bytes = malloc(all ? all : 1);
	struct wr w = wr_into(bytes, bytes ? all : 0);
	for (int i = 0; bytes && i < n; i++)
		wr_bytes(&w, at[i], (size_t)len[i]);
	*ret_len = all;
	return bytes;
}

static int p_open(void **handle, const char *client, const char *uri, void *context)
{
	(void)client;
	(void)uri;
	*handle = context;
	return 0;
}

static int p_close(void *handle)
{
	(void)handle;
	return 0;
}

/* A PUBLISH of QoS 2 came in. MQTT 5: its event follows at once, and takes the identifier into its
 * transaction. 3.1.1: it follows with PUBREL, so the whole packet is kept until then. */
static int put_inbound(struct mqtt *m, uint16_t id, struct span bytes)
{
	(void)pthread_mutex_lock(&m->slots.lock);
	bool known = inbound_of(&m->slots, id) != NULL;
	bool ok = inbound_add(&m->slots, id, m->o.version == 5 ? (struct span){ 0 } : bytes);
	(void)pthread_mutex_unlock(&m->slots.lock);
	if (ok && !known && m->o.version != 5 && m->base.sink.keep)
		m->base.sink.keep(m->base.sink.arg, id, bytes);
	return ok ? 0 : MQTTCLIENT_PERSISTENCE_ERROR;
}

static int p_put(void *handle, char *key, int n, char *at[], int len[])
{
	struct mqtt *m = handle;
	char kind;
	unsigned id = key_parse(key, &kind);
	struct mqtt_slot *slot = mqtt_slot_of(m, id);
	size_t all = 0;
	if (id == 0 || kind == 'c' || (kind == 's' && (!slot || (at[0][0] & 6) != 4)))
		return 0; /* PUBREL is known by its slot, QoS 1 is not kept */
	uint8_t *bytes = joined(n, at, len, &all);
	if (!bytes)
		return MQTTCLIENT_PERSISTENCE_ERROR;
	if (kind == 'r') {
		int rc = put_inbound(m, (uint16_t)id, (struct span){ bytes, all });
		free(bytes);
		return rc;
	}
	(void)pthread_mutex_lock(&m->slots.lock);
	free(slot->bytes);
	slot->bytes = bytes;
	slot->len = all;
	(void)pthread_mutex_unlock(&m->slots.lock);
	return 0;
}

/* PUBREL came. 3.1.1: its event follows at once, and takes the end of the identifier with it. */
static int p_remove(void *handle, char *key)
{
	struct mqtt *m = handle;
	char kind = 0;
	unsigned id = key_parse(key, &kind);
	if (id == 0 || kind != 'r' || !mine(m, key))
		return 0;
	(void)pthread_mutex_lock(&m->slots.lock);
	struct mqtt_inbound *in = inbound_take(&m->slots, id);
	if (m->o.version == 5) {
		free(in);
	} else {
		free(m->slots.leaving);
		m->slots.leaving = in;
	}
	(void)pthread_mutex_unlock(&m->slots.lock);
	if (m->o.version == 5 && m->base.sink.drop)
		m->base.sink.drop(m->base.sink.arg, (uint16_t)id);
	return 0;
}

void mqtt_inbound_settle(struct mqtt *m, uint16_t id, bool stored)
{
	struct mqtt_slots *s = &m->slots;
	(void)pthread_mutex_lock(&s->lock);
	if (m->o.version == 5 && !stored) {
		free(inbound_take(s, id));
	} else if (s->leaving && s->leaving->id == id) {
		struct mqtt_inbound *in = s->leaving;
		s->leaving = NULL;
		if (stored) {
			free(in);
		} else {
			in->next = s->inbound;
			s->inbound = in;
		}
	}
	(void)pthread_mutex_unlock(&s->lock);
}

/* What Paho needs of a message that it has delivered already: its head. */
static const uint8_t seen_publish[] = { 0x34, 6, 0, 1, 'x', 0, 0, 0 };

/* lock held; false: no such */
static bool get(struct mqtt *m, const char *key, uint8_t **ret, size_t *ret_len)
{
	char kind = 0;
	unsigned id = key_parse(key, &kind);
	struct mqtt_slot *slot = mqtt_slot_of(m, id);
	struct mqtt_inbound *in = kind == 'r' ? inbound_of(&m->slots, id) : NULL;
	if (in && in->len > 0) {
		*ret = malloc(in->len);
		*ret_len = in->len;
		if (*ret)
			memcpy(*ret, in->bytes, in->len);
	} else if (in) {
		*ret = malloc(sizeof(seen_publish));
		*ret_len = sizeof(seen_publish);
		if (*ret) {
			memcpy(*ret, seen_publish, sizeof(seen_publish));
			(*ret)[5] = (uint8_t)(id >> 8);
			(*ret)[6] = (uint8_t)id;
		}
	} else if (kind == 's' && slot && slot->bytes) {
		*ret = malloc(slot->len);
		*ret_len = slot->len;
		if (*ret)
			memcpy(*ret, slot->bytes, slot->len);
	} else {
		return false;
	}
	return *ret != NULL;
}

static int p_get(void *handle, char *key, char **ret, int *ret_len)
{
	struct mqtt *m = handle;
	size_t len = 0;
	uint8_t *bytes = NULL;
	(void)pthread_mutex_lock(&m->slots.lock);
	bool ok = get(m, key, &bytes, &len);
	(void)pthread_mutex_unlock(&m->slots.lock);
	*ret = (char *)bytes;
	*ret_len = (int)len;
	return ok ? 0 : MQTTCLIENT_PERSISTENCE_ERROR;
}

static bool add_key(char **keys, int *n, const char *prefix, unsigned id)
{
	if (asprintf(&keys[*n], "%s%u", prefix, id) < 0)
		return false;
	(*n)++;
	return true;
}

static int p_keys(void *handle, char ***ret_keys, int *ret_n)
{
	struct mqtt *m = handle;
	struct mqtt_slots *s = &m->slots;
	bool v5 = m->o.version == 5, ok = true;
	unsigned most = 0;
	*ret_n = 0;
	(void)pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->n; i++)
		most += s->slot[i].bytes != NULL;
	for (const struct mqtt_inbound *in = s->inbound; in; in = in->next)
		most++;
	*ret_keys = calloc(most + 1, sizeof(char *));
	for (unsigned i = 0; ok && *ret_keys && i < s->n; i++)
		if (s->slot[i].bytes)
			ok = add_key(*ret_keys, ret_n, v5 ? "s5-" : "s-", i + 1);
	for (const struct mqtt_inbound *in = s->inbound; ok && *ret_keys && in; in = in->next)
		ok = add_key(*ret_keys, ret_n, v5 ? "r5-" : "r-", in->id);
	(void)pthread_mutex_unlock(&s->lock);
	return ok && *ret_keys ? 0 : MQTTCLIENT_PERSISTENCE_ERROR;
}

static int p_clear(void *handle)
{
	(void)handle;
	return 0;
}

/* 0: it is there. */
static int p_contains(void *handle, char *key)
{
	struct mqtt *m = handle;
	char kind = 0;
	unsigned id = key_parse(key, &kind);
	struct mqtt_slot *slot = mqtt_slot_of(m, id);
	(void)pthread_mutex_lock(&m->slots.lock);
	bool there = kind == 'c'   ? slot && slot->state == SLOT_RELEASED
		     : kind == 's' ? slot && slot->bytes
				   : inbound_of(&m->slots, id) != NULL;
	(void)pthread_mutex_unlock(&m->slots.lock);
	return there ? 0 : MQTTCLIENT_PERSISTENCE_ERROR;
}

MQTTClient_persistence mqtt_persistence(struct mqtt *m)
{
	return (MQTTClient_persistence){ m,        p_open, p_close, p_put,     p_get,
					 p_remove, p_keys, p_clear, p_contains };
}
