/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the MQTT trigger have for each other; included by mqtt_impl.h, which has the types. */
#ifndef TRIGGERS_MQTT_PARTS_H
#define TRIGGERS_MQTT_PARTS_H

#include "triggers/mqtt_impl.h"

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
