/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the MQTT trigger: mqtt.c (the object and its thread), mqtt_link.c (connecting and
 * subscribing), mqtt_flow.c (messages in and out). */
#ifndef TRIGGERS_MQTT_IMPL_H
#define TRIGGERS_MQTT_IMPL_H

#include <MQTTClient.h>
#include <pthread.h>
#include <stdatomic.h>

#include "triggers/limiter.h"
#include "triggers/mqtt.h"

struct mqtt_route {
	struct mqtt_route *next;
	uint32_t id;
	uint8_t qos;
	bool gone; /* to be freed when the broker has forgotten it */
	bool want; /* what the broker is to have, from mqtt_link.c's plan() */
	uint8_t want_qos;
	bool subscribed; /* what it has */
	uint8_t had_qos;
	bool refused; /* it said no: asked again at the next connect */
	char *filter;
};

struct mqtt_out {
	struct mqtt_out *next;
	size_t payload_len;
	uint8_t qos, retain, hops;
	char *topic; /* NUL-terminated, behind the payload */
	uint8_t payload[];
};

enum mqtt_state { MQTT_STOPPED, MQTT_CONNECTING, MQTT_CONNECTED, MQTT_WAITING };

struct mqtt {
	struct trigger base;
	struct mqtt_options o;
	char source[80]; /* "mqtt:NAME" */
	MQTTClient client;
	bool tls, has_thread;
	bool drained; /* mqtt_drain is called by the reader */
	pthread_t thread;

	pthread_mutex_t lock; /* all below up to the next lock */
	pthread_cond_t wake;
	struct mqtt_route *routes;
	bool routes_dirty;
	struct mqtt_out *outbox, **outbox_last;
	unsigned outbox_n; /* in it, and room reserved */
	uint64_t outbox_bytes;
	atomic_bool stop; /* written under the lock, looked at without */
	bool look;        /* the connection may be gone */
	uint64_t stop_ns;
	enum mqtt_state state;
	char detail[256];
	char farewell[96]; /* why the broker disconnected us (MQTT 5) */
	unsigned subscriptions;
	unsigned failures; /* in a row */
	uint64_t connected_ns;

	pthread_mutex_t out_lock; /* held for a short-way publish; the receiver only tries it */
	atomic_bool out_busy;     /* the broker's thread is inside MQTTClient_publish */
	atomic_bool connected;
	atomic_uint queued;    /* in the outbox, for a look without the lock */
	atomic_int inflight;   /* QoS 1 and 2, not acknowledged */
	int inflight_max;      /* ours or the broker's, whichever is less */
	int fd;                /* of the connection, for nodelay_writable */
	atomic_bool route_ids; /* the broker says by which subscription a message came */

	pthread_mutex_t sink_lock; /* held during the sink's call */
	bool deaf;                 /* stopped: nothing goes to the sink */

	struct mqtt_hops *hops; /* mqtt_hops.c */

	_Atomic uint64_t received, published, dropped;
	struct limiter drops, refusals;
	char ssl_error[160];
};

uint64_t mqtt_now_ns(void);

/* mqtt_link.c: all on the broker's thread, without locks held */
int mqtt_connect(struct mqtt *m, struct why *why) MUST_USE;
/* Tells the broker about routes that changed. False: the connection is gone. */
bool mqtt_renew(struct mqtt *m);
/* Has the broker still to confirm something about it, or has it refused? lock held. */
bool mqtt_route_pending(const struct mqtt_route *r);
/* At a new connection: which routes are to be subscribed again. */
void mqtt_renew_all(struct mqtt *m, bool session_present);

/* mqtt_hops.c; n 0: none, or not known */
struct mqtt_hops *mqtt_hops_new(bool v5) MUST_USE;
void mqtt_hops_free(struct mqtt_hops *h);
/* Before a message goes out: the property that tells (MQTT 5), or NULL. */
MQTTProperties *mqtt_hops_out(struct mqtt_hops *h, struct span topic, struct span payload,
			      uint8_t n);
/* Of a message that came in; p: its user properties one by one, or NULL. */
bool mqtt_hops_property(const MQTTProperty *p, uint8_t *ret);
uint8_t mqtt_hops_in(const struct mqtt_hops *h, struct span topic, struct span payload);

/* mqtt_flow.c */
int mqtt_arrived(void *arg, char *topic, int topic_len, MQTTClient_message *msg);
void mqtt_delivered(void *arg, MQTTClient_deliveryToken token);
void mqtt_published(void *arg, int token, int packet_type, MQTTProperties *props,
		    enum MQTTReasonCodes reason);
int mqtt_publish(struct trigger *t, const struct trigger_message *msg, unsigned n);
/* Sends what is queued, on the broker's thread. False: the connection is gone. */
bool mqtt_flush(struct mqtt *m);
bool mqtt_may_flush(struct mqtt *m); /* lock held */
void mqtt_drain(void *m);            /* for nodelay_add_drain */

#endif
