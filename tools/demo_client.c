/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo_client PORT DAY.csv: publishes each row (time,sensor,celsius) as a JSON reading to
 * sensors/SENSOR/temperature and prints the alerts that come back on alerts/SENSOR, each with the
 * time from publish to arrival. Exit code 1 when an alert that must come does not.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/mqtt.h"

#define LIMIT_CELSIUS 90

enum {
	READINGS_MAX = 10000,
	TICK_NS = 10 * 1000 * 1000, /* five minutes of the day take this long */
	LAST_ALERT_MS = 5000,
	ACK_LOOK_MS = 10,
};

struct reading {
	char time[6], sensor[32], celsius[16];
	uint64_t sent_ns, alert_ns; /* 0 = not yet */
};

struct day {
	struct reading *readings;
	size_t n, sent, expected, alerts, surprises;
	bool tty;
};

static int day_load(struct day *d, const char *path)
{
	char line[128];
	FILE *f = fopen(path, "re");

	d->readings = calloc(READINGS_MAX, sizeof(*d->readings));
	if (!f || !d->readings) {
		fprintf(stderr, "demo: cannot read %s: %s\n", path, strerror(errno));
		return -1;
	}
	while (d->n < READINGS_MAX && fgets(line, sizeof(line), f)) {
		struct reading *r = &d->readings[d->n];
		if (sscanf(line, "%5[0-9:],%31[a-z0-9-],%15[0-9.-]", r->time, r->sensor,
			   r->celsius) != 3)
			continue; /* the head line */
		d->n++;
		d->expected += strtod(r->celsius, NULL) > LIMIT_CELSIUS;
	}
	fclose(f);
	return d->n > 0 ? 0 : -1;
}

static void progress(const struct day *d)
{
	if (d->tty && d->sent < d->n)
		fprintf(stderr, "\r  %s  %zu of %zu readings\033[K", d->readings[d->sent].time,
			d->sent, d->n);
	else if (d->tty)
		fputs("\r\033[K", stderr);
}

static int publish_reading(struct mqtt *m, struct reading *r)
{
	char topic[64], json[128];

	snprintf(topic, sizeof(topic), "sensors/%s/temperature", r->sensor);
	int n = snprintf(json, sizeof(json),
			 "{\"sensor\":\"%s\",\"celsius\":%s,\"time\":\"2026-03-02T%s:00Z\"}",
			 r->sensor, r->celsius, r->time);
	r->sent_ns = mqtt_now_ns();
	return mqtt_publish(m, topic, json, (size_t)n, 1);
}

/* The oldest reading that this alert can be about. */
static struct reading *match(struct day *d, const char *sensor, const char *celsius)
{
	for (size_t i = 0; i < d->sent; i++) {
		struct reading *r = &d->readings[i];
		if (!r->alert_ns && strcmp(r->sensor, sensor) == 0 &&
		    strcmp(r->celsius, celsius) == 0)
			return r;
	}
	return NULL;
}

static void got_alert(struct day *d, const struct mqtt_message *msg, uint64_t now)
{
	char text[256] = "", sensor[32], celsius[16];

	memcpy(text, msg->payload,
	       msg->payload_len < sizeof(text) ? msg->payload_len : sizeof(text) - 1);
	struct reading *r = NULL;
	if (sscanf(text, "{\"alert\":\"overheat\",\"sensor\":\"%31[^\"]\",\"celsius\":%15[0-9.-]",
		   sensor, celsius) == 2)
		r = match(d, sensor, celsius);
	progress(&(struct day){ .tty = d->tty });
	if (!r) {
		printf("  ?      %.*s  %s\n", (int)msg->topic_len, msg->topic, text);
		d->surprises++;
		return;
	}
	r->alert_ns = now;
	d->alerts++;
	printf("  %s  %-19.*s  %s  %6.2f ms\n", r->time, (int)msg->topic_len, msg->topic, text,
	       (double)(now - r->sent_ns) / 1e6);
	fflush(stdout);
}

/* At the end of the day also until the broker has confirmed every reading: a connection that is closed
 * before may cost the last ones. */
static int receive_until(struct mqtt *m, struct day *d, uint64_t until_ns)
{
	struct mqtt_message msg;

	for (;;) {
		uint64_t now = mqtt_now_ns();
		bool all_sent = d->sent == d->n;
		if (now >= until_ns ||
		    (all_sent && d->alerts >= d->expected && m->acked >= d->sent))
			return 0;
		/* Acknowledgements are counted inside; none of them ends the call. */
		int wait_ms = all_sent ? ACK_LOOK_MS : (int)((until_ns - now) / 1000000u) + 1;
		int got = mqtt_receive(m, wait_ms, &msg);
		if (got < 0) {
			fprintf(stderr, "demo: the broker has gone\n");
			return -1;
		}
		if (got > 0)
			got_alert(d, &msg, mqtt_now_ns());
	}
}

static int play(struct mqtt *m, struct day *d)
{
	uint64_t next = mqtt_now_ns();

	while (d->sent < d->n) {
		const char *tick = d->readings[d->sent].time;
		progress(d);
		while (d->sent < d->n && strcmp(d->readings[d->sent].time, tick) == 0)
			if (publish_reading(m, &d->readings[d->sent++]) < 0)
				return -1;
		next += TICK_NS;
		if (receive_until(m, d, next) < 0)
			return -1;
	}
	int err = receive_until(m, d, mqtt_now_ns() + LAST_ALERT_MS * UINT64_C(1000000));
	progress(d);
	return err;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int summary(const struct day *d)
{
	double *ms = calloc(d->alerts + 1, sizeof(*ms));
	size_t n = 0;

	if (!ms)
		return 1;
	for (size_t i = 0; i < d->sent; i++)
		if (d->readings[i].alert_ns)
			ms[n++] = (double)(d->readings[i].alert_ns - d->readings[i].sent_ns) / 1e6;
	qsort(ms, n, sizeof(*ms), by_value);
	printf("\n  %zu readings, %zu alerts", d->sent, d->alerts);
	if (n > 0)
		printf("; from publish to alert: median %.2f ms, p99 %.2f ms", ms[n / 2],
		       ms[(n * 99 - 1) / 100]);
	printf("\n");
	free(ms);
	if (d->alerts == d->expected && d->surprises == 0)
		return 0;
	printf("  expected were %zu alerts: something is wrong\n", d->expected);
	return 1;
}

int main(int argc, char **argv)
{
	struct day day = { .tty = isatty(STDERR_FILENO) && isatty(STDOUT_FILENO) };
	struct mqtt m;

	if (argc != 3) {
		fprintf(stderr, "usage: demo_client PORT DAY.csv\n");
		return 64;
	}
	if (day_load(&day, argv[2]) < 0 ||
	    mqtt_connect(&m, (int)strtol(argv[1], NULL, 10), "penstock-demo", MQTT_311, true) < 0 ||
	    mqtt_subscribe(&m, "alerts/+", 1) < 0 || play(&m, &day) < 0)
		return 1;
	int rc = summary(&day);
	mqtt_close(&m);
	free(day.readings);
	return rc;
}
