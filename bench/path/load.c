/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load generator of `make bench-path`: publishes sensor messages and waits for the alert that
 * each of them causes. Two connections, as a sensor and an operator have them. Each message carries
 * its number in the sensor's name ("s-17"), which the alert repeats, so every alert is matched to
 * its message whatever the order.
 *
 * Phases, one after the other (the table `phase` below):
 *	warm	many in flight, not counted: lets a just-in-time compiler finish
 *	single	one at a time, the next as soon as the alert is there
 *	sparse	one at a time with a pause between, as sensors send
 *	flood	--window in flight
 * Everything is bounded: by time, by count, and a phase that makes no progress for STALL_MS ends.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/own.h"
#include "bench/path/args.h"
#include "bench/path/mqtt.h"
#include "bench/path/procs.h"

enum {
	STALL_MS = 4000,
	RING = 1 << 16,        /* messages in flight at most; a power of two */
	SAMPLES_MAX = 1 << 21, /* latencies kept of one phase */
	PAYLOAD_BYTES = 160,
	PUBLISH_BYTES_MAX = 512, /* of one PUBLISH packet of ours */
};

struct options {
	const char *in, *out, *pids;
	unsigned port, qos, window, ready_ms, warm_ms, single_ms, single_max, sparse_ms,
		sparse_gap_us, flood_ms;
};

struct load {
	const struct options *o;
	struct procs procs;
	struct mqtt pub, sub;
	uint64_t next; /* number of the next message */
	uint64_t in_flight;
	uint64_t received, lost, strange; /* of this phase; strange: twice, or nobody sent it */
	uint64_t sent_ns[RING];           /* by number; 0 = not in flight */
	uint64_t last_ns;                 /* when the last alert came */
	uint32_t *sample_ns;              /* [SAMPLES_MAX] */
	size_t nsamples;
};

struct phase {
	const char *name;
	unsigned window, ms, max, gap_us; /* max 0 = no bound by count */
};

static uint64_t now_ns(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool send_one(struct load *l)
{
	char text[PAYLOAD_BYTES];
	int n = snprintf(text, sizeof(text),
			 "{\"sensor\":\"s-%" PRIu64 "\",\"celsius\":%u.%u,\"line\":\"press 4\"}",
			 l->next, 91 + (unsigned)(l->next % 17), (unsigned)(l->next % 10));
	l->sent_ns[l->next % RING] = now_ns();
	if (!mqtt_publish(&l->pub, l->o->in, text, (size_t)n, (uint8_t)l->o->qos))
		return false;
	l->next++;
	l->in_flight++;
	return true;
}

/* The number in "s-17"; false when the alert has none. */
static bool alert_number(struct span payload, uint64_t *ret)
{
	const uint8_t *at = memmem(payload.at, payload.len, "\"s-", 3);
	if (!at)
		return false;
	uint64_t n = 0;
	const uint8_t *end = payload.at + payload.len;
	for (at += 3; at < end && *at >= '0' && *at <= '9'; at++)
		n = n * 10 + (uint64_t)(*at - '0');
	*ret = n;
	return true;
}

static void take_alert(struct load *l, struct span payload, uint64_t at_ns)
{
	uint64_t number;
	if (!alert_number(payload, &number) || number >= l->next || l->next - number > RING ||
	    l->sent_ns[number % RING] == 0) {
		l->strange++;
		return;
	}
	uint64_t took = at_ns - l->sent_ns[number % RING];
	l->sent_ns[number % RING] = 0;
	l->in_flight--;
	l->received++;
	l->last_ns = at_ns;
	if (l->nsamples < SAMPLES_MAX)
		l->sample_ns[l->nsamples++] = took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
}

static int drain(struct load *l, struct mqtt *m, bool quick)
{
	int err = mqtt_fill(m);
	uint64_t at_ns = now_ns();
	struct mqtt_packet p;
	if (err < 0)
		return err;
	while ((err = mqtt_next(m, &p)) == 1)
		if (p.type == MQTT_PUBLISH)
			take_alert(l, p.payload, at_ns);
	if (quick)
		mqtt_quickack(m);
	return err < 0 ? err : mqtt_flush(m);
}

/* Waits for either connection and handles what came. */
static int step(struct load *l, bool quick)
{
	struct pollfd p[2] = {
		{ l->sub.fd, POLLIN | (mqtt_wants_write(&l->sub) ? POLLOUT : 0), 0 },
		{ l->pub.fd, POLLIN | (mqtt_wants_write(&l->pub) ? POLLOUT : 0), 0 },
	};
	int n = poll(p, 2, 100), err = 0;
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (p[0].revents)
		err = drain(l, &l->sub, quick);
	if (err == 0 && p[1].revents)
		err = drain(l, &l->pub, quick);
	return err;
}

static void forget(struct load *l)
{
	l->lost += l->in_flight;
	l->in_flight = 0;
	memset(l->sent_ns, 0, sizeof(l->sent_ns));
}

static int run_phase(struct load *l, const struct phase *p, struct why *why)
{
	uint64_t end_ns = now_ns() + (uint64_t)p->ms * 1000000u, sent = 0;
	l->received = l->lost = l->strange = l->nsamples = 0;
	l->last_ns = now_ns();
	for (;;) {
		uint64_t now = now_ns();
		bool more = now < end_ns && (!p->max || sent < p->max);
		if (!more && l->in_flight == 0)
			return 0;
		if (l->in_flight > 0 && now - l->last_ns > STALL_MS * 1000000ull) {
			forget(l);
			return 0;
		}
		if (more && p->gap_us && l->in_flight == 0)
			(void)nanosleep(&(struct timespec){ .tv_nsec = p->gap_us * 1000l }, NULL);
		if (l->in_flight == 0)
			l->last_ns = now_ns();
		while (more && l->in_flight < p->window && mqtt_room(&l->pub) > PUBLISH_BYTES_MAX &&
		       send_one(l))
			sent++;
		int err = mqtt_flush(&l->pub);
		if (err == 0)
			err = step(l, p->window == 1);
		if (err < 0)
			return why_set(why, err, "lost the broker in phase %s", p->name);
	}
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static double quantile_us(const struct load *l, double q)
{
	if (l->nsamples == 0)
		return 0;
	size_t at = (size_t)(q * (double)l->nsamples);
	return l->sample_ns[at < l->nsamples ? at : l->nsamples - 1] / 1000.0;
}

/* Runs a phase and prints its numbers, as NAME_KEY=VALUE lines. */
static int measure(struct load *l, const struct phase *p, struct why *why)
{
	uint64_t cpu_from = 0, cpu_to = 0;
	int err = procs_cpu_ns(&l->procs, &cpu_from, why);
	uint64_t from = now_ns();
	if (err < 0 || (err = run_phase(l, p, why)) < 0)
		return err;
	double seconds = (double)(l->last_ns - from) / 1e9;
	if ((err = procs_cpu_ns(&l->procs, &cpu_to, why)) < 0)
		return err;
	if (l->received == 0)
		return why_set(why, -ETIMEDOUT, "no alert on %s in phase %s", l->o->out, p->name);
	qsort(l->sample_ns, l->nsamples, sizeof(l->sample_ns[0]), by_value);
	printf("%s_n=%" PRIu64 "\n%s_lost=%" PRIu64 "\n%s_strange=%" PRIu64 "\n", p->name,
	       l->received, p->name, l->lost, p->name, l->strange);
	printf("%s_p50_us=%.1f\n%s_p99_us=%.1f\n%s_p999_us=%.1f\n", p->name, quantile_us(l, 0.5),
	       p->name, quantile_us(l, 0.99), p->name, quantile_us(l, 0.999));
	printf("%s_msgs_s=%.0f\n", p->name, (double)l->received / seconds);
	if (l->procs.n)
		printf("%s_cpu_us=%.2f\n", p->name,
		       (double)(cpu_to - cpu_from) / 1000.0 / (double)l->received);
	return 0;
}

/* One message every 50 ms until an alert comes: the system in the middle may still be starting.
 * Then waits until the alerts of the earlier ones are in, or 200 ms of silence. */
static int await_ready(struct load *l, struct why *why)
{
	uint64_t end_ns = now_ns() + l->o->ready_ms * 1000000ull, beat_ns = 0;
	while (l->received == 0) {
		uint64_t now = now_ns();
		if (now > end_ns)
			return why_set(
				why, -ETIMEDOUT,
				"no alert on %s for messages on %s within %u ms: is the system "
				"in the middle running, and bound to these topics?",
				l->o->out, l->o->in, l->o->ready_ms);
		if (now - beat_ns > 50000000 && l->in_flight < RING) {
			(void)send_one(l);
			beat_ns = now;
		}
		int err = mqtt_flush(&l->pub);
		if (err == 0)
			err = step(l, true);
		if (err < 0)
			return why_set(why, err, "lost the broker");
	}
	while (l->in_flight > 0 && now_ns() - l->last_ns < 200000000)
		if (step(l, true) < 0)
			return why_set(why, -ECONNRESET, "lost the broker");
	forget(l);
	return 0;
}

static int session(struct load *l, struct why *why)
{
	const struct options *o = l->o;
	const struct phase phase[] = {
		{ "warm", o->window, o->warm_ms, 0, 0 },
		{ "single", 1, o->single_ms, o->single_max, 0 },
		{ "sparse", 1, o->sparse_ms, 0, o->sparse_gap_us },
		{ "flood", o->window, o->flood_ms, 0, 0 },
	};
	int err = mqtt_open(&l->sub, (uint16_t)o->port, "bench-operator", why);
	if (err == 0)
		err = mqtt_subscribe(&l->sub, o->out, (uint8_t)o->qos, why);
	if (err == 0)
		err = mqtt_open(&l->pub, (uint16_t)o->port, "bench-sensor", why);
	if (err == 0)
		err = await_ready(l, why);
	for (size_t i = 0; err == 0 && i < ARRAY_LEN(phase); i++)
		if (phase[i].ms > 0)
			err = measure(l, &phase[i], why);
	return err;
}

static int run(const struct options *o, struct why *why)
{
	OWN_FREE struct load *l = calloc(1, sizeof(*l));
	OWN_FREE uint32_t *samples = calloc(SAMPLES_MAX, sizeof(*samples));
	if (!l || !samples)
		return why_set(why, -ENOMEM, "out of memory");
	int err = procs_parse(o->pids, &l->procs, why);
	if (err < 0)
		return err;
	l->o = o;
	l->next = 1;
	l->pub.fd = l->sub.fd = -1;
	l->sample_ns = samples;
	err = session(l, why);
	mqtt_close(&l->pub);
	mqtt_close(&l->sub);
	return err;
}

int main(int argc, char **argv)
{
	struct options o = { .in = "bench/in",
			     .out = "bench/out",
			     .pids = "",
			     .window = 1000,
			     .ready_ms = 20000,
			     .warm_ms = 500,
			     .single_ms = 1000,
			     .single_max = 20000,
			     .sparse_gap_us = 5000,
			     .flood_ms = 1000 };
	const struct arg args[] = {
		{ "port", "N", "broker on 127.0.0.1; needed", &o.port, NULL },
		{ "in", "TOPIC", "where readings go", NULL, &o.in },
		{ "out", "FILTER", "where alerts come", NULL, &o.out },
		{ "qos", "0|1", "of both", &o.qos, NULL },
		{ "window", "N", "messages in flight in the flood", &o.window, NULL },
		{ "ready-ms", "N", "how long to wait for a first alert", &o.ready_ms, NULL },
		{ "warm-ms", "N", "warm-up; 0 = none", &o.warm_ms, NULL },
		{ "single-ms", "N", "one at a time, at most so long", &o.single_ms, NULL },
		{ "single-max", "N", "and at most so many", &o.single_max, NULL },
		{ "sparse-ms", "N", "one at a time with pauses", &o.sparse_ms, NULL },
		{ "sparse-gap-us", "N", "the pause", &o.sparse_gap_us, NULL },
		{ "flood-ms", "N", "--window in flight", &o.flood_ms, NULL },
		{ "pids", "A,B", "the processes whose CPU time to count", NULL, &o.pids },
	};
	static const char about[] =
		"usage: load --port N [options]\n"
		"Publishes readings, waits for the alert of each, prints KEY=VALUE lines.\n\n";
	int operand = args_parse(argc, argv, args, ARRAY_LEN(args), about);
	if (operand < 0)
		return -1 - operand;
	if (operand != argc || o.port == 0 || o.port > UINT16_MAX || o.qos > 1 || o.window == 0 ||
	    o.window >= RING || o.sparse_gap_us >= 1000000) {
		fputs("load: a port from 1 to 65535, QoS 0 or 1, a window from 1 to 65535, "
		      "a pause under 1000000, and nothing else; see --help\n",
		      stderr);
		return 64;
	}
	struct why why = { 0 };
	int err = run(&o, &why);
	if (err < 0)
		fprintf(stderr, "load: %s (%s)\n", why_text(&why, err), why_name(err));
	return err < 0;
}
