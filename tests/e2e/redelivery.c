/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redelivery PORT TOPIC REPLY_TOPIC
 *
 * Plays a broker that sends one text again and again, at QoS 1, to the gateway that connects: with the DUP flag what was
 * acknowledged before, on the same connection and on the next, which must be no events; without it, under another
 * packet identifier and under the same, which must be. Each must be acknowledged. Then it waits for the answers of a
 * counting function, "TOPIC COUNT TEXT". Prints one JSON object: acknowledged, answers, highest (count).
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/mqtt.h"

enum { PATIENCE_MS = 60000, QUIET_MS = 2000, EVENTS = 3 };

static const struct step {
	bool new_connection, dup;
	uint8_t id;
} steps[] = {
	{ .id = 7 },
	{ .id = 7, .dup = true },
	{ .id = 7, .dup = true, .new_connection = true },
	{ .id = 8 },
	{ .id = 8 },
};

enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

struct broker {
	int listener;
	struct mqtt m;
	const char *topic, *reply;
	bool greeted; /* has been connected to before */
	unsigned answers, highest;
};

static int send_bytes(struct broker *b, const uint8_t *bytes, size_t len)
{
	return mqtt_send_raw(&b->m, bytes, len);
}

static void take(struct broker *b, const uint8_t *body, size_t len, size_t topic_len)
{
	char topic[64], text[128];
	size_t at = 2 + topic_len + 2, props = 0;
	unsigned count = 0;
	for (unsigned shift = 0; at < len && shift < 28; shift += 7) {
		props |= (size_t)(body[at] & 127) << shift;
		if (body[at++] < 128)
			break;
	}
	if (props > len - at)
		return;
	at += props;
	(void)snprintf(topic, sizeof(topic), "%.*s", (int)topic_len, body + 2);
	(void)snprintf(text, sizeof(text), "%.*s", (int)(len - at), body + at);
	const char *space = strchr(text, ' ');
	if (strcmp(topic, b->reply) != 0 || !space)
		return;
	count = (unsigned)strtoul(space, NULL, 10);
	b->answers++;
	b->highest = count > b->highest ? count : b->highest;
}

static int on_publish(struct broker *b, int first, const uint8_t *body, size_t len)
{
	size_t topic_len = len >= 2 ? (size_t)body[0] << 8 | body[1] : len;
	if ((first & 6) == 0)
		return 0;
	if (topic_len + 4 > len)
		return -1;
	const uint8_t ack[] = { 0x40, 2, body[2 + topic_len], body[3 + topic_len] };
	take(b, body, len, topic_len);
	return send_bytes(b, ack, sizeof(ack));
}

/* Answers one packet of the gateway's. Returns its first byte, 0 for none, -1 when it hung up. *ret_id: what a PUBACK is about. */
static int serve(struct broker *b, int timeout_ms, unsigned *ret_id)
{
	const uint8_t *body;
	size_t len;
	int err = 0, first = mqtt_packet(&b->m, timeout_ms, &body, &len);
	if (first == 0x10)
		err = send_bytes(b, (const uint8_t[]){ 0x20, 3, b->greeted, 0, 0 }, 5);
	else if (first == 0x82 && len >= 2)
		err = send_bytes(b, (const uint8_t[]){ 0x90, 4, body[0], body[1], 0, 1 }, 6);
	else if (first == 0xc0)
		err = send_bytes(b, (const uint8_t[]){ 0xd0, 0 }, 2);
	else if (first == 0x40 && len >= 2)
		*ret_id = (unsigned)body[0] << 8 | body[1];
	else if (first > 0 && (first & 0xf0) == 0x30)
		err = on_publish(b, first, body, len);
	return err < 0 ? -1 : first;
}

/* Until PACKET came. For a PUBACK: the one of id. */
static int await(struct broker *b, int packet, unsigned id)
{
	unsigned about = 0;
	int first;
	while ((first = serve(b, PATIENCE_MS, &about)) > 0)
		if (first == packet && (packet != 0x40 || about == id))
			return 0;
	return -1;
}

static int meet(struct broker *b)
{
	if (b->greeted)
		(void)close(b->m.fd);
	if (poll(&(struct pollfd){ .fd = b->listener, .events = POLLIN }, 1, PATIENCE_MS) <= 0)
		return -1;
	b->m.fd = accept(b->listener, NULL, NULL);
	b->m.have = b->m.used = 0;
	/* A session that was kept has the subscription; whether the gateway renews it is its affair. */
	int err = await(b, b->greeted ? 0x10 : 0x82, 0);
	b->greeted = true;
	return err;
}

static int publish(struct broker *b, const struct step *s)
{
	static const char text[] = "again";
	uint8_t packet[128];
	size_t topic_len = strlen(b->topic), n = 2;
	packet[0] = (uint8_t)(0x32 | (s->dup ? 8 : 0));
	packet[n++] = 0;
	packet[n++] = (uint8_t)topic_len;
	memcpy(packet + n, b->topic, topic_len);
	n += topic_len;
	packet[n++] = 0;
	packet[n++] = s->id;
	packet[n++] = 0;
	memcpy(packet + n, text, sizeof(text) - 1);
	n += sizeof(text) - 1;
	packet[1] = (uint8_t)(n - 2);
	return send_bytes(b, packet, n);
}

static int listen_on(const char *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				  .sin_port = htons((uint16_t)strtoul(port, NULL, 10)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4) < 0) {
		perror("redelivery");
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct broker b = { .m = { .version = MQTT_5, .in = malloc(MQTT_PACKET_BYTES) } };
	unsigned acknowledged = 0, ignored = 0;
	if (argc != 4 || strlen(argv[2]) > 64 || !b.m.in) {
		fprintf(stderr, "usage: redelivery PORT TOPIC REPLY_TOPIC\n");
		return 64;
	}
	(void)alarm(PATIENCE_MS / 1000); /* pings would go on for ever */
	b.listener = listen_on(argv[1]);
	b.topic = argv[2];
	b.reply = argv[3];
	int err = meet(&b);
	for (size_t i = 0; err == 0 && i < STEPS; i++) {
		if (steps[i].new_connection)
			err = meet(&b);
		if (err == 0)
			err = publish(&b, &steps[i]);
		if (err == 0)
			err = await(&b, 0x40, steps[i].id);
		acknowledged += err == 0;
	}
	while (err == 0 && b.answers < EVENTS)
		err = serve(&b, PATIENCE_MS, &ignored) > 0 ? 0 : -1;
	/* What is too much comes at once. */
	for (uint64_t quiet = mqtt_now_ns() + QUIET_MS * UINT64_C(1000000);
	     err == 0 && mqtt_now_ns() < quiet;)
		err = serve(&b, 100, &ignored) < 0 ? -1 : 0;
	printf("{\"acknowledged\":%u,\"answers\":%u,\"highest\":%u}\n", acknowledged, b.answers,
	       b.highest);
	return err < 0;
}
