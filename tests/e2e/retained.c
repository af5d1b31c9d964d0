/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retained PORT COUNT TOPIC REPLY_TOPIC [-w WAIT_MS]
 *
 * Leaves COUNT retained messages of QoS 1 with the broker, "number N" on TOPIC/N, prints "kept", and waits for the
 * answer "TOPIC/N 1 number N" of a counting function to each of them on REPLY_TOPIC. WAIT_MS without one end it.
 * Prints one JSON object: answered, missing, twice, strange (another text than that). Exit code 1 unless all but the first are 0.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/mqtt.h"

enum { WINDOW = 64, COUNT_MAX = 1 << 24 };

struct retained {
	int port;
	unsigned count, wait_ms;
	const char *topic, *reply;
	bool *got;
	unsigned answered, twice, strange;
};

static int publish(struct mqtt *m, const char *topic, unsigned n)
{
	uint8_t packet[128];
	char name[64], payload[32];
	int name_len = snprintf(name, sizeof(name), "%s/%u", topic, n);
	int payload_len = snprintf(payload, sizeof(payload), "number %u", n);
	if (name_len < 0 || name_len >= (int)sizeof(name) || payload_len < 0)
		return -1;
	size_t len = 0, id = n % 65535 + 1;
	packet[len++] = 0x33; /* QoS 1, retained */
	packet[len++] = (uint8_t)(2 + name_len + 2 + payload_len);
	packet[len++] = 0;
	packet[len++] = (uint8_t)name_len;
	memcpy(packet + len, name, (size_t)name_len);
	len += (size_t)name_len;
	packet[len++] = (uint8_t)(id >> 8);
	packet[len++] = (uint8_t)id;
	memcpy(packet + len, payload, (size_t)payload_len);
	return mqtt_send_raw(m, packet, len + (size_t)payload_len);
}

static int keep(const struct retained *r)
{
	struct mqtt m;
	struct mqtt_message ignored;
	int err = mqtt_connect(&m, r->port, "retained-source", MQTT_311, true);
	for (unsigned n = 0; err == 0 && n < r->count; n++) {
		while (err == 0 && n - m.acked >= WINDOW)
			err = mqtt_receive(&m, 1, &ignored);
		err = err < 0 ? err : publish(&m, r->topic, n);
	}
	while (err >= 0 && m.acked < r->count)
		err = mqtt_receive(&m, 1, &ignored);
	mqtt_close(&m);
	return err;
}

static void take(struct retained *r, const struct mqtt_message *msg)
{
	char text[128], want[128];
	unsigned n = 0;
	(void)snprintf(text, sizeof(text), "%.*s", (int)msg->payload_len, msg->payload);
	const char *digits = strrchr(text, ' ');
	n = digits ? (unsigned)strtoul(digits, NULL, 10) : r->count;
	(void)snprintf(want, sizeof(want), "%s/%u 1 number %u", r->topic, n, n);
	if (n >= r->count || strcmp(text, want) != 0) {
		r->strange++;
		return;
	}
	r->twice += r->got[n];
	r->answered += !r->got[n];
	r->got[n] = true;
}

static int watch(struct retained *r)
{
	struct mqtt m;
	struct mqtt_message msg;
	int err = mqtt_connect(&m, r->port, "retained-consumer", MQTT_311, true);
	if (err == 0)
		err = mqtt_subscribe(&m, r->reply, 1);
	(void)puts(err == 0 ? "kept" : "no broker");
	(void)fflush(stdout);
	while (err >= 0 && r->answered < r->count &&
	       (err = mqtt_receive(&m, (int)r->wait_ms, &msg)) == 1)
		take(r, &msg);
	while (err == 1 && (err = mqtt_receive(&m, 300, &msg)) == 1)
		take(r, &msg); /* whoever answers twice */
	return err;
}

int main(int argc, char **argv)
{
	struct retained r = { .wait_ms = 30000 };
	int opt;
	while ((opt = getopt(argc, argv, "w:")) != -1)
		r.wait_ms = opt == 'w' ? (unsigned)strtoul(optarg, NULL, 10) : 0;
	if (argc - optind != 4 || r.wait_ms == 0) {
		fprintf(stderr, "usage: retained PORT COUNT TOPIC REPLY_TOPIC [-w WAIT_MS]\n");
		return 64;
	}
	r.port = (int)strtoul(argv[optind], NULL, 10);
	r.count = (unsigned)strtoul(argv[optind + 1], NULL, 10);
	r.topic = argv[optind + 2];
	r.reply = argv[optind + 3];
	r.got = r.count <= COUNT_MAX ? calloc(r.count + 1u, sizeof(*r.got)) : NULL;
	if (!r.got || keep(&r) < 0 || watch(&r) < 0)
		return 70;
	printf("{\"answered\":%u,\"missing\":%u,\"twice\":%u,\"strange\":%u}\n", r.answered,
	       r.count - r.answered, r.twice, r.strange);
	return r.answered < r.count || r.twice > 0 || r.strange > 0;
}
