/* SPDX-License-Identifier: Apache-2.0 */
/* The server through real sockets, with a sink that answers itself. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/aot_abi.h"
#include "proto/ipc.h"
#include "triggers/http.h"

enum { ANSWER_BYTES = 1 << 20, BODY_BYTES = 100000, WAIT_S = 20 };

struct world {
	struct trigger *t;
	char listen[32];
	unsigned port;
	atomic_uint events, late;
	struct event_caller *_Atomic held; /* of a path that ends in /hold */
	char last[256];                    /* topic and payload of the last event */
};

static struct span span_of(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static bool ends(struct span s, const char *with)
{
	size_t n = strlen(with);
	return s.len >= n && memcmp(s.at + s.len - n, with, n) == 0;
}

struct later {
	struct event_caller *caller;
	struct world *w;
};

static void end_ok(struct event_caller *c, struct span reply)
{
	const struct ipc_result r = { .status = IPC_OK, .reply = reply };
	c->said(c, &r);
	c->ended(c, 0);
}

static void *answer_later(void *arg)
{
	struct later *l = arg;
	(void)usleep(20000);
	end_ok(l->caller, span_of("late"));
	atomic_fetch_add(&l->w->late, 1);
	free(l);
	return NULL;
}

static void in_thread(struct world *w, struct event_caller *c)
{
	pthread_t t;
	struct later *l = malloc(sizeof(*l));
	assert_non_null(l);
	*l = (struct later){ c, w };
	assert_int_equal(pthread_create(&t, NULL, answer_later, l), 0);
	assert_int_equal(pthread_detach(t), 0);
}

static int on_event(void *arg, const struct event *e, const uint32_t *routes, unsigned nroutes,
		    bool more)
{
	struct world *w = arg;
	struct event_caller *c = e->caller;
	(void)more;
	(void)routes;
	assert_non_null(c);
	(void)snprintf(w->last, sizeof(w->last), "%u %.*s %.*s", nroutes, (int)e->topic.len,
		       (const char *)e->topic.at, (int)(e->payload.len < 64 ? e->payload.len : 64),
		       (const char *)e->payload.at);
	atomic_fetch_add(&w->events, 1);
	if (ends(e->topic, "/refused")) {
		c->refused = "function_full";
		c->reason = "too many";
		return 0;
	}
	if (ends(e->topic, "/journal"))
		return -ENOSPC;
	c->event = 7;
	c->storing = !c->waits && !ends(e->topic, "/volatile");
	if (ends(e->topic, "/later"))
		in_thread(w, c);
	else if (ends(e->topic, "/hold"))
		atomic_store(&w->held, c);
	else if (c->waits)
		end_ok(c, e->payload);
	else if (c->storing)
		c->stored(c, ends(e->topic, "/lost") ? -EIO : 0);
	return 0;
}

static const char *const filters[][2] = {
	{ "/w/+", "{}" },
	{ "/s/+", "{\"reply\":\"accept\"}" },
};

static void listen_somewhere(struct world *w)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	w->port = ntohs(in.sin_port);
	assert_int_equal(close(fd), 0);
	(void)snprintf(w->listen, sizeof(w->listen), "127.0.0.1:%u", w->port);
}

static bool listens(struct world *w)
{
	struct trigger_status s;
	w->t->ops->status(w->t, &s);
	return strcmp(s.state, "listening") == 0;
}

static int begin(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct why why = { 0 };
	listen_somewhere(w);
	const struct http_options o = { .listen = w->listen,
					.body_bytes = BODY_BYTES,
					.connections = 8,
					.per_address = 8,
					.header_ms = 300,
					.body_ms = 300,
					.idle_ms = 60000,
					.answer_ms = 1000,
					.invoke = true,
					.token_file = "" };
	const struct trigger_sink sink = { .event = on_event, .arg = w };
	assert_int_equal(http_new(&o, &sink, &w->t, &why), 0);
	for (unsigned i = 0; i < ARRAY_LEN(filters); i++) {
		const struct trigger_route r = { .id = i + 1,
						 .filter = span_of(filters[i][0]),
						 .options = span_of(filters[i][1]) };
		assert_int_equal(w->t->ops->subscribe(w->t, &r, &why), 0);
	}
	w->t->ops->start(w->t);
	for (unsigned i = 0; i < 1000 && !listens(w); i++)
		(void)usleep(10000);
	assert_true(listens(w));
	*state = w;
	return 0;
}

static int end(void **state)
{
	struct world *w = *state;
	w->t->ops->stop(w->t, 100);
	w->t->ops->free(w->t);
	free(w);
	return 0;
}

/* ---- a client ---- */

static int dial(const struct world *w)
{
	const struct sockaddr_in in = { .sin_family = AF_INET,
					.sin_port = htons((uint16_t)w->port),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	const struct timeval most = { .tv_sec = WAIT_S };
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most)), 0);
	/* connect() itself is triggers/nodelay.h's here */
	assert_int_equal(syscall(SYS_connect, fd, &in, sizeof(in)), 0);
	return fd;
}

static void put(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t did = send(fd, bytes, n, MSG_NOSIGNAL);
		if (did <= 0)
			return; /* it was closed: what came is to be looked at */
		bytes += did;
		n -= (size_t)did;
	}
}

/* Reads until `until` is in what came (NULL: until the end). */
static size_t get(int fd, char *buf, size_t cap, const char *until)
{
	size_t n = 0;
	for (;;) {
		buf[n] = '\0';
		if (until && strstr(buf, until))
			return n;
		ssize_t got = read(fd, buf + n, cap - 1 - n);
		if (got < 0 && errno == EAGAIN)
			fail_msg("nothing more came after: %s", buf);
		if (got <= 0)
			return n;
		n += (size_t)got;
	}
}

static char answer[ANSWER_BYTES];

/* The whole conversation: what is sent, then the end of it. */
static const char *ask(const struct world *w, const char *bytes)
{
	int fd = dial(w);
	put(fd, bytes, strlen(bytes));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	(void)get(fd, answer, sizeof(answer), NULL);
	assert_int_equal(close(fd), 0);
	return answer;
}

static unsigned count(const char *s, const char *what)
{
	unsigned n = 0;
	for (; (s = strstr(s, what)) != NULL; s++)
		n++;
	return n;
}

static void assert_status(const char *said, const char *status)
{
	if (strncmp(said, "HTTP/1.1 ", 9) != 0 || strncmp(said + 9, status, 3) != 0)
		fail_msg("expected %s: %.300s", status, said);
}

/* ---- tests ---- */

static void test_malformed_requests_are_refused_and_start_nothing(void **state)
{
	static const struct {
		const char *bytes, *status;
	} row[] = {
		{ "\x16\x03\x01\x02\xfc\n", "400" },
		{ "GET\r\n\r\n", "400" },
		{ "POST /w/a HTTP/1.1\r\n\r\n", "400" },
		{ "POST /w/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: "
		  "2\r\n\r\nab",
		  "400" },
		{ "POST /w/a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: "
		  "chunked\r\n\r\n0\r\n\r\n",
		  "400" },
		{ "POST /w/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		  "chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		  "400" },
		{ "POST /w/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		  "400" },
		{ "POST /w/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		  "400" },
		{ "POST /w/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		  "chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
		  "400" },
		{ "POST /w/a HTTP/1.1\r\nHost: a\r\n Content-Length: 1\r\n\r\na", "400" },
		{ "POST /w/a HTTP/1.1\nHost: a\n\n", "400" },
		{ "POST /w/%2e%2e/a HTTP/1.1\r\nHost: a\r\n\r\n", "400" },
		{ "POST /w/a%2fb HTTP/1.1\r\nHost: a\r\n\r\n", "400" },
		{ "POST /w/a HTTP/3.0\r\nHost: a\r\n\r\n", "505" },
		{ "POST /w/a HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n", "417" },
		{ "POST /w/a HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n", "413" },
		{ "POST /w/a HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999999999\r\n\r\n",
		  "413" },
		{ "POST /w/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		  "chunked\r\n\r\nfffffffffff\r\n",
		  "" },
		{ "GET /w/a HTTP/1.1\r\nHost: a\r\n\r\n", "405" },
		{ "HEAD /w/a HTTP/1.1\r\nHost: a\r\n\r\n", "405" },
		{ "POST /nobody HTTP/1.1\r\nHost: a\r\n\r\n", "404" },
		{ "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "404" },
	};
	struct world *w = *state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const char *said = ask(w, row[i].bytes);
		if (*row[i].status)
			assert_status(said, row[i].status);
		/* What stood behind it was not read as a request. */
		if (count(said, "\r\nDate: ") > 1)
			fail_msg("%s got %s", row[i].bytes, said);
	}
	assert_int_equal(atomic_load(&w->events), 0);
}

static void test_requests_are_answered(void **state)
{
	struct world *w = *state;
	const char *said =
		ask(w, "POST /w/a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
	assert_status(said, "200");
	assert_non_null(strstr(said, "\r\nContent-Length: 5\r\n"));
	assert_non_null(strstr(said, "\r\nPenstock-Event: 7\r\n"));
	assert_non_null(strstr(said, "\r\n\r\nhello"));
	assert_string_equal(w->last, "1 /w/a hello");
	said = ask(w, "POST /w/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		      "chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
	assert_non_null(strstr(said, "\r\n\r\nhello"));
	assert_non_null(
		strstr(ask(w, "POST /w/later HTTP/1.1\r\nHost: a\r\n\r\n"), "\r\n\r\nlate"));
	assert_status(ask(w, "POST /w/refused HTTP/1.1\r\nHost: a\r\n\r\n"), "503");
	assert_non_null(strstr(answer, "\r\nRetry-After: 1\r\n"));
	assert_status(ask(w, "POST /w/journal HTTP/1.1\r\nHost: a\r\n\r\n"), "503");
	assert_status(ask(w, "POST /s/a HTTP/1.1\r\nHost: a\r\n\r\n"), "202");
	assert_non_null(strstr(answer, "{\"event\":\"7\"}"));
	assert_status(ask(w, "POST /s/volatile HTTP/1.1\r\nHost: a\r\n\r\n"), "202");
	assert_status(ask(w, "POST /s/lost HTTP/1.1\r\nHost: a\r\n\r\n"), "503");
	assert_status(ask(w, "POST /f/some HTTP/1.1\r\nHost: a\r\n\r\n"), "200");
	assert_string_equal(w->last, "0 /f/some ");
	assert_non_null(strstr(ask(w, "POST /w/a HTTP/1.0\r\n\r\n"), "Connection: close"));
}

static void test_requests_sent_ahead_are_answered_in_order(void **state)
{
	static const char all[] =
		"POST /w/later HTTP/1.1\r\nHost: a\r\n\r\n"
		"\r\nPOST /w/a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
		"POST /nobody HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz"
		"POST /w/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
		"chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
		"POST /w/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: "
		"5\r\n\r\nthree"
		"POST /w/a HTTP/1.1\r\nHost: a\r\n\r\n";
	struct world *w = *state;
	const char *order[] = { "\r\n\r\nlate", "\r\n\r\none", "HTTP/1.1 404", "\r\n\r\ntwo",
				"\r\n\r\nthree" };
	for (size_t piece = 1; piece < sizeof(all); piece = piece * 3 + 1) {
		int fd = dial(w);
		for (size_t at = 0; at < sizeof(all) - 1; at += piece) {
			size_t left = sizeof(all) - 1 - at;
			put(fd, all + at, left < piece ? left : piece);
		}
		(void)get(fd, answer, sizeof(answer), NULL);
		assert_int_equal(close(fd), 0);
		const char *at = answer;
		for (size_t i = 0; i < ARRAY_LEN(order); i++) {
			const char *next = strstr(at, order[i]);
			if (!next)
				fail_msg("pieces of %zu: %s is missing in %s", piece, order[i],
					 answer);
			at = next;
		}
		assert_int_equal(count(answer, "HTTP/1.1 "), 5);
	}
}

static void test_large_bodies_come_whole(void **state)
{
	struct world *w = *state;
	static char body[BODY_BYTES], head[128];
	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (char)('a' + i % 23);
	int fd = dial(w);
	int n = snprintf(head, sizeof(head),
			 "POST /w/a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: "
			 "%zu\r\n\r\n",
			 sizeof(body));
	for (int turn = 0; turn < 3; turn++) {
		put(fd, head, (size_t)n);
		(void)get(fd, answer, sizeof(answer), "100 Continue\r\n\r\n");
		put(fd, body, sizeof(body));
		size_t got = get(fd, answer, sizeof(answer), "\r\n\r\n");
		size_t whole = (size_t)(strstr(answer, "\r\n\r\n") - answer) + 4 + sizeof(body);
		while (got < whole) {
			ssize_t more = read(fd, answer + got, whole - got);
			assert_true(more > 0);
			got += (size_t)more;
		}
		assert_int_equal(got, whole);
		assert_memory_equal(answer + whole - sizeof(body), body, sizeof(body));
	}
	assert_int_equal(close(fd), 0);
}

/* A refused upload's reason reaches the client although it is still sending. */
static void test_a_refused_upload_hears_why(void **state)
{
	struct world *w = *state;
	static char junk[1 << 16];
	int fd = dial(w);
	static const char head[] =
		"POST /w/a HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n";
	put(fd, head, sizeof(head) - 1);
	for (int i = 0; i < 8; i++)
		put(fd, junk, sizeof(junk));
	(void)get(fd, answer, sizeof(answer), NULL);
	assert_status(answer, "413");
	assert_int_equal(close(fd), 0);
}

static void test_slow_clients_are_sent_away(void **state)
{
	static const char *const begun[] = {
		"POST /w/a HTTP/1.1\r\nHost: a\r\nX: ",
		"POST /w/a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1",
		"POST /w/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n"
	};
	struct world *w = *state;
	for (size_t i = 0; i < ARRAY_LEN(begun); i++) {
		int fd = dial(w);
		put(fd, begun[i], strlen(begun[i]));
		(void)get(fd, answer, sizeof(answer), NULL);
		assert_status(answer, "408");
		assert_int_equal(close(fd), 0);
	}
	int fd = dial(w); /* one that says nothing */
	assert_int_equal(get(fd, answer, sizeof(answer), NULL), 0);
	assert_int_equal(close(fd), 0);
	/* A byte now and then does not help. */
	fd = dial(w);
	for (int i = 0; i < 12; i++) {
		put(fd, "P", 1);
		(void)usleep(100000);
	}
	(void)get(fd, answer, sizeof(answer), NULL);
	assert_status(answer, "408");
	assert_int_equal(close(fd), 0);
}

static void test_an_answer_that_does_not_come_is_504(void **state)
{
	struct world *w = *state;
	assert_status(ask(w, "POST /w/hold HTTP/1.1\r\nHost: a\r\n\r\n"), "504");
	end_ok(atomic_load(&w->held), span_of("nobody hears this"));
	assert_status(ask(w, "POST /w/a HTTP/1.1\r\nHost: a\r\n\r\n"), "200");
}

static void test_a_client_that_leaves_costs_nothing(void **state)
{
	struct world *w = *state;
	const struct linger reset = { .l_onoff = 1 };
	static const char request[] = "POST /w/later HTTP/1.1\r\nHost: a\r\n\r\n";
	for (unsigned i = 0; i < 20; i++) {
		int fd = dial(w);
		put(fd, request, sizeof(request) - 1);
		while (atomic_load(&w->events) <= i)
			(void)usleep(1000);
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		assert_int_equal(close(fd), 0);
	}
	while (atomic_load(&w->late) < 20)
		(void)usleep(1000);
	assert_status(ask(w, "POST /w/a HTTP/1.1\r\nHost: a\r\n\r\n"), "200");
}

static void test_connections_are_bounded(void **state)
{
	struct world *w = *state;
	int fds[8];
	for (unsigned i = 0; i < 8; i++)
		fds[i] = dial(w);
	assert_status(ask(w, "POST /w/a HTTP/1.1\r\nHost: a\r\n\r\n"), "503");
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(close(fds[i]), 0);
	for (unsigned i = 0; i < 100; i++) {
		if (strncmp(ask(w, "POST /w/a HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 200", 12) ==
		    0)
			return;
		(void)usleep(20000);
	}
	fail_msg("nobody is let in again: %s", answer);
}

static void test_the_end_waits_for_answers(void **state)
{
	struct world *w = *state;
	static const char request[] = "POST /w/hold HTTP/1.1\r\nHost: a\r\n\r\n";
	int fd = dial(w);
	put(fd, request, sizeof(request) - 1);
	while (!atomic_load(&w->held))
		(void)usleep(1000);
	w->t->ops->deafen(w->t);
	end_ok(atomic_load(&w->held), span_of("the last one"));
	(void)get(fd, answer, sizeof(answer), NULL);
	assert_non_null(strstr(answer, "\r\n\r\nthe last one"));
	assert_non_null(strstr(answer, "Connection: close"));
	assert_int_equal(close(fd), 0);
	w->t->ops->stop(w->t, 1000);
}

static void test_a_busy_port_is_waited_for(void **state)
{
	struct world *w = *state;
	struct trigger *other;
	struct trigger_status s = { 0 };
	struct why why = { 0 };
	const struct http_options o = { .listen = w->listen, .token_file = "", .connections = 1 };
	const struct trigger_sink sink = { .event = on_event, .arg = w };
	assert_int_equal(http_new(&o, &sink, &other, &why), 0);
	other->ops->start(other);
	for (unsigned i = 0; i < 1000 && !strstr(s.detail, "in use"); i++) {
		(void)usleep(10000);
		other->ops->status(other, &s);
	}
	assert_string_equal(s.state, "waiting");
	assert_non_null(strstr(s.detail, "another program listens there"));
	assert_false(other->ops->route_status(other, 1, &why));
	w->t->ops->deafen(w->t);
	for (unsigned i = 0; i < 1000 && strcmp(s.state, "listening") != 0; i++) {
		(void)usleep(10000);
		other->ops->status(other, &s);
	}
	assert_string_equal(s.state, "listening");
	other->ops->free(other);
}

static void test_where_it_may_listen(void **state)
{
	static const struct {
		const char *listen;
		bool insecure;
		int want;
	} row[] = {
		{ "", false, 0 },
		{ "127.0.0.1:8080", false, 0 },
		{ "127.1.2.3:8080", false, 0 },
		{ "localhost:80", false, 0 },
		{ "[::1]:8080", false, 0 },
		{ ":8080", false, -E_INVALID },
		{ ":8080", true, 0 },
		{ "0.0.0.0:8080", false, -E_INVALID },
		{ "[::]:8080", false, -E_INVALID },
		{ "192.168.1.2:8080", true, 0 },
		{ "127.0.0.1", false, -E_INVALID },
		{ "127.0.0.1:", false, -E_INVALID },
		{ "127.0.0.1:0", false, -E_INVALID },
		{ "127.0.0.1:65536", false, -E_INVALID },
		{ "127.0.0.1:80x", false, -E_INVALID },
		{ "example.org:80", true, -E_INVALID },
		{ "[::1:80", true, -E_INVALID },
		{ "::1:80", true, -E_INVALID },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct why why = { 0 };
		int err = http_listen_check(row[i].listen, row[i].insecure, &why);
		if (err != row[i].want)
			print_error("%s\n", row[i].listen);
		assert_int_equal(err, row[i].want);
		assert_true(err == 0 || why.text[0] != '\0');
	}
}

#define WITH_SERVER(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(test_malformed_requests_are_refused_and_start_nothing),
		WITH_SERVER(test_requests_are_answered),
		WITH_SERVER(test_requests_sent_ahead_are_answered_in_order),
		WITH_SERVER(test_large_bodies_come_whole),
		WITH_SERVER(test_a_refused_upload_hears_why),
		WITH_SERVER(test_slow_clients_are_sent_away),
		WITH_SERVER(test_an_answer_that_does_not_come_is_504),
		WITH_SERVER(test_a_client_that_leaves_costs_nothing),
		WITH_SERVER(test_connections_are_bounded),
		WITH_SERVER(test_the_end_waits_for_answers),
		WITH_SERVER(test_a_busy_port_is_waited_for),
		cmocka_unit_test(test_where_it_may_listen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
