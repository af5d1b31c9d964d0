/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evil_broker PORT: plays a broker that breaks the rules. To whoever connects and subscribes it
 * sends publications that no honest broker would (topics that are no UTF-8, with NUL, with
 * wildcards, empty, cut short, ...), one by one, over a new connection each time it is hung up on;
 * then an honest one to "evil/good" and waits until that is answered on "evil/answer". Prints
 * "sent N, hung up on N times, answered: PAYLOAD". Exit code 0 when the answer came.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/mqtt.h"

enum { PATIENCE_MS = 20000, GAP_MS = 150 };

static const struct evil {
	const char *what;
	size_t len;
	const char *topic; /* with its two bytes of length */
} evils[] = {
	{ "no UTF-8", 7, "\0\5ev\xff\xfel" },
	{ "a surrogate", 8, "\0\6evi\xed\xa0\x80" },
	{ "an over-long form", 7, "\0\5evi\xc0\xaf" },
	{ "a NUL", 7, "\0\5ev\0il" },
	{ "a wildcard", 8, "\0\6evil/+" },
	{ "another wildcard", 8, "\0\6evil/#" },
	{ "an empty topic", 2, "\0\0" },
	{ "a length beyond the packet", 4, "\377\377ev" },
	{ "half a length", 1, "\0" },
};

static const struct evil good = { "good", 11, "\0\11evil/good" };

enum { EVILS = sizeof(evils) / sizeof(evils[0]) };

static int send_publish(struct mqtt *m, const char *topic, size_t topic_len, const char *payload)
{
	uint8_t packet[128];
	size_t n = 2;

	memcpy(packet + n, topic, topic_len);
	n += topic_len;
	if (m->version == MQTT_5)
		packet[n++] = 0;
	memcpy(packet + n, payload, strlen(payload));
	n += strlen(payload);
	packet[0] = 0x30;
	packet[1] = (uint8_t)(n - 2);
	return mqtt_send_raw(m, packet, n);
}

/* Answers one packet of the client's. Returns its first byte, 0 for none, -1 when it hung up. */
static int serve(struct mqtt *m, int timeout_ms, char *ret_answer, size_t cap)
{
	static const uint8_t connack[] = { 0x20, 2, 0, 0, 0 }, connack5[] = { 0x20, 3, 0, 0, 0 };
	const uint8_t *body;
	size_t len;
	int first = mqtt_packet(m, timeout_ms, &body, &len);

	if (first == 0x10 && len > 6) {
		m->version = body[6];
		return mqtt_send_raw(m, m->version == MQTT_5 ? connack5 : connack,
				     m->version == MQTT_5 ? 5 : 4) < 0
			       ? -1
			       : first;
	}
	if ((first == 0x82 || first == 0xa2) && len >= 2) {
		uint8_t granted = body[len - 1] & 3;
		uint8_t ack[] = { 0x90, 3, body[0], body[1], granted, 0 };
		uint8_t ack5[] = { 0x90, 4, body[0], body[1], 0, granted };
		return mqtt_send_raw(m, m->version == MQTT_5 ? ack5 : ack,
				     m->version == MQTT_5 ? 6 : 5) < 0
			       ? -1
			       : first;
	}
	if (first == 0xc0)
		return mqtt_send_raw(m, (const uint8_t[]){ 0xd0, 0 }, 2) < 0 ? -1 : first;
	if (first > 0 && (first & 0xf0) == 0x30) {
		size_t skip = 2 + ((size_t)body[0] << 8 | body[1]);
		skip += m->version == MQTT_5 ? 1u + body[skip] : 0;
		if (skip <= len)
			snprintf(ret_answer, cap, "%.*s", (int)(len - skip), body + skip);
	}
	return first;
}

static int wait_client(int listener, struct mqtt *m)
{
	char ignored[8];

	if (poll(&(struct pollfd){ .fd = listener, .events = POLLIN }, 1, PATIENCE_MS) <= 0)
		return -1;
	m->fd = accept(listener, NULL, NULL);
	m->have = m->used = 0;
	for (int first = 1; first > 0;) {
		first = serve(m, PATIENCE_MS, ignored, sizeof(ignored));
		if (first == 0x82)
			return 0;
	}
	close(m->fd);
	return 1;
}

/* One connection: sends what is left to send. 0 when it was answered, -1 when it was hung up on. */
static int torment(struct mqtt *m, size_t *next, char *ret_answer, size_t cap)
{
	for (int tries = 0; tries < 100; tries++) {
		const struct evil *e = *next < EVILS ? &evils[(*next)++] : &good;
		int first = send_publish(m, e->topic, e->len, e->what);
		for (int i = 0; first >= 0 && i < 2; i++)
			first = serve(m, GAP_MS, ret_answer, cap);
		if (first < 0)
			return -1;
		if (ret_answer[0])
			return 0;
	}
	return 0;
}

static int listen_on(const char *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				  .sin_port = htons((uint16_t)strtoul(port, NULL, 10)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4) < 0) {
		perror("evil_broker");
		exit(2);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct mqtt m = { .in = malloc(MQTT_PACKET_BYTES) };
	int listener = listen_on(argc > 1 ? argv[1] : "0"), hung_up = 0, err;
	char answer[256] = "";
	size_t next = 0;

	if (!m.in)
		return 2;
	while ((err = wait_client(listener, &m)) >= 0) {
		if (err == 0 && torment(&m, &next, answer, sizeof(answer)) == 0)
			break;
		hung_up++;
		if (err == 0)
			close(m.fd);
	}
	printf("sent %zu, hung up on %d times, answered: %s\n", next, hung_up, answer);
	return answer[0] && next == EVILS ? 0 : 1;
}
