/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a module from uploaded bytes to a function that gets events:
 *
 *	CHECK    size, SHA-256, signature by a trusted key, manifest          (worker thread)
 *	TURN     its turn: one deploy per name at a time; then what is new is granted
 *	TAKE     with [compile] reuse_objects: what the active version was linked from (worker thread)
 *	SLOT     a free compiler: at most DEPLOY_COMPILES_MAX at once
 *	COMPILE  penstock-aot                                                 (its own process)
 *	KEEP     module to the store, native code sealed into the cache       (worker thread)
 *	LOAD     the sandbox has loaded it
 *	RECORD   the new revision in the registry, one transaction
 *
 * LOAD comes before RECORD: a version that the sandbox cannot load never becomes the active one,
 * and the one before it goes on.
 *
 * What the registry has already, at start and when another of its revisions shall be the active one,
 * enters at CHECK with the sealed code instead: when that is good it goes on at LOAD, else the stored
 * module is compiled again while the active version serves.
 *
 * Nothing here blocks the loop. Loop thread only.
 */
#ifndef GATEWAY_DEPLOY_H
#define GATEWAY_DEPLOY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/util.h"
#include "base/why.h"
#include "gateway/config.h"
#include "gateway/path.h"
#include "gateway/registry.h"
#include "gateway/seal.h"
#include "gateway/store.h"

enum {
	DEPLOY_COMPILES_MAX = 2, /* each may take AOT_JOB_MEMORY_MB */
	DEPLOY_WAITING_MAX = 64, /* uploads under way, restores not counted */
	DEPLOY_WAITING_FULL = 4, /* and how many of the largest size: they wait in memory */
	DEPLOY_LOAD_MS = 30000,  /* until the sandbox must have answered */
};

struct deployer;

struct deploy_env { /* all borrowed until deployer_free */
	const struct config *config;
	uv_loop_t *loop;
	struct registry *registry;
	const struct seal *seal;
	const struct store *store;
	/* path_function_put, or a test's */
	int (*load)(void *arg, const struct path_function *f, path_loaded *done, void *done_arg,
		    struct why *why);
	int (*unload)(void *arg, const char *name);
	int (*unload_candidate)(void *arg, const char *name);
	/* Does it take events, and is not in quarantine? NULL: nobody knows. */
	bool (*serves)(void *arg, const char *name);
	void *load_arg;
};

int deployer_new(const struct deploy_env *env, struct deployer **ret, struct why *why) MUST_USE;
/* Kills compiles; every deploy still under way is done with -E_GONE, soon or in deployer_free. */
void deployer_stop(struct deployer *d);
/* After the loop has run out of work of deployer_stop. NULL is fine. */
void deployer_free(struct deployer *d);

/* Brings what the registry has back to life. The outcome of each is logged, and a failure noted in
 * the registry, where GET /functions shows it. */
int deployer_restore(struct deployer *d, struct why *why) MUST_USE;

/* Is a deploy on its way whose module has this hash? Its files are not to be removed then. */
bool deployer_uses(const struct deployer *d, const char *hash);
/* Removes module and native code, unless a version in the registry or a deploy has the same. */
void deployer_forget(struct deployer *d, const char *hash);

struct deploy_request {
	uint8_t *wasm; /* malloc'd; taken, also on an error */
	size_t len;
	const char *name; /* overrides the manifest's; NULL or "" = the manifest's; copied */
	bool granted;     /* the operator has seen the manifest */
	bool older;       /* the operator knows that a newer version was active once */
	enum path_role role;
	unsigned percent; /* of a candidate's events */
};

struct deploy_outcome {
	int err;          /* 0; -EPERM: the manifest must be granted; -ESTALE: it is older than a
			   * version that was active; else the reason's */
	const char *why;  /* names the function, what and where */
	const char *hint; /* what to do, where the error alone does not tell; or NULL */
	const char *name; /* "" when it is not known */
	json_t *manifest; /* borrowed; with 0 and -EPERM */
	json_t *previous; /* borrowed; NULL or {revision, version, hash, manifest} */
	json_t *report;   /* borrowed; with 0 */
	const char *version, *hash, *key_id; /* with 0 */
	unsigned revision;
	const char *state; /* with 0: "active", "canary", "shadow", "aside" */
	bool unchanged;    /* it was the active version already; nothing was done */
	uint64_t compile_ms;
};
typedef void deploy_done(void *arg, const struct deploy_outcome *o);

/* done is called once, later, unless an error is returned: -E_LIMIT when too many are under way. */
int deploy_start(struct deployer *d, const struct deploy_request *r, deploy_done *done, void *arg,
		 struct why *why) MUST_USE;

/* Makes a revision that the registry still has the active one; 0 = the newest one older than the active
 * one. As deploy_start. -E_UNKNOWN: there is no such revision. */
int deploy_switch(struct deployer *d, const char *name, unsigned revision, deploy_done *done,
		  void *arg, struct why *why) MUST_USE;

/* Loads a revision that the registry has beside the active one, for repetitions (PATH_ASIDE); its key must
 * still be trusted. The registry stays as it is. As deploy_switch. */
int deploy_aside(struct deployer *d, const char *name, unsigned revision, deploy_done *done,
		 void *arg, struct why *why) MUST_USE;

/* The permission sheet from a registry row's manifest text; NULL when it does not parse any more. */
json_t *deploy_sheet_of(const char *manifest_json);

#endif
