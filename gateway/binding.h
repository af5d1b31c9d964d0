/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which bindings want a message: a trie over the levels of their topic filters, so that the cost
 * grows with the levels of the topic, not with the number of bindings.
 *
 * Bindings with the same filter share a route: one subscription at the broker, known there by a
 * number. A broker may deliver a message once for each subscription that matches; an MQTT 5 broker
 * says by which ones a copy came, and then a copy is for the bindings of those routes only. So each
 * binding gets a message once. Where the broker cannot say (3.1.1), a route whose filter another
 * one covers is not subscribed (triggers/mqtt_subs.c, plan), so that copies arise only where two
 * filters overlap without one covering the other ("a/+" and "+/b"), and only at brokers that send
 * such copies; then both bindings see both.
 *
 * Threads: any; the table has its own lock. A binding lives as long as somebody holds a reference.
 */
#ifndef GATEWAY_BINDING_H
#define GATEWAY_BINDING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rd.h"
#include "base/why.h"
#include "gateway/journal.h"

struct binding_table; /* of one source */

enum binding_count {
	BINDING_INVOKED,
	BINDING_OK,
	BINDING_FAILED,
	BINDING_TRAPPED,
	BINDING_REFUSED,
	BINDING_COUNTS
};

struct binding {
	atomic_uint refs;
	uint64_t id;
	struct span function, filter, options,
		publish; /* its own copies; function is NUL-terminated */
	uint8_t qos, publish_qos, retain;
	uint32_t deadline_ms; /* 0 = the function's */
	uint8_t criticality;  /* enum criticality; CRITICALITIES = the function's */
	enum journal_durability durability;
	unsigned retry_max; /* attempts after the first */
	uint32_t retry_ms;  /* pause before the second; doubles */
	bool ordered;       /* events of a topic run one after the other */
	void *way_out;      /* struct trigger: where its messages go, or NULL; the owner's */
	void *outputs;      /* and those to $output/NAME */
	void *direct;       /* and, beside way_out, those that other bindings there want; or NULL */
	bool by_broker;     /* its events come only from the broker, not from a function directly */
	_Atomic uint64_t counts[BINDING_COUNTS];
	struct binding *next; /* on its route */
};

struct binding_text {
	bool topics; /* filter is a topic filter; else the name of a thing, of which nothing is a wildcard */
	struct span function, filter;
	struct span options; /* canonical (proto/kinds.h) */
	struct span publish; /* template */
};
/* -E_INVALID for a filter or template that makes no sense. One reference, the caller's. */
int binding_new(uint64_t id, const struct binding_text *t, struct binding **ret,
		struct why *why) MUST_USE;
struct binding *binding_ref(struct binding *b);
void binding_unref(struct binding *b); /* NULL is fine */

/* topics: of a broker. Else of things by name: events name their routes, the topic decides nothing, and
 * bindings of other options have other routes. */
struct binding_table *binding_table_new(bool topics) MUST_USE;
void binding_table_free(struct binding_table *t);

/* A subscription that the broker should have. */
struct binding_route {
	uint32_t id;
	struct span filter, options; /* live as long as the route */
	uint8_t qos;                 /* the highest of its bindings */
	bool changed;                /* by this call: it is new, or its qos is */
	bool gone;                   /* by this call: nobody wants it any more; filter is empty */
};

/* Takes a reference of its own. -ENOMEM; -E_EXISTS: of topics, where a binding with this filter has other
 * options. */
int binding_table_add(struct binding_table *t, struct binding *b,
		      struct binding_route *ret_route) MUST_USE;
void binding_table_remove(struct binding_table *t, struct binding *b,
			  struct binding_route *ret_route);

/* Writes up to cap of the bindings that match, with a reference each, in no particular order and
 * each one once; returns how many there are. nroutes > 0: only those of these routes. */
unsigned binding_table_match(struct binding_table *t, struct span topic, const uint32_t *routes,
			     unsigned nroutes, struct binding **ret, unsigned cap);

#endif
