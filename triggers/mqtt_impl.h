/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the MQTT trigger: mqtt.c (the object and its thread), mqtt_link.c (connecting), mqtt_subs.c
 * (subscriptions), mqtt_flow.c (messages in and out). */
#ifndef TRIGGERS_MQTT_IMPL_H
#define TRIGGERS_MQTT_IMPL_H

#include <MQTTClient.h>
#include <pthread.h>
#include <stdatomic.h>

#include "proto/message_attrs.h"
#include "triggers/limiter.h"
#include "triggers/mqtt.h"

struct mqtt_route {
	struct mqtt_route *next;
	uint32_t id;
	uint8_t qos;
	bool gone; /* to be freed when the broker has forgotten it */
	bool want; /* what the broker is to have, from mqtt_subs.c's plan() */
	uint8_t want_qos;
	bool subscribed; /* what it has */
	uint8_t had_qos;
	bool no_local, retain_as_published;
	enum { RETAIN_ALWAYS, RETAIN_NEW, RETAIN_NEVER } retain_handling; /* as SUBSCRIBE has it */
	int refused; /* it said no, with this code: asked again at the next connect; 0 */
	char *filter;
};

struct mqtt_out {
	struct mqtt_out *next;
	size_t payload_len;
	uint8_t qos, retain, hops;
	uint16_t packet;
	uint64_t token;
	char *topic;                  /* NUL-terminated, behind the payload */
	char *id, *source, *function; /* NULL, or behind the topic */
	uint8_t *attrs;               /* behind those */
	size_t attrs_len;
	uint64_t time_wall_ms;
	uint8_t payload[];
};

/* mqtt_acks.c */
enum mqtt_ack_kind { ACK_PUBACK, ACK_PUBREC, ACK_PUBREL, ACK_PUBCOMP };

struct mqtt_ack {
	enum mqtt_ack_kind kind;
	uint16_t id;
	bool marked; /* mark is its */
	bool told;   /* PUBREL: the sink knows that PUBREC came */
	bool said;   /* or not to be said */
	int fd;      /* the connection that it is for */
	const int *net;
	const char *client;
	struct trigger_mark mark;
};

struct mqtt_delivery {
	uint16_t id;
	const char *refused;
};

struct mqtt_acks {
	pthread_mutex_t lock;
	struct mqtt_ack *ack; /* first..n */
	unsigned first, n, room;
	struct mqtt_delivery *delivery;
	unsigned ndeliveries, delivery_room;
};

/* mqtt_slots.c */
enum { SLOT_IDS_MAX = 60000 };

struct mqtt_slot {
	enum mqtt_slot_state { SLOT_FREE, SLOT_RESERVED, SLOT_SENT, SLOT_RELEASED } state;
	uint8_t qos;
	bool lost;        /* RELEASED, and then the broker lost the session */
	uint64_t token;   /* 0: nobody's */
	int64_t since_ms; /* SENT, RELEASED: the broker has to answer */
	uint8_t *bytes;   /* QoS 2: the PUBLISH */
	size_t len;
};

struct mqtt_inbound { /* a QoS 2 message between PUBLISH and PUBREL */
	struct mqtt_inbound *next;
	uint16_t id;
	size_t len; /* 0: its event has been told */
	uint8_t bytes[];
};

struct mqtt_slots {
	pthread_mutex_t lock;
	struct mqtt_slot *slot;
	unsigned n, next;
	struct mqtt_inbound *inbound;
	struct mqtt_inbound *leaving; /* 3.1.1: PUBREL came, its event is on the way */
	bool resume;                  /* something is to be restored: the client is made anew */
};

/* mqtt_props.c */
enum { MQTT_OWN_PROPS = 8, MQTT_PROPS_MAX = IPC_EFFECT_ATTRS + MQTT_OWN_PROPS };

struct mqtt;
enum { MQTT_MARK_BYTES = 20 };
/* The value of MESSAGE_ATTR_DIRECT for this client of this broker, and nobody else's. */
void mqtt_mark(const struct mqtt *m, char ret[MQTT_MARK_BYTES]);

struct mqtt_props {
	MQTTProperties list;
	MQTTProperty array[MQTT_PROPS_MAX];
	uint16_t alias; /* given; 0: none */
	char hops[4], id[40], time[32], source[96], mark[MQTT_MARK_BYTES];
};

/* mqtt_events.c */
enum { MQTT_ATTRS_MAX = 32 };

struct mqtt_unwrapped { /* a CloudEvent in JSON; its spans live until it is freed */
	void *json;
	uint8_t *bytes;
	struct span payload, content_type;
	struct event_attr attrs[MQTT_ATTRS_MAX];
	unsigned nattrs;
	char number[MQTT_ATTRS_MAX][24];
};

enum { MQTT_SERVERS_MAX = 8, MQTT_ELSEWHERE = 80 };

enum mqtt_state { MQTT_STOPPED, MQTT_CONNECTING, MQTT_CONNECTED, MQTT_WAITING };

struct mqtt {
	struct trigger base;
	struct mqtt_options o;
	char source[80]; /* "mqtt:NAME" */
	MQTTClient client;
	bool tls, has_thread;
	bool short_way; /* whoever publishes may write to the socket: plain TCP, payloads as they are */
	bool drained; /* mqtt_drain is called by the reader */
	MQTTClient_persistence persistence;
	struct mqtt_acks acks;
	struct mqtt_slots slots;
	bool session_kept;      /* of the last connect; the broker's thread */
	atomic_bool resuming;   /* connecting: whether the session was kept is not known yet */
	atomic_bool renew;      /* an event was not taken: the broker is to send it again */
	atomic_bool starved;    /* somebody waits for writable() */
	atomic_bool unanswered; /* an acknowledgement is lost */
	int64_t looked_ms;      /* for that, as what follows; the reader's */
	uint64_t overdue_bytes; /* all that was written when one was overdue; 0: none was */
	bool overdue_there;     /* and the far side has them */
	pthread_t thread;

	pthread_mutex_t lock; /* all below up to the next lock */
	pthread_cond_t wake;
	struct mqtt_route *routes;
	bool routes_dirty;
	struct mqtt_out *outbox, **outbox_last;
	unsigned outbox_n;     /* in it, and room reserved */
	unsigned outbox_slots; /* in it with a packet identifier */
	uint64_t outbox_bytes;
	atomic_bool stop; /* written under the lock, looked at without */
	bool look;        /* the connection may be gone */
	uint64_t stop_ns;
	enum mqtt_state state;
	char detail[256];
	char farewell[256]; /* why the broker disconnected us (MQTT 5) */
	unsigned subscriptions;
	unsigned failures; /* in a row */
	uint64_t connected_ns;

	pthread_mutex_t out_lock; /* held for a short-way publish; the receiver only tries it */
	atomic_bool out_busy;     /* the broker's thread is inside MQTTClient_publish */
	atomic_bool connected;
	_Atomic uint32_t connection; /* counts them */
	atomic_uint queued;          /* in the outbox, for a look without the lock */
	atomic_int inflight;         /* slots in use */
	atomic_int inflight_max;     /* ours or the broker's, whichever is less */
	atomic_bool limited;         /* the broker takes less than MQTT has: the next three */
	atomic_int most_qos;
	atomic_bool no_retain;
	_Atomic uint32_t most_packet; /* bytes; 0: any */
	struct mqtt_aliases *aliases; /* mqtt_limits.c; NULL: none */
	atomic_int fd;                /* of the connection, for nodelay_writable */
	atomic_bool route_ids;        /* the broker says by which subscription a message came */

	pthread_mutex_t sink_lock; /* held during the sink's call */
	bool deaf;                 /* stopped: nothing goes to the sink */

	struct mqtt_hops *hops; /* mqtt_hops.c */
	char event_head[24];    /* CloudEvents ids of what is in no journal: this and a number */
	_Atomic uint64_t event_number;

	_Atomic uint64_t received, published, dropped;
	struct limiter drops, refusals;
	char ssl_error[160];

	char *urls, *servers[MQTT_SERVERS_MAX]; /* the broker's thread's, as what follows */
	unsigned nservers, server, round; /* the one to be tried, and the first of this round */
	char elsewhere[MQTT_ELSEWHERE];
	struct mqtt_files *files; /* mqtt_tls.c */
};

#include "triggers/mqtt_parts.h"

#endif
