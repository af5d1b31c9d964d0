/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal: STATE_DIR/journal.db (gateway/sql/journal_schema.sql), written by operations that are put
 * in a queue and committed in groups. doc/adr/0008 tells how an event flows through it.
 *
 * Group commit. Whoever calls journal_commit is the leader if there is none: it takes all that was put,
 * writes it in one transaction in the order in which it was put, and goes on while more comes. So an
 * event alone costs one transaction and no wake-up of a thread, and what arrives while a transaction
 * runs shares the next one. Where many are under way a thread that will be back soon (Paho's receiving
 * one) leaves the commit for a millisecond, unless there are enough operations for one. An operation that nothing waits for (lazy) waits for others to come.
 *
 * Durability. WAL with synchronous=NORMAL: a commit is in the kernel's hands, so it survives any crash
 * of software (`process`). For `power` a thread of the journal's own calls fdatasync on the log after the
 * commit, once for all that was committed meanwhile; then only are these operations done. (A torn log
 * is cut at the last whole transaction by its checksums; checkpoints sync before they overwrite.) So are the
 * steps of QoS 2, or a message could, after a power cut, come again behind its PUBREL.
 *
 * Failure. A full disk or a locked or failing database rolls the transaction back; its operations stay
 * in the queue, in order, and are tried again by journal_tick. Until then nothing is done: no
 * acknowledgement goes out, no effect is sent, and journal_admit refuses what would be new. The thread copies
 * the log, so that one that has filled the disk begins anew. One operation that SQLite cannot take by itself
 * (SQLITE_TOOBIG, a constraint) is told so with its error, and the others go on.
 *
 * Duplicates. Of QoS 1 a redelivery is recognised by source, DUP flag, packet identifier and digest of topic
 * and payload, within bounds that gateway/dedupe.h argues for; both are in the event's row, so it is
 * recognised after a restart as well. QoS 2 needs none of this: the identifiers between PUBLISH and PUBREL are
 * in the table `inbound`, in the event's transaction.
 *
 * Threads: put, commit, ticket, durable, admit from any; the rest from the loop's. done is called by the
 * leader, or by the journal's thread, without locks held.
 */
#ifndef GATEWAY_JOURNAL_H
#define GATEWAY_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rd.h"
#include "base/why.h"
#include "proto/event.h"

struct journal;
struct sqlite3;

enum journal_durability { DURABLE_OFF, DURABLE_PROCESS, DURABLE_POWER };
enum journal_state { EVENT_OPEN, EVENT_DONE, EVENT_DEAD, EVENT_DROPPED };
enum effect_state {
	EFFECT_WAITING,
	EFFECT_SENT,     /* QoS 2: with this packet identifier */
	EFFECT_RELEASED, /* QoS 2: PUBREC came */
	EFFECT_DELIVERED,
	EFFECT_LOST, /* dropped, for a reason that stands with it */
};

struct journal_options {
	const char *state_dir;
	uint64_t quota_bytes, quota_rows; /* of what is open; new events are refused above */
	uint64_t keep_bytes, keep_s;      /* of those that are over; 0: they go at once */
	uint64_t dead_rows;               /* dead letters; above, the oldest go. 0: all are kept */
	bool power; /* events are synced, by default; else what is exact is not before the first of them */
	/* PRAGMA quick_check at the start; BOOT: if the machine went down without a shutdown */
	enum journal_check { CHECK_BOOT, CHECK_ALWAYS, CHECK_NEVER } check;
};

/* Opens or creates it. A damaged database is set aside as journal.db.damaged-TIME with its log, named in
 * the log of the gateway, and a new one is begun: *ret_damaged. -E_INVALID: of another program or newer. */
int journal_open(const struct journal_options *o, struct journal **ret, bool *ret_damaged,
		 struct why *why) MUST_USE;
/* Commits what was put; what cannot be is told -E_GONE. NULL is fine. */
void journal_close(struct journal *j);

/* ---- operations ---- */

/* The head of each; the owner keeps all of it, and what it points to, until done. */
struct journal_op {
	struct journal_op *next;
	int (*write)(struct journal *j,
		     struct journal_op *op);          /* journal_write.c's, or the caller's */
	void (*done)(struct journal_op *op, int err); /* 0: durable as asked. May be NULL */
	uint64_t seq;
	int64_t bytes;           /* that it adds to what is open, or takes from it */
	int open, dead, effects; /* and rows */
	bool power;              /* done when synced */
	bool exact;              /* a step of an exchange of QoS 2: synced where any event is */
	bool lazy; /* nothing waits for it: no commit for its sake, for up to a tick */
	int err;
};

void journal_put(struct journal *j, struct journal_op *op);
/* What this thread puts until it lets go is in one transaction; it lets go soon, and commits after that, or what
 * somebody else wanted to commit meanwhile is committed then. No locks held. */
void journal_hold(struct journal *j, bool on);
/* Returns when nothing is left to do here: all is committed, or another thread is about it, or this one
 * will be in a millisecond. */
void journal_commit(struct journal *j);
/* Called by journal_commit, with locks held, when there is so much to do that it would rather wait for more,
 * for a millisecond: will this thread call again by then? */
void journal_on_linger(struct journal *j, bool (*fn)(void *arg), void *arg);
/* Commits all that was put, lazy or not; what cannot be is told -E_GONE. When no other thread puts. */
void journal_quiesce(struct journal *j);
/* Loop thread, each 200 ms or so: what is lazy, what failed, retention in small steps, checkpoints. */
void journal_tick(struct journal *j);

/* What was put so far and is not lazy, as one thing to wait for. */
struct journal_ticket {
	uint64_t seq, power;
};
struct journal_ticket journal_ticket(struct journal *j);
bool journal_durable(struct journal *j, struct journal_ticket t);
/* Called when more has become durable and journal_durable was asked in vain before. */
void journal_on_durable(struct journal *j, void (*fn)(void *arg), void *arg);

/* May an event of this size come? 0, or -E_LIMIT (quota), -ENOSPC, -EIO with a reason. Counts refusals. */
int journal_admit(struct journal *j, uint64_t bytes, struct why *why) MUST_USE;

/* An event begins. Strings are the flight's. */
struct journal_event {
	struct journal_op op;
	uint64_t id, binding, arrived_wall_ms;
	struct span function, source, topic, attrs, payload;
	uint32_t nattrs;
	uint16_t packet;
	uint64_t digest;
	uint8_t hops;
	uint8_t inbound; /* enum event_inbound: with it, in `inbound` */
};
void journal_event_put(struct journal *j, struct journal_event *e);

/* One effect: a row, and in memory until it is delivered (gateway/outbox.h). */
struct journal_effect {
	uint64_t id, event; /* id is given by journal_finish_put */
	unsigned revision, position;
	struct span out, function, topic, payload, attrs;
	uint8_t qos, retain, hops;
	uint16_t packet; /* QoS 2: reserved, or 0: later */
	enum effect_state state;
	uint64_t created_wall_ms;
};

/* A further write in the same transaction, before the effects: state, trace. Returns 0 or an SQLite code;
 * SQLITE_CONSTRAINT, before anything was written, refuses the finish with -E_INVALID. */
struct journal_extra {
	struct journal_extra *next;
	int (*write)(struct sqlite3 *db, struct journal_extra *x);
};

/* An attempt is over: event, effects and extras in one transaction. */
struct journal_finish {
	struct journal_op op;
	uint64_t id;
	uint64_t event_bytes; /* of topic, attrs and payload; for the quota */
	bool stored; /* there is a row of it; else effects and extras only (QoS 0 with state) */
	enum journal_state state; /* OPEN: another attempt at due_wall_ms */
	uint64_t due_wall_ms, finished_wall_ms;
	unsigned attempts, revision, status;
	int32_t code;
	struct span reason, stack, output, trace;
	struct journal_effect *const *effects;
	unsigned neffects;
	struct journal_extra *extras;
};
void journal_finish_put(struct journal *j, struct journal_finish *f);

/* An effect goes on: to SENT (packet), RELEASED, DELIVERED, LOST (reason). */
struct journal_progress {
	struct journal_op op;
	uint64_t effect;
	uint64_t effect_bytes; /* of topic, payload and attrs */
	enum effect_state state;
	uint16_t packet;
	const char *reason; /* a constant */
};
void journal_progress_put(struct journal *j, struct journal_progress *p);

/* A QoS 2 packet identifier without an event: EVENT_INBOUND_KEEP with bytes, or EVENT_INBOUND_DROP. */
struct journal_inbound {
	struct journal_op op;
	struct span source, bytes;
	uint16_t packet;
	int what;
};
void journal_inbound_put(struct journal *j, struct journal_inbound *i);

/* ---- reading, on a connection of its own (serialized); loop thread where nothing is said ---- */

struct sqlite3 *journal_reader(struct journal *j);

struct journal_row { /* strings are borrowed for the call */
	uint64_t id, due_wall_ms, binding, arrived_wall_ms, finished_wall_ms, digest, first_effect;
	enum journal_state state;
	unsigned attempts, revision, status, neffects;
	int32_t code;
	uint16_t packet;
	uint8_t hops;
	const char *function, *source, *reason, *stack;
	struct span topic, attrs, payload, output, trace;
};
typedef int journal_row_fn(void *arg, const struct journal_row *r); /* not 0: stop */

struct journal_query {
	const char *function;              /* NULL: any */
	int state;                         /* -1: any */
	uint64_t id;                       /* 0: any */
	uint64_t since_wall_ms, before_id; /* 0: none; newest first */
	unsigned limit;
};
int journal_events(struct journal *j, const struct journal_query *q, journal_row_fn *each,
		   void *arg, struct why *why) MUST_USE;
/* Open ones that are due by now and come after (due, id), oldest first: for the feeder. */
int journal_due(struct journal *j, uint64_t now_wall_ms, uint64_t after_due_ms, uint64_t after_id,
		unsigned limit, journal_row_fn *each, void *arg, struct why *why) MUST_USE;
/* All open ones, without attributes and payload. */
int journal_due_heads(struct journal *j, uint64_t after_due_ms, uint64_t after_id, unsigned limit,
		      journal_row_fn *each, void *arg, struct why *why) MUST_USE;
/* The newest of a source that had a packet identifier, newest first, without their bytes. */
int journal_recent(struct journal *j, const char *source, unsigned limit, journal_row_fn *each,
		   void *arg, struct why *why) MUST_USE;
typedef int journal_effect_fn(void *arg, const struct journal_effect *e, const char *reason);
/* Of one event. */
int journal_effects_of(struct journal *j, uint64_t first, unsigned n, journal_effect_fn *each,
		       void *arg, struct why *why) MUST_USE;
/* Of one way out: those to be sent, behind an id; or begun: SENT and RELEASED. One thread at a time. */
int journal_effects_open(struct journal *j, const char *out, bool begun, uint64_t after_id,
			 unsigned limit, journal_effect_fn *each, void *arg,
			 struct why *why) MUST_USE;
typedef int journal_inbound_fn(void *arg, unsigned packet, struct span bytes);
int journal_inbounds(struct journal *j, const char *source, journal_inbound_fn *each, void *arg,
		     struct why *why) MUST_USE;
/* Dead letters back to open (attempts 0), or dropped. -E_UNKNOWN: it is not one. Committed when it returns. */
int journal_dead_retry(struct journal *j, uint64_t id, uint64_t due_wall_ms,
		       struct why *why) MUST_USE;
/* The same for any event that is over. */
int journal_again(struct journal *j, uint64_t id, uint64_t due_wall_ms, struct why *why) MUST_USE;
int journal_dead_drop(struct journal *j, uint64_t id, struct why *why) MUST_USE;

void journal_count_duplicate(struct journal *j);
uint64_t journal_last_id(struct journal *j); /* highest id of an event ever stored here */

struct journal_status {
	const char *state; /* "ok", "failing" */
	char reason[256];
	uint64_t open, dead, effects; /* rows */
	uint64_t open_bytes, file_bytes;
	uint64_t commits, operations, syncs, refused, duplicates;
};
void journal_status(struct journal *j, struct journal_status *ret); /* loop thread */
/* Only rows and bytes of what is open; any thread, cheap. */
void journal_load(struct journal *j, struct journal_status *ret);

#endif
