/* SPDX-License-Identifier: Apache-2.0 */
/* Brokers that behave badly, over real sockets, and clients for them. */
#ifndef TESTS_UNIT_TRIGGERS_BAD_BROKER_H
#define TESTS_UNIT_TRIGGERS_BAD_BROKER_H

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "triggers/mqtt.h"

/* What the broker does after it took the connection. */
enum manner { SILENT, GREETS, GREETS_AND_LEAVES, ACKNOWLEDGES };

enum { GREETINGS = 8, WAIT_MS = 30000 };

struct broker {
	enum manner manner;
	int listener;
	unsigned port;
	atomic_uint heard; /* what was read */
	atomic_uint greeted;
	uint64_t greeted_ms[GREETINGS];
	atomic_bool patient; /* acknowledges later */
	atomic_bool end;
	pthread_t thread;
};

static uint64_t ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void nap(unsigned for_ms)
{
	(void)poll(NULL, 0, (int)for_ms);
}

/* As long as it takes on a busy machine. What is asserted of it comes when the broker's thread is gone,
 * which lives in the test's frame. */
#define AWAIT(condition)                                                                           \
	for (uint64_t end_ = ms() + WAIT_MS; !(condition) && ms() < end_;)                         \
	nap(10)

/* Messages of QoS 1 one after the other, each shorter than 128 bytes. */
static void acknowledge(struct broker *b, int fd)
{
	uint8_t p[130];
	while (b->patient && !b->end)
		(void)poll(NULL, 0, 5);
	if (read(fd, p, 2) != 2 || p[1] > 127 || read(fd, p + 2, p[1]) != p[1] ||
	    (p[0] & 0xf6) != 0x32)
		return;
	const uint8_t *id = p + 4 + p[3];
	const uint8_t puback[] = { 0x40, 2, id[0], id[1] };
	(void)!write(fd, puback, sizeof(puback));
}

static void serve(struct broker *b, int fd)
{
	static const uint8_t connack[] = { 0x20, 2, 0, 0 };
	char sink[4096];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	bool greeted = false;
	while (!b->end) {
		if (poll(&p, 1, 20) < 1)
			continue;
		if (b->manner == ACKNOWLEDGES && greeted) {
			acknowledge(b, fd);
			continue;
		}
		if (read(fd, sink, sizeof(sink)) <= 0)
			break;
		atomic_fetch_add(&b->heard, 1);
		if (b->manner != SILENT && !greeted) {
			if (b->greeted < GREETINGS)
				b->greeted_ms[b->greeted] = ms();
			(void)!write(fd, connack, sizeof(connack));
			greeted = true;
			atomic_fetch_add(&b->greeted, 1);
		}
		if (b->manner == GREETS_AND_LEAVES)
			break;
	}
	(void)close(fd);
}

static void *run(void *arg)
{
	struct broker *b = arg;
	struct pollfd p = { .fd = b->listener, .events = POLLIN };
	while (!b->end) {
		int fd = poll(&p, 1, 20) == 1 ? accept(b->listener, NULL, NULL) : -1;
		if (fd >= 0)
			serve(b, fd);
	}
	return NULL;
}

static void begin(struct broker *b, enum manner manner)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	*b = (struct broker){ .manner = manner,
			      .listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0) };
	assert_int_equal(bind(b->listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(b->listener, 8), 0);
	assert_int_equal(getsockname(b->listener, (struct sockaddr *)&at, &len), 0);
	b->port = ntohs(at.sin_port);
	assert_int_equal(pthread_create(&b->thread, NULL, run, b), 0);
}

static void finish(struct broker *b)
{
	b->end = true;
	(void)pthread_join(b->thread, NULL);
	(void)close(b->listener);
}

static int on_event(void *arg, const struct event *e, const uint32_t *routes, unsigned nroutes,
		    bool more)
{
	(void)arg;
	(void)e;
	(void)routes;
	(void)nroutes;
	(void)more;
	return 0;
}

static struct mqtt_options options(unsigned port, char url[64])
{
	(void)snprintf(url, 64, "tcp://127.0.0.1:%u", port);
	return (struct mqtt_options){ .name = "test",
				      .url = url,
				      .client_id = "test",
				      .version = 3,
				      .username = "",
				      .password_file = "",
				      .ca_file = "",
				      .cert_file = "",
				      .key_file = "",
				      .keepalive_s = 30,
				      .connect_timeout_s = 10,
				      .backoff_min_ms = 200,
				      .backoff_max_ms = 1000,
				      .inflight = 100,
				      .payload_bytes = 1000,
				      .outbox_messages = 4,
				      .outbox_bytes = 100 };
}

static struct trigger *client_of(const struct mqtt_options *o, const struct trigger_sink *sink)
{
	struct trigger *t = NULL;
	struct why why = { 0 };
	assert_int_equal(mqtt_new(o, sink, &t, &why), 0);
	return t;
}

static inline struct trigger *client_with(unsigned port, char url[64],
					  const struct trigger_sink *sink, unsigned inflight)
{
	struct mqtt_options o = options(port, url);
	o.inflight = inflight;
	return client_of(&o, sink);
}

static inline struct trigger *client(unsigned port, char url[64])
{
	static const struct trigger_sink sink = { .event = on_event };
	return client_with(port, url, &sink, 100);
}

static inline struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

#endif
