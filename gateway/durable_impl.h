/* SPDX-License-Identifier: Apache-2.0 */
/* Inside: durable.c (begin and end of attempts), feeder.c (what waits in the journal). */
#ifndef GATEWAY_DURABLE_IMPL_H
#define GATEWAY_DURABLE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "gateway/dispatch_impl.h"
#include "gateway/durable.h"

enum { ORDERED_BUCKETS = 4096, FLYING_BUCKETS = 4096, BACKOFF_MAX_MS = 3600 * 1000 };

struct ordered_key {
	struct ordered_key *next;
	uint64_t key;
	uint64_t holder; /* the event that runs; 0: none */
	unsigned waiting;
};

struct durable {
	struct durable *next;   /* in flying */
	struct durable *landed; /* in durable_store.landed */
	struct durable_store *store;
	struct flight *flight;   /* NULL: put aside */
	struct binding *binding; /* put aside: a reference */
	struct journal_event event;
	struct journal_finish finish;
	struct outbox_batch batch;
	const char *(*extras_done)(void *arg, int err, char *room, size_t cap);
	bool unstored;               /* QoS 0 with state: there is no row of it */
	bool late;                   /* its row is put with its end */
	struct event_caller *waiter; /* for the row; NULL */
	unsigned reruns;             /* because what it read had changed */
	void *extras_arg;
	unsigned attempts;
	uint64_t bytes;      /* of topic, attributes and payload */
	uint8_t *copy, *end; /* what the operations point to */
};

struct durable_store {
	struct dispatch *dispatch;
	struct journal *journal;
	struct outbox *outbox;
	durable_binding_of *find;
	void *find_arg;
	uint64_t start_wall_ms, start_ns;
	struct limiter refusals;
	atomic_uint
		aside; /* open events that are in the journal only, or more: the feeder counts anew */
	bool starting;    /* what was open at the start is being fed */
	bool part;        /* or a look at all that waits had no time to get to its end */
	uint64_t due, id; /* up to where */

	pthread_mutex_t lock;
	struct ordered_key *keys[ORDERED_BUCKETS];
	struct durable *flying[FLYING_BUCKETS]; /* by id: between their put and the end of that */
	/* The feeder reads a snapshot, in which what has ended since is open. So what ends while it
	 * reads flies until it is through, and nothing is run that has been run. */
	bool feeding;
	struct durable *landed;
};

uint64_t durable_now_ms(const struct durable_store *s);
/* Never: the reason is about the event or the function, not about how much there is to do. */
bool durable_is_for_good(enum refusal why);
bool durable_hold_fed(struct durable_store *s, const struct binding *b, struct span topic,
		      uint64_t id);
void durable_key_waits(struct durable_store *s, const struct binding *b, struct span topic);
/* At the start: an open event. The first of its topic holds the key, whether its pause is over or not. */
void durable_key_found(struct durable_store *s, const struct binding *b, struct span topic,
		       uint64_t id);
void durable_let_go(struct durable_store *s, const struct binding *b, struct span topic,
		    uint64_t id, bool again);
bool durable_is_in_flight(struct durable_store *s, uint64_t id);
/* Around each reading of what is open. */
void durable_feeding_begin(struct durable_store *s);
void durable_feeding_end(struct durable_store *s);
struct durable *durable_make(struct durable_store *s, struct flight *f, uint64_t id);
void durable_fly(struct durable_store *s, struct durable *x);
void durable_drop(struct durable *x);

#endif
