/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/path/mqtt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/wr.h"

enum { REPLY_WAIT_MS = 5000, HEAD_BYTES_MAX = 5 };

/* MQTT integers are big endian (3.1.1, section 1.5.2). */
static void wr_be16(struct wr *w, uint16_t v)
{
	wr_u8(w, (uint8_t)(v >> 8));
	wr_u8(w, (uint8_t)v);
}

static void wr_mqtt_str(struct wr *w, const char *s)
{
	wr_be16(w, (uint16_t)strlen(s));
	wr_str(w, s);
}

static uint16_t rd_be16(struct rd *r)
{
	uint16_t high = rd_u8(r);
	return (uint16_t)(high << 8 | rd_u8(r));
}

/* The out buffer from its end on, as a writer; what is sent already moves out of the way first. */
static struct wr out_begin(struct mqtt *m)
{
	if (m->out_at > 0) {
		memmove(m->out, m->out + m->out_at, m->out_len - m->out_at);
		m->out_len -= m->out_at;
		m->out_at = 0;
	}
	return wr_into(m->out + m->out_len, sizeof(m->out) - m->out_len);
}

static bool out_end(struct mqtt *m, const struct wr *w)
{
	if (!wr_ok(w))
		return false;
	m->out_len += w->len;
	return true;
}

static uint16_t next_id(struct mqtt *m)
{
	m->last_id = m->last_id == UINT16_MAX ? 1 : (uint16_t)(m->last_id + 1);
	return m->last_id;
}

bool mqtt_publish(struct mqtt *m, const char *topic, const void *payload, size_t len, uint8_t qos)
{
	struct wr w = out_begin(m);
	wr_u8(&w, (uint8_t)(MQTT_PUBLISH << 4 | qos << 1));
	/* The remaining length is LEB128, as in Wasm (section 2.2.3). */
	wr_leb_u32(&w, (uint32_t)(2 + strlen(topic) + (qos ? 2 : 0) + len));
	wr_mqtt_str(&w, topic);
	if (qos)
		wr_be16(&w, next_id(m));
	wr_bytes(&w, payload, len);
	return out_end(m, &w);
}

size_t mqtt_room(const struct mqtt *m)
{
	return sizeof(m->out) - (m->out_len - m->out_at);
}

bool mqtt_wants_write(const struct mqtt *m)
{
	return m->out_at < m->out_len;
}

int mqtt_flush(struct mqtt *m)
{
	while (mqtt_wants_write(m)) {
		ssize_t n = send(m->fd, m->out + m->out_at, m->out_len - m->out_at, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		m->out_at += (size_t)n;
	}
	return 0;
}

int mqtt_fill(struct mqtt *m)
{
	if (m->in_at > 0) {
		memmove(m->in, m->in + m->in_at, m->in_len - m->in_at);
		m->in_len -= m->in_at;
		m->in_at = 0;
	}
	if (m->in_len == sizeof(m->in))
		return -E_LIMIT;
	ssize_t n = recv(m->fd, m->in + m->in_len, sizeof(m->in) - m->in_len, 0);
	if (n == 0)
		return -ECONNRESET;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	m->in_len += (size_t)n;
	return (int)n;
}

/* Whole packets only: 1 with its first byte and body, 0 = more bytes are needed, or -E_PROTO. */
static int cut_packet(struct mqtt *m, uint8_t *ret_first, struct rd *ret_body)
{
	const uint8_t *p = m->in + m->in_at;
	size_t left = m->in_len - m->in_at, at = 1, len = 0;
	for (unsigned shift = 0;; shift += 7) {
		if (at == HEAD_BYTES_MAX)
			return -E_PROTO;
		if (at >= left)
			return 0;
		uint8_t b = p[at++];
		len |= (size_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			break;
	}
	if (len > sizeof(m->in) - HEAD_BYTES_MAX)
		return -E_PROTO;
	if (left - at < len)
		return 0;
	*ret_first = p[0];
	*ret_body = rd_from(p + at, len);
	m->in_at += at + len;
	return 1;
}

static bool puback(struct mqtt *m, uint16_t id)
{
	struct wr w = out_begin(m);
	wr_u8(&w, MQTT_PUBACK << 4);
	wr_u8(&w, 2);
	wr_be16(&w, id);
	return out_end(m, &w);
}

int mqtt_next(struct mqtt *m, struct mqtt_packet *ret)
{
	uint8_t first;
	struct rd body;
	int got = cut_packet(m, &first, &body);
	if (got <= 0)
		return got;
	*ret = (struct mqtt_packet){ .type = first >> 4 };
	if (ret->type == MQTT_PUBLISH) {
		ret->qos = first >> 1 & 3;
		ret->topic = rd_span(&body, rd_be16(&body));
		ret->id = ret->qos ? rd_be16(&body) : 0;
		if (ret->qos == 1 && !puback(m, ret->id))
			return -E_LIMIT;
	} else if (ret->type == MQTT_PUBACK || ret->type == MQTT_SUBACK) {
		ret->id = rd_be16(&body);
	}
	ret->payload = rd_span(&body, body.left);
	return rd_ok(&body) ? 1 : -E_PROTO;
}

void mqtt_quickack(struct mqtt *m)
{
	(void)setsockopt(m->fd, IPPROTO_TCP, TCP_QUICKACK, &(int){ 1 }, sizeof(int));
}

/* Waits for one packet of this type; others are dropped. Only for the handshakes. */
static int expect(struct mqtt *m, enum mqtt_type type, struct mqtt_packet *ret, struct why *why)
{
	for (;;) {
		int err = mqtt_next(m, ret);
		if (err < 0)
			return why_set(why, err, "the broker sent bytes that are no MQTT packet");
		if (err == 1 && ret->type == type)
			return 0;
		if (err == 1)
			continue;
		struct pollfd p = { .fd = m->fd, .events = POLLIN };
		if (poll(&p, 1, REPLY_WAIT_MS) <= 0)
			return why_set(why, -ETIMEDOUT, "no answer from the broker in %d ms",
				       REPLY_WAIT_MS);
		if ((err = mqtt_fill(m)) < 0)
			return why_set(why, err, "the broker closed the connection");
	}
}

static int handshake(struct mqtt *m, const char *client_id, struct why *why)
{
	struct wr w = out_begin(m);
	wr_u8(&w, MQTT_CONNECT << 4);
	wr_leb_u32(&w, (uint32_t)(10 + 2 + strlen(client_id)));
	wr_mqtt_str(&w, "MQTT");
	wr_u8(&w, 4);    /* protocol level 3.1.1 */
	wr_u8(&w, 0x02); /* clean session */
	wr_be16(&w, 0);  /* no keep-alive: runs are short */
	wr_mqtt_str(&w, client_id);
	struct mqtt_packet p;
	int err = out_end(m, &w) ? mqtt_flush(m) : -E_LIMIT;
	if (err < 0 || (err = expect(m, MQTT_CONNACK, &p, why)) < 0)
		return why_set(why, err, "cannot log in to the broker");
	if (p.payload.len != 2 || p.payload.at[1] != 0)
		return why_set(why, -EACCES, "the broker refused the connection");
	return 0;
}

int mqtt_open(struct mqtt *m, uint16_t port, const char *client_id, struct why *why)
{
	m->in_at = m->in_len = m->out_at = m->out_len = 0;
	m->last_id = 0;
	m->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (m->fd < 0)
		return why_set(why, -errno, "no socket");
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (connect(m->fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		int err = -errno;
		mqtt_close(m);
		return why_set(why, err, "cannot connect to 127.0.0.1:%u", port);
	}
	(void)setsockopt(m->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	(void)fcntl(m->fd, F_SETFL, O_NONBLOCK);
	int err = handshake(m, client_id, why);
	if (err < 0)
		mqtt_close(m);
	return err;
}

void mqtt_close(struct mqtt *m)
{
	if (m->fd < 0)
		return;
	static const uint8_t bye[] = { MQTT_DISCONNECT << 4, 0 };
	(void)!send(m->fd, bye, sizeof(bye), MSG_NOSIGNAL);
	(void)close(m->fd);
	m->fd = -1;
}

int mqtt_subscribe(struct mqtt *m, const char *filter, uint8_t qos, struct why *why)
{
	struct wr w = out_begin(m);
	wr_u8(&w, MQTT_SUBSCRIBE << 4 | 2);
	wr_leb_u32(&w, (uint32_t)(2 + 2 + strlen(filter) + 1));
	wr_be16(&w, next_id(m));
	wr_mqtt_str(&w, filter);
	wr_u8(&w, qos);
	struct mqtt_packet p;
	int err = out_end(m, &w) ? mqtt_flush(m) : -E_LIMIT;
	if (err < 0 || (err = expect(m, MQTT_SUBACK, &p, why)) < 0)
		return why_set(why, err, "cannot subscribe to %s", filter);
	if (p.payload.len != 1 || p.payload.at[0] != qos)
		return why_set(why, -EACCES, "the broker refused the filter %s", filter);
	return 0;
}
