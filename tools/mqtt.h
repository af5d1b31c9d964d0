/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small MQTT client (3.1.1 and 5, QoS 0..2) for the demo and the tests: blocking, one thread, no
 * queues of its own, so that what it measures is the gateway and not itself. Not part of the
 * product.
 */
#ifndef TOOLS_MQTT_H
#define TOOLS_MQTT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MQTT_311 = 4, MQTT_5 = 5 };
enum { MQTT_PACKET_BYTES = 12 << 20 };

struct mqtt {
	int fd;
	int version;
	uint16_t last_id;
	uint64_t acked; /* our QoS 1 and 2 publishes that the broker has confirmed */
	uint8_t *in; /* MQTT_PACKET_BYTES, the packet that was read last and what came after it */
	size_t have, used;
};

struct mqtt_message { /* points into the client's buffer until the next call */
	const char *topic, *payload;
	size_t topic_len, payload_len;
	int qos;
	bool dup, retain;
};

uint64_t mqtt_now_ns(void); /* CLOCK_MONOTONIC */

/* To 127.0.0.1. Returns 0 or -1 with a line on stderr. clean: no session is kept. */
int mqtt_connect(struct mqtt *m, int port, const char *client_id, int version, bool clean);
int mqtt_subscribe(struct mqtt *m, const char *filter, int qos);
/* Sends; does not wait for the acknowledgement (it is counted when mqtt_receive sees it). */
int mqtt_publish(struct mqtt *m, const char *topic, const void *payload, size_t len, int qos);
/* 1 and a message; 0 when none came in timeout_ms; -1 at the end of the connection. */
int mqtt_receive(struct mqtt *m, int timeout_ms, struct mqtt_message *ret);
void mqtt_close(struct mqtt *m);

/* ---- for tests that play the broker or send what no client library would ---- */
/* Reads one packet: its first byte, or 0 on time-out, -1 at the end. Body in *ret_body. */
int mqtt_packet(struct mqtt *m, int timeout_ms, const uint8_t **ret_body, size_t *ret_len);
int mqtt_send_raw(struct mqtt *m, const void *bytes, size_t len);

#endif
