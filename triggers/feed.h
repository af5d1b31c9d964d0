/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What triggers of things have in common (keys, sensors, Modbus): a list of routes that the owner changes at any
 * time, one thread that looks at the things and makes events of them, and for each route whether its thing is
 * there. A kind brings what a route means (read) and the thread's work (run); the rest of trigger_ops is here.
 */
#ifndef TRIGGERS_FEED_H
#define TRIGGERS_FEED_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "triggers/trigger.h"

enum { FEED_PAUSE_MIN_MS = 250, FEED_PAUSE_MAX_MS = 5000 };

struct feed;

struct feed_route { /* the first member of a kind's own struct, which is all zero at first */
	struct feed_route *next;
	atomic_uint refs;
	uint32_t id;
	char *filter;
	bool ok, said; /* under the feed's lock, as why; said: there is a state at all */
	struct why why;
	struct span cursor_name, cursor; /* of its next event (proto/event.h); the thread's */
};

struct feed_ops {
	struct trigger_ops trigger; /* FEED_TRIGGER_OPS("kind") */
	const char *type;           /* of its events, without what follows: "io.penstock.key" */
	const char *content_type;   /* of their payloads; NULL: text/plain */
	size_t route_bytes;         /* of the kind's own struct */
	/* Understands filter and options. -E_INVALID with what is wrong. The owner's thread. */
	int (*read)(struct feed *f, struct feed_route *route, const struct trigger_route *r,
		    struct why *why);
	/* What a route holds beside its memory; no thread looks at it any more. May be NULL. */
	void (*drop)(struct feed_route *route);
	void (*run)(struct feed *f); /* the thread, until feed_wait says that it is over */
	void (*fini)(
		struct feed *f); /* of the kind's own struct; the thread is gone. May be NULL */
};

struct feed { /* the first member of a kind's own struct */
	struct trigger base;
	char source[80]; /* of its events */
	pthread_t thread;
	bool started;
	int wake_fd;
	atomic_bool stopping;
	pthread_mutex_t lock; /* routes, their states, status */
	struct feed_route *routes;
	bool changed;
	_Atomic uint64_t received, dropped, missed; /* as in struct trigger_status */
	pthread_mutex_t sink_lock;                  /* is held while the sink is called */
	bool deaf;                                  /* under that */
};

/* bytes: of the kind's own struct, zeroed. name: NULL, or of a section ("modbus:NAME" is the source).
 * -ENOMEM, -errno */
int feed_new(const struct feed_ops *ops, size_t bytes, const char *name,
	     const struct trigger_sink *sink, struct feed **ret, struct why *why) MUST_USE;

/* ---- for the thread ---- */

/* Sleeps until a descriptor is ready, something here changed, or until_ns (CLOCK_MONOTONIC; 0: no end). false: the
 * end. fds[0] is feed's own: fill from fds[1]. */
bool feed_wait(struct feed *f, struct pollfd *fds, unsigned nfds, uint64_t until_ns);
bool feed_stopping(const struct feed *f);
/* Did the routes change since the last call? Then a new list: *ret is NULL-terminated, or NULL where there is no memory.
 * Give the one before back to feed_drop. */
bool feed_changed(struct feed *f, struct feed_route ***ret);
void feed_drop(struct feed *f, struct feed_route **list);
void feed_says_ok(struct feed *f, struct feed_route *r);
void feed_says(struct feed *f, struct feed_route *r, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* what: the end of the type. Not 0: it was not taken, and is counted as dropped. */
int feed_event(struct feed *f, const struct feed_route *r, const char *what, const char *payload,
	       const struct event_attr *attrs, unsigned nattrs);
uint64_t feed_now_ns(void);
/* How long to wait after so many failures in a row (from 1): doubles up to FEED_PAUSE_MAX_MS. */
uint64_t feed_pause_ns(unsigned failures);

/* ---- for the tables of kinds ---- */

int feed_subscribe(struct trigger *t, const struct trigger_route *r, struct why *why);
void feed_unsubscribe(struct trigger *t, uint32_t route);
int feed_publish(struct trigger *t, const struct trigger_message *m, unsigned n);
void feed_status(struct trigger *t, struct trigger_status *ret);
bool feed_route_status(struct trigger *t, uint32_t route, struct why *ret);
void feed_start(struct trigger *t);
void feed_deafen(struct trigger *t);
void feed_stop(struct trigger *t, unsigned grace_ms);
void feed_free(struct trigger *t);
#define FEED_TRIGGER_OPS(name)                                                                     \
	{                                                                                          \
		.kind = (name), .subscribe = feed_subscribe, .unsubscribe = feed_unsubscribe,      \
		.publish = feed_publish, .status = feed_status, .route_status = feed_route_status, \
		.start = feed_start, .deafen = feed_deafen, .stop = feed_stop, .free = feed_free   \
	}

#endif
