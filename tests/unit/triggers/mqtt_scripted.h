/* SPDX-License-Identifier: Apache-2.0 */
/* A broker that says what a test tells it to, and keeps what it hears. */
#ifndef TESTS_MQTT_SCRIPTED_H
#define TESTS_MQTT_SCRIPTED_H

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "triggers/mqtt.h"

enum { PATIENCE_MS = 30000, HEARD_MAX = 64, PACKET_MAX = 512 };

#define WAIT_FOR(condition)                                                                        \
	for (uint64_t until_ = now_ms() + PATIENCE_MS; !(condition) && now_ms() < until_;)         \
	(void)poll(NULL, 0, 5)

struct bytes {
	size_t len;
	const char *at;
};
#define BYTES(s)                                                                                   \
	{                                                                                          \
		sizeof(s) - 1, (s)                                                                 \
	}

struct script {
	struct bytes connack;
	struct bytes then;   /* sent once, on the first connection, after CONNACK */
	struct bytes honest; /* sent on each connection, a moment later; empty: nothing */
	bool acknowledges;   /* PUBLISH of QoS 1 */
};

struct scripted {
	const struct script *script;
	int listener;
	unsigned port;
	atomic_uint connects, nheard;
	struct {
		size_t len;
		uint8_t at[PACKET_MAX];
	} heard[HEARD_MAX]; /* CONNECT and PUBLISH packets */
	atomic_bool end;
	pthread_t thread;
};

static uint64_t now_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool take_bytes(struct scripted *b, int fd, void *to, size_t n)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	for (size_t have = 0; have < n;) {
		if (b->end)
			return false;
		if (poll(&p, 1, 20) < 1)
			continue;
		ssize_t got = read(fd, (uint8_t *)to + have, n - have);
		if (got <= 0)
			return false;
		have += (size_t)got;
	}
	return true;
}

/* One packet of at most PACKET_MAX bytes; false: hung up. */
static bool take_packet(struct scripted *b, int fd, uint8_t *p, size_t *ret_len)
{
	size_t n = 0, head = 1;
	if (!take_bytes(b, fd, p, 1))
		return false;
	for (unsigned shift = 0;; shift += 7) {
		if (head == 5 || !take_bytes(b, fd, p + head, 1))
			return false;
		n |= (size_t)(p[head] & 0x7f) << shift;
		if (!(p[head++] & 0x80))
			break;
	}
	*ret_len = head + n;
	return *ret_len <= PACKET_MAX && take_bytes(b, fd, p + head, n);
}

static void say_bytes(int fd, struct bytes b)
{
	if (b.len > 0)
		(void)!send(fd, b.at, b.len, MSG_NOSIGNAL);
}

static void answer(struct scripted *b, int fd, const uint8_t *p, size_t len)
{
	const uint8_t first = p[0] & 0xf0;
	if ((first == 0x10 || first == 0x30) && b->nheard < HEARD_MAX) {
		memcpy(b->heard[b->nheard].at, p, len);
		b->heard[b->nheard].len = len;
		atomic_fetch_add(&b->nheard, 1);
	}
	if (first == 0x10)
		say_bytes(fd, b->script->connack);
	if (first == 0x80) {
		const uint8_t suback[] = { 0x90, 4, p[2], p[3], 0, 0 };
		say_bytes(fd, (struct bytes){ sizeof(suback), (const char *)suback });
	}
	if (first == 0xc0)
		say_bytes(fd, (struct bytes)BYTES("\xd0\0"));
	if ((p[0] & 0xf6) == 0x32 && b->script->acknowledges) {
		const uint8_t *id = p + 4 + p[3];
		const uint8_t puback[] = { 0x40, 2, id[0], id[1] };
		say_bytes(fd, (struct bytes){ sizeof(puback), (const char *)puback });
	}
}

static void serve_one(struct scripted *b, int fd)
{
	uint8_t p[PACKET_MAX];
	size_t len;
	bool connected = take_packet(b, fd, p, &len);
	if (connected) {
		answer(b, fd, p, len);
		if (atomic_fetch_add(&b->connects, 1) == 0)
			say_bytes(fd, b->script->then);
		say_bytes(fd, b->script->honest);
	}
	while (connected && take_packet(b, fd, p, &len))
		answer(b, fd, p, len);
	(void)close(fd);
}

static void *scripted_run(void *arg)
{
	struct scripted *b = arg;
	struct pollfd p = { .fd = b->listener, .events = POLLIN };
	while (!b->end) {
		if (poll(&p, 1, 20) == 1)
			serve_one(b, accept(b->listener, NULL, NULL));
	}
	return NULL;
}

static void scripted_begin(struct scripted *b, const struct script *s)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	memset(b, 0, sizeof(*b));
	b->script = s;
	b->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(b->listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(b->listener, 8), 0);
	assert_int_equal(getsockname(b->listener, (struct sockaddr *)&at, &len), 0);
	b->port = ntohs(at.sin_port);
	assert_int_equal(pthread_create(&b->thread, NULL, scripted_run, b), 0);
}

static void scripted_end(struct scripted *b)
{
	b->end = true;
	(void)pthread_join(b->thread, NULL);
	(void)close(b->listener);
}

#endif
