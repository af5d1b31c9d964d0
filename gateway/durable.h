/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events that are in the journal: how they get in, what their end writes, when they are tried again.
 * doc/adr/0008 has the way of one; journal.h and outbox.h what is promised.
 *
 * An event is put into the journal and sent to the sandbox at once. What cannot run now (the queues are
 * full, its topic is busy and ordered) is in the journal only, and is fed from there, oldest first, by
 * the loop's thread; so are those whose attempt failed, when their pause is over, and at the start all that
 * had no end.
 *
 * Ordered. Of a binding that is `ordered`, events of one topic run one at a time, in the order of their ids; one
 * that fails and is to be tried again holds up those behind it. A key (binding, topic) is known here
 * while one of its events runs or waits.
 *
 * Locks: keys' own, innermost but for the journal's. Threads: durable_event, durable_end from any; the rest
 * from the loop's.
 */
#ifndef GATEWAY_DURABLE_H
#define GATEWAY_DURABLE_H

#include "gateway/dispatch.h"
#include "gateway/journal.h"
#include "gateway/outbox.h"

struct durable_store;
struct durable; /* of a flight */

/* The binding with this number, with a reference; NULL. Loop thread. */
typedef struct binding *durable_binding_of(void *arg, uint64_t id);

/* j and o are borrowed, o and they NULL: a dispatcher without a journal. */
int durable_new(struct dispatch *d, struct journal *j, struct outbox *o, durable_binding_of *find,
		void *arg, struct durable_store **ret, struct why *why) MUST_USE;
void durable_free(struct durable_store *s);

/* Is this event of this binding kept? */
bool durable_wanted(const struct durable_store *s, const struct event *e, const struct binding *b);
/* May it come? Not 0: it is not to be acknowledged. Logged and counted here. */
int durable_admit(struct durable_store *s, const struct event *e) MUST_USE;

/* Around the events that one message is for several bindings: their rows are in one transaction, else its
 * repetition after a crash would be taken for one that all of them have. s may be NULL. */
void durable_together(struct durable_store *s, bool on);
/* f is admitted and encoded, not sent: its row is put; or with its end, in one transaction, when its caller waits for
 * the answer (then a crash before that leaves nothing, and nobody was told anything; it is not tried again). f NULL: it cannot run now (why), and is put to be
 * fed later, or as dead letter where it never can; -E_LIMIT: what is too large for a function is too large
 * for its letter. */
int durable_begin(struct durable_store *s, struct flight *f, const struct event *e,
		  struct binding *b) MUST_USE;
int durable_put_aside(struct durable_store *s, const struct event *e, struct binding *b,
		      uint64_t id, enum refusal why) MUST_USE;
/* Ordered: takes the key for this event; false: others have it, put it aside. True where not ordered. */
bool durable_hold(struct durable_store *s, const struct binding *b, struct span topic, uint64_t id);

/* What came of an attempt. Puts its end; the flight is released when that is through. */
struct durable_end {
	uint32_t status; /* enum ipc_status */
	int32_t code;
	bool postponed; /* it did not run: not an attempt */
	const char *reason;
	struct span stack, reply, effects, state, trace;
	uint32_t neffects;
	struct outbox_batch batch;
	struct journal_extra *extras;
	/* Once. When err is -E_INVALID, for the extras refused: NULL, and it is run again at once, or why it
	 * has failed, in room. */
	const char *(*extras_done)(void *arg, int err, char *room, size_t cap);
	void *extras_arg;
};
void durable_end(struct durable_store *s, struct flight *f, const struct durable_end *e);
/* An event that is not in the journal (QoS 0), but what it changes is to be: it gets a durable_end. -ENOMEM */
int durable_begin_unstored(struct durable_store *s, struct flight *f) MUST_USE;
bool durable_is_stored(const struct flight *f);
/* Its messages, for durable_end.batch. -ENOMEM */
int durable_plan(struct durable_store *s, const struct flight *f, const struct trigger_message *m,
		 unsigned n, struct outbox_batch *ret) MUST_USE;

/* Before the brokers are started: learns what waits, feeds the first. */
void durable_start(struct durable_store *s);
/* Feeds what is due, as far as there is room. */
void durable_feed(struct durable_store *s);
void durable_tick(struct durable_store *s);
void durable_commit(struct durable_store *s);
/* No thread puts any more: what can be committed is. */
void durable_stop(struct durable_store *s);

/* A dead letter is to be tried again: as any that waits. finished: or any other that is over. */
int durable_retry(struct durable_store *s, uint64_t id, bool finished, struct why *why) MUST_USE;

#endif
