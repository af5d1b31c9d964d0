/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events between their arrival and their end: a pool of fixed size (limits.queue_events), each with
 * its INVOKE packet, kept until the answer so that it can be sent again after a crash. Small packets
 * lie in the pool, so that the usual event needs no malloc.
 *
 * No locking here: the owner (dispatch.c) guards the pool, the hash and state; the bytes of a flight
 * belong to whoever moved it to its state.
 */
#ifndef GATEWAY_FLIGHT_H
#define GATEWAY_FLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/wr.h"
#include "proto/event.h"
#include "proto/ipc.h"

struct version;
struct replay;
struct durable;
struct binding;

enum flight_state {
	FLIGHT_FREE,
	FLIGHT_NEW,     /* admitted, being encoded */
	FLIGHT_WAITING, /* in its version's queue */
	FLIGHT_SENT,    /* with the sandbox; in the hash */
	FLIGHT_ENDING,  /* its effects are being made */
};

/* Borrowed for the call; on the loop's thread. */
typedef void flight_done(void *arg, const struct event *e, const struct ipc_result *result);

enum { FLIGHT_SMALL_BYTES = 640 };

struct flight {
	uint64_t id;
	struct flight *next;      /* in a queue or the free list */
	struct flight *hash_next; /* while SENT */
	struct version *version;
	struct binding *binding;     /* a reference; NULL: somebody waits for the result */
	struct event_caller *caller; /* who waits for its answer and its end; NULL */
	flight_done *done;
	void *arg;
	enum flight_state state;
	bool retrying;           /* was in flight when the sandbox died */
	bool answered;           /* the sandbox sent a result */
	bool overdue;            /* was not answered in time: the sandbox was killed for it */
	bool more_attrs;         /* than every event has; flight_own_attrs */
	bool is_shadow;          /* to be compared with `expected` and forgotten */
	uint8_t hops;            /* the event's */
	struct durable *durable; /* in the journal (durable.h); NULL */
	uint64_t arrived_ns, deadline_ns, sent_ns;
	uint64_t cost_ns; /* admission.h */
	uint8_t ring;
	uint64_t charge_bytes; /* what it counts against limits.queue_bytes */
	struct span topic;     /* in bytes */
	struct replay *replay; /* what it was told, or is to be told again; NULL: nothing */
	uint64_t expected;     /* a shadow's: replay_digest() of the first run */
	struct wr packet;      /* in bytes, behind the topic */
	uint8_t *bytes;        /* small, or malloc'd */
	int payload_fd;        /* sealed memfd with the payload, or -1 */
	uint8_t small[FLIGHT_SMALL_BYTES];
};

struct flight_pool {
	struct flight *flights, **hash;
	struct flight *free;
	unsigned n, fresh, used; /* flights[fresh..n) were never used */
	unsigned mask;
};

int flight_pool_init(struct flight_pool *p, unsigned n) MUST_USE; /* -ENOMEM */
void flight_pool_fini(struct flight_pool *p);
struct flight *flight_new(struct flight_pool *p) MUST_USE; /* NULL: all are in use */
void flight_free(struct flight_pool *p, struct flight *f);

void flight_hash(struct flight_pool *p, struct flight *f);
/* Finds a SENT one; NULL. */
struct flight *flight_find(const struct flight_pool *p, uint64_t id);
/* Finds a SENT one and takes it out; NULL. */
struct flight *flight_unhash(struct flight_pool *p, uint64_t id);

/* Writes f->packet from f->id, f->deadline_ns and e. -E_LIMIT: topic and attributes are too large;
 * -ENOMEM, or the errno of memfd_create. */
int flight_encode(struct flight *f, uint32_t function, const struct event *e) MUST_USE;

/* The same of an event whose attributes were encoded before. */
int flight_encode_again(struct flight *f, uint32_t function, struct span topic, struct span attrs,
			uint32_t nattrs, struct span payload) MUST_USE;
/* All its attributes, in the packet. */
struct span flight_own_attrs(const struct flight *f);
/* Only the attributes, malloc'd. */
int flight_attrs(const struct flight *f, const struct event *e, uint8_t **ret,
		 size_t *ret_len) MUST_USE;

/* After flight_encode_again without payload: it is in payload_fd, of so many bytes. */
int flight_payload_by_fd(struct flight *f, uint32_t bytes) MUST_USE;
/* The same event for another version. */
void flight_retarget(struct flight *f, uint32_t function);

/* A queue of flights, the earliest deadline first; put_front: first whatever its deadline. */
struct flight_queue {
	struct flight *first, **last;
	unsigned n;
};
void flight_queue_init(struct flight_queue *q);
void flight_queue_put(struct flight_queue *q, struct flight *f);
void flight_queue_put_front(struct flight_queue *q, struct flight *f);
struct flight *flight_queue_take(struct flight_queue *q);

/* RFC 3339, UTC, milliseconds: 24 characters and NUL. */
enum { TIME_TEXT_BYTES = 25 };
void time_text(uint64_t wall_ms, char ret[TIME_TEXT_BYTES]);

/* May an event carry this attribute? Those that are ours cannot be given from outside. */
bool flight_attr_ok(const struct event_attr *a);

#endif
