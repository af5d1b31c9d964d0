/* SPDX-License-Identifier: Apache-2.0 */
/* A connection: reads requests one after the other, writes their replies. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "triggers/http_impl.h"

enum { BODY_FIRST_BYTES = 16384, DRAIN_BYTES = 1 << 20 };

/* ---- begin and end ---- */

static void until(struct http_conn *c, unsigned ms)
{
	c->by_ns = c->h->now_ns + ms * UINT64_C(1000000);
}

struct http_conn *http_conn_new(struct http *h, int fd, const struct sockaddr_storage *from)
{
	struct http_conn *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->h = h;
	c->fd = fd;
	c->readable = true;
	if (from->ss_family == AF_INET6) {
		c->from = ((const struct sockaddr_in6 *)from)->sin6_addr;
	} else {
		c->from.s6_addr[10] = c->from.s6_addr[11] = 0xff;
		memcpy(&c->from.s6_addr[12], &((const struct sockaddr_in *)from)->sin_addr, 4);
	}
	until(c, h->o.header_ms);
	TAILQ_INSERT_TAIL(&h->conns, c, link);
	h->nconns++;
	return c;
}

static void body_free(struct http_conn *c)
{
	c->h->buffered -= c->body_cap;
	free(c->body);
	c->body = NULL;
	c->body_len = c->body_cap = 0;
}

void http_conn_free(struct http_conn *c)
{
	struct http *h = c->h;
	if (c->call)
		c->call->conn = NULL;
	body_free(c);
	free(c->room);
	free(c->out);
	(void)close(c->fd);
	TAILQ_REMOVE(&h->conns, c, link);
	if (c->is_ready)
		TAILQ_REMOVE(&h->ready, c, ready);
	h->nconns--;
	free(c);
}

void http_conn_linger(struct http_conn *c)
{
	body_free(c);
	c->state = CONN_LINGER;
	c->scanned = 0; /* of what is thrown away */
	until(c, HTTP_LINGER_MS);
	(void)shutdown(c->fd, SHUT_WR);
}

/* ---- in ---- */

/* Up to n bytes: how many, 0: none now (eof says whether ever), or -errno. */
static ssize_t take(struct http_conn *c, void *to, size_t n)
{
	ssize_t got;
	if (!c->readable || n == 0)
		return 0;
	do
		got = read(c->fd, to, n); /* recv() is nodelay.h's */
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno != EAGAIN)
		return -errno;
	/* Less than there was room for: there is no more, and epoll tells when there is (epoll(7)). An end that was
	 * told together with the last bytes is not told again. */
	c->readable = got == (ssize_t)n || (got > 0 && c->ends);
	c->eof |= got == 0;
	return got < 0 ? 0 : got;
}

static int room_for(struct http_conn *c)
{
	if (!c->room)
		c->room = malloc(HTTP_ROOM_BYTES);
	return c->room ? 0 : -ENOMEM;
}

/* The body gets room of its own, which grows with what has come and not with what was announced. */
static int body_grow(struct http_conn *c, size_t need)
{
	struct http *h = c->h;
	size_t cap = c->body_cap ? c->body_cap : BODY_FIRST_BYTES;
	while (cap < need)
		cap *= 2;
	if (cap > h->o.body_bytes)
		cap = h->o.body_bytes;
	if (cap == c->body_cap)
		return 0;
	if (h->buffered - c->body_cap + cap > 4 * h->o.body_bytes + (UINT64_C(16) << 20))
		return -EAGAIN;
	uint8_t *more = realloc(c->body, cap);
	if (!more)
		return -ENOMEM;
	h->buffered += cap - c->body_cap;
	c->body = more;
	c->body_cap = cap;
	return 0;
}

static int body_put(struct http_conn *c, struct span s)
{
	if (s.len == 0)
		return 0;
	if (s.len > c->h->o.body_bytes - c->body_len)
		return -E2BIG;
	int err = body_grow(c, c->body_len + s.len);
	if (err < 0)
		return err;
	memcpy(c->body + c->body_len, s.at, s.len);
	c->body_len += s.len;
	return 0;
}

static void body_refuse(struct http_conn *c, int err)
{
	c->closing = true;
	if (err == -E2BIG)
		http_conn_refuse(c, 413, "", "the body is too large ([http] max_body)");
	else
		http_conn_refuse(c, 503, "Retry-After: 1\r\n",
				 "too many large requests at the same time");
}

/* A body of known length. Returns whether it is complete. */
static bool body_sized(struct http_conn *c)
{
	while (c->body_len < c->head.length) {
		int err = body_grow(c, c->body_len + 1);
		if (err < 0) {
			body_refuse(c, err);
			return false;
		}
		size_t left = (size_t)c->head.length - c->body_len, cap = c->body_cap - c->body_len;
		ssize_t n = take(c, c->body + c->body_len, left < cap ? left : cap);
		if (n <= 0) {
			c->broken |= n < 0;
			return false;
		}
		c->body_len += (size_t)n;
	}
	return true;
}

/* Raw bytes lie behind the head in room, until they are content or the next request. */
static bool body_chunked(struct http_conn *c)
{
	for (;;) {
		const char *reason = "";
		size_t used = 0;
		struct span piece;
		int status = http_chunks_read(&c->chunks,
					      (struct span){ c->room + c->next, c->len - c->next },
					      &used, &piece, &reason);
		int err = status <= 0 ? body_put(c, piece) : 0;
		if (status > 0) {
			c->closing = true;
			http_conn_refuse(c, (unsigned)status, "", reason);
			return false;
		}
		if (err < 0) {
			body_refuse(c, err);
			return false;
		}
		c->next += used;
		if (status == 0)
			return true;
		if (c->next < c->len)
			continue;
		c->next = c->len = c->head.bytes; /* all was content */
		ssize_t n = take(c, c->room + c->len, HTTP_ROOM_BYTES - c->len);
		if (n <= 0) {
			c->broken |= n < 0;
			return false;
		}
		c->len += (size_t)n;
	}
}

/* ---- requests ---- */

/* From the head to the body, if it is wanted. */
static void on_head(struct http_conn *c)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const struct http_head *head = &c->head;
	const size_t behind = c->len - head->bytes;
	c->apart = head->is_chunked || head->length > behind;
	c->next = head->bytes + (c->apart ? 0 : (size_t)head->length);
	c->chunks = (struct http_chunks){ 0 };
	c->closing |= !head->keeps;
	c->state = CONN_BODY;
	until(c, c->h->o.body_ms);
	if (!http_call_wanted(c))
		return;
	if (head->length > c->h->o.body_bytes) {
		body_refuse(c, -E2BIG);
		return;
	}
	if (c->apart && !head->is_chunked) {
		int err = body_put(c, (struct span){ c->room + head->bytes, behind });
		c->len = head->bytes;
		if (err < 0) {
			body_refuse(c, err);
			return;
		}
	}
	if (head->expects && c->apart && behind == 0)
		(void)!send(c->fd, go_on, sizeof(go_on) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Returns whether a whole head is there. */
static bool read_head(struct http_conn *c)
{
	for (;;) {
		const char *reason = "";
		while (c->scanned == 0 && c->len >= 2 && memcmp(c->room, "\r\n", 2) == 0) {
			memmove(c->room, c->room + 2, c->len - 2); /* RFC 9112, 2.2 */
			c->len -= 2;
		}
		int status =
			c->len ? http_head_read(c->room, c->len, &c->scanned, &c->head, &reason)
			       : -EAGAIN;
		if (status == 0)
			return true;
		if (status > 0) {
			c->closing = true;
			http_conn_refuse(c, (unsigned)status, "", reason);
			return false;
		}
		if (room_for(c) < 0) {
			c->broken = true;
			return false;
		}
		ssize_t n = take(c, c->room + c->len, HTTP_ROOM_BYTES - c->len);
		if (n <= 0) {
			c->broken |= n < 0;
			return false;
		}
		if (c->len == 0)
			until(c, c->h->o.header_ms);
		c->len += (size_t)n;
	}
}

/* The request is answered: what came behind it is the next one. */
static void next_request(struct http_conn *c)
{
	struct http *h = c->h;
	body_free(c);
	c->call = NULL;
	c->state = CONN_HEAD;
	size_t left = c->len - c->next;
	if (left > 0)
		memmove(c->room, c->room + c->next, left);
	c->len = left;
	c->next = c->scanned = 0;
	until(c, left > 0 ? h->o.header_ms : h->o.idle_ms);
	if (left > 0 || c->readable)
		http_ready(c);
}

static void throw_away(struct http_conn *c)
{
	uint8_t bytes[16384];
	ssize_t n;
	while ((n = take(c, bytes, sizeof(bytes))) > 0 && c->scanned < DRAIN_BYTES)
		c->scanned += (size_t)n;
	c->broken |= n < 0 || c->scanned >= DRAIN_BYTES;
}

/* ---- out ---- */

static void sent(struct http_conn *c)
{
	free(c->out);
	c->out = NULL;
	atomic_fetch_add_explicit(&c->h->published, 1, memory_order_relaxed);
	if (c->closing || c->h->is_deaf)
		http_conn_linger(c);
	else
		next_request(c);
	if (c->eof)
		http_ready(c); /* perhaps it brought another one before that */
}

static void go_on_writing(struct http_conn *c)
{
	while (c->out_sent < c->out_len) {
		ssize_t n =
			send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			c->broken |= errno != EAGAIN;
			return;
		}
		c->out_sent += (size_t)n;
		until(c, c->h->o.body_ms);
	}
	sent(c);
}

void http_conn_reply(struct http_conn *c, const struct http_reply *r)
{
	char head[1024], event[64] = "", length[40] = "";
	bool closing = c->closing || c->h->is_deaf;
	struct span body = r->body;
	if (r->status == 204 || r->status == 304) /* RFC 9110, 8.6 */
		body.len = 0;
	else
		(void)snprintf(length, sizeof(length), "Content-Length: %zu\r\n", body.len);
	if (r->event)
		(void)snprintf(event, sizeof(event), "Penstock-Event: %llu\r\n",
			       (unsigned long long)r->event);
	const char *keeping = closing          ? "Connection: close\r\n"
			      : c->head.is_1_0 ? "Connection: keep-alive\r\n"
					       : "";
	int n = snprintf(head, sizeof(head), "HTTP/1.1 %u %s\r\nDate: %s\r\n%s%s%s%s%s%s%s\r\n",
			 r->status, http_status_text(r->status), http_date(c->h),
			 body.len ? "Content-Type: " : "", body.len ? r->type : "",
			 body.len ? "\r\nX-Content-Type-Options: nosniff\r\n" : "", length, event,
			 r->extra ? r->extra : "", keeping);
	ENSURE(n > 0 && n < (int)sizeof(head)); /* types and extras are bounded */
	struct iovec part[2] = { { head, (size_t)n }, { (void *)body.at, body.len } };
	const struct msghdr m = { .msg_iov = part, .msg_iovlen = body.len ? 2 : 1 };
	size_t all = (size_t)n + body.len, out = 0;
	ssize_t did = sendmsg(c->fd, &m, MSG_NOSIGNAL);
	c->state = CONN_WRITING;
	c->call = NULL;
	if (did == (ssize_t)all) {
		sent(c);
		return;
	}
	out = did < 0 ? 0 : (size_t)did;
	c->broken |= did < 0 && errno != EAGAIN && errno != EINTR;
	c->out = c->broken ? NULL : malloc(all - out);
	if (!c->out) {
		c->broken = true;
		http_ready(c);
		return;
	}
	struct wr w = wr_into(c->out, all - out);
	for (unsigned i = 0; i < 2; i++) {
		size_t skip = out < part[i].iov_len ? out : part[i].iov_len;
		wr_bytes(&w, (uint8_t *)part[i].iov_base + skip, part[i].iov_len - skip);
		out -= skip;
	}
	c->out_len = w.len;
	c->out_sent = 0;
	until(c, c->h->o.body_ms);
}

void http_conn_refuse(struct http_conn *c, unsigned status, const char *extra, const char *reason)
{
	char text[512];
	size_t n = http_error_text(text, sizeof(text), status, reason, 0);
	/* What is not read to its end cannot be followed by another request. */
	c->closing |= c->state == CONN_BODY && c->apart;
	atomic_fetch_add_explicit(&c->h->dropped, 1, memory_order_relaxed);
	const struct http_reply r = { .status = status,
				      .type = "application/json",
				      .extra = extra,
				      .body = { (uint8_t *)text, n } };
	http_conn_reply(c, &r);
}

void http_conn_late(struct http_conn *c)
{
	struct http_call *call = c->call;
	if (c->state == CONN_WAITING && call) {
		call->conn = NULL; /* what comes of it is in the journal */
		http_conn_refuse(c, 504, "",
				 "there is no answer yet, and it may still come to pass");
		return;
	}
	bool begun = (c->state == CONN_HEAD && c->len > 0) || c->state == CONN_BODY;
	if (!begun) {
		http_conn_free(c);
		return;
	}
	c->closing = true;
	http_conn_refuse(c, 408, "", "the request did not come in time");
}

/* ---- the states ---- */

static void on_body(struct http_conn *c)
{
	bool complete = true; /* it lies in room */
	if (c->apart)
		complete = c->head.is_chunked ? body_chunked(c) : body_sized(c);
	if (!complete || c->state != CONN_BODY)
		return;
	c->state = CONN_WAITING;
	until(c, c->h->o.answer_ms); /* longer only if the journal's disk fails */
	http_call_begin(c);
}

void http_conn_go(struct http_conn *c)
{
	if (c->state == CONN_HEAD && read_head(c))
		on_head(c);
	if (c->state == CONN_BODY)
		on_body(c);
	else if (c->state == CONN_WRITING)
		go_on_writing(c);
	else if (c->state == CONN_LINGER)
		throw_away(c);
	/* Who closed one half waits for the answer still. */
	bool is_over =
		c->eof && !c->is_ready && c->state != CONN_WAITING && c->state != CONN_WRITING;
	if (c->broken || is_over)
		http_conn_free(c);
}
