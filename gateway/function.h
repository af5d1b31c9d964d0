/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions as the event path knows them: by name, with one or more versions that the sandbox has or
 * is to get. The newest loaded version takes new events; older ones end what they began and go.
 *
 * Everything here is guarded by the dispatcher's lock, but for the counters, which are atomic.
 */
#ifndef GATEWAY_FUNCTION_H
#define GATEWAY_FUNCTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/why.h"
#include "gateway/admission.h"
#include "gateway/flight.h"
#include "gateway/metrics.h"
#include "gateway/path.h"
#include "gateway/rollout.h"
#include "triggers/limiter.h"

enum { FUNCTION_BUCKETS = 64, REASON_BYTES = 256, FUNCTION_WINDOW = 128 };

enum function_count {
	FUNCTION_INVOKED,
	FUNCTION_OK,
	FUNCTION_FAILED,
	FUNCTION_TRAPPED,
	FUNCTION_REFUSED,
	FUNCTION_COUNTS
};

struct version {
	struct function *function;
	struct version *next; /* of the same function */
	uint32_t handle;      /* the sandbox's name for it; never used twice */
	unsigned revision;
	int so_fd;
	struct manifest_limits limits;
	struct span *publish; /* granted filters; one allocation with their text */
	size_t npublish;
	struct span *outputs; /* names of those it may set; as publish */
	size_t noutputs;
	bool remembers;       /* in a bucket of its own */
	struct span *buckets; /* granted shared ones; as publish */
	size_t nbuckets;
	bool is_reactor;
	enum path_role role;
	unsigned percent;             /* of the events, when it is a candidate */
	uint64_t used_ns;             /* ASIDE: for a repetition, or loaded */
	struct rollout_tally tally;   /* while a candidate runs beside it, or it is one */
	struct rollout_counts before; /* a candidate: the active version's, when it began */
	atomic_uint deaths;           /* a candidate: of the sandbox, in a row, while it ran */
	enum version_state {
		VERSION_UNSENT,
		VERSION_LOADING,
		VERSION_LOADED,
		VERSION_FAILED
	} state;
	unsigned load_deaths; /* of the sandbox, in a row, while it was being loaded */
	bool retiring;        /* takes no new events; goes when the last of its own is over */
	unsigned sent;        /* flights that the sandbox has */
	unsigned refs;        /* flights in any state that name it */
	struct flight_queue waiting;
	struct version *ready_next; /* in the dispatcher's ring of those with waiting flights */
	bool ready;
	path_loaded *done; /* somebody waits for the first load */
	void *done_arg;
};

struct function {
	char name[MANIFEST_NAME_MAX + 1];
	struct function *next; /* in its bucket */
	struct version *versions;
	struct version *active; /* takes new events; may still be loading after a crash */
	struct version *_Atomic candidate; /* takes some of them, or copies; loaded once, or NULL */
	bool quarantined, removed;
	bool told;                 /* its quarantine stands in the log */
	char reason[REASON_BYTES]; /* why it is quarantined, or its active version failed */
	/* Crashes: suspect = it was in flight when the sandbox died and has not since shown that it
	 * is not to blame. retries = its flights that are tried a second time. */
	bool suspect;
	unsigned retries;
	_Atomic uint64_t counts[FUNCTION_COUNTS];
	_Atomic uint64_t cpu_ns, cpu_events;
	struct admission_estimate estimate;
	struct metrics metrics;
	uint64_t last_error_wall_ms;
	char last_error[REASON_BYTES];
	/* Events that read what others were changing: for so many more of its commits it runs one at a time. */
	atomic_uint contended;
	struct limiter refusals, failures, lines;
};

struct function_table {
	struct function *bucket[FUNCTION_BUCKETS];
	unsigned functions;
	uint32_t last_handle;
};

struct function *function_find(const struct function_table *t, struct span name);
struct version *version_find(const struct function_table *t, uint32_t handle);
/* Walks all: NULL begins, NULL ends. */
struct function *function_next(const struct function_table *t, const struct function *f);

/* A new version, UNSENT, of a function that is made if need be. Copies f; -errno. */
int function_add_version(struct function_table *t, const struct path_function *f,
			 struct version **ret, struct why *why) MUST_USE;
/* Frees it, and its function with the last one; only when nothing refers to it. */
void version_free(struct function_table *t, struct version *v);
void function_table_fini(struct function_table *t);

/* Who runs the event with this number; NULL: nobody yet. */
struct version *function_choose(const struct function *f, uint64_t event);

/* Is a topic covered by what was granted? $output/NAME only by the output's name, by no filter. */
bool version_may_publish(const struct version *v, struct span topic);
/* May it use this bucket? "" is its own. */
bool version_may_remember(const struct version *v, struct span bucket);

void function_failed(struct function *f, uint64_t wall_ms, const char *reason);

#endif
