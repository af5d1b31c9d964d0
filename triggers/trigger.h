/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every kind of trigger looks like from above, and its twin, the way out. A trigger knows
 * nothing of functions and bindings: it is told what to listen to (routes: a number chosen by the
 * caller and a filter), and hands each thing that happened to one sink, with the numbers of the
 * routes it came by where it can tell.
 *
 * Threads: ops are called by one thread (the owner's); publish by any. The sink is called on the
 * trigger's own thread, may publish from there, and must not call anything else here.
 */
#ifndef TRIGGERS_TRIGGER_H
#define TRIGGERS_TRIGGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/why.h"
#include "proto/event.h"

struct trigger;

enum { TRIGGER_ROUTES_MAX = 64 }; /* that one delivery can name */

struct trigger_mark { /* a point in the owner's journal (gateway/journal.h); the owner's */
	uint64_t seq, power;
};

struct trigger_sink {
	/* e and what it points to are borrowed for the call. nroutes 0: the trigger cannot tell by
	 * which routes it came, so every route that matches e->topic is meant. more: the next event is
	 * at hand already, so what this one starts may wait for it, or for before_sleep. Not 0: it
	 * could not be stored; its source is not to be told that we have it. */
	int (*event)(void *arg, const struct event *e, const uint32_t *routes, unsigned nroutes,
		     bool more);
	/* For a receiving thread that can look after a further descriptor (struct nodelay_watch in
	 * triggers/nodelay.h has the rules); may be NULL. arg as above. */
	int (*before_sleep)(void *arg);
	void (*ready)(void *arg);
	/* Acknowledgements. mark: what has to be durable before all that the sink was given so far may
	 * be acknowledged; settled: is it? Both NULL: at once. */
	struct trigger_mark (*mark)(void *arg);
	bool (*settled)(void *arg, struct trigger_mark mark);
	/* Of messages sent with a token: the far side has it (refused NULL), or refuses it for good;
	 * QoS 2: it has received it, and is told so when a mark taken after this is settled. */
	void (*acknowledged)(void *arg, uint64_t token, const char *refused);
	void (*received)(void *arg, uint64_t token);
	void (*again)(void *arg, uint64_t token); /* the far side lost it: to be sent anew */
	void (*writable)(void *arg);              /* send may work again */
	/* QoS 2 with MQTT 3.1.1, where the event comes with PUBREL: what to remember until then; and
	 * a packet identifier that is free again. */
	void (*keep)(void *arg, uint16_t packet, struct span bytes);
	void (*drop)(void *arg, uint16_t packet);
	/* Where a source was: what the last event with this cursor name (struct event) carried, also in an
	 * earlier run; up to cap bytes of it, and returns how many it has: 0 = none. May be NULL. */
	size_t (*cursor)(void *arg, struct span name, void *ret, size_t cap);
	/* Nobody listens there any more: the cursor goes. May be NULL. */
	void (*forget)(void *arg, struct span name);
	void *arg;
};

struct trigger_message {    /* what goes out */
	struct trigger *to; /* the sender's; not for whom it is given to */
	struct span topic, payload;
	struct span attrs;     /* proto/message_attrs.h; checked */
	uint64_t time_wall_ms; /* when it was decided; 0: now */
	uint8_t qos, retain;
	uint8_t hops;         /* struct event's, of whoever receives it */
	const char *function; /* whose message it is, NUL-terminated, or NULL: not known any more */
	/* For send: */
	uint64_t token;  /* not 0: acknowledged() names it */
	uint16_t packet; /* QoS 2: from reserve, or of an earlier run */
	const char *id,
		*source; /* NUL-terminated; the effect's CloudEvents id and source, or NULL */
};

struct trigger_resume {
	enum trigger_resume_kind {
		RESUME_SENT,     /* m went out with m.packet */
		RESUME_RELEASED, /* and PUBREC came */
		RESUME_INBOUND, /* a QoS 2 message came with this packet identifier, its PUBREL did not */
	} kind;
	struct trigger_message m;
	uint16_t packet;   /* INBOUND */
	struct span bytes; /* INBOUND: what keep() was given, or empty */
};

struct trigger_status {
	const char *state; /* "connected", "connecting", "waiting", "stopped": a constant */
	char detail[256];  /* why it is not connected, and what to do; "" */
	unsigned subscriptions;
	unsigned pending; /* changes of them that the far side has not confirmed, or refused */
	uint64_t received, published;
	uint64_t dropped; /* in or out: refused, with a reason in the log */
	uint64_t queued;  /* waiting to go out */
	uint64_t missed;  /* moments at which a thing was to be looked at, and was not */
};

struct trigger_route { /* borrowed for the call, but filter and options live as long as the route */
	uint32_t id;   /* never 0 */
	struct span filter;  /* what to listen to, as proto/kinds.def has it for this kind */
	struct span options; /* canonical (proto/kinds.h), checked against the table */
	unsigned qos;        /* MQTT */
};

struct trigger_ops {
	const char *kind;
	/* Listens; -E_INVALID for a filter or option that makes no sense, never for a device or broker
	 * that is away: that is a state (status, route_status), and ends by itself. A second call with the
	 * same route changes its QoS. Takes effect now or when the trigger is connected again. */
	int (*subscribe)(struct trigger *t, const struct trigger_route *r, struct why *why);
	void (*unsubscribe)(struct trigger *t, uint32_t route);
	/* Sends or queues copies of n messages, in this order: all, or none. -E_LIMIT: there is no
	 * room for them (counted and logged here); -E_INVALID. */
	int (*publish)(struct trigger *t, const struct trigger_message *m, unsigned n);
	/* Sends m, whose token is not 0: 1 if that is all (QoS 0), 0 if acknowledged() will be called,
	 * -EAGAIN: not now, writable() will be called. Other errors: never. m is borrowed for the
	 * call. May be NULL, as the next three. */
	int (*send)(struct trigger *t, const struct trigger_message *m);
	/* A packet identifier for a QoS 2 message that will be sent later, or 0. Given back by
	 * unreserve, or by its acknowledgement. */
	uint16_t (*reserve)(struct trigger *t);
	void (*unreserve)(struct trigger *t, uint16_t packet);
	/* Before start: what an earlier run had begun with the far side. */
	int (*resume)(struct trigger *t, const struct trigger_resume *r);
	void (*status)(struct trigger *t, struct trigger_status *ret);
	/* What is wrong with one route, if anything: the sentence for people, with what to do, and false;
	 * or true. May be NULL: as status says. */
	bool (*route_status)(struct trigger *t, uint32_t route, struct why *ret);
	void (*start)(struct trigger *t);
	/* No call of the sink begins or runs after this has returned. */
	void (*deafen)(struct trigger *t);
	/* Deafens, and begins the end: what is queued gets up to grace_ms to go out. Returns at once,
	 * so that several end together. */
	void (*stop)(struct trigger *t, unsigned grace_ms);
	/* Waits for that end; what did not go out is counted and logged. */
	void (*free)(struct trigger *t);
};

struct trigger { /* the first member of every kind's struct */
	const struct trigger_ops *ops;
	const char *name;
	struct trigger_sink sink;
};

#endif
