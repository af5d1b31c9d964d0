/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/mqtt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
	CONNECT = 0x10,
	CONNACK = 0x20,
	PUBLISH = 0x30,
	PUBACK = 0x40,
	PUBREC = 0x50,
	PUBREL = 0x62,
	PUBCOMP = 0x70,
	SUBSCRIBE = 0x82,
	SUBACK = 0x90,
	ANSWER_MS = 5000,
};

struct packet {
	uint8_t bytes[5 + 2 + 1024];
	size_t len;
};

uint64_t mqtt_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int mqtt_send_raw(struct mqtt *m, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	while (len > 0) {
		ssize_t n = send(m->fd, at, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* ---- writing: the body grows behind room for the longest head ---- */

static void put(struct packet *p, const void *bytes, size_t len)
{
	if (len > sizeof(p->bytes) - 5 - p->len) {
		fprintf(stderr, "mqtt: a packet of ours is too long\n");
		exit(70);
	}
	memcpy(p->bytes + 5 + p->len, bytes, len);
	p->len += len;
}

static void put_u8(struct packet *p, unsigned v)
{
	put(p, &(uint8_t){ (uint8_t)v }, 1);
}

static void put_u16(struct packet *p, unsigned v)
{
	put(p, (uint8_t[]){ (uint8_t)(v >> 8), (uint8_t)v }, 2);
}

static void put_text(struct packet *p, const char *s)
{
	put_u16(p, (unsigned)strlen(s));
	put(p, s, strlen(s));
}

/* First byte and remaining length (2.1.4 of the specification); where they begin in head[5]. */
static size_t put_head(uint8_t head[5], unsigned first, size_t len)
{
	uint8_t form[4];
	size_t n = 0;

	do {
		form[n] = (uint8_t)(len & 127) | (len > 127 ? 128 : 0);
		n++;
		len >>= 7;
	} while (len > 0);
	head[4 - n] = (uint8_t)first;
	memcpy(head + 5 - n, form, n);
	return 4 - n;
}

static int send_packet(struct mqtt *m, unsigned first, struct packet *p, const void *payload,
		       size_t len)
{
	size_t skip = put_head(p->bytes, first, p->len + len);
	struct iovec iov[2] = {
		{ p->bytes + skip, 5 - skip + p->len },
		{ (void *)(uintptr_t)payload, len },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t sent = sendmsg(m->fd, &msg, MSG_NOSIGNAL);
	size_t head = iov[0].iov_len;

	if (sent < 0)
		return -1;
	if ((size_t)sent < head) {
		if (mqtt_send_raw(m, p->bytes + skip + sent, head - (size_t)sent) < 0)
			return -1;
		sent = (ssize_t)head;
	}
	size_t done = (size_t)sent - head;
	return done < len ? mqtt_send_raw(m, (const uint8_t *)payload + done, len - done) : 0;
}

static int send_ack(struct mqtt *m, unsigned first, unsigned id)
{
	struct packet p = { .len = 0 };

	put_u16(&p, id);
	return send_packet(m, first, &p, NULL, 0);
}

/* ---- reading ---- */

/* The length of the packet at the front of what is buffered; 0 while it is not whole. */
static size_t whole_packet(const struct mqtt *m, size_t *ret_head)
{
	size_t len = 0;

	for (size_t i = 1; i < 5 && i < m->have; i++) {
		len |= (size_t)(m->in[i] & 127) << (7 * (i - 1));
		if (m->in[i] & 128)
			continue;
		*ret_head = i + 1;
		return m->have - *ret_head >= len ? *ret_head + len : 0;
	}
	return 0;
}

static bool wait_readable(const struct mqtt *m, uint64_t until_ns)
{
	uint64_t now = mqtt_now_ns();
	uint64_t left = until_ns > now ? until_ns - now : 0;
	struct timespec t = { (time_t)(left / 1000000000u), (long)(left % 1000000000u) };

	/* A broker without TCP_NODELAY holds its next packet back until this one is acknowledged,
	 * and the kernel forgets the wish for quick acknowledgements after a while. */
	setsockopt(m->fd, IPPROTO_TCP, TCP_QUICKACK, &(int){ 1 }, sizeof(int));
	return ppoll(&(struct pollfd){ .fd = m->fd, .events = POLLIN }, 1, &t, NULL) > 0;
}

int mqtt_packet(struct mqtt *m, int timeout_ms, const uint8_t **ret_body, size_t *ret_len)
{
	uint64_t until = mqtt_now_ns() + (uint64_t)timeout_ms * 1000000u;
	size_t head, len;

	memmove(m->in, m->in + m->used, m->have - m->used);
	m->have -= m->used;
	m->used = 0;
	while ((len = whole_packet(m, &head)) == 0) {
		if (!wait_readable(m, until))
			return 0;
		ssize_t n = recv(m->fd, m->in + m->have, MQTT_PACKET_BYTES - m->have, 0);
		if (n <= 0)
			return -1;
		m->have += (size_t)n;
	}
	m->used = len;
	*ret_body = m->in + head;
	*ret_len = len - head;
	return m->in[0];
}

static unsigned get_u16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

/* More than len: they are cut short, or longer than two bytes can say. */
static size_t behind_properties(const uint8_t *body, size_t at, size_t len)
{
	if (at + 1 < len && body[at] >= 128)
		return body[at + 1] < 128 ? at + 2 + (body[at] & 127) + 128u * body[at + 1]
					  : len + 1;
	return at < len ? at + 1 + body[at] : len + 1;
}

static int got_publish(struct mqtt *m, unsigned first, const uint8_t *body, size_t len,
		       struct mqtt_message *ret)
{
	int qos = (first >> 1) & 3;
	size_t at = 2 + (len >= 2 ? get_u16(body) : 0);
	size_t id_at = at;

	at += qos > 0 ? 2 : 0;
	if (m->version == MQTT_5)
		at = behind_properties(body, at, len);
	if (at > len)
		return -1;
	*ret = (struct mqtt_message){
		.topic = (const char *)body + 2,
		.topic_len = get_u16(body),
		.payload = (const char *)body + at,
		.payload_len = len - at,
		.qos = qos,
		.dup = first & 8,
		.retain = first & 1,
	};
	if (qos == 0)
		return 1;
	return send_ack(m, qos == 1 ? PUBACK : PUBREC, get_u16(body + id_at)) < 0 ? -1 : 1;
}

int mqtt_receive(struct mqtt *m, int timeout_ms, struct mqtt_message *ret)
{
	uint64_t until = mqtt_now_ns() + (uint64_t)timeout_ms * 1000000u;

	for (;;) {
		uint64_t now = mqtt_now_ns();
		int left_ms = until > now ? (int)((until - now) / 1000000u) : 0;
		const uint8_t *body;
		size_t len;
		int first = mqtt_packet(m, left_ms, &body, &len);
		if (first <= 0)
			return first;
		int err = 0;
		if ((first & 0xf0) == PUBLISH)
			return got_publish(m, (unsigned)first, body, len, ret);
		if (first == PUBACK || first == PUBCOMP)
			m->acked++;
		else if (first == PUBREC && len >= 2)
			err = send_ack(m, PUBREL, get_u16(body));
		else if (first == PUBREL && len >= 2)
			err = send_ack(m, PUBCOMP, get_u16(body));
		if (err < 0)
			return -1;
	}
}

/* ---- the calls ---- */

int mqtt_connect(struct mqtt *m, int port, const char *client_id, int version, bool clean)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct packet p = { .len = 0 };
	const uint8_t *body;
	size_t len;

	*m = (struct mqtt){ .version = version, .in = malloc(MQTT_PACKET_BYTES) };
	m->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!m->in || m->fd < 0 || connect(m->fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		fprintf(stderr, "mqtt: cannot connect to 127.0.0.1:%d: %s\n", port,
			strerror(errno));
		return -1;
	}
	setsockopt(m->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	put_text(&p, "MQTT");
	put_u8(&p, (unsigned)version);
	put_u8(&p, clean ? 2 : 0);
	put_u16(&p, 0); /* no keep-alive: the tests end before it matters */
	if (version == MQTT_5)
		put_u8(&p, 0);
	put_text(&p, client_id);
	if (send_packet(m, CONNECT, &p, NULL, 0) < 0 ||
	    mqtt_packet(m, ANSWER_MS, &body, &len) != CONNACK || len < 2 || body[1] != 0) {
		fprintf(stderr, "mqtt: the broker on port %d refused us\n", port);
		return -1;
	}
	return 0;
}

int mqtt_subscribe(struct mqtt *m, const char *filter, int qos)
{
	struct packet p = { .len = 0 };
	const uint8_t *body;
	size_t len;

	put_u16(&p, ++m->last_id);
	if (m->version == MQTT_5)
		put_u8(&p, 0);
	put_text(&p, filter);
	put_u8(&p, (unsigned)qos);
	if (send_packet(m, SUBSCRIBE, &p, NULL, 0) < 0 ||
	    mqtt_packet(m, ANSWER_MS, &body, &len) != SUBACK || len < 3 || body[len - 1] > 2) {
		fprintf(stderr, "mqtt: the broker refused the subscription to %s\n", filter);
		return -1;
	}
	return 0;
}

int mqtt_publish(struct mqtt *m, const char *topic, const void *payload, size_t len, int qos)
{
	struct packet p = { .len = 0 };

	put_text(&p, topic);
	if (qos > 0) {
		m->last_id = m->last_id == UINT16_MAX ? 1 : m->last_id + 1;
		put_u16(&p, m->last_id);
	}
	if (m->version == MQTT_5)
		put_u8(&p, 0);
	return send_packet(m, PUBLISH | (unsigned)qos << 1, &p, payload, len);
}

void mqtt_close(struct mqtt *m)
{
	if (m->fd >= 0) {
		(void)mqtt_send_raw(m, (const uint8_t[]){ 0xe0, 0 }, 2);
		close(m->fd);
	}
	free(m->in);
	*m = (struct mqtt){ .fd = -1 };
}
