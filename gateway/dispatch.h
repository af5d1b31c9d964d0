/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events to the sandbox, results back, effects out. Every event that is taken ends in exactly one
 * way: ok, failed, trapped, refused; each end is counted, and all but ok are logged with the event's
 * number, the function and the reason.
 *
 * Bounds: limits.queue_events, queue_per_function and queue_bytes; what is more is refused. At most
 * FUNCTION_WINDOW events of a function and DISPATCH_WINDOW in all lie with the sandbox, so that a
 * slow function cannot fill its socket; the rest waits here, functions taking turns.
 *
 * A crash of the sandbox costs each event in flight one retry. The functions that were in flight are
 * suspects: after the restart they are tried one at a time, while all others go on. A suspect that
 * is in flight when the sandbox dies again is quarantined until it is deployed anew; one whose
 * retried events are answered is cleared.
 *
 * Loops: an event that came through DISPATCH_HOPS_MAX functions already is refused. How that is known
 * is the trigger's business (triggers/mqtt_hops.c).
 *
 * Threads: dispatch_event from any (the triggers'); the rest from the loop's.
 */
#ifndef GATEWAY_DISPATCH_H
#define GATEWAY_DISPATCH_H

#include <uv.h>

#include "gateway/binding.h"
#include "gateway/config.h"
#include "gateway/function.h"
#include "gateway/sandbox_peer.h"
#include "proto/event.h"

struct dispatch;

enum {
	DISPATCH_WINDOW = 256,
	DISPATCH_HOPS_MAX = 16, /* messages that start functions that publish messages that ... */
};

enum dispatch_count {
	EVENTS_INVOKED,
	EVENTS_OK,
	EVENTS_FAILED,
	EVENTS_TRAPPED,
	EVENTS_REFUSED,
	EVENTS_RETRIED,
	EVENTS_COUNTS
};

struct dispatch_status {
	uint64_t counts[EVENTS_COUNTS];
	unsigned in_flight, functions, workers;
	struct sandbox_peer_status sandbox;
};

/* program: penstock-sandbox, absolute. config is borrowed. Starts it. */
int dispatch_new(const struct config *config, uv_loop_t *loop, const char *program,
		 struct dispatch **ret, struct why *why) MUST_USE;
/* Refuses new events, waits up to wait_ms for those in flight, fails the rest, ends the sandbox. The
 * loop must run until its handles are closed; then the memory goes. NULL is fine. */
void dispatch_free(struct dispatch *d, unsigned wait_ms);

/* Before the first event; ids go on behind last_id. s is borrowed until dispatch_free. */
struct durable_store;
struct state_store;
void dispatch_use(struct dispatch *d, struct durable_store *s, struct state_store *state,
		  uint64_t last_id);

/* A receiving thread that takes the answers to its events itself (gateway/gate.h): all zero at first,
 * and then that thread's alone. */
struct dispatch_seat {
	bool taken;
	bool more;       /* set by the thread: the next event is at hand, so this one may wait */
	unsigned events; /* since it looked for answers last */
};

/* One event for each of these bindings. seat: NULL, or the caller's, who then promises to call
 * dispatch_before_sleep before it sleeps. Not 0: the journal did not take it, and its source is not to
 * be told that we have it. */
int dispatch_event(struct dispatch *d, const struct event *e, struct binding *const *b, unsigned n,
		   struct dispatch_seat *seat);
/* Sends what waits, and takes the answers if a short wait for them pays. Returns a descriptor to sleep
 * on as well, and to call dispatch_ready for when it can be read; or -1: no answer is owed. */
int dispatch_before_sleep(struct dispatch *d, struct dispatch_seat *seat);
void dispatch_ready(struct dispatch *d);
/* The thread is gone, or will not come back. */
void dispatch_leave(struct dispatch *d, struct dispatch_seat *seat);

/* See path_invoke. */
int dispatch_invoke(struct dispatch *d, const char *function, const struct event *e,
		    flight_done *done, void *arg, struct why *why) MUST_USE;

/* See path_replay. */
int dispatch_replay(struct dispatch *d, const struct path_repetition *r, flight_done *done,
		    void *arg, struct why *why) MUST_USE;

int dispatch_function_put(struct dispatch *d, const struct path_function *f, path_loaded *done,
			  void *arg, struct why *why) MUST_USE;
int dispatch_function_remove(struct dispatch *d, const char *name);
int dispatch_candidate_remove(struct dispatch *d, const char *name);
/* Told of a function in quarantine, again at each tick. */
typedef void dispatch_quarantined(void *arg, const char *function);
void dispatch_on_quarantine(struct dispatch *d, dispatch_quarantined *quarantined, void *arg);
void dispatch_on_rollout_end(struct dispatch *d, path_rollout_end *ended, void *arg);

void dispatch_status(struct dispatch *d, struct dispatch_status *ret);

struct dispatch_function {
	const char *state; /* "active", "failed", "quarantined" */
	char reason[REASON_BYTES];
	uint64_t counts[FUNCTION_COUNTS];
	double cpu_us_mean;
	uint64_t last_error_wall_ms; /* 0: none */
	char last_error[REASON_BYTES];
	unsigned candidate_revision;             /* 0: none runs beside it */
	struct rollout_counts candidate, active; /* since it began */
};
int dispatch_function_status(struct dispatch *d, const char *name, struct dispatch_function *ret);
/* See metrics.h; NULL: no such function. A new reference. */
json_t *dispatch_function_metrics(struct dispatch *d, const char *name);
/* [{name, queue, run, deadline_misses, refused}] of all. */
json_t *dispatch_times(struct dispatch *d);
/* What is counted of all, then of each function; false when it did not fit. */
bool dispatch_metrics_text(struct dispatch *d, struct wr *w);

#endif
