/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe PORT TOPIC REPLY_TOPIC [-r RATE] [-n COUNT] [-q QOS] [-s BYTES] [-v 311|5] [-w WAIT_MS]
 *
 * Publishes COUNT numbered messages, RATE a second, to TOPIC, behind which an echo function stands,
 * and watches REPLY_TOPIC. SIGTERM ends the publishing early; then WAIT_MS without an answer end it. Prints one JSON object: how many were
 * sent, answered, missing, answered twice, and how long it took. Exit code 1 when any is missing or
 * came twice.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/mqtt.h"

enum { COUNT_MAX = 2000000 };

struct probe {
	const char *topic;
	unsigned rate, count, qos, version, wait_ms;
	size_t bytes;
	uint64_t *sent_ns, *got_ns;
	unsigned sent, answered, twice, strange;
	uint64_t last_ns, gap_ns; /* longest time between two answers */
};

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

static int publish_one(struct probe *p, struct mqtt *m, char *payload)
{
	int n = snprintf(payload, p->bytes, "%u ", p->sent);

	if (n > 0 && (size_t)n < p->bytes)
		memset(payload + n, 'x', p->bytes - (size_t)n);
	p->sent_ns[p->sent++] = mqtt_now_ns();
	return mqtt_publish(m, p->topic, payload, p->bytes, (int)p->qos);
}

static void got(struct probe *p, const struct mqtt_message *msg)
{
	uint64_t now = mqtt_now_ns();
	char digits[16] = "";

	memcpy(digits, msg->payload, msg->payload_len < 15 ? msg->payload_len : 15);
	unsigned long seq = strtoul(digits, NULL, 10);
	if (seq >= p->sent || msg->payload_len != p->bytes) {
		p->strange++;
		return;
	}
	if (p->got_ns[seq]) {
		p->twice++;
		return;
	}
	p->got_ns[seq] = now;
	p->answered++;
	if (p->last_ns && now - p->last_ns > p->gap_ns)
		p->gap_ns = now - p->last_ns;
	p->last_ns = now;
}

static int receive_until(struct probe *p, struct mqtt *m, uint64_t until_ns)
{
	struct mqtt_message msg;

	for (;;) {
		uint64_t now = mqtt_now_ns();
		int left_ms = now < until_ns ? (int)((until_ns - now) / 1000000u) : 0;
		int n = mqtt_receive(m, left_ms, &msg);
		if (n < 0)
			return -1;
		if (n > 0)
			got(p, &msg);
		else if (mqtt_now_ns() + 1000000u >= until_ns)
			return 0;
	}
}

static int run(struct probe *p, struct mqtt *m)
{
	uint64_t next = mqtt_now_ns(), step = 1000000000u / p->rate;
	char *payload = malloc(p->bytes + 1);

	if (!payload)
		return -1;
	while (p->sent < p->count && !stop) {
		while (!stop && p->sent < p->count && mqtt_now_ns() >= next) {
			if (publish_one(p, m, payload) < 0)
				return -1;
			next += step;
		}
		if (receive_until(p, m, next) < 0)
			return -1;
	}
	free(payload);
	unsigned had = p->answered;
	for (uint64_t last = mqtt_now_ns();
	     p->answered < p->sent && mqtt_now_ns() - last < p->wait_ms * UINT64_C(1000000);) {
		if (receive_until(p, m, mqtt_now_ns() + 20000000u) < 0)
			return -1;
		if (p->answered > had)
			last = mqtt_now_ns();
		had = p->answered;
	}
	/* Whoever answers twice gets a moment to do so. */
	return receive_until(p, m, mqtt_now_ns() + 100000000u);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void summary(const struct probe *p)
{
	uint64_t *us = calloc(p->sent + 1u, sizeof(*us));
	unsigned n = 0;

	if (!us)
		return;
	for (unsigned i = 0; i < p->sent; i++)
		if (p->got_ns[i])
			us[n++] = (p->got_ns[i] - p->sent_ns[i]) / 1000;
	qsort(us, n, sizeof(*us), by_value);
	printf("{\"sent\":%u,\"answered\":%u,\"missing\":%u,\"twice\":%u,\"strange\":%u,"
	       "\"p50_us\":%llu,\"p99_us\":%llu,\"max_us\":%llu,\"gap_ms\":%llu}\n",
	       p->sent, p->answered, p->sent - p->answered, p->twice, p->strange,
	       (unsigned long long)us[n / 2], (unsigned long long)us[n * 99u / 100u],
	       (unsigned long long)(n ? us[n - 1] : 0), (unsigned long long)p->gap_ns / 1000000u);
	free(us);
}

static unsigned number(const char *text)
{
	return (unsigned)strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
	struct probe p = {
		.rate = 100, .count = 100, .qos = 1, .version = 311, .wait_ms = 3000, .bytes = 64
	};
	struct mqtt m;
	char id[64];
	int opt;

	while ((opt = getopt(argc, argv, "r:n:q:s:v:w:")) != -1) {
		unsigned v = opt == '?' ? 0 : number(optarg);
		switch (opt) {
		case 'r':
			p.rate = v ? v : 1;
			break;
		case 'n':
			p.count = v < COUNT_MAX ? v : COUNT_MAX;
			break;
		case 'q':
			p.qos = v & 3;
			break;
		case 's':
			p.bytes = v > 12 ? v : 12;
			break;
		case 'v':
			p.version = v;
			break;
		case 'w':
			p.wait_ms = v;
			break;
		default:
			return 64;
		}
	}
	if (argc - optind != 3) {
		fprintf(stderr, "usage: probe PORT TOPIC REPLY_TOPIC [-r RATE] [-n COUNT] ...\n");
		return 64;
	}
	p.topic = argv[optind + 1];
	p.sent_ns = calloc(p.count + 1u, sizeof(uint64_t));
	p.got_ns = calloc(p.count + 1u, sizeof(uint64_t));
	signal(SIGTERM, on_term);
	snprintf(id, sizeof(id), "probe-%d", (int)getpid());
	if (!p.sent_ns || !p.got_ns ||
	    mqtt_connect(&m, (int)number(argv[optind]), id, p.version == 5 ? MQTT_5 : MQTT_311,
			 true) < 0 ||
	    mqtt_subscribe(&m, argv[optind + 2], (int)p.qos) < 0)
		return 1;
	int err = run(&p, &m);
	summary(&p);
	mqtt_close(&m);
	return err < 0 || p.answered != p.sent || p.twice || p.strange;
}
