/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the HTTP trigger: http.c (the thread and its table of what to call), http_conn.c (a connection), http_call.c
 * (from a request to an event, from what came of it to a reply), http_listen.c (addresses).
 *
 * The life of a connection, edge-triggered, so that epoll is told of it once:
 *
 *	HEAD     reads until a head is complete; a request that is refused goes to WRITING
 *	BODY     reads its body
 *	WAITING  its event is under way; nothing is read, so what a client sends ahead stays in its socket
 *	WRITING  what the socket did not take at once
 *	LINGER   closed by us, while the client may still be sending: what comes is thrown away for a moment, because
 *	         a close with bytes unread would be a reset, and could cost the client our answer
 *
 * A call belongs to the event path from sink.event until its last callback, whatever becomes of the connection.
 *
 * Threads: a connection is the HTTP thread's alone. A call is filled in by whoever ends its event, and comes
 * back by `done`. Sink calls run on the HTTP thread, and not after it has seen `deaf`.
 */
#ifndef TRIGGERS_HTTP_IMPL_H
#define TRIGGERS_HTTP_IMPL_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "base/wr.h"
#include "triggers/http.h"
#include "triggers/http_head.h"
#include "triggers/http_route.h"
#include "triggers/limiter.h"

enum {
	HTTP_ROOM_BYTES = HTTP_HEAD_BYTES + 4096, /* a head, and what came behind it */
	HTTP_LINGER_MS = 2000,
	HTTP_SMALL_BYTES = 512,
	HTTP_TYPE_BYTES = 128,
};

struct http_conn;

struct http_call {
	struct event_caller caller; /* first */
	struct http *h;
	struct http_conn *conn; /* NULL: the client is gone */
	struct http_call *next; /* in done */
	TAILQ_ENTRY(http_call) link;
	unsigned status; /* 0: nothing was said */
	char type[HTTP_TYPE_BYTES];
	uint8_t *body; /* small, or malloc'd */
	size_t body_len;
	uint8_t small[HTTP_SMALL_BYTES];
};

/* What goes out. */
struct http_reply {
	unsigned status;
	const char *type;  /* content type; NULL: no body */
	const char *extra; /* further header lines, each with CR LF; "" */
	struct span body;
	uint64_t event; /* 0: none */
};

enum http_state { CONN_HEAD, CONN_BODY, CONN_WAITING, CONN_WRITING, CONN_LINGER };

struct http_conn {
	TAILQ_ENTRY(http_conn) link;
	struct http *h;
	int fd;
	enum http_state state;
	bool readable, eof;
	bool ends;    /* behind what is still to be read */
	bool broken;  /* to be freed, whatever it was about */
	bool closing; /* no further request */
	bool is_ready;
	bool apart;                   /* the body does not lie in room */
	TAILQ_ENTRY(http_conn) ready; /* in h->ready */
	uint64_t by_ns;               /* until when it has to have got on; 0: however long */
	struct in6_addr from;         /* v4 as ::ffff:a.b.c.d */
	struct http_call *call;       /* WAITING */
	uint8_t *room;       /* HTTP_ROOM_BYTES, while it has a request, or a part of one */
	size_t len, scanned; /* in room */
	struct http_head head;
	struct http_found found; /* the route of the request */
	uint8_t *body;           /* apart */
	size_t body_len, body_cap;
	struct http_chunks chunks;
	size_t next; /* in room: behind the request */
	uint8_t *out;
	size_t out_len, out_sent;
};

struct http {
	struct trigger trigger; /* first */
	struct http_options o;  /* strings are its own */
	struct http_address address;
	struct http_routes routes;
	struct http_token token; /* of POST /f/NAME */

	pthread_t thread;
	bool has_thread;
	int epoll, wake, listener; /* listener -1: not (yet) */
	uint64_t listen_again_ns;
	unsigned pause_ms;
	TAILQ_HEAD(, http_conn) conns;
	TAILQ_HEAD(http_ready_list, http_conn) ready; /* to be gone on with */
	TAILQ_HEAD(, http_call) calls;
	unsigned nconns, ncalls;
	uint64_t buffered; /* bytes of bodies */
	uint64_t now_ns;   /* of this turn */
	uint64_t swept_ns;
	char date[40];
	uint64_t date_s;
	bool is_deaf; /* the thread's view */

	pthread_mutex_t lock; /* the rest */
	pthread_cond_t turned;
	bool deaf, heard, stop;
	bool asleep; /* in epoll_wait, or about to be */
	uint64_t stop_ns;
	struct http_call *done, **done_last;
	char state[16], detail[256];

	atomic_ullong received, published, dropped;
	atomic_uint nroutes;
	struct limiter lines;
};

/* http.c */
uint64_t http_now_ns(void);
void http_say(struct http *h, const char *state, const char *detail);
/* It is gone on with in this turn. */
void http_ready(struct http_conn *c);
const char *http_date(struct http *h);

/* http_conn.c */
/* fd is taken. NULL: no memory. */
struct http_conn *http_conn_new(struct http *h, int fd, const struct sockaddr_storage *from);
void http_conn_free(struct http_conn *c);
/* Goes on as far as it can; c may be gone after it. */
void http_conn_go(struct http_conn *c);
/* The answer to its request; goes out at once if the socket takes it. c is alive after it. */
void http_conn_reply(struct http_conn *c, const struct http_reply *r);
void http_conn_refuse(struct http_conn *c, unsigned status, const char *extra, const char *reason);
/* Its time is over. */
void http_conn_late(struct http_conn *c);
void http_conn_linger(struct http_conn *c);

/* http_call.c */
/* Its head is there: is somebody bound to it, and may it pass? Else it is refused here. */
bool http_call_wanted(struct http_conn *c);
/* The request is complete in c. Answers it, now or later. */
void http_call_begin(struct http_conn *c);
/* It came back. */
void http_call_done(struct http_call *call);
void http_call_free(struct http_call *call);
/* {"error": ...} of a status; how long it is. event 0: none. */
size_t http_error_text(char *buf, size_t cap, unsigned status, const char *reason, uint64_t event);
const char *http_status_text(unsigned status);

/* http_listen.c: a socket that listens there, or -errno with the reason. */
int http_listen(const struct http_address *a, const char *text, struct why *why) MUST_USE;

#endif
