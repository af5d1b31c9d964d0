/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event path as the rest of penstockd sees it: triggers, bindings, dispatch to penstock-sandbox,
 * publishing. gateway/api and the registry (what is deployed) use only this header.
 *
 * Threads: every call here, and every callback, happens on the loop thread. Inside, receiving
 * threads of the triggers take part in the work.
 */
#ifndef GATEWAY_PATH_H
#define GATEWAY_PATH_H

#include <jansson.h>
#include <uv.h>

#include "base/why.h"
#include "gateway/config.h"
#include "proto/event.h"
#include "proto/ipc.h"
#include "proto/manifest.h"

struct path;

/* Starts penstock-sandbox, connects the brokers in the background, returns at once. config is
 * borrowed until path_free. */
int path_new(const struct config *config, uv_loop_t *loop, struct path **ret_path,
	     struct why *why) MUST_USE;
/* Stops taking events, waits up to 2 s for those in flight, stops the sandbox. NULL is fine. */
void path_free(struct path *p);

enum path_role {
	PATH_ACTIVE, /* gets the events */
	PATH_CANARY, /* gets some of them instead of the active one */
	PATH_SHADOW, /* gets copies of some, and what it does with them is compared and thrown away */
	PATH_ASIDE, /* gets only repetitions, and goes when it had none for some seconds */
};

struct path_function {
	const char *name; /* unique; a second put replaces the first without losing an event */
	unsigned revision;
	int so_fd; /* sealed and verified shared object; borrowed, dup'ed */
	struct manifest_limits limits;
	const char *const *publish; /* granted topic filters */
	size_t npublish;
	const char *const *outputs; /* granted names (proto/kinds.h) */
	size_t noutputs;
	bool state;                 /* granted: a bucket of its own, */
	const char *const *buckets; /* and shared ones */
	size_t nbuckets;
	bool is_reactor;
	enum path_role role;
	unsigned percent; /* CANARY, SHADOW: of the events, 1..100 */
};

/* err 0: the sandbox has loaded it and new events go to it. Called once, later, never inside the
 * call that asked. */
typedef void path_loaded(void *arg, int err, const char *why);
int path_function_put(struct path *p, const struct path_function *f, path_loaded *done, void *arg,
		      struct why *why) MUST_USE;
/* -E_UNKNOWN. Events in flight end as they will. */
int path_function_remove(struct path *p, const char *name);
/* The same for its candidate (CANARY, SHADOW) alone. */
int path_candidate_remove(struct path *p, const char *name);
/* A candidate did worse than the active version and gets no more events. */
typedef void path_rollout_end(void *arg, const char *function, unsigned revision,
			      const char *reason);
void path_on_rollout_end(struct path *p, path_rollout_end *ended, void *arg);

struct path_binding {
	uint64_t id;          /* the registry's */
	const char *function; /* need not be loaded (yet): its events are refused and counted */
	const char *kind,
		*broker; /* what it listens to: proto/kinds.h; broker: or the section's name, or "" */
	const char *filter, *options;
	const char *publish, *publish_broker; /* may be "" */
	unsigned qos, publish_qos;
	bool retain;
	unsigned deadline_ms;    /* 0: the function's; never more than that */
	const char *criticality; /* "" or NULL: the function's */
	const char *durability;  /* "process", "power", "off"; "" or NULL: journal.durability */
	unsigned retry_max, retry_ms;
	bool ordered;
};

/* -E_INVALID (filter, template), -E_UNKNOWN (broker), -E_EXISTS (id). Copies what it needs. */
int path_binding_put(struct path *p, const struct path_binding *b, struct why *why) MUST_USE;
int path_binding_remove(struct path *p, uint64_t id);
bool path_binding_known(struct path *p, uint64_t id);

/* One event for one function, outside of bindings; its effects are handed back, not published.
 * done is called once, unless path_invoke returned an error. result is borrowed for the call. */
typedef void path_result(void *arg, const struct event *e, const struct ipc_result *result);
int path_invoke(struct path *p, const char *function, const struct event *e, path_result *done,
		void *arg, struct why *why) MUST_USE;

/* The parts of GET /status and of the counts in GET /functions, /bindings that the path knows
 * (doc/API.md): new references. path_function_counts: {state, reason, counts, cpu_us_mean,
 * last_error, trial}, NULL when unknown; trial is there while a candidate is. */
/* NULL: none. Reading is the loop thread's (journal.h). */
struct journal *path_journal(struct path *p);
/* What functions remember (state.h). */
struct state_store *path_state(struct path *p);
/* A dead letter is tried again; finished: or any event that is over. -E_UNKNOWN: it is none. */
int path_event_retry(struct path *p, uint64_t id, bool finished, struct why *why) MUST_USE;
/* An event that was, once more, and nothing comes of it: done gets the result, as in path_invoke. */
struct path_repetition {
	const char *function;
	unsigned revision;                        /* 0: the active one */
	struct span topic, attrs, payload, trace; /* as the journal has them */
	uint32_t nattrs;
};
/* -E_UNKNOWN: the revision is not loaded; -E_LIMIT: the event was told more than is kept, or there are too
 * many; -E_INVALID: what is kept is damaged. */
int path_replay(struct path *p, const struct path_repetition *r, path_result *done, void *arg,
		struct why *why) MUST_USE;

/* triggers/outputs.h; NULL: the configuration has none. */
struct trigger *path_outputs(struct path *p);

json_t *path_status(struct path *p);
json_t *path_function_counts(struct path *p, const char *name);
json_t *path_binding_counts(struct path *p, uint64_t id);
/* metrics.h: of one function, NULL when unknown; and of all in Prometheus' text format, malloc'd. */
json_t *path_function_metrics(struct path *p, const char *name);
char *path_metrics_text(struct path *p, size_t *ret_len) MUST_USE;

#endif
