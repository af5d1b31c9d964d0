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

uint64_t mqtt_now_ns(void);
uint64_t mqtt_wall_ms(void);
/* Something is wrong with the connection: the broker's thread looks after it. */
void mqtt_look_again(struct mqtt *m);

/* mqtt_link.c: all on the broker's thread, without locks held */
int mqtt_connect(struct mqtt *m, struct why *why) MUST_USE;

/* mqtt_servers.c: the broker's thread's */
int mqtt_servers_init(struct mqtt *m) MUST_USE;
const char *mqtt_server(const struct mqtt *m); /* the url to be tried */
bool mqtt_server_next(struct mqtt *m);         /* true: all have been tried in this round */
uint64_t mqtt_pause_ms(const struct mqtt *m);
struct mqtt_address {
	char host[256], port[6];
};
struct mqtt_address mqtt_address_of(const char *url);
struct addrinfo;
int mqtt_find(const struct mqtt *m, const struct mqtt_address *a, struct addrinfo **ret,
	      struct why *why) MUST_USE;
/* Paho could not connect: why, for people. Always an error. */
int mqtt_explain(struct mqtt *m, int rc, struct why *why);

/* mqtt_reasons.c */
void mqtt_elsewhere(MQTTProperties *props,
		    char ret[MQTT_ELSEWHERE]); /* the server that it names; "" */
void mqtt_connack_seen(const void *packet, size_t len);
void mqtt_connack_reference(char ret[MQTT_ELSEWHERE]); /* of the last one */
void mqtt_reason(int rc, const char *elsewhere, char *ret, size_t cap);
int mqtt_refused(const struct mqtt *m, int rc, struct why *why);

/* mqtt_tls.c: the broker's thread's */
/* The files of certificates and keys, before they are given to Paho, which says little about them. */
int mqtt_files_check(struct mqtt *m, struct why *why) MUST_USE;
/* Have files changed, for good, since the last connect? To be asked every few seconds. */
bool mqtt_files_changed(struct mqtt *m);
bool mqtt_files_watched(const struct mqtt *m);
/* TLS by hand with who is at the other end of fd: what does not fit; 0: nothing is found. */
int mqtt_tls_explain(struct mqtt *m, const struct mqtt_address *a, int fd, struct why *why);

/* mqtt_limits.c */
struct mqtt_limits {
	int inflight, qos, retain, aliases;
	uint32_t packet_bytes; /* 0: any */
};
void mqtt_limits_set(struct mqtt *m, const struct mqtt_limits *l); /* out_lock held */
/* Makes it what the broker takes; else why it can never go. */
const char *mqtt_fit(struct mqtt *m, struct trigger_message *msg);
int mqtt_aliases_init(struct mqtt *m) MUST_USE;
void mqtt_aliases_fini(struct mqtt *m);
/* 0: none; known: the topic itself need not be sent. The next two only where there are any. */
uint16_t mqtt_alias_of(struct mqtt *m, const char *topic, bool *ret_known);
void mqtt_alias_sent(struct mqtt *m, const char *topic);

/* mqtt_presence.c */
MQTTClient_willOptions mqtt_will(const struct mqtt *m); /* topicName NULL: none */
void mqtt_present(struct mqtt *m, bool yes);
void mqtt_say(struct mqtt *m, const char *topic, const char *payload, size_t len); /* retained */

/* mqtt_subs.c */
int mqtt_subscribe(struct trigger *t, const struct trigger_route *route, struct why *why);
void mqtt_unsubscribe(struct trigger *t, uint32_t route);
bool mqtt_route_status(struct trigger *t, uint32_t route, struct why *ret);
/* The broker's thread, without locks held. Tells the broker about routes that changed. False: the connection is gone. */
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

extern const char mqtt_hops_name[];

/* mqtt_props.c */
/* Valid as long as p and msg. */
MQTTProperties *mqtt_props_of(struct mqtt *m, struct mqtt_props *p,
			      const struct trigger_message *msg);
uint8_t *mqtt_props_bytes(struct mqtt *m, const struct trigger_message *msg,
			  size_t *ret_len) MUST_USE;
/* Its time is up; else *ret is what is left of it, 0: it has no expiry. */
bool mqtt_expired(const struct trigger_message *msg, uint32_t *ret);
/* id, source and time as a CloudEvent has them, NUL-terminated. */
void mqtt_event_of(struct mqtt *m, const struct trigger_message *msg, struct mqtt_props *ret);

/* mqtt_events.c */
/* "id" to "ce-id": attributes of a CloudEvent that functions see under other names; NULL: it is none. */
const char *mqtt_foreign_name(struct span name);
/* False: it is no CloudEvent in JSON, and is delivered as it is. */
bool mqtt_unwrap(struct span content_type, unsigned version, struct span payload,
		 struct mqtt_unwrapped *ret);
void mqtt_unwrapped_free(struct mqtt_unwrapped *u);
/* The payload as one, malloc'd; NULL: out of memory. */
char *mqtt_wrap(struct mqtt *m, const struct trigger_message *msg, size_t *ret_len) MUST_USE;

/* mqtt_acks.c */
/* The event that came with this identifier was not taken: it is not acknowledged. */
void mqtt_ack_withhold(struct mqtt *m, int id);
bool mqtt_session_present(void);      /* of the last CONNACK */
void mqtt_acks_reset(struct mqtt *m); /* before a connect */
void mqtt_acks_fini(struct mqtt *m);
void mqtt_acks_drain(struct mqtt *m); /* receiving thread */
/* From Paho's callbacks. refused: a constant, NULL = delivered */
void mqtt_delivery_keep(struct mqtt *m, int id, const char *refused);

/* mqtt_slots.c */
int mqtt_slots_init(struct mqtt *m, unsigned n) MUST_USE;
void mqtt_slots_fini(struct mqtt *m);
uint16_t mqtt_slot_take(struct mqtt *m); /* 0: none is free, or the broker takes no more */
void mqtt_slot_give(struct mqtt *m, uint16_t id);
void mqtt_slot_use(uint16_t id); /* for what this thread publishes next; 0: for nothing */
void mqtt_slot_sent(struct mqtt *m, uint16_t id, uint64_t token, uint8_t qos);
void mqtt_slot_unsent(struct mqtt *m, uint16_t id); /* reserved again */
void mqtt_slot_released(struct mqtt *m, uint16_t id);
void mqtt_slot_end(struct mqtt *m, uint16_t id, const char *refused);
void mqtt_slots_lost(struct mqtt *m); /* the broker has no session of ours */
void mqtt_slots_forget_qos1(struct mqtt *m);
void mqtt_slots_connected(struct mqtt *m); /* it has to answer from now on */
/* Does an acknowledgement not come? Receiving thread. */
bool mqtt_slots_unanswered(struct mqtt *m);
struct mqtt_slot *mqtt_slot_of(struct mqtt *m, unsigned id); /* NULL: no such */

/* mqtt_session.c */
int mqtt_resume(struct trigger *t, const struct trigger_resume *r);
/* QoS 2: its event is stored with its identifier, or was not taken. */
void mqtt_inbound_settle(struct mqtt *m, uint16_t id, bool stored);
MQTTClient_persistence mqtt_persistence(struct mqtt *m);

/* mqtt_flow.c */
void mqtt_drop(struct mqtt *m, struct limiter *l, const char *msg, struct span topic,
	       const char *reason, size_t bytes);
int mqtt_arrived(void *arg, char *topic, int topic_len, MQTTClient_message *msg);
void mqtt_delivered(void *arg, MQTTClient_deliveryToken token);
void mqtt_published(void *arg, int token, int packet_type, MQTTProperties *props,
		    enum MQTTReasonCodes reason);
int mqtt_publish(struct trigger *t, const struct trigger_message *msg, unsigned n);
int mqtt_send(struct trigger *t, const struct trigger_message *msg);
void mqtt_writable(struct mqtt *m); /* without locks held */
/* Sends what is queued, on the broker's thread. False: the connection is gone. */
bool mqtt_flush(struct mqtt *m);
bool mqtt_may_flush(struct mqtt *m); /* lock held */
void mqtt_drain(void *m);            /* for nodelay_add_drain */

#endif
