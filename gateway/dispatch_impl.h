/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the dispatcher: dispatch.c (the way in), answers.c (the way out), recovery.c (load, death,
 * time), candidates.c (versions on trial). Not for others.
 *
 * Locks, in this order: send_lock (the socket towards the sandbox, and with it the order of what it
 * is told), lock (functions, flights, counters that are not atomic), post_lock. Nothing blocks while
 * holding any; log lines and messages to brokers go out with none held.
 */
#ifndef GATEWAY_DISPATCH_IMPL_H
#define GATEWAY_DISPATCH_IMPL_H

#include <pthread.h>

#include "gateway/dispatch.h"
#include "gateway/gate.h"
#include "gateway/wire.h"

#define REQUIRES(l) /* to be called with d->l held */

enum {
	HURRY_NS =
		1000 * 1000 * 1000, /* from arrival to deadline, as the sandbox has it (sched.h) */
	RECENT_NS = 1000 * 1000,    /* an event this soon after the last: traffic is busy */
	SPIN_SENT_MAX = 4,          /* with more than these in flight there is no hurry */
	EVENTS_PER_LOOK = 16,
	QUICK_MOST = 8,
	QUICK_SPIN = 4,
	WAKE_NS = 30 * 1000, /* what two sleeping threads add to a turnaround */
	OVERDUE_NS =
		1000 * 1000 * 1000, /* past its deadline, before the sandbox is killed for it */
	TICK_BUSY_MS = 200,
	TICK_IDLE_MS = 1000,
};

struct post { /* from any thread to the loop's */
	struct post *next;
	enum post_kind { POST_CONTROL, POST_RESULT, POST_FAILED, POST_REAP, POST_FEED } kind;
	struct flight *flight; /* RESULT, FAILED: ENDING, to be released */
	const void *map;       /* RESULT by memfd, of map_len bytes */
	size_t map_len;
	size_t len;
	uint8_t packet[]; /* CONTROL, RESULT; FAILED: the reason */
};

struct dispatch {
	const struct config *config;
	uv_loop_t *loop;
	struct sandbox_peer *peer;
	int sock;

	pthread_mutex_t send_lock;
	pthread_mutex_t lock;
	struct function_table functions;
	struct admission admission;
	struct flight_pool pool;
	struct version *ready, **ready_last; /* versions with waiting flights, in turn */
	unsigned sent;                       /* flights that the sandbox has */
	unsigned owed;                       /* HELLO and LOADED that it owes */
	uint64_t bytes;
	uint64_t next_id;
	struct durable_store *durable; /* NULL: no journal */
	struct state_store *state;     /* as durable */
	struct tell *tells;            /* answers that the socket had no room for; send_lock */
	unsigned ntells;
	atomic_bool telling;    /* there are */
	atomic_bool hungry;     /* a POST_FEED is under way */
	struct function *trial; /* the suspect whose turn it is */
	bool up;                /* it said HELLO */
	bool closed;            /* no new events */
	unsigned workers;

	atomic_uint waiting; /* flights in queues */
	atomic_uint quick;   /* 0..QUICK_MOST: answers come soon enough to spin for */
	_Atomic uint64_t last_event_ns;
	_Atomic uint64_t counts[EVENTS_COUNTS];
	_Atomic uint64_t refused[REFUSALS];
	_Atomic uint64_t answers; /* packets from the sandbox */
	atomic_uint broken;       /* the generation that broke the protocol last */
	struct limiter strays, differences;

	struct gate gate;
	pthread_t results;
	bool results_run;
	struct ipc_inbox *results_inbox;
	struct ipc_inbox *seat_inbox; /* of whoever attends */
	bool recent;                  /* its last event came soon after the one before */

	pthread_mutex_t post_lock;
	struct post *posts, **posts_last;
	uv_async_t async;
	uv_timer_t tick;
	unsigned down_ticks;
	uint64_t ticked_answers;
	unsigned closing;
	path_rollout_end *rollout_ended; /* or NULL */
	void *rollout_arg;
	dispatch_quarantined *quarantined; /* or NULL */
	void *quarantined_arg;
};

uint64_t now_ns(void);
uint64_t now_wall_ms(void);

/* admit.c: a new flight, or why not. b: NULL, or whose deadline and criticality count. id: 0, or the
 * event's, which has one already. */
struct flight *dispatch_admit(struct dispatch *d, struct span name, const struct event *e,
			      const struct binding *b, uint64_t id, enum refusal *ret_why);
/* Counts and logs it; returns its error. */
int dispatch_refuse(struct dispatch *d, struct span name, const struct event *e, struct binding *b,
		    enum refusal why);

/* dispatch.c */
void dispatch_pump(struct dispatch *d);
/* The end of a flight in state ENDING: gives back what it held. */
void dispatch_release(struct dispatch *d, struct flight *f);
/* A repetition, encoded, goes its way uncounted. */
void dispatch_take_off(struct dispatch *d, struct flight *f);
/* A flight that is admitted, encoded and in the journal goes its way. */
void dispatch_send(struct dispatch *d, struct flight *f);
/* One that is ENDING runs again. */
void dispatch_again(struct dispatch *d, struct flight *f);
/* There is room for what waits in the journal. Any thread. */
void dispatch_wants_food(struct dispatch *d);
/* Commits what has been put, if there is a journal. */
void dispatch_commit(struct dispatch *d);
/* Takes a flight out of SENT. */
REQUIRES(lock) void dispatch_unsend(struct dispatch *d, struct flight *f);
REQUIRES(lock) void dispatch_queue(struct dispatch *d, struct flight *f, bool front);
REQUIRES(lock) void dispatch_unready(struct dispatch *d, struct version *v);
void dispatch_post(struct dispatch *d, struct post *p);

/* answers.c */
/* Receives and handles a batch without blocking: how many, 0 = none there, -1 = the far end closed. Who
 * calls it commits (dispatch_commit). */
int dispatch_take(struct dispatch *d, struct ipc_inbox *in);
/* The attendant's: handles what is there, commits nothing. */
void dispatch_look(struct dispatch *d);
void *dispatch_results(void *d); /* the results thread */
/* Ends a flight (ENDING) that got no result. reason: a constant, or copied before this returns. */
void dispatch_fail(struct dispatch *d, struct flight *f, const char *reason);
/* An event that was counted as ok did not get through its transaction. */
void dispatch_uncount_ok(struct dispatch *d, struct flight *f);
/* It did not run, and is to run later if it is in the journal; else as dispatch_fail. */
void dispatch_postpone(struct dispatch *d, struct flight *f, const char *reason);
void dispatch_on_result_post(struct dispatch *d, struct post *p);

/* shadow.c */
/* f was ended well or not by the active version, with m; it is still whole. */
void shadow_start(struct dispatch *d, struct flight *f, const struct ipc_result *m);
void shadow_end(struct dispatch *d, struct flight *s, const struct ipc_result *m);
void shadow_fail(struct dispatch *d, struct flight *s);

/* candidates.c */
REQUIRES(lock) void candidate_loaded(struct version *v);
/* An event ended: counted when there is something to compare. */
void candidate_count(struct version *v, bool failed, uint64_t deadline_ns);
void candidate_uncount(struct version *v); /* it did not end after all */
/* After a death: takes the candidates' flights out of the list of those in flight. Returns repetitions,
 * which have failed. */
REQUIRES(lock) struct flight *candidates_blame(struct dispatch *d, struct flight **list);
/* Ends those that do worse. Loop thread. */
void candidates_judge(struct dispatch *d);
/* Those for repetitions that had none for a while. Loop thread. */
void candidates_put_away(struct dispatch *d);

/* recovery.c */
void dispatch_on_posts(uv_async_t *async);
void dispatch_on_started(void *d);
void dispatch_on_died(void *d, const char *how);
void dispatch_on_tick(uv_timer_t *t);

#endif
