/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this gateway there? A retained message says so: "online" after each connect, "offline" at its end, and the
 * same as last will, when it dies or the network does. QoS 0: all of it goes by the connection that it is about.
 */
#include <string.h>

#include "triggers/mqtt_impl.h"
#include "triggers/nodelay.h"

enum { MESSAGE_BYTES = 1024 };

static const char online[] = "online", offline[] = "offline";

static bool has_status(const struct mqtt *m)
{
	return m->o.status_topic && *m->o.status_topic;
}

MQTTClient_willOptions mqtt_will(const struct mqtt *m)
{
	MQTTClient_willOptions w = MQTTClient_willOptions_initializer;
	w.topicName = has_status(m) ? m->o.status_topic : NULL;
	w.message = offline;
	w.retained = 1;
	return w;
}

void mqtt_say(struct mqtt *m, const char *topic, const char *payload, size_t len)
{
	if (m->o.version == 5)
		MQTTResponse_free(
			MQTTClient_publish5(m->client, topic, (int)len, payload, 0, 1, NULL, NULL));
	else
		(void)MQTTClient_publish(m->client, topic, (int)len, payload, 0, 1, NULL);
}

void mqtt_present(struct mqtt *m, bool yes)
{
	const char *text = yes ? online : offline;
	/* To a broker that does not read, Paho would wait. */
	if (has_status(m) && !atomic_load(&m->no_retain) && nodelay_writable(m->fd, MESSAGE_BYTES))
		mqtt_say(m, m->o.status_topic, text, strlen(text));
}
