/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What outlives a restart: trusted keys, deployed functions and their versions, bindings. SQLite
 * in STATE_DIR/registry.db, WAL. synchronous=FULL: a 201 means that a power cut does not undo it,
 * and a revoked key stays revoked; people cause these writes, so one fsync each costs nothing.
 *
 * Rows are handed to callbacks, their strings borrowed for the call; a callback returns 0 to go on
 * and anything else to stop, which the walk then returns. Callbacks may read the registry through
 * other walks but not write it. Loop thread only.
 *
 * Every call returns 0 or negative with the reason: -EIO with SQLite's words for what the disk or
 * the database refused.
 */
#ifndef GATEWAY_REGISTRY_H
#define GATEWAY_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "base/why.h"
#include "proto/signature.h"

/* Older versions than these of a function are forgotten, with their bytes. */
enum {
	REGISTRY_VERSIONS_KEPT = 10,
	REGISTRY_VERSIONS_MAX =
		REGISTRY_VERSIONS_KEPT + 2, /* active and candidate stay, however old */
	REGISTRY_HASH_TEXT = 64 + 1,
};

struct registry;

/* Creates or opens it and brings it to this schema. -E_INVALID: damaged, of another program, or
 * written by a newer Penstock (never touched then). */
int registry_open(const char *state_dir, struct registry **ret, struct why *why) MUST_USE;
void registry_close(struct registry *r);

struct registry_key {
	const char *id; /* sig_key_id() */
	struct sig_public public;
	const char *comment;
	uint64_t trusted_wall_ms;
};
typedef int registry_key_fn(void *arg, const struct registry_key *k);

/* 1 when it was there already (and stays as it was), 0 when it is new. */
int registry_key_put(struct registry *r, const struct registry_key *k, struct why *why) MUST_USE;
/* id NULL: all of them. -E_UNKNOWN when that id is not there. */
int registry_keys(struct registry *r, const char *id, registry_key_fn *each, void *arg,
		  struct why *why) MUST_USE;
int registry_key_remove(struct registry *r, const char *id, struct why *why) MUST_USE;

struct registry_function {
	const char *name, *version;
	unsigned revision;
	const char *hash; /* SHA-256 of the uploaded bytes, hex */
	const char *key_id;
	bool is_reactor;
	const char *manifest; /* the module's JSON; "" when it has none */
	const char *report;   /* penstock-aot's JSON */
	uint64_t deployed_wall_ms;
	const char *state;  /* "active", "failed"; "inactive" only in registry_versions */
	const char *reason; /* why it failed */
	const char
		*highest_version; /* of all that were ever active; not for registry_function_put */
};
typedef int registry_function_fn(void *arg, const struct registry_function *f);

/* The revision that the next deploy of this name will have. */
int registry_revision_next(struct registry *r, const char *name, unsigned *ret,
			   struct why *why) MUST_USE;
/* A new revision becomes the active one; versions over REGISTRY_VERSIONS_KEPT go. All or nothing. */
int registry_function_put(struct registry *r, const struct registry_function *f,
			  struct why *why) MUST_USE;
/* The same for a candidate: the active revision stays. -E_UNKNOWN: there is none. */
struct registry_rollout;
int registry_candidate_put(struct registry *r, const struct registry_function *f,
			   const struct registry_rollout *rollout, struct why *why) MUST_USE;
/* An older revision, or the candidate, becomes the active one. -E_UNKNOWN. */
int registry_activate(struct registry *r, const char *name, unsigned revision, uint64_t wall_ms,
		      struct why *why) MUST_USE;
/* A recompile's report. */
int registry_function_report(struct registry *r, const char *name, unsigned revision,
			     const char *report, struct why *why) MUST_USE;
int registry_function_state(struct registry *r, const char *name, const char *state,
			    const char *reason, struct why *why) MUST_USE;
/* name NULL: all of them. -E_UNKNOWN when that one is not there. */
int registry_functions(struct registry *r, const char *name, registry_function_fn *each, void *arg,
		       struct why *why) MUST_USE;
/* Newest first. */
int registry_versions(struct registry *r, const char *name, registry_function_fn *each, void *arg,
		      struct why *why) MUST_USE;
/* One of them. -E_UNKNOWN: never was there, or is forgotten. */
int registry_version(struct registry *r, const char *name, unsigned revision,
		     registry_function_fn *each, void *arg, struct why *why) MUST_USE;
/* The newest one older than the active one that was active itself; -E_UNKNOWN: there is none. */
int registry_version_before(struct registry *r, const char *name, unsigned *ret,
			    struct why *why) MUST_USE;
/* -E_UNKNOWN; -EBUSY while bindings name it, unless with_bindings removes them too. */
int registry_function_remove(struct registry *r, const char *name, bool with_bindings,
			     struct why *why) MUST_USE;
/* Does a version with this hash exist? On an error: yes, so that nothing is deleted by mistake. */
bool registry_hash_used(struct registry *r, const char *hash);

/* A candidate beside the active revision, or the last one that was. A new active revision ends it. */
struct registry_rollout {
	const char *name;
	unsigned revision;
	const char *
		mode; /* "canary": gets percent of the events; "shadow": copies of percent of them */
	unsigned percent;   /* 1..100 */
	const char *state;  /* "running", "promoted", "ended" */
	const char *reason; /* why it ended */
	uint64_t started_wall_ms, ended_wall_ms;
};
typedef int registry_rollout_fn(void *arg, const struct registry_rollout *o);

/* name NULL: all that run. Nothing there is no error. */
int registry_rollouts(struct registry *r, const char *name, registry_rollout_fn *each, void *arg,
		      struct why *why) MUST_USE;
/* Ends one that runs; when none does, nothing happens. */
int registry_rollout_end(struct registry *r, const char *name, const char *reason, uint64_t wall_ms,
			 struct why *why) MUST_USE;

struct registry_binding {
	uint64_t id;
	const char *function, *kind, *broker, *filter, *publish;
	const char *options;        /* canonical (proto/kinds.h) */
	const char *publish_broker; /* "": that of its events, or "default" */
	unsigned qos, publish_qos;
	bool retain;
	unsigned deadline_ms;    /* 0: the function's */
	const char *criticality; /* "" or NULL: the function's */
	const char *durability;  /* "" or NULL: journal.durability */
	unsigned retry_max, retry_ms;
	bool ordered;
	uint64_t created_wall_ms;
};
typedef int registry_binding_fn(void *arg, const struct registry_binding *b);

/* -E_UNKNOWN: no such function. -E_EXISTS: it has this kind, broker, filter and options already
 * (registry_binding_same). *ret_id is never used again after its removal. */
int registry_binding_put(struct registry *r, const struct registry_binding *b, uint64_t *ret_id,
			 struct why *why) MUST_USE;
/* function NULL: all of them. */
int registry_bindings(struct registry *r, const char *function, registry_binding_fn *each,
		      void *arg, struct why *why) MUST_USE;
/* The one with b's function, kind, broker, filter and options; -E_UNKNOWN: there is none. */
int registry_binding_same(struct registry *r, const struct registry_binding *b,
			  registry_binding_fn *each, void *arg, struct why *why) MUST_USE;
int registry_binding_remove(struct registry *r, uint64_t id, struct why *why) MUST_USE;

struct registry_counts {
	uint64_t functions, bindings;
};
int registry_counts(struct registry *r, struct registry_counts *ret, struct why *why) MUST_USE;

#endif
