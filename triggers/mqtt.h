/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MQTT topics as a trigger, and as a way out: one broker, through Paho's MQTTClient, 3.1.1 or 5.
 *
 * Session. We connect with a stable client id, clean start off, and with MQTT 5 a session expiry of
 * one day: while this gateway is away, the broker queues messages of QoS 1 and 2 for it and sends
 * them when it is back. The price: a broker keeps that queue for a gateway that never returns, for a
 * day. Subscriptions are renewed at each connect, because the broker may have lost them.
 *
 * Threads. Each broker has a thread that connects, subscribes and sends what is queued. Paho has one
 * receiving thread for all brokers: it runs the sink, and may publish from there.
 *
 * Publishing takes the short way (the caller's thread writes to the socket) if the message is small,
 * the connection is plain TCP with room in it, and nothing is queued before it. Else it is queued,
 * up to the bounds given, and the broker's thread sends it. Writing to a full socket from the
 * receiving thread is what must never happen: Paho would wait there for its receiving thread.
 */
#ifndef TRIGGERS_MQTT_H
#define TRIGGERS_MQTT_H

#include "triggers/trigger.h"

struct mqtt_options { /* strings are borrowed until free; see gateway/config.h */
	const char *name, *url, *client_id;
	unsigned version;                     /* 3 or 5 */
	const char *username, *password_file; /* the file is read at each connect, never logged */
	const char *ca_file, *cert_file, *key_file;
	bool verify;
	unsigned keepalive_s, connect_timeout_s;
	unsigned backoff_min_ms, backoff_max_ms;
	unsigned inflight;
	uint64_t payload_bytes; /* larger ones that arrive are dropped, counted and logged */
	unsigned outbox_messages;
	uint64_t outbox_bytes;
	enum mqtt_events { MQTT_EVENTS_NO, MQTT_EVENTS_BINARY, MQTT_EVENTS_STRUCTURED } cloudevents;
	bool unwrap;               /* CloudEvents in JSON that come are opened */
	uint32_t session_expiry_s; /* MQTT 5 */
	const char *status_topic;  /* NULL or "": none */
	unsigned topic_aliases;    /* MQTT 5, QoS 0; 0: none */
};

/* Not started. -ENOMEM, or -E_CONFIG when Paho refuses the options. */
int mqtt_new(const struct mqtt_options *o, const struct trigger_sink *sink, struct trigger **ret,
	     struct why *why) MUST_USE;

#endif
