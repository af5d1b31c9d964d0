/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a broker takes, as its CONNACK says (MQTT 5.0, 3.2.2.3), and topic aliases. A client that sends more is
 * thrown out, and would send the same again on the next connection, for ever.
 *
 * Aliases belong to a connection and to the order of what is sent on it, so they are for QoS 0 only: what is sent again
 * after a reconnect must name its topic. Whoever publishes holds out_lock, or has set out_busy; so the table
 * needs no lock of its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "triggers/mqtt_impl.h"

enum { PACKET_HEAD_BYTES = 5 + 2 + 2 + 4, EVENT_ATTRS_BYTES = 320, PLACES = 2 };

struct mqtt_aliases {
	unsigned most, n, nplaces;
	struct {
		char *topic; /* NULL: free */
		uint16_t number;
		bool known; /* the broker has it */
	} place[];
};

/* ---- limits ---- */

static void aliases_reset(struct mqtt *m, unsigned most)
{
	struct mqtt_aliases *a = m->aliases;
	if (!a)
		return;
	for (unsigned i = 0; i < a->nplaces; i++) {
		free(a->place[i].topic);
		a->place[i].topic = NULL;
		a->place[i].known = false;
	}
	a->n = 0;
	a->most = most < m->o.topic_aliases ? most : m->o.topic_aliases;
}

void mqtt_limits_set(struct mqtt *m, const struct mqtt_limits *l)
{
	int most = (int)m->o.inflight;
	atomic_store(&m->inflight_max, l->inflight < most ? l->inflight : most);
	atomic_store(&m->most_qos, l->qos);
	atomic_store(&m->no_retain, !l->retain);
	atomic_store(&m->most_packet, l->packet_bytes);
	atomic_store(&m->limited, l->qos < 2 || !l->retain || l->packet_bytes > 0);
	aliases_reset(m, (unsigned)l->aliases);
}

const char *mqtt_fit(struct mqtt *m, struct trigger_message *msg)
{
	uint32_t left, most = atomic_load(&m->most_packet);
	size_t bytes = PACKET_HEAD_BYTES + msg->topic.len + msg->payload.len + msg->attrs.len +
		       (msg->id || m->o.cloudevents != MQTT_EVENTS_NO ? EVENT_ATTRS_BYTES : 0);
	if (mqtt_expired(msg, &left))
		return "its expiry passed while it waited";
	if (most > 0 && bytes > most)
		return "it is larger than the broker takes (its Maximum Packet Size)";
	if (msg->qos > atomic_load(&m->most_qos))
		msg->qos = (uint8_t)atomic_load(&m->most_qos);
	if (atomic_load(&m->no_retain))
		msg->retain = 0;
	return NULL;
}

/* ---- aliases ---- */

int mqtt_aliases_init(struct mqtt *m)
{
	unsigned n = m->o.version == 5 ? m->o.topic_aliases * PLACES : 0;
	if (n == 0)
		return 0;
	m->aliases = calloc(1, sizeof(*m->aliases) + n * sizeof(m->aliases->place[0]));
	if (!m->aliases)
		return -ENOMEM;
	m->aliases->nplaces = n;
	return 0;
}

void mqtt_aliases_fini(struct mqtt *m)
{
	aliases_reset(m, 0);
	free(m->aliases);
}

/* Where it is, or would be; there is always a free place, because there are more than aliases. */
static unsigned place_of(const struct mqtt_aliases *a, const char *topic)
{
	uint32_t h = 2166136261u; /* FNV-1a */
	for (const char *at = topic; *at; at++)
		h = (h ^ (uint8_t)*at) * 16777619u;
	unsigned i = h % a->nplaces;
	while (a->place[i].topic && strcmp(a->place[i].topic, topic) != 0)
		i = (i + 1) % a->nplaces;
	return i;
}

uint16_t mqtt_alias_of(struct mqtt *m, const char *topic, bool *ret_known)
{
	struct mqtt_aliases *a = m->aliases;
	unsigned i = a->most > 0 ? place_of(a, topic) : 0;
	*ret_known = false;
	if (a->most == 0 || (!a->place[i].topic && a->n == a->most))
		return 0; /* the first ones have them all */
	if (!a->place[i].topic) {
		a->place[i].topic = strdup(topic);
		if (!a->place[i].topic)
			return 0;
		a->place[i].number = (uint16_t)++a->n;
	}
	*ret_known = a->place[i].known;
	return a->place[i].number;
}

void mqtt_alias_sent(struct mqtt *m, const char *topic)
{
	m->aliases->place[place_of(m->aliases, topic)].known = true;
}
