/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What functions remember: values under keys in buckets, in the journal's database, so that they are
 * committed with the event that changes them.
 *
 * Concurrency is optimistic. An event reads without locks and says with its result what it read, by
 * version. In the event's transaction each version is compared; when one has changed, nothing of the
 * event is written and it is run again. So events appear to run one after the other, whatever runs at
 * the same time. What finished events change is visible to the next reads before their transaction
 * is through (pending): who read it and is committed behind them agrees, who does not conflicts.
 *
 * A version is a number that no other change ever had; 0 is the version of what is not there.
 *
 * Threads: any.
 */
#ifndef GATEWAY_STATE_H
#define GATEWAY_STATE_H

#include <stdbool.h>

#include "gateway/journal.h"
#include "proto/ipc.h"

struct state_store;

struct state_limits {   /* of one bucket */
	uint64_t bytes; /* keys and values */
	uint64_t keys;
};

enum { STATE_BUCKETS_MAX = 16 }; /* that one event may change */

/* After journal_open; borrows j. */
int state_open(struct journal *j, const struct state_limits *l, struct state_store **ret,
	       struct why *why) MUST_USE;
/* No more answers; before journal_close. And the rest, after it: its last commit may have changes. NULL
 * is fine. */
void state_stop(struct state_store *s);
void state_free(struct state_store *s);

/* The name of a bucket in the database: "" is the function's own. False: no such name can be. */
bool state_bucket_name(struct span bucket, const char *function, char *ret, size_t cap) MUST_USE;

/* A STATE_ASK's answer, as a whole packet. granted: may the function see this bucket? */
void state_answer(struct state_store *s, const char *function, const struct ipc_state_ask *q,
		  bool granted, struct wr *packet);

/* The changes of an event that is over; `ops` as in its RESULT. -E_LIMIT: more than STATE_BUCKETS_MAX;
 * -ENOMEM. *ret NULL: it neither read nor changed anything. The extra goes to journal_finish.extras. */
struct state_write {
	struct journal_extra extra;
	struct state_store *store;
	bool conflict; /* what it read has changed: run it again */
	bool full;     /* a bucket's quota: bucket names it */
	char bucket[IPC_STATE_BUCKET_MAX + 80];
	uint32_t n;
	struct state_change *changes;
	uint8_t *bytes;
};
int state_plan(struct state_store *s, const char *function, struct span ops, uint32_t n,
	       struct state_write **ret, struct why *why) MUST_USE;
/* Its transaction is through or has failed, or never was. NULL is fine. */
void state_done(struct state_write *w);

/* Loop thread, each second or so: what has expired goes. */
void state_tick(struct state_store *s);

/* For people. value as it is; -E_UNKNOWN. */
typedef int state_row_fn(void *arg, struct span key, struct span value);
int state_list(struct state_store *s, const char *bucket, struct span prefix, struct span after,
	       unsigned limit, state_row_fn *each, void *arg, struct why *why) MUST_USE;
/* key.at NULL: all of the bucket. Put to be committed at once; -E_UNKNOWN: nothing is there. */
int state_drop(struct state_store *s, const char *bucket, struct span key,
	       struct why *why) MUST_USE;
typedef int state_bucket_fn(void *arg, const char *bucket, uint64_t keys, uint64_t bytes);
int state_buckets(struct state_store *s, state_bucket_fn *each, void *arg,
		  struct why *why) MUST_USE;

#endif
