/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much MQTT 3.1.1 as a load generator needs, on a plain socket: with a client library in it the
 * generator would be the bottleneck of what it measures. QoS 0 and 1; one packet out is one append
 * to a buffer, one packet in is one span of another.
 *
 * The socket never adds delay of its own: TCP_NODELAY always, TCP_QUICKACK where the caller asks.
 */
#ifndef BENCH_PATH_MQTT_H
#define BENCH_PATH_MQTT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rd.h"
#include "base/why.h"

enum { MQTT_IN_BYTES = 1 << 20, MQTT_OUT_BYTES = 1 << 20 };

enum mqtt_type {
	MQTT_CONNECT = 1,
	MQTT_CONNACK = 2,
	MQTT_PUBLISH = 3,
	MQTT_PUBACK = 4,
	MQTT_SUBSCRIBE = 8,
	MQTT_SUBACK = 9,
	MQTT_DISCONNECT = 14,
};

struct mqtt {
	int fd; /* -1 = closed */
	uint16_t last_id;
	size_t in_at, in_len; /* unread bytes of in: [in_at, in_len) */
	size_t out_at, out_len;
	uint8_t in[MQTT_IN_BYTES], out[MQTT_OUT_BYTES];
};

struct mqtt_packet {
	enum mqtt_type type;
	uint8_t qos;
	uint16_t id;         /* 0 where the packet has none */
	struct span topic;   /* PUBLISH */
	struct span payload; /* PUBLISH; otherwise the body */
};

/* Connects to 127.0.0.1:port, waits for CONNACK; the socket does not block afterwards. m is
 * uninitialized memory. Returns 0 or a negative error with the reason. */
int mqtt_open(struct mqtt *m, uint16_t port, const char *client_id, struct why *why) MUST_USE;
void mqtt_close(struct mqtt *m); /* sends DISCONNECT; closed is fine */
/* Waits at most 5 s for SUBACK. Call before messages flow. */
int mqtt_subscribe(struct mqtt *m, const char *filter, uint8_t qos, struct why *why) MUST_USE;

/* Appends a PUBLISH; false when the buffer has no room (flush, then try again). */
bool mqtt_publish(struct mqtt *m, const char *topic, const void *payload, size_t len, uint8_t qos);
/* Room left for PUBLISH packets in the out buffer. */
size_t mqtt_room(const struct mqtt *m);
/* Writes what the socket takes. 0 (also when some is left), or negative. */
int mqtt_flush(struct mqtt *m) MUST_USE;
bool mqtt_wants_write(const struct mqtt *m);

/* Reads what has come, without blocking. Bytes read, 0 = nothing there, negative = gone. */
int mqtt_fill(struct mqtt *m) MUST_USE;
/* 1 and the next whole packet (spans are good until mqtt_fill), 0 = none, -E_PROTO. A PUBLISH with
 * QoS 1 appends its PUBACK to the out buffer. */
int mqtt_next(struct mqtt *m, struct mqtt_packet *ret) MUST_USE;

/* Acknowledge at once what has come, so that a sender with Nagle's algorithm does not wait for us.
 * The kernel forgets it after a while: repeat after reads. */
void mqtt_quickack(struct mqtt *m);

#endif
